//! What a hostile sender does to a bureau that runs. What single calls do with a hostile folder is proved in `drops`.

use crate::bureau::{Bureau, TODAY, all_paid, names, wait_for};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

const WORKBOOK: &[u8] = include_bytes!("../data/tables/xlsx-roster/input.xlsx");

#[test]
fn thousands_of_files_of_one_sender_hold_up_nobody_else() {
    let bureau = Bureau::new(&std::env::temp_dir(), 6);
    let daemon = bureau.start();
    fs::write(bureau.drops("bureau/in/roster.csv"), bureau.roster(&["rural", "postal", "city"])).unwrap();
    fs::write(bureau.drops("departments/civil-affairs/500199/in/list.csv"), bureau.list()).unwrap();
    let answer = all_paid(&bureau.request("postal").1);
    let flooded = bureau.drops("banks/rural/in");
    for file in 0..3_000 {
        fs::write(flooded.join(format!("junk-{file:04}.txt")), format!("junk {file}")).unwrap();
    }
    symlink("/etc/passwd", flooded.join("aa-link")).unwrap();
    symlink("../../postal/in", flooded.join("aa-way-out")).unwrap();
    mknodat(CWD, flooded.join("aa-pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _socket = UnixListener::bind(flooded.join("aa-socket")).unwrap();
    File::create(flooded.join("NSH_500199000001_20180705_01000001.RSP")).unwrap().set_len(1 << 40).unwrap();
    for (name, bytes) in &answer {
        fs::write(bureau.drops("banks/postal/in").join(name), bytes).unwrap();
    }
    wait_for("the other bank is posted", || daemon.figure("daikou_postings{event=\"self-payment\"}") == 2);
    assert!(names(&flooded).len() > 1_000, "while the flood lies there: {}", names(&flooded).len());
    wait_for("what is no file is named", || daemon.figure("daikou_alarms{class=\"file\"}") >= 5);
    for stays in ["aa-link", "aa-way-out", "aa-pipe", "aa-socket", "NSH_500199000001_20180705_01000001.RSP"] {
        assert!(flooded.join(stays).symlink_metadata().is_ok(), "{stays} is left alone");
    }
    assert!(daemon.stop().0.success());
    assert_eq!(bureau.daikou(&["audit"]).0, Some(0));
    bureau.assert_log_is_clean();
}

/// Gives a table to `ingest` with 700 MB of address space at most; its exit code and words.
fn ingest_within_bounds(bureau: &Bureau, name: &str, bytes: &[u8]) -> (Option<i32>, String) {
    let path = bureau.beside(name);
    fs::write(&path, bytes).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 700000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_daikou"), "--config"]);
    command.arg(bureau.home().join("daikou.toml")).args(["--today", TODAY, "ingest", "--from", "bureau"]).arg(&path);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The workbook with one part changed.
fn changed(part: &str, change: impl Fn(String) -> String) -> Vec<u8> {
    let mut from = ZipArchive::new(Cursor::new(WORKBOOK)).unwrap();
    let mut to = ZipWriter::new(Cursor::new(Vec::new()));
    let mut found = false;
    for place in 0..from.len() {
        let mut entry = from.by_index(place).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        found |= name == part;
        to.start_file(&name, SimpleFileOptions::default()).unwrap();
        to.write_all(if name == part { change(text) } else { text }.as_bytes()).unwrap();
    }
    assert!(found, "{part}");
    to.finish().unwrap().into_inner()
}

#[test]
fn a_tiny_workbook_with_a_cell_at_the_far_end_is_read_cell_by_cell() {
    let bureau = Bureau::new(&std::env::temp_dir(), 1);
    let far = "<row r=\"1048576\"><c r=\"AZ1048576\" t=\"inlineStr\"><is><t>x</t></is></c></row></sheetData>";
    let bomb = changed("xl/worksheets/sheet1.xml", |sheet| {
        assert!(sheet.contains("</sheetData>"));
        sheet.replace("</sheetData>", far)
    });
    assert!(bomb.len() < 20_000, "{}", bomb.len());
    let (code, said) = ingest_within_bounds(&bureau, "far.xlsx", &bomb);
    assert!(matches!(code, Some(0 | 1)), "{code:?} {said}");
    assert!(!said.contains("memory") && said.contains("far.xlsx"), "{said}");
    assert_eq!(bureau.daikou(&["audit"]).0, Some(0));
}

#[test]
fn a_workbook_that_unfolds_to_gigabytes_is_refused_by_what_it_unfolds_to() {
    let bureau = Bureau::new(&std::env::temp_dir(), 1);
    // One part of 8 MiB of nothing, under five hundred names: 4 GiB in some hundred kilobytes.
    let mut one = ZipWriter::new(Cursor::new(Vec::new()));
    one.start_file("part", SimpleFileOptions::default()).unwrap();
    one.write_all(&vec![b' '; 8 << 20]).unwrap();
    let mut one = ZipArchive::new(one.finish().unwrap()).unwrap();
    let mut to = ZipWriter::new_append(Cursor::new(WORKBOOK.to_vec())).unwrap();
    for copy in 0..500 {
        to.raw_copy_file_rename(one.by_index_raw(0).unwrap(), format!("xl/worksheets/more{copy}.xml")).unwrap();
    }
    let bomb = to.finish().unwrap().into_inner();
    assert!(bomb.len() < 8 << 20, "{}", bomb.len());
    let (code, said) = ingest_within_bounds(&bureau, "bomb.xlsx", &bomb);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("文件过大"), "{said}");
    assert!(bureau.daikou(&["export", "files"]).1.contains("too-large"));
}

#[test]
fn a_formula_in_a_table_stays_text_on_the_way_out() {
    let bureau = Bureau::new(&std::env::temp_dir(), 1);
    let formula = "=HYPERLINK(\"http://example.org/\",\"x\")";
    let roster = bureau.roster(&["rural"]).replace("account\n", "account,town\n");
    let cell = format!(",\"{}\"\n", formula.replace('"', "\"\""));
    let (header, rows) = roster.split_once('\n').unwrap();
    let path = bureau.beside("roster.csv");
    fs::write(&path, format!("{header}\n{}", rows.replace('\n', &cell))).unwrap();
    let (code, said) = bureau.daikou(&["ingest", "--from", "bureau", path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let guarded = bureau.daikou(&["export", "participants", "--excel"]).1;
    assert!(guarded.contains("\"'=HYPERLINK("), "{guarded}");
    let sheet = bureau.beside("out.xlsx");
    let (code, said) = bureau.daikou(&["export", "participants", "--format", "xlsx", "-o", sheet.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let (all, formulas) = parts(&sheet);
    assert!(all.contains("HYPERLINK") && !formulas, "it is there as text, and nothing is a formula");
}

/// All parts of a workbook, and whether one of them holds a formula.
fn parts(path: &Path) -> (String, bool) {
    let mut archive = ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut all = String::new();
    for place in 0..archive.len() {
        archive.by_index(place).unwrap().read_to_string(&mut all).unwrap();
    }
    let formulas = all.contains("<f>") || all.contains("<f ");
    (all, formulas)
}
