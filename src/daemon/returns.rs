//! Takes a bank's return file: the flow of `pipeline`, one read before it and one write after it, stretch by stretch.

use crate::daemon::bureau::{Bureau, Order, Step};
use crate::daemon::grounds::Grounds;
use crate::daemon::intake::{Booked, Control, Ended, Given, Taking};
use crate::daemon::own_digest::{OwnDigest, decode_control};
use crate::daemon::releasing::delivery_exception;
use crate::domain::calendar::Date;
use crate::domain::exception::Class;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::{BatchEvent, InstructionState};
use crate::domain::participant::BankNumber;
use crate::domain::returns::{FileAnswer, Outcome};
use crate::format::decoded::Decoded;
use crate::format::layout::{FileKind, Layout};
use crate::format::names::NameParts;
use crate::format::role::Role;
use crate::pipeline::book::{BatchBook, BatchLine, Changeset};
use crate::pipeline::decode::ReturnReader;
use crate::pipeline::emit::{self, Answered, Finding, open_batch};
use crate::pipeline::matching::{Matched, ReturnFile, Row, match_rows};
use crate::pipeline::{conclude, post, refuse_file, settle, validate};
use crate::store::{Store, book, files};
use std::ops::Range;

/// Rows of one transaction; a stretch spans at most twice as much of a batch.
const STRETCH_ROWS: usize = 50_000;

/// Bytes of the copy that are read at once: they stay in the processor's cache until they are decoded.
const SLICE_BYTES: usize = 256 * 1024;

/// A return file that was found sound and right.
pub struct Sound {
    batch_id: i64,
    batch: BatchLine,
    file: ReturnFile,
    matched: Matched,
    /// The book of its first stretch, where there was time to read it already.
    ahead: Option<BatchBook>,
}

/// Which digest a file is read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The one that it states, as every sound file does: what is computed beside is asked before the commit.
    Stated,
    /// The computed one.
    Computed,
}

/// What a bank says, decoded, validated and matched; what cannot be accepted is at its end already.
pub type Reading = Result<Sound, Ended>;

/// Takes a return file of a bank. One that is unsound, or not what it states, is read once more, with the digest computed:
/// all that is wrong is told at once.
pub fn take(taking: &mut Taking<'_>, bank: BankNumber, given: &Given, reading: Reading, order: &Order) -> Step<Ended> {
    if let Some(ended) = follow(taking, bank, reading, order)? {
        return Ok(ended);
    }
    taking.grounds.doubt();
    let what = (given.name.as_str(), given.control.as_ref());
    let reading = read(taking.bureau, &mut taking.grounds, bank, what, Trust::Computed, order.today())?;
    Ok(follow(taking, bank, reading, order)?.expect("nothing was believed"))
}

/// `None`: the digest of the file was believed, and may be what is wrong with it. Nothing was written.
fn follow(taking: &mut Taking<'_>, bank: BankNumber, reading: Reading, order: &Order) -> Step<Option<Ended>> {
    let sound = match reading {
        Ok(sound) => sound,
        Err(_) if taking.grounds.is_believed() => return Ok(None),
        Err(ended) => return Ok(Some(ended)),
    };
    if sound.file.answer != Some(FileAnswer::Accepted) {
        return refuse(taking, &sound, order);
    }
    accept(taking, bank, sound, order)
}

/// Decode, validate, match: no writes. What comes back rests on the digest that the file states, where that is trusted.
pub fn read(
    bureau: &Bureau,
    grounds: &mut Grounds,
    bank: BankNumber,
    (name, control): (&str, Option<&Control>),
    trust: Trust,
    today: Date,
) -> Step<Reading> {
    let layout = &bureau.layouts[&bank];
    let quarantined = |findings| Ok(Err(Ended::Quarantined(findings)));
    let Some((FileKind::Return, parts)) = layout.recognise(name) else {
        return quarantined(vec![wrong_name(layout, name)]);
    };
    let request = layout.sibling(name, FileKind::Request, None).unwrap_or_default();
    let stored = files::batch_of_file(bureau.store.connection(), bank.0, &request)?;
    let control = decode_control(layout, control);
    let algorithm = control.as_ref().and_then(Decoded::asked_digest);
    // Without a batch no row is ours, but whether the file is whole can still be seen.
    let (number, count) =
        stored.as_ref().map_or((BatchNumber::from_value(0), 0), |(_, line)| (line.number, line.count));
    let reader = || Some(ReturnReader::new(layout, number, algorithm)?.expecting(count as usize));
    let Some((rows, is_elsewhere)) = read_rows(grounds, reader)? else {
        return quarantined(vec![wrong_name(layout, name)]);
    };
    // The digest takes longer than the rows: what the first of them will be held against is read meanwhile.
    let ahead = match &stored {
        Some((_, batch)) if is_elsewhere => read_ahead(&bureau.store, batch, &rows, today)?,
        _ => None,
    };
    let stated = rows.stated_digest().or_else(|| control.as_ref()?.value(Role::Digest));
    let digest = match stated {
        _ if !is_elsewhere => None,
        Some(stated) if trust == Trust::Stated => Some(grounds.believe(stated)),
        _ => grounds.digest.as_mut().map(|digest| digest.wait().map(str::to_owned)).transpose()?,
    };
    let (mut file, mut decoded) = rows.finish_with(digest);
    if let Some(control) = &control {
        decoded.check_control(control, name);
    }
    if decoded.is_incomplete() || control.as_ref().is_some_and(Decoded::is_incomplete) {
        return Ok(Err(Ended::Incomplete));
    }
    let Some((batch_id, batch)) = stored else { return quarantined(vec![unknown_batch(name)]) };
    let mut findings: Vec<Finding> = control.iter().flat_map(|control| &control.defects).map(Finding::from).collect();
    findings.extend(decoded.defects.iter().map(Finding::from));
    let header = &bureau.bank(bank)?.header;
    if decoded.is_sound() && control.as_ref().is_none_or(Decoded::is_sound) {
        findings = validate::validate(&file, &decoded, &parts, &batch, header);
        findings.extend(wrong_agency(&parts, header.get("agency")));
        if findings.is_empty() {
            let matched = match_rows(&mut file, batch.count);
            return Ok(Ok(Sound { batch_id, batch, file, matched, ahead }));
        }
    }
    quarantined(findings)
}

/// Reads the private copy slice by slice: memory grows with the rows, never with the bytes. `true`: its digest comes from the
/// thread that has followed the copy, and may still be in the making.
fn read_rows<'l>(
    grounds: &Grounds,
    reader: impl Fn() -> Option<ReturnReader<'l>>,
) -> Step<Option<(ReturnReader<'l>, bool)>> {
    let Some(inline) = reader() else { return Ok(None) };
    let Some(followed) = grounds.digest.as_ref().map(OwnDigest::end_of_range) else {
        return Ok(Some((feed(grounds, inline)?, false)));
    };
    let rows = feed(grounds, inline.digest_elsewhere())?;
    match rows.digest_end() {
        None => Ok(Some((rows, false))),
        Some(end) if end == followed => Ok(Some((rows, true))),
        // Something stands behind the trailer: the digest is over other bytes than was foreseen.
        Some(_) => {
            drop(rows);
            Ok(Some((feed(grounds, reader().expect("it could be made before"))?, false)))
        }
    }
}

/// The book of the first stretch, where the rows are in the order of the batch already. It is a read like any other: if
/// the book moves before it is used, it is read again.
fn read_ahead(store: &Store, batch: &BatchLine, reader: &ReturnReader<'_>, today: Date) -> Step<Option<BatchBook>> {
    let (rows, outcome) = reader.rows();
    let is_matched = rows.is_sorted_by(|one, next| one.sequence < next.sequence)
        && rows.first().is_some_and(|row| row.sequence > 0)
        && rows.last().is_some_and(|row| row.sequence <= batch.count);
    if !is_matched {
        return Ok(None);
    }
    let first = stretches(rows, 0).into_iter().next().expect("there is a row");
    Ok(Some(read_book(store, batch.number, &rows[first], outcome, today)?))
}

fn feed<'l>(grounds: &Grounds, mut reader: ReturnReader<'l>) -> Step<ReturnReader<'l>> {
    grounds.copy.visit(SLICE_BYTES, |slice| reader.feed(slice))?;
    Ok(reader)
}

/// The bank refused the whole file, or says that it had this batch before: no row counts.
fn refuse(taking: &mut Taking<'_>, sound: &Sound, order: &Order) -> Step<Option<Ended>> {
    let code = sound.file.file_code.clone();
    loop {
        let book = empty_book(&taking.bureau.store, sound)?;
        let events = open_batch(book.batch.state, &sound.file);
        let is_news = events.contains(&BatchEvent::InDoubt);
        let mut changes = refuse_file(&book, events);
        if is_news {
            let reason = format!("银行文件处理码 {code}：称此前已收到该批次");
            changes.opened.push(delivery_exception(Class::DuplicateBatch, sound.batch.number, reason));
        }
        let note = match sound.file.answer {
            Some(FileAnswer::Rejected) => format!("银行拒收整个批次（{code}），该批指令已取消，可重新生成"),
            _ => format!("银行称该批次重复（{code}），待人工核对是否送达"),
        };
        let notes = [note].into_iter().chain(opened(taking, &changes)?).collect();
        let ended = Ended::Processed { accepted: 0, refused: 0, findings: Vec::new(), notes };
        match taking.apply(order, &changes, Some(&ended), |_, _| Ok(()))? {
            Booked::New => return Ok(Some(ended)),
            Booked::Unproved => return Ok(None),
            Booked::Stale => {}
        }
    }
}

/// Match → post → emit, stretch by stretch; each is one transaction.
fn accept(taking: &mut Taking<'_>, bank: BankNumber, mut sound: Sound, order: &Order) -> Step<Option<Ended>> {
    let key = taking.bureau.bank(bank)?.key.clone();
    if see_evidence(taking, &sound, order)? == Booked::Unproved {
        return Ok(None);
    }
    let ahead = sound.ahead.take();
    let rows = &sound.matched.rows;
    let done = taking.progress()?.min(rows.len());
    let mut stretches = stretches(rows, done);
    if stretches.is_empty() {
        stretches.push(rows.len()..rows.len());
    }
    let last = stretches.len() - 1;
    // The digest of a long file is long in the making, and others would wait for a transaction that waits for it.
    if last > 0 && !taking.grounds.hold()? {
        return Ok(None);
    }
    let total = (rows.len() + sound.matched.doubles.len() + sound.file.strangers.len()) as u64;
    let mut beside = if last > 0 { Some(taking.bureau.beside()?) } else { None };
    let (mut ended, mut ahead) = (None, ahead.filter(|_| done == 0));
    for (place, stretch) in stretches.iter().enumerate() {
        let mine = &rows[stretch.clone()];
        loop {
            let book = match ahead.take() {
                Some(book) => book,
                None => read_stretch(&taking.bureau.store, &sound, mine, order.today())?,
            };
            let mut changes = settle(&book, &sound.file, mine, &sound.matched.doubles, order.today());
            if place == 0 {
                accept_first(&book, &mut changes);
            }
            if place == last {
                let answered = answered(taking, &sound, &book, mine)?;
                conclude(&book, &sound.file, &key, &answered, order.today(), &mut changes);
            }
            let conn = taking.bureau.store.connection();
            emit::drop_repeated(&mut changes, |key| files::content_behind(conn, key))?;
            if place == last {
                let notes = opened(taking, &changes)?.into_iter().collect();
                ended = Some(Ended::Processed { accepted: total, refused: 0, findings: Vec::new(), notes });
            }
            let (progress, today) = (stretch.end as u64, order.today());
            drop(book);
            let write = || taking.apply(order, &changes, ended.as_ref(), |txn, file| txn.progress(file, progress));
            let next = stretches.get(place + 1).zip(beside.as_mut());
            let next = next.map(|(next, beside)| (&mut beside.store, &rows[next.clone()]));
            let (applied, read) =
                write_and_read_on(write, next, |(store, rows)| read_stretch(store, &sound, rows, today));
            match applied? {
                Booked::New => {
                    ahead = read.transpose()?.and_then(|book| book.after(&changes));
                    failpoint!("ahead.kept");
                    break;
                }
                Booked::Unproved => return Ok(None),
                Booked::Stale => {}
            }
        }
    }
    // `None` would mean that nothing was written.
    Ok(Some(ended.expect("the last stretch ends the file")))
}

/// The next stretch is read while this one is written, on another connection.
fn write_and_read_on<S: Send, W, R: Send>(
    write: impl FnOnce() -> W,
    next: Option<S>,
    read: impl FnOnce(S) -> R + Send,
) -> (W, Option<R>) {
    std::thread::scope(|scope| {
        let reading = next.map(|next| {
            scope.spawn(move || {
                let read = read(next);
                failpoint!("ahead.read");
                read
            })
        });
        let written = write();
        let read = reading.map(|reading| reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        (written, read)
    })
}

/// How many exceptions the file opens, those of its earlier stretches included, and where they are looked at.
fn opened(taking: &Taking<'_>, changes: &Changeset) -> Step<Option<String>> {
    let before = files::exceptions_of(taking.bureau.store.connection(), taking.number())?;
    let count = before + changes.opened.len() as u64;
    Ok((count > 0).then(|| format!("新增例外 {count} 项，经办机构请用 daikou exceptions 查看")))
}

/// A return for a batch that we believe unsent is evidence that it was sent.
fn see_evidence(taking: &mut Taking<'_>, sound: &Sound, order: &Order) -> Step<Booked> {
    use crate::domain::instruction::BatchEvent::Delivered;
    loop {
        let book = empty_book(&taking.bureau.store, sound)?;
        if !open_batch(book.batch.state, &sound.file).contains(&Delivered) {
            return Ok(Booked::New);
        }
        let changes = refuse_file(&book, vec![Delivered]);
        if taking.apply(order, &changes, None, |_, _| Ok(()))? == Booked::Unproved {
            return Ok(Booked::Unproved);
        }
    }
}

fn accept_first(book: &BatchBook, changes: &mut Changeset) {
    use crate::domain::instruction::{BatchEvent::Accepted, BatchState::*};
    if matches!(book.batch.state, Sent | SentUnconfirmed) {
        changes.batches.insert(0, (book.batch.number, Accepted));
    }
}

fn empty_book(store: &Store, sound: &Sound) -> Step<BatchBook> {
    let conn = store.connection();
    let (id, batch) = book::batch(conn, sound.batch.number)?.expect("a batch is never deleted");
    Ok(book::batch_book(conn, id, batch, (1, 0), |_, _, _| false)?)
}

/// The book of a stretch; of the batch alone where there is no row.
fn read_stretch(store: &Store, sound: &Sound, rows: &[Row], today: Date) -> Step<BatchBook> {
    match rows {
        [] => empty_book(store, sound),
        rows => read_book(store, sound.batch.number, rows, |row| sound.file.outcome(row), today),
    }
}

/// The one read: the instructions of the stretch, and a close-up of each whose answer is not plain.
fn read_book(
    store: &Store,
    batch: BatchNumber,
    rows: &[Row],
    outcome: impl Fn(&Row) -> Outcome,
    today: Date,
) -> Step<BatchBook> {
    let range = (rows[0].sequence, rows[rows.len() - 1].sequence);
    let mut answers = rows.iter().peekable();
    let book = store.read(|tx| {
        let (id, batch) = book::batch(tx, batch)?.expect("a batch is never deleted");
        book::batch_book(tx, id, batch, range, |batch, sequence, line| {
            answers
                .next_if(|row| row.sequence == sequence)
                .is_some_and(|row| !post::is_plain(batch, line, row, outcome(row), today))
        })
    })?;
    Ok(book)
}

/// What the batch will have been told once these rows are in: the book knows its stretch, the store what lies around it.
fn answered(taking: &Taking<'_>, sound: &Sound, book: &BatchBook, rows: &[Row]) -> Step<Answered> {
    let conn = taking.bureau.store.connection();
    let mut parts = files::parts(conn, sound.batch_id)?;
    parts.push((sound.file.part, sound.file.is_final));
    if !parts.iter().any(|(_, is_final)| *is_final) {
        return Ok(Answered { parts, ..Answered::default() });
    }
    let beyond = book.first + book.lines.len() as u32;
    let mut unanswered = files::unanswered(conn, sound.batch_id, (1, book.first - 1))?;
    let mut rows = rows.iter().peekable();
    for (line, sequence) in book.lines.iter().zip(book.first..) {
        if rows.next_if(|row| row.sequence == sequence).is_none() && line.state == InstructionState::Sent {
            unanswered.push((sequence, line.participant));
        }
    }
    unanswered.extend(files::unanswered(conn, sound.batch_id, (beyond, sound.batch.count))?);
    Ok(Answered { parts, unanswered, noted: files::missing_noted(conn, sound.batch_id)? })
}

/// Stretches of rows: at most so many rows, and no wider than twice that in the batch.
fn stretches(rows: &[Row], from: usize) -> Vec<Range<usize>> {
    let most = at_most!("STRETCH_ROWS", STRETCH_ROWS);
    let mut found = Vec::new();
    let mut start = from;
    for index in from..rows.len() {
        let too_many = index - start >= most;
        let too_wide = (rows[index].sequence - rows[start].sequence) as usize >= 2 * most;
        if too_many || too_wide {
            found.push(start..index);
            start = index;
        }
    }
    if start < rows.len() {
        found.push(start..rows.len());
    }
    found
}

fn wrong_name(layout: &Layout, name: &str) -> Finding {
    let agreed = layout.file(FileKind::Return).map(|file| file.name.to_string()).unwrap_or_default();
    Finding {
        column: "name".to_owned(),
        code: "not-a-return",
        expected: format!("a name like {agreed}, the layout's return file"),
        found: name.to_owned(),
        message_zh: format!("文件名不是约定的回盘文件名：应形如 {agreed}"),
        action_zh: "请按约定命名后重新投递".to_owned(),
        ..Finding::default()
    }
}

fn unknown_batch(name: &str) -> Finding {
    Finding {
        column: "name".to_owned(),
        code: "unknown-batch",
        expected: "the name of a batch that we sent to this bank".to_owned(),
        found: name.to_owned(),
        message_zh: "找不到该回盘文件对应的批次".to_owned(),
        action_zh: "请核对批次号和银行".to_owned(),
        ..Finding::default()
    }
}

fn wrong_agency(parts: &NameParts, agency: Option<&String>) -> Option<Finding> {
    let (found, expected) = (parts.agency.as_ref()?, agency?);
    (found != expected).then(|| Finding {
        column: "name".to_owned(),
        code: "contradicts-batch",
        expected: expected.clone(),
        found: found.clone(),
        message_zh: "文件名中的单位编号不是本单位".to_owned(),
        action_zh: "请核对后重新投递".to_owned(),
        ..Finding::default()
    })
}
