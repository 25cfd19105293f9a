//! The voucher of a month (收付实现制): what moved on the fund's accounts, event by event; deemed entries beside it as a
//! memorandum. A closed month does not change any more, so neither does its voucher.

use crate::config::Config;
use crate::domain::calendar::Month;
use crate::domain::ledger::{Basis, Event};
use crate::domain::money::Money;
use crate::store::Result;
use crate::store::balance::{Moved, moved_of};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// One line of a voucher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Number of the voucher: month and sequence.
    pub voucher: String,
    /// `cash`, or `memorandum` for what is deemed.
    pub kind: &'static str,
    /// The month.
    pub month: Month,
    /// The event.
    pub event: Event,
    /// Code of the fund's account.
    pub code: String,
    /// Its name.
    pub account: String,
    /// Debited.
    pub debit: Money,
    /// Credited.
    pub credit: Money,
    /// Number of entries in it.
    pub entries: i64,
}

impl Line {
    /// The cells of the export `voucher`, in the order of [`HEADINGS`].
    pub fn cells(&self) -> Vec<String> {
        vec![
            self.voucher.clone(),
            self.kind.to_owned(),
            self.month.to_string(),
            self.event.word().to_owned(),
            format!("{} {}", self.month, self.event.chinese()),
            self.code.clone(),
            self.account.clone(),
            self.debit.to_string(),
            self.credit.to_string(),
            self.entries.to_string(),
        ]
    }
}

/// Columns of the export `voucher`.
pub const HEADINGS: [&str; 10] =
    ["voucher", "kind", "month", "event", "summary", "code", "account", "debit", "credit", "entries"];

/// The vouchers of a month: one for each event, cash before memoranda; each balances.
pub fn vouchers(conn: &Connection, config: &Config, month: Month) -> Result<Vec<Line>> {
    let mut groups: BTreeMap<(bool, Event), Vec<Moved>> = BTreeMap::new();
    for moved in moved_of(conn, month)? {
        groups.entry((moved.basis() == Basis::Deemed, moved.event)).or_default().push(moved);
    }
    let mut lines = Vec::new();
    for (sequence, ((is_memorandum, event), moved)) in groups.into_iter().enumerate() {
        let voucher = format!("{month}-{:02}", sequence + 1);
        let kind = if is_memorandum { "memorandum" } else { "cash" };
        lines.extend(of_event(config, &moved).into_iter().map(|((code, account), (debit, credit, entries))| Line {
            voucher: voucher.clone(),
            kind,
            month,
            event,
            code,
            account,
            debit,
            credit,
            entries,
        }));
    }
    Ok(lines)
}

type Sums = BTreeMap<(String, String), (Money, Money, i64)>;

fn of_event(config: &Config, moved: &[Moved]) -> Sums {
    let mut sums = Sums::new();
    for one in moved {
        let mut enter = |account, debit: Money, credit: Money| {
            let title = config.titles.of(account, one.basis());
            let sum = sums.entry((title.code.clone(), title.name.clone())).or_default();
            *sum = (sum.0 + debit, sum.1 + credit, sum.2 + one.entries);
        };
        enter(one.debit, one.amount, Money::ZERO);
        enter(one.credit, Money::ZERO, one.amount);
    }
    sums
}

/// The voucher as a CSV file.
pub fn as_csv(lines: &[Line]) -> Vec<u8> {
    let row = |cells: Vec<String>| {
        cells.iter().map(|cell| crate::store::outgoing::quoted(cell)).collect::<Vec<_>>().join(",")
    };
    let mut text = HEADINGS.join(",") + "\n";
    lines.iter().for_each(|line| text.push_str(&(row(line.cells()) + "\n")));
    text.into_bytes()
}
