//! Every folder of `tests/data/tables` is a case: `input.*` is what somebody sent, `expected` what becomes of it.

use super::*;
use crate::format::table::TableKind;
use crate::golden;
use std::fmt::Write as _;
use std::fs;

#[test]
fn every_table_becomes_what_is_expected() {
    let mut cases: Vec<_> = fs::read_dir(golden::data("tables")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 10);
    for case in cases {
        let files = fs::read_dir(&case).unwrap().map(|entry| entry.unwrap().path());
        let input = files.into_iter().find(|path| path.file_stem().unwrap() == "input").expect("a case has an input");
        let name = input.file_name().unwrap().to_string_lossy();
        golden::check(&case.join("expected"), &told(&fs::read(&input).unwrap(), &name));
    }
}

fn words() -> Words<'static> {
    Words {
        district: &|text| matches!(text, "500199" | "测试区").then(|| DistrictCode::parse("500199").unwrap()),
        bank: &|text| matches!(text, "rural" | "农村商业银行").then_some(BankNumber(1)),
        knows_area: &|area| area == 500_199,
        arrived: Date::constant(2018, 7, 2),
    }
}

/// Everything that is read out of a file, as text.
fn told(bytes: &[u8], name: &str) -> String {
    let table = match Table::read(bytes, name) {
        Ok(table) => table,
        Err(fault) => return format!("{fault}\n{}: {}；{}\n", fault.code, fault.message_zh, fault.action_zh),
    };
    let columns: Vec<_> = table.columns.iter().map(|column| column.word()).collect();
    let mut text = format!("{}: {}\n", table.kind.word(), columns.join(" "));
    for notice in &table.notices {
        writeln!(text, "notice {} {}: {}", notice.row, notice.code, notice.message_zh).unwrap();
    }
    text + &match table.kind {
        TableKind::Participants => rows_told(participants(&table, words())),
        TableKind::List => rows_told(lists(&table, words())),
        TableKind::Payments => rows_told(payments(&table, words())),
        TableKind::Transfers => rows_told(payers::transfers(&table, words())),
        TableKind::ExpostPaid => rows_told(payers::payouts(&table, words())),
        TableKind::Statement => rows_told(statement(&table, words())),
        _ => format!("{} rows\n", table.len()),
    }
}

fn rows_told<T: std::fmt::Debug>(intake: Intake<T>) -> String {
    let mut text = String::new();
    for (number, row) in &intake.rows {
        writeln!(text, "row {number} {row:?}").unwrap();
    }
    for (word, defects) in [("defect", &intake.defects), ("warning", &intake.warnings)] {
        for d in defects {
            let person = d.person.map_or_else(|| "-".to_owned(), |id| id.to_string());
            writeln!(text, "{word} {} {} {}: {}；{} ({person})", d.row, d.column, d.code, d.message_zh, d.action_zh)
                .unwrap();
        }
    }
    text
}

proptest::proptest! {
    /// Whatever bytes arrive, reading ends with a table or a fault.
    #[test]
    fn hostile_bytes_are_only_refused(mut bytes: Vec<u8>, tail in "[\",;\t\r\n0-9X身份证号\\PC]{0,80}") {
        told(&bytes, "x.csv");
        bytes.splice(0..0, "身份证号,缴费年度,金额,缴费日期\n".bytes());
        bytes.extend(tail.bytes());
        told(&bytes, "x.csv");
        let (gb18030, ..) = encoding_rs::GB18030.encode(&tail);
        told(&gb18030, "x.csv");
    }
}
