//! What is kept can be had again: backups are rehearsed, not believed.

use crate::bureau::{Bureau, TODAY, all_paid, names, wait_for};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const BANKS: [&str; 3] = ["rural", "postal", "city"];

/// Exports that together hold all that was decided; times of day are not in them.
const EXPORTS: [&str; 10] = [
    "participants",
    "plans",
    "batches",
    "instructions",
    "returns",
    "entries",
    "balance",
    "exceptions",
    "files",
    "audit",
];

fn drop_tables(bureau: &Bureau) {
    fs::write(bureau.drops("bureau/in/roster.csv"), bureau.roster(&BANKS)).unwrap();
    fs::write(bureau.drops("departments/civil-affairs/500199/in/list.csv"), bureau.list()).unwrap();
}

fn publish(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        fs::write(folder.join(format!("{name}.tmp")), bytes).unwrap();
        fs::rename(folder.join(format!("{name}.tmp")), folder.join(name)).unwrap();
    }
}

/// A command on the bureau in a folder.
fn daikou(home: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
    command.arg("--config").arg(home.join("daikou.toml")).args(["--today", TODAY]).args(args);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn exports(home: &Path) -> Vec<(&'static str, String)> {
    let export = |what| {
        let (code, text) = daikou(home, &["export", what]);
        assert_eq!(code, Some(0), "{what}: {text}");
        (what, text)
    };
    EXPORTS.map(export).to_vec()
}

/// Every file of a folder, by its place below it.
fn files(root: &Path, below: &str, found: &mut Vec<String>) {
    for name in names(&root.join(below)) {
        let place = if below.is_empty() { name } else { format!("{below}/{name}") };
        if root.join(&place).is_dir() { files(root, &place, found) } else { found.push(place) }
    }
}

/// The manifest is whole and true, by a reader of its own.
fn assert_manifest_holds(backup: &Path) {
    let manifest = fs::read_to_string(backup.join("MANIFEST.sha256")).unwrap();
    let mut listed: Vec<String> = Vec::new();
    for line in manifest.lines() {
        let (digest, place) = line.split_once("  ").unwrap();
        let found = Sha256::digest(fs::read(backup.join(place)).unwrap());
        let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "{place}");
        listed.push(place.to_owned());
    }
    let mut there = Vec::new();
    files(backup, "", &mut there);
    there.retain(|place| place != "MANIFEST.sha256");
    there.sort();
    listed.sort();
    assert_eq!(listed, there);
}

/// Restores as `docs/operating.md` says: everything into a new folder.
fn restore(backup: &Path, into: &Path) -> PathBuf {
    assert!(Command::new("cp").arg("-a").arg(backup).arg(into).status().unwrap().success());
    into.to_owned()
}

#[test]
fn a_backup_is_restored_and_work_goes_on_from_it_without_posting_twice() {
    let bureau = Bureau::new(&std::env::temp_dir(), 60);
    let daemon = bureau.start();
    drop_tables(&bureau);
    let answers = BANKS.map(|bank| all_paid(&bureau.request(bank).1));
    publish(&bureau.drops("banks/rural/in"), &answers[0]);
    wait_for("the first bank is posted", || daemon.figure("daikou_postings{event=\"self-payment\"}") == 20);
    wait_for("its file is put away", || names(&bureau.drops("banks/rural/in")).is_empty());

    let backup = bureau.beside("backup");
    let (code, said) = bureau.daikou(&["backup", backup.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let at_backup = exports(&bureau.home());
    assert_manifest_holds(&backup);
    assert!(daemon.stop().0.success());

    let restored = restore(&backup, &bureau.beside("restored"));
    let anchor = restored.join("ANCHOR");
    assert_eq!(daikou(&restored, &["check"]).0, Some(0));
    let (code, said) = daikou(&restored, &["audit", "--against", anchor.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    for (restored, original) in exports(&restored).iter().zip(&at_backup) {
        assert_eq!(restored, original);
    }

    // What came before the backup is a duplicate in the restored bureau, what came after it is taken, and only once. Both
    // bureaus end alike.
    for home in [bureau.home(), restored.clone()] {
        for (bank, expected) in [(0, "duplicate"), (1, "processed"), (1, "duplicate"), (2, "processed")] {
            let folder = bureau.beside("again");
            fs::create_dir_all(&folder).unwrap();
            publish(&folder, &answers[bank]);
            let file = folder.join(&answers[bank][0].0);
            let given = ["--json", "ingest", "--from", BANKS[bank], file.to_str().unwrap()];
            let (code, said) = daikou(&home, &given);
            assert_eq!(code, Some(0), "{said}");
            assert!(said.contains(&format!("\"state\": \"{expected}\"")), "{expected}: {said}");
        }
        let (code, said) = daikou(&home, &["audit", "--against", anchor.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
    }
    let of = |home: &Path, what| daikou(home, &["export", what]).1;
    for what in ["entries", "balance", "instructions", "returns", "plans"] {
        assert_eq!(of(&bureau.home(), what), of(&restored, what), "{what}");
    }
    assert_eq!(of(&restored, "entries").matches(",self-payment,collection,").count(), 60);
}

#[test]
fn a_backup_beside_a_daemon_at_work_is_sound_whenever_it_is_taken() {
    let bureau = Bureau::new(&std::env::temp_dir(), 300);
    let daemon = bureau.start();
    drop_tables(&bureau);
    let mut backups = Vec::new();
    let take = |backups: &mut Vec<PathBuf>| {
        let backup = bureau.beside(&format!("backup-{}", backups.len()));
        let (code, said) = bureau.daikou(&["backup", backup.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
        backups.push(backup);
    };
    for bank in BANKS {
        let (_, request) = bureau.request(bank);
        publish(&bureau.drops(&format!("banks/{bank}/in")), &all_paid(&request));
        take(&mut backups);
    }
    wait_for("three hundred postings", || daemon.figure("daikou_postings{event=\"self-payment\"}") == 300);
    take(&mut backups);
    assert!(daemon.stop().0.success());
    for backup in &backups {
        assert_manifest_holds(backup);
        // A large file may be between two stretches, and a receipt not yet out: the restored daemon goes on with them.
        let (code, said) = daikou(backup, &["audit", "--against", backup.join("ANCHOR").to_str().unwrap()]);
        assert_eq!(code, Some(0), "{}: {said}", backup.display());
    }
}

#[test]
fn a_backup_never_lands_where_something_lies() {
    let bureau = Bureau::new(&std::env::temp_dir(), 1);
    let used = bureau.beside("used");
    fs::create_dir(&used).unwrap();
    fs::write(used.join("mine.txt"), "mine").unwrap();
    for place in [used.clone(), bureau.home(), bureau.home().join("state/backup"), bureau.drops("bureau/in/backup")] {
        let (code, said) = daikou(&bureau.home(), &["backup", place.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{}: {said}", place.display());
    }
    assert_eq!(names(&used), ["mine.txt"]);
    assert!(!bureau.home().join("state/backup").exists() && !bureau.drops("bureau/in/backup").exists());
    let empty = bureau.beside("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(daikou(&bureau.home(), &["backup", empty.to_str().unwrap()]).0, Some(0));
    assert_eq!(daikou(&empty, &["check"]).0, Some(0));
}
