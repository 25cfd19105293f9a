//! Listings that nobody should trust: names that lead elsewhere, names that draw on a terminal, things that are no files.

use crate::cli::bank::Style;
use crate::cli::bank_sim::served::{Attributes, Entry};

const FILE: u32 = 0o100_644;
const FOLDER: u32 = 0o040_755;
const LINK: u32 = 0o120_777;
const PIPE: u32 = 0o010_644;

/// Entries of which none may ever be fetched. Most look like returns of the layout, so that a filter by name lets them in.
pub(super) fn entries(layout: Style) -> Vec<Entry> {
    let name = match layout {
        Style::Rural => "NSH_500199000001_20180705_99999999.RSP",
        Style::Postal => "HP20180705500199019999.TXT",
        Style::City => "CSH_500199000001_2018070599999999_R01.DAT",
    };
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let named = |name: String, mode: u32| Entry { name, attributes: attributes(mode, 604) };
    vec![
        named(".".into(), FOLDER),
        named("..".into(), FOLDER),
        named(name.to_owned(), FOLDER),
        named(format!("{stem}-1.{ending}"), LINK),
        named(format!("{stem}-2.{ending}"), PIPE),
        named(format!("../{name}"), FILE),
        named(format!("../../../../etc/{name}"), FILE),
        named(format!("/{name}"), FILE),
        named(format!("a/{name}"), FILE),
        named(format!("a\\{name}"), FILE),
        named(format!("{stem}\u{1b}[2J.{ending}"), FILE),
        named(format!("{stem}\n.{ending}"), FILE),
        named(format!("{stem}\0.{ending}"), FILE),
        named(format!("{stem}\u{202e}.{ending}"), FILE),
        named(format!("-rf {name}"), FILE),
        named(format!("{}.{ending}", "长".repeat(200)), FILE),
        // Last: some clients take an empty name for the end.
        named("".into(), FILE),
    ]
}

/// One name of a listing that never ends.
pub(super) fn one_of_many(number: u64) -> Entry {
    Entry { name: format!("{number:016}.RSP"), attributes: attributes(FILE, 0) }
}

fn attributes(mode: u32, size: u64) -> Attributes {
    Attributes { size, mode, uid: 0, gid: 0, accessed: 1_530_748_800, modified: 1_530_748_800 }
}
