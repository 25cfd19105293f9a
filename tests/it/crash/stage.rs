//! A bureau of eleven people that can be copied, driven by ordinary commands, and killed.

use crate::bank_files::{self, Answer, Echo, Layout, Reply, Request};
use crate::bureau::{id_number, names};
use daikou::store::Store;
use daikou::store::export::{BankKeys, What, rows};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(crate) const BANKS: [&str; 3] = ["rural", "postal", "city"];

/// People whom a bank is asked for, in turn.
pub(crate) const ASKED: usize = 9;

/// A person of the list without an account: pays the own part at the counter.
pub(crate) const AT_COUNTER: usize = 9;

/// A person of no list without an account: pays the whole tier at the counter.
pub(crate) const WHOLE_TIER: usize = 10;

/// The business date of what goes out and is answered.
pub(crate) const TODAY: &str = "2018-07-05";
/// Everything is logged: nobody must be named in it.
const RUN: [&str; 5] = ["run", "--log", "json", "--log-level", "trace"];

const PATIENCE: Duration = Duration::from_secs(60);

/// What no export shows.
const BESIDE: [(&str, &str); 4] = [
    (
        "approvals",
        "SELECT concat_ws(' ', id, kind, subject, request, hex(digest), maker, state, checker) FROM approval",
    ),
    ("feed", "SELECT concat_ws(' ', number, rows, amount, made_on, is_out, acked_on) FROM feed_file"),
    ("closed", "SELECT CAST(month AS TEXT) FROM closed_month"),
    ("postings", "SELECT concat_ws(' ', id, event, month, booked_on) FROM posting"),
];

/// A bureau in a folder of its own.
pub(crate) struct Stage {
    root: tempfile::TempDir,
    program: PathBuf,
    mutant: Option<&'static str>,
    today: &'static str,
    /// Where the rural bank leaves its returns, if it has a server of its own.
    line: Option<PathBuf>,
    /// Further variables of its programs.
    env: Vec<(&'static str, String)>,
    /// Every file that a bank took out of its folder, in order.
    pub(crate) taken: Vec<(String, Vec<u8>)>,
}

/// What a command or a daemon came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    ToItsEnd,
    ToItsDeath,
}

pub(crate) type Checked<T> = Result<T, String>;

impl Stage {
    /// Roster and list are in; nothing is planned.
    pub(crate) fn new(program: &Path) -> Stage {
        let root = crate::scratch();
        let owned = program.to_owned();
        let stage =
            Stage { root, program: owned, mutant: None, today: TODAY, line: None, env: Vec::new(), taken: Vec::new() };
        let init = Command::new(program).args(["init", "--unattended"]).arg(stage.home()).output().unwrap();
        assert!(init.status.success());
        let path = stage.home().join("daikou.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("127.0.0.1:9187", "127.0.0.1:0").replace("settle_ms = 2000", "settle_ms = 20");
        // Of a pair whose first source is gone the second is looked at again after this time.
        let text = text.replace("incomplete_after_s = 600", "incomplete_after_s = 1");
        fs::write(&path, text.replace("release = \"none\"", "release = \"second\"")).unwrap();
        fs::write(stage.beside("roster.csv"), roster()).unwrap();
        fs::write(stage.beside("list.csv"), list()).unwrap();
        let (roster, list) = (stage.beside("roster.csv"), stage.beside("list.csv"));
        stage.must(&["ingest", "--from", "bureau", roster.to_str().unwrap()]);
        stage.must(&["ingest", "--from", "civil-affairs/500199", list.to_str().unwrap()]);
        stage
    }

    /// The same bureau once more.
    pub(crate) fn copy(&self) -> Stage {
        let root = crate::scratch();
        copy_tree(self.root.path(), root.path());
        let (program, env, taken) = (self.program.clone(), self.env.clone(), self.taken.clone());
        let line = self.line.clone();
        Stage { root, program, mutant: None, today: self.today, line, env, taken }
    }

    /// The same bureau on another day, with further variables for its programs.
    pub(crate) fn on(self, today: &'static str, env: &[(&'static str, &str)]) -> Stage {
        let env = env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Stage { today, env, ..self }
    }

    /// A variable more, for all that it starts from now on.
    pub(crate) fn with(&mut self, name: &'static str, value: String) {
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, value));
    }

    /// Puts further lines behind those of one bank.
    #[cfg(feature = "bank-sim")]
    pub(crate) fn add_to_bank(&self, key: &str, lines: &str) {
        let path = self.home().join("daikou.toml");
        let text = fs::read_to_string(&path).unwrap();
        let (before, bank) = text.split_once(&format!("key = \"{key}\"")).unwrap();
        let end = bank.find("\n[[bank]]").or(bank.find("\n[approvals]")).unwrap();
        let (bank, after) = bank.split_at(end);
        fs::write(&path, format!("{before}key = \"{key}\"{bank}{lines}{after}")).unwrap();
    }

    /// Changes lines of its configuration.
    pub(crate) fn set(&self, from: &str, to: &str) {
        let path = self.home().join("daikou.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// The same bureau, with a fault put in.
    pub(crate) fn with_fault(&self, mutant: &'static str) -> Stage {
        Stage { mutant: Some(mutant), ..self.copy() }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("bureau")
    }

    pub(crate) fn drops(&self, place: &str) -> PathBuf {
        self.home().join("drops").join(place)
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self, actor: &str, args: &[&str], failpoint: Option<&str>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--config")
            .arg(self.home().join("daikou.toml"))
            .args(["--today", self.today, "--as", actor])
            .args(args);
        command.env_remove("DAIKOU_FAILPOINT").env_remove("DAIKOU_MUTANT");
        failpoint.map(|place| command.env("DAIKOU_FAILPOINT", place));
        self.mutant.map(|fault| command.env("DAIKOU_MUTANT", fault));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command that ends well.
    pub(crate) fn must(&self, args: &[&str]) -> String {
        self.run("maker", args, None).unwrap().1
    }

    pub(crate) fn run(&self, actor: &str, args: &[&str], failpoint: Option<&str>) -> Checked<(Came, String)> {
        let output = self.command(actor, args, failpoint).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match (output.status.code(), output.status.signal()) {
            (Some(0 | 1), _) => Ok((Came::ToItsEnd, text)),
            (None, Some(9)) => Ok((Came::ToItsDeath, text)),
            _ => Err(format!("{args:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// From the plan to `sent`, by commands; goes on wherever an earlier attempt ended.
    pub(crate) fn go_out(&self, failpoint: Option<&str>) -> Checked<Came> {
        for args in [&["plan", "--year", "2018"][..], &["instruct", "--year", "2018"]] {
            if self.run("maker", args, failpoint)?.0 == Came::ToItsDeath {
                return Ok(Came::ToItsDeath);
            }
        }
        let (_, batches) = self.run("maker", &["export", "batches"], None)?;
        let drafted = batches.lines().filter(|line| line.ends_with(",drafted"));
        for batch in drafted.filter_map(|line| line.split(',').next()) {
            if self.run("checker", &["approve", batch], failpoint)?.0 == Came::ToItsDeath {
                return Ok(Came::ToItsDeath);
            }
        }
        Ok(self.run("maker", &["send"], failpoint)?.0)
    }

    /// The daemon takes what lies in the inboxes and does the work of the day, or dies.
    pub(crate) fn go_in(&self, failpoint: Option<&str>) -> Checked<Came> {
        let said = fs::metadata(self.beside("log")).map_or(0, |about| about.len() as usize);
        let mut daemon = self.start(failpoint);
        let until = Instant::now() + PATIENCE;
        while !self.inboxes_are_empty() || !self.is_day_done(said) {
            if let Some(status) = daemon.try_wait().unwrap() {
                return self.came(status);
            }
            if Instant::now() > until {
                daemon.kill().unwrap();
                daemon.wait().unwrap();
                return Err(format!("files are left: {:?}\n{}", self.left(), self.log()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // What is still to be done after the last source is gone is done before it stops; or it dies of it.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&daemon), rustix::process::Signal::TERM);
        self.came(daemon.wait().unwrap())
    }

    /// Whether the daemon did the work of the day since it took the last file that moved anything.
    fn is_day_done(&self, from: usize) -> bool {
        let log = fs::read(self.beside("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[from.min(log.len())..]).into_owned();
        let is_news = |line: &&str| line.contains(") processed: ") && !line.contains(") processed: 0 rows");
        let newest = log.lines().rev().find(|line| line.contains(&self.day_is_done()) || is_news(line));
        newest.is_some_and(|line| line.contains(&self.day_is_done()))
    }

    fn day_is_done(&self) -> String {
        format!("the work of {} is done", self.today)
    }

    pub(crate) fn came(&self, status: ExitStatus) -> Checked<Came> {
        match (status.success(), status.signal()) {
            (true, _) => Ok(Came::ToItsEnd),
            (_, Some(9)) => Ok(Came::ToItsDeath),
            _ => Err(format!("the daemon ended with {status}\n{}", self.log())),
        }
    }

    /// The daemon, which whoever starts it must end. It listens to signals when this returns, or is dead.
    pub(crate) fn start(&self, failpoint: Option<&str>) -> Child {
        let log = fs::File::options().create(true).append(true).open(self.beside("log")).unwrap();
        let mut daemon = self.command("daemon", &RUN, failpoint).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
        daemon
    }

    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.beside("log")).unwrap_or_default();
        log.lines()
            .filter(|line| !line.contains("\"TRACE\"") && !line.contains("\"DEBUG\""))
            .rev()
            .take(30)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub(crate) fn inboxes_are_empty(&self) -> bool {
        self.left().is_empty()
    }

    fn left(&self) -> Vec<String> {
        let inboxes =
            ["banks/rural/in", "banks/postal/in", "banks/city/in", "bureau/in", "departments/civil-affairs/500199/in"];
        let fetched = self.line.is_some().then(|| self.home().join("state/fetched/rural"));
        let folders =
            inboxes.into_iter().map(|inbox| self.inbox(inbox)).chain(fetched.filter(|folder| folder.exists()));
        folders.flat_map(|folder| names(&folder)).filter(|name| !name.starts_with('.')).collect()
    }

    /// A folder that is not there yet.
    pub(crate) fn new_folder(&self) -> String {
        let free = (1..).map(|number| self.beside(&format!("new-{number}"))).find(|folder| !folder.exists());
        free.expect("numbers do not end").display().to_string()
    }

    /// Backups that say that they are whole. Each must be sound.
    pub(crate) fn whole_backups(&self) -> Checked<Vec<PathBuf>> {
        let folders = (1..).map(|number| self.beside(&format!("new-{number}"))).take_while(|folder| folder.exists());
        let whole: Vec<PathBuf> = folders.filter(|folder| folder.join("MANIFEST.sha256").exists()).collect();
        for folder in &whole {
            let mut audit = Command::new(&self.program);
            let output = audit.arg("--config").arg(folder.join("daikou.toml")).arg("audit").output().unwrap();
            if !output.status.success() {
                return Err(format!("{}: {}", folder.display(), String::from_utf8_lossy(&output.stdout)));
            }
        }
        Ok(whole)
    }

    /// Banks take away what lies in their folders under a final name.
    pub(crate) fn banks_fetch(&mut self) {
        for bank in BANKS {
            let out = self.drops(&format!("banks/{bank}/out"));
            for name in names(&out).into_iter().filter(|name| !name.starts_with('.')) {
                self.taken.push((name.clone(), fs::read(out.join(&name)).unwrap()));
                fs::remove_file(out.join(&name)).unwrap();
            }
        }
    }

    /// The request of each bank.
    pub(crate) fn requests(&self) -> Vec<(&'static str, Request)> {
        let request = |bank: &'static str| {
            let out = self.drops(&format!("banks/{bank}/out"));
            let name = names(&out).into_iter().find(|name| Layout::of_request(name).is_some()).expect("it was sent");
            (bank, Request::read(&name, &fs::read(out.join(&name)).unwrap()))
        };
        BANKS.into_iter().map(request).collect()
    }

    /// Puts a file where its sender would, whole at once.
    pub(crate) fn put(&self, inbox: &str, name: &str, bytes: &[u8]) {
        let (folder, hidden) = (self.inbox(inbox), format!(".{name}.tmp"));
        fs::write(folder.join(&hidden), bytes).unwrap();
        fs::rename(folder.join(&hidden), folder.join(name)).unwrap();
    }

    /// Where a sender leaves its files.
    fn inbox(&self, inbox: &str) -> PathBuf {
        match &self.line {
            Some(line) if inbox == "banks/rural/in" => line.clone(),
            _ => self.drops(inbox),
        }
    }

    /// The rural bank leaves its returns here from now on, also those that lie in its folder.
    #[cfg(feature = "bank-sim")]
    pub(crate) fn move_to_a_line(&mut self, folder: PathBuf) {
        let before = self.drops("banks/rural/in");
        for name in names(&before) {
            fs::copy(before.join(&name), folder.join(&name)).unwrap();
            fs::remove_file(before.join(&name)).unwrap();
        }
        self.line = Some(folder);
    }

    /// The bureau that is restored from a backup of this one.
    pub(crate) fn restored(&self, backup: &Path) -> Stage {
        let restored = Stage { root: crate::scratch(), ..self.copy() };
        copy_tree(backup, &restored.home());
        restored
    }

    /// A backup, which is killed after this time if it is not over.
    pub(crate) fn back_up(&self, patience: Duration) {
        let mut backup = self.command("maker", &["backup", &self.new_folder()], None);
        let mut backup = backup.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + patience;
        while backup.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        // It may be over.
        let _ = backup.kill();
        backup.wait().unwrap();
    }

    /// Return files of all banks, and what was paid at the counter.
    pub(crate) fn answer(&self) {
        for (bank, request) in self.requests() {
            let files = bank_files::write(&request, &reply(&request, false));
            files.iter().for_each(|(name, bytes)| self.put(&format!("banks/{bank}/in"), name, bytes));
        }
        self.put("bureau/in", "payments.csv", payments(false).as_bytes());
    }

    /// A table as it is exported, without its headings; read in this process, since it is read thousands of times.
    pub(crate) fn export(&self, what: &str) -> Checked<Vec<String>> {
        exported(&self.store()?, what)
    }

    /// Its store, as it is.
    pub(crate) fn store(&self) -> Checked<Store> {
        Store::open(&self.home().join("state/daikou.db")).map_err(|error| error.to_string())
    }

    /// Texts that a query of the store gives.
    pub(crate) fn query(&self, sql: &str) -> Checked<Vec<String>> {
        queried(&self.store()?, sql)
    }

    /// No line of its daemons' logs, of whatever level and part, says who somebody is.
    pub(crate) fn log_names_nobody(&self) -> Checked<()> {
        let log = fs::read_to_string(self.beside("log")).unwrap_or_default();
        let people = (0..20).flat_map(|person| [id_number(person), format!("9999{person:012}")]);
        match people.chain(["测试甲".to_owned()]).find(|text| log.contains(text)) {
            None => Ok(()),
            Some(text) => Err(format!("the log has {text}: {:?}", log.lines().find(|line| line.contains(&text)))),
        }
    }

    /// The store's own proof, and that the log is clean.
    pub(crate) fn audit(&self) -> Checked<()> {
        self.log_names_nobody()?;
        let output = self.command("maker", &["audit"], None).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("audit: {text}")) }
    }

    /// All that is stored, kept, and published, in a form that does not depend on how often a file was seen.
    pub(crate) fn snapshot(&self) -> Checked<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        let store = self.store()?;
        let files = exported(&store, "files")?;
        let numbered = files.iter().filter_map(|line| line.split_once(','));
        let by_number: BTreeMap<&str, &str> =
            numbered.map(|(number, rest)| (number, rest.split(',').next().unwrap_or_default())).collect();
        let named = |line: &String, column: usize| {
            let cells = line.split(',').enumerate().map(|(place, cell)| match by_number.get(cell) {
                Some(name) if place == column => name,
                _ => cell,
            });
            cells.collect::<Vec<_>>().join(",")
        };
        let mut keep = |what: &str, mut lines: Vec<String>| {
            lines.sort();
            all.insert(what.to_owned(), lines.join("\n"));
        };
        for what in ["participants", "plans", "batches", "instructions", "entries", "balance", "expost"] {
            keep(what, exported(&store, what)?);
        }
        for what in ["settlement", "claims", "transfers", "identities", "statement", "accounts"] {
            keep(what, exported(&store, what)?);
        }
        for (what, sql) in BESIDE {
            keep(what, queried(&store, sql)?);
        }
        keep("returns", exported(&store, "returns")?.iter().map(|line| named(line, 2)).collect());
        keep("exceptions", exported(&store, "exceptions")?.iter().map(|line| named(line, 5)).collect());
        let took_effect = files.iter().filter(|line| !line.contains(",duplicate,"));
        keep("files", took_effect.filter_map(|line| line.split_once(',')).map(|(_, rest)| rest.to_owned()).collect());
        for tree in ["state/archive", "state/quarantine", "state/spool", "drops"] {
            self.keep_tree(&self.home().join(tree), &mut all);
        }
        // The second half of a pair that is seen again alone has a receipt of its own, which says that it is a duplicate.
        let names = |is_duplicate: bool| -> BTreeSet<&str> {
            let wanted = files.iter().filter(|line| line.contains(",duplicate,") == is_duplicate);
            wanted.filter_map(|line| line.split(',').nth(1)).collect()
        };
        let again: Vec<&str> = names(true).difference(&names(false)).copied().collect();
        all.retain(|place, _| !place.contains("/receipts/") || !again.iter().any(|name| place.contains(name)));
        Ok(all)
    }

    fn keep_tree(&self, folder: &Path, all: &mut BTreeMap<String, String>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // Halves of copies that a dead process left are swept after a day; hidden files are nobody's.
            if path.is_dir() {
                self.keep_tree(&path, all);
            } else if !name.ends_with(".part") && !name.starts_with('.') {
                let bytes = fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                // A receipt names our number of the file, and files seen again have numbers of their own.
                let lines = text.lines().filter(|line| !line.starts_with("  \"file\": "));
                let place = path.strip_prefix(self.home()).unwrap().display().to_string();
                all.insert(place, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
}

/// The rows of a table that is exported, cells joined by commas.
fn exported(store: &Store, what: &str) -> Checked<Vec<String>> {
    let what = What::parse(what).ok_or_else(|| format!("{what} is no table"))?;
    let banks =
        BankKeys::from([(1, "rural"), (2, "postal"), (3, "city")].map(|(number, key)| (number, key.to_owned())));
    let mut lines = Vec::new();
    let mut keep = |row: &[&str]| {
        lines.push(row.join(","));
        Ok(())
    };
    rows(store.connection(), what, None, &banks, &mut keep).map_err(|error| format!("{error:?}"))?;
    Ok(lines)
}

fn queried(store: &Store, sql: &str) -> Checked<Vec<String>> {
    let mut statement = store.connection().prepare(sql).map_err(|error| error.to_string())?;
    let texts = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect);
    texts.map_err(|error| format!("{sql}: {error}"))
}

/// Everybody succeeded but the last of the rural bank, of whom it does not know.
pub(crate) fn reply(request: &Request, is_other: bool) -> Reply {
    let mut answers: Vec<Answer> = (0..request.len()).map(|row| answer(request, row)).collect();
    let created = if is_other { "20180705210000" } else { "20180705200000" };
    if is_other && request.layout == Layout::City {
        // Where the time of day does not stand in the file, the order of the rows makes it another one.
        answers.reverse();
    }
    let file_code = if request.layout == Layout::Rural { "0000" } else { "" };
    let (file_code, created) = (file_code.to_owned(), created.to_owned());
    Reply { answers, file_code, file_message: String::new(), created, part: 1, last: true, skew: 0 }
}

/// The rural bank does not know what became of its last row.
pub(crate) fn is_unknown(request: &Request, row: usize) -> bool {
    request.layout == Layout::Rural && row + 1 == request.len()
}

fn answer(request: &Request, row: usize) -> Answer {
    let instruction = request.text(row, Echo::Instruction);
    let unknown = is_unknown(request, row);
    let serial = match request.layout {
        Layout::Rural => format!("B{}", &instruction[5..]),
        Layout::Postal => format!("P{}", &instruction[9..]),
        Layout::City => format!("C{instruction:0>31}"),
    };
    let unless_unknown = |text: &str| if unknown { String::new() } else { text.to_owned() };
    Answer {
        row,
        code: if unknown { "9001".to_owned() } else { request.layout.success().to_owned() },
        message: String::new(),
        actual: if unknown { 0 } else { request.due(row) },
        booked_on: unless_unknown("20180705"),
        booked_at: unless_unknown(if request.layout == Layout::Postal { "" } else { "181500" }),
        serial: unless_unknown(&serial),
        changed: Vec::new(),
        cut_name: false,
    }
}

/// Both payments at the counter; once more, in the other order, where it is another file.
pub(crate) fn payments(is_other: bool) -> String {
    let mut rows = [
        format!("{},2018,30.00,2018-07-05,counter,GT0001\n", id_number(AT_COUNTER)),
        format!("{},2018,100.00,2018-07-05,counter,GT0002\n", id_number(WHOLE_TIER)),
    ];
    if is_other {
        rows.reverse();
    }
    "id_number,fee_year,amount,paid_on,channel,reference\n".to_owned() + &rows.concat()
}

pub(crate) fn roster() -> String {
    let row = |person: usize| {
        let (bank, account) = match person < ASKED {
            true => (BANKS[person % 3], format!("9999{person:012}")),
            false => ("", String::new()),
        };
        format!("{},测试甲,500199,100,{bank},{account}\n", id_number(person))
    };
    "id_number,name,district,tier,bank,account\n".to_owned() + &(0..=WHOLE_TIER).map(row).collect::<String>()
}

fn list() -> String {
    let row = |person| format!("{},测试甲,500199,低保对象,2017\n", id_number(person));
    "身份证号,姓名,区县,认定类别,认定年度\n".to_owned() + &(0..WHOLE_TIER).map(row).collect::<String>()
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What differs between two snapshots: the first few lines of each.
pub(crate) fn differences(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Checked<()> {
    let keys: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let mut words = String::new();
    for key in keys {
        let (expected, found) = (expected.get(key), found.get(key));
        if expected != found {
            let lines = |text: Option<&String>| -> BTreeSet<String> {
                text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
            };
            let (expected, found) = (lines(expected), lines(found));
            words += &format!("{key}:\n");
            expected.difference(&found).take(4).for_each(|line| words += &format!("  - {line}\n"));
            found.difference(&expected).take(4).for_each(|line| words += &format!("  + {line}\n"));
        }
    }
    if words.is_empty() { Ok(()) } else { Err(words) }
}
