//! A bank's own server, over SFTP. One value is one connection; it blocks, so it lives on a thread of its own.
//!
//! libssh2 checks no host key, waits for ever by default, and leaves a session in any state after an error. So: a
//! time limit is set before the first byte, the key is compared before we say who we are, a watchdog holds the socket,
//! and after any fault that is no answer the connection is cut and never used again.

use crate::transport::profile::{HostKey, Login, Profile};
use crate::transport::remote::{CREATING, Entry, EntryKind, Fault, Listing, Remote, RemotePath};
use crate::transport::watchdog::{Leash, Limits, Watchdog};
use ssh2::{ErrorCode, File, FileStat, MethodType, OpenFlags, OpenType, Session, Sftp};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An authenticated connection.
pub struct SftpRemote {
    // Dropped in this order, after the socket is shut down: each of them would wait for the server otherwise.
    sftp: Sftp,
    session: Session,
    leash: Arc<Leash>,
    profile: Arc<Profile>,
    round_trip: Duration,
    is_dead: bool,
}

/// What a connection came to: for `daikou doctor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// What the server calls itself.
    pub banner: String,
    /// Key exchange, host key, cipher and MAC towards the server.
    pub methods: Vec<(&'static str, String)>,
    /// Type and fingerprint of the server's key.
    pub host_key: String,
    /// One question and its answer.
    pub round_trip: Duration,
}

/// Key exchanges that we take: none with SHA-1.
const KEX: &str = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,\
ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,\
diffie-hellman-group14-sha256";
/// The fastest with this library first; its strict key exchange makes the first one safe.
const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,\
aes192-ctr,aes128-ctr";
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

/// Bytes given to the library at once: it cuts them up, and keeps only so many on the way. Larger slices for longer
/// lines, where waiting for each answer costs more than the memory.
const SLICE_NEAR: usize = 1 << 20;
const SLICE_FAR: usize = 4 << 20;
const FAR: Duration = Duration::from_millis(5);

impl SftpRemote {
    /// Connects, compares the host key, logs in.
    pub fn connect(profile: &Arc<Profile>, watchdog: &Watchdog) -> Result<SftpRemote, Fault> {
        let began = Instant::now();
        let socket = reach(profile)?;
        let leash = watchdog.watch(socket.try_clone().map_err(|error| unreachable(profile, &error))?);
        leash.begin(Limits { deadline: 3 * profile.timeout, stretch: 3 * profile.timeout, least_bytes: 0 });
        let opened = open(profile, socket);
        leash.end();
        match opened {
            Ok((session, sftp)) => {
                let round_trip = began.elapsed();
                let mut remote =
                    SftpRemote { sftp, session, leash, profile: profile.clone(), round_trip, is_dead: false };
                let began = Instant::now();
                match remote.call("ask where we are", |remote| remote.sftp.realpath(Path::new("."))) {
                    // Any answer will do: it is the time that is asked for.
                    Err(fault) if !fault.is_answer() => return Err(fault),
                    _ => remote.round_trip = began.elapsed(),
                }
                Ok(remote)
            }
            Err((fault, session)) => {
                leash.cut();
                drop(session);
                Err(fault)
            }
        }
    }

    /// What was agreed with the server.
    pub fn negotiated(&self) -> Negotiated {
        let kinds = [
            ("key exchange", MethodType::Kex),
            ("host key", MethodType::HostKey),
            ("cipher", MethodType::CryptCs),
            ("MAC", MethodType::MacCs),
        ];
        let method = |kind| self.session.methods(kind).unwrap_or_default().to_owned();
        Negotiated {
            banner: self.session.banner().unwrap_or_default().to_owned(),
            methods: kinds.map(|(name, kind)| (name, method(kind))).to_vec(),
            host_key: shown_key(&self.session).map(|key| key.to_string()).unwrap_or_default(),
            round_trip: self.round_trip,
        }
    }

    /// Whether `fsync@openssh.com` and `statvfs@openssh.com` are answered for a file of ours.
    pub fn extensions(&mut self, path: &RemotePath) -> Result<(bool, bool), Fault> {
        let mut file = self.open(path, OpenFlags::READ | OpenFlags::WRITE, "open")?;
        let answers = |result: Result<(), ssh2::Error>| result.is_ok();
        Ok((answers(file.fsync()), answers(file.statvfs().map(|_| ()))))
    }

    fn slice(&self) -> usize {
        if self.round_trip >= FAR { SLICE_FAR } else { SLICE_NEAR }
    }

    /// Does one call; a fault that is no answer ends the connection.
    fn call<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut SftpRemote) -> Result<T, ssh2::Error>,
    ) -> Result<T, Fault> {
        let limits = self.profile.call_limits();
        self.within(limits, |remote| work(remote).map_err(|error| remote.fault(doing, None, &error)))
    }

    /// Does some work under the watchdog's eyes.
    fn within<T>(
        &mut self,
        limits: Limits,
        work: impl FnOnce(&mut SftpRemote) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.is_dead || self.leash.is_cut() {
            return Err(Fault::Lost { doing: "go on", why: "the connection is closed".to_owned() });
        }
        self.leash.begin(limits);
        let result = work(self);
        self.leash.end();
        match result {
            Err(fault) if !fault.is_answer() => {
                self.is_dead = true;
                let is_ours = self.leash.is_cut();
                self.leash.cut();
                Err(if is_ours { timed_out(fault) } else { fault })
            }
            result => result,
        }
    }

    /// The library's error as what it means to us.
    fn fault(&self, doing: &'static str, path: Option<&RemotePath>, error: &ssh2::Error) -> Fault {
        let path = path.map(ToString::to_string).unwrap_or_default();
        match error.code() {
            ErrorCode::SFTP(NO_SUCH_FILE | NO_SUCH_PATH) => Fault::Gone { path },
            ErrorCode::SFTP(NO_CONNECTION | CONNECTION_LOST) => lost(doing, error),
            ErrorCode::SFTP(code) => Fault::Refused { path, doing, answer: answer_words(code, error) },
            ErrorCode::Session(_) => lost(doing, error),
        }
    }

    /// An error of reading or writing, where the library hides its code.
    fn io_fault(&self, doing: &'static str, path: &RemotePath, error: &io::Error) -> Fault {
        let last = ssh2::Error::last_session_error(&self.session);
        if last.is_some_and(|last| last.code() == ErrorCode::Session(SFTP_PROTOCOL)) {
            return Fault::Refused { path: path.to_string(), doing, answer: error.to_string() };
        }
        Fault::Lost { doing, why: error.to_string() }
    }

    fn open(&mut self, path: &RemotePath, flags: OpenFlags, doing: &'static str) -> Result<File, Fault> {
        let opened = self.sftp.open_mode(native(path), flags, 0o640, OpenType::File);
        opened.map_err(|error| self.fault(doing, Some(path), &error))
    }

    /// Writes all bytes, brings them to the server's disk where it can, and closes: only then are they there.
    fn write_all(&mut self, file: File, path: &RemotePath, bytes: &mut dyn Read) -> Result<(), Fault> {
        let mut file = file;
        let mut slice = vec![0; self.slice()];
        loop {
            let count = fill(bytes, &mut slice).map_err(|source| ours(path, source))?;
            if count == 0 {
                break;
            }
            let mut rest = &slice[..count];
            while !rest.is_empty() {
                match file.write(rest) {
                    Ok(0) => return Err(Fault::Lost { doing: "write", why: "the server takes no bytes".to_owned() }),
                    Ok(written) => {
                        self.leash.moved(written as u64);
                        rest = &rest[written..];
                    }
                    Err(error) => return Err(self.io_fault("write", path, &error)),
                }
            }
        }
        failpoint!("put.written");
        if self.profile.fsync {
            // Not every server can; the bytes are read back all the same.
            let _ = file.fsync();
        }
        file.close().map_err(|error| self.fault("close", Some(path), &error))
    }
}

impl Remote for SftpRemote {
    fn list(&mut self, folder: &str, limit: usize) -> Result<Listing, Fault> {
        let path = RemotePath::new(folder, b"");
        let limits = self.profile.call_limits();
        self.within(limits, |remote| {
            let opened = remote.sftp.opendir(native(&path));
            let mut open = opened.map_err(|error| remote.fault("list", Some(&path), &error))?;
            let mut listing = Listing::default();
            let mut read = 0;
            loop {
                match open.readdir() {
                    Ok((name, about)) => {
                        read += 1;
                        if read > limit {
                            listing.more = true;
                            break;
                        }
                        let name = name.as_os_str().as_bytes();
                        if name != b"." && name != b".." {
                            listing.entries.push(entry(name, &about));
                        }
                    }
                    Err(error) if error.code() == ErrorCode::Session(NO_MORE_FILES) => break,
                    Err(error) => return Err(remote.fault("list", Some(&path), &error)),
                }
            }
            open.close().map_err(|error| remote.fault("list", Some(&path), &error))?;
            listing.entries.sort();
            Ok(listing)
        })
    }

    fn stat(&mut self, path: &RemotePath) -> Result<Option<Entry>, Fault> {
        let name = path.bytes().rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec();
        let limits = self.profile.call_limits();
        let looked = self.within(limits, |remote| {
            remote.sftp.lstat(native(path)).map_err(|error| remote.fault("look at", Some(path), &error))
        });
        match looked {
            Ok(about) => Ok(Some(entry(&name, &about))),
            Err(Fault::Gone { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn read(&mut self, path: &RemotePath, limit: u64, sink: &mut dyn Write) -> Result<u64, Fault> {
        let limits = self.profile.transfer_limits();
        self.within(limits, |remote| {
            let mut file = remote.open(path, OpenFlags::READ, "open")?;
            let mut slice = vec![0; remote.slice()];
            let mut size = 0;
            loop {
                let count = file.read(&mut slice).map_err(|error| remote.io_fault("read", path, &error))?;
                if count == 0 {
                    break;
                }
                remote.leash.moved(count as u64);
                size += count as u64;
                if size > limit {
                    return Err(Fault::TooBig { path: path.to_string(), limit, found: size });
                }
                sink.write_all(&slice[..count]).map_err(|source| ours(path, source))?;
            }
            file.close().map_err(|error| remote.fault("close", Some(path), &error))?;
            Ok(size)
        })
    }

    fn create(&mut self, path: &RemotePath, bytes: &mut dyn Read) -> Result<(), Fault> {
        let limits = self.profile.transfer_limits();
        self.within(limits, |remote| {
            let file = remote.open(path, OpenFlags::WRITE | OpenFlags::EXCLUSIVE, CREATING)?;
            failpoint!("put.created");
            remote.write_all(file, path, bytes)
        })
    }

    fn rename(&mut self, from: &RemotePath, to: &RemotePath) -> Result<(), Fault> {
        let limits = self.profile.call_limits();
        // No flags: version 3 of the protocol has none, and a name that is taken must be refused.
        self.within(limits, |remote| {
            let renamed = remote.sftp.rename(native(from), native(to), None);
            renamed.map_err(|error| remote.fault("rename", Some(to), &error))?;
            failpoint!("name.given");
            Ok(())
        })
    }

    fn remove(&mut self, path: &RemotePath) -> Result<(), Fault> {
        let limits = self.profile.call_limits();
        self.within(limits, |remote| {
            remote.sftp.unlink(native(path)).map_err(|error| remote.fault("remove", Some(path), &error))
        })
    }
}

impl Drop for SftpRemote {
    fn drop(&mut self) {
        // Without this each of the library's values waits for the server once more.
        self.leash.cut();
    }
}

impl std::fmt::Debug for SftpRemote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SftpRemote").field("host", &self.profile.address()).finish_non_exhaustive()
    }
}

fn reach(profile: &Profile) -> Result<TcpStream, Fault> {
    let resolved = (profile.host.as_str(), profile.port).to_socket_addrs();
    let addresses = resolved.map_err(|error| unreachable(profile, &error))?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, profile.timeout) {
            Ok(socket) => {
                // Small questions must not wait for each other; where it cannot be set they only do.
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(unreachable(profile, &last))
}

/// A fault and the session that must outlive the cut of its socket.
type Failed = (Fault, Option<Session>);

fn open(profile: &Profile, socket: TcpStream) -> Result<(Session, Sftp), Failed> {
    let mut session = Session::new().map_err(|error| (unreachable(profile, &error), None))?;
    match log_in(profile, socket, &mut session) {
        Ok(sftp) => Ok((session, sftp)),
        Err(fault) => Err((fault, Some(session))),
    }
}

fn log_in(profile: &Profile, socket: TcpStream, session: &mut Session) -> Result<Sftp, Fault> {
    let failed = |error: ssh2::Error| unreachable(profile, &error);
    session.set_timeout(u32::try_from(profile.timeout.as_millis()).unwrap_or(u32::MAX).max(1));
    session.method_pref(MethodType::HostKey, &host_key_preference(profile)).map_err(failed)?;
    if !profile.legacy {
        for (kind, names) in [
            (MethodType::Kex, KEX),
            (MethodType::CryptCs, CIPHERS),
            (MethodType::CryptSc, CIPHERS),
            (MethodType::MacCs, MACS),
            (MethodType::MacSc, MACS),
        ] {
            session.method_pref(kind, names).map_err(failed)?;
        }
    }
    session.set_tcp_stream(socket);
    session.handshake().map_err(failed)?;
    check_host_key(profile, session)?;
    authenticate(profile, session)?;
    session.sftp().map_err(failed)
}

/// Only the types that we could compare: else the server might show another key of its own, and look like a stranger.
fn host_key_preference(profile: &Profile) -> String {
    let mut names = Vec::new();
    for key in &profile.host_keys {
        let of_key: &[&str] = match key.algorithm.as_str() {
            "ssh-rsa" if profile.legacy => &["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
            "ssh-rsa" => &["rsa-sha2-512", "rsa-sha2-256"],
            other => &[other],
        };
        for name in of_key {
            if !names.contains(name) {
                names.push(name);
            }
        }
    }
    names.join(",")
}

fn shown_key(session: &Session) -> Option<HostKey> {
    session.host_key().and_then(|(blob, _)| HostKey::of(blob))
}

fn check_host_key(profile: &Profile, session: &Session) -> Result<(), Fault> {
    let shown = shown_key(session);
    if shown.as_ref().is_some_and(|key| profile.host_keys.contains(key)) {
        return Ok(());
    }
    let expected: Vec<String> = profile.host_keys.iter().map(ToString::to_string).collect();
    Err(Fault::HostKey {
        host: profile.address(),
        found: shown.map_or_else(|| "none".to_owned(), |key| key.to_string()),
        expected: expected.join(" or "),
    })
}

fn authenticate(profile: &Profile, session: &Session) -> Result<(), Fault> {
    let tried = match &profile.login {
        Login::Key(key, passphrase) => {
            let key = key.read()?;
            let passphrase = passphrase.as_ref().map(|secret| secret.read()).transpose()?;
            let passphrase = passphrase.as_deref().map(|text| text.trim_end_matches('\n'));
            session.userauth_pubkey_memory(&profile.user, None, &key, passphrase)
        }
        Login::Password(secret) => session.userauth_password(&profile.user, secret.read()?.trim_end_matches('\n')),
    };
    match tried {
        Ok(()) => Ok(()),
        Err(error) if is_transport_error(&error) => Err(unreachable(profile, &error)),
        Err(error) => Err(Fault::Authentication {
            host: profile.address(),
            user: profile.user.clone(),
            why: error.message().to_owned(),
        }),
    }
}

/// The line broke while we logged in: no answer about who we are.
fn is_transport_error(error: &ssh2::Error) -> bool {
    matches!(error.code(), ErrorCode::Session(SOCKET_SEND | SOCKET_DISCONNECT | SOCKET_RECV | TIMEOUT | SOCKET_TIMEOUT))
}

fn unreachable(profile: &Profile, error: &dyn std::fmt::Display) -> Fault {
    Fault::Unreachable { host: profile.address(), why: error.to_string() }
}

fn lost(doing: &'static str, error: &ssh2::Error) -> Fault {
    Fault::Lost { doing, why: error.message().to_owned() }
}

fn timed_out(fault: Fault) -> Fault {
    match fault {
        Fault::Lost { doing, .. } => {
            Fault::Lost { doing, why: "it took too long, or hardly anything moved: the connection was cut".to_owned() }
        }
        fault => fault,
    }
}

fn ours(path: &RemotePath, source: io::Error) -> Fault {
    Fault::Ours(crate::transport::Error::Io { path: path.to_string(), doing: "copy", source })
}

fn answer_words(code: i32, error: &ssh2::Error) -> String {
    match code {
        3 => "permission denied".to_owned(),
        4 => "failure (the name may be taken, or there is no room)".to_owned(),
        8 => "operation unsupported".to_owned(),
        _ => format!("{} ({code})", error.message()),
    }
}

fn native(path: &RemotePath) -> &Path {
    match path.bytes() {
        b"" => Path::new("."),
        bytes => Path::new(OsStr::from_bytes(bytes)),
    }
}

/// What the server does not say is no file.
fn entry(name: &[u8], about: &FileStat) -> Entry {
    let is_file = about.perm.is_some() && about.is_file() && about.size.is_some();
    let kind = if is_file { EntryKind::File } else { EntryKind::NotAFile };
    Entry { name: name.to_vec(), kind, size: about.size.unwrap_or(0), mtime: about.mtime.unwrap_or(0) }
}

/// Fills a slice as far as there are bytes: short writes are what makes SFTP slow.
fn fill(bytes: &mut dyn Read, slice: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < slice.len() {
        match bytes.read(&mut slice[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

// Codes of the protocol and of the library.
const NO_SUCH_FILE: i32 = 2;
const NO_CONNECTION: i32 = 6;
const CONNECTION_LOST: i32 = 7;
const NO_SUCH_PATH: i32 = 10;
const SOCKET_SEND: i32 = -7;
const TIMEOUT: i32 = -9;
const SOCKET_DISCONNECT: i32 = -13;
const NO_MORE_FILES: i32 = -16;
const SOCKET_TIMEOUT: i32 = -30;
const SFTP_PROTOCOL: i32 = -31;
const SOCKET_RECV: i32 = -43;
