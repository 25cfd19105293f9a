//! R19: the regular comparison of lists and roster (part 三（四）): what differs, person by person.

use crate::domain::calendar::Date;
use crate::domain::ids::IdNumber;
use crate::domain::participant::{DistrictCode, Payer, Status};
use crate::domain::policy::{Policy, YearTerms, same_name};
use crate::pipeline::mobilise::Recognised;
use std::collections::{BTreeMap, BTreeSet};

/// How lists and roster differ about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Differs {
    /// Recognised, not on the roster.
    NotEnrolled,
    /// Same identity number, other name (R17).
    Name,
    /// Recognised, status not 正常.
    Status,
    /// Recognised, at the age limit.
    OverAge,
    /// Recognised in another district than that of enrolment.
    District,
    /// On the lists of several payers (R5).
    Payers,
    /// On one payer's lists of several districts (R5).
    Districts,
}

impl Differs {
    /// Every class with its word and its Chinese; the order is stored.
    pub const ALL: [(Differs, &str, &str); 7] = [
        (Differs::NotEnrolled, "not-enrolled", "名单有、参保库无"),
        (Differs::Name, "name-differs", "姓名不一致"),
        (Differs::Status, "status", "参保状态不正常"),
        (Differs::OverAge, "over-age", "已满年龄上限"),
        (Differs::District, "other-district", "认定区县与参保区县不一致"),
        (Differs::Payers, "several-payers", "多部门重复认定"),
        (Differs::Districts, "several-districts", "同部门多区县重复认定"),
    ];

    /// The word of exports.
    pub fn word(self) -> &'static str {
        Differs::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        Differs::ALL[self as usize].2
    }
}

/// One difference: in which district, how, about whom.
pub type Difference = (DistrictCode, Differs, IdNumber);

/// All differences of the lists in force of one recognition year, by the district that recognised.
pub fn compare(policy: &Policy, year: &YearTerms, people: &[Recognised], today: Date) -> BTreeSet<Difference> {
    let mut found = BTreeSet::new();
    let mut scopes: BTreeMap<IdNumber, BTreeSet<(Payer, DistrictCode)>> = BTreeMap::new();
    for person in people {
        let mut note = |how| found.insert((person.district, how, person.id));
        scopes.entry(person.id).or_default().insert((person.payer, person.district));
        if policy.age_refusal(person.id, year.fee_year, today).is_err() {
            note(Differs::OverAge);
        }
        let Some(enrolled) = &person.enrolled else {
            note(Differs::NotEnrolled);
            continue;
        };
        if !same_name(&enrolled.name, &person.name) {
            note(Differs::Name);
        }
        if enrolled.status != Status::Normal && enrolled.status_since <= today {
            note(Differs::Status);
        }
        if enrolled.district != person.district {
            note(Differs::District);
        }
    }
    for (id, scopes) in scopes.into_iter().filter(|(_, scopes)| scopes.len() > 1) {
        let payers: BTreeSet<Payer> = scopes.iter().map(|(payer, _)| *payer).collect();
        for (payer, district) in &scopes {
            if payers.len() > 1 {
                found.insert((*district, Differs::Payers, id));
            }
            if scopes.iter().any(|(other, at)| other == payer && at != district) {
                found.insert((*district, Differs::Districts, id));
            }
        }
    }
    found
}
