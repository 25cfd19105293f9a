//! Deliveries to a made-up desk that fails in every way, cut at every call, and gone on with: never twice, never cut.

use super::*;
use crate::domain::delivery::Evidence;
use crate::transport::remote::{Entry, Listing};
use crate::transport::sha256;
use std::collections::BTreeMap;

/// A bank's folder in memory.
#[derive(Default)]
struct Desk {
    files: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the bank took, under names that it looks for.
    taken: Vec<Vec<u8>>,
    sweeps: bool,
    refuses_rename: bool,
    is_blind: bool,
    size_lie: u64,
    calls: usize,
    /// The connection breaks at this call: before it does anything, or after it did it.
    breaks: Option<(usize, bool)>,
    /// After how many bytes a write breaks off.
    room: Option<usize>,
}

impl Desk {
    fn call<T>(&mut self, act: impl FnOnce(&mut Desk) -> Result<T, Fault>) -> Result<T, Fault> {
        let lost = || Fault::Lost { doing: "test", why: "cut".to_owned() };
        let call = self.calls;
        self.calls += 1;
        match self.breaks {
            Some((at, false)) if at == call => Err(lost()),
            Some((at, true)) if at == call => {
                act(self).ok();
                Err(lost())
            }
            Some((at, _)) if call > at => Err(lost()),
            _ => act(self),
        }
    }

    fn refused<T>(doing: &'static str) -> Result<T, Fault> {
        Err(Fault::Refused { path: String::new(), doing, answer: "no".to_owned() })
    }

    /// A file has its final name: a sweeping bank takes it at once.
    fn sweep(&mut self, name: &[u8]) {
        if self.sweeps && !name.ends_with(b".tmp") {
            self.taken.extend(self.files.remove(name));
        }
    }

    /// Everything that a bank could ever process: what it took, and what lies under the final name.
    fn delivered(&self) -> Vec<Vec<u8>> {
        let there = self.files.iter().filter(|(name, _)| !name.ends_with(b".tmp")).map(|(_, bytes)| bytes.clone());
        self.taken.iter().cloned().chain(there).collect()
    }
}

impl Remote for Desk {
    fn list(&mut self, _: &str, _: usize) -> Result<Listing, Fault> {
        Ok(Listing::default())
    }

    fn stat(&mut self, path: &RemotePath) -> Result<Option<Entry>, Fault> {
        self.call(|desk| {
            if desk.is_blind {
                return Desk::refused("look at");
            }
            let lie = desk.size_lie;
            let entry = |bytes: &Vec<u8>| Entry {
                name: Vec::new(),
                kind: EntryKind::File,
                size: bytes.len() as u64 + lie,
                mtime: 0,
            };
            Ok(desk.files.get(path.bytes()).map(entry))
        })
    }

    fn read(&mut self, path: &RemotePath, limit: u64, sink: &mut dyn Write) -> Result<u64, Fault> {
        self.call(|desk| {
            if desk.is_blind {
                return Desk::refused("open");
            }
            let Some(bytes) = desk.files.get(path.bytes()) else {
                return Err(Fault::Gone { path: path.to_string() });
            };
            if bytes.len() as u64 > limit {
                return Err(Fault::TooBig { path: path.to_string(), limit, found: bytes.len() as u64 });
            }
            sink.write_all(bytes).expect("a comparer takes any bytes");
            Ok(bytes.len() as u64)
        })
    }

    fn create(&mut self, path: &RemotePath, bytes: &mut dyn Read) -> Result<(), Fault> {
        let is_half = self.breaks.is_some_and(|(at, after)| after && at == self.calls);
        self.call(|desk| {
            if desk.files.contains_key(path.bytes()) {
                return Desk::refused(CREATING);
            }
            let mut all = Vec::new();
            bytes.read_to_end(&mut all).expect("bytes of ours");
            let room = desk.room.or(is_half.then_some(all.len() / 2)).unwrap_or(all.len());
            let is_cut = room < all.len();
            all.truncate(room);
            desk.files.insert(path.bytes().to_vec(), all);
            if is_cut { Desk::refused("write") } else { Ok(()) }
        })?;
        self.sweep(path.bytes());
        Ok(())
    }

    fn rename(&mut self, from: &RemotePath, to: &RemotePath) -> Result<(), Fault> {
        self.call(|desk| {
            if desk.refuses_rename || desk.files.contains_key(to.bytes()) {
                return Desk::refused("rename");
            }
            let bytes = desk.files.remove(from.bytes()).ok_or(Fault::Gone { path: from.to_string() })?;
            desk.files.insert(to.bytes().to_vec(), bytes);
            desk.sweep(to.bytes());
            Ok(())
        })
    }

    fn remove(&mut self, path: &RemotePath) -> Result<(), Fault> {
        self.call(|desk| match desk.files.remove(path.bytes()) {
            Some(_) => Ok(()),
            None => Err(Fault::Gone { path: path.to_string() }),
        })
    }
}

const OURS: &[u8] = b"H...\nD...\nT...\n";

fn file() -> Outgoing<'static> {
    let bytes = Bytes::Memory(OURS);
    Outgoing { folder: "in", name: "A.REQ", prefix: "", bytes, size: OURS.len() as u64, sha256: sha256(OURS) }
}

fn habits(renames: bool, sweeps: bool) -> Habits {
    Habits { manners: Manners { renames, sweeps, evidence: Evidence::ReadBack }, may_read: true, may_stat: true }
}

/// One attempt; the stage that was recorded last stays recorded.
fn attempt(desk: &mut Desk, habits: Habits, stage: &mut Stage) -> Result<Ended, Undelivered<()>> {
    let from = *stage;
    deliver(desk, habits, &file(), from, false, |next, _| {
        *stage = next;
        Ok(())
    })
}

/// Attempts until it ends, with a connection that breaks at call `at` of the first one.
fn cut_and_resumed(mut desk: Desk, habits: Habits, at: usize, after: bool) -> (Option<Ended>, Desk) {
    let mut stage = Stage::Untouched;
    desk.breaks = Some((at, after));
    for _ in 0..5 {
        match attempt(&mut desk, habits, &mut stage) {
            Ok(ended) => return (Some(ended), desk),
            Err(_) => (desk.breaks, desk.calls) = (None, 0),
        }
    }
    (None, desk)
}

#[test]
fn a_delivery_cut_at_any_call_is_never_doubled_and_never_cut() {
    for (renames, sweeps) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut ends = BTreeMap::new();
        for at in 0..12 {
            for after in [false, true] {
                let desk = Desk { sweeps, ..Desk::default() };
                let (ended, desk) = cut_and_resumed(desk, habits(renames, sweeps), at, after);
                let delivered = desk.delivered();
                let case = format!("renames {renames}, sweeps {sweeps}, cut at {at}, done {after}: {ended:?}");
                assert!(delivered.len() <= 1, "{case}: twice");
                let is_cut = delivered.iter().any(|bytes| bytes != OURS);
                match ended {
                    Some(Ended::Delivered(_)) => assert!(delivered.len() == 1 && !is_cut, "{case}: not there"),
                    Some(Ended::InDoubt(Doubt::Interrupted)) => assert!(!renames, "{case}"),
                    Some(Ended::InDoubt(doubt)) => assert!(doubt == Doubt::Vanished && !is_cut, "{case}"),
                    None => panic!("{case}: no end"),
                }
                *ends.entry(format!("{ended:?}")).or_insert(0) += 1;
            }
        }
        let doubts = ends.iter().filter(|(end, _)| end.contains("Vanished")).map(|(_, count)| count).sum::<i32>();
        assert!(
            sweeps || !renames || doubts == 0,
            "with renaming and without sweeping a look settles everything: {ends:?}"
        );
    }
}

#[test]
fn a_name_that_is_taken_stops_it() {
    let mut desk = Desk::default();
    desk.files.insert(b"in/A.REQ".to_vec(), b"something else".to_vec());
    let ended = attempt(&mut desk, habits(true, false), &mut Stage::default());
    assert_eq!(ended.unwrap(), Ended::InDoubt(Doubt::Taken));
    assert_eq!(desk.files[&b"in/A.REQ"[..]], b"something else");
}

#[test]
fn a_server_that_refuses_to_rename_keeps_it_unsent() {
    let mut desk = Desk { refuses_rename: true, ..Desk::default() };
    let mut stage = Stage::default();
    for _ in 0..3 {
        let failed = attempt(&mut desk, habits(true, false), &mut stage);
        assert!(matches!(failed, Err(Undelivered::Fault(Fault::Refused { doing: "rename", .. }))));
        assert!(desk.delivered().is_empty());
    }
    desk.refuses_rename = false;
    assert_eq!(attempt(&mut desk, habits(true, false), &mut stage).unwrap(), Ended::Delivered(Proof::ReadBack));
    assert_eq!(desk.files.len(), 1, "no temporary file is left");
}

#[test]
fn no_room_leaves_nothing_under_the_final_name() {
    let mut desk = Desk { room: Some(4), ..Desk::default() };
    let mut stage = Stage::default();
    assert!(attempt(&mut desk, habits(true, false), &mut stage).is_err());
    assert!(desk.delivered().is_empty());
    desk.room = None;
    assert_eq!(attempt(&mut desk, habits(true, false), &mut stage).unwrap(), Ended::Delivered(Proof::ReadBack));
    assert_eq!(desk.files.len(), 1, "no temporary file is left");
}

#[test]
fn a_size_that_is_a_lie_counts_less_than_the_bytes() {
    let mut desk = Desk { size_lie: 1, ..Desk::default() };
    assert_eq!(
        attempt(&mut desk, habits(true, false), &mut Stage::default()).unwrap(),
        Ended::Delivered(Proof::ReadBack)
    );
}

#[test]
fn a_blind_account_is_told_honestly() {
    let blind = |evidence| {
        let manners = Manners { renames: true, sweeps: false, evidence };
        let mut desk = Desk { is_blind: true, ..Desk::default() };
        let habits = Habits { manners, may_read: false, may_stat: false };
        (attempt(&mut desk, habits, &mut Stage::default()).unwrap(), desk.delivered().len())
    };
    assert_eq!(blind(Evidence::Named), (Ended::Delivered(Proof::Named), 1));
    assert_eq!(blind(Evidence::ReadBack), (Ended::InDoubt(Doubt::TooLittle), 1));
    assert_eq!(blind(Evidence::Nothing), (Ended::InDoubt(Doubt::TooLittle), 1));
}

#[test]
fn after_the_cutoff_a_delivery_only_looks() {
    let mut desk = Desk::default();
    let look = |desk: &mut Desk, stage| {
        deliver(desk, habits(true, false), &file(), stage, true, |_, _| Ok::<(), ()>(())).unwrap()
    };
    assert_eq!(look(&mut desk, Stage::Writing), Ended::InDoubt(Doubt::TooLate));
    assert!(desk.files.is_empty());
    let temporary = file().temporary(1);
    desk.files.insert(temporary.bytes().to_vec(), OURS.to_vec());
    assert_eq!(look(&mut desk, Stage::Naming), Ended::InDoubt(Doubt::TooLate));
    desk.files.insert(b"in/A.REQ".to_vec(), OURS.to_vec());
    assert_eq!(look(&mut desk, Stage::Naming), Ended::Delivered(Proof::ReadBack));
}

#[test]
fn what_may_not_be_recorded_is_not_done() {
    let mut desk = Desk::default();
    let refused = deliver(&mut desk, habits(true, false), &file(), Stage::Untouched, false, |_, _| Err("moved"));
    assert!(matches!(refused, Err(Undelivered::Record("moved"))));
    assert!(desk.files.is_empty());
}
