//! The same for a bureau that has settled: settlements, lists of ex-post subsidies, payers' money.

use super::{Copy, copy, played};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// The played year, settled twice; one payer has sent what it owed, another a part and then too much of a year.
fn settled() -> &'static Path {
    static SETTLED: OnceLock<tempfile::TempDir> = OnceLock::new();
    SETTLED
        .get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let home = dir.path().join("bureau");
            copy(&played().join("bureau"), &home);
            let daikou = |today: &str, args: &[&str]| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
                command.arg("--config").arg(home.join("daikou.toml")).args(["--today", today]).args(args);
                let output = command.output().unwrap();
                assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8(output.stdout).unwrap()
            };
            daikou("2019-02-11", &["settle", "--year", "2018"]);
            daikou("2019-02-11", &["expost", "--year", "2018"]);
            let claims = daikou("2019-02-11", &["export", "claims", "--year", "2018"]);
            let mut table = String::from("payer,district,settlement_year,amount,received_on,reference\n");
            for (place, claim) in csv::Reader::from_reader(claims.as_bytes()).records().map(Result::unwrap).enumerate()
            {
                let (payer, district, deemed) = (&claim[1], &claim[2], &claim[5]);
                let amount = ["10.00", deemed, "99999.00"][place.min(2)];
                table.push_str(&format!("{payer},{district},2018,{amount},2019-02-12,HK0{place}\n"));
            }
            let path = dir.path().join("transfers.csv");
            fs::write(&path, table).unwrap();
            daikou("2019-02-12", &["ingest", "--from", "bureau", path.to_str().unwrap()]);
            daikou("2019-09-03", &["settle", "--year", "2019"]);
            dir
        })
        .path()
}

const BREAKS: &[(&str, &[&str], &str)] = &[
    // I5: more, less or something else cleared than was posted; a settlement in a state that its sums do not give it.
    ("UPDATE clearing SET amount = amount - 100", &["I5"], "are owed"),
    (
        "DELETE FROM clearing WHERE settlement = (SELECT id FROM settlement WHERE state = 2 AND year = 2018)",
        &["I5"],
        "expected an approved settlement of this payer",
    ),
    ("UPDATE clearing SET amount = 100000000", &["I5"], "to be cleared, found 1000000.00"),
    ("UPDATE settlement SET state = 3 WHERE state = 2", &["I5"], "it is cleared, and"),
    ("UPDATE transfer SET amount = amount + 1", &["I5"], "what it does not move"),
    // I9: a claim that is lost, doubled, changed, of another payer; other sums, other bytes, no approval.
    (
        "DELETE FROM settlement_item WHERE kind = 0 AND item =
         (SELECT item FROM settlement_item WHERE kind = 0 AND settlement = (SELECT min(id) FROM settlement) LIMIT 1)",
        &["I9"],
        "is left out",
    ),
    (
        "UPDATE settlement_item SET amount = amount + 1 WHERE kind = 0",
        &["I9"],
        "a deemed entry that the ledger does not have so",
    ),
    (
        "UPDATE settlement_item SET amount = amount + 1 WHERE kind = 1",
        &["I9"],
        "an ex-post subsidy that the ledger does not have so",
    ),
    (
        "UPDATE settlement_item SET settlement = (SELECT max(id) FROM settlement)
         WHERE settlement = (SELECT min(id) FROM settlement)",
        &["I9"],
        "that the ledger does not have so",
    ),
    ("UPDATE settlement SET ex_post = ex_post + 100", &["I9"], "ex-post, found"),
    ("UPDATE settlement_item SET name = '某人'", &["I9"], "made again, its bytes are not those of its digest"),
    ("DELETE FROM approval WHERE kind = 'settlement'", &["I9"], "nobody approved its digest"),
    ("UPDATE ex_post SET name = '某人'", &["I9"], "made again, its bytes are not those of its digest"),
    ("UPDATE ex_post SET list = NULL, name = '' WHERE state = 1", &["I9"], "made again"),
    ("DELETE FROM ex_post_list", &["I9"], "on no list of its payer"),
    ("DELETE FROM settlement WHERE year = 2019", &["I9"], "counted by a settlement that is not there"),
    // An ex-post subsidy that is nowhere any more: the whole tier came, and nobody gets the government part.
    ("DELETE FROM ex_post", &["I3", "I9"], "that the ledger does not have so"),
];

#[test]
fn a_settled_bureau_passes() {
    let copy = Copy::of(settled());
    assert_eq!(copy.broken(), (Vec::new(), String::new()));
    let conn = copy.store();
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(count("SELECT count(*) FROM settlement WHERE state = 3") > 0);
    assert!(count("SELECT count(*) FROM claim WHERE kind = 1") > 0);
    // Everything of the year is settled, each once.
    assert_eq!(count("SELECT count(*) FROM claim"), count("SELECT count(*) FROM settlement_item"));
}

#[test]
fn every_break_of_a_settlement_is_seen() {
    let mut wrong = Vec::new();
    for (sql, expected, says) in BREAKS {
        let copy = Copy::of(settled());
        copy.tamper(sql, true);
        let (found, words) = copy.broken();
        if found != *expected || !words.contains(says) {
            wrong.push(format!("{sql}\n  expected {expected:?} saying {says:?}\n  found {found:?} saying {words}"));
        }
    }
    assert!(wrong.is_empty(), "{} breaks\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn what_went_to_payers_is_read_again() {
    for part in [".names.csv", ".summary.csv", "expost-"] {
        let copy = Copy::of(settled());
        let path = find(&copy.home().join("state/archive"), part).expect("it is in the archive");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "something else").unwrap();
        let (found, words) = copy.broken();
        assert!(found == ["I9"] && words.contains("are not those that went out"), "{part}: {found:?} {words}");
        fs::remove_file(&path).unwrap();
        assert_eq!(copy.broken().0, ["I9"], "{part}");
    }
}

/// The first file below a folder in whose name this stands, and which is no workbook.
fn find(folder: &Path, part: &str) -> Option<std::path::PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    entries.into_iter().find_map(|path| match path.is_dir() {
        true => find(&path, part),
        false => {
            let name = path.file_name()?.to_string_lossy().into_owned();
            (name.contains(part) && name.ends_with(".csv")).then_some(path)
        }
    })
}

#[test]
fn what_is_approved_never_moves() {
    let copy = Copy::of(settled());
    let conn = rusqlite::Connection::open(copy.home().join("state/daikou.db")).unwrap();
    for sql in ["DELETE FROM settlement_item", "UPDATE settlement_item SET amount = 0", "DELETE FROM clearing"] {
        assert!(conn.execute(sql, []).is_err(), "{sql}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_delays_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    copy(&played().join("bureau"), &dir.path().join("bureau"));
    let home = dir.path().join("bureau");
    let daikou = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        command.arg("--config").arg(home.join("daikou.toml")).args(["--today", "2019-09-11"]).args(args);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    // Something else lies where the settlement is to go: it is neither overwritten nor taken for sent.
    // The autumn of 2018: what was posted after the settlement that the year itself has had. Who owes of it says a receivable.
    let entries = daikou(&["export", "entries"]).1;
    let mut autumn = entries.lines().filter(|line| line.contains("receivable/") && line.contains(",deemed,2018-1"));
    let owing =
        autumn.next_back().and_then(|line| line.split("receivable/").nth(1)).and_then(|rest| rest.split(',').next());
    let (payer, code) = owing.and_then(|text| text.split_once('/')).expect("somebody owes of the autumn");
    let name = format!("settlement-2019-{payer}-{code}.names.csv");
    let taken = home.join("drops/departments").join(payer).join(code).join("out").join(&name);
    fs::create_dir_all(taken.parent().unwrap()).unwrap();
    fs::write(&taken, "not ours").unwrap();
    let states =
        || daikou(&["export", "claims", "--year", "2019"]).1.lines().filter(|line| line.contains(",approved,")).count();
    assert!(daikou(&["settle", "--year", "2019"]).0);
    assert_eq!((states(), fs::read_to_string(&taken).unwrap().as_str()), (1, "not ours"));
    fs::remove_file(&taken).unwrap();
    assert!(daikou(&["settle", "--year", "2019"]).0);
    assert_eq!(states(), 0);
    assert!(fs::read_to_string(&taken).unwrap().contains("身份证号"));
    assert!(daikou(&["audit"]).0);
}

#[test]
fn the_commands_say_it_for_machines() {
    let copy = Copy::of(settled());
    let json = |args: &[&str]| -> serde_json::Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        command
            .arg("--config")
            .arg(copy.home().join("daikou.toml"))
            .args(["--today", "2019-09-04", "--json"])
            .args(args);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let said = json(&["settle", "--year", "2018"]);
    let settlements = said["settlements"].as_array().unwrap();
    assert!(said["warnings"].is_array() && !settlements.is_empty());
    for one in settlements {
        assert_eq!((&one["settlement_year"], one["digest"].as_str().map(str::len)), (&2018.into(), Some(64)));
        for key in ["payer", "district", "deemed", "ex_post", "state"] {
            assert!(one[key].is_string(), "{key}: {one}");
        }
        assert!(one["people"].as_u64() > Some(0), "{one}");
    }
    assert_eq!(json(&["expost", "--year", "2018"])["lists"], serde_json::json!([]));
    // What a settlement says is what its lines add up to.
    let lines = json(&["export", "settlement", "--year", "2018"]);
    let fen = |value: &serde_json::Value| value.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
    for one in settlements {
        let of_it = lines
            .as_array()
            .unwrap()
            .iter()
            .filter(|line| line["payer"] == one["payer"] && line["district"] == one["district"]);
        let sum: i64 = of_it.map(|line| fen(&line["amount"])).sum();
        assert_eq!(sum, fen(&one["deemed"]) + fen(&one["ex_post"]), "{one}");
    }
}
