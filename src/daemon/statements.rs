//! Takes statements of the collection account (R22): whose money each line is. What a batch brought in is compared
//! later; what the bank took back is taken back here; what nobody explains waits in suspense.

use crate::config::Config;
use crate::daemon::bureau::{Order, Step};
use crate::daemon::intake::{Ended, Taking};
use crate::daemon::resolving::{matter, matter_of, replan};
use crate::daemon::roster::notices;
use crate::domain::exception::Class;
use crate::domain::ids::{BatchNumber, InstructionNumber};
use crate::domain::instruction::BatchState;
use crate::domain::ledger::{Event, PostingKey};
use crate::domain::money::Money;
use crate::domain::postings;
use crate::domain::reconciling::Bundle;
use crate::format::table::Table;
use crate::pipeline::book::{Changeset, Concerns, Dossier, NewException, NewPosting};
use crate::pipeline::emit::findings;
use crate::pipeline::intake::{StatementRow, Words, statement};
use crate::pipeline::post::booked;
use crate::pipeline::resolving::{Decision, Resolution, resolve, reverse};
use crate::store::statements::{self as lines, Held, Unshown};
use crate::store::{self, Txn, book, exceptions};
use std::collections::{BTreeMap, BTreeSet};

/// Takes a table of statement lines.
pub fn take(taking: &mut Taking<'_>, table: &Table, order: &Order) -> Step<Ended> {
    let config = taking.bureau.config.clone();
    let code = |text: &str| config.districts.code(text);
    let bank = |text: &str| config.bank_named(text).map(|bank| bank.number);
    let knows_area = |area: i64| config.districts.knows_area(area);
    let words = Words { district: &code, bank: &bank, knows_area: &knows_area, arrived: order.today() };
    let intake = statement(table, words);
    let (refused, findings) = findings(&intake.defects, &intake.warnings);
    let accepted = intake.rows.len() as u64;
    taking.write(order, |txn, file| {
        let mut reader = Reader::open(txn, &config, &intake.rows, file, order)?;
        for (line, row) in &intake.rows {
            reader.enter(txn, row, *line)?;
        }
        Ok(Ended::Processed { accepted, refused, findings, notes: notices(table) })
    })
}

/// What the lines of one file are held against.
struct Reader<'a> {
    config: &'a Config,
    /// Instructions by the serial of their deduction, of the serials that this file takes money back for.
    serials: BTreeMap<(u8, String), Vec<i64>>,
    /// Postings by themselves that no line shows yet.
    unshown: Vec<Unshown>,
    file: i64,
    order: &'a Order,
}

/// What became of a line: what its money belongs to, and the one posting that it shows.
struct Entered {
    bundle: Bundle,
    posting: Option<PostingKey>,
}

impl Entered {
    fn showing(posting: PostingKey) -> Entered {
        Entered { bundle: Bundle::Posting(posting.to_string()), posting: Some(posting) }
    }

    fn of(bundle: Bundle) -> Entered {
        Entered { bundle, posting: None }
    }
}

impl<'a> Reader<'a> {
    fn open(
        txn: &Txn<'_>,
        config: &'a Config,
        rows: &[(u32, StatementRow)],
        file: i64,
        order: &'a Order,
    ) -> store::Result<Reader<'a>> {
        let conn = txn.connection();
        let taken_back = rows.iter().map(|(_, row)| row).filter(|row| row.amount < Money::ZERO);
        let serials: BTreeSet<(u8, String)> = taken_back
            .filter(|row| InstructionNumber::parse(&row.reference).is_none() && !row.reference.is_empty())
            .map(|row| (row.bank.0, row.reference.clone()))
            .collect();
        let serials = lines::instructions_of_serials(conn, &serials)?;
        Ok(Reader { config, serials, unshown: lines::unshown(conn)?, file, order })
    }

    /// One line. The same line again does nothing; the same serial with other content is for a clerk.
    fn enter(&mut self, txn: &mut Txn<'_>, row: &StatementRow, line: u32) -> store::Result<()> {
        match lines::line(txn.connection(), row.bank, &row.serial)? {
            Some(before) if before == *row => return Ok(()),
            Some(before) => {
                let reason = format!(
                    "{} 对账单流水 {} 此前登记为 {} {} 元，此次为 {} {} 元，未采用",
                    self.bank(row),
                    row.serial,
                    before.booked_on,
                    before.amount,
                    row.booked_on,
                    row.amount
                );
                return self.say(txn, Class::KeyConflict, reason, line);
            }
            None => {}
        }
        let entered =
            if row.amount.is_positive() { self.money_in(txn, row, line)? } else { self.money_out(txn, row, line)? };
        txn.enter_line(row, &entered.bundle, entered.posting.as_ref(), (self.file, line))
    }

    /// An exception without money, said once.
    fn say(&self, txn: &mut Txn<'_>, class: Class, reason: String, line: u32) -> store::Result<()> {
        if lines::was_said(txn.connection(), class.word(), &reason)? {
            return Ok(());
        }
        let opened = vec![NewException { line: Some(line), ..about_nobody(class, reason) }];
        txn.write(&Changeset { opened, ..Changeset::default() }, Some(self.file), self.order.today())
    }

    fn bank(&self, row: &StatementRow) -> String {
        self.config.bank(row.bank).map_or_else(|| row.bank.0.to_string(), |bank| bank.key.clone())
    }

    /// Money of a batch or of another channel is compared with the ledger; anything else goes to suspense.
    fn money_in(&mut self, txn: &mut Txn<'_>, row: &StatementRow, line: u32) -> store::Result<Entered> {
        let number = InstructionNumber::parse(&row.reference).map(|number| number.batch);
        let mut why = "摘要不是本单位的批次号，也不是已登记缴费或划款的凭证号";
        if let Some(number) = number.or_else(|| BatchNumber::parse(&row.reference)) {
            match book::batch(txn.connection(), number)? {
                Some((_, batch)) if batch.bank != Some(row.bank) => why = "摘要是另一家银行的批次号",
                Some((_, batch)) if never_left(batch.state) => why = "该批次没有发往银行，或整批被拒",
                Some(_) => return Ok(Entered::of(Bundle::Batch(number))),
                None => {}
            }
        } else if let Some(entered) = self.of_another_channel(row) {
            return Ok(entered);
        }
        self.hold(txn, row, why, line)
    }

    /// A payment or a transfer by its reference, or the channel as a whole by its name.
    fn of_another_channel(&mut self, row: &StatementRow) -> Option<Entered> {
        if row.reference.is_empty() {
            return None;
        }
        let ending = format!(":{}", row.reference);
        let is_it = |one: &&Unshown| {
            (one.key.starts_with("pay:") || one.key.starts_with("trf:"))
                && one.key.ends_with(&ending)
                && one.amount == row.amount
        };
        let found: Vec<&Unshown> = self.unshown.iter().filter(is_it).collect();
        if let [one] = found[..] {
            let key = one.key.clone();
            return Some(self.show(key));
        }
        let channel = format!("pay:{}:", row.reference);
        let is_channel = self.unshown.iter().any(|one| one.key.starts_with(&channel));
        is_channel.then(|| Entered::of(Bundle::Channel(row.reference.clone())))
    }

    /// This line shows this posting, and no other line will.
    fn show(&mut self, key: String) -> Entered {
        self.unshown.retain(|one| one.key != key);
        Entered::showing(PostingKey::Stored(key))
    }

    /// R10: money that nobody explains is booked all the same.
    fn hold(&self, txn: &mut Txn<'_>, row: &StatementRow, why: &str, line: u32) -> store::Result<Entered> {
        let key = PostingKey::Statement(self.bank(row), row.serial.clone());
        let closed = book::closed_months(txn.connection())?;
        let posting = postings::suspense(key.clone(), booked(row.booked_on, &closed), row.amount);
        let reason = format!("{} 对账单 {} 来款 {} 元：{why}", self.bank(row), row.booked_on, row.amount);
        let concerns = Concerns { line: Some(line), content: content(row), ..Concerns::default() };
        let held = NewException {
            line: Some(line),
            amount: row.amount,
            posting: Some(0),
            ..about_nobody(Class::UnknownMoney, reason)
        };
        let changes = Changeset {
            postings: vec![NewPosting { posting, concerns: Some(Box::new(concerns)) }],
            opened: vec![held],
            ..Changeset::default()
        };
        txn.write(&changes, Some(self.file), self.order.today())?;
        Ok(Entered::showing(key))
    }

    /// 冲正 by instruction number or by the serial of the deduction, a refund that was decided, unexplained money that
    /// the bank took back; else nothing of ours says why, and a clerk must.
    fn money_out(&mut self, txn: &mut Txn<'_>, row: &StatementRow, line: u32) -> store::Result<Entered> {
        let taken = -row.amount;
        let candidates = self.candidates(txn, row)?;
        let mut why = "摘要不是本单位的指令流水号、银行扣款流水号或退款".to_owned();
        if candidates.is_empty() {
            if let Some(entered) = self.take_back_unexplained(txn, row, taken)? {
                return Ok(entered);
            }
            if let Some(entered) = self.refund(row) {
                return Ok(entered);
            }
            if let Some(entered) = self.take_back_payment(txn, row)? {
                return Ok(entered);
            }
        }
        let mut fitting = Vec::new();
        for instruction in &candidates {
            match self.undoing(txn, row, *instruction, taken)? {
                Ok(undoing) => fitting.push(undoing),
                Err(words) => why = words,
            }
        }
        match (fitting.len(), fitting.pop()) {
            (1, Some(undoing)) => match self.undo(txn, row, undoing)? {
                Ok(entered) => return Ok(entered),
                Err(words) => why = words,
            },
            (0, _) | (_, None) => {}
            (count, Some(_)) => why = format!("该银行流水对应 {count} 笔扣款，请银行写明指令流水号"),
        }
        let reason = format!("{} 对账单 {} 出款 {taken} 元：{why}", self.bank(row), row.booked_on);
        self.say(txn, Class::UnknownDebit, reason, line)?;
        Ok(Entered::of(Bundle::Line(format!("{}:{}", self.bank(row), row.serial))))
    }

    /// Instructions of this bank that the reference may mean.
    fn candidates(&self, txn: &Txn<'_>, row: &StatementRow) -> store::Result<Vec<i64>> {
        if let Some(number) = InstructionNumber::parse(&row.reference) {
            let found = lines::instruction(txn.connection(), number)?;
            return Ok(found.filter(|(_, bank)| *bank == row.bank.0).map(|(id, _)| id).into_iter().collect());
        }
        Ok(self.serials.get(&(row.bank.0, row.reference.clone())).cloned().unwrap_or_default())
    }

    /// What of an instruction the bank can have taken back, or why nothing fits.
    fn undoing(
        &self,
        txn: &Txn<'_>,
        row: &StatementRow,
        instruction: i64,
        taken: Money,
    ) -> store::Result<Result<Undoing, String>> {
        let conn = txn.connection();
        // A clerk may have been faster: then this line shows that reversal.
        let known = |one: &&Unshown| {
            one.event == Event::Reversal && one.instruction == Some(instruction) && one.amount == row.amount
        };
        if let Some(one) = self.unshown.iter().find(known) {
            return Ok(Ok(Undoing::Shown(one.key.clone())));
        }
        // Money in suspense first: it should not be there. By serial it must be that deduction.
        let by_number = InstructionNumber::parse(&row.reference).is_some();
        let mut held: Vec<Held> = lines::held(conn, instruction, taken)?;
        let standing = exceptions::standing_of(conn, instruction)?;
        let ending = format!("#{}", row.reference);
        held.retain(|held| by_number || held.key.ends_with(&ending) || standing.is_none());
        if let Some(held) = held.into_iter().next() {
            return Ok(Ok(Undoing::Held(held.exception)));
        }
        Ok(match standing {
            Some(affair) if own_money(&affair.posting) == taken => Ok(Undoing::Settled(instruction)),
            Some(affair) => Err(format!("该指令入账 {} 元，与冲正金额不同（金额不符）", own_money(&affair.posting))),
            None => Err("该指令没有可冲正的款：未入账，或已冲正、已退款".to_owned()),
        })
    }

    fn undo(
        &mut self,
        txn: &mut Txn<'_>,
        row: &StatementRow,
        undoing: Undoing,
    ) -> store::Result<Result<Entered, String>> {
        match undoing {
            Undoing::Shown(key) => Ok(Ok(self.show(key))),
            Undoing::Held(exception) => self.take_back_held(txn, row, exception),
            Undoing::Settled(instruction) => {
                let Some(affair) = exceptions::standing_of(txn.connection(), instruction)? else {
                    return Ok(Err("该指令没有可冲正的记账".to_owned()));
                };
                self.reverse(txn, row, &affair)
            }
        }
    }

    /// R22: the same reversal as a clerk's, with the bank's day.
    fn reverse(
        &self,
        txn: &mut Txn<'_>,
        row: &StatementRow,
        affair: &exceptions::Affair,
    ) -> store::Result<Result<Entered, String>> {
        let closed = book::closed_months(txn.connection())?;
        let matter = matter_of(self.config, affair, &closed);
        let mut changes = Changeset::default();
        if let Err(words) = reverse(&matter, &self.resolution(row), self.order.today(), &mut changes) {
            return Ok(Err(words));
        }
        self.carry_out(txn, &changes, affair.dossier.as_ref())?;
        let key = PostingKey::Reversal(Box::new(affair.posting.key.clone()));
        Ok(Ok(Entered::showing(key)))
    }

    /// The bank took money back that waits in suspense.
    fn take_back_held(
        &self,
        txn: &mut Txn<'_>,
        row: &StatementRow,
        exception: i64,
    ) -> store::Result<Result<Entered, String>> {
        let Some(exception) = exceptions::read(txn.connection(), exception)? else {
            return Ok(Err("该款的例外已不在".to_owned()));
        };
        let closed = book::closed_months(txn.connection())?;
        let matter = matter(self.config, &exception, &closed);
        let changes = match resolve(&matter, &self.resolution(row), self.order.today()) {
            Ok(changes) => changes,
            Err(words) => return Ok(Err(words)),
        };
        let key = exception.posting.as_ref().map(|posting| PostingKey::Reversal(Box::new(posting.key.clone())));
        self.carry_out(txn, &changes, exception.dossier.as_ref())?;
        Ok(key.map(Entered::showing).ok_or_else(|| "找不到持有该款的记账".to_owned()))
    }

    fn take_back_unexplained(
        &mut self,
        txn: &mut Txn<'_>,
        row: &StatementRow,
        taken: Money,
    ) -> store::Result<Option<Entered>> {
        let Some(posting) = lines::unexplained(txn.connection(), row.bank, &row.reference)? else { return Ok(None) };
        let reversal = format!("rev:stm:{}:{}", self.bank(row), row.reference);
        if self.unshown.iter().any(|one| one.key == reversal && one.amount == row.amount) {
            return Ok(Some(self.show(reversal)));
        }
        match lines::held_by(txn.connection(), posting, taken)? {
            Some(held) => Ok(self.take_back_held(txn, row, held.exception)?.ok()),
            None => Ok(None),
        }
    }

    /// A refund by its number; or the only one of this amount that the bank has not shown.
    fn refund(&mut self, row: &StatementRow) -> Option<Entered> {
        let open = |one: &&Unshown| one.event == Event::Refund && one.amount == row.amount;
        let number = row.reference.trim_start_matches("res:").trim_start_matches("例外").trim();
        let named = format!("res:{number}");
        let found: Vec<&Unshown> = self.unshown.iter().filter(open).collect();
        let key = match (found.iter().find(|one| one.key == named), &found[..]) {
            (Some(one), _) | (None, [one]) => one.key.clone(),
            _ => return None,
        };
        Some(self.show(key))
    }

    /// A payment through another channel that was taken back, by its reference.
    fn take_back_payment(&mut self, txn: &mut Txn<'_>, row: &StatementRow) -> store::Result<Option<Entered>> {
        if row.reference.is_empty() {
            return Ok(None);
        }
        let found = store::statements::payments_of(txn.connection(), &row.reference, -row.amount)?;
        let [(posting, key)] = &found[..] else { return Ok(None) };
        let reversal = format!("rev:{key}");
        if self.unshown.iter().any(|one| one.key == reversal) {
            return Ok(Some(self.show(reversal)));
        }
        if let Some(held) = lines::held_by(txn.connection(), *posting, -row.amount)? {
            return Ok(self.take_back_held(txn, row, held.exception)?.ok());
        }
        match exceptions::affair(txn.connection(), *posting)? {
            Some(affair) if !affair.is_undone => Ok(self.reverse(txn, row, &affair)?.ok()),
            _ => Ok(None),
        }
    }

    fn carry_out(&self, txn: &mut Txn<'_>, changes: &Changeset, dossier: Option<&Dossier>) -> store::Result<()> {
        txn.write(changes, None, self.order.today())?;
        match dossier {
            Some(dossier) => replan(txn, self.config, dossier.id, dossier.fee_year, self.order.today()),
            None => Ok(()),
        }
    }

    fn resolution(&self, row: &StatementRow) -> Resolution {
        Resolution {
            decision: Decision::Reverse,
            booked_on: Some(row.booked_on),
            amount: None,
            reason: format!("{} 对账单流水 {}", self.bank(row), row.serial),
        }
    }
}

/// What a line that takes money back belongs to.
enum Undoing {
    /// A reversal that a clerk entered before.
    Shown(String),
    /// Money in suspense under this exception.
    Held(i64),
    /// The settled instruction.
    Settled(i64),
}

/// No money can come of a batch that never reached the bank, or that the bank refused whole.
fn never_left(state: BatchState) -> bool {
    matches!(state, BatchState::Drafted | BatchState::Cancelled | BatchState::FileRejected)
}

/// Own money of a posting.
fn own_money(posting: &crate::domain::ledger::Posting) -> Money {
    use crate::domain::ledger::Account::PersonalOwn;
    posting.entries.iter().filter(|entry| entry.credit() == PersonalOwn).map(|entry| entry.amount()).sum()
}

fn content(row: &StatementRow) -> String {
    format!("{} {} {} {}", row.bank.0, row.serial, row.amount, row.booked_on)
}

fn about_nobody(class: Class, reason: String) -> NewException {
    NewException {
        class,
        participant: None,
        fee_year: None,
        instruction: None,
        line: None,
        amount: Money::ZERO,
        posting: None,
        reason,
        held_on: None,
    }
}

/// Money that stood on a statement before anybody knew what it was is booked now as what it is, under its reference:
/// what had put it into suspense is taken back, and its line shows the new posting.
pub fn recognise(
    txn: &mut Txn<'_>,
    reference: &str,
    amount: Money,
    key: &PostingKey,
    order: &Order,
) -> store::Result<()> {
    let waiting = lines::waiting_for(txn.connection(), reference, amount)?;
    let [(exception, posting, on)] = waiting[..] else { return Ok(()) };
    let Some(original) = exceptions::posting(txn.connection(), posting)? else { return Ok(()) };
    let closed = book::closed_months(txn.connection())?;
    let reversal = postings::reversal_of(&original, booked(on, &closed));
    let concerns = Concerns { content: key.to_string(), ..Concerns::default() };
    let changes = Changeset {
        postings: vec![NewPosting { posting: reversal, concerns: Some(Box::new(concerns)) }],
        closed: vec![(exception, format!("来款已查明：{key}"))],
        ..Changeset::default()
    };
    txn.write(&changes, None, order.today())?;
    txn.show_instead(posting, key)
}
