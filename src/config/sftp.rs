//! `[bank.sftp]`: a bank's own server, as it is written and as we use it.

use crate::config::source::Reader;
use crate::domain::delivery::{Evidence, Manners};
use crate::transport::profile::{After, HOST_KEY_TYPES, HostKey, Login, Profile, Secret};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSftp {
    host: Spanned<String>,
    #[serde(default = "port")]
    port: Spanned<i64>,
    user: Spanned<String>,
    key: Option<Spanned<String>>,
    passphrase: Option<Spanned<String>>,
    password: Option<Spanned<String>>,
    #[serde(default)]
    host_keys: Vec<Spanned<String>>,
    known_hosts: Option<Spanned<String>>,
    #[serde(default = "put")]
    put: Spanned<String>,
    #[serde(default = "get")]
    get: Spanned<String>,
    #[serde(default = "yes")]
    rename: bool,
    #[serde(default = "yes")]
    stat: bool,
    #[serde(default = "yes")]
    read: bool,
    #[serde(default = "yes")]
    fsync: bool,
    #[serde(default)]
    sweeps: bool,
    evidence: Option<Spanned<String>>,
    #[serde(default = "after")]
    after: Spanned<String>,
    marker: Option<Spanned<String>>,
    #[serde(default = "quiet_s")]
    quiet_s: u64,
    #[serde(default = "poll_s")]
    poll_s: Spanned<i64>,
    #[serde(default = "timeout_s")]
    timeout_s: Spanned<i64>,
    #[serde(default = "deadline_s")]
    deadline_s: Spanned<i64>,
    #[serde(default = "longest_pause_s")]
    longest_pause_s: Spanned<i64>,
    #[serde(default = "least_bytes_per_s")]
    least_bytes_per_s: u64,
    #[serde(default = "max_mib")]
    max_mib: Spanned<i64>,
    #[serde(default)]
    legacy_algorithms: bool,
}

impl Reader<'_> {
    /// The profile of a bank's server; `None` where something in it is wrong, with all that is wrong noted.
    pub(super) fn sftp(&mut self, raw: &RawSftp, root: &Path) -> Option<Profile> {
        let before = self.problems.len();
        let login = self.login(raw, root);
        let host_keys = self.host_keys(raw, root);
        let evidence = self.evidence(raw);
        let seconds = |reader: &mut Self, value| Duration::from_secs(reader.whole(value, 1, 86_400).unsigned_abs());
        let profile = Profile {
            host: self.parse(&raw.host, "a name or address", super::filled).unwrap_or_default(),
            port: u16::try_from(self.whole(&raw.port, 1, 65_535)).unwrap_or(22),
            user: self.parse(&raw.user, "our account at the bank", super::filled).unwrap_or_default(),
            login: login?,
            host_keys,
            put: self.parse(&raw.put, FOLDER, remote_folder).unwrap_or_default(),
            get: self.parse(&raw.get, FOLDER, remote_folder).unwrap_or_default(),
            manners: Manners { renames: raw.rename, sweeps: raw.sweeps, evidence },
            may_read: raw.read,
            may_stat: raw.stat,
            fsync: raw.fsync,
            after: self.parse(&raw.after, AFTER, after_action).unwrap_or_default(),
            marker: raw.marker.as_ref().and_then(|text| self.parse(text, "an ending such as \".ok\"", super::filled)),
            quiet: Duration::from_secs(raw.quiet_s),
            poll: seconds(self, &raw.poll_s),
            timeout: seconds(self, &raw.timeout_s),
            deadline: seconds(self, &raw.deadline_s),
            longest_pause: seconds(self, &raw.longest_pause_s),
            least_bytes_per_s: raw.least_bytes_per_s,
            max_bytes: self.whole(&raw.max_mib, 1, 1 << 20).unsigned_abs() << 20,
            legacy: raw.legacy_algorithms,
        };
        (self.problems.len() == before).then_some(profile)
    }

    fn login(&mut self, raw: &RawSftp, root: &Path) -> Option<Login> {
        let secret = |reader: &mut Self, text: &Option<Spanned<String>>| {
            text.as_ref().and_then(|text| reader.parse(text, SECRET, |text| Secret::parse(text, root)))
        };
        match (&raw.key, &raw.password) {
            (Some(_), None) => {
                let passphrase = secret(self, &raw.passphrase);
                secret(self, &raw.key).map(|key| Login::Key(key, passphrase))
            }
            (None, Some(_)) => secret(self, &raw.password).map(Login::Password),
            (Some(_), Some(password)) => {
                self.refuse(password, "expected either key or password, found both; a key is the safer one");
                None
            }
            (None, None) => {
                self.refuse(
                    &raw.user,
                    "expected key = \"…\" (or password = \"…\") beside user: how we show who we are",
                );
                None
            }
        }
    }

    /// No trust on first use: without a key to compare there is no connection.
    fn host_keys(&mut self, raw: &RawSftp, root: &Path) -> Vec<HostKey> {
        let mut keys: Vec<HostKey> =
            raw.host_keys.iter().filter_map(|text| self.parse(text, &host_key_form(), HostKey::parse)).collect();
        if let Some(extra) = raw.host_keys.get(2) {
            self.refuse(extra, "expected one host key, or two while the bank changes it");
        }
        if let Some(file) = &raw.known_hosts {
            let port = u16::try_from(*raw.port.get_ref()).unwrap_or(22);
            match std::fs::read_to_string(root.join(file.get_ref())) {
                Ok(text) => keys.extend(HostKey::known(&text, raw.host.get_ref(), port)),
                Err(error) => self.refuse(file, format!("{}: {error}", file.get_ref())),
            }
        }
        if keys.is_empty() && raw.host_keys.is_empty() {
            self.refuse(
                &raw.host,
                "expected host_keys = [\"ssh-ed25519 SHA256:…\"]: ask the bank for its fingerprint, `daikou doctor` shows \
                 what the server offers; nothing is ever sent to a server that is not known",
            );
        }
        keys
    }

    /// By default the best that the bank lets us see. More than it lets us see can never be had.
    fn evidence(&mut self, raw: &RawSftp) -> Evidence {
        let best = match (raw.read, raw.stat) {
            (true, _) => Evidence::ReadBack,
            (false, true) => Evidence::Size,
            (false, false) => Evidence::Named,
        };
        let Some(text) = &raw.evidence else { return best };
        let words: Vec<String> = Evidence::ALL.iter().map(|(_, word)| format!("\"{word}\"")).collect();
        let Some(evidence) = self.parse(text, &words.join(", "), Evidence::parse) else { return best };
        if evidence > best {
            let message = format!("expected at most \"{}\" with read and stat as they are set", best.word());
            self.refuse(text, message);
        }
        evidence
    }
}

const FOLDER: &str = "a folder at the bank, such as \"upload\" or \".\"";
const AFTER: &str = "\"leave\", \"delete\" or \"move:FOLDER\"";
const SECRET: &str = "the path of a file with mode 600, or \"credential:NAME\" for LoadCredential=";

fn host_key_form() -> String {
    format!("type and fingerprint as in \"ssh-ed25519 SHA256:…\" (types: {})", HOST_KEY_TYPES.join(", "))
}

/// Any path that the server will understand; without line breaks and the like.
fn remote_folder(text: &str) -> Option<String> {
    let sound = !text.trim().is_empty() && !text.chars().any(char::is_control);
    sound.then(|| text.trim_end_matches('/').to_owned()).map(|text| if text.is_empty() { "/".to_owned() } else { text })
}

fn after_action(text: &str) -> Option<After> {
    match text {
        "leave" => Some(After::Leave),
        "delete" => Some(After::Delete),
        _ => remote_folder(text.strip_prefix("move:")?).map(After::Move),
    }
}

fn unwritten<T>(value: impl Into<T>) -> Spanned<T> {
    Spanned::new(0..0, value.into())
}

fn port() -> Spanned<i64> {
    unwritten(22)
}

fn put() -> Spanned<String> {
    unwritten("upload")
}

fn get() -> Spanned<String> {
    unwritten("download")
}

fn after() -> Spanned<String> {
    unwritten("leave")
}

fn yes() -> bool {
    true
}

fn quiet_s() -> u64 {
    5
}

fn poll_s() -> Spanned<i64> {
    unwritten(60)
}

fn timeout_s() -> Spanned<i64> {
    unwritten(30)
}

fn deadline_s() -> Spanned<i64> {
    unwritten(900)
}

fn longest_pause_s() -> Spanned<i64> {
    unwritten(600)
}

fn least_bytes_per_s() -> u64 {
    1_024
}

fn max_mib() -> Spanned<i64> {
    unwritten(2_048)
}
