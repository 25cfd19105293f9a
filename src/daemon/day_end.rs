//! The day-end sheet (日终对账单): what one bank and one day came to in every corner, for two people to sign (R21, R22).

use crate::daemon::bureau::{Bureau, Step, refuse};
use crate::daemon::reconciling::{Found, corners};
use crate::domain::calendar::{Date, DateTime};
use crate::domain::ids::BatchNumber;
use crate::domain::money::Money;
use crate::domain::participant::BankNumber;
use crate::domain::returns::Outcome;
use crate::store::{book, statements};
use rusqlite::Connection;

/// One line of the sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Part: 指令, 回盘, 对账单, 账, 差异.
    pub part: &'static str,
    /// What is counted.
    pub item: String,
    /// How many.
    pub count: i64,
    /// How much.
    pub amount: Money,
}

/// A sheet.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Key of the bank.
    pub bank: String,
    /// The day.
    pub on: Date,
    /// When it was made.
    pub made_at: DateTime,
    /// Its lines, part by part.
    pub lines: Vec<Line>,
    /// Differences of that bank and day that somebody must look at.
    pub differences: Vec<Found>,
}

/// The sheet of a bank and a day.
pub fn sheet(bureau: &Bureau, key: &str, on: Date, made_at: DateTime) -> Step<Sheet> {
    let Some(bank) = bureau.config.banks.iter().find(|bank| bank.key == key) else {
        return refuse(format!("配置中没有银行 {key}"));
    };
    if on > made_at.date() {
        return refuse(format!("{on} 还没有到"));
    }
    let (lines, differences) = bureau.store.read(|tx| {
        let mut lines = of_batches(tx, bank.number, on)?;
        lines.extend(of_account(tx, bank.number, on)?);
        let mut differences = corners(tx, &bureau.config, made_at.date())?.found;
        differences
            .retain(|found| found.is_due && found.bank == key && (found.on == on || found.other_day == Some(on)));
        Ok((lines, differences))
    })?;
    Ok(Sheet { bank: key.to_owned(), on, made_at, lines, differences })
}

/// What was asked for that day, and what was answered.
fn of_batches(conn: &Connection, bank: BankNumber, on: Date) -> crate::store::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for number in statements::batches_of_day(conn, bank, on)? {
        lines.extend(of_batch(conn, number)?);
    }
    lines.sort_by_key(|line| line.part != "指令");
    Ok(lines)
}

fn of_batch(conn: &Connection, number: BatchNumber) -> crate::store::Result<Vec<Line>> {
    let Some((_, batch)) = book::batch(conn, number)? else { return Ok(Vec::new()) };
    let line = |part, item, count, amount| Line { part, item, count, amount };
    let mut lines = vec![line("指令", format!("批次 {number}"), i64::from(batch.count), batch.amount)];
    let mut open = (i64::from(batch.count), batch.amount);
    for (outcome, count, asked, taken) in statements::outcomes(conn, number)? {
        let (name, is_ok) = Outcome::parse(outcome).map_or(("", false), |one| (one.chinese(), one == Outcome::Ok));
        let amount = if is_ok { taken } else { asked };
        lines.push(line("回盘", format!("批次 {number} {name} {outcome}"), count, amount));
        open = (open.0 - count, open.1 - asked);
    }
    if open.0 > 0 {
        lines.push(line("回盘", format!("批次 {number} 未回盘"), open.0, open.1));
    }
    Ok(lines)
}

/// What the statement shows and what the ledger has, on that day.
fn of_account(conn: &Connection, bank: BankNumber, on: Date) -> crate::store::Result<Vec<Line>> {
    let of_day = |moved: &&statements::Moved| moved.bank == Some(bank) && moved.on == on;
    let mut lines = Vec::new();
    for (part, all) in [("对账单", statements::shown(conn)?), ("账", statements::ledger(conn)?)] {
        for (item, is_in) in [("收入", true), ("支出", false)] {
            let some = all.iter().filter(of_day).filter(|moved| (moved.amount > Money::ZERO) == is_in);
            let (count, amount) =
                some.fold((0, Money::ZERO), |(count, amount), moved| (count + moved.count, amount + moved.amount));
            lines.push(Line { part, item: item.to_owned(), count, amount });
        }
    }
    Ok(lines)
}
