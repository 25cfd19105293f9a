//! Ex-post subsidies (R14): `expost` tells each payer whom it owes, and the payer's answer comes back by its folder.

use crate::daemon::bureau::{Bureau, Order, Step};
use crate::daemon::intake::{Ended, Taking};
use crate::daemon::receipts::flush_outbox;
use crate::daemon::roster::notices;
use crate::daemon::settling::{district_name, keep, out_folder};
use crate::domain::calendar::FeeYear;
use crate::domain::exception::Class;
use crate::domain::money::Money;
use crate::domain::participant::{DistrictCode, Payer};
use crate::domain::settlement::{ExPostEvent, ExPostState};
use crate::format::table::Table;
use crate::pipeline::book::{Changeset, NewException};
use crate::pipeline::emit::findings;
use crate::pipeline::intake::payers::{PayoutRefusal, PayoutRow, payouts};
use crate::pipeline::intake::{RowDefect, Words};
use crate::pipeline::papers::{Head, Names, ex_post_files, ex_post_list, ex_post_workbook};
use crate::store::payouts::{self as stored, PayoutList};
use crate::store::{self, Applied, Txn, book};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Lists what is due for a fee year and stands on no list yet: one list for each payer and owing district, in its
/// folder. Nothing new, no list.
pub fn list(bureau: &mut Bureau, fee_year: FeeYear, order: &Order) -> Step<Vec<PayoutList>> {
    bureau.policy(fee_year)?;
    let mut lists = Vec::new();
    for debtor in stored::to_be_listed(bureau.store.connection(), fee_year)? {
        lists.extend(list_one(bureau, debtor, fee_year, order)?);
    }
    flush_outbox(bureau)?;
    Ok(lists)
}

fn list_one(
    bureau: &mut Bureau,
    debtor: (Payer, DistrictCode),
    fee_year: FeeYear,
    order: &Order,
) -> Step<Option<PayoutList>> {
    let head = Head { year: fee_year, payer: debtor.0, district: debtor.1 };
    loop {
        let conn = bureau.store.connection();
        let version = book::version(conn)?;
        let rows = stored::due(conn, debtor, fee_year)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let number = stored::next_number(conn, debtor, fee_year)?;
        let people: Vec<_> = rows.iter().map(|(_, payout)| payout.clone()).collect();
        let bytes = ex_post_list(&head, &people);
        let [name, workbook] = ex_post_files(&head, number);
        let district = district_name(bureau, debtor.1);
        let names = Names { district: &district, unit: &bureau.config.papers.unit };
        let book = ex_post_workbook(&head, &people, &names, order.today());
        if let Some(bytes) = &book {
            keep(&bureau.config.state, &workbook, bytes, order.today())?;
        }
        let archived = keep(&bureau.config.state, &name, &bytes, order.today())?.to_string_lossy().into_owned();
        let list = PayoutList {
            payer: head.payer,
            district: head.district,
            fee_year,
            number,
            made_on: order.today(),
            people: people.len() as u64,
            amount: people.iter().map(|payout| payout.amount).sum(),
            sha256: Sha256::digest(&bytes).into(),
            name,
            archived,
        };
        let act = order.act("expost", list.name.clone(), list.sha256);
        let applied = bureau.store.apply(&act, version, |txn| {
            txn.list_ex_post(&list, &rows)?;
            txn.post_out(&out_folder(&head), &list.name, &bytes)?;
            book.iter().try_for_each(|bytes| txn.post_out(&out_folder(&head), &workbook, bytes))
        })?;
        if applied == Applied::New {
            return Ok(Some(list));
        }
    }
}

/// Takes what a payer says of its ex-post subsidies.
pub fn take(taking: &mut Taking<'_>, table: &Table, debtor: (Payer, DistrictCode), order: &Order) -> Step<Ended> {
    let config = taking.bureau.config.clone();
    let code = |text: &str| config.districts.code(text);
    let bank = |text: &str| config.bank_named(text).map(|bank| bank.number);
    let knows_area = |area: i64| config.districts.knows_area(area);
    let words = Words { district: &code, bank: &bank, knows_area: &knows_area, arrived: order.today() };
    let intake = payouts(table, words);
    let contradicting = contradicting(&intake.rows);
    taking.write(order, |txn, file| {
        let (mut defects, mut accepted) = (intake.defects.clone(), 0);
        for (line, row) in &intake.rows {
            let refused = if contradicting.contains(line) {
                Some(PayoutRefusal::Twice.defect(*line, row, None))
            } else {
                answer(txn, debtor, row, (file, *line), order)?
            };
            match refused {
                Some(defect) => defects.push(defect),
                None => accepted += 1,
            }
        }
        defects.sort_by_key(|defect| defect.row);
        let (refused, findings) = findings(&defects, &intake.warnings);
        Ok(Ended::Processed { accepted, refused, findings, notes: notices(table) })
    })
}

/// Rows of one person and year that say different things.
fn contradicting(rows: &[(u32, PayoutRow)]) -> BTreeSet<u32> {
    let mut people: BTreeMap<_, Vec<(u32, &PayoutRow)>> = BTreeMap::new();
    for (line, row) in rows {
        people.entry((row.id, row.fee_year)).or_default().push((*line, row));
    }
    let differ = |same: &&Vec<(u32, &PayoutRow)>| same.iter().any(|(_, row)| *row != same[0].1);
    people.values().filter(differ).flatten().map(|(line, _)| *line).collect()
}

/// One row: what it says is taken, or refused in the words of the receipt.
fn answer(
    txn: &mut Txn<'_>,
    debtor: (Payer, DistrictCode),
    row: &PayoutRow,
    (file, line): (i64, u32),
    order: &Order,
) -> store::Result<Option<RowDefect>> {
    let refuse = |why: PayoutRefusal, due: Option<Money>| Ok(Some(why.defect(line, row, due)));
    let Some(known) = stored::of_person(txn.connection(), debtor, row.id, row.fee_year)? else {
        return refuse(PayoutRefusal::Unknown, None);
    };
    let said = if row.event == ExPostEvent::Paid { ExPostState::Paid } else { ExPostState::Returned };
    // Said before, word for word: a table that grows does nothing twice.
    if known.state == said && known.answered_on == Some(row.on) && known.amount == row.amount {
        return Ok(None);
    }
    if row.on < known.booked_on {
        return refuse(PayoutRefusal::TooEarly(known.booked_on), None);
    }
    match known.state.after(row.event) {
        Ok(state) if known.amount == row.amount => {
            txn.answer_ex_post(known.id, state, row.on, (file, line))?;
            Ok(None)
        }
        Ok(_) => {
            note_amount(txn, row, known.amount, (file, line), order)?;
            refuse(PayoutRefusal::Amount, Some(known.amount))
        }
        Err(_) => refuse(
            match known.state {
                ExPostState::Due => PayoutRefusal::NotListed,
                ExPostState::Withdrawn => PayoutRefusal::Withdrawn,
                _ => PayoutRefusal::Answered,
            },
            None,
        ),
    }
}

/// Another amount went to the person: the payer mends its row, and a clerk should know.
fn note_amount(
    txn: &mut Txn<'_>,
    row: &PayoutRow,
    due: Money,
    (file, line): (i64, u32),
    order: &Order,
) -> store::Result<()> {
    let dossier = book::dossier(txn.connection(), row.id, row.fee_year)?;
    if dossier.open.iter().any(|open| open.class == Class::ExPostAmount) {
        return Ok(());
    }
    let reason = format!("应补助 {due} 元，部门称 {} 发放 {} 元", row.on, row.amount);
    let exception = NewException { line: Some(line), ..NewException::note(Class::ExPostAmount, &dossier, reason) };
    let changes = Changeset { opened: vec![exception], ..Changeset::default() };
    txn.write(&changes, Some(file), order.today())
}
