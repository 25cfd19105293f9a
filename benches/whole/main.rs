//! The figures of `docs/performance.md`, each as a ratio to a reference that runs beside it, in turns.
//!
//! `benches/run` runs a million rows, `benches/run --quick` a hundred thousand. Only ratios count: the machines are
//! noisy, and both sides are measured on the same one within the same minute.

mod bureau;
mod engine;
mod latency;
mod ledger;
mod measure;
mod sftp;

use measure::{Figure, Reach, Scale};
use std::path::Path;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    match words.as_slice() {
        ["child", "decode", file] => engine::decode_alone(Path::new(file)),
        ["child", "take", dir, file] => ledger::take_alone(Path::new(dir), Path::new(file)),
        [] => run(Scale { people: 1_000_000, rounds: 5 }, ""),
        ["--quick"] => run(Scale { people: 100_000, rounds: 5 }, ""),
        ["--quick", only] => run(Scale { people: 100_000, rounds: 5 }, only),
        [only] => run(Scale { people: 1_000_000, rounds: 5 }, only),
        _ => eprintln!("expected [--quick] [engine | ledger | latency | sftp | steps | growth]"),
    }
}

fn run(scale: Scale, only: &str) {
    let is_wanted = |part: &str| only.is_empty() || only == part;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut figures = Vec::new();
    if is_wanted("sftp") {
        sftp::run(dir.path(), scale.rounds, &mut figures);
    }
    if only == "growth" {
        ledger::grow(dir.path(), scale, &mut figures);
    }
    if ["sftp", "growth"].contains(&only) {
        return measure::print(scale, &figures);
    }
    let (year, times) = bureau::Year::play(&dir.path().join("bureau"), scale.people);
    figures.extend(times.into_iter().map(|(what, time)| Figure::of(what, time, None, Reach::Seconds(60))));
    if is_wanted("engine") {
        engine::run(&year, scale, &mut figures);
    }
    if is_wanted("ledger") {
        ledger::run(&year, scale, &mut figures);
    }
    if only == "steps" {
        ledger::steps(&year, scale, &mut figures);
    }
    if is_wanted("latency") {
        latency::run(dir.path(), &mut figures);
    }
    measure::print(scale, &figures);
}
