//! `daikou layout sample`: a small made-up exchange of any layout.

use super::{LayoutCommandError, Result};
use crate::domain::calendar::{Date, DateTime};
use crate::domain::ids::{BatchNumber, IdNumber};
use crate::domain::money::Money;
use crate::domain::returns::{FileAnswer, Outcome};
use crate::format::decode;
use crate::format::digest::Algorithm;
use crate::format::encode::{self, DataFile, EncodeError, Envelope, NamedRecord, Row};
use crate::format::field::{FieldKind, FieldLayout};
use crate::format::layout::{FileKind, Layout, RecordKind, RecordLayout};
use crate::format::names::NameParts;
use crate::format::role::Role;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Made-up people: area code 500199 and accounts beginning 9999 are unassigned.
const PEOPLE: [(i64, &str, &str, i64); 3] = [
    (50_019_919_700_101_001, "9999000000000000012", "测试甲", 3_000),
    (50_019_919_700_101_002, "9999000000000000020", "测试乙", 13_000),
    (50_019_919_700_101_003, "9999000000000000038", "测试·丙", 3_000),
];
const DRAFTED: Date = Date::constant(2018, 7, 5);
const BOOKED: &str = "20180706231500";

/// Writes request and return, with control files where the bank has them.
pub(super) fn sample(layout: &Layout, dir: &Path, json: bool) -> Result<bool> {
    let bank = bank_header(layout);
    let envelope = Envelope {
        bank: &bank,
        batch: BatchNumber::new(DRAFTED, 1, 1),
        fee_year: 2018,
        debit_on: DRAFTED.tomorrow().expect("a day in 2018"),
        created: DateTime::constant(2018, 7, 5, 16, 0, 0, 0),
        count: PEOPLE.len() as u64,
        sum: PEOPLE.iter().map(|(.., fen)| Money::from_fen(*fen)).sum(),
    };
    let files = exchange(layout, &envelope)?;
    let mut written = Vec::new();
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::write(&path, bytes).map_err(|source| LayoutCommandError::File { path: path.clone(), source })?;
        written.push(path);
    }
    print(&written, json)?;
    Ok(true)
}

fn print(written: &[PathBuf], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        let names: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
        return writeln!(out, "{}", json!({ "files": names }));
    }
    written.iter().try_for_each(|path| writeln!(out, "{}", path.display()))
}

/// The files of an exchange, in the order in which they come to be.
fn exchange(layout: &Layout, envelope: &Envelope<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let encode_error = |error| LayoutCommandError::Encode(vec![error]);
    let name = |kind, part| {
        let parts = NameParts::of(&envelope.bank["agency"], &envelope.batch.to_string(), part);
        layout.file_name(kind, &parts).ok_or_else(|| {
            LayoutCommandError::Encode(vec![EncodeError::NoSuchFile { layout: layout.key.clone(), kind }])
        })
    };
    let request_name = name(FileKind::Request, None)?;
    let mut request = Vec::new();
    let written = encode::write_request(layout, envelope, rows(), &mut request).map_err(encode_error)?;
    let control = encode::request_control(layout, envelope, &request_name, &written).map_err(encode_error)?;
    let return_name = name(FileKind::Return, Some(1))?;
    let answer = answer(layout, envelope, &request)?;
    let return_control = return_control(layout, &return_name, &answer)?;
    let mut files = vec![(request_name, request)];
    if let Some(bytes) = control {
        files.push((name(FileKind::RequestControl, None)?, bytes));
    }
    files.push((return_name, answer));
    if let Some(bytes) = return_control {
        files.push((name(FileKind::ReturnControl, Some(1))?, bytes));
    }
    Ok(files)
}

fn rows() -> impl Iterator<Item = Row<'static>> {
    (1..).zip(PEOPLE).map(|(sequence, (id, account, name, fen))| Row {
        sequence,
        id_number: IdNumber::from_key(id),
        account,
        name,
        person: "5001990000000001",
        amount: Money::from_fen(fen),
    })
}

/// Made-up values for whatever the bank's header asks.
fn bank_header(layout: &Layout) -> BTreeMap<String, String> {
    let agency = layout.file(FileKind::Request).and_then(|file| file.name.agency_width()).unwrap_or(8);
    let known = [("bank_no", "999653000014"), ("agreement", "XY2018-0001"), ("biz", "JB0101"), ("rtn_days", "5")];
    let value = |key: &str| match key {
        "agency" => format!("500199{:0>width$}", 1, width = agency.saturating_sub(6)),
        "credit_acct" => "9999000000000000001".to_owned(),
        _ => known.iter().find(|(known, _)| *known == key).map_or("1", |(_, value)| value).to_owned(),
    };
    layout.bank_keys().into_iter().map(|key| (key.to_owned(), value(key))).collect()
}

/// The return to a request: the first row taken, the others not.
fn answer(layout: &Layout, envelope: &Envelope<'_>, request: &[u8]) -> Result<Vec<u8>> {
    let file = layout.file(FileKind::Return).expect("a layout has returns");
    let named = |record: &RecordLayout, value: &dyn Fn(&FieldLayout) -> Option<String>| {
        let fields = record.fields.iter().filter(|field| field.constant.is_none());
        let fields = fields.filter_map(|field| Some((field.name.clone(), value(field)?))).collect();
        NamedRecord { record: record.kind, fields }
    };
    let envelope_record =
        |kind| file.record(kind).map(|record| named(record, &|field| envelope_value(layout, envelope, field)));
    let mut records: Vec<NamedRecord> = envelope_record(RecordKind::Header).into_iter().collect();
    let detail = file.record(RecordKind::Detail).expect("a return has rows");
    decode::decode(layout, FileKind::Request, request, None, &mut |row| {
        if row.kind() == RecordKind::Detail {
            let is_ok = !records.iter().any(|record| record.record == RecordKind::Detail);
            let echo = |role| {
                let field = row.fields().find(|(field, _)| field.role == Some(role))?.0;
                row.value(field).ok()
            };
            records.push(named(detail, &|field| row_value(layout, field, is_ok, &echo)));
        }
    });
    records.extend(envelope_record(RecordKind::Trailer));
    encode::encode(layout, FileKind::Return, &records, None).map_err(LayoutCommandError::Encode)
}

fn envelope_value(layout: &Layout, envelope: &Envelope<'_>, field: &FieldLayout) -> Option<String> {
    let accepted = || layout.codes.files().iter().find(|file| file.answer == FileAnswer::Accepted);
    if let Some(key) = &field.bank {
        return envelope.bank.get(key).cloned();
    }
    match (field.role, field.kind) {
        (Some(Role::Batch), _) => Some(envelope.batch.to_string()),
        (Some(Role::FeeYear), _) => Some(envelope.fee_year.to_string()),
        (Some(Role::PartNo), _) => Some("1".to_owned()),
        (Some(Role::Final), _) => Some("Y".to_owned()),
        (Some(Role::FileCode), _) => Some(accepted()?.code.clone()),
        (Some(Role::FileMessage), _) => Some(accepted()?.title.clone()),
        (_, FieldKind::DateTime) => Some(BOOKED.to_owned()),
        (_, FieldKind::Date) => Some(BOOKED[..8].to_owned()),
        _ => None,
    }
}

fn row_value(
    layout: &Layout,
    field: &FieldLayout,
    is_ok: bool,
    echo: &dyn Fn(Role) -> Option<String>,
) -> Option<String> {
    let code = layout.codes.rows().iter().find(|row| (row.outcome == Outcome::Ok) == is_ok);
    match field.role? {
        Role::Code => Some(code?.code.clone()),
        Role::Message => Some(code?.title.clone()),
        Role::Actual => Some(if is_ok { echo(Role::Amount)? } else { Money::ZERO.to_string() }),
        Role::BookedOn if !is_ok => None,
        Role::BookedTime if !is_ok => None,
        Role::Serial => is_ok.then(|| "S1".to_owned()),
        Role::BookedTime => Some(BOOKED[8..].to_owned()),
        Role::BookedOn if field.kind == FieldKind::Date => Some(BOOKED[..8].to_owned()),
        Role::BookedOn => Some(BOOKED.to_owned()),
        role => echo(role),
    }
}

fn return_control(layout: &Layout, name: &str, data: &[u8]) -> Result<Option<Vec<u8>>> {
    let Some(record) = layout.file(FileKind::ReturnControl).and_then(|file| file.record(RecordKind::Control)) else {
        return Ok(None);
    };
    let decoded = decode::decode(layout, FileKind::Return, data, Some(Algorithm::Sm3), &mut |_| {})
        .expect("a layout has returns");
    let value = |field: &FieldLayout| match field.role? {
        Role::FileName => Some(name.to_owned()),
        Role::DigestAlgorithm => Some(Algorithm::Sm3.word().to_owned()),
        Role::Created => Some(BOOKED.to_owned()),
        _ => None,
    };
    let fields = record.fields.iter().filter_map(|field| Some((field.name.clone(), value(field)?))).collect();
    let data =
        DataFile { bytes: data.len() as u64, totals: decoded.totals, digest: decoded.digest.unwrap_or_default() };
    let records = [NamedRecord { record: RecordKind::Control, fields }];
    let bytes = encode::encode(layout, FileKind::ReturnControl, &records, Some(&data));
    bytes.map(Some).map_err(LayoutCommandError::Encode)
}
