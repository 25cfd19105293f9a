use super::*;
use crate::domain::ids::{BatchNumber, IdNumber, InstructionNumber};
use crate::domain::instruction::{BatchState, InstructionState};
use crate::domain::ledger::{Posting, PostingKey};
use crate::domain::participant::{BankNumber, DistrictCode, Participant, Status};
use crate::domain::plan::{PlanState, PlanVersion};
use crate::domain::policy::{AgeAsOf, KeepLowest, Policy, Terms};
use crate::domain::postings;
use crate::pipeline::book::{BatchLine, Dossier, OpenException, PlanBook};
use crate::pipeline::post::booked;
use crate::pipeline::resolving::InstructionMatter;
use rust_decimal::Decimal;
use std::collections::BTreeSet;

const DRAFTED: Date = Date::constant(2018, 7, 3);
const TODAY: Date = Date::constant(2018, 7, 9);

fn words(class: Class, held: i64, state: InstructionState, plan: PlanState) -> Vec<String> {
    let (instruction, dossier) = (instruction(state), dossier(class, held, plan));
    let key = PostingKey::Return(instruction.number);
    let when = booked(DRAFTED, &BTreeSet::new());
    let posting: Posting = match held {
        0 => postings::self_payment(key, when, Money::from_fen(3_000), None),
        held => postings::suspense(key, when, Money::from_fen(held)),
    };
    let matter = Matter {
        id: 7,
        class,
        amount: Money::from_fen(held),
        dossier: Some(&dossier),
        instruction: Some(&instruction),
        posting: Some(&posting),
        corrections: &[],
        transfer: None,
        policy: Some(&policy()),
        closed: &BTreeSet::new(),
    };
    let word = |way: &Way| {
        let flags = [(way.booked_on, " booked-on"), (way.amount, " amount")];
        let flags: String = flags.iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, flag)| *flag).collect();
        format!("{}{flags}", way.decision.word())
    };
    ways(&matter, TODAY).iter().map(word).collect()
}

#[test]
fn money_that_is_too_much_goes_back() {
    use Class::*;
    for class in [DuplicateRow, UnknownInstruction, SecondPayment, AlreadyReceived] {
        for plan in [PlanState::Received, PlanState::Planned] {
            assert_eq!(words(class, 3_000, InstructionState::Settled, plan), ["refund"], "{class:?}");
        }
    }
}

#[test]
fn nothing_more_is_asked_of_what_is_settled() {
    for class in [Class::DuplicateRow, Class::DifferingAnswer, Class::MissingRow] {
        assert_eq!(words(class, 0, InstructionState::Settled, PlanState::Received), ["settled"], "{class:?}");
    }
    assert_eq!(words(Class::LateFailure, 0, InstructionState::Settled, PlanState::Received), ["reverse", "settled"]);
}

#[test]
fn the_banks_word_is_awaited() {
    for class in [Class::UnknownResult, Class::MissingRow, Class::DuplicateRow] {
        for state in [InstructionState::Sent, InstructionState::Unknown] {
            assert_eq!(words(class, 0, state, PlanState::Waiting), ["settled booked-on", "failed"], "{class:?}");
        }
    }
}

#[test]
fn money_held_is_posted_where_it_fits() {
    let held = |class, held| words(class, held, InstructionState::Suspense, PlanState::Waiting);
    assert_eq!(held(Class::Over, 4_000), ["settled booked-on amount", "refund"]);
    assert_eq!(held(Class::Partial, 2_000), ["refund"]);
    assert_eq!(held(Class::FailureWithMoney, 3_000), ["settled booked-on", "refund", "reverse"]);
}

#[test]
fn there_is_always_a_way_except_a_better_file() {
    use Class::{LateFailure, NoAccount, Tier, UnknownBank, Unsendable};
    use InstructionState::{Sent, Unknown};
    for (class, word, _) in Class::ALL {
        for (state, state_word, _) in InstructionState::ALL {
            for (plan, ..) in PlanState::ALL {
                let with_money = words(class, 3_000, state, plan);
                assert!(with_money.iter().any(|word| word == "refund"), "{word} {state_word}");
                assert!(!with_money.iter().any(|word| word == "failed"), "{word} {state_word}");
                let without = words(class, 0, state, plan);
                assert!(!without.iter().any(|word| word == "refund"), "{word} {state_word}");
                let needs_a_file = matches!(class, Tier | NoAccount | UnknownBank | Unsendable);
                // What is awaited has not succeeded: it cannot fail late.
                let cannot_be = class == LateFailure && matches!(state, Sent | Unknown);
                assert!(cannot_be || without.is_empty() == needs_a_file, "{word} {state_word}");
            }
        }
    }
}

fn instruction(state: InstructionState) -> InstructionMatter {
    let number = BatchNumber::parse("2018070301000001").expect("a sound number");
    let batch = BatchLine {
        number,
        bank: Some(BankNumber(1)),
        fee_year: 2018,
        debit_on: Date::constant(2018, 7, 4),
        drafted_on: DRAFTED,
        count: 1,
        amount: Money::from_fen(3_000),
        state: BatchState::SentUnconfirmed,
        sha256: [0; 32],
        file: String::new(),
    };
    let number = InstructionNumber { batch: number, sequence: 1 };
    InstructionMatter { number, state, amount: Money::from_fen(3_000), version: 1, batch }
}

/// A plan without a government part: 30 yuan, all of it the own part.
fn dossier(class: Class, held: i64, state: PlanState) -> Dossier {
    let id = IdNumber::from_key(50_019_919_700_101_001);
    let terms = Ok(Terms { tier: Money::from_fen(3_000), subsidy: None });
    let versions = vec![PlanVersion { number: 1, from: DRAFTED, terms }];
    let number = instruction(InstructionState::Sent).number;
    let amount = Money::from_fen(held);
    Dossier {
        id,
        fee_year: 2018,
        participant: Some(participant(id)),
        recognitions: Vec::new(),
        ever_listed: false,
        confirmed_names: Vec::new(),
        confirmed_holders: Vec::new(),
        plan: Some(PlanBook {
            state,
            versions,
            enrolled: None,
            instruction: None,
            older_live: None,
            attempts: 0,
            paid: None,
            ex_post: None,
        }),
        open: vec![OpenException { id: 7, class, amount, booked_on: None, instruction: Some(number) }],
    }
}

fn participant(id: IdNumber) -> Participant {
    Participant {
        id,
        name: "测试甲".to_owned(),
        district: DistrictCode::parse("500199").expect("a sound code"),
        tier: Money::from_fen(3_000),
        bank_text: String::new(),
        bank: Some(BankNumber(1)),
        account: None,
        account_name: None,
        status: Status::Normal,
        status_since: DRAFTED,
        town: String::new(),
        village: String::new(),
        person_number: String::new(),
    }
}

fn policy() -> Policy {
    Policy {
        key: String::new(),
        title: String::new(),
        years: Vec::new(),
        categories: Vec::new(),
        tie_order: Vec::new(),
        keep_lowest: KeepLowest::EverListed,
        age_limit: 60,
        age_as_of: AgeAsOf::Debit,
        max_removed: Decimal::ZERO,
        attempts: 6,
        arrival_days: 5,
        settlement_ends: (8, 31),
        settlement_due: (9, 20),
        application_due: (9, 30),
        transfer_due: (10, 31),
    }
}
