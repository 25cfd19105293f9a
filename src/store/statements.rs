//! Statements of the collection account (R22): their lines, and what the ledger says moved on that account.

use crate::domain::calendar::{Date, FeeYear, Month};
use crate::domain::ids::{BatchNumber, IdNumber, InstructionNumber};
use crate::domain::ledger::{Event, PostingKey};
use crate::domain::money::Money;
use crate::domain::participant::BankNumber;
use crate::domain::reconciling::Bundle;
use crate::domain::returns::Outcome;
use crate::pipeline::intake::StatementRow;
use crate::store::apply::range;
use crate::store::book::SEQUENCE_BITS;
use crate::store::chain::Txn;
use crate::store::{Result, book, date, day, words};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The line of this bank and serial, if it came before; its bank is the one asked for.
pub fn line(conn: &Connection, bank: BankNumber, serial: &str) -> Result<Option<StatementRow>> {
    let mut statement =
        conn.prepare_cached("SELECT booked_on, reference, amount FROM statement WHERE bank = ?1 AND serial = ?2")?;
    let found = statement.query_row((bank.0, serial), |row| {
        Ok(StatementRow {
            bank,
            booked_on: date(row.get(0)?),
            reference: row.get(1)?,
            amount: Money::from_fen(row.get(2)?),
            serial: serial.to_owned(),
        })
    });
    Ok(found.optional()?)
}

/// The first day of the month of the oldest line: from then on the ledger is held against statements. `None` until
/// the first statement comes.
pub fn in_use_since(conn: &Connection) -> Result<Option<Date>> {
    let oldest: Option<i64> = conn.query_row("SELECT min(booked_on) FROM statement", [], |row| row.get(0))?;
    Ok(oldest.map(|oldest| date(oldest / 100 * 100 + 1)))
}

/// A posting on the collection account that no line of a statement shows by itself.
#[derive(Clone, Debug)]
pub struct Unshown {
    /// Its stored number.
    pub posting: i64,
    /// Its key.
    pub key: String,
    /// What happened.
    pub event: Event,
    /// What it moved; money going out is negative.
    pub amount: Money,
    /// The instruction that it concerns.
    pub instruction: Option<i64>,
}

/// Postings under keys of their own that no line shows yet.
pub fn unshown(conn: &Connection) -> Result<Vec<Unshown>> {
    let mut found = keyed(conn)?;
    found.retain(|keyed| keyed.shown_by.is_none());
    Ok(found
        .into_iter()
        .map(|keyed| Unshown {
            posting: keyed.posting,
            key: keyed.key,
            event: keyed.event,
            amount: keyed.amount,
            instruction: keyed.instruction,
        })
        .collect())
}

/// A posting on the collection account whose number is not that of an instruction.
struct Keyed {
    posting: i64,
    key: String,
    event: Event,
    booked_on: Date,
    amount: Money,
    instruction: Option<i64>,
    undoes: Option<i64>,
    file: Option<i64>,
    /// The bank whose statement shows it by itself.
    shown_by: Option<BankNumber>,
}

fn keyed(conn: &Connection) -> Result<Vec<Keyed>> {
    let mut statement = conn.prepare_cached(
        "SELECT p.id, k.key, p.event, p.booked_on, sum(CASE WHEN e.debit = 1 THEN e.amount ELSE -e.amount END),
                k.instruction, k.undoes, k.file, (SELECT s.bank FROM statement s WHERE s.posting = p.id)
         FROM posting p JOIN posting_key k ON k.posting = p.id
         CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3 AND (e.debit = 1 OR e.credit = 1)
         WHERE p.id < ?1 GROUP BY p.id ORDER BY p.id",
    )?;
    let rows = statement.query_map([1_i64 << SEQUENCE_BITS], |row| {
        Ok(Keyed {
            posting: row.get(0)?,
            key: row.get(1)?,
            event: words::event(row.get(2)?),
            booked_on: date(row.get(3)?),
            amount: Money::from_fen(row.get(4)?),
            instruction: row.get(5)?,
            undoes: row.get(6)?,
            file: row.get(7)?,
            shown_by: row.get::<_, Option<u8>>(8)?.map(BankNumber),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Money of one bundle on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What it belongs to.
    pub bundle: Bundle,
    /// The bank, where it is known.
    pub bank: Option<BankNumber>,
    /// Booking date.
    pub on: Date,
    /// How much; money going out is negative.
    pub amount: Money,
    /// How many postings or lines.
    pub count: i64,
}

/// What the ledger says moved on the collection account.
pub fn ledger(conn: &Connection) -> Result<Vec<Moved>> {
    let numbers = batch_numbers(conn)?;
    let mut moved = of_batches(conn, &numbers)?;
    let keyed = keyed(conn)?;
    let places: HashMap<i64, usize> = keyed.iter().enumerate().map(|(place, keyed)| (keyed.posting, place)).collect();
    let files = batches_of_files(conn)?;
    for one in &keyed {
        let bundle = match one.shown_by {
            Some(_) => Bundle::Posting(one.key.clone()),
            None => bundle(one, &keyed, &places, &numbers, &files),
        };
        let bank = match &bundle {
            Bundle::Batch(number) => Some(BankNumber(number.bank())),
            _ => one.shown_by,
        };
        moved.push(Moved { bundle, bank, on: one.booked_on, amount: one.amount, count: 1 });
    }
    Ok(moved)
}

/// First money of instructions, by batch and day, as it was added up when it was posted.
fn of_batches(conn: &Connection, numbers: &HashMap<i64, BatchNumber>) -> Result<Vec<Moved>> {
    let sql = "SELECT batch, booked_on, amount, count FROM batch_day ORDER BY batch, booked_on";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        let number = numbers[&row.get::<_, i64>(0)?];
        Ok(Moved {
            bundle: Bundle::Batch(number),
            bank: Some(BankNumber(number.bank())),
            on: date(row.get(1)?),
            amount: Money::from_fen(row.get(2)?),
            count: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn batch_numbers(conn: &Connection) -> Result<HashMap<i64, BatchNumber>> {
    let mut statement = conn.prepare_cached("SELECT id, number FROM batch")?;
    let numbers =
        statement.query_map([], |row| Ok((row.get(0)?, BatchNumber::from_value(row.get::<_, i64>(1)? as u64))))?;
    Ok(numbers.collect::<rusqlite::Result<_>>()?)
}

/// The batch that a return file answers: money under a strange number in it is in the bank's sum for that batch.
fn batches_of_files(conn: &Connection) -> Result<HashMap<i64, i64>> {
    let mut statement = conn.prepare_cached("SELECT file, batch FROM batch_part")?;
    let files = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(files.collect::<rusqlite::Result<_>>()?)
}

/// A reversal that no line shows takes its money out of what its original belongs to.
fn bundle(
    one: &Keyed,
    all: &[Keyed],
    places: &HashMap<i64, usize>,
    numbers: &HashMap<i64, BatchNumber>,
    files: &HashMap<i64, i64>,
) -> Bundle {
    let batch = |id: i64| numbers.get(&id).map(|number| Bundle::Batch(*number));
    let alone = || Bundle::Posting(one.key.clone());
    if let Some(original) = one.undoes {
        let of_instruction = (original >= 1 << SEQUENCE_BITS).then_some(original >> SEQUENCE_BITS);
        return match (of_instruction, places.get(&original)) {
            (Some(id), _) => batch(id).unwrap_or_else(alone),
            (None, Some(place)) => bundle(&all[*place], all, places, numbers, files),
            // What it takes back had not moved the account: money that had come by way of suspense.
            (None, None) => one.instruction.and_then(|id| batch(id >> SEQUENCE_BITS)).unwrap_or_else(alone),
        };
    }
    match one.key.split_once(':') {
        Some(("ret", _)) => {
            let by_file = || one.file.and_then(|file| files.get(&file)).copied();
            let id = one.instruction.map(|id| id >> SEQUENCE_BITS).or_else(by_file);
            id.and_then(batch).unwrap_or_else(alone)
        }
        Some(("pay", rest)) => Bundle::Channel(rest.split(':').next().unwrap_or_default().to_owned()),
        _ => alone(),
    }
}

/// What the statements show, by bundle and day.
pub fn shown(conn: &Connection) -> Result<Vec<Moved>> {
    let mut statement = conn.prepare_cached(
        "SELECT s.bundle, s.bank, s.booked_on, sum(s.amount), count(*), k.key
         FROM statement s LEFT JOIN posting_key k ON k.posting = s.posting
         GROUP BY s.bundle, k.key, s.bank, s.booked_on ORDER BY s.booked_on, s.bundle",
    )?;
    let rows = statement.query_map([], |row| {
        let key: Option<String> = row.get(5)?;
        let text: String = row.get(0)?;
        let bundle = key.map(Bundle::Posting).or_else(|| Bundle::parse(&text));
        Ok(Moved {
            bundle: bundle.unwrap_or(Bundle::Line(text)),
            bank: Some(BankNumber(row.get(1)?)),
            on: date(row.get(2)?),
            amount: Money::from_fen(row.get(3)?),
            count: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Instructions of a bank whose deduction had one of these serials. One pass: serials have no index.
pub fn instructions_of_serials(
    conn: &Connection,
    serials: &BTreeSet<(u8, String)>,
) -> Result<BTreeMap<(u8, String), Vec<i64>>> {
    let mut found: BTreeMap<(u8, String), Vec<i64>> = BTreeMap::new();
    if serials.is_empty() {
        return Ok(found);
    }
    let mut sought: Vec<String> = serials.iter().map(|(_, serial)| serial.clone()).collect();
    sought.dedup();
    let sought = json_texts(&sought);
    for table in ["answer", "later_answer"] {
        let mut statement = conn.prepare(&format!(
            "SELECT b.bank, a.serial, a.instruction FROM {table} a JOIN batch b ON b.id = a.instruction >> 27
             WHERE a.serial IN (SELECT value FROM json_each(?1)) AND a.actual > 0"
        ))?;
        let mut rows = statement.query([&sought])?;
        while let Some(row) = rows.next()? {
            let key = (row.get::<_, u8>(0)?, row.get::<_, String>(1)?);
            if serials.contains(&key) {
                let of_key = found.entry(key).or_default();
                let instruction = row.get(2)?;
                if !of_key.contains(&instruction) {
                    of_key.push(instruction);
                }
            }
        }
    }
    Ok(found)
}

/// Texts as a JSON array, for a statement that takes a set.
fn json_texts(texts: &[String]) -> String {
    let quoted = texts.iter().map(|text| {
        let escaped: String = text
            .chars()
            .flat_map(|c| match c {
                '"' | '\\' => vec!['\\', c],
                c => vec![c],
            })
            .collect();
        format!("\"{escaped}\"")
    });
    format!("[{}]", quoted.collect::<Vec<_>>().join(","))
}

/// The stored number of one of our instructions, with its bank.
pub fn instruction(conn: &Connection, number: InstructionNumber) -> Result<Option<(i64, u8)>> {
    let mut statement = conn.prepare_cached(
        "SELECT i.id, b.bank FROM batch b JOIN instruction i ON i.id = (b.id << 27) + ?2 WHERE b.number = ?1",
    )?;
    let found = statement
        .query_row((number.batch.value() as i64, number.sequence), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found)
}

/// An open exception that holds money.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its number.
    pub exception: i64,
    /// The key of the posting that put the money there.
    pub key: String,
}

/// Open exceptions about an instruction that hold exactly this much, all of what their postings put into suspense.
pub fn held(conn: &Connection, instruction: i64, amount: Money) -> Result<Vec<Held>> {
    held_where(conn, "x.instruction = ?1", instruction, amount)
}

/// The open exception that holds the money of a posting, all of it.
pub fn held_by(conn: &Connection, posting: i64, amount: Money) -> Result<Option<Held>> {
    Ok(held_where(conn, "x.posting = ?1", posting, amount)?.into_iter().next())
}

fn held_where(conn: &Connection, whose: &str, id: i64, amount: Money) -> Result<Vec<Held>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT x.id, coalesce(k.key, '') FROM exception x
         JOIN entry e ON e.id = x.posting * 4 AND e.debit = 1 AND e.credit = 2 AND e.amount = x.amount
         LEFT JOIN posting_key k ON k.posting = x.posting
         WHERE x.resolved = 0 AND x.amount = ?2 AND {whose} ORDER BY x.id"
    ))?;
    let rows = statement.query_map((id, amount.fen()), |row| Ok(Held { exception: row.get(0)?, key: row.get(1)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Payments with this reference that moved exactly this much.
pub fn payments_of(conn: &Connection, reference: &str, amount: Money) -> Result<Vec<(i64, String)>> {
    let mut statement = conn.prepare_cached(
        "SELECT k.posting, k.key FROM posting_key k JOIN entry e ON e.id = k.posting * 4 AND e.debit = 1
         WHERE k.key >= 'pay:' AND k.key < 'pay;' AND e.amount = ?2 AND substr(k.key, -length(?1) - 1) = ':' || ?1",
    )?;
    let rows = statement.query_map((reference, amount.fen()), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The posting of a key.
pub fn posting_of(conn: &Connection, key: &str) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT posting FROM posting_key WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// The posting of money that nothing explained, of a bank and serial.
pub fn unexplained(conn: &Connection, bank: BankNumber, serial: &str) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached(
        "SELECT s.posting FROM statement s JOIN posting_key k ON k.posting = s.posting AND k.key LIKE 'stm:%'
         WHERE s.bank = ?1 AND s.serial = ?2",
    )?;
    Ok(statement.query_row((bank.0, serial), |row| row.get(0)).optional()?)
}

/// Unexplained money with this reference and amount that still waits: exception, posting, and the line's day.
pub fn waiting_for(conn: &Connection, reference: &str, amount: Money) -> Result<Vec<(i64, i64, Date)>> {
    let mut statement = conn.prepare_cached(
        "SELECT x.id, s.posting, s.booked_on FROM statement s INDEXED BY statement_waiting
         CROSS JOIN exception x ON x.posting = s.posting
         WHERE s.reference = ?1 AND s.amount = ?2 AND s.posting IS NOT NULL
           AND x.class = 'unknown-money' AND x.resolved = 0 AND x.amount = ?2",
    )?;
    let rows =
        statement.query_map((reference, amount.fen()), |row| Ok((row.get(0)?, row.get(1)?, date(row.get(2)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether something was said in exactly these words before, resolved or not.
pub fn was_said(conn: &Connection, class: &str, reason: &str) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM exception WHERE class = ?1 AND reason = ?2")?.exists((class, reason))?)
}

/// Instructions that a bank has and has not answered, of the batches that are out: count, amount, when they were sent.
#[derive(Clone, Debug)]
pub struct Awaited {
    /// The batch.
    pub batch: BatchNumber,
    /// When it was sent.
    pub sent_on: Option<Date>,
    /// Instructions without an answer.
    pub count: i64,
    /// Their sum.
    pub amount: Money,
}

/// Batches that are out, and what of them is not answered.
pub fn awaited(conn: &Connection) -> Result<Vec<Awaited>> {
    let mut out = Vec::new();
    let mut statement = conn
        .prepare_cached("SELECT id, number, sent_on FROM batch WHERE state IN (2, 3, 4, 5) AND bank > 0 ORDER BY id")?;
    let mut sum = conn.prepare_cached(
        "SELECT count(*), coalesce(sum(i.amount), 0) FROM instruction_state s JOIN instruction i ON i.id = s.id
         WHERE s.id BETWEEN ?1 AND ?2 AND s.state = 2",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (count, amount) =
            sum.query_row(range(row.get(0)?), |sums| Ok((sums.get(0)?, Money::from_fen(sums.get(1)?))))?;
        if count > 0 {
            let sent_on = row.get::<_, Option<i64>>(2)?.map(date);
            let batch = BatchNumber::from_value(row.get::<_, i64>(1)? as u64);
            out.push(Awaited { batch, sent_on, count, amount });
        }
    }
    Ok(out)
}

/// An open exception that says: the bank and we say other things of an instruction, or have money that nobody knows.
#[derive(Clone, Debug)]
pub struct Doubt {
    /// The exception.
    pub id: i64,
    /// Its class.
    pub class: String,
    /// The bank, where it is known.
    pub bank: Option<u8>,
    /// The instruction.
    pub instruction: Option<InstructionNumber>,
    /// What we have booked for it.
    pub ours: Money,
    /// What the bank last said it took, or what is unexplained.
    pub theirs: Money,
    /// Since when.
    pub on: Date,
}

/// Open exceptions about answers that contradict what we hold, and about money that no return explains.
pub fn doubts(conn: &Connection) -> Result<Vec<Doubt>> {
    let mut statement = conn.prepare_cached(
        "SELECT x.id, x.class, coalesce(b.bank, s.bank), b.number, x.instruction,
                CASE WHEN t.state = 3 THEN i.amount ELSE 0 END,
                CASE WHEN x.class = 'unknown-money' THEN x.amount WHEN x.class = 'late-failure' THEN 0
                     ELSE coalesce(a.actual, 0) END,
                coalesce(a.booked_on, s.booked_on, x.opened_on)
         FROM exception x LEFT JOIN batch b ON b.id = x.instruction >> 27
         LEFT JOIN instruction i ON i.id = x.instruction LEFT JOIN instruction_state t ON t.id = x.instruction
         LEFT JOIN answer a ON a.instruction = x.instruction LEFT JOIN statement s ON s.posting = x.posting
         WHERE x.resolved = 0 AND x.class IN ('unknown-result', 'contradictory-return', 'late-failure', 'differing-answer',
             'missing-row', 'duplicate-batch', 'delivery-in-doubt', 'unknown-money') ORDER BY x.id",
    )?;
    let rows = statement.query_map([], doubt)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn doubt(row: &Row<'_>) -> rusqlite::Result<Doubt> {
    let (batch, instruction): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
    Ok(Doubt {
        id: row.get(0)?,
        class: row.get(1)?,
        bank: row.get(2)?,
        instruction: batch.zip(instruction).map(|(batch, id)| book::number(batch, id)),
        ours: Money::from_fen(row.get(5)?),
        theirs: Money::from_fen(row.get(6)?),
        on: date(row.get(7)?),
    })
}

/// A plan whose newest instruction failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Whose.
    pub participant: IdNumber,
    /// The instruction.
    pub instruction: i64,
    /// The exception that waits for a clerk.
    pub exception: Option<i64>,
}

/// Plans of a fee year whose newest instruction failed with one of these outcomes.
pub fn failures(conn: &Connection, fee_year: FeeYear, outcomes: &[Outcome]) -> Result<Vec<Failure>> {
    let words: Vec<String> = outcomes.iter().map(|outcome| (*outcome as i64).to_string()).collect();
    let mut statement = conn.prepare(&format!(
        "SELECT p.participant, p.instruction,
                (SELECT x.id FROM exception x WHERE x.participant = p.participant AND x.instruction = p.instruction
                 AND x.class = 'failed' AND x.resolved = 0)
         FROM plan p JOIN instruction_state s ON s.id = p.instruction
         WHERE p.fee_year = ?1 AND s.state = 4 AND s.outcome IN ({}) ORDER BY p.participant",
        words.join(",")
    ))?;
    let rows = statement.query_map([fee_year], |row| {
        Ok(Failure { participant: IdNumber::from_key(row.get(0)?), instruction: row.get(1)?, exception: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Outcomes of a batch: how many answers of each, what was asked in them, and what the bank says it took.
pub fn outcomes(conn: &Connection, batch: BatchNumber) -> Result<Vec<(&'static str, i64, Money, Money)>> {
    let mut statement = conn.prepare_cached(
        "SELECT a.outcome, count(*), sum(i.amount), sum(a.actual) FROM batch b
         JOIN answer a ON a.instruction BETWEEN b.id << 27 AND ((b.id + 1) << 27) - 1
         JOIN instruction i ON i.id = a.instruction WHERE b.number = ?1 GROUP BY a.outcome ORDER BY a.outcome",
    )?;
    let rows = statement.query_map([batch.value() as i64], |row| {
        let word = words::outcome(row.get(0)?).word();
        Ok((word, row.get(1)?, Money::from_fen(row.get(2)?), Money::from_fen(row.get(3)?)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Batches of a bank with this debit date, or of which money was booked on this day.
pub fn batches_of_day(conn: &Connection, bank: BankNumber, on: Date) -> Result<Vec<BatchNumber>> {
    let mut statement = conn.prepare_cached(
        "SELECT number FROM batch b WHERE bank = ?1 AND state <> 8 AND (debit_on = ?2
            OR EXISTS (SELECT 1 FROM statement s WHERE s.booked_on = ?2 AND s.bundle = 'batch:' || b.number)
            OR EXISTS (SELECT 1 FROM posting p WHERE p.booked_on = ?2 AND p.id BETWEEN b.id << 27 AND ((b.id + 1) << 27) - 1))
         ORDER BY id",
    )?;
    let rows =
        statement.query_map((bank.0, day(on)), |row| Ok(BatchNumber::from_value(row.get::<_, i64>(0)? as u64)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What the ledger has on the collection account, straight from the entries.
pub fn collection(conn: &Connection) -> Result<Money> {
    let sql = "SELECT coalesce(sum(CASE WHEN debit = 1 THEN amount ELSE -amount END), 0) FROM entry
               WHERE debit = 1 OR credit = 1";
    Ok(Money::from_fen(conn.query_row(sql, [], |row| row.get(0))?))
}

/// The sum of all lines.
pub fn total(conn: &Connection) -> Result<Money> {
    Ok(Money::from_fen(conn.query_row("SELECT coalesce(sum(amount), 0) FROM statement", [], |row| row.get(0))?))
}

/// Whether a month is closed: what differs between two closed months is history.
pub fn are_closed(closed: &BTreeSet<Month>, days: [Date; 2]) -> bool {
    days.iter().all(|day| closed.contains(&Month::of(*day)))
}

impl Txn<'_> {
    /// Keeps a line of a statement: what it belongs to, and the posting that it shows.
    pub fn enter_line(
        &self,
        row: &StatementRow,
        bundle: &Bundle,
        posting: Option<&PostingKey>,
        (file, line): (i64, u32),
    ) -> Result<()> {
        let posting = posting.map(|key| self.posting_id(key)).transpose()?;
        self.tx
            .prepare_cached(
                "INSERT INTO statement (bank, serial, booked_on, amount, reference, bundle, posting, file, line)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                row.bank.0,
                &row.serial,
                day(row.booked_on),
                row.amount.fen(),
                &row.reference,
                bundle.to_string(),
                posting,
                file,
                line,
            ))?;
        Ok(())
    }

    /// The line that showed one posting shows another: the money is known now.
    pub fn show_instead(&self, from: i64, to: &PostingKey) -> Result<()> {
        let posting = self.posting_id(to)?;
        self.tx.prepare_cached("UPDATE statement SET posting = ?2, bundle = ?3 WHERE posting = ?1")?.execute((
            from,
            posting,
            Bundle::Posting(to.to_string()).to_string(),
        ))?;
        Ok(())
    }
}
