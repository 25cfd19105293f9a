//! Tables of `docs/reliability.md` that proofs write: `UPDATE=1` writes them anew, else they must be what is there.

use std::fs;
use std::path::Path;

/// Holds the table of this name against the page.
pub(super) fn keep(name: &str, table: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let text = fs::read_to_string(&page).unwrap();
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- end of {name} -->"));
    let (head, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("a place for the table {begin}"));
    let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("an end of the table {end}"));
    let made = format!("{head}{begin}\n{table}{end}{tail}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(&page).unwrap(), made, "UPDATE=1 writes it anew");
}
