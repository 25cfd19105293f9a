//! A private copy in the making: others read it while it grows, and it is parsed while it lands on the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::folder::Spooled;
use super::{Digest, Error, disk, escaped};

/// A private copy with all its bytes, on its way to the disk: it may be parsed, and nothing may follow from it yet.
#[derive(Debug)]
pub struct Copying {
    spooled: Spooled,
    bytes: File,
    landing: Landing,
}

/// How far it is brought to disk and given its name.
#[derive(Debug)]
enum Landing {
    UnderWay(JoinHandle<Result<(), Error>>),
    Landed,
    /// Its error is told already; it stays failed, however often somebody asks.
    Failed,
}

impl Copying {
    /// A copy that `land` brings to disk under its name, beside whatever is done with its bytes meanwhile.
    pub(super) fn begin(
        spooled: Spooled,
        bytes: File,
        land: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Result<Copying, Error> {
        let thread = std::thread::Builder::new().name("landing".to_owned()).spawn(land);
        let landing = thread.map_err(|source| Error::io(&spooled.path, "start a thread for", source))?;
        Ok(Copying { spooled, bytes, landing: Landing::UnderWay(landing) })
    }

    /// SHA-256 of its bytes.
    pub fn sha256(&self) -> Digest {
        self.spooled.sha256
    }

    /// How many bytes.
    pub fn size(&self) -> u64 {
        self.spooled.size
    }

    /// Takes the copy away again: its source stays where it is.
    pub fn discard(mut self) -> Result<(), Error> {
        let path = &self.land()?.path;
        disk::remove(path).map_err(|source| Error::io(path, "remove", source))
    }

    /// Its bytes from `at` on, as many as `buffer` takes; 0 after the last one.
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<usize, Error> {
        self.bytes.read_at(buffer, at).map_err(|source| Error::io(&self.spooled.path, "read", source))
    }

    /// Waits until it is on disk under its name.
    pub fn land(&mut self) -> Result<&Spooled, Error> {
        self.landing = match std::mem::replace(&mut self.landing, Landing::Failed) {
            Landing::UnderWay(thread) => {
                thread.join().unwrap_or_else(|_| Err(self.not_landed("the thread that did it came to a bad end")))?;
                Landing::Landed
            }
            Landing::Landed => Landing::Landed,
            Landing::Failed => return Err(self.not_landed("it failed before")),
        };
        Ok(&self.spooled)
    }

    fn not_landed(&self, why: &'static str) -> Error {
        Error::NotDurable { path: escaped(&self.spooled.path), source: io::Error::other(why) }
    }
}

impl Drop for Copying {
    /// Nobody is left behind who would put the copy somewhere after its reader has gone on.
    fn drop(&mut self) {
        let _ = self.land();
    }
}

/// Reads a copy behind the one who writes it.
#[derive(Debug)]
pub struct Follower {
    copy: File,
    growth: Arc<Growth>,
    at: u64,
}

impl Follower {
    /// Begins at this byte.
    pub fn from(self, at: u64) -> Follower {
        Follower { at, ..self }
    }
}

impl io::Read for Follower {
    /// The next bytes, as soon as there are any; 0 at the end of the copy, whole or given up.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.growth.wait_beyond(self.at).saturating_sub(self.at);
        let wanted = buffer.len().min(usize::try_from(there).unwrap_or(usize::MAX));
        let read = self.copy.read_at(&mut buffer[..wanted], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The side of the one who writes: when it is dropped, nothing more will come.
#[derive(Debug)]
pub(super) struct Growing(Arc<Growth>);

impl Growing {
    /// A copy without a byte yet, and who follows it.
    pub(super) fn begin(copy: &File) -> io::Result<(Growing, Follower)> {
        let growth = Arc::new(Growth::default());
        Ok((Growing(growth.clone()), Follower { copy: copy.try_clone()?, growth, at: 0 }))
    }

    /// So many bytes were written.
    pub(super) fn by(&self, bytes: usize) {
        self.0.change(|grown| grown.bytes += bytes as u64);
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.0.change(|grown| grown.is_ended = true);
    }
}

#[derive(Debug, Default)]
struct Growth {
    grown: Mutex<Grown>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Grown {
    bytes: u64,
    is_ended: bool,
}

impl Growth {
    fn change(&self, change: impl FnOnce(&mut Grown)) {
        change(&mut self.lock());
        self.news.notify_all();
    }

    /// Bytes that are there, once there are more than `at` or no more will come.
    fn wait_beyond(&self, at: u64) -> u64 {
        let grown = self.lock();
        let waits = |grown: &mut Grown| grown.bytes <= at && !grown.is_ended;
        self.news.wait_while(grown, waits).unwrap_or_else(|poisoned| poisoned.into_inner()).bytes
    }

    /// Counters are sound whoever panicked while holding them.
    fn lock(&self) -> MutexGuard<'_, Grown> {
        self.grown.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    fn copy() -> File {
        tempfile::tempfile().unwrap()
    }

    #[test]
    fn a_follower_sees_every_byte_and_then_the_end() {
        let mut copy = copy();
        let (growing, mut follower) = Growing::begin(&copy).unwrap();
        let reader = std::thread::spawn(move || {
            let mut seen = Vec::new();
            follower.read_to_end(&mut seen).map(|_| seen).unwrap()
        });
        let mut expected = Vec::new();
        for turn in 0..100_u8 {
            let some = vec![turn; usize::from(turn) + 1];
            copy.write_all(&some).unwrap();
            growing.by(some.len());
            expected.extend(some);
        }
        drop(growing);
        assert_eq!(reader.join().unwrap(), expected);
    }

    #[test]
    fn a_copy_that_was_given_up_ends_too() {
        let (growing, mut follower) = Growing::begin(&copy()).unwrap();
        drop(growing);
        assert_eq!(follower.read(&mut [0; 8]).unwrap(), 0);
    }

    fn spooled() -> Spooled {
        Spooled { path: "spool/00".into(), sha256: [0; 32], size: 0 }
    }

    #[test]
    fn landing_is_waited_for_and_tells_its_error() {
        let mut whole = Copying::begin(spooled(), copy(), || Ok(())).unwrap();
        assert_eq!(whole.land().unwrap(), &spooled());
        assert_eq!(whole.land().unwrap(), &spooled());
        let failing = || Err(Error::BadName { path: "x".to_owned() });
        let mut failed = Copying::begin(spooled(), copy(), failing).unwrap();
        assert!(matches!(failed.land(), Err(Error::BadName { .. })));
        assert!(matches!(failed.land(), Err(Error::NotDurable { .. })));
        assert!(failed.discard().is_err());
    }

    #[test]
    fn who_drops_a_copy_waits_for_it() {
        let (told, hears) = std::sync::mpsc::channel();
        let slow = move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            told.send(()).map_err(|_| Error::BadName { path: "nobody".to_owned() })
        };
        drop(Copying::begin(spooled(), copy(), slow).unwrap());
        hears.try_recv().unwrap();
    }
}
