//! `daikou close YYYY-MM`: closes a month of the ledger.

use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::closing::close;
use crate::domain::calendar::Month;
use serde_json::json;

/// Arguments of `close`.
#[derive(Debug, clap::Args)]
pub struct CloseArgs {
    /// The month
    #[arg(value_name = "YYYY-MM")]
    month: String,
    /// Close although ledger and statement differ in it: why
    #[arg(long, value_name = "REASON")]
    despite: Option<String>,
}

/// Runs `close`.
pub fn run(args: &CloseArgs, context: &Context) -> Ran {
    let Some(month) = Month::parse(&args.month) else {
        return Err(CliError::no_month(&args.month));
    };
    let mut bureau = context.open()?;
    let words = close(&mut bureau, month, args.despite.as_deref(), &context.order())?;
    if context.json {
        context.print_json(&json!({ "month": args.month, "done": words }));
    } else {
        println!("{words}");
    }
    Ok(Exit::Done)
}
