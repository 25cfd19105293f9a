//! What banks do with what they are asked: the fate of each person, fee year and attempt, thrown by the dice.

use crate::bank_files::{self, Echo, Layout, Request};
use crate::years::facts::*;
use crate::years::generator::Dice;

/// What becomes of one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Paid,
    /// Booked a day or two after the debit date.
    PaidLater,
    NoFunds,
    /// A failure that wants a clerk's fix; which.
    Refused(&'static str),
    /// Unknown at first; then the bank finds out, or it never does.
    UnknownThenPaid,
    UnknownThenNoFunds,
    UnknownForEver,
    Unmapped,
    Partial,
    Over,
    OtherAccount,
    NoDate,
    FailureWithMoney,
    SuccessWithoutMoney,
    FailedThenPaid,
    PaidThenFailed,
    PaidTwice,
    SaidTwice,
    SaidOtherwise,
}

pub(crate) fn fate(dice: Dice, id: &str, fee_year: i32, attempt: u32) -> Fate {
    let throw = |about: &str, sides: u64| dice.throw(&format!("{about}{id}"), fee_year as usize, sides);
    let short = throw("short of money", 100);
    let broke_for = if short < 3 { 99 } else { u32::from(short < 9) * (1 + throw("how often", 4) as u32) };
    if attempt <= broke_for {
        return Fate::NoFunds;
    }
    let what = dice.throw(&format!("fate{id}"), (fee_year as usize) * 10 + attempt as usize, 1000);
    // Later attempts go better.
    match if attempt > 2 { what * 2 } else { what } {
        0..8 => Fate::Refused("no-account"),
        8..14 => Fate::Refused("name-mismatch"),
        14..20 => Fate::Refused("closed"),
        20..24 => Fate::Refused("frozen"),
        24..32 => Fate::UnknownThenPaid,
        32..37 => Fate::UnknownThenNoFunds,
        37..44 => Fate::UnknownForEver,
        44..47 => Fate::Unmapped,
        47..55 => Fate::Partial,
        55..61 => Fate::Over,
        61..67 => Fate::OtherAccount,
        67..73 => Fate::NoDate,
        73..78 => Fate::FailureWithMoney,
        78..82 => Fate::SuccessWithoutMoney,
        82..90 => Fate::FailedThenPaid,
        90..100 => Fate::PaidThenFailed,
        100..108 => Fate::PaidTwice,
        108..114 => Fate::SaidTwice,
        114..120 => Fate::SaidOtherwise,
        120..320 => Fate::PaidLater,
        _ => Fate::Paid,
    }
}

/// Code of a class in each bank's own table.
fn code(layout: Layout, outcome: &str) -> &'static str {
    let codes: [&str; 3] = match outcome {
        "ok" => ["0000", "Y", "AAAAAAA"],
        "insufficient-funds" => ["1001", "E", "51"],
        "no-account" => ["1002", "A", "14"],
        "name-mismatch" => ["1003", "N", "E1003-7"],
        "frozen" => ["1004", "B", "62"],
        "closed" => ["1005", "C", "E1005"],
        "unknown" => ["9001", "U", "68"],
        "unmapped" => ["7777", "Z", "99"],
        _ => panic!("no code for {outcome}"),
    };
    codes[layout as usize]
}

/// Whether it is the bank's first word on an attempt or what it finds out later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Word {
    First,
    Second,
}

/// What the bank says, for its file and for the rules; `None` where it has nothing (more) to say.
pub(crate) fn say(
    request: &Request,
    row: usize,
    fate: Fate,
    word: Word,
    debit_on: Day,
    later: Day,
) -> Option<(bank_files::Answer, Answer)> {
    let due = request.due(row) as Fen;
    let number = request.text(row, Echo::Instruction);
    let (outcome, actual, on) = match (fate, word) {
        (Fate::Paid | Fate::PaidThenFailed | Fate::PaidTwice | Fate::OtherAccount, Word::First)
        | (Fate::SaidTwice | Fate::SaidOtherwise, Word::First) => ("ok", due, Some(debit_on)),
        (Fate::PaidLater, Word::First) => ("ok", due, Some(later)),
        (Fate::NoFunds | Fate::FailedThenPaid, Word::First) => ("insufficient-funds", 0, None),
        (Fate::Refused(class), Word::First) => (class, 0, None),
        (Fate::UnknownThenPaid | Fate::UnknownThenNoFunds | Fate::UnknownForEver, Word::First) => ("unknown", 0, None),
        (Fate::Unmapped, Word::First) => ("unmapped", 0, None),
        (Fate::Partial, Word::First) => ("ok", due - 10_00, Some(debit_on)),
        (Fate::Over, Word::First) => ("ok", due + 10_00, Some(debit_on)),
        (Fate::NoDate, Word::First) => ("ok", due, None),
        (Fate::FailureWithMoney, Word::First) => ("insufficient-funds", due, Some(debit_on)),
        (Fate::SuccessWithoutMoney, Word::First) => ("ok", 0, None),
        (Fate::UnknownThenPaid | Fate::FailedThenPaid | Fate::SaidTwice, Word::Second) => ("ok", due, Some(debit_on)),
        (Fate::PaidTwice | Fate::SaidOtherwise, Word::Second) => ("ok", due, Some(later)),
        (Fate::UnknownThenNoFunds, Word::Second) => ("insufficient-funds", 0, None),
        (Fate::PaidThenFailed, Word::Second) => ("no-account", 0, None),
        (_, Word::Second) => return None,
    };
    let again = if fate == Fate::PaidTwice && word == Word::Second { 'Z' } else { 'B' };
    let serial = match request.layout {
        _ if actual == 0 => String::new(),
        Layout::Rural => format!("{again}{}", &number[5..]),
        Layout::Postal => format!("{again}{}", &number[9..]),
        Layout::City => format!("{again}{number:0>31}"),
    };
    let echo_agrees = fate != Fate::OtherAccount;
    let booked_on = on.map_or(String::new(), Day::compact);
    let in_file = bank_files::Answer {
        row,
        code: code(request.layout, outcome).to_owned(),
        message: String::new(),
        actual: actual as u64,
        booked_at: if on.is_none() || request.layout == Layout::Postal { String::new() } else { "231500".to_owned() },
        booked_on,
        serial: serial.clone(),
        changed: if echo_agrees { Vec::new() } else { vec![(Echo::Account, "9999000000000000000".to_owned())] },
        cut_name: false,
    };
    Some((in_file, Answer { number, outcome, actual, booked_on: on, serial, echo_agrees }))
}
