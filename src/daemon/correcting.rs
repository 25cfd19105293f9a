//! `correct posting`: what was posted was wrong, or the bank took it back; with maker and checker (R21).

use crate::config::{Approval as Needs, Config};
use crate::daemon::approvals::{Request, approve_command, ask, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::daemon::resolving::{matter_of, replan};
use crate::daemon::settling;
use crate::domain::calendar::{Date, parse_date};
use crate::domain::ledger::Event;
use crate::domain::plan::PlanState;
use crate::pipeline::book::Changeset;
use crate::pipeline::correcting::{Fault, Wrong, correct as right};
use crate::pipeline::resolving::{Decision, Resolution, check_day_on, reverse};
use crate::store::approvals::Approval;
use crate::store::exceptions::{self, Affair};
use crate::store::payouts;
use crate::store::{self, Applied, Txn, book};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The word of `--as-class` for money that the bank took back, or that never came.
pub const REVERSE: &str = "reverse";

/// What a clerk asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Key of the posting.
    pub posting: String,
    /// A word of [`Fault`], or [`REVERSE`].
    pub fault: String,
    /// The bank's booking date of a reversal.
    pub booked_on: Option<String>,
    /// Paper that proves it.
    pub evidence: String,
    /// Why.
    pub reason: String,
}

/// Corrects a posting, or asks for another person's yes. Gives the words for the clerk.
pub fn correct(bureau: &mut Bureau, asked: &Asked, order: &Order) -> Step<String> {
    if asked.reason.trim().is_empty() || asked.evidence.trim().is_empty() {
        return refuse("请用 --reason 写明理由、--evidence 写明凭据编号，供审计查阅");
    }
    loop {
        let version = book::version(bureau.store.connection())?;
        let (affair, changes) = rehearse(&bureau.config, bureau.store.connection(), asked, order.today())?;
        let request = request(asked, &changes);
        if bureau.config.approvals.resolve == Needs::Second {
            ask(bureau, &request, order)?;
            let command = approve_command(&request.subject);
            return Ok(format!("{} 的更正已提交，待另一人批准：{command}", asked.posting));
        }
        let act = order.act("correct", request.subject.clone(), request.digest);
        let config = &bureau.config;
        let applied = bureau.store.apply(&act, version, |txn| {
            request.record(txn, order)?;
            write(txn, config, &affair, &changes, order)
        })?;
        if applied == Applied::New {
            settling::follow(bureau, order)?;
            return Ok(done(asked));
        }
    }
}

fn done(asked: &Asked) -> String {
    format!("{} 已更正：{}", asked.posting, fault_zh(&asked.fault))
}

fn fault_zh(word: &str) -> String {
    let chinese = Fault::parse(word).map_or("冲正", Fault::chinese);
    format!("{chinese} {word}")
}

/// What a yes to a correction would do.
pub fn asks(bureau: &Bureau, approval: &Approval) -> Step<String> {
    let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else { return unreadable() };
    let (_, changes) = rehearse(&bureau.config, bureau.store.connection(), &asked, approval.made_on)?;
    Ok(format!(
        "更正 {}（{}）：{}；凭据 {}；理由：{}",
        asked.posting,
        fault_zh(&asked.fault),
        entries(&changes),
        asked.evidence,
        asked.reason
    ))
}

/// The entries, for the checker.
fn entries(changes: &Changeset) -> String {
    let entries = changes.postings.iter().flat_map(|new| new.posting.entries.iter());
    let words = entries.map(|entry| format!("借 {} 贷 {} {} 元", entry.debit(), entry.credit(), entry.amount()));
    words.collect::<Vec<_>>().join("，")
}

/// A checker approved a correction: it must still be the same one.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else { return unreadable() };
    let version = book::version(bureau.store.connection())?;
    let (affair, changes) = match rehearse(&bureau.config, bureau.store.connection(), &asked, order.today()) {
        Ok(found) if request(&asked, &found.1).digest == approval.digest => found,
        Ok(_) | Err(crate::daemon::bureau::StepError::Refused(_)) => return void(bureau, approval, order),
        Err(error) => return Err(error),
    };
    let act = order.act("correct", approval.subject.clone(), approval.digest);
    let config = &bureau.config;
    let applied = bureau.store.apply(&act, version, |txn| {
        txn.approve(approval.id, &order.actor)?;
        write(txn, config, &affair, &changes, order)
    })?;
    match applied {
        Applied::New => Ok(done(&asked)),
        Applied::Stale => Err(store::Error::Stale.into()),
    }
}

/// The digest binds the request and the entries that were shown.
fn request(asked: &Asked, changes: &Changeset) -> Request {
    let text = serde_json::to_string(asked).expect("a request is plain text");
    let keys = changes.postings.iter().map(|new| new.posting.key.to_string()).collect::<Vec<_>>().join(" ");
    let digest = Sha256::digest(format!("{text} {keys} {}", entries(changes))).into();
    Request { kind: "correct", subject: format!("posting {}", asked.posting), request: text, digest }
}

fn rehearse(config: &Config, conn: &Connection, asked: &Asked, today: Date) -> Step<(Affair, Changeset)> {
    let affair = affair(conn, &asked.posting)?;
    let closed = book::closed_months(conn)?;
    let Some(fault) = Fault::parse(&asked.fault) else {
        let resolution = Resolution {
            decision: Decision::Reverse,
            booked_on: asked.booked_on.as_deref().and_then(parse_date),
            amount: None,
            reason: asked.reason.clone(),
        };
        let mut changes = Changeset::default();
        let matter = matter_of(config, &affair, &closed);
        check_day_on(&matter, &resolution, today).or_else(refuse)?;
        reverse(&matter, &resolution, today, &mut changes).or_else(refuse)?;
        return Ok((affair, changes));
    };
    let Some(dossier) = &affair.dossier else { return refuse("该记账没有对应到某人") };
    let Some(policy) = config.policies.of(dossier.fee_year) else {
        return crate::daemon::bureau::no_policy(dossier.fee_year);
    };
    let id = exceptions::posting_by_key(conn, &asked.posting)?.unwrap_or_default();
    let Some(tier) = exceptions::tier_of(conn, id)? else {
        return refuse("找不到该记账所依据的缴费计划");
    };
    let corrections = &affair.corrections;
    let owed = payouts::standing(conn, dossier.id, dossier.fee_year)?;
    let wrong = Wrong { posting: &affair.posting, corrections, dossier, policy, tier, owed, closed: &closed };
    let changes = right(&wrong, fault, &asked.reason, today).or_else(refuse)?;
    let was_ex_post = dossier.plan.as_ref().is_some_and(|plan| plan.state == PlanState::ExPost);
    if was_ex_post && exceptions::is_ex_post_paid(conn, dossier.id, dossier.fee_year)? {
        return refuse("事后补助已发放：请部门先追回并报送，再更正");
    }
    Ok((affair, changes))
}

/// The posting that stands under this key.
fn affair(conn: &Connection, key: &str) -> Step<Affair> {
    let found = exceptions::posting_by_key(conn, key)?.map(|id| exceptions::affair(conn, id)).transpose()?.flatten();
    match found {
        None => refuse(format!("没有记账 {key}，见 daikou export entries")),
        Some(affair) if affair.is_undone => refuse(format!("{key} 已冲正，不能再更正")),
        Some(affair) if matches!(affair.posting.event, Event::Reversal | Event::Correction) => {
            refuse(format!("{key} 本身是冲正或更正：请写明原记账"))
        }
        Some(affair)
            if !matches!(affair.posting.event, Event::SelfPayment | Event::ZeroPayment | Event::SuspensePosted) =>
        {
            refuse(format!("{key} 是{}，不能更正：请处理其例外", affair.posting.event.chinese()))
        }
        Some(affair) => Ok(affair),
    }
}

fn write(txn: &mut Txn<'_>, config: &Config, affair: &Affair, changes: &Changeset, order: &Order) -> store::Result<()> {
    txn.write(changes, None, order.today())?;
    match &affair.dossier {
        Some(dossier) => replan(txn, config, dossier.id, dossier.fee_year, order.today()),
        None => Ok(()),
    }
}
