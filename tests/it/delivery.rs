//! One suite for every server: OpenSSH, and the bank in a box in each of its misbehaviours. Whatever the server does, no
//! instruction file is delivered twice or cut, every state is explained, money is posted once, the audit is clean, and
//! the daemon stops in time. The cases are data, and the table of docs/delivery.md is made of them.

use crate::bank_files::Request;
use crate::bureau::{Bureau, Daemon, all_paid, names};
use crate::sshd::{Sshd, missing};
use daikou::cli::bank::Style;
use daikou::cli::bank_sim::setup::{BankSetup, Setup};
use daikou::cli::bank_sim::{Running, start};
use serde::Deserialize;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const PEOPLE: usize = 10;

/// Cases that are played at once: they wait for time limits most of the time.
const AT_ONCE: usize = 8;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "sim")]
    server: String,
    #[serde(default = "rural")]
    layout: String,
    misbehave: Vec<String>,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    bank: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    alarm: String,
    #[serde(default)]
    by_person: String,
    end: String,
    says: String,
}

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

fn sim() -> String {
    "sim".to_owned()
}

fn rural() -> String {
    "rural-commercial".to_owned()
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(root().join("tests/data/delivery/cases.toml")).unwrap();
    toml::from_str::<Cases>(&text).unwrap().case
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn nothing_is_delivered_twice_or_cut_whatever_the_server_does() {
    let waiting = Mutex::new(cases());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(case) = waiting.lock().unwrap().pop() else { return };
                    if let Some(reason) = missing().filter(|_| case.server == "openssh") {
                        println!("{}: skipped: {reason}", case.name);
                        continue;
                    }
                    let began = Instant::now();
                    match std::panic::catch_unwind(|| play(&case)) {
                        Ok(()) => println!("{}: {} ms", case.name, began.elapsed().as_millis()),
                        Err(_) => failed.lock().unwrap().push(case.name),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
}

fn play(case: &Case) {
    let stage = Stage::set(case);
    let daemon = stage.bureau.start();
    stage.drop_tables();
    if case.server == "openssh" && case.state.is_empty() {
        stage.wait("a request", || stage.answer_by_hand());
    }
    if !case.state.is_empty() {
        stage.wait(&format!("state {}", case.state), || stage.state() == case.state);
    }
    if !case.alarm.is_empty() {
        stage.wait(&format!("alarm {}", case.alarm), || alarm(&daemon, &case.alarm) > 0);
    }
    if case.state.is_empty() && case.alarm.is_empty() {
        stage.wait("the end", || stage.state() == case.end);
    }
    stage.nothing_twice_or_cut();
    stage.mend(case, &daemon);
    stage.wait(&format!("the end {}", case.end), || stage.state() == case.end);
    let is_complete = case.end == "complete";
    if is_complete {
        stage.wait("everybody is posted", || daemon.figure("daikou_postings{event=\"self-payment\"}") == PEOPLE as i64);
        stage.wait("no alarm", || {
            ["line", "line-blocked", "delivery-refused"].iter().all(|class| alarm(&daemon, class) == 0)
        });
    }
    if case.profile.contains("delete") {
        stage.wait("the bank's folder is empty", || names(&stage.home.join("download")).is_empty());
    }
    let (status, took) = daemon.stop();
    assert!(status.success() && took < Duration::from_secs(5), "{}: stopped after {took:?}", case.name);
    assert_eq!(stage.files(), if is_complete { stage.files_wanted() } else { stage.files() }, "{}", case.name);
    stage.nothing_twice_or_cut();
    stage.bureau.assert_log_is_clean();
    let (code, words) = stage.bureau.daikou(&["audit"]);
    assert_eq!(code, Some(0), "{}: {words}", case.name);
    let (code, words) = stage.bureau.daikou(&["explain", &stage.batch()]);
    assert!(code == Some(0) && words.contains(&case.end), "{}: {words}", case.name);
}

fn alarm(daemon: &Daemon, class: &str) -> i64 {
    daemon.figure(&format!("daikou_alarms{{class=\"{class}\"}}"))
}

/// The daemon dies while the file is on its way, again and again; each time another one goes on.
#[test]
fn killed_at_any_moment_it_is_delivered_once() {
    let deaths: Vec<Vec<u64>> =
        vec![vec![2_100, 300, 700], vec![2_600, 150, 400], vec![3_200, 500], vec![3_900, 50, 900]];
    std::thread::scope(|scope| {
        for deaths in &deaths {
            scope.spawn(move || die_and_resume(deaths));
        }
    });
}

fn die_and_resume(deaths_ms: &[u64]) {
    let mut case = cases().into_iter().find(|case| case.name == "well-behaved").unwrap();
    case.name = format!("killed after {deaths_ms:?} ms");
    case.misbehave = vec!["slow=2000".to_owned()];
    case.profile = "least_bytes_per_s = 1".to_owned();
    let stage = Stage::set(&case);
    let mut daemon = stage.bureau.start();
    stage.drop_tables();
    for after in deaths_ms {
        std::thread::sleep(Duration::from_millis(*after));
        daemon.kill();
        if stage.row().len() > 1 {
            stage.nothing_twice_or_cut();
        }
        daemon = stage.bureau.start();
    }
    fs::write(stage.home.join("misbehave"), "").unwrap();
    stage.wait("the end", || stage.state() == "complete");
    stage.wait("everybody is posted", || daemon.figure("daikou_postings{event=\"self-payment\"}") == PEOPLE as i64);
    assert!(daemon.stop().0.success());
    stage.nothing_twice_or_cut();
    assert_eq!(fs::read_to_string(stage.home.join("received.log")).unwrap().lines().count(), 1);
    assert_eq!(stage.bureau.daikou(&["audit"]).0, Some(0));
}

/// A bureau, and the server of one of its banks.
struct Stage {
    name: String,
    key: &'static str,
    bureau: Bureau,
    /// The bank's folders: `upload`, `download`, and in the bank in a box its memory.
    home: PathBuf,
    sim: Option<Running>,
    sshd: Option<Sshd>,
}

impl Stage {
    fn set(case: &Case) -> Stage {
        let bureau = Bureau::new(&std::env::temp_dir(), PEOPLE);
        let home = bureau.beside("bank");
        ["upload", "download"].iter().for_each(|folder| fs::create_dir_all(home.join(folder)).unwrap());
        let (key, style) = match case.layout.as_str() {
            "city-commercial" => ("city", Style::City),
            "postal-savings" => ("postal", Style::Postal),
            _ => ("rural", Style::Rural),
        };
        let mut stage = Stage { name: case.name.clone(), key, bureau, home, sim: None, sshd: None };
        let (port, host_key, login, user) = match case.server.as_str() {
            "openssh" => stage.openssh(case),
            _ => stage.bank_in_a_box(case, style),
        };
        let text = format!(
            "\n[bank.sftp]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{user}\"\nkey = \"{}\"\nhost_keys = [\"{host_key}\"]\n\
             quiet_s = 0\npoll_s = 1\ntimeout_s = 2\nlongest_pause_s = 2\nmax_mib = 64\n{}\n",
            login.display(),
            case.profile
        );
        stage.bureau.add_to_bank(stage.key, &text);
        stage
    }

    fn openssh(&mut self, case: &Case) -> (u16, String, PathBuf, &'static str) {
        let denied: Vec<&str> = case.misbehave.iter().map(String::as_str).filter(|word| *word != "taken").collect();
        let sshd = Sshd::start_denying(&self.bureau.beside("ssh"), &self.home, &denied.join(","));
        if case.misbehave.iter().any(|word| word == "taken") {
            fs::write(self.home.join("upload/NSH_500199000001_20180705_01000001.REQ"), "other bytes").unwrap();
        }
        let found = (sshd.port, sshd.host_key(), sshd.key.clone(), "root");
        self.sshd = Some(sshd);
        found
    }

    fn bank_in_a_box(&mut self, case: &Case, style: Style) -> (u16, String, PathBuf, &'static str) {
        let login = self.bureau.beside("login");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&login).status();
        assert!(made.unwrap().success());
        let mut bank = BankSetup::new("teller", &self.home, style);
        bank.authorized_keys = login.with_extension("pub");
        for line in case.bank.lines() {
            let (word, value) = line.split_once(" = ").unwrap();
            match word {
                "delay_s" => bank.delay_s = value.parse().unwrap(),
                "return_files" => bank.return_files = Some(value.parse().unwrap()),
                other => panic!("{other}"),
            }
        }
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = start(&Setup { dir: self.home.clone(), listen, banks: vec![bank] }).unwrap();
        let found = (running.port, format!("ssh-ed25519 {}", running.fingerprint), login, "teller");
        fs::write(self.home.join("misbehave"), case.misbehave.join("\n")).unwrap();
        self.sim = Some(running);
        found
    }

    fn drop_tables(&self) {
        fs::write(self.bureau.drops("bureau/in/roster.csv"), self.bureau.roster(&[self.key])).unwrap();
        fs::write(self.bureau.drops("departments/civil-affairs/500199/in/list.csv"), self.bureau.list()).unwrap();
    }

    /// The server behaves from now on, and a person does what a person must.
    fn mend(&self, case: &Case, daemon: &Daemon) {
        if self.sim.is_some() {
            fs::write(self.home.join("misbehave"), "").unwrap();
        }
        if let Some(sshd) = &self.sshd
            && case.end == "complete"
            && !case.state.is_empty()
        {
            sshd.deny("");
            self.wait("an answer", || self.answer_by_hand());
        }
        if case.by_person == "doctor" {
            let (code, words) = self.bureau.daikou(&["doctor", self.key]);
            assert_eq!(code, Some(0), "{}: {words}", self.name);
            self.wait("the alarm is over", || alarm(daemon, "line-blocked") == 0);
        }
    }

    /// Where no bank in a box answers: everybody paid, once a request is there.
    fn answer_by_hand(&self) -> bool {
        let upload = self.home.join("upload");
        let Some(name) = names(&upload).into_iter().find(|name| name.ends_with(".REQ")) else { return false };
        let bytes = fs::read(upload.join(&name)).unwrap();
        if bytes.len() < 302 * (PEOPLE + 2) {
            return false;
        }
        for (name, bytes) in all_paid(&Request::read(&name, &bytes)) {
            let target = self.home.join("download").join(name);
            if !target.exists() {
                fs::write(target, bytes).unwrap();
            }
        }
        true
    }

    /// Return files that were taken: each once, whatever was listed.
    fn files(&self) -> usize {
        let (_, files) = self.bureau.daikou(&["export", "files"]);
        files.lines().filter(|line| line.contains(",return,") && !line.contains(",duplicate,")).count()
    }

    fn files_wanted(&self) -> usize {
        if self.name == "answers-in-wrong-order" { 2 } else { 1 }
    }

    fn row(&self) -> Vec<String> {
        let (_, batches) = self.bureau.daikou(&["export", "batches"]);
        let row = batches.lines().nth(1).unwrap_or_default();
        row.split(',').map(str::to_owned).collect()
    }

    fn state(&self) -> String {
        self.row().pop().unwrap_or_default()
    }

    fn batch(&self) -> String {
        self.row().swap_remove(0)
    }

    /// The bank's memory: what it took, and what it refused because it had it before or because it was cut.
    fn nothing_twice_or_cut(&self) {
        let name = &self.name;
        let text = |file: &str| fs::read_to_string(self.home.join(file)).unwrap_or_default();
        if self.sim.is_some() {
            assert!(text("received.log").lines().count() <= 1, "{name}: twice: {}", text("received.log"));
            assert_eq!(text("refused.log"), "", "{name}");
        }
        let there: Vec<String> = names(&self.home.join("upload"))
            .into_iter()
            .filter(|name| !name.ends_with(".tmp") && !name.ends_with(".CTL"))
            .collect();
        assert!(there.len() <= 1, "{name}: {there:?}");
        for file in there {
            let ours = self.archived();
            let bytes = fs::read(self.home.join("upload").join(&file)).unwrap();
            // Where renaming is forbidden half a file may stand there, and is never called sent.
            let is_half = name == "may-not-rename-cut" && ours.starts_with(&bytes) && self.state() != "sent";
            let is_sound = bytes == ours || bytes == b"other bytes" || is_half;
            assert!(is_sound, "{name}: {file} is not what was approved");
        }
    }

    /// The bytes that were approved.
    fn archived(&self) -> Vec<u8> {
        let digest = self.row().swap_remove(6);
        let folder = self.bureau.home().join("state/archive/2018/07");
        let name = names(&folder).into_iter().find(|name| name.starts_with(&digest)).unwrap();
        fs::read(folder.join(name)).unwrap()
    }

    #[track_caller]
    fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so() {
            let late = Instant::now() >= until;
            assert!(!late, "{}: waited too long for {what}: {:?}\n{}", self.name, self.row(), self.bureau.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// `UPDATE=1 cargo test delivery` writes the table anew.
#[test]
fn the_page_shows_these_cases() {
    let page = root().join("docs/delivery.md");
    let text = fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("a place for the table");
    let (_, tail) = rest.split_once(END).expect("an end of the table");
    let made = format!("{head}{BEGIN}\n{}{END}{tail}", table());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(&page).unwrap(), made, "UPDATE=1 writes it anew");
}

const BEGIN: &str = "<!-- cases -->";
const END: &str = "<!-- end of cases -->";

fn table() -> String {
    let mut text = String::from(
        "| case | server | profile | meanwhile | alarm | in the end | what follows |\n|---|---|---|---|---|---|---|\n",
    );
    let code = |words: &str| if words.is_empty() { "–".to_owned() } else { format!("`{words}`") };
    for case in cases() {
        let server = match (case.server.as_str(), case.misbehave.is_empty()) {
            ("openssh", true) => "OpenSSH".to_owned(),
            ("openssh", false) if case.misbehave == ["taken"] => "OpenSSH, the name is taken".to_owned(),
            ("openssh", false) => format!("OpenSSH without `{}`", case.misbehave.join(" ")),
            (_, true) => "the bank in a box".to_owned(),
            (_, false) => code(&case.misbehave.join("` `")),
        };
        let profile = code(&case.profile.replace('\n', "` `"));
        let by = if case.by_person.is_empty() { String::new() } else { format!(", after `{}`", case.by_person) };
        text += &format!(
            "| {} | {server} | {profile} | {} | {} | `{}`{by} | {} |\n",
            case.name,
            code(&case.state),
            code(&case.alarm),
            case.end,
            case.says
        );
    }
    text
}
