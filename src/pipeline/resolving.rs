//! A clerk's decision on an exception: what follows, or why not (design sections 6 and 7, R14, R18, R21).

use crate::domain::calendar::{Date, Month};
use crate::domain::exception::Class;
use crate::domain::instruction::{BatchEvent, InstructionEvent, InstructionState};
use crate::domain::ledger::{Posting, PostingKey};
use crate::domain::money::Money;
use crate::domain::plan::{PlanEvent, PlanState, in_force};
use crate::domain::policy::{Policy, Terms};
use crate::domain::postings;
use crate::domain::returns::{Asked, Outcome, Return, Verdict, judge};
use crate::pipeline::book::*;
use crate::pipeline::planning::release_live;
use crate::pipeline::post::booked;
use std::collections::BTreeSet;

/// `--as-class`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was paid; the name or holder is right; the batch arrived.
    Settled,
    /// It was not paid; ask again; the batch never arrived.
    Failed,
    /// The money goes back.
    Refund,
    /// The bank took its money back.
    Reverse,
}

impl Decision {
    /// Every decision with its word.
    pub const ALL: [(Decision, &str); 4] = [
        (Decision::Settled, "settled"),
        (Decision::Failed, "failed"),
        (Decision::Refund, "refund"),
        (Decision::Reverse, "reverse"),
    ];

    /// The word of `--as-class`.
    pub fn word(self) -> &'static str {
        Decision::ALL[self as usize].1
    }
}

/// What the clerk says.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The decision.
    pub decision: Decision,
    /// Booking date, where the bank's return has none.
    pub booked_on: Option<Date>,
    /// Amount, where it is not all of it.
    pub amount: Option<Money>,
    /// Why, in the clerk's words.
    pub reason: String,
}

/// An exception with all that a decision on it needs.
#[derive(Debug)]
pub struct Matter<'a> {
    /// Its id.
    pub id: i64,
    /// Its class.
    pub class: Class,
    /// Money that it holds.
    pub amount: Money,
    /// The person and plan, where known.
    pub dossier: Option<&'a Dossier>,
    /// The instruction, where it concerns one.
    pub instruction: Option<&'a InstructionMatter>,
    /// The posting that put the money into suspense, or that stands for the instruction.
    pub posting: Option<&'a Posting>,
    /// The policy of its fee year.
    pub policy: Option<&'a Policy>,
    /// Closed months (R11).
    pub closed: &'a BTreeSet<Month>,
}

/// The instruction of an exception.
#[derive(Clone, Debug)]
pub struct InstructionMatter {
    /// Its number.
    pub number: crate::domain::ids::InstructionNumber,
    /// Its state.
    pub state: InstructionState,
    /// Amount instructed.
    pub amount: Money,
    /// The plan version that it was made from.
    pub version: u32,
    /// Its batch.
    pub batch: BatchLine,
}

/// Why a decision cannot be carried out.
pub type No = String;

/// Carries out a decision as a changeset, or says why not.
pub fn resolve(matter: &Matter<'_>, resolution: &Resolution, today: Date) -> Result<Changeset, No> {
    let mut out = Changeset::default();
    match (matter.amount.is_positive(), resolution.decision) {
        (true, Decision::Settled) => settle_suspense(matter, resolution, today, &mut out)?,
        (true, Decision::Refund) => give_back(matter, resolution, today, &mut out)?,
        (true, Decision::Reverse) => take_back(matter, resolution, today, &mut out)?,
        (true, Decision::Failed) => return Err("money is held: settle, refund or reverse it".to_owned()),
        (false, decision) => resolve_without_money(matter, decision, resolution, today, &mut out)?,
    }
    Ok(out)
}

fn resolve_without_money(
    matter: &Matter<'_>,
    decision: Decision,
    resolution: &Resolution,
    today: Date,
    out: &mut Changeset,
) -> Result<(), No> {
    let state = matter.instruction.map(|instruction| instruction.state);
    let awaited = matches!(state, Some(InstructionState::Sent | InstructionState::Unknown));
    let says_money = resolution.booked_on.is_some() || resolution.amount.is_some();
    if says_money && !awaited && decision != Decision::Reverse {
        return Err("no money is held here and none is awaited: --booked-on and --amount mean nothing".to_owned());
    }
    match (matter.class, decision) {
        (_, Decision::Reverse) => reverse(matter, resolution, today, out)?,
        (_, Decision::Refund) => return Err("it holds no money to refund".to_owned()),
        (Class::DuplicateBatch | Class::DeliveryInDoubt, decision) => settle_delivery(matter, decision, out)?,
        (_, Decision::Settled) if awaited => settle_awaited(matter, resolution, today, out)?,
        (_, Decision::Failed) if awaited => fail_awaited(matter, out)?,
        (_, Decision::Failed) if state == Some(InstructionState::Settled) => {
            return Err("the instruction is settled: reverse it if the bank took the money back".to_owned());
        }
        _ => {}
    }
    out.closed.push((matter.id, closing_words(resolution)));
    Ok(())
}

fn closing_words(resolution: &Resolution) -> String {
    format!("{}: {}", resolution.decision.word(), resolution.reason)
}

/// An operator says whether the batch is at the bank.
fn settle_delivery(matter: &Matter<'_>, decision: Decision, out: &mut Changeset) -> Result<(), No> {
    let instruction = matter.instruction.ok_or("the exception names no batch")?;
    let event = if decision == Decision::Settled { BatchEvent::Delivered } else { BatchEvent::NeverArrived };
    instruction.batch.state.after(event).map_err(|illegal| illegal.to_string())?;
    out.batches.push((instruction.batch.number, event));
    Ok(())
}

/// The clerk knows what the bank's return did not say: judged like a return.
fn settle_awaited(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let (instruction, dossier) = instruction_and_person(matter)?;
    let plan = dossier.plan.as_ref().ok_or("the person has no plan for that year")?;
    let booked_on = resolution.booked_on.ok_or("--booked-on is needed: the day on which the bank booked it")?;
    let answer = Return {
        outcome: Outcome::Ok,
        actual: resolution.amount.unwrap_or(instruction.amount),
        booked_on: Some(booked_on),
        serial: String::new(),
        echo_agrees: true,
    };
    let asked = Asked {
        state: instruction.state,
        amount: instruction.amount,
        fee_year: instruction.batch.fee_year,
        drafted_on: instruction.batch.drafted_on,
        version: instruction.version,
        versions: &plan.versions,
        plan: plan.state,
        normal: dossier.participant.as_ref().is_some_and(|person| person.is_normal_on(booked_on)),
        other_live: false,
        earlier: &[],
    };
    let key = PostingKey::Return(instruction.number);
    let when = booked(booked_on, matter.closed);
    let (posting, event) = match judge(&asked, &answer, today) {
        Verdict::Post(terms) => (postings::self_payment(key, when, terms.own(), terms.deemed()), PlanEvent::Received),
        Verdict::PostWhole(amount, subsidy) => {
            out.ex_post.push(ex_post(dossier, subsidy, amount, booked_on, today));
            (postings::self_payment(key, when, amount, None), PlanEvent::PaidWhole)
        }
        Verdict::Hold(class) => return Err(format!("it may not be posted: {}", class.word())),
        _ => return Err("it cannot be settled like this".to_owned()),
    };
    push(matter, posting, in_force_version(dossier, booked_on), resolution, out);
    move_instruction(instruction, InstructionEvent::Settled, Some(Outcome::Ok), out)?;
    move_plan(dossier, event, 0, out)
}

fn fail_awaited(matter: &Matter<'_>, out: &mut Changeset) -> Result<(), No> {
    let (instruction, dossier) = instruction_and_person(matter)?;
    move_instruction(instruction, InstructionEvent::Failed, None, out)?;
    move_plan(dossier, PlanEvent::Freed, 1, out).or(Ok(()))
}

/// R22: the bank took settled money back: the contra of what stands, in the reversal's month.
fn reverse(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let (instruction, dossier) = instruction_and_person(matter)?;
    let original = matter.posting.ok_or("nothing stands for this instruction that could be reversed")?;
    if instruction.state != InstructionState::Settled {
        return Err(format!("the instruction is {}: only a settled one is reversed", instruction.state.word()));
    }
    let on = resolution.booked_on.unwrap_or(today);
    let reversal = postings::reversal_of(original, booked(on, matter.closed));
    push(matter, reversal, in_force_version(dossier, original.booked_on), resolution, out);
    move_instruction(instruction, InstructionEvent::Reversed, None, out)?;
    out.ex_post_withdrawn.push((dossier.id, dossier.fee_year));
    move_plan(dossier, PlanEvent::Reversed, 0, out)
}

/// Suspense money makes up the own part, or the whole tier (R14), judged on the day of its last part.
fn settle_suspense(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let dossier = matter.dossier.ok_or("nobody is known whose money this is: refund it")?;
    let plan = dossier.plan.as_ref().ok_or("the person has no plan for that year: plan first, or refund it")?;
    if plan.state.is_paid() {
        return Err("the year is paid already: refund it".to_owned());
    }
    let own_pool = pool(matter, dossier);
    let day = resolution.booked_on.or_else(|| own_pool.iter().filter_map(|open| open.booked_on).max());
    let day = day.ok_or("--booked-on is needed: the day on which the bank booked it")?;
    let terms = terms_on(matter, dossier, plan, day)?;
    let held: Money = own_pool.iter().map(|open| open.amount).sum();
    let amount = resolution.amount.unwrap_or(if fits(&terms, matter.amount) { matter.amount } else { held });
    if !fits(&terms, amount) || amount > held {
        return Err(format!(
            "{held} is held; the own part is {}, the tier {}: give --amount, or refund it",
            terms.own(),
            terms.tier
        ));
    }
    let key = PostingKey::Resolution(matter.id);
    let when = booked(day, matter.closed);
    let event = if amount == terms.own() {
        push(
            matter,
            postings::suspense_posted(key, when, amount, terms.deemed()),
            in_force_version(dossier, day),
            resolution,
            out,
        );
        PlanEvent::Received
    } else {
        let subsidy = terms.subsidy.ok_or("a whole tier needs a government part to be one")?;
        out.ex_post.push(ex_post(dossier, subsidy, amount, day, today));
        push(
            matter,
            postings::suspense_posted(key, when, amount, None),
            in_force_version(dossier, day),
            resolution,
            out,
        );
        PlanEvent::PaidWhole
    };
    spend(matter, &own_pool, amount, resolution, out);
    if let Some(instruction) = matter.instruction.filter(|instruction| instruction.state == InstructionState::Suspense)
    {
        move_instruction(instruction, InstructionEvent::Settled, None, out)?;
    }
    // R12: another attempt must not be paid as well: withdrawn if it has not left, else looked at when it answers.
    let number = matter.instruction.map(|instruction| instruction.number);
    let other = plan.live().is_some_and(|live| Some(live.number) != number);
    let state = if other { release_live(plan, plan.state, out) } else { plan.state };
    push_plan(dossier, state.after(event).map_err(|illegal| illegal.to_string())?, 0, out);
    Ok(())
}

fn fits(terms: &Terms, amount: Money) -> bool {
    amount.is_positive() && (amount == terms.own() || amount == terms.tier)
}

/// R4 to R7: the version in force on that day, else today's; age and status judged by it.
fn terms_on(matter: &Matter<'_>, dossier: &Dossier, plan: &PlanBook, day: Date) -> Result<Terms, No> {
    if day.year() != dossier.fee_year {
        return Err(format!("booked in {}: it cannot be posted for fee year {} (R13)", day.year(), dossier.fee_year));
    }
    let policy = matter.policy.ok_or("no policy has that fee year")?;
    policy.age_refusal_after_planning(dossier.id, dossier.fee_year, day).map_err(|refusal| refusal.to_string())?;
    let person = dossier.participant.as_ref().ok_or("the person is not on the roster")?;
    if !person.is_normal_on(day) {
        return Err("participation status was not 正常 on that day (R6)".to_owned());
    }
    let version = in_force(&plan.versions, day).unwrap_or(plan.latest());
    version.terms.or(plan.latest().terms).map_err(|refusal| refusal.to_string())
}

/// The money that may be added up: this exception's, and that of the same instruction or of none.
fn pool<'a>(matter: &Matter<'_>, dossier: &'a Dossier) -> Vec<&'a OpenException> {
    let number = matter.instruction.map(|instruction| instruction.number);
    let mut pool: Vec<&OpenException> = dossier
        .open
        .iter()
        .filter(|open| {
            open.amount.is_positive()
                && (open.id == matter.id || open.instruction.is_none() || open.instruction == number)
        })
        .collect();
    pool.sort_by_key(|open| (open.id != matter.id, open.id));
    pool
}

/// Takes `amount` from the pool: exceptions are closed, the last keeps its rest under a new number.
fn spend(matter: &Matter<'_>, pool: &[&OpenException], amount: Money, resolution: &Resolution, out: &mut Changeset) {
    let mut left = amount;
    for open in pool {
        if left.is_zero() {
            return;
        }
        out.closed.push((open.id, closing_words(resolution)));
        let taken = left.min(open.amount);
        left = left - taken;
        if taken < open.amount {
            out.opened.push(rest(matter, open.class, open.amount - taken, open.instruction));
        }
    }
}

fn rest(
    matter: &Matter<'_>,
    class: Class,
    amount: Money,
    instruction: Option<crate::domain::ids::InstructionNumber>,
) -> NewException {
    NewException {
        class,
        participant: matter.dossier.map(|dossier| dossier.id),
        fee_year: matter.dossier.map(|dossier| dossier.fee_year),
        instruction,
        line: None,
        amount,
        posting: None,
        reason: format!("the rest of exception {}", matter.id),
    }
}

/// Suspense money goes back to where it came from.
fn give_back(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let amount = resolution.amount.unwrap_or(matter.amount);
    if !amount.is_positive() || amount > matter.amount {
        return Err(format!("{} is held: at most that can be refunded", matter.amount));
    }
    let when = booked(resolution.booked_on.unwrap_or(today), matter.closed);
    push(matter, postings::refund(PostingKey::Resolution(matter.id), when, amount), None, resolution, out);
    out.closed.push((matter.id, closing_words(resolution)));
    if amount < matter.amount {
        let instruction = matter.instruction.map(|instruction| instruction.number);
        out.opened.push(rest(matter, matter.class, matter.amount - amount, instruction));
        return Ok(());
    }
    free_refunded(matter, out)
}

/// The bank took suspense money back: the contra of the posting that held it.
fn take_back(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let original = matter.posting.ok_or("the posting that holds the money is not known: refund it")?;
    let held: Money = original.entries.iter().map(|entry| entry.amount()).sum();
    if held != matter.amount {
        return Err(format!("{held} was booked and {} is held: refund the rest instead", matter.amount));
    }
    let when = booked(resolution.booked_on.unwrap_or(today), matter.closed);
    push(matter, postings::reversal_of(original, when), None, resolution, out);
    out.closed.push((matter.id, closing_words(resolution)));
    free_refunded(matter, out)
}

/// An instruction whose suspense money has all gone back is refunded, and its plan may be asked for again.
fn free_refunded(matter: &Matter<'_>, out: &mut Changeset) -> Result<(), No> {
    let (Some(instruction), Some(dossier)) = (matter.instruction, matter.dossier) else { return Ok(()) };
    let holds_more = |open: &OpenException| {
        open.id != matter.id && open.amount.is_positive() && open.instruction == Some(instruction.number)
    };
    if instruction.state != InstructionState::Suspense || dossier.open.iter().any(holds_more) {
        return Ok(());
    }
    move_instruction(instruction, InstructionEvent::Refunded, None, out)?;
    move_plan(dossier, PlanEvent::Freed, 0, out).or(Ok(()))
}

fn ex_post(
    dossier: &Dossier,
    subsidy: crate::domain::policy::Subsidy,
    paid: Money,
    booked_on: Date,
    today: Date,
) -> ExPost {
    ExPost {
        participant: dossier.id,
        fee_year: dossier.fee_year,
        subsidy,
        paid,
        booked_on,
        due_on: today.max(booked_on),
    }
}

fn in_force_version(dossier: &Dossier, day: Date) -> Option<u32> {
    let versions = dossier.versions();
    in_force(versions, day).or(versions.last()).map(|version| version.number)
}

fn push(matter: &Matter<'_>, posting: Posting, version: Option<u32>, resolution: &Resolution, out: &mut Changeset) {
    let concerns = Concerns {
        participant: matter.dossier.map(|dossier| dossier.id),
        fee_year: matter.dossier.map(|dossier| dossier.fee_year),
        version,
        instruction: matter.instruction.map(|instruction| instruction.number),
        line: None,
        content: resolution.reason.clone(),
    };
    out.postings.push(NewPosting { posting, concerns: Some(concerns) });
}

fn move_instruction(
    instruction: &InstructionMatter,
    event: InstructionEvent,
    outcome: Option<Outcome>,
    out: &mut Changeset,
) -> Result<(), No> {
    let state = instruction.state.after(event).map_err(|illegal| illegal.to_string())?;
    out.instructions.push((instruction.number, state, outcome));
    Ok(())
}

fn move_plan(dossier: &Dossier, event: PlanEvent, failed: u32, out: &mut Changeset) -> Result<(), No> {
    let Some(plan) = &dossier.plan else { return Ok(()) };
    let state = plan.state.after(event).map_err(|illegal| illegal.to_string())?;
    push_plan(dossier, state, failed, out);
    Ok(())
}

fn push_plan(dossier: &Dossier, state: PlanState, failed: u32, out: &mut Changeset) {
    let (participant, fee_year) = (dossier.id, dossier.fee_year);
    out.plans.push(PlanChange { participant, fee_year, version: None, state, failed, turns_limit: None });
}

fn instruction_and_person<'a>(matter: &Matter<'a>) -> Result<(&'a InstructionMatter, &'a Dossier), No> {
    matter.instruction.zip(matter.dossier).ok_or("the exception names no instruction of a known person".to_owned())
}
