//! What was put right of the roster on evidence, and holds until the roster itself says something new.

use crate::domain::calendar::Date;
use crate::domain::ids::IdNumber;
use crate::store::chain::Txn;
use crate::store::{Result, day};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// One value of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// Whose.
    pub participant: IdNumber,
    /// `name`, `bank`, `account` or `account_name`.
    pub field: &'static str,
    /// What the roster said.
    pub old: String,
    /// What is right.
    pub new: String,
}

/// The fields that can be put right.
const FIELDS: [&str; 4] = ["name", "bank", "account", "account_name"];

/// Every fix by person, oldest first.
pub fn fixes(conn: &Connection) -> Result<BTreeMap<i64, Vec<Fix>>> {
    let mut found: BTreeMap<i64, Vec<Fix>> = BTreeMap::new();
    let mut statement = conn.prepare_cached("SELECT participant, field, old, new FROM fix ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (key, word): (i64, String) = (row.get(0)?, row.get(1)?);
        let Some(field) = FIELDS.into_iter().find(|field| *field == word) else { continue };
        let fix = Fix { participant: IdNumber::from_key(key), field, old: row.get(2)?, new: row.get(3)? };
        found.entry(key).or_default().push(fix);
    }
    Ok(found)
}

/// File and line of a roster row.
pub fn place_of(conn: &Connection, id: IdNumber) -> Result<(i64, u32)> {
    let mut statement = conn.prepare_cached("SELECT file, line FROM participant WHERE id = ?1")?;
    Ok(statement.query_row([id.key()], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

impl Txn<'_> {
    /// Keeps a fix with its evidence, maker and checker.
    pub fn keep_fix(
        &self,
        fix: &Fix,
        evidence: &str,
        reason: &str,
        (maker, checker): (&str, &str),
        on: Date,
    ) -> Result<()> {
        self.tx
            .prepare_cached(
                "INSERT INTO fix (participant, field, old, new, evidence, reason, maker, checker, on_day)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                fix.participant.key(),
                fix.field,
                &fix.old,
                &fix.new,
                evidence,
                reason,
                maker,
                checker,
                day(on),
            ))?;
        Ok(())
    }
}
