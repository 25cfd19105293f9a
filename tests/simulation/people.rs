//! Who lives in the simulated bureau, and the tables that speak of them.

/// Banks by key, in the order in which accounts are dealt.
pub(crate) const BANKS: [&str; 3] = ["rural", "postal", "city"];

/// People whom a bank is asked for.
pub(crate) const ASKED: usize = 9;

/// The last of them is on no list at first.
pub(crate) const LISTED_LATE: usize = ASKED - 1;

/// People without an account, who pay at the counter: the first are listed, the last is not.
pub(crate) const AT_COUNTER: [usize; 3] = [9, 10, 11];

/// The one at the counter who is on no list.
pub(crate) const NEVER_LISTED: usize = 11;

/// Everybody.
pub(crate) const PEOPLE: usize = 12;

/// Fen that a listed person pays, that the government pays for it, and the whole tier.
pub(crate) const OWN: u64 = 3_000;
pub(crate) const GOVERNMENT: u64 = 7_000;
pub(crate) const TIER: u64 = OWN + GOVERNMENT;

/// Years that are played.
pub(crate) const YEARS: [i16; 3] = [2018, 2019, 2020];

/// A valid identity number of an area that nobody lives in.
pub(crate) fn id_number(person: usize) -> String {
    let body = format!("5001991970{:02}15{:03}", person + 1, 100 + person);
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body.bytes().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    format!("{body}{}", char::from(b"10X98765432"[sum as usize % 11]))
}

/// Whether the bureau knows from the start that somebody owes the government part of a person.
pub(crate) fn is_listed(person: usize) -> bool {
    person != LISTED_LATE && person != NEVER_LISTED
}

pub(crate) fn roster() -> String {
    let row = |person: usize| {
        let (bank, account) = match person < ASKED {
            true => (BANKS[person % 3], format!("9999{person:012}")),
            false => ("", String::new()),
        };
        format!("{},测试甲,500199,100,{bank},{account}\n", id_number(person))
    };
    "id_number,name,district,tier,bank,account\n".to_owned() + &(0..PEOPLE).map(row).collect::<String>()
}

/// The list of one recognition year; the later one has one person more.
pub(crate) fn list(year: i16, is_later: bool) -> String {
    let row = |person| format!("{},测试甲,500199,低保对象,{year}\n", id_number(person));
    let listed = (0..PEOPLE).filter(|person| is_listed(*person) || (is_later && *person == LISTED_LATE));
    "身份证号,姓名,区县,认定类别,认定年度\n".to_owned() + &listed.map(row).collect::<String>()
}

/// One payment at the counter.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) person: usize,
    pub(crate) fee_year: i16,
    pub(crate) fen: u64,
    pub(crate) paid_on: String,
    pub(crate) reference: String,
}

/// All payments up to now, in an order.
pub(crate) fn payments(all: &[Payment], is_reversed: bool) -> String {
    let row = |payment: &Payment| {
        let Payment { person, fee_year, fen, paid_on, reference } = payment;
        format!("{},{fee_year},{}.{:02},{paid_on},counter,{reference}\n", id_number(*person), fen / 100, fen % 100)
    };
    let mut rows: Vec<String> = all.iter().map(row).collect();
    if is_reversed {
        rows.reverse();
    }
    "id_number,fee_year,amount,paid_on,channel,reference\n".to_owned() + &rows.concat()
}
