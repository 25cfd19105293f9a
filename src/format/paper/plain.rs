//! The same paper for machines: CSV and JSON with the names of the columns, rows only; sums follow from them.

use super::{Cell, Paper};
use crate::format::cell::{Kind, guarded};
use std::fmt::{self, Display, Write};

impl Paper {
    /// CSV: UTF-8, amounts in yuan with two decimals. For Excel with a BOM, and with text that no sheet takes for a
    /// formula.
    pub fn csv(&self, excel: bool) -> Vec<u8> {
        let bytes = if excel { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
        let mut writer = csv::Writer::from_writer(bytes);
        let into_memory = "memory takes every byte";
        writer.write_record(self.columns.iter().map(|column| column.name)).expect(into_memory);
        for cells in self.rows() {
            let texts = cells.iter().zip(&self.columns).map(|(cell, column)| {
                let text = plain(cell);
                let text = self.shown(column, &text);
                if excel { guarded(column.kind, &text) } else { text.into_owned() }
            });
            writer.write_record(texts).expect(into_memory);
        }
        writer.into_inner().expect(into_memory)
    }

    /// JSON: `title subtitles unit made_on rows total capitals`; amounts are texts, counts numbers. One row a line.
    pub fn json(&self) -> String {
        let mut out = String::from("{\n");
        let subtitles: Vec<String> = self.subtitles.iter().map(|line| JsonText(line).to_string()).collect();
        write_line(&mut out, "title", &JsonText(&self.title));
        write_line(&mut out, "subtitles", &format_args!("[{}]", subtitles.join(",")));
        write_line(&mut out, "unit", &JsonText(&self.unit));
        write_line(&mut out, "made_on", &JsonText(&self.made_on.to_string()));
        let rows: Vec<String> = self.rows().map(|cells| format!("{{{}}}", self.json_cells(cells))).collect();
        let rows = if rows.is_empty() { "[]".to_owned() } else { format!("[\n{}\n]", rows.join(",\n")) };
        write_line(&mut out, "rows", &rows);
        let count = self.len();
        let sums: Vec<String> =
            self.sums().into_iter().map(|(name, sum)| format!("{}:{sum}", JsonText(name))).collect();
        let total = std::iter::once(format!("\"rows\":{count}")).chain(sums).collect::<Vec<_>>().join(",");
        let capitals = self.capitals_text();
        let capitals = capitals.as_deref().map_or("null".to_owned(), |text| JsonText(text).to_string());
        write_line(&mut out, "total", &format_args!("{{{total}}}"));
        let _ = write!(out, "\"capitals\":{capitals}\n}}\n");
        out
    }

    /// 金额大写 of the total, where the paper says it.
    pub(super) fn capitals_text(&self) -> Option<String> {
        self.capitals.map(|column| crate::format::capitals::capitals(self.sum(column)))
    }

    fn json_cells(&self, cells: &[Cell]) -> String {
        let pairs = cells.iter().zip(&self.columns).map(|(cell, column)| {
            let value = match cell {
                Cell::Empty if column.kind == Kind::Number => "null".to_owned(),
                Cell::Count(count) => count.to_string(),
                other => JsonText(&self.shown(column, &plain(other))).to_string(),
            };
            format!("{}:{value}", JsonText(column.name))
        });
        pairs.collect::<Vec<_>>().join(",")
    }

    fn sums(&self) -> Vec<(&'static str, String)> {
        let summed = self.columns.iter().enumerate().filter(|(_, column)| column.is_summed);
        let value = |cell| match cell {
            Cell::Count(count) => count.to_string(),
            Cell::Amount(amount) => JsonText(&amount.to_string()).to_string(),
            Cell::Empty | Cell::Text(_) => "null".to_owned(),
        };
        summed.map(|(place, column)| (column.name, value(super::sum(self.rows(), place)))).collect()
    }
}

fn write_line(out: &mut String, key: &str, value: &dyn Display) {
    let _ = writeln!(out, "\"{key}\":{value},");
}

/// A cell's text.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => text.clone(),
        Cell::Amount(amount) => amount.to_string(),
        Cell::Count(count) => count.to_string(),
    }
}

/// A text as JSON says it, quotes included. This room has no serializer, and needs no more than this.
pub struct JsonText<'t>(pub &'t str);

impl Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                control if control < ' ' => write!(f, "\\u{:04x}", u32::from(control))?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}
