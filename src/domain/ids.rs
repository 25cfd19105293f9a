//! Identity numbers (GB 11643), district codes, batch and instruction numbers: parsed once, then trusted.

use crate::domain::calendar::{self, Date};
use std::fmt;

/// A citizen's identity number, 18 characters, check digit proved.
///
/// Held as its first 17 digits: the check character follows from them, and the integer is the participant's
/// key everywhere. `Debug` and `Display` mask it; only [`IdNumber::text`] gives the whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdNumber(i64);

/// What is wrong with a text that should be an identity number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdFault {
    /// Not 18, 15 or 20 characters.
    Length(usize),
    /// A character that is no digit, at this place (from 0).
    Character(usize),
    /// The check character should have been this one.
    CheckDigit(char),
    /// Characters 7 to 14 are no date.
    BirthDate,
}

/// An identity number as read: what it was written as is kept by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedId {
    /// The 18-character number.
    pub id: IdNumber,
    /// Grade 1 to 4 of a 20-digit disability certificate.
    pub disability_grade: Option<u8>,
}

const WEIGHTS: [i64; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECK: [u8; 11] = *b"10X98765432";

impl IdNumber {
    /// Reads 18 characters, a 15-digit legacy number or a 20-digit disability certificate number.
    /// Full-width digits, a lower-case or full-width X, surrounding spaces and a leading apostrophe are folded.
    pub fn parse(text: &str) -> Result<ParsedId, IdFault> {
        let folded = fold(text);
        match folded.len() {
            18 => Self::parse_18(&folded).map(|id| ParsedId { id, disability_grade: None }),
            15 => Self::parse_15(&folded).map(|id| ParsedId { id, disability_grade: None }),
            20 => {
                let id = Self::parse_18(&folded[..18])?;
                let kind = folded[18].wrapping_sub(b'0');
                let grade = folded[19].wrapping_sub(b'0');
                if !(1..=7).contains(&kind) {
                    return Err(IdFault::Character(18));
                }
                if !(1..=4).contains(&grade) {
                    return Err(IdFault::Character(19));
                }
                Ok(ParsedId { id, disability_grade: Some(grade) })
            }
            other => Err(IdFault::Length(other)),
        }
    }

    fn parse_18(chars: &[u8]) -> Result<IdNumber, IdFault> {
        let id = IdNumber(digits(&chars[..17])?);
        let check = id.check_character();
        if chars[17] as char != check {
            return Err(IdFault::CheckDigit(check));
        }
        id.birth_date().map(|_| id).ok_or(IdFault::BirthDate)
    }

    /// GB 11643-1989: the century is 19. Order codes 996 to 999 were kept for people born in the 1800s: refused.
    fn parse_15(chars: &[u8]) -> Result<IdNumber, IdFault> {
        let value = digits(chars)?;
        let (area, rest) = (value / 1_000_000_000, value % 1_000_000_000);
        let id = IdNumber(area * 100_000_000_000 + 19_000_000_000 + rest);
        if rest % 1_000 >= 996 {
            return Err(IdFault::BirthDate);
        }
        id.birth_date().map(|_| id).ok_or(IdFault::BirthDate)
    }

    /// The 17 digits as an integer.
    pub const fn key(self) -> i64 {
        self.0
    }

    /// The number of these 17 digits, which were proved before they were stored.
    pub const fn from_key(key: i64) -> IdNumber {
        IdNumber(key)
    }

    fn check_character(self) -> char {
        let mut rest = self.0;
        let mut sum = 0;
        for weight in WEIGHTS.iter().rev() {
            sum += weight * (rest % 10);
            rest /= 10;
        }
        CHECK[(sum % 11) as usize] as char
    }

    /// The whole number, 18 characters. For files, exports and the database, never for a log.
    pub fn text(self) -> String {
        format!("{:017}{}", self.0, self.check_character())
    }

    /// The whole number as the bytes of a file, without an allocation.
    pub fn bytes(self) -> [u8; 18] {
        let mut bytes = [b'0'; 18];
        // Two short chains of divisions are faster than one long one.
        let (high, low) = bytes[..17].split_at_mut(9);
        put_digits((self.0 / 100_000_000) as u32, high);
        put_digits((self.0 % 100_000_000) as u32, low);
        let sum: i64 = bytes.iter().zip(WEIGHTS).map(|(digit, weight)| i64::from(digit - b'0') * weight).sum();
        bytes[17] = CHECK[(sum % 11) as usize];
        bytes
    }

    /// Date of birth; `None` only where the digits are no date.
    fn birth_date(self) -> Option<Date> {
        let ymd = self.0 / 1_000 % 100_000_000;
        Date::new((ymd / 10_000) as i16, (ymd / 100 % 100) as i8, (ymd % 100) as i8).ok()
    }

    /// Date of birth.
    pub fn born(self) -> Date {
        self.birth_date().expect("an IdNumber holds a date")
    }

    /// The day of this birthday; a child of 29 February has it on 1 March of common years.
    pub fn birthday(self, age: i16) -> Date {
        calendar::anniversary(self.born(), age)
    }

    /// The six-digit area code of first registration; it says nothing of today's district.
    pub const fn area(self) -> i64 {
        self.0 / 100_000_000_000
    }
}

/// Masked: first six, last four.
impl fmt::Display for IdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        write!(f, "{}********{}", &text[..6], &text[14..])
    }
}

impl fmt::Debug for IdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn put_digits(mut value: u32, places: &mut [u8]) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn digits(chars: &[u8]) -> Result<i64, IdFault> {
    chars.iter().enumerate().try_fold(0, |sum, (place, c)| {
        if c.is_ascii_digit() { Ok(sum * 10 + i64::from(c - b'0')) } else { Err(IdFault::Character(place)) }
    })
}

/// Width, case, spaces and Excel's apostrophe are habits of writing; anything else stays and is refused later.
fn fold(text: &str) -> Vec<u8> {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\'' || c == '\u{feff}')
        .chars()
        .map(|c| match c {
            '０'..='９' => b'0' + (c as u32 - '０' as u32) as u8,
            'x' | 'ｘ' | 'Ｘ' => b'X',
            c if c.is_ascii() => c as u8,
            _ => b'?',
        })
        .collect()
}

/// A bank account number. `Debug` and `Display` show the last four characters only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountNumber(String);

impl AccountNumber {
    /// Digits, letters and hyphens, at least four; spaces inside are folded away.
    pub fn parse(text: &str) -> Option<AccountNumber> {
        let folded: String = text.trim_matches(['\'', '\u{feff}']).split_whitespace().collect();
        let sound = folded.len() >= 4 && folded.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        sound.then_some(AccountNumber(folded))
    }

    /// The whole number, for the files that need it.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "****{}", &self.0[self.0.len() - 4..])
    }
}

impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Folds a name for comparison (R17): width, spaces and middle dots. The bytes sent are always the roster's.
pub fn fold_name(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| match c {
            '·' | '•' | '‧' | '∙' | '・' | '･' | '．' | '.' => '·',
            '！'..='～' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
            c => c,
        })
        .collect()
}

/// Batch number: 16 digits, business date of drafting (8) + bank number (2) + sequence of that bank and day (6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(u64);

impl BatchNumber {
    /// Bank number of batches that no bank sees: the zero-payment batches (R9).
    pub const ZERO_BANK: u8 = 0;

    /// The number of the `sequence`-th batch (from 1) that this bank gets on this day.
    pub fn new(drafted_on: Date, bank: u8, sequence: u32) -> BatchNumber {
        assert!(bank < 100 && (1..1_000_000).contains(&sequence), "bank and sequence fit their digits");
        BatchNumber(
            calendar::yyyymmdd(drafted_on) as u64 * 100_000_000 + u64::from(bank) * 1_000_000 + u64::from(sequence),
        )
    }

    /// Reads 16 digits.
    pub fn parse(text: &str) -> Option<BatchNumber> {
        let sound = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit());
        sound.then(|| text.parse().ok().map(BatchNumber)).flatten()
    }

    /// The number as an integer of 16 digits.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The number of this integer.
    pub const fn from_value(value: u64) -> BatchNumber {
        BatchNumber(value)
    }

    /// Business date of drafting, `yyyymmdd`.
    pub const fn drafted_on(self) -> u64 {
        self.0 / 100_000_000
    }

    /// The bank's number, 1 to 99; 0 for zero-payment batches.
    pub const fn bank(self) -> u8 {
        (self.0 / 1_000_000 % 100) as u8
    }

    /// Sequence of that bank and day, from 1.
    pub const fn sequence(self) -> u32 {
        (self.0 % 1_000_000) as u32
    }
}

impl fmt::Display for BatchNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016}", self.0)
    }
}

/// Instruction number: the batch number and the sequence in the batch, 24 digits; the only match key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstructionNumber {
    /// The batch that carries it.
    pub batch: BatchNumber,
    /// Its place in the batch, from 1.
    pub sequence: u32,
}

impl InstructionNumber {
    /// Reads 24 digits. `None` says: not a number of ours.
    pub fn parse(text: &str) -> Option<InstructionNumber> {
        InstructionNumber::of_digits(text.as_bytes())
    }

    /// Reads the 24 digits as bytes.
    pub fn of_digits(digits: &[u8]) -> Option<InstructionNumber> {
        let is_number = digits.len() == 24 && digits.iter().fold(true, |all, byte| all & byte.is_ascii_digit());
        let value = |digits: &[u8]| digits.iter().fold(0, |value, byte| value * 10 + u64::from(byte - b'0'));
        is_number.then(|| InstructionNumber {
            batch: BatchNumber(value(&digits[..16])),
            sequence: value(&digits[16..]) as u32,
        })
    }
}

impl fmt::Display for InstructionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:08}", self.batch, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Result<String, IdFault> {
        IdNumber::parse(text).map(|parsed| parsed.id.text())
    }

    #[test]
    fn published_numbers_hold() {
        for text in ["11010519491231002X", "440524188001010014"] {
            assert_eq!(id(text).as_deref(), Ok(text));
            assert_eq!(IdNumber::parse(text).unwrap().id.bytes(), text.as_bytes());
        }
    }

    #[test]
    fn every_way_of_writing_is_one_number() {
        for text in [
            "11010519491231002x",
            " 11010519491231002X ",
            "'11010519491231002Ｘ",
            "１１０１０５１９４９１２３１００２Ｘ",
        ] {
            assert_eq!(id(text).as_deref(), Ok("11010519491231002X"), "{text}");
        }
        assert_eq!(id("110105491231002").as_deref(), Ok("11010519491231002X"));
        let disabled = IdNumber::parse("11010519491231002X42").unwrap();
        assert_eq!((disabled.id.text().as_str(), disabled.disability_grade), ("11010519491231002X", Some(2)));
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(id("110105194912310021"), Err(IdFault::CheckDigit('X')));
        assert_eq!(id("11010519491331002X"), Err(IdFault::CheckDigit('1')));
        assert_eq!(id("1101051949"), Err(IdFault::Length(10)));
        assert_eq!(id("1101051949123100龘X"), Err(IdFault::Character(16)));
        assert_eq!(id("110105491331002"), Err(IdFault::BirthDate));
        assert_eq!(id("11010549123199"), Err(IdFault::Length(14)));
    }

    #[test]
    fn sixty_on_the_birthday() {
        let leap = IdNumber::from_key(50_019_919_600_229_001);
        assert_eq!(leap.birthday(60).to_string(), "2020-02-29");
        assert_eq!(leap.birthday(59).to_string(), "2019-03-01");
    }

    #[test]
    fn nothing_personal_is_displayed() {
        let shown = format!("{:?}", IdNumber::parse("11010519491231002X").unwrap().id);
        assert_eq!(shown, "110105********002X");
        assert_eq!(AccountNumber::parse("9999 0000 0000 0001").unwrap().to_string(), "****0001");
    }

    #[test]
    fn names_compare_folded() {
        assert_eq!(fold_name("阿依•古丽"), fold_name("阿依·古 丽"));
        assert_ne!(fold_name("测试升"), fold_name("测试昇"));
    }

    #[test]
    fn numbers_read_back() {
        let batch = BatchNumber::new(Date::constant(2018, 7, 5), 1, 42);
        assert_eq!(batch.to_string(), "2018070501000042");
        assert_eq!((batch.bank(), batch.sequence(), batch.drafted_on()), (1, 42, 20_180_705));
        let number = InstructionNumber { batch, sequence: 7 };
        assert_eq!(InstructionNumber::parse(&number.to_string()), Some(number));
        assert_eq!(InstructionNumber::parse("2018500199B0000000000000"), None);
    }
}
