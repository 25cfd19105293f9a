//! Delivery: what follows from what is recorded and what is seen at the bank (design section 6).
//!
//! A file goes out under a temporary name and gets its final name when it is whole; where a bank forbids that, it is
//! written under its final name at once. Before each act that could deliver, its [`Stage`] is recorded. So after a
//! crash, a timeout or a lost reply, the record says what *may* have happened, and a look at the bank what has:
//! [`next_move`] is the whole of that judgement. It never leads to a second delivery, and never calls "sent" what
//! nothing shows.

/// How far the delivery of one file may have come: recorded before the act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing was begun.
    #[default]
    Untouched,
    /// Bytes may lie at the bank: under the temporary name, or under the final one where the bank forbids renaming.
    Writing,
    /// The final name may have been given.
    Naming,
    /// There is evidence.
    Delivered,
}

impl Stage {
    /// Every stage with its word.
    pub const ALL: [(Stage, &str); 4] = [
        (Stage::Untouched, "untouched"),
        (Stage::Writing, "writing"),
        (Stage::Naming, "naming"),
        (Stage::Delivered, "delivered"),
    ];

    /// The word that is shown.
    pub fn word(self) -> &'static str {
        Stage::ALL[self as usize].1
    }
}

/// What a look at a name shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing lies there.
    Absent,
    /// Our bytes: read back, size and SHA-256 agree.
    Same,
    /// As many bytes as ours; what they are cannot be read.
    SameSize,
    /// Fewer bytes than ours: the beginning of them, where they can be read.
    Part,
    /// Other bytes.
    Other,
    /// The bank does not let us look.
    Unseen,
}

/// The least that counts as evidence at a bank: data of its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Nothing we see counts: the batch stays `sent-unconfirmed` until the bank answers or a person decides.
    Nothing,
    /// The server's word that the file has its final name.
    Named,
    /// The size under the final name.
    Size,
    /// Size and SHA-256, read back under the final name.
    #[default]
    ReadBack,
}

impl Evidence {
    /// Every rule with its word in the configuration.
    pub const ALL: [(Evidence, &str); 4] = [
        (Evidence::Nothing, "nothing"),
        (Evidence::Named, "named"),
        (Evidence::Size, "size"),
        (Evidence::ReadBack, "read-back"),
    ];

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Evidence> {
        Evidence::ALL.iter().find(|(_, w)| *w == word).map(|(evidence, _)| *evidence)
    }

    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        Evidence::ALL[self as usize].1
    }
}

/// What matters of a bank's habits here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// Files may be renamed; else they are written under their final name.
    pub renames: bool,
    /// The bank takes files away the moment they have their name.
    pub sweeps: bool,
    /// The least that counts as evidence.
    pub evidence: Evidence,
}

/// What to do next with one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Write it from its first byte, where nothing of that name may lie.
    Write,
    /// Give it its final name.
    Name,
    /// It is delivered.
    Done(Proof),
    /// Nothing shows whether it is: `sent-unconfirmed`, a person decides.
    Doubt(Doubt),
}

/// Why a file counts as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Size and digest were read back under the final name.
    ReadBack,
    /// The size under the final name is ours.
    Size,
    /// The server said that it has its final name, and took it away or does not let us look.
    Named,
}

impl Proof {
    /// In words, for the record and for clerks.
    pub fn words(self) -> &'static str {
        match self {
            Proof::ReadBack => "已按正式文件名回读，SHA-256 一致",
            Proof::Size => "正式文件名下的字节数一致",
            Proof::Named => "服务器确认已用正式文件名",
        }
    }
}

/// Why nobody can say whether a file is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Other bytes lie under the final name: nothing was overwritten.
    Taken,
    /// It may have had its final name, and now nothing is there.
    Vanished,
    /// It was being written under its final name, and is not whole: the server may still be writing what it was sent.
    Interrupted,
    /// It may have its final name, and we may not look.
    Unseen,
    /// It is not there, and the bank's cutoff has passed: nothing more is done.
    TooLate,
    /// What is seen is less than this bank's rule asks for.
    TooLittle,
}

impl Doubt {
    /// In words, for the clerk who must ask the bank.
    pub fn words(self) -> &'static str {
        match self {
            Doubt::Taken => "对方目录中已有同名而内容不同的文件，未覆盖",
            Doubt::Vanished => "可能已用过正式文件名，但现在看不到该文件",
            Doubt::Interrupted => "按正式文件名写到一半中断，文件不完整；服务器可能仍在写入，不再重写",
            Doubt::TooLate => "已过截止时间，看不到正式文件名下的文件，不再发送",
            Doubt::Unseen => "可能已用正式文件名，但服务器不允许查看",
            Doubt::TooLittle => "服务器所示不足以作为该银行约定的送达凭据",
        }
    }
}

/// What follows from the record and from what lies at the bank. `named` is `true` only where the server has just said
/// that the file has its final name (or, without renaming, that it is written and closed).
pub fn next_move(manners: Manners, stage: Stage, named: bool, last: Sight, temporary: Sight) -> Move {
    match (stage, last) {
        (Stage::Delivered, _) => Move::Done(Proof::ReadBack),
        (_, Sight::Same) => weigh(manners, Proof::ReadBack),
        (_, Sight::Other) => Move::Doubt(Doubt::Taken),
        (Stage::Untouched, Sight::SameSize | Sight::Part) => Move::Doubt(Doubt::Taken),
        (Stage::Untouched, Sight::Absent | Sight::Unseen) => Move::Write,
        _ if manners.renames => renamed(manners, stage, named, last, temporary),
        _ => written(manners, named, last),
    }
}

/// The file goes out under a temporary name first.
fn renamed(manners: Manners, stage: Stage, named: bool, last: Sight, temporary: Sight) -> Move {
    let is_whole = matches!(temporary, Sight::Same | Sight::SameSize);
    match (stage, last) {
        // Nothing of ours ever had the final name.
        (Stage::Writing, Sight::SameSize | Sight::Part) => Move::Doubt(Doubt::Taken),
        (Stage::Writing, _) if is_whole => Move::Name,
        (Stage::Writing, _) => Move::Write,
        (_, Sight::SameSize) => weigh(manners, Proof::Size),
        // Renaming gives whole files only.
        (_, Sight::Part) => Move::Doubt(Doubt::Taken),
        _ if named => just_named(manners, last),
        (_, Sight::Unseen) => Move::Doubt(Doubt::Unseen),
        // A rename moves: what still has its temporary name was not renamed.
        _ if is_whole => Move::Name,
        _ => Move::Doubt(Doubt::Vanished),
    }
}

/// The file is written under its final name. Once begun it is never written again unasked: the server may still be at
/// work on what it was sent, and a bank may have taken what was whole for a moment.
fn written(manners: Manners, named: bool, last: Sight) -> Move {
    match last {
        Sight::SameSize => weigh(manners, Proof::Size),
        _ if named => just_named(manners, last),
        Sight::Unseen => Move::Doubt(Doubt::Unseen),
        Sight::Absent => Move::Doubt(Doubt::Vanished),
        _ => Move::Doubt(Doubt::Interrupted),
    }
}

/// The server has just said yes, and we see nothing under the name.
fn just_named(manners: Manners, last: Sight) -> Move {
    match last {
        Sight::Absent if !manners.sweeps => Move::Doubt(Doubt::Vanished),
        Sight::Absent => {
            // Who takes files away at once leaves nothing better to see.
            if manners.evidence == Evidence::Nothing { Move::Doubt(Doubt::TooLittle) } else { Move::Done(Proof::Named) }
        }
        Sight::Part => Move::Doubt(Doubt::Interrupted),
        _ => weigh(manners, Proof::Named),
    }
}

/// Whether a proof is what this bank's rule asks for.
fn weigh(manners: Manners, proof: Proof) -> Move {
    let worth = match proof {
        Proof::ReadBack => Evidence::ReadBack,
        Proof::Size => Evidence::Size,
        Proof::Named => Evidence::Named,
    };
    let counts = manners.evidence != Evidence::Nothing && worth >= manners.evidence;
    if counts { Move::Done(proof) } else { Move::Doubt(Doubt::TooLittle) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGHTS: [Sight; 6] = [Sight::Absent, Sight::Same, Sight::SameSize, Sight::Part, Sight::Other, Sight::Unseen];

    fn every_case() -> impl Iterator<Item = (Manners, Stage, bool, Sight, Sight)> {
        let manners = [true, false].into_iter().flat_map(|renames| {
            [true, false]
                .into_iter()
                .flat_map(move |sweeps| Evidence::ALL.map(|(evidence, _)| Manners { renames, sweeps, evidence }))
        });
        manners.flat_map(|manners| {
            let stages = [Stage::Untouched, Stage::Writing, Stage::Naming].into_iter();
            stages.flat_map(move |stage| {
                [true, false].into_iter().flat_map(move |named| {
                    let named = named && stage != Stage::Untouched;
                    SIGHTS.into_iter().flat_map(move |last| {
                        SIGHTS.into_iter().map(move |temporary| (manners, stage, named, last, temporary))
                    })
                })
            })
        })
    }

    #[test]
    fn nothing_is_written_where_something_may_be() {
        for (manners, stage, named, last, temporary) in every_case() {
            let next = next_move(manners, stage, named, last, temporary);
            if next == Move::Write {
                assert!(matches!(last, Sight::Absent | Sight::Unseen), "{stage:?} {last:?}");
                let may_be_there = stage == Stage::Naming || (!manners.renames && stage == Stage::Writing);
                assert!(!may_be_there, "{manners:?} {stage:?} {last:?}");
            }
        }
    }

    #[test]
    fn a_name_is_given_only_to_a_whole_file_and_only_where_none_is() {
        for (manners, stage, named, last, temporary) in every_case() {
            if next_move(manners, stage, named, last, temporary) == Move::Name {
                assert!(manners.renames && matches!(temporary, Sight::Same | Sight::SameSize));
                assert!(last == Sight::Absent || (last == Sight::Unseen && stage == Stage::Writing));
            }
        }
    }

    #[test]
    fn done_needs_what_the_rule_asks_for() {
        for (manners, stage, named, last, temporary) in every_case() {
            let Move::Done(proof) = next_move(manners, stage, named, last, temporary) else { continue };
            assert_ne!(manners.evidence, Evidence::Nothing);
            match proof {
                Proof::ReadBack => assert_eq!(last, Sight::Same),
                Proof::Size => assert!(last == Sight::SameSize && manners.evidence <= Evidence::Size),
                Proof::Named => {
                    assert!(named);
                    assert!(manners.evidence <= Evidence::Named || (manners.sweeps && last == Sight::Absent));
                }
            }
        }
    }

    #[test]
    fn other_bytes_stop_everything() {
        for (manners, stage, named, _, temporary) in every_case() {
            let next = next_move(manners, stage, named, Sight::Other, temporary);
            assert_eq!(next, Move::Doubt(Doubt::Taken));
        }
    }

    #[test]
    fn a_lost_rename_reply_is_settled_by_looking() {
        let manners = Manners { renames: true, sweeps: false, evidence: Evidence::ReadBack };
        let look = |last, temporary| next_move(manners, Stage::Naming, false, last, temporary);
        assert_eq!(look(Sight::Same, Sight::Absent), Move::Done(Proof::ReadBack));
        assert_eq!(look(Sight::Absent, Sight::Same), Move::Name);
        assert_eq!(look(Sight::Absent, Sight::Absent), Move::Doubt(Doubt::Vanished));
        assert_eq!(look(Sight::Unseen, Sight::Unseen), Move::Doubt(Doubt::Unseen));
    }

    #[test]
    fn a_sweeping_bank_is_believed_when_it_said_yes_and_only_then() {
        let manners = Manners { renames: true, sweeps: true, evidence: Evidence::ReadBack };
        let look = |named| next_move(manners, Stage::Naming, named, Sight::Absent, Sight::Absent);
        assert_eq!(look(true), Move::Done(Proof::Named));
        assert_eq!(look(false), Move::Doubt(Doubt::Vanished));
    }
}
