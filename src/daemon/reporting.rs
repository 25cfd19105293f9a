//! Sums for the file (报表): the plans of a year by district, category and tier; the deductions by bank and result. They
//! add up what the exports show, so that both always agree.

use crate::daemon::bureau::{Bureau, Step, StepError};
use crate::domain::calendar::{Date, FeeYear};
use crate::domain::instruction::InstructionState;
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode};
use crate::domain::returns::Outcome;
use crate::format::cell::Kind;
use crate::format::paper::{Cell, Column, Paper};
use crate::store::export::{BankKeys, ExportError, What, rows};
use std::collections::BTreeMap;

/// 缴费计划汇总表: plans that hold, and what of them was received.
pub fn plans(bureau: &Bureau, fee_year: FeeYear, today: Date) -> Step<Paper> {
    let mut sums: BTreeMap<(String, usize, Money), [Plans; 2]> = BTreeMap::new();
    each(bureau, What::Plans, fee_year, &mut |row| {
        let [_, _, district, _, tier, government, own, _, category, state] = row else { return };
        if ["removed", "lapsed"].contains(state) {
            return;
        }
        let place = Category::parse(category).map_or(Category::ALL.len(), |category| category as usize);
        let sums = sums.entry(((*district).to_owned(), place, yuan(tier))).or_default();
        sums[0].add(tier, government, own);
        if ["received", "ex-post"].contains(state) {
            sums[1].add(tier, government, own);
        }
    })?;
    let mut paper = Paper::new("缴费计划汇总表", today, plan_columns());
    head(bureau, &mut paper, "计划汇总", fee_year);
    paper.capitals = Some("amount");
    paper.notes = vec!["不含已移出、已失效的计划；已收足含事后补助。".to_owned()];
    let sums: Vec<_> = sums.into_iter().collect();
    for district in sums.chunk_by(|((a, ..), _), ((b, ..), _)| a == b) {
        let code = &district[0].0.0;
        paper.group(district_name(bureau, code));
        for ((code, place, tier), [planned, received]) in district {
            let category = Category::ALL.get(*place).map_or("未认定", |(.., chinese)| chinese);
            paper.row(vec![
                code.as_str().into(),
                category.into(),
                (*tier).into(),
                Cell::Count(planned.people),
                planned.tier.into(),
                planned.government.into(),
                planned.own.into(),
                Cell::Count(received.people),
                received.own.into(),
            ]);
        }
        paper.subtotal(0, "小计");
    }
    paper.total();
    Ok(paper)
}

fn plan_columns() -> Vec<Column> {
    let count = |name, heading: &str| Column::new(name, heading, Kind::Number).wide(8).summed();
    let amount = |name, heading: &str| Column::new(name, heading, Kind::Amount).wide(14).summed();
    vec![
        Column::new("district", "区县", Kind::Text).wide(10),
        Column::new("category", "认定类别", Kind::Text).wide(28),
        Column::new("tier", "缴费档次", Kind::Amount).wide(10),
        count("people", "人数"),
        amount("amount", "应缴合计"),
        amount("government", "政府代缴"),
        amount("own", "个人缴费"),
        count("received_people", "已收足人数"),
        amount("received_own", "已收个人缴费"),
    ]
}

#[derive(Clone, Copy, Debug, Default)]
struct Plans {
    people: i64,
    tier: Money,
    government: Money,
    own: Money,
}

impl Plans {
    fn add(&mut self, tier: &str, government: &str, own: &str) {
        self.people += 1;
        self.tier += yuan(tier);
        self.government += yuan(government);
        self.own += yuan(own);
    }
}

/// 扣款结果汇总表: what banks were asked, by state and result.
pub fn results(bureau: &Bureau, fee_year: FeeYear, today: Date) -> Step<Paper> {
    let mut sums: BTreeMap<(String, usize, usize), (i64, Money)> = BTreeMap::new();
    each(bureau, What::Instructions, fee_year, &mut |row| {
        let [_, _, _, _, bank, _, _, amount, state, outcome] = row else { return };
        let state = InstructionState::ALL.iter().position(|(_, word, _)| word == state).unwrap_or_default();
        let outcome = Outcome::parse(outcome).map_or(Outcome::ALL.len(), |outcome| outcome as usize);
        let sum = sums.entry(((*bank).to_owned(), state, outcome)).or_default();
        sum.0 += 1;
        sum.1 += yuan(amount);
    })?;
    let columns = vec![
        Column::new("bank", "委托银行", Kind::Text),
        Column::new("state", "指令状态", Kind::Text).wide(14),
        Column::new("outcome", "处理结果", Kind::Text).wide(18),
        Column::new("instructions", "笔数", Kind::Number).summed(),
        Column::new("amount", "应扣金额", Kind::Amount).wide(16).summed(),
    ];
    let mut paper = Paper::new("扣款结果汇总表", today, columns);
    head(bureau, &mut paper, "扣款结果", fee_year);
    paper.is_landscape = false;
    let sums: Vec<_> = sums.into_iter().collect();
    for bank in sums.chunk_by(|((a, ..), _), ((b, ..), _)| a == b) {
        let key = &bank[0].0.0;
        let known = bureau.config.banks.iter().find(|bank| bank.key == *key);
        paper.group(known.and_then(|bank| bank.names.first()).unwrap_or(key));
        for ((bank, state, outcome), (instructions, amount)) in bank {
            paper.row(vec![
                bank.as_str().into(),
                InstructionState::ALL[*state].2.into(),
                Outcome::ALL.get(*outcome).map_or("", |(.., chinese)| chinese).into(),
                Cell::Count(*instructions),
                (*amount).into(),
            ]);
        }
        paper.subtotal(0, "小计");
    }
    paper.total();
    Ok(paper)
}

fn head(bureau: &Bureau, paper: &mut Paper, sheet: &str, fee_year: FeeYear) {
    paper.sheet = sheet.to_owned();
    paper.unit = bureau.config.papers.unit.clone();
    paper.subtitles = vec![format!("{fee_year}年度")];
    paper.is_landscape = true;
}

fn district_name<'n>(bureau: &'n Bureau, code: &'n str) -> &'n str {
    DistrictCode::parse(code).and_then(|code| bureau.config.districts.name(code)).unwrap_or(code)
}

/// Hands every row of an export of a year to `take`.
pub(crate) fn each(bureau: &Bureau, what: What, year: i16, take: &mut dyn FnMut(&[&str])) -> Step<()> {
    let banks: BankKeys = bureau.config.banks.iter().map(|bank| (bank.number.0, bank.key.clone())).collect();
    let taken = rows(bureau.store.connection(), what, Some(year), &banks, &mut |row| {
        take(row);
        Ok(())
    });
    taken.map_err(|error| match error {
        ExportError::Store(error) => StepError::Store(error),
        ExportError::Sink(_) => unreachable!("the sink keeps sums in memory"),
    })
}

/// An amount as exports write it; empty where there is none.
pub(crate) fn yuan(text: &str) -> Money {
    Money::parse_yuan(text).unwrap_or(Money::ZERO)
}
