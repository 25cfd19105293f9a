//! The few calls by which files and names come to the disk and leave it. All that must outlive a power cut goes through
//! here, so that a simulation can forget what was not synced; in a program that ships they are the plain calls.

use rustix::fs::{AtFlags, CWD, RenameFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Makes a new file, as the options say; its bytes and its name are on the disk after [`sync`] and [`sync_folder`].
pub(crate) fn create(path: &Path, options: &OpenOptions) -> io::Result<File> {
    on_disk!(Create(path), options.open(path))
}

/// Brings the bytes of a file to the disk.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    on_disk!(Sync(file), file.sync_all())
}

/// Brings the names in a folder to the disk: without it a rename is forgotten when the power goes.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = File::open(path)?;
    on_disk!(SyncFolder(path), folder.sync_all())
}

/// As [`sync_folder`], of a folder that was opened as `path`.
pub(crate) fn sync_open_folder(folder: &OwnedFd, path: &Path) -> Result<(), Errno> {
    on_disk!(SyncFolder(path), rustix::fs::fsync(folder))
}

/// Gives a file another name; what had it before is no more.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    on_disk!(Rename(from, to), fs::rename(from, to))
}

/// Gives a file another name that nothing has yet.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    on_disk!(Rename(from, to), rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE))
}

/// Gives a file a second name that nothing has yet.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    on_disk!(Link(from, to), fs::hard_link(from, to))
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    on_disk!(Remove(path), fs::remove_file(path))
}

/// Removes a file of an open folder, which was opened as `path`.
pub(crate) fn remove_from(folder: &OwnedFd, path: &Path, name: &OsStr) -> Result<(), Errno> {
    on_disk!(Remove(&path.join(name)), rustix::fs::unlinkat(folder, name, AtFlags::empty()))
}

/// Makes a folder.
pub(crate) fn make_folder(path: &Path, builder: &DirBuilder) -> io::Result<()> {
    on_disk!(Folder(path), builder.create(path))
}

/// The clock by which files age: never a business date.
pub(crate) fn now() -> SystemTime {
    file_clock!()
}

/// Folders whose names this process has brought to the disk.
static SURE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn sure() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    SURE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process knows that the name of a folder is on the disk.
pub(crate) fn is_sure(path: &Path) -> bool {
    sure().contains(path)
}

/// The name of a folder is on the disk, and so are those above it.
pub(crate) fn note_sure(path: &Path) {
    sure().insert(path.to_owned());
}

/// What one process knew another does not.
#[cfg(feature = "failpoints")]
pub(crate) fn another_process() {
    sure().clear();
}
