//! `daikou init DIR`: a commented configuration with three banks, its drop tree, and copies of all built-in data.

use crate::config::BUILT_IN;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Why a folder was not set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Nothing that is there is ever touched.
    #[error("{0}: expected a missing or empty folder, found files in it; choose another or empty it")]
    NotEmpty(PathBuf),
    /// The file system said no.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// A missing or empty folder
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Nothing waits for another person: for demonstrations and tests
    #[arg(long)]
    pub unattended: bool,
}

/// Runs `init`.
pub fn run(args: &InitArgs) -> crate::cli::Ran {
    set_up(&args.dir, args.unattended)?;
    println!("{}: set up; next: edit daikou.toml, then `daikou --config {0}/daikou.toml check`", args.dir.display());
    Ok(crate::cli::Exit::Done)
}

/// Sets up a folder with its empty store.
pub fn set_up(dir: &Path, unattended: bool) -> Result<(), crate::cli::CliError> {
    let formats = crate::config::layouts::shipped_files();
    let formats: Vec<(&str, &str)> = formats.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    init(dir, unattended, &formats).map_err(|error| match error {
        InitError::NotEmpty(_) => crate::cli::CliError::Usage(error.to_string()),
        InitError::Io(path, error) => crate::cli::CliError::Io(path.display().to_string(), error),
    })?;
    crate::store::Store::create(&crate::daemon::bureau::store_path(&dir.join("state")))?;
    Ok(())
}

/// Sets up `dir`. `formats` are the built-in bank layouts, relative path (`formats/…`) and text. With `unattended`
/// nothing waits for another person (R21), which is for demonstrations and tests.
pub fn init(dir: &Path, unattended: bool, formats: &[(&str, &str)]) -> Result<(), InitError> {
    refuse_used(dir)?;
    for folder in tree() {
        create_folder(&dir.join(folder), 0o755)?;
    }
    create_folder(&dir.join("state"), 0o700)?;
    for (path, text) in BUILT_IN.iter().chain(formats) {
        write(&dir.join(path), text)?;
    }
    // Last: a folder with a configuration is a folder that is whole.
    write(&dir.join("daikou.toml"), &configuration(unattended))
}

/// The drop folders of the configuration that is written here.
fn tree() -> Vec<String> {
    let counterparties = ["departments/civil-affairs/500199", "bureau", "banks/rural", "banks/postal", "banks/city"];
    let both = |folder| ["in", "out"].map(|side| format!("drops/{folder}/{side}"));
    counterparties.into_iter().flat_map(both).collect()
}

fn refuse_used(dir: &Path) -> Result<(), InitError> {
    match fs::read_dir(dir).map(Iterator::count) {
        Ok(0) => Ok(()),
        Ok(_) => Err(InitError::NotEmpty(dir.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(InitError::Io(dir.to_owned(), error)),
    }
}

fn create_folder(path: &Path, mode: u32) -> Result<(), InitError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|error| InitError::Io(path.to_owned(), error))
}

fn write(path: &Path, text: &str) -> Result<(), InitError> {
    if let Some(folder) = path.parent() {
        create_folder(folder, 0o755)?;
    }
    fs::write(path, text).map_err(|error| InitError::Io(path.to_owned(), error))
}

/// The text of `daikou.toml`.
pub fn configuration(unattended: bool) -> String {
    let approvals = if unattended { APPROVALS.replace("= \"second\"", "= \"none\"  ") } else { APPROVALS.to_owned() };
    format!("{CONFIGURATION}{approvals}")
}

const CONFIGURATION: &str = include_str!("init/daikou.toml");
const APPROVALS: &str = include_str!("init/approvals.toml");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Approval, Approvals};

    #[test]
    fn what_is_written_can_be_run() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("bureau");
        init(&dir, false, &[("formats/x/layout.toml", "x")]).unwrap();
        let config = config::load(&dir.join("daikou.toml")).unwrap();
        let banks: Vec<_> = config.banks.iter().map(|bank| (bank.number.0, bank.key.as_str())).collect();
        assert_eq!(banks, [(1, "rural"), (2, "postal"), (3, "city")]);
        assert_eq!(config.banks[2].header["rtn_days"], "5");
        assert_eq!(config.approvals, Approvals::default());
        assert_eq!(fs::read_to_string(dir.join("formats/x/layout.toml")).unwrap(), "x");
        assert!(dir.join("drops/departments/civil-affairs/500199/out").is_dir());
    }

    #[test]
    fn unattended_waits_for_nobody() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path(), true, &[]).unwrap();
        let config = config::load(&dir.path().join("daikou.toml")).unwrap();
        assert_eq!(config.approvals, Approvals::all(Approval::None));
    }

    #[test]
    fn a_folder_in_use_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "1").unwrap();
        assert!(matches!(init(dir.path(), true, &[]), Err(InitError::NotEmpty(_))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
