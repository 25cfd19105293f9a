//! Money: whole fen, checked sums, half-up where a rate is applied.

use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

/// An amount in fen. Overflow is a broken invariant and stops the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

impl Money {
    /// No money.
    pub const ZERO: Money = Money(0);

    /// An amount of so many fen.
    pub const fn from_fen(fen: i64) -> Money {
        Money(fen)
    }

    /// The amount in fen.
    pub const fn fen(self) -> i64 {
        self.0
    }

    /// Reads yuan with at most two decimals: `100`, `70.5`, `-3.00`. No sign `+`, no exponent, no grouping.
    pub fn parse_yuan(text: &str) -> Option<Money> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, cents) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(cents) || cents.len() > 2 || whole.len() > 15 {
            return None;
        }
        let scale = if cents.len() == 1 { 10 } else { 1 };
        let fen = whole.parse::<i64>().ok()? * 100 + cents.parse::<i64>().ok()? * scale;
        Some(Money(if negative { -fen } else { fen }))
    }

    /// `rate × self`, half-up to the fen (R3).
    pub fn at_rate(self, rate: Decimal) -> Money {
        let exact = Decimal::from(self.0) * rate;
        let rounded = exact.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
        Money(rounded.to_i64().expect("a rate of an amount fits the amount's type"))
    }

    /// True above zero.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// True for no money.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The amount in yuan as a decimal, for borders that speak decimals (sheets, JSON).
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, 2)
    }
}

/// Yuan with two decimals: `30.00`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let fen = self.0.unsigned_abs();
        f.pad(&format!("{sign}{}.{:02}", fen / 100, fen % 100))
    }
}

impl Add for Money {
    type Output = Money;
    fn add(self, other: Money) -> Money {
        Money(self.0.checked_add(other.0).expect("money overflow"))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Money) {
        *self = *self + other;
    }
}

impl Sub for Money {
    type Output = Money;
    fn sub(self, other: Money) -> Money {
        Money(self.0.checked_sub(other.0).expect("money overflow"))
    }
}

impl Neg for Money {
    type Output = Money;
    fn neg(self) -> Money {
        Money(-self.0)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        amounts.fold(Money::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan_is_read_strictly() {
        for (text, fen) in [("100", 10_000), ("70.5", 7_050), ("30.00", 3_000), ("-3.00", -300), ("0", 0)] {
            assert_eq!(Money::parse_yuan(text), Some(Money::from_fen(fen)), "{text}");
        }
        for text in ["", "1.", ".5", "1e3", "+5", "1,000", "1.005", " 1", "１"] {
            assert_eq!(Money::parse_yuan(text), None, "{text}");
        }
    }

    #[test]
    fn a_rate_rounds_half_up() {
        let rate = Decimal::new(70, 2);
        assert_eq!(Money::from_fen(10_000).at_rate(rate), Money::from_fen(7_000));
        assert_eq!(Money::from_fen(5).at_rate(Decimal::new(50, 2)), Money::from_fen(3));
    }
}
