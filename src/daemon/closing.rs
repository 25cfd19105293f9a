//! `close`: a month of the ledger is closed; what is booked into it later goes to the first open month (R11).

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, ask};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::domain::calendar::Month;
use crate::store::approvals::Approval;
use crate::store::{balance, book};
use sha2::{Digest, Sha256};

/// Closes a month, or asks for another person's yes.
pub fn close(bureau: &mut Bureau, month: Month, order: &Order) -> Step<String> {
    if month >= Month::of(order.today()) {
        return refuse(format!("{month} is not over: only past months are closed"));
    }
    if book::closed_months(bureau.store.connection())?.contains(&month) {
        return refuse(format!("{month} is closed already"));
    }
    let request = Request { kind: "close", subject: month.to_string(), request: String::new(), digest: shown(bureau)? };
    if bureau.config.approvals.close == Needs::Second {
        ask(bureau, &request, order)?;
        return Ok(format!("closing {month} waits for another person"));
    }
    let act = order.act("close", month.to_string(), request.digest);
    bureau.store.transact(&act, |txn| {
        request.record(txn, order)?;
        txn.close_month(month, order.today())
    })?;
    Ok(format!("{month} is closed"))
}

/// A checker approved the closing: the balances must still be those that were shown.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Some(month) = Month::parse(&approval.subject) else { return refuse("the request names no month") };
    if shown(bureau)? != approval.digest {
        return crate::daemon::approvals::void(bureau, approval, order);
    }
    let act = order.act("close", month.to_string(), approval.digest);
    bureau.store.transact(&act, |txn| {
        txn.approve(approval.id, &order.actor)?;
        txn.close_month(month, order.today())
    })?;
    Ok(format!("{month} is closed"))
}

/// Digest of the balances: what is closed.
fn shown(bureau: &Bureau) -> Step<[u8; 32]> {
    let mut hash = Sha256::new();
    for (account, (debit, credit)) in balance::balances(bureau.store.connection())? {
        hash.update(format!("{account} {debit} {credit}\n"));
    }
    Ok(hash.finalize().into())
}
