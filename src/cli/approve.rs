//! `daikou approve`: the second person's yes (R21).

use crate::cli::{Context, Exit, Ran};
use crate::daemon::approvals::approve;
use serde_json::json;

/// Arguments of `approve`.
#[derive(Debug, clap::Args)]
pub struct ApproveArgs {
    /// What waits: batch number, exception, file, fee year, or the number that `status` shows
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

/// Runs `approve`.
pub fn run(args: &ApproveArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let mut done = Vec::new();
    for id in &args.ids {
        let words = approve(&mut bureau, id, &context.order())?;
        if !context.json {
            println!("{words}");
        }
        done.push(json!({ "id": id, "done": words }));
    }
    if context.json {
        context.print_json(&json!({ "approved": done }));
    }
    Ok(Exit::Done)
}
