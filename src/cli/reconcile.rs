//! `daikou reconcile`: the differences between instructions, returns, statement and ledger; the day-end sheet.

use crate::cli::export::{DIFFERENCES, FileFormat};
use crate::cli::out::{Column, Kind, save, say};
use crate::cli::paper::PaperArgs;
use crate::cli::table::{aligned, printable};
use crate::cli::{CliError, Context, Exit, Ran, date};
use crate::daemon::day_end::{Sheet, sheet};
use crate::daemon::reconciling::{Found, reconcile};
use crate::domain::calendar::{Date, Month};
use crate::domain::money::Money;
use crate::format::paper::{self, Cell, Paper};
use serde_json::{Value, json};
use std::io::Write;

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
    /// The sheet as a paper; without --format it is plain text
    #[command(flatten)]
    paper: PaperArgs,
}

/// Runs `reconcile`.
pub fn run(args: &ReconcileArgs, context: &Context) -> Ran {
    let month = match &args.month {
        Some(text) => match Month::parse(text) {
            Some(month) => Some(month),
            None => return Err(CliError::no_month(text)),
        },
        None => None,
    };
    let bureau = context.open_to_read()?;
    if let Some(key) = args.bank.as_ref().filter(|key| !bureau.config.banks.iter().any(|bank| bank.key == **key)) {
        return Err(CliError::no_bank(key));
    }
    if let (true, Some(bank), Some(day)) = (args.sheet, &args.bank, args.day) {
        let sheet = sheet(&bureau, bank, day, context.now())?;
        let known = bureau.config.banks.iter().find(|one| one.key == *bank);
        let name = known.and_then(|one| one.names.first()).unwrap_or(bank);
        return written(args, context, &sheet, (name, &bureau.config.papers.unit));
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
        put(args, &text)?;
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

fn written(args: &ReconcileArgs, context: &Context, sheet: &Sheet, names: (&str, &str)) -> Ran {
    let is_for_people = matches!(args.paper.format, Some(FileFormat::Xlsx));
    if args.paper.format.is_some() || context.json {
        args.paper.write(&mut [as_paper(sheet, names, is_for_people)], context)?;
    } else {
        put(args, &sheet_text(sheet))?;
    }
    Ok(Exit::Done)
}

/// The list or the sheet as text, to a file or to the standard output.
fn put(args: &ReconcileArgs, text: &str) -> Result<(), CliError> {
    match &args.paper.out {
        Some(path) => save(path, |file| {
            file.write_all(text.as_bytes()).map_err(|error| CliError::Io(path.display().to_string(), error))
        }),
        None => say(text).map_err(|error| CliError::Io("stdout".to_owned(), error)),
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

/// The same as a paper: the lines of the sheet, then its differences, each with what our side has more.
fn as_paper(sheet: &Sheet, (bank, unit): (&str, &str), is_for_people: bool) -> Paper {
    let columns = vec![
        paper::Column::new("part", "项目", Kind::Text),
        paper::Column::new("item", "内容", Kind::Text).wide(44),
        paper::Column::new("count", "笔数", Kind::Number),
        paper::Column::new("amount", "金额", Kind::Amount),
    ];
    let mut paper = Paper::new("日终对账单", sheet.made_at.date(), columns);
    paper.subtitles = vec![format!("银行：{bank}　日期：{}", sheet.on)];
    paper.unit = unit.to_owned();
    for line in &sheet.lines {
        // The words of exports are for screens; who signs reads the Chinese before them.
        let is_word = |c: char| is_for_people && (c.is_ascii_lowercase() || c == '-');
        let item = line.item.trim_end_matches(is_word).trim_end();
        paper.row(vec![line.part.into(), item.into(), Cell::Count(line.count), line.amount.into()]);
    }
    for found in &sheet.differences {
        let what = found.batch.map_or_else(|| found.reference.clone(), |number| format!("批次 {number}"));
        let item = format!("{} {what}", found.differs.chinese());
        paper.row(vec!["差异".into(), item.as_str().into(), Cell::Count(1), (found.ours - found.theirs).into()]);
    }
    if sheet.differences.is_empty() {
        paper.row(vec!["差异".into(), "无".into(), Cell::Count(0), Money::ZERO.into()]);
    }
    paper
}
