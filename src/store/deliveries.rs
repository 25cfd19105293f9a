//! How far the files of a batch may have come: recorded before each act, so that a crash never makes us guess.

use crate::domain::delivery::Stage;
use crate::domain::ids::BatchNumber;
use crate::store::chain::Txn;
use crate::store::{Result, book};
use rusqlite::Connection;

/// One file of a batch on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How far it may have come.
    pub stage: Stage,
    /// What showed that it is there; empty before.
    pub evidence: String,
}

/// Data file and control file of a batch, as far as they were begun.
pub fn of_batch(conn: &Connection, number: BatchNumber) -> Result<[Option<Delivery>; 2]> {
    let mut found = [None, None];
    let Some((batch, _)) = book::batch(conn, number)? else { return Ok(found) };
    let mut statement = conn.prepare_cached("SELECT part, stage, evidence FROM delivery WHERE batch = ?1")?;
    let mut rows = statement.query([batch])?;
    while let Some(row) = rows.next()? {
        let (part, stage): (u8, u8) = (row.get(0)?, row.get(1)?);
        let stage = Stage::ALL.get(usize::from(stage)).expect("a stored word is one of ours").0;
        if let Some(place) = found.get_mut(usize::from(part)) {
            *place = Some(Delivery { stage, evidence: row.get(2)? });
        }
    }
    Ok(found)
}

impl Txn<'_> {
    /// Records how far a file of a batch may come now: 0 the data file, 1 its control file.
    pub fn stage(&self, number: BatchNumber, part: usize, stage: Stage, evidence: &str) -> Result<()> {
        let (batch, _) = self.batch(number)?;
        self.tx
            .prepare_cached(
                "INSERT INTO delivery VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET stage = ?3, evidence = ?4 WHERE stage <= ?3",
            )?
            .execute((batch, part as i64, stage as i64, evidence))?;
        Ok(())
    }

    /// An operator found that nothing arrived: it begins anew.
    pub(crate) fn forget_delivery(&self, batch: i64) -> Result<()> {
        self.tx.execute("DELETE FROM delivery WHERE batch = ?1", [batch])?;
        Ok(())
    }
}
