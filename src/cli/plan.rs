//! `daikou plan`: what everybody owes for a fee year.

use crate::cli::{Context, Exit, Ran};
use crate::daemon::approvals::approve_command;
use crate::daemon::planning::plan;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// Fee year
    #[arg(long)]
    year: i16,
}

/// Runs `plan`.
pub fn run(args: &PlanArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let bar = spinner("人已核定");
    let report = plan(&mut bureau, args.year, &context.order(), &mut |people| bar.set_position(people))?;
    bar.finish_and_clear();
    if context.json {
        let shown = json!({ "plans": report.plans, "refused": report.refused(), "exceptions": report.exceptions });
        context.print_json(&shown);
    } else if report.waits {
        let (year, plans, refused) = (args.year, report.plans, report.refused_zh());
        let command = approve_command(&year.to_string());
        println!("{year} 年度缴费计划已提交：{plans} 人有计划，{refused}；待另一人批准：{command}");
    } else if context.order().today().year() > args.year {
        println!("{} 年度已结束：{} 个未收足的计划已失效", args.year, report.lapsed);
    } else {
        println!(
            "{} 年度缴费计划：{} 人有计划，{}，新增例外 {} 项",
            args.year,
            report.plans,
            report.refused_zh(),
            report.exceptions
        );
    }
    Ok(Exit::Done)
}

/// A counter on stderr while a person watches; silent otherwise.
pub fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {human_pos} {msg} ({elapsed})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(what);
    bar
}
