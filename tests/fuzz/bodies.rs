//! What must hold of any bytes. The fuzz targets call these functions, and so do plain tests over seeds and crashers
//! (`tests/it/fuzz.rs`), so that nothing here needs more than the program itself and a writer of archives.

use daikou::config::layouts;
use daikou::domain::calendar::Date;
use daikou::domain::ids::BatchNumber;
use daikou::domain::participant::{BankNumber, DistrictCode};
use daikou::format::decode::{Decoder, decode};
use daikou::format::decoded::Decoded;
use daikou::format::encode::{self, DataFile, NamedRecord};
use daikou::format::layout::{FileKind, Layout, RecordKind};
use daikou::format::record::Record;
use daikou::format::role::Role;
use daikou::format::table::{Table, TableFault, TableKind};
use daikou::pipeline::decode::ReturnReader;
use daikou::pipeline::intake::{self, Intake, Words};
use daikou::pipeline::matching::match_rows;
use std::io::{Cursor, Write};
use std::sync::LazyLock;

/// The shipped layouts.
static SHIPPED: LazyLock<Vec<Layout>> = LazyLock::new(|| {
    layouts::SHIPPED.iter().map(|(key, ..)| layouts::load(key, None).expect("it is shipped")).collect()
});

/// Every kind of file that a shipped layout has.
fn kinds() -> impl Iterator<Item = (&'static Layout, FileKind)> {
    SHIPPED.iter().flat_map(|layout| layout.files().iter().map(move |file| (layout, file.kind)))
}

/// One record: whatever its bytes are, each field is read or named as faulty, and what was read is written the same.
pub(crate) fn record(bytes: &[u8]) {
    for (layout, kind) in kinds() {
        for record in &layout.file(kind).expect("it was listed").records {
            for field in &record.fields {
                let Some(there) = bytes.get(field.span()) else { continue };
                let (fault, value) = (field.fault(there, layout.charset), field.value(there, layout.charset));
                layout.charset.show(there);
                let Ok(value) = value else {
                    assert!(fault.is_some(), "{}: a value is refused and the field is not", field.name);
                    continue;
                };
                if fault.is_some() {
                    continue;
                }
                let mut written = vec![b'?'; field.width];
                field.write(&value, &mut written, layout.charset).expect("what was read can be written");
                let again = field.value(&written, layout.charset);
                assert_eq!(again.as_ref(), Ok(&value), "{}: written and read", field.name);
            }
        }
        read_whole(layout, kind, bytes);
    }
}

/// A whole file: nothing panics, chunks of any size say the same, every defect can be told, and a return goes through
/// the flow up to its rows.
pub(crate) fn file(bytes: &[u8]) {
    for (layout, kind) in kinds() {
        let (whole, rows) = read_whole(layout, kind, bytes);
        let size = 1 + bytes.first().map_or(0, |byte| usize::from(*byte) % 37);
        let mut chunked_rows = Vec::new();
        let mut decoder = Decoder::new(layout, kind, None).expect("it was listed");
        let mut visit =
            |record: &Record<'_>| chunked_rows.push((record.line(), record.offset(), record.raw().to_vec()));
        bytes.chunks(size).for_each(|chunk| decoder.feed(chunk, &mut visit));
        let chunked = decoder.finish();
        assert_eq!(chunked_rows, rows, "{}: rows by {size}", layout.key);
        assert_eq!((chunked.totals, chunked.bytes, &chunked.digest), (whole.totals, whole.bytes, &whole.digest));
        assert_eq!((chunked.defect_count, &chunked.defects), (whole.defect_count, &whole.defects));
        assert_eq!(chunked.is_incomplete(), whole.is_incomplete());
        for defect in &whole.defects {
            let told = [defect.message("x", true), defect.message_zh(), defect.picture(), defect.message("x", false)];
            assert!(!told[0].is_empty() && !told[1].is_empty() && !defect.action_zh().is_empty());
        }
        if kind == FileKind::Return {
            match_return(layout, bytes);
        }
    }
}

fn match_return(layout: &Layout, bytes: &[u8]) {
    let Some(mut reader) = ReturnReader::new(layout, BatchNumber::from_value(2_018_070_501_000_001), None) else {
        return;
    };
    reader.feed(bytes);
    let (mut file, decoded) = reader.finish();
    if decoded.is_sound() {
        let known = file.rows.len() + file.strangers.len();
        assert_eq!(known as u64, decoded.totals.count, "{}: every row is somebody's", layout.key);
    }
    match_rows(&mut file, 1_000);
}

/// Line, offset and bytes of each record.
type Rows = Vec<(u64, u64, Vec<u8>)>;

fn read_whole<'l>(layout: &'l Layout, kind: FileKind, bytes: &[u8]) -> (Decoded<'l>, Rows) {
    let mut rows = Vec::new();
    let mut visit = |record: &Record<'_>| rows.push((record.line(), record.offset(), record.raw().to_vec()));
    let decoded = decode(layout, kind, bytes, None, &mut visit).expect("it was listed");
    assert_eq!(decoded.is_sound(), decoded.fatal_count == 0);
    assert!(decoded.fatal_count <= decoded.defect_count);
    (decoded, rows)
}

/// What was read is written again. A file without a defect comes back byte for byte; any other whose values can be read
/// becomes, with counts, sums and digest made anew, one that comes back byte for byte.
pub(crate) fn round_trip(bytes: &[u8]) {
    for (layout, kind) in kinds() {
        let Some((clean, records)) = named(layout, kind, bytes) else { continue };
        let Some(written) = written(layout, kind, &records) else {
            assert!(!clean, "{}: a file without a defect cannot be written", layout.key);
            continue;
        };
        // Eighteen characters of GB 18030 are read in two forms and written in one.
        let has_second_form = bytes.windows(2).any(|pair| [[0x82, 0x35], [0x84, 0x31]].iter().any(|form| pair == form));
        if clean && !has_second_form {
            assert!(written == bytes, "{}: a file without a defect came back otherwise", layout.key);
        }
        let (_, again) = named(layout, kind, &written).expect("what was written can be read");
        assert!(self::written(layout, kind, &again).as_deref() == Some(&written[..]), "{}: twice", layout.key);
        let (decoded, _) = read_whole(layout, kind, &written);
        let totals = decoded.defects.iter().filter(|defect| ["total", "digest"].contains(&defect.code()));
        let framed = records.first().is_some_and(|first| first.record != RecordKind::Detail) && decoded.is_sound();
        assert!(!framed || totals.count() == 0, "{}: totals of our own are wrong", layout.key);
    }
}

/// Named values of every record and whether nothing was wrong; `None` where a line is no record or a value cannot be
/// read.
fn named(layout: &Layout, kind: FileKind, bytes: &[u8]) -> Option<(bool, Vec<NamedRecord>)> {
    let mut records = Vec::new();
    let mut is_readable = true;
    let mut visit = |record: &Record<'_>| {
        let values = record.fields().map(|(field, _)| Some((field.name.clone(), record.value(field).ok()?)));
        match values.collect() {
            Some(fields) => records.push(NamedRecord { record: record.kind(), fields }),
            None => is_readable = false,
        }
    };
    let decoded = decode(layout, kind, bytes, None, &mut visit)?;
    (is_readable && !records.is_empty()).then_some((decoded.defect_count == 0, records))
}

/// A control file is written from its own values.
fn written(layout: &Layout, kind: FileKind, records: &[NamedRecord]) -> Option<Vec<u8>> {
    encode::encode(layout, kind, records, None::<&DataFile>).ok()
}

/// Between the parts of an input that has several.
pub(crate) const NEXT: &str = "\n#### next part\n";

/// A layout as somebody writes it: `layout.toml`, then `codes.toml`, then bytes of a file. It is refused, or it reads and
/// writes without a panic.
pub(crate) fn layout(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, NEXT);
    let layout = parts.next().unwrap_or_default();
    let codes = parts.next().unwrap_or("row = [{ code = \"0000\", outcome = \"ok\", title = \"成功\" }]");
    let file = parts.next().unwrap_or("H\nD\nT\n").as_bytes();
    let layout = match layouts::parse("fuzzed", layout, codes) {
        Ok(layout) => layout,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    for kind in layout.files().iter().map(|file| file.kind) {
        let (decoded, _) = read_whole(&layout, kind, file);
        decoded.defects.iter().for_each(|defect| assert!(!defect.message("x", true).is_empty()));
        let records = layout.file(kind).expect("it was listed").records.iter();
        let empty = records.map(|record| NamedRecord { record: record.kind, fields: Default::default() });
        if let Some(written) = written(&layout, kind, &empty.collect::<Vec<_>>()) {
            read_whole(&layout, kind, &written);
        }
    }
    encode::check_bank(&layout, &Default::default());
    for role in [Role::Name, Role::Account, Role::Amount] {
        encode::fits(&layout, role, "测试甲").ok();
    }
}

/// A table of staff as text: it becomes a table or a fault, and every row of it a record or a defect.
pub(crate) fn csv(bytes: &[u8]) {
    table(bytes, "x.csv");
    for heading in HEADINGS {
        let lines = [heading.as_bytes(), b"\n", bytes].concat();
        table(&lines, "x.csv");
    }
}

/// The same as a workbook. What is no archive is taken for the parts of one: sheet, shared strings, styles.
pub(crate) fn xlsx(bytes: &[u8]) {
    if bytes.starts_with(b"PK") {
        return table(bytes, "x.xlsx");
    }
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, NEXT);
    let sheet = parts.next().unwrap_or_default();
    let strings = parts.next().unwrap_or("<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"/>");
    let styles = parts.next().unwrap_or("<styleSheet/>");
    table(&workbook(sheet, strings, styles), "x.xlsx");
}

/// A workbook with one sheet.
pub(crate) fn workbook(sheet: &str, strings: &str, styles: &str) -> Vec<u8> {
    let types = r#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;
    let relations = |inner: &str| {
        let space = "http://schemas.openxmlformats.org/package/2006/relationships";
        format!(r#"<?xml version="1.0"?><Relationships xmlns="{space}">{inner}</Relationships>"#)
    };
    let relation = |id: u8, kind: &str, target: &str| {
        let space = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        format!(r#"<Relationship Id="rId{id}" Type="{space}/{kind}" Target="{target}"/>"#)
    };
    let book = concat!(
        r#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" "#,
        r#"xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">"#,
        r#"<sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>"#
    );
    let of_book = relation(1, "worksheet", "worksheets/sheet1.xml")
        + &relation(2, "sharedStrings", "sharedStrings.xml")
        + &relation(3, "styles", "styles.xml");
    let parts = [
        ("[Content_Types].xml", types.to_owned()),
        ("_rels/.rels", relations(&relation(1, "officeDocument", "xl/workbook.xml"))),
        ("xl/workbook.xml", book.to_owned()),
        ("xl/_rels/workbook.xml.rels", relations(&of_book)),
        ("xl/worksheets/sheet1.xml", sheet.to_owned()),
        ("xl/sharedStrings.xml", strings.to_owned()),
        ("xl/styles.xml", styles.to_owned()),
    ];
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in parts {
        archive.start_file(name, stored).expect("a part");
        archive.write_all(text.as_bytes()).expect("into memory");
    }
    archive.finish().expect("an archive").into_inner()
}

/// A heading of each kind of table, put before rows without one.
const HEADINGS: [&str; 7] = [
    "身份证号,姓名,区县,缴费档次,开户银行,银行账号,参保状态,状态日期,户名",
    "身份证号,姓名,区县,认定类别,认定年度,数据日期",
    "身份证号,缴费年度,金额,缴费日期,渠道,凭证号",
    "bank,booked_on,reference,amount,serial",
    "payer,district,settlement_year,amount,received_on,reference",
    "身份证号,缴费年度,金额,发放日期",
    "number,digest",
];

fn table(bytes: &[u8], name: &str) {
    let table = match Table::read(bytes, name) {
        Ok(table) => table,
        Err(fault) => return told(&fault),
    };
    let words = words();
    match table.kind {
        TableKind::Participants => judged(&table, &intake::participants(&table, words)),
        TableKind::List => judged(&table, &intake::lists(&table, words)),
        TableKind::Payments => judged(&table, &intake::payments(&table, words)),
        TableKind::Statement => judged(&table, &intake::statement(&table, words)),
        TableKind::Transfers => judged(&table, &intake::payers::transfers(&table, words)),
        TableKind::ExpostPaid => judged(&table, &intake::payers::payouts(&table, words)),
        TableKind::FeedAck => judged(&table, &intake::feed_acks(&table, words)),
    }
}

fn told(fault: &TableFault) {
    assert!(!fault.to_string().is_empty() && !fault.message_zh.is_empty() && !fault.action_zh.is_empty());
}

/// A row becomes a record, or a defect says why not. Rows that only repeat another are left out with a warning.
fn judged<T>(table: &Table, intake: &Intake<T>) {
    let taken: std::collections::HashSet<u32> = intake.rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(taken.len(), intake.rows.len(), "a row is taken once");
    for row in table.rows() {
        let is_refused = intake.defects.iter().chain(&intake.warnings).any(|defect| defect.row == row.number());
        let may_repeat = table.kind == TableKind::Participants;
        assert!(taken.contains(&row.number()) || is_refused || may_repeat, "row {} is nowhere", row.number());
    }
}

fn words() -> Words<'static> {
    Words {
        district: &|text| matches!(text, "500199" | "测试区").then(|| DistrictCode::parse("500199")).flatten(),
        bank: &|text| matches!(text, "rural" | "农村商业银行").then_some(BankNumber(1)),
        knows_area: &|area| area == 500_199,
        arrived: Date::constant(2018, 7, 2),
    }
}
