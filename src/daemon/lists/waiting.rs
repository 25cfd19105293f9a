//! What a list waits for a person with (R7, R21): removals beyond the allowed share, and whole versions where the
//! configuration wants every one looked at.

use crate::daemon::approvals::{Request, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::daemon::lists::{NO_POLICY, Version, bring_into_force, is_late, read, replan};
use crate::domain::ids::IdNumber;
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::format::cell::{Kind, masked};
use crate::format::table::{Table, TableKind};
use crate::pipeline::difference::{ListMove, Moved, difference};
use crate::pipeline::lists::{ListChange, Recognised, compare, scope};
use crate::store::approvals::{Approval, waiting};
use crate::store::{self, ListVersion, Txn, files};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Requests about older lists of the same scope can no longer be approved: nobody is shown them any more.
pub(super) fn void_overtaken(txn: &Txn<'_>, version: &ListVersion) -> store::Result<Option<String>> {
    let (payer, district) = (version.payer.word(), version.district.to_string());
    let (mut overtaken, mut what) = (Vec::new(), "移出");
    let of_lists = |approval: &Approval| ["list-removals", "list"].contains(&approval.kind.as_str());
    for approval in waiting(txn.connection())?.into_iter().filter(of_lists) {
        let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else { continue };
        if asked.payer == payer && asked.district == district && asked.year == version.year {
            txn.void(&approval.kind, &approval.subject)?;
            overtaken.push(asked.file.to_string());
            what = if approval.kind == "list" { "变动" } else { what };
        }
    }
    let words = format!("此前名单（投递文件 {}）待批准的{what}已作废，以本名单为准", overtaken.join("、"));
    Ok((!overtaken.is_empty()).then_some(words))
}

/// Whether these bytes are a version of the scope that waits already: seen again after a death they ask nothing anew.
pub(super) fn is_waiting(conn: &Connection, version: &ListVersion, sha256: &[u8; 32]) -> store::Result<bool> {
    for approval in waiting(conn)?.iter().filter(|approval| approval.kind == "list") {
        let Ok((asked, of)) = Asked::of(approval) else { continue };
        let is_of_scope = (of.payer, of.district, of.year) == (version.payer, version.district, version.year);
        if is_of_scope && files::kept(conn, asked.file)?.is_some_and(|kept| kept.sha256 == *sha256) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which list a request is about, whatever it asks.
#[derive(Deserialize)]
struct Asked {
    file: i64,
    payer: String,
    district: String,
    year: i16,
}

impl Asked {
    fn of(approval: &Approval) -> Step<(Asked, ListVersion)> {
        let Ok(asked) = serde_json::from_str::<Asked>(&approval.request) else { return unreadable() };
        match (Payer::parse(&asked.payer), DistrictCode::parse(&asked.district)) {
            (Some(payer), Some(district)) => {
                let version = ListVersion { payer, district, year: asked.year, as_of: None };
                Ok((asked, version))
            }
            _ => unreadable(),
        }
    }
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
pub(super) fn ask_removals(
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
    let (_, version) = Asked::of(approval)?;
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
    Ok(format!("{} {} 的名单：已移出 {dropped} 人", both(version.payer), version.district))
}

fn recognised((key, category, name): &(i64, String, String)) -> Option<Recognised> {
    Some(Recognised { id: IdNumber::from_key(*key), category: Category::parse(category)?, name: name.clone() })
}

/// A version of a list as it waits for a person.
#[derive(Serialize, Deserialize)]
struct AskedVersion {
    file: i64,
    payer: String,
    district: String,
    year: i16,
    added: usize,
    changed: usize,
    removed: usize,
    /// Some of those whom it moves, hidden: the rest is in the receipt and in `lists difference`.
    some: Vec<String>,
}

/// People named in a request, at most: a checker sees the kind of change, not a whole list in a line.
const NAMED: usize = 5;

/// R7, R21: where every version is looked at, nothing of it takes effect before another person has said yes.
pub(super) fn ask_version(
    txn: &Txn<'_>,
    version: &Version<'_>,
    moves: &[Moved],
    sha256: &[u8; 32],
    order: &Order,
) -> store::Result<String> {
    let count = |how| moves.iter().filter(|moved| moved.how == how).count();
    // Who leaves is named first: that is what cannot be seen in the file itself.
    let some = moves.iter().rev().take(NAMED).map(|moved| {
        let (name, id) = (masked(Kind::Name, moved.name()), masked(Kind::Id, &moved.id.text()));
        format!("{} {name} {id}", moved.how.chinese())
    });
    let asked = AskedVersion {
        file: version.file,
        payer: version.scope.payer.word().to_owned(),
        district: version.scope.district.to_string(),
        year: version.scope.year,
        added: count(ListMove::Added),
        changed: count(ListMove::Changed),
        removed: count(ListMove::Removed),
        some: some.collect(),
    };
    let request = serde_json::to_string(&asked).expect("a request is plain text");
    let subject = format!("list {}", version.file);
    Request { kind: "list", subject, request, digest: digest(sha256, moves) }.ask(txn, order)?;
    Ok("本名单须经另一人批准后生效".to_owned())
}

/// Binds the bytes of the file and what they change.
fn digest(sha256: &[u8; 32], moves: &[Moved]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(sha256);
    for moved in moves {
        let category = |row: &Option<Recognised>| row.as_ref().map_or("", |row| row.category.word());
        let (was, now) = (category(&moved.was), category(&moved.now));
        hash.update(format!("{} {} {was} {now} {}\n", moved.how.word(), moved.id.key(), moved.name()));
    }
    hash.finalize().into()
}

/// What a yes to a version of a list would do.
pub fn asks_version(approval: &Approval) -> Step<String> {
    let Ok(asked) = serde_json::from_str::<AskedVersion>(&approval.request) else { return unreadable() };
    let payer = Payer::parse(&asked.payer).map_or_else(|| asked.payer.clone(), both);
    let (district, year, file) = (&asked.district, asked.year, asked.file);
    let (added, changed, removed) = (asked.added, asked.changed, asked.removed);
    let more = if added + changed + removed > NAMED { " 等" } else { "" };
    Ok(format!(
        "{payer} {district} 的 {year} 年度名单（投递文件 {file}）生效：新增 {added} 人，变更 {changed} 人，退出 {removed} 人：{}{more}",
        asked.some.join("、")
    ))
}

/// A checker approved a version: it is read again from the archive, and must change what was shown.
pub fn approve_version(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let (asked, mut wanted) = Asked::of(approval)?;
    let config = bureau.config.clone();
    let Some(policy) = config.policies.newest() else { return refuse(NO_POLICY) };
    let Some(kept) = files::kept(bureau.store.connection(), asked.file)? else { return unreadable() };
    let path = config.state.join("archive").join(&kept.archived);
    let bytes = std::fs::read(&path).map_err(|source| crate::transport::Error::io(&path, "read", source))?;
    if <[u8; 32]>::from(Sha256::digest(&bytes)) != kept.sha256 {
        return void(bureau, approval, order);
    }
    let Ok(table) = Table::read_as(&bytes, &kept.name, &[TableKind::List]) else { return unreadable() };
    let intake = read(&config, &table, kept.arrived);
    let Some(list) = scope(policy, wanted.payer, wanted.district, intake, Some(wanted.year)) else {
        return unreadable();
    };
    wanted.as_of = list.as_of;
    let in_force = files::list_in_force(bureau.store.connection(), &wanted)?;
    let overtaken = in_force.as_ref().and_then(|newer| newer.as_of).zip(list.as_of).is_some_and(|(a, b)| a > b);
    let before = files::listed(bureau.store.connection(), &wanted)?;
    let change = compare(&list, &before, policy.max_removed);
    if overtaken || digest(&kept.sha256, &difference(&before, &change)) != approval.digest {
        return void(bureau, approval, order);
    }
    let is_late = in_force.is_none() && is_late(&config, policy, &list, kept.arrived);
    let act = order.act("list", approval.subject.clone(), approval.digest);
    bureau.store.transact(&act, |txn| {
        txn.approve(approval.id, &order.actor)?;
        // Another version came meanwhile: look again.
        if files::listed(txn.connection(), &wanted)? != before {
            return Err(store::Error::Stale);
        }
        let version = Version { config: &config, policy, list: &list, scope: wanted, file: asked.file, is_late };
        // The checker was shown the removals with the rest.
        bring_into_force(txn, &version, &change, false, order)?;
        Ok(())
    })?;
    let (added, removed) = (change.added.len(), change.removed.len());
    Ok(format!("{} {} 的名单已生效：新增或变更 {added} 人，退出 {removed} 人", both(wanted.payer), wanted.district))
}
