use super::record::{speaks_gb18030, speaks_gbk};
use super::*;

const RURAL: &str = "NSH_500199000001_20180705_00000001.REQ";
const POSTAL: &str = "DK20180705500199010001.TXT";
const CITY: &str = "CSH_500199000001_20180705C0000001_Q.DAT";

const fn july(day: i8) -> Date {
    Date::constant(2018, 7, day)
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/samples/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The samples number their accounts from `first`; the answers are given in that order.
fn in_order(first: usize, answers: &'static [Behaviour]) -> impl Fn(&Asked<'_>) -> Behaviour + Send {
    move |asked| {
        let number: usize = asked.account[4..18].parse().unwrap();
        answers[number - first]
    }
}

fn assert_is_sample(file: &ReturnFile) {
    assert_eq!(file.bytes.escape_ascii().to_string(), sample(&file.name).escape_ascii().to_string(), "{}", file.name);
}

#[test]
fn the_rural_sample_is_answered_byte_by_byte() {
    use Behaviour::{InsufficientFunds, NameMismatch, Pays, Unknown};
    let answers = &[Pays, Pays, NameMismatch, InsufficientFunds, Pays, Unknown];
    let mut bank = SimulatedBank::new(Style::Rural, in_order(1, answers));
    let files = bank.answer(RURAL, &sample(RURAL), None, july(9), july(7)).unwrap();
    assert_eq!(files.len(), 1);
    assert_is_sample(&files[0]);
    assert_eq!(bank.taken(), Money::from_fen(19_000));
    assert_eq!(bank.credits()[0].booked_on, july(6));
}

#[test]
fn the_postal_sample_is_answered_byte_by_byte() {
    use Behaviour::{InsufficientFunds, NameMismatch, Pays, Unknown};
    let answers = &[Pays, Pays, NameMismatch, InsufficientFunds, Pays, Unknown];
    let mut bank = SimulatedBank::new(Style::Postal, in_order(100, answers));
    let control = sample("DK20180705500199010001.CTL");
    let files = bank.answer(POSTAL, &sample(POSTAL), Some(&control), july(6), july(7)).unwrap();
    assert_eq!(files.len(), 2);
    files.iter().for_each(assert_is_sample);
}

#[test]
fn the_city_sample_is_answered_byte_by_byte_and_out_of_order() {
    use Behaviour::{InsufficientFunds, NameMismatch, Pays};
    let answers = &[Pays, NameMismatch, InsufficientFunds];
    for (today, part) in [(july(7), 1), (july(8), 0)] {
        let mut bank = SimulatedBank::new(Style::City, in_order(200, answers));
        let files = bank.answer(CITY, &sample(CITY), None, july(6), today).unwrap();
        assert_eq!(files.len(), 2);
        assert!(files[0].name.ends_with("_R02.DAT"));
        assert_is_sample(&files[part]);
    }
}

#[test]
fn every_changed_byte_of_a_request_is_noticed() {
    let control = sample("DK20180705500199010001.CTL");
    let cases =
        [(Style::Rural, RURAL, None), (Style::Postal, POSTAL, Some(control.as_slice())), (Style::City, CITY, None)];
    for (style, name, control) in cases {
        let good = sample(name);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            let mut bank = SimulatedBank::new(style, |_| Behaviour::Pays);
            assert!(bank.answer(name, &bytes, control, july(6), july(7)).is_err(), "{name}: byte {at}");
            assert_eq!(bank.taken(), Money::ZERO);
        }
    }
}

/// A stray character in a request whose digest was made over it: only free text may hold one.
#[test]
fn a_signed_fault_is_noticed_outside_of_free_text() {
    let good = sample(RURAL);
    let trailer = good.len() - 302;
    // Agreement, business code, collection account; instruction, account without its tail, name, memo.
    let free = [30..50, 66..72, 156..188, 311..335, 353..364, 372..385, 385..445, 466..486];
    for at in (0..604).chain(trailer..trailer + 302) {
        let mut bytes = good.clone();
        bytes[at] = b'?';
        let digest = record::sm3_hex(&bytes[..trailer]);
        if at < trailer {
            bytes[trailer + 40..trailer + 104].copy_from_slice(digest.as_bytes());
        }
        let mut bank = SimulatedBank::new(Style::Rural, |_| Behaviour::Pays);
        let taken = bank.answer(RURAL, &bytes, None, july(6), july(7)).is_ok();
        assert!(!taken || free.iter().any(|range| range.contains(&at)), "byte {at}");
    }
}

#[test]
fn refusals_say_where_and_what() {
    let refused = |style, name: &str, bytes: &[u8], control: Option<&[u8]>| {
        SimulatedBank::new(style, |_| Behaviour::Pays).answer(name, bytes, control, july(6), july(7)).unwrap_err()
    };
    let mut bytes = sample(RURAL);
    bytes[109] = b'9';
    assert_eq!(
        refused(Style::Rural, RURAL, &bytes, None),
        format!("{RURAL}: line 1: amount in fen: expected 68000, found 68009")
    );
    let mut bytes = sample(RURAL);
    bytes[302 + 83] = 0xFF;
    let why = refused(Style::Rural, RURAL, &bytes, None);
    assert!(why.ends_with("line 2, bytes 84-143: expected text in our charset, left-justified"), "{why}");
    let why = refused(Style::Postal, POSTAL, &sample(POSTAL), None);
    assert!(why.ends_with("expected a control file beside it"), "{why}");
    let why = refused(Style::City, RURAL, &sample(CITY), None);
    assert!(why.ends_with(&format!("expected the name {CITY}")), "{why}");
}

#[test]
fn a_batch_is_taken_once() {
    let mut bank = SimulatedBank::new(Style::Rural, |_| Behaviour::Pays);
    assert!(bank.answer(RURAL, &sample(RURAL), None, july(6), july(7)).is_ok());
    let again = bank.answer(RURAL, &sample(RURAL), None, july(6), july(7)).unwrap_err();
    assert!(again.ends_with("batch 2018070500000001 was here before"), "{again}");
    assert!(bank.debited_twice().is_empty());
}

#[test]
fn a_batch_that_comes_again_is_refused_whole() {
    let mut bank = SimulatedBank::new(Style::Rural, |_| Behaviour::Pays);
    bank.remember("2018070500000001", 6);
    let request = bank.read(RURAL, &sample(RURAL), None).unwrap();
    assert!(bank.has_had(&request));
    assert_eq!((request.batch(), request.rows(), request.amount()), ("2018070500000001", 6, Money::from_fen(68_000)));
    let file = bank.refuse_again(&request, july(7)).unwrap();
    assert_eq!(file.name, "NSH_500199000001_20180705_00000001.RSP");
    assert_eq!(&file.bytes[188..192], b"F002");
    assert_eq!(file.bytes.len(), sample(RURAL).len());
    assert_eq!(bank.taken(), Money::ZERO);
    assert!(SimulatedBank::new(Style::City, |_| Behaviour::Pays).refuse_again(&request, july(7)).is_none());
}

#[test]
fn who_is_asked_is_told_whole() {
    let asked = std::sync::Mutex::new(Vec::new());
    let tell = |who: &Asked<'_>| {
        asked.lock().unwrap().push((who.account.to_owned(), who.name.to_owned(), who.due.fen(), who.times));
        Behaviour::Pays
    };
    let mut bank = SimulatedBank::new(Style::City, tell);
    bank.answer_in(3);
    let files = bank.answer(CITY, &sample(CITY), None, july(6), july(7)).unwrap();
    assert_eq!(files.len(), 3);
    drop(bank);
    assert_eq!(asked.lock().unwrap()[1].1, "测试𬭎䶮");
}

#[test]
fn a_gbk_host_has_fewer_characters_than_its_encoders() {
    for name in ["测试甲", "珅玕", "测试·丙堃", "頔骉燚", "（女）"] {
        assert!(speaks_gbk(&encoding_rs::GBK.encode(name).0), "{name}");
    }
    for name in ["䶮", "㖞", "䲟", "€", "\u{e001}"] {
        assert!(!speaks_gbk(&encoding_rs::GB18030.encode(name).0), "{name}");
    }
    assert!(!speaks_gbk(b"\x82\x30\xB7\x31") && !speaks_gbk(b"\xB2") && !speaks_gbk(b"\xB2\x7F"));
    assert!(speaks_gb18030(b"\x82\x30\xB7\x31\x99\x33\xA9\x32") && !speaks_gb18030(b"\x82\x30\xB7"));
}

#[test]
fn what_was_unknown_is_told_later() {
    let mut bank = SimulatedBank::new(Style::Rural, in_order(1, &[Behaviour::UnknownTaken; 6]));
    let first = bank.answer(RURAL, &sample(RURAL), None, july(6), july(7)).unwrap();
    assert_eq!(&first[0].bytes[110..118], b"00000000");
    assert_eq!(bank.taken(), Money::from_fen(68_000));
    let later = bank.found_out(july(12));
    assert_eq!(later[0].name, first[0].name);
    assert_eq!(&later[0].bytes[110..118], b"00000006");
    assert!(bank.found_out(july(13)).is_empty());
}

#[test]
fn damage_keeps_everything_but_its_one_fault() {
    let mut bank = SimulatedBank::new(Style::Rural, |_| Behaviour::Pays);
    let good = bank.answer(RURAL, &sample(RURAL), None, july(6), july(7)).unwrap().remove(0);
    let bad = wrong_total(Style::Rural, &good);
    let changed = good.bytes.iter().zip(&bad.bytes).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at);
    let trailer = good.bytes.len() - 302;
    assert!(changed.clone().all(|at| at == 109 || (trailer + 40..trailer + 104).contains(&at)));
    assert!(changed.count() > 1);
    assert!(good.bytes.starts_with(&truncated(&good).bytes));
    assert_eq!(from_another_agency(&good).name, "NSH_500188000001_20180705_00000001.RSP");
}
