//! A bureau in a folder of its own, with its daemon running: what the end-to-end proofs share.

use crate::bank_files::{self, Answer, Echo, Layout, Reply, Request};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// The business date of these proofs: one business day before the debit date.
pub(crate) const TODAY: &str = "2018-07-05";

/// A bureau for which nobody must approve anything, with short waits.
pub(crate) struct Bureau {
    root: tempfile::TempDir,
    /// How many people are on its roster.
    pub(crate) people: usize,
}

/// Its daemon, killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    address: String,
}

impl Bureau {
    /// Sets it up below `place`, `people` of them on the roster, all listed as 低保对象, banks in turn.
    pub(crate) fn new(place: &Path, people: usize) -> Bureau {
        let root = tempfile::tempdir_in(place).unwrap();
        let bureau = Bureau { root, people };
        let init =
            Command::new(env!("CARGO_BIN_EXE_daikou")).args(["init", "--unattended"]).arg(bureau.home()).output();
        assert!(init.unwrap().status.success());
        let path = bureau.home().join("daikou.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("127.0.0.1:9187", "127.0.0.1:0").replace("settle_ms = 2000", "settle_ms = 200");
        fs::write(&path, text).unwrap();
        bureau
    }

    /// The folder of its configuration.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("bureau")
    }

    /// A folder of its drop tree.
    pub(crate) fn drops(&self, place: &str) -> PathBuf {
        self.home().join("drops").join(place)
    }

    /// A folder beside the bureau.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Changes one line of its configuration.
    pub(crate) fn set(&self, from: &str, to: &str) {
        let path = self.home().join("daikou.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// Has these banks in place of the usual three.
    #[cfg(feature = "bank-sim")]
    pub(crate) fn replace_banks(&self, banks: &str) {
        let path = self.home().join("daikou.toml");
        let text = fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once("[[bank]]").unwrap();
        let after = &rest[rest.find("\n[approvals]").unwrap()..];
        fs::write(&path, format!("{before}{banks}{after}")).unwrap();
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

    /// The roster as a table.
    pub(crate) fn roster(&self, banks: &[&str]) -> String {
        let mut text = "id_number,name,district,tier,bank,account\n".to_owned();
        for person in 0..self.people {
            let bank = banks[person % banks.len()];
            text += &format!("{},测试甲,500199,100,{bank},9999{person:012}\n", id_number(person));
        }
        text
    }

    /// The list of the civil affairs department as a table.
    pub(crate) fn list(&self) -> String {
        let rows = (0..self.people).map(|person| format!("{},测试甲,500199,低保对象,2017\n", id_number(person)));
        "身份证号,姓名,区县,认定类别,认定年度\n".to_owned() + &rows.collect::<String>()
    }

    /// Runs a command to its end; its exit code and what it printed.
    pub(crate) fn daikou(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        command.arg("--config").arg(self.home().join("daikou.toml")).args(["--today", TODAY]).args(args);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts the daemon; it has said where it listens when this returns.
    pub(crate) fn start(&self) -> Daemon {
        let log = fs::File::options().create(true).append(true).open(self.beside("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        command.arg("--config").arg(self.home().join("daikou.toml")).args(["--today", TODAY, "run"]);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{}", self.log())).to_owned();
        let daemon = Daemon { child, address };
        wait_for("the daemon is well", || daemon.page("/healthz").ends_with("ok\n"));
        daemon
    }

    /// All that its daemons said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.beside("log")).unwrap_or_default()
    }

    /// The one request file that lies in a bank's folder, once it is there.
    pub(crate) fn request(&self, bank: &str) -> (String, Request) {
        let out = self.drops(&format!("banks/{bank}/out"));
        let find = || names(&out).into_iter().find(|name| Layout::of_request(name).is_some());
        wait_for(&format!("a request for {bank}\n{}", self.log()), || find().is_some());
        let name = find().unwrap();
        let request = Request::read(&name, &fs::read(out.join(&name)).unwrap());
        (name, request)
    }

    /// Nothing in the log says who somebody is.
    pub(crate) fn assert_log_is_clean(&self) {
        let log = self.log();
        for person in 0..self.people.min(50) {
            assert!(!log.contains(&id_number(person)) && !log.contains(&format!("9999{person:012}")), "{log}");
        }
        assert!(!log.contains("测试甲"), "{log}");
    }
}

impl Daemon {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A page, head and body.
    pub(crate) fn page(&self, page: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(&self.address) {
            let asked = write!(stream, "GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let _ = asked.and_then(|()| stream.read_to_string(&mut answer).map(|_| ()));
        }
        answer
    }

    /// A figure, 0 where it is not there.
    pub(crate) fn figure(&self, name: &str) -> i64 {
        let page = self.page("/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(" 0");
        line.trim().parse().unwrap_or_else(|_| panic!("{name}{line}"))
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as systemd would, and says how long it took.
    pub(crate) fn stop(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        (self.child.wait().unwrap(), began.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The bank's files where every deduction succeeded on the business date.
pub(crate) fn all_paid(request: &Request) -> Vec<(String, Vec<u8>)> {
    let answers = (0..request.len()).map(|row| paid(request, row)).collect();
    let file_code = if request.layout == Layout::Rural { "0000" } else { "" };
    let reply = Reply {
        answers,
        file_code: file_code.to_owned(),
        file_message: String::new(),
        created: "20180705200000".to_owned(),
        part: 1,
        last: true,
        skew: 0,
    };
    bank_files::write(request, &reply)
}

fn paid(request: &Request, row: usize) -> Answer {
    let instruction = request.text(row, Echo::Instruction);
    let serial = match request.layout {
        Layout::Rural => format!("B{}", &instruction[5..]),
        Layout::Postal => format!("P{}", &instruction[9..]),
        Layout::City => format!("C{instruction:0>31}"),
    };
    Answer {
        row,
        code: request.layout.success().to_owned(),
        message: String::new(),
        actual: request.due(row),
        booked_on: TODAY.replace('-', ""),
        booked_at: if request.layout == Layout::Postal { String::new() } else { "181500".to_owned() },
        serial,
        changed: Vec::new(),
        cut_name: false,
    }
}

/// A valid identity number of area 500199, which nobody has.
pub(crate) fn id_number(person: usize) -> String {
    let (day, sequence) = (person / 900 % 28 + 1, person % 900 + 100);
    let (year, month) = (1965 + person / 302_400, person / 25_200 % 12 + 1);
    let body = format!("500199{year}{month:02}{day:02}{sequence:03}");
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body.bytes().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let check = b"10X98765432"[sum as usize % 11];
    format!("{body}{}", char::from(check))
}
