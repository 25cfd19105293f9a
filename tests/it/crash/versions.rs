//! Two versions of a table lie in an inbox, the older one since the process died behind its commit: the newer one holds.

use super::program;
use super::stage::{Came, Stage, roster};

#[test]
fn what_was_booked_before_a_death_does_not_come_after_its_newer_version() {
    let Some(program) = program() else { return };
    let stage = Stage::new(&program);
    let with_tier = |tier: &str| roster().replace(",500199,100,", &format!(",500199,{tier},"));
    stage.put("bureau/in", "roster-of-july.csv", with_tier("200").as_bytes());
    assert_eq!(stage.go_in(Some("source.begun")), Ok(Came::ToItsDeath));
    stage.put("bureau/in", "roster-new.csv", with_tier("300").as_bytes());
    assert_eq!(stage.go_in(None), Ok(Came::ToItsEnd));
    let versions = stage.export("files").unwrap();
    let ends: Vec<&str> = versions.iter().rev().take(2).rev().map(String::as_str).collect();
    assert!(ends[0].contains("roster-of-july.csv") && ends[0].contains(",duplicate,"), "{ends:?}");
    let people = stage.export("participants").unwrap();
    assert!(people.iter().all(|person| person.contains(",300.00,")), "{people:?}");
    stage.audit().unwrap();
}
