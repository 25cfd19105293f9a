//! R22: what the ledger says moved on the collection account, beside what the bank's statement shows.

use crate::domain::calendar::{Date, Month, WorkingDays, next_day};
use crate::domain::ids::BatchNumber;
use crate::domain::money::Money;
use std::collections::BTreeMap;
use std::fmt;

/// How two corners differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Differs {
    /// 我有行无: we have it, the bank does not.
    OursOnly,
    /// 行有我无: the bank has it, we do not.
    BankOnly,
    /// 金额不符: both have it, with other amounts.
    Amount,
    /// 状态不符: both have it, and say other things of it.
    State,
    /// 跨期: both have it, in other months or settlement years.
    Period,
}

impl Differs {
    /// Every class with its word and its Chinese name.
    pub const ALL: [(Differs, &str, &str); 5] = [
        (Differs::OursOnly, "ours-only", "我有行无"),
        (Differs::BankOnly, "bank-only", "行有我无"),
        (Differs::Amount, "amount-differs", "金额不符"),
        (Differs::State, "state-differs", "状态不符"),
        (Differs::Period, "cross-period", "跨期"),
    ];

    /// The word used in exports, figures and messages.
    pub fn word(self) -> &'static str {
        Differs::ALL[self as usize].1
    }

    /// The words for clerks.
    pub fn chinese(self) -> &'static str {
        Differs::ALL[self as usize].2
    }
}

/// Which two corners differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Corner {
    /// Instructions and the bank's returns.
    Returns,
    /// The ledger and the statement of the collection account.
    Statement,
    /// Settlements and the departments' money.
    Settlement,
}

impl Corner {
    /// Every corner with its word and its Chinese name.
    pub const ALL: [(Corner, &str, &str); 3] = [
        (Corner::Returns, "returns", "指令与回盘"),
        (Corner::Statement, "statement", "账与对账单"),
        (Corner::Settlement, "settlement", "清算与划款"),
    ];

    /// The word used in exports.
    pub fn word(self) -> &'static str {
        Corner::ALL[self as usize].1
    }

    /// The words for clerks.
    pub fn chinese(self) -> &'static str {
        Corner::ALL[self as usize].2
    }
}

/// What money on the collection account belongs to: the ledger and the statement are compared for each by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bundle {
    /// Deductions of a batch: the bank shows them in one sum.
    Batch(BatchNumber),
    /// Payments through another channel.
    Channel(String),
    /// One posting by itself: a refund, a transfer, money that nobody knows.
    Posting(String),
    /// A line of the statement that no posting answers: bank key and serial.
    Line(String),
}

/// The text as it is stored and exported: `batch:2018070501000001`.
impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bundle::Batch(number) => write!(f, "batch:{number}"),
            Bundle::Channel(channel) => write!(f, "pay:{channel}"),
            Bundle::Posting(key) => write!(f, "posting:{key}"),
            Bundle::Line(line) => write!(f, "line:{line}"),
        }
    }
}

impl Bundle {
    /// Reads the text as it is stored.
    pub fn parse(text: &str) -> Option<Bundle> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "batch" => BatchNumber::parse(rest).map(Bundle::Batch),
            "pay" => Some(Bundle::Channel(rest.to_owned())),
            "posting" => Some(Bundle::Posting(rest.to_owned())),
            "line" => Some(Bundle::Line(rest.to_owned())),
            _ => None,
        }
    }
}

/// Money of one bundle: what moved on which day, money going out negative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// By the ledger, by booking date.
    pub ours: BTreeMap<Date, Money>,
    /// By the statement, by the bank's booking date.
    pub theirs: BTreeMap<Date, Money>,
    /// The bank has not answered all of it: its money may be on the statement before its return is here.
    pub awaits_answer: bool,
}

/// How long each side may take, and which months are over.
#[derive(Clone, Copy, Debug)]
pub struct Patience<'a> {
    /// Working days within which the statement must show what the ledger has.
    pub arrival_days: u32,
    /// Working days within which the bank must answer.
    pub reply_days: u32,
    /// Last day of the settlement year, month and day (R15).
    pub settlement_ends: (i8, i8),
    /// China's working days.
    pub days: &'a WorkingDays,
    /// The business date.
    pub today: Date,
}

/// One difference of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How it differs.
    pub differs: Differs,
    /// The booking date that it is about: ours, or the bank's where we have none.
    pub on: Date,
    /// The bank's date, where it lies in another period.
    pub other_day: Option<Date>,
    /// What we have.
    pub ours: Money,
    /// What the bank has.
    pub theirs: Money,
    /// Its time is over: somebody must look. Else the money is under way.
    pub is_due: bool,
    /// The two days belong to different settlement years.
    pub crosses_settlement: bool,
}

impl Difference {
    /// What our side has more.
    pub fn gap(&self) -> Money {
        self.ours - self.theirs
    }
}

/// R22: compares a bundle month by month. Days within a month may differ; the sums of months may not.
pub fn compare(sides: &Sides, patience: &Patience<'_>) -> Vec<Difference> {
    let mut gaps = gaps(sides);
    let mut found = cross_periods(&mut gaps, patience);
    let rest: Money = gaps.iter().map(|gap| gap.amount).sum();
    if rest.is_zero() {
        return found;
    }
    let (ours, theirs): (Money, Money) = (sides.ours.values().copied().sum(), sides.theirs.values().copied().sum());
    let differs = match (sides.ours.is_empty(), sides.theirs.is_empty()) {
        (_, true) => Differs::OursOnly,
        (true, false) => Differs::BankOnly,
        (false, false) => Differs::Amount,
    };
    let on = gaps.iter().find(|gap| !gap.amount.is_zero()).map_or(patience.today, |gap| gap.day);
    let is_due =
        if rest.is_positive() { rest > under_way(sides, patience, 1) } else { rest < under_way(sides, patience, -1) };
    found.push(Difference { differs, on, other_day: None, ours, theirs, is_due, crosses_settlement: false });
    found
}

/// What may explain a difference of that sign and has its time still: what we booked and the bank will show, and what
/// the bank shows and will answer.
fn under_way(sides: &Sides, patience: &Patience<'_>, sign: i64) -> Money {
    let fits = |amount: Money| amount.fen() * sign > 0;
    let young = |side: &BTreeMap<Date, Money>, workdays: u32, factor: i64| -> Money {
        let some = side.iter().filter(|(day, _)| !patience.is_over(**day, workdays));
        some.map(|(_, amount)| Money::from_fen(amount.fen() * factor)).filter(|amount| fits(*amount)).sum()
    };
    let answers = if sides.awaits_answer {
        young(&sides.theirs, patience.reply_days.max(patience.arrival_days), -1)
    } else {
        Money::ZERO
    };
    young(&sides.ours, patience.arrival_days, 1) + answers
}

/// What one side has more in a month, and the day to speak of.
struct Gap {
    day: Date,
    amount: Money,
}

/// Months in which the sums differ, oldest first; above zero where ours is more.
fn gaps(sides: &Sides) -> Vec<Gap> {
    let mut months: BTreeMap<Month, Gap> = BTreeMap::new();
    let signed = sides.theirs.iter().map(|(day, amount)| (*day, -*amount));
    for (day, amount) in sides.ours.iter().map(|(day, amount)| (*day, *amount)).chain(signed) {
        months.entry(Month::of(day)).or_insert(Gap { day, amount: Money::ZERO }).amount += amount;
    }
    months.into_values().filter(|gap| !gap.amount.is_zero()).collect()
}

/// Money that one side has in one month and the other in another: what is left in the gaps has no partner.
fn cross_periods(gaps: &mut [Gap], patience: &Patience<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    for ours in 0..gaps.len() {
        for theirs in 0..gaps.len() {
            let moved = gaps[ours].amount.min(-gaps[theirs].amount);
            if !moved.is_positive() {
                continue;
            }
            gaps[ours].amount = gaps[ours].amount - moved;
            gaps[theirs].amount += moved;
            let (on, other) = (gaps[ours].day, gaps[theirs].day);
            let crosses_settlement = patience.settlement_year(on) != patience.settlement_year(other);
            let (differs, other_day) = (Differs::Period, Some(other));
            found.push(Difference {
                differs,
                on,
                other_day,
                ours: moved,
                theirs: moved,
                is_due: true,
                crosses_settlement,
            });
        }
    }
    found
}

impl Patience<'_> {
    /// So many working days after `day` are over. Where the calendar ends nothing is known to be late.
    fn is_over(&self, day: Date, workdays: u32) -> bool {
        self.days.add_working_days(day, workdays).is_ok_and(|last| last < self.today)
    }

    fn settlement_year(&self, day: Date) -> i16 {
        day.year() + i16::from((day.month(), day.day()) > self.settlement_ends)
    }
}

/// Working days after `since` up to `today`; where the calendar ends, as many as are known.
pub fn age_workdays(days: &WorkingDays, since: Date, today: Date) -> i64 {
    let (mut day, mut count) = (since, 0);
    while day < today {
        day = next_day(day);
        let Ok(is_worked) = days.is_working_day(day) else { break };
        count += i64::from(is_worked);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(month: i8, day: i8) -> Date {
        Date::constant(2018, month, day)
    }

    fn yuan(amount: i64) -> Money {
        Money::from_fen(amount * 100)
    }

    fn side(rows: &[(Date, i64)]) -> BTreeMap<Date, Money> {
        rows.iter().map(|(day, amount)| (*day, yuan(*amount))).collect()
    }

    fn compared(
        ours: &[(Date, i64)],
        theirs: &[(Date, i64)],
        awaits_answer: bool,
        today: Date,
    ) -> Vec<(Differs, i64, bool)> {
        let mut days = WorkingDays::default();
        days.add_year(2018, &[], &[]);
        let patience = Patience { arrival_days: 3, reply_days: 5, settlement_ends: (8, 31), days: &days, today };
        let sides = Sides { ours: side(ours), theirs: side(theirs), awaits_answer };
        compare(&sides, &patience).iter().map(|found| (found.differs, found.gap().fen() / 100, found.is_due)).collect()
    }

    #[test]
    fn a_sum_agrees_on_any_day_of_the_month() {
        let (booked, shown) = ([(day(7, 4), 60), (day(7, 5), 40)], [(day(7, 6), 100)]);
        assert_eq!(compared(&booked, &shown, false, day(7, 31)), []);
    }

    #[test]
    fn money_has_its_days_to_arrive() {
        let booked = [(day(7, 4), 60)];
        // 4 July 2018 is a Wednesday: the third working day is Monday the 9th.
        assert_eq!(compared(&booked, &[], false, day(7, 9)), [(Differs::OursOnly, 60, false)]);
        assert_eq!(compared(&booked, &[], false, day(7, 10)), [(Differs::OursOnly, 60, true)]);
        assert_eq!(compared(&booked, &[(day(7, 5), 50)], false, day(7, 10)), [(Differs::Amount, 10, true)]);
        let refund = [(day(7, 4), -60)];
        assert_eq!(compared(&refund, &[], false, day(7, 9)), [(Differs::OursOnly, -60, false)]);
        assert_eq!(compared(&refund, &[], false, day(7, 10)), [(Differs::OursOnly, -60, true)]);
    }

    #[test]
    fn a_return_has_its_days_to_come() {
        let shown = [(day(7, 4), 60)];
        assert_eq!(compared(&[], &shown, true, day(7, 11)), [(Differs::BankOnly, -60, false)]);
        assert_eq!(compared(&[], &shown, true, day(7, 12)), [(Differs::BankOnly, -60, true)]);
        assert_eq!(compared(&[], &shown, false, day(7, 4)), [(Differs::BankOnly, -60, true)]);
        assert_eq!(compared(&[(day(7, 4), 50)], &shown, false, day(7, 4)), [(Differs::Amount, -10, true)]);
    }

    #[test]
    fn another_month_is_another_period() {
        let (booked, shown) = ([(day(8, 31), 100)], [(day(9, 3), 70)]);
        let found = compared(&booked, &shown, false, day(9, 30));
        assert_eq!(found, [(Differs::Period, 0, true), (Differs::Amount, 30, true)]);
    }

    #[test]
    fn bundles_read_back() {
        for text in ["batch:2018070501000001", "pay:counter", "posting:res:12", "line:rural:B:1"] {
            assert_eq!(Bundle::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Bundle::parse("batch:1"), None);
    }
}
