//! Banks' own servers: what was fetched from them, and when a failed connection may be tried again.
//!
//! Nothing here is a fact of the books: it spares work and protects accounts, and is written without an audit row.

use crate::domain::participant::BankNumber;
use crate::store::{Result, Store};
use rusqlite::{Connection, OptionalExtension};

/// A connection that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    /// In a row.
    pub failures: u32,
    /// Seconds since 1970: not before.
    pub retry_at: i64,
    /// A person must look first.
    pub is_blocked: bool,
    /// What happened the last time.
    pub trouble: String,
    /// Digest of the profile that failed.
    pub profile: [u8; 32],
}

/// A file as it was listed at a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its name there.
    pub name: &'a [u8],
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970, by the bank's clock.
    pub mtime: u64,
}

/// How a bank's connection fails; `None` while it does not.
pub fn failing(conn: &Connection, bank: BankNumber) -> Result<Option<Failing>> {
    let mut statement =
        conn.prepare_cached("SELECT failures, retry_at, blocked, trouble, profile FROM line WHERE bank = ?1")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Failing {
            failures: row.get(0)?,
            retry_at: row.get(1)?,
            is_blocked: row.get(2)?,
            trouble: row.get(3)?,
            profile: row.get(4)?,
        })
    };
    Ok(statement.query_row([bank.0], read).optional()?)
}

/// The digest of a file that was fetched before, if it still is what it was.
pub fn fetched(conn: &Connection, bank: BankNumber, file: Listed<'_>) -> Result<Option<[u8; 32]>> {
    let mut statement = conn.prepare_cached(
        "SELECT sha256 FROM fetched WHERE bank = ?1 AND name = ?2 AND size = ?3 AND mtime = ?4 AND NOT gone",
    )?;
    let key = (bank.0, file.name, file.size as i64, file.mtime as i64);
    Ok(statement.query_row(key, |row| row.get(0)).optional()?)
}

/// The digest of the newest file that was fetched under a name.
pub fn newest_fetched(conn: &Connection, bank: BankNumber, name: &[u8]) -> Result<Option<[u8; 32]>> {
    let mut statement = conn.prepare_cached(
        "SELECT sha256 FROM fetched WHERE bank = ?1 AND name = ?2 ORDER BY mtime DESC, size DESC LIMIT 1",
    )?;
    Ok(statement.query_row((bank.0, name), |row| row.get(0)).optional()?)
}

impl Store {
    /// Remembers that a connection failed.
    pub fn note_failing(&mut self, bank: BankNumber, failing: &Failing) -> Result<()> {
        self.conn.prepare_cached("INSERT OR REPLACE INTO line VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute((
            bank.0,
            failing.failures,
            failing.retry_at,
            failing.is_blocked,
            &failing.trouble,
            &failing.profile[..],
        ))?;
        Ok(())
    }

    /// A connection works again.
    pub fn forget_failing(&mut self, bank: BankNumber) -> Result<()> {
        self.conn.prepare_cached("DELETE FROM line WHERE bank = ?1")?.execute([bank.0])?;
        Ok(())
    }

    /// Forgets what was fetched under a name: it is fetched again.
    pub fn forget_fetched(&mut self, bank: BankNumber, name: &[u8]) -> Result<()> {
        self.conn.prepare_cached("DELETE FROM fetched WHERE bank = ?1 AND name = ?2")?.execute((bank.0, name))?;
        Ok(())
    }

    /// Remembers a file that was fetched.
    pub fn note_fetched(&mut self, bank: BankNumber, file: Listed<'_>, sha256: [u8; 32]) -> Result<()> {
        self.conn.prepare_cached("INSERT OR REPLACE INTO fetched VALUES (?1, ?2, ?3, ?4, ?5, 0)")?.execute((
            bank.0,
            file.name,
            file.size as i64,
            file.mtime as i64,
            &sha256[..],
        ))?;
        Ok(())
    }

    /// A file that was fetched is no longer at the bank: what comes there next is another one, however alike.
    pub fn note_gone(&mut self, bank: BankNumber, file: Listed<'_>) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE fetched SET gone = 1 WHERE bank = ?1 AND name = ?2 AND size = ?3 AND mtime = ?4")?
            .execute((bank.0, file.name, file.size as i64, file.mtime as i64))?;
        Ok(())
    }
}
