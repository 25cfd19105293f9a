//! Three simulated banks that answer our files: in the demo, and behind `bank-sim`.
//!
//! They are written by hand against the byte tables of the layouts and know nothing of the layout engine, so that a
//! fault in our writer is refused here instead of being answered by its own mirror.

mod city;
mod damage;
mod postal;
mod record;
mod rural;

pub use damage::{from_another_agency, truncated, wrong_total};

use crate::domain::calendar::Date;
use crate::domain::money::Money;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Whose manners a simulated bank has: those of a shipped layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Style {
    /// `rural-commercial`: one reply in the records of the request, GBK, fen.
    Rural,
    /// `postal-savings`: data file, then control file; GBK, yuan.
    Postal,
    /// `city-commercial`: several short replies, out of order; GB 18030, fen.
    City,
}

impl TryFrom<String> for Style {
    type Error = String;

    /// Reads the name of a shipped layout.
    fn try_from(layout: String) -> Result<Style, String> {
        match layout.as_str() {
            "rural-commercial" => Ok(Style::Rural),
            "postal-savings" => Ok(Style::Postal),
            "city-commercial" => Ok(Style::City),
            _ => Err(format!("{layout}: expected rural-commercial, postal-savings or city-commercial")),
        }
    }
}

/// What an account does when it is asked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// The full amount is taken.
    Pays,
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
    /// 冻结.
    Frozen,
    /// 未签约.
    NoAgreement,
    /// 超限额.
    Limit,
    /// The bank calls the row a duplicate and takes nothing.
    Duplicate,
    /// The bank does not know, and never finds out.
    Unknown,
    /// The bank does not know today; the money was taken, as [`SimulatedBank::found_out`] tells later.
    UnknownTaken,
    /// Half of the amount is taken although the agreement says all or nothing.
    Partial,
    /// One yuan too much is taken.
    Over,
    /// A failure without a reason; at the city bank with a code that is in no table.
    Other,
}

impl Behaviour {
    /// Whether the bank's code for this means success.
    fn is_ok(self) -> bool {
        matches!(self, Behaviour::Pays | Behaviour::Partial | Behaviour::Over)
    }

    /// The money that leaves the account.
    fn takes(self, due: Money) -> Money {
        match self {
            Behaviour::Pays | Behaviour::UnknownTaken => due,
            Behaviour::Partial => Money::from_fen(due.fen() / 2),
            Behaviour::Over => due + Money::from_fen(100),
            _ => Money::ZERO,
        }
    }
}

/// A file that a bank publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnFile {
    /// Its name in the drop folder.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The lump sum of one batch on the bureau's bank statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The booking date.
    pub booked_on: Date,
    /// The batch number.
    pub batch: String,
    /// All money taken for the batch, whatever the rows say.
    pub amount: Money,
}

/// An account that is asked for money.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its number.
    pub account: &'a str,
    /// The name that the request gives to its holder.
    pub name: &'a str,
    /// What is asked for.
    pub due: Money,
    /// How often it was asked, from 1.
    pub times: u32,
}

type Lookup<'w> = Box<dyn Fn(&Asked<'_>) -> Behaviour + Send + 'w>;

/// A bank with a memory: of batches, of how often each account was asked, of the money it took.
pub struct SimulatedBank<'w> {
    style: Style,
    behaviour: Lookup<'w>,
    return_files: Option<usize>,
    asked: BTreeMap<String, u32>,
    batches: BTreeSet<String>,
    next_serial: u64,
    doubtful: Vec<Exchange>,
    credits: Vec<Credit>,
    debited: BTreeSet<(String, String)>,
    debited_twice: Vec<String>,
}

/// One row of a request.
struct Row {
    line: Vec<u8>,
    instruction: String,
    account: String,
    name: String,
    person: String,
    fee_year: String,
    due: Money,
}

/// A request that was read and found sound. Rows are kept as received, since replies echo them byte by byte.
pub struct Request {
    name: String,
    batch: String,
    header: Vec<u8>,
    rows: Vec<Row>,
    trailer: Vec<u8>,
    value_date: Option<Date>,
}

/// The bank's answer for one row.
struct Answer {
    behaviour: Behaviour,
    serial: u64,
}

/// A request and what was decided about it.
struct Exchange {
    request: Request,
    answers: Vec<Answer>,
    booked_on: Date,
    return_files: Option<usize>,
}

impl Request {
    /// The batch number.
    pub fn batch(&self) -> &str {
        &self.batch
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// What all rows ask for.
    pub fn amount(&self) -> Money {
        self.rows.iter().map(|row| row.due).sum()
    }

    /// The debit date, in the layouts that have one.
    pub fn value_date(&self) -> Option<Date> {
        self.value_date
    }
}

impl<'w> SimulatedBank<'w> {
    /// A bank whose accounts behave as told.
    pub fn new(style: Style, behaviour: impl Fn(&Asked<'_>) -> Behaviour + Send + 'w) -> Self {
        Self {
            style,
            behaviour: Box::new(behaviour),
            return_files: None,
            asked: BTreeMap::new(),
            batches: BTreeSet::new(),
            next_serial: 1,
            doubtful: Vec::new(),
            credits: Vec::new(),
            debited: BTreeSet::new(),
            debited_twice: Vec::new(),
        }
    }

    /// Proves the request, takes the money, and answers with files in the order in which they are to be dropped.
    ///
    /// `booked_on` is used by the layouts whose request has no debit date; `today` is the day of the answer.
    ///
    /// # Errors
    /// The words in which the bank refuses the whole file: nothing was taken then.
    pub fn answer(
        &mut self,
        file_name: &str,
        bytes: &[u8],
        control: Option<&[u8]>,
        booked_on: Date,
        today: Date,
    ) -> Result<Vec<ReturnFile>, String> {
        let request = self.read(file_name, bytes, control)?;
        if self.has_had(&request) {
            return Err(format!("{file_name}: batch {} was here before", request.batch));
        }
        let booked_on = request.value_date.unwrap_or(booked_on);
        Ok(self.settle(request, booked_on, today))
    }

    /// Proves a request. Nothing is taken and nothing remembered.
    ///
    /// # Errors
    /// The words in which the bank refuses the whole file.
    pub fn read(&self, file_name: &str, bytes: &[u8], control: Option<&[u8]>) -> Result<Request, String> {
        let request = self.decode(file_name, bytes, control).map_err(|why| format!("{file_name}: {why}"))?;
        let mut instructions = BTreeSet::new();
        match request.rows.iter().find(|row| !instructions.insert(&row.instruction)) {
            Some(row) => Err(format!("{file_name}: instruction {} is here twice", row.instruction)),
            None => Ok(request),
        }
    }

    /// Whether this batch number was here before.
    pub fn has_had(&self, request: &Request) -> bool {
        self.batches.contains(&request.batch)
    }

    /// Takes the money for a batch that was not here before, and answers.
    pub fn settle(&mut self, request: Request, booked_on: Date, today: Date) -> Vec<ReturnFile> {
        let is_new = self.batches.insert(request.batch.clone());
        assert!(is_new, "a batch is settled once");
        let answers = request.rows.iter().map(|row| self.decide(row)).collect();
        let exchange = Exchange { request, answers, booked_on, return_files: self.return_files };
        self.book(&exchange);
        let files = self.reply(&exchange, today);
        if exchange.answers.iter().any(|answer| answer.behaviour == Behaviour::UnknownTaken) {
            self.doubtful.push(exchange);
        }
        files
    }

    /// What the bank sends for a batch that was here before: only the rural bank has a code for it, the others are silent.
    pub fn refuse_again(&self, request: &Request, today: Date) -> Option<ReturnFile> {
        (self.style == Style::Rural).then(|| rural::refuse_again(request, today))
    }

    /// A batch that was here in an earlier life of this bank: its number and its serials are used.
    pub fn remember(&mut self, batch: &str, rows: usize) {
        self.batches.insert(batch.to_owned());
        self.next_serial += rows as u64;
    }

    /// The city bank answers with so many files, whatever the number of rows.
    pub fn answer_in(&mut self, return_files: usize) {
        self.return_files = Some(return_files);
    }

    /// The replies of doubtful batches once more, whole, now that the bank knows which unknown rows were taken after all.
    pub fn found_out(&mut self, today: Date) -> Vec<ReturnFile> {
        let mut files = Vec::new();
        for mut exchange in std::mem::take(&mut self.doubtful) {
            for answer in &mut exchange.answers {
                if answer.behaviour == Behaviour::UnknownTaken {
                    answer.behaviour = Behaviour::Pays;
                }
            }
            files.extend(self.reply(&exchange, today));
        }
        files
    }

    /// What the bureau's bank statement shows, in the order of booking by this bank.
    pub fn credits(&self) -> &[Credit] {
        &self.credits
    }

    /// All money that this bank ever took.
    pub fn taken(&self) -> Money {
        self.credits.iter().map(|credit| credit.amount).sum()
    }

    /// Instructions by which a person was debited a second time for one fee year: the worst fault there is.
    pub fn debited_twice(&self) -> &[String] {
        &self.debited_twice
    }

    fn decode(&self, file_name: &str, bytes: &[u8], control: Option<&[u8]>) -> Result<Request, String> {
        match (self.style, control) {
            (Style::Postal, Some(control)) => postal::read(file_name, bytes, control),
            (Style::Postal, None) => Err("expected a control file beside it".into()),
            (_, Some(_)) => Err("expected no control file".into()),
            (Style::Rural, None) => rural::read(file_name, bytes),
            (Style::City, None) => city::read(file_name, bytes),
        }
    }

    fn decide(&mut self, row: &Row) -> Answer {
        let times = self.asked.entry(row.account.clone()).or_default();
        *times += 1;
        let serial = self.next_serial;
        self.next_serial += 1;
        let asked = Asked { account: &row.account, name: &row.name, due: row.due, times: *times };
        Answer { behaviour: (self.behaviour)(&asked), serial }
    }

    fn book(&mut self, exchange: &Exchange) {
        let mut amount = Money::ZERO;
        for (row, answer) in exchange.rows() {
            let taken = answer.behaviour.takes(row.due);
            amount += taken;
            if taken.is_positive() && !self.debited.insert((row.person.clone(), row.fee_year.clone())) {
                self.debited_twice.push(row.instruction.clone());
            }
        }
        if amount.is_positive() {
            self.credits.push(Credit { booked_on: exchange.booked_on, batch: exchange.request.batch.clone(), amount });
        }
    }

    fn reply(&self, exchange: &Exchange, today: Date) -> Vec<ReturnFile> {
        match self.style {
            Style::Rural => rural::reply(exchange, today),
            Style::Postal => postal::reply(exchange, today),
            Style::City => city::reply(exchange, today),
        }
    }
}

impl Exchange {
    fn rows(&self) -> impl Iterator<Item = (&Row, &Answer)> {
        self.request.rows.iter().zip(&self.answers)
    }
}

impl Answer {
    /// What the reply says was taken: nothing where the bank does not know.
    fn actual(&self, due: Money) -> Money {
        if self.behaviour.is_ok() { self.behaviour.takes(due) } else { Money::ZERO }
    }
}

/// Totals of a reply: rows whose code means success with what was taken, all others with what was due.
#[derive(Default)]
struct Totals {
    rows: i64,
    due: Money,
    ok_rows: i64,
    ok: Money,
    failed_rows: i64,
    failed: Money,
}

impl Totals {
    fn of<'a>(rows: impl Iterator<Item = (&'a Row, &'a Answer)>) -> Totals {
        let mut totals = Totals::default();
        for (row, answer) in rows {
            totals.rows += 1;
            totals.due += row.due;
            if answer.behaviour.is_ok() {
                totals.ok_rows += 1;
                totals.ok += answer.actual(row.due);
            } else {
                totals.failed_rows += 1;
                totals.failed += row.due;
            }
        }
        totals
    }
}

/// A name as people write it. GB 18030 contains GBK, and the field was proved before.
fn name_of(field: &[u8]) -> String {
    encoding_rs::GB18030.decode_without_bom_handling(field.trim_ascii_end()).0.into_owned()
}

/// The bank's own words in GBK, which GB 18030 contains. They are constants of this folder and always have bytes.
fn gbk(words: &str) -> Vec<u8> {
    encoding_rs::GBK.encode(words).0.into_owned()
}

#[cfg(test)]
mod tests;
