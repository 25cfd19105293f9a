//! One courier for each bank with a server of its own: a thread that visits it again and again. No bank's trouble delays
//! another, and the daemon waits for none of them.

use crate::config::Bank;
use crate::daemon::bureau::{Bureau, Clock, Step, StepError, fetched_path};
use crate::daemon::visiting::{Visitor, jittered, seconds_now};
use crate::domain::ids::BatchNumber;
use crate::store::lines::{self, Failing};
use crate::transport::sha256;
use crate::transport::watchdog::Watchdog;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// How the line to a bank stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The last visit went well.
    pub is_up: bool,
    /// Why it did not, else empty.
    pub trouble: String,
    /// A person must look before it is tried again.
    pub is_blocked: bool,
    /// When the bank last answered.
    pub last_contact: Option<SystemTime>,
    /// Batches that the bank's server refuses, with its words.
    pub refused: BTreeMap<BatchNumber, String>,
    /// What lies in the bank's folder and is left alone; names are shown by their digest.
    pub odd: BTreeMap<String, &'static str>,
}

/// All couriers of the daemon.
#[derive(Debug)]
pub struct Couriers {
    lines: Vec<Line>,
    watchdog: Arc<Watchdog>,
}

/// A courier as the daemon sees it.
#[derive(Debug)]
struct Line {
    bank: Bank,
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where daemon and courier leave word for each other.
#[derive(Debug)]
struct Desk {
    told: Mutex<Told>,
    bell: Condvar,
    /// Wakes the daemon when the standing changes.
    hint: mpsc::Sender<()>,
}

#[derive(Debug, Default)]
struct Told {
    /// Released batches that may leave now.
    cleared: BTreeSet<BatchNumber>,
    is_rung: bool,
    is_over: bool,
    standing: Standing,
}

/// How often a blocked line is looked at: a person may have mended it.
const BLOCKED_LOOK: Duration = Duration::from_secs(5);

/// How long a stop waits for all couriers together.
const LAST_WORD: Duration = Duration::from_secs(2);

impl Couriers {
    /// Sends a courier to every bank that has a server of its own.
    pub fn start(bureau: &Bureau, clock: Clock, hint: &mpsc::Sender<()>) -> Step<Couriers> {
        let watchdog = Arc::new(Watchdog::default());
        let mut lines = Vec::new();
        for bank in &bureau.config.banks {
            let Some(visitor) = Visitor::new(bank, watchdog.clone()) else { continue };
            let folder = fetched_path(&bureau.config.state, &bank.key);
            crate::transport::make_folder(&folder)?;
            let desk = Arc::new(Desk { told: Mutex::default(), bell: Condvar::new(), hint: hint.clone() });
            let courier = Courier {
                bureau: bureau.beside()?,
                bank: bank.clone(),
                digest: sha256(format!("{:?}", bank.sftp.as_deref()).as_bytes()),
                visitor,
                watchdog: watchdog.clone(),
                clock,
                desk: desk.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("courier-{}", bank.key));
            let spawned = thread.spawn(move || courier.run());
            let failed = |source| crate::transport::Error::io(&folder, "start a courier", source);
            lines.push(Line { bank: bank.clone(), desk, thread: Mutex::new(Some(spawned.map_err(failed)?)) });
        }
        Ok(Couriers { lines, watchdog })
    }

    /// Says which released batches may leave now. What is `sending` goes on without being told.
    pub fn clear_to_send(&self, batches: &BTreeSet<BatchNumber>) {
        for line in &self.lines {
            let number = line.bank.number.0;
            let cleared: BTreeSet<BatchNumber> =
                batches.iter().filter(|batch| batch.bank() == number).copied().collect();
            let mut told = line.desk.told();
            if told.cleared != cleared {
                told.is_rung |= !cleared.is_empty();
                told.cleared = cleared;
                line.desk.bell.notify_one();
            }
        }
    }

    /// How every line stands.
    pub fn standings(&self) -> Vec<(&Bank, Standing)> {
        self.lines.iter().map(|line| (&line.bank, line.desk.told().standing.clone())).collect()
    }

    /// Cuts every connection and waits a moment for the couriers. What they were doing is looked at after the start.
    pub fn stop(&self) {
        for line in &self.lines {
            line.desk.told().is_over = true;
            line.desk.bell.notify_one();
        }
        self.watchdog.stop();
        let until = Instant::now() + LAST_WORD;
        for line in &self.lines {
            let Some(thread) = line.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { continue };
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            if thread.is_finished() {
                // It has said in its standing what went wrong, if anything did.
                let _ = thread.join();
            }
        }
    }
}

impl Desk {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is time, or the bell rings; what may leave then. `None`: it is over.
    fn wait(&self, until: Instant) -> Option<BTreeSet<BatchNumber>> {
        let mut told = self.told();
        loop {
            let now = Instant::now();
            if told.is_over {
                return None;
            }
            if std::mem::take(&mut told.is_rung) || now >= until {
                return Some(told.cleared.clone());
            }
            let waited = self.bell.wait_timeout(told, until - now);
            told = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn note(&self, note: impl FnOnce(&mut Standing)) {
        let mut told = self.told();
        let before = Standing { last_contact: None, ..told.standing.clone() };
        note(&mut told.standing);
        if before != (Standing { last_contact: None, ..told.standing.clone() }) {
            // A full slot means that the daemon will look anyway; a closed one, that it has ended.
            let _ = self.hint.try_send(());
        }
    }
}

struct Courier {
    bureau: Bureau,
    bank: Bank,
    visitor: Visitor,
    /// Of the profile: another one is another line.
    digest: [u8; 32],
    watchdog: Arc<Watchdog>,
    clock: Clock,
    desk: Arc<Desk>,
}

impl Courier {
    fn run(mut self) {
        let mut next = Instant::now();
        while let Some(cleared) = self.desk.wait(next) {
            next = Instant::now() + self.go(&cleared);
        }
    }

    /// One visit, unless it must not be yet; how long until the next.
    fn go(&mut self, cleared: &BTreeSet<BatchNumber>) -> Duration {
        let failing = match lines::failing(self.bureau.store.connection(), self.bank.number) {
            Ok(failing) => failing.filter(|failing| failing.profile == self.digest).unwrap_or_default(),
            Err(error) => return self.failed(&error.into(), &Failing::default()),
        };
        if failing.is_blocked {
            self.desk.note(|standing| {
                (standing.is_up, standing.is_blocked, standing.trouble) = (false, true, failing.trouble.clone());
            });
            return BLOCKED_LOOK;
        }
        let now = seconds_now();
        // A clock that was set back must not keep us away for long.
        if failing.retry_at > now && failing.retry_at.abs_diff(now) <= self.visitor.longest_pause().as_secs() {
            return Duration::from_secs(failing.retry_at.abs_diff(now)).min(BLOCKED_LOOK);
        }
        let clock = self.clock;
        let visited = self.visitor.visit(&mut self.bureau, cleared, &|| clock.order());
        self.desk.note(|standing| {
            standing.refused = self.visitor.refused().map(|(batch, why)| (batch, why.to_string())).collect();
            standing.odd = self.visitor.odd().clone();
        });
        match visited {
            Ok(_) => self.went_well(&failing),
            Err(error) => self.failed(&error, &failing),
        }
    }

    fn went_well(&mut self, failing: &Failing) -> Duration {
        self.desk.note(|standing| {
            (standing.is_up, standing.is_blocked) = (true, false);
            standing.trouble.clear();
            standing.last_contact = Some(SystemTime::now());
        });
        if failing.failures > 0
            && let Err(error) = self.bureau.store.forget_failing(self.bank.number)
        {
            tracing::warn!(bank = self.bank.key, "cannot note that the line works again: {error}");
        }
        self.visitor.rest()
    }

    /// Stores how often the line failed and when it is tried again; what only a person can mend is not tried again.
    fn failed(&mut self, error: &StepError, before: &Failing) -> Duration {
        let longest = self.visitor.longest_pause();
        if self.watchdog.is_stopped() {
            return longest;
        }
        let failures = before.failures + 1;
        let wait = jittered(failures, longest);
        let is_blocked = matches!(error, StepError::Remote(fault) if fault.is_for_a_person());
        let (trouble, retry_at) = (error.to_string(), seconds_now() + wait.as_secs() as i64);
        self.desk.note(|standing| {
            (standing.is_up, standing.is_blocked, standing.trouble) = (false, is_blocked, trouble.clone());
        });
        let failing = Failing { failures, retry_at, is_blocked, trouble, profile: self.digest };
        if let Err(error) = self.bureau.store.note_failing(self.bank.number, &failing) {
            tracing::warn!(bank = self.bank.key, "cannot store when to try the line again: {error}");
        }
        wait
    }
}
