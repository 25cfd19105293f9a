//! A disk that is full at every step: nothing breaks, reading works, and what was left is done once there is room.
//!
//! The disk is a small one in memory, which needs the right to mount; where that is missing these proofs say so and end.

use crate::bureau::{Bureau, TODAY, all_paid, names, wait_for};
use rusqlite::Connection;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const BANKS: [&str; 3] = ["rural", "postal", "city"];

/// A file system of a few megabytes.
struct Disk {
    place: tempfile::TempDir,
}

impl Disk {
    fn new(megabytes: u32) -> Option<Disk> {
        let place = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(place.path());
        if rustix::process::geteuid().is_root() && mount.status().is_ok_and(|status| status.success()) {
            return Some(Disk { place });
        }
        eprintln!("not proved: mounting a small disk needs root");
        None
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Fills it until so many KiB are left.
    fn leave(&self, kib: u64) {
        self.empty();
        let free = daikou::transport::free_bytes(self.path()).unwrap();
        let mut ballast = File::create(self.ballast()).unwrap();
        let (block, mut left) = (vec![7_u8; 64 << 10], free.saturating_sub(kib << 10));
        while left > 0 {
            let count = left.min(block.len() as u64) as usize;
            match ballast.write(&block[..count]) {
                Ok(0) | Err(_) => break,
                Ok(written) => left -= written as u64,
            }
        }
    }

    fn empty(&self) {
        // Not there the first time.
        let _ = fs::remove_file(self.ballast());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Every step of a year by hand, from the roster to the last answer. Answers are worked out from what was sent.
fn steps(bureau: &Bureau) -> Vec<Step<'_>> {
    let given = |from: &'static str, name: &'static str, table: String| Step::Given {
        from,
        files: vec![(name.to_owned(), table.into_bytes())],
    };
    let mut steps = vec![
        given("bureau", "roster.csv", bureau.roster(&BANKS)),
        given("civil-affairs/500199", "list.csv", bureau.list()),
        Step::Command(&["plan", "--year", "2018"]),
        Step::Command(&["instruct", "--year", "2018"]),
        Step::Command(&["send"]),
    ];
    steps.extend(BANKS.map(Step::Answer));
    steps
}

enum Step<'a> {
    Given { from: &'a str, files: Vec<(String, Vec<u8>)> },
    Command(&'a [&'a str]),
    Answer(&'a str),
}

/// Runs a step; its exit code and words.
fn run(bureau: &Bureau, beside: &Path, step: &Step<'_>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
    command.arg("--config").arg(bureau.home().join("daikou.toml")).args(["--today", TODAY]);
    let ingest = |command: &mut Command, from: &str, files: &[(String, Vec<u8>)]| {
        files.iter().for_each(|(name, bytes)| fs::write(beside.join(name), bytes).unwrap());
        command.args(["ingest", "--from", from]).arg(beside.join(&files[0].0));
    };
    match step {
        Step::Given { from, files } => ingest(&mut command, from, files),
        Step::Command(args) => drop(command.args(*args)),
        Step::Answer(bank) => ingest(&mut command, bank, &all_paid(&bureau.request(bank).1)),
    }
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn outcome(bureau: &Bureau) -> Vec<String> {
    // Given once more after a failure behind the commit, a file is a duplicate with a number of its own: numbers of files
    // (the third column of returns) differ, and nothing else does.
    let export = |what: &str| {
        let text = bureau.daikou(&["export", what]).1;
        let third = if what == "returns" { 2 } else { usize::MAX };
        let kept = |line: &str| {
            let cells = line.split(',').enumerate().filter(|(place, _)| *place != third);
            cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
        };
        text.lines().map(kept).collect::<Vec<_>>().join("\n")
    };
    let mut all: Vec<String> =
        ["participants", "plans", "batches", "instructions", "returns", "entries", "balance", "exceptions"]
            .map(export)
            .to_vec();
    // Every request is with its bank, whole.
    for bank in BANKS {
        let out = bureau.drops(&format!("banks/{bank}/out"));
        let sent = names(&out).into_iter().filter(|name| !name.contains("receipt"));
        all.extend(
            sent.map(|name| format!("{name} {:?}", daikou::transport::sha256(&fs::read(out.join(&name)).unwrap()))),
        );
    }
    all
}

/// The year with so much room before every step, and with enough for a second attempt. How many first attempts failed.
fn year(room: Option<u64>) -> Option<(Vec<String>, usize)> {
    let disk = Disk::new(24)?;
    let bureau = Bureau::new(disk.path(), 30);
    bureau.set("least_free_mb = 64", "least_free_mb = 0");
    // Somebody reads all the time, as a daemon does.
    let reader = Connection::open(bureau.home().join("state/daikou.db")).unwrap();
    let count = || reader.query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, i64>(0)).unwrap();
    count();
    let beside = tempfile::tempdir().unwrap();
    let mut failed = 0;
    for (place, step) in steps(&bureau).iter().enumerate() {
        if let Some(kib) = room {
            disk.leave(kib);
            let (code, said) = run(&bureau, beside.path(), step);
            assert!(matches!(code, Some(0..=2)), "{kib} KiB, step {place}: {code:?} {said}");
            assert!(!said.contains("panicked"), "{kib} KiB, step {place}: {said}");
            failed += usize::from(code != Some(0));
            count();
            let (read, said) = bureau.daikou(&["export", "balance"]);
            assert_eq!(read, Some(0), "{kib} KiB, step {place}: reading goes on: {said}");
            disk.empty();
        }
        let (code, said) = run(&bureau, beside.path(), step);
        assert_eq!(code, Some(0), "{room:?} KiB, step {place}: with room again: {said}");
    }
    let (audit, said) = bureau.daikou(&["audit"]);
    assert_eq!(audit, Some(0), "{room:?} KiB: {said}");
    Some((outcome(&bureau), failed))
}

#[test]
fn a_year_on_a_full_disk_ends_as_one_with_room() {
    let Some((expected, _)) = year(None) else { return };
    let mut failures = Vec::new();
    for room in [0, 16, 48, 96, 160, 224, 320, 448, 640, 1024] {
        let (found, failed) = year(Some(room)).unwrap();
        assert_eq!(found, expected, "{room} KiB");
        failures.push((room, failed));
    }
    println!("KiB left, steps that failed first: {failures:?}");
    assert!(failures[0].1 >= 5, "without any room nearly every step fails first: {failures:?}");
    assert!(failures.windows(2).any(|pair| pair[0].1 > pair[1].1), "more room, fewer failures: {failures:?}");
}

#[test]
fn the_daemon_pauses_on_a_full_disk_and_goes_on_by_itself() {
    let Some(disk) = Disk::new(128) else { return };
    let bureau = Bureau::new(disk.path(), 6);
    let daemon = bureau.start();
    fs::write(bureau.drops("bureau/in/roster.csv"), bureau.roster(&BANKS)).unwrap();
    fs::write(bureau.drops("departments/civil-affairs/500199/in/list.csv"), bureau.list()).unwrap();
    let answers = BANKS.map(|bank| all_paid(&bureau.request(bank).1));
    disk.leave(20 << 10);
    wait_for("the alarm", || daemon.figure("daikou_alarms{class=\"disk-low\"}") == 1);
    let inbox = bureau.drops("banks/rural/in");
    for (name, bytes) in &answers[0] {
        fs::write(inbox.join(format!("{name}.tmp")), bytes).unwrap();
        fs::rename(inbox.join(format!("{name}.tmp")), inbox.join(name)).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(names(&inbox), [answers[0][0].0.clone()], "it lies where it is");
    assert!(daemon.page("/healthz").ends_with("ok\n"), "the daemon is well");
    let free = daemon.figure("daikou_disk_free_bytes{}");
    assert!((1 << 20..64 << 20).contains(&free), "{free}");
    assert_eq!(bureau.daikou(&["export", "entries"]).0, Some(0));
    assert!(bureau.daikou(&["status"]).1.contains("disk-low"));
    disk.empty();
    wait_for("it is taken", || daemon.figure("daikou_postings{event=\"self-payment\"}") == 2);
    wait_for("the alarm is over", || daemon.figure("daikou_alarms{class=\"disk-low\"}") == 0);
    assert!(daemon.stop().0.success());
    assert_eq!(bureau.daikou(&["audit"]).0, Some(0));
}

/// A log that a dead process left is read as well, and what cannot be read is never shown as something older.
#[test]
fn reading_works_on_a_full_and_on_a_read_only_disk_that_nobody_else_reads() {
    let Some(disk) = Disk::new(24) else { return };
    let bureau = Bureau::new(disk.path(), 30);
    bureau.set("least_free_mb = 64", "least_free_mb = 0");
    let beside = tempfile::tempdir().unwrap();
    let state = |name: &str| bureau.home().join("state").join(name);
    let held = Connection::open(state("daikou.db")).unwrap();
    held.query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(run(&bureau, beside.path(), &steps(&bureau)[0]).0, Some(0));
    let expected = bureau.daikou(&["export", "participants"]);
    assert_eq!(expected.1.lines().count(), 31);
    let left = ["daikou.db", "daikou.db-wal"].map(|name| (name, fs::read(state(name)).unwrap()));
    drop(held);
    let leave_the_log = || left.iter().for_each(|(name, bytes)| fs::write(state(name), bytes).unwrap());

    leave_the_log();
    disk.leave(0);
    assert_eq!(bureau.daikou(&["export", "participants"]), expected, "full, with a log");
    assert_eq!(bureau.daikou(&["export", "participants"]), expected, "full, read once more");
    let reads = |disk: &str| {
        for command in ["status", "exceptions", "audit"] {
            assert_eq!(bureau.daikou(&[command]).0, Some(0), "{disk}: {command}");
        }
    };
    reads("full");
    disk.empty();

    let remount = |how: &str| {
        let mounted = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(disk.path()).status();
        assert!(mounted.unwrap().success());
    };
    assert_eq!(bureau.daikou(&["export", "participants"]), expected, "with room");
    remount("ro");
    assert_eq!(bureau.daikou(&["export", "participants"]), expected, "read-only");
    reads("read-only");
    assert_eq!(bureau.daikou(&["plan", "--year", "2018"]).0, Some(2), "writing says that it cannot");
    remount("rw");
    leave_the_log();
    remount("ro");
    let (code, said) = run(&bureau, beside.path(), &Step::Command(&["export", "participants"]));
    assert_eq!(code, Some(2), "what only the log has would be missing: {said}");
    assert!(said.contains("mount it for writing"), "{said}");
}
