//! A real upload: OpenSSH serves the drop folders in a chroot by the configuration that we ship, a real `sftp` client
//! puts files there, cut off in the middle and resumed, and the daemon, killed in the middle too, posts each of them
//! exactly once.
//!
//! Keys, configuration and server are thrown away afterwards. A chroot needs root, and folders above it that nobody
//! else may write to; where that or the server is missing, the test says so and proves nothing.

use crate::bureau::{Bureau, all_paid, names, wait_for};
use crate::docs::text;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SERVER: &str = "/usr/sbin/sshd";

/// A user without rights whom every system has.
const USER: (&str, u32) = ("nobody", 65_534);

/// One chroot per counterparty.
const COUNTERPARTIES: [&str; 4] = ["banks/rural", "banks/postal", "banks/city", "departments/civil-affairs/500199"];

/// A server on loopback, one port for each counterparty.
struct Served {
    server: Child,
    ports: Vec<u16>,
    key: PathBuf,
}

impl Served {
    fn start(bureau: &Bureau) -> Served {
        let keys = bureau.beside("ssh");
        fs::create_dir(&keys).unwrap();
        let (host, key) = (keys.join("host"), keys.join("client"));
        [&host, &key].into_iter().for_each(|path| make_key(path));
        // The server reads it as the user.
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(keys.parent().unwrap(), fs::Permissions::from_mode(0o711)).unwrap();
        let ports: Vec<u16> = COUNTERPARTIES.iter().map(|_| free_port()).collect();
        let mut text = format!(
            "HostKey {}\nStrictModes no\nUsePAM no\nPidFile none\nSubsystem sftp internal-sftp\n",
            host.display()
        );
        ports.iter().for_each(|port| text += &format!("ListenAddress 127.0.0.1:{port}\n"));
        for (port, folder) in ports.iter().zip(COUNTERPARTIES) {
            text += &shipped(&format!("LocalPort {port}"), &bureau.drops(folder), &key.with_extension("pub"));
            let inbox = bureau.drops(folder).join("in");
            chown(&inbox, Some(USER.1), None).unwrap();
        }
        let path = keys.join("sshd_config");
        fs::write(&path, text).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let log = fs::File::create(bureau.beside("sshd.log")).unwrap();
        let server = Command::new(SERVER).args(["-D", "-e", "-f"]).arg(&path).stderr(log).spawn().unwrap();
        let served = Served { server, ports, key };
        wait_for("sshd listens", || served.ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()));
        served
    }

    /// A client, with the batch of commands that it is to carry out.
    fn client(&self, counterparty: &str, options: &[&str], batch: &str) -> Child {
        let place = COUNTERPARTIES.iter().position(|folder| *folder == counterparty).unwrap();
        let mut command = Command::new("sftp");
        command.args(["-q", "-b", "-", "-P", &self.ports[place].to_string(), "-i"]).arg(&self.key);
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes"] {
            command.args(["-o", option]);
        }
        let target = format!("{}@127.0.0.1", USER.0);
        command.args(options).arg(target).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut client = command.spawn().unwrap();
        client.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
        client
    }

    /// A whole session.
    fn session(&self, counterparty: &str, batch: &str) {
        let said = self.client(counterparty, &[], batch).wait_with_output().unwrap();
        assert!(said.status.success(), "{counterparty}: {batch}: {}", String::from_utf8_lossy(&said.stderr));
    }

    /// A session with one command that the server must refuse, or must not even offer.
    fn refused(&self, counterparty: &str, command: &str) {
        let said = self.client(counterparty, &[], &format!("{command}\n")).wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&said.stderr);
        let is_refused = ["ermission denied", "does not support"].iter().any(|answer| words.contains(answer));
        assert!(!said.status.success() && is_refused, "{command}: {words}");
    }
}

/// The configuration that we ship, for another match, folder and key: there are no such users here.
fn shipped(matches: &str, chroot: &Path, keys: &Path) -> String {
    let adapted = [
        ("Group daikou-drop", matches.to_owned()),
        ("ChrootDirectory %h", format!("ChrootDirectory {}", chroot.display())),
        ("/etc/ssh/daikou/%u", keys.display().to_string()),
    ];
    adapted.into_iter().fold(text("systemd/sshd-daikou.conf"), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, &to)
    })
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn make_key(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(made.unwrap().success());
    fs::set_permissions(path.with_extension("pub"), fs::Permissions::from_mode(0o644)).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Why this machine cannot prove it, if so.
fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("a chroot needs root");
    }
    let has = |program: &Path| program.exists();
    if !has(Path::new(SERVER)) || !has(Path::new("/usr/bin/sftp")) {
        return Some("openssh-server or openssh-client is not installed");
    }
    (!Path::new("/srv").is_dir()).then_some("/srv is not there")
}

/// Files that a client has on its side.
struct Desk {
    folder: PathBuf,
}

impl Desk {
    fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }
}

#[test]
fn the_shipped_configuration_holds_for_counterparties_and_for_nobody_else() {
    if let Some(reason) = missing() {
        println!("skipped: {reason}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    make_key(&host);
    fs::create_dir_all("/run/sshd").unwrap();
    let path = dir.path().join("sshd_config");
    // Any group with a user in it.
    let shipped = text("systemd/sshd-daikou.conf").replace("daikou-drop", "nogroup");
    fs::write(&path, format!("HostKey {}\nX11Forwarding yes\n{shipped}", host.display())).unwrap();
    let sshd = |args: &[&str]| {
        let output = Command::new(SERVER).args(args).arg("-f").arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    sshd(&["-t"]);
    let settings = |user: &str| sshd(&["-T", "-C", &format!("user={user},host=bank,addr=192.0.2.1")]);
    let (counterparty, other) = (settings(USER.0), settings("root"));
    let denied = "symlink,hardlink,readlink,mkdir,rmdir,setstat,fsetstat,lsetstat,remove,copy-data";
    for setting in [
        "chrootdirectory %h",
        &format!("forcecommand internal-sftp -u 0007 -P {denied}"),
        "authorizedkeysfile /etc/ssh/daikou/%u",
        "authenticationmethods publickey",
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "disableforwarding yes",
        "permittty no",
        "permittunnel no",
        "permituserrc no",
    ] {
        assert!(counterparty.lines().any(|line| line == setting), "{setting}: {counterparty}");
    }
    assert!(other.contains("\nchrootdirectory none\n") && other.contains("\nforcecommand none\n"), "{other}");
}

#[test]
fn a_counterparty_may_put_and_rename_and_nothing_else() {
    if let Some(reason) = missing() {
        println!("skipped: {reason}");
        return;
    }
    let bureau = Bureau::new(Path::new("/srv"), 1);
    let served = Served::start(&bureau);
    let file = bureau.beside("file");
    fs::write(&file, "x").unwrap();
    let (bank, inbox) = ("banks/rural", bureau.drops("banks/rural/in"));
    served.session(bank, &format!("put {} in/a.tmp\nrename in/a.tmp in/a\n", file.display()));
    assert_eq!(names(&inbox), ["a"]);
    assert_eq!(fs::metadata(inbox.join("a")).unwrap().permissions().mode() & 0o007, 0, "nothing for others");
    for command in [
        "symlink /etc/passwd in/b",
        "ln in/a in/b",
        "mkdir in/b",
        "rmdir in",
        "chmod 000 in/a",
        "rm in/a",
        "cp in/a in/b",
    ] {
        served.refused(bank, command);
    }
    assert_eq!(names(&inbox), ["a"]);
    // A client that would set the mode too is told no: the file is there all the same.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o404)).unwrap();
    served.session(bank, &format!("put -p {} in/c\n", file.display()));
    assert_eq!(fs::metadata(inbox.join("c")).unwrap().permissions().mode() & 0o007, 0);
    served.refused(bank, &format!("put {} out/b", file.display()));
    served.refused(bank, &format!("put {} b", file.display()));
}

#[test]
fn uploads_are_posted_exactly_once_however_they_come() {
    if let Some(reason) = missing() {
        println!("skipped: {reason}");
        return;
    }
    let bureau = Bureau::new(Path::new("/srv"), 120);
    let served = Served::start(&bureau);
    let desk = Desk { folder: bureau.beside("desk") };
    fs::create_dir(&desk.folder).unwrap();
    let mut daemon = bureau.start();

    // A department puts its list directly; the roster is dropped by the bureau itself.
    let list = desk.put("list.csv", bureau.list().as_bytes());
    served.session("departments/civil-affairs/500199", &format!("put {list} in/list.csv\n"));
    fs::write(bureau.drops("bureau/in/roster.csv"), bureau.roster(&["rural", "postal", "city"])).unwrap();

    // Directly, under its own name.
    let (name, rural) = bureau.request("rural");
    let fetched = desk.folder.join("fetched");
    served.session("banks/rural", &format!("get out/{name} {}\n", fetched.display()));
    assert_eq!(fs::read(&fetched).unwrap(), fs::read(bureau.drops("banks/rural/out").join(&name)).unwrap());
    let (rural_name, bytes) = all_paid(&rural).remove(0);
    let rural_file = desk.put(&rural_name, &bytes);
    served.session("banks/rural", &format!("put {rural_file} in/{rural_name}\n"));

    // By temporary names, the control file last.
    let (_, postal) = bureau.request("postal");
    for (name, bytes) in all_paid(&postal) {
        let file = desk.put(&name, &bytes);
        served.session("banks/postal", &format!("put {file} in/{name}.tmp\nrename in/{name}.tmp in/{name}\n"));
    }

    // Cut off in the middle, with the daemon killed beside it, then resumed where it was.
    let (_, city) = bureau.request("city");
    let (city_name, bytes) = all_paid(&city).remove(0);
    let city_file = desk.put(&city_name, &bytes);
    let there = bureau.drops("banks/city/in").join(&city_name);
    let slowly = ["-l", "16", "-B", "512", "-R", "1"];
    let mut client = served.client("banks/city", &slowly, &format!("put {city_file} in/{city_name}\n"));
    wait_for("a part of the file is there", || fs::metadata(&there).is_ok_and(|file| file.len() > 1_024));
    client.kill().unwrap();
    client.wait().unwrap();
    daemon.kill();
    daemon = bureau.start();
    std::thread::sleep(Duration::from_millis(500));
    let half = fs::metadata(&there).unwrap().len();
    assert!(half < bytes.len() as u64, "only a part is there, and it stays");
    assert_eq!(daemon.figure("daikou_files{kind=\"return\",state=\"quarantined\"}"), 0);
    served.session("banks/city", &format!("reput {city_file} in/{city_name}\n"));

    wait_for("everybody is posted", || daemon.figure("daikou_postings{event=\"self-payment\"}") == 120);

    // The same file again, as a bank does that saw no answer: known, and nothing moves.
    served.session("banks/rural", &format!("put {rural_file} in/{rural_name}\n"));
    wait_for("the repeat is known", || daemon.figure("daikou_files{kind=\"return\",state=\"duplicate\"}") == 1);
    for bank in ["rural", "postal", "city"] {
        let inbox = bureau.drops(&format!("banks/{bank}/in"));
        wait_for("the inbox is empty", || names(&inbox).is_empty());
    }
    assert!(daemon.stop().0.success());
    bureau.assert_log_is_clean();
    judge(&bureau);
}

/// What the books say at the end.
fn judge(bureau: &Bureau) {
    let (code, entries) = bureau.daikou(&["export", "entries"]);
    assert_eq!(code, Some(0));
    let mut rows = csv::Reader::from_reader(entries.as_bytes());
    let header = rows.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|head| head == name).unwrap();
    let (credit, id, amount) = (column("credit"), column("id_number"), column("amount"));
    let mut own: Vec<(String, String)> = rows
        .records()
        .map(|row| row.unwrap())
        .filter(|row| row[credit] == *"personal/own")
        .map(|row| (row[id].to_owned(), row[amount].to_owned()))
        .collect();
    assert_eq!(own.len(), bureau.people);
    assert!(own.iter().all(|(_, amount)| amount == "30.00"));
    own.sort();
    own.dedup();
    assert_eq!(own.len(), bureau.people, "nobody was posted twice");
    let (code, words) = bureau.daikou(&["audit"]);
    assert_eq!(code, Some(0), "{words}");
}
