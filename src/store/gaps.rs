//! What should be there and is not: numbers that were skipped, answers that were passed over, instructions that grow old.

use crate::domain::calendar::Date;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::InstructionState;
use crate::store::{Result, date, day};
use rusqlite::Connection;

/// A gap in a sequence, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Of the numbers that we gave on one day for one bank not all are stored: `drafted_on` (yyyymmdd), bank, how many
    /// are there, the highest.
    Given(i64, i64, i64, i64),
    /// The bank answered a batch that was sent later, and said nothing of this one.
    PassedOver {
        /// Not answered.
        batch: BatchNumber,
        /// Sent later, answered.
        answered: BatchNumber,
    },
    /// Of the parts of an answer not all are there: how many are, and the highest.
    Part(BatchNumber, i64, i64),
}

/// Every gap, oldest first.
pub fn gaps(conn: &Connection) -> Result<Vec<Gap>> {
    let number = |value: i64| BatchNumber::from_value(value as u64);
    let mut given = conn.prepare_cached(
        "SELECT number / 100000000, bank, count(*), max(number % 1000000) FROM batch
         GROUP BY number / 1000000 HAVING count(*) <> max(number % 1000000) ORDER BY 1, 2",
    )?;
    let given = given.query_map([], |row| Ok(Gap::Given(row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let mut gaps: Vec<Gap> = given.collect::<rusqlite::Result<_>>()?;
    let mut passed = conn.prepare_cached(
        "SELECT u.number, min(l.number) FROM batch u
         JOIN batch l ON l.bank = u.bank AND l.sent_on > u.sent_on AND l.answered_on IS NOT NULL
         WHERE u.state IN (3, 4) AND u.bank > 0 GROUP BY u.id ORDER BY u.id",
    )?;
    let passed = passed
        .query_map([], |row| Ok(Gap::PassedOver { batch: number(row.get(0)?), answered: number(row.get(1)?) }))?;
    gaps.extend(passed.collect::<rusqlite::Result<Vec<_>>>()?);
    let mut parts = conn.prepare_cached(
        "SELECT b.number, count(DISTINCT p.part), max(p.part) FROM batch_part p JOIN batch b ON b.id = p.batch
         WHERE b.state IN (3, 4, 5) GROUP BY b.id HAVING count(DISTINCT p.part) <> max(p.part) ORDER BY b.id",
    )?;
    let parts = parts.query_map([], |row| Ok(Gap::Part(number(row.get(0)?), row.get(1)?, row.get(2)?)))?;
    gaps.extend(parts.collect::<rusqlite::Result<Vec<_>>>()?);
    Ok(gaps)
}

/// Batches debited by a day of which instructions are still at the bank or of unknown result: batch, debit date, how
/// many. Reads every state: ask only where the store moved.
pub fn open_since(conn: &Connection, until: Date) -> Result<Vec<(BatchNumber, Date, i64)>> {
    let mut statement = conn.prepare_cached(
        "SELECT b.number, b.debit_on, count(*) FROM instruction_state s JOIN batch b ON b.id = s.id >> 27
         WHERE s.state IN (?1, ?2) AND b.debit_on <= ?3 GROUP BY b.id ORDER BY b.id",
    )?;
    let states = (InstructionState::Sent as i64, InstructionState::Unknown as i64, day(until));
    let rows = statement.query_map(states, |row| {
        Ok((BatchNumber::from_value(row.get::<_, i64>(0)? as u64), date(row.get(1)?), row.get(2)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
