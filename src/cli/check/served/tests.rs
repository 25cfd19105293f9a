use super::*;
use crate::cli::init::init;
use crate::config;
use std::os::unix::fs::{PermissionsExt, chown};

const DAEMON: About = About { uid: 500, gid: 600, mode: 0o700 };

fn accounts() -> Accounts {
    let users = [(0, "root", 0), (500, "daikou", 600), (501, "bank-rural", 601), (502, "bank-city", 602)];
    let groups = [(600, "daikou"), (601, "bank-rural"), (602, "bank-city")];
    Accounts {
        users: users.map(|(uid, name, gid)| (uid, (name.to_owned(), gid))).into(),
        groups: groups.map(|(gid, name)| (gid, name.to_owned())).into(),
    }
}

#[track_caller]
fn assert_finds(found: Vec<String>, words: &[&str]) {
    assert_eq!(found.len(), words.len(), "{found:?}");
    for (finding, words) in found.iter().zip(words) {
        assert!(finding.contains(words) && finding.contains("expected ") && finding.contains("; ch"), "{finding}");
    }
}

#[test]
fn folders_above_belong_to_root_alone() {
    let judge = |uid, mode, is_world| About { uid, gid: 0, mode }.as_above(is_world, &accounts());
    assert_finds(judge(0, 0o755, true), &[]);
    assert_finds(judge(0, 0o711, false), &[]);
    assert_finds(judge(0, 0o711, true), &["found mode 711; chmod 755 it: the counterparty cannot look"]);
    assert_finds(judge(0, 0o1777, false), &["found mode 1777; chmod 755 it: OpenSSH refuses"]);
    assert_finds(judge(501, 0o775, true), &["expected owner root, found bank-rural", "found mode 775"]);
}

#[test]
fn an_inbox_is_the_counterpartys_and_the_daemons() {
    let judge = |uid, gid, mode| About { uid, gid, mode }.as_inbox(DAEMON, &accounts());
    assert_finds(judge(501, 600, 0o2770), &[]);
    assert_finds(judge(0, 600, 0o2770), &["own user as owner, found root"]);
    assert_finds(judge(500, 600, 0o2770), &["own user as owner, found daikou"]);
    assert_finds(judge(501, 601, 0o2770), &["expected group daikou, the daemon's, found bank-rural; chgrp daikou it"]);
    for (mode, why) in [
        (0o770, "daemon's group"),
        (0o2777, "anybody could put"),
        (0o2775, "anybody could look"),
        (0o3770, "could not remove"),
        (0o2570, "could put nothing"),
        (0o2750, "both read, write and enter"),
    ] {
        let found = format!("expected mode 2770, found mode {mode:04o}; chmod 2770 it: ");
        assert_finds(judge(501, 600, mode), &[&found]);
        assert_finds(judge(501, 600, mode), &[why]);
    }
    assert_finds(judge(0, 0, 0o755), &["owner", "group", "mode"]);
}

#[test]
fn an_outbox_is_the_daemons_and_its_counterparty_fetches() {
    let judge = |uid, gid, mode, owner| About { uid, gid, mode }.as_outbox(DAEMON, owner, &accounts());
    assert_finds(judge(500, 601, 0o2750, Some(501)), &[]);
    assert_finds(judge(500, 601, 0o2770, Some(501)), &[]);
    assert_finds(judge(501, 601, 0o2750, Some(501)), &["expected owner daikou, the daemon's user, found bank-rural"]);
    assert_finds(judge(500, 602, 0o2750, Some(501)), &["expected group bank-rural, found bank-city; chgrp it"]);
    // Somebody whom the files do not know: any group of its own.
    assert_finds(judge(500, 777, 0o2750, Some(777)), &[]);
    assert_finds(judge(500, 600, 0o2750, Some(777)), &["the counterparty's own group, found daikou"]);
    assert_finds(judge(500, 601, 0o750, Some(501)), &["found mode 0750; chmod 2750 it: what the daemon writes"]);
    assert_finds(judge(500, 601, 0o2755, Some(501)), &["found mode 2755; chmod 2750 it: others"]);
    assert_finds(judge(500, 601, 0o2700, Some(501)), &["found mode 2700"]);
}

/// Numbers that nobody has.
const USERS: (u32, u32) = (64_000, 64_001);

fn set(folder: &Path, uid: u32, gid: u32, mode: u32) {
    chown(folder, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

/// A tree as docs/operating.md has it. It lies in /srv, since folders above it must be root's alone.
fn tree() -> Option<(tempfile::TempDir, Config)> {
    let can =
        rustix::process::geteuid().is_root() && About::of(Path::new("/srv"))?.as_above(false, &accounts()).is_empty();
    if !can {
        println!("skipped: only root can give folders away, and only below a /srv that is root's");
        return None;
    }
    let dir = tempfile::tempdir_in("/srv").unwrap();
    init(&dir.path().join("bureau"), false, &[]).unwrap();
    let path = dir.path().join("bureau/daikou.toml");
    let written = fs::read_to_string(&path).unwrap();
    fs::write(&path, written.replace("served = \"local\" ", "served = \"chroot\"")).unwrap();
    let config = config::load(&path).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (daemon, counterparty) = USERS;
    set(&config.state, daemon, daemon, 0o700);
    for world in counterparties(&config) {
        set(&world.join("in"), counterparty, daemon, 0o2770);
        set(&world.join("out"), daemon, counterparty, 0o2750);
    }
    Some((dir, config))
}

#[test]
fn a_tree_set_up_as_told_has_no_findings_and_every_fault_has_one() {
    let Some((dir, config)) = tree() else { return };
    assert_eq!(findings(&config), Vec::<String>::new());
    let rural = config.drops.join("banks/rural");
    for (folder, broken, words) in [
        (rural.clone(), (0, 0, 0o775), "banks/rural: expected mode 755, found mode 775"),
        (config.drops.clone(), (USERS.0, 0, 0o755), "drops: expected owner root, found 64000"),
        (dir.path().to_owned(), (0, 0, 0o757), "expected mode 755, found mode 757"),
        (rural.join("in"), (USERS.1, USERS.0, 0o770), "banks/rural/in: expected mode 2770, found mode 0770"),
        (rural.join("out"), (USERS.1, USERS.1, 0o2750), "banks/rural/out: expected owner 64000"),
    ] {
        let before = About::of(&folder).unwrap();
        set(&folder, broken.0, broken.1, broken.2);
        assert_finds(findings(&config), &[words]);
        set(&folder, before.uid, before.gid, before.mode);
    }
    assert_eq!(crate::cli::check::check(&dir.path().join("bureau/daikou.toml")).1.exit_code(), 0);
}
