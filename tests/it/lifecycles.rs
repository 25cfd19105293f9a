//! Every pair of state and event, against tables transcribed from the design: what is not in them is refused. Every state
//! can be reached, and those that end a life stay.

use daikou::domain::instruction::{BatchEvent, BatchState, InstructionEvent, InstructionState};
use daikou::domain::plan::{PlanEvent, PlanState};
use daikou::domain::settlement::{ExPostEvent, ExPostState, SettlementEvent, SettlementState};
use std::collections::{BTreeMap, BTreeSet};

/// `(state, event) → state` as written in the table.
fn table(name: &str) -> BTreeMap<(String, String), String> {
    let path = format!("{}/tests/data/lifecycles/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the table is there");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            ((words[0].to_owned(), words[1].to_owned()), words[3].to_owned())
        })
        .collect()
}

/// Compares all pairs with a table, and says that every row of the table was met; that every state is reached from
/// `start`; and that `ends`, and no others, are left by nothing.
fn check(
    name: &str,
    start: &str,
    ends: &[&str],
    pairs: impl Iterator<Item = (&'static str, &'static str, Option<&'static str>)>,
) {
    let mut expected = table(name);
    let (mut states, mut moves) = (BTreeSet::new(), BTreeSet::new());
    for (state, event, after) in pairs {
        let row = expected.remove(&(state.to_owned(), event.to_owned()));
        assert_eq!(after.map(str::to_owned), row, "{name}: {state} + {event}");
        states.insert(state);
        moves.extend(after.map(|after| (state, after)));
    }
    assert!(expected.is_empty(), "{name}: rows that no pair met: {expected:?}");
    let mut reached = BTreeSet::from([start]);
    while let Some((_, after)) = moves.iter().find(|(from, to)| reached.contains(from) && !reached.contains(to)) {
        reached.insert(after);
    }
    assert_eq!(reached, states, "{name}: reached from {start}");
    let stay = states.iter().filter(|state| !moves.iter().any(|(from, _)| from == *state)).copied();
    assert_eq!(stay.collect::<Vec<_>>(), ends, "{name}: left by nothing");
}

#[test]
fn instructions_move_only_as_designed() {
    use InstructionEvent::*;
    let events = [
        (Released, "released"),
        (Sent, "sent"),
        (Settled, "settled"),
        (Failed, "failed"),
        (Unknown, "unknown"),
        (MoneyHeld, "money-held"),
        (Withdrawn, "withdrawn"),
        (FileRejected, "file-rejected"),
        (NeverArrived, "never-arrived"),
        (Refunded, "refunded"),
        (Reversed, "reversed"),
    ];
    let pairs = InstructionState::ALL.iter().flat_map(|(state, word, _)| {
        events.iter().map(move |(event, name)| (*word, *name, state.after(*event).ok().map(InstructionState::word)))
    });
    check("instruction", "drafted", &["refunded", "reversed"], pairs);
}

#[test]
fn batches_move_only_as_designed() {
    use BatchEvent::*;
    let events = [
        (Released, "released"),
        (Sending, "sending"),
        (Delivered, "delivered"),
        (InDoubt, "in-doubt"),
        (NeverArrived, "never-arrived"),
        (Accepted, "accepted"),
        (Rejected, "rejected"),
        (Completed, "completed"),
        (Withdrawn, "withdrawn"),
    ];
    let pairs = BatchState::ALL.iter().flat_map(|(state, word, _)| {
        events.iter().map(move |(event, name)| (*word, *name, state.after(*event).ok().map(BatchState::word)))
    });
    check("batch", "drafted", &["cancelled", "complete", "file-rejected"], pairs);
}

#[test]
fn plans_move_only_as_designed() {
    use PlanEvent::*;
    let events = [
        (Instructed, "instructed"),
        (Freed, "freed"),
        (Blocked, "blocked"),
        (Unblocked, "unblocked"),
        (UnblockedLive, "unblocked-live"),
        (Removed, "removed"),
        (Replanned, "replanned"),
        (YearEnded, "year-ended"),
        (Received, "received"),
        (PaidWhole, "paid-whole"),
        (Reversed, "reversed"),
    ];
    let pairs = PlanState::ALL.iter().flat_map(|(state, word, _)| {
        events.iter().map(move |(event, name)| (*word, *name, state.after(*event).ok().map(PlanState::word)))
    });
    check("plan", "planned", &[], pairs);
}

#[test]
fn settlements_move_only_as_designed() {
    use SettlementEvent::*;
    let events = [(Approved, "approved"), (Sent, "sent"), (Cleared, "cleared")];
    let pairs = SettlementState::ALL.iter().flat_map(|(state, word, _)| {
        events.iter().map(move |(event, name)| (*word, *name, state.after(*event).ok().map(SettlementState::word)))
    });
    check("settlement", "drafted", &["cleared"], pairs);
}

#[test]
fn ex_post_subsidies_move_only_as_designed() {
    use ExPostEvent::*;
    let events = [(Listed, "listed"), (Paid, "paid"), (Returned, "returned"), (Withdrawn, "withdrawn")];
    let pairs = ExPostState::ALL.iter().flat_map(|(state, word, _)| {
        events.iter().map(move |(event, name)| (*word, *name, state.after(*event).ok().map(ExPostState::word)))
    });
    check("ex-post", "due", &["paid", "withdrawn"], pairs);
}
