//! The tables as staff send them: three ways of saving a sheet, districts and banks by name or by code, identity
//! numbers with an apostrophe or a small x, and a few rows that are simply wrong.

use super::{BANKS, DISTRICTS, Home, NORMAL, OwnWay, PAYERS, Person, Recognition, SUBSISTENCE, World};
use crate::cli::bank::Credit;
use crate::domain::calendar::Date;
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use std::collections::BTreeMap;

/// A file as it is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A payer's list for one district.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The payer's word.
    pub payer: &'static str,
    /// The district's code.
    pub district: &'static str,
    /// The file.
    pub table: Table,
}

/// How a sheet was saved.
#[derive(Clone, Copy)]
enum Saved {
    /// UTF-8 with a byte order mark, as Excel's 「CSV UTF-8」.
    Utf8WithBom,
    /// UTF-8, as programs write it.
    Utf8,
    /// GB 18030, as Excel's plain CSV.
    Gb18030,
}

const ROSTER: &[&str] = &[
    "身份证号",
    "姓名",
    "区县",
    "缴费档次",
    "开户银行",
    "银行账号",
    "户名",
    "参保状态",
    "状态日期",
    "乡镇街道",
    "村社区",
    "社保编号",
];
const CHINESE_LIST: &[&str] = &["身份证号", "姓名", "区县", "认定类别", "认定年度"];
const CHINESE_LIST_AS_OF: &[&str] = &["身份证号", "姓名", "区县", "认定类别", "认定年度", "数据日期"];
const ENGLISH_LIST: &[&str] = &["id_number", "name", "district", "category", "recognized_year"];
const CHINESE_PAYMENTS: &[&str] = &["身份证号", "缴费年度", "金额", "缴费日期", "渠道", "凭证号"];
const ENGLISH_PAYMENTS: &[&str] = &["id_number", "fee_year", "amount", "paid_on", "channel", "reference"];

const STATEMENT: &[&str] = &["bank", "booked_on", "reference", "amount", "serial"];

const TOWNS: [&str; 6] = ["甲子镇", "乙丑镇", "丙寅乡", "丁卯街道", "戊辰镇", "己巳乡"];
const VILLAGES: [&str; 8] = ["一村", "二村", "三村", "四村", "五村", "六村", "七社区", "八社区"];

/// The recognition year that counts for fee year 2018 (R4).
const RECOGNIZED_YEAR: &str = "2017";

const CIVIL_AFFAIRS: usize = 0;
const DISABILITY_FEDERATION: usize = 2;

impl World {
    /// The bureau's roster of participants.
    pub fn roster(&self) -> Table {
        let rows = self.people.iter().map(roster_row);
        Table { name: "参保人员-2018.csv".into(), bytes: save(ROSTER, rows, Saved::Utf8WithBom) }
    }

    /// The lists of recognition year 2017, one per payer and district; those of civil affairs are as of this day.
    pub fn lists(&self, as_of: Date) -> Vec<List> {
        let pairs = (0..PAYERS.len()).flat_map(|payer| (0..DISTRICTS.len()).map(move |district| (payer, district)));
        pairs.map(|(payer, district)| self.list(payer, district, as_of, |_| true)).collect()
    }

    /// The new version of the first district's civil-affairs list, without those who were removed by this day.
    pub fn list_after_removals(&self, as_of: Date) -> List {
        self.list(CIVIL_AFFAIRS, 0, as_of, |person| !person.removed)
    }

    /// What was paid through other channels before the first deduction: whole tiers and odd amounts in May, when there
    /// were no lists yet, own parts in the last days of June.
    pub fn early_payments(&self) -> Table {
        let payments = self.people.iter().filter_map(early_payment);
        let rows = payments.map(|(person, amount, paid_on)| payment_row(person, amount, paid_on, channel(person)));
        Table {
            name: "其他渠道缴费-2018年上半年.csv".into(), bytes: save(CHINESE_PAYMENTS, rows, Saved::Gb18030)
        }
    }

    /// Own parts paid at the counter on this day, by people whose account was short all year.
    pub fn late_payments(&self, paid_on: Date) -> Table {
        let late = self.people.iter().filter(|person| person.own_way == Some(OwnWay::AtLast));
        let rows = late.map(|person| payment_row(person, person.own_part(), paid_on, COUNTER));
        Table { name: "payments-counter.csv".into(), bytes: save(ENGLISH_PAYMENTS, rows, Saved::Utf8) }
    }

    /// Lines of the collection account's statement: what each bank took for a batch, by its place in [`BANKS`]; and what came
    /// another way before the first deduction, or in autumn after this day: a sum for each channel and day.
    pub fn statement(&self, name: &str, credits: &[(usize, Credit)], late: Option<Date>) -> Table {
        let mut sums: BTreeMap<(String, &str), Money> = BTreeMap::new();
        let early = self.people.iter().filter(|_| late.is_none()).filter_map(early_payment);
        for (person, amount, paid_on) in early {
            *sums.entry((paid_on.to_string(), channel(person))).or_default() += amount;
        }
        if let Some(paid_on) = late {
            let people = self.people.iter().filter(|person| person.own_way == Some(OwnWay::AtLast));
            sums.insert((paid_on.to_string(), COUNTER), people.map(Person::own_part).sum());
        }
        sums.retain(|_, amount| amount.is_positive());
        let batches = credits.iter().map(|(bank, credit)| {
            let (on, amount) = (credit.booked_on.to_string(), credit.amount.to_string());
            vec![BANKS[*bank].key.to_owned(), on, credit.batch.clone(), amount, format!("{}{}", bank + 1, credit.batch)]
        });
        let channels = sums.iter().map(|((on, channel), amount)| {
            let place = CHANNELS.iter().position(|known| known == channel).unwrap_or_default();
            let serial = format!("Q{}{place}", on.replace('-', ""));
            vec![BANKS[0].key.to_owned(), on.clone(), (*channel).to_owned(), amount.to_string(), serial]
        });
        let rows: Vec<Vec<String>> = channels.chain(batches).collect();
        Table { name: name.to_owned(), bytes: save(STATEMENT, rows.into_iter(), Saved::Utf8WithBom) }
    }

    fn list(&self, payer: usize, district: usize, as_of: Date, keep: fn(&Person) -> bool) -> List {
        let mut rows = Vec::new();
        for person in self.people.iter().filter(|person| keep(person)) {
            let name = person.listed_as.unwrap_or(&person.name);
            let here = person.recognised_by(payer).filter(|row| row.district == district);
            rows.extend(here.map(|row| list_row(person.number, person.id, name, row)));
        }
        for (number, stranger) in self.strangers.iter().enumerate() {
            if stranger.row.category.payer == payer && stranger.row.district == district {
                rows.push(list_row(number, stranger.id, &stranger.name, &stranger.row));
            }
        }
        if district == 0 {
            rows.extend(self.wrong_row(payer));
        }
        let (header, saved) = match payer {
            CIVIL_AFFAIRS => (CHINESE_LIST_AS_OF, Saved::Gb18030),
            DISABILITY_FEDERATION => (ENGLISH_LIST, Saved::Utf8),
            _ => (CHINESE_LIST, Saved::Utf8WithBom),
        };
        if payer == CIVIL_AFFAIRS {
            rows.iter_mut().for_each(|row| row.push(as_of.to_string()));
        }
        let name = format!("代缴对象名单-{}-{}-2017.csv", PAYERS[payer].chinese, DISTRICTS[district].name);
        let table = Table { name, bytes: save(header, rows.into_iter(), saved) };
        List { payer: PAYERS[payer].word, district: DISTRICTS[district].code, table }
    }

    /// One wrong row per payer, in the first district: a number that fails its check character, somebody else's
    /// category, a number that lost its last characters.
    fn wrong_row(&self, payer: usize) -> Option<Vec<String>> {
        let stranger = self.strangers.iter().find(|stranger| stranger.row.category.payer == payer)?;
        let mut row = list_row(1, stranger.id, &stranger.name, &stranger.row);
        let text = stranger.id.text();
        match payer {
            CIVIL_AFFAIRS => row[0] = format!("{}{}", &text[..17], if text.ends_with('1') { '2' } else { '1' }),
            DISABILITY_FEDERATION => row[0] = text[..16].into(),
            _ => row[3] = SUBSISTENCE.chinese.into(),
        }
        Some(row)
    }
}

/// What somebody paid before the first deduction, and when.
fn early_payment(person: &Person) -> Option<(&Person, Money, Date)> {
    let in_may = Date::constant(2018, 5, 1 + (person.number % 28) as i8);
    let in_june = Date::constant(2018, 6, 21 + (person.number % 8) as i8);
    match person.own_way? {
        OwnWay::OwnPart => Some((person, person.own_part(), in_june)),
        OwnWay::WholeTier => Some((person, Money::from_fen(person.tier * 100), in_may)),
        OwnWay::OddAmount => Some((person, Money::from_fen(5_500), in_may)),
        OwnWay::AtLast => None,
    }
}

/// Counter and telephone.
const CHANNELS: [&str; 2] = ["柜面", "手机"];
const COUNTER: &str = "counter";

fn channel(person: &Person) -> &'static str {
    CHANNELS[person.number % 2]
}

fn roster_row(person: &Person) -> Vec<String> {
    let number = person.number;
    let district = &DISTRICTS[person.district];
    let bank = match person.home {
        Home::Entrusted(bank) if number.is_multiple_of(3) => BANKS[bank].key,
        Home::Entrusted(bank) => BANKS[bank].name,
        Home::Elsewhere => "外地银行",
        Home::Nowhere => "",
    };
    let status_since = if person.status == NORMAL { "" } else { "2018-03-01" };
    vec![
        person.id.text(),
        person.name.clone(),
        if number.is_multiple_of(5) { district.code } else { district.name }.into(),
        person.tier.to_string(),
        bank.into(),
        person.account(),
        person.holder.unwrap_or_default().into(),
        person.status.into(),
        status_since.into(),
        TOWNS[number % TOWNS.len()].into(),
        VILLAGES[number / TOWNS.len() % VILLAGES.len()].into(),
        format!("50019900{:08}", number + 1),
    ]
}

fn list_row(number: usize, id: IdNumber, name: &str, row: &Recognition) -> Vec<String> {
    let text = id.text();
    let (id_text, category) = match row.category.payer {
        CIVIL_AFFAIRS => (text.to_lowercase(), row.category.chinese),
        // Every third federation row has the certificate number: kind of disability, grade 1 or 2.
        DISABILITY_FEDERATION if number.is_multiple_of(3) => {
            (format!("{text}{}{}", 1 + number % 7, 1 + number % 2), row.category.word)
        }
        DISABILITY_FEDERATION => (text, row.category.word),
        _ if number.is_multiple_of(4) => (format!("'{text}"), row.category.chinese),
        _ => (text, row.category.chinese),
    };
    let district = &DISTRICTS[row.district];
    let district = if row.category.payer == DISABILITY_FEDERATION { district.code } else { district.name };
    vec![id_text, name.into(), district.into(), category.into(), RECOGNIZED_YEAR.into()]
}

fn payment_row(person: &Person, amount: Money, paid_on: Date, channel: &str) -> Vec<String> {
    let reference = format!("{}{:08}", paid_on.strftime("%Y%m%d"), person.number + 1);
    vec![person.id.text(), "2018".into(), amount.to_string(), paid_on.to_string(), channel.into(), reference]
}

fn save(header: &[&str], rows: impl Iterator<Item = Vec<String>>, saved: Saved) -> Vec<u8> {
    let mut sheet = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    sheet.write_record(header).expect("memory takes every row");
    for row in rows {
        sheet.write_record(&row).expect("every row is as wide as its header");
    }
    let utf8 = sheet.into_inner().expect("memory takes every row");
    match saved {
        Saved::Utf8 => utf8,
        Saved::Utf8WithBom => [b"\xEF\xBB\xBF".as_slice(), &utf8].concat(),
        Saved::Gb18030 => {
            let text = String::from_utf8(utf8).expect("a sheet is text");
            encoding_rs::GB18030.encode(&text).0.into_owned()
        }
    }
}
