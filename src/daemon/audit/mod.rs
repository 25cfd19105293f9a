//! `audit`: every invariant of design section 8, proved from what is stored: the store by itself, then the store
//! against the kept files, the layouts and the policy.

mod kept;
mod policy;
mod requests;
mod sent;

use crate::daemon::bureau::{Bureau, Step};
use crate::domain::calendar::DateTime;
use crate::store::audit::{Check, prove};
use rusqlite::Connection;

/// Proves I1 to I13, in their order, on one consistent view of the store.
///
/// `now` is the business date and time: it decides which files should have reached a final state.
pub fn audit(bureau: &Bureau, now: DateTime) -> Step<Vec<Check>> {
    let Bureau { config, layouts, store, .. } = bureau;
    let mut checks = store.read(|tx| {
        let mut checks = prove(tx)?;
        let settled = checks.iter_mut().find(|check| check.id == "I9" && check.offender.is_none());
        if let Some(check) = settled {
            check.offender = sent::kept(tx, config)?;
        }
        checks.push(Check { id: "I7", offender: requests::rederive(tx, config, layouts)? });
        checks.push(Check { id: "I10", offender: kept::whole(tx, config, now)? });
        checks.push(Check { id: "I12", offender: policy::rederive(tx, &config.policies)? });
        Ok(checks)
    })?;
    checks.sort_by_key(|check| check.id[1..].parse::<u8>().unwrap_or(u8::MAX));
    Ok(checks)
}

type Found = crate::store::Result<Option<String>>;

fn exists(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> crate::store::Result<bool> {
    Ok(conn.prepare_cached(sql)?.exists(params)?)
}
