//! The program as an operator starts it, and whether its page says all that can be told to it.

use crate::docs::{fields, rows, text};
use daikou::cli::bank::Style;
use daikou::cli::bank_sim::misbehave::{Kind, Number};
use daikou::cli::bank_sim::setup::{Setup, Today};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running program, ended when dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
    command.arg("bank-sim").args(args).current_dir(dir);
    command
}

const SIM: &str = r#"
[[bank]]
user = "rural"
layout = "rural-commercial"
today = "2018-07-05"
misbehave = ["once:drop-after=1000", "sweep"]

[[bank.rule]]
behaviour = "insufficient-funds"
amount_from = "100.00"
amount_to = "200.00"
percent = 50
times = 1

[[bank]]
user = "city"
root = "banks/city"
layout = "city-commercial"
port = 0
password = "secret"
"#;

#[test]
fn it_says_where_it_listens_and_lets_a_key_in() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("SIM.toml"), SIM).unwrap();
    let mut child = program(&["SIM.toml"], dir.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let (rural, city) = (next(), next());
    let _program = Program(child);
    assert!(rural.starts_with("sftp://rural@127.0.0.1:") && city.starts_with("sftp://city@127.0.0.1:"));
    assert_ne!(rural.split(' ').next().unwrap()[22..], city.split(' ').next().unwrap()[21..]);
    assert!(rural.split(' ').nth(1).unwrap().starts_with("SHA256:"));
    assert!(dir.path().join("banks/city/upload").is_dir() && dir.path().join("rural/download").is_dir());

    let (port, key) = (rural.split([':', ' ']).nth(2).unwrap(), dir.path().join("key"));
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    if !made.is_ok_and(|status| status.success()) || !Path::new("/usr/bin/sftp").exists() {
        println!("skipped: openssh-client is not installed");
        return;
    }
    let sftp = |user: &str| {
        let mut command = Command::new("sftp");
        command.args(["-q", "-b", "/dev/null", "-P", port, "-i"]).arg(&key);
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes"] {
            command.args(["-o", option]);
        }
        command.arg(format!("{user}@127.0.0.1")).stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(!sftp("rural"), "its key is not known yet");
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    fs::write(dir.path().join("authorized_keys"), format!("# auditors\nrestrict {public}")).unwrap();
    assert!(sftp("rural") && !sftp("nobody"));
}

#[test]
fn what_is_written_is_what_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("SIM.toml");
    fs::write(&path, SIM).unwrap();
    let setup = Setup::read(&path).unwrap();
    let [rural, city] = setup.banks.as_slice() else { panic!("two banks") };
    assert_eq!((rural.layout, rural.root.as_path()), (Style::Rural, dir.path().join("rural").as_path()));
    assert!(matches!(rural.today, Today::On(_)) && city.today == Today::Request);
    let said: Vec<String> = rural.misbehave.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["once:drop-after=1000", "sweep"]);
    assert_eq!(rural.rules[0].percent, Some(50));
    assert_eq!(city.authorized_keys, dir.path().join("authorized_keys"));
}

#[test]
fn what_cannot_be_is_said_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |from: &str, to: &str| {
        assert!(SIM.contains(from));
        fs::write(dir.path().join("SIM.toml"), SIM.replace(from, to)).unwrap();
        let output = program(&["SIM.toml"], dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{to}");
        String::from_utf8(output.stderr).unwrap()
    };
    let words = refused("once:drop-after=1000", "explode");
    assert!(words.contains("SIM.toml:6:13: explode: no such misbehaviour"), "{words}");
    assert!(refused("2018-07-05", "5 July").contains("SIM.toml:5:9:"));
    assert!(refused("rural-commercial", "mine").contains("expected rural-commercial, postal-savings"));
    assert!(refused("100.00", "a lot").contains("expected yuan"));
    assert!(refused("password", "pass").contains("unknown field"));
    assert!(refused("user = \"city\"", "user = \"rural\"").contains("is here twice"));
    assert!(refused("banks/city", "rural").contains("two banks cannot share a folder"));
    let output = program(&["nowhere.toml"], dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let output = program(&[".", "--listen", "0.0.0.0:0"], dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn its_page_lists_exactly_its_misbehaviours() {
    let forms = |(_, word, number): (Kind, &str, Number)| match number {
        Number::Never => vec![word.to_owned()],
        Number::Always => vec![format!("{word}=N")],
        Number::Optional => vec![word.to_owned(), format!("{word}=N")],
    };
    let all: BTreeSet<String> = Kind::ALL.into_iter().flat_map(forms).collect();
    assert_eq!(rows(&text("docs/bank-sim.md"), "## 故障 · Misbehaviours"), all);
}

#[test]
fn its_page_lists_exactly_its_keys() {
    let (page, source) = (text("docs/bank-sim.md"), text("src/cli/bank_sim/setup.rs"));
    assert_eq!(rows(&page, "## `SIM.toml`"), fields(&source, "Written"));
    let mut keys = fields(&source, "BankSetup");
    assert!(keys.remove("accounts") && keys.remove("rules") && keys.insert("rule".to_owned()));
    assert_eq!(rows(&page, "## `[[bank]]`"), keys);
    assert_eq!(rows(&page, "## `[[bank.rule]]`"), fields(&text("src/cli/bank_sim/rules.rs"), "Rule"));
}
