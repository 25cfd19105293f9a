//! From a name in an inbox to the flow: which files are complete, which belong together (design section 4).

use crate::daemon::bureau::{Bureau, Order, Step};
use crate::daemon::intake::{Control, Patience, Spool, take};
use crate::daemon::own_digest::{OwnDigest, Wanted};
use crate::daemon::receipts::{Receipt, Sender};
use crate::format::layout::{FileKind, Layout};
use crate::format::table::TableKind;
use crate::store::files;
use crate::transport::folder::{Candidate, Folder, Spooled};
use crate::transport::{Digest, Error, disk, hex, place};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Bytes of one drop file at most.
const LIMIT: u64 = 4 << 30;

/// Bytes of a control file at most: one line.
const CONTROL_LIMIT: u64 = 1 << 20;

/// A file of an inbox, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The inbox.
    pub folder: PathBuf,
    /// Its name.
    pub name: OsString,
    /// The file, where it is there.
    pub candidate: Option<Candidate>,
    /// What its name says in this inbox.
    pub part: Part,
    /// The other file of a pair, where it is there.
    pub other: Option<Candidate>,
    /// A command takes it, and leaves it where it is: asked for again, it is taken again.
    pub stays: bool,
}

/// What a name says in an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A table: nothing in it shows that it is whole.
    Table,
    /// A bank file whose own trailer shows that it is whole.
    Whole,
    /// A data file that this control file belongs to.
    Data(String),
    /// The control file of this data file.
    Control(String),
    /// A name that the bank's layout does not have.
    Strange,
}

/// What became of a look at a file.
#[derive(Debug)]
pub enum Looked {
    /// Taken, with its receipt.
    Taken(Box<Receipt>),
    /// A control file: it is taken with its data file.
    ControlOf(String),
    /// Not whole yet: left where it is.
    Incomplete(Lack),
}

/// What is missing of a file that is left where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The file itself, or its name is one that is never looked at.
    File,
    /// The data file of this name, to its control file.
    DataFile(String),
    /// The control file, to its data file.
    ControlFile,
    /// What is there is sound and not whole.
    Rest,
}

impl Lack {
    /// For the log, which names no files.
    pub fn words(&self) -> &'static str {
        match self {
            Lack::File => "no such file, or one whose name is never looked at",
            Lack::DataFile(_) => "its data file is not there yet",
            Lack::ControlFile => "its control file is not there yet",
            Lack::Rest => "what is there is sound and not whole: more must come",
        }
    }

    /// For clerks.
    pub fn message_zh(&self) -> String {
        match self {
            Lack::File => "没有这个文件，或其文件名不予处理（以 . 开头，或以 .tmp .part .filepart 结尾）".to_owned(),
            Lack::DataFile(name) => format!("对应的数据文件 {name} 还没有到"),
            Lack::ControlFile => "对应的控制文件还没有到".to_owned(),
            Lack::Rest => "文件还不完整，等待其余部分".to_owned(),
        }
    }
}

/// Looks at a name in a folder.
pub fn look_at(bureau: &Bureau, folder: &Path, name: &OsStr, sender: &Sender) -> Step<Found> {
    let open = Folder::open(folder)?;
    let part = match sender {
        Sender::Bank(number, _) => bureau.layouts.get(number).map_or(Part::Strange, |layout| part_of(layout, name)),
        _ => Part::Table,
    };
    let other = match &part {
        Part::Data(other) | Part::Control(other) => open.look(OsStr::new(other))?,
        Part::Table | Part::Whole | Part::Strange => None,
    };
    Ok(Found {
        folder: folder.to_owned(),
        name: name.to_owned(),
        candidate: open.look(name)?,
        part,
        other,
        stays: false,
    })
}

fn part_of(layout: &Layout, name: &OsStr) -> Part {
    let Some(name) = name.to_str() else { return Part::Strange };
    let other = |kind, part| layout.sibling(name, kind, part);
    match layout.recognise(name) {
        Some((FileKind::Return, parts)) if layout.file(FileKind::ReturnControl).is_some() => {
            other(FileKind::ReturnControl, parts.part).map_or(Part::Strange, Part::Data)
        }
        Some((FileKind::Return, _)) => Part::Whole,
        Some((FileKind::ReturnControl, parts)) => {
            other(FileKind::Return, parts.part).map_or(Part::Strange, Part::Control)
        }
        _ => Part::Strange,
    }
}

/// Takes a file that is whole, in the foreground; its source stays.
pub fn take_from(
    bureau: &mut Bureau,
    found: Found,
    sender: Sender,
    kind: Option<TableKind>,
    order: &Order,
) -> Step<Looked> {
    let found = Found { stays: true, ..found };
    if found.candidate.is_none() {
        return Ok(Looked::Incomplete(Lack::File));
    }
    let Part::Control(data) = &found.part else {
        return take_found(bureau, &found, sender, kind, Patience::Left, order);
    };
    if found.other.is_none() {
        return Ok(Looked::Incomplete(Lack::DataFile(data.clone())));
    }
    let with = Found { stays: true, ..look_at(bureau, &found.folder, OsStr::new(data), &sender)? };
    match take_found(bureau, &with, sender, kind, Patience::Left, order)? {
        Looked::Taken(receipt) if receipt.state == crate::store::FileState::Duplicate => {
            Ok(Looked::ControlOf(data.clone()))
        }
        other => Ok(other),
    }
}

/// Takes one file with its control file: by its private copy and by nothing else. Where patience is over, what is not
/// whole goes to quarantine by the same way.
pub fn take_found(
    bureau: &mut Bureau,
    found: &Found,
    sender: Sender,
    kind: Option<TableKind>,
    patience: Patience,
    order: &Order,
) -> Step<Looked> {
    let Some(candidate) = &found.candidate else { return Ok(Looked::Incomplete(Lack::File)) };
    let is_half = found.other.is_none() && matches!(found.part, Part::Data(_) | Part::Control(_));
    if is_half && patience == Patience::Left {
        let lack = match &found.part {
            Part::Control(data) => Lack::DataFile(data.clone()),
            _ => Lack::ControlFile,
        };
        return Ok(Looked::Incomplete(lack));
    }
    let open = Folder::open(&found.folder)?;
    let spool = bureau.config.state.join("spool");
    let control = match &found.other {
        Some(control) => Some((control, open.spool(control, &spool, CONTROL_LIMIT)?)),
        None => None,
    };
    let with = match &control {
        Some((control, copy)) => Some(Control { name: control.shown(), bytes: read(&copy.path)? }),
        None => None,
    };
    let mut digest = None;
    let wanted = wanted_digest(bureau, found, &sender, with.as_ref());
    let mut copy = open.copy(candidate, &spool, LIMIT, |follower| {
        digest = wanted.and_then(|wanted| OwnDigest::begin(wanted, follower).ok());
    })?;
    if mutant!("source-removed-early") {
        open.remove_source(candidate)?;
    }
    let was_booked = is_half && is_booked_control(bureau, found, &sender, &copy.sha256()?)?;
    let source = if found.stays { String::new() } else { candidate.identity() };
    let given = Spool { copy, digest, name: &found.name, from: sender, control: with, is_half, was_booked, source };
    let receipt = take(bureau, given, kind, patience, order)?;
    match (receipt, control) {
        (Some(receipt), control) => {
            if let Some((candidate, control)) = control {
                failpoint!("control.begun");
                place::archive(&control, &bureau.config.state, order.today(), &candidate.name)?;
                failpoint!("control.kept");
            }
            Ok(Looked::Taken(Box::new(receipt)))
        }
        (None, control) => {
            control.iter().try_for_each(|(_, copy)| discard(copy))?;
            Ok(Looked::Incomplete(Lack::Rest))
        }
    }
}

/// Whether this control file was kept beside its data file when that took effect. A file that comes anew is told by its
/// bytes: a control file says when it was made.
fn is_booked_control(bureau: &Bureau, found: &Found, sender: &Sender, sha256: &Digest) -> Step<bool> {
    let Part::Control(data) = &found.part else { return Ok(false) };
    let kept = files::kept_of(bureau.store.connection(), &sender.text(), data)?;
    let own = format!("{}-{}", hex(sha256), place::sanitised(&found.name));
    let archive = bureau.config.state.join("archive");
    Ok(kept.iter().any(|place| archive.join(place).with_file_name(&own).is_file()))
}

/// The digest that a bank's return file is held against.
fn wanted_digest(bureau: &Bureau, found: &Found, sender: &Sender, control: Option<&Control>) -> Option<Wanted> {
    let (Sender::Bank(number, _), Part::Whole | Part::Data(_)) = (sender, &found.part) else { return None };
    Wanted::of(bureau.layouts.get(number)?, control, found.candidate.as_ref()?.size)
}

fn read(path: &Path) -> Step<Vec<u8>> {
    Ok(std::fs::read(path).map_err(|source| Error::io(path, "read", source))?)
}

fn discard(copy: &Spooled) -> Step<()> {
    Ok(disk::remove(&copy.path).map_err(|source| Error::io(&copy.path, "remove", source))?)
}
