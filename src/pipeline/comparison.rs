//! R19: the regular comparison of lists and roster (part 三（四）): what differs, person by person.

use crate::domain::calendar::Date;
use crate::domain::ids::IdNumber;
use crate::domain::participant::{DistrictCode, Payer, Status};
use crate::domain::policy::{Policy, YearTerms, same_name};
use crate::pipeline::mobilise::Recognised;
use std::collections::BTreeMap;

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

/// A comparison of the lists in force of one recognition year. It sees everybody once and keeps what differs: a city's
/// lists do not lie in memory.
pub struct Comparing<'p> {
    policy: &'p Policy,
    year: &'p YearTerms,
    today: Date,
    found: BTreeMap<Difference, String>,
    /// Who stands on which list, and by what name.
    listed: Vec<(IdNumber, Payer, DistrictCode, Box<str>)>,
}

impl<'p> Comparing<'p> {
    /// Before anybody was seen.
    pub fn new(policy: &'p Policy, year: &'p YearTerms, today: Date) -> Comparing<'p> {
        Comparing { policy, year, today, found: BTreeMap::new(), listed: Vec::new() }
    }

    /// One person of one list.
    pub fn see(&mut self, person: &Recognised) {
        let mut note = |how| self.found.insert((person.district, how, person.id), person.name.clone());
        self.listed.push((person.id, person.payer, person.district, person.name.as_str().into()));
        if self.policy.age_refusal(person.id, self.year.fee_year, self.today).is_err() {
            note(Differs::OverAge);
        }
        let Some(enrolled) = &person.enrolled else {
            note(Differs::NotEnrolled);
            return;
        };
        if !same_name(&enrolled.name, &person.name) {
            note(Differs::Name);
        }
        if enrolled.status != Status::Normal && enrolled.status_since <= self.today {
            note(Differs::Status);
        }
        if enrolled.district != person.district {
            note(Differs::District);
        }
    }

    /// All differences with the list's name for the person, by the district that recognised.
    pub fn differences(mut self) -> BTreeMap<Difference, String> {
        self.listed.sort_unstable();
        for lists in self.listed.chunk_by(|one, other| one.0 == other.0) {
            for (id, payer, district, name) in lists {
                if lists.iter().any(|(_, other, ..)| other != payer) {
                    self.found.insert((*district, Differs::Payers, *id), name.to_string());
                }
                if lists.iter().any(|(_, other, at, _)| other == payer && at != district) {
                    self.found.insert((*district, Differs::Districts, *id), name.to_string());
                }
            }
        }
        self.found
    }
}
