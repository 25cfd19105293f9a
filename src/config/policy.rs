//! `policy/*.toml` → [`Policy`]: every value of it, and what would make the rules contradict themselves.

use crate::config::source::{Problem, Reader, Source};
use crate::domain::calendar::{Date, parse_date};
use crate::domain::money::Money;
use crate::domain::participant::{Category, Payer};
use crate::domain::policy::{AgeAsOf, Benefit, CategoryTerms, KeepLowest, Policies, Policy, YearTerms};
use rust_decimal::Decimal;
use serde::Deserialize;
use std::collections::BTreeSet;
use toml::Spanned;

/// Reads all policies; a fee year may stand in one of them only.
pub(super) fn load(sources: &[Source], problems: &mut Vec<Problem>) -> Policies {
    let mut policies = Vec::new();
    let mut years = BTreeSet::new();
    for source in sources {
        let Some(raw) = source.read::<RawPolicy>(problems) else { continue };
        let mut reader = Reader { source, problems: &mut *problems };
        for year in &raw.year {
            if !years.insert(*year.fee_year.get_ref()) {
                reader.refuse(&year.fee_year, format!("fee year {} stands twice", year.fee_year));
            }
        }
        policies.extend(policy(&raw, key_of(&source.name), &mut reader));
    }
    Policies(policies)
}

/// File stem of the path: the key of a policy.
fn key_of(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.strip_suffix(".toml").unwrap_or(file).to_owned()
}

fn policy(raw: &RawPolicy, key: String, reader: &mut Reader<'_>) -> Option<Policy> {
    let categories: Vec<_> = raw.category.iter().filter_map(|terms| reader.category(terms)).collect();
    let years: Vec<_> = raw.year.iter().filter_map(|year| reader.year(year)).collect();
    if raw.year.is_empty() || !years.is_sorted_by_key(|year| year.fee_year) {
        reader.problems.push(Problem::of_file(&reader.source.name, "expected at least one [[year]], oldest first"));
    }
    for (written, terms) in raw.category.iter().zip(&categories) {
        if categories.iter().filter(|other| other.category == terms.category).count() > 1 {
            reader.refuse(&written.category, format!("category {} stands twice", terms.category.word()));
        }
    }
    Some(Policy {
        key,
        title: raw.title.clone(),
        years,
        categories,
        tie_order: reader.tie_order(&raw.tie_order)?,
        keep_lowest: match raw.keep_lowest {
            RawKeepLowest::EverListed => KeepLowest::EverListed,
            RawKeepLowest::Entitled => KeepLowest::Entitled,
        },
        age_limit: raw.age_limit,
        age_as_of: match raw.age_as_of {
            RawAgeAsOf::Debit => AgeAsOf::Debit,
            RawAgeAsOf::YearStart => AgeAsOf::YearStart,
            RawAgeAsOf::Plan => AgeAsOf::Plan,
        },
        max_removed: reader.parse(&raw.max_removed, SHARE, share)?,
        attempts: raw.attempts,
        arrival_days: raw.arrival_days,
        settlement_ends: reader.month_day(&raw.settlement_ends)?,
        settlement_due: reader.month_day(&raw.settlement_due)?,
        application_due: match &raw.application_due {
            Some(text) => reader.month_day(text)?,
            None => (9, 30),
        },
        transfer_due: reader.month_day(&raw.transfer_due)?,
    })
}

impl Reader<'_> {
    fn category(&mut self, raw: &RawCategory) -> Option<CategoryTerms> {
        let category = self.parse(&raw.category, "a category of design section 2", Category::parse);
        let payer = self.parse(&raw.payer, PAYER, Payer::parse);
        let benefit = match (&raw.rate, &raw.amount) {
            (Some(rate), None) => self.parse(rate, SHARE, share).map(Benefit::Rate),
            (None, Some(amount)) => self.parse(amount, YUAN, yuan).map(Benefit::Fixed),
            _ => {
                self.refuse(&raw.category, "expected one of rate and amount");
                None
            }
        };
        if raw.years.get_ref().0 > raw.years.get_ref().1 {
            self.refuse(&raw.years, "expected the first fee year, then the last");
        }
        Some(CategoryTerms {
            category: category?,
            payer: payer?,
            benefit: benefit?,
            years: *raw.years.get_ref(),
            lag: raw.lag,
        })
    }

    fn year(&mut self, raw: &RawYear) -> Option<YearTerms> {
        let fee_year = *raw.fee_year.get_ref();
        let tiers: Vec<Money> = raw.tiers.iter().filter_map(|tier| self.parse(tier, YUAN, yuan)).collect();
        let kept = self.parse(&raw.kept, YUAN, yuan);
        if tiers.is_empty() || tiers.iter().min() < kept.as_ref() {
            self.refuse(&raw.kept, "expected tiers, none below the lowest one kept for hardship groups (R2)");
        }
        let lists_due = self.parse(&raw.lists_due, DATE, parse_date);
        let planned_from = self.day_of(&raw.planned_from, fee_year);
        let deposit_until = self.day_of(&raw.deposit_until, fee_year);
        let last_debit = self.day_of(&raw.last_debit, fee_year);
        if !(planned_from <= deposit_until && deposit_until <= last_debit) {
            self.refuse(&raw.last_debit, "expected planned_from, deposit_until, last_debit in this order (R13)");
        }
        Some(YearTerms {
            fee_year,
            tiers,
            kept: kept?,
            lists_due: lists_due?,
            planned_from: planned_from?,
            deposit_until: deposit_until?,
            last_debit: last_debit?,
        })
    }

    fn day_of(&mut self, text: &Spanned<String>, year: i16) -> Option<Date> {
        self.parse(text, "a date YYYY-MM-DD within the fee year", |text| {
            parse_date(text).filter(|date| date.year() == year)
        })
    }

    fn month_day(&mut self, text: &Spanned<String>) -> Option<(i8, i8)> {
        self.parse(text, "a day MM-DD", super::month_and_day)
    }

    fn tie_order(&mut self, raw: &Spanned<Vec<Spanned<String>>>) -> Option<Vec<Payer>> {
        let order: Vec<Payer> =
            raw.get_ref().iter().filter_map(|payer| self.parse(payer, PAYER, Payer::parse)).collect();
        if order.iter().collect::<BTreeSet<_>>().len() != Payer::ALL.len() || order.len() != Payer::ALL.len() {
            self.refuse(raw, "expected every payer once");
            return None;
        }
        Some(order)
    }
}

const YUAN: &str = "an amount in yuan above zero, as text";
const SHARE: &str = "a share from 0 to 1 as text, such as \"0.70\"";
const DATE: &str = "a date YYYY-MM-DD";
/// The words of payers, for messages.
pub(super) const PAYER: &str = "civil-affairs, poverty-alleviation or disability-federation";

fn yuan(text: &str) -> Option<Money> {
    Money::parse_yuan(text).filter(|amount| amount.is_positive())
}

fn share(text: &str) -> Option<Decimal> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value = plain.then(|| Decimal::from_str_exact(text).ok()).flatten()?;
    (value <= Decimal::ONE).then_some(value)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    title: String,
    age_limit: i16,
    age_as_of: RawAgeAsOf,
    keep_lowest: RawKeepLowest,
    tie_order: Spanned<Vec<Spanned<String>>>,
    max_removed: Spanned<String>,
    attempts: u32,
    arrival_days: u32,
    settlement_ends: Spanned<String>,
    settlement_due: Spanned<String>,
    application_due: Option<Spanned<String>>,
    transfer_due: Spanned<String>,
    category: Vec<RawCategory>,
    year: Vec<RawYear>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawAgeAsOf {
    Debit,
    YearStart,
    Plan,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawKeepLowest {
    EverListed,
    Entitled,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCategory {
    category: Spanned<String>,
    payer: Spanned<String>,
    rate: Option<Spanned<String>>,
    amount: Option<Spanned<String>>,
    years: Spanned<(i16, i16)>,
    lag: i16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawYear {
    fee_year: Spanned<i16>,
    tiers: Vec<Spanned<String>>,
    kept: Spanned<String>,
    lists_due: Spanned<String>,
    planned_from: Spanned<String>,
    deposit_until: Spanned<String>,
    last_debit: Spanned<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../policy/chongqing-2018-82.toml");

    fn read(text: &str) -> (Policies, Vec<String>) {
        let source = Source { name: "policy/chongqing-2018-82.toml".into(), text: text.into() };
        let mut problems = Vec::new();
        let policies = load(&[source], &mut problems);
        (policies, problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn the_policy_that_is_built_in_holds() {
        let (policies, problems) = read(SHIPPED);
        assert_eq!(problems, [""; 0]);
        let (policy, year) = policies.of(2018).unwrap();
        assert_eq!(
            (policy.key.as_str(), year.kept, year.tiers.len()),
            ("chongqing-2018-82", Money::from_fen(10_000), 12)
        );
        let poor = policy.category(Category::RegisteredPoor).unwrap();
        assert_eq!((poor.payer, poor.benefit), (Payer::PovertyAlleviation, Benefit::Rate(Decimal::new(70, 2))));
        assert_eq!(policies.planned_on(Date::constant(2018, 6, 30)), None);
        assert_eq!(policies.planned_on(Date::constant(2018, 7, 1)), Some(2018));
    }

    #[test]
    fn a_number_with_a_point_is_never_a_rate() {
        let (_, problems) = read(&SHIPPED.replace("max_removed = \"0.05\"", "max_removed = 0.05"));
        assert!(problems[0].contains("invalid type: floating point"), "{problems:?}");
    }

    #[test]
    fn what_contradicts_itself_is_refused_all_at_once() {
        let text = SHIPPED
            .replace("rate = \"0.70\"", "rate = \"1.70\"")
            .replace("fee_year = 2019", "fee_year = 2018")
            .replace("last_debit = \"2020-12-20\"", "last_debit = \"2020-11-20\"");
        let (_, problems) = read(&text);
        for part in ["fee year 2018 stands twice", "found \"1.70\"", "within the fee year", "in this order (R13)"] {
            assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:#?}");
        }
    }
}
