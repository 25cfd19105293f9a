//! `formats/<layout>/`: layouts as written, turned into layouts that are proved.

use crate::domain::returns::{FileAnswer, Outcome};
use crate::format::charset::Charset;
use crate::format::codes::{Codes, FileCode, RowCode};
use crate::format::field::{FieldKind, FieldLayout};
use crate::format::layout::{FileKind, FileParts, Layout, LayoutFault, LayoutParts, LineEnd, RecordKind, RecordParts};
use crate::format::names::NamePattern;
use crate::format::role::Role;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The layouts built into the binary: key, `layout.toml`, `codes.toml`, `notes.md`.
pub const SHIPPED: [(&str, &str, &str, &str); 3] = [
    (
        "rural-commercial",
        include_str!("../../formats/rural-commercial/layout.toml"),
        include_str!("../../formats/rural-commercial/codes.toml"),
        include_str!("../../formats/rural-commercial/notes.md"),
    ),
    (
        "postal-savings",
        include_str!("../../formats/postal-savings/layout.toml"),
        include_str!("../../formats/postal-savings/codes.toml"),
        include_str!("../../formats/postal-savings/notes.md"),
    ),
    (
        "city-commercial",
        include_str!("../../formats/city-commercial/layout.toml"),
        include_str!("../../formats/city-commercial/codes.toml"),
        include_str!("../../formats/city-commercial/notes.md"),
    ),
];

/// Why a layout cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Neither shipped nor in the folder.
    #[error("no layout {name}: expected {known} or the path of a folder with layout.toml and codes.toml")]
    Unknown {
        /// As asked for.
        name: String,
        /// The keys there are.
        known: String,
    },
    /// A file of it cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is read, and wrong: every fault at once.
    #[error("layout {key}: {}", faults.iter().map(LayoutFault::to_string).collect::<Vec<_>>().join("; "))]
    Faulty {
        /// Its key.
        key: String,
        /// What is wrong.
        faults: Vec<LayoutFault>,
    },
}

/// Every file of the shipped layouts: path below the configuration's folder, and text.
pub fn shipped_files() -> Vec<(String, &'static str)> {
    let files = SHIPPED.iter().flat_map(|(key, layout, codes, notes)| {
        [("layout.toml", *layout), ("codes.toml", *codes), ("notes.md", *notes)]
            .map(|(name, text)| (format!("formats/{key}/{name}"), text))
    });
    files.collect()
}

/// The layout `name`: a folder of that path, else `<formats>/<name>/`, else the copy built into the binary.
pub fn load(name: &str, formats: Option<&Path>) -> Result<Layout, LayoutError> {
    let looks_like_a_path = name.contains(['/', '\\', '.']);
    let beside = formats.map(|folder| folder.join(name)).filter(|_| !looks_like_a_path);
    let own = looks_like_a_path.then(|| PathBuf::from(name));
    if let Some(folder) = own.into_iter().chain(beside).find(|folder| folder.join("layout.toml").is_file()) {
        return load_folder(&folder);
    }
    match SHIPPED.iter().find(|(key, ..)| *key == name) {
        Some((key, layout, codes, _)) => parse(key, layout, codes),
        None => Err(LayoutError::Unknown { name: name.to_owned(), known: SHIPPED.map(|(key, ..)| key).join(", ") }),
    }
}

/// The layout of a folder; its key is the folder's name.
pub fn load_folder(folder: &Path) -> Result<Layout, LayoutError> {
    let key = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|source| LayoutError::Unreadable { path, source })
    };
    parse(&key.unwrap_or_else(|| folder.display().to_string()), &read("layout.toml")?, &read("codes.toml")?)
}

/// The layout of these texts.
pub fn parse(key: &str, layout: &str, codes: &str) -> Result<Layout, LayoutError> {
    let mut faults = Vec::new();
    let raw: Option<RawLayout> = from_toml("layout.toml", layout, &mut faults);
    let codes: Option<RawCodes> = from_toml("codes.toml", codes, &mut faults);
    let codes = codes.and_then(|raw| raw.build(&mut faults));
    let parts = raw.and_then(|raw| raw.parts(key, codes.clone().unwrap_or_default(), &mut faults));
    let built = parts.map(Layout::build);
    match built {
        Some(Ok(layout)) if faults.is_empty() => Ok(layout),
        Some(Err(more)) => {
            faults.extend(more);
            Err(LayoutError::Faulty { key: key.to_owned(), faults })
        }
        _ => Err(LayoutError::Faulty { key: key.to_owned(), faults }),
    }
}

fn from_toml<T: for<'de> Deserialize<'de>>(file: &str, text: &str, faults: &mut Vec<LayoutFault>) -> Option<T> {
    match toml::from_str(text) {
        Ok(raw) => Some(raw),
        Err(error) => {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            faults.push(LayoutFault::new(format!("{file}:{line}"), error.message()));
            None
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawLayout {
    title: String,
    charset: String,
    #[serde(rename = "line_end")]
    line_end: String,
    request: Option<RawFile>,
    #[serde(rename = "return")]
    returned: Option<RawFile>,
    request_control: Option<RawFile>,
    return_control: Option<RawFile>,
    record: BTreeMap<String, RawRecord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    name: String,
    header: Option<String>,
    detail: Option<String>,
    trailer: Option<String>,
    control: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord {
    width: usize,
    delimiter: Option<String>,
    field: Vec<RawField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    name: String,
    title: String,
    at: usize,
    width: usize,
    kind: String,
    role: Option<String>,
    bank: Option<String>,
    value: Option<String>,
    request: Option<String>,
    #[serde(rename = "return")]
    returned: Option<String>,
    #[serde(default)]
    choices: Vec<String>,
    #[serde(default)]
    blank: bool,
    #[serde(default)]
    contiguous: bool,
}

impl RawLayout {
    fn parts(self, key: &str, codes: Codes, faults: &mut Vec<LayoutFault>) -> Option<LayoutParts> {
        let charset = word("charset", &self.charset, Charset::parse, faults);
        let line_end = word("line_end", &self.line_end, LineEnd::parse, faults);
        let raw_files = [
            (FileKind::Request, &self.request),
            (FileKind::Return, &self.returned),
            (FileKind::RequestControl, &self.request_control),
            (FileKind::ReturnControl, &self.return_control),
        ];
        let mut files = Vec::new();
        for (kind, raw) in raw_files {
            files.extend(raw.as_ref().and_then(|raw| raw.parts(kind, &self.record, faults)));
        }
        self.unused(faults);
        Some(LayoutParts {
            key: key.to_owned(),
            title: self.title,
            charset: charset?,
            line_end: line_end?,
            codes,
            files,
        })
    }

    /// A record that no file uses is a slip of the pen.
    fn unused(&self, faults: &mut Vec<LayoutFault>) {
        let files = [&self.request, &self.returned, &self.request_control, &self.return_control];
        let used: Vec<&String> = files.into_iter().flatten().flat_map(RawFile::records).map(|(_, name)| name).collect();
        for name in self.record.keys().filter(|name| !used.contains(name)) {
            faults.push(LayoutFault::new(format!("record.{name}"), "no file uses this record"));
        }
    }
}

impl RawFile {
    fn records(&self) -> impl Iterator<Item = (RecordKind, &String)> {
        let names = [&self.header, &self.detail, &self.trailer, &self.control];
        RecordKind::ALL.into_iter().zip(names).filter_map(|(kind, name)| Some((kind, name.as_ref()?)))
    }

    fn parts(
        &self,
        kind: FileKind,
        records: &BTreeMap<String, RawRecord>,
        faults: &mut Vec<LayoutFault>,
    ) -> Option<FileParts> {
        let name = NamePattern::parse(&self.name);
        let mut parts = Vec::new();
        for (record, name) in self.records() {
            let place = format!("{} {}", kind.word(), record.word());
            match records.get(name) {
                Some(raw) => parts.push((record, raw.parts(kind, &place, faults))),
                None => faults.push(LayoutFault::new(place, format!("there is no [record.{name}]"))),
            }
        }
        match name {
            Ok(name) => Some(FileParts { kind, name, records: parts }),
            Err(message) => {
                faults.push(LayoutFault::new(format!("{} name", kind.word()), message));
                None
            }
        }
    }
}

impl RawRecord {
    fn parts(&self, kind: FileKind, place: &str, faults: &mut Vec<LayoutFault>) -> RecordParts {
        let delimiter = self.delimiter.as_deref().and_then(|text| {
            let sound = matches!(text.as_bytes(), [b'!'..=b'~']);
            if !sound {
                faults.push(LayoutFault::new(place, format!("expected one printable delimiter, found {text:?}")));
            }
            text.bytes().next().filter(|_| sound)
        });
        let fields = self.field.iter().filter_map(|field| field.build(kind, place, faults)).collect();
        RecordParts { width: self.width, delimiter, fields }
    }
}

impl RawField {
    fn build(&self, kind: FileKind, place: &str, faults: &mut Vec<LayoutFault>) -> Option<FieldLayout> {
        let place = format!("{place} {}", self.name);
        let role = self.role.as_ref().map(|role| word(&place, role, Role::parse, faults));
        let field_kind = word(&place, &self.kind, FieldKind::parse, faults)?;
        let directed = if kind.is_from_bank() { &self.returned } else { &self.request };
        Some(FieldLayout {
            name: self.name.clone(),
            title: self.title.clone(),
            offset: self.at,
            width: self.width,
            kind: field_kind,
            role: role.flatten(),
            bank: self.bank.clone(),
            constant: directed.clone().or_else(|| self.value.clone()),
            choices: self.choices.clone(),
            blank: self.blank || directed.as_deref() == Some(""),
            contiguous: self.contiguous,
        })
    }
}

/// Reads one of a closed set of words, or names the word that is none of them.
fn word<T>(place: &str, text: &str, parse: impl Fn(&str) -> Option<T>, faults: &mut Vec<LayoutFault>) -> Option<T> {
    let parsed = parse(text);
    if parsed.is_none() {
        faults.push(LayoutFault::new(place, format!("{text:?} is no word known here")));
    }
    parsed
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCodes {
    row: Vec<RawRowCode>,
    #[serde(default)]
    file: Vec<RawFileCode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRowCode {
    code: String,
    outcome: String,
    title: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFileCode {
    code: String,
    answer: String,
    title: String,
}

impl RawCodes {
    fn build(self, faults: &mut Vec<LayoutFault>) -> Option<Codes> {
        let mut rows = Vec::new();
        for raw in self.row {
            let assignable = |text: &str| Outcome::parse(text).filter(|outcome| *outcome != Outcome::Unmapped);
            if let Some(outcome) = word(&format!("codes row {}", raw.code), &raw.outcome, assignable, faults) {
                rows.push(RowCode { code: raw.code, outcome, title: raw.title });
            }
        }
        let mut files = Vec::new();
        for raw in self.file {
            if let Some(answer) = word(&format!("codes file {}", raw.code), &raw.answer, file_answer, faults) {
                files.push(FileCode { code: raw.code, answer, title: raw.title });
            }
        }
        let built = Codes::build(rows, files);
        built.map_err(|more| faults.extend(more.into_iter().map(|message| LayoutFault::new("codes", message)))).ok()
    }
}

fn file_answer(text: &str) -> Option<FileAnswer> {
    match text {
        "accepted" => Some(FileAnswer::Accepted),
        "duplicate-batch" => Some(FileAnswer::DuplicateBatch),
        "rejected" => Some(FileAnswer::Rejected),
        _ => None,
    }
}
