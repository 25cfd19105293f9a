//! A file that is written behind the one who makes its bytes: on two cores the slower of the two is all that is waited
//! for.

use crate::transport::folder::{Spooled, part_path};
use crate::transport::{Digest, Error, create_new, disk, hex, make_folder, sync_folder};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Bytes that are handed over at once, and how many such pieces are on the way at most.
const PIECE: usize = 1 << 20;
const PIECES: usize = 4;

/// After so many bytes the disk is asked to begin: what it has by then is not waited for at the end.
const EARLY: u64 = 16 << 20;

/// A file that is written behind the one who makes its bytes. Dropped without [`Behind::finish`], it stays unfinished.
#[derive(Debug)]
pub struct Behind {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    writer: JoinHandle<io::Result<(File, Finished)>>,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Bytes.
    pub size: u64,
    /// Of them, where it was asked for.
    pub sha256: Option<Digest>,
}

impl Behind {
    /// Writes into `file`; `hashed` takes the SHA-256 on the way.
    pub fn new(file: File, hashed: bool) -> Behind {
        let (full, pieces) = sync_channel(PIECES);
        let (back, empty) = channel();
        let writer = std::thread::spawn(move || write_pieces(file, pieces, |piece| _ = back.send(piece), hashed));
        Behind { full, empty, piece: Vec::with_capacity(PIECE), writer }
    }

    /// Waits until all is written; the file comes back, to be brought to disk.
    pub fn finish(mut self) -> io::Result<(File, Finished)> {
        let handed = self.hand_over();
        drop(self.full);
        let written = self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // The writer knows why it took no more.
        written.and_then(|finished| handed.map(|()| finished))
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
        let piece = std::mem::replace(&mut self.piece, next);
        self.full.send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.hand_over()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_pieces(
    mut file: File,
    pieces: Receiver<Vec<u8>>,
    give_back: impl Fn(Vec<u8>),
    hashed: bool,
) -> io::Result<(File, Finished)> {
    let early = file.try_clone()?;
    let (ask, asked) = sync_channel(1);
    let disk = std::thread::spawn(move || {
        while let Ok(()) = asked.recv() {
            early.sync_data()?;
        }
        io::Result::Ok(())
    });
    let (mut size, mut begun) = (0, 0);
    let mut hasher = hashed.then(Sha256::new);
    for mut piece in pieces {
        file.write_all(&piece)?;
        size += piece.len() as u64;
        if let Some(hasher) = &mut hasher {
            hasher.update(&piece);
        }
        if size - begun >= EARLY {
            begun = size;
            // It is busy with what came before, or it failed and says so below.
            let _ = ask.try_send(());
        }
        piece.clear();
        give_back(piece);
    }
    drop(ask);
    disk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok((file, Finished { size, sha256: hasher.map(|hasher| hasher.finalize().into()) }))
}

/// A file of our own making on its way into the spool.
#[derive(Debug)]
pub struct Making {
    behind: Behind,
    part: PathBuf,
    spool: PathBuf,
}

impl Making {
    /// Begins a file in the spool.
    pub fn begin(spool: &Path) -> Result<Making, Error> {
        make_folder(spool)?;
        let part = part_path(spool);
        let behind = Behind::new(create_new(&part, 0o600)?, true);
        Ok(Making { behind, part, spool: spool.to_owned() })
    }

    /// The file is whole: it lies at `spool/<sha256>`, durably.
    pub fn finish(self) -> Result<Spooled, Error> {
        let Making { behind, part, spool } = self;
        let (file, finished) = behind.finish().map_err(|source| Error::io(&part, "write", source))?;
        if !mutant!("draft-unsynced") {
            disk::sync(&file).map_err(|source| Error::not_durable(&part, source))?;
        }
        let sha256 = finished.sha256.expect("it was asked for");
        let path = spool.join(hex(&sha256));
        disk::rename(&part, &path).map_err(|source| Error::io(&path, "rename", source))?;
        sync_folder(&spool)?;
        Ok(Spooled { path, sha256, size: finished.size })
    }
}

impl Write for Making {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.behind.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.behind.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::sha256;
    use std::fs;

    #[test]
    fn what_was_made_lies_in_the_spool_whole() {
        let spool = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..3 * PIECE as u32 + 17).map(|n| n as u8).collect();
        let mut making = Making::begin(spool.path()).unwrap();
        bytes.chunks(1_000).for_each(|chunk| making.write_all(chunk).unwrap());
        let spooled = making.finish().unwrap();
        assert_eq!((spooled.sha256, spooled.size), (sha256(&bytes), bytes.len() as u64));
        assert_eq!(fs::read(&spooled.path).unwrap(), bytes);
        assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_an_error() {
        let mut behind = Behind::new(File::options().write(true).open("/dev/full").unwrap(), false);
        let written = (0..64).try_for_each(|_| behind.write_all(&[0; PIECE]));
        assert!(written.is_err() && behind.finish().is_err());
    }
}
