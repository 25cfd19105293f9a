//! What is kept beside the postings as they are written, so that what is new can be found, and what a batch brought can be added up,
//! without a pass over the ledger and without an index on it: per transaction where its postings lie, per batch and day what
//! came in. A few rows for each stretch of a file. The audit works both out anew.

use crate::store::book::SEQUENCE_BITS;
use crate::store::chain::Txn;
use crate::store::{Error, Result};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;

/// The account of the bureau's money (`words::Accounts`).
const COLLECTION: i64 = 1;

impl Txn<'_> {
    /// Notes postings, given by their heads (number, event, day, month) and entries (number × 4 + leg, debit, credit, amount), both in
    /// the order of their numbers.
    pub(super) fn note_posted(&self, heads: &[[i64; 4]], entries: &[[i64; 4]]) -> Result<()> {
        let mut span = self.tx.prepare_cached(
            "INSERT INTO posted_span VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
             SET first = min(first, excluded.first), last = max(last, excluded.last)",
        )?;
        let mut day = self.tx.prepare_cached(
            "INSERT INTO batch_day VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
             SET amount = amount + excluded.amount, count = count + excluded.count",
        )?;
        for run in heads.chunk_by(|a, b| batch_of(a) == batch_of(b)) {
            let (batch, first, last) = (batch_of(&run[0]), run[0][0], run[run.len() - 1][0]);
            span.execute((self.seq, batch, first, last))?;
            if batch == 0 {
                continue;
            }
            let before = entries.partition_point(|entry| entry[0] < first * 4);
            for (booked_on, (amount, count)) in came(run, &entries[before..]) {
                day.execute((batch, booked_on, amount, count))?;
            }
        }
        Ok(())
    }
}

fn batch_of(head: &[i64; 4]) -> i64 {
    head[0] >> SEQUENCE_BITS
}

/// What some postings brought into the bureau's account: amount and number by day. Neighbours mostly share their day.
fn came(heads: &[[i64; 4]], entries: &[[i64; 4]]) -> BTreeMap<i64, (i64, i64)> {
    let mut days: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut entries = entries.iter().peekable();
    for run in heads.chunk_by(|a, b| a[2] == b[2]) {
        let sum = days.entry(run[0][2]).or_default();
        for [id, ..] in run {
            while let Some([entry, debit, _, amount]) = entries.next_if(|entry| entry[0] >> 2 == *id) {
                if *entry == id * 4 && *debit == COLLECTION {
                    *sum = (sum.0 + amount, sum.1 + 1);
                }
            }
        }
    }
    days.retain(|_, (_, count)| *count > 0);
    days
}

/// Both once more from the ledger: the first that is not as it is kept.
pub(super) fn differs(conn: &Connection) -> Result<Option<String>> {
    let spans = "SELECT p.txn, p.id >> 27, min(p.id), max(p.id) FROM posting p GROUP BY 1, 2";
    let kept = "SELECT txn, batch, first, last FROM posted_span";
    let sums =
        "SELECT p.id >> 27, p.booked_on, sum(e.amount), count(*) FROM posting p CROSS JOIN entry e ON e.id = p.id * 4
                WHERE p.id >= 1 << 27 AND e.debit = 1 GROUP BY 1, 2";
    let added = "SELECT batch, booked_on, amount, count FROM batch_day";
    for (what, worked_out, stored) in [("posted_span", spans, kept), ("batch_day", sums, added)] {
        let sql = format!(
            "SELECT * FROM (SELECT * FROM ({worked_out}) EXCEPT SELECT * FROM ({stored}))
             UNION ALL SELECT * FROM (SELECT * FROM ({stored}) EXCEPT SELECT * FROM ({worked_out})) LIMIT 1"
        );
        let row = |row: &rusqlite::Row<'_>| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
        if let Some(found) = conn.prepare(&sql)?.query_row([], row).optional().map_err(Error::from)? {
            return Ok(Some(format!("{what}: {found:?} is kept and not in the ledger, or in the ledger and not kept")));
        }
    }
    Ok(None)
}
