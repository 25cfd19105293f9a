//! Files that stay: the archive, the quarantine, and what is published for others.
//!
//! Every call may be made again after a crash and finds its own work done. Nothing is ever overwritten.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::domain::calendar::Date;

use super::folder::Spooled;
use super::{Digest, Error, digest_of, disk, escaped, hex, make_folder, sha256, sync_folder, write_new};

/// How a published file was seen to be there: the evidence that delivery states need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Written now, and size and digest read back under the final name.
    ReadBack,
    /// The same bytes were there before: an earlier call did it.
    AlreadyThere,
    /// The rename succeeded, but the other side took the file away before it could be read back.
    TakenAway,
}

/// Moves a spooled file to `archive/<yyyy>/<mm>/<sha256>-<name>`, read-only; gives the new place.
///
/// Finish one file before spooling the same bytes again: both copies would share one place in the spool.
pub fn archive(spooled: &Spooled, state: &Path, date: Date, name: &OsStr) -> Result<PathBuf, Error> {
    keep(spooled, &state.join("archive"), date, name)
}

/// Moves a spooled file to `quarantine/<yyyy>/<mm>/<sha256>-<name>`, read-only; gives the new place.
pub fn quarantine(spooled: &Spooled, state: &Path, date: Date, name: &OsStr) -> Result<PathBuf, Error> {
    keep(spooled, &state.join("quarantine"), date, name)
}

/// Moves a spooled file to the place below `archive` or `quarantine` that was stored for it before a crash.
pub fn put_back(spooled: &Spooled, state: &Path, root: &str, place: &str) -> Result<(), Error> {
    let target = state.join(root).join(place);
    match target.parent() {
        Some(folder) => keep_at(spooled, folder, &target).map(|_| ()),
        None => Err(Error::BadName { path: escaped(place) }),
    }
}

/// Puts bytes under `name` into a folder that others read: they see the whole file or none.
///
/// Written under `.<name>.tmp`, brought to disk, renamed without overwriting, read back. The same bytes under that name
/// are [`Published::AlreadyThere`]; other bytes are [`Error::Taken`]: stop, and let a person look.
pub fn publish(folder: &Path, name: &OsStr, bytes: &[u8]) -> Result<Published, Error> {
    if !is_plain(name) {
        return Err(Error::BadName { path: escaped(name) });
    }
    let target = folder.join(name);
    let expected = sha256(bytes);
    if found(&target, &expected)? {
        // A crash may have come between the rename and this.
        sync_folder(folder)?;
        return Ok(Published::AlreadyThere);
    }
    let mut hidden = OsStr::new(".").to_owned();
    hidden.push(name);
    hidden.push(".tmp");
    let hidden = folder.join(hidden);
    // Readable for the group and others as far as the umask lets it: the other side must be able to fetch it.
    write_new(&hidden, 0o644, bytes)?;
    failpoint!("receipt.written");
    match disk::rename_new(&hidden, &target) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            disk::remove(&hidden).map_err(|source| Error::io(&hidden, "remove", source))?;
            let there = found(&target, &expected)?;
            return if there { Ok(Published::AlreadyThere) } else { Err(Error::Changed { path: escaped(&target) }) };
        }
        Err(errno) => return Err(Error::io(&target, "rename without overwriting", errno)),
    }
    failpoint!("receipt.renamed");
    if !mutant!("receipt-unsynced") {
        sync_folder(folder)?;
    }
    Ok(if found(&target, &expected)? { Published::ReadBack } else { Published::TakenAway })
}

/// A name with nothing but letters (any script), digits and `.-_`, at most 120 bytes: fit for a path of our own.
pub fn sanitised(name: &OsStr) -> String {
    let mut clean = String::new();
    for c in name.to_string_lossy().chars() {
        let c = if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
        if clean.len() + c.len_utf8() > 120 {
            break;
        }
        clean.push(c);
    }
    clean
}

/// The digest stands in the name, so two files share a place only if they are one.
fn keep(spooled: &Spooled, root: &Path, date: Date, name: &OsStr) -> Result<PathBuf, Error> {
    let folder = root.join(format!("{:04}", date.year())).join(format!("{:02}", date.month()));
    let target = folder.join(format!("{}-{}", hex(&spooled.sha256), sanitised(name)));
    keep_at(spooled, &folder, &target)
}

fn keep_at(spooled: &Spooled, folder: &Path, target: &Path) -> Result<PathBuf, Error> {
    make_folder(folder)?;
    if found(target, &spooled.sha256)? {
        sync_folder(folder)?;
        match disk::remove(&spooled.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(&spooled.path, "remove", source));
            }
            _ => return Ok(target.to_owned()),
        }
    }
    read_only(&spooled.path)?;
    failpoint!("keep.read-only");
    // Not renamed: the spool may be brought to disk by somebody else's copy before this folder is, and then it is nowhere.
    disk::link(&spooled.path, target).map_err(|source| Error::io(&spooled.path, "move to where it is kept", source))?;
    failpoint!("keep.renamed");
    if !mutant!("archive-unsynced") {
        sync_folder(folder)?;
    }
    match disk::remove(&spooled.path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io(&spooled.path, "remove", source));
        }
        _ => {}
    }
    if let Some(spool) = spooled.path.parent() {
        sync_folder(spool)?;
    }
    Ok(target.to_owned())
}

fn read_only(path: &Path) -> Result<(), Error> {
    let set = |file: File| file.set_permissions(fs::Permissions::from_mode(0o400)).and_then(|()| disk::sync(&file));
    File::open(path).and_then(set).map_err(|source| Error::io(path, "make read-only", source))
}

/// Whether exactly these bytes lie there; other bytes are an error, nothing is `false`.
fn found(path: &Path, expected: &Digest) -> Result<bool, Error> {
    match digest_of(path)? {
        None => Ok(false),
        Some(digest) if digest == *expected => Ok(true),
        Some(digest) => Err(Error::Taken { path: escaped(path), expected: hex(expected), found: hex(&digest) }),
    }
}

fn is_plain(name: &OsStr) -> bool {
    let name = name.as_bytes();
    !name.is_empty() && name.len() <= 200 && !name.starts_with(b".") && !name.contains(&b'/') && !name.contains(&0)
}
