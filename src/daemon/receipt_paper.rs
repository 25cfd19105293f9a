//! The receipt as a workbook: the sender's own rows with the reason beside them, ready to be mended and sent again; and
//! whom a list moves.

use crate::config::Config;
use crate::daemon::receipts::Receipt;
use crate::domain::calendar::Date;
use crate::format::cell::Kind;
use crate::format::paper::{Cell, Column, Paper, workbook};
use crate::format::table::{Column as Field, Row, Table};
use crate::pipeline::emit::Finding;
use crate::pipeline::lists::Recognised;
use crate::store::{Error, Result, Txn};
use std::collections::{BTreeMap, BTreeSet};

/// Puts the workbook into the outbox, where there is something to show.
pub fn post(txn: &Txn<'_>, config: &Config, receipt: &Receipt, table: Option<&Table>, today: Date) -> Result<()> {
    let papers = papers(config, receipt, table, today);
    if papers.is_empty() {
        return Ok(());
    }
    let bytes = workbook(&papers.iter().collect::<Vec<_>>()).map_err(|error| Error::Broken(error.to_string()))?;
    txn.post_out(&receipt.from.receipts(config), &format!("{}.receipt.xlsx", receipt.stem()), &bytes)
}

/// Rows of a sheet, at most: a sheet has an end, and nobody mends a hundred thousand rows by hand.
const MOST_ROWS: usize = 100_000;

fn shown<T>(rows: &[T]) -> impl Iterator<Item = &T> {
    rows.iter().take(MOST_ROWS)
}

fn papers(config: &Config, receipt: &Receipt, table: Option<&Table>, today: Date) -> Vec<Paper> {
    let mut papers = Vec::new();
    let (odd, refused): (Vec<&Finding>, Vec<&Finding>) = receipt.findings.iter().partition(|found| found.is_warning);
    if !refused.is_empty() {
        papers.push(rows(("退回行", "回执：退回的行"), &refused, table, today));
    }
    if !odd.is_empty() {
        papers.push(rows(("提示", "回执：已照收、请核对的行"), &odd, table, today));
    }
    if !receipt.moves.is_empty() {
        papers.push(moved(config, receipt, today));
    }
    for paper in &mut papers {
        paper.subtitles = vec![format!("文件：{}", receipt.name)];
        paper.unit = config.papers.unit.clone();
        paper.signatures = Vec::new();
        paper.notes = receipt.notes.clone();
        if receipt.findings.len().max(receipt.moves.len()) > MOST_ROWS {
            paper.notes.push(format!("只列出前 {MOST_ROWS} 行，其余见 .receipt.json"));
        }
        paper.is_landscape = true;
    }
    papers
}

/// Rows of theirs: row number, their cells, what is said of them, what to do.
fn rows((sheet, title): (&str, &'static str), findings: &[&Finding], table: Option<&Table>, today: Date) -> Paper {
    let fields: &[Field] = table.map_or(&[], |table| &table.columns);
    let mut columns = vec![Column::new("row", "行号", Kind::Number).wide(6)];
    columns.extend(fields.iter().map(|field| Column::new(field.word(), field.chinese(), kind(*field))));
    columns.push(Column::new("reason", "原因", Kind::Text).wide(36));
    columns.push(Column::new("action", "处理办法", Kind::Text).wide(28));
    let wanted: BTreeSet<u64> = shown(findings).filter_map(|finding| finding.row).collect();
    let all = table.into_iter().flat_map(|table| table.rows());
    let theirs = all.filter(|row| wanted.contains(&u64::from(row.number())));
    let rows: BTreeMap<u32, Row<'_>> = theirs.map(|row| (row.number(), row)).collect();
    let mut paper = Paper::new(title, today, columns);
    paper.sheet = sheet.to_owned();
    for finding in shown(findings) {
        let number = finding.row.and_then(|row| u32::try_from(row).ok());
        let theirs = number.and_then(|number| rows.get(&number));
        let mut cells = vec![number.map_or(Cell::Empty, |number| Cell::Count(number.into()))];
        cells.extend(fields.iter().map(|field| Cell::from(theirs.and_then(|row| row.get(*field)).unwrap_or(""))));
        cells.extend([Cell::from(finding.message_zh.as_str()), Cell::from(finding.action_zh.as_str())]);
        paper.row(cells);
    }
    paper
}

/// Their cells are text, whatever they hold: nothing of theirs is counted here.
fn kind(field: Field) -> Kind {
    match field {
        Field::IdNumber => Kind::Id,
        Field::Name | Field::AccountName => Kind::Name,
        Field::Account => Kind::Account,
        _ => Kind::Text,
    }
}

/// 名单变动: whom the list moves, hidden where the configuration says so.
fn moved(config: &Config, receipt: &Receipt, today: Date) -> Paper {
    let columns = vec![
        Column::new("change", "变动", Kind::Text).wide(8),
        Column::new("row", "行号", Kind::Number).wide(6),
        Column::new("name", "姓名", Kind::Name),
        Column::new("id_number", "身份证号", Kind::Id),
        Column::new("was", "原认定类别", Kind::Text).wide(28),
        Column::new("now", "现认定类别", Kind::Text).wide(28),
        Column::new("renamed", "姓名变更", Kind::Text).wide(10),
    ];
    let mut paper = Paper::new("回执：名单变动", today, columns);
    paper.sheet = "名单变动".to_owned();
    paper.mask = config.papers.mask;
    let category = |row: &Option<Recognised>| Cell::from(row.as_ref().map_or("", |row| row.category.chinese()));
    for moved in shown(&receipt.moves) {
        paper.row(vec![
            moved.how.chinese().into(),
            moved.row.map_or(Cell::Empty, |row| Cell::Count(row.into())),
            moved.name().into(),
            moved.id.text().into(),
            category(&moved.was),
            category(&moved.now),
            if moved.is_renamed() { "是" } else { "" }.into(),
        ]);
    }
    paper
}
