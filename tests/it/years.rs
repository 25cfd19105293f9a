//! Three fee years and what is cleared after them, played to the product and to a model written from the rules alone,
//! and compared entry by entry.
//!
//! `DAIKOU_PEOPLE` and `DAIKOU_SEED` play another world.

// 30_00 is thirty yuan, in fen.
#![allow(clippy::inconsistent_digit_grouping)]

mod bank;
mod compare;
mod facts;
mod generator;
mod model;
mod play;

use facts::Day;
use generator::World;
use play::{Player, Step};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
fn three_years_agree_with_the_rules() {
    let world = World::new(number("DAIKOU_PEOPLE", 2_000) as usize, number("DAIKOU_SEED", 1));
    let mut player = Player::new(world);
    let mut last = Day(2018, 6, 1);
    let began = std::time::Instant::now();
    for (day, step) in timetable() {
        assert!(last <= day, "{step:?} comes before what is past");
        last = day;
        let at = began.elapsed();
        player.perform(day, &step);
        if std::env::var("DAIKOU_TOLD").is_ok() {
            eprintln!("{day} {step:?} {:?}", began.elapsed() - at);
        }
        if matches!(step, Step::Audit) || !player.model.faults.is_empty() {
            let differences = compare::differences(&player, day);
            assert!(differences.is_empty(), "{day}, after {step:?}:\n{differences}");
        }
    }
    let model = &player.model;
    println!("{} plans, {} entries, {} ex-post", model.plans.len(), model.entries.len(), model.ex_post.len());
}

/// Every day on which something happens.
fn timetable() -> Vec<(Day, Step)> {
    let mut days = first_half_of_2018();
    days.extend(second_half(2018));
    for year in [2019, 2020] {
        days.extend(first_half(year));
        days.extend(second_half(year));
    }
    days.extend(clearing_in_2021());
    days.sort_by_key(|(day, _)| *day);
    days
}

fn on(year: i32, steps: &[(u32, u32, Step)]) -> Vec<(Day, Step)> {
    steps.iter().map(|(month, day, step)| (Day(year, *month, *day), step.clone())).collect()
}

/// The first year begins late: its lists are due on 30 June (R8).
fn first_half_of_2018() -> Vec<(Day, Step)> {
    on(
        2018,
        &[
            (6, 20, Step::Roster),
            (6, 27, Step::FirstLists(2017)),
            (6, 29, Step::Payments(2018)),
            (7, 2, Step::Plan(2018)),
            (7, 2, Step::Payments(2018)),
            (7, 3, Step::Instruct(2018, Day(2018, 7, 4))),
            (7, 3, Step::Send(2018)),
            (7, 5, Step::Answer("rural", 1)),
            (7, 6, Step::Answer("postal", 1)),
            (7, 9, Step::Answer("city", 2)),
            (7, 10, Step::ApproveZero(2018)),
            (7, 16, Step::Second("rural")),
            (7, 17, Step::Second("postal")),
            (7, 18, Step::Second("city")),
            (7, 19, Step::Clerk(2018)),
            (7, 20, Step::Audit),
            (8, 3, Step::LateLists(2017)),
        ],
    )
}

/// The autumn of the last year is cleared in the next (R15), though the scheme has ended.
fn clearing_in_2021() -> Vec<(Day, Step)> {
    on(
        2021,
        &[
            (1, 8, Step::Audit),
            (2, 24, Step::ListChanges(2019)),
            (2, 25, Step::Correct(2020)),
            (2, 26, Step::Clerk(2020)),
            (3, 1, Step::Statement),
            (3, 1, Step::Audit),
            (9, 6, Step::ListExPost(2018)),
            (9, 6, Step::ListExPost(2019)),
            (9, 6, Step::ListExPost(2020)),
            (9, 13, Step::Settle(2021)),
            (9, 14, Step::ApproveSettlements(2021)),
            (9, 14, Step::ApproveLateSettlements(2021)),
            (10, 20, Step::Transfers(2021)),
            (10, 21, Step::Transfers(2020)),
            (10, 29, Step::ExPostPaid(2020)),
            (10, 29, Step::Audit),
        ],
    )
}

/// From the second year on there are rounds from January, and departments' changes in spring.
fn first_half(year: i32) -> Vec<(Day, Step)> {
    on(
        year,
        &[
            (1, 3, Step::Plan(year)),
            (1, 3, Step::Payments(year)),
            (1, 8, Step::Instruct(year, Day(year, 1, 9))),
            (1, 8, Step::Send(year)),
            (1, 10, Step::Answer("rural", 1)),
            (1, 11, Step::Answer("postal", 2)),
            (1, 14, Step::Answer("city", 2)),
            (1, 15, Step::ApproveZero(year)),
            (1, 18, Step::LateLists(year - 1)),
            (1, 22, Step::Second("rural")),
            (1, 23, Step::Second("postal")),
            (1, 24, Step::Second("city")),
            (1, 25, Step::Clerk(year)),
            // What departments say late of the year before: who paid in full is due an ex-post subsidy.
            (2, 20, Step::ListChanges(year - 2)),
            (2, 21, Step::ListChanges(year - 1)),
            (2, 22, Step::RosterChanges),
            (2, 24, Step::Correct(year - 1)),
            (2, 25, Step::Clerk(year - 1)),
            (2, 25, Step::Plan(year)),
            (3, 5, Step::Instruct(year, Day(year, 3, 6))),
            (3, 5, Step::Send(year)),
            (3, 8, Step::Answer("rural", 1)),
            (3, 11, Step::Answer("postal", 2)),
            (3, 12, Step::Answer("city", 2)),
            (3, 13, Step::Clerk(year)),
            (3, 13, Step::Statement),
            (3, 14, Step::Audit),
            (5, 6, Step::ApproveRemovals),
            (6, 3, Step::Clerk(year)),
            (6, 10, Step::Payments(year)),
            (6, 11, Step::Statement),
        ],
    )
}

fn second_half(year: i32) -> Vec<(Day, Step)> {
    let mut days = on(
        year,
        &[
            (7, 25, Step::RosterChanges),
            (7, 27, Step::Payments(year)),
            (7, 30, Step::ListChanges(year - 1)),
            (8, 4, Step::ApproveRemovals),
            (8, 6, Step::Plan(year)),
            (8, 6, Step::Instruct(year, Day(year, 8, 7))),
            (8, 6, Step::Send(year)),
            (8, 8, Step::Reject("rural")),
            // Changes while instructions are at the bank (R7a).
            (8, 9, Step::ListChanges(year - 1)),
            (8, 10, Step::RosterChanges),
            (8, 10, Step::Payments(year)),
            (8, 14, Step::Answer("postal", 4)),
            (8, 15, Step::Answer("city", 4)),
            (8, 16, Step::ApproveZero(year)),
            (8, 20, Step::Clerk(year)),
            (8, 21, Step::Statement),
            (8, 27, Step::Plan(year)),
            (8, 27, Step::Instruct(year, Day(year, 8, 28))),
            (8, 27, Step::Send(year)),
            // Booked by 31 August, and answered after it (R15).
            (8, 30, Step::Answer("rural", 1)),
            (9, 5, Step::Answer("postal", 2)),
            (9, 6, Step::Answer("city", 3)),
            (9, 7, Step::ApproveZero(year)),
            (9, 4, Step::Settle(year)),
            (9, 10, Step::Payments(year)),
            (9, 11, Step::Clerk(year)),
            (9, 12, Step::Audit),
            // What is put right joins the settlement that is not approved.
            (9, 13, Step::Statement),
            (9, 14, Step::Correct(year)),
            (9, 17, Step::Settle(year)),
            (9, 18, Step::ApproveSettlements(year)),
            (9, 19, Step::ListExPost(year)),
            (9, 25, Step::Transfers(year)),
            (9, 28, Step::ExPostPaid(year)),
            (10, 10, Step::Second("rural")),
            (10, 10, Step::Second("postal")),
            (10, 10, Step::Second("city")),
            (10, 11, Step::Close(year, 7)),
            (10, 11, Step::Close(year, 8)),
            (10, 12, Step::Payments(year)),
            (10, 15, Step::Clerk(year)),
            (10, 16, Step::Settle(year)),
            (10, 16, Step::ApproveLateSettlements(year)),
            (10, 16, Step::Audit),
            (10, 16, Step::ListChanges(year - 1)),
            (10, 17, Step::RosterChanges),
            (10, 22, Step::ApproveRemovals),
            (10, 23, Step::Plan(year)),
            (10, 23, Step::Instruct(year, Day(year, 10, 25))),
            // What has not left is withdrawn by what changes; the rest is asked again.
            (10, 24, Step::RosterChanges),
            (10, 24, Step::Plan(year)),
            (10, 24, Step::Instruct(year, Day(year, 10, 25))),
            (10, 24, Step::Send(year)),
            (10, 26, Step::Answer("rural", 1)),
            (10, 29, Step::Answer("postal", 1)),
            (10, 30, Step::Answer("city", 1)),
            (10, 31, Step::ApproveZero(year)),
            (11, 3, Step::Transfers(year)),
            (11, 5, Step::Clerk(year)),
            (11, 6, Step::Plan(year)),
            (11, 6, Step::Instruct(year, Day(year, 11, 7))),
            (11, 6, Step::Send(year)),
            (11, 9, Step::Answer("rural", 1)),
            (11, 9, Step::Answer("postal", 1)),
            (11, 12, Step::Answer("city", 1)),
            (11, 20, Step::Second("rural")),
            (11, 20, Step::Second("postal")),
            (11, 20, Step::Second("city")),
            (11, 21, Step::Clerk(year)),
            (11, 22, Step::Statement),
            // The final sweep after the deposit deadline (R13).
            (12, 3, Step::Plan(year)),
            (12, 3, Step::Instruct(year, Day(year, 12, 4))),
            (12, 3, Step::Send(year)),
            (12, 6, Step::Answer("rural", 1)),
            (12, 6, Step::Answer("postal", 1)),
            (12, 7, Step::Answer("city", 1)),
            (12, 10, Step::Clerk(year)),
            (12, 11, Step::ApproveZero(year)),
            (12, 17, Step::Plan(year)),
            (12, 17, Step::Instruct(year, Day(year, 12, 19))),
            (12, 17, Step::Send(year)),
            (12, 24, Step::ApproveZero(year)),
            (12, 27, Step::Statement),
            (12, 28, Step::Audit),
        ],
    );
    if year < 2020 {
        days.push((Day(year, 12, 15), Step::FirstLists(year)));
    }
    // Answered across the year's end: booked in the year, or in the next (R13).
    days.extend(on(
        year + 1,
        &[
            (1, 4, Step::Answer("rural", 1)),
            (1, 4, Step::AnswerOn("postal", Day(year + 1, 1, 2))),
            (1, 4, Step::Answer("city", 1)),
            (1, 5, Step::Plan(year)),
            (1, 7, Step::Payments(year)),
            (1, 7, Step::Second("city")),
            (1, 7, Step::Clerk(year)),
        ],
    ));
    days
}
