//! Rows enter the engine by sets: one statement reads all of them out of our memory, as if they were a table.
//!
//! `INSERT OR FAIL INTO posting SELECT c0, c1, … FROM feed` asks the virtual table `feed` for rows, and gets those that
//! [`insert`] lends for the length of this statement. No row is bound, stepped and reset by itself, and no text is
//! copied before the engine does: a million returns are posted in half the time.
//!
//! # Why `unsafe`, and why it is sound
//!
//! The engine calls back through an interface of C. This module alone may speak it:
//!
//! - [`FeedTable`] and [`FeedCursor`] are `#[repr(C)]` and begin with the engine's own structure, as their traits ask.
//!   Neither holds a pointer to a row.
//! - [`lend`] puts a pointer to the caller's rows where only this thread sees it, with their lifetime taken off, runs the
//!   statement, and takes the pointer away again, by a guard, so after an error or a panic too. It borrows the rows
//!   shared for all that time: they stay, and nobody writes into them.
//! - The engine runs a statement on the thread that steps it. So whoever finds a pointer in [`lent`] is called, further
//!   up the same stack, by the `lend` that put it there. A statement run at any other time finds none, and fails.
//! - Text is copied by the engine before the callback returns: no pointer into the rows outlives the call.

use crate::store::{Error, Result};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::vtab::{Context, Filters, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor};
use rusqlite::vtab::{sqlite3_vtab, sqlite3_vtab_cursor};
use rusqlite::{Connection, Params};
use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::mem::transmute;
use std::ptr::NonNull;

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'r> {
    /// Nothing.
    Null,
    /// A number, an amount, a date.
    Integer(i64),
    /// A text.
    Text(&'r str),
}

/// Runs an `INSERT … SELECT … FROM feed`, in which `c0`, `c1`, … are the values that `value` gives for a row and the
/// number of a column. Every row must arrive.
pub(crate) fn insert<'r, T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    rows: &'r [T],
    value: impl Fn(&'r T, usize) -> Value<'r>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(sql)?;
    let written = lend(&Set { rows, value }, || statement.execute(params))?;
    if written != rows.len() {
        return Err(Error::Broken(format!("{} rows were given, {written} were written", rows.len())));
    }
    Ok(())
}

/// Lends keys to the reads that `work` makes: `… IN (SELECT c0 FROM feed)`.
pub(crate) fn lend_keys<T>(keys: &[i64], work: impl FnOnce() -> T) -> T {
    lend(&Set { rows: keys, value: |key: &i64, _| (*key).into() }, work)
}

/// Makes the table `feed` known to a connection.
pub(crate) fn register(conn: &Connection) -> Result<()> {
    const MODULE: Module<'static, FeedTable> = Module::eponymous_only_module();
    Ok(conn.create_module(c"feed", &MODULE, None)?)
}

/// Rows that a statement may read.
trait Rows {
    fn count(&self) -> usize;
    fn value(&self, row: usize, column: usize) -> Value<'_>;
}

struct Set<'r, T, F> {
    rows: &'r [T],
    value: F,
}

impl<'r, T, F: Fn(&'r T, usize) -> Value<'r>> Rows for Set<'r, T, F> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        self.rows.get(row).map_or(Value::Null, |row| (self.value)(row, column))
    }
}

thread_local! {
    /// What is lent on this thread at this moment.
    static LENT: Cell<Option<NonNull<dyn Rows>>> = const { Cell::new(None) };
}

/// Lends rows to the statements that `work` runs on this thread.
fn lend<T>(rows: &dyn Rows, work: impl FnOnce() -> T) -> T {
    struct TakenBack(Option<NonNull<dyn Rows>>);
    impl Drop for TakenBack {
        fn drop(&mut self) {
            LENT.set(self.0);
        }
    }
    // SAFETY: only the lifetime changes. `rows` is borrowed until this function is left, and on every way out the
    // guard has taken the pointer away by then.
    let rows = unsafe { transmute::<NonNull<dyn Rows + '_>, NonNull<dyn Rows + 'static>>(NonNull::from(rows)) };
    let _taken_back = TakenBack(LENT.replace(Some(rows)));
    work()
}

/// What is lent now, for the length of one callback.
#[inline(always)]
fn lent<T>(work: impl FnOnce(&dyn Rows) -> T) -> rusqlite::Result<T> {
    match LENT.get() {
        // SAFETY: the pointer was made from a reference by a `lend` that has not been left, see the module's text.
        Some(rows) => Ok(work(unsafe { rows.as_ref() })),
        None => Err(rusqlite::Error::ModuleError("no rows are lent".to_owned())),
    }
}

/// The table.
#[repr(C)]
struct FeedTable {
    base: sqlite3_vtab,
}

// SAFETY: `#[repr(C)]`, and the engine's structure is first.
unsafe impl<'vtab> VTab<'vtab> for FeedTable {
    type Aux = ();
    type Cursor = FeedCursor;

    fn connect(
        db: &mut VTabConnection,
        _: Option<&()>,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, FeedTable)> {
        // No view and no trigger of a store may read it.
        db.config(VTabConfig::DirectOnly)?;
        let columns = c"CREATE TABLE feed (c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15)";
        Ok((Cow::Borrowed(columns), FeedTable { base: sqlite3_vtab::default() }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        info.set_estimated_rows(1_000);
        Ok(true)
    }

    fn open(&mut self) -> rusqlite::Result<FeedCursor> {
        Ok(FeedCursor { base: sqlite3_vtab_cursor::default(), row: 0, count: 0 })
    }
}

/// A walk through the rows.
#[repr(C)]
struct FeedCursor {
    base: sqlite3_vtab_cursor,
    row: usize,
    count: usize,
}

// SAFETY: `#[repr(C)]`, and the engine's structure is first.
unsafe impl VTabCursor for FeedCursor {
    fn filter(&mut self, _: c_int, _: Option<&str>, _: &Filters<'_>) -> rusqlite::Result<()> {
        (self.row, self.count) = (0, lent(|rows| rows.count())?);
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.row += 1;
        Ok(())
    }

    fn eof(&self) -> bool {
        self.row >= self.count
    }

    fn column(&self, context: &mut Context, column: c_int) -> rusqlite::Result<()> {
        lent(|rows| context.set_result(rows.value(self.row, column as usize)))?
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.row as i64)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Integer(value)
    }
}

impl<'r> From<&'r str> for Value<'r> {
    fn from(text: &'r str) -> Self {
        Value::Text(text)
    }
}

impl<'r, T: Into<Value<'r>>> From<Option<T>> for Value<'r> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        register(&conn).unwrap();
        conn.execute_batch("CREATE TABLE kept (id INTEGER PRIMARY KEY, name TEXT, file INTEGER) STRICT").unwrap();
        conn
    }

    const SQL: &str = "INSERT INTO kept SELECT c0, c1, ?1 FROM feed";

    fn value<'r>(row: &'r (i64, Option<String>), column: usize) -> Value<'r> {
        match column {
            0 => row.0.into(),
            _ => row.1.as_deref().into(),
        }
    }

    fn rows() -> Vec<(i64, Option<String>)> {
        vec![(7, Some("甲".to_owned())), (8, None), (i64::MAX, Some(String::new()))]
    }

    fn kept(conn: &Connection) -> Vec<(i64, Option<String>, i64)> {
        let mut statement = conn.prepare("SELECT id, name, file FROM kept ORDER BY id").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(|row| row.unwrap()).collect()
    }

    #[test]
    fn rows_arrive_as_they_are() {
        let conn = store();
        insert(&conn, SQL, [3], &rows(), value).unwrap();
        insert(&conn, SQL, [3], &[], value).unwrap();
        let expected = rows().into_iter().map(|(id, name)| (id, name, 3)).collect::<Vec<_>>();
        assert_eq!(kept(&conn), expected);
    }

    #[test]
    fn a_row_that_is_there_already_stops_all() {
        let conn = store();
        insert(&conn, SQL, [3], &rows()[1..2], value).unwrap();
        let refused = insert(&conn, SQL, [4], &rows(), value).unwrap_err();
        assert!(matches!(refused, Error::Engine(_)), "{refused}");
        assert_eq!(kept(&conn), [(8, None, 3)]);
    }

    #[test]
    fn rows_that_the_statement_leaves_out_are_missed() {
        let conn = store();
        let refused = insert(&conn, &format!("{SQL} WHERE c0 < 9"), [3], &rows(), value).unwrap_err();
        assert!(matches!(&refused, Error::Broken(text) if text.contains("3 rows were given, 2")), "{refused}");
    }

    #[test]
    fn nothing_is_lent_outside_of_a_statement() {
        let conn = store();
        let nobody = |conn: &Connection| conn.query_row("SELECT count(*) FROM feed", [], |row| row.get::<_, i64>(0));
        assert!(nobody(&conn).unwrap_err().to_string().contains("no rows are lent"));
        insert(&conn, SQL, [3], &rows(), value).unwrap();
        insert(&conn, SQL, [3], &rows(), value).unwrap_err();
        assert!(nobody(&conn).is_err());
        let caught = std::panic::catch_unwind(|| lend(&Set { rows: &rows(), value }, || panic!("half way")));
        assert!(caught.is_err() && nobody(&conn).is_err());
    }

    #[test]
    fn lending_within_lending_gives_back_the_outer_rows() {
        let conn = store();
        let (outer, inner) = (rows(), rows()[..1].to_vec());
        let count = |conn: &Connection| conn.query_row("SELECT count(*) FROM feed", [], |row| row.get(0)).unwrap();
        let counts: [i64; 3] = lend(&Set { rows: &outer, value }, || {
            let before = count(&conn);
            let within = lend(&Set { rows: &inner, value }, || count(&conn));
            [before, within, count(&conn)]
        });
        assert_eq!(counts, [3, 1, 3]);
    }

    #[test]
    fn another_thread_sees_nothing() {
        let rows = rows();
        lend(&Set { rows: &rows, value }, || {
            let other = std::thread::spawn(|| lent(|rows| rows.count()).is_err());
            assert!(other.join().unwrap());
        });
    }

    #[test]
    fn neither_views_nor_triggers_may_read_it() {
        let conn = store();
        conn.execute_batch("CREATE VIEW through AS SELECT c0 FROM feed").unwrap();
        let rows = rows();
        let refused = lend(&Set { rows: &rows, value }, || {
            conn.query_row("SELECT c0 FROM through", [], |row| row.get::<_, i64>(0)).unwrap_err()
        });
        assert!(refused.to_string().contains("unsafe use"), "{refused}");
    }
}
