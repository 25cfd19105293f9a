//! I1 and I2: every posting is balanced, has its event, and leaves its instruction as it should be.

use crate::domain::ledger::Event;
use crate::domain::money::Money;
use crate::store::Result;
use crate::store::audit::{first, instruction_name, posting_name};
use rusqlite::Connection;
use std::collections::{HashMap, HashSet};

/// An account by its stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Collection,
    Suspense,
    Own,
    Government,
    Receivable,
}

impl Kind {
    fn of(account: i64) -> Kind {
        match account {
            1 => Kind::Collection,
            2 => Kind::Suspense,
            3 => Kind::Own,
            4 => Kind::Government,
            _ => Kind::Receivable,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Collection => "collection",
            Kind::Suspense => "suspense",
            Kind::Own => "personal/own",
            Kind::Government => "personal/government",
            Kind::Receivable => "receivable",
        }
    }
}

/// I1: an entry is one amount on two accounts, so a posting balances as long as its entries are such pairs, belong to
/// it, and are there at all.
pub(super) fn balanced(conn: &Connection) -> Result<Option<String>> {
    let lost = "SELECT id >> 2 FROM entry e WHERE NOT EXISTS (SELECT 1 FROM posting WHERE id = e.id >> 2) LIMIT 1";
    if let Some(id) = first(conn, lost, |row| row.get::<_, i64>(0))? {
        return Ok(Some(format!("{}: an entry is there, the posting is not", posting_name(conn, id)?)));
    }
    let empty = "SELECT id FROM posting p
                 WHERE NOT EXISTS (SELECT 1 FROM entry WHERE id BETWEEN p.id * 4 AND p.id * 4 + 3) LIMIT 1";
    if let Some(id) = first(conn, empty, |row| row.get::<_, i64>(0))? {
        return Ok(Some(format!("{}: has no entries", posting_name(conn, id)?)));
    }
    let accounts = "SELECT id FROM account WHERE id BETWEEN 1 AND 4 OR payer IS NOT NULL";
    let sql = format!(
        "SELECT id >> 2, debit, credit, amount FROM entry
         WHERE amount <= 0 OR debit = credit OR debit NOT IN ({accounts}) OR credit NOT IN ({accounts}) LIMIT 1"
    );
    let found = first(conn, &sql, |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let Some((id, debit, credit, fen)) = found else { return Ok(None) };
    let (debit, credit, amount): (i64, i64, Money) = (debit, credit, Money::from_fen(fen));
    let posting = posting_name(conn, id)?;
    Ok(Some(format!("{posting}: {amount} from account {debit} to account {credit} is no balanced pair")))
}

/// I2: a settled instruction has exactly one standing posting that credits `personal/own`, any other none; every
/// posting has its event: something that was said, entries that fit it, and for a reversal what it takes back.
pub(super) fn explained(conn: &Connection) -> Result<Option<String>> {
    for prove in [settled, said, fitting, contra, corrected] {
        if let Some(offender) = prove(conn)? {
            return Ok(Some(offender));
        }
    }
    Ok(None)
}

fn settled(conn: &Connection) -> Result<Option<String>> {
    let undone = undone(conn)?;
    let resolved = resolved(conn)?;
    let mut statement = conn.prepare(
        "SELECT i.id, s.state = 3, s.id IS NULL,
                (SELECT count(*) FROM entry WHERE id BETWEEN i.id * 4 AND i.id * 4 + 3 AND credit = 3)
         FROM instruction i LEFT JOIN instruction_state s ON s.id = i.id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, is_settled, own): (i64, Option<bool>, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let own = if undone.contains(&id) { 0 } else { own };
        let standing = own + resolved.get(&id).copied().unwrap_or(0);
        let expected = i64::from(is_settled == Some(true));
        if standing != expected || row.get(2)? {
            let name = instruction_name(conn, id)?;
            let is = if expected == 1 { "settled" } else { "not settled" };
            return Ok(Some(format!(
                "{name}: it is {is}, so expected {expected} standing postings to personal/own, found {standing}"
            )));
        }
    }
    Ok(None)
}

/// Postings that were taken back. Few: a bank's reversals and a clerk's corrections.
fn undone(conn: &Connection) -> Result<HashSet<i64>> {
    let mut statement = conn.prepare("SELECT undoes FROM posting_key WHERE undoes IS NOT NULL")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Standing postings to `personal/own` under another key than their instruction's: how many, by instruction.
fn resolved(conn: &Connection) -> Result<HashMap<i64, i64>> {
    let mut statement = conn.prepare(
        "SELECT k.instruction, count(*) FROM posting_key k
         JOIN posting p ON p.id = k.posting AND p.event NOT IN (6, 7)
         CROSS JOIN entry e ON e.id BETWEEN k.posting * 4 AND k.posting * 4 + 3 AND e.credit = 3
         WHERE k.instruction IS NOT NULL AND k.posting <> k.instruction
           AND k.posting NOT IN (SELECT undoes FROM posting_key WHERE undoes IS NOT NULL)
         GROUP BY k.instruction",
    )?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?)
}

/// A posting under an instruction's number was answered by the bank, any other says what it concerns.
fn said(conn: &Connection) -> Result<Option<String>> {
    let unsaid = "SELECT p.id FROM posting p
         WHERE NOT EXISTS (SELECT 1 FROM posting_key WHERE posting = p.id)
           AND NOT (EXISTS (SELECT 1 FROM answer WHERE instruction = p.id)
                    AND EXISTS (SELECT 1 FROM instruction WHERE id = p.id)) LIMIT 1";
    if let Some(id) = first(conn, unsaid, |row| row.get::<_, i64>(0))? {
        return Ok(Some(format!("{}: neither an answer nor a key says why it is there", posting_name(conn, id)?)));
    }
    let lost = "SELECT key FROM posting_key k WHERE NOT EXISTS (SELECT 1 FROM posting WHERE id = k.posting)
            OR (k.posting >= 1 << 27 AND NOT EXISTS (SELECT 1 FROM instruction WHERE id = k.posting)
                AND NOT EXISTS (SELECT 1 FROM zero_row WHERE id = k.posting)) LIMIT 1";
    let key = first(conn, lost, |row| row.get::<_, String>(0))?;
    Ok(key.map(|key| format!("posting {key}: its key is there, what it belongs to is not")))
}

fn fitting(conn: &Connection) -> Result<Option<String>> {
    let mut statement = conn.prepare(
        "SELECT p.id, p.event, e.debit, e.credit FROM posting p
         CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, event): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (debit, credit) = (Kind::of(row.get(2)?), Kind::of(row.get(3)?));
        let event = usize::try_from(event).ok().and_then(|event| Event::ALL.get(event)).map(|(event, ..)| *event);
        if !event.is_some_and(|event| fits(event, debit, credit)) {
            let word = event.map_or("no event of ours", Event::word);
            let posting = posting_name(conn, id)?;
            return Ok(Some(format!("{posting}: {word} never moves {} to {}", debit.word(), credit.word())));
        }
    }
    Ok(None)
}

/// Design section 7: which pairs an event may have, debit first.
fn fits(event: Event, debit: Kind, credit: Kind) -> bool {
    use Kind::*;
    let deemed = (debit, credit) == (Receivable, Government);
    match event {
        Event::SelfPayment => deemed || (debit, credit) == (Collection, Own),
        Event::ZeroPayment => deemed,
        Event::Suspense => (debit, credit) == (Collection, Suspense),
        Event::SuspensePosted => deemed || (debit, credit) == (Suspense, Own),
        Event::Refund => (debit, credit) == (Suspense, Collection),
        Event::Transfer => {
            matches!((debit, credit), (Collection, Receivable | Suspense) | (Suspense, Receivable))
        }
        Event::Reversal => {
            let of_correction = deemed || (debit, credit) == (Suspense, Own);
            of_correction
                || matches!((debit, credit), (Own | Suspense | Receivable, Collection) | (Government, Receivable))
        }
        Event::Correction => deemed || matches!((debit, credit), (Government, Receivable) | (Own, Suspense)),
    }
}

/// A reversal is the contra of the posting that it takes back, pair by pair, and the only one; own money that had come
/// by way of suspense leaves the bank account.
fn contra(conn: &Connection) -> Result<Option<String>> {
    let differs = "SELECT k.posting FROM posting_key k JOIN posting p ON p.id = k.posting AND p.event = 6
         WHERE k.undoes IS NULL
            OR (SELECT count(*) FROM entry WHERE id BETWEEN k.posting * 4 AND k.posting * 4 + 3)
            <> (SELECT count(*) FROM entry r JOIN entry o ON o.id = r.id - k.posting * 4 + k.undoes * 4
                  AND (o.debit = r.credit OR (o.debit = 2 AND o.credit = 3 AND r.credit = 1))
                  AND o.credit = r.debit AND o.amount = r.amount
                WHERE r.id BETWEEN k.posting * 4 AND k.posting * 4 + 3)
            OR (SELECT count(*) FROM entry WHERE id BETWEEN k.undoes * 4 AND k.undoes * 4 + 3)
            <> (SELECT count(*) FROM entry WHERE id BETWEEN k.posting * 4 AND k.posting * 4 + 3) LIMIT 1";
    if let Some(id) = first(conn, differs, |row| row.get::<_, i64>(0))? {
        return Ok(Some(format!("{}: is not the contra of what it takes back", posting_name(conn, id)?)));
    }
    let twice = "SELECT undoes FROM posting_key WHERE undoes IS NOT NULL GROUP BY undoes HAVING count(*) > 1 LIMIT 1";
    match first(conn, twice, |row| row.get::<_, i64>(0))? {
        Some(id) => Ok(Some(format!("{}: is taken back twice", posting_name(conn, id)?))),
        None => Ok(None),
    }
}

/// A correction points to a posting that stands, takes back the deemed entry that stood there, and is the only one.
fn corrected(conn: &Connection) -> Result<Option<String>> {
    let lost = "SELECT p.id FROM posting p LEFT JOIN posting_key k ON k.posting = p.id
         WHERE (p.event = 7) <> (k.corrects IS NOT NULL)
            OR (k.corrects IS NOT NULL AND NOT EXISTS (SELECT 1 FROM posting WHERE id = k.corrects)) LIMIT 1";
    if let Some(id) = first(conn, lost, |row| row.get::<_, i64>(0))? {
        return Ok(Some(format!(
            "{}: a correction points to what it corrects, and nothing else does",
            posting_name(conn, id)?
        )));
    }
    let twice = "SELECT corrects FROM posting_key k WHERE corrects IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM posting_key u WHERE u.undoes = k.posting)
         GROUP BY corrects HAVING count(*) > 1 LIMIT 1";
    if let Some(id) = first(conn, twice, |row| row.get::<_, i64>(0))? {
        return Ok(Some(format!("{}: is corrected twice", posting_name(conn, id)?)));
    }
    let other = "SELECT k.posting FROM posting_key k
         CROSS JOIN entry e ON e.id BETWEEN k.posting * 4 AND k.posting * 4 + 3 AND e.debit = 4
         WHERE k.corrects IS NOT NULL AND NOT EXISTS (SELECT 1 FROM entry o
            WHERE o.id BETWEEN k.corrects * 4 AND k.corrects * 4 + 3 AND o.credit = 4 AND o.debit = e.credit
              AND o.amount = e.amount) LIMIT 1";
    if let Some(id) = first(conn, other, |row| row.get::<_, i64>(0))? {
        return Ok(Some(format!(
            "{}: takes back another deemed entry than the one that it corrects",
            posting_name(conn, id)?
        )));
    }
    let hollow = "SELECT u.undoes FROM posting_key u JOIN posting_key k ON k.corrects = u.undoes
         WHERE NOT EXISTS (SELECT 1 FROM posting_key w WHERE w.undoes = k.posting) LIMIT 1";
    match first(conn, hollow, |row| row.get::<_, i64>(0))? {
        Some(id) => {
            Ok(Some(format!("{}: is taken back, and a correction of it still stands", posting_name(conn, id)?)))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_chart_of_accounts_fits() {
        use Kind::*;
        assert!(fits(Event::SelfPayment, Collection, Own) && fits(Event::SelfPayment, Receivable, Government));
        assert!(!fits(Event::SelfPayment, Collection, Government) && !fits(Event::ZeroPayment, Collection, Own));
        assert!(fits(Event::Refund, Suspense, Collection) && !fits(Event::Refund, Own, Collection));
        assert!(fits(Event::Reversal, Suspense, Own) && fits(Event::Reversal, Receivable, Government));
        assert!(fits(Event::Correction, Own, Suspense) && !fits(Event::Correction, Own, Collection));
    }
}
