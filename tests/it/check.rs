//! `check` beside what is out: batches that are not ended bind the configuration of their bank.

use crate::bureau::Bureau;
use std::fs;

#[test]
fn a_bank_is_not_changed_under_its_open_batches() {
    let bureau = Bureau::new(&std::env::temp_dir(), 3);
    let (roster, list) = (bureau.beside("roster.csv"), bureau.beside("list.csv"));
    fs::write(&roster, bureau.roster(&["rural"])).unwrap();
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
