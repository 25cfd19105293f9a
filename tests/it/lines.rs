//! A hundred banks with servers of their own, each visited every second: what that costs, and that nothing leaks.

use crate::bureau::{Bureau, wait_for};
use daikou::cli::bank::Style;
use daikou::cli::bank_sim::setup::{BankSetup, Setup};
use daikou::cli::bank_sim::start;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

const BANKS: usize = 99;

#[test]
fn hundred_banks_cost_little_and_leak_nothing() {
    visit_for(Duration::from_secs(60));
}

#[test]
#[ignore = "takes minutes: tests/soak lines"]
fn hundred_banks_for_long() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    visit_for(Duration::from_secs(seconds));
}

/// The banks' servers run in this process, the daemon in its own: only its time and memory are counted.
fn visit_for(time: Duration) {
    let bureau = Bureau::new(&std::env::temp_dir(), 1);
    let home = bureau.beside("banks");
    let login = bureau.beside("login");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&login).status();
    assert!(made.unwrap().success());
    let banks = (1..=BANKS).map(|number| {
        let mut bank = BankSetup::new(&format!("bank{number}"), &home.join(number.to_string()), Style::Rural);
        bank.authorized_keys = login.with_extension("pub");
        bank
    });
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let running = start(&Setup { dir: home.clone(), listen, banks: banks.collect() }).unwrap();
    let mut text = String::new();
    for number in 1..=BANKS {
        writeln!(
            text,
            "[[bank]]\nkey = \"bank{number}\"\nlayout = \"rural-commercial\"\nnumber = {number}\n[bank.header]\n\
             agency = \"500199000001\"\nbank_no = \"999653000014\"\nagreement = \"XY2018-0001\"\nbiz = \"110170\"\n\
             credit_acct = \"9999000000000000001\"\n[bank.sftp]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"bank{number}\"\n\
             key = \"{}\"\nhost_keys = [\"ssh-ed25519 {}\"]\nquiet_s = 0\npoll_s = 1\n",
            running.port,
            login.display(),
            running.fingerprint
        )
        .unwrap();
    }
    bureau.replace_banks(&text);
    let daemon = bureau.start();
    let up =
        || (1..=BANKS).map(|number| daemon.figure(&format!("daikou_line_up{{bank=\"bank{number}\"}}"))).sum::<i64>();
    wait_for("every bank is reached", || up() == BANKS as i64);

    let (began, before) = (Instant::now(), Usage::of(daemon.pid()));
    std::thread::sleep(time);
    let (took, after) = (began.elapsed(), Usage::of(daemon.pid()));
    let share = (after.cpu - before.cpu).as_millis() * 1_000 / took.as_millis();
    println!(
        "{BANKS} banks for {} s: {}.{} % of one core, {} → {} descriptors, {} → {} KiB, {} → {} threads",
        took.as_secs(),
        share / 10,
        share % 10,
        before.descriptors,
        after.descriptors,
        before.memory_kib,
        after.memory_kib,
        before.threads,
        after.threads
    );
    assert_eq!(up(), BANKS as i64, "every bank is still reached\n{}", bureau.log());
    // A debug build is several times slower: the figure is the soak's, in release.
    let limit = if cfg!(debug_assertions) { 1_000 } else { 200 };
    assert!(share < limit, "a fifth of one core");
    assert!(after.descriptors <= before.descriptors + 4, "descriptors leak");
    assert!(after.memory_kib <= before.memory_kib + 16 * 1_024, "memory leaks");
    assert!(after.threads <= before.threads + 2, "threads leak");
    let (status, took) = daemon.stop();
    assert!(status.success() && took < Duration::from_secs(5), "stopped after {took:?}");
}

/// What a process has used.
struct Usage {
    cpu: Duration,
    descriptors: usize,
    memory_kib: usize,
    threads: usize,
}

impl Usage {
    fn of(pid: u32) -> Usage {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // Hundredths of a second, as on every Linux of these machines.
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        let status = read("status");
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Usage {
            cpu: Duration::from_millis(ticks * 10),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            memory_kib: line("VmRSS:"),
            threads: line("Threads:"),
        }
    }
}
