//! Balances of the accounts, from the entries.

use crate::domain::calendar::Month;
use crate::domain::ledger::{Account, Basis, Entry, Event};
use crate::domain::money::Money;
use crate::store::Result;
use crate::store::words::{self, Accounts};
use rusqlite::{Connection, Params};
use std::collections::BTreeMap;

/// Debit and credit of every account that moved.
pub type Balances = BTreeMap<Account, (Money, Money)>;

/// Reads the balances.
pub fn balances(conn: &Connection) -> Result<Balances> {
    summed(conn, "SELECT debit, credit, sum(amount) FROM entry GROUP BY debit, credit", [])
}

/// How many postings a month has, and what they moved.
pub fn of_month(conn: &Connection, month: Month) -> Result<(u64, Balances)> {
    let mut statement = conn.prepare_cached("SELECT count(*) FROM posting WHERE month = ?1")?;
    let postings: i64 = statement.query_row([month.value()], |row| row.get(0))?;
    let sql = "SELECT e.debit, e.credit, sum(e.amount) FROM posting p
               CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3 WHERE p.month = ?1 GROUP BY e.debit, e.credit";
    Ok((postings as u64, summed(conn, sql, [month.value()])?))
}

/// What one event of a month moved between two accounts.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// What happened.
    pub event: Event,
    /// The account debited.
    pub debit: Account,
    /// The account credited.
    pub credit: Account,
    /// How much.
    pub amount: Money,
    /// By how many entries.
    pub entries: i64,
}

impl Moved {
    /// Whether money moved, or was deemed to.
    pub fn basis(&self) -> Basis {
        Entry::new(self.debit, self.credit, self.amount).basis()
    }
}

/// What a month moved, by event and pair of accounts.
pub fn moved_of(conn: &Connection, month: Month) -> Result<Vec<Moved>> {
    let accounts = Accounts::load(conn)?;
    let mut statement = conn.prepare_cached(
        "SELECT p.event, e.debit, e.credit, sum(e.amount), count(*) FROM posting p
         CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3 WHERE p.month = ?1
         GROUP BY p.event, e.debit, e.credit ORDER BY p.event, e.debit, e.credit",
    )?;
    let mut rows = statement.query([month.value()])?;
    let mut moved = Vec::new();
    while let Some(row) = rows.next()? {
        moved.push(Moved {
            event: words::event(row.get(0)?),
            debit: accounts.account(row.get(1)?)?,
            credit: accounts.account(row.get(2)?)?,
            amount: Money::from_fen(row.get(3)?),
            entries: row.get(4)?,
        });
    }
    Ok(moved)
}

/// The first month before this one that has postings and is not closed.
pub fn open_before(conn: &Connection, month: Month) -> Result<Option<Month>> {
    let sql = "SELECT min(month) FROM posting WHERE month < ?1 AND month NOT IN (SELECT month FROM closed_month)";
    let found: Option<i64> = conn.query_row(sql, [month.value()], |row| row.get(0))?;
    Ok(found.map(Month::from_value))
}

/// Drop files that were begun and have no end.
pub fn begun_files(conn: &Connection) -> Result<i64> {
    Ok(conn.query_row("SELECT count(*) FROM file WHERE state IN (0, 1)", [], |row| row.get(0))?)
}

/// What of a month may still come or change, in words for the checker: R11 has a place for it.
pub fn open_of_month(conn: &Connection, month: Month) -> Result<Vec<String>> {
    let (first, last) = (month.value() * 100, month.value() * 100 + 99);
    let count = |sql: &str| -> Result<i64> { Ok(conn.query_row(sql, (first, last), |row| row.get(0))?) };
    let batches =
        "SELECT count(*) FROM batch WHERE bank > 0 AND state IN (1, 2, 3, 4, 5) AND debit_on BETWEEN ?1 AND ?2";
    let suspense = "SELECT count(*) FROM exception x JOIN posting p ON p.id = x.posting
                    WHERE x.resolved = 0 AND x.amount > 0 AND p.booked_on BETWEEN ?1 AND ?2";
    let asked = "SELECT count(*) FROM approval WHERE state = 0 AND kind IN ('resolve', 'correct') AND ?1 < ?2";
    let mut open = Vec::new();
    for (words, sql) in [("批次未回盘完毕", batches), ("暂收款未处理", suspense), ("更正和例外处理待批准", asked)]
    {
        let count = count(sql)?;
        if count > 0 {
            open.push(format!("{words} {count} 项"));
        }
    }
    Ok(open)
}

fn summed(conn: &Connection, sql: &str, params: impl Params) -> Result<Balances> {
    let accounts = Accounts::load(conn)?;
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut balances = Balances::new();
    while let Some(row) = rows.next()? {
        let amount = Money::from_fen(row.get(2)?);
        balances.entry(accounts.account(row.get(0)?)?).or_default().0 += amount;
        balances.entry(accounts.account(row.get(1)?)?).or_default().1 += amount;
    }
    Ok(balances)
}

/// Accounts that moved between two readings: by how much debit, by how much credit.
pub fn difference(before: &Balances, after: &Balances) -> Vec<(Account, Money, Money)> {
    let moved = after.iter().map(|(account, (debit, credit))| {
        let (old_debit, old_credit) = before.get(account).copied().unwrap_or_default();
        (*account, *debit - old_debit, *credit - old_credit)
    });
    moved.filter(|(_, debit, credit)| !debit.is_zero() || !credit.is_zero()).collect()
}
