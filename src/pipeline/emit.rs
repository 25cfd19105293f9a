//! Emit: what the batch and the sender learn once the rows are judged.

use crate::domain::exception::Class;
use crate::domain::instruction::{BatchEvent, BatchState};
use crate::domain::ledger::PostingKey;
use crate::domain::money::Money;
use crate::domain::returns::FileAnswer;
use crate::format::defect::Defect;
use crate::pipeline::book::{BatchBook, Changeset, NewException, NewPosting};
use crate::pipeline::intake::RowDefect;
use crate::pipeline::matching::ReturnFile;
use std::collections::{BTreeMap, BTreeSet};

/// One line of a receipt: where, expected, found, what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Line or row of their file, from 1; `None` for the whole file.
    pub row: Option<u64>,
    /// Field or column.
    pub column: String,
    /// First byte within the line, from 1; `None` for tables.
    pub byte: Option<u64>,
    /// Stable word.
    pub code: &'static str,
    /// What should have been there.
    pub expected: String,
    /// What was there; nothing personal.
    pub found: String,
    /// What is wrong, for the sender.
    pub message_zh: String,
    /// What to do, for the sender.
    pub action_zh: String,
    /// It looks odd, and the row was taken all the same.
    pub is_warning: bool,
}

impl From<&Defect> for Finding {
    fn from(defect: &Defect) -> Finding {
        Finding {
            row: Some(defect.line),
            column: defect.field.as_ref().map(|(name, _)| name.clone()).unwrap_or_default(),
            byte: Some(defect.bytes.start as u64 + 1),
            code: defect.code(),
            expected: defect.expected(),
            found: defect.found(false),
            message_zh: defect.message_zh(),
            action_zh: defect.action_zh().to_owned(),
            is_warning: false,
        }
    }
}

impl From<&RowDefect> for Finding {
    fn from(defect: &RowDefect) -> Finding {
        Finding {
            row: Some(u64::from(defect.row)),
            column: defect.column.to_owned(),
            byte: None,
            code: defect.code,
            expected: defect.expected.to_owned(),
            found: defect.found.clone(),
            message_zh: defect.message_zh.clone(),
            action_zh: defect.action_zh.to_owned(),
            is_warning: false,
        }
    }
}

/// What a receipt says of the rows of a table, those that were refused first; and how many were.
pub fn findings(defects: &[RowDefect], warnings: &[RowDefect]) -> (u64, Vec<Finding>) {
    let refused: BTreeSet<u32> = defects.iter().map(|defect| defect.row).collect();
    let odd = warnings.iter().filter(|warning| !refused.contains(&warning.row));
    let odd = odd.map(|warning| Finding { is_warning: true, ..Finding::from(warning) });
    (refused.len() as u64, defects.iter().map(Finding::from).chain(odd).collect())
}

/// What is known of the return files of a batch, this one included.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// Parts so far, with the mark of the final one.
    pub parts: Vec<(u32, bool)>,
    /// Sequences without an answer, after this file.
    pub unanswered: Vec<(u32, i64)>,
    /// The missing rows were noted before.
    pub noted: bool,
}

/// The moves of the batch before its rows: a return is evidence that it was sent; a file code may end it.
pub fn open_batch(state: BatchState, file: &ReturnFile) -> Vec<BatchEvent> {
    let mut events = Vec::new();
    if matches!(state, BatchState::Released | BatchState::Sending) {
        events.push(BatchEvent::Delivered);
    }
    match file.answer {
        Some(FileAnswer::DuplicateBatch) if state == BatchState::SentUnconfirmed => {}
        Some(FileAnswer::DuplicateBatch) => events.push(BatchEvent::InDoubt),
        Some(FileAnswer::Rejected) => events.push(BatchEvent::Rejected),
        _ if !matches!(state, BatchState::Complete | BatchState::FileRejected | BatchState::Cancelled) => {
            events.push(BatchEvent::Accepted);
        }
        _ => {}
    }
    events
}

/// After the last row: complete when the final file and all before it are in and everything is answered.
pub fn close_batch(book: &BatchBook, answered: &Answered, out: &mut Changeset) {
    let Some(last) = answered.parts.iter().filter(|(_, is_final)| *is_final).map(|(part, _)| *part).max() else {
        return;
    };
    let all_in = (1..=last).all(|part| answered.parts.iter().any(|(there, _)| *there == part));
    if !all_in {
        return;
    }
    if answered.unanswered.is_empty() {
        if matches!(book.batch.state, BatchState::Complete | BatchState::FileRejected | BatchState::Cancelled) {
            return;
        }
        return out.batches.push((book.batch.number, BatchEvent::Completed));
    }
    if answered.noted {
        return;
    }
    for (sequence, participant) in &answered.unanswered {
        out.opened.push(NewException {
            class: Class::MissingRow,
            participant: Some(crate::domain::ids::IdNumber::from_key(*participant)),
            fee_year: Some(book.batch.fee_year),
            instruction: Some(crate::domain::ids::InstructionNumber { batch: book.batch.number, sequence: *sequence }),
            line: None,
            amount: Money::ZERO,
            posting: None,
            reason: "末次回盘已到，其中没有该指令".to_owned(),
            held_on: None,
        });
    }
}

/// Money that was booked under the same key before, or by an earlier row of this file, is not booked again: a repeat
/// is dropped, other content is a conflict for a clerk. `known` says what stands behind a key.
pub fn drop_repeated<E>(
    out: &mut Changeset,
    mut known: impl FnMut(&str) -> Result<Option<[u8; 32]>, E>,
) -> Result<(), E> {
    if !out.postings.iter().any(may_repeat) {
        return Ok(());
    }
    let mut seen: BTreeMap<String, [u8; 32]> = BTreeMap::new();
    let mut places = Vec::with_capacity(out.postings.len());
    let mut kept = Vec::with_capacity(out.postings.len());
    for new in std::mem::take(&mut out.postings) {
        let place = match repeated(&new, &mut seen, &mut known)? {
            None => {
                kept.push(new);
                Place::Kept(kept.len() - 1)
            }
            Some(true) => Place::Repeat,
            Some(false) => Place::Conflict,
        };
        places.push(place);
    }
    out.postings = kept;
    for mut exception in std::mem::take(&mut out.opened) {
        match exception.posting.map(|index| &places[index]) {
            Some(Place::Repeat) => continue,
            Some(Place::Conflict) => {
                (exception.class, exception.amount, exception.posting) = (Class::KeyConflict, Money::ZERO, None);
                exception.reason = "同一银行流水此前已按其他内容记账".to_owned();
            }
            Some(Place::Kept(index)) => exception.posting = Some(*index),
            None => {}
        }
        out.opened.push(exception);
    }
    Ok(())
}

/// What becomes of a posting under a text key.
enum Place {
    Kept(usize),
    Repeat,
    Conflict,
}

/// Whether its key may have been used before: it holds a text of the bank.
fn may_repeat(new: &NewPosting) -> bool {
    matches!(new.posting.key, PostingKey::FurtherReturn(..) | PostingKey::StrangeReturn(..))
}

/// `Some(true)` for the same content again, `Some(false)` for other content, `None` for a key that is new.
fn repeated<E>(
    new: &NewPosting,
    seen: &mut BTreeMap<String, [u8; 32]>,
    known: &mut impl FnMut(&str) -> Result<Option<[u8; 32]>, E>,
) -> Result<Option<bool>, E> {
    let Some(concerns) = new.concerns.as_ref().filter(|_| may_repeat(new)) else { return Ok(None) };
    let (key, content) = (new.posting.key.to_string(), concerns.content_digest());
    let before = match seen.get(&key) {
        Some(digest) => Some(*digest),
        None => known(&key)?,
    };
    seen.insert(key, content);
    Ok(before.map(|digest| digest == content))
}
