//! What payers get in their folders, as bytes: settlements with their name lists, lists of ex-post subsidies.
//!
//! Pure: the same rows give the same bytes, so that what was approved can be made again and compared. CSV in UTF-8 with
//! a byte order mark, since that is what a spreadsheet takes for Chinese.

use crate::domain::calendar::Date;
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::domain::settlement::{Claim, ClaimKind, SettlementYear, lines, total};
use crate::format::cell::{Kind, guarded};
use crate::format::paper::{Cell, Column, Paper, workbook};

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

/// What people call those whom a paper is about.
#[derive(Clone, Copy, Debug)]
pub struct Names<'n> {
    /// The owing district.
    pub district: &'n str,
    /// Who made the paper (编制单位), empty for nobody.
    pub unit: &'n str,
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

/// Names of its files: summary, name list, and both as a workbook.
pub fn settlement_files(head: &Head) -> [String; 3] {
    let stem = format!("settlement-{}-{}-{}", head.year, head.payer.word(), head.district);
    [format!("{stem}.summary.csv"), format!("{stem}.names.csv"), format!("{stem}.xlsx")]
}

/// Names of the `number`th list of ex-post subsidies of a fee year: the table, and the same as a workbook.
pub fn ex_post_files(head: &Head, number: u32) -> [String; 2] {
    let stem = format!("expost-{}-{}-{}-{number}", head.year, head.payer.word(), head.district);
    [format!("{stem}.csv"), format!("{stem}.xlsx")]
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
        sheet.row([
            year,
            payer,
            district,
            line.fee_year.to_string(),
            category,
            kind,
            remark.to_owned(),
            people,
            amount,
        ]);
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
const LATE: &str = "以前清算年度结转";

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
            remark(claim).to_owned(),
        ]);
    }
    sheet.finish()
}

fn remark(claim: &Claim) -> &'static str {
    match (claim.is_negative(), claim.is_late) {
        (true, _) => TAKEN_BACK,
        (false, true) => LATE,
        (false, false) => "",
    }
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

/// The two sheets of a settlement, without their rows: 汇总表 and 明细表.
fn sheets(head: &Head, net: &[Claim], names: &Names<'_>, made_on: Date) -> [Paper; 2] {
    let title = |what| format!("{} 年度城乡居民养老保险政府代缴{what}", head.year);
    let mut summary = Paper::new(
        title("清算汇总表"),
        made_on,
        vec![
            Column::new("category", "认定类别", Kind::Text).wide(28),
            Column::new("fee_year", "缴费年度", Kind::Number),
            Column::new("remark", "说明", Kind::Text),
            Column::new("people", "人数", Kind::Number).summed(),
            Column::new("amount", "金额", Kind::Amount).summed().wide(16),
        ],
    );
    let mut people = Paper::new(
        title("清算明细表"),
        made_on,
        vec![
            Column::new("id_number", "身份证号", Kind::Id),
            Column::new("name", "姓名", Kind::Name),
            Column::new("category", "认定类别", Kind::Text).wide(26),
            Column::new("fee_year", "缴费年度", Kind::Number),
            Column::new("amount", "金额", Kind::Amount).summed(),
            Column::new("remark", "说明", Kind::Text),
        ],
    );
    for paper in [&mut summary, &mut people] {
        paper.subtitles.push(format!("代缴部门：{}　区县：{}", head.payer.chinese(), names.district));
        paper.unit = names.unit.to_owned();
        paper.capitals = Some("amount");
        // Two kinds of money on one paper: whom each goes to.
        let (deemed, ex_post) = (total(net, ClaimKind::Deemed), total(net, ClaimKind::ExPost));
        let words = format!("其中应划入征缴户的代缴款 {deemed} 元，由部门发放给本人的事后补助 {ex_post} 元。");
        paper.notes.push(words);
    }
    (summary.sheet, people.sheet) = ("汇总表".to_owned(), "明细表".to_owned());
    people.counted = Some("人");
    [summary, people]
}

/// The settlement as a workbook to print and sign: 汇总表 and 明细表. `None` where a sheet cannot hold so many.
pub fn settlement_workbook(head: &Head, net: &[Claim], names: &Names<'_>, made_on: Date) -> Option<Vec<u8>> {
    if net.len() > MOST_ROWS {
        return None;
    }
    let [mut summary, mut people] = sheets(head, net, names, made_on);
    for (kind, _, chinese) in ClaimKind::ALL {
        let of_kind: Vec<Claim> = net.iter().filter(|claim| claim.kind == kind).cloned().collect();
        if of_kind.is_empty() {
            continue;
        }
        summary.group(chinese);
        people.group(chinese);
        for line in lines(&of_kind) {
            // Who is taken back is not claimed: such people do not add up with the others.
            let (remark, count) = match line.amount < Money::ZERO {
                true => (format!("{TAKEN_BACK} {} 人", line.people), Cell::Empty),
                false => (String::new(), Cell::Count(line.people as i64)),
            };
            let (category, year) = (line.category.chinese(), Cell::Count(line.fee_year.into()));
            summary.row(vec![category.into(), year, remark.into(), count, line.amount.into()]);
        }
        for claim in &of_kind {
            people.row(vec![
                IdNumber::from_key(claim.participant).text().into(),
                claim.name.as_str().into(),
                claim.category.chinese().into(),
                Cell::Count(claim.fee_year.into()),
                claim.amount.into(),
                remark(claim).into(),
            ]);
        }
        summary.subtotal(0, &format!("{chinese}小计"));
        people.subtotal(0, &format!("{chinese}小计"));
    }
    summary.total();
    people.total();
    workbook(&[&summary, &people]).ok()
}

/// A list of ex-post subsidies as a workbook to print, sign and fill in. `None` where a sheet cannot hold so many.
pub fn ex_post_workbook(head: &Head, payouts: &[Payout], names: &Names<'_>, made_on: Date) -> Option<Vec<u8>> {
    if payouts.len() > MOST_ROWS {
        return None;
    }
    let mut paper = Paper::new(
        format!("{} 年度城乡居民养老保险事后补助名单", head.year),
        made_on,
        vec![
            Column::new("id_number", "身份证号", Kind::Id),
            Column::new("name", "姓名", Kind::Name),
            Column::new("fee_year", "缴费年度", Kind::Number),
            Column::new("category", "认定类别", Kind::Text).wide(26),
            Column::new("paid", "本人已缴", Kind::Amount).summed(),
            Column::new("booked_on", "本人缴款日", Kind::Date),
            Column::new("amount", "金额", Kind::Amount).summed(),
            Column::new("paid_on", "发放日期", Kind::Date),
            Column::new("state", "发放结果", Kind::Text).wide(12),
        ],
    );
    paper.sheet = "事后补助名单".to_owned();
    paper.subtitles.push(format!("代缴部门：{}　区县：{}", head.payer.chinese(), names.district));
    paper.unit = names.unit.to_owned();
    paper.is_landscape = true;
    (paper.counted, paper.capitals) = (Some("人"), Some("amount"));
    paper.notes.push("说明：发放后请填写发放日期和发放结果（已发放、已退回），将本表投入 in 目录".to_owned());
    for payout in payouts {
        paper.row(vec![
            IdNumber::from_key(payout.participant).text().into(),
            payout.name.as_str().into(),
            Cell::Count(head.year.into()),
            payout.category.chinese().into(),
            payout.paid.into(),
            payout.booked_on.to_string().into(),
            payout.amount.into(),
            Cell::Empty,
            Cell::Empty,
        ]);
    }
    paper.total();
    workbook(&[&paper]).ok()
}

/// People in one workbook: more would not open on an office's machine. The table beside it has them all.
const MOST_ROWS: usize = 100_000;

/// A CSV table under way.
struct Sheet<const N: usize>(csv::Writer<Vec<u8>>);

impl<const N: usize> Sheet<N> {
    fn new(headings: &[&str; N]) -> Sheet<N> {
        let mut writer =
            csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer("\u{feff}".as_bytes().to_vec());
        writer.write_record(headings).expect("memory takes what is written");
        Sheet(writer)
    }

    fn row(&mut self, cells: [String; N]) {
        let guarded = cells.map(|cell| match Money::parse_yuan(&cell) {
            Some(_) => cell,
            None => guarded(Kind::Text, &cell),
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

    const NAMES: Names<'static> = Names { district: "测试区", unit: "测试区社会保险局" };

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
        assert!(
            names.contains(",500199197001010022,'=测试乙,2018,低保对象,代缴,70.00,以前清算年度结转\r\n"),
            "{names}"
        );
        assert!(names.ends_with(",测试丙,2018,低保对象,代缴,-70.00,冲减以前清算\r\n"), "{names}");
        assert_eq!(settlement(&head(), &claims), papers);
        let book = || settlement_workbook(&head(), &claims, &NAMES, Date::constant(2018, 9, 10));
        assert!(book().is_some() && book() == book());
        assert_eq!(settlement_files(&head())[1], "settlement-2018-civil-affairs-500199.names.csv");
    }

    #[test]
    fn a_list_is_a_table_that_comes_back() {
        let payouts = [Payout {
            participant: 50_019_919_700_101_001,
            name: "测试甲".to_owned(),
            category: Category::RegisteredPoor,
            paid: Money::from_fen(10_000),
            amount: Money::from_fen(7_000),
            booked_on: Date::constant(2018, 7, 5),
        }];
        let bytes = ex_post_list(&head(), &payouts);
        let workbook = ex_post_workbook(&head(), &payouts, &NAMES, Date::constant(2018, 7, 12)).unwrap();
        for bytes in [bytes, workbook] {
            let table = crate::format::table::Table::read(&bytes, "x").unwrap();
            assert_eq!((table.kind, table.len()), (crate::format::table::TableKind::ExpostPaid, 1));
        }
    }
}
