//! Release of batches, posting of zero-payment batches (R9, R21), and sending, told honestly.

use crate::config::SHANGHAI_MIN;
use crate::daemon::approvals::{Request, batch_of, void};
use crate::daemon::bureau::{Bureau, Order, Step, StepError, no_policy, refuse};
use crate::daemon::delivering::{SendReport, Way, deliver_batch};
use crate::daemon::visiting::Visitor;
use crate::domain::calendar::{DateTime, minutes_before};
use crate::domain::exception::Class;
use crate::domain::ids::{BatchNumber, InstructionNumber};
use crate::domain::instruction::{BatchEvent, BatchState};
use crate::domain::ledger::PostingKey;
use crate::domain::money::Money;
use crate::domain::participant::BankNumber;
use crate::domain::plan::PlanEvent;
use crate::domain::postings;
use crate::pipeline::book::*;
use crate::pipeline::{planning, post};
use crate::store::approvals::Approval;
use crate::store::{Txn, batches, book};
use crate::transport::local::LocalRemote;
use crate::transport::place::sanitised;
use crate::transport::{self, hex};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The request to release a batch, bound to the digest of its bytes.
pub fn release_request(batch: BatchNumber, sha256: [u8; 32]) -> Request {
    let kind = if batch.bank() == BatchNumber::ZERO_BANK { "zero-payment" } else { "release" };
    Request { kind, subject: batch.to_string(), request: String::new(), digest: sha256 }
}

/// What a yes to a batch would do.
pub fn asks(bureau: &Bureau, approval: &Approval) -> Step<String> {
    let batch = stored_batch(bureau, batch_of(approval)?)?;
    let (fee_year, count, amount) = (batch.fee_year, batch.count, batch.amount);
    let Some(number) = batch.bank else {
        return Ok(format!("{fee_year} 年度零自付 {count} 人，政府代缴 {amount} 元记账，不向银行扣款"));
    };
    let bank = bureau.config.bank(number).map_or_else(|| number.0.to_string(), |bank| bank.key.clone());
    Ok(format!("发往银行 {bank}：{} 扣款，{fee_year} 年度，{count} 笔，{amount} 元", batch.debit_on))
}

/// A checker released a batch: its bytes in the archive must still be those that were shown.
pub fn approve_release(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let number = batch_of(approval)?;
    let batch = stored_batch(bureau, number)?;
    let bytes = archived(&bureau.config.state, &batch)?;
    if batch.state != BatchState::Drafted || transport::sha256(&bytes) != approval.digest {
        return void(bureau, approval, order);
    }
    if is_too_late(bureau, &batch, order)? {
        let report = withdraw(bureau, &batch, order)?;
        return refuse(format!("批次 {number}：{}", report.words));
    }
    let act = order.act("release", number.to_string(), batch.sha256);
    bureau.store.transact(&act, |txn| {
        txn.approve(approval.id, &order.actor)?;
        release(txn, number, order)
    })?;
    Ok(format!("批次 {number} 已放行 released：{} 笔，{} 元", batch.count, batch.amount))
}

/// Releases a batch within a transaction.
pub fn release(txn: &mut Txn<'_>, number: BatchNumber, order: &Order) -> crate::store::Result<()> {
    let changes = Changeset { batches: vec![(number, BatchEvent::Released)], ..Changeset::default() };
    txn.write(&changes, None, order.today())
}

/// A checker approved a zero-payment batch.
pub fn approve_zero(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let number = batch_of(approval)?;
    let batch = stored_batch(bureau, number)?;
    if batch.state != BatchState::Drafted || batch.sha256 != approval.digest {
        return void(bureau, approval, order);
    }
    let posted = post_zero(bureau, &batch, order, |txn| txn.approve(approval.id, &order.actor))?;
    Ok(format!("零自付批次 {number} 已入账：名单 {} 人，入账 {posted} 人", batch.count))
}

/// R9: posts those who are still entitled and unreceived on the day of approval, booked on that day.
pub fn post_zero(
    bureau: &mut Bureau,
    batch: &BatchLine,
    order: &Order,
    approve: impl FnOnce(&mut Txn<'_>) -> crate::store::Result<()>,
) -> Step<usize> {
    let Some((policy, year)) = bureau.config.policies.of(batch.fee_year) else {
        return no_policy(batch.fee_year);
    };
    if order.today().year() != batch.fee_year {
        return refuse(format!("{} 年度已结束，该批次不能再入账（R9）", batch.fee_year));
    }
    let act = order.act("zero-payment", batch.number.to_string(), batch.sha256);
    let posted = bureau.store.transact(&act, |txn| {
        let closed = book::closed_months(txn.connection())?;
        let booked = post::booked(order.today(), &closed);
        let mut changes = Changeset { batches: walked(batch.number), ..Changeset::default() };
        for (row, sequence) in batches::zero_rows(txn.connection(), batch.number)?.into_iter().zip(1..) {
            let dossier = book::dossier(txn.connection(), row.participant, batch.fee_year)?;
            let Ok(terms) = planning::may_ask(policy, year, &dossier, order.today(), true) else { continue };
            if !terms.own().is_zero() || terms.government() == Money::ZERO {
                continue;
            }
            let plan = dossier.plan.as_ref().expect("who may be asked has a plan");
            // Other terms than were approved: the next round lists the person again.
            let listed = plan.versions.iter().find(|version| version.number == row.version);
            if listed.is_none_or(|listed| listed.terms != Ok(terms)) {
                continue;
            }
            let key = PostingKey::Zero(batch.number, sequence);
            let posting = postings::zero_payment(key, booked, terms.deemed());
            let concerns = Concerns {
                participant: Some(row.participant),
                fee_year: Some(batch.fee_year),
                version: Some(plan.latest().number),
                ..Concerns::default()
            };
            changes.postings.push(NewPosting { posting, concerns: Some(Box::new(concerns)) });
            changes.plans.push(PlanChange {
                participant: row.participant,
                fee_year: batch.fee_year,
                version: None,
                state: plan.state.after(PlanEvent::Received).expect("a planned plan can be received"),
                failed: 0,
                turns_limit: None,
            });
        }
        approve(txn)?;
        txn.write(&changes, None, order.today())?;
        Ok(changes.postings.len())
    })?;
    Ok(posted)
}

/// No bank takes part in a zero-payment batch: approval walks it to its end at once.
fn walked(batch: BatchNumber) -> Vec<(BatchNumber, BatchEvent)> {
    use BatchEvent::*;
    [Released, Sending, Delivered, Accepted, Completed].map(|event| (batch, event)).to_vec()
}

/// Who is reached by a `send`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every bank; a bank's own server is connected to here and now.
    Everybody,
    /// Banks that come to our drop tree. Those with a server of their own have couriers.
    DropTree,
}

/// What became of a `send`: a bank that cannot be reached hides nothing of what went to the others.
#[derive(Debug, Default)]
pub struct Sendings {
    /// Batches that had their turn.
    pub reports: Vec<SendReport>,
    /// Batches that could not be dealt with.
    pub failures: Vec<SendFailure>,
}

/// A batch that could not be sent now, for operators.
#[derive(Debug, thiserror::Error)]
#[error("bank {bank}: batch {batch} ({file}) was not sent: {error}; {}", self.advice())]
pub struct SendFailure {
    /// Key of the bank.
    pub bank: String,
    /// The batch.
    pub batch: BatchNumber,
    /// Name of its file.
    pub file: String,
    /// The bank has a server of its own.
    pub has_server: bool,
    /// Why.
    #[source]
    pub error: StepError,
}

impl SendFailure {
    fn advice(&self) -> String {
        if self.has_server {
            return format!("`daikou doctor {}` looks at the bank's server; then `daikou send` again", self.bank);
        }
        "then `daikou send` again".to_owned()
    }
}

impl Sendings {
    /// For who needs all of it done: the error that ended it, else the first.
    pub fn complete(mut self) -> Step<Vec<SendReport>> {
        match self.failures.pop_if(|last| last.error.is_fatal()).or_else(|| self.failures.into_iter().next()) {
            Some(failure) => Err(failure.error),
            None => Ok(self.reports),
        }
    }
}

/// Sends every released batch, and settles by looking what an earlier attempt left open.
///
/// A bank that cannot be reached does not hold up the others; only what makes the store doubtful ends the work.
pub fn send(bureau: &mut Bureau, reach: Reach, order: &Order) -> Step<Sendings> {
    let waiting = batches::in_states(bureau.store.connection(), &[BatchState::Released, BatchState::Sending])?;
    let mut sendings = Sendings::default();
    let mut visitors = BTreeMap::new();
    for batch in &waiting {
        let Some(number) = batch.bank else { continue };
        let bank = bureau.config.bank(number);
        let has_server = bank.is_some_and(|bank| bank.sftp.is_some());
        if reach == Reach::DropTree && has_server {
            continue;
        }
        let bank = bank.map_or_else(|| number.0.to_string(), |bank| bank.key.clone());
        match send_one(bureau, batch, number, &mut visitors, order) {
            Ok(report) => sendings.reports.push(report),
            Err(error) => {
                let is_fatal = error.is_fatal();
                let (batch, file) = (batch.number, batch.file.clone());
                sendings.failures.push(SendFailure { bank, batch, file, has_server, error });
                if is_fatal {
                    break;
                }
            }
        }
    }
    Ok(sendings)
}

fn send_one(
    bureau: &mut Bureau,
    batch: &BatchLine,
    number: BankNumber,
    visitors: &mut BTreeMap<BankNumber, Visitor>,
    order: &Order,
) -> Step<SendReport> {
    let bank = bureau.bank(number)?;
    if !visitors.contains_key(&number)
        && let Some(visitor) = Visitor::new(bank, Arc::default())
    {
        visitors.insert(number, visitor);
    }
    if let Some(visitor) = visitors.get_mut(&number) {
        return visitor.deliver(bureau, batch, order);
    }
    let out = bureau.bank_out(&bank.key);
    if let Some(report) = withdraw_if_late(bureau, batch, order)? {
        return Ok(report);
    }
    // A folder that is missing is no doubt about delivery: nothing is begun.
    let mut remote = LocalRemote::open(&out)?;
    deliver_batch(bureau, batch, &mut Way::local(&mut remote), order)
}

/// A batch that has not begun to leave and is too late for its debit date is cancelled, and drafted again by the next
/// round.
pub fn withdraw_if_late(bureau: &mut Bureau, batch: &BatchLine, order: &Order) -> Step<Option<SendReport>> {
    if batch.state == BatchState::Released && is_too_late(bureau, batch, order)? {
        return withdraw(bureau, batch, order).map(Some);
    }
    Ok(None)
}

/// The bank's cutoff of the debit date has passed, by the bank's own clock.
pub fn is_too_late(bureau: &Bureau, batch: &BatchLine, order: &Order) -> Step<bool> {
    let Some(number) = batch.bank else { return Ok(false) };
    let bank = bureau.bank(number)?;
    let ahead = i64::from(bank.utc_offset_min - SHANGHAI_MIN);
    Ok(order.at > minutes_before(DateTime::from_parts(batch.debit_on, bank.cutoff), ahead))
}

/// Too late for its debit date: cancelled, and drafted again by the next round.
fn withdraw(bureau: &mut Bureau, batch: &BatchLine, order: &Order) -> Step<SendReport> {
    move_batch(bureau, batch, BatchEvent::Withdrawn, "withdraw", order)?;
    let words = format!("已过扣款日 {} 的截止时间，批次已取消，下一轮 instruct 重新起草", batch.debit_on);
    Ok(SendReport { batch: batch.number, state: BatchState::Cancelled, words })
}

/// An exception about a whole batch hangs on its first instruction.
pub fn delivery_exception(class: Class, batch: BatchNumber, reason: String) -> NewException {
    NewException {
        class,
        participant: None,
        fee_year: None,
        instruction: Some(InstructionNumber { batch, sequence: 1 }),
        line: None,
        amount: Money::ZERO,
        posting: None,
        reason,
        held_on: None,
    }
}

fn move_batch(
    bureau: &mut Bureau,
    batch: &BatchLine,
    event: BatchEvent,
    action: &'static str,
    order: &Order,
) -> Step<()> {
    let act = order.act(action, batch.number.to_string(), batch.sha256);
    let changes = Changeset { batches: vec![(batch.number, event)], ..Changeset::default() };
    Ok(bureau.store.transact(&act, |txn| txn.write(&changes, None, order.today()))?)
}

/// Where the bytes of a batch are kept, below the state folder.
pub fn archive_path(batch: &BatchLine) -> PathBuf {
    let (year, month) = (batch.drafted_on.year(), batch.drafted_on.month());
    let name = format!("{}-{}", hex(&batch.sha256), sanitised(OsStr::new(&batch.file)));
    Path::new("archive").join(format!("{year:04}")).join(format!("{month:02}")).join(name)
}

fn archived(state: &Path, batch: &BatchLine) -> Step<Vec<u8>> {
    let path = state.join(archive_path(batch));
    match std::fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(source) => {
            let path = path.display().to_string();
            Err(transport::Error::Io { path, doing: "read the archived instruction file", source }.into())
        }
    }
}

fn stored_batch(bureau: &Bureau, number: BatchNumber) -> Step<BatchLine> {
    match book::batch(bureau.store.connection(), number)? {
        Some((_, batch)) => Ok(batch),
        None => refuse(format!("没有批次 {number}")),
    }
}
