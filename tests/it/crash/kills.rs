//! The daemon is killed from outside at random moments, while files come twice, in any order, and in other versions.
//! What must be posted is counted from the inputs alone.

use super::matrix::Ways;
use super::stage::{Checked, Stage, payments, reply};
use super::{each, oracle, program};
use crate::bank_files;
use std::time::{Duration, Instant};

/// Numbers that are random enough, and the same for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

/// A file that its sender gives: where, its names with their bytes, in the order of their coming.
type Delivery = (String, Vec<(String, Vec<u8>)>);

/// Everything that comes, with what comes again: the same bytes, and other bytes that say the same.
fn deliveries(ways: &Ways) -> Vec<Delivery> {
    let mut all = Vec::new();
    for (bank, request) in &ways.requests {
        for is_other in [false, true] {
            let files = bank_files::write(request, &reply(request, is_other));
            all.push((format!("banks/{bank}/in"), files.clone()));
            all.push((format!("banks/{bank}/in"), files));
        }
    }
    for (is_other, name) in [(false, "payments.csv"), (true, "again.csv"), (false, "third.csv")] {
        all.push(("bureau/in".to_owned(), vec![(name.to_owned(), payments(is_other).into_bytes())]));
    }
    all
}

fn give(stage: &Stage, (inbox, files): &Delivery) {
    files.iter().for_each(|(name, bytes)| stage.put(inbox, name, bytes));
}

/// Every file twice and in other versions, one after the other, with no death at all.
pub(super) fn doubled(ways: &Ways, stage: &Stage) -> Checked<()> {
    for delivery in deliveries(ways) {
        give(stage, &delivery);
        stage.go_in(None)?;
    }
    oracle::check(stage, &ways.requests)?;
    stage.audit()
}

/// One bureau: files come in an order of chance, the daemon is killed at moments of chance, and backups are taken beside
/// it, some of them killed too. Every second bureau has a bank with a server of its own. How often the daemon was killed.
fn killed_at_random(ways: &Ways, seed: u64) -> Checked<usize> {
    let mut chance = Chance(seed);
    #[cfg_attr(not(feature = "bank-sim"), expect(unused_mut))]
    let mut stage = ways.before_in.copy();
    #[cfg(feature = "bank-sim")]
    let _server = seed.is_multiple_of(2).then(|| super::line::give_a_server(&mut stage));
    let mut waiting = deliveries(ways);
    let mut kills = 0;
    while !waiting.is_empty() {
        let mut daemon = stage.start(None);
        for _ in 0..=chance.below(3) {
            if !waiting.is_empty() {
                give(&stage, &waiting.swap_remove(chance.below(waiting.len() as u64) as usize));
            }
            std::thread::sleep(Duration::from_millis(chance.below(120)));
        }
        if chance.below(3) == 0 {
            stage.back_up(Duration::from_millis(chance.below(400)));
        }
        let is_over = daemon.try_wait().unwrap();
        if let Some(status) = is_over {
            return Err(format!("the daemon ended with {status}"));
        }
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        kills += 1;
    }
    stage.go_in(None)?;
    oracle::check(&stage, &ways.requests)?;
    stage.audit()?;
    if let Some(backup) = stage.whole_backups()?.pop() {
        restored(ways, &stage.restored(&backup))?;
    }
    Ok(kills)
}

/// A bureau that is restored from a backup is given everything that came, whether the backup knows it or not.
fn restored(ways: &Ways, stage: &Stage) -> Checked<()> {
    deliveries(ways).iter().for_each(|delivery| give(stage, delivery));
    stage.go_in(None)?;
    oracle::check(stage, &ways.requests)?;
    stage.audit().map_err(|words| format!("restored: {words}"))
}

/// `KILL_SECONDS` is how long it goes on, `KILL_SEED` the first seed: a failing one is named and can be replayed.
#[test]
fn killed_at_any_moment_it_posts_everything_once() {
    let Some(program) = program() else { return };
    let ways = Ways::new(&program);
    doubled(&ways, &ways.before_in.copy()).unwrap();
    let number = |name: &str, usual: u64| std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(number("KILL_SECONDS", 20));
    let (mut seed, mut kills, mut bureaus) = (number("KILL_SEED", 1), 0, 0);
    loop {
        let seeds: Vec<u64> = (seed..).take(super::AT_ONCE).collect();
        for (seed, result) in seeds.iter().zip(each(&seeds, |seed| killed_at_random(&ways, *seed))) {
            kills += result.unwrap_or_else(|words| panic!("KILL_SEED={seed} KILL_SECONDS=0: {words}"));
            bureaus += 1;
        }
        seed += seeds.len() as u64;
        if Instant::now() >= until {
            break;
        }
    }
    println!("{bureaus} bureaus, {kills} kills: every posting once");
}
