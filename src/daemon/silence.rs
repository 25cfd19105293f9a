//! What did not happen: the alarms that follow from store, calendar and business date alone. The daemon raises and clears
//! them after each round, `status` works them out again: it shows them with no daemon alive.

use crate::daemon::bureau::{Bureau, Step};
use crate::daemon::instructing::waiting_districts;
use crate::daemon::outstanding::contradictions;
use crate::daemon::schedule::WindowState;
use crate::daemon::settling::{Overdue, overdue};
use crate::domain::calendar::{Date, PastTheData, WorkingDays, days_before, next_day};
use crate::domain::instruction::BatchState;
use crate::domain::participant::{BankNumber, DistrictCode};
use crate::pipeline::book::BatchLine;
use crate::store::figures::{self, Unanswered};
use crate::store::gaps::{self, Gap};
use crate::store::{batches, chain};
use crate::transport::free_bytes;

/// One thing that a person must look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its class, one of `alarms::CLASSES`.
    pub class: &'static str,
    /// A batch, a district, a step.
    pub subject: String,
    /// What is expected and what is found, for the log.
    pub words: String,
    /// The same for whoever reads `status`.
    pub words_zh: String,
}

/// Classes that are judged here: one that is not found is over.
pub const JUDGED: [&str; 10] = [
    "configuration",
    "answer-late",
    "delivery-in-doubt",
    "zero-payment",
    "list-missing",
    "window-missed",
    "sequence-gap",
    "settlement-late",
    "transfer-late",
    "backup-old",
];

/// All that follows cheaply.
pub fn judge(bureau: &Bureau, today: Date) -> Step<Vec<Silence>> {
    let mut found = contradicting(bureau)?;
    found.extend(unanswered(bureau, today)?);
    found.extend(zero_payments(bureau, today)?);
    found.extend(lists(bureau, today)?);
    found.extend(windows(bureau)?);
    found.extend(settlements(bureau, today)?);
    found.extend(backup(bureau, today)?);
    found.extend(gaps::gaps(bureau.store.connection())?.iter().map(|gap| gap_words(bureau, gap)));
    Ok(found)
}

/// A bank that is not as it was when what is out was written for it: its answers lie there unread.
fn contradicting(bureau: &Bureau) -> Step<Vec<Silence>> {
    let found = contradictions(&bureau.config, bureau.store.connection())?;
    let silence = |(number, words): (BankNumber, String)| Silence {
        class: "configuration",
        subject: format!("bank {}", number.0),
        words_zh: format!("编号为 {} 的银行与其在途批次发出时的配置不符，其回盘读不出来", number.0),
        words,
    };
    Ok(found.into_iter().map(silence).collect())
}

/// Instructions that are open for too long: a read of every state, asked where the store or the date moved.
pub fn ageing(bureau: &Bureau, today: Date) -> Step<Vec<Silence>> {
    let allowed = bureau.config.ageing_workdays;
    let until = days_before(today, i64::from(allowed));
    let mut found = Vec::new();
    for (batch, debit_on, count) in gaps::open_since(bureau.store.connection(), until)? {
        let waited = workdays_since(&bureau.config.working_days, debit_on, today).unwrap_or(0);
        if waited > i64::from(allowed) {
            let words = format!(
                "{count} instructions, debited on {debit_on}, are open for {waited} working days, expected at most {allowed}: \
                 ask the bank, then `daikou resolve`; nothing of them is deducted again meanwhile"
            );
            let words_zh =
                format!("{count} 笔指令（扣款日 {debit_on}）已 {waited} 个工作日没有结果，应在 {allowed} 个工作日之内");
            found.push(Silence { class: "ageing", subject: batch.to_string(), words, words_zh });
        }
    }
    Ok(found)
}

/// Less room than is needed to finish what was begun.
pub fn disk(bureau: &Bureau) -> Step<Option<Silence>> {
    let free = free_bytes(&bureau.config.state)? >> 20;
    let least = bureau.config.least_free_mb;
    let words = format!("expected at least {least} MiB free, found {free}: intake pauses until there is room again");
    let words_zh = format!("应至少有 {least} MiB 可用空间，现有 {free} MiB：暂停收文件，腾出空间后自动恢复");
    Ok((free < least).then(|| Silence { class: "disk-low", subject: "state".to_owned(), words, words_zh }))
}

/// The newest backup is older than the configuration allows; where there is none, the first act is.
fn backup(bureau: &Bureau, today: Date) -> Step<Option<Silence>> {
    let Some(allowed) = bureau.config.backup_days else { return Ok(None) };
    let (newest, first) = chain::backed_up(bureau.store.connection())?;
    let limit = days_before(today, i64::from(allowed));
    let (words, words_zh) = match (newest, first) {
        (Some(newest), _) if newest < limit => (
            format!("the newest backup is of {newest}, expected one since {limit}"),
            format!("最近一次备份在 {newest}，应不早于 {limit}"),
        ),
        (None, Some(first)) if first < limit => (
            format!("no backup since {first}, expected one since {limit}"),
            format!("自 {first} 起没有备份，应不早于 {limit}"),
        ),
        _ => return Ok(None),
    };
    let words = format!("{words}: `daikou backup` onto another disk now, the daemon goes on meanwhile");
    Ok(Some(Silence { class: "backup-old", subject: "state".to_owned(), words, words_zh }))
}

/// Working days since the oldest batch without an answer was sent, for the figure.
pub fn oldest_unanswered(bureau: &Bureau, today: Date) -> Step<i64> {
    let days = &bureau.config.working_days;
    let unanswered = figures::unanswered(bureau.store.connection())?;
    Ok(unanswered.iter().map(|batch| waited(days, batch, today)).max().unwrap_or(0))
}

fn unanswered(bureau: &Bureau, today: Date) -> Step<Vec<Silence>> {
    let mut found = Vec::new();
    for batch in &figures::unanswered(bureau.store.connection())? {
        let waited = waited(&bureau.config.working_days, batch, today);
        let subject = batch.batch.to_string();
        let bank = bureau.config.banks.iter().find(|bank| bank.number.0 == batch.batch.bank());
        if let Some(bank) = bank.filter(|bank| waited > i64::from(bank.reply_workdays)) {
            let words = format!(
                "sent {waited} working days ago, expected an answer within {}: ask the bank",
                bank.reply_workdays
            );
            let words_zh = format!("发送已 {waited} 个工作日，应在 {} 个工作日内回盘", bank.reply_workdays);
            found.push(Silence { class: "answer-late", subject: subject.clone(), words, words_zh });
        }
        if batch.state == BatchState::SentUnconfirmed {
            let words = "nothing shows that the bank has it: ask the bank".to_owned();
            let words_zh = "没有凭据表明银行已经收到".to_owned();
            found.push(Silence { class: "delivery-in-doubt", subject, words, words_zh });
        }
    }
    Ok(found)
}

/// R9: a batch that is not approved by the end of August or of the year misses its settlement, or its year.
fn zero_payments(bureau: &Bureau, today: Date) -> Step<Vec<Silence>> {
    let is_late = (today.month() == 8 && today.day() >= 15) || today.month() == 12;
    let drafted = batches::in_states(bureau.store.connection(), &[BatchState::Drafted])?;
    let waiting = drafted.iter().filter(|batch| is_late && batch.bank.is_none());
    let silence = |batch: &BatchLine| Silence {
        class: "zero-payment",
        subject: batch.number.to_string(),
        words: "waits for approval, and its time is running out".to_owned(),
        words_zh: "待批准，时限将至".to_owned(),
    };
    Ok(waiting.map(silence).collect())
}

/// R8, R8a: after the due date a missing list is an alarm, not a release.
fn lists(bureau: &Bureau, today: Date) -> Step<Vec<Silence>> {
    let silence = |district: &DistrictCode| Silence {
        class: "list-missing",
        subject: district.to_string(),
        words: "an expected list has not come: nothing is deducted (R8a)".to_owned(),
        words_zh: "应报的名单未到，该区县不扣款（R8a）".to_owned(),
    };
    let mut found = Vec::new();
    // The lists of this year's deductions, and, once theirs are due, those of the next.
    for fee_year in [today.year(), today.year() + 1] {
        if let Some((_, year)) = bureau.config.policies.of(fee_year)
            && today > year.lists_due
            && today <= year.last_debit
        {
            found.extend(waiting_districts(bureau, year.fee_year)?.iter().map(silence));
        }
    }
    Ok(found)
}

/// R15, R16: a settlement that is not with its payer when it was due, a payer that still owes when it was to have paid.
fn settlements(bureau: &Bureau, today: Date) -> Step<Vec<Silence>> {
    let silence = |late: Overdue| {
        let class = if late.is_transfer { "transfer-late" } else { "settlement-late" };
        Silence { class, subject: late.subject, words: late.words, words_zh: late.words_zh }
    };
    Ok(overdue(bureau, today)?.into_iter().map(silence).collect())
}

/// The newest window of a step was missed: over once the step's next window is done.
fn windows(bureau: &Bureau) -> Step<Vec<Silence>> {
    let missed = |row: &crate::store::windows::StoredWindow| row.state == WindowState::Missed.word();
    let silence = |row: crate::store::windows::StoredWindow| Silence {
        class: "window-missed",
        words: format!("the window of {} {} passed while no daemon ran, or its work failed all day", row.day, row.at),
        words_zh: format!("{} {} 的时段已过：当时常驻进程没有运行，或全天都没有办成", row.day, row.at),
        subject: row.step,
    };
    Ok(bureau.store.windows()?.into_iter().filter(missed).map(silence).collect())
}

fn gap_words(bureau: &Bureau, gap: &Gap) -> Silence {
    let (subject, words, words_zh) = match gap {
        Gap::Given(drafted_on, number, there, highest) => {
            let bank = bureau.config.banks.iter().find(|bank| i64::from(bank.number.0) == *number);
            let bank = bank.map_or_else(|| number.to_string(), |bank| bank.key.clone());
            let words =
                format!("expected batches 1 to {highest}, found {there} of them: `daikou audit`, call for help");
            let words_zh = format!("应有第 1 至 {highest} 批，只有 {there} 批");
            (format!("{bank} {drafted_on}"), words, words_zh)
        }
        Gap::PassedOver { batch, answered } => {
            let words =
                format!("batch {answered} was sent later and is answered, this one is not: ask the bank for it");
            let words_zh = format!("较晚发送的批次 {answered} 已有回盘，此批没有");
            (batch.to_string(), words, words_zh)
        }
        Gap::Part(batch, there, highest) => {
            let words =
                format!("expected parts 1 to {highest} of its answer, found {there}: ask the bank for the others");
            let words_zh = format!("回盘应有第 1 至 {highest} 份，只收到 {there} 份");
            (batch.to_string(), words, words_zh)
        }
    };
    Silence { class: "sequence-gap", subject, words, words_zh }
}

/// Where the calendar ends nothing is known to be late; another alarm says that it ends.
fn waited(days: &WorkingDays, batch: &Unanswered, today: Date) -> i64 {
    batch.sent_on.and_then(|sent_on| workdays_since(days, sent_on, today).ok()).unwrap_or(0)
}

fn workdays_since(days: &WorkingDays, since: Date, today: Date) -> Result<i64, PastTheData> {
    let (mut day, mut count) = (since, 0);
    while day < today {
        day = next_day(day);
        count += i64::from(days.is_working_day(day)?);
    }
    Ok(count)
}
