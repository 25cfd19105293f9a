//! Rounds, medians, and the table that they are shown in.

use std::process::Command;
use std::time::{Duration, Instant};

/// How much, how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) people: u32,
    pub(crate) rounds: usize,
}

/// What a figure should reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    /// Thousandths of the reference.
    Ratio(u128),
    /// Seconds, whatever the machine.
    Seconds(u64),
    /// MiB above start.
    MiB(u64),
    /// A step on the way, shown for its share.
    Nothing,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    what: String,
    ours: String,
    reference: String,
    ratio: String,
    reach: String,
    met: &'static str,
}

impl Figure {
    pub(crate) fn of(what: impl Into<String>, ours: Duration, reference: Option<Duration>, reach: Reach) -> Figure {
        let ratio = reference.map(|reference| ours.as_nanos() * 1_000 / reference.as_nanos().max(1));
        let (reach, met) = match (reach, ratio) {
            (Reach::Ratio(reach), Some(ratio)) => (format!("≤ {} ×", thousandths(reach)), yes(ratio <= reach)),
            (Reach::Seconds(seconds), _) => (format!("≤ {seconds} s"), yes(ours <= Duration::from_secs(seconds))),
            _ => (String::new(), ""),
        };
        Figure {
            what: what.into(),
            ours: seconds(ours),
            reference: reference.map(seconds).unwrap_or_default(),
            ratio: ratio.map(thousandths).unwrap_or_default(),
            reach,
            met,
        }
    }

    pub(crate) fn memory(what: &str, kib: u64, reach: Reach) -> Figure {
        let Reach::MiB(limit) = reach else { unreachable!("memory is measured in MiB") };
        Figure {
            what: what.to_owned(),
            ours: format!("{} MiB", kib.div_ceil(1_024)),
            reference: String::new(),
            ratio: String::new(),
            reach: format!("≤ {limit} MiB"),
            met: yes(kib <= limit * 1_024),
        }
    }
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "NO" }
}

fn thousandths(value: u128) -> String {
    format!("{}.{:02}", value / 1_000, value % 1_000 / 10)
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03} s", time.as_secs(), time.subsec_millis())
}

pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// Runs what is compared in turns, `rounds` times after a round that does not count; medians, in the same order.
pub(crate) fn in_turns<const N: usize>(rounds: usize, mut parts: [&mut dyn FnMut() -> Duration; N]) -> [Duration; N] {
    let mut times: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::new());
    for round in 0..=rounds {
        for (part, times) in parts.iter_mut().zip(&mut times) {
            let time = part();
            if round > 0 {
                times.push(time);
            }
        }
    }
    times.map(median)
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Runs a reference command to its end.
pub(crate) fn shell(command: &str) -> Duration {
    let (time, status) = time(|| Command::new("sh").args(["-c", command]).status());
    assert!(status.is_ok_and(|status| status.success()), "{command}");
    time
}

/// Peak of a child that is this program again, above what it had at its start, in KiB.
pub(crate) fn memory_of(args: &[&str]) -> u64 {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).arg("child").args(args).output().expect("this program runs");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().unwrap_or_else(|_| panic!("{args:?}: {text} {}", String::from_utf8_lossy(&output.stderr)))
}

/// A line of `/proc/self/status`, in KiB.
pub(crate) fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

pub(crate) fn print(scale: Scale, figures: &[Figure]) {
    println!("\n{} rows, medians of {} rounds in turns\n", scale.people, scale.rounds);
    println!("| what | ours | reference | ratio | reach | met |\n|---|---|---|---|---|---|");
    for figure in figures {
        let Figure { what, ours, reference, ratio, reach, met } = figure;
        println!("| {what} | {ours} | {reference} | {ratio} | {reach} | {met} |");
    }
}
