//! Strict GBK against a table that shares nothing with the product's: every pair and every character, both ways.

use daikou::format::charset::{Charset, TextFault};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Pair → character of code page 936, from `tests/data/charsets`.
pub(crate) fn cp936() -> &'static BTreeMap<[u8; 2], char> {
    &CP936
}

static CP936: LazyLock<BTreeMap<[u8; 2], char>> = LazyLock::new(|| {
    let path = format!("{}/tests/data/charsets/cp936.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the table is there");
    let mut table = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (lead, characters) = line.split_once(' ').unwrap();
        let lead = u8::from_str_radix(lead, 16).unwrap();
        let there = (0x40..=0xFE).zip(characters.chars()).filter(|(_, character)| *character != '\u{FFFD}');
        table.extend(there.map(|(trail, character)| ([lead, trail], character)));
    }
    table
});

#[test]
fn every_pair_of_bytes_is_what_the_table_says() {
    let table = cp936();
    assert_eq!(table.len(), 21_791);
    for pair in 0..=u16::MAX {
        let pair = pair.to_be_bytes();
        let read = Charset::Gbk.decode(&pair);
        match (table.get(&pair), pair) {
            (Some(character), _) => assert_eq!(read.as_deref(), Ok(&character.to_string()[..]), "{pair:x?}"),
            // ASCII stands for itself; spaces at the end are no text.
            (None, [b' '..=b'~', b' '..=b'~']) => {
                let text = std::str::from_utf8(&pair).unwrap().trim_end_matches(' ');
                assert_eq!(read.as_deref(), Ok(text), "{pair:x?}");
            }
            (None, _) => assert!(read.is_err(), "{pair:x?}: {read:?}"),
        }
        assert_eq!(Charset::Gbk.check(&pair).is_ok(), Charset::Gbk.decode(&pair).is_ok(), "{pair:x?}");
    }
}

#[test]
fn every_character_is_said_as_the_table_says_or_not_at_all() {
    let pairs: BTreeMap<char, [u8; 2]> = cp936().iter().map(|(pair, character)| (*character, *pair)).collect();
    assert_eq!(pairs.len(), cp936().len(), "no two pairs are one character");
    for character in '\0'..=char::MAX {
        let mut field = [0; 4];
        let mut utf8 = [0; 4];
        let said = Charset::Gbk.encode(character.encode_utf8(&mut utf8), &mut field);
        match pairs.get(&character) {
            Some(pair) => {
                assert_eq!(said, Ok(Some(2)), "{character:?}");
                assert_eq!(field[..2], *pair, "{character:?}");
            }
            None if matches!(character, ' '..='~') => {
                assert_eq!((said, field[0]), (Ok(Some(1)), character as u8));
            }
            None => assert_eq!(said, Err(TextFault::Unsayable(character)), "{character:?}"),
        }
    }
}

/// What the web's table, also called GBK, has beside code page 936: pairs that later editions filled, private characters,
/// 80 for the euro sign, four bytes. A host of a bank has none of them.
#[test]
fn the_known_differences_are_refused_by_name() {
    let (mut more, mut private) = (0, 0);
    for (lead, trail) in (0x81..=0xFE).flat_map(|lead| (0x40..=0xFE).map(move |trail| (lead, trail))) {
        let pair: [u8; 2] = [lead, trail];
        let web = encoding_rs::GBK.decode_without_bom_handling_and_without_replacement(&pair);
        let one = web.as_ref().and_then(|text| text.chars().next().filter(|_| text.chars().count() == 1));
        match (cp936().get(&pair), one) {
            (Some(ours), Some(theirs)) => assert_eq!(*ours, theirs, "{pair:x?}"),
            (Some(_), None) => panic!("{pair:x?}: the web lacks a pair of code page 936"),
            (None, Some('\u{E000}'..='\u{F8FF}')) => {
                private += 1;
                assert_eq!(Charset::Gbk.check(&pair), Err(TextFault::PrivateUse(0)), "{pair:x?}");
            }
            (None, Some(_)) => {
                more += 1;
                assert_eq!(Charset::Gbk.check(&pair), Err(TextFault::NotInCharset(0)), "{pair:x?}");
            }
            (None, None) => {}
        }
    }
    assert_eq!((more, private), (101, 2_048));
    assert_eq!(Charset::Gbk.check(b"\x80"), Err(TextFault::Byte(0)));
    assert_eq!(Charset::Gbk.check(b"\x82\x30\xb7\x31"), Err(TextFault::FourBytes(0)));
}

/// Above the basic plane GB 18030 counts: U+10000 is 90 30 81 30, and so on without a gap.
#[test]
fn four_bytes_above_the_basic_plane_are_counted() {
    let is_private = |code: u32| code >= 0xF_0000;
    for code in (0x1_0000..=0x10_FFFF_u32).step_by(7).chain([0x1_0000, 0x2_CB4E, 0x10_FFFF]) {
        let Some(character) = char::from_u32(code) else { continue };
        let rest = code - 0x1_0000;
        let digit = |place: u32, base: u32| (rest / place % base) as u8;
        let bytes = [0x90 + (rest / 12_600) as u8, b'0' + digit(1_260, 10), 0x81 + digit(10, 126), b'0' + digit(1, 10)];
        let mut field = [0; 4];
        let mut utf8 = [0; 4];
        let said = Charset::Gb18030.encode(character.encode_utf8(&mut utf8), &mut field);
        let read = Charset::Gb18030.decode(&bytes);
        if is_private(code) {
            assert_eq!((said, read), (Err(TextFault::Unsayable(character)), Err(TextFault::PrivateUse(0))), "{code:x}");
        } else {
            assert_eq!((said, field), (Ok(Some(4)), bytes), "{code:x}");
            assert_eq!(read.as_deref(), Ok(&character.to_string()[..]), "{code:x}");
        }
    }
}

#[test]
fn what_gb18030_reads_in_the_basic_plane_it_writes() {
    for character in ('\u{80}'..='\u{FFFF}').filter(|c| !c.is_control()) {
        let mut field = [0; 4];
        let mut utf8 = [0; 4];
        let Ok(width) = Charset::Gb18030.encode(character.encode_utf8(&mut utf8), &mut field) else {
            assert!(matches!(character, '\u{E000}'..='\u{F8FF}'), "{character:?} is not sayable");
            continue;
        };
        let read = Charset::Gb18030.decode(&field[..width.unwrap()]);
        assert_eq!(read.as_deref(), Ok(&character.to_string()[..]), "{character:?}");
    }
    for (pair, character) in cp936() {
        let mut field = [0; 2];
        assert_eq!(Charset::Gb18030.decode(pair).as_deref(), Ok(&character.to_string()[..]), "{pair:x?}");
        assert_eq!(Charset::Gb18030.encode(&character.to_string(), &mut field), Ok(Some(2)), "{character:?}");
        assert_eq!(field, *pair, "{character:?}: the pairs of GBK stay");
    }
}

/// Below the end of the basic plane every sequence of four bytes: what is read is written with the same bytes, but for 18
/// characters that the edition of 2022 moved to pairs; and no control character is text.
#[test]
fn what_gb18030_reads_in_four_bytes_it_writes() {
    let (mut read, mut moved) = (0, String::new());
    for rest in 0..4 * 12_600_u32 {
        let digit = |place: u32, base: u32| (rest / place % base) as u8;
        let bytes = [0x81 + (rest / 12_600) as u8, b'0' + digit(1_260, 10), 0x81 + digit(10, 126), b'0' + digit(1, 10)];
        let Ok(text) = Charset::Gb18030.decode(&bytes) else { continue };
        let mut field = [0; 4];
        assert!(!text.chars().any(char::is_control), "{bytes:x?}");
        match Charset::Gb18030.encode(&text, &mut field) {
            Ok(Some(2)) => moved.push_str(&text),
            said => assert_eq!((said, field), (Ok(Some(4)), bytes), "{text}"),
        }
        read += 1;
    }
    // Of 39,420 sequences all but 32 control characters and the private characters that have no pair: 2,048 of the 6,400
    // have one, those that the 18 and the ideographic space replaced have no bytes at all.
    assert_eq!(read, 39_420 - 32 - (6_400 - 2_048 - 18 - 1));
    assert_eq!(moved, ('\u{9FB4}'..='\u{9FBB}').chain('\u{FE10}'..='\u{FE19}').collect::<String>());
}
