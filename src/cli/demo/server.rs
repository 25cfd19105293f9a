//! The bank of the demo that has a server of its own: a simulated one behind real SFTP on loopback, open for the year.
//! Our side is the daemon's own: the visitor that its couriers have, by a key and a pinned fingerprint.

use crate::cli::CliError;
use crate::cli::bank::{Credit, Style};
use crate::cli::bank_sim::setup::{Accounts, BankSetup, Setup};
use crate::cli::bank_sim::{Running, make_login, start};
use crate::cli::demo::people::{BANKS, World};
use crate::cli::demo::year::OverSftp;
use crate::config::Bank;
use crate::daemon::bureau::{Bureau, Order, StepError};
use crate::daemon::visiting::Visitor;
use crate::domain::calendar::Date;
use crate::domain::ids::BatchNumber;
use crate::domain::instruction::BatchState;
use crate::store::batches;
use crate::transport::remote::Fault;
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which of the demo's banks it is.
pub const PLACE: usize = 0;

/// Where it lies below the demo's folder.
const FOLDER: &str = "rural-server";

/// The port at which `bank-sim` opens it again, in a folder that is kept.
const PORT: u16 = 2222;

/// A bank whose server is open.
pub struct Server {
    running: Running,
    config: PathBuf,
    /// The configuration as it was before.
    plain: String,
    root: PathBuf,
}

/// Our way to it.
pub struct Line {
    server: Server,
    bank: Bank,
    visitor: Visitor,
    tally: OverSftp,
}

impl Server {
    /// Opens the bank, and writes into the configuration how it is reached.
    pub fn open(dir: &Path, world: &Arc<World>) -> Result<Server, CliError> {
        let (folder, user) = (dir.join(FOLDER), BANKS[PLACE].key);
        let failed = |error| CliError::Io(folder.display().to_string(), error);
        let bank = BankSetup {
            authorized_keys: folder.join("authorized_keys"),
            book_on_debit_date: true,
            accounts: Some(accounts(world.clone())),
            ..BankSetup::new(user, &folder.join(user), Style::Rural)
        };
        let (root, authorized_keys) = (bank.root.clone(), bank.authorized_keys.clone());
        let running = start(&Setup { dir: folder.clone(), listen: (Ipv4Addr::LOCALHOST, 0).into(), banks: vec![bank] });
        let running = running.map_err(failed)?;
        make_login(&folder.join("login_key"), &authorized_keys).map_err(failed)?;
        fs::write(folder.join("SIM.toml"), SIM).map_err(failed)?;
        let config = dir.join("daikou.toml");
        let plain = fs::read_to_string(&config).map_err(failed)?;
        let section = section(running.port, &running.fingerprint);
        fs::write(&config, with_section(&plain, &section)).map_err(failed)?;
        Ok(Server { running, config, plain, root })
    }

    /// Our way to it, for a bureau of that configuration.
    pub fn line(self, bureau: &Bureau) -> Line {
        let bank = bureau.config.banks[PLACE].clone();
        let visitor = Visitor::new(&bank, Arc::default()).expect("its server stands in the configuration");
        let tally = OverSftp { bank: &BANKS[PLACE], sent: 0, fetched: 0, lost: 0, repeated: 0 };
        Line { server: self, bank, visitor, tally }
    }

    /// What the bank wrote into one of its logs.
    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.root.join(name)).unwrap_or_default()
    }
}

impl Line {
    /// The bank's business date of the answers that follow.
    pub fn set_today(&self, today: Date) {
        self.server.running.set_today(today);
    }

    /// The next time the bank misbehaves like this.
    pub fn misbehave_once(&self, word: &str) -> Result<(), CliError> {
        let file = self.server.root.join("misbehave");
        fs::write(&file, format!("once:{word}\n")).map_err(|error| CliError::Io(file.display().to_string(), error))
    }

    /// The bank found out about the rows that it did not know; in how many files it answers.
    pub fn find_out(&self, today: Date) -> Result<usize, CliError> {
        let found = self.server.running.find_out(self.bank.key.as_str(), today);
        found.map_err(|error| CliError::Io(self.server.root.display().to_string(), error))
    }

    /// What this bank shows on the statement of the collection account.
    pub fn credits(&self) -> Vec<Credit> {
        self.server.running.credits(&self.bank.key)
    }

    /// The bank.
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Batches that wait for this bank.
    pub fn released(&self, bureau: &Bureau) -> Result<Vec<BatchNumber>, CliError> {
        let mut waiting = batches::in_states(bureau.store.connection(), &[BatchState::Released])?;
        waiting.retain(|batch| batch.bank == Some(self.bank.number));
        Ok(waiting.into_iter().map(|batch| batch.number).collect())
    }

    /// One visit. A line that breaks is no failure: the next visit looks at what is there, and goes on from that.
    pub fn visit(
        &mut self,
        bureau: &mut Bureau,
        cleared: &BTreeSet<BatchNumber>,
        order: &Order,
    ) -> Result<(), CliError> {
        match self.visitor.visit(bureau, cleared, &|| order.clone()) {
            Ok(visited) => {
                let sent = visited.sent.iter().filter(|report| report.state == BatchState::Sent);
                self.tally.sent += sent.count();
                self.tally.fetched += visited.fetched;
            }
            Err(StepError::Remote(Fault::Lost { .. })) => self.tally.lost += 1,
            Err(error) => return Err(error.into()),
        }
        if let Some((batch, why)) = self.visitor.refused().next() {
            return Err(CliError::Usage(format!("batch {batch}: {why}")));
        }
        match self.server.log("refused.log").lines().find(|line| line.contains(" unsound ")) {
            Some(line) => Err(CliError::Usage(format!("the {} bank refuses {line}", self.bank.key))),
            None => Ok(()),
        }
    }

    /// Closes the bank. The folder is left as a plain one: the bank comes to the drop folders, and a comment says how
    /// it is reached over SFTP again.
    pub fn close(self) -> Result<Closed, CliError> {
        let Server { running, config, plain, .. } = &self.server;
        let again: String = section(PORT, &running.fingerprint).lines().map(|line| format!("#{line}\n")).collect();
        let kept = with_section(plain, &format!("{AGAIN}{again}"));
        fs::write(config, kept).map_err(|error| CliError::Io(config.display().to_string(), error))?;
        let repeated = self.server.log("refused.log").matches(" duplicate-batch ").count();
        Ok(Closed { tally: OverSftp { repeated, ..self.tally }, debited_twice: running.debited_twice() })
    }
}

/// What a year over SFTP came to.
pub struct Closed {
    /// What went to and fro.
    pub tally: OverSftp,
    /// As in [`Running::debited_twice`].
    pub debited_twice: Vec<String>,
}

fn accounts(world: Arc<World>) -> Accounts {
    Accounts(Arc::new(move |asked| world.behaviour(asked.account, asked.times)))
}

/// `[bank.sftp]` of the bank.
fn section(port: u16, fingerprint: &str) -> String {
    format!(
        "[bank.sftp]                       # a simulated bank: `daikou bank-sim`\n\
         host = \"127.0.0.1\"\n\
         port = {port}\n\
         user = \"{}\"\n\
         key = \"{FOLDER}/login_key\"\n\
         host_keys = [\"ssh-ed25519 {fingerprint}\"]\n\
         after = \"delete\"                  # a return file goes once it is booked\n\
         quiet_s = 0                       # it appears whole, by renaming\n",
        BANKS[PLACE].key,
    )
}

/// Below the first bank, where its table ends.
fn with_section(config: &str, section: &str) -> String {
    let next = format!("\n[[bank]]\nkey = \"{}\"", BANKS[PLACE + 1].key);
    config.replacen(&next, &format!("{section}{next}"), 1)
}

const AGAIN: &str = "# The demo reached this bank over SFTP. It is closed now, and its files go through drops/banks/rural. To reach it\n\
                     # over SFTP again, run `daikou bank-sim rural-server/SIM.toml` beside and take the # away below.\n";

const SIM: &str = "# The rural bank of the demo: `daikou bank-sim SIM.toml` opens it again. All of its accounts pay now.\n\
                   listen = \"127.0.0.1:2222\"\n\n\
                   [[bank]]\nuser = \"rural\"\nlayout = \"rural-commercial\"\nbook_on_debit_date = true\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::init::configuration;
    use crate::config;

    #[test]
    fn the_section_belongs_to_the_first_bank_alone() {
        let dir = tempfile::tempdir().unwrap();
        let print = format!("SHA256:{}", "A".repeat(43));
        let path = dir.path().join("daikou.toml");
        fs::write(&path, with_section(&configuration(true), &section(4_711, &print))).unwrap();
        let config = config::load(&path).unwrap();
        let ports: Vec<_> = config.banks.iter().map(|bank| bank.sftp.as_ref().map(|profile| profile.port)).collect();
        assert_eq!(ports, [Some(4_711), None, None]);
        assert!(SIM.contains(&format!(":{PORT}\"")));
    }
}
