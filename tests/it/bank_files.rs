//! What a bank would answer: reads a request file and writes its return file.
//!
//! Offsets are written out from `layouts.md` and nothing of the product is used, so that its reader and writer have
//! something to be held against.

use encoding_rs::{Encoding, GB18030, GBK};
use sm3::{Digest, Sm3};
use std::ops::Range;

/// One of the three shipped layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Rural,
    Postal,
    City,
}

impl Layout {
    /// The layout whose request files end like this; `None` for a control file or anything else.
    pub(crate) fn of_request(name: &str) -> Option<Layout> {
        match name.rsplit_once('.')?.1 {
            "REQ" => Some(Layout::Rural),
            "TXT" => Some(Layout::Postal),
            "DAT" => Some(Layout::City),
            _ => None,
        }
    }

    fn charset(self) -> &'static Encoding {
        if self == Layout::City { GB18030 } else { GBK }
    }

    fn line_end(self) -> &'static [u8] {
        if self == Layout::Rural { b"\r\n" } else { b"\n" }
    }

    /// Whether this code says that the money was taken.
    pub(crate) fn is_success(self, code: &str) -> bool {
        match self {
            Layout::Rural => code == "0000",
            Layout::Postal => code == "Y",
            Layout::City => ["AAAAAAA", "0", "00"].contains(&code),
        }
    }

    /// The code of a success, as this bank usually writes it.
    pub(crate) fn success(self) -> &'static str {
        match self {
            Layout::Rural => "0000",
            Layout::Postal => "Y",
            Layout::City => "AAAAAAA",
        }
    }

    fn bytes_of(self, field: Echo) -> Range<usize> {
        match (self, field) {
            (Layout::Rural, Echo::Instruction) => 9..33,
            (Layout::Rural, Echo::Id) => 33..51,
            (Layout::Rural, Echo::Account) => 51..83,
            (Layout::Rural, Echo::Name) => 83..143,
            (Layout::Rural, Echo::Amount) => 143..155,
            (Layout::Postal, Echo::Account) => 26..48,
            (Layout::Postal, Echo::Name) => 48..88,
            (Layout::Postal, Echo::Id) => 88..106,
            (Layout::Postal, Echo::Amount) => 106..118,
            (Layout::Postal, Echo::Instruction) => 148..180,
            (Layout::City, Echo::Instruction) => 11..43,
            (Layout::City, Echo::Account) => 44..76,
            (Layout::City, Echo::Name) => 77..197,
            (Layout::City, Echo::Id) => 201..219,
            (Layout::City, Echo::Amount) => 220..235,
        }
    }
}

/// A field that the bank repeats from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    Instruction,
    Id,
    Account,
    Name,
    Amount,
}

/// A request file, cut into its lines.
pub(crate) struct Request {
    pub(crate) layout: Layout,
    name: String,
    header: Vec<u8>,
    rows: Vec<Vec<u8>>,
}

impl Request {
    /// Cuts a request file into lines. Panics on what is no request of the layout that its name says.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Request {
        let layout = Layout::of_request(name).unwrap_or_else(|| panic!("{name} is not the name of a request"));
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = rest.iter().position(|b| *b == b'\n').expect("every line ends") + 1;
            lines.push(rest[..end - layout.line_end().len()].to_vec());
            rest = &rest[end..];
        }
        let framed = layout != Layout::Postal;
        let header = if framed { lines.remove(0) } else { Vec::new() };
        if framed {
            lines.pop();
        }
        Request { layout, name: name.to_owned(), header, rows: lines }
    }

    /// Number of detail rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The text of a field of a row, without its padding.
    pub(crate) fn text(&self, row: usize, field: Echo) -> String {
        text_of(self.layout, &self.rows[row], field)
    }

    /// What the row asks for, in fen.
    pub(crate) fn due(&self, row: usize) -> u64 {
        fen(&self.text(row, Echo::Amount))
    }
}

/// Reads `30.00` or `3000` (fen) as fen.
pub(crate) fn fen(text: &str) -> u64 {
    let digits: String = text.chars().filter(|c| *c != '.').collect();
    digits.parse().unwrap_or_else(|_| panic!("{text:?} is no amount"))
}

/// What the bank says of one row.
#[derive(Clone)]
pub(crate) struct Answer {
    /// The row of the request, from 0.
    pub(crate) row: usize,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) actual: u64,
    /// `yyyymmdd`, or empty.
    pub(crate) booked_on: String,
    /// `hhmmss`, or empty.
    pub(crate) booked_at: String,
    pub(crate) serial: String,
    /// Fields that come back other than they went out.
    pub(crate) changed: Vec<(Echo, String)>,
    /// The bank cuts the name in the middle of its last character.
    pub(crate) cut_name: bool,
}

/// A return file as a whole.
pub(crate) struct Reply {
    pub(crate) answers: Vec<Answer>,
    pub(crate) file_code: String,
    pub(crate) file_message: String,
    /// `yyyymmddhhmmss`
    pub(crate) created: String,
    /// Layout C only: which of the files of this batch it is, and whether it is the last.
    pub(crate) part: u32,
    pub(crate) last: bool,
    /// Added to the sum of successes, to make it wrong.
    pub(crate) skew: u64,
}

/// Success and failure counts and amounts (`layouts.md`: actual where ok, due elsewhere).
struct Totals {
    count: usize,
    due: u64,
    ok: usize,
    ok_amount: u64,
    ng: usize,
    ng_amount: u64,
}

/// The files of a reply with their names, in the order in which a bank publishes them.
pub(crate) fn write(request: &Request, reply: &Reply) -> Vec<(String, Vec<u8>)> {
    match request.layout {
        Layout::Rural => vec![rural(request, reply)],
        Layout::Postal => postal(request, reply),
        Layout::City => vec![city(request, reply)],
    }
}

fn totals(request: &Request, reply: &Reply) -> Totals {
    let mut sums = Totals { count: reply.answers.len(), due: 0, ok: 0, ok_amount: reply.skew, ng: 0, ng_amount: 0 };
    for answer in &reply.answers {
        let due = fen(&text_of(request.layout, &echoed(request, answer), Echo::Amount));
        sums.due += due;
        if request.layout.is_success(&answer.code) {
            sums.ok += 1;
            sums.ok_amount += answer.actual;
        } else {
            sums.ng += 1;
            sums.ng_amount += due;
        }
    }
    sums
}

fn rural(request: &Request, reply: &Reply) -> (String, Vec<u8>) {
    let sums = totals(request, reply);
    let mut head = request.header.clone();
    put(&mut head, 1, b"RSP");
    put(&mut head, 87, &number(sums.count as u64, 8));
    put(&mut head, 95, &number(sums.due, 15));
    put(&mut head, 110, &number(sums.ok as u64, 8));
    put(&mut head, 118, &number(sums.ok_amount, 15));
    put(&mut head, 133, &number(sums.ng as u64, 8));
    put(&mut head, 141, &number(sums.ng_amount, 15));
    put(&mut head, 188, &text(Layout::Rural, &reply.file_code, 4));
    put(&mut head, 192, &text(Layout::Rural, &reply.file_message, 60));
    put(&mut head, 252, reply.created.as_bytes());
    let mut body = [&head[..], b"\r\n"].concat();
    let mut tails = 0;
    for answer in &reply.answers {
        let row = rural_row(request, answer);
        let account = String::from_utf8(row[51..83].to_vec()).expect("accounts are ASCII");
        let account = account.trim();
        tails += account[account.len().saturating_sub(8)..].parse::<u64>().expect("accounts end in digits");
        body.extend_from_slice(&row);
        body.extend_from_slice(b"\r\n");
    }
    let trailer = format!("T{:08}{:015}{tails:016}{}{:196}\r\n", sums.count, sums.due, digest(&body), "");
    body.extend_from_slice(trailer.as_bytes());
    (request.name.replace(".REQ", ".RSP"), body)
}

fn rural_row(request: &Request, answer: &Answer) -> Vec<u8> {
    let mut row = echoed(request, answer);
    put(&mut row, 184, &number(answer.actual, 12));
    put(&mut row, 196, &text(Layout::Rural, &answer.code, 4));
    put(&mut row, 200, &text(Layout::Rural, &answer.message, 40));
    put(&mut row, 240, &text(Layout::Rural, &answer.booked_on, 8));
    put(&mut row, 248, &text(Layout::Rural, &answer.booked_at, 6));
    put(&mut row, 254, &text(Layout::Rural, &answer.serial, 20));
    row
}

fn postal(request: &Request, reply: &Reply) -> Vec<(String, Vec<u8>)> {
    let sums = totals(request, reply);
    let mut data = Vec::new();
    for answer in &reply.answers {
        data.extend(echoed(request, answer));
        data.extend(text(Layout::Postal, &answer.code, 1));
        data.extend(text(Layout::Postal, &answer.message, 30));
        data.extend(yuan(answer.actual, 12));
        data.extend(text(Layout::Postal, &answer.booked_on, 8));
        data.extend(text(Layout::Postal, &answer.serial, 16));
        data.push(b'\n');
    }
    let name = request.name.replacen("DK", "HP", 1);
    let mut control = format!("f{name:64}{:012}{:08}", data.len(), sums.count).into_bytes();
    control.extend(yuan(sums.due, 16));
    control.extend(format!("SM3 {}{}{:08}", digest(&data), reply.created, sums.ok).bytes());
    control.extend(yuan(sums.ok_amount, 16));
    control.extend(number(sums.ng as u64, 8));
    control.extend(yuan(sums.ng_amount, 16));
    control.push(b'\n');
    let control_name = name.replace(".TXT", ".CTL");
    vec![(name, data), (control_name, control)]
}

fn city(request: &Request, reply: &Reply) -> (String, Vec<u8>) {
    let sums = totals(request, reply);
    let head = &request.header;
    let mut body = Vec::new();
    piped(&mut body, &[b"0", b"C1.0", &head[7..21], &head[22..42], &number(u64::from(reply.part), 2)]);
    piped(&mut body, &[if reply.last { b"Y" } else { b"N" }, &text(Layout::City, &reply.file_code, 8)]);
    piped(&mut body, &[&text(Layout::City, &reply.file_message, 80), &reply.created.as_bytes()[..8]]);
    piped(&mut body, &[&number(sums.count as u64, 8)]);
    body.push(b'\n');
    for answer in &reply.answers {
        let row = echoed(request, answer);
        let booked = format!("{}{}", answer.booked_on, answer.booked_at);
        piped(&mut body, &[b"1", &row[11..43], &row[44..76], &row[220..235], &number(answer.actual, 15)]);
        piped(&mut body, &[&text(Layout::City, &answer.code, 8), &text(Layout::City, &answer.message, 80)]);
        piped(&mut body, &[&text(Layout::City, &booked, 14), &text(Layout::City, &answer.serial, 32)]);
        body.push(b'\n');
    }
    let sm3 = digest(&body);
    piped(&mut body, &[b"9", &number(sums.count as u64, 8), &number(sums.ok as u64, 8)]);
    piped(&mut body, &[&number(sums.ok_amount, 15), &number(sums.ng as u64, 8), &number(sums.ng_amount, 15)]);
    piped(&mut body, &[sm3.as_bytes()]);
    body.push(b'\n');
    (request.name.replace("_Q.DAT", &format!("_R{:02}.DAT", reply.part)), body)
}

/// The row of the request with the changes that the answer makes to its own fields.
fn echoed(request: &Request, answer: &Answer) -> Vec<u8> {
    let layout = request.layout;
    let mut row = request.rows[answer.row].clone();
    for (field, value) in &answer.changed {
        let place = layout.bytes_of(*field);
        let width = place.len();
        let bytes = match (field, layout) {
            (Echo::Amount, Layout::Postal) => yuan(fen(value), width),
            (Echo::Amount, _) => number(fen(value), width),
            _ => text(layout, value, width),
        };
        put(&mut row, place.start, &bytes);
    }
    if answer.cut_name {
        let place = layout.bytes_of(Echo::Name);
        let last = row[place.clone()].iter().rposition(|b| *b != b' ').expect("a name is not empty");
        row[place.start + last] = b' ';
    }
    row
}

fn text_of(layout: Layout, row: &[u8], field: Echo) -> String {
    layout.charset().decode_without_bom_handling(&row[layout.bytes_of(field)]).0.trim().to_owned()
}

fn put(record: &mut [u8], offset: usize, bytes: &[u8]) {
    record[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn piped(body: &mut Vec<u8>, fields: &[&[u8]]) {
    for field in fields {
        body.extend_from_slice(field);
        body.push(b'|');
    }
}

pub(crate) fn number(value: u64, width: usize) -> Vec<u8> {
    format!("{value:0width$}").into_bytes()
}

pub(crate) fn yuan(value: u64, width: usize) -> Vec<u8> {
    let text = format!("{}.{:02}", value / 100, value % 100);
    format!("{text:>width$}").into_bytes()
}

fn text(layout: Layout, value: &str, width: usize) -> Vec<u8> {
    let mut bytes = layout.charset().encode(value).0.into_owned();
    assert!(bytes.len() <= width, "{value:?} is wider than {width} bytes");
    bytes.resize(width, b' ');
    bytes
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    Sm3::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The sample exchanges were made by another program: the same answers must give the same bytes.
mod samples {
    use super::*;

    fn sample(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/data/samples/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn success(row: usize, request: &Request, booked_at: &str, message: &str, serial: String) -> Answer {
        Answer {
            row,
            code: request.layout.success().to_owned(),
            message: message.to_owned(),
            actual: request.due(row),
            booked_on: "20180706".to_owned(),
            booked_at: booked_at.to_owned(),
            serial,
            changed: Vec::new(),
            cut_name: false,
        }
    }

    fn failure(row: usize, code: &str, message: &str) -> Answer {
        Answer {
            row,
            code: code.to_owned(),
            message: message.to_owned(),
            actual: 0,
            booked_on: String::new(),
            booked_at: String::new(),
            serial: String::new(),
            changed: Vec::new(),
            cut_name: false,
        }
    }

    fn reply(answers: Vec<Answer>, file_code: &str, file_message: &str, created: &str) -> Reply {
        Reply {
            answers,
            file_code: file_code.to_owned(),
            file_message: file_message.to_owned(),
            created: created.to_owned(),
            part: 1,
            last: true,
            skew: 0,
        }
    }

    #[track_caller]
    fn check(request: &Request, reply: &Reply) {
        for (name, bytes) in write(request, reply) {
            assert!(bytes == sample(&name), "{name} differs from the sample:\n{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn rural_return_is_the_sample() {
        let name = "NSH_500199000001_20180705_00000001.REQ";
        let request = Request::read(name, &sample(name));
        let ok = |row: usize| success(row, &request, "231500", "扣款成功", format!("B{:019}", row + 1));
        let answers = vec![
            ok(0),
            ok(1),
            failure(2, "1003", "户名不符"),
            failure(3, "1001", "余额不足"),
            ok(4),
            failure(5, "9001", "处理超时,结果待查"),
        ];
        check(&request, &reply(answers, "0000", "受理成功", "20180707080000"));
    }

    #[test]
    fn postal_return_and_its_control_file_are_the_samples() {
        let name = "DK20180705500199010001.TXT";
        let request = Request::read(name, &sample(name));
        let ok = |row: usize| success(row, &request, "", "成功", format!("P{:015}", row + 1));
        let answers = vec![
            ok(0),
            ok(1),
            failure(2, "N", "户名不符"),
            failure(3, "E", "余额不足"),
            ok(4),
            failure(5, "U", "结果不明"),
        ];
        check(&request, &reply(answers, "", "", "20180707090000"));
    }

    #[test]
    fn city_returns_are_the_samples() {
        let name = "CSH_500199000001_20180705C0000001_Q.DAT";
        let request = Request::read(name, &sample(name));
        assert_eq!(request.text(1, Echo::Name), "测试𬭎䶮");
        let ok = success(0, &request, "230000", "成功", format!("C{:031}", 0));
        let mut first = reply(vec![ok, failure(2, "51", "账户余额不足")], "0", "", "20180707000000");
        first.last = false;
        check(&request, &first);
        let rare = failure(1, "E1003-7", "户名含生僻字,核对不符");
        let mut second = reply(vec![rare], "0", "", "20180708000000");
        second.part = 2;
        check(&request, &second);
    }
}
