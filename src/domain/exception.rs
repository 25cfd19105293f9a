//! Exceptions: what a clerk must look at, one class per cause.

/// Class of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// R3: the tier is not on offer.
    Tier,
    /// R6: money for somebody who is 60 or over.
    Age,
    /// R6: money for somebody whose status was not 正常.
    Status,
    /// R17: same ID, other name.
    NameDiffers,
    /// The roster names a bank that is not entrusted.
    UnknownBank,
    /// R18: no account.
    NoAccount,
    /// R18: the account is not the participant's own.
    AccountHolder,
    /// The bank's charset or field cannot carry a text.
    Unsendable,
    /// A failure that waits for a clerk's fix.
    Failed,
    /// The bank does not know whether the money moved.
    UnknownResult,
    /// Success with nothing taken.
    ContradictoryReturn,
    /// Less than asked.
    Partial,
    /// More than asked.
    Over,
    /// Account, ID, name or amount did not come back as sent.
    EchoDiffers,
    /// No booking date, or an impossible one.
    BadBookingDate,
    /// R13: booked outside the fee year.
    WrongYear,
    /// A failure code with money taken.
    FailureWithMoney,
    /// R7a: the plan changed while the instruction was at the bank.
    ChangedInFlight,
    /// R14: the plan was received already.
    AlreadyReceived,
    /// Money for an instruction that was withdrawn or rejected.
    NotLive,
    /// Success after a failure.
    LateSuccess,
    /// Failure after a success.
    LateFailure,
    /// Further money for the same instruction.
    SecondPayment,
    /// Another answer than before, without money.
    DifferingAnswer,
    /// An instruction number that is not ours.
    UnknownInstruction,
    /// One instruction twice in a return.
    DuplicateRow,
    /// No answer although the final return is in.
    MissingRow,
    /// The bank says that it had this batch before.
    DuplicateBatch,
    /// A file left, and nothing shows whether the bank has it.
    DeliveryInDoubt,
    /// R14: neither the own part nor the whole tier.
    PaymentAmount,
    /// Money for somebody who is not on the roster.
    UnknownPerson,
    /// R14: money for a year without a plan.
    NoPlan,
    /// The same key came with other content.
    KeyConflict,
    /// R16: a payer's money without an approved settlement.
    TransferUnsettled,
    /// R16: more than the settlement still owed.
    TransferOver,
    /// R16: money for ex-post subsidies, which go to the people themselves.
    TransferExPost,
    /// R14: the payer says that it paid another amount than was due.
    ExPostAmount,
    /// R14: the own money went back after the ex-post subsidy was paid.
    ExPostPaid,
}

impl Class {
    /// Every class with its word and what it says to clerks.
    pub const ALL: [(Class, &str, &str); 38] = [
        (Class::Tier, "tier", "缴费档次不在可选范围"),
        (Class::Age, "age", "已满60周岁"),
        (Class::Status, "status", "参保状态不正常"),
        (Class::NameDiffers, "name-differs", "同一身份证号姓名不一致"),
        (Class::UnknownBank, "unknown-bank", "开户银行不是委托银行"),
        (Class::NoAccount, "no-account", "没有银行账号"),
        (Class::AccountHolder, "account-holder", "户名不是参保人本人"),
        (Class::Unsendable, "unsendable", "银行字符集或字段放不下"),
        (Class::Failed, "failed", "扣款失败待处理"),
        (Class::UnknownResult, "unknown-result", "扣款结果未知"),
        (Class::ContradictoryReturn, "contradictory-return", "回盘成功但实扣为零"),
        (Class::Partial, "partial", "实扣少于应扣"),
        (Class::Over, "over", "实扣多于应扣"),
        (Class::EchoDiffers, "echo-differs", "回盘信息与指令不一致"),
        (Class::BadBookingDate, "bad-booking-date", "记账日期缺失或不可能"),
        (Class::WrongYear, "wrong-year", "记账日期不在缴费年度"),
        (Class::FailureWithMoney, "failure-with-money", "失败码却有实扣金额"),
        (Class::ChangedInFlight, "changed-in-flight", "扣款途中计划已变"),
        (Class::AlreadyReceived, "already-received", "该年度已收足"),
        (Class::NotLive, "not-live", "指令已取消却收到款"),
        (Class::LateSuccess, "late-success", "失败后又成功"),
        (Class::LateFailure, "late-failure", "成功后又失败"),
        (Class::SecondPayment, "second-payment", "同一指令又收到款"),
        (Class::DifferingAnswer, "differing-answer", "与先前回盘不一致"),
        (Class::UnknownInstruction, "unknown-instruction", "不是本单位的指令流水号"),
        (Class::DuplicateRow, "duplicate-row", "同一指令在回盘中重复"),
        (Class::MissingRow, "missing-row", "末次回盘缺少该指令"),
        (Class::DuplicateBatch, "duplicate-batch", "银行称批次重复"),
        (Class::DeliveryInDoubt, "delivery-in-doubt", "文件是否送达不明"),
        (Class::PaymentAmount, "payment-amount", "金额既非个人部分也非整档"),
        (Class::UnknownPerson, "unknown-person", "查无此参保人"),
        (Class::NoPlan, "no-plan", "该年度没有缴费计划"),
        (Class::KeyConflict, "key-conflict", "同一凭证号内容不同"),
        (Class::TransferUnsettled, "transfer-unsettled", "划款没有已批准的清算"),
        (Class::TransferOver, "transfer-over", "划款多于清算尚欠"),
        (Class::TransferExPost, "transfer-expost", "事后补助款划入征缴户"),
        (Class::ExPostAmount, "expost-amount", "事后补助发放金额不符"),
        (Class::ExPostPaid, "reversed-after-payout", "事后补助发放后个人缴费被冲正"),
    ];

    /// The word used in tables, exports and messages.
    pub fn word(self) -> &'static str {
        Class::ALL[self as usize].1
    }

    /// The words for clerks.
    pub fn chinese(self) -> &'static str {
        Class::ALL[self as usize].2
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Class> {
        Class::ALL.iter().find(|(_, w, _)| *w == word).map(|(class, ..)| *class)
    }

    /// What the roster alone decides: a new roster row that fits closes it.
    pub fn is_mended_by_roster(self) -> bool {
        use Class::*;
        matches!(self, Tier | NameDiffers | UnknownBank | NoAccount | AccountHolder | Unsendable | Failed)
    }
}
