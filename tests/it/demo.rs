//! The demo as a person runs it: the same seed gives the same year, one bank is reached over SFTP, and the folder that
//! stays is one on which every command works.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A year that is kept.
struct Kept {
    dir: tempfile::TempDir,
    said: Value,
}

impl Kept {
    fn play(seed: &str) -> Kept {
        let dir = tempfile::tempdir().unwrap();
        let mut demo = Command::new(env!("CARGO_BIN_EXE_daikou"));
        demo.args(["--json", "demo", "--people", "600", "--seed", seed, "--dir"]).arg(dir.path().join("bureau"));
        let output = demo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Kept { dir, said: serde_json::from_slice(&output.stdout).unwrap() }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("bureau")
    }

    fn daikou(&self, args: &[&str]) -> Output {
        daikou(&self.home().join("daikou.toml"), args)
    }

    fn export(&self, what: &str) -> String {
        String::from_utf8(self.daikou(&["export", what]).stdout).unwrap()
    }
}

fn daikou(config: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daikou")).arg("--config").arg(config).args(args).output().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_year() {
    let (one, two, other) = (Kept::play("7"), Kept::play("7"), Kept::play("8"));
    assert_eq!(one.said, two.said);
    // The audit log holds the digest of the configuration, and with it the key of a server that was open for this year.
    for what in [
        "plans",
        "batches",
        "instructions",
        "returns",
        "entries",
        "balance",
        "exceptions",
        "files",
        "settlement",
        "statement",
    ] {
        assert_eq!(one.export(what), two.export(what), "{what}");
    }
    assert_ne!(one.export("instructions"), other.export("instructions"));
}

#[test]
fn every_command_works_on_the_folder_that_stays() {
    let kept = Kept::play("1");
    assert_eq!(kept.said["audit"], "ok");
    // The settlement of what was booked by 31 August is out, and every batch stands on the account's statement.
    let claims = kept.export("claims");
    assert!(claims.lines().count() > 6 && claims.lines().skip(1).all(|line| line.contains(",sent,")), "{claims}");
    assert!(kept.export("expost").contains(",listed\n"));
    let differences = kept.export("differences");
    assert!(!differences.lines().any(|line| line.starts_with("statement,ours-only")), "{differences}");
    for args in [&["check"][..], &["audit"], &["status"], &["exceptions"], &["send"], &["export", "balance"]] {
        let output = kept.daikou(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[cfg(feature = "bank-sim")]
#[test]
fn one_bank_was_reached_over_sftp_and_can_be_again() {
    use daikou::cli::bank_sim::{setup::Setup, start};
    use std::fs;

    let kept = Kept::play("1");
    let server = kept.home().join("rural-server");
    let received = fs::read_to_string(server.join("rural/received.log")).unwrap().lines().count();
    // One answer came cut first, one came again; once the line broke when our file had its name.
    let over_sftp = serde_json::json!({
        "bank": "rural", "sent": received, "fetched": received + 2, "lost": 1, "repeated": 0
    });
    assert!(received > 1);
    assert_eq!(kept.said["sftp"], over_sftp);
    assert!(!server.join("rural/refused.log").exists());
    for folder in
        ["state/fetched/rural", "drops/banks/rural/in", "drops/banks/rural/out", "rural-server/rural/download"]
    {
        assert_eq!(fs::read_dir(kept.home().join(folder)).unwrap().count(), 0, "{folder}");
    }

    let config = kept.home().join("daikou.toml");
    let text = fs::read_to_string(&config).unwrap();
    let mut setup = Setup::read(&server.join("SIM.toml")).unwrap();
    assert!(text.contains(&format!("\n#port = {}\n", setup.listen.port())));
    setup.listen.set_port(0);
    let running = start(&setup).unwrap();
    let there = text.lines().map(|line| match line.strip_prefix('#') {
        Some(line) if line.starts_with("port") => format!("port = {}\n", running.port),
        Some(line) if !line.starts_with(' ') => format!("{line}\n"),
        _ => format!("{line}\n"),
    });
    fs::write(&config, there.collect::<String>()).unwrap();
    let (check, doctor) = (kept.daikou(&["check"]), kept.daikou(&["doctor", "rural", "--rehearse"]));
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
    assert_eq!(doctor.status.code(), Some(0), "{}", String::from_utf8_lossy(&doctor.stdout));
}

/// Everybody's name, number and account, as the exports have them whole.
fn people(kept: &Kept) -> Vec<String> {
    let mut known = Vec::new();
    for what in ["participants", "plans", "instructions", "exceptions"] {
        let text = kept.export(what);
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        let personal = ["id_number", "name", "account", "account_name"];
        let headers = rows.headers().unwrap().clone();
        let columns: Vec<usize> = (0..headers.len()).filter(|column| personal.contains(&&headers[*column])).collect();
        for row in rows.records().map(Result::unwrap) {
            known.extend(columns.iter().map(|column| row[*column].to_owned()).filter(|text| !text.is_empty()));
        }
    }
    known.sort();
    known.dedup();
    known
}

/// Everything of every part, as text and as JSON; of the simulated bank's own server, which is no part of ours and writes
/// down packets, all but that.
#[test]
fn the_log_of_a_whole_year_says_of_nobody_who_it_is() {
    std::thread::scope(|scope| {
        scope.spawn(|| names_nobody("text"));
        names_nobody("json");
    });
}

fn names_nobody(shape: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_daikou"));
    demo.args(["--json", "demo", "--people", "600", "--log", shape, "--dir"]).arg(dir.path().join("bureau"));
    let output = demo.args(["--log-level", "trace,russh=debug,russh_sftp=debug"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = Kept { dir, said: serde_json::from_slice(&output.stdout).unwrap() };
    let log = String::from_utf8(output.stderr).unwrap();
    let ours: Vec<&str> = log.lines().filter(|line| line.contains("daikou::")).collect();
    assert!(ours.len() > 20, "a year has a log: {log}");
    assert_eq!(ours.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()), shape == "json");
    let known = people(&kept);
    assert!(known.len() > 1_500, "{}", known.len());
    let named: Vec<&String> = known.iter().filter(|text| log.contains(*text)).collect();
    assert!(named.is_empty(), "{named:?}");
    // Also without a separator or as bytes of a packet: no run of digits is as long as an account or an ID number.
    let digits = log.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() == 18 || run.len() == 19);
    assert_eq!(digits.collect::<Vec<_>>(), [""; 0]);
}
