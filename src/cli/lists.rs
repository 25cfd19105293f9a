//! `daikou lists`: change lists (新增, 变更, 退出), the difference of one version, lists for mobilisation (R7, R17).

use crate::cli::export::FileFormat;
use crate::cli::out::say;
use crate::cli::paper::PaperArgs;
use crate::cli::{CliError, Context, Exit, Ran, date};
use crate::daemon::bureau::Bureau;
use crate::daemon::mobilise::{paper as mobilise_paper, publish_all, unreached};
use crate::domain::calendar::Date;
use crate::domain::participant::{DistrictCode, Payer};
use crate::format::cell::Kind;
use crate::format::paper::{Cell, Column, Paper};
use crate::pipeline::difference::ListMove;
use crate::pipeline::mobilise::{Reach, Recognised};
use crate::store::recognised::{Change, changes, changes_of};
use clap::Subcommand;

/// Arguments of `lists`.
#[derive(Debug, clap::Args)]
pub struct ListsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Who was added, changed or dropped in a period, by payer and district
    Changes {
        /// First day
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
        from: Date,
        /// Last day
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
        to: Date,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        paper: PaperArgs,
    },
    /// What one version of a list changed
    Difference {
        /// Number of the file, as in `export files`
        file: i64,
        #[command(flatten)]
        paper: PaperArgs,
    },
    /// Recognised people whom the scheme does not reach: not enrolled, suspended, unpaid after the sweep, over age
    Mobilise {
        /// Recognition year
        #[arg(long, value_name = "Y")]
        year: i16,
        /// Into the folders of the departments, one list for each
        #[arg(long, conflicts_with_all = ["payer", "district", "format", "out"])]
        publish: bool,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        paper: PaperArgs,
    },
}

#[derive(Debug, clap::Args)]
struct Whose {
    /// Only this payer's lists
    #[arg(long, value_name = "PAYER", value_parser = payer)]
    payer: Option<Payer>,
    /// Only for this district, by code or name
    #[arg(long, value_name = "DISTRICT")]
    district: Option<String>,
}

fn payer(word: &str) -> Result<Payer, String> {
    let words: Vec<&str> = Payer::ALL.iter().map(|(_, word, _)| *word).collect();
    Payer::parse(word).ok_or_else(|| format!("expected one of {}", words.join(", ")))
}

impl Whose {
    fn filter(&self, bureau: &Bureau) -> Result<impl Fn(Payer, DistrictCode) -> bool, CliError> {
        let district = self.district.as_deref().map(|text| district(bureau, text)).transpose()?;
        let payer = self.payer;
        Ok(move |p, d| payer.is_none_or(|payer| payer == p) && district.is_none_or(|district| district == d))
    }
}

/// A district by code or name.
pub fn district(bureau: &Bureau, text: &str) -> Result<DistrictCode, CliError> {
    let unknown = || CliError::Usage(format!("{text} 不是本单位配置中的区县：应为区划代码或名称"));
    bureau.config.districts.code(text).ok_or_else(unknown)
}

/// Runs `lists`.
pub fn run(args: &ListsArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let today = context.now().date();
    match &args.what {
        What::Changes { from, to, .. } if from > to => {
            return Err(CliError::Usage(format!("--from {from} 晚于 --to {to}：起始日期应不晚于截止日期")));
        }
        What::Changes { from, to, whose, paper } => {
            let keeps = whose.filter(&bureau)?;
            let mut rows = changes(bureau.store.connection(), *from, *to)?;
            rows.retain(|change| keeps(change.payer, change.district));
            let mut sheet = changes_paper(&bureau, &rows, today);
            sheet.subtitles = vec![format!("{from} 至 {to}")];
            paper.write(&mut [sheet], context)?;
        }
        What::Difference { file, paper } => {
            let rows = changes_of(bureau.store.connection(), *file)?;
            let mut sheet = changes_paper(&bureau, &rows, today);
            sheet.subtitles = vec![format!("投递文件 {file}")];
            paper.write(&mut [sheet], context)?;
        }
        What::Mobilise { year, publish: true, .. } => {
            for path in publish_all(&mut bureau, *year, &context.order())? {
                say(&format!("{path}\n")).map_err(|error| CliError::Io("stdout".to_owned(), error))?;
            }
        }
        What::Mobilise { year, whose, paper, .. } => mobilise(&bureau, *year, whose, paper, context)?,
    }
    Ok(Exit::Done)
}

/// One sheet for each payer and district; as CSV and JSON all of them in one.
fn mobilise(bureau: &Bureau, year: i16, whose: &Whose, args: &PaperArgs, context: &Context) -> Result<(), CliError> {
    let keeps = whose.filter(bureau)?;
    let today = context.now().date();
    let mut all = unreached(bureau.store.connection(), &bureau.config, year, None, today)?;
    all.retain(|(_, person)| keeps(person.payer, person.district));
    let all: Vec<&(Reach, Recognised)> = all.iter().collect();
    let columns = vec![
        Column::new("payer", "代缴部门", Kind::Text).wide(10),
        Column::new("recognised_in", "认定区县", Kind::Text).wide(12),
        Column::new("kind", "情形", Kind::Text).wide(22),
        Column::new("name", "姓名", Kind::Name),
        Column::new("id_number", "身份证号", Kind::Id),
        Column::new("category", "认定类别", Kind::Text).wide(28),
        Column::new("own", "应缴个人部分", Kind::Amount),
    ];
    let mut whole = Paper::new("代缴对象动员参保缴费名单", today, columns);
    whole.sheet = "全部".to_owned();
    whole.unit = bureau.config.papers.unit.clone();
    whole.counted = Some("人");
    whole.is_landscape = true;
    for (kind, person) in &all {
        let own = person.plan.as_ref().filter(|plan| *kind == Reach::Unpaid && plan.own.is_positive());
        whole.row(vec![
            person.payer.word().into(),
            person.district.as_str().into(),
            kind.word().into(),
            person.name.as_str().into(),
            person.id.text().into(),
            person.category.word().into(),
            own.map_or(Cell::Empty, |plan| Cell::Amount(plan.own)),
        ]);
    }
    whole.total();
    let mut papers = vec![whole];
    for rows in all.chunk_by(|(_, a), (_, b)| (a.payer, a.district) == (b.payer, b.district)) {
        let (_, first) = rows[0];
        let mut paper = mobilise_paper(&bureau.config, (first.payer, first.district, year), rows, today);
        paper.sheet = format!("{}{}", first.payer.chinese(), first.district);
        papers.push(paper);
    }
    // A workbook is for people: it has the departments' papers, whose words are Chinese, and not the machine's table.
    if matches!(args.format, Some(FileFormat::Xlsx)) && papers.len() > 1 {
        papers.remove(0);
    }
    args.write(&mut papers, context)
}

/// 变动名单: people grouped by payer and district, who moved how.
fn changes_paper(bureau: &Bureau, rows: &[Change], today: Date) -> Paper {
    let columns = vec![
        Column::new("on", "生效日期", Kind::Date),
        Column::new("change", "变动", Kind::Text).wide(10),
        Column::new("name", "姓名", Kind::Name),
        Column::new("id_number", "身份证号", Kind::Id),
        Column::new("was", "原认定类别", Kind::Text).wide(28),
        Column::new("now", "现认定类别", Kind::Text).wide(28),
        Column::new("payer", "代缴部门", Kind::Text).wide(12),
        Column::new("district", "认定区县", Kind::Text).wide(10),
        Column::new("recognized_year", "认定年度", Kind::Number),
        Column::new("file", "投递文件", Kind::Number),
    ];
    let mut paper = Paper::new("代缴对象名单变动表", today, columns);
    paper.sheet = "名单变动".to_owned();
    paper.unit = bureau.config.papers.unit.clone();
    paper.is_landscape = true;
    paper.counted = Some("人次");
    let mut rows: Vec<&Change> = rows.iter().collect();
    rows.sort_by_key(|change| (change.payer, change.district, change.year, change.on, change.file, change.id));
    for scope in rows.chunk_by(|a, b| (a.payer, a.district) == (b.payer, b.district)) {
        let name = bureau.config.districts.name(scope[0].district).unwrap_or(scope[0].district.as_str());
        paper.group(format!("{}　{name}", scope[0].payer.chinese()));
        for person in scope.chunk_by(|a, b| (a.id, a.file, a.year) == (b.id, b.file, b.year)) {
            moves(person).for_each(|row| paper.row(row));
        }
        paper.subtotal(0, "小计");
    }
    paper.total();
    paper
}

/// One file's changes of one person: who leaves a category and enters another moved once.
fn moves<'c>(changes: &'c [&'c Change]) -> impl Iterator<Item = Vec<Cell>> + 'c {
    let (added, mut dropped): (Vec<_>, Vec<_>) = changes.iter().copied().partition(|change| change.is_added);
    let mut shown = Vec::new();
    for now in added {
        let was = if now.was_there { Some(now) } else { dropped.pop() };
        let how = if was.is_some() { ListMove::Changed } else { ListMove::Added };
        shown.push(row(how, was, Some(now), now));
    }
    shown.extend(dropped.into_iter().map(|was| row(ListMove::Removed, Some(was), None, was)));
    shown.into_iter()
}

fn row(how: ListMove, was: Option<&Change>, now: Option<&Change>, about: &Change) -> Vec<Cell> {
    let category = |change: Option<&Change>| Cell::from(change.map_or("", |change| change.category.chinese()));
    vec![
        about.on.to_string().into(),
        how.chinese().into(),
        about.name.as_str().into(),
        about.id.text().into(),
        category(was),
        category(now),
        about.payer.chinese().into(),
        about.district.as_str().into(),
        Cell::Count(about.year.into()),
        Cell::Count(about.file),
    ]
}
