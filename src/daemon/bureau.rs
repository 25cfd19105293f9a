//! Everything that a step or the intake of a file works with.

use crate::config::layouts::LayoutError;
use crate::config::{Bank, Config};
use crate::domain::calendar::{Date, DateTime, FeeYear, PastTheData};
use crate::domain::participant::BankNumber;
use crate::domain::policy::{Policy, YearTerms};
use crate::format::layout::Layout;
use crate::store::{self, Act, Store};
use crate::transport;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Configuration, layouts and store of one bureau.
#[derive(Debug)]
pub struct Bureau {
    /// What we were told.
    pub config: Config,
    /// The layout of each bank.
    pub layouts: BTreeMap<BankNumber, Layout>,
    /// What we know.
    pub store: Store,
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

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Our rule says no.
    #[error("refused: {0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Files failed.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The calendar ends before the date.
    #[error(transparent)]
    Calendar(#[from] PastTheData),
    /// A layout cannot be used.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Result of a step.
pub type Step<T> = Result<T, StepError>;

/// A refusal with its words.
pub fn refuse<T>(words: impl Into<String>) -> Step<T> {
    Err(StepError::Refused(words.into()))
}

impl Bureau {
    /// Opens the bureau that a configuration describes.
    pub fn open(config: Config) -> Step<Bureau> {
        let layouts = load_layouts(&config)?;
        let store = Store::open(&store_path(&config.state))?;
        Ok(Bureau { config, layouts, store })
    }

    /// The bank of a number: batches of banks that were taken out of the configuration cannot be handled.
    pub fn bank(&self, number: BankNumber) -> Step<&Bank> {
        match self.config.bank(number) {
            Some(bank) => Ok(bank),
            None => refuse(format!("bank number {} is not in the configuration: put it back", number.0)),
        }
    }

    /// The policy of a fee year.
    pub fn policy(&self, fee_year: FeeYear) -> Step<(&Policy, &YearTerms)> {
        match self.config.policies.of(fee_year) {
            Some(found) => Ok(found),
            None => refuse(format!("no policy has the fee year {fee_year}: add one to policy/")),
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

/// The database file below the state folder.
pub fn store_path(state: &Path) -> PathBuf {
    state.join("daikou.db")
}
