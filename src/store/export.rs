//! Exports: the rows of each table as texts, in the order of its columns (design section 9), one row at a time.

mod recon;
mod settling;

pub use recon::entries_of;

use crate::domain::ids::{BatchNumber, IdNumber};
use crate::domain::ledger::{Account, Basis, Entry, Event};
use crate::domain::money::Money;
use crate::domain::participant::{DistrictCode, Payer, Status};
use crate::store::words::{self, Accounts};
use crate::store::{Error, FileState, book};
use rusqlite::{Connection, Row};
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io;

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The roster as taken in.
    Participants,
    /// One row for each participant and fee year.
    Plans,
    /// Batches for banks, and zero-payment batches.
    Batches,
    /// What banks were asked.
    Instructions,
    /// What banks answered, first and later answers.
    Returns,
    /// The ledger, one row for each entry.
    Entries,
    /// Debit, credit and balance of the accounts that moved.
    Balance,
    /// What a clerk must look at, or did.
    Exceptions,
    /// Ex-post subsidies (R14).
    Expost,
    /// Yearly claims to payers, by fee year, category and kind (R15).
    Settlement,
    /// How each settlement stands: what it claims, what came, what is open (R16).
    Claims,
    /// Payers' money and what it cleared (R16).
    Transfers,
    /// Drop files.
    Files,
    /// The audit log.
    Audit,
    /// Lines of the collection account's statements (R22).
    Statement,
    /// What reconciliation found: worked out, not read here.
    Differences,
    /// The voucher of a month: worked out, not read here.
    Voucher,
    /// Personal accounts: what was credited, by person, fee year and month.
    Accounts,
    /// Identities of people on lists, with their first and last day (底册).
    Identities,
    /// Accepted versions of lists.
    Lists,
}

impl What {
    /// Everything that can be exported, with its word.
    pub const ALL: [(What, &str); 20] = [
        (What::Participants, "participants"),
        (What::Plans, "plans"),
        (What::Batches, "batches"),
        (What::Instructions, "instructions"),
        (What::Returns, "returns"),
        (What::Entries, "entries"),
        (What::Balance, "balance"),
        (What::Exceptions, "exceptions"),
        (What::Expost, "expost"),
        (What::Settlement, "settlement"),
        (What::Claims, "claims"),
        (What::Transfers, "transfers"),
        (What::Files, "files"),
        (What::Audit, "audit"),
        (What::Statement, "statement"),
        (What::Differences, "differences"),
        (What::Voucher, "voucher"),
        (What::Accounts, "accounts"),
        (What::Identities, "identities"),
        (What::Lists, "lists"),
    ];

    /// Reads the word.
    pub fn parse(word: &str) -> Option<What> {
        What::ALL.iter().find(|(_, known)| *known == word).map(|(what, _)| *what)
    }

    /// Whether its rows belong to years.
    pub fn has_years(self) -> bool {
        !matches!(
            self,
            What::Participants | What::Files | What::Audit | What::Statement | What::Differences | What::Voucher
        )
    }
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// Whoever takes the rows failed.
    #[error(transparent)]
    Sink(#[from] io::Error),
}

impl From<rusqlite::Error> for ExportError {
    fn from(error: rusqlite::Error) -> ExportError {
        ExportError::Store(error.into())
    }
}

/// Keys of the banks by number: configuration, not store.
pub type BankKeys = BTreeMap<u8, String>;

/// Hands every row to `sink`; of one year only where `year` says so.
pub fn rows(
    conn: &Connection,
    what: What,
    year: Option<i16>,
    banks: &BankKeys,
    sink: &mut dyn FnMut(&[&str]) -> io::Result<()>,
) -> Result<(), ExportError> {
    let Some((sql, fill)) = source(what) else { return Ok(()) };
    let words = Words { banks, accounts: Accounts::load(conn)? };
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([year.filter(|_| what.has_years())])?;
    let mut cells = Cells::default();
    while let Some(row) = rows.next()? {
        cells.clear();
        fill(row, &words, &mut cells)?;
        sink(&cells.texts())?;
    }
    Ok(())
}

/// What is needed to say stored numbers in words.
struct Words<'a> {
    banks: &'a BankKeys,
    accounts: Accounts,
}

impl Words<'_> {
    /// A bank that left the configuration keeps its number.
    fn bank(&self, number: u8) -> String {
        self.banks.get(&number).cloned().unwrap_or_else(|| number.to_string())
    }
}

type Fill = fn(&Row<'_>, &Words<'_>, &mut Cells) -> crate::store::Result<()>;

/// The statement of an export, whose only parameter is the year, and what makes texts of its rows.
fn source(what: What) -> Option<(&'static str, Fill)> {
    Some(match what {
        What::Participants => (PARTICIPANTS, participant),
        What::Plans => (PLANS, plan),
        What::Batches => (BATCHES, batch),
        What::Instructions => (INSTRUCTIONS, instruction),
        What::Returns => (RETURNS, answer),
        What::Entries => (ENTRIES, entry),
        What::Balance => (BALANCE, balance),
        What::Exceptions => (EXCEPTIONS, exception),
        What::Expost => (EX_POST, ex_post),
        What::Settlement => (settling::LINES, settling::line),
        What::Claims => (settling::CLAIMS, settling::claim),
        What::Transfers => (settling::TRANSFERS, settling::transfer),
        What::Files => (FILES, file),
        What::Audit => (AUDIT, audit),
        What::Identities => (IDENTITIES, identity),
        What::Lists => (LISTS, list),
        What::Statement => (recon::STATEMENT, recon::statement),
        What::Accounts => (recon::ACCOUNTS, recon::personal),
        What::Differences | What::Voucher => return None,
    })
}

/// An identity is one person in one category of one payer, district and recognition year. Its last day is that on which a
/// list no longer had it, empty while it is in force.
const IDENTITIES: &str = "
    SELECT c.participant, r.name, c.name, c.payer, c.district, c.category, c.year,
           (SELECT min(o.on_day) FROM recognition_change o
            WHERE o.participant = c.participant AND o.year = c.year AND o.payer = c.payer AND o.district = c.district
              AND o.category = c.category AND o.added = 1),
           max(c.seq), c.added, c.on_day
    FROM recognition_change c LEFT JOIN participant r ON r.id = c.participant
    WHERE ?1 IS NULL OR c.year = ?1
    GROUP BY c.participant, c.year, c.payer, c.district, c.category
    ORDER BY c.participant, c.year, c.payer, c.district, c.category";

fn identity(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    let in_force: bool = row.get(9)?;
    out.id(row.get(0)?);
    out.text(row, if row.get_ref(1)? == rusqlite::types::ValueRef::Null { 2 } else { 1 })?;
    out.put(words::payer(row.get(3)?).word());
    out.text(row, 4)?;
    out.put(words::category(row.get(5)?).word());
    out.put(row.get::<_, i64>(6)?);
    out.day(row.get(7)?);
    out.day(row.get::<_, Option<i64>>(10)?.filter(|_| !in_force));
    out.put(if in_force { "in-force" } else { "dropped" });
    Ok(())
}

const LISTS: &str = "
    SELECT l.file, f.name, l.payer, l.district, l.year, l.as_of, f.arrived, l.accepted, l.late,
           (SELECT count(DISTINCT r.participant) FROM recognition r INDEXED BY recognition_scope
            WHERE r.payer = l.payer AND r.district = l.district AND r.year = l.year),
           l.file = (SELECT max(n.file) FROM list n
                     WHERE n.payer = l.payer AND n.district = l.district AND n.year = l.year)
    FROM list l JOIN file f ON f.id = l.file WHERE ?1 IS NULL OR l.year = ?1 ORDER BY l.file";

fn list(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    let in_force: bool = row.get(10)?;
    out.put(row.get::<_, i64>(0)?);
    out.text(row, 1)?;
    out.put(words::payer(row.get(2)?).word());
    out.text(row, 3)?;
    out.put(row.get::<_, i64>(4)?);
    out.day(row.get(5)?);
    out.day(row.get(6)?);
    out.day(row.get(7)?);
    out.put(if row.get(8)? { "late" } else { "" });
    out.maybe(row.get::<_, Option<i64>>(9)?.filter(|_| in_force));
    out.put(if in_force { "in-force" } else { "replaced" });
    Ok(())
}

const PARTICIPANTS: &str = "
    SELECT id, name, district, tier, bank, bank_text, account, account_name, status, status_since, town, village,
           person_number
    FROM participant WHERE ?1 IS NULL ORDER BY id";

/// A bank that is entrusted is known by its key, any other by the roster's text.
fn participant(row: &Row<'_>, words: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    out.id(row.get(0)?);
    out.text(row, 1)?;
    out.text(row, 2)?;
    out.money(row.get(3)?);
    match row.get::<_, Option<u8>>(4)? {
        Some(number) => out.put(words.bank(number)),
        None => out.text(row, 5)?,
    }
    out.text(row, 6)?;
    out.text(row, 7)?;
    out.put(Status::parse(row.get_ref(8)?.as_str().unwrap_or_default()).as_str());
    out.day(row.get(9)?);
    (10..=12).try_for_each(|column| out.text(row, column))
}

/// A paid plan shows the version by which it was posted: that of the posting's key, else that of its instruction. Any
/// other shows its newest; where that is a refusal, the last terms known: the state says that they do not hold.
const PLANS: &str = "
    WITH posted AS MATERIALIZED (
        SELECT k.participant, k.fee_year, max(k.version) AS version
        FROM posting_key k JOIN posting p ON p.id = k.posting
        WHERE p.event IN (0, 1, 3, 7) AND k.posting NOT IN (SELECT undoes FROM posting_key WHERE undoes IS NOT NULL)
        GROUP BY k.participant, k.fee_year)
    SELECT n.participant, r.name, CASE WHEN n.state IN (5, 6) THEN coalesce(v.enrolled, w.enrolled) ELSE w.enrolled END,
           n.fee_year, v.tier, v.government, v.payer, v.category, n.state
    FROM plan_now n
    JOIN plan_version w ON w.participant = n.participant AND w.fee_year = n.fee_year AND w.version = n.version
    LEFT JOIN posted p ON p.participant = n.participant AND p.fee_year = n.fee_year
    LEFT JOIN instruction i ON i.id = n.instruction
    LEFT JOIN plan_version v ON v.participant = n.participant AND v.fee_year = n.fee_year AND v.version =
        (SELECT max(t.version) FROM plan_version t
         WHERE t.participant = n.participant AND t.fee_year = n.fee_year AND t.refusal IS NULL
           AND t.version <= CASE WHEN n.state IN (5, 6) THEN coalesce(p.version, i.version, n.version) ELSE n.version END)
    LEFT JOIN participant r ON r.id = n.participant
    WHERE ?1 IS NULL OR n.fee_year = ?1 ORDER BY n.participant, n.fee_year";

fn plan(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    out.id(row.get(0)?);
    out.text(row, 1)?;
    out.text(row, 2)?;
    out.put(row.get::<_, i64>(3)?);
    let tier: Option<i64> = row.get(4)?;
    let government: Option<i64> = row.get(5)?;
    out.money(tier);
    out.money(government);
    out.money(tier.zip(government).map(|(tier, government)| tier - government));
    out.subsidy(row, 6)?;
    out.put(words::plan_state(row.get(8)?).word());
    Ok(())
}

const BATCHES: &str = "
    SELECT number, bank, fee_year, debit_on, count, amount, sha256, file, state
    FROM batch WHERE ?1 IS NULL OR fee_year = ?1 ORDER BY id";

fn batch(row: &Row<'_>, words: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    out.put(BatchNumber::from_value(row.get::<_, i64>(0)? as u64));
    match row.get(1)? {
        BatchNumber::ZERO_BANK => out.put("zero"),
        number => out.put(words.bank(number)),
    }
    out.put(row.get::<_, i64>(2)?);
    out.day(row.get(3)?);
    out.put(row.get::<_, i64>(4)?);
    out.money(row.get(5)?);
    out.hex(row, 6)?;
    out.text(row, 7)?;
    out.put(words::batch_state(row.get(8)?).word());
    Ok(())
}

const INSTRUCTIONS: &str = "
    SELECT i.id, b.number, i.attempt, b.bank, i.participant, b.fee_year, i.amount, s.state, s.outcome
    FROM instruction i CROSS JOIN instruction_state s ON s.id = i.id CROSS JOIN batch b ON b.id = i.id >> 27
    WHERE ?1 IS NULL OR b.fee_year = ?1 ORDER BY i.id";

fn instruction(row: &Row<'_>, words: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    let number = book::number(row.get(1)?, row.get(0)?);
    out.put(number);
    out.put(number.batch);
    out.put(number.sequence);
    out.put(row.get::<_, i64>(2)?);
    out.put(words.bank(row.get(3)?));
    out.id(row.get(4)?);
    out.put(row.get::<_, i64>(5)?);
    out.money(row.get(6)?);
    out.put(words::instruction_state(row.get(7)?).word());
    out.maybe(row.get::<_, Option<i64>>(8)?.map(|outcome| words::outcome(outcome).word()));
    Ok(())
}

/// Two ordered scans merged: first answers, and those that came later.
const RETURNS: &str = "
    SELECT a.instruction, b.number, a.file, a.line, a.code, a.outcome, a.amount, a.actual, a.booked_on, a.serial, 0
    FROM answer a CROSS JOIN batch b ON b.id = a.instruction >> 27 WHERE ?1 IS NULL OR b.fee_year = ?1
    UNION ALL
    SELECT a.instruction, b.number, a.file, a.line, a.code, a.outcome, a.amount, a.actual, a.booked_on, a.serial, 1
    FROM later_answer a CROSS JOIN batch b ON b.id = a.instruction >> 27 WHERE ?1 IS NULL OR b.fee_year = ?1
    ORDER BY 1, 11, 3, 4";

fn answer(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    let number = book::number(row.get(1)?, row.get(0)?);
    out.put(number);
    out.put(number.batch);
    out.put(row.get::<_, i64>(2)?);
    out.put(row.get::<_, i64>(3)?);
    out.text(row, 4)?;
    out.put(words::outcome(row.get(5)?).word());
    out.money(row.get(6)?);
    out.money(row.get(7)?);
    out.day(row.get(8)?);
    out.text(row, 9)
}

/// An entry belongs to the plan version by which it was posted: that of its key, else that of its instruction. What a
/// correction takes back belongs to the version of what it corrects.
const ENTRIES: &str = "
    SELECT p.id, k.key, p.event, e.debit, e.credit, e.amount, p.month, p.booked_on,
           coalesce(k.participant, i.participant), coalesce(k.fee_year, b.fee_year),
           v.payer, v.category, v.enrolled, v.district, b.bank, b.number, i.id
    FROM entry e
    CROSS JOIN posting p ON p.id = e.id / 4
    LEFT JOIN posting_key k ON k.posting = p.id
    LEFT JOIN posting_key c ON c.posting = CASE WHEN p.event = 7 THEN k.posting WHEN p.event = 6 THEN k.undoes END
    LEFT JOIN posting_key o ON o.posting = c.corrects
    LEFT JOIN instruction oi ON oi.id = c.corrects
    LEFT JOIN instruction i ON i.id = coalesce(k.instruction, p.id)
    LEFT JOIN batch b ON b.id = coalesce(k.instruction, p.id) >> 27
    LEFT JOIN plan_version v ON v.participant = coalesce(k.participant, i.participant)
        AND v.fee_year = coalesce(k.fee_year, b.fee_year) AND v.version = coalesce(
            CASE WHEN c.corrects IS NOT NULL AND 4 = CASE p.event WHEN 7 THEN e.debit ELSE e.credit END
                 THEN coalesce(o.version, oi.version) END, k.version, i.version)
    WHERE ?1 IS NULL OR coalesce(k.fee_year, b.fee_year) = ?1 ORDER BY e.id";

fn entry(row: &Row<'_>, words: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    let key: Option<String> = row.get(1)?;
    let bank: Option<u8> = row.get::<_, Option<u8>>(14)?.filter(|bank| *bank != BatchNumber::ZERO_BANK);
    let number = match row.get::<_, Option<i64>>(15)? {
        Some(batch) => Some(book::number(batch, row.get::<_, Option<i64>>(16)?.unwrap_or(row.get(0)?))),
        None => None,
    };
    match (&key, number) {
        (Some(key), _) => out.put(key),
        (None, Some(number)) => out.put(format_args!("ret:{number}")),
        (None, None) => return Err(Error::Broken(format!("posting {} has no key", row.get::<_, i64>(0)?))),
    }
    out.put(Event::ALL[usize::from(row.get::<_, u8>(2)?)].0.word());
    let (debit, credit) = (words.accounts.account(row.get(3)?)?, words.accounts.account(row.get(4)?)?);
    let entry = Entry::new(debit, credit, Money::from_fen(row.get(5)?));
    out.put(debit);
    out.put(credit);
    out.put(entry.amount());
    out.put(entry.basis().word());
    out.month(row.get(6)?);
    out.day(row.get(7)?);
    out.id(row.get(8)?);
    out.maybe(row.get::<_, Option<i64>>(9)?);
    let owed_by = owing(&entry);
    match (owed_by, row.get::<_, Option<i64>>(10)?) {
        // A payer's money is of no plan.
        (Some((payer, _)), None) => {
            out.put(payer.word());
            out.put("");
        }
        _ => out.subsidy(row, 10)?,
    }
    match owed_by {
        Some((_, district)) => out.put(district),
        None if entry.basis() == Basis::Deemed => out.text(row, 13)?,
        None => out.text(row, 12)?,
    }
    match (bank, &key) {
        (Some(bank), _) => out.put(words.bank(bank)),
        (None, Some(key)) => out.put(bank_of_stranger(key)),
        (None, None) => out.put(""),
    }
    out.maybe(number.filter(|_| bank.is_some()));
    Ok(())
}

/// How the entries of some transactions are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Where each transaction says that they lie.
    Spans,
    /// In the whole ledger: for proofs.
    Ledger,
}

/// Entries of some transactions, in order, as the feed has them: of `entries` all but bank and instruction, with the
/// transaction before and the posting that is taken back or corrected behind.
pub fn fed(
    conn: &Connection,
    (from, to): (i64, i64),
    search: Search,
    banks: &BankKeys,
    sink: &mut dyn FnMut(&[&str]),
) -> crate::store::Result<()> {
    let words = Words { banks, accounts: Accounts::load(conn)? };
    let postings = match search {
        Search::Spans => {
            "FROM posted_span s CROSS JOIN posting p ON p.id BETWEEN s.first AND s.last AND p.txn = s.txn
                AND s.txn BETWEEN ?1 AND ?2"
        }
        Search::Ledger => "FROM posting p",
    };
    let sql = ENTRIES
        .replace("b.bank, b.number, i.id", "b.bank, b.number, i.id, p.txn, coalesce(k.undoes, k.corrects)")
        .replace(
            "FROM entry e\n    CROSS JOIN posting p ON p.id = e.id / 4",
            &format!("{postings} CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3"),
        )
        .replace(
            "?1 IS NULL OR coalesce(k.fee_year, b.fee_year) = ?1 ORDER BY e.id",
            "p.txn BETWEEN ?1 AND ?2 ORDER BY p.txn, e.id",
        );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((from, to))?;
    let mut cells = Cells::default();
    while let Some(row) = rows.next()? {
        cells.clear();
        entry(row, &words, &mut cells)?;
        let txn = row.get::<_, i64>(17)?.to_string();
        let undoes = match row.get::<_, Option<i64>>(18)? {
            Some(id) => crate::store::audit::posting_name(conn, id)?,
            None => String::new(),
        };
        let texts = cells.texts();
        let undoes = undoes.strip_prefix("posting ").unwrap_or_default();
        let fed: Vec<&str> = std::iter::once(txn.as_str()).chain(texts[..13].iter().copied()).chain([undoes]).collect();
        sink(&fed);
    }
    Ok(())
}

/// Payer and recognising district of a line that touches a receivable stand in its account.
fn owing(entry: &Entry) -> Option<(Payer, DistrictCode)> {
    [entry.debit(), entry.credit()].into_iter().find_map(|account| match account {
        Account::Receivable(payer, district) => Some((payer, district)),
        _ => None,
    })
}

/// The bank of `ret:<bank>:<text>#<serial>`, the key of money under a number that is not ours.
fn bank_of_stranger(key: &str) -> &str {
    key.strip_prefix("ret:").and_then(|rest| rest.split_once(':')).map_or("", |(bank, _)| bank)
}

const BALANCE: &str = "
    WITH moved AS (
        SELECT e.debit, e.credit, sum(e.amount) AS amount
        FROM entry e
        LEFT JOIN posting_key k ON k.posting = e.id / 4
        LEFT JOIN batch b ON b.id = e.id / 4 >> 27
        WHERE ?1 IS NULL OR coalesce(k.fee_year, b.fee_year) = ?1 GROUP BY e.debit, e.credit)
    SELECT account, sum(debit), sum(credit)
    FROM (SELECT debit AS account, amount AS debit, 0 AS credit FROM moved
          UNION ALL SELECT credit, 0, amount FROM moved)
    GROUP BY account ORDER BY account";

fn balance(row: &Row<'_>, words: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    let (debit, credit): (i64, i64) = (row.get(1)?, row.get(2)?);
    out.put(words.accounts.account(row.get(0)?)?);
    out.money(Some(debit));
    out.money(Some(credit));
    out.money(Some(debit - credit));
    Ok(())
}

const EXCEPTIONS: &str = "
    SELECT x.id, x.class, x.resolved, x.participant, b.number, x.instruction, x.file, x.line, x.amount, x.reason
    FROM exception x LEFT JOIN batch b ON b.id = x.instruction >> 27
    WHERE ?1 IS NULL OR x.fee_year = ?1 ORDER BY x.id";

fn exception(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    out.put(row.get::<_, i64>(0)?);
    out.text(row, 1)?;
    out.put(if row.get(2)? { "resolved" } else { "open" });
    out.id(row.get(3)?);
    match (row.get(4)?, row.get(5)?) {
        (Some(batch), Some(id)) => out.put(book::number(batch, id)),
        (None, _) | (_, None) => out.put(""),
    }
    out.maybe(row.get::<_, Option<i64>>(6)?);
    out.maybe(row.get::<_, Option<i64>>(7)?);
    out.money(row.get(8)?);
    out.text(row, 9)
}

const EX_POST: &str = "
    SELECT x.participant, p.name, x.district, x.fee_year, x.payer, x.category, x.paid, x.amount, x.state
    FROM ex_post x LEFT JOIN participant p ON p.id = x.participant
    WHERE ?1 IS NULL OR x.fee_year = ?1 ORDER BY x.participant, x.fee_year, x.id";

fn ex_post(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    out.id(row.get(0)?);
    out.text(row, 1)?;
    out.text(row, 2)?;
    out.put(row.get::<_, i64>(3)?);
    out.subsidy(row, 4)?;
    out.money(row.get(6)?);
    out.money(row.get(7)?);
    out.put(words::ex_post_state(row.get(8)?).word());
    Ok(())
}

const FILES: &str = "
    SELECT id, name, kind, sender, arrived, sha256, state, accepted, refused, reason
    FROM file WHERE ?1 IS NULL ORDER BY id";

fn file(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    out.put(row.get::<_, i64>(0)?);
    (1..=3).try_for_each(|column| out.text(row, column))?;
    out.day(row.get(4)?);
    out.hex(row, 5)?;
    out.put(FileState::ALL[usize::from(row.get::<_, u8>(6)?)].0.word());
    out.put(row.get::<_, i64>(7)?);
    out.put(row.get::<_, i64>(8)?);
    out.text(row, 9)
}

const AUDIT: &str = "
    SELECT seq, at, actor, action, subject, digest, previous FROM audit WHERE ?1 IS NULL ORDER BY seq";

fn audit(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    out.put(row.get::<_, i64>(0)?);
    (1..=4).try_for_each(|column| out.text(row, column))?;
    out.hex(row, 5)?;
    out.hex(row, 6)
}

/// The texts of one row, in one buffer that the next row uses again.
#[derive(Default)]
struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn texts(&self) -> Vec<&str> {
        let mut start = 0;
        let cell = |end: &usize| &self.text[std::mem::replace(&mut start, *end)..*end];
        self.ends.iter().map(cell).collect()
    }

    fn put(&mut self, value: impl Display) {
        write!(self.text, "{value}").expect("writing to a string");
        self.ends.push(self.text.len());
    }

    fn maybe(&mut self, value: Option<impl Display>) {
        match value {
            Some(value) => self.put(value),
            None => self.put(""),
        }
    }

    fn id(&mut self, key: Option<i64>) {
        self.maybe(key.map(|key| IdNumber::from_key(key).text()));
    }

    fn money(&mut self, fen: Option<i64>) {
        self.maybe(fen.map(Money::from_fen));
    }

    fn day(&mut self, value: Option<i64>) {
        let parts = |day: i64| format!("{:04}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100);
        self.maybe(value.map(parts));
    }

    fn month(&mut self, value: i64) {
        self.put(format_args!("{:04}-{:02}", value / 100, value % 100));
    }

    /// A text as stored; nothing where there is none.
    fn text(&mut self, row: &Row<'_>, column: usize) -> crate::store::Result<()> {
        self.put(row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default());
        Ok(())
    }

    fn hex(&mut self, row: &Row<'_>, column: usize) -> crate::store::Result<()> {
        let bytes = row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?;
        bytes.iter().try_for_each(|byte| write!(self.text, "{byte:02x}")).expect("writing to a string");
        self.ends.push(self.text.len());
        Ok(())
    }

    /// Payer and category, in two columns.
    fn subsidy(&mut self, row: &Row<'_>, first: usize) -> crate::store::Result<()> {
        self.maybe(row.get::<_, Option<i64>>(first)?.map(|payer| words::payer(payer).word()));
        self.maybe(row.get::<_, Option<i64>>(first + 1)?.map(|category| words::category(category).word()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_is_sound_and_an_empty_store_has_no_rows() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::Store::create(&folder.path().join("daikou.db")).unwrap();
        for (what, word) in What::ALL {
            assert_eq!(What::parse(word), Some(what));
            for year in [None, Some(2018)] {
                rows(store.connection(), what, year, &BankKeys::new(), &mut |row| panic!("{word}: {row:?}")).unwrap();
            }
        }
    }

    #[test]
    fn cells_stand_in_one_buffer() {
        let mut cells = Cells::default();
        cells.put("甲");
        cells.day(Some(20_180_705));
        cells.money(None);
        cells.month(201_807);
        cells.money(Some(-3_050));
        assert_eq!(cells.texts(), ["甲", "2018-07-05", "", "2018-07", "-30.50"]);
    }

    #[test]
    fn a_strange_return_names_its_bank() {
        assert_eq!(bank_of_stranger("ret:rural:2018#B1"), "rural");
        assert_eq!(bank_of_stranger("ret:201807050100000100000001#B1"), "");
        assert_eq!(bank_of_stranger("pay:rural:1"), "");
    }
}
