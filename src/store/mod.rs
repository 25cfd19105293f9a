//! The store: SQLite in WAL mode, every commit synced. One read before the flow (`book`), one write after it (`apply`).

pub mod anchor;
mod apply;
pub mod approvals;
pub mod audit;
pub mod balance;
pub mod batches;
pub mod book;
pub mod chain;
pub mod comparisons;
pub mod deliveries;
pub mod exceptions;
pub mod explain;
pub mod export;
pub mod extract;
pub mod facts;
#[expect(unsafe_code, reason = "the engine asks for rows through an interface of C; the module says why it is sound")]
mod feed;
pub mod figures;
pub mod files;
pub mod fixes;
pub mod gaps;
mod kept_sums;
pub mod lines;
pub mod outgoing;
pub mod overview;
mod pack;
pub mod payouts;
pub mod recognised;
pub mod settlements;
pub mod statements;
pub mod summary;
pub mod transfers;
pub mod windows;
mod words;

pub use apply::Applied;
pub use batches::{NewBatch, NewInstruction, ZeroRow};
pub use chain::{Act, Txn};
pub use files::{Arrived, FileState, ListVersion};

use crate::domain::calendar::Date;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Our side failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused.
    #[error("the store failed: {0}{advice}", advice = advice(.0))]
    Engine(#[from] rusqlite::Error),
    /// The file is not what this program can use.
    #[error("{path}: {problem}")]
    Unusable {
        /// The database file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The book moved since it was read: [`Store::apply`] answers [`Applied::Stale`].
    #[error("the book moved since it was read")]
    Stale,
    /// What the work rests on was looked at last, and does not hold: all of it was taken back.
    #[error("what the work rests on does not hold")]
    Unproved,
    /// What is stored contradicts itself.
    #[error("the store contradicts itself: {0}; run `daikou audit`")]
    Broken(String),
}

/// What to do where the disk under the store fails.
fn advice(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, SystemIoFailure};
    match error.sqlite_error_code() {
        Some(DiskFull | SystemIoFailure) => "; make room on the disk of `state`, or look whether it fails",
        Some(CannotOpen | ReadOnly) => {
            "; look whether the disk of `state` is mounted and may be written to by this user"
        }
        Some(DatabaseCorrupt | NotADatabase) => "; restore it from a backup (docs/operating.md)",
        _ => "",
    }
}

impl Error {
    /// Worth another try: the engine was busy.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Engine(rusqlite::Error::SqliteFailure(failure, _))
            if matches!(failure.code, rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
    }

    /// The file itself is unsound, or cannot be written: starting again is the only thing to do.
    pub fn is_fatal(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, ReadOnly, SystemIoFailure};
        matches!(self, Error::Engine(rusqlite::Error::SqliteFailure(failure, _))
            if matches!(failure.code, DatabaseCorrupt | NotADatabase | ReadOnly | SystemIoFailure))
    }

    /// The disk is full: intake stops, reading goes on.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Error::Engine(rusqlite::Error::SqliteFailure(failure, _))
            if failure.code == rusqlite::ErrorCode::DiskFull)
    }
}

/// Result of the store.
pub type Result<T> = std::result::Result<T, Error>;

fn is_on_a_read_only_disk(path: &Path) -> bool {
    let opened = std::fs::OpenOptions::new().append(true).open(path);
    opened.is_err_and(|error| error.kind() == std::io::ErrorKind::ReadOnlyFilesystem)
}

/// Whether the engine's log holds nothing that is not in the store itself.
fn is_folded(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match std::fs::metadata(log) {
        Ok(log) => log.len() == 0,
        // A log that cannot be looked at may hold what is newest.
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// The engine's name for a file that nobody changes.
fn still(path: &Path) -> String {
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{escaped}?immutable=1")
}

const MIGRATIONS: [(u32, &str); 1] = [(1, include_str!("schema/0001.sql"))];

/// The open store.
#[derive(Debug)]
pub struct Store {
    conn: Connection,
}

impl Store {
    /// Creates the store in a file that is not there yet.
    pub fn create(path: &Path) -> Result<Store> {
        let conn = Connection::open(path)?;
        conn.pragma_update(None, "page_size", 32_768)?;
        Self::prepare(conn, path)
    }

    /// Opens a store, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Store> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|_| Error::Unusable {
            path: path.to_owned(),
            problem: "cannot be opened: look whether its disk is mounted and this user may write there, or restore a \
                      backup; a new bureau is made by `daikou init`"
                .to_owned(),
        })?;
        Self::prepare(conn, path)
    }

    /// Opens a store that this process has open already: a connection that reads along, or writes now and then, keeps
    /// few pages, since every bank with a server of its own has one.
    pub fn open_beside(path: &Path) -> Result<Store> {
        let store = Store::open(path)?;
        store.conn.pragma_update(None, "cache_size", -4_096)?;
        Ok(store)
    }

    /// Opens a store that is only read: on a disk that takes no new byte as well.
    ///
    /// The engine wants a file beside the store for the index of its log. While the daemon runs it is there; else the
    /// index is kept in memory, and the store is this reader's alone. On a read-only disk nobody writes, so the file
    /// holds still.
    pub fn open_to_read(path: &Path) -> Result<Store> {
        let error = match Store::open(path) {
            Err(error @ Error::Engine(_)) => error,
            opened => return opened,
        };
        if is_on_a_read_only_disk(path) {
            return Self::open_still(path);
        }
        Self::open_alone(path).map_err(|_| error)
    }

    fn open_alone(path: &Path) -> Result<Store> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        Self::prepare(conn, path)
    }

    fn open_still(path: &Path) -> Result<Store> {
        if !is_folded(path) {
            let problem = "its log is not folded back, and its disk is read-only: mount it for writing".to_owned();
            return Err(Error::Unusable { path: path.to_owned(), problem });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        Self::adjust(Connection::open_with_flags(still(path), flags)?, path)
    }

    fn prepare(conn: Connection, path: &Path) -> Result<Store> {
        conn.busy_timeout(Duration::from_secs(30))?;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            let problem = format!("journal mode is {mode}, WAL is needed: use a local file system");
            return Err(Error::Unusable { path: path.to_owned(), problem });
        }
        Self::adjust(conn, path)
    }

    fn adjust(conn: Connection, path: &Path) -> Result<Store> {
        for (pragma, value) in [("synchronous", "FULL"), ("foreign_keys", "ON"), ("trusted_schema", "OFF")] {
            conn.pragma_update(None, pragma, value)?;
        }
        conn.pragma_update(None, "cell_size_check", "ON")?;
        // A plan hangs on the statement alone, never on a value: else a cached statement, whose values are cleared each time
        // it is put away, is compiled anew at every use.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        conn.pragma_update(None, "cache_size", -16_384)?;
        // 512 MB: the daemon folds the log back beside its work (`fold`); a commit does it only where nobody else has.
        conn.pragma_update(None, "wal_autocheckpoint", 16_384)?;
        conn.pragma_update(None, "journal_size_limit", 268_435_456)?;
        conn.set_prepared_statement_cache_capacity(128);
        feed::register(&conn)?;
        pack::register(&conn)?;
        let mut store = Store { conn };
        store.migrate(path)?;
        Ok(store)
    }

    /// Numbered migrations, each in its own transaction; a changed or newer one is refused.
    fn migrate(&mut self, path: &Path) -> Result<()> {
        let unusable = |problem: String| Error::Unusable { path: path.to_owned(), problem };
        self.conn.execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_migration (version INTEGER PRIMARY KEY, sha256 BLOB NOT NULL) STRICT",
        )?;
        let newest: u32 =
            self.conn.query_row("SELECT coalesce(max(version), 0) FROM schema_migration", [], |r| r.get(0))?;
        if newest > MIGRATIONS.len() as u32 {
            return Err(unusable(format!("schema {newest} is newer than this program: use the newer program")));
        }
        for (version, sql) in MIGRATIONS {
            let digest = Sha256::digest(sql.as_bytes()).to_vec();
            let known: Option<Vec<u8>> = self
                .conn
                .query_row("SELECT sha256 FROM schema_migration WHERE version = ?1", [version], |row| row.get(0))
                .optional()?;
            match known {
                Some(stored) if stored == digest => {}
                Some(_) => return Err(unusable(format!("migration {version} is not the one that made this store"))),
                None => {
                    let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
                    tx.execute_batch(sql)?;
                    tx.execute("INSERT INTO schema_migration VALUES (?1, ?2)", (version, digest))?;
                    tx.commit()?;
                }
            }
        }
        Ok(())
    }

    /// Reads without writing: one consistent view. Writing borrows the store mutably, so the two never nest.
    pub fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let tx = self.conn.unchecked_transaction()?;
        work(&tx)
    }

    /// The connection, for statements that only read.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Folds what the write-ahead log holds back into the store, as far as no reader stands in the way; writers go on
    /// meanwhile on their connections.
    pub fn fold(&self) -> Result<()> {
        Ok(self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }

    /// A consistent copy of the store in a new file.
    pub fn backup(&self, target: &Path) -> Result<()> {
        self.conn.execute("VACUUM INTO ?1", [target.to_string_lossy()])?;
        Ok(())
    }
}

/// A date as stored.
pub(crate) fn day(date: Date) -> i64 {
    crate::domain::calendar::yyyymmdd(date)
}

/// A stored date; a broken one is a broken store.
pub(crate) fn date(value: i64) -> Date {
    crate::domain::calendar::from_yyyymmdd(value).expect("the store holds dates that it was given")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus::{RePrepare, Run};

    #[test]
    fn a_cached_statement_is_compiled_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&folder.path().join("daikou.db")).unwrap();
        let sql = "SELECT fee_year FROM plan WHERE participant = ?1 ORDER BY fee_year";
        for id in [1_i64, 2, 3] {
            assert!(!store.connection().prepare_cached(sql).unwrap().exists([id]).unwrap());
        }
        let statement = store.connection().prepare_cached(sql).unwrap();
        assert_eq!((statement.get_status(Run), statement.get_status(RePrepare)), (3, 0));
    }
}
