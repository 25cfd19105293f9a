//! Everything that a step or the intake of a file works with.

use crate::config::layouts::LayoutError;
use crate::config::{Bank, Config};
use crate::domain::calendar::{Date, DateTime, FeeYear, PastTheData, Time};
use crate::domain::participant::BankNumber;
use crate::domain::policy::{Policy, YearTerms};
use crate::format::layout::Layout;
use crate::store::{self, Act, Store};
use crate::transport;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Configuration, layouts and store of one bureau.
#[derive(Debug)]
pub struct Bureau {
    /// What we were told.
    pub config: Arc<Config>,
    /// The layout of each bank.
    pub layouts: Arc<BTreeMap<BankNumber, Layout>>,
    /// What we know.
    pub store: Store,
    /// Shared with whoever watches over long work.
    pub pulse: Pulse,
}

/// What long work and its watcher tell each other: that it goes on, and that it must stop.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<(AtomicU64, AtomicBool)>);

impl Pulse {
    /// Called before each transaction of a work in stretches: a sign of life, and the place where it may end.
    pub fn go_on(&self) -> Step<()> {
        self.beat();
        if self.is_stopped() { Err(StepError::Stopping) } else { Ok(()) }
    }

    /// The place where a thread beside the main work may end: no sign of life of that work.
    pub fn is_running(&self) -> Step<()> {
        if self.is_stopped() { Err(StepError::Stopping) } else { Ok(()) }
    }

    /// A sign of life.
    pub fn beat(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many signs of life there were.
    pub fn beats(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    /// No further transaction is to be begun.
    pub fn stop(&self) {
        self.0.1.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// Who orders a step, and when: the clock is always an argument.
#[derive(Clone, Debug)]
pub struct Order {
    /// Business date and time, Asia/Shanghai.
    pub at: DateTime,
    /// Name of the person, or `system`.
    pub actor: String,
}

impl Order {
    /// The business date.
    pub fn today(&self) -> Date {
        self.at.date()
    }

    /// The audit row of something that this order does.
    pub fn act(&self, action: &'static str, subject: impl Into<String>, digest: [u8; 32]) -> Act {
        Act { at: self.at, actor: self.actor.clone(), action, subject: subject.into(), digest }
    }
}

/// What time it is for the daemon: a business date for the life of the process, or the clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// `--today`.
    pub today: Option<Date>,
    /// The clock, Asia/Shanghai.
    pub now: fn() -> DateTime,
}

impl Clock {
    /// What the daemon itself orders now.
    pub fn order(&self) -> Order {
        let at = self.today.map_or_else(self.now, |day| DateTime::from_parts(day, Time::midnight()));
        Order { at, actor: "system".to_owned() }
    }
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Our rule says no, in the clerks' words.
    #[error("未办理：{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Files failed.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// A bank's own server, or the way to it, failed.
    #[error(transparent)]
    Remote(transport::remote::Fault),
    /// The calendar ends before the date.
    #[error(transparent)]
    Calendar(#[from] PastTheData),
    /// A layout cannot be used.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The process ends; what was committed stays, and the rest is done after the next start.
    #[error("stopping: what is left is done after the next start")]
    Stopping,
}

impl StepError {
    /// Whether the same step may succeed later without anybody doing something.
    pub fn is_retryable(&self) -> bool {
        match self {
            StepError::Store(error) => error.is_retryable() || error.is_disk_full(),
            StepError::Transport(error) => error.is_retryable(),
            StepError::Remote(fault) => !fault.is_for_a_person(),
            StepError::Stopping => true,
            StepError::Refused(_) | StepError::Calendar(_) | StepError::Layout(_) => false,
        }
    }

    /// The disk is full: intake pauses.
    pub fn is_disk_full(&self) -> bool {
        match self {
            StepError::Store(error) => error.is_disk_full(),
            StepError::Transport(error) => error.is_disk_full(),
            _ => false,
        }
    }

    /// What is written can no longer be trusted to be there: the process must end and start again from what is.
    pub fn is_fatal(&self) -> bool {
        match self {
            StepError::Store(error) => error.is_fatal(),
            StepError::Transport(error) => matches!(error, transport::Error::NotDurable { .. }),
            _ => false,
        }
    }
}

/// Result of a step.
pub type Step<T> = Result<T, StepError>;

/// There is no rule for that year.
pub fn no_policy<T>(fee_year: FeeYear) -> Step<T> {
    refuse(format!("没有 {fee_year} 缴费年度的政策文件：请运维人员在 policy/ 中补充"))
}

/// A refusal with its words, for clerks.
pub fn refuse<T>(words: impl Into<String>) -> Step<T> {
    Err(StepError::Refused(words.into()))
}

impl Bureau {
    /// Opens the bureau that a configuration describes.
    pub fn open(config: Config) -> Step<Bureau> {
        let layouts = Arc::new(load_layouts(&config)?);
        let store = Store::open(&store_path(&config.state))?;
        Ok(Bureau { config: Arc::new(config), layouts, store, pulse: Pulse::default() })
    }

    /// Opens the bureau for commands that only read: a full disk does not stop them.
    pub fn open_to_read(config: Config) -> Step<Bureau> {
        let layouts = Arc::new(load_layouts(&config)?);
        let store = Store::open_to_read(&store_path(&config.state))?;
        Ok(Bureau { config: Arc::new(config), layouts, store, pulse: Pulse::default() })
    }

    /// The same bureau for another thread, with a connection of its own to the store.
    pub fn beside(&self) -> Step<Bureau> {
        let store = Store::open_beside(&store_path(&self.config.state))?;
        Ok(Bureau { config: self.config.clone(), layouts: self.layouts.clone(), store, pulse: self.pulse.clone() })
    }

    /// The bank of a number: batches of banks that were taken out of the configuration cannot be handled.
    pub fn bank(&self, number: BankNumber) -> Step<&Bank> {
        match self.config.bank(number) {
            Some(bank) => Ok(bank),
            None => refuse(format!("配置中没有编号为 {} 的银行：请运维人员恢复其配置", number.0)),
        }
    }

    /// The policy of a fee year.
    pub fn policy(&self, fee_year: FeeYear) -> Step<(&Policy, &YearTerms)> {
        match self.config.policies.of(fee_year) {
            Some(found) => Ok(found),
            None => no_policy(fee_year),
        }
    }

    /// The `out` folder of a bank.
    pub fn bank_out(&self, key: &str) -> PathBuf {
        self.config.drops.join("banks").join(key).join("out")
    }
}

/// The layouts of the configured banks.
pub fn load_layouts(config: &Config) -> Step<BTreeMap<BankNumber, Layout>> {
    let formats = config.root.join("formats");
    let folder = formats.is_dir().then_some(formats.as_path());
    config.banks.iter().map(|bank| Ok((bank.number, crate::config::layouts::load(&bank.layout, folder)?))).collect()
}

/// Where a courier puts what it fetched from a bank, below the state folder.
pub fn fetched_path(state: &Path, key: &str) -> PathBuf {
    state.join("fetched").join(key)
}

/// The database file below the state folder.
pub fn store_path(state: &Path) -> PathBuf {
    state.join("daikou.db")
}
