//! Validate: a sound file is not yet a right one. Name, header and batch must agree before any row counts.

use crate::domain::instruction::BatchState;
use crate::domain::returns::FileAnswer;
use crate::format::decoded::{Decoded, Stated};
use crate::format::names::NameParts;
use crate::format::role::Role;
use crate::pipeline::book::BatchLine;
use crate::pipeline::emit::Finding;
use crate::pipeline::matching::ReturnFile;
use std::collections::BTreeMap;

/// What contradicts the batch that a return file answers; nothing of such a file takes effect.
pub fn validate(
    file: &ReturnFile,
    decoded: &Decoded<'_>,
    name: &NameParts,
    batch: &BatchLine,
    header: &BTreeMap<String, String>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut expect = |expected: String, there: Option<Stated<'_>>| {
        found.extend(there.filter(|there| there.value != expected).map(|there| contradiction(expected, there)));
    };
    expect(batch.number.to_string(), decoded.stated(Role::Batch));
    expect(batch.fee_year.to_string(), decoded.stated(Role::FeeYear));
    for (key, value) in header {
        expect(value.clone(), decoded.bank_stated(key));
    }
    found.extend(name.part.and_then(|part| wrong_part(u32::from(part), file.part, decoded.stated(Role::PartNo))));
    found.extend(wrong_state(file, batch));
    if file.answer == Some(FileAnswer::Accepted)
        && file.rows.is_empty()
        && file.strangers.is_empty()
        && decoded.header.is_none()
    {
        found.push(empty());
    }
    found
}

fn contradiction(expected: String, there: Stated<'_>) -> Finding {
    let (title, found) = (&there.field.title, there.value);
    Finding {
        row: Some(there.line),
        column: there.field.name.clone(),
        byte: Some(there.field.offset as u64 + 1),
        code: "contradicts-batch",
        message_zh: format!("“{title}”与批次不符：应为 {expected}，文件为 {found}"),
        action_zh: "请核对后重新提供该批次的回盘文件".to_owned(),
        expected,
        found,
        is_warning: false,
    }
}

/// Parts are numbered from 01, in the name as in the header.
fn wrong_part(named: u32, found: u32, there: Option<Stated<'_>>) -> Option<Finding> {
    let (code, expected, found, message_zh) = if named == 0 {
        let message_zh = "回执序号应从 01 起，文件名为 00".to_owned();
        ("part-number", "a part number from 01".to_owned(), named, message_zh)
    } else if named != found {
        let message_zh = format!("文件头的回执序号与文件名不符：应为 {named:02}，文件头为 {found:02}");
        ("contradicts-batch", format!("{named:02}"), found, message_zh)
    } else {
        return None;
    };
    // A name without a part is not the header's fault.
    let there = there.filter(|_| named != 0);
    Some(Finding {
        row: there.as_ref().map(|there| there.line),
        byte: there.as_ref().map(|there| there.field.offset as u64 + 1),
        column: there.map_or_else(|| "part_no".to_owned(), |there| there.field.name.clone()),
        code,
        expected,
        found: format!("{found:02}"),
        message_zh,
        action_zh: "请核对后重新提供该批次的回盘文件".to_owned(),
        is_warning: false,
    })
}

/// A return for a batch that was never released cannot be an answer to it.
fn wrong_state(file: &ReturnFile, batch: &BatchLine) -> Option<Finding> {
    let refuses = file.answer != Some(FileAnswer::Accepted);
    let answered = matches!(batch.state, BatchState::Accepted | BatchState::Complete);
    let late = refuses && (answered || batch.state == BatchState::FileRejected);
    let dead = matches!(batch.state, BatchState::Drafted | BatchState::Cancelled) && refuses;
    (batch.state == BatchState::Drafted || late || dead).then(|| Finding {
        column: "batch".to_owned(),
        code: "batch-state",
        expected: "a batch that was sent and not answered otherwise".to_owned(),
        found: batch.state.word().to_owned(),
        message_zh: format!("该批次现为“{} {}”，不能接受此回盘", batch.state.chinese(), batch.state.word()),
        action_zh: "请与经办机构核对批次".to_owned(),
        ..Finding::default()
    })
}

fn empty() -> Finding {
    Finding {
        code: "no-rows",
        expected: "one row an instruction".to_owned(),
        found: "no rows".to_owned(),
        message_zh: "回盘文件没有明细".to_owned(),
        action_zh: "请重新提供完整的回盘文件".to_owned(),
        ..Finding::default()
    }
}
