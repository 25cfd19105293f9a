//! `deliver --by-hand`: a batch that operators carried to the bank by another way. It must be known here before the
//! daemon sends it a second time, so it is said with the digest of the very bytes, and another person says yes (R21).

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, ask, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::domain::delivery::Stage;
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
        return refuse("--reason is needed: who carried it, how, and who took it; an auditor will read it");
    }
    loop {
        let version = book::version(bureau.store.connection())?;
        let batch = waiting_batch(bureau, number)?;
        let given = digest.trim().to_ascii_lowercase();
        if given.len() < LEAST_DIGEST || !hex(&batch.sha256).starts_with(&given) {
            return refuse(format!(
                "batch {number}: its SHA-256 begins with {}, not with what was given: was it this file that was carried?",
                &hex(&batch.sha256)[..LEAST_DIGEST]
            ));
        }
        let request = request(&batch, reason);
        if bureau.config.approvals.resolve == Needs::Second {
            ask(bureau, &request, order)?;
            return Ok(format!("waits for another person: approve \"{}\"", request.subject));
        }
        let has_control = batches::control(bureau.store.connection(), number)?.is_some();
        let act = order.act("deliver-by-hand", number.to_string(), batch.sha256);
        let applied = bureau.store.apply(&act, version, |txn| {
            request.record(txn, order)?;
            write(txn, &batch, has_control, reason, order)
        })?;
        if applied == Applied::New {
            return Ok(format!("batch {number} is sent: by hand"));
        }
    }
}

/// A checker said yes: it must still be the same batch, not sent or answered meanwhile.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Some(number) = approval.subject.strip_prefix(SUBJECT).and_then(BatchNumber::parse) else {
        return refuse("the request names no batch");
    };
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
        Applied::New => Ok(format!("batch {number} is sent: by hand")),
        Applied::Stale => Err(store::Error::Stale.into()),
    }
}

const SUBJECT: &str = "delivery ";

fn request(batch: &BatchLine, reason: &str) -> Request {
    Request {
        kind: "delivery",
        subject: format!("{SUBJECT}{}", batch.number),
        request: reason.to_owned(),
        digest: batch.sha256,
    }
}

fn waiting_batch(bureau: &Bureau, number: BatchNumber) -> Step<BatchLine> {
    use BatchState::{Released, Sending, SentUnconfirmed};
    match book::batch(bureau.store.connection(), number)? {
        None => refuse(format!("batch {number} is not known")),
        Some((_, batch)) if batch.bank.is_none() => refuse(format!("batch {number} goes to no bank")),
        Some((_, batch)) if matches!(batch.state, Released | Sending | SentUnconfirmed) => Ok(batch),
        Some((_, batch)) => refuse(format!(
            "batch {number} is {}: only what is released, sending or sent-unconfirmed can have been carried by hand",
            batch.state.word()
        )),
    }
}

fn write(txn: &mut Txn<'_>, batch: &BatchLine, control: bool, reason: &str, order: &Order) -> store::Result<()> {
    let changes = Changeset { batches: vec![(batch.number, BatchEvent::Delivered)], ..Changeset::default() };
    txn.write(&changes, None, order.today())?;
    txn.end_delivery_doubts(batch.number, "carried by hand")?;
    for part in 0..=usize::from(control) {
        txn.stage(batch.number, part, Stage::Delivered, &format!("by hand: {}", reason.trim()))?;
    }
    Ok(())
}
