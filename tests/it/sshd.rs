//! OpenSSH's server on loopback, as a bank has it: no chroot, one key, thrown away afterwards.

use crate::bureau::wait_for;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const SERVER: &str = "/usr/sbin/sshd";

/// A server that is killed when dropped.
pub(crate) struct Sshd {
    pub(crate) port: u16,
    /// The private key that it lets in.
    pub(crate) key: PathBuf,
    folder: PathBuf,
    home: PathBuf,
    server: Option<Child>,
}

/// Why this machine cannot prove it, if so.
pub(crate) fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("the server needs root");
    }
    (!Path::new(SERVER).exists()).then_some("openssh-server is not installed")
}

impl Sshd {
    /// Serves this machine's files to whoever has the key; clients begin in `home`.
    pub(crate) fn start(folder: &Path, home: &Path) -> Sshd {
        Sshd::start_denying(folder, home, "")
    }

    /// The same, with requests that are denied (`-P`), until [`Sshd::deny`] says otherwise for new sessions.
    pub(crate) fn start_denying(folder: &Path, home: &Path, denied: &str) -> Sshd {
        fs::create_dir_all(folder).unwrap();
        let (host, key) = (folder.join("host"), folder.join("client"));
        [&host, &key].into_iter().for_each(|path| make_key(path));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nListenAddress 127.0.0.1:{port}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 200\n\
             LogLevel VERBOSE\nSubsystem sftp {}\n",
            host.display(),
            key.with_extension("pub").display(),
            folder.join("sftp").display(),
        );
        fs::write(folder.join("sshd_config"), text).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let mut sshd = Sshd { port, key, folder: folder.to_owned(), home: home.to_owned(), server: None };
        sshd.deny(denied);
        sshd.restart();
        sshd
    }

    /// These requests are denied from now on: sessions that run are ended, as by an operator who restarts the server.
    pub(crate) fn deny(&self, requests: &str) {
        let script = self.folder.join("sftp");
        let denied = if requests.is_empty() { String::new() } else { format!("-P {requests}") };
        let home = self.home.display();
        fs::write(&script, format!("#!/bin/sh\nexec /usr/lib/openssh/sftp-server -d {home} {denied}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        self.end_sessions();
    }

    /// Ends our own sessions and no others: they have our folder on their command line.
    fn end_sessions(&self) {
        let ours = format!("-d\0{}\0", self.home.display());
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = process.file_name().to_string_lossy().parse::<i32>() else { continue };
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let is_ours = String::from_utf8_lossy(&command).contains(&ours);
            if let (true, Some(pid)) = (is_ours, rustix::process::Pid::from_raw(pid)) {
                // It may have ended by itself.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }

    /// Starts it again where it was stopped.
    pub(crate) fn restart(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let config = self.folder.join("sshd_config");
        self.server = Some(Command::new(SERVER).args(["-D", "-e", "-f"]).arg(config).stderr(log).spawn().unwrap());
        wait_for("sshd listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Ends it; sessions that run go on without it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Type and fingerprint of its host key, as a profile has it.
    pub(crate) fn host_key(&self) -> String {
        let shown = Command::new("ssh-keygen").args(["-l", "-f"]).arg(self.folder.join("host")).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        format!("ssh-ed25519 {}", shown.split(' ').nth(1).unwrap())
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn make_key(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(made.unwrap().success());
    fs::set_permissions(path.with_extension("pub"), fs::Permissions::from_mode(0o644)).unwrap();
}
