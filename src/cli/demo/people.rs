//! The people of the demo: a made-up district office's year, dealt from a seed.
//!
//! The first people are a cast: one for every case that the rules know, so that even a small world has them all. The
//! rest come as such people come in life. Everybody is made up: area code 500199, accounts beginning 9999.

mod cast;
mod deal;
mod tables;

pub use tables::{List, Table};

use crate::cli::bank::Behaviour;
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use deal::Dealer;

/// A district of the demo.
#[derive(Debug)]
pub struct District {
    /// Its code.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// The four districts.
pub const DISTRICTS: [District; 4] = [
    District { code: "500199", name: "测试区" },
    District { code: "500198", name: "示范区" },
    District { code: "500197", name: "样例区" },
    District { code: "500196", name: "演习区" },
];

/// An entrusted bank of the demo.
#[derive(Debug)]
pub struct Bank {
    /// Its key in the configuration.
    pub key: &'static str,
    /// Its name in the roster.
    pub name: &'static str,
}

/// The three entrusted banks; bank number 1 is the first.
pub const BANKS: [Bank; 3] = [
    Bank { key: "rural", name: "农村商业银行" },
    Bank { key: "postal", name: "储蓄银行" },
    Bank { key: "city", name: "城市商业银行" },
];

/// Who recognises people.
#[derive(Debug, PartialEq, Eq)]
pub struct Payer {
    /// Its word, which is its drop folder too.
    pub word: &'static str,
    /// Its name.
    pub chinese: &'static str,
}

/// The three payers.
pub const PAYERS: [Payer; 3] = [
    Payer { word: "civil-affairs", chinese: "民政" },
    Payer { word: "poverty-alleviation", chinese: "扶贫" },
    Payer { word: "disability-federation", chinese: "残联" },
];

/// A category of recognition, with what the government pays for it in 2018 (R1, part 二（一）1).
#[derive(Debug, PartialEq, Eq)]
pub struct Category {
    /// Its word.
    pub word: &'static str,
    /// Its name.
    pub chinese: &'static str,
    /// Index into [`PAYERS`].
    pub payer: usize,
    /// The government part.
    pub government: Money,
}

const EXTREME: &Category =
    &Category { word: "extreme-poverty", chinese: "特困人员", payer: 0, government: Money::from_fen(10_000) };
const SUBSISTENCE: &Category =
    &Category { word: "subsistence-allowance", chinese: "低保对象", payer: 0, government: Money::from_fen(7_000) };
const POOR: &Category = &Category {
    word: "registered-poor",
    chinese: "建档立卡未标注脱贫贫困人口",
    payer: 1,
    government: Money::from_fen(7_000),
};
const DISABLED: &Category =
    &Category { word: "severe-disability", chinese: "重度残疾人", payer: 2, government: Money::from_fen(10_000) };

/// One row of a payer's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognition {
    /// The category.
    pub category: &'static Category,
    /// The recognising district, an index into [`DISTRICTS`].
    pub district: usize,
}

/// Where the person keeps the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// At an entrusted bank, an index into [`BANKS`].
    Entrusted(usize),
    /// At a bank that the bureau has no agreement with.
    Elsewhere,
    /// There is no account.
    Nowhere,
}

/// What an account does over the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// It has the money from the n-th attempt on, and is short before.
    FundsFrom(u32),
    /// It never has the money.
    NoFunds,
    /// The same every time.
    Always(Behaviour),
}

/// Money that the person pays without the bank's deduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnWay {
    /// The own part, before the first deduction.
    OwnPart,
    /// The whole tier, before the first deduction: an ex-post subsidy where a government part is due.
    WholeTier,
    /// An amount that fits nothing, before the first deduction.
    OddAmount,
    /// The own part at the counter in autumn, after the account was short.
    AtLast,
}

/// A participant of the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Place in the world, from 0: account, person number, town and village follow from it.
    pub number: usize,
    /// The identity number.
    pub id: IdNumber,
    /// The name on the roster.
    pub name: String,
    /// The name on the lists, where it differs.
    pub listed_as: Option<&'static str>,
    /// The enrolment district, an index into [`DISTRICTS`].
    pub district: usize,
    /// The tier in yuan.
    pub tier: i64,
    /// Where the account is.
    pub home: Home,
    /// The account holder, where it is somebody else.
    pub holder: Option<&'static str>,
    /// 参保状态.
    pub status: &'static str,
    /// Rows on the lists.
    pub recognised: Vec<Recognition>,
    /// Whether the mid-year version of the list lacks the person.
    pub removed: bool,
    /// What the account does.
    pub script: Script,
    /// Whether the person also pays another way.
    pub own_way: Option<OwnWay>,
}

impl Person {
    /// What the person has to pay: the tier less the best government part (R3, R5).
    pub fn own_part(&self) -> Money {
        let government = self.recognised.iter().map(|row| row.category.government).max().unwrap_or_default();
        Money::from_fen(self.tier * 100) - government
    }

    /// The account: 9999, the bank, the person's place, a Luhn digit. Every eighth rural one is a long passbook number.
    pub fn account(&self) -> String {
        let (bank, width) = match self.home {
            Home::Nowhere => return String::new(),
            Home::Entrusted(0) if self.number % 8 == 7 => (1, 17),
            Home::Entrusted(bank) => (bank + 1, 13),
            Home::Elsewhere => (9, 13),
        };
        let digits = format!("9999{bank}{:0width$}", self.number + 1);
        let luhn = luhn_digit(&digits);
        format!("{digits}{luhn}")
    }

    /// Whether the bank's charset and field can say the name: the GBK banks lack these characters, 40 bytes are the
    /// shortest field.
    pub fn name_can_be_sent(&self) -> bool {
        match self.home {
            Home::Entrusted(2) => true,
            Home::Entrusted(bank) => {
                let too_long = bank == 1 && self.name.chars().count() > 20;
                !too_long && !self.name.contains(NOT_IN_GBK)
            }
            Home::Elsewhere | Home::Nowhere => false,
        }
    }

    fn recognised_by(&self, payer: usize) -> impl Iterator<Item = &Recognition> {
        self.recognised.iter().filter(move |row| row.category.payer == payer)
    }
}

/// Characters that only GB 18030 has, though some GBK encoders think otherwise of the last.
const NOT_IN_GBK: [char; 3] = ['㛃', '𬭎', '䶮'];

fn luhn_digit(digits: &str) -> u32 {
    let doubled = |(place, digit): (usize, char)| {
        let digit = digit.to_digit(10).expect("an account is digits");
        if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
    };
    let sum: u32 = digits.chars().rev().enumerate().map(doubled).sum();
    (10 - sum % 10) % 10
}

/// Somebody on a list who is not on the roster (R17: reported back for mobilisation).
#[derive(Debug, PartialEq, Eq)]
struct Stranger {
    id: IdNumber,
    name: String,
    row: Recognition,
}

/// Everybody, and what they will do.
#[derive(Debug, PartialEq, Eq)]
pub struct World {
    /// The roster.
    pub people: Vec<Person>,
    strangers: Vec<Stranger>,
}

/// What the world knows of itself from its own script, to be held against what the product says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// On the roster.
    pub participants: usize,
    /// … of these with status 正常.
    pub normal: usize,
    /// … recognised by somebody.
    pub recognised: usize,
    /// … recognised by more than one payer.
    pub dual_identity: usize,
    /// … with an own part of zero.
    pub zero_own_part: usize,
    /// … who will have turned 60 by the end of 2018.
    pub sixty_in_2018: usize,
    /// … dropped by the mid-year list.
    pub removed: usize,
    /// … who paid another way before the first deduction.
    pub paid_elsewhere: usize,
    /// … without an account.
    pub without_account: usize,
    /// … with a bank that is not entrusted.
    pub unknown_bank: usize,
    /// … whose account is somebody else's.
    pub other_holder: usize,
    /// … whose name their bank cannot be sent.
    pub unsendable: usize,
    /// … whose name on the list differs.
    pub other_name: usize,
    /// On a list but not on the roster.
    pub not_enrolled: usize,
}

impl World {
    /// So many people, dealt from this seed: the same seed gives the same world. Below a hundred the cast is cut short
    /// and some lists are empty; from a few hundred on the mid-year list drops somebody.
    pub fn new(people: usize, seed: u64) -> World {
        let mut dealer = Dealer::new(seed);
        let people = (0..people).map(|number| dealer.person(number)).collect::<Vec<_>>();
        let strangers = (0..(people.len() / 400).max(12)).map(|number| dealer.stranger(number)).collect();
        let mut world = World { people, strangers };
        world.choose_removed();
        world
    }

    /// What this account does when it is asked for the `asked`-th time, from 1.
    pub fn behaviour(&self, account: &str, asked: u32) -> Behaviour {
        let place = account.get(5..account.len().saturating_sub(1)).and_then(|digits| digits.parse::<usize>().ok());
        let person = place.and_then(|place| self.people.get(place.checked_sub(1)?));
        match person.filter(|person| person.account() == account).map(|person| person.script) {
            Some(Script::FundsFrom(attempt)) if asked >= attempt => Behaviour::Pays,
            Some(Script::FundsFrom(_) | Script::NoFunds) => Behaviour::InsufficientFunds,
            Some(Script::Always(behaviour)) => behaviour,
            None => Behaviour::NoAccount,
        }
    }

    /// What must come out of this world.
    pub fn expected(&self) -> Expected {
        let count = |test: fn(&Person) -> bool| self.people.iter().filter(|person| test(person)).count();
        let early = |person: &Person| person.own_way.is_some_and(|way| way != OwnWay::AtLast);
        Expected {
            participants: self.people.len(),
            normal: count(|person| person.status == NORMAL),
            recognised: count(|person| !person.recognised.is_empty()),
            dual_identity: count(|person| (0..3).filter(|payer| person.recognised_by(*payer).count() > 0).count() > 1),
            zero_own_part: count(|person| person.own_part().is_zero()),
            sixty_in_2018: count(|person| person.id.birthday(60).year() <= 2018),
            removed: count(|person| person.removed),
            paid_elsewhere: self.people.iter().filter(|person| early(person)).count(),
            without_account: count(|person| person.home == Home::Nowhere),
            unknown_bank: count(|person| person.home == Home::Elsewhere),
            other_holder: count(|person| person.holder.is_some()),
            unsendable: count(|person| matches!(person.home, Home::Entrusted(_)) && !person.name_can_be_sent()),
            other_name: count(|person| person.listed_as.is_some()),
            not_enrolled: self.strangers.len(),
        }
    }

    /// At most 4 % of the first district's civil-affairs list go, below the 5 % at which a person is asked (R7); those
    /// who have not paid yet come first, since for them the removal changes something.
    fn choose_removed(&mut self) {
        let on_list = |person: &Person| person.recognised_by(0).any(|row| row.district == 0);
        let rows = self.people.iter().filter(|person| on_list(person)).count();
        let mut candidates: Vec<&mut Person> = self
            .people
            .iter_mut()
            .filter(|person| on_list(person) && person.recognised_by(0).count() == 1 && person.own_way.is_none())
            .collect();
        candidates.sort_by_key(|person| (person.script == Script::FundsFrom(1), person.own_part().is_zero()));
        for person in candidates.into_iter().take(rows / 25) {
            person.removed = true;
        }
    }
}

/// The only status that gets a plan (R2).
const NORMAL: &str = "正常";

#[cfg(test)]
mod tests;
