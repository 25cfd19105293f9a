//! Stored comparisons (R19): each is what the next one is held against.

use crate::domain::calendar::{Date, Month};
use crate::domain::ids::IdNumber;
use crate::pipeline::comparison::{Difference, Differs};
use crate::store::feed;
use crate::store::{Result, Txn, date, day, words};
use rusqlite::{Connection, OptionalExtension};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of people, by district and by what is counted: `enrolled`, `normal`, a payer.
pub type Counts = BTreeMap<(String, String), i64>;

/// A comparison as it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When; `None` where there was none before.
    pub made_on: Option<Date>,
    /// What differed.
    pub differences: BTreeSet<Difference>,
    /// How many people stood where.
    pub counts: Counts,
}

/// The newest comparison of a recognition year made in a month before this one: what this one is held against.
pub fn before(conn: &Connection, year: i16, month: Month) -> Result<Snapshot> {
    newest(conn, "year = ?1 AND month < ?2", (year, month.value()))
}

/// The newest comparison of a recognition year in this month.
pub fn of_month(conn: &Connection, year: i16, month: Month) -> Result<Snapshot> {
    newest(conn, "year = ?1 AND month = ?2", (year, month.value()))
}

fn newest(conn: &Connection, which: &str, values: (i16, i64)) -> Result<Snapshot> {
    let sql = format!("SELECT id, made_on FROM comparison WHERE {which} ORDER BY month DESC, id DESC LIMIT 1");
    let found = conn
        .prepare_cached(&sql)?
        .query_row(values, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    let Some((id, made_on)) = found else { return Ok(Snapshot::default()) };
    let mut snapshot = Snapshot { made_on: Some(date(made_on)), ..Snapshot::default() };
    let sql = "SELECT district, class, participant FROM comparison_row WHERE comparison = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let district = words::district(row.get_ref(0)?.as_str().unwrap_or_default())?;
        let class = Differs::ALL[usize::from(row.get::<_, u8>(1)?)].0;
        snapshot.differences.insert((district, class, IdNumber::from_key(row.get(2)?)));
    }
    let mut statement =
        conn.prepare_cached("SELECT district, what, people FROM comparison_count WHERE comparison = ?1")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        snapshot.counts.insert((row.get(0)?, row.get(1)?), row.get(2)?);
    }
    Ok(snapshot)
}

/// How many are enrolled, and with status 正常, in each district; how many each payer lists there.
pub fn counts(conn: &Connection, year: i16) -> Result<Counts> {
    let mut statement = conn.prepare_cached(
        "SELECT district, 'enrolled', count(*) FROM participant GROUP BY district
         UNION ALL SELECT district, 'normal', count(*) FROM participant WHERE status = '' GROUP BY district",
    )?;
    let mut counts = Counts::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        counts.insert((row.get(0)?, row.get(1)?), row.get(2)?);
    }
    let sql = "SELECT district, payer, count(DISTINCT participant) FROM recognition WHERE year = ?1 GROUP BY 1, 2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([year])?;
    while let Some(row) = rows.next()? {
        counts.insert((row.get(0)?, words::payer(row.get(1)?).word().to_owned()), row.get(2)?);
    }
    Ok(counts)
}

impl Txn<'_> {
    /// Keeps a comparison.
    pub fn keep_comparison(&self, year: i16, month: Month, on: Date, snapshot: &Snapshot) -> Result<()> {
        let conn = self.connection();
        conn.prepare_cached("INSERT INTO comparison (year, month, made_on) VALUES (?1, ?2, ?3)")?.execute((
            year,
            month.value(),
            day(on),
        ))?;
        let id = conn.last_insert_rowid();
        let rows: Vec<&Difference> = snapshot.differences.iter().collect();
        let sql = "INSERT INTO comparison_row SELECT ?1, c0, c1, c2 FROM feed";
        feed::insert(&self.tx, sql, [id], &rows, |(district, class, person), column| match column {
            0 => district.as_str().into(),
            1 => (*class as i64).into(),
            _ => person.key().into(),
        })?;
        let mut statement = conn.prepare_cached("INSERT INTO comparison_count VALUES (?1, ?2, ?3, ?4)")?;
        for ((district, what), people) in &snapshot.counts {
            statement.execute((id, district, what, people))?;
        }
        Ok(())
    }
}
