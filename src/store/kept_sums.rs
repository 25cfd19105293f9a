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

/// First and last number of some postings.
type Span = (i64, i64);

impl Txn<'_> {
    /// Notes postings, given by their heads (number, event, day, month) and entries (number × 4 + leg, debit, credit, amount), both in
    /// the order of their numbers.
    pub(super) fn note_posted(&self, heads: &[[i64; 4]], entries: &[[i64; 4]]) -> Result<()> {
        let mut spans: BTreeMap<i64, Span> = BTreeMap::new();
        let mut came: BTreeMap<(i64, i64), (i64, i64)> = BTreeMap::new();
        let mut entries = entries.iter().peekable();
        for [id, _, booked_on, _] in heads {
            let batch = id >> SEQUENCE_BITS;
            let span = spans.entry(batch).or_insert((*id, *id));
            *span = (span.0.min(*id), span.1.max(*id));
            while let Some([entry, debit, _, amount]) = entries.next_if(|entry| entry[0] >> 2 == *id) {
                if batch > 0 && *entry == id * 4 && *debit == COLLECTION {
                    let sum = came.entry((batch, *booked_on)).or_default();
                    *sum = (sum.0 + amount, sum.1 + 1);
                }
            }
        }
        let mut statement = self.tx.prepare_cached(
            "INSERT INTO posted_span VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
             SET first = min(first, excluded.first), last = max(last, excluded.last)",
        )?;
        for (batch, (first, last)) in spans {
            statement.execute((self.seq, batch, first, last))?;
        }
        let mut statement = self.tx.prepare_cached(
            "INSERT INTO batch_day VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
             SET amount = amount + excluded.amount, count = count + excluded.count",
        )?;
        for ((batch, day), (amount, count)) in came {
            statement.execute((batch, day, amount, count))?;
        }
        Ok(())
    }
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
