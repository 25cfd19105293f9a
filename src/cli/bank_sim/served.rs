//! The two folders that a bank shows, on a real disk. A client sees nothing else of its root, and no way leads out.

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The answers of SFTP version 3 to what cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Eof,
    NoSuchFile,
    PermissionDenied,
    Failure,
    Unsupported,
}

/// What SFTP says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) accessed: u32,
    pub(super) modified: u32,
}

/// A name in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) attributes: Attributes,
}

/// How a client wants to open a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct How {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) append: bool,
    pub(super) create: bool,
    pub(super) truncate: bool,
    pub(super) exclusive: bool,
}

/// The served part of a bank's root.
#[derive(Debug)]
pub(super) struct Served {
    root: OwnedFd,
    upload: PathBuf,
    download: PathBuf,
}

impl Served {
    /// Makes the folders that are missing.
    pub(super) fn new(root: &Path, upload: &Path, download: &Path) -> io::Result<Served> {
        fs::create_dir_all(root.join(upload))?;
        fs::create_dir_all(root.join(download))?;
        let root = rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Served { root, upload: upload.to_owned(), download: download.to_owned() })
    }

    /// The absolute path as clients see it.
    pub(super) fn real_path(path: &str) -> String {
        format!("/{}", Served::below_root(path).display())
    }

    /// Where a path of a client leads, below the root; nothing beside the two folders is there.
    pub(super) fn place(&self, path: &str) -> Result<PathBuf, Code> {
        let place = Served::below_root(path);
        let shown = [&self.upload, &self.download];
        let is_shown = shown.iter().any(|folder| folder.starts_with(&place) || place.starts_with(folder));
        if is_shown { Ok(place) } else { Err(Code::NoSuchFile) }
    }

    /// Whether a place is a name in the folder of the returns, or that folder.
    pub(super) fn is_of_download(&self, place: &Path) -> bool {
        place.starts_with(&self.download)
    }

    /// The name of a file that lies where instruction files are put.
    pub(super) fn name_in_upload<'p>(&self, place: &'p Path) -> Option<&'p str> {
        let name = place.file_name().and_then(|name| name.to_str());
        name.filter(|_| place.parent() == Some(&self.upload))
    }

    /// What a folder has, sorted by name.
    pub(super) fn list(&self, place: &Path) -> Result<Vec<Entry>, Code> {
        let folder = self.open_at(place, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for found in Dir::read_from(&folder).map_err(code)? {
            let found = found.map_err(code)?;
            let name = found.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." || self.place(&place.join(&name).to_string_lossy()).is_err() {
                continue;
            }
            // Taken away since: not there.
            if let Ok(stat) = rustix::fs::statat(&folder, found.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                entries.push(Entry { name, attributes: attributes(&stat) });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// What is known of a file; a link is followed if it stays inside.
    pub(super) fn look_at(&self, place: &Path, follow: bool) -> Result<Attributes, Code> {
        let link = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        let file = self.open_at(place, OFlags::PATH | link)?;
        rustix::fs::fstat(&file).map(|stat| attributes(&stat)).map_err(code)
    }

    /// Opens a regular file.
    pub(super) fn open(&self, place: &Path, how: How) -> Result<File, Code> {
        if !self.may_change(place) {
            return Err(Code::PermissionDenied);
        }
        let file = File::from(self.open_at(place, how.flags() | OFlags::NONBLOCK)?);
        let is_file = file.metadata().map_err(|error| of_io(&error))?.is_file();
        if is_file { Ok(file) } else { Err(Code::Failure) }
    }

    /// Renames; a name that is taken is never given away.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), Code> {
        let (from_folder, from_name) = self.folder_and_name(from)?;
        let (to_folder, to_name) = self.folder_and_name(to)?;
        rustix::fs::renameat_with(&from_folder, from_name, &to_folder, to_name, RenameFlags::NOREPLACE).map_err(code)
    }

    /// Removes a file.
    pub(super) fn remove(&self, place: &Path) -> Result<(), Code> {
        let (folder, name) = self.folder_and_name(place)?;
        rustix::fs::unlinkat(&folder, name, AtFlags::empty()).map_err(code)
    }

    /// Figures of the file system, in the order of `statvfs@openssh.com`.
    pub(super) fn room(&self) -> Result<[u64; 11], Code> {
        let root = rustix::fs::openat(&self.root, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let found = rustix::fs::fstatvfs(root.map_err(code)?).map_err(code)?;
        let (blocks, files) =
            ([found.f_blocks, found.f_bfree, found.f_bavail], [found.f_files, found.f_ffree, found.f_favail]);
        Ok([
            found.f_bsize,
            found.f_frsize,
            blocks[0],
            blocks[1],
            blocks[2],
            files[0],
            files[1],
            files[2],
            0,
            0,
            found.f_namemax,
        ])
    }

    /// `..` above the root stays at the root, as in a chroot.
    fn below_root(path: &str) -> PathBuf {
        let mut place = PathBuf::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    place.pop();
                }
                name => place.push(name),
            }
        }
        place
    }

    fn may_change(&self, place: &Path) -> bool {
        [&self.upload, &self.download].iter().any(|folder| place.starts_with(folder) && place != **folder)
    }

    fn folder_and_name<'p>(&self, place: &'p Path) -> Result<(OwnedFd, &'p Path), Code> {
        let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else { return Err(Code::Failure) };
        if !self.may_change(place) {
            return Err(Code::PermissionDenied);
        }
        Ok((self.open_at(folder, OFlags::PATH | OFlags::DIRECTORY)?, Path::new(name)))
    }

    /// The kernel proves that nothing leads out of the root.
    fn open_at(&self, place: &Path, flags: OFlags) -> Result<OwnedFd, Code> {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o644) } else { Mode::empty() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, place, flags | OFlags::CLOEXEC, mode, resolve).map_err(code)
    }
}

impl How {
    fn flags(self) -> OFlags {
        let access = match (self.read, self.write || self.append) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        let wants = [
            (self.append, OFlags::APPEND),
            (self.create, OFlags::CREATE),
            (self.create && self.exclusive, OFlags::EXCL),
            (self.truncate, OFlags::TRUNC),
        ];
        wants.into_iter().filter(|(wanted, _)| *wanted).fold(access, |flags, (_, flag)| flags | flag)
    }
}

/// Times are told in 32 bits, as the protocol has them.
pub(super) fn attributes(stat: &Stat) -> Attributes {
    Attributes {
        size: stat.st_size as u64,
        mode: stat.st_mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        accessed: stat.st_atime as u32,
        modified: stat.st_mtime as u32,
    }
}

/// The answer to a failure of the file system.
pub(super) fn of_io(error: &io::Error) -> Code {
    error.raw_os_error().map_or(Code::Failure, |number| code(Errno::from_raw_os_error(number)))
}

fn code(errno: Errno) -> Code {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Code::NoSuchFile,
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP => Code::PermissionDenied,
        _ => Code::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn served(root: &Path) -> Served {
        Served::new(root, Path::new("upload"), Path::new("out/today")).unwrap()
    }

    #[test]
    fn only_the_two_folders_are_there() {
        let root = tempfile::tempdir().unwrap();
        let served = served(root.path());
        fs::write(root.path().join("misbehave"), "stall").unwrap();
        fs::create_dir(root.path().join("out/yesterday")).unwrap();
        let names = |place: &str| {
            let entries = served.list(&served.place(place)?)?;
            Ok(entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>())
        };
        assert_eq!(names("/"), Ok(vec!["out".to_owned(), "upload".to_owned()]));
        assert_eq!(names("out/"), Ok(vec!["today".to_owned()]));
        assert_eq!(names("/out/yesterday"), Err(Code::NoSuchFile));
        assert_eq!(served.place("/misbehave"), Err(Code::NoSuchFile));
        assert_eq!(served.place("../../upload/../upload/x").unwrap(), Path::new("upload/x"));
        assert_eq!(Served::real_path("./upload/../../x"), "/x");
        assert_eq!(served.remove(Path::new("upload")), Err(Code::PermissionDenied));
    }

    #[test]
    fn no_link_leads_out() {
        let root = tempfile::tempdir().unwrap();
        let served = served(root.path());
        symlink("/etc", root.path().join("upload/etc")).unwrap();
        symlink("/etc/passwd", root.path().join("upload/passwd")).unwrap();
        let read = How { read: true, ..How::default() };
        for path in ["/upload/etc/passwd", "/upload/passwd"] {
            let place = served.place(path).unwrap();
            assert_eq!(served.open(&place, read).unwrap_err(), Code::PermissionDenied);
            assert_eq!(served.look_at(&place, true), Err(Code::PermissionDenied));
        }
        assert!(served.look_at(Path::new("upload/passwd"), false).is_ok());
    }

    #[test]
    fn nothing_is_overwritten_by_renaming_or_by_exclusive_making() {
        let root = tempfile::tempdir().unwrap();
        let served = served(root.path());
        let make = How { write: true, create: true, exclusive: true, ..How::default() };
        for name in ["upload/a", "upload/b"] {
            served.open(Path::new(name), make).unwrap();
        }
        assert_eq!(served.open(Path::new("upload/a"), make).unwrap_err(), Code::Failure);
        assert_eq!(served.rename(Path::new("upload/a"), Path::new("upload/b")), Err(Code::Failure));
        served.remove(Path::new("upload/b")).unwrap();
        assert_eq!(served.rename(Path::new("upload/a"), Path::new("upload/b")), Ok(()));
        assert_eq!(served.remove(Path::new("upload/a")), Err(Code::NoSuchFile));
    }
}
