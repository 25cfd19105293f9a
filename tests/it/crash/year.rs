//! The rest of the year: every kind of table that comes, every command that writes. The process dies at every place that
//! each of them passes, twice, and the bureau must be what it is without a death.

use super::matrix::Ways;
use super::stage::{AT_COUNTER, BANKS, Came, Checked, Stage, WHOLE_TIER, differences};
use super::{each, page, program};
use crate::bureau::id_number;
use daikou::failpoint::{REST, STRETCHES, WAY_IN, WAY_OUT};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// After the deadline, on the last debit date: nothing goes to a bank but what is asked for by hand.
const TODAY: &str = "2018-12-20";

/// Three stretches of the roster.
const STRETCH: (&str, &str) = ("DAIKOU_STRETCH_ROWS", "5");

/// Somebody new, who owes nothing.
const FREE: usize = 11;

/// What happens at the bureau.
enum Act {
    /// A file comes, and the daemon takes it.
    Mail(&'static str, &'static str, String),
    /// A clerk's command; `NEW` in it is a folder that is not there.
    Command(Vec<String>),
    /// Another person says yes to all that waits.
    Approve,
}

/// What it is called in the table, and what is done with the bureau as it is.
type Step = (&'static str, fn(&Stage) -> Checked<Act>);

const STEPS: [Step; 29] = [
    ("roster", |_| Ok(Act::Mail("bureau/in", "roster2.csv", roster()))),
    ("list", |_| Ok(Act::Mail("departments/civil-affairs/500199/in", "list2.csv", list()))),
    ("approve list", |_| Ok(Act::Approve)),
    ("statement", |stage| Ok(Act::Mail("bureau/in", "statement.csv", statement(stage)?))),
    ("resolve", |stage| {
        let unknown = exception(stage, "unknown-result")?;
        command(&["resolve", &unknown, "--as-class", "settled", "--booked-on", "2018-07-05", "--reason", "银行函复"])
    }),
    ("approve resolve", |_| Ok(Act::Approve)),
    ("correct posting", |_| {
        command(&[
            "correct",
            "posting",
            "pay:counter:GT0001",
            "--as-class",
            "not-entitled",
            "--evidence",
            "函7",
            "--reason",
            "核实",
        ])
    }),
    ("approve correct", |_| Ok(Act::Approve)),
    ("correct account", |_| {
        command(&[
            "correct",
            "account",
            &id_number(0),
            "--account",
            "9999000000000000777",
            "--evidence",
            "函8",
            "--reason",
            "换卡",
        ])
    }),
    ("approve fix", |_| Ok(Act::Approve)),
    ("plan", |_| command(&["plan", "--year", "2018"])),
    ("instruct", |_| command(&["instruct", "--year", "2018", "--debit-on", TODAY])),
    ("approve batches", |_| Ok(Act::Approve)),
    ("send", |_| command(&["send"])),
    ("feed", |_| command(&["feed"])),
    ("feed ack", |stage| Ok(Act::Mail("bureau/in", "postings-00000001.csv.ack", acknowledgement(stage)))),
    ("expost", |_| command(&["expost", "--year", "2018"])),
    ("expost-paid", |_| Ok(Act::Mail("departments/civil-affairs/500199/in", "paid.csv", expost_paid()))),
    ("close", |_| command(&["close", "2018-07", "--despite", "银行函复在途"])),
    ("approve close", |_| Ok(Act::Approve)),
    ("settle", |_| command(&["settle", "--year", "2018"])),
    ("approve settlement", |_| Ok(Act::Approve)),
    ("transfers", |_| Ok(Act::Mail("bureau/in", "transfers.csv", transfers()))),
    ("payments", |_| Ok(Act::Mail("bureau/in", "payments2.csv", payments()))),
    ("compare", |_| command(&["compare", "--publish"])),
    ("mobilise", |_| command(&["lists", "mobilise", "--year", "2017", "--publish"])),
    ("feed again", |_| command(&["feed"])),
    ("backup", |_| command(&["backup", "NEW"])),
    ("roster again", |_| {
        Ok(Act::Mail("bureau/in", "roster3.csv", roster().replace("9999000000000001", "9999000000000099")))
    }),
];

/// Steps that write nothing but their row of the audit log here: the list for mobilisation came with the list.
/// Plan and comparison are the daemon's work too, which it did with the mail.
const UNCHANGED: [&str; 4] = ["plan", "compare", "mobilise", "backup"];

fn command(args: &[&str]) -> Checked<Act> {
    Ok(Act::Command(args.iter().map(|arg| (*arg).to_owned()).collect()))
}

fn roster() -> String {
    super::stage::roster() + &format!("{},测试甲,500199,100,,\n", id_number(FREE))
}

/// One more 低保, one 特困, and whoever paid at the counter no longer.
fn list() -> String {
    let row = |person: usize| {
        let category = if person == FREE { "特困人员" } else { "低保对象" };
        format!("{},测试甲,500199,{category},2017\n", id_number(person))
    };
    let people = (0..=FREE).filter(|person| *person != AT_COUNTER);
    "身份证号,姓名,区县,认定类别,认定年度\n".to_owned() + &people.map(row).collect::<String>()
}

/// What the batches brought, one deduction that a bank takes back, and money that nobody knows.
fn statement(stage: &Stage) -> Checked<String> {
    let mut text = "bank,booked_on,reference,amount,serial\n".to_owned();
    for (place, line) in stage.export("batches")?.iter().enumerate() {
        let cell: Vec<&str> = line.split(',').collect();
        let amount = if cell[1] == BANKS[0] { "60.00" } else { "90.00" };
        text += &format!("{},2018-07-05,{},{amount},S{place}\n", cell[1], cell[0]);
    }
    let city =
        stage.export("instructions")?.into_iter().find(|line| line.contains(",city,")).ok_or("no instruction")?;
    let taken_back = format!("C{:0>31}", city.split(',').next().unwrap_or_default());
    text += &format!("city,2018-12-19,{taken_back},-30.00,S7\nrural,2018-12-19,未注明,7.00,S8\n");
    Ok(text + "rural,2018-07-05,GT0001,30.00,S9\nrural,2018-07-05,GT0002,100.00,S10\n")
}

fn exception(stage: &Stage, class: &str) -> Checked<String> {
    let found = stage.query(&format!("SELECT CAST(id AS TEXT) FROM exception WHERE class = '{class}'"))?;
    found.into_iter().next().ok_or_else(|| format!("no exception {class}"))
}

fn acknowledgement(stage: &Stage) -> String {
    let bytes = fs::read(stage.drops("bureau/out/feed/postings-00000001.csv")).unwrap_or_default();
    let digest: String = daikou::transport::sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("number,sha256\n1,{digest}\n")
}

fn expost_paid() -> String {
    format!("id_number,fee_year,amount,paid_on\n{},2018,70.00,2018-12-20\n", id_number(WHOLE_TIER))
}

fn transfers() -> String {
    "payer,district,settlement_year,amount,received_on,reference\ncivil-affairs,500199,2018,700.00,2018-12-20,HK01\n"
        .to_owned()
}

/// One that is known, one of a person who paid before.
fn payments() -> String {
    format!(
        "id_number,fee_year,amount,paid_on,channel,reference\n{},2018,100.00,2018-07-05,counter,GT0002\n\
         {},2018,30.00,2018-12-20,counter,GT0003\n",
        id_number(WHOLE_TIER),
        id_number(0)
    )
}

/// The act as it is now, until its end or a death.
fn go(stage: &Stage, step: &Step, failpoint: Option<&str>) -> Checked<Came> {
    match step.1(stage)? {
        Act::Mail(inbox, name, text) => {
            // A file that was taken before the death is not given again.
            let marker = stage.beside(&format!("given-{name}"));
            if !marker.exists() {
                stage.put(inbox, name, text.as_bytes());
                fs::write(marker, "").unwrap();
            }
            stage.go_in(failpoint)
        }
        Act::Command(args) => {
            let new = stage.new_folder();
            let args: Vec<&str> = args.iter().map(|arg| if arg == "NEW" { new.as_str() } else { arg }).collect();
            Ok(stage.run("maker", &args, failpoint)?.0)
        }
        Act::Approve => {
            // The person repeats the command, whether something waits still or not.
            let list = stage.beside(&format!("waits-{}", step.0));
            if !list.exists() {
                let waits = stage.query("SELECT subject FROM approval WHERE state = 0 ORDER BY id")?;
                fs::write(&list, waits.join("\n")).unwrap();
            }
            let mut came = Came::ToItsEnd;
            for subject in fs::read_to_string(&list).unwrap().lines() {
                came = stage.run("checker", &["approve", subject], failpoint)?.0;
                if came == Came::ToItsDeath {
                    break;
                }
            }
            Ok(came)
        }
    }
}

/// A step of a run without a death.
struct Played {
    step: &'static Step,
    before: Stage,
    after: BTreeMap<String, String>,
    /// Places that it passes, and how often at most in one process.
    passed: BTreeMap<String, usize>,
}

/// The whole year without a death, step by step.
fn play(ways: &Ways) -> Vec<Played> {
    let mut stage = ways.booked().copy().on(TODAY, &[STRETCH]);
    for kind in ["lists", "zero-payment", "resolve", "settlement", "close"] {
        stage.set(&format!("\n{kind} = \"none\""), &format!("\n{kind} = \"second\""));
    }
    let mut played = Vec::new();
    for step in &STEPS {
        let before = stage.copy();
        let places = stage.beside("places");
        stage.with("DAIKOU_PLACES", places.display().to_string());
        assert_eq!(go(&stage, step, None), Ok(Came::ToItsEnd), "{}", step.0);
        stage = stage.on(TODAY, &[STRETCH]);
        let mut passed = BTreeMap::new();
        for (place, times) in numbers(&fs::read_to_string(&places).unwrap_or_default()) {
            let most = passed.entry(place).or_insert(0);
            *most = times.max(*most);
        }
        // Nothing, where it was a command that wrote nothing.
        let _ = fs::remove_file(&places);
        assert!(!passed.is_empty(), "{} passes no place: does it do anything?", step.0);
        stage.audit().unwrap_or_else(|words| panic!("{}: {words}", step.0));
        let after = stage.snapshot().unwrap();
        if let Some(last) = played.last() {
            let last: &Played = last;
            assert!(
                differences(&last.after, &after).is_err() || UNCHANGED.contains(&step.0),
                "{} changes nothing",
                step.0
            );
        }
        played.push(Played { step, before, after, passed });
    }
    played
}

/// How often each process passed each place.
fn numbers(places: &str) -> Vec<(String, usize)> {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    places.lines().for_each(|line| *counted.entry(line).or_insert(0) += 1);
    let place = |line: &str| line.split_once(' ').map_or(line, |(_, place)| place).to_owned();
    counted.into_iter().map(|(line, times)| (place(line), times)).collect()
}

impl Played {
    /// Places at which it is to die: the first time and the last time.
    fn places(&self) -> Vec<String> {
        let numbered = |(place, times): (&String, &usize)| -> Vec<String> {
            // The way of a copy and of a receipt is the same each time.
            let is_same = ["arrive.", "keep.", "receipt."].iter().any(|way| place.starts_with(way));
            let times = if is_same { BTreeSet::from([*times]) } else { BTreeSet::from([1, *times]) };
            times.into_iter().map(|time| format!("{place}:{time}")).collect()
        };
        self.passed.iter().flat_map(numbered).collect()
    }

    /// Dies there, and once more while it recovers. How often it died.
    fn die(&self, place: &str) -> Checked<usize> {
        let stage = self.before.copy();
        let mut died = 0;
        while died < 2 && go(&stage, self.step, Some(place))? == Came::ToItsDeath {
            died += 1;
        }
        if died == 0 {
            return Err("is not reached".to_owned());
        }
        if go(&stage, self.step, None)? == Came::ToItsDeath {
            return Err("dies without a failpoint".to_owned());
        }
        differences(&self.after, &stage.snapshot()?)?;
        if self.step.0 == "backup" && stage.whole_backups()?.is_empty() {
            return Err("no backup is whole".to_owned());
        }
        stage.audit().map(|()| died)
    }
}

/// `UPDATE=1` writes the table anew.
#[test]
fn after_a_death_in_the_rest_of_the_year_all_is_as_without_one() {
    let Some(program) = program() else { return };
    let ways = Ways::new(&program);
    let played = play(&ways);
    let work: Vec<(&Played, String)> =
        played.iter().flat_map(|played| played.places().into_iter().map(move |place| (played, place))).collect();
    let results = each(&work, |(played, place)| played.die(place));
    let mut failed = Vec::new();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for ((played, place), result) in work.iter().zip(results) {
        let name = place.split(':').next().unwrap_or_default();
        let row = rows.entry(name.to_owned()).or_default();
        if !row.steps.contains(&played.step.0) {
            row.steps.push(played.step.0);
        }
        match result {
            Ok(died) => row.deaths += died,
            Err(words) => failed.push(format!("{} at {place}: {words}", played.step.0)),
        }
    }
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), work.len(), failed.join("\n"));
    for (place, words) in &REST {
        assert!(rows.contains_key(*place), "{place} ({words}) is passed by no step");
    }
    let deaths: usize = rows.values().map(|row| row.deaths).sum();
    println!("{} runs, {deaths} deaths: the same in the end", work.len());
    page::keep("year", &table(&rows));
}

#[derive(Default)]
struct Row {
    steps: Vec<&'static str>,
    deaths: usize,
}

fn table(rows: &BTreeMap<String, Row>) -> String {
    let mut text = "| the process dies at | where | while | in the end |\n|---|---|---|---|\n".to_owned();
    let known: BTreeMap<&str, &str> = WAY_IN.into_iter().chain(WAY_OUT).chain(REST).chain(STRETCHES).collect();
    for (place, row) in rows {
        let words = match known.get(place.as_str()) {
            Some(words) => (*words).to_owned(),
            None if place.ends_with("before-commit") => "all of it is written, not committed".to_owned(),
            None => "it is committed".to_owned(),
        };
        text += &format!("| `{place}` | {words} | {} | the same |\n", row.steps.join(", "));
    }
    text
}
