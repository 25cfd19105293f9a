//! Match: which answer belongs to which instruction. By number alone, so matching is indexing.

use crate::domain::calendar::Date;
use crate::domain::ids::{BatchNumber, fold_name};
use crate::domain::money::Money;
use crate::domain::returns::{FileAnswer, Outcome};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::Arc;

/// A return file, decoded: what the bank says of one batch.
#[derive(Clone, Debug, Default)]
pub struct ReturnFile {
    /// The batch it answers.
    pub batch: Option<BatchNumber>,
    /// What the bank says of the whole file.
    pub answer: Option<FileAnswer>,
    /// The bank's file code and words, for people.
    pub file_code: String,
    /// 1, 2, 3 … where a batch comes back in several files.
    pub part: u32,
    /// Nothing more will come.
    pub is_final: bool,
    /// Rows with a number of this batch's form.
    pub rows: Vec<Row>,
    /// Rows whose number is not of this batch.
    pub strangers: Vec<StrangeRow>,
    /// What the bank wrote; rows point here.
    pub texts: Arc<Texts>,
}

/// What a bank wrote beside numbers and dates: shared, so that neither a row nor an answer holds a text of its own.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// Codes seen, with their class.
    pub codes: Vec<(String, Outcome)>,
    /// Bank serials of all rows, `serial_width` bytes each, space-filled.
    pub serials: Vec<u8>,
    /// Bytes of one serial.
    pub serial_width: usize,
}

impl Texts {
    /// A code as received.
    pub fn code(&self, place: u16) -> &str {
        &self.codes[usize::from(place)].0
    }

    /// Class of a code.
    pub fn outcome(&self, place: u16) -> Outcome {
        self.codes[usize::from(place)].1
    }

    /// A bank serial, empty where there is none.
    pub fn serial(&self, place: u32) -> &str {
        let start = place as usize * self.serial_width;
        let bytes = &self.serials[start..start + self.serial_width];
        std::str::from_utf8(bytes).unwrap_or_default().trim_end()
    }
}

/// One answer, as narrow as a million of them need to be.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Sequence in the batch.
    pub sequence: u32,
    /// Line of the file.
    pub line: u32,
    /// Amount echoed.
    pub amount: Money,
    /// Amount taken.
    pub actual: Money,
    /// Digest of what was echoed.
    pub echo: i64,
    /// Booking date; `None` where there is none or an impossible one.
    pub booked_on: Option<Date>,
    /// Index into the codes.
    pub code: u16,
    /// Index into the serials.
    pub serial: u32,
}

/// A row for an instruction that we do not know.
#[derive(Clone, Debug)]
pub struct StrangeRow {
    /// Line of the file.
    pub line: u32,
    /// The number as received.
    pub text: String,
    /// Amount taken.
    pub actual: Money,
    /// Booking date.
    pub booked_on: Option<Date>,
    /// Bank serial.
    pub serial: String,
}

impl ReturnFile {
    /// Class of a row's code.
    pub fn outcome(&self, row: &Row) -> Outcome {
        self.texts.outcome(row.code)
    }

    /// The bank serial of a row, empty where it has none.
    pub fn serial(&self, row: &Row) -> &str {
        self.texts.serial(row.serial)
    }
}

/// Rows in the order of the batch, with those that come twice and those that the batch does not have set apart.
#[derive(Debug, Default)]
pub struct Matched {
    /// One row an instruction, ascending by sequence.
    pub rows: Vec<Row>,
    /// Further rows for the same instruction, in file order.
    pub doubles: Vec<Row>,
}

/// Sorts the rows of a file to the instructions of a batch of `count`.
pub fn match_rows(file: &mut ReturnFile, count: u32) -> Matched {
    let mut rows = std::mem::take(&mut file.rows);
    if !rows.is_sorted_by_key(|row| row.sequence) {
        let texts = in_order(&mut rows, &file.texts);
        file.texts = Arc::new(texts);
    }
    let mut matched = Matched::default();
    let beyond = rows.partition_point(|row| row.sequence <= count);
    for row in rows.drain(beyond..) {
        let text = file.batch.map(|batch| format!("{batch}{:08}", row.sequence)).unwrap_or_default();
        let serial = file.serial(&row).to_owned();
        file.strangers.push(StrangeRow { line: row.line, text, actual: row.actual, booked_on: row.booked_on, serial });
    }
    let zero = rows.partition_point(|row| row.sequence == 0);
    for row in rows.drain(..zero) {
        let text = file.batch.map(|batch| format!("{batch}00000000")).unwrap_or_default();
        let serial = file.serial(&row).to_owned();
        file.strangers.push(StrangeRow { line: row.line, text, actual: row.actual, booked_on: row.booked_on, serial });
    }
    if rows.windows(2).any(|pair| pair[0].sequence == pair[1].sequence) {
        let mut last = 0;
        rows.retain(|row| {
            let repeated = row.sequence == last;
            last = row.sequence;
            if repeated {
                matched.doubles.push(*row);
            }
            !repeated
        });
    }
    matched.rows = rows;
    matched
}

/// Sorts the rows by sequence, doubles in file order, and the serials as the rows that point to them: they are read in that
/// order, and neighbours lie together.
fn in_order(rows: &mut Vec<Row>, texts: &Texts) -> Texts {
    let places = places(rows);
    *rows = places.iter().map(|place| rows[*place as usize]).collect();
    let width = texts.serial_width;
    let mut serials = Vec::with_capacity(texts.serials.len());
    for (serial, row) in (0..).zip(rows) {
        let start = row.serial as usize * width;
        serials.extend_from_slice(&texts.serials[start..start + width]);
        row.serial = serial;
    }
    Texts { codes: texts.codes.clone(), serials, serial_width: width }
}

/// Places of the rows by sequence. Each sequence has a slot of its own where none comes twice and few are missing; else they
/// are sorted.
fn places(rows: &[Row]) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    let most = rows.iter().map(|row| row.sequence as usize).max().unwrap_or(0);
    if most > 2 * rows.len() {
        return sorted_places(rows);
    }
    let mut places = vec![NONE; most + 1];
    for (place, row) in (0..).zip(rows) {
        let slot = &mut places[row.sequence as usize];
        if *slot != NONE {
            return sorted_places(rows);
        }
        *slot = place;
    }
    places.retain(|place| *place != NONE);
    places
}

/// The same, doubles in file order: sequence and place are sorted together, since a row is much wider.
fn sorted_places(rows: &[Row]) -> Vec<u32> {
    let mut keyed: Vec<u64> =
        (0..).zip(rows).map(|(place, row): (u64, &Row)| u64::from(row.sequence) << 32 | place).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|keyed| keyed as u32).collect()
}

/// What a bank must echo, gathered for its digest: the account, and ID number and name where its layout returns them (R17
/// folding). One for a whole file: its room is used again.
#[derive(Debug, Default)]
pub struct Echo(Vec<u8>);

impl Echo {
    /// Begins again, with the account.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        self.0.clear();
        &mut self.0
    }

    /// Goes on with the next text, which may be missing.
    pub fn and(&mut self) -> &mut Vec<u8> {
        self.0.push(0);
        &mut self.0
    }

    /// Eight bytes of SHA-256: narrow enough to be compared for a million rows, stable for ever.
    pub fn digest(&self) -> i64 {
        let digest = Sha256::digest(&self.0);
        i64::from_be_bytes(digest[..8].try_into().expect("eight bytes"))
    }
}

/// An echoed text as it is compared.
pub fn folded(text: &str) -> Cow<'_, str> {
    let text = text.trim_end();
    if needs_folding(text) { Cow::Owned(fold_name(text)) } else { Cow::Borrowed(text) }
}

/// Ordinary Chinese names and ID numbers fold to themselves.
fn needs_folding(text: &str) -> bool {
    !text.chars().all(|c| matches!(c, '\u{4e00}'..='\u{9fff}' | '0'..='9' | 'A'..='Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows in this order, each with a serial that tells its line.
    fn file(sequences: &[u32]) -> ReturnFile {
        let mut texts = Texts { serial_width: 4, ..Texts::default() };
        let mut rows = Vec::new();
        for (sequence, line) in sequences.iter().zip(2..) {
            texts.serials.extend_from_slice(format!("S{line:<3}").as_bytes());
            let (amount, actual) = (Money::from_fen(3_000), Money::from_fen(3_000));
            let serial = line - 2;
            rows.push(Row { sequence: *sequence, line, amount, actual, echo: 0, booked_on: None, code: 0, serial });
        }
        ReturnFile { rows, texts: Arc::new(texts), ..ReturnFile::default() }
    }

    #[test]
    fn rows_in_any_order_keep_their_own_serials() {
        for order in [vec![1, 2, 3], vec![3, 1, 2], vec![3, 1], vec![2, 2, 1, 9, 2, 0], vec![90_000_000, 1], vec![]] {
            let mut given = file(&order);
            let matched = match_rows(&mut given, 3);
            assert!(matched.rows.is_sorted_by(|a, b| a.sequence < b.sequence));
            for row in matched.rows.iter().chain(&matched.doubles) {
                assert_eq!(given.serial(row), format!("S{}", row.line), "{order:?}");
                assert_eq!(order[row.line as usize - 2], row.sequence, "{order:?}");
            }
            for stranger in &given.strangers {
                assert_eq!(stranger.serial, format!("S{}", stranger.line), "{order:?}");
            }
            assert_eq!(matched.rows.len() + matched.doubles.len() + given.strangers.len(), order.len());
        }
        let matched = match_rows(&mut file(&[2, 2, 1, 9, 2, 0]), 3);
        assert_eq!(matched.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [4, 2], "the first of two counts");
        assert_eq!(matched.doubles.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 6]);
    }
}
