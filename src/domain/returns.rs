//! What a bank says of one instruction, and what that allows next (design section 6).

/// Class of a bank's answer: its own codes are folded into these by `formats/<layout>/codes.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The full amount was booked.
    Ok,
    /// 余额不足.
    InsufficientFunds,
    /// 账号不存在.
    NoAccount,
    /// 户名不符.
    NameMismatch,
    /// 证件不符.
    IdMismatch,
    /// 销户.
    Closed,
    /// 挂失.
    Lost,
    /// 冻结, 止付.
    Frozen,
    /// 未签约.
    NoAgreement,
    /// 非本行客户.
    NotOurs,
    /// 超限额, 账户类型不支持.
    Limit,
    /// 资料不全.
    Incomplete,
    /// 重复.
    Duplicate,
    /// 结果未知: the money may have moved.
    Unknown,
    /// A failure the bank does not explain.
    Other,
    /// A code that the table does not have: treated like unknown, never guessed.
    Unmapped,
}

impl Outcome {
    /// Every outcome with its word and its Chinese name.
    pub const ALL: [(Outcome, &str, &str); 16] = [
        (Outcome::Ok, "ok", "成功"),
        (Outcome::InsufficientFunds, "insufficient-funds", "余额不足"),
        (Outcome::NoAccount, "no-account", "账号不存在"),
        (Outcome::NameMismatch, "name-mismatch", "户名不符"),
        (Outcome::IdMismatch, "id-mismatch", "证件不符"),
        (Outcome::Closed, "closed", "已销户"),
        (Outcome::Lost, "lost", "已挂失"),
        (Outcome::Frozen, "frozen", "冻结或止付"),
        (Outcome::NoAgreement, "no-agreement", "未签约"),
        (Outcome::NotOurs, "not-ours", "非本行客户"),
        (Outcome::Limit, "limit", "超限额"),
        (Outcome::Incomplete, "incomplete", "资料不全"),
        (Outcome::Duplicate, "duplicate", "重复"),
        (Outcome::Unknown, "unknown", "结果未知"),
        (Outcome::Other, "other", "其他"),
        (Outcome::Unmapped, "unmapped", "未登记的处理码"),
    ];

    /// The word used in tables, exports and messages.
    pub fn word(self) -> &'static str {
        Outcome::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        Outcome::ALL[self as usize].2
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Outcome> {
        Outcome::ALL.iter().find(|(_, w, _)| *w == word).map(|(outcome, ..)| *outcome)
    }
}

/// What a bank says of a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAnswer {
    /// Its rows hold.
    Accepted,
    /// The bank says that it had this batch before: delivery is in doubt, nothing is rejected.
    DuplicateBatch,
    /// The bank refused the file: no row moved.
    Rejected,
}
