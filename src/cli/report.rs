//! `daikou report`: sums for the file.

use crate::cli::paper::PaperArgs;
use crate::cli::{Context, Exit, Ran};
use crate::daemon::reporting::{plans, results};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// plans: by district, category and tier; results: deductions by bank and result
    #[arg(value_enum)]
    what: What,
    /// Fee year
    #[arg(long, value_name = "Y")]
    year: i16,
    #[command(flatten)]
    paper: PaperArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    Plans,
    Results,
}

/// Runs `report`.
pub fn run(args: &ReportArgs, context: &Context) -> Ran {
    let bureau = context.open()?;
    let today = context.now().date();
    let paper = match args.what {
        What::Plans => plans(&bureau, args.year, today)?,
        What::Results => results(&bureau, args.year, today)?,
    };
    args.paper.write(&mut [paper], context)?;
    Ok(Exit::Done)
}
