//! I6, I8 and I13: money in suspense, complete batches, and money that the banks say they took.

use crate::domain::instruction::BatchState;
use crate::domain::money::Money;
use crate::store::Result;
use crate::store::apply::range;
use crate::store::audit::{batch_name, first, instruction_name, posting_name};
use rusqlite::{Connection, OptionalExtension};

/// I6: suspense holds what its open exceptions say, and each of them what its posting put there.
pub(super) fn suspense(conn: &Connection) -> Result<Option<String>> {
    let more = "SELECT x.id, x.amount FROM exception x
         WHERE (x.resolved <> 0 AND x.amount <> 0) OR x.amount < 0 OR (x.posting IS NOT NULL AND x.amount >
               (SELECT coalesce(sum(amount), 0) FROM entry
                WHERE id BETWEEN x.posting * 4 AND x.posting * 4 + 3 AND credit = 2)) ORDER BY x.id LIMIT 1";
    if let Some((id, amount)) = first(conn, more, |row| Ok((row.get::<_, i64>(0)?, Money::from_fen(row.get(1)?))))? {
        return Ok(Some(format!("exception {id}: it says that it holds {amount}, and no open money stands behind it")));
    }
    let sums = "SELECT (SELECT coalesce(sum(CASE WHEN credit = 2 THEN amount ELSE -amount END), 0) FROM entry
                        WHERE credit = 2 OR debit = 2),
                       (SELECT coalesce(sum(amount), 0) FROM exception WHERE resolved = 0)";
    let found = first(conn, sums, |row| Ok((Money::from_fen(row.get(0)?), Money::from_fen(row.get(1)?))))?;
    let Some((held, claimed)) = found.filter(|(held, claimed)| held != claimed) else { return Ok(None) };
    let orphan = "SELECT p.id FROM posting p WHERE p.event = 2
           AND p.id NOT IN (SELECT posting FROM exception WHERE posting IS NOT NULL) LIMIT 1";
    let place = match first(conn, orphan, |row| row.get::<_, i64>(0))? {
        Some(id) => format!("; {} has no exception", posting_name(conn, id)?),
        None => String::new(),
    };
    Ok(Some(format!("suspense holds {held}, open exceptions say {claimed}{place}")))
}

/// I8: a complete batch has its rows and one first answer for each, and what was instructed in them adds up to it.
/// A clerk's decision stands for the answer that never came, and explains an amount that came back wrong.
pub(super) fn complete(conn: &Connection) -> Result<Option<String>> {
    let mut statement =
        conn.prepare("SELECT id, number, bank, count, amount FROM batch WHERE state = ?1 ORDER BY id")?;
    let mut rows = statement.query([BatchState::Complete as i64])?;
    while let Some(row) = rows.next()? {
        let batch: i64 = row.get(0)?;
        let stated = (row.get::<_, i64>(3)?, Money::from_fen(row.get(4)?));
        let is_zero = row.get::<_, i64>(2)? == 0;
        let fault = if is_zero { zero_rows(conn, batch, stated)? } else { answered(conn, batch, stated)? };
        if let Some(fault) = fault {
            return Ok(Some(format!("{}: {fault}", batch_name(row.get(1)?))));
        }
    }
    Ok(None)
}

fn zero_rows(conn: &Connection, batch: i64, stated: (i64, Money)) -> Result<Option<String>> {
    let mut statement =
        conn.prepare_cached("SELECT count(*), coalesce(sum(government), 0) FROM zero_row WHERE id BETWEEN ?1 AND ?2")?;
    let found = statement.query_row(range(batch), |row| Ok((row.get(0)?, Money::from_fen(row.get(1)?))))?;
    Ok((found != stated).then(|| sums_differ("rows", stated, found)))
}

fn answered(conn: &Connection, batch: i64, stated: (i64, Money)) -> Result<Option<String>> {
    let mut statement = conn.prepare_cached(
        "SELECT i.id FROM instruction i LEFT JOIN answer a ON a.instruction = i.id
         WHERE i.id BETWEEN ?1 AND ?2 AND (a.instruction IS NULL OR a.amount <> i.amount)
           AND i.id NOT IN (SELECT instruction FROM exception WHERE instruction BETWEEN ?1 AND ?2)
         ORDER BY i.id LIMIT 1",
    )?;
    let open: Option<i64> = statement.query_row(range(batch), |row| row.get(0)).optional()?;
    if let Some(id) = open {
        let name = instruction_name(conn, id)?;
        return Ok(Some(format!("{name}: expected an answer with its amount, or an exception, found neither")));
    }
    let mut statement = conn.prepare_cached(
        "SELECT (SELECT count(*) FROM instruction WHERE id BETWEEN ?1 AND ?2),
                (SELECT coalesce(sum(amount), 0) FROM instruction WHERE id BETWEEN ?1 AND ?2),
                (SELECT count(*) FROM answer a WHERE a.instruction BETWEEN ?1 AND ?2
                 AND NOT EXISTS (SELECT 1 FROM instruction WHERE id = a.instruction))",
    )?;
    let (found, strangers) = statement
        .query_row(range(batch), |row| Ok(((row.get(0)?, Money::from_fen(row.get(1)?)), row.get::<_, i64>(2)?)))?;
    if strangers > 0 {
        return Ok(Some(format!("{strangers} answers are of no instruction")));
    }
    Ok((found != stated).then(|| sums_differ("instructions", stated, found)))
}

fn sums_differ(what: &str, (count, amount): (i64, Money), (found, sum): (i64, Money)) -> String {
    format!("expected {count} {what} of {amount} in all, found {found} of {sum}")
}

/// I13: `collection` must show the money that the banks' first answers say they
/// took, instruction by instruction (R10: it is always booked); through which events it moves is part of I2.
pub(super) fn booked(conn: &Connection) -> Result<Option<String>> {
    let mut statement = conn.prepare(
        "SELECT a.instruction, a.actual,
                (SELECT coalesce(sum(amount), 0) FROM entry
                 WHERE id BETWEEN a.instruction * 4 AND a.instruction * 4 + 3 AND debit = 1) AS booked
         FROM answer a WHERE a.actual <> booked",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, taken, booked) = (row.get(0)?, Money::from_fen(row.get(1)?), Money::from_fen(row.get(2)?));
        let booked = booked + beside(conn, id)?;
        // Further money, and a clerk's word before the bank's, stand beside the first answer.
        if booked < taken {
            let name = instruction_name(conn, id)?;
            return Ok(Some(format!("{name}: the bank says that it took {taken}, collection shows {booked}")));
        }
    }
    lines(conn)
}

/// A line that shows a posting shows what it moved, and money that only a statement has is on one.
fn lines(conn: &Connection) -> Result<Option<String>> {
    let differs = "SELECT s.serial, s.amount, k.key FROM statement s LEFT JOIN posting_key k ON k.posting = s.posting
         WHERE s.posting IS NOT NULL AND s.amount IS NOT
               (SELECT sum(CASE WHEN debit = 1 THEN amount WHEN credit = 1 THEN -amount END) FROM entry
                WHERE id BETWEEN s.posting * 4 AND s.posting * 4 + 3) LIMIT 1";
    let found = first(conn, differs, |row| {
        Ok((row.get::<_, String>(0)?, Money::from_fen(row.get(1)?), row.get::<_, Option<String>>(2)?))
    })?;
    if let Some((serial, amount, key)) = found {
        let posting = key.map_or_else(|| "no posting".to_owned(), |key| format!("posting {key}"));
        return Ok(Some(format!("statement line {serial}: it says {amount}, {posting} moved something else")));
    }
    let twice = "SELECT posting FROM statement WHERE posting IS NOT NULL GROUP BY posting HAVING count(*) > 1 LIMIT 1";
    if let Some(id) = first(conn, twice, |row| row.get::<_, i64>(0))? {
        return Ok(Some(format!("{}: two lines of statements show it", posting_name(conn, id)?)));
    }
    let unshown = "SELECT k.posting FROM posting_key k WHERE k.key LIKE 'stm:%'
           AND NOT EXISTS (SELECT 1 FROM statement s WHERE s.posting = k.posting)
           AND NOT EXISTS (SELECT 1 FROM posting_key u WHERE u.undoes = k.posting) LIMIT 1";
    let found = first(conn, unshown, |row| row.get::<_, i64>(0))?;
    found.map(|id| Ok(format!("{}: no line of a statement shows it", posting_name(conn, id)?))).transpose()
}

/// Money of an instruction that was booked under other keys than its own.
fn beside(conn: &Connection, instruction: i64) -> Result<Money> {
    let mut statement = conn.prepare_cached(
        "SELECT coalesce(sum(e.amount), 0) FROM posting_key k
         CROSS JOIN entry e ON e.id BETWEEN k.posting * 4 AND k.posting * 4 + 3 AND e.debit = 1
         WHERE k.instruction = ?1 AND k.posting <> ?1",
    )?;
    Ok(Money::from_fen(statement.query_row([instruction], |row| row.get(0))?))
}
