//! What must be so in the end, counted from what the simulated banks and people did: nothing of it comes from the store.

use crate::bank_files;
use crate::bureau::{Ground, names};
use crate::people::{BANKS, GOVERNMENT, OWN, TIER, id_number, is_listed};
use crate::play::{Play, Played, Said, compact};
use daikou::store::export::What;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Holds the bureau, as it is exported and as its folders are, against what happened.
pub(crate) fn check(play: &mut Play<'_>) -> Played<()> {
    let bureau = play.ground.open().unwrap();
    let entries = play.ground.export(&bureau, What::Entries);
    play.tally.postings = entries.iter().map(|row| row[0].clone()).collect::<BTreeSet<_>>().len() as u64;
    money(play, &entries)?;
    terms(&entries)?;
    certain(play, &entries)?;
    deliveries(play, &play.ground.export(&bureau, What::Batches))?;
    folders(play)?;
    files(play, &play.ground.export(&bureau, What::Files))?;
    if let Some((class, words)) = play.ground.alarms().into_iter().find(|(class, _)| is_ours(class)) {
        return Err(format!("alarm {class}: {words}"));
    }
    play.ground.audit(&bureau, play.today).map_or(Ok(()), Err)
}

/// Alarms that say that our side failed.
fn is_ours(class: &str) -> bool {
    ["round", "step", "folder", "file"].contains(&class)
}

fn fen(text: &str) -> i64 {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    sign * i64::try_from(bank_files::fen(text.trim_start_matches('-'))).unwrap()
}

/// All money that a bank said it took, and all that was paid at the counter, is there once and of the right person.
fn money(play: &Play<'_>, entries: &[Vec<String>]) -> Played<()> {
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for asked in play.asked.iter().filter(|asked| matches!(asked.said, Some(Said::Paid(_)))) {
        *expected.entry(asked.person.clone()).or_default() += i64::try_from(asked.fen).unwrap();
    }
    for payment in &play.payments {
        *expected.entry(id_number(payment.person)).or_default() += i64::try_from(payment.fen).unwrap();
    }
    let mut found: BTreeMap<String, i64> = BTreeMap::new();
    for row in entries.iter().filter(|row| row[2] == "collection") {
        *found.entry(row[8].clone()).or_default() += fen(&row[4]);
    }
    for person in expected.keys().chain(found.keys()) {
        let (wanted, there) = (expected.get(person).unwrap_or(&0), found.get(person).unwrap_or(&0));
        if wanted != there {
            return Err(format!("{person}: {there} fen booked, {wanted} taken or paid"));
        }
    }
    Ok(())
}

/// Own and government part of everybody and each year: nothing, both, or the whole tier alone.
fn terms(entries: &[Vec<String>]) -> Played<()> {
    let mut posted: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
    for row in entries {
        let sums = posted.entry((&row[8], &row[9])).or_default();
        match row[3].as_str() {
            "personal/own" => sums.0 += fen(&row[4]),
            "personal/government" => sums.1 += fen(&row[4]),
            _ => {}
        }
    }
    let people = Play::people();
    let [own, government, tier] = [OWN, GOVERNMENT, TIER].map(|fen| i64::try_from(fen).unwrap());
    for ((person, year), sums) in posted {
        let is_right = match people.get(person) {
            Some(person) if *person == crate::people::NEVER_LISTED => [(0, 0), (tier, 0)].contains(&sums),
            Some(_) => [(0, 0), (own, government), (tier, 0)].contains(&sums),
            None => false,
        };
        if !is_right {
            return Err(format!("{person} {year}: {sums:?} fen own and government part"));
        }
    }
    Ok(())
}

/// What a bank took in full on a day that the bureau's clock never came before, for somebody whose plan never changed, is
/// posted, with the government part, in the month of that day.
fn certain(play: &Play<'_>, entries: &[Vec<String>]) -> Played<()> {
    let people = Play::people();
    for asked in &play.asked {
        let Some(Said::Paid(on)) = asked.said else { continue };
        let began = play.days.iter().position(|day| *day == on).unwrap_or_default();
        let is_plain = play.days[began..].iter().all(|day| *day >= on)
            && asked.batch_on <= compact(on)
            && on.year() == asked.fee_year
            && is_listed(people[&asked.person]);
        let month = on.to_string()[..7].to_owned();
        let count = |credit: &str, amount: &str| {
            let is_it = |row: &&Vec<String>| {
                row[14] == asked.instruction && row[3] == credit && row[4] == amount && row[6] == month
            };
            entries.iter().filter(is_it).count()
        };
        let counts = (count("personal/own", "30.00"), count("personal/government", "70.00"));
        if is_plain && counts != (1, 1) {
            return Err(format!("{asked:?}: expected one own and one government part, found {counts:?}"));
        }
    }
    Ok(())
}

/// Every batch that left is at its bank once, or somebody is told that nobody can say; none is left behind.
fn deliveries(play: &Play<'_>, batches: &[Vec<String>]) -> Played<()> {
    for row in batches {
        let [batch, bank, _, _, _, _, digest, file, state] = &row[..] else { return Err(format!("{row:?}")) };
        if bank == "zero" {
            continue;
        }
        let taken = play.taken.iter().find(|taken| taken.bank == bank && taken.name == *file);
        match (state.as_str(), taken) {
            ("drafted" | "cancelled", None) | ("sent-unconfirmed", None) => {}
            ("drafted" | "cancelled" | "released" | "sending", _) => {
                return Err(format!("batch {batch} is {state}, at the bank: {}", taken.is_some()));
            }
            (_, None) => return Err(format!("batch {batch} is {state}, and the bank never got it")),
            (_, Some(taken)) if sha256(&taken.bytes) != *digest => {
                return Err(format!("{file} is not what was approved"));
            }
            (_, Some(_)) if bank == "postal" && state != "sent-unconfirmed" && !play.has_control(file) => {
                return Err(format!("batch {batch} is {state}, and the bank never got its control file"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Nothing lies about: inboxes and spool are empty, at the banks are no halves, what is kept is what its name says.
fn folders(play: &Play<'_>) -> Played<()> {
    for inbox in Ground::inboxes() {
        if let Some(name) = names(&play.ground.drops(&inbox)).first() {
            return Err(format!("{inbox}/{name} is left"));
        }
    }
    if let Some(name) = all_names(&play.ground.home().join("state/spool")) {
        return Err(format!("spool/{name} is left"));
    }
    for bank in BANKS {
        let out = play.ground.drops(&format!("banks/{bank}/out"));
        if let Some(name) = names(&out).first() {
            return Err(format!("{name} came to {bank} after the end"));
        }
    }
    for tree in ["archive", "quarantine"] {
        each_file(&play.ground.home().join("state").join(tree), &mut |path, bytes| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(&format!("{}-", sha256(bytes))) {
                Ok(())
            } else {
                Err(format!("{tree}/{name} holds other bytes than its name says"))
            }
        })?;
    }
    Ok(())
}

/// Every file that came is kept, and answered by a receipt.
fn files(play: &Play<'_>, files: &[Vec<String>]) -> Played<()> {
    let mut kept = BTreeSet::new();
    for tree in ["archive", "quarantine"] {
        each_file(&play.ground.home().join("state").join(tree), &mut |path, _| {
            kept.insert(path.file_name().unwrap().to_string_lossy().into_owned());
            Ok(())
        })?;
    }
    for given in play.given.iter().filter(|given| !given.is_disturbed) {
        let place = format!("{}-{}", sha256(&given.bytes), given.name);
        if !kept.contains(&place) {
            return Err(format!("{}/{} was taken and is not kept: {place}", given.inbox, given.name));
        }
    }
    for row in files {
        let [_, name, _, from, _, digest, state, ..] = &row[..] else { return Err(format!("{row:?}")) };
        if !kept.contains(&format!("{digest}-{name}")) {
            return Err(format!("{name} of {from} is {state} and is not kept"));
        }
        let folder = match from.as_str() {
            bank if BANKS.contains(&bank) => format!("bureau/out/receipts/{bank}"),
            "bureau" => "bureau/out".to_owned(),
            department => format!("departments/{department}/out"),
        };
        for ending in ["json", "txt"] {
            let receipt = format!("{name}.{}.receipt.{ending}", &digest[..8]);
            let bytes = fs::read(play.ground.drops(&folder).join(&receipt)).unwrap_or_default();
            if bytes.is_empty() || bytes.contains(&0) {
                return Err(format!("{folder}/{receipt} is not there, or not whole"));
            }
        }
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn all_names(folder: &Path) -> Option<String> {
    let entry = fs::read_dir(folder).ok()?.next()?;
    Some(entry.unwrap().file_name().to_string_lossy().into_owned())
}

fn each_file(folder: &Path, look: &mut dyn FnMut(&Path, &[u8]) -> Played<()>) -> Played<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            each_file(&path, look)?;
        } else {
            look(&path, &fs::read(&path).unwrap())?;
        }
    }
    Ok(())
}
