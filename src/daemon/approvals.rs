//! Maker and checker (R21): a step that needs another person is asked for, and carried out when that person says yes.

use crate::daemon::bureau::{Bureau, Order, Step, StepError, refuse};
use crate::daemon::receipts::flush_outbox;
use crate::daemon::{
    by_hand, closing, correcting, fixing, instructing, lists, planning, releasing, resolving, retrying, settling,
};
use crate::domain::ids::{BatchNumber, fold_name};
use crate::store::approvals::{Approval, waiting as stored};
use crate::store::{self, Result as StoreResult, Txn};

/// What is asked for. The kinds are the keys of `[approvals]`.
#[derive(Clone, Debug)]
pub struct Request {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// Fee year, batch number, delivery, file or exception.
    pub subject: String,
    /// What the maker gave, to be carried out as it is.
    pub request: String,
    /// Digest of what was shown.
    pub digest: [u8; 32],
}

/// Kinds of requests with the words for clerks.
pub const KINDS: [(&str, &str); 13] = [
    ("plan", "缴费计划"),
    ("release", "批次放行"),
    ("zero-payment", "零自付"),
    ("list", "名单生效"),
    ("list-removals", "名单移出"),
    ("resolve", "例外处理"),
    ("delivery", "人工送达"),
    ("settlement", "清算"),
    ("close", "月度关账"),
    ("without-lists", "缺名单扣款"),
    ("correct", "记账更正"),
    ("fix", "资料更正"),
    ("retry", "重新扣款"),
];

impl Request {
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

/// A request as the checker sees it.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// As it is stored.
    pub approval: Approval,
    /// What a yes would do, for the checker.
    pub asks: String,
    /// What `approve` takes for it and for nothing else that waits.
    pub name: String,
}

/// What waits, oldest first.
pub fn waiting(bureau: &Bureau) -> Step<Vec<Waiting>> {
    let all = stored(bureau.store.connection())?;
    let shown = all.iter().map(|approval| {
        // What cannot be worded is shown all the same, with the reason.
        let asks = asks(bureau, approval).or_else(|error| match error {
            StepError::Refused(words) => Ok(words),
            error => Err(error),
        })?;
        Ok(Waiting { approval: approval.clone(), asks, name: name_of(approval, &all) })
    });
    shown.collect()
}

/// The subject, which stays the same while others come and go; with its kind where two requests have the same.
fn name_of(approval: &Approval, all: &[Approval]) -> String {
    let is_only = all.iter().filter(|other| other.is_meant_by(&approval.subject)).count() == 1;
    if is_only { approval.subject.clone() } else { format!("{} {}", approval.kind, approval.subject) }
}

/// The command that says yes to what has this name or subject.
pub fn approve_command(name: &str) -> String {
    let quote = if name.contains(' ') { "\"" } else { "" };
    format!("daikou approve {quote}{name}{quote}")
}

fn asks(bureau: &Bureau, approval: &Approval) -> Step<String> {
    match approval.kind.as_str() {
        "plan" => planning::asks(approval),
        "release" | "zero-payment" => releasing::asks(bureau, approval),
        "list" => lists::waiting::asks_version(approval),
        "list-removals" => lists::waiting::asks(approval),
        "delivery" => by_hand::asks(bureau, approval),
        "settlement" => settling::asks(approval),
        "close" => closing::asks(approval),
        "resolve" => resolving::asks(bureau, approval),
        "without-lists" => instructing::asks(bureau, approval),
        "correct" => correcting::asks(bureau, approval),
        "fix" => fixing::asks(bureau, approval),
        "retry" => retrying::asks(approval),
        other => Ok(other.to_owned()),
    }
}

/// `Maker` is nobody else than `maker`, in wide letters either.
fn is_same_person(one: &str, other: &str) -> bool {
    fold_name(one).to_lowercase() == fold_name(other).to_lowercase()
}

/// Approves what waits under this number or for this subject, and carries it out. Gives the words for the checker.
pub fn approve(bureau: &mut Bureau, id: &str, order: &Order) -> Step<String> {
    // What an earlier yes was to publish, if it died of something: then nothing waits, and the same command is repeated.
    flush_outbox(bureau)?;
    settling::note_sent(bureau, order)?;
    loop {
        let approval = waiting_one(bureau, id)?;
        if is_same_person(&approval.maker, &order.actor) {
            return refuse(format!("“{}”由 {} 提交，须由另一人批准（R21）", approval.subject, approval.maker));
        }
        match carry_out(bureau, &approval, order) {
            // The book moved, or somebody else approved meanwhile: look again.
            Err(StepError::Store(store::Error::Stale)) => continue,
            Ok(words) => {
                if approval.kind != "settlement" {
                    settling::follow(bureau, order)?;
                }
                return Ok(words);
            }
            failed => return failed,
        }
    }
}

/// The one request that a text means; a text that may mean several is refused.
fn waiting_one(bureau: &Bureau, id: &str) -> Step<Approval> {
    let all = stored(bureau.store.connection())?;
    let mut found: Vec<&Approval> = all.iter().filter(|approval| approval.is_meant_by(id)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(approval), true) => Ok(approval.clone()),
        (Some(last), false) => {
            let names = found.into_iter().chain([last]).map(|approval| format!("“{}”", name_of(approval, &all)));
            refuse(format!("{id} 可能指 {}：请写明是哪一项", names.collect::<Vec<_>>().join("、")))
        }
        (None, _) => refuse(format!("没有名为“{id}”的待批准事项，见 daikou status")),
    }
}

fn carry_out(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    match approval.kind.as_str() {
        "plan" => planning::approve(bureau, approval, order),
        "release" => releasing::approve_release(bureau, approval, order),
        "zero-payment" => releasing::approve_zero(bureau, approval, order),
        "list" => lists::waiting::approve_version(bureau, approval, order),
        "list-removals" => lists::waiting::approve_removals(bureau, approval, order),
        "delivery" => by_hand::approve(bureau, approval, order),
        "settlement" => settling::approve(bureau, approval, order),
        "close" => closing::approve(bureau, approval, order),
        "resolve" => resolving::approve(bureau, approval, order),
        "without-lists" => instructing::approve_without_lists(bureau, approval, order),
        "correct" => correcting::approve(bureau, approval, order),
        "fix" => fixing::approve(bureau, approval, order),
        "retry" => retrying::approve(bureau, approval, order),
        other => refuse(format!("本程序不认识“{other}”这类请求")),
    }
}

/// What was shown is not what is there now: the approval binds nothing.
pub fn void<T>(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<T> {
    let act = order.act("void", format!("{} {}", approval.kind, approval.subject), approval.digest);
    bureau.store.transact(&act, |txn| txn.void(&approval.kind, &approval.subject))?;
    refuse(format!("“{}”在提交之后有变化，该请求已作废 void：请重新提交", approval.subject))
}

/// A request of ours that this program cannot read: another program wrote it.
pub fn unreadable<T>() -> Step<T> {
    refuse("无法读取该请求的内容：请重新提交")
}

/// The batch that an approval is about.
pub fn batch_of(approval: &Approval) -> Step<BatchNumber> {
    BatchNumber::parse(&approval.subject).map_or_else(unreadable, Ok)
}
