//! Ex-post subsidies: found, listed for their payers, paid or returned by them, withdrawn (R14, R15).

use crate::domain::calendar::{Date, FeeYear};
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::domain::participant::{DistrictCode, Payer};
use crate::domain::settlement::{ExPostEvent, ExPostState};
use crate::pipeline::book::{Changeset, ExPost};
use crate::pipeline::correcting::Owed;
use crate::pipeline::papers::Payout;
use crate::store::chain::Txn;
use crate::store::{Error, Result, date, day, words};
use rusqlite::{Connection, OptionalExtension, Row};

/// An ex-post subsidy as stored.
#[derive(Clone, Debug)]
pub struct StoredExPost {
    /// Its id.
    pub id: i64,
    /// Its state.
    pub state: ExPostState,
    /// How much is due.
    pub amount: Money,
    /// When its payer paid it, or failed to.
    pub answered_on: Option<Date>,
    /// When the person's own money came.
    pub booked_on: Date,
}

/// The ex-post subsidy of a person and fee year that was not withdrawn: payer, district, category and amount.
pub fn standing(conn: &Connection, id: IdNumber, fee_year: FeeYear) -> Result<Option<Owed>> {
    let mut statement = conn.prepare_cached(
        "SELECT payer, district, category, amount FROM ex_post WHERE participant = ?1 AND fee_year = ?2 AND state <> 4",
    )?;
    let mut rows = statement.query((id.key(), fee_year))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let district = words::district(&row.get::<_, String>(1)?)?;
    Ok(Some((words::payer(row.get(0)?), district, words::category(row.get(2)?), Money::from_fen(row.get(3)?))))
}

/// The newest ex-post subsidy of a person and fee year that this payer owes for this district.
pub fn of_person(
    conn: &Connection,
    (payer, district): (Payer, DistrictCode),
    id: IdNumber,
    fee_year: FeeYear,
) -> Result<Option<StoredExPost>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, state, amount, answered_on, booked_on FROM ex_post
         WHERE participant = ?1 AND fee_year = ?2 AND payer = ?3 AND district = ?4 ORDER BY id DESC LIMIT 1",
    )?;
    let found = statement.query_row((id.key(), fee_year, payer as i64, district.as_str()), |row| {
        Ok(StoredExPost {
            id: row.get(0)?,
            state: words::ex_post_state(row.get(1)?),
            amount: Money::from_fen(row.get(2)?),
            answered_on: row.get::<_, Option<i64>>(3)?.map(date),
            booked_on: date(row.get(4)?),
        })
    });
    Ok(found.optional()?)
}

/// Who has ex-post subsidies of a fee year to be told of: payers and owing districts.
pub fn to_be_listed(conn: &Connection, fee_year: FeeYear) -> Result<Vec<(Payer, DistrictCode)>> {
    let mut statement = conn.prepare_cached(
        "SELECT DISTINCT payer, district FROM ex_post WHERE fee_year = ?1 AND state = ?2 ORDER BY payer, district",
    )?;
    let mut rows = statement.query((fee_year, ExPostState::Due as i64))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((words::payer(row.get(0)?), words::district(&row.get::<_, String>(1)?)?));
    }
    Ok(found)
}

/// What is due of a payer and district and stands on no list yet, with the names of the roster.
pub fn due(
    conn: &Connection,
    (payer, district): (Payer, DistrictCode),
    fee_year: FeeYear,
) -> Result<Vec<(i64, Payout)>> {
    let mut statement = conn.prepare_cached(
        "SELECT x.participant, coalesce(p.name, ''), x.category, x.paid, x.amount, x.booked_on, x.id
         FROM ex_post x LEFT JOIN participant p ON p.id = x.participant
         WHERE x.fee_year = ?1 AND x.payer = ?2 AND x.district = ?3 AND x.state = ?4 ORDER BY x.participant",
    )?;
    let key = (fee_year, payer as i64, district.as_str(), ExPostState::Due as i64);
    let rows = statement.query_map(key, |row| Ok((row.get(6)?, payout(row)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn payout(row: &Row<'_>) -> rusqlite::Result<Payout> {
    Ok(Payout {
        participant: row.get(0)?,
        name: row.get(1)?,
        category: words::category(row.get(2)?),
        paid: Money::from_fen(row.get(3)?),
        amount: Money::from_fen(row.get(4)?),
        booked_on: date(row.get(5)?),
    })
}

/// The rows of a list as they were written.
pub fn listed(conn: &Connection, list: i64) -> Result<Vec<Payout>> {
    let mut statement = conn.prepare_cached(
        "SELECT participant, name, category, paid, amount, booked_on FROM ex_post WHERE list = ?1 ORDER BY participant",
    )?;
    let rows = statement.query_map([list], payout)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A list that lies, or will lie, in its payer's folder.
#[derive(Clone, Debug)]
pub struct PayoutList {
    /// Who pays.
    pub payer: Payer,
    /// The owing district.
    pub district: DistrictCode,
    /// For which fee year.
    pub fee_year: FeeYear,
    /// 1, 2, 3 … of that payer, district and fee year.
    pub number: u32,
    /// Business date.
    pub made_on: Date,
    /// How many people.
    pub people: u64,
    /// How much in all.
    pub amount: Money,
    /// Name of its file.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Where its bytes are kept, below `state/archive`.
    pub archived: String,
}

/// The number of the next list.
pub fn next_number(conn: &Connection, (payer, district): (Payer, DistrictCode), fee_year: FeeYear) -> Result<u32> {
    let mut statement = conn.prepare_cached(
        "SELECT coalesce(max(number), 0) + 1 FROM ex_post_list WHERE payer = ?1 AND district = ?2 AND fee_year = ?3",
    )?;
    Ok(statement.query_row((payer as i64, district.as_str(), fee_year), |row| row.get(0))?)
}

/// Every list, oldest first, with its stored number.
pub fn lists(conn: &Connection) -> Result<Vec<(i64, PayoutList)>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, payer, district, fee_year, number, made_on, people, amount, name, sha256, archived
         FROM ex_post_list ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut lists = Vec::new();
    while let Some(row) = rows.next()? {
        let list = PayoutList {
            payer: words::payer(row.get(1)?),
            district: words::district(&row.get::<_, String>(2)?)?,
            fee_year: row.get(3)?,
            number: row.get(4)?,
            made_on: date(row.get(5)?),
            people: row.get::<_, i64>(6)? as u64,
            amount: Money::from_fen(row.get(7)?),
            name: row.get(8)?,
            sha256: row.get(9)?,
            archived: row.get(10)?,
        };
        lists.push((row.get(0)?, list));
    }
    Ok(lists)
}

impl Txn<'_> {
    /// Ex-post subsidies that a changeset found, and those that are owed no more.
    pub(super) fn write_ex_post(&self, changes: &Changeset, today: Date) -> Result<()> {
        for (participant, fee_year) in &changes.ex_post_withdrawn {
            self.withdraw(*participant, *fee_year)?;
        }
        for due in &changes.ex_post {
            let due_on = self.due_on(due, today)?;
            self.tx
                .prepare_cached(
                    "INSERT INTO ex_post
                     (participant, fee_year, payer, category, district, paid, amount, booked_on, due_on, state, txn)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                )?
                .execute((
                    due.participant.key(),
                    due.fee_year,
                    due.subsidy.payer as i64,
                    due.subsidy.category as i64,
                    due.subsidy.district.as_str(),
                    due.paid.fen(),
                    due.subsidy.amount.fen(),
                    day(due.booked_on),
                    day(due_on),
                    ExPostState::Due as i64,
                    self.seq,
                ))?;
        }
        Ok(())
    }

    /// R15: the later of payment and acceptance of the list: the first day from the payment on that the person was
    /// recognised.
    fn due_on(&self, due: &ExPost, today: Date) -> Result<Date> {
        let mut statement = self.tx.prepare_cached(
            "SELECT on_day, added FROM recognition_change
             WHERE participant = ?1 AND year = ?2 AND payer = ?3 AND district = ?4 AND category = ?5 ORDER BY seq",
        )?;
        let subsidy = &due.subsidy;
        let (payer, category) = (subsidy.payer as i64, subsidy.category as i64);
        let key = (due.participant.key(), subsidy.recognized_year, payer, subsidy.district.as_str(), category);
        let mut rows = statement.query(key)?;
        let mut is_recognised = false;
        while let Some(row) = rows.next()? {
            let on = date(row.get(0)?);
            match (on > due.booked_on, row.get(1)?) {
                (true, _) if is_recognised => return Ok(due.booked_on),
                (true, true) => return Ok(on),
                (_, added) => is_recognised = added,
            }
        }
        Ok(if is_recognised { due.booked_on } else { today.max(due.booked_on) })
    }

    /// The person's own money went back: what was not paid yet is owed no more. What was paid stays as it is.
    fn withdraw(&self, participant: IdNumber, fee_year: FeeYear) -> Result<()> {
        let mut statement = self
            .tx
            .prepare_cached("SELECT id, state FROM ex_post WHERE participant = ?1 AND fee_year = ?2 AND state <> 4")?;
        let found = statement
            .query_row((participant.key(), fee_year), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        let Some((id, state)) = found else { return Ok(()) };
        let Ok(withdrawn) = words::ex_post_state(state).after(ExPostEvent::Withdrawn) else { return Ok(()) };
        self.tx.prepare_cached("UPDATE ex_post SET state = ?2, withdrawn = ?3 WHERE id = ?1")?.execute((
            id,
            withdrawn as i64,
            self.seq,
        ))?;
        Ok(())
    }

    /// A list for a payer: those on it are listed, under the names that stand on it.
    pub fn list_ex_post(&self, list: &PayoutList, rows: &[(i64, Payout)]) -> Result<()> {
        self.tx
            .prepare_cached(
                "INSERT INTO ex_post_list
                 (payer, district, fee_year, number, made_on, people, amount, name, sha256, archived)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute((
                list.payer as i64,
                list.district.as_str(),
                list.fee_year,
                list.number,
                day(list.made_on),
                list.people as i64,
                list.amount.fen(),
                &list.name,
                &list.sha256[..],
                &list.archived,
            ))?;
        let id = self.tx.last_insert_rowid();
        let listed = ExPostState::Due.after(ExPostEvent::Listed).map_err(|no| Error::Broken(no.to_string()))?;
        let mut statement = self
            .tx
            .prepare_cached("UPDATE ex_post SET state = ?2, list = ?3, name = ?4 WHERE id = ?1 AND state = ?5")?;
        for (ex_post, payout) in rows {
            let changed = statement.execute((ex_post, listed as i64, id, &payout.name, ExPostState::Due as i64))?;
            if changed != 1 {
                return Err(Error::Stale);
            }
        }
        Ok(())
    }

    /// What a payer says of an ex-post subsidy, in this row of this file.
    pub fn answer_ex_post(&self, id: i64, state: ExPostState, on: Date, (file, line): (i64, u32)) -> Result<()> {
        self.tx
            .prepare_cached("UPDATE ex_post SET state = ?2, answered_on = ?3, file = ?4, line = ?5 WHERE id = ?1")?
            .execute((id, state as i64, day(on), file, line))?;
        Ok(())
    }
}
