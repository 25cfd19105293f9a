//! An audit that cannot fail proves nothing: every invariant is broken by hand in a copy of a sound bureau, and
//! exactly the checks that should see it must fail.
//!
//! Whoever breaks a store may also mend its audit log. So the log is sealed again after most breaks, by an
//! implementation of its own: what is then found is found by the invariant, not by the chain.

mod settled;

use daikou::config;
use daikou::daemon::audit::audit;
use daikou::daemon::bureau::Bureau;
use daikou::domain::calendar::DateTime;
use daikou::store::audit::Check;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A year of made-up people: zero-payments, ex-post subsidies, suspense, failures, several rounds.
fn played() -> &'static Path {
    static PLAYED: OnceLock<tempfile::TempDir> = OnceLock::new();
    PLAYED
        .get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let mut demo = Command::new(env!("CARGO_BIN_EXE_daikou"));
            demo.args(["--json", "demo", "--people", "600", "--dir"]).arg(dir.path().join("bureau"));
            let output = demo.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            before_its_settlement(&dir.path().join("bureau"));
            dir
        })
        .path()
}

/// The year as it was before anything was settled: what is broken here is broken in the ledger alone, and `settled` goes on
/// from it.
fn before_its_settlement(home: &Path) {
    let conn = Connection::open(home.join("state/daikou.db")).unwrap();
    let trigger = |name: &str| -> String {
        conn.query_row("SELECT sql FROM sqlite_master WHERE name = ?1", [name], |row| row.get(0)).unwrap()
    };
    let triggers = ["settlement_stays", "claim_stays"].map(|name| (name, trigger(name)));
    for (name, _) in &triggers {
        conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    conn.execute_batch(
        "DELETE FROM settlement_item; DELETE FROM settlement; DELETE FROM ex_post_list;
         UPDATE ex_post SET state = 0, list = NULL, name = '' WHERE state = 1;",
    )
    .unwrap();
    triggers.iter().for_each(|(_, sql)| conn.execute_batch(sql).unwrap());
    for payer in fs::read_dir(home.join("drops/departments")).unwrap() {
        for district in fs::read_dir(payer.unwrap().path()).unwrap() {
            for file in fs::read_dir(district.unwrap().path().join("out")).unwrap().map(|file| file.unwrap().path()) {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                if name.starts_with("settlement-") || name.starts_with("expost-") {
                    fs::remove_file(file).unwrap();
                }
            }
        }
    }
}

/// A copy of the played bureau that a test may break.
struct Copy {
    dir: tempfile::TempDir,
}

impl Copy {
    fn new() -> Copy {
        Copy::of(played())
    }

    fn of(played: &Path) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        copy(&played.join("bureau"), &dir.path().join("bureau"));
        Copy { dir }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("bureau")
    }

    fn store(&self) -> Connection {
        let conn = Connection::open(self.home().join("state/daikou.db")).unwrap();
        for (table, verb) in [("posting", "is_final"), ("entry", "is_final"), ("audit", "is_final")] {
            conn.execute_batch(&format!("DROP TRIGGER IF EXISTS {table}_{verb}; DROP TRIGGER IF EXISTS {table}_stays"))
                .unwrap();
        }
        conn.execute_batch(
            "DROP TRIGGER IF EXISTS settlement_stays; DROP TRIGGER IF EXISTS claim_is_final;
             DROP TRIGGER IF EXISTS claim_stays; DROP TRIGGER IF EXISTS clearing_is_final;
             DROP TRIGGER IF EXISTS clearing_stays",
        )
        .unwrap();
        conn.pragma_update(None, "ignore_check_constraints", true).unwrap();
        conn
    }

    /// Changes something in the store; nothing to change is a test that proves nothing.
    fn tamper(&self, sql: &str, seal: bool) {
        let conn = self.store();
        let before = conn.total_changes();
        conn.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(conn.total_changes() > before, "{sql}: changes nothing");
        if seal {
            reseal(&conn);
        }
    }

    fn checks(&self) -> Vec<Check> {
        let config = config::load(&self.home().join("daikou.toml")).expect("the configuration is sound");
        audit(&Bureau::open(config).unwrap(), DateTime::MAX).unwrap()
    }

    /// The checks that fail, and the first offender among them.
    fn broken(&self) -> (Vec<&'static str>, String) {
        let checks = self.checks();
        let broken: Vec<&Check> = checks.iter().filter(|check| check.offender.is_some()).collect();
        let words = broken.iter().filter_map(|check| check.offender.clone()).collect::<Vec<_>>().join("\n");
        (broken.iter().map(|check| check.id).collect(), words)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Digests of the postings, and the chain of rows, worked out again from the description of the log.
fn reseal(conn: &Connection) {
    let numbers = |sql: &str| -> Vec<Vec<i64>> {
        let mut statement = conn.prepare(sql).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map([], |row| (0..width).map(|column| row.get(column)).collect()).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let entries = numbers("SELECT id, debit, credit, amount FROM entry ORDER BY id");
    let mut covered: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    for posting in numbers("SELECT txn, id, event, booked_on, month FROM posting ORDER BY id") {
        let bytes = covered.entry(posting[0]).or_default();
        let legs = entries.iter().filter(|entry| entry[0] / 4 == posting[1]).flatten();
        bytes.extend(posting[1..].iter().chain(legs).flat_map(|value| value.to_be_bytes()));
    }
    // Whoever seals a changed ledger again would make what is kept beside it agree as well.
    conn.execute_batch(
        "DELETE FROM posted_span; DELETE FROM batch_day;
         INSERT INTO posted_span SELECT txn, id >> 27, min(id), max(id) FROM posting GROUP BY 1, 2;
         INSERT INTO batch_day SELECT p.id >> 27, p.booked_on, sum(e.amount), count(*)
         FROM posting p JOIN entry e ON e.id = p.id * 4 AND e.debit = 1 WHERE p.id >= 1 << 27 GROUP BY 1, 2;",
    )
    .unwrap();
    let mut previous = [0_u8; 32];
    for row in numbers("SELECT seq FROM audit ORDER BY seq") {
        let seq = row[0];
        let postings = Sha256::digest(covered.remove(&seq).unwrap_or_default());
        conn.execute("UPDATE audit SET postings = ?2, previous = ?3 WHERE seq = ?1", (seq, &postings[..], previous))
            .unwrap();
        let mut hash = Sha256::new_with_prefix("daikou audit row\n");
        hash.update(seq.to_be_bytes());
        for column in ["at", "actor", "action", "subject"] {
            let sql = format!("SELECT {column} FROM audit WHERE seq = ?1");
            let text: String = conn.query_row(&sql, [seq], |row| row.get(0)).unwrap();
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        let digest: Vec<u8> = conn.query_row("SELECT digest FROM audit WHERE seq = ?1", [seq], |r| r.get(0)).unwrap();
        hash.update(digest);
        hash.update(postings);
        hash.update(previous);
        previous = hash.finalize().into();
    }
}

/// Breaks, the checks that must see them, and what they must say.
const BREAKS: &[(&str, &[&str], &str)] = &[
    // I1: an entry that belongs to nothing; a posting without entries; an account that is none.
    (
        "INSERT INTO entry VALUES ((999 << 27) * 4, 1, 3, 100)",
        &["I1", "I3", "I13"],
        "an entry is there, the posting is not",
    ),
    (
        "INSERT INTO posting SELECT 90000001, 2, 20180801, 201808, max(seq) FROM audit;
         INSERT INTO posting_key (key, posting, digest) VALUES ('pay:x:1', 90000001, x'00')",
        &["I1"],
        "posting pay:x:1: has no entries",
    ),
    ("UPDATE entry SET debit = 99 WHERE id = (SELECT min(id) FROM entry WHERE credit = 4)", &["I1", "I12"], "99"),
    // I2: states and postings that do not belong together; a pair that its event never has; nothing that was said.
    (
        "UPDATE instruction_state SET state = 4 WHERE id = (SELECT min(id) FROM instruction_state WHERE state = 3)",
        &["I2", "I3"],
        "it is not settled, so expected 0 standing postings",
    ),
    (
        "UPDATE instruction_state SET state = 3 WHERE id = (SELECT min(id) FROM instruction_state WHERE state = 4)",
        &["I2"],
        "it is settled, so expected 1 standing postings to personal/own, found 0",
    ),
    (
        "UPDATE posting SET event = 3 WHERE id = (SELECT min(id) FROM posting WHERE event = 0)",
        &["I2"],
        "suspense-posted never moves collection to personal/own",
    ),
    (
        "INSERT INTO posting SELECT 90000001, 0, 20180801, 201808, max(seq) FROM audit;
         INSERT INTO entry VALUES (90000001 * 4, 1, 3, 100)",
        &["I2", "I3", "I13"],
        "neither an answer nor a key",
    ),
    (
        "DELETE FROM posting_key WHERE posting = (SELECT min(posting) FROM posting_key WHERE key LIKE 'zero:%')",
        &["I2", "I3", "I12"],
        "neither an answer nor a key",
    ),
    // I3: a tier, a government part, an amount instructed that what was posted does not add up to.
    (
        "UPDATE plan_version SET tier = tier + 100 WHERE (participant, version) IN
         (SELECT i.participant, i.version FROM posting p JOIN instruction i ON i.id = p.id
          WHERE p.event = 0 AND i.government > 0 AND p.id NOT IN (SELECT posting FROM posting_key) LIMIT 1)",
        &["I3"],
        "expected tier 101.00 with government part",
    ),
    (
        "UPDATE instruction SET government = government + 100 WHERE id =
         (SELECT p.id FROM posting p JOIN instruction i ON i.id = p.id
          WHERE p.event = 0 AND i.government > 0 AND p.id NOT IN (SELECT posting FROM posting_key) LIMIT 1)",
        &["I3"],
        "as instructed",
    ),
    // I4: two live instructions; two deemed entries; deemed and ex-post.
    (
        "UPDATE instruction_state SET state = 5 WHERE id IN
         (SELECT id FROM instruction WHERE participant =
            (SELECT i.participant FROM instruction i JOIN instruction_state s ON s.id = i.id AND s.state = 4
             GROUP BY i.participant HAVING count(*) = 2 AND count(*) = sum(i.id NOT IN (SELECT id FROM posting))
             LIMIT 1))",
        &["I4"],
        "expected at most one live instruction, found 2",
    ),
    (
        "INSERT INTO posting SELECT 90000001, 7, 20180801, 201808, max(seq) FROM audit;
         INSERT INTO posting_key (key, posting, digest, participant, fee_year, version, corrects)
           SELECT 'cor:x', 90000001, x'00', i.participant, 2018, i.version, i.id FROM instruction i
           JOIN entry e ON e.id = i.id * 4 + 1 AND e.credit = 4 LIMIT 1;
         INSERT INTO entry SELECT 90000001 * 4, e.debit, 4, e.amount FROM posting_key k
           JOIN instruction i ON i.participant = k.participant JOIN entry e ON e.id = i.id * 4 + 1 AND e.credit = 4
           WHERE k.key = 'cor:x'",
        &["I4"],
        "expected at most one standing deemed entry, found 2",
    ),
    (
        "INSERT INTO ex_post (participant, fee_year, payer, category, district, paid, amount, booked_on, due_on, state, txn)
           SELECT v.participant, v.fee_year, v.payer, v.category, v.district, v.tier, v.government,
           v.from_day, v.from_day, 0, 1 FROM instruction i JOIN entry e ON e.id = i.id * 4 + 1 AND e.credit = 4
           JOIN plan_version v ON v.participant = i.participant AND v.version = i.version LIMIT 1",
        &["I4"],
        "found both",
    ),
    // I3: a plan that was paid is open again, so that it will be asked once more; every posting by itself is right.
    (
        "UPDATE plan SET state = 0, instruction = NULL WHERE instruction = (SELECT min(id) FROM instruction_state WHERE state = 3)",
        &["I3"],
        "expected nothing on the account of an open plan",
    ),
    // I5: more is taken back than was ever owed.
    (
        "INSERT INTO posting SELECT 90000001, 7, 20180801, 201808, max(seq) FROM audit;
         INSERT INTO posting_key (key, posting, digest, participant, fee_year, version, corrects)
           SELECT 'cor:x', 90000001, x'00', i.participant, 2018, i.version, i.id FROM instruction i
           JOIN entry e ON e.id = i.id * 4 + 1 AND e.credit = 4 LIMIT 1;
         INSERT INTO entry SELECT 90000001 * 4, 4, e.debit, 100000000 FROM posting_key k
           JOIN instruction i ON i.participant = k.participant JOIN entry e ON e.id = i.id * 4 + 1 AND e.credit = 4
           WHERE k.key = 'cor:x'",
        &["I2", "I3", "I5"],
        "expected nothing or more to be owed, found -",
    ),
    // I6: exceptions that say more, or less, than suspense holds; money that no exception speaks of.
    ("UPDATE exception SET amount = amount + 1 WHERE amount > 0", &["I6"], "it says that it holds"),
    ("UPDATE exception SET amount = amount - 1 WHERE amount > 0", &["I6"], "open exceptions say"),
    ("DELETE FROM exception WHERE amount > 0", &["I6"], "has no exception"),
    // I7: an instruction that is not what the kept file says.
    ("UPDATE instruction SET echo = echo + 1 WHERE id = (SELECT max(id) FROM instruction)", &["I7"], "another account"),
    (
        "UPDATE instruction SET amount = amount + 1 WHERE id =
         (SELECT s.id FROM instruction_state s JOIN batch b ON b.id = s.id >> 27
          WHERE s.state = 4 AND b.state = 7 LIMIT 1)",
        &["I7", "I8"],
        "is stored with another amount",
    ),
    (
        "UPDATE batch SET count = count + 1 WHERE id = (SELECT max(id) FROM batch WHERE bank > 0 AND state = 7)",
        &["I7", "I8"],
        "the batch states",
    ),
    // I8: an answer that is missing, an amount that was never instructed, a zero-payment row that does not add up.
    (
        "DELETE FROM answer WHERE instruction = (SELECT s.id FROM instruction_state s JOIN batch b ON b.id = s.id >> 27
         WHERE s.state = 4 AND s.outcome = 1 AND b.state = 7 LIMIT 1)",
        &["I8"],
        "expected an answer with its amount, or an exception, found neither",
    ),
    (
        "UPDATE answer SET amount = amount + 1 WHERE instruction = (SELECT s.id FROM instruction_state s
         JOIN batch b ON b.id = s.id >> 27 WHERE s.state = 3 AND b.state = 7 LIMIT 1)",
        &["I8"],
        "expected an answer with its amount",
    ),
    ("UPDATE zero_row SET government = government + 1", &["I8"], "rows of"),
    // I10: a file that nobody finished.
    ("UPDATE file SET state = 1 WHERE id = 2", &["I10"], "expected a final state, found claimed"),
    // I11, with a log that was sealed again: what it should cover is not what is there.
    (
        "UPDATE posting SET txn = 1 + (SELECT max(seq) FROM audit) WHERE id = (SELECT min(id) FROM posting)",
        &["I11"],
        "is not in the audit log",
    ),
    (
        "UPDATE audit SET digest = zeroblob(32) WHERE action = 'ingest'",
        &["I11"],
        "no row of the audit log has its digest",
    ),
    // I12: another category, another account, no list, another status, another amount.
    (
        "UPDATE plan_version SET category = 0 WHERE category = 1 AND (participant, version) IN
         (SELECT i.participant, i.version FROM instruction i JOIN entry e ON e.id = i.id * 4 + 1 AND e.credit = 4)",
        &["I12"],
        "expected 100.00 for extreme-poverty, found 70.00 posted",
    ),
    (
        "UPDATE plan_version SET payer = 1 WHERE category = 1 AND (participant, version) IN
         (SELECT i.participant, i.version FROM instruction i JOIN entry e ON e.id = i.id * 4 + 1 AND e.credit = 4)",
        &["I12"],
        "poverty-alleviation may not list subsistence-allowance",
    ),
    ("DELETE FROM recognition_change", &["I12"], "no list had the person"),
    ("DELETE FROM recognition", &["I12"], "the rules give 0.00 now"),
    ("UPDATE participant SET status = '终止', status_since = 20180101", &["I12"], "the rules refuse it"),
    ("UPDATE ex_post SET amount = amount - 1", &["I12"], "ex-post subsidy of plan"),
    // I13: the bank says that it took more than we show.
    (
        "UPDATE answer SET actual = actual + 1 WHERE instruction =
         (SELECT id FROM instruction_state WHERE state = 3 LIMIT 1)",
        &["I13"],
        "the bank says that it took",
    ),
];

#[test]
fn a_sound_bureau_passes() {
    let checks = Copy::new().checks();
    let ids: Vec<&str> = checks.iter().map(|check| check.id).collect();
    assert_eq!(ids, ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13"]);
    assert!(checks.iter().all(|check| check.offender.is_none()), "{checks:?}");
}

#[test]
fn sealing_again_changes_nothing() {
    let copy = Copy::new();
    reseal(&copy.store());
    assert_eq!(copy.broken(), (Vec::new(), String::new()));
}

#[test]
fn every_break_is_seen_by_its_invariant() {
    let mut wrong = Vec::new();
    for (sql, expected, says) in BREAKS {
        let copy = Copy::new();
        copy.tamper(sql, true);
        let (found, words) = copy.broken();
        if found != *expected || !words.contains(says) {
            wrong.push(format!("{sql}\n  expected {expected:?} saying {says:?}\n  found {found:?} saying {words}"));
        }
    }
    assert!(wrong.is_empty(), "{} breaks\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn the_chain_sees_what_is_not_sealed_again() {
    for (sql, says) in [
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 3", "audit row 4: does not follow row 3"),
        ("DELETE FROM audit WHERE seq = 3", "audit row 4: does not follow row 2"),
        ("UPDATE posting SET month = 201901", "the postings of its transaction are not those that it covers"),
        ("DELETE FROM entry WHERE credit = 4", "the postings of its transaction"),
        ("UPDATE batch_day SET amount = amount + 1", "batch_day"),
        ("DELETE FROM posted_span WHERE batch = 0", "posted_span"),
    ] {
        let copy = Copy::new();
        copy.tamper(sql, false);
        let (found, words) = copy.broken();
        assert!(found.contains(&"I11") && words.contains(says), "{sql}: {found:?} {words}");
    }
}

#[test]
fn kept_bytes_are_read_again() {
    for (sql, check, says) in [
        (
            "SELECT 'archive/' || substr(drafted_on, 1, 4) || '/' || substr(drafted_on, 5, 2) || '/' || lower(hex(sha256)) || '-' || file FROM batch WHERE bank = 1",
            "I7",
            "are not those that were drafted",
        ),
        ("SELECT 'archive/' || archived FROM file WHERE state = 2", "I10", "are not those that came"),
        ("SELECT 'quarantine/' || archived FROM file WHERE state = 4", "I10", "are not those that came"),
    ] {
        let copy = Copy::new();
        let path: String = copy.store().query_row(sql, [], |row| row.get(0)).unwrap();
        let path = copy.home().join("state").join(path);
        let mut bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        *bytes.last_mut().unwrap() ^= 1;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, bytes).unwrap();
        let (found, words) = copy.broken();
        assert!(found == [check] && words.contains(says), "{found:?} {words}");
        fs::remove_file(&path).unwrap();
        assert_eq!(copy.broken().0, [check]);
    }
}

#[test]
fn nobody_is_named() {
    let copy = Copy::new();
    copy.tamper("UPDATE plan_version SET tier = tier + 100", true);
    let (_, words) = copy.broken();
    assert!(words.contains("********") && words.contains(" of 2018"), "{words}");
    let longest = words.split(|c: char| !c.is_ascii_digit()).map(str::len).filter(|len| *len != 24).max();
    assert!(longest < Some(17), "only instruction numbers are that long: {words}");
}

#[test]
fn the_command_says_it_for_machines() {
    let copy = Copy::new();
    let audit = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        command.arg("--config").arg(copy.home().join("daikou.toml")).args(["--today", "2019-02-01", "--json", "audit"]);
        let output = command.output().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), value)
    };
    let (code, said) = audit();
    assert_eq!((code, &said["ok"], said["checks"].as_array().map(Vec::len)), (Some(0), &true.into(), Some(13)));
    copy.tamper("UPDATE file SET state = 0 WHERE id = 2", true);
    let (code, said) = audit();
    assert_eq!((code, &said["ok"], &said["checks"][9]["id"]), (Some(1), &false.into(), &"I10".into()));
    assert!(said["checks"][9]["offender"].as_str().unwrap().starts_with("file 2: "), "{said}");
}

impl Copy {
    fn audit(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        command.arg("--config").arg(self.home().join("daikou.toml")).args(["--today", "2019-02-01", "audit"]);
        let output = command.args(args).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap().trim_end().to_owned())
    }

    /// What `audit --anchor` would have printed when a row was the newest: worked out from the row after it.
    fn anchor_at(&self, seq: i64) -> String {
        let sql = "SELECT substr(a.at, 1, 10), lower(hex(b.previous)) FROM audit a JOIN audit b ON b.seq = a.seq + 1
                   WHERE a.seq = ?1";
        let (on, digest): (String, String) =
            self.store().query_row(sql, [seq], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        format!("{seq}:{on}:{digest}")
    }
}

#[test]
fn an_anchor_that_lies_elsewhere_shows_a_log_that_was_sealed_again() {
    let copy = Copy::new();
    let (code, newest) = copy.audit(&["--anchor"]);
    assert_eq!(code, Some(0));
    let last: i64 = newest.split(':').next().unwrap().parse().unwrap();
    let record = copy.dir.path().join("record.txt");
    let anchors = [copy.anchor_at(5), copy.anchor_at(20), copy.anchor_at(last - 1), newest];
    fs::write(&record, anchors.join("\n") + "\n").unwrap();
    let record = record.to_str().unwrap();
    for against in [record, &anchors[0], &anchors[3]] {
        let (code, said) = copy.audit(&["--against", against]);
        assert!(code == Some(0) && said.contains("anchor ok"), "{said}");
    }
    // Work goes on: the earlier heads stay in the log.
    copy.tamper(
        "INSERT INTO audit SELECT seq + 1, at, actor, action, subject, digest, postings, previous FROM audit
                 ORDER BY seq DESC LIMIT 1; UPDATE audit SET postings = x'00' WHERE seq = (SELECT max(seq) FROM audit)",
        true,
    );
    assert_eq!(copy.audit(&["--against", record]).0, Some(0));

    copy.tamper("UPDATE audit SET actor = 'nobody' WHERE seq = 7", true);
    assert_eq!(copy.audit(&[]).0, Some(0), "sealed again, the chain alone sees nothing");
    let (code, said) = copy.audit(&["--against", record]);
    let named = "audit row 20: expected";
    assert!(code == Some(1) && said.contains(named) && said.contains("somewhere in rows 6 to 20"), "{said}");
}

#[test]
fn an_anchor_shows_a_log_that_was_cut_off() {
    let copy = Copy::new();
    let conn = copy.store();
    // The newest acts after the last posting: nothing else in the store speaks of them.
    let last_posting: i64 = conn.query_row("SELECT max(txn) FROM posting", [], |row| row.get(0)).unwrap();
    copy.tamper(
        "INSERT INTO audit SELECT seq + 1, at, actor, 'window', 'plan', digest, postings, previous FROM audit
                 ORDER BY seq DESC LIMIT 1; UPDATE audit SET postings = x'00' WHERE seq = (SELECT max(seq) FROM audit)",
        true,
    );
    let (_, newest) = copy.audit(&["--anchor"]);
    let last: i64 = newest.split(':').next().unwrap().parse().unwrap();
    assert!(last > last_posting);
    copy.tamper("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", false);
    assert_eq!(copy.audit(&[]).0, Some(0), "without an anchor nothing is missed");
    let (code, said) = copy.audit(&["--against", &newest]);
    let named = format!("audit row {last}: expected that of");
    assert!(code == Some(1) && said.contains(&named) && said.contains("it was cut off"), "{said}");
}

#[test]
fn what_is_no_anchor_is_not_taken_for_one() {
    let copy = Copy::new();
    let empty = copy.dir.path().join("empty.txt");
    fs::write(&empty, "\n").unwrap();
    for against in ["", "12", "/nowhere", empty.to_str().unwrap()] {
        let (code, said) = copy.audit(&["--against", against]);
        assert!(code == Some(64) && said.contains("number:date:digest"), "{against}: {said}");
    }
}
