//! A bureau written from the rules alone: plain, slow, and sharing nothing with the product. It is told what happened,
//! event by event, and says what must be true.
//!
//! R numbers are those of the rules (`docs/rules.md`), section numbers those of the design.

mod money;
mod planning;
pub(crate) mod rules;
pub(crate) mod settle;
mod statement;

use crate::years::facts::*;
use rules::*;
use std::collections::{BTreeMap, BTreeSet};

/// A person and a fee year.
pub(crate) type Key = (String, i32);

/// One version of a plan: in force from a day until the next.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) from: Day,
    pub(crate) terms: Result<Terms, Refusal>,
    /// The enrolment district.
    home: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Released,
    Sent,
    Settled,
    Failed,
    Unknown,
    Suspense,
    Cancelled,
    Refunded,
    Reversed,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Released => "released",
            State::Sent => "sent",
            State::Settled => "settled",
            State::Failed => "failed",
            State::Unknown => "unknown",
            State::Suspense => "suspense",
            State::Cancelled => "cancelled",
            State::Refunded => "refunded",
            State::Reversed => "reversed",
        }
    }

    /// Section 6, R12.
    fn is_live(self) -> bool {
        matches!(self, State::Released | State::Sent | State::Unknown | State::Suspense)
    }
}

/// What one line of a file asks of a bank.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub(crate) attempt: u32,
    pub(crate) bank: String,
    pub(crate) amount: Fen,
    pub(crate) state: State,
    pub(crate) outcome: &'static str,
    /// Known once the bank has the file.
    pub(crate) number: String,
    account: String,
    /// A clerk said that it was taken; the bank has not yet.
    by_hand: bool,
    /// Which batch, an index.
    batch: usize,
    /// Which version of the plan, an index.
    version: usize,
    drafted_on: Day,
    debit_on: Day,
    answers: Vec<Answer>,
}

/// What came for a plan in full, and stands.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    own: Fen,
    deemed: Fen,
    tier: Fen,
    booked_on: Day,
    /// Which version of the plan it was posted by.
    pub(crate) version: usize,
    /// Indexes of its entries.
    entries: Vec<usize>,
    /// Which claim its deemed entry is, an index.
    claim: Option<usize>,
    /// What was wrong in it was put right.
    corrected: bool,
}

/// One participant and fee year.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) versions: Vec<Version>,
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) received: Option<Received>,
    pub(crate) lapsed: bool,
}

impl Plan {
    fn live(&self) -> Option<&Instruction> {
        self.instructions.iter().find(|instruction| instruction.state.is_live())
    }

    fn latest(&self) -> &Version {
        self.versions.last().expect("a plan has a version")
    }

    /// The version in force on a day: the newest that had begun.
    fn in_force(&self, day: Day) -> Option<usize> {
        (0..self.versions.len()).rev().find(|place| self.versions[*place].from <= day)
    }
}

/// An exception.
#[derive(Clone, Debug)]
pub(crate) struct Matter {
    pub(crate) class: &'static str,
    pub(crate) key: Key,
    /// Index of the instruction within the plan.
    pub(crate) instruction: Option<usize>,
    /// Money that it holds in suspense.
    pub(crate) amount: Fen,
    booked_on: Option<Day>,
    pub(crate) open: bool,
}

/// One debit and credit pair of the ledger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) fee_year: i32,
    pub(crate) event: &'static str,
    pub(crate) debit: String,
    pub(crate) credit: String,
    pub(crate) amount: Fen,
    pub(crate) month: (i32, u32),
    pub(crate) booked_on: Day,
    pub(crate) payer: &'static str,
    pub(crate) category: &'static str,
    pub(crate) district: String,
    /// The instruction that it came through, as its attempt; 0 for another channel.
    pub(crate) attempt: u32,
    pub(crate) bank: String,
}

impl Entry {
    /// R11 and section 7: the government part is deemed received, everything else is cash.
    pub(crate) fn basis(&self) -> &'static str {
        let deemed = self.debit.starts_with("receivable") || self.credit.starts_with("receivable");
        if deemed && !self.debit.starts_with("collection") { "deemed" } else { "cash" }
    }
}

/// The government part that goes to the person (R14).
#[derive(Clone, Debug)]
pub(crate) struct ExPost {
    pub(crate) subsidy: Subsidy,
    pub(crate) paid: Fen,
    /// Which claim, an index.
    claim: usize,
    pub(crate) state: &'static str,
}

/// A list in force.
#[derive(Clone, Debug)]
struct InForce {
    as_of: Day,
    /// The name that the list gives, and the day on which the row was accepted.
    rows: BTreeMap<(String, &'static str), (String, Day)>,
}

pub(crate) type Scope = (&'static str, String, i32);

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) roster: BTreeMap<String, RosterRow>,
    lists: BTreeMap<Scope, InForce>,
    waiting_removals: BTreeMap<Scope, Vec<(String, &'static str)>>,
    /// R8a: every payer and district whose list is expected.
    pub(crate) expected: Vec<(&'static str, String)>,
    pub(crate) plans: BTreeMap<Key, Plan>,
    pub(crate) matters: Vec<Matter>,
    matters_of: BTreeMap<Key, Vec<usize>>,
    pub(crate) entries: Vec<Entry>,
    /// Oldest first: one that was withdrawn may be followed by another.
    pub(crate) ex_post: Vec<(Key, ExPost)>,
    /// Who has one that was not withdrawn.
    standing_ex_post: BTreeSet<Key>,
    claims: Vec<settle::Claim>,
    pub(crate) settlements: BTreeMap<(i32, settle::Debtor), settle::Settlement>,
    /// Zero-payment batches that wait: fee year → who, by which terms.
    waiting_zero: BTreeMap<i32, Vec<(String, Terms)>>,
    batches: usize,
    numbers: BTreeMap<String, (Key, usize)>,
    payments: BTreeMap<(String, String), Payment>,
    /// References and amounts of payers' money.
    transfers: BTreeSet<(String, Fen)>,
    /// Lines of statements, by bank and serial.
    lines: BTreeSet<(String, String)>,
    /// Instructions whose money went back before a statement showed it, and how much.
    went_back: BTreeMap<String, Fen>,
    closed: BTreeSet<(i32, u32)>,
    /// What happened, in words, by person: shown where the two sides differ.
    pub(crate) stories: BTreeMap<String, Vec<String>>,
    /// What the product did that the rules do not say.
    pub(crate) faults: Vec<String>,
}

impl Model {
    /// Lets one event happen.
    pub(crate) fn happen(&mut self, today: Day, event: &Event) {
        match event {
            Event::Roster(rows) => rows.iter().for_each(|row| self.take_roster(row, today)),
            Event::List(list) => self.take_list(list, today),
            Event::ApproveRemovals(payer, district, year) => {
                self.approve_removals((payer, district.clone(), *year), today)
            }
            Event::Payments(rows) => rows.iter().for_each(|row| self.take_payment(row, today)),
            Event::Plan(year) => self.plan(*year, today),
            Event::Instruct(year, debit_on) => self.instruct(*year, *debit_on, today),
            Event::ApproveZero(year) => self.approve_zero(*year, today),
            Event::Sent(bank, year, asked) => self.sent(bank, *year, asked, today),
            Event::Returned(answers) => answers.iter().for_each(|answer| self.answer(answer, today)),
            Event::Rejected(numbers) => self.reject(numbers, today),
            Event::Decided(decision) => self.decide(decision, today),
            Event::Closed(year, month) => _ = self.closed.insert((*year, *month)),
            Event::Settle(year) => self.settle(*year),
            Event::ApproveSettlement(year, payer, district) => {
                self.approve_settlement(*year, &(payer, district.clone()));
            }
            Event::Transfers(rows) => rows.iter().for_each(|row| self.transfer(row)),
            Event::Statement(lines) => lines.iter().for_each(|line| self.take_line(line, today)),
            Event::Corrected(id, year) => self.correct(&(id.clone(), *year), today),
            Event::ListExPost(year) => self.list_ex_post(*year),
            Event::ExPostPaid(keys) => self.ex_post_paid(keys),
        }
    }

    /// R15: as long as one settlement of a year is not approved, whoever comes to owe of that year is drafted too.
    pub(crate) fn follow(&mut self) {
        let drafts = self.settlements.iter().filter(|(_, settlement)| !settlement.approved);
        let is_there = |(year, debtor): &(i32, settle::Debtor)| !self.lines(*year, debtor).is_empty();
        let mut open: BTreeSet<i32> = BTreeSet::new();
        for (of, _) in drafts {
            if !open.contains(&of.0) && is_there(of) {
                open.insert(of.0);
            }
        }
        open.into_iter().for_each(|year| self.settle(year));
    }

    /// Lists whose removals wait for a checker.
    pub(crate) fn removals_that_wait(&self) -> Vec<Scope> {
        self.waiting_removals.keys().cloned().collect()
    }

    fn tell(&mut self, id: &str, today: Day, words: String) {
        self.stories.entry(id.to_owned()).or_default().push(format!("{today} {words}"));
    }

    /// R4: fee year Y uses the recognitions of year Y − 1, over all lists in force.
    fn recognitions(&self, id: &str, fee_year: i32) -> Vec<Recognition> {
        let mut found = Vec::new();
        if !(2018..=2020).contains(&fee_year) {
            return found;
        }
        for ((_, district, _), list) in self.lists.iter().filter(|((.., year), _)| *year == fee_year - 1) {
            let rows = list.rows.range((id.to_owned(), "")..).take_while(|((person, _), _)| person == id);
            for ((_, category), (name, _)) in rows {
                found.push(Recognition { district: district.clone(), category, name: name.clone() });
            }
        }
        found
    }

    /// The word of a plan's state, from what is known of it (section 6).
    pub(crate) fn state(&self, key: &Key) -> &'static str {
        let plan = &self.plans[key];
        if plan.received.is_some() {
            return if self.is_ex_post(key) { "ex-post" } else { "received" };
        }
        if plan.lapsed {
            return "lapsed";
        }
        if plan.latest().terms.is_err() {
            return "removed";
        }
        if plan.live().is_some() {
            return "waiting";
        }
        if self.is_blocked(key) { "exception" } else { "planned" }
    }

    fn is_ex_post(&self, key: &Key) -> bool {
        self.standing_ex_post.contains(key)
    }

    /// Section 6, R14, R18: what keeps anything new from being asked. Where nothing is asked, only money does.
    fn is_blocked(&self, key: &Key) -> bool {
        let own = self.plans[key].latest().terms.as_ref().map_or(0, Terms::own);
        let open = self.open_of(key);
        if own > 0 {
            return cannot_be_asked(&self.roster[&key.0]) || !open.is_empty();
        }
        open.iter().any(|place| self.matters[*place].amount > 0)
    }

    /// The open exceptions of a plan, oldest first.
    fn open_of(&self, key: &Key) -> Vec<usize> {
        let all = self.matters_of.get(key).map_or(&[][..], Vec::as_slice);
        all.iter().copied().filter(|place| self.matters[*place].open).collect()
    }

    fn raise(&mut self, matter: Matter) {
        self.matters_of.entry(matter.key.clone()).or_default().push(self.matters.len());
        self.matters.push(matter);
    }
}
