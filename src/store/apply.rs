//! The one write: everything that was decided, in one transaction, or nothing.

use crate::domain::calendar::Date;
use crate::domain::ids::{BatchNumber, IdNumber, InstructionNumber};
use crate::domain::instruction::{BatchEvent, BatchState, InstructionState};
use crate::domain::ledger::{Posting, PostingKey};
use crate::domain::plan::PlanState;
use crate::domain::returns::Outcome;
use crate::pipeline::book::*;
use crate::store::book::{SEQUENCE_BITS, version};
use crate::store::chain::{Act, Txn, cover};
use crate::store::words::Accounts;
use crate::store::{Error, Result, Store, book, day, feed};
use rusqlite::{Connection, OptionalExtension};
use sha2::Digest;

/// What became of a changeset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Written.
    New,
    /// The book moved since it was read: read again and decide again.
    Stale,
}

impl Store {
    /// Writes what was decided on this version of the book.
    pub fn apply(
        &mut self,
        act: &Act,
        book_version: u64,
        work: impl FnOnce(&mut Txn<'_>) -> Result<()>,
    ) -> Result<Applied> {
        if version(&self.conn)? != book_version {
            return Ok(Applied::Stale);
        }
        let applied = self.transact(act, |txn| {
            if txn.seq as u64 != book_version + 1 {
                return Err(Error::Stale);
            }
            work(txn)
        });
        match applied {
            Ok(()) => Ok(Applied::New),
            Err(Error::Stale) => Ok(Applied::Stale),
            Err(error) => Err(error),
        }
    }
}

/// A posting with its stored number.
struct Numbered<'c> {
    id: i64,
    new: &'c NewPosting,
}

impl Txn<'_> {
    /// Writes a changeset; `file` is the drop file that caused it.
    pub fn write(&mut self, changes: &Changeset, file: Option<i64>, today: Date) -> Result<()> {
        self.move_batches(&changes.batches, today)?;
        let postings = self.write_postings(&changes.postings, file)?;
        self.write_answers(changes, file)?;
        self.move_instructions(&changes.instructions)?;
        self.write_plans(&changes.plans, file)?;
        self.write_exceptions(&changes.opened, (&postings, &changes.rests), file, today)?;
        for (id, resolution) in &changes.closed {
            self.close_exception(*id, resolution)?;
        }
        for number in &changes.closer {
            let id = self.instruction_id(*number)?;
            self.tx.prepare_cached("UPDATE instruction_state SET closer = 1 WHERE id = ?1")?.execute([id])?;
        }
        self.write_ex_post(changes, today)?;
        self.write_clearings(&changes.clearings, &postings, today)?;
        if let (Some((batch, part, is_final)), Some(file)) = (changes.part, file) {
            let (id, _) = self.batch(batch)?;
            self.tx
                .prepare_cached("INSERT OR IGNORE INTO batch_part VALUES (?1, ?2, ?3, ?4)")?
                .execute((id, part, is_final, file))?;
        }
        Ok(())
    }

    fn write_postings(&mut self, postings: &[NewPosting], file: Option<i64>) -> Result<Vec<i64>> {
        if postings.is_empty() {
            return Ok(Vec::new());
        }
        let mut numbered = Vec::with_capacity(postings.len());
        let mut bases = Bases::default();
        let mut next = self.next_keyed_posting()?;
        for new in postings {
            let arithmetic = match &new.posting.key {
                PostingKey::Return(number) => Some((number.batch, number.sequence)),
                PostingKey::Zero(batch, sequence) => Some((*batch, *sequence)),
                _ => None,
            };
            let id = match arithmetic {
                Some((batch, sequence)) => bases.of(self, batch)? + i64::from(sequence),
                None => {
                    next += 1;
                    next - 1
                }
            };
            numbered.push(Numbered { id, new });
        }
        let ids = numbered.iter().map(|posting| posting.id).collect();
        numbered.sort_by_key(|posting| posting.id);
        self.insert_postings(&numbered)?;
        for Numbered { id, new } in &numbered {
            if let Some(concerns) = &new.concerns {
                self.write_key(*id, &new.posting, concerns, file)?;
            }
        }
        Ok(ids)
    }

    fn insert_postings(&mut self, postings: &[Numbered<'_>]) -> Result<()> {
        let mut accounts = match self.accounts.take() {
            Some(accounts) => accounts,
            None => Accounts::load(&self.tx)?,
        };
        // As many at once as stay in the processor's cache; each statement costs the engine a note of the last pages.
        for some in postings.chunks(8_192) {
            self.insert_some(some, &mut accounts)?;
        }
        self.accounts = Some(accounts);
        Ok(())
    }

    fn insert_some(&mut self, postings: &[Numbered<'_>], accounts: &mut Accounts) -> Result<()> {
        let mut heads: Vec<[i64; 4]> = Vec::with_capacity(postings.len());
        let mut entries: Vec<[i64; 4]> = Vec::with_capacity(postings.len() * 2);
        let mut covered = Vec::with_capacity(postings.len() * 96);
        for Numbered { id, new } in postings {
            let posting = &new.posting;
            let head = [*id, posting.event as i64, day(posting.booked_on), posting.month.value()];
            let first = entries.len();
            for (leg, entry) in posting.entries.iter().enumerate() {
                let debit = accounts.id(&self.tx, entry.debit())?;
                let credit = accounts.id(&self.tx, entry.credit())?;
                entries.push([id * 4 + leg as i64, debit, credit, entry.amount().fen()]);
            }
            cover(&mut covered, head, &entries[first..]);
            heads.push(head);
        }
        let (tx, seq, digest) = (&self.tx, self.seq, &mut self.postings);
        beside(
            covered.len() >= WORTH_A_THREAD,
            || digest.update(&covered),
            || {
                insert_heads(tx, seq, &heads)?;
                let sql = "INSERT OR FAIL INTO entry SELECT c0, c1, c2, c3 FROM feed";
                feed::insert(tx, sql, [], &entries, |entry, column| entry[column].into())
            },
        )?;
        self.note_posted(&heads, &entries)
    }

    /// Postings under a text key are numbered from 1; those of instructions begin far above.
    fn next_keyed_posting(&self) -> Result<i64> {
        let mut statement = self.tx.prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM posting WHERE id < ?1")?;
        Ok(statement.query_row([1_i64 << SEQUENCE_BITS], |row| row.get(0))?)
    }

    fn write_key(&self, id: i64, posting: &Posting, concerns: &Concerns, file: Option<i64>) -> Result<()> {
        let (undoes, corrects) = match &posting.key {
            PostingKey::Reversal(original) => (Some(self.posting_id(original)?), None),
            PostingKey::Correction(original) => (None, Some(self.posting_id(original)?)),
            _ => (None, None),
        };
        let instruction = concerns.instruction.map(|number| self.instruction_id(number)).transpose()?;
        self.tx
            .prepare_cached("INSERT INTO posting_key VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?
            .execute((
                posting.key.to_string(),
                id,
                &concerns.content_digest()[..],
                concerns.participant.map(IdNumber::key),
                concerns.fee_year,
                concerns.version,
                instruction,
                undoes,
                corrects,
                file,
                concerns.line,
            ))?;
        Ok(())
    }

    /// The stored number of a posting.
    pub(crate) fn posting_id(&self, key: &PostingKey) -> Result<i64> {
        match key {
            PostingKey::Return(number) => self.instruction_id(*number),
            PostingKey::Zero(batch, sequence) => Ok((self.batch(*batch)?.0 << SEQUENCE_BITS) + i64::from(*sequence)),
            other => self
                .tx
                .prepare_cached("SELECT posting FROM posting_key WHERE key = ?1")?
                .query_row([other.to_string()], |row| row.get(0))
                .optional()?
                .ok_or_else(|| Error::Broken(format!("posting {other} is not there"))),
        }
    }

    fn write_answers(&self, changes: &Changeset, file: Option<i64>) -> Result<()> {
        let Some(file) = file else { return Ok(()) };
        let Some(first) = changes.answers.first() else { return Ok(()) };
        let base = self.batch(first.instruction.batch)?.0 << SEQUENCE_BITS;
        let value = |answer: &'_ &AnswerRow, column| match column {
            0 => i64::from(answer.instruction.sequence).into(),
            1 => i64::from(answer.line).into(),
            2 => (answer.outcome as i64).into(),
            3 => answer.amount.fen().into(),
            4 => answer.actual.fen().into(),
            5 => answer.booked_on.map(day).into(),
            6 => changes.texts.code(answer.code).into(),
            _ => changes.texts.serial(answer.serial).into(),
        };
        let (first, later): (Vec<&AnswerRow>, Vec<&AnswerRow>) =
            changes.answers.iter().partition(|answer| answer.is_first);
        let sql = "INSERT OR FAIL INTO answer SELECT ?1 + c0, ?2, c1, c2, c3, c4, c5, c6, c7 FROM feed";
        feed::insert(&self.tx, sql, [base, file], &first, value)?;
        let sql = "INSERT INTO later_answer SELECT ?1 + c0, ?2, c1, c2, c3, c4, c5, c6, c7 FROM feed";
        feed::insert(&self.tx, sql, [base, file], &later, value)
    }

    /// Neighbours move by one statement, as most of them do; those that move otherwise follow, by one for each other way.
    ///
    /// `OR ROLLBACK`: an error ends the transaction anyway, so the engine need not note each page to undo one statement.
    fn move_instructions(&self, moves: &[Move]) -> Result<()> {
        let mut all = self.tx.prepare_cached(
            "UPDATE OR ROLLBACK instruction_state SET state = ?1, outcome = coalesce(?2, outcome) WHERE id BETWEEN ?3 AND ?4",
        )?;
        let mut some = self.tx.prepare_cached(
            "UPDATE OR ROLLBACK instruction_state SET state = ?1, outcome = coalesce(?2, outcome)
             WHERE id IN (SELECT c0 FROM feed)",
        )?;
        let mut bases = Bases::default();
        for run in moves.chunk_by(may_move_together) {
            let first = bases.of(self, run[0].0.batch)? + i64::from(run[0].0.sequence);
            let goals = goals(run);
            let (state, outcome) = goals[0];
            all.execute((state as i64, outcome.map(|outcome| outcome as i64), first, first + run.len() as i64 - 1))?;
            for other in &goals[1..] {
                let ids: Vec<i64> =
                    (first..).zip(run).filter(|(_, one)| goal(one) == *other).map(|(id, _)| id).collect();
                let (state, outcome) = *other;
                feed::lend_keys(&ids, || some.execute((state as i64, outcome.map(|outcome| outcome as i64))))?;
            }
        }
        Ok(())
    }

    fn write_plans(&self, plans: &[PlanChange], file: Option<i64>) -> Result<()> {
        for plan in plans {
            let (participant, fee_year) = (plan.participant.key(), plan.fee_year);
            if let Some((version, enrolled)) = &plan.version {
                let terms = version.terms.ok();
                let subsidy = terms.and_then(|terms| terms.subsidy);
                let number = version.number;
                self.tx
                    .prepare_cached("INSERT INTO plan_version VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")?
                    .execute((
                        participant,
                        fee_year,
                        number,
                        day(version.from),
                        terms.map_or(0, |terms| terms.tier.fen()),
                        subsidy.map_or(0, |subsidy| subsidy.amount.fen()),
                        subsidy.map(|subsidy| subsidy.payer as i64),
                        subsidy.map(|subsidy| subsidy.category as i64),
                        subsidy.map(|subsidy| subsidy.district.as_str().to_owned()),
                        subsidy.map(|subsidy| subsidy.recognized_year),
                        enrolled.as_str(),
                        version.terms.err().map(|refusal| refusal.word()),
                        file,
                    ))?;
            }
            let number = plan.version.as_ref().map(|(version, _)| version.number);
            self.tx
                .prepare_cached(
                    "INSERT INTO plan (participant, fee_year, version, state, turns_limit)
                     VALUES (?1, ?2, coalesce(?3, 1), ?4, coalesce(?6, 0))
                     ON CONFLICT DO UPDATE SET version = coalesce(?3, version), state = ?4, attempts = attempts + ?5",
                )?
                .execute((participant, fee_year, number, plan.state as i64, plan.failed, plan.turns_limit))?;
        }
        Ok(())
    }

    fn write_exceptions(
        &self,
        exceptions: &[NewException],
        (postings, rests): (&[i64], &[(usize, i64)]),
        file: Option<i64>,
        today: Date,
    ) -> Result<()> {
        let mut statement = self.tx.prepare_cached(
            "INSERT INTO exception
             (class, participant, fee_year, instruction, file, line, posting, amount, reason, opened_on, held_on)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for (place, new) in exceptions.iter().enumerate() {
            let came_with = rests.iter().find(|(opened, _)| *opened == place).map(|(_, posting)| *posting);
            let instruction = new.instruction.map(|number| self.instruction_id(number)).transpose()?;
            statement.execute((
                new.class.word(),
                new.participant.map(IdNumber::key),
                new.fee_year,
                instruction,
                file.filter(|_| new.line.is_some()),
                new.line,
                new.posting.map(|index| postings[index]).or(came_with),
                new.amount.fen(),
                &new.reason,
                day(today),
                new.held_on.map(day),
            ))?;
        }
        Ok(())
    }

    /// Closes an exception; the money that it held has gone elsewhere.
    pub fn close_exception(&self, id: i64, resolution: &str) -> Result<()> {
        self.tx
            .prepare_cached(
                "UPDATE exception SET resolved = 1, amount = 0, resolution = ?2 WHERE id = ?1 AND resolved = 0",
            )?
            .execute((id, resolution))?;
        Ok(())
    }

    fn move_batches(&self, moves: &[(BatchNumber, BatchEvent)], today: Date) -> Result<()> {
        for (number, event) in moves {
            let (id, batch) = self.batch(*number)?;
            let state =
                batch.state.after(*event).map_err(|illegal| Error::Broken(format!("batch {number}: {illegal}")))?;
            self.move_batch(id, batch.fee_year, *event, state, today)?;
        }
        Ok(())
    }

    /// A batch moves, and its instructions with it: by sets, since they all do.
    pub(crate) fn move_batch(
        &self,
        id: i64,
        fee_year: i16,
        event: BatchEvent,
        state: BatchState,
        today: Date,
    ) -> Result<()> {
        self.tx.prepare_cached("UPDATE batch SET state = ?2 WHERE id = ?1")?.execute((id, state as i64))?;
        use InstructionState::{Cancelled, Drafted, Released, Sent};
        match event {
            BatchEvent::Released => self.move_all(id, Drafted, Released)?,
            BatchEvent::Sending => self.move_all(id, Released, Sent)?,
            BatchEvent::Delivered => {
                self.move_all(id, Released, Sent)?;
                self.tx.execute("UPDATE batch SET sent_on = ?2 WHERE id = ?1", (id, day(today)))?;
            }
            BatchEvent::NeverArrived => {
                self.forget_delivery(id)?;
                self.move_all(id, Sent, Released)?;
                // R6, R7, R14: what changed while it was away only marked its instructions. Now they are unsent again.
                if self.is_stale(id, fee_year)? {
                    let withdrawn = state.after(BatchEvent::Withdrawn);
                    let withdrawn = withdrawn.map_err(|illegal| Error::Broken(format!("batch {id}: {illegal}")))?;
                    return self.move_batch(id, fee_year, BatchEvent::Withdrawn, withdrawn, today);
                }
            }
            BatchEvent::Accepted => {
                self.end_doubts(id, "银行已回盘")?;
                self.tx.execute("UPDATE batch SET answered_on = ?2 WHERE id = ?1", (id, day(today)))?;
            }
            BatchEvent::Withdrawn => {
                self.void_release(id)?;
                self.move_all(id, Drafted, Cancelled)?;
                self.move_all(id, Released, Cancelled)?;
                self.free_plans(id, fee_year)?;
            }
            BatchEvent::Rejected => {
                self.move_all(id, Sent, Cancelled)?;
                self.free_plans(id, fee_year)?;
            }
            BatchEvent::InDoubt | BatchEvent::Completed => {}
        }
        Ok(())
    }

    /// Whether the plan of one of its instructions changed since it was made, was paid, or has money in suspense.
    fn is_stale(&self, batch: i64, fee_year: i16) -> Result<bool> {
        let (low, high) = range(batch);
        let sql = "SELECT 1 FROM instruction_state s JOIN instruction i ON i.id = s.id
                   WHERE s.id BETWEEN ?1 AND ?2 AND (s.closer = 1 OR EXISTS (
                       SELECT 1 FROM exception x WHERE x.participant = i.participant AND x.fee_year = ?3
                       AND x.resolved = 0 AND x.amount > 0))";
        Ok(self.tx.prepare_cached(sql)?.exists((low, high, fee_year))?)
    }

    /// What asked for the release of a withdrawn batch asks for nothing any more.
    fn void_release(&self, batch: i64) -> Result<()> {
        self.tx.execute(
            "UPDATE approval SET state = 2 WHERE kind = 'release' AND state = 0
             AND subject = (SELECT CAST(number AS TEXT) FROM batch WHERE id = ?1)",
            [batch],
        )?;
        Ok(())
    }

    /// A bank that answers rows has the batch: whether it arrived is no question any more.
    fn end_doubts(&self, batch: i64, resolution: &str) -> Result<()> {
        self.tx.execute(
            "UPDATE exception SET resolved = 1, resolution = ?2
             WHERE class IN ('duplicate-batch', 'delivery-in-doubt') AND resolved = 0 AND instruction = (?1 << 27) + 1",
            (batch, resolution),
        )?;
        Ok(())
    }

    /// Whether a batch arrived is known now, for this reason.
    pub fn end_delivery_doubts(&self, number: BatchNumber, resolution: &str) -> Result<()> {
        self.end_doubts(self.batch(number)?.0, resolution)
    }

    fn move_all(&self, batch: i64, from: InstructionState, to: InstructionState) -> Result<()> {
        let (low, high) = range(batch);
        self.tx
            .prepare_cached("UPDATE instruction_state SET state = ?4 WHERE id BETWEEN ?1 AND ?2 AND state = ?3")?
            .execute((low, high, from as i64, to as i64))?;
        Ok(())
    }

    /// Plans that waited for a withdrawn or rejected batch may be asked for again.
    fn free_plans(&self, batch: i64, fee_year: i16) -> Result<()> {
        let (low, high) = range(batch);
        self.tx.execute(
            "UPDATE plan SET state = ?4 FROM instruction i
             WHERE i.id BETWEEN ?1 AND ?2 AND plan.participant = i.participant AND plan.fee_year = ?3
               AND plan.instruction = i.id AND plan.state = ?5",
            (low, high, fee_year, PlanState::Planned as i64, PlanState::Waiting as i64),
        )?;
        Ok(())
    }

    /// A batch that must be there.
    pub(crate) fn batch(&self, number: BatchNumber) -> Result<(i64, BatchLine)> {
        book::batch(&self.tx, number)?.ok_or_else(|| Error::Broken(format!("batch {number} is not there")))
    }

    fn instruction_id(&self, number: InstructionNumber) -> Result<i64> {
        Ok((self.batch(number.batch)?.0 << SEQUENCE_BITS) + i64::from(number.sequence))
    }
}

/// Mostly all share event, day and month: then the engine need not ask for them row by row.
fn insert_heads(conn: &Connection, seq: i64, heads: &[[i64; 4]]) -> Result<()> {
    let Some([_, event, booked_on, month]) = heads.first() else { return Ok(()) };
    let value = |head: &[i64; 4], column: usize| head[column].into();
    if heads.iter().all(|head| head[1..] == heads[0][1..]) {
        let sql = "INSERT OR FAIL INTO posting SELECT c0, ?1, ?2, ?3, ?4 FROM feed";
        feed::insert(conn, sql, (event, booked_on, month, seq), heads, value)
    } else {
        let sql = "INSERT OR FAIL INTO posting SELECT c0, c1, c2, c3, ?1 FROM feed";
        feed::insert(conn, sql, [seq], heads, value)
    }
}

/// Bytes whose digest takes longer than to start a thread for it.
const WORTH_A_THREAD: usize = 256 * 1024;

/// Does `other` on another thread while `work` is done, where that is worth it.
fn beside<T>(is_worth_it: bool, other: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
    if !is_worth_it {
        other();
        return work();
    }
    std::thread::scope(|scope| {
        scope.spawn(other);
        work()
    })
}

/// First and last stored number that the instructions of a batch can have.
pub fn range(batch: i64) -> (i64, i64) {
    (batch << SEQUENCE_BITS, ((batch + 1) << SEQUENCE_BITS) - 1)
}

/// An instruction's new state, and the outcome that led to it.
type Move = (InstructionNumber, InstructionState, Option<Outcome>);

/// Where a move leads.
type Goal = (InstructionState, Option<Outcome>);

fn goal((_, state, outcome): &Move) -> Goal {
    (*state, *outcome)
}

/// Neighbours whose states and outcomes are both set anew: the last statement counts, whatever came before it.
fn may_move_together(one: &Move, next: &Move) -> bool {
    let are_neighbours = one.0.batch == next.0.batch && one.0.sequence + 1 == next.0.sequence;
    are_neighbours && one.2.is_some() && next.2.is_some()
}

/// Where these lead, the most usual goal first.
fn goals(run: &[Move]) -> Vec<Goal> {
    let mut counts: Vec<(Goal, usize)> = Vec::new();
    for one in run {
        match counts.iter_mut().find(|(known, _)| *known == goal(one)) {
            Some((_, count)) => *count += 1,
            None => counts.push((goal(one), 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(goal, _)| goal).collect()
}

/// Where the stored numbers of a batch begin: neighbours mostly share their batch.
#[derive(Default)]
struct Bases(Option<(BatchNumber, i64)>);

impl Bases {
    fn of(&mut self, txn: &Txn<'_>, batch: BatchNumber) -> Result<i64> {
        match self.0 {
            Some((known, base)) if known == batch => Ok(base),
            _ => {
                let base = txn.batch(batch)?.0 << SEQUENCE_BITS;
                self.0 = Some((batch, base));
                Ok(base)
            }
        }
    }
}
