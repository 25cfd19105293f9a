//! Reading a roster of 100,000 people: the bytes alone, and down to typed rows.

use daikou::domain::calendar::Date;
use daikou::domain::ids::IdNumber;
use daikou::domain::participant::{BankNumber, DistrictCode};
use daikou::format::table::Table;
use daikou::pipeline::intake::{Words, participants};
use divan::counter::{BytesCount, ItemsCount};

const PEOPLE: i64 = 100_000;

fn main() {
    divan::main();
}

fn roster() -> String {
    let mut text = String::from("身份证号,姓名,区县,缴费档次,开户银行,银行账号,村社区\n");
    for number in 0..PEOPLE {
        // Area 500199, born on one of 112 days of 1970, order 1 to 999.
        let (month, day, order) = (number / 11_000 % 12 + 1, number / 900 % 28 + 1, number % 900 + 1);
        let id = IdNumber::from_key(50_019_919_700_000_000 + month * 100_000 + day * 1_000 + order);
        text.push_str(&format!("{},测试甲,测试区,100,农村商业银行,9999{number:015},一村\n", id.text()));
    }
    text
}

#[divan::bench]
fn read_utf8(bencher: divan::Bencher<'_, '_>) {
    read(bencher, roster().into_bytes());
}

#[divan::bench]
fn read_gb18030(bencher: divan::Bencher<'_, '_>) {
    read(bencher, encoding_rs::GB18030.encode(&roster()).0.into_owned());
}

fn read(bencher: divan::Bencher<'_, '_>, bytes: Vec<u8>) {
    bencher.counter(BytesCount::new(bytes.len())).bench(|| Table::read(&bytes, "roster.csv"));
}

#[divan::bench]
fn typed_rows(bencher: divan::Bencher<'_, '_>) {
    let table = Table::read(roster().as_bytes(), "roster.csv").expect("the roster is sound");
    let words = Words {
        district: &|text| (text == "测试区").then(|| DistrictCode::parse("500199").expect("a code")),
        bank: &|text| (text == "农村商业银行").then_some(BankNumber(1)),
        knows_area: &|_| true,
        arrived: Date::constant(2018, 7, 2),
    };
    bencher.counter(ItemsCount::new(PEOPLE as usize)).bench(|| participants(&table, words));
}
