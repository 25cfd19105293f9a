//! `instruct --retry`: chosen failures are asked again, by the class of their outcome, under new instruction numbers that
//! are linked to the old. What may have moved money (unknown, duplicate, unmapped) is never among them.

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, ask, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::daemon::instructing::{Round, RoundReport, debit_date, draft};
use crate::daemon::resolving::replan;
use crate::domain::calendar::Date;
use crate::domain::returns::Outcome;
use crate::pipeline::book::Changeset;
use crate::store::approvals::Approval;
use crate::store::statements::{Failure, failures};
use crate::store::{self, Applied, Txn, book};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// A request as it is kept until a checker says yes.
#[derive(Serialize, Deserialize)]
struct Asked {
    round: Round,
    people: usize,
}

/// The outcomes that a round names; one that may have moved money is refused.
fn outcomes(round: &Round) -> Step<Vec<Outcome>> {
    let mut found = Vec::new();
    for word in round.retry.iter().flatten() {
        match Outcome::parse(word) {
            Some(Outcome::Unknown | Outcome::Duplicate | Outcome::Unmapped | Outcome::Ok) => {
                return refuse(format!("{word} 不能重新扣款：款可能已扣，须先向银行查实"));
            }
            Some(outcome) => found.push(outcome),
            None => return refuse(format!("没有处理结果 {word}")),
        }
    }
    Ok(found)
}

/// Whom a round may ask, where it names outcomes: those whose newest instruction failed so.
pub fn participants(conn: &Connection, round: &Round) -> Step<Option<BTreeSet<i64>>> {
    if round.retry.is_none() {
        return Ok(None);
    }
    let chosen = failures(conn, round.fee_year, &outcomes(round)?)?;
    Ok(Some(chosen.into_iter().map(|failure| failure.participant.key()).collect()))
}

/// Drafts the round, or asks for another person's yes where failures wait for a clerk (R21).
pub fn retry(bureau: &mut Bureau, round: &Round, debit_on: Date, order: &Order) -> Step<RoundReport> {
    let chosen = failures(bureau.store.connection(), round.fee_year, &outcomes(round)?)?;
    let waiting: Vec<&Failure> = chosen.iter().filter(|failure| failure.exception.is_some()).collect();
    let request = request(round, &waiting);
    if !waiting.is_empty() && bureau.config.approvals.resolve == Needs::Second {
        ask(bureau, &request, order)?;
        return Ok(RoundReport { waits: Some(request.subject), ..RoundReport::default() });
    }
    if !waiting.is_empty() {
        let version = book::version(bureau.store.connection())?;
        let act = order.act("retry", request.subject.clone(), request.digest);
        let config = bureau.config.clone();
        let applied = bureau.store.apply(&act, version, |txn| {
            request.record(txn, order)?;
            free(txn, &config, round, &waiting, order)
        })?;
        if applied == Applied::Stale {
            return retry(bureau, round, debit_on, order);
        }
    }
    draft(bureau, round, debit_on, order)
}

/// The digest binds whom it is about.
fn request(round: &Round, waiting: &[&Failure]) -> Request {
    let asked = Asked { round: round.clone(), people: waiting.len() };
    let text = serde_json::to_string(&asked).expect("a round is plain text");
    let mut hash = Sha256::new_with_prefix(text.as_bytes());
    waiting.iter().for_each(|failure| hash.update(failure.instruction.to_be_bytes()));
    let classes = round.retry.as_ref().map(|words| words.join(",")).unwrap_or_default();
    let subject = format!("retry {} {classes}", round.fee_year);
    Request { kind: "retry", subject, request: text, digest: hash.finalize().into() }
}

/// What a yes would do.
pub fn asks(approval: &Approval) -> Step<String> {
    let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else { return unreadable() };
    let classes = asked.round.retry.unwrap_or_default().join("、");
    let debit_on = asked.round.debit_on.unwrap_or_else(|| "下一工作日".to_owned());
    Ok(format!("{} 年度对 {classes} 的 {} 人重新扣款，扣款日 {debit_on}", asked.round.fee_year, asked.people))
}

/// A checker said yes: they must still be the same failures.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else { return unreadable() };
    let round = asked.round;
    let version = book::version(bureau.store.connection())?;
    let debit_on = debit_date(bureau, &round, order)?;
    let chosen = failures(bureau.store.connection(), round.fee_year, &outcomes(&round)?)?;
    let waiting: Vec<&Failure> = chosen.iter().filter(|failure| failure.exception.is_some()).collect();
    if request(&round, &waiting).digest != approval.digest {
        return void(bureau, approval, order);
    }
    let act = order.act("retry", approval.subject.clone(), approval.digest);
    let config = bureau.config.clone();
    let applied = bureau.store.apply(&act, version, |txn| {
        txn.approve(approval.id, &order.actor)?;
        free(txn, &config, &round, &waiting, order)
    })?;
    if applied == Applied::Stale {
        return Err(store::Error::Stale.into());
    }
    let report = draft(bureau, &round, debit_on, order)?;
    Ok(format!("重新扣款：已起草 {} 个批次", report.batches.len()))
}

/// Failures that waited for a clerk wait no more; whatever else blocks them goes on doing so.
fn free(
    txn: &mut Txn<'_>,
    config: &crate::config::Config,
    round: &Round,
    waiting: &[&Failure],
    order: &Order,
) -> store::Result<()> {
    let closed = waiting.iter().filter_map(|failure| failure.exception).map(|id| (id, "重新扣款".to_owned()));
    let changes = Changeset { closed: closed.collect(), ..Changeset::default() };
    txn.write(&changes, None, order.today())?;
    waiting.iter().try_for_each(|failure| replan(txn, config, failure.participant, round.fee_year, order.today()))
}
