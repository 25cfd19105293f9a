//! Tables that are read for people who look: what they are about, their columns, and values whose wording is left open.

use crate::domain::calendar::Date;
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::store::{Result, date};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Nothing is known.
    None,
    /// Text as it is: numbers of batches, file names, reasons.
    Text(String),
    /// One of our words, for which there is a Chinese one.
    Word(String),
    /// A count, a year, a line.
    Number(i64),
    /// Place of a byte in a file, from 0.
    Byte(u64),
    /// An amount.
    Money(Money),
    /// A date.
    Day(Date),
    /// An identity number.
    Id(IdNumber),
    /// A person's name.
    Name(String),
    /// An account, or another number that leads to a person.
    Account(String),
    /// Yes or no.
    Flag(bool),
}

/// What is known about something: rows of one shape.
#[derive(Clone, Debug)]
pub struct Facts {
    /// About what: the key for machines.
    pub about: &'static str,
    /// Names of the columns: the keys for machines.
    pub columns: &'static [&'static str],
    /// Rows with one value for each column.
    pub rows: Vec<Vec<Fact>>,
}

impl Facts {
    /// A table without rows.
    pub fn new(about: &'static str, columns: &'static [&'static str]) -> Facts {
        Facts { about, columns, rows: Vec::new() }
    }

    /// Adds the rows of a statement.
    pub(crate) fn read(
        &mut self,
        conn: &Connection,
        sql: &str,
        params: impl Params,
        fill: impl Fn(&Row<'_>) -> Result<Vec<Fact>>,
    ) -> Result<()> {
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            let facts = fill(row)?;
            debug_assert_eq!(facts.len(), self.columns.len(), "a row has one value for each column");
            self.rows.push(facts);
        }
        Ok(())
    }
}

impl Fact {
    /// A word of ours.
    pub fn word(word: &str) -> Fact {
        Fact::Word(word.to_owned())
    }

    /// A text, or what prints like one.
    pub fn text(value: impl ToString) -> Fact {
        Fact::Text(value.to_string())
    }
}

/// Nothing where there is nothing.
pub(crate) fn or_none<T>(value: Option<T>, fact: impl Fn(T) -> Fact) -> Fact {
    value.map_or(Fact::None, fact)
}

/// A stored text; an empty one says nothing.
pub(crate) fn text(row: &Row<'_>, column: usize) -> Result<Fact> {
    Ok(or_none(text_of(row, column)?, Fact::Text))
}

/// A stored text, where it is not empty.
pub(crate) fn text_of(row: &Row<'_>, column: usize) -> Result<Option<String>> {
    Ok(row.get::<_, Option<String>>(column)?.filter(|text| !text.is_empty()))
}

/// Who sent a file: what is no bank's key is a word of ours.
pub(crate) fn sender(row: &Row<'_>, column: usize) -> Result<Fact> {
    let is_ours = |text: &str| text == "bureau" || text.contains('/');
    Ok(or_none(text_of(row, column)?, |text| if is_ours(&text) { Fact::Word(text) } else { Fact::Text(text) }))
}

/// A stored number.
pub(crate) fn number(row: &Row<'_>, column: usize) -> Result<Fact> {
    Ok(or_none(row.get(column)?, Fact::Number))
}

/// A stored amount.
pub(crate) fn money(row: &Row<'_>, column: usize) -> Result<Fact> {
    Ok(or_none(row.get(column)?, |fen| Fact::Money(Money::from_fen(fen))))
}

/// A stored date.
pub(crate) fn day(row: &Row<'_>, column: usize) -> Result<Fact> {
    Ok(or_none(row.get(column)?, |value| Fact::Day(date(value))))
}

/// A stored word, as its place in a list of them.
pub(crate) fn word(row: &Row<'_>, column: usize, say: impl Fn(i64) -> &'static str) -> Result<Fact> {
    Ok(or_none(row.get(column)?, |value| Fact::word(say(value))))
}

/// A stored flag.
pub(crate) fn flag(row: &Row<'_>, column: usize) -> Result<Fact> {
    Ok(Fact::Flag(row.get(column)?))
}

/// Stored bytes in hexadecimal digits.
pub(crate) fn hex(row: &Row<'_>, column: usize) -> Result<Fact> {
    Ok(match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Fact::Text(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => Fact::None,
    })
}
