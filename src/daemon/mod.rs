//! The daemon, and the steps that it shares with the commands.
//!
//! One loop over a closed set of events. A look at the folders and at the store says what there is to do, so an event
//! that is lost costs a little time and nothing else. All work blocks and runs beside the async threads, one round at a
//! time; what it remembers from one round to the next only spares work.

pub mod alarms;
pub mod approvals;
pub mod audit;
pub mod backing_up;
pub mod bureau;
pub mod by_hand;
pub mod closing;
pub mod comparing;
pub mod correcting;
pub mod courier;
pub mod day_end;
pub mod delivering;
pub mod doctor;
pub mod drops;
pub mod feeding;
pub mod finance;
pub mod fixing;
mod folding;
mod grounds;
pub mod inboxes;
pub mod instructing;
pub mod intake;
pub mod lists;
pub mod mobilise;
pub mod notices;
pub mod outstanding;
pub mod own_digest;
pub mod papers;
pub mod payments;
pub mod payouts;
pub mod planning;
pub mod ready;
pub mod receipt_paper;
pub mod receipts;
pub mod reconciling;
pub mod releasing;
pub mod reporting;
pub mod resolving;
pub mod retrying;
pub mod returns;
pub mod roster;
pub mod rounds;
pub mod schedule;
pub mod settling;
pub mod silence;
pub mod simulating;
pub mod standing;
pub mod statements;
pub mod steady;
pub mod transfers;
pub mod visiting;
pub mod vouchers;
pub mod watch;
pub mod working;

use crate::daemon::bureau::{Bureau, Clock, Pulse, Step, StepError};
use crate::daemon::courier::Couriers;
use crate::daemon::folding::Folding;
use crate::daemon::rounds::{Next, Rounds};
use crate::daemon::watch::Watch;
use crate::telemetry::{Health, Metrics};
use crate::transport::Lock;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, sleep_until, timeout};

/// Everything that can wake the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Something happened in an inbox: a hint.
    Arrived,
    /// Time to look whatever happened.
    Sweep,
    /// A window opens, or the inboxes were quiet for long enough.
    Scheduled,
    /// The process is to end.
    Stop,
}

/// What the daemon is given.
pub struct Setup {
    /// The bureau it runs.
    pub bureau: Bureau,
    /// `state/daemon.lock`: no other process claims and sends.
    pub lock: Lock,
    /// What time it is. With `--today` every window of that date is open.
    pub clock: Clock,
    /// What is shown outside.
    pub metrics: Arc<Metrics>,
    /// Whether it is well.
    pub health: Arc<Health>,
}

/// Rounds follow each other no faster than this: an upload makes many events.
const BREATH: Duration = Duration::from_millis(50);

/// How long a stop waits for the round that has begun; a transaction in the middle is rolled back by the next start.
const LAST_ROUND: Duration = Duration::from_secs(4);

/// How often signs of life are passed on at least.
const SIGNS: Duration = Duration::from_secs(5);

/// Runs until `shutdown` is ready. Errors are those that only another start can mend.
pub async fn run(setup: Setup, shutdown: impl Future<Output = ()>) -> Step<()> {
    let (pulse, health) = (setup.bureau.pulse.clone(), setup.health.clone());
    let is_ready = Arc::new(AtomicBool::new(false));
    let signs = tokio::spawn(signs_of_life(pulse.clone(), health.clone(), is_ready.clone()));
    let (hint, mut hints) = mpsc::channel(1);
    let couriers = Arc::new(Couriers::start(&setup.bureau, setup.clock, &hint)?);
    let _folding = Folding::start(&setup.bureau)?;
    let mut watch = Watch::new(hint);
    let mut rounds = Box::new(Rounds::new(setup, couriers.clone()));
    let mut shutdown = pin!(shutdown);
    let mut wake = Wake::Sweep;
    let ended = loop {
        if wake == Wake::Sweep {
            watch.arm(&rounds.folders());
        }
        let began = Instant::now();
        let mut work = spawn_blocking(move || {
            let next = rounds.round(wake);
            (rounds, next)
        });
        let next = tokio::select! {
            done = &mut work => {
                let (back, next) = done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
                rounds = back;
                next
            }
            () = &mut shutdown => break leave(&pulse, &health, &couriers, Some(work)).await,
        };
        let next = match next {
            Ok(next) => next,
            Err(error) => break Err(error),
        };
        if !is_ready.swap(true, Ordering::Relaxed) {
            health.alive(Instant::now());
            ready::ready("the first round is done");
            tracing::info!("ready");
        }
        sleep_until((began + BREATH).into()).await;
        wake = wait(&next, &mut hints, shutdown.as_mut()).await;
        if wake == Wake::Stop {
            break leave(&pulse, &health, &couriers, None).await;
        }
    };
    signs.abort();
    ended
}

/// What comes next: a stop before anything else, what is due before a hint, so that no storm of hints delays it.
async fn wait(next: &Next, hints: &mut mpsc::Receiver<()>, shutdown: impl Future<Output = ()>) -> Wake {
    tokio::select! {
        biased;
        () = shutdown => Wake::Stop,
        () = sleep_until(next.sweep.into()) => Wake::Sweep,
        () = sleep_until(next.scheduled.into()) => Wake::Scheduled,
        Some(()) = hints.recv() => Wake::Arrived,
    }
}

/// No more work is taken; the transaction that has begun is finished.
async fn leave(
    pulse: &Pulse,
    health: &Health,
    couriers: &Couriers,
    work: Option<JoinHandle<(Box<Rounds>, Step<Next>)>>,
) -> Step<()> {
    health.stopping();
    ready::stopping();
    pulse.stop();
    couriers.stop();
    let Some(work) = work else { return Ok(()) };
    match timeout(LAST_ROUND, work).await {
        Ok(Ok((_, Err(error)))) if !matches!(error, StepError::Stopping) => return Err(error),
        Ok(_) => {}
        Err(_) => tracing::warn!("left in the middle of a round: the next start goes on with what is stored"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Passes signs of life on: to systemd and to `/healthz`, only where the work itself has moved.
async fn signs_of_life(pulse: Pulse, health: Arc<Health>, is_ready: Arc<AtomicBool>) {
    let every = ready::alive_every().map_or(SIGNS, |allowed| allowed.min(SIGNS));
    let mut last = pulse.beats();
    loop {
        sleep(every).await;
        let beats = pulse.beats();
        if beats == last {
            continue;
        }
        last = beats;
        if is_ready.load(Ordering::Relaxed) {
            health.alive(Instant::now());
            ready::alive();
        } else {
            ready::starting(Duration::from_secs(60));
        }
    }
}

/// The inboxes that are watched.
impl Rounds {
    fn folders(&self) -> Vec<PathBuf> {
        inboxes::inboxes(self.config()).into_iter().map(|inbox| inbox.path).collect()
    }
}
