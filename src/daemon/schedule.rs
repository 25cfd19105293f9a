//! Which windows of the day are due. Pure: calendar, clock and stored rows are arguments.
//!
//! A window is a step on a working day. On its own day it is caught up however late the daemon starts; a window of an
//! earlier day is missed for ever and is an alarm: nobody expects yesterday's deductions today.

use std::fmt;

use crate::domain::calendar::{Date, DateTime, PastTheData, Time, WorkingDays, next_day};

/// What a window opens, in the order in which windows of one moment run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Plans for the year.
    Plan,
    /// Instructions in batches.
    Instruct,
    /// Released batches to the banks.
    Send,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Step; 3] = [Step::Plan, Step::Instruct, Step::Send];

    /// The word in the configuration and in stored rows.
    pub fn word(self) -> &'static str {
        match self {
            Step::Plan => "plan",
            Step::Instruct => "instruct",
            Step::Send => "send",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Step> {
        Step::ALL.into_iter().find(|step| step.word() == word)
    }
}

/// When each step's window opens on a working day, Asia/Shanghai: `[schedule]` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Of [`Step::Plan`].
    pub plan: Time,
    /// Of [`Step::Instruct`].
    pub instruct: Time,
    /// Of [`Step::Send`].
    pub send: Time,
}

impl Times {
    fn of(&self, step: Step) -> Time {
        match step {
            Step::Plan => self.plan,
            Step::Instruct => self.instruct,
            Step::Send => self.send,
        }
    }
}

/// One step on one day. Step and date are its identity; the time may be changed on the day itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What it opens.
    pub step: Step,
    /// Its working day.
    pub date: Date,
    /// When it opens.
    pub time: Time,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute) = (self.time.hour(), self.time.minute());
        write!(f, "{} of {} {hour:02}:{minute:02}", self.step.word(), self.date)
    }
}

/// What became of a window: `due → done | missed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowState {
    /// Opened; its work is not done.
    Due,
    /// Its work is done.
    Done,
    /// No daemon ran until its day was over.
    Missed,
}

impl WindowState {
    /// The word in stored rows.
    pub fn word(self) -> &'static str {
        match self {
            WindowState::Due => "due",
            WindowState::Done => "done",
            WindowState::Missed => "missed",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<WindowState> {
        [WindowState::Due, WindowState::Done, WindowState::Missed].into_iter().find(|state| state.word() == word)
    }
}

/// What the clock asks for now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// To be stored as `due`, worked and stored as `done`, in this order.
    pub due: Vec<Window>,
    /// To be stored as `missed`, each an alarm, in order of date.
    pub missed: Vec<Window>,
    /// The calendar ends before today: an alarm. Windows of days without data do not open.
    pub past_the_data: Option<PastTheData>,
}

/// Judges the windows up to `now` (Asia/Shanghai).
///
/// `stored` are at least every row in state `due` and the newest row of each step. A step without a row starts today:
/// what lies before the first start was missed by nobody.
pub fn judge(calendar: &WorkingDays, times: &Times, now: DateTime, stored: &[(Window, WindowState)]) -> Judged {
    let today = now.date();
    let mut judged = Judged::default();
    for (window, state) in stored {
        if *state == WindowState::Due {
            let list = if window.date < today { &mut judged.missed } else { &mut judged.due };
            list.push(*window);
        }
    }
    for step in Step::ALL {
        let newest = stored.iter().filter(|(window, _)| window.step == step).map(|(window, _)| window.date).max();
        let mut date = newest.map_or(today, next_day);
        while date <= today {
            let window = Window { step, date, time: times.of(step) };
            match calendar.is_working_day(date) {
                Ok(true) if date < today => judged.missed.push(window),
                Ok(true) if window.time <= now.time() => judged.due.push(window),
                Ok(_) => {}
                Err(past) => judged.past_the_data = Some(past),
            }
            date = next_day(date);
        }
    }
    judged.due.sort_by_key(|window| (window.date, window.step));
    judged.missed.sort_by_key(|window| (window.date, window.step));
    judged
}

/// Every window of one date, open the whole day whatever day it is: `run --today`.
pub fn all_open(today: Date, times: &Times) -> [Window; 3] {
    Step::ALL.map(|step| Window { step, date: today, time: times.of(step) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        plan: Time::constant(8, 30, 0, 0),
        instruct: Time::constant(9, 0, 0, 0),
        send: Time::constant(10, 0, 0, 0),
    };

    fn day(month: i8, day: i8) -> Date {
        Date::constant(2018, month, day)
    }

    /// 2018 around its National Day: 29 and 30 September (a weekend) are worked, 1 to 5 October are off.
    fn calendar() -> WorkingDays {
        let mut days = WorkingDays::default();
        let off: Vec<Date> = (1..=5).map(|d| day(10, d)).collect();
        days.add_year(2018, &off, &[day(9, 29), day(9, 30)]);
        days
    }

    fn rows(date: Date, state: WindowState) -> Vec<(Window, WindowState)> {
        all_open(date, &TIMES).into_iter().map(|window| (window, state)).collect()
    }

    /// Judges and writes the answer as `plan 09-28; …`.
    fn check(now: DateTime, stored: &[(Window, WindowState)], due: &str, missed: &str) {
        let judged = judge(&calendar(), &TIMES, now, stored);
        let text = |windows: &[Window]| {
            let each = windows.iter().map(|w| format!("{} {:02}-{:02}", w.step.word(), w.date.month(), w.date.day()));
            each.collect::<Vec<_>>().join("; ")
        };
        assert_eq!((text(&judged.due).as_str(), text(&judged.missed).as_str()), (due, missed), "{now}");
    }

    #[test]
    fn windows_open_one_after_the_other_on_working_days() {
        let yesterday = rows(day(9, 27), WindowState::Done);
        check(day(9, 28).at(8, 29, 59, 0), &yesterday, "", "");
        check(day(9, 28).at(8, 30, 0, 0), &yesterday, "plan 09-28", "");
        check(day(9, 28).at(23, 59, 59, 0), &yesterday, "plan 09-28; instruct 09-28; send 09-28", "");
        check(day(9, 28).at(23, 0, 0, 0), &rows(day(9, 28), WindowState::Done), "", "");
    }

    #[test]
    fn make_up_days_have_windows_and_days_off_have_none() {
        check(day(9, 29).at(9, 0, 0, 0), &rows(day(9, 28), WindowState::Done), "plan 09-29; instruct 09-29", "");
        check(day(10, 3).at(12, 0, 0, 0), &rows(day(9, 30), WindowState::Done), "", "");
        check(day(10, 8).at(8, 45, 0, 0), &rows(day(9, 30), WindowState::Done), "plan 10-08", "");
        check(day(9, 22).at(12, 0, 0, 0), &rows(day(9, 21), WindowState::Done), "", "");
    }

    #[test]
    fn after_three_days_down_the_past_is_missed_and_today_is_caught_up() {
        check(
            day(9, 28).at(9, 30, 0, 0),
            &rows(day(9, 25), WindowState::Done),
            "plan 09-28; instruct 09-28",
            "plan 09-26; instruct 09-26; send 09-26; plan 09-27; instruct 09-27; send 09-27",
        );
    }

    #[test]
    fn a_window_that_was_begun_is_begun_again_today_and_missed_tomorrow() {
        let begun: Vec<_> = rows(day(9, 27), WindowState::Due).into_iter().take(1).collect();
        check(day(9, 27).at(8, 40, 0, 0), &begun, "plan 09-27", "");
        check(day(9, 28).at(8, 0, 0, 0), &begun, "", "plan 09-27");
    }

    #[test]
    fn the_first_start_misses_nothing() {
        check(day(9, 28).at(9, 0, 0, 0), &[], "plan 09-28; instruct 09-28", "");
    }

    #[test]
    fn a_clock_that_went_back_opens_nothing_twice() {
        check(day(9, 27).at(12, 0, 0, 0), &rows(day(9, 28), WindowState::Done), "", "");
    }

    #[test]
    fn a_time_moved_on_the_day_itself_does_not_open_the_window_again() {
        let mut done = rows(day(9, 28), WindowState::Done);
        done[0].0.time = Time::constant(7, 0, 0, 0);
        check(day(9, 28).at(8, 30, 0, 0), &done, "", "");
    }

    #[test]
    fn the_end_of_the_calendar_is_an_alarm_and_no_panic() {
        let now = Date::constant(2019, 1, 2).at(12, 0, 0, 0);
        let judged = judge(&calendar(), &TIMES, now, &rows(day(12, 28), WindowState::Done));
        assert_eq!(judged.past_the_data, Some(PastTheData { year: 2019 }));
        assert_eq!(judged.due, []);
        assert_eq!(judged.missed.first().map(ToString::to_string).as_deref(), Some("plan of 2018-12-31 08:30"));
    }

    #[test]
    fn words_are_read_back() {
        assert!(Step::ALL.into_iter().all(|step| Step::parse(step.word()) == Some(step)));
        for state in [WindowState::Due, WindowState::Done, WindowState::Missed] {
            assert_eq!(WindowState::parse(state.word()), Some(state));
        }
        assert_eq!(all_open(day(10, 1), &TIMES).len(), 3);
    }
}
