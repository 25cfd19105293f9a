//! What is open: read for people who look, never for a decision.

use crate::domain::calendar::Date;
use crate::domain::exception::Class;
use crate::domain::ids::{IdNumber, InstructionNumber};
use crate::domain::money::Money;
use crate::store::{Result, book, date};
use rusqlite::{Connection, Row};

/// An exception as the queue shows it.
#[derive(Debug)]
pub struct Queued {
    /// Its id.
    pub id: i64,
    /// Its class.
    pub class: Class,
    /// A clerk has decided.
    pub resolved: bool,
    /// Whom it concerns.
    pub participant: Option<IdNumber>,
    /// Which instruction.
    pub instruction: Option<InstructionNumber>,
    /// Money that it holds now.
    pub amount: Money,
    /// Since when.
    pub opened_on: Date,
    /// What was decided, and why.
    pub resolution: String,
}

/// Every exception, oldest first.
pub fn queue(conn: &Connection) -> Result<Vec<Queued>> {
    let mut statement = conn.prepare_cached(
        "SELECT x.id, x.class, x.resolved, x.participant, b.number, x.instruction, x.amount, x.opened_on, x.resolution
         FROM exception x LEFT JOIN batch b ON b.id = x.instruction >> 27 ORDER BY x.id",
    )?;
    let rows = statement.query_map([], queued)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn queued(row: &Row<'_>) -> rusqlite::Result<Queued> {
    let class: String = row.get(1)?;
    let (batch, instruction): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?);
    Ok(Queued {
        id: row.get(0)?,
        class: Class::parse(&class).expect("a stored class is one of ours"),
        resolved: row.get(2)?,
        participant: row.get::<_, Option<i64>>(3)?.map(IdNumber::from_key),
        instruction: batch.zip(instruction).map(|(batch, id)| book::number(batch, id)),
        amount: Money::from_fen(row.get(6)?),
        opened_on: date(row.get(7)?),
        resolution: row.get(8)?,
    })
}
