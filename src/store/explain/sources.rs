//! What a chain rests on: the bytes that came, and the rows of the audit log that cover each step.

use crate::store::Result;
use crate::store::anchor;
use crate::store::facts::{Fact, Facts, hex, number, sender, text};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Every drop file that tables name, with its digest, where its bytes are kept, and the row of the audit log that took it in.
pub fn sources(conn: &Connection, tables: &[Facts]) -> Result<Facts> {
    let columns = &["file", "name", "from", "sha256", "archived", "audit"];
    let mut facts = Facts::new("sources", columns);
    let sql = "SELECT f.id, f.name, f.sender, f.sha256,
                      CASE f.state WHEN 4 THEN 'quarantine/' ELSE 'archive/' END || f.archived,
                      (SELECT max(seq) FROM audit WHERE action = 'ingest' AND digest = f.sha256)
               FROM file f WHERE f.id = ?1";
    for id in numbers(tables, "file") {
        facts.read(conn, sql, [id], |row| {
            Ok(vec![number(row, 0)?, text(row, 1)?, sender(row, 2)?, hex(row, 3)?, text(row, 4)?, number(row, 5)?])
        })?;
    }
    Ok(facts)
}

/// Every row of the audit log that tables name, with its digest: what an anchor outside is held against.
pub fn audit_rows(conn: &Connection, tables: &[Facts]) -> Result<Facts> {
    let mut facts = Facts::new("audit", &["audit", "at", "actor", "action", "subject", "digest"]);
    for seq in numbers(tables, "audit") {
        let Some(row_digest) = anchor::at(conn, seq)?.map(|row| row.hex()) else { continue };
        facts.read(conn, "SELECT seq, at, actor, action, subject FROM audit WHERE seq = ?1", [seq], |row| {
            Ok(vec![
                number(row, 0)?,
                text(row, 1)?,
                text(row, 2)?,
                text(row, 3)?,
                text(row, 4)?,
                Fact::text(&row_digest),
            ])
        })?;
    }
    Ok(facts)
}

/// The numbers in every column of this name, each once.
fn numbers(tables: &[Facts], column: &str) -> BTreeSet<i64> {
    let mut found = BTreeSet::new();
    for table in tables {
        let places = table.columns.iter().enumerate().filter(|(_, name)| **name == column).map(|(place, _)| place);
        for place in places {
            found.extend(table.rows.iter().filter_map(|row| match row[place] {
                Fact::Number(number) => Some(number),
                _ => None,
            }));
        }
    }
    found
}
