//! The cast: one person for every case that the rules know, first in every world.

use super::{Category, DISABLED, DISTRICTS, EXTREME, Home, OwnWay, POOR, Person, Recognition, SUBSISTENCE, Script};
use crate::cli::bank::Behaviour;
use crate::domain::calendar::Date;

/// Date of birth, and what makes this person worth a role.
type Role = (Date, fn(&mut Person));

/// The role of the `number`-th person of a world; `None` once the cast is complete.
pub(super) fn role(number: usize) -> Option<Role> {
    let listed = number.checked_sub(CAST.len());
    match listed {
        None => Some(CAST[number]),
        Some(place) if place < LISTED => Some((ADULT, fill_list)),
        Some(_) => None,
    }
}

/// One person on each list, so that no department sends an empty one.
const LISTED: usize = 12;

fn fill_list(person: &mut Person) {
    let place = person.number - CAST.len();
    let category = [SUBSISTENCE, POOR, DISABLED][place / DISTRICTS.len()];
    person.district = place % DISTRICTS.len();
    person.recognised = vec![Recognition { category, district: person.district }];
}

const ADULT: Date = Date::constant(1978, 5, 6);
const RURAL: Home = Home::Entrusted(0);
const POSTAL: Home = Home::Entrusted(1);
const CITY: Home = Home::Entrusted(2);

const CAST: [Role; 53] = [
    // What an account can answer.
    (ADULT, |p| p.script = Script::FundsFrom(2)),
    (ADULT, |p| p.script = Script::FundsFrom(3)),
    (ADULT, |p| p.script = Script::NoFunds),
    (ADULT, |p| p.script = Script::Always(Behaviour::NoAccount)),
    (ADULT, |p| at(p, RURAL, Behaviour::NameMismatch)),
    (ADULT, |p| p.script = Script::Always(Behaviour::IdMismatch)),
    (ADULT, |p| p.script = Script::Always(Behaviour::Closed)),
    (ADULT, |p| p.script = Script::Always(Behaviour::Lost)),
    (ADULT, |p| p.script = Script::Always(Behaviour::Frozen)),
    (ADULT, |p| p.script = Script::Always(Behaviour::NoAgreement)),
    (ADULT, |p| p.script = Script::Always(Behaviour::Limit)),
    (ADULT, |p| at(p, RURAL, Behaviour::Duplicate)),
    (ADULT, |p| p.script = Script::Always(Behaviour::Unknown)),
    (ADULT, |p| at(p, RURAL, Behaviour::UnknownTaken)),
    (ADULT, |p| at(p, POSTAL, Behaviour::UnknownTaken)),
    (ADULT, |p| at(p, CITY, Behaviour::UnknownTaken)),
    (ADULT, |p| p.script = Script::Always(Behaviour::Partial)),
    (ADULT, |p| p.script = Script::Always(Behaviour::Over)),
    (ADULT, |p| at(p, CITY, Behaviour::Other)),
    // Names: trail bytes `|` and `\`, a middle dot, characters that GBK lacks, a name longer than the postal field.
    (ADULT, |p| named(p, "测试乙珅", RURAL)),
    (ADULT, |p| named(p, "测试玕", POSTAL)),
    (ADULT, |p| named(p, "测试珅玕", CITY)),
    (ADULT, |p| named(p, "测试·阿依古丽", RURAL)),
    (ADULT, |p| named(p, "测试㛃", RURAL)),
    (ADULT, |p| named(p, "测试䶮", POSTAL)),
    (ADULT, |p| named(p, "测试𬭎䶮", CITY)),
    (ADULT, |p| {
        named(p, "测试𬭎", CITY);
        p.script = Script::Always(Behaviour::NameMismatch);
    }),
    (ADULT, |p| named(p, "测试·甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申", POSTAL)),
    // Accounts.
    (ADULT, |p| p.home = Home::Elsewhere),
    (ADULT, |p| p.home = Home::Nowhere),
    (ADULT, |p| p.holder = Some("测试户主")),
    // Status and age.
    (ADULT, |p| p.status = "暂停"),
    (ADULT, |p| p.status = "终止"),
    (Date::constant(1958, 5, 20), |_| {}),
    (Date::constant(1958, 8, 15), |p| p.script = Script::FundsFrom(3)),
    (Date::constant(1958, 12, 31), |_| {}),
    (Date::constant(1958, 10, 1), |p| recognised(p, &[EXTREME])),
    // Tiers.
    (ADULT, |p| p.tier = 2_000),
    (ADULT, |p| {
        p.tier = 200;
        recognised(p, &[SUBSISTENCE]);
    }),
    (ADULT, |p| {
        p.tier = 500;
        recognised(p, &[EXTREME]);
    }),
    // Recognitions: nothing to pay, two identities, twice at one payer, two payers with the better one last, elsewhere.
    (ADULT, |p| recognised(p, &[EXTREME])),
    (ADULT, |p| recognised(p, &[DISABLED])),
    (ADULT, |p| recognised(p, &[SUBSISTENCE, POOR])),
    (ADULT, |p| recognised(p, &[EXTREME, SUBSISTENCE])),
    (ADULT, |p| recognised(p, &[SUBSISTENCE, DISABLED])),
    (ADULT, |p| p.recognised = vec![Recognition { category: POOR, district: (p.district + 1) % DISTRICTS.len() }]),
    (ADULT, |p| p.recognised = [0, 1].map(|district| Recognition { category: POOR, district }).to_vec()),
    (ADULT, |p| {
        recognised(p, &[SUBSISTENCE]);
        p.listed_as = Some("测试错名");
    }),
    // Still short when the mid-year list drops them.
    (ADULT, |p| {
        p.district = 0;
        p.script = Script::FundsFrom(3);
        recognised(p, &[SUBSISTENCE]);
    }),
    // Other channels.
    (ADULT, |p| paid(p, OwnWay::OwnPart)),
    (ADULT, |p| paid(p, OwnWay::WholeTier)),
    (ADULT, |p| paid(p, OwnWay::OddAmount)),
    (ADULT, |p| {
        p.script = Script::NoFunds;
        paid(p, OwnWay::AtLast);
    }),
];

fn at(person: &mut Person, home: Home, behaviour: Behaviour) {
    person.home = home;
    person.script = Script::Always(behaviour);
}

fn named(person: &mut Person, name: &str, home: Home) {
    person.name = name.into();
    person.home = home;
}

fn recognised(person: &mut Person, categories: &[&'static Category]) {
    let district = person.district;
    person.recognised = categories.iter().map(|category| Recognition { category, district }).collect();
}

fn paid(person: &mut Person, way: OwnWay) {
    recognised(person, &[POOR]);
    person.own_way = Some(way);
}
