//! Takes a roster (参保人员): upsert by identity number; whoever changes is planned again (R7).

use crate::config::Config;
use crate::daemon::bureau::{Order, Step};
use crate::daemon::intake::{Ended, Given, Taking};
use crate::domain::exception::Class;
use crate::domain::ids::AccountNumber;
use crate::domain::money::Money;
use crate::domain::participant::{Participant, Status};
use crate::format::table::Table;
use crate::pipeline::book::{Changeset, NewException};
use crate::pipeline::emit::findings;
use crate::pipeline::intake::{Roster, Words};
use crate::pipeline::planning;
use crate::store::fixes::{self, Fix};
use crate::store::{self, Txn, book, files};

/// Rows of one transaction.
const STRETCH: usize = 50_000;

/// Takes a roster.
pub fn take(taking: &mut Taking<'_>, table: &Table, given: &Given, order: &Order) -> Step<Ended> {
    if files::roster_in_force(taking.bureau.store.connection())? == Some(given.sha256) {
        return Ok(Ended::Duplicate);
    }
    let config = taking.bureau.config.clone();
    let district = |text: &str| config.districts.code(text);
    let bank = |text: &str| config.bank_named(text).map(|bank| bank.number);
    let knows_area = |area: i64| config.districts.knows_area(area);
    let words = Words { district: &district, bank: &bank, knows_area: &knows_area, arrived: order.today() };
    let roster = Roster::new(table, words);
    let (mut accepted, mut refused, mut found) = (0, 0, Vec::new());
    let most = at_most!("STRETCH_ROWS", STRETCH);
    let mut start = 0;
    loop {
        let end = (start + most).min(roster.len());
        let part = roster.take(start..end);
        accepted += part.rows.len() as u64;
        let (refused_here, found_here) = findings(&part.defects, &part.warnings);
        refused += refused_here;
        found.extend(found_here);
        if end == roster.len() {
            let ended = Ended::Processed { accepted, refused, findings: found, notes: notices(table) };
            return taking.write(order, |txn, file| {
                upsert(txn, &config, &part.rows, file, order)?;
                Ok(ended)
            });
        }
        taking.write_stretch(order, |txn, file| upsert(txn, &config, &part.rows, file, order))?;
        start = end;
    }
}

/// What was read past, in words for the receipt.
pub fn notices(table: &Table) -> Vec<String> {
    table.notices.iter().map(|notice| notice.message_zh.to_string()).collect()
}

fn upsert(
    txn: &mut Txn<'_>,
    config: &Config,
    rows: &[(u32, Participant)],
    file: i64,
    order: &Order,
) -> store::Result<()> {
    let keys: Vec<i64> = rows.iter().map(|(_, row)| row.id.key()).collect();
    let before = files::participants(txn.connection(), &keys)?;
    let mut changed = Vec::new();
    let fixes = fixes::fixes(txn.connection())?;
    for (line, row) in rows {
        let row = &mended(config, row, fixes.get(&row.id.key()).map_or(&[], Vec::as_slice));
        match before.get(&row.id.key()) {
            Some(old) if same(old, row) => {}
            // A status without its own date holds from the day on which it was first said.
            Some(old) if old.status == row.status => {
                let row = Participant { status_since: old.status_since.min(row.status_since), ..row.clone() };
                changed.push((*line, row));
            }
            _ => changed.push((*line, row.clone())),
        }
    }
    txn.upsert_participants(&changed, file)?;
    for (line, row) in &changed {
        follow(txn, config, row, before.get(&row.id.key()), *line, file, order)?;
    }
    Ok(())
}

/// What was put right on evidence holds as long as the roster says what it said then.
fn mended(config: &Config, row: &Participant, fixes: &[Fix]) -> Participant {
    let mut row = row.clone();
    for fix in fixes {
        match fix.field {
            "name" if row.name == fix.old => row.name.clone_from(&fix.new),
            "bank" if row.bank_text == fix.old => {
                row.bank_text.clone_from(&fix.new);
                row.bank = config.bank_named(&fix.new).map(|bank| bank.number);
            }
            "account" if row.account.as_ref().map_or("", AccountNumber::text) == fix.old => {
                row.account = AccountNumber::parse(&fix.new);
            }
            "account_name" if row.account_name.as_deref().unwrap_or_default() == fix.old => {
                row.account_name = Some(fix.new.clone());
            }
            _ => {}
        }
    }
    row
}

/// The same row, whenever it arrived.
fn same(old: &Participant, new: &Participant) -> bool {
    let same_since = old.status_since == new.status_since || old.status == new.status;
    same_since && Participant { status_since: old.status_since, ..new.clone() } == *old
}

/// What a new or changed roster row leads to: an unknown bank is an exception, a plan is made again.
pub fn follow(
    txn: &mut Txn<'_>,
    config: &Config,
    row: &Participant,
    old: Option<&Participant>,
    line: u32,
    file: i64,
    order: &Order,
) -> store::Result<()> {
    let unknown_bank = row.bank.is_none() && !row.bank_text.is_empty();
    if old.is_none() && !unknown_bank {
        return Ok(());
    }
    let year = config.policies.planned_on(order.today()).unwrap_or(order.today().year());
    let dossier = book::dossier(txn.connection(), row.id, year)?;
    let mut changes = Changeset::default();
    let known = dossier.open.iter().find(|open| open.class == Class::UnknownBank);
    match (unknown_bank, known) {
        (true, None) => changes.opened.push(unknown(row, line)),
        (false, Some(open)) => changes.closed.push((open.id, "参保人员表已改正".to_owned())),
        _ => {}
    }
    txn.write(&changes, Some(file), order.today())?;
    let mended = old.is_some_and(|old| {
        (&old.bank_text, &old.account, &old.account_name, &old.name)
            != (&row.bank_text, &row.account, &row.account_name, &row.name)
    });
    for fee_year in files::planned_years_of(txn.connection(), row.id.key())?
        .into_iter()
        .filter(|fee_year| *fee_year >= order.today().year())
    {
        let Some((policy, terms)) = config.policies.of(fee_year) else { continue };
        let dossier = book::dossier(txn.connection(), row.id, fee_year)?;
        if let Some(plan) = &dossier.plan {
            let mut changes = Changeset::default();
            // R6: a status that begins later may have begun by the booking date.
            if row.status != Status::Normal {
                changes.closer.extend(plan.live().map(|live| live.number));
            }
            planning::plan(policy, terms, &dossier, mended, order.today(), &mut changes);
            txn.write(&changes, Some(file), order.today())?;
        }
    }
    Ok(())
}

fn unknown(row: &Participant, line: u32) -> NewException {
    NewException {
        class: Class::UnknownBank,
        participant: Some(row.id),
        fee_year: None,
        instruction: None,
        line: Some(line),
        amount: Money::ZERO,
        posting: None,
        reason: planning::UNKNOWN_BANK.to_owned(),
        held_on: None,
    }
}
