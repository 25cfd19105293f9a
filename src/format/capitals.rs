//! 金额大写: an amount in the characters that nobody can alter with a stroke of the pen.
//!
//! Form of the PBoC's rules for writing bills (支付结算办法, 附一 正确填写票据和结算凭证的基本规定): 整 after yuan, none
//! after jiao or fen; one 零 for zeros in the middle; where the yuan digit is 0 and jiao follow, 零 stands between them.

use crate::domain::money::Money;

const DIGITS: [char; 10] = ['零', '壹', '贰', '叁', '肆', '伍', '陆', '柒', '捌', '玖'];
const PLACES: [&str; 4] = ["", "拾", "佰", "仟"];

/// The amount in Chinese capitals: `人民币叁拾元整`; below zero with 负.
pub fn capitals(amount: Money) -> String {
    let fen = amount.fen().unsigned_abs();
    let (yuan, jiao, rest) = (fen / 100, (fen / 10 % 10) as usize, (fen % 10) as usize);
    let mut text = String::from("人民币");
    if amount.fen() < 0 {
        text.push('负');
    }
    if yuan > 0 || fen == 0 {
        text.push_str(&whole(yuan));
        text.push('元');
    }
    if jiao == 0 && rest == 0 {
        text.push('整');
        return text;
    }
    if yuan > 0 && (jiao == 0 || yuan.is_multiple_of(10)) {
        text.push('零');
    }
    for (digit, unit) in [(jiao, '角'), (rest, '分')].into_iter().filter(|(digit, _)| *digit > 0) {
        text.extend([DIGITS[digit], unit]);
    }
    text
}

/// A whole number; above 亿 in two halves, each said in full.
fn whole(number: u64) -> String {
    const MILLIARD_CENT: u64 = 100_000_000;
    match number {
        0 => DIGITS[0].to_string(),
        MILLIARD_CENT.. => joined(number / MILLIARD_CENT, "亿", number % MILLIARD_CENT, MILLIARD_CENT / 10),
        10_000.. => joined(number / 10_000, "万", number % 10_000, 1_000),
        _ => below_ten_thousand(number),
    }
}

/// High part, its unit, low part; 零 where the low part does not reach its highest place.
fn joined(high: u64, unit: &str, low: u64, highest_place: u64) -> String {
    let gap = if low > 0 && low < highest_place { "零" } else { "" };
    let low = if low == 0 { String::new() } else { whole(low) };
    format!("{}{unit}{gap}{low}", whole(high))
}

fn below_ten_thousand(number: u64) -> String {
    let mut text = String::new();
    let mut pending_zero = false;
    for (place, unit) in PLACES.iter().enumerate().rev() {
        let digit = (number / 10_u64.pow(place as u32) % 10) as usize;
        if digit == 0 {
            pending_zero = !text.is_empty();
            continue;
        }
        if pending_zero {
            text.push(DIGITS[0]);
            pending_zero = false;
        }
        text.push(DIGITS[digit]);
        text.push_str(unit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of the PBoC's rules, and everyday ones, written down by hand.
    #[test]
    fn as_bills_are_written() {
        let table = include_str!("../../tests/data/capitals.csv");
        for line in table.lines().skip(1) {
            let (yuan, expected) = line.split_once(',').unwrap();
            assert_eq!(capitals(Money::parse_yuan(yuan).unwrap()), expected, "{yuan}");
        }
    }

    /// Reads capitals back with nothing but the meaning of the characters.
    fn value(text: &str) -> i64 {
        let text = text.strip_prefix("人民币").unwrap();
        let (sign, text) = text.strip_prefix('负').map_or((1, text), |rest| (-1, rest));
        let (mut total, mut section, mut digit, mut fen) = (0_i64, 0_i64, 0_i64, 0_i64);
        for character in text.chars() {
            let place = |weight: i64, digit: &mut i64| std::mem::take(digit) * weight;
            match character {
                '元' => total += section + place(1, &mut digit),
                '角' => fen += place(10, &mut digit),
                '分' => fen += place(1, &mut digit),
                '拾' => section += place(10, &mut digit),
                '佰' => section += place(100, &mut digit),
                '仟' => section += place(1_000, &mut digit),
                '万' => {
                    total += (section + place(1, &mut digit)) * 10_000;
                    section = 0;
                }
                '亿' => {
                    total = (total + section + place(1, &mut digit)) * 100_000_000;
                    section = 0;
                }
                '整' => {}
                other => digit = DIGITS.iter().position(|known| *known == other).unwrap() as i64,
            }
        }
        sign * (total * 100 + fen)
    }

    proptest! {
        #[test]
        fn they_say_the_amount(fen in -900_000_000_000_000_i64..900_000_000_000_000) {
            let text = capitals(Money::from_fen(fen));
            prop_assert_eq!(value(&text), fen);
            prop_assert!(!text.contains("零零"), "{}", text);
        }

        #[test]
        fn round_amounts_too(digits in 0_i64..100, zeros in 0_u32..12) {
            let fen = digits * 10_i64.pow(zeros);
            let text = capitals(Money::from_fen(fen));
            prop_assert_eq!(value(&text), fen);
            prop_assert_eq!(text.ends_with('整'), fen % 100 == 0);
        }
    }
}
