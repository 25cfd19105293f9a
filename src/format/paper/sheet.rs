//! The paper as a workbook: A4, its heading repeated on every page, page numbers, a frame, places to sign.
//!
//! Spreadsheets hold every number as a float: amounts are written with two decimals from exact text, and never come back.

use super::{Cell, Line, Paper};
use crate::domain::calendar::Date;
use crate::format::cell::Kind;
use rust_xlsxwriter::{
    Color, DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};

/// Papers as one workbook, a sheet for each. Its properties hold the date of the first paper instead of the clock, so
/// the same papers give the same bytes.
pub fn workbook(papers: &[&Paper]) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    if let Some(first) = papers.first() {
        let made_on = first.made_on;
        let at = ExcelDateTime::from_ymd(made_on.year().unsigned_abs(), made_on.month() as u8, made_on.day() as u8)?;
        let properties = DocProperties::new().set_title(&first.title).set_author(&first.unit);
        workbook.set_properties(&properties.set_creation_datetime(&at));
    }
    let looks = Looks::new();
    for paper in papers {
        let name = if paper.sheet.is_empty() { &paper.title } else { &paper.sheet };
        let sheet = workbook.add_worksheet();
        sheet.set_name(sheet_name(name))?;
        Writer { paper, sheet, looks: &looks, row: 0 }.write()?;
    }
    workbook.save_to_buffer()
}

/// What a sheet may be called: no more than 31 characters, none of those that Excel forbids.
fn sheet_name(name: &str) -> String {
    name.chars().filter(|c| !"[]:*?/\\'".contains(*c)).take(31).collect()
}

/// How cells look. Song is the face of official papers; who has it not sees another.
struct Looks {
    title: Format,
    subtitle: Format,
    left: Format,
    right: Format,
    heading: Format,
    group: Format,
    text: Format,
    centred: Format,
    amount: Format,
    count: Format,
    sum_text: Format,
    sum_amount: Format,
    sum_count: Format,
}

impl Looks {
    fn new() -> Looks {
        let plain = || Format::new().set_font_name("SimSun").set_font_size(10).set_align(FormatAlign::VerticalCenter);
        let framed = || plain().set_border(FormatBorder::Thin);
        let sum = || framed().set_bold();
        Looks {
            title: plain().set_font_size(16).set_bold().set_align(FormatAlign::Center),
            subtitle: plain().set_font_size(11).set_align(FormatAlign::Center).set_text_wrap(),
            left: plain().set_align(FormatAlign::Left).set_text_wrap(),
            right: plain().set_align(FormatAlign::Right),
            heading: framed()
                .set_bold()
                .set_align(FormatAlign::Center)
                .set_text_wrap()
                .set_background_color(Color::RGB(0xE8_E8E8)),
            group: framed().set_bold().set_align(FormatAlign::Left),
            text: framed().set_align(FormatAlign::Left).set_text_wrap(),
            centred: framed().set_align(FormatAlign::Center),
            amount: framed().set_align(FormatAlign::Right).set_num_format("#,##0.00"),
            count: framed().set_align(FormatAlign::Right).set_indent(1).set_num_format("0"),
            sum_text: sum().set_align(FormatAlign::Left),
            sum_amount: sum().set_align(FormatAlign::Right).set_num_format("#,##0.00"),
            sum_count: sum().set_align(FormatAlign::Right).set_indent(1).set_num_format("0"),
        }
    }
}

struct Writer<'p> {
    paper: &'p Paper,
    sheet: &'p mut Worksheet,
    looks: &'p Looks,
    /// Next free row.
    row: u32,
}

impl Writer<'_> {
    fn write(mut self) -> Result<(), XlsxError> {
        self.head()?;
        let heading = self.row;
        self.heading()?;
        let first = self.row;
        let breaks = self.lines()?;
        if let Some(text) = self.paper.capitals_text() {
            self.across(&format!("金额大写：{text}"), &self.looks.group)?;
        }
        self.foot()?;
        let last = self.row - 1;
        self.sheet.set_print_area(0, 0, last, self.last_column())?;
        self.sheet.set_repeat_rows(heading, heading)?;
        self.sheet.set_freeze_panes(first, 0)?;
        self.sheet.set_page_breaks(&breaks)?;
        self.sheet.set_paper_size(A4).set_print_fit_to_pages(1, 0).set_print_center_horizontally(true);
        self.sheet.set_margins(0.6, 0.6, 0.75, 0.75, 0.3, 0.3).set_footer("&C第 &P 页，共 &N 页");
        if self.paper.is_landscape {
            self.sheet.set_landscape();
        }
        Ok(())
    }

    fn last_column(&self) -> u16 {
        self.paper.columns.len() as u16 - 1
    }

    /// Title, lines under it, who made it and when.
    fn head(&mut self) -> Result<(), XlsxError> {
        self.sheet.set_row_height(self.row, 28)?;
        self.across(&self.paper.title, &self.looks.title)?;
        for line in &self.paper.subtitles {
            self.across(line, &self.looks.subtitle)?;
        }
        let made_on = format!("制表时间：{}", chinese(self.paper.made_on));
        let unit = format!("编制单位：{}", self.paper.unit);
        let has_amounts = self.paper.columns.iter().any(|column| column.kind == Kind::Amount);
        let made_on = if has_amounts { format!("{made_on}　单位：元") } else { made_on };
        if self.paper.unit.is_empty() {
            return self.across(&made_on, &self.looks.right);
        }
        match self.split(&unit, &made_on) {
            Some(first) => {
                self.span(0, first - 1, &unit, &self.looks.left)?;
                self.span(first, self.last_column(), &made_on, &self.looks.right)?;
                self.row += 1;
                Ok(())
            }
            None => {
                self.across(&unit, &self.looks.left)?;
                self.across(&made_on, &self.looks.right)
            }
        }
    }

    /// The first column of the right part, where two texts have room beside each other: as near to half of the width as can be.
    fn split(&self, left: &str, right: &str) -> Option<u16> {
        let widths: Vec<usize> = self.paper.columns.iter().map(|column| usize::from(column.width)).collect();
        let all: usize = widths.iter().sum();
        let before = |first: usize| widths[..first].iter().sum::<usize>();
        let fits = |first: &usize| before(*first) >= shown_width(left) && all - before(*first) >= shown_width(right);
        let best = (1..widths.len()).filter(fits).min_by_key(|first| (before(*first) * 2).abs_diff(all));
        best.map(|first| first as u16)
    }

    fn heading(&mut self) -> Result<(), XlsxError> {
        self.sheet.set_row_height(self.row, 30)?;
        for (place, column) in (0..).zip(&self.paper.columns) {
            self.sheet.set_column_width(place, column.width)?;
            self.sheet.write_string_with_format(self.row, place, &column.heading, &self.looks.heading)?;
        }
        self.row += 1;
        Ok(())
    }

    /// The table. Gives the rows before which a new page begins.
    fn lines(&mut self) -> Result<Vec<u32>, XlsxError> {
        let mut breaks = Vec::new();
        for line in &self.paper.lines {
            match line {
                Line::Group { title, on_new_page } => {
                    breaks.extend(on_new_page.then_some(self.row));
                    self.across(title, &self.looks.group)?;
                    continue;
                }
                Line::Row(cells) => self.cells(cells, false)?,
                Line::Sum { cells, .. } => {
                    self.cells(cells, true)?;
                    self.label(cells)?;
                }
            }
            self.row += 1;
        }
        // A sheet knows no more breaks than these; what lies beyond is broken where the page is full.
        breaks.truncate(MOST_BREAKS);
        Ok(breaks)
    }

    fn cells(&mut self, cells: &[Cell], is_sum: bool) -> Result<(), XlsxError> {
        if !is_sum {
            self.make_room(cells)?;
        }
        for ((place, column), cell) in (0..).zip(&self.paper.columns).zip(cells) {
            let (row, looks) = (self.row, self.looks);
            let (text, amount, count) = match (is_sum, column.kind) {
                (true, _) => (&looks.sum_text, &looks.sum_amount, &looks.sum_count),
                (false, kind) if is_one_line(kind) => (&looks.centred, &looks.amount, &looks.count),
                (false, _) => (&looks.text, &looks.amount, &looks.count),
            };
            match cell {
                Cell::Empty => self.sheet.write_blank(row, place, text)?,
                Cell::Text(words) if is_sum => self.sheet.write_string_with_format(row, place, words, text)?,
                Cell::Text(words) => {
                    let shown = self.paper.shown(column, words);
                    self.sheet.write_string_with_format(row, place, shown.as_ref(), text)?
                }
                Cell::Amount(yuan) => {
                    let number: f64 = yuan.to_string().parse().expect("an amount reads as a number");
                    self.sheet.write_number_with_format(row, place, number, amount)?
                }
                Cell::Count(number) => {
                    let number: f64 = number.to_string().parse().expect("a count reads as a number");
                    self.sheet.write_number_with_format(row, place, number, count)?
                }
            };
        }
        Ok(())
    }

    /// Not every program makes a row as high as its wrapped texts: the lines would lie over each other when it is printed.
    fn make_room(&mut self, cells: &[Cell]) -> Result<(), XlsxError> {
        let lines = self.paper.columns.iter().zip(cells).map(|(column, cell)| match cell {
            Cell::Text(words) if !is_one_line(column.kind) => lines_in(words, column.width),
            _ => 1,
        });
        match lines.max() {
            Some(lines @ 2..) => self.sheet.set_row_height(self.row, 14 * lines).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// The label of a sum has the room up to the first sum.
    fn label(&mut self, cells: &[Cell]) -> Result<(), XlsxError> {
        let Some(Cell::Text(words)) = cells.first() else { return Ok(()) };
        let room = cells.iter().skip(1).take_while(|cell| **cell == Cell::Empty).count() as u16;
        self.span(0, room, words, &self.looks.sum_text)
    }

    /// Notes, and where people sign.
    fn foot(&mut self) -> Result<(), XlsxError> {
        for note in &self.paper.notes {
            let lines = self.lines_of(note);
            self.sheet.set_row_height(self.row, 15 * lines)?;
            self.across(note, &self.looks.left)?;
        }
        if self.paper.signatures.is_empty() {
            return Ok(());
        }
        let places: Vec<String> = self.paper.signatures.iter().map(|who| format!("{who}：")).collect();
        let text = places.join(&"　".repeat(self.room_to_sign()));
        let lines = self.lines_of(&text);
        self.sheet.set_row_height(self.row, (18 * lines).max(30))?;
        self.across(&text, &self.looks.left)
    }

    /// Wide characters between two names of the foot, so that they fill the line.
    fn room_to_sign(&self) -> usize {
        let words: usize = self.paper.signatures.iter().map(|who| who.chars().count() + 1).sum();
        let between = self.paper.signatures.len().saturating_sub(1).max(1);
        (self.wide_characters().saturating_sub(words + 4) / between).clamp(4, 12)
    }

    /// How many Chinese characters stand in one line of the paper.
    fn wide_characters(&self) -> usize {
        self.paper.columns.iter().map(|column| usize::from(column.width)).sum::<usize>() / 2
    }

    fn lines_of(&self, text: &str) -> u32 {
        (text.chars().count() as u32).div_ceil(self.wide_characters().max(1) as u32).max(1)
    }

    /// A text over the whole width; goes on to the next row.
    fn across(&mut self, text: &str, look: &Format) -> Result<(), XlsxError> {
        self.span(0, self.last_column(), text, look)?;
        self.row += 1;
        Ok(())
    }

    fn span(&mut self, first: u16, last: u16, text: &str, look: &Format) -> Result<(), XlsxError> {
        if first == last {
            self.sheet.write_string_with_format(self.row, first, text, look)?;
        } else {
            self.sheet.merge_range(self.row, first, self.row, last, text, look)?;
        }
        Ok(())
    }
}

/// Numbers and dates are never broken: their columns are wide enough.
fn is_one_line(kind: Kind) -> bool {
    matches!(kind, Kind::Date | Kind::Id | Kind::Account)
}

/// Lines that a text takes in a column so many characters wide.
fn lines_in(text: &str, width: u8) -> u32 {
    text.split('\n').map(|line| characters(line).div_ceil(usize::from(width.max(1))).max(1) as u32).sum()
}

/// Characters of a Latin font that a text is wide.
fn characters(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// The same with a little room.
fn shown_width(text: &str) -> usize {
    characters(text) + 2
}

/// `2018年9月20日`.
fn chinese(date: Date) -> String {
    format!("{}年{}月{}日", date.year(), date.month(), date.day())
}

const A4: u8 = 9;
const MOST_BREAKS: usize = 1_023;
