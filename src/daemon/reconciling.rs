//! Reconciliation (对账, R22): instructions, returns, the statement of the collection account and the ledger, held
//! against each other. Nothing is stored: a difference is there as long as its cause is.

use crate::config::Config;
use crate::daemon::bureau::{Bureau, Step};
use crate::domain::calendar::{Date, Month};
use crate::domain::exception::Class;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::BatchState;
use crate::domain::money::Money;
use crate::domain::participant::BankNumber;
use crate::domain::reconciling::{Bundle, Corner, Difference, Differs, Patience, Sides, age_workdays, compare};
use crate::domain::settlement::SettlementState;
use crate::store::statements::{self, Moved};
use crate::store::{batches, book, settlements};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// One line of the list of differences.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which corners differ.
    pub corner: Corner,
    /// How.
    pub differs: Differs,
    /// Key of the bank; empty where it is not known.
    pub bank: String,
    /// Booking date; where we have none, the bank's.
    pub on: Date,
    /// The bank's date, where it lies in another period.
    pub other_day: Option<Date>,
    /// The batch, where it is about one.
    pub batch: Option<BatchNumber>,
    /// Instruction, posting, channel or line that it is about.
    pub reference: String,
    /// What we have.
    pub ours: Money,
    /// What the other side has.
    pub theirs: Money,
    /// Since when, in working days.
    pub age: i64,
    /// Its time is over: somebody must look. Else it is under way.
    pub is_due: bool,
    /// What to do, for clerks.
    pub action: String,
}

impl Found {
    /// Whether it concerns a month.
    pub fn touches(&self, month: Month) -> bool {
        Month::of(self.on) == month || self.other_day.is_some_and(|day| Month::of(day) == month)
    }

    /// The cells of the export `differences`, in the order of its columns.
    pub fn cells(&self) -> Vec<String> {
        vec![
            self.corner.word().to_owned(),
            self.differs.word().to_owned(),
            self.differs.chinese().to_owned(),
            self.bank.clone(),
            self.on.to_string(),
            self.batch.map(|number| number.to_string()).unwrap_or_default(),
            self.reference.clone(),
            self.ours.to_string(),
            self.theirs.to_string(),
            self.age.to_string(),
            self.action.clone(),
        ]
    }
}

/// What reconciliation came to.
#[derive(Clone, Debug, Default)]
pub struct Reconciled {
    /// From this day on the ledger is held against statements; `None` until the first statement comes.
    pub in_use_since: Option<Date>,
    /// Differences, oldest first, and what is under way.
    pub found: Vec<Found>,
}

impl Reconciled {
    /// What somebody must look at.
    pub fn due(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| found.is_due)
    }
}

/// Holds all corners against each other.
pub fn reconcile(bureau: &Bureau, today: Date) -> Step<Reconciled> {
    Ok(bureau.store.read(|tx| corners(tx, &bureau.config, today))?)
}

/// All corners, on one view of the store.
pub fn corners(conn: &Connection, config: &Config, today: Date) -> crate::store::Result<Reconciled> {
    let in_use_since = statements::in_use_since(conn)?;
    let mut found = with_returns(conn, config, today)?;
    if let Some(since) = in_use_since {
        found.extend(with_statement(conn, config, since, today)?);
    }
    found.extend(with_settlements(conn, config, today)?);
    found.sort_by(|one, other| {
        (one.on, &one.bank, one.batch, &one.reference).cmp(&(other.on, &other.bank, other.batch, &other.reference))
    });
    Ok(Reconciled { in_use_since, found })
}

/// The fifth corner: the departments' money against their settlements (R16).
fn with_settlements(conn: &Connection, config: &Config, today: Date) -> crate::store::Result<Vec<Found>> {
    let approved = settlements::all(conn)?.into_iter().filter(|one| {
        matches!(one.state, SettlementState::Approved | SettlementState::Sent) && one.owed().is_positive()
    });
    Ok(approved
        .map(|one| Found {
            corner: Corner::Settlement,
            differs: if one.cleared.is_positive() { Differs::Amount } else { Differs::OursOnly },
            bank: String::new(),
            on: one.transfer_due,
            other_day: None,
            batch: None,
            reference: format!("{}/{} {}", one.head.payer.word(), one.head.district, one.head.year),
            ours: one.cleared + one.owed(),
            theirs: one.cleared,
            age: age_workdays(&config.working_days, one.transfer_due, today),
            is_due: today > one.transfer_due,
            action: format!("清算尚欠 {} 元：催部门划款", one.owed()),
        })
        .collect())
}

/// Instructions against returns: what the bank has not answered in its time, and what it says otherwise than we hold.
fn with_returns(conn: &Connection, config: &Config, today: Date) -> crate::store::Result<Vec<Found>> {
    let mut found = Vec::new();
    for awaited in statements::awaited(conn)? {
        let bank = config.bank(BankNumber(awaited.batch.bank()));
        let since = awaited.sent_on.unwrap_or(today);
        let age = age_workdays(&config.working_days, since, today);
        let is_due = bank.is_some_and(|bank| age > i64::from(bank.reply_workdays));
        found.push(Found {
            corner: Corner::Returns,
            differs: Differs::OursOnly,
            bank: key_of(config, awaited.batch.bank()),
            on: since,
            other_day: None,
            batch: Some(awaited.batch),
            reference: String::new(),
            ours: awaited.amount,
            theirs: Money::ZERO,
            age,
            is_due,
            action: format!("{} 笔指令没有回盘：催银行回盘", awaited.count),
        });
    }
    for doubt in statements::doubts(conn)? {
        let is_unknown_money = doubt.class == Class::UnknownMoney.word();
        let class = Class::parse(&doubt.class).map(Class::chinese).unwrap_or_default();
        found.push(Found {
            corner: Corner::Returns,
            differs: if is_unknown_money { Differs::BankOnly } else { Differs::State },
            bank: doubt.bank.map(|bank| key_of(config, bank)).unwrap_or_default(),
            on: doubt.on,
            other_day: None,
            batch: doubt.instruction.map(|number| number.batch),
            reference: doubt.instruction.map_or_else(|| format!("exception {}", doubt.id), |number| number.to_string()),
            ours: doubt.ours,
            theirs: doubt.theirs,
            age: age_workdays(&config.working_days, doubt.on, today),
            is_due: true,
            action: format!("{class}：见例外 {}（daikou exceptions）", doubt.id),
        });
    }
    Ok(found)
}

/// The ledger against the statement, bundle by bundle.
fn with_statement(conn: &Connection, config: &Config, since: Date, today: Date) -> crate::store::Result<Vec<Found>> {
    let open: BTreeSet<BatchNumber> = open_batches(conn)?;
    let closed = book::closed_months(conn)?;
    let mut bundles: BTreeMap<Bundle, (Option<BankNumber>, Sides)> = BTreeMap::new();
    let mut enter = |moved: Moved, is_ours: bool| {
        let (bank, sides) = bundles.entry(moved.bundle).or_default();
        *bank = bank.or(moved.bank);
        *if is_ours { &mut sides.ours } else { &mut sides.theirs }.entry(moved.on).or_default() += moved.amount;
    };
    let shown = statements::shown(conn)?;
    let (held, _) = against(statements::ledger(conn)?, &shown, since);
    held.into_iter().for_each(|moved| enter(moved, true));
    shown.into_iter().for_each(|moved| enter(moved, false));
    let mut found = Vec::new();
    for (bundle, (bank, mut sides)) in bundles {
        sides.awaits_answer = matches!(&bundle, Bundle::Batch(number) if open.contains(number));
        sides.ours.retain(|_, amount| !amount.is_zero());
        let patience = patience(config, bank, &sides, today);
        for difference in compare(&sides, &patience) {
            found.push(told(config, &bundle, bank, &difference, &closed, today));
        }
    }
    Ok(found)
}

/// Batches that a bank has not answered in full.
fn open_batches(conn: &Connection) -> crate::store::Result<BTreeSet<BatchNumber>> {
    use BatchState::{Accepted, Released, Sending, Sent, SentUnconfirmed};
    let open = batches::in_states(conn, &[Released, Sending, Sent, SentUnconfirmed, Accepted])?;
    Ok(open.into_iter().map(|batch| batch.number).collect())
}

fn patience<'a>(config: &'a Config, bank: Option<BankNumber>, sides: &Sides, today: Date) -> Patience<'a> {
    let year = sides.ours.keys().chain(sides.theirs.keys()).next().map_or(today.year(), |day| day.year());
    let policy = config.policies.of(year).map(|(policy, _)| policy).or(config.policies.0.last());
    Patience {
        arrival_days: policy.map_or(0, |policy| policy.arrival_days),
        reply_days: bank.and_then(|bank| config.bank(bank)).map_or(0, |bank| bank.reply_workdays),
        settlement_ends: policy.map_or((12, 31), |policy| policy.settlement_ends),
        days: &config.working_days,
        today,
    }
}

fn told(
    config: &Config,
    bundle: &Bundle,
    bank: Option<BankNumber>,
    difference: &Difference,
    closed: &BTreeSet<Month>,
    today: Date,
) -> Found {
    let (batch, reference) = match bundle {
        Bundle::Batch(number) => (Some(*number), String::new()),
        Bundle::Channel(channel) => (None, channel.clone()),
        Bundle::Posting(key) => (None, key.clone()),
        Bundle::Line(line) => (None, line.clone()),
    };
    // What was carried from one closed month into another is history.
    let is_history = difference.other_day.is_some_and(|day| statements::are_closed(closed, [difference.on, day]));
    Found {
        corner: Corner::Statement,
        differs: difference.differs,
        bank: bank.map(|bank| key_of(config, bank.0)).unwrap_or_default(),
        on: difference.on,
        other_day: difference.other_day,
        batch,
        reference,
        ours: difference.ours,
        theirs: difference.theirs,
        age: age_workdays(&config.working_days, difference.on, today),
        is_due: difference.is_due && !is_history,
        action: action(bundle, difference),
    }
}

/// What to do, for clerks.
fn action(bundle: &Bundle, difference: &Difference) -> String {
    let gap = difference.gap();
    match (difference.differs, difference.other_day) {
        (Differs::Period, Some(day)) => {
            let across = if difference.crosses_settlement { "，且跨清算年度" } else { "" };
            format!("我方记 {}，银行记 {day}{across}：请银行更正日期，或在两月关账时说明", difference.on)
        }
        (Differs::OursOnly, _) if gap.is_positive() => match bundle {
            Bundle::Batch(_) => {
                "银行称已扣款而对账单无款：催银行划款；确未到账的，更正冲正（daikou correct posting）".to_owned()
            }
            _ => "已入账而对账单无款：核对收款渠道与对账单".to_owned(),
        },
        (Differs::OursOnly, _) => "已记出款而对账单未见：催银行办理".to_owned(),
        (Differs::BankOnly, _) => match bundle {
            Bundle::Batch(_) => "款已到而没有回盘：催银行回盘".to_owned(),
            _ => "对账单有而账上没有：见例外（daikou exceptions）".to_owned(),
        },
        _ if gap.is_positive() => format!("对账单少 {gap} 元：催银行补划，或查明后冲正"),
        _ => format!("对账单多 {} 元：请银行说明并补回盘", -gap),
    }
}

fn key_of(config: &Config, number: u8) -> String {
    config.bank(BankNumber(number)).map_or_else(|| number.to_string(), |bank| bank.key.clone())
}

/// What is held against the statements, and the rest: what was booked before they came into use and stands on none.
fn against(ledger: Vec<Moved>, shown: &[Moved], since: Date) -> (Vec<Moved>, Vec<Moved>) {
    let bundles: BTreeSet<&Bundle> = shown.iter().map(|moved| &moved.bundle).collect();
    ledger.into_iter().partition(|moved| moved.on >= since || bundles.contains(&moved.bundle))
}

/// I13: with statements in use, what the ledger has on the collection account is what they show and what differs.
/// Gives where, expected and found when it does not.
pub fn unexplained(conn: &Connection, config: &Config, today: Date) -> crate::store::Result<Option<String>> {
    let reconciled = corners(conn, config, today)?;
    let Some(since) = reconciled.in_use_since else { return Ok(None) };
    let (held, before) = against(statements::ledger(conn)?, &statements::shown(conn)?, since);
    let sum = |moved: &[Moved]| moved.iter().map(|moved| moved.amount).sum::<Money>();
    let (held, before) = (sum(&held), sum(&before));
    let collection = statements::collection(conn)?;
    let shown = statements::total(conn)?;
    let corner = |found: &&Found| found.corner == Corner::Statement;
    let gaps: Money = reconciled.found.iter().filter(corner).map(|found| found.ours - found.theirs).sum();
    let is_whole = collection == held + before && held == shown + gaps;
    Ok((!is_whole).then(|| {
        format!(
            "collection holds {collection}: expected {shown} on statements, {gaps} of findings and {before} of before \
             {since}, found {held} that can be held against them"
        )
    }))
}
