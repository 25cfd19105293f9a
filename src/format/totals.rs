//! Counts and sums of the rows of a file, computed while they pass.

use crate::domain::money::Money;
use crate::domain::returns::Outcome;
use crate::format::codes::Codes;
use crate::format::record::Record;
use crate::format::role::Role;

/// What the rows of a file add up to. Sums are wide: a hostile file cannot make them overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows.
    pub count: u64,
    /// Σ amount, fen.
    pub sum: i128,
    /// Rows whose code means `ok`.
    pub ok_count: u64,
    /// Σ actual of those, fen.
    pub ok_sum: i128,
    /// All other rows.
    pub ng_count: u64,
    /// Σ amount of those, fen.
    pub ng_sum: i128,
    /// Σ of the last eight digits of every account.
    pub tail_sum: u128,
}

impl Totals {
    /// Adds a row; `false` where its amounts cannot be read, so that sums mean nothing any more.
    #[inline]
    pub(super) fn add(&mut self, row: &Record<'_>, codes: &Codes) -> bool {
        let amount = row.money(Role::Amount);
        let due = amount.map_or(0, |amount| i128::from(amount.fen()));
        self.count += 1;
        self.sum += due;
        self.tail_sum += u128::from(account_tail(row.bytes(Role::Account)));
        let actual = match row.layout.field(Role::Actual) {
            Some(_) => row.money(Role::Actual),
            None => Some(Money::ZERO),
        };
        if codes.outcome(row.bytes(Role::Code)) == Outcome::Ok {
            self.ok_count += 1;
            self.ok_sum += actual.map_or(0, |actual| i128::from(actual.fen()));
        } else {
            self.ng_count += 1;
            self.ng_sum += due;
        }
        amount.is_some() && actual.is_some()
    }

    /// Adds a row that is written.
    #[inline]
    pub(super) fn add_request(&mut self, amount: Money, account: &[u8]) {
        self.count += 1;
        self.sum += i128::from(amount.fen());
        self.tail_sum += u128::from(account_tail(account));
    }

    /// The total that plays a role: counts as they are, sums in fen; `None` for any other role.
    pub(super) fn of(&self, role: Role) -> Option<i128> {
        match role {
            Role::Count => Some(i128::from(self.count)),
            Role::Sum => Some(self.sum),
            Role::OkCount => Some(i128::from(self.ok_count)),
            Role::OkSum => Some(self.ok_sum),
            Role::NgCount => Some(i128::from(self.ng_count)),
            Role::NgSum => Some(self.ng_sum),
            Role::TailSum => i128::try_from(self.tail_sum).ok(),
            _ => None,
        }
    }
}

/// The roles a file's own totals stand under.
pub(super) const TOTAL_ROLES: [Role; 7] =
    [Role::Count, Role::Sum, Role::OkCount, Role::OkSum, Role::NgCount, Role::NgSum, Role::TailSum];

/// The number of the last eight digits of an account; other characters do not count.
#[inline]
pub(super) fn account_tail(account: &[u8]) -> u64 {
    if let Some(last) = account.last_chunk::<8>().and_then(|last| crate::format::field::number(last)) {
        return last;
    }
    let digits = account.iter().rev().filter(|b| b.is_ascii_digit()).take(8);
    digits
        .zip([1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000])
        .map(|(b, one)| u64::from(b - b'0') * one)
        .sum()
}

/// A total for people: sums in yuan, counts as they are.
pub(super) fn shown(role: Role, value: i128) -> String {
    if role.is_money() {
        let (sign, fen) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
        format!("{sign}{}.{:02}", fen / 100, fen % 100)
    } else {
        value.to_string()
    }
}
