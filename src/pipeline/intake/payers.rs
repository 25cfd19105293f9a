//! Tables of and about payers: their money (代缴划款), and what they paid to people (事后补助已发放).

use super::{Intake, MEND, MOST_MOVED, PAST, RowDefect, Rule, Words, YEAR, YUAN, day, intake, rule, year, yuan};
use crate::domain::calendar::{Date, FeeYear};
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::domain::participant::{DistrictCode, Payer};
use crate::domain::settlement::{ExPostEvent, SettlementYear};
use crate::format::table::{Column, Table};

/// A payer's money in the collection account (R16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRow {
    /// Whose money.
    pub payer: Payer,
    /// For which district.
    pub district: DistrictCode,
    /// Which settlement it names.
    pub settlement_year: SettlementYear,
    /// How much.
    pub amount: Money,
    /// When it came.
    pub received_on: Date,
    /// 凭证号; with payer and district the key.
    pub reference: String,
}

/// What a payer says of one ex-post subsidy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutRow {
    /// Identity number.
    pub id: IdNumber,
    /// For which fee year.
    pub fee_year: FeeYear,
    /// How much.
    pub amount: Money,
    /// When it was paid, or came back.
    pub on: Date,
    /// [`ExPostEvent::Paid`] or [`ExPostEvent::Returned`].
    pub event: ExPostEvent,
}

/// Transfers of payers.
pub fn transfers(table: &Table, words: Words<'_>) -> Intake<TransferRow> {
    let arrived = words.arrived;
    intake(table.rows(), words, |reader| {
        let payer = reader.required(Column::Payer, &PAYER, payer);
        let district = reader.required(Column::District, &super::DISTRICT, |text| (words.district)(text));
        let settlement_year = reader.required(Column::SettlementYear, &YEAR, year);
        let amount = reader.required(Column::Amount, &YUAN, |text| yuan(text).filter(|yuan| *yuan <= MOST_MOVED));
        let received_on = reader.required(Column::ReceivedOn, &PAST, |text| day(text).filter(|day| *day <= arrived));
        let reference = reader.required(Column::Reference, &super::WORDS, super::plain);
        Some(TransferRow {
            payer: payer?,
            district: district?,
            settlement_year: settlement_year?,
            amount: amount?,
            received_on: received_on?,
            reference: reference?,
        })
    })
}

/// What a payer says of ex-post subsidies.
pub fn payouts(table: &Table, words: Words<'_>) -> Intake<PayoutRow> {
    let arrived = words.arrived;
    intake(table.rows(), words, |reader| {
        let id = reader.id();
        let fee_year = reader.required(Column::FeeYear, &YEAR, year);
        let amount = reader.required(Column::Amount, &YUAN, yuan);
        let on = reader.required(Column::PaidOn, &PAYOUT_DAY, |text| day(text).filter(|day| *day <= arrived));
        let event = reader.optional(Column::Outcome, &OUTCOME, outcome);
        Some(PayoutRow {
            id: id?,
            fee_year: fee_year?,
            amount: amount?,
            on: on?,
            event: event.unwrap_or(ExPostEvent::Paid),
        })
    })
}

/// Without the column, or with an empty cell, a row says that it was paid.
fn outcome(text: &str) -> Option<ExPostEvent> {
    match text {
        "paid" | "已发放" | "发放成功" | "成功" => Some(ExPostEvent::Paid),
        "returned" | "已退回" | "退回" | "退汇" | "发放失败" | "失败" | "未发放" => {
            Some(ExPostEvent::Returned)
        }
        _ => None,
    }
}

/// The word, the Chinese name, or what people usually call the office.
fn payer(text: &str) -> Option<Payer> {
    let known = || Payer::ALL.iter().find(|(_, _, zh)| text.contains(zh)).map(|(payer, ..)| *payer);
    Payer::parse(text).or_else(known)
}

const PAYER: Rule = rule(
    "payer",
    "civil-affairs 民政, poverty-alleviation 扶贫 or disability-federation 残联",
    "不是三个代缴部门之一",
    MEND,
);
const PAYOUT_DAY: Rule = rule(
    "date",
    "a date such as 2018-10-08, not after arrival",
    "应为日期，且不晚于报送之日",
    "未发放的行请留到发放后再报送；已发放的请填写发放日期",
);
const OUTCOME: Rule = rule("outcome", "paid 已发放 or returned 已退回", "应为“已发放”或“已退回”", MEND);

/// Why the rules refuse a row that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayoutRefusal {
    /// Nothing is due to this person for this year from this payer and district.
    Unknown,
    /// Another amount is due.
    Amount,
    /// It stands on no list yet.
    NotListed,
    /// Paid out before the person had paid.
    TooEarly(Date),
    /// It was answered before, with another day or another result.
    Answered,
    /// The own money went back: nothing is due any more.
    Withdrawn,
    /// The same person and year twice in the file, with different words.
    Twice,
}

impl PayoutRefusal {
    /// The refusal in the terms of a receipt; `due` is the amount that is due.
    pub fn defect(self, row: u32, found: &PayoutRow, due: Option<Money>) -> RowDefect {
        let due = due.map(|due| due.to_string()).unwrap_or_default();
        let (column, code, expected, message_zh, action_zh) = match self {
            PayoutRefusal::Unknown => (
                Column::IdNumber,
                "expost-unknown",
                "a person of this payer's list of ex-post subsidies",
                format!("本部门在本区县对此人 {} 年度没有应发放的事后补助", found.fee_year),
                "请按社保局提供的事后补助名单核对；误发的请追回",
            ),
            PayoutRefusal::Amount => (
                Column::Amount,
                "expost-amount",
                "the amount of the list",
                format!("发放金额 {} 元与名单上的 {due} 元不符", found.amount),
                "请核对后改正；确已多发或少发的，请与经办人员联系",
            ),
            PayoutRefusal::NotListed => (
                Column::IdNumber,
                "expost-not-listed",
                "a person who stands on a list",
                "此人的事后补助尚未列入名单".to_owned(),
                "请等名单到达后再报送",
            ),
            PayoutRefusal::TooEarly(paid) => (
                Column::PaidOn,
                "expost-too-early",
                "a day on or after the person's own payment",
                format!("发放日期 {} 早于本人缴费日期 {paid}", found.on),
                "请填写实际发放日期后重新报送",
            ),
            PayoutRefusal::Answered => (
                Column::PaidOn,
                "expost-answered",
                "an answer that was not given before",
                "此人的事后补助此前已回复，且内容不同".to_owned(),
                "请核对是否重复发放；此前回复有误的，请与经办人员联系",
            ),
            PayoutRefusal::Withdrawn => (
                Column::IdNumber,
                "expost-withdrawn",
                "a subsidy that is still due",
                "此人的缴费已冲正，事后补助已撤回".to_owned(),
                "尚未发放的请勿发放；已发放的请与经办人员联系",
            ),
            PayoutRefusal::Twice => (
                Column::IdNumber,
                "row-twice",
                "one row of a person and year",
                "此人该年度在本文件中出现多次且内容不一致，均未采用".to_owned(),
                "请只保留正确的一行后重新报送",
            ),
        };
        RowDefect {
            row,
            column: column.word(),
            code,
            expected,
            found: String::new(),
            message_zh,
            action_zh,
            person: Some(found.id),
            name: None,
        }
    }
}
