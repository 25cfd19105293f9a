//! What is wrong with a whole table: nothing of it is taken.

use std::fmt;

/// A structural defect of a table, in the terms of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFault {
    /// Name of the file.
    pub file: Box<str>,
    /// Stable word.
    pub code: &'static str,
    /// Row of their file, from 1.
    pub row: Option<u32>,
    /// Byte in that row, from 1.
    pub byte: Option<u32>,
    /// What should have been there.
    pub expected: Box<str>,
    /// What was there; never a person's data.
    pub found: Box<str>,
    /// For the sender: what is wrong.
    pub message_zh: Box<str>,
    /// For the sender: what to do.
    pub action_zh: &'static str,
}

impl TableFault {
    pub(super) fn new(
        code: &'static str,
        expected: impl Into<Box<str>>,
        found: impl Into<Box<str>>,
        message_zh: impl Into<Box<str>>,
        action_zh: &'static str,
    ) -> TableFault {
        TableFault {
            file: Box::default(),
            code,
            row: None,
            byte: None,
            expected: expected.into(),
            found: found.into(),
            message_zh: message_zh.into(),
            action_zh,
        }
    }

    pub(super) fn at(self, row: u32, byte: usize) -> TableFault {
        TableFault { row: Some(row), byte: u32::try_from(byte).ok(), ..self }
    }

    pub(super) fn at_row(self, row: u32) -> TableFault {
        TableFault { row: Some(row), ..self }
    }
}

impl fmt::Display for TableFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(row) = self.row {
            write!(f, ":{row}")?;
        }
        if let Some(byte) = self.byte {
            write!(f, ":{byte}")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}
