//! One field: how its bytes are judged, read and written, side by side for every kind.
//!
//! A record is judged twice over. `ranges` gives each byte a range, and the ranges of a whole record are
//! compared in one sweep; a `Check` then proves what ranges cannot. Only where one of them says no does
//! [`FieldLayout::fault`] look again, slowly, to name the fault.

use crate::domain::ids::{IdFault, IdNumber};
use crate::domain::money::Money;
use crate::format::charset::{self, Charset, TextFault};
use crate::format::role::Role;

/// How a field's bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Digits, zeros on the left.
    Number,
    /// Fen, digits, zeros on the left.
    Fen,
    /// Yuan with two decimals, spaces on the left.
    Yuan,
    /// Printable ASCII, spaces on the right.
    Ascii,
    /// Text of the charset, spaces on the right, counted in bytes.
    Text,
    /// An identity number of 18 characters.
    IdNumber,
    /// `yyyymmdd`.
    Date,
    /// `hhmmss`.
    Time,
    /// `yyyymmddhhmmss`.
    DateTime,
    /// Lower-case hexadecimal digits, spaces on the right.
    Digest,
    /// Nothing but spaces.
    Spaces,
}

impl FieldKind {
    /// Every kind with its word in `layout.toml`.
    pub const ALL: [(FieldKind, &str); 11] = [
        (FieldKind::Number, "number"),
        (FieldKind::Fen, "fen"),
        (FieldKind::Yuan, "yuan"),
        (FieldKind::Ascii, "ascii"),
        (FieldKind::Text, "text"),
        (FieldKind::IdNumber, "id-number"),
        (FieldKind::Date, "date"),
        (FieldKind::Time, "time"),
        (FieldKind::DateTime, "datetime"),
        (FieldKind::Digest, "digest"),
        (FieldKind::Spaces, "spaces"),
    ];

    /// The word in `layout.toml`.
    pub fn word(self) -> &'static str {
        FieldKind::ALL[self as usize].1
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<FieldKind> {
        FieldKind::ALL.iter().find(|(_, w)| *w == word).map(|(kind, _)| *kind)
    }
}

/// One field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldLayout {
    /// The bank's name of it, unique in its record.
    pub name: String,
    /// Its Chinese name.
    pub title: String,
    /// First byte, from 0.
    pub offset: usize,
    /// Bytes.
    pub width: usize,
    /// How its bytes are written.
    pub kind: FieldKind,
    /// What it means here.
    pub role: Option<Role>,
    /// The key of `[bank.header]` that fills it.
    pub bank: Option<String>,
    /// The only value it may have.
    pub constant: Option<String>,
    /// The values it may have; empty for any.
    pub choices: Vec<String>,
    /// Spaces only are allowed.
    pub blank: bool,
    /// 1, 2, 3 … through the file.
    pub contiguous: bool,
}

/// What is wrong with a field, when reading or writing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not digits only.
    Digits,
    /// Not yuan with two decimals at the right end.
    Yuan,
    /// Not hexadecimal digits.
    Hex,
    /// A character that is not printable ASCII, at this byte.
    Ascii(usize),
    /// Text that is none in the charset.
    Text(TextFault),
    /// Not the identity number's shape.
    IdShape,
    /// The check character should be this one.
    IdCheck(char),
    /// No such day.
    Date,
    /// No such time of day.
    Time,
    /// Spaces before the text.
    NotLeft,
    /// Empty where a value is needed.
    Empty,
    /// Not the constant.
    Constant(String),
    /// None of the values allowed.
    Choice(Vec<String>),
    /// A filler that is not spaces.
    Filler,
    /// An amount of nothing where money is asked for.
    NotPositive,
    /// Longer than the field (writing): bytes needed.
    TooLong(usize),
}

impl Fault {
    /// Whether the record still says what it says: such a fault is reported, but spoils nothing but its own field.
    /// The amount, the code and the number of a row whose name was cut are still sound.
    pub fn is_flag(&self) -> bool {
        matches!(self, Fault::Text(_) | Fault::IdCheck(_) | Fault::IdShape | Fault::Date | Fault::NotPositive)
            || matches!(self, Fault::Time)
    }
}

impl FieldLayout {
    /// Where the field lies in a record.
    pub fn span(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.width
    }

    /// Whether what stands here belongs to a person.
    pub fn is_personal(&self) -> bool {
        self.role.is_some_and(Role::is_personal)
    }

    /// The lowest and highest byte allowed at each place of the field, for the sweep over a whole record.
    pub(super) fn ranges(&self, charset: Charset) -> Vec<(u8, u8)> {
        if let Some(bytes) = self.constant_bytes(charset) {
            return bytes.into_iter().map(|b| (b, b)).collect();
        }
        let digits = if self.blank { (b' ', b'9') } else { (b'0', b'9') };
        let range = match self.kind {
            FieldKind::Number | FieldKind::Fen | FieldKind::Date | FieldKind::Time | FieldKind::DateTime => digits,
            FieldKind::Yuan => (b' ', b'9'),
            FieldKind::Ascii => (b' ', b'~'),
            FieldKind::Text => (b' ', 0xFE),
            FieldKind::IdNumber => (b' ', b'X'),
            FieldKind::Digest => (b' ', b'f'),
            FieldKind::Spaces => (b' ', b' '),
        };
        let mut ranges = vec![range; self.width];
        if self.kind == FieldKind::Ascii && !self.blank {
            ranges[0].0 = b'!';
        }
        ranges
    }

    fn constant_bytes(&self, charset: Charset) -> Option<Vec<u8>> {
        let mut bytes = vec![b' '; self.width];
        self.write_value(self.constant.as_deref()?, &mut bytes, charset).ok()?;
        Some(bytes)
    }

    /// What the sweep over the ranges leaves to prove; `None` where it proves all.
    pub(super) fn check(&self, place: u8) -> Option<Check> {
        let has_choices = !self.choices.is_empty();
        let what = match self.kind {
            _ if self.constant.is_some() || self.kind == FieldKind::Spaces => return None,
            _ if has_choices => What::Whole,
            FieldKind::Number if !self.blank => return None,
            FieldKind::Fen if !self.blank && self.role != Some(Role::Amount) => return None,
            FieldKind::Fen if !self.blank => What::Positive,
            FieldKind::Ascii if !self.blank => return None,
            FieldKind::Ascii => What::Left,
            FieldKind::Text => What::Text,
            FieldKind::IdNumber => What::IdNumber,
            FieldKind::Date => What::Date,
            FieldKind::Time => What::Time,
            _ => What::Whole,
        };
        Some(Check { start: self.offset, end: self.offset + self.width, place, what, blank: self.blank })
    }

    fn is_choice(&self, field: &[u8]) -> bool {
        let value = charset::trim_end(field);
        self.choices.iter().any(|choice| choice.as_bytes() == value)
    }

    /// Names what is wrong with a field's bytes.
    pub fn fault(&self, field: &[u8], charset: Charset) -> Option<Fault> {
        if let Some(constant) = &self.constant {
            let same = self.constant_bytes(charset).is_some_and(|bytes| bytes == field);
            return (!same).then(|| Fault::Constant(constant.clone()));
        }
        let blank = charset::is_blank(field);
        if self.kind == FieldKind::Spaces {
            return (!blank).then_some(Fault::Filler);
        }
        if blank {
            return (!self.blank).then_some(Fault::Empty);
        }
        let fault = match self.kind {
            FieldKind::Number => digits_fault(field),
            FieldKind::Fen => digits_fault(field).or_else(|| self.amount_fault(number(field)?)),
            FieldKind::Yuan => match yuan(field) {
                Some(amount) => self.amount_fault(amount.fen().unsigned_abs()),
                None => Some(Fault::Yuan),
            },
            FieldKind::Ascii => left(field).or_else(|| ascii_fault(field)),
            FieldKind::Text => left(field).or_else(|| charset.check(field).err().map(Fault::Text)),
            FieldKind::IdNumber => left(field).or_else(|| id_fault(field)),
            FieldKind::Date => digits_fault(field).or_else(|| unless(is_date(number(field)?), Fault::Date)),
            FieldKind::Time => digits_fault(field).or_else(|| unless(is_time(number(field)?), Fault::Time)),
            FieldKind::DateTime => digits_fault(field).or_else(|| datetime_fault(number(field)?)),
            FieldKind::Digest => left(field).or_else(|| unless(is_hex(charset::trim_end(field)), Fault::Hex)),
            FieldKind::Spaces => None,
        };
        fault.or_else(|| {
            let outside = !self.choices.is_empty() && !self.is_choice(field);
            outside.then(|| Fault::Choice(self.choices.clone()))
        })
    }

    fn amount_fault(&self, fen: u64) -> Option<Fault> {
        (fen == 0 && self.role == Some(Role::Amount)).then_some(Fault::NotPositive)
    }

    /// The field's value without its padding: numbers without zeros on the left, amounts in yuan.
    pub fn value(&self, field: &[u8], charset: Charset) -> Result<String, Fault> {
        if let Some(fault @ (Fault::Text(_) | Fault::Digits | Fault::Yuan | Fault::Ascii(_))) =
            self.fault(field, charset)
        {
            return Err(fault);
        }
        if let Some(constant) = self.constant.as_ref().filter(|_| !matches!(self.kind, FieldKind::Fen)) {
            return Ok(constant.clone());
        }
        if charset::is_blank(field) {
            return Ok(String::new());
        }
        match self.kind {
            FieldKind::Number => {
                let text = charset.decode(field).map_err(Fault::Text)?;
                let digits = text.trim_start_matches('0');
                Ok(if digits.is_empty() { "0".to_owned() } else { digits.to_owned() })
            }
            FieldKind::Fen => money(field).map(|amount| amount.to_string()).ok_or(Fault::Digits),
            FieldKind::Yuan => yuan(field).map(|amount| amount.to_string()).ok_or(Fault::Yuan),
            _ => charset.decode(field).map(|text| text.into_owned()).map_err(Fault::Text),
        }
    }

    /// Writes a value over the whole field, padding included, and proves what was written.
    pub fn write(&self, value: &str, field: &mut [u8], charset: Charset) -> Result<(), Fault> {
        self.write_value(value, field, charset)?;
        self.fault(field, charset).map_or(Ok(()), Err)
    }

    /// Writes a value over the whole field. Nothing is cut or replaced: what does not fit is a fault.
    pub(super) fn write_value(&self, value: &str, field: &mut [u8], charset: Charset) -> Result<(), Fault> {
        field.fill(b' ');
        match self.kind {
            FieldKind::Number => write_number(value, field),
            FieldKind::Fen => write_fen(Money::parse_yuan(value).ok_or(Fault::Yuan)?, field),
            FieldKind::Yuan => write_yuan(Money::parse_yuan(value).ok_or(Fault::Yuan)?, field),
            _ => match charset.encode(value, field).map_err(Fault::Text)? {
                Some(_) => Ok(()),
                None => Err(Fault::TooLong(charset.width(value).map_err(Fault::Text)?)),
            },
        }
    }

    /// Whether a value can stand in this field: it fits, the charset can say it, and the field allows it.
    pub fn fits(&self, value: &str, charset: Charset) -> Result<(), Fault> {
        self.write(value, &mut vec![b' '; self.width], charset)
    }
}

/// What the sweep over a record's ranges leaves to prove of one field. It says the same as [`FieldLayout::fault`], fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    start: usize,
    end: usize,
    place: u8,
    what: What,
    blank: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// No space before the text.
    Left,
    Text,
    Positive,
    IdNumber,
    Date,
    Time,
    /// Everything, slowly.
    Whole,
}

impl Check {
    /// Proves the field of a line whose bytes are in range.
    #[inline]
    pub(super) fn passes(&self, line: &[u8], fields: &[FieldLayout], charset: Charset) -> bool {
        let field = &line[self.start..self.end];
        if field[0] == b' ' && self.blank && charset::is_blank(field) {
            return true;
        }
        match self.what {
            What::Left => field[0] != b' ',
            What::Text => field[0] != b' ' && charset.check(field).is_ok(),
            What::Positive => !charset::is_all(field, b'0'),
            What::IdNumber => passes_id(field),
            What::Date => number(field).is_some_and(is_date),
            What::Time => number(field).is_some_and(is_time),
            What::Whole => fields[usize::from(self.place)].fault(field, charset).is_none(),
        }
    }
}

fn unless(sound: bool, fault: Fault) -> Option<Fault> {
    (!sound).then_some(fault)
}

fn digits_fault(field: &[u8]) -> Option<Fault> {
    unless(field.iter().all(u8::is_ascii_digit), Fault::Digits)
}

fn left(field: &[u8]) -> Option<Fault> {
    (field[0] == b' ').then_some(Fault::NotLeft)
}

fn ascii_fault(field: &[u8]) -> Option<Fault> {
    field.iter().position(|b| !(b' '..=b'~').contains(b)).map(Fault::Ascii)
}

fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The number of a field of digits; `None` where one is no digit or there are more than 19.
#[inline]
pub fn number(field: &[u8]) -> Option<u64> {
    let head = field.len() % 8;
    if field.len() > 19 {
        return None;
    }
    let Some(first) = field.first_chunk::<8>() else { return few_digits(field) };
    let mut value = 0;
    if head > 0 {
        // The first digits alone, moved to the right end of a word of zeros.
        let shift = 8 * head;
        value = eight_digits(u64::from_le_bytes(*first) << (64 - shift) | EIGHT_ZEROS >> shift)?;
    }
    for eight in field[head..].chunks_exact(8) {
        value = value * 100_000_000 + eight_digits(u64::from_le_bytes(eight.try_into().expect("eight bytes")))?;
    }
    Some(value)
}

const EIGHT_ZEROS: u64 = 0x3030_3030_3030_3030;

/// Eight digits at once: pairs, then fours, then all, inside one word.
#[inline]
fn eight_digits(word: u64) -> Option<u64> {
    let outside = word.wrapping_add(0x4646_4646_4646_4646) | word.wrapping_sub(EIGHT_ZEROS);
    if outside & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let ones = word - EIGHT_ZEROS;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF)
}

fn few_digits(field: &[u8]) -> Option<u64> {
    field.iter().try_fold(0, |value, b| {
        let digit = b.wrapping_sub(b'0');
        (digit < 10).then(|| value * 10 + u64::from(digit))
    })
}

/// The amount of a field of fen; `None` where it is no number or beyond what an amount can hold.
#[inline]
pub fn money(field: &[u8]) -> Option<Money> {
    number(field).and_then(|fen| i64::try_from(fen).ok()).map(Money::from_fen)
}

/// The amount of a field of yuan: spaces, digits without zeros on the left, a point, two digits. Nothing else.
pub fn yuan(field: &[u8]) -> Option<Money> {
    let start = field.iter().position(|b| *b != b' ')?;
    let (whole, cents) = field[start..].split_last_chunk::<3>()?;
    let canonical = whole == b"0" || whole.first().is_some_and(|first| *first != b'0');
    if cents[0] != b'.' || !canonical || whole.len() > 15 {
        return None;
    }
    let fen = number(whole)? * 100 + number(&cents[1..])?;
    i64::try_from(fen).ok().map(Money::from_fen)
}

/// `yyyymmdd` of a day that exists, in the centuries banks write.
#[inline]
fn is_date(value: u64) -> bool {
    (19_000_000..30_000_000).contains(&value) && is_day(value)
}

/// `yyyymmdd` of a day that exists.
#[inline]
fn is_day(value: u64) -> bool {
    const DAYS: [u64; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (year, month, day) = (value / 10_000, value / 100 % 100, value % 100);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = DAYS.get(month as usize).copied().unwrap_or(0) + u64::from(month == 2 && leap);
    (1..=days).contains(&day)
}

fn is_time(value: u64) -> bool {
    value / 10_000 < 24 && value / 100 % 100 < 60 && value % 100 < 60
}

fn datetime_fault(value: u64) -> Option<Fault> {
    unless(is_date(value / 1_000_000), Fault::Date).or_else(|| unless(is_time(value % 1_000_000), Fault::Time))
}

/// GB 11643 on bytes: 17 digits, the check character, a date of birth.
#[inline]
fn passes_id(field: &[u8]) -> bool {
    const WEIGHTS: [i16; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECK: [u8; 11] = *b"10X98765432";
    let Some((digits, rest)) = field.split_first_chunk::<17>() else { return false };
    let digits = digits.map(|byte| byte.wrapping_sub(b'0'));
    let highest = digits.iter().fold(0, |highest, digit| highest.max(*digit));
    let sum: i16 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| i16::from(*digit & 15) * weight).sum();
    highest < 10 && rest == [CHECK[usize::from(sum.unsigned_abs() % 11)]] && number(&field[6..14]).is_some_and(is_day)
}

fn id_fault(field: &[u8]) -> Option<Fault> {
    if passes_id(field) {
        return None;
    }
    let shape = field.len() == 18 && field[..17].iter().all(u8::is_ascii_digit) && field[17] != b'x';
    let text = std::str::from_utf8(field).ok().filter(|_| shape);
    match text.map(IdNumber::parse) {
        Some(Err(IdFault::CheckDigit(check))) => Some(Fault::IdCheck(check)),
        _ => Some(Fault::IdShape),
    }
}

/// Digits over the whole field, zeros on the left.
#[inline]
pub(super) fn put_digits(value: u64, field: &mut [u8]) -> Result<(), Fault> {
    let mut rest = value;
    let (head, pairs) = field.split_at_mut(field.len() % 2);
    for pair in pairs.chunks_exact_mut(2).rev() {
        pair.copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    for place in head {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    if rest == 0 { Ok(()) } else { Err(Fault::TooLong(value.ilog10() as usize + 1)) }
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
};

fn write_number(value: &str, field: &mut [u8]) -> Result<(), Fault> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Digits);
    }
    let digits = value.trim_start_matches('0').as_bytes();
    let start = field.len().checked_sub(digits.len()).ok_or(Fault::TooLong(digits.len()))?;
    field[..start].fill(b'0');
    field[start..].copy_from_slice(digits);
    Ok(())
}

/// Fen over the whole field; a negative amount has no digits.
pub(super) fn write_fen(amount: Money, field: &mut [u8]) -> Result<(), Fault> {
    put_digits(u64::try_from(amount.fen()).map_err(|_| Fault::Digits)?, field)
}

/// Yuan at the right end of a field of spaces.
pub(super) fn write_yuan(amount: Money, field: &mut [u8]) -> Result<(), Fault> {
    let mut fen = u64::try_from(amount.fen()).map_err(|_| Fault::Yuan)?;
    let too_long = Fault::TooLong(amount.fen().max(100).ilog10() as usize + 2);
    let mut places = field.iter_mut().rev();
    let mut put = |byte: u8| places.next().map(|place| *place = byte).ok_or(too_long.clone());
    for place in 0.. {
        if place == 2 {
            put(b'.')?;
        }
        put(b'0' + (fen % 10) as u8)?;
        fen /= 10;
        if fen == 0 && place >= 2 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_are_read() {
        let digits = b"1234567890123456789";
        for width in 1..=19 {
            let text = std::str::from_utf8(&digits[..width]).unwrap();
            assert_eq!(number(&digits[..width]), text.parse().ok(), "{text}");
            for at in 0..width {
                for other in [b'/', b':', b' ', 0, 0x80, 0xB0, 0xFF] {
                    let mut changed = digits[..width].to_vec();
                    changed[at] = other;
                    assert_eq!(number(&changed), None, "{changed:?}");
                }
            }
        }
        assert_eq!(number(&[b'1'; 20]), None);
    }

    #[test]
    fn yuan_stand_at_the_right_end_in_one_way() {
        for (text, fen) in [("       30.00", 3_000), ("0.00", 0), ("        0.05", 5), ("123456789.12", 12_345_678_912)]
        {
            let mut field = vec![b' '; text.len()];
            assert_eq!(yuan(text.as_bytes()), Some(Money::from_fen(fen)), "{text}");
            write_yuan(Money::from_fen(fen), &mut field).unwrap();
            assert_eq!(field, text.as_bytes());
        }
        for text in ["30.00   ", "   030.00", "     .50", "   30.0", " 3 0.00", "-30.00", "   30,00", "     30", "    "]
        {
            assert_eq!(yuan(text.as_bytes()), None, "{text}");
        }
        assert_eq!(write_yuan(Money::from_fen(123_456), &mut [b' '; 6]), Err(Fault::TooLong(7)));
    }

    #[test]
    fn days_exist_or_do_not() {
        for (value, sound) in [(20_200_229, true), (20_190_229, false), (20_180_431, false), (18_991_231, false)] {
            assert_eq!(is_date(value), sound, "{value}");
        }
        assert!(!is_date(20_180_001) && !is_date(20_181_301) && !is_date(20_180_100));
    }
}
