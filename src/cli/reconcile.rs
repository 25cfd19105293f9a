//! `daikou reconcile`: the differences between instructions, returns, statement and ledger; the day-end sheet.

use crate::cli::export::{DIFFERENCES, difference_rows};
use crate::cli::out::{Column, Export, Format, Kind, say};
use crate::cli::table::{aligned, printable};
use crate::cli::{CliError, Context, Exit, Ran, date};
use crate::daemon::day_end::{Sheet, sheet};
use crate::daemon::reconciling::{Found, reconcile};
use crate::domain::calendar::{Date, Month};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `reconcile`.
#[derive(Debug, clap::Args)]
pub struct ReconcileArgs {
    /// Only this bank
    #[arg(long, value_name = "KEY")]
    bank: Option<String>,
    /// Only what concerns this month
    #[arg(long, value_name = "YYYY-MM", conflicts_with = "day")]
    month: Option<String>,
    /// Only what concerns this day
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    day: Option<Date>,
    /// The day-end sheet of --bank and --day, for two people to sign
    #[arg(long, requires_all = ["bank", "day"])]
    sheet: bool,
    /// The sheet as CSV
    #[arg(long, requires = "sheet")]
    csv: bool,
    /// Into this file instead of the standard output
    #[arg(short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `reconcile`.
pub fn run(args: &ReconcileArgs, context: &Context) -> Ran {
    let month = match &args.month {
        Some(text) => match Month::parse(text) {
            Some(month) => Some(month),
            None => return Err(CliError::Usage(format!("{text} is no month: expected YYYY-MM"))),
        },
        None => None,
    };
    let bureau = context.open()?;
    if let Some(key) = args.bank.as_ref().filter(|key| !bureau.config.banks.iter().any(|bank| bank.key == **key)) {
        return Err(CliError::Usage(format!("no bank has the key {key}")));
    }
    if let (true, Some(bank), Some(day)) = (args.sheet, &args.bank, args.day) {
        let sheet = sheet(&bureau, bank, day, context.now())?;
        return written(args, context, &sheet);
    }
    let reconciled = reconcile(&bureau, context.now().date())?;
    let wanted = |found: &&Found| {
        args.bank.as_ref().is_none_or(|key| found.bank == *key)
            && month.is_none_or(|month| found.touches(month))
            && args.day.is_none_or(|day| found.on == day || found.other_day == Some(day))
    };
    let (due, under_way): (Vec<&Found>, Vec<&Found>) =
        reconciled.found.iter().filter(wanted).partition(|found| found.is_due);
    if context.json {
        let since = reconciled.in_use_since.map(|day| day.to_string());
        context.print_json(&json!({
            "since": since,
            "differences": as_json(&due),
            "under_way": as_json(&under_way),
        }));
    } else {
        let text = told(reconciled.in_use_since, &due, &under_way);
        put(args, text.as_bytes())?;
    }
    Ok(if due.is_empty() { Exit::Done } else { Exit::Findings })
}

fn as_json(found: &[&Found]) -> Value {
    let object = |found: &&Found| {
        let cells = DIFFERENCES.iter().zip(found.cells());
        let cell = |(column, text): (&Column, String)| {
            let value = if column.kind == Kind::Number {
                text.parse::<i64>().map_or(Value::Null, Into::into)
            } else {
                text.into()
            };
            (column.name.to_owned(), value)
        };
        Value::Object(cells.map(cell).collect())
    };
    found.iter().map(object).collect()
}

fn told(since: Option<Date>, due: &[&Found], under_way: &[&Found]) -> String {
    let mut text = match since {
        Some(since) => format!("自 {since} 起与对账单核对\n"),
        None => "尚未收到对账单：只核对指令与回盘\n".to_owned(),
    };
    for (title, found) in [("差异", due), ("在途", under_way)] {
        if !found.is_empty() {
            text.push_str(&format!("\n【{title}】\n{}", listed(found)));
        }
    }
    if due.is_empty() {
        text.push_str("没有差异\n");
    }
    text
}

fn listed(found: &[&Found]) -> String {
    let headings = [
        ("类别", Kind::Text),
        ("银行", Kind::Text),
        ("日期", Kind::Text),
        ("批次或对象", Kind::Text),
        ("我方", Kind::Amount),
        ("对方", Kind::Amount),
        ("工作日", Kind::Number),
    ];
    let rows: Vec<Vec<String>> = found.iter().map(|found| shown(found)).collect();
    let table = aligned(&headings, &rows);
    let mut lines = table.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, found) in lines.zip(found) {
        text.push_str(&format!("{line}\n      {}：{}\n", found.corner.chinese(), printable(&found.action)));
    }
    text
}

fn shown(found: &Found) -> Vec<String> {
    vec![
        format!("{} {}", found.differs.chinese(), found.differs.word()),
        found.bank.clone(),
        found.on.to_string(),
        found.batch.map_or_else(|| found.reference.clone(), |number| number.to_string()),
        found.ours.to_string(),
        found.theirs.to_string(),
        found.age.to_string(),
    ]
}

fn written(args: &ReconcileArgs, context: &Context, sheet: &Sheet) -> Ran {
    let bytes = if args.csv {
        as_csv(sheet)?
    } else if context.json {
        (serde_json::to_string_pretty(&sheet_json(sheet)).expect("a value is always text") + "\n").into_bytes()
    } else {
        sheet_text(sheet).into_bytes()
    };
    put(args, &bytes)?;
    Ok(Exit::Done)
}

fn put(args: &ReconcileArgs, bytes: &[u8]) -> Result<(), CliError> {
    match &args.out {
        Some(path) => std::fs::write(path, bytes).map_err(|error| CliError::Io(path.display().to_string(), error)),
        None => say(&String::from_utf8_lossy(bytes)).map_err(|error| CliError::Io("stdout".to_owned(), error)),
    }
}

/// Paper for two people: nothing on it is typed by hand but the names.
fn sheet_text(sheet: &Sheet) -> String {
    let headings = [("项目", Kind::Text), ("内容", Kind::Text), ("笔数", Kind::Number), ("金额", Kind::Amount)];
    let rows: Vec<Vec<String>> = sheet.lines.iter().map(cells).collect();
    let mut text = format!(
        "日终对账单\n银行：{}　日期：{}　制表时间：{}\n\n{}",
        sheet.bank,
        sheet.on,
        sheet.made_at.strftime("%Y-%m-%d %H:%M"),
        aligned(&headings, &rows)
    );
    let found: Vec<&Found> = sheet.differences.iter().collect();
    if found.is_empty() {
        text.push_str("\n差异：无\n");
    } else {
        text.push_str(&format!("\n差异：{} 项\n{}", found.len(), listed(&found)));
    }
    text + "\n制表人：____________　复核人：____________　日期：____________\n"
}

fn cells(line: &crate::daemon::day_end::Line) -> Vec<String> {
    vec![line.part.to_owned(), line.item.clone(), line.count.to_string(), line.amount.to_string()]
}

const SHEET: &[Column] = &[
    Column::new("part", Kind::Text),
    Column::new("item", Kind::Text),
    Column::new("count", Kind::Number),
    Column::new("amount", Kind::Amount),
];

/// The lines of the sheet, then its differences, each with what our side has more.
fn as_csv(sheet: &Sheet) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let failed = |error| CliError::Io("sheet".to_owned(), error);
    let mut export = Export::new(Box::new(&mut bytes), Format::Csv { excel: false }, SHEET, false).map_err(failed)?;
    let lines = sheet.lines.iter().map(cells).chain(difference_rows(&sheet.differences));
    for row in lines {
        export.row(&row.iter().map(String::as_str).collect::<Vec<_>>()).map_err(failed)?;
    }
    export.finish().map_err(failed)?;
    Ok(bytes)
}

fn sheet_json(sheet: &Sheet) -> Value {
    let lines = sheet.lines.iter().map(
        |line| json!({ "part": line.part, "item": line.item, "count": line.count, "amount": line.amount.to_string() }),
    );
    let found: Vec<&Found> = sheet.differences.iter().collect();
    json!({
        "bank": sheet.bank,
        "date": sheet.on.to_string(),
        "made_at": sheet.made_at.to_string(),
        "lines": lines.collect::<Vec<_>>(),
        "differences": as_json(&found),
    })
}
