use super::*;
use crate::domain::calendar::Date;
use std::collections::{BTreeMap, BTreeSet};

const AS_OF: Date = Date::constant(2018, 6, 20);

fn text(table: &Table) -> String {
    let bytes = table.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&table.bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes).unwrap().into(),
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let (one, two, other) = (World::new(3_000, 7), World::new(3_000, 7), World::new(3_000, 8));
    assert_eq!(one.roster(), two.roster());
    assert_eq!(one.lists(AS_OF), two.lists(AS_OF));
    assert_eq!(one.early_payments(), two.early_payments());
    assert_eq!(one.late_payments(AS_OF), two.late_payments(AS_OF));
    assert_ne!(one.roster(), other.roster());
}

#[test]
fn nobody_is_twice_and_every_number_holds() {
    let world = World::new(50_000, 1);
    let mut ids = BTreeSet::new();
    let mut accounts = BTreeSet::new();
    let strangers = world.strangers.iter().map(|stranger| stranger.id);
    for id in world.people.iter().map(|person| person.id).chain(strangers) {
        assert_eq!(IdNumber::parse(&id.text()).map(|parsed| parsed.id), Ok(id));
        assert_eq!(id.area(), 500_199);
        assert!(ids.insert(id));
    }
    for person in world.people.iter().filter(|person| person.home != Home::Nowhere) {
        assert!(person.account().starts_with("9999") && accounts.insert(person.account()));
    }
}

#[test]
fn a_small_world_has_every_case() {
    let world = World::new(800, 42);
    let expected = world.expected();
    let counts = [
        expected.recognised,
        expected.dual_identity,
        expected.zero_own_part,
        expected.sixty_in_2018,
        expected.removed,
        expected.paid_elsewhere,
        expected.without_account,
        expected.unknown_bank,
        expected.other_holder,
        expected.unsendable,
        expected.other_name,
        expected.not_enrolled,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{expected:?}");
    assert!(expected.normal < expected.participants);
    assert!(world.lists(AS_OF).iter().all(|list| text(&list.table).lines().count() > 1));
}

#[test]
fn rates_are_those_of_life() {
    let world = World::new(20_000, 42);
    let banked = world.people.iter().filter(|person| matches!(person.home, Home::Entrusted(_)));
    let (mut all, mut paid, mut short) = (0, 0, 0);
    for person in banked {
        all += 1;
        match world.behaviour(&person.account(), 6) {
            Behaviour::Pays => paid += 1,
            Behaviour::InsufficientFunds => short += 1,
            _ => {}
        }
    }
    let per_mille = paid * 1_000 / all;
    assert!((960..980).contains(&per_mille), "{per_mille}");
    assert!(short * 2 > all - paid, "most of the rest never have the money");
    let expected = world.expected();
    assert!((1_800..4_000).contains(&expected.recognised), "{expected:?}");
}

#[test]
fn an_account_keeps_to_its_script() {
    let world = World::new(100, 5);
    let second = world.people.iter().find(|person| person.script == Script::FundsFrom(2)).unwrap();
    assert_eq!(world.behaviour(&second.account(), 1), Behaviour::InsufficientFunds);
    assert_eq!(world.behaviour(&second.account(), 2), Behaviour::Pays);
    assert_eq!(world.behaviour("9999", 1), Behaviour::NoAccount);
    assert_eq!(world.behaviour("9999100000000000000", 1), Behaviour::NoAccount);
}

#[test]
fn the_new_list_drops_fewer_than_five_percent() {
    for people in [200, 2_000, 20_000] {
        let world = World::new(people, 9);
        let old = text(&world.lists(AS_OF)[0].table);
        let new = text(&world.list_after_removals(Date::constant(2018, 8, 20)).table);
        let (rows, left) = (old.lines().count() - 1, new.lines().count() - 1);
        assert_eq!(rows - left, world.expected().removed);
        assert!((rows - left) * 100 < rows * 5);
    }
}

#[test]
fn money_paid_another_way_is_what_it_claims() {
    let world = World::new(20_000, 42);
    let table = text(&world.early_payments());
    let amounts: BTreeMap<&str, &str> =
        table.lines().skip(1).map(|line| (line.split(',').next().unwrap(), line.split(',').nth(2).unwrap())).collect();
    assert_eq!(amounts.len(), world.expected().paid_elsewhere);
    for person in world.people.iter().filter(|person| person.own_way == Some(OwnWay::OwnPart)) {
        assert_eq!(amounts[person.id.text().as_str()], person.own_part().to_string());
    }
    assert!(text(&world.late_payments(AS_OF)).lines().count() > 1);
}

#[test]
fn sheets_are_saved_three_ways() {
    let world = World::new(300, 1);
    let lists = world.lists(AS_OF);
    assert!(world.roster().bytes.starts_with("\u{feff}身份证号,".as_bytes()));
    assert!(std::str::from_utf8(&lists[0].table.bytes).is_err());
    assert!(lists[8].table.bytes.starts_with(b"id_number,"));
    assert_eq!((lists[8].payer, lists[8].district), ("disability-federation", "500199"));
    let certificates = text(&lists[8].table).lines().filter(|line| line.split(',').next().unwrap().len() == 20).count();
    assert!(certificates > 0);
}
