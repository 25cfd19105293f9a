//! `daikou ingest`: the same path as a drop, in the foreground.

use crate::cli::out::Kind;
use crate::cli::table::aligned;
use crate::cli::words::both;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::bureau::{Bureau, StepError};
use crate::daemon::drops::{Looked, look_at, take_from};
use crate::daemon::receipts::{Receipt, Sender};
use crate::domain::ledger::Account;
use crate::domain::money::Money;
use crate::format::table::TableKind;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Arguments of `ingest`.
#[derive(Debug, clap::Args)]
pub struct IngestArgs {
    /// Kind of table: participants, list, payments, statement, transfers, expost-paid
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Who sent it: PAYER/DISTRICT, a bank's key, or bureau (default: by the folder it lies in)
    #[arg(long, value_name = "SENDER")]
    from: Option<String>,
    /// Show what would change, and by how much the balances would differ; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Files; a control file named here belongs to its data file
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs `ingest`.
pub fn run(args: &IngestArgs, context: &Context) -> Ran {
    let kind = match &args.kind {
        Some(word) => {
            Some(TableKind::parse(word).ok_or_else(|| CliError::Usage(format!("--kind {word}：没有这种表")))?)
        }
        None => None,
    };
    let mut bureau = context.open()?;
    // By the real folders, which a rehearsal has not.
    let senders = args.files.iter().map(|file| sender(&bureau, args.from.as_deref(), file));
    let senders: Vec<Sender> = senders.collect::<Result<_, _>>()?;
    let rehearsal = args.dry_run.then(|| rehearse(&mut bureau)).transpose()?;
    let before = crate::store::balance::balances(bureau.store.connection())?;
    let mut receipts = Vec::new();
    let mut incomplete = false;
    for (file, sender) in args.files.iter().zip(senders) {
        match ingest_one(&mut bureau, file, sender, kind, context)? {
            Looked::Taken(receipt) => receipts.push(*receipt),
            Looked::ControlOf(_) => {}
            Looked::Incomplete(lack) => {
                incomplete = true;
                eprintln!("{}：未处理，{}", file.display(), lack.message_zh());
            }
        }
    }
    match rehearsal {
        None => show(&receipts, None, context),
        Some(_copy) => {
            let after = crate::store::balance::balances(bureau.store.connection())?;
            show(&receipts, Some(&crate::store::balance::difference(&before, &after)), context);
        }
    }
    let findings = incomplete || receipts.iter().any(Receipt::has_findings);
    Ok(if findings { Exit::Findings } else { Exit::Done })
}

fn ingest_one(
    bureau: &mut Bureau,
    file: &Path,
    sender: Sender,
    kind: Option<TableKind>,
    context: &Context,
) -> Result<Looked, CliError> {
    let path = file.canonicalize().map_err(|error| CliError::Io(file.display().to_string(), error))?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let name = path.file_name().map(|name| name.to_owned()).unwrap_or_default();
    let order = context.order();
    let found = look_at(bureau, &folder, &name, &sender)?;
    Ok(take_from(bureau, found, sender, kind, &order)?)
}

/// Where a file lies says who sent it; elsewhere `--from` must.
fn sender(bureau: &Bureau, from: Option<&str>, file: &Path) -> Result<Sender, CliError> {
    if let Some(text) = from {
        let expected = "“部门/区县”（如 civil-affairs/500199）、银行代号，或 bureau";
        return Sender::parse(&bureau.config, text)
            .ok_or_else(|| CliError::Usage(format!("--from {text}：没有这个报送单位，应为{expected}")));
    }
    let path = file.canonicalize().map_err(|error| CliError::Io(file.display().to_string(), error))?;
    let drops = bureau.config.drops.canonicalize().unwrap_or_default();
    let below = path.strip_prefix(&drops).ok().and_then(|below| below.parent()).and_then(|inbox| inbox.parent());
    let text = below.map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
    let text = text.strip_prefix("departments/").or(text.strip_prefix("banks/")).unwrap_or(&text);
    Sender::parse(&bureau.config, text)
        .ok_or_else(|| CliError::Usage(format!("{}: nobody's inbox; say who sent it with --from", file.display())))
}

/// An account that would move, by how much debit and by how much credit.
type Moved = (Account, Money, Money);

/// The receipts, and of a dry run what the balances would grow by.
fn show(receipts: &[Receipt], dry_run: Option<&[Moved]>, context: &Context) {
    let shown = || receipts.iter().map(Receipt::json).collect::<Vec<_>>();
    match dry_run {
        None if context.json => context.print_json(&serde_json::Value::Array(shown())),
        Some(moved) if context.json => {
            let row = |(account, debit, credit): &Moved| json!({ "account": account.to_string(), "debit": debit.to_string(), "credit": credit.to_string() });
            let moved: Vec<_> = moved.iter().map(row).collect();
            context.print_json(&json!({ "dry_run": true, "receipts": shown(), "balance_difference": moved }));
        }
        _ => {
            receipts.iter().for_each(|receipt| print!("{}", receipt.text()));
            dry_run.iter().for_each(|moved| show_difference(moved));
        }
    }
}

/// `--dry-run` works on a copy of the store and of nothing else; the copy goes when this is dropped.
fn rehearse(bureau: &mut Bureau) -> Result<tempfile::TempDir, CliError> {
    let copy = tempfile::tempdir().map_err(|error| CliError::Io("temporary folder".to_owned(), error))?;
    let store = crate::daemon::bureau::store_path(copy.path());
    bureau.store.backup(&store)?;
    bureau.store = crate::store::Store::open(&store)?;
    let config = std::sync::Arc::make_mut(&mut bureau.config);
    (config.state, config.drops) = (copy.path().to_owned(), copy.path().join("drops"));
    for folder in ["spool", "archive", "quarantine"] {
        let folder = copy.path().join(folder);
        std::fs::create_dir_all(&folder).map_err(|error| CliError::Io(folder.display().to_string(), error))?;
    }
    Ok(copy)
}

fn show_difference(changes: &[Moved]) {
    if changes.is_empty() {
        return eprintln!("试运行：未作任何变动；正式处理时余额也不变");
    }
    let headings = [("科目", Kind::Text), ("借方", Kind::Amount), ("贷方", Kind::Amount)];
    let row =
        |(account, debit, credit): &Moved| vec![both(&account.to_string()), debit.to_string(), credit.to_string()];
    let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
    eprint!("试运行：未作任何变动；正式处理时余额将增加\n{}", aligned(&headings, &rows));
}

impl From<crate::transport::Error> for CliError {
    fn from(error: crate::transport::Error) -> CliError {
        CliError::Step(StepError::Transport(error))
    }
}
