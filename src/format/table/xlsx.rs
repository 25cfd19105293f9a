//! XLSX: the first visible sheet that has a heading, cell by cell. What a workbook unpacks to is counted before it is
//! trusted: a thousand bytes can claim gigabytes.

use super::references::References;
use super::{Builder, Cells, Notice, Table, TableFault, TableKind, household, too_large};
use calamine::{DataRef, ExcelDateTime, Reader, Sheet, SheetVisible, Xlsx};
use std::fmt::Display;
use std::io::{Cursor, Read, copy};
use zip::ZipArchive;

type Workbook<'a> = Xlsx<Cursor<&'a [u8]>>;

/// Reads a workbook.
pub(super) fn read(bytes: &[u8], kinds: &[TableKind]) -> Result<Table, TableFault> {
    vet(bytes, MOST_UNPACKED_BYTES)?;
    let mut workbook: Workbook<'_> = Xlsx::new(Cursor::new(bytes)).map_err(broken)?;
    let visible = |sheet: &&Sheet| sheet.visible == SheetVisible::Visible;
    let names: Vec<_> = workbook.sheets_metadata().iter().filter(visible).map(|sheet| sheet.name.clone()).collect();
    let mut first_fault = None;
    for name in &names {
        match sheet(&mut workbook, name, kinds) {
            Ok(table) => return Ok(with_unread(table, &mut workbook, names.iter().filter(|other| *other != name))),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    Err(first_fault.unwrap_or_else(|| broken("no visible sheet")))
}

/// Unpacks every part once, into nothing, and counts. Also refuses a string table that announces more strings than it
/// has bytes, since the reader would make room for all of them at once, and references to cells that no sheet has.
fn vet(bytes: &[u8], most_bytes: u64) -> Result<(), TableFault> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut left = most_bytes;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(broken)?;
        let is_strings = part.name().map_err(broken)?.to_ascii_lowercase().contains("sharedstrings");
        let mut part = part.take(left + 1);
        let (mut strings, mut references) = (Vec::new(), References::default());
        let unpacked = if is_strings {
            part.read_to_end(&mut strings).map(|n| n as u64)
        } else {
            copy(&mut part, &mut references)
        };
        let unpacked = unpacked.map_err(broken)?;
        left = left.checked_sub(unpacked).ok_or_else(|| too_large("256 MiB unpacked"))?;
        if announced_strings(&strings).any(|count| count > strings.len() as u64) {
            return Err(broken("a string table that announces more than it holds"));
        }
        if references.is_impossible {
            return Err(broken("a reference to a cell that no sheet has"));
        }
    }
    Ok(())
}

/// The numbers that follow `uniqueCount` anywhere in the part.
fn announced_strings(xml: &[u8]) -> impl Iterator<Item = u64> {
    const WORD: &[u8] = b"uniqueCount";
    let places = xml.windows(WORD.len()).enumerate().filter(|(_, window)| *window == WORD).map(|(at, _)| at);
    places.map(move |at| {
        let rest = xml[at + WORD.len()..].iter().skip_while(|b| !b.is_ascii_digit());
        let digits = rest.take_while(|b| b.is_ascii_digit());
        digits.fold(0, |sum: u64, b| sum.saturating_mul(10).saturating_add(u64::from(b - b'0')))
    })
}

fn sheet(workbook: &mut Workbook<'_>, name: &str, kinds: &[TableKind]) -> Result<Table, TableFault> {
    let mut reader = workbook.worksheet_cells_reader(name).map_err(broken)?;
    let mut builder = Builder::new(kinds);
    let mut cells = Cells::default();
    let mut row = 0;
    while let Some(cell) = reader.next_cell().map_err(broken)? {
        let (at, column) = cell.get_position();
        if at != row {
            builder.row(row.saturating_add(1), &cells)?;
            cells.clear();
            row = at;
        }
        let text = text_of(cell.get_value());
        if text.is_empty() {
            continue;
        }
        if column >= MOST_COLUMNS {
            return Err(too_large("256 columns").at_row(at.saturating_add(1)));
        }
        if cells.ends.len() > column as usize {
            return Err(broken("cells out of order").at_row(at.saturating_add(1)));
        }
        cells.pad(column as usize);
        cells.push(&text);
    }
    builder.row(row.saturating_add(1), &cells)?;
    drop(reader);
    let (heading, sources) = (builder.heading_row, builder.sources.clone());
    let table = builder.finish()?;
    vet_merges(workbook, name, heading, &sources)?;
    Ok(table)
}

/// Refuses cells below the heading that are merged over rows: all but the first look empty. Titles may be merged.
fn vet_merges(workbook: &mut Workbook<'_>, name: &str, heading: u32, sources: &[usize]) -> Result<(), TableFault> {
    for region in workbook.merge_cells_by_sheet_name(name).map_err(broken)? {
        let (first, last) = (region.start.0.saturating_add(1), region.end.0.saturating_add(1));
        let columns = region.start.1 as usize..=region.end.1 as usize;
        if last > first && first > heading && sources.iter().any(|place| columns.contains(place)) {
            return Err(household::merged(first, last).at_row(first));
        }
    }
    Ok(())
}

/// A cell as text. A number of 16 digits or more is written with its exponent: Excel kept 15 of them and made up the
/// rest, so it must not pass for an identity number or an account.
fn text_of(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) if number.abs() < FIRST_INEXACT => number.to_string(),
        DataRef::Float(number) => format!("{number:E}"),
        DataRef::Bool(value) => value.to_string().to_uppercase(),
        DataRef::DateTime(moment) => date_text(moment),
        DataRef::DateTimeIso(text) => text.split('T').next().unwrap_or_default().to_owned(),
        DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(error) => error.to_string(),
    }
}

fn date_text(moment: &ExcelDateTime) -> String {
    if moment.is_duration() || !(1.0..AFTER_YEAR_9999).contains(&moment.as_f64()) {
        return moment.as_f64().to_string();
    }
    let (year, month, day, ..) = moment.to_ymd_hms_milli();
    format!("{year:04}-{month:02}-{day:02}")
}

fn with_unread<'n>(mut table: Table, workbook: &mut Workbook<'_>, others: impl Iterator<Item = &'n String>) -> Table {
    for name in others {
        let reader = workbook.worksheet_cells_reader(name);
        let has_cells = reader.is_ok_and(|mut reader| matches!(reader.next_cell(), Ok(Some(_))));
        if has_cells {
            let message_zh = format!("工作表“{name}”未读取，只读取第一张有表头的工作表");
            table.notices.push(Notice { row: 1, code: "sheet-unread", message_zh });
        }
    }
    table
}

fn broken(found: impl Display) -> TableFault {
    TableFault::new(
        "broken-workbook",
        "a sound .xlsx workbook",
        found.to_string(),
        "Excel 文件损坏或不完整",
        "请用 Excel 重新保存，或另存为 UTF-8 编码的 CSV 后重新报送",
    )
}

/// Counted while unpacking, whatever the archive declares.
const MOST_UNPACKED_BYTES: u64 = 256 << 20;
const MOST_COLUMNS: u32 = 256;
/// From here on a double may have lost the last digit of what was typed.
const FIRST_INEXACT: f64 = 1e15;
/// Excel's number of 1 January 10000.
const AFTER_YEAR_9999: f64 = 2_958_466.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_unpacks_to_is_counted() {
        let bytes = include_bytes!("../../../tests/data/tables/xlsx-roster/input.xlsx");
        assert_eq!(vet(bytes, MOST_UNPACKED_BYTES), Ok(()));
        assert_eq!(vet(bytes, 1_000).unwrap_err().code, "too-large");
    }

    #[test]
    fn a_number_keeps_its_digits_or_shows_that_it_lost_them() {
        for (number, text) in [(100.0, "100"), (70.5, "70.5"), (110_105_491_231_002.0, "110105491231002")] {
            assert_eq!(text_of(&DataRef::Float(number)), text);
        }
        assert_eq!(text_of(&DataRef::Float(500_199_198_001_010_000.0)), "5.0019919800101E17");
    }
}
