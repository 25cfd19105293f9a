//! `close`: a month of the ledger is closed; what is booked into it later goes to the first open month (R11).

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, approve_command, ask, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::domain::calendar::Month;
use crate::store::approvals::Approval;
use crate::store::{balance, book};
use sha2::{Digest, Sha256};

/// Closes a month, or asks for another person's yes.
pub fn close(bureau: &mut Bureau, month: Month, order: &Order) -> Step<String> {
    if month >= Month::of(order.today()) {
        return refuse(format!("{month} 还没有结束：只能关闭过去的月份"));
    }
    if book::closed_months(bureau.store.connection())?.contains(&month) {
        return refuse(format!("{month} 已经关账"));
    }
    let request = Request { kind: "close", subject: month.to_string(), request: String::new(), digest: shown(bureau)? };
    if bureau.config.approvals.close == Needs::Second {
        ask(bureau, &request, order)?;
        return Ok(format!("{month} 关账已提交，待另一人批准：{}", approve_command(&request.subject)));
    }
    let act = order.act("close", month.to_string(), request.digest);
    bureau.store.transact(&act, |txn| {
        request.record(txn, order)?;
        txn.close_month(month, order.today())
    })?;
    Ok(format!("{month} 已关账"))
}

/// What a yes to the closing would do.
pub fn asks(approval: &Approval) -> String {
    format!("关闭 {} 的账：此后到的该月款项，记入其后第一个未关账的月份（R11）", approval.subject)
}

/// A checker approved the closing: the balances must still be those that were shown.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Some(month) = Month::parse(&approval.subject) else { return unreadable() };
    if shown(bureau)? != approval.digest {
        return void(bureau, approval, order);
    }
    let act = order.act("close", month.to_string(), approval.digest);
    bureau.store.transact(&act, |txn| {
        txn.approve(approval.id, &order.actor)?;
        txn.close_month(month, order.today())
    })?;
    Ok(format!("{month} 已关账"))
}

/// Digest of the balances: what is closed.
fn shown(bureau: &Bureau) -> Step<[u8; 32]> {
    let mut hash = Sha256::new();
    for (account, (debit, credit)) in balance::balances(bureau.store.connection())? {
        hash.update(format!("{account} {debit} {credit}\n"));
    }
    Ok(hash.finalize().into())
}
