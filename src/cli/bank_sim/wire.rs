//! SSH on the wire. Only this module and the one below it know `russh`, whose interface changes with every release.

mod sftp;

use crate::cli::bank_sim::bank::Bank;
use crate::cli::bank_sim::misbehave::Kind;
use russh::keys::ssh_key::{AuthorizedKeys, LineEnding};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use sftp::Sftp;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Shutdown, TcpStream as Socket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Whoever may not log in is told after so long.
const REJECTION: Duration = Duration::from_millis(100);

/// Bytes that a client may send before it must wait for us.
const WINDOW: u32 = 8 * 1_024 * 1_024;

/// A server's identity: the key that it shows, and the one that it shows when it misbehaves.
pub(super) struct HostKeys {
    own: Arc<Config>,
    other: Arc<Config>,
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub(super) fingerprint: String,
}

impl HostKeys {
    /// The key in `path`, made where it is missing.
    pub(super) fn open(path: &Path) -> io::Result<HostKeys> {
        let key = match fs::exists(path)? {
            true => PrivateKey::read_openssh_file(path).map_err(io::Error::other)?,
            false => {
                let key = new_key()?;
                key.write_openssh_file(path, LineEnding::LF).map_err(io::Error::other)?;
                key
            }
        };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        Ok(HostKeys { own: config(key), other: config(new_key()?), fingerprint })
    }
}

/// A new key in a file of its own; the line of its public half for `authorized_keys`.
pub(super) fn make_key(path: &Path) -> io::Result<String> {
    let key = new_key()?;
    key.write_openssh_file(path, LineEnding::LF).map_err(io::Error::other)?;
    key.public_key().to_openssh().map(|line| line + "\n").map_err(io::Error::other)
}

fn new_key() -> io::Result<PrivateKey> {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).map_err(io::Error::other)
}

fn config(key: PrivateKey) -> Arc<Config> {
    Arc::new(Config {
        methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..]),
        auth_rejection_time: REJECTION,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        window_size: WINDOW,
        event_buffer_size: 100,
        inactivity_timeout: None,
        nodelay: true,
        ..Config::default()
    })
}

/// One listening port and the banks behind it.
pub(super) struct Port {
    pub(super) keys: Arc<HostKeys>,
    pub(super) banks: HashMap<String, Arc<Bank>>,
}

impl Port {
    /// Before the login nobody knows which bank is called: any bank of the port misbehaves for all.
    fn does(&self, kind: Kind) -> bool {
        self.banks.values().any(|bank| bank.manners.does(kind))
    }
}

/// Takes connections until it is dropped.
pub(super) async fn serve(listener: TcpListener, port: Arc<Port>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, port.clone()))),
            Err(error) => {
                tracing::warn!("cannot accept: {error}");
                // Too many open files, as a rule: some will be closed.
                tokio::time::sleep(REJECTION).await;
            }
        }
    }
}

async fn connection(mut stream: TcpStream, port: Arc<Port>) {
    if port.does(Kind::StallHandshake) {
        let mut ignored = [0; 1_024];
        while stream.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
        return;
    }
    let keys = if port.does(Kind::HostKeyChanged) { &port.keys.other } else { &port.keys.own };
    let config = keys.clone();
    let (gone, is_gone) = watch::channel(false);
    let opened = Line::over(stream, is_gone);
    let ended = match opened {
        Ok((stream, line)) => {
            talk(config, stream, Caller { port, line: Arc::new(line), bank: None, channels: HashMap::new() }).await
        }
        Err(error) => Err(error.into()),
    };
    // Whoever waited for it has left before.
    let _ = gone.send(true);
    if let Err(error) = ended {
        tracing::debug!("connection ended: {error}");
    }
}

async fn talk(config: Arc<Config>, stream: TcpStream, caller: Caller) -> Result<(), russh::Error> {
    russh::server::run_stream(config, stream, caller).await?.await
}

/// The way to a client, to be cut in the middle of anything.
struct Line {
    socket: Socket,
    is_gone: watch::Receiver<bool>,
    is_mute: AtomicBool,
}

impl Line {
    fn over(stream: TcpStream, is_gone: watch::Receiver<bool>) -> io::Result<(TcpStream, Line)> {
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let socket = stream.try_clone()?;
        Ok((TcpStream::from_std(stream)?, Line { socket, is_gone, is_mute: AtomicBool::new(false) }))
    }

    /// From here on nothing is done or answered. What the client sent ahead may have come already.
    fn mute(&self) {
        self.is_mute.store(true, Ordering::Relaxed);
    }

    fn is_mute(&self) -> bool {
        self.is_mute.load(Ordering::Relaxed)
    }

    fn cut(&self) {
        // It may be gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    async fn until_gone(&self) {
        // An error says that the other half is gone, and the connection with it.
        let _ = self.is_gone.clone().wait_for(|gone| *gone).await;
    }
}

/// One client: who it is, and its channels that are not yet SFTP.
struct Caller {
    port: Arc<Port>,
    line: Arc<Line>,
    bank: Option<Arc<Bank>>,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Caller {
    fn let_in(&mut self, user: &str, is_known: impl Fn(&Bank) -> bool) -> Auth {
        let bank = self.port.banks.get(user).filter(|bank| is_known(bank) && !bank.manners.does(Kind::AuthFails));
        self.bank = bank.cloned();
        if self.bank.is_some() { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Caller {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.let_in(user, |bank| bank.setup.password.as_deref() == Some(password)))
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        let bank = self.port.banks.get(user);
        let is_known = bank.is_some_and(|bank| may_enter(bank, offer.public_key));
        Ok(if is_known { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(self.let_in(user, |bank| may_enter(bank, key.public_key)))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        session.close(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let found = self.channels.remove(&channel).filter(|_| name == "sftp").zip(self.bank.clone());
        let Some((stream, bank)) = found else { return session.channel_failure(channel) };
        session.channel_success(channel)?;
        let sftp = Sftp::new(bank, self.line.clone());
        russh_sftp::server::run(stream.into_stream(), sftp).await;
        Ok(())
    }
}

/// The keys are read again at each login, so that one can be added while the bank is open.
fn may_enter(bank: &Bank, key: &PublicKey) -> bool {
    let text = fs::read_to_string(&bank.setup.authorized_keys).unwrap_or_default();
    let known = AuthorizedKeys::new(&text).filter_map(Result::ok);
    known.map(|entry| entry.public_key().key_data().clone()).any(|known| known == *key.key_data())
}
