//! `daikou audit`: the invariants, proved from what is stored.

use crate::cli::{Context, Exit, Ran};
use crate::daemon::audit::audit;
use serde_json::json;

/// Runs `audit`.
pub fn run(context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let checks = audit(&mut bureau, context.now())?;
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
