//! What is wrong with a bank's file, and its wording: where, expected, found, what to do.

use crate::format::charset::{Charset, TextFault};
use crate::format::digest::Algorithm;
use crate::format::field::{Fault, FieldLayout};
use crate::format::layout::{LineEnd, RecordKind};
use crate::format::role::Role;
use std::fmt::Write;
use std::ops::Range;
use unicode_width::UnicodeWidthStr;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Line, from 1; 0 where it is about the whole file.
    pub line: u64,
    /// First byte concerned, from 0, in the file.
    pub offset: u64,
    /// The bytes concerned, from 0, in the line.
    pub bytes: Range<usize>,
    /// Which record, where that is known.
    pub record: Option<RecordKind>,
    /// Which field: name and Chinese title.
    pub field: Option<(String, String)>,
    /// What is wrong.
    pub kind: DefectKind,
    /// What stands there, for people; empty where there is nothing to show.
    found: String,
    /// What stands there belongs to a person.
    is_personal: bool,
    /// The line, for showing.
    text: Vec<u8>,
    charset: Charset,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefectKind {
    /// A field's bytes.
    Field(Fault),
    /// Another byte where the delimiter belongs.
    Delimiter(u8),
    /// A line of another length.
    RecordLength {
        /// Bytes of the record.
        expected: usize,
        /// Bytes of the line.
        found: usize,
    },
    /// A line longer than any record, still without an end.
    Endless,
    /// Another line end.
    LineEnd(LineEnd),
    /// A line with nothing in it.
    BlankLine,
    /// A byte order mark before the first record.
    ByteOrderMark,
    /// 0x1A, the end mark of old systems.
    EndMark,
    /// A line that begins like no record of this file.
    UnknownRecord,
    /// The file does not begin with its header.
    NoHeader,
    /// A second header.
    HeaderTwice,
    /// Anything after the trailer.
    AfterTrailer,
    /// The file ends before it is finished.
    Cut,
    /// Nothing at all.
    EmptyFile,
    /// Rows are numbered 1, 2, 3 …; this one is not next.
    Sequence(u64),
    /// A total that the rows do not add up to.
    Total {
        /// Which total.
        role: Role,
        /// What the rows add up to.
        expected: String,
    },
    /// Another digest than that of the bytes.
    Digest {
        /// Which digest.
        algorithm: Algorithm,
        /// That of the bytes.
        expected: String,
    },
    /// Something in a control file that its data file does not bear out.
    Control {
        /// Which field.
        role: Role,
        /// What the data file says.
        expected: String,
    },
}

impl Defect {
    /// A defect of a whole line.
    pub(super) fn of_line(kind: DefectKind, line: u64, offset: u64, text: &[u8], charset: Charset) -> Defect {
        let shown = text.len().min(SHOWN_BYTES);
        Defect {
            line,
            offset,
            bytes: 0..text.len(),
            record: None,
            field: None,
            kind,
            found: String::new(),
            is_personal: false,
            text: text[..shown].to_vec(),
            charset,
        }
    }

    /// The same, about some bytes of the line.
    pub(super) fn at(mut self, bytes: Range<usize>) -> Defect {
        self.offset += bytes.start as u64;
        self.bytes = bytes;
        self
    }

    /// The same, in a record.
    pub(super) fn within(mut self, record: RecordKind) -> Defect {
        self.record = Some(record);
        self
    }

    /// The same, in a field.
    pub(super) fn in_field(self, field: &FieldLayout) -> Defect {
        let span = field.span();
        let mut defect = self.at(span.clone());
        let bytes = defect.text.get(span).unwrap_or_default();
        defect.found = defect.charset.show(bytes);
        defect.is_personal = field.is_personal();
        defect.field = Some((field.name.clone(), field.title.clone()));
        defect
    }

    /// The same, with what was found there.
    pub(super) fn finding(mut self, found: impl Into<String>) -> Defect {
        self.found = found.into();
        self
    }

    /// Whether the file still says what it says: reported, but no reason to refuse it. Everything about amounts,
    /// counts, records and digests is a reason; a name cut by the bank, an echo it left out or a day that does not
    /// exist is its row's own affair.
    pub fn is_flag(&self) -> bool {
        match &self.kind {
            DefectKind::Field(Fault::Empty | Fault::NotLeft | Fault::Ascii(_)) => self.is_personal,
            DefectKind::Field(fault) => fault.is_flag(),
            _ => false,
        }
    }

    /// Whether it points into the control file, not the data file it was found with.
    pub fn is_in_control(&self) -> bool {
        matches!(self.kind, DefectKind::Control { .. })
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match &self.kind {
            DefectKind::Field(fault) => fault_code(fault),
            DefectKind::Delimiter(_) => "delimiter",
            DefectKind::RecordLength { .. } => "record-length",
            DefectKind::Endless => "endless-line",
            DefectKind::LineEnd(_) => "line-end",
            DefectKind::BlankLine => "blank-line",
            DefectKind::ByteOrderMark => "byte-order-mark",
            DefectKind::EndMark => "end-mark",
            DefectKind::UnknownRecord => "unknown-record",
            DefectKind::NoHeader => "no-header",
            DefectKind::HeaderTwice => "header-twice",
            DefectKind::AfterTrailer => "after-trailer",
            DefectKind::Cut => "cut",
            DefectKind::EmptyFile => "empty-file",
            DefectKind::Sequence(_) => "sequence",
            DefectKind::Total { .. } => "total",
            DefectKind::Digest { .. } => "digest",
            DefectKind::Control { .. } => "control",
        }
    }

    /// What was expected.
    pub fn expected(&self) -> String {
        match &self.kind {
            DefectKind::Field(fault) => expected(fault, self.bytes.len()),
            DefectKind::Delimiter(byte) => format!("{:?}", char::from(*byte)),
            DefectKind::RecordLength { expected, .. } => match self.record {
                Some(record) => format!("a {} of {expected} bytes", record.word()),
                None => format!("{expected} bytes"),
            },
            DefectKind::Endless => "a line end".to_owned(),
            DefectKind::LineEnd(end) => format!("the line end {}", end.word()),
            DefectKind::BlankLine => "a record".to_owned(),
            DefectKind::ByteOrderMark => "the first record".to_owned(),
            DefectKind::EndMark => "the end of the file".to_owned(),
            DefectKind::UnknownRecord => "a record of this file".to_owned(),
            DefectKind::NoHeader => "the header".to_owned(),
            DefectKind::HeaderTwice => "one header".to_owned(),
            DefectKind::AfterTrailer => "nothing after the last record".to_owned(),
            DefectKind::Cut => "the rest of the file".to_owned(),
            DefectKind::EmptyFile => "at least one row".to_owned(),
            DefectKind::Sequence(expected) => format!("the number {expected}"),
            DefectKind::Total { role, expected } => format!("{expected} ({}) as the rows add up", role.word()),
            DefectKind::Digest { algorithm, expected } => format!("{} {expected} of the bytes", algorithm.word()),
            DefectKind::Control { role, expected } => format!("{expected} ({}) as the data file has it", role.word()),
        }
    }

    /// What was found; for what belongs to a person only its size, unless `show_personal`.
    pub fn found(&self, show_personal: bool) -> String {
        match &self.kind {
            DefectKind::RecordLength { found, .. } => format!("{found} bytes"),
            DefectKind::Endless => "none".to_owned(),
            DefectKind::Cut => "its end".to_owned(),
            DefectKind::EmptyFile => "an empty file".to_owned(),
            DefectKind::BlankLine => "an empty line".to_owned(),
            DefectKind::ByteOrderMark => "a byte order mark".to_owned(),
            DefectKind::EndMark => "the byte 0x1A".to_owned(),
            DefectKind::HeaderTwice => "a second".to_owned(),
            DefectKind::UnknownRecord | DefectKind::NoHeader | DefectKind::AfterTrailer => "another line".to_owned(),
            DefectKind::LineEnd(LineEnd::Lf) => LineEnd::Crlf.word().to_owned(),
            DefectKind::LineEnd(LineEnd::Crlf) => LineEnd::Lf.word().to_owned(),
            _ if self.is_personal && !show_personal => format!("{} bytes, not shown", self.bytes.len()),
            DefectKind::Total { .. } | DefectKind::Digest { .. } | DefectKind::Control { .. } => self.found.clone(),
            _ => format!("\"{}\"", self.found.trim_end()),
        }
    }

    /// `NAME:17: amt (bytes 45-56): expected 12 digits, found "0000012A4500"`. Bytes count from 1.
    pub fn message(&self, file: &str, show_personal: bool) -> String {
        let mut text = file.to_owned();
        if self.line > 0 {
            write!(text, ":{}", self.line).expect(WRITING);
        }
        if let Some((name, _)) = &self.field {
            write!(text, ": {name} (bytes {}-{})", self.bytes.start + 1, self.bytes.end).expect(WRITING);
        } else if matches!(self.kind, DefectKind::Delimiter(_)) {
            write!(text, ": byte {}", self.bytes.start + 1).expect(WRITING);
        }
        write!(text, ": expected {}, found {}", self.expected(), self.found(show_personal)).expect(WRITING);
        text
    }

    /// The line, with carets under the bytes concerned unless it is all of them: personal data, so only where it was
    /// asked for. Empty where the defect is not about a line.
    pub fn picture(&self) -> String {
        if self.line == 0 || self.text.is_empty() {
            return String::new();
        }
        let (start, end) = (self.bytes.start.min(self.text.len()), self.bytes.end.min(self.text.len()));
        let (before, inside) = (self.charset.show(&self.text[..start]), self.charset.show(&self.text[start..end]));
        let line = format!("{before}{inside}{}", self.charset.show(&self.text[end..]));
        if (start, end) == (0, self.text.len()) {
            return line.trim_end().to_owned();
        }
        let indent = " ".repeat(before.width());
        let carets = "^".repeat(inside.width().max(1));
        format!("{}\n{indent}{carets}", line.trim_end())
    }

    /// The wording for clerks and the bank's desk.
    pub fn message_zh(&self) -> String {
        let place = match (&self.field, self.line) {
            (Some((_, title)), _) => {
                format!("第{}行第{}至{}字节“{title}”", self.line, self.bytes.start + 1, self.bytes.end)
            }
            (None, 0) => "文件".to_owned(),
            (None, line) => format!("第{line}行"),
        };
        format!("{place}{}", self.what_zh())
    }

    fn what_zh(&self) -> String {
        match &self.kind {
            DefectKind::Field(fault) => fault_zh(fault),
            DefectKind::Delimiter(byte) => format!("分隔符应为“{}”", char::from(*byte)),
            DefectKind::RecordLength { expected, found } => format!("长度应为{expected}字节，实为{found}字节"),
            DefectKind::Endless => "过长，没有行结束符".to_owned(),
            DefectKind::LineEnd(end) => format!("行结束符应为{}", end.word().to_uppercase()),
            DefectKind::BlankLine => "为空行".to_owned(),
            DefectKind::ByteOrderMark => "开头有字节序标记".to_owned(),
            DefectKind::EndMark => "末尾有结束符0x1A".to_owned(),
            DefectKind::UnknownRecord => "不是本文件的记录类型".to_owned(),
            DefectKind::NoHeader => "缺少文件头".to_owned(),
            DefectKind::HeaderTwice => "重复出现文件头".to_owned(),
            DefectKind::AfterTrailer => "位于文件尾之后".to_owned(),
            DefectKind::Cut => "不完整，提前结束".to_owned(),
            DefectKind::EmptyFile => "为空".to_owned(),
            DefectKind::Sequence(expected) => format!("序号不连续，应为{expected}"),
            DefectKind::Total { expected, .. } => format!("与明细不符，应为{expected}"),
            DefectKind::Digest { .. } => "摘要与文件内容不符".to_owned(),
            DefectKind::Control { expected, .. } => format!("与数据文件不符，应为{expected}"),
        }
    }

    /// What the clerk should do.
    pub fn action_zh(&self) -> &'static str {
        match &self.kind {
            DefectKind::Cut | DefectKind::EmptyFile => "请银行重新发送完整文件",
            DefectKind::Digest { .. } => "文件在传输中可能被改动，请银行重新发送",
            DefectKind::Total { .. } | DefectKind::Sequence(_) => "请银行核对明细与总数后重新发送",
            DefectKind::Control { .. } => "请银行核对控制文件与数据文件后一并重新发送",
            _ if self.is_flag() => "请核对该笔，必要时向银行查询",
            _ => "请银行按约定版式重新生成文件",
        }
    }
}

const WRITING: &str = "writing to a string cannot fail";

/// A line longer than any record is shown by its beginning.
const SHOWN_BYTES: usize = 4_096;

fn fault_code(fault: &Fault) -> &'static str {
    match fault {
        Fault::Digits => "digits",
        Fault::Yuan => "yuan",
        Fault::Hex => "hex",
        Fault::Ascii(_) => "ascii",
        Fault::Text(TextFault::Cut(_)) => "cut-character",
        Fault::Text(TextFault::PrivateUse(_)) => "private-use",
        Fault::Text(TextFault::FourBytes(_)) => "four-bytes",
        Fault::Text(TextFault::Unsayable(_)) => "unsayable",
        Fault::Text(TextFault::Byte(_) | TextFault::NotInCharset(_)) => "charset",
        Fault::IdShape => "id-shape",
        Fault::IdCheck(_) => "id-check",
        Fault::Date => "date",
        Fault::Time => "time",
        Fault::NotLeft => "not-left",
        Fault::Empty => "empty",
        Fault::Constant(_) => "constant",
        Fault::Choice(_) => "choice",
        Fault::Filler => "filler",
        Fault::NotPositive => "not-positive",
        Fault::TooLong(_) => "too-long",
    }
}

/// What a field's fault says should stand there, in `width` bytes.
pub fn expected(fault: &Fault, width: usize) -> String {
    match fault {
        Fault::Digits => format!("{width} digits"),
        Fault::Yuan => "yuan with two decimals at the right end".to_owned(),
        Fault::Hex => "lower-case hexadecimal digits".to_owned(),
        Fault::Ascii(_) => "printable ASCII".to_owned(),
        Fault::Text(fault) => expected_text(*fault),
        Fault::IdShape => "an identity number of 17 digits and a check character".to_owned(),
        Fault::IdCheck(check) => format!("the check character {check}"),
        Fault::Date => "a day that exists".to_owned(),
        Fault::Time => "a time of day".to_owned(),
        Fault::NotLeft => "text without spaces before it".to_owned(),
        Fault::Empty => "a value".to_owned(),
        Fault::Constant(constant) => format!("{constant:?}"),
        Fault::Choice(choices) => format!("one of {}", choices.join(", ")),
        Fault::Filler => "spaces".to_owned(),
        Fault::NotPositive => "an amount above zero".to_owned(),
        Fault::TooLong(needed) => format!("at most {width} bytes instead of {needed}"),
    }
}

fn expected_text(fault: TextFault) -> String {
    match fault {
        TextFault::Byte(at) => format!("text of the charset at its byte {}", at + 1),
        TextFault::Cut(at) => format!("the second half of the character at its byte {}", at + 1),
        TextFault::NotInCharset(at) => format!("a character of the charset at its byte {}", at + 1),
        TextFault::FourBytes(at) => format!("a two-byte character at its byte {}", at + 1),
        TextFault::PrivateUse(at) => format!("a standard character at its byte {}", at + 1),
        TextFault::Unsayable(character) => format!("characters of the bank's charset instead of {character}"),
    }
}

/// A field's fault in the words of clerks.
pub fn fault_zh(fault: &Fault) -> String {
    match fault {
        Fault::Digits => "应全为数字".to_owned(),
        Fault::Yuan => "应为右对齐、两位小数的金额".to_owned(),
        Fault::Hex => "应为小写十六进制".to_owned(),
        Fault::Ascii(_) => "含有不可用字符".to_owned(),
        Fault::Text(TextFault::Cut(_)) => "汉字被截断".to_owned(),
        Fault::Text(TextFault::PrivateUse(_)) => "含自造字".to_owned(),
        Fault::Text(TextFault::FourBytes(_)) => "含四字节汉字".to_owned(),
        Fault::Text(TextFault::Unsayable(character)) => format!("含生僻字“{character}”，银行字符集无法表示"),
        Fault::Text(TextFault::Byte(_) | TextFault::NotInCharset(_)) => "含字符集以外的字节".to_owned(),
        Fault::IdShape => "不是公民身份号码".to_owned(),
        Fault::IdCheck(check) => format!("校验码应为{check}"),
        Fault::Date => "日期不存在".to_owned(),
        Fault::Time => "时间不存在".to_owned(),
        Fault::NotLeft => "应左对齐".to_owned(),
        Fault::Empty => "不能为空".to_owned(),
        Fault::Constant(constant) => format!("应为“{constant}”"),
        Fault::Choice(choices) => format!("应为{}之一", choices.join("、")),
        Fault::Filler => "应为空格".to_owned(),
        Fault::NotPositive => "金额应大于零".to_owned(),
        Fault::TooLong(needed) => format!("过长，需要{needed}字节"),
    }
}
