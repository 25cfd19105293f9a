//! Properties of the small things that everything rests on: money, identity numbers, numbers of ours, days. Each is held
//! against arithmetic of its own, never against the function's other half alone.

use daikou::domain::calendar::{self, Date, Month, WorkingDays};
use daikou::domain::ids::{AccountNumber, BatchNumber, IdFault, IdNumber, InstructionNumber, fold_name};
use daikou::domain::money::Money;
use proptest::prelude::*;
use rust_decimal::Decimal;

/// Days since 1 March of year 0, counted out by years and months.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before: i64 = [31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28][..month as usize].iter().sum();
    365 * year + year / 4 - year / 100 + year / 400 + before + day - 1
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The check character by ISO 7064, pure MOD 11-2: another way than the table of weights.
fn check_character(digits: &str) -> char {
    let sum = digits.bytes().fold(0, |sum, digit| (sum + u32::from(digit - b'0')) * 2 % 11);
    char::from_digit((12 - sum) % 11, 10).unwrap_or('X')
}

/// Day of birth from 1900 to 2099.
fn birth() -> impl Strategy<Value = (i64, i64, i64)> {
    (1900i64..2100, 1i64..=12).prop_flat_map(|(year, month)| (Just(year), Just(month), 1..=days_of(year, month)))
}

/// A sound identity number, with its parts.
fn id() -> impl Strategy<Value = (String, (i64, i64, i64))> {
    (100_000u32..1_000_000, birth(), 0u32..1_000).prop_map(|(area, (year, month, day), order)| {
        let digits = format!("{area}{year:04}{month:02}{day:02}{order:03}");
        let check = check_character(&digits);
        (format!("{digits}{check}"), (year, month, day))
    })
}

/// As people write them: full width, lower case, spaces, the apostrophe of a spreadsheet.
fn written(text: &str, how: u8) -> String {
    let wide = |c: char| char::from_u32(c as u32 + 0xFEE0).unwrap();
    match how % 5 {
        0 => text.to_owned(),
        1 => text.to_lowercase(),
        2 => format!(" \u{3000}{text}\t"),
        3 => format!("'{text}"),
        _ => text.chars().map(wide).collect(),
    }
}

fn days() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(days())]

    #[test]
    fn money_is_written_and_read(fen in -100_000_000_000_000_000i64..100_000_000_000_000_000) {
        let text = Money::from_fen(fen).to_string();
        prop_assert_eq!(Money::parse_yuan(&text), Some(Money::from_fen(fen)));
        // Without the point the digits are the fen.
        prop_assert_eq!(text.replace('.', "").parse::<i64>(), Ok(fen));
        prop_assert_eq!(Decimal::from_str_exact(&text), Ok(Money::from_fen(fen).to_decimal()));
    }

    #[test]
    fn money_is_read_as_decimals_or_not_at_all(text in "-?[0-9]{0,17}[.,]?[0-9]{0,3}[ e+元]?") {
        let plain = text.strip_prefix('-').unwrap_or(&text);
        let (whole, cents) = plain.split_once('.').unwrap_or((plain, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        let expected = (digits(whole, 15) && digits(cents, 2)).then(|| {
            let fen = Decimal::from_str_exact(&text).unwrap() * Decimal::ONE_HUNDRED;
            Money::from_fen(fen.to_string().split('.').next().unwrap().parse().unwrap())
        });
        prop_assert_eq!(Money::parse_yuan(&text), expected, "{}", text);
    }

    /// R3: government part and own part make the tier, whatever the rate.
    #[test]
    fn a_rate_rounds_half_up_and_the_parts_add_up(fen in 0i64..1_000_000_000, thousandths in 0i64..=1_000) {
        let part = Money::from_fen(fen).at_rate(Decimal::new(thousandths, 3));
        prop_assert_eq!(part.fen(), (fen * thousandths * 2 + 1_000) / 2_000);
        let rest = Money::from_fen(fen) - part;
        prop_assert_eq!(part + rest, Money::from_fen(fen));
        prop_assert!(rest.fen() >= 0 && -(-rest) == rest);
    }

    #[test]
    fn sums_do_not_depend_on_order(mut fen in prop::collection::vec(-1_000_000_000i64..1_000_000_000, 0..50)) {
        let sum: Money = fen.iter().copied().map(Money::from_fen).sum();
        prop_assert_eq!(sum.fen(), fen.iter().sum::<i64>());
        fen.reverse();
        prop_assert_eq!(fen.into_iter().map(Money::from_fen).sum::<Money>(), sum);
    }

    #[test]
    fn an_identity_number_is_one_however_it_is_written((text, born) in id(), how: u8, kind in 1u8..=7, grade in 1u8..=4) {
        let parsed = IdNumber::parse(&written(&text, how)).map(|parsed| (parsed.id.text(), parsed.disability_grade));
        prop_assert_eq!(parsed, Ok((text.clone(), None)));
        let card = format!("{text}{kind}{grade}");
        let parsed = IdNumber::parse(&written(&card, how)).unwrap();
        prop_assert_eq!((parsed.id.text(), parsed.disability_grade), (text.clone(), Some(grade)));
        let id = parsed.id;
        prop_assert_eq!(&id.bytes()[..], text.as_bytes());
        prop_assert_eq!(IdNumber::from_key(id.key()), id);
        prop_assert_eq!(id.area().to_string(), &text[..6]);
        let date = id.born();
        prop_assert_eq!((i64::from(date.year()), i64::from(date.month()), i64::from(date.day())), born);
        // Shown, it never shows the day of birth.
        let shown = format!("{id} {id:?}");
        prop_assert!(!shown.contains(&text[6..14]) && shown.contains("********"));
    }

    /// Of the 1900s, and not of those born in the 1800s, whose order codes are 996 to 999.
    #[test]
    fn a_legacy_number_is_the_same_person((text, born) in id()) {
        let legacy = format!("{}{}", &text[..6], &text[8..17]);
        let parsed = IdNumber::parse(&legacy).map(|parsed| parsed.id.text());
        let century = format!("{}19{}", &text[..6], &text[8..17]);
        let is_day = born.1 != 2 || born.2 < 29 || is_leap(1900 + born.0 % 100);
        if is_day && &text[14..17] < "996" {
            prop_assert_eq!(parsed, Ok(format!("{century}{}", check_character(&century))));
        } else {
            prop_assert_eq!(parsed, Err(IdFault::BirthDate));
        }
    }

    /// MOD 11-2 sees every single wrong character, and every two neighbours that are swapped.
    #[test]
    fn one_slip_of_the_pen_is_always_seen((text, _) in id(), place in 0usize..18, other in "[0-9X]") {
        let mut changed: Vec<char> = text.chars().collect();
        changed[place] = other.chars().next().unwrap();
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(IdNumber::parse(&changed).is_ok(), changed == text, "{} {}", text, changed);
        let mut swapped: Vec<char> = text.chars().collect();
        if place < 17 {
            swapped.swap(place, place + 1);
        }
        let swapped: String = swapped.into_iter().collect();
        prop_assert_eq!(IdNumber::parse(&swapped).is_ok(), swapped == text, "{} {}", text, swapped);
    }

    #[test]
    fn whatever_is_no_number_is_refused(text in "\\PC{0,24}") {
        if let Ok(parsed) = IdNumber::parse(&text) {
            prop_assert!(parsed.id.text().ends_with(check_character(&parsed.id.text()[..17])));
        }
        if let Some(account) = AccountNumber::parse(&text) {
            let shown = account.to_string();
            prop_assert!(shown.len() == 8 && account.text().ends_with(&shown[4..]));
            prop_assert_eq!(AccountNumber::parse(account.text()), Some(account));
        }
        prop_assert_eq!(fold_name(&fold_name(&text)), fold_name(&text));
        if let Some(number) = InstructionNumber::parse(&text) {
            prop_assert_eq!(number.to_string(), text);
        }
    }

    #[test]
    fn our_numbers_are_put_together_and_taken_apart(
        (year, month, day) in birth(), bank in 0u8..100, of_day in 1u32..1_000_000, sequence in 1u32..100_000_000
    ) {
        let date = Date::new(year as i16, month as i8, day as i8).unwrap();
        let batch = BatchNumber::new(date, bank, of_day);
        let text = format!("{year:04}{month:02}{day:02}{bank:02}{of_day:06}");
        prop_assert_eq!(&batch.to_string(), &text);
        prop_assert_eq!(BatchNumber::parse(&text), Some(batch));
        prop_assert_eq!(BatchNumber::from_value(batch.value()), batch);
        prop_assert_eq!((batch.bank(), batch.sequence(), batch.drafted_on()), (bank, of_day, text[..8].parse().unwrap()));
        let number = InstructionNumber { batch, sequence };
        prop_assert_eq!(number.to_string(), format!("{text}{sequence:08}"));
        prop_assert_eq!(InstructionNumber::parse(&number.to_string()), Some(number));
        prop_assert_eq!(InstructionNumber::parse(&number.to_string()[1..]), None);
    }

    #[test]
    fn days_are_counted_as_a_wall_calendar_does((year, month, day) in birth(), years in 0i64..120, back in 0i64..2_000) {
        let date = Date::new(year as i16, month as i8, day as i8).unwrap();
        let number = |date: Date| day_number(date.year().into(), date.month().into(), date.day().into());
        prop_assert_eq!(number(calendar::next_day(date)), number(date) + 1);
        prop_assert_eq!(number(calendar::days_before(date, back)), number(date) - back);
        prop_assert_eq!(calendar::from_yyyymmdd(calendar::yyyymmdd(date)), Some(date));
        let forms = [
            format!("{year:04}-{month:02}-{day:02}"), format!("{year:04}{month:02}{day:02}"),
            format!("{year:04}/{month}/{day}"), format!("{year:04}年{month}月{day}日"), format!(" {year:04}.{month}.{day} "),
        ];
        for form in forms {
            prop_assert_eq!(calendar::parse_date(&form), Some(date), "{}", form);
        }
        let later = calendar::anniversary(date, years as i16);
        let is_moved = month == 2 && day == 29 && !is_leap(year + years);
        let expected = if is_moved { (year + years, 3, 1) } else { (year + years, month, day) };
        prop_assert_eq!((i64::from(later.year()), i64::from(later.month()), i64::from(later.day())), expected);
    }

    #[test]
    fn what_is_no_day_is_no_day(year in 1900i64..2100, month in 0i64..20, day in 0i64..40) {
        let exists = (1..=12).contains(&month) && (1..=days_of(year, month.clamp(1, 12))).contains(&day);
        prop_assert_eq!(calendar::from_yyyymmdd(year * 10_000 + month * 100 + day).is_some(), exists);
        prop_assert_eq!(calendar::parse_date(&format!("{year}-{month}-{day}")).is_some(), exists);
        prop_assert_eq!(Month::parse(&format!("{year}-{month:02}")).is_some(), (1..=12).contains(&month));
    }

    #[test]
    fn months_go_on_without_a_gap(year in 1900i16..2100, month in 1i8..=12, count in 0usize..40) {
        let first = Month { year, month };
        let last = (0..count).fold(first, |month, _| month.next());
        let number = |month: Month| i64::from(month.year) * 12 + i64::from(month.month);
        prop_assert_eq!(number(last), number(first) + count as i64);
        prop_assert_eq!(Month::from_value(last.value()), last);
        prop_assert_eq!(Month::parse(&last.to_string()), Some(last));
    }

    /// Weekends by counting from a known Monday; then what the paper of the year says.
    #[test]
    fn working_days_are_counted_one_by_one(
        off in prop::collection::btree_set(0i64..730, 0..60), work in prop::collection::btree_set(0i64..730, 0..20),
        from in 0i64..730, count in 0u32..40
    ) {
        let first = Date::constant(2018, 1, 1);
        let date = |day: i64| first.checked_add(jiff::Span::new().days(day)).unwrap();
        let work: Vec<i64> = work.difference(&off).copied().collect();
        let mut days = WorkingDays::default();
        for (year, range) in [(2018, 0..365), (2019, 365..730)] {
            let of_year = |days: &[i64]| -> Vec<Date> {
                days.iter().filter(|day| range.contains(*day)).map(|day| date(*day)).collect()
            };
            days.add_year(year, &of_year(&off.iter().copied().collect::<Vec<_>>()), &of_year(&work));
        }
        // 1 January 2018 was a Monday.
        let is_worked = |day: i64| work.contains(&day) || (day % 7 < 5 && !off.contains(&day));
        prop_assert_eq!(days.is_working_day(date(from)), Ok(is_worked(from)));
        let expected = (from + 1..730).filter(|day| is_worked(*day)).nth((count as usize).saturating_sub(1));
        let found = days.add_working_days(date(from), count);
        match expected {
            _ if count == 0 => prop_assert_eq!(found, Ok(date(from))),
            Some(day) => prop_assert_eq!(found, Ok(date(day))),
            None => prop_assert_eq!(found.unwrap_err().year, 2020),
        }
    }
}

#[test]
fn a_wall_calendar_agrees_with_itself() {
    assert_eq!(day_number(2018, 7, 5) - day_number(2018, 7, 4), 1);
    assert_eq!(day_number(2020, 3, 1) - day_number(2020, 2, 28), 2);
    assert_eq!(day_number(2019, 3, 1) - day_number(2019, 2, 28), 1);
    assert_eq!(check_character("11010519491231002"), 'X');
}
