//! `policy simulate`: what a changed policy would do to the plans as they are, judged by the same code that plans.
//! Changes nothing.

use crate::daemon::bureau::{Bureau, Step, no_policy};
use crate::daemon::planning::stretches;
use crate::domain::calendar::{Date, FeeYear};
use crate::domain::ids::IdNumber;
use crate::domain::money::Money;
use crate::domain::participant::{Category, DistrictCode};
use crate::domain::plan::PlanState;
use crate::domain::policy::{Policies, Refusal, Terms};
use crate::format::cell::Kind;
use crate::format::paper::{Cell, Column, Paper};
use crate::pipeline::book::{Changeset, Dossier};
use crate::pipeline::planning;
use crate::store::book;
use std::collections::BTreeMap;

/// What a plan says, or why there is none; `None` for nobody asked.
type Says = Option<Result<Terms, Refusal>>;

/// What one policy pays in one place.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    people: i64,
    government: Money,
    own: Money,
}

impl Sums {
    fn add(&mut self, terms: &Terms) {
        self.people += 1;
        self.government += terms.government();
        self.own += terms.own();
    }
}

/// One district and category: as it is, as it would be, and how many plans change.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    now: Sums,
    then: Sums,
    changes: i64,
}

/// Somebody whose plan would change.
struct Changing {
    id: IdNumber,
    name: String,
    district: DistrictCode,
    state: Option<PlanState>,
    now: Says,
    then: Says,
}

/// What a policy would do.
#[derive(Default)]
pub struct Simulation {
    places: BTreeMap<(DistrictCode, Option<Category>), Place>,
    changing: Vec<Changing>,
    /// Paid plans stand, whatever the policy says now.
    standing: i64,
}

/// Plans everybody of a fee year again under other policies, and looks at the difference.
pub fn simulate(bureau: &Bureau, policies: &Policies, fee_year: FeeYear, today: Date) -> Step<Simulation> {
    let Some((policy, year)) = policies.of(fee_year) else { return no_policy(fee_year) };
    let mut found = Simulation::default();
    for keys in stretches(bureau.store.connection())? {
        bureau.pulse.go_on()?;
        for dossier in book::dossiers(bureau.store.connection(), keys, fee_year, book::Whom::All)? {
            let mut changes = Changeset::default();
            let planned = planning::plan(policy, year, &dossier, false, today, &mut changes);
            let now = dossier.plan.as_ref().map(|plan| plan.latest().terms);
            let said = changes.plans.pop().and_then(|change| change.version).map(|(version, _)| version.terms);
            let refused = match planned {
                planning::Planned::Refused(refusal) => Some(Err(refusal)),
                _ => None,
            };
            found.note(&dossier, now, said.or(now).or(refused));
        }
    }
    Ok(found)
}

impl Simulation {
    fn note(&mut self, dossier: &Dossier, now: Says, then: Says) {
        let Some(participant) = &dossier.participant else { return };
        let state = dossier.plan.as_ref().map(|plan| plan.state);
        self.standing += i64::from(state.is_some_and(PlanState::is_paid));
        let changes = !same(&now, &then);
        let place = |says: &Says| {
            let terms = says.and_then(Result::ok)?;
            Some(((participant.district, terms.subsidy.map(|subsidy| subsidy.category)), terms))
        };
        if let Some((key, terms)) = place(&now) {
            self.places.entry(key).or_default().now.add(&terms);
        }
        if let Some((key, terms)) = place(&then) {
            self.places.entry(key).or_default().then.add(&terms);
        }
        if !changes {
            return;
        }
        if let Some((key, _)) = place(&then).or_else(|| place(&now)) {
            self.places.entry(key).or_default().changes += 1;
        }
        let (name, district) = (participant.name.clone(), participant.district);
        self.changing.push(Changing { id: dossier.id, name, district, state, now, then });
    }

    /// Sums by district and category, then who changes.
    pub fn papers(&self, bureau: &Bureau, title: &str, fee_year: FeeYear, today: Date) -> Vec<Paper> {
        let mut papers = vec![self.sums(bureau, today), self.people(today)];
        for paper in &mut papers {
            paper.unit = bureau.config.papers.unit.clone();
            paper.subtitles = vec![format!("{fee_year}年度　{title}")];
            paper.is_landscape = true;
            paper.notes = vec![
                format!("试算，未作任何变动。已收足、事后补助的计划 {} 份保持不变。", self.standing),
                "已发往银行的指令不更改；回盘按规则 R7a 处理。".to_owned(),
            ];
        }
        papers
    }

    fn sums(&self, bureau: &Bureau, today: Date) -> Paper {
        let count = |name, heading: &str| Column::new(name, heading, Kind::Number).wide(8).summed();
        let amount = |name, heading: &str| Column::new(name, heading, Kind::Amount).wide(14).summed();
        let columns = vec![
            Column::new("district", "区县", Kind::Text).wide(12),
            Column::new("category", "认定类别", Kind::Text).wide(28),
            count("people_now", "现人数"),
            amount("government_now", "现政府代缴"),
            amount("own_now", "现个人缴费"),
            count("people_then", "试算人数"),
            amount("government_then", "试算政府代缴"),
            amount("own_then", "试算个人缴费"),
            count("changes", "变动人数"),
        ];
        let mut paper = Paper::new("政策试算汇总表", today, columns);
        paper.sheet = "试算汇总".to_owned();
        let places: Vec<_> = self.places.iter().collect();
        for district in places.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
            let code = district[0].0.0;
            paper.group(bureau.config.districts.name(code).unwrap_or(code.as_str()));
            for ((code, category), place) in district {
                let category = category.map_or("未认定", Category::chinese);
                paper.row(vec![
                    code.as_str().into(),
                    category.into(),
                    Cell::Count(place.now.people),
                    place.now.government.into(),
                    place.now.own.into(),
                    Cell::Count(place.then.people),
                    place.then.government.into(),
                    place.then.own.into(),
                    Cell::Count(place.changes),
                ]);
            }
            paper.subtotal(0, "小计");
        }
        paper.total();
        paper
    }

    fn people(&self, today: Date) -> Paper {
        let amount = |name, heading: &str| Column::new(name, heading, Kind::Amount);
        let columns = vec![
            Column::new("district", "区县", Kind::Text).wide(10),
            Column::new("name", "姓名", Kind::Name),
            Column::new("id_number", "身份证号", Kind::Id),
            Column::new("state", "计划状态", Kind::Text).wide(10),
            amount("government_now", "现政府代缴"),
            amount("own_now", "现个人缴费"),
            Column::new("now", "现不符合原因", Kind::Text).wide(24),
            amount("government_then", "试算政府代缴"),
            amount("own_then", "试算个人缴费"),
            Column::new("then", "试算不符合原因", Kind::Text).wide(24),
        ];
        let mut paper = Paper::new("政策试算变动明细", today, columns);
        paper.sheet = "变动明细".to_owned();
        paper.counted = Some("人");
        for person in &self.changing {
            let mut cells = vec![
                person.district.as_str().into(),
                person.name.as_str().into(),
                person.id.text().into(),
                person.state.map_or("", PlanState::chinese).into(),
            ];
            cells.extend(said(&person.now));
            cells.extend(said(&person.then));
            paper.row(cells);
        }
        paper.total();
        paper
    }
}

fn said(says: &Says) -> [Cell; 3] {
    match says {
        None => [Cell::Empty, Cell::Empty, Cell::Empty],
        Some(Ok(terms)) => [terms.government().into(), terms.own().into(), Cell::Empty],
        Some(Err(refusal)) => [Cell::Empty, Cell::Empty, refusal.to_string().into()],
    }
}

/// The same plan; a refusal is the same on whatever day.
fn same(one: &Says, other: &Says) -> bool {
    match (one, other) {
        (Some(Ok(one)), Some(Ok(other))) => one == other,
        (Some(Err(one)), Some(Err(other))) => one.word() == other.word(),
        // Whom nobody planned, and whom the rule would refuse: nothing is planned either way.
        (None, None | Some(Err(_))) => true,
        _ => false,
    }
}
