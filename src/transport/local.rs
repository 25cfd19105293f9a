//! A folder of our own drop tree, which OpenSSH or nobody serves, asked in the same words as a bank's own server.

use crate::transport::remote::{CREATING, Entry, EntryKind, Fault, Listing, Remote, RemotePath};
use crate::transport::{CHUNK_BYTES, Error, disk, escaped, sync_folder};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder on this machine; paths are below it.
#[derive(Clone, Debug)]
pub struct LocalRemote {
    root: PathBuf,
}

impl LocalRemote {
    /// The folder must be there: a missing one is no doubt about anything that was sent.
    pub fn open(root: &Path) -> Result<LocalRemote, Fault> {
        match fs::metadata(root) {
            Ok(about) if about.is_dir() => Ok(LocalRemote { root: root.to_owned() }),
            Ok(_) => Err(Error::NotAFile { path: escaped(root), found: "no folder" }.into()),
            Err(source) => Err(Error::io(root, "open the folder", source).into()),
        }
    }

    fn place(&self, path: &RemotePath) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.bytes()))
    }

    fn write(&self, mut file: File, target: &Path, bytes: &mut dyn Read) -> Result<(), Fault> {
        io::copy(bytes, &mut file).map_err(|source| Error::io(target, "write", source))?;
        disk::sync(&file).map_err(|source| Error::not_durable(target, source))?;
        Ok(())
    }
}

impl Remote for LocalRemote {
    fn list(&mut self, folder: &str, limit: usize) -> Result<Listing, Fault> {
        let path = self.root.join(folder);
        let failed = |source| Error::io(&path, "list the folder", source);
        let mut listing = Listing::default();
        for item in fs::read_dir(&path).map_err(failed)? {
            if listing.entries.len() == limit {
                listing.more = true;
                break;
            }
            let item = item.map_err(failed)?;
            match item.metadata() {
                Ok(about) => listing.entries.push(entry(&item.file_name(), &about)),
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed(source).into()),
            }
        }
        listing.entries.sort();
        Ok(listing)
    }

    fn stat(&mut self, path: &RemotePath) -> Result<Option<Entry>, Fault> {
        let place = self.place(path);
        match fs::symlink_metadata(&place) {
            Ok(about) => Ok(Some(entry(place.file_name().unwrap_or_default(), &about))),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::io(&place, "look at", source).into()),
        }
    }

    fn read(&mut self, path: &RemotePath, limit: u64, sink: &mut dyn Write) -> Result<u64, Fault> {
        let place = self.place(path);
        let failed = |source| Error::io(&place, "read back", source);
        let mut file = match File::options().read(true).custom_flags(LOOKS_ONLY).open(&place) {
            Ok(file) => file.take(limit + 1),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Err(Fault::Gone { path: path.to_string() }),
            Err(source) => return Err(failed(source).into()),
        };
        let mut slice = vec![0; CHUNK_BYTES];
        let mut size = 0;
        loop {
            let count = file.read(&mut slice).map_err(failed)?;
            if count == 0 {
                return Ok(size);
            }
            size += count as u64;
            if size > limit {
                return Err(Fault::TooBig { path: path.to_string(), limit, found: size });
            }
            sink.write_all(&slice[..count]).map_err(failed)?;
        }
    }

    fn create(&mut self, path: &RemotePath, bytes: &mut dyn Read) -> Result<(), Fault> {
        let place = self.place(path);
        // Readable for the group and others as far as the umask lets it: the other side must be able to fetch it.
        match disk::create(&place, File::options().write(true).create_new(true).mode(0o644)) {
            Ok(file) => {
                failpoint!("put.created");
                self.write(file, &place, bytes)
            }
            Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => Err(refused(path, CREATING, "it exists")),
            Err(source) => Err(Error::io(&place, "create", source).into()),
        }
    }

    fn rename(&mut self, from: &RemotePath, to: &RemotePath) -> Result<(), Fault> {
        let (source, target) = (self.place(from), self.place(to));
        match disk::rename_new(&source, &target) {
            Ok(()) => {
                failpoint!("name.given");
                if mutant!("name-unsynced") {
                    return Ok(());
                }
                Ok(sync_folder(target.parent().unwrap_or(&self.root))?)
            }
            Err(Errno::EXIST) => Err(refused(to, "rename", "the name is taken")),
            Err(Errno::NOENT) => Err(Fault::Gone { path: from.to_string() }),
            Err(errno) => Err(Error::io(&target, "rename without overwriting", errno).into()),
        }
    }

    fn remove(&mut self, path: &RemotePath) -> Result<(), Fault> {
        let place = self.place(path);
        match disk::remove(&place) {
            Ok(()) => Ok(sync_folder(place.parent().unwrap_or(&self.root))?),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Err(Fault::Gone { path: path.to_string() }),
            Err(source) => Err(Error::io(&place, "remove", source).into()),
        }
    }

    fn make_durable(&mut self, path: &RemotePath) -> Result<(), Fault> {
        let place = self.place(path);
        match File::options().read(true).custom_flags(LOOKS_ONLY).open(&place) {
            Ok(file) => disk::sync(&file).map_err(|source| Error::not_durable(&place, source))?,
            // The bank has it by now.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::io(&place, "open", source).into()),
        }
        Ok(sync_folder(place.parent().unwrap_or(&self.root))?)
    }
}

/// No link is followed, no pipe is waited for.
const LOOKS_ONLY: i32 = (rustix::fs::OFlags::NOFOLLOW.bits() | rustix::fs::OFlags::NONBLOCK.bits()) as i32;

fn refused(path: &RemotePath, doing: &'static str, answer: &str) -> Fault {
    Fault::Refused { path: path.to_string(), doing, answer: answer.to_owned() }
}

fn entry(name: &OsStr, about: &Metadata) -> Entry {
    let kind = if about.is_file() { EntryKind::File } else { EntryKind::NotAFile };
    Entry { name: name.as_bytes().to_vec(), kind, size: about.len(), mtime: u64::try_from(about.mtime()).unwrap_or(0) }
}
