//! What an SSH server offers before anybody logs in: read from its first message, which is not encrypted (RFC 4253,
//! section 7.1). The library shows only what was agreed; to say what a bank lacks, one must see what it has.

use crate::transport::profile::{HOST_KEY_TYPES, HostKey};
use ssh2::{MethodType, Session};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// What a server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// What it calls itself.
    pub banner: String,
    /// Key exchange, host key, cipher towards the server, MAC towards the server: the names in its order.
    pub lists: Vec<(&'static str, Vec<String>)>,
    /// Its host keys, one of each type that it has.
    pub host_keys: Vec<HostKey>,
}

/// Asks a server. Nothing is trusted and nobody logs in.
pub fn offered(host: &str, port: u16, timeout: Duration) -> io::Result<Offered> {
    let (banner, payload) = first_message(&mut reach(host, port, timeout)?)?;
    let lists = name_lists(&payload).ok_or_else(|| odd("its first message is no list of algorithms"))?;
    let named = |place: usize| lists.get(place).cloned().unwrap_or_default();
    let kinds = [("key exchange", 0), ("host key", 1), ("cipher", 2), ("MAC", 4)];
    let host_keys = HOST_KEY_TYPES.iter().filter_map(|kind| host_key(host, port, timeout, kind)).collect();
    Ok(Offered { banner, lists: kinds.map(|(name, place)| (name, named(place))).to_vec(), host_keys })
}

fn reach(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = odd("the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The server's name, and the payload of its first packet.
fn first_message(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    stream.write_all(b"SSH-2.0-daikou\r\n")?;
    let banner = loop {
        let line = line(stream)?;
        // Servers may say other things first.
        if line.starts_with("SSH-") {
            break line;
        }
    };
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let padding = usize::from(head[4]);
    if length > LONGEST || length < padding + 2 {
        return Err(odd("its first packet has an impossible length"));
    }
    let mut packet = vec![0; length - 1];
    stream.read_exact(&mut packet)?;
    packet.truncate(length - 1 - padding);
    Ok((banner, packet))
}

fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    while bytes.len() < 255 {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => return Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
            other => bytes.push(other),
        }
    }
    Err(odd("its greeting has no end"))
}

/// The ten lists of names behind message number and cookie.
fn name_lists(payload: &[u8]) -> Option<Vec<Vec<String>>> {
    const KEXINIT: u8 = 20;
    let mut rest = payload.strip_prefix(&[KEXINIT])?.get(16..)?;
    let mut lists = Vec::new();
    for _ in 0..10 {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let names = std::str::from_utf8(rest.get(4..4 + length)?).ok()?;
        lists.push(names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect());
        rest = &rest[4 + length..];
    }
    Some(lists)
}

/// The host key of one type, if the server has one.
fn host_key(host: &str, port: u16, timeout: Duration, kind: &str) -> Option<HostKey> {
    let names = if kind == "ssh-rsa" { "rsa-sha2-512,rsa-sha2-256" } else { kind };
    let mut session = Session::new().ok()?;
    session.set_timeout(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
    session.method_pref(MethodType::HostKey, names).ok()?;
    session.set_tcp_stream(reach(host, port, timeout).ok()?);
    session.handshake().ok()?;
    let (blob, _) = session.host_key()?;
    HostKey::of(blob)
}

fn odd(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(names: &[&str]) -> Vec<u8> {
        let mut payload = vec![20];
        payload.extend([7; 16]);
        for names in names {
            payload.extend((names.len() as u32).to_be_bytes());
            payload.extend(names.as_bytes());
        }
        payload
    }

    #[test]
    fn lists_are_read_in_their_order() {
        let lists = ["a,b", "ssh-ed25519", "c", "c", "m", "m", "none", "none", "", ""];
        let read = name_lists(&message(&lists)).unwrap();
        assert_eq!(read[0], ["a", "b"]);
        assert_eq!((read[1].len(), read[9].len()), (1, 0));
    }

    #[test]
    fn half_a_message_is_none() {
        let whole = message(&["a"; 10]);
        assert!((0..whole.len()).all(|length| name_lists(&whole[..length]).is_none()));
    }
}
