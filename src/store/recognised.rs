//! Who is recognised, beside what the roster and the plans say of them; and how that changed. Read for lists, notices and
//! comparisons, never for a decision about money.

use crate::domain::calendar::{Date, FeeYear};
use crate::domain::exception::Class;
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode, Payer, Status};
use crate::domain::plan::PlanState;
use crate::domain::returns::Outcome;
use crate::pipeline::mobilise::{Enrolled, Recognised, Unpaid};
use crate::store::{Result, date, day, words};
use rusqlite::{Connection, Row};

/// Everybody in force of a recognition year, with the plan of a fee year: by payer, district and person, one by one, for they
/// may be a million. Once for each person of a list; of several categories the first. Of one list only where `scope` says so.
pub fn everybody(
    conn: &Connection,
    (year, fee_year): (i16, FeeYear),
    scope: Option<(Payer, DistrictCode)>,
    take: &mut dyn FnMut(Recognised),
) -> Result<()> {
    let which = scope.map_or("", |_| "AND r.payer = ?3 AND r.district = ?4");
    let sql = format!(
        "SELECT r.payer, r.district, r.participant, min(r.category), r.name, p.name, p.district, p.status,
                p.status_since, p.town, p.village, n.state, v.tier - v.government, b.debit_on, s.outcome
         FROM recognition r
         LEFT JOIN participant p ON p.id = r.participant
         LEFT JOIN plan_now n ON n.participant = r.participant AND n.fee_year = ?2
         LEFT JOIN plan_version v ON v.participant = n.participant AND v.fee_year = n.fee_year AND v.version = n.version
         LEFT JOIN instruction_state s ON s.id = n.instruction AND s.state <> 7
         LEFT JOIN batch b ON b.id = s.id >> 27
         WHERE r.year = ?1 {which} GROUP BY r.payer, r.district, r.participant"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = match scope {
        Some((payer, district)) => statement.query((year, fee_year, payer as i64, district.as_str()))?,
        None => statement.query((year, fee_year))?,
    };
    while let Some(row) = rows.next()? {
        take(recognised(row)?);
    }
    Ok(())
}

fn recognised(row: &Row<'_>) -> Result<Recognised> {
    let enrolled = match row.get::<_, Option<String>>(5)? {
        Some(name) => Some(Enrolled {
            name,
            district: words::district(row.get_ref(6)?.as_str().unwrap_or_default())?,
            status: Status::parse(row.get_ref(7)?.as_str().unwrap_or_default()),
            status_since: date(row.get(8)?),
            town: row.get(9)?,
            village: row.get(10)?,
        }),
        None => None,
    };
    let plan = match row.get::<_, Option<i64>>(11)? {
        Some(state) => Some(Unpaid {
            state: words::plan_state(state),
            own: Money::from_fen(row.get::<_, Option<i64>>(12)?.unwrap_or(0)),
            debit_on: row.get::<_, Option<i64>>(13)?.map(date),
            outcome: row.get::<_, Option<i64>>(14)?.map(words::outcome),
        }),
        None => None,
    };
    Ok(Recognised {
        payer: words::payer(row.get(0)?),
        district: words::district(row.get_ref(1)?.as_str().unwrap_or_default())?,
        id: IdNumber::from_key(row.get(2)?),
        category: words::category(row.get(3)?),
        name: row.get(4)?,
        enrolled,
        plan,
    })
}

/// Whether anybody is enrolled.
pub fn has_roster(conn: &Connection) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM participant LIMIT 1")?.exists([])?)
}

/// One change of a list, as it took effect.
#[derive(Clone, Debug)]
pub struct Change {
    /// Whom.
    pub id: IdNumber,
    /// The list's name for the person.
    pub name: String,
    /// Whose list.
    pub payer: Payer,
    /// For which district.
    pub district: DistrictCode,
    /// For which recognition year.
    pub year: i16,
    /// Which category.
    pub category: Category,
    /// Added, or named otherwise; else dropped.
    pub is_added: bool,
    /// The person was in this category before.
    pub was_there: bool,
    /// When.
    pub on: Date,
    /// The file that says so.
    pub file: i64,
}

/// Changes of lists that took effect from one day to another, both included, in the order in which they did.
pub fn changes(conn: &Connection, from: Date, to: Date) -> Result<Vec<Change>> {
    changes_where(conn, "c.on_day BETWEEN ?1 AND ?2", (day(from), day(to)))
}

/// Changes that a version of a list made.
pub fn changes_of(conn: &Connection, file: i64) -> Result<Vec<Change>> {
    changes_where(conn, "c.file = ?1 AND ?2 = 0", (file, 0))
}

fn changes_where(conn: &Connection, which: &str, values: (i64, i64)) -> Result<Vec<Change>> {
    let sql = format!(
        "SELECT c.participant, c.name, c.payer, c.district, c.year, c.category, c.added, c.on_day, c.file,
                coalesce((SELECT o.added FROM recognition_change o
                          WHERE o.participant = c.participant AND o.year = c.year AND o.payer = c.payer
                            AND o.district = c.district AND o.category = c.category AND o.seq < c.seq
                          ORDER BY o.seq DESC LIMIT 1), 0)
         FROM recognition_change c WHERE {which}
         ORDER BY c.on_day, c.file, c.participant, c.seq"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Change {
            id: IdNumber::from_key(row.get(0)?),
            name: row.get(1)?,
            payer: words::payer(row.get(2)?),
            district: words::district(row.get_ref(3)?.as_str().unwrap_or_default())?,
            year: row.get(4)?,
            category: words::category(row.get(5)?),
            is_added: row.get(6)?,
            on: date(row.get(7)?),
            file: row.get(8)?,
            was_there: row.get(9)?,
        });
    }
    Ok(found)
}

/// A plan whose own part was not received, for a notice to the person (R13).
#[derive(Clone, Debug)]
pub struct Owing {
    /// Whom.
    pub id: IdNumber,
    /// The roster's name.
    pub name: String,
    /// Enrolment district.
    pub district: DistrictCode,
    /// 乡镇街道.
    pub town: String,
    /// 村社区.
    pub village: String,
    /// Account, whole: shown by its last digits.
    pub account: String,
    /// What is to be deposited.
    pub own: Money,
    /// Whether a recognition pays a part.
    pub category: Option<Category>,
    /// Attempts that failed.
    pub failures: i64,
    /// How the last attempt ended.
    pub outcome: Option<Outcome>,
    /// State of the plan.
    pub state: PlanState,
    /// The newest open exception.
    pub class: Option<Class>,
}

/// Plans of a fee year with an own part that nobody has received yet.
pub fn owing(conn: &Connection, fee_year: FeeYear) -> Result<Vec<Owing>> {
    let mut statement = conn.prepare_cached(
        "SELECT n.participant, p.name, p.district, p.town, p.village, coalesce(p.account, ''), v.tier - v.government,
                v.category, n.attempts, s.outcome, n.state,
                (SELECT x.class FROM exception x WHERE x.participant = n.participant AND x.fee_year = n.fee_year
                 AND x.resolved = 0 ORDER BY x.id DESC LIMIT 1)
         FROM plan_now n
         JOIN participant p ON p.id = n.participant
         JOIN plan_version v ON v.participant = n.participant AND v.fee_year = n.fee_year AND v.version = n.version
         LEFT JOIN instruction_state s ON s.id = n.instruction AND s.state = 4
         WHERE n.fee_year = ?1 AND n.state IN (0, 1, 2) AND v.refusal IS NULL AND v.tier > v.government",
    )?;
    let mut rows = statement.query([fee_year])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Owing {
            id: IdNumber::from_key(row.get(0)?),
            name: row.get(1)?,
            district: words::district(row.get_ref(2)?.as_str().unwrap_or_default())?,
            town: row.get(3)?,
            village: row.get(4)?,
            account: row.get(5)?,
            own: Money::from_fen(row.get(6)?),
            category: row.get::<_, Option<i64>>(7)?.map(words::category),
            failures: row.get(8)?,
            outcome: row.get::<_, Option<i64>>(9)?.map(words::outcome),
            state: words::plan_state(row.get(10)?),
            class: row.get::<_, Option<String>>(11)?.and_then(|class| Class::parse(&class)),
        });
    }
    Ok(found)
}
