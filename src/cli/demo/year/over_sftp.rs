//! The year of a bank that has a server of its own: there and back, as the daemon's couriers go.

use super::{FINDS_OUT, Year, files_in, name_of, order, remove};
use crate::cli::CliError;
use crate::cli::demo::server::Line;
use crate::daemon::bureau::fetched_path;
use crate::domain::calendar::{Date, next_day};
use crate::domain::ids::BatchNumber;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long the bank may take to answer, and how long we wait from visit to visit.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);

impl Year<'_> {
    /// A round with that bank. In the first one its upload of the answer breaks off, in the second one the line
    /// breaks after the bank has renamed our file and before it says so.
    pub(super) fn exchange(
        &mut self,
        line: &mut Line,
        round: usize,
        day: Date,
        answered_on: Date,
    ) -> Result<(), CliError> {
        line.set_today(answered_on);
        match round {
            0 => line.misbehave_once("truncated-answers")?,
            1 => line.misbehave_once("rename-lost")?,
            _ => {}
        }
        // One after the other: the bank numbers what it takes, and the same seed gives the same year.
        for batch in line.released(&self.played.bureau)? {
            self.there_and_back(line, &BTreeSet::from([batch]), 1, day, next_day(answered_on))?;
        }
        if round == FINDS_OUT {
            let files = line.find_out(answered_on)?;
            self.there_and_back(line, &BTreeSet::new(), files, day, next_day(answered_on))?;
        }
        // What is booked is deleted at the bank.
        line.visit(&mut self.played.bureau, &BTreeSet::new(), &order(day))
    }

    /// Visits the bank until so many of its answers are taken.
    fn there_and_back(
        &mut self,
        line: &mut Line,
        cleared: &BTreeSet<BatchNumber>,
        answers: usize,
        day: Date,
        taken_on: Date,
    ) -> Result<(), CliError> {
        let until = Instant::now() + PATIENCE;
        let mut taken = 0;
        while taken < answers {
            if Instant::now() > until {
                return Err(CliError::Usage(format!("the {} bank does not answer", line.bank().key)));
            }
            line.visit(&mut self.played.bureau, cleared, &order(day))?;
            let arrived = self.take_fetched(&line.bank().key, taken_on)?;
            taken += arrived;
            if arrived == 0 {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// What was brought from the bank is taken as from any inbox; how many files.
    fn take_fetched(&mut self, key: &str, day: Date) -> Result<usize, CliError> {
        let folder = fetched_path(&self.played.bureau.config.state, key);
        if !folder.exists() {
            return Ok(0);
        }
        let mut taken = 0;
        for path in files_in(&folder)? {
            if self.take(&folder, &name_of(&path), &format!("banks/{key}"), day)? {
                remove(&path)?;
                taken += 1;
            }
        }
        Ok(taken)
    }
}
