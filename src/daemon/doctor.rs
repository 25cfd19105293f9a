//! What a bank's own server is like: looked at step by step, as far as it lets us, each step with its finding.

use crate::config::Bank;
use crate::transport::inbound::{LISTED, sort};
use crate::transport::offered::{Offered, offered};
use crate::transport::outbound::{Bytes, Outgoing};
use crate::transport::profile::Profile;
use crate::transport::remote::{EntryKind, Fault, Remote, RemotePath};
use crate::transport::sftp::{Negotiated, SftpRemote};
use crate::transport::watchdog::Watchdog;
use crate::transport::{escaped, hex, sha256};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What was found of a server.
#[derive(Debug, Default)]
pub struct Examination {
    /// What it offers to anybody; the fault where it cannot be asked.
    pub offered: Option<Result<Offered, String>>,
    /// What was agreed when we logged in.
    pub negotiated: Option<Negotiated>,
    /// Each step that was tried.
    pub steps: Vec<Finding>,
    /// What to ask the bank for, or to write into the profile.
    pub advice: Vec<String>,
}

/// One step and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub step: &'static str,
    /// `false`: it did not go.
    pub went: bool,
    /// What was found.
    pub found: String,
}

impl Examination {
    /// Every step went.
    pub fn is_well(&self) -> bool {
        self.steps.iter().all(|finding| finding.went)
    }

    fn note(&mut self, step: &'static str, went: bool, found: impl Into<String>) {
        self.steps.push(Finding { step, went, found: found.into() });
    }

    fn advise(&mut self, advice: impl Into<String>) {
        self.advice.push(advice.into());
    }
}

/// Looks at a server that no profile knows: what it offers, and the keys it shows. Nothing is trusted.
pub fn look_at_stranger(host: &str, port: u16, timeout: Duration) -> Examination {
    let mut examination = Examination::default();
    look_at_offer(&mut examination, host, port, timeout);
    examination.advise(
        "compare the fingerprint with the bank by telephone or on paper, then write it into host_keys of [bank.sftp]",
    );
    examination
}

/// Examines the server of a bank; with `rehearse` a small file is written, read, renamed and removed in its folder.
pub fn examine(bank: &Bank, profile: &Arc<Profile>, rehearse: bool) -> Examination {
    let mut examination = Examination::default();
    look_at_offer(&mut examination, &profile.host, profile.port, profile.timeout);
    let mut remote = match SftpRemote::connect(profile, &Watchdog::default()) {
        Ok(remote) => remote,
        Err(fault) => {
            advise_on_fault(&mut examination, &fault);
            examination.note("log in", false, fault.to_string());
            return examination;
        }
    };
    let negotiated = remote.negotiated();
    examination.note(
        "log in",
        true,
        format!("as {}, one question takes {} ms", profile.user, negotiated.round_trip.as_millis()),
    );
    examination.negotiated = Some(negotiated);
    look_into(&mut examination, &mut remote, profile);
    if rehearse {
        rehearsal(&mut examination, remote, bank, profile);
    } else {
        examination.advise("run it with --rehearse to see what may be written, renamed and removed");
    }
    examination
}

fn look_at_offer(examination: &mut Examination, host: &str, port: u16, timeout: Duration) {
    let asked = offered(host, port, timeout).map_err(|error| error.to_string());
    match &asked {
        Ok(offer) => {
            examination.note("connect", true, offer.banner.clone());
            if offer.host_keys.is_empty() {
                examination.note("host key", false, "none of a type that is safe");
                examination.advise("ask the bank for an Ed25519 or ECDSA host key, or RSA with rsa-sha2-256");
            }
        }
        Err(error) => {
            examination.note("connect", false, format!("{host}:{port}: {error}"));
            examination.advise(
                "ask the bank whether the address is right, whether its firewall lets our address in, and at what hours",
            );
        }
    }
    examination.offered = Some(asked);
}

fn advise_on_fault(examination: &mut Examination, fault: &Fault) {
    match fault {
        Fault::HostKey { .. } => examination.advise(
            "ask the bank by telephone whether it changed its host key. If so, put the new one beside the old one in \
             host_keys; if not, somebody stands between us and the bank: send nothing",
        ),
        Fault::Authentication { .. } => examination.advise(
            "ask the bank whether our public key (ssh-keygen -y -f KEY) is entered for this user, whether the account \
             is locked or expired, and from which addresses it may log in",
        ),
        Fault::Ours(_) => examination.advise("correct key, passphrase or password of the profile: they cannot be read"),
        _ if examination.is_well() => examination.advise(
            "the server answers but nothing could be agreed: compare its algorithms above with those of ours; ask the \
             bank for current ones, legacy_algorithms = true is the last resort",
        ),
        _ => {}
    }
}

/// What lies in both folders.
fn look_into(examination: &mut Examination, remote: &mut SftpRemote, profile: &Profile) {
    match remote.list(&profile.get, LISTED) {
        Ok(listing) => {
            let (files, odd) = sort(profile, &listing.entries);
            let mut found = format!("{}: {} files", profile.get, files.len());
            for (entry, odd) in odd.iter().take(10) {
                found += &format!("; {}: {}", escaped(OsStr::from_bytes(&entry.name)), odd.words());
            }
            examination.note("list return files", true, found);
        }
        Err(fault) => {
            examination.note("list return files", false, fault.to_string());
            examination
                .advise("ask the bank to let us list the folder of return files: nothing can be fetched without");
        }
    }
    match remote.list(&profile.put, LISTED) {
        Ok(listing) => {
            let ours = listing.entries.iter().filter(|entry| entry.kind == EntryKind::File).count();
            examination.note("list instruction files", true, format!("{}: {ours} files", profile.put));
        }
        Err(fault) => {
            // A write-only folder is the bank's right.
            examination.note("list instruction files", true, format!("not allowed: {fault}"));
        }
    }
}

/// Writes a small file that no bank looks for, and takes it away again.
fn rehearsal(examination: &mut Examination, mut remote: SftpRemote, bank: &Bank, profile: &Arc<Profile>) {
    let text = format!("daikou rehearsal for {}: may be removed\n", bank.key);
    let file = Outgoing {
        folder: &profile.put,
        name: "daikou-rehearsal",
        prefix: "",
        bytes: Bytes::Memory(text.as_bytes()),
        size: text.len() as u64,
        sha256: sha256(format!("{text}{:?}", SystemTime::now()).as_bytes()),
    };
    let (first, second) = (file.temporary(1), file.temporary(2));
    if let Err(fault) = remote.create(&first, &mut text.as_bytes()) {
        examination.note("write", false, fault.to_string());
        examination.advise(format!("ask the bank for write access to {} and for room there", profile.put));
        return;
    }
    examination.note("write", true, first.to_string());
    rehearse_looking(examination, &mut remote, &first, text.as_bytes());
    let there = rehearse_renaming(examination, &mut remote, &first, &second);
    rehearse_extensions(examination, &mut remote, there);
    match remote.remove(there) {
        Ok(()) => examination.note("remove", true, "removed"),
        Err(fault) => {
            examination.note("remove", true, format!("not allowed: {fault}"));
            examination.advise(format!("ask the bank to remove {there}: it is a rehearsal of ours"));
        }
    }
}

fn rehearse_looking(examination: &mut Examination, remote: &mut SftpRemote, path: &RemotePath, ours: &[u8]) {
    match remote.stat(path) {
        Ok(Some(entry)) => {
            let is_right = entry.size == ours.len() as u64;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            let ahead = i128::from(entry.mtime) - i128::from(now);
            let found = format!("{} of {} bytes; its clock is {ahead} s ahead of ours", entry.size, ours.len());
            examination.note("size and time", is_right, found);
            if ahead.abs() > 60 {
                examination.advise("clocks differ by more than a minute: ask the bank whether its server keeps time");
            }
        }
        Ok(None) => {
            examination.note("size and time", false, "what was written is not there");
            examination
                .advise("the bank takes files at once: set sweeps = true, and ask it to leave names ending in .tmp");
        }
        Err(fault) => {
            examination.note("size and time", true, format!("not allowed: {fault}"));
            examination.advise("set stat = false; evidence can then be \"named\" at best: ask the bank to allow it");
        }
    }
    let mut back = Vec::new();
    match remote.read(path, 1 << 20, &mut back) {
        Ok(_) => examination.note("read back", back == ours, format!("sha256 {}", &hex(&sha256(&back))[..16])),
        Err(fault) => {
            examination.note("read back", true, format!("not allowed: {fault}"));
            examination.advise("set read = false: deliveries are then proved by size only");
        }
    }
}

/// Where the file lies afterwards.
fn rehearse_renaming<'p>(
    examination: &mut Examination,
    remote: &mut SftpRemote,
    first: &'p RemotePath,
    second: &'p RemotePath,
) -> &'p RemotePath {
    if let Err(fault) = remote.rename(first, second) {
        examination.note("rename", true, format!("not allowed: {fault}"));
        examination.advise(
            "set rename = false, and ask the bank whether it waits for the trailer or the control file before it reads",
        );
        return first;
    }
    examination.note("rename", true, second.to_string());
    let again = remote.create(first, &mut &b"x"[..]).and_then(|_| remote.rename(first, second));
    match again {
        Err(Fault::Refused { .. }) => {
            examination.note("rename onto a name that is taken", true, "refused, as it must be")
        }
        Err(fault) => examination.note("rename onto a name that is taken", true, format!("not seen: {fault}")),
        Ok(()) => {
            examination.note("rename onto a name that is taken", false, "the server overwrites");
            examination.advise("the server overwrites when renaming: ask the bank to switch that off");
        }
    }
    // What the second attempt left, if anything.
    let _ = remote.remove(first);
    second
}

fn rehearse_extensions(examination: &mut Examination, remote: &mut SftpRemote, path: &RemotePath) {
    match remote.extensions(path) {
        Ok((fsync, statvfs)) => {
            let word = |has: bool| if has { "yes" } else { "no" };
            let found = format!("fsync@openssh.com {}, statvfs@openssh.com {}", word(fsync), word(statvfs));
            examination.note("extensions", true, found);
            if !fsync {
                examination.advise("set fsync = false: the server cannot say when bytes are on its disk");
            }
        }
        Err(fault) => examination.note("extensions", true, format!("not seen: {fault}")),
    }
}
