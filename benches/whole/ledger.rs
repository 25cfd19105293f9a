//! Posting: a million returns, matched, checked, posted and durable, beside `sqlite3 .import` of as many bare rows.

use crate::bureau::{BANK, Year, open, order, store, take, take_answer};
use crate::measure::{Figure, Reach, Scale, in_turns, median, memory, memory_of, shell, time};
use daikou::daemon::receipts::Sender;
use daikou::format::layout::{FileKind, Layout};
use daikou::format::names::NameParts;
use daikou::pipeline::book::{BatchBook, BatchLine, Changeset, Line};
use daikou::pipeline::decode::ReturnReader;
use daikou::pipeline::emit::{Answered, open_batch};
use daikou::pipeline::matching::{Matched, ReturnFile, Row, match_rows};
use daikou::pipeline::{conclude, post, settle};
use daikou::store::{Applied, Store, book, files};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Rows of one transaction: what the daemon takes, what a careful operator may want, everything at once.
const STRETCH: usize = 50_000;

pub(crate) fn run(year: &Year, scale: Scale, figures: &mut Vec<Figure>) {
    let (sorted, shuffled) = (read(year, &year.answer), read(year, &year.shuffled()));
    let posted = |file: &ReturnFile, stretch| post_all(year, file, stretch);
    post_all(year, &sorted, STRETCH);
    let import = bare_rows(year);
    let [post, mixed, often, once, bare, whole] = in_turns(
        scale.rounds,
        [
            &mut || posted(&sorted, STRETCH),
            &mut || posted(&shuffled, STRETCH),
            &mut || posted(&sorted, 10_000),
            &mut || posted(&sorted, usize::MAX),
            &mut || shell(&import),
            &mut || take_answer(year),
        ],
    );
    figures.push(Figure::of("post, durable / sqlite3 .import of bare rows", post, Some(bare), Reach::Ratio(700)));
    figures.push(Figure::of("… shuffled / sorted", mixed, Some(post), Reach::Ratio(1_050)));
    figures.push(Figure::of("… durable every 10,000 / in one transaction", often, Some(once), Reach::Ratio(1_150)));
    figures.push(Figure::of("whole, from the drop to durable / posting alone", whole, Some(post), Reach::Ratio(1_500)));
    steps(year, Scale { rounds: 3, ..scale }, figures);
    year.rewind();
    let peak = memory_of(&["take", &year.dir.display().to_string(), &year.answer.display().to_string()]);
    figures.push(Figure::memory("whole, memory above start", peak, Reach::MiB(128)));
}

/// Rows per second of a batch five times as large.
pub(crate) fn grow(dir: &Path, scale: Scale, figures: &mut Vec<Figure>) {
    let [one, five] = [1, FIVE].map(|times| {
        let dir = dir.join(format!("times-{times}"));
        let (year, _) = Year::play(&dir, scale.people * times);
        let file = read(&year, &year.answer);
        (year, file)
    });
    let posted = |(year, file): &(Year, ReturnFile)| post_all(year, file, STRETCH);
    let [once, grown] = in_turns(scale.rounds, [&mut || posted(&one), &mut || posted(&five)]);
    // 1.00 / 0.85: so many rows per second are kept.
    figures.push(Figure::of(
        "post of 5 times as many / 5 times the post",
        grown,
        Some(FIVE * once),
        Reach::Ratio(1_176),
    ));
}

const FIVE: u32 = 5;

/// The answer as rows.
pub(crate) fn read(year: &Year, path: &Path) -> ReturnFile {
    let mut reader = ReturnReader::new(&year.layout, batch(year).1.number, None).expect("a layout with returns");
    reader.feed(&fs::read(path).expect("the answer"));
    reader.finish().0
}

fn batch(year: &Year) -> (i64, BatchLine) {
    let store = store(&year.dir.join("sent.db"));
    let request = request_name(&year.layout, &year.answer);
    files::batch_of_file(store.connection(), BANK.0, &request).expect("a store").expect("the batch")
}

fn request_name(layout: &Layout, answer: &Path) -> String {
    let name = answer.file_name().and_then(|name| name.to_str()).expect("a name");
    let known: Option<(FileKind, NameParts)> = layout.recognise(name);
    known.and_then(|_| layout.sibling(name, FileKind::Request, None)).expect("the name of an answer")
}

/// Match, book, settle, apply: as the daemon does it, in stretches of so many rows.
pub(crate) fn post_all(year: &Year, file: &ReturnFile, stretch: usize) -> Duration {
    let path = year.rewind();
    let (id, _) = batch(year);
    let (mut file, mut store) = (file.clone(), store(&path));
    time(|| {
        let number = file.batch.expect("a batch");
        let line = book::batch(store.connection(), number).expect("a store").expect("the batch").1;
        let matched = match_rows(&mut file, line.count);
        let events = open_batch(line.state, &file);
        let last = matched.rows.chunks(stretch).count();
        for (rows, place) in matched.rows.chunks(stretch).zip(1..) {
            let mut changes = settled(&store, id, &file, rows).1;
            if place == 1 {
                changes.batches.splice(0..0, events.iter().map(|event| (number, *event)));
            }
            if place == last {
                close(&store, id, &file, &mut changes);
            }
            let act = order().act("ingest", "answer", [0; 32]);
            let applied = store.apply(&act, changes.book_version, |txn| txn.write(&changes, Some(1), order().today()));
            assert_eq!(applied.expect("a store"), Applied::New);
        }
    })
    .0
}

type Settled = (BatchBook, Changeset);

fn settled(store: &Store, id: i64, file: &ReturnFile, rows: &[Row]) -> Settled {
    let book = read_book(store, id, file, rows);
    let changes = settle(&book, file, rows, &[], order().today());
    (book, changes)
}

fn read_book(store: &Store, id: i64, file: &ReturnFile, rows: &[Row]) -> BatchBook {
    let today = order().today();
    let range = (rows[0].sequence, rows[rows.len() - 1].sequence);
    let mut answers = rows.iter().peekable();
    let needs = |batch: &BatchLine, sequence: u32, line: &Line| {
        let row = answers.next_if(|row| row.sequence == sequence);
        row.is_some_and(|row| !post::is_plain(batch, line, row, file.outcome(row), today))
    };
    let read = store.read(|conn| {
        let line = book::batch(conn, file.batch.expect("a batch"))?.expect("the batch").1;
        book::batch_book(conn, id, line, range, needs)
    });
    read.expect("a store")
}

fn close(store: &Store, id: i64, file: &ReturnFile, changes: &mut Changeset) {
    let line = book::batch(store.connection(), file.batch.expect("a batch")).expect("a store").expect("the batch").1;
    let book = book::batch_book(store.connection(), id, line, (1, 0), |_, _, _| false).expect("a store");
    let answered = Answered { parts: vec![(1, true)], ..Answered::default() };
    conclude(&book, file, "rural", &answered, order().today(), changes);
}

/// Where the time of one posting goes; the parts of `apply` each alone on a store of its own.
pub(crate) fn steps(year: &Year, scale: Scale, figures: &mut Vec<Figure>) {
    let mut file = read(year, &year.answer);
    let (matching, matched) = time(|| match_rows(&mut file, u32::MAX));
    figures.push(Figure::of("  match", matching, None, Reach::Nothing));
    type Part = (&'static str, fn(Changeset) -> Changeset);
    let parts: [Part; 4] = [
        ("  apply", |changes| changes),
        ("    postings and entries", |changes| Changeset { postings: changes.postings, ..Changeset::default() }),
        ("    answers", |changes| Changeset { answers: changes.answers, texts: changes.texts, ..Changeset::default() }),
        ("    states", |changes| Changeset { instructions: changes.instructions, ..Changeset::default() }),
    ];
    for (what, part) in parts {
        let walks: Vec<[Duration; 3]> = (0..scale.rounds).map(|_| walk(year, &file, &matched, part)).collect();
        let step = |step: usize| median(walks.iter().map(|spent| spent[step]).collect());
        if what == "  apply" {
            figures.push(Figure::of("  book", step(0), None, Reach::Nothing));
            figures.push(Figure::of("  settle", step(1), None, Reach::Nothing));
        }
        figures.push(Figure::of(what, step(2), None, Reach::Nothing));
    }
}

/// Book, settle and apply of the whole file, of which only `part` is written.
pub(crate) fn walk(
    year: &Year,
    file: &ReturnFile,
    matched: &Matched,
    part: impl Fn(Changeset) -> Changeset,
) -> [Duration; 3] {
    let path = year.rewind();
    let (id, _) = batch(year);
    let mut store = store(&path);
    let mut spent = [Duration::ZERO; 3];
    for rows in matched.rows.chunks(STRETCH) {
        let (reading, book) = time(|| read_book(&store, id, file, rows));
        let (judging, changes) = time(|| settle(&book, file, rows, &[], order().today()));
        let version = changes.book_version;
        let changes = part(changes);
        let act = order().act("ingest", "answer", [0; 32]);
        let (writing, applied) =
            time(|| store.apply(&act, version, |txn| txn.write(&changes, Some(1), order().today())));
        applied.expect("a store");
        spent = [spent[0] + reading, spent[1] + judging, spent[2] + writing];
    }
    spent
}

/// A fresh process that only takes the answer: its peak above its start.
pub(crate) fn take_alone(dir: &Path, answer: &Path) {
    let mut bureau = open(dir);
    let start = memory("VmHWM");
    take(&mut bureau, answer, Sender::Bank(BANK, "rural".to_owned()));
    println!("{}", memory("VmHWM") - start);
}

/// The command that imports as many bare rows as a posting wrote, three integers each, into a table without index.
pub(crate) fn bare_rows(year: &Year) -> String {
    let store = store(&daikou::daemon::bureau::store_path(&year.dir.join("state")));
    let count = "SELECT (SELECT count(*) FROM posting) + (SELECT count(*) FROM entry) + (SELECT count(*) FROM answer)";
    let rows: i64 = store.connection().query_row(count, [], |row| row.get(0)).expect("a store");
    let mut text = String::new();
    for row in 0..rows {
        let _ = writeln!(text, "{},{},{}", (1_i64 << 27) + row, row % 4 + 1, 3_000 + row % 7_000);
    }
    let (csv, db) = (year.dir.join("bare.csv"), year.dir.join("bare.db"));
    fs::write(&csv, text).expect("room on the disk");
    let (csv, db) = (csv.display(), db.display());
    println!("a posting wrote {rows} rows");
    format!(
        "rm -f {db}; sqlite3 {db} 'CREATE TABLE bare (a INTEGER, b INTEGER, c INTEGER)' '.mode csv' '.import {csv} bare'"
    )
}
