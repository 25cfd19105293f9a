//! Money: what banks say, what came another way, what clerks decide (R6, R7a, R9 to R14, sections 6 and 7).

use super::*;

/// What the amount is for a plan (R10, R14).
enum Fit {
    OwnPart(Terms),
    /// The whole tier as own money; the subsidy goes to the person.
    WholeTier(Terms, Subsidy),
}

/// R14: the whole tier, although a government part is due or the list came later; else exactly the own part.
fn fit(terms: &Terms, today: Option<&Subsidy>, amount: Fen) -> Option<Fit> {
    if let Some(due) = terms.subsidy.as_ref().or(today)
        && amount == terms.tier
    {
        return Some(Fit::WholeTier(terms.clone(), due.clone()));
    }
    (amount == terms.own()).then(|| Fit::OwnPart(terms.clone()))
}

/// Where money came from, for its entries.
#[derive(Clone, Default)]
pub(super) struct Source {
    attempt: u32,
    bank: String,
}

impl Model {
    /// R11: the month of the booking date; if that is closed, the first open month.
    fn month_of(&self, booked_on: Day) -> (i32, u32) {
        let mut month = booked_on.month();
        while self.closed.contains(&month) {
            month = if month.1 == 12 { (month.0 + 1, 1) } else { (month.0, month.1 + 1) };
        }
        month
    }

    /// Money that is nobody's.
    pub(super) fn book_for_nobody(&mut self, event: &'static str, pair: (&str, &str), amount: Fen, booked_on: Day) {
        self.entry(&(String::new(), 0), event, pair, amount, booked_on, &Source::default());
    }

    pub(super) fn entry(
        &mut self,
        key: &Key,
        event: &'static str,
        pair: (&str, &str),
        amount: Fen,
        booked_on: Day,
        from: &Source,
    ) -> usize {
        let month = self.month_of(booked_on);
        self.tell(&key.0, booked_on, format!("fee year {}: {event} {} → {} {}", key.1, pair.0, pair.1, yuan(amount)));
        self.entries.push(Entry {
            id: key.0.clone(),
            fee_year: key.1,
            event,
            debit: pair.0.to_owned(),
            credit: pair.1.to_owned(),
            amount,
            month,
            booked_on,
            payer: "",
            category: "",
            district: String::new(),
            attempt: from.attempt,
            bank: from.bank.clone(),
        });
        self.entries.len() - 1
    }

    /// R10: the own entry if above zero, and the deemed entry if above zero. R14: for the whole tier no deemed entry.
    fn receive(
        &mut self,
        key: &Key,
        event: &'static str,
        (what, version): (Fit, usize),
        booked_on: Day,
        today: Day,
        from: &Source,
    ) {
        let debit = if event == "suspense-posted" { "suspense" } else { "collection" };
        // Districts stay as at posting: those of the plan by which it posts.
        let home = self.plans[key].versions[version].home.clone();
        let mut entries = Vec::new();
        let (terms, own, due) = match what {
            Fit::OwnPart(terms) => (terms.clone(), terms.own(), None),
            Fit::WholeTier(terms, due) => (terms.clone(), terms.tier, Some(due)),
        };
        if own > 0 {
            let place = self.entry(key, event, (debit, "personal/own"), own, booked_on, from);
            self.entries[place].district = home;
            entries.push(place);
        }
        let deemed = terms.subsidy.clone().filter(|subsidy| due.is_none() && subsidy.amount > 0);
        if let Some(subsidy) = &deemed {
            // R17: the recognising payer and district owe.
            let owes = format!("receivable/{}/{}", subsidy.payer, subsidy.district);
            let place = self.entry(key, event, (&owes, "personal/government"), subsidy.amount, booked_on, from);
            self.entries[place].district = subsidy.district.clone();
            entries.push(place);
        }
        if let Some(subsidy) = terms.subsidy.as_ref() {
            for place in &entries {
                (self.entries[*place].payer, self.entries[*place].category) = (subsidy.payer, subsidy.category);
            }
        }
        let claim = deemed.as_ref().map(|subsidy| self.claim(key, subsidy, "deemed", booked_on));
        let deemed = deemed.map_or(0, |subsidy| subsidy.amount);
        let received = Received { own, deemed, tier: terms.tier, booked_on, version, entries, claim, corrected: false };
        self.plans.get_mut(key).unwrap().received = Some(received);
        // R12, R14: what has not left must not be asked any more.
        self.withdraw_unsent(key);
        if let Some(due) = due {
            self.owe_ex_post(key, due, own, booked_on, today);
        }
    }

    /// R10: money that may not be posted is booked to suspense; its exception holds it.
    fn hold(
        &mut self,
        class: &'static str,
        key: &Key,
        instruction: Option<usize>,
        amount: Fen,
        booked_on: Day,
        from: &Source,
    ) {
        self.entry(key, "suspense", ("collection", "suspense"), amount, booked_on, from);
        let booked_on = Some(booked_on);
        self.raise(Matter { class, key: key.clone(), instruction, amount, booked_on, open: true });
    }

    /// R14: money through another channel.
    pub(super) fn take_payment(&mut self, payment: &Payment, today: Day) {
        let key: Key = (payment.id.clone(), payment.fee_year);
        let known = (payment.channel.clone(), payment.reference.clone());
        if let Some(before) = self.payments.get(&known) {
            // Section 4: the same row again does nothing, other content is an exception.
            if before != payment {
                self.raise_note("key-conflict", &key, None);
            }
            return;
        }
        self.payments.insert(known, payment.clone());
        match self.judge_payment(payment, &key, today) {
            Ok((what, version)) => {
                self.receive(&key, "self-payment", (what, version), payment.paid_on, today, &Source::default());
            }
            Err(class) => {
                self.hold(class, &key, None, payment.amount, payment.paid_on, &Source::default());
                // R14: open suspense blocks what has not left.
                if self.plans.get(&key).is_some_and(|plan| plan.received.is_none()) {
                    self.withdraw_unsent(&key);
                }
            }
        }
    }

    fn judge_payment(&self, payment: &Payment, key: &Key, today: Day) -> Result<(Fit, usize), &'static str> {
        let Some(row) = self.roster.get(&key.0) else { return Err("unknown-person") };
        if payment.paid_on > today {
            return Err("bad-booking-date");
        }
        if payment.paid_on.0 != payment.fee_year {
            return Err("wrong-year"); // R13
        }
        let Some(plan) = self.plans.get(key) else { return Err("no-plan") };
        if plan.received.is_some() {
            return Err("already-received");
        }
        if !is_normal(row, payment.paid_on) {
            return Err("status"); // R6
        }
        if !is_under_sixty(&key.0, payment.paid_on) {
            return Err("age"); // R6
        }
        // The plan in force on that day, else today's.
        let newest = plan.versions.len() - 1;
        let now = plan.latest().terms.as_ref().ok().and_then(|terms| terms.subsidy.as_ref());
        for place in plan.in_force(payment.paid_on).into_iter().chain([newest]) {
            if let Ok(terms) = &plan.versions[place].terms
                && let Some(what) = fit(terms, now, payment.amount)
            {
                return Ok((what, place));
            }
        }
        Err("payment-amount")
    }

    /// R9: posts those still entitled and unreceived on the day of approval, by the terms that were shown.
    pub(super) fn approve_zero(&mut self, fee_year: i32, today: Day) {
        for (id, shown) in self.waiting_zero.remove(&fee_year).unwrap_or_default() {
            let key = (id, fee_year);
            let row = &self.roster[&key.0];
            let entitled = is_under_sixty(&key.0, today) && is_normal(row, today);
            let plan = &self.plans[&key];
            let version = plan.versions.len() - 1;
            let same = plan.latest().terms.as_ref() == Ok(&shown);
            if entitled && same && self.state(&key) == "planned" {
                self.receive(&key, "zero-payment", (Fit::OwnPart(shown), version), today, today, &Source::default());
            }
        }
    }

    /// Section 6: what follows from an answer.
    pub(super) fn answer(&mut self, answer: &Answer, today: Day) {
        let (key, place) = self.numbers[&answer.number].clone();
        let instruction = self.plans[&key].instructions[place].clone();
        let from = Source { attempt: instruction.attempt, bank: instruction.bank.clone() };
        // The same answer again changes nothing.
        let said_before = if answer.actual > 0 {
            instruction.answers.contains(answer)
        } else {
            instruction.answers.last().is_some_and(|earlier| earlier == answer)
        };
        if said_before {
            return;
        }
        self.tell(&key.0, today, format!("the bank says: {answer:?}"));
        self.instruction(&key, place).answers.push(answer.clone());
        // One serial is one deduction: what else is said of it moves no money.
        let is_known_money = |earlier: &Answer| earlier.actual > 0 && earlier.serial == answer.serial;
        if answer.actual > 0 && instruction.answers.iter().any(is_known_money) {
            return self.raise_note("differing-answer", &key, Some(place));
        }
        let booked_on = answer.booked_on.unwrap_or(today);
        match (instruction.state, answer.actual > 0) {
            (State::Sent | State::Unknown, true) => {
                self.close_doubts(&key);
                match self.judge_return(&key, &instruction, answer, today) {
                    Ok(what) => {
                        self.receive(&key, "self-payment", what, booked_on, today, &from);
                        self.move_to(&key, place, State::Settled, answer.outcome);
                    }
                    Err(class) => {
                        self.hold(class, &key, Some(place), answer.actual, booked_on, &from);
                        self.move_to(&key, place, State::Suspense, answer.outcome);
                    }
                }
            }
            (State::Sent | State::Unknown, false) => self.answer_without_money(&key, place, answer),
            // Money for what is not live: suspense, and nothing new is asked.
            (State::Failed | State::Cancelled, true) => {
                let class = match (instruction.state, answer.outcome) {
                    (State::Failed, "ok") => "late-success",
                    (State::Failed, _) => "failure-with-money",
                    _ => "not-live",
                };
                self.hold(class, &key, Some(place), answer.actual, booked_on, &from);
                let other = self.plans[&key].live().is_some();
                // R12: at most one live instruction; the exception alone holds the money then.
                if !other {
                    self.move_to(&key, place, State::Suspense, answer.outcome);
                } else {
                    self.withdraw_unsent(&key);
                }
            }
            // The bank says what a clerk had said for it: the money came once.
            (State::Settled, true) if instruction.by_hand && is_all_of_it(&instruction, answer) => {
                self.instruction(&key, place).by_hand = false;
            }
            // Further money: the first stands.
            (_, true) => {
                self.hold("second-payment", &key, Some(place), answer.actual, booked_on, &from);
                self.withdraw_unsent(&key);
            }
            (State::Settled, false) if !["ok", "unknown", "duplicate", "unmapped"].contains(&answer.outcome) => {
                self.raise_note("late-failure", &key, Some(place));
            }
            (_, false) => self.raise_note("differing-answer", &key, Some(place)),
        }
    }

    fn answer_without_money(&mut self, key: &Key, place: usize, answer: &Answer) {
        let was_unknown = self.plans[key].instructions[place].state == State::Unknown;
        match answer.outcome {
            "unknown" | "duplicate" | "unmapped" | "ok" if was_unknown => {
                self.raise_note("differing-answer", key, Some(place));
            }
            "ok" => {
                self.move_to(key, place, State::Unknown, answer.outcome);
                self.raise_note("contradictory-return", key, Some(place));
            }
            "unknown" | "duplicate" | "unmapped" => {
                self.move_to(key, place, State::Unknown, answer.outcome);
                self.raise_note("unknown-result", key, Some(place));
            }
            outcome => {
                self.close_doubts(key);
                self.move_to(key, place, State::Failed, outcome);
                // 余额不足 goes into the next round; any other class waits for a clerk's fix.
                if outcome != "insufficient-funds" {
                    self.raise_note("failed", key, Some(place));
                }
            }
        }
    }

    /// R6, R7a, R10, R13: in full, soundly answered, in its time, for a plan that wants it.
    fn judge_return(
        &self,
        key: &Key,
        asked: &Instruction,
        answer: &Answer,
        today: Day,
    ) -> Result<(Fit, usize), &'static str> {
        let plan = &self.plans[key];
        if answer.outcome != "ok" {
            return Err("failure-with-money");
        }
        if !answer.echo_agrees {
            return Err("echo-differs");
        }
        if answer.actual != asked.amount {
            return Err(if answer.actual < asked.amount { "partial" } else { "over" });
        }
        let Some(booked_on) = answer.booked_on.filter(|day| asked.drafted_on <= *day && *day <= today) else {
            return Err("bad-booking-date");
        };
        if booked_on.0 != key.1 {
            return Err("wrong-year"); // R13
        }
        if plan.received.is_some() {
            return Err("already-received"); // R14: what is posted first stands
        }
        if !is_normal(&self.roster[&key.0], booked_on) {
            return Err("status"); // R6; age was judged by the debit date
        }
        // R7a: booked while the plan that it was made from was in force → by it; later → by the new one, if it fits.
        let version = plan.in_force(booked_on).map_or(asked.version, |place| place.max(asked.version));
        let now = plan.latest().terms.as_ref().ok().and_then(|terms| terms.subsidy.as_ref());
        let Ok(terms) = &plan.versions[version].terms else { return Err("changed-in-flight") };
        fit(terms, now, answer.actual).map(|what| (what, version)).ok_or("changed-in-flight")
    }

    fn instruction(&mut self, key: &Key, place: usize) -> &mut Instruction {
        &mut self.plans.get_mut(key).unwrap().instructions[place]
    }

    fn move_to(&mut self, key: &Key, place: usize, state: State, outcome: &'static str) {
        let instruction = self.instruction(key, place);
        instruction.state = state;
        if !outcome.is_empty() {
            instruction.outcome = outcome;
        }
    }

    /// An answer ends the doubt of an earlier one.
    fn close_doubts(&mut self, key: &Key) {
        for place in self.open_of(key) {
            if ["unknown-result", "contradictory-return", "missing-row"].contains(&self.matters[place].class) {
                self.matters[place].open = false;
            }
        }
    }

    fn raise_note(&mut self, class: &'static str, key: &Key, instruction: Option<usize>) {
        self.raise(Matter { class, key: key.clone(), instruction, amount: 0, booked_on: None, open: true });
    }

    /// A clerk's decision (section 7: `suspense-posted`, `refund`, `reversal`).
    pub(super) fn decide(&mut self, decision: &Decision, today: Day) {
        let key = (decision.id.clone(), decision.fee_year);
        self.tell(&key.0, today, format!("decided: {decision:?}"));
        let Some(place) = self.find(decision) else {
            return self.faults.push(format!("{today}: the rules know of no such exception: {decision:?}"));
        };
        let matter = self.matters[place].clone();
        match (decision.verdict, matter.amount > 0) {
            ("settled", true) => self.settle_suspense(&key, place, decision, today),
            ("refund", true) => {
                let booked_on = decision.booked_on.unwrap_or(today);
                let from = self.source(&key, &matter);
                self.entry(&key, "refund", ("suspense", "collection"), matter.amount, booked_on, &from);
                self.given_back(&key, place);
            }
            ("reverse", true) => {
                let booked_on = decision.booked_on.unwrap_or(today);
                let from = self.source(&key, &matter);
                self.entry(&key, "reversal", ("suspense", "collection"), matter.amount, booked_on, &from);
                self.given_back(&key, place);
            }
            ("reverse", false) => self.reverse(&key, place, decision.booked_on.unwrap_or(today), today),
            (verdict @ ("settled" | "failed"), false) => {
                let awaited = matter.instruction.filter(|place| {
                    [State::Sent, State::Unknown].contains(&self.plans[&key].instructions[*place].state)
                });
                self.matters[place].open = false;
                match awaited {
                    Some(instruction) if verdict == "settled" => {
                        self.settle_awaited(&key, instruction, decision, today)
                    }
                    Some(instruction) => self.move_to(&key, instruction, State::Failed, ""),
                    None => {}
                }
            }
            (verdict, _) => panic!("no decision {verdict}"),
        }
        // R7: what has not been received is asked by the lists in force today.
        self.resolve_again(&key, today);
    }

    /// The open exception that a decision is about.
    fn find(&self, decision: &Decision) -> Option<usize> {
        let key = (decision.id.clone(), decision.fee_year);
        let number = |place: usize| self.plans[&key].instructions[place].number.as_str();
        self.open_of(&key).into_iter().find(|place| {
            let matter = &self.matters[*place];
            let same = matter.class == decision.class && matter.amount == decision.amount;
            same && matter.instruction.map_or("", number) == decision.instruction
        })
    }

    /// Why a decision is not possible by the rules.
    pub(crate) fn may_not(&self, decision: &Decision, today: Day) -> Option<&'static str> {
        let key = (decision.id.clone(), decision.fee_year);
        let matter = &self.matters[self.find(decision)?];
        let plan = self.plans.get(&key);
        let instruction = plan.zip(matter.instruction).map(|(plan, place)| &plan.instructions[place]);
        let awaited = instruction.filter(|asked| [State::Sent, State::Unknown].contains(&asked.state));
        match (decision.verdict, matter.amount > 0, awaited) {
            ("settled", true, _) => self.suspense_fit(&key, matter, decision.booked_on).err(),
            ("settled", false, Some(asked)) => {
                if decision.booked_on.is_none() {
                    return Some("nobody says when it was booked");
                }
                self.judge_return(&key, asked, &by_telephone(asked, decision.booked_on), today).err()
            }
            ("reverse", false, _) if instruction.is_none_or(|asked| asked.state != State::Settled) => {
                Some("not settled")
            }
            _ => None,
        }
    }

    /// Open money of the same instruction, or of none, adds up; that of this exception first.
    fn pool(&self, key: &Key, matter: &Matter) -> Vec<usize> {
        let mut pool = self.open_of(key);
        pool.retain(|place| self.matters[*place].amount > 0);
        pool.retain(|place| {
            let other = &self.matters[*place];
            std::ptr::eq(other, matter) || other.instruction.is_none() || other.instruction == matter.instruction
        });
        pool.sort_by_key(|place| !std::ptr::eq(&self.matters[*place], matter));
        pool
    }

    /// Section 7: booked on the day of the last money that completed it; R4 to R7 are judged by it.
    fn suspense_fit(
        &self,
        key: &Key,
        matter: &Matter,
        booked_on: Option<Day>,
    ) -> Result<((Fit, usize), Day, Fen), &'static str> {
        let plan = self.plans.get(key).ok_or("no plan")?;
        if plan.received.is_some() {
            return Err("received");
        }
        let pool = self.pool(key, matter);
        let last = pool.iter().filter_map(|place| self.matters[*place].booked_on).max();
        let day = booked_on.or(last).ok_or("no date")?;
        if day.0 != key.1 {
            return Err("another year"); // R13
        }
        if !is_under_sixty(&key.0, day) || !is_normal(&self.roster[&key.0], day) {
            return Err("age or status"); // R6
        }
        let newest = plan.versions.len() - 1;
        let that_day = plan.in_force(day).filter(|place| plan.versions[*place].terms.is_ok());
        let version = that_day.unwrap_or(newest);
        let terms = plan.versions[version].terms.as_ref().map_err(|_| "refused")?;
        let now = plan.latest().terms.as_ref().ok().and_then(|terms| terms.subsidy.as_ref());
        let held: Fen = pool.iter().map(|place| self.matters[*place].amount).sum();
        for amount in [matter.amount, held] {
            if let Some(what) = fit(terms, now, amount) {
                return Ok(((what, version), day, amount));
            }
        }
        Err("amount")
    }

    pub(super) fn source(&self, key: &Key, matter: &Matter) -> Source {
        matter.instruction.map_or(Source::default(), |place| {
            let instruction = &self.plans[key].instructions[place];
            Source { attempt: instruction.attempt, bank: instruction.bank.clone() }
        })
    }

    /// Suspense money makes up the own part or the whole tier.
    fn settle_suspense(&mut self, key: &Key, place: usize, decision: &Decision, today: Day) {
        let matter = self.matters[place].clone();
        let pool = self.pool(key, &self.matters[place]);
        let (what, day, amount) = match self.suspense_fit(key, &self.matters[place], decision.booked_on) {
            Ok(found) => found,
            Err(why) => return self.faults.push(format!("{today}: {why}: {decision:?}")),
        };
        let from = self.source(key, &matter);
        self.receive(key, "suspense-posted", what, day, today, &from);
        let mut left = amount;
        for place in pool {
            if left > 0 {
                assert!(self.matters[place].amount <= left, "nobody in the tests leaves a rest");
                left -= self.matters[place].amount;
                self.matters[place].open = false;
            }
        }
        if let Some(instruction) = matter.instruction
            && self.plans[key].instructions[instruction].state == State::Suspense
        {
            self.move_to(key, instruction, State::Settled, "");
        }
    }

    /// The money went back: what had it may be asked for again once none of it is left.
    pub(super) fn given_back(&mut self, key: &Key, place: usize) {
        self.matters[place].open = false;
        let Some(instruction) = self.matters[place].instruction else { return };
        let more = self
            .open_of(key)
            .into_iter()
            .any(|other| self.matters[other].amount > 0 && self.matters[other].instruction == Some(instruction));
        if !more && self.plans[key].instructions[instruction].state == State::Suspense {
            self.move_to(key, instruction, State::Refunded, "");
        }
    }

    fn reverse(&mut self, key: &Key, place: usize, booked_on: Day, today: Day) {
        let instruction = self.matters[place].instruction.expect("an instruction");
        self.matters[place].open = false;
        self.take_money_back(key, instruction, booked_on);
        self.end_with_its_year(key, today);
        let asked = &self.plans[key].instructions[instruction];
        self.went_back.insert(asked.number.clone(), asked.amount);
    }

    /// R22: the bank took settled money back: the contra of the original, in the reversal's month.
    pub(super) fn take_money_back(&mut self, key: &Key, instruction: usize, booked_on: Day) {
        let received = self.plans.get_mut(key).unwrap().received.take().expect("received");
        let month = self.month_of(booked_on);
        for original in received.entries {
            let original = self.entries[original].clone();
            let (debit, credit) = (original.credit.clone(), original.debit.clone());
            // What had come by way of suspense leaves the bank account too.
            let credit = if credit == "suspense" { "collection".to_owned() } else { credit };
            self.tell(&key.0, booked_on, format!("fee year {}: reversal {debit} → {credit}", key.1));
            self.entries.push(Entry { event: "reversal", debit, credit, month, booked_on, ..original });
        }
        self.move_to(key, instruction, State::Reversed, "");
        // The bank had said that it failed after all: now it is so.
        for place in self.open_of(key) {
            let is_it =
                self.matters[place].class == "late-failure" && self.matters[place].instruction == Some(instruction);
            self.matters[place].open &= !is_it;
        }
        received.claim.into_iter().for_each(|claim| self.take_back(claim));
        self.withdraw_ex_post(key);
    }

    /// R13: what is not received after its year's end will not be asked for again.
    pub(super) fn end_with_its_year(&mut self, key: &Key, today: Day) {
        let plan = self.plans.get_mut(key).unwrap();
        plan.lapsed |= today.0 > key.1 && plan.received.is_none() && plan.latest().terms.is_ok();
    }

    /// A clerk knows what the bank's answer did not say: judged like an answer.
    fn settle_awaited(&mut self, key: &Key, place: usize, decision: &Decision, today: Day) {
        let asked = self.plans[key].instructions[place].clone();
        let answer = by_telephone(&asked, decision.booked_on);
        let from = Source { attempt: asked.attempt, bank: asked.bank.clone() };
        match self.judge_return(key, &asked, &answer, today) {
            Ok(what) => {
                self.receive(key, "self-payment", what, answer.booked_on.unwrap(), today, &from);
                self.move_to(key, place, State::Settled, "ok");
                self.instruction(key, place).by_hand = true;
            }
            Err(class) => self.faults.push(format!("{today}: {class}: {decision:?}")),
        }
    }
}

/// What the bank said on the telephone: all of it was taken.
fn by_telephone(asked: &Instruction, booked_on: Option<Day>) -> Answer {
    Answer {
        number: asked.number.clone(),
        outcome: "ok",
        actual: asked.amount,
        booked_on,
        serial: String::new(),
        echo_agrees: true,
    }
}

fn is_all_of_it(asked: &Instruction, answer: &Answer) -> bool {
    answer.outcome == "ok" && answer.actual == asked.amount && answer.echo_agrees
}
