//! What a bank's files look like: records of fields without gap or overlap, proved when built.

use crate::domain::returns::{FileAnswer, Outcome};
use crate::format::charset::Charset;
use crate::format::codes::Codes;
use crate::format::digest::Algorithm;
use crate::format::field::{Check, FieldKind, FieldLayout};
use crate::format::names::{NameParts, NamePattern};
use crate::format::role::Role;
use std::fmt;

/// The kinds of files that go between bureau and bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// Instructions, to the bank.
    Request,
    /// Answers, from the bank.
    Return,
    /// Size, sums and digest of a request, published after it.
    RequestControl,
    /// The same of a return.
    ReturnControl,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [FileKind; 4] =
        [FileKind::Request, FileKind::Return, FileKind::RequestControl, FileKind::ReturnControl];

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            FileKind::Request => "request",
            FileKind::Return => "return",
            FileKind::RequestControl => "request-control",
            FileKind::ReturnControl => "return-control",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<FileKind> {
        FileKind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether the bank writes it.
    pub fn is_from_bank(self) -> bool {
        matches!(self, FileKind::Return | FileKind::ReturnControl)
    }

    /// The control file of a data file; `None` for a control file.
    pub fn control(self) -> Option<FileKind> {
        match self {
            FileKind::Request => Some(FileKind::RequestControl),
            FileKind::Return => Some(FileKind::ReturnControl),
            FileKind::RequestControl | FileKind::ReturnControl => None,
        }
    }

    /// The data file that a control file is about; `None` for a data file.
    pub fn data(self) -> Option<FileKind> {
        match self {
            FileKind::RequestControl => Some(FileKind::Request),
            FileKind::ReturnControl => Some(FileKind::Return),
            FileKind::Request | FileKind::Return => None,
        }
    }
}

/// The kinds of records of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Before the rows.
    Header,
    /// One row.
    Detail,
    /// After the rows.
    Trailer,
    /// The one record of a control file.
    Control,
}

impl RecordKind {
    /// Every kind, in the order of a file.
    pub const ALL: [RecordKind; 4] = [RecordKind::Header, RecordKind::Detail, RecordKind::Trailer, RecordKind::Control];

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            RecordKind::Header => "header",
            RecordKind::Detail => "detail",
            RecordKind::Trailer => "trailer",
            RecordKind::Control => "control",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<RecordKind> {
        RecordKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// One byte.
    Lf,
    /// Two bytes.
    Crlf,
}

impl LineEnd {
    /// Its bytes.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            LineEnd::Lf => b"\n",
            LineEnd::Crlf => b"\r\n",
        }
    }

    /// The word in `layout.toml`.
    pub fn word(self) -> &'static str {
        match self {
            LineEnd::Lf => "lf",
            LineEnd::Crlf => "crlf",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<LineEnd> {
        [LineEnd::Lf, LineEnd::Crlf].into_iter().find(|end| end.word() == word)
    }
}

/// A fault of a layout, not of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutFault {
    /// Where in the layout: `return detail amt`.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl LayoutFault {
    /// A fault at a place.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> LayoutFault {
        LayoutFault { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for LayoutFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// One record: its fields and what the engine worked out of them.
#[derive(Clone, Debug)]
pub struct RecordLayout {
    /// Which record of the file.
    pub kind: RecordKind,
    /// Bytes without the line end.
    pub width: usize,
    /// The byte after each field, where the bank writes one.
    pub delimiter: Option<u8>,
    /// From the first byte to the last.
    pub fields: Vec<FieldLayout>,
    charset: Charset,
    /// Per role the place of its field in `fields`.
    roles: [Option<u8>; Role::ALL.len()],
    /// Lowest byte and distance to the highest, per byte of the record and its line end.
    low: Vec<u8>,
    reach: Vec<u8>,
    /// What ranges do not prove.
    checks: Vec<Check>,
}

impl RecordLayout {
    fn build(kind: RecordKind, parts: RecordParts, charset: Charset, line_end: LineEnd) -> RecordLayout {
        let mut ranges = Vec::new();
        let mut roles = [None; Role::ALL.len()];
        let mut checks = Vec::new();
        for (place, field) in (0..).zip(&parts.fields) {
            ranges.extend(field.ranges(charset));
            ranges.extend(parts.delimiter.map(|byte| (byte, byte)));
            if let Some(role) = field.role {
                roles[role as usize] = Some(place);
            }
            checks.extend(field.check(place));
        }
        ranges.extend(line_end.bytes().iter().map(|byte| (*byte, *byte)));
        RecordLayout {
            kind,
            width: parts.width,
            delimiter: parts.delimiter,
            fields: parts.fields,
            charset,
            roles,
            low: ranges.iter().map(|(low, _)| *low).collect(),
            reach: ranges.iter().map(|(low, high)| high - low).collect(),
            checks,
        }
    }

    /// Bytes with the line end.
    pub fn stride(&self) -> usize {
        self.low.len()
    }

    /// The charset of its texts.
    pub fn charset(&self) -> Charset {
        self.charset
    }

    /// The field that plays a role here.
    #[inline]
    pub fn field(&self, role: Role) -> Option<&FieldLayout> {
        self.roles[role as usize].map(|place| &self.fields[usize::from(place)])
    }

    /// Whether a line, its end included, is sound in every field.
    #[inline]
    pub(super) fn passes(&self, line: &[u8]) -> bool {
        let outside = line
            .iter()
            .zip(&self.low)
            .zip(&self.reach)
            .fold(0, |outside, ((byte, low), reach)| outside | byte.wrapping_sub(*low).saturating_sub(*reach));
        outside == 0 && self.checks.iter().all(|check| check.passes(line, &self.fields, self.charset))
    }

    /// The constant that tells this record from the others of its file.
    pub(super) fn tag(&self) -> Option<&[u8]> {
        self.fields.first().and_then(|field| field.constant.as_deref()).map(str::as_bytes)
    }
}

/// One kind of file.
#[derive(Clone, Debug)]
pub struct FileLayout {
    /// Which kind.
    pub kind: FileKind,
    /// Its names.
    pub name: NamePattern,
    /// How its lines end.
    pub line_end: LineEnd,
    /// In the order of a file; one of each kind at most.
    pub records: Vec<RecordLayout>,
}

impl FileLayout {
    /// The record of a kind.
    pub fn record(&self, kind: RecordKind) -> Option<&RecordLayout> {
        self.records.iter().find(|record| record.kind == kind)
    }

    /// The record that a role is in; a header before a trailer.
    pub fn record_with(&self, role: Role) -> Option<&RecordLayout> {
        self.records.iter().find(|record| record.field(role).is_some())
    }

    /// The digest a data file holds over itself; `None` where it holds none.
    pub fn own_digest(&self) -> Option<Algorithm> {
        self.record(RecordKind::Trailer)?.field(Role::Digest).map(|_| Algorithm::Sm3)
    }

    /// The bytes of a sound file of `length` bytes that its own digest is over: all before the trailer.
    pub fn digest_range(&self, length: u64) -> std::ops::Range<u64> {
        let trailer = self.record(RecordKind::Trailer).map_or(0, RecordLayout::stride);
        0..length.saturating_sub(trailer as u64)
    }
}

/// A bank's layout.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Its key: the name of its folder.
    pub key: String,
    /// Its name for people.
    pub title: String,
    /// How its texts are written.
    pub charset: Charset,
    /// What its codes mean.
    pub codes: Codes,
    files: Vec<FileLayout>,
}

/// A layout as written, before it is proved.
#[derive(Clone, Debug)]
pub struct LayoutParts {
    /// Its key.
    pub key: String,
    /// Its name for people.
    pub title: String,
    /// How its texts are written.
    pub charset: Charset,
    /// How its lines end.
    pub line_end: LineEnd,
    /// What its codes mean.
    pub codes: Codes,
    /// Its files.
    pub files: Vec<FileParts>,
}

/// A file as written.
#[derive(Clone, Debug)]
pub struct FileParts {
    /// Which kind.
    pub kind: FileKind,
    /// Its names.
    pub name: NamePattern,
    /// Its records.
    pub records: Vec<(RecordKind, RecordParts)>,
}

/// A record as written.
#[derive(Clone, Debug)]
pub struct RecordParts {
    /// Bytes without the line end.
    pub width: usize,
    /// The byte after each field.
    pub delimiter: Option<u8>,
    /// In the order written.
    pub fields: Vec<FieldLayout>,
}

impl Layout {
    /// Proves the parts and builds the layout, or names every fault.
    pub fn build(parts: LayoutParts) -> Result<Layout, Vec<LayoutFault>> {
        let faults = crate::format::lint::faults(&parts);
        if !faults.is_empty() {
            return Err(faults);
        }
        let LayoutParts { key, title, charset, line_end, codes, files } = parts;
        let build = |file: FileParts| FileLayout {
            kind: file.kind,
            name: file.name,
            line_end,
            records: file
                .records
                .into_iter()
                .map(|(kind, record)| RecordLayout::build(kind, record, charset, line_end))
                .collect(),
        };
        Ok(Layout { key, title, charset, codes, files: files.into_iter().map(build).collect() })
    }

    /// The files of this layout.
    pub fn files(&self) -> &[FileLayout] {
        &self.files
    }

    /// The file of a kind; `None` where the bank has none.
    pub fn file(&self, kind: FileKind) -> Option<&FileLayout> {
        self.files.iter().find(|file| file.kind == kind)
    }

    /// What a file name is, and its parts; `None` for a name the bank never uses.
    pub fn recognise(&self, name: &str) -> Option<(FileKind, NameParts)> {
        self.files.iter().find_map(|file| Some((file.kind, file.name.read(name)?)))
    }

    /// The name of a file of this kind.
    pub fn file_name(&self, kind: FileKind, parts: &NameParts) -> Option<String> {
        self.file(kind)?.name.make(parts)
    }

    /// The name of the other file of an exchange: return of a request, control of a data file, and back.
    pub fn sibling(&self, name: &str, kind: FileKind, part: Option<u8>) -> Option<String> {
        let (_, parts) = self.recognise(name)?;
        self.file_name(kind, &NameParts { part: part.or(parts.part), ..parts })
    }

    /// The keys that `[bank.header]` must have, in the order of the layout.
    pub fn bank_keys(&self) -> Vec<&str> {
        let fields = self.files.iter().flat_map(|file| &file.records).flat_map(|record| &record.fields);
        let mut keys = vec!["agency"];
        for key in fields.filter_map(|field| field.bank.as_deref()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// The outcome of a row's code.
    #[inline]
    pub fn outcome(&self, code: &[u8]) -> Outcome {
        self.codes.outcome(code)
    }

    /// The answer of a file's code; a layout without file codes has accepted whatever it answers.
    pub fn file_answer(&self, code: Option<&[u8]>) -> FileAnswer {
        code.map_or(FileAnswer::Accepted, |code| self.codes.file_answer(code))
    }
}

impl FieldLayout {
    /// What the kind asks of a width; `None` where the width is right.
    pub(super) fn width_fault(&self) -> Option<String> {
        let (kind, width) = (self.kind.word(), self.width);
        let (least, most) = match self.kind {
            FieldKind::Date => (8, 8),
            FieldKind::Time => (6, 6),
            FieldKind::DateTime => (14, 14),
            FieldKind::IdNumber => (18, 18),
            FieldKind::Digest => (32, 128),
            FieldKind::Yuan => (4, 18),
            FieldKind::Fen => (1, 18),
            FieldKind::Number if self.role.is_some_and(Role::is_number) => (1, 18),
            _ => (1, 4_096),
        };
        let right = (least..=most).contains(&width);
        let allowed = if least == most { least.to_string() } else { format!("{least} to {most}") };
        (!right).then(|| format!("expected a width of {allowed} bytes for {kind}, found {width}"))
    }
}
