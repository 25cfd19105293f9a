//! A bureau whose people all have an account at one bank, up to the point where that bank answers.

use crate::measure::time;
use daikou::cli::bank::{Asked, Behaviour, SimulatedBank, Style};
use daikou::cli::init;
use daikou::config;
use daikou::daemon::bureau::{Bureau, Order, store_path};
use daikou::daemon::drops::{Looked, look_at, take_from};
use daikou::daemon::instructing::{Round, instruct};
use daikou::daemon::planning::plan;
use daikou::daemon::receipts::Sender;
use daikou::daemon::releasing::{Reach, send};
use daikou::domain::calendar::{Date, DateTime, Time};
use daikou::domain::ids::IdNumber;
use daikou::domain::participant::{BankNumber, Category, DistrictCode, Payer};
use daikou::format::digest::Algorithm;
use daikou::format::layout::Layout;
use daikou::pipeline::lists::Recognised;
use daikou::store::{FileState, ListVersion, Store};
use rusqlite::Connection;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

pub(crate) const BANK: BankNumber = BankNumber(1);
const DRAFTED: Date = Date::constant(2018, 7, 3);
const ANSWERED: Date = Date::constant(2018, 7, 5);

/// A drafted and sent batch with its answer, kept so that every round can begin at the same point.
pub(crate) struct Year {
    pub(crate) dir: PathBuf,
    pub(crate) layout: Layout,
    /// The instruction file as the bank got it.
    pub(crate) request: PathBuf,
    /// What the bank answered, in the order of the batch.
    pub(crate) answer: PathBuf,
}

/// The order of the day on which the bank answers.
pub(crate) fn order() -> Order {
    at(ANSWERED)
}

fn at(day: Date) -> Order {
    Order { at: DateTime::from_parts(day, Time::midnight()), actor: "bench".to_owned() }
}

/// A year up to the day on which its banks answer.
pub(crate) struct Sent {
    pub(crate) layout: Layout,
    /// The instruction files as the bank got them, in order.
    pub(crate) requests: Vec<PathBuf>,
    /// How long intake, plan and draft took.
    pub(crate) times: Vec<(String, Duration)>,
}

impl Sent {
    /// Plays so far, in files of at most `most` rows.
    pub(crate) fn play(dir: &Path, people: u32, most: u32) -> Sent {
        init::set_up(dir, true).expect("a folder of our own");
        let path = dir.join("daikou.toml");
        let text = fs::read_to_string(&path).expect("init wrote it");
        fs::write(&path, text.replace("max_rows = 50000", &format!("max_rows = {most}"))).expect("a folder of our own");
        let mut bureau = open(dir);
        let mut times = Vec::new();
        let parts = (0..people).step_by(MOST_IN_A_ROSTER as usize);
        let intakes = parts.map(|first| {
            let part = dir.join(format!("drops/bureau/in/roster-{first}.csv"));
            fs::write(&part, roster(first..people.min(first + MOST_IN_A_ROSTER))).expect("a folder of our own");
            time(|| take(&mut bureau, &part, Sender::Bureau)).0
        });
        let intake = intakes.sum();
        times.push(("roster intake".to_owned(), intake));
        recognise_half(&mut bureau, people);
        let (planned, report) = time(|| plan(&mut bureau, 2018, &at(DRAFTED), &mut |_| {}).expect("a plan"));
        assert_eq!(report.plans, u64::from(people), "everybody has a plan");
        times.push(("plan".to_owned(), planned));
        let round = Round { fee_year: 2018, bank: None, debit_on: None, without_lists: None, retry: None };
        let (drafted, report) = time(|| instruct(&mut bureau, &round, &at(DRAFTED)).expect("a round"));
        let asked: u64 = report.batches.iter().map(|batch| batch.instructions).sum();
        assert_eq!(asked, u64::from(people), "everybody is asked");
        times.push(("draft, rendered and synced".to_owned(), drafted));
        send(&mut bureau, Reach::Everybody, &at(DRAFTED)).expect("the folder of the bank is there");
        let layout = bureau.layouts[&BANK].clone();
        let out = fs::read_dir(dir.join("drops/banks/rural/out")).expect("a folder");
        let mut requests: Vec<PathBuf> = out.map(|entry| entry.expect("a file").path()).collect();
        requests.sort();
        Sent { layout, requests, times }
    }
}

impl Year {
    /// Plays the year up to the bank's answer; how long intake, plan and draft took.
    pub(crate) fn play(dir: &Path, people: u32) -> (Year, Vec<(String, Duration)>) {
        let Sent { layout, mut requests, times } = Sent::play(dir, people, people);
        let request = requests.remove(0);
        let answer = answer_into(&dir.join("sorted"), &request);
        fs::rename(store_path(&dir.join("state")), dir.join("sent.db")).expect("one folder");
        (Year { dir: dir.to_owned(), layout, request, answer }, times)
    }

    /// The rows of the answer in another order, under the same name.
    pub(crate) fn shuffled(&self) -> PathBuf {
        let folder = self.dir.join("shuffled");
        fs::create_dir(&folder).expect("a new folder");
        let shuffled = folder.join(self.answer.file_name().expect("a name"));
        fs::write(&shuffled, shuffle(&fs::read(&self.answer).expect("the answer"))).expect("a new folder");
        shuffled
    }

    /// The store as it was before the answer came.
    pub(crate) fn rewind(&self) -> PathBuf {
        let store = store_path(&self.dir.join("state"));
        for extra in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{extra}", store.display()));
        }
        fs::copy(self.dir.join("sent.db"), &store).expect("one folder");
        fs::File::open(&store).and_then(|file| file.sync_all()).expect("one folder");
        store
    }
}

/// The bureau of a folder.
pub(crate) fn open(dir: &Path) -> Bureau {
    Bureau::open(config::load(&dir.join("daikou.toml")).expect("init wrote it")).expect("a store")
}

/// Takes a file as the daemon does once it is whole: until what it leads to is durable.
pub(crate) fn take(bureau: &mut Bureau, file: &Path, sender: Sender) {
    let (folder, name) = (file.parent().expect("a folder"), file.file_name().expect("a name"));
    let found = look_at(bureau, folder, name, &sender).expect("a file");
    match take_from(bureau, found, sender, None, &order()).expect("it is taken") {
        Looked::Taken(receipt) => assert_eq!(receipt.state, FileState::Processed, "{:?}", receipt.findings.first()),
        other => panic!("{}: {other:?}", file.display()),
    }
}

/// Takes the answer of a batch whose store was rewound; how long until its last row was durable and seen from outside.
/// What comes after, the archive and the receipt, is not waited for by anybody's money.
pub(crate) fn take_answer(year: &Year) -> Duration {
    let path = year.rewind();
    let mut bureau = open(&year.dir);
    // A look costs something too: seldom enough not to take part, often enough for a figure of seconds.
    let durable = watched(&path, 1, Duration::from_millis(5), || {
        take(&mut bureau, &year.answer, Sender::Bank(BANK, "rural".to_owned()));
    });
    // The next round archives the same bytes at the same place.
    let _ = fs::remove_dir_all(year.dir.join("state/archive/2018/07"));
    durable
}

/// How long until this many batches are complete, seen by another connection that looks so often. As long as the engine's
/// log lies still it looks at nothing else: to ask the engine costs locks that the other side waits for.
pub(crate) fn watched(store: &Path, batches: i64, every: Duration, work: impl FnOnce()) -> Duration {
    let watcher = Connection::open(store).expect("a store");
    assert!(!is_complete(&watcher, batches), "nothing is to be watched");
    let log = store.with_extension("db-wal");
    let still = stamp(&log);
    std::thread::scope(|scope| {
        let start = Instant::now();
        let watching = scope.spawn(move || {
            while stamp(&log) == still || !is_complete(&watcher, batches) {
                std::thread::sleep(every);
            }
            start.elapsed()
        });
        work();
        watching.join().expect("the batch is complete")
    })
}

/// What changes with each byte that is written into a file.
fn stamp(file: &Path) -> (u64, SystemTime) {
    let metadata = fs::metadata(file).expect("the log of a store that is open");
    (metadata.len(), metadata.modified().expect("a file system that knows times"))
}

fn is_complete(watcher: &Connection, batches: i64) -> bool {
    look(watcher, "SELECT count(*) FROM batch WHERE state = 7") == batches
}

fn look(watcher: &Connection, sql: &str) -> i64 {
    let looked = watcher.prepare_cached(sql).and_then(|mut look| look.query_row([], |row| row.get(0)));
    looked.expect("a store")
}

/// Area 500199, born from 1965 on, orders 1 to 998.
fn id(number: u32) -> IdNumber {
    let (order, day) = (i64::from(number % 998) + 1, i64::from(number / 998));
    let date = (1965 + day / 336) * 10_000 + (day / 28 % 12 + 1) * 100 + day % 28 + 1;
    IdNumber::from_key(50_019_900_000_000_000 + date * 1_000 + order)
}

fn name(number: u32) -> String {
    let last: Vec<char> = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉".chars().collect();
    format!("测试{}{}", last[number as usize % 20], if number.is_multiple_of(5) { "" } else { "明" })
}

/// People in one file: a roster of a million is as long as one gets.
const MOST_IN_A_ROSTER: u32 = 1_000_000;

fn roster(people: Range<u32>) -> String {
    let mut text = String::from("身份证号,姓名,区县,缴费档次,开户银行,银行账号,村社区\n");
    for number in people {
        let _ = writeln!(text, "{},{},测试区,100,农村商业银行,9999{number:015},一村", id(number).text(), name(number));
    }
    text
}

/// Every second person is entitled, so that every second posting has a deemed entry.
fn recognise_half(bureau: &mut Bureau, people: u32) {
    let district = DistrictCode::parse("500199").expect("a code");
    let scope = ListVersion { payer: Payer::CivilAffairs, district, year: 2017, as_of: None };
    let on = Date::constant(2018, 6, 28);
    let act = at(on).act("ingest", "list", [0; 32]);
    let listed = bureau.store.transact(&act, |txn| {
        txn.accept_list(1, &scope, on, false)?;
        for number in (0..people).step_by(2) {
            let row = Recognised { id: id(number), category: Category::SubsistenceAllowance, name: name(number) };
            txn.recognise(&scope, &row, 1, number, on)?;
        }
        Ok(())
    });
    listed.expect("a list");
}

/// The bank's answer to a request, in a new folder: one account in 33 has not enough money.
pub(crate) fn answer_into(folder: &Path, request: &Path) -> PathBuf {
    let behaviour = |asked: &Asked<'_>| {
        let number: u64 = asked.account.trim_start_matches("9999").parse().unwrap_or(0);
        if number.is_multiple_of(33) { Behaviour::InsufficientFunds } else { Behaviour::Pays }
    };
    let mut bank = SimulatedBank::new(Style::Rural, behaviour);
    let name = request.file_name().and_then(OsStr::to_str).expect("a name");
    let bytes = fs::read(request).expect("the request");
    let mut files = bank.answer(name, &bytes, None, ANSWERED, ANSWERED).expect("a sound request");
    let file = files.remove(0);
    fs::create_dir_all(folder).expect("a folder of our own");
    fs::write(folder.join(&file.name), &file.bytes).expect("a folder of our own");
    folder.join(&file.name)
}

/// Stride of a record of layout A.
const STRIDE: usize = 302;

fn shuffle(bytes: &[u8]) -> Vec<u8> {
    let rows = bytes.len() / STRIDE - 2;
    let record = |place: usize| &bytes[place * STRIDE..(place + 1) * STRIDE];
    let mut order: Vec<usize> = (1..=rows).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for place in (1..rows).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(place, (state >> 33) as usize % (place + 1));
    }
    let mut out = record(0).to_vec();
    for (place, row) in (1..).zip(&order) {
        let start = out.len();
        out.extend_from_slice(record(*row));
        out[start + 1..start + 9].copy_from_slice(format!("{place:08}").as_bytes());
    }
    let digest = Algorithm::Sm3.of(&out);
    out.extend_from_slice(record(rows + 1));
    let trailer = out.len() - STRIDE;
    out[trailer + 40..trailer + 104].copy_from_slice(digest.as_bytes());
    out
}

/// The store of a bureau, opened alone.
pub(crate) fn store(path: &Path) -> Store {
    Store::open(path).expect("a store")
}
