//! `daikou instruct`: drafts one round of instruction files.

use crate::cli::out::Kind;
use crate::cli::table::aligned;
use crate::cli::words::both;
use crate::cli::{CliError, Context, Exit, Ran, date};
use crate::daemon::approvals::approve_command;
use crate::daemon::instructing::{Round, RoundReport, instruct};
use crate::domain::calendar::Date;
use crate::transport::hex;
use serde_json::json;

/// Arguments of `instruct`.
#[derive(Debug, clap::Args)]
pub struct InstructArgs {
    /// Fee year
    #[arg(long)]
    year: i16,
    /// Only this bank
    #[arg(long, value_name = "KEY")]
    bank: Option<String>,
    /// Debit date (default: the next working day)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    debit_on: Option<Date>,
    /// Ask districts whose lists are missing all the same (R8a); needs approval
    #[arg(long, value_name = "REASON")]
    without_lists: Option<String>,
    /// Only those whose newest instruction failed so: insufficient-funds, frozen …; unknown and duplicate never
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',')]
    retry: Option<Vec<String>>,
}

/// Runs `instruct`.
pub fn run(args: &InstructArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    if let Some(key) = args.bank.as_ref().filter(|key| !bureau.config.banks.iter().any(|bank| bank.key == **key)) {
        return Err(CliError::no_bank(key));
    }
    let round = Round {
        fee_year: args.year,
        bank: args.bank.clone(),
        debit_on: args.debit_on.map(|day| day.to_string()),
        without_lists: args.without_lists.clone(),
        retry: args.retry.clone(),
    };
    let report = instruct(&mut bureau, &round, &context.order())?;
    if context.json {
        let batches = report.batches.iter().map(|batch| {
            json!({
                "batch": batch.number.to_string(),
                "bank": batch.bank,
                "instructions": batch.instructions,
                "amount": batch.amount.to_string(),
                "digest": hex(&batch.digest),
                "state": batch.state,
            })
        });
        context.print_json(&json!({ "batches": batches.collect::<Vec<_>>() }));
    } else {
        print(&report);
    }
    Ok(Exit::Done)
}

fn print(report: &RoundReport) {
    let headings = [
        ("批次", Kind::Text),
        ("银行", Kind::Text),
        ("笔数", Kind::Number),
        ("金额", Kind::Amount),
        ("状态", Kind::Text),
        ("摘要", Kind::Text),
    ];
    let rows: Vec<Vec<String>> = report
        .batches
        .iter()
        .map(|batch| {
            vec![
                batch.number.to_string(),
                if batch.bank == "zero" { both("zero") } else { batch.bank.clone() },
                batch.instructions.to_string(),
                batch.amount.to_string(),
                both(batch.state),
                hex(&batch.digest)[..16].to_owned(),
            ]
        })
        .collect();
    if let Some(name) = &report.waits {
        println!("已提交，待另一人批准后起草：{}", approve_command(name));
    } else if rows.is_empty() {
        println!("本轮没有可扣款的人");
    } else {
        print!("{}", aligned(&headings, &rows));
    }
    if !report.without_lists.is_empty() {
        let districts: Vec<String> = report.without_lists.iter().map(ToString::to_string).collect();
        println!("名单未到，未扣款的区县（R8a）：{}", districts.join("、"));
    }
    if report.held_back + report.refused > 0 {
        println!("暂不扣款 {} 人，不再符合条件 {} 人", report.held_back, report.refused);
    }
}
