//! Bytes in, records out, and back: beside `iconv`, `openssl` and `cat`.

use crate::bureau::Year;
use crate::measure::{Figure, Reach, Scale, in_turns, memory, memory_of, shell, time};
use daikou::config::layouts;
use daikou::domain::calendar::{Date, DateTime, Time};
use daikou::domain::ids::{BatchNumber, IdNumber};
use daikou::domain::money::Money;
use daikou::format::decode::{Decoder, decode};
use daikou::format::digest::{Algorithm, Hasher};
use daikou::format::encode::{Envelope, RequestEncoder, Row};
use daikou::format::layout::{FileKind, Layout};
use daikou::format::record::Record;
use daikou::format::role::Role;
use daikou::transport::behind::Behind;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

pub(crate) fn run(year: &Year, scale: Scale, figures: &mut Vec<Figure>) {
    let file = year.answer.display();
    let [ours, reference] = in_turns(
        scale.rounds,
        [&mut || time(|| decode_file(&year.layout, &year.answer)).0, &mut || {
            shell(&format!("iconv -f GB18030 -t UTF-8 {file} > /dev/null"))
        }],
    );
    figures.push(Figure::of("decode and validate, one thread / iconv", ours, Some(reference), Reach::Ratio(500)));
    let [ours, reference] = in_turns(
        scale.rounds,
        [&mut || time(|| decode_and_digest(&year.layout, &year.answer)).0, &mut || {
            shell(&format!("openssl dgst -sm3 {file} > /dev/null"))
        }],
    );
    figures.push(Figure::of(
        "… with SM3 and SHA-256, two threads / openssl",
        ours,
        Some(reference),
        Reach::Ratio(1_150),
    ));
    let peak = memory_of(&["decode", &file.to_string()]);
    figures.push(Figure::memory("decode memory above start", peak, Reach::MiB(16)));
    encode(year, scale, figures);
}

fn decode_file(layout: &Layout, path: &Path) {
    let mut decoder = Decoder::new(layout, FileKind::Return, None).expect("a layout with returns").digest_elsewhere();
    slices(path, |slice| decoder.feed(slice, &mut |_| {}));
    let decoded = decoder.finish();
    assert!(decoded.totals.count > 0 && decoded.defect_count <= 1, "{:?}", decoded.defects.first());
}

/// The layout's own digest on a second thread, the archive's beside the rows.
fn decode_and_digest(layout: &Layout, path: &Path) {
    let length = fs::metadata(path).expect("a file").len();
    let range = layout.file(FileKind::Return).expect("a layout with returns").digest_range(length);
    std::thread::scope(|scope| {
        let own = scope.spawn(|| {
            let mut hasher = Hasher::new(Algorithm::Sm3);
            let mut left = range.end - range.start;
            slices(path, |slice| {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(slice.len());
                hasher.update(&slice[..taken]);
                left -= taken as u64;
            });
            hasher.finish()
        });
        let mut decoder =
            Decoder::new(layout, FileKind::Return, None).expect("a layout with returns").digest_elsewhere();
        let mut sha256 = Sha256::new();
        slices(path, |slice| {
            sha256.update(slice);
            decoder.feed(slice, &mut |_| {});
        });
        let decoded = decoder.finish_with(own.join().ok());
        assert!(decoded.is_sound(), "{:?}", decoded.defects.first());
        std::hint::black_box(sha256.finalize());
    });
}

fn slices(path: &Path, mut work: impl FnMut(&[u8])) {
    let mut file = File::open(path).expect("a file");
    let mut slice = vec![0; 1 << 18];
    loop {
        match file.read(&mut slice).expect("a readable file") {
            0 => return,
            read => work(&slice[..read]),
        }
    }
}

/// A fresh process that only decodes: its peak above its start.
pub(crate) fn decode_alone(path: &Path) {
    let layout = layouts::load("rural-commercial", None).expect("a layout of ours");
    let start = memory("VmHWM");
    decode_file(&layout, path);
    println!("{}", memory("VmHWM") - start);
}

/// One row of a plan in memory.
struct Planned {
    id_number: IdNumber,
    account: String,
    name: String,
    amount: Money,
}

pub(crate) fn encode(year: &Year, scale: Scale, figures: &mut Vec<Figure>) {
    let plan = plan_of(&year.layout, &year.request);
    let (target, copy) = (year.dir.join("encoded"), year.dir.join("copied"));
    let request = year.request.display();
    let [ours, reference] = in_turns(
        scale.rounds,
        [&mut || encode_to(&year.layout, &plan, &target), &mut || {
            let _ = fs::remove_file(&copy);
            shell(&format!("cat {request} > {0}; sync {0}", copy.display()))
        }],
    );
    figures.push(Figure::of("encode, file synced / cat and sync", ours, Some(reference), Reach::Ratio(1_000)));
}

fn encode_to(layout: &Layout, plan: &[Planned], target: &Path) -> Duration {
    let _ = fs::remove_file(target);
    let bank: BTreeMap<String, String> = [
        ("agency", "500199000001"),
        ("bank_no", "999653000014"),
        ("agreement", "XY2018-0001"),
        ("biz", "110170"),
        ("credit_acct", "9999000000000000001"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let day = Date::constant(2018, 7, 3);
    let envelope = Envelope {
        bank: &bank,
        batch: BatchNumber::new(day, 1, 1),
        fee_year: 2018,
        debit_on: day,
        created: DateTime::from_parts(day, Time::midnight()),
        count: plan.len() as u64,
        sum: plan.iter().map(|row| row.amount).sum(),
    };
    let work = || {
        let mut encoder = RequestEncoder::new(layout, &envelope).expect("a layout of ours");
        let mut file = Behind::new(File::create(target).expect("a folder of our own"), false);
        let mut buffer = Vec::with_capacity(CHUNK + 1_024);
        encoder.header(&mut buffer);
        for (row, sequence) in plan.iter().zip(1..) {
            let Planned { id_number, account, name, amount } = row;
            let row = Row { sequence, id_number: *id_number, account, name, person: "", amount: *amount };
            encoder.row(&row, &mut buffer).expect("it was written before");
            if buffer.len() >= CHUNK {
                file.write_all(&buffer).expect("room on the disk");
                buffer.clear();
            }
        }
        encoder.finish(&"0".repeat(64), &mut buffer).expect("the totals are those of the rows");
        file.write_all(&buffer).expect("room on the disk");
        let (file, _) = file.finish().expect("room on the disk");
        file.sync_all().expect("room on the disk");
    };
    time(work).0
}

/// As the product hands rows on: small enough to stay in the processor's cache.
const CHUNK: usize = 1 << 18;

fn plan_of(layout: &Layout, request: &Path) -> Vec<Planned> {
    let bytes = fs::read(request).expect("the request");
    let mut plan = Vec::new();
    decode(layout, FileKind::Request, &bytes, None, &mut |record: &Record<'_>| {
        let text = |role| record.text(role).map(|text| text.trim_end().to_owned()).unwrap_or_default();
        if let Ok(parsed) = IdNumber::parse(&text(Role::IdNumber)) {
            let amount = record.money(Role::Amount).unwrap_or_default();
            plan.push(Planned { id_number: parsed.id, account: text(Role::Account), name: text(Role::Name), amount });
        }
    });
    plan
}
