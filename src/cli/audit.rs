//! `daikou audit`: the invariants, proved from what is stored.

use crate::cli::table::printable;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::audit::audit;
use crate::daemon::bureau::Bureau;
use crate::domain::calendar::DateTime;
use crate::store::audit::Check;
use serde_json::json;

/// Runs `audit`.
pub fn run(context: &Context) -> Ran {
    let bureau = context.open()?;
    let checks = audit(&bureau, context.now())?;
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

/// What every invariant says, for auditors. The offender's words are for whoever mends the store.
const SAYS: [(&str, &str); 13] = [
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
    ("I11", "审计日志前后相连，覆盖记账、批准、文件和配置"),
    ("I12", "政府代缴金额可由名单、名册、政策和日期重新算出"),
    ("I13", "征缴户存款与银行回盘所称实扣相符"),
];

fn shown(check: &Check) -> String {
    let says = SAYS.iter().find(|(id, _)| *id == check.id).map_or("", |(_, says)| says);
    let (id, place) = (check.id, check.offender.as_deref().map(printable));
    match place {
        None => format!("{id:<4} ok      {says}"),
        Some(place) => format!("{id:<4} 不成立  {says}\n             {place}"),
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
        assert_eq!(shown(&check(None)), "I6   ok      暂收款等于未处理例外持有的金额");
        let broken = "I6   不成立  暂收款等于未处理例外持有的金额\n             suspense holds 1.00";
        assert_eq!(shown(&check(Some("suspense holds 1.00"))), broken);
    }
}
