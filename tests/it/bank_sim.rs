//! The bank in a box, as an SFTP client sees it: it takes, answers, remembers, and misbehaves as its page says.

use daikou::cli::bank::Style;
use daikou::cli::bank_sim::setup::{BankSetup, Setup};
use daikou::cli::bank_sim::{Running, start};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const RURAL: &str = "NSH_500199000001_20180705_00000001.REQ";
const RURAL_ANSWER: &str = "NSH_500199000001_20180705_00000001.RSP";

/// How long a client waits for one answer of a server that does not answer.
const TIRED: Duration = Duration::from_millis(700);

const PATIENCE: Duration = Duration::from_secs(30);

/// A simulated bank in a folder of its own.
struct Sim {
    running: Running,
    root: PathBuf,
    _dir: tempfile::TempDir,
}

impl Sim {
    /// One bank, with changes to its good manners.
    fn open(layout: Style, change: impl FnOnce(&mut BankSetup)) -> Sim {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("bank");
        let mut bank = bank("teller", &root, layout);
        change(&mut bank);
        let running = start(&setup(dir.path(), vec![bank])).unwrap();
        Sim { running, root, _dir: dir }
    }

    fn client(&self) -> Client {
        Client::connect(self.running.port, "teller").unwrap()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.root.join(name)).unwrap_or_default()
    }
}

fn setup(dir: &Path, banks: Vec<BankSetup>) -> Setup {
    Setup { dir: dir.to_owned(), listen: ([127, 0, 0, 1], 0).into(), banks }
}

fn bank(user: &str, root: &Path, layout: Style) -> BankSetup {
    BankSetup { password: Some("secret".to_owned()), ..BankSetup::new(user, root, layout) }
}

/// A connection to it.
struct Client {
    sftp: ssh2::Sftp,
    session: ssh2::Session,
    socket: TcpStream,
}

impl Client {
    fn connect(port: u16, user: &str) -> Result<Client, ssh2::Error> {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut session = ssh2::Session::new()?;
        session.set_timeout(TIRED.as_millis() as u32);
        session.set_tcp_stream(socket.try_clone().unwrap());
        session.handshake()?;
        session.userauth_password(user, "secret")?;
        let sftp = session.sftp()?;
        Ok(Client { sftp, session, socket })
    }

    /// Under a temporary name, then renamed.
    fn deliver(&self, name: &str, bytes: &[u8]) -> Result<(), ssh2::Error> {
        let hidden = format!("upload/{name}.tmp");
        self.put(&hidden, bytes).unwrap();
        self.sftp.rename(Path::new(&hidden), Path::new(&format!("upload/{name}")), None)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = self.sftp.create(Path::new(path)).map_err(std::io::Error::from)?;
        file.write_all(bytes)?;
        file.close().map_err(std::io::Error::from)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let found = self.sftp.readdir(Path::new(folder)).unwrap();
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut names: Vec<String> = found.into_iter().map(|(path, _)| name(path)).collect();
        names.sort();
        names
    }

    fn answers(&self, count: usize) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let names = self.names("download");
            if names.len() >= count {
                return names;
            }
            assert!(Instant::now() < until, "{names:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Client {
    /// A client that waits for a server that does not answer would wait once more for each thing that it gives up.
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = &self.session;
    }
}

fn sample(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/samples/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn what_is_put_is_answered() {
    let sim = Sim::open(Style::Rural, |_| {});
    let client = sim.client();
    client.deliver(RURAL, &sample(RURAL)).unwrap();
    assert_eq!(client.answers(1), [RURAL_ANSWER]);
    assert!(sim.text("received.log").starts_with(RURAL));
    assert!(sim.text("received.log").ends_with(" 6 680.00 2018070500000001\n"));
}
