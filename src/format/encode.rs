//! Writes a bank's file: requests from instructions, fast; any file from named values, for people and tests.
//!
//! Nothing is cut or replaced: a text that does not fit its field, or that the charset cannot say, is refused. Counts,
//! sums and digests are always worked out here, whatever was given.

use crate::domain::calendar::{self, Date, DateTime, FeeYear};
use crate::domain::ids::{BatchNumber, IdNumber};
use crate::domain::money::Money;
use crate::format::charset::{Charset, TextFault};
use crate::format::defect::{self, fault_zh};
use crate::format::digest::{Algorithm, Hasher};
use crate::format::field::{self, Fault, FieldKind, FieldLayout};
use crate::format::layout::{FileKind, FileLayout, Layout, RecordKind, RecordLayout};
use crate::format::role::Role;
use crate::format::totals::{self, Totals};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

/// What a request says besides its rows.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// `[bank.header]`.
    pub bank: &'a BTreeMap<String, String>,
    /// The batch.
    pub batch: BatchNumber,
    /// The year the money is for.
    pub fee_year: FeeYear,
    /// The day the bank shall take the money.
    pub debit_on: Date,
    /// Time of drafting; part of the approved bytes.
    pub created: DateTime,
    /// Rows to come.
    pub count: u64,
    /// Their sum.
    pub sum: Money,
}

/// One instruction to write.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its place in the batch, from 1 without gaps; with the batch number it is the instruction number.
    pub sequence: u32,
    /// The person.
    pub id_number: IdNumber,
    /// The account, as the bank knows it.
    pub account: &'a str,
    /// The account's holder, as on the roster.
    pub name: &'a str,
    /// 社保编号, or empty.
    pub person: &'a str,
    /// What to take.
    pub amount: Money,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub bytes: u64,
    /// What the rows add up to.
    pub totals: Totals,
    /// SM3 over the bytes the layout names: all before the trailer, or the whole file.
    pub digest: String,
}

/// A value that cannot stand in its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The bank's name of the field.
    pub field: String,
    /// Its Chinese name.
    pub title: String,
    /// Bytes of the field.
    pub width: usize,
    /// Why not.
    pub fault: Fault,
}

impl FieldFault {
    fn new(field: &FieldLayout, fault: Fault) -> FieldFault {
        FieldFault { field: field.name.clone(), title: field.title.clone(), width: field.width, fault }
    }

    /// The wording for clerks.
    pub fn message_zh(&self) -> String {
        format!("“{}”{}", self.title, fault_zh(&self.fault))
    }

    /// The same without the character that cannot be said: a rare one in a name says who somebody is.
    pub fn impersonal_zh(&self) -> String {
        match self.fault {
            Fault::Text(TextFault::Unsayable(_)) => format!("“{}”含生僻字，银行字符集无法表示", self.title),
            _ => self.message_zh(),
        }
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.field, defect::expected(&self.fault, self.width))
    }
}

impl std::error::Error for FieldFault {}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The bank has no file of this kind.
    #[error("the layout {layout} has no {} file", kind.word())]
    NoSuchFile {
        /// The layout's key.
        layout: String,
        /// The kind asked for.
        kind: FileKind,
    },
    /// `[bank.header]` lacks a value the layout needs.
    #[error("[bank.header] has no {key}, which the layout {layout} needs")]
    NoBankValue {
        /// The layout's key.
        layout: String,
        /// The key in `[bank.header]`.
        key: String,
    },
    /// A value that cannot stand in its field.
    #[error("{} {number}: {source}", record.word())]
    Field {
        /// Which record.
        record: RecordKind,
        /// Its number among all records of the file (from named values) or its sequence (from instructions).
        number: u64,
        /// The field and why not.
        source: FieldFault,
    },
    /// A field or record that the layout does not have.
    #[error("{} {number}: the layout has no {name}", record.word())]
    Unknown {
        /// Which record.
        record: RecordKind,
        /// Its number among all records of the file.
        number: u64,
        /// The name given.
        name: String,
    },
    /// The rows are not those announced.
    #[error("the envelope announced {expected}, the rows came to {found}")]
    Totals {
        /// Rows and sum announced.
        expected: String,
        /// Rows and sum written.
        found: String,
    },
    /// The file could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Whether a value can stand in the request's field of this role: asked before an instruction is made. A role the
/// layout does not have takes anything.
pub fn fits(layout: &Layout, role: Role, value: &str) -> Result<(), FieldFault> {
    let detail = layout.file(FileKind::Request).and_then(|file| file.record(RecordKind::Detail));
    let Some(field) = detail.and_then(|detail| detail.field(role)) else { return Ok(()) };
    field.fits(value, layout.charset).map_err(|fault| FieldFault::new(field, fault))
}

/// What `[bank.header]` lacks or has wrong for the files of a layout: everything at once.
pub fn check_bank(layout: &Layout, bank: &BTreeMap<String, String>) -> Vec<EncodeError> {
    let mut faults = Vec::new();
    for record in layout.file(FileKind::Request).iter().flat_map(|file| &file.records) {
        for field in &record.fields {
            let Some(key) = &field.bank else { continue };
            match bank.get(key) {
                None => faults.push(EncodeError::NoBankValue { layout: layout.key.clone(), key: key.clone() }),
                Some(value) => {
                    let fits = field.fits(value, layout.charset);
                    faults.extend(fits.err().map(|fault| field_error(record, 1, field, fault)));
                }
            }
        }
    }
    let width = layout.file(FileKind::Request).and_then(|file| file.name.agency_width());
    let agency = bank.get("agency").map(String::as_str).unwrap_or_default();
    if let Some(width) = width.filter(|width| *width != agency.len() || !agency.is_ascii()) {
        let key = format!("agency of {width} characters for file names");
        faults.push(EncodeError::NoBankValue { layout: layout.key.clone(), key });
    }
    faults
}

/// Writes one request, row by row, without an allocation per row. The caller moves the bytes and may compute the
/// digest on another thread; [`write_request`] does both in one call.
#[derive(Debug)]
pub struct RequestEncoder<'l> {
    charset: Charset,
    template: Vec<u8>,
    slots: Vec<(Slot, &'l FieldLayout)>,
    header: Vec<u8>,
    trailer: Option<(&'l RecordLayout, Vec<u8>)>,
    announced: (u64, Money),
    totals: Totals,
}

/// What changes from row to row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Sequence,
    Instruction,
    IdNumber,
    Account,
    Name,
    Person,
    Fen,
    Yuan,
}

/// Digits of the batch number, at the beginning of every instruction number.
const BATCH_DIGITS: usize = 16;
const SEQUENCE_DIGITS: usize = 8;

impl<'l> RequestEncoder<'l> {
    /// A request of this envelope.
    pub fn new(layout: &'l Layout, envelope: &Envelope<'_>) -> Result<RequestEncoder<'l>, EncodeError> {
        let file = file_of(layout, FileKind::Request)?;
        let value = |field: &FieldLayout| envelope_value(layout, envelope, field);
        let mut header = Vec::new();
        if let Some(record) = file.record(RecordKind::Header) {
            render(file, record, 1, value, &mut header)?;
        }
        let trailer = match file.record(RecordKind::Trailer) {
            Some(record) => {
                let mut bytes = Vec::new();
                render(file, record, 1, value, &mut bytes)?;
                Some((record, bytes))
            }
            None => None,
        };
        let detail = file.record(RecordKind::Detail).expect("a request has rows");
        let mut template = Vec::new();
        render(file, detail, 1, |field| row_constant(layout, envelope, field), &mut template)?;
        let slots = detail.fields.iter().filter_map(|field| Some((slot(field)?, field))).collect();
        let announced = (envelope.count, envelope.sum);
        let totals = Totals::default();
        Ok(RequestEncoder { charset: layout.charset, template, slots, header, trailer, announced, totals })
    }

    /// Appends what comes before the rows.
    pub fn header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header);
    }

    /// Appends a row, or nothing where one of its values cannot be written.
    pub fn row(&mut self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        assert_eq!(u64::from(row.sequence), self.totals.count + 1, "rows of a batch come in order, without gaps");
        let start = out.len();
        out.extend_from_slice(&self.template);
        let line = &mut out[start..];
        for (slot, field) in &self.slots {
            if let Err(fault) = put(*slot, row, &mut line[field.span()], self.charset) {
                out.truncate(start);
                let source = FieldFault::new(field, fault);
                return Err(EncodeError::Field { record: RecordKind::Detail, number: u64::from(row.sequence), source });
            }
        }
        self.totals.add_request(row.amount, row.account.as_bytes());
        Ok(())
    }

    /// Appends what comes after the rows. `digest` is the SM3 of everything appended so far.
    pub fn finish(self, digest: &str, out: &mut Vec<u8>) -> Result<Totals, EncodeError> {
        let found = (self.totals.count, self.totals.sum);
        if found != (self.announced.0, i128::from(self.announced.1.fen())) {
            let expected = format!("{} rows of {}", self.announced.0, self.announced.1);
            let found = format!("{} rows of {}", found.0, totals::shown(Role::Sum, found.1));
            return Err(EncodeError::Totals { expected, found });
        }
        if let Some((record, mut bytes)) = self.trailer {
            for (role, value) in [(Role::TailSum, self.totals.tail_sum.to_string()), (Role::Digest, digest.to_owned())]
            {
                let Some(field) = record.field(role) else { continue };
                let written = field.write(&value, &mut bytes[field.span()], self.charset);
                written.map_err(|fault| field_error(record, 1, field, fault))?;
            }
            out.extend_from_slice(&bytes);
        }
        Ok(self.totals)
    }
}

/// Writes a whole request and computes its digest on the way.
pub fn write_request<'r>(
    layout: &Layout,
    envelope: &Envelope<'_>,
    rows: impl IntoIterator<Item = Row<'r>>,
    out: &mut impl Write,
) -> Result<Written, EncodeError> {
    let mut encoder = RequestEncoder::new(layout, envelope)?;
    let mut hasher = Hasher::new(Algorithm::Sm3);
    let mut buffer = Vec::with_capacity(CHUNK + encoder.template.len());
    let mut bytes = 0;
    encoder.header(&mut buffer);
    for row in rows {
        encoder.row(&row, &mut buffer)?;
        if buffer.len() >= CHUNK {
            hasher.update(&buffer);
            out.write_all(&buffer)?;
            bytes += buffer.len() as u64;
            buffer.clear();
        }
    }
    hasher.update(&buffer);
    let digest = hasher.finish();
    let totals = encoder.finish(&digest, &mut buffer)?;
    out.write_all(&buffer)?;
    Ok(Written { bytes: bytes + buffer.len() as u64, totals, digest })
}

/// Bytes held before they are handed on.
const CHUNK: usize = 1 << 18;

/// The control file of a request that was written; `None` where the bank wants none.
pub fn request_control(
    layout: &Layout,
    envelope: &Envelope<'_>,
    data_name: &str,
    data: &Written,
) -> Result<Option<Vec<u8>>, EncodeError> {
    let Some(file) = layout.file(FileKind::RequestControl) else { return Ok(None) };
    let record = file.record(RecordKind::Control).expect("a control file has one record");
    let mut bytes = Vec::new();
    let value = |field: &FieldLayout| match field.role {
        Some(Role::FileName) => Ok(data_name.to_owned()),
        Some(Role::FileSize) => Ok(data.bytes.to_string()),
        Some(Role::Digest) => Ok(data.digest.clone()),
        _ => envelope_value(layout, envelope, field),
    };
    render(file, record, 1, value, &mut bytes)?;
    Ok(Some(bytes))
}

fn file_of(layout: &Layout, kind: FileKind) -> Result<&FileLayout, EncodeError> {
    layout.file(kind).ok_or_else(|| EncodeError::NoSuchFile { layout: layout.key.clone(), kind })
}

fn field_error(record: &RecordLayout, number: u64, field: &FieldLayout, fault: Fault) -> EncodeError {
    EncodeError::Field { record: record.kind, number, source: FieldFault::new(field, fault) }
}

/// Appends one record: each field's value, delimiters, the line end.
fn render(
    file: &FileLayout,
    record: &RecordLayout,
    number: u64,
    mut value: impl FnMut(&FieldLayout) -> Result<String, EncodeError>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.resize(start + record.width, record.delimiter.unwrap_or(b' '));
    for field in &record.fields {
        let value = value(field)?;
        let bytes = &mut out[start..][field.span()];
        // What is filled in later is proved then.
        let is_later = value.is_empty() || slot(field).is_some();
        let written = match is_later {
            true => field.write_value(&value, bytes, record.charset()),
            false => field.write(&value, bytes, record.charset()),
        };
        written.map_err(|fault| field_error(record, number, field, fault))?;
    }
    out.extend_from_slice(file.line_end.bytes());
    Ok(())
}

/// What stands in a field of a header, trailer or control record before the rows are known.
fn envelope_value(layout: &Layout, envelope: &Envelope<'_>, field: &FieldLayout) -> Result<String, EncodeError> {
    if let Some(constant) = &field.constant {
        return Ok(constant.clone());
    }
    if let Some(key) = &field.bank {
        let missing = || EncodeError::NoBankValue { layout: layout.key.clone(), key: key.clone() };
        return envelope.bank.get(key).cloned().ok_or_else(missing);
    }
    Ok(match field.role {
        Some(Role::Batch) => envelope.batch.to_string(),
        Some(Role::BatchDate) => envelope.batch.drafted_on().to_string(),
        Some(Role::FeeYear) => envelope.fee_year.to_string(),
        Some(Role::FeePeriod) => format!("{}00", envelope.fee_year),
        Some(Role::ValueDate) => calendar::yyyymmdd(envelope.debit_on).to_string(),
        Some(Role::Created) => envelope.created.strftime("%Y%m%d%H%M%S").to_string(),
        Some(Role::Count) => envelope.count.to_string(),
        Some(Role::Sum) => envelope.sum.to_string(),
        Some(Role::DigestAlgorithm) => Algorithm::Sm3.word().to_owned(),
        _ => empty_value(field),
    })
}

/// Nothing, as the field's kind writes it.
fn empty_value(field: &FieldLayout) -> String {
    match field.kind {
        FieldKind::Number => "0".to_owned(),
        FieldKind::Fen | FieldKind::Yuan => Money::ZERO.to_string(),
        _ => String::new(),
    }
}

/// What stands in a field of every row.
fn row_constant(layout: &Layout, envelope: &Envelope<'_>, field: &FieldLayout) -> Result<String, EncodeError> {
    match slot(field) {
        Some(Slot::Instruction) => Ok(envelope.batch.to_string()),
        Some(_) => Ok(empty_value(field)),
        None => envelope_value(layout, envelope, field),
    }
}

fn slot(field: &FieldLayout) -> Option<Slot> {
    if field.constant.is_some() {
        return None;
    }
    Some(match field.role? {
        Role::Sequence => Slot::Sequence,
        Role::Instruction => Slot::Instruction,
        Role::IdNumber => Slot::IdNumber,
        Role::Account => Slot::Account,
        Role::Name => Slot::Name,
        Role::Person => Slot::Person,
        Role::Amount if field.kind == FieldKind::Yuan => Slot::Yuan,
        Role::Amount => Slot::Fen,
        _ => return None,
    })
}

/// Writes what changes over a field of the template, whose padding is there already.
#[inline]
fn put(slot: Slot, row: &Row<'_>, field: &mut [u8], charset: Charset) -> Result<(), Fault> {
    match slot {
        Slot::Sequence => field::put_digits(u64::from(row.sequence), field),
        Slot::Instruction => {
            let needed = Fault::TooLong(BATCH_DIGITS + SEQUENCE_DIGITS);
            let digits = field.get_mut(BATCH_DIGITS..BATCH_DIGITS + SEQUENCE_DIGITS).ok_or(needed)?;
            field::put_digits(u64::from(row.sequence), digits)
        }
        Slot::IdNumber => put_ascii(&row.id_number.bytes(), field),
        Slot::Account => put_ascii(row.account.as_bytes(), field).and_then(|()| needs_a_value(field)),
        Slot::Person => put_ascii(row.person.as_bytes(), field),
        Slot::Name => {
            let written = charset.encode(row.name, field).map_err(Fault::Text)?;
            written.ok_or_else(|| Fault::TooLong(charset.width(row.name).unwrap_or_default()))?;
            needs_a_value(field)
        }
        Slot::Fen | Slot::Yuan if !row.amount.is_positive() => Err(Fault::NotPositive),
        Slot::Fen => field::write_fen(row.amount, field),
        Slot::Yuan => field::write_yuan(row.amount, field),
    }
}

fn put_ascii(text: &[u8], field: &mut [u8]) -> Result<(), Fault> {
    let outside = text.iter().fold(0, |outside, b| outside | b.wrapping_sub(b' ').saturating_sub(b'~' - b' '));
    if outside > 0 {
        return Err(Fault::Ascii(text.iter().position(|b| !(b' '..=b'~').contains(b)).unwrap_or_default()));
    }
    field.get_mut(..text.len()).ok_or(Fault::TooLong(text.len()))?.copy_from_slice(text);
    Ok(())
}

/// A text that begins with a space is empty or not at the left.
fn needs_a_value(field: &[u8]) -> Result<(), Fault> {
    if field[0] == b' ' { Err(Fault::Empty) } else { Ok(()) }
}

/// One record as named values: field name → value without padding, amounts in yuan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRecord {
    /// Which record.
    pub record: RecordKind,
    /// Its values; a field left out is empty, zero or its constant.
    pub fields: BTreeMap<String, String>,
}

/// What a control file takes from its data file instead of its own values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its bytes.
    pub bytes: u64,
    /// What its rows add up to.
    pub totals: Totals,
    /// Its digest.
    pub digest: String,
}

/// Writes any file of a layout from named values, or names every fault. Counts, sums, tail sums and digests are worked
/// out. A control file is written from its own values, or, where `data` is given, from those of its data file.
///
/// A value that is only a reason for a flag (a day that does not exist, a wrong check character) is written: banks
/// do so, and what reads them must be tried on it.
pub fn encode(
    layout: &Layout,
    kind: FileKind,
    records: &[NamedRecord],
    data: Option<&DataFile>,
) -> Result<Vec<u8>, Vec<EncodeError>> {
    let file = file_of(layout, kind).map_err(|error| vec![error])?;
    let mut faults = Vec::new();
    let mut totals = data.map_or_else(Totals::default, |data| data.totals);
    let mut lines = Vec::new();
    for (number, named) in (1..).zip(records) {
        lines.push(match file.record(named.record) {
            Some(record) if record.kind == RecordKind::Detail => {
                let line = named_line(file, record, number, named, |_| None, &mut faults);
                totals.add(&row_of(record, &line), &layout.codes);
                line
            }
            Some(_) => Vec::new(),
            None => {
                let name = format!("{} record", named.record.word());
                faults.push(EncodeError::Unknown { record: named.record, number, name });
                Vec::new()
            }
        });
    }
    let mut out = Vec::new();
    for ((number, named), line) in (1..).zip(records).zip(lines) {
        out.extend_from_slice(&line);
        let Some(record) = file.record(named.record).filter(|record| record.kind != RecordKind::Detail) else {
            continue;
        };
        let digest = match (record.kind, data) {
            (RecordKind::Control, data) => data.map(|data| data.digest.clone()),
            _ => record.field(Role::Digest).map(|_| Algorithm::Sm3.of(&out)),
        };
        let own_values = record.kind == RecordKind::Control && data.is_none();
        let computed = |role: Role| match role {
            _ if own_values => None,
            Role::Digest => digest.clone(),
            Role::FileSize => data.map(|data| data.bytes.to_string()),
            role => Some(totals::shown(role, totals.of(role)?)),
        };
        out.extend(named_line(file, record, number, named, computed, &mut faults));
    }
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

fn row_of<'a>(record: &'a RecordLayout, line: &'a [u8]) -> crate::format::record::Record<'a> {
    let bytes = &line[..record.width];
    crate::format::record::Record { layout: record, bytes, line: 0, offset: 0, is_sound: true }
}

/// One line from named values; faults are collected, and their fields stay spaces.
fn named_line(
    file: &FileLayout,
    record: &RecordLayout,
    number: u64,
    named: &NamedRecord,
    computed: impl Fn(Role) -> Option<String>,
    faults: &mut Vec<EncodeError>,
) -> Vec<u8> {
    let is_known = |name: &str| record.fields.iter().any(|field| field.name == name);
    for name in named.fields.keys().filter(|name| !is_known(name)) {
        faults.push(EncodeError::Unknown { record: record.kind, number, name: format!("field {name}") });
    }
    let mut line = vec![record.delimiter.unwrap_or(b' '); record.width];
    for field in &record.fields {
        let given = named.fields.get(&field.name).cloned().or_else(|| field.constant.clone());
        let computed = field.role.and_then(&computed).filter(|_| field.constant.is_none());
        let value = computed.or(given).unwrap_or_else(|| empty_value(field));
        let written = field.write(&value, &mut line[field.span()], record.charset());
        if let Err(fault) = written.or_else(|fault| if is_written(&fault) { Ok(()) } else { Err(fault) }) {
            faults.push(field_error(record, number, field, fault));
        }
    }
    line.extend_from_slice(file.line_end.bytes());
    line
}

/// A flag found after writing; text that the charset cannot say was never written.
fn is_written(fault: &Fault) -> bool {
    fault.is_flag() && !matches!(fault, Fault::Text(_))
}
