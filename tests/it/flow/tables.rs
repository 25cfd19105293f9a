//! Expected tables and what the product exports: rows compared as a sorted multiset, on the columns named.

use std::fmt::Write as _;

/// A header and its rows.
pub(super) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a CSV text.
    pub(super) fn read(text: &str) -> Result<Table, String> {
        let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
        let owned = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
        let header = reader.headers().map(&owned).map_err(|error| error.to_string())?;
        let rows = reader.records().map(|row| row.map(|row| owned(&row)).map_err(|error| error.to_string()));
        Ok(Table { header, rows: rows.collect::<Result<_, _>>()? })
    }

    /// The rows as values of these columns.
    fn on(&self, columns: &[String]) -> Result<Vec<Vec<String>>, String> {
        let places: Vec<usize> = columns.iter().map(|column| self.place(column)).collect::<Result<_, _>>()?;
        Ok(self.rows.iter().map(|row| places.iter().map(|place| row[*place].clone()).collect()).collect())
    }

    fn place(&self, column: &str) -> Result<usize, String> {
        let place = self.header.iter().position(|head| head == column);
        place.ok_or_else(|| format!("no column {column}; there are {}", self.header.join(",")))
    }

    /// The value of a column in the last row where the other columns have these values.
    pub(super) fn last(&self, column: &str, wanted: &[(&str, &str)]) -> Result<Option<String>, String> {
        let place = self.place(column)?;
        let wanted: Vec<(usize, &str)> = wanted
            .iter()
            .map(|(name, value)| self.place(name).map(|place| (place, *value)))
            .collect::<Result<_, _>>()?;
        let fits = |row: &&Vec<String>| wanted.iter().all(|(place, value)| row[*place] == *value);
        Ok(self.rows.iter().filter(fits).map(|row| row[place].clone()).max())
    }
}

/// What differs, as lines of `- expected` and `+ found`; nothing if the tables agree.
pub(super) fn difference(expected: &Table, found: &Table) -> Result<Option<String>, String> {
    let mut wanted = expected.rows.clone();
    let mut got = found.on(&expected.header)?;
    wanted.sort();
    got.sort();
    let mut text = String::new();
    for row in &wanted {
        match got.iter().position(|other| other == row) {
            Some(place) => drop(got.remove(place)),
            None => writeln!(text, "    - {}", row.join(",")).expect("writing to a string"),
        }
    }
    for row in &got {
        writeln!(text, "    + {}", row.join(",")).expect("writing to a string");
    }
    Ok((!text.is_empty()).then(|| format!("      {}\n{text}", expected.header.join(","))))
}
