//! I12: deemed and ex-post amounts follow from lists, roster, policy and date.

use crate::daemon::audit::{Found, exists};
use crate::domain::calendar::{Date, FeeYear, from_yyyymmdd, yyyymmdd};
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::domain::policy::{Benefit, Circumstances, Policies, Policy, Subsidy, YearTerms};
use crate::store::audit::{plan_name, posting_name};
use crate::store::book;
use rusqlite::{Connection, Row};

/// A government part that stands: deemed received, or due to the person.
struct Standing {
    participant: i64,
    fee_year: FeeYear,
    tier: Money,
    subsidy: Option<Subsidy>,
    /// What was posted, and on which account.
    amount: Money,
    owed_by: Option<(Payer, DistrictCode)>,
    /// The day on which the rules were asked, and the day from which the version holds.
    judged_on: Option<Date>,
    since: i64,
    /// The drop file that the version follows from; `None` where `plan` made it.
    cause: Option<i64>,
}

/// I12: every standing deemed entry and ex-post subsidy is what the policy of its fee year gives its category, is owed
/// by the payer that may list it, and rests on a recognition that was accepted in time. Where roster row and lists are
/// still those that it was planned from, the whole plan is worked out again.
pub(super) fn rederive(conn: &Connection, policies: &Policies) -> Found {
    let mut statement = conn.prepare(
        "SELECT coalesce(k.participant, i.participant), coalesce(k.fee_year, b.fee_year), v.tier, v.payer, v.district,
                v.category, v.government, e.amount, a.payer, a.district, CASE WHEN p.event <> 7 THEN v.from_day END, v.from_day, v.cause,
                e.id >> 2
         FROM entry e
         JOIN posting p ON p.id = e.id >> 2 AND p.event <> 6
         LEFT JOIN posting_key k ON k.posting = e.id >> 2
         LEFT JOIN instruction i ON i.id = e.id >> 2
         LEFT JOIN batch b ON b.id = e.id >> 29
         LEFT JOIN plan_version v ON v.participant = coalesce(k.participant, i.participant)
              AND v.fee_year = coalesce(k.fee_year, b.fee_year) AND v.version = coalesce(k.version, i.version)
         LEFT JOIN account a ON a.id = e.debit
         WHERE e.credit = 4",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(fault) = judge(conn, policies, &standing(row)?)? else { continue };
        let posting: i64 = row.get(13)?;
        if !exists(conn, "SELECT 1 FROM posting_key WHERE undoes = ?1 OR corrects = ?1", [posting])? {
            let plan = plan_name(row.get(0)?, row.get(1)?);
            return Ok(Some(format!("{}: {plan}: {fault}", posting_name(conn, posting)?)));
        }
    }
    ex_post(conn, policies)
}

fn ex_post(conn: &Connection, policies: &Policies) -> Found {
    let mut statement = conn.prepare(
        "SELECT participant, fee_year, paid, payer, district, category, amount, amount, payer, district, booked_on, due_on,
                (SELECT v.cause FROM plan_version v WHERE v.participant = x.participant AND v.fee_year = x.fee_year
                     AND v.from_day = x.due_on AND v.refusal IS NULL ORDER BY v.version DESC LIMIT 1)
         FROM ex_post x WHERE state <> 4 ORDER BY participant, fee_year",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(fault) = judge(conn, policies, &standing(row)?)? {
            return Ok(Some(format!("ex-post subsidy of {}: {fault}", plan_name(row.get(0)?, row.get(1)?))));
        }
    }
    Ok(None)
}

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let payer = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.and_then(payer_of));
    let district = |column| {
        let text: Option<String> = row.get(column)?;
        Ok::<_, rusqlite::Error>(text.as_deref().and_then(DistrictCode::parse))
    };
    let category = row.get::<_, Option<i64>>(5)?.and_then(category_of);
    let amount = row.get::<_, Option<i64>>(6)?.map(Money::from_fen).unwrap_or_default();
    let subsidy = match (payer(3)?, district(4)?, category) {
        // Which year's recognition it must rest on is said by the policy, in `judge`.
        (Some(payer), Some(district), Some(category)) => {
            Some(Subsidy { payer, district, category, recognized_year: 0, amount })
        }
        _ => None,
    };
    Ok(Standing {
        participant: row.get::<_, Option<i64>>(0)?.unwrap_or(0),
        fee_year: row.get::<_, Option<FeeYear>>(1)?.unwrap_or(0),
        tier: row.get::<_, Option<i64>>(2)?.map(Money::from_fen).unwrap_or_default(),
        subsidy,
        amount: Money::from_fen(row.get(7)?),
        owed_by: payer(8)?.zip(district(9)?),
        judged_on: row.get::<_, Option<i64>>(10)?.and_then(from_yyyymmdd),
        since: row.get::<_, Option<i64>>(11)?.unwrap_or(0),
        cause: row.get(12)?,
    })
}

fn payer_of(place: i64) -> Option<Payer> {
    Payer::ALL.get(usize::try_from(place).ok()?).map(|(payer, ..)| *payer)
}

fn category_of(place: i64) -> Option<Category> {
    Category::ALL.get(usize::try_from(place).ok()?).map(|(category, ..)| *category)
}

fn judge(conn: &Connection, policies: &Policies, standing: &Standing) -> Found {
    let Some((policy, year)) = policies.of(standing.fee_year) else {
        return Ok(Some(format!("no policy has the fee year {}", standing.fee_year)));
    };
    let Some(subsidy) = standing.subsidy else {
        return Ok(Some("its plan version names no payer, district and category".to_owned()));
    };
    let lag = policy.category(subsidy.category).map_or(1, |terms| terms.lag);
    let subsidy = Subsidy { recognized_year: standing.fee_year - lag, ..subsidy };
    if let Some(fault) = contradicts(policy, year, standing, &subsidy) {
        return Ok(Some(fault));
    }
    if !was_recognised(conn, standing, &subsidy, standing.since)? {
        return Ok(Some(format!("no list had the person as {} by then", subsidy.category.word())));
    }
    again(conn, policy, year, standing, &subsidy)
}

/// R1 to R3: the amount of the category, never more than the tier, owed by the payer that may list it.
fn contradicts(policy: &Policy, year: &YearTerms, standing: &Standing, subsidy: &Subsidy) -> Option<String> {
    let benefit = policy.category(subsidy.category)?.benefit;
    let due = match benefit {
        Benefit::Rate(rate) => year.kept.at_rate(rate),
        Benefit::Fixed(amount) => amount,
    };
    let due = due.min(standing.tier);
    if !policy.may_list(subsidy.payer, subsidy.category) {
        return Some(format!("{} may not list {}", subsidy.payer.word(), subsidy.category.word()));
    }
    if standing.amount != due || subsidy.amount != due {
        let (found, planned) = (standing.amount, subsidy.amount);
        return Some(format!(
            "expected {due} for {}, found {found} posted and {planned} planned",
            subsidy.category.word()
        ));
    }
    let owed_by = (subsidy.payer, subsidy.district);
    (standing.owed_by != Some(owed_by))
        .then(|| format!("expected receivable/{}/{}, found another account", owed_by.0.word(), owed_by.1))
}

/// R4: a list of the right year had the person, accepted by that day.
fn was_recognised(conn: &Connection, standing: &Standing, subsidy: &Subsidy, by: i64) -> crate::store::Result<bool> {
    exists(
        conn,
        "SELECT 1 FROM recognition_change WHERE participant = ?1 AND year = ?2 AND payer = ?3 AND district = ?4
         AND category = ?5 AND added = 1 AND on_day <= ?6",
        (
            standing.participant,
            subsidy.recognized_year,
            subsidy.payer as i64,
            subsidy.district.as_str(),
            subsidy.category as i64,
            by,
        ),
    )
}

/// The plan once more, by the rules, where nothing that they ask has changed since. Who was on that list on the day
/// that is judged had that subsidy then (R14), whatever lists said before the payment was told.
fn again(conn: &Connection, policy: &Policy, year: &YearTerms, standing: &Standing, subsidy: &Subsidy) -> Found {
    // Of two files of one day nobody can tell which was asked, but that the version follows from one of them, or was made
    // when the first was there. A roster row of a later year says nothing of that day, also where the list came later still.
    let moved = "SELECT 1 FROM recognition_change WHERE participant = ?1 AND on_day > ?2
                 UNION ALL SELECT 1 FROM recognition_change WHERE participant = ?1 AND on_day = ?2
                 GROUP BY participant HAVING count(DISTINCT file) > 1
                 UNION ALL SELECT 1 FROM recognition_change WHERE participant = ?1 AND on_day = ?2 AND file <> coalesce(?4, 0)
                     AND (added = 0 OR EXISTS (SELECT 1 FROM recognition_change WHERE participant = ?1 AND on_day < ?2))
                 UNION ALL SELECT 1 FROM participant p JOIN file f ON f.id = p.file
                 WHERE p.id = ?1 AND (f.arrived > ?3 OR (f.arrived = ?3 AND p.file <> coalesce(?4, 0)))
                 UNION ALL SELECT 1 FROM fix WHERE participant = ?1 AND on_day >= ?3";
    let on_that_day = standing.judged_on.map_or(standing.since, yyyymmdd).min(standing.since);
    let was_then = was_recognised(conn, standing, subsidy, on_that_day)?;
    let since = if was_then { on_that_day } else { standing.since };
    if exists(conn, moved, (standing.participant, since, on_that_day, standing.cause))? {
        return Ok(None);
    }
    let person = book::person(conn, IdNumber::from_key(standing.participant), standing.fee_year)?;
    let (Some(participant), Some(day)) = (&person.participant, standing.judged_on) else { return Ok(None) };
    let circumstances = Circumstances {
        participant,
        recognitions: &person.recognitions,
        ever_listed: person.ever_listed,
        confirmed_names: &person.confirmed_names,
    };
    Ok(match policy.terms(year, circumstances, day, day) {
        Ok(terms) if terms.subsidy == Some(*subsidy) => None,
        Ok(terms) => Some(format!("the rules give {} now, {} is planned", terms.government(), subsidy.amount)),
        Err(refusal) => Some(format!("the rules refuse it: {refusal}")),
    })
}
