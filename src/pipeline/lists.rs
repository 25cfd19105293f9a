//! Lists (代缴对象名单): one payer, district and recognition year; absence removes, a defect does not (R1, R7, R8).

use crate::domain::calendar::Date;
use crate::domain::ids::IdNumber;
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::domain::policy::{Policy, same_name};
use crate::pipeline::emit::Finding;
use crate::pipeline::intake::{Intake, ListRow, RowDefect};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// A list file after the rules of its scope: what it says, and of whom it must not be taken to say anything.
#[derive(Debug)]
pub struct ListFile {
    /// 认定年度: that of most of its rows.
    pub year: i16,
    /// 数据日期: the newest in it.
    pub as_of: Option<Date>,
    /// Categories that it replaces: those present in it.
    pub categories: BTreeSet<Category>,
    /// Its sound rows with their row numbers.
    pub rows: Vec<(u32, Recognised)>,
    /// Rows refused.
    pub defects: Vec<RowDefect>,
    /// What looks odd and was taken all the same.
    pub warnings: Vec<RowDefect>,
}

/// One person on a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recognised {
    /// Whom.
    pub id: IdNumber,
    /// As what.
    pub category: Category,
    /// The name on the list.
    pub name: String,
}

/// What a list changes in its scope.
#[derive(Debug, Default)]
pub struct ListChange {
    /// New, or with another name.
    pub added: Vec<(u32, Recognised)>,
    /// No longer there.
    pub removed: Vec<Recognised>,
    /// Unchanged.
    pub kept: usize,
    /// How many were in force in its scope: what the removals are a share of.
    pub scope: usize,
    /// R7: a person must say yes to the removals first.
    pub removals_wait: bool,
}

/// R7: a list cannot be of a day after today. Since `as_of` orders lists, one such slip would shut out every true list
/// until that day: the file is refused whole. One finding where all rows say so, else one for each such row.
pub fn of_the_future(intake: &Intake<ListRow>, today: Date) -> Vec<Finding> {
    let days = intake.rows.iter().filter_map(|(number, row)| Some((*number, row.as_of.filter(|day| *day > today)?)));
    let days: Vec<(u32, Date)> = days.collect();
    let newest = days.iter().map(|(_, day)| *day).max();
    match newest {
        Some(newest) if days.len() == intake.rows.len() => vec![not_yet(None, newest, today)],
        _ => days.into_iter().map(|(number, day)| not_yet(Some(number.into()), day, today)).collect(),
    }
}

fn not_yet(row: Option<u64>, day: Date, today: Date) -> Finding {
    Finding {
        row,
        column: "as_of".to_owned(),
        code: "future-date",
        expected: format!("a day not after today, {today}"),
        found: day.to_string(),
        message_zh: format!("数据日期应不晚于今天 {today}，文件为 {day}"),
        action_zh: "请改正数据日期后重新报送整份名单".to_owned(),
        ..Finding::default()
    }
}

/// Applies the scope rules to the rows of a list from `payer` for `district`; `newest` is
/// the year of the sender's newest list, of which a list without rows speaks; `None` where there is no year at all.
pub fn scope(
    policy: &Policy,
    payer: Payer,
    district: DistrictCode,
    intake: Intake<ListRow>,
    newest: Option<i16>,
) -> Option<ListFile> {
    let Intake { rows, mut defects, warnings } = intake;
    let year = usual_year(&rows).or(newest)?;
    let mut sound = BTreeMap::new();
    let mut as_of = None;
    for (number, row) in rows {
        match refuse(policy, payer, district, year, &row) {
            Some(refusal) => defects.push(refusal.defect(number, &row)),
            None => {
                as_of = as_of.max(row.as_of);
                let recognised = Recognised { id: row.id, category: row.category, name: row.name };
                // The same person and category twice is one.
                sound.entry((recognised.id, recognised.category)).or_insert((number, recognised));
            }
        }
    }
    defects.sort_by_key(|defect| defect.row);
    let categories = sound.keys().map(|(_, category)| *category).collect();
    Some(ListFile { year, as_of, categories, rows: sound.into_values().collect(), defects, warnings })
}

fn usual_year(rows: &[(u32, ListRow)]) -> Option<i16> {
    let mut years: BTreeMap<i16, usize> = BTreeMap::new();
    rows.iter().for_each(|(_, row)| *years.entry(row.year).or_default() += 1);
    years.into_iter().max_by_key(|(year, count)| (*count, *year)).map(|(year, _)| year)
}

/// Why a sound row does not belong in this list.
struct OutOfScope {
    column: &'static str,
    code: &'static str,
    expected: &'static str,
    found: String,
    message_zh: String,
    action_zh: &'static str,
}

fn refuse(policy: &Policy, payer: Payer, district: DistrictCode, year: i16, row: &ListRow) -> Option<OutOfScope> {
    if row.district != district {
        return Some(OutOfScope {
            column: "district",
            code: "other-district",
            expected: "the district of the list",
            found: row.district.to_string(),
            message_zh: format!("本名单属于区县{district}，该行是{}", row.district),
            action_zh: "请放入该区县自己的名单",
        });
    }
    if row.year != year {
        return Some(OutOfScope {
            column: "recognized_year",
            code: "other-year",
            expected: "the recognition year of the list",
            found: row.year.to_string(),
            message_zh: format!("本名单认定年度为{year}，该行是{}", row.year),
            action_zh: "每个认定年度请单独报送一份名单",
        });
    }
    (!policy.may_list(payer, row.category)).then(|| OutOfScope {
        column: "category",
        code: "not-the-payers-category",
        expected: "a category that this payer recognises",
        found: row.category.word().to_owned(),
        message_zh: format!("{}不能认定“{}”", payer.chinese(), row.category.chinese()),
        action_zh: "请由负责该类别的部门报送",
    })
}

impl OutOfScope {
    fn defect(self, row: u32, found: &ListRow) -> RowDefect {
        RowDefect {
            row,
            column: self.column,
            code: self.code,
            expected: self.expected,
            found: self.found,
            message_zh: self.message_zh,
            action_zh: self.action_zh,
            person: Some(found.id),
            name: Some(found.name.clone()),
        }
    }
}

/// R7: what the list changes against what is in force in its scope.
pub fn compare(list: &ListFile, in_force: &[Recognised], max_removed: Decimal) -> ListChange {
    let before: BTreeMap<(IdNumber, Category), &Recognised> =
        in_force.iter().map(|row| ((row.id, row.category), row)).collect();
    let mut change = ListChange::default();
    let mut present = BTreeSet::new();
    for (number, row) in &list.rows {
        present.insert((row.id, row.category));
        match before.get(&(row.id, row.category)) {
            Some(old) if old.name == row.name => change.kept += 1,
            _ => change.added.push((*number, row.clone())),
        }
    }
    let scope: Vec<&Recognised> =
        in_force.iter().filter(|row| list.rows.is_empty() || list.categories.contains(&row.category)).collect();
    change.removed = scope
        .iter()
        .filter(|row| !present.contains(&(row.id, row.category)) && !is_refused_here(list, row))
        .map(|row| (*row).clone())
        .collect();
    change.scope = scope.len();
    let allowed = Decimal::from(change.scope) * max_removed;
    let beyond = Decimal::from(change.removed.len()) > allowed;
    change.removals_wait = !change.removed.is_empty() && (beyond || list.rows.is_empty());
    change
}

/// R7: a person whose row is refused stays, also where only the name, or the number's first 17 digits, can be read.
fn is_refused_here(list: &ListFile, row: &Recognised) -> bool {
    list.defects.iter().any(|defect| match (&defect.person, &defect.name) {
        (Some(id), _) => *id == row.id,
        // A household's cell may hold several names.
        (None, Some(names)) => {
            same_name(names, &row.name) || names.split(SEPARATORS).any(|name| same_name(name, &row.name))
        }
        (None, None) => false,
    })
}

const SEPARATORS: [char; 9] = ['、', '，', ',', ';', '；', '/', ' ', '　', '\n'];
