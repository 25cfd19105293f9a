//! How things stand: figures and alarms that follow from the store, set anew after rounds in which it moved.

use crate::daemon::alarms::Alarms;
use crate::daemon::bureau::{Bureau, Step, store_path};
use crate::daemon::reconciling::reconcile;
use crate::daemon::silence::{self, Silence};
use crate::domain::calendar::Date;
use crate::domain::ledger::Account;
use crate::domain::reconciling::Corner;
use crate::store::balance::{Balances, balances};
use crate::store::figures;
use crate::telemetry::Metrics;
use crate::transport::free_bytes;
use std::collections::BTreeMap;

/// Sets every figure that the store knows.
pub fn show(bureau: &Bureau, metrics: &Metrics) -> Step<()> {
    let conn = bureau.store.connection();
    let files = figures::files(conn)?;
    metrics.files.replace(files.iter().map(|count| ([count.kind.as_str(), count.state.word()], count.files)));
    let rows = |verdict, of: fn(&figures::FileCount) -> i64| {
        let mut kinds = std::collections::BTreeMap::new();
        files.iter().for_each(|count| *kinds.entry(count.kind.as_str()).or_insert(0) += of(count));
        kinds.into_iter().map(move |(kind, rows)| ([kind, verdict], rows)).collect::<Vec<_>>()
    };
    let accepted = rows("accepted", |count| count.accepted);
    metrics.rows.replace(accepted.into_iter().chain(rows("refused", |count| count.refused)));
    metrics.postings.replace(figures::postings(conn)?.into_iter().map(|(event, count)| ([event], count)));
    show_balances(&balances(conn)?, metrics);
    metrics.settlements.replace(figures::settlements(conn)?.into_iter().map(|(state, count)| ([state], count)));
    metrics.ex_post.replace(figures::ex_post(conn)?.into_iter().map(|(state, count)| ([state], count)));
    metrics.feed_files.replace(figures::feed_files(conn)?.into_iter().map(|(state, count)| ([state], count)));
    metrics.instructions.replace(figures::instructions(conn)?.into_iter().map(|(state, count)| ([state], count)));
    metrics.batches.replace(figures::batches(conn)?.into_iter().map(|(state, count)| ([state], count)));
    let open = figures::open_exceptions(conn)?;
    metrics.open_exceptions.replace(open.iter().map(|(class, count)| ([class.as_str()], *count)));
    metrics.windows_missed.set([], bureau.store.windows_missed()?);
    Ok(())
}

/// One pass over the ledger for all that is counted in money.
fn show_balances(balances: &Balances, metrics: &Metrics) {
    let credited = |account| balances.get(&account).map_or(0, |(debit, credit)| (*credit - *debit).fen());
    let (own, government) = (credited(Account::PersonalOwn), credited(Account::PersonalGovernment));
    metrics.posted_fen.replace([(["cash"], own), (["deemed"], government)]);
    metrics.suspense_fen.set([], credited(Account::Suspense));
    let mut owed: BTreeMap<&str, i64> = BTreeMap::new();
    for (account, (debit, credit)) in balances {
        if let Account::Receivable(payer, _) = account {
            *owed.entry(payer.word()).or_default() += (*debit - *credit).fen();
        }
    }
    metrics.receivable_fen.replace(owed.into_iter().map(|(payer, fen)| ([payer], fen)));
}

/// Raises and clears the alarms that follow from store, calendar and date. `has_moved`: the store did, or the date, so
/// that what needs a long read is asked again.
pub fn judge(bureau: &Bureau, today: Date, has_moved: bool, metrics: &Metrics, alarms: &mut Alarms) -> Step<()> {
    metrics.oldest_unanswered.set([], silence::oldest_unanswered(bureau, today)?);
    show_room(bureau, metrics)?;
    raise_all(&silence::JUDGED, &silence::judge(bureau, today)?, alarms);
    if has_moved {
        raise_all(&["ageing"], &silence::ageing(bureau, today)?, alarms);
    }
    Ok(())
}

fn show_room(bureau: &Bureau, metrics: &Metrics) -> Step<()> {
    metrics.disk_free.set([], i64::try_from(free_bytes(&bureau.config.state)?).unwrap_or(i64::MAX));
    let wal = store_path(&bureau.config.state).with_extension("db-wal");
    let wal_bytes = std::fs::metadata(wal).map_or(0, |file| file.len());
    metrics.wal.set([], i64::try_from(wal_bytes).unwrap_or(i64::MAX));
    Ok(())
}

/// R22: what reconciliation finds, as figures and as an alarm.
pub fn show_differences(bureau: &Bureau, today: Date, metrics: &Metrics, alarms: &mut Alarms) -> Step<()> {
    let reconciled = reconcile(bureau, today)?;
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    let mut banks: BTreeMap<String, i64> = BTreeMap::new();
    for found in reconciled.due() {
        *counts.entry(found.differs.word()).or_default() += 1;
        if found.corner == Corner::Statement {
            let subject = if found.bank.is_empty() { "collection" } else { &found.bank };
            *banks.entry(subject.to_owned()).or_default() += 1;
        }
    }
    metrics.open_differences.replace(counts.into_iter().map(|(class, count)| ([class], count)));
    for bank in banks.keys() {
        alarms.raise(
            "reconciliation",
            bank.clone(),
            "ledger and statement differ: `daikou reconcile` says where (R22)",
        );
    }
    alarms.retain("reconciliation", |bank| banks.contains_key(bank));
    Ok(())
}

/// What was found stands; of these classes, what was not found any more is over.
fn raise_all(classes: &[&'static str], found: &[Silence], alarms: &mut Alarms) {
    for silence in found {
        alarms.raise(silence.class, silence.subject.clone(), &silence.words);
    }
    for class in classes {
        alarms.retain(class, |subject| found.iter().any(|s| s.class == *class && s.subject == subject));
    }
}
