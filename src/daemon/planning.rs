//! `plan`: what everybody owes (R2 to R6), stretch by stretch of the roster.

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, no_policy, refuse};
use crate::daemon::settling;
use crate::domain::calendar::{Date, FeeYear};
use crate::domain::exception::Class;
use crate::domain::ids::IdNumber;
use crate::pipeline::book::Changeset;
use crate::pipeline::planning::{self, Planned};
use crate::store::approvals::Approval;
use crate::store::{self, Applied, book};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// People planned in one transaction.
const STRETCH: usize = 20_000;

/// What `plan` came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanReport {
    /// People with a plan.
    pub plans: u64,
    /// People whom our rules refuse, by the word of the refusal.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Exceptions opened.
    pub exceptions: u64,
    /// Plans that ended with their year.
    pub lapsed: u64,
    /// Waits for another person (R21).
    pub waits: bool,
}

/// Plans a fee year for the whole roster, or asks for approval first.
pub fn plan(bureau: &mut Bureau, fee_year: FeeYear, order: &Order, progress: &mut dyn FnMut(u64)) -> Step<PlanReport> {
    check_year(bureau, fee_year, order.today())?;
    if order.today().year() > fee_year {
        return lapse(bureau, fee_year, order);
    }
    if bureau.config.approvals.plan == Needs::Second {
        let (mut report, digest) = rehearse(bureau, fee_year, order.today())?;
        let counts = Counts { plans: report.plans, refused: report.refused(), exceptions: report.exceptions };
        let request = serde_json::to_string(&counts).expect("a request is plain text");
        let request = Request { kind: "plan", subject: fee_year.to_string(), request, digest };
        crate::daemon::approvals::ask(bureau, &request, order)?;
        report.waits = true;
        return Ok(report);
    }
    carry_out(bureau, fee_year, order, progress)
}

/// What the maker saw, for the checker: the digest binds the plans themselves.
#[derive(Serialize, Deserialize)]
struct Counts {
    plans: u64,
    refused: u64,
    exceptions: u64,
}

/// What a yes to the plans of a year would do.
pub fn asks(approval: &Approval) -> Step<String> {
    let Ok(counts) = serde_json::from_str::<Counts>(&approval.request) else { return unreadable() };
    Ok(format!(
        "生成 {} 年度缴费计划：{} 人有计划，{} 人不符合条件，新增例外 {} 项",
        approval.subject, counts.plans, counts.refused, counts.exceptions
    ))
}

/// A checker approved the plans of a year: they must still be those that were shown.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Ok(fee_year) = approval.subject.parse::<FeeYear>() else { return unreadable() };
    let version = book::version(bureau.store.connection())?;
    let (_, digest) = rehearse(bureau, fee_year, order.today())?;
    if digest != approval.digest {
        return void(bureau, approval, order);
    }
    let act = order.act("approve", format!("plan {fee_year}"), digest);
    if bureau.store.apply(&act, version, |txn| txn.approve(approval.id, &order.actor))? == Applied::Stale {
        return Err(store::Error::Stale.into());
    }
    let report = carry_out(bureau, fee_year, order, &mut |_| {})?;
    Ok(format!("{fee_year} 年度缴费计划：{} 人有计划，{}", report.plans, report.refused_zh()))
}

fn check_year(bureau: &Bureau, fee_year: FeeYear, today: Date) -> Step<()> {
    let (_, year) = bureau.policy(fee_year)?;
    if today < year.planned_from {
        return refuse(format!("{fee_year} 年度从 {} 起才能生成缴费计划（R4）", year.planned_from));
    }
    Ok(())
}

/// R13: after 31 December what was not received lapses.
fn lapse(bureau: &mut Bureau, fee_year: FeeYear, order: &Order) -> Step<PlanReport> {
    let act = order.act("lapse", fee_year.to_string(), bureau.config.digest);
    let lapsed = bureau.store.transact(&act, |txn| txn.lapse(fee_year))?;
    Ok(PlanReport { lapsed, ..PlanReport::default() })
}

/// Plans everybody and writes it.
pub fn carry_out(
    bureau: &mut Bureau,
    fee_year: FeeYear,
    order: &Order,
    progress: &mut dyn FnMut(u64),
) -> Step<PlanReport> {
    let mut report = PlanReport::default();
    let mut done = 0;
    for keys in stretches(bureau.store.connection())? {
        bureau.pulse.go_on()?;
        // Not `Bureau::policy`: the store is written while the policy is read.
        let Some((policy, year)) = bureau.config.policies.of(fee_year) else { return no_policy(fee_year) };
        let act = order.act("plan", fee_year.to_string(), bureau.config.digest);
        let people = bureau.store.transact(&act, |txn| {
            let mut changes = Changeset::default();
            let dossiers = book::dossiers(txn.connection(), keys, fee_year, book::Whom::All)?;
            for dossier in &dossiers {
                report.count(&planning::plan(policy, year, dossier, false, order.today(), &mut changes));
            }
            report.exceptions += changes.opened.len() as u64;
            txn.write(&changes, None, order.today())?;
            Ok(dossiers.len())
        })?;
        done += people as u64;
        progress(done);
    }
    settling::follow(bureau, order)?;
    Ok(report)
}

/// What `plan` would do, and a digest of it: what an approval binds.
pub fn rehearse(bureau: &mut Bureau, fee_year: FeeYear, today: Date) -> Step<(PlanReport, [u8; 32])> {
    let mut report = PlanReport::default();
    let mut hash = Sha256::new();
    for keys in stretches(bureau.store.connection())? {
        bureau.pulse.go_on()?;
        let (policy, year) = bureau.policy(fee_year)?;
        let mut changes = Changeset::default();
        for dossier in book::dossiers(bureau.store.connection(), keys, fee_year, book::Whom::All)? {
            report.count(&planning::plan(policy, year, &dossier, false, today, &mut changes));
        }
        report.exceptions += changes.opened.len() as u64;
        for plan in &changes.plans {
            let terms = plan.version.as_ref().map(|(version, _)| version.terms.map_err(|refusal| refusal.word()));
            hash.update(format!("{} {:?} {terms:?}\n", plan.participant.key(), plan.state));
        }
    }
    Ok((report, hash.finalize().into()))
}

impl PlanReport {
    fn count(&mut self, planned: &Planned) {
        match planned {
            Planned::Plan => self.plans += 1,
            Planned::Refused(refusal) => *self.refusals.entry(refusal.word()).or_default() += 1,
            Planned::NotEnrolled => {}
        }
    }

    /// People whom our rules refuse.
    pub fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }

    /// How many are refused, and why: `12 人不符合条件（已满60周岁 10，参保状态不正常 2）`.
    pub fn refused_zh(&self) -> String {
        let chinese = |word: &str| Class::parse(word).expect("each refusal has a class of its word").chinese();
        let why: Vec<String> = self.refusals.iter().map(|(word, count)| format!("{} {count}", chinese(word))).collect();
        let why = if why.is_empty() { String::new() } else { format!("（{}）", why.join("，")) };
        format!("{} 人不符合条件{why}", self.refused())
    }
}

/// Why somebody on the roster has no plan for the year that is planned now: what `plan` would say of them today.
pub fn why_unplanned(bureau: &Bureau, id: IdNumber, today: Date) -> Step<Option<(FeeYear, String)>> {
    let Some(fee_year) = bureau.config.policies.planned_on(today) else { return Ok(None) };
    let (policy, year) = bureau.policy(fee_year)?;
    let dossier = book::dossier(bureau.store.connection(), id, fee_year)?;
    if dossier.plan.is_some() {
        return Ok(None);
    }
    let why = match planning::plan(policy, year, &dossier, false, today, &mut Changeset::default()) {
        Planned::Refused(refusal) => refusal.to_string(),
        Planned::NotEnrolled => "参保人员表上没有此人，请动员参保（R17）".to_owned(),
        Planned::Plan => format!("尚未核定：daikou plan --year {fee_year}"),
    };
    Ok(Some((fee_year, why)))
}

/// The roster in stretches of keys, in their order.
pub fn stretches(conn: &Connection) -> Step<Vec<RangeInclusive<i64>>> {
    let mut statement = conn.prepare("SELECT id FROM participant ORDER BY id").map_err(crate::store::Error::from)?;
    let mut rows = statement.query([]).map_err(crate::store::Error::from)?;
    let mut stretches = Vec::new();
    let (mut low, mut high, mut count) = (0, 0, 0);
    while let Some(row) = rows.next().map_err(crate::store::Error::from)? {
        high = row.get(0).map_err(crate::store::Error::from)?;
        count += 1;
        if count == STRETCH {
            stretches.push(low..=high);
            (low, count) = (high + 1, 0);
        }
    }
    if count > 0 {
        stretches.push(low..=high);
    }
    Ok(stretches)
}
