//! The Chinese of our words: machines get the word, people get both.

use crate::daemon::alarms;
use crate::daemon::approvals::KINDS;
use crate::domain::exception::Class;
use crate::domain::instruction::{BatchState, InstructionState};
use crate::domain::ledger::Event;
use crate::domain::participant::{Category, Payer};
use crate::domain::plan::PlanState;
use crate::domain::reconciling::{Corner, Differs};
use crate::domain::returns::Outcome;
use crate::domain::settlement::{ClaimKind, ExPostState, SettlementState};
use crate::format::table::TableKind;
use crate::store::FileState;

/// Words that no list gives Chinese for.
const WORDS: &[(&str, &str)] = &[
    ("not-drafted", "未起草"),
    ("open", "未处理"),
    ("resolved", "已处理"),
    ("void", "已作废"),
    ("cash", "实收"),
    ("deemed", "视同实收"),
    ("added", "新增"),
    ("dropped", "移出"),
    ("zero", "零自付"),
    ("data", "数据文件"),
    ("control", "控制文件"),
    ("untouched", "未开始"),
    ("writing", "写入中"),
    ("naming", "改名中"),
    ("delivered", "已送达"),
    ("instruct", "起草批次"),
    ("send", "发送"),
    ("return", "回盘"),
    ("roster-rows", "参保人员表有效行"),
    ("list-rows", "名单有效行"),
    ("recognised", "新增认定"),
    ("plan-versions", "计划版本"),
    ("answers", "回盘结果"),
    ("postings", "记账"),
    ("operator", "运维人员"),
    ("clerk", "经办人员"),
    ("checker", "复核人员"),
    ("bureau", "本单位"),
    ("collection", "征缴户存款"),
    ("personal/own", "个人账户—个人缴费"),
    ("personal/government", "个人账户—政府代缴"),
];

/// The Chinese of a word. Some lists share words: what a word says of an instruction goes first.
pub fn chinese(word: &str) -> Option<&'static str> {
    let states = InstructionState::ALL.iter().map(|(_, word, zh)| (*word, *zh));
    let states = states.chain(BatchState::ALL.iter().map(|(_, word, zh)| (*word, *zh)));
    let states = states.chain(PlanState::ALL.iter().map(|(_, word, zh)| (*word, *zh)));
    let states = states.chain(FileState::ALL.iter().map(|(_, word, zh)| (*word, *zh)));
    let states = states.chain(SettlementState::ALL.iter().map(|(_, word, zh)| (*word, *zh)));
    let states = states.chain(ExPostState::ALL.iter().map(|(_, word, zh)| (*word, *zh)));
    let events = Event::ALL.iter().map(|(_, word, zh)| (*word, *zh));
    let mut known = states.chain(events).chain(KINDS).chain(WORDS.iter().copied());
    let found = known.find(|(known, _)| *known == word).map(|(_, zh)| zh);
    found
        .or_else(|| Payer::parse(word).map(Payer::chinese))
        .or_else(|| Category::parse(word).map(Category::chinese))
        .or_else(|| Outcome::parse(word).map(Outcome::chinese))
        .or_else(|| Class::parse(word).map(Class::chinese))
        .or_else(|| TableKind::parse(word).map(TableKind::chinese))
        .or_else(|| Differs::ALL.iter().find(|(_, known, _)| *known == word).map(|(_, _, zh)| *zh))
        .or_else(|| Corner::ALL.iter().find(|(_, known, _)| *known == word).map(|(_, _, zh)| *zh))
        .or_else(|| alarms::Class::parse(word).map(|class| class.chinese))
        .or_else(|| ClaimKind::ALL.iter().find(|(_, known, _)| *known == word).map(|(_, _, zh)| *zh))
}

/// Chinese first, then the word; the word alone where it has no Chinese. Of accounts and senders, which name a payer
/// and a district, the beginning has it.
pub fn both(word: &str) -> String {
    let begins = word.split('/').next().unwrap_or(word);
    let zh = match begins {
        "receivable" => Some("应收代缴款"),
        _ => chinese(word).or_else(|| Payer::parse(begins).map(Payer::chinese)),
    };
    zh.map_or_else(|| word.to_owned(), |zh| format!("{zh} {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clerks_read_has_its_chinese() {
        let states =
            ExPostState::ALL.map(|(_, word, _)| word).into_iter().chain(SettlementState::ALL.map(|(_, word, _)| word));
        let words = states.chain(KINDS.map(|(kind, _)| kind));
        let others =
            ["waiting", "civil-affairs", "registered-poor", "frozen", "key-conflict", "list", "suspense-posted"];
        words.chain(others).for_each(|word| assert!(chinese(word).is_some(), "{word}"));
        assert_eq!(both("rural"), "rural");
        assert_eq!(both("civil-affairs/500199"), "民政 civil-affairs/500199");
        assert_eq!(both("receivable/civil-affairs/500199"), "应收代缴款 receivable/civil-affairs/500199");
    }
}
