//! What did not happen is an alarm, with a class, an owner and what is safe; and it is over when its cause is gone.

use crate::bank_files::Request;
use crate::bureau::{Bureau, all_paid, names};
use daikou::daemon::alarms::{Alarms, CLASSES, Class, published};
use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::process::Command;

/// A day on which no list is missing yet.
const CALM: &str = "2018-06-29";

/// Alarms as `status` shows them on a day: class and subject.
fn standing(bureau: &Bureau, today: &str) -> Vec<(String, String)> {
    let said = status(bureau, today);
    let text = |alarm: &Value, key: &str| alarm[key].as_str().unwrap().to_owned();
    let alarms = said["alarms"].as_array().unwrap();
    for alarm in alarms {
        let class = Class::parse(&text(alarm, "alarm")).expect("a class of the table");
        assert_eq!((text(alarm, "owner"), text(alarm, "safe")), (class.owner.to_owned(), class.safe.to_owned()));
        assert!(!text(alarm, "trouble").is_empty());
    }
    alarms.iter().map(|alarm| (text(alarm, "alarm"), text(alarm, "subject"))).collect()
}

fn status(bureau: &Bureau, today: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
    command.arg("--config").arg(bureau.home().join("daikou.toml")).args(["--today", today, "--json", "status"]);
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn classes(bureau: &Bureau, today: &str) -> Vec<String> {
    standing(bureau, today).into_iter().map(|(class, _)| class).collect()
}

fn ingest(bureau: &Bureau, from: &str, name: &str, bytes: &[u8]) {
    let path = bureau.beside(name);
    fs::write(&path, bytes).unwrap();
    let (code, said) = bureau.daikou(&["ingest", "--from", from, path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
}

/// A batch of each bank, sent on 5 July for 6 July.
fn sent() -> Bureau {
    let bureau = Bureau::new(&std::env::temp_dir(), 6);
    ingest(&bureau, "bureau", "roster.csv", bureau.roster(&["rural", "postal", "city"]).as_bytes());
    ingest(&bureau, "civil-affairs/500199", "list.csv", bureau.list().as_bytes());
    for step in [&["plan", "--year", "2018"][..], &["instruct", "--year", "2018"], &["send"]] {
        let (code, said) = bureau.daikou(step);
        assert_eq!(code, Some(0), "{step:?}: {said}");
    }
    bureau
}

fn answer(bureau: &Bureau, bank: &str) {
    let out = bureau.drops(&format!("banks/{bank}/out"));
    let (_, request) = bureau.request(bank);
    let _: &Request = &request;
    let given = bureau.beside(&format!("given-{bank}"));
    fs::create_dir_all(&given).unwrap();
    let files = all_paid(&request);
    files.iter().for_each(|(name, bytes)| fs::write(given.join(name), bytes).unwrap());
    let (code, said) = bureau.daikou(&["ingest", "--from", bank, given.join(&files[0].0).to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said} {:?}", names(&out));
}

fn change(bureau: &Bureau, sql: &str) {
    let conn = Connection::open(bureau.home().join("state/daikou.db")).unwrap();
    assert!(conn.execute(sql, []).unwrap() > 0, "{sql}");
}

#[test]
fn an_answer_that_does_not_come_is_late_and_then_its_instructions_age() {
    let bureau = sent();
    assert_eq!(classes(&bureau, "2018-07-09"), [""; 0]);
    assert_eq!(classes(&bureau, "2018-07-10"), ["answer-late"; 2], "two working days are over, one bank has five");
    assert_eq!(classes(&bureau, "2018-07-13"), ["answer-late"; 3]);
    assert_eq!(classes(&bureau, "2018-07-20"), ["answer-late"; 3], "ten working days after the debit date");
    let aged = classes(&bureau, "2018-07-23");
    assert_eq!(aged, ["answer-late", "answer-late", "answer-late", "ageing", "ageing", "ageing"]);
    ["rural", "postal", "city"].iter().for_each(|bank| answer(&bureau, bank));
    assert_eq!(classes(&bureau, "2018-07-23"), [""; 0], "over when the answers are here");
}

#[test]
fn a_gap_in_a_sequence_is_seen_in_either_direction() {
    let bureau = sent();
    answer(&bureau, "postal");
    // The bank answered what was sent later, and passed over what was sent before.
    let moved = "UPDATE batch SET bank = 1, sent_on = sent_on + 1 WHERE bank = 2";
    change(&bureau, moved);
    let gap = |subject: &str| ("sequence-gap".to_owned(), subject.to_owned());
    assert_eq!(standing(&bureau, "2018-07-06"), [gap("2018070501000001")]);
    change(&bureau, "UPDATE batch SET bank = 2, sent_on = sent_on - 1 WHERE number = 2018070502000001");
    assert_eq!(standing(&bureau, "2018-07-06"), []);
    // Its second part came, its first did not.
    change(&bureau, "INSERT INTO batch_part SELECT id, 2, 1, 1 FROM batch WHERE bank = 3");
    assert_eq!(standing(&bureau, "2018-07-06"), [gap("2018070503000001")]);
    change(&bureau, "INSERT INTO batch_part SELECT id, 1, 0, 2 FROM batch WHERE bank = 3");
    assert_eq!(standing(&bureau, "2018-07-06"), []);
    // One of our own numbers is gone.
    change(&bureau, "UPDATE batch SET number = number + 1 WHERE bank = 3");
    assert_eq!(standing(&bureau, "2018-07-06"), [gap("city 20180705")]);
}

#[test]
fn a_missed_window_stands_until_the_next_one_is_done() {
    let bureau = Bureau::new(&std::env::temp_dir(), 1);
    change(
        &bureau,
        "INSERT INTO window VALUES (20180705, 'send', '10:00', 'missed'), (20180705, 'plan', '08:30', 'done')",
    );
    let missed = [("window-missed".to_owned(), "send".to_owned())];
    assert_eq!(standing(&bureau, CALM), missed);
    change(&bureau, "INSERT INTO window VALUES (20180706, 'send', '10:00', 'due')");
    assert_eq!(standing(&bureau, CALM), []);
}

#[test]
fn a_list_is_missing_from_the_day_after_it_was_due() {
    let bureau = Bureau::new(&std::env::temp_dir(), 6);
    ingest(&bureau, "bureau", "roster.csv", bureau.roster(&["rural"]).as_bytes());
    assert_eq!(classes(&bureau, "2018-06-30"), [""; 0]);
    assert_eq!(standing(&bureau, "2018-07-01"), [("list-missing".to_owned(), "500199".to_owned())]);
    ingest(&bureau, "civil-affairs/500199", "list.csv", bureau.list().as_bytes());
    assert_eq!(classes(&bureau, "2018-07-01"), [""; 0]);
    // The lists of the year to come: due on 20 December.
    assert_eq!(classes(&bureau, "2018-12-20"), [""; 0]);
    assert_eq!(classes(&bureau, "2018-12-21"), ["list-missing"]);
}

#[test]
fn a_bank_that_is_gone_with_its_batch_out_is_shown() {
    let bureau = sent();
    assert_eq!(classes(&bureau, CALM), [""; 0]);
    bureau.set("key = \"postal\"", "key = \"post\"");
    assert_eq!(standing(&bureau, CALM), [("configuration".to_owned(), "bank 2".to_owned())]);
    bureau.set("key = \"post\"", "key = \"postal\"");
    assert_eq!(classes(&bureau, CALM), [""; 0]);
}

#[test]
fn a_disk_that_is_nearly_full_is_shown_by_whoever_asks() {
    let bureau = Bureau::new(&std::env::temp_dir(), 1);
    bureau.set("least_free_mb = 64", "least_free_mb = 1000000000");
    assert_eq!(standing(&bureau, CALM), [("disk-low".to_owned(), "state".to_owned())]);
    bureau.set("least_free_mb = 1000000000", "least_free_mb = 0");
    assert_eq!(standing(&bureau, CALM), []);
}

/// Nobody is told where the configuration names no age; else by the newest whole backup, or by the first act.
#[test]
fn a_backup_that_is_too_old_is_shown_until_one_is_taken() {
    let bureau = Bureau::new(&std::env::temp_dir(), 6);
    let old = [("backup-old".to_owned(), "state".to_owned())];
    ingest(&bureau, "bureau", "roster.csv", bureau.roster(&["rural"]).as_bytes());
    ingest(&bureau, "civil-affairs/500199", "list.csv", bureau.list().as_bytes());
    assert_eq!(standing(&bureau, "2018-07-20"), []);
    bureau.set("# backup_days = 2 ", "backup_days = 2 ");
    assert_eq!(standing(&bureau, "2018-07-07"), [], "its first act was two days ago");
    assert_eq!(standing(&bureau, "2018-07-08"), old);
    let (code, said) = bureau.daikou(&["backup", bureau.home().join("state/x").to_str().unwrap()]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(standing(&bureau, "2018-07-08"), old, "one that was refused is none");
    assert_eq!(bureau.daikou(&["backup", bureau.beside("backup").to_str().unwrap()]).0, Some(0));
    assert_eq!(standing(&bureau, "2018-07-07"), []);
    assert_eq!(standing(&bureau, "2018-07-08"), old, "it is of the 5th");
}

#[test]
fn what_the_daemon_knows_is_shown_as_long_as_it_lives() {
    let bureau = Bureau::new(&std::env::temp_dir(), 1);
    fs::create_dir(bureau.drops("banks/rural/in/folder")).unwrap();
    let daemon = bureau.start();
    crate::bureau::wait_for("an alarm", || classes(&bureau, CALM) == ["file"]);
    fs::remove_dir(bureau.drops("banks/rural/in/folder")).unwrap();
    crate::bureau::wait_for("it is over", || classes(&bureau, CALM).is_empty());
    fs::create_dir(bureau.drops("banks/rural/in/folder")).unwrap();
    crate::bureau::wait_for("again", || daemon.figure("daikou_alarms{class=\"file\"}") == 1);
    assert!(daemon.stop().0.success());
    assert_eq!(classes(&bureau, CALM), [""; 0], "what a dead daemon knew may be over");
    assert!(bureau.log().contains("owner=\"operator\""), "{}", bureau.log());
}

#[test]
fn alarms_are_left_for_others_only_where_they_changed() {
    let state = tempfile::tempdir().unwrap();
    let mut alarms = Alarms::default();
    alarms.publish(state.path());
    assert!(published(state.path()).is_empty());
    for class in CLASSES {
        alarms.raise(class.word, "subject", "words");
    }
    alarms.publish(state.path());
    let shown = published(state.path());
    assert_eq!(shown.len(), CLASSES.len());
    assert_eq!((shown[0].subject.as_str(), shown[0].words.as_str()), ("subject", "words"));
    fs::remove_file(state.path().join("alarms.json")).unwrap();
    alarms.publish(state.path());
    assert!(published(state.path()).is_empty(), "nothing changed, nothing is written");
    alarms.retain("file", |_| false);
    alarms.publish(state.path());
    assert_eq!(published(state.path()).len(), CLASSES.len() - 1);
}
