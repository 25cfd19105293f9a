//! The rules that need no memory: who gets how much, by the text of 渝人社发〔2018〕82号 alone.

use crate::years::facts::*;

/// Part 二（一）1 「标准及办法」: the lowest tier, which is the base of every rate from 2018 to 2020 (R2).
const LOWEST: Fen = 100_00;

/// The tiers on offer (R3).
const TIERS: [Fen; 12] =
    [100_00, 200_00, 300_00, 400_00, 500_00, 600_00, 700_00, 800_00, 900_00, 1_000_00, 1_500_00, 2_000_00];

/// One recognition that counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Recognition {
    pub(crate) district: String,
    pub(crate) category: &'static str,
    pub(crate) name: String,
}

/// The government part of a plan, and who owes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Subsidy {
    pub(crate) payer: &'static str,
    pub(crate) district: String,
    pub(crate) category: &'static str,
    pub(crate) amount: Fen,
}

/// What a plan asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Terms {
    pub(crate) tier: Fen,
    pub(crate) subsidy: Option<Subsidy>,
}

impl Terms {
    pub(crate) fn government(&self) -> Fen {
        self.subsidy.as_ref().map_or(0, |subsidy| subsidy.amount)
    }

    /// R3: the sum is always exact.
    pub(crate) fn own(&self) -> Fen {
        self.tier - self.government()
    }
}

/// Why there is no plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    Age,
    Status,
    Name,
    Tier,
}

/// R1: whose category it is.
pub(crate) fn payer_of(category: &str) -> &'static str {
    match category {
        EXTREME | SUBSISTENCE => CIVIL,
        POOR => POVERTY,
        DISABLED => DISABILITY,
        _ => panic!("no category {category}"),
    }
}

/// R1, R3: the rate in per cent of the base, half-up to the fen.
fn worth(category: &str) -> Fen {
    let per_cent = if category == EXTREME || category == DISABLED { 100 } else { 70 };
    (LOWEST * per_cent + 50) / 100
}

/// R5, first within one payer: the higher rate; then the enrolment district; then the lower code.
fn best_of(payer: &'static str, home: &str, recognitions: &[Recognition]) -> Option<Subsidy> {
    let mut best: Option<Subsidy> = None;
    for row in recognitions.iter().filter(|row| payer_of(row.category) == payer) {
        let candidate =
            Subsidy { payer, district: row.district.clone(), category: row.category, amount: worth(row.category) };
        let wins = match &best {
            None => true,
            Some(best) if candidate.amount != best.amount => candidate.amount > best.amount,
            Some(best) if (candidate.district == home) != (best.district == home) => candidate.district == home,
            Some(best) => candidate.district < best.district,
        };
        if wins {
            best = Some(candidate);
        }
    }
    best
}

/// R5: 民政 before 扶贫; the winner of these against 残联 by amount, on a tie 民政, 残联, 扶贫.
pub(crate) fn one_benefit(home: &str, recognitions: &[Recognition]) -> Option<Subsidy> {
    let hardship = best_of(CIVIL, home, recognitions).or_else(|| best_of(POVERTY, home, recognitions));
    let disability = best_of(DISABILITY, home, recognitions);
    let (Some(one), Some(other)) = (&hardship, &disability) else { return hardship.or(disability) };
    let disability_wins = other.amount > one.amount || (other.amount == one.amount && one.payer == POVERTY);
    if disability_wins { disability } else { hardship }
}

/// R6: the 60th birthday itself is already out. Nobody in the tests is born on 29 February.
pub(crate) fn is_under_sixty(id: &str, day: Day) -> bool {
    let number = |range: std::ops::Range<usize>| id[range].parse::<u32>().unwrap();
    day < Day(number(6..10) as i32 + 60, number(10..12), number(12..14))
}

/// R6: status 正常 on that day.
pub(crate) fn is_normal(row: &RosterRow, day: Day) -> bool {
    row.status == "正常" || row.status_since.is_some_and(|since| day < since)
}

/// R2 to R6, R17: what this person is asked; age judged on one day, status on another.
pub(crate) fn terms(
    row: &RosterRow,
    recognitions: &[Recognition],
    age_on: Day,
    status_on: Day,
) -> Result<Terms, Refusal> {
    if !is_under_sixty(&row.id, age_on) {
        return Err(Refusal::Age);
    }
    if !is_normal(row, status_on) {
        return Err(Refusal::Status);
    }
    if recognitions.iter().any(|recognition| !same_name(&recognition.name, &row.name)) {
        return Err(Refusal::Name); // R17: same ID, other name
    }
    if !TIERS.contains(&row.tier) {
        return Err(Refusal::Tier); // R3
    }
    Ok(Terms { tier: row.tier, subsidy: one_benefit(&row.district, recognitions) })
}

/// R17: names compare after folding spaces and middle dots.
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    let fold = |name: &str| -> String {
        name.chars().filter(|c| !c.is_whitespace()).map(|c| if "•‧∙・･．.".contains(c) { '·' } else { c }).collect()
    };
    fold(one) == fold(other)
}

/// R18, and R9: why nobody can be asked through a bank although there is a plan.
pub(crate) fn cannot_be_asked(row: &RosterRow) -> bool {
    let entrusted = BANKS.contains(&row.bank.as_str());
    !entrusted || row.account.is_empty() || !same_name(&row.holder, &row.name)
}

/// R13: the deposit deadline, that day included.
pub(crate) fn deposit_until(fee_year: i32) -> Day {
    Day(fee_year, 11, 30)
}

/// Section 6: how often a plan is asked for want of money before the final sweep.
pub(crate) const ATTEMPTS: usize = 6;

/// R15: the settlement year of a day: 1 September to 31 August.
pub(crate) fn settlement_year(day: Day) -> i32 {
    if (day.1, day.2) > (8, 31) { day.0 + 1 } else { day.0 }
}
