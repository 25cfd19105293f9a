//! The feed of postings to the bureau's business system: which transactions each file has, and its bytes, made again from
//! the postings as often as they are asked for.

use crate::domain::calendar::{Date, DateTime};
use crate::domain::money::Money;
use crate::store::chain::Txn;
use crate::store::export::{BankKeys, Search, fed};
use crate::store::{Result, date, day};
use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

/// One file of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedFile {
    /// Its number, from 1, without gaps.
    pub number: i64,
    /// First audit row whose postings it has.
    pub from_txn: i64,
    /// Last audit row whose postings it has.
    pub to_txn: i64,
    /// Number of entries.
    pub rows: i64,
    /// Their sum.
    pub amount: Money,
    /// Digest of the file before it; zeros for the first.
    pub previous: [u8; 32],
    /// Digest of its own bytes.
    pub sha256: [u8; 32],
    /// When it was made.
    pub made_on: Date,
    /// It lies in the folder.
    pub is_out: bool,
    /// When the business system acknowledged it.
    pub acked_on: Option<Date>,
}

impl FeedFile {
    /// Its name: `postings-00000001.csv`.
    pub fn name(&self) -> String {
        format!("postings-{:08}.csv", self.number)
    }
}

const COLUMNS: &str = "number, from_txn, to_txn, rows, amount, previous, sha256, made_on, is_out, acked_on";

/// Every file, in order.
pub fn files(conn: &Connection) -> Result<Vec<FeedFile>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM feed_file ORDER BY number"))?;
    let rows = statement.query_map([], feed_file)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The file of a number.
pub fn file(conn: &Connection, number: i64) -> Result<Option<FeedFile>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM feed_file WHERE number = ?1"))?;
    Ok(statement.query_row([number], feed_file).optional()?)
}

fn feed_file(row: &Row<'_>) -> rusqlite::Result<FeedFile> {
    Ok(FeedFile {
        number: row.get(0)?,
        from_txn: row.get(1)?,
        to_txn: row.get(2)?,
        rows: row.get(3)?,
        amount: Money::from_fen(row.get(4)?),
        previous: row.get(5)?,
        sha256: row.get(6)?,
        made_on: date(row.get(7)?),
        is_out: row.get(8)?,
        acked_on: row.get::<_, Option<i64>>(9)?.map(date),
    })
}

/// A transaction with postings that no file has yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    txn: i64,
    rows: i64,
    amount: i64,
}

/// Transactions with postings after an audit row, in order, of acts before `until` where that is given.
fn waiting(conn: &Connection, after: i64, until: Option<DateTime>) -> Result<Vec<Waiting>> {
    let mut statement = conn.prepare_cached(
        "SELECT s.txn, count(*), sum(e.amount) FROM posted_span s CROSS JOIN audit a ON a.seq = s.txn
         CROSS JOIN posting p ON p.id BETWEEN s.first AND s.last AND p.txn = s.txn
         CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3
         WHERE s.txn > ?1 AND (?2 IS NULL OR a.at < ?2) GROUP BY s.txn ORDER BY s.txn",
    )?;
    let rows = statement.query_map((after, until.map(|at| at.to_string())), |row| {
        Ok(Waiting { txn: row.get(0)?, rows: row.get(1)?, amount: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The next file: whole transactions, so many rows that `max_rows` is not passed; one that is larger stands alone.
pub fn next(
    conn: &Connection,
    max_rows: i64,
    until: Option<DateTime>,
    made_on: Date,
    banks: &BankKeys,
) -> Result<Option<FeedFile>> {
    let last = files(conn)?.pop();
    let after = last.as_ref().map_or(0, |file| file.to_txn);
    let mut taken: Vec<Waiting> = Vec::new();
    for one in waiting(conn, after, until)? {
        let rows: i64 = taken.iter().map(|taken| taken.rows).sum();
        if !taken.is_empty() && rows + one.rows > max_rows {
            break;
        }
        taken.push(one);
    }
    let (Some(first), Some(newest)) = (taken.first(), taken.last()) else { return Ok(None) };
    let mut file = FeedFile {
        number: last.as_ref().map_or(0, |file| file.number) + 1,
        from_txn: first.txn,
        to_txn: newest.txn,
        rows: taken.iter().map(|one| one.rows).sum(),
        amount: Money::from_fen(taken.iter().map(|one| one.amount).sum()),
        previous: last.map_or([0; 32], |file| file.sha256),
        sha256: [0; 32],
        made_on,
        is_out: false,
        acked_on: None,
    };
    file.sha256 = Sha256::digest(render(conn, &file, banks)?).into();
    Ok(Some(file))
}

/// Names of the columns of a row (`docs/feed.md`).
pub const HEADINGS: [&str; 15] = [
    "txn",
    "posting",
    "event",
    "debit",
    "credit",
    "amount",
    "basis",
    "month",
    "booked_on",
    "id_number",
    "fee_year",
    "payer",
    "category",
    "district",
    "undoes",
];

/// The bytes of a file: two lines of heading and one for each entry.
pub fn render(conn: &Connection, file: &FeedFile, banks: &BankKeys) -> Result<Vec<u8>> {
    let mut text = head(file);
    fed(conn, (file.from_txn, file.to_txn), Search::Spans, banks, &mut |row| text.push_str(&line(row)))?;
    Ok(text.into_bytes())
}

fn head(file: &FeedFile) -> String {
    let hex: String = file.previous.iter().map(|byte| format!("{byte:02x}")).collect();
    let (number, rows, amount) = (file.number, file.rows, file.amount);
    format!("daikou-feed,1,{number:08},{hex},{rows},{amount}\n{}\n", HEADINGS.join(","))
}

fn line(row: &[&str]) -> String {
    row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n"
}

/// A cell with a comma, a quote or a line end stands in quotes.
pub fn quoted(cell: &str) -> String {
    let plain = !cell.contains([',', '"', '\n', '\r']);
    if plain { cell.to_owned() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
}

impl Txn<'_> {
    /// Keeps a file of the feed: from now on its number and its transactions are taken.
    pub fn keep_feed_file(&self, file: &FeedFile) -> Result<()> {
        self.tx.prepare_cached("INSERT INTO feed_file VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, NULL)")?.execute((
            file.number,
            file.from_txn,
            file.to_txn,
            file.rows,
            file.amount.fen(),
            &file.previous[..],
            &file.sha256[..],
            day(file.made_on),
        ))?;
        Ok(())
    }

    /// The business system has this file.
    pub fn acknowledge(&self, number: i64, on: Date) -> Result<()> {
        self.tx
            .prepare_cached("UPDATE feed_file SET acked_on = coalesce(acked_on, ?2) WHERE number = ?1")?
            .execute((number, day(on)))?;
        Ok(())
    }
}

impl crate::store::Store {
    /// A file lies in the folder: no fact of the books, so it has no audit row.
    pub fn feed_is_out(&self, number: i64) -> Result<()> {
        self.conn.execute("UPDATE feed_file SET is_out = 1 WHERE number = ?1", [number])?;
        Ok(())
    }
}

/// The feed follows from the postings: numbers without gaps, each file after the one before it, no transaction with
/// postings left out between them, and bytes that hash to what was stored.
pub fn proved(conn: &Connection, banks: &BankKeys) -> Result<Option<String>> {
    let files = files(conn)?;
    let (mut number, mut after, mut previous) = (0, 0, [0; 32]);
    for file in &files {
        if file.number != number + 1
            || file.from_txn <= after
            || file.to_txn < file.from_txn
            || file.previous != previous
        {
            return Ok(Some(format!("{}: does not follow file {number} and transaction {after}", file.name())));
        }
        (number, after, previous) = (file.number, file.to_txn, file.sha256);
    }
    let (Some(first), Some(last)) = (files.first(), files.last()) else { return Ok(None) };
    let before = "SELECT 1 FROM posting WHERE txn < ?1";
    if conn.prepare_cached(before)?.exists([first.from_txn])? {
        return Ok(Some(format!("{}: postings before it are in no file", first.name())));
    }
    // One pass over all of them: a file is hashed while its transactions go by.
    let mut hashes: Vec<Sha256> = files.iter().map(|file| Sha256::new_with_prefix(head(file))).collect();
    let (mut place, mut stray) = (0, None);
    fed(conn, (first.from_txn, last.to_txn), Search::Ledger, banks, &mut |row| {
        let txn: i64 = row[0].parse().unwrap_or_default();
        while files.get(place).is_some_and(|file| txn > file.to_txn) {
            place += 1;
        }
        match files.get(place) {
            Some(file) if txn >= file.from_txn => hashes[place].update(line(row)),
            _ => stray = stray.or(Some(txn)),
        }
    })?;
    if let Some(txn) = stray {
        return Ok(Some(format!("feed: the postings of transaction {txn} are in no file")));
    }
    let wrong = files.iter().zip(hashes).find(|(file, hash)| <[u8; 32]>::from(hash.clone().finalize()) != file.sha256);
    Ok(wrong.map(|(file, _)| format!("{}: its postings do not give the bytes that were sent", file.name())))
}
