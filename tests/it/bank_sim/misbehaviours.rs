//! Each misbehaviour, as a client sees it. `docs/bank-sim.md` says the same in words.

use super::{Client, RURAL, RURAL_ANSWER, Sim, TIRED, sample};
use daikou::cli::bank::Style;
use ssh2::ErrorCode;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const CITY: &str = "CSH_500199000001_20180705C0000001_Q.DAT";
const R01: &str = "CSH_500199000001_20180705C0000001_R01.DAT";
const R02: &str = "CSH_500199000001_20180705C0000001_R02.DAT";

const TIMED_OUT: ErrorCode = ErrorCode::Session(-9);
const FAILURE: ErrorCode = ErrorCode::SFTP(4);
const DENIED: ErrorCode = ErrorCode::SFTP(3);
const UNSUPPORTED: ErrorCode = ErrorCode::SFTP(8);

/// A rural bank that misbehaves from the start.
fn that(misbehaves: &str) -> Sim {
    let sim = Sim::open(Style::Rural, |bank| bank.misbehave = vec![misbehaves.parse().unwrap()]);
    assert!(sim.running.port > 0);
    sim
}

fn code<T>(result: Result<T, ssh2::Error>) -> ErrorCode {
    result.err().expect("a failure").code()
}

/// What a failed write meant to SFTP: the standard library only hands the words on.
fn is_lost(error: &std::io::Error) -> bool {
    !error.to_string().contains("failure")
}

fn stat(client: &Client, path: &str) -> Result<ssh2::FileStat, ssh2::Error> {
    client.sftp.stat(Path::new(path))
}

fn read(client: &Client, path: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    client.sftp.open(Path::new(path)).map_err(std::io::Error::from)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn drop_after_cuts_an_upload_at_the_byte() {
    let sim = that("once:drop-after=100000");
    let client = sim.client();
    assert!(is_lost(&client.put("upload/x.tmp", &[7; 300_000]).unwrap_err()));
    assert_eq!(fs::metadata(sim.root.join("upload/x.tmp")).unwrap().len(), 100_000);
    assert!(stat(&client, "upload").is_err(), "the connection is dead");
    let next = sim.client();
    next.put("upload/x.tmp", &[7; 300_000]).unwrap();
    assert_eq!(stat(&next, "upload/x.tmp").unwrap().size, Some(300_000));
}

#[test]
fn drop_download_after_cuts_a_download() {
    let sim = that("drop-download-after=1000");
    fs::write(sim.root.join("download/x"), [7; 5_000]).unwrap();
    let client = sim.client();
    let mut file = client.sftp.open(Path::new("download/x")).unwrap();
    let (mut bytes, mut page) = (0, [0; 512]);
    let error = loop {
        match file.read(&mut page) {
            Ok(count) => bytes += count,
            Err(error) => break error,
        }
    };
    assert!(is_lost(&error) && bytes <= 1_000, "{bytes}: {error}");
    // Closing the file would wait for an answer.
    drop(client.socket.shutdown(std::net::Shutdown::Both));
}

#[test]
fn stall_never_answers_and_can_come_while_it_runs() {
    let sim = Sim::open(Style::Rural, |_| {});
    let client = sim.client();
    assert!(stat(&client, "upload").is_ok());
    let client = client.tired();
    sim.says("stall");
    assert_eq!(code(stat(&client, "upload")), TIMED_OUT);
    let again = Client::connect_within(TIRED, sim.running.port, "teller");
    assert_eq!(again.err().unwrap().code(), TIMED_OUT);
    sim.says("");
    assert!(stat(&sim.client(), "upload").is_ok());
}

#[test]
fn stall_handshake_says_nothing_at_all() {
    let sim = that("once:stall-handshake");
    assert!(Client::connect_within(TIRED, sim.running.port, "teller").is_err());
    sim.client();
}

#[test]
fn slow_is_slow_both_ways() {
    let sim = that("slow=200000");
    let client = sim.client();
    let began = Instant::now();
    client.put("upload/x.tmp", &[7; 60_000]).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    sim.says("slow=100000000");
    let began = Instant::now();
    assert_eq!(read(&client, "upload/x.tmp").unwrap().len(), 60_000);
    assert!(began.elapsed() < Duration::from_secs(3), "what the file says holds before what was said at the start");
}

#[test]
fn no_space_fails_a_write_and_leaves_a_part() {
    let sim = that("no-space=40000");
    let client = sim.client();
    assert!(!is_lost(&client.put("upload/x.tmp", &[7; 100_000]).unwrap_err()));
    assert_eq!(fs::metadata(sim.root.join("upload/x.tmp")).unwrap().len(), 40_000);
    client.put("upload/y.tmp", &[7; 40_000]).unwrap();
    sim.says("no-space");
    assert!(client.put("upload/z.tmp", b"1").is_err());
}

#[test]
fn rename_refused_changes_nothing() {
    let sim = that("once:rename-refused");
    let client = sim.client();
    assert_eq!(code(client.deliver(RURAL, &sample(RURAL))), FAILURE);
    assert_eq!(client.names("upload"), [format!("{RURAL}.tmp")]);
    assert_eq!(sim.text("received.log"), "");
}

#[test]
fn rename_lost_has_happened() {
    let sim = that("once:rename-lost");
    let client = sim.client();
    assert_ne!(code(client.deliver(RURAL, &sample(RURAL))), FAILURE);
    assert!(stat(&client, "upload").is_err(), "the connection is dead");
    let next = sim.client();
    assert_eq!(next.names("upload"), [RURAL]);
    assert_eq!(next.answers(1), [RURAL_ANSWER]);
}

#[test]
fn rename_unanswered_has_happened() {
    let sim = that("once:rename-unanswered");
    let client = sim.client().tired();
    assert_eq!(code(client.deliver(RURAL, &sample(RURAL))), TIMED_OUT);
    assert_eq!(sim.client().answers(1), [RURAL_ANSWER]);
}

#[test]
fn sizes_are_wrong_or_giant() {
    let sim = that("wrong-size");
    let client = sim.client();
    client.put("upload/x.tmp", b"12345").unwrap();
    fs::write(sim.root.join("download/x"), "12345").unwrap();
    assert_eq!(stat(&client, "upload/x.tmp").unwrap().size, Some(6));
    let mut file = client.sftp.open(Path::new("upload/x.tmp")).unwrap();
    assert_eq!(file.stat().unwrap().size, Some(6));
    assert_eq!(client.sftp.readdir(Path::new("upload")).unwrap()[0].1.size, Some(6));
    let sim = that("giant-size");
    let client = sim.client();
    fs::write(sim.root.join("download/x"), "12345").unwrap();
    assert_eq!(stat(&client, "download/x").unwrap().size, Some(1 << 40));
    assert_eq!(client.sftp.readdir(Path::new("download")).unwrap()[0].1.size, Some(1 << 40));
    assert_eq!(read(&client, "download/x").unwrap(), b"12345");
}

#[test]
fn sweep_takes_the_file_before_the_reply() {
    let sim = that("sweep");
    let client = sim.client();
    client.deliver(RURAL, &sample(RURAL)).unwrap();
    assert_eq!(code(stat(&client, &format!("upload/{RURAL}"))), ErrorCode::SFTP(2));
    assert_eq!(fs::read(sim.root.join("taken").join(RURAL)).unwrap(), sample(RURAL));
    assert_eq!(client.answers(1), [RURAL_ANSWER]);
    client.deliver(RURAL, &sample(RURAL)).unwrap();
    assert!(sim.root.join("taken").join(format!("{RURAL}.2")).exists());
}

#[test]
fn write_only_shows_nothing() {
    let sim = that("write-only");
    let client = sim.client();
    client.deliver(RURAL, &sample(RURAL)).unwrap();
    let place = format!("upload/{RURAL}");
    assert_eq!(code(stat(&client, &place)), DENIED);
    assert_eq!(code(client.sftp.lstat(Path::new(&place))), DENIED);
    assert_eq!(code(client.sftp.readdir(Path::new("download"))), DENIED);
    assert!(read(&client, &place).is_err());
}

#[test]
fn what_a_server_may_not_know() {
    let sim = that("no-stat");
    let client = sim.client();
    client.put("upload/x.tmp", b"1").unwrap();
    assert_eq!(code(stat(&client, "upload/x.tmp")), UNSUPPORTED);
    assert_eq!(client.names("upload"), ["x.tmp"]);
    let sync = |sim: &Sim| {
        let client = sim.client();
        let mut file = client.sftp.create(Path::new("upload/y.tmp")).unwrap();
        file.write_all(b"1").unwrap();
        file.fsync()
    };
    assert!(sync(&sim).is_ok());
    sim.says("no-fsync");
    assert_eq!(code(sync(&sim)), UNSUPPORTED);
}

#[test]
fn who_is_there() {
    let sim = that("once:host-key-changed");
    let shown = |client: &Client| client.session.host_key_hash(ssh2::HashType::Sha256).map(<[u8]>::to_vec);
    let (first, second, third) = (sim.client(), sim.client(), sim.client());
    assert_ne!(shown(&first), shown(&second));
    assert_eq!(shown(&second), shown(&third));
    sim.says("auth-fails");
    let refused = Client::connect(sim.running.port, "teller").err().unwrap();
    assert_eq!(refused.code(), ErrorCode::Session(-18));
}

#[test]
fn duplicate_answers_come_over_themselves_and_once_more() {
    let sim = that("once:duplicate-answers");
    let client = sim.client();
    client.deliver(RURAL, &sample(RURAL)).unwrap();
    let place = format!("download/{RURAL_ANSWER}");
    sim.wait_until("the answer", || sim.root.join(&place).exists());
    let first = fs::metadata(sim.root.join(&place)).unwrap();
    let bytes = read(&client, &place).unwrap();
    assert_eq!(client.names("download"), [RURAL_ANSWER]);
    assert_eq!(client.names("download"), [RURAL_ANSWER]);
    let second = fs::metadata(sim.root.join(&place)).unwrap();
    assert_ne!(first.modified().unwrap(), second.modified().unwrap(), "it was written again");
    client.sftp.unlink(Path::new(&place)).unwrap();
    assert_eq!(client.names("download"), [RURAL_ANSWER], "and once more");
    assert_eq!(read(&client, &place).unwrap(), bytes);
    client.sftp.unlink(Path::new(&place)).unwrap();
    assert!(client.names("download").is_empty());
}

#[test]
fn truncated_answers_are_whole_at_the_next_listing() {
    let sim = that("truncated-answers");
    let client = sim.client();
    client.deliver(RURAL, &sample(RURAL)).unwrap();
    assert_eq!(client.answers(1), [RURAL_ANSWER]);
    let place = format!("download/{RURAL_ANSWER}");
    let part = read(&client, &place).unwrap();
    client.names("download");
    let whole = read(&client, &place).unwrap();
    assert!(part.len() < whole.len() && whole.starts_with(&part));
}

#[test]
fn answers_in_wrong_order_begin_with_the_last() {
    let sim = Sim::open(Style::City, |bank| bank.misbehave = vec!["answers-in-wrong-order".parse().unwrap()]);
    let client = sim.client();
    client.deliver(CITY, &sample(CITY)).unwrap();
    assert_eq!(client.answers(1), [R02]);
    assert_eq!(client.names("download"), [R01, R02]);
    let sim = Sim::open(Style::City, |_| {});
    let client = sim.client();
    client.deliver(CITY, &sample(CITY)).unwrap();
    sim.wait_until("both", || sim.root.join("download").join(R02).exists());
    assert_eq!(client.names("download"), [R01, R02]);
}

#[test]
fn early_answer_is_there_before_the_reply() {
    let sim = Sim::open(Style::Rural, |bank| {
        bank.misbehave = vec!["early-answer".parse().unwrap(), "once:rename-unanswered".parse().unwrap()];
        bank.delay_s = 3_600;
    });
    let client = sim.client().tired();
    client.put("upload/x", &sample(RURAL)).unwrap();
    assert!(client.sftp.rename(Path::new("upload/x"), Path::new(&format!("upload/{RURAL}")), None).is_err());
    assert!(sim.root.join("download").join(RURAL_ANSWER).exists());
}

#[test]
fn endless_listing_has_no_end() {
    let sim = that("once:endless-listing");
    let client = sim.client();
    let mut folder = client.sftp.opendir(Path::new("download")).unwrap();
    for _ in 0..2_000 {
        folder.readdir().unwrap();
    }
    assert!(client.names("download").is_empty());
}

#[test]
fn odd_names_lead_nowhere() {
    let sim = that("odd-names");
    fs::write(sim.root.join("download/x"), "1").unwrap();
    let client = sim.client();
    let mut folder = client.sftp.opendir(Path::new("download")).unwrap();
    let mut found = Vec::new();
    while let Ok((path, stat)) = folder.readdir() {
        found.push((path.to_str().unwrap().to_owned(), stat));
    }
    let has = |part: &str| found.iter().any(|(name, _)| name.contains(part));
    assert!(found.len() > 10 && has("../") && has("\u{1b}") && has("\n") && has("\0"));
    assert!(found.iter().any(|(name, stat)| name.ends_with(".RSP") && stat.is_dir()));
    for (name, _) in found.iter().filter(|(name, _)| name != "x") {
        assert!(read(&client, &format!("download/{name}")).is_err(), "{name:?}");
    }
}
