//! Delivers a file to a bank, so that it is there once and whole, and says only what it has seen.
//!
//! Temporary name → verify → final name → verify. What to do next is [`next_move`]'s judgement alone; here it is
//! carried out. Whoever calls records each stage before the act that it stands for, so every call may be made again
//! after a crash: it looks first. The same bytes go out each time, from a file or from memory, never from a stream that
//! an earlier attempt has used up.

use crate::domain::delivery::{Doubt, Manners, Move, Proof, Sight, Stage, next_move};
use crate::transport::remote::{CREATING, EntryKind, Fault, Remote, RemotePath};
use crate::transport::{Digest, Error, hex};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Where the bytes of a file are.
#[derive(Clone, Copy, Debug)]
pub enum Bytes<'a> {
    /// In a file of our own that nobody changes.
    File(&'a Path),
    /// In memory.
    Memory(&'a [u8]),
}

/// A file that goes out.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// The bank's folder.
    pub folder: &'a str,
    /// Its final name.
    pub name: &'a str,
    /// What its temporary names begin with: `.` hides them.
    pub prefix: &'a str,
    /// Its bytes.
    pub bytes: Bytes<'a>,
    /// How many.
    pub size: u64,
    /// Their SHA-256, which its temporary names carry: what lies under one of them is ours.
    pub sha256: Digest,
}

/// What the bank allows us.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Renaming, sweeping, evidence.
    pub manners: Manners,
    /// We may read back.
    pub may_read: bool,
    /// We may ask for size and time.
    pub may_stat: bool,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is there.
    Delivered(Proof),
    /// Nobody can say: a person decides.
    InDoubt(Doubt),
}

/// Why a delivery did not end: it is gone on with later.
#[derive(Debug)]
pub enum Undelivered<E> {
    /// The other side, or the way to it.
    Fault(Fault),
    /// A stage could not be recorded, so the act was not done.
    Record(E),
}

impl<E> From<Fault> for Undelivered<E> {
    fn from(fault: Fault) -> Undelivered<E> {
        Undelivered::Fault(fault)
    }
}

/// Temporary names that are tried: a second where the first is taken and may not be removed.
const TEMPORARIES: u32 = 3;

/// Acts of one call at most. Four lead from nothing to delivered; a server that undoes them is not followed for ever.
const ACTS: u32 = 8;

/// Delivers one file, from `stage` on. `record` is told each stage before its act, the last with its proof. With
/// `looks_only` nothing is written or named any more: what is there counts, what is not stays away.
pub fn deliver<E>(
    remote: &mut dyn Remote,
    habits: Habits,
    file: &Outgoing<'_>,
    stage: Stage,
    looks_only: bool,
    mut record: impl FnMut(Stage, Option<Proof>) -> Result<(), E>,
) -> Result<Ended, Undelivered<E>> {
    let mut delivery = Delivery { remote, habits, file, was_verified: false, was_written: None };
    let mut stage = stage;
    let mut named = false;
    // Each time, also where the stage is not new: whoever records may say that nothing is to be sent any more.
    let mut note = |stage: &mut Stage, next: Stage, proof: Option<Proof>| -> Result<(), Undelivered<E>> {
        *stage = next.max(*stage);
        record(*stage, proof).map_err(Undelivered::Record)
    };
    for _ in 0..ACTS {
        let last = delivery.look_at_final(named)?;
        let temporary = delivery.find_temporary(last.sight)?;
        let mut next = next_move(habits.manners, stage, named, last.sight, temporary.sight);
        if mutant!("second-send") && next == Move::Doubt(Doubt::Vanished) {
            next = Move::Write;
        }
        match next {
            Move::Write | Move::Name if looks_only => return Ok(Ended::InDoubt(Doubt::TooLate)),
            Move::Write => {
                note(&mut stage, Stage::Writing, None)?;
                delivery.write()?;
                failpoint!("put.done");
                named = !habits.manners.renames;
            }
            Move::Name => {
                note(&mut stage, Stage::Naming, None)?;
                if delivery.was_written.as_ref() != Some(&temporary.path) && !mutant!("found-unsynced") {
                    delivery.remote.make_durable(&temporary.path)?;
                }
                delivery.remote.rename(&temporary.path, &file.path())?;
                failpoint!("name.done");
                named = true;
            }
            Move::Done(proof) => {
                if !named && !mutant!("named-unsynced") {
                    delivery.remote.make_durable(&last.path)?;
                }
                note(&mut stage, Stage::Delivered, Some(proof))?;
                return Ok(Ended::Delivered(proof));
            }
            Move::Doubt(doubt) => return Ok(Ended::InDoubt(doubt)),
        }
    }
    Err(Fault::Refused {
        path: file.path().to_string(),
        doing: "deliver",
        answer: format!("{ACTS} acts led nowhere: what was written did not stay"),
    }
    .into())
}

/// What lies under a name, and how much of it.
#[derive(Clone, Debug)]
struct Looked {
    path: RemotePath,
    sight: Sight,
    size: u64,
}

struct Delivery<'a> {
    remote: &'a mut dyn Remote,
    habits: Habits,
    file: &'a Outgoing<'a>,
    /// The temporary file was read back on this connection: a rename changes no byte.
    was_verified: bool,
    /// Written and closed on this connection: where we may not look, the server's word for each byte is what we have.
    was_written: Option<RemotePath>,
}

impl Delivery<'_> {
    /// After a rename of bytes that were read back, the size under the final name is enough.
    fn look_at_final(&mut self, named: bool) -> Result<Looked, Fault> {
        let path = self.file.path();
        if named && self.was_verified && self.habits.may_stat {
            let entry = self.ask(|remote| remote.stat(&path))?.flatten();
            if entry.is_some_and(|entry| entry.kind == EntryKind::File && entry.size == self.file.size) {
                return Ok(Looked { path, sight: Sight::Same, size: self.file.size });
            }
        }
        self.look(path)
    }

    /// The first temporary name under which our whole file lies; else what lies under the first that is there.
    fn find_temporary(&mut self, last: Sight) -> Result<Looked, Fault> {
        let mut found = Looked { path: self.file.temporary(1), sight: Sight::Absent, size: 0 };
        if !self.habits.manners.renames || last == Sight::Same {
            return Ok(found);
        }
        for place in 1..=TEMPORARIES {
            let mut looked = self.look(self.file.temporary(place))?;
            if looked.sight == Sight::Unseen && self.was_written.as_ref() == Some(&looked.path) {
                looked.sight = Sight::SameSize;
            }
            if matches!(looked.sight, Sight::Same | Sight::SameSize) {
                self.was_verified = looked.sight == Sight::Same;
                return Ok(looked);
            }
            if looked.sight == Sight::Absent {
                break;
            }
            found = looked;
        }
        Ok(found)
    }

    /// What lies under a name. Bytes that can be read count more than a size that is only said.
    fn look(&mut self, path: RemotePath) -> Result<Looked, Fault> {
        let mut seen = Looked { path, sight: Sight::Unseen, size: 0 };
        if self.habits.may_stat {
            match self.ask(|remote| remote.stat(&seen.path))? {
                Some(None) => return Ok(Looked { sight: Sight::Absent, ..seen }),
                Some(Some(entry)) if entry.kind != EntryKind::File => {
                    return Ok(Looked { sight: Sight::Other, ..seen });
                }
                Some(Some(entry)) => {
                    seen.size = entry.size;
                    seen.sight = match entry.size.cmp(&self.file.size) {
                        std::cmp::Ordering::Less => Sight::Part,
                        std::cmp::Ordering::Equal => Sight::SameSize,
                        std::cmp::Ordering::Greater => Sight::Other,
                    };
                }
                None => {}
            }
        }
        if !self.habits.may_read {
            return Ok(seen);
        }
        let mut comparer = Comparer::of(self.file)?;
        match self.remote.read(&seen.path, self.file.size, &mut comparer) {
            Ok(size) => Ok(Looked { sight: comparer.sight(size, self.file.size), size, ..seen }),
            Err(Fault::TooBig { .. }) => Ok(Looked { sight: Sight::Other, ..seen }),
            Err(Fault::Gone { .. }) => Ok(Looked { sight: Sight::Absent, size: 0, ..seen }),
            Err(Fault::Refused { .. }) => Ok(seen),
            Err(fault) => Err(fault),
        }
    }

    /// A question that the bank may refuse to answer: `None` then.
    fn ask<T>(&mut self, question: impl FnOnce(&mut dyn Remote) -> Result<T, Fault>) -> Result<Option<T>, Fault> {
        match question(self.remote) {
            Ok(answer) => Ok(Some(answer)),
            Err(Fault::Refused { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Writes the file whole: under a temporary name of its own, or where the bank forbids renaming under its final one.
    fn write(&mut self) -> Result<(), Fault> {
        self.was_verified = false;
        if !self.habits.manners.renames {
            return self.create(&self.file.path());
        }
        let mut last = None;
        for place in 1..=TEMPORARIES {
            let path = self.file.temporary(place);
            // What lies under this name is ours, from an earlier attempt, and was found unfinished.
            match self.remote.remove(&path) {
                Ok(()) | Err(Fault::Gone { .. } | Fault::Refused { .. }) => {}
                Err(fault) => return Err(fault),
            }
            match self.create(&path) {
                // The name may be taken, by something that we may not remove.
                Err(fault @ Fault::Refused { doing: CREATING, .. }) => last = Some(fault),
                done => return done,
            }
        }
        Err(last.unwrap_or(Fault::Gone { path: self.file.path().to_string() }))
    }

    fn create(&mut self, path: &RemotePath) -> Result<(), Fault> {
        let mut bytes = self.file.bytes.open()?;
        self.remote.create(path, &mut bytes)?;
        self.was_written = Some(path.clone());
        Ok(())
    }
}

impl Outgoing<'_> {
    /// Its final place.
    pub fn path(&self) -> RemotePath {
        RemotePath::new(self.folder, self.name.as_bytes())
    }

    /// Its n-th temporary place, from 1.
    pub fn temporary(&self, place: u32) -> RemotePath {
        let digest = &hex(&self.sha256)[..8];
        let number = if place == 1 { String::new() } else { format!("-{place}") };
        RemotePath::new(self.folder, format!("{}{}.{digest}{number}.tmp", self.prefix, self.name).as_bytes())
    }
}

impl<'a> Bytes<'a> {
    fn open(self) -> Result<Box<dyn Read + 'a>, Fault> {
        match self {
            Bytes::Memory(bytes) => Ok(Box::new(bytes)),
            Bytes::File(path) => Ok(Box::new(File::open(path).map_err(|source| Error::io(path, "read", source))?)),
        }
    }
}

/// Compares what is read with our bytes, without keeping either.
struct Comparer<'a> {
    ours: Box<dyn Read + 'a>,
    slice: Vec<u8>,
    differs: bool,
}

impl<'a> Comparer<'a> {
    fn of(file: &Outgoing<'a>) -> Result<Comparer<'a>, Fault> {
        Ok(Comparer { ours: file.bytes.open()?, slice: Vec::new(), differs: false })
    }

    fn sight(&self, found: u64, ours: u64) -> Sight {
        match (self.differs, found.cmp(&ours)) {
            (true, _) | (_, std::cmp::Ordering::Greater) => Sight::Other,
            (false, std::cmp::Ordering::Equal) => Sight::Same,
            (false, std::cmp::Ordering::Less) => Sight::Part,
        }
    }
}

impl Write for Comparer<'_> {
    fn write(&mut self, theirs: &[u8]) -> io::Result<usize> {
        self.slice.resize(theirs.len(), 0);
        match self.ours.read_exact(&mut self.slice) {
            Ok(()) => self.differs |= self.slice != theirs,
            Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => self.differs = true,
            Err(source) => return Err(source),
        }
        Ok(theirs.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
