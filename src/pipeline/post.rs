//! Post: what follows from each answer, as postings, new states and exceptions (R7a, R10 to R14, design section 6).

use crate::domain::calendar::{Date, Month};
use crate::domain::exception::Class;
use crate::domain::ids::InstructionNumber;
use crate::domain::instruction::{InstructionEvent, InstructionState};
use crate::domain::ledger::PostingKey;
use crate::domain::money::Money;
use crate::domain::plan::{PlanEvent, PlanState};
use crate::domain::policy::{Subsidy, Terms, posting_month};
use crate::domain::postings::{self, Booked};
use crate::domain::returns::{Asked, Outcome, Return, Verdict, judge};
use crate::pipeline::book::*;
use crate::pipeline::matching::{ReturnFile, Row, StrangeRow};
use crate::pipeline::planning::{has_obstacle, release_live};
use std::collections::BTreeSet;

/// True for the answer that needs no closer look: awaited, success, in full, echoed, in its time, plan unchanged.
pub fn is_plain(batch: &BatchLine, line: &Line, row: &Row, outcome: Outcome, today: Date) -> bool {
    outcome == Outcome::Ok
        && line.state == InstructionState::Sent
        && !line.closer
        && row.actual == line.amount
        && row.amount == line.amount
        && row.echo == line.echo
        && row.booked_on.is_some_and(|day| day >= batch.drafted_on && day <= today && day.year() == batch.fee_year)
}

/// Judges one row, and adds what follows to `out`.
pub fn post(book: &BatchBook, file: &ReturnFile, row: &Row, today: Date, out: &mut Changeset) {
    let line = &book.lines[(row.sequence - book.first) as usize];
    let outcome = file.outcome(row);
    if is_plain(&book.batch, line, row, outcome, today) {
        return post_plain(book, file, line, row, out);
    }
    let close_up = &book.close_ups[&row.sequence];
    let answer = Return {
        outcome,
        actual: row.actual,
        booked_on: row.booked_on,
        serial: file.serial(row).to_owned(),
        echo_agrees: row.echo == line.echo && row.amount == line.amount,
    };
    let verdict = judge(&asked(book, line, close_up, &answer), &answer, today);
    if verdict != Verdict::Unchanged || close_up.earlier.is_empty() {
        let first = close_up.earlier.is_empty();
        out.answers.push(answer_row(book, file, row, first));
    }
    Case { book, row, line, close_up, answer: &answer, today }.carry_out(verdict, out);
}

/// Received in full, as asked: the road of nearly every row.
fn post_plain(book: &BatchBook, file: &ReturnFile, line: &Line, row: &Row, out: &mut Changeset) {
    let number = number(book, row);
    let booked = booked(row.booked_on.expect("a plain row has a booking date"), &book.closed);
    let posting = postings::self_payment(PostingKey::Return(number), booked, row.actual, line.deemed);
    out.postings.push(NewPosting { posting, concerns: None });
    out.instructions.push((number, InstructionState::Settled, Some(Outcome::Ok)));
    out.answers.push(answer_row(book, file, row, true));
}

fn asked<'a>(book: &BatchBook, line: &Line, close_up: &'a CloseUp, answer: &Return) -> Asked<'a> {
    let plan = close_up.dossier.plan.as_ref();
    let participant = close_up.dossier.participant.as_ref();
    let booked_on = answer.booked_on.unwrap_or(book.batch.debit_on);
    let other_live =
        line.state != InstructionState::Settled && plan.is_some_and(|plan| plan.is_live_outside(book.batch.number));
    Asked {
        state: line.state,
        amount: line.amount,
        fee_year: book.batch.fee_year,
        drafted_on: book.batch.drafted_on,
        version: line.version,
        versions: close_up.dossier.versions(),
        plan: plan.map_or(PlanState::Removed, |plan| plan.state),
        normal: participant.is_some_and(|participant| participant.is_normal_on(booked_on)),
        other_live,
        has_subsidy: plan.is_some_and(|plan| plan.ex_post.is_some()),
        posted_on: close_up.posted_on,
        earlier: &close_up.earlier,
    }
}

/// One row with all that is known of it.
struct Case<'a> {
    book: &'a BatchBook,
    row: &'a Row,
    line: &'a Line,
    close_up: &'a CloseUp,
    answer: &'a Return,
    today: Date,
}

impl Case<'_> {
    fn carry_out(&self, verdict: Verdict, out: &mut Changeset) {
        match verdict {
            Verdict::Unchanged | Verdict::Confirmed => {}
            Verdict::Post(terms) => self.settle(&terms, out),
            Verdict::PostWhole(amount, subsidy) => self.settle_whole(amount, subsidy, out),
            Verdict::Hold(class) => self.hold(class, InstructionEvent::MoneyHeld, out),
            Verdict::HoldBeside(class) => self.hold_beside(class, out),
            Verdict::Fail => self.fail(out),
            Verdict::Doubt(class) => {
                self.move_instruction(InstructionEvent::Unknown, out);
                self.note(class, out);
            }
            Verdict::Note(class) => {
                self.note(class, out);
                self.move_plan(PlanEvent::Blocked, 0, out);
            }
        }
    }

    fn settle(&self, terms: &Terms, out: &mut Changeset) {
        let posting = postings::self_payment(self.key(), self.booked(), terms.own(), terms.deemed());
        self.push_posting(posting, out);
        self.move_instruction(InstructionEvent::Settled, out);
        self.move_plan(PlanEvent::Received, 0, out);
        self.close_answered(out);
    }

    /// R14: the whole tier was what we instructed, and a government part is due after all.
    fn settle_whole(&self, amount: Money, subsidy: Subsidy, out: &mut Changeset) {
        let booked = self.booked();
        self.push_posting(postings::self_payment(self.key(), booked, amount, None), out);
        self.move_instruction(InstructionEvent::Settled, out);
        self.move_plan(PlanEvent::PaidWhole, 0, out);
        self.close_answered(out);
        // What was paid to the person before its own money went back still stands.
        if self.close_up.dossier.plan.as_ref().is_some_and(|plan| plan.ex_post.is_some()) {
            return;
        }
        out.ex_post.push(ExPost {
            participant: self.close_up.dossier.id,
            fee_year: self.book.batch.fee_year,
            subsidy,
            paid: amount,
            booked_on: booked.on,
        });
    }

    fn hold(&self, class: Class, event: InstructionEvent, out: &mut Changeset) {
        self.suspend(class, out);
        self.move_instruction(event, out);
        self.close_answered(out);
        if self.line.state == InstructionState::Failed || self.line.state == InstructionState::Cancelled {
            self.move_plan(PlanEvent::Blocked, 0, out);
        }
    }

    fn hold_beside(&self, class: Class, out: &mut Changeset) {
        self.suspend(class, out);
        self.block_other(out);
    }

    /// R14: open suspense blocks what has not left; what is at the bank will be looked at closely when it answers.
    fn block_other(&self, out: &mut Changeset) {
        let Some(plan) = &self.close_up.dossier.plan else { return };
        let other = plan.live().is_some_and(|live| live.number != number(self.book, self.row));
        let state = if other { release_live(plan, plan.state, out) } else { plan.state };
        if let (true, Ok(state)) = (state != PlanState::Waiting, state.after(PlanEvent::Blocked)) {
            self.push_plan(state, 0, out);
        }
    }

    fn suspend(&self, class: Class, out: &mut Changeset) {
        let index = out.postings.len();
        self.push_posting(postings::suspense(self.key(), self.booked(), self.answer.actual), out);
        out.opened.push(NewException {
            amount: self.answer.actual,
            posting: Some(index),
            ..self.exception(class, self.differences())
        });
    }

    /// The bank took nothing. 余额不足 goes into the next round, anything else waits for a clerk's fix.
    fn fail(&self, out: &mut Changeset) {
        self.move_instruction(InstructionEvent::Failed, out);
        self.close_answered(out);
        let needs_fix = self.answer.outcome != Outcome::InsufficientFunds;
        if needs_fix {
            let reason = format!("银行未扣款：{} {}", self.answer.outcome.chinese(), self.answer.outcome.word());
            out.opened.push(self.exception(Class::Failed, reason));
        }
        let Some(plan) = self.waiting_plan() else { return };
        let freed = freed(plan, &self.close_up.dossier, None, out);
        let state = if needs_fix { freed.after(PlanEvent::Blocked).unwrap_or(freed) } else { freed };
        self.push_plan(state, 1, out);
    }

    fn note(&self, class: Class, out: &mut Changeset) {
        out.opened.push(self.exception(class, self.differences()));
    }

    /// The plan, if it waits for this very instruction.
    fn waiting_plan(&self) -> Option<&PlanBook> {
        let plan = self.close_up.dossier.plan.as_ref()?;
        let newest = plan.instruction.as_ref()?.number == number(self.book, self.row);
        (newest && plan.state == PlanState::Waiting).then_some(plan)
    }

    fn move_instruction(&self, event: InstructionEvent, out: &mut Changeset) {
        let state = self.line.state.after(event).expect("the verdict fits the state it was made for");
        out.instructions.push((number(self.book, self.row), state, Some(self.answer.outcome)));
    }

    fn move_plan(&self, event: PlanEvent, failed: u32, out: &mut Changeset) {
        let Some(plan) = &self.close_up.dossier.plan else { return };
        // A waiting plan stays so while its instruction is live: the exception alone blocks it.
        if event == PlanEvent::Blocked && plan.state == PlanState::Waiting {
            return;
        }
        if let Ok(state) = plan.state.after(event) {
            self.push_plan(state, failed, out);
        }
    }

    fn push_plan(&self, state: PlanState, failed: u32, out: &mut Changeset) {
        out.plans.push(PlanChange {
            participant: self.close_up.dossier.id,
            fee_year: self.book.batch.fee_year,
            version: None,
            state,
            failed,
            turns_limit: None,
        });
    }

    /// An answer ends the doubt of an earlier one, and its absence.
    fn close_answered(&self, out: &mut Changeset) {
        for open in self.close_up.dossier.open.iter().filter(|open| DOUBTS.contains(&open.class)) {
            out.closed.push((open.id, "银行已回盘".to_owned()));
        }
    }

    fn push_posting(&self, posting: crate::domain::ledger::Posting, out: &mut Changeset) {
        let answer = self.answer;
        let concerns = Concerns {
            participant: Some(self.close_up.dossier.id),
            fee_year: Some(self.book.batch.fee_year),
            version: self.posted_version(),
            instruction: Some(number(self.book, self.row)),
            line: Some(self.row.line),
            content: content(&answer.serial, answer.actual, answer.booked_on),
        };
        out.postings.push(NewPosting { posting, concerns: Some(Box::new(concerns)) });
    }

    /// R7a: the version in force on the booking date, not older than the one it was made from.
    fn posted_version(&self) -> Option<u32> {
        let booked_on = self.answer.booked_on?;
        let current = crate::domain::plan::in_force(self.close_up.dossier.versions(), booked_on)?;
        Some(current.number.max(self.line.version))
    }

    /// `ret:<instruction>` once, whatever the outcome; further money by its bank serial.
    fn key(&self) -> PostingKey {
        let number = number(self.book, self.row);
        if self.close_up.posted_on.is_none() {
            return PostingKey::Return(number);
        }
        PostingKey::FurtherReturn(number, money_mark(&self.answer.serial, self.answer.actual, self.answer.booked_on))
    }

    fn booked(&self) -> Booked {
        known(self.answer.booked_on, self.today, &self.book.closed)
    }

    fn exception(&self, class: Class, reason: String) -> NewException {
        NewException {
            instruction: Some(number(self.book, self.row)),
            line: Some(self.row.line),
            ..NewException::note(class, &self.close_up.dossier, reason)
        }
    }

    /// Expected and found, without anything personal.
    fn differences(&self) -> String {
        let answer = self.answer;
        let (chinese, word) = (answer.outcome.chinese(), answer.outcome.word());
        let mut words =
            format!("银行处理结果：{chinese} {word}，应扣 {} 元，实扣 {} 元", self.line.amount, answer.actual);
        if let Some(day) = answer.booked_on {
            words.push_str(&format!("，记账日 {day}"));
        }
        if self.row.echo != self.line.echo {
            words.push_str("，账号、证件号或姓名与发出的不一致");
        }
        if self.row.amount != self.line.amount {
            words.push_str(&format!("，回盘上的应扣金额为 {} 元", self.row.amount));
        }
        words
    }
}

/// What the bank's answer settles.
const DOUBTS: [Class; 3] = [Class::UnknownResult, Class::ContradictoryReturn, Class::MissingRow];

/// A plan whose instruction failed: asked for again, unless something stands in its way. R14: money that came another way
/// meanwhile still waits for a clerk. R18: the roster may have changed while the bank was asked. `closing` is an exception
/// that ends with this.
pub(super) fn freed(plan: &PlanBook, dossier: &Dossier, closing: Option<i64>, out: &mut Changeset) -> PlanState {
    let freed = plan.state.after(PlanEvent::Freed).unwrap_or(plan.state);
    let waits = dossier.open.iter().any(|open| !DOUBTS.contains(&open.class) && Some(open.id) != closing);
    let next = dossier.participant.as_ref().zip(plan.latest().terms.ok());
    let cannot = next.is_some_and(|(person, terms)| has_obstacle(dossier, person, &terms, out));
    if waits || cannot { freed.after(PlanEvent::Blocked).unwrap_or(freed) } else { freed }
}

/// A row that comes twice in one file: the first counted; money under another serial is further money.
pub fn post_double(book: &BatchBook, file: &ReturnFile, row: &Row, first: &Row, today: Date, out: &mut Changeset) {
    let line = &book.lines[(row.sequence - book.first) as usize];
    let number = number(book, row);
    let id = crate::domain::ids::IdNumber::from_key(line.participant);
    let mut exception = NewException {
        class: Class::DuplicateRow,
        participant: Some(id),
        fee_year: Some(book.batch.fee_year),
        instruction: Some(number),
        line: Some(row.line),
        amount: Money::ZERO,
        posting: None,
        reason: format!("该指令在同一文件第 {} 行已有回盘", first.line),
        held_on: None,
    };
    let further = row.actual.is_positive() && file.serial(row) != file.serial(first);
    if further {
        let mark = money_mark(file.serial(row), row.actual, row.booked_on);
        let booked = known(row.booked_on, today, &book.closed);
        let posting = postings::suspense(PostingKey::FurtherReturn(number, mark.clone()), booked, row.actual);
        exception.amount = row.actual;
        exception.posting = Some(out.postings.len());
        out.postings.push(NewPosting {
            posting,
            concerns: Some(Box::new(Concerns {
                participant: Some(id),
                fee_year: Some(book.batch.fee_year),
                instruction: Some(number),
                line: Some(row.line),
                content: content(&mark, row.actual, row.booked_on),
                ..Concerns::default()
            })),
        });
    }
    out.answers.push(answer_row(book, file, row, false));
    out.opened.push(exception);
}

/// Money under a number that is not ours is booked all the same.
pub fn post_stranger(bank: &str, row: &StrangeRow, closed: &BTreeSet<Month>, today: Date, out: &mut Changeset) {
    let mut exception = NewException {
        class: Class::UnknownInstruction,
        participant: None,
        fee_year: None,
        instruction: None,
        line: Some(row.line),
        amount: Money::ZERO,
        posting: None,
        reason: "该行的指令流水号不属于这个批次".to_owned(),
        held_on: None,
    };
    if row.actual.is_positive() {
        let mark = money_mark(&row.serial, row.actual, row.booked_on);
        let key = PostingKey::StrangeReturn(bank.to_owned(), row.text.clone(), mark.clone());
        let posting = postings::suspense(key, known(row.booked_on, today, closed), row.actual);
        exception.amount = row.actual;
        exception.posting = Some(out.postings.len());
        let content = content(&mark, row.actual, row.booked_on);
        let concerns = Concerns { line: Some(row.line), content, ..Concerns::default() };
        out.postings.push(NewPosting { posting, concerns: Some(Box::new(concerns)) });
    }
    out.opened.push(exception);
}

/// The bank serial; where the bank gives none, what it says of the money.
fn money_mark(serial: &str, actual: Money, booked_on: Option<Date>) -> String {
    match (serial, booked_on) {
        ("", Some(day)) => format!("{day}/{actual}"),
        ("", None) => format!("-/{actual}"),
        (serial, _) => serial.to_owned(),
    }
}

/// What stands behind a key: the same again is a repeat, anything else a conflict.
fn content(mark: &str, actual: Money, booked_on: Option<Date>) -> String {
    format!("{mark} {actual} {booked_on:?}")
}

/// R11: the booking date and its month, or the first open month after it.
pub fn booked(on: Date, closed: &BTreeSet<Month>) -> Booked {
    Booked { on, month: posting_month(on, |month| closed.contains(&month)) }
}

/// As [`booked`]; money without a day, or of a day that has not come, on the day on which it became known.
pub fn known(on: Option<Date>, today: Date, closed: &BTreeSet<Month>) -> Booked {
    booked(on.filter(|on| *on <= today).unwrap_or(today), closed)
}

fn number(book: &BatchBook, row: &Row) -> InstructionNumber {
    InstructionNumber { batch: book.batch.number, sequence: row.sequence }
}

fn answer_row(book: &BatchBook, file: &ReturnFile, row: &Row, is_first: bool) -> AnswerRow {
    AnswerRow {
        instruction: number(book, row),
        line: row.line,
        serial: row.serial,
        code: row.code,
        outcome: file.outcome(row),
        is_first,
        amount: row.amount,
        actual: row.actual,
        booked_on: row.booked_on,
    }
}
