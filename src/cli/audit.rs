//! `daikou audit`: the invariants, proved from what is stored; the head of the log for a record outside, and that an
//! earlier head is still in it.

use crate::cli::table::printable;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::audit::audit;
use crate::daemon::bureau::{Bureau, StepError};
use crate::domain::calendar::DateTime;
use crate::store::anchor::{self, Anchor};
use crate::store::audit::Check;
use serde_json::json;
use std::path::Path;

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// Print the head of the audit log (number:date:digest), for a record that nobody here can change
    #[arg(long, conflicts_with = "against")]
    anchor: bool,
    /// Prove also that this earlier head is still in the log; or a file with one on each line
    #[arg(long, value_name = "ANCHOR|FILE")]
    against: Vec<String>,
}

/// Runs `audit`.
pub fn run(args: &AuditArgs, context: &Context) -> Ran {
    let bureau = context.open_to_read()?;
    if args.anchor {
        return print_anchor(&bureau, context);
    }
    let anchors: Vec<Vec<Anchor>> = args.against.iter().map(|text| read_anchors(text)).collect::<Result<_, _>>()?;
    let mut checks = audit(&bureau, context.now())?;
    if !anchors.is_empty() {
        let offender = anchor::contradicts(bureau.store.connection(), &anchors.concat())?;
        checks.push(Check { id: "anchor", offender });
    }
    let ok = checks.iter().all(|check| check.offender.is_none());
    if context.json {
        let shown: Vec<_> = checks
            .iter()
            .map(|check| json!({ "id": check.id, "ok": check.offender.is_none(), "offender": check.offender }))
            .collect();
        context.print_json(&json!({ "ok": ok, "checks": shown }));
    } else {
        checks.iter().for_each(|check| println!("{}", shown(check)));
    }
    Ok(if ok { Exit::Done } else { Exit::Findings })
}

fn print_anchor(bureau: &Bureau, context: &Context) -> Ran {
    let Some(head) = anchor::head(bureau.store.connection())? else {
        return Err(StepError::Refused("审计日志中还没有记录".to_owned()).into());
    };
    if context.json {
        let (seq, date, digest) = (head.seq, head.on.to_string(), head.hex());
        context.print_json(&json!({ "anchor": head.to_string(), "seq": seq, "date": date, "digest": digest }));
    } else {
        println!("{head}");
    }
    Ok(Exit::Done)
}

/// An anchor as it was printed, or a file of them.
fn read_anchors(text: &str) -> Result<Vec<Anchor>, CliError> {
    if let Some(anchor) = Anchor::parse(text.trim()) {
        return Ok(vec![anchor]);
    }
    let expected = "number:date:digest as `audit --anchor` printed it, or a file of such lines";
    if !Path::new(text).is_file() {
        return Err(CliError::Usage(format!("--against {text}: expected {expected}")));
    }
    let lines = std::fs::read_to_string(text).map_err(|error| CliError::Io(text.to_owned(), error))?;
    let read = |(number, line): (usize, &str)| {
        let wrong = || CliError::Usage(format!("{text}:{}: expected {expected}, found {line}", number + 1));
        Anchor::parse(line.trim()).ok_or_else(wrong)
    };
    let anchors: Vec<Anchor> =
        lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(read).collect::<Result<_, _>>()?;
    // A record that was emptied must not pass for one that holds.
    if anchors.is_empty() {
        Err(CliError::Usage(format!("{text}: expected {expected}, found none")))
    } else {
        Ok(anchors)
    }
}

/// What every invariant says, for auditors. The offender's words are for whoever mends the store.
const SAYS: [(&str, &str); 14] = [
    ("I1", "每笔记账和全部账目借贷相等"),
    ("I2", "已扣款入账的指令恰有一笔个人缴费记账，其余没有；每笔记账都有来由"),
    ("I3", "个人缴费加政府代缴等于缴费档次；记账金额等于指令金额"),
    ("I4", "每人每年度至多一条在途指令、一笔视同实收；视同实收与事后补助不并存"),
    ("I5", "应收代缴款等于视同实收减划款、冲正和更正；划款核销不超过所属清算"),
    ("I6", "暂收款等于未处理例外持有的金额"),
    ("I7", "存档的扣款文件与库内指令逐笔相符"),
    ("I8", "已完成的批次每笔都有回盘，金额合计相符"),
    ("I9", "每笔视同实收和事后补助只在一个清算中；清算和名单可由账目重新生成，与批准、存档的一致"),
    ("I10", "投递文件都已处理完毕，存档与收到时一致"),
    ("I11", "审计日志前后相连，覆盖记账、批准、文件和配置；推送文件与记账相符"),
    ("I12", "政府代缴金额可由名单、名册、政策和日期重新算出"),
    ("I13", "征缴户存款与银行回盘所称实扣相符，启用对账单后与对账单及未达差异相符"),
    ("anchor", "以前取出的日志锚点仍在日志中"),
];

fn shown(check: &Check) -> String {
    let says = SAYS.iter().find(|(id, _)| *id == check.id).map_or("", |(_, says)| says);
    let (id, place) = (check.id, check.offender.as_deref().map(printable));
    match place {
        None => format!("{id:<6} ok      {says}"),
        Some(place) => format!("{id:<6} 不成立  {says}\n               {place}"),
    }
}

/// The first broken invariant as one line, once nothing more will come: every file must have reached its end.
pub fn first_broken(bureau: &Bureau) -> Result<Option<String>, CliError> {
    let broken = audit(bureau, DateTime::MAX)?.into_iter().find(|check| check.offender.is_some());
    Ok(broken.map(|check| format!("{}: {}", check.id, check.offender.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_reads_what_holds_and_what_does_not() {
        let check = |offender: Option<&str>| Check { id: "I6", offender: offender.map(str::to_owned) };
        assert_eq!(shown(&check(None)), "I6     ok      暂收款等于未处理例外持有的金额");
        let broken = "I6     不成立  暂收款等于未处理例外持有的金额\n               suspense holds 1.00";
        assert_eq!(shown(&check(Some("suspense holds 1.00"))), broken);
    }
}
