//! `daikou exceptions`: the queue of what a clerk must look at.

use crate::cli::export::Table;
use crate::cli::out::{Format, Kind, say};
use crate::cli::table::{aligned, printable};
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::approvals::approve_command;
use crate::daemon::bureau::Bureau;
use crate::daemon::resolving::{open_ways, subject};
use crate::domain::calendar::Date;
use crate::domain::exception::Class;
use crate::domain::money::Money;
use crate::pipeline::ways::Way;
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
    let bureau = context.open_to_read()?;
    if context.json {
        let table = Table { what: What::Exceptions, year: None, format: Format::Json, mask: false, given: None };
        table.print(&bureau, |row| args.wants(row[1], row[2] == "open"))?;
        return Ok(Exit::Done);
    }
    let mut queue = queue(bureau.store.connection())?;
    queue.retain(|exception| args.wants(exception.class.word(), !exception.resolved));
    let today = context.now().date();
    let next = next_steps(&bureau, &queue, today)?;
    say(&text(&queue, &next, today)).map_err(|error| CliError::Io("stdout".to_owned(), error))?;
    Ok(Exit::Done)
}

impl ExceptionsArgs {
    fn wants(&self, class: &str, open: bool) -> bool {
        (open || self.all) && self.class.is_none_or(|wanted| wanted.word() == class)
    }
}

/// The next step of each.
fn next_steps(bureau: &Bureau, queue: &[Queued], today: Date) -> Result<Vec<String>, CliError> {
    let asked = waiting(bureau.store.connection())?.into_iter().filter(|approval| approval.kind == "resolve");
    let asked: BTreeSet<String> = asked.map(|approval| approval.subject).collect();
    let step = |exception: &Queued| {
        let subject = subject(exception.id);
        Ok(if exception.resolved {
            format!("已处理，{}", exception.resolution)
        } else if asked.contains(&subject) {
            format!("已提交，待另一人批准：{}", approve_command(&subject))
        } else {
            advice(exception.class, &open_ways(bureau, exception.id, today)?)
        })
    };
    queue.iter().map(step).collect()
}

fn text(queue: &[Queued], next: &[String], today: Date) -> String {
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
    for ((line, exception), next) in lines.zip(queue).zip(next) {
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

/// What a clerk can do about it: first outside daikou, then the words of `--as-class` that would be accepted.
fn advice(class: Class, ways: &[Way]) -> String {
    let mut words = first(class).to_owned();
    for (place, way) in ways.iter().enumerate() {
        words.push_str(match place {
            0 => "：",
            _ if place + 1 == ways.len() => " 或",
            _ => "、",
        });
        words.push_str(&format!("{} {}", way.decision.chinese(), way.decision.word()));
        words.push_str(match (way.booked_on, way.amount) {
            (true, true) => "（加 --booked-on 和 --amount）",
            (true, false) => "（加 --booked-on）",
            (false, true) => "（加 --amount）",
            (false, false) => "",
        });
    }
    words
}

fn first(class: Class) -> &'static str {
    use Class::*;
    match class {
        Tier | NoAccount => "改正参保人员表后重新投递",
        UnknownBank => "改正参保人员表后重新投递；确为委托银行：请运维人员补登该行名称",
        Unsendable => "改正参保人员表，或改用其他银行，重新投递",
        NameDiffers => "改正参保人员表或名单；确系同一人",
        AccountHolder => "改正参保人员表后重新投递；批准的监护人账户",
        Failed => "改正参保人员表后重新投递；原账户可再扣",
        UnknownResult | ContradictoryReturn | MissingRow | DuplicateRow | DifferingAnswer | EchoDiffers
        | BadBookingDate | FailureWithMoney | NotLive | LateFailure | SecondPayment | UnknownInstruction => {
            "向银行查实后"
        }
        DuplicateBatch | DeliveryInDoubt => "向银行查实文件，已收到的认可，未收到的认定失败",
        Status => "参保状态有误的，先改正参保人员表；核对后",
        Partial | PaymentAmount => "可待余款到齐；核对后",
        UnknownPerson => "应参保的，先参保并生成计划；核对后",
        NoPlan => "应缴费的，先生成计划；核对后",
        TransferUnsettled => "清算批准后可核销；核对后",
        TransferOver => "可核销其他年度尚欠的清算；核对后",
        TransferExPost => "应由部门发放给本人，请退回；核对后",
        ExPostAmount => "向部门查实实发金额，多发或少发的由部门处理；核对后",
        ExPostPaid => "此人须自缴整档，或由部门追回补助；核对后",
        UnknownMoney => "查实来款人后，以其他渠道缴费报送（凭证号填对账单的摘要），即自动核销；不是缴费的",
        UnknownDebit => "向银行查实出款缘由后",
        FeedAck => "请业务系统核对所收文件与摘要后",
        Age | Over | Corrected | WrongYear | ChangedInFlight | AlreadyReceived | LateSuccess | KeyConflict => "核对后",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::IdNumber;
    use crate::pipeline::resolving::Decision;

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
        let shown = text(&[queued(Class::Partial, 2_000)], &["下一步".to_owned()], Date::constant(2018, 7, 5));
        assert_eq!(shown.lines().nth(2), Some("      应扣 30.00 元，实扣 20.00 元。→ 下一步"));
    }

    #[test]
    fn advice_names_what_must_be_said_with_a_decision() {
        let way = |decision, booked_on, amount| Way { decision, booked_on, amount };
        assert_eq!(advice(Class::Tier, &[]), "改正参保人员表后重新投递");
        let ways = [way(Decision::Settled, true, false), way(Decision::Failed, false, false)];
        let expected = "向银行查实后：核实认可 settled（加 --booked-on） 或认定失败 failed";
        assert_eq!(advice(Class::UnknownResult, &ways), expected);
        let ways = [way(Decision::Settled, false, true), way(Decision::Refund, false, false)];
        assert_eq!(advice(Class::Over, &ways), "核对后：核实认可 settled（加 --amount） 或退款 refund");
    }
}
