//! The product's exports against what the rules say, row by row; what differs, with the person's story in words.

use crate::years::facts::*;
use crate::years::model::{Model, State};
use crate::years::play::Player;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many differences are told at length.
const TOLD: usize = 6;

type Row = Vec<String>;

/// Compares everything; a text of the first differences, or nothing.
pub(crate) fn differences(player: &Player, today: Day) -> String {
    let model = &player.model;
    let mut text = String::new();
    for fault in model.faults.iter().take(TOLD) {
        let _ = writeln!(text, "{fault}");
        let told = model.stories.iter().find(|(id, _)| fault.contains(id.as_str()));
        told.iter().for_each(|(id, _)| tell(model, id, &mut text));
    }
    // The product audits itself on the other core.
    let audit = std::thread::scope(|scope| {
        let audit = scope.spawn(|| player.audit(today));
        compare(model, "plans", plans(model), exported_plans(player, today), &mut text);
        compare(model, "instructions", instructions(model), exported_instructions(player, today), &mut text);
        compare(model, "entries", entries(model), exported_entries(player, today), &mut text);
        compare(model, "expost", ex_post(model), exported_ex_post(player, today), &mut text);
        compare(model, "suspense", suspense(model), exported_suspense(player, today), &mut text);
        compare(model, "settlement", settlements(model), exported_settlements(player, today), &mut text);
        compare(model, "claims", claims(model), exported_claims(player, today), &mut text);
        compare(model, "balance", balance(model), exported_balance(player, today), &mut text);
        audit.join().expect("the audit ends")
    });
    // The product masks people: `DAIKOU_WHO=0012` tells the stories of those whose numbers end so.
    if let (false, Ok(who)) = (audit.is_empty(), std::env::var("DAIKOU_WHO")) {
        model.stories.keys().filter(|id| id.ends_with(&who)).for_each(|id| tell(model, id, &mut text));
    }
    text + &audit
}

/// Sorted multisets; the first column is the person.
fn compare(model: &Model, what: &str, mut ours: Vec<Row>, mut theirs: Vec<Row>, text: &mut String) {
    ours.sort();
    theirs.sort();
    let (mut missing, mut extra) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (ours.iter().peekable(), theirs.iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(one), Some(other)) if one == other => {
                left.next();
                right.next();
            }
            (Some(one), other) if other.is_none_or(|other| one < other) => missing.extend(left.next()),
            _ => extra.extend(right.next()),
        }
    }
    if missing.is_empty() && extra.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n== {what}: {} rows by the rules, {} of them missing, {} others",
        ours.len(),
        missing.len(),
        extra.len()
    );
    let mut people: BTreeMap<&str, String> = BTreeMap::new();
    for (sign, row) in missing.iter().map(|row| ('-', row)).chain(extra.iter().map(|row| ('+', row))) {
        let _ = writeln!(people.entry(&row[0]).or_default(), "  {sign} {}", row.join(","));
    }
    for (id, rows) in people.iter().take(TOLD) {
        text.push_str(rows);
        tell(model, id, text);
    }
}

fn tell(model: &Model, id: &str, text: &mut String) {
    for line in model.stories.get(id).into_iter().flatten() {
        let _ = writeln!(text, "      {line}");
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(str::to_owned).to_vec()
}

fn of(exported: Vec<BTreeMap<String, String>>, columns: &[&str]) -> Vec<Row> {
    exported.iter().map(|line| columns.iter().map(|column| line[*column].clone()).collect()).collect()
}

/// A plan shows what was posted, else its newest terms; where those are a refusal, the last that held.
fn plans(model: &Model) -> Vec<Row> {
    let one = |(key, plan): (&(String, i32), &crate::years::model::Plan)| {
        let newest = plan.received.as_ref().map_or(plan.versions.len() - 1, |received| received.version);
        let terms = plan.versions[..=newest].iter().rev().find_map(|version| version.terms.clone().ok()).unwrap();
        let (payer, category) = terms.subsidy.as_ref().map_or(("", ""), |subsidy| (subsidy.payer, subsidy.category));
        let amounts = [terms.tier, terms.government(), terms.own()].map(yuan);
        row([&key.0, &key.1.to_string(), &amounts[0], &amounts[1], &amounts[2], payer, category, model.state(key)])
    };
    model.plans.iter().map(one).collect()
}

fn exported_plans(player: &Player, today: Day) -> Vec<Row> {
    let columns = ["id_number", "fee_year", "tier", "government", "own", "payer", "category", "state"];
    let mut rows = of(player.export(today, &["plans"]), &columns);
    // While a live instruction holds money in suspense its plan waits, and is an exception too: the words agree.
    for row in rows.iter_mut().filter(|row| row[7] == "exception") {
        let key = (row[0].clone(), row[1].parse().unwrap());
        if player
            .model
            .plans
            .get(&key)
            .is_some_and(|plan| plan.instructions.iter().any(|asked| asked.state == State::Suspense))
        {
            row[7] = "waiting".to_owned();
        }
    }
    rows
}

fn instructions(model: &Model) -> Vec<Row> {
    let mut rows = Vec::new();
    for (key, plan) in &model.plans {
        for asked in &plan.instructions {
            let (year, attempt) = (key.1.to_string(), asked.attempt.to_string());
            let amount = yuan(asked.amount);
            rows.push(row([&key.0, &year, &attempt, &asked.bank, &amount, asked.state.word(), asked.outcome]));
        }
    }
    rows
}

fn exported_instructions(player: &Player, today: Day) -> Vec<Row> {
    let columns = ["id_number", "fee_year", "attempt", "bank", "amount", "state", "outcome"];
    of(player.export(today, &["instructions"]), &columns)
}

/// Payer, category and district are said of what was posted; of suspense nobody can say yet whose it is.
fn entries(model: &Model) -> Vec<Row> {
    let one = |entry: &crate::years::model::Entry| {
        let year = if entry.fee_year == 0 { String::new() } else { entry.fee_year.to_string() };
        let amount = yuan(entry.amount);
        let month = format!("{}-{:02}", entry.month.0, entry.month.1);
        let attempt = if entry.attempt == 0 { String::new() } else { entry.attempt.to_string() };
        row([
            &entry.id,
            &year,
            entry.event,
            &entry.debit,
            &entry.credit,
            &amount,
            entry.basis(),
            &month,
            &entry.booked_on.to_string(),
            entry.payer,
            entry.category,
            &entry.district,
            &entry.bank,
            &attempt,
        ])
    };
    model.entries.iter().map(one).collect()
}

fn exported_entries(player: &Player, today: Day) -> Vec<Row> {
    let attempts: BTreeMap<String, String> = player
        .export(today, &["instructions"])
        .into_iter()
        .map(|line| (line["instruction"].clone(), line["attempt"].clone()))
        .collect();
    let columns = [
        "id_number",
        "fee_year",
        "event",
        "debit",
        "credit",
        "amount",
        "basis",
        "month",
        "booked_on",
        "payer",
        "category",
        "district",
        "bank",
        "instruction",
    ];
    let mut rows = of(player.export(today, &["entries"]), &columns);
    for row in &mut rows {
        row[13] = attempts.get(&row[13]).cloned().unwrap_or_default();
        if !row[3].starts_with("personal") && !row[4].starts_with("personal") {
            (9..=11).for_each(|place| row[place].clear());
        }
    }
    rows
}

fn ex_post(model: &Model) -> Vec<Row> {
    let one = |((id, year), due): &((String, i32), crate::years::model::ExPost)| {
        let subsidy = &due.subsidy;
        let (paid, amount) = (yuan(due.paid), yuan(subsidy.amount));
        let year = year.to_string();
        row([id, &year, &subsidy.district, subsidy.payer, subsidy.category, &paid, &amount, due.state])
    };
    model.ex_post.iter().map(one).collect()
}

fn exported_ex_post(player: &Player, today: Day) -> Vec<Row> {
    let columns = ["id_number", "fee_year", "district", "payer", "category", "paid", "amount", "state"];
    of(player.export(today, &["expost"]), &columns)
}

/// Money that waits for a clerk.
fn suspense(model: &Model) -> Vec<Row> {
    let held = model.matters.iter().filter(|matter| matter.open && matter.amount > 0);
    held.map(|matter| row([&matter.key.0, matter.class, &yuan(matter.amount)])).collect()
}

fn exported_suspense(player: &Player, today: Day) -> Vec<Row> {
    let mut lines = player.export(today, &["exceptions"]);
    lines.retain(|line| line["state"] == "open" && line["amount"] != "0.00");
    let mut rows = of(lines, &["id_number", "class", "amount"]);
    // Why a payer's money is held is the product's own word.
    for row in rows.iter_mut().filter(|row| row[1].starts_with("transfer-")) {
        row[1] = "transfer".to_owned();
    }
    rows
}

/// Every line of every settlement.
fn settlements(model: &Model) -> Vec<Row> {
    let mut rows = Vec::new();
    for (year, debtor) in model.settlements.keys() {
        for ((fee_year, category, kind, _), (people, amount)) in model.lines(*year, debtor) {
            let (year, fee_year, people) = (year.to_string(), fee_year.to_string(), people.to_string());
            rows.push(row([&year, debtor.0, &debtor.1, &fee_year, category, kind, &people, &yuan(amount)]));
        }
    }
    rows
}

fn exported_settlements(player: &Player, today: Day) -> Vec<Row> {
    let columns = ["settlement_year", "payer", "district", "fee_year", "category", "kind", "people", "amount"];
    of(player.export(today, &["settlement"]), &columns)
}

/// What each settlement claims, and what transfers have cleared of it.
fn claims(model: &Model) -> Vec<Row> {
    let mut rows = Vec::new();
    for ((year, debtor), settlement) in &model.settlements {
        if model.lines(*year, debtor).is_empty() && !settlement.approved {
            continue;
        }
        let [deemed, ex_post] = ["deemed", "ex-post"].map(|kind| yuan(model.total(*year, debtor, kind)));
        rows.push(row([&year.to_string(), debtor.0, &debtor.1, &deemed, &ex_post, &yuan(settlement.cleared)]));
    }
    rows
}

fn exported_claims(player: &Player, today: Day) -> Vec<Row> {
    let columns = ["settlement_year", "payer", "district", "deemed", "ex_post", "transferred"];
    of(player.export(today, &["claims"]), &columns)
}

fn balance(model: &Model) -> Vec<Row> {
    let mut sums: BTreeMap<&str, (Fen, Fen)> = BTreeMap::new();
    for entry in &model.entries {
        sums.entry(&entry.debit).or_default().0 += entry.amount;
        sums.entry(&entry.credit).or_default().1 += entry.amount;
    }
    sums.into_iter().map(|(account, (debit, credit))| row([account, &yuan(debit), &yuan(credit)])).collect()
}

fn exported_balance(player: &Player, today: Day) -> Vec<Row> {
    of(player.export(today, &["balance"]), &["account", "debit", "credit"])
}
