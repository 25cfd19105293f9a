//! Plays the same events to the product and to the model. The product is used as its users do: tables in drop folders,
//! commands with a business date, and banks that read its files by hard offsets.

use crate::bank_files::{self, Echo, Layout, Reply, Request};
use crate::years::bank::{self, Fate, Word};
use crate::years::facts::*;
use crate::years::generator::{DISTRICTS, World};
use crate::years::model::{Model, settle};
use daikou::daemon::bureau::{Bureau, Order};
use daikou::daemon::resolving::resolve;
use daikou::pipeline::resolving::Resolution;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Postings that are corrected in one sitting.
const CORRECTIONS: usize = 12;

/// Its settlements are approved after the others'.
const LATE: &str = "500194";

/// What happens next; what it holds is made when its day comes.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Roster,
    RosterChanges,
    FirstLists(i32),
    LateLists(i32),
    ListChanges(i32),
    ApproveRemovals,
    Payments(i32),
    Plan(i32),
    /// A round for a debit date; the files do not leave yet.
    Instruct(i32, Day),
    Send(i32),
    ApproveZero(i32),
    /// A bank answers what it has not answered: booked on the debit date or some days later.
    Answer(&'static str, u32),
    /// Booked on this day, whatever was asked.
    AnswerOn(&'static str, Day),
    /// What the bank found out later, and the rest of what it holds.
    Second(&'static str),
    Reject(&'static str),
    Clerk(i32),
    Close(i32, u32),
    Settle(i32),
    /// All but those of one district, which come later.
    ApproveSettlements(i32),
    /// Whatever is left.
    ApproveLateSettlements(i32),
    Transfers(i32),
    /// What the collection account shows since the last time.
    Statement,
    /// What was posted for a fee year and is wrong by the lists of today.
    Correct(i32),
    ListExPost(i32),
    ExPostPaid(i32),
    /// Everything is compared, and the product audits itself.
    Audit,
}

/// A request that lies at a bank.
struct Held {
    bank: &'static str,
    request: Request,
    fee_year: i32,
    debit_on: Day,
    /// What becomes of each row.
    fates: Vec<Fate>,
    /// Rows without an answer.
    unanswered: Vec<usize>,
    part: u32,
    finished: bool,
}

pub(crate) struct Player {
    pub(crate) model: Model,
    pub(crate) world: World,
    root: tempfile::TempDir,
    held: Vec<Held>,
    /// How often each person was asked in each fee year, as the banks count.
    asked: BTreeMap<(String, i32), u32>,
    seen: BTreeSet<PathBuf>,
    /// The debit date of the round that was drafted last.
    debit_on: BTreeMap<i32, Day>,
    zero: BTreeMap<i32, String>,
    /// Money that came and stands on no statement yet: bank, day, reference.
    to_show: BTreeMap<(String, Day, String), Fen>,
    /// Deductions and payments that were counted there.
    counted: BTreeSet<String>,
    /// The list in force of each payer, district and year: its day and its name.
    newest_list: BTreeMap<(&'static str, String, i32), (Day, String)>,
    files: usize,
    step: usize,
    /// Decisions of a clerk in one sitting, at most so many of one class.
    pub(crate) sitting: usize,
}

impl Player {
    pub(crate) fn new(world: World) -> Player {
        let root = crate::scratch();
        let mut player = Player {
            model: Model::default(),
            world,
            root,
            held: Vec::new(),
            asked: BTreeMap::new(),
            seen: BTreeSet::new(),
            debit_on: BTreeMap::new(),
            zero: BTreeMap::new(),
            to_show: BTreeMap::new(),
            counted: BTreeSet::new(),
            newest_list: BTreeMap::new(),
            files: 0,
            step: 0,
            sitting: 4,
        };
        player.set_up();
        player
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("bureau")
    }

    /// `init`, twelve districts, every payer's list expected of every district, and a checker for zero-payments.
    fn set_up(&mut self) {
        let mut init = Command::new(env!("CARGO_BIN_EXE_daikou"));
        let output = init.args(["init", "--unattended"]).arg(self.home()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let path = self.home().join("daikou.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once("[[expected_list]]").expect("an expected list");
        let (_, after) = after.split_once("[[bank]]").expect("a bank");
        let mut made = before.to_owned();
        for district in &DISTRICTS[1..] {
            let _ = write!(made, "[[district]]\ncode = \"{district}\"\nname = \"测试区{district}\"\n\n");
        }
        for payer in PAYERS {
            let _ = write!(made, "[[expected_list]]\npayer = \"{payer}\"\ndistricts = {DISTRICTS:?}\n\n");
        }
        let after = after.replace("zero-payment = \"none\"", "zero-payment = \"second\"");
        let after = after.replace("settlement = \"none\"", "settlement = \"second\"");
        std::fs::write(&path, format!("{made}[[bank]]{after}")).unwrap();
        for payer in PAYERS {
            self.model.expected.extend(DISTRICTS.map(|district| (payer, district.to_owned())));
            for district in DISTRICTS {
                for side in ["in", "out"] {
                    let folder = self.home().join(format!("drops/departments/{payer}/{district}/{side}"));
                    std::fs::create_dir_all(folder).unwrap();
                }
            }
        }
    }

    /// What the product says against itself; nothing if every invariant holds.
    pub(crate) fn audit(&self, today: Day) -> String {
        let output = self.daikou(today, &["audit"]);
        if output.status.success() { String::new() } else { format!("audit: {}", said(&output)) }
    }

    fn daikou(&self, today: Day, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        command.arg("--config").arg(self.home().join("daikou.toml")).args(["--today", &today.to_string()]);
        command.args(args).output().unwrap()
    }

    /// A command that must succeed; what it wrote.
    #[track_caller]
    pub(crate) fn run(&self, today: Day, args: &[&str]) -> String {
        let output = self.daikou(today, args);
        assert!(output.status.success(), "{today} {args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The rows of an export, each by its column.
    pub(crate) fn export(&self, today: Day, args: &[&str]) -> Vec<BTreeMap<String, String>> {
        let args: Vec<&str> = ["export"].iter().chain(args).copied().collect();
        let text = self.run(today, &args);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| {
            let row = row.unwrap();
            header.iter().cloned().zip(row.iter().map(str::to_owned)).collect()
        });
        rows.collect()
    }

    pub(crate) fn perform(&mut self, today: Day, step: &Step) {
        self.step += 1;
        match step {
            Step::Roster => {
                let rows = self.world.roster();
                self.take_roster(today, rows);
            }
            Step::RosterChanges => {
                let rows = self.world.roster_changes(self.step, today);
                self.take_roster(today, rows);
            }
            Step::FirstLists(year) => {
                let lists = self.world.first_lists(*year, false, today);
                self.take_lists(today, lists);
            }
            Step::LateLists(year) => {
                let lists = self.world.first_lists(*year, true, today);
                self.take_lists(today, lists);
            }
            Step::ListChanges(year) => {
                let lists = self.world.changed_lists(*year, self.step, today);
                self.take_lists(today, lists);
            }
            Step::ApproveRemovals => self.approve_removals(today),
            Step::Payments(fee_year) => {
                let rows = self.world.payments(*fee_year, self.step, today, &self.model);
                let file = self.drop("bureau", "payments", payments_csv(&rows));
                self.ingest(today, &[file]);
                for row in &rows {
                    if self.counted.insert(format!("{} {}", row.channel, row.reference)) {
                        *self.to_show.entry(("rural".to_owned(), row.paid_on, row.channel.clone())).or_default() +=
                            row.amount;
                    }
                }
                self.model.happen(today, &Event::Payments(rows));
            }
            Step::Plan(fee_year) => {
                self.run(today, &["plan", "--year", &fee_year.to_string()]);
                self.model.happen(today, &Event::Plan(*fee_year));
            }
            Step::Instruct(fee_year, debit_on) => self.instruct(today, *fee_year, *debit_on),
            Step::Send(fee_year) => self.send(today, *fee_year),
            Step::ApproveZero(fee_year) => {
                if let Some(batch) = self.zero.remove(fee_year) {
                    self.run(today, &["--as", "checker", "approve", &batch]);
                    self.model.happen(today, &Event::ApproveZero(*fee_year));
                }
            }
            Step::Answer(bank, days) => self.answer(today, bank, *days, None),
            Step::AnswerOn(bank, day) => self.answer(today, bank, 1, Some(*day)),
            Step::Second(bank) => self.answer_again(today, bank),
            Step::Reject(bank) => self.reject(today, bank),
            Step::Clerk(fee_year) => self.clerk(today, *fee_year),
            Step::Close(year, month) => {
                // Refunds are on no statement here: the month closes all the same.
                self.run(today, &["close", &format!("{year}-{month:02}"), "--despite", "退款尚未上账"]);
                self.model.happen(today, &Event::Closed(*year, *month));
            }
            Step::Settle(year) => {
                self.run(today, &["settle", "--year", &year.to_string()]);
                self.model.happen(today, &Event::Settle(*year));
            }
            Step::ApproveSettlements(year) => self.approve_settlements(today, *year, |district| district != LATE),
            Step::ApproveLateSettlements(year) => self.approve_settlements(today, *year, |_| true),
            Step::Transfers(year) => {
                let rows = self.world.transfers(*year, self.step, today, &self.model);
                let file = self.drop("bureau", "transfers", transfers_csv(&rows));
                self.ingest(today, &[file]);
                for row in &rows {
                    let line = ("postal".to_owned(), row.received_on, row.reference.clone());
                    self.to_show.insert(line, row.amount);
                }
                self.model.happen(today, &Event::Transfers(rows));
            }
            Step::Statement => self.statement(today),
            Step::Correct(fee_year) => self.correct(today, *fee_year),
            Step::ListExPost(year) => {
                self.run(today, &["expost", "--year", &year.to_string()]);
                self.model.happen(today, &Event::ListExPost(*year));
            }
            Step::ExPostPaid(year) => self.pay_ex_post(today, *year),
            Step::Audit => {}
        }
        self.model.follow();
    }

    fn drop(&mut self, folder: &str, name: &str, text: String) -> String {
        self.files += 1;
        let path = self.home().join(format!("drops/{folder}/in/{name}-{:05}.csv", self.files));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Refused rows are findings, and exit 1 with them.
    fn ingest(&self, today: Day, files: &[String]) {
        let args: Vec<&str> = ["ingest"].into_iter().chain(files.iter().map(String::as_str)).collect();
        let output = self.daikou(today, &args);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{today} {args:?}: {}", said(&output));
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!told.contains("quarantined"), "{today} {args:?}: {told}");
    }

    fn take_roster(&mut self, today: Day, rows: Vec<RosterRow>) {
        let file = self.drop("bureau", "roster", roster_csv(&rows));
        self.ingest(today, &[file]);
        self.model.happen(today, &Event::Roster(rows));
    }

    fn take_lists(&mut self, today: Day, lists: Vec<List>) {
        let mut files = Vec::new();
        for list in &lists {
            let folder = format!("departments/{}/{}", list.payer, list.district);
            files.push(self.drop(&folder, "list", list_csv(list)));
        }
        self.ingest(today, &files);
        for (list, file) in lists.into_iter().zip(files) {
            let name = Path::new(&file).file_name().unwrap().to_string_lossy().into_owned();
            let newest = self
                .newest_list
                .entry((list.payer, list.district.clone(), list.year))
                .or_insert((list.as_of, String::new()));
            if list.as_of >= newest.0 {
                *newest = (list.as_of, name);
            }
            self.model.happen(today, &Event::List(list));
        }
    }

    /// Everything that waits: what the product asks a checker must be what the rules ask.
    fn approve_removals(&mut self, today: Day) {
        let waiting = self.model.removals_that_wait();
        let files = self.export(today, &["files"]);
        for scope in waiting {
            let name = &self.newest_list[&scope].1;
            let file = files.iter().find(|file| file["name"] == *name).unwrap_or_else(|| panic!("no file {name}"));
            let subject = format!("list {}", file["file"]);
            let output = self.daikou(today, &["--as", "checker", "approve", &subject]);
            assert!(output.status.success(), "{today}: removals of {scope:?}: {}", said(&output));
            self.model.happen(today, &Event::ApproveRemovals(scope.0, scope.1, scope.2));
        }
    }

    fn approve_settlements(&mut self, today: Day, year: i32, wants: impl Fn(&str) -> bool) {
        let is_draft = |debtor: &settle::Debtor| !self.model.lines(year, debtor).is_empty();
        let of_year = self.model.settlements.iter().filter(|((of, _), settlement)| *of == year && !settlement.approved);
        let of_year = of_year.filter(|((_, debtor), _)| is_draft(debtor));
        let drafts: Vec<_> =
            of_year.map(|((_, debtor), _)| debtor.clone()).filter(|(_, district)| wants(district)).collect();
        let subjects: Vec<String> =
            drafts.iter().map(|(payer, district)| format!("{year} {payer}/{district}")).collect();
        let args: Vec<&str> =
            ["--as", "checker", "approve"].into_iter().chain(subjects.iter().map(String::as_str)).collect();
        self.run(today, &args);
        for (payer, district) in drafts {
            self.model.happen(today, &Event::ApproveSettlement(year, payer, district));
        }
    }

    /// Every second person who stands on a list is paid, so payers say.
    fn pay_ex_post(&mut self, today: Day, fee_year: i32) {
        let mut paid: BTreeMap<(&'static str, String), Vec<(String, Fen)>> = BTreeMap::new();
        for (key, owed) in self.model.ex_post.iter().filter(|(key, owed)| key.1 == fee_year && owed.state == "listed") {
            if self.world.dice.throw(&key.0, self.step, 2) == 0 {
                let debtor = (owed.subsidy.payer, owed.subsidy.district.clone());
                paid.entry(debtor).or_default().push((key.0.clone(), owed.subsidy.amount));
            }
        }
        let (mut files, mut keys) = (Vec::new(), Vec::new());
        for ((payer, district), people) in paid {
            let mut text = "id_number,fee_year,amount,paid_on\n".to_owned();
            for (id, amount) in people {
                let _ = writeln!(text, "{id},{fee_year},{},{today}", yuan(amount));
                keys.push((id, fee_year));
            }
            files.push(self.drop(&format!("departments/{payer}/{district}"), "paid", text));
        }
        if !files.is_empty() {
            self.ingest(today, &files);
            self.model.happen(today, &Event::ExPostPaid(keys));
        }
    }

    fn instruct(&mut self, today: Day, fee_year: i32, debit_on: Day) {
        let (year, day) = (fee_year.to_string(), debit_on.to_string());
        self.run(today, &["instruct", "--year", &year, "--debit-on", &day]);
        self.model.happen(today, &Event::Instruct(fee_year, debit_on));
        self.debit_on.insert(fee_year, debit_on);
        let batches = self.export(today, &["batches", "--year", &year]);
        let zero = batches.iter().rev().find(|batch| batch["bank"] == "zero" && batch["state"] == "drafted");
        if let Some(batch) = zero {
            self.zero.insert(fee_year, batch["batch"].clone());
        }
    }

    fn send(&mut self, today: Day, fee_year: i32) {
        self.run(today, &["send"]);
        let debit_on = self.debit_on[&fee_year];
        for bank in BANKS {
            let mut asked = Vec::new();
            for path in self.requests(bank) {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let request = Request::read(&name, &std::fs::read(&path).unwrap());
                let mut fates = Vec::new();
                for row in 0..request.len() {
                    let id = request.text(row, Echo::Id);
                    let times = self.asked.entry((id.clone(), fee_year)).or_insert(0);
                    *times += 1;
                    fates.push(bank::fate(self.world.dice, &id, fee_year, *times));
                    asked.push(Asked {
                        number: request.text(row, Echo::Instruction),
                        id,
                        account: request.text(row, Echo::Account),
                        amount: request.due(row) as Fen,
                    });
                }
                let unanswered = (0..request.len()).collect();
                self.held.push(Held { bank, request, fee_year, debit_on, fates, unanswered, part: 0, finished: false });
            }
            self.model.happen(today, &Event::Sent(bank, fee_year, asked));
        }
    }

    /// Requests that have come to a bank since the last time.
    fn requests(&mut self, bank: &str) -> Vec<PathBuf> {
        let folder = self.home().join(format!("drops/banks/{bank}/out"));
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| Layout::of_request(&path.to_string_lossy()).is_some() && self.seen.insert(path.clone()));
        paths.sort();
        paths
    }

    /// The first answer to what a bank holds. City banks answer a part of their rows, the rest comes with
    /// [`Player::answer_again`].
    fn answer(&mut self, today: Day, bank: &str, days: u32, on: Option<Day>) {
        let places: Vec<usize> = (0..self.held.len())
            .filter(|place| self.held[*place].bank == bank && self.held[*place].part == 0)
            .collect();
        for place in places {
            let held = &mut self.held[place];
            held.part = 1;
            let later = held.debit_on.plus(days).min(today);
            let (debit_on, later) = (held.debit_on, on.unwrap_or(later));
            let in_parts = held.request.layout == Layout::City;
            let mut said = Vec::new();
            held.unanswered.retain(|row| {
                let waits = in_parts && row % 7 == 3;
                if !waits {
                    said.extend(bank::say(&held.request, *row, held.fates[*row], Word::First, debit_on, later));
                }
                waits
            });
            held.finished = !in_parts;
            self.return_file(today, place, said);
        }
    }

    fn answer_again(&mut self, today: Day, bank: &str) {
        let again = |held: &Held| held.bank == bank && held.part == 1;
        let places: Vec<usize> = (0..self.held.len()).filter(|place| again(&self.held[*place])).collect();
        for place in places {
            let held = &mut self.held[place];
            held.part = 2;
            let (debit_on, later) = (held.debit_on, held.debit_on.plus(1).min(today));
            let mut said = Vec::new();
            for row in 0..held.request.len() {
                let say = |word| bank::say(&held.request, row, held.fates[row], word, debit_on, later);
                // Layout A numbers its rows without gaps: what is not new is said again.
                let again = || if held.request.layout == Layout::Rural { say(Word::First) } else { None };
                let first = held.unanswered.contains(&row);
                said.extend(if first { say(Word::First) } else { say(Word::Second).or_else(again) });
            }
            held.unanswered.clear();
            held.finished = true;
            if !said.is_empty() || held.request.layout == Layout::City {
                self.return_file(today, place, said);
            }
        }
    }

    fn return_file(&mut self, today: Day, place: usize, said: Vec<(bank_files::Answer, Answer)>) {
        let held = &self.held[place];
        let (in_file, answers): (Vec<_>, Vec<_>) = said.into_iter().unzip();
        for answer in &answers {
            if ["no-account", "name-mismatch", "closed", "frozen"].contains(&answer.outcome) {
                let row =
                    (0..held.request.len()).find(|row| held.request.text(*row, Echo::Instruction) == answer.number);
                self.world.needs_account.insert(held.request.text(row.unwrap(), Echo::Id));
            }
        }
        for answer in answers.iter().filter(|answer| answer.actual > 0) {
            if self.counted.insert(format!("{} {}", answer.number, answer.serial)) {
                let on = answer.booked_on.unwrap_or(held.debit_on);
                let line = (held.bank.to_owned(), on, answer.number[..16].to_owned());
                *self.to_show.entry(line).or_default() += answer.actual;
            }
        }
        let accepted = if held.request.layout == Layout::Rural { "0000" } else { "" };
        let reply = Reply {
            answers: in_file,
            file_code: accepted.to_owned(),
            file_message: String::new(),
            created: format!("{}080000", today.compact()),
            part: held.part,
            last: held.finished,
            skew: 0,
        };
        self.give(today, place, &reply);
        self.model.happen(today, &Event::Returned(answers));
    }

    /// The account's statement: what came by batch, channel and payer, what the banks took back, what nobody knows; with lines of
    /// the one before.
    fn statement(&mut self, today: Day) {
        let came = std::mem::take(&mut self.to_show);
        let lines = self.world.statement(self.step, today, came, &self.model);
        let file = self.drop("bureau", "statement", statement_csv(&lines));
        self.ingest(today, &[file]);
        self.model.happen(today, &Event::Statement(lines));
    }

    /// A clerk corrects what the lists of today say otherwise; of the year under way only what came without a bank, since banks
    /// may still say something of the rest.
    fn correct(&mut self, today: Day, fee_year: i32) {
        let entries = self.export(today, &["entries", "--year", &fee_year.to_string()]);
        let mut newest: BTreeMap<String, String> = BTreeMap::new();
        for entry in &entries {
            if ["self-payment", "zero-payment", "suspense-posted"].contains(&entry["event"].as_str()) {
                newest.insert(entry["id_number"].clone(), entry["posting"].clone());
            }
        }
        let mut done = 0;
        for (id, posting) in newest {
            let key = (id, fee_year);
            let is_open = fee_year == today.0 && !self.model.came_without_bank(&key);
            let Some(fault) = self.model.fault(&key).filter(|_| !is_open && done < CORRECTIONS) else { continue };
            done += 1;
            let why = ["--evidence", "民政函1号", "--reason", "核实"];
            let args: Vec<&str> =
                ["correct", "posting", &posting, "--as-class", fault].into_iter().chain(why).collect();
            let output = self.daikou(today, &args);
            if !output.status.success() {
                let words =
                    format!("{today}: the rules correct {key:?} as {fault}, the product says {}", said(&output));
                self.model.faults.push(words);
                return;
            }
            self.model.happen(today, &Event::Corrected(key.0, fee_year));
        }
    }

    fn give(&mut self, today: Day, place: usize, reply: &Reply) {
        let held = &self.held[place];
        self.files += 1;
        let folder = self.root.path().join(format!("returns/{:05}", self.files));
        std::fs::create_dir_all(&folder).unwrap();
        let files = bank_files::write(&held.request, reply);
        for (name, bytes) in &files {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let path = folder.join(&files[0].0).display().to_string();
        let output = self.daikou(today, &["ingest", "--from", held.bank, &path]);
        let told = said(&output);
        assert!(matches!(output.status.code(), Some(0 | 1)) && !told.contains("quarantined"), "{today} {path}: {told}");
    }

    fn reject(&mut self, today: Day, bank: &str) {
        let places: Vec<usize> = (0..self.held.len())
            .filter(|place| self.held[*place].bank == bank && self.held[*place].part == 0)
            .collect();
        for place in places {
            let held = &mut self.held[place];
            (held.part, held.finished) = (9, true);
            let numbers: Vec<String> =
                (0..held.request.len()).map(|row| held.request.text(row, Echo::Instruction)).collect();
            // Nobody was debited: the next attempt meets the same fate.
            for row in 0..held.request.len() {
                *self.asked.get_mut(&(held.request.text(row, Echo::Id), held.fee_year)).unwrap() -= 1;
            }
            let rows = (0..held.request.len()).map(|row| bank_files::Answer {
                row,
                code: String::new(),
                message: String::new(),
                actual: 0,
                booked_on: String::new(),
                booked_at: String::new(),
                serial: String::new(),
                changed: Vec::new(),
                cut_name: false,
            });
            let reply = Reply {
                answers: rows.collect(),
                file_code: "F003".to_owned(),
                file_message: String::new(),
                created: format!("{}080000", today.compact()),
                part: 1,
                last: true,
                skew: 0,
            };
            self.give(today, place, &reply);
            self.model.happen(today, &Event::Rejected(numbers));
        }
    }

    /// A clerk's sitting: the product's queue from its top, a few of each class.
    fn clerk(&mut self, today: Day, fee_year: i32) {
        let queue = self.export(today, &["exceptions", "--year", &fee_year.to_string()]);
        let mut desk = Desk::open(&self.home());
        let mut done: BTreeMap<String, usize> = BTreeMap::new();
        for matter in queue.iter().filter(|matter| matter["state"] == "open") {
            let class = matter["class"].clone();
            let times = done.entry(class.clone()).or_insert(0);
            let coin = self.world.dice.throw(&matter["id"], self.step, 2) == 0;
            let Some(verdict) = verdict(&class, coin).filter(|_| *times < self.sitting) else { continue };
            *times += 1;
            let amount = fen(&matter["amount"]);
            let mut decision = Decision {
                id: matter["id_number"].clone(),
                fee_year,
                class,
                amount,
                instruction: matter["instruction"].clone(),
                verdict,
                booked_on: self.booked_on(matter, verdict, amount, today),
            };
            let why_not = self.model.may_not(&decision, today);
            let done = desk.resolve(today, &matter["id"], &decision);
            if done.is_ok() != why_not.is_none() {
                let words = format!("{today} {decision:?}: the rules say {why_not:?}, the product {done:?}");
                self.model.faults.push(words);
                return;
            }
            if why_not.is_some() {
                // What may not be posted goes back, or is closed by what the bank says on the telephone.
                let verdict = if amount > 0 { "refund" } else { "failed" };
                decision = Decision { verdict, booked_on: None, ..decision };
                let done = desk.resolve(today, &matter["id"], &decision);
                assert!(done.is_ok(), "{today} {decision:?}: {done:?}");
            }
            self.model.happen(today, &Event::Decided(decision));
        }
    }

    /// What the bank says of the money on the telephone: it was booked on the debit date.
    fn booked_on(&self, matter: &BTreeMap<String, String>, verdict: &str, amount: Fen, today: Day) -> Option<Day> {
        let no_date =
            ["bad-booking-date", "unknown-result", "contradictory-return"].contains(&matter["class"].as_str());
        let of_batch = |held: &&Held| {
            (0..held.request.len()).any(|row| held.request.text(row, Echo::Instruction) == matter["instruction"])
        };
        match verdict {
            "settled" if no_date => self.held.iter().find(of_batch).map(|held| held.debit_on),
            "refund" | "reverse" if amount > 0 || verdict == "reverse" => Some(today),
            _ => None,
        }
    }
}

/// `resolve` for a whole sitting: many decisions, one open store.
struct Desk(Bureau);

impl Desk {
    fn open(home: &Path) -> Desk {
        let config = daikou::config::load(&home.join("daikou.toml")).expect("a sound configuration");
        Desk(Bureau::open(config).expect("a bureau"))
    }

    fn resolve(&mut self, today: Day, id: &str, decision: &Decision) -> Result<String, String> {
        let date = |day: Day| jiff::civil::date(day.0 as i16, day.1 as i8, day.2 as i8);
        let order = Order { at: date(today).at(0, 0, 0, 0), actor: "clerk".to_owned() };
        let resolution = Resolution {
            decision: daikou::pipeline::resolving::Decision::parse(decision.verdict).expect("a decision"),
            booked_on: decision.booked_on.map(date),
            amount: None,
            reason: "银行来电".to_owned(),
        };
        resolve(&mut self.0, id.parse().unwrap(), &resolution, &order).map_err(|error| error.to_string())
    }
}

/// What a clerk does about a class; `None` leaves it for somebody else.
fn verdict(class: &str, coin: bool) -> Option<&'static str> {
    Some(match class {
        "failed" if coin => "failed",
        "unknown-result" if coin => "settled",
        "unknown-result" | "contradictory-return" => "failed",
        "partial" if coin => "reverse",
        "partial" | "over" | "second-payment" | "changed-in-flight" | "already-received" | "not-live" => "refund",
        "status" | "age" | "wrong-year" | "unknown-person" => "refund",
        "payment-amount" | "no-plan" if coin => "refund",
        "failure-with-money" if coin => "reverse",
        "failure-with-money" | "echo-differs" | "bad-booking-date" | "late-success" | "payment-amount" | "no-plan" => {
            "settled"
        }
        "late-failure" => "reverse",
        "corrected" => "refund",
        "differing-answer" | "key-conflict" => "settled",
        _ => return None,
    })
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    format!("{}\n  {}\n  {}", output.status, text(&output.stdout), text(&output.stderr))
}

fn roster_csv(rows: &[RosterRow]) -> String {
    let mut text = "id_number,name,district,tier,bank,account,account_name,status,status_since\n".to_owned();
    for row in rows {
        let since = row.status_since.map_or(String::new(), |day| day.to_string());
        let tier = row.tier / 100;
        let RosterRow { id, name, district, bank, account, holder, status, .. } = row;
        let _ = writeln!(text, "{id},{name},{district},{tier},{bank},{account},{holder},{status},{since}");
    }
    text
}

fn list_csv(list: &List) -> String {
    let mut text = "id_number,name,district,category,recognized_year,as_of\n".to_owned();
    for row in &list.rows {
        // Another last character is no longer the check digit.
        let id = if row.misspelt {
            format!("{}{}", &row.id[..17], if row.id.ends_with('1') { '2' } else { '1' })
        } else {
            row.id.clone()
        };
        let ListRow { name, district, category, year, .. } = row;
        let _ = writeln!(text, "{id},{name},{district},{category},{year},{}", list.as_of);
    }
    text
}

fn payments_csv(rows: &[Payment]) -> String {
    let mut text = "id_number,fee_year,amount,paid_on,channel,reference\n".to_owned();
    for row in rows {
        let Payment { id, fee_year, amount, paid_on, channel, reference } = row;
        let _ = writeln!(text, "{id},{fee_year},{},{paid_on},{channel},{reference}", yuan(*amount));
    }
    text
}

fn statement_csv(lines: &[StatementLine]) -> String {
    let mut text = "bank,booked_on,reference,amount,serial\n".to_owned();
    for line in lines {
        let StatementLine { bank, booked_on, reference, amount, serial, .. } = line;
        let _ = writeln!(text, "{bank},{booked_on},{reference},{},{serial}", yuan(*amount));
    }
    text
}

fn transfers_csv(rows: &[Transfer]) -> String {
    let mut text = "payer,district,settlement_year,amount,received_on,reference\n".to_owned();
    for row in rows {
        let Transfer { payer, district, year, amount, received_on, reference } = row;
        let _ = writeln!(text, "{payer},{district},{year},{},{received_on},{reference}", yuan(*amount));
    }
    text
}
