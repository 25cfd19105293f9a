//! One exception with all that a decision on it needs.

use crate::domain::calendar::{FeeYear, Month};
use crate::domain::exception::Class;
use crate::domain::ids::{BatchNumber, IdNumber, InstructionNumber};
use crate::domain::ledger::{Entry, Event, Posting, PostingKey};
use crate::domain::money::Money;
use crate::pipeline::book::Dossier;
use crate::pipeline::resolving::{InstructionMatter, Righted, TransferMatter};
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
    /// What was corrected in that posting and stands, newest first.
    pub corrections: Vec<Righted>,
    /// The person and plan, where known.
    pub dossier: Option<Dossier>,
    /// The payer's money that it holds, where it is that.
    pub transfer: Option<TransferMatter>,
}

/// A posting with all that a decision on it needs, whether an exception speaks of it or not.
#[derive(Debug)]
pub struct Affair {
    /// Whom it concerns.
    pub participant: Option<IdNumber>,
    /// Which year.
    pub fee_year: Option<FeeYear>,
    /// The instruction that it answers.
    pub instruction: Option<InstructionMatter>,
    /// The posting.
    pub posting: Posting,
    /// Something took it back.
    pub is_undone: bool,
    /// What was corrected in it and stands, newest first.
    pub corrections: Vec<Righted>,
    /// The person and plan, where known.
    pub dossier: Option<Dossier>,
}

/// Reads a posting and what hangs on it.
pub fn affair(conn: &Connection, id: i64) -> Result<Option<Affair>> {
    let Some(posting) = posting(conn, id)? else { return Ok(None) };
    let mut statement = conn.prepare_cached(
        "SELECT coalesce(k.participant, i.participant, z.participant), coalesce(k.fee_year, b.fee_year),
                coalesce(k.instruction, i.id), EXISTS (SELECT 1 FROM posting_key WHERE undoes = p.id)
         FROM posting p LEFT JOIN posting_key k ON k.posting = p.id LEFT JOIN instruction i ON i.id = p.id
         LEFT JOIN zero_row z ON z.id = p.id LEFT JOIN batch b ON b.id = p.id >> 27 WHERE p.id = ?1",
    )?;
    let (person, fee_year, instruction, is_undone) = statement.query_row([id], |row| {
        let person = row.get::<_, Option<i64>>(0)?.map(IdNumber::from_key);
        Ok((person, row.get::<_, Option<FeeYear>>(1)?, row.get::<_, Option<i64>>(2)?, row.get::<_, bool>(3)?))
    })?;
    let dossier = match (person, fee_year) {
        (Some(person), Some(year)) => Some(book::dossier(conn, person, year)?),
        _ => None,
    };
    Ok(Some(Affair {
        participant: person,
        fee_year,
        instruction: instruction.map(|id| instruction_matter(conn, id)).transpose()?.flatten(),
        posting,
        is_undone,
        corrections: corrections(conn, id)?,
        dossier,
    }))
}

/// The stored number of a posting by its key as exports show it, or by its instruction's number.
pub fn posting_by_key(conn: &Connection, text: &str) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT posting FROM posting_key WHERE key = ?1")?;
    let known: Option<i64> = statement.query_row([text], |row| row.get(0)).optional()?;
    let number = InstructionNumber::parse(text.strip_prefix("ret:").unwrap_or(text));
    let (None, Some(number)) = (known, number) else { return Ok(known) };
    let mut statement =
        conn.prepare_cached("SELECT p.id FROM batch b JOIN posting p ON p.id = (b.id << 27) + ?2 WHERE b.number = ?1")?;
    Ok(statement.query_row((number.batch.value() as i64, number.sequence), |row| row.get(0)).optional()?)
}

/// The tier of the plan version by which a posting was made.
pub fn tier_of(conn: &Connection, posting: i64) -> Result<Option<Money>> {
    let mut statement = conn.prepare_cached(
        "SELECT v.tier FROM posting p LEFT JOIN posting_key k ON k.posting = p.id LEFT JOIN instruction i ON i.id = p.id
         LEFT JOIN zero_row z ON z.id = p.id LEFT JOIN batch b ON b.id = p.id >> 27
         JOIN plan_version v ON v.participant = coalesce(k.participant, i.participant, z.participant)
          AND v.fee_year = coalesce(k.fee_year, b.fee_year) AND v.version = coalesce(k.version, i.version, z.version)
         WHERE p.id = ?1",
    )?;
    Ok(statement.query_row([posting], |row| Ok(Money::from_fen(row.get(0)?))).optional()?)
}

/// Whether the ex-post subsidy of a plan has been paid out.
pub fn is_ex_post_paid(conn: &Connection, participant: IdNumber, fee_year: FeeYear) -> Result<bool> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM ex_post WHERE participant = ?1 AND fee_year = ?2 AND state = 2")?;
    Ok(statement.exists((participant.key(), fee_year))?)
}

/// The posting that credits `personal/own` for an instruction and was not taken back.
pub fn standing_of(conn: &Connection, instruction: i64) -> Result<Option<Affair>> {
    match standing(conn, instruction)? {
        Some(posting) => affair(conn, posting),
        None => Ok(None),
    }
}

/// Corrections of a posting that stand, newest first: each rights the one before it.
fn corrections(conn: &Connection, id: i64) -> Result<Vec<Righted>> {
    let mut found = Vec::new();
    let mut statement = conn.prepare_cached(
        "SELECT k.posting,
                (SELECT coalesce(sum(amount), 0) FROM entry
                 WHERE id BETWEEN k.posting * 4 AND k.posting * 4 + 3 AND debit = 3 AND credit = 2),
                (SELECT x.id FROM exception x WHERE x.posting = k.posting AND x.resolved = 0 AND x.amount =
                    (SELECT coalesce(sum(amount), 0) FROM entry
                     WHERE id BETWEEN k.posting * 4 AND k.posting * 4 + 3 AND debit = 3 AND credit = 2))
         FROM posting_key k WHERE k.corrects = ?1 AND NOT EXISTS (SELECT 1 FROM posting_key u WHERE u.undoes = k.posting)",
    )?;
    let mut target = id;
    loop {
        let next = statement
            .query_row([target], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?)))
            .optional()?;
        let Some((correction, moved, held_by)) = next else { break };
        if let Some(posting) = posting(conn, correction)? {
            found.push(Righted { posting, moved: Money::from_fen(moved), held_by });
        }
        target = correction;
    }
    found.reverse();
    Ok(found)
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
    let corrections = posting.map(|id| corrections(conn, id)).transpose()?.unwrap_or_default();
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
        corrections,
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
        "SELECT p.id FROM posting p CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3 AND e.credit = 3
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
    let entries = statement.query_and_then([id], |row| {
        let (debit, credit) = (accounts.account(row.get(0)?)?, accounts.account(row.get(1)?)?);
        Ok(Entry::new(debit, credit, Money::from_fen(row.get(2)?)))
    })?;
    let entries = entries.collect::<Result<_>>()?;
    let event = Event::ALL[usize::from(event)].0;
    Ok(Some(Posting { key: key(conn, id)?, event, booked_on, month, entries }))
}

/// The key of a stored posting.
fn key(conn: &Connection, id: i64) -> Result<PostingKey> {
    let mut statement = conn.prepare_cached("SELECT key FROM posting_key WHERE posting = ?1")?;
    let text: Option<String> = statement.query_row([id], |row| row.get(0)).optional()?;
    match text {
        Some(text) if !is_of_instruction(&text) => Ok(PostingKey::Stored(text)),
        _ => Ok(PostingKey::Return(self::number(conn, id)?)),
    }
}

/// `ret:<instruction>`: the number says it all.
fn is_of_instruction(key: &str) -> bool {
    key.strip_prefix("ret:").is_some_and(|rest| InstructionNumber::parse(rest).is_some())
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

/// How many exceptions a drop file opened, and the money that these hold.
pub fn opened_by(conn: &Connection, file: i64) -> Result<(i64, Money)> {
    let sql = "SELECT count(*), coalesce(sum(amount), 0) FROM exception WHERE file = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([file], |row| Ok((row.get(0)?, Money::from_fen(row.get(1)?))))?)
}
