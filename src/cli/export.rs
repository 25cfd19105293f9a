//! `daikou export`: the tables, for people, auditors and other programs.

use crate::cli::out::{Column, Export, Format, Kind, ignore_closed, save};
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::bureau::Bureau;
use crate::daemon::reconciling::{Found, reconcile};
use crate::daemon::vouchers::{Line, vouchers};
use crate::domain::calendar::Month;
use crate::store::export::{BankKeys, ExportError, What, rows};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// participants, plans, batches, instructions, returns, entries, balance, exceptions, expost, settlement, claims,
    /// transfers, files, audit, identities, lists, statement, differences, voucher (with --month), accounts
    #[arg(value_name = "WHAT", value_parser = what)]
    what: What,
    /// Only this fee year; of settlements the settlement year
    #[arg(long, value_name = "Y")]
    year: Option<i16>,
    /// The month of `voucher`
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<String>,
    /// csv, json or xlsx (default: csv, with --json json)
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// For opening a CSV file in Excel: a BOM, and text that no sheet takes for a formula
    #[arg(long)]
    excel: bool,
    /// Mask identity numbers, accounts and names
    #[arg(long)]
    mask: bool,
    /// Into this file instead of the standard output
    #[arg(short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Shape of a file.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum FileFormat {
    /// Rows of text.
    Csv,
    /// For machines.
    Json,
    /// A workbook.
    Xlsx,
}

fn what(word: &str) -> Result<What, String> {
    What::parse(word).ok_or_else(|| {
        let words: Vec<&str> = What::ALL.iter().map(|(_, word)| *word).collect();
        format!("expected one of {}", words.join(", "))
    })
}

/// Runs `export`.
pub fn run(args: &ExportArgs, context: &Context) -> Ran {
    let format = format(args, context)?;
    if args.year.is_some() && !args.what.has_years() {
        eprintln!("daikou: 该表不分年度，--year 不起作用");
    }
    let bureau = context.open_to_read()?;
    let given = worked_out(args, &bureau, context)?;
    let table = Table { what: args.what, year: args.year, format, mask: args.mask, given };
    match &args.out {
        None => table.print(&bureau, |_| true)?,
        Some(path) => table.save(path, &bureau)?,
    }
    Ok(Exit::Done)
}

fn format(args: &ExportArgs, context: &Context) -> Result<Format, CliError> {
    match args.format {
        Some(FileFormat::Json) if args.excel => Err(CliError::Usage("--excel is for --format csv".to_owned())),
        Some(FileFormat::Json) => Ok(Format::Json),
        None if context.json => Ok(Format::Json),
        Some(FileFormat::Csv) | None => Ok(Format::Csv { excel: args.excel }),
        Some(FileFormat::Xlsx) => Ok(Format::Xlsx),
    }
}

/// A table to write.
pub struct Table {
    /// Which.
    pub what: What,
    /// Of this year only.
    pub year: Option<i16>,
    /// As what.
    pub format: Format,
    /// So that nobody can be recognised.
    pub mask: bool,
    /// Its rows, where they are worked out and not read from the store.
    pub given: Option<Vec<Vec<String>>>,
}

/// Rows that no statement of the store gives.
fn worked_out(args: &ExportArgs, bureau: &Bureau, context: &Context) -> Result<Option<Vec<Vec<String>>>, CliError> {
    Ok(match args.what {
        What::Differences => {
            let reconciled = reconcile(bureau, context.now().date())?;
            Some(reconciled.due().map(Found::cells).collect())
        }
        What::Voucher => {
            let Some(month) = args.month.as_deref().and_then(Month::parse) else {
                return Err(CliError::Usage("voucher wants --month YYYY-MM".to_owned()));
            };
            let lines = vouchers(bureau.store.connection(), &bureau.config, month)?;
            Some(lines.iter().map(Line::cells).collect())
        }
        _ => None,
    })
}

impl Table {
    /// Writes the rows that `keeps` says to the standard output.
    pub fn print(&self, bureau: &Bureau, keeps: impl Fn(&[&str]) -> bool) -> Result<(), CliError> {
        let written = self.write(io::stdout().lock(), bureau, keeps).or_else(|error| match error {
            ExportError::Sink(error) => ignore_closed(error).map_err(ExportError::Sink),
            failure => Err(failure),
        });
        written.map_err(|error| failed("stdout", error))
    }

    fn save(&self, path: &Path, bureau: &Bureau) -> Result<(), CliError> {
        let shown = path.display().to_string();
        save(path, |file| self.write(file, bureau, |_| true).map_err(|error| failed(&shown, error)))
    }

    fn write(&self, out: impl Write, bureau: &Bureau, keeps: impl Fn(&[&str]) -> bool) -> Result<(), ExportError> {
        let out = Box::new(BufWriter::new(out));
        let banks = bank_keys(bureau);
        let mut export = Export::new(out, self.format, columns(self.what), self.mask)?;
        let mut take = |row: &[&str]| if keeps(row) { export.row(row) } else { Ok(()) };
        match &self.given {
            Some(given) => {
                let texts = |row: &Vec<String>| take(&row.iter().map(String::as_str).collect::<Vec<_>>());
                given.iter().try_for_each(texts)?;
            }
            None => rows(bureau.store.connection(), self.what, self.year, &banks, &mut take)?,
        }
        Ok(export.finish()?)
    }
}

/// Keys of the configured banks.
pub fn bank_keys(bureau: &Bureau) -> BankKeys {
    bureau.config.banks.iter().map(|bank| (bank.number.0, bank.key.clone())).collect()
}

fn failed(target: &str, error: ExportError) -> CliError {
    match error {
        ExportError::Store(error) => error.into(),
        ExportError::Sink(error) => CliError::Io(target.to_owned(), error),
    }
}

/// The columns of an export (design section 9).
fn columns(what: What) -> &'static [Column] {
    match what {
        What::Participants => PARTICIPANTS,
        What::Plans => PLANS,
        What::Batches => BATCHES,
        What::Instructions => INSTRUCTIONS,
        What::Returns => RETURNS,
        What::Entries => ENTRIES,
        What::Balance => BALANCE,
        What::Exceptions => EXCEPTIONS,
        What::Expost => EX_POST,
        What::Settlement => SETTLEMENT,
        What::Claims => CLAIMS,
        What::Transfers => TRANSFERS,
        What::Files => FILES,
        What::Audit => AUDIT,
        What::Statement => STATEMENT,
        What::Differences => DIFFERENCES,
        What::Voucher => VOUCHER,
        What::Accounts => ACCOUNTS,
        What::Identities => IDENTITIES,
        What::Lists => LISTS,
    }
}

const fn text(name: &'static str) -> Column {
    Column::new(name, Kind::Text)
}

const fn number(name: &'static str) -> Column {
    Column::new(name, Kind::Number)
}

const fn amount(name: &'static str) -> Column {
    Column::new(name, Kind::Amount)
}

const fn date(name: &'static str) -> Column {
    Column::new(name, Kind::Date)
}

const ID: Column = Column::new("id_number", Kind::Id);
const NAME: Column = Column::new("name", Kind::Name);

const PARTICIPANTS: &[Column] = &[
    ID,
    NAME,
    text("district"),
    amount("tier"),
    text("bank"),
    Column::new("account", Kind::Account),
    Column::new("account_name", Kind::Name),
    text("status"),
    date("status_since"),
    text("town"),
    text("village"),
    Column::new("person_number", Kind::Account),
];

const PLANS: &[Column] = &[
    ID,
    NAME,
    text("district"),
    number("fee_year"),
    amount("tier"),
    amount("government"),
    amount("own"),
    text("payer"),
    text("category"),
    text("state"),
];

const BATCHES: &[Column] = &[
    text("batch"),
    text("bank"),
    number("fee_year"),
    date("debit_on"),
    number("instructions"),
    amount("amount"),
    text("digest"),
    text("file"),
    text("state"),
];

const INSTRUCTIONS: &[Column] = &[
    text("instruction"),
    text("batch"),
    number("seq"),
    number("attempt"),
    text("bank"),
    ID,
    number("fee_year"),
    amount("amount"),
    text("state"),
    text("outcome"),
];

const RETURNS: &[Column] = &[
    text("instruction"),
    text("batch"),
    number("file"),
    number("line"),
    text("code"),
    text("outcome"),
    amount("amount"),
    amount("actual"),
    date("booked_on"),
    text("serial"),
];

const ENTRIES: &[Column] = &[
    text("posting"),
    text("event"),
    text("debit"),
    text("credit"),
    amount("amount"),
    text("basis"),
    date("month"),
    date("booked_on"),
    ID,
    number("fee_year"),
    text("payer"),
    text("category"),
    text("district"),
    text("bank"),
    text("instruction"),
];

const BALANCE: &[Column] = &[text("account"), amount("debit"), amount("credit"), amount("balance")];

const EXCEPTIONS: &[Column] = &[
    number("id"),
    text("class"),
    text("state"),
    ID,
    text("instruction"),
    number("file"),
    number("line"),
    amount("amount"),
    text("reason"),
];

const EX_POST: &[Column] = &[
    ID,
    NAME,
    text("district"),
    number("fee_year"),
    text("payer"),
    text("category"),
    amount("paid"),
    amount("amount"),
    text("state"),
];

const SETTLEMENT: &[Column] = &[
    number("settlement_year"),
    text("payer"),
    text("district"),
    number("fee_year"),
    text("category"),
    text("kind"),
    number("people"),
    amount("amount"),
];

const CLAIMS: &[Column] = &[
    number("settlement_year"),
    text("payer"),
    text("district"),
    text("state"),
    number("people"),
    amount("deemed"),
    amount("ex_post"),
    amount("transferred"),
    amount("open"),
    amount("over"),
    date("transfer_due"),
    text("digest"),
    date("approved_on"),
    date("sent_on"),
    date("cleared_on"),
];

const TRANSFERS: &[Column] = &[
    number("settlement_year"),
    text("payer"),
    text("district"),
    text("reference"),
    date("received_on"),
    amount("amount"),
    amount("cleared"),
    amount("held"),
    text("late"),
];

const FILES: &[Column] = &[
    number("file"),
    text("name"),
    text("kind"),
    text("from"),
    date("arrived"),
    text("sha256"),
    text("state"),
    number("accepted"),
    number("refused"),
    text("reason"),
];

const AUDIT: &[Column] =
    &[number("seq"), text("at"), text("actor"), text("action"), text("subject"), text("digest"), text("previous")];

const STATEMENT: &[Column] = &[
    text("bank"),
    date("booked_on"),
    text("reference"),
    amount("amount"),
    text("serial"),
    text("batch"),
    text("posting"),
    number("file"),
    number("line"),
];

/// The list of differences: the same in `reconcile`.
pub const DIFFERENCES: &[Column] = &[
    text("corner"),
    text("class"),
    text("class_zh"),
    text("bank"),
    date("date"),
    text("batch"),
    text("reference"),
    amount("ours"),
    amount("theirs"),
    number("age"),
    text("action"),
];

const VOUCHER: &[Column] = &[
    text("voucher"),
    text("kind"),
    date("month"),
    text("event"),
    text("summary"),
    text("code"),
    text("account"),
    amount("debit"),
    amount("credit"),
    number("entries"),
];

const ACCOUNTS: &[Column] = &[
    ID,
    NAME,
    text("district"),
    number("fee_year"),
    date("month"),
    amount("own"),
    amount("government"),
    text("basis"),
];

const IDENTITIES: &[Column] = &[
    ID,
    NAME,
    text("payer"),
    text("district"),
    text("category"),
    number("recognized_year"),
    date("first"),
    date("last"),
    text("state"),
];

const LISTS: &[Column] = &[
    number("file"),
    text("name"),
    text("payer"),
    text("district"),
    number("recognized_year"),
    date("as_of"),
    date("arrived"),
    date("accepted"),
    text("late"),
    number("people"),
    text("state"),
];
