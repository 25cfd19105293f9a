//! A day rehearsed as the page tells it: the bureau's own files go through the banks in the box, and its books agree
//! with theirs.

use super::{Client, bank, setup};
use crate::bureau::{Bureau, names};
use daikou::cli::bank::Style;
use daikou::cli::bank_sim::start;
use std::fs;
use std::io::Read;
use std::path::Path;

const BANKS: [(&str, Style); 3] = [("rural", Style::Rural), ("postal", Style::Postal), ("city", Style::City)];

#[test]
fn a_day_of_the_bureau_with_three_banks() {
    let bureau = Bureau::new(&std::env::temp_dir(), 9);
    ingest(&bureau, "bureau", "roster.csv", bureau.roster(&["rural", "postal", "city"]).as_bytes());
    ingest(&bureau, "civil-affairs/500199", "list.csv", bureau.list().as_bytes());
    for step in [&["plan", "--year", "2018"][..], &["instruct", "--year", "2018"], &["send"]] {
        assert_eq!(bureau.daikou(step).0, Some(0), "{step:?}");
    }
    let place = bureau.beside("banks");
    let banks = BANKS.map(|(key, style)| bank(key, &place.join(key), style)).to_vec();
    let running = start(&setup(&place, banks)).unwrap();
    for (key, _) in BANKS {
        let client = Client::connect(running.port, key).unwrap();
        let out = bureau.drops(&format!("banks/{key}/out"));
        let mut files = names(&out);
        // The data file, then its control file.
        files.reverse();
        for name in &files {
            client.deliver(name, &fs::read(out.join(name)).unwrap()).unwrap();
        }
        for name in client.answers(if key == "rural" { 1 } else { 2 }) {
            let mut bytes = Vec::new();
            client.sftp.open(Path::new("download").join(&name)).unwrap().read_to_end(&mut bytes).unwrap();
            fs::write(bureau.beside(&name), bytes).unwrap();
        }
        let data = |name: &String| !name.ends_with(".CTL");
        for name in client.names("download").iter().filter(|name| data(name)) {
            let path = bureau.beside(name).display().to_string();
            let (code, words) = bureau.daikou(&["ingest", "--from", key, &path]);
            assert_eq!(code, Some(0), "{name}: {words}");
        }
        let taken: i64 = running.credits(key).iter().map(|credit| credit.amount.fen()).sum();
        assert_eq!(taken, 9_000, "three people, 30 yuan each");
    }
    let (_, instructions) = bureau.daikou(&["export", "instructions"]);
    assert_eq!(instructions.matches(",settled,ok").count(), 9, "{instructions}");
    assert_eq!(bureau.daikou(&["audit"]).0, Some(0));
    assert!(running.debited_twice().is_empty());
}

fn ingest(bureau: &Bureau, from: &str, name: &str, bytes: &[u8]) {
    let path = bureau.beside(name);
    fs::write(&path, bytes).unwrap();
    let (code, words) = bureau.daikou(&["ingest", "--from", from, &path.display().to_string()]);
    assert_eq!(code, Some(0), "{name}: {words}");
}
