//! Reads a bank's file: bytes in, records and defects out, in memory that does not grow with the file.
//!
//! The decoder is fed chunks of any size and owns no file. A sound row is proved in one sweep and handed over; any
//! other line is looked at again, slowly, to name what is wrong with it. Nothing stops at the first defect.

use crate::domain::returns::FileAnswer;
use crate::format::decoded::{Decoded, charset_free, defect_in, file_answer, stated_total};
use crate::format::defect::{Defect, DefectKind};
use crate::format::digest::{Algorithm, Hasher};
use crate::format::field::FieldLayout;
use crate::format::layout::{FileKind, FileLayout, Layout, RecordKind, RecordLayout};
use crate::format::record::{KeptRecord, Record};
use crate::format::role::Role;
use crate::format::totals::{self, TOTAL_ROLES, Totals};

/// Defects kept of one file; all are counted.
pub const KEPT_DEFECTS: usize = 1_000;

/// Reads one file.
#[derive(Debug)]
pub struct Decoder<'l> {
    layout: &'l Layout,
    file: &'l FileLayout,
    detail: Option<&'l RecordLayout>,
    /// A line without end within so many bytes is no line of this file.
    longest_line: usize,
    /// The beginning of a line whose end has not come yet.
    carry: Vec<u8>,
    /// Inside a line without end.
    is_skipping: bool,
    stage: Stage,
    /// Line and byte of the next line.
    line: u64,
    offset: u64,
    /// The number of the next row; unknown after a line that could not be read.
    next_sequence: Option<u64>,
    totals: Totals,
    /// A row could not be read, so totals prove nothing.
    is_spoiled: bool,
    algorithm: Option<Algorithm>,
    hasher: Option<Hasher>,
    header: Option<KeptRecord<'l>>,
    trailer: Option<KeptRecord<'l>>,
    defects: Defects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Start,
    Rows,
    Done,
}

impl<'l> Decoder<'l> {
    /// A decoder of one kind of file; `None` where the layout has no such file.
    ///
    /// The digest that the file holds over itself is computed on the way. `digest` asks for one where the file holds
    /// none: that of a data file with a control file, see [`Decoded::asked_digest`].
    pub fn new(layout: &'l Layout, kind: FileKind, digest: Option<Algorithm>) -> Option<Decoder<'l>> {
        let file = layout.file(kind)?;
        let digest = digest.or(file.own_digest());
        let starts_with_rows = file.records[0].kind == RecordKind::Detail;
        Some(Decoder {
            layout,
            file,
            detail: file.record(RecordKind::Detail),
            longest_line: file.records.iter().map(RecordLayout::stride).max().unwrap_or(0) + SLACK,
            carry: Vec::new(),
            is_skipping: false,
            stage: if starts_with_rows { Stage::Rows } else { Stage::Start },
            line: 1,
            offset: 0,
            next_sequence: Some(1),
            totals: Totals::default(),
            is_spoiled: false,
            algorithm: digest,
            hasher: digest.map(Hasher::new),
            header: None,
            trailer: None,
            defects: Defects::default(),
        })
    }

    /// Leaves the digest to the caller, who computes it over [`FileLayout::digest_range`], on another thread perhaps,
    /// and gives it to [`Decoder::finish_with`]. Without that it is not compared.
    pub fn digest_elsewhere(self) -> Decoder<'l> {
        Decoder { hasher: None, ..self }
    }

    /// Reads the next bytes; `visit` gets every record of the right length, in order.
    pub fn feed(&mut self, mut bytes: &[u8], visit: &mut impl FnMut(&Record<'_>)) {
        while !self.carry.is_empty() {
            let held = self.carry.len();
            let taken = bytes.len().min(self.longest_line.saturating_sub(held));
            let mut window = std::mem::take(&mut self.carry);
            window.extend_from_slice(&bytes[..taken]);
            let used = self.line_of(&window, visit);
            if used >= held {
                bytes = &bytes[used - held..];
                break;
            }
            if used == 0 {
                self.carry = window;
                bytes = &bytes[taken..];
                if bytes.is_empty() {
                    return;
                }
                continue;
            }
            window.truncate(held);
            window.drain(..used);
            self.carry = window;
        }
        loop {
            let used = self.rows_of(bytes, visit);
            bytes = &bytes[used..];
            let used = self.line_of(bytes, visit);
            if used == 0 {
                break;
            }
            bytes = &bytes[used..];
        }
        self.carry.extend_from_slice(bytes);
    }

    /// Where the bytes end that the file's own digest is over: known once all bytes were fed, `None` where its trailer
    /// is missing.
    pub fn digest_end(&self) -> Option<u64> {
        match self.file.record(RecordKind::Trailer) {
            Some(_) => self.trailer.as_ref().map(|trailer| trailer.offset),
            None => Some(self.offset + self.carry.len() as u64),
        }
    }

    /// The digest that the file states of itself, as it stands there: known once all bytes were fed.
    pub fn stated_digest(&self) -> Option<String> {
        let records = self.header.iter().chain(&self.trailer).map(KeptRecord::record);
        let mut own = records.filter(|record| record.kind() != RecordKind::Control);
        let stated = own.find(|record| record.layout.field(Role::Digest).is_some())?;
        Some(String::from_utf8_lossy(stated.bytes(Role::Digest)).into_owned())
    }

    /// The file ended; its digest is the one computed here.
    pub fn finish(self) -> Decoded<'l> {
        self.finish_with(None)
    }

    /// The file ended; `digest` was computed elsewhere over the file's own range.
    pub fn finish_with(mut self, digest: Option<String>) -> Decoded<'l> {
        let is_whole = self.end_of_file();
        let own = self.hasher.take().map(Hasher::finish);
        let digest = digest.or(own);
        let is_cut = !is_whole || self.is_unfinished();
        if is_cut && self.defects.fatal == 0 && self.is_over_stated_count() {
            self.envelope(None);
        }
        let is_incomplete = is_cut && self.defects.fatal == 0;
        if is_cut {
            let kind = if self.offset == 0 { DefectKind::EmptyFile } else { DefectKind::Cut };
            self.defects.push(Defect::of_line(kind, 0, self.offset, &[], self.layout.charset));
        } else {
            self.envelope(digest.as_deref());
        }
        Decoded {
            layout: self.layout,
            kind: self.file.kind,
            bytes: self.offset,
            totals: self.totals,
            header: self.header,
            trailer: self.trailer,
            digest,
            defects: self.defects.kept,
            defect_count: self.defects.count,
            fatal_count: self.defects.fatal,
            is_incomplete,
        }
    }

    /// Hands over sound rows as long as there are any; how many bytes they took.
    fn rows_of(&mut self, bytes: &[u8], visit: &mut impl FnMut(&Record<'_>)) -> usize {
        let Some(detail) = self.detail else { return 0 };
        if self.stage != Stage::Rows || self.is_skipping {
            return 0;
        }
        let mut used = 0;
        for line in bytes.chunks_exact(detail.stride()) {
            if !detail.passes(line) {
                break;
            }
            let record = Record {
                layout: detail,
                bytes: &line[..detail.width],
                line: self.line,
                offset: self.offset,
                is_sound: true,
            };
            self.row(&record);
            visit(&record);
            self.line += 1;
            self.offset += line.len() as u64;
            used += line.len();
        }
        self.hash(&bytes[..used]);
        used
    }

    /// Reads one line; how many bytes it took, 0 where its end has not come yet.
    fn line_of(&mut self, bytes: &[u8], visit: &mut impl FnMut(&Record<'_>)) -> usize {
        let window = &bytes[..bytes.len().min(self.longest_line)];
        let end = window.iter().position(|b| *b == b'\n').map(|at| at + 1);
        let used = match (end, self.is_skipping) {
            (Some(end), true) => {
                self.is_skipping = false;
                self.hash(&bytes[..end]);
                end
            }
            (None, true) => {
                self.hash(window);
                self.offset += window.len() as u64;
                return window.len();
            }
            (Some(end), false) => {
                self.line(&bytes[..end], visit);
                end
            }
            (None, false) if window.len() < self.longest_line => return 0,
            (None, false) => {
                self.is_skipping = true;
                self.spoil();
                self.line_defect(DefectKind::Endless, window);
                self.hash(window);
                self.offset += window.len() as u64;
                return window.len();
            }
        };
        self.line += 1;
        self.offset += used as u64;
        used
    }

    /// Judges a line that the sweep did not take: the header, the trailer, or one with something wrong.
    fn line(&mut self, line: &[u8], visit: &mut impl FnMut(&Record<'_>)) {
        let mut text = self.without_line_end(line);
        if self.offset == 0 && text.starts_with(BYTE_ORDER_MARK) {
            self.line_defect(DefectKind::ByteOrderMark, &[]);
            text = &text[BYTE_ORDER_MARK.len()..];
        }
        if text.is_empty() || text == END_MARK {
            let kind = if text.is_empty() { DefectKind::BlankLine } else { DefectKind::EndMark };
            self.line_defect(kind, text);
            return self.hash(line);
        }
        let layout = self.record_of(text);
        if layout.is_none_or(|layout| layout.kind != RecordKind::Trailer) {
            self.hash(line);
        }
        match layout {
            _ if self.stage == Stage::Done => self.line_defect(DefectKind::AfterTrailer, text),
            None => {
                self.spoil();
                self.line_defect(DefectKind::UnknownRecord, text);
            }
            Some(layout) => self.record(layout, text, visit),
        }
    }

    /// The line without its end; another end than the bank's is a defect.
    fn without_line_end<'b>(&mut self, line: &'b [u8]) -> &'b [u8] {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let (text, is_crlf) = match text.strip_suffix(b"\r") {
            Some(text) => (text, true),
            None => (text, false),
        };
        if is_crlf != (self.file.line_end.bytes().len() == 2) {
            let defect = self.defect(DefectKind::LineEnd(self.file.line_end), line);
            self.defects.push(defect.at(text.len()..line.len()));
        }
        text
    }

    /// Which record a line is, by the constant it begins with.
    fn record_of(&self, text: &[u8]) -> Option<&'l RecordLayout> {
        match &self.file.records[..] {
            [only] => Some(only),
            records => records.iter().find(|record| record.tag().is_some_and(|tag| text.starts_with(tag))),
        }
    }

    fn record(&mut self, layout: &'l RecordLayout, text: &[u8], visit: &mut impl FnMut(&Record<'_>)) {
        self.place_in_file(layout.kind, text);
        if text.len() != layout.width {
            self.spoil();
            let kind = DefectKind::RecordLength { expected: layout.width, found: text.len() };
            return self.defects.push(self.defect(kind, text).within(layout.kind));
        }
        let before = self.defects.count;
        self.fields(layout, text, layout.fields.len());
        let is_sound = self.defects.count == before;
        let record = Record { layout, bytes: text, line: self.line, offset: self.offset, is_sound };
        if layout.kind == RecordKind::Detail {
            self.row(&record);
        } else {
            self.keep(&record, layout);
        }
        visit(&record);
    }

    /// Header first, trailer last, each once.
    fn place_in_file(&mut self, kind: RecordKind, text: &[u8]) {
        let misplaced = match (self.stage, kind) {
            (Stage::Start, RecordKind::Detail | RecordKind::Trailer) => Some(DefectKind::NoHeader),
            (Stage::Rows, RecordKind::Header) => Some(DefectKind::HeaderTwice),
            _ => None,
        };
        if let Some(defect) = misplaced {
            self.line_defect(defect, text);
        }
        let is_last = matches!(kind, RecordKind::Trailer | RecordKind::Control);
        self.stage = if is_last { Stage::Done } else { Stage::Rows };
    }

    /// Names what is wrong with the first `count` fields of a record.
    fn fields(&mut self, layout: &RecordLayout, text: &[u8], count: usize) {
        let defect = |kind| self.defect(kind, text).within(layout.kind);
        let mut found = Vec::new();
        for field in &layout.fields[..count] {
            let bytes = &text[field.span()];
            if let Some(fault) = field.fault(bytes, layout.charset()) {
                found.push(defect(DefectKind::Field(fault)).in_field(field));
            }
            let after = layout.delimiter.filter(|delimiter| text.get(field.span().end) != Some(delimiter));
            if let Some(delimiter) = after {
                let at = field.span().end..field.span().end + 1;
                let shown = charset_free(text.get(at.clone()).unwrap_or_default());
                found.push(defect(DefectKind::Delimiter(delimiter)).at(at).finding(shown));
            }
        }
        found.into_iter().for_each(|defect| self.defects.push(defect));
    }

    /// Counts a row and checks its number.
    #[inline]
    fn row(&mut self, row: &Record<'_>) {
        self.is_spoiled |= !self.totals.add(row, &self.layout.codes);
        let Some(field) = row.layout.field(Role::Sequence).filter(|field| field.contiguous) else { return };
        let sequence = row.number(Role::Sequence);
        if sequence.is_some() && self.next_sequence.is_some() && sequence != self.next_sequence {
            self.out_of_sequence(row, field);
        }
        self.next_sequence = sequence.map(|sequence| sequence.saturating_add(1));
    }

    #[cold]
    fn out_of_sequence(&mut self, row: &Record<'_>, field: &FieldLayout) {
        let kind = DefectKind::Sequence(self.next_sequence.unwrap_or_default());
        self.defects.push(self.defect(kind, row.bytes).within(row.layout.kind).in_field(field));
    }

    /// A line could not be read: what rows add up to, and the number of the next, are not known any more.
    fn spoil(&mut self) {
        self.is_spoiled = true;
        self.next_sequence = None;
    }

    /// Keeps the first header and trailer; their totals are compared at the end.
    fn keep(&mut self, record: &Record<'_>, layout: &'l RecordLayout) {
        let place = if layout.kind == RecordKind::Trailer { &mut self.trailer } else { &mut self.header };
        place.get_or_insert_with(|| KeptRecord {
            layout,
            bytes: record.bytes.to_vec(),
            line: record.line,
            offset: record.offset,
            is_sound: record.is_sound,
        });
    }

    /// The digest is over all bytes before the trailer.
    #[inline]
    fn hash(&mut self, bytes: &[u8]) {
        if let Some(hasher) = self.hasher.as_mut().filter(|_| self.stage != Stage::Done || self.trailer.is_none()) {
            hasher.update(bytes);
        }
    }

    /// A defect of the line being read.
    fn defect(&self, kind: DefectKind, text: &[u8]) -> Defect {
        Defect::of_line(kind, self.line, self.offset, text, self.layout.charset)
    }

    fn line_defect(&mut self, kind: DefectKind, text: &[u8]) {
        self.defects.push(self.defect(kind, text));
    }

    /// Judges what is left after the last line end; `false` where the file ends inside a line.
    fn end_of_file(&mut self) -> bool {
        let rest = std::mem::take(&mut self.carry);
        if rest.is_empty() {
            return !self.is_skipping;
        }
        let is_whole = rest == END_MARK;
        if is_whole {
            self.line_defect(DefectKind::EndMark, &rest);
        } else {
            self.half_line(&rest);
        }
        self.hash(&rest);
        self.offset += rest.len() as u64;
        is_whole
    }

    /// The beginning of a line: what is there of it must be sound, else more bytes could not make it so.
    fn half_line(&mut self, rest: &[u8]) {
        let may_begin = |record: &&RecordLayout| {
            let is_due = self.stage != Stage::Start || record.kind == self.file.records[0].kind;
            is_due && record.tag().is_none_or(|tag| rest.starts_with(tag) || tag.starts_with(rest))
        };
        let layout = self.file.records.iter().find(may_begin);
        match (layout, self.stage) {
            (_, Stage::Done) => self.line_defect(DefectKind::AfterTrailer, rest),
            (None, _) => self.line_defect(DefectKind::UnknownRecord, rest),
            (Some(layout), _) => {
                let text = &rest[..rest.len().min(layout.width)];
                let after = usize::from(layout.delimiter.is_some());
                let whole = layout.fields.iter().take_while(|field| field.span().end + after <= text.len());
                self.fields(layout, text, whole.count());
                if !self.file.line_end.bytes().starts_with(&rest[text.len()..]) {
                    let kind = DefectKind::RecordLength { expected: layout.width, found: rest.len() };
                    self.line_defect(kind, rest);
                }
            }
        }
    }

    /// Whether a record that must come last has not come.
    fn is_unfinished(&self) -> bool {
        match self.file.record(RecordKind::Trailer) {
            Some(_) => self.stage != Stage::Done,
            None => self.offset == 0 || self.stage == Stage::Start,
        }
    }

    /// More rows than the header announced can never become a sound file.
    fn is_over_stated_count(&self) -> bool {
        let stated = self.header.as_ref().and_then(|header| header.record().number(Role::Count));
        stated.is_some_and(|stated| self.totals.count > stated)
    }

    /// Compares what the envelope states with what the rows add up to.
    fn envelope(&mut self, digest: Option<&str>) {
        let kept: Vec<KeptRecord<'l>> = self.header.iter().chain(&self.trailer).cloned().collect();
        let answer = file_answer(self.layout, self.header.as_ref());
        for record in &kept {
            let record = record.record();
            for role in TOTAL_ROLES {
                if !self.is_spoiled && record.kind() != RecordKind::Control {
                    self.total(&record, role, answer);
                }
            }
            if record.kind() == RecordKind::Control {
                self.control_adds_up(&record);
            } else if let (Some(digest), Some(algorithm)) = (digest, self.algorithm) {
                self.own_digest(&record, algorithm, digest);
            }
        }
    }

    fn total(&mut self, record: &Record<'_>, role: Role, answer: FileAnswer) {
        let by_outcome = matches!(role, Role::OkCount | Role::OkSum | Role::NgCount | Role::NgSum);
        let (Some(field), Some(expected)) = (record.layout.field(role), self.totals.of(role)) else { return };
        if by_outcome && !self.file.kind.is_from_bank() {
            return;
        }
        let stated = stated_total(record, role);
        // A bank that refuses a file sends its rows back unchanged and may leave these totals at zero.
        let is_left_empty = by_outcome && answer != FileAnswer::Accepted && stated == Some(0);
        if let Some(stated) = stated.filter(|stated| *stated != expected && !is_left_empty) {
            let kind = DefectKind::Total { role, expected: totals::shown(role, expected) };
            self.push_in(record, field, kind, totals::shown(role, stated));
        }
    }

    /// `ok` and all others are all rows, in a control file too.
    fn control_adds_up(&mut self, record: &Record<'_>) {
        let stated = |role| stated_total(record, role);
        let (Some(all), Some(ok), Some(ng)) = (stated(Role::Count), stated(Role::OkCount), stated(Role::NgCount))
        else {
            return;
        };
        if let Some(field) = record.layout.field(Role::Count).filter(|_| all != ok + ng) {
            let kind = DefectKind::Total { role: Role::Count, expected: (ok + ng).to_string() };
            self.push_in(record, field, kind, all.to_string());
        }
    }

    fn own_digest(&mut self, record: &Record<'_>, algorithm: Algorithm, digest: &str) {
        let Some(field) = record.layout.field(Role::Digest) else { return };
        let stated = record.bytes(Role::Digest);
        if stated != digest.as_bytes() {
            let kind = DefectKind::Digest { algorithm, expected: digest.to_owned() };
            self.push_in(record, field, kind, charset_free(stated));
        }
    }

    fn push_in(&mut self, record: &Record<'_>, field: &FieldLayout, kind: DefectKind, found: String) {
        self.defects.push(defect_in(record, field, kind, found));
    }
}

/// Defects found so far: the first are kept, all are counted.
#[derive(Debug, Default)]
struct Defects {
    kept: Vec<Defect>,
    count: u64,
    fatal: u64,
}

impl Defects {
    fn push(&mut self, defect: Defect) {
        self.count += 1;
        self.fatal += u64::from(!defect.is_flag());
        if self.kept.len() < KEPT_DEFECTS {
            self.kept.push(defect);
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const END_MARK: &[u8] = b"\x1A";

/// How much longer than the longest record a line may be and still be named with its length.
const SLACK: usize = 1_024;

/// Reads a whole file in memory; see [`Decoder::new`].
pub fn decode<'l>(
    layout: &'l Layout,
    kind: FileKind,
    bytes: &[u8],
    digest: Option<Algorithm>,
    visit: &mut impl FnMut(&Record<'_>),
) -> Option<Decoded<'l>> {
    let mut decoder = Decoder::new(layout, kind, digest)?;
    decoder.feed(bytes, visit);
    Some(decoder.finish())
}
