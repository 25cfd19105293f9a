//! One round of the daemon: take what is whole, do what is due, show how things stand.

use crate::config::Config;
use crate::daemon::alarms::Alarms;
use crate::daemon::bureau::{Bureau, Clock, Order, Step, StepError};
use crate::daemon::courier::{Couriers, Standing};
use crate::daemon::inboxes::{Inboxes, Look, Visit, inboxes};
use crate::daemon::receipts::flush_outbox;
use crate::daemon::steady::Steady;
use crate::daemon::working::{Working, until_the_next};
use crate::daemon::{Setup, Wake, feeding, intake, ready, settling, silence, standing};
use crate::domain::calendar::Date;
use crate::store::{anchor, chain};
use crate::telemetry::Metrics;
use crate::transport::folder::sweep_parts;
use crate::transport::{Lock, disk};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A look at all folders when nothing is expected.
const IDLE: Duration = Duration::from_secs(10);

/// A look at all folders while something waits there.
const PENDING: Duration = Duration::from_secs(2);

/// When the next rounds are due.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    /// A look whatever happens.
    pub sweep: Instant,
    /// A window, or the end of the quiet after an arrival.
    pub scheduled: Instant,
}

/// The daemon between two rounds.
#[derive(Debug)]
pub struct Rounds {
    bureau: Bureau,
    _lock: Lock,
    clock: Clock,
    couriers: Arc<Couriers>,
    metrics: Arc<Metrics>,
    inboxes: Inboxes,
    alarms: Alarms,
    working: Working,
    steady: Steady,
    is_started: bool,
    /// The day on which the feed was last cut.
    fed_on: Option<Date>,
    /// `--today`: something took effect since plans were made, and when the inboxes last changed.
    is_open: bool,
    last_change: Instant,
    /// Head of the audit log when the figures were last set, when they may be set again, and whether they must be.
    shown: i64,
    show_again: Instant,
    is_behind: bool,
    /// The business date for which ageing was judged.
    judged: Option<Date>,
}

impl Rounds {
    /// Before the first round.
    pub fn new(setup: Setup, couriers: Arc<Couriers>) -> Rounds {
        let now = Instant::now();
        Rounds {
            bureau: setup.bureau,
            _lock: setup.lock,
            clock: setup.clock,
            couriers,
            metrics: setup.metrics,
            inboxes: Inboxes::default(),
            alarms: Alarms::default(),
            working: Working::default(),
            steady: Steady::default(),
            is_started: false,
            fed_on: None,
            is_open: setup.clock.today.is_some(),
            last_change: now,
            shown: -1,
            show_again: now,
            is_behind: false,
            judged: None,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.bureau.config
    }

    /// One round. An error is one that only another start can mend, or [`StepError::Stopping`].
    pub fn round(&mut self, wake: Wake) -> Step<Next> {
        let began = Instant::now();
        self.bureau.pulse.beat();
        // A round that fails does not come again sooner for the figures' sake.
        self.is_behind = false;
        let visit = match self.carry_out(wake) {
            Ok(visit) => {
                self.alarms.clear("round", "daemon");
                visit
            }
            Err(error) if error.is_fatal() || matches!(error, StepError::Stopping) => return Err(error),
            Err(error) => {
                self.alarms.raise("round", "daemon", &error.to_string());
                Visit::default()
            }
        };
        self.show_lines();
        self.look_at_the_clock();
        self.alarms.show(&self.metrics);
        self.alarms.publish(&self.bureau.config.state);
        ready::status(&format!("{} alarms", self.alarms.count()));
        self.metrics.round(began.elapsed());
        Ok(self.next(&visit))
    }

    fn carry_out(&mut self, wake: Wake) -> Step<Visit> {
        if !self.is_started {
            self.start()?;
        }
        let order = self.clock.order();
        let visit = self.take_in(&order)?;
        if wake != Wake::Arrived {
            self.work(&order)?;
            self.feed(&order)?;
        }
        settling::note_sent(&mut self.bureau, &order)?;
        self.show(&order)?;
        Ok(visit)
    }

    /// What a crash may have left: halves of copies, copies that were not put away, receipts that are not out. Files
    /// that were begun lie in their inboxes still, and the look that follows goes on with them.
    fn start(&mut self) -> Step<()> {
        let spool = self.bureau.config.state.join("spool");
        sweep_parts(&spool, disk::now())?;
        intake::put_away(&self.bureau, &spool, self.clock.order().today())?;
        flush_outbox(&mut self.bureau)?;
        self.is_started = true;
        Ok(())
    }

    fn take_in(&mut self, order: &Order) -> Step<Visit> {
        if let Some(silence) = silence::disk(&self.bureau)? {
            self.alarms.raise(silence.class, silence.subject, &silence.words);
            return Ok(Visit::default());
        }
        let folders = inboxes(&self.bureau.config);
        let look = &mut Look { bureau: &mut self.bureau, order, alarms: &mut self.alarms, metrics: &self.metrics };
        match self.inboxes.visit(&folders, look) {
            Ok(visit) => {
                self.alarms.clear("disk-low", "state");
                self.is_open |= visit.has_effect && self.clock.today.is_some();
                if visit.has_changed {
                    self.last_change = Instant::now();
                }
                Ok(visit)
            }
            Err(error) if error.is_disk_full() => {
                self.alarms.raise("disk-low", "state", "no room is left: intake pauses until there is some again");
                Ok(Visit::default())
            }
            Err(error) => Err(error),
        }
    }

    fn work(&mut self, order: &Order) -> Step<()> {
        if self.clock.today.is_none() {
            self.working.open_windows(&mut self.bureau, order, &mut self.alarms)?;
        } else if self.is_open && self.last_change.elapsed() >= self.quiet() {
            self.is_open = !self.working.open_day(&mut self.bureau, order, &mut self.alarms)?;
            if !self.is_open {
                tracing::info!("the work of {} is done", order.today());
            }
        }
        let every_day = self.clock.today.is_some();
        self.working.send_released(&mut self.bureau, &self.couriers, every_day, order, &mut self.alarms)
    }

    /// Once a day: what the days before brought goes to the business system.
    fn feed(&mut self, order: &Order) -> Step<()> {
        if self.fed_on != Some(order.today()) {
            feeding::work(&mut self.bureau, order)?;
            self.fed_on = Some(order.today());
        }
        feeding::judge(&self.bureau, order.today(), &mut self.alarms)
    }

    /// Figures cost a read of the whole store: only where it moved, and at most a twentieth of the time.
    fn show(&mut self, order: &Order) -> Step<()> {
        let began = Instant::now();
        let (head, today) = (chain::head(self.bureau.store.connection())?.0, order.today());
        let is_behind = head != self.shown || self.judged != Some(today);
        let has_moved = is_behind && began >= self.show_again;
        self.is_behind = is_behind && !has_moved;
        if has_moved {
            standing::show(&self.bureau, &self.metrics)?;
            standing::show_differences(&self.bureau, today, &self.metrics, &mut self.alarms)?;
        }
        standing::judge(&self.bureau, today, has_moved, &self.metrics, &mut self.alarms)?;
        if has_moved {
            (self.shown, self.judged) = (head, Some(today));
            self.show_again = Instant::now() + 20 * began.elapsed();
        }
        Ok(())
    }

    /// Dates, cutoffs and windows hang on the wall clock: a step of it, or a date before that of the newest act, is an alarm.
    fn look_at_the_clock(&mut self) {
        match self.steady.look(SystemTime::now(), Instant::now()) {
            Some(seconds) => {
                let words =
                    format!("the wall clock was moved by {seconds} s against the time that passed: compare the date");
                self.alarms.raise("clock-stepped", "clock", &words);
            }
            None => self.alarms.clear("clock-stepped", "clock"),
        }
        // With `--today` the date is somebody's wish, and rehearsals go back.
        if self.clock.today.is_some() {
            return;
        }
        let today = (self.clock.now)().date();
        match anchor::head(self.bureau.store.connection()) {
            Ok(Some(newest)) if newest.on > today => {
                let words = format!("today is {today}, the newest act was on {}: the clock is behind", newest.on);
                self.alarms.raise("clock-stepped", "store", &words);
            }
            // Where the store cannot be read another alarm says so.
            Ok(_) | Err(_) => self.alarms.clear("clock-stepped", "store"),
        }
    }

    /// How the lines to banks' own servers stand.
    fn show_lines(&mut self) {
        let mut odd = BTreeSet::new();
        let mut refused = BTreeSet::new();
        for (bank, standing) in self.couriers.standings() {
            let (class, other) = if standing.is_blocked { ("line-blocked", "line") } else { ("line", "line-blocked") };
            self.alarms.clear(other, &bank.key);
            if standing.trouble.is_empty() {
                self.alarms.clear(class, &bank.key);
            } else {
                self.alarms.raise(class, bank.key.clone(), &standing.trouble);
            }
            for (name, words) in &standing.odd {
                let subject = format!("{} {name}", bank.key);
                self.alarms.raise("odd-file", subject.clone(), words);
                odd.insert(subject);
            }
            for (batch, words) in &standing.refused {
                self.alarms.raise("delivery-refused", batch.to_string(), words);
                refused.insert(batch.to_string());
            }
            self.show_line(&bank.key, &standing);
        }
        self.alarms.retain("odd-file", |subject| odd.contains(subject));
        self.alarms.retain("delivery-refused", |subject| refused.contains(subject));
    }

    fn show_line(&self, bank: &str, standing: &Standing) {
        self.metrics.line_up.set([bank], i64::from(standing.is_up));
        let contact = standing.last_contact.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        if let Some(contact) = contact {
            self.metrics.line_contact.set([bank], i64::try_from(contact.as_secs()).unwrap_or(i64::MAX));
        }
    }

    /// `--today`: how long the inboxes must be quiet before plans are made.
    fn quiet(&self) -> Duration {
        Duration::from_millis(2 * self.bureau.config.settle_ms)
    }

    fn next(&self, visit: &Visit) -> Next {
        let now = Instant::now();
        let sweep = match visit.again {
            _ if visit.more => Duration::ZERO,
            Some(again) => again.min(PENDING),
            None => ready::alive_every().map_or(IDLE, |every| every.min(IDLE)),
        };
        let sweep = if self.is_behind { sweep.min(self.show_again.saturating_duration_since(now)) } else { sweep };
        let quiet = self.last_change + self.quiet();
        let scheduled = match self.clock.today {
            Some(_) if self.is_open && quiet > now => quiet,
            // Work that was due failed: it is tried again.
            Some(_) if self.is_open => now + sweep.min(PENDING),
            Some(_) => now + IDLE,
            None => now + until_the_next(&self.bureau, (self.clock.now)().time()),
        };
        Next { sweep: now + sweep, scheduled }
    }
}
