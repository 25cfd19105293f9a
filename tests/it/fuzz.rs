//! The bodies of the fuzz targets as plain tests: over every seed and every file that once broke something, and over
//! mutations of them in a fixed order. `docs/fuzzing.md` says how the long, coverage-guided form is run.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use crate::layouts::data;
use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// A target: its name, its body, where its seeds come from.
type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

const TARGETS: [Target; 6] = [
    ("record", bodies::record, bank_files),
    ("file", bodies::file, bank_files),
    ("round_trip", bodies::round_trip, bank_files),
    ("layout", bodies::layout, layouts),
    ("csv", bodies::csv, || tables(&["csv", "txt"])),
    ("xlsx", bodies::xlsx, workbooks),
];

/// Mutations of each target in `cargo test`; `FUZZ_ROUNDS` makes it more.
const ROUNDS: u64 = 300;

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn ends_with(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|ending| endings.contains(&ending.to_str().unwrap()))
}

fn read(paths: impl IntoIterator<Item = PathBuf>) -> Vec<Vec<u8>> {
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The samples of the independent program, and the gallery of defects.
fn bank_files() -> Vec<Vec<u8>> {
    let gallery =
        files(&data("defects")).into_iter().filter(|path| ends_with(path, &["REQ", "RSP", "TXT", "CTL", "DAT"]));
    read(files(&data("samples")).into_iter().chain(gallery))
}

/// Each shipped layout with its codes and a sample of its bank.
fn layouts() -> Vec<Vec<u8>> {
    let sample = |key: &str| {
        let beginning = match key {
            "rural-commercial" => "NSH",
            "postal-savings" => "HP",
            _ => "CSH",
        };
        let is_it = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(beginning);
        fs::read(files(&data("samples")).into_iter().find(is_it).unwrap()).unwrap()
    };
    let text = |key, layout: &str, codes: &str| {
        [layout.as_bytes(), codes.as_bytes(), &sample(key)].join(bodies::NEXT.as_bytes())
    };
    daikou::config::layouts::SHIPPED.iter().map(|(key, layout, codes, _)| text(key, layout, codes)).collect()
}

fn tables(endings: &[&str]) -> Vec<Vec<u8>> {
    read(files(&data("tables")).into_iter().filter(|path| ends_with(path, endings)))
}

/// Workbooks as they are, and taken apart: what is packed cannot be changed a little.
fn workbooks() -> Vec<Vec<u8>> {
    let packed: Vec<Vec<u8>> = tables(&["xlsx"]).into_iter().filter(|bytes| bytes.len() < 1 << 20).collect();
    let apart = packed.iter().filter_map(|bytes| parts_of(bytes)).collect::<Vec<_>>();
    assert!(apart.len() > 1);
    packed.into_iter().chain(apart).collect()
}

fn parts_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).ok()?;
    let mut part = |name: &str| {
        let mut text = String::new();
        archive.by_name(name).ok()?.take(1 << 20).read_to_string(&mut text).ok()?;
        Some(text)
    };
    let sheet = part("xl/worksheets/sheet1.xml")?;
    let strings = part("xl/sharedStrings.xml").unwrap_or_default();
    let styles = part("xl/styles.xml").unwrap_or_default();
    Some([sheet, strings, styles].join(bodies::NEXT).into_bytes())
}

/// What once broke something is kept for ever, beside seeds made by hand.
fn kept(target: &str) -> Vec<PathBuf> {
    files(&data("fuzz").join(target))
}

#[test]
fn every_seed_and_every_kept_file_holds() {
    for (name, body, seeds) in TARGETS {
        let seeds = seeds();
        assert!(seeds.len() > 2, "{name}: {} seeds", seeds.len());
        seeds.iter().for_each(|bytes| body(bytes));
        for path in kept(name) {
            println!("{}", path.display());
            body(&fs::read(&path).unwrap());
        }
    }
}

#[test]
fn every_folder_of_kept_files_is_a_target() {
    for folder in fs::read_dir(data("fuzz")).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir())
    {
        let name = folder.file_name();
        assert!(TARGETS.iter().any(|(target, ..)| name == *target), "{name:?}");
    }
}

/// The same mutations in the same order each time: what fails is written down, and the run ends with its path.
#[test]
fn mutations_hold() {
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    crate::crash::each(&TARGETS, |(name, body, seeds)| {
        let mut seeds = seeds();
        seeds.extend(read(kept(name)));
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
        for round in 0..rounds {
            let bytes = mutated(&seeds, &mut chance);
            if catch_unwind(AssertUnwindSafe(|| body(&bytes))).is_err() {
                let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{round}"));
                fs::write(&path, &bytes).unwrap();
                panic!("{name}: round {round} fails: mend it and keep {} in tests/data/fuzz/{name}", path.display());
            }
        }
    });
}

/// Writes the seeds as files, for the coverage-guided form.
#[test]
#[ignore = "writes files: tests/soak fuzz asks for it"]
fn write_the_seeds() {
    for (name, _, seeds) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (number, bytes) in seeds().into_iter().chain(read(kept(name))).enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), bytes).unwrap();
        }
    }
}

/// Numbers that look like chance and are always the same (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// What stands in such files and means something.
const WORDS: [&[u8]; 20] = [
    b"\r\n",
    b"\n",
    b"|",
    b"\x81\x30\x81\x30",
    b"\xfe\x50",
    b"\x80",
    b"\xef\xbb\xbf",
    b"\x1a",
    b"\"",
    b",",
    b";",
    b"\t",
    b"0000000000000000",
    b"99999999999999999999",
    b"-",
    b"18446744073709551615",
    b"</c><c r=\"XFD1048576\">",
    b"<v>1e308</v>",
    "合计".as_bytes(),
    "\u{3000}".as_bytes(),
];

/// A seed with one to four changes.
fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = seeds[chance.below(seeds.len())].clone();
    for _ in 0..=chance.below(4) {
        let (at, length) = (chance.below(bytes.len() + 1), 1 + chance.below(12));
        let end = (at + length).min(bytes.len());
        match chance.below(8) {
            0 if at < bytes.len() => bytes[at] = chance.next() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, WORDS[chance.below(WORDS.len())].iter().copied())),
            4 => bytes.truncate(at),
            5 => {
                let other = &seeds[chance.below(seeds.len())];
                let from = chance.below(other.len() + 1);
                drop(bytes.splice(at.., other[from..].iter().copied()));
            }
            6 => {
                let line: Vec<u8> = bytes[at..].iter().copied().take_while(|byte| *byte != b'\n').collect();
                drop(bytes.splice(at..at, line));
            }
            _ => drop(bytes.splice(at..end, std::iter::repeat_n(b'0' + chance.below(10) as u8, end - at))),
        }
    }
    bytes
}
