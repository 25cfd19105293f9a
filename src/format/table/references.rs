//! References to cells, looked at while a workbook is unpacked: the reader adds letters and digits up in 32 bits, so one
//! that is long enough would come round to another cell.

use std::io::{self, Write};

/// Looks at every attribute `r` and `ref` of the XML that is written into it.
#[derive(Debug, Default)]
pub(super) struct References {
    place: Place,
    name: Vec<u8>,
    is_reference: bool,
    value: Vec<u8>,
    /// A reference that no sheet can have was there.
    pub(super) is_impossible: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Name,
    AfterName,
    Equals,
    Value(u8),
}

impl References {
    fn byte(&mut self, byte: u8) {
        self.place = match (self.place, byte) {
            (Place::Value(quote), _) if byte == quote => {
                self.is_impossible |= self.is_reference && is_impossible(&self.value);
                self.name.clear();
                Place::Name
            }
            (Place::Value(_), _) => {
                self.value.extend((self.value.len() < LONGEST).then_some(byte));
                self.place
            }
            (Place::Name | Place::AfterName, b'=') => {
                self.is_reference = matches!(&self.name[..], b"r" | b"ref");
                Place::Equals
            }
            (Place::Equals, b'"' | b'\'') => {
                self.value.clear();
                Place::Value(byte)
            }
            (Place::Equals, b' ' | b'\t' | b'\r' | b'\n') => Place::Equals,
            (Place::Name | Place::AfterName, b' ' | b'\t' | b'\r' | b'\n') => Place::AfterName,
            (before, _) => {
                if before != Place::Name {
                    self.name.clear();
                }
                // A longer name is none of the two.
                self.name.extend((self.name.len() < 4).then_some(byte));
                Place::Name
            }
        };
    }
}

impl Write for References {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bytes.iter().for_each(|byte| self.byte(*byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// More letters or digits than any sheet's last cell has, or a range that ends before it begins. What is no reference at
/// all is left to the reader.
fn is_impossible(value: &[u8]) -> bool {
    let run = |is_of_it: fn(&u8) -> bool| value.split(|b| !is_of_it(b)).map(<[u8]>::len).max().unwrap_or_default();
    let is_long = run(u8::is_ascii_alphabetic) > LAST_COLUMN.len() || run(u8::is_ascii_digit) > LAST_ROW.len();
    let mut ends = value.split(|b| *b == b':').map(cell);
    let is_backward = match (ends.next().flatten(), ends.next().flatten()) {
        (Some((row, column)), Some((last_row, last_column))) => last_row < row || last_column < column,
        _ => false,
    };
    is_long || is_backward
}

/// Row and column of a cell, to be compared; `None` for what names no cell.
fn cell(text: &[u8]) -> Option<(u32, u32)> {
    let letters = text.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    if letters > LAST_COLUMN.len() || text.len() - letters > LAST_ROW.len() {
        return None;
    }
    let column = text[..letters].iter().fold(0, |sum, b| sum * 26 + u32::from(b.to_ascii_uppercase() - b'A') + 1);
    let row = std::str::from_utf8(&text[letters..]).ok()?.parse().ok()?;
    Some((row, column))
}

const LAST_COLUMN: &str = "XFD";
const LAST_ROW: &str = "1048576";
/// A range of two cells, and more to see that it is longer.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(xml: &str) -> bool {
        let mut references = References::default();
        // Byte by byte: an attribute may stand across the border of two blocks.
        xml.bytes().for_each(|byte| references.write_all(&[byte]).unwrap());
        references.is_impossible
    }

    #[test]
    fn what_no_sheet_has_is_refused() {
        for xml in [
            "<c r=\"1111111111B2\"",
            "<c r=\"AAAA1\"",
            "<c s=\"1\" r = 'A11111111'>",
            "<row\nr=\"4294967297\">",
            "<mergeCell ref=\"A1:AAAAAAAA1\"/>",
            "<mergeCell ref=\"B5:A1\"/>",
        ] {
            assert!(is_refused(xml), "{xml}");
        }
    }

    #[test]
    fn what_sheets_have_is_left_alone() {
        for xml in [
            "<c r=\"XFD1048576\" t=\"inlineStr\">",
            "<dimension ref=\"A1:XFD1048576\"/>",
            "<mergeCell ref=\"A1\"/><col ref=\"A:A\"/>",
            "<sheet r:id=\"rIdOfSomeLength123456789\" author=\"123456789012\"/>",
            "<t>r=123456789012</t><t>a r=b \"123456789012\"</t>",
        ] {
            assert!(!is_refused(xml), "{xml}");
        }
    }
}
