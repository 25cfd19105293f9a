//! The banks' charsets, strictly: CP936 and GB 18030. Nothing is ever replaced, cut or guessed.
//!
//! `encoding_rs` is used as the source of both tables, never through `encode()` or `decode()`: those write numeric
//! references and U+FFFD. Its GBK also knows pairs that a CP936 host lacks, and reads four-byte sequences; both are
//! refused here.

use encoding_rs::{EncoderResult, GB18030};
use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// How a bank writes Chinese.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Strict GBK: the 21,791 two-byte characters of code page 936 and ASCII.
    Gbk,
    /// GB 18030, with four-byte sequences.
    Gb18030,
}

/// Why bytes are no text of the charset, or a text cannot be said in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFault {
    /// A control character or other single byte that text cannot have, at this byte.
    Byte(usize),
    /// A character that ends after its first half, at this byte.
    Cut(usize),
    /// A sequence the charset does not have, at this byte.
    NotInCharset(usize),
    /// A four-byte sequence in a two-byte charset, at this byte.
    FourBytes(usize),
    /// A character of the user-defined area, which every host shows differently, at this byte.
    PrivateUse(usize),
    /// A character that the charset cannot say (writing).
    Unsayable(char),
}

impl Charset {
    /// The word in `layout.toml`.
    pub fn word(self) -> &'static str {
        match self {
            Charset::Gbk => "gbk",
            Charset::Gb18030 => "gb18030",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Charset> {
        [Charset::Gbk, Charset::Gb18030].into_iter().find(|charset| charset.word() == word)
    }

    fn pairs(self) -> &'static Pairs {
        match self {
            Charset::Gbk => &CP936,
            Charset::Gb18030 => &GB18030_PAIRS,
        }
    }

    /// Proves that `bytes` are text of this charset, spaces at the end included.
    #[inline]
    pub fn check(self, bytes: &[u8]) -> Result<(), TextFault> {
        let pairs = self.pairs();
        let mut at = 0;
        loop {
            while let Some([lead, trail]) = bytes.get(at..at + 2)
                && pairs.has(*lead, *trail)
            {
                at += 2;
            }
            match bytes.get(at) {
                None => return Ok(()),
                Some(b' ') if is_blank(&bytes[at..]) => return Ok(()),
                Some(0x20..=0x7E) => at += 1,
                Some(_) => at += self.sequence(pairs, bytes, at)?,
            }
        }
    }

    /// The text of `bytes` without the spaces at the end.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, TextFault> {
        let bytes = trim_end(bytes);
        if bytes.iter().all(|b| is_printable(*b)) {
            return Ok(Cow::Borrowed(std::str::from_utf8(bytes).expect("printable ASCII")));
        }
        let mut text = String::with_capacity(bytes.len() * 3 / 2);
        self.decode_into(bytes, &mut text)?;
        Ok(Cow::Owned(text))
    }

    /// Appends the text of `bytes`, without the spaces at the end, to `text`.
    pub fn decode_into(self, bytes: &[u8], text: &mut String) -> Result<(), TextFault> {
        let bytes = trim_end(bytes);
        let pairs = self.pairs();
        let mut at = 0;
        while at < bytes.len() {
            let plain = bytes[at..].iter().take_while(|b| is_printable(**b)).count();
            text.push_str(std::str::from_utf8(&bytes[at..at + plain]).expect("printable ASCII"));
            at += plain;
            while let Some([lead, trail]) = bytes.get(at..at + 2)
                && let Some(character) = pairs.character(*lead, *trail)
            {
                text.push(character);
                at += 2;
            }
            if bytes.get(at).is_some_and(|b| !is_printable(*b)) {
                let width = self.sequence(pairs, bytes, at)?;
                text.push(four_bytes(&bytes[at..at + width]).expect("no pair, so a sequence of four"));
                at += width;
            }
        }
        Ok(())
    }

    /// Appends the UTF-8 of `bytes`, without the spaces at the end, if they are nothing but digits, capital letters and ordinary
    /// Hanzi (U+4E00 to U+9FFF). `false`, and nothing appended, where they are anything else.
    pub fn append_plain(self, bytes: &[u8], utf8: &mut Vec<u8>) -> bool {
        let (bytes, start, pairs) = (trim_end(bytes), utf8.len(), self.pairs());
        let mut at = 0;
        while at < bytes.len() {
            let plain = bytes[at..].iter().take_while(|b| matches!(b, b'0'..=b'9' | b'A'..=b'Z')).count();
            utf8.extend_from_slice(&bytes[at..at + plain]);
            at += plain;
            while let Some(&[lead, trail]) = bytes.get(at..at + 2)
                && let Some(hanzi) = pairs.hanzi(lead, trail)
            {
                utf8.extend_from_slice(&hanzi);
                at += 2;
            }
            if bytes.get(at).is_some_and(|b| !matches!(b, b'0'..=b'9' | b'A'..=b'Z')) {
                utf8.truncate(start);
                return false;
            }
        }
        true
    }

    /// Bytes for people: text where they are text, each other byte as `\xAB`.
    pub fn show(self, bytes: &[u8]) -> String {
        let pairs = self.pairs();
        let mut text = String::new();
        let mut at = 0;
        while at < bytes.len() {
            let width = match bytes[at] {
                0x20..=0x7E => 1,
                _ => self.sequence(pairs, bytes, at).unwrap_or(0),
            };
            match self.decode_into(&bytes[at..at + width], &mut text) {
                Ok(()) if bytes[at] == b' ' => text.push(' '),
                Ok(()) if width > 0 => {}
                _ => text.push_str(&format!("\\x{:02X}", bytes[at])),
            }
            at += width.max(1);
        }
        text
    }

    /// Writes `text` to the start of `field`; how many bytes it took, `None` where it does not fit.
    pub fn encode(self, text: &str, field: &mut [u8]) -> Result<Option<usize>, TextFault> {
        let mut at = 0;
        for character in text.chars() {
            let (bytes, width) = self.say(character)?;
            let Some(place) = field.get_mut(at..at + width) else { return Ok(None) };
            place.copy_from_slice(&bytes[..width]);
            at += width;
        }
        Ok(Some(at))
    }

    /// How many bytes `text` takes.
    pub fn width(self, text: &str) -> Result<usize, TextFault> {
        text.chars().try_fold(0, |sum, character| Ok(sum + self.say(character)?.1))
    }

    fn say(self, character: char) -> Result<([u8; 4], usize), TextFault> {
        if matches!(character, ' '..='~') {
            return Ok(([character as u8, 0, 0, 0], 1));
        }
        // Only here: a command that writes no name need not work the pairs out.
        match (self.pairs().pair(character), self) {
            (Some([lead, trail]), _) => Ok(([lead, trail, 0, 0], 2)),
            (None, Charset::Gbk) => Err(TextFault::Unsayable(character)),
            (None, Charset::Gb18030) => {
                say_in_four(character).map(|bytes| (bytes, 4)).ok_or(TextFault::Unsayable(character))
            }
        }
    }

    /// How long the sequence at `at` is, which is no printable ASCII.
    #[inline]
    fn sequence(self, pairs: &Pairs, bytes: &[u8], at: usize) -> Result<usize, TextFault> {
        let trail = bytes.get(at + 1).copied().unwrap_or(b' ');
        if pairs.has(bytes[at], trail) {
            return Ok(2);
        }
        if self == Charset::Gb18030 && trail.is_ascii_digit() {
            let four = bytes.get(at..at + 4).and_then(four_bytes);
            return match four {
                Some(character) if is_private(character) => Err(TextFault::PrivateUse(at)),
                Some(character) if character.is_control() => Err(TextFault::NotInCharset(at)),
                Some(_) => Ok(4),
                None if at + 4 > bytes.len() => Err(TextFault::Cut(at)),
                None => Err(TextFault::NotInCharset(at)),
            };
        }
        Err(fault_at(bytes, at))
    }
}

/// The bytes without the spaces at the end.
#[inline]
pub fn trim_end(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some((before, b"        ")) = rest.split_last_chunk::<8>() {
        rest = before;
    }
    while let Some((b' ', before)) = rest.split_last() {
        rest = before;
    }
    rest
}

/// A byte that says the same in ASCII and in both charsets.
#[inline]
fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7E)
}

/// Nothing but spaces.
#[inline]
pub fn is_blank(bytes: &[u8]) -> bool {
    is_all(bytes, b' ')
}

/// Nothing but this byte.
#[inline]
pub fn is_all(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().fold(0, |other, b| other | (b ^ byte)) == 0
}

/// Names the fault of a sequence that is no pair of the charset.
#[cold]
fn fault_at(bytes: &[u8], at: usize) -> TextFault {
    let lead = bytes[at];
    let Some(&trail) = bytes.get(at + 1) else {
        return if (0x81..=0xFE).contains(&lead) { TextFault::Cut(at) } else { TextFault::Byte(at) };
    };
    match (lead, trail) {
        (0x81..=0xFE, b' ') => TextFault::Cut(at),
        (0x81..=0xFE, b'0'..=b'9') if bytes.get(at..at + 4).and_then(four_bytes).is_some() => TextFault::FourBytes(at),
        (0x81..=0xFE, _) => match decode_one(&[lead, trail]) {
            Some(character) if is_private(character) => TextFault::PrivateUse(at),
            _ => TextFault::NotInCharset(at),
        },
        _ => TextFault::Byte(at),
    }
}

fn is_private(character: char) -> bool {
    matches!(character, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..)
}

fn decode_one(bytes: &[u8]) -> Option<char> {
    let text = GB18030.decode_without_bom_handling_and_without_replacement(bytes)?;
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// The character of a four-byte sequence.
fn four_bytes(bytes: &[u8]) -> Option<char> {
    let shape = matches!(bytes, [0x81..=0xFE, b'0'..=b'9', 0x81..=0xFE, b'0'..=b'9']);
    shape.then(|| decode_one(bytes)).flatten()
}

/// The four-byte sequence of a character that has no pair; private characters have none here.
fn say_in_four(character: char) -> Option<[u8; 4]> {
    if is_private(character) || character.is_control() {
        return None;
    }
    let mut bytes = [0; 8];
    let mut utf8 = [0; 4];
    let source = character.encode_utf8(&mut utf8);
    let (result, _, written) = GB18030.new_encoder().encode_from_utf8_without_replacement(source, &mut bytes, true);
    // Where the table of pairs leaves out what the encoder says in two bytes, the character is not sayable.
    (result == EncoderResult::InputEmpty && written == 4).then(|| [bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The two-byte characters of a charset, both ways. All of them lie in the basic plane.
struct Pairs {
    /// Pair → character, 0 where there is none.
    characters: Box<[u16; 65_536]>,
    /// Character → pair, 0 where there is none.
    pairs: Box<[u16; 65_536]>,
}

const LEADS: RangeInclusive<u8> = 0x81..=0xFE;
const TRAILS: RangeInclusive<u8> = 0x40..=0xFE;

impl Pairs {
    /// A row of pairs at a time, each with a line feed behind it: every start of the program pays for this table.
    fn build(leave_out: &[RangeInclusive<u16>]) -> Pairs {
        let mut built = Pairs { characters: Box::new([0; 65_536]), pairs: Box::new([0; 65_536]) };
        let mut row: Vec<[u8; 3]> = TRAILS.map(|trail| [0, trail, b'\n']).collect();
        let mut units = vec![0; 3 * row.len() + 1];
        for lead in LEADS {
            row.iter_mut().for_each(|[first, ..]| *first = lead);
            let mut decoder = GB18030.new_decoder_without_bom_handling();
            let (_, _, written, _) = decoder.decode_to_utf16(row.as_flattened(), &mut units, true);
            let left_out: Vec<_> = leave_out.iter().filter(|range| range.start() >> 8 == u16::from(lead)).collect();
            for (trail, line) in TRAILS.zip(units[..written].split(|unit| *unit == u16::from(b'\n'))) {
                let pair = u16::from_be_bytes([lead, trail]);
                // No character of its own: U+FFFD, and the second byte behind it where that is ASCII.
                let &[character @ (..0xE000 | 0xF900..0xFFFD)] = line else { continue };
                if !left_out.iter().any(|range| range.contains(&pair)) {
                    built.characters[usize::from(pair)] = character;
                    built.pairs[usize::from(character)] = pair;
                }
            }
        }
        built
    }

    #[inline]
    fn has(&self, lead: u8, trail: u8) -> bool {
        self.characters[usize::from(u16::from_be_bytes([lead, trail]))] != 0
    }

    #[inline]
    fn character(&self, lead: u8, trail: u8) -> Option<char> {
        let character = self.characters[usize::from(u16::from_be_bytes([lead, trail]))];
        char::from_u32(u32::from(character)).filter(|c| *c != '\0')
    }

    /// The three bytes in UTF-8 of a pair of the block U+4E00 to U+9FFF.
    #[inline]
    fn hanzi(&self, lead: u8, trail: u8) -> Option<[u8; 3]> {
        let unit = self.characters[usize::from(u16::from_be_bytes([lead, trail]))];
        let six = |shift: u16| 0x80 | (unit >> shift & 0x3F) as u8;
        matches!(unit, 0x4E00..=0x9FFF).then(|| [0xE0 | (unit >> 12) as u8, six(6), six(0)])
    }

    fn pair(&self, character: char) -> Option<[u8; 2]> {
        let pair = *self.pairs.get(character as usize)?;
        (pair != 0).then(|| pair.to_be_bytes())
    }
}

static CP936: LazyLock<Pairs> = LazyLock::new(|| Pairs::build(&NOT_IN_CP936));
static GB18030_PAIRS: LazyLock<Pairs> = LazyLock::new(|| Pairs::build(&NOT_REVERSIBLE));

/// A3 A0 reads as U+3000, whose bytes are A1 A1.
const NOT_REVERSIBLE: [RangeInclusive<u16>; 1] = [0xA3A0..=0xA3A0];

/// Pairs that later editions of GB 18030 filled and code page 936 left empty.
#[rustfmt::skip]
const NOT_IN_CP936: [RangeInclusive<u16>; 14] = [
    0xA2E3..=0xA2E3, 0xA3A0..=0xA3A0, 0xA6D9..=0xA6DF, 0xA6EC..=0xA6ED, 0xA6F3..=0xA6F3, 0xA8BC..=0xA8BC,
    0xA8BF..=0xA8BF, 0xA989..=0xA995, 0xFE50..=0xFE50, 0xFE54..=0xFE6B, 0xFE6D..=0xFE75, 0xFE77..=0xFE7E,
    0xFE80..=0xFE90, 0xFE92..=0xFEA0,
];

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn each_pair() -> impl Iterator<Item = [u8; 2]> {
        LEADS.flat_map(|lead| TRAILS.map(move |trail| [lead, trail]))
    }

    /// An independent table: SHA-256 over (pair, code point), both big-endian, of every pair that Python's `gbk`
    /// codec decodes, in order of pairs.
    #[test]
    fn cp936_is_the_table_of_an_independent_codec() {
        let (mut digest, mut count) = (Sha256::new(), 0);
        for [lead, trail] in each_pair() {
            if let Some(character) = CP936.character(lead, trail) {
                digest.update([lead, trail]);
                digest.update((character as u16).to_be_bytes());
                count += 1;
            }
        }
        assert_eq!(count, 21_791);
        let hex: String = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "d821ec503c89597e208e033f6295e95d39f82f030e43bdb52a9ae40e11cab1d1");
    }

    #[test]
    fn what_is_plain_is_appended_as_it_reads_and_the_rest_is_left() {
        let is_plain = |c| matches!(c, '\u{4e00}'..='\u{9fff}' | '0'..='9' | 'A'..='Z');
        let singles = (0..=u8::MAX).map(|byte| vec![b'7', byte, b'Z', b' ']);
        let pairs = each_pair().map(|[lead, trail]| vec![b'9', lead, trail, 0xB2, 0xE2, b' ', b' ']);
        let cut = [vec![], b"   ".to_vec(), vec![b'1', 0xB2], vec![0xB2, 0xE2, 0xCA], vec![0x81, 0x30, 0x81, 0x30]];
        let all: Vec<Vec<u8>> = singles.chain(pairs).chain(cut).collect();
        for charset in [Charset::Gbk, Charset::Gb18030] {
            for bytes in &all {
                let plain = charset.decode(bytes).ok().filter(|text| text.chars().all(is_plain));
                let mut appended = b"before".to_vec();
                assert_eq!(charset.append_plain(bytes, &mut appended), plain.is_some(), "{bytes:02x?}");
                assert_eq!(appended, format!("before{}", plain.unwrap_or_default()).as_bytes(), "{bytes:02x?}");
            }
        }
    }

    #[test]
    fn every_pair_reads_and_writes_back() {
        for charset in [Charset::Gbk, Charset::Gb18030] {
            for pair in each_pair() {
                let Ok(text) = charset.decode(&pair) else { continue };
                let mut written = [0; 2];
                assert_eq!(charset.encode(&text, &mut written), Ok(Some(2)), "{text}");
                assert_eq!(written, pair, "{text}");
            }
        }
    }

    #[test]
    fn faults_are_named() {
        for (bytes, fault) in [
            (&b"\xb2\xe2\x80"[..], TextFault::Byte(2)),
            (b"\xb2\xe2\xca", TextFault::Cut(2)),
            (b"\xb2\xe2\xca  ", TextFault::Cut(2)),
            (b"\x82\x35\x90\x37", TextFault::FourBytes(0)),
            (b"\xaa\xa1", TextFault::PrivateUse(0)),
            (b"a\xa6\xd9", TextFault::NotInCharset(1)),
            (b"a\nb", TextFault::Byte(1)),
        ] {
            assert_eq!(Charset::Gbk.check(bytes), Err(fault), "{bytes:x?}");
        }
    }

    #[test]
    fn rare_characters_need_four_bytes() {
        let mut field = [b' '; 8];
        for (text, bytes) in [("㛃", [0x82, 0x30, 0xB7, 0x31]), ("𬭎", [0x99, 0x33, 0xA9, 0x32])] {
            assert_eq!(Charset::Gb18030.encode(text, &mut field), Ok(Some(4)));
            assert_eq!(field[..4], bytes);
            assert_eq!(Charset::Gb18030.decode(&field).as_deref(), Ok(text));
            let character = text.chars().next().unwrap();
            assert_eq!(Charset::Gbk.width(text), Err(TextFault::Unsayable(character)));
        }
        for refused in ['•', '€', '䶮', '\u{E863}', '\n', '龴'] {
            assert_eq!(Charset::Gbk.width(&refused.to_string()), Err(TextFault::Unsayable(refused)), "{refused}");
        }
    }
}
