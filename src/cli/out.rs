//! Exports: rows of text written as CSV, JSON or XLSX, one at a time.
//!
//! A column's kind decides what its cells may become: only amounts and numbers ever reach a sheet as numbers, so that
//! no identity number loses its digits; only text is guarded against being read as a formula; people can be masked.

use crate::cli::CliError;
pub use crate::format::cell::Kind;
use crate::format::cell::{guarded, masked, width};
use rust_xlsxwriter::{Format as CellFormat, Workbook, XlsxError};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Writes a text to the standard output. Whoever closed it has seen enough: that is no failure.
pub fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_else(ignore_closed)
}

/// Lets an error pass as success where it only says that nobody reads any more.
pub fn ignore_closed(error: io::Error) -> io::Result<()> {
    let within = error.get_ref().and_then(|inner| inner.downcast_ref::<csv::Error>()).map(csv::Error::kind);
    let kind = match within {
        Some(csv::ErrorKind::Io(inner)) => inner.kind(),
        _ => error.kind(),
    };
    if kind == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

/// Writes a file that appears when it is whole, readable for its owner alone.
pub fn save(path: &Path, write: impl FnOnce(&mut File) -> Result<(), CliError>) -> Result<(), CliError> {
    let shown = path.display().to_string();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| CliError::Io(shown.clone(), error))?;
    write(file.as_file_mut())?;
    file.persist(path).map_err(|error| CliError::Io(shown, error.error))?;
    Ok(())
}

/// A column of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading, as in design section 9.
    pub name: &'static str,
    /// What its cells are.
    pub kind: Kind,
}

impl Column {
    /// A column.
    pub const fn new(name: &'static str, kind: Kind) -> Column {
        Column { name, kind }
    }
}

/// Shape of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// UTF-8 without BOM; `excel` adds the BOM and guards text.
    Csv {
        /// For opening in Excel.
        excel: bool,
    },
    /// An array of objects; amounts are texts, numbers are numbers.
    Json,
    /// A workbook with one sheet.
    Xlsx,
}

/// An export under way. Without [`Export::finish`] it is not whole.
pub struct Export<'a> {
    columns: &'a [Column],
    mask: bool,
    sink: Sink<'a>,
}

enum Sink<'a> {
    Csv { writer: Box<csv::Writer<Box<dyn Write + 'a>>>, excel: bool },
    Json { out: Box<dyn Write + 'a>, rows: u64 },
    Xlsx { sheet: Box<Sheet>, out: Box<dyn Write + 'a> },
}

impl<'a> Export<'a> {
    /// Begins an export; with `mask` nobody can be recognised in it.
    pub fn new(out: Box<dyn Write + 'a>, format: Format, columns: &'a [Column], mask: bool) -> io::Result<Export<'a>> {
        let sink = match format {
            Format::Csv { excel } => csv_sink(out, excel, columns)?,
            Format::Json => Sink::Json { out, rows: 0 },
            Format::Xlsx => Sink::Xlsx { sheet: Box::new(Sheet::new(columns).map_err(io::Error::other)?), out },
        };
        Ok(Export { columns, mask, sink })
    }

    /// Writes a row: one text for each column, empty where there is nothing.
    pub fn row(&mut self, cells: &[&str]) -> io::Result<()> {
        assert_eq!(cells.len(), self.columns.len(), "a row has one cell for each column");
        let hidden: Vec<String>;
        let mut shown: Vec<&str> = cells.to_vec();
        if self.mask {
            hidden = cells.iter().zip(self.columns).map(|(cell, column)| masked(column.kind, cell)).collect();
            shown = hidden.iter().map(String::as_str).collect();
        }
        match &mut self.sink {
            Sink::Csv { writer, excel: false } => writer.write_record(&shown)?,
            Sink::Csv { writer, excel: true } => {
                let guarded = shown.iter().zip(self.columns).map(|(cell, column)| guarded(column.kind, cell));
                writer.write_record(guarded)?;
            }
            Sink::Json { out, rows } => {
                json_row(out, *rows, self.columns, &shown)?;
                *rows += 1;
            }
            Sink::Xlsx { sheet, .. } => sheet.row(self.columns, &shown).map_err(io::Error::other)?,
        }
        Ok(())
    }

    /// Ends the export and hands everything to the writer.
    pub fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Csv { mut writer, .. } => writer.flush(),
            Sink::Json { mut out, rows } => {
                out.write_all(if rows == 0 { b"[]\n" } else { b"\n]\n" })?;
                out.flush()
            }
            Sink::Xlsx { mut sheet, mut out } => {
                out.write_all(&sheet.workbook.save_to_buffer().map_err(io::Error::other)?)?;
                out.flush()
            }
        }
    }
}

fn csv_sink<'a>(mut out: Box<dyn Write + 'a>, excel: bool, columns: &[Column]) -> io::Result<Sink<'a>> {
    if excel {
        out.write_all("\u{feff}".as_bytes())?;
    }
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(columns.iter().map(|column| column.name))?;
    Ok(Sink::Csv { writer: Box::new(writer), excel })
}

fn json_row(out: &mut dyn Write, row: u64, columns: &[Column], cells: &[&str]) -> io::Result<()> {
    let object: serde_json::Map<_, _> = columns
        .iter()
        .zip(cells)
        .map(|(column, cell)| (column.name.to_owned(), json_cell(column.kind, cell)))
        .collect();
    out.write_all(if row == 0 { b"[\n" } else { b",\n" })?;
    serde_json::to_writer(out, &object).map_err(io::Error::from)
}

fn json_cell(kind: Kind, cell: &str) -> serde_json::Value {
    match kind {
        Kind::Number if cell.is_empty() => serde_json::Value::Null,
        Kind::Number => cell.parse::<i64>().map_or_else(|_| cell.into(), Into::into),
        _ => cell.into(),
    }
}

/// One sheet of a workbook, its rows kept in a temporary file as they come.
struct Sheet {
    workbook: Workbook,
    next_row: u32,
    amount: CellFormat,
}

impl Sheet {
    fn new(columns: &[Column]) -> Result<Sheet, XlsxError> {
        let mut workbook = Workbook::new();
        let heading = CellFormat::new().set_bold();
        let sheet = workbook.add_worksheet_with_constant_memory()?;
        sheet.set_freeze_panes(1, 0)?;
        for (place, column) in (0..).zip(columns) {
            sheet.set_column_width(place, width(column.kind))?;
        }
        for (place, column) in (0..).zip(columns) {
            sheet.write_string_with_format(0, place, column.name, &heading)?;
        }
        Ok(Sheet { workbook, next_row: 1, amount: CellFormat::new().set_num_format("0.00") })
    }

    fn row(&mut self, columns: &[Column], cells: &[&str]) -> Result<(), XlsxError> {
        let sheet = self.workbook.worksheet_from_index(0)?;
        for ((place, column), cell) in (0..).zip(columns).zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            match (column.kind, number(cell)) {
                (Kind::Amount, Some(value)) => {
                    sheet.write_number_with_format(self.next_row, place, value, &self.amount)?
                }
                (Kind::Number, Some(value)) => sheet.write_number(self.next_row, place, value)?,
                _ => sheet.write_string(self.next_row, place, *cell)?,
            };
        }
        self.next_row += 1;
        Ok(())
    }
}

/// A sheet holds doubles: up to fifteen digits are exact in them, more stay text.
fn number(cell: &str) -> Option<f64> {
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    let plain = cell.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    (plain && (1..=15).contains(&digits)).then(|| cell.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::{Data, Reader, Xlsx};
    use std::io::Cursor;

    const COLUMNS: [Column; 6] = [
        Column::new("id_number", Kind::Id),
        Column::new("name", Kind::Name),
        Column::new("account", Kind::Account),
        Column::new("amount", Kind::Amount),
        Column::new("fee_year", Kind::Number),
        Column::new("reason", Kind::Text),
    ];
    const ROWS: [[&str; 6]; 2] = [
        ["500199198001010019", "测试甲", "9999000000000000001", "-30.00", "2018", "=1+1"],
        ["500199198001010027", "测试乙", "", "100.00", "", "逗号,与\"引号\""],
    ];

    fn written(format: Format, mask: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut export = Export::new(Box::new(&mut bytes), format, &COLUMNS, mask).unwrap();
        ROWS.iter().for_each(|row| export.row(row).unwrap());
        export.finish().unwrap();
        bytes
    }

    fn text(format: Format, mask: bool) -> String {
        String::from_utf8(written(format, mask)).unwrap()
    }

    #[test]
    fn csv_is_plain() {
        let expected = "id_number,name,account,amount,fee_year,reason\n\
            500199198001010019,测试甲,9999000000000000001,-30.00,2018,=1+1\n\
            500199198001010027,测试乙,,100.00,,\"逗号,与\"\"引号\"\"\"\n";
        assert_eq!(text(Format::Csv { excel: false }, false), expected);
    }

    #[test]
    fn for_excel_text_is_guarded_and_numbers_are_not() {
        let text = text(Format::Csv { excel: true }, false);
        assert!(text.starts_with("\u{feff}id_number,"));
        assert!(text.contains(",-30.00,2018,'=1+1\n"), "{text}");
        for opening in ["＝1", "\t1", "@x", "-1", "\0"] {
            assert_eq!(guarded(Kind::Name, opening), format!("'{opening}"));
        }
    }

    #[test]
    fn nobody_is_recognised_when_masked() {
        let text = text(Format::Csv { excel: false }, true);
        assert!(text.contains("\n500199********0019,测*,****0001,-30.00,2018,=1+1\n"), "{text}");
        assert_eq!(masked(Kind::Account, "1234567"), "****");
    }

    #[test]
    fn json_is_an_array_whatever_its_length() {
        let rows: serde_json::Value = serde_json::from_str(&text(Format::Json, false)).unwrap();
        assert_eq!(rows[0]["amount"], "-30.00");
        assert_eq!((&rows[0]["fee_year"], &rows[1]["fee_year"]), (&2018.into(), &serde_json::Value::Null));
        let mut bytes = Vec::new();
        Export::new(Box::new(&mut bytes), Format::Json, &COLUMNS, false).unwrap().finish().unwrap();
        assert_eq!(bytes, b"[]\n");
    }

    #[test]
    fn a_sheet_keeps_text_as_text_and_adds_amounts() {
        let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(written(Format::Xlsx, false))).unwrap();
        let sheet = workbook.worksheet_range_at(0).unwrap().unwrap();
        let cell = |row, column| sheet.get_value((row, column)).cloned().unwrap_or_default();
        assert_eq!(cell(1, 0), Data::String("500199198001010019".into()));
        assert_eq!(cell(1, 5), Data::String("=1+1".into()));
        assert_eq!((cell(1, 3), cell(1, 4)), (Data::Float(-30.0), Data::Float(2018.0)));
        assert_eq!(cell(2, 2), Data::Empty);
    }
}
