//! The step `return`: which answer the bank gives to each row, and what is wrong with its file.

use super::script::Step;
use crate::bank_files::{self, Answer, Echo, Layout, Reply, Request};
use encoding_rs::GBK;

/// Full success for everybody, unless the step or a row says otherwise.
pub(super) fn reply(step: &Step, request: &Request) -> Result<Reply, String> {
    let booked_on = step.option("on").unwrap_or(&step.date);
    let rejected = step.option("reject");
    let mut answers = Vec::new();
    let mut others: Vec<usize> = (0..request.len()).filter(|_| !step.has("only")).collect();
    for words in &step.rows {
        let row = row_of(words.first().map_or("", String::as_str), request)?;
        others.retain(|other| *other != row);
        answers.extend(row_answers(row, &words[1..], request, booked_on)?);
    }
    for row in others {
        let code = if rejected.is_some() { "" } else { request.layout.success() };
        answers.push(plain(request, row, code, booked_on));
    }
    answers.sort_by_key(|answer| answer.row);
    let accepted = if request.layout == Layout::Rural { "0000" } else { "" };
    Ok(Reply {
        answers,
        file_code: rejected.unwrap_or(accepted).to_owned(),
        file_message: String::new(),
        created: format!("{}080000", compact(&step.date)),
        part: step.option("part").map_or(Ok(1), str::parse).map_err(|_| "`part` wants a number")?,
        last: !step.has("more"),
        skew: u64::from(step.option("damage") == Some("total")),
    })
}

/// The row of a person: by name, identity number or `#SEQUENCE`.
fn row_of(who: &str, request: &Request) -> Result<usize, String> {
    if let Some(sequence) = who.strip_prefix('#') {
        let sequence: usize = sequence.parse().map_err(|_| format!("{who} is no sequence"))?;
        return Some(sequence - 1).filter(|row| *row < request.len()).ok_or_else(|| format!("there is no row {who}"));
    }
    let is_it = |row: &usize| request.text(*row, Echo::Name) == who || request.text(*row, Echo::Id) == who;
    (0..request.len()).find(is_it).ok_or_else(|| format!("{who} is not in the request"))
}

/// `CODE [ACTUAL] [on=DATE|-] [serial=…] [name=… acct=… id=… amt=… instr=…] [cut] [twice]`, or `missing`.
fn row_answers(row: usize, words: &[String], request: &Request, booked_on: &str) -> Result<Vec<Answer>, String> {
    let Some((code, rest)) = words.split_first() else { return Err("a row wants a code".to_owned()) };
    if code == "missing" {
        return Ok(Vec::new());
    }
    let code = if code == "ok" { request.layout.success() } else { code };
    let rest_has_money = rest.first().is_some_and(|word| word.contains('.') && !word.contains('='));
    let (money, rest) = rest.split_at(usize::from(rest_has_money));
    let mut answer = plain(request, row, code, booked_on);
    if let Some(actual) = money.first() {
        book(&mut answer, request, bank_files::fen(actual), booked_on);
    }
    let mut times = 1;
    for word in rest {
        match word.split_once('=') {
            Some(("on", "-")) => (answer.booked_on, answer.booked_at) = (String::new(), String::new()),
            Some(("on", date)) => answer.booked_on = compact(date),
            Some(("serial", serial)) => answer.serial = serial.to_owned(),
            Some((field, value)) => answer.changed.push((echo(field)?, value.to_owned())),
            None if word == "cut" => answer.cut_name = true,
            None if word == "twice" => times = 2,
            None => return Err(format!("an answer has no {word:?}")),
        }
    }
    Ok(vec![answer; times])
}

fn echo(field: &str) -> Result<Echo, String> {
    match field {
        "name" => Ok(Echo::Name),
        "acct" => Ok(Echo::Account),
        "id" => Ok(Echo::Id),
        "amt" => Ok(Echo::Amount),
        "instr" => Ok(Echo::Instruction),
        _ => Err(format!("an answer has no field {field:?}")),
    }
}

/// The whole amount for a success, nothing for anything else.
fn plain(request: &Request, row: usize, code: &str, booked_on: &str) -> Answer {
    let mut answer = Answer {
        row,
        code: code.to_owned(),
        message: String::new(),
        actual: 0,
        booked_on: String::new(),
        booked_at: String::new(),
        serial: String::new(),
        changed: Vec::new(),
        cut_name: false,
    };
    if request.layout.is_success(code) {
        book(&mut answer, request, request.due(row), booked_on);
    }
    answer
}

/// Money moved: the bank has a date, a time and a serial for it. Each instruction has a serial of its own.
fn book(answer: &mut Answer, request: &Request, actual: u64, booked_on: &str) {
    let instruction = request.text(answer.row, Echo::Instruction);
    answer.actual = actual;
    answer.booked_on = compact(booked_on);
    answer.booked_at = if request.layout == Layout::Postal { String::new() } else { "231500".to_owned() };
    answer.serial = match request.layout {
        Layout::Rural => format!("B{}", &instruction[5..]),
        Layout::Postal => format!("P{}", &instruction[9..]),
        Layout::City => format!("C{instruction:0>31}"),
    };
}

fn compact(date: &str) -> String {
    date.replace('-', "")
}

/// Spoils the finished files; a wrong `total` is made before the digest, by [`reply`].
pub(super) fn damage(step: &Step, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), String> {
    let bytes = &mut files[0].1;
    match step.option("damage") {
        None | Some("total") => {}
        Some("truncated") => bytes.truncate(bytes.len() - 100),
        Some("empty") => bytes.clear(),
        Some("utf8") => *bytes = GBK.decode_without_bom_handling(bytes).0.into_owned().into_bytes(),
        // A digit of layout A's creation time: nothing but the digest can tell.
        Some("digest") => bytes[254] ^= 1,
        Some("no-control") => files.truncate(1),
        Some(kind) => return Err(format!("there is no damage {kind:?}")),
    }
    Ok(())
}

#[test]
fn rows_say_what_the_bank_answers() {
    let name = "NSH_500199000001_20180705_00000001.REQ";
    let path = format!("{}/tests/data/samples/{name}", env!("CARGO_MANIFEST_DIR"));
    let request = Request::read(name, &std::fs::read(path).unwrap());
    let mut step = Step::read(1, "2018-07-07 return rural on 2018-07-06").unwrap();
    for row in ["测试甲 1001", "#2 ok 20.00 on=2018-07-05 name=测试丙", "测试·丙堃 missing", "测试丁 ok twice"]
    {
        step.rows.push(row.split(' ').map(str::to_owned).collect());
    }
    let reply = reply(&step, &request).unwrap();
    let rows: Vec<_> = reply.answers.iter().map(|a| (a.row, a.code.as_str(), a.actual, a.booked_on.as_str())).collect();
    let ok = |row, actual| (row, "0000", actual, "20180706");
    let part = (1, "0000", 2_000, "20180705");
    assert_eq!(rows, [(0, "1001", 0, ""), part, ok(3, 43_000), ok(3, 43_000), ok(4, 3_000), ok(5, 3_000)]);
    assert_eq!(reply.answers[1].changed, [(Echo::Name, "测试丙".to_owned())]);
    assert_eq!(reply.answers[2].serial, "B0019900000000000004");
}
