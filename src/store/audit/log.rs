//! I11: the audit log is whole and covers what it must.

use crate::domain::ids::BatchNumber;
use crate::store::Result;
use crate::store::audit::posting_name;
use crate::store::chain::{cover, row_digest};
use crate::store::kept_sums;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};

/// I11: every row names the digest of the one before, and the digest of its transaction's postings; every drop file,
/// batch and given approval is covered by a row with its digest.
pub(super) fn whole(conn: &Connection) -> Result<Option<String>> {
    let mut postings = postings_by_transaction(conn)?;
    let mut known: HashSet<[u8; 32]> = HashSet::new();
    let mut statement =
        conn.prepare("SELECT seq, at, actor, action, subject, digest, postings, previous FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let (mut last, mut previous) = (0, [0; 32]);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        if seq != last + 1 || row.get_ref(7)?.as_blob().unwrap_or_default() != previous {
            return Ok(Some(format!("audit row {seq}: does not follow row {last}: a row was changed, added or lost")));
        }
        let expected: [u8; 32] = postings.remove(&seq).unwrap_or_default().finalize().into();
        if row.get_ref(6)?.as_blob().unwrap_or_default() != expected {
            return Ok(Some(format!("audit row {seq}: the postings of its transaction are not those that it covers")));
        }
        known.extend(row.get::<_, [u8; 32]>(5).ok());
        (last, previous) = (seq, row_digest(row)?);
    }
    if let Some((seq, _)) = postings.first_key_value() {
        let mut statement = conn.prepare("SELECT id FROM posting WHERE txn = ?1 LIMIT 1")?;
        let id = statement.query_row([seq], |row| row.get(0))?;
        return Ok(Some(format!("{}: its transaction {seq} is not in the audit log", posting_name(conn, id)?)));
    }
    match uncovered(conn, &known)? {
        // The feed and reconciliation find by it what the log covers.
        None => kept_sums::differs(conn),
        offender => Ok(offender),
    }
}

/// Digests of the postings of every transaction, built in one pass: as many as there are transactions with postings.
fn postings_by_transaction(conn: &Connection) -> Result<BTreeMap<i64, Sha256>> {
    let mut digests: BTreeMap<i64, Sha256> = BTreeMap::new();
    let mut statement = conn.prepare("SELECT id, event, booked_on, month, txn FROM posting ORDER BY id")?;
    let mut legs = conn.prepare("SELECT id, debit, credit, amount FROM entry ORDER BY id")?;
    let (mut rows, mut legs) = (statement.query([])?, legs.query([])?);
    let mut next = leg(&mut legs)?;
    let (mut entries, mut covered) = (Vec::with_capacity(4), Vec::new());
    while let Some(row) = rows.next()? {
        let posting: [i64; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
        entries.clear();
        while let Some(entry) = next.filter(|entry| entry[0] >> 2 <= posting[0]) {
            if entry[0] >> 2 == posting[0] {
                entries.push(entry);
            }
            next = leg(&mut legs)?;
        }
        covered.clear();
        cover(&mut covered, posting, &entries);
        digests.entry(row.get(4)?).or_default().update(&covered);
    }
    Ok(digests)
}

fn leg(rows: &mut rusqlite::Rows<'_>) -> Result<Option<[i64; 4]>> {
    Ok(match rows.next()? {
        Some(row) => Some([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]),
        None => None,
    })
}

/// A file, a batch or an approval that no row of the log speaks of.
fn uncovered(conn: &Connection, known: &HashSet<[u8; 32]>) -> Result<Option<String>> {
    for (what, sql) in [
        ("file", "SELECT id, sha256 FROM file ORDER BY id"),
        ("batch", "SELECT number, sha256 FROM batch ORDER BY id"),
        ("approval", "SELECT id, digest FROM approval WHERE state = 1 ORDER BY id"),
    ] {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, [u8; 32]>(1).is_ok_and(|digest| known.contains(&digest)) {
                continue;
            }
            let id: i64 = row.get(0)?;
            let id = if what == "batch" { BatchNumber::from_value(id as u64).to_string() } else { id.to_string() };
            return Ok(Some(format!("{what} {id}: no row of the audit log has its digest")));
        }
    }
    Ok(None)
}
