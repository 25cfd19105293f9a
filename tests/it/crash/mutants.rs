//! Proofs that find nothing prove nothing: with each fault put in, at least one of them must fail.

use super::kills::doubled;
use super::matrix::Ways;
use super::stage::Checked;
use super::{each, program};
use daikou::failpoint::MUTANTS;

/// What the proofs say of the program with this fault.
fn caught(ways: &Ways, fault: &'static str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut note = |proof, result: Checked<()>| {
        if let Err(words) = result {
            found.push((proof, words));
        }
    };
    for place in ["take.decided", "ingest.before-commit", "ingest.after-commit"] {
        note(place, ways.come_in(&ways.before_in.with_fault(fault), place, 1).map(|_| ()));
    }
    note("name.done", ways.go_out_fetched(&mut ways.before_out.with_fault(fault), "name.done").map(|_| ()));
    note("files given twice", doubled(ways, &ways.before_in.with_fault(fault)));
    found
}

#[test]
fn every_fault_that_is_put_in_is_found() {
    let Some(program) = program() else { return };
    let ways = Ways::new(&program);
    let faults = MUTANTS.map(|(fault, _)| fault);
    let found = each(&faults, |fault| caught(&ways, fault));
    for ((fault, words), found) in MUTANTS.iter().zip(&found) {
        assert!(!found.is_empty(), "{fault} ({words}) is not found by any proof");
        println!("{fault}: found by {:?}", found.iter().map(|(proof, _)| *proof).collect::<Vec<_>>());
        println!("{}", found[0].1);
    }
    assert_eq!(caught(&ways, "none"), [], "without a fault nothing is found");
}
