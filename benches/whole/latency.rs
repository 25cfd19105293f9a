//! How long a file of 10,000 rows takes from the drop to durable, beside the same rows in a bare transaction.

use crate::bureau::{Year, small, store, take_answer};
use crate::measure::{Figure, Reach, in_turns, time};
use daikou::daemon::bureau::store_path;
use rusqlite::Connection;
use rusqlite::types::Value;
use std::path::Path;
use std::time::Duration;

const ROWS: u32 = 10_000;
const ROUNDS: usize = 21;

pub(crate) fn run(dir: &Path, figures: &mut Vec<Figure>) {
    let year = small(&dir.join("small"), ROWS);
    take_answer(&year);
    let rows = Written::of(&year);
    let [ours, bare] = in_turns(ROUNDS, [&mut || take_answer(&year), &mut || rows.write_bare(&year)]);
    figures.push(Figure::of(
        "10,000 rows, drop to durable / row at a time, p50",
        ours,
        Some(bare),
        Reach::Ratio(1_250),
    ));
}

/// What taking the file wrote: table by table, row by row.
pub(crate) struct Written {
    tables: Vec<(&'static str, Vec<Vec<Value>>)>,
}

impl Written {
    pub(crate) fn of(year: &Year) -> Written {
        let store = store(&store_path(&year.dir.join("state")));
        let read = |table: &'static str| {
            let mut statement = store.connection().prepare(&format!("SELECT * FROM {table}")).expect("a table");
            let width = statement.column_count();
            let rows = statement.query_map([], |row| (0..width).map(|column| row.get(column)).collect());
            (table, rows.expect("a table").collect::<Result<_, _>>().expect("rows"))
        };
        Written { tables: ["answer", "posting", "entry", "instruction_state"].map(read).into() }
    }

    /// The same rows by anybody's first program: prepared statements, one transaction, one row at a time.
    pub(crate) fn write_bare(&self, year: &Year) -> Duration {
        let path = year.rewind();
        let mut conn = Connection::open(path).expect("a store");
        conn.pragma_update(None, "synchronous", "FULL").expect("a pragma");
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
