//! Inner loops of the format room, on one made-up request of layout A kept in memory: what a row costs to prove and to
//! write. Whole files against their reference commands are in `benches/run`.

use daikou::config::layouts;
use daikou::domain::calendar::{Date, DateTime};
use daikou::domain::ids::{BatchNumber, IdNumber};
use daikou::domain::money::Money;
use daikou::format::decode::Decoder;
use daikou::format::encode::{Envelope, RequestEncoder, Row};
use daikou::format::layout::{FileKind, Layout};
use daikou::format::role::Role;
use divan::counter::{BytesCount, ItemsCount};
use std::collections::BTreeMap;

fn main() {
    divan::main();
}

const ROWS: u32 = 10_000;
const NAMES: [&str; 4] = ["测试甲", "测试乙珅", "测试·丙堃", "测试"];

fn request(layout: &Layout) -> Vec<u8> {
    let pairs = [
        ("agency", "500199000001"),
        ("bank_no", "999653000014"),
        ("agreement", "XY2018-0001"),
        ("biz", "110170"),
        ("credit_acct", "9999000000000000001"),
    ];
    let bank: BTreeMap<String, String> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let amount = Money::from_fen(3_000);
    let envelope = Envelope {
        bank: &bank,
        batch: BatchNumber::from_value(2_018_070_501_000_001),
        fee_year: 2018,
        debit_on: Date::constant(2018, 7, 6),
        created: DateTime::constant(2018, 7, 5, 16, 0, 0, 0),
        count: u64::from(ROWS),
        sum: Money::from_fen(amount.fen() * i64::from(ROWS)),
    };
    let mut encoder = RequestEncoder::new(layout, &envelope).expect("the header has every key");
    let mut bytes = Vec::with_capacity(302 * (ROWS as usize + 2));
    encoder.header(&mut bytes);
    for sequence in 1..=ROWS {
        let id_number = IdNumber::from_key(50_019_919_700_101_000 + i64::from(sequence % 1_000));
        let name = NAMES[sequence as usize % NAMES.len()];
        let row = Row { sequence, id_number, account: "9999000000000000012", name, person: "", amount };
        encoder.row(&row, &mut bytes).expect("made-up people fit");
    }
    encoder.finish(&"0".repeat(64), &mut bytes).expect("the sum is announced");
    bytes
}

fn layout() -> Layout {
    layouts::load("rural-commercial", None).expect("a shipped layout is sound")
}

#[divan::bench]
fn encode(bencher: divan::Bencher<'_, '_>) {
    let layout = layout();
    bencher.counter(ItemsCount::new(ROWS)).bench(|| request(&layout));
}

#[divan::bench(args = [false, true])]
fn decode(bencher: divan::Bencher<'_, '_>, digest: bool) {
    let layout = layout();
    let bytes = request(&layout);
    bencher.counter(ItemsCount::new(ROWS)).counter(BytesCount::of_slice(&bytes)).bench(|| {
        let mut sum = 0;
        let decoder = Decoder::new(&layout, FileKind::Request, None).expect("the layout has requests");
        let mut decoder = if digest { decoder } else { decoder.digest_elsewhere() };
        decoder.feed(&bytes, &mut |row| sum += row.money(Role::Amount).map_or(0, Money::fen));
        (sum, decoder.finish().totals)
    });
}
