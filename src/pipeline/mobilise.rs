//! R17: recognised people whom the scheme does not reach, reported back to their payer so that somebody speaks with them
//! (part 三（一）). No error of anybody: four kinds, told apart.

use crate::domain::calendar::Date;
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode, Payer, Status};
use crate::domain::plan::PlanState;
use crate::domain::policy::{Policy, YearTerms};
use crate::domain::returns::Outcome;

/// One person on one payer's list in force, with what else is known.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// Who lists.
    pub payer: Payer,
    /// For which district.
    pub district: DistrictCode,
    /// Whom.
    pub id: IdNumber,
    /// As what.
    pub category: Category,
    /// The list's name.
    pub name: String,
    /// The roster's row.
    pub enrolled: Option<Enrolled>,
    /// The plan of the fee year for which the list counts.
    pub plan: Option<Unpaid>,
}

/// What the roster says.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The roster's name.
    pub name: String,
    /// Enrolment district.
    pub district: DistrictCode,
    /// Participation status.
    pub status: Status,
    /// Since when.
    pub status_since: Date,
    /// 乡镇街道.
    pub town: String,
    /// 村社区.
    pub village: String,
}

/// How a plan stands.
#[derive(Clone, Debug)]
pub struct Unpaid {
    /// State of the plan.
    pub state: PlanState,
    /// Own part.
    pub own: Money,
    /// Debit date of the newest instruction that was not cancelled.
    pub debit_on: Option<Date>,
    /// What the bank said of it.
    pub outcome: Option<Outcome>,
}

/// Why somebody is to be spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Not on the roster.
    NotEnrolled,
    /// On the roster, status not 正常.
    Suspended,
    /// The own part was not received by the final sweep (R13).
    Unpaid,
    /// At the age limit: draws a pension, or should apply for it.
    OverAge,
}

impl Reach {
    /// Every kind with its word and its Chinese.
    pub const ALL: [(Reach, &str, &str); 4] = [
        (Reach::NotEnrolled, "not-enrolled", "未参保"),
        (Reach::Suspended, "suspended", "参保状态不正常"),
        (Reach::Unpaid, "unpaid", "最后一次扣款后仍未缴费"),
        (Reach::OverAge, "over-age", "已满年龄上限"),
    ];

    /// The word of exports.
    pub fn word(self) -> &'static str {
        Reach::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        Reach::ALL[self as usize].2
    }
}

/// R17: of which kind this person is; `None` for whom the scheme reaches, or may still reach.
///
/// Age comes first: nobody is asked to enrol who may not; whoever paid is reached whatever the roster says today.
pub fn reach(policy: &Policy, year: &YearTerms, person: &Recognised, today: Date) -> Option<Reach> {
    let plan = person.plan.as_ref();
    if plan.is_some_and(|plan| plan.state.is_paid()) {
        return None;
    }
    if policy.age_refusal(person.id, year.fee_year, today).is_err() {
        return Some(Reach::OverAge);
    }
    let Some(enrolled) = &person.enrolled else { return Some(Reach::NotEnrolled) };
    if enrolled.status != Status::Normal && enrolled.status_since <= today {
        return Some(Reach::Suspended);
    }
    let swept = |plan: &Unpaid| plan.debit_on.is_some_and(|day| day > year.deposit_until) || today > year.last_debit;
    let is_unpaid = |plan: &&Unpaid| plan.state != PlanState::Waiting && plan.own.is_positive() && swept(plan);
    plan.filter(|plan| today > year.deposit_until && is_unpaid(plan)).map(|_| Reach::Unpaid)
}
