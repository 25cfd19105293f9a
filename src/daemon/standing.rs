//! How things stand: figures and alarms that follow from the store, set anew after rounds in which it moved.

use crate::daemon::alarms::Alarms;
use crate::daemon::bureau::{Bureau, Step, store_path};
use crate::daemon::instructing::waiting_districts;
use crate::daemon::settling::overdue;
use crate::domain::calendar::{Date, PastTheData, WorkingDays, next_day};
use crate::domain::instruction::BatchState;
use crate::store::batches;
use crate::store::figures::{self, Unanswered};
use crate::telemetry::Metrics;
use crate::transport::free_bytes;
use std::collections::BTreeSet;

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
    let (own, government) = figures::posted(conn)?;
    metrics.posted_fen.replace([(["cash"], own), (["deemed"], government)]);
    metrics.instructions.replace(figures::instructions(conn)?.into_iter().map(|(state, count)| ([state], count)));
    metrics.batches.replace(figures::batches(conn)?.into_iter().map(|(state, count)| ([state], count)));
    let open = figures::open_exceptions(conn)?;
    metrics.open_exceptions.replace(open.iter().map(|(class, count)| ([class.as_str()], *count)));
    metrics.windows_missed.set([], bureau.store.windows_missed()?);
    metrics.disk_free.set([], i64::try_from(free_bytes(&bureau.config.state)?).unwrap_or(i64::MAX));
    let wal = store_path(&bureau.config.state).with_extension("db-wal");
    let wal_bytes = std::fs::metadata(wal).map_or(0, |file| file.len());
    metrics.wal.set([], i64::try_from(wal_bytes).unwrap_or(i64::MAX));
    Ok(())
}

/// Raises and clears the alarms that follow from store and calendar.
pub fn judge(bureau: &Bureau, today: Date, metrics: &Metrics, alarms: &mut Alarms) -> Step<()> {
    let unanswered = figures::unanswered(bureau.store.connection())?;
    let days = &bureau.config.working_days;
    let mut oldest = 0;
    let (mut late, mut doubtful) = (BTreeSet::new(), BTreeSet::new());
    for batch in &unanswered {
        let waited = workdays_since(days, batch, today).unwrap_or(0);
        oldest = oldest.max(waited);
        let number = batch.batch.to_string();
        let allowed = bureau.config.banks.iter().find(|bank| bank.number.0 == batch.batch.bank());
        if allowed.is_some_and(|bank| waited > i64::from(bank.reply_workdays)) {
            alarms.raise("answer-late", number.clone(), &format!("sent {waited} working days ago: ask the bank"));
            late.insert(number.clone());
        }
        if batch.state == BatchState::SentUnconfirmed {
            alarms.raise("delivery-in-doubt", number.clone(), "nothing shows that the bank has it: ask the bank");
            doubtful.insert(number);
        }
    }
    metrics.oldest_unanswered.set([], oldest);
    alarms.retain("answer-late", |batch| late.contains(batch));
    alarms.retain("delivery-in-doubt", |batch| doubtful.contains(batch));
    judge_settlements(bureau, today, alarms)?;
    judge_zero_payments(bureau, today, alarms)?;
    judge_lists(bureau, today, alarms)
}

/// R15, R16: a settlement that is not with its payer when it was due, a payer that still owes when it was to have paid.
fn judge_settlements(bureau: &Bureau, today: Date, alarms: &mut Alarms) -> Step<()> {
    let (late, owing): (Vec<_>, Vec<_>) = overdue(bureau, today)?.into_iter().partition(|late| !late.is_transfer);
    for one in &late {
        alarms.raise("settlement-late", one.subject.clone(), &one.words);
    }
    for one in &owing {
        alarms.raise("transfer-late", one.subject.clone(), &one.words);
    }
    alarms.retain("settlement-late", |subject| late.iter().any(|one| one.subject == subject));
    alarms.retain("transfer-late", |subject| owing.iter().any(|one| one.subject == subject));
    Ok(())
}

/// R9: a batch that is not approved by the end of August or of the year misses its settlement, or its year.
fn judge_zero_payments(bureau: &Bureau, today: Date, alarms: &mut Alarms) -> Step<()> {
    let is_late = (today.month() == 8 && today.day() >= 15) || today.month() == 12;
    let drafted = batches::in_states(bureau.store.connection(), &[BatchState::Drafted])?;
    let waiting = drafted.iter().filter(|batch| is_late && batch.bank.is_none());
    let waiting: BTreeSet<String> = waiting.map(|batch| batch.number.to_string()).collect();
    for batch in &waiting {
        alarms.raise("zero-payment", batch.clone(), "waits for approval, and its time is running out");
    }
    alarms.retain("zero-payment", |batch| waiting.contains(batch));
    Ok(())
}

/// R8, R8a: after the due date a missing list is an alarm, not a release.
fn judge_lists(bureau: &Bureau, today: Date, alarms: &mut Alarms) -> Step<()> {
    let mut missing = BTreeSet::new();
    if let Some((_, year)) = bureau.config.policies.of(today.year())
        && today > year.lists_due
        && today <= year.last_debit
    {
        missing = waiting_districts(bureau, year.fee_year)?.iter().map(ToString::to_string).collect();
    }
    for district in &missing {
        alarms.raise("list-missing", district.clone(), "an expected list has not come: nothing is deducted (R8a)");
    }
    alarms.retain("list-missing", |district| missing.contains(district));
    Ok(())
}

fn workdays_since(days: &WorkingDays, batch: &Unanswered, today: Date) -> Result<i64, PastTheData> {
    let Some(sent_on) = batch.sent_on else { return Ok(0) };
    let (mut day, mut count) = (sent_on, 0);
    while day < today {
        day = next_day(day);
        count += i64::from(days.is_working_day(day)?);
    }
    Ok(count)
}
