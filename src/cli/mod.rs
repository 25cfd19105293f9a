//! The command line: one file per command, as `docs/architecture.md` names them.

pub mod approve;
pub mod audit;
pub mod backup;
pub mod bank;
#[cfg(feature = "bank-sim")]
pub mod bank_sim;
pub mod check;
pub mod close;
pub mod compare;
pub mod correct;
pub mod deliver;
pub mod demo;
pub mod doctor;
pub mod exceptions;
pub mod explain;
pub mod export;
pub mod expost;
pub mod facts;
pub mod feed;
pub mod ingest;
pub mod init;
pub mod instruct;
pub mod layout;
pub mod lists;
pub mod notices;
pub mod out;
pub mod paper;
pub mod plan;
pub mod policy;
pub mod reconcile;
pub mod report;
pub mod resolve;
pub mod run;
pub mod send;
pub mod settle;
pub mod status;
pub mod table;
pub mod words;

use crate::config::{self, Problem};
use crate::daemon::bureau::{Bureau, Order, StepError};
use crate::domain::calendar::{Date, DateTime, Time, parse_date};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// 代扣: bank file interchange of a social insurance bureau.
#[derive(Debug, Parser)]
#[command(name = "daikou", version, about, propagate_version = true)]
struct Arguments {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "daikou.toml")]
    config: PathBuf,
    /// For machines: one JSON value on stdout, everything else on stderr
    #[arg(long, global = true)]
    json: bool,
    /// Name of the acting person (default: the OS user)
    #[arg(long = "as", global = true, value_name = "NAME", value_parser = name)]
    actor: Option<String>,
    /// Business date (default: today in Asia/Shanghai)
    #[arg(long, global = true, value_name = "YYYY-MM-DD", value_parser = date)]
    today: Option<Date>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up a folder: configuration, drop tree, policy, calendars, layouts, empty store
    Init(init::InitArgs),
    /// Check configuration, policy, layouts, folders and permissions, all at once
    Check,
    /// The daemon
    Run(run::RunArgs),
    /// Take files, by the same path as a drop
    Ingest(ingest::IngestArgs),
    /// Plan what everybody owes for a fee year
    Plan(plan::PlanArgs),
    /// Draft the instruction files of one round
    Instruct(instruct::InstructArgs),
    /// Say yes to what another person asked for
    Approve(approve::ApproveArgs),
    /// Send released batches to the banks
    Send(send::SendArgs),
    /// Note that a batch reached its bank by another way
    Deliver(deliver::DeliverArgs),
    /// Look at a bank's own server: what it offers, what it allows, what to ask the bank for
    Doctor(doctor::DoctorArgs),
    /// Play a whole fee year on made-up people
    Demo(demo::DemoArgs),
    /// A bank in a box over SFTP, for rehearsals: answers by rule, misbehaves on request
    #[cfg(feature = "bank-sim")]
    BankSim(bank_sim::BankSimArgs),
    /// Work with bank layouts: no store needed
    Layout(layout::LayoutArgs),
    /// Tell each payer whom it owes an ex-post subsidy
    Expost(expost::ExpostArgs),
    /// Draft what each payer owes for a settlement year
    Settle(settle::SettleArgs),
    /// What lists change: change lists, the difference of a version, lists for mobilisation
    Lists(lists::ListsArgs),
    /// Top-up notices for each town and village: who is to deposit how much until when
    Notices(notices::NoticesArgs),
    /// Compare lists, roster and the comparison before
    Compare(compare::CompareArgs),
    /// Try a changed policy on the plans as they are; changes nothing
    Policy(policy::PolicyArgs),
    /// Papers for the file and for finance: plans, results, transfers, vouchers, a person's account
    Report(report::ReportArgs),
    /// Close a month of the ledger
    Close(close::CloseArgs),
    /// Hold instructions, returns, statement and ledger against each other
    Reconcile(reconcile::ReconcileArgs),
    /// Put right what was posted, or what the roster says, on evidence
    Correct(correct::CorrectArgs),
    /// Decide on an exception
    Resolve(resolve::ResolveArgs),
    /// Show what is open and what is late
    Status,
    /// Show everything about a person, instruction, batch, file, posting or exception
    Explain(explain::ExplainArgs),
    /// Show what a clerk must look at
    Exceptions(exceptions::ExceptionsArgs),
    /// Write a table: people, plans, batches, instructions, returns, entries, balance, exceptions …
    Export(export::ExportArgs),
    /// Write the next files of postings for the business system, and show which it has acknowledged
    Feed,
    /// Prove the invariants from what is stored; print or prove the head of the audit log
    Audit(audit::AuditArgs),
    /// A consistent copy of store, archive, quarantine, configuration and policy, beside a running daemon
    Backup(backup::BackupArgs),
}

/// What every command is told.
#[derive(Debug)]
pub struct Context {
    /// Configuration file.
    pub config: PathBuf,
    /// One JSON value on stdout.
    pub json: bool,
    /// Who acts.
    pub actor: String,
    /// Business date, where it is given.
    pub today: Option<Date>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; duplicates and refusals of `plan` included.
    Done = 0,
    /// A defect, a refused row, a quarantine, a failed audit.
    Findings = 1,
    /// Our side failed.
    Failure = 2,
    /// The command line is wrong.
    Usage = 64,
    /// The configuration is wrong.
    Configuration = 78,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is wrong: all problems.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Configuration(Vec<Problem>),
    /// A step failed or was refused.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// Output or a given file failed.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
}

impl CliError {
    fn no_month(text: &str) -> CliError {
        CliError::Usage(format!("{text} 不是月份：应为 YYYY-MM，例如 2018-07"))
    }

    fn no_bank(key: &str) -> CliError {
        CliError::Usage(format!("没有代号为 {key} 的银行：见配置中各 [[bank]] 的 key"))
    }

    fn exit(&self) -> Exit {
        match self {
            CliError::Configuration(_) | CliError::Step(StepError::Layout(_)) => Exit::Configuration,
            CliError::Usage(_) => Exit::Usage,
            CliError::Step(StepError::Refused(_)) => Exit::Findings,
            CliError::Step(_) | CliError::Io(..) => Exit::Failure,
        }
    }
}

impl From<crate::store::Error> for CliError {
    fn from(error: crate::store::Error) -> CliError {
        CliError::Step(error.into())
    }
}

/// Result of a command.
pub type Ran = Result<Exit, CliError>;

/// Parses the command line, runs one command, prints the error, chooses the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage as u8 } else { Exit::Done as u8 });
        }
    };
    let context = Context {
        config: arguments.config,
        json: arguments.json,
        actor: arguments.actor.unwrap_or_else(os_user),
        today: arguments.today,
    };
    match run(arguments.command, &context) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            eprintln!("daikou: {error}");
            ExitCode::from(error.exit() as u8)
        }
    }
}

fn run(command: Command, context: &Context) -> Ran {
    match command {
        Command::Init(args) => init::run(&args),
        Command::Check => check::run(context),
        Command::Run(args) => run::run(&args, context),
        Command::Ingest(args) => ingest::run(&args, context),
        Command::Plan(args) => plan::run(&args, context),
        Command::Instruct(args) => instruct::run(&args, context),
        Command::Approve(args) => approve::run(&args, context),
        Command::Send(args) => send::run(&args, context),
        Command::Deliver(args) => deliver::run(&args, context),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Demo(args) => demo::run(&args, context),
        #[cfg(feature = "bank-sim")]
        Command::BankSim(args) => bank_sim::run(&args),
        Command::Layout(args) => Ok(layout::run(&args, context)),
        Command::Expost(args) => expost::run(&args, context),
        Command::Settle(args) => settle::run(&args, context),
        Command::Lists(args) => lists::run(&args, context),
        Command::Notices(args) => notices::run(&args, context),
        Command::Compare(args) => compare::run(&args, context),
        Command::Policy(args) => policy::run(&args, context),
        Command::Report(args) => report::run(&args, context),
        Command::Close(args) => close::run(&args, context),
        Command::Reconcile(args) => reconcile::run(&args, context),
        Command::Correct(args) => correct::run(&args, context),
        Command::Resolve(args) => resolve::run(&args, context),
        Command::Status => status::run(context),
        Command::Explain(args) => explain::run(&args, context),
        Command::Exceptions(args) => exceptions::run(&args, context),
        Command::Export(args) => export::run(&args, context),
        Command::Feed => feed::run(context),
        Command::Audit(args) => audit::run(&args, context),
        Command::Backup(args) => backup::run(&args, context),
    }
}

impl Context {
    /// Opens the bureau that the configuration describes.
    pub fn open(&self) -> Result<Bureau, CliError> {
        let config = config::load(&self.config).map_err(CliError::Configuration)?;
        Ok(Bureau::open(config)?)
    }

    /// The bureau, for a command that only reads.
    pub fn open_to_read(&self) -> Result<Bureau, CliError> {
        let config = config::load(&self.config).map_err(CliError::Configuration)?;
        Ok(Bureau::open_to_read(config)?)
    }

    /// Who orders, and when. With a given business date the time is 00:00, so no cutoff of that day has passed.
    pub fn order(&self) -> Order {
        Order { at: self.now(), actor: self.actor.clone() }
    }

    /// Business date and time.
    pub fn now(&self) -> DateTime {
        match self.today {
            Some(day) => DateTime::from_parts(day, Time::midnight()),
            None => shanghai_now(),
        }
    }

    /// Prints the one JSON value of `--json`.
    pub fn print_json(&self, value: &serde_json::Value) {
        let text = serde_json::to_string_pretty(value).expect("a value is always text") + "\n";
        out::say(&text).expect("the standard output takes what is written");
    }
}

/// The clock: read here, and nowhere below.
pub fn shanghai_now() -> DateTime {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = since_1970.as_secs() as i64 + 8 * 3_600;
    let stamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    jiff::tz::Offset::UTC.to_datetime(stamp)
}

fn date(text: &str) -> Result<Date, String> {
    parse_date(text).ok_or_else(|| format!("{text} is no date: expected YYYY-MM-DD"))
}

/// Name of the OS user, from the password file; the number where it has none.
/// A person's name for the audit log.
fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected a name".to_owned()),
        name if name.chars().any(char::is_control) => Err("expected a name without control characters".to_owned()),
        name => Ok(name.to_owned()),
    }
}

fn os_user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    named.unwrap_or(uid)
}
