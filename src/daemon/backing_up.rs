//! A consistent copy of all that cannot be had again: store, archive, quarantine, configuration, policy.
//!
//! It may be taken beside a running daemon. The store is copied first, in one view; what it names was on disk before it was
//! named. A file that is booked lies in the spool until it is put away: so the spool is copied before the archive, and a
//! file that moves meanwhile is found in one of them.

use crate::daemon::bureau::{Bureau, Order, Step, refuse, store_path};
use crate::store::anchor::{self, Anchor};
use crate::store::files;
use crate::transport::{self, Digest, copy_kept, escaped, hex, make_durable, make_folder, unhex};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the manifest in a backup, as `sha256sum -c` reads it. Written last: a folder without it is no backup.
pub const MANIFEST: &str = "MANIFEST.sha256";

/// Name of the file with the head of the audit log as it was copied.
pub const ANCHOR: &str = "ANCHOR";

/// What was copied.
#[derive(Debug)]
pub struct Backup {
    /// How many files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Head of the copied audit log; `None` where it is empty.
    pub anchor: Option<Anchor>,
    /// SHA-256 of the manifest, which holds that of every other file.
    pub manifest: Digest,
}

/// A backup in the making: what lies in it, by its place.
struct Making<'a> {
    target: &'a Path,
    copied: BTreeMap<String, Digest>,
    bytes: u64,
}

/// Copies the bureau into a missing or empty folder, in the shape that `init` makes: every command works on the copy
/// where folders are configured relative to the configuration file. The last thing is a row in the audit log of the live
/// bureau, which says up to where what was copied: the copy itself knows nothing of it.
pub fn back_up(bureau: &mut Bureau, config_file: &Path, target: &Path, order: &Order) -> Step<Backup> {
    let backup = copy(bureau, config_file, target)?;
    failpoint!("backup.whole");
    let subject = format!("up to {}", backup.anchor.map_or(0, |anchor| anchor.seq));
    bureau.store.transact(&order.act("backup", subject, backup.manifest), |_| Ok(()))?;
    Ok(backup)
}

fn copy(bureau: &Bureau, config_file: &Path, target: &Path) -> Step<Backup> {
    let config = &bureau.config;
    refuse_place(target, &[&config.state, &config.drops])?;
    make_folder(target)?;
    let state = below(&config.root, &config.state, "state");
    let mut making = Making { target, copied: BTreeMap::new(), bytes: 0 };
    let anchor = making.store(bureau, &state)?;
    failpoint!("backup.store");
    making.spool(bureau, &state)?;
    failpoint!("backup.spool");
    for kept in ["archive", "quarantine"] {
        making.tree(&config.state.join(kept), &state.join(kept))?;
    }
    failpoint!("backup.kept");
    for data in ["policy", "calendars", "formats"] {
        making.tree(&config.root.join(data), Path::new(data))?;
    }
    let config_file = config_file.canonicalize().map_err(|source| transport::Error::io(config_file, "find", source))?;
    making.file(&config_file, Path::new("daikou.toml"))?;
    folders_only(&config.drops, &target.join(below(&config.root, &config.drops, "drops")))?;
    let line = anchor.map(|anchor| format!("{anchor}\n")).unwrap_or_default();
    making.text(ANCHOR, &line)?;
    let lines = making.copied.iter().map(|(place, digest)| format!("{}  {place}\n", hex(digest)));
    let manifest = lines.collect::<String>();
    let (files, bytes) = (making.copied.len(), making.bytes);
    making.text(MANIFEST, &manifest)?;
    Ok(Backup { files, bytes, anchor, manifest: transport::sha256(manifest.as_bytes()) })
}

impl Making<'_> {
    fn store(&mut self, bureau: &Bureau, state: &Path) -> Step<Option<Anchor>> {
        let place = store_path(state);
        let copy = self.target.join(&place);
        make_folder(&self.target.join(state))?;
        bureau.store.backup(&copy)?;
        // The engine does not wait for the disk when it copies.
        make_durable(&copy)?;
        private(&copy)?;
        let open = Connection::open_with_flags(&copy, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let anchor = anchor::head(&open.map_err(crate::store::Error::from)?)?;
        let Some(digest) = transport::digest_of(&copy)? else {
            return refuse(format!("{}：备份的库不见了", copy.display()));
        };
        self.note(&place, digest, &copy)?;
        Ok(anchor)
    }

    /// Copies of files whose end is stored, and which are not put away yet.
    fn spool(&mut self, bureau: &Bureau, state: &Path) -> Step<()> {
        let spool = bureau.config.state.join("spool");
        for name in names(&spool)? {
            let ended = match name.to_str().and_then(unhex) {
                Some(sha256) => files::ended(bureau.store.connection(), &sha256)?.is_some(),
                None => false,
            };
            if ended {
                match self.file(&spool.join(&name), &state.join("spool").join(&name)) {
                    // Put away meanwhile: it is found there.
                    Err(crate::daemon::bureau::StepError::Transport(transport::Error::Gone { .. })) => {}
                    done => done?,
                }
            }
        }
        Ok(())
    }

    /// A folder with all that lies below it; nothing where there is none. A link to a file gives that file: a policy may
    /// be shared.
    fn tree(&mut self, from: &Path, place: &Path) -> Step<()> {
        for name in names(from)? {
            let (from, place) = (from.join(&name), place.join(&name));
            let failed = |source| transport::Error::io(&from, "look at", source);
            if fs::symlink_metadata(&from).map_err(failed)?.is_dir() {
                self.tree(&from, &place)?;
            } else if fs::metadata(&from).map_err(failed)?.is_file() {
                self.file(&from.canonicalize().map_err(failed)?, &place)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, place: &Path) -> Step<()> {
        let to = self.target.join(place);
        to.parent().map_or(Ok(()), make_folder)?;
        let (digest, _) = copy_kept(from, &to)?;
        self.note(place, digest, &to)
    }

    fn text(&mut self, name: &str, text: &str) -> Step<()> {
        let path = self.target.join(name);
        transport::write_new(&path, 0o600, text.as_bytes())?;
        transport::sync_folder(self.target)?;
        self.note(Path::new(name), transport::sha256(text.as_bytes()), &path)
    }

    fn note(&mut self, place: &Path, digest: Digest, copy: &Path) -> Step<()> {
        copy.parent().map_or(Ok(()), transport::sync_folder)?;
        let about = fs::metadata(copy).map_err(|source| transport::Error::io(copy, "look at", source))?;
        self.bytes += about.len();
        // A line of the manifest is a name: one that breaks lines would forge it.
        let shown = place.to_string_lossy();
        if shown.contains(['\n', '\r', '\\']) {
            return refuse(format!("{}：文件名含换行或反斜杠，请改名后再备份", escaped(place)));
        }
        self.copied.insert(shown.into_owned(), digest);
        Ok(())
    }
}

/// A folder relative to the configuration is so in the backup; one elsewhere gets its usual name.
fn below(root: &Path, folder: &Path, usual: &str) -> PathBuf {
    folder.strip_prefix(root).map_or_else(|_| PathBuf::from(usual), Path::to_owned)
}

/// A folder with files in it is never written to, nor one that is itself to be copied or watched.
fn refuse_place(target: &Path, ours: &[&Path]) -> Step<()> {
    match fs::read_dir(target).map(Iterator::count) {
        Ok(0) => {}
        Ok(_) => return refuse(format!("{}：应为不存在或空的目录，其中已有文件；请另选目录", target.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(transport::Error::io(target, "list", error).into()),
    }
    let whole = std::path::absolute(target).map_err(|source| transport::Error::io(target, "find", source))?;
    let there = whole.ancestors().find_map(|folder| folder.canonicalize().ok());
    let within = |folder: &&&Path| {
        let folder = folder.canonicalize().ok();
        folder.zip(there.as_ref()).is_some_and(|(ours, there)| there.starts_with(ours))
    };
    match ours.iter().find(within) {
        Some(folder) => {
            refuse(format!("{}：不能放在 {} 之下；请另选目录，最好在另一块磁盘", target.display(), folder.display()))
        }
        None => Ok(()),
    }
}

/// The drop tree without what lies in it: what is booked is in the archive.
fn folders_only(from: &Path, to: &Path) -> Step<()> {
    make_folder(to)?;
    for name in names(from)? {
        let folder = from.join(&name);
        if fs::symlink_metadata(&folder).is_ok_and(|about| about.is_dir()) {
            folders_only(&folder, &to.join(&name))?;
        }
    }
    Ok(())
}

fn private(path: &Path) -> Step<()> {
    use std::os::unix::fs::PermissionsExt;
    let set = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    Ok(set.map_err(|source| transport::Error::io(path, "set the mode of", source))?)
}

/// Names in a folder, in order; none where there is no folder.
fn names(folder: &Path) -> Step<Vec<std::ffi::OsString>> {
    let failed = |source| transport::Error::io(folder, "list", source);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names: Vec<_> = entries.map(|entry| Ok(entry.map_err(failed)?.file_name())).collect::<Step<_>>()?;
    names.sort();
    Ok(names)
}
