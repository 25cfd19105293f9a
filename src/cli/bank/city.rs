//! The city bank: `CSH_…_Q.DAT` is answered by `_R01.DAT` … `_Rnn.DAT`, the final one first. LF, GB 18030, fen,
//! every field followed by a bar that is checked and never split on.

use super::record::{Record, cut, put, put_number, sm3_hex, speaks_gb18030};
use super::{Answer, Behaviour, Exchange, Request, ReturnFile, Row, Totals, gbk, name_of};
use crate::domain::calendar::{Date, from_yyyymmdd, yyyymmdd};
use crate::domain::money::Money;

const HEADER: usize = 120;
const DETAIL: usize = 284;
const TRAILER: usize = 92;

pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Request, String> {
    let rest = bytes.len().saturating_sub(HEADER + TRAILER + 2);
    let widths =
        std::iter::once(HEADER).chain(std::iter::repeat_n(DETAIL, rest / (DETAIL + 1))).chain(std::iter::once(TRAILER));
    let records = cut(bytes, widths, b"\n")?;
    let [header, details @ .., trailer] = records.as_slice() else { unreachable!("cut gives every width") };
    read_header(name, header)?;
    let rows = details.iter().enumerate().map(|(i, record)| read_detail(i, record)).collect::<Result<Vec<_>, _>>()?;
    check_totals(header, &rows, trailer)?;
    trailer.exactly(27, &sm3_hex(&bytes[..bytes.len() - TRAILER - 1]))?;
    Ok(Request {
        name: name.into(),
        batch: header.text(22, 20)?.into(),
        header: header.bytes.into(),
        rows,
        trailer: Vec::new(),
        value_date: None,
    })
}

fn read_header(name: &str, header: &Record<'_>) -> Result<(), String> {
    bars(header, &[1, 6, 21, 42, 49, 58, 61, 70, 86, 119])?;
    header.exactly(0, "0")?;
    header.exactly(2, "C1.0")?;
    let agency = header.text(7, 14)?;
    let batch = header.text(22, 20)?;
    header.text(43, 6)?;
    let date = header.number(50, 8)?;
    if from_yyyymmdd(date).is_none() || !batch.starts_with(&date.to_string()) {
        return Err("line 1, bytes 51-58: expected the date of the batch number".into());
    }
    header.number(59, 2)?;
    header.text(87, 32)?;
    let expected = format!("CSH_{agency}_{batch}_Q.DAT");
    if name == expected { Ok(()) } else { Err(format!("expected the name {expected}")) }
}

fn read_detail(index: usize, record: &Record<'_>) -> Result<Row, String> {
    bars(record, &[1, 10, 43, 76, 197, 200, 219, 235, 237, 242, 283])?;
    record.exactly(0, "1")?;
    record.exactly(2, &format!("{:08}", index + 1))?;
    record.chinese(77, 120, speaks_gb18030)?;
    record.exactly(198, "01")?;
    let due = record.fen(220, 15)?;
    if !due.is_positive() {
        return Err(format!("line {}, bytes 221-235: expected an amount above zero", record.line));
    }
    record.exactly(236, "B")?;
    record.number(238, 4)?;
    record.chinese(243, 40, speaks_gb18030)?;
    Ok(Row {
        line: record.bytes.into(),
        instruction: record.text(11, 32)?.into(),
        account: record.text(44, 32)?.into(),
        name: name_of(record.raw(77, 120)),
        person: record.identity(201)?.into(),
        fee_year: record.text(238, 4)?.into(),
        due,
    })
}

fn check_totals(header: &Record<'_>, rows: &[Row], trailer: &Record<'_>) -> Result<(), String> {
    bars(trailer, &[1, 10, 26, 91])?;
    let count = rows.len() as i64;
    let amount = rows.iter().map(|row| row.due).sum::<Money>().fen();
    header.total("rows", header.number(62, 8)?, count)?;
    header.total("amount in fen", header.number(71, 15)?, amount)?;
    trailer.exactly(0, "9")?;
    trailer.total("rows", trailer.number(2, 8)?, count)?;
    trailer.total("amount in fen", trailer.number(11, 15)?, amount)
}

fn bars(record: &Record<'_>, places: &[usize]) -> Result<(), String> {
    places.iter().try_for_each(|at| record.exactly(*at, "|"))
}

/// Rows are dealt in turn to the files, as machines finish at different times, and the final file is dropped first.
pub(super) fn reply(exchange: &Exchange, today: Date) -> Vec<ReturnFile> {
    let rows = exchange.request.rows.len().max(1);
    let parts = exchange.return_files.unwrap_or_else(|| parts_of(rows)).clamp(1, rows);
    let mut files: Vec<ReturnFile> = (0..parts).map(|part| reply_part(exchange, part, parts, today)).collect();
    files.rotate_right(1);
    files
}

fn parts_of(rows: usize) -> usize {
    match rows {
        0..=1 => 1,
        2..=49 => 2,
        _ => 3,
    }
}

fn reply_part(exchange: &Exchange, part: usize, parts: usize, today: Date) -> ReturnFile {
    let rows = || exchange.rows().skip(part).step_by(parts);
    let totals = Totals::of(rows());
    let mut bytes = reply_header(&exchange.request, part, part + 1 == parts, totals.rows, today);
    for (row, answer) in rows() {
        bytes.extend(reply_detail(exchange.booked_on, row, answer));
    }
    let digest = sm3_hex(&bytes);
    let (ok, failed) = (totals.ok.fen(), totals.failed.fen());
    let trailer = format!(
        "9|{:08}|{:08}|{ok:015}|{:08}|{failed:015}|{digest}|\n",
        totals.rows, totals.ok_rows, totals.failed_rows
    );
    bytes.extend_from_slice(trailer.as_bytes());
    ReturnFile { name: exchange.request.name.replace("_Q.", &format!("_R{:02}.", part + 1)), bytes }
}

fn reply_header(request: &Request, part: usize, is_final: bool, rows: i64, today: Date) -> Vec<u8> {
    let mut record = blank::<156>(&[1, 6, 21, 42, 45, 47, 56, 137, 146, 155]);
    // Record type, version, agency and batch stand where they stood in the request.
    record[..42].copy_from_slice(&request.header[..42]);
    put_number(&mut record, 43, 2, part as i64 + 1);
    put(&mut record, 46, 1, if is_final { b"Y" } else { b"N" });
    put(&mut record, 48, 8, b"0");
    put_number(&mut record, 138, 8, yyyymmdd(today));
    put_number(&mut record, 147, 8, rows);
    record
}

fn reply_detail(booked_on: Date, row: &Row, answer: &Answer) -> Vec<u8> {
    let (code, words) = says(answer);
    let actual = answer.actual(row.due);
    let mut record = blank::<238>(&[1, 34, 67, 83, 99, 108, 189, 204, 237]);
    put(&mut record, 0, 1, b"1");
    put(&mut record, 2, 32, row.instruction.as_bytes());
    put(&mut record, 35, 32, row.account.as_bytes());
    put_number(&mut record, 68, 15, row.due.fen());
    put_number(&mut record, 84, 15, actual.fen());
    put(&mut record, 100, 8, code.as_bytes());
    put(&mut record, 109, 80, &gbk(words));
    if actual.is_positive() {
        put(&mut record, 190, 14, format!("{}230000", yyyymmdd(booked_on)).as_bytes());
        put(&mut record, 205, 32, format!("C{:031}", answer.serial - 1).as_bytes());
    }
    record
}

/// A record of `WIDTH` bytes: spaces, the bars in place, a line end.
fn blank<const WIDTH: usize>(bars: &[usize]) -> Vec<u8> {
    let mut record = vec![b' '; WIDTH];
    for at in bars {
        record[*at] = b'|';
    }
    record.push(b'\n');
    record
}

/// Three codes mean success here: which one comes depends on the branch that keeps the account.
fn says(answer: &Answer) -> (&'static str, &'static str) {
    match answer.behaviour {
        Behaviour::Pays | Behaviour::Partial | Behaviour::Over => match answer.serial % 10 {
            5 => ("0", "成功"),
            8 => ("00", "成功"),
            _ => ("AAAAAAA", "成功"),
        },
        Behaviour::InsufficientFunds => ("51", "账户余额不足"),
        Behaviour::NoAccount => ("14", "账号不存在"),
        Behaviour::NameMismatch => ("E1003-7", "户名含生僻字,核对不符"),
        Behaviour::IdMismatch => ("E1009", "证件号码不符"),
        Behaviour::Frozen => ("62", "账户冻结"),
        Behaviour::Closed => ("E1005", "账户已销户"),
        Behaviour::Lost => ("41", "账户挂失"),
        Behaviour::NoAgreement => ("E1008", "未签约"),
        Behaviour::Limit => ("61", "超限额"),
        Behaviour::Duplicate => ("94", "重复交易"),
        Behaviour::Unknown | Behaviour::UnknownTaken => ("68", "处理超时,结果未知"),
        Behaviour::Other => ("E9999", "系统异常,请联系开户行"),
    }
}
