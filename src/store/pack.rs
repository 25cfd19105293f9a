//! `pack(a, b, …)`: the integers of many rows in one value. To step over a million rows one by one, and to ask each for
//! its columns, takes longer than the engine needs to find them.

use crate::store::Result;
use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};

/// Makes the function known to a connection.
pub(crate) fn register(conn: &Connection) -> Result<()> {
    Ok(conn.create_aggregate_function(
        "pack",
        -1,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY,
        Pack,
    )?)
}

/// The rows of a packed value, `N` columns each.
pub(crate) fn rows<const N: usize>(packed: &[u8]) -> impl Iterator<Item = [i64; N]> {
    let (values, _) = packed.as_chunks::<8>();
    let (rows, _) = values.as_chunks::<N>();
    rows.iter().map(|row| row.map(i64::from_ne_bytes))
}

struct Pack;

impl Aggregate<Vec<u8>, Vec<u8>> for Pack {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn step(&self, context: &mut Context<'_>, packed: &mut Vec<u8>) -> rusqlite::Result<()> {
        for column in 0..context.len() {
            packed.extend_from_slice(&context.get_raw(column).as_i64()?.to_ne_bytes());
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, packed: Option<Vec<u8>>) -> rusqlite::Result<Vec<u8>> {
        Ok(packed.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_were() {
        let conn = Connection::open_in_memory().unwrap();
        register(&conn).unwrap();
        let packed = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, Vec<u8>>(0));
        let some = packed("SELECT pack(column1, column2) FROM (VALUES (1, -2), (9223372036854775807, 0))").unwrap();
        assert_eq!(rows::<2>(&some).collect::<Vec<_>>(), [[1, -2], [i64::MAX, 0]]);
        assert_eq!(packed("SELECT pack(1, 2) WHERE 0").unwrap(), b"");
        assert!(packed("SELECT pack('1')").is_err() && packed("SELECT pack(NULL)").is_err());
    }
}
