//! The digests banks ask for. Computing only: no file is read here.

use sm3::Digest as _;

/// A digest over a byte range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// GB/T 32905, 64 hexadecimal digits: what we write.
    Sm3,
    /// 32 hexadecimal digits: read only.
    Md5,
}

impl Algorithm {
    /// The word inside files.
    pub fn word(self) -> &'static str {
        match self {
            Algorithm::Sm3 => "SM3",
            Algorithm::Md5 => "MD5",
        }
    }

    /// Reads the word, exactly.
    pub fn parse(word: &str) -> Option<Algorithm> {
        [Algorithm::Sm3, Algorithm::Md5].into_iter().find(|algorithm| algorithm.word() == word)
    }

    /// The digest of `bytes`, lower-case hexadecimal.
    pub fn of(self, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// A digest being computed.
#[derive(Clone, Debug)]
pub enum Hasher {
    /// SM3 so far.
    Sm3(Box<sm3::Sm3>),
    /// MD5 so far.
    Md5(Box<md5::Md5>),
}

impl Hasher {
    /// A digest of nothing yet.
    pub fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Sm3 => Hasher::Sm3(Box::default()),
            Algorithm::Md5 => Hasher::Md5(Box::default()),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sm3(hasher) => hasher.update(bytes),
            Hasher::Md5(hasher) => hasher.update(bytes),
        }
    }

    /// Lower-case hexadecimal.
    pub fn finish(self) -> String {
        match self {
            Hasher::Sm3(hasher) => hex(&hasher.finalize()),
            Hasher::Md5(hasher) => hex(&hasher.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_hold() {
        assert_eq!(Algorithm::Sm3.of(b"abc"), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
        assert_eq!(Algorithm::Md5.of(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
    }
}
