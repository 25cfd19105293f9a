//! The audit log: one row per transaction, chained by digests (I11).

use crate::domain::calendar::{Date, DateTime, parse_date};
use crate::store::words::Accounts;
use crate::store::{Result, Store};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};

/// Who does what to what, and when: the business date and time is given, never read.
#[derive(Clone, Debug)]
pub struct Act {
    /// Business date and time.
    pub at: DateTime,
    /// The actor's name; `system` where no person decides.
    pub actor: String,
    /// What is done.
    pub action: &'static str,
    /// To what: file, batch, exception, configuration. Nothing personal.
    pub subject: String,
    /// Digest of the thing: bytes of a file, approved bytes, configuration.
    pub digest: [u8; 32],
}

/// One open transaction.
#[derive(Debug)]
pub struct Txn<'s> {
    pub(crate) tx: Transaction<'s>,
    /// Number of its audit row.
    pub(crate) seq: i64,
    pub(crate) postings: Sha256,
    pub(crate) accounts: Option<Accounts>,
}

impl Store {
    /// Does `work` in one transaction with its audit row, which covers the postings written.
    pub fn transact<T>(&mut self, act: &Act, work: impl FnOnce(&mut Txn<'_>) -> Result<T>) -> Result<T> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let seq = head(&tx)?.0 + 1;
        let mut txn = Txn { tx, seq, postings: Sha256::new(), accounts: None };
        let result = work(&mut txn)?;
        let Txn { tx, postings, .. } = txn;
        append(&tx, seq, act, postings.finalize().into())?;
        failpoint!(act.action, "before-commit");
        tx.commit()?;
        failpoint!(act.action, "after-commit");
        Ok(result)
    }
}

/// Number and digest of the newest row; zero and zeros where there is none.
pub fn head(conn: &Connection) -> Result<(i64, [u8; 32])> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, at, actor, action, subject, digest, postings, previous FROM audit ORDER BY seq DESC LIMIT 1",
    )?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        None => Ok((0, [0; 32])),
        Some(row) => Ok((row.get(0)?, row_digest(row)?)),
    }
}

/// Business dates of the newest backup and of the first act, where there are any.
pub fn backed_up(conn: &Connection) -> Result<(Option<Date>, Option<Date>)> {
    let newest = "SELECT at FROM audit WHERE action = 'backup' ORDER BY seq DESC LIMIT 1";
    let first = "SELECT at FROM audit ORDER BY seq LIMIT 1";
    let on = |sql: &str| -> Result<Option<Date>> {
        let at: Option<String> = conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        Ok(at.and_then(|at| parse_date(at.get(..10)?)))
    };
    Ok((on(newest)?, on(first)?))
}

/// Digest of one stored row: what the next row calls `previous`.
pub(crate) fn row_digest(row: &rusqlite::Row<'_>) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(b"daikou audit row\n");
    hash.update(row.get::<_, i64>(0)?.to_be_bytes());
    for column in 1..=4 {
        let text = row.get_ref(column)?.as_str().unwrap_or_default().as_bytes();
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    for column in 5..=7 {
        hash.update(row.get_ref(column)?.as_blob().unwrap_or_default());
    }
    Ok(hash.finalize().into())
}

fn append(tx: &Transaction<'_>, seq: i64, act: &Act, postings: [u8; 32]) -> Result<()> {
    let (_, previous) = head(tx)?;
    tx.prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute((
        seq,
        act.at.to_string(),
        &act.actor,
        act.action,
        &act.subject,
        &act.digest[..],
        &postings[..],
        &previous[..],
    ))?;
    Ok(())
}

/// Appends one posting with its entries: how the postings of a transaction are covered, in order of their numbers.
pub(crate) fn cover(bytes: &mut Vec<u8>, posting: [i64; 4], entries: &[[i64; 4]]) {
    for row in std::iter::once(&posting).chain(entries) {
        bytes.extend_from_slice(row.map(i64::to_be_bytes).as_flattened());
    }
}
