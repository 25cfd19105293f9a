//! Seeds are played by other processes of this binary, each one bureau at a time: as many as there are processors.

use crate::bureau::Ground;
use crate::play::{Tally, play};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What seeds came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) seeds: u64,
    pub(crate) failures: Vec<(u64, String)>,
    /// What happened, of all seeds together.
    pub(crate) trace: u64,
    pub(crate) tally: Tally,
}

impl Found {
    pub(crate) fn add(&mut self, other: Found) {
        self.seeds += other.seeds;
        self.failures.extend(other.failures);
        self.trace ^= other.trace;
        self.tally.add(other.tally);
    }

    pub(crate) fn words(&self) -> String {
        let Tally { deaths, power_cuts, forgotten, files, requests, postings } = self.tally;
        format!(
            "{} seeds: {files} files given, {requests} instruction files at banks, {postings} postings; {deaths} deaths, \
             {power_cuts} power cuts, {forgotten} names and contents forgotten; nothing lost, nothing twice",
            self.seeds
        )
    }
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.deaths += other.deaths;
        self.power_cuts += other.power_cuts;
        self.forgotten += other.forgotten;
        self.files += other.files;
        self.requests += other.requests;
        self.postings += other.postings;
    }

    fn line(self) -> String {
        let Tally { deaths, power_cuts, forgotten, files, requests, postings } = self;
        format!("{deaths} {power_cuts} {forgotten} {files} {requests} {postings}")
    }

    fn of_line(line: &str) -> Tally {
        let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
        let [deaths, power_cuts, forgotten, files, requests, postings] = numbers[..] else { panic!("{line}") };
        Tally { deaths, power_cuts, forgotten, files, requests, postings }
    }
}

/// A number of the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

/// Plays all, each once.
pub(crate) fn play_all(seeds: &[u64], fault: Option<&str>, told: bool) -> Found {
    play_until(seeds, fault, told, |_| false)
}

/// The first failure that is found among the seeds from 1 on, with a fault put in.
pub(crate) fn until_one_fails(seeds: u64, fault: &str) -> Option<(u64, String)> {
    let seeds: Vec<u64> = (1..=seeds).collect();
    play_until(&seeds, Some(fault), false, |found| !found.failures.is_empty()).failures.into_iter().min()
}

fn play_until(seeds: &[u64], fault: Option<&str>, told: bool, enough: impl Fn(&Found) -> bool + Sync) -> Found {
    let (next, is_enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let all = Mutex::new(Found::default());
    let at_once = std::thread::available_parallelism().map_or(2, usize::from).min(seeds.len());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let mut worker = Worker::start(fault, told);
                while !is_enough.load(Ordering::SeqCst) {
                    let Some(seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst)) else { break };
                    let found = worker.play(*seed);
                    let mut all = all.lock().unwrap();
                    all.add(found);
                    is_enough.fetch_or(enough(&all), Ordering::SeqCst);
                }
                worker.end();
            });
        }
    });
    let mut all = all.into_inner().unwrap();
    all.failures.sort();
    all
}

/// Another process that plays the seeds that it is told.
struct Worker {
    child: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
    told: bool,
}

/// What a worker's answers begin with: the test harness says things of its own.
const ANSWER: &str = "@@ ";

impl Worker {
    fn start(fault: Option<&str>, told: bool) -> Worker {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "worker", "--nocapture", "--test-threads", "1"]);
        command.env("DAIKOU_SIMULATION_WORKER", if told { "told" } else { "silent" });
        command.env_remove("DAIKOU_MUTANT").env_remove("DAIKOU_FAILPOINT");
        fault.map(|fault| command.env("DAIKOU_MUTANT", fault));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (asks, says) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Worker { child, asks, says, told }
    }

    fn play(&mut self, seed: u64) -> Found {
        writeln!(self.asks, "{seed}").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            if self.says.read_line(&mut line).unwrap() == 0 {
                let failures = vec![(seed, "the process came to a bad end".to_owned())];
                return Found { seeds: 1, failures, ..Found::default() };
            }
            // The harness may have begun a line of its own.
            if let Some((_, answer)) = line.split_once(ANSWER) {
                let mut parts = answer.trim_end().splitn(3, '|');
                let mut part = || parts.next().unwrap_or_default();
                let (trace, tally, words) = (part(), part(), part());
                let failures = if words.is_empty() { vec![] } else { vec![(seed, words.replace("\\n", "\n"))] };
                let (trace, tally) = (trace.parse().unwrap(), Tally::of_line(tally));
                return Found { seeds: 1, failures, trace, tally };
            }
            if self.told {
                print!("{line}");
            }
        }
    }

    fn end(self) {
        let Worker { mut child, asks, mut says, .. } = self;
        drop(asks);
        std::io::copy(&mut says, &mut std::io::sink()).unwrap();
        child.wait().unwrap();
    }
}

/// The other side: plays seed after seed until nobody asks any more.
pub(crate) fn work() {
    let Ok(how) = std::env::var("DAIKOU_SIMULATION_WORKER") else { return };
    let ground = Ground::new();
    for line in std::io::stdin().lock().lines() {
        let seed: u64 = line.unwrap().parse().expect("a seed");
        let (ended, trace, tally) = play(&ground, seed, how == "told");
        let mut answer = format!("{ANSWER}{trace}|{}|", tally.line());
        if let Err(words) = ended {
            write!(answer, "{}", words.replace('\n', "\\n")).unwrap();
        }
        println!("{answer}");
    }
}
