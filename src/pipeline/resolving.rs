//! A clerk's decision on an exception: what follows, or why not (design sections 6 and 7, R14, R18, R21).

use crate::domain::calendar::{Date, FeeYear, Month};
use crate::domain::exception::Class;
use crate::domain::instruction::{BatchEvent, InstructionEvent, InstructionState};
use crate::domain::ledger::{Account, Event, Posting, PostingKey};
use crate::domain::money::Money;
use crate::domain::participant::{DistrictCode, Payer};
use crate::domain::plan::{PlanEvent, PlanState, in_force};
use crate::domain::policy::{Policy, Refusal, Terms};
use crate::domain::postings::{self, Deemed};
use crate::domain::returns::{Asked, Outcome, Return, Verdict, judge};
use crate::domain::settlement::ExPostEvent;
use crate::pipeline::book::*;
use crate::pipeline::planning::release_live;
use crate::pipeline::post::{booked, freed};
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
    /// Every decision with its word and its Chinese name.
    pub const ALL: [(Decision, &str, &str); 4] = [
        (Decision::Settled, "settled", "核实认可"),
        (Decision::Failed, "failed", "认定失败"),
        (Decision::Refund, "refund", "退款"),
        (Decision::Reverse, "reverse", "冲正"),
    ];

    /// The word of `--as-class`.
    pub fn word(self) -> &'static str {
        Decision::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        Decision::ALL[self as usize].2
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Decision> {
        Decision::ALL.iter().find(|(_, w, _)| *w == word).map(|(decision, ..)| *decision)
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
#[derive(Clone, Copy, Debug)]
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
    /// What was corrected in that posting and stands, newest first.
    pub corrections: &'a [Righted],
    /// The payer's money that it holds, where it is that (R16).
    pub transfer: Option<&'a TransferMatter>,
    /// The policy of its fee year.
    pub policy: Option<&'a Policy>,
    /// Closed months (R11).
    pub closed: &'a BTreeSet<Month>,
}

/// A correction that stands, and the own money that it put into suspense.
#[derive(Clone, Debug)]
pub struct Righted {
    /// The correction.
    pub posting: Posting,
    /// Own money that it moved to suspense.
    pub moved: Money,
    /// The exception that still holds all of it.
    pub held_by: Option<i64>,
}

/// What stands on the person's account of a posting and its corrections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Own money.
    pub own: Money,
    /// Who owes the government part, and how much.
    pub deemed: Deemed,
}

impl Standing {
    /// Of a posting and what was corrected in it, newest first.
    pub fn of(posting: &Posting, corrections: &[Righted]) -> Standing {
        let mut standing = Standing { own: Money::ZERO, deemed: None };
        let postings = std::iter::once(posting).chain(corrections.iter().rev().map(|one| &one.posting));
        for entry in postings.flat_map(|posting| posting.entries.iter()) {
            match (entry.debit(), entry.credit()) {
                (_, Account::PersonalOwn) => standing.own += entry.amount(),
                (Account::PersonalOwn, _) => standing.own = standing.own - entry.amount(),
                (owed, Account::PersonalGovernment) => standing.deemed = Some((owed, entry.amount())),
                (Account::PersonalGovernment, _) => standing.deemed = None,
                _ => {}
            }
        }
        standing
    }

    /// It was corrected away: it pays no plan any more.
    pub fn is_nothing(&self) -> bool {
        self.own.is_zero() && self.deemed.is_none()
    }
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

/// A payer's money in suspense, and what its payer still owes for its district.
#[derive(Clone, Debug)]
pub struct TransferMatter {
    /// Whose money.
    pub payer: Payer,
    /// For which district.
    pub district: DistrictCode,
    /// Stored number of the posting that it came with.
    pub transfer: i64,
    /// Settlements that still owe: the one that it named first, then the oldest.
    pub owing: Vec<Owing>,
}

/// A settlement that still owes.
#[derive(Clone, Copy, Debug)]
pub struct Owing {
    /// Its stored number.
    pub settlement: i64,
    /// Its year.
    pub year: i16,
    /// How much.
    pub owed: Money,
}

/// Why a decision cannot be carried out, for clerks.
pub type No = String;

const BOOKED_ON: &str = "请用 --booked-on 写明银行记账日";

/// Carries out a decision as a changeset, or says why not.
pub fn resolve(matter: &Matter<'_>, resolution: &Resolution, today: Date) -> Result<Changeset, No> {
    let mut out = Changeset::default();
    match (matter.amount.is_positive(), resolution.decision) {
        (true, Decision::Settled) => match matter.transfer {
            Some(transfer) => settle_transfer(matter, transfer, resolution, today, &mut out)?,
            None => settle_suspense(matter, resolution, today, &mut out)?,
        },
        (true, Decision::Refund) => give_back(matter, resolution, today, &mut out)?,
        (true, Decision::Reverse) => take_back(matter, resolution, today, &mut out)?,
        (true, Decision::Failed) => {
            return Err("该例外持有暂收款：只能核实认可 settled、退款 refund 或冲正 reverse".to_owned());
        }
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
        return Err("该例外没有暂收款，也没有待回的扣款：不能带 --booked-on 和 --amount".to_owned());
    }
    match (matter.class, decision) {
        (_, Decision::Reverse) => reverse(matter, resolution, today, out)?,
        (_, Decision::Refund) => return Err("该例外没有暂收款，无款可退".to_owned()),
        (Class::DuplicateBatch | Class::DeliveryInDoubt, decision) => settle_delivery(matter, decision, out)?,
        (_, Decision::Settled) if awaited => settle_awaited(matter, resolution, today, out)?,
        (_, Decision::Failed) if awaited => fail_awaited(matter, out)?,
        (_, Decision::Failed) if state == Some(InstructionState::Settled) => {
            return Err("该指令已扣款入账 settled：如银行已冲正，请用 reverse".to_owned());
        }
        _ => {}
    }
    out.closed.push((matter.id, closing_words(resolution)));
    Ok(())
}

fn closing_words(resolution: &Resolution) -> String {
    format!("{} {}：{}", resolution.decision.chinese(), resolution.decision.word(), resolution.reason)
}

/// An operator says whether the batch is at the bank.
fn settle_delivery(matter: &Matter<'_>, decision: Decision, out: &mut Changeset) -> Result<(), No> {
    let instruction = matter.instruction.ok_or("该例外没有对应的批次")?;
    let event = if decision == Decision::Settled { BatchEvent::Delivered } else { BatchEvent::NeverArrived };
    instruction.batch.state.after(event).map_err(|illegal| illegal.message_zh())?;
    out.batches.push((instruction.batch.number, event));
    Ok(())
}

/// The clerk knows what the bank's return did not say: judged like a return.
fn settle_awaited(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let (instruction, dossier) = instruction_and_person(matter)?;
    let plan = dossier.plan.as_ref().ok_or("此人该年度没有缴费计划")?;
    let booked_on = resolution.booked_on.ok_or(BOOKED_ON)?;
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
        has_subsidy: plan.ex_post.is_some(),
        posted_on: None,
        earlier: &[],
    };
    let key = PostingKey::Return(instruction.number);
    let when = booked(booked_on, matter.closed);
    let (posting, event) = match judge(&asked, &answer, today) {
        Verdict::Post(terms) => (postings::self_payment(key, when, terms.own(), terms.deemed()), PlanEvent::Received),
        Verdict::PostWhole(amount, subsidy) => {
            // What was paid to the person before its own money went back still stands.
            if plan.ex_post.is_none() {
                out.ex_post.push(ex_post(dossier, subsidy, amount, booked_on));
            }
            (postings::self_payment(key, when, amount, None), PlanEvent::PaidWhole)
        }
        Verdict::Hold(class) => return Err(format!("不能入账：{} {}", class.chinese(), class.word())),
        _ => return Err("不能这样认可入账".to_owned()),
    };
    push(matter, posting, in_force_version(dossier, booked_on), resolution, out);
    move_instruction(instruction, InstructionEvent::Settled, Some(Outcome::Ok), out)?;
    move_plan(dossier, event, 0, out)
}

fn fail_awaited(matter: &Matter<'_>, out: &mut Changeset) -> Result<(), No> {
    let (instruction, dossier) = instruction_and_person(matter)?;
    move_instruction(instruction, InstructionEvent::Failed, None, out)?;
    if let Some(plan) = dossier.plan.as_ref().filter(|plan| plan.state.after(PlanEvent::Freed).is_ok()) {
        let state = freed(plan, dossier, Some(matter.id), out);
        push_plan(dossier, state, 1, out);
    }
    Ok(())
}

/// R16: a payer's money that was held clears the first settlement that owes: the one that it named, else the oldest.
fn settle_transfer(
    matter: &Matter<'_>,
    transfer: &TransferMatter,
    resolution: &Resolution,
    today: Date,
    out: &mut Changeset,
) -> Result<(), No> {
    let owing = transfer.owing.first().ok_or("该部门该区县没有已批准且尚欠的清算：请先批准清算，或退款 refund")?;
    let most = matter.amount.min(owing.owed);
    let amount = resolution.amount.unwrap_or(most);
    if !amount.is_positive() || amount > most {
        return Err(format!(
            "{} 年度清算尚欠 {} 元，暂收 {} 元：核销不能超过两者",
            owing.year, owing.owed, matter.amount
        ));
    }
    let when = booked(resolution.booked_on.unwrap_or(today), matter.closed);
    let owed_by = Account::Receivable(transfer.payer, transfer.district);
    let clearing = NewClearing {
        posting: out.postings.len(),
        settlement: owing.settlement,
        transfer: Some(transfer.transfer),
        amount,
    };
    out.clearings.push(clearing);
    push(
        matter,
        postings::transfer_posted(PostingKey::Resolution(matter.id), when, owed_by, amount),
        None,
        resolution,
        out,
    );
    out.closed.push((matter.id, closing_words(resolution)));
    if amount < matter.amount {
        keep_rest(matter, matter.amount - amount, out);
    }
    Ok(())
}

/// What is left of the money that an exception held goes on waiting under a new number.
fn keep_rest(matter: &Matter<'_>, amount: Money, out: &mut Changeset) {
    if let Some(transfer) = matter.transfer {
        out.rests.push((out.opened.len(), transfer.transfer));
    }
    let instruction = matter.instruction.map(|instruction| instruction.number);
    let this = matter.dossier.and_then(|dossier| dossier.open.iter().find(|open| open.id == matter.id));
    let held_on = this.and_then(|open| open.booked_on).or(matter.posting.map(|posting| posting.booked_on));
    out.opened.push(rest(matter, matter.class, amount, instruction, held_on));
}

/// R22: the bank took posted money back: the contra of what stands, in the reversal's month. What was corrected in it
/// is taken back before it, so that every account ends where it was.
pub fn reverse(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let dossier = matter.dossier.ok_or("没有对应到某人的缴费")?;
    let original = matter.posting.ok_or("没有可冲正的记账")?;
    if let Some(instruction) = matter.instruction.filter(|matter| matter.state != InstructionState::Settled) {
        return Err(format!(
            "该指令现为“{} {}”：已扣款入账 settled 的才能冲正",
            instruction.state.chinese(),
            instruction.state.word()
        ));
    }
    if !matches!(original.event, Event::SelfPayment | Event::SuspensePosted) {
        return Err(format!("{} {} 不能冲正", original.event.chinese(), original.event.word()));
    }
    let when = booked(resolution.booked_on.unwrap_or(today), matter.closed);
    let version = in_force_version(dossier, original.booked_on);
    for correction in matter.corrections {
        match (correction.moved.is_positive(), correction.held_by) {
            (true, None) => return Err("该款更正后转入暂收的部分已另行处理：不能整笔冲正".to_owned()),
            (true, Some(exception)) => out.closed.push((exception, closing_words(resolution))),
            (false, _) => {}
        }
        push(matter, postings::reversal_of(&correction.posting, when), version, resolution, out);
    }
    push(matter, postings::reversal_of(original, when), version, resolution, out);
    if let Some(instruction) = matter.instruction {
        move_instruction(instruction, InstructionEvent::Reversed, None, out)?;
        let answered = |open: &&OpenException| {
            open.id != matter.id && open.class == Class::LateFailure && open.instruction == Some(instruction.number)
        };
        let closed = dossier.open.iter().filter(answered).map(|open| (open.id, closing_words(resolution)));
        out.closed.extend(closed);
    }
    // R14: what is posted first stands. A posting that was corrected away pays nothing any more: other money may.
    let pays = !Standing::of(original, matter.corrections).is_nothing();
    if let Some(plan) = dossier.plan.as_ref().filter(|plan| pays && plan.state.is_paid()) {
        push_plan(dossier, unpaid(plan, dossier.fee_year, today)?, 0, out);
        withdraw_ex_post(dossier, out);
    }
    Ok(())
}

/// Suspense money makes up the own part, or the whole tier (R14), judged on the day of its last part.
fn settle_suspense(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let dossier = matter.dossier.ok_or("不知道是谁的款：只能退款 refund")?;
    let plan = dossier.plan.as_ref().ok_or("此人该年度没有缴费计划：请先生成计划，或退款 refund")?;
    if plan.state.is_paid() {
        return Err("该年度已收足：请退款 refund".to_owned());
    }
    // Money beside an instruction whose own money went back is recognised by its exception alone.
    let is_over = |state| matches!(state, InstructionState::Refunded | InstructionState::Reversed);
    let matter =
        &Matter { instruction: matter.instruction.filter(|instruction| !is_over(instruction.state)), ..*matter };
    let own_pool = pool(matter, dossier);
    let day = day_of_the_last(matter, &own_pool, resolution, today)?;
    let terms = terms_on(matter, dossier, plan, day)?;
    // R14: the government part was paid to the person: only the whole tier makes up the year then.
    let has_subsidy = plan.ex_post.is_some();
    let held: Money = own_pool.iter().map(|open| open.amount).sum();
    let amount = resolution.amount.unwrap_or(if fits(&terms, matter.amount) { matter.amount } else { held });
    if !fits(&terms, amount) || amount > held || (has_subsidy && amount != terms.tier) {
        return Err(format!(
            "共暂收 {held} 元，应缴个人部分 {} 元、整档 {} 元：请用 --amount 写明金额，或退款 refund",
            terms.own(),
            terms.tier
        ));
    }
    let key = PostingKey::Resolution(matter.id);
    let when = booked(day, matter.closed);
    let event = if amount == terms.own() && !has_subsidy {
        push(
            matter,
            postings::suspense_posted(key, when, amount, terms.deemed()),
            in_force_version(dossier, day),
            resolution,
            out,
        );
        PlanEvent::Received
    } else {
        let subsidy = terms.subsidy.ok_or("没有政府代缴部分，不能按整档入账")?;
        if !has_subsidy {
            out.ex_post.push(ex_post(dossier, subsidy, amount, day));
        }
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
    settle_held(matter, out)?;
    // R12: another attempt must not be paid as well: withdrawn if it has not left, else looked at when it answers.
    let number = matter.instruction.map(|instruction| instruction.number);
    let other = plan.live().is_some_and(|live| Some(live.number) != number);
    let state = if other { release_live(plan, plan.state, out) } else { plan.state };
    push_plan(dossier, state.after(event).map_err(|illegal| illegal.message_zh())?, 0, out);
    Ok(())
}

/// The day of the last money that is added up (R11). A known day is what it is; of a date that is missing or impossible
/// the day on which the file came says nothing, and a clerk says the bank's.
fn day_of_the_last(
    matter: &Matter<'_>,
    pool: &[&OpenException],
    resolution: &Resolution,
    today: Date,
) -> Result<Date, No> {
    let last = pool.iter().filter_map(|open| open.booked_on).max();
    let is_unknown = |class| class == Class::BadBookingDate;
    match resolution.booked_on {
        None => last.filter(|_| !is_unknown(matter.class)).ok_or(BOOKED_ON.to_owned()),
        Some(said) if pool.iter().any(|open| is_unknown(open.class)) => {
            let drafted = matter.instruction.map(|instruction| instruction.batch.drafted_on);
            let year_begins = matter.dossier.map(|dossier| Date::constant(dossier.fee_year, 1, 1));
            possible(said, drafted.or(year_begins).unwrap_or(said), today)
        }
        Some(said) => match last {
            Some(last) if last != said => Err(format!("该款的记账日为 {last}，不能改为 {said}")),
            _ => Ok(said),
        },
    }
}

/// A day on which a bank can have booked: not before what it answers, and not one to come.
fn possible(day: Date, first: Date, today: Date) -> Result<Date, No> {
    let is_possible = (first..=today).contains(&day);
    is_possible.then_some(day).ok_or_else(|| format!("记账日 {day} 不可能：应在 {first} 至 {today} 之间"))
}

/// A clerk's word on the day on which money that is here goes on: not before it came. A statement's day is the bank's own.
pub fn check_day_on(matter: &Matter<'_>, resolution: &Resolution, today: Date) -> Result<(), No> {
    let (Some(said), Some(original)) = (resolution.booked_on, matter.posting) else { return Ok(()) };
    let goes_on = match resolution.decision {
        Decision::Refund | Decision::Reverse => true,
        Decision::Settled => matter.transfer.is_some(),
        Decision::Failed => false,
    };
    if goes_on { possible(said, original.booked_on, today).map(|_| ()) } else { Ok(()) }
}

/// The instruction whose money is recognised settles: it is in suspense, or its money was held beside it, because another
/// attempt was live when it came.
fn settle_held(matter: &Matter<'_>, out: &mut Changeset) -> Result<(), No> {
    use InstructionState::{Cancelled, Failed, Suspense};
    let Some(instruction) = matter.instruction else { return Ok(()) };
    match instruction.state {
        Suspense => move_instruction(instruction, InstructionEvent::Settled, None, out),
        Failed | Cancelled => {
            let held = instruction.state.after(InstructionEvent::MoneyHeld).map_err(|illegal| illegal.message_zh())?;
            let held = InstructionMatter { state: held, ..instruction.clone() };
            move_instruction(&held, InstructionEvent::Settled, Some(Outcome::Ok), out)
        }
        _ => Ok(()),
    }
}

fn fits(terms: &Terms, amount: Money) -> bool {
    amount.is_positive() && (amount == terms.own() || amount == terms.tier)
}

/// R4 to R7: the version in force on that day, else today's; age and status judged by it.
fn terms_on(matter: &Matter<'_>, dossier: &Dossier, plan: &PlanBook, day: Date) -> Result<Terms, No> {
    if day.year() != dossier.fee_year {
        return Err(format!("记账日在 {} 年，不能记入 {} 年度（R13）", day.year(), dossier.fee_year));
    }
    let policy = matter.policy.ok_or("政策文件没有该缴费年度")?;
    policy.age_refusal_after_planning(dossier.id, dossier.fee_year, day).map_err(|refusal| refusal.to_string())?;
    let person = dossier.participant.as_ref().ok_or("此人不在参保人员表上")?;
    if !person.is_normal_on(day) {
        return Err(Refusal::Status { on: day }.to_string());
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
            out.opened.push(rest(matter, open.class, open.amount - taken, open.instruction, open.booked_on));
        }
    }
}

fn rest(
    matter: &Matter<'_>,
    class: Class,
    amount: Money,
    instruction: Option<crate::domain::ids::InstructionNumber>,
    held_on: Option<Date>,
) -> NewException {
    NewException {
        class,
        participant: matter.dossier.map(|dossier| dossier.id),
        fee_year: matter.dossier.map(|dossier| dossier.fee_year),
        instruction,
        line: None,
        amount,
        posting: None,
        reason: format!("例外 {} 处理后的余款", matter.id),
        held_on,
    }
}

/// Suspense money goes back to where it came from.
fn give_back(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let amount = resolution.amount.unwrap_or(matter.amount);
    if !amount.is_positive() || amount > matter.amount {
        return Err(format!("暂收 {} 元：退款不能超过此数", matter.amount));
    }
    let when = booked(resolution.booked_on.unwrap_or(today), matter.closed);
    push(matter, postings::refund(PostingKey::Resolution(matter.id), when, amount), None, resolution, out);
    out.closed.push((matter.id, closing_words(resolution)));
    if amount < matter.amount {
        keep_rest(matter, matter.amount - amount, out);
        return Ok(());
    }
    free_refunded(matter, out)
}

/// The bank took suspense money back: the contra of the posting that held it.
fn take_back(matter: &Matter<'_>, resolution: &Resolution, today: Date, out: &mut Changeset) -> Result<(), No> {
    let original = matter.posting.ok_or("找不到持有该款的记账：请退款 refund")?;
    if original.event != Event::Suspense {
        return Err("该款由更正转入暂收，银行没有冲正：请退款 refund".to_owned());
    }
    let held: Money = original.entries.iter().map(|entry| entry.amount()).sum();
    if held != matter.amount {
        return Err(format!("原记账 {held} 元，现暂收 {} 元：余款请退款 refund", matter.amount));
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

/// R14: the own money went back. What was not paid to the person is owed no more. What was paid stays, so that nothing
/// may be deemed received beside it: a clerk must look before the person is asked again.
pub fn withdraw_ex_post(dossier: &Dossier, out: &mut Changeset) {
    let Some(plan) = &dossier.plan else { return };
    match plan.ex_post.map(|state| (state, state.after(ExPostEvent::Withdrawn))) {
        None => {}
        Some((_, Ok(_))) => out.ex_post_withdrawn.push((dossier.id, dossier.fee_year)),
        Some((state, Err(_))) => {
            let reason = format!("个人缴费已冲正，而事后补助为“{} {}”", state.chinese(), state.word());
            out.opened.push(NewException::note(Class::ExPostPaid, dossier, reason));
            if let Ok(state) = PlanState::Planned.after(PlanEvent::Blocked) {
                push_plan(dossier, state, 0, out);
            }
        }
    }
}

fn ex_post(dossier: &Dossier, subsidy: crate::domain::policy::Subsidy, paid: Money, booked_on: Date) -> ExPost {
    ExPost { participant: dossier.id, fee_year: dossier.fee_year, subsidy, paid, booked_on }
}

/// The version by which money of that day is posted: the one in force, else today's.
fn in_force_version(dossier: &Dossier, day: Date) -> Option<u32> {
    let versions = dossier.versions();
    let that_day = in_force(versions, day).filter(|version| version.terms.is_ok());
    that_day.or(versions.last()).map(|version| version.number)
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
    out.postings.push(NewPosting { posting, concerns: Some(Box::new(concerns)) });
}

fn move_instruction(
    instruction: &InstructionMatter,
    event: InstructionEvent,
    outcome: Option<Outcome>,
    out: &mut Changeset,
) -> Result<(), No> {
    let state = instruction.state.after(event).map_err(|illegal| illegal.message_zh())?;
    out.instructions.push((instruction.number, state, outcome));
    Ok(())
}

/// What a plan is once its money went back.
fn unpaid(plan: &PlanBook, fee_year: FeeYear, today: Date) -> Result<PlanState, No> {
    plan.state.reopened(plan.latest().terms.is_ok(), fee_year, today).map_err(|illegal| illegal.message_zh())
}

fn move_plan(dossier: &Dossier, event: PlanEvent, failed: u32, out: &mut Changeset) -> Result<(), No> {
    let Some(plan) = &dossier.plan else { return Ok(()) };
    let state = plan.state.after(event).map_err(|illegal| illegal.message_zh())?;
    push_plan(dossier, state, failed, out);
    Ok(())
}

fn push_plan(dossier: &Dossier, state: PlanState, failed: u32, out: &mut Changeset) {
    let (participant, fee_year) = (dossier.id, dossier.fee_year);
    out.plans.push(PlanChange { participant, fee_year, version: None, state, failed, turns_limit: None });
}

fn instruction_and_person<'a>(matter: &Matter<'a>) -> Result<(&'a InstructionMatter, &'a Dossier), No> {
    matter.instruction.zip(matter.dossier).ok_or("该例外没有对应到某人的指令".to_owned())
}
