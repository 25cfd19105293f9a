//! `daikou compare`: lists against roster and against the comparison before (R19).

use crate::cli::out::say;
use crate::cli::paper::PaperArgs;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::comparing::{publish, run as compare};

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// Recognition year (default: the year before that of the business date)
    #[arg(long, value_name = "Y")]
    year: Option<i16>,
    /// As CSV or JSON: one row for each person instead of the sums
    #[arg(long)]
    details: bool,
    /// Into `bureau/out`
    #[arg(long, conflicts_with_all = ["format", "out", "details"])]
    publish: bool,
    #[command(flatten)]
    paper: PaperArgs,
}

/// Runs `compare`.
pub fn run(args: &CompareArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let order = context.order();
    let year = args.year.unwrap_or(order.today().year() - 1);
    let found = compare(&mut bureau, year, &order)?;
    if args.publish {
        for path in publish(&mut bureau, &found, &order)? {
            say(&format!("{path}\n")).map_err(|error| CliError::Io("stdout".to_owned(), error))?;
        }
        return Ok(Exit::Done);
    }
    let mut papers = found.papers(&bureau);
    if args.details {
        papers.reverse();
    }
    args.paper.write(&mut papers, context)?;
    Ok(Exit::Done)
}
