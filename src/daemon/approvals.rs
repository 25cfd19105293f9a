//! Maker and checker (R21): a step that needs another person is asked for, and carried out when that person says yes.

use crate::daemon::bureau::{Bureau, Order, Step, StepError, refuse};
use crate::daemon::{by_hand, closing, instructing, lists, planning, releasing, resolving};
use crate::domain::calendar::FeeYear;
use crate::domain::ids::BatchNumber;
use crate::store::approvals::{Approval, waiting_for};
use crate::store::{self, Applied, Result as StoreResult, Txn, book};

/// What is asked for. The kinds are the keys of `[approvals]`.
#[derive(Clone, Debug)]
pub struct Request {
    /// `plan`, `release`, `zero-payment`, `list-removals`, `resolve`, `delivery`, `close`, `without-lists`.
    pub kind: &'static str,
    /// Fee year, batch number, delivery, file or exception.
    pub subject: String,
    /// What the maker gave, to be carried out as it is.
    pub request: String,
    /// Digest of what was shown.
    pub digest: [u8; 32],
}

impl Request {
    /// Plans of a year.
    pub fn plan(fee_year: FeeYear, digest: [u8; 32]) -> Request {
        Request { kind: "plan", subject: fee_year.to_string(), request: String::new(), digest }
    }

    /// Asks within a transaction.
    pub fn ask(&self, txn: &Txn<'_>, order: &Order) -> StoreResult<()> {
        txn.ask(self.kind, &self.subject, &self.request, &self.digest, &order.actor, order.today())
    }

    /// Records within a transaction that nobody had to be asked.
    pub fn record(&self, txn: &Txn<'_>, order: &Order) -> StoreResult<()> {
        txn.record_unasked(self.kind, &self.subject, &self.request, &self.digest, &order.actor, order.today())
    }
}

/// Asks for an approval in a transaction of its own.
pub fn ask(bureau: &mut Bureau, request: &Request, order: &Order) -> Step<()> {
    let act = order.act("ask", format!("{} {}", request.kind, request.subject), request.digest);
    Ok(bureau.store.transact(&act, |txn| request.ask(txn, order))?)
}

/// Approves what waits under this number or for this subject, and carries it out. Gives the words for the checker.
pub fn approve(bureau: &mut Bureau, id: &str, order: &Order) -> Step<String> {
    loop {
        let approval = waiting_one(bureau, id)?;
        if approval.maker == order.actor {
            return refuse(format!(
                "{} asked for this and cannot approve it: another person must (R21)",
                approval.maker
            ));
        }
        match carry_out(bureau, &approval, order) {
            // The book moved, or somebody else approved meanwhile: look again.
            Err(StepError::Store(store::Error::Stale)) => continue,
            done => return done,
        }
    }
}

/// The one request that a text means; a text that may mean several is refused.
fn waiting_one(bureau: &Bureau, id: &str) -> Step<Approval> {
    let mut found = waiting_for(bureau.store.connection(), id)?;
    match (found.pop(), found.is_empty()) {
        (Some(approval), true) => Ok(approval),
        (Some(last), false) => {
            let subjects: Vec<String> =
                found.iter().chain([&last]).map(|request| format!("\"{}\"", request.subject)).collect();
            refuse(format!("{id} may mean {}: say which", subjects.join(" or ")))
        }
        (None, _) => refuse(format!("nothing waits under {id}: `daikou status` shows what does")),
    }
}

fn carry_out(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    match approval.kind.as_str() {
        "plan" => approve_plan(bureau, approval, order),
        "release" => releasing::approve_release(bureau, approval, order),
        "zero-payment" => releasing::approve_zero(bureau, approval, order),
        "list-removals" => lists::approve_removals(bureau, approval, order),
        "delivery" => by_hand::approve(bureau, approval, order),
        "close" => closing::approve(bureau, approval, order),
        "resolve" => resolving::approve(bureau, approval, order),
        "without-lists" => instructing::approve_without_lists(bureau, approval, order),
        other => refuse(format!("{other} is not known to this program")),
    }
}

fn approve_plan(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Ok(fee_year) = approval.subject.parse::<FeeYear>() else { return refuse("the request names no fee year") };
    let version = book::version(bureau.store.connection())?;
    let (_, digest) = planning::rehearse(bureau, fee_year, order.today())?;
    if digest != approval.digest {
        return void(bureau, approval, order);
    }
    let act = order.act("approve", format!("plan {fee_year}"), digest);
    if bureau.store.apply(&act, version, |txn| txn.approve(approval.id, &order.actor))? == Applied::Stale {
        return Err(store::Error::Stale.into());
    }
    let report = planning::carry_out(bureau, fee_year, order, &mut |_| {})?;
    Ok(format!("planned {fee_year}: {} plans, {} refused", report.plans, report.refused))
}

/// What was shown is not what is there now: the approval binds nothing.
pub fn void<T>(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<T> {
    let act = order.act("void", format!("{} {}", approval.kind, approval.subject), approval.digest);
    bureau.store.transact(&act, |txn| txn.void(&approval.kind, &approval.subject))?;
    refuse(format!(
        "{} {} has changed since it was shown: the request is void, ask again",
        approval.kind, approval.subject
    ))
}

/// The batch that an approval is about.
pub fn batch_of(approval: &Approval) -> Step<BatchNumber> {
    match BatchNumber::parse(&approval.subject) {
        Some(number) => Ok(number),
        None => refuse("the request names no batch"),
    }
}
