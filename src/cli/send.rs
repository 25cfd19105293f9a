//! `daikou send`: sends released batches, or releases them to a daemon that does.

use crate::cli::words::both;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::bureau::{Bureau, StepError};
use crate::daemon::delivering::SendReport;
use crate::daemon::releasing::{Reach, Sendings, send};
use crate::daemon::working::open_send_window;
use crate::domain::instruction::BatchState;
use crate::store::batches;
use crate::transport::{Error, Lock};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Arguments of `send`.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
    /// With a daemon alive: do not wait until it has sent
    #[arg(long)]
    no_wait: bool,
}

/// How long `send` waits for a daemon.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `send`.
pub fn run(args: &SendArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let (sendings, outcome) = match Lock::acquire(&bureau.config.state) {
        Ok(_lock) => (send(&mut bureau, Reach::Everybody, &context.order())?, "没有可发送的批次"),
        Err(Error::Held { .. }) => {
            open_send_window(&mut bureau, &context.order())?;
            if !args.no_wait {
                wait(&bureau)?;
            }
            (Sendings::default(), if args.no_wait { "已交常驻进程发送" } else { "常驻进程已发送完毕" })
        }
        Err(error) => return Err(StepError::from(error).into()),
    };
    if context.json {
        context.print_json(&as_json(&sendings));
    } else {
        let said = |report: &SendReport| println!("{} {}：{}", report.batch, both(report.state.word()), report.words);
        sendings.reports.iter().for_each(said);
        if sendings.reports.is_empty() && sendings.failures.is_empty() {
            println!("{outcome}{}", unapproved(&bureau)?);
        }
    }
    sendings.failures.iter().for_each(|failure| eprintln!("daikou: {failure}"));
    Ok(exit(&sendings))
}

/// Batches that cannot go because nobody has approved them, in words that follow others.
fn unapproved(bureau: &Bureau) -> Result<String, CliError> {
    let drafted = batches::in_states(bureau.store.connection(), &[BatchState::Drafted])?;
    let count = drafted.iter().filter(|batch| batch.bank.is_some()).count();
    Ok(if count == 0 { String::new() } else { format!("；另有 {count} 批待批准，见 daikou status") })
}

fn as_json(sendings: &Sendings) -> Value {
    let sent = sendings.reports.iter().map(
        |report| json!({ "batch": report.batch.to_string(), "state": report.state.word(), "evidence": report.words }),
    );
    let failed = sendings.failures.iter().map(
        |failure| json!({ "bank": failure.bank, "batch": failure.batch.to_string(), "words": failure.to_string() }),
    );
    json!({ "sent": sent.collect::<Vec<_>>(), "failed": failed.collect::<Vec<_>>() })
}

fn exit(sendings: &Sendings) -> Exit {
    let is_refused = |error: &StepError| matches!(error, StepError::Refused(_));
    if sendings.failures.iter().any(|failure| !is_refused(&failure.error)) {
        return Exit::Failure;
    }
    let is_doubtful = |report: &SendReport| report.state == BatchState::SentUnconfirmed;
    let has_findings = !sendings.failures.is_empty() || sendings.reports.iter().any(is_doubtful);
    if has_findings { Exit::Findings } else { Exit::Done }
}

/// The daemon sends: wait until nothing released is left.
fn wait(bureau: &Bureau) -> Result<(), CliError> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let left = batches::in_states(bureau.store.connection(), &[BatchState::Released, BatchState::Sending])?;
        if left.iter().all(|batch| batch.bank.is_none()) {
            return Ok(());
        }
        sleep(Duration::from_millis(200));
    }
    let words = "后台程序尚未发送完毕：见 daikou status，或请运维人员查看日志".to_owned();
    Err(StepError::Refused(words).into())
}
