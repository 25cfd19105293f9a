//! One look at every inbox: what is whole is taken, what is not is left, nothing is looked at twice in vain.
//!
//! The folders are the truth. What is remembered of a name only spares work: after a start, all is looked at again.

use crate::config::Config;
use crate::daemon::alarms::Alarms;
use crate::daemon::bureau::{Bureau, Order, Step, StepError, fetched_path};
use crate::daemon::drops::{Found, Looked, Part, look_at, take_found};
use crate::daemon::intake::Patience;
use crate::daemon::receipts::{Receipt, Sender};
use crate::domain::participant::Payer;
use crate::store::FileState;
use crate::telemetry::Metrics;
use crate::transport::folder::{Candidate, Folder, Kind, Removal};
use crate::transport::{Error, disk, hex};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Files taken from one folder in one round at most, and the time after which no further one is begun: no sender makes
/// the others wait for long.
const BUDGET: (usize, Duration) = (8, Duration::from_secs(2));

/// Names listed in one folder at most.
const LISTED: usize = 10_000;

/// An unfinished file that is being written is looked at again when nothing has changed for so long.
const PAUSE: Duration = Duration::from_millis(300);

/// A file on which our side failed is tried again after this time.
const RETRY: Duration = Duration::from_secs(10);

/// One inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// The folder.
    pub path: PathBuf,
    /// Its place below the drop tree, as it is shown.
    pub shown: String,
    /// Who puts files there.
    pub sender: Sender,
}

/// What a look at all inboxes came to.
#[derive(Debug, Default)]
pub struct Visit {
    /// Files taken, with or without effect.
    pub taken: usize,
    /// Something took effect.
    pub has_effect: bool,
    /// Something is new, or changed, since the last look.
    pub has_changed: bool,
    /// More can be taken at once.
    pub more: bool,
    /// When the next of them is to be looked at.
    pub again: Option<Duration>,
}

/// What is remembered of names that stay.
#[derive(Debug, Default)]
pub struct Inboxes {
    seen: BTreeMap<String, Seen>,
}

/// A name that stays, as it was when it was last looked at.
#[derive(Debug)]
struct Seen {
    found: Found,
    why: Why,
    /// Since when this process waits for the rest of it.
    since: SystemTime,
}

/// Why a file stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Tables, and names nobody expects: not quiet for long enough.
    Unsettled,
    /// The beginning of a file, or half of a pair.
    Incomplete,
    /// Our side failed.
    Failed(Instant),
    /// Until it changes, nothing can be done with it: an alarm stands.
    Never,
    /// It took effect and could not be removed: that alone is tried again after this time.
    Taken(Instant),
}

/// Every inbox of the configuration, and of departments that have a folder.
pub fn inboxes(config: &Config) -> Vec<Inbox> {
    let mut senders: BTreeMap<String, Sender> = BTreeMap::new();
    let mut add = |sender: Sender| senders.insert(sender.folder(), sender);
    for (payer, districts) in &config.expected_lists {
        for district in districts {
            add(Sender::Department(*payer, *district));
        }
    }
    for (payer, district) in department_folders(&config.drops.join("departments")) {
        if let (Some(payer), Some(district)) = (Payer::parse(&payer), config.districts.code(&district)) {
            add(Sender::Department(payer, district));
        }
    }
    add(Sender::Bureau);
    for bank in &config.banks {
        add(Sender::Bank(bank.number, bank.key.clone()));
    }
    let inbox = |(folder, sender): (String, Sender)| {
        let shown = format!("{folder}/in");
        let fetched = match &sender {
            Sender::Bank(number, key) if config.bank(*number).is_some_and(|bank| bank.sftp.is_some()) => Some(key),
            _ => None,
        };
        // What a courier fetched lies with us; it is shown where everybody looks for it.
        let path = fetched.map_or_else(|| config.drops.join(&shown), |key| fetched_path(&config.state, key));
        Inbox { path, shown, sender }
    };
    senders.into_iter().map(inbox).collect()
}

/// Names of the folders two levels below.
fn department_folders(departments: &Path) -> Vec<(String, String)> {
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let below = |payer: String| names(&departments.join(&payer)).into_iter().map(move |name| (payer.clone(), name));
    names(departments).into_iter().flat_map(below).collect()
}

/// What one look works with.
pub struct Look<'a> {
    /// The bureau that takes files.
    pub bureau: &'a mut Bureau,
    /// Who takes, and when.
    pub order: &'a Order,
    /// What a person must know.
    pub alarms: &'a mut Alarms,
    /// What is shown outside.
    pub metrics: &'a Metrics,
}

impl Inboxes {
    /// Looks at every inbox once. Errors of one file or folder never stop the others.
    pub fn visit(&mut self, inboxes: &[Inbox], look: &mut Look<'_>) -> Step<Visit> {
        let mut visit = Visit::default();
        let mut there = BTreeSet::new();
        for inbox in inboxes {
            match Folder::open(&inbox.path).and_then(|folder| Ok((folder.scan(LISTED)?, folder))) {
                Ok((scan, folder)) => {
                    look.alarms.clear("folder", &inbox.shown);
                    look.metrics.last_scan.set([&inbox.shown], seconds_now());
                    there.extend(scan.found.iter().map(|candidate| subject(inbox, candidate)));
                    visit.more |= scan.more;
                    self.visit_one(inbox, &folder, &scan.found, look, &mut visit)?;
                }
                Err(error) => look.alarms.raise("folder", inbox.shown.clone(), &error.without_path()),
            }
        }
        visit.more &= visit.taken > 0;
        self.seen.retain(|subject, _| there.contains(subject));
        look.alarms.retain("file", |subject| there.contains(subject));
        Ok(visit)
    }

    fn visit_one(
        &mut self,
        inbox: &Inbox,
        folder: &Folder,
        names: &[Candidate],
        look: &mut Look<'_>,
        visit: &mut Visit,
    ) -> Step<()> {
        let (before, began) = (visit.taken, Instant::now());
        for candidate in as_they_came(names) {
            let subject = subject(inbox, candidate);
            if let Kind::NotAFile(what) = candidate.kind {
                look.alarms.raise("file", subject, &format!("{what}: left alone, whoever put it there must remove it"));
                continue;
            }
            let found = match look_at(look.bureau, &inbox.path, &candidate.name, &inbox.sender) {
                Ok(found) if found.candidate.is_none() || is_second_of_pair(&found) => continue,
                Ok(found) => found,
                Err(error) => {
                    look.alarms.raise("file", subject, &without_path(&error));
                    continue;
                }
            };
            if self.is_taken(&subject, &found) {
                self.remove(subject, found, folder, look, visit);
                continue;
            }
            let Some(patience) = self.judge(&subject, &found, &look.bureau.config, visit) else { continue };
            if visit.taken - before == BUDGET.0 || (visit.taken > before && began.elapsed() >= BUDGET.1) {
                visit.more = true;
                return Ok(());
            }
            look.bureau.pulse.go_on()?;
            let taken = take_found(look.bureau, &found, inbox.sender.clone(), None, patience, look.order);
            self.conclude(subject, found, folder, taken, look, visit)?;
        }
        Ok(())
    }

    /// Whether this very file took effect, and lies there only because it could not be removed.
    fn is_taken(&self, subject: &str, found: &Found) -> bool {
        self.seen.get(subject).is_some_and(|seen| matches!(seen.why, Why::Taken(_)) && seen.found == *found)
    }

    /// Whether a file is to be looked into now, and whether it had its time.
    fn judge(&mut self, subject: &str, found: &Found, config: &Config, visit: &mut Visit) -> Option<Patience> {
        let known = self.seen.get(subject);
        let is_same = known.is_some_and(|seen| seen.found == *found);
        visit.has_changed |= !is_same;
        let quiet = quiet_for(found);
        // Of what lay there while nobody looked, the rest may be on its way: the bank's line has just come up again.
        let waited = known.map_or(Duration::ZERO, |seen| disk::now().duration_since(seen.since).unwrap_or_default());
        let (waited, limit) = (waited.min(quiet), Duration::from_secs(config.incomplete_after_s));
        match known.map(|seen| seen.why) {
            Some(Why::Never) if is_same => return None,
            Some(Why::Failed(until)) if is_same && Instant::now() < until => {
                return visit.wait(until.saturating_duration_since(Instant::now()));
            }
            Some(Why::Incomplete) if waited >= limit => return Some(Patience::Over),
            Some(Why::Incomplete) if is_same => return visit.wait(limit - waited),
            Some(Why::Incomplete) if quiet < PAUSE => return visit.wait(PAUSE - quiet),
            _ => {}
        }
        let settle = Duration::from_millis(config.settle_ms);
        if matches!(found.part, Part::Table | Part::Strange) && quiet < settle {
            self.keep(subject.to_owned(), found.clone(), Why::Unsettled);
            return visit.wait(settle - quiet);
        }
        Some(Patience::Left)
    }

    /// What became of a file: its source goes only now, after the commit.
    fn conclude(
        &mut self,
        subject: String,
        found: Found,
        folder: &Folder,
        taken: Step<Looked>,
        look: &mut Look<'_>,
        visit: &mut Visit,
    ) -> Step<()> {
        let why = match taken {
            Ok(Looked::Taken(receipt)) => {
                visit.note(&receipt);
                self.keep(subject.clone(), found.clone(), Why::Taken(Instant::now()));
                self.remove(subject, found, folder, look, visit);
                return Ok(());
            }
            Ok(looked @ (Looked::Incomplete(_) | Looked::ControlOf(_))) => {
                let words = match &looked {
                    Looked::Incomplete(lack) => lack.words(),
                    _ => "a control file: it is taken with its data file",
                };
                if self.seen.get(&subject).is_none_or(|seen| seen.why != Why::Incomplete) {
                    tracing::info!(file = subject, "{subject}: left where it is: {words}");
                }
                visit.look_again(Duration::from_secs(look.bureau.config.incomplete_after_s));
                Why::Incomplete
            }
            Err(error) => failed(&subject, error, look.alarms, visit)?,
        };
        self.keep(subject, found, why);
        Ok(())
    }

    /// The source of what was taken goes; where it cannot, that is tried again, and somebody is told.
    fn remove(&mut self, subject: String, found: Found, folder: &Folder, look: &mut Look<'_>, visit: &mut Visit) {
        if let Some(Seen { why: Why::Taken(after), .. }) = self.seen.get(&subject)
            && Instant::now() < *after
        {
            return visit.look_again(after.saturating_duration_since(Instant::now()));
        }
        match remove_sources(folder, &found) {
            Ok(()) => {
                self.seen.remove(&subject);
                look.alarms.clear("file", &subject);
            }
            Err(error) => {
                look.alarms.raise("file", subject.clone(), &format!("taken, but {}", error.without_path()));
                visit.look_again(RETRY);
                self.keep(subject, found, Why::Taken(Instant::now() + RETRY));
            }
        }
    }

    fn keep(&mut self, subject: String, found: Found, why: Why) {
        let waiting = self.seen.get(&subject).filter(|seen| seen.why == Why::Incomplete);
        let since = waiting.map_or_else(disk::now, |seen| seen.since);
        self.seen.insert(subject, Seen { found, why, since });
    }
}

/// A file on which our side failed. What is wrong for all files comes back as the error that it is.
fn failed(subject: &str, error: StepError, alarms: &mut Alarms, visit: &mut Visit) -> Step<Why> {
    if let StepError::Transport(Error::Changed { .. } | Error::Gone { .. }) = error {
        visit.look_again(PAUSE);
        return Ok(Why::Incomplete);
    }
    if error.is_fatal() || error.is_disk_full() || matches!(error, StepError::Stopping) {
        return Err(error);
    }
    alarms.raise("file", subject, &without_path(&error));
    if matches!(&error, StepError::Transport(Error::NotAFile { .. } | Error::TooBig { .. })) {
        return Ok(Why::Never);
    }
    visit.look_again(RETRY);
    Ok(Why::Failed(Instant::now() + RETRY))
}

impl Visit {
    /// Something waits: there must be another look after this time at the latest.
    fn look_again(&mut self, after: Duration) {
        self.again = Some(self.again.map_or(after, |again| again.min(after)));
    }

    /// Not now, but after this time.
    fn wait(&mut self, after: Duration) -> Option<Patience> {
        self.look_again(after);
        None
    }

    fn note(&mut self, receipt: &Receipt) {
        let (file, state) = (receipt.file, receipt.state.word());
        let (accepted, refused) = (receipt.accepted, receipt.refused);
        let (kind, from, digest) = (&receipt.kind, receipt.from.text(), &hex(&receipt.sha256)[..8]);
        tracing::info!(
            file,
            state,
            accepted,
            refused,
            digest,
            "file {file} ({kind} of {from}) {state}: {accepted} rows accepted, {refused} refused"
        );
        self.taken += 1;
        self.has_changed = true;
        self.has_effect |= receipt.state == FileState::Processed && accepted > 0;
    }
}

/// A control file that lies beside its data file is taken with it.
fn is_second_of_pair(found: &Found) -> bool {
    matches!(found.part, Part::Control(_)) && found.other.is_some()
}

/// In the order in which they came to lie there, those of one moment by name: of two rosters the later one holds.
fn as_they_came(names: &[Candidate]) -> Vec<&Candidate> {
    let mut ordered: Vec<&Candidate> = names.iter().collect();
    ordered.sort_by_key(|candidate| candidate.ctime);
    ordered
}

/// How long nothing has changed in a file and what belongs to it.
fn quiet_for(found: &Found) -> Duration {
    let now = disk::now();
    let each = found.candidate.iter().chain(&found.other).map(|candidate| candidate.quiet_for(now));
    each.min().unwrap_or_default()
}

fn remove_sources(folder: &Folder, found: &Found) -> Result<(), Error> {
    failpoint!("source.begun");
    for candidate in found.candidate.iter().chain(&found.other) {
        if folder.remove_source(candidate)? == Removal::Replaced {
            tracing::info!("a file was written again after it was taken: it is looked at anew");
        }
        failpoint!("source.removed");
    }
    Ok(())
}

/// Folder and inode, for `ls -i`: a name is the sender's, and may say who somebody is.
fn subject(inbox: &Inbox, candidate: &Candidate) -> String {
    format!("{}#{}", inbox.shown, candidate.ino)
}

fn without_path(error: &StepError) -> String {
    match error {
        StepError::Transport(error) => error.without_path(),
        error => error.to_string(),
    }
}

fn seconds_now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}
