//! `settle`: what each payer owes for a settlement year (R15, R21). Drafted from the ledger, drafted again as long as
//! nobody has approved it, frozen and put into the payer's folder when somebody has.

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, ask, unreadable, void};
use crate::daemon::bureau::{Bureau, Order, Step, StepError, refuse};
use crate::daemon::receipts::{Sender, flush_outbox};
use crate::domain::calendar::{Date, next_day};
use crate::domain::ids::BatchNumber;
use crate::domain::money::Money;
use crate::domain::participant::{DistrictCode, Payer};
use crate::domain::policy::Policies;
use crate::domain::settlement::{SettlementState, SettlementYear};
use crate::pipeline::papers::{Head, Names, Papers, settlement, settlement_files, settlement_workbook};
use crate::store::approvals::Approval;
use crate::store::settlements::{self, Draft, Scope, Settlement};
use crate::store::{self, Applied, Txn, book};
use crate::transport::behind::Making;
use crate::transport::{Error, place};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What `settle` came to.
#[derive(Clone, Debug, Default)]
pub struct SettleReport {
    /// Every settlement of the year as it is now.
    pub settlements: Vec<Settlement>,
    /// What approve takes for those that wait, by their subject.
    pub waiting: BTreeSet<String>,
    /// What of the year is still open, for clerks.
    pub warnings: Vec<String>,
}

/// Drafts the settlements of a year, one for each payer and owing district, and asks for approval; where nobody has to
/// be asked, freezes and sends them.
pub fn settle(bureau: &mut Bureau, year: SettlementYear, order: &Order) -> Step<SettleReport> {
    let end = check_year(bureau, year)?;
    let is_over = order.today() > end;
    loop {
        match draft_and_ask(bureau, year, is_over, order) {
            // The ledger moved, or somebody else is at it: look again.
            Err(StepError::Store(store::Error::Stale)) => continue,
            done => break done?,
        }
    }
    note_sent(bureau, order)?;
    let mut report = SettleReport { settlements: of_year(bureau, year)?, ..SettleReport::default() };
    for drafted in report.settlements.iter().filter(|one| one.state == SettlementState::Drafted) {
        if is_asked(bureau, drafted)? {
            report.waiting.insert(drafted.subject());
        }
    }
    report.warnings = warnings(bureau, year, end, is_over)?;
    Ok(report)
}

fn draft_and_ask(bureau: &mut Bureau, year: SettlementYear, is_over: bool, order: &Order) -> Step<()> {
    let mut version = redraft(bureau, year, |_| true, order)?;
    for drafted in of_year(bureau, year)?.iter().filter(|one| one.state == SettlementState::Drafted && is_over) {
        let request = request(drafted);
        if bureau.config.approvals.settlement == Needs::None {
            freeze(bureau, drafted, version, order, |txn| request.record(txn, order))?;
            version += 1;
        } else if !is_asked(bureau, drafted)? {
            ask(bureau, &request, order)?;
        }
    }
    Ok(())
}

/// The last day of a settlement year that the policy has.
fn check_year(bureau: &Bureau, year: SettlementYear) -> Step<Date> {
    let policies = &bureau.config.policies;
    match (policies.first_settlement(), policies.settlement_end(year)) {
        (Some(first), Some(end)) if year >= first => Ok(end),
        (Some(first), _) => refuse(format!("清算从 {first} 年度开始（R15）")),
        (None, _) => refuse("没有政策文件：请运维人员在 policy/ 中补充"),
    }
}

fn of_year(bureau: &Bureau, year: SettlementYear) -> Step<Vec<Settlement>> {
    let all = settlements::all(bureau.store.connection())?;
    Ok(all.into_iter().filter(|settlement| settlement.head.year == year).collect())
}

fn is_asked(bureau: &Bureau, drafted: &Settlement) -> Step<bool> {
    let waiting = store::approvals::waiting(bureau.store.connection())?;
    Ok(waiting
        .iter()
        .any(|one| one.kind == "settlement" && one.subject == drafted.subject() && one.digest == drafted.sha256))
}

/// What of the year may still change what was drafted.
fn warnings(bureau: &Bureau, year: SettlementYear, end: Date, is_over: bool) -> Step<Vec<String>> {
    let mut warnings = Vec::new();
    if !is_over {
        warnings.push(format!("{year} 清算年度到 {end} 才结束：现为预览，不能提交批准"));
    }
    let open = settlements::open_batches(bureau.store.connection(), end)?;
    let (zero, banks): (Vec<BatchNumber>, Vec<BatchNumber>) =
        open.iter().map(|number| BatchNumber::from_value(*number as u64)).partition(|batch| batch.bank() == 0);
    if let Some(first) = banks.first() {
        let count = banks.len();
        warnings
            .push(format!("有 {count} 个批次（{first} 等）尚未全部回盘：批准之前到的回盘仍计入，之后到的结转下一年度"));
    }
    if let Some(first) = zero.first() {
        warnings.push(format!("有 {} 个零自付批次（{first} 等）待批准：批准日在 {end} 之后的计入下一年度", zero.len()));
    }
    let policies = &bureau.config.policies;
    for earlier in policies.first_settlement().unwrap_or(year)..year {
        let Some(scopes) = scopes(bureau.store.connection(), policies, earlier, |_| true)? else { continue };
        let left =
            settlements::collect(bureau.store.connection(), &scopes)?.iter().filter(|one| !one.is_empty()).count();
        if left > 0 {
            warnings.push(format!("{earlier} 年度还有 {left} 份清算未批准：请先办理 daikou settle --year {earlier}"));
        }
    }
    Ok(warnings)
}

/// The scopes of a year's unapproved settlements, where `wants` says so. A settlement also takes what counts for the
/// years before it, as far back as all of them are approved: it came too late for those (R15).
fn scopes(
    conn: &Connection,
    policies: &Policies,
    year: SettlementYear,
    wants: impl Fn(&Head) -> bool,
) -> Step<Option<Vec<Scope>>> {
    let (Some(end), Some(first)) = (policies.settlement_end(year), policies.first_settlement()) else {
        return Ok(None);
    };
    let frozen: BTreeSet<(SettlementYear, Payer, DistrictCode)> = settlements::all(conn)?
        .iter()
        .filter(|one| one.state != SettlementState::Drafted)
        .map(|one| (one.head.year, one.head.payer, one.head.district))
        .collect();
    let mut scopes = Vec::new();
    for (payer, district) in settlements::debtors(conn)? {
        let head = Head { year, payer, district };
        if frozen.contains(&(year, payer, district)) || !wants(&head) {
            continue;
        }
        let mut from = year;
        while from > first && frozen.contains(&(from - 1, payer, district)) {
            from -= 1;
        }
        let start = policies.settlement_start(year);
        scopes.push(Scope { head, from: policies.settlement_start(from), start, end });
    }
    Ok(Some(scopes))
}

/// Drafts a year's unapproved settlements from what the ledger has now; writes only where something changed. Gives the
/// version of the book at which they are what the ledger gives.
fn redraft(bureau: &mut Bureau, year: SettlementYear, wants: impl Fn(&Head) -> bool, order: &Order) -> Step<u64> {
    loop {
        let version = book::version(bureau.store.connection())?;
        let changed = changed_drafts(bureau.store.connection(), &bureau.config.policies, year, &wants)?;
        if changed.is_empty() {
            return Ok(version);
        }
        let mut digest = Sha256::new();
        changed.iter().for_each(|draft| digest.update(draft.sha256));
        let act = order.act("settle", year.to_string(), digest.finalize().into());
        let applied = bureau.store.apply(&act, version, |txn| {
            changed.iter().try_for_each(|draft| txn.draft_settlement(draft, order.today()))
        })?;
        if applied == Applied::New {
            return Ok(version + 1);
        }
    }
}

/// Drafts that differ from what is stored.
fn changed_drafts(
    conn: &Connection,
    policies: &Policies,
    year: SettlementYear,
    wants: impl Fn(&Head) -> bool,
) -> Step<Vec<Draft>> {
    let Some(scopes) = scopes(conn, policies, year, wants)? else { return Ok(Vec::new()) };
    let mut changed = Vec::new();
    for (scope, counted) in scopes.iter().zip(settlements::collect(conn, &scopes)?) {
        let transfer_due = policies.transfer_due(year).unwrap_or(scope.end);
        let mut draft = Draft { scope: *scope, transfer_due, counted, sha256: [0; 32] };
        let net = draft.net();
        draft.sha256 = digest(&settlement(&scope.head, &net));
        let is_same = match &settlements::find(conn, &scope.head)? {
            Some(stored) => !net.is_empty() && stored.sha256 == draft.sha256 && is_counted(conn, stored, &draft)?,
            None => net.is_empty(),
        };
        if !is_same {
            changed.push(draft);
        }
    }
    Ok(changed)
}

/// Whether a stored draft counts exactly these: what came and went leaves no mark in the bytes.
fn is_counted(conn: &Connection, stored: &Settlement, draft: &Draft) -> Step<bool> {
    let mut items: Vec<(i64, i64)> = draft.counted.iter().map(|counted| counted.item).collect();
    items.sort_unstable();
    Ok(settlements::items(conn, stored.id)? == items)
}

/// SHA-256 of the summary and the name list, one after the other: what an approval binds.
pub fn digest(papers: &Papers) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(&papers.summary);
    hash.update(&papers.names);
    hash.finalize().into()
}

/// R15: what came in since may change what is drafted: it is drafted again, and what was asked for it is void. Whoever comes
/// to owe of a year that is being drafted, by a late list or by a correction, is drafted with it.
pub fn follow(bureau: &mut Bureau, order: &Order) -> Step<()> {
    let all = settlements::all(bureau.store.connection())?;
    let drafted = all.iter().filter(|one| one.state == SettlementState::Drafted);
    let years: BTreeSet<SettlementYear> = drafted.map(|one| one.head.year).collect();
    for year in years {
        redraft(bureau, year, |_| true, order)?;
    }
    Ok(())
}

/// What the maker saw, for the checker.
#[derive(Serialize, Deserialize)]
struct Shown {
    year: i16,
    payer: String,
    district: String,
    people: u64,
    deemed: String,
    ex_post: String,
}

fn request(drafted: &Settlement) -> Request {
    let shown = Shown {
        year: drafted.head.year,
        payer: drafted.head.payer.word().to_owned(),
        district: drafted.head.district.to_string(),
        people: drafted.people,
        deemed: drafted.deemed.to_string(),
        ex_post: drafted.ex_post.to_string(),
    };
    let request = serde_json::to_string(&shown).expect("a request is plain text");
    Request { kind: "settlement", subject: drafted.subject(), request, digest: drafted.sha256 }
}

fn shown(approval: &Approval) -> Option<(Shown, Head)> {
    let shown: Shown = serde_json::from_str(&approval.request).ok()?;
    let (payer, district) = (Payer::parse(&shown.payer)?, DistrictCode::parse(&shown.district)?);
    let head = Head { year: shown.year, payer, district };
    Some((shown, head))
}

/// What a yes to a settlement would do.
pub fn asks(approval: &Approval) -> Step<String> {
    let Some((shown, head)) = shown(approval) else { return unreadable() };
    let (payer, district, year) = (head.payer.chinese(), head.district, head.year);
    Ok(format!(
        "{payer} {} {district} 的 {year} 年度清算：{} 人，代缴 {} 元，事后补助 {} 元；批准后冻结并送达该部门",
        head.payer.word(),
        shown.people,
        shown.deemed,
        shown.ex_post
    ))
}

/// A checker approved a settlement: the ledger must still give the bytes that were shown.
pub fn approve(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Some((_, head)) = shown(approval) else { return unreadable() };
    let version = redraft(bureau, head.year, |other| *other == head, order)?;
    let stored = settlements::find(bureau.store.connection(), &head)?;
    let drafted = stored.filter(|one| one.state == SettlementState::Drafted && one.sha256 == approval.digest);
    let Some(drafted) = drafted else { return void(bureau, approval, order) };
    if order.today() <= drafted.ends_on {
        return refuse(format!("{} 清算年度到 {} 才结束", head.year, drafted.ends_on));
    }
    freeze(bureau, &drafted, version, order, |txn| txn.approve(approval.id, &order.actor))?;
    note_sent(bureau, order)?;
    Ok(format!("{} 年度清算 {}/{} 已批准并送达：{}", head.year, head.payer.word(), head.district, sums(&drafted)))
}

fn sums(settlement: &Settlement) -> String {
    format!("{} 人，代缴 {} 元，事后补助 {} 元", settlement.people, settlement.deemed, settlement.ex_post)
}

/// Freezes a draft: its bytes are kept in the archive, and go to the payer's folder once this is committed.
fn freeze(
    bureau: &mut Bureau,
    drafted: &Settlement,
    version: u64,
    order: &Order,
    approve: impl FnOnce(&mut Txn<'_>) -> store::Result<()>,
) -> Step<()> {
    let claims = settlements::claims(bureau.store.connection(), drafted.id)?;
    let papers = settlement(&drafted.head, &claims);
    if digest(&papers) != drafted.sha256 {
        return Err(
            store::Error::Broken(format!("settlement {}: its bytes cannot be made again", drafted.subject())).into()
        );
    }
    let [summary, names, workbook] = settlement_files(&drafted.head);
    let mut files = vec![(summary, papers.summary), (names, papers.names)];
    let district = district_name(bureau, drafted.head.district);
    // For people; what is approved are the tables, which follow from the ledger alone.
    let named = Names { district: &district, unit: &bureau.config.papers.unit };
    let book = settlement_workbook(&drafted.head, &claims, &named, order.today());
    files.extend(book.map(|bytes| (workbook, bytes)));
    for (name, bytes) in &files {
        keep(&bureau.config.state, name, bytes, order.today())?;
    }
    failpoint!("paper.kept");
    let folder = out_folder(&drafted.head);
    let act = order.act("settlement", drafted.subject(), drafted.sha256);
    let applied = bureau.store.apply(&act, version, |txn| {
        approve(txn)?;
        txn.freeze_settlement(drafted, order.today())?;
        files.iter().try_for_each(|(name, bytes)| txn.post_out(&folder, name, bytes))
    })?;
    if applied == Applied::Stale {
        return Err(store::Error::Stale.into());
    }
    Ok(())
}

/// The folder of a payer and district that the bureau writes to, below `drops/`.
pub fn out_folder(head: &Head) -> String {
    format!("{}/out", Sender::Department(head.payer, head.district).folder())
}

/// A district by name and code, as papers for people say it.
pub fn district_name(bureau: &Bureau, district: DistrictCode) -> String {
    bureau.config.districts.name(district).map_or_else(|| district.to_string(), |name| format!("{name}（{district}）"))
}

/// Keeps bytes that go out in the archive, and says where, below `state/archive`.
pub fn keep(state: &Path, name: &str, bytes: &[u8], today: Date) -> Step<PathBuf> {
    let spool = state.join("spool");
    let mut making = Making::begin(&spool)?;
    making.write_all(bytes).map_err(|source| Error::io(&spool, "write", source))?;
    let spooled = making.finish()?;
    let path = place::archive(&spooled, state, today, OsStr::new(name))?;
    Ok(path.strip_prefix(state.join("archive")).map(Path::to_path_buf).unwrap_or(path))
}

/// Puts approved settlements into their payers' folders; those that lie there now are sent.
pub fn note_sent(bureau: &mut Bureau, order: &Order) -> Step<()> {
    if !settlements::any_in(bureau.store.connection(), SettlementState::Approved)? {
        return Ok(());
    }
    flush_outbox(bureau)?;
    for approved in
        settlements::all(bureau.store.connection())?.iter().filter(|one| one.state == SettlementState::Approved)
    {
        let (folder, files) = (out_folder(&approved.head), settlement_files(&approved.head));
        if settlements::waits_in_outbox(bureau.store.connection(), &folder, &files)? {
            continue;
        }
        let act = order.act("sent", approved.subject(), approved.sha256);
        match bureau.store.transact(&act, |txn| txn.settlement_sent(approved, order.today())) {
            // Another process saw it as well.
            Ok(()) | Err(store::Error::Stale) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A settlement year that is over and not sent to all payers: for status and alarms.
#[derive(Clone, Debug)]
pub struct Overdue {
    /// Which settlement.
    pub subject: String,
    /// What is late.
    pub words: String,
    /// The same for whoever reads `status`.
    pub words_zh: String,
    /// Whether the payer is late, not we.
    pub is_transfer: bool,
}

/// What of all settlements is late on a day: not sent when it was due, or not cleared when transfers were.
pub fn overdue(bureau: &Bureau, today: Date) -> Step<Vec<Overdue>> {
    let policies = &bureau.config.policies;
    let all = settlements::all(bureau.store.connection())?;
    let mut late = Vec::new();
    for one in &all {
        let due = policies.settlement_due(one.head.year);
        let is_ours = matches!(one.state, SettlementState::Drafted | SettlementState::Approved);
        if is_ours && due.is_some_and(|due| today > due) {
            let due = due.unwrap_or(today);
            let words = format!("was due on {due}: approve it (R15)");
            let words_zh = format!("应在 {due} 前送达，尚未批准或发送（R15）");
            late.push(Overdue { subject: one.subject(), words, words_zh, is_transfer: false });
        }
        if one.state == SettlementState::Sent && today > one.transfer_due && one.owed() > Money::ZERO {
            let words = format!("{} yuan were due on {}: ask the payer (R16)", one.owed(), one.transfer_due);
            let words_zh = format!("尚欠 {} 元，应在 {} 前划款（R16）", one.owed(), one.transfer_due);
            late.push(Overdue { subject: one.subject(), words, words_zh, is_transfer: true });
        }
    }
    if let Some((year, due)) = undrafted(bureau, today)?.filter(|(_, due)| today > *due) {
        let words = format!("was due on {due}, and no settlement is drafted: `daikou settle` (R15)");
        let words_zh = format!("应在 {due} 前送达，尚未起草（R15）");
        late.push(Overdue { subject: year.to_string(), words, words_zh, is_transfer: false });
    }
    Ok(late)
}

/// The settlement year that ended last and the day on which it is due, where something is owed and nothing is drafted.
pub fn undrafted(bureau: &Bureau, today: Date) -> Step<Option<(SettlementYear, Date)>> {
    let policies = &bureau.config.policies;
    let Some(year) = policies.settlement_year(today).map(|year| year - 1) else { return Ok(None) };
    let (Some(first), Some(end), Some(due)) =
        (policies.first_settlement(), policies.settlement_end(year), policies.settlement_due(year))
    else {
        return Ok(None);
    };
    // After the autumn of the last fee year is settled nothing is booked any more: no need to look, every few seconds.
    let last = policies.newest().and_then(|policy| policy.years.last()).map_or(first, |terms| terms.fee_year + 1);
    let all = settlements::all(bureau.store.connection())?;
    if !(first..=last).contains(&year) || all.iter().any(|one| one.head.year >= year) {
        return Ok(None);
    }
    let start = policies.settlement_start(year);
    let counts = settlements::anything_counts(bureau.store.connection(), start, next_day(end))?;
    Ok(counts.then_some((year, due)))
}
