//! The daemon as a process: what it does unasked, what it leaves alone, how it ends and begins again.

use crate::bank_files::Request;
use crate::bureau::{Bureau, Daemon, all_paid, names, wait_for};
use daikou::daemon::alarms::Alarms;
use daikou::daemon::bureau::Order;
use daikou::daemon::drops::{Looked, look_at, take_found};
use daikou::daemon::intake::Patience;
use daikou::daemon::receipts::Sender;
use daikou::daemon::working::Working;
use daikou::domain::calendar::Date;
use daikou::store::FileState;
use daikou::store::windows::StoredWindow;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const BANKS: [&str; 3] = ["rural", "postal", "city"];

fn bureau(people: usize) -> Bureau {
    Bureau::new(&std::env::temp_dir(), people)
}

fn drop_tables(bureau: &Bureau) {
    fs::write(bureau.drops("bureau/in/roster.csv"), bureau.roster(&BANKS)).unwrap();
    fs::write(bureau.drops("departments/civil-affairs/500199/in/list.csv"), bureau.list()).unwrap();
}

fn publish(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        fs::write(folder.join(format!("{name}.tmp")), bytes).unwrap();
        fs::rename(folder.join(format!("{name}.tmp")), folder.join(name)).unwrap();
    }
}

fn posted(daemon: &Daemon) -> i64 {
    daemon.figure("daikou_postings{event=\"self-payment\"}")
}

#[test]
fn it_plans_asks_and_posts_by_itself_and_stops_when_told() {
    let bureau = bureau(6);
    let daemon = bureau.start();
    drop_tables(&bureau);
    for bank in BANKS {
        let (_, request) = bureau.request(bank);
        publish(&bureau.drops(&format!("banks/{bank}/in")), &all_paid(&request));
    }
    wait_for("six postings", || posted(&daemon) == 6);
    assert_eq!(daemon.figure("daikou_posted_fen{basis=\"cash\"}"), 6 * 3_000);
    assert_eq!(daemon.figure("daikou_posted_fen{basis=\"deemed\"}"), 6 * 7_000);
    for bank in BANKS {
        assert_eq!(names(&bureau.drops(&format!("banks/{bank}/in"))), Vec::<String>::new());
    }
    let (second, _) = bureau.daikou(&["run"]);
    assert_eq!(second, Some(2), "a second daemon is refused");
    let (status, took) = daemon.stop();
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}\n{}", bureau.log());
    assert_eq!(bureau.daikou(&["audit"]).0, Some(0));
    bureau.assert_log_is_clean();
}

#[test]
fn a_bank_without_a_folder_holds_up_nobody() {
    let bureau = bureau(6);
    fs::remove_dir(bureau.drops("banks/rural/out")).unwrap();
    let daemon = bureau.start();
    drop_tables(&bureau);
    bureau.request("postal");
    bureau.request("city");
    wait_for("an alarm", || daemon.figure("daikou_alarms{class=\"step\"}") == 1);
    fs::create_dir(bureau.drops("banks/rural/out")).unwrap();
    bureau.request("rural");
    wait_for("all are sent", || daemon.figure("daikou_batches{state=\"sent\"}") == 3);
    assert_eq!(daemon.figure("daikou_alarms{class=\"step\"}"), 0);
    assert!(daemon.stop().0.success());
    bureau.assert_log_is_clean();
}

#[test]
fn what_is_not_whole_waits_and_what_is_nobodys_goes_aside() {
    let bureau = bureau(6);
    bureau.set("incomplete_after_s = 600", "incomplete_after_s = 3");
    let daemon = bureau.start();
    drop_tables(&bureau);
    let inbox = |bank: &str| bureau.drops(&format!("banks/{bank}/in"));
    let (_, rural) = bureau.request("rural");
    let (_, postal) = bureau.request("postal");
    let (name, bytes) = all_paid(&rural).remove(0);
    fs::write(inbox("rural").join(&name), &bytes[..bytes.len() / 2]).unwrap();
    let pair = all_paid(&postal);
    publish(&inbox("postal"), &pair[1..]);
    fs::write(inbox("city").join("whatever.txt"), "x").unwrap();
    fs::write(inbox("city").join("unfinished.part"), "x").unwrap();
    fs::create_dir(inbox("city").join("folder")).unwrap();
    wait_for("the strange name is put aside", || names(&inbox("city")).len() == 2);
    assert_eq!((names(&inbox("rural")).len(), names(&inbox("postal")).len()), (1, 1), "they have their time");
    assert_eq!(daemon.figure("daikou_alarms{class=\"file\"}"), 1);
    wait_for("their time is over", || names(&inbox("rural")).len() + names(&inbox("postal")).len() == 0);
    let receipts = |bank: &str| {
        let out = bureau.drops(&format!("bureau/out/receipts/{bank}"));
        let receipt = names(&out).into_iter().find(|name| name.ends_with(".json")).unwrap();
        fs::read_to_string(out.join(receipt)).unwrap()
    };
    for bank in ["rural", "postal"] {
        assert!(receipts(bank).contains("\"incomplete\""), "{}", receipts(bank));
    }
    // The whole file after all: nothing stands in its way.
    publish(&inbox("rural"), &[(name, bytes)]);
    publish(&inbox("postal"), &pair);
    wait_for("four postings", || posted(&daemon) == 4);
    assert!(daemon.stop().0.success());
}

/// The rest may be on its way: the bank's line has just come up again.
#[test]
fn half_of_a_pair_that_lay_there_while_nobody_looked_has_its_time() {
    let bureau = bureau(6);
    bureau.set("incomplete_after_s = 600", "incomplete_after_s = 2");
    let daemon = bureau.start();
    drop_tables(&bureau);
    let (_, postal) = bureau.request("postal");
    assert!(daemon.stop().0.success());
    let (inbox, pair) = (bureau.drops("banks/postal/in"), all_paid(&postal));
    publish(&inbox, &pair[..1]);
    std::thread::sleep(Duration::from_millis(2_500));
    let daemon = bureau.start();
    std::thread::sleep(Duration::from_millis(500));
    publish(&inbox, &pair[1..]);
    wait_for("two postings", || posted(&daemon) == 2);
    assert!(daemon.stop().0.success());
}

#[test]
fn a_kill_at_any_moment_posts_everything_exactly_once() {
    let bureau = bureau(300);
    let mut daemon = bureau.start();
    drop_tables(&bureau);
    for (place, bank) in BANKS.into_iter().enumerate() {
        let (_, request) = bureau.request(bank);
        publish(&bureau.drops(&format!("banks/{bank}/in")), &all_paid(&request));
        for turn in 0..4 {
            std::thread::sleep(Duration::from_millis(7 * (4 * place as u64 + turn)));
            daemon.kill();
            daemon = bureau.start();
        }
    }
    wait_for("three hundred postings", || posted(&daemon) == 300);
    assert_eq!(daemon.figure("daikou_posted_fen{basis=\"cash\"}"), 300 * 3_000);
    assert_eq!(daemon.figure("daikou_instructions{state=\"settled\"}"), 300);
    assert!(daemon.stop().0.success());
    let (audit, words) = bureau.daikou(&["audit"]);
    assert_eq!(audit, Some(0), "{words}");
    let spool = names(&bureau.home().join("state/spool"));
    assert!(spool.iter().all(|name| name.ends_with(".part")), "every copy was put away: {spool:?}");
}

/// The clock is an argument: three days of windows in a moment.
/// What a roster says of the first person's account.
fn accounts(bureau: &Bureau) -> String {
    bureau.daikou(&["export", "participants"]).1
}

#[test]
fn of_two_rosters_the_later_one_holds_whatever_their_names() {
    let bureau = bureau(2);
    let old = bureau.roster(&BANKS);
    let new = old.replacen("9999", "99991", 1);
    fs::write(bureau.drops("bureau/in/roster-9.csv"), &old).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    fs::write(bureau.drops("bureau/in/roster-10.csv"), &new).unwrap();
    let daemon = bureau.start();
    wait_for("both are taken", || names(&bureau.drops("bureau/in")).is_empty());
    assert!(daemon.stop().0.success());
    let shown = accounts(&bureau);
    assert!(shown.contains("99991"), "{shown}");
}

/// A file that took effect and could not be removed is known when it is seen again, also once another came after it.
#[test]
fn what_could_not_be_removed_does_not_come_again() {
    let bureau = bureau(2);
    let old = bureau.roster(&BANKS);
    let new = old.replacen("9999", "99991", 1);
    let order = Order { at: Date::constant(2018, 6, 25).at(9, 0, 0, 0), actor: "system".to_owned() };
    let config = daikou::config::load(&bureau.home().join("daikou.toml")).unwrap();
    let mut opened = daikou::daemon::bureau::Bureau::open(config).unwrap();
    let mut take = |name: &str| {
        let inbox = bureau.drops("bureau/in");
        let found = look_at(&opened, &inbox, name.as_ref(), &Sender::Bureau).unwrap();
        match take_found(&mut opened, &found, Sender::Bureau, None, Patience::Left, &order).unwrap() {
            Looked::Taken(receipt) => receipt.state,
            other => panic!("{name}: {other:?}"),
        }
    };
    fs::write(bureau.drops("bureau/in/old.csv"), &old).unwrap();
    fs::write(bureau.drops("bureau/in/new.csv"), &new).unwrap();
    assert_eq!([take("old.csv"), take("new.csv")], [FileState::Processed; 2]);
    assert_eq!([take("old.csv"), take("new.csv")], [FileState::Duplicate; 2]);
    assert!(accounts(&bureau).contains("99991"), "the newer one holds");
    // Sent again it is a version of its own, also under its old name.
    fs::remove_file(bureau.drops("bureau/in/old.csv")).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    fs::write(bureau.drops("bureau/in/old.csv"), &old).unwrap();
    assert_eq!(take("old.csv"), FileState::Processed);
    assert!(!accounts(&bureau).contains("99991"), "the one that was sent again holds");
}

#[test]
fn windows_open_once_and_what_nobody_opened_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("bureau");
    daikou::cli::init::set_up(&home, true).unwrap();
    let config = daikou::config::load(&home.join("daikou.toml")).unwrap();
    let mut bureau = daikou::daemon::bureau::Bureau::open(config).unwrap();
    let (mut working, mut alarms) = (Working::default(), Alarms::default());
    let mut stored_at = |month: i8, day: i8, hour: i8, minute: i8| {
        let at = Date::constant(2018, month, day).at(hour, minute, 0, 0);
        let order = Order { at, actor: "system".to_owned() };
        working.open_windows(&mut bureau, &order, &mut alarms).unwrap();
        let rows = bureau.store.windows().unwrap();
        let text = |row: StoredWindow| format!("{} {} {}", row.day.day(), row.step, row.state);
        (rows.into_iter().map(text).collect::<Vec<_>>().join(", "), bureau.store.windows_missed().unwrap())
    };
    let seen = |text: &str, missed| (text.to_owned(), missed);
    assert_eq!(stored_at(7, 5, 8, 0), seen("", 0));
    assert_eq!(stored_at(7, 5, 8, 45), seen("5 plan done", 0));
    let day_done = seen("5 instruct done, 5 plan done, 5 send done", 0);
    assert_eq!(stored_at(7, 5, 15, 0), day_done);
    assert_eq!(stored_at(7, 5, 16, 0), day_done, "a window opens once");
    // A Friday without a daemon, a weekend, and Monday morning.
    assert_eq!(stored_at(7, 9, 8, 30), seen("6 instruct missed, 6 send missed, 9 plan done", 3));
}

/// R19: the first planning of a month compares lists and roster, once, where there are lists.
#[test]
fn the_first_planning_of_a_month_compares() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("bureau");
    daikou::cli::init::set_up(&home, true).unwrap();
    let config = daikou::config::load(&home.join("daikou.toml")).unwrap();
    let mut bureau = daikou::daemon::bureau::Bureau::open(config).unwrap();
    let (mut working, mut alarms) = (Working::default(), Alarms::default());
    let mut papers_at = |bureau: &mut daikou::daemon::bureau::Bureau, month: i8, day: i8| {
        let at = Date::constant(2018, month, day).at(8, 45, 0, 0);
        working.open_windows(bureau, &Order { at, actor: "system".to_owned() }, &mut alarms).unwrap();
        names(&home.join("drops/bureau/out")).iter().filter(|name| name.starts_with("compare-2017-")).count()
    };
    assert_eq!(papers_at(&mut bureau, 7, 5), 0, "there is no list yet");
    let list = dir.path().join("list.csv");
    let rows = "身份证号,姓名,区县,认定类别,认定年度\n500199197001010014,测试甲,500199,低保对象,2017\n";
    fs::write(&list, rows).unwrap();
    let mut ingest = std::process::Command::new(env!("CARGO_BIN_EXE_daikou"));
    ingest.arg("--config").arg(home.join("daikou.toml")).args(["--today", "2018-07-05", "ingest", "--from"]);
    assert!(ingest.arg("civil-affairs/500199").arg(&list).output().unwrap().status.success());
    assert_eq!(papers_at(&mut bureau, 7, 6), 1);
    assert_eq!(papers_at(&mut bureau, 7, 9), 1, "once a month");
    assert_eq!(papers_at(&mut bureau, 8, 1), 2);
}

/// Ten return files of 100,000 rows at once: the figure that memory is judged by. `cargo test --release --test it --
/// --ignored --nocapture ten_large`
#[test]
#[ignore = "a million people take minutes, and a release build to be a figure"]
fn ten_large_returns_at_once_stay_below_256_mib() {
    const FILES: usize = 10;
    const ROWS: usize = 100_000;
    let bureau = bureau(FILES * ROWS);
    bureau.set("max_rows = 50000", "max_rows = 100000");
    let tables = [("bureau/in", bureau.roster(&["rural"])), ("departments/civil-affairs/500199/in", bureau.list())];
    let daemon = bureau.start();
    for (folder, table) in tables {
        let (header, rows) = table.split_once('\n').unwrap();
        let lines: Vec<&str> = rows.lines().collect();
        let parts = if folder == "bureau/in" { FILES } else { 1 };
        for (part, lines) in lines.chunks(lines.len() / parts).enumerate() {
            let text = format!("{header}\n{}\n", lines.join("\n"));
            publish(&bureau.drops(folder), &[(format!("table-{part}.csv"), text.into_bytes())]);
        }
        // A list before its roster names a million people who are not enrolled.
        wait_long("they are taken", || names(&bureau.drops(folder)).is_empty());
    }
    let out = bureau.drops("banks/rural/out");
    wait_long("ten requests", || names(&out).iter().filter(|name| name.ends_with(".REQ")).count() == FILES);
    wait_long("they are sent", || daemon.figure("daikou_batches{state=\"sent\"}") == FILES as i64);
    println!("before the returns: {} KiB at most", peak_kib(&daemon));
    daemon.kill();
    let inbox = bureau.drops("banks/rural/in");
    for name in names(&out).iter().filter(|name| name.ends_with(".REQ")) {
        publish(&inbox, &all_paid(&Request::read(name, &fs::read(out.join(name)).unwrap())));
    }
    let began = Instant::now();
    let daemon = bureau.start();
    wait_long("they are taken", || names(&inbox).is_empty());
    println!("a million rows taken in {:?}", began.elapsed());
    wait_long("a million postings are shown", || posted(&daemon) == (FILES * ROWS) as i64);
    let peak = peak_kib(&daemon);
    println!("shown after the day's plans in {:?}, {peak} KiB at most", began.elapsed());
    assert!(peak < 256 * 1024, "{peak} KiB");
    let began = Instant::now();
    let (audit, words) = bureau.daikou(&["audit"]);
    assert_eq!(audit, Some(0), "{words}");
    println!("audit clean in {:?}\n{words}", began.elapsed());
}

fn wait_long(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(1_800);
    while !is_so() {
        assert!(Instant::now() < until, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The most memory that the daemon ever held.
fn peak_kib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
