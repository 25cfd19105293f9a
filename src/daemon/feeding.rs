//! The feed: numbered files of postings and reversals for the bureau's business system, cut from committed transactions in
//! order, so that it books 视同实收 exactly once (`docs/feed.md`).
//!
//! Store first, publish after: what is stored is never cut again, and its bytes follow from the postings. A crash between
//! the two leaves a file that is not out; the next look makes the same bytes again and publishes them.

use crate::config::Config;
use crate::daemon::alarms::Alarms;
use crate::daemon::bureau::{Bureau, Order, Step};
use crate::daemon::intake::{Ended, Taking};
use crate::daemon::roster::notices;
use crate::domain::calendar::{Date, DateTime, Time};
use crate::domain::exception::Class;
use crate::domain::money::Money;
use crate::domain::reconciling::age_workdays;
use crate::format::table::Table;
use crate::pipeline::book::{Changeset, NewException};
use crate::pipeline::emit::{Finding, findings};
use crate::pipeline::intake::{Words, feed_acks};
use crate::store::export::BankKeys;
use crate::store::outgoing::{self, FeedFile};
use crate::store::{Applied, Txn, book, statements};
use crate::transport::place::publish;
use crate::transport::{hex, make_shared_folder};
use std::collections::BTreeSet;
use std::ffi::OsStr;

/// Where the files lie, below `drops/`.
pub const FOLDER: &str = "bureau/out/feed";

/// Cuts what waits into files and publishes them. Without `until` everything that is committed, else only acts before it.
/// Gives the new files.
pub fn feed(bureau: &mut Bureau, until: Option<DateTime>, order: &Order) -> Step<Vec<FeedFile>> {
    let banks = bank_keys(&bureau.config);
    let mut made = Vec::new();
    loop {
        let version = book::version(bureau.store.connection())?;
        let max_rows = bureau.config.feed.max_rows;
        let Some(file) = outgoing::next(bureau.store.connection(), max_rows, until, order.today(), &banks)? else {
            break;
        };
        failpoint!("feed.cut");
        let act = order.act("feed", file.name(), file.sha256);
        if bureau.store.apply(&act, version, |txn| txn.keep_feed_file(&file))? == Applied::New {
            made.push(file);
        }
    }
    publish_all(bureau)?;
    Ok(made)
}

/// Publishes files that are stored and not out. Safe to do again: what is there stays as it is.
pub fn publish_all(bureau: &Bureau) -> Step<()> {
    let waiting: Vec<FeedFile> =
        outgoing::files(bureau.store.connection())?.into_iter().filter(|file| !file.is_out).collect();
    let folder = bureau.config.drops.join(FOLDER);
    for file in waiting {
        let bytes = outgoing::render(bureau.store.connection(), &file, &bank_keys(&bureau.config))?;
        if crate::transport::sha256(&bytes) != file.sha256 {
            let words = format!("{}: its postings do not give the bytes that were stored", file.name());
            return Err(crate::store::Error::Broken(words).into());
        }
        make_shared_folder(&folder)?;
        failpoint!("feed.begun");
        publish(&folder, OsStr::new(&file.name()), &bytes)?;
        failpoint!("feed.out");
        bureau.store.feed_is_out(file.number)?;
        failpoint!("feed.noted");
    }
    Ok(())
}

/// Keys of the configured banks.
pub fn bank_keys(config: &Config) -> BankKeys {
    config.banks.iter().map(|bank| (bank.number.0, bank.key.clone())).collect()
}

/// The daemon's part: what is left over, and, once a day, the transactions of the days that are over.
pub fn work(bureau: &mut Bureau, order: &Order) -> Step<()> {
    if !bureau.config.feed.daily {
        return Ok(());
    }
    publish_all(bureau)?;
    let newest = outgoing::files(bureau.store.connection())?.pop();
    if newest.is_some_and(|file| file.made_on >= order.today()) {
        return Ok(());
    }
    feed(bureau, Some(DateTime::from_parts(order.today(), Time::midnight())), order)?;
    Ok(())
}

/// Files that the business system should have acknowledged by now.
pub fn overdue(bureau: &Bureau, today: Date) -> Step<Vec<FeedFile>> {
    let mut files = outgoing::files(bureau.store.connection())?;
    let (days, allowed) = (&bureau.config.working_days, i64::from(bureau.config.feed.ack_workdays));
    files.retain(|file| file.acked_on.is_none() && age_workdays(days, file.made_on, today) > allowed);
    Ok(files)
}

/// Raises and clears the alarm of files without an acknowledgement.
pub fn judge(bureau: &Bureau, today: Date, alarms: &mut Alarms) -> Step<()> {
    let late: BTreeSet<String> = overdue(bureau, today)?.iter().map(FeedFile::name).collect();
    for name in &late {
        alarms.raise("feed-unacknowledged", name.clone(), "the business system has not acknowledged it: ask its staff");
    }
    alarms.retain("feed-unacknowledged", |name| late.contains(name));
    Ok(())
}

/// Takes acknowledgements (`postings-00000001.csv.ack`). A number that is not ours, or another digest, is an exception.
pub fn take_acks(taking: &mut Taking<'_>, table: &Table, order: &Order) -> Step<Ended> {
    let nothing = |_: &str| None;
    let no_bank = |_: &str| None;
    let words = Words { district: &nothing, bank: &no_bank, knows_area: &|_| true, arrived: order.today() };
    let intake = feed_acks(table, words);
    let (mut refused, mut findings) = findings(&intake.defects, &intake.warnings);
    taking.write(order, |txn, file| {
        let mut accepted = 0;
        for (line, (number, digest)) in &intake.rows {
            match acknowledge(txn, *number, digest, order)? {
                None => accepted += 1,
                Some(words) => {
                    refused += 1;
                    findings.push(disagrees(*line, &words));
                    dispute(txn, words, *line, file, order)?;
                }
            }
        }
        Ok(Ended::Processed { accepted, refused, findings, notes: notices(table) })
    })
}

/// Marks a file as taken, or says what is wrong.
fn acknowledge(txn: &Txn<'_>, number: i64, digest: &[u8; 32], order: &Order) -> crate::store::Result<Option<String>> {
    Ok(match outgoing::file(txn.connection(), number)? {
        None => Some(format!("没有序号为 {number} 的推送文件")),
        Some(file) if file.sha256 != *digest => {
            let (ours, theirs) = (&hex(&file.sha256)[..8], &hex(digest)[..8]);
            Some(format!("推送文件 {} 的摘要以 {ours} 开头，回执为 {theirs}", file.name()))
        }
        Some(_) => {
            txn.acknowledge(number, order.today())?;
            None
        }
    })
}

fn disagrees(line: u32, words: &str) -> Finding {
    Finding {
        row: Some(u64::from(line)),
        column: "number".to_owned(),
        code: "feed-ack",
        expected: "number and SHA-256 of a file of postings".to_owned(),
        found: "another".to_owned(),
        message_zh: words.to_owned(),
        action_zh: "请核对所收的推送文件后重新回执".to_owned(),
        ..Finding::default()
    }
}

fn dispute(txn: &mut Txn<'_>, words: String, line: u32, file: i64, order: &Order) -> crate::store::Result<()> {
    if statements::was_said(txn.connection(), Class::FeedAck.word(), &words)? {
        return Ok(());
    }
    let opened = NewException {
        class: Class::FeedAck,
        participant: None,
        fee_year: None,
        instruction: None,
        line: Some(line),
        amount: Money::ZERO,
        posting: None,
        reason: words,
        held_on: None,
    };
    txn.write(&Changeset { opened: vec![opened], ..Changeset::default() }, Some(file), order.today())
}
