//! One run for each place at which the process may die, one more in which it dies there again while it recovers.

use super::stage::{BANKS, Came, Checked, Stage, differences};
use super::{each, oracle, page, program};
use crate::bank_files::Request;
use daikou::failpoint::{LINE, REST, STRETCHES, WAY_IN, WAY_OUT};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where files go out and come in, before a death and after a run without one.
pub(super) struct Ways {
    /// Nothing is planned yet.
    pub(super) before_out: Stage,
    sent: BTreeMap<String, String>,
    /// Answers lie in the inboxes.
    pub(super) before_in: Stage,
    booked: BTreeMap<String, String>,
    done: Stage,
    pub(super) requests: Vec<(&'static str, Request)>,
}

impl Ways {
    pub(super) fn new(program: &Path) -> Ways {
        let before_out = Stage::new(program);
        let out = before_out.copy();
        assert_eq!(out.go_out(None), Ok(Came::ToItsEnd));
        out.audit().unwrap();
        let (sent, requests) = (out.snapshot().unwrap(), out.requests());
        let before_in = out.copy();
        before_in.answer();
        let done = before_in.copy();
        assert_eq!(done.go_in(None), Ok(Came::ToItsEnd));
        done.audit().unwrap();
        oracle::check(&done, &requests).unwrap();
        Ways { before_out, sent, booked: done.snapshot().unwrap(), done, before_in, requests }
    }

    /// Every answer is booked.
    pub(super) fn booked(&self) -> &Stage {
        &self.done
    }

    /// Dies at `place` so many times on the way in, recovers, and must be what a run without a death is. How often it
    /// died.
    pub(super) fn come_in(&self, stage: &Stage, place: &str, deaths: usize) -> Checked<usize> {
        let died = die(deaths, |failpoint| stage.go_in(failpoint), place)?;
        oracle::check(stage, &self.requests)?;
        differences(&self.booked, &stage.snapshot()?)?;
        stage.audit().map(|()| died)
    }

    fn go_out(&self, stage: &Stage, place: &str, deaths: usize) -> Checked<usize> {
        let died = die(deaths, |failpoint| stage.go_out(failpoint), place)?;
        differences(&self.sent, &stage.snapshot()?)?;
        stage.audit().map(|()| died)
    }

    /// As [`Ways::go_out`], where the banks take away what they see as soon as the process is dead: what they took may
    /// never come again, and what was not seen to arrive is told so. The state of the batches in the end.
    pub(super) fn go_out_fetched(&self, stage: &mut Stage, place: &str) -> Checked<String> {
        if stage.go_out(Some(place))? == Came::ToItsEnd {
            return Err(format!("{place} is not reached"));
        }
        stage.banks_fetch();
        stage.go_out(None)?;
        stage.banks_fetch();
        let mut expected = BTreeMap::new();
        for bank in BANKS {
            let out = format!("drops/banks/{bank}/out/");
            let files = self.sent.iter().filter_map(|(path, text)| Some((path.strip_prefix(&out)?, text)));
            expected.extend(files.map(|(name, text)| (name.to_owned(), text.clone())));
        }
        let mut delivered = BTreeMap::new();
        for (name, bytes) in &stage.taken {
            let text = String::from_utf8_lossy(bytes).lines().collect::<Vec<_>>().join("\n");
            if delivered.insert(name.clone(), text).is_some() {
                return Err(format!("{name} was delivered twice"));
            }
        }
        let batches = stage.export("batches")?;
        let unconfirmed = batches.iter().filter(|line| line.ends_with(",sent-unconfirmed")).count();
        if batches.iter().any(|line| !line.ends_with(",sent") && !line.ends_with(",sent-unconfirmed")) {
            return Err(format!("left behind: {batches:?}"));
        }
        // The control file of a doubtful data file waits for the person who asks the bank.
        let told = |name: &String| delivered.contains_key(name) || (unconfirmed > 0 && name.ends_with(".CTL"));
        if let Some(missing) = expected.keys().find(|name| !told(name)) {
            return Err(format!("{missing} was never delivered"));
        }
        if let Some((name, _)) = delivered.iter().find(|(name, text)| expected.get(*name) != Some(*text)) {
            return Err(format!("{name} is not what was approved"));
        }
        stage.audit()?;
        Ok(if unconfirmed > 0 { "sent-unconfirmed" } else { "sent" }.to_owned())
    }
}

/// Runs until it has died so many times at the place, or its end comes before; then without deaths.
fn die(deaths: usize, go: impl Fn(Option<&str>) -> Checked<Came>, place: &str) -> Checked<usize> {
    let mut died = 0;
    while died < deaths && go(Some(place))? == Came::ToItsDeath {
        died += 1;
    }
    if died == 0 {
        return Err(format!("{place} is not reached"));
    }
    match go(None)? {
        Came::ToItsEnd => Ok(died),
        Came::ToItsDeath => Err("it dies without a failpoint".to_owned()),
    }
}

/// One row of the table.
struct Row {
    way: &'static str,
    place: &'static str,
    words: &'static str,
    once: Checked<usize>,
    twice: Checked<usize>,
    fetched: Option<Checked<String>>,
}

fn row(ways: &Ways, (way, place, words): &(&'static str, &'static str, &'static str)) -> Row {
    let (way, place, words) = (*way, *place, *words);
    let (once, twice, fetched) = match way {
        "in" => {
            let run = |deaths| ways.come_in(&ways.before_in.copy(), place, deaths);
            (run(1), run(2), None)
        }
        _ => {
            let run = |deaths| ways.go_out(&ways.before_out.copy(), place, deaths);
            (run(1), run(2), Some(ways.go_out_fetched(&mut ways.before_out.copy(), place)))
        }
    };
    Row { way, place, words, once, twice, fetched }
}

/// `UPDATE=1` writes the table anew.
#[test]
fn after_a_death_at_any_step_all_is_as_without_one() {
    let Some(program) = program() else { return };
    let ways = Ways::new(&program);
    let places: Vec<_> = WAY_IN
        .iter()
        .map(|(place, words)| ("in", *place, *words))
        .chain(WAY_OUT.iter().map(|(place, words)| ("out", *place, *words)))
        .collect();
    let rows = each(&places, |place| row(&ways, place));
    let table = table(&rows);
    println!("{table}");
    let failed: Vec<String> = rows.iter().flat_map(failures).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    page::keep("matrix", &table);
}

fn failures(row: &Row) -> Vec<String> {
    let fetched = row.fetched.as_ref().and_then(|fetched| fetched.as_ref().err());
    let found = [("once", row.once.as_ref().err()), ("twice", row.twice.as_ref().err()), ("fetched", fetched)];
    let words = |(how, error): (&str, Option<&String>)| error.map(|error| format!("{} {how}: {error}", row.place));
    found.into_iter().filter_map(words).collect()
}

fn table(rows: &[Row]) -> String {
    let mut text = "| way | the process dies at | where | in the end | dies there again while it recovers | the bank \
                    fetches meanwhile |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let once = if row.once.is_ok() { "the same" } else { "FAILED" };
        let twice = match row.twice {
            Ok(1) => "not passed again, the same",
            Ok(_) => "the same",
            Err(_) => "FAILED",
        };
        let fetched = match &row.fetched {
            None => "–".to_owned(),
            Some(Ok(state)) => format!("once, `{state}`"),
            Some(Err(_)) => "FAILED".to_owned(),
        };
        text += &format!("| {} | `{}` | {} | {once} | {twice} | {fetched} |\n", row.way, row.place, row.words);
    }
    text
}

/// A place in the source that no table names would be proved by nothing.
#[test]
fn every_place_in_the_source_is_in_the_table() {
    let mut named = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named);
    let all = WAY_IN.iter().chain(&WAY_OUT).chain(&LINE).chain(&STRETCHES).chain(&REST);
    let listed: Vec<&str> = all.map(|(place, _)| *place).collect();
    assert!(named.len() > 25, "{named:?}");
    for place in &named {
        assert!(listed.contains(&place.as_str()), "{place} is in no table of src/failpoint.rs");
    }
    for place in listed.iter().filter(|place| !place.ends_with("-commit")) {
        assert!(named.iter().any(|name| name == place), "{place} stands nowhere in the source");
    }
}

fn collect(folder: &Path, named: &mut Vec<String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, named);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("failpoint.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let places = text.split("failpoint!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            named.extend(places.map(str::to_owned));
        }
    }
}
