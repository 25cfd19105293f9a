//! Top-up notices (催缴通知, R13): for each town and village who is to deposit how much, until when, and why the last
//! attempt failed. Sorted as staff sort; never a full account.

use crate::config::Config;
use crate::domain::calendar::Date;
use crate::domain::exception::Class;
use crate::domain::participant::DistrictCode;
use crate::domain::plan::PlanState;
use crate::domain::policy::YearTerms;
use crate::domain::returns::Outcome;
use crate::format::cell::Kind;
use crate::format::collate::gbk_key;
use crate::format::paper::{Cell, Column, Paper};
use crate::store::recognised::Owing;

/// One paper for each district, towns in it on pages of their own.
pub fn papers(config: &Config, year: &YearTerms, mut owing: Vec<Owing>, today: Date) -> Vec<(DistrictCode, Paper)> {
    sort(&mut owing);
    let districts = owing.chunk_by(|a, b| a.district == b.district);
    districts.map(|rows| (rows[0].district, paper(config, year, rows, today))).collect()
}

/// 乡镇, 村, 姓名, in the order of the GBK code.
fn sort(owing: &mut [Owing]) {
    owing.sort_by_cached_key(|row| {
        (row.district, gbk_key(&row.town), gbk_key(&row.village), gbk_key(&row.name), row.id)
    });
}

/// A notice of one district's rows, sorted.
pub fn paper(config: &Config, year: &YearTerms, rows: &[Owing], today: Date) -> Paper {
    let mut paper = Paper::new("城乡居民基本养老保险费催缴通知", today, columns());
    let district = rows.first().map(|row| row.district);
    let name = district.map(|code| config.districts.name(code).unwrap_or(code.as_str()).to_owned());
    paper.sheet = name.clone().unwrap_or_else(|| "催缴通知".to_owned());
    paper.unit = config.papers.unit.clone();
    let until = chinese(year.deposit_until);
    paper.subtitles = vec![format!("{}　{}年度　存款截止：{until}", name.unwrap_or_default(), year.fee_year)];
    paper.is_landscape = true;
    paper.counted = Some("人");
    paper.capitals = Some("amount");
    paper.notes = vec![
        format!(
            "请在{until}（含当日）前将应存金额存入本人银行账户，由委托银行代扣；逾期未存足的，本年度不再享受政府代缴。"
        ),
        "账号仅显示末四位。对扣款结果有疑问的，请到社保经办机构查询，结果未核实前请勿重复缴费。".to_owned(),
    ];
    for town in rows.chunk_by(|a, b| a.town == b.town) {
        let town_name = or_unknown(&town[0].town, "（未填乡镇街道）");
        paper.group_on_new_page(town_name);
        for village in town.chunk_by(|a, b| a.village == b.village) {
            village.iter().for_each(|row| paper.row(cells(row)));
            paper.subtotal(1, &format!("{}小计", or_unknown(&village[0].village, "（未填村社区）")));
        }
        paper.subtotal(0, &format!("{town_name}小计"));
    }
    paper.total();
    paper
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("town", "乡镇街道", Kind::Text).wide(14),
        Column::new("village", "村社区", Kind::Text).wide(14),
        Column::new("name", "姓名", Kind::Name),
        Column::new("id_number", "身份证号", Kind::Id).masked(),
        Column::new("account", "银行账号", Kind::Account).masked().wide(12),
        Column::new("amount", "应存金额", Kind::Amount).summed(),
        Column::new("failures", "失败次数", Kind::Number).wide(8),
        Column::new("last", "上次结果", Kind::Text).wide(14),
        Column::new("advice", "请您办理", Kind::Text).wide(32),
    ]
}

fn or_unknown<'t>(text: &'t str, unknown: &'t str) -> &'t str {
    if text.is_empty() { unknown } else { text }
}

fn cells(row: &Owing) -> Vec<Cell> {
    let (last, advice) = words(row);
    vec![
        row.town.as_str().into(),
        row.village.as_str().into(),
        row.name.as_str().into(),
        row.id.text().into(),
        row.account.as_str().into(),
        row.own.into(),
        Cell::Count(row.failures),
        last.into(),
        advice.into(),
    ]
}

/// What a villager understands: how the last attempt ended, and what to do.
fn words(row: &Owing) -> (&'static str, &'static str) {
    match (row.class, row.outcome) {
        (Some(Class::NoAccount), _) => ("未提供账号", "请向社保经办机构提供本人银行账号"),
        (Some(Class::UnknownBank), _) => ("非委托银行", "请在委托银行开户并提供账号"),
        (Some(Class::AccountHolder), _) => ("户名不是本人", "请提供本人的银行账号"),
        (Some(class), _) if class != Class::Failed => ("待核实", "请到社保经办机构核对，核实前请勿重复缴费"),
        (_, Some(outcome)) => (outcome.chinese(), after(outcome)),
        (_, None) if row.state == PlanState::Waiting => ("正在扣款", "请保持账户余额充足"),
        (_, None) => ("尚未扣款", "请存足款项，等待扣款"),
    }
}

/// What to do after an attempt failed.
fn after(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::InsufficientFunds => "请存足款项，等待再次扣款",
        Outcome::NameMismatch | Outcome::IdMismatch => "请持身份证到银行和社保经办机构核对户名、证件号",
        Outcome::NoAccount | Outcome::Closed | Outcome::NotOurs => "请重新提供本人在委托银行的账号",
        Outcome::Lost | Outcome::Frozen => "请持身份证到银行办理解挂、解冻",
        Outcome::NoAgreement => "请到银行签订代扣协议",
        Outcome::Limit => "请到银行核对账户类型和限额",
        Outcome::Ok
        | Outcome::Incomplete
        | Outcome::Duplicate
        | Outcome::Unknown
        | Outcome::Other
        | Outcome::Unmapped => "请到社保经办机构核对，核实前请勿重复缴费",
    }
}

fn chinese(date: Date) -> String {
    format!("{}年{}月{}日", date.year(), date.month(), date.day())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::IdNumber;
    use crate::domain::money::Money;

    fn row(key: i64, town: &str, village: &str, name: &str) -> Owing {
        Owing {
            id: IdNumber::from_key(key),
            name: name.to_owned(),
            district: DistrictCode::parse("500199").unwrap(),
            town: town.to_owned(),
            village: village.to_owned(),
            account: "9999000000000000001".to_owned(),
            own: Money::from_fen(3_000),
            category: None,
            failures: 0,
            outcome: None,
            state: PlanState::Planned,
            class: None,
        }
    }

    #[test]
    fn rows_stand_as_staff_sort_them() {
        let mut rows = [
            row(1, "平坝镇", "三村", "王五"),
            row(2, "高山镇", "一村", "张三"),
            row(4, "高山镇", "二村", "赵六"),
            row(5, "高山镇", "一村", "安平"),
            row(3, "高山镇", "一村", "安平"),
        ];
        sort(&mut rows);
        assert_eq!(rows.map(|row| row.id.key()), [4, 3, 5, 2, 1]);
    }
}
