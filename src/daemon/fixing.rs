//! `correct name`, `correct account`: what the roster says of a person is put right on evidence, with maker and checker
//! (R18, R21). It holds from the next batch on; what is at a bank is never amended (R7a).

use crate::config::{Approval as Needs, Config};
use crate::daemon::approvals::{Request, approve_command, ask, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::daemon::roster::follow;
use crate::domain::exception::Class;
use crate::domain::ids::{AccountNumber, IdNumber};
use crate::domain::participant::Participant;
use crate::domain::policy::same_name;
use crate::pipeline::intake::personal_name;
use crate::store::approvals::Approval;
use crate::store::fixes::{self, Fix};
use crate::store::{self, Applied, Txn, book, files};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a clerk asks for: the new values; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Asked {
    /// Identity number.
    pub id_number: String,
    /// 姓名.
    pub name: Option<String>,
    /// 开户银行, by key or name.
    pub bank: Option<String>,
    /// 银行账号.
    pub account: Option<String>,
    /// 户名; another one than the person's is a guardian's (R18).
    pub holder: Option<String>,
    /// Paper that proves it.
    pub evidence: String,
    /// Why.
    pub reason: String,
}

/// The row as it is and as it will be.
struct Change {
    old: Participant,
    new: Participant,
}

/// Puts it right, or asks for another person's yes. Gives the words for the clerk.
pub fn fix(bureau: &mut Bureau, asked: &Asked, order: &Order) -> Step<String> {
    if asked.reason.trim().is_empty() || asked.evidence.trim().is_empty() {
        return refuse("请用 --reason 写明理由、--evidence 写明凭据编号（社保卡复印件、银行回单），供审计查阅");
    }
    loop {
        let version = book::version(bureau.store.connection())?;
        let change = rehearse(&bureau.config, bureau.store.connection(), asked)?;
        let request = request(asked, &change);
        if bureau.config.approvals.resolve == Needs::Second {
            ask(bureau, &request, order)?;
            return Ok(format!("资料更正已提交，待另一人批准：{}", approve_command(&request.subject)));
        }
        let act = order.act("fix", "participant", request.digest);
        let config = &bureau.config;
        let applied = bureau.store.apply(&act, version, |txn| {
            request.record(txn, order)?;
            write(txn, config, asked, &change, (&order.actor, "system"), order)
        })?;
        if applied == Applied::New {
            return Ok(done());
        }
    }
}

fn done() -> String {
    "资料已更正，自下一批次起使用".to_owned()
}

/// What a yes would do; nobody is named in full.
pub fn asks(bureau: &Bureau, approval: &Approval) -> Step<String> {
    let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else { return unreadable() };
    let change = rehearse(&bureau.config, bureau.store.connection(), &asked)?;
    let mut words = format!("更正资料 {}：", change.old.id);
    for (field, old, new) in differences(&change) {
        let (old, new) = if field == "account" { (tail(&old), tail(&new)) } else { (old, new) };
        words.push_str(&format!("{} 由“{old}”改为“{new}”，", field_zh(field)));
    }
    if is_guardian(&change.new) {
        words.push_str("户名不是参保人本人（监护人账户，R18），");
    }
    Ok(format!("{words}凭据 {}；理由：{}", asked.evidence, asked.reason))
}

fn tail(account: &str) -> String {
    AccountNumber::parse(account).map_or_else(String::new, |account| account.to_string())
}

fn field_zh(field: &str) -> &'static str {
    match field {
        "name" => "姓名",
        "bank" => "开户银行",
        "account" => "账号",
        _ => "户名",
    }
}

/// A checker said yes: the row must still be as it was shown.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else { return unreadable() };
    let version = book::version(bureau.store.connection())?;
    let change = match rehearse(&bureau.config, bureau.store.connection(), &asked) {
        Ok(change) if request(&asked, &change).digest == approval.digest => change,
        _ => return void(bureau, approval, order),
    };
    let act = order.act("fix", "participant", approval.digest);
    let config = &bureau.config;
    let applied = bureau.store.apply(&act, version, |txn| {
        txn.approve(approval.id, &order.actor)?;
        write(txn, config, &asked, &change, (&approval.maker, &order.actor), order)
    })?;
    match applied {
        Applied::New => Ok(done()),
        Applied::Stale => Err(store::Error::Stale.into()),
    }
}

fn request(asked: &Asked, change: &Change) -> Request {
    let text = serde_json::to_string(asked).expect("a request is plain text");
    let shown = format!("{text} {:?}", differences(change));
    let digest: [u8; 32] = Sha256::digest(shown).into();
    // The subject is shown and logged: the digest names the person to nobody.
    let subject = format!("fix {}", &crate::transport::hex(&digest)[..8]);
    Request { kind: "fix", subject, request: text, digest }
}

fn rehearse(config: &Config, conn: &Connection, asked: &Asked) -> Step<Change> {
    let Ok(parsed) = IdNumber::parse(&asked.id_number) else { return refuse("身份证号有误") };
    let Some(old) = files::participants(conn, &[parsed.id.key()])?.remove(&parsed.id.key()) else {
        return refuse("此人不在参保人员表上");
    };
    let is_lost = |name: &String| name.trim().is_empty() || personal_name(name).is_none();
    if asked.name.iter().chain(&asked.holder).any(is_lost) {
        return refuse("姓名、户名不能为空，也不能含控制字符、问号等无法识别的字符");
    }
    let mut new = old.clone();
    if let Some(name) = &asked.name {
        new.name.clone_from(name);
    }
    if let Some(text) = &asked.bank {
        let Some(bank) = config.bank_named(text) else { return refuse(format!("“{text}”不是委托银行")) };
        (new.bank, new.bank_text) = (Some(bank.number), text.clone());
    }
    if let Some(text) = &asked.account {
        let Some(account) = AccountNumber::parse(text) else { return refuse("银行账号格式不对") };
        new.account = Some(account);
    }
    if let Some(holder) = &asked.holder {
        new.account_name = Some(holder.clone());
    }
    if new == old && !is_guardian(&new) {
        return refuse("与现有资料相同，没有可更正的内容");
    }
    Ok(Change { old, new })
}

fn is_guardian(person: &Participant) -> bool {
    person.account_name.as_ref().is_some_and(|holder| !same_name(holder, &person.name))
}

/// Field, old value, new value.
fn differences(change: &Change) -> Vec<(&'static str, String, String)> {
    let texts = |person: &Participant| {
        [
            ("name", person.name.clone()),
            ("bank", person.bank_text.clone()),
            ("account", person.account.as_ref().map(|account| account.text().to_owned()).unwrap_or_default()),
            ("account_name", person.account_name.clone().unwrap_or_default()),
        ]
    };
    let pairs = texts(&change.old).into_iter().zip(texts(&change.new));
    pairs.filter(|(old, new)| old.1 != new.1).map(|((field, old), (_, new))| (field, old, new)).collect()
}

fn write(
    txn: &mut Txn<'_>,
    config: &Config,
    asked: &Asked,
    change: &Change,
    (maker, checker): (&str, &str),
    order: &Order,
) -> store::Result<()> {
    for (field, old, new) in differences(change) {
        let (evidence, reason) = (&asked.evidence, &asked.reason);
        txn.keep_fix(
            &Fix { participant: change.old.id, field, old, new },
            evidence,
            reason,
            (maker, checker),
            order.today(),
        )?;
    }
    let (file, line) = fixes::place_of(txn.connection(), change.old.id)?;
    txn.upsert_participants(&[(line, change.new.clone())], file)?;
    if let (true, Some(holder)) = (is_guardian(&change.new), &change.new.account_name) {
        txn.confirm(change.new.id, Class::AccountHolder, holder)?;
    }
    follow(txn, config, &change.new, Some(&change.old), line, file, order)
}
