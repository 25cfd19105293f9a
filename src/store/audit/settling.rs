//! I5 and I9: what payers owe, what settlements claim, what transfers cleared.

use crate::domain::money::Money;
use crate::domain::participant::Payer;
use crate::domain::settlement::{ClaimKind, SettlementState, net, total};
use crate::pipeline::papers;
use crate::store::audit::{first, plan_name, posting_name};
use crate::store::settlements::{self, Settlement};
use crate::store::{Result, payouts, words};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

/// I5: of each settlement no more is cleared than it claims, and every fen of it by a posting; of each payer and district
/// the receivable is what was deemed received less what was taken back, corrected and transferred, and below zero only
/// by what was taken back after its settlement was approved. Which pairs may touch a receivable is part of I2.
pub(super) fn receivables(conn: &Connection) -> Result<Option<String>> {
    for prove in [claimed, posted, open] {
        if let Some(offender) = prove(conn)? {
            return Ok(Some(offender));
        }
    }
    Ok(None)
}

/// No settlement is cleared beyond what it claims, and what is cleared is of its own payer and district.
fn claimed(conn: &Connection) -> Result<Option<String>> {
    for one in settlements::all(conn)? {
        if one.cleared > one.deemed.max(Money::ZERO) {
            let (name, cleared, claimed) = (one.subject(), one.cleared, one.deemed);
            return Ok(Some(format!("settlement {name}: expected at most {claimed} to be cleared, found {cleared}")));
        }
        let owes = one.owed().is_positive();
        if (one.state == SettlementState::Cleared && owes) || (one.state == SettlementState::Sent && !owes) {
            let (name, state, owed) = (one.subject(), one.state.word(), one.owed());
            return Ok(Some(format!("settlement {name}: it is {state}, and {owed} are owed")));
        }
    }
    Ok(None)
}

/// Every entry of a transfer that clears a receivable says which settlement, in the same amount, and of the same debtor.
fn posted(conn: &Connection) -> Result<Option<String>> {
    let unsaid = "SELECT e.id >> 2 FROM entry e JOIN posting p ON p.id = e.id >> 2 AND p.event = 5
         WHERE e.credit > 4 AND NOT EXISTS (
             SELECT 1 FROM clearing c JOIN settlement t ON t.id = c.settlement AND t.state > 0
             JOIN account a ON a.payer = t.payer AND a.district = t.district
             WHERE c.posting = e.id >> 2 AND c.amount = e.amount AND a.id = e.credit) LIMIT 1";
    if let Some(id) = first(conn, unsaid, |row| row.get::<_, i64>(0))? {
        let name = posting_name(conn, id)?;
        return Ok(Some(format!(
            "{name}: expected an approved settlement of this payer and district that it clears, found none"
        )));
    }
    let empty = "SELECT c.posting FROM clearing c WHERE NOT EXISTS (
             SELECT 1 FROM entry e JOIN posting p ON p.id = e.id >> 2 AND p.event = 5
             WHERE e.id BETWEEN c.posting * 4 AND c.posting * 4 + 3 AND e.credit > 4 AND e.amount = c.amount)
         UNION ALL SELECT f.posting FROM transfer f WHERE f.amount <>
             (SELECT coalesce(sum(amount), 0) FROM entry WHERE id BETWEEN f.posting * 4 AND f.posting * 4 + 3 AND debit = 1)
         LIMIT 1";
    match first(conn, empty, |row| row.get::<_, i64>(0))? {
        Some(id) => Ok(Some(format!(
            "{}: it is said to clear, or to have brought, what it does not move",
            posting_name(conn, id)?
        ))),
        None => Ok(None),
    }
}

/// The balance of each receivable; what may be below zero was taken back after a settlement had claimed it.
fn open(conn: &Connection) -> Result<Option<String>> {
    let negative = "
         WITH moved AS (SELECT debit AS account, amount FROM entry WHERE debit > 4
                        UNION ALL SELECT credit, -amount FROM entry WHERE credit > 4),
         open AS (SELECT account, sum(amount) AS amount FROM moved GROUP BY account HAVING sum(amount) < 0)
         SELECT a.payer, a.district, o.amount FROM open o JOIN account a ON a.id = o.account
         WHERE o.amount < (SELECT coalesce(sum(c.amount), 0) FROM claim c
                           WHERE c.kind = 0 AND c.back AND c.payer = a.payer AND c.district = a.district)
         ORDER BY a.id LIMIT 1";
    let found = first(conn, negative, |row| {
        Ok((row.get::<_, u8>(0)?, row.get::<_, String>(1)?, Money::from_fen(row.get(2)?)))
    })?;
    Ok(found.map(|(payer, district, open)| {
        let payer = Payer::ALL.get(usize::from(payer)).map_or("nobody", |(payer, ..)| payer.word());
        format!("receivable/{payer}/{district}: expected nothing or more to be owed, found {open}")
    }))
}

/// I9: each deemed entry and each ex-post subsidy is in one settlement at most, and in one once the settlement of its
/// year was approved after it was known; approved settlements follow from the ledger, and their bytes can be made again.
pub(super) fn settlements(conn: &Connection) -> Result<Option<String>> {
    for prove in [members, left_out, bytes, lists] {
        if let Some(offender) = prove(conn)? {
            return Ok(Some(offender));
        }
    }
    Ok(None)
}

/// What an approved settlement counts is what the ledger has: whom, for which year, as what, how much, owed by whom.
fn members(conn: &Connection) -> Result<Option<String>> {
    let lost = "SELECT participant, fee_year FROM settlement_item m
         WHERE NOT EXISTS (SELECT 1 FROM settlement WHERE id = m.settlement) LIMIT 1";
    if let Some((participant, fee_year)) = first(conn, lost, |row| Ok((row.get(0)?, row.get(1)?)))? {
        return Ok(Some(format!("{}: counted by a settlement that is not there", plan_name(participant, fee_year))));
    }
    let differs = "SELECT t.year, t.payer, t.district, m.participant, m.fee_year, m.kind
         FROM settlement_item m JOIN settlement t ON t.id = m.settlement AND t.state > 0
         LEFT JOIN claim c ON c.kind = m.kind AND c.item = m.item
         WHERE c.item IS NULL OR c.payer <> t.payer OR c.district <> t.district OR c.participant <> m.participant
            OR c.fee_year <> m.fee_year OR c.category <> m.category OR c.amount <> m.amount OR c.txn >= t.approved
         ORDER BY t.id, m.kind, m.item LIMIT 1";
    let found = first(conn, differs, |row| {
        let settlement: (i64, u8, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((settlement, row.get::<_, Option<i64>>(3)?, row.get::<_, Option<i64>>(4)?, row.get::<_, i64>(5)?))
    })?;
    Ok(found.map(|((year, payer, district), participant, fee_year, kind)| {
        let payer = Payer::ALL.get(usize::from(payer)).map_or("nobody", |(payer, ..)| payer.word());
        let what = if kind == 0 { "a deemed entry" } else { "an ex-post subsidy" };
        let plan = plan_name(participant, fee_year);
        format!("settlement {year} {payer}/{district}: {plan}: it counts {what} that the ledger does not have so")
    }))
}

/// What was known before a settlement was approved is in it or in another one, where it counts for its year or for one
/// from which on all settlements up to it are approved: then it came too late for those.
fn left_out(conn: &Connection) -> Result<Option<String>> {
    let missing = "
         WITH frozen AS (
             SELECT t.id, t.year, t.payer, t.district, t.approved, t.ends_on,
                    max(t.ends_on - 10000, coalesce((SELECT max(s.ends_on) FROM settlement s WHERE s.year < t.year), 0)) AS after
             FROM settlement t WHERE t.state > 0)
         SELECT t.year, t.payer, t.district, c.participant, c.fee_year
         FROM claim c
         JOIN frozen o ON o.payer = c.payer AND o.district = c.district AND c.counts_on > o.after AND c.counts_on <= o.ends_on
         JOIN frozen t ON t.payer = c.payer AND t.district = c.district AND t.year >= o.year AND c.txn < t.approved
         WHERE (SELECT count(*) FROM frozen s WHERE s.payer = c.payer AND s.district = c.district
                AND s.year BETWEEN o.year AND t.year) = t.year - o.year + 1
           AND NOT EXISTS (SELECT 1 FROM settlement_item m JOIN settlement s ON s.id = m.settlement AND s.state > 0
                           WHERE m.kind = c.kind AND m.item = c.item)
         ORDER BY t.id, c.kind, c.item LIMIT 1";
    let found = first(conn, missing, |row| {
        let settlement: (i64, u8, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((settlement, row.get::<_, Option<i64>>(3)?, row.get::<_, Option<i64>>(4)?))
    })?;
    Ok(found.map(|((year, payer, district), participant, fee_year)| {
        let payer = Payer::ALL.get(usize::from(payer)).map_or("nobody", |(payer, ..)| payer.word());
        format!("settlement {year} {payer}/{district}: {} is left out", plan_name(participant, fee_year))
    }))
}

/// Sums and bytes of a settlement follow from what it counts, and a person said yes to exactly those.
fn bytes(conn: &Connection) -> Result<Option<String>> {
    for one in settlements::all(conn)? {
        if let Some(fault) = differs(conn, &one)? {
            return Ok(Some(format!("settlement {}: {fault}", one.subject())));
        }
    }
    Ok(None)
}

fn differs(conn: &Connection, one: &Settlement) -> Result<Option<String>> {
    let claims = settlements::claims(conn, one.id)?;
    let sums = (total(&claims, ClaimKind::Deemed), total(&claims, ClaimKind::ExPost));
    if sums != (one.deemed, one.ex_post) {
        let (deemed, ex_post) = sums;
        let (said, said_ex_post) = (one.deemed, one.ex_post);
        return Ok(Some(format!("expected {deemed} and {ex_post} ex-post, found {said} and {said_ex_post}")));
    }
    let papers = papers::settlement(&one.head, &net(&claims));
    let mut hash = Sha256::new();
    hash.update(&papers.summary);
    hash.update(&papers.names);
    if <[u8; 32]>::from(hash.finalize()) != one.sha256 {
        return Ok(Some("made again, its bytes are not those of its digest".to_owned()));
    }
    let mut approved = conn.prepare_cached(
        "SELECT 1 FROM approval WHERE kind = 'settlement' AND subject = ?1 AND digest = ?2 AND state = 1",
    )?;
    let is_approved = one.state == SettlementState::Drafted || approved.exists((one.subject(), &one.sha256[..]))?;
    Ok((!is_approved).then(|| "nobody approved its digest".to_owned()))
}

/// Lists of ex-post subsidies name exactly those who are on them, and can be made again; nobody is listed on none.
fn lists(conn: &Connection) -> Result<Option<String>> {
    for (id, list) in payouts::lists(conn)? {
        let rows = payouts::listed(conn, id)?;
        let head = papers::Head { year: list.fee_year, payer: list.payer, district: list.district };
        let bytes = papers::ex_post_list(&head, &rows);
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != list.sha256 {
            return Ok(Some(format!("list {}: made again, its bytes are not those of its digest", list.name)));
        }
    }
    let unlisted = "SELECT participant, fee_year, state FROM ex_post
         WHERE (state IN (1, 2, 3)) AND NOT EXISTS (SELECT 1 FROM ex_post_list l WHERE l.id = ex_post.list
             AND l.payer = ex_post.payer AND l.district = ex_post.district AND l.fee_year = ex_post.fee_year) LIMIT 1";
    let found = first(conn, unlisted, |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)))?;
    Ok(found.map(|(participant, fee_year, state)| {
        let word = words::ex_post_state(state).word();
        format!("ex-post subsidy of {}: it is {word}, and on no list of its payer", plan_name(participant, fee_year))
    }))
}
