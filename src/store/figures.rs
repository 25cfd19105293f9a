//! Counts over the whole store, for the figures that are scraped. Nothing here says who.

use crate::domain::calendar::Date;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::BatchState;
use crate::store::files::FileState;
use crate::store::{Result, date, words};
use rusqlite::Connection;

/// Drop files of one kind in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCount {
    /// Kind of file.
    pub kind: String,
    /// Their state.
    pub state: FileState,
    /// How many.
    pub files: i64,
    /// Rows that took effect.
    pub accepted: i64,
    /// Rows refused.
    pub refused: i64,
}

/// Drop files by kind and state.
pub fn files(conn: &Connection) -> Result<Vec<FileCount>> {
    let mut statement = conn
        .prepare_cached("SELECT kind, state, count(*), sum(accepted), sum(refused) FROM file GROUP BY kind, state")?;
    let rows = statement.query_map([], |row| {
        let state: u8 = row.get(1)?;
        let (files, accepted, refused) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(FileCount { kind: row.get(0)?, state: FileState::ALL[usize::from(state)].0, files, accepted, refused })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Postings by event.
pub fn postings(conn: &Connection) -> Result<Vec<(&'static str, i64)>> {
    counts(conn, "SELECT event, count(*) FROM posting GROUP BY event", |value| words::event(value).word())
}

/// Instructions by state.
pub fn instructions(conn: &Connection) -> Result<Vec<(&'static str, i64)>> {
    let sql = "SELECT state, count(*) FROM instruction_state GROUP BY state";
    counts(conn, sql, |value| words::instruction_state(value).word())
}

/// Batches by state.
pub fn batches(conn: &Connection) -> Result<Vec<(&'static str, i64)>> {
    counts(conn, "SELECT state, count(*) FROM batch GROUP BY state", |value| words::batch_state(value).word())
}

/// Open exceptions by class.
pub fn open_exceptions(conn: &Connection) -> Result<Vec<(String, i64)>> {
    let mut statement =
        conn.prepare_cached("SELECT class, count(*) FROM exception WHERE resolved = 0 GROUP BY class")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Settlements by state.
pub fn settlements(conn: &Connection) -> Result<Vec<(&'static str, i64)>> {
    let sql = "SELECT state, count(*) FROM settlement GROUP BY state";
    counts(conn, sql, |value| words::settlement_state(value).word())
}

/// Ex-post subsidies by state.
pub fn ex_post(conn: &Connection) -> Result<Vec<(&'static str, i64)>> {
    counts(conn, "SELECT state, count(*) FROM ex_post GROUP BY state", |value| words::ex_post_state(value).word())
}

/// Files of the feed by how far they have come.
pub fn feed_files(conn: &Connection) -> Result<Vec<(&'static str, i64)>> {
    let sql = "SELECT CASE WHEN acked_on IS NOT NULL THEN 2 ELSE is_out END, count(*) FROM feed_file GROUP BY 1";
    counts(conn, sql, |value| ["unpublished", "unacknowledged", "acknowledged"][value as usize])
}

/// A batch that a bank has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Its number.
    pub batch: BatchNumber,
    /// Whether we have evidence that the bank has it.
    pub state: BatchState,
    /// When it was sent.
    pub sent_on: Option<Date>,
}

/// Batches that are out and not answered, oldest first.
pub fn unanswered(conn: &Connection) -> Result<Vec<Unanswered>> {
    let mut statement =
        conn.prepare_cached("SELECT number, state, sent_on FROM batch WHERE state IN (3, 4) ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        Ok(Unanswered {
            batch: BatchNumber::from_value(row.get::<_, i64>(0)? as u64),
            state: words::batch_state(row.get(1)?),
            sent_on: row.get::<_, Option<i64>>(2)?.map(date),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn counts(conn: &Connection, sql: &str, word: impl Fn(i64) -> &'static str) -> Result<Vec<(&'static str, i64)>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((word(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
