//! The JSON of a bank file (design section 5), both ways.

use crate::format::defect::Defect;
use crate::format::digest::Algorithm;
use crate::format::encode::NamedRecord;
use crate::format::layout::{FileKind, Layout, RecordKind};
use crate::format::record::Record;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Prints records as they are read, so that memory does not grow with the file. Does nothing unless `json`.
pub(super) struct RecordWriter<'w, W> {
    out: &'w mut W,
    is_on: bool,
    is_first: bool,
    failed: Option<io::Error>,
}

impl<'w, W: Write> RecordWriter<'w, W> {
    pub(super) fn new(out: &'w mut W, layout: &Layout, kind: FileKind, is_on: bool) -> io::Result<Self> {
        if is_on {
            let (key, kind) = (Value::from(layout.key.as_str()), kind.word());
            write!(out, "{{\"layout\":{key},\"kind\":\"{kind}\",\"records\":[")?;
        }
        Ok(RecordWriter { out, is_on, is_first: true, failed: None })
    }

    /// The visitor of the decoder cannot fail; what failed is told by `finish`.
    pub(super) fn write(&mut self, record: &Record<'_>) {
        if self.is_on && self.failed.is_none() {
            let separator = if self.is_first { "\n" } else { ",\n" };
            self.is_first = false;
            self.failed = write!(self.out, "{separator}{}", json_of(record)).err();
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.failed.map_or(Ok(()), Err)
    }
}

/// A field that cannot be read is `null`: its defect says why.
fn json_of(record: &Record<'_>) -> Value {
    let fields: Map<String, Value> =
        record.fields().map(|(field, _)| (field.name.clone(), record.value(field).ok().into())).collect();
    json!({ "record": record.kind().word(), "line": record.line(), "fields": fields })
}

/// A defect for programs: positions from 0.
pub(super) fn defect(defect: &Defect, file: &str) -> Value {
    json!({
        "line": defect.line,
        "record": defect.record.map(RecordKind::word),
        "field": defect.field.as_ref().map(|(name, _)| name),
        "byte": defect.offset,
        "start": defect.bytes.start,
        "end": defect.bytes.end,
        "code": defect.code(),
        "expected": defect.expected(),
        "found": defect.found(false),
        "message": defect.message(file, false),
        "message_zh": defect.message_zh(),
        "action_zh": defect.action_zh(),
    })
}

/// What the JSON of a file says.
pub(super) struct JsonFile {
    pub(super) layout: Option<String>,
    pub(super) kind: Option<FileKind>,
    pub(super) records: Vec<NamedRecord>,
    /// Which digest a control record asks for.
    pub(super) digest_algorithm: Option<Algorithm>,
}

/// Reads the JSON of a file, or says where it is not that.
pub(super) fn parse(text: &str) -> Result<JsonFile, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("the JSON cannot be read: {error}"))?;
    let word = |key: &str| json.get(key).and_then(Value::as_str);
    let kind = match word("kind") {
        Some(text) => Some(FileKind::parse(text).ok_or_else(|| format!("kind: no kind {text:?}"))?),
        None => None,
    };
    let records = json.get("records").and_then(Value::as_array).ok_or("expected a list \"records\"")?;
    let records = records.iter().enumerate().map(|(number, record)| named(number, record));
    let records = records.collect::<Result<Vec<NamedRecord>, String>>()?;
    let control = records.iter().find(|record| record.record == RecordKind::Control);
    let digest_algorithm = control.and_then(|record| record.fields.values().find_map(|value| Algorithm::parse(value)));
    Ok(JsonFile { layout: word("layout").map(str::to_owned), kind, records, digest_algorithm })
}

fn named(number: usize, record: &Value) -> Result<NamedRecord, String> {
    let place = format!("record {}", number + 1);
    let kind = record.get("record").and_then(Value::as_str).and_then(RecordKind::parse);
    let kind = kind.ok_or_else(|| format!("{place}: expected \"record\": header, detail, trailer or control"))?;
    let fields = match record.get("fields") {
        Some(Value::Object(fields)) => fields.clone(),
        Some(_) => return Err(format!("{place}: expected \"fields\" with names and values")),
        None => Map::new(),
    };
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        other => Err(format!("{place}: {name}: expected a string, found {other}")),
    };
    let fields = fields.into_iter().map(text).collect::<Result<BTreeMap<String, String>, String>>()?;
    Ok(NamedRecord { record: kind, fields })
}
