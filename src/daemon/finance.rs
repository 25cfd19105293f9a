//! Papers for finance: payers' money against their settlements, the voucher of a month, the extract of one person's account.
//! Each adds up what the exports show, so that both always agree.

use crate::config::Config;
use crate::daemon::bureau::{Bureau, Step, refuse};
use crate::daemon::feeding::bank_keys;
use crate::daemon::reporting::{each, yuan};
use crate::daemon::settling::district_name;
use crate::daemon::vouchers::Line;
use crate::domain::calendar::{Date, Month};
use crate::domain::ids::IdNumber;
use crate::domain::ledger::Event;
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::domain::settlement::{SettlementState, SettlementYear};
use crate::format::cell::{Kind, masked};
use crate::format::paper::{Cell, Column, Paper};
use crate::store::export::{What, entries_of};
use crate::store::{explain, extract};
use std::collections::BTreeMap;

fn amount(name: &'static str, heading: &str) -> Column {
    Column::new(name, heading, Kind::Amount).wide(14).summed()
}

fn begin(unit: &str, title: &str, subtitle: String, today: Date, columns: Vec<Column>) -> Paper {
    let mut paper = Paper::new(title, today, columns);
    paper.sheet = title.to_owned();
    paper.unit = unit.to_owned();
    paper.subtitles = vec![subtitle];
    paper
}

/// 代缴资金清算划款核对表 of a settlement year (R16), and every transfer that names it: what each payer owes, what came, what is
/// open and what is too much.
pub fn transfers(bureau: &Bureau, year: SettlementYear, today: Date) -> Step<[Paper; 2]> {
    Ok([owed(bureau, year, today)?, received(bureau, year, today)?])
}

fn owed(bureau: &Bureau, year: SettlementYear, today: Date) -> Step<Paper> {
    let columns = vec![
        Column::new("payer", "代缴部门", Kind::Text).wide(10),
        Column::new("district", "区县", Kind::Text).wide(18),
        Column::new("state", "清算状态", Kind::Text).wide(10),
        amount("deemed", "应划代缴款"),
        amount("transferred", "已划核销"),
        amount("open", "尚欠"),
        amount("over", "多划待处理"),
        Column::new("transfer_due", "划款期限", Kind::Date),
        Column::new("late", "逾期", Kind::Text).wide(8),
    ];
    let unit = &bureau.config.papers.unit;
    let mut paper = begin(unit, "代缴资金清算划款核对表", format!("{year} 清算年度"), today, columns);
    paper.is_landscape = true;
    paper.capitals = Some("open");
    paper.notes = vec!["已起草而未批准的清算尚不计欠款；事后补助由部门直接发放，不划入征缴户。".to_owned()];
    let mut claims: BTreeMap<String, Vec<Vec<Cell>>> = BTreeMap::new();
    each(bureau, What::Claims, year, &mut |row| {
        let [_, payer, district, state, _, deemed, _, transferred, open, over, due, ..] = row else { return };
        let is_late = yuan(open).is_positive() && today.to_string().as_str() > *due;
        let state = SettlementState::ALL.iter().find(|(_, word, _)| word == state).map_or("", |(.., chinese)| chinese);
        claims.entry((*payer).to_owned()).or_default().push(vec![
            payer_name(payer).into(),
            named_district(bureau, district).into(),
            state.into(),
            yuan(deemed).into(),
            yuan(transferred).into(),
            yuan(open).into(),
            yuan(over).into(),
            (*due).into(),
            if is_late { "逾期" } else { "" }.into(),
        ]);
    })?;
    for (payer, rows) in claims {
        paper.group(payer_name(&payer));
        rows.into_iter().for_each(|row| paper.row(row));
        paper.subtotal(0, &format!("{}小计", payer_name(&payer)));
    }
    paper.total();
    Ok(paper)
}

fn received(bureau: &Bureau, year: SettlementYear, today: Date) -> Step<Paper> {
    let columns = vec![
        Column::new("payer", "代缴部门", Kind::Text).wide(10),
        Column::new("district", "区县", Kind::Text).wide(18),
        Column::new("reference", "凭证号", Kind::Text).wide(18),
        Column::new("received_on", "到账日期", Kind::Date),
        amount("amount", "划款金额"),
        amount("cleared", "已核销"),
        amount("held", "暂收待处理"),
        Column::new("late", "逾期", Kind::Text).wide(8),
    ];
    let unit = &bureau.config.papers.unit;
    let mut paper = begin(unit, "代缴资金划款明细表", format!("{year} 清算年度"), today, columns);
    paper.is_landscape = true;
    paper.capitals = Some("amount");
    paper.counted = Some("笔");
    each(bureau, What::Transfers, year, &mut |row| {
        let [_, payer, district, reference, on, amount, cleared, held, late] = row else { return };
        paper.row(vec![
            payer_name(payer).into(),
            named_district(bureau, district).into(),
            (*reference).into(),
            (*on).into(),
            yuan(amount).into(),
            yuan(cleared).into(),
            yuan(held).into(),
            if late.is_empty() { "" } else { "逾期" }.into(),
        ]);
    })?;
    paper.total();
    Ok(paper)
}

fn payer_name(word: &str) -> &str {
    Payer::parse(word).map_or(word, |payer| payer.chinese())
}

fn named_district(bureau: &Bureau, code: &str) -> String {
    DistrictCode::parse(code).map_or_else(|| code.to_owned(), |code| district_name(bureau, code))
}

/// 记账凭证汇总表（收付实现制） of a month: what moved on the fund's accounts, and beside it as a memorandum what is deemed. A month
/// that is not closed may still change, and the paper says so.
pub fn voucher(lines: &[Line], config: &Config, month: Month, is_closed: bool, today: Date) -> Vec<Paper> {
    let mut papers = Vec::new();
    for (kind, title) in [("cash", "记账凭证汇总表（收付实现制）"), ("memorandum", "备查凭证汇总表（视同实收）")]
    {
        let columns = vec![
            Column::new("summary", "摘要", Kind::Text).wide(24),
            Column::new("code", "科目编码", Kind::Text).wide(12),
            Column::new("account", "科目名称", Kind::Text).wide(36),
            Column::new("entries", "笔数", Kind::Number).wide(8),
            amount("debit", "借方金额"),
            amount("credit", "贷方金额"),
        ];
        let period = month.to_string().replacen('-', " 年 ", 1) + " 月";
        let mut paper = begin(&config.papers.unit, title, period, today, columns);
        paper.is_landscape = true;
        paper.capitals = Some("debit");
        paper.signatures = vec!["制表人", "复核人", "记账", "负责人", "单位盖章"];
        if !is_closed {
            paper.notes = vec!["该月尚未关账，数据可能变化。".to_owned()];
        }
        let of_kind: Vec<&Line> = lines.iter().filter(|line| line.kind == kind).collect();
        for one in of_kind.chunk_by(|one, other| one.voucher == other.voucher) {
            paper.group(format!("凭证 {}", one[0].voucher));
            for line in one {
                paper.row(vec![
                    format!("{} {}", line.month, line.event.chinese()).into(),
                    line.code.as_str().into(),
                    line.account.as_str().into(),
                    Cell::Count(line.entries),
                    line.debit.into(),
                    line.credit.into(),
                ]);
            }
            paper.subtotal(0, "小计");
        }
        paper.total();
        if kind == "cash" || !paper.is_empty() {
            papers.push(paper);
        }
    }
    papers
}

/// One posting as it touched a person's account.
#[derive(Clone, Debug, Default)]
struct Touched {
    event: String,
    month: String,
    booked_on: String,
    fee_year: String,
    payer: String,
    category: String,
    own: Money,
    government: Money,
}

/// 个人账户缴费记录表: everything that was credited to one person's account, taken back or corrected, in the order of fee years and
/// booking; under it what the person was due outside of the account.
pub fn account(bureau: &Bureau, id: IdNumber, mask: bool, today: Date) -> Step<Paper> {
    let conn = bureau.store.connection();
    let Some(chain) = explain::person(conn, id)? else { return refuse("参保库和账上都没有此人".to_owned()) };
    let mut touched: BTreeMap<String, Touched> = BTreeMap::new();
    let mut order = Vec::new();
    entries_of(conn, chain.postings(), &bank_keys(&bureau.config), &mut |row| {
        let [posting, event, debit, credit, amount, _, month, booked_on, of, fee_year, payer, category, ..] = row
        else {
            return;
        };
        if *of != id.text() || !(debit.starts_with("personal/") || credit.starts_with("personal/")) {
            return;
        }
        let one = touched.entry((*posting).to_owned()).or_insert_with(|| {
            order.push((*posting).to_owned());
            Touched {
                event: (*event).to_owned(),
                month: (*month).to_owned(),
                booked_on: (*booked_on).to_owned(),
                fee_year: (*fee_year).to_owned(),
                ..Touched::default()
            }
        });
        if !payer.is_empty() {
            (one.payer, one.category) = ((*payer).to_owned(), (*category).to_owned());
        }
        for (account, moved) in [(credit, yuan(amount)), (debit, -yuan(amount))] {
            match *account {
                "personal/own" => one.own += moved,
                "personal/government" => one.government += moved,
                _ => {}
            }
        }
    })?;
    let mut rows: Vec<Touched> = order.into_iter().filter_map(|posting| touched.remove(&posting)).collect();
    rows.sort_by(|one, other| (&one.fee_year, &one.booked_on).cmp(&(&other.fee_year, &other.booked_on)));
    let mut paper = extract_of(bureau, id, mask, today)?;
    for year in rows.chunk_by(|one, other| one.fee_year == other.fee_year) {
        paper.group(format!("{} 缴费年度", year[0].fee_year));
        for one in year {
            let event = Event::ALL.iter().find(|(_, word, _)| *word == one.event).map_or("", |(.., chinese)| chinese);
            paper.row(vec![
                one.month.as_str().into(),
                one.booked_on.as_str().into(),
                event.into(),
                payer_name(&one.payer).into(),
                Category::parse(&one.category).map_or("", |category| category.chinese()).into(),
                one.own.into(),
                one.government.into(),
                (one.own + one.government).into(),
            ]);
        }
        paper.subtotal(0, "小计");
    }
    paper.total();
    Ok(paper)
}

/// The paper without its rows.
fn extract_of(bureau: &Bureau, id: IdNumber, mask: bool, today: Date) -> Step<Paper> {
    let columns = vec![
        Column::new("month", "记账月份", Kind::Text).wide(10),
        Column::new("booked_on", "到款日期", Kind::Date),
        Column::new("event", "事项", Kind::Text).wide(12),
        Column::new("payer", "代缴部门", Kind::Text).wide(10),
        Column::new("category", "认定类别", Kind::Text).wide(28),
        amount("own", "个人缴费"),
        amount("government", "政府代缴"),
        amount("total", "合计"),
    ];
    let conn = bureau.store.connection();
    let (name, district) = extract::enrolled(conn, id)?.unwrap_or_default();
    let shown = |kind, text: &str| if mask { masked(kind, text) } else { text.to_owned() };
    let (number, name) = (shown(Kind::Id, &id.text()), shown(Kind::Name, &name));
    let whose = format!("身份证号：{number}　姓名：{name}　参保区县：{}", named_district(bureau, &district));
    let mut paper = begin(&bureau.config.papers.unit, "个人账户缴费记录表", whose, today, columns);
    paper.is_landscape = true;
    paper.capitals = Some("total");
    paper.notes = vec!["政府代缴按视同实收记入个人账户；不含利息、缴费补贴。".to_owned()];
    for due in extract::subsidies(conn, id)? {
        let (year, payer, state) = (due.fee_year, due.payer.chinese(), due.state.chinese());
        let words =
            format!("{year} 年度事后补助 {} 元（{payer}）：{state}；由部门发给本人，不记入个人账户。", due.amount);
        paper.notes.push(words);
    }
    Ok(paper)
}
