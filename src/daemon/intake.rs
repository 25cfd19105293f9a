//! Takes one drop file: the same path for the daemon and for `ingest`.
//!
//! Private copy → archive → flow → one transaction with its receipt → only then is the source removed.

use crate::daemon::bureau::{Bureau, Order, Step, refuse};
use crate::daemon::grounds::Grounds;
use crate::daemon::own_digest::OwnDigest;
use crate::daemon::receipts::{Receipt, Sender, flush_outbox};
use crate::daemon::returns::{Reading, Trust};
use crate::daemon::{
    feeding, lists, payments, payouts, receipt_paper, returns, roster, settling, statements, transfers,
};
use crate::domain::calendar::Date;
use crate::format::table::{Table, TableFault, TableKind};
use crate::pipeline::book::Changeset;
use crate::pipeline::difference::Moved;
use crate::pipeline::emit::Finding;
use crate::store::{self, Applied, Arrived, FileState, Txn, exceptions, files};
use crate::transport::copying::Copying;
use crate::transport::disk;
use crate::transport::folder::Spooled;
use crate::transport::place;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A control file that came with a data file.
#[derive(Clone, Debug)]
pub struct Control {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A drop file as it is given to the flow.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// Who sent it.
    pub from: Sender,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Number of bytes.
    pub size: u64,
    /// Its control file, where the layout has one.
    pub control: Option<Control>,
}

/// How a drop file ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Its sound rows took effect.
    Processed {
        /// Rows that took effect.
        accepted: u64,
        /// Rows refused.
        refused: u64,
        /// Why.
        findings: Vec<Finding>,
        /// What else the sender should know.
        notes: Vec<String>,
    },
    /// A list, with whom it moves.
    Listed(Box<Listed>),
    /// The same content took effect before.
    Duplicate,
    /// Refused whole: nothing changed.
    Quarantined(Vec<Finding>),
    /// A proper prefix of a sound file: more may come.
    Incomplete,
}

/// How a list ended.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Rows that took effect, or wait for a person.
    pub accepted: u64,
    /// Rows refused.
    pub refused: u64,
    /// Why.
    pub findings: Vec<Finding>,
    /// What else the sender should know.
    pub notes: Vec<String>,
    /// Whom it moves; empty for the first list of its scope.
    pub moves: Vec<Moved>,
}

/// What becomes of a file that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It is left where it is: its sender may go on.
    Left,
    /// It had its time: quarantine.
    Over,
}

/// A file while it is being taken.
pub struct Taking<'b> {
    /// The bureau that takes it.
    pub bureau: &'b mut Bureau,
    /// As it is stored.
    arrived: Arrived,
    sender: Sender,
    /// The table in it, where it is one: its receipt shows the rows that are refused.
    table: Option<Arc<Table>>,
    /// Its stored number, once its first transaction is written.
    number: Option<i64>,
    /// What all of this rests on.
    pub grounds: Grounds,
}

/// What became of a stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booked {
    /// Written.
    New,
    /// The book moved since it was read: read again and decide again.
    Stale,
    /// The digest that was believed is not the computed one: nothing was written.
    Unproved,
}

impl Taking<'_> {
    /// Before anything is written: nothing follows from a copy that is not on disk.
    fn before_writing(&mut self) -> Step<()> {
        self.grounds.land()?;
        self.before_beginning()
    }

    fn before_beginning(&self) -> Step<()> {
        failpoint!("take.decided");
        self.bureau.pulse.go_on()
    }

    /// Writes a stretch of the file, and ends it where `ended` says how. Copy and digest are waited for when all is written,
    /// right before the commit: where they do not hold, nothing was done.
    pub fn apply(
        &mut self,
        order: &Order,
        changes: &Changeset,
        ended: Option<&Ended>,
        also: impl FnOnce(&mut Txn<'_>, i64) -> store::Result<()>,
    ) -> Step<Booked> {
        self.before_beginning()?;
        let mut number = self.number;
        let act = order.act("ingest", self.arrived.name.clone(), self.arrived.sha256);
        let (book, grounds, mut held) = (changes.book_version, &mut self.grounds, Ok(true));
        let (arrived, sender, config) = (&self.arrived, &self.sender, &self.bureau.config);
        let table = self.table.as_deref();
        let is_apart = mutant!("file-row-apart");
        if is_apart
            && self.bureau.store.apply(&act, book, |txn| txn.write(changes, None, order.today()))? == Applied::Stale
        {
            return Ok(Booked::Stale);
        }
        let applied = self.bureau.store.apply(&act, book + u64::from(is_apart), |txn| {
            let file = match number {
                Some(file) => file,
                None => txn.arrive(arrived, FileState::Claimed)?,
            };
            number = Some(file);
            if !is_apart {
                txn.write(changes, Some(file), order.today())?;
            }
            also(txn, file)?;
            if let Some(ended) = ended {
                finish(txn, config, (arrived, sender, table), file, ended)?;
            }
            held = grounds.hold();
            if matches!(held, Ok(true)) { Ok(()) } else { Err(store::Error::Unproved) }
        });
        if !held? {
            return Ok(Booked::Unproved);
        }
        match applied? {
            Applied::New => {
                self.number = number;
                Ok(Booked::New)
            }
            Applied::Stale => Ok(Booked::Stale),
        }
    }

    /// Writes all that a table leads to in one transaction, decided inside it.
    pub fn write(
        &mut self,
        order: &Order,
        work: impl FnOnce(&mut Txn<'_>, i64) -> store::Result<Ended>,
    ) -> Step<Ended> {
        self.before_writing()?;
        let act = order.act("ingest", self.arrived.name.clone(), self.arrived.sha256);
        let known = self.number;
        let (arrived, sender, config) = (&self.arrived, &self.sender, &self.bureau.config);
        let table = self.table.as_deref();
        let (number, ended) = self.bureau.store.transact(&act, |txn| {
            let file = match known {
                Some(file) => file,
                None => txn.arrive(arrived, FileState::Claimed)?,
            };
            let ended = work(txn, file)?;
            finish(txn, config, (arrived, sender, table), file, &ended)?;
            Ok((file, ended))
        })?;
        self.number = Some(number);
        Ok(ended)
    }

    /// Writes one stretch of a table that is not yet at its end.
    pub fn write_stretch(
        &mut self,
        order: &Order,
        work: impl FnOnce(&mut Txn<'_>, i64) -> store::Result<()>,
    ) -> Step<()> {
        self.before_writing()?;
        let act = order.act("ingest", self.arrived.name.clone(), self.arrived.sha256);
        let known = self.number;
        let arrived = &self.arrived;
        let number = self.bureau.store.transact(&act, |txn| {
            let file = match known {
                Some(file) => file,
                None => txn.arrive(arrived, FileState::Claimed)?,
            };
            work(txn, file)?;
            Ok(file)
        })?;
        self.number = Some(number);
        Ok(())
    }

    /// Rows of this file that an earlier attempt committed.
    pub fn progress(&self) -> Step<usize> {
        match self.number {
            Some(number) => Ok(files::progress_of(self.bureau.store.connection(), number)?),
            None => Ok(0),
        }
    }

    /// Number of the file.
    pub fn number(&self) -> i64 {
        self.number.unwrap_or(0)
    }
}

fn finish(
    txn: &Txn<'_>,
    config: &crate::config::Config,
    (arrived, sender, table): (&Arrived, &Sender, Option<&Table>),
    file: i64,
    ended: &Ended,
) -> store::Result<()> {
    let mut receipt = receipt(arrived, sender, file, ended);
    if *sender == Sender::Bureau {
        receipt.notes.extend(opened(txn, file)?);
    }
    let reason = receipt.findings.first().filter(|_| receipt.state == FileState::Quarantined);
    let reason = reason.map(|finding| finding.code).unwrap_or_default();
    txn.finish(file, receipt.state, receipt.accepted, receipt.refused, reason)?;
    receipt.post(txn, config)?;
    match sender {
        Sender::Bank(..) => Ok(()),
        _ => receipt_paper::post(txn, config, &receipt, table, arrived.on),
    }
}

/// What the bureau's own clerks have to look at because of a file of theirs: its receipt would read as if all were booked.
fn opened(txn: &Txn<'_>, file: i64) -> store::Result<Option<String>> {
    let (count, held) = exceptions::opened_by(txn.connection(), file)?;
    let money = if held.is_positive() { format!("，其中 {held} 元转入暂收") } else { String::new() };
    Ok((count > 0).then(|| format!("本文件产生例外 {count} 项{money}：见 daikou exceptions")))
}

fn receipt(arrived: &Arrived, sender: &Sender, file: i64, ended: &Ended) -> Receipt {
    let mut moves = Vec::new();
    let (state, accepted, refused, findings, notes) = match ended {
        Ended::Listed(listed) => {
            moves = listed.moves.clone();
            let (findings, notes) = (listed.findings.clone(), listed.notes.clone());
            (FileState::Processed, listed.accepted, listed.refused, findings, notes)
        }
        Ended::Processed { accepted, refused, findings, notes } => {
            (FileState::Processed, *accepted, *refused, findings.clone(), notes.clone())
        }
        Ended::Duplicate => (FileState::Duplicate, 0, 0, Vec::new(), vec!["内容与已处理的文件相同".to_owned()]),
        Ended::Quarantined(findings) => (FileState::Quarantined, 0, 0, findings.clone(), Vec::new()),
        Ended::Incomplete => (FileState::Quarantined, 0, 0, vec![incomplete()], Vec::new()),
    };
    Receipt {
        file,
        name: arrived.name.clone(),
        sha256: arrived.sha256,
        kind: arrived.kind.clone(),
        from: sender.clone(),
        state,
        accepted,
        refused,
        findings,
        notes,
        moves,
    }
}

/// A drop file in the spool, and what is known of it before it is opened.
#[derive(Debug)]
pub struct Spool<'a> {
    /// The private copy.
    pub copy: Copying,
    /// The digest that a bank file is held against, in the making.
    pub digest: Option<OwnDigest>,
    /// Its name.
    pub name: &'a OsStr,
    /// Who sent it.
    pub from: Sender,
    /// Its control file, where the layout has one and it is there.
    pub control: Option<Control>,
    /// The layout wants a control file and there is none, or the other way round.
    pub is_half: bool,
    /// It is the control file of a data file that took effect with it: a death came between the removal of the two.
    pub was_booked: bool,
    /// Which file of an inbox it is; empty where a command takes it.
    pub source: String,
}

/// Takes one file that lies in the spool. `kind` holds it to one kind of table. `None`: it is not whole, and is left.
pub fn take(
    bureau: &mut Bureau,
    spool: Spool<'_>,
    kind: Option<TableKind>,
    patience: Patience,
    order: &Order,
) -> Step<Option<Receipt>> {
    let Spool { copy, digest, name, from, control, is_half, was_booked, source } = spool;
    let shown = crate::transport::escaped(name);
    let mut grounds = Grounds::new(copy, digest);
    // What a bank says is read before it is known whether it is new: the copy is being hashed meanwhile.
    let reading = match &from {
        Sender::Bank(bank, _) if !is_half && !was_booked => {
            Some(returns::read(bureau, &mut grounds, *bank, (&shown, control.as_ref()), Trust::Stated, order.today())?)
        }
        _ => None,
    };
    let (sha256, size) = (grounds.copy.sha256()?, grounds.copy.size());
    let given = Given { name: shown.clone(), from: from.clone(), sha256, size, control };
    let table = match &from {
        Sender::Bank(..) => None,
        _ => Some(read_table(&grounds.copy.land()?.path, &given, &from, kind)?.map(Arc::new)),
    };
    let kind = match &table {
        None => "return",
        Some(Ok(table)) => table.kind.word(),
        Some(Err(_)) => "table",
    };
    let (sender, archived) = (from.text(), kept_at(&sha256, order, name));
    let known = files::known(bureau.store.connection(), &sender, kind, &sha256)?;
    let claimed = known.filter(|(_, state)| *state == FileState::Claimed).map(|(number, _)| number);
    let before = known.is_some_and(|(_, state)| state == FileState::Processed);
    let was_booked = was_booked || files::is_left(bureau.store.connection(), &sender, &sha256, &source)?;
    let kind = kind.to_owned();
    let arrived = Arrived { name: shown, kind, sender, on: order.today(), sha256, size, archived, source };
    let read = table.as_ref().and_then(|table| table.as_ref().ok()).cloned();
    let mut taking = Taking { bureau, arrived, sender: from.clone(), table: read, number: claimed, grounds };
    let ended = match (was_booked, is_half) {
        (true, _) => Ended::Duplicate,
        (_, true) => Ended::Incomplete,
        _ => decide(&mut taking, &given, table, reading, before, order)?,
    };
    if matches!(ended, Ended::Incomplete) && patience == Patience::Left {
        taking.grounds.copy.discard()?;
        return Ok(None);
    }
    if matches!(ended, Ended::Duplicate | Ended::Quarantined(_) | Ended::Incomplete) {
        taking.grounds.doubt();
        taking.write(order, |_, _| Ok(ended.clone()))?;
    }
    let receipt = receipt(&taking.arrived, &from, taking.number(), &ended);
    failpoint!("keep.begun");
    keep(&taking.bureau.config.state, taking.grounds.copy.land()?, order, name, receipt.state)?;
    failpoint!("keep.done");
    flush_outbox(bureau)?;
    if receipt.accepted > 0 {
        settling::follow(bureau, order)?;
    }
    Ok(Some(receipt))
}

fn incomplete() -> Finding {
    Finding {
        code: "incomplete",
        expected: "a whole file, and its control file where the layout has one".to_owned(),
        found: "the beginning of one, or one of the two".to_owned(),
        message_zh: "文件不完整，或缺少配对的控制文件（数据文件）".to_owned(),
        action_zh: "请重新投递完整的文件".to_owned(),
        ..Finding::default()
    }
}

fn decide(
    taking: &mut Taking<'_>,
    given: &Given,
    table: Option<Result<Arc<Table>, Box<TableFault>>>,
    reading: Option<Reading>,
    before: bool,
    order: &Order,
) -> Step<Ended> {
    let table = match (&given.from, table) {
        (Sender::Bank(..), _) if before => return Ok(Ended::Duplicate),
        (Sender::Bank(number, _), _) => {
            let reading = reading.expect("a bank's file is read before it is taken");
            return returns::take(taking, *number, given, reading, order);
        }
        (_, Some(Ok(table))) => table,
        (_, Some(Err(fault))) => return Ok(Ended::Quarantined(vec![table_finding(&fault)])),
        (_, None) => return refuse("只有银行才会送来不是表格的文件"),
    };
    match (table.kind, &given.from) {
        (TableKind::Participants, Sender::Bureau) => roster::take(taking, &table, given, order),
        (TableKind::List, _) => lists::take(taking, &table, given, order),
        (TableKind::Payments | TableKind::Transfers, Sender::Bureau)
        | (TableKind::ExpostPaid, Sender::Department(..))
            if before =>
        {
            Ok(Ended::Duplicate)
        }
        (TableKind::Transfers, Sender::Bureau) => transfers::take(taking, &table, order),
        (TableKind::ExpostPaid, Sender::Department(payer, district)) => {
            payouts::take(taking, &table, (*payer, *district), order)
        }
        (TableKind::Payments, Sender::Bureau) => payments::take(taking, &table, order),
        (TableKind::Statement | TableKind::FeedAck, Sender::Bureau) if before => Ok(Ended::Duplicate),
        (TableKind::Statement, Sender::Bureau) => statements::take(taking, &table, order),
        (TableKind::FeedAck, Sender::Bureau) => feeding::take_acks(taking, &table, order),
        (kind, _) => Ok(Ended::Quarantined(vec![not_taken(kind)])),
    }
}

/// A table of a kind that this folder may bring.
fn read_table(
    path: &Path,
    given: &Given,
    from: &Sender,
    kind: Option<TableKind>,
) -> Step<Result<Table, Box<TableFault>>> {
    let failed = |source| crate::transport::Error::io(path, "read", source);
    let bytes = std::fs::read(path).map_err(failed)?;
    let usual: &[TableKind] = match from {
        Sender::Department(..) => &[TableKind::List, TableKind::ExpostPaid],
        _ => &[
            TableKind::Participants,
            TableKind::Payments,
            TableKind::Statement,
            TableKind::Transfers,
            TableKind::FeedAck,
            TableKind::List,
        ],
    };
    let kinds = kind.map(|kind| vec![kind]).unwrap_or_else(|| usual.to_vec());
    Ok(Table::read_as(&bytes, &given.name, &kinds).map_err(Box::new))
}

fn table_finding(fault: &TableFault) -> Finding {
    Finding {
        row: fault.row.map(u64::from),
        column: String::new(),
        byte: fault.byte.map(u64::from),
        code: fault.code,
        expected: fault.expected.to_string(),
        found: fault.found.to_string(),
        message_zh: fault.message_zh.to_string(),
        action_zh: fault.action_zh.to_string(),
        is_warning: false,
    }
}

fn not_taken(kind: TableKind) -> Finding {
    Finding {
        code: "not-taken-here",
        expected: "a kind of file that this folder brings".to_owned(),
        found: kind.word().to_owned(),
        message_zh: format!("此目录不接收“{}”文件", kind.chinese()),
        action_zh: "请放入对应的投递目录".to_owned(),
        ..Finding::default()
    }
}

fn kept_at(sha256: &[u8; 32], order: &Order, name: &OsStr) -> String {
    let (year, month) = (order.today().year(), order.today().month());
    let file = format!("{}-{}", crate::transport::hex(sha256), place::sanitised(name));
    format!("{year:04}/{month:02}/{file}")
}

/// Every byte that ever came is kept, read-only.
fn keep(state: &Path, spooled: &Spooled, order: &Order, name: &OsStr, ended: FileState) -> Step<()> {
    if ended == FileState::Quarantined {
        place::quarantine(spooled, state, order.today(), name)?;
    } else {
        place::archive(spooled, state, order.today(), name)?;
    }
    Ok(())
}

/// Copies of files whose end was committed before a crash, and which were not put away yet. What has no end yet stays:
/// its source lies in an inbox still. What nobody claims within a day (a control file whose data file was booked, a
/// draft that was not stored) is kept in the archive like every byte that came or was to go.
pub fn put_away(bureau: &Bureau, spool: &Path, today: Date) -> Step<()> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let failed = |source| crate::transport::Error::io(spool, "list the spool", source);
    let entries = match std::fs::read_dir(spool) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    let state = &bureau.config.state;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Some(sha256) = entry.file_name().to_str().and_then(crate::transport::unhex) else { continue };
        let about = entry.metadata().map_err(failed)?;
        let copy = Spooled { path: entry.path(), sha256, size: about.len() };
        match files::ended(bureau.store.connection(), &sha256)? {
            Some((ended, archived)) => {
                let is_quarantined = ended == FileState::Quarantined;
                place::put_back(&copy, state, if is_quarantined { "quarantine" } else { "archive" }, &archived)?;
            }
            None if about.modified().is_ok_and(|at| disk::now().duration_since(at).is_ok_and(|age| age > DAY)) => {
                place::archive(&copy, state, today, OsStr::new("unclaimed"))?;
            }
            None => {}
        }
    }
    Ok(())
}
