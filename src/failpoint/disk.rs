//! A disk that forgets what was not synced, and deaths by chance: what the simulation runs the program on.
//!
//! The files stay real, so all code is that which ships. Every call that changes what is on the disk goes through
//! `transport::disk`, and is written down here. [`forget`] then makes of the folders what a power cut may have left of
//! them: contents that were not synced are there, cut, zeroed or empty; names whose folder was not synced are undone or
//! there, by chance. What a later call that stays was built on stays too. The store's engine is trusted: a commit is on
//! the disk, and everything that was not synced before it may be gone after it.
//!
//! One process simulates one bureau at a time, so whatever thread makes a call is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// What unwinds where the process dies.
#[derive(Clone, Copy, Debug)]
pub struct Death;

/// A call that changes what is on the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call<'a> {
    /// A new file.
    Create(&'a Path),
    /// Its bytes are brought to the disk.
    Sync(&'a File),
    /// The names in a folder are brought to the disk.
    SyncFolder(&'a Path),
    /// A file gets another name; what had it is no more.
    Rename(&'a Path, &'a Path),
    /// A file gets a second name.
    Link(&'a Path, &'a Path),
    /// A name is removed.
    Remove(&'a Path),
    /// A new folder.
    Folder(&'a Path),
}

impl Call<'_> {
    fn name(self) -> &'static str {
        match self {
            Call::Create(_) => "disk.create",
            Call::Sync(_) => "disk.sync",
            Call::SyncFolder(_) => "disk.sync-folder",
            Call::Rename(..) => "disk.rename",
            Call::Link(..) => "disk.link",
            Call::Remove(_) => "disk.remove",
            Call::Folder(_) => "disk.folder",
        }
    }
}

/// Numbers that are random enough, and the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(pub u64);

impl Chance {
    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A name that is not on the disk yet, or still is.
#[derive(Debug)]
enum Pending {
    Made { path: PathBuf },
    Moved { from: PathBuf, to: PathBuf, replaced: Option<PathBuf>, arrived: bool, left: bool },
    Removed { path: PathBuf, grave: PathBuf },
}

/// Contents that are not on the disk: of which file, and the names that it had.
#[derive(Debug)]
struct Unsynced {
    ino: u64,
    names: Vec<PathBuf>,
}

#[derive(Debug)]
struct World {
    /// A folder on the same disk for what was removed or replaced.
    graves: PathBuf,
    buried: u64,
    pending: Vec<Pending>,
    unsynced: Vec<Unsynced>,
    passed: BTreeMap<String, u64>,
    deaths: Option<(u64, u64)>,
    died_at: Option<String>,
    later: Duration,
    told: bool,
}

static WORLD: Mutex<Option<World>> = Mutex::new(None);

/// Whoever unwound while holding it has left whole values behind.
fn world() -> MutexGuard<'static, Option<World>> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on calls are written down. `graves` is an empty folder on the same disk; all that is there is durable.
/// With `told` every call is printed.
pub fn begin(graves: &Path, told: bool) {
    crate::transport::disk::another_process();
    *world() = Some(World {
        graves: graves.to_owned(),
        buried: 0,
        pending: Vec::new(),
        unsynced: Vec::new(),
        passed: BTreeMap::new(),
        deaths: None,
        died_at: None,
        later: Duration::ZERO,
        told,
    });
}

/// Nothing is written down any more.
pub fn end() {
    *world() = None;
}

/// The process dies at one of about `one_in` of the places that it passes from now on; the same ones for the same seed.
pub fn let_die(seed: u64, one_in: u64) {
    if let Some(world) = world().as_mut() {
        world.deaths = Some((seed, one_in));
    }
}

/// It does not die any more.
pub fn let_live() {
    if let Some(world) = world().as_mut() {
        world.deaths = None;
    }
}

/// Where it died, once: from now on it is another process.
pub fn died_at() -> Option<String> {
    let died_at = world().as_mut()?.died_at.take()?;
    crate::transport::disk::another_process();
    Some(died_at)
}

/// Whether it is dead: nothing that it still does may count.
pub fn is_dead() -> bool {
    world().as_ref().is_some_and(|world| world.died_at.is_some())
}

/// Moves the clock by which files age.
pub fn advance(by: Duration) {
    if let Some(world) = world().as_mut() {
        world.later += by;
    }
}

/// The clock by which files age.
pub(crate) fn now() -> SystemTime {
    SystemTime::now() + world().as_ref().map_or(Duration::ZERO, |world| world.later)
}

/// All names in a folder are on the disk, since whoever else changed it took longer than a file system waits.
pub fn names_are_durable(folder: &Path) {
    if let Some(world) = world().as_mut() {
        world.folder_synced(folder);
    }
}

/// What a power cut may have left; in words, what is gone.
pub fn forget(chance: &mut Chance) -> Vec<String> {
    crate::transport::disk::another_process();
    world().as_mut().map(|world| world.forget(chance)).unwrap_or_default()
}

/// Whether a simulation runs.
pub(crate) fn is_played() -> bool {
    world().is_some()
}

/// Whether a simulation runs: then places are its own.
pub(super) fn pass(place: &str) -> bool {
    let mut guard = world();
    let Some(world) = guard.as_mut() else { return false };
    if world.passes(place) {
        drop(guard);
        resume_unwind(Box::new(Death));
    }
    true
}

/// Makes a call, and writes it down where it succeeded.
pub(crate) fn carry_out<T, E>(call: Call<'_>, act: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let name = call.name();
    pass(name);
    let mut guard = world();
    let done = match guard.as_mut() {
        None => return act(),
        Some(world) => {
            let grave = world.bury(call);
            let done = act();
            if done.is_ok() {
                world.note(call, grave);
            }
            done
        }
    };
    drop(guard);
    pass(name);
    done
}

impl World {
    fn passes(&mut self, place: &str) -> bool {
        if self.died_at.is_some() {
            return true;
        }
        let count = self.passed.entry(place.to_owned()).or_default();
        *count += 1;
        let Some((seed, one_in)) = self.deaths else { return false };
        // By name and count, so that threads beside each other change nothing.
        let mixed = place.bytes().fold(seed ^ *count << 20, |mixed, byte| mixed.rotate_left(8) ^ u64::from(byte));
        if Chance(mixed).once_in(one_in) {
            self.died_at = Some(format!("{place}, time {count}"));
        }
        self.died_at.is_some()
    }

    /// Keeps a name of what is removed or replaced.
    fn bury(&mut self, call: Call<'_>) -> Option<PathBuf> {
        let (Call::Rename(_, path) | Call::Remove(path)) = call else { return None };
        let grave = self.graves.join(self.buried.to_string());
        self.buried += 1;
        fs::hard_link(path, &grave).ok().map(|()| grave)
    }

    fn note(&mut self, call: Call<'_>, grave: Option<PathBuf>) {
        if self.told {
            println!("    {}", said(call));
        }
        match call {
            Call::Create(path) => {
                let ino = fs::symlink_metadata(path).map_or(0, |about| about.ino());
                self.unsynced.push(Unsynced { ino, names: vec![path.to_owned()] });
                self.pending.push(Pending::Made { path: path.to_owned() });
            }
            Call::Folder(path) => self.pending.push(Pending::Made { path: path.to_owned() }),
            Call::Sync(file) => {
                let ino = file.metadata().map_or(0, |about| about.ino());
                self.unsynced.retain(|unsynced| unsynced.ino != ino);
            }
            Call::SyncFolder(path) => self.folder_synced(path),
            Call::Link(from, to) => {
                self.also_named(from, to);
                self.pending.push(Pending::Made { path: to.to_owned() });
            }
            Call::Rename(from, to) => {
                self.also_named(from, to);
                let (from, to) = (from.to_owned(), to.to_owned());
                self.pending.push(Pending::Moved { from, to, replaced: grave, arrived: false, left: false });
            }
            Call::Remove(path) => {
                if let Some(grave) = grave {
                    self.pending.push(Pending::Removed { path: path.to_owned(), grave });
                }
            }
        }
    }

    fn also_named(&mut self, from: &Path, to: &Path) {
        let named = self.unsynced.iter_mut().filter(|unsynced| unsynced.names.iter().any(|name| name == from));
        named.for_each(|unsynced| unsynced.names.push(to.to_owned()));
    }

    fn folder_synced(&mut self, folder: &Path) {
        let is_here = |path: &Path| path.parent() == Some(folder);
        for pending in &mut self.pending {
            if let Pending::Moved { from, to, arrived, left, .. } = pending {
                *arrived |= is_here(to);
                *left |= is_here(from);
            }
        }
        self.pending.retain(|pending| match pending {
            Pending::Made { path } | Pending::Removed { path, .. } => !is_here(path),
            Pending::Moved { arrived, left, .. } => !*arrived || !*left,
        });
    }

    fn forget(&mut self, chance: &mut Chance) -> Vec<String> {
        let mut gone = Vec::new();
        // Of one cut nearly nothing is lost, of another nearly all.
        let share = [0, 1, 4, 7, 8][chance.below(5) as usize];
        let mut kept: BTreeSet<PathBuf> = BTreeSet::new();
        for pending in std::mem::take(&mut self.pending).into_iter().rev() {
            let is_built_on = pending.paths().iter().any(|path| kept.iter().any(|other| other.starts_with(path)));
            if !is_built_on && chance.below(8) < share {
                gone.extend(pending.undo());
            } else {
                kept.extend(pending.paths().into_iter().map(Path::to_owned));
            }
        }
        for unsynced in std::mem::take(&mut self.unsynced) {
            let is_it = |path: &&PathBuf| fs::symlink_metadata(path).is_ok_and(|about| about.ino() == unsynced.ino);
            if let Some(path) = unsynced.names.iter().rfind(is_it) {
                gone.extend(lose_contents(path, chance));
            }
        }
        gone
    }
}

impl Pending {
    fn paths(&self) -> Vec<&Path> {
        match self {
            Pending::Made { path } | Pending::Removed { path, .. } => vec![path],
            Pending::Moved { from, to, .. } => vec![from, to],
        }
    }

    /// Undoes it, in words; nothing where somebody else has changed the place since.
    fn undo(self) -> Option<String> {
        match self {
            Pending::Made { path } if path.is_dir() => {
                fs::remove_dir_all(&path).ok()?;
                Some(format!("folder {} was never made", short(&path)))
            }
            Pending::Made { path } => {
                fs::remove_file(&path).ok()?;
                Some(format!("{} was never made", short(&path)))
            }
            Pending::Removed { path, grave } => {
                fs::hard_link(&grave, &path).ok()?;
                Some(format!("{} is there again", short(&path)))
            }
            Pending::Moved { from, to, arrived: true, .. } => {
                fs::hard_link(&to, &from).ok()?;
                Some(format!("{} has its old name {} too", short(&to), short(&from)))
            }
            Pending::Moved { from, to, replaced, left, .. } => {
                if left {
                    fs::remove_file(&to).ok()?;
                } else {
                    fs::hard_link(&to, &from).and_then(|()| fs::remove_file(&to)).ok()?;
                }
                replaced.and_then(|grave| fs::hard_link(grave, &to).ok());
                let now = if left { "gone".to_owned() } else { short(&from) };
                Some(format!("{} is {now}", short(&to)))
            }
        }
    }
}

/// Contents that never reached the disk: all there by luck, cut, zeroed from some byte on, or none.
fn lose_contents(path: &Path, chance: &mut Chance) -> Option<String> {
    let file = File::options().write(true).open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let at = if chance.once_in(3) { 0 } else { chance.below(size + 1) };
    match chance.below(4) {
        0 => return None,
        1 | 2 => file.set_len(at).ok()?,
        _ => {
            let zeroes = vec![0; usize::try_from(size - at).unwrap_or(0)];
            file.write_all_at(&zeroes, at).ok()?;
        }
    }
    Some(format!("{}: {at} of {size} bytes are left", short(path)))
}

/// The last two names of a path; halves of copies have the number of a process, which differs each time.
fn short(path: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if path.extension().is_some_and(|ending| ending == "part") {
        return "the half of a copy".to_owned();
    }
    format!("{}/{}", path.parent().map(name).unwrap_or_default(), name(path))
}

fn said(call: Call<'_>) -> String {
    match call {
        Call::Create(path) => format!("create {}", short(path)),
        Call::Sync(_) => "sync a file".to_owned(),
        Call::SyncFolder(path) => format!("sync folder {}", short(path)),
        Call::Rename(from, to) => format!("rename {} to {}", short(from), short(to)),
        Call::Link(from, to) => format!("link {} to {}", short(from), short(to)),
        Call::Remove(path) => format!("remove {}", short(path)),
        Call::Folder(path) => format!("make folder {}", short(path)),
    }
}
