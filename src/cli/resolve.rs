//! `daikou resolve`: a clerk's decision on an exception.

use crate::cli::{CliError, Context, Exit, Ran, date};
use crate::daemon::resolving::resolve;
use crate::domain::calendar::Date;
use crate::domain::money::Money;
use crate::pipeline::resolving::{Decision, Resolution};
use serde_json::json;

/// Arguments of `resolve`.
#[derive(Debug, clap::Args)]
pub struct ResolveArgs {
    /// Number of the exception
    #[arg(value_name = "ID")]
    id: i64,
    /// settled, failed, refund or reverse
    #[arg(long, value_name = "CLASS")]
    as_class: String,
    /// Booking date, where the bank's return has none
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    booked_on: Option<Date>,
    /// Amount in yuan, where it is not all of it
    #[arg(long, value_name = "YUAN")]
    amount: Option<String>,
    /// Why, for the auditor
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs `resolve`.
pub fn run(args: &ResolveArgs, context: &Context) -> Ran {
    let Some(decision) = Decision::parse(&args.as_class) else {
        let words =
            format!("--as-class {}：应为 settled 核实认可、failed 认定失败、refund 退款或 reverse 冲正", args.as_class);
        return Err(CliError::Usage(words));
    };
    let amount = match &args.amount {
        Some(text) => match Money::parse_yuan(text) {
            Some(amount) => Some(amount),
            None => return Err(CliError::Usage(format!("--amount {text}：应为元，例如 30.00"))),
        },
        None => None,
    };
    let resolution = Resolution { decision, booked_on: args.booked_on, amount, reason: args.reason.clone() };
    let mut bureau = context.open()?;
    let words = resolve(&mut bureau, args.id, &resolution, &context.order())?;
    if context.json {
        context.print_json(&json!({ "exception": args.id, "done": words }));
    } else {
        println!("{words}");
    }
    Ok(Exit::Done)
}
