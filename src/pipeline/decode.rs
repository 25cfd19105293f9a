//! Decode: bytes of a return file → rows with a number, an outcome and an amount. No meaning yet, no I/O.

use crate::domain::ids::{BatchNumber, InstructionNumber};
use crate::domain::money::Money;
use crate::domain::returns::Outcome;
use crate::format::decode::Decoder;
use crate::format::decoded::Decoded;
use crate::format::digest::Algorithm;
use crate::format::layout::{FileKind, Layout, RecordKind};
use crate::format::record::Record;
use crate::format::role::Role;
use crate::pipeline::matching::{Echo, ReturnFile, Row, StrangeRow, Texts, folded};
use std::sync::Arc;

/// Reads one return file, fed in chunks of any size.
#[derive(Debug)]
pub struct ReturnReader<'l> {
    decoder: Decoder<'l>,
    rows: Collector<'l>,
}

impl<'l> ReturnReader<'l> {
    /// A reader of an answer to `batch`. `digest` is what a control file asks for, else the layout's own.
    /// `None` where the layout has no return files.
    pub fn new(layout: &'l Layout, batch: BatchNumber, digest: Option<Algorithm>) -> Option<ReturnReader<'l>> {
        let own = layout.file(FileKind::Return)?.own_digest();
        let decoder = Decoder::new(layout, FileKind::Return, digest.or(own))?;
        let texts = Texts { serial_width: serial_width(layout), ..Texts::default() };
        let file = ReturnFile { batch: Some(batch), part: 1, is_final: true, ..ReturnFile::default() };
        let (echoes, echo) = (Echoes::of(layout), Echo::default());
        Some(ReturnReader { decoder, rows: Collector { layout, echoes, echo, batch, file, texts } })
    }

    /// Makes room for so many rows at once. Room that grows as they come is copied on the way, and what it leaves behind is
    /// there to stay.
    pub fn expecting(mut self, rows: usize) -> ReturnReader<'l> {
        self.rows.file.rows.reserve_exact(rows);
        self.rows.texts.serials.reserve_exact(rows * self.rows.texts.serial_width);
        self
    }

    /// The next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let rows = &mut self.rows;
        self.decoder.feed(bytes, &mut |record| rows.take(record));
    }

    /// Leaves the digest to the caller: see [`ReturnReader::finish_with`].
    pub fn digest_elsewhere(self) -> ReturnReader<'l> {
        ReturnReader { decoder: self.decoder.digest_elsewhere(), ..self }
    }

    /// The rows so far, in the order of the file, with their outcomes.
    pub fn rows(&self) -> (&[Row], impl Fn(&Row) -> Outcome) {
        (&self.rows.file.rows, |row| self.rows.texts.outcome(row.code))
    }

    /// See [`Decoder::digest_end`].
    pub fn digest_end(&self) -> Option<u64> {
        self.decoder.digest_end()
    }

    /// See [`Decoder::stated_digest`].
    pub fn stated_digest(&self) -> Option<String> {
        self.decoder.stated_digest()
    }

    /// What the whole file says; the decoded envelope says whether it is sound.
    pub fn finish(self) -> (ReturnFile, Decoded<'l>) {
        self.finish_with(None)
    }

    /// The same, with the digest that was computed elsewhere.
    pub fn finish_with(self, digest: Option<String>) -> (ReturnFile, Decoded<'l>) {
        let decoded = self.decoder.finish_with(digest);
        let mut file = self.rows.file;
        file.texts = Arc::new(self.rows.texts);
        file.answer = Some(decoded.file_answer());
        file.file_code = decoded.value(Role::FileCode).unwrap_or_default();
        if let Some(part) = decoded.number(Role::PartNo) {
            file.part = part as u32;
            file.is_final = decoded.value(Role::Final).is_some_and(|mark| mark == "Y");
        }
        (file, decoded)
    }
}

fn serial_width(layout: &Layout) -> usize {
    let detail = layout.file(FileKind::Return).and_then(|file| file.record(RecordKind::Detail));
    detail.and_then(|record| record.field(Role::Serial)).map_or(0, |field| field.width)
}

/// Which of the echoed texts a layout returns: the digest of what was sent covers the same.
#[derive(Clone, Copy, Debug)]
pub struct Echoes {
    id_number: bool,
    name: bool,
}

impl Echoes {
    /// What the return rows of a layout echo beside the account.
    pub fn of(layout: &Layout) -> Echoes {
        let detail = layout.file(FileKind::Return).and_then(|file| file.record(RecordKind::Detail));
        let has = |role| detail.is_some_and(|record| record.field(role).is_some());
        Echoes { id_number: has(Role::IdNumber), name: has(Role::Name) }
    }

    /// Digest of what the bank must echo for these texts.
    pub fn digest(self, account: &str, id_number: &str, name: &str) -> i64 {
        let mut echo = Echo::default();
        echo.begin().extend_from_slice(account.trim_end().as_bytes());
        for (is_returned, text) in [(self.id_number, id_number), (self.name, name)] {
            let all = echo.and();
            if is_returned {
                all.extend_from_slice(folded(text).as_bytes());
            }
        }
        echo.digest()
    }
}

#[derive(Debug)]
struct Collector<'l> {
    layout: &'l Layout,
    echoes: Echoes,
    echo: Echo,
    batch: BatchNumber,
    file: ReturnFile,
    texts: Texts,
}

impl Collector<'_> {
    fn take(&mut self, record: &Record<'_>) {
        // Flagged rows count too: an unsound file is refused whole, so what is left can at most not agree with us.
        if record.kind() != RecordKind::Detail {
            return;
        }
        let line = u32::try_from(record.line()).unwrap_or(u32::MAX);
        let number = InstructionNumber::of_digits(record.bytes(Role::Instruction));
        let actual = record.money(Role::Actual).unwrap_or(Money::ZERO);
        let booked_on = record.date(Role::BookedOn);
        match number.filter(|number| number.batch == self.batch) {
            Some(number) => {
                let row = Row {
                    sequence: number.sequence,
                    line,
                    amount: record.money(Role::Amount).unwrap_or(Money::ZERO),
                    actual,
                    echo: self.echo(record),
                    booked_on,
                    code: self.code(record),
                    serial: self.serial(record),
                };
                self.file.rows.push(row);
            }
            None => {
                let serial = record.text(Role::Serial).unwrap_or_default().trim_end().to_owned();
                let text = record.text(Role::Instruction).unwrap_or_default().trim_end().to_owned();
                self.file.strangers.push(StrangeRow { line, text, actual, booked_on, serial });
            }
        }
    }

    fn echo(&mut self, record: &Record<'_>) -> i64 {
        let account = self.echo.begin();
        if !record.append_plain(Role::Account, account) {
            account.extend_from_slice(record.text(Role::Account).unwrap_or_default().trim_end().as_bytes());
        }
        for (is_returned, role) in [(self.echoes.id_number, Role::IdNumber), (self.echoes.name, Role::Name)] {
            let all = self.echo.and();
            if is_returned && !record.append_plain(role, all) {
                all.extend_from_slice(folded(&record.text(role).unwrap_or_default()).as_bytes());
            }
        }
        self.echo.digest()
    }

    /// Index of the row's code; there are few different ones in a file.
    fn code(&mut self, record: &Record<'_>) -> u16 {
        let code = record.text(Role::Code).unwrap_or_default();
        let code = code.trim_end();
        if let Some(known) = self.texts.codes.iter().position(|(text, _)| text == code) {
            return known as u16;
        }
        let outcome = if self.texts.codes.len() < usize::from(u16::MAX) {
            self.layout.outcome(record.bytes(Role::Code))
        } else {
            Outcome::Unmapped
        };
        self.texts.codes.push((code.to_owned(), outcome));
        (self.texts.codes.len() - 1).min(usize::from(u16::MAX)) as u16
    }

    fn serial(&mut self, record: &Record<'_>) -> u32 {
        let width = self.texts.serial_width;
        let place = self.texts.serials.len() / width.max(1);
        self.texts.serials.extend_from_slice(record.bytes(Role::Serial));
        self.texts.serials.resize((place + 1) * width, b' ');
        place as u32
    }
}
