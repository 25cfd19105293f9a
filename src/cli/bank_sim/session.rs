//! One SFTP session of one user: what is asked, what is done about it, and where the bank misbehaves.

use crate::cli::bank_sim::bank::Bank;
use crate::cli::bank_sim::misbehave::Kind;
use crate::cli::bank_sim::odd;
use crate::cli::bank_sim::served::{Attributes, Code, Entry, How, Served, attributes, of_io};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Entries in one answer to a listing.
const PAGE: usize = 100;

/// More is never read at once, whatever the client asks for.
const LONGEST_READ: u32 = 256 * 1_024;

/// 1 TiB.
const GIANT: u64 = 1 << 40;

/// Of a mode: what kind of thing it is.
const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// Why an operation has no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The client is told.
    Says(Code),
    /// The connection is cut.
    Cuts,
    /// There is no answer, now or later.
    Silent,
}

impl From<Code> for Trouble {
    fn from(code: Code) -> Trouble {
        Trouble::Says(code)
    }
}

/// What came of an operation.
pub(super) type Done<T> = Result<T, Trouble>;

/// Handles are told to the client by their number.
pub(super) struct Session {
    bank: Arc<Bank>,
    handles: Vec<Option<Handle>>,
    uploaded: u64,
    downloaded: u64,
}

enum Handle {
    File(Open),
    Listing { entries: std::vec::IntoIter<Entry>, endless: bool, made: u64 },
}

struct Open {
    file: File,
    place: PathBuf,
    how: How,
    written: u64,
}

/// Which sizes are told wrong.
struct Lies {
    giant: bool,
    wrong: bool,
}

impl Session {
    pub(super) fn new(bank: Arc<Bank>) -> Session {
        Session { bank, handles: Vec::new(), uploaded: 0, downloaded: 0 }
    }

    /// What comes before every operation.
    pub(super) fn begin(&self) -> Done<()> {
        if self.bank.manners.does(Kind::Stall) { Err(Trouble::Silent) } else { Ok(()) }
    }

    /// How long so many bytes take.
    pub(super) fn pause(&self, bytes: u64) -> Duration {
        let Some(speed) = self.bank.manners.number(Kind::Slow) else { return Duration::ZERO };
        self.bank.manners.does(Kind::Slow);
        Duration::from_micros(bytes * 1_000_000 / speed.max(1))
    }

    /// Whether `fsync@openssh.com` is offered.
    pub(super) fn has_fsync(&self) -> bool {
        self.bank.manners.number(Kind::NoFsync).is_none()
    }

    pub(super) fn real_path(path: &str) -> String {
        Served::real_path(path)
    }

    pub(super) fn list(&mut self, path: &str) -> Done<u32> {
        self.may_look()?;
        let place = self.bank.served.place(path)?;
        let is_returns = place == self.bank.setup.download;
        if is_returns {
            self.bank.desk().listed();
        }
        let mut entries = self.bank.served.list(&place)?;
        let lies = self.lies(&place);
        entries.iter_mut().for_each(|entry| lies.tell(&mut entry.attributes));
        if is_returns && self.bank.manners.does(Kind::OddNames) {
            entries.extend(odd::entries(self.bank.setup.layout));
        }
        let endless = is_returns && self.bank.manners.does(Kind::EndlessListing);
        Ok(self.keep(Handle::Listing { entries: entries.into_iter(), endless, made: 0 }))
    }

    /// The next entries of a listing; none at its end.
    pub(super) fn next_entries(&mut self, handle: u32) -> Done<Vec<Entry>> {
        let Some(Handle::Listing { entries, endless, made }) = self.handle(handle) else { return Err(failure()) };
        let page: Vec<Entry> = entries.by_ref().take(PAGE).collect();
        if page.is_empty() && *endless {
            *made += PAGE as u64;
            return Ok((*made - PAGE as u64..*made).map(odd::one_of_many).collect());
        }
        if page.is_empty() { Err(Code::Eof.into()) } else { Ok(page) }
    }

    pub(super) fn look_at(&self, path: &str, follow: bool) -> Done<Attributes> {
        self.may_look_closely()?;
        let place = self.bank.served.place(path)?;
        let mut found = self.bank.served.look_at(&place, follow)?;
        self.lies(&place).tell(&mut found);
        Ok(found)
    }

    pub(super) fn look_at_handle(&mut self, handle: u32) -> Done<Attributes> {
        self.may_look_closely()?;
        let Some(Handle::File(open)) = self.handle(handle) else { return Err(failure()) };
        let place = open.place.clone();
        let mut found = attributes(&rustix::fs::fstat(&open.file).map_err(|errno| of_io(&errno.into()))?);
        self.lies(&place).tell(&mut found);
        Ok(found)
    }

    pub(super) fn open(&mut self, path: &str, how: How) -> Done<u32> {
        if how.read {
            self.may_look()?;
        }
        let place = self.bank.served.place(path)?;
        let file = self.bank.served.open(&place, how)?;
        Ok(self.keep(Handle::File(Open { file, place, how, written: 0 })))
    }

    pub(super) fn read(&mut self, handle: u32, offset: u64, length: u32) -> Done<Vec<u8>> {
        self.may_look()?;
        let limit = self.bank.manners.number(Kind::DropDownloadAfter);
        let line = limit.map(|limit| limit.saturating_sub(self.downloaded));
        if line == Some(0) && self.bank.manners.does(Kind::DropDownloadAfter) {
            return Err(Trouble::Cuts);
        }
        let Some(Handle::File(open)) = self.handle(handle) else { return Err(failure()) };
        let longest = u64::from(length.min(LONGEST_READ)).min(line.unwrap_or(u64::MAX));
        let mut bytes = vec![0; longest as usize];
        let count = open.file.read_at(&mut bytes, offset).map_err(|error| of_io(&error))?;
        if count == 0 && length > 0 {
            return Err(Code::Eof.into());
        }
        bytes.truncate(count);
        self.downloaded += count as u64;
        Ok(bytes)
    }

    pub(super) fn write(&mut self, handle: u32, offset: u64, bytes: &[u8]) -> Done<()> {
        let bank = self.bank.clone();
        let uploaded = self.uploaded;
        let Some(Handle::File(open)) = self.handle(handle) else { return Err(failure()) };
        let length = bytes.len() as u64;
        let room = bank.manners.number(Kind::NoSpace).map(|limit| limit.saturating_sub(open.written));
        let line = bank.manners.number(Kind::DropAfter).map(|limit| limit.saturating_sub(uploaded));
        let fits = room.unwrap_or(length).min(line.unwrap_or(length)).min(length);
        open.put(offset, &bytes[..fits as usize])?;
        self.uploaded += fits;
        if line == Some(fits) && bank.manners.does(Kind::DropAfter) {
            return Err(Trouble::Cuts);
        }
        if fits < length && bank.manners.does(Kind::NoSpace) {
            return Err(failure());
        }
        Ok(())
    }

    /// Closing a file that was written under its own name delivers it.
    pub(super) fn close(&mut self, handle: u32) -> Done<()> {
        let found = self.handles.get_mut(handle as usize).and_then(Option::take);
        if let Some(Handle::File(open)) = &found
            && open.written > 0
            && let Some(name) = self.bank.served.name_in_upload(&open.place)
        {
            self.bank.delivered(name);
        }
        found.map(drop).ok_or(failure())
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Done<()> {
        let bank = &self.bank;
        if bank.manners.does(Kind::RenameRefused) {
            return Err(failure());
        }
        let (from, to) = (bank.served.place(from)?, bank.served.place(to)?);
        bank.served.rename(&from, &to)?;
        if let Some(name) = bank.served.name_in_upload(&to) {
            bank.delivered(name);
        }
        if bank.manners.does(Kind::RenameLost) {
            return Err(Trouble::Cuts);
        }
        if bank.manners.does(Kind::RenameUnanswered) {
            return Err(Trouble::Silent);
        }
        Ok(())
    }

    pub(super) fn remove(&self, path: &str) -> Done<()> {
        let place = self.bank.served.place(path)?;
        Ok(self.bank.served.remove(&place)?)
    }

    pub(super) fn fsync(&mut self, handle: u32) -> Done<()> {
        if self.bank.manners.does(Kind::NoFsync) {
            return Err(Code::Unsupported.into());
        }
        let Some(Handle::File(open)) = self.handle(handle) else { return Err(failure()) };
        Ok(open.file.sync_all().map_err(|error| of_io(&error))?)
    }

    pub(super) fn room(&self) -> Done<[u64; 11]> {
        Ok(self.bank.served.room()?)
    }

    fn keep(&mut self, handle: Handle) -> u32 {
        let free = self.handles.iter().position(Option::is_none).unwrap_or(self.handles.len());
        if free == self.handles.len() {
            self.handles.push(None);
        }
        self.handles[free] = Some(handle);
        free as u32
    }

    fn handle(&mut self, handle: u32) -> Option<&mut Handle> {
        self.handles.get_mut(handle as usize)?.as_mut()
    }

    fn may_look(&self) -> Done<()> {
        if self.bank.manners.does(Kind::WriteOnly) { Err(Code::PermissionDenied.into()) } else { Ok(()) }
    }

    fn may_look_closely(&self) -> Done<()> {
        self.may_look()?;
        if self.bank.manners.does(Kind::NoStat) { Err(Code::Unsupported.into()) } else { Ok(()) }
    }

    /// What is told wrong of files at this place.
    fn lies(&self, place: &Path) -> Lies {
        let is_return = self.bank.served.is_of_download(place);
        Lies {
            giant: is_return && self.bank.manners.does(Kind::GiantSize),
            wrong: self.bank.manners.does(Kind::WrongSize),
        }
    }
}

impl Lies {
    fn tell(&self, found: &mut Attributes) {
        if found.mode & FILE_TYPE != REGULAR {
            return;
        }
        if self.giant {
            found.size = GIANT;
        }
        if self.wrong {
            found.size += 1;
        }
    }
}

impl Open {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Done<()> {
        if !(self.how.write || self.how.append) {
            return Err(Code::PermissionDenied.into());
        }
        // A file that was opened to append takes everything at its end, wherever the client says.
        self.file.write_all_at(bytes, offset).map_err(|error| of_io(&error))?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

fn failure() -> Trouble {
    Code::Failure.into()
}
