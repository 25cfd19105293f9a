//! The bank's desk: takes what was delivered, remembers it, answers, and publishes each answer when its time has come.
//!
//! All memory is plain files below the bank's root, so that a bank that is started again knows what it was asked and
//! still owes: `received.log`, `refused.log`, and answers that wait in `waiting/`.

use crate::cli::bank::{Request, ReturnFile, SimulatedBank, Style, truncated};
use crate::cli::bank_sim::misbehave::{Kind, Manners};
use crate::cli::bank_sim::setup::{BankSetup, Today};
use crate::cli::shanghai_now;
use crate::domain::calendar::{Date, from_yyyymmdd};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What one bank knows and owes.
pub(super) struct Desk {
    setup: BankSetup,
    manners: Arc<Manners>,
    bank: SimulatedBank<'static>,
    /// Where swept files lie, by their name.
    swept: BTreeMap<String, PathBuf>,
    waiting: Vec<Waiting>,
    next_place: u64,
    listings: u64,
}

/// An answer that was not published yet: a file in `waiting/`, whose time is the time when it is due.
struct Waiting {
    path: PathBuf,
    name: String,
    /// Over a file of that name; else it waits until the name is free.
    replaces: bool,
    due: SystemTime,
    /// Not before so many listings.
    listing: Option<u64>,
}

/// An instruction file, whole.
struct Delivered {
    name: String,
    bytes: Vec<u8>,
    control: Option<Vec<u8>>,
}

/// When an answer may come, beside its time.
struct Step {
    file: ReturnFile,
    replaces: bool,
    /// Listings after the first moment.
    listings: u64,
    /// Its place among the return files of the batch.
    place: u64,
}

impl Desk {
    /// Opens the books of a bank, and takes what was delivered while it was closed.
    pub(super) fn open(setup: &BankSetup, manners: Arc<Manners>) -> io::Result<Desk> {
        let mut bank = SimulatedBank::new(setup.layout, setup.behaviour());
        if let Some(files) = setup.return_files {
            bank.answer_in(files);
        }
        let mut known = BTreeSet::new();
        for line in lines(&setup.root.join("received.log"))? {
            let parts: Vec<&str> = line.split(' ').collect();
            if let [name, digest, rows, _, batch] = parts[..] {
                bank.remember(batch, rows.parse().unwrap_or(0));
                known.insert((name.to_owned(), digest.to_owned()));
            }
        }
        for line in lines(&setup.root.join("refused.log"))? {
            let mut parts = line.split(' ').map(str::to_owned);
            known.extend(parts.next().zip(parts.next()));
        }
        let mut desk = Desk {
            setup: setup.clone(),
            manners,
            bank,
            swept: BTreeMap::new(),
            waiting: Vec::new(),
            next_place: 1,
            listings: 0,
        };
        desk.find_waiting()?;
        desk.take_what_came_before(&known)?;
        Ok(desk)
    }

    /// Takes a file out of the upload folder.
    pub(super) fn sweep(&mut self, name: &str) {
        let folder = self.setup.root.join("taken");
        let free = |number: u32| match number {
            1 => folder.join(name),
            number => folder.join(format!("{name}.{number}")),
        };
        let target = (1..).map(free).find(|path| !path.exists()).unwrap_or_default();
        let from = self.setup.root.join(&self.setup.upload).join(name);
        let moved = fs::create_dir_all(&folder).and_then(|()| fs::rename(from, &target));
        match moved {
            Ok(()) => drop(self.swept.insert(name.to_owned(), target)),
            Err(error) => tracing::error!("cannot take {name}: {error}"),
        }
    }

    /// Reads what was delivered under a final name, and answers; `at_once` without any delay.
    pub(super) fn arrived(&mut self, name: &str, at_once: bool) {
        if let Err(error) = self.answer(name, at_once) {
            tracing::error!("{name}: {error}");
        }
        self.publish(false);
    }

    /// The return folder is being listed: what waited for that comes now.
    pub(super) fn listed(&mut self) {
        self.publish(true);
        self.listings += 1;
    }

    /// Time has passed.
    pub(super) fn look_at_the_clock(&mut self) {
        if !self.waiting.is_empty() {
            self.publish(false);
        }
    }

    /// The bank found out about the rows that it did not know, and answers them again; in how many files.
    pub(super) fn find_out(&mut self, today: Date) -> io::Result<usize> {
        let files = self.bank.found_out(today);
        let count = files.len();
        self.queue(files, true)?;
        self.publish(false);
        Ok(count)
    }

    /// Another business date from here on.
    pub(super) fn set_today(&mut self, today: Date) {
        self.setup.today = Today::On(today);
    }

    /// The books of the bank itself.
    pub(super) fn bank(&self) -> &SimulatedBank<'static> {
        &self.bank
    }

    fn answer(&mut self, name: &str, at_once: bool) -> io::Result<()> {
        let Some(Delivered { name, bytes, control }) = self.delivered(name)? else { return Ok(()) };
        let digest = hex(&Sha256::digest(&bytes));
        let request = match self.bank.read(&name, &bytes, control.as_deref()) {
            Ok(request) => request,
            Err(why) => return self.refuse(&name, &digest, &format!("unsound {why}")),
        };
        let today = self.today(&request);
        if self.bank.has_had(&request) {
            self.refuse(&name, &digest, &format!("duplicate-batch {}", request.batch()))?;
            let refusal = self.bank.refuse_again(&request, today);
            return self.queue(refusal.into_iter().collect(), at_once);
        }
        let line = format!("{name} {digest} {} {} {}", request.rows(), request.amount().to_decimal(), request.batch());
        let debit_date = request.value_date().filter(|_| self.setup.book_on_debit_date);
        let files = self.bank.settle(request, debit_date.unwrap_or(today), today);
        // The answers first: a bank that dies here is asked again, and owes nothing that it forgot.
        self.queue(files, at_once)?;
        self.log("received.log", &line)
    }

    /// The file of this name and what belongs to it; `None` while one of the two is missing.
    fn delivered(&self, name: &str) -> io::Result<Option<Delivered>> {
        if self.setup.layout != Style::Postal {
            let bytes = self.bytes_of(name)?;
            return Ok(bytes.map(|bytes| Delivered { name: name.to_owned(), bytes, control: None }));
        }
        let (data, control) = (with_ending(name, "TXT"), with_ending(name, "CTL"));
        let halves = self.bytes_of(&data)?.zip(self.bytes_of(&control)?);
        Ok(halves.map(|(bytes, control)| Delivered { name: data, bytes, control: Some(control) }))
    }

    fn bytes_of(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let there = self.setup.root.join(&self.setup.upload).join(name);
        let path = if there.exists() { Some(&there) } else { self.swept.get(name) };
        path.map(fs::read).transpose()
    }

    fn refuse(&self, name: &str, digest: &str, why: &str) -> io::Result<()> {
        tracing::warn!(user = %self.setup.user, "refused {name}: {why}");
        self.log("refused.log", &format!("{name} {digest} {why}"))
    }

    fn log(&self, file: &str, line: &str) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.setup.root.join(file))?;
        file.write_all(format!("{line}\n").as_bytes())
    }

    fn today(&self, request: &Request) -> Date {
        let in_number = || request.batch().get(..8)?.parse().ok().and_then(from_yyyymmdd);
        match self.setup.today {
            Today::On(date) => date,
            Today::Request => in_number().unwrap_or_else(|| shanghai_now().date()),
            Today::Clock => shanghai_now().date(),
        }
    }

    fn queue(&mut self, files: Vec<ReturnFile>, at_once: bool) -> io::Result<()> {
        let (delay, after) = if at_once { (0, 0) } else { (self.setup.delay_s, self.setup.after_listings) };
        let now = SystemTime::now();
        for step in self.steps(files) {
            let between = if at_once { 0 } else { self.setup.between_s * step.place };
            let due = now + Duration::from_secs(delay + between);
            let wait = after + step.listings;
            let listing = (wait > 0).then_some(self.listings + wait);
            let mark = if step.replaces { '=' } else { '~' };
            let path = self.waiting_folder().join(format!("{:08}{mark}{}", self.next_place, step.file.name));
            self.next_place += 1;
            let mut file = File::create(&path)?;
            file.write_all(&step.file.bytes)?;
            file.set_modified(due)?;
            self.waiting.push(Waiting { path, name: step.file.name, replaces: step.replaces, due, listing });
        }
        Ok(())
    }

    /// The order in which the files of one batch come, and what goes wrong with it.
    fn steps(&self, mut files: Vec<ReturnFile>) -> Vec<Step> {
        // The simulated city bank deals its last file first; here that is a misbehaviour.
        if self.setup.layout == Style::City {
            files.sort_by(|one, other| one.name.cmp(&other.name));
        }
        let reorder = files.len() > 1 && self.manners.does(Kind::AnswersInWrongOrder);
        let cut = !files.is_empty() && self.manners.does(Kind::TruncatedAnswers);
        let again = !files.is_empty() && self.manners.does(Kind::DuplicateAnswers);
        if reorder {
            files.rotate_right(1);
        }
        let mut steps = Vec::new();
        for (file, place) in files.into_iter().zip(0..) {
            let mut listings = u64::from(reorder && place > 0);
            let mut step = |file: &ReturnFile, replaces, listings| {
                steps.push(Step { file: file.clone(), replaces, listings, place });
            };
            if cut {
                if !file.name.ends_with(".CTL") {
                    step(&truncated(&file), false, listings);
                }
                listings += 1;
            }
            step(&file, cut, listings);
            if again {
                step(&file, true, listings + 1);
                step(&file, false, listings + 2);
            }
        }
        steps
    }

    fn publish(&mut self, is_listing: bool) {
        let now = SystemTime::now();
        for one in std::mem::take(&mut self.waiting) {
            let target = self.setup.root.join(&self.setup.download).join(&one.name);
            let is_seen = one.listing.is_none_or(|listing| is_listing && listing <= self.listings);
            if one.due > now || !is_seen || (target.exists() && !one.replaces) {
                self.waiting.push(one);
                continue;
            }
            let file = File::options().append(true).open(&one.path);
            let moved = file.and_then(|file| file.set_modified(now)).and_then(|()| fs::rename(&one.path, &target));
            match moved {
                Ok(()) => tracing::info!(user = %self.setup.user, "published {}", one.name),
                Err(error) => tracing::error!("cannot publish {}: {error}", one.name),
            }
        }
    }

    fn waiting_folder(&self) -> PathBuf {
        self.setup.root.join("waiting")
    }

    fn find_waiting(&mut self) -> io::Result<()> {
        fs::create_dir_all(self.waiting_folder())?;
        for name in names(&self.waiting_folder())? {
            let path = self.waiting_folder().join(&name);
            let (place, rest) = name.split_at_checked(8).unwrap_or_default();
            let (Ok(place), Some(mark @ ('~' | '='))) = (place.parse::<u64>(), rest.chars().next()) else { continue };
            self.next_place = self.next_place.max(place + 1);
            let wait = self.setup.after_listings;
            self.waiting.push(Waiting {
                due: fs::metadata(&path)?.modified()?,
                path,
                name: rest[1..].to_owned(),
                replaces: mark == '=',
                listing: (wait > 0 || mark == '=').then_some(wait),
            });
        }
        Ok(())
    }

    /// Files that were delivered to a bank that was closed, or died before it had read them.
    fn take_what_came_before(&mut self, known: &BTreeSet<(String, String)>) -> io::Result<()> {
        let upload = self.setup.root.join(&self.setup.upload);
        for name in names(&upload)? {
            let is_data = is_awaited(self.setup.layout, &name) && !name.ends_with(".CTL");
            if is_data && !known.contains(&(name.clone(), hex(&Sha256::digest(fs::read(upload.join(&name))?)))) {
                self.arrived(&name, false);
            }
        }
        Ok(())
    }
}

/// Whether a file of this name is an instruction file, or belongs to one.
pub(super) fn is_awaited(layout: Style, name: &str) -> bool {
    // The logs have one line for a file, and its name is the first word of it.
    if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    match layout {
        Style::Rural => name.ends_with(".REQ"),
        Style::City => name.ends_with("_Q.DAT"),
        Style::Postal => name.starts_with("DK") && (name.ends_with(".TXT") || name.ends_with(".CTL")),
    }
}

fn with_ending(name: &str, ending: &str) -> String {
    Path::new(name).with_extension(ending).display().to_string()
}

/// Lines of a log; a log that is not there has none.
fn lines(path: &Path) -> io::Result<Vec<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Names of the files in a folder, sorted.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
