//! `daikou settle`: what each payer owes for a settlement year (R15).

use crate::cli::out::Kind;
use crate::cli::table::aligned;
use crate::cli::words::both;
use crate::cli::{Context, Exit, Ran};
use crate::daemon::approvals::approve_command;
use crate::daemon::settling::settle;
use crate::store::settlements::Settlement;
use crate::transport::hex;
use serde_json::{Value, json};

/// Arguments of `settle`.
#[derive(Debug, clap::Args)]
pub struct SettleArgs {
    /// Settlement year: it ends on 31 August of that year
    #[arg(long, value_name = "S")]
    year: i16,
}

/// Runs `settle`.
pub fn run(args: &SettleArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let report = settle(&mut bureau, args.year, &context.order())?;
    if context.json {
        let settlements: Vec<Value> = report.settlements.iter().map(as_json).collect();
        context.print_json(&json!({ "settlements": settlements, "warnings": report.warnings }));
        return Ok(Exit::Done);
    }
    if report.settlements.is_empty() {
        println!("{} 清算年度没有应清算的代缴和事后补助", args.year);
    } else {
        print!("{}", table(&report.settlements));
    }
    for subject in &report.waiting {
        println!("待另一人批准：{}", approve_command(subject));
    }
    report.warnings.iter().for_each(|warning| eprintln!("注意：{warning}"));
    Ok(Exit::Done)
}

fn as_json(settlement: &Settlement) -> Value {
    json!({
        "settlement_year": settlement.head.year,
        "payer": settlement.head.payer.word(),
        "district": settlement.head.district.to_string(),
        "people": settlement.people,
        "deemed": settlement.deemed.to_string(),
        "ex_post": settlement.ex_post.to_string(),
        "digest": hex(&settlement.sha256),
        "state": settlement.state.word(),
    })
}

fn table(settlements: &[Settlement]) -> String {
    let headings = [
        ("代缴部门", Kind::Text),
        ("区县", Kind::Text),
        ("人数", Kind::Number),
        ("代缴", Kind::Amount),
        ("事后补助", Kind::Amount),
        ("状态", Kind::Text),
        ("摘要", Kind::Text),
    ];
    let row = |one: &Settlement| {
        vec![
            both(one.head.payer.word()),
            one.head.district.to_string(),
            one.people.to_string(),
            one.deemed.to_string(),
            one.ex_post.to_string(),
            format!("{} {}", one.state.chinese(), one.state.word()),
            hex(&one.sha256[..8]),
        ]
    };
    aligned(&headings, &settlements.iter().map(row).collect::<Vec<_>>())
}
