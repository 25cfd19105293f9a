//! What is wrong with a whole table: nothing of it is taken.

use std::fmt;

/// A structural defect of a table, in the terms of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFault {
    /// Name of the file.
    pub file: String,
    /// Stable word.
    pub code: &'static str,
    /// Row of their file, from 1.
    pub row: Option<u32>,
    /// Byte in that row, from 1.
    pub byte: Option<usize>,
    /// What should have been there.
    pub expected: String,
    /// What was there; never a person's data.
    pub found: String,
    /// For the sender: what is wrong.
    pub message_zh: String,
    /// For the sender: what to do.
    pub action_zh: &'static str,
}

impl TableFault {
    pub(super) fn new(
        code: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
        message_zh: impl Into<String>,
        action_zh: &'static str,
    ) -> TableFault {
        TableFault {
            file: String::new(),
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
        TableFault { row: Some(row), byte: Some(byte), ..self }
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
