//! A correction (R21, design section 7): we were wrong. What was posted is judged once more, as of its booking date, by
//! the lists and the roster that are known now; what differs is posted beside it. `collection` never moves.

use crate::domain::calendar::{Date, Month};
use crate::domain::exception::Class;
use crate::domain::ledger::{Posting, PostingKey};
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::domain::plan::{PlanEvent, PlanState, PlanVersion};
use crate::domain::policy::{Circumstances, Policy, Refusal, Terms, YearTerms};
use crate::domain::postings::{self, Deemed};
use crate::pipeline::book::{Changeset, Concerns, Dossier, ExPost, NewException, NewPosting, PlanBook, PlanChange};
use crate::pipeline::post::booked;
use crate::pipeline::resolving::{No, Righted, Standing, withdraw_ex_post};
use std::collections::BTreeSet;

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Recognised in error: there was no government part.
    NotEntitled,
    /// Died or left before the booking date, learnt afterwards (R6).
    LeftBefore,
    /// Another payer, district or category owes, or another amount.
    Terms,
}

impl Fault {
    /// Every fault with its word and its Chinese name.
    pub const ALL: [(Fault, &str, &str); 3] = [
        (Fault::NotEntitled, "not-entitled", "认定有误"),
        (Fault::LeftBefore, "left-before", "记账日前死亡或退出"),
        (Fault::Terms, "terms", "代缴部门、区县、类别或金额有误"),
    ];

    /// The word of `--as-class`.
    pub fn word(self) -> &'static str {
        Fault::ALL[self as usize].1
    }

    /// The words for clerks.
    pub fn chinese(self) -> &'static str {
        Fault::ALL[self as usize].2
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Fault> {
        Fault::ALL.iter().find(|(_, known, _)| *known == word).map(|(fault, ..)| *fault)
    }
}

/// A posting that may be wrong, with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Wrong<'a> {
    /// The posting.
    pub posting: &'a Posting,
    /// What was corrected in it before, newest first.
    pub corrections: &'a [Righted],
    /// Person and plan.
    pub dossier: &'a Dossier,
    /// The policy of the fee year, and its values.
    pub policy: (&'a Policy, &'a YearTerms),
    /// The tier by which it was posted: fixed once the own part is received (R3).
    pub tier: Money,
    /// The ex-post subsidy that stands: payer, district, category and amount.
    pub owed: Option<Owed>,
    /// Closed months (R11).
    pub closed: &'a BTreeSet<Month>,
}

/// An ex-post subsidy as it was found.
pub type Owed = (Payer, DistrictCode, Category, Money);

/// What would be right.
struct Right {
    terms: Result<Terms, Refusal>,
    deemed: Deemed,
    /// Own money does not fit: to suspense.
    own_leaves: bool,
    /// The government part goes to the person (R14).
    is_ex_post: bool,
    /// What was paid is what is due.
    is_paid: bool,
}

impl Wrong<'_> {
    /// The ex-post subsidy by which the plan is paid.
    fn owed(&self) -> Option<Owed> {
        self.owed.filter(|_| self.dossier.plan.as_ref().is_some_and(|plan| plan.state == PlanState::ExPost))
    }
}

impl Right {
    fn owed(&self) -> Option<Owed> {
        let subsidy = self.terms.ok().and_then(|terms| terms.subsidy).filter(|_| self.is_ex_post)?;
        Some((subsidy.payer, subsidy.district, subsidy.category, subsidy.amount))
    }
}

/// Corrects a posting as a changeset, or says why not.
pub fn correct(wrong: &Wrong<'_>, fault: Fault, reason: &str, today: Date) -> Result<Changeset, No> {
    let plan = wrong.dossier.plan.as_ref().ok_or("此人该年度没有缴费计划")?;
    if !plan.state.is_paid() {
        return Err(format!("该年度计划现为“{} {}”，没有可更正的记账", plan.state.chinese(), plan.state.word()));
    }
    let was = Standing::of(wrong.posting, wrong.corrections);
    if was.is_nothing() {
        return Err("该记账已全部更正转出，此人该年度由另一笔缴费收足：请更正那一笔".to_owned());
    }
    let right = judge_again(wrong, &was)?;
    fits(fault, &right)?;
    let deemed_changes = was.deemed != right.deemed;
    if !deemed_changes && !right.own_leaves && right.owed() == wrong.owed() {
        return Err("按现行名单和参保人员表，该记账无误：请先投递更正后的名单或参保人员表".to_owned());
    }
    let mut out = Changeset::default();
    let number = plan.latest().number + 1;
    let old = was.deemed.filter(|_| deemed_changes);
    let new = right.deemed.filter(|_| deemed_changes);
    let own = if right.own_leaves { was.own } else { Money::ZERO };
    let target = wrong.corrections.first().map_or(&wrong.posting.key, |newest| &newest.posting.key);
    let key = PostingKey::Correction(Box::new(target.clone()));
    let posting = postings::correction(key, booked(today, wrong.closed), old, new, own);
    if !posting.entries.is_empty() {
        let concerns = Concerns {
            participant: Some(wrong.dossier.id),
            fee_year: Some(wrong.dossier.fee_year),
            version: Some(number),
            content: reason.to_owned(),
            ..Concerns::default()
        };
        out.postings.push(NewPosting { posting, concerns: Some(Box::new(concerns)) });
    }
    if own.is_positive() {
        let reason = format!("{} {}：原缴个人部分 {own} 元", fault.chinese(), fault.word());
        let note = NewException::note(Class::Corrected, wrong.dossier, reason);
        out.opened.push(NewException { amount: own, posting: Some(0), ..note });
    }
    follow(wrong, plan, &right, own, number, today, &mut out)?;
    Ok(out)
}

/// R2 to R6 once more, as of the booking date, with the tier that was paid for.
fn judge_again(wrong: &Wrong<'_>, was: &Standing) -> Result<Right, No> {
    let mut person = wrong.dossier.participant.clone().ok_or("此人不在参保人员表上")?;
    person.tier = wrong.tier;
    let circumstances = Circumstances {
        participant: &person,
        recognitions: &wrong.dossier.recognitions,
        ever_listed: wrong.dossier.ever_listed,
        confirmed_names: &wrong.dossier.confirmed_names,
    };
    let (policy, year) = wrong.policy;
    let on = wrong.posting.booked_on;
    let terms = policy.terms(year, circumstances, on, on);
    let open = |own_leaves| Right { terms, deemed: None, own_leaves, is_ex_post: false, is_paid: false };
    Ok(match terms {
        Err(Refusal::NameDiffers) => return Err("名单与参保人员表姓名不一致：请先处理该例外".to_owned()),
        Err(_) => open(was.own.is_positive()),
        Ok(terms) if terms.own() == was.own => Right { deemed: terms.deemed(), is_paid: true, ..open(false) },
        Ok(terms) if terms.own().is_zero() => Right { deemed: terms.deemed(), is_paid: true, ..open(true) },
        Ok(terms) if terms.tier == was.own && terms.subsidy.is_some() => {
            Right { is_ex_post: true, is_paid: true, ..open(false) }
        }
        Ok(_) => open(was.own.is_positive()),
    })
}

/// What the clerk says must be what lists and roster say now.
fn fits(fault: Fault, right: &Right) -> Result<(), No> {
    let subsidy = right.terms.ok().and_then(|terms| terms.subsidy);
    let (is_it, lacks) = match fault {
        Fault::NotEntitled => (right.terms.is_ok() && subsidy.is_none(), "名单上仍有此人：请先投递更正后的名单"),
        Fault::LeftBefore => (
            matches!(right.terms, Err(Refusal::Status { .. })),
            "参保人员表上此人记账日仍为正常：请先投递更正后的参保人员表（参保状态、状态日期）",
        ),
        Fault::Terms => (subsidy.is_some(), "名单上没有此人，或不再符合条件：请按 not-entitled 或 left-before 更正"),
    };
    if is_it { Ok(()) } else { Err(lacks.to_owned()) }
}

/// What the plan becomes: paid by the right terms, or open again.
fn follow(
    wrong: &Wrong<'_>,
    plan: &PlanBook,
    right: &Right,
    held: Money,
    number: u32,
    today: Date,
    out: &mut Changeset,
) -> Result<(), No> {
    let dossier = wrong.dossier;
    let paid_again = |event| plan.state.after(PlanEvent::Reversed).and_then(|open| open.after(event));
    let state = match (right.terms, right.is_paid) {
        (Ok(_), true) if right.is_ex_post => paid_again(PlanEvent::PaidWhole),
        (Ok(_), true) => paid_again(PlanEvent::Received),
        (terms, _) => plan.state.reopened(terms.is_ok(), dossier.fee_year, today).and_then(|state| match state {
            PlanState::Planned if held.is_positive() => state.after(PlanEvent::Blocked),
            state => Ok(state),
        }),
    }
    .map_err(|illegal| illegal.message_zh())?;
    // What was found for the person is owed no more, or by another payer.
    if right.owed() != wrong.owed() {
        if plan.state == PlanState::ExPost {
            withdraw_ex_post(dossier, out);
        }
        if let (true, Ok(Terms { subsidy: Some(subsidy), .. })) = (right.is_ex_post, right.terms) {
            let booked_on = wrong.posting.booked_on;
            let (participant, fee_year, paid) = (dossier.id, dossier.fee_year, wrong.tier);
            out.ex_post.push(ExPost { participant, fee_year, subsidy, paid, booked_on });
        }
    }
    let enrolled = dossier.participant.as_ref().map(|person| person.district).ok_or("此人不在参保人员表上")?;
    let version = PlanVersion { number, from: today, terms: right.terms };
    out.plans.push(PlanChange {
        participant: dossier.id,
        fee_year: dossier.fee_year,
        version: Some((version, enrolled)),
        state,
        failed: 0,
        turns_limit: None,
    });
    Ok(())
}
