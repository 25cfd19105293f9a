//! One exception with all that a decision on it needs.

use crate::domain::calendar::{FeeYear, Month};
use crate::domain::exception::Class;
use crate::domain::ids::{BatchNumber, IdNumber, InstructionNumber};
use crate::domain::ledger::{Entry, Event, Posting, PostingKey};
use crate::domain::money::Money;
use crate::pipeline::book::Dossier;
use crate::pipeline::resolving::{InstructionMatter, TransferMatter};
use crate::store::chain::Txn;
use crate::store::words::{self, Accounts};
use crate::store::{Result, book, date, transfers};
use rusqlite::{Connection, OptionalExtension};

/// A stored exception.
#[derive(Debug)]
pub struct StoredException {
    /// Its id.
    pub id: i64,
    /// Its class.
    pub class: Class,
    /// A clerk has decided.
    pub resolved: bool,
    /// Whom it concerns.
    pub participant: Option<IdNumber>,
    /// Which year.
    pub fee_year: Option<FeeYear>,
    /// Money that it holds.
    pub amount: Money,
    /// The instruction that it concerns.
    pub instruction: Option<InstructionMatter>,
    /// How often the bank has answered for its instruction.
    pub answers: i64,
    /// The posting that holds its money, or that stands for its instruction.
    pub posting: Option<Posting>,
    /// The person and plan, where known.
    pub dossier: Option<Dossier>,
    /// The payer's money that it holds, where it is that.
    pub transfer: Option<TransferMatter>,
}

/// Reads an exception.
pub fn read(conn: &Connection, id: i64) -> Result<Option<StoredException>> {
    let mut statement = conn.prepare_cached(
        "SELECT class, resolved, participant, fee_year, instruction, amount, posting FROM exception WHERE id = ?1",
    )?;
    let row = statement
        .query_row([id], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, bool>(1)?,
                row.get::<_, Option<i64>>(2)?.map(IdNumber::from_key),
                row.get::<_, Option<FeeYear>>(3)?,
                row.get::<_, Option<i64>>(4)?,
                Money::from_fen(row.get(5)?),
                row.get::<_, Option<i64>>(6)?,
            ))
        })
        .optional()?;
    let Some((class, resolved, participant, fee_year, instruction, amount, posting)) = row else { return Ok(None) };
    let transfer = posting.map(|id| transfers::matter(conn, id)).transpose()?.flatten();
    let matter = instruction.map(|id| instruction_matter(conn, id)).transpose()?.flatten();
    let posting = match (posting, instruction) {
        (Some(id), _) => Some(id),
        (None, Some(id)) => standing(conn, id)?,
        (None, None) => None,
    };
    let dossier = match (participant, fee_year) {
        (Some(person), Some(year)) => Some(book::dossier(conn, person, year)?),
        _ => None,
    };
    Ok(Some(StoredException {
        id,
        class: Class::parse(&class).expect("a stored class is one of ours"),
        resolved,
        participant,
        fee_year,
        amount,
        instruction: matter,
        answers: answers(conn, instruction)?,
        posting: posting.map(|id| self::posting(conn, id)).transpose()?.flatten(),
        dossier,
        transfer,
    }))
}

fn answers(conn: &Connection, instruction: Option<i64>) -> Result<i64> {
    let mut statement = conn.prepare_cached(
        "SELECT (SELECT count(*) FROM answer WHERE instruction = ?1)
              + (SELECT count(*) FROM later_answer WHERE instruction = ?1)",
    )?;
    Ok(statement.query_row([instruction], |row| row.get(0))?)
}

fn instruction_matter(conn: &Connection, id: i64) -> Result<Option<InstructionMatter>> {
    let mut statement = conn.prepare_cached(
        "SELECT b.number, s.state, i.amount, i.version FROM instruction i JOIN instruction_state s ON s.id = i.id
         JOIN batch b ON b.id = i.id >> 27 WHERE i.id = ?1",
    )?;
    let found = statement
        .query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get(3)?)))
        .optional()?;
    let Some((batch, state, amount, version)) = found else { return Ok(None) };
    let Some((_, line)) = book::batch(conn, BatchNumber::from_value(batch as u64))? else { return Ok(None) };
    Ok(Some(InstructionMatter {
        number: book::number(batch, id),
        state: words::instruction_state(state),
        amount: Money::from_fen(amount),
        version,
        batch: line,
    }))
}

/// The posting that credits `personal/own` for an instruction and was not taken back.
fn standing(conn: &Connection, instruction: i64) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached(
        "SELECT p.id FROM posting p JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3 AND e.credit = 3
         WHERE p.id IN (SELECT ?1 UNION ALL SELECT posting FROM posting_key WHERE instruction = ?1)
           AND NOT EXISTS (SELECT 1 FROM posting_key u WHERE u.undoes = p.id) LIMIT 1",
    )?;
    Ok(statement.query_row([instruction], |row| row.get(0)).optional()?)
}

/// A posting as stored.
pub fn posting(conn: &Connection, id: i64) -> Result<Option<Posting>> {
    let accounts = Accounts::load(conn)?;
    let mut statement = conn.prepare_cached("SELECT event, booked_on, month FROM posting WHERE id = ?1")?;
    let head = statement
        .query_row([id], |row| Ok((row.get::<_, u8>(0)?, date(row.get(1)?), Month::from_value(row.get(2)?))))
        .optional()?;
    let Some((event, booked_on, month)) = head else { return Ok(None) };
    let mut statement = conn
        .prepare_cached("SELECT debit, credit, amount FROM entry WHERE id BETWEEN ?1 * 4 AND ?1 * 4 + 3 ORDER BY id")?;
    let mut rows = statement.query([id])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let (debit, credit) = (accounts.account(row.get(0)?)?, accounts.account(row.get(1)?)?);
        entries.push(Entry::new(debit, credit, Money::from_fen(row.get(2)?)));
    }
    let event = Event::ALL[usize::from(event)].0;
    Ok(Some(Posting { key: key(conn, id)?, event, booked_on, month, entries }))
}

/// The key of a stored posting.
fn key(conn: &Connection, id: i64) -> Result<PostingKey> {
    let mut statement = conn.prepare_cached("SELECT key FROM posting_key WHERE posting = ?1")?;
    let text: Option<String> = statement.query_row([id], |row| row.get(0)).optional()?;
    match text {
        Some(text) if !text.starts_with("ret:") || text.contains('#') => Ok(PostingKey::Stored(text)),
        _ => Ok(PostingKey::Return(self::number(conn, id)?)),
    }
}

fn number(conn: &Connection, id: i64) -> Result<InstructionNumber> {
    let mut statement = conn.prepare_cached("SELECT number FROM batch WHERE id = ?1 >> 27")?;
    let batch: i64 = statement.query_row([id], |row| row.get(0))?;
    Ok(book::number(batch, id))
}

impl Txn<'_> {
    /// What a clerk said of a name (R17) or of an account's holder (R18).
    pub fn confirm(&self, participant: IdNumber, class: Class, name: &str) -> Result<()> {
        self.tx.prepare_cached("INSERT OR IGNORE INTO confirmation VALUES (?1, ?2, ?3)")?.execute((
            participant.key(),
            class.word(),
            name,
        ))?;
        Ok(())
    }

    /// The open connection of the transaction.
    pub fn connection(&self) -> &Connection {
        &self.tx
    }
}
