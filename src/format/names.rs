//! File names: made and recognised from one pattern, as `NSH_{agency12}_{yyyymmdd}_{seq8}.REQ`.

use std::fmt::Write;

/// A pattern of file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// So many letters or digits of the agency's number.
    Agency(usize),
    /// The batch's date.
    Date,
    /// So many last digits of the batch number.
    Sequence(usize),
    /// The whole batch number: letters and digits up to the next text.
    Batch,
    /// Two digits: the number of a return file among those of its batch.
    Part,
}

/// What a file name says; a part that its pattern lacks is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameParts {
    /// The agency's number at the bank.
    pub agency: Option<String>,
    /// The batch's date, `yyyymmdd`.
    pub date: Option<String>,
    /// The last digits of the batch number.
    pub sequence: Option<String>,
    /// The batch number.
    pub batch: Option<String>,
    /// Number of the return file, from 1.
    pub part: Option<u8>,
}

impl NameParts {
    /// The parts of the names of a batch's files.
    pub fn of(agency: &str, batch: &str, part: Option<u8>) -> NameParts {
        NameParts {
            agency: Some(agency.to_owned()),
            date: batch.get(..8).map(str::to_owned),
            sequence: Some(batch.to_owned()),
            batch: Some(batch.to_owned()),
            part,
        }
    }

    /// Whether a name may belong to this agency and batch: every part it has agrees.
    pub fn agrees_with(&self, agency: &str, batch: &str) -> bool {
        self.agency.as_deref().is_none_or(|part| part == agency)
            && self.date.as_deref().is_none_or(|part| batch.get(..8) == Some(part))
            && self.sequence.as_deref().is_none_or(|part| batch.ends_with(part))
            && self.batch.as_deref().is_none_or(|part| part == batch)
    }
}

impl NamePattern {
    /// Reads a pattern; what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<NamePattern, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (word, after) = after.split_once('}').ok_or_else(|| format!("{text}: a brace is not closed"))?;
            pieces.push(Piece::parse(word).ok_or_else(|| format!("{text}: no such part {{{word}}}"))?);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let open_ended = pieces.windows(2).any(|two| two[0] == Piece::Batch && !matches!(two[1], Piece::Text(_)));
        if open_ended || pieces.is_empty() || text.contains(['/', '\\']) {
            return Err(format!("{text}: {{batch}} needs a text after it, and a name has no folder"));
        }
        Ok(NamePattern { text: text.to_owned(), pieces })
    }

    /// How many characters of the agency's number stand in the names.
    pub fn agency_width(&self) -> Option<usize> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Agency(width) => Some(*width),
            _ => None,
        })
    }

    /// The name of these parts; `None` where a part is missing or has another width.
    pub fn make(&self, parts: &NameParts) -> Option<String> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Agency(width) => name.push_str(parts.agency.as_deref().filter(|a| a.len() == *width)?),
                Piece::Date => name.push_str(parts.date.as_deref()?),
                Piece::Sequence(width) => {
                    let digits = parts.sequence.as_deref()?;
                    name.push_str(digits.get(digits.len().checked_sub(*width)?..)?);
                }
                Piece::Batch => name.push_str(parts.batch.as_deref()?),
                Piece::Part => write!(name, "{:02}", parts.part?).ok()?,
            }
        }
        Some(name)
    }

    /// The parts of a name of this pattern; `None` for any other name.
    pub fn read(&self, name: &str) -> Option<NameParts> {
        let mut parts = NameParts::default();
        let mut rest = name;
        for (place, piece) in self.pieces.iter().enumerate() {
            rest = match piece {
                Piece::Text(text) => rest.strip_prefix(text.as_str())?,
                Piece::Agency(width) => take(rest, *width, u8::is_ascii_alphanumeric, &mut parts.agency)?,
                Piece::Date => take(rest, 8, u8::is_ascii_digit, &mut parts.date)?,
                Piece::Sequence(width) => take(rest, *width, u8::is_ascii_alphanumeric, &mut parts.sequence)?,
                Piece::Batch => {
                    let width = match self.pieces.get(place + 1) {
                        Some(Piece::Text(text)) => rest.find(text.as_str())?,
                        _ => rest.len(),
                    };
                    take(rest, width, u8::is_ascii_alphanumeric, &mut parts.batch)?
                }
                Piece::Part => {
                    let mut digits = None;
                    let rest = take(rest, 2, u8::is_ascii_digit, &mut digits)?;
                    parts.part = digits?.parse().ok();
                    rest
                }
            };
        }
        rest.is_empty().then_some(parts)
    }
}

impl Piece {
    fn parse(word: &str) -> Option<Piece> {
        let width = |prefix| word.strip_prefix(prefix)?.parse().ok().filter(|width| (1..=32).contains(width));
        match word {
            "yyyymmdd" => Some(Piece::Date),
            "batch" => Some(Piece::Batch),
            "nn" => Some(Piece::Part),
            _ => width("agency").map(Piece::Agency).or_else(|| width("seq").map(Piece::Sequence)),
        }
    }
}

/// Moves `width` bytes that satisfy `is` from `rest` to `part`.
fn take<'a>(rest: &'a str, width: usize, is: fn(&u8) -> bool, part: &mut Option<String>) -> Option<&'a str> {
    let (head, rest) = rest.split_at_checked(width)?;
    if head.is_empty() || !head.as_bytes().iter().all(is) {
        return None;
    }
    *part = Some(head.to_owned());
    Some(rest)
}

/// As written in `layout.toml`.
impl std::fmt::Display for NamePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_and_recognised() {
        for (pattern, agency, name) in [
            ("NSH_{agency12}_{yyyymmdd}_{seq8}.REQ", "500199000001", "NSH_500199000001_20180705_01000001.REQ"),
            ("DK{yyyymmdd}{agency8}{seq4}.TXT", "50019901", "DK20180705500199010001.TXT"),
            ("CSH_{agency12}_{batch}_R{nn}.DAT", "500199000001", "CSH_500199000001_2018070501000001_R02.DAT"),
        ] {
            let pattern = NamePattern::parse(pattern).unwrap();
            let parts = NameParts::of(agency, "2018070501000001", Some(2));
            assert_eq!(pattern.make(&parts).as_deref(), Some(name));
            let read = pattern.read(name).unwrap();
            assert!(read.agrees_with(agency, "2018070501000001"), "{read:?}");
            assert!(!read.agrees_with(agency, "2018070501000002"), "{read:?}");
            assert_eq!(pattern.make(&read).as_deref(), Some(name));
        }
    }

    #[test]
    fn other_names_are_not_recognised() {
        let pattern = NamePattern::parse("DK{yyyymmdd}{agency8}{seq4}.TXT").unwrap();
        for name in
            ["DK20180705500199010001.TXT.tmp", "DK2018070550019901001.TXT", "dk20180705500199010001.TXT", "", "DK二"]
        {
            assert_eq!(pattern.read(name), None, "{name}");
        }
        for bad in ["{seq", "{what}", "{batch}{nn}", "a/{nn}", ""] {
            assert!(NamePattern::parse(bad).is_err(), "{bad}");
        }
    }
}
