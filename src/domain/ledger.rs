//! The ledger: entries are pairs of one debit, one credit and one amount, so a posting cannot be unbalanced.

use crate::domain::calendar::{Date, Month};
use crate::domain::ids::{BatchNumber, InstructionNumber};
use crate::domain::money::Money;
use crate::domain::participant::{DistrictCode, Payer};
use std::fmt;

/// An account of the ledger (design section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// 征缴户存款: money in the bureau's bank account.
    Collection,
    /// 暂收款: money that may not be posted yet.
    Suspense,
    /// 个人账户—个人缴费.
    PersonalOwn,
    /// 个人账户—政府代缴.
    PersonalGovernment,
    /// 应收代缴款: deemed received, not yet transferred.
    Receivable(Payer, DistrictCode),
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Collection => f.write_str("collection"),
            Account::Suspense => f.write_str("suspense"),
            Account::PersonalOwn => f.write_str("personal/own"),
            Account::PersonalGovernment => f.write_str("personal/government"),
            Account::Receivable(payer, district) => write!(f, "receivable/{}/{district}", payer.word()),
        }
    }
}

/// One balanced pair of a posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    debit: Account,
    credit: Account,
    amount: Money,
}

/// Whether money arrived, or the law deems it received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Money arrived.
    Cash,
    /// 视同实收.
    Deemed,
}

impl Basis {
    /// The word used in exports.
    pub fn word(self) -> &'static str {
        match self {
            Basis::Cash => "cash",
            Basis::Deemed => "deemed",
        }
    }
}

impl Entry {
    /// `amount` from `debit` to `credit`. A zero or negative amount is a broken invariant.
    pub fn new(debit: Account, credit: Account, amount: Money) -> Entry {
        assert!(amount.is_positive() && debit != credit, "an entry moves money between two accounts");
        Entry { debit, credit, amount }
    }

    /// The account debited.
    pub fn debit(&self) -> Account {
        self.debit
    }

    /// The account credited.
    pub fn credit(&self) -> Account {
        self.credit
    }

    /// How much.
    pub fn amount(&self) -> Money {
        self.amount
    }

    /// Deemed where the government part of a personal account is touched, else cash.
    pub fn basis(&self) -> Basis {
        let touches_government = [self.debit, self.credit].contains(&Account::PersonalGovernment);
        if touches_government { Basis::Deemed } else { Basis::Cash }
    }

    /// The same pair with its sides swapped.
    pub fn contra(&self) -> Entry {
        Entry { debit: self.credit, credit: self.debit, amount: self.amount }
    }
}

/// What happened (design section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// The own part, or the whole tier, came in.
    SelfPayment,
    /// R9: nothing to pay; the government part is deemed received on approval.
    ZeroPayment,
    /// Money that may not be posted yet.
    Suspense,
    /// Suspense money completed an own part.
    SuspensePosted,
    /// Suspense money went back.
    Refund,
    /// A payer's money arrived.
    Transfer,
    /// The bank took money back.
    Reversal,
    /// We were wrong.
    Correction,
}

impl Event {
    /// Every event with its word and its Chinese name.
    pub const ALL: [(Event, &str, &str); 8] = [
        (Event::SelfPayment, "self-payment", "个人缴费"),
        (Event::ZeroPayment, "zero-payment", "零自付"),
        (Event::Suspense, "suspense", "暂收款"),
        (Event::SuspensePosted, "suspense-posted", "暂收款入账"),
        (Event::Refund, "refund", "退款"),
        (Event::Transfer, "transfer", "划款"),
        (Event::Reversal, "reversal", "冲正"),
        (Event::Correction, "correction", "更正"),
    ];

    /// The word used in exports.
    pub fn word(self) -> &'static str {
        Event::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        Event::ALL[self as usize].2
    }
}

/// Identity of a posting: what happened, never where it was read. Unique for ever (design section 7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PostingKey {
    /// Money of an instruction's first paying answer, whatever its outcome.
    Return(InstructionNumber),
    /// Further money for the same instruction.
    FurtherReturn(InstructionNumber, String),
    /// Money that a bank reports under a number that is not ours: bank, text as received, bank serial.
    StrangeReturn(String, String, String),
    /// Money through another channel: channel, reference.
    Payment(String, String),
    /// Row of a zero-payment batch.
    Zero(BatchNumber, u32),
    /// A payer's money: payer, district, reference.
    Transfer(Payer, DistrictCode, String),
    /// A clerk's decision on this exception.
    Resolution(i64),
    /// Money on a statement that nothing explains: bank key, bank serial.
    Statement(String, String),
    /// The contra of this posting.
    Reversal(Box<PostingKey>),
    /// What was wrong in this posting.
    Correction(Box<PostingKey>),
    /// The text of a key as it was stored.
    Stored(String),
}

/// The text of exports: `ret:201807050100000100000001`.
impl fmt::Display for PostingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PostingKey::Return(number) => write!(f, "ret:{number}"),
            PostingKey::FurtherReturn(number, serial) => write!(f, "ret:{number}#{serial}"),
            PostingKey::StrangeReturn(bank, text, serial) => write!(f, "ret:{bank}:{text}#{serial}"),
            PostingKey::Payment(channel, reference) => write!(f, "pay:{channel}:{reference}"),
            PostingKey::Zero(batch, sequence) => write!(f, "zero:{batch}:{sequence}"),
            PostingKey::Transfer(payer, district, reference) => {
                write!(f, "trf:{}:{district}:{reference}", payer.word())
            }
            PostingKey::Resolution(exception) => write!(f, "res:{exception}"),
            PostingKey::Statement(bank, serial) => write!(f, "stm:{bank}:{serial}"),
            PostingKey::Reversal(original) => write!(f, "rev:{original}"),
            PostingKey::Correction(original) => write!(f, "cor:{original}"),
            PostingKey::Stored(text) => f.write_str(text),
        }
    }
}

/// One business event in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Its identity.
    pub key: PostingKey,
    /// What happened.
    pub event: Event,
    /// Booking date: the bank's, or the day of approval.
    pub booked_on: Date,
    /// Posting month (R11).
    pub month: Month,
    /// Its pairs.
    pub entries: Entries,
}

/// The pairs of a posting: one to four; none where a correction finds nothing wrong. Held in place, since there are
/// millions of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries([Option<Entry>; 4]);

impl Entries {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flatten()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }
}

impl FromIterator<Entry> for Entries {
    /// More than four are a broken invariant.
    fn from_iter<I: IntoIterator<Item = Entry>>(pairs: I) -> Entries {
        let mut entries = Entries::default();
        for (place, pair) in pairs.into_iter().enumerate() {
            entries.0[place] = Some(pair);
        }
        entries
    }
}
