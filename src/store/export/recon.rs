//! Exports about the collection account and about personal accounts.

use super::{BankKeys, Cells, ENTRIES, Words, entry};
use crate::store::words::Accounts;
use rusqlite::{Connection, Row};

pub(super) const STATEMENT: &str = "
    SELECT s.bank, s.booked_on, s.reference, s.amount, s.serial, s.bundle, k.key, s.file, s.line
    FROM statement s LEFT JOIN posting_key k ON k.posting = s.posting WHERE ?1 IS NULL ORDER BY s.id";

pub(super) fn statement(row: &Row<'_>, words: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    out.put(words.bank(row.get(0)?));
    out.day(row.get(1)?);
    out.text(row, 2)?;
    out.money(row.get(3)?);
    out.text(row, 4)?;
    let bundle = row.get_ref(5)?.as_str().unwrap_or_default();
    out.put(bundle.strip_prefix("batch:").unwrap_or_default());
    out.text(row, 6)?;
    out.put(row.get::<_, i64>(7)?);
    out.put(row.get::<_, i64>(8)?);
    Ok(())
}

/// Net of what was taken back or corrected away; months in which nothing is left have no row.
pub(super) const ACCOUNTS: &str = "
    SELECT a.participant, r.name, r.district, a.fee_year, a.month, a.own, a.government FROM (
        SELECT coalesce(k.participant, i.participant) AS participant, coalesce(k.fee_year, b.fee_year) AS fee_year, p.month AS month,
               sum(CASE WHEN e.credit = 3 THEN e.amount WHEN e.debit = 3 THEN -e.amount ELSE 0 END) AS own,
               sum(CASE WHEN e.credit = 4 THEN e.amount WHEN e.debit = 4 THEN -e.amount ELSE 0 END) AS government
        FROM entry e CROSS JOIN posting p ON p.id = e.id >> 2
        LEFT JOIN posting_key k ON k.posting = p.id LEFT JOIN instruction i ON i.id = p.id
        LEFT JOIN batch b ON b.id = p.id >> 27
        WHERE (e.debit IN (3, 4) OR e.credit IN (3, 4)) AND (?1 IS NULL OR coalesce(k.fee_year, b.fee_year) = ?1)
        GROUP BY 1, 2, 3) a
    LEFT JOIN participant r ON r.id = a.participant WHERE a.own <> 0 OR a.government <> 0 ORDER BY 1, 4, 5";

pub(super) fn personal(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> crate::store::Result<()> {
    out.id(row.get(0)?);
    out.text(row, 1)?;
    out.text(row, 2)?;
    out.put(row.get::<_, i64>(3)?);
    out.month(row.get(4)?);
    let (own, government): (i64, i64) = (row.get(5)?, row.get(6)?);
    out.money(Some(own));
    out.money(Some(government));
    out.put(match (own, government) {
        (_, 0) => "cash",
        (0, _) => "deemed",
        _ => "cash+deemed",
    });
    Ok(())
}

/// Entries of some postings, in the order of their stored numbers, with the columns of `entries`.
pub fn entries_of(
    conn: &Connection,
    postings: &[i64],
    banks: &BankKeys,
    sink: &mut dyn FnMut(&[&str]),
) -> crate::store::Result<()> {
    let words = Words { banks, accounts: Accounts::load(conn)? };
    // By the numbers of the postings, not by a pass over the ledger.
    let sql = ENTRIES
        .replace(
            "FROM entry e\n    CROSS JOIN posting p ON p.id = e.id / 4",
            "FROM posting p CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3",
        )
        .replace("?1 IS NULL OR coalesce(k.fee_year, b.fee_year) = ?1 ORDER BY e.id", "p.id = ?1 ORDER BY e.id");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut cells = Cells::default();
    for posting in postings {
        let mut rows = statement.query([posting])?;
        while let Some(row) = rows.next()? {
            cells.clear();
            entry(row, &words, &mut cells)?;
            sink(&cells.texts());
        }
    }
    Ok(())
}
