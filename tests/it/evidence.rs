//! What is kept can be had again: backups are rehearsed, not believed.

use crate::bureau::{Bureau, TODAY, all_paid, names, wait_for};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
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
    // Else the plans that follow may be made between the copy and the look at what was copied.
    let audit = || bureau.daikou(&["export", "audit"]).1;
    let has_planned = |log: String| log.rsplit_once(".RSP,").is_some_and(|(_, rest)| rest.contains(",plan,"));
    wait_for("plans are made anew", || has_planned(audit()));

    let backup = bureau.beside("backup");
    let at_backup = exports(&bureau.home());
    let (code, said) = bureau.daikou(&["backup", backup.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert_manifest_holds(&backup);
    let manifest = Sha256::digest(fs::read(backup.join("MANIFEST.sha256")).unwrap());
    let manifest: String = manifest.iter().map(|byte| format!("{byte:02x}")).collect();
    let log = daikou(&bureau.home(), &["export", "audit"]).1;
    let last = log.lines().last().unwrap();
    let head = fs::read_to_string(backup.join("ANCHOR")).unwrap();
    let up_to = format!(",backup,up to {},{manifest},", head.split(':').next().unwrap());
    assert!(last.contains(&up_to), "{last}: {up_to}");
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

/// Something of each kind that `explain` knows, in a bureau where the first bank answered.
#[test]
fn whatever_is_explained_rests_on_bytes_and_on_rows_of_the_log() {
    let bureau = answered();
    let instruction = "201807050100000100000001";
    let id = crate::bureau::id_number(0);
    let exports = |what: &str| daikou(&bureau.home(), &["export", what]).1;
    let posting = format!("ret:{instruction}");
    let head = daikou(&bureau.home(), &["--json", "audit", "--anchor"]).1;
    let newest: i64 = serde_json::from_str::<Value>(&head).unwrap()["seq"].as_i64().unwrap();
    let kinds = [
        ("person", vec![id.as_str()], 3),
        ("instruction", vec![instruction], 3),
        ("posting", vec![posting.as_str()], 3),
        ("batch", vec!["2018070501000001"], 1),
        ("file", vec!["file", "3"], 1),
    ];
    for (kind, subject, files) in kinds {
        let (code, said) = daikou(&bureau.home(), &[&["--json", "explain"][..], &subject].concat());
        assert_eq!(code, Some(0), "{said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["kind"], kind);
        let sources = said["sources"].as_array().unwrap();
        assert_eq!(sources.len(), files, "{kind}: {said}");
        for source in sources {
            let kept = bureau.home().join("state").join(source["archived"].as_str().unwrap());
            let found = daikou::transport::hex(&Sha256::digest(fs::read(&kept).unwrap()));
            assert_eq!(source["sha256"], found.as_str(), "{kind}");
            assert!(exports("files").contains(&found), "{kind}");
            assert!(source["audit"].as_i64().is_some_and(|seq| (1..=newest).contains(&seq)), "{kind}: {source}");
        }
        // The digest of each row of the log is what the row after it holds.
        let rows = said["audit"].as_array().unwrap();
        assert!(!rows.is_empty(), "{kind}");
        let log = exports("audit");
        for row in rows {
            let next = row["audit"].as_i64().unwrap() + 1;
            let follows = log.lines().find(|line| line.starts_with(&format!("{next},")));
            if let Some(line) = follows {
                assert!(line.ends_with(row["digest"].as_str().unwrap()), "{kind}: {line}");
            }
        }
    }
    // The line and byte that it names hold what it says.
    let (_, said) = daikou(&bureau.home(), &["--json", "explain", instruction]);
    let said: Value = serde_json::from_str(&said).unwrap();
    for (table, root) in [("instructions", "out"), ("returns", "archive")] {
        let row = &said[table][0];
        let name = row["name"].as_str().unwrap();
        let bytes = match root {
            "out" => fs::read(bureau.drops("banks/rural/out").join(name)).unwrap(),
            _ => {
                let kept = said["sources"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap();
                fs::read(bureau.home().join("state").join(kept["archived"].as_str().unwrap())).unwrap()
            }
        };
        let (line, byte) = (row["line"].as_u64().unwrap() as usize, row["byte"].as_u64().unwrap() as usize);
        assert_eq!(bytes[..byte].iter().filter(|byte| **byte == b'\n').count(), line - 1, "{table}");
        let record = &bytes[byte..];
        let end = record.iter().position(|byte| *byte == b'\n').unwrap_or(record.len());
        assert!(record[..end].windows(instruction.len()).any(|w| w == instruction.as_bytes()), "{table}");
    }
}

/// Six people of three banks, all asked; nobody of them answered yet.
fn asked() -> Bureau {
    let bureau = Bureau::new(&std::env::temp_dir(), 6);
    for (from, name, table) in
        [("bureau", "roster.csv", bureau.roster(&BANKS)), ("civil-affairs/500199", "list.csv", bureau.list())]
    {
        let path = bureau.beside(name);
        fs::write(&path, table).unwrap();
        let (code, said) = bureau.daikou(&["ingest", "--from", from, path.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
    }
    for step in [&["plan", "--year", "2018"][..], &["instruct", "--year", "2018"], &["send"]] {
        assert_eq!(bureau.daikou(step).0, Some(0));
    }
    bureau
}

fn answered() -> Bureau {
    let bureau = asked();
    let answer = &all_paid(&bureau.request("rural").1)[0];
    let path = bureau.beside(&answer.0);
    fs::write(&path, &answer.1).unwrap();
    let given = ["ingest", "--from", "rural", path.to_str().unwrap()];
    assert_eq!(bureau.daikou(&given).0, Some(0));
    bureau
}

/// Balances by account: debit and credit turnover, in yuan as the export writes them.
fn balances(home: &Path) -> BTreeMap<String, [i64; 2]> {
    let fen = |text: &str| text.replace('.', "").parse::<i64>().unwrap();
    let text = daikou(home, &["export", "balance"]).1;
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|row| (row[0].to_owned(), [fen(row[1]), fen(row[2])])).collect()
}

/// `--dry-run` shows what the real run then does: the same receipt, and the same difference of every balance.
#[test]
fn a_dry_run_changes_nothing_and_is_what_the_real_run_does() {
    let bureau = asked();
    let home = bureau.home();
    let id = crate::bureau::id_number(0);
    let payments = format!(
        "id_number,fee_year,channel,reference,amount,paid_on\n{id},2018,counter,GT0001,30.00,2018-07-04\n\
         {},2018,counter,GT0002,55.00,2018-07-04\n",
        crate::bureau::id_number(1)
    );
    let answer = all_paid(&bureau.request("rural").1).remove(0);
    let shorter: String = bureau.list().lines().take(6).map(|line| format!("{line}\n")).collect();
    let newcomer = format!("{},测试乙,500199,200,rural,9999000000999999\n", crate::bureau::id_number(7));
    let grown = bureau.roster(&BANKS) + &newcomer;
    let runs = [
        ("rural", answer.0.clone(), answer.1, true),
        ("bureau", "payments.csv".to_owned(), payments.into_bytes(), true),
        ("civil-affairs/500199", "shorter.csv".to_owned(), shorter.into_bytes(), false),
        ("bureau", "grown.csv".to_owned(), grown.into_bytes(), false),
    ];
    for (from, name, bytes, moves) in runs {
        fs::write(bureau.beside(&name), bytes).unwrap();
        let path = bureau.beside(&name);
        let given = |dry: &'static [&'static str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
            command.arg("--config").arg(home.join("daikou.toml")).args(["--today", TODAY, "--json", "ingest"]);
            let output = command.args(dry).args(["--from", from]).arg(&path).output().unwrap();
            serde_json::from_slice::<Value>(&output.stdout).map(|said| (output.status.code(), said)).unwrap()
        };
        let (before, kept) = (exports(&home), balances(&home));
        let mut stored = Vec::new();
        files(&home, "", &mut stored);
        let rehearsed = given(&["--dry-run"]);
        assert_eq!(exports(&home), before, "{name}: a dry run changes nothing");
        let mut now = Vec::new();
        files(&home, "", &mut now);
        let ours = |places: Vec<String>| -> BTreeSet<String> {
            places.into_iter().filter(|place| !place.starts_with("state/daikou.db-")).collect()
        };
        assert_eq!(ours(now), ours(stored), "{name}: nor does it leave a file");
        assert_eq!(rehearsed.1["dry_run"], true);
        let real = given(&[]);
        assert_eq!((real.0, &real.1), (rehearsed.0, &rehearsed.1["receipts"]), "{name}: the same receipt");
        let shown = rehearsed.1["balance_difference"].as_array().unwrap();
        let after = balances(&home);
        let mut moved = Vec::new();
        for (account, [debit, credit]) in after {
            let [debit_before, credit_before] = kept.get(&account).copied().unwrap_or_default();
            let (debit, credit) = (debit - debit_before, credit - credit_before);
            let yuan = |fen: i64| format!("{}.{:02}", fen / 100, fen % 100);
            if (debit, credit) != (0, 0) {
                moved.push(json!({ "account": account, "debit": yuan(debit), "credit": yuan(credit) }));
            }
        }
        assert_eq!(moved.is_empty(), !moves, "{name}: {moved:?}");
        let sorted = |rows: &[Value]| rows.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(sorted(shown), sorted(&moved), "{name}");
    }
    assert_eq!(bureau.daikou(&["audit"]).0, Some(0));
}

/// For people the difference stands beside the receipt.
#[test]
fn a_dry_run_says_what_the_balances_will_grow_by() {
    let bureau = asked();
    let (name, bytes) = all_paid(&bureau.request("rural").1).remove(0);
    fs::write(bureau.beside(&name), bytes).unwrap();
    let path = bureau.beside(&name);
    let given = |args: &[&str]| daikou(&bureau.home(), &[args, &["--from", "rural", path.to_str().unwrap()]].concat());
    let (code, said) = given(&["ingest", "--dry-run"]);
    let line = said.lines().find(|line| line.contains(" personal/own ")).unwrap_or_else(|| panic!("{said}"));
    assert!(code == Some(0) && line.split_whitespace().last() == Some("60.00"), "{line}");
    given(&["ingest"]);
    let (_, said) = given(&["ingest", "--dry-run"]);
    assert!(said.contains("余额也不变"), "{said}");
}
