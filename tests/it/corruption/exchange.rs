//! What a bank answers, and what becomes of it: the flow as the intake takes it, without the store.

use crate::bank_files::{self, Layout, Request};
use crate::crash::stage::{Stage, reply};
use daikou::config;
use daikou::daemon::intake::Control;
use daikou::daemon::own_digest::decode_control;
use daikou::domain::calendar::Date;
use daikou::domain::instruction::InstructionState;
use daikou::domain::returns::FileAnswer;
use daikou::format::layout::{FileKind, RecordKind};
use daikou::pipeline::book::{BatchBook, Changeset};
use daikou::pipeline::decode::ReturnReader;
use daikou::pipeline::emit::{self, Answered, Finding};
use daikou::pipeline::matching::match_rows;
use daikou::pipeline::{conclude, settle, validate};
use daikou::store::{Store, book, files};
use std::collections::{BTreeMap, BTreeSet};

/// Weeks after the debit date, in the next month: other days and months before it are possible ones too.
pub(super) const TODAY: Date = Date::constant(2018, 8, 20);

/// A return file in lines, with the control file where the bank has them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) control: Option<Vec<u8>>,
}

/// What one bank answers, and what we know of the batch.
pub(super) struct Bank {
    pub(super) key: &'static str,
    pub(super) layout: daikou::format::layout::Layout,
    pub(super) request: Request,
    header: BTreeMap<String, String>,
    pub(super) name: String,
    pub(super) control_name: String,
    pub(super) sound: Exchange,
    book: BatchBook,
}

/// One pair of a posting: key, whose, debit, credit, fen, booked on.
pub(super) type Moved = BTreeSet<(String, String, String, String, i64, Date)>;

/// What becomes of a file that is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) moved: Moved,
    /// Exceptions: class, and the instruction where there is one.
    pub(super) opened: Vec<(&'static str, String)>,
    /// What instructions come to.
    pub(super) states: BTreeMap<String, &'static str>,
}

/// What becomes of a file.
pub(super) enum Fate {
    /// With what is said of it.
    Refused(Vec<Finding>),
    /// More may come.
    Incomplete,
    Taken(Taken),
}

/// The three banks of a bureau whose batches were sent.
pub(super) fn banks(stage: &Stage) -> Vec<Bank> {
    let config = config::load(&stage.home().join("daikou.toml")).unwrap();
    let store = Store::open(&stage.home().join("state/daikou.db")).unwrap();
    let keys = [("rural", "rural-commercial"), ("postal", "postal-savings"), ("city", "city-commercial")];
    let each = stage.requests().into_iter().zip(keys).map(|((key, request), (same, layout))| {
        assert_eq!(key, same);
        let layout = config::layouts::load(layout, None).unwrap();
        let mut written = bank_files::write(&request, &reply(&request, false)).into_iter();
        let (name, data) = written.next().unwrap();
        let (control_name, control) = written.next().unzip();
        let about = config.bank_named(key).unwrap();
        let asked = layout.sibling(&name, FileKind::Request, None).unwrap();
        let conn = store.connection();
        let (id, batch) = files::batch_of_file(conn, about.number.0, &asked).unwrap().unwrap();
        let count = batch.count;
        let book = book::batch_book(conn, id, batch, (1, count), |_, _, _| true).unwrap();
        let (header, sound) = (about.header.clone(), Exchange { lines: lines(&data), control });
        Bank { key, layout, request, header, name, control_name: control_name.unwrap_or_default(), sound, book }
    });
    each.collect()
}

pub(super) fn lines(data: &[u8]) -> Vec<Vec<u8>> {
    data.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

impl Bank {
    /// Decode, validate, match, post.
    pub(super) fn judge(&self, exchange: &Exchange) -> Fate {
        let bytes = exchange.control.clone();
        let control = bytes.map(|bytes| Control { name: self.control_name.clone(), bytes });
        let control = decode_control(&self.layout, control.as_ref());
        let algorithm = control.as_ref().and_then(|control| control.asked_digest());
        let mut reader = ReturnReader::new(&self.layout, self.book.batch.number, algorithm).unwrap();
        exchange.lines.iter().for_each(|line| reader.feed(line));
        let (mut file, mut decoded) = reader.finish();
        if let Some(control) = &control {
            decoded.check_control(control, &self.name);
        }
        if decoded.is_incomplete() || control.as_ref().is_some_and(|control| control.is_incomplete()) {
            return Fate::Incomplete;
        }
        let defects = control.iter().flat_map(|control| &control.defects).chain(&decoded.defects);
        let mut findings: Vec<Finding> = defects.map(Finding::from).collect();
        let is_sound = decoded.is_sound() && control.as_ref().is_none_or(|control| control.is_sound());
        if is_sound {
            let (_, parts) = self.layout.recognise(&self.name).unwrap();
            findings = validate::validate(&file, &decoded, &parts, &self.book.batch, &self.header);
        }
        if !is_sound || !findings.is_empty() {
            return Fate::Refused(findings);
        }
        if file.answer != Some(FileAnswer::Accepted) {
            return Fate::Taken(Taken::default());
        }
        let matched = match_rows(&mut file, self.book.batch.count);
        let mut changes = settle(&self.book, &file, &matched.rows, &matched.doubles, TODAY);
        let lines = (self.book.first..).zip(&self.book.lines);
        let open = lines.filter(|(_, line)| line.state == InstructionState::Sent);
        let unanswered = open.filter(|(sequence, _)| matched.rows.iter().all(|row| row.sequence != *sequence));
        let unanswered = unanswered.map(|(sequence, line)| (sequence, line.participant)).collect();
        let parts = vec![(file.part, file.is_final)];
        let unanswered = if file.is_final { unanswered } else { Vec::new() };
        let answered = Answered { parts, unanswered, noted: false };
        conclude(&self.book, &file, self.key, &answered, TODAY, &mut changes);
        emit::drop_repeated(&mut changes, |_| Ok::<_, ()>(None)).unwrap();
        Fate::Taken(Taken::of(&changes))
    }

    /// Which record a line of the sound file is.
    pub(super) fn record_of(&self, line: usize) -> RecordKind {
        let last = self.sound.lines.len() - 1;
        match (self.request.layout, line) {
            (Layout::Postal, _) => RecordKind::Detail,
            (_, 0) => RecordKind::Header,
            (_, line) if line == last => RecordKind::Trailer,
            _ => RecordKind::Detail,
        }
    }
}

impl Taken {
    fn of(changes: &Changeset) -> Taken {
        let mut moved = Moved::new();
        for new in &changes.postings {
            let whose = new.concerns.as_ref().and_then(|concerns| concerns.participant);
            for entry in new.posting.entries.iter() {
                moved.insert((
                    new.posting.key.to_string(),
                    whose.map(|id| id.text()).unwrap_or_default(),
                    entry.debit().to_string(),
                    entry.credit().to_string(),
                    entry.amount().fen(),
                    new.posting.booked_on,
                ));
            }
        }
        let opened = changes.opened.iter();
        let number =
            |number: Option<_>| number.map(|number: daikou::domain::ids::InstructionNumber| number.to_string());
        let mut opened: Vec<_> =
            opened.map(|new| (new.class.word(), number(new.instruction).unwrap_or_default())).collect();
        opened.sort();
        let states = changes.instructions.iter().map(|(number, state, _)| (number.to_string(), state.word())).collect();
        Taken { moved, opened, states }
    }

    /// Fen that came into the bureau's account.
    pub(super) fn cash(&self) -> i64 {
        self.moved.iter().filter(|pair| pair.2 == "collection").map(|pair| pair.4).sum()
    }

    /// What it credits to personal accounts: key, account, fen, and the day where it is asked for. Keys are
    /// instructions, so who is paid stands in them, whichever row of whichever file says so.
    pub(super) fn credited(&self, with_day: bool) -> BTreeSet<(&str, &str, i64, Option<Date>)> {
        let own = self.moved.iter().filter(|pair| pair.3.starts_with("personal/"));
        own.map(|pair| (pair.0.as_str(), pair.3.as_str(), pair.4, with_day.then_some(pair.5))).collect()
    }
}
