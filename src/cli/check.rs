//! `daikou check`: everything that is wrong with the configuration and with the folders it names, all at once.

mod served;

use crate::config::{self, Config, Problem, Served};
use crate::daemon::bureau::store_path;
use crate::daemon::inboxes::{Inbox, inboxes};
use crate::daemon::outstanding::contradictions;
use crate::domain::calendar::Date;
use crate::domain::participant::BankNumber;
use crate::format::encode::check_bank;
use crate::format::layout::Layout;
use crate::store::Store;
use crate::transport::sftp::SftpRemote;
use crate::transport::watchdog::Watchdog;
use rustix::fs::{Access, access, statvfs};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What `check` found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Wrong in configuration, policy or calendar: the program cannot run.
    pub configuration: Vec<Problem>,
    /// Wrong around it: folders, permissions, disk.
    pub outside: Vec<String>,
}

impl Findings {
    /// 78 for the configuration, 1 for findings outside it, 0 for none.
    pub fn exit_code(&self) -> u8 {
        match (self.configuration.is_empty(), self.outside.is_empty()) {
            (false, _) => 78,
            (true, false) => 1,
            (true, true) => 0,
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.configuration.iter().try_for_each(|problem| writeln!(f, "{problem}"))?;
        self.outside.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

/// Runs `check`.
pub fn run(context: &crate::cli::Context) -> crate::cli::Ran {
    let (config, mut findings) = check(&context.config);
    if let Some(config) = &config {
        match crate::daemon::bureau::load_layouts(config) {
            Ok(layouts) => findings.configuration.extend(wrong_header_values(config, &layouts, &context.config)),
            Err(error) => findings.configuration.push(Problem::of_file("formats", error.to_string())),
        }
        findings.outside.extend(unreachable(config));
        match against_the_store(config) {
            Ok(found) => findings.outside.extend(found),
            Err(error) => findings.outside.push(error.to_string()),
        }
    }
    if context.json {
        let configuration: Vec<String> = findings.configuration.iter().map(ToString::to_string).collect();
        let ok = findings.exit_code() == 0;
        context
            .print_json(&serde_json::json!({ "ok": ok, "configuration": configuration, "outside": findings.outside }));
    } else if findings.exit_code() == 0 {
        println!("{}: everything is in order", context.config.display());
    } else {
        eprint!("{findings}");
    }
    Ok(match findings.exit_code() {
        0 => crate::cli::Exit::Done,
        1 => crate::cli::Exit::Findings,
        _ => crate::cli::Exit::Configuration,
    })
}

/// What a bank's layout needs of `[bank.header]` and does not get, or cannot write: found here, not when the first
/// batch is drafted.
fn wrong_header_values(config: &Config, layouts: &BTreeMap<BankNumber, Layout>, file: &Path) -> Vec<Problem> {
    let banks = config.banks.iter().filter_map(|bank| Some((bank, layouts.get(&bank.number)?)));
    let wrong = banks.flat_map(|(bank, layout)| {
        let faults = check_bank(layout, &bank.header).into_iter();
        faults.map(|fault| format!("bank {}: {fault}", bank.key))
    });
    wrong.map(|words| Problem::of_file(file.display().to_string(), words)).collect()
}

/// The store can be opened, and what is out there still fits the configuration.
fn against_the_store(config: &Config) -> crate::store::Result<Vec<String>> {
    let store = Store::open(&store_path(&config.state))?;
    Ok(contradictions(config, store.connection())?.into_iter().map(|(_, words)| words).collect())
}

/// Banks' own servers that cannot be reached, or do not let us in; all are asked at once. What we lack ourselves is said
/// before anybody is asked.
fn unreachable(config: &Config) -> Vec<String> {
    let servers = config.banks.iter().filter_map(|bank| Some((bank.key.clone(), bank.sftp.clone()?)));
    let (able, lacking): (Vec<_>, Vec<_>) = servers
        .map(|(key, profile)| {
            let fault = profile.login.secrets().find_map(|secret| secret.read().err());
            (key, profile, fault)
        })
        .partition(|(_, _, fault)| fault.is_none());
    let lacks = lacking.into_iter().filter_map(|(key, _, fault)| Some(format!("bank {key}: {}", fault?)));
    let asked: Vec<_> = able
        .into_iter()
        .map(|(key, profile, _)| {
            (key, std::thread::spawn(move || SftpRemote::connect(&profile, &Watchdog::default()).err()))
        })
        .collect();
    let failed = asked.into_iter().filter_map(|(key, asked)| Some((key, asked.join().ok()??)));
    lacks.chain(failed.map(|(key, fault)| format!("bank {key}: {fault}; `daikou doctor {key}` says more"))).collect()
}

/// Checks a configuration file and the folders around it. The configuration comes back too, for the checks of
/// rooms that know more (layouts, store, bank connections).
pub fn check(path: &Path) -> (Option<Config>, Findings) {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(configuration) => return (None, Findings { configuration, outside: Vec::new() }),
    };
    let configuration = uncovered_years(&config).map(|text| Problem::of_file("calendars", text)).collect();
    let outside = outside(&config);
    (Some(config), Findings { configuration, outside })
}

/// Fee years, and the years after them in which they are answered and settled, must be in a calendar.
fn uncovered_years(config: &Config) -> impl Iterator<Item = String> {
    let fee_years = config.policies.0.iter().flat_map(|policy| policy.years.iter().map(|year| year.fee_year));
    let mut years: Vec<i16> = fee_years.flat_map(|year| [year, year + 1]).collect();
    years.sort_unstable();
    years.dedup();
    let missing = |year: i16| config.working_days.is_working_day(Date::constant(year, 1, 1)).err();
    years.into_iter().filter_map(missing).map(|past| past.to_string())
}

fn outside(config: &Config) -> Vec<String> {
    let mut findings = Vec::new();
    for folder in counterparties(config) {
        for side in ["in", "out"] {
            findings.extend(usable(&folder.join(side)));
        }
    }
    if config.served == Served::Chroot {
        findings.extend(served::findings(config));
    }
    match usable(&config.state) {
        Some(finding) => findings.push(finding),
        None => findings.extend(private(&config.state).into_iter().chain(room(config))),
    }
    findings
}

/// Every folder that is one counterparty's whole world; a department's too, if it has one without being expected.
pub fn counterparties(config: &Config) -> Vec<PathBuf> {
    let here = |inbox: &Inbox| inbox.path.starts_with(&config.drops);
    let inboxes = inboxes(config).into_iter().filter(here);
    inboxes.filter_map(|inbox| inbox.path.parent().map(Path::to_owned)).collect()
}

fn usable(folder: &Path) -> Option<String> {
    let shown = folder.display();
    if !folder.is_dir() {
        return Some(format!("{shown}: expected a folder; make it, or take its counterparty out of the configuration"));
    }
    access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .err()
        .map(|error| format!("{shown}: expected to read and write here: {error}; give the daemon's user access"))
}

/// The state folder holds identity numbers and accounts: nobody else may look into it.
fn private(state: &Path) -> Option<String> {
    let mode = fs::metadata(state).ok()?.mode();
    (mode & 0o007 != 0).then(|| {
        format!("{}: expected no access for others, found mode {:03o}; chmod o= it", state.display(), mode & 0o777)
    })
}

/// A full disk stops the bank's answers: said while there is room to act, well above where intake pauses.
fn room(config: &Config) -> Option<String> {
    let disk = statvfs(&config.state).ok()?;
    let free_mib = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
    let wanted = config.least_free_mb.saturating_mul(8).max(LEAST_FREE_MIB);
    let words = || format!("{}: expected {wanted} MiB free, found {free_mib}; free some room", config.state.display());
    (free_mib < wanted).then(words)
}

/// Asked for also where intake is told to go on to the last byte.
const LEAST_FREE_MIB: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::init::init;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_fresh_folder_has_no_findings() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path(), false, &[]).unwrap();
        let (config, findings) = check(&dir.path().join("daikou.toml"));
        assert_eq!((config.is_some(), findings.exit_code(), findings.to_string().as_str()), (true, 0, ""));
    }

    #[test]
    fn folders_are_all_named() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path(), false, &[]).unwrap();
        fs::remove_dir_all(dir.path().join("drops/banks/city")).unwrap();
        fs::set_permissions(dir.path().join("state"), fs::Permissions::from_mode(0o755)).unwrap();
        let (_, findings) = check(&dir.path().join("daikou.toml"));
        assert_eq!((findings.exit_code(), findings.outside.len()), (1, 3));
        assert!(findings.outside[2].contains("found mode 755"), "{findings}");
    }

    #[test]
    fn the_configuration_comes_first() {
        let (config, findings) = check(Path::new("/nonexistent/daikou.toml"));
        assert_eq!((config.is_none(), findings.exit_code()), (true, 78));
    }
}
