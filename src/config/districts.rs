//! Districts by code or by name: the table of Chongqing, and the configuration's own (agencies, test districts).

use crate::config::source::{Problem, Reader, Source};
use crate::domain::participant::DistrictCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// Which districts there are, and every way to write one.
#[derive(Clone, Debug, Default)]
pub struct Districts {
    names: BTreeMap<DistrictCode, String>,
    /// Codes that are no longer given out, folded to today's (R17).
    folded: BTreeMap<DistrictCode, DistrictCode>,
    /// Names and short names; `None` where two districts share it.
    words: BTreeMap<String, Option<DistrictCode>>,
}

impl Districts {
    /// The district that a code or a name means: today's or an abolished code, the full name, or the name without
    /// 区 or 县 where that is clear.
    pub fn code(&self, text: &str) -> Option<DistrictCode> {
        let text = text.trim();
        if let Some(code) = DistrictCode::parse(text) {
            let today = self.folded.get(&code).copied().unwrap_or(code);
            return self.names.contains_key(&today).then_some(today);
        }
        self.words.get(text.strip_prefix("重庆市").unwrap_or(text)).copied().flatten()
    }

    /// Today's name of a district.
    pub fn name(&self, code: DistrictCode) -> Option<&str> {
        self.names.get(&code).map(String::as_str)
    }

    /// Whether an identity number may begin with this area code: a district here, past or present, or any area of
    /// another province. Areas are those of first issue and never change, so an unknown one is only worth a warning.
    pub fn knows_area(&self, area: i64) -> bool {
        let province = area / 10_000;
        if province != 50 {
            return PROVINCES.contains(&province);
        }
        DistrictCode::parse(&area.to_string())
            .is_some_and(|code| self.names.contains_key(&code) || self.folded.contains_key(&code))
    }

    pub(super) fn add(&mut self, code: DistrictCode, name: &str) {
        self.names.insert(code, name.to_owned());
        self.add_words(code, name);
    }

    fn add_words(&mut self, code: DistrictCode, name: &str) {
        for word in ways_to_write(name) {
            self.words
                .entry(word)
                .and_modify(|known| *known = known.filter(|other| *other == code))
                .or_insert(Some(code));
        }
    }

    /// Reads `divisions.toml`.
    pub(super) fn load(source: &Source, problems: &mut Vec<Problem>) -> Districts {
        let mut districts = Districts::default();
        let Some(raw) = source.read::<RawDivisions>(problems) else { return districts };
        let mut reader = Reader { source, problems };
        for (code, name) in &raw.today {
            if let Some(code) = reader.parse(code, CODE, DistrictCode::parse) {
                districts.add(code, name);
            }
        }
        for (code, abolished) in &raw.abolished {
            let known = |text: &str| DistrictCode::parse(text).filter(|code| districts.names.contains_key(code));
            let today = reader.parse(&abolished.today, "a code of [today]", known);
            let code = reader.parse(code, CODE, DistrictCode::parse);
            if let (Some(code), Some(today)) = (code, today) {
                districts.folded.insert(code, today);
                districts.add_words(today, &abolished.name);
            }
        }
        districts
    }
}

/// What a district code looks like, for messages.
pub(super) const CODE: &str = "a district code of digits, capitals and hyphens, at most 8";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDivisions {
    today: BTreeMap<Spanned<String>, String>,
    #[serde(default)]
    abolished: BTreeMap<Spanned<String>, RawAbolished>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAbolished {
    today: Spanned<String>,
    name: String,
}

/// The full name, the name without its kind, and 石柱县 for 石柱土家族自治县. Never another kind: 江北县 is not 江北区.
fn ways_to_write(name: &str) -> Vec<String> {
    let mut ways = vec![name.to_owned()];
    let kind = ["自治县", "经开区", "新区", "区", "县", "市"].iter().find(|kind| name.ends_with(**kind));
    let Some(kind) = kind else { return ways };
    let mut bare = &name[..name.len() - kind.len()];
    while let Some(rest) = ["土家族", "苗族"].iter().find_map(|people| bare.strip_suffix(people)) {
        bare = rest;
    }
    if *kind == "自治县" {
        ways.push(format!("{bare}县"));
    }
    // 忠县 has one character beside its kind: too little to be a name.
    if bare.chars().count() >= 2 {
        ways.push(bare.to_owned());
    }
    ways
}

/// First two digits of GB/T 2260.
const PROVINCES: [i64; 33] = [
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 51, 52, 53, 54, 61, 62, 63, 64,
    65, 71, 81, 82,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn chongqing() -> Districts {
        let text = include_str!("../../policy/divisions.toml").to_owned();
        let source = Source { name: "divisions.toml".into(), text };
        let mut problems = Vec::new();
        let districts = Districts::load(&source, &mut problems);
        assert_eq!(problems, []);
        districts
    }

    #[test]
    fn a_district_is_found_by_every_name_it_had() {
        let districts = chongqing();
        for (text, code) in [
            ("500234", "500154"),
            ("开县", "500154"),
            ("开州", "500154"),
            ("重庆市开州区", "500154"),
            ("石柱", "500240"),
            ("石柱县", "500240"),
            (" 忠县 ", "500233"),
            ("长寿县", "500115"),
            ("万盛经开区", "CQ-WS"),
            ("CQ-LJ", "CQ-LJ"),
        ] {
            assert_eq!(districts.code(text).map(|code| code.to_string()).as_deref(), Some(code), "{text}");
        }
        for text in ["500199", "忠", "新区", "", "江北县", "火星区"] {
            assert_eq!(districts.code(text), None, "{text}");
        }
        assert_eq!(districts.names.len(), 40);
    }

    #[test]
    fn a_name_of_two_districts_is_no_name() {
        let mut districts = chongqing();
        districts.add(DistrictCode::parse("500198").unwrap(), "江北新区");
        assert_eq!(districts.code("江北"), None);
        assert_eq!(districts.code("江北区").unwrap().as_str(), "500105");
    }

    #[test]
    fn areas_of_first_issue_may_be_abolished_or_elsewhere() {
        let districts = chongqing();
        assert!(districts.knows_area(500_234) && districts.knows_area(510_202));
        assert!(!districts.knows_area(500_199) && !districts.knows_area(990_101));
    }
}
