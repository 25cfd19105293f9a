//! One configuration file as text, and what is wrong in it: file, line, column, and a caret under the place.

use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};
use unicode_width::UnicodeWidthStr;

/// A configuration file as read; the name is the path as messages show it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path for messages.
    pub name: String,
    /// The whole file.
    pub text: String,
}

/// One thing that must be corrected before the program can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Where in it, where that is known.
    pub place: Option<Place>,
    /// What was expected and found.
    pub message: String,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// The line itself.
    excerpt: String,
    /// Terminal columns before the caret, and under it.
    indent: usize,
    width: usize,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { file: file.into(), place: None, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = &self.place else { return write!(f, "{}: {}", self.file, self.message) };
        let number = place.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{}:{}:{}: {}", self.file, place.line, place.column, self.message)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {}", place.excerpt)?;
        write!(f, "{gutter} | {}{}", " ".repeat(place.indent), "^".repeat(place.width))
    }
}

impl Source {
    /// A problem at these bytes of the file.
    pub(super) fn problem(&self, span: Range<usize>, message: impl Into<String>) -> Problem {
        Problem { file: self.name.clone(), place: Some(self.place(span)), message: message.into() }
    }

    /// Reads the file as `T`. Every problem of form is reported, not only the first: what the reader stumbles over
    /// is taken out, and it starts again. `None` where nothing of use is left.
    pub fn read<T: DeserializeOwned>(&self, problems: &mut Vec<Problem>) -> Option<T> {
        let (mut table, errors) = DeTable::parse_recoverable(&self.text);
        if !errors.is_empty() {
            problems.extend(errors.iter().map(|error| self.of_error(error)));
            return None;
        }
        loop {
            let error = match T::deserialize(toml::de::Deserializer::from(table.clone())) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            problems.push(self.of_error(&error));
            let start = error.span()?.start;
            if !remove_from_table(table.get_mut(), start) {
                return None;
            }
        }
    }

    fn of_error(&self, error: &toml::de::Error) -> Problem {
        let message = error.message().trim_end().replace('\n', "; ");
        match error.span() {
            Some(span) => self.problem(span, message),
            None => Problem::of_file(&self.name, message),
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        let boundary = |at: usize| (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let start = boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let end = boundary(span.end.clamp(start, line_end));
        let before = &self.text[line_start..start];
        Place {
            line: self.text[..start].matches('\n').count() + 1,
            column: before.chars().count() + 1,
            excerpt: self.text[line_start..line_end].trim_end().to_owned(),
            indent: before.width(),
            width: self.text[start..end].width().max(1),
        }
    }
}

/// Takes out the innermost entry that holds byte `at`; false where there is none.
fn remove_from_table(table: &mut DeTable<'_>, at: usize) -> bool {
    let holds = |key: &Spanned<_>, value: &Spanned<DeValue<'_>>| key.span().contains(&at) || value.span().contains(&at);
    let mut found = None;
    for (key, value) in table.iter_mut() {
        if !key.span().contains(&at) && remove_from_value(value.get_mut(), at) {
            return true;
        }
        if holds(key, value) {
            found = Some(key.clone());
        }
    }
    found.is_some_and(|key| table.remove(&key).is_some())
}

fn remove_from_value(value: &mut DeValue<'_>, at: usize) -> bool {
    match value {
        DeValue::Table(table) => remove_from_table(table, at),
        DeValue::Array(array) => {
            if array.iter_mut().any(|item| remove_from_value(item.get_mut(), at)) {
                return true;
            }
            let mut rest = DeArray::new();
            array.iter().filter(|item| !item.span().contains(&at)).for_each(|item| rest.push(item.clone()));
            let removed = rest.len() < array.len();
            *array = rest;
            removed
        }
        _ => false,
    }
}

/// Turns what was written into what can be used, and keeps every problem on the way.
pub(super) struct Reader<'a> {
    /// The file that is read.
    pub(super) source: &'a Source,
    /// What was wrong so far.
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// Reads a text by `parse`; where that fails, says what was expected.
    pub(super) fn parse<T>(
        &mut self,
        text: &Spanned<String>,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(text.get_ref());
        if value.is_none() {
            self.refuse(text, format!("expected {expected}, found \"{}\"", text.get_ref()));
        }
        value
    }

    /// Keeps a problem with this value.
    pub(super) fn refuse<T>(&mut self, value: &Spanned<T>, message: impl Into<String>) {
        self.problems.push(self.source.problem(value.span(), message));
    }
}
