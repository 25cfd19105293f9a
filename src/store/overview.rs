//! What is open: read for people who look, never for a decision.

use crate::domain::calendar::{Date, days_before};
use crate::domain::exception::Class;
use crate::domain::ids::{IdNumber, InstructionNumber};
use crate::domain::money::Money;
use crate::store::facts::{Fact, Facts, day, number, or_none, sender, text, text_of, word};
use crate::store::{FileState, Result, book, date, words};
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
    /// Why it was opened.
    pub reason: String,
    /// What was decided, and why.
    pub resolution: String,
}

/// Every exception, oldest first.
pub fn queue(conn: &Connection) -> Result<Vec<Queued>> {
    let mut statement = conn.prepare_cached(
        "SELECT x.id, x.class, x.resolved, x.participant, b.number, x.instruction, x.amount, x.opened_on, x.reason, x.resolution
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
        reason: row.get(8)?,
        resolution: row.get(9)?,
    })
}

/// Drop files that have no final state yet.
pub fn unfinished_files(conn: &Connection, today: Date) -> Result<Facts> {
    let mut facts = Facts::new("files", &["file", "name", "from", "arrived", "state", "rows", "late"]);
    let sql = "SELECT id, name, sender, arrived, state, progress FROM file WHERE state IN (0, 1) ORDER BY id";
    facts.read(conn, sql, [], |row| {
        let late = Fact::Flag(date(row.get(3)?) < today);
        let state = word(row, 4, |state| FileState::ALL[state as usize].0.word())?;
        Ok(vec![number(row, 0)?, text(row, 1)?, sender(row, 2)?, day(row, 3)?, state, number(row, 5)?, late])
    })?;
    Ok(facts)
}

/// Drop files of the last 30 days of which nothing took effect, newest first, until the same sender's file of that name
/// was taken.
pub fn quarantined_files(conn: &Connection, today: Date) -> Result<Facts> {
    let mut facts = Facts::new("quarantined", &["file", "name", "from", "arrived", "reason"]);
    let since = days_before(today, 30);
    let sql = "SELECT id, name, sender, arrived, reason FROM file f WHERE state = ?1 AND arrived >= ?2
               AND NOT EXISTS (SELECT 1 FROM file g WHERE g.id > f.id AND g.sender = f.sender AND g.name = f.name
                               AND g.state = ?3)
               ORDER BY id DESC LIMIT 20";
    let states = (FileState::Quarantined as i64, crate::store::day(since), FileState::Processed as i64);
    facts.read(conn, sql, states, |row| {
        Ok(vec![number(row, 0)?, text(row, 1)?, sender(row, 2)?, day(row, 3)?, text(row, 4)?])
    })?;
    Ok(facts)
}

/// What is decided and not yet published.
pub fn outbox(conn: &Connection) -> Result<Facts> {
    let mut facts = Facts::new("outbox", &["from", "name"]);
    facts
        .read(conn, "SELECT folder, name FROM outbox ORDER BY id", [], |row| Ok(vec![text(row, 0)?, text(row, 1)?]))?;
    Ok(facts)
}

/// Windows that nobody served, the newest ten.
pub fn missed_windows(conn: &Connection) -> Result<Facts> {
    let mut facts = Facts::new("windows", &["day", "step", "at"]);
    let sql = "SELECT day, step, at FROM window WHERE state = 'missed' ORDER BY day DESC, at DESC LIMIT 10";
    facts.read(conn, sql, [], |row| Ok(vec![day(row, 0)?, or_none(text_of(row, 1)?, Fact::Word), text(row, 2)?]))?;
    Ok(facts)
}

/// The newest accepted list of each payer, district and recognition year.
pub fn newest_lists(conn: &Connection) -> Result<Facts> {
    let columns = &["payer", "district", "recognized_year", "as_of", "accepted", "file", "late"];
    let mut facts = Facts::new("lists", columns);
    let sql = "SELECT payer, district, year, as_of, accepted, file, late FROM list
               WHERE file IN (SELECT max(file) FROM list GROUP BY payer, district, year)
               ORDER BY year DESC, payer, district";
    facts.read(conn, sql, [], |row| {
        Ok(vec![
            word(row, 0, |payer| words::payer(payer).word())?,
            text(row, 1)?,
            number(row, 2)?,
            day(row, 3)?,
            day(row, 4)?,
            number(row, 5)?,
            Fact::Flag(row.get(6)?),
        ])
    })?;
    Ok(facts)
}
