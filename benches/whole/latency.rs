//! How long a file of 10,000 rows takes from the drop to durable, beside the same rows in a bare transaction. Both sides are
//! processes that have run for a while: one file after the other, on connections that stay open.

use crate::bureau::{BANK, Sent, answer_into, open, take, watched};
use crate::measure::{Figure, Reach, median, time};
use daikou::daemon::bureau::store_path;
use daikou::daemon::receipts::Sender;
use rusqlite::Connection;
use rusqlite::types::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

const ROWS: u32 = 10_000;
const ROUNDS: usize = 21;

/// How often the watcher looks whether anything moved.
const EVERY: Duration = Duration::from_micros(200);

pub(crate) fn run(dir: &Path, figures: &mut Vec<Figure>) {
    let dir = dir.join("small");
    let sent = Sent::play(&dir, ROWS * (ROUNDS as u32 + 1), ROWS);
    let (store, bare) = (store_path(&dir.join("state")), dir.join("bare.db"));
    fs::copy(&store, &bare).expect("a folder of our own");
    let mut bureau = open(&dir);
    let reader = Connection::open(&store).expect("a store");
    let mut bare = Connection::open(bare).expect("a store");
    bare.pragma_update(None, "synchronous", "FULL").expect("a pragma");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (round, request) in (1..).zip(&sent.requests) {
        let answer = answer_into(&dir.join("answers"), request);
        let took = watched(&store, round, EVERY, || take(&mut bureau, &answer, Sender::Bank(BANK, "rural".to_owned())));
        // As the daemon does beside its work, every second.
        bureau.store.fold().expect("a store");
        let written = Written::of(&reader, round);
        let wrote = written.write_bare(&mut bare);
        // The first round warms both.
        if round > 1 {
            ours.push(took);
            theirs.push(wrote);
        }
    }
    figures.push(Figure::of(
        "10,000 rows, drop to durable / row at a time, p50",
        median(ours),
        Some(median(theirs)),
        Reach::Ratio(1_250),
    ));
}

/// What taking the file of a batch wrote: table by table, row by row.
struct Written {
    tables: Vec<(&'static str, Vec<Vec<Value>>)>,
}

/// Where the rows of a batch lie: its number, 27 bits of sequence behind it, and two of leg in an entry.
const TABLES: [(&str, &str); 4] = [
    ("answer", "instruction >> 27 = ?1"),
    ("posting", "id >> 27 = ?1"),
    ("entry", "id >> 29 = ?1"),
    ("instruction_state", "id >> 27 = ?1"),
];

impl Written {
    fn of(store: &Connection, batch: i64) -> Written {
        let read = |(table, of_batch): (&'static str, &str)| {
            let sql = format!("SELECT * FROM {table} WHERE {of_batch}");
            let mut statement = store.prepare(&sql).expect("a table");
            let width = statement.column_count();
            let rows = statement.query_map([batch], |row| (0..width).map(|column| row.get(column)).collect());
            let rows: Vec<_> = rows.expect("a table").collect::<Result<_, _>>().expect("rows");
            assert!(rows.len() > ROWS as usize / 2, "{table} has {} rows of batch {batch}", rows.len());
            (table, rows)
        };
        Written { tables: TABLES.map(read).into() }
    }

    /// The same rows by anybody's first program: prepared statements, one transaction, one row at a time.
    fn write_bare(&self, conn: &mut Connection) -> Duration {
        time(|| {
            let tx = conn.transaction().expect("a transaction");
            for (table, rows) in &self.tables {
                let places = vec!["?"; rows.first().map_or(1, Vec::len)].join(",");
                let sql = match *table {
                    "instruction_state" => {
                        "UPDATE instruction_state SET state = ?2, outcome = ?3, closer = ?4 WHERE id = ?1".to_owned()
                    }
                    table => format!("INSERT INTO {table} VALUES ({places})"),
                };
                let mut statement = tx.prepare(&sql).expect("a table");
                for row in rows {
                    statement.execute(rusqlite::params_from_iter(row)).expect("a row");
                }
            }
            tx.commit().expect("room on the disk");
        })
        .0
    }
}
