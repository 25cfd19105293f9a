//! Tables on a terminal: columns aligned by what the terminal shows, where a Chinese character is two wide.

use crate::cli::out::Kind;
use unicode_width::UnicodeWidthStr;

/// The rows under their headings, two spaces between columns, numbers to the right; ends with a line end.
pub fn aligned<Cell: AsRef<str>>(headings: &[(&str, Kind)], rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|(heading, _)| heading.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(printable(cell.as_ref()).width());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(headings).zip(&widths).map(|((cell, (_, kind)), width)| pad(cell, *kind, *width));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let heading = line(&mut headings.iter().map(|(heading, _)| *heading));
    let body = rows.iter().map(|row| line(&mut row.iter().map(AsRef::as_ref)));
    std::iter::once(heading).chain(body).collect()
}

fn pad(cell: &str, kind: Kind, width: usize) -> String {
    let cell = printable(cell);
    let blank = " ".repeat(width.saturating_sub(cell.width()));
    if matches!(kind, Kind::Amount | Kind::Number) { blank + &cell } else { cell + &blank }
}

/// What came from a file must not move the cursor or colour the screen.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_text_stands_in_columns() {
        let headings = [("类别", Kind::Text), ("金额", Kind::Amount), ("原因", Kind::Text)];
        let rows = [vec!["unknown-bank", "30.00", "银行不在名单"], vec!["户名不符", "1000.00", "\u{1b}[31m"]];
        let expected = "类别             金额  原因\n\
                        unknown-bank    30.00  银行不在名单\n\
                        户名不符      1000.00  \u{fffd}[31m\n";
        assert_eq!(aligned(&headings, &rows), expected);
    }
}
