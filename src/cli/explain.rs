//! `daikou explain`: everything about one person, instruction, batch, file, posting or exception.

use crate::cli::export::bank_keys;
use crate::cli::facts::{all_as_json, as_lines};
use crate::cli::out::say;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::bureau::{Bureau, StepError};
use crate::daemon::planning::why_unplanned;
use crate::domain::calendar::Date;
use crate::domain::ids::{BatchNumber, IdNumber, InstructionNumber};
use crate::store::explain::{self, Chain, Lookup};
use crate::store::facts::{Fact, Facts};
use rusqlite::Connection;
use serde_json::{Map, json};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Identity number, instruction (24 digits), batch (16), file (`file 12`, name or digest), posting (`ret:…`, `pay:…`),
    /// exception (`exception 12`)
    #[arg(value_name = "ID", required = true)]
    id: Vec<String>,
}

/// What a text asks about.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Person(IdNumber),
    Instruction(InstructionNumber),
    Batch(BatchNumber),
    Posting(String),
    File(i64),
    Exception(i64),
    Named(String),
}

impl Subject {
    /// By its shape: no two of them look alike.
    fn parse(text: &str) -> Subject {
        let text = text.trim();
        let number = text.strip_prefix("file").unwrap_or(text).trim();
        if let Some(number) = InstructionNumber::parse(text) {
            Subject::Instruction(number)
        } else if let Some(number) = BatchNumber::parse(text) {
            Subject::Batch(number)
        } else if let Ok(parsed) = IdNumber::parse(text) {
            Subject::Person(parsed.id)
        } else if let (1..=9, Ok(id)) = (number.len(), number.parse()) {
            Subject::File(id)
        } else if let Some(Ok(id)) = text.strip_prefix("exception ").map(|number| number.trim().parse()) {
            Subject::Exception(id)
        } else if text.contains(':') {
            Subject::Posting(text.to_owned())
        } else {
            Subject::Named(text.to_owned())
        }
    }

    /// Kind of thing, for machines.
    fn word(&self) -> &'static str {
        match self {
            Subject::Person(_) => "person",
            Subject::Instruction(_) => "instruction",
            Subject::Batch(_) => "batch",
            Subject::Posting(_) => "posting",
            Subject::Exception(_) => "exception",
            Subject::File(_) | Subject::Named(_) => "file",
        }
    }
}

/// Runs `explain`.
pub fn run(args: &ExplainArgs, context: &Context) -> Ran {
    let text = args.id.join(" ");
    let bureau = context.open_to_read()?;
    let subject = named(Subject::parse(&text), &bureau)?;
    let Some(mut tables) = tables(&subject, &bureau)? else {
        return Err(StepError::Refused(format!("查不到“{text}”")).into());
    };
    if let Subject::Person(id) = subject {
        tables.push(unplanned(&bureau, id, context.now().date())?);
    }
    // What all of it rests on: bytes that came, and rows of the log that cover them.
    let sources = explain::sources(bureau.store.connection(), &tables)?;
    tables.push(sources);
    let covered = explain::audit_rows(bureau.store.connection(), &tables)?;
    tables.push(covered);
    if context.json {
        let head = Map::from_iter([("kind".to_owned(), json!(subject.word()))]);
        context.print_json(&all_as_json(head, &tables));
    } else {
        let shown: Vec<String> = tables.iter().filter(|table| !table.rows.is_empty()).map(as_lines).collect();
        say(&shown.join("\n")).map_err(|error| CliError::Io("stdout".to_owned(), error))?;
    }
    Ok(Exit::Done)
}

/// Why the year that is planned now has no plan of theirs, where that is so.
fn unplanned(bureau: &Bureau, id: IdNumber, today: Date) -> Result<Facts, CliError> {
    let mut facts = Facts::new("unplanned", &["fee_year", "reason"]);
    if let Some((fee_year, reason)) = why_unplanned(bureau, id, today)? {
        facts.rows.push(vec![Fact::Number(fee_year.into()), Fact::Text(reason)]);
    }
    Ok(facts)
}

/// A name or digest is that of a drop file, else that of a file of ours.
fn named(subject: Subject, bureau: &Bureau) -> Result<Subject, CliError> {
    let Subject::Named(text) = &subject else { return Ok(subject) };
    let conn = bureau.store.connection();
    if let Some(file) = explain::file_named(conn, text)? {
        return Ok(Subject::File(file));
    }
    Ok(explain::batch_named(conn, text)?.map_or(subject, Subject::Batch))
}

fn tables(subject: &Subject, bureau: &Bureau) -> Result<Option<Vec<Facts>>, CliError> {
    let conn = bureau.store.connection();
    let banks = bank_keys(bureau);
    let lookup = Lookup { banks: &banks, layouts: &bureau.layouts, policies: &bureau.config.policies };
    let chain = match subject {
        Subject::Person(id) => explain::person(conn, *id)?,
        Subject::Instruction(number) => explain::instruction(conn, *number)?,
        Subject::Posting(key) => explain::posting(conn, key)?,
        Subject::Exception(id) => explain::exception(conn, *id)?,
        Subject::Batch(number) => return Ok(explain::batch(conn, *number, &lookup)?),
        Subject::File(id) => return Ok(explain::file(conn, *id)?),
        Subject::Named(_) => None,
    };
    along(chain, conn, &lookup)
}

fn along(chain: Option<Chain>, conn: &Connection, lookup: &Lookup<'_>) -> Result<Option<Vec<Facts>>, CliError> {
    Ok(chain.map(|chain| chain.facts(conn, lookup)).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_known_by_its_shape() {
        let kinds = [
            ("500199197001010014", "person"),
            ("201807050100000100000001", "instruction"),
            ("2018070501000001", "batch"),
            ("ret:201807050100000100000001", "posting"),
            ("pay:wechat:1", "posting"),
            ("file 12", "file"),
            ("12", "file"),
            ("exception 12", "exception"),
            ("NSH_500199000001_20180705_00000001.RSP", "file"),
        ];
        for (text, kind) in kinds {
            assert_eq!(Subject::parse(text).word(), kind, "{text}");
        }
        assert_eq!(Subject::parse("file 12"), Subject::File(12));
        assert_eq!(Subject::parse("list.csv"), Subject::Named("list.csv".to_owned()));
    }
}
