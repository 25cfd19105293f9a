//! The Chinese of our words: machines get the word, people get both.

use crate::domain::exception::Class;
use crate::domain::participant::{Category, Payer};
use crate::domain::returns::Outcome;
use crate::format::table::TableKind;

/// Words that no list of the domain gives Chinese for: states, events, kinds.
const WORDS: &[(&str, &str)] = &[
    ("drafted", "已起草"),
    ("released", "已放行"),
    ("sending", "发送中"),
    ("sent", "已发送"),
    ("sent-unconfirmed", "发送未确认"),
    ("accepted", "银行已受理"),
    ("file-rejected", "整批被拒"),
    ("complete", "已完成"),
    ("cancelled", "已取消"),
    ("settled", "已扣款入账"),
    ("failed", "扣款失败"),
    ("unknown", "结果未知"),
    ("suspense", "暂收款"),
    ("refunded", "已退款"),
    ("reversed", "已冲正"),
    ("planned", "待扣款"),
    ("waiting", "等待中"),
    ("exception", "例外待处理"),
    ("removed", "已移出"),
    ("lapsed", "已失效"),
    ("received", "已收足"),
    ("ex-post", "事后补助"),
    ("arrived", "已到达"),
    ("claimed", "处理中"),
    ("processed", "已处理"),
    ("duplicate", "重复"),
    ("quarantined", "已隔离"),
    ("due", "待列名"),
    ("listed", "已列名"),
    ("paid", "已发放"),
    ("returned", "已退回"),
    ("withdrawn", "已撤回"),
    ("open", "未处理"),
    ("resolved", "已处理"),
    ("approved", "已批准"),
    ("void", "已作废"),
    ("self-payment", "个人缴费"),
    ("zero-payment", "零缴费"),
    ("suspense-posted", "暂收款入账"),
    ("refund", "退款"),
    ("transfer", "划款"),
    ("reversal", "冲正"),
    ("correction", "更正"),
    ("cash", "实收"),
    ("deemed", "视同实收"),
    ("added", "新增"),
    ("dropped", "移出"),
    ("zero", "零缴费"),
    ("plan", "缴费计划"),
    ("instruct", "起草批次"),
    ("send", "发送"),
    ("release", "批次放行"),
    ("list-removals", "名单移出"),
    ("resolve", "例外处理"),
    ("close", "月结"),
    ("without-lists", "缺名单扣款"),
    ("return", "回盘"),
    ("roster-rows", "参保人员表有效行"),
    ("list-rows", "名单有效行"),
    ("recognised", "新增认定"),
    ("plan-versions", "计划版本"),
    ("answers", "回盘结果"),
    ("postings", "记账"),
];

/// The Chinese of a word; outcomes and classes share some words with states, which go first.
pub fn chinese(word: &str) -> Option<&'static str> {
    let state = WORDS.iter().find(|(known, _)| *known == word).map(|(_, zh)| *zh);
    state
        .or_else(|| Payer::parse(word).map(Payer::chinese))
        .or_else(|| Category::parse(word).map(Category::chinese))
        .or_else(|| Outcome::parse(word).map(Outcome::chinese))
        .or_else(|| Class::parse(word).map(Class::chinese))
        .or_else(|| TableKind::parse(word).map(TableKind::chinese))
}

/// Chinese first, then the word; the word alone where it has no Chinese.
pub fn both(word: &str) -> String {
    chinese(word).map_or_else(|| word.to_owned(), |zh| format!("{zh} {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instruction::{BatchState, InstructionState};
    use crate::domain::ledger::Event;
    use crate::domain::plan::PlanState;
    use crate::store::{EX_POST_STATES, FileState};

    #[test]
    fn every_state_and_event_has_its_chinese() {
        let words = InstructionState::ALL.iter().map(|(_, word)| *word);
        let words = words.chain(BatchState::ALL.iter().map(|(_, word)| *word));
        let words = words.chain(PlanState::ALL.iter().map(|(_, word)| *word));
        let words = words.chain(FileState::ALL.iter().map(|(_, word)| *word));
        let words = words.chain(Event::ALL.iter().map(|(_, word)| *word));
        let words =
            words.chain(EX_POST_STATES).chain(["civil-affairs", "registered-poor", "frozen", "key-conflict", "list"]);
        words.for_each(|word| assert!(chinese(word).is_some(), "{word}"));
        assert_eq!(both("rural"), "rural");
    }
}
