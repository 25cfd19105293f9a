//! Batches and drop files as wholes: who approved them, what came of them.

use super::{BATCH, BATCH_SQL, Lookup, batch_facts, exceptions};
use crate::domain::delivery::Stage;
use crate::domain::ids::BatchNumber;
use crate::store::facts::{Fact, Facts, day, flag, hex, money, number, or_none, sender, text, text_of, word};
use crate::store::{FileState, Result, apply, book, words};
use rusqlite::{Connection, OptionalExtension};

/// Everything about a batch; `None` where there is none of this number.
pub fn batch(conn: &Connection, number_of_it: BatchNumber, lookup: &Lookup<'_>) -> Result<Option<Vec<Facts>>> {
    let Some((id, _)) = book::batch(conn, number_of_it)? else { return Ok(None) };
    let mut head = Facts::new("batch", BATCH);
    head.read(conn, BATCH_SQL, [id], |row| batch_facts(row, lookup))?;
    let (first, last) = apply::range(id);
    let mut states = Facts::new("instructions", &["state", "outcome", "instructions", "amount"]);
    let sql = "SELECT s.state, s.outcome, count(*), sum(i.amount)
               FROM instruction i JOIN instruction_state s ON s.id = i.id WHERE i.id BETWEEN ?1 AND ?2 GROUP BY 1, 2";
    states.read(conn, sql, (first, last), |row| {
        let state = word(row, 0, |state| words::instruction_state(state).word())?;
        let outcome = word(row, 1, |outcome| words::outcome(outcome).word())?;
        Ok(vec![state, outcome, number(row, 2)?, money(row, 3)?])
    })?;
    let mut parts = Facts::new("returns", &["file", "name", "part", "final", "arrived"]);
    let sql = "SELECT p.file, f.name, p.part, p.is_final, f.arrived FROM batch_part p JOIN file f ON f.id = p.file
               WHERE p.batch = ?1 ORDER BY p.part, p.file";
    parts.read(conn, sql, [id], |row| {
        Ok(vec![number(row, 0)?, text(row, 1)?, number(row, 2)?, flag(row, 3)?, day(row, 4)?])
    })?;
    let opened = exceptions(conn, "x.instruction BETWEEN ?1 AND ?2", (first, last))?;
    let asked = approvals(conn, &number_of_it.to_string())?;
    Ok(Some(vec![head, asked, deliveries(conn, id)?, states, parts, opened]))
}

/// How far the files of a batch have come, and what shows it.
fn deliveries(conn: &Connection, batch: i64) -> Result<Facts> {
    let mut facts = Facts::new("deliveries", &["content", "stage", "evidence"]);
    let sql = "SELECT part, stage, evidence FROM delivery WHERE batch = ?1 ORDER BY part";
    facts.read(conn, sql, [batch], |row| {
        Ok(vec![
            word(row, 0, |part| ["data", "control"][part as usize])?,
            word(row, 1, |stage| Stage::ALL[stage as usize].1)?,
            text(row, 2)?,
        ])
    })?;
    Ok(facts)
}

/// Who asked for something, and who said yes (R21).
fn approvals(conn: &Connection, subject: &str) -> Result<Facts> {
    let mut facts = Facts::new("approvals", &["id", "kind", "state", "maker", "made_on", "checker", "digest"]);
    let sql = "SELECT id, kind, state, maker, made_on, checker, digest FROM approval WHERE subject = ?1 ORDER BY id";
    facts.read(conn, sql, [subject], |row| {
        Ok(vec![
            number(row, 0)?,
            or_none(text_of(row, 1)?, Fact::Word),
            word(row, 2, |state| ["waiting", "approved", "void"][state as usize])?,
            text(row, 3)?,
            day(row, 4)?,
            text(row, 5)?,
            hex(row, 6)?,
        ])
    })?;
    Ok(facts)
}

/// The newest drop file of this name, or whose digest begins so.
pub fn file_named(conn: &Connection, text: &str) -> Result<Option<i64>> {
    let by_digest = text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut statement = conn.prepare_cached(
        "SELECT id FROM file WHERE name = ?1 OR (?2 AND lower(hex(sha256)) LIKE lower(?1) || '%')
         ORDER BY id DESC LIMIT 1",
    )?;
    Ok(statement.query_row((text, by_digest), |row| row.get(0)).optional()?)
}

/// The newest batch whose file has this name, or whose digest begins so.
pub fn batch_named(conn: &Connection, text: &str) -> Result<Option<BatchNumber>> {
    let by_digest = text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut statement = conn.prepare_cached(
        "SELECT number FROM batch WHERE file = ?1 OR (?2 AND lower(hex(sha256)) LIKE lower(?1) || '%')
         ORDER BY id DESC LIMIT 1",
    )?;
    let found: Option<i64> = statement.query_row((text, by_digest), |row| row.get(0)).optional()?;
    Ok(found.map(|number| BatchNumber::from_value(number as u64)))
}

/// Everything about a drop file; `None` where there is none of this number.
pub fn file(conn: &Connection, id: i64) -> Result<Option<Vec<Facts>>> {
    let columns = &[
        "file", "name", "kind", "from", "arrived", "size", "sha256", "state", "accepted", "refused", "reason",
        "archived",
    ];
    let mut head = Facts::new("file", columns);
    let sql = "SELECT id, name, kind, sender, arrived, size, sha256, state, accepted, refused, reason, archived
               FROM file WHERE id = ?1";
    head.read(conn, sql, [id], |row| {
        Ok(vec![
            number(row, 0)?,
            text(row, 1)?,
            or_none(text_of(row, 2)?, Fact::Word),
            sender(row, 3)?,
            day(row, 4)?,
            number(row, 5)?,
            hex(row, 6)?,
            word(row, 7, |state| FileState::ALL[state as usize].0.word())?,
            number(row, 8)?,
            number(row, 9)?,
            text(row, 10)?,
            text(row, 11)?,
        ])
    })?;
    if head.rows.is_empty() {
        return Ok(None);
    }
    let opened = exceptions(conn, "x.file = ?1", [id])?;
    Ok(Some(vec![head, effects(conn, id)?, approvals(conn, &format!("list {id}"))?, opened]))
}

/// How many rows of each kind stand in the store because of a file.
fn effects(conn: &Connection, file: i64) -> Result<Facts> {
    let mut facts = Facts::new("effects", &["what", "rows"]);
    for (what, sql) in [
        ("roster-rows", "SELECT count(*) FROM participant WHERE file = ?1"),
        ("list-rows", "SELECT count(*) FROM recognition WHERE file = ?1"),
        ("recognised", "SELECT count(*) FROM recognition_change WHERE file = ?1 AND added = 1"),
        ("dropped", "SELECT count(*) FROM recognition_change WHERE file = ?1 AND added = 0"),
        ("plan-versions", "SELECT count(*) FROM plan_version WHERE cause = ?1"),
        (
            "answers",
            "SELECT (SELECT count(*) FROM answer WHERE file = ?1) + (SELECT count(*) FROM later_answer WHERE file = ?1)",
        ),
        (
            "postings",
            "SELECT (SELECT count(*) FROM answer a JOIN posting p ON p.id = a.instruction WHERE a.file = ?1)
                           + (SELECT count(*) FROM posting_key WHERE file = ?1 AND posting < 1 << 27)",
        ),
    ] {
        let rows: i64 = conn.prepare_cached(sql)?.query_row([file], |row| row.get(0))?;
        if rows > 0 {
            facts.rows.push(vec![Fact::word(what), Fact::Number(rows)]);
        }
    }
    Ok(facts)
}
