//! CSV: UTF-8 with or without BOM, else strict GB18030; comma, tab or semicolon.
//!
//! The separators, quotes and line ends are ASCII below 0x30, or `;` (0x3B) and never the second or a later byte of a
//! GB18030 character (0x30 to 0x39, 0x40 and above): these bytes may be split before they are decoded.

use super::{Builder, Cells, Column, Notice, Table, TableFault, TableKind};
use encoding_rs::{DecoderResult, GB18030};
use std::borrow::Cow;

/// Reads a CSV file.
pub(super) fn read(bytes: &[u8], kinds: &[TableKind]) -> Result<Table, TableFault> {
    let mut csv = Csv { bytes, at: 0, line: 1, line_start: 0, charset: Charset::Utf8, separator: b',' };
    csv.charset = csv.charset()?;
    csv.at = bom_length(bytes);
    csv.separator = csv.separator(kinds);
    let mut builder = Builder::new(kinds);
    csv.feed(&mut builder)?;
    let table = builder.finish()?;
    match bytes.last() {
        // A quarter of an account is an account too: nothing else shows that an upload was cut.
        Some(b'\n' | b'\r') => Ok(table),
        _ => Err(unended().at_row(csv.line)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    Utf8,
    Gb18030,
}

#[derive(Clone)]
struct Csv<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
    charset: Charset,
    separator: u8,
}

impl<'a> Csv<'a> {
    /// UTF-8 where all of it is; a text that starts as Chinese UTF-8 and then breaks is a broken one, not GB18030.
    fn charset(&self) -> Result<Charset, TableFault> {
        if self.bytes.starts_with(&[0xFF, 0xFE]) || self.bytes.starts_with(&[0xFE, 0xFF]) {
            return Err(not_text("UTF-16").at(1, 1));
        }
        if self.bytes.contains(&0) {
            let at = self.bytes.iter().position(|b| *b == 0).unwrap_or_default();
            return Err(self.located(not_text("a zero byte"), at));
        }
        let Err(error) = std::str::from_utf8(self.bytes) else { return Ok(Charset::Utf8) };
        let sound = String::from_utf8_lossy(&self.bytes[..error.valid_up_to()]);
        let chinese = sound.chars().filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c)).take(3).count();
        if bom_length(self.bytes) > 0 || chinese == 3 {
            return Err(self.undecodable("UTF-8", error.valid_up_to()));
        }
        Ok(Charset::Gb18030)
    }

    /// The separator by which most headings are known.
    fn separator(&self, kinds: &[TableKind]) -> u8 {
        let score = |separator: &u8| {
            let mut builder = Builder::new(kinds);
            let mut csv = Csv { separator: *separator, ..self.clone() };
            let mut cells = Cells::default();
            while builder.table.is_none() && matches!(csv.record(&mut cells), Ok(true)) {
                if builder.row(csv.line, &cells).is_err() {
                    break;
                }
            }
            builder.score()
        };
        // Of equals the last is chosen, so the usual one stands last.
        [b';', b'\t', b','].into_iter().max_by_key(score).expect("there are three")
    }

    fn feed(&mut self, builder: &mut Builder<'_>) -> Result<(), TableFault> {
        let mut cells = Cells::default();
        let mut short = Vec::new();
        loop {
            let number = self.line;
            if !self.record(&mut cells)? {
                break;
            }
            if !builder.row(number, &cells)? {
                continue;
            }
            let is_torn = self.separator == b',' && has_torn_amount(builder, &cells);
            match builder.table.as_mut() {
                Some(table) if is_torn || !cells.get_from(builder.heading_cells).is_empty() => table.torn.push(number),
                _ if cells.ends.len() < builder.heading_cells => short.push(number),
                _ => {}
            }
        }
        if let (Some(table), [first, ..]) = (builder.table.as_mut(), short.as_slice()) {
            table.notices.push(short_rows(*first, short.len()));
        }
        Ok(())
    }

    /// Reads one record; false at the end of the file.
    fn record(&mut self, cells: &mut Cells) -> Result<bool, TableFault> {
        cells.clear();
        if self.at >= self.bytes.len() {
            return Ok(false);
        }
        loop {
            let field = self.field()?;
            let text = self.decode(&field)?;
            cells.push(&text);
            match self.bytes.get(self.at) {
                Some(b) if *b == self.separator => self.at += 1,
                Some(b'\r') if self.bytes.get(self.at + 1) == Some(&b'\n') => break self.end_of_line(2),
                Some(_) => break self.end_of_line(1),
                None => break,
            }
            if cells.ends.len() > MOST_COLUMNS {
                return Err(super::too_large("256 columns").at_row(self.line));
            }
        }
        Ok(true)
    }

    fn end_of_line(&mut self, bytes: usize) {
        self.at += bytes;
        self.line += 1;
        self.line_start = self.at;
    }

    /// One field, its quotes taken off; `at` stands after it.
    fn field(&mut self) -> Result<Field<'a>, TableFault> {
        if self.bytes.get(self.at) == Some(&b'"') {
            return self.quoted();
        }
        let start = self.at;
        let separator = self.separator;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|b| *b == separator || *b == b'\n' || *b == b'\r').unwrap_or(rest.len());
        self.at += length;
        Ok(Field { start, raw: Cow::Borrowed(&rest[..length]) })
    }

    fn quoted(&mut self) -> Result<Field<'a>, TableFault> {
        let (opened, opened_on, opened_line_start) = (self.at, self.line, self.line_start);
        let mut raw = Vec::new();
        self.at += 1;
        let start = self.at;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') if self.bytes.get(self.at + 1) == Some(&b'"') => {
                    raw.push(b'"');
                    self.at += 2;
                }
                Some(b'"') => break,
                Some(b) if raw.len() < MOST_FIELD_BYTES => {
                    raw.push(*b);
                    self.at += 1;
                    if *b == b'\n' {
                        self.line += 1;
                        self.line_start = self.at;
                    }
                }
                _ => return Err(open_quote().at(opened_on, opened - opened_line_start + 1)),
            }
        }
        self.at += 1;
        match self.bytes.get(self.at) {
            None | Some(b'\r' | b'\n') => {}
            Some(b) if *b == self.separator => {}
            Some(_) => return Err(self.located(open_quote(), self.at)),
        }
        Ok(Field { start, raw: Cow::Owned(raw) })
    }

    fn decode<'f>(&self, field: &'f Field<'a>) -> Result<Cow<'f, str>, TableFault> {
        match self.charset {
            Charset::Utf8 => std::str::from_utf8(&field.raw)
                .map(Cow::Borrowed)
                .map_err(|error| self.undecodable("UTF-8", field.start + error.valid_up_to())),
            Charset::Gb18030 => GB18030
                .decode_without_bom_handling_and_without_replacement(&field.raw)
                .ok_or_else(|| self.undecodable("GB18030", field.start + first_malformed(&field.raw))),
        }
    }

    fn undecodable(&self, charset: &str, at: usize) -> TableFault {
        let fault = TableFault::new(
            "undecodable",
            format!("{charset} text"),
            self.bytes.get(at).map_or_else(|| "the end".to_owned(), |b| format!("byte 0x{b:02X}")),
            format!("含有无法按 {charset} 解码的字节"),
            "请另存为 UTF-8 编码的 CSV 或 .xlsx 后重新报送",
        );
        self.located(fault, at)
    }

    /// Puts a fault at a byte of the file.
    fn located(&self, fault: TableFault, at: usize) -> TableFault {
        let before = &self.bytes[..at.min(self.bytes.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let line = before.iter().filter(|b| **b == b'\n').count() as u32 + 1;
        fault.at(line, at - line_start + 1)
    }
}

/// `1,000.00` without quotes: an amount of up to three digits without decimals, beside three digits with decimals. In a row
/// that also lacks its last cell, the number of cells shows nothing.
fn has_torn_amount(builder: &Builder<'_>, cells: &Cells) -> bool {
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let starts = |text: &str| (1..=3).contains(&text.len()) && is_digits(text);
    let goes_on = |text: &str| {
        text.split_once('.').is_some_and(|(whole, cents)| {
            whole.len() == 3 && (1..=2).contains(&cents.len()) && is_digits(whole) && is_digits(cents)
        })
    };
    let columns = builder.table.iter().flat_map(|table| &table.columns);
    columns
        .zip(&builder.sources)
        .filter(|(column, _)| matches!(column, Column::Amount | Column::Tier))
        .any(|(_, place)| starts(cells.get(*place).trim_start_matches('-')) && goes_on(cells.get(*place + 1)))
}

/// Excel leaves out separators at the end of a row, and so does an upload that went wrong: the sender knows which.
fn short_rows(first: u32, rows: usize) -> Notice {
    let message_zh = format!("有 {rows} 行的格数少于表头（首个为第 {first} 行），缺少的格按空白读取");
    Notice { row: first, code: "short-rows", message_zh }
}

/// A field of the file: its bytes without quotes, and where they start.
struct Field<'a> {
    start: usize,
    raw: Cow<'a, [u8]>,
}

const MOST_COLUMNS: usize = 256;
/// Longer than any cell: a quote was not closed.
const MOST_FIELD_BYTES: usize = 4096;

fn bom_length(bytes: &[u8]) -> usize {
    if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) { 3 } else { 0 }
}

/// Where a text that GB18030 cannot read breaks.
fn first_malformed(raw: &[u8]) -> usize {
    let mut decoder = GB18030.new_decoder_without_bom_handling();
    let mut text = vec![0; raw.len() * 4 + 16];
    match decoder.decode_to_utf8_without_replacement(raw, &mut text, true) {
        (DecoderResult::Malformed(length, after), read, _) => read - usize::from(length) - usize::from(after),
        _ => 0,
    }
}

fn not_text(found: &str) -> TableFault {
    TableFault::new(
        "not-text",
        "CSV in UTF-8 or GB18030, or an .xlsx workbook",
        found,
        "文件不是 UTF-8 或 GB18030 编码的文本，也不是 .xlsx",
        "请另存为 UTF-8 编码的 CSV 或 .xlsx 后重新报送",
    )
}

fn unended() -> TableFault {
    TableFault::new(
        "no-end",
        "a line end behind the last row",
        "the end of the file",
        "最后一行没有换行，文件可能没有传完",
        "请核对最后一行；如完整，请在末尾加一个换行后重新报送",
    )
}

fn open_quote() -> TableFault {
    TableFault::new(
        "open-quote",
        "a closing quote, then a separator or the end of the line",
        "something else",
        "双引号没有成对",
        "请改正双引号后重新报送",
    )
}
