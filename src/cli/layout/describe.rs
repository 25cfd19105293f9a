//! `daikou layout describe`: a layout for the bank's desk, as tables.

use super::Result;
use crate::domain::returns::FileAnswer;
use crate::format::field::FieldLayout;
use crate::format::layout::{FileLayout, Layout, RecordLayout};
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Prints everything a layout says.
pub(super) fn describe(layout: &Layout, json: bool) -> Result<bool> {
    let mut out = io::stdout().lock();
    if json {
        let files: Vec<Value> = layout.files().iter().map(json_of_file).collect();
        let rows = layout.codes.rows().iter();
        let codes: Vec<Value> =
            rows.map(|row| json!({ "code": row.code, "outcome": row.outcome.word(), "title": row.title })).collect();
        let charset = layout.charset.word();
        let described = json!({ "layout": layout.key, "charset": charset, "files": files, "codes": codes });
        writeln!(out, "{described}")?;
        return Ok(true);
    }
    writeln!(out, "{} {}, charset {}", layout.key, layout.title, layout.charset.word())?;
    for file in layout.files() {
        writeln!(out, "\n{}: {}, line end {}", file.kind.word(), file.name, file.line_end.word())?;
        for record in &file.records {
            write_record(&mut out, record)?;
        }
    }
    write_codes(&mut out, layout)?;
    Ok(true)
}

fn write_record(out: &mut impl Write, record: &RecordLayout) -> io::Result<()> {
    let after = match record.delimiter {
        Some(byte) => format!(", {:?} after each field", char::from(byte)),
        None => String::new(),
    };
    writeln!(out, "\n  {} {} bytes{after}", record.kind.word(), record.width)?;
    let mut table = plain_table();
    table.set_header(["#", "offset", "width", "end", "field", "名称", "kind", "content"]);
    for (number, field) in (1..).zip(&record.fields) {
        let place = [number, field.offset, field.width, field.span().end - 1].map(|number| number.to_string());
        let words = [field.name.clone(), field.title.clone(), field.kind.word().to_owned(), content(field)];
        table.add_row(place.into_iter().chain(words));
    }
    write_table(out, &table)
}

fn write_codes(out: &mut impl Write, layout: &Layout) -> io::Result<()> {
    writeln!(out, "\ncodes of rows")?;
    let mut table = plain_table();
    table.set_header(["code", "outcome", "处理说明"]);
    for row in layout.codes.rows() {
        table.add_row([row.code.as_str(), row.outcome.word(), row.title.as_str()]);
    }
    write_table(out, &table)?;
    if layout.codes.files().is_empty() {
        return Ok(());
    }
    writeln!(out, "\ncodes of files")?;
    let mut table = plain_table();
    table.set_header(["code", "answer", "处理说明"]);
    for file in layout.codes.files() {
        table.add_row([file.code.as_str(), answer_word(file.answer), file.title.as_str()]);
    }
    write_table(out, &table)
}

fn answer_word(answer: FileAnswer) -> &'static str {
    match answer {
        FileAnswer::Accepted => "accepted",
        FileAnswer::DuplicateBatch => "duplicate-batch",
        FileAnswer::Rejected => "rejected",
    }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn write_table(out: &mut impl Write, table: &Table) -> io::Result<()> {
    table.lines().try_for_each(|line| writeln!(out, "  {}", line.trim_end()))
}

/// What a field holds, in words.
fn content(field: &FieldLayout) -> String {
    let mut words = Vec::new();
    words.extend(field.constant.as_ref().map(|constant| format!("{constant:?}")));
    words.extend(field.role.map(|role| role.word().to_owned()));
    words.extend(field.bank.as_ref().map(|key| format!("bank.header {key}")));
    words.extend((!field.choices.is_empty()).then(|| field.choices.join(" or ")));
    words.extend(field.contiguous.then(|| "1, 2, 3 …".to_owned()));
    words.extend((field.blank && field.constant.is_none()).then(|| "may be blank".to_owned()));
    words.join(", ")
}

fn json_of_file(file: &FileLayout) -> Value {
    let records: Vec<Value> = file
        .records
        .iter()
        .map(|record| {
            let fields: Vec<Value> = record.fields.iter().map(json_of_field).collect();
            json!({ "record": record.kind.word(), "width": record.width, "fields": fields })
        })
        .collect();
    let (kind, name) = (file.kind.word(), file.name.to_string());
    json!({ "kind": kind, "name": name, "line_end": file.line_end.word(), "records": records })
}

fn json_of_field(field: &FieldLayout) -> Value {
    json!({
        "field": field.name,
        "title": field.title,
        "offset": field.offset,
        "width": field.width,
        "kind": field.kind.word(),
        "role": field.role.map(|role| role.word()),
        "constant": field.constant,
    })
}
