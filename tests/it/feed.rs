//! The feed of postings is cut once, whatever dies between commit and publication; and an audit that cannot fail proves
//! nothing: statements, corrections and the feed are broken by hand, and each break is seen and named.

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const PERSON: &str = "500199197001010014";

struct Bureau {
    root: tempfile::TempDir,
}

impl Bureau {
    /// A person of 低保 who paid at the counter on 4 July, and what the bank's statement shows of it.
    fn paid() -> Bureau {
        let bureau = Bureau { root: tempfile::tempdir().unwrap() };
        let init =
            Command::new(env!("CARGO_BIN_EXE_daikou")).args(["init", "--unattended"]).arg(bureau.home()).output();
        assert!(init.unwrap().status.success());
        bureau.take(
            "2018-06-25",
            "bureau",
            "roster.csv",
            &format!(
                "id_number,name,district,tier,bank,account\n{PERSON},测试甲,500199,100,rural,9999000000000000012\n"
            ),
        );
        bureau.take(
            "2018-06-26",
            "civil-affairs/500199",
            "list.csv",
            &format!("id_number,name,district,category,recognized_year\n{PERSON},测试甲,500199,低保对象,2017\n"),
        );
        bureau.done("2018-07-03", &["plan", "--year", "2018"]);
        bureau.take(
            "2018-07-05",
            "bureau",
            "july.csv",
            &format!("id_number,fee_year,amount,paid_on,channel,reference\n{PERSON},2018,30,2018-07-04,counter,GT1\n"),
        );
        bureau.take(
            "2018-07-05",
            "bureau",
            "bank.csv",
            "bank,booked_on,reference,amount,serial\nrural,2018-07-04,GT1,30,S1\nrural,2018-07-05,?,7,S2\n",
        );
        bureau
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("bureau")
    }

    fn file(&self, number: u32) -> PathBuf {
        self.home().join(format!("drops/bureau/out/feed/postings-{number:08}.csv"))
    }

    fn run(&self, today: &str, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        command.arg("--config").arg(self.home().join("daikou.toml")).args(["--today", today]).args(args);
        command.output().unwrap()
    }

    fn done(&self, today: &str, args: &[&str]) -> String {
        let output = self.run(today, args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn take(&self, today: &str, from: &str, name: &str, text: &str) -> String {
        let path = self.root.path().join(name);
        fs::write(&path, text).unwrap();
        self.done(today, &["ingest", "--from", from, &path.display().to_string()])
    }

    fn store(&self) -> Connection {
        Connection::open(self.home().join("state/daikou.db")).unwrap()
    }

    /// Breaks the store, and gives what the audit says.
    fn broken(&self, sql: &str) -> String {
        let store = self.store();
        for trigger in ["posting_is_final", "posting_stays", "entry_is_final", "entry_stays"] {
            store.execute_batch(&format!("DROP TRIGGER IF EXISTS {trigger}")).unwrap();
        }
        let before = store.total_changes();
        store.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(store.total_changes() > before, "{sql}: changes nothing");
        drop(store);
        let output = self.run("2018-09-03", &["audit"]);
        assert_eq!(output.status.code(), Some(1), "{sql}: {}", said(&output));
        said(&output)
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_file_is_cut_once_whatever_dies_before_it_is_out() {
    let bureau = Bureau::paid();
    // The folder is a file: what is committed cannot be published, as if the process had died between the two.
    let folder = bureau.home().join("drops/bureau/out/feed");
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    fs::write(&folder, b"in the way").unwrap();
    assert_eq!(bureau.run("2018-07-05", &["feed"]).status.code(), Some(2));
    fs::remove_file(&folder).unwrap();
    assert!(bureau.done("2018-07-06", &["feed"]).contains("新生成 0 个推送文件"));
    let first = fs::read(bureau.file(1)).unwrap();
    let text = String::from_utf8(first.clone()).unwrap();
    let zeros = "0".repeat(64);
    assert_eq!(text.lines().next(), Some(format!("daikou-feed,1,00000001,{zeros},3,107.00").as_str()));
    let postings: Vec<&str> = text.lines().skip(2).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(postings, ["pay:counter:GT1", "pay:counter:GT1", "stm:rural:S2"]);
    // Published and not noted as published: the same bytes again.
    bureau.store().execute("UPDATE feed_file SET is_out = 0", []).unwrap();
    bureau.done("2018-07-06", &["feed"]);
    fs::remove_file(bureau.file(1)).unwrap();
    bureau.store().execute("UPDATE feed_file SET is_out = 0", []).unwrap();
    bureau.done("2018-07-06", &["feed"]);
    assert_eq!(fs::read(bureau.file(1)).unwrap(), first);
    // The next file names the digest of this one, and what it takes back.
    bureau.take(
        "2018-07-09",
        "bureau",
        "back.csv",
        "bank,booked_on,reference,amount,serial\nrural,2018-07-09,GT1,-30,S3\n",
    );
    bureau.done("2018-07-09", &["feed"]);
    let second = fs::read_to_string(bureau.file(2)).unwrap();
    assert!(second.starts_with(&format!("daikou-feed,1,00000002,{},2,100.00\n", digest(&first))), "{second}");
    assert!(second.lines().skip(2).all(|line| line.ends_with(",pay:counter:GT1")), "{second}");
    bureau.done("2018-07-09", &["audit"]);
}

#[test]
fn an_acknowledged_file_is_not_waited_for() {
    let bureau = Bureau::paid();
    bureau.done("2018-07-05", &["feed"]);
    let ack = format!("number,sha256\n1,{}\n", digest(&fs::read(bureau.file(1)).unwrap()));
    bureau.take("2018-07-06", "bureau", "postings-00000001.csv.ack", &ack);
    assert!(bureau.done("2018-07-20", &["feed"]).contains("未回执 0 个"));
    let shown: serde_json::Value = serde_json::from_str(&bureau.done("2018-07-20", &["--json", "feed"])).unwrap();
    assert_eq!(shown["files"][0]["acknowledged_on"], "2018-07-06");
}

#[test]
fn breaks_of_statements_and_feed_are_seen() {
    for (sql, check, words) in [
        ("UPDATE statement SET amount = 2900 WHERE serial = 'S1'", "I13", "statement line S1"),
        ("UPDATE statement SET posting = NULL WHERE serial = 'S2'", "I13", "stm:rural:S2"),
        (
            "UPDATE statement SET posting = (SELECT posting FROM statement WHERE serial = 'S1'), amount = 3000 WHERE serial = 'S2'",
            "I13",
            "two lines",
        ),
        ("UPDATE feed_file SET sha256 = zeroblob(32)", "I11", "postings-00000001.csv"),
        (
            "UPDATE feed_file SET from_txn = to_txn, previous = zeroblob(32) WHERE number = 1",
            "I11",
            "postings-00000001.csv",
        ),
        ("UPDATE feed_file SET number = 2", "I11", "postings-00000002.csv"),
    ] {
        let bureau = Bureau::paid();
        bureau.done("2018-07-05", &["feed"]);
        bureau.done("2018-07-05", &["audit"]);
        let said = bureau.broken(sql);
        let line = said.lines().skip_while(|line| !line.starts_with(check)).take(2).collect::<Vec<_>>().join("\n");
        assert!(line.contains("不成立") && line.contains(words), "{sql}\n{said}");
    }
}

#[test]
fn breaks_of_corrections_are_seen() {
    for (sql, check, words) in [
        ("UPDATE posting_key SET corrects = NULL WHERE key LIKE 'cor:%'", "I2", "points to what it corrects"),
        ("UPDATE posting_key SET corrects = 99 WHERE key LIKE 'cor:%'", "I2", "cor:pay:counter:GT1"),
        ("UPDATE entry SET amount = 6900 WHERE debit = 4", "I2", "another deemed entry"),
        ("UPDATE exception SET amount = 2000 WHERE class = 'corrected'", "I6", "suspense holds"),
    ] {
        let bureau = Bureau::paid();
        bureau.take("2018-07-10", "bureau", "died.csv", &format!("id_number,name,district,tier,bank,account,status,status_since\n{PERSON},测试甲,500199,100,rural,9999000000000000012,死亡,2018-07-01\n"));
        let args =
            ["correct", "posting", "pay:counter:GT1", "--as-class", "left-before", "--evidence", "7", "--reason", "x"];
        bureau.done("2018-07-11", &args);
        bureau.done("2018-07-11", &["audit"]);
        let said = bureau.broken(sql);
        let line = said.lines().skip_while(|line| !line.starts_with(check)).take(2).collect::<Vec<_>>().join("\n");
        assert!(line.contains("不成立") && line.contains(words), "{sql}\n{said}");
    }
}
