//! What the daemon does without being asked: plans, drafts and sends, when a window opens or a command released a batch.

use crate::daemon::alarms::Alarms;
use crate::daemon::bureau::{Bureau, Order, Step as Done, StepError};
use crate::daemon::comparing::monthly;
use crate::daemon::courier::Couriers;
use crate::daemon::instructing::{Round, instruct};
use crate::daemon::planning::plan;
use crate::daemon::releasing::{Reach, send};
use crate::daemon::schedule::{Judged, Step, Times, Window, WindowState, judge};
use crate::domain::calendar::{FeeYear, Time};
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::BatchState;
use crate::store::batches;
use crate::store::windows::StoredWindow;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A step that failed on our side is tried again after this time.
const RETRY: Duration = Duration::from_secs(10);

/// What the daemon remembers of its own work; all that counts is stored.
#[derive(Debug, Default)]
pub struct Working {
    /// Batches that our own round released: they wait for the send window. What a command releases goes at once.
    own: BTreeSet<BatchNumber>,
    /// A step failed: not again before.
    not_before: Option<Instant>,
}

impl Working {
    /// Opens the windows of the clock: `due → done | missed`.
    pub fn open_windows(&mut self, bureau: &mut Bureau, order: &Order, alarms: &mut Alarms) -> Done<()> {
        if self.is_resting() {
            return Ok(());
        }
        let stored = stored(bureau)?;
        let judged = judge(&bureau.config.working_days, &times(bureau), order.at, &stored);
        note_the_end_of_data(&judged, alarms);
        for window in &judged.missed {
            put(bureau, window, WindowState::Missed, order)?;
            tracing::error!("window-missed: {window}: no daemon ran, or its work failed, until its day was over");
        }
        for window in &judged.due {
            if !stored.contains(&(*window, WindowState::Due)) {
                put(bureau, window, WindowState::Due, order)?;
            }
            if !self.attempt(window.step, bureau, order, alarms)? {
                return Ok(());
            }
            put(bureau, window, WindowState::Done, order)?;
        }
        Ok(())
    }

    /// Every window of the date is open: plans, drafts and sends. `false`: to be tried again.
    pub fn open_day(&mut self, bureau: &mut Bureau, order: &Order, alarms: &mut Alarms) -> Done<bool> {
        if self.is_resting() {
            return Ok(false);
        }
        for step in Step::ALL {
            if !self.attempt(step, bureau, order, alarms)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends what a command released, and what is left of an earlier attempt; couriers are told what may leave.
    pub fn send_released(
        &mut self,
        bureau: &mut Bureau,
        couriers: &Couriers,
        every_day: bool,
        order: &Order,
        alarms: &mut Alarms,
    ) -> Done<()> {
        let conn = bureau.store.connection();
        let waiting = batches::in_states(conn, &[BatchState::Released, BatchState::Sending])?;
        let waiting: BTreeSet<BatchNumber> = waiting.iter().filter(|b| b.bank.is_some()).map(|b| b.number).collect();
        self.own.retain(|batch| waiting.contains(batch));
        if waiting.is_empty() {
            couriers.clear_to_send(&waiting);
            return Ok(());
        }
        let today = order.today();
        let is_open = every_day || stored(bureau)?.iter().any(|(w, _)| w.step == Step::Send && w.date == today);
        let may_leave = if is_open { waiting.clone() } else { &waiting - &self.own };
        couriers.clear_to_send(&may_leave);
        if !may_leave.is_empty() && !self.is_resting() {
            self.attempt(Step::Send, bureau, order, alarms)?;
        }
        Ok(())
    }

    fn is_resting(&self) -> bool {
        self.not_before.is_some_and(|until| Instant::now() < until)
    }

    /// One step. A refusal is an answer: our rule says no today. `false`: our side failed, to be tried again.
    fn attempt(&mut self, step: Step, bureau: &mut Bureau, order: &Order, alarms: &mut Alarms) -> Done<bool> {
        self.not_before = None;
        bureau.pulse.go_on()?;
        let done = match step {
            Step::Plan => plan_years(bureau, order),
            Step::Instruct => self.instruct(bureau, order),
            Step::Send => send_all(bureau, order),
        };
        match done {
            Ok(()) => {}
            Err(StepError::Refused(words)) => tracing::warn!("{}: refused: {words}", step.word()),
            Err(StepError::Stopping) => return Err(StepError::Stopping),
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => {
                alarms.raise("step", step.word(), &error.to_string());
                self.not_before = Some(Instant::now() + RETRY);
                return Ok(false);
            }
        }
        alarms.clear("step", step.word());
        Ok(true)
    }

    fn instruct(&mut self, bureau: &mut Bureau, order: &Order) -> Done<()> {
        let Some(fee_year) = bureau.config.policies.planned_on(order.today()) else { return Ok(()) };
        let report =
            instruct(bureau, &Round { fee_year, bank: None, debit_on: None, without_lists: None, retry: None }, order)?;
        for batch in &report.batches {
            let (number, rows) = (batch.number.to_string(), batch.instructions);
            tracing::info!(batch = number, "batch {number}: {rows} instructions, {}", batch.state);
            if batch.state == "released" {
                self.own.insert(batch.number);
            }
        }
        let waiting: Vec<String> = report.without_lists.iter().map(ToString::to_string).collect();
        if !waiting.is_empty() {
            tracing::warn!("no list, no deduction (R8a): {}", waiting.join(" "));
        }
        Ok(())
    }
}

/// The year of the business date; in January the year before as well, so that what was not received lapses (R13).
fn plan_years(bureau: &mut Bureau, order: &Order) -> Done<()> {
    let before = order.today().year() - 1;
    if order.today().month() == 1 && crate::store::files::planned_years(bureau.store.connection())?.contains(&before) {
        plan_one(bureau, before, order)?;
    }
    if let Some(fee_year) = bureau.config.policies.planned_on(order.today()) {
        plan_one(bureau, fee_year, order)?;
    }
    for path in monthly(bureau, order)? {
        tracing::info!("compared lists and roster: {path}");
    }
    Ok(())
}

fn plan_one(bureau: &mut Bureau, fee_year: FeeYear, order: &Order) -> Done<()> {
    let pulse = bureau.pulse.clone();
    let report = plan(bureau, fee_year, order, &mut |_| pulse.beat())?;
    let (plans, refused, lapsed) = (report.plans, report.refused(), report.lapsed);
    tracing::info!(fee_year, plans, refused, lapsed, "planned {fee_year}: {plans} plans, {refused} refused");
    Ok(())
}

fn send_all(bureau: &mut Bureau, order: &Order) -> Done<()> {
    let sendings = send(bureau, Reach::DropTree, order)?;
    for report in &sendings.reports {
        let (batch, state) = (report.batch.to_string(), report.state.word());
        if report.state == BatchState::Sent {
            tracing::info!(batch, state, "batch {batch} {state}");
        } else {
            tracing::warn!(batch, state, "batch {batch} {state}: see `daikou status`");
        }
    }
    sendings.complete().map(drop)
}

fn note_the_end_of_data(judged: &Judged, alarms: &mut Alarms) {
    match &judged.past_the_data {
        Some(past) => alarms.raise("calendar", past.year.to_string(), &format!("{past}: no window opens")),
        None => alarms.retain("calendar", |_| false),
    }
}

fn times(bureau: &Bureau) -> Times {
    let schedule = bureau.config.schedule;
    Times { plan: schedule.plan, instruct: schedule.instruct, send: schedule.send }
}

/// How long until the next window opens; a minute at most, since the clock may be set.
pub fn until_the_next(bureau: &Bureau, now: Time) -> Duration {
    const AT_MOST: Duration = Duration::from_secs(60);
    let seconds = |time: Time| i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    let schedule = bureau.config.schedule;
    let opens = [schedule.plan, schedule.instruct, schedule.send].map(|time| seconds(time) - seconds(now));
    let next = opens.into_iter().filter(|wait| *wait > 0).min();
    next.and_then(|wait| u64::try_from(wait).ok()).map_or(AT_MOST, Duration::from_secs).min(AT_MOST)
}

fn stored(bureau: &Bureau) -> Done<Vec<(Window, WindowState)>> {
    let read = |row: StoredWindow| {
        let (hour, minute) = row.at.split_once(':')?;
        let time = Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()?;
        Some((Window { step: Step::parse(&row.step)?, date: row.day, time }, WindowState::parse(&row.state)?))
    };
    Ok(bureau.store.windows()?.into_iter().filter_map(read).collect())
}

/// Opens the send window of today for a daemon that is alive: it finds the row in its next round.
pub fn open_send_window(bureau: &mut Bureau, order: &Order) -> Done<()> {
    let window = Window { step: Step::Send, date: order.today(), time: order.at.time() };
    put(bureau, &window, WindowState::Due, order)
}

fn put(bureau: &mut Bureau, window: &Window, state: WindowState, order: &Order) -> Done<()> {
    let at = format!("{:02}:{:02}", window.time.hour(), window.time.minute());
    let (step, state) = (window.step.word().to_owned(), state.word().to_owned());
    let act = order.act("window", format!("{window} {state}"), bureau.config.digest);
    let row = StoredWindow { day: window.date, step, at, state };
    Ok(bureau.store.transact(&act, |txn| txn.put_window(&row))?)
}
