//! The one read: what the flow may know.

use crate::domain::calendar::{Date, FeeYear, Month};
use crate::domain::exception::Class;
use crate::domain::ids::{AccountNumber, BatchNumber, IdNumber, InstructionNumber};
use crate::domain::instruction::InstructionState;
use crate::domain::money::Money;
use crate::domain::participant::{BankNumber, DistrictCode, Participant, Recognition, Status};
use crate::domain::plan::PlanVersion;
use crate::domain::policy::{Refusal, Subsidy, Terms};
use crate::domain::returns::Return;
use crate::pipeline::book::*;
use crate::store::words::{self, Accounts};
use crate::store::{Error, Result, chain, date, feed, pack};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

/// Sequences of a batch are below this: `instruction id = batch id << SEQUENCE_BITS | sequence`.
pub(crate) const SEQUENCE_BITS: u32 = 27;

/// The version of the book: number of the newest audit row.
pub fn version(conn: &Connection) -> Result<u64> {
    Ok(chain::head(conn)?.0 as u64)
}

/// A batch and its stored id.
pub fn batch(conn: &Connection, number: BatchNumber) -> Result<Option<(i64, BatchLine)>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, number, bank, fee_year, debit_on, drafted_on, count, amount, state, sha256, file
         FROM batch WHERE number = ?1",
    )?;
    Ok(statement.query_row([number.value() as i64], batch_line).optional()?)
}

pub(crate) fn batch_line(row: &Row<'_>) -> rusqlite::Result<(i64, BatchLine)> {
    let bank: u8 = row.get(2)?;
    let line = BatchLine {
        number: BatchNumber::from_value(row.get::<_, i64>(1)? as u64),
        bank: (bank != BatchNumber::ZERO_BANK).then_some(BankNumber(bank)),
        fee_year: row.get(3)?,
        debit_on: date(row.get(4)?),
        drafted_on: date(row.get(5)?),
        count: row.get(6)?,
        amount: Money::from_fen(row.get(7)?),
        state: words::batch_state(row.get(8)?),
        sha256: row.get(9)?,
        file: row.get(10)?,
    };
    Ok((row.get(0)?, line))
}

/// Instructions `first` to `last` of a batch (none where `last` is smaller), with a close-up of each for which `needs` says so.
pub fn batch_book(
    conn: &Connection,
    id: i64,
    batch: BatchLine,
    (first, last): (u32, u32),
    mut needs: impl FnMut(&BatchLine, u32, &Line) -> bool,
) -> Result<BatchBook> {
    let stretch = Stretch { base: id << SEQUENCE_BITS, first, last };
    let mut lines = read_lines(conn, &stretch)?;
    read_states(conn, &stretch, &mut lines)?;
    if lines.len() != stretch.len() {
        let problem = format!("rows {first} to {last} are not all there, each with a state");
        return Err(Error::Broken(format!("batch {}: {problem}", batch.number)));
    }
    let mut close = Vec::new();
    for (line, sequence) in lines.iter().zip(first..) {
        if needs(&batch, sequence, line) {
            close.push((sequence, line.participant));
        }
    }
    let close_ups = close_ups(conn, &stretch, &close, batch.fee_year)?;
    Ok(BatchBook { version: self::version(conn)?, batch, lines, first, close_ups, closed: closed_months(conn)? })
}

/// Neighbouring instructions of a batch.
struct Stretch {
    base: i64,
    first: u32,
    last: u32,
}

impl Stretch {
    /// How many there are.
    fn len(&self) -> usize {
        (self.last + 1).saturating_sub(self.first) as usize
    }

    /// The stored numbers of the first and the last.
    fn ids(&self) -> (i64, i64) {
        (self.base + i64::from(self.first), self.base + i64::from(self.last))
    }
}

/// The instructions of a stretch, all as if they were awaited: [`read_states`] says which are not.
fn read_lines(conn: &Connection, stretch: &Stretch) -> Result<Vec<Line>> {
    let accounts = Accounts::load(conn)?;
    let mut lines = Vec::with_capacity(stretch.len());
    let mut statement = conn.prepare_cached(
        "SELECT pack(id, participant, amount, government, receivable, echo, version) FROM instruction
         WHERE id BETWEEN ?1 AND ?2",
    )?;
    let mut packed = statement.query(stretch.ids())?;
    let Some(packed) = packed.next()? else { return Ok(lines) };
    let packed = packed.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
    for [id, participant, amount, government, receivable, echo, version] in pack::rows(packed) {
        if id != stretch.ids().0 + lines.len() as i64 {
            break;
        }
        lines.push(Line {
            participant,
            amount: Money::from_fen(amount),
            deemed: match receivable {
                0 => None,
                receivable => Some((accounts.account(receivable)?, Money::from_fen(government))),
            },
            echo,
            version: version as u32,
            state: InstructionState::Sent,
            closer: false,
        });
    }
    Ok(lines)
}

/// Reads the states of a stretch, unless all are those of an awaited instruction, as they are while a batch is answered
/// for the first time: then it is enough to count them. Leaves no line where a state is missing.
fn read_states(conn: &Connection, stretch: &Stretch, lines: &mut Vec<Line>) -> Result<()> {
    let (low, high) = stretch.ids();
    let mut statement = conn.prepare_cached(
        "SELECT count(*) FROM instruction_state WHERE id BETWEEN ?1 AND ?2 AND state = ?3 AND closer = 0",
    )?;
    let awaited: i64 = statement.query_row((low, high, InstructionState::Sent as i64), |row| row.get(0))?;
    if awaited == lines.len() as i64 {
        return Ok(());
    }
    let mut statement =
        conn.prepare_cached("SELECT id, state, closer FROM instruction_state WHERE id BETWEEN ?1 AND ?2")?;
    let mut rows = statement.query((low, high))?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        let place = row.get::<_, i64>(0)? - low;
        if let Some(line) = lines.get_mut(place as usize) {
            (line.state, line.closer) = (words::instruction_state(row.get(1)?), row.get(2)?);
            found += 1;
        }
    }
    if found != lines.len() {
        lines.clear();
    }
    Ok(())
}

/// All close-ups of a stretch by a few reads: failures alone are thousands.
fn close_ups(
    conn: &Connection,
    stretch: &Stretch,
    close: &[(u32, i64)],
    fee_year: FeeYear,
) -> Result<HashMap<u32, CloseUp>> {
    let mut close_ups = HashMap::with_capacity(close.len());
    let mut keys: Vec<i64> = close.iter().map(|(_, participant)| *participant).collect();
    keys.sort_unstable();
    let (Some(low), Some(high)) = (keys.first(), keys.last()) else { return Ok(close_ups) };
    let people = dossiers(conn, *low..=*high, fee_year, Whom::These(&keys))?;
    let mut people: HashMap<i64, Dossier> = people.into_iter().map(|person| (person.id.key(), person)).collect();
    let mut earlier = answers(conn, stretch.ids())?;
    let posted = posted(conn, stretch.ids())?;
    for (sequence, participant) in close {
        let instruction = stretch.base + i64::from(*sequence);
        let dossier = match people.remove(participant) {
            Some(dossier) => dossier,
            // Nobody knows them, or a row before this one took what is known.
            None => dossier(conn, IdNumber::from_key(*participant), fee_year)?,
        };
        let earlier = earlier.remove(&instruction).unwrap_or_default();
        close_ups.insert(*sequence, CloseUp { dossier, earlier, posted_on: posted.get(&instruction).copied() });
    }
    Ok(close_ups)
}

/// Booking dates of what was posted under the own keys of a stretch of instructions.
fn posted(conn: &Connection, ids: (i64, i64)) -> Result<HashMap<i64, Date>> {
    let mut statement = conn.prepare_cached("SELECT id, booked_on FROM posting WHERE id BETWEEN ?1 AND ?2")?;
    let posted = statement.query_map(ids, |row| Ok((row.get(0)?, date(row.get(1)?))))?;
    Ok(posted.collect::<rusqlite::Result<_>>()?)
}

/// Answers of a stretch of instructions so far, oldest first.
fn answers(conn: &Connection, stretch: (i64, i64)) -> Result<HashMap<i64, Vec<Return>>> {
    let mut answers: HashMap<i64, Vec<Return>> = HashMap::new();
    for table in ["answer", "later_answer"] {
        let mut statement = conn.prepare_cached(&format!(
            "SELECT instruction, outcome, actual, booked_on, serial FROM {table} WHERE instruction BETWEEN ?1 AND ?2"
        ))?;
        let mut rows = statement.query(stretch)?;
        while let Some(row) = rows.next()? {
            answers.entry(row.get(0)?).or_default().push(Return {
                outcome: words::outcome(row.get(1)?),
                actual: Money::from_fen(row.get(2)?),
                booked_on: row.get::<_, Option<i64>>(3)?.map(date),
                serial: row.get(4)?,
                echo_agrees: true,
            });
        }
    }
    Ok(answers)
}

/// Months that are closed (R11).
pub fn closed_months(conn: &Connection) -> Result<BTreeSet<Month>> {
    let mut statement = conn.prepare_cached("SELECT month FROM closed_month")?;
    let months = statement.query_map([], |row| Ok(Month::from_value(row.get(0)?)))?;
    Ok(months.collect::<rusqlite::Result<_>>()?)
}

/// Everything of one participant and fee year.
pub fn dossier(conn: &Connection, id: IdNumber, fee_year: FeeYear) -> Result<Dossier> {
    let mut found = dossiers(conn, id.key()..=id.key(), fee_year, Whom::All)?;
    Ok(found.pop().unwrap_or_else(|| empty(id, fee_year)))
}

fn empty(id: IdNumber, fee_year: FeeYear) -> Dossier {
    Dossier {
        id,
        fee_year,
        participant: None,
        recognitions: Vec::new(),
        ever_listed: false,
        confirmed_names: Vec::new(),
        confirmed_holders: Vec::new(),
        plan: None,
        open: Vec::new(),
    }
}

/// Whom to read of a stretch of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom<'k> {
    /// Everybody.
    All,
    /// Those who may be asked: their plan of the year is `planned`.
    Planned,
    /// These, and of them no lists.
    These(&'k [i64]),
}

/// What a range read is given: first and last key, fee year.
type Range = (i64, i64, FeeYear);

impl Whom<'_> {
    /// Narrows a range read; every narrowed statement takes all three parameters of a [`Range`].
    fn narrow(self, sql: &str, key: &str) -> String {
        match self {
            Whom::All => format!("{sql} AND ?3 > 0"),
            Whom::Planned => format!(
                "{sql} AND {key} IN (SELECT participant FROM plan
                 WHERE participant BETWEEN ?1 AND ?2 AND fee_year = ?3 AND state = 0)"
            ),
            Whom::These(_) => format!("{sql} AND ?3 > 0 AND {key} IN (SELECT c0 FROM feed)"),
        }
    }
}

/// Everything of every participant whose key is in `keys`, in their order: a few range reads, whatever their number.
pub fn dossiers(
    conn: &Connection,
    keys: RangeInclusive<i64>,
    fee_year: FeeYear,
    whom: Whom<'_>,
) -> Result<Vec<Dossier>> {
    let range = (*keys.start(), *keys.end(), fee_year);
    let mut all = BTreeMap::new();
    let mut read = || -> Result<()> {
        read_roster(conn, range, whom, &mut all)?;
        if !matches!(whom, Whom::These(_)) {
            read_lists(conn, range, whom, &mut all)?;
        }
        read_plans(conn, range, whom, &mut all)?;
        read_open(conn, range, whom, &mut all)
    };
    match whom {
        Whom::These(keys) => feed::lend_keys(keys, read)?,
        Whom::All | Whom::Planned => read()?,
    }
    Ok(all.into_values().collect())
}

/// What roster and lists say of one participant, without plans and exceptions.
pub fn person(conn: &Connection, id: IdNumber, fee_year: FeeYear) -> Result<Dossier> {
    let mut found = BTreeMap::new();
    let range = (id.key(), id.key(), fee_year);
    read_roster(conn, range, Whom::All, &mut found)?;
    read_lists(conn, range, Whom::All, &mut found)?;
    Ok(found.remove(&id.key()).unwrap_or_else(|| empty(id, fee_year)))
}

/// The dossier of a key.
fn of(all: &mut BTreeMap<i64, Dossier>, key: i64, fee_year: FeeYear) -> &mut Dossier {
    all.entry(key).or_insert_with(|| empty(IdNumber::from_key(key), fee_year))
}

fn read_roster(conn: &Connection, given: Range, whom: Whom<'_>, all: &mut BTreeMap<i64, Dossier>) -> Result<()> {
    let mut statement = conn.prepare_cached(&whom.narrow(
        "SELECT id, name, district, tier, bank, bank_text, account, account_name, status, status_since, town, village,
                person_number FROM participant WHERE id BETWEEN ?1 AND ?2",
        "id",
    ))?;
    let mut rows = statement.query(given)?;
    while let Some(row) = rows.next()? {
        of(all, row.get(0)?, given.2).participant = Some(participant(row)?);
    }
    Ok(())
}

fn read_lists(conn: &Connection, given: Range, whom: Whom<'_>, all: &mut BTreeMap<i64, Dossier>) -> Result<()> {
    let range = |sql: &str, key: &str| conn.prepare_cached(&whom.narrow(sql, key));
    let mut statement = range(
        "SELECT participant, payer, district, category, year, name FROM recognition WHERE participant BETWEEN ?1 AND ?2",
        "participant",
    )?;
    let mut rows = statement.query(given)?;
    while let Some(row) = rows.next()? {
        of(all, row.get(0)?, given.2).recognitions.push(recognition(row)?);
    }
    let mut statement = range(
        "SELECT DISTINCT participant FROM recognition_change WHERE participant BETWEEN ?1 AND ?2",
        "participant",
    )?;
    let mut rows = statement.query(given)?;
    while let Some(row) = rows.next()? {
        of(all, row.get(0)?, given.2).ever_listed = true;
    }
    let mut statement =
        range("SELECT participant, class, name FROM confirmation WHERE participant BETWEEN ?1 AND ?2", "participant")?;
    let mut rows = statement.query(given)?;
    while let Some(row) = rows.next()? {
        let (class, name): (String, String) = (row.get(1)?, row.get(2)?);
        let is_name = class == Class::NameDiffers.word();
        let dossier = of(all, row.get(0)?, given.2);
        if is_name { &mut dossier.confirmed_names } else { &mut dossier.confirmed_holders }.push(name);
    }
    Ok(())
}

fn read_plans(conn: &Connection, range: Range, whom: Whom<'_>, all: &mut BTreeMap<i64, Dossier>) -> Result<()> {
    let fee_year = range.2;
    let mut statement = conn.prepare_cached(&whom.narrow(
        "SELECT p.participant, p.state, p.attempts, p.instruction, p.asked, b.number, b.debit_on, i.attempt, i.previous
         FROM plan_now p LEFT JOIN instruction i ON i.id = p.instruction
         LEFT JOIN batch b ON b.id = p.instruction >> 27
         WHERE p.participant BETWEEN ?1 AND ?2 AND p.fee_year = ?3",
        "p.participant",
    ))?;
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        let state = words::plan_state(row.get(1)?);
        let instruction = match row.get::<_, Option<i64>>(3)? {
            Some(id) => Some(InstructionBook {
                number: number(row.get::<_, i64>(5)?, id),
                state: words::instruction_state(row.get(4)?),
                debit_on: date(row.get(6)?),
                attempt: row.get(7)?,
            }),
            None => None,
        };
        let paid = if state.is_paid() { paid(conn, key, fee_year, row.get(3)?)? } else { None };
        let attempts = row.get(2)?;
        let older_live =
            row.get::<_, Option<i64>>(8)?.map(|previous| older_live(conn, previous)).transpose()?.flatten();
        let plan = PlanBook {
            state,
            versions: Vec::new(),
            enrolled: None,
            instruction,
            older_live,
            attempts,
            paid,
            ex_post: None,
        };
        of(all, key, fee_year).plan = Some(plan);
    }
    let mut statement = conn.prepare_cached(&whom.narrow(
        "SELECT participant, version, from_day, tier, government, payer, category, district, refusal, recognized,
                enrolled
         FROM plan_version WHERE participant BETWEEN ?1 AND ?2 AND fee_year = ?3",
        "participant",
    ))?;
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        let version = plan_version(row)?;
        if let Some(plan) = all.get_mut(&row.get(0)?).and_then(|dossier| dossier.plan.as_mut()) {
            plan.versions.push(version);
            plan.enrolled = DistrictCode::parse(row.get_ref(10)?.as_str().unwrap_or_default());
        }
    }
    let mut statement = conn.prepare_cached(&whom.narrow(
        "SELECT participant, state FROM ex_post WHERE participant BETWEEN ?1 AND ?2 AND fee_year = ?3 AND state <> 4",
        "participant",
    ))?;
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        let state = words::ex_post_state(row.get(1)?);
        if let Some(plan) = all.get_mut(&row.get(0)?).and_then(|dossier| dossier.plan.as_mut()) {
            plan.ex_post = Some(state);
        }
    }
    Ok(())
}

/// The live one among an instruction and those before it.
fn older_live(conn: &Connection, newest: i64) -> Result<Option<InstructionNumber>> {
    let mut statement = conn.prepare_cached(
        "WITH RECURSIVE older (id) AS (
             VALUES (?1) UNION SELECT i.previous FROM older o JOIN instruction i ON i.id = o.id WHERE i.previous IS NOT NULL)
         SELECT o.id, b.number, s.state FROM older o JOIN instruction_state s ON s.id = o.id JOIN batch b ON b.id = o.id >> 27",
    )?;
    let mut rows = statement.query([newest])?;
    while let Some(row) = rows.next()? {
        if words::instruction_state(row.get(2)?).is_live() {
            return Ok(Some(number(row.get(1)?, row.get(0)?)));
        }
    }
    Ok(None)
}

/// The number of a stored instruction of this batch.
pub(crate) fn number(batch: i64, id: i64) -> InstructionNumber {
    let sequence = (id & ((1 << SEQUENCE_BITS) - 1)) as u32;
    InstructionNumber { batch: BatchNumber::from_value(batch as u64), sequence }
}

/// The standing posting of a plan: under its instruction's number, or under a key of its own.
///
/// One `IN`, no `OR`: for an `OR` the engine begins with the entries, all of them, for each person.
fn paid(conn: &Connection, participant: i64, fee_year: FeeYear, instruction: Option<i64>) -> Result<Option<Paid>> {
    let mut statement = conn.prepare_cached(
        "SELECT p.booked_on,
                coalesce(sum(CASE WHEN e.credit = 3 THEN e.amount END), 0),
                coalesce(sum(CASE WHEN e.credit = 4 THEN e.amount END), 0)
         FROM posting p CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3
         WHERE p.id IN (SELECT ?1 UNION ALL SELECT posting FROM posting_key WHERE participant = ?2 AND fee_year = ?3)
           AND NOT EXISTS (SELECT 1 FROM posting_key u WHERE u.undoes = p.id)
           AND p.event <> 6 AND e.credit IN (3, 4)
         GROUP BY p.id ORDER BY p.booked_on DESC LIMIT 1",
    )?;
    let paid = statement
        .query_row((instruction, participant, fee_year), |row| {
            Ok(Paid {
                booked_on: date(row.get(0)?),
                own: Money::from_fen(row.get(1)?),
                deemed: Money::from_fen(row.get(2)?),
            })
        })
        .optional()?;
    Ok(paid)
}

fn read_open(conn: &Connection, range: Range, whom: Whom<'_>, all: &mut BTreeMap<i64, Dossier>) -> Result<()> {
    let fee_year = range.2;
    let mut statement = conn.prepare_cached(&whom.narrow(
        "SELECT x.participant, x.id, x.class, x.amount, coalesce(p.booked_on, x.held_on), x.instruction, b.number
         FROM exception x INDEXED BY exception_open LEFT JOIN posting p ON p.id = x.posting
         LEFT JOIN batch b ON b.id = x.instruction >> 27
         WHERE x.participant BETWEEN ?1 AND ?2 AND x.resolved = 0 AND (x.fee_year = ?3 OR x.fee_year IS NULL)",
        "x.participant",
    ))?;
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        let open = open_exception(row)?;
        let key: i64 = row.get(0)?;
        of(all, key, fee_year).open.push(open);
    }
    Ok(())
}

fn open_exception(row: &Row<'_>) -> Result<OpenException> {
    let class: String = row.get(2)?;
    let instruction: Option<i64> = row.get(5)?;
    let batch: Option<i64> = row.get(6)?;
    Ok(OpenException {
        id: row.get(1)?,
        class: Class::parse(&class).expect("a stored class is one of ours"),
        amount: Money::from_fen(row.get(3)?),
        booked_on: row.get::<_, Option<i64>>(4)?.map(date),
        instruction: batch.zip(instruction).map(|(batch, id)| number(batch, id)),
    })
}

/// A stored roster row, in the order of the query of [`dossiers`].
pub(crate) fn participant(row: &Row<'_>) -> Result<Participant> {
    let district: String = row.get(2)?;
    let status: String = row.get(8)?;
    Ok(Participant {
        id: IdNumber::from_key(row.get(0)?),
        name: row.get(1)?,
        district: words::district(&district)?,
        tier: Money::from_fen(row.get(3)?),
        bank: row.get::<_, Option<u8>>(4)?.map(BankNumber),
        bank_text: row.get(5)?,
        account: row.get::<_, Option<String>>(6)?.as_deref().and_then(AccountNumber::parse),
        account_name: row.get(7)?,
        status: Status::parse(&status),
        status_since: date(row.get(9)?),
        town: row.get(10)?,
        village: row.get(11)?,
        person_number: row.get(12)?,
    })
}

fn recognition(row: &Row<'_>) -> Result<Recognition> {
    let district: String = row.get(2)?;
    Ok(Recognition {
        payer: words::payer(row.get(1)?),
        district: words::district(&district)?,
        category: words::category(row.get(3)?),
        year: row.get(4)?,
        name: row.get(5)?,
    })
}

fn plan_version(row: &Row<'_>) -> Result<PlanVersion> {
    let tier = Money::from_fen(row.get(3)?);
    let refusal: Option<String> = row.get(8)?;
    let from = date(row.get(2)?);
    let terms = match refusal.as_deref() {
        None => {
            let district: Option<String> = row.get(7)?;
            let subsidy = match district {
                None => None,
                Some(district) => Some(Subsidy {
                    payer: words::payer(row.get(5)?),
                    category: words::category(row.get(6)?),
                    district: words::district(&district)?,
                    recognized_year: row.get(9)?,
                    amount: Money::from_fen(row.get(4)?),
                }),
            };
            Ok(Terms { tier, subsidy })
        }
        Some("tier") => Err(Refusal::Tier(tier)),
        Some("age") => Err(Refusal::Age { reached: from }),
        Some("name-differs") => Err(Refusal::NameDiffers),
        Some(_) => Err(Refusal::Status { on: from }),
    };
    Ok(PlanVersion { number: row.get(1)?, from, terms })
}
