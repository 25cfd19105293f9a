//! Tidiness is an ordinary test: which room may use which, what pure rooms never name, how long things may grow.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in reading order: each may use those before it and nothing else (design section 10).
const MAY_USE: [(&str, &[&str]); 10] = [
    ("domain", &[]),
    ("format", &["domain"]),
    ("pipeline", &["domain", "format"]),
    ("store", &["domain", "format", "pipeline"]),
    ("transport", &["domain", "format", "pipeline", "store"]),
    ("config", &["domain", "format", "pipeline", "store", "transport"]),
    ("telemetry", &["domain", "format", "pipeline", "store", "transport", "config"]),
    ("daemon", &["domain", "format", "pipeline", "store", "transport", "config", "telemetry"]),
    // The daemon and the pages do not know each other.
    ("web", &["domain", "format", "pipeline", "store", "transport", "config", "telemetry"]),
    ("cli", &["domain", "format", "pipeline", "store", "transport", "config", "telemetry", "daemon", "web"]),
];

/// Rooms where the same input gives the same output.
const PURE: [&str; 3] = ["domain", "format", "pipeline"];

/// What a pure room never names: files, sockets, tasks, logs, clocks, forms of the outside.
const IMPURE: [&str; 8] =
    ["std::fs", "std::net", "tokio::", "tracing::", "SystemTime", "Instant::now", "serde::", "println!"];

/// Rooms where money is counted.
const EXACT: [&str; 4] = ["domain", "format", "pipeline", "store"];

/// Spreadsheets hold every number as a float: it is read as text or refused, written from exact text, and goes no
/// further.
const FLOATS: [&str; 2] = ["src/format/table/xlsx.rs", "src/format/paper/sheet.rs"];

const LONGEST_FUNCTION: usize = 70;
const LONGEST_FILE: usize = 700;

/// A source file without what is only there for tests.
struct Source {
    path: String,
    room: String,
    text: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    paths.sort();
    paths.iter().filter_map(|path| read(root, path)).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            collect(&entry, paths);
        } else if entry.extension().is_some_and(|ending| ending == "rs") {
            paths.push(entry);
        }
    }
}

/// `None` for the files that only tests see, and for the places where proofs end the process.
fn read(root: &Path, path: &Path) -> Option<Source> {
    let shown = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let room = shown.strip_prefix("src/")?.split(['/', '.']).next()?.to_owned();
    if shown.ends_with("tests.rs") || room == "golden" || room == "failpoint" {
        return None;
    }
    let whole = fs::read_to_string(path).unwrap();
    let lines = whole.lines().count();
    let text = whole.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    Some(Source { path: shown, room, text, lines })
}

/// Places where something stands that may not, in code; comments may speak of it.
fn places(source: &Source, is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let numbered = source.text.lines().zip(1..).filter(|(line, _)| is_wrong(&code(line)));
    numbered.map(|(line, number)| format!("{}:{number}: {}", source.path, line.trim())).collect()
}

#[track_caller]
fn assert_none(what: &str, places: Vec<String>) {
    assert!(places.is_empty(), "{what}:\n{}", places.join("\n"));
}

#[test]
fn rooms_use_only_the_rooms_above_them() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((room, may_use)) = MAY_USE.iter().find(|(room, _)| *room == source.room) else { continue };
        wrong.extend(places(&source, |line| {
            let used = line.split("crate::").skip(1).map(|rest| rest.split(|c: char| !is_of_word(c)).next().unwrap());
            used.filter(|used| !used.is_empty()).any(|used| used != *room && !may_use.contains(&used))
        }));
        wrong.extend(places(&source, |line| line.contains("crate::{")));
    }
    assert_none("a room uses only the rooms above it, one line for each", wrong);
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[test]
fn every_room_is_known() {
    let rooms: Vec<String> = sources().into_iter().map(|source| source.room).collect();
    let known = |room: &str| ["lib", "main"].contains(&room) || MAY_USE.iter().any(|(name, _)| *name == room);
    assert_none("a room without a place in the order", rooms.into_iter().filter(|room| !known(room)).collect());
}

#[test]
fn pure_rooms_touch_nothing() {
    let pure = sources().into_iter().filter(|source| PURE.contains(&source.room.as_str()));
    let wrong = pure.flat_map(|source| places(&source, |line| IMPURE.iter().any(|word| line.contains(word))));
    assert_none("same input, same output", wrong.collect());
}

#[test]
fn money_is_never_a_float() {
    let exact = sources().into_iter().filter(|source| EXACT.contains(&source.room.as_str()));
    let exact = exact.filter(|source| !FLOATS.contains(&source.path.as_str()));
    let is_float = |line: &str| line.split(|c: char| !is_of_word(c)).any(|word| matches!(word, "f32" | "f64"));
    assert_none("integers only", exact.flat_map(|source| places(&source, is_float)).collect());
}

#[test]
fn only_the_command_line_prints() {
    let others = sources().into_iter().filter(|source| !["cli", "main"].contains(&source.room.as_str()));
    let prints = |line: &str| ["println!", "eprintln!", "print!", "dbg!"].iter().any(|word| line.contains(word));
    assert_none("log it, or give it back", others.flat_map(|source| places(&source, prints)).collect());
}

#[test]
fn files_and_functions_stay_short() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.lines > LONGEST_FILE {
            wrong.push(format!("{}: {} lines", source.path, source.lines));
        }
        for (name, lines) in functions(&source.text) {
            if lines > LONGEST_FUNCTION {
                wrong.push(format!("{}: {name}: {lines} lines", source.path));
            }
        }
    }
    assert_none("split it where the reader takes a breath", wrong);
}

/// Names and lengths: a function ends at the brace that stands where its first line began.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line.trim_start()) else { continue };
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let length = lines[first..].iter().position(|line| **line == *end).unwrap_or(0) + 1;
        found.push((name, length));
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let is_start = before.split_whitespace().all(|word| word.starts_with("pub") || ["const", "async"].contains(&word));
    let name: String = after.chars().take_while(|c| is_of_word(*c)).collect();
    (is_start && !name.is_empty()).then_some(name)
}

#[test]
fn functions_are_measured_as_a_reader_does() {
    let text =
        "pub(crate) const fn a() {\n    1\n}\nimpl X {\n    fn b(\n        c: u8,\n    ) {\n    }\n}\n// fn no()\n";
    assert_eq!(functions(text), [("a".to_owned(), 3), ("b".to_owned(), 4)]);
}
