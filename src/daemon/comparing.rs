//! `compare` (R19): lists against roster, and against the comparison before, by district and for the whole city.

use crate::daemon::bureau::{Bureau, Order, Step, no_policy};
use crate::daemon::papers;
use crate::daemon::receipts::flush_outbox;
use crate::domain::calendar::{Date, Month};
use crate::domain::participant::{DistrictCode, Payer};
use crate::format::cell::Kind;
use crate::format::paper::{Cell, Column, Paper};
use crate::pipeline::comparison::{Comparing, Difference, Differs};
use crate::store::comparisons::{Snapshot, before, counts, of_month};
use crate::store::{files, recognised};
use std::collections::{BTreeMap, BTreeSet};

/// Where comparisons go, below `drops/`.
const FOLDER: &str = "bureau/out";

/// A comparison with what it is held against.
pub struct Comparison {
    recognized_year: i16,
    today: Date,
    before: Snapshot,
    now: Snapshot,
    names: BTreeMap<Difference, String>,
}

/// Compares the lists of a recognition year, and keeps what was found for the next comparison.
pub fn run(bureau: &mut Bureau, recognized_year: i16, order: &Order) -> Step<Comparison> {
    let found = look(bureau, recognized_year, order.today())?;
    let month = Month::of(order.today());
    if of_month(bureau.store.connection(), recognized_year, month)?.same_as(&found.now) {
        return Ok(found);
    }
    let act = order.act("compare", format!("{recognized_year} {month}"), bureau.config.digest);
    bureau.store.transact(&act, |txn| txn.keep_comparison(recognized_year, month, order.today(), &found.now))?;
    Ok(found)
}

/// R19: the first planning of a month compares, where there is something to compare, and puts it into `bureau/out`.
pub fn monthly(bureau: &mut Bureau, order: &Order) -> Step<Vec<String>> {
    let year = order.today().year() - 1;
    let conn = bureau.store.connection();
    let has_lists = !files::accepted_lists(conn, year)?.is_empty();
    let is_made = of_month(conn, year, Month::of(order.today()))?.made_on.is_some();
    if !has_lists || is_made || bureau.config.policies.of(fee_year_of(bureau, year)).is_none() {
        return Ok(Vec::new());
    }
    // In one transaction: a comparison that is kept is made for this month, and would not be told any more.
    let found = look(bureau, year, order.today())?;
    let sheets = found.papers(bureau);
    let month = Month::of(order.today());
    let act = order.act("compare", format!("{year} {month}"), bureau.config.digest);
    let path = bureau.store.transact(&act, |txn| {
        txn.keep_comparison(year, month, order.today(), &found.now)?;
        papers::post(txn, FOLDER, &found.stem(), &sheets.iter().collect::<Vec<_>>())
    })?;
    flush_outbox(bureau)?;
    Ok(vec![path])
}

/// The fee year for which lists of a recognition year count.
fn fee_year_of(bureau: &Bureau, recognized_year: i16) -> i16 {
    let newest = bureau.config.policies.newest();
    recognized_year + newest.and_then(|policy| policy.categories.first()).map_or(1, |terms| terms.lag)
}

impl Snapshot {
    fn same_as(&self, other: &Snapshot) -> bool {
        self.made_on.is_some() && self.differences == other.differences && self.counts == other.counts
    }
}

fn look(bureau: &Bureau, recognized_year: i16, today: Date) -> Step<Comparison> {
    let fee_year = fee_year_of(bureau, recognized_year);
    let Some((policy, year)) = bureau.config.policies.of(fee_year) else { return no_policy(fee_year) };
    let conn = bureau.store.connection();
    let mut comparing = Comparing::new(policy, year, today);
    recognised::everybody(conn, (recognized_year, fee_year), None, &mut |person| comparing.see(&person))?;
    let names = comparing.differences();
    let differences = names.keys().copied().collect();
    let now = Snapshot { made_on: Some(today), differences, counts: counts(conn, recognized_year)? };
    let before = before(conn, recognized_year, Month::of(today))?;
    Ok(Comparison { recognized_year, today, before, now, names })
}

impl Comparison {
    /// What the name of its workbook begins with.
    fn stem(&self) -> String {
        format!("compare-{}", self.recognized_year)
    }

    /// 比对汇总 and 比对明细.
    pub fn papers(&self, bureau: &Bureau) -> Vec<Paper> {
        vec![self.summary(bureau), self.details(bureau)]
    }

    /// 汇总: for each district and the city, how many before, new, gone, now.
    fn summary(&self, bureau: &Bureau) -> Paper {
        let count = |name, heading: &str| Column::new(name, heading, Kind::Number).wide(10);
        let columns = vec![
            Column::new("district", "区县", Kind::Text).wide(14),
            Column::new("what", "项目", Kind::Text).wide(28),
            count("before", "上次"),
            count("appeared", "新增"),
            count("gone", "消除"),
            count("now", "本次"),
        ];
        let mut paper = Paper::new("代缴对象数据比对表", self.today, columns);
        self.head(bureau, &mut paper, "比对汇总");
        for code in self.districts() {
            let name = DistrictCode::parse(&code).and_then(|code| bureau.config.districts.name(code)).unwrap_or(&code);
            paper.group(name);
            self.rows(&mut paper, &code, |district| district == code);
        }
        paper.group("全市");
        self.rows(&mut paper, "city", |_| true);
        paper
    }

    fn head(&self, bureau: &Bureau, paper: &mut Paper, sheet: &str) {
        paper.sheet = sheet.to_owned();
        paper.unit = bureau.config.papers.unit.clone();
        let before = self.before.made_on.map_or("无上次比对".to_owned(), |day| format!("上次比对：{day}"));
        paper.subtitles = vec![format!("{}年度认定　{}　{before}", self.recognized_year, Month::of(self.today))];
        paper.mask = bureau.config.papers.mask;
    }

    fn districts(&self) -> BTreeSet<String> {
        let counted = self.now.counts.keys().chain(self.before.counts.keys()).map(|(district, _)| district.clone());
        let differing = self.now.differences.iter().chain(&self.before.differences).map(|(d, ..)| d.to_string());
        counted.chain(differing).collect()
    }

    /// Counts first, then the differences; a person who differs in two districts is one in the city.
    fn rows(&self, paper: &mut Paper, district: &str, is_here: impl Fn(&str) -> bool) {
        let mut row = |what: &str, before: i64, moved: Option<(i64, i64)>, now: i64| {
            let moved = moved.map_or([Cell::Empty, Cell::Empty], |(new, gone)| [Cell::Count(new), Cell::Count(gone)]);
            let [new, gone] = moved;
            paper.row(vec![district.into(), what.into(), Cell::Count(before), new, gone, Cell::Count(now)]);
        };
        let people = |of: &Snapshot, what: &str| -> i64 {
            of.counts.iter().filter(|((d, w), _)| w == what && is_here(d)).map(|(_, people)| people).sum()
        };
        for (what, words) in counted() {
            let (before, now) = (people(&self.before, what), people(&self.now, what));
            if before + now > 0 {
                row(&words, before, None, now);
            }
        }
        for (class, _, chinese) in Differs::ALL {
            let of = |snapshot: &Snapshot| -> BTreeSet<_> {
                let here = snapshot.differences.iter().filter(|(d, c, _)| *c == class && is_here(d.as_str()));
                here.map(|(.., id)| *id).collect()
            };
            let (before, now) = (of(&self.before), of(&self.now));
            if before.len() + now.len() > 0 {
                let (new, gone) = (now.difference(&before).count(), before.difference(&now).count());
                row(chinese, before.len() as i64, Some((new as i64, gone as i64)), now.len() as i64);
            }
        }
    }

    /// 明细: whom, and whether the difference is new, remains, or is gone.
    fn details(&self, bureau: &Bureau) -> Paper {
        let columns = vec![
            Column::new("district", "认定区县", Kind::Text).wide(10),
            Column::new("class", "差异类别", Kind::Text).wide(26),
            Column::new("change", "与上次相比", Kind::Text).wide(12),
            Column::new("name", "姓名", Kind::Name),
            Column::new("id_number", "身份证号", Kind::Id),
        ];
        let mut paper = Paper::new("代缴对象数据比对明细", self.today, columns);
        self.head(bureau, &mut paper, "比对明细");
        paper.counted = Some("人");
        let all: BTreeSet<&Difference> = self.now.differences.iter().chain(&self.before.differences).collect();
        for difference in all {
            let (district, class, id) = difference;
            let (was, is) = (self.before.differences.contains(difference), self.now.differences.contains(difference));
            let change = match (was, is) {
                (false, _) => "新增",
                (true, true) => "仍有",
                (true, false) => "消除",
            };
            let name = self.names.get(difference).map_or("", String::as_str);
            paper.row(vec![
                district.as_str().into(),
                class.chinese().into(),
                change.into(),
                name.into(),
                id.text().into(),
            ]);
        }
        paper.total();
        paper
    }
}

/// What is counted beside the differences.
fn counted() -> Vec<(&'static str, String)> {
    let mut counted = vec![("enrolled", "参保人数".to_owned()), ("normal", "其中状态正常".to_owned())];
    counted.extend(Payer::ALL.map(|(_, word, chinese)| (word, format!("{chinese}名单人数"))));
    counted
}

/// Puts the papers of a comparison into `bureau/out`. Gives their paths below `drops/`.
pub fn publish(bureau: &mut Bureau, found: &Comparison, order: &Order) -> Step<Vec<String>> {
    let sheets = found.papers(bureau);
    let named = vec![(found.stem(), sheets.iter().collect::<Vec<_>>())];
    let paths = papers::publish(bureau, "publish-comparison", FOLDER, &named, order)?;
    flush_outbox(bureau)?;
    Ok(paths)
}
