//! How bytes come in and go out. Never looks inside a file.
//!
//! Everything that lies in a drop folder is hostile until it is a private copy: its name, its type, its size, and the
//! handle through which its sender may still be writing. [`folder`] brings files in as copies that others
//! may follow ([`copying`]), [`place`] puts files where they stay. A bank's folders are a [`remote::Remote`], [`local`] or over [`sftp`]: [`outbound`] delivers to it, [`inbound`]
//! fetches from it. All calls block: the daemon makes them outside its async tasks.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use sha2::{Digest as _, Sha256};

pub mod behind;
pub mod copying;
pub(crate) mod disk;
pub mod folder;
pub mod inbound;
pub mod local;
pub mod offered;
pub mod outbound;
pub mod place;
pub mod profile;
pub mod remote;
pub mod sftp;
mod uncached;
pub mod watchdog;

/// A SHA-256: the identity of a file's bytes.
pub type Digest = [u8; 32];

/// What went wrong on our side, or with a folder, while bytes were moved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that is not a file lies under the name. It is never opened, followed or removed.
    #[error("{path}: expected a regular file, found {found}; it was left alone: whoever put it there must remove it")]
    NotAFile {
        /// Where, escaped.
        path: String,
        /// What lies there.
        found: &'static str,
    },
    /// Larger than the folder's limit (bytes).
    #[error("{path}: expected at most {limit} bytes, found {found}; ask the sender to split it, or raise the limit")]
    TooBig {
        /// Where, escaped.
        path: String,
        /// The most that is taken, in bytes.
        limit: u64,
        /// The size found, in bytes.
        found: u64,
    },
    /// The sender was still writing.
    #[error(
        "{path}: expected an unchanged file, found that it was written while it was copied; it is tried again later"
    )]
    Changed {
        /// Where, escaped.
        path: String,
    },
    /// A file that its sender took away after the scan, or a folder that is missing.
    #[error("{path}: cannot {doing}: found nothing there; make a missing folder again, a missing file needs nothing")]
    Gone {
        /// Where, escaped.
        path: String,
        /// What we wanted to do.
        doing: &'static str,
    },
    /// The sender, or the set-up, took our access away.
    #[error("{path}: cannot {doing}: expected access, found permission denied; check owner, group and mode")]
    Denied {
        /// Where, escaped.
        path: String,
        /// What we wanted to do.
        doing: &'static str,
    },
    /// Our own configuration or layout gave a name that is no plain file name.
    #[error("{path}: expected a plain file name of at most 200 bytes; correct the naming of the layout")]
    BadName {
        /// The name, escaped.
        path: String,
    },
    /// The name is taken by other bytes. Nothing is ever overwritten.
    #[error(
        "{path}: expected sha256 {expected} or nothing, found other bytes with sha256 {found}; \
         nothing was overwritten: compare the two, then move the one that is there away"
    )]
    Taken {
        /// Where, escaped.
        path: String,
        /// The digest of our bytes, in hex.
        expected: String,
        /// The digest of the bytes that are there, in hex.
        found: String,
    },
    /// A secret that others may read.
    #[error("{path}: expected a secret that only its owner may read, found mode {mode:03o}; chmod 600 it")]
    Exposed {
        /// Where, escaped.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// systemd handed no such credential over.
    #[error("credential {name}: not there; add LoadCredential={name}:/path to the unit")]
    NoCredential {
        /// Its name.
        name: String,
    },
    /// Another process is the daemon of this state folder.
    #[error("{path}: expected no other daemon, found process {holder}; stop it, or leave the work to it")]
    Held {
        /// The lock file.
        path: String,
        /// The process id written in it.
        holder: String,
    },
    /// The kernel could not promise that bytes are on disk. What was written is in doubt: the process must end.
    #[error("{path}: cannot bring it to disk: {source}; check the disk, then start again: nothing was acknowledged")]
    NotDurable {
        /// Where, escaped.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Anything else the kernel refused.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// Where, escaped.
        path: String,
        /// What we wanted to do.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody doing something.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Changed { .. } | Error::Gone { .. } | Error::Held { .. } => true,
            Error::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::Interrupted
                    | io::ErrorKind::WouldBlock
                    | io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::StaleNetworkFileHandle
                    | io::ErrorKind::TimedOut
            ),
            _ => false,
        }
    }

    /// What went wrong, without the path: names of files are the sender's words, and may say who somebody is.
    pub fn without_path(&self) -> String {
        match self {
            Error::NotAFile { found, .. } => format!("expected a regular file, found {found}"),
            Error::TooBig { limit, found, .. } => format!("expected at most {limit} bytes, found {found}"),
            Error::Changed { .. } => "it was written while it was copied".to_owned(),
            Error::Gone { doing, .. } => format!("cannot {doing}: found nothing there"),
            Error::Denied { doing, .. } => format!("cannot {doing}: permission denied; check owner, group and mode"),
            Error::BadName { .. } => "expected a plain file name".to_owned(),
            Error::Taken { .. } => "other bytes lie under the name already".to_owned(),
            Error::Exposed { mode, .. } => format!("expected mode 600, found {mode:03o}"),
            Error::NoCredential { .. } => "systemd handed no such credential over".to_owned(),
            Error::Held { holder, .. } => format!("process {holder} has it"),
            Error::NotDurable { source, .. } => format!("cannot bring it to disk: {source}"),
            Error::Io { doing, source, .. } => format!("cannot {doing}: {source}"),
        }
    }

    /// No room is left.
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Error::Io { source, .. } | Error::NotDurable { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// An answer of the kernel, told apart by what can be done about it.
    pub(crate) fn io(path: &Path, doing: &'static str, source: impl Into<io::Error>) -> Error {
        let source = source.into();
        let path = escaped(path);
        match source.kind() {
            io::ErrorKind::NotFound => Error::Gone { path, doing },
            io::ErrorKind::PermissionDenied => Error::Denied { path, doing },
            _ => Error::Io { path, doing, source },
        }
    }

    fn not_durable(path: &Path, source: impl Into<io::Error>) -> Error {
        Error::NotDurable { path: escaped(path), source: source.into() }
    }
}

/// A name as it may be shown: letters (any script), digits and ASCII signs as they are, all else escaped, so that
/// neither a line break nor a change of writing direction nor a broken character reaches a log or a screen.
pub fn escaped(name: impl AsRef<OsStr>) -> String {
    let mut text = String::new();
    for chunk in name.as_ref().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                ' '..='~' => text.push(c),
                c if c.is_alphanumeric() => text.push(c),
                c => text.extend(c.escape_unicode()),
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02X}").expect("a String takes any text");
        }
    }
    text
}

/// Lower-case hex, as digests are written everywhere.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

/// Reads what [`hex`] wrote of a digest.
pub fn unhex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if text.len() != 2 * digest.len() || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// The SHA-256 of bytes in memory.
pub fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// `state/daemon.lock`: held by the one process that claims and sends. Released when dropped, and by any kind of death.
#[derive(Debug)]
pub struct Lock {
    _held: File,
}

impl Lock {
    /// Takes the lock, or says at once who has it ([`Error::Held`]).
    pub fn acquire(state: &Path) -> Result<Lock, Error> {
        let path = state.join("daemon.lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| Error::io(&path, "open the lock", source))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::Held { path: escaped(&path), holder: written_in(&mut file) });
            }
            Err(errno) => return Err(Error::io(&path, "lock", errno)),
        }
        let pid = std::process::id().to_string();
        file.set_len(0)
            .and_then(|()| file.write_all_at(pid.as_bytes(), 0))
            .map_err(|source| Error::io(&path, "write the process id", source))?;
        Ok(Lock { _held: file })
    }
}

/// The process id in a lock file that somebody else holds: for the message only.
fn written_in(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(20).read_to_string(&mut text) {
        Ok(count) if count > 0 => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Bytes that the file system of `path` still has for us.
pub fn free_bytes(path: &Path) -> Result<u64, Error> {
    let figures = rustix::fs::statvfs(path).map_err(|errno| Error::io(path, "ask for free space", errno))?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

/// Writes a new private file and brings it to disk; an older one of that name, left by a crash, is replaced.
pub(crate) fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Error> {
    let mut file = create_new(path, mode)?;
    file.write_all(bytes).map_err(|source| Error::io(path, "write", source))?;
    disk::sync(&file).map_err(|source| Error::not_durable(path, source))
}

fn create_new(path: &Path, mode: u32) -> Result<File, Error> {
    if let Err(source) = disk::remove(path)
        && source.kind() != io::ErrorKind::NotFound
    {
        return Err(Error::io(path, "remove what a crash left", source));
    }
    let created = disk::create(path, File::options().read(true).write(true).create_new(true).mode(mode));
    created.map_err(|source| Error::io(path, "create", source))
}

/// Brings a folder's names to disk: without it a rename is forgotten when the power goes.
pub(crate) fn sync_folder(path: &Path) -> Result<(), Error> {
    disk::sync_folder(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Error::io(path, "open the folder", source),
        _ => Error::not_durable(path, source),
    })
}

/// Makes a folder of our own and its missing parents, each one durable.
///
/// One that is there already may be the work of a process that died before its name was on the disk: what this process
/// sees for the first time it brings there.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    make_folder_of_mode(path, 0o700)
}

/// As [`make_folder`], a folder that others read as far as the umask lets them.
pub(crate) fn make_shared_folder(path: &Path) -> Result<(), Error> {
    make_folder_of_mode(path, 0o777)
}

fn make_folder_of_mode(path: &Path, mode: u32) -> Result<(), Error> {
    let is_there = path.is_dir();
    if is_there && disk::is_sure(path) {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    // Those above one that is there were on the disk before it was made.
    if !is_there {
        make_folder_of_mode(&parent, mode)?;
        match disk::make_folder(path, fs::DirBuilder::new().mode(mode)) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io(path, "make the folder", source));
            }
            _ => {}
        }
    }
    if !is_there || !mutant!("folder-unsynced") {
        sync_folder(&parent)?;
    }
    disk::note_sure(path);
    Ok(())
}

/// The digest of a file of our own; `None` where there is none.
pub fn digest_of(path: &Path) -> Result<Option<Digest>, Error> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = match File::options().read(true).custom_flags(flags.bits() as i32).open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::io(path, "read back", source)),
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let count = file.read(&mut buffer).map_err(|source| Error::io(path, "read back", source))?;
        if count == 0 {
            return Ok(Some(hasher.finalize().into()));
        }
        hasher.update(&buffer[..count]);
    }
}

/// Copies a file of our own to a new place, with its mode, and brings the copy to disk; gives its digest and size.
pub fn copy_kept(from: &Path, to: &Path) -> Result<(Digest, u64), Error> {
    let mut source = File::options()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(from)
        .map_err(|source| Error::io(from, "read", source))?;
    let mode = source.metadata().map_err(|source| Error::io(from, "look at", source))?.permissions();
    let mut copy = create_new(to, 0o600)?;
    let (mut hasher, mut buffer, mut size) = (Sha256::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        let count = source.read(&mut buffer).map_err(|source| Error::io(from, "read", source))?;
        if count == 0 {
            break;
        }
        copy.write_all(&buffer[..count]).map_err(|source| Error::io(to, "write the copy", source))?;
        hasher.update(&buffer[..count]);
        size += count as u64;
    }
    copy.set_permissions(mode).map_err(|source| Error::io(to, "set the mode of", source))?;
    disk::sync(&copy).map_err(|source| Error::not_durable(to, source))?;
    Ok((hasher.finalize().into(), size))
}

/// Brings a file that somebody else wrote, and its name, to disk.
pub fn make_durable(path: &Path) -> Result<(), Error> {
    let file = File::open(path).map_err(|source| Error::io(path, "open", source))?;
    disk::sync(&file).map_err(|source| Error::not_durable(path, source))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_so_that_they_cannot_lie() {
        assert_eq!(escaped("名单 2018.csv"), "名单 2018.csv");
        assert_eq!(escaped("a\nb\u{202e}c\\d"), "a\\u{a}b\\u{202e}c\\\\d");
        assert_eq!(escaped(OsStr::from_bytes(b"\xC3\xFB.txt")), "\\xC3\\xFB.txt");
    }

    #[test]
    fn digests_are_written_in_lower_case_hex() {
        assert!(hex(&sha256(b"")).starts_with("e3b0c44298fc1c14"));
    }

    #[test]
    fn the_lock_names_its_holder_and_dies_with_it() {
        let state = tempfile::tempdir().unwrap();
        let lock = Lock::acquire(state.path()).unwrap();
        let refused = Lock::acquire(state.path()).unwrap_err();
        assert!(refused.is_retryable());
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(lock);
        Lock::acquire(state.path()).unwrap();
    }

    #[test]
    fn free_space_is_known() {
        assert!(free_bytes(Path::new("/tmp")).unwrap() > 0);
        assert!(matches!(free_bytes(Path::new("/nowhere")), Err(Error::Gone { .. })));
    }
}
