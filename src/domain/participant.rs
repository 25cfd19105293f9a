//! Who takes part, who was recognised, by whom.

use crate::domain::calendar::Date;
use crate::domain::ids::{AccountNumber, IdNumber};
use crate::domain::money::Money;
use std::fmt;

/// Why a person is recognised (认定类别).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// 特困人员.
    ExtremePoverty,
    /// 低保对象.
    SubsistenceAllowance,
    /// 建档立卡未标注脱贫贫困人口.
    RegisteredPoor,
    /// 重度残疾人.
    SevereDisability,
}

impl Category {
    /// Every category with its word and its Chinese name.
    pub const ALL: [(Category, &str, &str); 4] = [
        (Category::ExtremePoverty, "extreme-poverty", "特困人员"),
        (Category::SubsistenceAllowance, "subsistence-allowance", "低保对象"),
        (Category::RegisteredPoor, "registered-poor", "建档立卡未标注脱贫贫困人口"),
        (Category::SevereDisability, "severe-disability", "重度残疾人"),
    ];

    /// The word used in tables, exports and messages.
    pub fn word(self) -> &'static str {
        Category::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        Category::ALL[self as usize].2
    }

    /// Reads the word, the Chinese name, or a usual short form of it.
    pub fn parse(text: &str) -> Option<Category> {
        let text = text.trim();
        let short = match text {
            "特困" | "特困供养人员" => Some(Category::ExtremePoverty),
            "低保" | "低保人员" | "城市低保" | "农村低保" => Some(Category::SubsistenceAllowance),
            "建档立卡" | "建档立卡贫困人口" | "建档立卡未标注脱贫" | "建档立卡未标注脱贫人口" | "贫困人口" => {
                Some(Category::RegisteredPoor)
            }
            "重残" | "重度残疾" => Some(Category::SevereDisability),
            _ => None,
        };
        short.or_else(|| Category::ALL.iter().find(|(_, word, zh)| text == *word || text == *zh).map(|(c, ..)| *c))
    }
}

/// Who owes the government part (代缴部门).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payer {
    /// 民政.
    CivilAffairs,
    /// 扶贫.
    PovertyAlleviation,
    /// 残联.
    DisabilityFederation,
}

impl Payer {
    /// Every payer with its word and its Chinese name.
    pub const ALL: [(Payer, &str, &str); 3] = [
        (Payer::CivilAffairs, "civil-affairs", "民政"),
        (Payer::PovertyAlleviation, "poverty-alleviation", "扶贫"),
        (Payer::DisabilityFederation, "disability-federation", "残联"),
    ];

    /// The word used in tables, exports, folders and messages.
    pub fn word(self) -> &'static str {
        Payer::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        Payer::ALL[self as usize].2
    }

    /// Reads the word or the Chinese name.
    pub fn parse(text: &str) -> Option<Payer> {
        Payer::ALL.iter().find(|(_, word, zh)| text == *word || text == *zh).map(|(payer, ..)| *payer)
    }
}

/// A district or an agency without a GB/T 2260 code (`500199`, `CQ-LJ`): up to eight ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DistrictCode([u8; 8]);

impl DistrictCode {
    /// Reads a code: digits, capitals and hyphens.
    pub fn parse(text: &str) -> Option<DistrictCode> {
        let sound = (1..=8).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || b == b'-');
        if !sound {
            return None;
        }
        let mut code = [0; 8];
        code[..text.len()].copy_from_slice(text.as_bytes());
        Some(DistrictCode(code))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(8);
        std::str::from_utf8(&self.0[..end]).expect("a code is ASCII")
    }
}

impl fmt::Display for DistrictCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DistrictCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entrusted bank: its `number` of the configuration, 1 to 99, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankNumber(pub u8);

/// Words of the field for a status that is not 正常.
const NOT_NORMAL: [&str; 16] = [
    "不正常",
    "暂停",
    "暂停参保",
    "暂停缴费",
    "中断",
    "中断缴费",
    "停保",
    "终止",
    "终止参保",
    "终止缴费",
    "注销",
    "死亡",
    "转出",
    "退保",
    "领取待遇",
    "待遇领取",
];

/// Participation status (参保状态). Only 正常 gets a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// 正常.
    Normal,
    /// Anything else the roster says: 暂停, 终止, 死亡 …
    NotNormal(String),
}

impl Status {
    /// Reads the roster's text; empty means 正常.
    pub fn parse(text: &str) -> Status {
        match text.trim() {
            "" | "正常" | "正常参保" | "正常缴费" | "参保缴费" | "normal" => Status::Normal,
            other => Status::NotNormal(other.to_owned()),
        }
    }

    /// Whether it says in a word of the field that somebody pays or does not. Any other word may be a slip, and keeps the
    /// person from a plan all the same.
    pub fn is_known(&self) -> bool {
        match self {
            Status::Normal => true,
            Status::NotNormal(text) => NOT_NORMAL.contains(&text.as_str()),
        }
    }

    /// The text as exports show it.
    pub fn as_str(&self) -> &str {
        match self {
            Status::Normal => "正常",
            Status::NotNormal(text) => text,
        }
    }
}

/// A person on the roster (参保人).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Identity number.
    pub id: IdNumber,
    /// Name as the roster writes it; these bytes go to the bank.
    pub name: String,
    /// Enrolment district.
    pub district: DistrictCode,
    /// Yearly contribution chosen.
    pub tier: Money,
    /// The bank as the roster names it; empty where it names none.
    pub bank_text: String,
    /// The entrusted bank that this text means.
    pub bank: Option<BankNumber>,
    /// Account to deduct from.
    pub account: Option<AccountNumber>,
    /// Holder of the account where the roster names one; else the participant.
    pub account_name: Option<String>,
    /// Participation status.
    pub status: Status,
    /// The day from which the status holds.
    pub status_since: Date,
    /// 乡镇街道.
    pub town: String,
    /// 村社区.
    pub village: String,
    /// 社保编号.
    pub person_number: String,
}

impl Participant {
    /// Status 正常 on that day (R6): what came before `status_since` is taken to have been 正常.
    pub fn is_normal_on(&self, day: Date) -> bool {
        self.status == Status::Normal || day < self.status_since
    }
}

/// One row of a list in force: this payer recognised this person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognition {
    /// Who recognised, and owes.
    pub payer: Payer,
    /// The recognising district, which owes.
    pub district: DistrictCode,
    /// As what.
    pub category: Category,
    /// 认定年度.
    pub year: i16,
    /// The name on the list.
    pub name: String,
}
