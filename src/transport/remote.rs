//! The other side: what a bank's folders can be asked, whoever serves them.
//!
//! Two implementations: [`super::local::LocalRemote`] for folders of our own drop tree, [`super::sftp::SftpRemote`] for
//! a bank's own server. [`super::outbound`] and [`super::inbound`] are written against this and nothing else.

use crate::transport::{Error, escaped};
use std::fmt;
use std::io::{Read, Write};

/// One name in a folder of the other side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The name: bytes, since a bank's may be GBK.
    pub name: Vec<u8>,
    /// What the server says that it is.
    pub kind: EntryKind,
    /// Bytes, as the server says.
    pub size: u64,
    /// Seconds since 1970, as the server says.
    pub mtime: u64,
}

/// What lies under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder, link, pipe, or what the server does not say: left alone.
    NotAFile,
}

/// What a look at a folder found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Sorted by name.
    pub entries: Vec<Entry>,
    /// There was more than was asked for.
    pub more: bool,
}

/// Why the other side did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nothing lies there: an answer, not a failure.
    #[error("{path}: nothing there")]
    Gone {
        /// Where, escaped.
        path: String,
    },
    /// The server says no: permission, no room, the name is taken; most servers do not say which.
    #[error("{path}: cannot {doing}: the server says: {answer}")]
    Refused {
        /// Where, escaped.
        path: String,
        /// What we wanted.
        doing: &'static str,
        /// The server's words.
        answer: String,
    },
    /// The connection broke, or no answer came in time. What we asked may have been done.
    #[error("cannot {doing}: {why}")]
    Lost {
        /// What we wanted.
        doing: &'static str,
        /// What happened.
        why: String,
    },
    /// No connection could be made.
    #[error("cannot reach {host}: {why}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What happened.
        why: String,
    },
    /// The server is not the one that the profile knows. Nothing was sent to it.
    #[error(
        "{host} shows the host key {found}, expected {expected}; nothing was sent: ask the bank by telephone whether \
         it changed its key, then correct host_keys"
    )]
    HostKey {
        /// Host and port.
        host: String,
        /// Type and fingerprint shown.
        found: String,
        /// Those of the profile.
        expected: String,
    },
    /// The server does not let us in. Not tried again by itself: accounts get locked.
    #[error("{host} does not let {user} in: {why}; ask the bank, then run `daikou doctor`")]
    Authentication {
        /// Host and port.
        host: String,
        /// Our account there.
        user: String,
        /// What happened.
        why: String,
    },
    /// The file is larger than the profile allows.
    #[error("{path}: expected at most {limit} bytes, found {found}")]
    TooBig {
        /// Where, escaped.
        path: String,
        /// Bytes.
        limit: u64,
        /// Bytes.
        found: u64,
    },
    /// Our own side failed.
    #[error(transparent)]
    Ours(#[from] Error),
}

impl Fault {
    /// The server is there and answered: its other files may go better.
    pub fn is_answer(&self) -> bool {
        matches!(self, Fault::Gone { .. } | Fault::Refused { .. } | Fault::TooBig { .. })
    }

    /// Trying again by itself could do harm: a person must look first.
    pub fn is_for_a_person(&self) -> bool {
        matches!(self, Fault::HostKey { .. } | Fault::Authentication { .. })
    }
}

/// A path on the other side: folder and name, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePath {
    bytes: Vec<u8>,
}

impl RemotePath {
    /// `folder/name`; an empty folder or `.` is where the server puts us.
    pub fn new(folder: &str, name: &[u8]) -> RemotePath {
        let mut bytes = folder.as_bytes().to_vec();
        if !bytes.is_empty() && !name.is_empty() && !bytes.ends_with(b"/") {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        RemotePath { bytes }
    }

    /// As sent to the server.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::os::unix::ffi::OsStrExt;
        f.write_str(&escaped(std::ffi::OsStr::from_bytes(&self.bytes)))
    }
}

/// What a server did not do when it refused to make a file at all, before any byte of it.
pub const CREATING: &str = "create";

/// Folders of a counterparty. After any [`Fault`] that is no answer, the connection is dead and the value useless.
pub trait Remote {
    /// Looks at a folder; at most `limit` entries are read, however many the server would give.
    fn list(&mut self, folder: &str, limit: usize) -> Result<Listing, Fault>;

    /// What lies under a name itself, links not followed; `None` where nothing does.
    fn stat(&mut self, path: &RemotePath) -> Result<Option<Entry>, Fault>;

    /// Copies a file's bytes into `sink`; how many. [`Fault::TooBig`] beyond `limit`.
    fn read(&mut self, path: &RemotePath, limit: u64, sink: &mut dyn Write) -> Result<u64, Fault>;

    /// Writes a new file, to the other side's disk where that can be asked; a name that is taken is refused, with
    /// [`CREATING`] as what was not done.
    fn create(&mut self, path: &RemotePath, bytes: &mut dyn Read) -> Result<(), Fault>;

    /// Gives a file another name; a name that is taken is refused.
    fn rename(&mut self, from: &RemotePath, to: &RemotePath) -> Result<(), Fault>;

    /// Removes a file.
    fn remove(&mut self, path: &RemotePath) -> Result<(), Fault>;

    /// Brings a file and its name to the disk, where it is ours: whoever wrote it may have died before that. A server
    /// sees to its own.
    fn make_durable(&mut self, _path: &RemotePath) -> Result<(), Fault> {
        Ok(())
    }
}
