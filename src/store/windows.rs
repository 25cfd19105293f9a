//! The windows of the schedule, as they were stored: day, step, time, state. What they mean is the daemon's.

use crate::domain::calendar::Date;
use crate::store::chain::Txn;
use crate::store::{Result, Store, date, day};

/// One stored window: its day, its step, its time `HH:MM`, its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWindow {
    /// Its working day.
    pub day: Date,
    /// `plan`, `instruct`, `send`.
    pub step: String,
    /// When it opened, `HH:MM`.
    pub at: String,
    /// `due`, `done`, `missed`.
    pub state: String,
}

impl Store {
    /// Every window that is due, and the newest of each step.
    pub fn windows(&self) -> Result<Vec<StoredWindow>> {
        let mut statement = self.connection().prepare_cached(
            "SELECT day, step, at, state FROM window AS w
             WHERE state = 'due' OR day = (SELECT max(day) FROM window WHERE step = w.step) ORDER BY day, step",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(StoredWindow { day: date(row.get(0)?), step: row.get(1)?, at: row.get(2)?, state: row.get(3)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How many windows passed while no daemon ran.
    pub fn windows_missed(&self) -> Result<i64> {
        let mut statement = self.connection().prepare_cached("SELECT count(*) FROM window WHERE state = 'missed'")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }
}

impl Txn<'_> {
    /// Stores a window, or what became of it.
    pub fn put_window(&self, window: &StoredWindow) -> Result<()> {
        self.tx
            .prepare_cached("INSERT OR REPLACE INTO window (day, step, at, state) VALUES (?1, ?2, ?3, ?4)")?
            .execute((day(window.day), &window.step, &window.at, &window.state))?;
        Ok(())
    }
}
