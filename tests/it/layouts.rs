//! The shipped layouts against files that an independent program made, and against each other.

use daikou::config::layouts;
use daikou::domain::ids::{BatchNumber, IdNumber};
use daikou::domain::money::Money;
use daikou::format::decode::{Decoder, decode};
use daikou::format::decoded::Decoded;
use daikou::format::digest::Algorithm;
use daikou::format::encode::{self, EncodeError, Envelope, Row, Written};
use daikou::format::field::Fault;
use daikou::format::layout::{FileKind, Layout, RecordKind};
use daikou::format::names::NameParts;
use daikou::format::record::Record;
use daikou::format::role::Role;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder)
}

pub(crate) fn shipped() -> Vec<Layout> {
    layouts::SHIPPED.iter().map(|(key, ..)| layouts::load(key, None).unwrap()).collect()
}

/// A sample's path, the layout that knows its name, its kind, its bytes.
fn samples() -> Vec<(PathBuf, Layout, FileKind, Vec<u8>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(data("samples")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let known = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        shipped().into_iter().find_map(|layout| layout.recognise(name).map(|(kind, _)| (layout, kind)))
    };
    let read = |path: PathBuf| {
        let (layout, kind) = known(&path).expect("a layout knows every sample's name");
        let bytes = std::fs::read(&path).unwrap();
        (path, layout, kind, bytes)
    };
    files.into_iter().map(read).collect()
}

pub(crate) fn daikou(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_daikou"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
    child.wait_with_output().unwrap()
}

fn read<'l>(layout: &'l Layout, kind: FileKind, bytes: &[u8]) -> Decoded<'l> {
    decode(layout, kind, bytes, None, &mut |_| {}).unwrap()
}

#[test]
fn samples_come_back_byte_for_byte_through_json() {
    let samples = samples();
    assert_eq!(samples.len(), 9);
    for (path, layout, kind, bytes) in samples {
        let file = path.to_str().unwrap();
        let json = daikou(&["--json", "layout", "decode", &layout.key, file], &[]);
        assert_eq!(json.status.code(), Some(0), "{file}");
        let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(value["kind"], kind.word());
        assert_eq!(value["defects"].as_array().unwrap().len(), 0, "{file}");
        let again = daikou(&["layout", "encode", &layout.key], &json.stdout);
        assert!(again.stdout == bytes, "{file}: {}", String::from_utf8_lossy(&again.stderr));
    }
}

#[test]
fn a_changed_amount_changes_sums_and_digest() {
    for (path, layout, kind, bytes) in samples().into_iter().filter(|(_, _, kind, _)| *kind == FileKind::Return) {
        let json = daikou(&["layout", "decode", "--json", &layout.key, path.to_str().unwrap()], &[]).stdout;
        let mut value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let details = value["records"].as_array_mut().unwrap().iter_mut().filter(|r| r["record"] == "detail");
        details.for_each(|record| record["fields"]["amt"] = "12345.67".into());
        let changed = daikou(&["layout", "encode", &layout.key], value.to_string().as_bytes()).stdout;
        let (before, after) = (read(&layout, kind, &bytes), read(&layout, kind, &changed));
        assert_eq!(after.defect_count, 0, "{:?}", after.defects);
        assert_eq!(after.totals.sum, i128::from(after.totals.count) * 1_234_567);
        assert!(layout.key == "postal-savings" || after.value(Role::Digest) != before.value(Role::Digest));
    }
}

#[test]
fn a_control_file_takes_its_values_from_the_data_file() {
    let (control, text) = (data("samples/HP20180705500199010001.CTL"), data("samples/HP20180705500199010001.TXT"));
    let (control, text) = (control.to_str().unwrap(), text.to_str().unwrap());
    let json = br#"{"kind":"return-control","records":[{"record":"control","fields":{
        "file":"HP20180705500199010001.TXT","size":"1","amt":"1.00","alg":"SM3","created":"20180707090000"}}]}"#;
    let encoded = daikou(&["layout", "encode", "postal-savings", "--data", text], json);
    assert!(encoded.stdout == std::fs::read(control).unwrap(), "{}", String::from_utf8_lossy(&encoded.stderr));
    let held = daikou(&["layout", "decode", "postal-savings", control, "--data", text], &[]);
    assert_eq!(held.status.code(), Some(0), "{}", String::from_utf8_lossy(&held.stdout));
    let md5 = String::from_utf8(json.to_vec()).unwrap().replace("SM3", "MD5");
    let encoded = daikou(&["layout", "encode", "postal-savings", "--data", text], md5.as_bytes()).stdout;
    let digest = Algorithm::Md5.of(&std::fs::read(text).unwrap());
    assert!(String::from_utf8(encoded).unwrap().contains(&format!("MD5 {digest}  ")));
}

#[test]
fn a_file_cut_anywhere_is_incomplete_and_never_sound() {
    for (path, layout, kind, bytes) in samples() {
        let whole_rows = |cut: usize| {
            layout.key == "postal-savings" && kind.data().is_none() && {
                let stride = layout.file(kind).unwrap().records[0].stride();
                cut > 0 && cut.is_multiple_of(stride)
            }
        };
        for cut in 0..bytes.len() {
            let decoded = read(&layout, kind, &bytes[..cut]);
            let place = format!("{} cut at {cut}: {:?}", path.display(), decoded.defects);
            assert_eq!(decoded.is_sound(), whole_rows(cut), "{place}");
            assert_eq!(decoded.is_incomplete(), !whole_rows(cut), "{place}");
        }
        assert!(!read(&layout, kind, &bytes).is_incomplete(), "{}", path.display());
    }
}

#[test]
fn a_data_file_is_complete_when_its_control_file_says_so() {
    let layout = layouts::load("postal-savings", None).unwrap();
    let name = "HP20180705500199010001.TXT";
    let bytes = std::fs::read(data("samples").join(name)).unwrap();
    let control = std::fs::read(data("samples/HP20180705500199010001.CTL")).unwrap();
    let control = read(&layout, FileKind::ReturnControl, &control);
    let held = |bytes: &[u8]| {
        let mut data = decode(&layout, FileKind::Return, bytes, control.asked_digest(), &mut |_| {}).unwrap();
        data.check_control(&control, name);
        data
    };
    assert!(held(&bytes).is_sound());
    for cut in 0..bytes.len() {
        let data = held(&bytes[..cut]);
        assert!(data.is_incomplete() && !data.is_sound(), "cut at {cut}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let data = held(&changed);
        assert!(!data.is_incomplete() && !data.is_sound(), "changed at {at}");
    }
    let twice = [&bytes[..], &bytes[..]].concat();
    assert!(!held(&twice).is_incomplete() && !held(&twice).is_sound());
}

#[test]
fn no_single_byte_changes_unnoticed() {
    let covered = samples().into_iter().filter(|(_, layout, ..)| layout.key != "postal-savings");
    for (path, layout, kind, bytes) in covered {
        for at in 0..bytes.len() {
            for replacement in [bytes[at] ^ 1, bytes[at] ^ 0x80, b'\n', b'\r', 0, 0xFF, b'0'] {
                if replacement == bytes[at] {
                    continue;
                }
                let mut changed = bytes.clone();
                changed[at] = replacement;
                let decoded = read(&layout, kind, &changed);
                assert!(!decoded.is_sound(), "{} at {at}: {replacement}", path.display());
                assert!(!decoded.is_incomplete() || at >= bytes.len() - 2, "{} at {at}: {replacement}", path.display());
            }
        }
    }
}

#[test]
fn chunks_of_any_size_give_the_same() {
    for (path, layout, kind, bytes) in samples() {
        let seen = |size: usize| {
            let mut rows = Vec::new();
            let mut decoder = Decoder::new(&layout, kind, None).unwrap();
            let mut visit = |record: &Record<'_>| rows.push((record.line(), record.offset(), record.raw().to_vec()));
            bytes.chunks(size).for_each(|chunk| decoder.feed(chunk, &mut visit));
            let decoded = decoder.finish();
            assert_eq!(decoded.defect_count, 0, "{} by {size}: {:?}", path.display(), decoded.defects);
            (rows, decoded.totals, decoded.bytes, decoded.digest)
        };
        let whole = seen(bytes.len());
        for size in [1, 2, 3, 7, 100, 301, 302, 303, 1_000] {
            assert_eq!(seen(size), whole, "{} by {size}", path.display());
        }
    }
}

#[test]
fn a_digest_from_another_thread_counts_like_our_own() {
    let (_, layout, kind, bytes) =
        samples().into_iter().find(|(path, ..)| path.ends_with("NSH_500199000001_20180705_00000001.RSP")).unwrap();
    let range = layout.file(kind).unwrap().digest_range(bytes.len() as u64);
    let digest = Algorithm::Sm3.of(&bytes[range.start as usize..range.end as usize]);
    let finish = |digest: String| {
        let mut decoder = Decoder::new(&layout, kind, None).unwrap().digest_elsewhere();
        decoder.feed(&bytes, &mut |_| {});
        decoder.finish_with(Some(digest))
    };
    assert!(finish(digest).is_sound());
    let wrong = finish("0".repeat(64));
    assert_eq!(wrong.defects.iter().map(|defect| defect.code()).collect::<Vec<_>>(), ["digest"]);
}

#[test]
fn names_lead_from_request_to_return_and_control() {
    let [rural, postal, city] = &shipped()[..] else { panic!("three layouts") };
    let name = "NSH_500199000001_20180705_00000001.REQ";
    assert_eq!(rural.sibling(name, FileKind::Return, None).as_deref(), Some("NSH_500199000001_20180705_00000001.RSP"));
    let name = "HP20180705500199010001.TXT";
    assert_eq!(postal.sibling(name, FileKind::ReturnControl, None).as_deref(), Some("HP20180705500199010001.CTL"));
    assert_eq!(postal.recognise("HP20180705500199010001.TXT.part"), None);
    let name = "CSH_500199000001_20180705C0000001_Q.DAT";
    assert_eq!(
        city.sibling(name, FileKind::Return, Some(2)).as_deref(),
        Some("CSH_500199000001_20180705C0000001_R02.DAT")
    );
    let ours = NameParts::of("50019901", "2018070502000001", None);
    assert_eq!(postal.file_name(FileKind::Request, &ours).as_deref(), Some("DK20180705500199010001.TXT"));
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_written() {
    let [rural, postal, city] = &shipped()[..] else { panic!("three layouts") };
    let fault = |layout: &Layout, role, value: &str| encode::fits(layout, role, value).map_err(|fault| fault.fault);
    assert_eq!(fault(rural, Role::Name, "测试甲"), Ok(()));
    assert!(matches!(fault(rural, Role::Name, "测试㛃"), Err(Fault::Text(_))));
    assert_eq!(fault(city, Role::Name, "测试㛃"), Ok(()));
    assert_eq!(fault(postal, Role::Name, &"测".repeat(20)), Ok(()));
    assert_eq!(fault(postal, Role::Name, &"测".repeat(21)), Err(Fault::TooLong(42)));
    assert_eq!(fault(postal, Role::Account, "99990000000000000000001"), Err(Fault::TooLong(23)));
    assert_eq!(fault(rural, Role::Name, ""), Err(Fault::Empty));
    assert_eq!(fault(city, Role::Person, "anything: this bank has no such field"), Ok(()));
}

#[test]
fn what_the_bank_header_lacks_is_named_at_once() {
    let [_, postal, city] = &shipped()[..] else { panic!("three layouts") };
    let bank =
        BTreeMap::from([("agency".to_owned(), "500199000001".to_owned()), ("biz".to_owned(), "1234567".to_owned())]);
    let told: Vec<String> = encode::check_bank(city, &bank).iter().map(EncodeError::to_string).collect();
    assert_eq!(
        told,
        [
            "header 1: biz: expected at most 6 bytes instead of 7",
            "[bank.header] has no rtn_days, which the layout city-commercial needs",
            "[bank.header] has no credit_acct, which the layout city-commercial needs",
        ]
    );
    assert_eq!(encode::check_bank(postal, &bank).len(), 1, "the agency stands in this bank's names with 8 characters");
}

/// Made-up header values for every layout.
fn bank() -> BTreeMap<String, String> {
    let pairs = [
        ("agency", "500199000001"),
        ("bank_no", "999653000014"),
        ("agreement", "XY2018-0001"),
        ("biz", "110170"),
        ("rtn_days", "5"),
        ("credit_acct", "9999000000000000001"),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn write(layout: &Layout, people: &[(String, String, i64)]) -> Result<(Vec<u8>, Written), EncodeError> {
    let bank = bank();
    let sum = people.iter().map(|(.., fen)| Money::from_fen(*fen)).sum();
    let envelope = Envelope {
        bank: &bank,
        batch: BatchNumber::from_value(2_018_070_501_000_001),
        fee_year: 2018,
        debit_on: daikou::domain::calendar::Date::constant(2018, 7, 6),
        created: daikou::domain::calendar::DateTime::constant(2018, 7, 5, 16, 0, 0, 0),
        count: people.len() as u64,
        sum,
    };
    let rows = (1..).zip(people).map(|(sequence, (account, name, fen))| Row {
        sequence,
        id_number: IdNumber::from_key(50_019_919_700_101_001),
        account,
        name,
        person: "",
        amount: Money::from_fen(*fen),
    });
    let mut bytes = Vec::new();
    let written = encode::write_request(layout, &envelope, rows, &mut bytes)?;
    let control = encode::request_control(layout, &envelope, "DK20180705500199010001.TXT", &written)?;
    if let Some(control) = control {
        let control = read(layout, FileKind::RequestControl, &control);
        let mut data = decode(layout, FileKind::Request, &bytes, control.asked_digest(), &mut |_| {}).unwrap();
        data.check_control(&control, "DK20180705500199010001.TXT");
        assert!(data.is_sound(), "{:?}", data.defects);
    }
    Ok((bytes, written))
}

#[test]
fn the_writer_agrees_with_the_independent_program() {
    let people = [("9999000000000000012".to_owned(), "测试甲".to_owned(), 3_000)];
    let [rural, ..] = &shipped()[..] else { panic!("three layouts") };
    let (bytes, _) = write(rural, &people).unwrap();
    let sample = std::fs::read(data("samples/NSH_500199000001_20180705_00000001.REQ")).unwrap();
    let row = |bytes: &[u8]| bytes[302..604].to_vec();
    let (mut ours, theirs) = (row(&bytes), row(&sample));
    assert_eq!(&ours[9..33], b"201807050100000100000001");
    ours[9..33].copy_from_slice(&theirs[9..33]);
    assert_eq!(ours, theirs);
}

#[test]
fn a_row_that_cannot_be_written_names_its_field() {
    let [_, postal, _] = &shipped()[..] else { panic!("three layouts") };
    for (account, name, fen, message) in [
        ("9999", "测试㛃", 100, "detail 1: name: expected characters of the bank's charset instead of 㛃"),
        ("9999", "", 100, "detail 1: name: expected a value"),
        ("", "测试甲", 100, "detail 1: acct: expected a value"),
        ("9999", "测试甲", 0, "detail 1: amt: expected an amount above zero"),
        ("9999", "测试甲", 100_000_000_000_000, "detail 1: amt: expected at most 12 bytes instead of 16"),
    ] {
        let error = write(postal, &[(account.to_owned(), name.to_owned(), fen)]).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        proptest::sample::select("甲乙丙丁珅玥東韡玕昇·欧阳娜".chars().collect::<Vec<_>>()),
        1..20,
    )
    .prop_map(|characters| characters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(
        people in proptest::collection::vec(("9999[0-9]{4,15}", name(), 1i64..100_000_000_000), 1..20)
    ) {
        for layout in shipped() {
            let (bytes, written) = write(&layout, &people).unwrap();
            let mut rows = Vec::new();
            let decoded = decode(&layout, FileKind::Request, &bytes, Some(Algorithm::Sm3), &mut |row| {
                if row.kind() == RecordKind::Detail {
                    let text = |role| row.text(role).unwrap().into_owned();
                    rows.push((text(Role::Account), text(Role::Name), row.money(Role::Amount).unwrap().fen()));
                }
            }).unwrap();
            prop_assert_eq!(&rows, &people);
            prop_assert_eq!(decoded.digest.as_ref(), Some(&written.digest));
            prop_assert_eq!(decoded.defect_count, 0, "{:?}", decoded.defects);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        size in 1usize..700,
    ) {
        for (_, layout, kind, mut bytes) in samples() {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            let mut decoder = Decoder::new(&layout, kind, Some(Algorithm::Md5)).unwrap();
            let mut visit = |record: &Record<'_>| {
                let faults = record.fields().filter(|(field, bytes)| field.fault(bytes, layout.charset).is_some());
                if record.is_sound() {
                    assert_eq!(faults.count(), 0, "the sweep let a fault pass: {record:?}");
                }
                for (role, _) in Role::ALL {
                    let _ = (record.text(role), record.money(role), record.number(role), record.date(role), record.time(role));
                }
            };
            bytes.chunks(size).for_each(|chunk| decoder.feed(chunk, &mut visit));
            for defect in decoder.finish().defects {
                let _ = (defect.message("x", true), defect.picture(), defect.message_zh(), defect.action_zh());
            }
        }
    }

    #[test]
    fn noise_never_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5_000), size in 1usize..900) {
        for layout in shipped() {
            for file in layout.files() {
                let mut decoder = Decoder::new(&layout, file.kind, None).unwrap();
                bytes.chunks(size).for_each(|chunk| decoder.feed(chunk, &mut |_| {}));
                prop_assert!(!decoder.finish().is_sound());
            }
        }
    }
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let [rural, ..] = &shipped()[..] else { panic!("three layouts") };
    let mut decoder = Decoder::new(rural, FileKind::Return, None).unwrap();
    for _ in 0..100 {
        decoder.feed(&[b'9'; 10_000], &mut |_| {});
    }
    let decoded = decoder.finish();
    assert_eq!(decoded.bytes, 1_000_000);
    assert_eq!(decoded.defects.iter().map(|defect| defect.code()).collect::<Vec<_>>(), ["endless-line", "cut"]);
    assert!(!decoded.is_incomplete());
}

#[test]
fn every_fault_of_a_layout_is_named_at_once() {
    let (_, layout, codes, _) = layouts::SHIPPED[1];
    let layout = layout.replacen("at = 6, width = 20", "at = 5, width = 19", 1).replacen(
        "kind = \"yuan\", role = \"amount\"",
        "kind = \"text\", role = \"amount\"",
        1,
    );
    let codes = codes.replacen("code = \"E\"", "code = \"Y\"", 1);
    let error = layouts::parse("postal-savings", &layout, &codes).unwrap_err().to_string();
    for part in [
        "request detail person: expected offset 6, found 5 (overlap)",
        "request detail acct: expected offset 24, found 26 (gap)",
        "request detail amt: a field of kind text cannot be the amount",
        "codes: row code \"Y\" stands more than once",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    let error = layouts::parse("x", "title = 1", "row = []").unwrap_err().to_string();
    assert!(error.contains("layout.toml:1"), "{error}");
}

#[test]
fn the_command_makes_a_sound_exchange_of_every_layout() {
    for layout in shipped() {
        assert_eq!(daikou(&["layout", "lint", &layout.key], &[]).status.code(), Some(0));
        assert_eq!(daikou(&["layout", "describe", &layout.key], &[]).status.code(), Some(0));
        let folder = tempfile::tempdir().unwrap();
        let made = daikou(&["--json", "layout", "sample", &layout.key, folder.path().to_str().unwrap()], &[]);
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
        let files = made["files"].as_array().unwrap();
        assert_eq!(files.len(), layout.files().len());
        for file in files {
            let decoded = daikou(&["layout", "decode", &layout.key, file.as_str().unwrap()], &[]);
            assert_eq!(decoded.status.code(), Some(0), "{}", String::from_utf8_lossy(&decoded.stdout));
        }
    }
}

#[test]
fn the_command_tells_its_exit_code() {
    let file = data("samples/NSH_500199000001_20180705_00000001.RSP");
    let file = file.to_str().unwrap();
    for (args, code) in [
        (&["layout", "lint", "no-such-layout"][..], 2),
        (&["layout", "decode", "rural-commercial", "no-such-file.RSP", "--kind", "return"], 2),
        (&["layout", "decode", "postal-savings", file], 64),
        (&["layout", "decode", "postal-savings", file, "--kind", "return"], 1),
        (&["layout", "decode", "rural-commercial", file, "--kind", "return-control"], 64),
    ] {
        assert_eq!(daikou(args, &[]).status.code(), Some(code), "{args:?}");
    }
    let broken = daikou(
        &["layout", "encode", "rural-commercial"],
        b"{\"kind\":\"return\",\"records\":[{\"record\":\"detail\"}]}",
    );
    assert_eq!(broken.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&broken.stderr).contains("detail 1: instr: expected a value"));
}
