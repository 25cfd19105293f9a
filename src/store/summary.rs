//! Counts of a fee year, for people and for metrics.

use crate::domain::calendar::FeeYear;
use crate::domain::money::Money;
use crate::store::{Result, words};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Where a fee year stands.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Plans by the word of their state.
    pub plans: BTreeMap<&'static str, u64>,
    /// Instructions by the word of their state, all attempts.
    pub instructions: BTreeMap<&'static str, u64>,
    /// Open exceptions by class: how many, and how much money they hold.
    pub exceptions: BTreeMap<String, (u64, Money)>,
}

impl Summary {
    /// Instructions in a state.
    pub fn instructions_in(&self, word: &str) -> u64 {
        self.instructions.get(word).copied().unwrap_or_default()
    }
}

/// Deemed entries that were neither taken back nor corrected away: a pass over the ledger.
pub fn deemed_entries(conn: &Connection) -> Result<u64> {
    let sql = "SELECT coalesce(sum((credit = 4) - (debit = 4)), 0) FROM entry";
    Ok(conn.query_row(sql, [], |row| row.get::<_, i64>(0))? as u64)
}

/// Counts a fee year; exceptions of all years.
pub fn summary(conn: &Connection, fee_year: FeeYear) -> Result<Summary> {
    let mut found = Summary::default();
    let mut statement = conn.prepare("SELECT state, count(*) FROM plan_now WHERE fee_year = ?1 GROUP BY state")?;
    let mut rows = statement.query([fee_year])?;
    while let Some(row) = rows.next()? {
        found.plans.insert(words::plan_state(row.get(0)?).word(), row.get::<_, i64>(1)? as u64);
    }
    let mut statement = conn.prepare(
        "SELECT s.state, count(*) FROM batch b JOIN instruction_state s ON s.id BETWEEN b.id << 27 AND ((b.id + 1) << 27) - 1
         WHERE b.fee_year = ?1 GROUP BY s.state",
    )?;
    let mut rows = statement.query([fee_year])?;
    while let Some(row) = rows.next()? {
        found.instructions.insert(words::instruction_state(row.get(0)?).word(), row.get::<_, i64>(1)? as u64);
    }
    let mut statement =
        conn.prepare("SELECT class, count(*), sum(amount) FROM exception WHERE resolved = 0 GROUP BY class")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let held = Money::from_fen(row.get(2)?);
        found.exceptions.insert(row.get(0)?, (row.get::<_, i64>(1)? as u64, held));
    }
    Ok(found)
}
