//! R17: lists for mobilisation, into the folder of the department that recognised the people.

use crate::config::{Config, ListSource};
use crate::daemon::bureau::Step;
use crate::daemon::papers;
use crate::daemon::receipts::Sender;
use crate::domain::calendar::Date;
use crate::domain::participant::{DistrictCode, Payer};
use crate::format::cell::Kind;
use crate::format::paper::{Cell, Column, Paper};
use crate::pipeline::mobilise::{Reach, Recognised, reach};
use crate::store::{ListVersion, Result, Txn, recognised};
use rusqlite::Connection;

/// Who gets what is about the people of a payer and district: who brought the list.
pub fn addressee(config: &Config, payer: Payer, district: DistrictCode) -> Sender {
    match config.list_sources.get(&(payer, district)) {
        Some(ListSource::Bureau) => Sender::Bureau,
        Some(ListSource::Department(payer, district)) => Sender::Department(*payer, *district),
        None => Sender::Department(payer, district),
    }
}

/// Everybody of a recognition year whom the scheme does not reach, with the kind; of one list where `scope` says so.
pub fn unreached(
    conn: &Connection,
    config: &Config,
    recognized_year: i16,
    scope: Option<(Payer, DistrictCode)>,
    today: Date,
) -> Result<Vec<(Reach, Recognised)>> {
    let mut found = Vec::new();
    let mut years: Vec<i16> = config.policies.0.iter().flat_map(|p| &p.categories).map(|terms| terms.lag).collect();
    years.sort_unstable();
    years.dedup();
    for lag in years {
        let Some((policy, year)) = config.policies.of(recognized_year + lag) else { continue };
        let years = (recognized_year, recognized_year + lag);
        recognised::everybody(conn, years, scope, &mut |person| {
            let counts = policy.category(person.category).is_some_and(|terms| terms.lag == lag);
            if let Some(kind) = reach(policy, year, &person, today).filter(|_| counts) {
                found.push((kind, person));
            }
        })?;
    }
    found.sort_by_key(|(kind, person)| (person.payer, person.district, *kind, person.id));
    Ok(found)
}

/// The paper of one payer and district. The people on it are the department's own: they are named.
pub fn paper(
    config: &Config,
    (payer, district, year): (Payer, DistrictCode, i16),
    rows: &[&(Reach, Recognised)],
    today: Date,
) -> Paper {
    let columns = vec![
        Column::new("kind", "情形", Kind::Text).wide(22),
        Column::new("name", "姓名", Kind::Name),
        Column::new("id_number", "身份证号", Kind::Id),
        Column::new("category", "认定类别", Kind::Text).wide(28),
        Column::new("district", "参保区县", Kind::Text).wide(12),
        Column::new("town", "乡镇街道", Kind::Text).wide(14),
        Column::new("village", "村社区", Kind::Text).wide(14),
        Column::new("status", "参保状态", Kind::Text).wide(10),
        Column::new("own", "应缴个人部分", Kind::Amount),
    ];
    let mut paper = Paper::new("代缴对象动员参保缴费名单", today, columns);
    paper.sheet = "动员名单".to_owned();
    paper.unit = config.papers.unit.clone();
    let name = config.districts.name(district).unwrap_or(district.as_str()).to_owned();
    paper.subtitles = vec![format!("{}　{name}　{year}年度认定", payer.chinese())];
    paper.is_landscape = true;
    paper.counted = Some("人");
    paper.notes = vec!["按渝人社发〔2018〕82号三（一）反馈认定部门，请动员参保、缴费；不属名单差错。".to_owned()];
    for (kind, _, chinese) in Reach::ALL {
        let of_kind: Vec<&Recognised> = rows.iter().filter(|(k, _)| *k == kind).map(|(_, person)| person).collect();
        if of_kind.is_empty() {
            continue;
        }
        paper.group(chinese);
        of_kind.iter().for_each(|person| paper.row(cells(config, kind, person)));
        paper.subtotal(0, &format!("{chinese}小计"));
    }
    paper.total();
    paper
}

fn cells(config: &Config, kind: Reach, person: &Recognised) -> Vec<Cell> {
    let enrolled = person.enrolled.as_ref();
    let text = |of: Option<&str>| Cell::from(of.unwrap_or(""));
    let district = enrolled.map(|row| config.districts.name(row.district).unwrap_or(row.district.as_str()));
    let own = person.plan.as_ref().filter(|plan| kind == Reach::Unpaid && plan.own.is_positive());
    vec![
        kind.chinese().into(),
        person.name.as_str().into(),
        person.id.text().into(),
        person.category.chinese().into(),
        text(district),
        text(enrolled.map(|row| row.town.as_str())),
        text(enrolled.map(|row| row.village.as_str())),
        text(enrolled.map(|row| row.status.as_str())),
        own.map_or(Cell::Empty, |plan| Cell::Amount(plan.own)),
    ]
}

/// Puts the list of a scope into the outbox for who brought its list, in the transaction of the list itself.
pub fn post(txn: &Txn<'_>, config: &Config, scope: &ListVersion, today: Date) -> Result<()> {
    // Before the first roster nobody is enrolled, which says nothing of anybody.
    if !recognised::has_roster(txn.connection())? {
        return Ok(());
    }
    let theirs = unreached(txn.connection(), config, scope.year, Some((scope.payer, scope.district)), today)?;
    let theirs: Vec<&(Reach, Recognised)> = theirs.iter().collect();
    publish(txn, config, (scope.payer, scope.district, scope.year), &theirs, today).map(|_| ())
}

/// Puts one paper into the outbox; nothing where there is nobody on it.
pub fn publish(
    txn: &Txn<'_>,
    config: &Config,
    scope: (Payer, DistrictCode, i16),
    rows: &[&(Reach, Recognised)],
    today: Date,
) -> Result<Option<String>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let (payer, district, year) = scope;
    let folder = format!("{}/out", addressee(config, payer, district).folder());
    let stem = format!("mobilise-{}-{district}-{year}", payer.word());
    papers::post(txn, &folder, &stem, &[&paper(config, scope, rows, today)]).map(Some)
}

/// Publishes the lists of every payer and district of a recognition year. Gives the paths below `drops/`.
pub fn publish_all(
    bureau: &mut crate::daemon::bureau::Bureau,
    recognized_year: i16,
    order: &crate::daemon::bureau::Order,
) -> Step<Vec<String>> {
    let config = bureau.config.clone();
    let act = order.act("mobilise", recognized_year.to_string(), config.digest);
    let paths = bureau.store.transact(&act, |txn| {
        let all = unreached(txn.connection(), &config, recognized_year, None, order.today())?;
        let mut paths = Vec::new();
        for rows in all.chunk_by(|(_, a), (_, b)| (a.payer, a.district) == (b.payer, b.district)) {
            let (_, first) = &rows[0];
            let scope = (first.payer, first.district, recognized_year);
            paths.extend(publish(txn, &config, scope, &rows.iter().collect::<Vec<_>>(), order.today())?);
        }
        Ok(paths)
    })?;
    crate::daemon::receipts::flush_outbox(bureau)?;
    Ok(paths)
}
