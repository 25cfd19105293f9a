//! The scenario suite: every folder of `tests/data/flow` is a case, told by its `steps.txt` and judged by the tables
//! beside it. The product is used through its command line only; `tests/data/flow/README.md` says how to add a case.
//!
//! `DAIKOU_CASE=s6-` runs the cases whose names begin so.

mod answers;
mod script;
mod tables;

use crate::bank_files::{self, Layout, Request};
use script::{Case, Exit, Step};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tables::Table;

/// Tables that a case may expect at its end; each is an export of that name.
const EXPORTS: [&str; 18] = [
    "participants",
    "plans",
    "batches",
    "instructions",
    "returns",
    "entries",
    "balance",
    "exceptions",
    "expost",
    "settlement",
    "claims",
    "transfers",
    "files",
    "statement",
    "differences",
    "accounts",
    "identities",
    "lists",
];

/// Processor cores of the machine that these tests are meant for.
const THREADS: usize = 2;

#[test]
fn every_case_holds() {
    let folders = case_folders();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(fault) = run(folder) {
                        let name = folder.file_name().unwrap_or_default().to_string_lossy();
                        failures.lock().unwrap().push(format!("{name}\n{fault}"));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    println!("{} cases, {} failed", folders.len(), failures.len());
    assert!(failures.is_empty(), "{} of {} cases failed\n\n{}", failures.len(), folders.len(), failures.join("\n\n"));
}

/// A case that nobody can read or that expects nothing proves nothing; this needs no product.
#[test]
fn every_case_is_sound() {
    for folder in case_folders() {
        let case = Case::read(&folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()));
        let expects = EXPORTS.iter().any(|what| folder.join(format!("{what}.csv")).exists());
        assert!(expects, "{}: no table is expected", case.name);
        for step in &case.steps {
            assert!(VERBS.contains(&step.verb.as_str()), "{}: {}: unknown verb", case.name, step.text());
        }
    }
}

fn case_folders() -> Vec<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flow");
    let wanted = std::env::var("DAIKOU_CASE").unwrap_or_default();
    let entries = std::fs::read_dir(&home).expect("tests/data/flow is there");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    folders.retain(|path| path.is_dir() && path.file_name().unwrap_or_default().to_string_lossy().starts_with(&wanted));
    folders.sort();
    folders
}

fn run(folder: &Path) -> Result<(), String> {
    let case = Case::read(folder)?;
    let mut bureau = Bureau::open(&case)?;
    for step in &case.steps {
        bureau.perform(step).map_err(|fault| format!("  {}\n  {fault}", step.text()))?;
    }
    let mut faults = String::new();
    for what in EXPORTS {
        let path = folder.join(format!("{what}.csv"));
        let Ok(expected) = std::fs::read_to_string(&path) else { continue };
        if let Err(fault) = bureau.compare(&[what], &expected, case.last_day()) {
            let _ = writeln!(faults, "  {what}.csv (- expected, + found)\n{fault}");
        }
    }
    let audit = bureau.daikou(case.last_day(), None, &["audit"])?;
    if !audit.status.success() {
        let _ = writeln!(faults, "  audit: {}", said(&audit));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.trim_end().to_owned()) }
}

const VERBS: [&str; 14] = [
    "ingest",
    "plan",
    "instruct",
    "approve",
    "send",
    "return",
    "resolve",
    "settle",
    "expost",
    "expect",
    "published",
    "audit",
    "run",
    "shows",
];

/// A bureau in a folder of its own.
struct Bureau<'a> {
    case: &'a Case,
    root: tempfile::TempDir,
    /// Return files written so far.
    returns: usize,
}

impl<'a> Bureau<'a> {
    fn open(case: &'a Case) -> Result<Bureau<'a>, String> {
        let root = crate::scratch();
        let mut init = Command::new(env!("CARGO_BIN_EXE_daikou"));
        init.arg("init").arg(root.path().join("bureau"));
        if case.unattended {
            init.arg("--unattended");
        }
        let output = init.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("  init: {}", said(&output)));
        }
        let bureau = Bureau { case, root, returns: 0 };
        bureau.configure()?;
        Ok(bureau)
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("bureau")
    }

    /// Applies `config.txt` (`key = value` or `section.key = value`) and appends `append.toml`.
    fn configure(&self) -> Result<(), String> {
        let path = self.home().join("daikou.toml");
        let mut text = std::fs::read_to_string(&path).map_err(|error| format!("daikou.toml: {error}"))?;
        for line in std::fs::read_to_string(self.case.folder.join("config.txt")).unwrap_or_default().lines() {
            text = with_setting(&text, line)?;
        }
        if let Ok(more) = std::fs::read_to_string(self.case.folder.join("append.toml")) {
            let _ = write!(text, "\n{more}");
        }
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        self.replace_policies()
    }

    /// The policies of a case stand in the place of those that came with `init`.
    fn replace_policies(&self) -> Result<(), String> {
        let Ok(entries) = std::fs::read_dir(self.case.folder.join("policy")) else { return Ok(()) };
        let folder = self.home().join("policy");
        let shipped = folder.join("chongqing-2018-82.toml");
        std::fs::remove_file(&shipped).map_err(|error| format!("{}: {error}", shipped.display()))?;
        for entry in entries.flatten() {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn daikou(&self, today: &str, actor: Option<&str>, args: &[&str]) -> Result<Output, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        command.arg("--config").arg(self.home().join("daikou.toml")).args(["--today", today]);
        if let Some(name) = actor {
            command.args(["--as", name]);
        }
        command.args(args).output().map_err(|error| error.to_string())
    }

    fn export(&self, what: &str, today: &str) -> Result<Table, String> {
        self.export_with(&[what], today)
    }

    /// An export with its options.
    fn export_with(&self, what: &[&str], today: &str) -> Result<Table, String> {
        let output = self.daikou(today, None, &[&["export"], what].concat())?;
        let what = what.join(" ");
        if !output.status.success() {
            return Err(format!("export {what}: {}", said(&output)));
        }
        Table::read(&String::from_utf8_lossy(&output.stdout)).map_err(|fault| format!("export {what}: {fault}"))
    }

    fn compare(&self, what: &[&str], expected: &str, today: &str) -> Result<(), String> {
        let expected = Table::read(expected)?;
        let found = self.export_with(what, today)?;
        tables::difference(&expected, &found)?.map_or(Ok(()), Err)
    }

    fn perform(&mut self, step: &Step) -> Result<(), String> {
        let args = match step.verb.as_str() {
            "ingest" => self.ingest(step)?,
            verb @ ("plan" | "settle" | "expost") => {
                vec![verb.to_owned(), "--year".to_owned(), step.word(0)?.to_owned()]
            }
            "instruct" => instruct(step)?,
            "approve" => vec!["approve".to_owned(), self.approvable(step)?],
            "send" | "audit" => vec![step.verb.clone()],
            "return" => self.answer(step)?,
            "resolve" => match self.resolve(step) {
                Err(_) if step.exit == Some(Exit::Any) => return Ok(()),
                args => args?,
            },
            "run" => self.of_case(step),
            "expect" => {
                let what: Vec<&str> = step.words.iter().map(String::as_str).collect();
                return self.compare(&what, &csv_text(step), &step.date);
            }
            "shows" => return self.shows(step),
            "published" if step.rows.is_empty() => return self.published(step),
            "published" => return self.published_table(step),
            verb => return Err(format!("there is no step `{verb}`")),
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = self.daikou(&step.date, step.actor.as_deref(), &args)?;
        judge(step, &output)
    }

    /// The words of a step; `CASE/` is the folder of the case.
    fn of_case(&self, step: &Step) -> Vec<String> {
        let folder = format!("{}/", self.case.folder.display());
        step.words.iter().map(|word| word.replace("CASE/", &folder)).collect()
    }

    /// A command's CSV against the rows below the step.
    fn shows(&self, step: &Step) -> Result<(), String> {
        let words = self.of_case(step);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = self.daikou(&step.date, step.actor.as_deref(), &words)?;
        if !step.exit().accepts(output.status.code()) {
            return Err(format!("expected {:?}, found {}", step.exit(), said(&output)));
        }
        let found = Table::read(&String::from_utf8_lossy(&output.stdout))?;
        tables::difference(&Table::read(&csv_text(step))?, &found)?.map_or(Ok(()), Err)
    }

    /// `published FOLDER PART…`: a file below `drops/FOLDER` has every PART in its name; `none` first: no file has.
    fn published(&self, step: &Step) -> Result<(), String> {
        let (folder, mut parts) = (self.home().join("drops").join(step.word(0)?), &step.words[1..]);
        let is_wanted = parts.first().is_none_or(|word| word != "none");
        if !is_wanted {
            parts = &parts[1..];
        }
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let found = names.iter().find(|name| parts.iter().all(|part| name.contains(part.as_str())));
        let Some(name) = found else {
            return if is_wanted { Err(format!("no such file among {names:?}")) } else { Ok(()) };
        };
        if !is_wanted {
            return Err(format!("found {name}"));
        }
        let Some(text) = &step.says else { return Ok(()) };
        let written = std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        if written.contains(text.as_str()) { Ok(()) } else { Err(format!("{name} does not say {text:?}:\n{written}")) }
    }

    fn ingest(&self, step: &Step) -> Result<Vec<String>, String> {
        let mut args = vec!["ingest".to_owned(), "--from".to_owned(), step.word(0)?.to_owned()];
        for file in &step.words[1..] {
            args.push(self.case.folder.join(file).display().to_string());
        }
        Ok(args)
    }

    /// The number by which something waits for approval: `rural` or `zero` (its newest batch), `list FILE`, or
    /// `exception CLASS WHO`.
    fn approvable(&self, step: &Step) -> Result<String, String> {
        match step.word(0)? {
            "list" => {
                let name = step.word(1)?;
                let file = self.export("files", &step.date)?.last("file", &[("name", name)])?;
                file.map(|file| format!("list {file}")).ok_or_else(|| format!("no file {name} came in"))
            }
            "exception" => self.exception(step, step.word(1)?, step.word(2)?),
            "the" => self.waiting(step, step.word(1)?),
            "settlement" => Ok(format!("{} {}", step.word(1)?, step.word(2)?)),
            bank => {
                let batch = self.export("batches", &step.date)?.last("batch", &[("bank", bank)])?;
                batch.ok_or_else(|| format!("there is no batch of {bank}"))
            }
        }
    }

    /// What `approve` takes for the newest request of a kind.
    fn waiting(&self, step: &Step, kind: &str) -> Result<String, String> {
        let output = self.daikou(&step.date, None, &["--json", "status"])?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let waiting = status["approvals"].as_array().into_iter().flatten().rfind(|one| one["kind"] == kind);
        let name = waiting.and_then(|one| one["approve"].as_str()).map(str::to_owned);
        name.ok_or_else(|| format!("nothing of the kind {kind} waits"))
    }

    /// The open exception of a class about a person; `-` is nobody.
    fn exception(&self, step: &Step, class: &str, who: &str) -> Result<String, String> {
        let id = if who == "-" { String::new() } else { self.case.id_of(who)? };
        let open = [("class", class), ("state", "open"), ("id_number", id.as_str())];
        let found = self.export("exceptions", &step.date)?.last("id", &open)?;
        found.ok_or_else(|| format!("no open exception {class} about {who}"))
    }

    fn resolve(&self, step: &Step) -> Result<Vec<String>, String> {
        let id = self.exception(step, step.word(0)?, step.word(1)?)?;
        let decision = step.option("as").ok_or("`resolve CLASS WHO as …` says as what")?;
        let mut args = vec!["resolve".to_owned(), id, "--as-class".to_owned(), decision.to_owned()];
        for key in ["amount", "booked-on"] {
            if let Some(value) = step.option(key) {
                args.extend([format!("--{key}"), value.to_owned()]);
            }
        }
        args.extend(["--reason".to_owned(), step.option("reason").unwrap_or("测试").to_owned()]);
        Ok(args)
    }

    /// Writes the bank's answer to a request that lies in its folder and says how to take it in.
    fn answer(&mut self, step: &Step) -> Result<Vec<String>, String> {
        let bank = step.word(0)?;
        let (name, bytes) = self.request(bank, step)?;
        let request = Request::read(&name, &bytes);
        let mut files = bank_files::write(&request, &answers::reply(step, &request)?);
        answers::damage(step, &mut files)?;
        self.returns += 1;
        let folder = self.root.path().join(format!("returns/{}", self.returns));
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        for (name, bytes) in &files {
            std::fs::write(folder.join(name), bytes).map_err(|error| error.to_string())?;
        }
        let from = step.option("via").unwrap_or(bank);
        let data = folder.join(&files[0].0).display().to_string();
        Ok(vec!["ingest".to_owned(), "--from".to_owned(), from.to_owned(), data])
    }

    /// What lies in a folder under a name: its columns that the rows below name, as a table.
    fn published_table(&self, step: &Step) -> Result<(), String> {
        let path = self.home().join("drops").join(step.word(0)?);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let found = Table::read(text.trim_start_matches('\u{feff}'))?;
        tables::difference(&Table::read(&csv_text(step))?, &found)?.map_or(Ok(()), Err)
    }

    /// The newest request of a bank, its `request N`th from the first, or a file of the case (`from FILE`).
    fn request(&self, bank: &str, step: &Step) -> Result<(String, Vec<u8>), String> {
        let path = match step.option("from") {
            Some(file) => self.case.folder.join(file),
            None => {
                let mut sent = self.sent(bank)?;
                let place = step.option("request").map_or(Ok(sent.len()), str::parse).map_err(|_| "request N")?;
                if place == 0 || place > sent.len() {
                    return Err(format!("drops/banks/{bank}/out holds {} requests", sent.len()));
                }
                sent.swap_remove(place - 1)
            }
        };
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes))
    }

    fn sent(&self, bank: &str) -> Result<Vec<PathBuf>, String> {
        let folder = self.home().join("drops/banks").join(bank).join("out");
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| Layout::of_request(&path.to_string_lossy()).is_some());
        files.sort();
        Ok(files)
    }
}

fn instruct(step: &Step) -> Result<Vec<String>, String> {
    let mut args = vec!["instruct".to_owned(), "--year".to_owned(), step.word(0)?.to_owned()];
    for key in ["bank", "debit-on", "without-lists"] {
        if let Some(value) = step.option(key) {
            args.extend([format!("--{key}"), value.to_owned()]);
        }
    }
    Ok(args)
}

fn judge(step: &Step, output: &Output) -> Result<(), String> {
    if !step.exit().accepts(output.status.code()) {
        return Err(format!("expected {:?}, found {}", step.exit(), said(output)));
    }
    match &step.says {
        Some(text) if !said(output).contains(text.as_str()) => {
            Err(format!("expected it to say {text:?}, found {}", said(output)))
        }
        _ => Ok(()),
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    format!("{}\n  {}\n  {}", output.status, text(&output.stdout), text(&output.stderr))
}

fn csv_text(step: &Step) -> String {
    step.rows.iter().map(|row| row.join(" ") + "\n").collect()
}

/// Replaces a value in the configuration; `section.key` changes it in that section alone.
fn with_setting(text: &str, line: &str) -> Result<String, String> {
    let (name, value) = line.split_once('=').ok_or_else(|| format!("config.txt: no `=` in {line:?}"))?;
    let (section, key) = name.trim().split_once('.').unwrap_or(("", name.trim()));
    let mut within = section.is_empty();
    let mut changed = false;
    let mut out = String::new();
    for old in text.lines() {
        if old.starts_with('[') {
            let name = old.trim_start_matches('[').split(']').next();
            within = section.is_empty() || name == Some(section);
        }
        let is_it = within && old.trim_start_matches(['#', ' ']).split('=').next().unwrap_or("").trim() == key;
        changed |= is_it;
        let _ = if is_it { writeln!(out, "{key} ={value}") } else { writeln!(out, "{old}") };
    }
    if changed { Ok(out) } else { Err(format!("config.txt: daikou.toml has no {}", name.trim())) }
}

#[test]
fn settings_are_replaced_where_they_stand() {
    let before = "max_rows = 50000\n[approvals]  # R21\nrelease = \"second\" # who\n[other]\nrelease = \"second\"\n";
    let after = with_setting(before, "approvals.release = \"none\"").unwrap();
    assert_eq!(after, before.replacen("release = \"second\" # who", "release = \"none\"", 1));
    assert!(with_setting(before, "releases = 1").is_err());
}
