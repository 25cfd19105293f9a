//! Expected texts under `tests/data`: compared, or written anew with `UPDATE_EXPECTED=1`.

use std::fs;
use std::path::{Path, PathBuf};

/// A path below `tests/data`.
pub(crate) fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

/// Compares `actual` with the expected text at `path`.
#[track_caller]
pub(crate) fn check(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        return fs::write(path, actual).expect("tests/data can be written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "differs from {}; UPDATE_EXPECTED=1 accepts it", path.display());
}
