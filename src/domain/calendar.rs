//! Dates of the bureau: fee years, months, settlement years, China's working days. Today is always an argument.

use std::collections::BTreeMap;
use std::fmt;

/// A civil date. Business dates are Asia/Shanghai.
pub type Date = jiff::civil::Date;
/// A time of day, Asia/Shanghai.
pub type Time = jiff::civil::Time;
/// A civil date and time of day, Asia/Shanghai.
pub type DateTime = jiff::civil::DateTime;

/// The year a contribution belongs to.
pub type FeeYear = i16;

/// `yyyymmdd` as an integer: how dates are stored and written into files.
pub fn yyyymmdd(date: Date) -> i64 {
    i64::from(date.year()) * 10_000 + i64::from(date.month()) * 100 + i64::from(date.day())
}

/// The date of an integer `yyyymmdd`; `None` where it is no date.
pub fn from_yyyymmdd(value: i64) -> Option<Date> {
    let year = i16::try_from(value / 10_000).ok()?;
    Date::new(year, (value / 100 % 100) as i8, (value % 100) as i8).ok()
}

/// Reads `2018-07-05`, `20180705`, `2018/7/5` or `2018年7月5日`.
pub fn parse_date(text: &str) -> Option<Date> {
    let text = text.trim();
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return from_yyyymmdd(text.parse().ok()?);
    }
    let mut parts = text.trim_end_matches('日').split(['-', '/', '.', '年', '月']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// The same day, `years` later; 29 February becomes 1 March in a common year.
pub fn anniversary(date: Date, years: i16) -> Date {
    let year = date.year() + years;
    Date::new(year, date.month(), date.day()).unwrap_or_else(|_| Date::constant(year, 3, 1))
}

/// The day after.
pub fn next_day(date: Date) -> Date {
    date.tomorrow().expect("dates of the bureau lie far from the end of time")
}

/// So many days before.
pub fn days_before(date: Date, days: i64) -> Date {
    date.saturating_sub(jiff::SignedDuration::from_hours(24 * days))
}

/// So many minutes before.
pub fn minutes_before(at: DateTime, minutes: i64) -> DateTime {
    at.saturating_sub(jiff::SignedDuration::from_mins(minutes))
}

/// A calendar month: the posting period (R11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// The year.
    pub year: i16,
    /// 1 to 12.
    pub month: i8,
}

impl Month {
    /// The month of a date.
    pub fn of(date: Date) -> Month {
        Month { year: date.year(), month: date.month() }
    }

    /// Reads `2018-07`.
    pub fn parse(text: &str) -> Option<Month> {
        let (year, month) = text.split_once('-')?;
        let month = Month { year: year.parse().ok()?, month: month.parse().ok()? };
        ((1..=12).contains(&month.month) && year.len() == 4).then_some(month)
    }

    /// The month after.
    pub fn next(self) -> Month {
        if self.month == 12 { Month { year: self.year + 1, month: 1 } } else { Month { month: self.month + 1, ..self } }
    }

    /// `yyyymm` as an integer: how months are stored.
    pub fn value(self) -> i64 {
        i64::from(self.year) * 100 + i64::from(self.month)
    }

    /// The month of an integer `yyyymm`.
    pub fn from_value(value: i64) -> Month {
        Month { year: (value / 100) as i16, month: (value % 100) as i8 }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// The data ends before the date that was asked for: the State Council's paper for that year is not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the working-day calendar has no data for {year}; load the State Council's paper for that year into calendars/"
)]
pub struct PastTheData {
    /// The year without data.
    pub year: i16,
}

/// China's working days: weekends, announced days off, weekend days that are worked.
#[derive(Clone, Debug, Default)]
pub struct WorkingDays {
    exceptions: BTreeMap<Date, bool>,
    years: Vec<i16>,
}

impl WorkingDays {
    /// Adds one year's paper: days off and make-up workdays.
    pub fn add_year(&mut self, year: i16, off: &[Date], work: &[Date]) {
        self.years.push(year);
        self.exceptions.extend(off.iter().map(|day| (*day, false)));
        self.exceptions.extend(work.iter().map(|day| (*day, true)));
    }

    /// Whether offices and banks work on this day.
    pub fn is_working_day(&self, date: Date) -> Result<bool, PastTheData> {
        if !self.years.contains(&date.year()) {
            return Err(PastTheData { year: date.year() });
        }
        let weekday = date.weekday().to_monday_zero_offset() < 5;
        Ok(self.exceptions.get(&date).copied().unwrap_or(weekday))
    }

    /// The first working day after `date`.
    pub fn next_working_day(&self, date: Date) -> Result<Date, PastTheData> {
        self.add_working_days(date, 1)
    }

    /// The `count`-th working day after `date`.
    pub fn add_working_days(&self, date: Date, count: u32) -> Result<Date, PastTheData> {
        let mut day = date;
        let mut left = count;
        while left > 0 {
            day = next_day(day);
            if self.is_working_day(day)? {
                left -= 1;
            }
        }
        Ok(day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_people_write_them() {
        for text in ["2018-07-05", "20180705", "2018/7/5", "2018年7月5日", "2018.07.05"] {
            assert_eq!(parse_date(text), Some(Date::constant(2018, 7, 5)), "{text}");
        }
        for text in ["2018-02-30", "18-7-5", "2018-7", "2018-7-5-1", ""] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn make_up_days_are_worked_and_the_data_ends() {
        let mut days = WorkingDays::default();
        let day = |month, day| Date::constant(2018, month, day);
        days.add_year(2018, &[day(10, 1), day(10, 2), day(10, 3), day(10, 4), day(10, 5)], &[day(9, 29), day(9, 30)]);
        assert_eq!(days.is_working_day(day(9, 29)), Ok(true));
        assert_eq!(days.next_working_day(day(9, 30)), Ok(day(10, 8)));
        assert_eq!(days.next_working_day(day(12, 31)), Err(PastTheData { year: 2019 }));
    }

    #[test]
    fn months_follow_each_other() {
        assert_eq!(Month::parse("2018-12").unwrap().next().to_string(), "2019-01");
        assert_eq!(Month::parse("2018-13"), None);
    }
}
