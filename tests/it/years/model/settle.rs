//! Settlements, transfers and ex-post lists (R14 to R16).

use super::*;
use std::collections::BTreeMap;

/// Who owes: payer and district.
pub(crate) type Debtor = (&'static str, String);

/// What a settlement counts: one deemed entry, one ex-post subsidy, or what took one of them back.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    key: Key,
    debtor: Debtor,
    category: &'static str,
    kind: &'static str,
    amount: Fen,
    /// The settlement year in which it counts.
    year: i32,
    /// The approved settlement that holds it.
    settled: Option<i32>,
    /// It takes something back that an approved settlement had claimed.
    takes_back: bool,
}

/// A settlement as it is drafted or approved.
#[derive(Clone, Default, Debug)]
pub(crate) struct Settlement {
    pub(crate) approved: bool,
    /// What transfers have cleared.
    pub(crate) cleared: Fen,
}

/// A line of a settlement: fee year, category, kind, whether it is taken back.
pub(crate) type Line = (i32, &'static str, &'static str, bool);

impl Model {
    /// R15: a deemed entry counts by its booking date, an ex-post subsidy by the later of payment date and list
    /// acceptance. The first year begins with the policy.
    pub(super) fn claim(&mut self, key: &Key, subsidy: &Subsidy, kind: &'static str, counts_on: Day) -> usize {
        self.claims.push(Claim {
            key: key.clone(),
            debtor: (subsidy.payer, subsidy.district.clone()),
            category: subsidy.category,
            kind,
            amount: subsidy.amount,
            year: settlement_year(counts_on).max(2018),
            settled: None,
            takes_back: false,
        });
        self.claims.len() - 1
    }

    /// The same in a year that another claim decides.
    pub(super) fn claim_in(&mut self, key: &Key, subsidy: &Subsidy, year: i32) -> usize {
        let place = self.claim(key, subsidy, "deemed", Day(year, 1, 1));
        self.claims[place].year = year;
        place
    }

    /// The settlement year that has a claim, or will.
    pub(super) fn counts_for(&self, place: usize) -> i32 {
        self.claims[place].settled.unwrap_or(self.claims[place].year)
    }

    /// R15: a reversal joins the settlement of what it undoes while that is unapproved, else the next as a negative
    /// line.
    pub(super) fn take_back(&mut self, place: usize) {
        let original = self.claims[place].clone();
        let year = original.settled.unwrap_or(original.year);
        let takes_back = original.settled.is_some();
        self.claims.push(Claim { amount: -original.amount, year, settled: None, takes_back, ..original });
    }

    /// Drafts for every payer and district that owes anything of the year.
    pub(super) fn settle(&mut self, year: i32) {
        for (payer, district) in self.expected.clone() {
            let debtor = (payer, district);
            if !self.net(year, &debtor).is_empty() {
                self.settlements.entry((year, debtor)).or_default();
            }
        }
    }

    pub(super) fn approve_settlement(&mut self, year: i32, debtor: &Debtor) {
        let counted = self.counted(year, debtor);
        counted.into_iter().for_each(|place| self.claims[place].settled = Some(year));
        let settlement = self.settlements.get_mut(&(year, debtor.clone())).expect("a draft");
        settlement.approved = true;
    }

    fn is_approved(&self, year: i32, debtor: &Debtor) -> bool {
        self.settlements.get(&(year, debtor.clone())).is_some_and(|settlement| settlement.approved)
    }

    /// What is in no approved settlement and counts for this year, or for one before it whose settlement is approved: it
    /// came too late for that (R15).
    fn counted(&self, year: i32, debtor: &Debtor) -> Vec<usize> {
        let too_late = |claim: &Claim| (claim.year..year).all(|earlier| self.is_approved(earlier, debtor));
        (0..self.claims.len())
            .filter(|place| {
                let claim = &self.claims[*place];
                claim.debtor == *debtor && claim.settled.is_none() && claim.year <= year && too_late(claim)
            })
            .collect()
    }

    /// Claims of one person, fee year, category and kind are one: what came and went within a settlement is nothing.
    fn net(&self, year: i32, debtor: &Debtor) -> BTreeMap<(Line, String), Fen> {
        let places = if self.is_approved(year, debtor) {
            let is_of = |claim: &Claim| claim.debtor == *debtor && claim.settled == Some(year);
            (0..self.claims.len()).filter(|place| is_of(&self.claims[*place])).collect()
        } else {
            self.counted(year, debtor)
        };
        let mut people: BTreeMap<(Line, String), Fen> = BTreeMap::new();
        for claim in places.into_iter().map(|place| &self.claims[place]) {
            let line = (claim.key.1, claim.category, claim.kind, claim.takes_back);
            *people.entry((line, claim.key.0.clone())).or_default() += claim.amount;
        }
        people.retain(|_, amount| *amount != 0);
        people
    }

    /// The lines of a settlement: people and amount.
    pub(crate) fn lines(&self, year: i32, debtor: &Debtor) -> BTreeMap<Line, (u32, Fen)> {
        let mut lines: BTreeMap<Line, (u32, Fen)> = BTreeMap::new();
        for ((line, _), amount) in self.net(year, debtor) {
            let sum = lines.entry(line).or_default();
            *sum = (sum.0 + 1, sum.1 + amount);
        }
        lines
    }

    /// What a settlement claims for the collection account, or for the people themselves.
    pub(crate) fn total(&self, year: i32, debtor: &Debtor, kind: &str) -> Fen {
        self.net(year, debtor).iter().filter(|(((_, _, of, _), _), _)| *of == kind).map(|(_, amount)| amount).sum()
    }

    /// R16: clears at most what its settlement still owes, never by person; the rest is held.
    pub(super) fn transfer(&mut self, transfer: &Transfer) {
        let debtor = (transfer.payer, transfer.district.clone());
        let nobody: Key = (String::new(), 0);
        let of = (transfer.year, debtor.clone());
        let approved = self.is_approved(transfer.year, &debtor);
        let deemed = if approved { self.total(transfer.year, &debtor, "deemed") } else { 0 };
        let cleared = self.settlements.get(&of).map_or(0, |settlement| settlement.cleared);
        let clears = transfer.amount.min((deemed - cleared).max(0));
        if clears > 0 {
            let account = format!("receivable/{}/{}", debtor.0, debtor.1);
            let pair = ("collection", account.as_str());
            self.book_for_nobody("transfer", pair, clears, transfer.received_on);
            self.settlements.get_mut(&of).unwrap().cleared += clears;
        }
        self.transfers.insert((transfer.reference.clone(), transfer.amount));
        let amount = transfer.amount - clears;
        if amount > 0 {
            self.book_for_nobody("transfer", ("collection", "suspense"), amount, transfer.received_on);
            let booked_on = Some(transfer.received_on);
            self.raise(Matter { class: "transfer", key: nobody, instruction: None, amount, booked_on, open: true });
        }
    }

    /// R14: whoever is due and on no list yet is listed.
    pub(super) fn list_ex_post(&mut self, fee_year: i32) {
        for (key, subsidy) in &mut self.ex_post {
            if key.1 == fee_year && subsidy.state == "due" {
                subsidy.state = "listed";
            }
        }
    }

    /// R14: the payer says whom it paid.
    pub(super) fn ex_post_paid(&mut self, keys: &[Key]) {
        for (key, subsidy) in &mut self.ex_post {
            if keys.contains(key) && subsidy.state == "listed" {
                subsidy.state = "paid";
            }
        }
    }
}
