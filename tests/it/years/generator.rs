//! Three years of made-up people, from a seed: who they are, what departments say of them, what they pay.
//!
//! Every throw of the dice is a function of the seed and of what it is about, so that one person's fate does not depend
//! on another's.

use crate::years::facts::*;
use crate::years::model::Model;
use std::collections::{BTreeMap, BTreeSet};

/// Twelve test districts: 500199 and made-up neighbours, two of them agencies without a GB/T 2260 code.
pub(crate) const DISTRICTS: [&str; 12] = [
    "500199", "500198", "500197", "500196", "500195", "500194", "500193", "500192", "500191", "500190", "CQ-TA",
    "CQ-TB",
];

const TIERS: [Fen; 7] = [100_00, 100_00, 100_00, 200_00, 300_00, 500_00, 2_000_00];

/// Characters of names, all of them in GBK.
const NAMES: [char; 40] = [
    '安', '邦', '川', '德', '恩', '芳', '贵', '海', '吉', '坤', '兰', '明', '宁', '平', '琴', '荣', '山', '天', '万',
    '香', '云', '正', '昌', '春', '东', '福', '光', '红', '江', '军', '丽', '龙', '梅', '南', '清', '全', '仁', '水',
    '伟', '珍',
];

/// What departments may say of one person: category and whether it is the enrolment district (0) or another (1, 2).
/// R5 in all its combinations.
const IDENTITIES: [&[(&str, usize)]; 24] = [
    &[(EXTREME, 0)],
    &[(EXTREME, 0)],
    &[(SUBSISTENCE, 0)],
    &[(SUBSISTENCE, 0)],
    &[(POOR, 0)],
    &[(POOR, 0)],
    &[(DISABLED, 0)],
    &[(DISABLED, 0)],
    &[(EXTREME, 0), (SUBSISTENCE, 0)],
    &[(EXTREME, 0), (POOR, 0)],
    &[(SUBSISTENCE, 0), (POOR, 0)],
    &[(EXTREME, 0), (DISABLED, 0)],
    &[(SUBSISTENCE, 0), (DISABLED, 0)],
    &[(POOR, 0), (DISABLED, 0)],
    &[(SUBSISTENCE, 0), (POOR, 0), (DISABLED, 0)],
    &[(EXTREME, 0), (SUBSISTENCE, 0), (POOR, 0), (DISABLED, 0)],
    &[(SUBSISTENCE, 0), (EXTREME, 1)],
    &[(SUBSISTENCE, 0), (SUBSISTENCE, 1)],
    &[(SUBSISTENCE, 1), (SUBSISTENCE, 2)],
    &[(POOR, 1), (POOR, 2)],
    &[(SUBSISTENCE, 1)],
    &[(POOR, 1), (SUBSISTENCE, 2)],
    &[(DISABLED, 1), (EXTREME, 2)],
    &[(DISABLED, 0), (DISABLED, 1)],
];

/// Dice that always fall the same way for the same question.
#[derive(Clone, Copy)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `sides`, from the seed, a text and a number.
    pub(crate) fn throw(self, about: &str, number: usize, sides: u64) -> u64 {
        let mut state = self.0 ^ 0x9e37_79b9_7f4a_7c15;
        for byte in about.bytes().chain(number.to_le_bytes()) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            state ^= state >> 29;
        }
        // The finish of SplitMix64.
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (state ^ (state >> 31)) % sides
    }
}

type Scope = (&'static str, String, i32);

pub(crate) struct World {
    pub(crate) dice: Dice,
    /// As the bureau's business system has them; those from `enrolled` on have not joined yet.
    people: Vec<RosterRow>,
    enrolled: usize,
    /// What departments hold to be true.
    lists: BTreeMap<Scope, BTreeMap<(String, &'static str), String>>,
    /// People whose account the bank refused: their village asks them for another.
    pub(crate) needs_account: BTreeSet<String>,
    /// Payments said so far, of which a table sent again repeats some.
    paid: Vec<Payment>,
    /// The newest lines of the account's statement.
    lines: Vec<StatementLine>,
}

impl World {
    pub(crate) fn new(count: usize, seed: u64) -> World {
        let dice = Dice(seed);
        let mut order: BTreeMap<String, u32> = BTreeMap::new();
        let people: Vec<RosterRow> = (0..count).map(|place| person(dice, place, &mut order)).collect();
        let mut world = World {
            dice,
            enrolled: count - count / 30,
            people,
            lists: BTreeMap::new(),
            needs_account: BTreeSet::new(),
            paid: Vec::new(),
            lines: Vec::new(),
        };
        (2017..=2019).for_each(|year| world.recognise(year));
        world
    }

    /// The lists of a recognition year. Most people who were recognised once are recognised again.
    fn recognise(&mut self, year: i32) {
        for payer in PAYERS {
            for district in DISTRICTS {
                self.lists.insert((payer, district.to_owned(), year), BTreeMap::new());
            }
        }
        for place in 0..self.people.len() {
            let recognised = self.dice.throw("recognised", place, 100) < 62;
            let stays = self.dice.throw("recognised again", place * 10 + year as usize % 10, 100) < 85;
            if !recognised || !stays {
                continue;
            }
            let changes = self.dice.throw("another identity", place * 10 + year as usize % 10, 100) < 15;
            let which = if changes { year as usize } else { 0 };
            let identity = if place < IDENTITIES.len() && !changes {
                place
            } else {
                self.dice.throw("identity", place * 7 + which, IDENTITIES.len() as u64) as usize
            };
            let row = self.people[place].clone();
            let home = DISTRICTS.iter().position(|district| *district == row.district).unwrap();
            for (category, away) in IDENTITIES[identity] {
                let district = DISTRICTS[(home + away * 5) % DISTRICTS.len()];
                let scope = (crate::years::model::rules::payer_of(category), district.to_owned(), year);
                let other_name = self.dice.throw("other name", place * 10 + year as usize % 10, 200) == 0;
                let name = if other_name { format!("{}错", row.name) } else { row.name.clone() };
                self.lists.get_mut(&scope).unwrap().insert((row.id.clone(), category), name);
            }
        }
    }

    pub(crate) fn roster(&self) -> Vec<RosterRow> {
        self.people[..self.enrolled].to_vec()
    }

    /// What changed on the roster since the last time: tiers, moves, deaths, accounts, and who joined.
    pub(crate) fn roster_changes(&mut self, step: usize, today: Day) -> Vec<RosterRow> {
        let mut rows = Vec::new();
        for place in 0..self.enrolled {
            let throw = |about: &str, sides: u64| self.dice.throw(about, place * 100 + step, sides);
            let mut row = self.people[place].clone();
            if row.status == "死亡" {
                continue;
            }
            match throw("roster change", 1000) {
                0..8 => row.tier = TIERS[throw("tier", TIERS.len() as u64) as usize],
                8..16 => row.district = DISTRICTS[throw("move", 12) as usize].to_owned(),
                16..20 => (row.status, row.status_since) = ("死亡".to_owned(), Some(earlier(today, throw("died", 20)))),
                20..23 => (row.status, row.status_since) = ("暂停".to_owned(), Some(earlier(today, throw("left", 6)))),
                23..27 => row.account = format!("9999{:015}", 1_000_000 * (step as u64 + 1) + place as u64),
                27..29 => row.bank = BANKS[throw("bank", 3) as usize].to_owned(),
                29..31 => row.tier = 150_00,
                31..33 => row.holder = format!("{}户", row.name),
                _ => {}
            }
            let mends = throw("mend", 100);
            if self.needs_account.contains(&row.id) && mends < 70 {
                row.account = format!("9999{:015}", 900_000_000 + 1_000_000 * (step as u64) + place as u64);
                self.needs_account.remove(&row.id);
            }
            let old = &self.people[place];
            match mends {
                0..50 if old.tier == 150_00 => row.tier = 100_00,
                0..40 if old.status == "暂停" => (row.status, row.status_since) = ("正常".to_owned(), None),
                0..50 if old.holder != old.name => row.holder = row.name.clone(),
                0..20 if !BANKS.contains(&old.bank.as_str()) => {
                    (row.bank, row.account) = (BANKS[place % 3].to_owned(), format!("9999{:015}", 800_000_000 + place));
                }
                _ => {}
            }
            if row != *old {
                self.people[place] = row.clone();
                rows.push(row);
            }
        }
        let more = (self.enrolled + 1 + self.people.len() / 200).min(self.people.len());
        rows.extend_from_slice(&self.people[self.enrolled..more]);
        self.enrolled = more;
        rows
    }

    /// The first lists of a recognition year; some departments are late (R8).
    pub(crate) fn first_lists(&mut self, year: i32, late: bool, today: Day) -> Vec<List> {
        let scopes = self.scopes(year);
        let is_late = |scope: &Scope| {
            let place = DISTRICTS.iter().position(|district| *district == scope.1).unwrap();
            self.dice.throw(scope.0, place + 100 * year as usize, 100) < 8
        };
        scopes.iter().filter(|scope| is_late(scope) == late).map(|scope| self.list(scope, today)).collect()
    }

    /// New versions of some lists: removals, additions, another category, rows that are written wrongly.
    pub(crate) fn changed_lists(&mut self, year: i32, step: usize, today: Day) -> Vec<List> {
        let scopes = self.scopes(year);
        let mut lists = Vec::new();
        for (number, scope) in scopes.iter().enumerate().filter(|(number, _)| (number + step).is_multiple_of(3)) {
            let dice =
                |about: &str, row: usize, sides: u64| self.dice.throw(about, row * 10_000 + number * 100 + step, sides);
            // Now and then a department sends a list of half its people.
            let leave = if dice("many leave", 0, 6) == 0 { 200 } else { 25 };
            let mut rows = self.lists[scope].clone();
            let before: Vec<(String, &'static str)> = rows.keys().cloned().collect();
            for (place, key) in before.iter().enumerate() {
                if dice("leaves", place, 1000) < leave {
                    rows.remove(key);
                } else if key.1 == SUBSISTENCE && dice("rises", place, 1000) < 20 {
                    let name = rows.remove(key).unwrap();
                    rows.insert((key.0.clone(), EXTREME), name);
                }
            }
            for addition in 0..=before.len() / 30 {
                let place = dice("joins", addition, self.people.len() as u64) as usize;
                let category = match scope.0 {
                    CIVIL if dice("as", addition, 2) == 0 => EXTREME,
                    CIVIL => SUBSISTENCE,
                    POVERTY => POOR,
                    _ => DISABLED,
                };
                rows.insert((self.people[place].id.clone(), category), self.people[place].name.clone());
            }
            // Who was written with another name is mended sooner or later.
            for (place, name) in rows.values_mut().enumerate() {
                if name.ends_with('错') && dice("name mended", place, 2) == 0 {
                    name.pop();
                }
            }
            let older = dice("older", 0, 12) == 0;
            self.lists.insert(scope.clone(), rows);
            let mut list = self.list(scope, if older { earlier(today, 300) } else { today });
            let count = list.rows.len();
            if count > 0 && dice("misspelt", 0, 3) == 0 {
                list.rows[dice("which", 0, count as u64) as usize].misspelt = true;
            }
            lists.push(list);
        }
        lists
    }

    /// A department without anybody sends nothing.
    fn scopes(&self, year: i32) -> Vec<Scope> {
        let some = |(scope, rows): &(&Scope, &BTreeMap<_, _>)| scope.2 == year && !rows.is_empty();
        self.lists.iter().filter(some).map(|(scope, _)| scope.clone()).collect()
    }

    fn list(&self, scope: &Scope, as_of: Day) -> List {
        let rows = self.lists[scope].iter().map(|((id, category), name)| ListRow {
            id: id.clone(),
            name: name.clone(),
            district: scope.1.clone(),
            category,
            year: scope.2,
            misspelt: false,
        });
        List { payer: scope.0, district: scope.1.clone(), year: scope.2, as_of, rows: rows.collect() }
    }

    /// What people paid through other channels: the own part, the whole tier, something else; for those who paid
    /// already, for people nobody knows; with rows of earlier tables repeated.
    pub(crate) fn payments(&mut self, fee_year: i32, step: usize, today: Day, model: &Model) -> Vec<Payment> {
        let mut rows: Vec<Payment> = self.paid.iter().rev().take(5).cloned().collect();
        if let Some(row) = rows.first_mut().filter(|_| step.is_multiple_of(4)) {
            row.amount += 100; // the same reference with other content
        }
        for place in 0..self.enrolled {
            let throw = |about: &str, sides: u64| self.dice.throw(about, place * 100 + step, sides);
            let row = &self.people[place];
            let terms = model
                .plans
                .get(&(row.id.clone(), fee_year))
                .and_then(|plan| plan.versions.last())
                .and_then(|version| version.terms.clone().ok());
            let (own, tier) = terms.map_or((row.tier, row.tier), |terms| (terms.own(), terms.tier));
            let amount = match throw("pays", 1000) {
                0..12 => own,
                12..26 => tier,
                26..31 => own + 5_00,
                31..34 => 50_00,
                _ => continue,
            };
            if amount > 0 {
                rows.push(Payment {
                    id: row.id.clone(),
                    fee_year,
                    amount,
                    paid_on: earlier(today, throw("paid", 25)),
                    channel: ["counter", "app"][throw("channel", 2) as usize].to_owned(),
                    reference: format!("P{step:03}{place:06}"),
                });
            }
        }
        self.paid.extend(rows.iter().skip(5).cloned());
        rows
    }
}

impl World {
    /// What payers send: all of it, a part, too much; for settlements that are not approved too.
    pub(crate) fn transfers(&self, year: i32, step: usize, today: Day, model: &Model) -> Vec<Transfer> {
        let mut rows = Vec::new();
        for (number, ((_, debtor), settlement)) in
            model.settlements.iter().filter(|((of, _), _)| *of == year).enumerate()
        {
            let owed = model.total(year, debtor, "deemed") - settlement.cleared;
            let amount = match self.dice.throw("transfer", number * 100 + step, 6) {
                0 => owed / 200 * 100,
                1 => owed + 50_00,
                2 => owed + model.total(year, debtor, "ex-post"),
                _ => owed,
            };
            if amount > 0 {
                rows.push(Transfer {
                    payer: debtor.0,
                    district: debtor.1.clone(),
                    year,
                    amount,
                    received_on: earlier(today, self.dice.throw("received", number * 100 + step, 8)),
                    reference: format!("HK{step:03}{number:03}"),
                });
            }
        }
        rows
    }
}

impl World {
    /// The account's statement.
    pub(crate) fn statement(
        &mut self,
        step: usize,
        today: Day,
        came: BTreeMap<(String, Day, String), Fen>,
        model: &Model,
    ) -> Vec<StatementLine> {
        let mut lines: Vec<StatementLine> = Vec::new();
        let mut enter = |bank: String, booked_on: Day, reference: String, amount: Fen, about: Option<String>| {
            let serial = format!("S{step:03}{:05}", lines.len());
            lines.push(StatementLine { bank, booked_on, reference, amount, serial, about });
        };
        for ((bank, on, reference), amount) in came {
            enter(bank, on, reference, amount, None);
        }
        for (number, reference) in ["", "来款"].into_iter().enumerate() {
            let bank = BANKS[self.dice.throw("strange bank", step * 10 + number, 3) as usize];
            let amount = 7_00 + 100 * self.dice.throw("strange", step * 10 + number, 90) as Fen;
            enter(bank.to_owned(), earlier(today, 2), reference.to_owned(), amount, None);
        }
        // Money going out that is nobody's: a clerk must ask.
        enter("city".to_owned(), earlier(today, 1), "手续费".to_owned(), -3_50, None);
        for key in model.plans.keys() {
            let throw = |about: &str, sides: u64| {
                self.dice.throw(&format!("{about}{}", key.0), step * 10_000 + key.1 as usize, sides)
            };
            let Some((bank, number, serial, amount)) = model.may_go_back(key) else { continue };
            if throw("goes back", 1000) < 6 {
                // Only this bank's serials never come again in another year.
                let by_serial = bank == "city" && throw("by serial", 2) == 0 && !serial.is_empty();
                let reference = if by_serial { serial } else { number.clone() };
                enter(bank, earlier(today, throw("back", 12)), reference, -amount, Some(number));
            }
        }
        let again = std::mem::replace(&mut self.lines, lines.iter().rev().take(6).cloned().collect());
        lines.extend(again);
        lines
    }
}

/// `days` before `today`.
pub(crate) fn earlier(today: Day, days: u64) -> Day {
    let mut day = Day(today.0 - 1, today.1, today.2.min(28));
    while day.plus(days as u32) < today {
        day = day.next();
    }
    day
}

fn person(dice: Dice, place: usize, order: &mut BTreeMap<String, u32>) -> RosterRow {
    let throw = |about: &str, sides: u64| dice.throw(about, place, sides);
    // Some turn 60 in these years, some are 60 already.
    let year = match throw("age", 100) {
        0..2 => 1950 + throw("year", 8),
        2..10 => 1958 + throw("year", 3),
        _ => 1961 + throw("year", 40),
    };
    let (month, day) = (1 + throw("month", 12), 1 + throw("day", 28));
    let birthday = format!("{year:04}{month:02}{day:02}");
    let number = order.entry(birthday.clone()).or_insert(0);
    *number += 1;
    let id = with_check_digit(&format!("500199{birthday}{number:03}"));
    let letters = NAMES.len();
    let syllables =
        [NAMES[place / (letters * letters) % letters], NAMES[place / letters % letters], NAMES[place % letters]];
    let name: String = ['测', '试'].into_iter().chain(syllables).collect();
    let (bank, account) = match throw("home bank", 100) {
        0..2 => (String::new(), String::new()),
        2..4 => ("外地银行".to_owned(), format!("9999{place:015}")),
        other => (BANKS[other as usize % 3].to_owned(), format!("9999{place:015}")),
    };
    let holder = if throw("holder", 100) == 0 { format!("{name}户") } else { name.clone() };
    RosterRow {
        id,
        holder,
        name,
        district: DISTRICTS[throw("district", 12) as usize].to_owned(),
        tier: TIERS[throw("first tier", TIERS.len() as u64) as usize],
        bank,
        account,
        status: "正常".to_owned(),
        status_since: None,
    }
}

/// GB 11643: the check digit.
fn with_check_digit(body: &str) -> String {
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body.chars().zip(weights).map(|(digit, weight)| digit.to_digit(10).unwrap() * weight).sum();
    format!("{body}{}", "10X98765432".chars().nth(sum as usize % 11).unwrap())
}
