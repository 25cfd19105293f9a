//! `daikou correct`: what was posted or entered wrongly, on evidence, with maker and checker.

use crate::cli::{CliError, Context, Exit, Ran, date};
use crate::daemon::correcting::{Asked as Posting, REVERSE, correct};
use crate::daemon::fixing::{Asked as Row, fix};
use crate::domain::calendar::Date;
use crate::pipeline::correcting::Fault;
use serde_json::json;

/// Arguments of `correct`.
#[derive(Debug, clap::Args)]
pub struct CorrectArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A posting: recognised in error, died or left before the booking date, wrong payer, district or category; or the
    /// bank took the money back
    Posting(PostingArgs),
    /// A name on the roster
    Name(NameArgs),
    /// Bank, account or account holder of a person; another holder is a guardian's account (R18)
    Account(AccountArgs),
}

#[derive(Debug, clap::Args)]
struct Why {
    /// Paper that proves it, by its number
    #[arg(long, value_name = "REFERENCE")]
    evidence: String,
    /// Why, for the auditor
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, clap::Args)]
struct PostingArgs {
    /// Key of the posting as `export entries` shows it, or the number of its instruction
    #[arg(value_name = "KEY")]
    key: String,
    /// not-entitled, left-before, terms or reverse
    #[arg(long = "as-class", value_name = "CLASS")]
    fault: String,
    /// The bank's booking date of a reversal (default: today)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    booked_on: Option<Date>,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, clap::Args)]
struct NameArgs {
    /// Identity number
    #[arg(value_name = "ID")]
    id: String,
    /// The right name
    #[arg(long, value_name = "NAME")]
    to: String,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, clap::Args)]
struct AccountArgs {
    /// Identity number
    #[arg(value_name = "ID")]
    id: String,
    /// The right account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// The right bank, by key or name
    #[arg(long, value_name = "BANK")]
    bank: Option<String>,
    /// Who holds it, where that is not the person
    #[arg(long, value_name = "NAME")]
    holder: Option<String>,
    #[command(flatten)]
    why: Why,
}

/// Runs `correct`.
pub fn run(args: &CorrectArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let order = context.order();
    let words = match &args.what {
        What::Posting(args) => {
            if args.fault != REVERSE && Fault::parse(&args.fault).is_none() {
                let words = format!("--as-class {}：应为 not-entitled、left-before、terms 或 reverse", args.fault);
                return Err(CliError::Usage(words));
            }
            let asked = Posting {
                posting: args.key.clone(),
                fault: args.fault.clone(),
                booked_on: args.booked_on.map(|day| day.to_string()),
                evidence: args.why.evidence.clone(),
                reason: args.why.reason.clone(),
            };
            correct(&mut bureau, &asked, &order)?
        }
        What::Name(args) => {
            let asked = Row { id_number: args.id.clone(), name: Some(args.to.clone()), ..row(&args.why) };
            fix(&mut bureau, &asked, &order)?
        }
        What::Account(args) => {
            let (account, bank, holder) = (args.account.clone(), args.bank.clone(), args.holder.clone());
            let asked = Row { id_number: args.id.clone(), account, bank, holder, ..row(&args.why) };
            fix(&mut bureau, &asked, &order)?
        }
    };
    if context.json {
        context.print_json(&json!({ "done": words }));
    } else {
        println!("{words}");
    }
    Ok(Exit::Done)
}

fn row(why: &Why) -> Row {
    Row { evidence: why.evidence.clone(), reason: why.reason.clone(), ..Row::default() }
}
