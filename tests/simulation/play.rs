//! One seed: what everybody does, in which order, and when the lights go out.

use crate::bank_files::{self, Answer, Echo, Layout, Reply, Request};
use crate::bureau::{Ground, first_day, names};
use crate::people::{AT_COUNTER, BANKS, NEVER_LISTED, OWN, Payment, TIER, YEARS, list, payments, roster};
use daikou::daemon::Wake;
use daikou::daemon::bureau::{Step, StepError};
use daikou::daemon::rounds::Rounds;
use daikou::domain::calendar::{Date, days_before, next_day};
use daikou::failpoint::disk::{self, Chance, Death};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Why a seed fails, in words.
pub(crate) type Played<T> = Result<T, String>;

/// Files that a sender gives as one, with their bytes.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    inbox: String,
    files: Vec<(String, Vec<u8>)>,
    /// It is whole; a cut one is followed by a whole one.
    is_whole: bool,
}

/// A file that lay in an inbox.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) inbox: String,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Its sender wrote over it or took it back: it may never have been seen.
    pub(crate) is_disturbed: bool,
}

/// One row that a bank was asked, and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) person: String,
    pub(crate) fee_year: i16,
    pub(crate) instruction: String,
    pub(crate) batch_on: String,
    pub(crate) fen: u64,
    pub(crate) said: Option<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Paid(Date),
    NoMoney,
    Unknown,
}

/// A file that a bank took out of its folder.
pub(crate) struct Taken {
    pub(crate) bank: &'static str,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) deaths: u64,
    pub(crate) power_cuts: u64,
    pub(crate) forgotten: u64,
    pub(crate) files: u64,
    pub(crate) requests: u64,
    pub(crate) postings: u64,
}

pub(crate) struct Play<'g> {
    pub(crate) ground: &'g Ground,
    chance: Chance,
    pub(crate) today: Date,
    daemon: Option<Rounds>,
    /// The power goes as soon as the daemon has looked once: whatever it took for granted is put to the test.
    goes_dark: bool,
    told: bool,
    /// Everything that happened, hashed: the same seed plays the same.
    pub(crate) trace: u64,
    pub(crate) tally: Tally,
    waiting: Vec<Parcel>,
    /// What is given once more in the end, since nobody can say whether it was seen.
    again: Vec<Parcel>,
    pub(crate) given: Vec<Given>,
    pub(crate) taken: Vec<Taken>,
    pub(crate) asked: Vec<Asked>,
    answered: BTreeSet<String>,
    pub(crate) payments: Vec<Payment>,
    /// Business dates on which the bureau worked since the beginning.
    pub(crate) days: Vec<Date>,
}

/// Plays a seed to its end and holds everything against the oracle.
pub(crate) fn play(ground: &Ground, seed: u64, told: bool) -> (Played<()>, u64, Tally) {
    let graves = ground.renew();
    disk::begin(&graves, told);
    let mut play = Play {
        ground,
        chance: Chance(seed.wrapping_mul(0xA076_1D64_78BD_642F)),
        today: first_day(),
        daemon: None,
        goes_dark: false,
        told,
        trace: 0,
        tally: Tally::default(),
        waiting: Vec::new(),
        again: Vec::new(),
        given: Vec::new(),
        taken: Vec::new(),
        asked: Vec::new(),
        answered: BTreeSet::new(),
        payments: Vec::new(),
        days: vec![first_day()],
    };
    let ended = play.go().and_then(|()| play.settle()).and_then(|()| crate::oracle::check(&mut play));
    drop(play.daemon.take());
    disk::end();
    (ended, play.trace, play.tally)
}

impl Play<'_> {
    fn go(&mut self) -> Played<()> {
        for _ in 0..8 + self.chance.below(14) {
            if self.chance.once_in(2) {
                // Some lives are short, some last for several acts.
                let one_in = [10, 40, 150][self.chance.below(3) as usize];
                disk::let_die(self.chance.below(u64::MAX), one_in);
            }
            self.act()?;
        }
        disk::let_live();
        Ok(())
    }

    fn act(&mut self) -> Played<()> {
        match self.chance.below(16) {
            0..=3 => self.give_something()?,
            4 | 5 => self.pay_at_counter(),
            6 | 7 => self.approve()?,
            8..=10 => self.banks_work()?,
            11 | 12 => self.jump()?,
            13 => self.list_again(),
            14 => self.restart()?,
            _ => {}
        }
        self.round()
    }

    /// Tells what happens, and remembers it.
    pub(crate) fn note(&mut self, words: &str) {
        if self.told {
            println!("{} {words}", self.today);
        }
        for byte in words.bytes() {
            self.trace = self.trace.rotate_left(5).wrapping_mul(31) ^ u64::from(byte);
        }
    }

    /// One round of the daemon; files age by some seconds before it.
    fn round(&mut self) -> Played<()> {
        disk::advance(Duration::from_secs(3));
        let (ground, today) = (self.ground, self.today);
        let mut daemon = self.daemon.take();
        let done = self.alive("round", || {
            let mut rounds = match daemon.take() {
                Some(rounds) => rounds,
                None => ground.start(today)?,
            };
            rounds.round(Wake::Sweep)?;
            Ok(rounds)
        })?;
        self.daemon = done;
        if self.goes_dark && self.daemon.is_some() {
            self.daemon = None;
            self.cut_power();
        }
        Ok(())
    }

    fn approve(&mut self) -> Played<()> {
        let (ground, today) = (self.ground, self.today);
        if let Some(count) = self.alive("approve", || ground.approve_all(today))? {
            self.note(&format!("approve: {count}"));
        }
        Ok(())
    }

    /// Does a step of the product; `None` where the process died of it.
    fn alive<T>(&mut self, what: &str, step: impl FnOnce() -> Step<T>) -> Played<Option<T>> {
        let done = catch_unwind(AssertUnwindSafe(step));
        if let Some(place) = disk::died_at() {
            // What it still held goes with it: nothing of that reached the disk.
            drop(done);
            self.daemon = None;
            self.die(what, &place)?;
            return Ok(None);
        }
        match done {
            Ok(Ok(done)) => Ok(Some(done)),
            Ok(Err(StepError::Refused(words))) => Err(format!("{what}: refused: {words}")),
            Ok(Err(error)) => Err(format!("{what}: {error}")),
            Err(panic) if panic.is::<Death>() => Err(format!("{what}: a death that was not written down")),
            Err(panic) => {
                let words = panic.downcast_ref::<String>().map(String::as_str);
                let words = words.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words");
                Err(format!("{what}: panicked: {words}"))
            }
        }
    }

    /// The process is gone. Others go on, as long as there is power.
    fn die(&mut self, what: &str, place: &str) -> Played<()> {
        self.tally.deaths += 1;
        self.note(&format!("DIES in {what} at {place}"));
        if self.chance.once_in(2) {
            self.mischief();
        }
        match self.chance.below(6) {
            0 => self.banks_fetch()?,
            1 => {}
            2 => self.goes_dark = true,
            _ => self.cut_power(),
        }
        Ok(())
    }

    fn cut_power(&mut self) {
        self.goes_dark = false;
        self.tally.power_cuts += 1;
        let gone = disk::forget(&mut self.chance);
        self.tally.forgotten += gone.len() as u64;
        self.note(&format!(
            "POWER CUT: {}",
            if gone.is_empty() { "nothing is lost".to_owned() } else { gone.join("; ") }
        ));
    }

    /// Stops the daemon between two rounds; now and then the power goes meanwhile.
    fn restart(&mut self) -> Played<()> {
        self.daemon = None;
        self.note("the daemon is stopped");
        if self.chance.once_in(2) {
            self.cut_power();
        }
        Ok(())
    }

    /// The clock jumps; the daemon is started anew with the date.
    fn jump(&mut self) -> Played<()> {
        const DAYS: [(i16, i8, i8); 14] = [
            (2018, 7, 31),
            (2018, 8, 31),
            (2018, 9, 1),
            (2018, 11, 30),
            (2018, 12, 1),
            (2018, 12, 31),
            (2019, 1, 1),
            (2019, 2, 28),
            (2019, 8, 31),
            (2019, 9, 1),
            (2019, 11, 30),
            (2019, 12, 31),
            (2020, 2, 29),
            (2020, 3, 1),
        ];
        let next = DAYS.map(|(year, month, day)| Date::new(year, month, day).unwrap());
        let before = self.today;
        self.today = match self.chance.below(8) {
            0 => days_before(self.today, 1),
            1 => next.into_iter().find(|day| *day > self.today).unwrap_or(next_day(self.today)),
            2 => next_day(next_day(next_day(self.today))),
            _ => next_day(self.today),
        };
        self.daemon = None;
        self.days.push(self.today);
        self.note("the date changes");
        if before.year() < 2019 && self.today.year() == 2019 {
            self.waiting.push(list_of(2019, false));
        }
        Ok(())
    }

    // ---- senders

    fn give_something(&mut self) -> Played<()> {
        for _ in 0..=self.chance.below(2) {
            if self.waiting.is_empty() {
                return Ok(());
            }
            let place = self.chance.below(self.waiting.len() as u64) as usize;
            let parcel = self.waiting.remove(place);
            self.give(&parcel)?;
            if self.chance.once_in(4) {
                // Once more, some time.
                self.waiting.push(parcel);
            }
        }
        Ok(())
    }

    fn give(&mut self, parcel: &Parcel) -> Played<()> {
        let mut files = parcel.files.clone();
        if self.chance.once_in(2) {
            files.reverse();
        }
        for (name, bytes) in files {
            self.put(&parcel.inbox, &name, &bytes);
            if self.chance.once_in(6) {
                self.round()?;
            }
        }
        if !parcel.is_whole {
            self.again.push(parcel.clone());
        }
        Ok(())
    }

    /// Under a hidden name, then over whatever has the name.
    fn put(&mut self, inbox: &str, name: &str, bytes: &[u8]) {
        let folder = self.ground.drops(inbox);
        self.disturb(inbox, name);
        self.note(&format!("{inbox}/{name}: {} bytes arrive", bytes.len()));
        fs::write(folder.join(format!(".{name}.tmp")), bytes).unwrap();
        fs::rename(folder.join(format!(".{name}.tmp")), folder.join(name)).unwrap();
        self.tally.files += 1;
        let (inbox, name, bytes) = (inbox.to_owned(), name.to_owned(), bytes.to_vec());
        self.given.push(Given { inbox, name, bytes, is_disturbed: false });
    }

    /// What lies under the name now may never be seen: it comes again in the end.
    fn disturb(&mut self, inbox: &str, name: &str) {
        if fs::symlink_metadata(self.ground.drops(inbox).join(name)).is_err() {
            return;
        }
        let lying = self.given.iter_mut().rev().find(|given| given.inbox == inbox && given.name == name);
        if let Some(given) = lying {
            given.is_disturbed = true;
        }
    }

    /// While the process is dead a sender takes a file back, or writes another over it.
    fn mischief(&mut self) {
        let inboxes = Ground::inboxes();
        let inbox = &inboxes[self.chance.below(inboxes.len() as u64) as usize];
        let lying = names(&self.ground.drops(inbox));
        if lying.is_empty() {
            return;
        }
        let name = &lying[self.chance.below(lying.len() as u64) as usize];
        self.disturb(inbox, name);
        self.note(&format!("{inbox}/{name}: taken back by its sender"));
        fs::remove_file(self.ground.drops(inbox).join(name)).unwrap();
    }

    fn list_again(&mut self) {
        let parcel = match self.chance.below(3) {
            0 => parcel("bureau/in", "roster.csv", roster().into_bytes()),
            which => list_of((YEARS[self.chance.below(3) as usize] - 1).min(self.today.year()), which == 1),
        };
        self.waiting.push(parcel);
    }

    /// Somebody without an account pays: the own part, the whole tier, or something else.
    fn pay_at_counter(&mut self) {
        let person = AT_COUNTER[self.chance.below(AT_COUNTER.len() as u64) as usize];
        let fen = match self.chance.below(6) {
            0 => TIER / 2,
            1 => TIER,
            _ if person == NEVER_LISTED => TIER,
            _ => OWN,
        };
        let reference = format!("GT{:04}", self.payments.len() + 1);
        let (fee_year, paid_on) = (self.today.year(), self.today.to_string());
        self.payments.push(Payment { person, fee_year, fen, paid_on, reference });
        let text = payments(&self.payments, self.chance.once_in(2));
        let mut files = vec![("payments.csv".to_owned(), text.clone().into_bytes())];
        if self.chance.once_in(4) {
            // Half of the rows first: a table has nothing that says that it is whole.
            let rows: Vec<&str> = text.split_inclusive('\n').collect();
            let half = rows[..1 + rows.len() / 2].concat();
            files.insert(0, ("payments.csv".to_owned(), half.into_bytes()));
        }
        for file in files {
            self.waiting.push(parcel("bureau/in", &file.0, file.1));
        }
    }

    // ---- banks

    fn banks_work(&mut self) -> Played<()> {
        self.banks_fetch()?;
        self.banks_answer();
        Ok(())
    }

    /// Banks take what lies in their folders under a final name. Nothing may come twice, nobody may be asked twice.
    fn banks_fetch(&mut self) -> Played<()> {
        for bank in BANKS {
            let out = self.ground.drops(&format!("banks/{bank}/out"));
            for name in names(&out) {
                let bytes = fs::read(out.join(&name)).unwrap();
                fs::remove_file(out.join(&name)).unwrap();
                self.note(&format!("{bank} fetches {name}"));
                if self.taken.iter().any(|taken| taken.bank == bank && taken.name == name) {
                    return Err(format!("{name} was delivered to {bank} a second time"));
                }
                if let Some(layout) = Layout::of_request(&name) {
                    self.tally.requests += 1;
                    self.is_asked(layout, &name, &bytes)?;
                }
                self.taken.push(Taken { bank, name, bytes });
            }
            disk::names_are_durable(&out);
        }
        Ok(())
    }

    fn is_asked(&mut self, layout: Layout, name: &str, bytes: &[u8]) -> Played<()> {
        let request = self.read(layout, name, bytes)?;
        for row in 0..request.len() {
            let instruction = request.text(row, Echo::Instruction);
            let fee_year: i16 = instruction[..4].parse().unwrap();
            let person = request.text(row, Echo::Id);
            for before in self.asked.iter().filter(|asked| asked.person == person && asked.fee_year == fee_year) {
                if before.said != Some(Said::NoMoney) {
                    return Err(format!("{person} is asked for {fee_year} again, by {name}: {before:?}"));
                }
            }
            let batch_on = instruction[..8].to_owned();
            let fen = request.due(row);
            self.asked.push(Asked { person, fee_year, instruction, batch_on, fen, said: None });
        }
        Ok(())
    }

    /// A request whose last line holds the digest of those before; of the postal bank the control file holds it.
    fn read(&self, layout: Layout, name: &str, bytes: &[u8]) -> Played<Request> {
        let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let (before, last) = lines.split_at(lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        match layout == Layout::Postal || contains(last, &bank_files::digest(before)) {
            true => Ok(Request::read(name, bytes)),
            false => Err(format!("{name} came cut or changed")),
        }
    }

    fn banks_answer(&mut self) {
        let ready: Vec<(&'static str, String)> = self
            .taken
            .iter()
            .filter(|taken| Layout::of_request(&taken.name).is_some() && !self.answered.contains(&taken.name))
            .filter(|taken| taken.bank != "postal" || self.has_control(&taken.name))
            .map(|taken| (taken.bank, taken.name.clone()))
            .collect();
        for (bank, name) in ready {
            if self.chance.once_in(4) {
                continue;
            }
            self.answered.insert(name.clone());
            let bytes = &self.taken.iter().find(|taken| taken.name == name).unwrap().bytes;
            let request = Request::read(&name, bytes);
            self.answer(bank, &request);
        }
    }

    /// Whether the bank has a control file that holds the digest of the data file that it has.
    pub(crate) fn has_control(&self, name: &str) -> bool {
        let control = name.replace(".TXT", ".CTL");
        let bytes = |name: &str| self.taken.iter().find(|taken| taken.name == name).map(|taken| &taken.bytes[..]);
        match (bytes(name), bytes(&control)) {
            (Some(data), Some(control)) => contains(control, &bank_files::digest(data)),
            _ => false,
        }
    }

    /// What the bank says of each row, in one file or two, whole and perhaps cut before, once more in other bytes.
    fn answer(&mut self, bank: &'static str, request: &Request) {
        let answers: Vec<Answer> = (0..request.len()).map(|row| self.answer_row(request, row)).collect();
        let cut_at = 1 + self.chance.below(3) as usize;
        let parts: Vec<&[Answer]> = match request.layout {
            Layout::City if answers.len() > cut_at && self.chance.once_in(2) => {
                vec![&answers[..cut_at], &answers[cut_at..]]
            }
            _ => vec![&answers],
        };
        let inbox = format!("banks/{bank}/in");
        for (place, part) in parts.iter().enumerate() {
            let whole = Reply {
                answers: part.to_vec(),
                file_code: if request.layout == Layout::Rural { "0000" } else { "" }.to_owned(),
                file_message: String::new(),
                created: format!("{}200000", compact(self.today)),
                part: place as u32 + 1,
                last: place + 1 == parts.len(),
                skew: 0,
            };
            let other = Reply {
                answers: part.iter().rev().cloned().collect(),
                created: format!("{}210000", compact(next_day(self.today))),
                file_code: whole.file_code.clone(),
                file_message: String::new(),
                ..whole
            };
            let files = bank_files::write(request, &whole);
            let parcel = |files, is_whole| Parcel { inbox: inbox.clone(), files, is_whole };
            if self.chance.once_in(4) {
                let mut cut = files.clone();
                let end = self.chance.below(cut[0].1.len() as u64) as usize;
                cut[0].1.truncate(end);
                let count = 1 + self.chance.below(cut.len() as u64) as usize;
                cut.truncate(count);
                self.waiting.push(parcel(cut, false));
            }
            if self.chance.once_in(4) {
                self.waiting.push(parcel(bank_files::write(request, &other), true));
            }
            self.waiting.push(parcel(files.clone(), true));
            self.again.push(parcel(files, true));
        }
    }

    fn answer_row(&mut self, request: &Request, row: usize) -> Answer {
        let instruction = request.text(row, Echo::Instruction);
        let said = match self.chance.below(10) {
            0 | 1 => Said::NoMoney,
            2 => Said::Unknown,
            _ => Said::Paid(self.today),
        };
        let asked = self.asked.iter_mut().find(|asked| asked.instruction == instruction).unwrap();
        asked.said = Some(said);
        let (code, serial) = match (request.layout, said) {
            (Layout::Rural, Said::NoMoney) => ("1001", String::new()),
            (Layout::Rural, Said::Unknown) => ("9001", String::new()),
            (Layout::Rural, Said::Paid(_)) => ("0000", format!("B{}", &instruction[5..])),
            (Layout::Postal, Said::NoMoney) => ("E", String::new()),
            (Layout::Postal, Said::Unknown) => ("U", String::new()),
            (Layout::Postal, Said::Paid(_)) => ("Y", format!("P{}", &instruction[9..])),
            (Layout::City, Said::NoMoney) => ("51", String::new()),
            (Layout::City, Said::Unknown) => ("68", String::new()),
            (Layout::City, Said::Paid(_)) => ("AAAAAAA", format!("C{instruction:0>31}")),
        };
        let paid = |text: String| if matches!(said, Said::Paid(_)) { text } else { String::new() };
        Answer {
            row,
            code: code.to_owned(),
            message: String::new(),
            actual: if matches!(said, Said::Paid(_)) { request.due(row) } else { 0 },
            booked_on: paid(compact(self.today)),
            booked_at: paid(if request.layout == Layout::Postal { "" } else { "181500" }.to_owned()),
            serial,
            changed: Vec::new(),
            cut_name: false,
        }
    }

    // ---- the end

    /// Nobody dies any more, everything that was held back or disturbed comes, and all is given time.
    fn settle(&mut self) -> Played<()> {
        self.note("--- nothing happens any more");
        self.goes_dark = false;
        self.daemon = None;
        self.days.push(self.today);
        for (place, parcel) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            self.put_all(&parcel);
            if place % 3 == 2 {
                self.round()?;
            }
        }
        let disturbed: BTreeSet<(String, String)> = self
            .given
            .iter()
            .filter(|given| given.is_disturbed)
            .map(|given| (given.inbox.clone(), given.name.clone()))
            .collect();
        self.quiet()?;
        let is_doubtful = |inbox: &str, name: &str| disturbed.contains(&(inbox.to_owned(), name.to_owned()));
        let again = std::mem::take(&mut self.again);
        let cut: BTreeSet<String> =
            again.iter().filter(|parcel| !parcel.is_whole).map(|parcel| parcel.files[0].0.clone()).collect();
        for parcel in again.into_iter().filter(|parcel| parcel.is_whole) {
            let names = || parcel.files.iter().map(|(name, _)| name);
            if names().any(|name| is_doubtful(&parcel.inbox, name) || cut.contains(name)) {
                self.put_all(&parcel);
            }
        }
        if !self.payments.is_empty() {
            let text = payments(&self.payments, false);
            self.put("bureau/in", "payments.csv", text.as_bytes());
        }
        self.round()?;
        self.approve()?;
        self.round()?;
        self.banks_fetch()?;
        self.quiet()?;
        // A day later what a death left behind is swept up.
        disk::advance(Duration::from_secs(25 * 60 * 60));
        self.daemon = None;
        self.round()
    }

    fn put_all(&mut self, parcel: &Parcel) {
        for (name, bytes) in &parcel.files {
            self.put(&parcel.inbox, name, bytes);
        }
    }

    /// Until nothing more is taken; what is not whole has its time.
    fn quiet(&mut self) -> Played<()> {
        for _ in 0..4 {
            self.round()?;
            let is_empty = |inbox: &String| names(&self.ground.drops(inbox)).is_empty();
            if Ground::inboxes().iter().all(is_empty) {
                break;
            }
            disk::advance(Duration::from_secs(700));
        }
        Ok(())
    }

    /// Everybody whom a bank may be asked for.
    pub(crate) fn people() -> BTreeMap<String, usize> {
        (0..crate::people::PEOPLE).map(|person| (crate::people::id_number(person), person)).collect()
    }
}

/// Whether a digest stands somewhere in a record.
pub(crate) fn contains(record: &[u8], digest: &str) -> bool {
    record.windows(digest.len()).any(|window| window == digest.as_bytes())
}

fn parcel(inbox: &str, name: &str, bytes: Vec<u8>) -> Parcel {
    Parcel { inbox: inbox.to_owned(), files: vec![(name.to_owned(), bytes)], is_whole: true }
}

fn list_of(year: i16, is_later: bool) -> Parcel {
    let text = list(year, is_later);
    parcel("departments/civil-affairs/500199/in", &format!("list-{year}.csv"), text.into_bytes())
}

/// `yyyymmdd`
pub(crate) fn compact(date: Date) -> String {
    date.to_string().replace('-', "")
}
