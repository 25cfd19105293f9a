//! Tables of staff → typed rows. A row that cannot be read is refused in the words of a receipt; the others are taken.

pub mod payers;

use crate::domain::calendar::{Date, FeeYear, parse_date};
use crate::domain::ids::{AccountNumber, IdFault, IdNumber};
use crate::domain::money::Money;
use crate::domain::participant::{BankNumber, Category, DistrictCode, Participant, Status};
use crate::format::table::{Column, Row, Table};
use std::collections::HashSet;
use std::ops::Range;

/// What became of a table's rows.
#[derive(Debug)]
pub struct Intake<T> {
    /// Row number of their file, and what it says.
    pub rows: Vec<(u32, T)>,
    /// Why rows were refused; a row may have several.
    pub defects: Vec<RowDefect>,
    /// What looks odd and was taken all the same.
    pub warnings: Vec<RowDefect>,
}

/// One thing wrong with one row, in the terms of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDefect {
    /// Row of their file, from 1.
    pub row: u32,
    /// English name of the column; empty where the row as a whole is wrong.
    pub column: &'static str,
    /// Stable word.
    pub code: &'static str,
    /// What should have been there.
    pub expected: &'static str,
    /// What was there; personal data masked.
    pub found: String,
    /// For the sender: what is wrong.
    pub message_zh: String,
    /// For the sender: what to do.
    pub action_zh: &'static str,
    /// Whose row it is, where that can be read: on a list this person stays (R7).
    pub person: Option<IdNumber>,
    /// The name in the row, for our own use; never shown whole.
    pub name: Option<String>,
}

/// What words mean at this bureau.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// A district by code or name.
    pub district: &'a (dyn Fn(&str) -> Option<DistrictCode> + Sync),
    /// An entrusted bank by key or name.
    pub bank: &'a (dyn Fn(&str) -> Option<BankNumber> + Sync),
    /// Whether an identity number may begin with these six digits.
    pub knows_area: &'a (dyn Fn(i64) -> bool + Sync),
    /// Business date of arrival.
    pub arrived: Date,
}

/// One row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRow {
    /// Identity number.
    pub id: IdNumber,
    /// Name as the list writes it.
    pub name: String,
    /// Recognising district.
    pub district: DistrictCode,
    /// 认定类别.
    pub category: Category,
    /// 认定年度.
    pub year: i16,
    /// 数据日期, which orders lists (R7).
    pub as_of: Option<Date>,
}

/// One payment through another channel than a bank debit of ours (R14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    /// Identity number.
    pub id: IdNumber,
    /// The year that was paid.
    pub fee_year: FeeYear,
    /// How much.
    pub amount: Money,
    /// When.
    pub paid_on: Date,
    /// Through what; with `reference` the payment's key.
    pub channel: String,
    /// 凭证号.
    pub reference: String,
}

/// One line of a statement of the collection account (R22).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRow {
    /// The bank whose statement it is.
    pub bank: BankNumber,
    /// The bank's booking date.
    pub booked_on: Date,
    /// 摘要/批次号: whose money it is.
    pub reference: String,
    /// How much; money going out is negative.
    pub amount: Money,
    /// Bank serial; with the bank the line's key.
    pub serial: String,
}

/// A roster, judged as a whole: which of its rows are the same person.
pub struct Roster<'a> {
    table: &'a Table,
    words: Words<'a>,
    /// Rows that say what an earlier one says.
    repeated: HashSet<u32>,
    /// Rows of one person that contradict each other.
    contradicting: HashSet<u32>,
}

impl<'a> Roster<'a> {
    /// Looks through all rows for people who stand in more than one.
    pub fn new(table: &'a Table, words: Words<'a>) -> Roster<'a> {
        let parsed = |row: Row<'_>| Some(IdNumber::parse(row.get(Column::IdNumber)?).ok()?.id);
        let mut people: Vec<(IdNumber, usize)> =
            table.rows().enumerate().filter_map(|(index, row)| Some((parsed(row)?, index))).collect();
        people.sort_unstable();
        let mut roster = Roster { table, words, repeated: HashSet::new(), contradicting: HashSet::new() };
        for same in people.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            roster.compare(same);
        }
        roster
    }

    fn compare(&mut self, same: &[(IdNumber, usize)]) {
        let rows: Vec<Row<'_>> = same.iter().map(|(_, index)| self.table.row(*index)).collect();
        let read = |row: &Row<'_>| {
            let mut reader = Reader::new(*row, self.words);
            participant(&mut reader).filter(|_| reader.defects.is_empty())
        };
        let numbers = rows.iter().map(Row::number);
        let first = read(&rows[0]);
        if first.is_some() && rows[1..].iter().all(|row| read(row) == first) {
            self.repeated.extend(numbers.skip(1));
        } else {
            self.contradicting.extend(numbers);
        }
    }

    /// Number of rows of the table.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True for a roster without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The participants of some rows: large rosters are taken in parts.
    pub fn take(&self, rows: Range<usize>) -> Intake<Participant> {
        let new = rows.map(|index| self.table.row(index)).filter(|row| !self.repeated.contains(&row.number()));
        intake(new, self.words, |reader| {
            let value = participant(reader);
            if self.contradicting.contains(&reader.row.number()) {
                reader.refuse(Column::IdNumber, &ID_TWICE, String::new());
            }
            value
        })
    }
}

/// The whole roster.
pub fn participants(table: &Table, words: Words<'_>) -> Intake<Participant> {
    let roster = Roster::new(table, words);
    roster.take(0..roster.len())
}

/// A list of recognised people. Its scope (R1, R7) is judged by the caller.
pub fn lists(table: &Table, words: Words<'_>) -> Intake<ListRow> {
    // R4: nobody is recognised for a year that has not begun.
    let this_year = words.arrived.year();
    intake(table.rows(), words, |reader| {
        let (id, name) = (reader.id(), reader.name());
        let district = reader.required(Column::District, &DISTRICT, |text| (words.district)(text));
        let category = reader.required(Column::Category, &CATEGORY, Category::parse);
        let year =
            reader.required(Column::RecognizedYear, &PAST_YEAR, |text| year(text).filter(|year| *year <= this_year));
        let as_of = reader.optional(Column::AsOf, &DAY, day);
        Some(ListRow { id: id?, name: name?, district: district?, category: category?, year: year?, as_of })
    })
}

/// No contribution of one person and year comes near it: a larger amount is a slip of the keyboard.
const MOST_PAID: Money = Money::from_fen(10_000_000);

/// More than any batch collects and any payer owes for a year: a larger amount is a slip of the keyboard.
const MOST_MOVED: Money = Money::from_fen(100_000_000_000);

/// Payments through other channels.
pub fn payments(table: &Table, words: Words<'_>) -> Intake<PaymentRow> {
    intake(table.rows(), words, |reader| {
        let id = reader.id();
        let fee_year = reader.required(Column::FeeYear, &YEAR, year);
        let amount = reader.required(Column::Amount, &YUAN, |text| yuan(text).filter(|yuan| *yuan <= MOST_PAID));
        let paid_on = reader.required(Column::PaidOn, &DAY, day);
        let channel = reader.required(Column::Channel, &WORDS, plain);
        let reference = reader.required(Column::Reference, &WORDS, plain);
        Some(PaymentRow {
            id: id?,
            fee_year: fee_year?,
            amount: amount?,
            paid_on: paid_on?,
            channel: channel?,
            reference: reference?,
        })
    })
}

/// Lines of statements (R22).
pub fn statement(table: &Table, words: Words<'_>) -> Intake<StatementRow> {
    intake(table.rows(), words, |reader| {
        let bank = reader.required(Column::Bank, &BANK, |text| (words.bank)(text));
        let booked_on = reader.required(Column::BookedOn, &PAST, |text| day(text).filter(|day| *day <= words.arrived));
        let reference = reader.optional(Column::Reference, &WORDS, plain);
        let amount = reader.required(Column::Amount, &MOVED, moved);
        let serial = reader.required(Column::Serial, &WORDS, plain);
        Some(StatementRow {
            bank: bank?,
            booked_on: booked_on?,
            reference: reference.unwrap_or_default(),
            amount: amount?,
            serial: serial?,
        })
    })
}

/// Yuan that came, or went with a minus sign.
fn moved(text: &str) -> Option<Money> {
    sum(text).filter(|yuan| !yuan.is_zero() && (-MOST_MOVED..=MOST_MOVED).contains(yuan))
}

/// Acknowledgements of the feed: number and digest of a file.
pub fn feed_acks(table: &Table, words: Words<'_>) -> Intake<(i64, [u8; 32])> {
    intake(table.rows(), words, |reader| {
        let number = reader.required(Column::FeedNumber, &FEED_NUMBER, |text| text.parse().ok().filter(|n| *n > 0));
        let digest = reader.required(Column::Sha256, &DIGEST, digest);
        Some((number?, digest?))
    })
}

/// 64 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

fn participant(reader: &mut Reader<'_>) -> Option<Participant> {
    let words = reader.words;
    let (id, name) = (reader.id(), reader.name());
    let district = reader.required(Column::District, &DISTRICT, |text| (words.district)(text));
    let tier = reader.required(Column::Tier, &YUAN, yuan);
    let bank_text = reader.free(Column::Bank);
    let account = reader.account();
    let account_name = reader.optional(Column::AccountName, &NAME, personal_name);
    let status_since = reader.optional(Column::StatusSince, &DATE, parse_date);
    let status = Status::parse(reader.row.get(Column::Status).unwrap_or_default());
    if !status.is_known() {
        reader.warn(Column::Status, &STATUS, shown(Column::Status, status.as_str()));
    }
    Some(Participant {
        bank: (words.bank)(&bank_text),
        bank_text,
        account,
        account_name,
        status,
        status_since: status_since.unwrap_or(words.arrived),
        town: reader.free(Column::Town),
        village: reader.free(Column::Village),
        person_number: reader.free(Column::PersonNumber),
        id: id?,
        name: name?,
        district: district?,
        tier: tier?,
    })
}

/// Reads every row; one with a defect is refused, whatever could be read of it.
fn intake<'a, T>(
    rows: impl Iterator<Item = Row<'a>>,
    words: Words<'a>,
    read: impl Fn(&mut Reader<'a>) -> Option<T>,
) -> Intake<T> {
    let mut intake = Intake { rows: Vec::new(), defects: Vec::new(), warnings: Vec::new() };
    for row in rows {
        let mut reader = Reader::new(row, words);
        let value = read(&mut reader);
        if row.is_torn() {
            reader.refuse_row(&TORN);
        }
        match value {
            Some(value) if reader.defects.is_empty() => intake.rows.push((row.number(), value)),
            _ => intake.defects.append(&mut reader.defects),
        }
        intake.warnings.append(&mut reader.warnings);
    }
    intake
}

/// Reads the cells of one row and keeps what is wrong with them.
struct Reader<'a> {
    row: Row<'a>,
    words: Words<'a>,
    person: Option<IdNumber>,
    defects: Vec<RowDefect>,
    warnings: Vec<RowDefect>,
}

impl<'a> Reader<'a> {
    fn new(row: Row<'a>, words: Words<'a>) -> Reader<'a> {
        Reader { row, words, person: None, defects: Vec::new(), warnings: Vec::new() }
    }

    fn id(&mut self) -> Option<IdNumber> {
        let Some(text) = self.row.get(Column::IdNumber) else {
            self.refuse(Column::IdNumber, &ID_MISSING, String::new());
            return None;
        };
        match IdNumber::parse(text) {
            Ok(parsed) => {
                self.person = Some(parsed.id);
                self.judge(parsed.id)
            }
            Err(fault) => {
                self.refuse(Column::IdNumber, id_rule(text, fault), masked_id(text));
                None
            }
        }
    }

    fn judge(&mut self, id: IdNumber) -> Option<IdNumber> {
        if id.born() > self.words.arrived {
            self.refuse(Column::IdNumber, &ID_BORN_LATER, id.to_string());
            return None;
        }
        if !(self.words.knows_area)(id.area()) {
            self.warn(Column::IdNumber, &ID_AREA, id.to_string());
        }
        Some(id)
    }

    fn name(&mut self) -> Option<String> {
        self.required(Column::Name, &NAME, personal_name)
    }

    fn account(&mut self) -> Option<AccountNumber> {
        let text = self.row.get(Column::Account)?;
        let rule = if lost_digits(text) { &DIGITS_LOST } else { &ACCOUNT };
        let account = AccountNumber::parse(text).filter(|_| !lost_digits(text));
        if account.is_none() {
            self.refuse(Column::Account, rule, masked_tail(text));
        }
        account
    }

    fn required<T>(&mut self, column: Column, rule: &Rule, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.row.get(column).unwrap_or_default();
        let value = Some(text).filter(|text| !text.is_empty()).and_then(parse);
        if value.is_none() {
            self.refuse(column, rule, shown(column, text));
        }
        value
    }

    fn optional<T>(&mut self, column: Column, rule: &Rule, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.row.get(column)?;
        self.required(column, rule, parse)
    }

    fn free(&self, column: Column) -> String {
        self.row.get(column).unwrap_or_default().to_owned()
    }

    fn refuse(&mut self, column: Column, rule: &Rule, found: String) {
        let defect = self.defect(column, rule, found);
        self.defects.push(defect);
    }

    /// For what looks odd and is taken all the same.
    fn warn(&mut self, column: Column, rule: &Rule, found: String) {
        let warning = self.defect(column, rule, found);
        self.warnings.push(warning);
    }

    /// For what is wrong with the row as a whole.
    fn refuse_row(&mut self, rule: &Rule) {
        let defect = self.told("", rule, rule.message_zh.to_owned(), String::new());
        self.defects.push(defect);
    }

    fn defect(&self, column: Column, rule: &Rule, found: String) -> RowDefect {
        let said = if found.is_empty() { String::new() } else { format!("，收到“{found}”") };
        let message_zh = format!("{}{}{said}", self.row.heading(column), rule.message_zh);
        self.told(column.word(), rule, message_zh, found)
    }

    fn told(&self, column: &'static str, rule: &Rule, message_zh: String, found: String) -> RowDefect {
        RowDefect {
            row: self.row.number(),
            column,
            code: rule.code,
            expected: rule.expected,
            message_zh,
            found,
            action_zh: rule.action_zh,
            person: self.person,
            name: self.row.get(Column::Name).map(str::to_owned),
        }
    }
}

/// What a cell must be, and the words for when it is not.
struct Rule {
    code: &'static str,
    expected: &'static str,
    message_zh: &'static str,
    action_zh: &'static str,
}

const fn rule(code: &'static str, expected: &'static str, message_zh: &'static str, action_zh: &'static str) -> Rule {
    Rule { code, expected, message_zh, action_zh }
}

const AS_TEXT: &str = "请把该列设为文本格式，重新填入完整号码后报送";
const ON_PAPER: &str = "请核对证件后改正";
const MEND: &str = "请改正后重新报送";

const TORN: Rule = rule(
    "torn",
    "as many cells as the heading, none torn by a separator",
    "本行的格数多于表头，或金额被逗号拆开，内容已错位",
    "含有分隔符（如 1,000.00）的格请加双引号后重新报送",
);
const ID_MISSING: Rule = rule("id-missing", "an identity number", "为空", "请填写身份证号后重新报送");
const ID_LENGTH: Rule =
    rule("id-length", "18 characters (15 of an old one, 20 of a disability number)", "位数不对，应为18位", ON_PAPER);
const ID_SEVERAL: Rule = rule(
    "id-several",
    "one identity number",
    "一格内有多个号码（按户填写）",
    "请改为每人一行，每行只填一个身份证号后报送",
);
const ID_CHARACTER: Rule = rule("id-character", "digits, the last may be X", "含有数字和 X 以外的字符", ON_PAPER);
const ID_CHECK_DIGIT: Rule = rule("id-check-digit", "the check digit of GB 11643", "校验码不符", ON_PAPER);
const ID_BIRTH_DATE: Rule = rule("id-birth-date", "a date of birth", "中的出生日期不存在", ON_PAPER);
const ID_BORN_LATER: Rule =
    rule("id-birth-date", "a date of birth before arrival", "中的出生日期晚于报送日期", ON_PAPER);
const ID_AREA: Rule = rule("id-area", "a known area code", "的地区代码不认识，已照收", "请核对证件，无误则不必处理");
const STATUS: Rule = rule(
    "status-unknown",
    "正常, or a usual word for another status: 暂停, 终止, 死亡",
    "不是常用的说法，已照收，按不正常处理，此人不生成缴费计划",
    "确不正常的不必处理；正常的请改为“正常”后重新报送",
);
const ID_TWICE: Rule = rule(
    "id-twice",
    "one row of a person, or rows that agree",
    "在本文件中出现多次且内容不一致，均未采用",
    "请只保留正确的一行后重新报送",
);
const DIGITS_LOST: Rule = rule("digits-lost", "all digits, as text", "被 Excel 按数值保存，末尾数字已丢失", AS_TEXT);
const ACCOUNT: Rule =
    rule("account", "digits, letters and hyphens, at least four", "格式不对", "请核对存折或银行卡后改正");
const NAME: Rule = rule(
    "name",
    "a name without control characters, private-use characters and question marks",
    "为空，或含有控制字符、用户自造字、问号等无法识别的字符",
    "请用标准字库中的字重新填写；生僻字请与经办人员联系",
);
const DISTRICT: Rule = rule("district", "the code or name of a district", "不是已知的区县代码或名称", MEND);
const CATEGORY: Rule = rule("category", "one of the four categories", "不是四类代缴对象之一", MEND);
const YUAN: Rule = rule("amount", "yuan above zero with at most two decimals", "应为大于零的元，最多两位小数", MEND);
const FEED_NUMBER: Rule = rule("feed-number", "the number of a file of postings", "应为推送文件的序号", MEND);
const DIGEST: Rule =
    rule("feed-digest", "a SHA-256, 64 hexadecimal digits", "应为推送文件的 SHA-256（64 位十六进制）", MEND);
const BANK: Rule = rule("bank", "the key or a name of an entrusted bank", "不是委托银行", MEND);
const PAST: Rule = rule(
    "date",
    "a date from 2000 until today, such as 2018-07-05",
    "应为2000年至今日之间的日期，例如2018-07-05",
    MEND,
);
const MOVED: Rule = rule(
    "amount",
    "yuan with at most two decimals, negative for money going out, not zero, at most 1,000,000,000.00",
    "应为元，最多两位小数，不为零，出款为负数，不超过十亿元",
    MEND,
);
const PAST_YEAR: Rule = rule("year", "a year from 2000 to this one", "应为2000年至今年之间的年份", MEND);
const YEAR: Rule = rule("year", "a year from 2000 to 2100", "应为2000至2100之间的年份", MEND);
const DAY: Rule = rule("date", "a date from 2000 on, such as 2018-07-05", "应为2000年以后的日期，例如2018-07-05", MEND);
const DATE: Rule = rule("date", "a date such as 2018-07-05", "应为日期，例如2018-07-05", MEND);
const WORDS: Rule = rule("text", "a text without control characters", "为空或含有控制字符", MEND);

fn id_rule(text: &str, fault: IdFault) -> &'static Rule {
    match fault {
        _ if lost_digits(text) => &DIGITS_LOST,
        _ if has_several(text) => &ID_SEVERAL,
        // Excel keeps fifteen digits and writes zeros for the rest.
        IdFault::CheckDigit(_) if text.ends_with("000") => &DIGITS_LOST,
        IdFault::Length(_) => &ID_LENGTH,
        IdFault::Character(_) => &ID_CHARACTER,
        IdFault::CheckDigit(_) => &ID_CHECK_DIGIT,
        IdFault::BirthDate => &ID_BIRTH_DATE,
    }
}

/// Two numbers of fifteen digits or more in one cell: a household.
fn has_several(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).filter(|digits| digits.len() >= 15).count() > 1
}

/// `5.00199E+17`: a number that Excel shortened.
fn lost_digits(text: &str) -> bool {
    text.split_once(['E', 'e']).is_some_and(|(number, exponent)| {
        let exponent = exponent.trim_start_matches('+');
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        digits(number) && digits(exponent) && exponent.len() <= 2
    })
}

/// A name that a bank can be sent: none of what encodings leave behind where they lost a character.
pub fn personal_name(text: &str) -> Option<String> {
    let private = |c: char| matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffd}' | '\u{f0000}'..);
    let lost = |c: char| c.is_control() || private(c) || matches!(c, '?' | '？' | '□' | '#');
    (!text.chars().any(lost)).then(|| text.to_owned())
}

fn plain(text: &str) -> Option<String> {
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

fn yuan(text: &str) -> Option<Money> {
    sum(text).filter(|amount| amount.is_positive())
}

/// Yuan as sheets show them: `1,000.00` too, where every comma stands before three digits.
fn sum(text: &str) -> Option<Money> {
    let (whole, decimals) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut groups = whole.split(',');
    let first = groups.next()?.trim_start_matches('-');
    let mut rest = groups.peekable();
    let is_grouped = rest.peek().is_none() || (1..=3).contains(&first.len()) && rest.all(|group| group.len() == 3);
    Money::parse_yuan(&(whole.replace(',', "") + decimals)).filter(|_| is_grouped)
}

/// A day on which business can have been done; 1900 and 1990 are what a spreadsheet makes of a slip.
fn day(text: &str) -> Option<Date> {
    parse_date(text).filter(|day| day.year() >= 2000)
}

fn year(text: &str) -> Option<i16> {
    let digits = text.strip_suffix('年').unwrap_or(text);
    digits.parse().ok().filter(|year| digits.len() == 4 && (2000..=2100).contains(year))
}

/// What may be said of a cell: people's numbers and names are masked, long texts cut.
fn shown(column: Column, text: &str) -> String {
    match column {
        Column::IdNumber => masked_id(text),
        Column::Account => masked_tail(text),
        Column::Name | Column::AccountName => masked_name(text),
        _ => text.chars().filter(|c| !c.is_control()).take(40).collect(),
    }
}

/// First six, last four.
fn masked_id(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() < 15 {
        return "*".repeat(chars.len());
    }
    let (head, tail) = (&chars[..6], &chars[chars.len() - 4..]);
    head.iter().copied().chain(std::iter::repeat_n('*', chars.len() - 10)).chain(tail.iter().copied()).collect()
}

/// Last four.
fn masked_tail(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() < 8 {
        return "*".repeat(chars.len());
    }
    "****".chars().chain(chars[chars.len() - 4..].iter().copied()).collect()
}

/// First character.
fn masked_name(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(1).chain(text.chars().nth(1).map(|_| '*')).collect()
}

#[cfg(test)]
mod tests;
