//! `served = "chroot"`: owners and modes of the drop tree, as docs/operating.md has them. Each finding says what is
//! expected, what was found, and what to do.

use crate::cli::check::counterparties;
use crate::config::Config;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Owner, group and mode of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct About {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// Users and groups of this machine, by number.
#[derive(Debug, Default)]
struct Accounts {
    /// Name and primary group.
    users: BTreeMap<u32, (String, u32)>,
    groups: BTreeMap<u32, String>,
}

const ROOT: u32 = 0;

/// What of the drop tree OpenSSH, the daemon or a counterparty would stumble over.
pub(super) fn findings(config: &Config) -> Vec<String> {
    let Some(daemon) = About::of(&config.state) else { return Vec::new() };
    let accounts = Accounts::read();
    let mut above: BTreeMap<PathBuf, bool> = BTreeMap::new();
    let mut findings = Vec::new();
    for world in counterparties(config) {
        // A folder that is missing has a finding of its own.
        let Ok(world) = world.canonicalize() else { continue };
        world.ancestors().for_each(|folder| _ = above.entry(folder.to_owned()).or_insert(false));
        above.insert(world.clone(), true);
        let (inbox, outbox) = (world.join("in"), world.join("out"));
        let owner = About::of(&inbox).map(|about| about.uid).filter(|uid| ![ROOT, daemon.uid].contains(uid));
        findings.extend(shown(&inbox, |about| about.as_inbox(daemon, &accounts)));
        findings.extend(shown(&outbox, |about| about.as_outbox(daemon, owner, &accounts)));
    }
    let above = above.iter().flat_map(|(folder, is_world)| shown(folder, |about| about.as_above(*is_world, &accounts)));
    above.chain(findings).collect()
}

/// The findings of one folder, with its path before each.
fn shown(folder: &Path, judge: impl FnOnce(About) -> Vec<String>) -> Vec<String> {
    let found = About::of(folder).map(judge).unwrap_or_default();
    found.into_iter().map(|finding| format!("{}: {finding}", folder.display())).collect()
}

impl About {
    fn of(folder: &Path) -> Option<About> {
        let metadata = fs::metadata(folder).ok()?;
        Some(About { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777 })
    }

    /// A folder above `in` and `out`; the last of them is the chroot, and all that the counterparty sees.
    fn as_above(self, is_world: bool, accounts: &Accounts) -> Vec<String> {
        let mut findings = Vec::new();
        if self.uid != ROOT {
            let found = accounts.user(self.uid);
            findings.push(format!(
                "expected owner root, found {found}; chown root it: OpenSSH refuses the chroot otherwise"
            ));
        }
        let is_closed = self.mode & 0o022 == 0;
        if !is_closed || (is_world && self.mode & 0o005 != 0o005) {
            let why = if is_closed { "the counterparty cannot look into it" } else { "OpenSSH refuses the chroot" };
            findings.push(format!("expected mode 755, found mode {:03o}; chmod 755 it: {why} otherwise", self.mode));
        }
        findings
    }

    /// The counterparty writes here; the daemon reads and removes through its group.
    fn as_inbox(self, daemon: About, accounts: &Accounts) -> Vec<String> {
        let mut findings = Vec::new();
        if self.uid == ROOT || self.uid == daemon.uid {
            let found = accounts.user(self.uid);
            findings.push(format!(
                "expected the counterparty's own user as owner, found {found}; chown its user it: it could put nothing here"
            ));
        }
        if self.gid != daemon.gid {
            let (wanted, found) = (accounts.group(daemon.gid), accounts.group(self.gid));
            findings.push(format!(
                "expected group {wanted}, the daemon's, found {found}; chgrp {wanted} it: the daemon could not read or \
                 remove what arrives"
            ));
        }
        if self.mode != 0o2770 {
            let why = match self.mode {
                mode if mode & 0o002 != 0 => "anybody could put files here in the counterparty's name",
                mode if mode & 0o005 != 0 => "anybody could look at it",
                mode if mode & 0o2000 == 0 => "what arrives would not belong to the daemon's group",
                mode if mode & 0o1000 != 0 => "the daemon could not remove what arrives",
                mode if mode & 0o200 == 0 => "the counterparty could put nothing here",
                _ => "counterparty and daemon must both read, write and enter",
            };
            findings.push(format!("expected mode 2770, found mode {:04o}; chmod 2770 it: {why}", self.mode));
        }
        findings
    }

    /// The daemon writes here; the counterparty fetches through its group. With 2770 it may remove what it fetched.
    fn as_outbox(self, daemon: About, counterparty: Option<u32>, accounts: &Accounts) -> Vec<String> {
        let mut findings = Vec::new();
        if self.uid != daemon.uid {
            let (wanted, found) = (accounts.user(daemon.uid), accounts.user(self.uid));
            findings.push(format!(
                "expected owner {wanted}, the daemon's user, found {found}; chown {wanted} it: only the daemon may put \
                 files here"
            ));
        }
        let wanted = counterparty.and_then(|uid| accounts.users.get(&uid)).map(|(_, gid)| *gid);
        let is_nobodys = self.gid == ROOT || self.gid == daemon.gid;
        if wanted.map_or(is_nobodys, |wanted| self.gid != wanted) {
            let found = accounts.group(self.gid);
            let wanted = wanted.map_or_else(|| "the counterparty's own group".to_owned(), |gid| accounts.group(gid));
            findings.push(format!(
                "expected group {wanted}, found {found}; chgrp it: the counterparty could fetch nothing, or another could"
            ));
        }
        if ![0o2750, 0o2770].contains(&self.mode) {
            let why = match self.mode {
                mode if mode & 0o007 != 0 => "others have no business here",
                mode if mode & 0o2000 == 0 => "what the daemon writes would not belong to the counterparty's group",
                _ => "the daemon writes, the counterparty fetches",
            };
            findings.push(format!(
                "expected mode 2750, or 2770 where the counterparty removes what it fetched, found mode {:04o}; chmod 2750 \
                 it: {why}",
                self.mode
            ));
        }
        findings
    }
}

impl Accounts {
    /// Those that stand in the files; others are shown by their number.
    fn read() -> Accounts {
        let lines = |path| fs::read_to_string(path).unwrap_or_default();
        let mut accounts = Accounts::default();
        for line in lines("/etc/passwd").lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, uid, gid, ..] = fields[..]
                && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
            {
                accounts.users.entry(uid).or_insert((name.to_owned(), gid));
            }
        }
        for line in lines("/etc/group").lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, gid, ..] = fields[..]
                && let Ok(gid) = gid.parse()
            {
                accounts.groups.entry(gid).or_insert(name.to_owned());
            }
        }
        accounts
    }

    fn user(&self, uid: u32) -> String {
        self.users.get(&uid).map_or_else(|| uid.to_string(), |(name, _)| name.clone())
    }

    fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }
}

#[cfg(test)]
mod tests;
