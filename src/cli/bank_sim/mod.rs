//! `daikou bank-sim`: a bank in a box. It serves two folders over real SFTP, answers instruction files by rule, and
//! misbehaves when it is told to.
//!
//! | file | has |
//! |---|---|
//! | `setup`, `rules`, `misbehave` | what it is told |
//! | `wire` | SSH and SFTP packets |
//! | `session`, `served` | what an SFTP operation does, on which files |
//! | `bank`, `desk` | what the bank knows, answers and publishes |

mod bank;
mod desk;
pub mod misbehave;
mod odd;
pub mod rules;
mod served;
mod session;
pub mod setup;
mod wire;

use crate::cli::bank::{Credit, Style};
use crate::cli::out::say;
use crate::cli::{CliError, Exit, Ran};
use crate::domain::calendar::Date;
use crate::telemetry::{LogFormat, log_to_stderr};
use bank::Bank;
use setup::Setup;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use wire::{HostKeys, Port, serve};

/// Arguments of `bank-sim`.
#[derive(Debug, clap::Args)]
pub struct BankSimArgs {
    /// SIM.toml; or a folder for one bank whose accounts all pay
    #[arg(value_name = "SIM.toml|DIR")]
    path: PathBuf,
    /// Loopback address, port 0 for any (default: the one in SIM.toml, else any port)
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// With a folder: the shipped layout of the bank
    #[arg(long, value_name = "LAYOUT", default_value = "rural-commercial", value_parser = layout)]
    layout: Style,
    /// With a folder: who logs in
    #[arg(long, value_name = "NAME", default_value = "daikou")]
    user: String,
    /// off, error, warn, info, debug, trace, or target=level pairs with commas
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

/// How often a bank looks at its clock.
const TICK: Duration = Duration::from_millis(50);

/// How long callers may take to leave when the bank closes.
const CLOSING: Duration = Duration::from_millis(500);

/// A simulated bank that is open. It closes when this is dropped.
pub struct Running {
    /// The port that all banks share which have none of their own.
    pub port: u16,
    /// The host key, as `ssh-keygen -l` shows it: `SHA256:…`.
    pub fingerprint: String,
    ports: HashMap<String, u16>,
    banks: Vec<Arc<Bank>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Runs `bank-sim` until it is interrupted.
pub fn run(args: &BankSimArgs) -> Ran {
    log_to_stderr(LogFormat::Text, &args.log_level).map_err(|error| CliError::Usage(error.to_string()))?;
    let is_written = args.path.is_file() || args.path.extension().is_some_and(|ending| ending == "toml");
    let mut setup = match is_written {
        true => Setup::read(&args.path).map_err(CliError::Configuration)?,
        false => Setup::of_folder(&args.path, &args.user, args.layout),
    };
    setup.listen = args.listen.unwrap_or(setup.listen);
    let problems = setup.problems();
    if !problems.is_empty() {
        return Err(CliError::Usage(problems.join("; ")));
    }
    for bank in setup.banks.iter().filter(|bank| bank.password.is_none() && !bank.authorized_keys.exists()) {
        tracing::warn!(
            "nobody can log in as {} yet: put a public key into {}",
            bank.user,
            bank.authorized_keys.display()
        );
    }
    let running = start(&setup).map_err(|error| CliError::Io(args.path.display().to_string(), error))?;
    let lines: String = running.addresses().iter().map(|line| format!("{line}\n")).collect();
    say(&lines).map_err(|error| CliError::Io("standard output".to_owned(), error))?;
    running.wait();
    Ok(Exit::Done)
}

/// Opens a simulated bank in a thread of its own. It takes connections when this returns.
///
/// # Errors
/// A folder that cannot be made, a port that is taken, a host key that cannot be read.
pub fn start(setup: &Setup) -> io::Result<Running> {
    fs::create_dir_all(&setup.dir)?;
    let keys = Arc::new(HostKeys::open(&setup.dir.join("host_key"))?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(64)
        .thread_name("bank-sim")
        .enable_all()
        .build()?;
    let entered = runtime.enter();
    let mut listeners: Vec<(TcpListener, HashMap<String, Arc<Bank>>)> = vec![(listen(setup.listen)?, HashMap::new())];
    let (mut banks, mut ports) = (Vec::new(), HashMap::new());
    for one in &setup.banks {
        let bank = Arc::new(Bank::open(one)?);
        if let Some(port) = one.port {
            listeners.push((listen((Ipv4Addr::LOCALHOST, port).into())?, HashMap::new()));
        }
        let place = if one.port.is_some() { listeners.len() - 1 } else { 0 };
        ports.insert(one.user.clone(), listeners[place].0.local_addr()?.port());
        listeners[place].1.insert(one.user.clone(), bank.clone());
        banks.push(bank);
    }
    drop(entered);
    let port = listeners[0].0.local_addr()?.port();
    let fingerprint = keys.fingerprint.clone();
    let (stop, stopped) = oneshot::channel();
    let clock = banks.clone();
    let thread = std::thread::Builder::new().name("bank-sim".to_owned()).spawn(move || {
        for (listener, banks) in listeners {
            runtime.spawn(serve(listener, Arc::new(Port { keys: keys.clone(), banks })));
        }
        runtime.spawn(watch_the_clock(clock));
        // It stops when it is told to, or when nobody can tell it any more.
        let _ = runtime.block_on(stopped);
        runtime.shutdown_timeout(CLOSING);
    })?;
    Ok(Running { port, fingerprint, ports, banks, stop: Some(stop), thread: Some(thread) })
}

/// Makes a key to log in with: the private key into a file that nobody else may read, the public one into
/// `authorized_keys`.
///
/// # Errors
/// One of the files cannot be written.
pub fn make_login(key: &Path, authorized_keys: &Path) -> io::Result<()> {
    fs::write(authorized_keys, wire::make_key(key)?)
}

impl Running {
    /// One line for each bank: `sftp://USER@127.0.0.1:PORT SHA256:…`.
    pub fn addresses(&self) -> Vec<String> {
        let users = self.banks.iter().map(|bank| &bank.setup.user);
        users.map(|user| format!("sftp://{user}@127.0.0.1:{} {}", self.port_of(user), self.fingerprint)).collect()
    }

    /// The port at which a user calls.
    pub fn port_of(&self, user: &str) -> u16 {
        self.ports.get(user).copied().unwrap_or(self.port)
    }

    /// Another business date for all banks from here on.
    pub fn set_today(&self, today: Date) {
        self.banks.iter().for_each(|bank| bank.desk().set_today(today));
    }

    /// A bank found out about the rows that it did not know, and answers them again; in how many files.
    ///
    /// # Errors
    /// The answers cannot be written.
    pub fn find_out(&self, user: &str, today: Date) -> io::Result<usize> {
        let found = self.banks.iter().filter(|bank| bank.setup.user == user);
        found.map(|bank| bank.desk().find_out(today)).sum()
    }

    /// What the statement of a bank shows since it was started.
    pub fn credits(&self, user: &str) -> Vec<Credit> {
        let found = self.banks.iter().filter(|bank| bank.setup.user == user);
        found.flat_map(|bank| bank.desk().bank().credits().to_vec()).collect()
    }

    /// Instructions by which somebody was debited a second time for one fee year, at any bank, since it was started.
    pub fn debited_twice(&self) -> Vec<String> {
        self.banks.iter().flat_map(|bank| bank.desk().bank().debited_twice().to_vec()).collect()
    }

    /// Waits until the process is interrupted.
    fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // The thread ends with the process.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn watch_the_clock(banks: Vec<Arc<Bank>>) {
    loop {
        tokio::time::sleep(TICK).await;
        banks.iter().for_each(|bank| bank.look_at_the_clock());
    }
}

fn layout(text: &str) -> Result<Style, String> {
    text.to_owned().try_into()
}
