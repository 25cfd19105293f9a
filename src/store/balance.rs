//! Balances of the accounts, from the entries.

use crate::domain::calendar::Month;
use crate::domain::ledger::Account;
use crate::domain::money::Money;
use crate::store::Result;
use crate::store::words::Accounts;
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
               JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3 WHERE p.month = ?1 GROUP BY e.debit, e.credit";
    Ok((postings as u64, summed(conn, sql, [month.value()])?))
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
