//! `close`: a month of the ledger is closed; what is booked into it later goes to the first open month (R11).

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, approve_command, ask, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::domain::calendar::Month;
use crate::domain::ledger::Account;
use crate::domain::money::Money;
use crate::store::approvals::Approval;
use crate::store::balance::{self, Balances};
use crate::store::{self, Applied, book};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Closes a month, or asks for another person's yes.
pub fn close(bureau: &mut Bureau, month: Month, order: &Order) -> Step<String> {
    if month >= Month::of(order.today()) {
        return refuse(format!("{month} 还没有结束：只能关闭过去的月份"));
    }
    if book::closed_months(bureau.store.connection())?.contains(&month) {
        return refuse(format!("{month} 已经关账"));
    }
    let moved = book_of(bureau, month)?;
    let request = serde_json::to_string(&Sums::of(&moved)).expect("a request is plain text");
    let request = Request { kind: "close", subject: month.to_string(), request, digest: digest(&moved) };
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

/// What the maker saw, for the checker: the digest binds the month's sums by account.
#[derive(Serialize, Deserialize)]
struct Sums {
    postings: u64,
    collection: String,
    deemed: String,
}

impl Sums {
    fn of((postings, balances): &MonthBook) -> Sums {
        let moved = |account| balances.get(&account).map_or(Money::ZERO, |(debit, credit)| *debit - *credit);
        Sums {
            postings: *postings,
            collection: moved(Account::Collection).to_string(),
            deemed: (Money::ZERO - moved(Account::PersonalGovernment)).to_string(),
        }
    }
}

/// What a yes to the closing would do.
pub fn asks(approval: &Approval) -> Step<String> {
    let Ok(sums) = serde_json::from_str::<Sums>(&approval.request) else { return unreadable() };
    Ok(format!(
        "关闭 {} 的账：记账 {} 笔，征缴户增加 {} 元，视同实收 {} 元；此后到的该月款项记入其后第一个未关账的月份（R11）",
        approval.subject, sums.postings, sums.collection, sums.deemed
    ))
}

/// A checker approved the closing: the month must still be as it was shown.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Some(month) = Month::parse(&approval.subject) else { return unreadable() };
    let version = book::version(bureau.store.connection())?;
    if digest(&book_of(bureau, month)?) != approval.digest {
        return void(bureau, approval, order);
    }
    let act = order.act("close", month.to_string(), approval.digest);
    let applied = bureau.store.apply(&act, version, |txn| {
        txn.approve(approval.id, &order.actor)?;
        txn.close_month(month, order.today())
    })?;
    if applied == Applied::Stale {
        return Err(store::Error::Stale.into());
    }
    Ok(format!("{month} 已关账"))
}

/// How many postings a month has, and what they moved on each account.
type MonthBook = (u64, Balances);

/// The month and no other: what is booked meanwhile into later ones does not touch what was shown.
fn book_of(bureau: &Bureau, month: Month) -> Step<MonthBook> {
    Ok(balance::of_month(bureau.store.connection(), month)?)
}

fn digest((postings, balances): &MonthBook) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(format!("{postings}\n"));
    for (account, (debit, credit)) in balances {
        hash.update(format!("{account} {debit} {credit}\n"));
    }
    hash.finalize().into()
}
