//! Statements of the collection account, and what is put right (R15, R21, R22).

use super::money::Source;
use super::rules::terms;
use super::*;

impl Model {
    /// R22: money of a batch, a channel or a payer is compared, never booked; what nobody explains waits; what the bank took
    /// back is taken back. The same line again does nothing.
    pub(super) fn take_line(&mut self, line: &StatementLine, today: Day) {
        if !self.lines.insert((line.bank.clone(), line.serial.clone())) {
            return;
        }
        if line.amount > 0 {
            if !self.explains(line) {
                self.book_for_nobody("suspense", ("collection", "suspense"), line.amount, line.booked_on);
                let (key, booked_on) = ((String::new(), 0), Some(line.booked_on));
                let (class, amount) = ("unknown-money", line.amount);
                self.raise(Matter { class, key, instruction: None, amount, booked_on, open: true });
            }
            return;
        }
        let Some((key, place)) = line.about.as_ref().and_then(|number| self.numbers.get(number)).cloned() else {
            return;
        };
        let number = self.plans[&key].instructions[place].number.clone();
        if self.went_back.remove(&number).is_some() {
            return; // a clerk was faster: this line shows it
        }
        self.tell(&key.0, today, format!("the statement takes back {}", yuan(-line.amount)));
        match self.held_by(&key, place) {
            Some(matter) => {
                let from = self.source(&key, &self.matters[matter].clone());
                self.entry(&key, "reversal", ("suspense", "collection"), -line.amount, line.booked_on, &from);
                self.given_back(&key, matter);
            }
            None => {
                self.take_money_back(&key, place, line.booked_on);
                self.end_with_its_year(&key, today);
            }
        }
        self.resolve_again(&key, today);
    }

    fn explains(&self, line: &StatementLine) -> bool {
        let of_batch = |number: &String| line.reference.len() == 16 && number.starts_with(&line.reference);
        self.numbers.range(line.reference.clone()..).next().is_some_and(|(number, _)| of_batch(number))
            || self.payments.keys().any(|(channel, _)| *channel == line.reference)
            || self.transfers.contains(&(line.reference.clone(), line.amount))
    }

    /// The open exception that holds money of an instruction.
    fn held_by(&self, key: &Key, place: usize) -> Option<usize> {
        let is_it = |matter: &Matter| matter.amount > 0 && matter.instruction == Some(place);
        self.open_of(key).into_iter().find(|matter| is_it(&self.matters[*matter]))
    }

    /// What a bank may take back of a person's newest instruction: its number, a serial of its deduction, how much.
    pub(crate) fn may_go_back(&self, key: &Key) -> Option<(String, String, String, Fen)> {
        let plan = &self.plans[key];
        let place = plan.instructions.len().checked_sub(1)?;
        let asked = &plan.instructions[place];
        let paying = asked.answers.iter().find(|answer| answer.actual > 0);
        let serial = paying.map_or(String::new(), |answer| answer.serial.clone());
        let found = |amount| Some((asked.bank.clone(), asked.number.clone(), serial.clone(), amount));
        if let Some(amount) = self.went_back.get(&asked.number) {
            return found(*amount);
        }
        let holding: Vec<usize> =
            self.open_of(key).into_iter().filter(|place| self.matters[*place].amount > 0).collect();
        match (asked.state, &plan.received, &holding[..]) {
            (State::Settled, Some(received), []) => {
                let through_it = |entry: &Entry| entry.event == "self-payment" && entry.attempt == asked.attempt;
                let is_its = received.entries.iter().all(|entry| through_it(&self.entries[*entry]));
                let is_paid_out = self.ex_post.iter().any(|(of, due)| of == key && due.state == "paid");
                if is_its && !received.corrected && !is_paid_out { found(received.own) } else { None }
            }
            (State::Suspense, None, [matter]) if self.matters[*matter].instruction == Some(place) => {
                found(self.matters[*matter].amount)
            }
            _ => None,
        }
    }

    /// R21: what was posted, judged once more as of its booking date by the lists and the roster of today, with the tier
    /// that was paid for (R3).
    fn right(&self, key: &Key) -> Option<(Received, Result<Terms, Refusal>)> {
        let received = self.plans.get(key)?.received.clone().filter(|received| !received.corrected)?;
        let row = RosterRow { tier: received.tier, ..self.roster[&key.0].clone() };
        let right = terms(&row, &self.recognitions(&key.0, key.1), received.booked_on, received.booked_on);
        Some((received, right))
    }

    /// Why a posting may be corrected, as a clerk says it; `None` where it was right, or where something else comes first.
    pub(crate) fn fault(&self, key: &Key) -> Option<&'static str> {
        let (received, right) = self.right(key)?;
        if !self.open_of(key).is_empty() || (self.is_ex_post(key) && !self.is_withdrawable(key)) {
            return None;
        }
        let fault = match &right {
            Err(Refusal::Status) => "left-before",
            Err(_) => return None,
            Ok(terms) if terms.subsidy.is_none() => "not-entitled",
            Ok(terms) if terms.tier == received.own && terms.own() != received.own => return None, // R14 finds it
            Ok(_) => "terms",
        };
        let (deemed, own_leaves, _) = stands(&received, &right);
        let differs = self.deemed_of(&received).map(|entry| (entry.debit.clone(), entry.amount))
            != deemed.as_ref().map(|subsidy| (owed(subsidy), subsidy.amount));
        (differs || own_leaves || self.is_ex_post(key)).then_some(fault)
    }

    fn is_withdrawable(&self, key: &Key) -> bool {
        self.ex_post.iter().any(|(of, due)| of == key && ["due", "listed"].contains(&due.state))
    }

    /// Whether what was received came without a bank.
    pub(crate) fn came_without_bank(&self, key: &Key) -> bool {
        let received = self.plans.get(key).and_then(|plan| plan.received.as_ref());
        received.is_some_and(|received| received.entries.iter().all(|entry| self.entries[*entry].attempt == 0))
    }

    fn deemed_of(&self, received: &Received) -> Option<&Entry> {
        received.entries.iter().map(|entry| &self.entries[*entry]).find(|entry| entry.credit == "personal/government")
    }

    /// Section 7: personal/government → receivable, then the right deemed entry; own money that no longer fits → suspense.
    pub(super) fn correct(&mut self, key: &Key, today: Day) {
        let (received, right) = self.right(key).expect("something to correct");
        self.tell(&key.0, today, format!("fee year {}: corrected: {right:?}", key.1));
        let home = self.roster[&key.0].district.clone();
        let (deemed, own_leaves, is_paid) = stands(&received, &right);
        let old = self.deemed_of(&received).cloned();
        let none = Source::default();
        let changes = old.as_ref().map(|entry| (entry.debit.clone(), entry.amount))
            != deemed.as_ref().map(|subsidy| (owed(subsidy), subsidy.amount));
        let mut claim = received.claim;
        // R15: it joins the settlement of what it corrects, or the next.
        let of = received.claim.map(|place| self.counts_for(place));
        let year = of.unwrap_or_else(|| settlement_year(received.booked_on).max(2018));
        if let Some(old) = old.filter(|_| changes) {
            let pair = ("personal/government", old.debit.as_str());
            let place = self.entry(key, "correction", pair, old.amount, today, &none);
            let entry = &mut self.entries[place];
            (entry.payer, entry.category, entry.district) = (old.payer, old.category, old.district);
            claim.take().into_iter().for_each(|claim| self.take_back(claim));
        }
        if let Some(new) = deemed.as_ref().filter(|_| changes) {
            let pair = (&*owed(new), "personal/government");
            let place = self.entry(key, "correction", pair, new.amount, today, &none);
            let entry = &mut self.entries[place];
            (entry.payer, entry.category, entry.district) = (new.payer, new.category, new.district.clone());
            claim = Some(self.claim_in(key, new, year));
        }
        if own_leaves {
            let place = self.entry(key, "correction", ("personal/own", "suspense"), received.own, today, &none);
            let subsidy = right.as_ref().ok().and_then(|terms| terms.subsidy.clone());
            let entry = &mut self.entries[place];
            entry.district = home.clone();
            if let Some(subsidy) = subsidy {
                (entry.payer, entry.category) = (subsidy.payer, subsidy.category);
            }
            let (key, booked_on) = (key.clone(), Some(today));
            let amount = received.own;
            self.raise(Matter { class: "corrected", key, instruction: None, amount, booked_on, open: true });
        }
        self.withdraw_ex_post(key);
        let plan = self.plans.get_mut(key).unwrap();
        plan.versions.push(Version { from: today, terms: right, home });
        let (version, own) = (plan.versions.len() - 1, if own_leaves { 0 } else { received.own });
        let deemed = deemed.map_or(0, |subsidy| subsidy.amount);
        plan.received = is_paid.then_some(Received { own, deemed, version, claim, corrected: true, ..received });
        self.end_with_its_year(key, today);
        self.resolve_again(key, today);
    }

    pub(super) fn withdraw_ex_post(&mut self, key: &Key) {
        let owed = |(of, due): &&mut (Key, ExPost)| of == key && ["due", "listed"].contains(&due.state);
        if let Some((_, due)) = self.ex_post.iter_mut().find(owed) {
            due.state = "withdrawn";
            let claim = due.claim;
            self.standing_ex_post.remove(key);
            self.take_back(claim);
        }
    }
}

fn owed(subsidy: &Subsidy) -> String {
    format!("receivable/{}/{}", subsidy.payer, subsidy.district)
}

/// What stands of money that was received, by what is right: the government part, whether own money leaves, whether the plan
/// is paid.
fn stands(received: &Received, right: &Result<Terms, Refusal>) -> (Option<Subsidy>, bool, bool) {
    let has_own = received.own > 0;
    match right {
        Ok(terms) if terms.own() == received.own => (terms.subsidy.clone(), false, true),
        Ok(terms) if terms.own() == 0 => (terms.subsidy.clone(), has_own, true),
        _ => (None, has_own, false),
    }
}
