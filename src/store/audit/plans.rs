//! I3 and I4: what was posted is what was planned and instructed, and once only.

use crate::domain::money::Money;
use crate::store::audit::{first, plan_name, posting_name};
use crate::store::{Result, words};
use rusqlite::{Connection, Row};

/// What was posted for a plan, and what it should have been.
#[derive(Clone, Copy, Debug)]
struct Posted {
    own: Money,
    government: Money,
    /// Tier and government part of the version that it was posted by; `None` where that version refuses or is not there.
    terms: Option<(Money, Money)>,
    /// Own part, where the posting is the answer to an instruction.
    instructed: Option<Money>,
    /// Government part instructed, where the plan did not change on the way.
    instructed_government: Option<Money>,
}

impl Posted {
    /// R3: own + government = tier. R14: the whole tier as own money where the subsidy is paid to the person.
    fn agrees_with(&self, (tier, government): (Money, Money), is_ex_post: bool) -> bool {
        let whole = self.government.is_zero() && self.own == tier && is_ex_post;
        (self.own + self.government == tier && self.government == government) || whole
    }

    fn as_instructed(&self) -> bool {
        self.instructed.is_none_or(|amount| amount == self.own)
            && self.instructed_government.is_none_or(|amount| amount == self.government)
    }
}

/// I3: own + government = tier for every standing posting of a plan, and the amounts instructed where it was instructed.
pub(super) fn amounts(conn: &Connection) -> Result<Option<String>> {
    let mut statement = conn.prepare(
        "SELECT p.id, coalesce(k.participant, i.participant), coalesce(k.fee_year, b.fee_year),
                coalesce(k.version, i.version),
                (SELECT coalesce(sum(amount), 0) FROM entry WHERE id BETWEEN p.id * 4 AND p.id * 4 + 3 AND credit = 3),
                (SELECT coalesce(sum(amount), 0) FROM entry WHERE id BETWEEN p.id * 4 AND p.id * 4 + 3 AND credit = 4),
                CASE WHEN v.refusal IS NULL THEN v.tier END, v.government,
                CASE WHEN p.event = 0 THEN i.amount END,
                CASE WHEN k.posting IS NULL THEN i.government END
         FROM posting p
         LEFT JOIN posting_key k ON k.posting = p.id
         LEFT JOIN instruction i ON i.id = p.id
         LEFT JOIN batch b ON b.id = p.id >> 27
         LEFT JOIN plan_version v ON v.participant = coalesce(k.participant, i.participant)
              AND v.fee_year = coalesce(k.fee_year, b.fee_year) AND v.version = coalesce(k.version, i.version)
         WHERE p.event IN (0, 1, 3)",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let posted = posted(row)?;
        let plain = posted.terms.is_some_and(|terms| posted.agrees_with(terms, false));
        if plain && posted.as_instructed() {
            continue;
        }
        let plan = PlanKey { participant: row.get(1)?, fee_year: row.get(2)?, version: row.get(3)? };
        if let Some(fault) = look_closer(conn, row.get(0)?, &posted, &plan)? {
            let name = plan_name(plan.participant, plan.fee_year);
            return Ok(Some(format!("{}: {name}: {fault}", posting_name(conn, row.get(0)?)?)));
        }
    }
    match paid(conn)? {
        None => corrections(conn),
        fault => Ok(fault),
    }
}

/// I3 over all postings of a plan: what stands on a personal account pays a plan, and a plan that is open has nothing there.
/// Each posting by itself may be right, and the year be paid twice, or asked for once more.
fn paid(conn: &Connection) -> Result<Option<String>> {
    let wrong = "SELECT e.participant, e.fee_year, e.own, e.government, p.state FROM (
             SELECT coalesce(k.participant, i.participant) AS participant, coalesce(k.fee_year, b.fee_year) AS fee_year,
                    sum(CASE 3 WHEN e.credit THEN e.amount WHEN e.debit THEN -e.amount ELSE 0 END) AS own,
                    sum(CASE 4 WHEN e.credit THEN e.amount WHEN e.debit THEN -e.amount ELSE 0 END) AS government
             FROM entry e LEFT JOIN posting_key k ON k.posting = e.id >> 2 LEFT JOIN instruction i ON i.id = e.id >> 2
             LEFT JOIN batch b ON b.id = e.id >> 29
             WHERE e.credit IN (3, 4) OR e.debit IN (3, 4) GROUP BY 1, 2) e
         LEFT JOIN plan_now p ON p.participant = e.participant AND p.fee_year = e.fee_year
         WHERE (e.own + e.government > 0) <> (coalesce(p.state, 0) IN (5, 6)) OR (p.state = 6 AND e.government <> 0)
            OR e.own < 0 OR e.government < 0 LIMIT 1";
    let found = first(conn, wrong, |row| {
        let state = row.get::<_, Option<i64>>(4)?.map_or("none", |state| words::plan_state(state).word());
        let (own, government) = (Money::from_fen(row.get(2)?), Money::from_fen(row.get(3)?));
        Ok((plan_name(row.get(0)?, row.get(1)?), state, own, government))
    })?;
    Ok(found.map(|(plan, state, own, government)| {
        format!("{plan}: expected nothing on the account of an open plan, own and government part on that of a paid one; found {state} with own {own} and government {government}")
    }))
}

/// I3 of what was corrected: what a correction deems received is what its version gives, and with the own money that
/// stands it makes up the tier.
fn corrections(conn: &Connection) -> Result<Option<String>> {
    let wrong = "SELECT k.posting, k.participant, k.fee_year FROM posting_key k
         CROSS JOIN entry e ON e.id BETWEEN k.posting * 4 AND k.posting * 4 + 3 AND e.credit = 4
         LEFT JOIN plan_version v ON v.participant = k.participant AND v.fee_year = k.fee_year AND v.version = k.version
         WHERE k.corrects IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM posting_key u WHERE u.undoes = k.posting OR u.corrects = k.posting)
           AND (v.tier IS NULL OR v.refusal IS NOT NULL OR e.amount <> v.government OR v.tier - v.government <>
                (SELECT coalesce(sum(CASE WHEN o.credit = 3 THEN o.amount WHEN o.debit = 3 THEN -o.amount ELSE 0 END), 0)
                 FROM entry o WHERE o.id >> 2 IN (
                    WITH RECURSIVE chain(id) AS (
                        SELECT k.posting UNION ALL
                        SELECT q.corrects FROM posting_key q JOIN chain c ON q.posting = c.id WHERE q.corrects IS NOT NULL)
                    SELECT id FROM chain))) LIMIT 1";
    let found = first(conn, wrong, |row| Ok((row.get::<_, i64>(0)?, plan_name(row.get(1)?, row.get(2)?))))?;
    let Some((posting, plan)) = found else { return Ok(None) };
    Ok(Some(format!("{}: {plan}: what it deems received is not what its plan gives", posting_name(conn, posting)?)))
}

fn posted(row: &Row<'_>) -> rusqlite::Result<Posted> {
    let money = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Money::from_fen));
    Ok(Posted {
        own: Money::from_fen(row.get(4)?),
        government: Money::from_fen(row.get(5)?),
        terms: money(6)?.zip(money(7)?),
        instructed: money(8)?,
        instructed_government: money(9)?,
    })
}

struct PlanKey {
    participant: Option<i64>,
    fee_year: Option<i64>,
    version: Option<i64>,
}

/// What is not plain may be taken back, ex-post, or posted by a newer version (R14: else of today's plan).
fn look_closer(conn: &Connection, posting: i64, posted: &Posted, plan: &PlanKey) -> Result<Option<String>> {
    let undone = conn.prepare_cached("SELECT 1 FROM posting_key WHERE undoes = ?1")?.exists([posting])?;
    if undone {
        return Ok(None);
    }
    if !posted.as_instructed() {
        let expected = posted.instructed.unwrap_or_default();
        let government = posted.instructed_government.unwrap_or(posted.government);
        return Ok(Some(format!(
            "expected {expected} and {government} as instructed, found {} and {}",
            posted.own, posted.government
        )));
    }
    let is_ex_post = conn
        .prepare_cached("SELECT 1 FROM ex_post WHERE participant = ?1 AND fee_year = ?2 AND state <> 4")?
        .exists((plan.participant, plan.fee_year))?;
    let mut versions = conn.prepare_cached(
        "SELECT tier, government FROM plan_version
         WHERE participant = ?1 AND fee_year = ?2 AND version >= ?3 AND refusal IS NULL ORDER BY version",
    )?;
    let mut rows = versions.query((plan.participant, plan.fee_year, plan.version))?;
    while let Some(row) = rows.next()? {
        let terms = (Money::from_fen(row.get(0)?), Money::from_fen(row.get(1)?));
        if posted.agrees_with(terms, is_ex_post) {
            return Ok(None);
        }
    }
    let planned = match posted.terms {
        Some((tier, government)) => format!("tier {tier} with government part {government}"),
        None => "a plan".to_owned(),
    };
    Ok(Some(format!("expected {planned}, found own {} and government {}", posted.own, posted.government)))
}

/// I4 (R12, R14): at most one live instruction, at most one standing deemed entry, never both deemed and ex-post.
pub(super) fn single(conn: &Connection) -> Result<Option<String>> {
    let live = "SELECT i.participant, b.fee_year, count(*) FROM instruction_state s JOIN instruction i ON i.id = s.id
         JOIN batch b ON b.id = s.id >> 27 WHERE s.state IN (0, 1, 2, 5, 6) GROUP BY 1, 2 HAVING count(*) > 1 LIMIT 1";
    if let Some((plan, count)) = counted(conn, live)? {
        return Ok(Some(format!("{plan}: expected at most one live instruction, found {count}")));
    }
    let twice = format!("{STANDING} HAVING sum(side) NOT IN (0, 1) LIMIT 1");
    if let Some((plan, count)) = counted(conn, &twice)? {
        return Ok(Some(format!("{plan}: expected at most one standing deemed entry, found {count}")));
    }
    let both = format!(
        "SELECT d.* FROM ({STANDING} HAVING sum(side) > 0) d JOIN ex_post x
         ON x.participant = d.participant AND x.fee_year = d.fee_year AND x.state <> 4 LIMIT 1"
    );
    let found = counted(conn, &both)?;
    Ok(found.map(|(plan, _)| format!("{plan}: expected deemed or ex-post, found both")))
}

/// Deemed entries by plan: what was taken back or corrected stands on the other side of the same account.
const STANDING: &str = "SELECT participant, fee_year, sum(side) FROM
    (SELECT coalesce(k.participant, i.participant) AS participant, coalesce(k.fee_year, b.fee_year) AS fee_year,
            CASE WHEN e.credit = 4 THEN 1 ELSE -1 END AS side
     FROM entry e LEFT JOIN posting_key k ON k.posting = e.id >> 2 LEFT JOIN instruction i ON i.id = e.id >> 2
     LEFT JOIN batch b ON b.id = e.id >> 29 WHERE e.credit = 4 OR e.debit = 4) GROUP BY participant, fee_year";

fn counted(conn: &Connection, sql: &str) -> Result<Option<(String, i64)>> {
    first(conn, sql, |row| Ok((plan_name(row.get(0)?, row.get(1)?), row.get(2)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posting_adds_up_to_its_tier() {
        let yuan = |fen: i64| Money::from_fen(fen * 100);
        let posted = |own, government| Posted {
            own: yuan(own),
            government: yuan(government),
            terms: None,
            instructed: None,
            instructed_government: None,
        };
        let terms = (yuan(100), yuan(70));
        assert!(posted(30, 70).agrees_with(terms, false));
        assert!(!posted(30, 60).agrees_with(terms, false) && !posted(100, 0).agrees_with(terms, false));
        assert!(posted(100, 0).agrees_with(terms, true) && !posted(100, 70).agrees_with(terms, true));
        assert!(!Posted { instructed: Some(yuan(31)), ..posted(30, 70) }.as_instructed());
    }
}
