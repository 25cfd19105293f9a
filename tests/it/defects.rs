//! The gallery of defects: `tests/data/defects/<name>/` holds one bank file (and its control file, where the bank has
//! them) and `expected.txt`, what a person is told. `UPDATE=1 cargo test` writes the expected texts anew.

use crate::layouts::{daikou, data, shipped};
use std::path::{Path, PathBuf};

#[test]
fn every_defect_has_its_wording() {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(data("defects")).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    let mut wrong = Vec::new();
    for case in &cases {
        let told = told(case);
        let expected = case.join("expected.txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &told).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != told {
            wrong.push(format!("{}:\n{told}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 30);
}

/// What `layout decode` says of the file, or of the control file with its data file.
fn told(case: &Path) -> String {
    let mut files: Vec<PathBuf> = std::fs::read_dir(case).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.ends_with("expected.txt"));
    files.sort();
    let name = files[0].file_name().unwrap().to_str().unwrap();
    let layout = shipped().into_iter().find(|layout| layout.recognise(name).is_some()).expect("a name of a layout");
    let mut args = vec!["layout", "decode", "--show-personal", &layout.key, files[0].to_str().unwrap()];
    if let Some(data) = files.get(1) {
        args.extend(["--data", data.to_str().unwrap()]);
    }
    let output = daikou(&args, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", case.display());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nothing_personal_is_told_unless_asked() {
    let file = data("defects/identity-number-check-digit/NSH_500199000001_20180705_00000001.RSP");
    let told = |args: &[&str]| {
        let args = [args, &["layout", "decode", "rural-commercial", file.to_str().unwrap()]].concat();
        let stdout = daikou(&args, &[]).stdout;
        let text = String::from_utf8(stdout).unwrap();
        text.rsplit_once("\"defects\":").map_or(text.clone(), |(_, defects)| defects.to_owned())
    };
    for text in [told(&[]), told(&["--json"])] {
        assert!(text.contains("expected the check character 4, found 18 bytes, not shown"), "{text}");
        assert!(!text.contains("500199197001010015"), "{text}");
    }
}
