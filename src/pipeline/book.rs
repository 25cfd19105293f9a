//! What the flow may know ([`Dossier`], [`BatchBook`]) and all that it decided ([`Changeset`]).

use crate::domain::calendar::{Date, FeeYear, Month};
use crate::domain::exception::Class;
use crate::domain::ids::{BatchNumber, IdNumber, InstructionNumber};
use crate::domain::instruction::{BatchEvent, BatchState, InstructionState};
use crate::domain::ledger::{Account, Posting};
use crate::domain::money::Money;
use crate::domain::participant::{BankNumber, Participant, Recognition};
use crate::domain::plan::{PlanState, PlanVersion};
use crate::domain::policy::{Circumstances, Subsidy};
use crate::domain::returns::{Outcome, Return};
use crate::domain::settlement::ExPostState;
use crate::pipeline::matching::Texts;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Everything known of one participant and fee year.
#[derive(Clone, Debug)]
pub struct Dossier {
    /// Whose.
    pub id: IdNumber,
    /// Which year.
    pub fee_year: FeeYear,
    /// The roster's row; `None` for people who are not enrolled.
    pub participant: Option<Participant>,
    /// Their rows in all lists in force.
    pub recognitions: Vec<Recognition>,
    /// Whether any list ever had them.
    pub ever_listed: bool,
    /// Other names on lists that a clerk confirmed (R17).
    pub confirmed_names: Vec<String>,
    /// Account holders that a clerk approved (R18).
    pub confirmed_holders: Vec<String>,
    /// The plan, where there is one.
    pub plan: Option<PlanBook>,
    /// Open exceptions of this participant for this year or for any.
    pub open: Vec<OpenException>,
}

/// A plan with all that hangs on it.
#[derive(Clone, Debug)]
pub struct PlanBook {
    /// Its state.
    pub state: PlanState,
    /// Its versions, oldest first; never empty.
    pub versions: Vec<PlanVersion>,
    /// The enrolment district that its newest version was made in.
    pub enrolled: Option<Enrolled>,
    /// Its newest instruction.
    pub instruction: Option<InstructionBook>,
    /// An older one that is live once more: it had failed, and then money came for it.
    pub older_live: Option<InstructionNumber>,
    /// How many instructions the bank has failed.
    pub attempts: u32,
    /// What was posted for it and stands.
    pub paid: Option<Paid>,
    /// State of its ex-post subsidy, unless that was withdrawn.
    pub ex_post: Option<ExPostState>,
}

impl PlanBook {
    /// The newest version.
    pub fn latest(&self) -> &PlanVersion {
        self.versions.last().expect("a plan has a version")
    }

    /// Its instruction, while that is live.
    pub fn live(&self) -> Option<&InstructionBook> {
        self.instruction.as_ref().filter(|instruction| instruction.state.is_live())
    }

    /// R12: whether an instruction of another batch is live.
    pub fn is_live_outside(&self, batch: BatchNumber) -> bool {
        let newest = self.live().map(|live| live.number);
        newest.into_iter().chain(self.older_live).any(|live| live.batch != batch)
    }
}

/// The newest instruction of a plan.
#[derive(Clone, Copy, Debug)]
pub struct InstructionBook {
    /// Its number.
    pub number: InstructionNumber,
    /// Its state.
    pub state: InstructionState,
    /// Debit date of its batch.
    pub debit_on: Date,
    /// 1, 2, 3 …
    pub attempt: u32,
}

impl PlanBook {
    /// Number of the next attempt: an instruction that was cancelled was none.
    pub fn next_attempt(&self) -> u32 {
        self.instruction.as_ref().map_or(1, |newest| match newest.state {
            InstructionState::Cancelled => newest.attempt,
            _ => newest.attempt + 1,
        })
    }
}

/// The standing posting that credited `personal/own` (or the deemed part alone).
#[derive(Clone, Copy, Debug)]
pub struct Paid {
    /// Its booking date.
    pub booked_on: Date,
    /// Own money posted.
    pub own: Money,
    /// Deemed part posted.
    pub deemed: Money,
}

/// An exception that waits for a clerk.
#[derive(Clone, Debug)]
pub struct OpenException {
    /// Its id.
    pub id: i64,
    /// Its class.
    pub class: Class,
    /// Money that it holds in suspense.
    pub amount: Money,
    /// When the bank booked that money.
    pub booked_on: Option<Date>,
    /// The instruction that it concerns.
    pub instruction: Option<InstructionNumber>,
}

impl Dossier {
    /// What the rules of a plan may know; `None` for people who are not enrolled.
    pub fn circumstances(&self) -> Option<Circumstances<'_>> {
        Some(Circumstances {
            participant: self.participant.as_ref()?,
            recognitions: &self.recognitions,
            ever_listed: self.ever_listed,
            confirmed_names: &self.confirmed_names,
        })
    }

    /// Money in suspense for this person and year (R14).
    pub fn in_suspense(&self) -> Money {
        self.open.iter().map(|exception| exception.amount).sum()
    }

    /// Whether the plan's versions are known, else none.
    pub fn versions(&self) -> &[PlanVersion] {
        self.plan.as_ref().map_or(&[], |plan| &plan.versions)
    }
}

/// A batch and the instructions of one stretch of it.
#[derive(Clone, Debug)]
pub struct BatchBook {
    /// The book's version: `apply` refuses what was decided on an older one.
    pub version: u64,
    /// The batch.
    pub batch: BatchLine,
    /// Its instructions from sequence `first` on, without gap.
    pub lines: Vec<Line>,
    /// Sequence of the first line.
    pub first: u32,
    /// What is known of the rows that need a closer look, by sequence.
    pub close_ups: HashMap<u32, CloseUp>,
    /// Months that are closed (R11).
    pub closed: BTreeSet<Month>,
}

impl BatchBook {
    /// This book, read while another stretch of the same batch was written: what that stretch was decided on, and what
    /// it led to, is `written`. It holds where nothing else was written since it was read, and where that stretch moved
    /// no other batch: stretches share neither an instruction nor a participant (R12), but a batch that is withdrawn frees
    /// the plans of everybody in it.
    pub fn after(self, written: &Changeset) -> Option<BatchBook> {
        let next = written.book_version + 1;
        let is_newest = self.version == written.book_version || self.version == next;
        let is_alone = written.batches.iter().all(|(batch, _)| *batch == self.batch.number);
        (is_newest && is_alone).then_some(BatchBook { version: next, ..self })
    }
}

/// A batch as stored.
#[derive(Clone, Debug)]
pub struct BatchLine {
    /// Its number.
    pub number: BatchNumber,
    /// The bank; `None` for a zero-payment batch.
    pub bank: Option<BankNumber>,
    /// Its fee year.
    pub fee_year: FeeYear,
    /// Its debit date.
    pub debit_on: Date,
    /// Business date of drafting.
    pub drafted_on: Date,
    /// Number of instructions.
    pub count: u32,
    /// Sum of their amounts.
    pub amount: Money,
    /// Its state.
    pub state: BatchState,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Name of its file; empty for a zero-payment batch.
    pub file: String,
}

/// One instruction, as narrow as the hot path needs it.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The participant's key.
    pub participant: i64,
    /// Amount instructed.
    pub amount: Money,
    /// The account that owes the government part, and how much.
    pub deemed: Option<(Account, Money)>,
    /// Digest of what the bank must echo.
    pub echo: i64,
    /// The plan version that it was made from.
    pub version: u32,
    /// Its state.
    pub state: InstructionState,
    /// Its plan changed or was paid elsewhere while it was live.
    pub closer: bool,
}

/// What is known of one row that is not plain.
#[derive(Clone, Debug)]
pub struct CloseUp {
    /// Participant and plan, without lists: an answer is judged by the plan alone.
    pub dossier: Dossier,
    /// Answers so far, oldest first.
    pub earlier: Vec<Return>,
    /// Booking date of the posting under the instruction's own key, where there is one.
    pub posted_on: Option<Date>,
}

/// All that was decided: written by one transaction, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Changeset {
    /// The book's version that it was decided on.
    pub book_version: u64,
    /// Answers to keep.
    pub answers: Vec<AnswerRow>,
    /// What the bank wrote: the answers point here.
    pub texts: Arc<Texts>,
    /// New states of instructions.
    pub instructions: Vec<(InstructionNumber, InstructionState, Option<Outcome>)>,
    /// Postings with what they concern.
    pub postings: Vec<NewPosting>,
    /// New states of plans; attempts to add.
    pub plans: Vec<PlanChange>,
    /// Exceptions to open.
    pub opened: Vec<NewException>,
    /// Opened exceptions (index) whose money came with a posting that is stored already.
    pub rests: Vec<(usize, i64)>,
    /// Exceptions to close, with the words of the resolution.
    pub closed: Vec<(i64, String)>,
    /// What payers' money clears.
    pub clearings: Vec<NewClearing>,
    /// Ex-post subsidies due.
    pub ex_post: Vec<ExPost>,
    /// Ex-post subsidies that are due no more.
    pub ex_post_withdrawn: Vec<(IdNumber, FeeYear)>,
    /// Live instructions whose answer needs a closer look.
    pub closer: Vec<InstructionNumber>,
    /// Batches that move.
    pub batches: Vec<(BatchNumber, BatchEvent)>,
    /// A part of a batch's answer: batch, part, final.
    pub part: Option<(BatchNumber, u32, bool)>,
}

impl Changeset {
    /// Makes room for so many plain answers: each is kept, moves its instruction and is posted.
    pub fn expect_plain(&mut self, count: usize) {
        self.answers.reserve(count);
        self.instructions.reserve(count);
        self.postings.reserve(count);
    }
}

/// An answer to keep.
#[derive(Clone, Copy, Debug)]
pub struct AnswerRow {
    /// The instruction.
    pub instruction: InstructionNumber,
    /// Line of its file.
    pub line: u32,
    /// Bank serial: its place in the changeset's texts.
    pub serial: u32,
    /// The bank's own code: its place in the changeset's texts.
    pub code: u16,
    /// Class of the code.
    pub outcome: Outcome,
    /// First answer of the instruction; later ones are kept beside it.
    pub is_first: bool,
    /// Amount echoed.
    pub amount: Money,
    /// Amount taken.
    pub actual: Money,
    /// Booking date.
    pub booked_on: Option<Date>,
}

/// A posting with what it concerns.
#[derive(Clone, Debug)]
pub struct NewPosting {
    /// The posting.
    pub posting: Posting,
    /// More than the instruction number says; `None` for the plain posting of a return.
    pub concerns: Option<Box<Concerns>>,
}

/// What a posting concerns, beyond what its key says.
#[derive(Clone, Debug, Default)]
pub struct Concerns {
    /// The participant, where known.
    pub participant: Option<IdNumber>,
    /// The fee year, where known.
    pub fee_year: Option<FeeYear>,
    /// The plan version that it was posted by.
    pub version: Option<u32>,
    /// The instruction.
    pub instruction: Option<InstructionNumber>,
    /// Row of the file.
    pub line: Option<u32>,
    /// What the content behind the key was, to tell a repeat from a conflict.
    pub content: String,
}

impl Concerns {
    /// Digest of the content behind the key.
    pub fn content_digest(&self) -> [u8; 32] {
        Sha256::digest(self.content.as_bytes()).into()
    }
}

/// A plan's new version, new state, or both.
#[derive(Clone, Debug)]
pub struct PlanChange {
    /// Whose.
    pub participant: IdNumber,
    /// Which year.
    pub fee_year: FeeYear,
    /// The version to add.
    pub version: Option<(PlanVersion, Enrolled)>,
    /// The new state.
    pub state: PlanState,
    /// Failed attempts to add.
    pub failed: u32,
    /// Reaches the age limit within the fee year (R6).
    pub turns_limit: Option<bool>,
}

/// The enrolment district that a version was made in.
pub type Enrolled = crate::domain::participant::DistrictCode;

/// An exception to open.
#[derive(Clone, Debug)]
pub struct NewException {
    /// Its class.
    pub class: Class,
    /// Whom it concerns.
    pub participant: Option<IdNumber>,
    /// Which year; `None` for any.
    pub fee_year: Option<FeeYear>,
    /// Which instruction.
    pub instruction: Option<InstructionNumber>,
    /// Line or row of the file.
    pub line: Option<u32>,
    /// Money that it holds in suspense.
    pub amount: Money,
    /// Index into the changeset's postings of the posting that put the money there.
    pub posting: Option<usize>,
    /// What happened, in words without personal data.
    pub reason: String,
    /// Of a rest, which has no posting of its own: when the bank booked its money.
    pub held_on: Option<Date>,
}

/// An ex-post subsidy due to a person (R14).
#[derive(Clone, Debug)]
pub struct ExPost {
    /// Who gets it.
    pub participant: IdNumber,
    /// For which year.
    pub fee_year: FeeYear,
    /// Who pays how much.
    pub subsidy: Subsidy,
    /// What the person paid.
    pub paid: Money,
    /// When the bank booked it. Due from this day on, or from the acceptance of the list that came later (R15).
    pub booked_on: Date,
}

/// Of a payer's money so much clears a settlement (R16).
#[derive(Clone, Copy, Debug)]
pub struct NewClearing {
    /// Index into the changeset's postings of the posting that moves it.
    pub posting: usize,
    /// Stored number of the settlement.
    pub settlement: i64,
    /// Stored number of the posting that the money came with; `None` for this very one.
    pub transfer: Option<i64>,
    /// How much.
    pub amount: Money,
}

impl NewException {
    /// An exception without money.
    pub fn note(class: Class, dossier: &Dossier, reason: impl Into<String>) -> NewException {
        NewException {
            class,
            participant: Some(dossier.id),
            fee_year: Some(dossier.fee_year),
            instruction: None,
            line: None,
            amount: Money::ZERO,
            posting: None,
            reason: reason.into(),
            held_on: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_read_ahead_holds_only_beside_its_own_batch() {
        let day = Date::constant(2018, 7, 4);
        let (own, other) = (BatchNumber::new(day, 1, 1), BatchNumber::new(day, 1, 2));
        let book = |version| BatchBook {
            version,
            batch: BatchLine {
                number: own,
                bank: Some(BankNumber(1)),
                fee_year: 2018,
                debit_on: day,
                drafted_on: day,
                count: 0,
                amount: Money::ZERO,
                state: BatchState::Sent,
                sha256: [0; 32],
                file: String::new(),
            },
            lines: Vec::new(),
            first: 1,
            close_ups: HashMap::new(),
            closed: BTreeSet::new(),
        };
        let written = |batches| Changeset { book_version: 7, batches, ..Changeset::default() };
        let accepted = written(vec![(own, BatchEvent::Accepted)]);
        let withdrew = written(vec![(own, BatchEvent::Accepted), (other, BatchEvent::Withdrawn)]);
        for (read_at, holds) in [(6, false), (7, true), (8, true), (9, false)] {
            assert_eq!(book(read_at).after(&accepted).map(|book| book.version), holds.then_some(8), "{read_at}");
            assert!(book(read_at).after(&withdrew).is_none(), "{read_at}");
        }
    }
}
