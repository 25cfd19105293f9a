//! I10: every drop file came to an end, and its bytes are kept as they came.

use crate::config::Config;
use crate::daemon::audit::Found;
use crate::domain::calendar::DateTime;
use crate::store::FileState;
use crate::transport::{digest_of, hex};
use rusqlite::{Connection, OptionalExtension, Row};
use std::path::Path;

/// A drop file as the check needs it.
struct Kept {
    id: i64,
    name: String,
    sha256: [u8; 32],
    state: u8,
    archived: String,
}

/// I10: files older than `incomplete_after` are in a final state; every file that reached one is kept, its bytes
/// unchanged: quarantined ones in `quarantine/`, all others in `archive/`.
pub(super) fn whole(conn: &Connection, config: &Config, now: DateTime) -> Found {
    let mut statement = conn.prepare("SELECT id, name, sha256, state, archived FROM file ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let file = kept(row)?;
        let fault = match FileState::ALL.get(usize::from(file.state)).map(|(state, ..)| *state) {
            Some(FileState::Arrived | FileState::Claimed) => unfinished(conn, config, &file, now)?,
            Some(FileState::Quarantined) => changed(&config.state, "quarantine", &file),
            Some(FileState::Processed | FileState::Duplicate) => changed(&config.state, "archive", &file),
            None => Some("is in no state of ours".to_owned()),
        };
        if let Some(fault) = fault {
            return Ok(Some(format!("file {}: {}: {fault}", file.id, file.name)));
        }
    }
    Ok(None)
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept { id: row.get(0)?, name: row.get(1)?, sha256: row.get(2)?, state: row.get(3)?, archived: row.get(4)? })
}

/// The clock runs from the last thing that was done with the file: a long one is taken chunk by chunk.
fn unfinished(conn: &Connection, config: &Config, file: &Kept, now: DateTime) -> Found {
    let mut statement =
        conn.prepare_cached("SELECT at FROM audit WHERE action = 'ingest' AND digest = ?1 ORDER BY seq DESC LIMIT 1")?;
    let at: Option<String> = statement.query_row([&file.sha256[..]], |row| row.get(0)).optional()?;
    let since = at.and_then(|at| at.parse::<DateTime>().ok());
    let in_time = since.is_some_and(|since| is_within(since, now, config.incomplete_after_s));
    let state = FileState::ALL[usize::from(file.state)].1;
    Ok((!in_time).then(|| format!("expected a final state, found {state}; give the file to `daikou ingest` again")))
}

fn is_within(since: DateTime, now: DateTime, seconds: u64) -> bool {
    now.duration_since(since).as_secs() <= i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// A process that died between commit and archive left the copy in the spool: the next start of the daemon, or the
/// same file again, puts it away.
fn changed(state: &Path, root: &str, file: &Kept) -> Option<String> {
    let (kept, spooled) = (state.join(root).join(&file.archived), state.join("spool").join(hex(&file.sha256)));
    let path = if kept.exists() { kept } else { spooled };
    match digest_of(&path) {
        Ok(Some(digest)) if digest == file.sha256 => None,
        Ok(Some(_)) => Some(format!("{}: the bytes kept there are not those that came", path.display())),
        Ok(None) => {
            Some(format!("expected the bytes that came in {root}/{} or in spool/, found no file", file.archived))
        }
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_so_many_seconds() {
        let at = |text: &str| text.parse::<DateTime>().unwrap();
        assert!(is_within(at("2018-07-05T10:00:00"), at("2018-07-05T10:10:00"), 600));
        assert!(!is_within(at("2018-07-05T10:00:00"), at("2018-07-05T10:10:01"), 600));
        assert!(!is_within(at("2018-07-05T00:00:00"), at("2018-07-06T00:00:00"), 600));
    }
}
