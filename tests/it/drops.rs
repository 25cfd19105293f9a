//! What a sender can do to a drop folder, and what we publish. Everything here happens on real folders.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use daikou::domain::calendar::Date;
use daikou::transport::behind::Making;
use daikou::transport::folder::{Candidate, Folder, Kind, Removal, Spooled, sweep_parts};
use daikou::transport::place::{Published, archive, publish, quarantine, sanitised};
use daikou::transport::{Error, sha256};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

const LIMIT: u64 = 1 << 20;
const DATE: Date = Date::constant(2018, 7, 5);

fn spool_bytes(bytes: &[u8], spool: &Path) -> Result<Spooled, Error> {
    let mut making = Making::begin(spool)?;
    making.write_all(bytes).unwrap();
    making.finish()
}

/// A drop folder `in`, an `out` beside it, and a state folder.
struct Drops {
    root: TempDir,
}

impl Drops {
    fn new() -> Drops {
        let root = tempfile::tempdir().unwrap();
        for folder in ["in", "out", "state"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Drops { root }
    }

    fn path(&self, place: &str) -> PathBuf {
        self.root.path().join(place)
    }

    fn inbox(&self) -> Folder {
        Folder::open(&self.path("in")).unwrap()
    }

    fn put(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> Candidate {
        fs::write(self.path("in").join(name.as_ref()), bytes).unwrap();
        self.look(name)
    }

    fn look(&self, name: impl AsRef<OsStr>) -> Candidate {
        self.inbox().look(name.as_ref()).unwrap().unwrap()
    }

    fn spool(&self, candidate: &Candidate) -> Result<Spooled, Error> {
        self.inbox().spool(candidate, &self.path("state/spool"), LIMIT)
    }

    fn names(&self, place: &str) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(self.path(place)).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    }
}

/// Nothing that is no file is copied, whatever the scan believed that it was.
fn check_refused(drops: &Drops, name: &str, seen: &'static str, opened: &str) {
    let mut candidate = drops.look(name);
    assert_eq!(candidate.kind, Kind::NotAFile(seen), "{name}");
    candidate.kind = Kind::File;
    let refused = drops.spool(&candidate).unwrap_err();
    assert!(matches!(refused, Error::NotAFile { .. }), "{name}: {refused}");
    assert!(refused.to_string().contains(opened), "{name}: {refused}");
    assert!(!refused.is_retryable());
    assert!(fs::symlink_metadata(drops.path("in").join(name)).is_ok(), "{name} must stay");
}

#[test]
fn what_is_no_file_is_named_and_left() {
    let drops = Drops::new();
    let inbox = drops.path("in");
    symlink("/etc/passwd", inbox.join("link")).unwrap();
    symlink("../state", inbox.join("way-out")).unwrap();
    fs::create_dir(inbox.join("folder.txt")).unwrap();
    mknodat(CWD, inbox.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _socket = UnixListener::bind(inbox.join("socket")).unwrap();
    check_refused(&drops, "link", "a symbolic link", "a symbolic link");
    check_refused(&drops, "way-out", "a symbolic link", "a symbolic link");
    check_refused(&drops, "folder.txt", "a folder", "a folder");
    check_refused(&drops, "pipe", "a pipe", "a pipe");
    check_refused(&drops, "socket", "a socket", "a socket");
    // Making a device needs more rights than a test may have.
    let null = rustix::fs::makedev(1, 3);
    if mknodat(CWD, inbox.join("device"), FileType::CharacterDevice, Mode::from_raw_mode(0o600), null).is_ok() {
        check_refused(&drops, "device", "a device", "a device");
    }
}

#[test]
fn a_link_in_place_of_the_inbox_or_on_the_way_is_refused() {
    let drops = Drops::new();
    symlink(drops.path("in"), drops.path("alias")).unwrap();
    assert!(Folder::open(&drops.path("alias")).is_err());

    fs::write(drops.path("state/secret.txt"), "secret").unwrap();
    symlink("../state", drops.path("in/way")).unwrap();
    for name in ["way/secret.txt", "../state/secret.txt", "/etc/passwd"] {
        let mut candidate = drops.put("plain.txt", b"plain");
        candidate.name = name.into();
        let refused = drops.spool(&candidate).unwrap_err();
        assert!(matches!(refused, Error::NotAFile { .. }), "{name}: {refused}");
    }
}

#[test]
fn a_huge_file_without_blocks_is_refused_by_its_size() {
    let drops = Drops::new();
    File::create(drops.path("in/huge.txt")).unwrap().set_len(1 << 40).unwrap();
    let refused = drops.spool(&drops.look("huge.txt")).unwrap_err();
    assert!(matches!(refused, Error::TooBig { limit: LIMIT, found: 1_099_511_627_776, .. }), "{refused}");
    assert!(!drops.path("state/spool").exists());
}

#[test]
fn names_are_bytes_and_paths_are_digests() {
    let drops = Drops::new();
    let names: [&[u8]; 5] = [b"-rf", b"a b;c", b"new\nline.txt", b"\xC3\xFB\xB5\xA5.txt", "测试.txt".as_bytes()];
    for name in names {
        drops.put(OsStr::from_bytes(name), name);
    }
    let scan = drops.inbox().scan(10).unwrap();
    assert_eq!(scan.found.iter().map(|found| found.name.as_bytes()).collect::<Vec<_>>(), names);
    assert!(scan.found.iter().all(|found| !found.shown().contains('\n')));
    for candidate in &scan.found {
        let spooled = drops.spool(candidate).unwrap();
        assert_eq!(spooled.sha256, sha256(candidate.name.as_bytes()));
        let kept = archive(&spooled, &drops.path("state"), DATE, &candidate.name).unwrap();
        assert!(kept.starts_with(drops.path("state/archive/2018/07")), "{kept:?}");
        assert_eq!(fs::read(&kept).unwrap(), candidate.name.as_bytes());
    }
    assert_eq!(sanitised(OsStr::from_bytes(b"../\xC3\xFB -\xE5\x90\x8D.txt")), "..____-名.txt");
    assert_eq!(sanitised(OsStr::new(&"名".repeat(100))).len(), 120);
}

#[test]
fn unfinished_uploads_are_not_seen_and_a_flood_is_seen_in_parts() {
    let drops = Drops::new();
    for name in [".hidden", "a.tmp", "b.part", "c.filepart"] {
        fs::write(drops.path("in").join(name), "x").unwrap();
    }
    for name in ["3.txt", "1.txt", "2.txt"] {
        drops.put(name, b"x");
        fs::create_dir(drops.path("in").join(format!("{name}.d"))).unwrap();
    }
    let all = drops.inbox().scan(3).unwrap();
    assert_eq!((all.found.len(), all.more), (6, false));
    assert!(all.found.windows(2).all(|pair| pair[0].name < pair[1].name));
    let some = drops.inbox().scan(2).unwrap();
    assert!(some.more && some.found.iter().filter(|found| found.kind == Kind::File).count() <= 2);
}

#[test]
fn an_open_handle_does_not_reach_the_copy() {
    let drops = Drops::new();
    let candidate = drops.put("amount.txt", b"AMOUNT=0000100");
    let handle = File::options().write(true).open(drops.path("in/amount.txt")).unwrap();
    let spooled = drops.spool(&candidate).unwrap();
    handle.write_all_at(b"AMOUNT=9999999", 0).unwrap();
    assert_eq!(fs::read(&spooled.path).unwrap(), b"AMOUNT=0000100");
    assert_eq!(drops.inbox().remove_source(&candidate).unwrap(), Removal::Replaced);
    assert_eq!(fs::read(drops.path("in/amount.txt")).unwrap(), b"AMOUNT=9999999");
}

#[test]
fn what_changed_since_the_scan_is_tried_later() {
    let drops = Drops::new();
    let seen = drops.put("a.txt", b"first");
    fs::write(drops.path("in/a.txt"), b"other").unwrap();
    let changed = drops.spool(&seen).unwrap_err();
    assert!(matches!(changed, Error::Changed { .. }) && changed.is_retryable(), "{changed}");
    assert_eq!(drops.spool(&drops.look("a.txt")).unwrap().sha256, sha256(b"other"));
    fs::remove_file(drops.path("in/a.txt")).unwrap();
    assert!(matches!(drops.spool(&seen), Err(Error::Gone { .. })));
}

#[test]
fn a_copy_is_never_half_of_one_writing_and_half_of_the_next() {
    const BYTES: usize = 512 * 1024;
    let drops = Drops::new();
    drops.put("a.txt", &[b'A'; BYTES]);
    let path = drops.path("in/a.txt");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let handle = File::options().write(true).open(&path).unwrap();
            for turn in 0.. {
                handle.write_all_at(&[if turn % 2 == 0 { b'B' } else { b'A' }; BYTES], 0).unwrap();
                // Bursts within one tick of the file system's clock, then a rest that lets a copy succeed.
                if turn % 8 == 0 {
                    std::thread::sleep(Duration::from_millis(60));
                }
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..40 {
            if let Ok(spooled) = drops.spool(&drops.look("a.txt")) {
                let copy = fs::read(spooled.path).unwrap();
                assert!(copy.iter().all(|byte| *byte == copy[0]), "a copy of two writings was taken");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_is_written_within_the_tick_of_its_stamp_is_never_landed_as_it_was() {
    let drops = Drops::new();
    let mut found_out = 0;
    for turn in 0..40 {
        let seen = drops.put("a.txt", b"first");
        let mut copy = drops.inbox().copy(&seen, &drops.path("state"), LIMIT, |_| {}).unwrap();
        File::options().write(true).open(drops.path("in/a.txt")).unwrap().write_all_at(b"other", 0).unwrap();
        match copy.land() {
            Err(Error::Changed { .. }) => found_out += 1,
            // The copy was made after the tick: the writing is another upload, with a stamp of its own.
            landed => assert_eq!(fs::read(&landed.unwrap().path).unwrap(), b"first", "turn {turn}"),
        }
    }
    assert!(found_out > 0, "a file that was just written was never looked at again");
    assert!(fs::read_dir(drops.path("state")).unwrap().count() <= 1, "no half of a copy is left");
}

#[test]
fn a_second_name_is_a_change_and_no_reason_to_refuse() {
    let drops = Drops::new();
    let seen = drops.put("a.txt", b"bytes");
    // The clock of the file system moves in ticks of a few milliseconds.
    std::thread::sleep(Duration::from_millis(20));
    fs::hard_link(drops.path("in/a.txt"), drops.path("in/b.txt")).unwrap();
    assert!(matches!(drops.spool(&seen), Err(Error::Changed { .. })));
    let (a, b) = (drops.look("a.txt"), drops.look("b.txt"));
    assert_eq!(drops.spool(&a).unwrap(), drops.spool(&b).unwrap());
    assert_eq!(drops.inbox().remove_source(&a).unwrap(), Removal::Removed);
    assert_eq!(drops.inbox().remove_source(&a).unwrap(), Removal::Gone);
    assert_eq!(drops.inbox().remove_source(&b).unwrap(), Removal::Removed);
}

#[test]
fn an_unreadable_file_says_what_to_check() {
    if rustix::process::geteuid().is_root() {
        return; // Root reads everything.
    }
    let drops = Drops::new();
    drops.put("a.txt", b"bytes");
    fs::set_permissions(drops.path("in/a.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    let denied = drops.spool(&drops.look("a.txt")).unwrap_err();
    assert!(matches!(denied, Error::Denied { .. }) && !denied.is_retryable(), "{denied}");
}

#[test]
fn a_sender_cannot_make_a_file_look_old() {
    let drops = Drops::new();
    let file = File::create(drops.path("in/a.txt")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let now = SystemTime::now();
    let candidate = drops.look("a.txt");
    assert!(!candidate.settled(now, 60_000));
    assert!(candidate.settled(now + Duration::from_secs(61), 60_000));
    assert!(candidate.settled(now - Duration::from_secs(61), 60_000), "a clock that was wrong must not hold a file");
}

#[test]
fn only_old_halves_of_copies_are_swept() {
    let drops = Drops::new();
    let spool = drops.path("state/spool");
    assert_eq!(sweep_parts(&spool, SystemTime::now()).unwrap(), 0);
    let whole = spool_bytes(b"ours", &spool).unwrap();
    fs::write(spool.join("7-0.part"), "half").unwrap();
    assert_eq!(sweep_parts(&spool, SystemTime::now()).unwrap(), 0);
    assert_eq!(sweep_parts(&spool, SystemTime::now() + Duration::from_secs(90_000)).unwrap(), 1);
    assert_eq!(fs::read(whole.path).unwrap(), b"ours");
}

#[test]
fn keeping_twice_is_keeping_once() {
    let drops = Drops::new();
    let state = drops.path("state");
    let keep = || {
        let spooled = spool_bytes(b"bytes", &drops.path("state/spool")).unwrap();
        (spooled.clone(), archive(&spooled, &state, DATE, OsStr::new("a.txt")).unwrap())
    };
    let (spooled, kept) = keep();
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o400);
    assert_eq!(archive(&spooled, &state, DATE, OsStr::new("a.txt")).unwrap(), kept, "after a crash");
    assert_eq!(keep().1, kept, "sent again");
    assert!(drops.names("state/spool").is_empty());
    assert!(matches!(quarantine(&spooled, &state, DATE, OsStr::new("a.txt")), Err(Error::Gone { .. })));
}

#[test]
fn an_archived_file_that_was_touched_is_never_replaced() {
    let drops = Drops::new();
    let state = drops.path("state");
    let spooled = spool_bytes(b"bytes", &drops.path("state/spool")).unwrap();
    let kept = archive(&spooled, &state, DATE, OsStr::new("a.txt")).unwrap();
    fs::remove_file(&kept).unwrap();
    fs::write(&kept, "forged").unwrap();
    let again = spool_bytes(b"bytes", &drops.path("state/spool")).unwrap();
    let stopped = archive(&again, &state, DATE, OsStr::new("a.txt")).unwrap_err();
    assert!(matches!(stopped, Error::Taken { .. }) && !stopped.is_retryable(), "{stopped}");
}

#[test]
fn publishing_twice_is_evidence_and_other_bytes_stop() {
    let drops = Drops::new();
    let out = drops.path("out");
    let name = OsStr::new("JB0101.txt");
    fs::write(out.join(".JB0101.txt.tmp"), "half of an earlier attempt").unwrap();
    assert_eq!(publish(&out, name, b"bytes").unwrap(), Published::ReadBack);
    assert_eq!(publish(&out, name, b"bytes").unwrap(), Published::AlreadyThere);
    let stopped = publish(&out, name, b"others").unwrap_err();
    assert!(stopped.to_string().contains("nothing was overwritten"), "{stopped}");
    assert_eq!(fs::read(out.join(name)).unwrap(), b"bytes");
    assert_eq!(drops.names("out"), [name]);
}

#[test]
fn publishing_takes_plain_names_only_and_follows_no_link() {
    let drops = Drops::new();
    let out = drops.path("out");
    for name in ["", "../x", "/x", ".x", "a/b", &"n".repeat(201)] {
        assert!(matches!(publish(&out, OsStr::new(name), b"bytes"), Err(Error::BadName { .. })), "{name}");
    }
    symlink(drops.path("state/target"), out.join("link.txt")).unwrap();
    assert!(publish(&out, OsStr::new("link.txt"), b"bytes").is_err());
    assert!(!drops.path("state/target").exists());
    let missing = publish(Path::new("/nowhere"), OsStr::new("a.txt"), b"bytes").unwrap_err();
    assert!(missing.to_string().contains("/nowhere"), "{missing}");
}

#[test]
fn a_file_that_grows_without_end_is_never_taken() {
    let drops = Drops::new();
    let mut file = File::create(drops.path("in/a.txt")).unwrap();
    file.write_all(b"one").unwrap();
    let seen = drops.look("a.txt");
    file.write_all(b"two").unwrap();
    assert!(matches!(drops.spool(&seen), Err(Error::Changed { .. })));
    assert!(!drops.path("state/spool").exists(), "nothing was begun");
}
