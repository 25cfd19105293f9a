//! One courier for each bank with a server of its own: a thread that goes there, delivers what may leave, and brings
//! what lies there. No bank's trouble delays another, and the daemon waits for none of them.
//!
//! Couriers take nothing on faith and keep nothing in mind: what may leave is read from the store, what was fetched is
//! noted there, and what is fetched is put where the daemon finds it as in any inbox.

use crate::config::Bank;
use crate::daemon::bureau::{Bureau, Clock, Order, Step, StepError, fetched_path};
use crate::daemon::delivering::{Way, deliver_batch};
use crate::daemon::receipts::Sender;
use crate::daemon::releasing::withdraw_if_late;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::BatchState;
use crate::format::layout::FileKind;
use crate::store::lines::{self, Failing, Listed};
use crate::store::{FileState, batches, files};
use crate::transport::inbound::{self, Fetched, LISTED, Odd, Quiet};
use crate::transport::profile::{After, Profile};
use crate::transport::remote::{Entry, Fault, Remote, RemotePath};
use crate::transport::sftp::SftpRemote;
use crate::transport::watchdog::Watchdog;
use crate::transport::{hex, sha256};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::ffi::OsStrExt;
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

/// Connections that are used more often than this are kept open.
const KEPT_OPEN: Duration = Duration::from_secs(30);

/// The pause after the first failure is below this; the limit doubles with each further one, up to the profile's.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// How often a blocked line is looked at: a person may have mended it.
const BLOCKED_LOOK: Duration = Duration::from_secs(5);

/// A file that did not come as it is listed is left alone after so many attempts, until it changes.
const CONTRADICTIONS: u32 = 3;

/// Oddities that are shown at most.
const ODDITIES: usize = 20;

/// How long a stop waits for all couriers together.
const LAST_WORD: Duration = Duration::from_secs(2);

impl Couriers {
    /// Sends a courier to every bank that has a server of its own.
    pub fn start(bureau: &Bureau, clock: Clock, hint: &mpsc::Sender<()>) -> Step<Couriers> {
        let watchdog = Arc::new(Watchdog::default());
        let mut lines = Vec::new();
        for bank in &bureau.config.banks {
            let Some(profile) = bank.sftp.clone() else { continue };
            let folder = fetched_path(&bureau.config.state, &bank.key);
            crate::transport::make_folder(&folder)?;
            let desk = Arc::new(Desk { told: Mutex::default(), bell: Condvar::new(), hint: hint.clone() });
            let courier = Courier {
                bureau: bureau.beside()?,
                bank: bank.clone(),
                digest: sha256(format!("{profile:?}").as_bytes()),
                profile,
                watchdog: watchdog.clone(),
                clock,
                desk: desk.clone(),
                remote: None,
                quiet: Quiet::default(),
                done: HashSet::new(),
                contradictory: BTreeMap::new(),
                stuck: BTreeSet::new(),
                resting: BTreeMap::new(),
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
    profile: Arc<Profile>,
    digest: [u8; 32],
    watchdog: Arc<Watchdog>,
    clock: Clock,
    desk: Arc<Desk>,
    remote: Option<SftpRemote>,
    quiet: Quiet,
    /// Files at the bank with which nothing more is to be done: spares asking the store each time.
    done: HashSet<Entry>,
    /// Files that did not come as they are listed: how often. They are not fetched again and again.
    contradictory: BTreeMap<Entry, u32>,
    /// Booked files that the bank lets us neither move nor delete.
    stuck: BTreeSet<Entry>,
    /// Batches that the server refused: how often, and when they are tried again.
    resting: BTreeMap<BatchNumber, (u32, Instant)>,
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
            // Another profile than the one that failed is another line.
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
        if failing.retry_at > now && failing.retry_at.abs_diff(now) <= self.profile.longest_pause.as_secs() {
            return Duration::from_secs(failing.retry_at.abs_diff(now)).min(BLOCKED_LOOK);
        }
        let was_open = self.remote.is_some();
        let mut visited = self.visit(cleared);
        if was_open && matches!(visited, Err(StepError::Remote(Fault::Lost { .. }))) && !self.watchdog.is_stopped() {
            // Servers end connections that were idle: that is no failure.
            visited = self.visit(cleared);
        }
        match visited {
            Ok(()) => self.went_well(&failing),
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
        let rested = self.resting.values().map(|(_, at)| at.saturating_duration_since(Instant::now())).min();
        rested.map_or(self.profile.poll, |rested| rested.min(self.profile.poll))
    }

    /// Stores how often the line failed and when it is tried again; what only a person can mend is not tried again.
    fn failed(&mut self, error: &StepError, before: &Failing) -> Duration {
        self.remote = None;
        if self.watchdog.is_stopped() {
            return self.profile.longest_pause;
        }
        let failures = before.failures + 1;
        let wait = jittered(failures, self.profile.longest_pause);
        let is_for_a_person = matches!(error, StepError::Remote(fault) if fault.is_for_a_person());
        let retry_at = seconds_now() + wait.as_secs() as i64;
        self.desk.note(|standing| {
            (standing.is_up, standing.is_blocked, standing.trouble) = (false, is_for_a_person, error.to_string());
        });
        let trouble = error.to_string();
        let failing = Failing { failures, retry_at, is_blocked: is_for_a_person, trouble, profile: self.digest };
        if let Err(error) = self.bureau.store.note_failing(self.bank.number, &failing) {
            tracing::warn!(bank = self.bank.key, "cannot store when to try the line again: {error}");
        }
        wait
    }

    fn visit(&mut self, cleared: &BTreeSet<BatchNumber>) -> Step<()> {
        let mut remote = match self.remote.take() {
            Some(remote) => remote,
            None => SftpRemote::connect(&self.profile, &self.watchdog)?,
        };
        self.deliver(&mut remote, cleared)?;
        self.fetch(&mut remote)?;
        if self.profile.poll < KEPT_OPEN {
            self.remote = Some(remote);
        }
        Ok(())
    }

    fn order(&self) -> Order {
        self.clock.order()
    }

    /// Delivers what is on its way, and what may leave. A file that the server refuses does not hold up the others.
    fn deliver(&mut self, remote: &mut SftpRemote, cleared: &BTreeSet<BatchNumber>) -> Step<()> {
        let states = [BatchState::Released, BatchState::Sending];
        let mut waiting = batches::in_states(self.bureau.store.connection(), &states)?;
        waiting.retain(|batch| batch.bank == Some(self.bank.number));
        self.resting.retain(|number, _| waiting.iter().any(|batch| batch.number == *number));
        self.desk.note(|standing| standing.refused.retain(|number, _| waiting.iter().any(|b| b.number == *number)));
        for batch in waiting {
            let may_leave = batch.state == BatchState::Sending || cleared.contains(&batch.number);
            let rests = self.resting.get(&batch.number).is_some_and(|(_, until)| *until > Instant::now());
            if !may_leave || rests {
                continue;
            }
            let order = self.order();
            if withdraw_if_late(&mut self.bureau, &batch, &order)?.is_some() {
                continue;
            }
            let mut way = Way::over(remote, &self.profile);
            match deliver_batch(&mut self.bureau, &batch, &mut way, &order) {
                Ok(report) => {
                    let (number, state) = (batch.number.to_string(), report.state.word());
                    tracing::info!(batch = number, state, "batch {number} {state}");
                    self.resting.remove(&batch.number);
                    self.desk.note(|standing| _ = standing.refused.remove(&batch.number));
                }
                Err(StepError::Remote(fault)) if fault.is_answer() => self.refused(batch.number, fault.to_string()),
                Err(StepError::Refused(words)) => self.refused(batch.number, words),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn refused(&mut self, batch: BatchNumber, words: String) {
        let times = self.resting.get(&batch).map_or(1, |(times, _)| times + 1);
        self.resting.insert(batch, (times, Instant::now() + jittered(times, self.profile.longest_pause)));
        self.desk.note(|standing| _ = standing.refused.insert(batch, words));
    }

    /// Brings what lies at the bank, and does with what is booked what the profile says. Names that no return file can
    /// have are left alone and told: the folder is the bank's, and may hold other people's files, without end even.
    fn fetch(&mut self, remote: &mut SftpRemote) -> Step<()> {
        let listing = remote.list(&self.profile.get, LISTED)?;
        let (found, mut odd) = inbound::sort(&self.profile, &listing.entries);
        let (found, others): (Vec<Entry>, Vec<Entry>) = found.into_iter().partition(|entry| self.is_return(entry));
        odd.extend(others.into_iter().map(|entry| (entry, Odd::NoReturn)));
        self.done.retain(|entry| found.contains(entry));
        self.contradictory.retain(|entry, _| found.contains(entry));
        self.stuck.retain(|entry| found.contains(entry));
        let settled = self.quiet.settled(&self.profile, &found, Instant::now()).into_iter().cloned();
        let is_hopeless = |entry: &Entry| self.contradictory.get(entry).is_some_and(|failed| *failed >= CONTRADICTIONS);
        let open = settled.filter(|entry| !self.done.contains(entry) && !is_hopeless(entry));
        for entry in open.collect::<Vec<Entry>>() {
            self.bureau.pulse.is_running()?;
            self.take_care_of(remote, entry)?;
        }
        self.show_odd(&odd, listing.more);
        Ok(())
    }

    fn is_return(&self, entry: &Entry) -> bool {
        let layout = self.bureau.layouts.get(&self.bank.number);
        let name = std::str::from_utf8(&entry.name).ok();
        let known = layout.zip(name).and_then(|(layout, name)| layout.recognise(name));
        known.is_some_and(|(kind, _)| matches!(kind, FileKind::Return | FileKind::ReturnControl))
    }

    /// Fetches a file that is not known, waits for one that lies with us, puts away one that is booked.
    fn take_care_of(&mut self, remote: &mut SftpRemote, entry: Entry) -> Step<()> {
        let folder = fetched_path(&self.bureau.config.state, &self.bank.key);
        if let Some(sha256) = self.digest_that_counts(&entry)? {
            if folder.join(OsStr::from_bytes(&entry.name)).exists() {
                return Ok(());
            }
            if self.ended(&sha256)?.is_some() {
                return self.put_away(remote, entry);
            }
            // Our copy is gone and nothing was booked of it: fetch it again.
        }
        match inbound::fetch(remote, &self.profile, &entry, &folder)? {
            Some(Fetched { entry, sha256 }) => {
                self.bureau.store.note_fetched(self.bank.number, listed(&entry), sha256)?;
                self.look_at_its_data_again(&entry)
            }
            // It may have been written just now: again at the next look.
            None => {
                *self.contradictory.entry(entry).or_insert(0) += 1;
                Ok(())
            }
        }
    }

    /// The digest whose end is the file's end: its own, or for a control file that of its data file. `None`: not fetched.
    fn digest_that_counts(&self, entry: &Entry) -> Step<Option<[u8; 32]>> {
        let conn = self.bureau.store.connection();
        let own = lines::fetched(conn, self.bank.number, listed(entry))?;
        let Some(data) = own.and_then(|_| self.data_file(entry)) else { return Ok(own) };
        Ok(lines::newest_fetched(conn, self.bank.number, data.as_bytes())?.or(own))
    }

    /// A new control file for a data file that went to quarantine: the pair is to be judged again.
    fn look_at_its_data_again(&mut self, control: &Entry) -> Step<()> {
        let Some(data) = self.data_file(control) else { return Ok(()) };
        let newest = lines::newest_fetched(self.bureau.store.connection(), self.bank.number, data.as_bytes())?;
        let Some(sha256) = newest else { return Ok(()) };
        if self.ended(&sha256)? == Some(FileState::Quarantined) {
            self.bureau.store.forget_fetched(self.bank.number, data.as_bytes())?;
            self.done.retain(|entry| entry.name != data.as_bytes());
        }
        Ok(())
    }

    /// The name of the data file that a control file belongs to.
    fn data_file(&self, entry: &Entry) -> Option<String> {
        let layout = self.bureau.layouts.get(&self.bank.number)?;
        let name = std::str::from_utf8(&entry.name).ok()?;
        match layout.recognise(name)? {
            (FileKind::ReturnControl, parts) => layout.sibling(name, FileKind::Return, parts.part),
            _ => None,
        }
    }

    /// The final state of a file with these bytes, if it has one.
    fn ended(&self, sha256: &[u8; 32]) -> Step<Option<FileState>> {
        let sender = Sender::Bank(self.bank.number, self.bank.key.clone()).text();
        Ok(files::ended_from(self.bureau.store.connection(), &sender, sha256)?)
    }

    /// What becomes of a file at the bank once it is booked: only if it still is the one that was fetched.
    fn put_away(&mut self, remote: &mut SftpRemote, entry: Entry) -> Step<()> {
        let path = RemotePath::new(&self.profile.get, &entry.name);
        let is_there = |courier: &Courier, remote: &mut SftpRemote| {
            Ok::<bool, Fault>(inbound::look_again(remote, &courier.profile, &path, &entry)?.as_ref() == Some(&entry))
        };
        if self.profile.after != After::Leave && is_there(self, remote)? {
            let mut names = vec![entry.name.clone()];
            names.extend(self.profile.marker.iter().map(|marker| [&entry.name, marker.as_bytes()].concat()));
            for name in names {
                match self.put_one_away(remote, &name) {
                    Ok(()) | Err(Fault::Gone { .. } | Fault::Refused { .. }) => {}
                    Err(fault) => return Err(fault.into()),
                }
            }
            // Servers say "nothing there" of a missing folder too.
            if is_there(self, remote)? {
                self.stuck.insert(entry.clone());
            }
        }
        self.done.insert(entry);
        Ok(())
    }

    fn put_one_away(&self, remote: &mut SftpRemote, name: &[u8]) -> Result<(), Fault> {
        let path = RemotePath::new(&self.profile.get, name);
        match &self.profile.after {
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

    /// What lies at the bank and is left alone: told whole after each visit, so that an alarm stands as long as its cause.
    fn show_odd(&self, odd: &[(Entry, Odd)], more: bool) {
        let mut words: BTreeMap<String, &'static str> = BTreeMap::new();
        if more {
            words.insert("listing".to_owned(), "the folder has no end: only its first part is looked at");
        }
        let left = odd.iter().map(|(entry, odd)| (entry, odd.words()));
        let failed = self.contradictory.iter().filter(|(_, failed)| **failed >= CONTRADICTIONS);
        let failed =
            failed.map(|(entry, _)| (entry, "its bytes are not as many as the server says, or it cannot be read"));
        let stuck = self.stuck.iter().map(|entry| (entry, "booked, but the bank lets us neither move nor delete it"));
        for (entry, why) in left.chain(failed).chain(stuck).take(ODDITIES) {
            words.insert(shown(&entry.name), why);
        }
        self.desk.note(|standing| standing.odd = words);
    }
}

fn listed(entry: &Entry) -> Listed<'_> {
    Listed { name: &entry.name, size: entry.size, mtime: entry.mtime }
}

/// A name as it may stand in a log: by its digest, since the bank may put anything into it.
fn shown(name: &[u8]) -> String {
    hex(&sha256(name))[..8].to_owned()
}

/// Full jitter: anything up to a limit that doubles. Many couriers that failed together do not come back together.
fn jittered(failures: u32, longest: Duration) -> Duration {
    let limit = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    let random = RandomState::new().build_hasher().finish();
    Duration::from_millis(random % (limit.as_millis() as u64 + 1))
}

fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
