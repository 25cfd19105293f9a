//! `daikou approve`: the second person's yes (R21).

use crate::cli::{Context, Exit, Ran};
use crate::daemon::approvals::approve;
use crate::daemon::bureau::StepError;
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
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for id in &args.ids {
        match approve(&mut bureau, id, &context.order()) {
            Ok(words) => {
                if !context.json {
                    println!("{words}");
                }
                done.push(json!({ "id": id, "done": words }));
            }
            // What is refused does not hold up the others.
            Err(StepError::Refused(words)) => {
                eprintln!("daikou: {}", StepError::Refused(words.clone()));
                refused.push(json!({ "id": id, "why": words }));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let exit = if refused.is_empty() { Exit::Done } else { Exit::Findings };
    if context.json {
        context.print_json(&json!({ "approved": done, "refused": refused }));
    }
    Ok(exit)
}
