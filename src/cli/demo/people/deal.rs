//! Deals people from a seed, with the rates of life.

use super::{
    BANKS, DISABLED, DISTRICTS, EXTREME, Home, NORMAL, NOT_IN_GBK, OwnWay, POOR, Person, Recognition, SUBSISTENCE,
    Script, Stranger, cast,
};
use crate::cli::bank::Behaviour;
use crate::domain::calendar::{Date, yyyymmdd};
use crate::domain::ids::IdNumber;

/// Deals people: chance, and the order codes given out per birthday, which keep identity numbers unique.
pub(super) struct Dealer {
    chance: Chance,
    orders: Vec<u16>,
}

impl Dealer {
    pub(super) fn new(seed: u64) -> Dealer {
        Dealer { chance: Chance(seed), orders: Vec::new() }
    }

    pub(super) fn person(&mut self, number: usize) -> Person {
        match cast::role(number) {
            Some((born, play)) => {
                let mut person = ordinary(number, self.identity(born), self.ordinary_name());
                play(&mut person);
                person
            }
            None => self.anybody(number),
        }
    }

    fn anybody(&mut self, number: usize) -> Person {
        let id = self.birthday_identity();
        let name = self.name();
        let mut person = ordinary(number, id, name);
        let chance = &mut self.chance;
        person.district = chance.weighted(&[(0, 40), (1, 28), (2, 20), (3, 12)]);
        person.tier = chance.weighted(&TIERS);
        person.home = chance.weighted(&HOMES);
        person.holder = chance.one_in(400).then_some("测试户主");
        person.status = chance.weighted(&[(NORMAL, 980), ("暂停", 12), ("终止", 8)]);
        person.recognised = recognitions(chance, person.district);
        let on_a_list = !person.recognised.is_empty();
        person.listed_as = (on_a_list && chance.one_in(600)).then_some("测试错名");
        person.script = script(chance, &person);
        person.own_way = own_way(chance, &person);
        person
    }

    pub(super) fn stranger(&mut self, number: usize) -> Stranger {
        let category = [EXTREME, SUBSISTENCE, POOR, DISABLED][number % 4];
        let row = Recognition { category, district: number / 4 % DISTRICTS.len() };
        Stranger { id: self.birthday_identity(), name: self.ordinary_name(), row }
    }

    /// Ages 16 to 60 with more old people than young ones, as in this scheme.
    fn birthday_identity(&mut self) -> IdNumber {
        let days = 16_162;
        let day = self.chance.below(days).min(self.chance.below(days));
        self.identity(OLDEST.saturating_add(jiff::Span::new().days(i64::try_from(day).expect("a day of 44 years"))))
    }

    /// The next number of this birthday; after 999 of them, of the day after.
    fn identity(&mut self, born: Date) -> IdNumber {
        let day = usize::try_from((born - OLDEST).get_days()).expect("nobody is older");
        if self.orders.len() <= day {
            self.orders.resize(day + 1, 0);
        }
        if self.orders[day] == 999 {
            return self.identity(born.saturating_add(jiff::Span::new().days(1)));
        }
        self.orders[day] += 1;
        IdNumber::from_key((500_199 * 100_000_000 + yyyymmdd(born)) * 1_000 + i64::from(self.orders[day]))
    }

    fn name(&mut self) -> String {
        let chance = &mut self.chance;
        match chance.below(1_000) {
            // Their second byte is `|` or `\` in GBK.
            0..6 => format!("测试{}{}", chance.pick(&GIVEN), chance.pick(&['珅', '玕'])),
            6..7 => format!("测试{}", chance.pick(&NOT_IN_GBK)),
            7..22 => format!("测试·{}{}{}", chance.pick(&GIVEN), chance.pick(&GIVEN), chance.pick(&GIVEN)),
            _ => self.ordinary_name(),
        }
    }

    fn ordinary_name(&mut self) -> String {
        format!("测试{}{}", self.chance.pick(&GIVEN), self.chance.pick(&GIVEN))
    }
}

/// Somebody about whom there is nothing to say.
fn ordinary(number: usize, id: IdNumber, name: String) -> Person {
    Person {
        number,
        id,
        name,
        listed_as: None,
        district: number % DISTRICTS.len(),
        tier: 100,
        home: Home::Entrusted(number % BANKS.len()),
        holder: None,
        status: NORMAL,
        recognised: Vec::new(),
        removed: false,
        script: Script::FundsFrom(1),
        own_way: None,
    }
}

fn recognitions(chance: &mut Chance, home: usize) -> Vec<Recognition> {
    let mut categories = Vec::new();
    match chance.below(1_000) {
        0..10 => categories.push(EXTREME),
        10..70 => categories.push(SUBSISTENCE),
        70..71 => categories.extend([EXTREME, SUBSISTENCE]),
        _ => {}
    }
    let hardship = !categories.is_empty();
    if chance.one_in(if hardship { 6 } else { 16 }) {
        categories.push(POOR);
    }
    if chance.one_in(if hardship { 12 } else { 60 }) {
        categories.push(DISABLED);
    }
    let recognition = |category| {
        let moved = chance.one_in(60);
        Recognition { category, district: (home + usize::from(moved)) % DISTRICTS.len() }
    };
    categories.into_iter().map(recognition).collect()
}

fn script(chance: &mut Chance, person: &Person) -> Script {
    let rare_at_city = person.home == Home::Entrusted(2) && person.name.contains(NOT_IN_GBK);
    if rare_at_city && chance.one_in(2) {
        return Script::Always(Behaviour::NameMismatch);
    }
    match chance.weighted(&SCRIPTS) {
        // The city bank gives this answer for rare characters only.
        Script::Always(Behaviour::NameMismatch) if person.home == Home::Entrusted(2) => Script::FundsFrom(1),
        script => script,
    }
}

fn own_way(chance: &mut Chance, person: &Person) -> Option<OwnWay> {
    let owes = person.own_part().is_positive();
    match chance.below(1_000) {
        _ if person.id.birthday(60).year() <= 2018 || person.status != NORMAL => None,
        0..3 if owes => Some(OwnWay::OwnPart),
        3..43 if !person.recognised.is_empty() => Some(OwnWay::WholeTier),
        43..44 => Some(OwnWay::OddAmount),
        // Two thirds of those who are short all year.
        _ if person.script == Script::NoFunds && owes && !chance.one_in(3) => Some(OwnWay::AtLast),
        _ => None,
    }
}

/// SplitMix64: small, fast, the same on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `limit` − 1. The remainder favours nobody that a demo would notice.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn weighted<T: Copy>(&mut self, choices: &[(T, u64)]) -> T {
        let mut left = self.below(choices.iter().map(|(_, weight)| weight).sum());
        for (choice, weight) in choices {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        unreachable!("a draw is below the sum of the weights")
    }
}

/// The oldest are 60 shortly before the fee year begins for the bureau.
const OLDEST: Date = Date::constant(1958, 4, 1);

/// Tiers on offer in 2018 and how many of a thousand choose them.
const TIERS: [(i64, u64); 12] = [
    (100, 855),
    (200, 62),
    (300, 20),
    (400, 8),
    (500, 25),
    (600, 4),
    (700, 2),
    (800, 6),
    (900, 2),
    (1_000, 8),
    (1_500, 3),
    (2_000, 5),
];

const HOMES: [(Home, u64); 5] = [
    (Home::Entrusted(0), 620),
    (Home::Entrusted(1), 240),
    (Home::Entrusted(2), 130),
    (Home::Elsewhere, 4),
    (Home::Nowhere, 6),
];

/// What accounts do, of ten thousand: nearly 97 % pay in the end, most of the rest never have the money.
const SCRIPTS: [(Script, u64); 18] = [
    (Script::FundsFrom(1), 9_215),
    (Script::FundsFrom(2), 350),
    (Script::FundsFrom(3), 120),
    (Script::NoFunds, 180),
    (Script::Always(Behaviour::NoAccount), 10),
    (Script::Always(Behaviour::NameMismatch), 25),
    (Script::Always(Behaviour::IdMismatch), 3),
    (Script::Always(Behaviour::Closed), 18),
    (Script::Always(Behaviour::Lost), 5),
    (Script::Always(Behaviour::Frozen), 10),
    (Script::Always(Behaviour::NoAgreement), 30),
    (Script::Always(Behaviour::Limit), 4),
    (Script::Always(Behaviour::Duplicate), 2),
    (Script::Always(Behaviour::Unknown), 6),
    (Script::Always(Behaviour::UnknownTaken), 10),
    (Script::Always(Behaviour::Partial), 6),
    (Script::Always(Behaviour::Over), 3),
    (Script::Always(Behaviour::Other), 3),
];

const GIVEN: [char; 48] = [
    '安', '邦', '成', '达', '德', '恩', '芳', '刚', '贵', '海', '和', '华', '建', '杰', '军', '康', '兰', '丽', '林',
    '玲', '明', '宁', '平', '强', '琴', '荣', '善', '生', '书', '涛', '文', '武', '祥', '秀', '旭', '艳', '阳', '英',
    '永', '玉', '云', '泽', '珍', '志', '忠', '子', '春', '秋',
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn chance_is_splitmix64() {
        let mut chance = Chance(0);
        assert_eq!([chance.next(), chance.next()], [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4]);
    }

    #[test]
    fn a_full_birthday_flows_into_the_next() {
        let mut dealer = Dealer::new(3);
        let ids: BTreeSet<IdNumber> = (0..2_500).map(|_| dealer.identity(Date::constant(1978, 12, 31))).collect();
        assert_eq!(ids.len(), 2_500);
        assert_eq!(ids.last().unwrap().born(), Date::constant(1979, 1, 2));
    }
}
