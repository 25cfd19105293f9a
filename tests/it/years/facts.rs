//! What happens at a bureau, in words that both sides of the comparison understand. Nothing here knows the product:
//! days, amounts (integer fen) and tables are our own.

use std::fmt;

pub(crate) type Fen = i64;

/// A civil day: year, month, day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Day(pub(crate) i32, pub(crate) u32, pub(crate) u32);

impl Day {
    pub(crate) fn compact(self) -> String {
        format!("{:04}{:02}{:02}", self.0, self.1, self.2)
    }

    pub(crate) fn month(self) -> (i32, u32) {
        (self.0, self.1)
    }

    pub(crate) fn next(self) -> Day {
        let Day(year, month, day) = self;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        match (day < days[month as usize - 1], month < 12) {
            (true, _) => Day(year, month, day + 1),
            (false, true) => Day(year, month + 1, 1),
            (false, false) => Day(year + 1, 1, 1),
        }
    }

    pub(crate) fn plus(self, days: u32) -> Day {
        (0..days).fold(self, |day, _| day.next())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0, self.1, self.2)
    }
}

/// `3000` fen as `30.00`.
pub(crate) fn yuan(fen: Fen) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.abs() / 100, fen.abs() % 100)
}

/// `30.00` as 3000 fen.
pub(crate) fn fen(text: &str) -> Fen {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, cents) = digits.split_once('.').unwrap_or_else(|| panic!("{text:?} is no amount"));
    sign * (whole.parse::<Fen>().unwrap() * 100 + cents.parse::<Fen>().unwrap())
}

pub(crate) const CIVIL: &str = "civil-affairs";
pub(crate) const POVERTY: &str = "poverty-alleviation";
pub(crate) const DISABILITY: &str = "disability-federation";
pub(crate) const PAYERS: [&str; 3] = [CIVIL, POVERTY, DISABILITY];

pub(crate) const EXTREME: &str = "extreme-poverty";
pub(crate) const SUBSISTENCE: &str = "subsistence-allowance";
pub(crate) const POOR: &str = "registered-poor";
pub(crate) const DISABLED: &str = "severe-disability";

/// The banks that are entrusted, by their keys.
pub(crate) const BANKS: [&str; 3] = ["rural", "postal", "city"];

/// A row of the roster (参保人员).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RosterRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) district: String,
    pub(crate) tier: Fen,
    /// A key of [`BANKS`], another bank's name, or empty.
    pub(crate) bank: String,
    pub(crate) account: String,
    pub(crate) holder: String,
    /// `正常`, or why not.
    pub(crate) status: String,
    /// Given wherever the status is not 正常.
    pub(crate) status_since: Option<Day>,
}

/// A row of a department's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ListRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) district: String,
    pub(crate) category: &'static str,
    pub(crate) year: i32,
    /// The identity number is written wrongly in the file: the row is refused, the person is known by name.
    pub(crate) misspelt: bool,
}

/// A department's list (代缴对象名单): one payer, district and recognition year.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) payer: &'static str,
    pub(crate) district: String,
    pub(crate) year: i32,
    pub(crate) as_of: Day,
    pub(crate) rows: Vec<ListRow>,
}

/// Money through another channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) fee_year: i32,
    pub(crate) amount: Fen,
    pub(crate) paid_on: Day,
    pub(crate) channel: String,
    pub(crate) reference: String,
}

/// What a bank says of one instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) number: String,
    /// The class of its code: `ok`, `insufficient-funds`, `unknown` …
    pub(crate) outcome: &'static str,
    pub(crate) actual: Fen,
    pub(crate) booked_on: Option<Day>,
    pub(crate) serial: String,
    pub(crate) echo_agrees: bool,
}

/// An instruction as it stands in a bank's request file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Asked {
    pub(crate) number: String,
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) amount: Fen,
}

/// A payer's money (代缴划款).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Transfer {
    pub(crate) payer: &'static str,
    pub(crate) district: String,
    pub(crate) year: i32,
    pub(crate) amount: Fen,
    pub(crate) received_on: Day,
    pub(crate) reference: String,
}

/// A line of the collection account's statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StatementLine {
    pub(crate) bank: String,
    pub(crate) booked_on: Day,
    /// As it is written.
    pub(crate) reference: String,
    /// Money going out is negative.
    pub(crate) amount: Fen,
    pub(crate) serial: String,
    /// The instruction whose money it takes back.
    pub(crate) about: Option<String>,
}

/// A clerk's decision on an open exception.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) id: String,
    pub(crate) fee_year: i32,
    pub(crate) class: String,
    /// What it holds and the instruction that it is about, if any: tells exceptions of one class apart.
    pub(crate) amount: Fen,
    pub(crate) instruction: String,
    /// `settled`, `failed`, `refund`, `reverse`.
    pub(crate) verdict: &'static str,
    pub(crate) booked_on: Option<Day>,
}

/// One dated event; events of one day happen in their order.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Roster(Vec<RosterRow>),
    List(List),
    /// A checker says yes to the removals that wait of this payer, district and year.
    ApproveRemovals(&'static str, String, i32),
    Payments(Vec<Payment>),
    Plan(i32),
    /// One round for a debit date.
    Instruct(i32, Day),
    /// A checker says yes to the zero-payment batch of a fee year.
    ApproveZero(i32),
    /// What was released left for the banks: each bank, and what stands in its files.
    Sent(&'static str, i32, Vec<Asked>),
    /// A return file: every answer in it, and whether nothing more of this batch is awaited.
    Returned(Vec<Answer>),
    /// A bank refused a whole file: the numbers in it.
    Rejected(Vec<String>),
    Decided(Decision),
    Closed(i32, u32),
    /// The settlements of a year are drafted, or drafted again.
    Settle(i32),
    /// A checker says yes to the settlement of a year, payer and district.
    ApproveSettlement(i32, &'static str, String),
    Transfers(Vec<Transfer>),
    /// The statement of the collection account.
    Statement(Vec<StatementLine>),
    /// What was posted for a person and fee year was wrong, as lists and roster say now.
    Corrected(String, i32),
    /// Payers are told whom they owe an ex-post subsidy of a fee year.
    ListExPost(i32),
    /// Payers paid the ex-post subsidies of these people and fee years.
    ExPostPaid(Vec<(String, i32)>),
}
