//! Every fault of a layout at once, before it is used.

use crate::format::field::FieldKind;
use crate::format::field::FieldLayout;
use crate::format::layout::{FileKind, FileParts, LayoutFault, LayoutParts, RecordKind, RecordParts};
use crate::format::role::Role;

/// The faults of a layout: gaps, overlaps, widths, constants that do not fit, roles that are missing.
pub(super) fn faults(layout: &LayoutParts) -> Vec<LayoutFault> {
    let mut faults = Vec::new();
    for kind in [FileKind::Request, FileKind::Return] {
        if !layout.files.iter().any(|file| file.kind == kind) {
            faults.push(LayoutFault::new(kind.word(), "the layout has no such file"));
        }
    }
    for file in &layout.files {
        for (kind, record) in &file.records {
            let place = format!("{} {}", file.kind.word(), kind.word());
            record_faults(layout, record, &place, &mut faults);
        }
        shape_faults(file, &mut faults);
        role_faults(file, &mut faults);
        code_faults(layout, file, &mut faults);
    }
    faults
}

fn record_faults(layout: &LayoutParts, record: &RecordParts, place: &str, faults: &mut Vec<LayoutFault>) {
    let after = usize::from(record.delimiter.is_some());
    let mut end = 0;
    for (index, field) in record.fields.iter().enumerate() {
        let place = format!("{place} {}", field.name);
        let mut fault = |message: String| faults.push(LayoutFault::new(place.as_str(), message));
        if field.offset != end {
            let what = if field.offset > end { "gap" } else { "overlap" };
            fault(format!("expected offset {end}, found {} ({what})", field.offset));
        }
        end = field.offset + field.width + after;
        field.width_fault().map(&mut fault);
        kind_fault(field).map(&mut fault);
        let earlier = &record.fields[..index];
        if earlier.iter().any(|other| other.name == field.name) {
            fault("another field of the record has this name".to_owned());
        }
        if field.role.is_some() && earlier.iter().any(|other| other.role == field.role) {
            fault("another field of the record has this role".to_owned());
        }
        let values = field.constant.iter().chain(&field.choices);
        for value in values {
            let free = FieldLayout { constant: None, choices: Vec::new(), blank: true, role: None, ..field.clone() };
            if free.fits(value, layout.charset).is_err() {
                fault(format!("the value {value:?} does not fit {} bytes of {}", field.width, field.kind.word()));
            }
        }
    }
    if end != record.width {
        faults.push(LayoutFault::new(place, format!("expected {} bytes, found fields of {end}", record.width)));
    }
    if record.fields.is_empty() || record.fields.len() > usize::from(u8::MAX) || record.width > MAX_RECORD {
        let message = format!("expected 1 to 255 fields of {MAX_RECORD} bytes at most");
        faults.push(LayoutFault::new(place, message));
    }
}

/// A longer record is a mistake in the layout; the decoder's memory is bounded by it.
const MAX_RECORD: usize = 32_768;

fn kind_fault(field: &FieldLayout) -> Option<String> {
    let (role, kind) = (field.role?, field.kind);
    let right = match role {
        role if role.is_money() => matches!(kind, FieldKind::Fen | FieldKind::Yuan),
        role if role.is_number() => kind == FieldKind::Number,
        Role::IdNumber => matches!(kind, FieldKind::IdNumber | FieldKind::Ascii),
        Role::BookedOn => matches!(kind, FieldKind::Date | FieldKind::DateTime),
        Role::BookedTime => kind == FieldKind::Time,
        Role::ValueDate | Role::BatchDate => kind == FieldKind::Date,
        Role::Created => kind == FieldKind::DateTime,
        Role::Digest => kind == FieldKind::Digest,
        _ => true,
    };
    (!right).then(|| format!("a field of kind {} cannot be the {}", kind.word(), role.word()))
}

/// Which records a file has, and how they are told apart.
fn shape_faults(file: &FileParts, faults: &mut Vec<LayoutFault>) {
    let kinds: Vec<RecordKind> = file.records.iter().map(|(kind, _)| *kind).collect();
    let control = file.kind.data().is_some();
    let sound = match control {
        true => kinds == [RecordKind::Control],
        false => {
            use RecordKind::{Detail, Header, Trailer};
            [&[Detail][..], &[Header, Detail], &[Detail, Trailer], &[Header, Detail, Trailer]].contains(&&kinds[..])
        }
    };
    if !sound {
        let expected =
            if control { "one control record" } else { "a detail record, with or without header and trailer" };
        faults.push(LayoutFault::new(file.kind.word(), format!("expected {expected}")));
    }
    let tags: Vec<Option<&str>> = file
        .records
        .iter()
        .map(|(_, record)| record.fields.first().and_then(|field| field.constant.as_deref()))
        .collect();
    let distinct = tags.iter().enumerate().all(|(place, tag)| {
        tag.is_some_and(|tag| tags[..place].iter().flatten().all(|other| other.len() == tag.len() && *other != tag))
    });
    if kinds.len() > 1 && !distinct {
        let message = "the first field of each record must be a constant of one length that tells it from the others";
        faults.push(LayoutFault::new(file.kind.word(), message));
    }
}

/// The fields without which the file cannot be used.
fn role_faults(file: &FileParts, faults: &mut Vec<LayoutFault>) {
    let needed: &[Role] = match file.kind {
        FileKind::Request => &[Role::Instruction, Role::Account, Role::Name, Role::Amount],
        FileKind::Return => &[Role::Instruction, Role::Amount, Role::Actual, Role::Code, Role::BookedOn],
        FileKind::RequestControl | FileKind::ReturnControl => {
            &[Role::FileName, Role::FileSize, Role::Count, Role::Sum, Role::Digest, Role::DigestAlgorithm]
        }
    };
    let main = file.records.iter().find(|(kind, _)| matches!(kind, RecordKind::Detail | RecordKind::Control));
    let Some((kind, record)) = main else { return };
    for role in needed {
        if !record.fields.iter().any(|field| field.role == Some(*role)) {
            let place = format!("{} {}", file.kind.word(), kind.word());
            faults.push(LayoutFault::new(place, format!("no field has the role {}", role.word())));
        }
    }
}

/// Codes that could never stand in their field.
fn code_faults(layout: &LayoutParts, file: &FileParts, faults: &mut Vec<LayoutFault>) {
    if file.kind != FileKind::Return {
        return;
    }
    let field = |role| {
        let mut fields = file.records.iter().flat_map(|(_, record)| &record.fields);
        fields.find(|field| field.role == Some(role)).map_or(0, |field| field.width)
    };
    let (row_width, file_width) = (field(Role::Code), field(Role::FileCode));
    let rows = layout.codes.rows().iter().map(|row| (&row.code, row_width));
    let files = layout.codes.files().iter().map(|file| (&file.code, file_width));
    for (code, width) in rows.chain(files).filter(|(code, width)| code.len() > *width) {
        faults.push(LayoutFault::new("codes", format!("the code {code:?} does not fit a field of {width} bytes")));
    }
}
