//! What is accepted and what is refused, with the words a person will read.

use super::*;
use crate::golden;

const MINIMAL: &str = "[[bank]]\nkey = \"rural\"\nlayout = \"rural-commercial\"\nnumber = 1\n";

fn load_text(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daikou.toml");
    fs::write(&path, text).unwrap();
    let shown = format!("{}/", dir.path().display());
    load(&path).map_err(|problems| {
        problems.iter().map(|problem| problem.to_string().replace(&shown, "")).collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = load_text(MINIMAL).unwrap();
    assert_eq!(config.drops, config.root.join("drops"));
    assert_eq!((config.settle_ms, config.incomplete_after_s), (2_000, 600));
    assert_eq!(config.http.to_string(), "127.0.0.1:9187");
    assert_eq!(config.schedule.instruct, Time::constant(9, 0, 0, 0));
    assert_eq!((config.banks[0].max_rows, config.banks[0].reply_workdays), (50_000, 2));
    assert_eq!((config.approvals.plan, config.approvals.release), (Approval::None, Approval::Second));
    assert_eq!(config.bank_named("rural").unwrap().number, BankNumber(1));
}

#[test]
fn every_problem_is_named_at_once_under_its_place() {
    let text = fs::read_to_string(golden::data("config/all-at-once.toml")).unwrap();
    golden::check(&golden::data("config/all-at-once.expected"), &(load_text(&text).unwrap_err() + "\n"));
}

#[test]
fn numbers_and_names_belong_to_one_bank() {
    let problems = load_text(&format!("{MINIMAL}names = [\"农商行\"]\n{MINIMAL}names = [\"农商行\"]\n")).unwrap_err();
    for part in ["found \"rural\" twice", "found \"农商行\" twice", "found 1 twice"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    let problems = load_text("drops = \"drops\nstate = 1\n").unwrap_err();
    assert!(problems.starts_with("daikou.toml:1:"), "{problems}");
}

#[test]
fn data_beside_the_configuration_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daikou.toml");
    fs::write(&path, MINIMAL).unwrap();
    let built_in = load(&path).unwrap();
    fs::create_dir(dir.path().join("policy")).unwrap();
    let (_, shipped) = BUILT_IN[0];
    let changed = shipped.replace("attempts = 6", "attempts = 3");
    fs::write(dir.path().join("policy/ours.toml"), changed).unwrap();
    let config = load(&path).unwrap();
    let (policy, _) = config.policies.of(2018).unwrap();
    assert_eq!((policy.key.as_str(), policy.attempts, config.policies.0.len()), ("ours", 3, 1));
    assert!(config.districts.code("渝中").is_some() && config.digest != built_in.digest);
}

#[test]
fn a_text_that_is_no_utf8_is_named_by_its_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daikou.toml");
    fs::write(&path, b"drops = \"\xb2\xe2\"").unwrap();
    let problems = load(&path).unwrap_err();
    assert!(problems[0].to_string().ends_with("expected UTF-8, found another encoding at byte 10"), "{}", problems[0]);
}
