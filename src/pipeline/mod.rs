//! The flow: drop → decode → validate → match → post → emit. One step's answer is the next one's question.
//!
//! ```text
//! drop      a file arrived whole, and we parse only our private copy of it
//! decode    bytes → rows                    decode::ReturnReader, intake
//! validate  is it the answer to this batch? validate::validate
//! match     which row answers what?         matching::match_rows
//! post      what follows from each answer?  post::post          (the book is read before, nothing else)
//! emit      what does the batch learn?      emit::open_batch, emit::close_batch
//! ```
//!
//! Pure: the same book and the same file give the same changeset. What was decided is written once, by `store.apply`.

pub mod book;
pub mod comparison;
pub mod correcting;
pub mod decode;
pub mod difference;
pub mod emit;
pub mod intake;
pub mod lists;
pub mod matching;
pub mod mobilise;
pub mod papers;
pub mod planning;
pub mod post;
pub mod resolving;
pub mod validate;
pub mod ways;

use crate::domain::calendar::Date;
use crate::domain::instruction::BatchEvent;
use book::{BatchBook, Changeset};
use matching::{ReturnFile, Row};

/// One stretch of a return file, judged against the book: what each row leads to, and each row that repeats one of them.
pub fn settle(book: &BatchBook, file: &ReturnFile, rows: &[Row], doubles: &[Row], today: Date) -> Changeset {
    let mut out = Changeset { book_version: book.version, texts: file.texts.clone(), ..Changeset::default() };
    out.expect_plain(rows.len());
    for row in rows {
        post::post(book, file, row, today, &mut out);
    }
    for row in doubles {
        if let Ok(first) = rows.binary_search_by_key(&row.sequence, |other| other.sequence) {
            post::post_double(book, file, row, &rows[first], today, &mut out);
        }
    }
    out
}

/// The rest of a return file, after its last stretch: strangers, and what the batch learns.
pub fn conclude(
    book: &BatchBook,
    file: &ReturnFile,
    bank: &str,
    answered: &emit::Answered,
    today: Date,
    out: &mut Changeset,
) {
    for row in &file.strangers {
        post::post_stranger(bank, row, &book.closed, today, out);
    }
    out.part = Some((book.batch.number, file.part, file.is_final));
    emit::close_batch(book, answered, out);
}

/// The moves of a batch whose file the bank refused, or had before: no row of it counts.
pub fn refuse_file(book: &BatchBook, events: Vec<BatchEvent>) -> Changeset {
    let batches = events.into_iter().map(|event| (book.batch.number, event)).collect();
    Changeset { book_version: book.version, batches, ..Changeset::default() }
}
