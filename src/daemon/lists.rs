//! Takes a department's list (R1, R7, R8), and carries out removals that waited for a person.

use crate::config::Config;
use crate::daemon::approvals::{Request, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::daemon::intake::{Ended, Given, Taking};
use crate::daemon::roster::{notices, refused_rows};
use crate::domain::calendar::FeeYear;
use crate::domain::ids::IdNumber;
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::domain::policy::Policy;
use crate::format::table::Table;
use crate::pipeline::book::Changeset;
use crate::pipeline::emit::Finding;
use crate::pipeline::intake::{Words, lists};
use crate::pipeline::lists::{ListChange, ListFile, Recognised, compare, of_the_future, scope};
use crate::pipeline::planning;
use crate::store::approvals::{Approval, waiting};
use crate::store::{self, ListVersion, Txn, book, files};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const NO_POLICY: &str = "没有政策文件：请运维人员在 policy/ 中补充";

/// Takes a list of a payer for a district.
pub fn take(
    taking: &mut Taking<'_>,
    table: &Table,
    (payer, district): (Payer, DistrictCode),
    given: &Given,
    order: &Order,
) -> Step<Ended> {
    let config = taking.bureau.config.clone();
    let code = |text: &str| config.districts.code(text);
    let bank = |text: &str| config.bank_named(text).map(|bank| bank.number);
    let knows_area = |area: i64| config.districts.knows_area(area);
    let words = Words { district: &code, bank: &bank, knows_area: &knows_area, arrived: order.today() };
    let intake = lists(table, words);
    let too_early = of_the_future(&intake, order.today());
    if !too_early.is_empty() {
        return Ok(Ended::Quarantined(too_early));
    }
    let Some(policy) = config.policies.newest() else { return refuse(NO_POLICY) };
    let newest = files::newest_list_year(taking.bureau.store.connection(), payer, district)?;
    let Some(list) = scope(policy, payer, district, intake, newest) else {
        return Ok(Ended::Quarantined(vec![without_year()]));
    };
    let version = ListVersion { payer, district, year: list.year, as_of: list.as_of };
    let in_force = files::list_in_force(taking.bureau.store.connection(), &version)?;
    if in_force.is_some_and(|list| list.sha256 == given.sha256) {
        return Ok(Ended::Duplicate);
    }
    taking.write(order, |txn, file| write(txn, &config, &list, &version, file, notices(table), order))
}

fn without_year() -> Finding {
    Finding {
        column: "recognized_year".to_owned(),
        code: "no-year",
        expected: "a recognition year in some row".to_owned(),
        found: "none".to_owned(),
        message_zh: "名单中没有可用的认定年度，也没有以前的名单可以对照".to_owned(),
        action_zh: "请填写认定年度后重新报送".to_owned(),
        ..Finding::default()
    }
}

fn write(
    txn: &mut Txn<'_>,
    config: &Config,
    list: &ListFile,
    version: &ListVersion,
    file: i64,
    mut notes: Vec<String>,
    order: &Order,
) -> store::Result<Ended> {
    let findings: Vec<Finding> = list.defects.iter().map(Finding::from).collect();
    let refused = refused_rows(&list.defects.iter().map(|defect| defect.row).collect::<Vec<_>>());
    let in_force = files::list_in_force(txn.connection(), version)?;
    let processed = |notes| Ended::Processed { accepted: list.rows.len() as u64, refused, findings, notes };
    if let (Some(day), Some(newer)) = (version.as_of, in_force.and_then(|before| before.as_of))
        && newer > day
    {
        notes.push(format!("数据日期 {day} 早于现行名单的 {newer}，未作变动"));
        return Ok(processed(notes));
    }
    let policy = config.policies.newest().expect("checked before");
    let change = compare(list, &files::listed(txn.connection(), version)?, policy.max_removed);
    let late = in_force.is_none() && is_late(config, policy, list, order);
    txn.accept_list(file, version, order.today(), late)?;
    notes.extend(void_overtaken(txn, version)?);
    let mut touched = BTreeSet::new();
    for (line, row) in &change.added {
        txn.recognise(version, row, file, *line, order.today())?;
        touched.insert((row.id, row.category));
    }
    if change.removals_wait {
        let words = ask_removals(txn, version, &change, file, order)?;
        notes.push(words);
    } else {
        for row in &change.removed {
            txn.drop_recognition(version, row, file, order.today())?;
            touched.insert((row.id, row.category));
        }
    }
    if late {
        notes.push("名单晚于规定期限，已接受并标记".to_owned());
    }
    notes.push(difference(txn, list, &change)?);
    replan(txn, config, policy, list.year, &touched, file, order)?;
    Ok(processed(notes))
}

/// R8: late is a first list after the due date of the fee year for which it counts.
fn is_late(config: &Config, policy: &Policy, list: &ListFile, order: &Order) -> bool {
    let fee_year = list.categories.iter().find_map(|category| policy.fee_year_of(*category, list.year));
    fee_year.and_then(|year| config.policies.of(year)).is_some_and(|(_, year)| order.today() > year.lists_due)
}

fn difference(txn: &Txn<'_>, list: &ListFile, change: &ListChange) -> store::Result<String> {
    let keys: Vec<i64> = list.rows.iter().map(|(_, row)| row.id.key()).collect();
    let enrolled = files::participants(txn.connection(), &keys)?;
    let absent = list.rows.iter().filter(|(_, row)| !enrolled.contains_key(&row.id.key())).count();
    Ok(format!(
        "新增或变更 {} 人，退出 {} 人，未变 {} 人；其中未参保 {absent} 人，请动员参保",
        change.added.len(),
        change.removed.len(),
        change.kept
    ))
}

/// R7: whoever the list touches is resolved again over all lists in force.
fn replan(
    txn: &mut Txn<'_>,
    config: &Config,
    policy: &Policy,
    year: i16,
    touched: &BTreeSet<(IdNumber, Category)>,
    file: i64,
    order: &Order,
) -> store::Result<()> {
    let people: BTreeSet<(IdNumber, FeeYear)> =
        touched.iter().filter_map(|(id, category)| Some((*id, policy.fee_year_of(*category, year)?))).collect();
    for (id, fee_year) in people {
        let Some((policy, terms)) = config.policies.of(fee_year) else { continue };
        let dossier = book::dossier(txn.connection(), id, fee_year)?;
        if dossier.plan.is_some() {
            let mut changes = Changeset::default();
            planning::plan(policy, terms, &dossier, false, order.today(), &mut changes);
            txn.write(&changes, Some(file), order.today())?;
        }
    }
    Ok(())
}

/// Requests about older lists of the same scope can no longer be approved: nobody is shown them any more.
fn void_overtaken(txn: &Txn<'_>, version: &ListVersion) -> store::Result<Option<String>> {
    let (payer, district) = (version.payer.word(), version.district.to_string());
    let mut overtaken = Vec::new();
    for approval in waiting(txn.connection())?.into_iter().filter(|approval| approval.kind == "list-removals") {
        let Ok(removals) = serde_json::from_str::<Removals>(&approval.request) else { continue };
        if removals.payer == payer && removals.district == district && removals.year == version.year {
            txn.void(&approval.kind, &approval.subject)?;
            overtaken.push(removals.file.to_string());
        }
    }
    let words = format!("此前名单（投递文件 {}）待批准的移出已作废，以本名单为准", overtaken.join("、"));
    Ok((!overtaken.is_empty()).then_some(words))
}

/// Removals as they wait for a person.
#[derive(Serialize, Deserialize)]
struct Removals {
    file: i64,
    payer: String,
    district: String,
    year: i16,
    /// How many were in force in the scope of the list, those who leave included.
    of: usize,
    people: Vec<(i64, String, String)>,
}

/// R7: beyond the allowed share a person is always asked, whatever the configuration says.
fn ask_removals(
    txn: &Txn<'_>,
    version: &ListVersion,
    change: &ListChange,
    file: i64,
    order: &Order,
) -> store::Result<String> {
    let people = change.removed.iter();
    let removals = Removals {
        file,
        payer: version.payer.word().to_owned(),
        district: version.district.to_string(),
        year: version.year,
        of: change.scope,
        people: people.map(|row| (row.id.key(), row.category.word().to_owned(), row.name.clone())).collect(),
    };
    let request = serde_json::to_string(&removals).expect("a request is plain text");
    let digest = Sha256::digest(request.as_bytes()).into();
    Request { kind: "list-removals", subject: format!("list {file}"), request, digest }.ask(txn, order)?;
    Ok(format!("退出 {} 人（原有 {} 人）超过允许比例，须人工批准后生效", change.removed.len(), change.scope))
}

/// What a yes to the removals would do.
pub fn asks(approval: &Approval) -> Step<String> {
    let Ok(removals) = serde_json::from_str::<Removals>(&approval.request) else { return unreadable() };
    let payer = Payer::parse(&removals.payer).map_or_else(|| removals.payer.clone(), both);
    let (district, year, file) = (&removals.district, removals.year, removals.file);
    Ok(format!(
        "{payer} {district} 的 {year} 年度名单（投递文件 {file}）：原有 {} 人，移出 {} 人",
        removals.of,
        removals.people.len()
    ))
}

fn both(payer: Payer) -> String {
    format!("{} {}", payer.chinese(), payer.word())
}

/// A checker approved the removals of a list: those that are still in force are dropped.
pub fn approve_removals(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Ok(removals) = serde_json::from_str::<Removals>(&approval.request) else {
        return unreadable();
    };
    let (Some(payer), Some(district)) = (Payer::parse(&removals.payer), DistrictCode::parse(&removals.district)) else {
        return unreadable();
    };
    let version = ListVersion { payer, district, year: removals.year, as_of: None };
    let newest = files::list_in_force(bureau.store.connection(), &version)?;
    if newest.is_some_and(|list| list.file != removals.file) {
        return void(bureau, approval, order);
    }
    let config = bureau.config.clone();
    let Some(policy) = config.policies.newest() else { return refuse(NO_POLICY) };
    let act = order.act("list-removals", approval.subject.clone(), approval.digest);
    let dropped = bureau.store.transact(&act, |txn| {
        txn.approve(approval.id, &order.actor)?;
        // A newer list came meanwhile: what it says of these people counts, look again.
        if files::list_in_force(txn.connection(), &version)?.is_some_and(|list| list.file != removals.file) {
            return Err(store::Error::Stale);
        }
        let mut touched = BTreeSet::new();
        for row in removals.people.iter().filter_map(recognised) {
            txn.drop_recognition(&version, &row, removals.file, order.today())?;
            touched.insert((row.id, row.category));
        }
        replan(txn, &config, policy, removals.year, &touched, removals.file, order)?;
        Ok(touched.len())
    })?;
    Ok(format!("{} {district} 的名单：已移出 {dropped} 人", both(payer)))
}

fn recognised((key, category, name): &(i64, String, String)) -> Option<Recognised> {
    Some(Recognised { id: IdNumber::from_key(*key), category: Category::parse(category)?, name: name.clone() })
}
