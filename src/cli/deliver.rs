//! `daikou deliver --by-hand`: notes that a batch reached its bank by another way.

use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::by_hand::deliver_by_hand;
use crate::domain::ids::BatchNumber;
use serde_json::json;

/// Arguments of `deliver`.
#[derive(Debug, clap::Args)]
pub struct DeliverArgs {
    /// The batch that was carried to its bank by another way
    #[arg(long, required = true, value_name = "BATCH")]
    by_hand: String,
    /// SHA-256 of the file that was carried, or its first 16 characters (`sha256sum FILE`)
    #[arg(long, value_name = "SHA256")]
    digest: String,
    /// Who carried it, how, and who took it, for the auditor
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs `deliver`.
pub fn run(args: &DeliverArgs, context: &Context) -> Ran {
    let Some(batch) = BatchNumber::parse(&args.by_hand) else {
        return Err(CliError::Usage(format!("{} is no batch number: expected 16 digits", args.by_hand)));
    };
    let mut bureau = context.open()?;
    let words = deliver_by_hand(&mut bureau, batch, &args.digest, &args.reason, &context.order())?;
    if context.json {
        context.print_json(&json!({ "batch": batch.to_string(), "done": words }));
    } else {
        println!("{words}");
    }
    Ok(Exit::Done)
}
