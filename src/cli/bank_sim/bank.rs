//! One bank: what its callers share.

use crate::cli::bank_sim::desk::{Desk, is_awaited};
use crate::cli::bank_sim::misbehave::{Kind, Manners};
use crate::cli::bank_sim::served::Served;
use crate::cli::bank_sim::setup::BankSetup;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// A bank with its folders, its manners and its desk.
pub(super) struct Bank {
    pub(super) setup: BankSetup,
    pub(super) served: Served,
    pub(super) manners: Arc<Manners>,
    desk: Mutex<Desk>,
}

impl Bank {
    /// Opens it; its folders are made where they are missing.
    pub(super) fn open(setup: &BankSetup) -> io::Result<Bank> {
        let served = Served::new(&setup.root, &setup.upload, &setup.download)?;
        let manners = Arc::new(Manners::new(&setup.root, &setup.misbehave));
        let desk = Mutex::new(Desk::open(setup, manners.clone())?);
        Ok(Bank { setup: setup.clone(), served, manners, desk })
    }

    /// Its desk, once nobody else stands at it.
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file has its final name, and whoever put it there has not been told yet.
    pub(super) fn delivered(self: &Arc<Bank>, name: &str) {
        if !is_awaited(self.setup.layout, name) {
            return;
        }
        if self.manners.does(Kind::Sweep) {
            self.desk().sweep(name);
        }
        if self.manners.does(Kind::EarlyAnswer) {
            return self.desk().arrived(name, true);
        }
        let (bank, name) = (self.clone(), name.to_owned());
        // Reading and answering takes a while: the caller need not wait for it.
        drop(tokio::task::spawn_blocking(move || bank.desk().arrived(&name, false)));
    }

    /// Time has passed. A desk that is busy looks at the clock itself.
    pub(super) fn look_at_the_clock(&self) {
        match self.desk.try_lock() {
            Ok(mut desk) => desk.look_at_the_clock(),
            Err(TryLockError::Poisoned(desk)) => desk.into_inner().look_at_the_clock(),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}
