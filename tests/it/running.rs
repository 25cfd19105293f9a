//! The daemon as a process: what it does unasked, what it leaves alone, how it ends and begins again.

use crate::bureau::{Bureau, Daemon, TODAY, all_paid, names, wait_for};
use std::fs;
use std::path::Path;
use std::time::Duration;

const BANKS: [&str; 3] = ["rural", "postal", "city"];

fn bureau(people: usize) -> Bureau {
    Bureau::new(&std::env::temp_dir(), people)
}

fn drop_tables(bureau: &Bureau) {
    fs::write(bureau.drops("bureau/in/roster.csv"), bureau.roster(&BANKS)).unwrap();
    fs::write(bureau.drops("departments/civil-affairs/500199/in/list.csv"), bureau.list()).unwrap();
}

fn publish(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        fs::write(folder.join(format!("{name}.tmp")), bytes).unwrap();
        fs::rename(folder.join(format!("{name}.tmp")), folder.join(name)).unwrap();
    }
}

fn posted(daemon: &Daemon) -> i64 {
    daemon.figure("daikou_postings{event=\"self-payment\"}")
}

#[test]
fn it_plans_asks_and_posts_by_itself_and_stops_when_told() {
    let bureau = bureau(6);
    let daemon = bureau.start();
    drop_tables(&bureau);
    for bank in BANKS {
        let (_, request) = bureau.request(bank);
        publish(&bureau.drops(&format!("banks/{bank}/in")), &all_paid(&request));
    }
    wait_for("six postings", || posted(&daemon) == 6);
    assert_eq!(daemon.figure("daikou_posted_fen{basis=\"cash\"}"), 6 * 3_000);
    assert_eq!(daemon.figure("daikou_posted_fen{basis=\"deemed\"}"), 6 * 7_000);
    for bank in BANKS {
        assert_eq!(names(&bureau.drops(&format!("banks/{bank}/in"))), Vec::<String>::new());
    }
    let (second, _) = bureau.daikou(&["run"]);
    assert_eq!(second, Some(2), "a second daemon is refused");
    let (status, took) = daemon.stop();
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}\n{}", bureau.log());
    bureau.assert_log_is_clean();
}

#[test]
fn what_is_not_whole_waits_and_what_is_nobodys_goes_aside() {
    let bureau = bureau(6);
    bureau.set("incomplete_after_s = 600", "incomplete_after_s = 3");
    let daemon = bureau.start();
    drop_tables(&bureau);
    let inbox = |bank: &str| bureau.drops(&format!("banks/{bank}/in"));
    let (_, rural) = bureau.request("rural");
    let (_, postal) = bureau.request("postal");
    let (name, bytes) = all_paid(&rural).remove(0);
    fs::write(inbox("rural").join(&name), &bytes[..bytes.len() / 2]).unwrap();
    let pair = all_paid(&postal);
    publish(&inbox("postal"), &pair[1..]);
    fs::write(inbox("city").join("whatever.txt"), "x").unwrap();
    fs::write(inbox("city").join("unfinished.part"), "x").unwrap();
    fs::create_dir(inbox("city").join("folder")).unwrap();
    wait_for("the strange name is put aside", || names(&inbox("city")).len() == 2);
    assert_eq!((names(&inbox("rural")).len(), names(&inbox("postal")).len()), (1, 1), "they have their time");
    assert_eq!(daemon.figure("daikou_alarms{class=\"file\"}"), 1);
    wait_for("their time is over", || names(&inbox("rural")).len() + names(&inbox("postal")).len() == 0);
    let receipts = |bank: &str| {
        let out = bureau.drops(&format!("bureau/out/receipts/{bank}"));
        let receipt = names(&out).into_iter().find(|name| name.ends_with(".json")).unwrap();
        fs::read_to_string(out.join(receipt)).unwrap()
    };
    for bank in ["rural", "postal"] {
        assert!(receipts(bank).contains("\"incomplete\""), "{}", receipts(bank));
    }
    // The whole file after all: nothing stands in its way.
    publish(&inbox("rural"), &[(name, bytes)]);
    publish(&inbox("postal"), &pair);
    wait_for("four postings", || posted(&daemon) == 4);
    assert!(daemon.stop().0.success());
}

#[test]
fn a_kill_at_any_moment_posts_everything_exactly_once() {
    let bureau = bureau(300);
    let mut daemon = bureau.start();
    drop_tables(&bureau);
    for (place, bank) in BANKS.into_iter().enumerate() {
        let (_, request) = bureau.request(bank);
        publish(&bureau.drops(&format!("banks/{bank}/in")), &all_paid(&request));
        for turn in 0..4 {
            std::thread::sleep(Duration::from_millis(7 * (4 * place as u64 + turn)));
            daemon.kill();
            daemon = bureau.start();
        }
    }
    wait_for("three hundred postings", || posted(&daemon) == 300);
    assert_eq!(daemon.figure("daikou_posted_fen{basis=\"cash\"}"), 300 * 3_000);
    assert_eq!(daemon.figure("daikou_instructions{state=\"settled\"}"), 300);
    assert!(daemon.stop().0.success());
    let spool = names(&bureau.home().join("state/spool"));
    assert!(spool.iter().all(|name| name.ends_with(".part")), "every copy was put away: {spool:?}\n{TODAY}");
}
