//! `daikou status`: what is open, and what of it is late.

use crate::cli::facts::{all_as_json, as_lines, as_table};
use crate::cli::out::say;
use crate::cli::table::printable;
use crate::cli::words::both;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::alarms::{self, Class};
use crate::daemon::approvals::{Waiting, approve_command, waiting};
use crate::daemon::bureau::Bureau;
use crate::daemon::reconciling::{Found, reconcile};
use crate::daemon::settling::undrafted;
use crate::daemon::silence;
use crate::domain::calendar::{Date, FeeYear};
use crate::domain::instruction::BatchState;
use crate::domain::money::Money;
use crate::domain::plan::PlanState;
use crate::domain::reconciling::{Corner, Differs};
use crate::domain::settlement::SettlementState;
use crate::pipeline::book::BatchLine;
use crate::store::facts::{Fact, Facts};
use crate::store::summary::{Summary, summary};
use crate::store::{batches, files, lines, overview, settlements, transfers};
use crate::transport::hex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Runs `status`.
pub fn run(context: &Context) -> Ran {
    let bureau = context.open_to_read()?;
    let today = context.now().date();
    let fee_year = fee_year(&bureau, today)?;
    let waiting = waiting(&bureau)?;
    let tables = tables(&bureau, fee_year, today)?;
    if context.json {
        let head = [("date", json!(today.to_string())), ("fee_year", json!(fee_year))];
        let mut head = Map::from_iter(head.map(|(key, value)| (key.to_owned(), value)));
        head.insert("approvals".to_owned(), waiting.iter().map(as_json).collect());
        context.print_json(&all_as_json(head, &tables));
        return Ok(Exit::Done);
    }
    say(&text(&waiting, &tables, fee_year, today)).map_err(|error| CliError::Io("stdout".to_owned(), error))?;
    Ok(Exit::Done)
}

/// The year that is planned on this day; outside all of them the newest that has plans.
fn fee_year(bureau: &Bureau, today: Date) -> Result<FeeYear, CliError> {
    if let Some(planned) = bureau.config.policies.planned_on(today) {
        return Ok(planned);
    }
    Ok(files::planned_years(bureau.store.connection())?.last().copied().unwrap_or(today.year()))
}

fn text(waiting: &[Waiting], tables: &[Facts], fee_year: FeeYear, today: Date) -> String {
    let mut shown: String = waiting.iter().map(as_block).collect();
    if !shown.is_empty() {
        shown.insert_str(0, "\n【待批准】\n");
    }
    for table in tables.iter().filter(|table| !table.rows.is_empty()) {
        // What is safe to do is a sentence, too wide for a column.
        let text = if table.about == "alarms" { as_lines(table) } else { as_table(table) };
        shown.push_str(&format!("\n{text}"));
    }
    let rest = if shown.is_empty() { "没有未完成的事项\n" } else { "" };
    format!("{today}　{fee_year}年度\n{shown}{rest}")
}

fn tables(bureau: &Bureau, fee_year: FeeYear, today: Date) -> Result<Vec<Facts>, CliError> {
    let conn = bureau.store.connection();
    let summary = summary(conn, fee_year)?;
    Ok(vec![
        standing_alarms(bureau, today)?,
        failing_lines(bureau)?,
        open_batches(bureau, today)?,
        waiting_zero_payments(bureau, today)?,
        missing_lists(bureau, fee_year, today)?,
        open_settlements(bureau, today)?,
        held_transfers(bureau, today)?,
        open_exceptions(&summary),
        open_differences(bureau, today)?,
        overview::unfinished_files(conn, today)?,
        overview::quarantined_files(conn, today)?,
        overview::outbox(conn)?,
        overview::missed_windows(conn)?,
        plans(&summary),
        overview::newest_lists(conn)?,
    ])
}

/// R21: the checker reads what a yes would do before saying it; a line for each would be too long.
fn as_block(waiting: &Waiting) -> String {
    let Waiting { approval, asks, .. } = waiting;
    let digest = hex(&approval.digest[..8]);
    let made = format!("经办 {}，{} 提交，摘要 {digest}", approval.maker, approval.made_on);
    let first = format!("{}　{asks}", both(&approval.kind));
    format!("  {}\n    {}；批准：{}\n", printable(&first), printable(&made), approve_command(&waiting.name))
}

fn as_json(waiting: &Waiting) -> Value {
    let Waiting { approval, asks, name } = waiting;
    json!({
        "id": approval.id,
        "kind": approval.kind,
        "subject": approval.subject,
        "asks": asks,
        "maker": approval.maker,
        "made_on": approval.made_on.to_string(),
        "approve": name,
        "digest": hex(&approval.digest[..8]),
    })
}

/// What stands: worked out from the store now, and what a living daemon knows beside it.
fn standing_alarms(bureau: &Bureau, today: Date) -> Result<Facts, CliError> {
    let mut facts = Facts::new("alarms", &["alarm", "subject", "owner", "trouble", "safe"]);
    let mut known = silence::judge(bureau, today)?;
    known.extend(silence::ageing(bureau, today)?);
    known.extend(silence::disk(bureau)?);
    let mut add = |word: &str, subject: &str, words: &str| {
        let Some(class) = Class::parse(word) else { return };
        facts.rows.push(vec![
            Fact::word(class.word),
            Fact::text(subject),
            Fact::word(class.owner),
            Fact::text(words),
            Fact::text(class.safe),
        ]);
    };
    known.iter().for_each(|silence| add(silence.class, &silence.subject, &silence.words_zh));
    for alarm in alarms::published(&bureau.config.state) {
        // What follows from the store is judged now, not when the daemon last looked.
        let is_judged = silence::JUDGED.contains(&alarm.class.as_str()) || alarm.class == "ageing";
        if !is_judged && !known.iter().any(|s| s.class == alarm.class && s.subject == alarm.subject) {
            add(&alarm.class, &alarm.subject, &alarm.words);
        }
    }
    Ok(facts)
}

/// Banks' own servers that could not be reached the last time.
fn failing_lines(bureau: &Bureau) -> Result<Facts, CliError> {
    let mut facts = Facts::new("lines", &["bank", "failures", "blocked", "trouble"]);
    for bank in bureau.config.banks.iter().filter(|bank| bank.sftp.is_some()) {
        if let Some(failing) = lines::failing(bureau.store.connection(), bank.number)? {
            facts.rows.push(vec![
                Fact::Text(bank.key.clone()),
                Fact::Number(i64::from(failing.failures)),
                Fact::Flag(failing.is_blocked),
                Fact::Text(failing.trouble),
            ]);
        }
    }
    Ok(facts)
}

/// Batches that have not left, that are at a bank, or whose delivery is in doubt.
fn open_batches(bureau: &Bureau, today: Date) -> Result<Facts, CliError> {
    use BatchState::{Accepted, Drafted, Released, Sending, Sent, SentUnconfirmed};
    let columns = &["batch", "bank", "fee_year", "debit_on", "instructions", "amount", "state", "answer_due", "late"];
    let mut facts = Facts::new("batches", columns);
    let open = [Drafted, Released, Sending, Sent, SentUnconfirmed, Accepted];
    for batch in batches::in_states(bureau.store.connection(), &open)? {
        let Some(number) = batch.bank else { continue };
        let has_left = matches!(batch.state, Sent | SentUnconfirmed | Accepted);
        let bank = bureau.config.bank(number);
        // Where the calendar ends nothing is known to be late; `run` and `check` say that it ends.
        let days = bank.map_or(0, |bank| bank.reply_workdays);
        let due = bureau.config.working_days.add_working_days(batch.debit_on, days).ok().filter(|_| has_left);
        let late = is_late(&batch, due, today);
        facts.rows.push(vec![
            Fact::text(batch.number),
            Fact::text(bank.map_or_else(|| number.0.to_string(), |bank| bank.key.clone())),
            Fact::Number(batch.fee_year.into()),
            Fact::Day(batch.debit_on),
            Fact::Number(batch.count.into()),
            Fact::Money(batch.amount),
            Fact::word(batch.state.word()),
            due.map_or(Fact::None, Fact::Day),
            Fact::Flag(late),
        ]);
    }
    Ok(facts)
}

/// Not answered when it was due, or not sent by its debit date.
fn is_late(batch: &BatchLine, answer_due: Option<Date>, today: Date) -> bool {
    match (batch.state, answer_due) {
        (_, Some(due)) => due < today,
        (BatchState::Drafted | BatchState::Released | BatchState::Sending, None) => batch.debit_on < today,
        (_, None) => false,
    }
}

/// R9: they wait for a person, who is reminded before the settlement year and before the fee year ends.
fn waiting_zero_payments(bureau: &Bureau, today: Date) -> Result<Facts, CliError> {
    let columns = &["batch", "fee_year", "people", "amount", "drafted_on", "late"];
    let mut facts = Facts::new("zero_payments", columns);
    for batch in batches::in_states(bureau.store.connection(), &[BatchState::Drafted])? {
        if batch.bank.is_none() {
            facts.rows.push(vec![
                Fact::text(batch.number),
                Fact::Number(batch.fee_year.into()),
                Fact::Number(batch.count.into()),
                Fact::Money(batch.amount),
                Fact::Day(batch.drafted_on),
                Fact::Flag(is_zero_payment_urgent(batch.fee_year, today)),
            ]);
        }
    }
    Ok(facts)
}

/// From 15 August to the end of the month, from 1 December, and once the year is over.
fn is_zero_payment_urgent(fee_year: FeeYear, today: Date) -> bool {
    let (month, day) = (today.month(), today.day());
    today.year() > fee_year || month == 12 || (month == 8 && day >= 15)
}

/// R8a: expected lists that are not there; no district gets an instruction before all of its own are.
fn missing_lists(bureau: &Bureau, fee_year: FeeYear, today: Date) -> Result<Facts, CliError> {
    let mut facts = Facts::new("missing_lists", &["payer", "district", "recognized_year", "due", "late"]);
    let Some((policy, year)) = bureau.config.policies.of(fee_year) else { return Ok(facts) };
    for (payer, districts) in &bureau.config.expected_lists {
        let lag = policy.categories.iter().find(|terms| terms.payer == *payer).map_or(1, |terms| terms.lag);
        let accepted = files::accepted_lists(bureau.store.connection(), fee_year - lag)?;
        for district in districts.iter().filter(|district| !accepted.contains(&(*payer, **district))) {
            facts.rows.push(vec![
                Fact::word(payer.word()),
                Fact::text(district),
                Fact::Number((fee_year - lag).into()),
                Fact::Day(year.lists_due),
                Fact::Flag(today > year.lists_due),
            ]);
        }
    }
    Ok(facts)
}

/// R15, R16: settlements that are not cleared: what is due next, by when, and how late it is.
fn open_settlements(bureau: &Bureau, today: Date) -> Result<Facts, CliError> {
    let columns = &[
        "settlement_year",
        "payer",
        "district",
        "state",
        "people",
        "deemed",
        "ex_post",
        "owed",
        "due",
        "application_due",
        "days_late",
    ];
    let mut facts = Facts::new("settlements", columns);
    let policies = &bureau.config.policies;
    for one in settlements::all(bureau.store.connection())? {
        let year = one.head.year;
        let due = match one.state {
            SettlementState::Drafted | SettlementState::Approved => policies.settlement_due(year),
            SettlementState::Sent => Some(one.transfer_due),
            SettlementState::Cleared => continue,
        };
        facts.rows.push(vec![
            Fact::Number(year.into()),
            Fact::word(one.head.payer.word()),
            Fact::text(one.head.district),
            Fact::word(one.state.word()),
            Fact::Number(one.people as i64),
            Fact::Money(one.deemed),
            Fact::Money(one.ex_post),
            if one.state == SettlementState::Drafted { Fact::None } else { Fact::Money(one.owed()) },
            due.map_or(Fact::None, Fact::Day),
            policies.application_due(year).map_or(Fact::None, Fact::Day),
            days_late(due, today),
        ]);
    }
    if let Some((year, due)) = undrafted(bureau, today)? {
        let mut row = vec![Fact::None; columns.len()];
        row[0] = Fact::Number(year.into());
        row[3] = Fact::word("not-drafted");
        row[8] = Fact::Day(due);
        row[9] = policies.application_due(year).map_or(Fact::None, Fact::Day);
        row[10] = days_late(Some(due), today);
        facts.rows.push(row);
    }
    Ok(facts)
}

fn days_late(due: Option<Date>, today: Date) -> Fact {
    let days = due.and_then(|due| today.since(due).ok()).map_or(0, |span| span.get_days());
    if days > 0 { Fact::Number(days.into()) } else { Fact::None }
}

/// R16: payers' money in suspense, with its age.
fn held_transfers(bureau: &Bureau, today: Date) -> Result<Facts, CliError> {
    let columns = &["settlement_year", "payer", "district", "reference", "received_on", "over", "late", "days"];
    let mut facts = Facts::new("held_transfers", columns);
    for held in transfers::held(bureau.store.connection())? {
        let days = today.since(held.received_on).map_or(0, |span| span.get_days());
        facts.rows.push(vec![
            Fact::Number(held.settlement_year.into()),
            Fact::word(held.payer.word()),
            Fact::text(held.district),
            Fact::Text(held.reference),
            Fact::Day(held.received_on),
            Fact::Money(held.held),
            Fact::Flag(held.is_late),
            Fact::Number(days.into()),
        ]);
    }
    Ok(facts)
}

fn open_exceptions(summary: &Summary) -> Facts {
    let mut facts = Facts::new("exceptions", &["class", "count", "amount"]);
    facts.rows = summary
        .exceptions
        .iter()
        .map(|(class, (count, held))| vec![Fact::word(class), Fact::Number(*count as i64), Fact::Money(*held)])
        .collect();
    facts
}

/// R22: what reconciliation finds and nobody has cleared, by class.
fn open_differences(bureau: &Bureau, today: Date) -> Result<Facts, CliError> {
    let mut facts = Facts::new("differences", &["class", "corner", "count", "ours", "theirs", "oldest"]);
    let reconciled = reconcile(bureau, today)?;
    let mut groups: BTreeMap<(Differs, Corner), Vec<&Found>> = BTreeMap::new();
    reconciled.due().for_each(|found| groups.entry((found.differs, found.corner)).or_default().push(found));
    for ((differs, corner), found) in groups {
        let sum = |side: fn(&Found) -> Money| found.iter().map(|one| side(one)).sum();
        facts.rows.push(vec![
            Fact::word(differs.word()),
            Fact::word(corner.word()),
            Fact::Number(found.len() as i64),
            Fact::Money(sum(|one| one.ours)),
            Fact::Money(sum(|one| one.theirs)),
            found.iter().map(|one| one.on).min().map_or(Fact::None, Fact::Day),
        ]);
    }
    Ok(facts)
}

/// Plans of the fee year, in the order of their lifecycle.
fn plans(summary: &Summary) -> Facts {
    let mut facts = Facts::new("plans", &["state", "count"]);
    let counted = PlanState::ALL.iter().filter_map(|(_, word, _)| summary.plans.get(word).map(|count| (*word, *count)));
    facts.rows = counted.map(|(word, count)| vec![Fact::word(word), Fact::Number(count as i64)]).collect();
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_payments_are_urgent_before_the_years_end() {
        let day = |month, day| Date::constant(2018, month, day);
        let urgent = [day(8, 15), day(8, 31), day(12, 1), day(12, 31), Date::constant(2019, 1, 1)];
        let calm = [day(7, 5), day(8, 14), day(9, 1), day(11, 30)];
        assert!(urgent.iter().all(|today| is_zero_payment_urgent(2018, *today)));
        assert!(!calm.iter().any(|today| is_zero_payment_urgent(2018, *today)));
    }
}
