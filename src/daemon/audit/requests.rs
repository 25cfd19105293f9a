//! I7: the instruction files in the archive are the stored instructions, row by row.

use crate::config::Config;
use crate::daemon::audit::Found;
use crate::daemon::releasing::archive_path;
use crate::domain::ids::{IdNumber, InstructionNumber};
use crate::domain::money::Money;
use crate::domain::participant::BankNumber;
use crate::format::decode::Decoder;
use crate::format::layout::{FileKind, Layout, RecordKind};
use crate::format::record::Record;
use crate::format::role::Role;
use crate::pipeline::book::BatchLine;
use crate::pipeline::decode::Echoes;
use crate::store::{batches, book};
use rusqlite::{Connection, Rows};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

/// I7: every batch of a bank lies in the archive with its digest, and decodes by the bank's layout to exactly its
/// stored instructions: number, person, amount, echo digest, count, sum.
pub(super) fn rederive(conn: &Connection, config: &Config, layouts: &BTreeMap<BankNumber, Layout>) -> Found {
    for (id, batch) in batches::of_banks(conn)? {
        let Some(bank) = batch.bank else { continue };
        let fault = match layouts.get(&bank) {
            Some(layout) => differs(conn, config, layout, id, &batch)?,
            None => Some(format!("bank number {} is not in the configuration: put it back", bank.0)),
        };
        if let Some(fault) = fault {
            return Ok(Some(format!("batch {}: {fault}", batch.number)));
        }
    }
    Ok(None)
}

fn differs(conn: &Connection, config: &Config, layout: &Layout, id: i64, batch: &BatchLine) -> Found {
    let path = config.state.join(archive_path(batch));
    let Some(mut decoder) = Decoder::new(layout, FileKind::Request, own_digest(layout)) else {
        return Ok(Some(format!("layout {} has no instruction file", layout.key)));
    };
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => return Ok(Some(format!("{}: {error}", path.display()))),
    };
    let (low, high) = batches::range(id);
    let mut statement = conn.prepare_cached(
        "SELECT id, participant, amount, echo FROM instruction WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    )?;
    let mut rows = Comparison {
        echoes: Echoes::of(layout),
        batch,
        stored: statement.query((low, high))?,
        fault: Ok(None),
        sum: Money::ZERO,
        count: 0,
    };
    let mut hash = Sha256::new();
    let mut slice = vec![0; 1 << 20];
    loop {
        match file.read(&mut slice) {
            Ok(0) => break,
            Ok(read) => {
                hash.update(&slice[..read]);
                decoder.feed(&slice[..read], &mut |record| rows.take(record));
            }
            Err(error) => return Ok(Some(format!("{}: {error}", path.display()))),
        }
    }
    if <[u8; 32]>::from(hash.finalize()) != batch.sha256 {
        return Ok(Some(format!("{}: its bytes are not those that were drafted", path.display())));
    }
    if !decoder.finish().is_sound() {
        return Ok(Some(format!("{}: is not sound by layout {}", path.display(), layout.key)));
    }
    rows.finish()
}

fn own_digest(layout: &Layout) -> Option<crate::format::digest::Algorithm> {
    layout.file(FileKind::Request).and_then(|file| file.own_digest())
}

/// Rows of a file beside the stored instructions, in the same order.
struct Comparison<'a> {
    echoes: Echoes,
    batch: &'a BatchLine,
    stored: Rows<'a>,
    fault: crate::store::Result<Option<String>>,
    sum: Money,
    count: u32,
}

impl Comparison<'_> {
    fn take(&mut self, record: &Record<'_>) {
        if record.kind() == RecordKind::Detail && matches!(self.fault, Ok(None)) {
            self.fault = self.compare(record);
        }
    }

    fn compare(&mut self, record: &Record<'_>) -> Found {
        self.count += 1;
        let line = record.line();
        let Some(row) = self.stored.next()? else {
            return Ok(Some(format!("line {line}: the store has no instruction for it")));
        };
        let number = book::number(self.batch.number.value() as i64, row.get(0)?);
        let amount = Money::from_fen(row.get(2)?);
        self.sum += amount;
        let text = |role| record.text(role).map(|text| text.trim_end().to_owned()).unwrap_or_default();
        let person = IdNumber::from_key(row.get(1)?).text();
        let id_number = text(Role::IdNumber);
        let echo = self.echoes.digest(&text(Role::Account), &id_number, &text(Role::Name));
        let fault = if InstructionNumber::parse(&text(Role::Instruction)) != Some(number) {
            "another number"
        } else if record.money(Role::Amount) != Some(amount) {
            "another amount"
        } else if !id_number.is_empty() && id_number != person {
            "another person"
        } else if echo != row.get::<_, i64>(3)? {
            "another account, ID number or name"
        } else {
            return Ok(None);
        };
        Ok(Some(format!("line {line}: instruction {number} is stored with {fault}")))
    }

    /// All rows passed: nothing may be left on the other side, and the batch states what they add up to.
    fn finish(mut self) -> Found {
        if let Some(fault) = self.fault? {
            return Ok(Some(fault));
        }
        if let Some(row) = self.stored.next()? {
            let number = book::number(self.batch.number.value() as i64, row.get(0)?);
            return Ok(Some(format!("instruction {number} is stored and not in the file")));
        }
        let (count, amount) = (self.batch.count, self.batch.amount);
        Ok(((count, amount) != (self.count, self.sum)).then(|| {
            format!("the batch states {count} instructions of {amount}, its file has {} of {}", self.count, self.sum)
        }))
    }
}
