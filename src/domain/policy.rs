//! The policy: values are data, the rules that use them are here, each with its R number.

use crate::domain::calendar::{Date, FeeYear, Month};
use crate::domain::ids::{IdNumber, fold_name};
use crate::domain::ledger::Account;
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode, Participant, Payer, Recognition};
use rust_decimal::Decimal;
use std::cmp::Reverse;
use std::fmt;

/// One policy document as data (`policy/*.toml`).
#[derive(Clone, Debug)]
pub struct Policy {
    /// File stem, the key of the policy.
    pub key: String,
    /// Title of the document.
    pub title: String,
    /// Values of each fee year, oldest first.
    pub years: Vec<YearTerms>,
    /// Rates and payers (R1).
    pub categories: Vec<CategoryTerms>,
    /// Who wins a tie between the hardship winner and 残联 (R5), first wins.
    pub tie_order: Vec<Payer>,
    /// Who may keep the lowest tier of the hardship groups (R3).
    pub keep_lowest: KeepLowest,
    /// The birthday that is already out (R6), in years.
    pub age_limit: i16,
    /// The day on which age is judged (R6).
    pub age_as_of: AgeAsOf,
    /// A list version that removes more than this share of its scope waits for approval (R7).
    pub max_removed: Decimal,
    /// How often one plan is asked of a bank before the final sweep.
    pub attempts: u32,
    /// Working days within which the bank statement must show the money (R22).
    pub arrival_days: u32,
    /// Last day of the settlement year, month and day (R15).
    pub settlement_ends: (i8, i8),
    /// Settlement due, month and day (R15).
    pub settlement_due: (i8, i8),
    /// The payers apply for the money by then, month and day (R15).
    pub application_due: (i8, i8),
    /// Transfers are late after this month and day (R16).
    pub transfer_due: (i8, i8),
}

/// Values of one fee year.
#[derive(Clone, Debug)]
pub struct YearTerms {
    /// The fee year.
    pub fee_year: FeeYear,
    /// Tiers on offer.
    pub tiers: Vec<Money>,
    /// Lowest tier kept for hardship groups: the base of every government part (R2).
    pub kept: Money,
    /// Lists of the year before are due by then (R8).
    pub lists_due: Date,
    /// From this day on the business date's year is planned (2018: 1 July).
    pub planned_from: Date,
    /// Last day to deposit the own part (R13).
    pub deposit_until: Date,
    /// No debit date after this day (R13).
    pub last_debit: Date,
}

/// What one category gets, and from whom (R1).
#[derive(Clone, Debug)]
pub struct CategoryTerms {
    /// The category.
    pub category: Category,
    /// The only payer that may list it.
    pub payer: Payer,
    /// What the government pays.
    pub benefit: Benefit,
    /// First fee year, last fee year (R4).
    pub years: (FeeYear, FeeYear),
    /// Fee year Y uses recognitions of year Y − lag (R4).
    pub lag: i16,
}

/// What the government pays for a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Benefit {
    /// This share of the base.
    Rate(Decimal),
    /// This amount, whatever the base.
    Fixed(Money),
}

/// Who may keep the lowest tier of the hardship groups when the general one is higher (R3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepLowest {
    /// Whoever was ever on a list.
    EverListed,
    /// Whoever is entitled in the fee year.
    Entitled,
}

/// The day on which age is judged (R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgeAsOf {
    /// The debit date of the instruction.
    Debit,
    /// 1 January of the fee year.
    YearStart,
    /// The business date of planning.
    Plan,
}

/// Who pays the government part of one person, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsidy {
    /// Who owes.
    pub payer: Payer,
    /// The recognising district, which owes (R17).
    pub district: DistrictCode,
    /// As what the person was recognised.
    pub category: Category,
    /// 认定年度 of that recognition.
    pub recognized_year: i16,
    /// How much.
    pub amount: Money,
}

/// What one participant owes for one fee year: tier = government part + own part, always exactly (R3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Yearly contribution chosen.
    pub tier: Money,
    /// The government part with its payer; `None` without recognition.
    pub subsidy: Option<Subsidy>,
}

impl Terms {
    /// Government part (代缴).
    pub fn government(&self) -> Money {
        self.subsidy.map_or(Money::ZERO, |subsidy| subsidy.amount)
    }

    /// Own part (个人缴费).
    pub fn own(&self) -> Money {
        self.tier - self.government()
    }

    /// The account that owes the government part, and how much; `None` without one.
    pub fn deemed(&self) -> Option<(Account, Money)> {
        let subsidy = self.subsidy.filter(|subsidy| subsidy.amount.is_positive())?;
        Some((Account::Receivable(subsidy.payer, subsidy.district), subsidy.amount))
    }
}

/// Our rule says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// R3: the tier is not on offer, or not for this person.
    Tier(Money),
    /// R6: 60 on that day or before.
    Age {
        /// The birthday that is out.
        reached: Date,
    },
    /// R6: the status was not 正常 on that day.
    Status {
        /// The day of judgment.
        on: Date,
    },
    /// R17: a list has the same ID with another name.
    NameDiffers,
}

impl Refusal {
    /// The word: exception class and reason in tables.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::Tier(_) => "tier",
            Refusal::Age { .. } => "age",
            Refusal::Status { .. } => "status",
            Refusal::NameDiffers => "name-differs",
        }
    }
}

/// The wording for clerks: what plans and exceptions show.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Tier(tier) => write!(f, "缴费档次 {tier} 元不在可选范围（R3）"),
            Refusal::Age { reached } => write!(f, "{reached} 已达年龄上限（R6）"),
            Refusal::Status { on } => write!(f, "{on} 参保状态不是“正常”（R6）"),
            Refusal::NameDiffers => write!(f, "名单上同一身份证号的姓名不同（R17）"),
        }
    }
}

/// Everything about one participant that the rules of a plan may know.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The roster's row.
    pub participant: &'a Participant,
    /// Their rows in all lists in force, of any year.
    pub recognitions: &'a [Recognition],
    /// Whether any list ever had them.
    pub ever_listed: bool,
    /// Other names on lists that a clerk confirmed to mean this person (R17).
    pub confirmed_names: &'a [String],
}

impl Policy {
    /// Values of a fee year.
    pub fn year(&self, fee_year: FeeYear) -> Option<&YearTerms> {
        self.years.iter().find(|year| year.fee_year == fee_year)
    }

    /// Values of a category.
    pub fn category(&self, category: Category) -> Option<&CategoryTerms> {
        self.categories.iter().find(|terms| terms.category == category)
    }

    /// R1: whether this payer may list this category.
    pub fn may_list(&self, payer: Payer, category: Category) -> bool {
        self.category(category).is_some_and(|terms| terms.payer == payer)
    }

    /// R2 to R6: what this person owes for the fee year, status judged on `day`, age on `age_day`.
    pub fn terms(
        &self,
        year: &YearTerms,
        person: Circumstances<'_>,
        age_day: Date,
        day: Date,
    ) -> Result<Terms, Refusal> {
        let participant = person.participant;
        self.age_refusal(participant.id, year.fee_year, age_day)?;
        if !participant.is_normal_on(day) {
            return Err(Refusal::Status { on: day });
        }
        let counting: Vec<&Recognition> =
            person.recognitions.iter().filter(|row| self.counts_for(row, year.fee_year)).collect();
        let known = |name: &str| same_name(name, &participant.name) || person.confirmed_names.iter().any(|n| n == name);
        if !counting.iter().all(|row| known(&row.name)) {
            return Err(Refusal::NameDiffers);
        }
        let subsidy = self.subsidy(year, participant.district, &counting);
        if !self.is_on_offer(year, participant.tier, person.ever_listed, subsidy.is_some()) {
            return Err(Refusal::Tier(participant.tier));
        }
        // R3: never more than the tier, so that the own part is never negative under a fixed benefit.
        let subsidy = subsidy.map(|s| Subsidy { amount: s.amount.min(participant.tier), ..s });
        Ok(Terms { tier: participant.tier, subsidy })
    }

    /// R6: under the age limit on `day`, or on the day the policy names instead. The birthday itself is out.
    pub fn age_refusal(&self, id: IdNumber, fee_year: FeeYear, day: Date) -> Result<(), Refusal> {
        let reached = id.birthday(self.age_limit);
        let judged = match self.age_as_of {
            AgeAsOf::Debit | AgeAsOf::Plan => day,
            AgeAsOf::YearStart => Date::constant(fee_year, 1, 1),
        };
        if judged < reached { Ok(()) } else { Err(Refusal::Age { reached }) }
    }

    /// R6: age is judged once. Where planning judged it (`age_as_of = "plan"`), no later day does.
    pub fn age_refusal_after_planning(&self, id: IdNumber, fee_year: FeeYear, day: Date) -> Result<(), Refusal> {
        if self.age_as_of == AgeAsOf::Plan { Ok(()) } else { self.age_refusal(id, fee_year, day) }
    }

    /// R4: recognitions of year Y − lag count for fee year Y, within the years of their category.
    pub fn counts_for(&self, row: &Recognition, fee_year: FeeYear) -> bool {
        self.category(row.category).is_some_and(|terms| {
            row.year == fee_year - terms.lag && (terms.years.0..=terms.years.1).contains(&fee_year)
        })
    }

    /// R4: the fee year for which a recognition of this category and year counts.
    pub fn fee_year_of(&self, category: Category, recognized_year: i16) -> Option<FeeYear> {
        self.category(category).map(|terms| recognized_year + terms.lag)
    }

    /// R3: a tier on offer; the lowest tier kept for hardship groups only for them.
    fn is_on_offer(&self, year: &YearTerms, tier: Money, ever_listed: bool, entitled: bool) -> bool {
        let keeps = match self.keep_lowest {
            KeepLowest::EverListed => ever_listed || entitled,
            KeepLowest::Entitled => entitled,
        };
        year.tiers.contains(&tier) || (tier == year.kept && keeps)
    }

    /// R5: at most one benefit. Within a payer the larger amount, then the enrolment district, then the lower code;
    /// 民政 before 扶贫; the winner of these against 残联 by amount, a tie by `tie_order`.
    fn subsidy(&self, year: &YearTerms, enrolled: DistrictCode, rows: &[&Recognition]) -> Option<Subsidy> {
        let best_of = |payer: Payer| {
            rows.iter()
                .filter(|row| row.payer == payer)
                .filter_map(|row| self.benefit(year, row))
                .min_by_key(|s| (Reverse(s.amount), s.district != enrolled, s.district, s.category))
        };
        let hardship = best_of(Payer::CivilAffairs).or_else(|| best_of(Payer::PovertyAlleviation));
        let disability = best_of(Payer::DisabilityFederation);
        let rank = |payer| self.tie_order.iter().position(|p| *p == payer);
        hardship.into_iter().chain(disability).min_by_key(|s| (Reverse(s.amount), rank(s.payer)))
    }

    /// R1, R2: what one recognition is worth.
    fn benefit(&self, year: &YearTerms, row: &Recognition) -> Option<Subsidy> {
        let amount = match self.category(row.category)?.benefit {
            Benefit::Rate(rate) => year.kept.at_rate(rate),
            Benefit::Fixed(amount) => amount,
        };
        let Recognition { payer, district, category, year: recognized_year, .. } = *row;
        Some(Subsidy { payer, district, category, recognized_year, amount })
    }
}

/// R17: names compare after folding.
pub fn same_name(one: &str, other: &str) -> bool {
    one == other || fold_name(one) == fold_name(other)
}

/// R11: the month of the booking date; where that is closed, the first open month after it.
pub fn posting_month(booked_on: Date, is_closed: impl Fn(Month) -> bool) -> Month {
    let mut month = Month::of(booked_on);
    while is_closed(month) {
        month = month.next();
    }
    month
}

/// Every policy, chosen by fee year.
#[derive(Clone, Debug, Default)]
pub struct Policies(pub Vec<Policy>);

impl Policies {
    /// The policy and the values of a fee year.
    pub fn of(&self, fee_year: FeeYear) -> Option<(&Policy, &YearTerms)> {
        self.0.iter().find_map(|policy| policy.year(fee_year).map(|year| (policy, year)))
    }

    /// The fee year planned on a business date: the year of the date, from the day that its policy names.
    pub fn planned_on(&self, today: Date) -> Option<FeeYear> {
        let (_, year) = self.of(today.year())?;
        (today >= year.planned_from).then_some(year.fee_year)
    }

    /// The policy with the newest fee year.
    pub fn newest(&self) -> Option<&Policy> {
        self.0.iter().max_by_key(|policy| policy.years.last().map(|year| year.fee_year))
    }
}
