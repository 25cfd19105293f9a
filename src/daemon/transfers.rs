//! Takes payers' money (代缴划款, R16): it clears what its settlement still owes, never by person; the rest is held.

use crate::config::Config;
use crate::daemon::bureau::{Order, Step};
use crate::daemon::intake::{Ended, Taking};
use crate::daemon::roster::notices;
use crate::daemon::statements::recognise;
use crate::domain::exception::Class;
use crate::domain::ledger::{Account, PostingKey};
use crate::domain::money::Money;
use crate::domain::postings;
use crate::domain::settlement::{SettlementState, split_transfer};
use crate::format::table::Table;
use crate::pipeline::book::{Changeset, Concerns, NewClearing, NewException, NewPosting};
use crate::pipeline::emit::findings;
use crate::pipeline::intake::Words;
use crate::pipeline::intake::payers::{TransferRow, transfers};
use crate::pipeline::papers::Head;
use crate::pipeline::post::booked;
use crate::store::settlements::{self, Settlement};
use crate::store::transfers::NewTransfer;
use crate::store::{self, Txn, book, files};
use sha2::{Digest, Sha256};

/// Takes a table of transfers.
pub fn take(taking: &mut Taking<'_>, table: &Table, order: &Order) -> Step<Ended> {
    let config = taking.bureau.config.clone();
    let code = |text: &str| config.districts.code(text);
    let bank = |text: &str| config.bank_named(text).map(|bank| bank.number);
    let knows_area = |area: i64| config.districts.knows_area(area);
    let words = Words { district: &code, bank: &bank, knows_area: &knows_area, arrived: order.today() };
    let intake = transfers(table, words);
    let (refused, findings) = findings(&intake.defects, &intake.warnings);
    let accepted = intake.rows.len() as u64;
    taking.write(order, |txn, file| {
        for (line, row) in &intake.rows {
            receive(txn, &config, row, *line, file, order)?;
        }
        Ok(Ended::Processed { accepted, refused, findings, notes: notices(table) })
    })
}

fn receive(
    txn: &mut Txn<'_>,
    config: &Config,
    row: &TransferRow,
    line: u32,
    file: i64,
    order: &Order,
) -> store::Result<()> {
    let key = PostingKey::Transfer(row.payer, row.district, row.reference.clone());
    let content = format!("{} {} {}", row.settlement_year, row.amount, row.received_on);
    match files::content_behind(txn.connection(), &key.to_string())? {
        Some(digest) if digest == <[u8; 32]>::from(Sha256::digest(content.as_bytes())) => return Ok(()),
        Some(_) => {
            let reason = format!("{}同一划款凭证号此前已按其他内容入账", named(row));
            let changes = Changeset { opened: vec![held(Class::KeyConflict, line, reason)], ..Changeset::default() };
            return txn.write(&changes, Some(file), order.today());
        }
        None => {}
    }
    let head = Head { year: row.settlement_year, payer: row.payer, district: row.district };
    let settlement = settlements::find(txn.connection(), &head)?;
    let approved = settlement.filter(|settlement| settlement.state != SettlementState::Drafted);
    let due = approved.as_ref().map(|settlement| settlement.transfer_due);
    let is_late = due.or(config.policies.transfer_due(head.year)).is_some_and(|due| row.received_on > due);
    let owed = approved.as_ref().map_or(Money::ZERO, Settlement::owed);
    let (cleared, rest) = split_transfer(row.amount, owed);
    let closed = book::closed_months(txn.connection())?;
    let owed_by = Account::Receivable(row.payer, row.district);
    let posting = postings::transfer(key.clone(), booked(row.received_on, &closed), owed_by, cleared, rest);
    let mut changes = Changeset::default();
    let concerns = Concerns { line: Some(line), content, ..Concerns::default() };
    changes.postings.push(NewPosting { posting, concerns: Some(Box::new(concerns)) });
    if let (Some(settlement), true) = (&approved, cleared.is_positive()) {
        let clearing = NewClearing { posting: 0, settlement: settlement.id, transfer: None, amount: cleared };
        changes.clearings.push(clearing);
    }
    if rest.is_positive() {
        let class = class_of_rest(approved.as_ref(), owed, rest);
        let reason = format!("{}{} 划款 {} 元，清算尚欠 {owed} 元", named(row), row.received_on, row.amount);
        changes.opened.push(NewException { amount: rest, posting: Some(0), ..held(class, line, reason) });
    }
    txn.write(&changes, Some(file), order.today())?;
    txn.add_transfer(
        &key.to_string(),
        &NewTransfer {
            payer: row.payer,
            district: row.district,
            settlement_year: row.settlement_year,
            reference: row.reference.clone(),
            amount: row.amount,
            received_on: row.received_on,
            is_late,
        },
    )?;
    // R22: the bank's statement may have shown it before its table came.
    recognise(txn, &row.reference, row.amount, &key, order)
}

/// R16: why a payer's money may not be posted. Ex-post money is what is left by a settlement that owed the people just
/// as much, or owed nobody else anything.
fn class_of_rest(approved: Option<&Settlement>, owed: Money, rest: Money) -> Class {
    match approved {
        None => Class::TransferUnsettled,
        Some(settlement) if settlement.ex_post.is_positive() => {
            let is_theirs = rest == settlement.ex_post || (owed.is_zero() && rest < settlement.ex_post);
            if is_theirs || !settlement.deemed.is_positive() { Class::TransferExPost } else { Class::TransferOver }
        }
        Some(_) => Class::TransferOver,
    }
}

fn named(row: &TransferRow) -> String {
    format!("{} {} {} 年度清算：", row.payer.chinese(), row.district, row.settlement_year)
}

fn held(class: Class, line: u32, reason: String) -> NewException {
    NewException {
        class,
        participant: None,
        fee_year: None,
        instruction: None,
        line: Some(line),
        amount: Money::ZERO,
        posting: None,
        reason,
        held_on: None,
    }
}
