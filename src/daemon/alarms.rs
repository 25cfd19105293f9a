//! What a person must look at, for as long as it stands: logged once when it begins and once when it ends.

use crate::telemetry::Metrics;
use std::collections::{BTreeMap, BTreeSet};

/// The standing alarms, by class and subject. The classes are listed in `docs/operating.md`.
#[derive(Debug, Default)]
pub struct Alarms(BTreeSet<(&'static str, String)>);

impl Alarms {
    /// Something is wrong. Logged where it was not known yet.
    pub fn raise(&mut self, class: &'static str, subject: impl Into<String>, words: &str) {
        let subject = subject.into();
        if self.0.insert((class, subject.clone())) {
            tracing::error!(alarm = class, subject, "{class}: {subject}: {words}");
        }
    }

    /// It is well again. Logged where it was known.
    pub fn clear(&mut self, class: &'static str, subject: &str) {
        if self.0.remove(&(class, subject.to_owned())) {
            tracing::info!(alarm = class, subject, "{class}: {subject}: over");
        }
    }

    /// Whether it stands.
    pub fn stands(&self, class: &'static str, subject: &str) -> bool {
        self.0.contains(&(class, subject.to_owned()))
    }

    /// Keeps, of one class, only the alarms about these subjects.
    pub fn retain(&mut self, class: &'static str, still: impl Fn(&str) -> bool) {
        let over: Vec<String> =
            self.0.iter().filter(|(c, subject)| *c == class && !still(subject)).map(|(_, s)| s.clone()).collect();
        over.iter().for_each(|subject| self.clear(class, subject));
    }

    /// Shows how many stand, by class.
    pub fn show(&self, metrics: &Metrics) {
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for (class, _) in &self.0 {
            *counts.entry(class).or_default() += 1;
        }
        metrics.alarms.replace(counts.into_iter().map(|(class, count)| ([class], count)));
    }

    /// How many stand.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}
