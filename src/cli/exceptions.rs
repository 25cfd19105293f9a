//! `daikou exceptions`: the queue of what a clerk must look at.

use crate::cli::export::Table;
use crate::cli::out::{Format, Kind, say};
use crate::cli::table::{aligned, printable};
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::approvals::approve_command;
use crate::daemon::resolving::subject;
use crate::domain::calendar::Date;
use crate::domain::exception::Class;
use crate::domain::money::Money;
use crate::store::approvals::waiting;
use crate::store::export::What;
use crate::store::overview::{Queued, queue};
use std::collections::BTreeSet;

/// Arguments of `exceptions`.
#[derive(Debug, clap::Args)]
pub struct ExceptionsArgs {
    /// Resolved ones too
    #[arg(long)]
    all: bool,
    /// Only this class, such as name-differs
    #[arg(long, value_name = "CLASS", value_parser = class)]
    class: Option<Class>,
}

fn class(word: &str) -> Result<Class, String> {
    Class::parse(word).ok_or_else(|| {
        let words: Vec<&str> = Class::ALL.iter().map(|(_, word, _)| *word).collect();
        format!("expected one of {}", words.join(", "))
    })
}

/// Runs `exceptions`.
pub fn run(args: &ExceptionsArgs, context: &Context) -> Ran {
    let bureau = context.open()?;
    if context.json {
        let table = Table { what: What::Exceptions, year: None, format: Format::Json, mask: false };
        table.print(&bureau, |row| args.wants(row[1], row[2] == "open"))?;
        return Ok(Exit::Done);
    }
    let mut queue = queue(bureau.store.connection())?;
    queue.retain(|exception| args.wants(exception.class.word(), !exception.resolved));
    let asked = waiting(bureau.store.connection())?.into_iter().filter(|approval| approval.kind == "resolve");
    let asked = asked.map(|approval| approval.subject).collect();
    say(&text(&queue, &asked, context.now().date())).map_err(|error| CliError::Io("stdout".to_owned(), error))?;
    Ok(Exit::Done)
}

impl ExceptionsArgs {
    fn wants(&self, class: &str, open: bool) -> bool {
        (open || self.all) && self.class.is_none_or(|wanted| wanted.word() == class)
    }
}

fn text(queue: &[Queued], waiting: &BTreeSet<String>, today: Date) -> String {
    if queue.is_empty() {
        return "没有待处理的例外\n".to_owned();
    }
    let headings = [
        ("编号", Kind::Number),
        ("类别", Kind::Text),
        ("身份证号", Kind::Text),
        ("指令", Kind::Text),
        ("暂收金额", Kind::Amount),
        ("天数", Kind::Number),
    ];
    let rows: Vec<Vec<String>> = queue.iter().map(|exception| shown(exception, today)).collect();
    let table = aligned(&headings, &rows);
    let mut lines = table.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, exception) in lines.zip(queue) {
        let next = next_step(exception, waiting.contains(&subject(exception.id)));
        text.push_str(&format!("{line}\n      {}\n", printable(&format!("{}。→ {next}", exception.reason))));
    }
    let held: Money = queue.iter().map(|exception| exception.amount).sum();
    let count = queue.len();
    text + &format!(
        "共 {count} 项，暂收款 {held} 元\n经过：daikou explain exception 编号\n\
         处理：daikou resolve 编号 --as-class 结论 --reason 理由\n"
    )
}

fn shown(exception: &Queued, today: Date) -> Vec<String> {
    let days = today.since(exception.opened_on).map_or(0, |span| span.get_days());
    vec![
        exception.id.to_string(),
        format!("{} {}", exception.class.chinese(), exception.class.word()),
        exception.participant.map(|id| id.to_string()).unwrap_or_default(),
        exception.instruction.map(|number| number.to_string()).unwrap_or_default(),
        exception.amount.to_string(),
        days.to_string(),
    ]
}

/// What comes next, or what was decided.
fn next_step(exception: &Queued, is_asked: bool) -> String {
    if exception.resolved {
        return format!("已处理，{}", exception.resolution);
    }
    if is_asked {
        return format!("已提交，待另一人批准：{}", approve_command(&subject(exception.id)));
    }
    advice(exception).to_owned()
}

/// What a clerk can do about it: the words of `--as-class`, or a better file.
fn advice(exception: &Queued) -> &'static str {
    use Class::*;
    match exception.class {
        LateFailure => "向银行查实，确已冲正：reverse；否则 settled",
        _ if exception.amount.is_positive() => "核对后入账 settled、退款 refund 或银行冲正 reverse",
        Tier | NoAccount => "改正参保人员表后重新投递",
        UnknownBank => "改正参保人员表后重新投递；确为委托银行：请运维人员补登该行名称",
        Unsendable => "改正参保人员表，或改用其他银行，重新投递",
        NameDiffers => "改正参保人员表或名单；确系同一人：settled",
        AccountHolder => "改正参保人员表后重新投递；批准的监护人账户：settled",
        Failed => "改正参保人员表后重新投递；原账户可再扣：settled",
        UnknownResult | ContradictoryReturn | MissingRow | DuplicateRow | DifferingAnswer => {
            "向银行查实：settled（加 --booked-on）或 failed"
        }
        DuplicateBatch | DeliveryInDoubt => "向银行查实文件：已收到 settled，未收到 failed",
        Age | Status | Partial | Over | EchoDiffers | BadBookingDate | WrongYear | FailureWithMoney
        | ChangedInFlight | AlreadyReceived | NotLive | LateSuccess | SecondPayment | UnknownInstruction
        | PaymentAmount | UnknownPerson | NoPlan | KeyConflict => "核对原件后关闭：settled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::IdNumber;

    fn queued(class: Class, fen: i64) -> Queued {
        Queued {
            id: 7,
            class,
            resolved: false,
            participant: Some(IdNumber::from_key(50_019_919_700_101_001)),
            instruction: None,
            amount: Money::from_fen(fen),
            opened_on: Date::constant(2018, 7, 5),
            reason: "应扣 30.00 元，实扣 20.00 元".to_owned(),
            resolution: String::new(),
        }
    }

    #[test]
    fn a_row_names_the_class_twice_and_nobody() {
        let cells = shown(&queued(Class::Partial, 2_000), Date::constant(2018, 8, 6));
        let expected = ["7", "实扣少于应扣 partial", "500199********0014", "", "20.00", "32"];
        assert_eq!(cells, expected);
    }

    #[test]
    fn reason_and_next_step_stand_below() {
        let queue = [queued(Class::Partial, 2_000)];
        let below = |waiting: &[&str]| {
            let waiting = waiting.iter().map(|subject| (*subject).to_owned()).collect();
            text(&queue, &waiting, Date::constant(2018, 7, 5)).lines().nth(2).unwrap_or_default().to_owned()
        };
        let expected = "      应扣 30.00 元，实扣 20.00 元。→ ";
        assert_eq!(below(&[]), format!("{expected}核对后入账 settled、退款 refund 或银行冲正 reverse"));
        let asked = below(&["exception 7"]);
        assert_eq!(asked, format!("{expected}已提交，待另一人批准：daikou approve \"exception 7\""));
    }

    #[test]
    fn only_money_is_refunded() {
        for (class, ..) in Class::ALL {
            assert!(!advice(&queued(class, 0)).contains("refund"), "{class:?}");
        }
    }
}
