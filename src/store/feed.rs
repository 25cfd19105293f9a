//! Rows enter the engine by sets: one statement reads all of them out of our memory, as if they were a table.
//!
//! `INSERT OR FAIL INTO posting SELECT c0, c1, … FROM feed` asks the virtual table `feed` for rows, and gets those that
//! [`insert`] lends for the length of this statement. No row is bound, stepped and reset by itself, and no text is
//! copied before the engine does: a million returns are posted in half the time.
//!
//! # Why `unsafe`, and why it is sound
//!
//! The engine calls back through an interface of C. This module alone speaks it, and by hand: what rusqlite's `vtab` does for
//! each value costs a tenth of a posting.
//!
//! - [`Cursor`] is `#[repr(C)]` and begins with the engine's own structure, as the interface asks; of the table itself there is no
//!   more than that structure. The engine gets each from a `Box` of ours, gives back the same pointer, and lets go of it once.
//!   Neither holds a pointer to a row.
//! - [`lend`] puts a pointer to the caller's rows where only this thread sees it, with their lifetime taken off, runs the
//!   statement, and takes the pointer away again, by a guard, so after an error or a panic too. It borrows the rows
//!   shared for all that time: they stay, and nobody writes into them.
//! - The engine runs a statement on the thread that steps it. So whoever finds a pointer in [`lent`] is called, further
//!   up the same stack, by the `lend` that put it there. A statement run at any other time finds none, and fails.
//! - Text is not copied: the engine may point into the rows until the statement is reset. Only [`insert`] lends texts, to one
//!   statement that it runs to its end, and `execute` resets it before the rows are taken back. [`lend_keys`] lends numbers.

use crate::store::{Error, Result};
use rusqlite::ffi::{
    SQLITE_ERROR, SQLITE_OK, SQLITE_UTF8, SQLITE_VTAB_DIRECTONLY, sqlite3, sqlite3_context, sqlite3_create_module_v2,
    sqlite3_declare_vtab, sqlite3_index_info, sqlite3_int64, sqlite3_module, sqlite3_mprintf, sqlite3_result_int64,
    sqlite3_result_null, sqlite3_result_text64, sqlite3_value, sqlite3_vtab, sqlite3_vtab_config, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Params};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute;
use std::ptr::{NonNull, null_mut};

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
    // SAFETY: the handle is open for as long as `conn` is borrowed; module and name live for ever.
    let code = unsafe { sqlite3_create_module_v2(conn.handle(), c"feed".as_ptr(), &MODULE, null_mut(), None) };
    match code {
        SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into()),
    }
}

/// Rows that a statement may read.
trait Rows {
    fn count(&self) -> usize;
    /// Answers the engine's question for a value.
    fn answer(&self, row: usize, column: usize, question: Question);
}

/// Where the engine wants a value.
struct Question(*mut sqlite3_context);

impl Question {
    #[inline(always)]
    fn answer(self, value: Value<'_>) {
        // SAFETY: the engine asks, and waits for the answer. A text without a destructor stays where it is for as long as the
        // statement runs.
        unsafe {
            match value {
                Value::Null => sqlite3_result_null(self.0),
                Value::Integer(value) => sqlite3_result_int64(self.0, value),
                Value::Text(text) => {
                    sqlite3_result_text64(self.0, text.as_ptr().cast(), text.len() as u64, None, SQLITE_UTF8 as u8);
                }
            }
        }
    }
}

struct Set<'r, T, F> {
    rows: &'r [T],
    value: F,
}

impl<'r, T, F: Fn(&'r T, usize) -> Value<'r>> Rows for Set<'r, T, F> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn answer(&self, row: usize, column: usize, question: Question) {
        question.answer(self.rows.get(row).map_or(Value::Null, |row| (self.value)(row, column)));
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
fn lent<T>(work: impl FnOnce(&dyn Rows) -> T) -> Option<T> {
    // SAFETY: the pointer was made from a reference by a `lend` that has not been left, see the module's text.
    LENT.get().map(|rows| work(unsafe { rows.as_ref() }))
}

/// The table, which exists without being created, and can only be read.
static MODULE: sqlite3_module = sqlite3_module {
    iVersion: 1,
    xCreate: None,
    xConnect: Some(connect),
    xBestIndex: Some(best_index),
    xDisconnect: Some(disconnect),
    xDestroy: None,
    xOpen: Some(open),
    xClose: Some(close),
    xFilter: Some(filter),
    xNext: Some(next),
    xEof: Some(eof),
    xColumn: Some(column),
    xRowid: Some(rowid),
    xUpdate: None,
    xBegin: None,
    xSync: None,
    xCommit: None,
    xRollback: None,
    xFindFunction: None,
    xRename: None,
    xSavepoint: None,
    xRelease: None,
    xRollbackTo: None,
    xShadowName: None,
    xIntegrity: None,
};

/// A walk through the rows.
#[repr(C)]
struct Cursor {
    base: sqlite3_vtab_cursor,
    row: usize,
    count: usize,
}

// SAFETY of all that follows: the engine passes pointers that it got from here or that are its own, and that live for the call.

unsafe extern "C" fn connect(
    db: *mut sqlite3,
    _: *mut c_void,
    _: c_int,
    _: *const *const c_char,
    table: *mut *mut sqlite3_vtab,
    _: *mut *mut c_char,
) -> c_int {
    const COLUMNS: &CStr = c"CREATE TABLE feed (c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15)";
    unsafe {
        // No view and no trigger of a store may read it.
        let code = match sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY) {
            SQLITE_OK => sqlite3_declare_vtab(db, COLUMNS.as_ptr()),
            code => code,
        };
        if code == SQLITE_OK {
            *table = Box::into_raw(Box::new(sqlite3_vtab::default()));
        }
        code
    }
}

unsafe extern "C" fn disconnect(table: *mut sqlite3_vtab) -> c_int {
    drop(unsafe { Box::from_raw(table) });
    SQLITE_OK
}

unsafe extern "C" fn best_index(_: *mut sqlite3_vtab, info: *mut sqlite3_index_info) -> c_int {
    unsafe { (*info).estimatedRows = 1_000 };
    SQLITE_OK
}

unsafe extern "C" fn open(_: *mut sqlite3_vtab, cursor: *mut *mut sqlite3_vtab_cursor) -> c_int {
    let new = Box::new(Cursor { base: sqlite3_vtab_cursor::default(), row: 0, count: 0 });
    unsafe { *cursor = Box::into_raw(new).cast() };
    SQLITE_OK
}

unsafe extern "C" fn close(cursor: *mut sqlite3_vtab_cursor) -> c_int {
    drop(unsafe { Box::from_raw(cursor.cast::<Cursor>()) });
    SQLITE_OK
}

unsafe extern "C" fn filter(
    cursor: *mut sqlite3_vtab_cursor,
    _: c_int,
    _: *const c_char,
    _: c_int,
    _: *mut *mut sqlite3_value,
) -> c_int {
    let cursor = unsafe { &mut *cursor.cast::<Cursor>() };
    match lent(|rows| rows.count()) {
        Some(count) => {
            (cursor.row, cursor.count) = (0, count);
            SQLITE_OK
        }
        None => unsafe { nothing_lent(&cursor.base) },
    }
}

unsafe extern "C" fn next(cursor: *mut sqlite3_vtab_cursor) -> c_int {
    unsafe { (*cursor.cast::<Cursor>()).row += 1 };
    SQLITE_OK
}

unsafe extern "C" fn eof(cursor: *mut sqlite3_vtab_cursor) -> c_int {
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    c_int::from(cursor.row >= cursor.count)
}

unsafe extern "C" fn column(cursor: *mut sqlite3_vtab_cursor, context: *mut sqlite3_context, column: c_int) -> c_int {
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    match lent(|rows| rows.answer(cursor.row, column as usize, Question(context))) {
        Some(()) => SQLITE_OK,
        None => unsafe { nothing_lent(&cursor.base) },
    }
}

unsafe extern "C" fn rowid(cursor: *mut sqlite3_vtab_cursor, number: *mut sqlite3_int64) -> c_int {
    unsafe { *number = (*cursor.cast::<Cursor>()).row as sqlite3_int64 };
    SQLITE_OK
}

/// The engine frees the message.
unsafe fn nothing_lent(cursor: &sqlite3_vtab_cursor) -> c_int {
    unsafe { (*cursor.pVtab).zErrMsg = sqlite3_mprintf(c"no rows are lent".as_ptr()) };
    SQLITE_ERROR
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
            let other = std::thread::spawn(|| lent(|rows| rows.count()).is_none());
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
