//! Payers' money: what came, and what of which settlement it cleared (R16).

use crate::domain::calendar::Date;
use crate::domain::money::Money;
use crate::domain::participant::{DistrictCode, Payer};
use crate::domain::settlement::SettlementYear;
use crate::pipeline::book::NewClearing;
use crate::pipeline::resolving::{Owing, TransferMatter};
use crate::store::chain::Txn;
use crate::store::{Result, date, day, words};
use rusqlite::{Connection, OptionalExtension};

/// A transfer to store with its posting.
#[derive(Clone, Debug)]
pub struct NewTransfer {
    /// Whose money.
    pub payer: Payer,
    /// For which district.
    pub district: DistrictCode,
    /// Which settlement it names.
    pub settlement_year: SettlementYear,
    /// 凭证号.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// When it came.
    pub received_on: Date,
    /// Whether that was after the settlement's `transfer_due`.
    pub is_late: bool,
}

/// The transfer behind a posting, and which settlements of its payer and district still owe: the one that it names
/// first, then the oldest.
pub fn matter(conn: &Connection, posting: i64) -> Result<Option<TransferMatter>> {
    let mut statement =
        conn.prepare_cached("SELECT payer, district, settlement_year FROM transfer WHERE posting = ?1")?;
    let found = statement
        .query_row([posting], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i16>(2)?)))
        .optional()?;
    let Some((payer, district, year)) = found else { return Ok(None) };
    let mut statement = conn.prepare_cached(
        "SELECT id, year, owed FROM
            (SELECT t.id, t.year, t.deemed - (SELECT coalesce(sum(amount), 0) FROM clearing WHERE settlement = t.id) AS owed
             FROM settlement t WHERE t.payer = ?1 AND t.district = ?2 AND t.state > 0)
         WHERE owed > 0 ORDER BY year <> ?3, year",
    )?;
    let rows = statement.query_map((payer, &district, year), |row| {
        Ok(Owing { settlement: row.get(0)?, year: row.get(1)?, owed: Money::from_fen(row.get(2)?) })
    })?;
    let owing = rows.collect::<rusqlite::Result<_>>()?;
    let (payer, district) = (words::payer(payer), words::district(&district)?);
    Ok(Some(TransferMatter { payer, district, transfer: posting, owing }))
}

/// The transfer that the money of a posting came with: its own, or that of the exception which it resolved.
pub fn behind(conn: &Connection, posting: i64) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached(
        "SELECT posting FROM transfer WHERE posting = ?1
         UNION ALL SELECT transfer FROM clearing WHERE posting = ?1 LIMIT 1",
    )?;
    Ok(statement.query_row([posting], |row| row.get(0)).optional()?)
}

/// A payer's money of which something waits in suspense.
#[derive(Clone, Debug)]
pub struct Held {
    /// Whose money.
    pub payer: Payer,
    /// For which district.
    pub district: DistrictCode,
    /// Which settlement it names.
    pub settlement_year: SettlementYear,
    /// 凭证号.
    pub reference: String,
    /// When it came.
    pub received_on: Date,
    /// How much of it waits.
    pub held: Money,
    /// It came after the settlement's `transfer_due`.
    pub is_late: bool,
}

/// Payers' money in suspense, oldest first.
pub fn held(conn: &Connection) -> Result<Vec<Held>> {
    let mut statement = conn.prepare_cached(
        "SELECT f.payer, f.district, f.settlement_year, f.reference, f.received_on, sum(x.amount), f.late
         FROM transfer f JOIN exception x ON x.posting = f.posting AND x.resolved = 0 AND x.amount > 0
         GROUP BY f.posting ORDER BY f.received_on, f.posting",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Held {
            payer: words::payer(row.get(0)?),
            district: words::district(&row.get::<_, String>(1)?)?,
            settlement_year: row.get(2)?,
            reference: row.get(3)?,
            received_on: date(row.get(4)?),
            held: Money::from_fen(row.get(5)?),
            is_late: row.get(6)?,
        });
    }
    Ok(found)
}

impl Txn<'_> {
    /// A transfer, by the key of its posting, which is written already.
    pub fn add_transfer(&self, key: &str, new: &NewTransfer) -> Result<()> {
        self.tx
            .prepare_cached(
                "INSERT INTO transfer SELECT posting, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM posting_key WHERE key = ?1",
            )?
            .execute((
                key,
                new.payer as i64,
                new.district.as_str(),
                new.settlement_year,
                &new.reference,
                new.amount.fen(),
                day(new.received_on),
                new.is_late,
            ))?;
        Ok(())
    }

    /// What payers' money clears; a settlement of which nothing is owed any more is cleared.
    pub(super) fn write_clearings(&self, clearings: &[NewClearing], postings: &[i64], today: Date) -> Result<()> {
        for clearing in clearings {
            let posting = postings[clearing.posting];
            self.tx.prepare_cached("INSERT INTO clearing VALUES (?1, ?2, ?3, ?4)")?.execute((
                posting,
                clearing.settlement,
                clearing.transfer.unwrap_or(posting),
                clearing.amount.fen(),
            ))?;
            self.clear_paid(clearing.settlement, today)?;
        }
        Ok(())
    }
}
