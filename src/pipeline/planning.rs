//! What each person owes, and what stands in the way of asking for it (R2 to R7a, R17, R18).

use crate::domain::calendar::Date;
use crate::domain::exception::Class;
use crate::domain::instruction::{BatchEvent, InstructionState};
use crate::domain::money::Money;
use crate::domain::participant::Participant;
use crate::domain::plan::{PlanEvent, PlanState, PlanVersion};
use crate::domain::policy::{AgeAsOf, Circumstances, Policy, Refusal, Terms, YearTerms, same_name};
use crate::pipeline::book::{Changeset, Dossier, ExPost, NewException, PlanBook, PlanChange};

/// What planning one person came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// Has a plan.
    Plan,
    /// Our rule says no.
    Refused(Refusal),
    /// Not on the roster.
    NotEnrolled,
}

/// Plans one person, or plans them again; adds what changes to `out`.
///
/// `mended` says that the roster's row has just changed: failures that waited for that are closed.
pub fn plan(
    policy: &Policy,
    year: &YearTerms,
    dossier: &Dossier,
    mended: bool,
    today: Date,
    out: &mut Changeset,
) -> Planned {
    let Some(person) = dossier.circumstances() else { return Planned::NotEnrolled };
    let age_day = age_day(policy, dossier.plan.as_ref(), today);
    let terms = policy.terms(year, person, age_day, today);
    let turns_limit = person.participant.id.birthday(policy.age_limit).year() == year.fee_year;
    close_mended(dossier, terms, mended, out);
    match &dossier.plan {
        Some(plan) if plan.state.is_paid() => pay_ex_post(policy, year, dossier, plan, today, out),
        Some(plan) if plan.state == PlanState::Lapsed && today.year() > year.fee_year => {}
        Some(plan) => replan(dossier, plan, person.participant, terms, mended, today, out),
        None => first_plan(dossier, person.participant, terms, turns_limit, today, out),
    }
    match terms {
        Ok(_) => Planned::Plan,
        Err(refusal) => Planned::Refused(refusal),
    }
}

/// R6: age is judged once: where the policy says so by the day of planning, else by the debit date of what is at the
/// bank, else by today.
fn age_day(policy: &Policy, plan: Option<&PlanBook>, today: Date) -> Date {
    let Some(plan) = plan else { return today };
    if policy.age_as_of == AgeAsOf::Plan {
        return plan.versions.first().map_or(today, |version| version.from);
    }
    plan.live().map_or(today, |live| live.debit_on)
}

fn first_plan(
    dossier: &Dossier,
    participant: &Participant,
    terms: Result<Terms, Refusal>,
    turns_limit: bool,
    today: Date,
    out: &mut Changeset,
) {
    let terms = match terms {
        Ok(terms) => terms,
        Err(refusal) => return note_refusal(dossier, refusal, out),
    };
    let version = PlanVersion { number: 1, from: today, terms: Ok(terms) };
    let blocked = is_blocked(dossier, participant, &terms, false, out);
    out.plans.push(PlanChange {
        participant: dossier.id,
        fee_year: dossier.fee_year,
        version: Some((version, participant.district)),
        state: if blocked { PlanState::Exception } else { PlanState::Planned },
        failed: 0,
        turns_limit: Some(turns_limit),
    });
}

fn replan(
    dossier: &Dossier,
    plan: &PlanBook,
    participant: &Participant,
    terms: Result<Terms, Refusal>,
    mended: bool,
    today: Date,
    out: &mut Changeset,
) {
    let changed = !same_terms(plan.latest().terms, terms);
    if let (true, Err(refusal)) = (changed, terms) {
        note_refusal(dossier, refusal, out);
    }
    let mut state = plan.state;
    if changed {
        state = release_live(plan, state, out);
    }
    // R13 ends a plan after its year: one that lapsed within it did so under a wrong date.
    if changed || state == PlanState::Lapsed {
        let event = if terms.is_ok() { PlanEvent::Replanned } else { PlanEvent::Removed };
        state = state.after(event).unwrap_or(state);
        let in_flight = plan.live().is_some_and(|live| !changed || live.state > InstructionState::Released);
        if state == PlanState::Planned && in_flight {
            state = state.after(PlanEvent::Instructed).unwrap_or(state);
        }
    }
    if changed && today.year() > dossier.fee_year {
        // R13: what comes to stand again after its year is not asked for any more.
        state = state.after(PlanEvent::YearEnded).unwrap_or(state);
    } else if let Ok(terms) = terms {
        state = block_or_clear(dossier, plan, participant, &terms, mended, state, out);
    }
    // R17: districts stay as at posting, so a move before it is a version of its own. The bytes at the bank are the same:
    // nothing is withdrawn, its answer is looked at closely.
    let moved = !changed && terms.is_ok() && plan.enrolled.is_some_and(|district| district != participant.district);
    if let (true, Some(live)) = (moved, plan.live()) {
        out.closer.push(live.number);
    }
    let version = (changed || moved).then(|| {
        let number = plan.latest().number + 1;
        (PlanVersion { number, from: today, terms }, participant.district)
    });
    if version.is_some() || state != plan.state {
        let (participant, fee_year) = (dossier.id, dossier.fee_year);
        out.plans.push(PlanChange { participant, fee_year, version, state, failed: 0, turns_limit: None });
    }
}

/// A refusal is the same refusal whatever day it is judged on.
fn same_terms(one: Result<Terms, Refusal>, other: Result<Terms, Refusal>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(one), Err(other)) => one.word() == other.word(),
        _ => false,
    }
}

/// R7, R7a: what has not left is withdrawn with its whole batch, whose bytes were fixed; what is in flight is
/// never amended, but its answer will be looked at closely.
pub fn release_live(plan: &PlanBook, state: PlanState, out: &mut Changeset) -> PlanState {
    let Some(live) = plan.live() else { return state };
    match live.state {
        InstructionState::Drafted | InstructionState::Released => {
            let withdrawn = (live.number.batch, BatchEvent::Withdrawn);
            if !out.batches.contains(&withdrawn) {
                out.batches.push(withdrawn);
            }
            state.after(PlanEvent::Freed).unwrap_or(state)
        }
        _ => {
            out.closer.push(live.number);
            state
        }
    }
}

fn block_or_clear(
    dossier: &Dossier,
    plan: &PlanBook,
    participant: &Participant,
    terms: &Terms,
    mended: bool,
    state: PlanState,
    out: &mut Changeset,
) -> PlanState {
    if state == PlanState::Waiting {
        return state;
    }
    let blocked = is_blocked(dossier, participant, terms, mended, out);
    let event = match (state, blocked) {
        (PlanState::Planned, true) => PlanEvent::Blocked,
        (PlanState::Exception, false) if plan.live().is_some() => PlanEvent::UnblockedLive,
        (PlanState::Exception, false) => PlanEvent::Unblocked,
        _ => return state,
    };
    state.after(event).unwrap_or(state)
}

/// Whether something keeps a person from being asked at all; where that is new, it opens its exception.
pub fn has_obstacle(dossier: &Dossier, participant: &Participant, terms: &Terms, out: &mut Changeset) -> bool {
    let obstacle = obstacle(dossier, participant, terms);
    if let Some(class) = obstacle.filter(|class| !dossier.open.iter().any(|open| open.class == *class)) {
        out.opened.push(NewException::note(class, dossier, reason_of(class)));
    }
    obstacle.is_some()
}

/// Opens the exception of an obstacle that is new, and says whether anything stands in the way.
fn is_blocked(dossier: &Dossier, participant: &Participant, terms: &Terms, mended: bool, out: &mut Changeset) -> bool {
    let has_obstacle = has_obstacle(dossier, participant, terms, out);
    let remains = |open: &&crate::pipeline::book::OpenException| {
        let closing = out.closed.iter().any(|(id, _)| *id == open.id);
        let mending = mended && open.class.is_mended_by_roster();
        !closing && !mending
    };
    let needs_bank = terms.own().is_positive();
    has_obstacle || dossier.open.iter().filter(remains).any(|open| needs_bank || open.amount.is_positive())
}

/// R18: what keeps a person from being asked at all. R9: nothing does where nothing is asked.
pub fn obstacle(dossier: &Dossier, participant: &Participant, terms: &Terms) -> Option<Class> {
    if terms.own().is_zero() {
        return None;
    }
    if participant.bank.is_none() && !participant.bank_text.is_empty() {
        return Some(Class::UnknownBank);
    }
    if participant.bank.is_none() || participant.account.is_none() {
        return Some(Class::NoAccount);
    }
    let holder = participant.account_name.as_deref().unwrap_or(&participant.name);
    let own = same_name(holder, &participant.name) || dossier.confirmed_holders.iter().any(|name| name == holder);
    (!own).then_some(Class::AccountHolder)
}

/// Why nobody is asked through a bank that is not ours: also said of a roster row on its arrival.
pub const UNKNOWN_BANK: &str = "参保人员表上的开户银行不是委托银行";

fn reason_of(class: Class) -> &'static str {
    match class {
        Class::UnknownBank => UNKNOWN_BANK,
        Class::NoAccount => "参保人员表上没有可扣款的账号（R18）",
        Class::AccountHolder => "户名与参保人姓名不同（R18）",
        _ => class.chinese(),
    }
}

/// R3, R17: a tier or a name that a clerk must look at; age and status are only counted.
fn note_refusal(dossier: &Dossier, refusal: Refusal, out: &mut Changeset) {
    let class = match refusal {
        Refusal::Tier(_) => Class::Tier,
        Refusal::NameDiffers => Class::NameDiffers,
        Refusal::Age { .. } | Refusal::Status { .. } => return,
    };
    if !dossier.open.iter().any(|open| open.class == class) {
        out.opened.push(NewException::note(class, dossier, refusal.to_string()));
    }
}

/// Closes what the rules or a new roster row have settled.
fn close_mended(dossier: &Dossier, terms: Result<Terms, Refusal>, mended: bool, out: &mut Changeset) {
    let person = dossier.participant.as_ref();
    let obstacle = terms.ok().zip(person).and_then(|(terms, person)| obstacle(dossier, person, &terms));
    for open in &dossier.open {
        let over = match open.class {
            Class::Tier => !matches!(terms, Err(Refusal::Tier(_))),
            Class::NameDiffers => !matches!(terms, Err(Refusal::NameDiffers)),
            Class::UnknownBank | Class::NoAccount | Class::AccountHolder => {
                terms.is_ok() && obstacle != Some(open.class)
            }
            Class::Failed | Class::Unsendable => mended,
            _ => false,
        };
        if over && open.amount.is_zero() {
            out.closed.push((open.id, "参保人员表或名单已改正".to_owned()));
        }
    }
}

/// R14: paid the whole tier before the list came: the government part is due to the person, judged on the booking date.
fn pay_ex_post(
    policy: &Policy,
    year: &YearTerms,
    dossier: &Dossier,
    plan: &PlanBook,
    today: Date,
    out: &mut Changeset,
) {
    let (PlanState::Received, Some(paid), Some(person)) = (plan.state, plan.paid, dossier.circumstances()) else {
        return;
    };
    if !paid.deemed.is_zero() || paid.own.is_zero() || plan.ex_post.is_some() {
        return;
    }
    // R3: the tier is what was received; a later change of the roster is for the next year.
    let participant = &Participant { tier: paid.own, ..person.participant.clone() };
    let person = Circumstances { participant, ..person };
    let Ok(terms) = policy.terms(year, person, paid.booked_on, paid.booked_on) else { return };
    let Some(subsidy) = terms.subsidy.filter(|s| s.amount.is_positive()) else { return };
    out.ex_post.push(ExPost {
        participant: dossier.id,
        fee_year: dossier.fee_year,
        subsidy,
        paid: paid.own,
        booked_on: paid.booked_on,
    });
    let number = plan.latest().number + 1;
    out.plans.push(PlanChange {
        participant: dossier.id,
        fee_year: dossier.fee_year,
        version: Some((PlanVersion { number, from: today, terms: Ok(terms) }, person.participant.district)),
        state: PlanState::ExPost,
        failed: 0,
        turns_limit: None,
    });
}

/// Why a plan is not asked for in this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// Our rule says no: the plan ends.
    Refused(Refusal),
    /// Asked as often as the policy allows before the final sweep (R13).
    Attempts,
    /// Money in suspense, or another open exception (R14).
    Blocked,
    /// Not planned: waiting, paid, gone.
    NotPlanned,
}

/// R6, R12 to R14: whether this plan may be asked of a bank for `debit_on`, or approved as a zero payment on that day.
pub fn may_ask(
    policy: &Policy,
    year: &YearTerms,
    dossier: &Dossier,
    debit_on: Date,
    is_final_sweep: bool,
) -> Result<Terms, NotAsked> {
    let (Some(plan), Some(person)) = (&dossier.plan, dossier.circumstances()) else { return Err(NotAsked::NotPlanned) };
    let Ok(terms) = plan.latest().terms else { return Err(NotAsked::NotPlanned) };
    if plan.state != PlanState::Planned || plan.live().is_some() {
        return Err(NotAsked::NotPlanned);
    }
    if let Err(refusal) = policy.age_refusal_after_planning(dossier.id, year.fee_year, debit_on) {
        return Err(NotAsked::Refused(refusal));
    }
    if !person.participant.is_normal_on(debit_on) {
        return Err(NotAsked::Refused(Refusal::Status { on: debit_on }));
    }
    // R14: what was paid to the person is never deemed received as well.
    if plan.ex_post.is_some() || dossier.open.iter().any(|open| terms.own().is_positive() || open.amount != Money::ZERO)
    {
        return Err(NotAsked::Blocked);
    }
    let spent = if is_final_sweep { was_swept(plan, year) } else { plan.attempts >= policy.attempts };
    if spent { Err(NotAsked::Attempts) } else { Ok(terms) }
}

/// R13: there is one final sweep: who was asked after the deposit deadline is not asked again.
fn was_swept(plan: &PlanBook, year: &YearTerms) -> bool {
    let newest = plan.instruction.as_ref().filter(|instruction| instruction.state != InstructionState::Cancelled);
    newest.is_some_and(|instruction| instruction.debit_on > year.deposit_until)
}

/// The plan ends because our rule says no (R6 at the debit date).
pub fn remove(dossier: &Dossier, plan: &PlanBook, refusal: Refusal, today: Date, out: &mut Changeset) {
    let Some(participant) = &dossier.participant else { return };
    let number = plan.latest().number + 1;
    out.plans.push(PlanChange {
        participant: dossier.id,
        fee_year: dossier.fee_year,
        version: Some((PlanVersion { number, from: today, terms: Err(refusal) }, participant.district)),
        state: plan.state.after(PlanEvent::Removed).unwrap_or(plan.state),
        failed: 0,
        turns_limit: None,
    });
}
