//! Three banks with servers of their own, over real SFTP: the process dies at every step of its couriers. Each request
//! is with its bank once, each return is fetched and posted once, and in the end all is as without a death.

use super::matrix::Ways;
use super::stage::{ASKED, BANKS, Came, Checked, Stage, differences};
use super::{each, page, program};
use crate::bureau::{id_number, names};
use daikou::cli::bank::Style;
use daikou::cli::bank_sim::setup::{BankSetup, Setup};
use daikou::cli::bank_sim::{Running, make_login, start};
use daikou::failpoint::{LINE, WAY_OUT};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// The way out over a line begins where the first byte may reach the bank.
const FIRST_OUT: &str = "writing.before-commit";

/// A bureau and the servers of its banks, which go on when it dies.
struct Line {
    stage: Stage,
    _banks: Running,
}

impl Line {
    fn open(base: &Stage, misbehaves: Option<&str>) -> Line {
        let stage = base.copy();
        stage.set("release = \"second\"", "release = \"none\"");
        // Half of a pair waits for the other one, however long a busy machine takes to start anew and fetch it.
        stage.set("incomplete_after_s = 1", "incomplete_after_s = 20");
        let (key, keys) = (stage.beside("login"), stage.beside("authorized_keys"));
        let bank = |(user, style): (&str, Style)| {
            let root = stage.beside("banks").join(user);
            fs::create_dir_all(&root).unwrap();
            // The file is read whenever a client comes. Of a pair whose data file cannot be seen the control file waits
            // for a person, so that bank keeps its manners.
            if let Some(words) = misbehaves.filter(|_| style != Style::Postal) {
                fs::write(root.join("misbehave"), words).unwrap();
            }
            BankSetup { authorized_keys: keys.clone(), ..BankSetup::new(user, &root, style) }
        };
        let banks = [(BANKS[0], Style::Rural), (BANKS[1], Style::Postal), (BANKS[2], Style::City)].map(bank);
        let setup =
            Setup { dir: stage.beside("banks"), listen: (Ipv4Addr::LOCALHOST, 0).into(), banks: banks.to_vec() };
        let running = start(&setup).unwrap();
        make_login(&key, &keys).unwrap();
        for (user, after) in BANKS.into_iter().zip(["delete", "delete", "leave"]) {
            stage.add_to_bank(user, &profile(user, after, &running, &key));
        }
        Line { stage, _banks: running }
    }

    fn at_bank(&self, bank: &str, place: &str) -> PathBuf {
        self.stage.beside("banks").join(bank).join(place)
    }

    fn text(&self, bank: &str, file: &str) -> String {
        fs::read_to_string(self.at_bank(bank, file)).unwrap_or_default()
    }

    /// The daemon plans, drafts and sends, and takes what the banks answer, until all of it is done or it dies.
    fn go(&self, failpoint: Option<&str>) -> Checked<Came> {
        let mut daemon = self.stage.start(failpoint);
        let until = Instant::now() + PATIENCE;
        let mut done_since = None;
        loop {
            if let Some(status) = daemon.try_wait().unwrap() {
                return self.stage.came(status);
            }
            if !self.is_done() {
                done_since = None;
            } else if done_since.get_or_insert_with(Instant::now).elapsed() > Duration::from_millis(150) {
                // What a courier does after its last visible act is done too, or it died of it.
                let _ = kill_process(Pid::from_child(&daemon), Signal::TERM);
                return self.stage.came(daemon.wait().unwrap());
            }
            if Instant::now() > until {
                daemon.kill().unwrap();
                daemon.wait().unwrap();
                return Err(format!("{:?}\n{}", self.stage.export("batches"), self.stage.log()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everybody's answer is booked, and lies no longer where it is to be removed.
    fn is_done(&self) -> bool {
        let is_empty = |folder: PathBuf| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        let is_booked = |bank: &&str| is_empty(self.stage.home().join("state/fetched").join(bank));
        let is_removed = |bank: &&str| is_empty(self.at_bank(bank, "download"));
        BANKS.iter().all(|bank| !self.text(bank, "received.log").is_empty())
            && BANKS.iter().all(is_booked)
            && BANKS[..2].iter().all(is_removed)
            && self.stage.export("batches").is_ok_and(|batches| {
                batches.len() == BANKS.len() && batches.iter().all(|batch| batch.ends_with(",complete"))
            })
    }

    /// What the banks took, and that they never were asked twice.
    fn at_the_banks(&self) -> Checked<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        for bank in BANKS {
            let (received, refused) = (self.text(bank, "received.log"), self.text(bank, "refused.log"));
            if received.lines().count() != 1 || !refused.is_empty() {
                return Err(format!("{bank}: received {received} refused {refused}"));
            }
            all.insert(format!("{bank} received"), received);
            all.insert(format!("{bank} returns"), names(&self.at_bank(bank, "download")).join("\n"));
        }
        Ok(all)
    }

    /// Every own part and every government part once, counted from the roster.
    fn posted_once(&self) -> Checked<()> {
        let found: BTreeSet<String> = self.entries()?.into_iter().collect();
        let expected = (0..ASKED).flat_map(|person| {
            let id = id_number(person);
            [
                format!("{id} collection personal/own 30.00"),
                format!("{id} receivable/civil-affairs/500199 personal/government 70.00"),
            ]
        });
        let expected: BTreeSet<String> = expected.collect();
        let count = self.entries()?.len();
        if found == expected && count == expected.len() { Ok(()) } else { Err(format!("{count} entries: {found:?}")) }
    }

    fn entries(&self) -> Checked<Vec<String>> {
        let shown = |line: &String| {
            let cell: Vec<&str> = line.split(',').collect();
            format!("{} {} {} {}", cell[8], cell[2], cell[3], cell[4])
        };
        Ok(self.stage.export("entries")?.iter().map(shown).collect())
    }

    /// All of it.
    fn found(&self) -> Checked<BTreeMap<String, String>> {
        let mut all = self.stage.snapshot()?;
        all.extend(self.at_the_banks()?);
        self.posted_once()?;
        self.stage.audit()?;
        Ok(all)
    }
}

fn profile(user: &str, after: &str, running: &Running, key: &Path) -> String {
    format!(
        "\n[bank.sftp]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{user}\"\nkey = \"{}\"\n\
         host_keys = [\"ssh-ed25519 {}\"]\nafter = \"{after}\"\nquiet_s = 0\npoll_s = 1\ntimeout_s = 5\n\
         longest_pause_s = 1\n",
        running.port,
        key.display(),
        running.fingerprint
    )
}

/// The rural bank of a bureau has a server from now on, where its returns are fetched and deleted once they are booked.
pub(super) fn give_a_server(stage: &mut Stage) -> Running {
    let (root, key) = (stage.beside("bank"), stage.beside("login"));
    let bank = BankSetup::new(BANKS[0], &root, Style::Rural);
    fs::create_dir_all(&root).unwrap();
    make_login(&key, &bank.authorized_keys).unwrap();
    let setup = Setup { dir: root.clone(), listen: (Ipv4Addr::LOCALHOST, 0).into(), banks: vec![bank] };
    let running = start(&setup).unwrap();
    stage.add_to_bank(BANKS[0], &profile(BANKS[0], "delete", &running, &key));
    stage.move_to_a_line(root.join("download"));
    running
}

/// Dies there so many times, recovers. How often it died.
fn die(line: &Line, place: &str, deaths: usize) -> Checked<usize> {
    let mut died = 0;
    while died < deaths && line.go(Some(place))? == Came::ToItsDeath {
        died += 1;
    }
    if died == 0 {
        return Err("is not reached".to_owned());
    }
    match line.go(None)? {
        Came::ToItsEnd => Ok(died),
        Came::ToItsDeath => Err("dies without a failpoint".to_owned()),
    }
}

/// One row of the table.
struct Row {
    place: &'static str,
    words: &'static str,
    is_out: bool,
    twice: Checked<usize>,
    /// The bank takes each file away the instant it has its name.
    taken: Option<Checked<()>>,
}

fn row(base: &Stage, expected: &BTreeMap<String, String>, (place, words): (&'static str, &'static str)) -> Row {
    let line = Line::open(base, None);
    let twice = die(&line, place, 2).and_then(|died| differences(expected, &line.found()?).map(|()| died));
    let is_out = WAY_OUT.iter().any(|(known, _)| *known == place);
    // The bank with the pair is the one that takes nothing at once.
    let taken = (is_out && !place.starts_with("delivered")).then(|| {
        let line = Line::open(base, Some("sweep"));
        die(&line, place, 1)?;
        line.at_the_banks()?;
        line.posted_once()?;
        line.stage.audit()
    });
    Row { place, words, is_out, twice, taken }
}

/// `UPDATE=1` writes the table anew.
#[test]
fn after_a_death_on_the_line_all_is_as_without_one() {
    let Some(program) = program() else { return };
    let base = Ways::new(&program).before_out;
    let undisturbed = Line::open(&base, None);
    assert_eq!(undisturbed.go(None), Ok(Came::ToItsEnd));
    let expected = undisturbed.found().unwrap();
    let log = fs::read_to_string(undisturbed.stage.beside("log")).unwrap();
    assert!(log.lines().count() > 10, "a log: {log}");
    let out = WAY_OUT.into_iter().skip_while(|(place, _)| *place != FIRST_OUT);
    let places: Vec<(&str, &str)> = out.chain(LINE).collect();
    let rows = each(&places, |place| row(&base, &expected, *place));
    let failed: Vec<String> = rows.iter().flat_map(failures).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    page::keep("line", &table(&rows));
}

fn failures(row: &Row) -> Vec<String> {
    let taken = row.taken.as_ref().and_then(|taken| taken.as_ref().err());
    let found = [("twice", row.twice.as_ref().err()), ("taken", taken)];
    found.into_iter().filter_map(|(how, error)| Some(format!("{} {how}: {}", row.place, error?))).collect()
}

fn table(rows: &[Row]) -> String {
    let mut text = "| way | the process dies at | where | in the end, after two deaths | the bank takes it at once |\n\
                    |---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let way = if row.is_out { "out" } else { "line" };
        let taken = if row.taken.is_some() { "once" } else { "–" };
        text += &format!("| {way} | `{}` | {} | the same | {taken} |\n", row.place, row.words);
    }
    text
}
