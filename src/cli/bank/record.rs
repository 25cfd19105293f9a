//! One record of a request, cut by byte positions, and the pen that writes a reply.
//!
//! Messages give place and expectation, never the text found in a personal field.

use crate::domain::money::Money;
use sm3::{Digest, Sm3};

/// One record: its line number (from 1) and its bytes without the line end.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) line: usize,
    pub(super) bytes: &'a [u8],
}

/// Cuts `bytes` into records of these widths, each followed by `end`.
pub(super) fn cut<'a>(
    mut bytes: &'a [u8],
    widths: impl Iterator<Item = usize>,
    end: &[u8],
) -> Result<Vec<Record<'a>>, String> {
    let mut records = Vec::new();
    for (index, width) in widths.enumerate() {
        let line = index + 1;
        if bytes.len() < width + end.len() || &bytes[width..width + end.len()] != end {
            return Err(format!("line {line}: expected {width} bytes and a line end"));
        }
        records.push(Record { line, bytes: &bytes[..width] });
        bytes = &bytes[width + end.len()..];
    }
    if bytes.is_empty() { Ok(records) } else { Err(format!("{} bytes after the last record", bytes.len())) }
}

impl<'a> Record<'a> {
    /// The bytes of one field.
    pub(super) fn raw(&self, at: usize, width: usize) -> &'a [u8] {
        &self.bytes[at..at + width]
    }

    /// ASCII text, left-justified, space-filled, not empty.
    pub(super) fn text(&self, at: usize, width: usize) -> Result<&'a str, String> {
        let raw = self.raw(at, width);
        let kept = raw.trim_ascii_end();
        let sound = !kept.is_empty() && kept[0] != b' ' && kept.iter().all(|b| (0x20..0x7F).contains(b));
        let text = std::str::from_utf8(kept).ok().filter(|_| sound);
        text.ok_or_else(|| self.wrong(at, width, "ASCII text, left-justified"))
    }

    /// A zero-filled number.
    pub(super) fn number(&self, at: usize, width: usize) -> Result<i64, String> {
        let raw = self.raw(at, width);
        let digits = std::str::from_utf8(raw).ok().filter(|_| raw.iter().all(u8::is_ascii_digit));
        digits.and_then(|text| text.parse().ok()).ok_or_else(|| self.wrong(at, width, "digits"))
    }

    /// Fen, zero-filled.
    pub(super) fn fen(&self, at: usize, width: usize) -> Result<Money, String> {
        self.number(at, width).map(Money::from_fen)
    }

    /// Yuan with exactly two decimals, right-justified.
    pub(super) fn yuan(&self, at: usize, width: usize) -> Result<Money, String> {
        let text = std::str::from_utf8(self.raw(at, width)).unwrap_or_default();
        let money = Money::parse_yuan(text.trim_start_matches(' '));
        let exact = money.filter(|money| format!("{money:>width$}") == text);
        exact.ok_or_else(|| self.wrong(at, width, "yuan with two decimals, right-justified"))
    }

    /// An identity number: 17 digits and the check character that follows from them (ISO 7064 MOD 11-2).
    pub(super) fn identity(&self, at: usize) -> Result<&'a str, String> {
        let raw = self.raw(at, 18);
        let mut digits = raw[..17].iter().map(|c| (*c as char).to_digit(10));
        let remainder = digits.try_fold(0, |rest, digit| Some((rest + digit?) * 2 % 11));
        let check = remainder.map(|remainder| b"10X98765432"[remainder as usize]);
        let text = std::str::from_utf8(raw).ok().filter(|_| check == Some(raw[17]));
        text.ok_or_else(|| self.wrong(at, 18, "an identity number with its check character"))
    }

    /// Text in the bank's charset, left-justified, space-filled, not empty.
    pub(super) fn chinese(&self, at: usize, width: usize, speaks: fn(&[u8]) -> bool) -> Result<(), String> {
        let kept = self.raw(at, width).trim_ascii_end();
        let sound = !kept.is_empty() && kept[0] != b' ' && speaks(kept);
        sound.then_some(()).ok_or_else(|| self.wrong(at, width, "text in our charset, left-justified"))
    }

    /// Exactly this text, spaces included.
    pub(super) fn exactly(&self, at: usize, expected: &str) -> Result<(), String> {
        let found = self.raw(at, expected.len());
        if found == expected.as_bytes() {
            Ok(())
        } else {
            Err(self.wrong(at, expected.len(), &format!("{expected:?}")))
        }
    }

    /// Nothing but `fill`.
    pub(super) fn only(&self, at: usize, width: usize, fill: u8) -> Result<(), String> {
        let sound = self.raw(at, width).iter().all(|byte| *byte == fill);
        sound.then_some(()).ok_or_else(|| self.wrong(at, width, &format!("only {:?}", fill as char)))
    }

    /// A total that we counted ourselves.
    pub(super) fn total(&self, what: &str, told: i64, counted: i64) -> Result<(), String> {
        let agreed = told == counted;
        agreed.then_some(()).ok_or_else(|| format!("line {}: {what}: expected {counted}, found {told}", self.line))
    }

    fn wrong(&self, at: usize, width: usize, expected: &str) -> String {
        format!("line {}, bytes {}-{}: expected {expected}", self.line, at + 1, at + width)
    }
}

/// Writes a field in place: left-justified, space-filled by bytes.
pub(super) fn put(record: &mut [u8], at: usize, width: usize, text: &[u8]) {
    assert!(text.len() <= width, "the bank's own texts fit its fields");
    record[at..at + width].fill(b' ');
    record[at..at + text.len()].copy_from_slice(text);
}

/// Writes a zero-filled number in place.
pub(super) fn put_number(record: &mut [u8], at: usize, width: usize, number: i64) {
    put(record, at, width, format!("{number:0width$}").as_bytes());
}

/// The SM3 digest in lower-case hexadecimal.
pub(super) fn sm3_hex(bytes: &[u8]) -> String {
    hex(&Sm3::digest(bytes))
}

/// Lower-case hexadecimal.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a GBK host has a glyph for each of these bytes: ASCII, the CP936 ideographs, the symbols of rows A1 and A3.
/// Written from the code chart, since decoders take more than such hosts do.
pub(super) fn speaks_gbk(mut bytes: &[u8]) -> bool {
    while let Some((lead, rest)) = bytes.split_first() {
        bytes = match (lead, rest) {
            (0x20..0x7F, _) => rest,
            (lead, [trail, after @ ..]) if in_chart(*lead, *trail) => after,
            _ => return false,
        };
    }
    true
}

fn in_chart(lead: u8, trail: u8) -> bool {
    match (lead, trail) {
        (_, ..0x40 | 0x7F | 0xFF) => false,
        (0x81..=0xA0, _) => true,
        (0xA1 | 0xA3, 0xA1..) => true,
        (0xD7, 0xFA..) => false,
        (0xB0..=0xF7, 0xA1..) => true,
        (0xFE, ..=0x4F) => true,
        (0xAA..=0xFD, ..=0xA0) => true,
        _ => false,
    }
}

/// Whether a GB 18030 host can read these bytes, and none of them is private to somebody else.
pub(super) fn speaks_gb18030(bytes: &[u8]) -> bool {
    let text = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes);
    text.is_some_and(|text| text.chars().all(|c| !c.is_control() && !('\u{e000}'..='\u{f8ff}').contains(&c)))
}
