//! Drop files, the roster and the lists in force.

use crate::domain::calendar::{Date, FeeYear, Month};
use crate::domain::ids::IdNumber;
use crate::domain::participant::{DistrictCode, Participant, Payer, Status};
use crate::pipeline::book::BatchLine;
use crate::pipeline::lists::Recognised;
use crate::store::apply::range;
use crate::store::chain::Txn;
use crate::store::{Result, book, date, day, feed, words};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::BTreeMap;

/// State of a drop file (design section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Seen and kept; nothing decided.
    Arrived,
    /// Being taken: a file in chunks stays so until the last.
    Claimed,
    /// Its content took effect.
    Processed,
    /// The same content was there before.
    Duplicate,
    /// Refused whole: nothing changed.
    Quarantined,
}

impl FileState {
    /// Every state with its word and its Chinese name.
    pub const ALL: [(FileState, &str, &str); 5] = [
        (FileState::Arrived, "arrived", "已到达"),
        (FileState::Claimed, "claimed", "处理中"),
        (FileState::Processed, "processed", "已处理"),
        (FileState::Duplicate, "duplicate", "重复"),
        (FileState::Quarantined, "quarantined", "已隔离"),
    ];

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        FileState::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        FileState::ALL[self as usize].2
    }
}

/// A drop file as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Its name, made printable.
    pub name: String,
    /// Its kind (`return`, `list` …).
    pub kind: String,
    /// Who sent it: `payer/district`, a bank's key, `bureau`.
    pub sender: String,
    /// Business date.
    pub on: Date,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Number of bytes.
    pub size: u64,
    /// Where its bytes are kept, below the state folder.
    pub archived: String,
    /// Which file of an inbox it is; empty where a command takes it, whose source stays.
    pub source: String,
}

/// A version of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListVersion {
    /// Who lists.
    pub payer: Payer,
    /// For which district.
    pub district: DistrictCode,
    /// For which recognition year.
    pub year: i16,
    /// 数据日期.
    pub as_of: Option<Date>,
}

/// A file of this content from this sender that took effect before: its number and state.
pub fn known(conn: &Connection, sender: &str, kind: &str, sha256: &[u8; 32]) -> Result<Option<(i64, FileState)>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, state FROM file WHERE sha256 = ?1 AND sender = ?2 AND kind = ?3 AND state IN (1, 2) ORDER BY id DESC LIMIT 1",
    )?;
    let found = statement.query_row((&sha256[..], sender, kind), |row| Ok((row.get(0)?, row.get::<_, u8>(1)?)));
    Ok(found.optional()?.map(|(id, state)| (id, FileState::ALL[usize::from(state)].0)))
}

/// Where the files of this name from this sender that took effect are kept, below the archive.
pub fn kept_of(conn: &Connection, sender: &str, name: &str) -> Result<Vec<String>> {
    let mut statement =
        conn.prepare_cached("SELECT archived FROM file WHERE name = ?1 AND sender = ?2 AND state = 2")?;
    let rows = statement.query_map((name, sender), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether these bytes of this very file of an inbox took effect before: its source could not be removed, or a death came
/// before that.
pub fn is_left(conn: &Connection, sender: &str, sha256: &[u8; 32], source: &str) -> Result<bool> {
    let sql =
        "SELECT 1 FROM file WHERE sha256 = ?1 AND sender = ?2 AND source = ?3 AND source <> '' AND state IN (2, 3)";
    Ok(conn.prepare_cached(sql)?.exists((&sha256[..], sender, source))?)
}

/// How the newest file of these bytes ended, and where its bytes are kept.
pub fn ended(conn: &Connection, sha256: &[u8; 32]) -> Result<Option<(FileState, String)>> {
    let mut statement = conn.prepare_cached(
        "SELECT state, archived FROM file WHERE sha256 = ?1 AND state IN (2, 3, 4) ORDER BY id DESC LIMIT 1",
    )?;
    let found = statement.query_row([&sha256[..]], |row| Ok((row.get::<_, u8>(0)?, row.get(1)?)));
    Ok(found.optional()?.map(|(state, archived)| (FileState::ALL[usize::from(state)].0, archived)))
}

/// A drop file as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// When it came.
    pub arrived: Date,
    /// Digest of its bytes.
    pub sha256: [u8; 32],
    /// Path of its bytes below `archive/`.
    pub archived: String,
}

/// A drop file by its number.
pub fn kept(conn: &Connection, file: i64) -> Result<Option<Kept>> {
    let mut statement = conn.prepare_cached("SELECT name, arrived, sha256, archived FROM file WHERE id = ?1")?;
    let kept = |row: &Row<'_>| {
        Ok(Kept { name: row.get(0)?, arrived: date(row.get(1)?), sha256: row.get(2)?, archived: row.get(3)? })
    };
    Ok(statement.query_row([file], kept).optional()?)
}

/// How the newest file of these bytes from this sender ended, quarantine included.
pub fn ended_from(conn: &Connection, sender: &str, sha256: &[u8; 32]) -> Result<Option<FileState>> {
    let mut statement = conn.prepare_cached(
        "SELECT state FROM file WHERE sha256 = ?1 AND sender = ?2 AND state IN (2, 3, 4) ORDER BY id DESC LIMIT 1",
    )?;
    let found = statement.query_row((&sha256[..], sender), |row| row.get::<_, u8>(0)).optional()?;
    Ok(found.map(|state| FileState::ALL[usize::from(state)].0))
}

/// Digest of the newest processed roster, or of the list version in force in a scope: what a repeat is held against.
pub fn roster_in_force(conn: &Connection) -> Result<Option<[u8; 32]>> {
    let mut statement = conn
        .prepare_cached("SELECT sha256 FROM file WHERE kind = 'participants' AND state = 2 ORDER BY id DESC LIMIT 1")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// The list version in force of a scope: its file, its `as_of`, the digest of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct InForce {
    /// Number of the file.
    pub file: i64,
    /// 数据日期.
    pub as_of: Option<Date>,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// The version in force of a scope: the newest that was accepted.
pub fn list_in_force(conn: &Connection, scope: &ListVersion) -> Result<Option<InForce>> {
    let mut statement = conn.prepare_cached(
        "SELECT l.file, l.as_of, f.sha256 FROM list l JOIN file f ON f.id = l.file
         WHERE l.payer = ?1 AND l.district = ?2 AND l.year = ?3 ORDER BY l.file DESC LIMIT 1",
    )?;
    let found = statement
        .query_row((scope.payer as i64, scope.district.as_str(), scope.year), |row| {
            Ok(InForce { file: row.get(0)?, as_of: row.get::<_, Option<i64>>(1)?.map(date), sha256: row.get(2)? })
        })
        .optional()?;
    Ok(found)
}

/// Recognitions in force of a scope, by person and category.
pub fn listed(conn: &Connection, scope: &ListVersion) -> Result<Vec<Recognised>> {
    let mut statement = conn.prepare_cached(
        "SELECT participant, category, name FROM recognition INDEXED BY recognition_scope
         WHERE payer = ?1 AND district = ?2 AND year = ?3",
    )?;
    let rows = statement.query_map((scope.payer as i64, scope.district.as_str(), scope.year), |row| {
        Ok(Recognised {
            id: IdNumber::from_key(row.get(0)?),
            category: words::category(row.get(1)?),
            name: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// R8a: districts and payers with an accepted list of a recognition year.
pub fn accepted_lists(conn: &Connection, year: i16) -> Result<Vec<(Payer, DistrictCode)>> {
    let mut statement = conn.prepare_cached("SELECT DISTINCT payer, district FROM list WHERE year = ?1")?;
    let mut rows = statement.query([year])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let district: String = row.get(1)?;
        found.push((words::payer(row.get(0)?), words::district(&district)?));
    }
    Ok(found)
}

/// Roster rows with these keys.
pub fn participants(conn: &Connection, keys: &[i64]) -> Result<BTreeMap<i64, Participant>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, name, district, tier, bank, bank_text, account, account_name, status, status_since, town, village,
                person_number FROM participant WHERE id = ?1",
    )?;
    let mut found = BTreeMap::new();
    for key in keys {
        let mut rows = statement.query([key])?;
        if let Some(row) = rows.next()? {
            found.insert(*key, book::participant(row)?);
        }
    }
    Ok(found)
}

/// Whether somebody is on the roster.
pub fn is_enrolled(conn: &Connection, id: IdNumber) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM participant WHERE id = ?1")?.exists([id.key()])?)
}

/// Fee years for which a participant has a plan.
pub fn planned_years(conn: &Connection) -> Result<Vec<FeeYear>> {
    let mut statement = conn.prepare_cached("SELECT DISTINCT fee_year FROM plan ORDER BY fee_year")?;
    let years = statement.query_map([], |row| row.get(0))?;
    Ok(years.collect::<rusqlite::Result<_>>()?)
}

/// Fee years in which a person has a plan.
pub fn planned_years_of(conn: &Connection, participant: i64) -> Result<Vec<FeeYear>> {
    let mut statement = conn.prepare_cached("SELECT fee_year FROM plan WHERE participant = ?1 ORDER BY fee_year")?;
    let years = statement.query_map([participant], |row| row.get(0))?;
    Ok(years.collect::<rusqlite::Result<_>>()?)
}

/// Something decided and not yet published: number, folder below `drops/`, name, bytes.
pub type Unsent = (i64, String, String, Vec<u8>);

/// What is decided and not yet published, oldest first.
pub fn outbox(conn: &Connection) -> Result<Vec<Unsent>> {
    let mut statement = conn.prepare_cached("SELECT id, folder, name, bytes FROM outbox ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl crate::store::Store {
    /// Something of the outbox is seen to be out.
    pub fn published(&self, id: i64) -> Result<()> {
        self.connection().prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id])?;
        Ok(())
    }
}

/// The batch that a bank's request file carried.
pub fn batch_of_file(conn: &Connection, bank: u8, request: &str) -> Result<Option<(i64, BatchLine)>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, number, bank, fee_year, debit_on, drafted_on, count, amount, state, sha256, file
         FROM batch WHERE bank = ?1 AND file = ?2 ORDER BY id DESC LIMIT 1",
    )?;
    Ok(statement.query_row((bank, request), book::batch_line).optional()?)
}

/// Return files of a batch so far: part and mark of the final one.
pub fn parts(conn: &Connection, batch: i64) -> Result<Vec<(u32, bool)>> {
    let mut statement = conn.prepare_cached("SELECT part, is_final FROM batch_part WHERE batch = ?1")?;
    let rows = statement.query_map([batch], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Instructions `first` to `last` of a batch that wait for their answer: sequence and participant.
pub fn unanswered(conn: &Connection, batch: i64, (first, last): (u32, u32)) -> Result<Vec<(u32, i64)>> {
    let mut statement = conn.prepare_cached(
        "SELECT i.id & ((1 << 27) - 1), i.participant FROM instruction_state s JOIN instruction i ON i.id = s.id
         WHERE s.id BETWEEN ?1 AND ?2 AND s.state = 2",
    )?;
    let base = range(batch).0;
    let rows =
        statement.query_map((base + i64::from(first), base + i64::from(last)), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Exceptions that rows of a file opened.
pub fn exceptions_of(conn: &Connection, file: i64) -> Result<u64> {
    let mut statement = conn.prepare_cached("SELECT count(*) FROM exception WHERE file = ?1")?;
    Ok(statement.query_row([file], |row| row.get::<_, i64>(0))? as u64)
}

/// Whether the missing rows of a batch were noted before.
pub fn missing_noted(conn: &Connection, batch: i64) -> Result<bool> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM exception WHERE class = 'missing-row' AND instruction BETWEEN ?1 AND ?2")?;
    Ok(statement.exists(range(batch))?)
}

/// Rows of a file taken in chunks that are committed.
pub fn progress_of(conn: &Connection, file: i64) -> Result<usize> {
    let mut statement = conn.prepare_cached("SELECT progress FROM file WHERE id = ?1")?;
    let rows: i64 = statement.query_row([file], |row| row.get(0))?;
    Ok(rows as usize)
}

/// The newest recognition year of a sender's lists: what an empty list speaks of.
pub fn newest_list_year(conn: &Connection, payer: Payer, district: DistrictCode) -> Result<Option<i16>> {
    let mut statement = conn.prepare_cached("SELECT max(year) FROM list WHERE payer = ?1 AND district = ?2")?;
    Ok(statement.query_row((payer as i64, district.as_str()), |row| row.get(0))?)
}

/// What stands behind a posting's text key, where it is known.
pub fn content_behind(conn: &Connection, key: &str) -> Result<Option<[u8; 32]>> {
    let mut statement = conn.prepare_cached("SELECT digest FROM posting_key WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

impl Txn<'_> {
    /// Stores a drop file, and says its number.
    pub fn arrive(&self, file: &Arrived, state: FileState) -> Result<i64> {
        self.tx
            .prepare_cached(
                "INSERT INTO file (name, kind, sender, arrived, sha256, size, state, accepted, refused, reason, archived, source)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, '', ?8, ?9)",
            )?
            .execute((
                &file.name,
                &file.kind,
                &file.sender,
                day(file.on),
                &file.sha256[..],
                file.size as i64,
                state as i64,
                &file.archived,
                &file.source,
            ))?;
        Ok(self.tx.last_insert_rowid())
    }

    /// Ends a drop file.
    pub fn finish(&self, file: i64, state: FileState, accepted: u64, refused: u64, reason: &str) -> Result<()> {
        self.tx
            .prepare_cached("UPDATE file SET state = ?2, accepted = ?3, refused = ?4, reason = ?5 WHERE id = ?1")?
            .execute((file, state as i64, accepted as i64, refused as i64, reason))?;
        Ok(())
    }

    /// R11: nothing is posted into this month any more.
    pub fn close_month(&self, month: Month, on: Date) -> Result<()> {
        self.tx.execute("INSERT INTO closed_month VALUES (?1, ?2)", (month.value(), day(on)))?;
        Ok(())
    }

    /// Rows of a file taken in chunks that are committed.
    pub fn progress(&self, file: i64, rows: u64) -> Result<()> {
        self.tx.prepare_cached("UPDATE file SET progress = ?2 WHERE id = ?1")?.execute((file, rows as i64))?;
        Ok(())
    }

    /// Something to publish once this is committed: done again after a crash until it is seen to be there.
    pub fn post_out(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<()> {
        self.tx
            .prepare_cached("INSERT INTO outbox (folder, name, bytes) VALUES (?1, ?2, ?3)")?
            .execute((folder, name, bytes))?;
        Ok(())
    }

    /// Adds or replaces roster rows.
    pub fn upsert_participants(&self, rows: &[(u32, Participant)], file: i64) -> Result<()> {
        for (_, row) in rows {
            self.tx.prepare_cached("DELETE FROM participant WHERE id = ?1")?.execute([row.id.key()])?;
        }
        let sql =
            "INSERT INTO participant SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, ?1, c13 FROM feed";
        feed::insert(&self.tx, sql, [file], rows, |(line, row), column| match column {
            0 => row.id.key().into(),
            1 => row.name.as_str().into(),
            2 => row.district.as_str().into(),
            3 => row.tier.fen().into(),
            4 => row.bank.map(|bank| i64::from(bank.0)).into(),
            5 => row.bank_text.as_str().into(),
            6 => row.account.as_ref().map(|account| account.text()).into(),
            7 => row.account_name.as_deref().into(),
            8 => match &row.status {
                Status::Normal => "".into(),
                Status::NotNormal(text) => text.as_str().into(),
            },
            9 => day(row.status_since).into(),
            10 => row.town.as_str().into(),
            11 => row.village.as_str().into(),
            12 => row.person_number.as_str().into(),
            _ => i64::from(*line).into(),
        })
    }

    /// A list version comes into force.
    pub fn accept_list(&self, file: i64, version: &ListVersion, on: Date, late: bool) -> Result<()> {
        self.tx.prepare_cached("INSERT OR IGNORE INTO list VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute((
            file,
            version.payer as i64,
            version.district.as_str(),
            version.year,
            version.as_of.map(day),
            day(on),
            late,
        ))?;
        Ok(())
    }

    /// Adds a recognition, or changes the name that its list gives.
    pub fn recognise(&self, scope: &ListVersion, row: &Recognised, file: i64, line: u32, on: Date) -> Result<()> {
        self.tx.prepare_cached("INSERT OR REPLACE INTO recognition VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(
            (
                row.id.key(),
                scope.year,
                scope.payer as i64,
                scope.district.as_str(),
                row.category as i64,
                &row.name,
                file,
                line,
            ),
        )?;
        self.note_change(scope, row, true, file, on)
    }

    /// Drops a recognition: the newest version of its list does not have it (R7).
    pub fn drop_recognition(&self, scope: &ListVersion, row: &Recognised, file: i64, on: Date) -> Result<()> {
        self.tx
            .prepare_cached(
                "DELETE FROM recognition
                 WHERE participant = ?1 AND year = ?2 AND payer = ?3 AND district = ?4 AND category = ?5",
            )?
            .execute((row.id.key(), scope.year, scope.payer as i64, scope.district.as_str(), row.category as i64))?;
        self.note_change(scope, row, false, file, on)
    }

    fn note_change(&self, scope: &ListVersion, row: &Recognised, added: bool, file: i64, on: Date) -> Result<()> {
        self.tx
            .prepare_cached(
                "INSERT INTO recognition_change
                 SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM recognition_change WHERE participant = ?1",
            )?
            .execute((
                row.id.key(),
                scope.year,
                scope.payer as i64,
                scope.district.as_str(),
                row.category as i64,
                &row.name,
                added,
                day(on),
                file,
            ))?;
        Ok(())
    }
}
