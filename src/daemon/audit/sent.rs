//! I9, the part that needs files: what went to payers lies in the archive as it was approved.

use crate::config::Config;
use crate::daemon::audit::Found;
use crate::domain::calendar::Date;
use crate::pipeline::papers::{settlement, settlement_files};
use crate::store::{payouts, settlements};
use crate::transport::place::sanitised;
use crate::transport::{digest_of, hex, sha256};
use rusqlite::Connection;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The tables of approved settlements and the lists of ex-post subsidies, made again, are what the archive has. The
/// workbooks beside them are for people, and follow from the same rows.
pub(super) fn kept(conn: &Connection, config: &Config) -> Found {
    let archive = config.state.join("archive");
    for one in settlements::all(conn)? {
        let Some(approved_on) = one.approved_on else { continue };
        let papers = settlement(&one.head, &settlements::claims(conn, one.id)?);
        let [summary, names, _] = settlement_files(&one.head);
        for (name, bytes) in [(summary, papers.summary), (names, papers.names)] {
            let digest = sha256(&bytes);
            if let Some(fault) = differs(&archive.join(kept_at(approved_on, &digest, &name)), &digest) {
                return Ok(Some(format!("settlement {}: {fault}", one.subject())));
            }
        }
    }
    for (_, list) in payouts::lists(conn)? {
        if let Some(fault) = differs(&archive.join(&list.archived), &list.sha256) {
            return Ok(Some(format!("list {}: {fault}", list.name)));
        }
    }
    Ok(None)
}

fn kept_at(on: Date, digest: &[u8; 32], name: &str) -> PathBuf {
    let name = format!("{}-{}", hex(digest), sanitised(OsStr::new(name)));
    PathBuf::from(format!("{:04}/{:02}", on.year(), on.month())).join(name)
}

fn differs(path: &Path, expected: &[u8; 32]) -> Option<String> {
    match digest_of(path) {
        Ok(Some(digest)) if digest == *expected => None,
        Ok(Some(_)) => Some(format!("{}: the bytes kept there are not those that went out", path.display())),
        Ok(None) => Some(format!("expected what went out in {}, found no file", path.display())),
        Err(error) => Some(error.to_string()),
    }
}
