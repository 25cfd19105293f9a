//! A private copy in the making: others read it while it grows, and it is parsed while it lands on the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::folder::Spooled;
use super::uncached::Aligned;
use super::{Digest, Error, disk, escaped};

/// A private copy with all its bytes, on its way to the disk: it may be parsed, and nothing may follow from it yet.
#[derive(Debug)]
pub struct Copying {
    /// Where it is written.
    part: PathBuf,
    bytes: Bytes,
    size: u64,
    sha256: Option<Digest>,
    /// Tells the digest as soon as it is known.
    hears: Receiver<Digest>,
    landing: Landing,
}

/// Where the bytes of a copy are read.
#[derive(Debug)]
pub(super) enum Bytes {
    /// Of a small file they are in memory before they are anywhere else.
    Memory(Arc<Aligned>),
    File(File),
}

impl Bytes {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Bytes::File(file) => file.read_at(buffer, at),
            Bytes::Memory(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let read = rest.len().min(buffer.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                Ok(read)
            }
        }
    }

    /// Whether these bytes are the ones from `at` on.
    pub(super) fn has(&self, bytes: &[u8], at: u64) -> io::Result<bool> {
        match self {
            Bytes::File(file) => {
                let mut here = vec![0; bytes.len()];
                file.read_exact_at(&mut here, at)?;
                Ok(here == bytes)
            }
            Bytes::Memory(own) => {
                Ok(usize::try_from(at).is_ok_and(|at| own.get(at..).is_some_and(|own| own.starts_with(bytes))))
            }
        }
    }
}

/// How far it is brought to disk and given its name.
#[derive(Debug)]
enum Landing {
    UnderWay(JoinHandle<Result<Spooled, Error>>),
    Landed(Spooled),
    /// Its error is told already; it stays failed, however often somebody asks.
    Failed,
}

impl Copying {
    /// A copy that `land` brings to disk under its name, beside whatever is done with its bytes meanwhile; it tells the digest
    /// as soon as it is known.
    pub(super) fn begin(
        part: PathBuf,
        bytes: Bytes,
        size: u64,
        land: impl FnOnce(&Sender<Digest>) -> Result<Spooled, Error> + Send + 'static,
    ) -> Result<Copying, Error> {
        let (tells, hears) = channel();
        let thread = std::thread::Builder::new().name("landing".to_owned()).spawn(move || land(&tells));
        let landing = thread.map_err(|source| Error::io(&part, "start a thread for", source))?;
        let mut copying = Copying { part, bytes, size, sha256: None, hears, landing: Landing::UnderWay(landing) };
        if in_turns!() {
            copying.land()?;
        }
        Ok(copying)
    }

    /// SHA-256 of its bytes; waits for it.
    pub fn sha256(&mut self) -> Result<Digest, Error> {
        if self.sha256.is_none() {
            self.sha256 = self.hears.recv().ok();
        }
        match self.sha256 {
            Some(sha256) => Ok(sha256),
            // The thread ended before it knew.
            None => Ok(self.land()?.sha256),
        }
    }

    /// How many bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the copy away again: its source stays where it is.
    pub fn discard(mut self) -> Result<(), Error> {
        let path = &self.land()?.path;
        disk::remove(path).map_err(|source| Error::io(path, "remove", source))
    }

    /// All its bytes in order, in pieces of at most `most`.
    pub fn visit(&self, most: usize, mut visit: impl FnMut(&[u8])) -> Result<(), Error> {
        let file = match &self.bytes {
            Bytes::Memory(bytes) => {
                bytes.chunks(most).for_each(visit);
                return Ok(());
            }
            Bytes::File(file) => file,
        };
        let (mut piece, mut at) = (vec![0; most], 0);
        loop {
            let read = file.read_at(&mut piece, at).map_err(|source| Error::io(&self.part, "read", source))?;
            if read == 0 {
                return Ok(());
            }
            visit(&piece[..read]);
            at += read as u64;
        }
    }

    /// Waits until it is on disk under its name.
    pub fn land(&mut self) -> Result<&Spooled, Error> {
        if let Landing::UnderWay(_) = self.landing
            && let Landing::UnderWay(thread) = std::mem::replace(&mut self.landing, Landing::Failed)
        {
            let landed = thread.join();
            let spooled =
                landed.unwrap_or_else(|_| Err(self.not_landed("the thread that did it came to a bad end")))?;
            self.landing = Landing::Landed(spooled);
        }
        match &self.landing {
            Landing::Landed(spooled) => Ok(spooled),
            _ => Err(self.not_landed("it failed before")),
        }
    }

    fn not_landed(&self, why: &'static str) -> Error {
        Error::NotDurable { path: escaped(&self.part), source: io::Error::other(why) }
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
    copy: Bytes,
    growth: Arc<Growth>,
    at: u64,
}

impl Follower {
    /// Of bytes that are all there.
    pub(super) fn of(bytes: Arc<Aligned>) -> Follower {
        let growth = Growth::default();
        growth.change(|grown| (grown.bytes, grown.is_ended) = (bytes.len() as u64, true));
        Follower { copy: Bytes::Memory(bytes), growth: Arc::new(growth), at: 0 }
    }

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
        Ok((Growing(growth.clone()), Follower { copy: Bytes::File(copy.try_clone()?), growth, at: 0 }))
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
    fn a_follower_of_bytes_in_memory_sees_them_from_where_it_begins() {
        let mut seen = Vec::new();
        Follower::of(Arc::new(Aligned::from(b"0123".as_slice()))).from(1).read_to_end(&mut seen).unwrap();
        assert_eq!(seen, b"123");
    }

    #[test]
    fn a_copy_that_was_given_up_ends_too() {
        let (growing, mut follower) = Growing::begin(&copy()).unwrap();
        drop(growing);
        assert_eq!(follower.read(&mut [0; 8]).unwrap(), 0);
    }

    fn spooled() -> Spooled {
        Spooled { path: "spool/00".into(), sha256: [7; 32], size: 4 }
    }

    fn copying(land: impl FnOnce(&Sender<Digest>) -> Result<Spooled, Error> + Send + 'static) -> Copying {
        Copying::begin("spool/1.part".into(), Bytes::Memory(Arc::new(Aligned::from(b"0123".as_slice()))), 4, land)
            .unwrap()
    }

    #[test]
    fn a_copy_is_visited_piece_by_piece_to_its_end() {
        let mut file = copy();
        file.write_all(b"0123").unwrap();
        let of_a_file = Copying::begin("spool/1.part".into(), Bytes::File(file), 4, |_| Ok(spooled())).unwrap();
        for copy in [copying(|_| Ok(spooled())), of_a_file] {
            let mut pieces = Vec::new();
            copy.visit(3, |piece| pieces.push(piece.to_vec())).unwrap();
            assert_eq!(pieces, [b"012".to_vec(), b"3".to_vec()]);
        }
    }

    #[test]
    fn the_digest_is_told_before_the_copy_lands() {
        let (go_on, waits) = channel();
        let mut copy = copying(move |tells| {
            tells.send([7; 32]).unwrap();
            waits.recv().unwrap();
            Ok(spooled())
        });
        assert_eq!(copy.sha256().unwrap(), [7; 32]);
        go_on.send(()).unwrap();
        assert_eq!(copy.land().unwrap(), &spooled());
        assert_eq!(copying(|_| Ok(spooled())).sha256().unwrap(), [7; 32]);
        let failed = copying(|_| Err(Error::BadName { path: "x".to_owned() })).sha256();
        assert!(matches!(failed, Err(Error::BadName { .. })));
    }

    #[test]
    fn landing_is_waited_for_and_tells_its_error() {
        let mut whole = copying(|_| Ok(spooled()));
        assert_eq!(whole.land().unwrap(), &spooled());
        assert_eq!(whole.land().unwrap(), &spooled());
        let mut failed = copying(|_| Err(Error::BadName { path: "x".to_owned() }));
        assert!(matches!(failed.land(), Err(Error::BadName { .. })));
        assert!(matches!(failed.land(), Err(Error::NotDurable { .. })));
        assert!(failed.discard().is_err());
    }

    #[test]
    fn who_drops_a_copy_waits_for_it() {
        let (told, hears) = std::sync::mpsc::channel();
        let slow = move |_: &Sender<Digest>| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            told.send(()).map_err(|_| Error::BadName { path: "nobody".to_owned() })?;
            Ok(spooled())
        };
        drop(copying(slow));
        hears.try_recv().unwrap();
    }
}
