//! What a whole file says once it is read, and a data file held against its control file.

use crate::domain::returns::FileAnswer;
use crate::format::decode::KEPT_DEFECTS;
use crate::format::defect::{Defect, DefectKind};
use crate::format::digest::Algorithm;
use crate::format::field::FieldLayout;
use crate::format::layout::{FileKind, Layout};
use crate::format::record::{KeptRecord, Record};
use crate::format::role::Role;
use crate::format::totals::{self, Totals};

/// What a whole file says.
#[derive(Debug)]
pub struct Decoded<'l> {
    pub(super) layout: &'l Layout,
    /// Which kind of file it is.
    pub kind: FileKind,
    /// Bytes of the file.
    pub bytes: u64,
    /// What its rows add up to.
    pub totals: Totals,
    /// Its header, the record of a control file included.
    pub header: Option<KeptRecord<'l>>,
    /// Its trailer.
    pub trailer: Option<KeptRecord<'l>>,
    /// The digest over its own range, where one was computed or given.
    pub digest: Option<String>,
    /// The first [`KEPT_DEFECTS`] defects, in the order of the file.
    pub defects: Vec<Defect>,
    /// All defects.
    pub defect_count: u64,
    /// Defects that are a reason to refuse the file.
    pub fatal_count: u64,
    /// Everything there is sound, and more was to come.
    pub(super) is_incomplete: bool,
}

impl<'l> Decoded<'l> {
    /// No reason to refuse the file. Flags ([`Defect::is_flag`]) are no reason.
    pub fn is_sound(&self) -> bool {
        self.fatal_count == 0
    }

    /// A proper prefix of a sound file: more bytes may still come. A finished file with wrong totals is not.
    pub fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// What the bank says of the whole file.
    pub fn file_answer(&self) -> FileAnswer {
        file_answer(self.layout, self.header.as_ref())
    }

    /// The header or trailer, or the record of a control file, that has a role.
    fn envelope_with(&self, role: Role) -> Option<Record<'_>> {
        let mut envelope = self.header.iter().chain(&self.trailer).map(KeptRecord::record);
        envelope.find(|record| record.layout.field(role).is_some())
    }

    /// The value of a role in the envelope, without padding.
    pub fn value(&self, role: Role) -> Option<String> {
        let record = self.envelope_with(role)?;
        record.value(record.layout.field(role)?).ok()
    }

    /// The number of a role in the envelope.
    pub fn number(&self, role: Role) -> Option<u64> {
        self.envelope_with(role)?.number(role)
    }

    /// What the envelope says under a role: a contradiction is named by its field.
    pub fn stated(&self, role: Role) -> Option<Stated<'_>> {
        let record = self.envelope_with(role)?;
        Stated::of(&record, record.layout.field(role)?)
    }

    /// What the bank's header says under a key of `[bank.header]`.
    pub fn bank_stated(&self, key: &str) -> Option<Stated<'_>> {
        let record = self.header.as_ref()?.record();
        Stated::of(&record, record.layout.fields.iter().find(|field| field.bank.as_deref() == Some(key))?)
    }

    /// The digest that a control file asks its data file to be read with.
    pub fn asked_digest(&self) -> Option<Algorithm> {
        Algorithm::parse(&self.value(Role::DigestAlgorithm)?)
    }

    /// Holds a data file against its control file: name, size, rows, sums, digest. The defects are counted here, and
    /// point into the control file's line.
    pub fn check_control(&mut self, control: &Decoded<'_>, data_name: &str) {
        let Some(record) = control.header.as_ref().map(KeptRecord::record) else { return };
        let is_readable = self.fatal_count == u64::from(self.is_incomplete);
        let is_growing = record.number(Role::FileSize).is_some_and(|size| self.bytes < size);
        self.is_incomplete = is_growing && is_readable;
        // Where bytes are missing or records could not be read, totals only repeat it.
        let is_comparable = is_readable && !is_growing;
        for (field, stated, expected) in self.control_values(&record, data_name) {
            let role = field.role.expect("compared by role");
            let is_named = matches!(role, Role::FileName | Role::FileSize);
            if stated != expected && (is_comparable || is_named) {
                self.defect_count += 1;
                self.fatal_count += 1;
                self.defects.push(defect_in(&record, field, DefectKind::Control { role, expected }, stated));
            }
        }
        self.defects.truncate(KEPT_DEFECTS);
    }

    /// Field, what the control file states, what the data file bears out.
    fn control_values<'r>(&self, control: &Record<'r>, data_name: &str) -> Vec<(&'r FieldLayout, String, String)> {
        let shown = |role| Some(totals::shown(role, self.totals.of(role)?));
        let expected = |role| match role {
            Role::FileName => Some(data_name.to_owned()),
            Role::FileSize => Some(self.bytes.to_string()),
            Role::Digest => self.digest.clone(),
            role => shown(role),
        };
        let compared = control.layout.fields.iter().filter_map(|field| Some((field, expected(field.role?)?)));
        compared.filter_map(|(field, expected)| Some((field, control.value(field).ok()?, expected))).collect()
    }
}

/// What a field of the envelope says, and where.
#[derive(Clone, Debug)]
pub struct Stated<'d> {
    /// The field.
    pub field: &'d FieldLayout,
    /// Line of the file, from 1.
    pub line: u64,
    /// Its value, without padding.
    pub value: String,
}

impl<'d> Stated<'d> {
    fn of(record: &Record<'d>, field: &'d FieldLayout) -> Option<Stated<'d>> {
        Some(Stated { field, line: record.line, value: record.value(field).ok()? })
    }
}

pub(super) fn file_answer(layout: &Layout, header: Option<&KeptRecord<'_>>) -> FileAnswer {
    let header = header.map(KeptRecord::record).filter(|record| record.layout.field(Role::FileCode).is_some());
    layout.file_answer(header.as_ref().map(|record| record.bytes(Role::FileCode)))
}

/// A total as stated: sums in fen.
pub(super) fn stated_total(record: &Record<'_>, role: Role) -> Option<i128> {
    if role.is_money() {
        record.money(role).map(|money| i128::from(money.fen()))
    } else {
        record.number(role).map(i128::from)
    }
}

pub(super) fn defect_in(record: &Record<'_>, field: &FieldLayout, kind: DefectKind, found: String) -> Defect {
    let defect = Defect::of_line(kind, record.line, record.offset, record.bytes, record.layout.charset());
    defect.within(record.kind()).in_field(field).finding(found)
}

pub(super) fn charset_free(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
