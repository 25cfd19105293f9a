//! `daikou doctor`: what a bank's own server is like, and what to ask the bank for.

use crate::cli::{CliError, Context, Exit, Ran};
use crate::config::Bank;
use crate::daemon::doctor::{Examination, examine, look_at_stranger};
use serde_json::{Value, json};
use std::time::Duration;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Key of a bank with a server of its own; or HOST:PORT of a server that no profile knows yet
    #[arg(value_name = "BANK|HOST:PORT")]
    bank: String,
    /// Write, read, rename and remove a small file in the bank's folder
    #[arg(long)]
    rehearse: bool,
}

/// How long a server that no profile knows may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `doctor`.
pub fn run(args: &DoctorArgs, context: &Context) -> Ran {
    let examination = match args.bank.rsplit_once(':') {
        Some((host, port)) => {
            let Ok(port) = port.parse() else {
                return Err(CliError::Usage(format!("{}: expected HOST:PORT or the key of a bank", args.bank)));
            };
            look_at_stranger(host.trim_matches(['[', ']']), port, PATIENCE)
        }
        None => examine_bank(args, context)?,
    };
    if context.json {
        context.print_json(&as_json(&examination));
    } else {
        print!("{}", as_text(&examination));
    }
    Ok(if examination.is_well() { Exit::Done } else { Exit::Findings })
}

fn examine_bank(args: &DoctorArgs, context: &Context) -> Result<Examination, CliError> {
    let mut bureau = context.open()?;
    let Some(bank) = bureau.config.banks.iter().find(|bank| bank.key == args.bank).cloned() else {
        let keys: Vec<&str> = bureau.config.banks.iter().map(|bank: &Bank| bank.key.as_str()).collect();
        return Err(CliError::Usage(format!("{} is no bank: expected one of {}", args.bank, keys.join(", "))));
    };
    let Some(profile) = &bank.sftp else {
        return Err(CliError::Usage(format!("bank {} has no [bank.sftp]: it comes to our drop tree", bank.key)));
    };
    let examination = examine(&bank, profile, args.rehearse);
    if examination.is_well() {
        // A person has looked: what was stopped because of this line may go on.
        bureau.store.forget_failing(bank.number)?;
    }
    Ok(examination)
}

fn as_text(examination: &Examination) -> String {
    let mut text = String::new();
    if let Some(Ok(offered)) = &examination.offered {
        text += "offered\n";
        for (kind, names) in &offered.lists {
            text += &format!("  {kind:<14}{}\n", names.join(" "));
        }
        for key in &offered.host_keys {
            text += &format!("  {:<14}{key}\n", "fingerprint");
        }
    }
    if let Some(negotiated) = &examination.negotiated {
        text += "agreed\n";
        for (kind, name) in &negotiated.methods {
            text += &format!("  {kind:<14}{name}\n");
        }
        text += &format!("  {:<14}{}\n", "known by", negotiated.host_key);
    }
    text += "steps\n";
    for finding in &examination.steps {
        let mark = if finding.went { "ok" } else { "NO" };
        text += &format!("  {mark}  {}: {}\n", finding.step, finding.found);
    }
    if !examination.advice.is_empty() {
        text += "to do\n";
        text.extend(examination.advice.iter().map(|advice| format!("  - {advice}\n")));
    }
    text
}

fn as_json(examination: &Examination) -> Value {
    let offered = match &examination.offered {
        Some(Ok(offered)) => json!({
            "banner": offered.banner,
            "algorithms": offered.lists.iter().map(|(kind, names)| json!({ "kind": kind, "names": names })).collect::<Vec<_>>(),
            "host_keys": offered.host_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        _ => Value::Null,
    };
    let agreed = examination.negotiated.as_ref().map(|negotiated| {
        json!({
            "methods": negotiated.methods.iter().map(|(kind, name)| json!({ "kind": kind, "name": name })).collect::<Vec<_>>(),
            "host_key": negotiated.host_key,
            "round_trip_ms": u64::try_from(negotiated.round_trip.as_millis()).unwrap_or(u64::MAX),
        })
    });
    let steps: Vec<Value> = examination
        .steps
        .iter()
        .map(|finding| json!({ "step": finding.step, "went": finding.went, "found": finding.found }))
        .collect();
    json!({ "ok": examination.is_well(), "offered": offered, "agreed": agreed, "steps": steps, "advice": examination.advice })
}
