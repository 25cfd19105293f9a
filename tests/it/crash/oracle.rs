//! What must have been posted, counted from what the proof itself handed in: nothing of it comes from the store.

use super::stage::{AT_COUNTER, Checked, Stage, WHOLE_TIER, is_unknown};
use crate::bank_files::{Echo, Request};
use crate::bureau::id_number;
use std::collections::BTreeMap;

/// Entries of one kind of one person, and how many of them.
type Entries = BTreeMap<(String, &'static str, &'static str, &'static str), usize>;

const RECEIVABLE: &str = "receivable/civil-affairs/500199";

/// Every person's entries: who, debit, credit, yuan.
fn expected(requests: &[(&'static str, Request)]) -> Entries {
    let mut entries = Entries::new();
    let mut add = |person: String, debit, credit, yuan| *entries.entry((person, debit, credit, yuan)).or_default() += 1;
    for (_, request) in requests {
        for row in (0..request.len()).filter(|row| !is_unknown(request, *row)) {
            let person = request.text(row, Echo::Id);
            add(person.clone(), "collection", "personal/own", "30.00");
            add(person, RECEIVABLE, "personal/government", "70.00");
        }
    }
    add(id_number(AT_COUNTER), "collection", "personal/own", "30.00");
    add(id_number(AT_COUNTER), RECEIVABLE, "personal/government", "70.00");
    add(id_number(WHOLE_TIER), "collection", "personal/own", "100.00");
    entries
}

/// Holds the ledger against what was handed in.
pub(super) fn check(stage: &Stage, requests: &[(&'static str, Request)]) -> Checked<()> {
    let expected: BTreeMap<String, usize> = expected(requests)
        .into_iter()
        .map(|((person, debit, credit, yuan), count)| (format!("{person} {debit} {credit} {yuan}"), count))
        .collect();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for line in stage.export("entries")? {
        let cell: Vec<&str> = line.split(',').collect();
        *found.entry(format!("{} {} {} {}", cell[8], cell[2], cell[3], cell[4])).or_default() += 1;
    }
    for key in expected.keys().chain(found.keys()) {
        let (wanted, there) = (expected.get(key).unwrap_or(&0), found.get(key).unwrap_or(&0));
        if wanted != there {
            return Err(format!("{key}: {there} posted, {wanted} expected"));
        }
    }
    Ok(())
}
