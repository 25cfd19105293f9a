//! What is out was written for a bank as the configuration had it then. Where the two differ, answers would not be read.

use crate::config::{Bank, Config};
use crate::domain::ids::BatchNumber;
use crate::domain::participant::BankNumber;
use crate::store::{Result, batches};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What of a bank leads its answers back to a batch: folder, layout, and what stands in file names and headers.
#[derive(Debug, Serialize, Deserialize)]
pub struct WrittenFor {
    key: String,
    layout: String,
    header: BTreeMap<String, String>,
}

impl WrittenFor {
    /// The bank as it is configured.
    pub fn of(bank: &Bank) -> WrittenFor {
        WrittenFor { key: bank.key.clone(), layout: bank.layout.clone(), header: bank.header.clone() }
    }

    /// As it is stored with a batch.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("texts are plain text")
    }
}

/// Where the configuration contradicts batches that are not ended, for operators: expected, found, what to do.
pub fn contradictions(config: &Config, conn: &Connection) -> Result<Vec<(BankNumber, String)>> {
    let mut found: BTreeMap<(BankNumber, String), Vec<BatchNumber>> = BTreeMap::new();
    for (batch, text) in batches::not_ended(conn)? {
        let Ok(then) = serde_json::from_str::<WrittenFor>(&text) else { continue };
        let number = BankNumber(batch.bank());
        for difference in differences(config, number, &then) {
            found.entry((number, difference)).or_default().push(batch);
        }
    }
    let worded = found.iter().map(|((number, difference), batches)| {
        (*number, format!("{difference}; put it back until {} complete, rejected or cancelled", named(batches)))
    });
    Ok(worded.collect())
}

fn differences(config: &Config, number: BankNumber, then: &WrittenFor) -> Vec<String> {
    let key = &then.key;
    let Some(now) = config.bank(number) else {
        let found = match config.banks.iter().find(|bank| bank.key == *key) {
            Some(bank) => format!("found number {}", bank.number.0),
            None => "found no such bank".to_owned(),
        };
        return vec![format!("bank {key}: expected number {}, {found}: its returns belong to no batch", number.0)];
    };
    let mut differences = Vec::new();
    if now.key != *key {
        let found = &now.key;
        differences.push(format!("bank {}: expected key {key}, found {found}: its returns lie elsewhere", number.0));
    }
    if now.layout != then.layout {
        let (expected, found) = (&then.layout, &now.layout);
        differences.push(format!("bank {key}: expected layout {expected}, found {found}: its returns cannot be read"));
    }
    for (name, expected) in &then.header {
        let found = now.header.get(name);
        if found != Some(expected) {
            let found = found.map_or_else(|| "nothing".to_owned(), |found| format!("\"{found}\""));
            differences.push(format!(
                "bank {key}: expected {name} \"{expected}\" in [bank.header], found {found}: its returns say the old value"
            ));
        }
    }
    differences
}

/// One, or the first of them with how many there are.
fn named(batches: &[BatchNumber]) -> String {
    match batches {
        [batch] => format!("batch {batch} is"),
        _ => format!("{} batches ({} the first) are", batches.len(), batches[0]),
    }
}
