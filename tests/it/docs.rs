//! What the documents name exists, and what exists is named in them.

use daikou::daemon::alarms::CLASSES;
use daikou::domain::exception::Class;
use daikou::telemetry::NAMES;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn every_key_of_the_configuration_is_documented() {
    let raw = text("src/config/raw.rs");
    let page = text("docs/config.md");
    let mut top = rows(&page, "## Top level");
    for (heading, table, source) in [
        ("## `[schedule]`", "RawSchedule", &raw),
        ("## `[[district]]`", "RawDistrict", &raw),
        ("## `[[expected_list]]`", "RawExpectedList", &raw),
        ("## `[papers]`", "RawPapers", &raw),
        ("## `[[bank]]`", "RawBank", &raw),
        ("### `[bank.sftp]`", "RawSftp", &text("src/config/sftp.rs")),
        ("## `[feed]`", "Feed", &text("src/config/mod.rs")),
        ("## `[approvals]`", "Approvals", &text("src/config/mod.rs")),
    ] {
        if heading.starts_with("## ") {
            top.insert(heading.trim_matches(['#', ' ', '`', '[', ']']).to_owned());
        }
        let named = |key: String| if table == "Approvals" { key.replace('_', "-") } else { key };
        let keys: BTreeSet<String> = fields(source, table).into_iter().map(named).collect();
        assert_eq!(rows(&page, heading), keys, "{heading} of docs/config.md");
    }
    assert_eq!(top, fields(&raw, "RawConfig"), "docs/config.md");
}

#[test]
fn every_key_of_a_policy_is_documented() {
    let source = text("src/config/policy.rs");
    let keys = ["RawPolicy", "RawCategory", "RawYear"].map(|table| fields(&source, table));
    let mut documented = rows(&text("docs/config.md"), "## `policy/*.toml`");
    documented.extend(["category", "year"].map(str::to_owned));
    documented.retain(|key| !key.starts_with('['));
    assert_eq!(documented, keys.into_iter().flatten().collect());
}

/// The rows of the table of rules: number, and the cells after it.
fn rules() -> Vec<(String, Vec<String>)> {
    let page = text("docs/rules.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| R"));
    let cells = |row: &str| row.split(" | ").map(|cell| cell.trim_matches([' ', '|']).to_owned()).collect::<Vec<_>>();
    rows.map(cells).map(|mut cells| (cells.remove(0), cells)).collect()
}

/// The scenarios that a text links to.
fn linked(text: &str) -> BTreeSet<String> {
    let links = text.split("(../tests/data/flow/").skip(1).filter_map(|rest| rest.split(')').next());
    links.map(str::to_owned).collect()
}

#[test]
fn every_scenario_of_the_rules_is_there() {
    let links = linked(&text("docs/rules.md"));
    let is_there = |link: &&String| root().join("tests/data/flow").join(link).join("steps.txt").is_file();
    let missing: Vec<&String> = links.iter().filter(|link| !is_there(link)).collect();
    assert!(missing.is_empty(), "docs/rules.md: {missing:?}");
}

#[test]
fn every_scenario_is_named_among_the_rules() {
    let links = linked(&text("docs/rules.md"));
    let folders = std::fs::read_dir(root().join("tests/data/flow")).unwrap().map(|entry| entry.unwrap().path());
    let names = folders.filter(|path| path.is_dir()).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let unnamed: Vec<String> = names.filter(|name| !links.contains(name)).collect();
    assert!(unnamed.is_empty(), "docs/rules.md names no rule or section for {unnamed:?}");
}

#[test]
fn every_rule_has_its_place_its_code_and_a_scenario() {
    let rules = rules();
    for rule in 1..=22 {
        let is_it = |(number, _): &&(String, Vec<String>)| *number == rule.to_string();
        let (_, cells) = rules.iter().find(is_it).unwrap_or_else(|| panic!("docs/rules.md has no row R{rule}"));
        let [says, chinese, source, code, scenarios] = &cells[..] else { panic!("R{rule}: {cells:?}") };
        assert!(says.chars().filter(char::is_ascii).count() > 20, "R{rule} in English: {says}");
        assert!(!chinese.is_ascii(), "R{rule} in Chinese: {chinese}");
        assert!(source.contains(['「', '二', '三']), "R{rule} names no place in the source: {source}");
        assert!(code.contains('`'), "R{rule} names no code: {code}");
        assert!(!linked(scenarios).is_empty(), "R{rule} has no scenario");
    }
}

#[test]
fn every_code_of_the_rules_is_there() {
    let mut sources = Vec::new();
    collect_sources(&root().join("src"), &mut sources);
    for (number, cells) in rules() {
        for item in cells[3].split('`').skip(1).step_by(2) {
            let (place, name) = item.rsplit_once("::").unwrap_or_else(|| panic!("R{number}: {item} has no place"));
            let is_there = |(path, source): &(String, String)| {
                let in_place = match place.starts_with(char::is_uppercase) {
                    true => source.contains(&format!("impl {place} {{")),
                    false => path.trim_end_matches("/mod.rs").trim_end_matches(".rs") == place.replace("::", "/"),
                };
                in_place && [format!("fn {name}("), format!("fn {name}<")].iter().any(|start| source.contains(start))
            };
            assert!(sources.iter().any(is_there), "docs/rules.md, R{number}: there is no {item}");
        }
    }
}

/// Every source file: its path below `src`, and its text.
fn collect_sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect_sources(&path, found);
        } else {
            let shown = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
            found.push((shown, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_class_of_exceptions_is_documented() {
    let page = text("docs/errors.md");
    for (_, word, chinese) in Class::ALL {
        assert!(page.contains(&format!("\n| `{word}` | {chinese} |")), "docs/errors.md: {word} {chinese}");
    }
}

#[test]
fn every_alarm_and_no_unknown_figure_is_in_the_operators_page() {
    let page = text("docs/operating.md");
    let alarms = rows(&page, "## Alarms");
    let classes: BTreeSet<String> = CLASSES.iter().map(|class| class.word.to_owned()).collect();
    assert_eq!(alarms, classes, "docs/operating.md and daemon::alarms");
    for class in CLASSES {
        assert!(page.contains(&format!("\n| `{}` | {} | ", class.word, class.owner)), "owner of {}", class.word);
    }
    for path in std::fs::read_dir(root().join("src/daemon")).unwrap().map(|entry| entry.unwrap().path()) {
        let source = std::fs::read_to_string(&path).unwrap_or_default();
        let raised = source.split("alarms.raise(\"").skip(1).filter_map(|rest| rest.split('"').next());
        for class in raised.chain(["line", "line-blocked"]) {
            assert!(alarms.contains(class), "docs/operating.md has no alarm {class}: {}", path.display());
        }
    }
    for name in page.split("`daikou_").skip(1).filter_map(|rest| rest.split(['`', '{']).next()) {
        assert!(NAMES.contains(&format!("daikou_{name}").as_str()), "docs/operating.md: no figure daikou_{name}");
    }
}

#[test]
fn every_figure_has_its_row() {
    let page = text("docs/operating.md");
    let source = text("src/telemetry.rs");
    for name in NAMES {
        let (_, after) = source.split_once(&format!("= \"{name}\" [")).unwrap_or_else(|| panic!("{name}"));
        let (labels, after) = after.split_once(']').unwrap();
        let labels = labels.split(',').map(|label| label.trim().trim_matches('"')).filter(|label| !label.is_empty());
        let labels = labels.map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let help = after.split('"').nth(1).unwrap();
        let row = format!("\n| `{name}` | {labels} | {help} |\n");
        assert!(page.contains(&row), "docs/operating.md has not {row}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let documents = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = documents.chain(["README.md", "README.zh-CN.md"].map(|page| root().join(page)));
    for page in pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let written = std::fs::read_to_string(&page).unwrap();
        for target in written.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let is_ours = !target.is_empty() && !target.starts_with("http");
            assert!(!is_ours || page.parent().unwrap().join(target).exists(), "{}: {target}", page.display());
        }
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn text(path: &str) -> String {
    let path: PathBuf = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of the fields of a struct, as its source writes them.
pub(crate) fn fields(source: &str, name: &str) -> BTreeSet<String> {
    let (_, after) = source.split_once(&format!("struct {name} {{")).unwrap_or_else(|| panic!("no struct {name}"));
    let body = after.split("\n}").next().unwrap();
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with(['/', '#']));
    let names = lines.filter_map(|line| line.split_once(": ")).map(|(name, _)| name.split_whitespace().last().unwrap());
    names.map(str::to_owned).collect()
}

/// The words in backticks in the first cells of the tables under a heading.
pub(crate) fn rows(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, after) = page.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let section = after.split("\n#").next().unwrap();
    let cells = section.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}
