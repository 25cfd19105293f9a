//! The postal bank: `DK….TXT` with its `.CTL` is answered by `HP….TXT`, then `HP….CTL`. LF, GBK, yuan.

use super::record::{Record, cut, hex, sm3_hex, speaks_gbk};
use super::{Answer, Behaviour, Exchange, Request, ReturnFile, Row, Totals, gbk, name_of};
use crate::domain::calendar::{Date, yyyymmdd};
use crate::domain::money::Money;
use md5::{Digest, Md5};

const WIDTH: usize = 180;
const CONTROL_WIDTH: usize = 183;

pub(super) fn read(name: &str, bytes: &[u8], control: &[u8]) -> Result<Request, String> {
    check_name(name)?;
    let count = bytes.len() / (WIDTH + 1);
    let records = cut(bytes, std::iter::repeat_n(WIDTH, count), b"\n")?;
    let rows = records.iter().enumerate().map(|(i, record)| read_row(i, record)).collect::<Result<Vec<_>, _>>()?;
    let first = rows.first().ok_or("expected at least one row")?;
    check_control(name, bytes, &rows, control).map_err(|why| format!("control file: {why}"))?;
    Ok(Request {
        name: name.into(),
        // The name has only four digits of it; the number itself begins every instruction.
        batch: first.instruction.chars().take(16).collect(),
        header: Vec::new(),
        rows,
        trailer: Vec::new(),
        value_date: None,
    })
}

fn check_name(name: &str) -> Result<(), String> {
    let digits = name.strip_prefix("DK").and_then(|rest| rest.strip_suffix(".TXT"));
    let sound = digits.is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()));
    sound.then_some(()).ok_or_else(|| "expected a name like DK{yyyymmdd}{agency8}{seq4}.TXT".into())
}

fn read_row(index: usize, record: &Record<'_>) -> Result<Row, String> {
    record.exactly(0, &format!("{:06}", index + 1))?;
    if record.raw(6, 20) != [b' '; 20] {
        record.text(6, 20)?;
    }
    let account = record.text(26, 22)?;
    record.chinese(48, 40, speaks_gbk)?;
    let person = record.identity(88)?;
    let due = record.yuan(106, 12)?;
    if !due.is_positive() {
        return Err(format!("line {}, bytes 107-118: expected an amount above zero", record.line));
    }
    record.number(118, 4)?;
    record.exactly(122, "00")?;
    record.chinese(124, 24, speaks_gbk)?;
    Ok(Row {
        line: record.bytes.into(),
        instruction: record.text(148, 32)?.into(),
        account: account.into(),
        name: name_of(record.raw(48, 40)),
        person: person.into(),
        fee_year: record.text(118, 4)?.into(),
        due,
    })
}

fn check_control(name: &str, bytes: &[u8], rows: &[Row], control: &[u8]) -> Result<(), String> {
    let records = cut(control, std::iter::once(CONTROL_WIDTH), b"\n")?;
    let record = &records[0];
    record.exactly(0, &format!("f{name:<64}"))?;
    record.total("size", record.number(65, 12)?, bytes.len() as i64)?;
    record.total("rows", record.number(77, 8)?, rows.len() as i64)?;
    let amount: Money = rows.iter().map(|row| row.due).sum();
    record.total("amount in fen", record.yuan(85, 16)?.fen(), amount.fen())?;
    record.exactly(101, "SM3 ")?;
    record.exactly(105, &sm3_hex(bytes))?;
    record.number(169, 14).map(|_| ())
}

pub(super) fn reply(exchange: &Exchange, today: Date) -> Vec<ReturnFile> {
    let name = exchange.request.name.replacen("DK", "HP", 1);
    let mut bytes = Vec::new();
    for (row, answer) in exchange.rows() {
        bytes.extend(reply_row(exchange.booked_on, row, answer));
    }
    let control = reply_control(exchange, &name, &bytes, today);
    let control_name = name.replace(".TXT", ".CTL");
    vec![ReturnFile { name, bytes }, ReturnFile { name: control_name, bytes: control }]
}

fn reply_row(booked_on: Date, row: &Row, answer: &Answer) -> Vec<u8> {
    let (letter, words) = says(answer.behaviour);
    let actual = answer.actual(row.due);
    let mut words = gbk(words);
    words.resize(30, b' ');
    let (day, serial) = if actual.is_positive() {
        (yyyymmdd(booked_on).to_string(), format!("P{:015}", answer.serial))
    } else {
        (String::new(), String::new())
    };
    let mut record = row.line.clone();
    record.extend_from_slice(letter.as_bytes());
    record.extend(words);
    record.extend_from_slice(format!("{actual:>12}{day:<8}{serial:<16}\n").as_bytes());
    record
}

fn reply_control(exchange: &Exchange, name: &str, bytes: &[u8], today: Date) -> Vec<u8> {
    let totals = Totals::of(exchange.rows());
    let (algorithm, digest) = digest_of(name, bytes);
    format!(
        "f{name:<64}{:012}{:08}{:>16}{algorithm:<4}{digest:<64}{}090000{:08}{:>16}{:08}{:>16}\n",
        bytes.len(),
        totals.rows,
        totals.due,
        yyyymmdd(today),
        totals.ok_rows,
        totals.ok,
        totals.failed_rows,
        totals.failed,
    )
    .into_bytes()
}

/// Every second file of a day comes from an older machine of the bank, which only knows MD5.
fn digest_of(name: &str, bytes: &[u8]) -> (&'static str, String) {
    let even = name.trim_end_matches(".TXT").ends_with(['0', '2', '4', '6', '8']);
    if even { ("MD5", hex(&Md5::digest(bytes))) } else { ("SM3", sm3_hex(bytes)) }
}

fn says(behaviour: Behaviour) -> (&'static str, &'static str) {
    match behaviour {
        Behaviour::Pays | Behaviour::Partial | Behaviour::Over => ("Y", "成功"),
        Behaviour::InsufficientFunds => ("E", "余额不足"),
        Behaviour::NoAccount => ("A", "账号不存在"),
        Behaviour::NameMismatch => ("N", "户名不符"),
        Behaviour::Frozen => ("B", "冻结"),
        Behaviour::Closed => ("C", "销户"),
        Behaviour::Lost => ("L", "挂失"),
        Behaviour::NoAgreement => ("P", "未签约"),
        Behaviour::Unknown | Behaviour::UnknownTaken => ("U", "结果不明"),
        Behaviour::IdMismatch => ("O", "证件不符"),
        Behaviour::Limit => ("O", "超限额"),
        Behaviour::Duplicate => ("O", "重复"),
        Behaviour::Other => ("O", "其他"),
    }
}
