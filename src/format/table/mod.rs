//! Tables that staff send: CSV or XLSX as their programs write them, brought to one shape.
//!
//! The heading is found by names; title rows, blank rows and total rows around the data are expected. Cells stay text:
//! what they mean is judged row by row in `pipeline::intake`.

mod columns;
mod csv;
mod fault;
mod household;
mod references;
mod xlsx;

pub use columns::{Column, TableKind};
pub use fault::TableFault;

/// A table with a heading that we know.
#[derive(Debug)]
pub struct Table {
    /// What it is about, judged by its columns.
    pub kind: TableKind,
    /// The known columns, in the order of the file.
    pub columns: Vec<Column>,
    /// What was left out, for the receipt.
    pub notices: Vec<Notice>,
    /// Place of a column in `columns`.
    places: [Option<u8>; Column::ALL.len()],
    /// Row of the file of each row.
    numbers: Vec<u32>,
    /// Rows of the file in which a separator has torn a cell and moved what follows, in order: there are more cells than in
    /// the heading, or an amount goes on in the next cell.
    torn: Vec<u32>,
    /// End of each cell in `text`, row by row.
    ends: Vec<u32>,
    /// All cells, one after the other: a million rows are two allocations, not ten million.
    text: String,
}

/// Something the sender should know that refuses nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Row of their file, from 1.
    pub row: u32,
    /// Stable word.
    pub code: &'static str,
    /// The words for the sender.
    pub message_zh: String,
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    table: &'a Table,
    index: usize,
}

impl Table {
    /// Reads the bytes of a file; its name serves the messages only.
    pub fn read(bytes: &[u8], name: &str) -> Result<Table, TableFault> {
        Table::read_as(bytes, name, &TableKind::EVERY)
    }

    /// Reads a file that can only be of these kinds, because of the folder it came through.
    pub fn read_as(bytes: &[u8], name: &str, kinds: &[TableKind]) -> Result<Table, TableFault> {
        let table = match bytes {
            [] => Err(empty_file()),
            [b'P', b'K', 3, 4, ..] => xlsx::read(bytes, kinds),
            [0xD0, 0xCF, 0x11, 0xE0, ..] => Err(old_excel()),
            _ => csv::read(bytes, kinds),
        };
        table.map_err(|fault| TableFault { file: name.into(), ..fault })
    }

    /// All rows, in the order of the file.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// One row, counted from 0.
    pub fn row(&self, index: usize) -> Row<'_> {
        Row { table: self, index }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// True for a table that is only a heading.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

impl<'a> Row<'a> {
    /// Row of their file, from 1.
    pub fn number(&self) -> u32 {
        self.table.numbers[self.index]
    }

    /// Whether a separator has torn a cell: none is surely below its own heading then.
    pub fn is_torn(&self) -> bool {
        self.table.torn.binary_search(&self.number()).is_ok()
    }

    /// What its table calls a column.
    pub fn heading(&self, column: Column) -> &'static str {
        self.table.kind.heading(column)
    }

    /// The text of a cell, trimmed; `None` where it is empty or the table has no such column.
    pub fn get(&self, column: Column) -> Option<&'a str> {
        let place = usize::from(self.table.places[column as usize]?);
        let cell = self.index * self.table.columns.len() + place;
        let start = if cell == 0 { 0 } else { self.table.ends[cell - 1] as usize };
        let text = &self.table.text[start..self.table.ends[cell] as usize];
        (!text.is_empty()).then_some(text)
    }
}

/// The cells of one row while a file is read, known columns or not.
#[derive(Default)]
struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn push(&mut self, cell: &str) {
        self.text.push_str(unwrapped(cell));
        self.ends.push(self.text.len());
    }

    /// Brings the row to `width` cells, so that the next one stands in its column.
    fn pad(&mut self, width: usize) {
        while self.ends.len() < width {
            self.ends.push(self.text.len());
        }
    }

    fn get(&self, place: usize) -> &str {
        &self.text[self.start(place)..self.ends.get(place).copied().unwrap_or(self.text.len())]
    }

    /// The text of all cells from this one on.
    fn get_from(&self, place: usize) -> &str {
        &self.text[self.start(place)..]
    }

    fn start(&self, place: usize) -> usize {
        if place == 0 { 0 } else { self.ends.get(place - 1).copied().unwrap_or(self.text.len()) }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|place| self.get(place))
    }
}

/// Spaces around a cell, and `="…"`, by which exports keep Excel from reading numbers.
fn unwrapped(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).map_or(cell, str::trim)
}

/// Takes rows as they come, finds the heading, keeps the rest.
struct Builder<'k> {
    kinds: &'k [TableKind],
    /// Places in the file of the known columns, once the heading was found.
    sources: Vec<usize>,
    /// The row that it was found in, and its cells, known or not.
    heading_row: u32,
    heading_cells: usize,
    table: Option<Table>,
    /// The row that looks most like a heading, for the message when none is one.
    nearest: Option<(u32, Vec<Column>)>,
    rows_before: u32,
}

impl<'k> Builder<'k> {
    fn new(kinds: &'k [TableKind]) -> Builder<'k> {
        Builder {
            kinds,
            sources: Vec::new(),
            heading_row: 0,
            heading_cells: 0,
            table: None,
            nearest: None,
            rows_before: 0,
        }
    }

    /// Takes a row of the file; true where it is one of the table.
    fn row(&mut self, number: u32, cells: &Cells) -> Result<bool, TableFault> {
        if cells.text.is_empty() {
            return Ok(false);
        }
        let Some(table) = &mut self.table else { return self.look_for_heading(number, cells).map(|()| false) };
        if let Some(word) = total_or_footer(table.kind, &self.sources, &table.columns, cells) {
            let message_zh = format!("第 {number} 行是“{word}”行，未读取");
            table.notices.push(Notice { row: number, code: "total-row", message_zh });
            return Ok(false);
        }
        for place in &self.sources {
            table.text.push_str(cells.get(*place));
            table.ends.push(table.text.len() as u32);
        }
        table.numbers.push(number);
        if table.text.len() > MOST_TEXT_BYTES { Err(too_large("1 GiB of text")) } else { Ok(true) }
    }

    fn look_for_heading(&mut self, number: u32, cells: &Cells) -> Result<(), TableFault> {
        let found: Vec<(usize, Column)> =
            cells.iter().enumerate().filter_map(|(place, cell)| Some((place, Column::parse(cell)?))).collect();
        let columns: Vec<Column> = found.iter().map(|(_, column)| *column).collect();
        let kind = TableKind::detect(&columns, self.kinds);
        household::vet(number, kind, cells)?;
        match kind {
            Some(kind) => self.table = Some(self.heading(number, kind, &found, cells)?),
            None if self.nearest.as_ref().is_none_or(|(_, best)| best.len() < columns.len()) => {
                self.nearest = Some((number, columns));
            }
            None => {}
        }
        self.rows_before += 1;
        if self.table.is_none() && self.rows_before >= MOST_ROWS_BEFORE_HEADING {
            return Err(self.no_heading());
        }
        Ok(())
    }

    fn heading(
        &mut self,
        number: u32,
        kind: TableKind,
        found: &[(usize, Column)],
        cells: &Cells,
    ) -> Result<Table, TableFault> {
        let mut places = [None; Column::ALL.len()];
        let mut columns = Vec::new();
        let mut notices = Vec::new();
        for (place, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let column = found.iter().find(|(at, _)| *at == place).map(|(_, column)| *column);
            let Some(column) = column.filter(|column| kind.has(*column)) else {
                let message_zh = format!("第 {} 列“{}”不是本表的栏目，未读取", place + 1, shortened(cell));
                notices.push(Notice { row: number, code: "unknown-column", message_zh });
                continue;
            };
            if places[column as usize].is_some() {
                let is_person = matches!(column, Column::IdNumber | Column::Name);
                let fault = if is_person { household::fault("two") } else { twice(column) };
                return Err(fault.at_row(number));
            }
            places[column as usize] = Some(columns.len() as u8);
            columns.push(column);
            self.sources.push(place);
        }
        (self.heading_row, self.heading_cells) = (number, cells.ends.len());
        let (numbers, torn, ends, text) = (Vec::new(), Vec::new(), Vec::new(), String::new());
        Ok(Table { kind, columns, notices, places, numbers, torn, ends, text })
    }

    fn no_heading(&self) -> TableFault {
        let nearest = self.nearest.as_ref().filter(|(_, columns)| columns.len() >= 2);
        let meant = nearest.and_then(|(_, columns)| TableKind::nearest(columns, self.kinds));
        match (nearest, meant) {
            (Some((number, columns)), Some(kind)) => missing(kind, columns).at_row(*number),
            _ => TableFault::new(
                "no-heading",
                format!("a heading within the first {MOST_ROWS_BEFORE_HEADING} rows"),
                "none",
                "找不到表头",
                "请使用约定的栏目名称（中文或英文）作为表头后重新报送",
            ),
        }
    }

    fn finish(self) -> Result<Table, TableFault> {
        match self.table {
            Some(mut table) => {
                // A list without rows has a meaning of its own (R7), and its receipt says which.
                if table.is_empty() && table.kind != TableKind::List {
                    let message_zh = "表头之下没有数据行，未作变动".to_owned();
                    table.notices.push(Notice { row: self.heading_row, code: "no-rows", message_zh });
                }
                Ok(table)
            }
            None => Err(self.no_heading()),
        }
    }

    /// How many known columns the best row so far has: by this the separator is chosen.
    fn score(&self) -> usize {
        let nearest = self.nearest.as_ref().map_or(0, |(_, columns)| columns.len());
        self.table.as_ref().map_or(nearest, |table| table.columns.len() + Column::ALL.len())
    }
}

/// The word of a row that sums up or signs the table. Such a row identifies nobody: a person is never left out.
fn total_or_footer(kind: TableKind, sources: &[usize], columns: &[Column], cells: &Cells) -> Option<&'static str> {
    let key = if kind.has(Column::IdNumber) { Column::IdNumber } else { Column::Reference };
    let place = columns.iter().position(|column| *column == key)?;
    let identifies = cells.get(sources[place]);
    let first = cells.iter().find(|cell| !cell.is_empty())?;
    if !identifies.is_empty() && identifies != first {
        return None;
    }
    let bare: String = first.chars().filter(|c| !c.is_whitespace()).collect();
    CLOSING_WORDS.iter().find(|word| bare.starts_with(**word)).copied()
}

/// How the rows begin that sum up or sign a table.
const CLOSING_WORDS: [&str; 15] = [
    "合计",
    "总计",
    "小计",
    "共计",
    "总人数",
    "制表",
    "填表",
    "经办",
    "复核",
    "审核",
    "负责人",
    "单位盖章",
    "备注",
    "说明",
    "金额大写",
];
const MOST_ROWS_BEFORE_HEADING: u32 = 30;
/// Cells are found by 32-bit places.
const MOST_TEXT_BYTES: usize = 1 << 30;

fn shortened(heading: &str) -> String {
    heading.chars().take(20).collect()
}

fn missing(kind: TableKind, columns: &[Column]) -> TableFault {
    let missing = kind.missing(columns);
    let words: Vec<_> = missing.iter().map(|column| column.word()).collect();
    let chinese: Vec<_> = missing.iter().map(|column| kind.heading(*column)).collect();
    TableFault::new(
        "missing-column",
        format!("columns {} ({} table)", words.join(", "), kind.word()),
        "none",
        format!("{}表缺少栏目：{}", kind.chinese(), chinese.join("、")),
        "请补齐栏目后重新报送",
    )
}

fn twice(column: Column) -> TableFault {
    TableFault::new(
        "column-twice",
        format!("one column {}", column.word()),
        "two",
        format!("栏目“{}”出现两次", column.chinese()),
        "请只保留一栏后重新报送",
    )
}

fn empty_file() -> TableFault {
    TableFault::new(
        "empty-file",
        "a table with a heading",
        "0 bytes",
        "文件是空的，一个字节也没有",
        "请重新导出，确认传送完整后再报送",
    )
}

fn old_excel() -> TableFault {
    TableFault::new(
        "old-excel",
        "an .xlsx workbook or CSV",
        "an .xls workbook or a protected one",
        "文件是旧版 Excel（.xls）或加密文件",
        "请另存为不加密的 .xlsx 或 CSV 后重新报送",
    )
}

fn too_large(limit: &str) -> TableFault {
    TableFault::new("too-large", format!("at most {limit}"), "more", "文件过大", "请拆分为多个文件后重新报送")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_which_kinds_are_possible() {
        let text = "id_number,name,district,tier,bank,account,category,recognized_year\n1,2,3,4,5,6,7,8\n";
        let kind = |kinds: &[TableKind]| Table::read_as(text.as_bytes(), "x", kinds).map(|table| table.kind);
        assert_eq!(kind(&TableKind::EVERY), Ok(TableKind::Participants));
        assert_eq!(kind(&[TableKind::List]), Ok(TableKind::List));
        let fault = kind(&[TableKind::ExpostPaid]).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "x:1: expected columns fee_year, amount, paid_on (expost-paid table), found none"
        );
    }

    #[test]
    fn a_row_gives_what_it_has() {
        let table = Table::read("身份证号,缴费年度,金额,缴费日期\n,2018\n".as_bytes(), "x").unwrap();
        let row = table.row(0);
        assert_eq!((row.number(), row.get(Column::IdNumber), row.get(Column::FeeYear)), (2, None, Some("2018")));
        assert_eq!((row.get(Column::PaidOn), row.get(Column::Name)), (None, None));
    }
}
