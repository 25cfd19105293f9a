//! `instruct`: one round. Who may be asked is asked, in files that each bank can read; who owes nothing is listed
//! for a zero-payment batch (R6, R8a, R9, R12, R13, R18).

use crate::config::Approval as Needs;
use crate::daemon::approvals::{Request, ask, unreadable};
use crate::daemon::bureau::{Bureau, Order, Step, StepError, refuse};
use crate::daemon::outstanding::WrittenFor;
use crate::daemon::planning::stretches;
use crate::daemon::releasing::{post_zero, release, release_request};
use crate::daemon::retrying;
use crate::daemon::settling;
use crate::domain::calendar::{Date, DateTime, FeeYear, parse_date};
use crate::domain::exception::Class;
use crate::domain::ids::{BatchNumber, IdNumber};
use crate::domain::instruction::ControlTotals;
use crate::domain::money::Money;
use crate::domain::participant::{BankNumber, DistrictCode, Participant};
use crate::domain::plan::PlanEvent;
use crate::domain::policy::{Policy, Terms, YearTerms, same_name};
use crate::format::encode::{Envelope, FieldFault, Row, fits, request_control, write_request};
use crate::format::layout::{FileKind, Layout};
use crate::format::names::NameParts;
use crate::format::role::Role;
use crate::pipeline::book::{BatchLine, Changeset, Dossier, NewException, PlanChange};
use crate::pipeline::decode::Echoes;
use crate::pipeline::planning::{NotAsked, may_ask, remove};
use crate::store::approvals::Approval;
use crate::store::book::Whom;
use crate::store::{Applied, NewBatch, NewInstruction, ZeroRow, batches, book, files};
use crate::transport::behind::Making;
use crate::transport::place;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

/// What one round is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    /// The fee year.
    pub fee_year: FeeYear,
    /// Only this bank.
    pub bank: Option<String>,
    /// Debit date; else the next working day.
    pub debit_on: Option<String>,
    /// R8a: why districts without their lists are asked all the same.
    pub without_lists: Option<String>,
    /// Only those whose newest instruction failed with one of these outcomes.
    #[serde(default)]
    pub retry: Option<Vec<String>>,
}

/// One batch of a round.
#[derive(Clone, Debug)]
pub struct BatchReport {
    /// Its number.
    pub number: BatchNumber,
    /// Key of the bank, or `zero`.
    pub bank: String,
    /// Number of instructions.
    pub instructions: u64,
    /// Their sum; of a zero-payment batch the government parts.
    pub amount: Money,
    /// SHA-256 of what must be approved.
    pub digest: [u8; 32],
    /// The word of its state.
    pub state: &'static str,
}

/// What a round came to.
#[derive(Clone, Debug, Default)]
pub struct RoundReport {
    /// Batches drafted.
    pub batches: Vec<BatchReport>,
    /// Districts that wait for their lists (R8a).
    pub without_lists: Vec<DistrictCode>,
    /// People whom our rules refuse now.
    pub refused: u64,
    /// People held back: by open exceptions, or asked often enough.
    pub held_back: u64,
    /// Exceptions opened.
    pub exceptions: u64,
    /// Nothing is drafted before another person allows it (R8a): what `approve` takes.
    pub waits: Option<String>,
}

/// Somebody to ask.
struct Asked {
    id: IdNumber,
    version: u32,
    terms: Terms,
    attempt: u32,
    account: String,
    holder: String,
    person: String,
}

/// Everybody of one round, and what else it found.
#[derive(Default)]
struct Gathered {
    asked: BTreeMap<BankNumber, Vec<Asked>>,
    zero: Vec<(Date, ZeroRow)>,
    changes: Changeset,
    report: RoundReport,
}

/// Drafts one round; releases it where nobody has to be asked.
pub fn instruct(bureau: &mut Bureau, round: &Round, order: &Order) -> Step<RoundReport> {
    let debit_on = debit_date(bureau, round, order)?;
    if round.without_lists.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        return refuse("不等名单扣款须写明理由（R8a）".to_owned());
    }
    if round.without_lists.is_some() && bureau.config.approvals.release == Needs::Second {
        let request = serde_json::to_string(round).expect("a round is plain text");
        let digest = Sha256::digest(request.as_bytes()).into();
        let subject = format!("without-lists {}", round.fee_year);
        ask(bureau, &Request { kind: "without-lists", subject: subject.clone(), request, digest }, order)?;
        return Ok(RoundReport { waits: Some(subject), ..RoundReport::default() });
    }
    if round.retry.is_some() {
        return retrying::retry(bureau, round, debit_on, order);
    }
    draft(bureau, round, debit_on, order)
}

/// What a yes to a round without the lists would do.
pub fn asks(bureau: &Bureau, approval: &Approval) -> Step<String> {
    let Ok(round) = serde_json::from_str::<Round>(&approval.request) else { return unreadable() };
    let waiting: Vec<String> = waiting_districts(bureau, round.fee_year)?.iter().map(ToString::to_string).collect();
    let bank = round.bank.as_ref().map_or("全部银行".to_owned(), |bank| format!("银行 {bank}"));
    let debit_on = round.debit_on.as_ref().map_or("下一工作日扣款".to_owned(), |day| format!("{day} 扣款"));
    let waiting = if waiting.is_empty() {
        "名单都已到".to_owned()
    } else {
        format!("名单未到的区县 {}", waiting.join("、"))
    };
    let reason = round.without_lists.as_deref().unwrap_or_default();
    Ok(format!("{} 年度不等名单起草一轮扣款（R8a）：{bank}，{debit_on}，{waiting}；理由：{reason}", round.fee_year))
}

/// A checker allowed a round without the lists.
pub fn approve_without_lists(bureau: &mut Bureau, approval: &Approval, order: &Order) -> Step<String> {
    let Ok(round) = serde_json::from_str::<Round>(&approval.request) else {
        return unreadable();
    };
    let debit_on = debit_date(bureau, &round, order)?;
    let act = order.act("approve", approval.subject.clone(), approval.digest);
    bureau.store.transact(&act, |txn| txn.approve(approval.id, &order.actor))?;
    let report = draft(bureau, &round, debit_on, order)?;
    Ok(format!("{} 年度缺名单扣款：已起草 {} 个批次", round.fee_year, report.batches.len()))
}

/// R13: within the fee year, not after `last_debit`, and not after its cutoff.
pub fn debit_date(bureau: &Bureau, round: &Round, order: &Order) -> Step<Date> {
    let (_, year) = bureau.policy(round.fee_year)?;
    let given = match &round.debit_on {
        Some(text) => match parse_date(text) {
            Some(day) => Some(day),
            None => return refuse(format!("“{text}”不是日期：应为 YYYY-MM-DD")),
        },
        None => None,
    };
    let day = match given {
        Some(day) => day,
        None => bureau.config.working_days.next_working_day(order.today())?,
    };
    if day < order.today() {
        return refuse(format!("扣款日 {day} 已过"));
    }
    if day.year() != round.fee_year || day > year.last_debit {
        return refuse(format!("扣款日不能是 {day}：{} 年度最后的扣款日为 {}（R13）", round.fee_year, year.last_debit));
    }
    Ok(day)
}

/// Drafts a round; gathers again as often as the book moves.
pub fn draft(bureau: &mut Bureau, round: &Round, debit_on: Date, order: &Order) -> Step<RoundReport> {
    post_unasked(bureau, round.fee_year, &mut [], order)?;
    let mut drafted = Vec::new();
    loop {
        let mut version = book::version(bureau.store.connection())?;
        let mut gathered = gather(bureau, round, debit_on, order)?;
        if !is_nothing(&gathered.changes) {
            let act = order.act("instruct", round.fee_year.to_string(), bureau.config.digest);
            let changes = &gathered.changes;
            if bureau.store.apply(&act, version, |txn| txn.write(changes, None, order.today()))? == Applied::Stale {
                continue;
            }
            version += 1;
        }
        let mut report = std::mem::take(&mut gathered.report);
        let applied = draft_all(bureau, round, debit_on, gathered, &mut version, &mut report, order)?;
        // What was drafted waits already; after a stale book the rest is gathered again.
        drafted.append(&mut report.batches);
        if applied == Applied::New {
            report.batches = drafted;
            post_unasked(bureau, round.fee_year, &mut report.batches, order)?;
            return Ok(report);
        }
    }
}

fn is_nothing(changes: &Changeset) -> bool {
    changes.plans.is_empty() && changes.opened.is_empty() && changes.batches.is_empty()
}

/// Everybody whom this round may ask, by the rules alone.
fn gather(bureau: &mut Bureau, round: &Round, debit_on: Date, order: &Order) -> Step<Gathered> {
    let mut gathered = Gathered::default();
    let waiting = waiting_districts(bureau, round.fee_year)?;
    let allowed = |district: DistrictCode| round.without_lists.is_some() || !waiting.contains(&district);
    gathered.report.without_lists =
        if round.without_lists.is_some() { Vec::new() } else { waiting.iter().copied().collect() };
    let has_zero = zero_waits(bureau, round.fee_year)?;
    let retried = retrying::participants(bureau.store.connection(), round)?;
    let (policy, year) = bureau.policy(round.fee_year)?;
    let sweep = debit_on > year.deposit_until;
    for keys in stretches(bureau.store.connection())? {
        bureau.pulse.go_on()?;
        for dossier in book::dossiers(bureau.store.connection(), keys, round.fee_year, Whom::Planned)? {
            let Some(participant) = &dossier.participant else { continue };
            if retried.as_ref().is_some_and(|chosen| !chosen.contains(&participant.id.key())) {
                continue;
            }
            let person = Person { bureau, policy, year, dossier: &dossier, today: order.today() };
            let owes_nothing = is_free(&dossier);
            if owes_nothing && !has_zero && round.bank.is_none() && retried.is_none() {
                person.list_zero(&mut gathered);
            } else if !owes_nothing && allowed(participant.district) {
                person.ask(round, debit_on, sweep, &mut gathered);
            }
        }
    }
    gathered.zero.sort_by_key(|(birthday, row)| (*birthday, row.participant));
    Ok(gathered)
}

fn is_free(dossier: &Dossier) -> bool {
    dossier.plan.as_ref().and_then(|plan| plan.latest().terms.ok()).is_some_and(|terms| terms.own().is_zero())
}

/// One person of a round.
struct Person<'a> {
    bureau: &'a Bureau,
    policy: &'a Policy,
    year: &'a YearTerms,
    dossier: &'a Dossier,
    today: Date,
}

impl Person<'_> {
    /// R9: entitled on the business date; those soon 60 come first.
    fn list_zero(&self, out: &mut Gathered) {
        if let Ok(terms) = may_ask(self.policy, self.year, self.dossier, self.today, true) {
            let plan = self.dossier.plan.as_ref().expect("who may be asked has a plan");
            let row =
                ZeroRow { participant: self.dossier.id, version: plan.latest().number, government: terms.government() };
            out.zero.push((self.dossier.id.birthday(self.policy.age_limit), row));
        }
    }

    fn ask(&self, round: &Round, debit_on: Date, sweep: bool, out: &mut Gathered) {
        let terms = match may_ask(self.policy, self.year, self.dossier, debit_on, sweep) {
            Ok(terms) => terms,
            Err(NotAsked::Refused(refusal)) => {
                let plan = self.dossier.plan.as_ref().expect("who is refused has a plan");
                out.report.refused += 1;
                return remove(self.dossier, plan, refusal, self.today, &mut out.changes);
            }
            Err(NotAsked::Attempts | NotAsked::Blocked) => return out.report.held_back += 1,
            Err(NotAsked::NotPlanned) => return,
        };
        let participant = self.dossier.participant.as_ref().expect("checked before");
        let (Some(number), Some(account)) = (participant.bank, &participant.account) else { return };
        let Some(bank) = self.bureau.config.bank(number) else { return };
        if round.bank.as_ref().is_some_and(|key| *key != bank.key) {
            return;
        }
        let layout = &self.bureau.layouts[&number];
        let holder = holder(layout, participant);
        let texts = [(Role::Account, account.text()), (Role::Name, holder), (Role::Person, &participant.person_number)];
        if let Some(fault) = texts.iter().find_map(|(role, text)| fits(layout, *role, text).err()) {
            return self.hold_unsendable(&fault, out);
        }
        let plan = self.dossier.plan.as_ref().expect("who may be asked has a plan");
        out.asked.entry(number).or_default().push(Asked {
            id: self.dossier.id,
            version: plan.latest().number,
            terms,
            attempt: plan.next_attempt(),
            account: account.text().to_owned(),
            holder: holder.to_owned(),
            person: participant.person_number.clone(),
        });
    }

    /// A text that the bank cannot carry is never cut or replaced: the instruction is not made.
    fn hold_unsendable(&self, fault: &FieldFault, out: &mut Gathered) {
        let plan = self.dossier.plan.as_ref().expect("who may be asked has a plan");
        out.report.exceptions += 1;
        out.changes.opened.push(NewException::note(Class::Unsendable, self.dossier, fault.impersonal_zh()));
        out.changes.plans.push(PlanChange {
            participant: self.dossier.id,
            fee_year: self.dossier.fee_year,
            version: None,
            state: plan.state.after(PlanEvent::Blocked).unwrap_or(plan.state),
            failed: 0,
            turns_limit: None,
        });
    }
}

/// The holder's name as the bank has it; where the bank's charset cannot say it, the participant's own name if that
/// is the same after folding (R17).
fn holder<'p>(layout: &Layout, participant: &'p Participant) -> &'p str {
    let named = participant.account_name.as_deref().unwrap_or(&participant.name);
    let sendable = |name| fits(layout, Role::Name, name).is_ok();
    if !sendable(named) && same_name(named, &participant.name) { &participant.name } else { named }
}

/// R8a: districts for which an expected list of the recognition year has not been accepted.
pub fn waiting_districts(bureau: &Bureau, fee_year: FeeYear) -> Step<BTreeSet<DistrictCode>> {
    let (policy, _) = bureau.policy(fee_year)?;
    let mut waiting = BTreeSet::new();
    for (payer, districts) in &bureau.config.expected_lists {
        let lag = policy.categories.iter().find(|terms| terms.payer == *payer).map_or(1, |terms| terms.lag);
        let accepted = files::accepted_lists(bureau.store.connection(), fee_year - lag)?;
        waiting.extend(districts.iter().filter(|district| !accepted.contains(&(*payer, **district))));
    }
    Ok(waiting)
}

/// A zero-payment batch of that year waits already.
fn zero_waits(bureau: &Bureau, fee_year: FeeYear) -> Step<bool> {
    Ok(!drafted_zero(bureau, fee_year)?.is_empty())
}

fn drafted_zero(bureau: &Bureau, fee_year: FeeYear) -> Step<Vec<BatchLine>> {
    use crate::domain::instruction::BatchState::Drafted;
    let mut drafted = batches::in_states(bureau.store.connection(), &[Drafted])?;
    drafted.retain(|batch| batch.bank.is_none() && batch.fee_year == fee_year);
    Ok(drafted)
}

fn draft_all(
    bureau: &mut Bureau,
    round: &Round,
    debit_on: Date,
    gathered: Gathered,
    version: &mut u64,
    report: &mut RoundReport,
    order: &Order,
) -> Step<Applied> {
    for (number, asked) in gathered.asked {
        let max_rows = bureau.bank(number)?.max_rows as usize;
        for rows in asked.chunks(max_rows) {
            let (batch, stored) = render(bureau, number, rows, round.fee_year, debit_on, order)?;
            let act = order.act("draft", batch.number.to_string(), batch.sha256);
            let second = bureau.config.approvals.release == Needs::Second;
            let applied = bureau.store.apply(&act, *version, |txn| {
                txn.draft(&batch, &stored)?;
                let request = release_request(batch.number, batch.sha256);
                if second {
                    return request.ask(txn, order);
                }
                // What needs no second person goes on at once, recorded as `system`.
                request.record(txn, order)?;
                release(txn, batch.number, order)
            })?;
            if applied == Applied::Stale {
                return Ok(applied);
            }
            *version += 1;
            let bank = bureau.bank(number)?.key.clone();
            let state = if second { "drafted" } else { "released" };
            report.batches.push(BatchReport { state, ..reported(&batch, bank, stored.len()) });
        }
    }
    draft_zero(bureau, round.fee_year, &gathered.zero, version, report, order)
}

fn reported(batch: &NewBatch, bank: String, rows: usize) -> BatchReport {
    let instructions = rows as u64;
    BatchReport {
        number: batch.number,
        bank,
        instructions,
        amount: batch.amount,
        digest: batch.sha256,
        state: "drafted",
    }
}

/// Renders a batch once: these bytes are approved, kept, and sent, and no others.
fn render(
    bureau: &Bureau,
    number: BankNumber,
    asked: &[Asked],
    fee_year: FeeYear,
    debit_on: Date,
    order: &Order,
) -> Step<(NewBatch, Vec<NewInstruction>)> {
    let (bank, layout) = (bureau.bank(number)?, &bureau.layouts[&number]);
    let totals = ControlTotals::of(asked.iter().map(|row| row.terms.own()));
    let batch = batches::next_number(bureau.store.connection(), order.today(), number.0)?;
    let created: DateTime = order.at;
    let envelope = Envelope {
        bank: &bank.header,
        batch,
        fee_year,
        debit_on,
        created,
        count: u64::from(totals.count),
        sum: totals.amount,
    };
    let rows = asked.iter().zip(1..).map(|(row, sequence)| Row {
        sequence,
        id_number: row.id,
        account: &row.account,
        name: &row.holder,
        person: &row.person,
        amount: row.terms.own(),
    });
    let state = &bureau.config.state;
    let mut making = Making::begin(&state.join("spool"))?;
    let written = write_request(layout, &envelope, rows, &mut making).map_err(|error| unwritable(batch, &error))?;
    let file = file_name(layout, FileKind::Request, bank.header.get("agency"), batch)?;
    let control = request_control(layout, &envelope, &file, &written).map_err(|error| unwritable(batch, &error))?;
    let control = match control {
        Some(bytes) => Some((file_name(layout, FileKind::RequestControl, bank.header.get("agency"), batch)?, bytes)),
        None => None,
    };
    let spooled = making.finish()?;
    failpoint!("draft.rendered");
    place::archive(&spooled, state, order.today(), OsStr::new(&file))?;
    failpoint!("draft.archived");
    let new = NewBatch {
        number: batch,
        fee_year,
        debit_on,
        drafted_on: order.today(),
        created,
        amount: totals.amount,
        sha256: spooled.sha256,
        file,
        control,
        written_for: WrittenFor::of(bank).text(),
    };
    Ok((new, asked.iter().map(|row| stored(layout, row)).collect()))
}

fn stored(layout: &Layout, row: &Asked) -> NewInstruction {
    NewInstruction {
        participant: row.id,
        version: row.version,
        amount: row.terms.own(),
        deemed: row.terms.deemed(),
        echo: Echoes::of(layout).digest(&row.account, &row.id.text(), &row.holder),
        attempt: row.attempt,
    }
}

fn unwritable(batch: BatchNumber, error: &crate::format::encode::EncodeError) -> StepError {
    StepError::Refused(format!("批次 {batch} 的扣款文件不能生成：{error}"))
}

fn file_name(layout: &Layout, kind: FileKind, agency: Option<&String>, batch: BatchNumber) -> Step<String> {
    let agency = agency.map(String::as_str).unwrap_or_default();
    match layout.file_name(kind, &NameParts::of(agency, &batch.to_string(), None)) {
        Some(name) => Ok(name),
        None => refuse(format!("版式 {} 不能用单位编号“{agency}”生成文件名：请运维人员检查配置", layout.key)),
    }
}

fn draft_zero(
    bureau: &mut Bureau,
    fee_year: FeeYear,
    zero: &[(Date, ZeroRow)],
    version: &mut u64,
    report: &mut RoundReport,
    order: &Order,
) -> Step<Applied> {
    if zero.is_empty() {
        return Ok(Applied::New);
    }
    let rows: Vec<ZeroRow> = zero.iter().map(|(_, row)| *row).collect();
    let mut hash = Sha256::new();
    for row in &rows {
        hash.update(format!("{} {} {}\n", row.participant.key(), row.version, row.government));
    }
    let batch = NewBatch {
        number: batches::next_number(bureau.store.connection(), order.today(), BatchNumber::ZERO_BANK)?,
        fee_year,
        debit_on: order.today(),
        drafted_on: order.today(),
        created: order.at,
        amount: rows.iter().map(|row| row.government).sum(),
        sha256: hash.finalize().into(),
        file: String::new(),
        control: None,
        written_for: String::new(),
    };
    let second = bureau.config.approvals.zero_payment == Needs::Second;
    let act = order.act("draft", batch.number.to_string(), batch.sha256);
    let applied = bureau.store.apply(&act, *version, |txn| {
        txn.draft_zero(&batch, &rows)?;
        let request = release_request(batch.number, batch.sha256);
        if second { request.ask(txn, order) } else { Ok(()) }
    })?;
    if applied == Applied::New {
        *version += 1;
        report.batches.push(reported(&batch, "zero".to_owned(), rows.len()));
    }
    Ok(applied)
}

/// R9: zero-payments that need no second person are posted at once, those too that an earlier round left behind.
fn post_unasked(bureau: &mut Bureau, fee_year: FeeYear, reports: &mut [BatchReport], order: &Order) -> Step<()> {
    if bureau.config.approvals.zero_payment == Needs::Second {
        return Ok(());
    }
    for batch in drafted_zero(bureau, fee_year)? {
        let request = release_request(batch.number, batch.sha256);
        post_zero(bureau, &batch, order, |txn| request.record(txn, order))?;
        reports.iter_mut().filter(|report| report.number == batch.number).for_each(|report| report.state = "complete");
    }
    settling::follow(bureau, order)
}
