//! `daikou audit`: the invariants, proved from what is stored.

use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::audit::audit;
use crate::daemon::bureau::Bureau;
use crate::domain::calendar::DateTime;
use serde_json::json;

/// Runs `audit`.
pub fn run(context: &Context) -> Ran {
    let bureau = context.open()?;
    let checks = audit(&bureau, context.now())?;
    let ok = checks.iter().all(|check| check.offender.is_none());
    if context.json {
        let shown: Vec<_> = checks
            .iter()
            .map(|check| json!({ "id": check.id, "ok": check.offender.is_none(), "offender": check.offender }))
            .collect();
        context.print_json(&json!({ "ok": ok, "checks": shown }));
    } else {
        for check in &checks {
            println!("{:<4} {}", check.id, check.offender.as_deref().unwrap_or("ok"));
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Findings })
}

/// The first broken invariant as one line, once nothing more will come: every file must have reached its end.
pub fn first_broken(bureau: &Bureau) -> Result<Option<String>, CliError> {
    let broken = audit(bureau, DateTime::MAX)?.into_iter().find(|check| check.offender.is_some());
    Ok(broken.map(|check| format!("{}: {}", check.id, check.offender.unwrap_or_default())))
}
