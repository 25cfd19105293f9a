//! From a name in an inbox to the flow: which files are complete, which belong together (design section 4).

use crate::daemon::bureau::{Bureau, Order, Step};
use crate::daemon::intake::{Control, take};
use crate::daemon::receipts::{Receipt, Sender};
use crate::format::decode::decode;
use crate::format::decoded::Decoded;
use crate::format::layout::{FileKind, Layout};
use crate::format::table::TableKind;
use crate::transport::folder::{Candidate, Folder};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Bytes of one drop file at most.
const LIMIT: u64 = 4 << 30;

/// A file of an inbox, and what belongs to it.
#[derive(Debug)]
pub struct Found {
    /// The inbox.
    pub folder: PathBuf,
    /// The file.
    pub candidate: Option<Candidate>,
    /// Its name.
    pub name: OsString,
    /// Its control file, where it is there.
    pub control: Option<Candidate>,
    /// The layout wants a control file for it.
    pub wants_control: bool,
    /// It is a control file itself: of this data file.
    pub control_of: Option<String>,
}

/// What became of a look at a file.
#[derive(Debug)]
pub enum Looked {
    /// Taken, with its receipt.
    Taken(Box<Receipt>),
    /// A control file: it is taken with its data file.
    ControlOf(String),
    /// Not whole yet: left where it is.
    Incomplete(String),
}

/// Looks at a name in a folder.
pub fn look_at(bureau: &Bureau, folder: &Path, name: &OsStr, sender: &Sender) -> Step<Found> {
    let open = Folder::open(folder)?;
    let candidate = open.look(name)?;
    let (wants, control_of) = match layout_of(bureau, sender) {
        Some(layout) => pairing(layout, name),
        None => (None, None),
    };
    let control = match &wants {
        Some(control) => open.look(OsStr::new(control))?,
        None => None,
    };
    Ok(Found {
        folder: folder.to_owned(),
        candidate,
        name: name.to_owned(),
        control,
        wants_control: wants.is_some(),
        control_of,
    })
}

fn layout_of<'b>(bureau: &'b Bureau, sender: &Sender) -> Option<&'b Layout> {
    match sender {
        Sender::Bank(number, _) => bureau.layouts.get(number),
        _ => None,
    }
}

/// The control file that a data file wants, or the data file that a control file is of.
fn pairing(layout: &Layout, name: &OsStr) -> (Option<String>, Option<String>) {
    let Some(name) = name.to_str() else { return (None, None) };
    match layout.recognise(name) {
        Some((FileKind::Return, parts)) if layout.file(FileKind::ReturnControl).is_some() => {
            (layout.sibling(name, FileKind::ReturnControl, parts.part), None)
        }
        Some((FileKind::ReturnControl, parts)) => (None, layout.sibling(name, FileKind::Return, parts.part)),
        _ => (None, None),
    }
}

/// Takes a file that is whole; its source stays.
pub fn take_from(
    bureau: &mut Bureau,
    found: Found,
    sender: Sender,
    kind: Option<TableKind>,
    order: &Order,
) -> Step<Looked> {
    if let Some(data) = found.control_of {
        return take_pair(bureau, &found.folder, data, sender, kind, order);
    }
    take_found(bureau, &found, sender, kind, order)
}

/// A control file was named: its data file is taken with it.
fn take_pair(
    bureau: &mut Bureau,
    folder: &Path,
    data: String,
    sender: Sender,
    kind: Option<TableKind>,
    order: &Order,
) -> Step<Looked> {
    let found = look_at(bureau, folder, OsStr::new(&data), &sender)?;
    if found.candidate.is_none() {
        return Ok(Looked::Incomplete(format!("its data file {data} is not there yet")));
    }
    match take_found(bureau, &found, sender, kind, order)? {
        Looked::Taken(receipt) if receipt.state == crate::store::FileState::Duplicate => Ok(Looked::ControlOf(data)),
        other => Ok(other),
    }
}

fn take_found(
    bureau: &mut Bureau,
    found: &Found,
    sender: Sender,
    kind: Option<TableKind>,
    order: &Order,
) -> Step<Looked> {
    let Some(candidate) = &found.candidate else {
        return Ok(Looked::Incomplete("no such file, or one whose name is never looked at".to_owned()));
    };
    if found.wants_control && found.control.is_none() {
        return Ok(Looked::Incomplete("its control file is not there yet".to_owned()));
    }
    let open = Folder::open(&found.folder)?;
    let spool = bureau.config.state.join("spool");
    let control = match &found.control {
        Some(control) => {
            let copy = open.spool(control, &spool, LIMIT)?;
            let failed = |source| crate::transport::Error::io(&copy.path, "read", source);
            let bytes = std::fs::read(&copy.path).map_err(failed)?;
            crate::transport::place::archive(&copy, &bureau.config.state, order.today(), &control.name)?;
            Some(Control { name: control.shown(), bytes })
        }
        None => None,
    };
    let spooled = open.spool(candidate, &spool, LIMIT)?;
    if let Some(layout) = layout_of(bureau, &sender)
        && is_incomplete(layout, &found.name, &spooled.path, control.as_ref())?
    {
        std::fs::remove_file(&spooled.path).map_err(|e| crate::transport::Error::io(&spooled.path, "remove", e))?;
        return Ok(Looked::Incomplete("what is there is sound and not whole: more must come".to_owned()));
    }
    let receipt = take(bureau, &spooled, &found.name, sender, control, kind, order)?;
    Ok(Looked::Taken(Box::new(receipt)))
}

/// A proper prefix of a sound file: a bank may still be sending it.
fn is_incomplete(layout: &Layout, name: &OsStr, path: &Path, control: Option<&Control>) -> Step<bool> {
    let Some((FileKind::Return, _)) = name.to_str().and_then(|name| layout.recognise(name)) else { return Ok(false) };
    let bytes = std::fs::read(path).map_err(|source| crate::transport::Error::io(path, "read", source))?;
    let control =
        control.and_then(|control| decode(layout, FileKind::ReturnControl, &control.bytes, None, &mut |_| {}));
    let algorithm = control.as_ref().and_then(Decoded::asked_digest);
    let Some(mut decoded) = decode(layout, FileKind::Return, &bytes, algorithm, &mut |_| {}) else { return Ok(false) };
    if let Some(control) = &control {
        decoded.check_control(control, &name.to_string_lossy());
    }
    Ok(decoded.is_incomplete())
}
