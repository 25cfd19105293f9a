//! Drop folders, inwards: list what lies there, copy it out of the sender's reach, remove what was booked.
//!
//! Level-triggered: a scan shows what lies there now, whatever happened before; nothing remembers names. The order is
//! scan, [`Folder::spool`], claim and commit, archive, [`Folder::remove_source`]: a crash anywhere leads back to a scan
//! that finds the same bytes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Take, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::copying::{Bytes, Copying, Follower, Growing};
use super::uncached::{self, Aligned};
use super::{CHUNK_BYTES, Digest, Error, create_new, disk, escaped, hex, make_folder, sync_folder};

/// Up to so many bytes, some 25,000 rows, a file is parsed out of memory.
const IN_MEMORY: u64 = 8 << 20;

/// One name in a drop folder, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The name: bytes, since a bank's may be GBK.
    pub name: OsString,
    /// What lies under it.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// When the sender says that it was last written: the sender may set it.
    pub mtime: Stamp,
    /// When it last changed by our kernel's clock: the sender cannot set it.
    pub ctime: Stamp,
    /// Which file of its device it is.
    pub ino: u64,
    /// Which device.
    pub dev: u64,
}

/// What lies under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// Anything else, in words: left alone, and an alarm once.
    NotAFile(&'static str),
}

/// A time of the file system: seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Seconds; negative before 1970.
    pub secs: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nanos: u32,
}

/// What one look at a folder found, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Files, and what is none.
    pub found: Vec<Candidate>,
    /// There is more than was asked for; it is found when these are gone.
    pub more: bool,
}

/// A private copy: the only bytes that are ever parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// `spool/<sha256>`.
    pub path: PathBuf,
    /// Of the copy's bytes.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
}

/// What became of the source of a booked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Removed now.
    Removed,
    /// Was gone already.
    Gone,
    /// Other bytes lie under the name by now: left for the next scan.
    Replaced,
}

impl Candidate {
    /// How long nothing has changed. By ctime alone: a client may set mtime, and a wrong clock shows as a long time.
    pub fn quiet_for(&self, now: SystemTime) -> Duration {
        let since = Duration::new(u64::try_from(self.ctime.secs).unwrap_or(0), self.ctime.nanos);
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.abs_diff(since)
    }

    /// Whether nothing has changed for `settle_ms` milliseconds: all the proof of completeness that a table has.
    pub fn settled(&self, now: SystemTime, settle_ms: u64) -> bool {
        self.quiet_for(now) >= Duration::from_millis(settle_ms)
    }

    /// Which file this is, for as long as nothing changes it: another one that gets its inode has another time.
    pub fn identity(&self) -> String {
        format!("{}@{}.{:09}", self.ino, self.ctime.secs, self.ctime.nanos)
    }

    /// The name as it may be shown.
    pub fn shown(&self) -> String {
        escaped(&self.name)
    }

    fn of(name: OsString, stat: &Stat) -> Candidate {
        Candidate {
            name,
            kind: kind_of(stat),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: Stamp { secs: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 },
            ctime: Stamp { secs: stat.st_ctime, nanos: stat.st_ctime_nsec as u32 },
            ino: stat.st_ino,
            dev: stat.st_dev,
        }
    }

    /// The same file with the same bytes; a link made or removed beside it does not count.
    fn same_bytes(&self, other: &Candidate) -> bool {
        (self.dev, self.ino, self.size, self.mtime) == (other.dev, other.ino, other.size, other.mtime)
    }
}

/// An open drop folder. Opened anew for each scan, so that a folder that was made again is seen.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder of the drop tree; a link in its place is refused.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| Error::io(path, "open the drop folder", errno))?;
        Ok(Folder { fd, path: path.to_owned() })
    }

    /// What lies here: at most `limit` files, and at most `limit` things that are none, sorted by name.
    ///
    /// Names of unfinished uploads (`.…`, `….tmp`, `….part`, `….filepart`) are not seen at all. Every file leaves in
    /// the end, so those beyond the limit have their turn.
    pub fn scan(&self, limit: usize) -> Result<Scan, Error> {
        let mut scan = Scan::default();
        let (mut files, mut others) = (0, 0);
        let unlisted = |errno: Errno| Error::io(&self.path, "list the folder", errno);
        for entry in Dir::read_from(&self.fd).map_err(unlisted)? {
            let entry = entry.map_err(unlisted)?;
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            let Some(candidate) = self.look(&name)? else { continue };
            let count = if candidate.kind == Kind::File { &mut files } else { &mut others };
            *count += 1;
            if *count > limit {
                scan.more = true;
            } else {
                scan.found.push(candidate);
            }
            if files > limit {
                break;
            }
        }
        scan.found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scan)
    }

    /// What lies under one name; `None` where nothing does, or an unfinished upload.
    pub fn look(&self, name: &OsStr) -> Result<Option<Candidate>, Error> {
        if is_unfinished(name) {
            return Ok(None);
        }
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Candidate::of(name.to_owned(), &stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io(&self.path.join(name), "look at", errno)),
        }
    }

    /// Copies a file into `spool/<sha256>`, durably, while hashing it.
    ///
    /// Moving it would not do: a client's open handle goes on writing into a moved file. [`Error::Changed`] if the
    /// source is not to the last bit of its inode what the scan saw, before and after the copy; at most `limit` bytes.
    pub fn spool(&self, candidate: &Candidate, spool: &Path, limit: u64) -> Result<Spooled, Error> {
        self.copy(candidate, spool, limit, |_| {})?.land().cloned()
    }

    /// As [`Folder::spool`], without waiting for the disk: the bytes may be parsed while the copy lands. `follow` gets a
    /// reader that follows the copy from its first byte on.
    pub fn copy(
        &self,
        candidate: &Candidate,
        spool: &Path,
        limit: u64,
        follow: impl FnOnce(Follower),
    ) -> Result<Copying, Error> {
        let source = self.open_safely(candidate, limit)?;
        failpoint!("arrive.opened");
        make_folder(spool)?;
        let part = part_path(spool);
        if candidate.size <= IN_MEMORY {
            return self.copy_small(candidate, source, part, follow);
        }
        let copied = self.copy_bytes(candidate, source, &part, follow).and_then(|(bytes, sha256, doubt)| {
            failpoint!("arrive.copied");
            let handle = bytes.try_clone().map_err(|source| Error::io(&part, "share", source))?;
            let (own, size) = (part.clone(), candidate.size);
            Copying::begin(part.clone(), Bytes::File(bytes), size, move |tells| {
                // Nobody may want to know.
                let _ = tells.send(sha256);
                sync(&handle, &own)?;
                land(&Bytes::File(handle), doubt, &own, sha256)
            })
        });
        if copied.is_err() {
            // The error counts, not what may be left: `sweep_parts` finds it.
            let _ = disk::remove(&part);
        }
        copied
    }

    /// The bytes of a small file are parsed out of memory, while another thread hashes them and writes the copy: the same
    /// bytes, read once.
    fn copy_small(
        &self,
        candidate: &Candidate,
        source: File,
        part: PathBuf,
        follow: impl FnOnce(Follower),
    ) -> Result<Copying, Error> {
        let (size, from) = (candidate.size, self.path.join(&candidate.name));
        let mut bytes = Aligned::with_capacity(size as usize + 1);
        let doubt = self.read_bytes(candidate, source, |source| {
            let read = source.take(CHUNK_BYTES as u64).read_to_end(bytes.end());
            read.map_err(|source| Error::io(&from, "read", source))
        })?;
        let bytes = Arc::new(bytes);
        follow(Follower::of(bytes.clone()));
        Copying::begin(part.clone(), Bytes::Memory(bytes.clone()), size, move |tells| {
            let sha256 = Sha256::digest(&**bytes).into();
            let _ = tells.send(sha256);
            let landed = write_new(&part, &bytes).and_then(|()| land(&Bytes::Memory(bytes), doubt, &part, sha256));
            if landed.is_err() {
                let _ = disk::remove(&part);
            }
            landed
        })
    }

    /// Removes the source of a booked file if it still holds the bytes that were spooled.
    ///
    /// A client that overwrites it in the instant between look and removal loses that upload: no call of the kernel
    /// removes "this content" only. The daemon's copy is not touched by it.
    pub fn remove_source(&self, candidate: &Candidate) -> Result<Removal, Error> {
        match self.look(&candidate.name)? {
            None => return Ok(Removal::Gone),
            Some(now) if !now.same_bytes(candidate) => return Ok(Removal::Replaced),
            Some(_) => {}
        }
        failpoint!("source.looked");
        match disk::remove_from(&self.fd, &self.path, &candidate.name) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Removal::Gone),
            Err(errno) => return Err(Error::io(&self.path.join(&candidate.name), "remove", errno)),
        }
        failpoint!("source.unlinked");
        disk::sync_open_folder(&self.fd, &self.path).map_err(|errno| Error::not_durable(&self.path, errno))?;
        Ok(Removal::Removed)
    }

    /// Opens a regular file of this very folder and nothing else: no link anywhere, no wait on a pipe, no other mount.
    fn open_safely(&self, candidate: &Candidate, limit: u64) -> Result<File, Error> {
        let path = self.path.join(&candidate.name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let fd =
            rustix::fs::openat2(&self.fd, &candidate.name, flags, Mode::empty(), resolve).map_err(
                |errno| match errno {
                    Errno::LOOP => Error::NotAFile { path: escaped(&path), found: "a symbolic link" },
                    Errno::XDEV => Error::NotAFile { path: escaped(&path), found: "a way out of the folder" },
                    Errno::NXIO => Error::NotAFile { path: escaped(&path), found: "a socket or a device" },
                    errno => Error::io(&path, "open", errno),
                },
            )?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| Error::io(&path, "look at", errno))?;
        let opened = Candidate::of(candidate.name.clone(), &stat);
        if let Kind::NotAFile(found) = opened.kind {
            return Err(Error::NotAFile { path: escaped(&path), found });
        }
        if opened.size > limit {
            return Err(Error::TooBig { path: escaped(&path), limit, found: opened.size });
        }
        if opened != *candidate {
            return Err(Error::Changed { path: escaped(&path) });
        }
        Ok(File::from(fd))
    }

    /// Copies and hashes a source while it is read.
    fn copy_bytes(
        &self,
        candidate: &Candidate,
        source: File,
        part: &Path,
        follow: impl FnOnce(Follower),
    ) -> Result<(File, Digest, Doubt), Error> {
        let mut copy = create_new(part, 0o600)?;
        let (growing, follower) = Growing::begin(&copy).map_err(|source| Error::io(part, "share", source))?;
        follow(follower);
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; CHUNK_BYTES]);
        let from = self.path.join(&candidate.name);
        let doubt = self.read_bytes(candidate, source, |source| {
            let count = source.read(&mut buffer).map_err(|source| Error::io(&from, "read", source))?;
            copy.write_all(&buffer[..count]).map_err(|source| Error::io(part, "write the copy", source))?;
            growing.by(count);
            hasher.update(&buffer[..count]);
            Ok(count)
        })?;
        Ok((copy, hasher.finalize().into(), doubt))
    }

    /// Lets `next` read piece after piece, exactly the candidate's size, then looks at the source once more. What was read too
    /// early for that look to prove it comes back as a doubt.
    fn read_bytes(
        &self,
        candidate: &Candidate,
        source: File,
        mut next: impl FnMut(&mut Take<&File>) -> Result<usize, Error>,
    ) -> Result<Doubt, Error> {
        let from = self.path.join(&candidate.name);
        // One byte more than was announced: a file that grows is seen, one without end is not followed.
        let mut bounded = (&source).take(candidate.size + 1);
        let (mut size, mut doubtful, ticks) = (0, 0, ticks_of(&source));
        loop {
            let is_doubtful = tick_left(candidate, ticks) > Duration::ZERO;
            let count = next(&mut bounded)?;
            if count == 0 {
                break;
            }
            size += count as u64;
            doubtful = if is_doubtful { size } else { doubtful };
        }
        let stat = rustix::fs::fstat(&source).map_err(|errno| Error::io(&from, "look at", errno))?;
        if size != candidate.size || Candidate::of(candidate.name.clone(), &stat) != *candidate {
            return Err(Error::Changed { path: escaped(&from) });
        }
        Ok(Doubt { source, from, candidate: candidate.clone(), bytes: doubtful, ticks })
    }
}

/// The first bytes of a copy, read while another write would not have changed the time stamp of the source.
struct Doubt {
    source: File,
    from: PathBuf,
    candidate: Candidate,
    /// How many; mostly none.
    bytes: u64,
    /// After so long another write has another stamp.
    ticks: Duration,
}

impl Doubt {
    /// Once every write gets another stamp, the source must hold the same bytes still, and its stamp be the same after that.
    fn settle(&self, copy: &Bytes) -> Result<(), Error> {
        if self.bytes == 0 {
            return Ok(());
        }
        std::thread::sleep(tick_left(&self.candidate, self.ticks));
        let failed = |source| Error::io(&self.from, "read again", source);
        let mut there = vec![0; CHUNK_BYTES];
        for at in (0..self.bytes).step_by(CHUNK_BYTES) {
            let wanted = usize::try_from(self.bytes - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            match self.source.read_exact_at(&mut there[..wanted], at) {
                Ok(()) if copy.has(&there[..wanted], at).map_err(failed)? => {}
                Ok(()) => return Err(Error::Changed { path: escaped(&self.from) }),
                Err(source) if source.kind() == ErrorKind::UnexpectedEof => {
                    return Err(Error::Changed { path: escaped(&self.from) });
                }
                Err(source) => return Err(failed(source)),
            }
        }
        let stat = rustix::fs::fstat(&self.source).map_err(|errno| Error::io(&self.from, "look at", errno))?;
        if Candidate::of(self.candidate.name.clone(), &stat) != self.candidate {
            return Err(Error::Changed { path: escaped(&self.from) });
        }
        Ok(())
    }
}

fn write_new(part: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut copy = create_new(part, 0o600)?;
    uncached::write(&mut copy, bytes).map_err(|source| Error::io(part, "write the copy", source))?;
    failpoint!("arrive.copied");
    sync(&copy, part)
}

fn sync(copy: &File, part: &Path) -> Result<(), Error> {
    if !mutant!("copy-unsynced") {
        disk::sync(copy).map_err(|source| Error::not_durable(part, source))?;
    }
    failpoint!("arrive.synced");
    Ok(())
}

/// Proves what is in doubt of a copy that is on disk, then gives it its name.
fn land(copy: &Bytes, doubt: Doubt, part: &Path, sha256: Digest) -> Result<Spooled, Error> {
    let path = part.with_file_name(hex(&sha256));
    if let Err(changed) = doubt.settle(copy) {
        let _ = disk::remove(part);
        return Err(changed);
    }
    disk::rename(part, &path).map_err(|source| Error::io(&path, "rename the copy", source))?;
    if !mutant!("copy-name-unsynced") {
        path.parent().map_or(Ok(()), sync_folder)?;
    }
    failpoint!("arrive.landed");
    Ok(Spooled { path, sha256, size: doubt.candidate.size })
}

/// Removes halves of copies that a crash left, once they are a day old: a younger one may be a command's at work.
pub fn sweep_parts(spool: &Path, now: SystemTime) -> Result<usize, Error> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let unlisted = |source| Error::io(spool, "list the spool", source);
    let folder = match fs::read_dir(spool) {
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(0),
        folder => folder.map_err(unlisted)?,
    };
    let open = Folder::open(spool)?;
    let mut swept = 0;
    for entry in folder {
        let name = entry.map_err(unlisted)?.file_name();
        if !name.as_bytes().ends_with(PART) {
            continue;
        }
        let path = spool.join(&name);
        let stat = rustix::fs::statat(&open.fd, &name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| Error::io(&path, "look at", errno))?;
        if Candidate::of(name, &stat).settled(now, DAY_MS) {
            disk::remove(&path).map_err(|source| Error::io(&path, "remove", source))?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// How long until another write gets another time stamp.
fn tick_left(candidate: &Candidate, ticks: Duration) -> Duration {
    ticks.saturating_sub(candidate.quiet_for(disk::now()))
}

/// File systems stamp by ticks, and two writes within one tick look like one. Those of this machine have the tick of its
/// kernel, 1 to 10 ms; of any other one knows no more than that. Twice as long is surely another tick.
fn ticks_of(file: &File) -> Duration {
    const LONGEST: Duration = Duration::from_millis(20);
    // ext4, XFS, Btrfs, tmpfs, overlayfs.
    const OF_THIS_MACHINE: [i64; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630];
    let is_of_this_machine = rustix::fs::fstatfs(file).is_ok_and(|about| OF_THIS_MACHINE.contains(&about.f_type));
    if !is_of_this_machine {
        return LONGEST;
    }
    let tick = rustix::time::clock_getres(rustix::time::ClockId::RealtimeCoarse);
    let tick = Duration::try_from(tick).unwrap_or(LONGEST);
    (2 * tick).min(LONGEST)
}

/// A name for a copy in the making that no living process uses.
pub(super) fn part_path(spool: &Path) -> PathBuf {
    static COPIES: AtomicU64 = AtomicU64::new(0);
    let copy = COPIES.fetch_add(1, Ordering::Relaxed);
    spool.join(format!("{}-{copy}.part", std::process::id()))
}

pub(super) fn is_unfinished(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") || [b".tmp", PART, b".filepart".as_slice()].iter().any(|end| name.ends_with(end))
}

fn kind_of(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::NotAFile("a folder"),
        FileType::Symlink => Kind::NotAFile("a symbolic link"),
        FileType::Fifo => Kind::NotAFile("a pipe"),
        FileType::Socket => Kind::NotAFile("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Kind::NotAFile("a device"),
        FileType::Unknown => Kind::NotAFile("something unknown"),
    }
}

const PART: &[u8] = b".part";
