//! A bank's codes and what they mean here. Exact after the spaces at the end are gone: `0` is not `00`.

use crate::domain::returns::{FileAnswer, Outcome};

/// The code tables of a layout.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    rows: Vec<RowCode>,
    files: Vec<FileCode>,
}

/// One code of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowCode {
    /// As it stands in files, without padding.
    pub code: String,
    /// What it means.
    pub outcome: Outcome,
    /// The bank's own words.
    pub title: String,
}

/// One code of a whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCode {
    /// As it stands in files, without padding.
    pub code: String,
    /// What it means.
    pub answer: FileAnswer,
    /// The bank's own words.
    pub title: String,
}

impl Codes {
    /// Builds the tables, or names every code that stands twice and every table that lacks success.
    pub fn build(rows: Vec<RowCode>, files: Vec<FileCode>) -> Result<Codes, Vec<String>> {
        let mut faults = duplicates("row", rows.iter().map(|row| row.code.as_str()));
        faults.extend(duplicates("file", files.iter().map(|file| file.code.as_str())));
        if !rows.iter().any(|row| row.outcome == Outcome::Ok) {
            faults.push("no row code means ok".to_owned());
        }
        if rows.iter().any(|row| row.code.is_empty()) {
            faults.push("an empty row code has no meaning".to_owned());
        }
        if faults.is_empty() { Ok(Codes { rows, files }) } else { Err(faults) }
    }

    /// What a row's code means; `unmapped` where the table does not have it.
    #[inline]
    pub fn outcome(&self, code: &[u8]) -> Outcome {
        self.rows.iter().find(|row| row.code.as_bytes() == code).map_or(Outcome::Unmapped, |row| row.outcome)
    }

    /// What a file's code means: rejected where the table does not have it.
    pub fn file_answer(&self, code: &[u8]) -> FileAnswer {
        self.files.iter().find(|file| file.code.as_bytes() == code).map_or(FileAnswer::Rejected, |file| file.answer)
    }

    /// The codes of rows, in the order of the table.
    pub fn rows(&self) -> &[RowCode] {
        &self.rows
    }

    /// The codes of files, in the order of the table.
    pub fn files(&self) -> &[FileCode] {
        &self.files
    }
}

fn duplicates<'a>(table: &str, codes: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let count = |code: &str| codes.clone().filter(|other| *other == code).count();
    let mut twice: Vec<&str> = codes.clone().filter(|code| count(code) > 1).collect();
    twice.sort_unstable();
    twice.dedup();
    let padded = codes.clone().filter(|code| code.trim_end() != *code || !code.is_ascii());
    let twice = twice.into_iter().map(|code| format!("{table} code {code:?} stands more than once"));
    twice.chain(padded.map(|code| format!("{table} code {code:?} is not plain text without padding"))).collect()
}
