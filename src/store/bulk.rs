//! Rows enter the engine by sets: many rows a statement, one bind an integer, no parsing again.

use crate::store::Result;
use rusqlite::{CachedStatement, Connection, ToSql};

const ROWS: usize = 50;

/// Inserts rows of `width` columns into `table`; `bind` puts one row at the places that it is given.
pub(crate) fn insert<T>(
    conn: &Connection,
    table: &str,
    width: usize,
    rows: &[T],
    bind: impl Fn(&mut Binder<'_, '_>, &T) -> rusqlite::Result<()>,
) -> Result<()> {
    let mut groups = rows.chunks_exact(ROWS);
    if rows.len() >= ROWS {
        let mut statement = conn.prepare_cached(&sql(table, width, ROWS))?;
        for group in groups.by_ref() {
            let mut binder = Binder { statement: &mut statement, next: 1 };
            group.iter().try_for_each(|row| bind(&mut binder, row))?;
            statement.raw_execute()?;
        }
    }
    if !groups.remainder().is_empty() {
        let mut statement = conn.prepare_cached(&sql(table, width, 1))?;
        for row in groups.remainder() {
            bind(&mut Binder { statement: &mut statement, next: 1 }, row)?;
            statement.raw_execute()?;
        }
    }
    Ok(())
}

fn sql(table: &str, width: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; width].join(","));
    format!("INSERT INTO {table} VALUES {}", vec![row; rows].join(","))
}

/// Binds one column after the other.
pub(crate) struct Binder<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    next: usize,
}

impl Binder<'_, '_> {
    /// Binds the next column.
    pub(crate) fn put(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(())
    }
}
