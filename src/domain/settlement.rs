//! Settlement (清算), ex-post subsidies and transfers: what a payer is asked for, and what its money clears (R14 to R16).

use crate::domain::calendar::{Date, next_day};
use crate::domain::money::Money;
use crate::domain::participant::Category;
use crate::domain::plan::IllegalTransition;
use crate::domain::policy::{Policies, Policy};
use std::collections::BTreeMap;

/// The year that is settled: it ends on the policy's last day within it (R15).
pub type SettlementYear = i16;

impl Policies {
    /// R15: the policy whose dates rule a settlement year: of the newest fee year that had begun by then. So what was
    /// paid after the last fee year's 31 August is settled by that year's dates.
    fn of_settlement(&self, year: SettlementYear) -> Option<&Policy> {
        let begun = self.0.iter().flat_map(|policy| policy.years.iter().map(move |terms| (terms.fee_year, policy)));
        let newest = begun.filter(|(fee_year, _)| *fee_year <= year).max_by_key(|(fee_year, _)| *fee_year);
        newest.map(|(_, policy)| policy).or(self.0.iter().min_by_key(|policy| policy.years.first().map(|y| y.fee_year)))
    }

    /// The last day of a settlement year (R15); `None` without a policy.
    pub fn settlement_end(&self, year: SettlementYear) -> Option<Date> {
        Some(day_of(year, self.of_settlement(year)?.settlement_ends))
    }

    /// The first day of a settlement year (R15): the day after the year before ended. The first year has none: it
    /// begins with the policy.
    pub fn settlement_start(&self, year: SettlementYear) -> Option<Date> {
        (Some(year) != self.first_settlement()).then(|| self.settlement_end(year - 1).map(next_day)).flatten()
    }

    /// R15: the settlement year of a date.
    pub fn settlement_year(&self, date: Date) -> Option<SettlementYear> {
        let year = self.year_of(date)?;
        self.first_settlement().map(|first| year.max(first))
    }

    /// R15: the first settlement year begins with the policy: with the first day on which anything is planned.
    pub fn first_settlement(&self) -> Option<SettlementYear> {
        self.0
            .iter()
            .flat_map(|policy| &policy.years)
            .map(|year| year.planned_from)
            .min()
            .and_then(|day| self.year_of(day))
    }

    fn year_of(&self, date: Date) -> Option<SettlementYear> {
        let ends_before = self.settlement_end(date.year())? < date;
        Some(date.year() + i16::from(ends_before))
    }

    /// R15: the settlement goes to the payers by this day.
    pub fn settlement_due(&self, year: SettlementYear) -> Option<Date> {
        self.after_the_end(year, |policy| policy.settlement_due)
    }

    /// R15: the payers apply for the money by this day.
    pub fn application_due(&self, year: SettlementYear) -> Option<Date> {
        self.after_the_end(year, |policy| policy.application_due)
    }

    /// R16: a transfer is late after this day.
    pub fn transfer_due(&self, year: SettlementYear) -> Option<Date> {
        self.after_the_end(year, |policy| policy.transfer_due)
    }

    /// The first such day after the end of a settlement year.
    fn after_the_end(&self, year: SettlementYear, of: fn(&Policy) -> (i8, i8)) -> Option<Date> {
        let end = self.settlement_end(year)?;
        let due = day_of(end.year(), of(self.of_settlement(year)?));
        Some(if due > end { due } else { day_of(end.year() + 1, of(self.of_settlement(year)?)) })
    }
}

/// This day of a year; 29 February is the last of February.
fn day_of(year: i16, (month, day): (i8, i8)) -> Date {
    Date::new(year, month, day).unwrap_or_else(|_| Date::constant(year, month, 1).last_of_month())
}

/// What a claim is for (R15): the two are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimKind {
    /// 代缴: deemed received, owed to the collection account.
    Deemed,
    /// 事后补助: owed to the person, never to us.
    ExPost,
}

impl ClaimKind {
    /// Every kind with its word and its Chinese name.
    pub const ALL: [(ClaimKind, &str, &str); 2] =
        [(ClaimKind::Deemed, "deemed", "代缴"), (ClaimKind::ExPost, "ex-post", "事后补助")];

    /// The word used in exports.
    pub fn word(self) -> &'static str {
        ClaimKind::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        ClaimKind::ALL[self as usize].2
    }
}

/// What one person adds to a settlement: a deemed entry or an ex-post subsidy; what took one back counts negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The participant's key.
    pub participant: i64,
    /// Name on the roster when the settlement was drafted.
    pub name: String,
    /// For which fee year.
    pub fee_year: i16,
    /// As what the person was recognised.
    pub category: Category,
    /// For what.
    pub kind: ClaimKind,
    /// How much; negative for what took something back.
    pub amount: Money,
    /// Takes back something that an earlier settlement claimed: a line of its own.
    pub takes_back: bool,
    /// Counted for an earlier year, and was processed after that year's settlement was approved.
    pub is_late: bool,
}

/// Claims of one person for one fee year, category and kind are one: what came and went within the settlement is
/// nothing. What takes back a claim of an earlier settlement stands apart. In the order of the papers: fee year,
/// category, kind, claims before what is taken back, person.
pub fn net(claims: &[Claim]) -> Vec<Claim> {
    let mut people: BTreeMap<_, Claim> = BTreeMap::new();
    for claim in claims {
        let key = (claim.fee_year, claim.category, claim.kind, claim.takes_back, claim.participant);
        match people.get_mut(&key) {
            Some(sum) => {
                sum.amount += claim.amount;
                sum.is_late |= claim.is_late;
            }
            None => _ = people.insert(key, claim.clone()),
        }
    }
    let mut net: Vec<Claim> = people.into_values().filter(|claim| !claim.amount.is_zero()).collect();
    net.sort_by_key(|claim| (claim.fee_year, claim.category, claim.kind, claim.is_negative(), claim.participant));
    net
}

impl Claim {
    /// Its payer owes less by it.
    pub fn is_negative(&self) -> bool {
        self.amount < Money::ZERO
    }
}

/// A line of a settlement: people and amount of one fee year, category and kind; what is taken back on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The fee year.
    pub fee_year: i16,
    /// The category.
    pub category: Category,
    /// Deemed or ex-post.
    pub kind: ClaimKind,
    /// How many people.
    pub people: u64,
    /// How much.
    pub amount: Money,
}

/// The lines of net claims, in their order.
pub fn lines(net: &[Claim]) -> Vec<Line> {
    let together = |one: &Claim, next: &Claim| {
        let key = |claim: &Claim| (claim.fee_year, claim.category, claim.kind, claim.is_negative());
        key(one) == key(next)
    };
    let line = |claims: &[Claim]| {
        let Claim { fee_year, category, kind, .. } = claims[0];
        Line { fee_year, category, kind, people: claims.len() as u64, amount: claims.iter().map(|c| c.amount).sum() }
    };
    net.chunk_by(together).map(line).collect()
}

/// What net claims of one kind add up to.
pub fn total(net: &[Claim], kind: ClaimKind) -> Money {
    net.iter().filter(|claim| claim.kind == kind).map(|claim| claim.amount).sum()
}

/// R16: of a payer's money so much clears what a settlement still owes; the rest may not be posted.
pub fn split_transfer(amount: Money, owed: Money) -> (Money, Money) {
    let cleared = amount.min(owed.max(Money::ZERO));
    (cleared, amount - cleared)
}

/// State of a settlement (design section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettlementState {
    /// Made again whenever something that it counts changes.
    Drafted,
    /// Frozen: its bytes are those that a checker saw.
    Approved,
    /// It lies in the payer's folder.
    Sent,
    /// The payer owes nothing of it any more.
    Cleared,
}

/// What happens to a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettlementEvent {
    /// Another person said yes to its bytes.
    Approved,
    /// It was seen in the payer's folder.
    Sent,
    /// Nothing of it is owed any more.
    Cleared,
}

impl SettlementState {
    /// Every state with its word and its Chinese name.
    pub const ALL: [(SettlementState, &str, &str); 4] = [
        (SettlementState::Drafted, "drafted", "已起草"),
        (SettlementState::Approved, "approved", "已批准"),
        (SettlementState::Sent, "sent", "已发送"),
        (SettlementState::Cleared, "cleared", "已结清"),
    ];

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        SettlementState::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        SettlementState::ALL[self as usize].2
    }

    /// Every legal move; the last arm refuses.
    pub fn after(self, event: SettlementEvent) -> Result<SettlementState, IllegalTransition> {
        use SettlementEvent as E;
        use SettlementState::*;
        Ok(match (self, event) {
            (Drafted, E::Approved) => Approved,
            (Approved, E::Sent) => Sent,
            (Sent, E::Cleared) => Cleared,
            (state, event) => {
                let event = match event {
                    E::Approved => "approved",
                    E::Sent => "sent",
                    E::Cleared => "cleared",
                };
                let (state, state_zh) = (state.word(), state.chinese());
                return Err(IllegalTransition { subject: "settlement", state, state_zh, event });
            }
        })
    }
}

/// State of an ex-post subsidy (design section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExPostState {
    /// Owed to the person; the payer does not know yet.
    Due,
    /// On a list in the payer's folder.
    Listed,
    /// The payer says that the person has it.
    Paid,
    /// The payer says that it could not be paid.
    Returned,
    /// The person's own money went back.
    Withdrawn,
}

/// What happens to an ex-post subsidy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExPostEvent {
    /// It stands on a list for its payer.
    Listed,
    /// The payer paid it.
    Paid,
    /// The payer could not pay it.
    Returned,
    /// The person's own money went back.
    Withdrawn,
}

impl ExPostState {
    /// Every state with its word and its Chinese name.
    pub const ALL: [(ExPostState, &str, &str); 5] = [
        (ExPostState::Due, "due", "待列名"),
        (ExPostState::Listed, "listed", "已列名"),
        (ExPostState::Paid, "paid", "已发放"),
        (ExPostState::Returned, "returned", "已退回"),
        (ExPostState::Withdrawn, "withdrawn", "已撤回"),
    ];

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        ExPostState::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        ExPostState::ALL[self as usize].2
    }

    /// Every legal move; the last arm refuses. What could not be paid may be paid later, or be owed no more.
    pub fn after(self, event: ExPostEvent) -> Result<ExPostState, IllegalTransition> {
        use ExPostEvent as E;
        use ExPostState::*;
        Ok(match (self, event) {
            (Due, E::Listed) => Listed,
            (Listed | Returned, E::Paid) => Paid,
            (Listed, E::Returned) => Returned,
            (Due | Listed | Returned, E::Withdrawn) => Withdrawn,
            (state, event) => {
                let event = match event {
                    E::Listed => "listed",
                    E::Paid => "paid",
                    E::Returned => "returned",
                    E::Withdrawn => "withdrawn",
                };
                let (state, state_zh) = (state.word(), state.chinese());
                return Err(IllegalTransition { subject: "ex-post subsidy", state, state_zh, event });
            }
        })
    }

    /// The person has, or will get, the government part in this way: never a deemed entry beside it (R14).
    pub fn stands(self) -> bool {
        self != ExPostState::Withdrawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::{AgeAsOf, KeepLowest, YearTerms};

    fn policy(years: &[i16], ends: (i8, i8)) -> Policy {
        let year = |fee_year: &i16| YearTerms {
            fee_year: *fee_year,
            tiers: Vec::new(),
            kept: Money::ZERO,
            lists_due: Date::constant(*fee_year, 1, 1),
            planned_from: Date::constant(*fee_year, if *fee_year == 2018 { 7 } else { 1 }, 1),
            deposit_until: Date::constant(*fee_year, 11, 30),
            last_debit: Date::constant(*fee_year, 12, 20),
        };
        Policy {
            key: String::new(),
            title: String::new(),
            years: years.iter().map(year).collect(),
            categories: Vec::new(),
            tie_order: Vec::new(),
            keep_lowest: KeepLowest::EverListed,
            age_limit: 60,
            age_as_of: AgeAsOf::Debit,
            max_removed: rust_decimal::Decimal::ONE,
            attempts: 6,
            arrival_days: 3,
            settlement_ends: ends,
            settlement_due: (9, 20),
            application_due: (9, 30),
            transfer_due: (10, 31),
        }
    }

    fn day(year: i16, month: i8, day: i8) -> Date {
        Date::constant(year, month, day)
    }

    #[test]
    fn a_settlement_year_ends_on_its_last_day() {
        let policies = Policies(vec![policy(&[2018, 2019, 2020], (8, 31))]);
        for (date, year) in [
            (day(2018, 7, 1), 2018),
            (day(2018, 8, 31), 2018),
            (day(2018, 9, 1), 2019),
            (day(2019, 8, 31), 2019),
            (day(2020, 9, 1), 2021),
            (day(2020, 12, 31), 2021),
            // Before the policy's start there is nothing to settle: it belongs to the first year.
            (day(2017, 3, 1), 2018),
        ] {
            assert_eq!(policies.settlement_year(date), Some(year), "{date}");
        }
        assert_eq!(policies.settlement_start(2018), None);
        assert_eq!(policies.settlement_start(2019), Some(day(2018, 9, 1)));
        assert_eq!(policies.settlement_end(2021), Some(day(2021, 8, 31)));
        assert_eq!(policies.settlement_due(2021), Some(day(2021, 9, 20)));
        assert_eq!(policies.transfer_due(2018), Some(day(2018, 10, 31)));
        assert_eq!(Policies::default().settlement_year(day(2018, 7, 1)), None);
    }

    #[test]
    fn a_later_policy_changes_nothing_before_it() {
        let policies = Policies(vec![policy(&[2021], (12, 31)), policy(&[2018, 2019, 2020], (8, 31))]);
        assert_eq!(policies.settlement_end(2020), Some(day(2020, 8, 31)));
        assert_eq!(policies.settlement_end(2021), Some(day(2021, 12, 31)));
        assert_eq!(policies.settlement_year(day(2020, 9, 1)), Some(2021));
        // Due days that lie before the end of the year are those of the next.
        assert_eq!(policies.settlement_due(2021), Some(day(2022, 9, 20)));
    }

    fn claim(participant: i64, fen: i64) -> Claim {
        Claim {
            participant,
            name: String::new(),
            fee_year: 2018,
            category: Category::SubsistenceAllowance,
            kind: ClaimKind::Deemed,
            amount: Money::from_fen(fen),
            takes_back: false,
            is_late: false,
        }
    }

    #[test]
    fn what_came_and_went_is_nothing_and_what_is_taken_back_stands_alone() {
        let back = |participant| Claim { takes_back: true, ..claim(participant, -7_000) };
        let claims = [back(2), claim(1, 7_000), claim(2, 7_000), claim(1, -7_000)];
        let net = net(&claims);
        let shown: Vec<(u64, i64)> = lines(&net).iter().map(|line| (line.people, line.amount.fen())).collect();
        assert_eq!(shown, [(1, 7_000), (1, -7_000)]);
        assert_eq!(total(&net, ClaimKind::Deemed), Money::ZERO);
    }

    #[test]
    fn a_transfer_never_clears_more_than_is_owed() {
        let split = |amount, owed| {
            let (cleared, rest) = split_transfer(Money::from_fen(amount), Money::from_fen(owed));
            (cleared.fen(), rest.fen())
        };
        assert_eq!([split(70, 70), split(50, 70), split(90, 70)], [(70, 0), (50, 0), (70, 20)]);
        // A settlement of nothing but what is taken back owes nothing.
        assert_eq!(split(90, -70), (0, 90));
    }
}
