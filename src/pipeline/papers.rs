//! What payers get in their folders, as bytes: settlements with their name lists, lists of ex-post subsidies.
//!
//! Pure: the same rows give the same bytes, so that what was approved can be made again and compared. CSV in UTF-8 with
//! a byte order mark, since that is what a spreadsheet takes for Chinese.

use crate::domain::calendar::{Date, FeeYear};
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::domain::settlement::{Claim, ClaimKind, SettlementYear, lines, total};

/// An ex-post subsidy as its payer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// The participant's key.
    pub participant: i64,
    /// Name.
    pub name: String,
    /// As what the person was recognised.
    pub category: Category,
    /// What the person paid.
    pub paid: Money,
    /// What is due to the person.
    pub amount: Money,
    /// When the person paid.
    pub booked_on: Date,
}

/// Who owes, and for which year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The settlement year, or of ex-post lists the fee year.
    pub year: i16,
    /// The payer.
    pub payer: Payer,
    /// The owing district.
    pub district: DistrictCode,
}

/// A settlement as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Papers {
    /// The summary (汇总表): people and amounts by fee year, category and kind.
    pub summary: Vec<u8>,
    /// The name list (明细表).
    pub names: Vec<u8>,
}

/// A settlement from its net claims (`domain::settlement::net`).
pub fn settlement(head: &Head, net: &[Claim]) -> Papers {
    Papers { summary: summary(head, net), names: names(head, net) }
}

/// Names of its two files: summary, name list.
pub fn settlement_files(head: &Head) -> [String; 2] {
    let stem = format!("settlement-{}-{}-{}", head.year, head.payer.word(), head.district);
    [format!("{stem}.summary.csv"), format!("{stem}.names.csv")]
}

/// Name of the `number`th list of ex-post subsidies of a fee year.
pub fn ex_post_file(head: &Head, fee_year: FeeYear, number: u32) -> String {
    format!("expost-{fee_year}-{}-{}-{number}.csv", head.payer.word(), head.district)
}

fn summary(head: &Head, net: &[Claim]) -> Vec<u8> {
    let mut sheet =
        Sheet::new(&["清算年度", "代缴部门", "区县", "缴费年度", "认定类别", "方式", "说明", "人数", "金额"]);
    let begins = || [head.year.to_string(), head.payer.chinese().to_owned(), head.district.to_string()];
    for line in lines(net) {
        let [year, payer, district] = begins();
        let remark = if line.amount < Money::ZERO { TAKEN_BACK } else { "" };
        let (category, kind) = (line.category.chinese().to_owned(), line.kind.chinese().to_owned());
        let (people, amount) = (line.people.to_string(), line.amount.to_string());
        sheet.row([year, payer, district, line.fee_year.to_string(), category, kind, remark.to_owned(), people, amount]);
    }
    for (kind, _, chinese) in ClaimKind::ALL {
        let [year, payer, district] = begins();
        let people = net.iter().filter(|claim| claim.kind == kind && !claim.is_negative()).count().to_string();
        let (all, kind, amount) = ("合计".to_owned(), chinese.to_owned(), total(net, kind).to_string());
        sheet.row([year, payer, district, String::new(), all, kind, String::new(), people, amount]);
    }
    sheet.finish()
}

/// What a payer is told of money that it need not pay after all.
const TAKEN_BACK: &str = "冲减以前清算";

/// What a payer is told of somebody whom the settlement before could not have yet.
const LATE: &str = "上一清算年度结转";

fn names(head: &Head, net: &[Claim]) -> Vec<u8> {
    let mut sheet = Sheet::new(&[
        "清算年度",
        "代缴部门",
        "区县",
        "身份证号",
        "姓名",
        "缴费年度",
        "认定类别",
        "方式",
        "金额",
        "说明",
    ]);
    for claim in net {
        let remark = match (claim.is_negative(), claim.is_late) {
            (true, _) => TAKEN_BACK,
            (false, true) => LATE,
            (false, false) => "",
        };
        sheet.row([
            head.year.to_string(),
            head.payer.chinese().to_owned(),
            head.district.to_string(),
            IdNumber::from_key(claim.participant).text(),
            claim.name.clone(),
            claim.fee_year.to_string(),
            claim.category.chinese().to_owned(),
            claim.kind.chinese().to_owned(),
            claim.amount.to_string(),
            remark.to_owned(),
        ]);
    }
    sheet.finish()
}

/// A list of ex-post subsidies. Filled in at its last two columns and put into `in`, it is the payer's answer.
pub fn ex_post_list(head: &Head, payouts: &[Payout]) -> Vec<u8> {
    let mut sheet = Sheet::new(&[
        "代缴部门",
        "区县",
        "身份证号",
        "姓名",
        "缴费年度",
        "认定类别",
        "本人已缴",
        "本人缴款日",
        "金额",
        "发放日期",
        "发放结果",
    ]);
    for payout in payouts {
        sheet.row([
            head.payer.chinese().to_owned(),
            head.district.to_string(),
            IdNumber::from_key(payout.participant).text(),
            payout.name.clone(),
            head.year.to_string(),
            payout.category.chinese().to_owned(),
            payout.paid.to_string(),
            payout.booked_on.to_string(),
            payout.amount.to_string(),
            String::new(),
            String::new(),
        ]);
    }
    sheet.finish()
}

/// The settlement year of a head, to say what it is.
pub fn settlement_head(year: SettlementYear, payer: Payer, district: DistrictCode) -> Head {
    Head { year, payer, district }
}

/// A CSV table under way.
struct Sheet<const N: usize>(csv::Writer<Vec<u8>>);

impl<const N: usize> Sheet<N> {
    fn new(headings: &[&str; N]) -> Sheet<N> {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer("\u{feff}".as_bytes().to_vec());
        writer.write_record(headings).expect("memory takes what is written");
        Sheet(writer)
    }

    /// A spreadsheet takes a text that begins like a formula for one (CWE-1236); amounts stay numbers.
    fn row(&mut self, cells: [String; N]) {
        let guarded = cells.map(|cell| match cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']) {
            true if Money::parse_yuan(&cell).is_none() => format!("'{cell}"),
            _ => cell,
        });
        self.0.write_record(&guarded).expect("memory takes what is written");
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().expect("memory takes what is written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settlement::net;

    fn head() -> Head {
        settlement_head(2018, Payer::CivilAffairs, DistrictCode::parse("500199").unwrap())
    }

    fn claim(participant: i64, name: &str, fen: i64) -> Claim {
        Claim {
            participant,
            name: name.to_owned(),
            fee_year: 2018,
            category: Category::SubsistenceAllowance,
            kind: ClaimKind::Deemed,
            amount: Money::from_fen(fen),
            takes_back: fen < 0,
            is_late: participant % 2 == 0,
        }
    }

    #[test]
    fn a_settlement_says_who_and_how_much() {
        let claims = net(&[
            claim(50_019_919_700_101_001, "测试甲", 7_000),
            claim(50_019_919_700_101_002, "=测试乙", 7_000),
            claim(50_019_919_700_101_003, "测试丙", -7_000),
        ]);
        let papers = settlement(&head(), &claims);
        let summary = String::from_utf8(papers.summary.clone()).unwrap();
        let expected = "\u{feff}清算年度,代缴部门,区县,缴费年度,认定类别,方式,说明,人数,金额\r\n\
            2018,民政,500199,2018,低保对象,代缴,,2,140.00\r\n\
            2018,民政,500199,2018,低保对象,代缴,冲减以前清算,1,-70.00\r\n\
            2018,民政,500199,,合计,代缴,,2,70.00\r\n\
            2018,民政,500199,,合计,事后补助,,0,0.00\r\n";
        assert_eq!(summary, expected);
        let names = String::from_utf8(papers.names.clone()).unwrap();
        assert!(names.contains(",500199197001010022,'=测试乙,2018,低保对象,代缴,70.00,上一清算年度结转\r\n"), "{names}");
        assert!(names.ends_with(",测试丙,2018,低保对象,代缴,-70.00,冲减以前清算\r\n"), "{names}");
        assert_eq!(settlement(&head(), &claims), papers);
        assert_eq!(settlement_files(&head())[1], "settlement-2018-civil-affairs-500199.names.csv");
    }

    #[test]
    fn a_list_is_a_table_that_comes_back() {
        let payout = Payout {
            participant: 50_019_919_700_101_001,
            name: "测试甲".to_owned(),
            category: Category::RegisteredPoor,
            paid: Money::from_fen(10_000),
            amount: Money::from_fen(7_000),
            booked_on: Date::constant(2018, 7, 5),
        };
        let bytes = ex_post_list(&head(), &[payout]);
        let table = crate::format::table::Table::read(&bytes, "x").unwrap();
        assert_eq!((table.kind, table.len()), (crate::format::table::TableKind::ExpostPaid, 1));
    }
}
