//! Rosters, lists, plans, rounds (R2 to R9, R12, R13, R17, R18).

use super::*;

impl Model {
    pub(super) fn take_roster(&mut self, row: &RosterRow, today: Day) {
        let before = self.roster.insert(row.id.clone(), row.clone());
        let Some(before) = before else { return };
        if before == *row {
            return;
        }
        self.tell(&row.id, today, format!("roster: {row:?}"));
        // Section 6: a failure that waits for a clerk's fix is fixed by a new account or name.
        let fixed = (&before.bank, &before.account, &before.holder, &before.name)
            != (&row.bank, &row.account, &row.holder, &row.name);
        for fee_year in today.0.max(2018)..=2020 {
            for place in self.open_of(&(row.id.clone(), fee_year)) {
                self.matters[place].open &= !(fixed && self.matters[place].class == "failed");
            }
            self.resolve_again(&(row.id.clone(), fee_year), today);
        }
    }

    pub(super) fn take_list(&mut self, list: &List, today: Day) {
        let scope: Scope = (list.payer, list.district.clone(), list.year);
        let before = self.lists.get(&scope).cloned();
        // R7: `as_of` orders lists, an older one changes nothing.
        if before.as_ref().is_some_and(|before| before.as_of > list.as_of) {
            return;
        }
        // R1, R7: only the payer's own categories, only this district and year.
        let sound: Vec<&ListRow> = list
            .rows
            .iter()
            .filter(|row| !row.misspelt && payer_of(row.category) == list.payer)
            .filter(|row| row.district == list.district && row.year == list.year)
            .collect();
        let refused: Vec<&ListRow> = list.rows.iter().filter(|row| !sound.contains(row)).collect();
        let mut rows = before.map(|before| before.rows).unwrap_or_default();
        // R7: it replaces the categories present in it. Absence removes, a refused row does not.
        let in_scope = |category: &str| sound.is_empty() || sound.iter().any(|row| row.category == category);
        let scope_size = rows.keys().filter(|(_, category)| in_scope(category)).count();
        let named = |id: &str, name: &str| {
            refused.iter().any(|row| if row.misspelt { same_name(&row.name, name) } else { row.id == id })
        };
        let removed: Vec<(String, &'static str)> = rows
            .iter()
            .filter(|((id, category), (name, _))| {
                let there = sound.iter().any(|row| row.id == *id && row.category == *category);
                in_scope(category) && !there && !named(id, name)
            })
            .map(|(key, _)| key.clone())
            .collect();
        let mut touched = BTreeSet::new();
        for row in &sound {
            let of = (row.id.clone(), row.category);
            if rows.get(&of).is_none_or(|(name, _)| *name != row.name) {
                rows.insert(of, (row.name.clone(), today));
                touched.insert(row.id.clone());
                self.tell(
                    &row.id,
                    today,
                    format!("on the {} list of {} {}: {}", list.year, list.payer, list.district, row.category),
                );
            }
        }
        // R7: more than 5 % of its scope waits for approval, and so does a list without rows.
        let waits = !removed.is_empty() && (removed.len() * 100 > scope_size * 5 || sound.is_empty());
        if waits {
            self.waiting_removals.insert(scope.clone(), removed);
        } else {
            self.waiting_removals.remove(&scope);
            for key in removed {
                self.tell(&key.0, today, format!("off the {} list of {} {}", list.year, list.payer, list.district));
                rows.remove(&key);
                touched.insert(key.0);
            }
        }
        self.lists.insert(scope, InForce { as_of: list.as_of, rows });
        for id in touched {
            self.resolve_again(&(id, list.year + 1), today);
        }
    }

    pub(super) fn approve_removals(&mut self, scope: Scope, today: Day) {
        let removed = self.waiting_removals.remove(&scope).expect("removals that wait");
        let list = self.lists.get_mut(&scope).expect("a list whose removals wait");
        removed.iter().for_each(|key| drop(list.rows.remove(key)));
        for (id, _) in removed {
            self.tell(&id, today, format!("off the {} list of {} {}, approved", scope.2, scope.0, scope.1));
            self.resolve_again(&(id, scope.2 + 1), today);
        }
    }

    /// `plan`: everybody on the roster; after the year's end what was not received lapses (R13).
    pub(super) fn plan(&mut self, fee_year: i32, today: Day) {
        let ids: Vec<String> = self.roster.keys().cloned().collect();
        for id in ids {
            let key = (id, fee_year);
            if today.0 > fee_year {
                if let Some(plan) = self.plans.get_mut(&key) {
                    let unpaid = plan.received.is_none() && plan.latest().terms.is_ok();
                    plan.lapsed |= unpaid;
                }
            } else if self.plans.contains_key(&key) {
                self.resolve_again(&key, today);
            } else if let Ok(terms) = self.terms_now(&key, today) {
                // R2: every participant with status 正常 gets a plan.
                let home = self.roster[&key.0].district.clone();
                let version = Version { from: today, terms: Ok(terms), home };
                self.plans.insert(key, Plan { versions: vec![version], ..Plan::default() });
            }
        }
    }

    /// R6: age is judged once: for what is at the bank by its debit date.
    fn terms_now(&self, key: &Key, today: Day) -> Result<Terms, Refusal> {
        let live = self.plans.get(key).and_then(Plan::live);
        let age_on = live.map_or(today, |instruction| instruction.debit_on);
        terms(&self.roster[&key.0], &self.recognitions(&key.0, key.1), age_on, today)
    }

    /// R7: resolved again over all lists in force.
    pub(super) fn resolve_again(&mut self, key: &Key, today: Day) {
        let Some(plan) = self.plans.get(key) else { return };
        if plan.received.is_some() {
            return self.find_ex_post(key, today);
        }
        if plan.lapsed {
            return;
        }
        let now = self.terms_now(key, today);
        let home = self.roster[&key.0].district.clone();
        let plan = self.plans.get_mut(key).unwrap();
        let same = plan.latest().terms == now;
        if same && plan.latest().home == home {
            return;
        }
        plan.versions.push(Version { from: today, terms: now.clone(), home });
        self.tell(&key.0, today, format!("fee year {}: now {now:?}", key.1));
        if !same {
            self.end_with_its_year(key, today);
            self.withdraw_unsent(key);
        }
    }

    /// R7, R12: what has not left is withdrawn, with the whole file whose bytes were approved; R7a: what is at the bank
    /// is never touched.
    pub(super) fn withdraw_unsent(&mut self, key: &Key) {
        let unsent = self.plans[key].instructions.iter().find(|instruction| instruction.state == State::Released);
        let Some(batch) = unsent.map(|instruction| instruction.batch) else { return };
        for instruction in self.plans.values_mut().flat_map(|plan| &mut plan.instructions) {
            if instruction.batch == batch {
                instruction.state = State::Cancelled;
            }
        }
    }

    /// R14: paid in full before the list came: the government part is due to the person, judged on the booking date.
    fn find_ex_post(&mut self, key: &Key, today: Day) {
        let received = self.plans[key].received.clone().expect("received");
        if self.is_ex_post(key) || received.deemed > 0 || received.own != received.tier {
            return;
        }
        // R3: the tier was fixed when the own part was received.
        let row = RosterRow { tier: received.tier, ..self.roster[&key.0].clone() };
        let judged = terms(&row, &self.recognitions(&key.0, key.1), received.booked_on, received.booked_on);
        let Ok(now) = judged else { return };
        let Some(subsidy) = now.subsidy.clone() else { return };
        // The plan's terms from now on; what was received stays under those of its day.
        let home = row.district.clone();
        self.plans.get_mut(key).unwrap().versions.push(Version { from: today, terms: Ok(now), home });
        self.owe_ex_post(key, subsidy, received.own, received.booked_on, today);
    }

    pub(super) fn owe_ex_post(&mut self, key: &Key, subsidy: Subsidy, paid: Fen, booked_on: Day, today: Day) {
        self.tell(&key.0, today, format!("fee year {}: ex-post {subsidy:?}", key.1));
        // R15: by the later of payment date and list acceptance.
        let list = self.lists.get(&(subsidy.payer, subsidy.district.clone(), key.1 - 1));
        let accepted = list.and_then(|list| list.rows.get(&(key.0.clone(), subsidy.category))).map(|(_, day)| *day);
        let claim = self.claim(key, &subsidy, "ex-post", accepted.map_or(booked_on, |day| booked_on.max(day)));
        self.standing_ex_post.insert(key.clone());
        self.ex_post.push((key.clone(), ExPost { subsidy, paid, claim, state: "due" }));
    }

    /// One round (R6, R8a, R9, R12, R13).
    pub(super) fn instruct(&mut self, fee_year: i32, debit_on: Day, today: Day) {
        let waits: BTreeSet<String> = self
            .expected
            .iter()
            .filter(|(payer, district)| !self.lists.contains_key(&(*payer, district.clone(), fee_year - 1)))
            .map(|(_, district)| district.clone())
            .collect();
        let mut zero = Vec::new();
        let mut batches: BTreeMap<String, usize> = BTreeMap::new();
        let keys: Vec<Key> = self.plans.keys().filter(|key| key.1 == fee_year).cloned().collect();
        for key in keys {
            let plan = &self.plans[&key];
            let Ok(terms) = plan.latest().terms.clone() else { continue };
            if plan.received.is_some() || plan.lapsed || plan.live().is_some() {
                continue;
            }
            let row = self.roster[&key.0].clone();
            if terms.own() == 0 {
                // R9: entitled on the business date, and nothing in suspense.
                if is_under_sixty(&key.0, today) && is_normal(&row, today) && !self.is_blocked(&key) {
                    zero.push((key.0.clone(), terms));
                }
                continue;
            }
            if waits.contains(&row.district) || self.is_blocked(&key) {
                continue;
            }
            // R6: decided by the debit date.
            let refusal = match (is_under_sixty(&key.0, debit_on), is_normal(&row, debit_on)) {
                (false, _) => Some(Refusal::Age),
                (true, false) => Some(Refusal::Status),
                (true, true) => None,
            };
            if let Some(refusal) = refusal {
                self.tell(&key.0, today, format!("fee year {fee_year}: refused at the debit date: {refusal:?}"));
                self.plans.get_mut(&key).unwrap().versions.push(Version {
                    from: today,
                    terms: Err(refusal),
                    home: row.district,
                });
                continue;
            }
            if !self.may_try_again(&key, debit_on) {
                continue;
            }
            let batch = *batches.entry(row.bank.clone()).or_insert_with(|| {
                self.batches += 1;
                self.batches
            });
            self.ask(&key, &row, &terms, batch, debit_on, today);
        }
        // One zero-payment batch waits at a time.
        if !zero.is_empty() && !self.waiting_zero.contains_key(&fee_year) {
            self.waiting_zero.insert(fee_year, zero);
        }
    }

    /// Section 6: at most six attempts for want of money; R13: one final sweep after the deadline, which ignores that.
    fn may_try_again(&self, key: &Key, debit_on: Day) -> bool {
        let asked = self.plans[key].instructions.iter().filter(|instruction| instruction.state != State::Cancelled);
        let deadline = deposit_until(key.1);
        if debit_on > deadline {
            return !asked.clone().any(|instruction| instruction.debit_on > deadline);
        }
        asked.filter(|instruction| instruction.state == State::Failed).count() < ATTEMPTS
    }

    fn ask(&mut self, key: &Key, row: &RosterRow, terms: &Terms, batch: usize, debit_on: Day, today: Day) {
        self.tell(
            &key.0,
            today,
            format!("fee year {}: asked {} for {debit_on} at {}", key.1, yuan(terms.own()), row.bank),
        );
        let plan = self.plans.get_mut(key).unwrap();
        let tried = plan.instructions.iter().filter(|instruction| instruction.state != State::Cancelled).count();
        plan.instructions.push(Instruction {
            attempt: tried as u32 + 1,
            bank: row.bank.clone(),
            amount: terms.own(),
            state: State::Released,
            outcome: "",
            number: String::new(),
            account: row.account.clone(),
            by_hand: false,
            batch,
            version: plan.versions.len() - 1,
            drafted_on: today,
            debit_on,
            answers: Vec::new(),
        });
    }

    /// The bank's files are held against what the rules let us ask; their numbers become names of the instructions.
    pub(super) fn sent(&mut self, bank: &str, fee_year: i32, asked: &[Asked], today: Day) {
        let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
        for (key, plan) in self.plans.iter().filter(|(key, _)| key.1 == fee_year) {
            for (place, instruction) in plan.instructions.iter().enumerate() {
                if instruction.state == State::Released && instruction.bank == bank {
                    wanted.insert(key.0.clone(), place);
                }
            }
        }
        for line in asked {
            let Some(place) = wanted.remove(&line.id) else {
                self.faults.push(format!("{today} {bank}: asked {line:?}, which the rules do not ask"));
                continue;
            };
            let key = (line.id.clone(), fee_year);
            let instruction = &mut self.plans.get_mut(&key).unwrap().instructions[place];
            if (instruction.amount, &instruction.account) != (line.amount, &line.account) {
                let (amount, account) = (yuan(instruction.amount), &instruction.account);
                self.faults.push(format!("{today} {bank}: asked {line:?}, the rules ask {amount} of {account}"));
            }
            instruction.state = State::Sent;
            instruction.number = line.number.clone();
            self.numbers.insert(line.number.clone(), (key, place));
        }
        for id in wanted.into_keys() {
            self.faults.push(format!("{today} {bank}: {id} should have been asked for fee year {fee_year}"));
        }
    }

    /// Section 6: a rejected file moves no money.
    pub(super) fn reject(&mut self, numbers: &[String], today: Day) {
        for number in numbers {
            let (key, place) = self.numbers[number].clone();
            self.tell(&key.0, today, format!("{number}: the bank refused the file"));
            self.plans.get_mut(&key).unwrap().instructions[place].state = State::Cancelled;
        }
    }
}
