//! Files that are sound and answer nothing of ours, or nothing any more: another bank's, another batch's, another year's;
//! for a batch that was never sent, that the bank refused, or that is complete.

use super::exchange::{Bank, Exchange, banks, lines};
use super::{daikou, export};
use crate::bank_files::{self, Layout, Reply};
use crate::crash::stage::{Came, Stage, reply};
use std::path::Path;

/// What comes of one file: the state of the file, codes in its receipt, classes of exceptions, fen in suspense.
type End = (String, Vec<String>, Vec<String>, i64);

fn sent() -> (Stage, Vec<Bank>) {
    let stage = Stage::new(Path::new(env!("CARGO_BIN_EXE_daikou")));
    assert_eq!(stage.go_out(None), Ok(Came::ToItsEnd));
    let banks = banks(&stage);
    (stage, banks)
}

/// Takes a file, and says what came of it. The audit stays green.
fn take(stage: &Stage, sender: &str, name: &str, exchange: &Exchange, control: &str) -> End {
    let inbox = format!("banks/{sender}/in");
    let before = export(stage, "exceptions").len();
    stage.put(&inbox, name, &exchange.lines.concat());
    exchange.control.iter().for_each(|bytes| stage.put(&inbox, control, bytes));
    let file = stage.drops(&inbox).join(name);
    let output = daikou(stage, &["--json", "ingest", "--from", sender, file.to_str().unwrap()]);
    let receipts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let receipt = receipts.as_array().map_or(&receipts, |all| &all[0]);
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut codes: Vec<String> = receipt["rows"].as_array().unwrap().iter().map(|row| word(&row["code"])).collect();
    codes.dedup();
    let mut classes: Vec<String> = export(stage, "exceptions").into_iter().skip(before).map(|e| e[1].clone()).collect();
    classes.sort();
    let held = export(stage, "entries").into_iter().filter(|e| e[3] == "suspense");
    let held = held.map(|e| e[4].replace('.', "").parse::<i64>().unwrap()).sum();
    assert!(daikou(stage, &["audit"]).status.success(), "{sender}: {name}: {receipt}");
    (word(&receipt["state"]), codes, classes, held)
}

fn end(state: &str, codes: &[&str], classes: &[&str], held: i64) -> End {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    (state.to_owned(), owned(codes), owned(classes), held)
}

/// What the bank would write, with changes.
fn written(bank: &Bank, change: impl Fn(&mut Reply)) -> (String, Exchange) {
    let mut reply = reply(&bank.request, false);
    change(&mut reply);
    let mut files = bank_files::write(&bank.request, &reply).into_iter();
    let (name, data) = files.next().unwrap();
    (name, Exchange { lines: lines(&data), control: files.next().map(|(_, control)| control) })
}

fn posted(stage: &Stage) -> usize {
    export(stage, "entries").iter().filter(|e| e[3].starts_with("personal/")).count()
}

/// Changes a text wherever it stands in lines and control file, and makes digest and totals anew.
fn renamed(bank: &Bank, from: &str, to: &str) -> Exchange {
    assert_eq!(from.len(), to.len());
    let change = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        while let Some(at) = bytes.windows(from.len()).position(|window| window == from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        bytes
    };
    let control = bank.sound.control.as_deref().map(change);
    let mut exchange = Exchange { lines: bank.sound.lines.iter().map(|line| change(line)).collect(), control };
    bank.seal(&mut exchange);
    exchange
}

#[test]
fn a_file_of_another_bank_takes_no_effect() {
    let (stage, banks) = sent();
    let cases: Vec<_> = (0..3).flat_map(|mine| [1, 2].map(|step| (mine, (mine + step) % 3))).collect();
    crate::crash::each(&cases, |(mine, theirs)| {
        let (mine, theirs) = (&banks[*mine], &banks[*theirs]);
        let own = stage.copy();
        let place = format!("{} from {}", theirs.key, mine.key);
        let came = take(&own, mine.key, &theirs.name, &theirs.sound, &theirs.control_name);
        assert_eq!((&came.0[..], &came.1[0][..]), ("quarantined", "not-a-return"), "{place}");
        // Under a name of ours: nothing of it is a record of that bank.
        let own = stage.copy();
        let control = mine.sound.control.clone();
        let bytes = Exchange { lines: theirs.sound.lines.clone(), control };
        let came = take(&own, mine.key, &mine.name, &bytes, &mine.control_name);
        assert_eq!((&came.0[..], posted(&own), came.3), ("quarantined", 0, 0), "{place}: {came:?}");
        let codes = ["unknown-record", "record-length", "no-header", "line-end", "endless-line", "control"];
        assert!(came.1.iter().any(|code| codes.contains(&&code[..])), "{place}: {came:?}");
    });
}

#[test]
fn a_file_for_another_batch_or_year_takes_no_effect() {
    let (stage, banks) = sent();
    crate::crash::each(&banks, |bank| {
        let number = bank.request.text(0, bank_files::Echo::Instruction)[..16].to_owned();
        let next = format!("{}2", &number[..15]);
        let (tail, next_tail) = match bank.request.layout {
            Layout::Rural => (number[8..].to_owned(), next[8..].to_owned()),
            Layout::Postal => (format!("{}.", &number[12..]), format!("{}.", &next[12..])),
            Layout::City => (number.clone(), next.clone()),
        };
        // The name of a batch that was never made, and a file that belongs to it.
        let name = bank.name.replace(&tail, &next_tail);
        let control = bank.control_name.replace(&tail, &next_tail);
        assert_ne!(name, bank.name);
        let mut whole = renamed(bank, &number, &next);
        if bank.request.layout == Layout::Postal {
            let there = whole.control.take().unwrap();
            let text = String::from_utf8(there).unwrap().replace(&bank.name, &name);
            whole.control = Some(text.into_bytes());
        }
        let own = stage.copy();
        let came = take(&own, bank.key, &name, &whole, &control);
        assert_eq!(came, end("quarantined", &["unknown-batch"], &[], 0), "{}", bank.key);
        // The name of ours, the content of another batch.
        let own = stage.copy();
        let came = take(&own, bank.key, &bank.name, &renamed(bank, &number, &next), &bank.control_name);
        match bank.request.layout {
            // Its name says which batch it answers, and nothing but its rows says otherwise: money of nobody waits.
            Layout::Postal => {
                let classes = [["missing-row"; 3], ["unknown-instruction"; 3]].concat();
                assert_eq!(came, end("processed", &[], &classes, 9_000), "{}", bank.key);
            }
            _ => assert_eq!(came, end("quarantined", &["contradicts-batch"], &[], 0), "{}", bank.key),
        }
        assert_eq!(posted(&own), 0, "{}", bank.key);
        if bank.request.layout == Layout::Rural {
            let own = stage.copy();
            let came = take(&own, bank.key, &bank.name, &renamed(bank, "110170201", "110170202"), &bank.control_name);
            assert_eq!(came, end("quarantined", &["contradicts-batch"], &[], 0));
        }
    });
}

/// The business system drafted it, nobody released it: no bank can have answered.
#[test]
fn a_reply_for_a_batch_that_was_not_released_takes_no_effect() {
    let (_, banks) = sent();
    let stage = Stage::new(Path::new(env!("CARGO_BIN_EXE_daikou")));
    for args in [&["plan", "--year", "2018"][..], &["instruct", "--year", "2018"]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_daikou"));
        command.arg("--config").arg(stage.home().join("daikou.toml")).args(["--today", "2018-07-05", "--as", "maker"]);
        assert!(command.args(args).output().unwrap().status.success());
    }
    crate::crash::each(&banks, |bank| {
        let own = stage.copy();
        let came = take(&own, bank.key, &bank.name, &bank.sound, &bank.control_name);
        assert_eq!(came, end("quarantined", &["batch-state"], &[], 0), "{}", bank.key);
    });
}

/// The bank refused the batch as a whole, so its instructions were cancelled; then it says that it took money after all.
#[test]
fn a_reply_for_a_cancelled_batch_posts_nothing_and_keeps_the_money() {
    let (stage, banks) = sent();
    let refusing: Vec<_> = banks.iter().filter(|bank| bank.request.layout != Layout::Postal).collect();
    crate::crash::each(&refusing, |bank| {
        let own = stage.copy();
        let (name, refusal) = written(bank, |reply| reply.file_code = "F003".to_owned());
        let came = take(&own, bank.key, &name, &refusal, &bank.control_name);
        assert_eq!(came, end("processed", &[], &[], 0), "{}", bank.key);
        let came = take(&own, bank.key, &bank.name, &bank.sound, &bank.control_name);
        let taken = bank.request.len() - usize::from(bank.request.layout == Layout::Rural);
        let told = came.2.iter().filter(|class| *class == "not-live").count();
        assert_eq!((&came.0[..], told, came.3), ("processed", taken, taken as i64 * 3_000), "{}: {came:?}", bank.key);
        assert_eq!(posted(&own), 0, "{}", bank.key);
    });
}

#[test]
fn a_reply_for_a_complete_batch_posts_nothing_more() {
    let (stage, banks) = sent();
    crate::crash::each(&banks[1..], |bank| {
        let own = stage.copy();
        let first = take(&own, bank.key, &bank.name, &bank.sound, &bank.control_name);
        assert_eq!(first, end("processed", &[], &[], 0), "{}", bank.key);
        let before = posted(&own);
        let rows = bank.request.len();
        // The same file, the same answers in another file, a failure, another booking, the same money once more.
        let again = take(&own, bank.key, &bank.name, &bank.sound, &bank.control_name);
        assert_eq!(again.0, "duplicate", "{}", bank.key);
        let each = |what: &str, change: &dyn Fn(&mut Reply), classes: &[&str], held: i64| {
            let (name, exchange) = written(bank, change);
            let came = take(&own, bank.key, &name, &exchange, &bank.control_name);
            assert_eq!(came, end("processed", &[], classes, held), "{}: {what}", bank.key);
            assert_eq!(posted(&own), before, "{}: {what}", bank.key);
        };
        each("the same answers", &|reply| reply.answers.reverse(), &[], 0);
        let fails = |reply: &mut Reply| {
            for answer in &mut reply.answers {
                let code = if bank.request.layout == Layout::Postal { "E" } else { "51" };
                (answer.code, answer.actual) = (code.to_owned(), 0);
                (answer.booked_on, answer.booked_at, answer.serial) = Default::default();
            }
        };
        each("a failure", &fails, &vec!["late-failure"; rows], 0);
        let once_more = |reply: &mut Reply| {
            reply.answers.iter_mut().for_each(|answer| answer.serial = format!("Z{}", &answer.serial[1..]));
        };
        each("money once more", &once_more, &vec!["second-payment"; rows], 3_000 * rows as i64);
        if bank.request.layout == Layout::City {
            let (name, refusal) = written(bank, |reply| reply.file_code = "F003".to_owned());
            let came = take(&own, bank.key, &name, &refusal, &bank.control_name);
            assert_eq!((&came.0[..], &came.1[..]), ("quarantined", &["batch-state".to_owned()][..]));
        }
    });
}
