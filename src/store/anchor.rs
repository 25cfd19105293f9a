//! An anchor: what the audit log was at one moment, written down where nobody who can write the store can write.
//!
//! The chain alone shows a clumsy hand: whoever can write the store can also seal the whole log again. An anchor that
//! lies elsewhere shows that too, and a log that was cut off.

use crate::domain::calendar::{Date, DateTime, parse_date};
use crate::store::chain::row_digest;
use crate::store::{Error, Result};
use rusqlite::{Connection, OptionalExtension};
use std::fmt;

/// Number, business date and digest of one row of the audit log. As text: `1234:2018-07-05:` and 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchor {
    /// Number of the row.
    pub seq: i64,
    /// Business date of its act.
    pub on: Date,
    /// Digest of the row, which covers the digest of the row before, and so the whole log up to it.
    pub digest: [u8; 32],
}

impl Anchor {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Anchor> {
        let mut parts = text.split(':');
        let (seq, on, digest) = (parts.next()?, parts.next()?, parts.next()?);
        let seq = seq.parse().ok().filter(|seq| *seq > 0)?;
        if parts.next().is_some() || digest.len() != 64 || !digest.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digest[place..place + 2], 16).ok()?;
        }
        Some(Anchor { seq, on: parse_date(on)?, digest: bytes })
    }

    /// The digest in lower-case hex.
    pub fn hex(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.seq, self.on, self.hex())
    }
}

/// The newest row of the log; `None` while it is empty.
pub fn head(conn: &Connection) -> Result<Option<Anchor>> {
    let newest: i64 = conn.query_row("SELECT coalesce(max(seq), 0) FROM audit", [], |row| row.get(0))?;
    at(conn, newest)
}

/// The row of this number as it is now.
pub(crate) fn at(conn: &Connection, seq: i64) -> Result<Option<Anchor>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, at, actor, action, subject, digest, postings, previous FROM audit WHERE seq = ?1",
    )?;
    let found = statement.query_row([seq], |row| Ok((row.get::<_, String>(1)?, row_digest(row)))).optional()?;
    let Some((at, digest)) = found else { return Ok(None) };
    let at = at.parse::<DateTime>().map_err(|_| Error::Broken(format!("audit row {seq} has no date")))?;
    Ok(Some(Anchor { seq, on: at.date(), digest: digest? }))
}

/// The first contradiction between the log and earlier anchors; `None` where every one of them is still in it. That the
/// rows up to an anchor are those that it covers follows only together with I11.
pub fn contradicts(conn: &Connection, anchors: &[Anchor]) -> Result<Option<String>> {
    let mut anchors = anchors.to_vec();
    anchors.sort_unstable();
    let mut sound = 0;
    for anchor in anchors {
        let Anchor { seq, on, .. } = anchor;
        match at(conn, seq)? {
            Some(now) if now == anchor => sound = seq,
            Some(now) => {
                let (expected, found) = (anchor.hex(), now.hex());
                return Ok(Some(format!(
                    "audit row {seq}: expected {on} {expected}, found {} {found}: \
                     the log was rewritten somewhere in rows {} to {seq}",
                    now.on,
                    sound + 1
                )));
            }
            None => {
                let end = head(conn)?.map_or(0, |head| head.seq);
                return Ok(Some(format!(
                    "audit row {seq}: expected that of {on}, found a log that ends with row {end}: it was cut off"
                )));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_reads_back_and_nothing_else_is_one() {
        let anchor = Anchor { seq: 12, on: Date::constant(2018, 7, 5), digest: [0xab; 32] };
        let text = anchor.to_string();
        assert_eq!(text, format!("12:2018-07-05:{}", "ab".repeat(32)));
        assert_eq!(Anchor::parse(&text), Some(anchor));
        let broken = ["", "12", &text[..70], &format!("{text}0"), &format!("{text}:"), &text.replace("12:", "0:")];
        assert!(broken.iter().all(|text| Anchor::parse(text).is_none()));
        assert_eq!(Anchor::parse(&text.replace("07-05", "02-30")), None);
    }
}
