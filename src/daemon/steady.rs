//! Whether the clock runs true: wall time against the time since the start of the machine.
//!
//! Business dates, cutoffs and windows hang on the wall clock. A step of it (somebody set it, a virtual machine slept, a time
//! server was wrong) is seen as a difference between the two clocks from one look to the next; a slow correction is none.

use std::time::{Duration, Instant, SystemTime};

/// A smaller difference is no step: a busy machine may pause between two readings.
const STEP_MS: i64 = 10_000;

/// After so long without a further step the new time has been seen by whoever watches.
const STANDS: Duration = Duration::from_secs(60 * 60);

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub struct Steady {
    last: Option<(SystemTime, Instant)>,
    /// Sum of the steps (milliseconds), and when the newest was seen.
    stepped: Option<(i64, Instant)>,
}

impl Steady {
    /// Compares the two clocks with those of the look before. By how many seconds the wall clock stands off, for as long
    /// as that is worth a look: until it was put back, or for an hour.
    pub fn look(&mut self, wall: SystemTime, running: Instant) -> Option<i64> {
        if let Some((wall_then, running_then)) = self.last.replace((wall, running)) {
            let step = milliseconds(wall_then, wall) - elapsed(running_then, running);
            if step.abs() >= STEP_MS {
                let before = self.stepped.map_or(0, |(sum, _)| sum);
                self.stepped = Some((before + step, running));
            }
        }
        self.stepped = self.stepped.filter(|(sum, at)| sum.abs() >= STEP_MS && running.duration_since(*at) < STANDS);
        self.stepped.map(|(sum, _)| sum / 1_000)
    }
}

fn milliseconds(from: SystemTime, to: SystemTime) -> i64 {
    let whole = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    to.duration_since(from).map_or_else(|back| -whole(back.duration()), whole)
}

fn elapsed(from: Instant, to: Instant) -> i64 {
    i64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    /// Looks at (wall, running) seconds.
    fn looks(readings: &[(u64, u64)]) -> Vec<Option<i64>> {
        let (mut steady, began) = (Steady::default(), Instant::now());
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        readings.iter().map(|(wall, run)| steady.look(at(*wall), began + Duration::from_secs(*run))).collect()
    }

    #[test]
    fn a_clock_that_runs_true_or_is_slewed_never_stepped() {
        assert_eq!(looks(&[(100, 0), (110, 10), (175, 70), (240, 130)]), [None; 4]);
    }

    #[test]
    fn a_step_stands_until_it_is_put_back() {
        let day = DAY as i64;
        assert_eq!(looks(&[(100, 0), (110 + DAY, 10), (120 + DAY, 20), (130, 30)]), [None, Some(day), Some(day), None]);
        assert_eq!(looks(&[(2 * DAY, 0), (10 + DAY, 10), (20 + 2 * DAY, 20)]), [None, Some(-day), None]);
    }

    #[test]
    fn a_step_that_stays_is_old_news_after_an_hour() {
        assert_eq!(looks(&[(100, 0), (200, 10), (3_789, 3_599), (3_801, 3_611)]), [None, Some(90), Some(90), None]);
    }

    #[test]
    fn steps_add_up() {
        assert_eq!(looks(&[(100, 0), (170, 10), (240, 20)]), [None, Some(60), Some(120)]);
    }
}
