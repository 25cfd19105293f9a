//! Everything about one person, instruction, batch, file or posting, from the list row to the settlement year.

mod sources;
mod whole;

pub use sources::{audit_rows, sources};
pub use whole::{batch, batch_named, file, file_named};

use crate::domain::ids::{BatchNumber, IdNumber, InstructionNumber};
use crate::domain::ledger::{Entry, Event};
use crate::domain::money::Money;
use crate::domain::participant::{BankNumber, Status};
use crate::domain::policy::Policies;
use crate::format::layout::{FileKind, Layout, RecordKind};
use crate::store::export::BankKeys;
use crate::store::facts::{Fact, Facts, day, flag, hex, money, number, or_none, text, text_of, word};
use crate::store::words::{self, Accounts};
use crate::store::{Error, Result, apply, book, date, settlements, transfers};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::BTreeMap;

/// What the configuration knows and the store does not.
pub struct Lookup<'a> {
    /// Keys of the banks.
    pub banks: &'a BankKeys,
    /// Their layouts: they say where a line lies in its file.
    pub layouts: &'a BTreeMap<BankNumber, Layout>,
    /// They say which settlement year a day belongs to (R15).
    pub policies: &'a Policies,
}

impl Lookup<'_> {
    fn bank(&self, number: u8) -> Fact {
        match self.banks.get(&number) {
            _ if number == BatchNumber::ZERO_BANK => Fact::word("zero"),
            Some(key) => Fact::text(key),
            None => Fact::text(number),
        }
    }

    /// Line (from 1) and first byte (from 0) of an instruction in its file.
    fn asked_at(&self, bank: u8, sequence: u32) -> (Fact, Fact) {
        let file = self.layouts.get(&BankNumber(bank)).and_then(|layout| layout.file(FileKind::Request));
        let Some(file) = file else { return (Fact::None, Fact::None) };
        let line = sequence + u32::from(file.record(RecordKind::Header).is_some());
        (Fact::Number(line.into()), self.byte_of(bank, FileKind::Request, line))
    }

    /// First byte of a line of a bank's file: every record has a fixed stride.
    fn byte_of(&self, bank: u8, kind: FileKind, line: u32) -> Fact {
        let file = self.layouts.get(&BankNumber(bank)).and_then(|layout| layout.file(kind));
        let Some(file) = file else { return Fact::None };
        let stride = |record| file.record(record).map_or(0, |record| record.stride() as u64);
        let header = stride(RecordKind::Header);
        match u64::from(line).checked_sub(1 + u64::from(header > 0)) {
            Some(before) => Fact::Byte(header + before * stride(RecordKind::Detail)),
            None => Fact::Byte(0),
        }
    }

    /// The settlement year that a day belongs to (R15).
    fn settlement_year(&self, counts_on: Option<i64>) -> Fact {
        or_none(counts_on.and_then(|day| self.policies.settlement_year(date(day))), |year| Fact::Number(year.into()))
    }
}

/// A chain of events: whose, through which instructions, to which postings. Stored numbers.
#[derive(Debug, Default)]
pub struct Chain {
    participant: Option<i64>,
    instructions: Vec<i64>,
    postings: Vec<i64>,
    /// The exception that was asked about, which may concern none of these.
    exception: Option<i64>,
}

/// The chain of a person; `None` for somebody of whom nothing was ever heard.
pub fn person(conn: &Connection, id: IdNumber) -> Result<Option<Chain>> {
    let key = id.key();
    let known = conn
        .prepare_cached(
            "SELECT 1 FROM participant WHERE id = ?1 UNION ALL SELECT 1 FROM recognition_change WHERE participant = ?1
             UNION ALL SELECT 1 FROM exception WHERE participant = ?1
             UNION ALL SELECT 1 FROM posting_key WHERE participant = ?1",
        )?
        .exists([key])?;
    if !known {
        return Ok(None);
    }
    let instructions = ids(
        conn,
        "WITH RECURSIVE asked (id) AS (
             SELECT instruction FROM plan WHERE participant = ?1 AND instruction IS NOT NULL
             UNION SELECT i.previous FROM asked a JOIN instruction i ON i.id = a.id WHERE i.previous IS NOT NULL)
         SELECT id FROM asked ORDER BY id",
        key,
    )?;
    let mut postings = ids(conn, "SELECT posting FROM posting_key WHERE participant = ?1", key)?;
    for instruction in &instructions {
        postings.extend(postings_of(conn, *instruction)?);
    }
    Ok(Some(Chain { participant: Some(key), instructions, postings, exception: None }.in_order()))
}

/// The chain of whom or what an exception concerns: its person, else its instruction and its posting.
pub fn exception(conn: &Connection, id: i64) -> Result<Option<Chain>> {
    let sql = "SELECT participant, instruction, posting FROM exception WHERE id = ?1";
    let concerns = conn
        .prepare_cached(sql)?
        .query_row([id], |row| {
            let key: Option<i64> = row.get(0)?;
            Ok((key.map(IdNumber::from_key), row.get::<_, Option<i64>>(1)?, row.get::<_, Option<i64>>(2)?))
        })
        .optional()?;
    let Some((whose, instruction, posting)) = concerns else { return Ok(None) };
    let chain = whose.map(|whose| person(conn, whose)).transpose()?.flatten();
    let (instructions, postings) = (instruction.into_iter().collect(), posting.into_iter().collect());
    let chain = chain.unwrap_or(Chain { instructions, postings, ..Chain::default() });
    Ok(Some(Chain { exception: Some(id), ..chain }))
}

/// The chain of one instruction.
pub fn instruction(conn: &Connection, number: InstructionNumber) -> Result<Option<Chain>> {
    let Some((batch, _)) = book::batch(conn, number.batch)? else { return Ok(None) };
    let id = apply::range(batch).0 + i64::from(number.sequence);
    let whose: Option<i64> = conn
        .prepare_cached("SELECT participant FROM instruction WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let Some(participant) = whose else { return Ok(None) };
    let postings = postings_of(conn, id)?;
    let instructions = vec![id];
    Ok(Some(Chain { participant: Some(participant), instructions, postings, exception: None }.in_order()))
}

/// The chain of a posting, by the text of its key.
pub fn posting(conn: &Connection, key: &str) -> Result<Option<Chain>> {
    let keyed = conn
        .prepare_cached("SELECT posting, participant, instruction FROM posting_key WHERE key = ?1")?
        .query_row([key], |row| {
            let instruction: Option<i64> = row.get(2)?;
            Ok(Chain {
                participant: row.get(1)?,
                instructions: instruction.into_iter().collect(),
                postings: vec![row.get(0)?],
                exception: None,
            })
        })
        .optional()?;
    match (keyed, key.strip_prefix("ret:").and_then(InstructionNumber::parse)) {
        (Some(chain), _) => Ok(Some(chain)),
        (None, Some(number)) => Ok(instruction(conn, number)?.filter(|chain| !chain.postings.is_empty())),
        (None, None) => Ok(None),
    }
}

/// What was posted for an instruction, and what took that back.
fn postings_of(conn: &Connection, instruction: i64) -> Result<Vec<i64>> {
    ids(
        conn,
        "SELECT id FROM posting WHERE id = ?1
         UNION SELECT posting FROM posting_key WHERE instruction = ?1 OR undoes = ?1 OR corrects = ?1",
        instruction,
    )
}

fn ids(conn: &Connection, sql: &str, of: i64) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([of], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Chain {
    /// Its postings, by their stored numbers.
    pub fn postings(&self) -> &[i64] {
        &self.postings
    }

    fn in_order(mut self) -> Chain {
        self.postings.sort_unstable();
        self.postings.dedup();
        self
    }

    /// Everything along the chain, in the order in which it happened.
    pub fn facts(&self, conn: &Connection, lookup: &Lookup<'_>) -> Result<Vec<Facts>> {
        Ok(vec![
            roster(conn, self.participant)?,
            lists(conn, self.participant)?,
            plans(conn, self.participant)?,
            versions(conn, self.participant)?,
            instructions(conn, &self.instructions, lookup)?,
            deliveries(conn, &self.instructions, lookup)?,
            returns(conn, &self.instructions, lookup)?,
            postings(conn, &self.postings, lookup)?,
            transfers(conn, &self.postings)?,
            ex_post(conn, self.participant, lookup)?,
            self.exceptions(conn)?,
        ])
    }

    fn exceptions(&self, conn: &Connection) -> Result<Facts> {
        exceptions(
            conn,
            "x.participant = ?1 OR x.instruction IN (SELECT value FROM json_each(?2))
                OR x.posting IN (SELECT value FROM json_each(?3)) OR x.id = ?4",
            (self.participant, array(&self.instructions), array(&self.postings), self.exception),
        )
    }
}

/// A list of numbers as `json_each` reads it.
fn array(ids: &[i64]) -> String {
    let texts: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("[{}]", texts.join(","))
}

fn roster(conn: &Connection, participant: Option<i64>) -> Result<Facts> {
    let columns = &[
        "id_number",
        "name",
        "district",
        "tier",
        "bank",
        "account",
        "account_name",
        "status",
        "status_since",
        "file",
        "line",
    ];
    let mut facts = Facts::new("roster", columns);
    let sql = "SELECT id, name, district, tier, bank_text, account, account_name, status, status_since, file, line
               FROM participant WHERE id = ?1";
    facts.read(conn, sql, [participant], |row| {
        Ok(vec![
            Fact::Id(IdNumber::from_key(row.get(0)?)),
            or_none(text_of(row, 1)?, Fact::Name),
            text(row, 2)?,
            money(row, 3)?,
            text(row, 4)?,
            or_none(text_of(row, 5)?, Fact::Account),
            or_none(text_of(row, 6)?, Fact::Name),
            Fact::text(Status::parse(&row.get::<_, String>(7)?).as_str()),
            day(row, 8)?,
            number(row, 9)?,
            number(row, 10)?,
        ])
    })?;
    Ok(facts)
}

/// Every change of identity; the line is known of the row in force.
fn lists(conn: &Connection, participant: Option<i64>) -> Result<Facts> {
    let columns = &["recognized_year", "payer", "district", "category", "change", "on", "file", "line"];
    let mut facts = Facts::new("lists", columns);
    let sql = "SELECT c.year, c.payer, c.district, c.category, c.added, c.on_day, c.file, r.line
               FROM recognition_change c
               LEFT JOIN recognition r ON r.participant = c.participant AND r.year = c.year AND r.payer = c.payer
                   AND r.district = c.district AND r.category = c.category AND r.file = c.file AND c.added = 1
               WHERE c.participant = ?1 ORDER BY c.seq";
    facts.read(conn, sql, [participant], |row| {
        Ok(vec![
            number(row, 0)?,
            word(row, 1, |payer| words::payer(payer).word())?,
            text(row, 2)?,
            word(row, 3, |category| words::category(category).word())?,
            Fact::word(if row.get(4)? { "added" } else { "dropped" }),
            day(row, 5)?,
            number(row, 6)?,
            number(row, 7)?,
        ])
    })?;
    Ok(facts)
}

fn plans(conn: &Connection, participant: Option<i64>) -> Result<Facts> {
    let mut facts = Facts::new("plans", &["fee_year", "state", "version", "attempts", "turns_limit"]);
    let sql = "SELECT fee_year, state, version, attempts, turns_limit FROM plan_now WHERE participant = ?1
               ORDER BY fee_year";
    facts.read(conn, sql, [participant], |row| {
        let state = word(row, 1, |state| words::plan_state(state).word())?;
        Ok(vec![number(row, 0)?, state, number(row, 2)?, number(row, 3)?, flag(row, 4)?])
    })?;
    Ok(facts)
}

fn versions(conn: &Connection, participant: Option<i64>) -> Result<Facts> {
    let columns = &[
        "fee_year",
        "version",
        "from",
        "tier",
        "government",
        "own",
        "payer",
        "category",
        "district",
        "enrolled",
        "refusal",
        "file",
    ];
    let mut facts = Facts::new("versions", columns);
    let sql = "SELECT fee_year, version, from_day, tier, government, tier - government, payer, category, district,
                      enrolled, refusal, cause
               FROM plan_version WHERE participant = ?1 ORDER BY fee_year, version";
    facts.read(conn, sql, [participant], |row| {
        Ok(vec![
            number(row, 0)?,
            number(row, 1)?,
            day(row, 2)?,
            money(row, 3)?,
            money(row, 4)?,
            money(row, 5)?,
            word(row, 6, |payer| words::payer(payer).word())?,
            word(row, 7, |category| words::category(category).word())?,
            text(row, 8)?,
            text(row, 9)?,
            or_none(text_of(row, 10)?, Fact::Word),
            number(row, 11)?,
        ])
    })?;
    Ok(facts)
}

fn instructions(conn: &Connection, ids: &[i64], lookup: &Lookup<'_>) -> Result<Facts> {
    let columns = &[
        "instruction",
        "fee_year",
        "version",
        "attempt",
        "amount",
        "state",
        "outcome",
        "bank",
        "name",
        "line",
        "byte",
        "previous",
    ];
    let mut facts = Facts::new("instructions", columns);
    let sql = "SELECT i.id, b.number, b.fee_year, i.version, i.attempt, i.amount, s.state, s.outcome, b.bank, b.file,
                      i.previous, p.number
               FROM instruction i JOIN instruction_state s ON s.id = i.id JOIN batch b ON b.id = i.id >> 27
               LEFT JOIN batch p ON p.id = i.previous >> 27 WHERE i.id = ?1";
    for id in ids {
        facts.read(conn, sql, [id], |row| {
            let number_of_it = book::number(row.get(1)?, row.get(0)?);
            let (line, byte) = lookup.asked_at(row.get(8)?, number_of_it.sequence);
            Ok(vec![
                Fact::text(number_of_it),
                number(row, 2)?,
                number(row, 3)?,
                number(row, 4)?,
                money(row, 5)?,
                word(row, 6, |state| words::instruction_state(state).word())?,
                word(row, 7, |outcome| words::outcome(outcome).word())?,
                lookup.bank(row.get(8)?),
                text(row, 9)?,
                line,
                byte,
                numbered(row, 11, 10)?,
            ])
        })?;
    }
    Ok(facts)
}

/// An instruction number, from the columns of its batch and of its stored number.
fn numbered(row: &Row<'_>, batch: usize, id: usize) -> Result<Fact> {
    let (batch, id): (Option<i64>, Option<i64>) = (row.get(batch)?, row.get(id)?);
    Ok(or_none(batch.zip(id), |(batch, id)| Fact::text(book::number(batch, id))))
}

const BATCH: &[&str] = &[
    "batch",
    "bank",
    "fee_year",
    "debit_on",
    "instructions",
    "amount",
    "name",
    "digest",
    "state",
    "drafted_on",
    "sent_on",
    "answered_on",
];
const BATCH_SQL: &str = "
    SELECT number, bank, fee_year, debit_on, count, amount, file, sha256, state, drafted_on, sent_on, answered_on
    FROM batch WHERE id = ?1";

fn batch_facts(row: &Row<'_>, lookup: &Lookup<'_>) -> Result<Vec<Fact>> {
    Ok(vec![
        Fact::text(BatchNumber::from_value(row.get::<_, i64>(0)? as u64)),
        lookup.bank(row.get(1)?),
        number(row, 2)?,
        day(row, 3)?,
        number(row, 4)?,
        money(row, 5)?,
        text(row, 6)?,
        hex(row, 7)?,
        word(row, 8, |state| words::batch_state(state).word())?,
        day(row, 9)?,
        day(row, 10)?,
        day(row, 11)?,
    ])
}

/// The batches of some instructions: when they left, when they were answered.
fn deliveries(conn: &Connection, instructions: &[i64], lookup: &Lookup<'_>) -> Result<Facts> {
    let mut batches: Vec<i64> = instructions.iter().map(|id| id >> book::SEQUENCE_BITS).collect();
    batches.dedup();
    let mut facts = Facts::new("deliveries", BATCH);
    for batch in batches {
        facts.read(conn, BATCH_SQL, [batch], |row| batch_facts(row, lookup))?;
    }
    Ok(facts)
}

fn returns(conn: &Connection, instructions: &[i64], lookup: &Lookup<'_>) -> Result<Facts> {
    let columns =
        &["instruction", "file", "name", "line", "byte", "code", "outcome", "amount", "actual", "booked_on", "serial"];
    let mut facts = Facts::new("returns", columns);
    let sql = "SELECT a.instruction, b.number, a.file, f.name, a.line, b.bank, a.code, a.outcome, a.amount, a.actual,
                      a.booked_on, a.serial
               FROM (SELECT *, 0 AS later FROM answer WHERE instruction = ?1
                     UNION ALL SELECT *, 1 FROM later_answer WHERE instruction = ?1) a
               JOIN batch b ON b.id = a.instruction >> 27 JOIN file f ON f.id = a.file ORDER BY a.later, a.file";
    for id in instructions {
        facts.read(conn, sql, [id], |row| {
            Ok(vec![
                numbered(row, 1, 0)?,
                number(row, 2)?,
                text(row, 3)?,
                number(row, 4)?,
                lookup.byte_of(row.get(5)?, FileKind::Return, row.get(4)?),
                text(row, 6)?,
                word(row, 7, |outcome| words::outcome(outcome).word())?,
                money(row, 8)?,
                money(row, 9)?,
                day(row, 10)?,
                text(row, 11)?,
            ])
        })?;
    }
    Ok(facts)
}

/// The entries of some postings; of the deemed ones the settlement that counts them, or will (R15).
fn postings(conn: &Connection, ids: &[i64], lookup: &Lookup<'_>) -> Result<Facts> {
    let columns = &[
        "posting",
        "event",
        "debit",
        "credit",
        "amount",
        "basis",
        "month",
        "booked_on",
        "settlement_year",
        "settlement",
        "file",
        "line",
        "at",
        "actor",
        "audit",
    ];
    let accounts = Accounts::load(conn)?;
    let mut facts = Facts::new("postings", columns);
    let sql = "SELECT p.id, k.key, b.number, p.event, e.debit, e.credit, e.amount, p.month, p.booked_on,
                      coalesce(k.file, a.file), coalesce(k.line, a.line), u.at, u.actor, e.id, u.seq
               FROM posting p CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3
               JOIN audit u ON u.seq = p.txn
               LEFT JOIN posting_key k ON k.posting = p.id LEFT JOIN answer a ON a.instruction = p.id
               LEFT JOIN batch b ON b.id = p.id >> 27 WHERE p.id = ?1 ORDER BY e.id";
    for id in ids {
        facts.read(conn, sql, [id], |row| {
            let (debit, credit) = (accounts.account(row.get(4)?)?, accounts.account(row.get(5)?)?);
            let entry = Entry::new(debit, credit, Money::from_fen(row.get(6)?));
            let (booked_on, month): (i64, i64) = (row.get(8)?, row.get(7)?);
            let (settlement_year, settlement) = settled_by(conn, lookup, 0, row.get(13)?)?;
            Ok(vec![
                Fact::Text(posting_key(row)?),
                word(row, 3, |event| Event::ALL[event as usize].0.word())?,
                Fact::word(&debit.to_string()),
                Fact::word(&credit.to_string()),
                Fact::Money(entry.amount()),
                Fact::word(entry.basis().word()),
                Fact::Text(format!("{:04}-{:02}", month / 100, month % 100)),
                Fact::Day(date(booked_on)),
                settlement_year,
                settlement,
                number(row, 9)?,
                number(row, 10)?,
                text(row, 11)?,
                text(row, 12)?,
                number(row, 14)?,
            ])
        })?;
    }
    Ok(facts)
}

/// The settlement year and the state of the settlement that counts an entry (0) or an ex-post subsidy (1); before there
/// is one, the year of the day by which it counts.
fn settled_by(conn: &Connection, lookup: &Lookup<'_>, kind: i64, item: i64) -> Result<(Fact, Fact)> {
    if let Some((year, state)) = settlements::of_item(conn, kind, item)? {
        return Ok((Fact::Number(year.into()), Fact::word(state.word())));
    }
    let mut statement = conn.prepare_cached("SELECT counts_on FROM claim WHERE kind = ?1 AND item = ?2")?;
    let counts_on = statement.query_row((kind, item), |row| row.get(0)).optional()?;
    Ok((lookup.settlement_year(counts_on), Fact::None))
}

/// The text key, from the columns of posting, key and batch; a plain return's follows from its number.
fn posting_key(row: &Row<'_>) -> Result<String> {
    let (id, key, batch): (i64, Option<String>, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
    match (key, batch) {
        (Some(key), _) => Ok(key),
        (None, Some(batch)) => Ok(format!("ret:{}", book::number(batch, id))),
        (None, None) => Err(Error::Broken(format!("posting {id} has no key"))),
    }
}

fn ex_post(conn: &Connection, participant: Option<i64>, lookup: &Lookup<'_>) -> Result<Facts> {
    let columns = &[
        "fee_year",
        "payer",
        "category",
        "district",
        "paid",
        "amount",
        "booked_on",
        "due_on",
        "settlement_year",
        "settlement",
        "state",
        "list",
        "payout_on",
        "file",
        "line",
    ];
    let mut facts = Facts::new("expost", columns);
    let sql =
        "SELECT x.fee_year, x.payer, x.category, x.district, x.paid, x.amount, x.booked_on, x.due_on, x.state, l.name,
                      x.answered_on, x.file, x.line, x.id
               FROM ex_post x LEFT JOIN ex_post_list l ON l.id = x.list
               WHERE x.participant = ?1 ORDER BY x.fee_year, x.id";
    facts.read(conn, sql, [participant], |row| {
        let (settlement_year, settlement) = settled_by(conn, lookup, 1, row.get(13)?)?;
        Ok(vec![
            number(row, 0)?,
            word(row, 1, |payer| words::payer(payer).word())?,
            word(row, 2, |category| words::category(category).word())?,
            text(row, 3)?,
            money(row, 4)?,
            money(row, 5)?,
            day(row, 6)?,
            day(row, 7)?,
            settlement_year,
            settlement,
            word(row, 8, |state| words::ex_post_state(state).word())?,
            text(row, 9)?,
            day(row, 10)?,
            number(row, 11)?,
            number(row, 12)?,
        ])
    })?;
    Ok(facts)
}

/// Payers' money behind some postings: what it cleared, of which settlement (R16).
fn transfers(conn: &Connection, postings: &[i64]) -> Result<Facts> {
    let columns =
        &["reference", "payer", "district", "settlement_year", "amount", "received_on", "late", "cleared", "of"];
    let mut facts = Facts::new("transfers", columns);
    let sql =
        "SELECT t.reference, t.payer, t.district, t.settlement_year, t.amount, t.received_on, t.late, c.amount, s.year
               FROM transfer t LEFT JOIN clearing c ON c.transfer = t.posting
               LEFT JOIN settlement s ON s.id = c.settlement WHERE t.posting = ?1 ORDER BY c.posting";
    let mut behind: Vec<i64> = Vec::new();
    for posting in postings {
        behind.extend(transfers::behind(conn, *posting)?);
    }
    behind.sort_unstable();
    behind.dedup();
    for transfer in behind {
        facts.read(conn, sql, [transfer], |row| {
            Ok(vec![
                text(row, 0)?,
                word(row, 1, |payer| words::payer(payer).word())?,
                text(row, 2)?,
                number(row, 3)?,
                money(row, 4)?,
                day(row, 5)?,
                flag(row, 6)?,
                money(row, 7)?,
                number(row, 8)?,
            ])
        })?;
    }
    Ok(facts)
}

/// Exceptions for which `condition` holds, in its own parameters.
fn exceptions(conn: &Connection, condition: &str, params: impl rusqlite::Params) -> Result<Facts> {
    let columns =
        &["id", "class", "state", "instruction", "amount", "opened_on", "reason", "resolution", "file", "line"];
    let mut facts = Facts::new("exceptions", columns);
    let sql = format!(
        "SELECT x.id, x.class, x.resolved, x.instruction, b.number, x.amount, x.opened_on, x.reason, x.resolution,
                x.file, x.line
         FROM exception x LEFT JOIN batch b ON b.id = x.instruction >> 27 WHERE {condition} ORDER BY x.id"
    );
    facts.read(conn, &sql, params, |row| {
        Ok(vec![
            number(row, 0)?,
            or_none(text_of(row, 1)?, Fact::Word),
            Fact::word(if row.get(2)? { "resolved" } else { "open" }),
            numbered(row, 4, 3)?,
            money(row, 5)?,
            day(row, 6)?,
            text(row, 7)?,
            text(row, 8)?,
            number(row, 9)?,
            number(row, 10)?,
        ])
    })?;
    Ok(facts)
}
