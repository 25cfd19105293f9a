//! Receipts (回执): what became of a drop file, for machines and for the people who sent it.

use crate::config::Config;
use crate::daemon::bureau::{Bureau, Step};
use crate::domain::participant::{BankNumber, DistrictCode, Payer};
use crate::pipeline::emit::Finding;
use crate::store::{FileState, Txn};
use crate::transport::place::{publish, sanitised};
use crate::transport::{Error, hex};
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
    fn receipts(&self, config: &Config) -> String {
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
    notes: &'a [String],
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

impl Receipt {
    /// True where a person should look: quarantined, or rows refused.
    pub fn has_findings(&self) -> bool {
        self.state == FileState::Quarantined || self.refused > 0
    }

    /// The receipt for machines.
    pub fn json(&self) -> serde_json::Value {
        let rows = self.findings.iter().map(|finding| ShownRow {
            row: finding.row,
            column: &finding.column,
            byte: finding.byte,
            code: finding.code,
            expected: &finding.expected,
            found: &finding.found,
            message_zh: &finding.message_zh,
            action_zh: &finding.action_zh,
        });
        let shown = Shown {
            file: self.file,
            name: &self.name,
            sha256: hex(&self.sha256),
            kind: &self.kind,
            from: self.from.text(),
            state: self.state.word(),
            accepted: self.accepted,
            refused: self.refused,
            rows: rows.collect(),
            notes: &self.notes,
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
            text.push_str(&format!("{}。{}\n", self.said(finding), finding.action_zh));
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

    /// Puts the receipt into the outbox, in the transaction that it speaks of.
    pub fn post(&self, txn: &Txn<'_>, config: &Config) -> crate::store::Result<()> {
        let folder = self.from.receipts(config);
        let stem = format!("{}.{}", sanitised(OsStr::new(&self.name)), &hex(&self.sha256)[..8]);
        let json = serde_json::to_vec_pretty(&self.json()).expect("a receipt is plain text and numbers");
        txn.post_out(&folder, &format!("{stem}.receipt.json"), &json)?;
        txn.post_out(&folder, &format!("{stem}.receipt.txt"), self.text().as_bytes())
    }
}

/// Publishes what is decided and not yet out. Safe to do again: what is there stays as it is.
pub fn flush_outbox(bureau: &mut Bureau) -> Step<usize> {
    let waiting = crate::store::files::outbox(bureau.store.connection())?;
    for (id, folder, name, bytes) in &waiting {
        let folder = bureau.config.drops.join(folder);
        std::fs::create_dir_all(&folder).map_err(|source| Error::Io {
            path: folder.display().to_string(),
            doing: "make the folder",
            source,
        })?;
        match publish(&folder, OsStr::new(name), bytes) {
            Ok(_) => bureau.store.published(*id)?,
            // The first receipt of these bytes stands: a repeat says nothing new.
            Err(Error::Taken { .. }) if name.contains(".receipt.") => bureau.store.published(*id)?,
            // Something else lies there under this name: it goes on waiting, `status` shows it, and a person must look.
            Err(Error::Taken { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(waiting.len())
}
