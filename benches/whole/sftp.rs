//! A file over SFTP, connecting and logging in included, beside OpenSSH's own client: on loopback, and through a proxy
//! that holds every byte for 15 ms each way.

use crate::measure::{Figure, Reach, in_turns, shell, time};
use daikou::domain::delivery::{Evidence, Manners};
use daikou::transport::profile::{After, HostKey, Login, Profile, Secret};
use daikou::transport::remote::{Remote, RemotePath};
use daikou::transport::sftp::SftpRemote;
use daikou::transport::watchdog::Watchdog;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const NEAR_BYTES: usize = 200 << 20;
const FAR_BYTES: usize = 50 << 20;

/// Each way: 30 ms for a question and its answer.
const DELAY: Duration = Duration::from_millis(15);

pub(crate) fn run(dir: &Path, rounds: usize, figures: &mut Vec<Figure>) {
    let Some(desk) = Desk::open(&dir.join("sftp")) else {
        return eprintln!("sftp: needs root and openssh-server: left out");
    };
    let far = delayed(desk.port);
    let cases = [
        ("SFTP 200 MB up, loopback / sftp", NEAR_BYTES, desk.port, true, 1_100),
        ("SFTP 200 MB down, loopback / sftp", NEAR_BYTES, desk.port, false, 1_100),
        ("SFTP 50 MB up, 30 ms / sftp", FAR_BYTES, far, true, 1_100),
        ("SFTP 50 MB down, 30 ms / sftp", FAR_BYTES, far, false, 600),
    ];
    for (what, bytes, port, is_up, reach) in cases {
        desk.prepare(bytes);
        let [ours, reference] = in_turns(
            rounds,
            [&mut || if is_up { desk.up(port) } else { desk.down(port) }, &mut || desk.reference(port, is_up)],
        );
        figures.push(Figure::of(what, ours, Some(reference), Reach::Ratio(reach)));
    }
}

/// A throw-away server, and files on both sides.
struct Desk {
    dir: PathBuf,
    port: u16,
    server: Child,
}

impl Desk {
    fn open(dir: &Path) -> Option<Desk> {
        if !rustix::process::geteuid().is_root() || !Path::new("/usr/sbin/sshd").exists() {
            return None;
        }
        fs::create_dir_all(dir).expect("a folder of our own");
        fs::create_dir_all("/run/sshd").expect("root may");
        for name in ["host", "client"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name)).status();
            assert!(made.is_ok_and(|status| status.success()));
        }
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port").port();
        let (host, keys) = (dir.join("host"), dir.join("client.pub"));
        let text = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nListenAddress 127.0.0.1:{port}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin yes\nSubsystem sftp internal-sftp\n",
            host.display(),
            keys.display()
        );
        let config = dir.join("sshd_config");
        fs::write(&config, text).expect("a folder of our own");
        let log = File::create(dir.join("log")).expect("a folder of our own");
        let server = Command::new("/usr/sbin/sshd").args(["-D", "-e", "-f"]).arg(config).stderr(log).spawn().ok()?;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Desk { dir: dir.to_owned(), port, server })
    }

    fn prepare(&self, bytes: usize) {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut text = Vec::with_capacity(bytes);
        while text.len() < bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.extend_from_slice(&state.to_le_bytes());
        }
        ["ours", "theirs"].iter().for_each(|name| fs::write(self.dir.join(name), &text).expect("room on the disk"));
    }

    fn connect(&self, port: u16) -> SftpRemote {
        let blob = fs::read_to_string(self.dir.join("host.pub")).expect("it was made");
        let known = HostKey::known(&format!("[127.0.0.1]:{port} {blob}"), "127.0.0.1", port);
        let limit = Duration::from_secs(600);
        let profile = Profile {
            host: "127.0.0.1".to_owned(),
            port,
            user: "root".to_owned(),
            login: Login::Key(Secret::File(self.dir.join("client")), None),
            host_keys: known,
            put: ".".to_owned(),
            get: ".".to_owned(),
            manners: Manners { renames: true, sweeps: false, evidence: Evidence::ReadBack },
            may_read: true,
            may_stat: true,
            fsync: false,
            after: After::Leave,
            marker: None,
            quiet: Duration::ZERO,
            poll: limit,
            timeout: Duration::from_secs(60),
            deadline: limit,
            longest_pause: limit,
            least_bytes_per_s: 0,
            max_bytes: u64::MAX,
            legacy: false,
        };
        SftpRemote::connect(&Arc::new(profile), &Watchdog::default()).expect("our own server")
    }

    fn path(&self, name: &str) -> RemotePath {
        RemotePath::new(&self.dir.display().to_string(), name.as_bytes())
    }

    fn up(&self, port: u16) -> Duration {
        let _ = fs::remove_file(self.dir.join("there"));
        time(|| {
            let mut bytes = File::open(self.dir.join("ours")).expect("it was made");
            self.connect(port).create(&self.path("there"), &mut bytes).expect("room on the disk");
        })
        .0
    }

    fn down(&self, port: u16) -> Duration {
        let _ = fs::remove_file(self.dir.join("here"));
        time(|| {
            let mut copy = File::create(self.dir.join("here")).expect("room on the disk");
            self.connect(port).read(&self.path("theirs"), u64::MAX, &mut copy).expect("it was made");
        })
        .0
    }

    fn reference(&self, port: u16, is_up: bool) -> Duration {
        let dir = self.dir.display();
        let _ = fs::remove_file(self.dir.join("there"));
        let _ = fs::remove_file(self.dir.join("here"));
        let batch = if is_up { format!("put {dir}/ours {dir}/there") } else { format!("get {dir}/theirs {dir}/here") };
        shell(&format!(
            "echo '{batch}' | sftp -q -b - -P {port} -i {dir}/client -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o LogLevel=ERROR root@127.0.0.1 > /dev/null"
        ))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A port behind which every byte takes [`DELAY`] longer, as many of them on the way at once as there are.
fn delayed(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("a port").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            let (back, forth) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            hold(client, server);
            hold(forth, back);
        }
    });
    port
}

type Held = (Mutex<(VecDeque<(Instant, Vec<u8>)>, bool)>, Condvar);

fn hold(mut from: TcpStream, mut to: TcpStream) {
    let given = Arc::<Held>::default();
    let queue = given.clone();
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    std::thread::spawn(move || {
        let mut slice = vec![0; 256 << 10];
        loop {
            let count = from.read(&mut slice).unwrap_or(0);
            let mut held = given.0.lock().expect("no holder panics");
            if count == 0 {
                held.1 = true;
            } else {
                held.0.push_back((Instant::now() + DELAY, slice[..count].to_vec()));
            }
            given.1.notify_one();
            if count == 0 {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        loop {
            let mut held = queue.0.lock().expect("no holder panics");
            while held.0.is_empty() && !held.1 {
                held = queue.1.wait(held).expect("no holder panics");
            }
            let Some((due, bytes)) = held.0.pop_front() else { break };
            drop(held);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
