//! Who must be named: whether a field's bytes are wrong in themselves is judged here by hand, and so is which check
//! has to see what stands well-formed in the wrong place.

use super::exchange::{Bank, Exchange};
use crate::bank_files::Layout;
use daikou::domain::calendar::{Date, Time};
use daikou::format::field::{FieldKind, FieldLayout};
use daikou::format::layout::{FileKind, RecordKind};
use daikou::format::role::Role;
use daikou::pipeline::emit::Finding;

/// A byte that was changed.
pub(super) struct Place<'b> {
    bank: &'b Bank,
    is_control: bool,
    line: usize,
    at: usize,
    record: RecordKind,
    pub(super) field: Option<&'b FieldLayout>,
}

impl<'b> Place<'b> {
    pub(super) fn data(bank: &'b Bank, line: usize, at: usize) -> Place<'b> {
        Place::new(bank, false, line, at, bank.record_of(line))
    }

    pub(super) fn control(bank: &'b Bank, at: usize) -> Place<'b> {
        Place::new(bank, true, 0, at, RecordKind::Control)
    }

    fn new(bank: &'b Bank, is_control: bool, line: usize, at: usize, record: RecordKind) -> Place<'b> {
        let file = if is_control { FileKind::ReturnControl } else { FileKind::Return };
        let fields = &bank.layout.file(file).and_then(|file| file.record(record)).unwrap().fields;
        let field = fields.iter().find(|field| field.span().contains(&at));
        Place { bank, is_control, line, at, record, field }
    }

    pub(super) fn name(&self) -> String {
        match self.field {
            Some(field) => format!("{}.{}", self.record.word(), field.name),
            None => format!("{}: what stands between fields", self.record.word()),
        }
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.field?.role
    }

    /// What is said of a refused file is right: the field where its own bytes are wrong, else the check. Gives which.
    pub(super) fn is_named_by(&self, found: &[Finding], exchange: &Exchange, is_sealed: bool) -> Result<Named, String> {
        let lines: &[Vec<u8>] =
            if self.is_control { std::slice::from_ref(exchange.control.as_ref().unwrap()) } else { &exchange.lines };
        let sound = if self.is_control {
            self.bank.sound.control.as_ref().unwrap()[self.at]
        } else {
            self.bank.sound.lines[self.line][self.at]
        };
        let line = &lines[self.line];
        let here = |finding: &&Finding| finding.row == Some(self.line as u64 + 1);
        let coded = |codes: &[&str]| found.iter().filter(here).any(|finding| codes.contains(&finding.code));
        if matches!(sound, b'\r' | b'\n') || line[self.at] == b'\n' {
            let codes = ["record-length", "line-end", "endless-line", "blank-line", "after-trailer", "unknown-record"];
            return coded(&codes).then_some(Named::Check).ok_or_else(|| "a line of another length".to_owned());
        }
        let Some(field) = self.field else {
            let byte = Some(self.at as u64 + 1);
            let seen = found.iter().filter(here).any(|f| f.code == "delimiter" && f.byte == byte);
            return seen.then_some(Named::Check).ok_or_else(|| format!("the delimiter at byte {}", self.at + 1));
        };
        let named = |codes: &[&str]| {
            let mut mine = found.iter().filter(here).filter(|finding| finding.column == field.name);
            mine.any(|finding| codes.is_empty() || codes.contains(&finding.code))
        };
        if is_wrong(self.bank, field, &line[field.span()]) {
            // The first field says which record a line is: with another value it is another record, in the wrong place.
            let codes = ["unknown-record", "no-header", "header-twice", "after-trailer", "record-length"];
            let is_tag = field.offset == 0 && coded(&codes);
            return (is_tag || named(&[])).then_some(Named::Field).ok_or_else(|| format!("the field {}", field.name));
        }
        for (codes, column) in self.checks(field, is_sealed) {
            let by_other = found.iter().any(|finding| finding.column == column && codes.contains(&finding.code));
            let seen = if column == field.name { named(codes) } else { by_other };
            if !seen {
                return Err(format!("{codes:?} of {column}"));
            }
        }
        Ok(Named::Check)
    }

    /// The checks that must see a value of the right form: codes, and the field that they name.
    fn checks(&self, field: &'b FieldLayout, is_sealed: bool) -> Vec<(&'static [&'static str], &'b str)> {
        let own = field.name.as_str();
        let mut checks: Vec<(&[&str], &str)> = Vec::new();
        if field.contiguous {
            checks.push((&["sequence"], own));
        }
        if is_sealed {
            // Nothing else remains for a refused file: a contradiction to the batch, or a tail that our seal cannot add.
            let is_account = self.role() == Some(Role::Account) && self.bank.request.layout == Layout::Rural;
            match checks.is_empty() {
                true if is_account => checks.push((&["total"], "acct_hash")),
                true => checks.push((&["contradicts-batch", "part-number", "control"], own)),
                false => {}
            }
            return checks;
        }
        let is_total = !matches!(self.record, RecordKind::Detail) && self.role().is_some_and(is_total);
        match (self.bank.request.layout, self.is_control) {
            (Layout::Postal, true) => checks.push((&["control"], own)),
            (Layout::Postal, false) => checks.push((&["control"], "dig")),
            // The trailer is not under the digest: its totals stand for themselves.
            (_, _) if self.record == RecordKind::Trailer && self.role() != Some(Role::Digest) => {}
            _ => checks.push((&["digest"], "sm3")),
        }
        if is_total && !self.is_control {
            checks.push((&["total"], own));
        }
        checks
    }

    /// The classes of exceptions by which a file that is taken may speak of a change here.
    pub(super) fn classes(&self) -> &'static [&'static str] {
        match self.role() {
            Some(Role::Account | Role::IdNumber | Role::Name | Role::Amount) => &["echo-differs"],
            Some(Role::Actual) => &["partial", "over", "contradictory-return", "failure-with-money"],
            Some(Role::Code) => &["failure-with-money", "unknown-result", "contradictory-return"],
            Some(Role::BookedOn) => &["bad-booking-date", "wrong-year"],
            Some(Role::Instruction) => &["unknown-instruction", "duplicate-row", "missing-row", "echo-differs"],
            _ => &[],
        }
    }
}

/// How a refusal speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Field,
    Check,
}

fn is_total(role: Role) -> bool {
    use Role::*;
    matches!(role, Count | Sum | OkCount | OkSum | NgCount | NgSum | TailSum)
}

/// Whether bytes are none that this field may have, by the tables of the layouts.
fn is_wrong(bank: &Bank, field: &FieldLayout, bytes: &[u8]) -> bool {
    let is_blank = bytes.iter().all(|b| *b == b' ');
    let text = std::str::from_utf8(bytes).unwrap_or("\u{FFFD}");
    let trimmed = text.trim_end_matches(' ');
    if field.constant.is_some() {
        // The sound file has the constant, and this is another byte.
        return true;
    }
    if is_blank {
        return !field.blank && field.kind != FieldKind::Spaces;
    }
    if !field.choices.is_empty() && !field.choices.iter().any(|choice| choice == trimmed) {
        return true;
    }
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<i16>().ok());
    let is_day = || {
        let (year, month, day) = (number(0..4), number(4..6), number(6..8));
        is_digits && year.is_some_and(|year| Date::new(year, month.unwrap() as i8, day.unwrap() as i8).is_ok())
    };
    let is_time = |at: usize| {
        let (hour, minute, second) = (number(at..at + 2), number(at + 2..at + 4), number(at + 4..at + 6));
        is_digits && hour.is_some_and(|h| Time::new(h as i8, minute.unwrap() as i8, second.unwrap() as i8, 0).is_ok())
    };
    let is_ascii = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    match field.kind {
        FieldKind::Number => !is_digits,
        FieldKind::Fen => !is_digits || (field.role == Some(Role::Amount) && is_zero(text)),
        FieldKind::Yuan => !is_yuan(text) || (field.role == Some(Role::Amount) && is_zero(text.trim_start())),
        FieldKind::Ascii => !is_ascii || text.starts_with(' '),
        FieldKind::Text => bytes[0] == b' ' || !is_text(bank, bytes),
        FieldKind::IdNumber => !is_ascii || !is_id(trimmed),
        FieldKind::Date => !is_day(),
        FieldKind::Time => !is_time(0),
        FieldKind::DateTime => !is_day() || !is_time(8),
        FieldKind::Digest => text.starts_with(' ') || !trimmed.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
        FieldKind::Spaces => true,
    }
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0' | b'.'))
}

/// Two decimals at the right end, spaces on the left; no zero before another digit.
fn is_yuan(text: &str) -> bool {
    let text = text.trim_start_matches(' ');
    let Some((whole, cents)) = text.split_once('.') else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(cents) && cents.len() == 2 && (whole == "0" || !whole.starts_with('0'))
}

fn is_text(bank: &Bank, bytes: &[u8]) -> bool {
    let table = crate::charsets::cp936();
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return true,
            [b' '..=b'~', rest @ ..] => rest,
            [lead @ 0x81..=0xFF, trail, rest @ ..] if table.contains_key(&[*lead, *trail]) => rest,
            // Layout C writes four-byte sequences too; none of the mutations makes one.
            [lead @ 0x81..=0xFF, trail @ 0x40..=0xFF, rest @ ..] if bank.request.layout == Layout::City => {
                let pair = [*lead, *trail];
                let text = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(&pair);
                match text {
                    Some(text) if text.chars().all(|c| !matches!(c, '\u{E000}'..='\u{F8FF}')) => rest,
                    _ => return false,
                }
            }
            _ => return false,
        }
    }
}

/// GB 11643, added up by hand.
fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 18 || !bytes[..17].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = bytes.iter().zip(weights).map(|(b, weight)| u32::from(b - b'0') * weight).sum();
    let born = |range: std::ops::Range<usize>| text[range].parse::<i16>().unwrap();
    let is_day = Date::new(born(6..10), born(10..12) as i8, born(12..14) as i8).is_ok();
    is_day && "10X98765432".as_bytes()[(sum % 11) as usize] == bytes[17]
}
