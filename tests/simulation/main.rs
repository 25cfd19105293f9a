//! Deterministic simulation: a seed drives a small bureau through a year's steps, files come in any order, doubled, cut
//! and renamed over, the clock jumps, the process dies at any call, and the disk forgets what was not synced. In the end
//! an oracle that counts from what the simulated banks wrote is held against the exports.
//!
//! `DAIKOU_SEED=17 cargo test --features failpoints --test simulation -- --nocapture` plays one seed and tells every
//! event; `DAIKOU_SEEDS=5000` plays so many, `DAIKOU_FIRST_SEED=N` begins elsewhere, `SIMULATION_SECONDS` plays as long
//! as that.

#[path = "../it/bank_files.rs"]
#[allow(dead_code, reason = "the simulated banks need less than the scenarios")]
mod bank_files;
mod bureau;
mod oracle;
mod people;
mod play;
#[path = "../it/scratch.rs"]
mod scratch;
mod workers;

use std::time::{Duration, Instant};
use workers::{Found, number, play_all};

/// Seeds that once failed: played first, for ever.
const ONCE_FAILED: &str = include_str!("once-failed.txt");

/// Seeds that are played where nobody says otherwise.
const USUAL: u64 = 2_000;

/// Seeds within which a fault that was put in must show itself.
const TO_CATCH: u64 = 400;

fn once_failed() -> Vec<u64> {
    let lines = ONCE_FAILED.lines().filter_map(|line| line.split('#').next()).map(str::trim);
    lines.filter(|line| !line.is_empty()).map(|line| line.parse().expect("a seed in each line")).collect()
}

#[track_caller]
fn assert_sound(found: &Found) {
    let shown: Vec<String> = found.failures.iter().take(5).map(|(seed, words)| replay(*seed, words)).collect();
    assert!(shown.is_empty(), "{} of {} seeds fail:\n{}", found.failures.len(), found.seeds, shown.join("\n"));
}

fn replay(seed: u64, words: &str) -> String {
    format!("DAIKOU_SEED={seed} cargo test --features failpoints --test simulation -- --nocapture\n{words}")
}

/// Whatever the seed: everything once, nothing lost, nothing twice.
#[test]
fn every_seed_ends_with_everything_once() {
    if let Some(seed) = number("DAIKOU_SEED") {
        return assert_sound(&play_all(&[seed], None, true));
    }
    let began = Instant::now();
    let first = number("DAIKOU_FIRST_SEED").unwrap_or(1);
    let count = number("DAIKOU_SEEDS").unwrap_or(USUAL);
    let until = number("SIMULATION_SECONDS").map(|seconds| began + Duration::from_secs(seconds));
    let mut all = play_all(&once_failed(), None, false);
    assert_sound(&all);
    let mut seeds = first..first + count;
    loop {
        let found = play_all(&seeds.clone().collect::<Vec<_>>(), None, false);
        all.add(found);
        assert_sound(&all);
        match until {
            Some(until) if Instant::now() < until => seeds = seeds.end..seeds.end + count,
            _ => break,
        }
    }
    println!("{} in {} s", all.words(), began.elapsed().as_secs());
}

/// The same seed plays the same: a failing one can be looked at again.
#[test]
fn a_seed_plays_the_same_each_time() {
    let seeds: Vec<u64> = (1..=20).collect();
    let (one, other) = (play_all(&seeds, None, false), play_all(&seeds, None, false));
    assert_eq!((one.trace, one.tally), (other.trace, other.tally));
}

/// Proofs that find nothing prove nothing: without each of these calls some seed must fail.
#[test]
fn every_sync_that_is_left_out_is_found() {
    for (fault, words) in daikou::failpoint::FORGOTTEN {
        let found = workers::until_one_fails(TO_CATCH, fault);
        let (seed, failure) = found.unwrap_or_else(|| panic!("{fault} ({words}) is not found within {TO_CATCH} seeds"));
        let first = failure.lines().next().unwrap_or_default();
        println!("{fault} ({words}): found by seed {seed}: {first}");
    }
}

/// Plays what another process of this binary was asked for; nothing where nobody asked.
#[test]
fn worker() {
    workers::work();
}
