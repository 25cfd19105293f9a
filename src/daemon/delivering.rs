//! Delivers batches to their banks, and tells the truth about it (design section 6).
//!
//! A batch is `sending` from the moment at which its first byte may reach the bank. Each stage of each of its files is
//! stored before the act; after a crash, a timeout or a lost reply the next call looks at the bank and goes on from
//! what it sees. `sent` needs evidence, else `sent-unconfirmed`: a person decides.

use crate::daemon::bureau::{Bureau, Order, Step, StepError, refuse};
use crate::daemon::releasing::{archive_path, delivery_exception, is_too_late};
use crate::domain::delivery::{Evidence, Manners, Proof, Stage};
use crate::domain::exception::Class;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::{BatchEvent, BatchState};
use crate::pipeline::book::{BatchLine, Changeset};
use crate::store::{Txn, batches, book, deliveries};
use crate::transport::digest_of;
use crate::transport::outbound::{Bytes, Ended, Habits, Outgoing, Undelivered, deliver};
use crate::transport::profile::Profile;
use crate::transport::remote::Remote;
use std::path::Path;

/// What became of one batch that was to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendReport {
    /// The batch.
    pub batch: BatchNumber,
    /// Its state now.
    pub state: BatchState,
    /// What happened, in words.
    pub words: String,
}

/// The way to a bank.
pub struct Way<'r> {
    /// Its folders.
    pub remote: &'r mut dyn Remote,
    /// The one that instruction files go to.
    pub folder: String,
    /// What temporary names begin with.
    pub prefix: &'static str,
    /// What the bank allows, and what counts.
    pub habits: Habits,
}

impl<'r> Way<'r> {
    /// Through a folder of our own, where the bank fetches: temporary names are hidden from it, and it may take a file
    /// away the moment it sees it.
    pub fn local(remote: &'r mut dyn Remote) -> Way<'r> {
        let manners = Manners { renames: true, sweeps: true, evidence: Evidence::ReadBack };
        let habits = Habits { manners, may_read: true, may_stat: true };
        Way { remote, folder: String::new(), prefix: ".", habits }
    }

    /// To a bank's own server.
    pub fn over(remote: &'r mut dyn Remote, profile: &Profile) -> Way<'r> {
        let Profile { manners, may_read, may_stat, .. } = *profile;
        Way { remote, folder: profile.put.clone(), prefix: "", habits: Habits { manners, may_read, may_stat } }
    }
}

/// One file of a batch.
struct Part<'a> {
    number: usize,
    is_last: bool,
    file: Outgoing<'a>,
}

/// Delivers a batch that is `released` or `sending`: the data file, then its control file.
pub fn deliver_batch(bureau: &mut Bureau, batch: &BatchLine, way: &mut Way<'_>, order: &Order) -> Step<SendReport> {
    let path = bureau.config.state.join(archive_path(batch));
    if digest_of(&path)? != Some(batch.sha256) {
        return refuse(format!(
            "批次 {}：存档的扣款文件与批准时不同或已不在，未发送；请立即联系运维人员",
            batch.number
        ));
    }
    let control = batches::control(bureau.store.connection(), batch.number)?;
    let stages = deliveries::of_batch(bureau.store.connection(), batch.number)?;
    let folder = way.folder.clone();
    let mut last = Proof::ReadBack;
    // Its debit date is over: what is not there by now must not come. Only a look may still say that it is there.
    let looks_only = batch.state == BatchState::Sending && is_too_late(bureau, batch, order)?;
    for part in parts(batch, &path, control.as_ref(), &folder, way.prefix)? {
        let stage = stages[part.number].as_ref().map_or(Stage::Untouched, |delivery| delivery.stage);
        let record = |stage, proof| record(bureau, batch, &part, stage, proof, order);
        match deliver(way.remote, way.habits, &part.file, stage, looks_only, record) {
            Ok(Ended::Delivered(proof)) => last = proof,
            Ok(Ended::InDoubt(doubt)) => {
                let words = format!("{}: {}", part.file.name, doubt.words());
                return in_doubt(bureau, batch, words, order);
            }
            Err(Undelivered::Fault(fault)) => return Err(fault.into()),
            Err(Undelivered::Record(error)) => return Err(error),
        }
    }
    failpoint!("send.done");
    Ok(SendReport { batch: batch.number, state: BatchState::Sent, words: last.words().to_owned() })
}

/// The control file comes last: to the bank the data file is not there before it.
fn parts<'a>(
    batch: &'a BatchLine,
    path: &'a Path,
    control: Option<&'a (String, Vec<u8>)>,
    folder: &'a str,
    prefix: &'a str,
) -> Step<Vec<Part<'a>>> {
    let size = std::fs::metadata(path).map_err(|source| crate::transport::Error::io(path, "look at", source))?.len();
    let data = Outgoing { folder, name: &batch.file, prefix, bytes: Bytes::File(path), size, sha256: batch.sha256 };
    let mut parts = vec![Part { number: 0, is_last: control.is_none(), file: data }];
    if let Some((name, bytes)) = control {
        let (size, sha256) = (bytes.len() as u64, crate::transport::sha256(bytes));
        let file = Outgoing { folder, name, prefix, bytes: Bytes::Memory(bytes), size, sha256 };
        parts.push(Part { number: 1, is_last: true, file });
    }
    Ok(parts)
}

/// Stores a stage before its act. Refused where the batch is not to be sent any more: somebody delivered it by hand,
/// or the bank has answered it.
fn record(
    bureau: &mut Bureau,
    batch: &BatchLine,
    part: &Part<'_>,
    stage: Stage,
    proof: Option<Proof>,
    order: &Order,
) -> Step<()> {
    let number = batch.number;
    let stored = deliveries::of_batch(bureau.store.connection(), number)?;
    let (_, now) = book::batch(bureau.store.connection(), number)?.expect("a batch is never deleted");
    if !matches!(now.state, BatchState::Released | BatchState::Sending) {
        return refuse(format!("批次 {number} 此时已是 {}，未发送", now.state.word()));
    }
    let is_noted = stored[part.number].as_ref().is_some_and(|delivery| delivery.stage == stage);
    if is_noted && now.state == BatchState::Sending && stage != Stage::Delivered {
        return Ok(());
    }
    let is_sent = stage == Stage::Delivered && part.is_last;
    let action = if is_sent { "sent" } else { stage.word() };
    let act = order.act(action, number.to_string(), part.file.sha256);
    let evidence = proof.map_or("", Proof::words);
    let recorded = bureau.store.transact(&act, |txn| {
        require_sendable(txn, number)?;
        let mut events = Vec::new();
        if now.state == BatchState::Released {
            events.push((number, BatchEvent::Sending));
        }
        if is_sent {
            events.push((number, BatchEvent::Delivered));
        }
        txn.write(&Changeset { batches: events, ..Changeset::default() }, None, order.today())?;
        txn.stage(number, part.number, stage, evidence)
    });
    match recorded {
        Err(crate::store::Error::Stale) => refuse(format!("批次 {number} 此时已另行处理，未发送")),
        other => Ok(other?),
    }
}

/// Judged again inside the transaction: between look and write somebody else may have moved the batch.
fn require_sendable(txn: &Txn<'_>, number: BatchNumber) -> crate::store::Result<()> {
    match book::batch(txn.connection(), number)? {
        Some((_, batch)) if matches!(batch.state, BatchState::Released | BatchState::Sending) => Ok(()),
        _ => Err(crate::store::Error::Stale),
    }
}

/// Nobody can say whether the bank has it.
fn in_doubt(bureau: &mut Bureau, batch: &BatchLine, words: String, order: &Order) -> Step<SendReport> {
    let exception = delivery_exception(Class::DeliveryInDoubt, batch.number, words.clone());
    let act = order.act("sent-unconfirmed", batch.number.to_string(), batch.sha256);
    bureau.store.transact(&act, |txn| {
        let (_, now) = txn.batch(batch.number)?;
        let begins = (now.state == BatchState::Released).then_some((batch.number, BatchEvent::Sending));
        let events = begins.into_iter().chain([(batch.number, BatchEvent::InDoubt)]).collect();
        txn.write(&Changeset { batches: events, opened: vec![exception], ..Changeset::default() }, None, order.today())
    })?;
    Ok(SendReport { batch: batch.number, state: BatchState::SentUnconfirmed, words })
}

impl From<crate::transport::remote::Fault> for StepError {
    fn from(fault: crate::transport::remote::Fault) -> StepError {
        match fault {
            crate::transport::remote::Fault::Ours(error) => StepError::Transport(error),
            fault => StepError::Remote(fault),
        }
    }
}
