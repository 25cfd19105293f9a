//! `daikou policy simulate FILE`: what a changed policy would do to the plans as they are.

use crate::cli::paper::PaperArgs;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::config::with_policy;
use crate::daemon::simulating::simulate;
use clap::Subcommand;
use std::path::PathBuf;

/// Arguments of `policy`.
#[derive(Debug, clap::Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Plan everybody again under a policy file that is not in force, and show the difference
    Simulate {
        /// The policy file
        file: PathBuf,
        /// Fee year (default: the one that is planned on the business date)
        #[arg(long, value_name = "Y")]
        year: Option<i16>,
        /// As CSV or JSON: whose plan changes, instead of the sums
        #[arg(long)]
        details: bool,
        #[command(flatten)]
        paper: PaperArgs,
    },
}

/// Runs `policy`.
pub fn run(args: &PolicyArgs, context: &Context) -> Ran {
    let What::Simulate { file, year, details, paper } = &args.what;
    let bureau = context.open_to_read()?;
    let today = context.now().date();
    let (policies, years) = with_policy(&bureau.config, file).map_err(CliError::Configuration)?;
    let planned = bureau.config.policies.planned_on(today).or(policies.planned_on(today));
    let Some(fee_year) = year.or(planned).filter(|year| years.contains(year)) else {
        let listed: Vec<String> = years.iter().map(i16::to_string).collect();
        let text = format!("say --year: {} is about {}", file.display(), listed.join(", "));
        return Err(CliError::Usage(text));
    };
    let title = policies.of(fee_year).map_or("", |(policy, _)| policy.title.as_str());
    let found = simulate(&bureau, &policies, fee_year, today)?;
    let mut papers = found.papers(&bureau, title, fee_year, today);
    if *details {
        papers.reverse();
    }
    paper.write(&mut papers, context)?;
    Ok(Exit::Done)
}
