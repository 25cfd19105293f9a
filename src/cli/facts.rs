//! What is known, for people and for machines: Chinese and masked, or whole under the names of the columns.

use crate::cli::out::Kind;
use crate::cli::table::{aligned, printable};
use crate::cli::words::both;
use crate::domain::exception::Class;
use crate::store::facts::{Fact, Facts};
use serde_json::{Map, Value};

/// Titles and headings in Chinese, by the names that machines see.
const CHINESE: &[(&str, &str)] = &[
    ("roster", "参保登记"),
    ("lists", "名单"),
    ("plans", "缴费计划"),
    ("versions", "计划版本"),
    ("unplanned", "没有缴费计划"),
    ("instructions", "扣款指令"),
    ("deliveries", "批次与发送"),
    ("returns", "回盘"),
    ("postings", "记账分录"),
    ("expost", "事后补助"),
    ("exceptions", "例外"),
    ("approvals", "审批"),
    ("batch", "批次"),
    ("batches", "未完成的批次"),
    ("effects", "产生的记录"),
    ("file", "投递文件"),
    ("files", "处理中的文件"),
    ("quarantined", "被隔离的文件"),
    ("missing_lists", "未到的名单"),
    ("zero_payments", "待批准的零自付批次"),
    ("differences", "对账差异"),
    ("corner", "核对"),
    ("ours", "我方"),
    ("theirs", "对方"),
    ("oldest", "最早"),
    ("windows", "错过的时段"),
    ("outbox", "待发布的文件"),
    ("id_number", "身份证号"),
    ("name", "文件名"),
    ("district", "区县"),
    ("tier", "档次"),
    ("bank", "银行"),
    ("account", "账号"),
    ("account_name", "户名"),
    ("status", "参保状态"),
    ("status_since", "状态日期"),
    ("line", "行"),
    ("byte", "字节"),
    ("recognized_year", "认定年度"),
    ("payer", "代缴部门"),
    ("category", "类别"),
    ("change", "变动"),
    ("on", "日期"),
    ("fee_year", "缴费年度"),
    ("state", "状态"),
    ("version", "版本"),
    ("attempts", "失败次数"),
    ("turns_limit", "当年满龄"),
    ("from", "自"),
    ("government", "政府代缴"),
    ("own", "个人缴费"),
    ("enrolled", "参保区县"),
    ("refusal", "不符合"),
    ("instruction", "指令"),
    ("attempt", "第几次"),
    ("amount", "金额"),
    ("outcome", "结果"),
    ("previous", "上次指令"),
    ("debit_on", "扣款日"),
    ("digest", "摘要"),
    ("drafted_on", "起草"),
    ("sent_on", "发送"),
    ("answered_on", "回复"),
    ("answer_due", "应回盘"),
    ("code", "处理码"),
    ("actual", "实扣"),
    ("booked_on", "记账日"),
    ("serial", "银行流水"),
    ("posting", "凭证"),
    ("event", "事项"),
    ("debit", "借"),
    ("credit", "贷"),
    ("basis", "基础"),
    ("month", "月份"),
    ("settlement_year", "清算年度"),
    ("settlement", "清算状态"),
    ("settlements", "清算"),
    ("transfers", "部门划款"),
    ("received_on", "到款日"),
    ("reference", "凭证号"),
    ("cleared", "已核销"),
    ("of", "核销年度"),
    ("list", "名单文件"),
    ("payout_on", "发放日"),
    ("deemed", "代缴"),
    ("ex_post", "事后补助"),
    ("owed", "尚欠"),
    ("over", "多划暂收"),
    ("days_late", "逾期天数"),
    ("days", "天数"),
    ("application_due", "申请划款期限"),
    ("held_transfers", "暂收的部门划款"),
    ("asked", "待批准"),
    ("at", "时间"),
    ("actor", "经办"),
    ("paid", "已缴"),
    ("due_on", "应付日"),
    ("id", "编号"),
    ("class", "类别"),
    ("opened_on", "发生日"),
    ("reason", "原因"),
    ("resolution", "处理"),
    ("kind", "种类"),
    ("subject", "对象"),
    ("maker", "经办"),
    ("made_on", "提交"),
    ("checker", "复核"),
    ("part", "第几份"),
    ("deliveries", "送达"),
    ("sources", "来源文件"),
    ("audit", "审计记录"),
    ("action", "操作"),
    ("alarms", "告警"),
    ("alarm", "类别"),
    ("owner", "负责"),
    ("safe", "可以怎样做"),
    ("lines", "连不上的银行服务器"),
    ("failures", "连续失败"),
    ("blocked", "须人工处理"),
    ("trouble", "情况"),
    ("content", "内容"),
    ("stage", "阶段"),
    ("evidence", "凭据"),
    ("final", "末次"),
    ("arrived", "到达"),
    ("size", "字节数"),
    ("sha256", "摘要"),
    ("accepted", "接受"),
    ("refused", "拒绝"),
    ("archived", "存档"),
    ("what", "内容"),
    ("rows", "行数"),
    ("count", "项数"),
    ("people", "人数"),
    ("due", "期限"),
    ("as_of", "数据日期"),
    ("late", "逾期"),
    ("day", "日期"),
    ("step", "步骤"),
];

/// The Chinese of a title or heading.
fn heading(name: &'static str) -> &'static str {
    CHINESE.iter().find(|(known, _)| *known == name).map_or(name, |(_, zh)| zh)
}

/// For people: the title, then a table with aligned columns.
pub fn as_table(facts: &Facts) -> String {
    let kind = |column: usize| match facts.rows.first().map(|row| &row[column]) {
        Some(Fact::Number(_) | Fact::Byte(_)) => Kind::Number,
        Some(Fact::Money(_)) => Kind::Amount,
        _ => Kind::Text,
    };
    let headings: Vec<(&str, Kind)> =
        facts.columns.iter().enumerate().map(|(place, column)| (heading(column), kind(place))).collect();
    let rows: Vec<Vec<String>> = facts
        .rows
        .iter()
        .map(|row| facts.columns.iter().zip(row).map(|(column, fact)| shown(column, fact)).collect())
        .collect();
    format!("【{}】\n{}", heading(facts.about), aligned(&headings, &rows))
}

/// For people: the title, then a line for each row, with what is known of it.
pub fn as_lines(facts: &Facts) -> String {
    let line = |row: &Vec<Fact>| {
        let known = facts.columns.iter().zip(row).map(|(column, fact)| {
            let heading = if matches!(fact, Fact::Name(_)) && *column == "name" { "姓名" } else { heading(column) };
            (heading, shown(column, fact))
        });
        let known: Vec<String> =
            known.filter(|(_, text)| !text.is_empty()).map(|(heading, text)| format!("{heading}：{text}")).collect();
        format!("  {}\n", known.join("　"))
    };
    let rows: String = facts.rows.iter().map(line).collect();
    format!("【{}】\n{rows}", heading(facts.about))
}

/// Nothing personal but names, bytes counted from 1, and no character that moves the cursor.
fn shown(column: &str, fact: &Fact) -> String {
    let text = match fact {
        Fact::Word(word) if column == "class" => {
            Class::parse(word).map_or_else(|| both(word), |class| format!("{} {word}", class.chinese()))
        }
        Fact::None | Fact::Flag(false) => String::new(),
        Fact::Text(text) | Fact::Name(text) => text.clone(),
        Fact::Word(word) => both(word),
        Fact::Number(number) => number.to_string(),
        Fact::Byte(byte) => (byte + 1).to_string(),
        Fact::Money(amount) => amount.to_string(),
        Fact::Day(day) => day.to_string(),
        Fact::Id(id) => id.to_string(),
        Fact::Account(account) => {
            let tail: Vec<char> = account.chars().rev().take(4).collect();
            format!("****{}", tail.iter().rev().collect::<String>())
        }
        Fact::Flag(true) => "是".to_owned(),
    };
    printable(&text)
}

/// For machines: rows as objects, whole.
pub fn as_json(facts: &Facts) -> Value {
    let object = |row: &Vec<Fact>| {
        facts.columns.iter().zip(row).map(|(column, fact)| ((*column).to_owned(), value(fact))).collect::<Map<_, _>>()
    };
    facts.rows.iter().map(object).collect()
}

fn value(fact: &Fact) -> Value {
    match fact {
        Fact::None => Value::Null,
        Fact::Text(text) | Fact::Word(text) | Fact::Name(text) | Fact::Account(text) => text.as_str().into(),
        Fact::Number(number) => (*number).into(),
        Fact::Byte(byte) => (*byte).into(),
        Fact::Money(amount) => amount.to_string().into(),
        Fact::Day(day) => day.to_string().into(),
        Fact::Id(id) => id.text().into(),
        Fact::Flag(flag) => (*flag).into(),
    }
}

/// For machines: one object with all tables under their names.
pub fn all_as_json(head: Map<String, Value>, tables: &[Facts]) -> Value {
    let tables = tables.iter().map(|facts| (facts.about.to_owned(), as_json(facts)));
    Value::Object(head.into_iter().chain(tables).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::IdNumber;
    use crate::domain::money::Money;

    fn facts() -> Facts {
        let mut facts = Facts::new("roster", &["id_number", "name", "account", "byte", "amount", "state", "late"]);
        facts.rows.push(vec![
            Fact::Id(IdNumber::from_key(50_019_919_700_101_001)),
            Fact::Name("测试甲".to_owned()),
            Fact::Account("9999000000000000001".to_owned()),
            Fact::Byte(300),
            Fact::Money(Money::from_fen(3_000)),
            Fact::word("sent"),
            Fact::Flag(false),
        ]);
        facts
    }

    #[test]
    fn people_see_chinese_and_no_whole_number() {
        let expected = "【参保登记】\n  身份证号：500199********0014　姓名：测试甲　账号：****0001　字节：301　金额：30.00　状态：已发送 sent\n";
        assert_eq!(as_lines(&facts()), expected);
    }

    #[test]
    fn machines_see_everything() {
        let row = &as_json(&facts())[0];
        assert_eq!((&row["id_number"], &row["byte"]), (&"500199197001010014".into(), &300.into()));
        assert_eq!((&row["state"], &row["late"]), (&"sent".into(), &false.into()));
    }
}
