//! Places where a proof ends the process, and faults that a proof must find: only with the feature `failpoints`.
//!
//! Without the feature the macros are nothing, or the plain call. With it `DAIKOU_FAILPOINT=name[:nth]` ends the process
//! at the n-th time that the named place is reached: nothing is unwound, flushed or closed. `DAIKOU_MUTANT=name` puts in
//! one of the faults that proofs are there to find; a proof that does not see them proves nothing. `DAIKOU_PLACES=FILE`
//! writes down every place that is passed, with the process, and `DAIKOU_STRETCH_ROWS=N` makes the stretches of large
//! files so short that a small file has several. `disk` is for the simulation: deaths by chance at every place and call,
//! and a disk that forgets.

/// The way of a file in: from its arrival to its receipt.
pub const WAY_IN: [(&str, &str); 23] = [
    ("arrive.opened", "the source is open, nothing is copied"),
    ("arrive.copied", "all bytes are copied, none need be on disk"),
    ("arrive.synced", "the copy is on disk, without its name"),
    ("arrive.landed", "the copy has its name in the spool"),
    ("take.decided", "everything is decided, nothing is written"),
    ("ingest.before-commit", "everything is written, nothing is committed"),
    ("ingest.after-commit", "committed: file, postings, answers, receipt in the outbox"),
    ("keep.begun", "before the copy goes to the archive"),
    ("keep.read-only", "the copy is read-only, and still in the spool"),
    ("keep.renamed", "the copy is in the archive too, the folder not on disk"),
    ("keep.done", "the copy is in the archive"),
    ("receipt.begun", "before a receipt is published"),
    ("receipt.written", "a receipt is on disk under its hidden name"),
    ("receipt.renamed", "a receipt has its name, the folder is not on disk"),
    ("receipt.published", "a receipt is there, and still in the outbox"),
    ("receipt.noted", "a receipt is there, and out of the outbox"),
    ("receipt.all", "every receipt is published"),
    ("control.begun", "before the copy of a control file goes to the archive"),
    ("control.kept", "the copy of a control file is in the archive"),
    ("source.begun", "before the source is removed"),
    ("source.looked", "the source is what was booked"),
    ("source.unlinked", "the source is removed, the folder not on disk"),
    ("source.removed", "one source is removed; of a pair the other is there"),
];

/// The way of an instruction file out: from the plan to `sent`.
pub const WAY_OUT: [(&str, &str); 21] = [
    ("plan.before-commit", "the plans are written, not committed"),
    ("plan.after-commit", "the plans are committed"),
    ("draft.rendered", "the file is in the spool, no batch names it"),
    ("draft.archived", "the file is in the archive, no batch names it"),
    ("draft.before-commit", "batch and instructions are written, not committed"),
    ("draft.after-commit", "a batch is committed, those of other banks are not begun"),
    ("release.before-commit", "a yes is written, not committed"),
    ("release.after-commit", "a yes is committed"),
    ("writing.before-commit", "`writing` is recorded, not committed"),
    ("writing.after-commit", "`writing` is committed, nothing is at the bank"),
    ("put.created", "the temporary file is there, empty"),
    ("put.done", "the temporary file is whole and on disk"),
    ("naming.before-commit", "`naming` is recorded, not committed"),
    ("naming.after-commit", "`naming` is committed, the file has its temporary name"),
    ("name.given", "the file has its final name, the folder is not on disk"),
    ("name.done", "the file has its final name"),
    ("delivered.before-commit", "the evidence of a data file is recorded, not committed"),
    ("delivered.after-commit", "the evidence of a data file is committed, its control file is not begun"),
    ("sent.before-commit", "the evidence is recorded, not committed"),
    ("sent.after-commit", "`sent` is committed"),
    ("send.done", "the batch is reported"),
];

/// The line to a bank's own server: places that a folder of ours has not.
pub const LINE: [(&str, &str); 16] = [
    ("line.open", "the line is open, nothing is asked"),
    ("put.written", "the temporary file has all bytes, and is not closed"),
    ("fetch.listed", "the bank's folder is listed"),
    ("fetch.part", "a copy is begun, it is empty"),
    ("fetch.copied", "all bytes came, the second look is not done"),
    ("fetch.looked", "the second look is done, the copy need not be on disk"),
    ("fetch.synced", "the copy is on disk, without its name"),
    ("fetch.named", "the copy has its name, the folder is not on disk"),
    ("fetch.landed", "the copy lies with us, and nothing says so"),
    ("fetch.noted", "it is noted that the copy lies with us"),
    ("fetch.done", "what belongs to it is looked at"),
    ("end.begun", "booked; the file lies at the bank"),
    ("end.looked", "it still is what was fetched"),
    ("end.done", "it is deleted or moved at the bank"),
    ("end.seen", "it is seen to be gone"),
    ("end.noted", "it is noted that it is gone"),
];

/// Between the stretches of a large file.
pub const STRETCHES: [(&str, &str); 2] = [
    ("ahead.read", "the next stretch is read while this one is being written"),
    ("ahead.kept", "a stretch is committed, the next one is read and decided by it"),
];

/// What commands and the daemon do besides: papers, the feed, backups. Commits have the name of their action.
pub const REST: [(&str, &str); 9] = [
    ("paper.kept", "the bytes of an approved paper are in the archive, nothing is approved"),
    ("feed.cut", "a file of the feed is worked out, its number is not taken"),
    ("feed.begun", "its number is taken, the file is not out"),
    ("feed.out", "the file is out, and nothing says so"),
    ("feed.noted", "it is noted that the file is out"),
    ("backup.store", "the store is copied"),
    ("backup.spool", "the spool is copied"),
    ("backup.kept", "archive and quarantine are copied"),
    ("backup.whole", "the manifest is written, nothing says so"),
];

/// Faults that are put in.
pub const MUTANTS: [(&str, &str); 4] = [
    ("file-row-apart", "the row of the file is written in a second transaction"),
    ("source-removed-early", "the source is removed before the commit"),
    ("key-from-line", "a posting is known by the file and the line where it was read"),
    ("second-send", "a file that may have been delivered is delivered again"),
];

/// Syncs that are left out: faults that only a disk that forgets can show.
pub const FORGOTTEN: [(&str, &str); 9] = [
    ("copy-unsynced", "the private copy of a file that came is not on disk before the commit"),
    ("copy-name-unsynced", "the name of that copy is not on disk before the commit"),
    ("archive-unsynced", "the name of a file in the archive is not on disk before its source is removed"),
    ("draft-unsynced", "an instruction file of our making is not on disk before its batch is committed"),
    ("receipt-unsynced", "the name of a receipt is not on disk before it leaves the outbox"),
    ("name-unsynced", "the name of a delivered file is not on disk before `sent` is committed"),
    ("folder-unsynced", "a folder that a dead process made is used without bringing its name to disk"),
    ("found-unsynced", "a temporary file that a dead process wrote is named without bringing it to disk"),
    ("named-unsynced", "a delivered file that a dead process named is reported without bringing its name to disk"),
];

/// A place where a proof may end the process: `failpoint!("place")`, or `failpoint!(action, "place")` for `action.place`.
#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    ($($place:expr),+) => {};
}

/// Whether a proof has put in this fault.
#[cfg(not(feature = "failpoints"))]
macro_rules! mutant {
    ($name:literal) => {
        false
    };
}

/// A call that changes what is on the disk: `on_disk!(Remove(path), fs::remove_file(path))`. Without the feature it is
/// that call alone.
#[cfg(not(feature = "failpoints"))]
macro_rules! on_disk {
    ($call:ident($($of:expr),+), $act:expr) => {{
        let _ = || {
            $(let _ = &$of;)+
        };
        $act
    }};
}

/// The clock by which files age.
#[cfg(not(feature = "failpoints"))]
macro_rules! file_clock {
    () => {
        std::time::SystemTime::now()
    };
}

/// A size that a proof may make smaller: `DAIKOU_<name>` in the environment.
#[cfg(not(feature = "failpoints"))]
macro_rules! at_most {
    ($name:literal, $usual:expr) => {
        $usual
    };
}

/// Whether threads must take their turns: a disk that is played counts the calls to it, and the same seed must count the same.
#[cfg(not(feature = "failpoints"))]
macro_rules! in_turns {
    () => {
        false
    };
}

#[cfg(feature = "failpoints")]
macro_rules! in_turns {
    () => {
        $crate::failpoint::disk::is_played()
    };
}

#[cfg(feature = "failpoints")]
macro_rules! on_disk {
    ($call:ident($($of:expr),+), $act:expr) => {
        $crate::failpoint::disk::carry_out($crate::failpoint::disk::Call::$call($($of),+), || $act)
    };
}

#[cfg(feature = "failpoints")]
macro_rules! file_clock {
    () => {
        $crate::failpoint::disk::now()
    };
}

#[cfg(feature = "failpoints")]
macro_rules! at_most {
    ($name:literal, $usual:expr) => {
        $crate::failpoint::armed::at_most($name, $usual)
    };
}

#[cfg(feature = "failpoints")]
macro_rules! failpoint {
    ($place:expr) => {
        $crate::failpoint::armed::reach($place)
    };
    ($action:expr, $place:expr) => {
        $crate::failpoint::armed::reach(&format!("{}.{}", $action, $place))
    };
}

#[cfg(feature = "failpoints")]
macro_rules! mutant {
    ($name:literal) => {
        $crate::failpoint::armed::is_mutant($name)
    };
}

#[cfg(feature = "failpoints")]
pub mod disk;

#[cfg(feature = "failpoints")]
pub(crate) mod armed {
    use rustix::process::{Signal, getpid, kill_process};
    use std::fs::File;
    use std::io::Write;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    /// The place, and how many times it is passed before.
    static WANTED: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let wanted = std::env::var("DAIKOU_FAILPOINT").ok()?;
        let (place, nth) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        let nth: u64 = nth.parse().unwrap_or_else(|_| panic!("DAIKOU_FAILPOINT={wanted}: name[:nth]"));
        Some((place.to_owned(), AtomicU64::new(nth - 1)))
    });

    static MUTANT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("DAIKOU_MUTANT").ok());

    static PLACES: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
        let path = std::env::var_os("DAIKOU_PLACES")?;
        let opened = File::options().create(true).append(true).open(&path);
        Some(Mutex::new(opened.unwrap_or_else(|error| panic!("DAIKOU_PLACES={}: {error}", path.display()))))
    });

    pub(crate) fn reach(place: &str) {
        if let Some(places) = &*PLACES {
            let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(places, "{} {place}", std::process::id()).expect("the list of places can be written");
        }
        if super::disk::pass(place) {
            return;
        }
        let Some((wanted, passed)) = &*WANTED else { return };
        let is_wanted = wanted == place;
        if !is_wanted || passed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return;
        }
        kill_process(getpid(), Signal::KILL).expect("a process may end itself");
        loop {
            std::thread::park();
        }
    }

    pub(crate) fn is_mutant(name: &str) -> bool {
        MUTANT.as_deref() == Some(name)
    }
    /// The usual size, or the one of the environment where that is smaller.
    pub(crate) fn at_most(name: &str, usual: usize) -> usize {
        let Ok(text) = std::env::var(format!("DAIKOU_{name}")) else { return usual };
        text.parse::<usize>().unwrap_or_else(|_| panic!("DAIKOU_{name}={text}: a number")).clamp(1, usual)
    }
}
