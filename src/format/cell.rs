//! What the cells of a table that we write may become: which hide a person, which are guarded against being read as a
//! formula, which reach a sheet as numbers, and how wide they stand.

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words, codes, long numbers that nobody adds up.
    Text,
    /// Identity number.
    Id,
    /// Bank account.
    Account,
    /// A person's name.
    Name,
    /// Yuan with two decimals.
    Amount,
    /// A count or a year.
    Number,
    /// `YYYY-MM-DD` or `YYYY-MM`.
    Date,
}

/// Excel takes a text that begins so for a formula, and an apostrophe before it for "this is text" (CWE-1236).
pub fn guarded(kind: Kind, cell: &str) -> String {
    const OPENS_FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\0', '＝', '＋', '－', '＠'];
    let is_text = !matches!(kind, Kind::Amount | Kind::Number);
    if is_text && cell.starts_with(OPENS_FORMULA) { format!("'{cell}") } else { cell.to_owned() }
}

/// Identity number: first six and last four; account: last four; name: first character.
pub fn masked(kind: Kind, cell: &str) -> String {
    let count = cell.chars().count();
    let tail = |kept: usize| cell.chars().skip(count.saturating_sub(kept));
    let head = |kept: usize| cell.chars().take(kept);
    match kind {
        _ if cell.is_empty() => String::new(),
        Kind::Id if count >= 15 => head(6).chain("********".chars()).chain(tail(4)).collect(),
        Kind::Account if count >= 8 => "****".chars().chain(tail(4)).collect(),
        Kind::Id | Kind::Account => "****".to_owned(),
        Kind::Name => head(1).chain(['*']).collect(),
        Kind::Text | Kind::Amount | Kind::Number | Kind::Date => cell.to_owned(),
    }
}

/// Width of a column in characters.
pub fn width(kind: Kind) -> u8 {
    match kind {
        Kind::Id => 20,
        Kind::Account => 24,
        Kind::Text => 18,
        Kind::Name | Kind::Amount | Kind::Date => 12,
        Kind::Number => 10,
    }
}
