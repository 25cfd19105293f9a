//! A bank with a server of its own: real OpenSSH on loopback, and the daemon that goes there. Instruction files are
//! delivered once and whole, return files are fetched and posted once, and what the server does not allow is told.

use crate::bank_files::Request;
use crate::bureau::{Bureau, Daemon, all_paid, names, wait_for};
use crate::sshd::{Sshd, missing};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// A bureau whose rural bank has a server of its own; the other banks come to the drop tree.
pub(crate) struct Exchange {
    pub(crate) bureau: Bureau,
    pub(crate) sshd: Sshd,
    /// The bank's folders on its server.
    pub(crate) upload: PathBuf,
    pub(crate) download: PathBuf,
}

impl Exchange {
    pub(crate) fn start(people: usize, profile: &str) -> Exchange {
        let bureau = Bureau::new(&std::env::temp_dir(), people);
        let server = bureau.beside("bank");
        let (upload, download) = (server.join("upload"), server.join("download"));
        [&upload, &download].into_iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        let sshd = Sshd::start(&bureau.beside("ssh"), &server);
        let exchange = Exchange { bureau, sshd, upload, download };
        exchange.profile(&exchange.sshd.host_key(), profile);
        exchange
    }

    /// Writes `[bank.sftp]` of the rural bank.
    fn profile(&self, host_key: &str, more: &str) {
        let (port, key) = (self.sshd.port, self.sshd.key.display());
        let text = format!(
            "credit_acct = \"9999000000000000001\"\n[bank.sftp]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"root\"\n\
             key = \"{key}\"\nhost_keys = [\"{host_key}\"]\nput = \"{}\"\nget = \"{}\"\nquiet_s = 0\npoll_s = 1\n\
             timeout_s = 5\n{more}\n\n[[bank]]\nkey = \"postal\"",
            self.upload.display(),
            self.download.display(),
        );
        self.bureau.set("credit_acct = \"9999000000000000001\"\n\n[[bank]]\nkey = \"postal\"", &text);
    }

    pub(crate) fn drop_tables(&self) {
        fs::write(self.bureau.drops("bureau/in/roster.csv"), self.bureau.roster(&["rural"])).unwrap();
        fs::write(self.bureau.drops("departments/civil-affairs/500199/in/list.csv"), self.bureau.list()).unwrap();
    }

    /// The request that lies at the bank, once it is there under its final name.
    pub(crate) fn request(&self) -> (String, Request) {
        let find = || names(&self.upload).into_iter().find(|name| name.ends_with(".REQ"));
        wait_for(&format!("a request at the bank\n{}", self.bureau.log()), || find().is_some());
        let name = find().unwrap();
        let request = Request::read(&name, &fs::read(self.upload.join(&name)).unwrap());
        (name, request)
    }

    pub(crate) fn batches(&self) -> String {
        self.bureau.daikou(&["export", "batches"]).1
    }
}

fn posted(daemon: &Daemon) -> i64 {
    daemon.figure("daikou_postings{event=\"self-payment\"}")
}

fn publish(folder: &Path, files: &[(String, Vec<u8>)]) {
    publish_at(folder, files, SystemTime::now());
}

fn publish_at(folder: &Path, files: &[(String, Vec<u8>)], at: SystemTime) {
    for (name, bytes) in files {
        let hidden = folder.join(format!("{name}.tmp"));
        fs::write(&hidden, bytes).unwrap();
        fs::File::options().append(true).open(&hidden).unwrap().set_modified(at).unwrap();
        fs::rename(hidden, folder.join(name)).unwrap();
    }
}

#[test]
fn a_year_goes_there_and_back_over_openssh() {
    if let Some(reason) = missing() {
        return println!("skipped: {reason}");
    }
    let exchange = Exchange::start(30, "after = \"move:DONE\"");
    let done = exchange.bureau.beside("bank").join("done");
    fs::create_dir(&done).unwrap();
    exchange.bureau.set("move:DONE", &format!("move:{}", done.display()));
    assert_eq!(exchange.bureau.daikou(&["check"]).0, Some(0), "{}", exchange.bureau.daikou(&["check"]).1);
    let daemon = exchange.bureau.start();
    exchange.drop_tables();
    let (name, request) = exchange.request();
    wait_for("it is sent", || exchange.batches().contains(",sent\n"));
    assert_eq!(names(&exchange.upload), [name], "no temporary file is left");
    let answers = all_paid(&request);
    publish(&exchange.download, &answers);
    wait_for("everybody is posted", || posted(&daemon) == 30);
    wait_for("what is booked is put away", || names(&exchange.download).is_empty() && names(&done).len() == 1);

    // The same file again, under its name: known, put away beside the first, and nothing moves.
    publish(&exchange.download, &answers);
    wait_for("the repeat is put away", || names(&exchange.download).is_empty() && names(&done).len() == 2);
    assert_eq!(posted(&daemon), 30);
    assert_eq!(daemon.figure("daikou_line_up{bank=\"rural\"}"), 1);
    assert!(daemon.stop().0.success());
    exchange.bureau.assert_log_is_clean();
    let (code, words) = exchange.bureau.daikou(&["audit"]);
    assert_eq!(code, Some(0), "{words}");
}

#[test]
fn a_file_just_like_a_deleted_one_is_another_and_one_in_quarantine_is_left() {
    if let Some(reason) = missing() {
        return println!("skipped: {reason}");
    }
    let exchange = Exchange::start(6, "after = \"delete\"");
    let daemon = exchange.bureau.start();
    exchange.drop_tables();
    let (_, request) = exchange.request();
    let (right, at) = (all_paid(&request), SystemTime::now());
    publish_at(&exchange.download, &right, at);
    wait_for("it is posted", || posted(&daemon) == 6);
    wait_for("it is deleted", || names(&exchange.download).is_empty());

    // The same name, size and second; a digit of the total in the header is another.
    let mut wrong = right.clone();
    wrong[0].1[109] ^= 1;
    publish_at(&exchange.download, &wrong, at);
    let quarantined = || daemon.figure("daikou_files{kind=\"return\",state=\"quarantined\"}");
    wait_for("it is in quarantine", || quarantined() == 1);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(
        (quarantined(), names(&exchange.download).len()),
        (1, 1),
        "once is enough, and it is the bank's to mend"
    );

    // The bank mends it.
    publish(&exchange.download, &right);
    wait_for("it is known, and deleted", || names(&exchange.download).is_empty());
    assert_eq!(daemon.figure("daikou_files{kind=\"return\",state=\"duplicate\"}"), 1);
    assert_eq!(posted(&daemon), 6);
}

#[test]
fn a_stranger_is_told_nothing_and_the_line_stays_blocked_until_a_person_looked() {
    if let Some(reason) = missing() {
        return println!("skipped: {reason}");
    }
    let exchange = Exchange::start(3, "");
    let known = exchange.sshd.host_key();
    exchange.bureau.set(&known, "ssh-ed25519 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let daemon = exchange.bureau.start();
    exchange.drop_tables();
    wait_for("an alarm", || daemon.figure("daikou_alarms{class=\"line-blocked\"}") == 1);
    wait_for("the batch waits", || exchange.batches().contains(",released\n"));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(exchange.sshd.log().matches("Accepted publickey").count(), 0);
    assert_eq!(names(&exchange.upload), Vec::<String>::new());
    let (status, took) = daemon.stop();
    assert!(status.success() && took < Duration::from_secs(5), "{took:?}");

    // The right key is another profile: it is tried at once.
    exchange.bureau.set("ssh-ed25519 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &known);
    let daemon = exchange.bureau.start();
    wait_for("it is sent", || exchange.batches().contains(",sent\n"));
    assert_eq!(daemon.figure("daikou_alarms{class=\"line-blocked\"}"), 0);
}

#[test]
fn a_bank_that_is_away_delays_nobody_and_gets_its_file_when_it_is_back() {
    if let Some(reason) = missing() {
        return println!("skipped: {reason}");
    }
    let mut exchange = Exchange::start(6, "");
    exchange.sshd.stop();
    let daemon = exchange.bureau.start();
    fs::write(exchange.bureau.drops("bureau/in/roster.csv"), exchange.bureau.roster(&["rural", "city"])).unwrap();
    fs::write(exchange.bureau.drops("departments/civil-affairs/500199/in/list.csv"), exchange.bureau.list()).unwrap();
    let began = Instant::now();
    exchange.bureau.request("city");
    wait_for("an alarm", || daemon.figure("daikou_alarms{class=\"line\"}") == 1);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(exchange.batches().contains(",released\n"), "nothing was begun: {}", exchange.batches());
    exchange.sshd.restart();
    exchange.request();
    wait_for("it is sent", || {
        !exchange.batches().contains(",released\n") && !exchange.batches().contains(",sending\n")
    });
    wait_for("the alarm is over", || daemon.figure("daikou_alarms{class=\"line\"}") == 0);
}

#[test]
fn what_was_carried_by_hand_is_not_sent_again() {
    if let Some(reason) = missing() {
        return println!("skipped: {reason}");
    }
    let mut exchange = Exchange::start(3, "");
    exchange.sshd.stop();
    for (from, file, text) in [
        ("bureau", "roster.csv", exchange.bureau.roster(&["rural"])),
        ("civil-affairs/500199", "list.csv", exchange.bureau.list()),
    ] {
        let path = exchange.bureau.beside(file);
        fs::write(&path, text).unwrap();
        assert_eq!(exchange.bureau.daikou(&["ingest", "--from", from, path.to_str().unwrap()]).0, Some(0));
    }
    exchange.bureau.daikou(&["plan", "--year", "2018"]);
    exchange.bureau.daikou(&["instruct", "--year", "2018"]);
    let batches = exchange.batches();
    let row: Vec<&str> = batches.lines().nth(1).unwrap().split(',').collect();
    let (batch, digest) = (row[0], row[6]);
    assert_eq!(exchange.bureau.daikou(&["send"]).0, Some(2), "the bank is away");
    let by_hand = |digest: &str| {
        exchange.bureau.daikou(&["deliver", "--by-hand", batch, "--digest", digest, "--reason", "USB, 王某签收"]).0
    };
    assert_eq!(by_hand("0000000000000000"), Some(1), "another file was carried");
    assert_eq!(by_hand(&digest[..16]), Some(0));
    assert!(exchange.batches().contains(",sent\n"));
    assert_eq!(by_hand(digest), Some(1), "once is enough");
    exchange.sshd.restart();
    assert_eq!(exchange.bureau.daikou(&["send"]).0, Some(0));
    assert_eq!(names(&exchange.upload), Vec::<String>::new(), "it is not sent again");
    assert_eq!(exchange.bureau.daikou(&["audit"]).0, Some(0));
}

#[test]
fn the_doctor_says_what_the_server_can_do_and_leaves_nothing_behind() {
    if let Some(reason) = missing() {
        return println!("skipped: {reason}");
    }
    let exchange = Exchange::start(1, "");
    let (code, text) = exchange.bureau.daikou(&["doctor", "rural", "--rehearse"]);
    assert_eq!(code, Some(0), "{text}");
    for words in
        ["curve25519-sha256", "read back", "refused, as it must be", "fsync@openssh.com yes", "s ahead of ours"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains(&exchange.sshd.host_key()));
    assert_eq!(names(&exchange.upload), Vec::<String>::new());
    let address = format!("127.0.0.1:{}", exchange.sshd.port);
    let (code, text) = exchange.bureau.daikou(&["doctor", &address]);
    assert!(code == Some(0) && text.contains(&exchange.sshd.host_key()), "{text}");
}
