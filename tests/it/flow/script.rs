//! `steps.txt`: what happens in a case, one step a line, as a clerk would tell it.
//!
//! ```text
//! # R3 R10: what the case shows
//! unattended
//! 2018-07-05 return rural on 2018-07-04 -> exit 1 says 隔离
//!   测试甲 1001
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A folder of `tests/data/flow`.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    /// `init --unattended`: nobody is asked; else every step of section 9 wants a second person.
    pub(super) unattended: bool,
    pub(super) steps: Vec<Step>,
    /// Names and identity numbers in the tables of the case.
    people: Vec<(String, String)>,
}

/// One line of `steps.txt` with the indented lines below it.
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) date: String,
    pub(super) verb: String,
    pub(super) words: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// Who does it, `--as`.
    pub(super) actor: Option<String>,
    pub(super) exit: Option<Exit>,
    /// A text that the command must print.
    pub(super) says: Option<String>,
}

/// How a command must end where it is not plain success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Code(i32),
    /// Done, with or without findings.
    Done,
    /// Whatever: the tables tell what became of it.
    Any,
    /// Not done, whatever the reason.
    Refused,
}

impl Case {
    /// Reads the steps and the people of a case.
    pub(super) fn read(folder: &Path) -> Result<Case, String> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = folder.join("steps.txt");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if !text.starts_with('#') {
            return Err("steps.txt:1: the first line names the rule, as in `# R3: …`".to_owned());
        }
        let mut unattended = true;
        let mut steps: Vec<Step> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let at = |fault: String| format!("steps.txt:{}: {fault}", index + 1);
            match line.trim() {
                "" => {}
                comment if comment.starts_with('#') => {}
                "unattended" => unattended = true,
                "second" => unattended = false,
                row if line.starts_with(' ') => {
                    let step = steps.last_mut().ok_or_else(|| at("a row before any step".to_owned()))?;
                    step.rows.push(words(row));
                }
                step => steps.push(Step::read(index + 1, step).map_err(at)?),
            }
        }
        Ok(Case { name, folder: folder.to_owned(), unattended, steps, people: people(folder)? })
    }

    /// The identity number of a person, given by name or by the number itself.
    pub(super) fn id_of(&self, who: &str) -> Result<String, String> {
        if who.len() == 18 && who.is_ascii() {
            return Ok(who.to_owned());
        }
        let known = self.people.iter().find(|(name, id)| name == who && id.len() == 18);
        known.map(|(_, id)| id.clone()).ok_or_else(|| format!("nobody in the tables of the case is called {who}"))
    }

    /// The day of the last step.
    pub(super) fn last_day(&self) -> &str {
        self.steps.last().map_or("2018-07-01", |step| &step.date)
    }
}

impl Step {
    /// Reads `DATE VERB WORD… [by NAME] [-> RESULT]`.
    pub(super) fn read(line: usize, text: &str) -> Result<Step, String> {
        let (what, ending) = text.split_once(" -> ").unwrap_or((text, ""));
        let mut words = words(what);
        if words.len() < 2 {
            return Err(format!("expected `DATE VERB …`, found {text:?}"));
        }
        let date = words.remove(0);
        let verb = words.remove(0);
        let actor = words.iter().position(|word| word == "by").map(|place| {
            let name = words.get(place + 1).cloned().unwrap_or_default();
            words.truncate(place);
            name
        });
        let (exit, says) = Step::ending(ending)?;
        Ok(Step { line, date, verb, words, rows: Vec::new(), actor, exit, says })
    }

    fn ending(text: &str) -> Result<(Option<Exit>, Option<String>), String> {
        let (exit, says) = match text.split_once("says ") {
            Some((exit, says)) => (exit.trim(), Some(says.trim().to_owned())),
            None => (text.trim(), None),
        };
        let exit = match exit {
            "" => None,
            "any" => Some(Exit::Any),
            "refused" => Some(Exit::Refused),
            code => {
                let number = code.strip_prefix("exit ").and_then(|number| number.parse().ok());
                Some(Exit::Code(
                    number.ok_or_else(|| format!("expected `exit N`, `any` or `refused`, found {code:?}"))?,
                ))
            }
        };
        Ok((exit, says))
    }

    /// The word at a place.
    pub(super) fn word(&self, place: usize) -> Result<&str, String> {
        self.words.get(place).map(String::as_str).ok_or_else(|| format!("`{}` wants more words", self.verb))
    }

    /// The word after this one.
    pub(super) fn option(&self, key: &str) -> Option<&str> {
        let place = self.words.iter().position(|word| word == key)?;
        self.words.get(place + 1).map(String::as_str)
    }

    /// Whether this word stands in the step.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.words.iter().any(|word| word == flag)
    }

    /// What the step accepts where it does not say: return files often carry findings, nothing else does.
    pub(super) fn exit(&self) -> Exit {
        let usual = if self.verb == "return" { Exit::Done } else { Exit::Code(0) };
        self.exit.unwrap_or(usual)
    }

    /// The step as it was written, for messages.
    pub(super) fn text(&self) -> String {
        let mut text = format!("steps.txt:{}: {} {}", self.line, self.date, self.verb);
        for word in &self.words {
            let _ = write!(text, " {word}");
        }
        text
    }
}

impl Exit {
    /// Whether a process that ended so did what the step expects.
    pub(super) fn accepts(self, code: Option<i32>) -> bool {
        match self {
            Exit::Code(expected) => code == Some(expected),
            Exit::Done => matches!(code, Some(0 | 1)),
            Exit::Any => matches!(code, Some(0 | 1 | 2 | 64)),
            Exit::Refused => matches!(code, Some(1 | 2 | 64)),
        }
    }
}

/// Words of a line; double quotes keep one together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Everybody who stands in a table of the case with a name.
fn people(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let mut people = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_none_or(|ending| ending != "csv") {
            continue;
        }
        let Ok(mut table) = csv::Reader::from_path(&path) else { continue };
        let Ok(header) = table.headers().cloned() else { continue };
        let column = |names: [&str; 2]| header.iter().position(|head| names.contains(&head));
        let (Some(id), Some(name)) = (column(["id_number", "身份证号"]), column(["name", "姓名"])) else {
            continue;
        };
        people.extend(table.records().flatten().map(|row| (row[name].to_owned(), row[id].to_owned())));
    }
    Ok(people)
}
