//! `check` and `send` beside what is out: batches that are not ended bind the configuration of their bank, and one bank
//! that fails hides nothing of the others.

use crate::bureau::Bureau;
use std::fs;

#[test]
fn a_bank_is_not_changed_under_its_open_batches() {
    let bureau = drafted(&["rural"]);
    assert_eq!(bureau.daikou(&["check"]).0, Some(0));
    let configuration = fs::read_to_string(bureau.home().join("daikou.toml")).unwrap();
    for (from, to, says) in [
        ("agency = \"500199000001\"", "agency = \"500199000002\"", "expected agency \\\"500199000001\\\""),
        ("bank_no = \"999653000014\"", "bank_no = \"999653000015\"", "expected bank_no \\\"999653000014\\\""),
        ("number = 1 ", "number = 9 ", "bank rural: expected number 1, found number 9"),
        ("key = \"rural\"", "key = \"country\"", "bank 1: expected key rural, found country"),
        ("layout = \"rural-commercial\"", "layout = \"postal-savings\"", "expected layout rural-commercial"),
    ] {
        bureau.set(from, to);
        let (exit, words) = bureau.daikou(&["--json", "check"]);
        assert!(exit != Some(0) && words.contains(says), "{to}: {words}");
        assert!(words.contains("until batch 2018070501000001 is complete"), "{words}");
        fs::write(bureau.home().join("daikou.toml"), &configuration).unwrap();
    }
}

#[test]
fn one_bank_that_fails_hides_nothing_of_the_others() {
    let bureau = drafted(&["rural", "postal", "city"]);
    let out = bureau.drops("banks/postal/out");
    fs::rename(&out, bureau.beside("away")).unwrap();
    let (exit, words) = bureau.daikou(&["--json", "send"]);
    assert_eq!(exit, Some(2), "{words}");
    let (sent, failed) = words.split_once("\"failed\"").unwrap();
    for (batch, part) in [("2018070501000001", sent), ("2018070503000001", sent), ("2018070502000001", failed)] {
        assert!(part.contains(batch), "{batch}: {words}");
    }
    assert!(
        failed.contains("bank postal: batch 2018070502000001 (DK20180705500199010001.TXT) was not sent"),
        "{failed}"
    );
    fs::rename(bureau.beside("away"), &out).unwrap();
    let (exit, words) = bureau.daikou(&["send"]);
    assert!(exit == Some(0) && words.starts_with("2018070502000001 ") && words.lines().count() == 1, "{words}");
}

/// A bureau with a batch for each of these banks.
fn drafted(banks: &[&str]) -> Bureau {
    let bureau = Bureau::new(&std::env::temp_dir(), 3);
    let (roster, list) = (bureau.beside("roster.csv"), bureau.beside("list.csv"));
    fs::write(&roster, bureau.roster(banks)).unwrap();
    fs::write(&list, bureau.list()).unwrap();
    for args in [
        vec!["ingest", "--from", "bureau", roster.to_str().unwrap()],
        vec!["ingest", "--from", "civil-affairs/500199", list.to_str().unwrap()],
        vec!["plan", "--year", "2018"],
        vec!["instruct", "--year", "2018"],
    ] {
        let (exit, words) = bureau.daikou(&args);
        assert_eq!(exit, Some(0), "{words}");
    }
    bureau
}
