//! The bank in a box, as an SFTP client sees it: it takes, answers, remembers, and misbehaves as its page says.

mod misbehaviours;
mod program;
mod rehearsal;

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
const POSTAL: &str = "DK20180705500199010001.TXT";
const POSTAL_CONTROL: &str = "DK20180705500199010001.CTL";

/// How long a client waits for one answer of a server that does not answer.
const TIRED: Duration = Duration::from_millis(700);

const PATIENCE: Duration = Duration::from_secs(30);

/// A simulated bank in a folder of its own.
struct Sim {
    running: Running,
    root: PathBuf,
    dir: tempfile::TempDir,
}

impl Sim {
    /// One bank, with changes to its good manners.
    fn open(layout: Style, change: impl FnOnce(&mut BankSetup)) -> Sim {
        Sim::open_in(tempfile::tempdir().unwrap(), layout, change)
    }

    fn open_in(dir: tempfile::TempDir, layout: Style, change: impl FnOnce(&mut BankSetup)) -> Sim {
        let root = dir.path().join("bank");
        let mut bank = bank("teller", &root, layout);
        change(&mut bank);
        let running = start(&setup(dir.path(), vec![bank])).unwrap();
        Sim { running, root, dir }
    }

    /// Closes it, and opens it again on the same folder.
    fn again(self, layout: Style, change: impl FnOnce(&mut BankSetup)) -> Sim {
        drop(self.running);
        Sim::open_in(self.dir, layout, change)
    }

    fn client(&self) -> Client {
        Client::connect(self.running.port, "teller").unwrap()
    }

    /// Its operator writes into `misbehave`.
    fn says(&self, text: &str) {
        fs::write(self.root.join("misbehave"), text).unwrap();
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < until, "{what}: {}{}", self.text("received.log"), self.text("refused.log"));
            std::thread::sleep(Duration::from_millis(10));
        }
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
        Client::connect_within(PATIENCE, port, user)
    }

    fn connect_within(patience: Duration, port: u16, user: &str) -> Result<Client, ssh2::Error> {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut session = ssh2::Session::new()?;
        session.set_timeout(patience.as_millis() as u32);
        session.set_tcp_stream(socket.try_clone().unwrap());
        session.handshake()?;
        session.userauth_password(user, "secret")?;
        let sftp = session.sftp()?;
        Ok(Client { sftp, session, socket })
    }

    /// Waits no longer than it must: nothing will come.
    fn tired(self) -> Client {
        self.session.set_timeout(TIRED.as_millis() as u32);
        self
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

#[test]
fn the_control_file_makes_it_whole() {
    let sim = Sim::open(Style::Postal, |_| {});
    let client = sim.client();
    client.deliver(POSTAL, &sample(POSTAL)).unwrap();
    assert!(client.names("download").is_empty());
    client.deliver(POSTAL_CONTROL, &sample(POSTAL_CONTROL)).unwrap();
    assert_eq!(client.answers(2), ["HP20180705500199010001.CTL", "HP20180705500199010001.TXT"]);
}

#[test]
fn what_is_put_under_its_own_name_is_answered_when_it_is_whole() {
    let sim = Sim::open(Style::Rural, |_| {});
    let client = sim.client();
    let (place, bytes) = (format!("upload/{RURAL}"), sample(RURAL));
    client.put(&place, &bytes[..1_000]).unwrap();
    sim.wait_until("it is read", || sim.text("refused.log").contains(" unsound "));
    client.put(&place, &bytes).unwrap();
    assert_eq!(client.answers(1), [RURAL_ANSWER]);
}

#[test]
fn a_batch_is_taken_once_even_by_a_bank_that_was_closed() {
    let sim = Sim::open(Style::Rural, |_| {});
    let client = sim.client();
    client.deliver(RURAL, &sample(RURAL)).unwrap();
    assert_eq!(client.answers(1), [RURAL_ANSWER]);
    client.sftp.unlink(Path::new(&format!("download/{RURAL_ANSWER}"))).unwrap();
    let sim = sim.again(Style::Rural, |_| {});
    let client = sim.client();
    assert!(client.names("download").is_empty(), "what lies there was taken before");
    assert!(client.deliver(RURAL, &sample(RURAL)).is_err(), "the name is taken");
    client.sftp.unlink(Path::new(&format!("upload/{RURAL}"))).unwrap();
    client.sftp.rename(Path::new(&format!("upload/{RURAL}.tmp")), Path::new(&format!("upload/{RURAL}")), None).unwrap();
    assert_eq!(client.answers(1), [RURAL_ANSWER]);
    let answer = fs::read(sim.root.join("download").join(RURAL_ANSWER)).unwrap();
    assert_eq!(&answer[188..192], b"F002");
    assert_eq!(sim.text("received.log").lines().count(), 1);
    assert!(sim.text("refused.log").ends_with(" duplicate-batch 2018070500000001\n"));
}

#[test]
fn answers_wait_for_their_time_and_survive_a_closed_bank() {
    let sim = Sim::open(Style::Rural, |bank| bank.delay_s = 1);
    let began = Instant::now();
    let client = sim.client();
    client.deliver(RURAL, &sample(RURAL)).unwrap();
    sim.wait_until("it is read", || sim.text("received.log").contains(RURAL));
    assert!(client.names("download").is_empty());
    let sim = sim.again(Style::Rural, |bank| bank.delay_s = 1);
    assert_eq!(sim.client().answers(1), [RURAL_ANSWER]);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn answers_wait_for_so_many_listings() {
    let sim = Sim::open(Style::Rural, |bank| bank.after_listings = 2);
    let client = sim.client();
    client.deliver(RURAL, &sample(RURAL)).unwrap();
    sim.wait_until("it is read", || sim.text("received.log").contains(RURAL));
    let counts: Vec<usize> = (0..3).map(|_| client.names("download").len()).collect();
    assert_eq!(counts, [0, 0, 1]);
}

#[test]
fn the_business_date_is_as_told() {
    let booked = |change: fn(&mut BankSetup)| {
        let sim = Sim::open(Style::Rural, change);
        let client = sim.client();
        client.deliver(RURAL, &sample(RURAL)).unwrap();
        client.answers(1);
        let answer = fs::read(sim.root.join("download").join(RURAL_ANSWER)).unwrap();
        [&answer[252..260], &answer[302 + 240..302 + 248]].map(|part| String::from_utf8_lossy(part).into_owned())
    };
    assert_eq!(booked(|_| {}), ["20180705", "20180705"]);
    assert_eq!(booked(|bank| bank.book_on_debit_date = true), ["20180705", "20180706"]);
    assert_eq!(booked(|bank| bank.today = "2018-07-09".to_owned().try_into().unwrap()), ["20180709", "20180709"]);
}

#[test]
fn two_banks_share_a_port_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (rural, postal) = (dir.path().join("rural"), dir.path().join("postal"));
    let mut own = bank("own", &dir.path().join("own"), Style::City);
    own.port = Some(0);
    let banks = vec![bank("rural", &rural, Style::Rural), bank("postal", &postal, Style::Postal), own];
    let running = start(&setup(dir.path(), banks)).unwrap();
    let connect = |user: &str| Client::connect(running.port, user);
    let (one, other) = (connect("rural").unwrap(), connect("postal").unwrap());
    let one = one.tired();
    fs::write(rural.join("misbehave"), "stall").unwrap();
    other.deliver(POSTAL, &sample(POSTAL)).unwrap();
    other.deliver(POSTAL_CONTROL, &sample(POSTAL_CONTROL)).unwrap();
    assert_eq!(other.answers(2).len(), 2);
    assert!(one.sftp.stat(Path::new("upload")).is_err());
    assert!(connect("own").is_err(), "it has a port of its own");
    assert_ne!(running.port_of("own"), running.port);
    Client::connect(running.port_of("own"), "own").unwrap();
    let start = format!("sftp://rural@127.0.0.1:{} SHA256:", running.port);
    assert!(running.addresses()[0].starts_with(&start) && running.addresses().len() == 3);
}

#[test]
fn a_client_sees_two_folders_and_no_way_out() {
    let sim = Sim::open(Style::Rural, |_| {});
    sim.says("# nothing");
    let client = sim.client();
    assert_eq!(client.names("/"), ["download", "upload"]);
    std::os::unix::fs::symlink("/etc/passwd", sim.root.join("upload/passwd")).unwrap();
    for path in ["misbehave", "upload/../received.log", "../bank/misbehave", "/etc/passwd", "upload/passwd"] {
        assert!(client.sftp.open(Path::new(path)).is_err(), "{path}");
        assert!(client.sftp.create(Path::new(path)).is_err(), "{path}");
    }
    assert!(client.sftp.mkdir(Path::new("upload/x"), 0o755).is_err());
    assert_eq!(client.sftp.realpath(Path::new("upload/../..")).unwrap(), Path::new("/"));
}

#[test]
fn it_closes_when_it_is_dropped() {
    let sim = Sim::open(Style::Rural, |_| {});
    let port = sim.running.port;
    let client = sim.client();
    drop(sim);
    let client = client.tired();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(client.sftp.stat(Path::new("upload")).is_err());
}
