//! `resolve`: a clerk's decision on an exception, with maker and checker (R21).

use crate::config::Approval as Needs;
use crate::config::Config;
use crate::daemon::approvals::{Request, approve_command, ask, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::daemon::settling;
use crate::domain::calendar::{Date, FeeYear, Month, parse_date};
use crate::domain::exception::Class;
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::pipeline::book::{Changeset, Dossier};
use crate::pipeline::planning;
use crate::pipeline::resolving::{Decision, Matter, Resolution, check_day_on, resolve as decide};
use crate::pipeline::ways::{Way, ways};
use crate::store::approvals::Approval;
use crate::store::exceptions::{Affair, StoredException, read};
use crate::store::{self, Applied, Txn, book};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// A request as it is kept until a checker says yes.
#[derive(Serialize, Deserialize)]
struct Asked {
    exception: i64,
    decision: String,
    booked_on: Option<String>,
    amount: Option<String>,
    reason: String,
}

/// Decides on an exception, or asks for another person's yes. Gives the words for the clerk.
pub fn resolve(bureau: &mut Bureau, id: i64, resolution: &Resolution, order: &Order) -> Step<String> {
    if resolution.reason.trim().is_empty() {
        return refuse("请用 --reason 写明理由，供审计查阅");
    }
    loop {
        let version = book::version(bureau.store.connection())?;
        let exception = open_exception(bureau.store.connection(), id)?;
        let changes = rehearse(&bureau.config, bureau.store.connection(), &exception, resolution, order.today())?;
        let request = request(&exception, resolution);
        if bureau.config.approvals.resolve == Needs::Second {
            ask(bureau, &request, order)?;
            let command = approve_command(&request.subject);
            return Ok(format!("例外 {id} 的处理已提交，待另一人批准：{command}"));
        }
        let act = order.act("resolve", request.subject.clone(), request.digest);
        let config = &bureau.config;
        let applied = bureau.store.apply(&act, version, |txn| {
            request.record(txn, order)?;
            write(txn, config, &exception, &changes, resolution, order.today())
        })?;
        if applied == Applied::New {
            settling::follow(bureau, order)?;
            return Ok(resolved(id, resolution.decision, &changes));
        }
    }
}

/// What `resolve` would accept for an exception now, of what is safe for its class.
pub fn open_ways(bureau: &Bureau, id: i64, today: Date) -> Step<Vec<Way>> {
    let conn = bureau.store.connection();
    let exception = open_exception(conn, id)?;
    let closed = book::closed_months(conn)?;
    Ok(ways(&matter(&bureau.config, &exception, &closed), today))
}

/// What a request about an exception is called.
pub fn subject(exception: i64) -> String {
    format!("exception {exception}")
}

fn resolved(exception: i64, decision: Decision, changes: &Changeset) -> String {
    let rest: Money = changes.opened.iter().map(|opened| opened.amount).sum();
    let rest = if rest.is_zero() {
        String::new()
    } else {
        format!("；余下 {rest} 元另立例外，见 daikou exceptions")
    };
    format!("例外 {exception} 已处理：{} {}{rest}", decision.chinese(), decision.word())
}

/// What a yes to a decision would do.
pub fn asks(bureau: &Bureau, approval: &Approval) -> Step<String> {
    let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else { return unreadable() };
    let Some(exception) = read(bureau.store.connection(), asked.exception)? else { return unreadable() };
    let resolution = asked.resolution();
    let mut words = format!("例外 {}（{} {}", exception.id, exception.class.chinese(), exception.class.word());
    if let Some(person) = exception.participant {
        words.push_str(&format!("，{person}"));
    }
    if exception.amount.is_positive() {
        words.push_str(&format!("，暂收 {} 元", exception.amount));
    }
    words.push_str(&format!("）：{} {}", resolution.decision.chinese(), resolution.decision.word()));
    let amount = resolution.amount.or(Some(exception.amount).filter(|held| held.is_positive()));
    if let Some(amount) = amount {
        words.push_str(&format!(" {amount} 元"));
    }
    if let Some(day) = resolution.booked_on {
        words.push_str(&format!("，记账日 {day}"));
    }
    Ok(format!("{words}；理由：{}", resolution.reason))
}

fn request(exception: &StoredException, resolution: &Resolution) -> Request {
    let asked = Asked::of(exception.id, resolution);
    Request {
        kind: "resolve",
        subject: subject(exception.id),
        request: serde_json::to_string(&asked).expect("a request is plain text"),
        digest: digest(&asked, exception),
    }
}

/// A checker approved a decision: it must still be the decision, on the same facts.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else {
        return unreadable();
    };
    let version = book::version(bureau.store.connection())?;
    let exception = match open_exception(bureau.store.connection(), asked.exception) {
        Ok(exception) if digest(&asked, &exception) == approval.digest => exception,
        _ => return void(bureau, approval, order),
    };
    let resolution = asked.resolution();
    let changes = rehearse(&bureau.config, bureau.store.connection(), &exception, &resolution, order.today())?;
    let act = order.act("resolve", approval.subject.clone(), approval.digest);
    let config = &bureau.config;
    let applied = bureau.store.apply(&act, version, |txn| {
        txn.approve(approval.id, &order.actor)?;
        write(txn, config, &exception, &changes, &resolution, order.today())
    })?;
    match applied {
        Applied::New => Ok(resolved(asked.exception, resolution.decision, &changes)),
        Applied::Stale => Err(store::Error::Stale.into()),
    }
}

fn open_exception(conn: &Connection, id: i64) -> Step<StoredException> {
    match read(conn, id)? {
        None => refuse(format!("没有例外 {id}，见 daikou exceptions")),
        Some(exception) if exception.resolved => refuse(format!("例外 {id} 已处理")),
        Some(exception) => Ok(exception),
    }
}

fn rehearse(
    config: &Config,
    conn: &Connection,
    exception: &StoredException,
    resolution: &Resolution,
    today: Date,
) -> Step<Changeset> {
    let closed = book::closed_months(conn)?;
    let matter = matter(config, exception, &closed);
    check_day_on(&matter, resolution, today).and_then(|()| decide(&matter, resolution, today)).or_else(refuse)
}

/// An open exception as decisions on it are judged.
pub fn matter<'a>(config: &'a Config, exception: &'a StoredException, closed: &'a BTreeSet<Month>) -> Matter<'a> {
    let year = exception.fee_year.or(exception.instruction.as_ref().map(|instruction| instruction.batch.fee_year));
    Matter {
        id: exception.id,
        class: exception.class,
        amount: exception.amount,
        dossier: exception.dossier.as_ref(),
        instruction: exception.instruction.as_ref(),
        posting: exception.posting.as_ref(),
        corrections: &exception.corrections,
        transfer: exception.transfer.as_ref(),
        policy: year.and_then(|year| config.policies.of(year)).map(|(policy, _)| policy),
        closed,
    }
}

/// A posting of which no exception speaks, as decisions on it are judged.
pub fn matter_of<'a>(config: &'a Config, affair: &'a Affair, closed: &'a BTreeSet<Month>) -> Matter<'a> {
    Matter {
        id: 0,
        class: Class::LateFailure,
        amount: Money::ZERO,
        dossier: affair.dossier.as_ref(),
        instruction: affair.instruction.as_ref(),
        posting: Some(&affair.posting),
        corrections: &affair.corrections,
        transfer: None,
        policy: affair.fee_year.and_then(|year| config.policies.of(year)).map(|(policy, _)| policy),
        closed,
    }
}

/// Plans a person again: what was decided may have freed or ended the plan.
pub fn replan(txn: &mut Txn<'_>, config: &Config, id: IdNumber, fee_year: FeeYear, today: Date) -> store::Result<()> {
    let Some((policy, year)) = config.policies.of(fee_year) else { return Ok(()) };
    let dossier = book::dossier(txn.connection(), id, fee_year)?;
    if dossier.plan.is_none() {
        return Ok(());
    }
    let mut follows = Changeset::default();
    planning::plan(policy, year, &dossier, false, today, &mut follows);
    txn.write(&follows, None, today)
}

/// Writes the decision, and plans the person again: what it blocked may go on.
fn write(
    txn: &mut Txn<'_>,
    config: &Config,
    exception: &StoredException,
    changes: &Changeset,
    resolution: &Resolution,
    today: Date,
) -> store::Result<()> {
    txn.write(changes, None, today)?;
    let Some(dossier) = &exception.dossier else { return Ok(()) };
    if resolution.decision == Decision::Settled {
        confirm(txn, exception.class, dossier)?;
    }
    let Some((policy, year)) = config.policies.of(dossier.fee_year) else { return Ok(()) };
    let dossier = book::dossier(txn.connection(), dossier.id, dossier.fee_year)?;
    if dossier.plan.is_none() && exception.class != Class::NameDiffers {
        return Ok(());
    }
    let mut follows = Changeset::default();
    planning::plan(policy, year, &dossier, false, today, &mut follows);
    txn.write(&follows, None, today)
}

/// R17, R18: the clerk says that the other name, or the other holder, is right.
fn confirm(txn: &Txn<'_>, class: Class, dossier: &Dossier) -> store::Result<()> {
    let Some(person) = &dossier.participant else { return Ok(()) };
    match class {
        Class::NameDiffers => dossier.recognitions.iter().try_for_each(|row| txn.confirm(dossier.id, class, &row.name)),
        Class::AccountHolder => {
            person.account_name.iter().try_for_each(|holder| txn.confirm(dossier.id, class, holder))
        }
        _ => Ok(()),
    }
}

/// Digest of the decision and of what it is about: what an approval binds.
fn digest(asked: &Asked, exception: &StoredException) -> [u8; 32] {
    let state = exception.instruction.as_ref().map(|instruction| instruction.state.word());
    let shown = format!(
        "{} {} {} {:?} {:?} {:?} {} {state:?} {} answers",
        asked.exception,
        exception.class.word(),
        exception.amount,
        asked.decision,
        asked.booked_on,
        asked.amount,
        asked.reason,
        exception.answers
    );
    Sha256::digest(shown.as_bytes()).into()
}

impl Asked {
    fn of(exception: i64, resolution: &Resolution) -> Asked {
        Asked {
            exception,
            decision: resolution.decision.word().to_owned(),
            booked_on: resolution.booked_on.map(|day| day.to_string()),
            amount: resolution.amount.map(|amount| amount.to_string()),
            reason: resolution.reason.clone(),
        }
    }

    fn resolution(&self) -> Resolution {
        Resolution {
            decision: Decision::parse(&self.decision).expect("the request holds one of our words"),
            booked_on: self.booked_on.as_deref().and_then(parse_date),
            amount: self.amount.as_deref().and_then(Money::parse_yuan),
            reason: self.reason.clone(),
        }
    }
}
