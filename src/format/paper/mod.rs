//! Papers of the bureau: a table with title, groups, sums, capitals and places to sign. Data in, bytes out: the same
//! paper gives the same workbook, byte for byte, so its digest can be approved and it can be made again.
//!
//! ```
//! use daikou::domain::money::Money;
//! use daikou::format::cell::Kind;
//! use daikou::format::paper::{Cell, Column, Paper};
//!
//! let columns = vec![
//!     Column::new("category", "认定类别", Kind::Text),
//!     Column::new("people", "人数", Kind::Number).summed(),
//!     Column::new("amount", "金额", Kind::Amount).summed(),
//! ];
//! let mut paper = Paper::new("城乡居民养老保险代缴清算汇总表", jiff::civil::date(2018, 9, 20), columns);
//! paper.unit = "测试区社会保险局".to_owned();
//! paper.row(vec!["低保对象".into(), Cell::Count(2), Money::from_fen(14_000).into()]);
//! paper.subtotal(0, "小计");
//! paper.total();
//! paper.capitals = Some("amount");
//! assert_eq!(paper.sum("amount"), Money::from_fen(14_000));
//! assert!(paper.xlsx().unwrap().starts_with(b"PK"));
//! ```

mod plain;
mod sheet;

pub use plain::JsonText;
pub use sheet::workbook;

use crate::domain::calendar::Date;
use crate::domain::money::Money;
use crate::format::cell::{Kind, masked, width};

/// A paper: one table on one sheet.
#[derive(Clone, Debug)]
pub struct Paper {
    /// Name of its sheet, at most 31 characters; the title where empty.
    pub sheet: String,
    /// What stands on top.
    pub title: String,
    /// Lines under the title: year, period, district, payer.
    pub subtitles: Vec<String>,
    /// Who made it (编制单位), empty for nobody.
    pub unit: String,
    /// 制表时间.
    pub made_on: Date,
    /// Landscape A4 instead of portrait.
    pub is_landscape: bool,
    /// Counts the rows in sums, e.g. 人: `小计（12 人）`.
    pub counted: Option<&'static str>,
    /// Name of the amount column whose total is said in capitals (金额大写).
    pub capitals: Option<&'static str>,
    /// Lines under the table.
    pub notes: Vec<String>,
    /// Who signs; [`SIGNATURES`] unless set otherwise. Empty: nobody.
    pub signatures: Vec<&'static str>,
    /// Hide people in every personal column, not only in those marked so.
    pub mask: bool,
    columns: Vec<Column>,
    lines: Vec<Line>,
}

/// The usual foot of a paper.
pub const SIGNATURES: [&str; 5] = ["制表人", "复核人", "负责人", "单位盖章", "日期"];

/// A column of a paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name for machines, in CSV and JSON.
    pub name: &'static str,
    /// Its heading on paper.
    pub heading: String,
    /// What its cells are.
    pub kind: Kind,
    /// In characters.
    pub width: u8,
    is_summed: bool,
    is_masked: bool,
}

impl Column {
    /// A column as wide as its kind needs.
    pub fn new(name: &'static str, heading: impl Into<String>, kind: Kind) -> Column {
        Column { name, heading: heading.into(), kind, width: width(kind), is_summed: false, is_masked: false }
    }

    /// So many characters wide.
    #[must_use]
    pub fn wide(self, width: u8) -> Column {
        Column { width, ..self }
    }

    /// Added up in 小计 and 合计. Amounts and numbers only.
    #[must_use]
    pub fn summed(self) -> Column {
        assert!(matches!(self.kind, Kind::Amount | Kind::Number), "only amounts and numbers add up");
        Column { is_summed: true, ..self }
    }

    /// Hides whom it is about, whatever the paper says.
    #[must_use]
    pub fn masked(self) -> Column {
        Column { is_masked: true, ..self }
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Words, numbers of people and accounts, dates: what nobody adds up.
    Text(String),
    /// Money.
    Amount(Money),
    /// A count or a year.
    Count(i64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        if text.is_empty() { Cell::Empty } else { Cell::Text(text) }
    }
}

impl From<Money> for Cell {
    fn from(amount: Money) -> Cell {
        Cell::Amount(amount)
    }
}

impl From<i64> for Cell {
    fn from(count: i64) -> Cell {
        Cell::Count(count)
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
enum Line {
    /// A heading across the table; a new page begins before it where asked.
    Group { title: String, on_new_page: bool },
    /// What the paper is about.
    Row(Vec<Cell>),
    /// 小计 of a level, or 合计 where there is none.
    Sum { cells: Vec<Cell>, level: Option<u8> },
}

impl Paper {
    /// An empty paper, portrait, to be signed by the usual people.
    pub fn new(title: impl Into<String>, made_on: Date, columns: Vec<Column>) -> Paper {
        assert!(!columns.is_empty(), "a paper has columns");
        Paper {
            sheet: String::new(),
            title: title.into(),
            subtitles: Vec::new(),
            unit: String::new(),
            made_on,
            is_landscape: false,
            counted: None,
            capitals: None,
            notes: Vec::new(),
            signatures: SIGNATURES.to_vec(),
            mask: false,
            columns,
            lines: Vec::new(),
        }
    }

    /// A heading across the table, for the rows that follow.
    pub fn group(&mut self, title: impl Into<String>) {
        self.lines.push(Line::Group { title: title.into(), on_new_page: false });
    }

    /// A heading that begins a new page, unless it is the first of the table.
    pub fn group_on_new_page(&mut self, title: impl Into<String>) {
        self.lines.push(Line::Group { title: title.into(), on_new_page: !self.lines.is_empty() });
    }

    /// A row: one cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "a row has one cell for each column");
        for (cell, column) in cells.iter().zip(&self.columns) {
            let fits = match cell {
                Cell::Empty => true,
                Cell::Text(_) => !matches!(column.kind, Kind::Amount | Kind::Number),
                Cell::Amount(_) => column.kind == Kind::Amount,
                Cell::Count(_) => column.kind == Kind::Number,
            };
            assert!(fits, "a cell of column {} is not of its kind", column.name);
        }
        self.lines.push(Line::Row(cells));
    }

    /// 小计 of all rows since the last sum of this level or an outer one; 0 is the outermost.
    ///
    /// Levels nest: villages are summed at 1, their town at 0.
    pub fn subtotal(&mut self, level: u8, label: &str) {
        let ends = |line: &Line| matches!(line, Line::Sum { level: Some(other), .. } if *other <= level);
        let since = self.lines.iter().rposition(ends).map_or(0, |at| at + 1);
        self.sum_line(since, label, Some(level));
    }

    /// 合计 of all rows.
    pub fn total(&mut self) {
        self.sum_line(0, "合计", None);
    }

    fn sum_line(&mut self, since: usize, label: &str, level: Option<u8>) {
        let rows = || self.lines[since..].iter().filter_map(row_cells);
        let label = match self.counted {
            Some(unit) => format!("{label}（{} {unit}）", rows().count()),
            None => label.to_owned(),
        };
        let mut cells: Vec<Cell> = (0..self.columns.len())
            .map(|place| if self.columns[place].is_summed { sum(rows(), place) } else { Cell::Empty })
            .collect();
        cells[0] = Cell::Text(label);
        self.lines.push(Line::Sum { cells, level });
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows().count()
    }

    /// True for a paper without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Sum of an amount column.
    pub fn sum(&self, column: &str) -> Money {
        let place = self.columns.iter().position(|known| known.name == column).expect("a column of this paper");
        match sum(self.rows(), place) {
            Cell::Amount(amount) => amount,
            _ => Money::ZERO,
        }
    }

    /// The paper as a workbook of its own.
    pub fn xlsx(&self) -> Result<Vec<u8>, rust_xlsxwriter::XlsxError> {
        workbook(&[self])
    }

    fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.lines.iter().filter_map(row_cells)
    }

    /// A cell's text as anybody may read it.
    fn shown<'c>(&self, column: &Column, text: &'c str) -> std::borrow::Cow<'c, str> {
        if self.mask || column.is_masked { masked(column.kind, text).into() } else { text.into() }
    }
}

fn row_cells(line: &Line) -> Option<&[Cell]> {
    match line {
        Line::Row(cells) => Some(cells),
        _ => None,
    }
}

/// Counts add up as counts, amounts as amounts; a column without either has no sum.
fn sum<'c>(rows: impl Iterator<Item = &'c [Cell]>, place: usize) -> Cell {
    rows.fold(Cell::Empty, |sum, cells| match (sum, &cells[place]) {
        (Cell::Empty, other) => other.clone(),
        (Cell::Amount(sum), Cell::Amount(more)) => Cell::Amount(sum + *more),
        (Cell::Count(sum), Cell::Count(more)) => Cell::Count(sum.checked_add(*more).expect("counts stay small")),
        (sum, _) => sum,
    })
}

#[cfg(test)]
mod tests;
