//! Receipts (回执): what became of a drop file, for machines and for the people who sent it.

use crate::config::Config;
use crate::daemon::bureau::{Bureau, Step};
use crate::domain::participant::{BankNumber, DistrictCode, Payer};
use crate::format::cell::{Kind, masked};
use crate::pipeline::difference::Moved;
use crate::pipeline::emit::Finding;
use crate::pipeline::lists::Recognised;
use crate::store::{FileState, Txn};
use crate::transport::place::{publish, sanitised};
use crate::transport::{Error, hex, make_shared_folder};
use serde::Serialize;
use std::ffi::OsStr;

/// Who sent a drop file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A department of a district.
    Department(Payer, DistrictCode),
    /// The bureau itself.
    Bureau,
    /// An entrusted bank: number and key.
    Bank(BankNumber, String),
}

impl Sender {
    /// Reads `payer/district`, `bureau`, or a bank's key, as `--from` and exports write them.
    pub fn parse(config: &Config, text: &str) -> Option<Sender> {
        if text == "bureau" {
            return Some(Sender::Bureau);
        }
        if let Some((payer, district)) = text.split_once('/') {
            return Some(Sender::Department(Payer::parse(payer)?, config.districts.code(district)?));
        }
        config.banks.iter().find(|bank| bank.key == text).map(|bank| Sender::Bank(bank.number, bank.key.clone()))
    }

    /// The text of exports.
    pub fn text(&self) -> String {
        match self {
            Sender::Department(payer, district) => format!("{}/{district}", payer.word()),
            Sender::Bureau => "bureau".to_owned(),
            Sender::Bank(_, key) => key.clone(),
        }
    }

    /// The sender's folder below `drops/`.
    pub fn folder(&self) -> String {
        match self {
            Sender::Department(..) => format!("departments/{}", self.text()),
            Sender::Bureau => "bureau".to_owned(),
            Sender::Bank(_, key) => format!("banks/{key}"),
        }
    }

    /// Where its receipts go, below `drops/`: a bank's to the bureau, unless it wants them.
    pub(super) fn receipts(&self, config: &Config) -> String {
        match self {
            Sender::Bank(number, key) if !config.bank(*number).is_some_and(|bank| bank.receipts) => {
                format!("bureau/out/receipts/{key}")
            }
            _ => format!("{}/out", self.folder()),
        }
    }
}

/// What became of a drop file.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Our number of the file.
    pub file: i64,
    /// Its name, printable.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its kind.
    pub kind: String,
    /// Who sent it.
    pub from: Sender,
    /// Its final state.
    pub state: FileState,
    /// Rows that took effect.
    pub accepted: u64,
    /// Rows refused.
    pub refused: u64,
    /// What is wrong with it, row by row.
    pub findings: Vec<Finding>,
    /// What else the sender should know.
    pub notes: Vec<String>,
    /// Whom a list moves (R7).
    pub moves: Vec<Moved>,
}

#[derive(Serialize)]
struct Shown<'a> {
    file: i64,
    name: &'a str,
    sha256: String,
    kind: &'a str,
    from: String,
    state: &'a str,
    accepted: u64,
    refused: u64,
    rows: Vec<ShownRow<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<ShownRow<'a>>,
    notes: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    difference: Vec<ShownMove>,
}

/// One person of a list's difference, hidden: the sender finds the row, nobody else the person.
#[derive(Serialize)]
struct ShownMove {
    change: &'static str,
    row: Option<u32>,
    id_number: String,
    name: String,
    was: Option<&'static str>,
    now: Option<&'static str>,
}

impl From<&Moved> for ShownMove {
    fn from(moved: &Moved) -> ShownMove {
        let category = |row: &Option<Recognised>| row.as_ref().map(|row| row.category.word());
        ShownMove {
            change: moved.how.word(),
            row: moved.row,
            id_number: masked(Kind::Id, &moved.id.text()),
            name: masked(Kind::Name, moved.name()),
            was: category(&moved.was),
            now: category(&moved.now),
        }
    }
}

#[derive(Serialize)]
struct ShownRow<'a> {
    row: Option<u64>,
    column: &'a str,
    byte: Option<u64>,
    code: &'a str,
    expected: &'a str,
    found: &'a str,
    message_zh: &'a str,
    action_zh: &'a str,
}

impl<'a> From<&'a Finding> for ShownRow<'a> {
    fn from(finding: &'a Finding) -> ShownRow<'a> {
        ShownRow {
            row: finding.row,
            column: &finding.column,
            byte: finding.byte,
            code: finding.code,
            expected: &finding.expected,
            found: &finding.found,
            message_zh: &finding.message_zh,
            action_zh: &finding.action_zh,
        }
    }
}

impl Receipt {
    /// True where a person should look: quarantined, or rows refused.
    pub fn has_findings(&self) -> bool {
        self.state == FileState::Quarantined || self.refused > 0
    }

    /// The receipt for machines.
    pub fn json(&self) -> serde_json::Value {
        let (warnings, rows): (Vec<&Finding>, Vec<&Finding>) =
            self.findings.iter().partition(|finding| finding.is_warning);
        let shown = Shown {
            file: self.file,
            name: &self.name,
            sha256: hex(&self.sha256),
            kind: &self.kind,
            from: self.from.text(),
            state: self.state.word(),
            accepted: self.accepted,
            refused: self.refused,
            rows: rows.into_iter().map(ShownRow::from).collect(),
            warnings: warnings.into_iter().map(ShownRow::from).collect(),
            notes: &self.notes,
            difference: self.moves.iter().map(ShownMove::from).collect(),
        };
        serde_json::to_value(shown).expect("a receipt is plain text and numbers")
    }

    /// The receipt for people.
    pub fn text(&self) -> String {
        let state = match self.state {
            FileState::Duplicate => "：此前已处理，未再处理",
            FileState::Quarantined => "：未产生任何变动",
            FileState::Processed | FileState::Arrived | FileState::Claimed => "",
        };
        let state = format!("{} {}{state}", self.state.chinese(), self.state.word());
        let mut text = format!(
            "回执\n文件：{}\n摘要：{}\n结果：{state}\n接受：{} 行　退回：{} 行\n",
            self.name,
            hex(&self.sha256),
            self.accepted,
            self.refused
        );
        for note in &self.notes {
            text.push_str(&format!("说明：{note}\n"));
        }
        for finding in &self.findings {
            let odd = if finding.is_warning { "提示：" } else { "" };
            text.push_str(&format!("{odd}{}。{}\n", self.said(finding), finding.action_zh));
        }
        for moved in self.moves.iter().take(MOVES_SAID) {
            text.push_str(&said_move(moved));
        }
        if self.moves.len() > MOVES_SAID {
            text.push_str(&format!("其余 {} 人见回执表格\n", self.moves.len() - MOVES_SAID));
        }
        text
    }

    /// Where and what. The words about a bank's file say where themselves; its staff know the field by its name.
    fn said(&self, finding: &Finding) -> String {
        let (message, column) = (&finding.message_zh, &finding.column);
        match (&self.from, finding.row, finding.byte) {
            (Sender::Bank(..), Some(_), _) if !column.is_empty() => format!("{message}（{column}）"),
            (Sender::Bank(..), ..) => message.clone(),
            (_, Some(row), Some(byte)) => format!("第 {row} 行第 {byte} 字节：{message}"),
            (_, Some(row), None) => format!("第 {row} 行：{message}"),
            (_, None, _) => format!("全文件：{message}"),
        }
    }

    /// What the names of its files begin with.
    pub(super) fn stem(&self) -> String {
        format!("{}.{}", sanitised(OsStr::new(&self.name)), &hex(&self.sha256)[..8])
    }

    /// Puts the receipt into the outbox, in the transaction that it speaks of.
    pub fn post(&self, txn: &Txn<'_>, config: &Config) -> crate::store::Result<()> {
        let (folder, stem) = (self.from.receipts(config), self.stem());
        let json = serde_json::to_vec_pretty(&self.json()).expect("a receipt is plain text and numbers");
        txn.post_out(&folder, &format!("{stem}.receipt.json"), &json)?;
        txn.post_out(&folder, &format!("{stem}.receipt.txt"), self.text().as_bytes())
    }
}

/// People of a difference that the text names; the sheet has all of them.
const MOVES_SAID: usize = 50;

fn said_move(moved: &Moved) -> String {
    let shown = ShownMove::from(moved);
    let row = moved.row.map_or(String::new(), |row| format!("第 {row} 行 "));
    let category = |row: &Option<Recognised>| row.as_ref().map_or("–", |row| row.category.chinese());
    let (was, now) = (category(&moved.was), category(&moved.now));
    let renamed = if moved.is_renamed() { "，姓名变更" } else { "" };
    format!("{}：{row}{} {}，{was} → {now}{renamed}\n", moved.how.chinese(), shown.name, shown.id_number)
}

/// Publishes what is decided and not yet out. Safe to do again: what is there stays as it is.
pub fn flush_outbox(bureau: &mut Bureau) -> Step<usize> {
    let waiting = crate::store::files::outbox(bureau.store.connection())?;
    for (id, folder, name, bytes) in &waiting {
        let folder = bureau.config.drops.join(folder);
        make_shared_folder(&folder)?;
        failpoint!("receipt.begun");
        match publish(&folder, OsStr::new(name), bytes) {
            Ok(_) => {}
            // The first receipt of these bytes stands: a repeat says nothing new.
            Err(Error::Taken { .. }) if name.contains(".receipt.") => {}
            // Something else lies there under this name: it goes on waiting, `status` shows it, and a person must look.
            Err(Error::Taken { .. }) => continue,
            Err(error) => return Err(error.into()),
        }
        failpoint!("receipt.published");
        bureau.store.published(*id)?;
        failpoint!("receipt.noted");
    }
    failpoint!("receipt.all");
    Ok(waiting.len())
}
