//! A visit to a bank that has a server of its own: delivers what may leave, and brings what lies there.
//!
//! The daemon's couriers go again and again, `send` goes to deliver, the demo as often as its year needs: all by this
//! way. A visitor takes nothing on faith: what may leave is read from the store, what was fetched is noted there, and
//! what is fetched is put where the daemon finds it as in any inbox. What it remembers only spares work.

use crate::config::Bank;
use crate::daemon::bureau::{Bureau, Order, Step, StepError, fetched_path};
use crate::daemon::delivering::{SendReport, Way, deliver_batch};
use crate::daemon::receipts::Sender;
use crate::daemon::releasing::withdraw_if_late;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::BatchState;
use crate::format::layout::FileKind;
use crate::pipeline::book::BatchLine;
use crate::store::lines::{self, Listed};
use crate::store::{FileState, batches, files};
use crate::transport::inbound::{self, LISTED, Odd, Quiet};
use crate::transport::profile::{After, Profile};
use crate::transport::remote::{Entry, Fault, Remote, RemotePath};
use crate::transport::sftp::SftpRemote;
use crate::transport::watchdog::Watchdog;
use crate::transport::{hex, sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Goes to one bank's server.
#[derive(Debug)]
pub struct Visitor {
    bank: Bank,
    profile: Arc<Profile>,
    watchdog: Arc<Watchdog>,
    remote: Option<SftpRemote>,
    quiet: Quiet,
    /// Files at the bank with which nothing more is to be done: spares asking the store each time.
    done: BTreeSet<Entry>,
    /// Files that did not come as they are listed: how often. They are not fetched again and again.
    contradictory: BTreeMap<Entry, u32>,
    /// Booked files that the bank lets us neither move nor delete.
    stuck: BTreeSet<Entry>,
    refused: BTreeMap<BatchNumber, Refused>,
    odd: BTreeMap<String, &'static str>,
}

/// A batch that the bank's server did not take.
#[derive(Debug)]
struct Refused {
    why: StepError,
    times: u32,
    /// Not tried again before.
    rests_until: Instant,
}

/// What one visit came to.
#[derive(Debug, Default)]
pub struct Visited {
    /// Batches that were handled.
    pub sent: Vec<SendReport>,
    /// Files that were brought.
    pub fetched: usize,
}

/// Connections that are used more often than this are kept open.
const KEPT_OPEN: Duration = Duration::from_secs(30);

/// The pause after the first failure is below this; the limit doubles with each further one, up to the profile's.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// A file that did not come as it is listed is left alone after so many attempts, until it changes.
const CONTRADICTIONS: u32 = 3;

/// Oddities that are shown at most.
const ODDITIES: usize = 20;

impl Visitor {
    /// Whoever goes to this bank; `None` where the bank has no server of its own.
    pub fn new(bank: &Bank, watchdog: Arc<Watchdog>) -> Option<Visitor> {
        Some(Visitor {
            bank: bank.clone(),
            profile: bank.sftp.clone()?,
            watchdog,
            remote: None,
            quiet: Quiet::default(),
            done: BTreeSet::new(),
            contradictory: BTreeMap::new(),
            stuck: BTreeSet::new(),
            refused: BTreeMap::new(),
            odd: BTreeMap::new(),
        })
    }

    /// One visit: what is `sending` goes on, what is `cleared` leaves, what lies there is brought.
    ///
    /// # Errors
    /// Of the line, or of our side. Whatever was done before stays done.
    pub fn visit(
        &mut self,
        bureau: &mut Bureau,
        cleared: &BTreeSet<BatchNumber>,
        order: &dyn Fn() -> Order,
    ) -> Step<Visited> {
        let was_open = self.remote.is_some();
        let visited = match self.go(bureau, cleared, order) {
            // Servers end connections that were idle: that is no failure.
            Err(StepError::Remote(Fault::Lost { .. })) if was_open && !self.watchdog.is_stopped() => {
                self.remote = None;
                self.go(bureau, cleared, order)
            }
            visited => visited,
        };
        if visited.is_err() || self.profile.poll >= KEPT_OPEN {
            self.remote = None;
        }
        visited
    }

    /// Delivers one batch that is `sending` or may leave, unless it is too late for it.
    pub fn deliver(&mut self, bureau: &mut Bureau, batch: &BatchLine, order: &Order) -> Step<SendReport> {
        if let Some(report) = withdraw_if_late(bureau, batch, order)? {
            return Ok(report);
        }
        let profile = self.profile.clone();
        let mut way = Way::over(self.connected()?, &profile);
        let delivered = deliver_batch(bureau, batch, &mut way, order);
        if matches!(&delivered, Err(StepError::Remote(fault)) if !fault.is_answer()) {
            self.remote = None;
        }
        delivered
    }

    /// Batches that the bank's server refuses, and why.
    pub fn refused(&self) -> impl Iterator<Item = (BatchNumber, &StepError)> {
        self.refused.iter().map(|(batch, refused)| (*batch, &refused.why))
    }

    /// What lies in the bank's folder and is left alone; names are shown by their digest.
    pub fn odd(&self) -> &BTreeMap<String, &'static str> {
        &self.odd
    }

    /// The longest pause after failures.
    pub fn longest_pause(&self) -> Duration {
        self.profile.longest_pause
    }

    /// How long until the next visit.
    pub fn rest(&self) -> Duration {
        let now = Instant::now();
        let rests = self.refused.values().map(|refused| refused.rests_until.saturating_duration_since(now));
        rests.fold(self.profile.poll, Duration::min)
    }

    fn go(&mut self, bureau: &mut Bureau, cleared: &BTreeSet<BatchNumber>, order: &dyn Fn() -> Order) -> Step<Visited> {
        let sent = self.deliver_all(bureau, cleared, order)?;
        let fetched = self.fetch(bureau)?;
        Ok(Visited { sent, fetched })
    }

    /// Delivers what is on its way, and what may leave. A file that the server refuses does not hold up the others.
    fn deliver_all(
        &mut self,
        bureau: &mut Bureau,
        cleared: &BTreeSet<BatchNumber>,
        order: &dyn Fn() -> Order,
    ) -> Step<Vec<SendReport>> {
        let mut reports = Vec::new();
        for batch in self.leaving(bureau, cleared)? {
            match self.deliver(bureau, &batch, &order()) {
                Ok(report) => {
                    let (number, state) = (batch.number.to_string(), report.state.word());
                    tracing::info!(batch = number, state, "batch {number} {state}");
                    self.refused.remove(&batch.number);
                    reports.push(report);
                }
                Err(error) if is_answer(&error) => self.refuse(batch.number, error),
                Err(error) => return Err(error),
            }
        }
        Ok(reports)
    }

    /// The connection, made where there is none.
    fn connected(&mut self) -> Step<&mut SftpRemote> {
        let remote = match self.remote.take() {
            Some(remote) => remote,
            None => {
                let remote = SftpRemote::connect(&self.profile, &self.watchdog)?;
                failpoint!("line.open");
                remote
            }
        };
        Ok(self.remote.insert(remote))
    }

    /// This bank's batches that are on their way, or may leave, and do not rest.
    fn leaving(&mut self, bureau: &Bureau, cleared: &BTreeSet<BatchNumber>) -> Step<Vec<BatchLine>> {
        let states = [BatchState::Released, BatchState::Sending];
        let mut waiting = batches::in_states(bureau.store.connection(), &states)?;
        waiting.retain(|batch| batch.bank == Some(self.bank.number));
        self.refused.retain(|number, _| waiting.iter().any(|batch| batch.number == *number));
        let now = Instant::now();
        waiting.retain(|batch| {
            let may_leave = batch.state == BatchState::Sending || cleared.contains(&batch.number);
            may_leave && self.refused.get(&batch.number).is_none_or(|refused| refused.rests_until <= now)
        });
        Ok(waiting)
    }

    fn refuse(&mut self, batch: BatchNumber, why: StepError) {
        let times = self.refused.get(&batch).map_or(1, |refused| refused.times + 1);
        let rests_until = Instant::now() + jittered(times, self.profile.longest_pause);
        self.refused.insert(batch, Refused { why, times, rests_until });
    }

    /// Brings what lies at the bank, and does with what is booked what the profile says; how many files were brought.
    /// Names that no return file can have are left alone and told: the folder is the bank's, and may hold other people's
    /// files, without end even.
    fn fetch(&mut self, bureau: &mut Bureau) -> Step<usize> {
        let profile = self.profile.clone();
        let listing = self.connected()?.list(&profile.get, LISTED)?;
        failpoint!("fetch.listed");
        let (found, mut odd) = inbound::sort(&profile, &listing.entries);
        let is_return = |entry: &Entry| self.kind(bureau, entry).is_some();
        let (found, others): (Vec<Entry>, Vec<Entry>) = found.into_iter().partition(is_return);
        odd.extend(others.into_iter().map(|entry| (entry, Odd::NoReturn)));
        self.done.retain(|entry| found.contains(entry));
        self.contradictory.retain(|entry, _| found.contains(entry));
        self.stuck.retain(|entry| found.contains(entry));
        let settled = self.quiet.settled(&profile, &found, Instant::now()).into_iter().cloned();
        let is_hopeless = |entry: &Entry| self.contradictory.get(entry).is_some_and(|failed| *failed >= CONTRADICTIONS);
        let open = settled.filter(|entry| !self.done.contains(entry) && !is_hopeless(entry));
        let mut fetched = 0;
        for entry in open.collect::<Vec<Entry>>() {
            bureau.pulse.is_running()?;
            fetched += usize::from(self.take_care_of(bureau, entry)?);
        }
        self.note_odd(&odd, listing.more);
        Ok(fetched)
    }

    /// Fetches a file that is not known, waits for one that lies with us, puts away one that is booked. True where it was
    /// brought.
    fn take_care_of(&mut self, bureau: &mut Bureau, entry: Entry) -> Step<bool> {
        let folder = fetched_path(&bureau.config.state, &self.bank.key);
        if let Some(sha256) = self.digest_that_counts(bureau, &entry)? {
            if folder.join(OsStr::from_bytes(&entry.name)).exists() {
                return Ok(false);
            }
            if let Some(state) = self.ended(bureau, &sha256)? {
                self.end(bureau, entry, state)?;
                return Ok(false);
            }
            // Our copy is gone and has not come to its end: fetch it again.
        }
        let profile = self.profile.clone();
        let Some(fetched) = inbound::fetch(self.connected()?, &profile, &entry, &folder)? else {
            // It may have been written just now: again at the next look.
            *self.contradictory.entry(entry).or_insert(0) += 1;
            return Ok(false);
        };
        bureau.store.note_fetched(self.bank.number, listed(&fetched.entry), fetched.sha256)?;
        failpoint!("fetch.noted");
        self.look_at_its_data_again(bureau, &fetched.entry)?;
        failpoint!("fetch.done");
        Ok(true)
    }

    /// The digest whose end is the file's end: its own, or for a control file that of its data file. `None`: not fetched.
    fn digest_that_counts(&self, bureau: &Bureau, entry: &Entry) -> Step<Option<[u8; 32]>> {
        let conn = bureau.store.connection();
        let own = lines::fetched(conn, self.bank.number, listed(entry))?;
        let Some(data) = own.and_then(|_| self.data_file(bureau, entry)) else { return Ok(own) };
        Ok(lines::newest_fetched(conn, self.bank.number, data.as_bytes())?.or(own))
    }

    /// A new control file for a data file that went to quarantine: the pair is to be judged again.
    fn look_at_its_data_again(&mut self, bureau: &mut Bureau, control: &Entry) -> Step<()> {
        let Some(data) = self.data_file(bureau, control) else { return Ok(()) };
        let conn = bureau.store.connection();
        let Some(sha256) = lines::newest_fetched(conn, self.bank.number, data.as_bytes())? else { return Ok(()) };
        if self.ended(bureau, &sha256)? == Some(FileState::Quarantined) {
            bureau.store.forget_fetched(self.bank.number, data.as_bytes())?;
            self.done.retain(|entry| entry.name != data.as_bytes());
        }
        Ok(())
    }

    /// The final state of a file of this bank with these bytes, if it has one.
    fn ended(&self, bureau: &Bureau, sha256: &[u8; 32]) -> Step<Option<FileState>> {
        let sender = Sender::Bank(self.bank.number, self.bank.key.clone()).text();
        Ok(files::ended_from(bureau.store.connection(), &sender, sha256)?)
    }

    /// The name of the data file that a control file belongs to.
    fn data_file(&self, bureau: &Bureau, entry: &Entry) -> Option<String> {
        let layout = bureau.layouts.get(&self.bank.number)?;
        match self.kind(bureau, entry)? {
            (FileKind::ReturnControl, name, part) => layout.sibling(name, FileKind::Return, part),
            _ => None,
        }
    }

    /// What a name says, if it is that of a return file or of its control file: kind, name and part.
    fn kind<'e>(&self, bureau: &Bureau, entry: &'e Entry) -> Option<(FileKind, &'e str, Option<u8>)> {
        let name = std::str::from_utf8(&entry.name).ok()?;
        let (kind, parts) = bureau.layouts.get(&self.bank.number)?.recognise(name)?;
        matches!(kind, FileKind::Return | FileKind::ReturnControl).then_some((kind, name, parts.part))
    }

    /// What becomes of a file at the bank that has come to its end with us. One that was not booked stays where it is: it
    /// is the bank's to correct.
    fn end(&mut self, bureau: &mut Bureau, entry: Entry, state: FileState) -> Step<()> {
        let profile = self.profile.clone();
        if profile.after == After::Leave || state == FileState::Quarantined {
            self.done.insert(entry);
            return Ok(());
        }
        failpoint!("end.begun");
        if !self.is_there(&entry)? {
            return Ok(());
        }
        failpoint!("end.looked");
        let mut names = vec![entry.name.clone()];
        names.extend(profile.marker.iter().map(|marker| [&entry.name, marker.as_bytes()].concat()));
        for name in names {
            match put_one_away(self.connected()?, &profile, &name) {
                Ok(()) | Err(Fault::Gone { .. } | Fault::Refused { .. }) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        failpoint!("end.done");
        // Servers say "nothing there" of a missing folder too.
        if self.is_there(&entry)? {
            self.stuck.insert(entry.clone());
            self.done.insert(entry);
            return Ok(());
        }
        failpoint!("end.seen");
        bureau.store.note_gone(self.bank.number, listed(&entry))?;
        failpoint!("end.noted");
        Ok(())
    }

    /// Whether it still is the file that was listed.
    fn is_there(&mut self, entry: &Entry) -> Step<bool> {
        let profile = self.profile.clone();
        let path = RemotePath::new(&profile.get, &entry.name);
        Ok(inbound::look_again(self.connected()?, &profile, &path, entry)?.as_ref() == Some(entry))
    }

    /// What lies at the bank and is left alone: told whole after each visit, so that an alarm stands as long as its cause.
    fn note_odd(&mut self, odd: &[(Entry, Odd)], more: bool) {
        let left = odd.iter().map(|(entry, odd)| (entry, odd.words()));
        let failed = self.contradictory.iter().filter(|(_, failed)| **failed >= CONTRADICTIONS);
        let failed =
            failed.map(|(entry, _)| (entry, "its bytes are not as many as the server says, or it cannot be read"));
        let stuck = self.stuck.iter().map(|entry| (entry, "booked, but the bank lets us neither move nor delete it"));
        let shown = left.chain(failed).chain(stuck).take(ODDITIES).map(|(entry, why)| (shown(&entry.name), why));
        self.odd = shown.collect();
        if more {
            self.odd.insert("listing".to_owned(), "the folder has no end: only its first part is looked at");
        }
    }
}

/// The batch does not go, and the line is none the worse for it.
fn is_answer(error: &StepError) -> bool {
    match error {
        StepError::Refused(_) => true,
        StepError::Remote(fault) => fault.is_answer(),
        _ => false,
    }
}

fn listed(entry: &Entry) -> Listed<'_> {
    Listed { name: &entry.name, size: entry.size, mtime: entry.mtime }
}

fn put_one_away(remote: &mut SftpRemote, profile: &Profile, name: &[u8]) -> Result<(), Fault> {
    let path = RemotePath::new(&profile.get, name);
    match &profile.after {
        After::Leave => Ok(()),
        After::Delete => remote.remove(&path),
        After::Move(folder) => {
            let moved = remote.rename(&path, &RemotePath::new(folder, name));
            let Err(Fault::Refused { .. }) = moved else { return moved };
            // A file of that name may lie there from before.
            let other = [name, b".", seconds_now().to_string().as_bytes()].concat();
            remote.rename(&path, &RemotePath::new(folder, &other))
        }
    }
}

/// A name as it may stand in a log: by its digest, since the bank may put anything into it.
fn shown(name: &[u8]) -> String {
    hex(&sha256(name))[..8].to_owned()
}

/// Full jitter: anything up to a limit that doubles. Many couriers that failed together do not come back together.
pub(super) fn jittered(failures: u32, longest: Duration) -> Duration {
    let limit = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    let random = RandomState::new().build_hasher().finish();
    Duration::from_millis(random % (limit.as_millis() as u64 + 1))
}

pub(super) fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
