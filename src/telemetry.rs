//! What an operator sees from outside: the log, the figures, and whether the process is well.
//!
//! No figure and no log line says who: labels are words of `design.md` or folders of the configuration, and whatever
//! does not look like one is recorded as `other`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is none.
    #[error("log level {text:?}: expected off, error, warn, info, debug or trace, or target=level pairs with commas")]
    Level {
        /// What was asked for.
        text: String,
    },
    /// Set up a second time.
    #[error("the log is set up already")]
    Twice,
}

/// Sends the log to stderr from here on. `level` is a level, or `target=level` pairs: `info,daikou::daemon=debug`.
pub fn log_to_stderr(format: LogFormat, level: &str) -> Result<(), Error> {
    subscriber(format, level, stderr().is_terminal(), stderr)?.try_init().map_err(|_| Error::Twice)
}

/// The log as a value, for any writer; `colour` for text on a terminal only.
pub fn subscriber<W>(
    format: LogFormat,
    level: &str,
    colour: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let registry = tracing_subscriber::registry().with(filter(level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    Ok(match format {
        LogFormat::Text => Box::new(registry.with(lines)),
        LogFormat::Json => Box::new(registry.with(lines.json().flatten_event(true))),
    })
}

fn filter(level: &str) -> Result<Targets, Error> {
    let unreadable = || Error::Level { text: level.to_owned() };
    // `Targets` reads a mistyped level as a target of that name, and the log would be silent.
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    let readable = level.split(',').all(|part| part.contains('=') || is_level(part));
    if readable { level.parse().map_err(|_| unreadable()) } else { Err(unreadable()) }
}

/// Name, labels and meaning of one metric.
#[derive(Clone, Copy, Debug)]
pub struct Name<const N: usize> {
    /// As scraped; counters get `_total` after it.
    pub name: &'static str,
    /// The labels, in order.
    pub labels: [&'static str; N],
    /// What the figure says, with its unit.
    pub help: &'static str,
}

macro_rules! names {
    ($($constant:ident [$count:literal] = $name:literal $labels:tt $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Name<$count> = Name { name: $name, labels: $labels, help: $help };)*
        /// Every name that can be scraped, in order.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

names! {
    FILES [2] = "daikou_files" ["kind", "state"]
        "Drop files by kind and state";
    ROWS [2] = "daikou_rows" ["kind", "verdict"]
        "Rows of drop files by kind, accepted or refused";
    POSTINGS [1] = "daikou_postings" ["event"]
        "Postings by event";
    POSTED_FEN [1] = "daikou_posted_fen" ["basis"]
        "Money posted by basis, in fen, contra entries taken off";
    INSTRUCTIONS [1] = "daikou_instructions" ["state"]
        "Instructions by state";
    OPEN_EXCEPTIONS [1] = "daikou_open_exceptions" ["class"]
        "Open exceptions by class";
    BATCHES [1] = "daikou_batches" ["state"]
        "Batches by state";
    OPEN_DIFFERENCES [1] = "daikou_open_differences" ["class"]
        "Open differences between instructions, returns, statement and ledger by class";
    SETTLEMENTS [1] = "daikou_settlements" ["state"]
        "Settlements with payers by state";
    EX_POST [1] = "daikou_ex_post_subsidies" ["state"]
        "Ex-post subsidies by state";
    RECEIVABLE_FEN [1] = "daikou_receivable_fen" ["payer"]
        "Deemed received and not yet transferred, by payer, in fen";
    SUSPENSE_FEN [0] = "daikou_suspense_fen" []
        "Money in suspense, in fen";
    FEED_FILES [1] = "daikou_feed_files" ["state"]
        "Files of postings for the business system: unpublished, unacknowledged, acknowledged";
    OLDEST_UNANSWERED [0] = "daikou_oldest_unanswered_batch_workdays" []
        "Working days since the oldest batch without an answer was sent";
    LAST_SCAN [1] = "daikou_last_scan_timestamp_seconds" ["folder"]
        "When a folder was last listed, in seconds since 1970";
    WINDOWS_MISSED [0] = "daikou_windows_missed" []
        "Scheduled windows that passed while no daemon ran";
    DISK_FREE [0] = "daikou_disk_free_bytes" []
        "Bytes free where the state lies";
    WAL [0] = "daikou_wal_bytes" []
        "Bytes of the store's write-ahead log";
    LINE_UP [1] = "daikou_line_up" ["bank"]
        "1 where the last visit to a bank's own server went well";
    LINE_CONTACT [1] = "daikou_line_last_contact_timestamp_seconds" ["bank"]
        "When a bank's own server last answered, in seconds since 1970";
    ALARMS [1] = "daikou_alarms" ["class"]
        "Standing alarms by class";
    LOOP_MILLISECONDS [0] = "daikou_loop_milliseconds" []
        "How long the last round of the main loop took, in milliseconds";
    LOOPS [0] = "daikou_loops" []
        "Rounds of the main loop since the start";
}

/// Every figure that can be scraped.
///
/// Commands write through the same store as the daemon, so what the store knows is set from it as a gauge after each
/// round, not counted here: a count of this process alone would be wrong.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// See [`FILES`].
    pub files: Figures<2>,
    /// See [`ROWS`].
    pub rows: Figures<2>,
    /// See [`POSTINGS`].
    pub postings: Figures<1>,
    /// See [`POSTED_FEN`].
    pub posted_fen: Figures<1>,
    /// See [`INSTRUCTIONS`].
    pub instructions: Figures<1>,
    /// See [`OPEN_EXCEPTIONS`].
    pub open_exceptions: Figures<1>,
    /// See [`BATCHES`].
    pub batches: Figures<1>,
    /// See [`OPEN_DIFFERENCES`].
    pub open_differences: Figures<1>,
    /// See [`SETTLEMENTS`].
    pub settlements: Figures<1>,
    /// See [`EX_POST`].
    pub ex_post: Figures<1>,
    /// See [`RECEIVABLE_FEN`].
    pub receivable_fen: Figures<1>,
    /// See [`SUSPENSE_FEN`].
    pub suspense_fen: Figures<0>,
    /// See [`FEED_FILES`].
    pub feed_files: Figures<1>,
    /// See [`OLDEST_UNANSWERED`].
    pub oldest_unanswered: Figures<0>,
    /// See [`LAST_SCAN`].
    pub last_scan: Figures<1>,
    /// See [`WINDOWS_MISSED`].
    pub windows_missed: Figures<0>,
    /// See [`DISK_FREE`].
    pub disk_free: Figures<0>,
    /// See [`WAL`].
    pub wal: Figures<0>,
    /// See [`LINE_UP`].
    pub line_up: Figures<1>,
    /// See [`LINE_CONTACT`].
    pub line_contact: Figures<1>,
    /// See [`ALARMS`].
    pub alarms: Figures<1>,
    loop_milliseconds: Figures<0>,
    loops: Counter,
}

impl Metrics {
    /// All figures, none with a value yet.
    pub fn new() -> Metrics {
        let mut registry = Registry::default();
        let loops = Counter::default();
        registry.register(LOOPS.name, LOOPS.help, loops.clone());
        Metrics {
            files: Figures::register(&mut registry, FILES),
            rows: Figures::register(&mut registry, ROWS),
            postings: Figures::register(&mut registry, POSTINGS),
            posted_fen: Figures::register(&mut registry, POSTED_FEN),
            instructions: Figures::register(&mut registry, INSTRUCTIONS),
            open_exceptions: Figures::register(&mut registry, OPEN_EXCEPTIONS),
            batches: Figures::register(&mut registry, BATCHES),
            open_differences: Figures::register(&mut registry, OPEN_DIFFERENCES),
            settlements: Figures::register(&mut registry, SETTLEMENTS),
            ex_post: Figures::register(&mut registry, EX_POST),
            receivable_fen: Figures::register(&mut registry, RECEIVABLE_FEN),
            suspense_fen: Figures::register(&mut registry, SUSPENSE_FEN),
            feed_files: Figures::register(&mut registry, FEED_FILES),
            oldest_unanswered: Figures::register(&mut registry, OLDEST_UNANSWERED),
            last_scan: Figures::register(&mut registry, LAST_SCAN),
            windows_missed: Figures::register(&mut registry, WINDOWS_MISSED),
            disk_free: Figures::register(&mut registry, DISK_FREE),
            wal: Figures::register(&mut registry, WAL),
            line_up: Figures::register(&mut registry, LINE_UP),
            line_contact: Figures::register(&mut registry, LINE_CONTACT),
            alarms: Figures::register(&mut registry, ALARMS),
            loop_milliseconds: Figures::register(&mut registry, LOOP_MILLISECONDS),
            loops,
            registry,
        }
    }

    /// One round of the main loop is over.
    pub fn round(&self, took: Duration) {
        self.loops.inc();
        self.loop_milliseconds.set([], i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    }

    /// The figures in the text format that scrapers read.
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes any text");
        text
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

/// One metric: a whole number for each combination of label values.
#[derive(Debug)]
pub struct Figures<const N: usize> {
    labels: [&'static str; N],
    family: Family<[(&'static str, String); N], Gauge>,
    known: Mutex<BTreeSet<[String; N]>>,
}

impl<const N: usize> Figures<N> {
    fn register(registry: &mut Registry, name: Name<N>) -> Figures<N> {
        let family = Family::default();
        registry.register(name.name, name.help, family.clone());
        Figures { labels: name.labels, family, known: Mutex::default() }
    }

    /// Sets one figure; the others stay.
    pub fn set(&self, values: [&str; N], figure: i64) {
        let values = values.map(|value| word(value).into_owned());
        self.family.get_or_create(&self.key(&values)).set(figure);
        self.known.lock().expect("no holder panics").insert(values);
    }

    /// Sets all figures at once: a combination that is not among `figures` any more falls to zero.
    pub fn replace<'v>(&self, figures: impl IntoIterator<Item = ([&'v str; N], i64)>) {
        let mut absent = self.known.lock().expect("no holder panics").clone();
        for (values, figure) in figures {
            absent.remove(&values.map(|value| word(value).into_owned()));
            self.set(values, figure);
        }
        for values in &absent {
            self.family.get_or_create(&self.key(values)).set(0);
        }
    }

    fn key(&self, values: &[String; N]) -> [(&'static str, String); N] {
        std::array::from_fn(|i| (self.labels[i], values[i].clone()))
    }
}

/// A label value that cannot be a person, an account or a file: lower-case words, with at most six digits in a row
/// (a district code). All else becomes `other`.
fn word(value: &str) -> Cow<'_, str> {
    let plain = value.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'/' | b'_'));
    let short = value.split(|c: char| !c.is_ascii_digit()).all(|digits| digits.len() <= 6);
    if plain && short && (1..=80).contains(&value.len()) { value.into() } else { "other".into() }
}

/// Whether the process is well: written by the main loop, read by `/healthz` and before each sign of life to systemd.
#[derive(Debug, Default)]
pub struct Health {
    last_round: Mutex<Phase>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    #[default]
    Starting,
    Running(Instant),
    Stopping,
}

impl Health {
    /// The first scan is done, or another round of the main loop.
    pub fn alive(&self, now: Instant) {
        *self.last_round.lock().expect("no holder panics") = Phase::Running(now);
    }

    /// No more work is taken.
    pub fn stopping(&self) {
        *self.last_round.lock().expect("no holder panics") = Phase::Stopping;
    }

    /// `Err` says what is wrong: not ready, stopping, or no round for longer than `patience`.
    pub fn verdict(&self, now: Instant, patience: Duration) -> Result<(), String> {
        match *self.last_round.lock().expect("no holder panics") {
            Phase::Starting => Err("starting: the first scan is not done yet".into()),
            Phase::Stopping => Err("stopping".into()),
            Phase::Running(last) => {
                let silent = now.saturating_duration_since(last);
                if silent <= patience {
                    return Ok(());
                }
                let (found, expected) = (silent.as_secs(), patience.as_secs());
                Err(format!("stuck: expected a round of the main loop every {expected} s, found none for {found} s"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_name_is_scraped_once_it_has_a_figure() {
        let metrics = Metrics::new();
        for figures in [&metrics.files, &metrics.rows] {
            figures.set(["return", "processed"], 3);
        }
        for figures in [&metrics.postings, &metrics.posted_fen, &metrics.instructions, &metrics.open_exceptions] {
            figures.set(["deemed"], 7);
        }
        metrics.open_differences.set(["ours-only"], 2);
        for figures in [&metrics.settlements, &metrics.ex_post, &metrics.receivable_fen, &metrics.feed_files] {
            figures.set(["sent"], 3);
        }
        metrics.suspense_fen.set([], 8);
        for figures in [&metrics.batches, &metrics.alarms, &metrics.last_scan, &metrics.line_up, &metrics.line_contact]
        {
            figures.set(["departments/civil-affairs/500199/in"], 1_530_000_000);
        }
        for figures in [&metrics.oldest_unanswered, &metrics.windows_missed, &metrics.disk_free, &metrics.wal] {
            figures.set([], 5);
        }
        metrics.round(Duration::from_millis(12));
        let text = metrics.render();
        for name in NAMES {
            assert!(text.contains(&format!("# HELP {name} ")), "{name} is not in {text}");
        }
        assert!(text.contains("daikou_files{kind=\"return\",state=\"processed\"} 3"), "{text}");
        assert!(text.contains("{folder=\"departments/civil-affairs/500199/in\"} 1530000000"), "{text}");
        assert!(text.contains("daikou_loops_total 1\n") && text.contains("daikou_loop_milliseconds{} 12\n"), "{text}");
    }

    #[test]
    fn no_label_says_who() {
        let metrics = Metrics::new();
        for who in ["测试甲", "999900001234", "500199195001010014", "list.csv", "A Name", ""] {
            metrics.alarms.set([who], 1);
        }
        let text = metrics.render();
        assert_eq!(text.matches("daikou_alarms{").count(), 1, "{text}");
        assert!(text.contains("daikou_alarms{class=\"other\"} 1"), "{text}");
    }

    #[test]
    fn what_is_no_more_falls_to_zero() {
        let metrics = Metrics::new();
        metrics.batches.replace([(["drafted"], 2), (["sent"], 1)]);
        metrics.batches.replace([(["sent"], 3)]);
        let text = metrics.render();
        assert!(text.contains("daikou_batches{state=\"drafted\"} 0"), "{text}");
        assert!(text.contains("daikou_batches{state=\"sent\"} 3"), "{text}");
    }

    #[test]
    fn health_wants_a_first_scan_and_then_regular_rounds() {
        let health = Health::default();
        let start = Instant::now();
        let patience = Duration::from_secs(30);
        assert!(health.verdict(start, patience).unwrap_err().starts_with("starting"));
        health.alive(start);
        assert_eq!(health.verdict(start + patience, patience), Ok(()));
        let stuck = health.verdict(start + patience * 2, patience).unwrap_err();
        assert_eq!(stuck, "stuck: expected a round of the main loop every 30 s, found none for 60 s");
        health.stopping();
        assert_eq!(health.verdict(start, patience), Err("stopping".into()));
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_log_is_filtered_by_target_and_can_be_json() {
        let kept = Kept::default();
        let sink = kept.clone();
        let log = subscriber(LogFormat::Json, "warn,daikou=info", false, move || sink.clone()).unwrap();
        tracing::subscriber::with_default(log, || {
            tracing::info!(target: "daikou::daemon", rows = 3, "taken in");
            tracing::info!(target: "elsewhere", "not asked for");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((line["message"].as_str(), line["rows"].as_i64()), (Some("taken in"), Some(3)));
        for level in ["loud", "info,wran", "daikou=loud", ""] {
            let refused = subscriber(LogFormat::Text, level, false, stderr);
            assert!(matches!(refused, Err(Error::Level { .. })), "{level}");
        }
    }
}
