//! What a person wants to see of the year: the funnel, the money, the exceptions, the proof.

use crate::cli::demo::people::World;
use crate::cli::demo::year::autumn::YEAR_END;
use crate::cli::demo::year::{FEE_YEAR, OverSftp, Played};
use crate::cli::out::Kind;
use crate::cli::table::aligned;
use crate::cli::{CliError, Context};
use crate::daemon::bureau::Bureau;
use crate::daemon::reconciling::reconcile;
use crate::domain::exception::Class;
use crate::domain::ledger::Account;
use crate::domain::money::Money;
use crate::domain::participant::Payer;
use crate::domain::reconciling::Corner;
use crate::store::balance::balances;
use crate::store::settlements;
use crate::store::summary::{Summary, deemed_entries, summary};
use serde_json::json;
use std::collections::BTreeMap;

/// Shows the year; true where everything is sound.
pub fn show(played: &Played, world: &World, context: &Context) -> Result<bool, CliError> {
    let conn = played.bureau.store.connection();
    let summary = summary(conn, FEE_YEAR)?;
    let balances = balances(conn)?;
    let audit = crate::cli::audit::first_broken(&played.bureau)?;
    let mut receivable: BTreeMap<Payer, Money> = BTreeMap::new();
    for (account, (debit, credit)) in &balances {
        if let Account::Receivable(payer, _) = account {
            *receivable.entry(*payer).or_default() += *debit - *credit;
        }
    }
    let balance = |account: Account| balances.get(&account).map_or(Money::ZERO, |(debit, credit)| *credit - *debit);
    let totals = Totals {
        own: balance(Account::PersonalOwn),
        deemed: balance(Account::PersonalGovernment),
        suspense: balance(Account::Suspense),
        collection: -balance(Account::Collection),
        deemed_entries: deemed_entries(conn)?,
        finance: finance(&played.bureau)?,
    };
    if context.json {
        let by_payer: serde_json::Map<String, serde_json::Value> =
            receivable.iter().map(|(payer, amount)| (payer.word().to_owned(), json!(amount.to_string()))).collect();
        context.print_json(&json!({
            "people": world.people.len(),
            "plans": summary.plans.values().sum::<u64>(),
            "instructions": summary.instructions.values().sum::<u64>(),
            "settled": summary.instructions_in("settled"),
            "failed": summary.instructions_in("failed"),
            "unknown": summary.instructions_in("unknown"),
            "suspense": summary.instructions_in("suspense"),
            "deemed_entries": totals.deemed_entries,
            "deemed_total": totals.deemed.to_string(),
            "own_total": totals.own.to_string(),
            "receivable": by_payer,
            "audit": audit.clone().unwrap_or_else(|| "ok".to_owned()),
            "sftp": played.over_sftp.map(|line| json!({
                "bank": line.bank.key,
                "sent": line.sent,
                "fetched": line.fetched,
                "lost": line.lost,
                "repeated": line.repeated,
            })),
        }));
    } else {
        print(played, world, &summary, &totals, &receivable, audit.as_deref());
    }
    let repeated = played.over_sftp.map_or(0, |line| line.repeated);
    Ok(audit.is_none() && played.debited_twice.is_empty() && repeated == 0)
}

struct Totals {
    own: Money,
    deemed: Money,
    suspense: Money,
    collection: Money,
    deemed_entries: u64,
    /// Settlement and reconciliation, in words.
    finance: String,
}

/// What each payer owes of the first settlement year, and what differs from the statement.
fn finance(bureau: &Bureau) -> Result<String, CliError> {
    let mut payers: BTreeMap<Payer, (u64, [Money; 3])> = BTreeMap::new();
    for one in settlements::all(bureau.store.connection())? {
        let (people, [deemed, ex_post, owed]) = payers.entry(one.head.payer).or_default();
        *people += one.people;
        (*deemed, *ex_post, *owed) = (*deemed + one.deemed, *ex_post + one.ex_post, *owed + one.owed());
    }
    let rows: Vec<Vec<String>> = payers
        .iter()
        .map(|(payer, (people, amounts))| {
            let amounts = amounts.iter().map(Money::to_string);
            [payer.chinese().to_owned(), people.to_string()].into_iter().chain(amounts).collect()
        })
        .collect();
    let title = format!("{FEE_YEAR} 清算年度（至 8 月 31 日）");
    let headings = [
        (title.as_str(), Kind::Text),
        ("人数", Kind::Number),
        ("代缴", Kind::Amount),
        ("事后补助", Kind::Amount),
        ("待划款", Kind::Amount),
    ];
    let found = reconcile(bureau, YEAR_END)?;
    let with_bank = |corner: Corner| found.due().filter(|found| found.corner == corner).count();
    Ok(format!(
        "{}\n对账：账与对账单差异 {} 项，指令与回盘差异 {} 项，清算未划款 {} 项（daikou reconcile）",
        aligned(&headings, &rows),
        with_bank(Corner::Statement),
        with_bank(Corner::Returns),
        with_bank(Corner::Settlement)
    ))
}

fn print(
    played: &Played,
    world: &World,
    summary: &Summary,
    totals: &Totals,
    receivable: &BTreeMap<Payer, Money>,
    audit: Option<&str>,
) {
    let plan = |word: &str| summary.plans.get(word).copied().unwrap_or_default();
    let count = |label: &str, number: u64| vec![label.to_owned(), number.to_string()];
    println!("\n{FEE_YEAR} 年度居民养老保险代缴代扣");
    let funnel = [
        count("参保人", world.people.len() as u64),
        count("有缴费计划", summary.plans.values().sum()),
        count("发出扣款指令", summary.instructions.values().sum()),
        count("  扣款成功", summary.instructions_in("settled")),
        count("  扣款失败", summary.instructions_in("failed")),
        count("  结果未知", summary.instructions_in("unknown")),
        count("  暂收待处理", summary.instructions_in("suspense")),
        count("已收足（含零自付、其他渠道）", plan("received")),
        count("事后补助", plan("ex-post")),
        count("仍未收足", plan("planned") + plan("waiting") + plan("exception")),
    ];
    print!("\n{}", aligned(&[("进度", Kind::Text), ("人数或笔数", Kind::Number)], &funnel));
    let amount = |label: String, money: Money| vec![label, money.to_string()];
    let mut money = vec![
        amount("征缴户收到".to_owned(), totals.collection),
        amount("  记入个人账户—个人缴费".to_owned(), totals.own),
        amount("  暂收款".to_owned(), totals.suspense),
        amount(format!("视同实收（政府代缴）{} 笔", totals.deemed_entries), totals.deemed),
    ];
    money.extend(receivable.iter().map(|(payer, owed)| amount(format!("  应收{}", payer.chinese()), *owed)));
    print!("\n{}", aligned(&[("资金（元）", Kind::Text), ("金额", Kind::Amount)], &money));
    let exceptions: Vec<Vec<String>> = summary
        .exceptions
        .iter()
        .map(|(class, (number, held))| {
            let words: &str = match Class::parse(class) {
                Some(class) => class.chinese(),
                None => class,
            };
            vec![words.to_owned(), class.clone(), number.to_string(), held.to_string()]
        })
        .collect();
    let headings = [("待处理例外", Kind::Text), ("类别", Kind::Text), ("项", Kind::Number), ("暂收金额", Kind::Amount)];
    print!("\n{}", aligned(&headings, &exceptions));
    println!("\n{}", totals.finance);
    println!("收到文件 {} 个，退回 {} 行，隔离 {} 个", played.files, played.refused_rows, played.quarantined.len());
    for receipt in &played.quarantined {
        let finding = receipt.findings.first();
        println!("  {}：{}", receipt.name, finding.map_or("", |finding| finding.message_zh.as_str()));
    }
    if let Some(OverSftp { bank, sent, fetched, lost, repeated }) = played.over_sftp {
        println!(
            "{}经 SFTP 往来：送出 {sent} 个文件，取回 {fetched} 个，中途断线 {lost} 次，重复送达 {repeated} 个",
            bank.name
        );
    }
    println!("银行重复扣款：{} 户", played.debited_twice.len());
    match audit {
        None => println!("审计：全部不变式成立"),
        Some(broken) => println!("审计：{broken}"),
    }
}
