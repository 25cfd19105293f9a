//! The rural bank: `NSH_….REQ` is answered by one `.RSP` in the same records. 300 bytes + CRLF, GBK, fen.

use super::record::{Record, cut, put, put_number, sm3_hex, speaks_gbk};
use super::{Answer, Behaviour, Exchange, Request, ReturnFile, Row, Totals, gbk, name_of};
use crate::domain::calendar::{Date, from_yyyymmdd, yyyymmdd};
use crate::domain::money::Money;

const WIDTH: usize = 300;
const END: &[u8] = b"\r\n";

pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Request, String> {
    let count = bytes.len() / (WIDTH + END.len());
    let records = cut(bytes, std::iter::repeat_n(WIDTH, count), END)?;
    let [header, details @ .., trailer] = records.as_slice() else {
        return Err("expected a header, details and a trailer".into());
    };
    let value_date = read_header(name, header)?;
    let rows = details.iter().enumerate().map(|(i, record)| read_detail(header, i, record));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    check_totals(header, &rows, trailer)?;
    let before_trailer = &bytes[..bytes.len() - WIDTH - END.len()];
    trailer.exactly(40, &sm3_hex(before_trailer))?;
    Ok(Request {
        name: name.into(),
        batch: header.text(50, 16)?.into(),
        header: header.bytes.into(),
        rows,
        trailer: trailer.bytes.into(),
        value_date: Some(value_date),
    })
}

fn read_header(name: &str, header: &Record<'_>) -> Result<Date, String> {
    header.exactly(0, "HREQ01")?;
    header.number(6, 12)?;
    let agency = header.text(18, 12)?;
    header.text(30, 20)?;
    header.number(50, 16)?;
    let batch = header.text(50, 16)?;
    header.text(66, 6)?;
    header.number(72, 4)?;
    let value_date = from_yyyymmdd(header.number(76, 8)?).ok_or("line 1, bytes 77-84: expected a date")?;
    header.exactly(84, "CNY")?;
    header.only(110, 46, b'0')?;
    header.text(156, 32)?;
    header.only(188, 64, b' ')?;
    header.number(252, 14)?;
    header.only(266, 34, b' ')?;
    let expected = format!("NSH_{agency}_{}_{}.REQ", &batch[..8], &batch[8..]);
    if name == expected { Ok(value_date) } else { Err(format!("expected the name {expected}")) }
}

fn read_detail(header: &Record<'_>, index: usize, record: &Record<'_>) -> Result<Row, String> {
    record.exactly(0, &format!("D{:08}", index + 1))?;
    let instruction = record.text(9, 24)?;
    let person = record.identity(33)?;
    let account = record.text(51, 32)?;
    record.chinese(83, 60, speaks_gbk)?;
    let due = record.fen(143, 12)?;
    if !due.is_positive() {
        return Err(format!("line {}, bytes 144-155: expected an amount above zero", record.line));
    }
    record.exactly(155, "0")?;
    let fee_year = header.text(72, 4)?;
    record.exactly(156, fee_year)?;
    record.exactly(160, "0101")?;
    record.chinese(164, 20, speaks_gbk)?;
    record.only(184, 12, b'0')?;
    record.only(196, 104, b' ')?;
    Ok(Row {
        line: record.bytes.into(),
        instruction: instruction.into(),
        account: account.into(),
        name: name_of(record.raw(83, 60)),
        person: person.into(),
        fee_year: fee_year.into(),
        due,
    })
}

fn check_totals(header: &Record<'_>, rows: &[Row], trailer: &Record<'_>) -> Result<(), String> {
    let count = rows.len() as i64;
    let amount = rows.iter().map(|row| row.due).sum::<Money>().fen();
    header.total("rows", header.number(87, 8)?, count)?;
    header.total("amount in fen", header.number(95, 15)?, amount)?;
    trailer.exactly(0, "T")?;
    trailer.total("rows", trailer.number(1, 8)?, count)?;
    trailer.total("amount in fen", trailer.number(9, 15)?, amount)?;
    let tails = rows.iter().map(|row| account_tail(&row.account)).sum::<Result<i64, _>>()?;
    trailer.total("sum of account tails", trailer.number(24, 16)?, tails)?;
    trailer.only(104, 196, b' ')
}

fn account_tail(account: &str) -> Result<i64, String> {
    let tail = account.len().checked_sub(8).and_then(|from| account.get(from..));
    let number = tail.filter(|tail| tail.bytes().all(|b| b.is_ascii_digit())).and_then(|tail| tail.parse().ok());
    number.ok_or_else(|| "expected accounts that end in 8 digits".into())
}

pub(super) fn reply(exchange: &Exchange, today: Date) -> Vec<ReturnFile> {
    let request = &exchange.request;
    let mut bytes = reply_header(request, &Totals::of(exchange.rows()), "0000", "受理成功", today);
    bytes.extend_from_slice(END);
    for (row, answer) in exchange.rows() {
        bytes.extend(reply_detail(exchange.booked_on, row, answer));
        bytes.extend_from_slice(END);
    }
    vec![finish(request, bytes)]
}

/// The batch was here before: the file comes back whole, and no row of it moved.
pub(super) fn refuse_again(request: &Request, today: Date) -> ReturnFile {
    let mut bytes = reply_header(request, &Totals::default(), "F002", "批次重复", today);
    bytes.extend_from_slice(END);
    for row in &request.rows {
        bytes.extend_from_slice(&row.line);
        bytes.extend_from_slice(END);
    }
    finish(request, bytes)
}

fn finish(request: &Request, mut bytes: Vec<u8>) -> ReturnFile {
    let mut trailer = request.trailer.clone();
    put(&mut trailer, 40, 64, sm3_hex(&bytes).as_bytes());
    bytes.extend(trailer);
    bytes.extend_from_slice(END);
    ReturnFile { name: request.name.replace(".REQ", ".RSP"), bytes }
}

fn reply_header(request: &Request, totals: &Totals, code: &str, words: &str, today: Date) -> Vec<u8> {
    let mut header = request.header.clone();
    put(&mut header, 1, 3, b"RSP");
    put_number(&mut header, 110, 8, totals.ok_rows);
    put_number(&mut header, 118, 15, totals.ok.fen());
    put_number(&mut header, 133, 8, totals.failed_rows);
    put_number(&mut header, 141, 15, totals.failed.fen());
    put(&mut header, 188, 4, code.as_bytes());
    put(&mut header, 192, 60, &gbk(words));
    put(&mut header, 252, 14, format!("{}080000", yyyymmdd(today)).as_bytes());
    header
}

fn reply_detail(booked_on: Date, row: &Row, answer: &Answer) -> Vec<u8> {
    let (code, words) = says(answer.behaviour);
    let actual = answer.actual(row.due);
    let mut record = row.line.clone();
    put_number(&mut record, 184, 12, actual.fen());
    put(&mut record, 196, 4, code.as_bytes());
    put(&mut record, 200, 40, &gbk(words));
    if actual.is_positive() {
        put(&mut record, 240, 14, format!("{}231500", yyyymmdd(booked_on)).as_bytes());
        put(&mut record, 254, 20, format!("B{:019}", answer.serial).as_bytes());
    }
    record
}

fn says(behaviour: Behaviour) -> (&'static str, &'static str) {
    match behaviour {
        Behaviour::Pays | Behaviour::Partial | Behaviour::Over => ("0000", "扣款成功"),
        Behaviour::InsufficientFunds => ("1001", "余额不足"),
        Behaviour::NoAccount => ("1002", "账号不存在"),
        Behaviour::NameMismatch => ("1003", "户名不符"),
        Behaviour::Frozen => ("1004", "账户冻结"),
        Behaviour::Closed => ("1005", "账户已销户"),
        Behaviour::Lost => ("1006", "账户挂失"),
        Behaviour::NoAgreement => ("1008", "未签约"),
        Behaviour::IdMismatch => ("1009", "证件不符"),
        Behaviour::Limit => ("1011", "超限额"),
        Behaviour::Duplicate => ("2001", "重复扣款"),
        Behaviour::Unknown | Behaviour::UnknownTaken => ("9001", "处理超时,结果待查"),
        Behaviour::Other => ("9999", "其他原因"),
    }
}
