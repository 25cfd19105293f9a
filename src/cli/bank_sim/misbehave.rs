//! What a bank does wrong when it is told to: at its start, or while it runs, by a line in its file `misbehave`.

use serde::Deserialize;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The connection is cut when so many bytes were uploaded over it.
    DropAfter,
    /// The connection is cut when so many bytes were downloaded over it.
    DropDownloadAfter,
    /// The next SFTP operation is never answered.
    Stall,
    /// The connection is taken, and nothing is ever said on it.
    StallHandshake,
    /// So many bytes in a second, both ways.
    Slow,
    /// A write fails when the file has so many bytes.
    NoSpace,
    /// Renaming fails.
    RenameRefused,
    /// The file is renamed, and the connection dies before the reply.
    RenameLost,
    /// The file is renamed, and the reply never comes.
    RenameUnanswered,
    /// Sizes are told one byte too large.
    WrongSize,
    /// A file is taken away the instant it has its final name, before the reply.
    Sweep,
    /// Nothing may be listed, looked at or read.
    WriteOnly,
    /// Nothing may be looked at.
    NoStat,
    /// `fsync@openssh.com` is unknown.
    NoFsync,
    /// Another host key is offered.
    HostKeyChanged,
    /// Nobody may log in.
    AuthFails,
    /// A return comes again: over itself, and once more after it was taken away.
    DuplicateAnswers,
    /// First a cut return, at the next listing the whole one.
    TruncatedAnswers,
    /// The last file first, the others at the next listing.
    AnswersInWrongOrder,
    /// The answer is there before the rename is confirmed.
    EarlyAnswer,
    /// A listing of the return folder never ends.
    EndlessListing,
    /// Every return says that it has 1 TiB.
    GiantSize,
    /// A listing of the return folder also has names and things that nobody should trust.
    OddNames,
}

/// Whether a kind wants a number after `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// No.
    Never,
    /// 0 where it is missing.
    Optional,
    /// Yes.
    Always,
}

impl Kind {
    /// Every kind, with its word and its number.
    pub const ALL: [(Kind, &'static str, Number); 23] = [
        (Kind::DropAfter, "drop-after", Number::Always),
        (Kind::DropDownloadAfter, "drop-download-after", Number::Always),
        (Kind::Stall, "stall", Number::Never),
        (Kind::StallHandshake, "stall-handshake", Number::Never),
        (Kind::Slow, "slow", Number::Always),
        (Kind::NoSpace, "no-space", Number::Optional),
        (Kind::RenameRefused, "rename-refused", Number::Never),
        (Kind::RenameLost, "rename-lost", Number::Never),
        (Kind::RenameUnanswered, "rename-unanswered", Number::Never),
        (Kind::WrongSize, "wrong-size", Number::Never),
        (Kind::Sweep, "sweep", Number::Never),
        (Kind::WriteOnly, "write-only", Number::Never),
        (Kind::NoStat, "no-stat", Number::Never),
        (Kind::NoFsync, "no-fsync", Number::Never),
        (Kind::HostKeyChanged, "host-key-changed", Number::Never),
        (Kind::AuthFails, "auth-fails", Number::Never),
        (Kind::DuplicateAnswers, "duplicate-answers", Number::Never),
        (Kind::TruncatedAnswers, "truncated-answers", Number::Never),
        (Kind::AnswersInWrongOrder, "answers-in-wrong-order", Number::Never),
        (Kind::EarlyAnswer, "early-answer", Number::Never),
        (Kind::EndlessListing, "endless-listing", Number::Never),
        (Kind::GiantSize, "giant-size", Number::Never),
        (Kind::OddNames, "odd-names", Number::Never),
    ];

    /// As operators write it.
    pub fn word(self) -> &'static str {
        Kind::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, word, _)| word)
    }
}

/// A kind with its number, always or only the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Misbehaviour {
    /// What.
    pub kind: Kind,
    /// Bytes, or bytes in a second; 0 where the kind has none.
    pub number: u64,
    /// Only the next time.
    pub once: bool,
}

impl FromStr for Misbehaviour {
    type Err = String;

    /// Reads `once:drop-after=1000`.
    fn from_str(text: &str) -> Result<Misbehaviour, String> {
        let (once, rest) = text.strip_prefix("once:").map_or((false, text), |rest| (true, rest));
        let (word, number) = rest.split_once('=').map_or((rest, None), |(word, number)| (word, Some(number)));
        let known = Kind::ALL.iter().find(|(_, known, _)| *known == word);
        let (kind, _, wants) = known.ok_or_else(|| format!("{text}: no such misbehaviour"))?;
        let number = match (wants, number) {
            (Number::Never, Some(_)) => return Err(format!("{text}: expected no number")),
            (Number::Always, None) => return Err(format!("{text}: expected a number, as in {word}=1000")),
            (_, None) => 0,
            (_, Some(number)) => number.parse().map_err(|_| format!("{text}: expected a number after ="))?,
        };
        Ok(Misbehaviour { kind: *kind, number, once })
    }
}

impl TryFrom<String> for Misbehaviour {
    type Error = String;

    fn try_from(text: String) -> Result<Misbehaviour, String> {
        text.parse()
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let once = if self.once { "once:" } else { "" };
        write!(f, "{once}{}", self.kind.word())?;
        if self.number > 0 { write!(f, "={}", self.number) } else { Ok(()) }
    }
}

/// How one bank misbehaves now. Its file is read again for every question, so that `echo` is all an operator needs.
#[derive(Debug)]
pub struct Manners {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    given: Vec<Misbehaviour>,
    text: String,
    written: Vec<Misbehaviour>,
}

impl Manners {
    /// `given` at the start; `root/misbehave` may say more at any time.
    pub fn new(root: &Path, given: &[Misbehaviour]) -> Manners {
        let state = State { given: given.to_vec(), text: String::new(), written: Vec::new() };
        Manners { file: root.join("misbehave"), state: Mutex::new(state) }
    }

    /// The number of a misbehaviour that is on; nothing is used up.
    pub fn number(&self, kind: Kind) -> Option<u64> {
        self.look().find(kind).map(|found| found.number)
    }

    /// Whether the bank misbehaves like this now. What was meant for the next time only is used up.
    pub fn does(&self, kind: Kind) -> bool {
        let mut state = self.look();
        let Some(found) = state.find(kind) else { return false };
        tracing::debug!(misbehaviour = %found, "misbehaves");
        if found.once {
            self.use_up(&mut state, found);
        }
        true
    }

    fn look(&self) -> MutexGuard<'_, State> {
        // Read under the lock: a line that another caller uses up must not come back.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        if state.text != text {
            let (good, bad): (Vec<_>, Vec<_>) = lines(&text).map(str::parse).partition(Result::is_ok);
            state.written = good.into_iter().flatten().collect();
            bad.into_iter().filter_map(Result::err).for_each(|why: String| tracing::warn!("misbehave: {why}"));
            state.text = text;
        }
        state
    }

    /// The line goes out of the file, so that the operator sees that it happened.
    fn use_up(&self, state: &mut State, used: Misbehaviour) {
        if let Some(place) = state.written.iter().position(|one| *one == used) {
            state.written.remove(place);
            let mut kept: Vec<&str> = lines(&state.text).collect();
            if let Some(place) = kept.iter().position(|line| line.parse() == Ok(used)) {
                kept.remove(place);
            }
            let text = kept.iter().map(|line| format!("{line}\n")).collect::<String>();
            match write_whole(&self.file, &text) {
                Ok(()) => state.text = text,
                Err(error) => tracing::warn!("{}: {error}", self.file.display()),
            }
        } else if let Some(place) = state.given.iter().position(|one| *one == used) {
            state.given.remove(place);
        }
    }
}

impl State {
    fn find(&self, kind: Kind) -> Option<Misbehaviour> {
        self.written.iter().chain(&self.given).find(|one| one.kind == kind).copied()
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written_alike() {
        for (kind, word, wants) in Kind::ALL {
            let text = if wants == Number::Always { format!("{word}=7") } else { word.to_owned() };
            let read: Misbehaviour = text.parse().unwrap();
            assert_eq!((read.kind, read.once, read.to_string()), (kind, false, text.clone()));
            assert!(format!("once:{text}").parse::<Misbehaviour>().unwrap().once);
        }
        assert_eq!("no-space=9".parse::<Misbehaviour>().unwrap().number, 9);
        for wrong in ["", "sleep", "stall=1", "slow", "slow=fast", "once:"] {
            assert!(wrong.parse::<Misbehaviour>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_file_is_read_again_and_once_is_once() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("misbehave");
        let manners = Manners::new(root.path(), &["once:stall".parse().unwrap()]);
        assert!(manners.does(Kind::Stall) && !manners.does(Kind::Stall));
        fs::write(&file, "# rehearsal\nsweep\nonce:drop-after=10\nnonsense\n").unwrap();
        assert_eq!(manners.number(Kind::DropAfter), Some(10));
        assert!(manners.does(Kind::DropAfter) && !manners.does(Kind::DropAfter));
        assert!(manners.does(Kind::Sweep) && manners.does(Kind::Sweep));
        assert_eq!(fs::read_to_string(&file).unwrap(), "sweep\nnonsense\n");
        fs::remove_file(&file).unwrap();
        assert!(!manners.does(Kind::Sweep));
    }

    #[test]
    fn once_is_once_for_many_callers() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("misbehave"), "once:sweep\nonce:sweep\n").unwrap();
        let manners = Manners::new(root.path(), &["once:sweep".parse().unwrap()]);
        let count = |_| (0..50).filter(|_| manners.does(Kind::Sweep)).count();
        let total: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8).map(|caller| scope.spawn(move || count(caller))).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).sum()
        });
        assert_eq!(total, 3);
    }
}
