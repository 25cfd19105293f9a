//! Takes a bank's return file: the flow of `pipeline`, one read before it and one write after it, stretch by stretch.

use crate::daemon::bureau::{Order, Step};
use crate::daemon::intake::{Control, Ended, Given, Taking};
use crate::daemon::releasing::delivery_exception;
use crate::domain::exception::Class;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::BatchEvent;
use crate::domain::participant::BankNumber;
use crate::domain::returns::FileAnswer;
use crate::format::decode::decode;
use crate::format::decoded::Decoded;
use crate::format::digest::Algorithm;
use crate::format::layout::{FileKind, Layout};
use crate::format::names::NameParts;
use crate::pipeline::book::{BatchBook, BatchLine, Changeset};
use crate::pipeline::decode::ReturnReader;
use crate::pipeline::emit::{self, Answered, Finding, open_batch};
use crate::pipeline::matching::{Matched, ReturnFile, Row, match_rows};
use crate::pipeline::{conclude, post, refuse_file, settle, validate};
use crate::store::{Applied, book, files};
use std::fs::File;
use std::io::Read;
use std::ops::Range;

/// Bytes read at once: they stay in the processor's cache until they are decoded.
const SLICE: usize = 1 << 18;

/// Rows of one transaction, and the widest stretch of a batch that one may span.
const STRETCH_ROWS: usize = 50_000;

/// A return file that was found sound and right.
struct Sound {
    batch_id: i64,
    batch: BatchLine,
    file: ReturnFile,
    matched: Matched,
}

/// Takes a return file of a bank.
pub fn take(taking: &mut Taking<'_>, bank: BankNumber, given: &Given, order: &Order) -> Step<Ended> {
    let layout = taking.bureau.layouts[&bank].clone();
    let sound = match read(taking, &layout, bank, given)? {
        Ok(sound) => sound,
        Err(ended) => return Ok(ended),
    };
    if sound.file.answer != Some(FileAnswer::Accepted) {
        return refuse(taking, &sound, order);
    }
    accept(taking, bank, sound, order)
}

/// Decode, validate, match: no writes. What cannot be accepted comes back as the end of the file.
fn read(taking: &Taking<'_>, layout: &Layout, bank: BankNumber, given: &Given) -> Step<Result<Sound, Ended>> {
    let quarantined = |findings| Ok(Err(Ended::Quarantined(findings)));
    let Some((FileKind::Return, parts)) = layout.recognise(&given.name) else {
        return quarantined(vec![wrong_name(&given.name)]);
    };
    let request = layout.sibling(&given.name, FileKind::Request, None).unwrap_or_default();
    let stored = files::batch_of_file(taking.bureau.store.connection(), bank.0, &request)?;
    let control = match &given.control {
        Some(control) => decode(layout, FileKind::ReturnControl, &control.bytes, None, &mut |_| {}),
        None => None,
    };
    let algorithm = asked_digest(layout, given.control.as_ref());
    // Without a batch no row is ours, but whether the file is whole can still be seen.
    let number = stored.as_ref().map_or(BatchNumber::from_value(0), |(_, batch)| batch.number);
    let Some((mut file, mut decoded)) = read_rows(layout, number, algorithm, given)? else {
        return quarantined(vec![wrong_name(&given.name)]);
    };
    if let Some(control) = &control {
        decoded.check_control(control, &given.name);
    }
    if decoded.is_incomplete() || control.as_ref().is_some_and(Decoded::is_incomplete) {
        return Ok(Err(Ended::Incomplete));
    }
    let Some((batch_id, batch)) = stored else { return quarantined(vec![unknown_batch(&given.name)]) };
    let mut findings: Vec<Finding> = control.iter().flat_map(|control| &control.defects).map(Finding::from).collect();
    findings.extend(decoded.defects.iter().map(Finding::from));
    let header = &taking.bureau.bank(bank)?.header;
    if decoded.is_sound() && control.as_ref().is_none_or(Decoded::is_sound) {
        findings = validate::validate(&file, &decoded, &parts, &batch, header);
        findings.extend(wrong_agency(&parts, header.get("agency")));
        if findings.is_empty() {
            let matched = match_rows(&mut file, batch.count);
            return Ok(Ok(Sound { batch_id, batch, file, matched }));
        }
    }
    quarantined(findings)
}

/// The digest that a control file asks for.
pub fn asked_digest(layout: &Layout, control: Option<&Control>) -> Option<Algorithm> {
    let decoded = decode(layout, FileKind::ReturnControl, &control?.bytes, None, &mut |_| {})?;
    decoded.asked_digest()
}

/// Reads the private copy slice by slice: memory grows with the rows, never with the bytes.
fn read_rows<'l>(
    layout: &'l Layout,
    batch: BatchNumber,
    algorithm: Option<Algorithm>,
    given: &Given,
) -> Step<Option<(ReturnFile, Decoded<'l>)>> {
    let Some(inline) = ReturnReader::new(layout, batch, algorithm) else { return Ok(None) };
    let Some(aside) = &given.digest else { return feed(inline, given).map(|reader| Some(reader.finish())) };
    let reader = feed(inline.digest_elsewhere(), given)?;
    match reader.digest_end() {
        None => Ok(Some(reader.finish())),
        Some(end) if end == aside.end_of_range() => Ok(Some(reader.finish_with(Some(aside.digest())))),
        // Something stands behind the trailer: the digest is over other bytes than was foreseen.
        Some(_) => {
            let inline = ReturnReader::new(layout, batch, algorithm).expect("it could be made before");
            feed(inline, given).map(|reader| Some(reader.finish()))
        }
    }
}

fn feed<'l>(mut reader: ReturnReader<'l>, given: &Given) -> Step<ReturnReader<'l>> {
    let failed = |source| crate::transport::Error::io(&given.path, "read", source);
    let mut file = File::open(&given.path).map_err(failed)?;
    let mut slice = vec![0; SLICE.min(given.size as usize + 1)];
    loop {
        match file.read(&mut slice).map_err(failed)? {
            0 => return Ok(reader),
            read => reader.feed(&slice[..read]),
        }
    }
}

/// The bank refused the whole file, or says that it had this batch before: no row counts.
fn refuse(taking: &mut Taking<'_>, sound: &Sound, order: &Order) -> Step<Ended> {
    let code = sound.file.file_code.clone();
    loop {
        let book = empty_book(taking, sound)?;
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
        if taking.apply(order, &changes, Some(&ended), |_, _| Ok(()))? == Applied::New {
            return Ok(ended);
        }
    }
}

/// Match → post → emit, stretch by stretch; each is one transaction.
fn accept(taking: &mut Taking<'_>, bank: BankNumber, sound: Sound, order: &Order) -> Step<Ended> {
    let key = taking.bureau.bank(bank)?.key.clone();
    see_evidence(taking, &sound, order)?;
    let rows = &sound.matched.rows;
    let done = taking.progress()?.min(rows.len());
    let mut stretches = stretches(rows, done);
    if stretches.is_empty() {
        stretches.push(rows.len()..rows.len());
    }
    let last = stretches.len() - 1;
    let total = (rows.len() + sound.matched.doubles.len() + sound.file.strangers.len()) as u64;
    let mut ended = None;
    for (place, stretch) in stretches.into_iter().enumerate() {
        loop {
            let book = read_book(taking, &sound, &rows[stretch.clone()], order)?;
            let doubles = &sound.matched.doubles;
            let mut changes = settle(&book, &sound.file, &rows[stretch.clone()], doubles, order.today());
            accept_first(&book, &mut changes);
            if place == last {
                let answered = answered(taking, &sound, &rows[stretch.clone()])?;
                conclude(&book, &sound.file, &key, &answered, order.today(), &mut changes);
            }
            let conn = taking.bureau.store.connection();
            emit::drop_repeated(&mut changes, |key| files::content_behind(conn, key))?;
            if place == last {
                let notes = opened(taking, &changes)?.into_iter().collect();
                ended = Some(Ended::Processed { accepted: total, refused: 0, findings: Vec::new(), notes });
            }
            let progress = stretch.end as u64;
            if taking.apply(order, &changes, ended.as_ref(), |txn, file| txn.progress(file, progress))? == Applied::New
            {
                break;
            }
        }
    }
    Ok(ended.expect("the last stretch ends the file"))
}

/// How many exceptions the file opens, those of its earlier stretches included, and where they are looked at.
fn opened(taking: &Taking<'_>, changes: &Changeset) -> Step<Option<String>> {
    let before = files::exceptions_of(taking.bureau.store.connection(), taking.number())?;
    let count = before + changes.opened.len() as u64;
    Ok((count > 0).then(|| format!("新增例外 {count} 项，经办机构请用 daikou exceptions 查看")))
}

/// A return for a batch that we believe unsent is evidence that it was sent.
fn see_evidence(taking: &mut Taking<'_>, sound: &Sound, order: &Order) -> Step<()> {
    use crate::domain::instruction::BatchEvent::Delivered;
    loop {
        let book = empty_book(taking, sound)?;
        if !open_batch(book.batch.state, &sound.file).contains(&Delivered) {
            return Ok(());
        }
        let changes = refuse_file(&book, vec![Delivered]);
        taking.apply(order, &changes, None, |_, _| Ok(()))?;
    }
}

fn accept_first(book: &BatchBook, changes: &mut Changeset) {
    use crate::domain::instruction::{BatchEvent::Accepted, BatchState::*};
    if matches!(book.batch.state, Sent | SentUnconfirmed) {
        changes.batches.insert(0, (book.batch.number, Accepted));
    }
}

fn empty_book(taking: &Taking<'_>, sound: &Sound) -> Step<BatchBook> {
    let conn = taking.bureau.store.connection();
    let (id, batch) = book::batch(conn, sound.batch.number)?.expect("a batch is never deleted");
    Ok(book::batch_book(conn, id, batch, (1, 0), |_, _, _| false)?)
}

/// The one read: the instructions of the stretch, and a close-up of each whose answer is not plain.
fn read_book(taking: &mut Taking<'_>, sound: &Sound, rows: &[Row], order: &Order) -> Step<BatchBook> {
    let file = &sound.file;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return empty_book(taking, sound) };
    let mut answers = rows.iter().peekable();
    let book = taking.bureau.store.read(|tx| {
        let (id, batch) = book::batch(tx, sound.batch.number)?.expect("a batch is never deleted");
        book::batch_book(tx, id, batch, (first.sequence, last.sequence), |batch, sequence, line| {
            answers
                .next_if(|row| row.sequence == sequence)
                .is_some_and(|row| !post::is_plain(batch, line, row, file.outcome(row), order.today()))
        })
    })?;
    Ok(book)
}

/// What the batch will have been told once these rows are in.
fn answered(taking: &Taking<'_>, sound: &Sound, rows: &[Row]) -> Step<Answered> {
    let conn = taking.bureau.store.connection();
    let mut parts = files::parts(conn, sound.batch_id)?;
    parts.push((sound.file.part, sound.file.is_final));
    if !parts.iter().any(|(_, is_final)| *is_final) {
        return Ok(Answered { parts, ..Answered::default() });
    }
    let mut unanswered = files::unanswered(conn, sound.batch_id)?;
    unanswered.retain(|(sequence, _)| rows.binary_search_by_key(sequence, |row| row.sequence).is_err());
    Ok(Answered { parts, unanswered, noted: files::missing_noted(conn, sound.batch_id)? })
}

/// Stretches of rows: at most so many rows, and no wider than twice that in the batch.
fn stretches(rows: &[Row], from: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = from;
    for index in from..rows.len() {
        let too_many = index - start >= STRETCH_ROWS;
        let too_wide = (rows[index].sequence - rows[start].sequence) as usize >= 2 * STRETCH_ROWS;
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

fn wrong_name(name: &str) -> Finding {
    Finding {
        column: "name".to_owned(),
        code: "not-a-return",
        expected: "a return file name of the bank's layout".to_owned(),
        found: name.to_owned(),
        message_zh: "文件名不是约定的回盘文件名".to_owned(),
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
