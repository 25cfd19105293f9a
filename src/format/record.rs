//! One record of a file, read by role. It borrows the bytes and decodes a field only when asked.

use crate::domain::calendar::{self, Date, Time};
use crate::domain::money::Money;
use crate::format::charset::{self, TextFault};
use crate::format::field::{self, Fault, FieldKind, FieldLayout};
use crate::format::layout::{RecordKind, RecordLayout};
use crate::format::role::Role;
use std::borrow::Cow;

/// A record of the right length. Its fields may still have faults; each getter tells what it could read.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub(super) layout: &'a RecordLayout,
    pub(super) bytes: &'a [u8],
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) is_sound: bool,
}

impl<'a> Record<'a> {
    /// Which record of the file.
    pub fn kind(&self) -> RecordKind {
        self.layout.kind
    }

    /// Its line, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Its first byte in the file, from 0.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether no field of it has a fault.
    pub fn is_sound(&self) -> bool {
        self.is_sound
    }

    /// Its bytes without the line end.
    pub fn raw(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its fields with their bytes, padding included.
    pub fn fields(&self) -> impl Iterator<Item = (&'a FieldLayout, &'a [u8])> {
        let bytes = self.bytes;
        self.layout.fields.iter().map(move |field| (field, &bytes[field.span()]))
    }

    /// A field's value as JSON and people see it: without padding, amounts in yuan.
    pub fn value(&self, field: &FieldLayout) -> Result<String, Fault> {
        field.value(&self.bytes[field.span()], self.layout.charset())
    }

    #[inline]
    fn of(&self, role: Role) -> Option<(FieldKind, &'a [u8])> {
        let field = self.layout.field(role)?;
        Some((field.kind, &self.bytes[field.span()]))
    }

    /// The bytes of a role without the padding on the right; empty where the record does not have it.
    #[inline]
    pub fn bytes(&self, role: Role) -> &'a [u8] {
        self.of(role).map_or(&[], |(_, bytes)| charset::trim_end(bytes))
    }

    /// The text of a role; empty where the record does not have it.
    pub fn text(&self, role: Role) -> Result<Cow<'a, str>, TextFault> {
        self.layout.charset().decode(self.bytes(role))
    }

    /// See [`Charset::append_plain`](charset::Charset::append_plain); of a role that the record does not have, nothing.
    pub fn append_plain(&self, role: Role, utf8: &mut Vec<u8>) -> bool {
        self.layout.charset().append_plain(self.bytes(role), utf8)
    }

    /// Appends the text of a role to `text`, without an allocation of its own.
    pub fn text_into(&self, role: Role, text: &mut String) -> Result<(), TextFault> {
        self.layout.charset().decode_into(self.bytes(role), text)
    }

    /// The number of a role.
    #[inline]
    pub fn number(&self, role: Role) -> Option<u64> {
        self.of(role).and_then(|(_, bytes)| field::number(bytes))
    }

    /// The amount of a role.
    #[inline]
    pub fn money(&self, role: Role) -> Option<Money> {
        match self.of(role)? {
            (FieldKind::Yuan, bytes) => field::yuan(bytes),
            (_, bytes) => field::money(bytes),
        }
    }

    /// The day of a role; `None` where it is blank or no day.
    #[inline]
    pub fn date(&self, role: Role) -> Option<Date> {
        let (_, bytes) = self.of(role)?;
        calendar::from_yyyymmdd(field::number(bytes.get(..8)?)? as i64)
    }

    /// The time of day of a role, or of the last six digits of a date with a time.
    pub fn time(&self, role: Role) -> Option<Time> {
        let bytes = match self.of(role)? {
            (FieldKind::DateTime, bytes) => bytes.get(8..)?,
            (FieldKind::Time, bytes) => bytes,
            _ => return None,
        };
        let value = field::number(bytes)?;
        let part = |divisor: u64| i8::try_from(value / divisor % 100).ok();
        Time::new(part(10_000)?, part(100)?, part(1)?, 0).ok()
    }
}

/// A header, trailer or control record, kept after its bytes are gone.
#[derive(Clone, Debug)]
pub struct KeptRecord<'l> {
    pub(super) layout: &'l RecordLayout,
    pub(super) bytes: Vec<u8>,
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) is_sound: bool,
}

impl KeptRecord<'_> {
    /// The record to read by role.
    pub fn record(&self) -> Record<'_> {
        Record {
            layout: self.layout,
            bytes: &self.bytes,
            line: self.line,
            offset: self.offset,
            is_sound: self.is_sound,
        }
    }
}
