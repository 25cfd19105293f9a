//! `deliver --by-hand`: a batch that operators carried to the bank by another way. It must be known here before the
//! daemon sends it a second time, so it is said with the digest of the very bytes, and another person says yes (R21).

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, approve_command, batch_of, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::daemon::releasing::delivery_exception;
use crate::domain::delivery::Stage;
use crate::domain::exception::Class;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::{BatchEvent, BatchState};
use crate::pipeline::book::{BatchLine, Changeset};
use crate::store::approvals::Approval;
use crate::store::{self, Applied, Txn, batches, book};
use crate::transport::hex;

/// Characters of the digest that must be given at least: what `instruct` shows.
const LEAST_DIGEST: usize = 16;

/// Notes a delivery by hand, or asks for another person's yes. Gives the words for the operator.
pub fn deliver_by_hand(
    bureau: &mut Bureau,
    number: BatchNumber,
    digest: &str,
    reason: &str,
    order: &Order,
) -> Step<String> {
    if reason.trim().is_empty() {
        return refuse("须用 --reason 说明由谁、以何方式送达、银行何人签收，供审计查阅");
    }
    loop {
        let version = book::version(bureau.store.connection())?;
        let batch = waiting_batch(bureau, number)?;
        let given = digest.trim().to_ascii_lowercase();
        if given.len() < LEAST_DIGEST || !hex(&batch.sha256).starts_with(&given) {
            return refuse(format!(
                "批次 {number} 的 SHA-256 以 {} 开头，与所给的不符：送去的是这个文件吗？",
                &hex(&batch.sha256)[..LEAST_DIGEST]
            ));
        }
        let request = request(&batch, reason);
        if bureau.config.approvals.resolve == Needs::Second {
            if claim(bureau, version, &batch, &request, order)? == Applied::Stale {
                continue;
            }
            return Ok(format!("等待另一人批准：{}", approve_command(&request.subject)));
        }
        let has_control = batches::control(bureau.store.connection(), number)?.is_some();
        let act = order.act("deliver-by-hand", number.to_string(), batch.sha256);
        let applied = bureau.store.apply(&act, version, |txn| {
            request.record(txn, order)?;
            write(txn, &batch, has_control, reason, order)
        })?;
        if applied == Applied::New {
            return Ok(format!("批次 {number} 已记为已发送 sent（人工送达）"));
        }
    }
}

/// Asks for the second yes. From now on the batch may be at the bank, so it is `sent-unconfirmed`: neither sent nor
/// withdrawn nor asked again, whatever the checker says and however late. Only a person ends that doubt.
fn claim(bureau: &mut Bureau, version: u64, batch: &BatchLine, request: &Request, order: &Order) -> Step<Applied> {
    let begins = (batch.state == BatchState::Released).then_some(BatchEvent::Sending);
    let doubted = (batch.state != BatchState::SentUnconfirmed).then_some(BatchEvent::InDoubt);
    let reason = "经办称已人工送达，等待另一人批准".to_owned();
    let exception = doubted.map(|_| delivery_exception(Class::DeliveryInDoubt, batch.number, reason));
    let changes = Changeset {
        batches: begins.into_iter().chain(doubted).map(|event| (batch.number, event)).collect(),
        opened: exception.into_iter().collect(),
        ..Changeset::default()
    };
    let act = order.act("ask", format!("{} {}", request.kind, request.subject), request.digest);
    Ok(bureau.store.apply(&act, version, |txn| {
        request.ask(txn, order)?;
        txn.write(&changes, None, order.today())
    })?)
}

/// What a yes would do, for the checker.
pub fn asks(bureau: &Bureau, approval: &Approval) -> Step<String> {
    let batch = waiting_batch(bureau, batch_of(approval)?)?;
    let digest = &hex(&approval.digest)[..LEAST_DIGEST];
    Ok(format!(
        "记为已送达，系统不再发送：{} 笔，{} 元，文件 SHA-256 {digest}；{}",
        batch.count, batch.amount, approval.request
    ))
}

/// A checker said yes: it must still be the same batch, not sent or answered meanwhile.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let number = batch_of(approval)?;
    let version = book::version(bureau.store.connection())?;
    let batch = match waiting_batch(bureau, number) {
        Ok(batch) if batch.sha256 == approval.digest => batch,
        _ => return void(bureau, approval, order),
    };
    let has_control = batches::control(bureau.store.connection(), number)?.is_some();
    let act = order.act("deliver-by-hand", number.to_string(), batch.sha256);
    let applied = bureau.store.apply(&act, version, |txn| {
        txn.approve(approval.id, &order.actor)?;
        write(txn, &batch, has_control, &approval.request, order)
    })?;
    match applied {
        Applied::New => Ok(format!("批次 {number} 已记为已发送 sent（人工送达）")),
        Applied::Stale => Err(store::Error::Stale.into()),
    }
}

fn request(batch: &BatchLine, reason: &str) -> Request {
    Request { kind: "delivery", subject: batch.number.to_string(), request: reason.to_owned(), digest: batch.sha256 }
}

fn waiting_batch(bureau: &Bureau, number: BatchNumber) -> Step<BatchLine> {
    use BatchState::{Released, Sending, SentUnconfirmed};
    match book::batch(bureau.store.connection(), number)? {
        None => refuse(format!("没有批次 {number}")),
        Some((_, batch)) if batch.bank.is_none() => refuse(format!("批次 {number} 不发往银行")),
        Some((_, batch)) if matches!(batch.state, Released | Sending | SentUnconfirmed) => Ok(batch),
        Some((_, batch)) => refuse(format!(
            "批次 {number} 是 {}：只有 released、sending、sent-unconfirmed 的批次可以记为人工送达",
            batch.state.word()
        )),
    }
}

fn write(txn: &mut Txn<'_>, batch: &BatchLine, control: bool, reason: &str, order: &Order) -> store::Result<()> {
    let changes = Changeset { batches: vec![(batch.number, BatchEvent::Delivered)], ..Changeset::default() };
    txn.write(&changes, None, order.today())?;
    txn.end_delivery_doubts(batch.number, "已人工送达")?;
    for part in 0..=usize::from(control) {
        txn.stage(batch.number, part, Stage::Delivered, &format!("人工送达：{}", reason.trim()))?;
    }
    Ok(())
}
