//! Maker and checker (R21): what is asked, by whom, bound to the digest of what was shown.

use crate::domain::calendar::Date;
use crate::store::chain::Txn;
use crate::store::{Error, Result, date, day};
use rusqlite::{Connection, Row};

/// Something that waits for another person, or was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its number.
    pub id: i64,
    /// What kind of thing.
    pub kind: String,
    /// Of what: batch number, exception, file, fee year.
    pub subject: String,
    /// What is asked, as the maker gave it.
    pub request: String,
    /// Digest of what was shown.
    pub digest: [u8; 32],
    /// Who asked.
    pub maker: String,
    /// When.
    pub made_on: Date,
}

impl Approval {
    /// Whether this text may mean it: its number, its subject, the number in its subject, or kind and subject.
    pub fn is_meant_by(&self, text: &str) -> bool {
        let number = self.subject.rsplit_once(' ').map(|(_, number)| number);
        let whole = text.strip_prefix(&self.kind).and_then(|rest| rest.strip_prefix(' '));
        [Some(text), whole].contains(&Some(self.subject.as_str()))
            || number == Some(text)
            || self.id.to_string() == text
    }
}

/// What waits, oldest first.
pub fn waiting(conn: &Connection) -> Result<Vec<Approval>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, kind, subject, request, digest, maker, made_on FROM approval WHERE state = 0 ORDER BY id",
    )?;
    let rows = statement.query_map([], approval)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn approval(row: &Row<'_>) -> rusqlite::Result<Approval> {
    Ok(Approval {
        id: row.get(0)?,
        kind: row.get(1)?,
        subject: row.get(2)?,
        request: row.get(3)?,
        digest: row.get(4)?,
        maker: row.get(5)?,
        made_on: date(row.get(6)?),
    })
}

impl Txn<'_> {
    /// Asks for an approval; an older request for the same thing is void. Asked twice is asked once: whoever repeats a
    /// command after a crash does not take away what the checker looks at.
    pub fn ask(
        &self,
        kind: &str,
        subject: &str,
        request: &str,
        digest: &[u8; 32],
        maker: &str,
        on: Date,
    ) -> Result<()> {
        let same =
            "SELECT 1 FROM approval WHERE state = 0 AND kind = ?1 AND subject = ?2 AND request = ?3 AND digest = ?4";
        if self.tx.prepare_cached(same)?.exists((kind, subject, request, &digest[..]))? {
            return Ok(());
        }
        self.void(kind, subject)?;
        self.insert_approval(kind, subject, request, digest, (maker, ""), on)
    }

    /// Records what went on without another person, as the configuration allows.
    pub fn record_unasked(
        &self,
        kind: &str,
        subject: &str,
        request: &str,
        digest: &[u8; 32],
        maker: &str,
        on: Date,
    ) -> Result<()> {
        self.insert_approval(kind, subject, request, digest, (maker, "system"), on)
    }

    fn insert_approval(
        &self,
        kind: &str,
        subject: &str,
        request: &str,
        digest: &[u8; 32],
        (maker, checker): (&str, &str),
        on: Date,
    ) -> Result<()> {
        let state = i64::from(!checker.is_empty());
        self.tx
            .prepare_cached(
                "INSERT INTO approval (kind, subject, request, digest, maker, made_on, state, checker)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((kind, subject, request, &digest[..], maker, day(on), state, checker))?;
        Ok(())
    }

    /// The checker says yes.
    pub fn approve(&self, id: i64, checker: &str) -> Result<()> {
        let changed = self
            .tx
            .prepare_cached("UPDATE approval SET state = 1, checker = ?2 WHERE id = ?1 AND state = 0")?
            .execute((id, checker))?;
        // Somebody else was faster: what was decided on it must be looked at again.
        if changed == 1 { Ok(()) } else { Err(Error::Stale) }
    }

    /// What was asked for this has changed, or is withdrawn.
    pub fn void(&self, kind: &str, subject: &str) -> Result<()> {
        self.tx
            .prepare_cached("UPDATE approval SET state = 2 WHERE kind = ?1 AND subject = ?2 AND state = 0")?
            .execute((kind, subject))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_meant_by_its_names() {
        let approval = Approval {
            id: 3,
            kind: "resolve".to_owned(),
            subject: "exception 12".to_owned(),
            request: String::new(),
            digest: [0; 32],
            maker: String::new(),
            made_on: Date::constant(2018, 7, 5),
        };
        ["3", "12", "exception 12", "resolve exception 12"]
            .iter()
            .for_each(|text| assert!(approval.is_meant_by(text), "{text}"));
        ["", "1", "exception", "resolve", "plan exception 12", "resolve exception 1"]
            .iter()
            .for_each(|text| assert!(!approval.is_meant_by(text), "{text}"));
    }
}
