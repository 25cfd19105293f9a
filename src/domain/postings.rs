//! Business event → posting: one function per event, the whole chart on one page (design section 7).

use crate::domain::calendar::{Date, Month};
use crate::domain::ledger::{Account, Entry, Event, Posting, PostingKey};
use crate::domain::money::Money;

/// When it counts: the booking date and the posting month that follows from it (R11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The bank's booking date.
    pub on: Date,
    /// The month of that date, or the first open one after it.
    pub month: Month,
}

/// The government part of a posting: the account that owes it, and how much.
pub type Deemed = Option<(Account, Money)>;

/// R10: the own part came in full; with it the government part is deemed received.
/// R14: for the whole tier as own money there is no deemed part: it goes to the person.
pub fn self_payment(key: PostingKey, booked: Booked, own: Money, deemed: Deemed) -> Posting {
    let own = Entry::new(Account::Collection, Account::PersonalOwn, own);
    posting(key, Event::SelfPayment, booked, [Some(own), deemed_entry(deemed)])
}

/// R9: nothing to pay; the government part is deemed received on approval.
pub fn zero_payment(key: PostingKey, booked: Booked, deemed: Deemed) -> Posting {
    posting(key, Event::ZeroPayment, booked, [deemed_entry(deemed)])
}

/// R10: money that may not be posted is booked all the same.
pub fn suspense(key: PostingKey, booked: Booked, amount: Money) -> Posting {
    let held = Entry::new(Account::Collection, Account::Suspense, amount);
    posting(key, Event::Suspense, booked, [Some(held)])
}

/// Suspense money makes up the own part, or the whole tier (R14, without a deemed part).
pub fn suspense_posted(key: PostingKey, booked: Booked, own: Money, deemed: Deemed) -> Posting {
    let own = Entry::new(Account::Suspense, Account::PersonalOwn, own);
    posting(key, Event::SuspensePosted, booked, [Some(own), deemed_entry(deemed)])
}

/// Suspense money goes back to where it came from.
pub fn refund(key: PostingKey, booked: Booked, amount: Money) -> Posting {
    let back = Entry::new(Account::Suspense, Account::Collection, amount);
    posting(key, Event::Refund, booked, [Some(back)])
}

/// R16: a payer's money clears what it owes; the rest may not be posted.
pub fn transfer(key: PostingKey, booked: Booked, owed_by: Account, cleared: Money, rest: Money) -> Posting {
    let pair = |account, amount: Money| amount.is_positive().then(|| Entry::new(Account::Collection, account, amount));
    posting(key, Event::Transfer, booked, [pair(owed_by, cleared), pair(Account::Suspense, rest)])
}

/// R16: a payer's money that was held clears what a settlement owes after all.
pub fn transfer_posted(key: PostingKey, booked: Booked, owed_by: Account, cleared: Money) -> Posting {
    posting(key, Event::Transfer, booked, [Some(Entry::new(Account::Suspense, owed_by, cleared))])
}

/// R22: the bank took it back: the contra of every pair, in the reversal's month. What had come by way of suspense
/// leaves the bank account too: nothing waits in suspense for it any more.
pub fn reversal_of(original: &Posting, booked: Booked) -> Posting {
    let contra = original.entries.iter().map(|entry| match entry.debit() {
        Account::Suspense if original.event == Event::SuspensePosted => {
            Entry::new(entry.credit(), Account::Collection, entry.amount())
        }
        _ => entry.contra(),
    });
    let contra = contra.collect();
    let key = PostingKey::Reversal(Box::new(original.key.clone()));
    Posting { key, event: Event::Reversal, booked_on: booked.on, month: booked.month, entries: contra }
}

/// R15, R17, R21: we were wrong: what was deemed is taken back and the right entry made; own money that no longer fits
/// goes to suspense. `collection` never moves. Without entries where nothing of the ledger was wrong.
pub fn correction(key: PostingKey, booked: Booked, wrong: Deemed, right: Deemed, own: Money) -> Posting {
    let back = deemed_entry(wrong).map(|entry| entry.contra());
    let leaves = own.is_positive().then(|| Entry::new(Account::PersonalOwn, Account::Suspense, own));
    posting(key, Event::Correction, booked, [back, deemed_entry(right), leaves])
}

fn deemed_entry(deemed: Deemed) -> Option<Entry> {
    deemed.map(|(owed, amount)| Entry::new(owed, Account::PersonalGovernment, amount))
}

fn posting<const N: usize>(key: PostingKey, event: Event, booked: Booked, entries: [Option<Entry>; N]) -> Posting {
    let entries = entries.into_iter().flatten().collect();
    Posting { key, event, booked_on: booked.on, month: booked.month, entries }
}
