//! What a clerk can decide on an exception now: of the decisions that are safe for its class, those that `resolve`
//! accepts. They are found by asking `resolve` itself, so that no screen offers what is then refused.

use crate::domain::calendar::Date;
use crate::domain::exception::Class;
use crate::domain::money::Money;
use crate::pipeline::book::Changeset;
use crate::pipeline::resolving::{Decision, Matter, Resolution, resolve};

/// A decision that would be accepted, and what must be said with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// `--as-class`.
    pub decision: Decision,
    /// Only with `--booked-on`.
    pub booked_on: bool,
    /// Only with `--amount`.
    pub amount: bool,
}

/// The decisions that would be accepted now, the usual one first.
pub fn ways(matter: &Matter<'_>, today: Date) -> Vec<Way> {
    safe(matter.class, matter.amount.is_positive())
        .iter()
        .filter_map(|decision| way(matter, *decision, today))
        .collect()
}

/// What is safe for a class (`docs/errors.md`). Nothing: only a better file helps.
fn safe(class: Class, holds_money: bool) -> &'static [Decision] {
    use Class::*;
    use Decision::{Refund, Reverse, Settled};
    match class {
        Age | WrongYear | AlreadyReceived | SecondPayment | UnknownInstruction | DuplicateRow if holds_money => {
            &[Refund]
        }
        UnknownMoney if holds_money => &[Refund, Reverse],
        EchoDiffers | FailureWithMoney if holds_money => &[Settled, Refund, Reverse],
        _ if holds_money => &[Settled, Refund],
        Tier | NoAccount | UnknownBank | Unsendable => &[],
        LateFailure => &[Reverse, Settled],
        _ => &[Settled, Decision::Failed],
    }
}

/// A decision with as little beside it as `resolve` wants.
fn way(matter: &Matter<'_>, decision: Decision, today: Date) -> Option<Way> {
    let (days, amounts) = (days(matter, today), amounts(matter));
    for amount in &amounts {
        for booked_on in &days {
            let (booked_on, amount) = (*booked_on, *amount);
            let resolution = Resolution { decision, booked_on, amount, reason: String::new() };
            if resolve(matter, &resolution, today).is_ok_and(|changes| says_something(decision, &changes)) {
                return Some(Way { decision, booked_on: booked_on.is_some(), amount: amount.is_some() });
            }
        }
    }
    None
}

/// "The bank took nothing" where nothing waits for that word closes the exception and says nothing: no advice.
fn says_something(decision: Decision, changes: &Changeset) -> bool {
    decision != Decision::Failed || !changes.instructions.is_empty() || !changes.batches.is_empty()
}

/// Days on which a bank may have booked: none said, and the ends of what is possible.
fn days(matter: &Matter<'_>, today: Date) -> Vec<Option<Date>> {
    let batch = matter.instruction.map(|instruction| &instruction.batch);
    let days = batch.into_iter().flat_map(|batch| [batch.debit_on, batch.drafted_on]).chain([today]);
    [None].into_iter().chain(days.filter(|day| *day <= today).map(Some)).collect()
}

/// Amounts that a plan of this person may take: none said, and those of its versions, the newest first.
fn amounts(matter: &Matter<'_>) -> Vec<Option<Money>> {
    let versions = matter.dossier.map_or(&[][..], |dossier| dossier.versions());
    let terms = versions.iter().rev().filter_map(|version| version.terms.as_ref().ok());
    [None].into_iter().chain(terms.flat_map(|terms| [Some(terms.own()), Some(terms.tier)])).collect()
}

#[cfg(test)]
mod tests;
