//! What a bank's own SFTP server is like, and how we show who we are: data of the configuration.

use crate::domain::delivery::Manners;
use crate::transport::watchdog::Limits;
use crate::transport::{Error, escaped};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One bank's server and its habits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Our account there.
    pub user: String,
    /// How we show who we are.
    pub login: Login,
    /// The keys by which we know the server; never empty, two while it changes its key.
    pub host_keys: Vec<HostKey>,
    /// Folder that our instruction files go to; `.` is where the server puts us.
    pub put: String,
    /// Folder in which the bank's return files appear.
    pub get: String,
    /// What the bank allows, and what counts as evidence.
    pub manners: Manners,
    /// We may read what we have written.
    pub may_read: bool,
    /// We may ask for size and time of what we have written.
    pub may_stat: bool,
    /// The server takes `fsync@openssh.com`.
    pub fsync: bool,
    /// What becomes of a return file once it is booked.
    pub after: After,
    /// A return file is there once this is: its name with this ending.
    pub marker: Option<String>,
    /// A return file must not have changed for so long.
    pub quiet: Duration,
    /// How often we look.
    pub poll: Duration,
    /// Each call to the server, and connecting.
    pub timeout: Duration,
    /// The transfer of one file.
    pub deadline: Duration,
    /// The longest pause between two attempts after failures.
    pub longest_pause: Duration,
    /// Slower transfers are cut: bytes per second.
    pub least_bytes_per_s: u64,
    /// Bytes of one return file at most.
    pub max_bytes: u64,
    /// Old algorithms are accepted too, as far as the library still has them.
    pub legacy: bool,
}

/// How we show who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// By a private key, which may have a passphrase.
    Key(Secret, Option<Secret>),
    /// By a password, where the bank has nothing better.
    Password(Secret),
}

impl Login {
    /// All that it needs to be read.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let (first, second) = match self {
            Login::Key(key, passphrase) => (key, passphrase.as_ref()),
            Login::Password(password) => (password, None),
        };
        std::iter::once(first).chain(second)
    }
}

/// Where a secret lies; it is read when it is needed, and never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// A file that nobody else may read.
    File(PathBuf),
    /// A credential that systemd hands over (`LoadCredential=`).
    Credential(String),
}

/// What becomes of a return file at the bank once it is booked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    #[default]
    Leave,
    /// It is moved to this folder.
    Move(String),
    /// It is deleted.
    Delete,
}

/// A host key, known by type and SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa` …
    pub algorithm: String,
    /// Of the key's bytes.
    pub sha256: [u8; 32],
}

/// Key types that a server may show.
pub const HOST_KEY_TYPES: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

impl HostKey {
    /// Of the key's bytes as the server shows them; the first text in them is the type.
    pub fn of(blob: &[u8]) -> Option<HostKey> {
        let length = u32::from_be_bytes(blob.get(..4)?.try_into().ok()?) as usize;
        let algorithm = std::str::from_utf8(blob.get(4..4 + length)?).ok()?.to_owned();
        Some(HostKey { algorithm, sha256: Sha256::digest(blob).into() })
    }

    /// Reads `ssh-ed25519 SHA256:…`, as `daikou doctor` and `ssh-keygen -l` show it.
    pub fn parse(text: &str) -> Option<HostKey> {
        let (algorithm, print) = text.trim().split_once(' ')?;
        let bytes = STANDARD_NO_PAD.decode(print.trim().strip_prefix("SHA256:")?.trim_end_matches('=')).ok()?;
        let is_known = HOST_KEY_TYPES.contains(&algorithm);
        is_known.then_some(HostKey { algorithm: algorithm.to_owned(), sha256: bytes.try_into().ok()? })
    }

    /// The keys of a host in a known_hosts file. Hashed names are not understood: write the name in clear.
    pub fn known(file: &str, host: &str, port: u16) -> Vec<HostKey> {
        let wanted = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        let key = |line: &str| {
            let mut fields = line.split_whitespace();
            let names = fields.next().filter(|names| !names.starts_with(['#', '@']))?;
            let blob = STANDARD.decode(fields.nth(1)?).ok()?;
            names.split(',').any(|name| name == wanted).then(|| HostKey::of(&blob)).flatten()
        };
        file.lines().filter_map(key).collect()
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} SHA256:{}", self.algorithm, STANDARD_NO_PAD.encode(self.sha256))
    }
}

impl Secret {
    /// Reads `credential:NAME` or the path of a file.
    pub fn parse(text: &str, root: &Path) -> Option<Secret> {
        match text.strip_prefix("credential:") {
            Some(name) if !name.is_empty() && !name.contains('/') => Some(Secret::Credential(name.to_owned())),
            Some(_) => None,
            None => (!text.trim().is_empty()).then(|| Secret::File(root.join(text))),
        }
    }

    /// Reads it. A file that others may read is refused: it is no secret any more.
    pub fn read(&self) -> Result<String, Error> {
        let path = self.path()?;
        let about = fs::metadata(&path).map_err(|source| Error::io(&path, "read the secret", source))?;
        if matches!(self, Secret::File(_)) && about.mode() & 0o077 != 0 {
            return Err(Error::Exposed { path: escaped(&path), mode: about.mode() & 0o777 });
        }
        fs::read_to_string(&path).map_err(|source| Error::io(&path, "read the secret", source))
    }

    fn path(&self) -> Result<PathBuf, Error> {
        match self {
            Secret::File(path) => Ok(path.clone()),
            Secret::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
                Some(folder) => Ok(Path::new(&folder).join(name)),
                None => Err(Error::NoCredential { name: name.clone() }),
            },
        }
    }
}

impl Profile {
    /// Host and port as they are shown.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// For calls that move no files.
    pub fn call_limits(&self) -> Limits {
        Limits { deadline: 2 * self.timeout, stretch: 2 * self.timeout, least_bytes: 0 }
    }

    /// For the transfer of one file.
    pub fn transfer_limits(&self) -> Limits {
        let least_bytes = self.least_bytes_per_s.saturating_mul(self.timeout.as_secs().max(1));
        Limits { deadline: self.deadline, stretch: self.timeout, least_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJgHp4WdL9xz5v0pzbUyHPZrEUo6tFV2rZlDLUGHSyWe";

    #[test]
    fn pins_are_read_as_they_are_shown() {
        let known =
            HostKey::known(&format!("# a\nother {LINE}\n[bank.example]:2222 {LINE} note\n"), "bank.example", 2222);
        assert_eq!(known.len(), 1);
        let shown = known[0].to_string();
        assert!(shown.starts_with("ssh-ed25519 SHA256:") && shown.len() == "ssh-ed25519 SHA256:".len() + 43, "{shown}");
        assert_eq!(HostKey::parse(&shown).as_ref(), Some(&known[0]));
        assert!(HostKey::known(LINE, "bank.example", 22).is_empty());
        for wrong in ["SHA256:abc", "ssh-dss SHA256:abc", "ssh-ed25519 MD5:00", "ssh-ed25519 SHA256:abc"] {
            assert_eq!(HostKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "secret").unwrap();
        let secret = Secret::parse("key", dir.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(secret.read(), Err(Error::Exposed { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secret.read().unwrap(), "secret");
        assert_eq!(Secret::parse("credential:rural", dir.path()), Some(Secret::Credential("rural".to_owned())));
        assert_eq!(Secret::parse("credential:../x", dir.path()), None);
    }
}
