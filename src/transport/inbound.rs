//! Fetches a bank's return files into a private folder, where the daemon finds them as in any inbox.
//!
//! Level-triggered: every look compares what lies at the bank with what is known, and nothing remembers a name. A file is
//! copied while it is hashed, then the server is asked once more: what changed meanwhile, or is not as long as the
//! server says, is not taken.

use crate::transport::profile::Profile;
use crate::transport::remote::{Entry, EntryKind, Fault, Remote, RemotePath};
use crate::transport::{Digest, Error, create_new, disk, escaped, make_folder, sync_folder};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

/// Entries of one listing at most: an endless one is read no further.
pub const LISTED: usize = 10_000;

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// As it was listed.
    pub entry: Entry,
    /// Of its bytes.
    pub sha256: Digest,
}

/// Why something in a bank's folder is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// It is no regular file.
    NotAFile,
    /// Its name cannot be a file's of ours.
    Name,
    /// It is larger than the profile allows.
    TooBig,
    /// Its name is not that of a return file.
    NoReturn,
}

impl Odd {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Odd::NotAFile => "no regular file: left alone",
            Odd::Name => "a name with separators, control characters or beyond 200 bytes: left alone",
            Odd::TooBig => "larger than max_mib: left alone",
            Odd::NoReturn => "no name of a return file: left alone",
        }
    }
}

/// What is remembered from look to look: since when each name is unchanged. It only delays, it never decides.
#[derive(Debug, Default)]
pub struct Quiet {
    since: BTreeMap<Vec<u8>, (Entry, Instant)>,
}

impl Quiet {
    /// Those of a listing that were unchanged for the profile's quiet time.
    pub fn settled<'e>(&mut self, profile: &Profile, entries: &'e [Entry], now: Instant) -> Vec<&'e Entry> {
        let before = std::mem::take(&mut self.since);
        let mut settled = Vec::new();
        for entry in entries {
            let since = match before.get(&entry.name) {
                Some((known, since)) if known == entry => *since,
                _ => now,
            };
            self.since.insert(entry.name.clone(), (entry.clone(), since));
            if now.duration_since(since) >= profile.quiet {
                settled.push(entry);
            }
        }
        settled
    }
}

/// The files of a listing that may be return files, and what is odd. Unfinished uploads and markers are neither.
pub fn sort(profile: &Profile, entries: &[Entry]) -> (Vec<Entry>, Vec<(Entry, Odd)>) {
    let marked = |entry: &Entry, marker: &str| {
        let wanted = [&entry.name[..], marker.as_bytes()].concat();
        entries.iter().any(|other| other.name == wanted && other.kind == EntryKind::File)
    };
    let (mut files, mut odd) = (Vec::new(), Vec::new());
    for entry in entries {
        if super::folder::is_unfinished(OsStr::from_bytes(&entry.name)) {
            continue;
        }
        if let Some(marker) = &profile.marker
            && (entry.name.ends_with(marker.as_bytes()) || !marked(entry, marker))
        {
            continue;
        }
        match () {
            () if entry.kind != EntryKind::File => odd.push((entry.clone(), Odd::NotAFile)),
            () if !is_plain(&entry.name) => odd.push((entry.clone(), Odd::Name)),
            () if entry.size > profile.max_bytes => odd.push((entry.clone(), Odd::TooBig)),
            () => files.push(entry.clone()),
        }
    }
    (files, odd)
}

/// Copies a file into `folder` under its own name; `None` where it changed meanwhile, or the server contradicts itself.
///
/// A file of that name that is there already is replaced: it is an earlier state of the same name, and whatever was
/// booked of it lies in the archive.
pub fn fetch(
    remote: &mut dyn Remote,
    profile: &Profile,
    entry: &Entry,
    folder: &Path,
) -> Result<Option<Fetched>, Fault> {
    make_folder(folder)?;
    let name = OsStr::from_bytes(&entry.name);
    let mut hidden = OsStr::new(".").to_owned();
    hidden.push(name);
    hidden.push(".part");
    let part = folder.join(hidden);
    let copied = copy(remote, profile, entry, &part);
    let taken = match copied {
        Ok(Some(sha256)) => {
            let target = folder.join(name);
            disk::rename(&part, &target).map_err(|source| Error::io(&target, "rename the copy", source))?;
            failpoint!("fetch.named");
            sync_folder(folder)?;
            failpoint!("fetch.landed");
            return Ok(Some(Fetched { entry: entry.clone(), sha256 }));
        }
        other => other.map(|_| None),
    };
    // The next attempt replaces what may be left.
    let _ = disk::remove(&part);
    taken
}

fn copy(remote: &mut dyn Remote, profile: &Profile, entry: &Entry, part: &Path) -> Result<Option<Digest>, Fault> {
    let path = RemotePath::new(&profile.get, &entry.name);
    let mut copy = Copy { file: create_new(part, 0o600)?, hasher: Sha256::new() };
    failpoint!("fetch.part");
    let size = match remote.read(&path, profile.max_bytes, &mut copy) {
        Ok(size) => size,
        Err(Fault::Gone { .. }) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    failpoint!("fetch.copied");
    if size != entry.size || look_again(remote, profile, &path, entry)?.as_ref() != Some(entry) {
        return Ok(None);
    }
    failpoint!("fetch.looked");
    disk::sync(&copy.file).map_err(|source| Error::NotDurable { path: escaped(part), source })?;
    failpoint!("fetch.synced");
    Ok(Some(copy.hasher.finalize().into()))
}

/// The entry as it is now; by another listing where the server does not tell of single files.
pub fn look_again(
    remote: &mut dyn Remote,
    profile: &Profile,
    path: &RemotePath,
    entry: &Entry,
) -> Result<Option<Entry>, Fault> {
    match remote.stat(path) {
        Err(Fault::Refused { .. }) => {
            let listing = remote.list(&profile.get, LISTED)?;
            Ok(listing.entries.into_iter().find(|other| other.name == entry.name))
        }
        looked => looked,
    }
}

/// A name that can stand in a folder and in a message: text or GBK, no separators, no controls, not hidden.
fn is_plain(name: &[u8]) -> bool {
    let sound = |b: &u8| *b >= b' ' && *b != 0x7F && *b != b'/' && *b != b'\\';
    !name.is_empty() && name.len() <= 200 && !name.starts_with(b".") && name.iter().all(sound)
}

/// On this thread: with the server's own work two cores are busy, and a third piece of work slows the line.
struct Copy {
    file: File,
    hasher: Sha256,
}

impl Write for Copy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
