//! A plan (缴费计划): one participant × one fee year, its versions and its lifecycle.

use crate::domain::calendar::{Date, FeeYear};
use crate::domain::policy::{Refusal, Terms};

/// One version of a plan. Versions are only ever added: an instruction keeps the one it was made from (R7a).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanVersion {
    /// 1, 2, 3 …
    pub number: u32,
    /// In force from this day: the acceptance date of the file that caused it.
    pub from: Date,
    /// What is owed; `Err` says why nothing is planned.
    pub terms: Result<Terms, Refusal>,
}

/// The version in force on a day: the newest that had begun.
pub fn in_force(versions: &[PlanVersion], day: Date) -> Option<&PlanVersion> {
    versions.iter().rev().find(|version| version.from <= day)
}

/// State of a plan (design section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlanState {
    /// May be instructed.
    Planned,
    /// An instruction is live.
    Waiting,
    /// A clerk must look first.
    Exception,
    /// Nothing is owed any more: age, status, tier, identity.
    Removed,
    /// The year ended unpaid.
    Lapsed,
    /// The own part came in full.
    Received,
    /// Paid in full on their own: the government part goes to the person (R14).
    ExPost,
}

/// What happens to a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanEvent {
    /// An instruction was drafted from it.
    Instructed,
    /// Its instruction is no longer live and nothing came.
    Freed,
    /// An exception blocks it.
    Blocked,
    /// The exception was resolved; its instruction, if any, is not live.
    Unblocked,
    /// The exception was resolved; its instruction is live.
    UnblockedLive,
    /// The rules refuse it now.
    Removed,
    /// The rules gave it new terms.
    Replanned,
    /// 31 December passed.
    YearEnded,
    /// The own part came in full.
    Received,
    /// The whole tier came as own money and a government part is due (R14).
    PaidWhole,
    /// The money went back.
    Reversed,
}

/// A move that a lifecycle does not have: a broken invariant of ours, or an order that comes too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{subject} is {state}: {event} is not possible")]
pub struct IllegalTransition {
    /// What it concerns.
    pub subject: &'static str,
    /// Its state.
    pub state: &'static str,
    /// Its state, for clerks.
    pub state_zh: &'static str,
    /// What should have happened.
    pub event: &'static str,
}

impl IllegalTransition {
    /// The wording for clerks, whose order came too late.
    pub fn message_zh(&self) -> String {
        let subject = match self.subject {
            "batch" => "批次",
            "instruction" => "指令",
            "settlement" => "清算",
            "ex-post subsidy" => "事后补助",
            _ => "缴费计划",
        };
        format!("{subject}现为“{} {}”，不能这样处理", self.state_zh, self.state)
    }
}

impl PlanState {
    /// Every state with its word and its Chinese name.
    pub const ALL: [(PlanState, &str, &str); 7] = [
        (PlanState::Planned, "planned", "待扣款"),
        (PlanState::Waiting, "waiting", "等待中"),
        (PlanState::Exception, "exception", "例外待处理"),
        (PlanState::Removed, "removed", "已移出"),
        (PlanState::Lapsed, "lapsed", "已失效"),
        (PlanState::Received, "received", "已收足"),
        (PlanState::ExPost, "ex-post", "事后补助"),
    ];

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        PlanState::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        PlanState::ALL[self as usize].2
    }

    /// Every legal move; the last arm refuses.
    pub fn after(self, event: PlanEvent) -> Result<PlanState, IllegalTransition> {
        use PlanEvent as E;
        use PlanState::*;
        Ok(match (self, event) {
            (Planned, E::Instructed) => Waiting,
            (Waiting, E::Freed) => Planned,
            (Planned | Waiting | Exception, E::Blocked) => Exception,
            (Exception, E::Unblocked) => Planned,
            (Exception, E::UnblockedLive) => Waiting,
            (Planned | Waiting | Exception, E::Removed) => Removed,
            (Planned | Removed | Lapsed, E::Replanned) => Planned,
            (Waiting, E::Replanned) => Waiting,
            (Exception, E::Replanned) => Exception,
            (Planned | Waiting | Exception, E::YearEnded) => Lapsed,
            (Planned | Waiting | Exception | Removed | Lapsed, E::Received) => Received,
            (Planned | Waiting | Exception | Removed | Lapsed | Received, E::PaidWhole) => ExPost,
            (Received | ExPost, E::Reversed) => Planned,
            (state, event) => {
                let (state, state_zh) = (state.word(), state.chinese());
                return Err(IllegalTransition { subject: "plan", state, state_zh, event: event.word() });
            }
        })
    }

    /// What is left once the money went back: open again where something is still owed and the year is not over (R13).
    pub fn reopened(self, is_owed: bool, fee_year: FeeYear, today: Date) -> Result<PlanState, IllegalTransition> {
        let open = self.after(PlanEvent::Reversed)?;
        match is_owed {
            false => open.after(PlanEvent::Removed),
            true if today.year() > fee_year => open.after(PlanEvent::YearEnded),
            true => Ok(open),
        }
    }

    /// Whether the own part, or the whole tier, has come.
    pub fn is_paid(self) -> bool {
        matches!(self, PlanState::Received | PlanState::ExPost)
    }
}

impl PlanEvent {
    fn word(self) -> &'static str {
        match self {
            PlanEvent::Instructed => "instructed",
            PlanEvent::Freed => "freed",
            PlanEvent::Blocked => "blocked",
            PlanEvent::Unblocked | PlanEvent::UnblockedLive => "unblocked",
            PlanEvent::Removed => "removed",
            PlanEvent::Replanned => "replanned",
            PlanEvent::YearEnded => "year ended",
            PlanEvent::Received => "received",
            PlanEvent::PaidWhole => "paid whole",
            PlanEvent::Reversed => "reversed",
        }
    }
}
