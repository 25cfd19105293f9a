//! A return file in several stretches: the process dies in the first, in a middle one, in the last, and while the next
//! one is read ahead. What is committed stands, the file is `claimed` until its last stretch, and is gone on with.

use super::matrix::Ways;
use super::stage::{Came, Checked, Stage, differences};
use super::{each, program};
use crate::bureau::{all_paid, id_number};
use std::collections::BTreeMap;
use std::fs;

/// Rows of a stretch where the file is small.
const STRETCH: &str = "10";

/// People beside those of every proof, all at one bank. `CRASH_PEOPLE` is more of them, in stretches of the usual size.
const PEOPLE: usize = 42;

/// The answer of the bank lies in its inbox.
struct Large {
    before: Stage,
    after: BTreeMap<String, String>,
    stretches: usize,
}

impl Large {
    fn new(ways: &Ways) -> Large {
        let asked: Option<usize> = std::env::var("CRASH_PEOPLE").ok().map(|text| text.parse().unwrap());
        let people = asked.unwrap_or(PEOPLE);
        let mut stage = ways.before_out.copy();
        let row = |person| format!("{},测试甲,500199,100,rural,9999{person:012}\n", id_number(person));
        let roster = (100..100 + people).map(row).collect::<String>();
        let path = stage.beside("large.csv");
        fs::write(&path, "id_number,name,district,tier,bank,account\n".to_owned() + &roster).unwrap();
        stage.set("max_rows = 50000", "max_rows = 1000000");
        stage.must(&["ingest", "--from", "bureau", path.to_str().unwrap()]);
        assert_eq!(stage.go_out(None), Ok(Came::ToItsEnd));
        let (_, request) = stage.requests().into_iter().find(|(bank, _)| *bank == "rural").unwrap();
        if asked.is_none() {
            stage.with("DAIKOU_STRETCH_ROWS", STRETCH.to_owned());
        }
        let before = stage.copy();
        all_paid(&request).iter().for_each(|(name, bytes)| before.put("banks/rural/in", name, bytes));
        let done = before.copy();
        assert_eq!(done.go_in(None), Ok(Came::ToItsEnd));
        done.audit().unwrap();
        let per = if asked.is_none() { STRETCH.parse().unwrap() } else { 50_000 };
        let posted = done.export("entries").unwrap().iter().filter(|line| line.contains(",collection,")).count();
        assert_eq!(posted, request.len(), "everybody's money, once");
        Large { before, after: done.snapshot().unwrap(), stretches: request.len().div_ceil(per) }
    }

    /// Dies at the place; what is there then is sound; dies once more; and is at last what it is without a death.
    fn die(&self, place: &str) -> Checked<()> {
        let stage = self.before.copy();
        if stage.go_in(Some(place))? != Came::ToItsDeath {
            return Err("is not reached".to_owned());
        }
        stage.audit()?;
        let open = stage.export("batches")?.iter().any(|line| line.contains(",rural,") && line.ends_with(",complete"));
        let claimed = stage.export("files")?.iter().any(|line| line.contains(",claimed,"));
        if claimed && open {
            return Err("the batch is complete before its last stretch".to_owned());
        }
        stage.go_in(Some(place))?;
        stage.go_in(None)?;
        differences(&self.after, &stage.snapshot()?)?;
        stage.audit()
    }
}

#[test]
fn a_large_file_is_gone_on_with_where_it_stopped() {
    let Some(program) = program() else { return };
    let large = Large::new(&Ways::new(&program));
    assert!(large.stretches >= 3, "{} stretches: a first, a middle and a last one", large.stretches);
    let mut places = Vec::new();
    for stretch in [1, large.stretches.div_ceil(2), large.stretches] {
        let at = ["take.decided", "ingest.before-commit", "ingest.after-commit"];
        places.extend(at.iter().map(|place| format!("{place}:{stretch}")));
        if stretch < large.stretches {
            places.extend(["ahead.read", "ahead.kept"].map(|place| format!("{place}:{stretch}")));
        }
    }
    let results = each(&places, |place| large.die(place));
    let failed: Vec<String> =
        places.iter().zip(results).filter_map(|(place, result)| Some(format!("{place}: {}", result.err()?))).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("{} deaths in {} stretches: the same in the end", 2 * places.len(), large.stretches);
}
