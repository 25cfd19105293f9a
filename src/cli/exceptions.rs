//! `daikou exceptions`: the queue of what a clerk must look at.

use crate::cli::export::Table;
use crate::cli::out::{Format, Kind, say};
use crate::cli::table::aligned;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::domain::calendar::Date;
use crate::domain::exception::Class;
use crate::domain::money::Money;
use crate::store::export::What;
use crate::store::overview::{Queued, queue};

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
    say(&text(&queue, context.now().date())).map_err(|error| CliError::Io("stdout".to_owned(), error))?;
    Ok(Exit::Done)
}

impl ExceptionsArgs {
    fn wants(&self, class: &str, open: bool) -> bool {
        (open || self.all) && self.class.is_none_or(|wanted| wanted.word() == class)
    }
}

fn text(queue: &[Queued], today: Date) -> String {
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
        ("下一步", Kind::Text),
    ];
    let rows: Vec<Vec<String>> = queue.iter().map(|exception| shown(exception, today)).collect();
    let held: Money = queue.iter().map(|exception| exception.amount).sum();
    format!(
        "{}共 {} 项，暂收款 {held} 元。处理：daikou resolve 编号 --as-class 结论 --reason 理由\n",
        aligned(&headings, &rows),
        queue.len()
    )
}

fn shown(exception: &Queued, today: Date) -> Vec<String> {
    let days = today.since(exception.opened_on).map_or(0, |span| span.get_days());
    let next = if exception.resolved {
        format!("已处理：{}", exception.resolution)
    } else {
        next_step(exception).to_owned()
    };
    vec![
        exception.id.to_string(),
        format!("{} {}", exception.class.chinese(), exception.class.word()),
        exception.participant.map(|id| id.to_string()).unwrap_or_default(),
        exception.instruction.map(|number| number.to_string()).unwrap_or_default(),
        exception.amount.to_string(),
        days.to_string(),
        next,
    ]
}

/// What a clerk can do about it: the words of `--as-class`, or a better file.
fn next_step(exception: &Queued) -> &'static str {
    use Class::*;
    match exception.class {
        LateFailure => "向银行查实，确已冲正：reverse；否则 settled",
        _ if exception.amount.is_positive() => "核对后入账 settled、退款 refund 或银行冲正 reverse",
        Tier | UnknownBank | NoAccount | Unsendable => "改正参保人员表后重新投递",
        NameDiffers => "改正参保人员表或名单；确系同一人：settled",
        AccountHolder => "改正账号；批准的监护人账户：settled",
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
            resolution: String::new(),
        }
    }

    #[test]
    fn a_row_names_the_class_twice_and_nobody() {
        let cells = shown(&queued(Class::Partial, 2_000), Date::constant(2018, 8, 6));
        let expected = [
            "7",
            "实扣少于应扣 partial",
            "500199********0014",
            "",
            "20.00",
            "32",
            "核对后入账 settled、退款 refund 或银行冲正 reverse",
        ];
        assert_eq!(cells, expected);
    }

    #[test]
    fn only_money_is_refunded() {
        for (class, ..) in Class::ALL {
            assert!(!next_step(&queued(class, 0)).contains("refund"), "{class:?}");
        }
    }
}
