//! A return file with a mistake in it, whatever mistake: it is refused with the field or the check, or it does not move
//! another fen than the sound one. Every byte, every end, every line; with the digest left alone, and with digest and
//! totals made anew, as a bank's own program with a fault in it would. What no check can see is listed.

mod exchange;
mod named;
mod seal;
mod strangers;

use crate::crash::stage::{Came, Stage};
use daikou::format::role::Role;
use exchange::{Bank, Exchange, Fate, TODAY, Taken, banks};
use named::{Named, Place};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Against the sound file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// Refused, and the field is named whose bytes are wrong.
    RefusedField,
    /// Refused, and the check that failed is named.
    RefusedCheck,
    /// Held back as unfinished: more may come.
    Waits,
    /// The same money, the same exceptions.
    Nothing,
    /// An exception of the right class says so; where money moved, it waits in suspense.
    Told,
    /// Fewer people are posted, and nothing says so.
    NotTaken,
    /// Posted to the same people with the same amounts, booked on another day.
    OtherDay,
    Misposted,
}

/// One changed file.
struct Mutation<'b> {
    place: Option<Place<'b>>,
    what: &'static str,
    exchange: Exchange,
}

impl Mutation<'_> {
    fn name(&self) -> String {
        self.place.as_ref().map_or_else(|| self.what.to_owned(), Place::name)
    }
}

/// What a sweep came to: mutations in all, and which places had which effect.
#[derive(Default)]
struct Sweep {
    effects: BTreeMap<Effect, usize>,
    places: BTreeMap<(Effect, String), Exchange>,
    /// What was not said rightly, by place: one of each.
    wrong: BTreeMap<String, String>,
}

impl Sweep {
    fn note(&mut self, name: String, effect: Result<Effect, String>, exchange: &Exchange) {
        let effect = match effect {
            Ok(effect) => effect,
            Err(wrong) => {
                self.wrong.insert(name, wrong);
                return;
            }
        };
        *self.effects.entry(effect).or_default() += 1;
        self.places.entry((effect, name)).or_insert_with(|| exchange.clone());
    }

    fn join(mut self, other: Sweep) -> Sweep {
        for (effect, count) in other.effects {
            *self.effects.entry(effect).or_default() += count;
        }
        for (place, exchange) in other.places {
            self.places.entry(place).or_insert(exchange);
        }
        self.wrong.extend(other.wrong);
        self
    }

    fn names(&self, wanted: Effect) -> BTreeSet<&str> {
        self.places.keys().filter(|(effect, _)| *effect == wanted).map(|(_, name)| name.as_str()).collect()
    }

    fn count(&self, effect: Effect) -> usize {
        self.effects.get(&effect).copied().unwrap_or_default()
    }
}

/// Other values of a byte: another bit, another digit, another letter, a space, half a character, an end of a line. A code
/// is one of few: there every letter and digit.
fn others(byte: u8, role: Option<Role>) -> Vec<u8> {
    let digit = if byte.is_ascii_digit() { b'0' + (byte - b'0' + 3) % 10 } else { b'0' };
    let letter = if byte == b'Y' { b'N' } else { b'Y' };
    let mut all = vec![byte ^ 1, digit, letter, b' ', 0x81, b'\n'];
    if matches!(role, Some(Role::Code | Role::FileCode)) {
        all.extend((0..=0x7F_u8).filter(u8::is_ascii_alphanumeric));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|other| *other != byte);
    all
}

/// Every byte of the data file and of the control file.
fn each_byte(bank: &Bank) -> Vec<Mutation<'_>> {
    let mut all = Vec::new();
    let what = "a byte";
    for (line, bytes) in bank.sound.lines.iter().enumerate() {
        for (at, byte) in bytes.iter().enumerate() {
            for other in others(*byte, Place::data(bank, line, at).role()) {
                let mut exchange = bank.sound.clone();
                exchange.lines[line][at] = other;
                all.push(Mutation { place: Some(Place::data(bank, line, at)), what, exchange });
            }
        }
    }
    for (at, byte) in bank.sound.control.iter().flatten().enumerate() {
        for other in others(*byte, None) {
            let mut exchange = bank.sound.clone();
            exchange.control.as_mut().unwrap()[at] = other;
            all.push(Mutation { place: Some(Place::control(bank, at)), what, exchange });
        }
    }
    all
}

fn each_line(bank: &Bank) -> Vec<Mutation<'_>> {
    let mut all = Vec::new();
    let mut add = |what, lines| {
        let exchange = Exchange { lines, control: bank.sound.control.clone() };
        all.push(Mutation { place: None, what, exchange });
    };
    for line in 0..bank.sound.lines.len() {
        let mut dropped = bank.sound.lines.clone();
        dropped.remove(line);
        add("a line dropped", dropped);
        let mut doubled = bank.sound.lines.clone();
        doubled.insert(line, doubled[line].clone());
        add("a line doubled", doubled);
        for other in line + 1..bank.sound.lines.len() {
            let mut swapped = bank.sound.lines.clone();
            swapped.swap(line, other);
            add("two lines swapped", swapped);
        }
    }
    all
}

fn each_end(bank: &Bank) -> Vec<Mutation<'_>> {
    let data = bank.sound.lines.concat();
    let mut all = Vec::new();
    for end in 0..data.len() {
        let exchange = Exchange { lines: exchange::lines(&data[..end]), control: bank.sound.control.clone() };
        all.push(Mutation { place: None, what: "cut", exchange });
    }
    for end in 0..bank.sound.control.as_ref().map_or(0, Vec::len) {
        let control = bank.sound.control.as_ref().map(|bytes| bytes[..end].to_vec());
        let exchange = Exchange { lines: bank.sound.lines.clone(), control };
        all.push(Mutation { place: None, what: "control file cut", exchange });
    }
    all
}

/// What becomes of a mutation; the error says that it is not said rightly.
fn effect(bank: &Bank, sound: &Taken, mutation: &Mutation<'_>, is_sealed: bool) -> Result<Effect, String> {
    let taken = match bank.judge(&mutation.exchange) {
        Fate::Incomplete => return Ok(Effect::Waits),
        Fate::Refused(found) => {
            let is_told = |code: &str, zh: &str, action: &str| !code.is_empty() && !zh.is_empty() && !action.is_empty();
            if found.is_empty() || !found.iter().all(|f| is_told(f.code, &f.message_zh, &f.action_zh)) {
                return Err("refused without a word".to_owned());
            }
            let Some(place) = &mutation.place else { return Ok(Effect::RefusedCheck) };
            let named = place.is_named_by(&found, &mutation.exchange, is_sealed);
            let named = named.map_err(|expected| format!("expected {expected}, found {found:?}"))?;
            return Ok(if named == Named::Field { Effect::RefusedField } else { Effect::RefusedCheck });
        }
        Fate::Taken(taken) => taken,
    };
    if !taken.credited(false).is_subset(&sound.credited(false)) {
        return Ok(Effect::Misposted);
    }
    let news: Vec<_> = taken.opened.iter().filter(|opened| !sound.opened.contains(opened)).collect();
    if taken.moved == sound.moved && news.is_empty() {
        return Ok(Effect::Nothing);
    }
    if news.is_empty() {
        let is_same = taken.credited(false) == sound.credited(false);
        return Ok(if is_same { Effect::OtherDay } else { Effect::NotTaken });
    }
    let classes = mutation.place.as_ref().map_or(&["missing-row", "duplicate-row"][..], Place::classes);
    if let Some((class, _)) = news.iter().find(|(class, _)| !classes.contains(class)) {
        return Err(format!("an exception {class}, expected {classes:?}"));
    }
    let is_double = news.iter().any(|(class, _)| *class == "duplicate-row");
    let (booked, said) = (taken.cash(), bank.said_taken(&mutation.exchange));
    if !is_double && Some(booked) != said {
        return Err(format!("the bank says that it took {said:?} fen, {booked} are booked"));
    }
    Ok(Effect::Told)
}

/// As found, and with digest and totals made anew.
fn sweep(bank: &Bank) -> (Sweep, Sweep) {
    let Fate::Taken(sound) = bank.judge(&bank.sound) else { panic!("{}: the sound file is refused", bank.key) };
    let own = sound.moved.iter().filter(|pair| pair.3 == "personal/own").count();
    assert_eq!(own, if bank.key == "rural" { 2 } else { 3 }, "{}", bank.key);
    let mut resealed = bank.sound.clone();
    bank.seal(&mut resealed);
    assert!(resealed == bank.sound, "{}: a seal", bank.key);
    let mut work = each_end(bank);
    work.append(&mut each_byte(bank));
    work.append(&mut each_line(bank));
    let part = work.len().div_ceil(2 * std::thread::available_parallelism().map_or(2, |count| count.get()));
    let halves = work.chunks_mut(part).map(|part| -> Box<dyn FnOnce() -> (Sweep, Sweep) + Send> {
        let sound = &sound;
        Box::new(move || sweep_part(bank, sound, part))
    });
    std::thread::scope(|scope| {
        let running: Vec<_> = halves.map(|half| scope.spawn(half)).collect();
        let ended = running.into_iter().map(|half| half.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        ended.fold(Default::default(), |(found, sealed): (Sweep, Sweep), (f, s)| (found.join(f), sealed.join(s)))
    })
}

fn sweep_part(bank: &Bank, sound: &Taken, work: &mut [Mutation<'_>]) -> (Sweep, Sweep) {
    let (mut found, mut sealed) = (Sweep::default(), Sweep::default());
    for mutation in work {
        // A swap of two equal lines is no mutation, nor is what the seal mends.
        if mutation.exchange == bank.sound {
            continue;
        }
        found.note(mutation.name(), effect(bank, sound, mutation, false), &mutation.exchange);
        if mutation.what.ends_with("cut") {
            continue;
        }
        bank.seal(&mut mutation.exchange);
        if mutation.exchange != bank.sound {
            sealed.note(mutation.name(), effect(bank, sound, mutation, true), &mutation.exchange);
        }
    }
    (found, sealed)
}

/// The program, on the day on which the flow here judges.
fn daikou(stage: &Stage, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
    command.arg("--config").arg(stage.home().join("daikou.toml")).args(["--as", "maker", "--today"]);
    command.arg(TODAY.to_string()).args(args).output().unwrap()
}

fn export(stage: &Stage, what: &str) -> Vec<Vec<String>> {
    let output = daikou(stage, &["export", what]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// The real intake comes to the same end as the flow here: findings, entries, exceptions.
fn confirm(stage: &Stage, before: usize, bank: &Bank, what: &str, exchange: &Exchange) {
    let own = stage.copy();
    let inbox = format!("banks/{}/in", bank.key);
    own.put(&inbox, &bank.name, &exchange.lines.concat());
    exchange.control.iter().for_each(|bytes| own.put(&inbox, &bank.control_name, bytes));
    let file = own.drops(&inbox).join(&bank.name);
    let output = daikou(&own, &["--json", "ingest", "--from", bank.key, file.to_str().unwrap()]);
    let receipts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let place = format!("{}: {what}: {receipts}", bank.key);
    let entries = export(&own, "entries");
    let (mut moved, mut opened) = (BTreeSet::new(), Vec::new());
    match bank.judge(exchange) {
        Fate::Incomplete => assert_eq!(output.status.code(), Some(1), "{place}"),
        Fate::Refused(found) => {
            let receipt = receipts.as_array().map_or(&receipts, |all| &all[0]);
            assert_eq!(receipt["state"], "quarantined", "{place}");
            let shown: Vec<_> = receipt["rows"].as_array().unwrap().iter().map(|row| &row["code"]).collect();
            let codes: Vec<_> = found.iter().map(|finding| finding.code).take(shown.len()).collect();
            assert!(!shown.is_empty() && shown == codes, "{place}: {codes:?}");
        }
        Fate::Taken(taken) => {
            moved = taken.moved.into_iter().map(|pair| (pair.0, pair.2, pair.3, pair.4, pair.5.to_string())).collect();
            opened = taken.opened.into_iter().map(|(class, number)| (class.to_owned(), number)).collect();
        }
    }
    let fen = |yuan: &str| yuan.replace('.', "").parse::<i64>().unwrap();
    let booked = entries.iter().map(|e| (e[0].clone(), e[2].clone(), e[3].clone(), fen(&e[4]), e[7].clone()));
    assert_eq!(booked.collect::<BTreeSet<_>>(), moved, "{place}");
    let news = export(&own, "exceptions").into_iter().skip(before);
    let mut told: Vec<_> = news.map(|e| (e[1].clone(), e[4].clone())).collect();
    told.sort();
    assert_eq!(told, opened, "{place}");
    assert!(daikou(&own, &["audit"]).status.success(), "{place}: audit");
}

/// Of each kind of end, digest left alone or made anew, one file goes through the real intake.
fn confirm_each(stage: &Stage, banks: &[Bank], sweeps: &[(Sweep, Sweep)]) {
    let mut chosen: BTreeMap<(&str, bool, Effect), (&Bank, &str, &Exchange)> = BTreeMap::new();
    for (bank, (found, sealed)) in banks.iter().zip(sweeps) {
        for (sweep, is_sealed) in [(found, false), (sealed, true)] {
            for ((effect, name), exchange) in &sweep.places {
                chosen.entry((bank.key, is_sealed, *effect)).or_insert((bank, name, exchange));
            }
        }
    }
    let chosen: Vec<_> = chosen.into_values().collect();
    let before = export(stage, "exceptions").len();
    crate::crash::each(&chosen, |(bank, name, exchange)| confirm(stage, before, bank, name, exchange));
}

/// `UPDATE=1` writes the table anew.
#[test]
fn no_mistake_in_a_return_file_posts_anything_else() {
    let stage = Stage::new(Path::new(env!("CARGO_BIN_EXE_daikou")));
    assert_eq!(stage.go_out(None), Ok(Came::ToItsEnd));
    let banks = banks(&stage);
    let sweeps: Vec<(Sweep, Sweep)> = banks.iter().map(sweep).collect();
    let mut table = HEAD.to_owned();
    let mut mutations = 0;
    for (bank, (found, sealed)) in banks.iter().zip(&sweeps) {
        for (sweep, how) in [(found, "left alone"), (sealed, "made anew")] {
            table += &row(bank.key, how, sweep);
            mutations += sweep.effects.values().sum::<usize>();
            assert!(sweep.wrong.is_empty(), "{}, digest {how}: not said rightly: {:#?}", bank.key, sweep.wrong);
            let wrong = sweep.names(Effect::Misposted);
            assert!(wrong.is_empty(), "{}, digest {how}: misposted: {wrong:?}", bank.key);
        }
        for effect in [Effect::Told, Effect::NotTaken, Effect::OtherDay] {
            let wrong = found.names(effect);
            assert!(wrong.is_empty(), "{}: {effect:?} although the digest was left alone: {wrong:?}", bank.key);
        }
        // Whatever the end of a file is cut off, it waits for the rest, and so it does where its end cannot be told.
        let ends = found.names(Effect::Waits);
        assert!(ends.contains("cut") && found.count(Effect::Waits) >= bank.sound.lines.concat().len(), "{ends:?}");
    }
    confirm_each(&stage, &banks, &sweeps);
    println!("{mutations} mutations, 0 misposted");
    table += &format!("\n{mutations} mutations, 0 misposted.\n");
    write(&table);
}

const HEAD: &str = "| bank | digest and totals | mutations | refused by the field | refused by the check | waits for the \
                    rest | no effect | an exception | unseen | what has no effect | what no check can see |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|\n";

fn row(bank: &str, how: &str, sweep: &Sweep) -> String {
    use Effect::*;
    let listed = |effects: &[Effect]| {
        let names: BTreeSet<&str> = effects.iter().flat_map(|effect| sweep.names(*effect)).collect();
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "–".to_owned() } else { names.join(", ") }
    };
    let counts = [RefusedField, RefusedCheck, Waits, Nothing, Told].map(|effect| sweep.count(effect).to_string());
    let all: usize = sweep.effects.values().sum();
    let unseen = sweep.count(NotTaken) + sweep.count(OtherDay);
    format!(
        "| {bank} | {how} | {all} | {} | {unseen} | {} | {} |\n",
        counts.join(" | "),
        listed(&[Nothing]),
        listed(&[NotTaken, OtherDay])
    )
}

const BEGIN: &str = "<!-- corruption -->";
const END: &str = "<!-- end of corruption -->";

fn write(table: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let text = fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("a place for the table");
    let (_, tail) = rest.split_once(END).expect("an end of the table");
    let made = format!("{head}{BEGIN}\n{table}{END}{tail}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(&page).unwrap(), made, "UPDATE=1 writes it anew");
}
