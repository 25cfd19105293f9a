//! `close`: a month of the ledger is closed; what is booked into it later goes to the first open month (R11). What must not
//! be left open blocks; what may still come is told to the checker, since R11 has a place for it.

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, approve_command, ask, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::daemon::finance::voucher;
use crate::daemon::receipts::flush_outbox;
use crate::daemon::reconciling::corners;
use crate::daemon::vouchers::{as_csv, vouchers};
use crate::domain::calendar::Month;
use crate::domain::ledger::Account;
use crate::domain::money::Money;
use crate::domain::reconciling::{Corner, Differs};
use crate::format::paper::workbook;
use crate::store::approvals::Approval;
use crate::store::balance::{self, Balances};
use crate::store::{self, Applied, Txn, book};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where vouchers of closed months go, below `drops/`.
const FOLDER: &str = "bureau/out/vouchers";

/// What the maker saw, for the checker: the digest binds it.
#[derive(Serialize, Deserialize)]
struct Shown {
    postings: u64,
    collection: String,
    deemed: String,
    /// What is still open of the month and may be.
    #[serde(default)]
    open: Vec<String>,
    /// Why it is closed although ledger and statement differ.
    #[serde(default)]
    despite: Option<String>,
}

/// A month as it stands.
struct Standing {
    book: (u64, Balances),
    blocks: Vec<String>,
    open: Vec<String>,
}

/// Closes a month, or asks for another person's yes. `despite` says why differences of the month do not stop it.
pub fn close(bureau: &mut Bureau, month: Month, despite: Option<&str>, order: &Order) -> Step<String> {
    if month >= Month::of(order.today()) {
        return refuse(format!("{month} 还没有结束：只能关闭过去的月份"));
    }
    if despite.is_some_and(|reason| reason.trim().is_empty()) {
        return refuse("--despite 须写明理由".to_owned());
    }
    loop {
        let version = book::version(bureau.store.connection())?;
        let standing = standing(bureau, month, despite, order)?;
        if !standing.blocks.is_empty() {
            return refuse(format!("{month} 不能关账：{}", standing.blocks.join("；")));
        }
        let request = request(month, &standing, despite);
        let open = told(&standing.open);
        if bureau.config.approvals.close == Needs::Second {
            ask(bureau, &request, order)?;
            return Ok(format!("{month} 关账已提交，待另一人批准：{}{open}", approve_command(&request.subject)));
        }
        let act = order.act("close", month.to_string(), request.digest);
        let config = bureau.config.clone();
        let applied = bureau.store.apply(&act, version, |txn| {
            request.record(txn, order)?;
            write(txn, &config, month, order)
        })?;
        if applied == Applied::New {
            flush_outbox(bureau)?;
            return Ok(format!("{month} 已关账{open}"));
        }
    }
}

fn told(open: &[String]) -> String {
    if open.is_empty() { String::new() } else { format!("\n尚未了结：{}", open.join("；")) }
}

/// The closing and the voucher of the month, in one transaction.
fn write(txn: &Txn<'_>, config: &crate::config::Config, month: Month, order: &Order) -> store::Result<()> {
    txn.close_month(month, order.today())?;
    let lines = vouchers(txn.connection(), config, month)?;
    txn.post_out(FOLDER, &format!("voucher-{month}.csv"), &as_csv(&lines))?;
    // For people to sign; machines read the table.
    let papers = voucher(&lines, config, month, true, order.today());
    let book = workbook(&papers.iter().collect::<Vec<_>>()).map_err(|error| store::Error::Broken(error.to_string()))?;
    txn.post_out(FOLDER, &format!("voucher-{month}.xlsx"), &book)
}

/// What a yes to the closing would do.
pub fn asks(approval: &Approval) -> Step<String> {
    let Ok(shown) = serde_json::from_str::<Shown>(&approval.request) else { return unreadable() };
    let despite = shown.despite.map(|reason| format!("；账与对账单仍有差异，关账理由：{reason}")).unwrap_or_default();
    let open =
        if shown.open.is_empty() { String::new() } else { format!("；尚未了结：{}", shown.open.join("，")) };
    Ok(format!(
        "关闭 {} 的账：记账 {} 笔，征缴户增加 {} 元，视同实收 {} 元；此后到的该月款项记入其后第一个未关账的月份（R11）{despite}{open}",
        approval.subject, shown.postings, shown.collection, shown.deemed
    ))
}

/// A checker approved the closing: the month must still be as it was shown.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Some(month) = Month::parse(&approval.subject) else { return unreadable() };
    let Ok(shown) = serde_json::from_str::<Shown>(&approval.request) else { return unreadable() };
    let version = book::version(bureau.store.connection())?;
    let despite = shown.despite.as_deref();
    let standing = standing(bureau, month, despite, order)?;
    if !standing.blocks.is_empty() || request(month, &standing, despite).digest != approval.digest {
        return void(bureau, approval, order);
    }
    let act = order.act("close", month.to_string(), approval.digest);
    let config = bureau.config.clone();
    let applied = bureau.store.apply(&act, version, |txn| {
        txn.approve(approval.id, &order.actor)?;
        write(txn, &config, month, order)
    })?;
    if applied == Applied::Stale {
        return Err(store::Error::Stale.into());
    }
    flush_outbox(bureau)?;
    Ok(format!("{month} 已关账"))
}

/// The month and no other: what is booked meanwhile into later ones does not touch what was shown.
fn standing(bureau: &Bureau, month: Month, despite: Option<&str>, order: &Order) -> Step<Standing> {
    let (config, today) = (&bureau.config, order.today());
    Ok(bureau.store.read(|tx| {
        let mut blocks = Vec::new();
        if book::closed_months(tx)?.contains(&month) {
            blocks.push(format!("{month} 已经关账"));
        }
        let begun = balance::begun_files(tx)?;
        if begun > 0 {
            blocks.push(format!("有 {begun} 个文件处理到一半，请先处理完"));
        }
        let mut open = balance::open_of_month(tx, month)?;
        if let Some(earlier) = balance::open_before(tx, month)? {
            open.push(format!("{earlier} 有记账而未关账"));
        }
        let found = corners(tx, config, today)?;
        let of_month = found.due().filter(|found| found.corner == Corner::Statement && found.touches(month));
        let (periods, money): (Vec<_>, Vec<_>) = of_month.partition(|found| found.differs == Differs::Period);
        if !periods.is_empty() {
            open.push(format!("跨期 {} 项", periods.len()));
        }
        match despite {
            _ if money.is_empty() => {}
            None => blocks.push(format!(
                "账与对账单有 {} 项差异（daikou reconcile --month {month}）；查明后仍须关账的，用 --despite 写明理由",
                money.len()
            )),
            Some(_) => open.push(format!("账与对账单差异 {} 项", money.len())),
        }
        Ok(Standing { book: balance::of_month(tx, month)?, blocks, open })
    })?)
}

fn request(month: Month, standing: &Standing, despite: Option<&str>) -> Request {
    let (postings, balances) = &standing.book;
    let moved = |account| balances.get(&account).map_or(Money::ZERO, |(debit, credit)| *debit - *credit);
    let shown = Shown {
        postings: *postings,
        collection: moved(Account::Collection).to_string(),
        deemed: (Money::ZERO - moved(Account::PersonalGovernment)).to_string(),
        open: standing.open.clone(),
        despite: despite.map(str::to_owned),
    };
    let request = serde_json::to_string(&shown).expect("a request is plain text");
    let mut hash = Sha256::new();
    hash.update(format!("{postings} {despite:?}\n"));
    for (account, (debit, credit)) in balances {
        hash.update(format!("{account} {debit} {credit}\n"));
    }
    Request { kind: "close", subject: month.to_string(), request, digest: hash.finalize().into() }
}
