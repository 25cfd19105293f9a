//! Instructions and batches: what we ask of a bank, and how far that has come.

use crate::domain::money::Money;
use crate::domain::plan::IllegalTransition;

/// State of an instruction (design section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstructionState {
    /// In a batch that nobody has released.
    Drafted,
    /// May be sent.
    Released,
    /// Left the bureau: from batch `sending` on.
    Sent,
    /// The bank took the full own part and it is posted.
    Settled,
    /// The bank took nothing.
    Failed,
    /// The money may have moved: nothing new is asked until this is known.
    Unknown,
    /// Money came that may not be posted yet.
    Suspense,
    /// Never left, or the bank rejected the whole file.
    Cancelled,
    /// The money in suspense went back.
    Refunded,
    /// The bank took the settled money back.
    Reversed,
}

/// What happens to an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionEvent {
    /// The batch was released.
    Released,
    /// The batch began to leave.
    Sent,
    /// Received in full and posted.
    Settled,
    /// The bank took nothing.
    Failed,
    /// The bank does not know, or contradicts itself.
    Unknown,
    /// Money came that may not be posted.
    MoneyHeld,
    /// Withdrawn before it left.
    Withdrawn,
    /// The bank rejected the whole file.
    FileRejected,
    /// An operator found that it never arrived.
    NeverArrived,
    /// Suspense money went back.
    Refunded,
    /// The bank took settled money back.
    Reversed,
}

impl InstructionState {
    /// Every state with its word and its Chinese name.
    pub const ALL: [(InstructionState, &str, &str); 10] = [
        (InstructionState::Drafted, "drafted", "已起草"),
        (InstructionState::Released, "released", "已放行"),
        (InstructionState::Sent, "sent", "已发送"),
        (InstructionState::Settled, "settled", "已扣款入账"),
        (InstructionState::Failed, "failed", "扣款失败"),
        (InstructionState::Unknown, "unknown", "结果未知"),
        (InstructionState::Suspense, "suspense", "暂收款"),
        (InstructionState::Cancelled, "cancelled", "已取消"),
        (InstructionState::Refunded, "refunded", "已退款"),
        (InstructionState::Reversed, "reversed", "已冲正"),
    ];

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        InstructionState::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        InstructionState::ALL[self as usize].2
    }

    /// R12: while one is live, no other is made for the participant and fee year.
    pub fn is_live(self) -> bool {
        use InstructionState::*;
        matches!(self, Drafted | Released | Sent | Unknown | Suspense)
    }

    /// Every legal move; the last arm refuses.
    pub fn after(self, event: InstructionEvent) -> Result<InstructionState, IllegalTransition> {
        use InstructionEvent as E;
        use InstructionState::*;
        Ok(match (self, event) {
            (Drafted, E::Released) => Released,
            (Released, E::Sent) => Sent,
            (Drafted | Released, E::Withdrawn) => Cancelled,
            (Sent, E::FileRejected) => Cancelled,
            (Sent, E::NeverArrived) => Released,
            (Sent | Unknown | Suspense, E::Settled) => Settled,
            (Sent | Unknown, E::Failed) => Failed,
            (Sent, E::Unknown) => Unknown,
            (Sent | Unknown | Failed | Cancelled, E::MoneyHeld) => Suspense,
            (Suspense, E::Refunded) => Refunded,
            (Settled, E::Reversed) => Reversed,
            (state, event) => {
                let (state, state_zh) = (state.word(), state.chinese());
                return Err(IllegalTransition { subject: "instruction", state, state_zh, event: event.word() });
            }
        })
    }
}

impl InstructionEvent {
    fn word(self) -> &'static str {
        match self {
            InstructionEvent::Released => "released",
            InstructionEvent::Sent => "sent",
            InstructionEvent::Settled => "settled",
            InstructionEvent::Failed => "failed",
            InstructionEvent::Unknown => "unknown",
            InstructionEvent::MoneyHeld => "money held",
            InstructionEvent::Withdrawn => "withdrawn",
            InstructionEvent::FileRejected => "file rejected",
            InstructionEvent::NeverArrived => "never arrived",
            InstructionEvent::Refunded => "refunded",
            InstructionEvent::Reversed => "reversed",
        }
    }
}

/// State of a batch (design section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BatchState {
    /// Rendered, waiting for release.
    Drafted,
    /// May be sent.
    Released,
    /// On its way; a crash here is settled by looking, never by sending again.
    Sending,
    /// There is evidence that the bank has it.
    Sent,
    /// It may or may not be there: an operator decides.
    SentUnconfirmed,
    /// The bank answers its rows.
    Accepted,
    /// The bank refused the whole file.
    FileRejected,
    /// Every instruction has its answer.
    Complete,
    /// Withdrawn before it left.
    Cancelled,
}

/// What happens to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchEvent {
    /// Approved by the digest of its bytes.
    Released,
    /// Delivery begins.
    Sending,
    /// Evidence of delivery: seen by us, a return file, or an operator's word.
    Delivered,
    /// Delivery ended without evidence, or the bank says that it had this batch before.
    InDoubt,
    /// An operator found that it never arrived.
    NeverArrived,
    /// The bank answers rows.
    Accepted,
    /// The bank refused the file.
    Rejected,
    /// The last answer is in.
    Completed,
    /// Withdrawn before it left.
    Withdrawn,
}

impl BatchState {
    /// Every state with its word and its Chinese name.
    pub const ALL: [(BatchState, &str, &str); 9] = [
        (BatchState::Drafted, "drafted", "已起草"),
        (BatchState::Released, "released", "已放行"),
        (BatchState::Sending, "sending", "发送中"),
        (BatchState::Sent, "sent", "已发送"),
        (BatchState::SentUnconfirmed, "sent-unconfirmed", "发送未确认"),
        (BatchState::Accepted, "accepted", "银行已受理"),
        (BatchState::FileRejected, "file-rejected", "整批被拒"),
        (BatchState::Complete, "complete", "已完成"),
        (BatchState::Cancelled, "cancelled", "已取消"),
    ];

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        BatchState::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        BatchState::ALL[self as usize].2
    }

    /// Every legal move; the last arm refuses.
    pub fn after(self, event: BatchEvent) -> Result<BatchState, IllegalTransition> {
        use BatchEvent as E;
        use BatchState::*;
        Ok(match (self, event) {
            (Drafted, E::Released) => Released,
            (Drafted | Released, E::Withdrawn) => Cancelled,
            (Released, E::Sending) => Sending,
            (Released | Sending | SentUnconfirmed, E::Delivered) => Sent,
            (Sending | Sent, E::InDoubt) => SentUnconfirmed,
            (SentUnconfirmed, E::NeverArrived) => Released,
            (Sent | SentUnconfirmed | Accepted, E::Accepted) => Accepted,
            (Sent | SentUnconfirmed, E::Rejected) => FileRejected,
            (Accepted, E::Completed) => Complete,
            (state, event) => {
                let (state, state_zh) = (state.word(), state.chinese());
                return Err(IllegalTransition { subject: "batch", state, state_zh, event: event.word() });
            }
        })
    }
}

impl BatchEvent {
    fn word(self) -> &'static str {
        match self {
            BatchEvent::Released => "released",
            BatchEvent::Sending => "sending",
            BatchEvent::Delivered => "delivered",
            BatchEvent::InDoubt => "delivery in doubt",
            BatchEvent::NeverArrived => "never arrived",
            BatchEvent::Accepted => "accepted",
            BatchEvent::Rejected => "rejected",
            BatchEvent::Completed => "completed",
            BatchEvent::Withdrawn => "withdrawn",
        }
    }
}

/// Count and sum of a batch: proved when it goes out and when it comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlTotals {
    /// Number of instructions.
    pub count: u32,
    /// Sum of their amounts.
    pub amount: Money,
}

impl ControlTotals {
    /// Totals of these amounts.
    pub fn of(amounts: impl IntoIterator<Item = Money>) -> ControlTotals {
        amounts.into_iter().fold(ControlTotals::default(), |totals, amount| ControlTotals {
            count: totals.count + 1,
            amount: totals.amount + amount,
        })
    }
}
