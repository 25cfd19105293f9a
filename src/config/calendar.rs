//! `calendars/*.toml` → the working days of China: one table per year, days off and weekend days that are worked.

use crate::config::source::{Problem, Reader, Source};
use crate::domain::calendar::{Date, WorkingDays};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;

/// Reads all calendars; a year may stand in one of them only.
pub(super) fn load(sources: &[Source], problems: &mut Vec<Problem>) -> WorkingDays {
    let mut days = WorkingDays::default();
    let mut seen = BTreeSet::new();
    for source in sources {
        let years: BTreeMap<Spanned<String>, RawYear> = source.read(problems).unwrap_or_default();
        let mut reader = Reader { source, problems: &mut *problems };
        for (key, raw) in &years {
            let Some(year) = reader.parse(key, "a year", |text| text.parse().ok()) else { continue };
            if !seen.insert(year) {
                reader.refuse(key, format!("the year {year} stands in two calendars"));
            }
            let off = reader.dates(year, &raw.off);
            let work = reader.dates(year, &raw.work);
            for (day, written) in work.iter().zip(&raw.work) {
                if day.weekday().to_monday_zero_offset() < 5 || off.contains(day) {
                    reader.refuse(written, "expected a weekend day that is not also a day off");
                }
            }
            days.add_year(year, &off, &work);
        }
    }
    days
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawYear {
    off: Vec<Spanned<String>>,
    work: Vec<Spanned<String>>,
}

impl Reader<'_> {
    /// Days `MM-DD` of a year.
    fn dates(&mut self, year: i16, days: &[Spanned<String>]) -> Vec<Date> {
        let read = |text: &str| {
            let (month, day) = super::month_and_day(text)?;
            Date::new(year, month, day).ok()
        };
        days.iter().filter_map(|day| self.parse(day, "a day MM-DD of the year", read)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { name: "china.toml".into(), text: text.into() }
    }

    #[test]
    fn the_calendar_that_is_built_in_holds() {
        let mut problems = Vec::new();
        let days = load(&[source(include_str!("../../calendars/china.toml"))], &mut problems);
        assert_eq!(problems, []);
        assert_eq!(days.is_working_day(Date::constant(2018, 2, 11)), Ok(true));
        assert_eq!(days.is_working_day(Date::constant(2018, 10, 1)), Ok(false));
        assert!(days.is_working_day(Date::constant(2027, 1, 4)).is_err());
    }

    #[test]
    fn impossible_days_are_refused() {
        let mut problems = Vec::new();
        load(&[source("[2018]\noff = [\"02-30\"]\nwork = [\"07-05\"]\n")], &mut problems);
        let lines: Vec<_> = problems.iter().map(|problem| problem.place.as_ref().unwrap().line).collect();
        assert_eq!(lines, [2, 3]);
    }
}
