//! Proves the invariants that need nothing but the store (design section 8). Every check reads on its own what it
//! judges, set by set or as one stream, so that its memory does not grow with the ledger.

mod answers;
mod log;
mod plans;
mod postings;
mod settling;

use crate::domain::ids::{BatchNumber, IdNumber};
use crate::store::{Result, book};
use rusqlite::{Connection, OptionalExtension};

/// One invariant, and the first thing that breaks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `I1` to `I13`.
    pub id: &'static str,
    /// Where, expected, found; `None` while it holds.
    pub offender: Option<String>,
}

/// Proves the invariants of ledger, instructions and audit log: all but I7, I10 and I12, which need files and policy.
pub fn prove(conn: &Connection) -> Result<Vec<Check>> {
    let checks: [(&'static str, Prove); 10] = [
        ("I1", postings::balanced),
        ("I2", postings::explained),
        ("I3", plans::amounts),
        ("I4", plans::single),
        ("I5", settling::receivables),
        ("I6", answers::suspense),
        ("I8", answers::complete),
        ("I9", settling::settlements),
        ("I11", log::whole),
        ("I13", answers::booked),
    ];
    checks.into_iter().map(|(id, prove)| Ok(Check { id, offender: prove(conn)? })).collect()
}

type Prove = fn(&Connection) -> Result<Option<String>>;

/// Runs a query whose first row is the first offender, and words it.
fn first<T>(
    conn: &Connection,
    sql: &str,
    read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    Ok(conn.prepare(sql)?.query_row([], read).optional()?)
}

/// The key of a posting, as exports show it.
pub fn posting_name(conn: &Connection, id: i64) -> Result<String> {
    let mut statement = conn.prepare_cached("SELECT key FROM posting_key WHERE posting = ?1")?;
    let key: Option<String> = statement.query_row([id], |row| row.get(0)).optional()?;
    match key {
        Some(key) => Ok(format!("posting {key}")),
        None => Ok(format!("posting ret:{}", number(conn, id)?)),
    }
}

/// The number of an instruction, as exports show it.
pub fn instruction_name(conn: &Connection, id: i64) -> Result<String> {
    Ok(format!("instruction {}", number(conn, id)?))
}

fn number(conn: &Connection, id: i64) -> Result<String> {
    let mut statement = conn.prepare_cached("SELECT number FROM batch WHERE id = ?1")?;
    let batch: Option<i64> = statement.query_row([id >> book::SEQUENCE_BITS], |row| row.get(0)).optional()?;
    Ok(match batch {
        Some(batch) => book::number(batch, id).to_string(),
        None => format!("{id} of no batch"),
    })
}

/// A plan: masked identity number and fee year.
pub fn plan_name(participant: Option<i64>, fee_year: Option<i64>) -> String {
    let year = fee_year.map_or("no year".to_owned(), |year| year.to_string());
    match participant.filter(|key| (0..100_000_000_000_000_000).contains(key)) {
        Some(key) => format!("plan {} of {year}", IdNumber::from_key(key)),
        None => format!("plan of nobody of {year}"),
    }
}

fn batch_name(number: i64) -> String {
    format!("batch {}", BatchNumber::from_value(number as u64))
}
