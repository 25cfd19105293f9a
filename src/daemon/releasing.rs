//! Release of batches, posting of zero-payment batches (R9, R21), and sending, told honestly.

use crate::daemon::approvals::{Request, batch_of, void};
use crate::daemon::bureau::{Bureau, Order, Step, StepError, no_policy, refuse};
use crate::domain::calendar::DateTime;
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
use crate::transport::folder::Folder;
use crate::transport::place::{Published, publish, sanitised};
use crate::transport::{self, hex};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

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
            if plan.latest().number != row.version {
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
            changes.postings.push(NewPosting { posting, concerns: Some(concerns) });
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

/// Sends every released batch, and settles by looking what an earlier attempt left open.
///
/// A bank whose folder fails does not hold up the others: the first error comes back when all had their turn.
pub fn send(bureau: &mut Bureau, order: &Order) -> Step<Vec<SendReport>> {
    let waiting = batches::in_states(bureau.store.connection(), &[BatchState::Released, BatchState::Sending])?;
    let mut reports = Vec::new();
    let mut failed = None;
    for batch in &waiting {
        let Some(number) = batch.bank else { continue };
        match send_or_withdraw(bureau, batch, number, order) {
            Ok(report) => reports.push(report),
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(reports), Err)
}

fn send_or_withdraw(bureau: &mut Bureau, batch: &BatchLine, number: BankNumber, order: &Order) -> Step<SendReport> {
    if batch.state == BatchState::Released && is_too_late(bureau, batch, order)? {
        return withdraw(bureau, batch, order);
    }
    let folder = bureau.bank_out(&bureau.bank(number)?.key);
    send_one(bureau, batch, &folder, order)
}

/// The bank's cutoff of the debit date has passed.
fn is_too_late(bureau: &Bureau, batch: &BatchLine, order: &Order) -> Step<bool> {
    let Some(number) = batch.bank else { return Ok(false) };
    Ok(order.at > DateTime::from_parts(batch.debit_on, bureau.bank(number)?.cutoff))
}

/// Too late for its debit date: cancelled, and drafted again by the next round.
fn withdraw(bureau: &mut Bureau, batch: &BatchLine, order: &Order) -> Step<SendReport> {
    move_batch(bureau, batch, BatchEvent::Withdrawn, "withdraw", None, order)?;
    let words = format!("已过扣款日 {} 的截止时间，批次已取消，下一轮 instruct 重新起草", batch.debit_on);
    Ok(SendReport { batch: batch.number, state: BatchState::Cancelled, words })
}

fn send_one(bureau: &mut Bureau, batch: &BatchLine, folder: &Path, order: &Order) -> Step<SendReport> {
    let bytes = archived(&bureau.config.state, batch)?;
    if transport::sha256(&bytes) != batch.sha256 {
        return refuse(format!("批次 {}：存档的扣款文件与批准时不同，未发送；请立即联系运维人员", batch.number));
    }
    let resumed = batch.state == BatchState::Sending;
    // A folder that is missing is no doubt about delivery: nothing is begun.
    Folder::open(folder)?;
    if !resumed {
        move_batch(bureau, batch, BatchEvent::Sending, "sending", None, order)?;
    }
    let control = batches::control(bureau.store.connection(), batch.number)?;
    match deliver(folder, &batch.file, &bytes, control.as_ref(), resumed) {
        Ok(Evidence::Seen(words)) => {
            move_batch(bureau, batch, BatchEvent::Delivered, "sent", None, order)?;
            Ok(SendReport { batch: batch.number, state: BatchState::Sent, words: words.to_owned() })
        }
        Ok(Evidence::None) => in_doubt(bureau, batch, "上次发送中断，没有送达的凭据".to_owned(), order),
        Err(transport::Error::Taken { .. } | transport::Error::Changed { .. }) => {
            in_doubt(bureau, batch, "银行目录中已有同名而内容不同的文件，未覆盖".to_owned(), order)
        }
        Err(error) => Err(StepError::Transport(error)),
    }
}

fn in_doubt(bureau: &mut Bureau, batch: &BatchLine, words: String, order: &Order) -> Step<SendReport> {
    let exception = delivery_exception(Class::DeliveryInDoubt, batch.number, words.clone());
    move_batch(bureau, batch, BatchEvent::InDoubt, "sent-unconfirmed", Some(exception), order)?;
    Ok(SendReport { batch: batch.number, state: BatchState::SentUnconfirmed, words })
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
    }
}

fn move_batch(
    bureau: &mut Bureau,
    batch: &BatchLine,
    event: BatchEvent,
    action: &'static str,
    exception: Option<NewException>,
    order: &Order,
) -> Step<()> {
    let act = order.act(action, batch.number.to_string(), batch.sha256);
    let changes = Changeset {
        batches: vec![(batch.number, event)],
        opened: exception.into_iter().collect(),
        ..Changeset::default()
    };
    Ok(bureau.store.transact(&act, |txn| txn.write(&changes, None, order.today()))?)
}

/// What shows that a file is at the bank.
enum Evidence {
    /// We saw it there, or saw the rename succeed.
    Seen(&'static str),
    /// Nothing does.
    None,
}

/// Data file first, control file last. A resumed delivery looks before it writes: never a blind second send.
fn deliver(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    control: Option<&(String, Vec<u8>)>,
    resumed: bool,
) -> Result<Evidence, transport::Error> {
    if resumed && !folder.join(name).exists() && !folder.join(format!(".{name}.tmp")).exists() {
        return Ok(Evidence::None);
    }
    let published = publish(folder, OsStr::new(name), bytes)?;
    if let Some((control, bytes)) = control {
        publish(folder, OsStr::new(control), bytes)?;
    }
    Ok(Evidence::Seen(match published {
        Published::ReadBack => "已按正式文件名回读核对",
        Published::AlreadyThere => "目录中已有摘要相同的同名文件",
        Published::TakenAway => "改为正式文件名后，回读前已被取走",
    }))
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
