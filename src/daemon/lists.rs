//! Takes a list (R1, R7, R8): whose it is, what it changes, and how it comes into force.

pub mod waiting;

use crate::config::{Approval as Needs, Config, ListSource};
use crate::daemon::bureau::{Order, Step, refuse};
use crate::daemon::intake::{Ended, Given, Listed, Taking};
use crate::daemon::mobilise;
use crate::daemon::receipts::Sender;
use crate::daemon::roster::notices;
use crate::domain::calendar::{Date, FeeYear};
use crate::domain::ids::IdNumber;
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::domain::policy::Policy;
use crate::format::table::Table;
use crate::pipeline::book::Changeset;
use crate::pipeline::difference::difference;
use crate::pipeline::emit::{Finding, findings};
use crate::pipeline::intake::{Intake, ListRow, Words, lists};
use crate::pipeline::lists::{ListChange, ListFile, compare, of_the_future, scope};
use crate::pipeline::planning;
use crate::store::{self, ListVersion, Txn, book, files};
use std::collections::{BTreeMap, BTreeSet};

const NO_POLICY: &str = "没有政策文件：请运维人员在 policy/ 中补充";

/// A version of a list, ready to come into force.
struct Version<'a> {
    config: &'a Config,
    policy: &'a Policy,
    list: &'a ListFile,
    scope: ListVersion,
    file: i64,
    is_late: bool,
}

/// Takes a list.
pub fn take(taking: &mut Taking<'_>, table: &Table, given: &Given, order: &Order) -> Step<Ended> {
    let config = taking.bureau.config.clone();
    let intake = read(&config, table, order.today());
    let too_early = of_the_future(&intake, order.today());
    if !too_early.is_empty() {
        return Ok(Ended::Quarantined(too_early));
    }
    let Some(policy) = config.policies.newest() else { return refuse(NO_POLICY) };
    let Some((payer, district)) = whose(&config, policy, &given.from, &intake) else {
        return Ok(Ended::Quarantined(vec![not_theirs()]));
    };
    let newest = files::newest_list_year(taking.bureau.store.connection(), payer, district)?;
    let Some(list) = scope(policy, payer, district, intake, newest) else {
        return Ok(Ended::Quarantined(vec![without_year()]));
    };
    let version = ListVersion { payer, district, year: list.year, as_of: list.as_of };
    let in_force = files::list_in_force(taking.bureau.store.connection(), &version)?;
    let waits = || waiting::is_waiting(taking.bureau.store.connection(), &version, &given.sha256);
    if in_force.as_ref().is_some_and(|list| list.sha256 == given.sha256) || waits()? {
        return Ok(Ended::Duplicate);
    }
    taking.write(order, |txn, file| {
        let is_late = in_force.is_none() && is_late(&config, policy, &list, order.today());
        let version = Version { config: &config, policy, list: &list, scope: version, file, is_late };
        write(txn, version, given, notices(table), order)
    })
}

/// The rows of a list, judged one by one.
fn read(config: &Config, table: &Table, arrived: Date) -> Intake<ListRow> {
    let code = |text: &str| config.districts.code(text);
    let bank = |text: &str| config.bank_named(text).map(|bank| bank.number);
    let knows_area = |area: i64| config.districts.knows_area(area);
    lists(table, Words { district: &code, bank: &bank, knows_area: &knows_area, arrived })
}

/// R17: whose list a file is. A department's folder brings its own, and those for which the configuration names it; what
/// most of the rows say chooses among these.
fn whose(config: &Config, policy: &Policy, sender: &Sender, intake: &Intake<ListRow>) -> Option<(Payer, DistrictCode)> {
    let mut said: BTreeMap<(Payer, DistrictCode), usize> = BTreeMap::new();
    for (_, row) in &intake.rows {
        if let Some(terms) = policy.category(row.category) {
            *said.entry((terms.payer, row.district)).or_default() += 1;
        }
    }
    let brought_by = |scope: &(Payer, DistrictCode)| match (sender, config.list_sources.get(scope)) {
        (Sender::Bureau, Some(ListSource::Bureau)) => true,
        (Sender::Department(payer, district), Some(ListSource::Department(p, d))) => (p, d) == (payer, district),
        _ => false,
    };
    let usual = said.into_iter().max_by_key(|(_, rows)| *rows).map(|(scope, _)| scope);
    match (usual.filter(brought_by), sender) {
        (Some(scope), _) => Some(scope),
        (None, Sender::Department(payer, district)) => Some((*payer, *district)),
        (None, _) => None,
    }
}

fn not_theirs() -> Finding {
    Finding {
        code: "not-taken-here",
        expected: "a list for which [[expected_list]] names this sender in from".to_owned(),
        found: "another list".to_owned(),
        message_zh: "名单应由认定部门放入其投递目录；配置未指定由此处代报该部门、该区县的名单".to_owned(),
        action_zh: "请由认定部门报送，或由运维人员在 [[expected_list]] 中设置 from".to_owned(),
        ..Finding::default()
    }
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
    version: Version<'_>,
    given: &Given,
    notes: Vec<String>,
    order: &Order,
) -> store::Result<Ended> {
    let list = version.list;
    let (refused, findings) = findings(&list.defects, &list.warnings);
    let mut listed = Listed { accepted: list.rows.len() as u64, refused, findings, notes, moves: Vec::new() };
    let in_force = files::list_in_force(txn.connection(), &version.scope)?;
    if let (Some(day), Some(newer)) = (version.scope.as_of, in_force.as_ref().and_then(|before| before.as_of))
        && newer > day
    {
        listed.notes.push(format!("数据日期 {day} 早于现行名单的 {newer}，未作变动"));
        return Ok(Ended::Listed(Box::new(listed)));
    }
    let before = files::listed(txn.connection(), &version.scope)?;
    let change = compare(list, &before, version.policy.max_removed);
    let moves = || difference(&before, &change);
    listed.notes.push(counts(txn, &version, &change)?);
    listed.notes.extend(waiting::void_overtaken(txn, &version.scope)?);
    if version.config.approvals.lists == Needs::Second {
        listed.notes.push(waiting::ask_version(txn, &version, &moves(), &given.sha256, order)?);
    } else {
        listed.notes.extend(bring_into_force(txn, &version, &change, change.removals_wait, order)?);
    }
    if version.is_late {
        listed.notes.push("名单晚于规定期限，已接受并标记".to_owned());
    }
    mobilise::post(txn, version.config, &version.scope, order.today())?;
    // The first list of a scope is its own difference.
    listed.moves = if before.is_empty() { Vec::new() } else { moves() };
    Ok(Ended::Listed(Box::new(listed)))
}

/// R7: the version takes effect; its removals too, or they wait for a person. Gives what the sender should know.
fn bring_into_force(
    txn: &mut Txn<'_>,
    version: &Version<'_>,
    change: &ListChange,
    removals_wait: bool,
    order: &Order,
) -> store::Result<Option<String>> {
    let (scope, file, today) = (&version.scope, version.file, order.today());
    txn.accept_list(file, scope, today, version.is_late)?;
    let mut touched = BTreeSet::new();
    for (line, row) in &change.added {
        txn.recognise(scope, row, file, *line, today)?;
        touched.insert((row.id, row.category));
    }
    let mut words = None;
    if removals_wait {
        words = Some(waiting::ask_removals(txn, scope, change, file, order)?);
    } else {
        for row in &change.removed {
            txn.drop_recognition(scope, row, file, today)?;
            touched.insert((row.id, row.category));
        }
    }
    replan(txn, version.config, version.policy, scope.year, &touched, file, order)?;
    Ok(words)
}

/// R8: late is a first list that comes after the due date of the fee year for which it counts.
fn is_late(config: &Config, policy: &Policy, list: &ListFile, arrived: Date) -> bool {
    let fee_year = list.categories.iter().find_map(|category| policy.fee_year_of(*category, list.year));
    fee_year.and_then(|year| config.policies.of(year)).is_some_and(|(_, year)| arrived > year.lists_due)
}

fn counts(txn: &Txn<'_>, version: &Version<'_>, change: &ListChange) -> store::Result<String> {
    let mut absent = 0;
    for (_, row) in &version.list.rows {
        absent += usize::from(!files::is_enrolled(txn.connection(), row.id)?);
    }
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
        // Asked first: the lists of a year come before its plans, and a dossier takes longer than this question.
        if !files::planned_years_of(txn.connection(), id.key())?.contains(&fee_year) {
            continue;
        }
        let dossier = book::dossier(txn.connection(), id, fee_year)?;
        let mut changes = Changeset::default();
        planning::plan(policy, terms, &dossier, false, order.today(), &mut changes);
        txn.write(&changes, Some(file), order.today())?;
    }
    Ok(())
}
