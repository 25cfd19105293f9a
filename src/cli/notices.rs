//! `daikou notices`: who is to deposit how much until when, for each town and village (R13).

use crate::cli::lists::district;
use crate::cli::out::say;
use crate::cli::paper::PaperArgs;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::notices::{paper, papers};
use crate::daemon::papers::publish;
use crate::store::recognised::owing;

/// Arguments of `notices`.
#[derive(Debug, clap::Args)]
pub struct NoticesArgs {
    /// Fee year
    #[arg(long, value_name = "Y")]
    year: i16,
    /// Only this district, by code or name
    #[arg(long, value_name = "DISTRICT")]
    district: Option<String>,
    /// Only this town (乡镇街道), as the roster writes it
    #[arg(long, value_name = "TOWN")]
    town: Option<String>,
    /// Into `bureau/out`, one workbook for each district
    #[arg(long, conflicts_with_all = ["format", "out"])]
    publish: bool,
    #[command(flatten)]
    paper: PaperArgs,
}

/// Runs `notices`.
pub fn run(args: &NoticesArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let wanted = args.district.as_deref().map(|text| district(&bureau, text)).transpose()?;
    let (_, year) = bureau.policy(args.year)?;
    let mut rows = owing(bureau.store.connection(), args.year)?;
    rows.retain(|row| wanted.is_none_or(|code| code == row.district));
    rows.retain(|row| args.town.as_ref().is_none_or(|town| *town == row.town));
    let today = context.now().date();
    let mut sheets = papers(&bureau.config, year, rows, today);
    if args.publish {
        let named = sheets.iter().map(|(code, paper)| (format!("notices-{}-{code}", args.year), vec![paper]));
        let named: Vec<_> = named.collect();
        for path in publish(&mut bureau, "notices", "bureau/out", &named, &context.order())? {
            say(&format!("{path}\n")).map_err(|error| CliError::Io("stdout".to_owned(), error))?;
        }
        return Ok(Exit::Done);
    }
    let mut sheets: Vec<_> = sheets.drain(..).map(|(_, paper)| paper).collect();
    if sheets.is_empty() {
        sheets.push(paper(&bureau.config, year, &[], today));
    }
    args.paper.write(&mut sheets, context)?;
    Ok(Exit::Done)
}
