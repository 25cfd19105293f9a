//! What the extract of one person's account says beside its entries.

use crate::domain::calendar::FeeYear;
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::domain::participant::Payer;
use crate::domain::settlement::ExPostState;
use crate::store::{Result, words};
use rusqlite::{Connection, OptionalExtension};

/// Name and enrolment district on the roster.
pub fn enrolled(conn: &Connection, id: IdNumber) -> Result<Option<(String, String)>> {
    let mut statement = conn.prepare_cached("SELECT name, district FROM participant WHERE id = ?1")?;
    Ok(statement.query_row([id.key()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// An ex-post subsidy of a person (R14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsidy {
    /// Its fee year.
    pub fee_year: FeeYear,
    /// Who pays it.
    pub payer: Payer,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub state: ExPostState,
}

/// The ex-post subsidies of a person, oldest first.
pub fn subsidies(conn: &Connection, id: IdNumber) -> Result<Vec<Subsidy>> {
    let sql = "SELECT fee_year, payer, amount, state FROM ex_post WHERE participant = ?1 ORDER BY fee_year, id";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([id.key()], |row| {
        Ok(Subsidy {
            fee_year: row.get(0)?,
            payer: words::payer(row.get(1)?),
            amount: Money::from_fen(row.get(2)?),
            state: words::ex_post_state(row.get(3)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
