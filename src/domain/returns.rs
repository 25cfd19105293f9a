//! What a bank says of one instruction, and what that allows next (design section 6).

use crate::domain::calendar::{Date, FeeYear};
use crate::domain::exception::Class;
use crate::domain::instruction::InstructionState;
use crate::domain::money::Money;
use crate::domain::plan::{PlanState, PlanVersion, in_force};
use crate::domain::policy::{Subsidy, Terms};

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

/// A bank's answer for one instruction (回盘).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Class of its code.
    pub outcome: Outcome,
    /// Money the bank says it took.
    pub actual: Money,
    /// Booking date; `None` where it has none or an impossible one.
    pub booked_on: Option<Date>,
    /// Bank serial, empty where it has none.
    pub serial: String,
    /// Account, ID number, name and amount came back as they were sent (R17 folding).
    pub echo_agrees: bool,
}

impl Return {
    /// The same answer again: the same content; without money the serial says nothing.
    pub fn repeats(&self, earlier: &Return) -> bool {
        let same_money = self.outcome == earlier.outcome && self.actual == earlier.actual;
        if self.actual.is_zero() {
            return same_money && (self.booked_on == earlier.booked_on || !self.serial.is_empty());
        }
        same_money && self.serial == earlier.serial && self.booked_on == earlier.booked_on
    }

    /// The same deduction, whatever else the bank now says of it: money under a serial that brought money before.
    fn is_deduction_of(&self, earlier: &Return) -> bool {
        !self.serial.is_empty()
            && self.serial == earlier.serial
            && self.actual.is_positive()
            && earlier.actual.is_positive()
    }
}

/// What we know of an instruction and its plan when an answer is judged.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// State of the instruction.
    pub state: InstructionState,
    /// Amount instructed.
    pub amount: Money,
    /// Fee year of its batch.
    pub fee_year: FeeYear,
    /// Business date on which its batch was drafted.
    pub drafted_on: Date,
    /// Version of the plan that it was made from.
    pub version: u32,
    /// Every version of the plan.
    pub versions: &'a [PlanVersion],
    /// State of the plan.
    pub plan: PlanState,
    /// Participation status 正常 on the booking date (R6).
    pub normal: bool,
    /// Another instruction of the participant and fee year is live.
    pub other_live: bool,
    /// The government part was, or will be, paid to the person: nothing may be deemed received beside it (R14).
    pub has_subsidy: bool,
    /// Booking date of what was posted for it first, where something was.
    pub posted_on: Option<Date>,
    /// Answers for this instruction so far.
    pub earlier: &'a [Return],
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same answer again: nothing.
    Unchanged,
    /// The bank says what a clerk had settled by hand: kept, nothing more.
    Confirmed,
    /// R10: received in full; posts by these terms.
    Post(Terms),
    /// R14: the whole tier came as own money; this subsidy goes to the person.
    PostWhole(Money, Subsidy),
    /// Money to suspense, and the instruction with it.
    Hold(Class),
    /// Money to suspense; the instruction stays as it is.
    HoldBeside(Class),
    /// The bank took nothing.
    Fail,
    /// The money may have moved: blocked until known.
    Doubt(Class),
    /// No money, no change: a clerk should see it.
    Note(Class),
}

/// Design section 6: what follows from `answer`, processed on `today`.
pub fn judge(asked: &Asked<'_>, answer: &Return, today: Date) -> Verdict {
    if is_repeated(asked.earlier, answer) {
        return Verdict::Unchanged;
    }
    // One serial is one deduction: another amount, day or code for it is a question to the bank, never further money.
    if asked.earlier.iter().any(|earlier| answer.is_deduction_of(earlier)) {
        return Verdict::Note(Class::DifferingAnswer);
    }
    match asked.state {
        InstructionState::Sent | InstructionState::Unknown => judge_awaited(asked, answer, today),
        InstructionState::Failed | InstructionState::Cancelled => judge_not_live(asked, answer),
        _ => judge_answered(asked, answer),
    }
}

/// Money counts once, whenever it was said; a failure is only said again if nothing else was said since.
fn is_repeated(earlier: &[Return], answer: &Return) -> bool {
    if answer.actual.is_positive() {
        earlier.iter().any(|earlier| answer.repeats(earlier))
    } else {
        earlier.last().is_some_and(|earlier| answer.repeats(earlier))
    }
}

fn judge_awaited(asked: &Asked<'_>, answer: &Return, today: Date) -> Verdict {
    if answer.actual.is_positive() {
        return judge_money(asked, answer, today);
    }
    let doubt = match answer.outcome {
        Outcome::Ok => Some(Class::ContradictoryReturn),
        Outcome::Unknown | Outcome::Duplicate | Outcome::Unmapped => Some(Class::UnknownResult),
        // Whose account was it then? Nothing new is asked before somebody knows.
        _ if !answer.echo_agrees => Some(Class::EchoDiffers),
        _ => None,
    };
    match doubt {
        None => Verdict::Fail,
        Some(_) if asked.state == InstructionState::Unknown => Verdict::Note(Class::DifferingAnswer),
        Some(class) => Verdict::Doubt(class),
    }
}

/// R10: in full, by a sound answer, in its time, for a plan that still wants it; all else is held.
fn judge_money(asked: &Asked<'_>, answer: &Return, today: Date) -> Verdict {
    let hold = Verdict::Hold;
    if answer.outcome != Outcome::Ok {
        return hold(Class::FailureWithMoney);
    }
    if !answer.echo_agrees {
        return hold(Class::EchoDiffers);
    }
    if answer.actual < asked.amount {
        return hold(Class::Partial);
    }
    if answer.actual > asked.amount {
        return hold(Class::Over);
    }
    let Some(booked_on) = answer.booked_on.filter(|day| (asked.drafted_on..=today).contains(day)) else {
        return hold(Class::BadBookingDate);
    };
    if booked_on.year() != asked.fee_year {
        return hold(Class::WrongYear);
    }
    if asked.plan.is_paid() {
        return hold(Class::AlreadyReceived);
    }
    if !asked.normal {
        return hold(Class::Status);
    }
    match judge_version(asked, booked_on) {
        Some(Verdict::Post(terms)) if asked.has_subsidy && terms.deemed().is_some() => hold(Class::ExPostPaid),
        Some(verdict) => verdict,
        None => hold(Class::ChangedInFlight),
    }
}

/// R7a: booked while the plan it was made from was in force → by that plan; later → by the new one if it fits.
fn judge_version(asked: &Asked<'_>, booked_on: Date) -> Option<Verdict> {
    let current = in_force(asked.versions, booked_on)?;
    let made_from = asked.versions.iter().find(|version| version.number == asked.version)?;
    let terms = if current.number <= asked.version { made_from.terms } else { current.terms };
    let latest = asked.versions.last()?.terms.ok().and_then(|terms| terms.subsidy);
    fit(terms.ok()?, latest, asked.amount)
}

/// The amount is the own part → posts; it is the whole tier and a government part is due → R14; else nothing fits.
fn fit(terms: Terms, latest: Option<Subsidy>, amount: Money) -> Option<Verdict> {
    let due = terms.subsidy.or(latest).filter(|subsidy| subsidy.amount.is_positive());
    match due {
        Some(subsidy) if amount == terms.tier => Some(Verdict::PostWhole(amount, subsidy)),
        _ if amount == terms.own() => Some(Verdict::Post(terms)),
        _ => None,
    }
}

fn judge_not_live(asked: &Asked<'_>, answer: &Return) -> Verdict {
    if answer.actual.is_zero() {
        return Verdict::Note(Class::DifferingAnswer);
    }
    let class = match (asked.state, answer.outcome) {
        (InstructionState::Failed, Outcome::Ok) => Class::LateSuccess,
        (InstructionState::Failed, _) => Class::FailureWithMoney,
        _ => Class::NotLive,
    };
    // R12: two live instructions of one plan must not be; the exception alone holds the money then.
    if asked.other_live { Verdict::HoldBeside(class) } else { Verdict::Hold(class) }
}

fn judge_answered(asked: &Asked<'_>, answer: &Return) -> Verdict {
    // No answer brought money, and it was posted: by a clerk, for this very deduction. R11, R13: the day is the bank's.
    let was_settled = matches!(asked.state, InstructionState::Settled | InstructionState::Reversed);
    if was_settled && answer.actual.is_positive() && asked.earlier.iter().all(|earlier| earlier.actual.is_zero()) {
        let same_money = answer.outcome == Outcome::Ok && answer.actual == asked.amount && answer.echo_agrees;
        let confirms = asked.state == InstructionState::Settled && same_money && answer.booked_on == asked.posted_on;
        return if confirms { Verdict::Confirmed } else { Verdict::Note(Class::DifferingAnswer) };
    }
    let same_serial = !answer.serial.is_empty() && asked.earlier.iter().any(|e| e.serial == answer.serial);
    if answer.actual.is_positive() {
        let class = if same_serial { Class::DifferingAnswer } else { Class::SecondPayment };
        return if same_serial { Verdict::Note(class) } else { Verdict::HoldBeside(class) };
    }
    Verdict::Note(match answer.outcome {
        Outcome::Ok => Class::ContradictoryReturn,
        Outcome::Unknown | Outcome::Duplicate | Outcome::Unmapped => Class::DifferingAnswer,
        _ if asked.state == InstructionState::Settled => Class::LateFailure,
        _ => Class::DifferingAnswer,
    })
}

/// Money that came through another channel (R14).
#[derive(Clone, Copy, Debug)]
pub struct OtherPayment<'a> {
    /// How much.
    pub amount: Money,
    /// For which fee year.
    pub fee_year: FeeYear,
    /// When it was paid.
    pub paid_on: Date,
    /// Versions of the plan; empty where there is none.
    pub versions: &'a [PlanVersion],
    /// State of the plan, where there is one.
    pub plan: Option<PlanState>,
    /// Participation status 正常 on that day (R6).
    pub normal: bool,
    /// Under the age limit on that day (R6).
    pub young_enough: bool,
    /// The government part was, or will be, paid to the person: nothing may be deemed received beside it.
    pub has_subsidy: bool,
}

/// R14: what follows from money through another channel: `Post`, `PostWhole` or `Hold`.
pub fn judge_payment(payment: &OtherPayment<'_>, today: Date) -> Verdict {
    let hold = Verdict::Hold;
    if payment.paid_on > today {
        return hold(Class::BadBookingDate);
    }
    if payment.paid_on.year() != payment.fee_year {
        return hold(Class::WrongYear);
    }
    let (Some(plan), Some(latest)) = (payment.plan, payment.versions.last()) else {
        return hold(Class::NoPlan);
    };
    if plan.is_paid() {
        return hold(Class::AlreadyReceived);
    }
    if !payment.normal {
        return hold(Class::Status);
    }
    if !payment.young_enough {
        return hold(Class::Age);
    }
    let due_now = latest.terms.ok().and_then(|terms| terms.subsidy);
    let that_day = in_force(payment.versions, payment.paid_on).and_then(|version| version.terms.ok());
    let fits = |terms: Option<Terms>| fit(terms?, due_now, payment.amount);
    match fits(that_day).or_else(|| fits(latest.terms.ok())) {
        Some(Verdict::Post(terms)) if payment.has_subsidy && terms.deemed().is_some() => hold(Class::ExPostPaid),
        Some(verdict) => verdict,
        None => hold(Class::PaymentAmount),
    }
}
