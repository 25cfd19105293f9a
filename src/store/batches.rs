//! Batches: drafted with their rows in one go, numbered without gaps.

use crate::domain::calendar::{Date, DateTime, FeeYear};
use crate::domain::ids::{BatchNumber, IdNumber};
use crate::domain::instruction::{BatchState, InstructionState};
use crate::domain::ledger::Account;
use crate::domain::money::Money;
use crate::domain::plan::PlanState;
use crate::pipeline::book::BatchLine;
pub use crate::store::apply::range;
use crate::store::book::{self, SEQUENCE_BITS};
use crate::store::chain::Txn;
use crate::store::words::Accounts;
use crate::store::{Result, day, feed};
use rusqlite::{Connection, OptionalExtension};

/// A batch to store, with the bytes that were rendered.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// Its number.
    pub number: BatchNumber,
    /// Its fee year.
    pub fee_year: FeeYear,
    /// Its debit date; of a zero-payment batch the day of drafting.
    pub debit_on: Date,
    /// Business date of drafting.
    pub drafted_on: Date,
    /// Drafting time as the file says it.
    pub created: DateTime,
    /// Sum of the amounts; of a zero-payment batch the government parts.
    pub amount: Money,
    /// SHA-256 of the file's bytes; of a zero-payment batch of its rows.
    pub sha256: [u8; 32],
    /// Name of the file; empty for a zero-payment batch.
    pub file: String,
    /// Name and bytes of its control file, where the layout has one.
    pub control: Option<(String, Vec<u8>)>,
    /// The bank as the configuration has it now; empty for a zero-payment batch.
    pub written_for: String,
}

/// An instruction to store, in the order of the batch.
#[derive(Clone, Debug)]
pub struct NewInstruction {
    /// Whom it asks.
    pub participant: IdNumber,
    /// The plan version it is made from.
    pub version: u32,
    /// How much it asks for.
    pub amount: Money,
    /// The account that owes the government part, and how much.
    pub deemed: Option<(Account, Money)>,
    /// Digest of what the bank must echo.
    pub echo: i64,
    /// 1, 2, 3 …
    pub attempt: u32,
}

/// A row of a zero-payment batch.
#[derive(Clone, Copy, Debug)]
pub struct ZeroRow {
    /// Whose.
    pub participant: IdNumber,
    /// The plan version it was drafted from.
    pub version: u32,
    /// The government part.
    pub government: Money,
}

/// The next number for a bank on a day: no gaps, durable with the batch itself.
pub fn next_number(conn: &Connection, drafted_on: Date, bank: u8) -> Result<BatchNumber> {
    let first = BatchNumber::new(drafted_on, bank, 1).value() as i64;
    let mut statement = conn.prepare_cached("SELECT max(number) FROM batch WHERE number BETWEEN ?1 AND ?1 + 999998")?;
    let newest: Option<i64> = statement.query_row([first], |row| row.get(0))?;
    Ok(newest.map_or(BatchNumber::from_value(first as u64), |number| BatchNumber::from_value(number as u64 + 1)))
}

/// Batches in these states, oldest first.
pub fn in_states(conn: &Connection, states: &[BatchState]) -> Result<Vec<BatchLine>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, number, bank, fee_year, debit_on, drafted_on, count, amount, state, sha256, file
         FROM batch WHERE state IN (SELECT value FROM json_each(?1)) ORDER BY id",
    )?;
    let codes: Vec<String> = states.iter().map(|state| (*state as i64).to_string()).collect();
    let rows = statement.query_map([format!("[{}]", codes.join(","))], book::batch_line)?;
    Ok(rows.map(|row| row.map(|(_, line)| line)).collect::<rusqlite::Result<_>>()?)
}

/// Every batch that a bank gets, with its stored id, oldest first.
pub fn of_banks(conn: &Connection) -> Result<Vec<(i64, BatchLine)>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, number, bank, fee_year, debit_on, drafted_on, count, amount, state, sha256, file
         FROM batch WHERE bank <> 0 ORDER BY id",
    )?;
    let rows = statement.query_map([], book::batch_line)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Batches of banks that are not ended, oldest first, with the bank as it was when each was written.
pub fn not_ended(conn: &Connection) -> Result<Vec<(BatchNumber, String)>> {
    let mut statement =
        conn.prepare_cached("SELECT number, written_for FROM batch WHERE bank <> 0 AND state <= ?1 ORDER BY id")?;
    let rows = statement.query_map([BatchState::Accepted as i64], |row| {
        Ok((BatchNumber::from_value(row.get::<_, i64>(0)? as u64), row.get(1)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The control file of a batch: name and bytes.
pub fn control(conn: &Connection, number: BatchNumber) -> Result<Option<(String, Vec<u8>)>> {
    let mut statement =
        conn.prepare_cached("SELECT control, control_is FROM batch WHERE number = ?1 AND control <> ''")?;
    Ok(statement.query_row([number.value() as i64], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Rows of a zero-payment batch, in their order.
pub fn zero_rows(conn: &Connection, number: BatchNumber) -> Result<Vec<ZeroRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT z.participant, z.version, z.government FROM batch b
         JOIN zero_row z ON z.id BETWEEN b.id << 27 AND ((b.id + 1) << 27) - 1 WHERE b.number = ?1 ORDER BY z.id",
    )?;
    let rows = statement.query_map([number.value() as i64], |row| {
        Ok(ZeroRow {
            participant: IdNumber::from_key(row.get(0)?),
            version: row.get(1)?,
            government: Money::from_fen(row.get(2)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Txn<'_> {
    /// Stores a batch with its instructions; their plans wait from now on.
    pub fn draft(&mut self, batch: &NewBatch, rows: &[NewInstruction]) -> Result<()> {
        let id = self.insert_batch(batch, rows.len())?;
        let mut accounts = Accounts::load(&self.tx)?;
        let mut receivables = Vec::with_capacity(rows.len());
        for row in rows {
            receivables.push(match row.deemed {
                Some((account, _)) => accounts.id(&self.tx, account)?,
                None => 0,
            });
        }
        self.accounts = Some(accounts);
        let base = id << SEQUENCE_BITS;
        let numbered: Vec<(i64, &NewInstruction, i64)> = rows
            .iter()
            .zip(receivables)
            .zip(1..)
            .map(|((row, account), sequence)| (base + sequence, row, account))
            .collect();
        self.insert_instructions(&numbered, batch.fee_year)?;
        self.tx.execute(
            "UPDATE plan SET state = ?4, instruction = i.id FROM instruction i
             WHERE i.id BETWEEN ?1 AND ?2 AND plan.participant = i.participant AND plan.fee_year = ?3",
            (base, range(id).1, batch.fee_year, PlanState::Waiting as i64),
        )?;
        Ok(())
    }

    fn insert_instructions(&self, rows: &[(i64, &NewInstruction, i64)], fee_year: FeeYear) -> Result<()> {
        let mut previous =
            self.tx.prepare_cached("SELECT instruction FROM plan WHERE participant = ?1 AND fee_year = ?2")?;
        let mut linked = Vec::with_capacity(rows.len());
        for (id, row, account) in rows {
            let before: Option<i64> = previous.query_row((row.participant.key(), fee_year), |row| row.get(0))?;
            linked.push((*id, *row, *account, before));
        }
        let sql = "INSERT INTO instruction SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8 FROM feed";
        feed::insert(&self.tx, sql, [], &linked, |(id, row, account, before), column| match column {
            0 => (*id).into(),
            1 => row.participant.key().into(),
            2 => i64::from(row.version).into(),
            3 => row.amount.fen().into(),
            4 => row.deemed.map_or(0, |(_, amount)| amount.fen()).into(),
            5 => (*account).into(),
            6 => row.echo.into(),
            7 => i64::from(row.attempt).into(),
            _ => (*before).into(),
        })?;
        let sql = "INSERT INTO instruction_state SELECT c0, ?1, NULL, 0 FROM feed";
        feed::insert(&self.tx, sql, [InstructionState::Drafted as i64], &linked, |(id, ..), _| (*id).into())
    }

    /// Stores a zero-payment batch (R9).
    pub fn draft_zero(&mut self, batch: &NewBatch, rows: &[ZeroRow]) -> Result<()> {
        let base = self.insert_batch(batch, rows.len())? << SEQUENCE_BITS;
        let numbered: Vec<(i64, &ZeroRow)> = (1..).map(|sequence| base + sequence).zip(rows).collect();
        let sql = "INSERT INTO zero_row SELECT c0, c1, c2, c3 FROM feed";
        feed::insert(&self.tx, sql, [], &numbered, |(id, row), column| match column {
            0 => (*id).into(),
            1 => row.participant.key().into(),
            2 => i64::from(row.version).into(),
            _ => row.government.fen().into(),
        })
    }

    /// Plans of a year that were not received lapse; live instructions keep their answer, which will be looked at.
    pub fn lapse(&self, fee_year: FeeYear) -> Result<u64> {
        self.tx.execute(
            "UPDATE instruction_state SET closer = 1 WHERE state IN (2, 6)
             AND id IN (SELECT instruction FROM plan WHERE fee_year = ?1)",
            [fee_year],
        )?;
        let lapsed = self.tx.execute(
            "UPDATE plan SET state = ?2 WHERE fee_year = ?1 AND (participant, fee_year) IN
             (SELECT participant, fee_year FROM plan_now WHERE fee_year = ?1 AND state IN (0, 1, 2))",
            (fee_year, PlanState::Lapsed as i64),
        )?;
        Ok(lapsed as u64)
    }

    fn insert_batch(&self, batch: &NewBatch, count: usize) -> Result<i64> {
        self.tx
            .prepare_cached(
                "INSERT INTO batch (number, bank, fee_year, debit_on, drafted_on, created, count, amount, sha256, file, control, control_is, written_for, state)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .execute((
                batch.number.value() as i64,
                batch.number.bank(),
                batch.fee_year,
                day(batch.debit_on),
                day(batch.drafted_on),
                batch.created.to_string(),
                count as i64,
                batch.amount.fen(),
                &batch.sha256[..],
                &batch.file,
                batch.control.as_ref().map_or("", |(name, _)| name),
                batch.control.as_ref().map_or(&[][..], |(_, bytes)| bytes),
                &batch.written_for,
                BatchState::Drafted as i64,
            ))?;
        Ok(self.tx.last_insert_rowid())
    }
}
