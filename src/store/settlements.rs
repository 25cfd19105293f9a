//! Settlements: what each of them counts, drafted again as long as nobody has approved them, frozen afterwards (R15).

use crate::domain::calendar::Date;
use crate::domain::money::Money;
use crate::domain::participant::{DistrictCode, Payer};
use crate::domain::settlement::{Claim, ClaimKind, SettlementEvent, SettlementState, SettlementYear, net, total};
use crate::pipeline::papers::Head;
use crate::store::chain::Txn;
use crate::store::{Error, Result, date, day, words};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::BTreeMap;

/// A settlement as stored.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Its id.
    pub id: i64,
    /// Year, payer and owing district.
    pub head: Head,
    /// Its state.
    pub state: SettlementState,
    /// Last day of the settlement year.
    pub ends_on: Date,
    /// Transfers are late after this day.
    pub transfer_due: Date,
    /// People in it, what is taken back not counted.
    pub people: u64,
    /// Owed to the collection account; below zero where more is taken back than claimed.
    pub deemed: Money,
    /// Owed to the people themselves.
    pub ex_post: Money,
    /// What transfers have cleared of it.
    pub cleared: Money,
    /// SHA-256 of its summary and its name list.
    pub sha256: [u8; 32],
    /// When it was drafted.
    pub drafted_on: Date,
    /// When it was approved.
    pub approved_on: Option<Date>,
    /// When it was seen in the payer's folder.
    pub sent_on: Option<Date>,
}

impl Settlement {
    /// What the payer still owes of it to the collection account.
    pub fn owed(&self) -> Money {
        (self.deemed - self.cleared).max(Money::ZERO)
    }

    /// The text by which it is known: `2018 civil-affairs/500199`.
    pub fn subject(&self) -> String {
        subject(&self.head)
    }
}

/// The text by which a settlement is known: `2018 civil-affairs/500199`.
pub fn subject(head: &Head) -> String {
    format!("{} {}/{}", head.year, head.payer.word(), head.district)
}

const SETTLEMENT: &str = "
    SELECT t.id, t.year, t.payer, t.district, t.state, t.ends_on, t.transfer_due, t.people, t.deemed, t.ex_post,
           (SELECT coalesce(sum(amount), 0) FROM clearing WHERE settlement = t.id), t.sha256, t.drafted_on,
           t.approved_on, t.sent_on
    FROM settlement t";

fn settlement(row: &Row<'_>) -> Result<Settlement> {
    let (year, payer) = (row.get(1)?, words::payer(row.get(2)?));
    let district = words::district(&row.get::<_, String>(3)?)?;
    let maybe = |column| Ok::<_, Error>(row.get::<_, Option<i64>>(column)?.map(date));
    Ok(Settlement {
        id: row.get(0)?,
        head: Head { year, payer, district },
        state: words::settlement_state(row.get(4)?),
        ends_on: date(row.get(5)?),
        transfer_due: date(row.get(6)?),
        people: row.get::<_, i64>(7)? as u64,
        deemed: Money::from_fen(row.get(8)?),
        ex_post: Money::from_fen(row.get(9)?),
        cleared: Money::from_fen(row.get(10)?),
        sha256: row.get(11)?,
        drafted_on: date(row.get(12)?),
        approved_on: maybe(13)?,
        sent_on: maybe(14)?,
    })
}

/// Every settlement, by year, payer and district.
pub fn all(conn: &Connection) -> Result<Vec<Settlement>> {
    let mut statement = conn.prepare_cached(&format!("{SETTLEMENT} ORDER BY t.year, t.payer, t.district"))?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(settlement(row)?);
    }
    Ok(found)
}

/// The settlement of a year, payer and district.
pub fn find(conn: &Connection, head: &Head) -> Result<Option<Settlement>> {
    let mut statement =
        conn.prepare_cached(&format!("{SETTLEMENT} WHERE t.year = ?1 AND t.payer = ?2 AND t.district = ?3"))?;
    let mut rows = statement.query((head.year, head.payer as i64, head.district.as_str()))?;
    rows.next()?.map(settlement).transpose()
}

/// Whether any settlement is in this state.
pub fn any_in(conn: &Connection, state: SettlementState) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM settlement WHERE state = ?1")?.exists([state as i64])?)
}

/// Payers and districts that ever owed anything.
pub fn debtors(conn: &Connection) -> Result<Vec<(Payer, DistrictCode)>> {
    let mut statement = conn.prepare_cached(
        "SELECT payer, district FROM account WHERE payer IS NOT NULL UNION SELECT payer, district FROM ex_post
         ORDER BY payer, district",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((words::payer(row.get(0)?), words::district(&row.get::<_, String>(1)?)?));
    }
    Ok(found)
}

/// What a settlement may count: claims of a payer and district by the day by which they count.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Year, payer and district.
    pub head: Head,
    /// From this day on; `None` from the beginning. Earlier than `start` where the settlements before are approved.
    pub from: Option<Date>,
    /// First day of the settlement year itself.
    pub start: Option<Date>,
    /// Its last day.
    pub end: Date,
}

/// A claim with what it is: kind and number of [`Counted::item`] as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// 0 an entry, 1 an ex-post subsidy, 2 its withdrawal; and its number.
    pub item: (i64, i64),
    /// What it adds.
    pub claim: Claim,
}

/// Everything that settlements with these scopes count now, in the order of the scopes: whatever is in no approved one.
/// One pass over the ledger, whatever their number.
pub fn collect(conn: &Connection, scopes: &[Scope]) -> Result<Vec<Vec<Counted>>> {
    let mut found: Vec<Vec<Counted>> = scopes.iter().map(|_| Vec::new()).collect();
    let mut by_debtor: BTreeMap<(Payer, DistrictCode), Vec<usize>> = BTreeMap::new();
    for (place, scope) in scopes.iter().enumerate() {
        by_debtor.entry((scope.head.payer, scope.head.district)).or_default().push(place);
    }
    let mut statement = conn.prepare_cached(
        "SELECT c.kind, c.item, c.payer, c.district, c.participant, coalesce(p.name, ''), c.fee_year, c.category,
                c.amount, c.counts_on, c.back
         FROM claim c LEFT JOIN participant p ON p.id = c.participant
         WHERE NOT EXISTS (SELECT 1 FROM settlement_item m JOIN settlement t ON t.id = m.settlement AND t.state > 0
                           WHERE m.kind = c.kind AND m.item = c.item)",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let debtor = (words::payer(row.get(2)?), words::district(&row.get::<_, String>(3)?)?);
        let counts_on = date(row.get(9)?);
        let places = by_debtor.get(&debtor).map_or(&[][..], Vec::as_slice);
        let takes = |place: &&usize| {
            let scope = &scopes[**place];
            scope.from.is_none_or(|from| from <= counts_on) && counts_on <= scope.end
        };
        let Some(place) = places.iter().find(takes) else { continue };
        let (kind, item): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (amount, takes_back) = (Money::from_fen(row.get(8)?), row.get(10)?);
        let claim = Claim {
            participant: row.get::<_, Option<i64>>(4)?.ok_or_else(|| nobody(kind, item))?,
            name: row.get(5)?,
            fee_year: row.get::<_, Option<i16>>(6)?.ok_or_else(|| nobody(kind, item))?,
            category: words::category(row.get::<_, Option<i64>>(7)?.ok_or_else(|| nobody(kind, item))?),
            kind: if kind == 0 { ClaimKind::Deemed } else { ClaimKind::ExPost },
            amount,
            takes_back,
            is_late: amount.is_positive() && scopes[*place].start.is_some_and(|start| counts_on < start),
        };
        found[*place].push(Counted { item: (kind, item), claim });
    }
    Ok(found)
}

fn nobody(kind: i64, item: i64) -> Error {
    let what = if kind == 0 { "entry" } else { "ex-post subsidy" };
    Error::Broken(format!("{what} {item} leads to no plan"))
}

/// What a settlement counts, as kinds and numbers in their order.
pub fn items(conn: &Connection, settlement: i64) -> Result<Vec<(i64, i64)>> {
    let mut statement =
        conn.prepare_cached("SELECT kind, item FROM settlement_item WHERE settlement = ?1 ORDER BY kind, item")?;
    let rows = statement.query_map([settlement], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether a payer was made to owe anything by what was booked from `start` on and before `end`.
pub fn anything_counts(conn: &Connection, start: Option<Date>, end: Date) -> Result<bool> {
    let mut statement = conn.prepare_cached(
        "SELECT 1 FROM posting p CROSS JOIN entry e ON e.id BETWEEN p.id * 4 AND p.id * 4 + 3 AND e.credit = 4
         WHERE p.booked_on >= ?1 AND p.booked_on < ?2
         UNION ALL SELECT 1 FROM ex_post WHERE due_on >= ?1 AND due_on < ?2 AND state <> 4",
    )?;
    Ok(statement.exists((start.map_or(0, day), day(end)))?)
}

/// The net claims of a settlement as they are stored with it.
pub fn claims(conn: &Connection, settlement: i64) -> Result<Vec<Claim>> {
    let mut statement = conn.prepare_cached(
        "SELECT participant, name, fee_year, category, kind, amount, late, back FROM settlement_item WHERE settlement = ?1
         ORDER BY kind, item",
    )?;
    let rows = statement.query_map([settlement], |row| {
        Ok(Claim {
            participant: row.get(0)?,
            name: row.get(1)?,
            fee_year: row.get(2)?,
            category: words::category(row.get(3)?),
            kind: if row.get::<_, i64>(4)? == 0 { ClaimKind::Deemed } else { ClaimKind::ExPost },
            amount: Money::from_fen(row.get(5)?),
            is_late: row.get(6)?,
            takes_back: row.get(7)?,
        })
    })?;
    Ok(net(&rows.collect::<rusqlite::Result<Vec<_>>>()?))
}

/// A draft to store.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it may count.
    pub scope: Scope,
    /// Transfers are late after this day.
    pub transfer_due: Date,
    /// Everything that it counts.
    pub counted: Vec<Counted>,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

impl Draft {
    /// Its claims, what came and went taken out.
    pub fn net(&self) -> Vec<Claim> {
        net(&self.counted.iter().map(|counted| counted.claim.clone()).collect::<Vec<_>>())
    }
}

impl Txn<'_> {
    /// Stores a draft in place of the one before; nothing to count is no settlement. A request to approve other bytes
    /// is void.
    pub fn draft_settlement(&self, draft: &Draft, on: Date) -> Result<()> {
        let head = &draft.scope.head;
        let before = find(&self.tx, head)?;
        if before.as_ref().is_some_and(|before| before.state != SettlementState::Drafted) {
            return Err(Error::Stale);
        }
        if let Some(before) = before {
            self.tx.prepare_cached("DELETE FROM settlement_item WHERE settlement = ?1")?.execute([before.id])?;
            self.tx.prepare_cached("DELETE FROM settlement WHERE id = ?1")?.execute([before.id])?;
            self.void_other_bytes(head, &draft.sha256)?;
        }
        let net = draft.net();
        if net.is_empty() {
            return self.void("settlement", &subject(head));
        }
        let people = net.iter().filter(|claim| !claim.is_negative()).count();
        self.tx
            .prepare_cached(
                "INSERT INTO settlement
                 (year, payer, district, state, ends_on, transfer_due, people, deemed, ex_post, sha256, drafted_on)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute((
                head.year,
                head.payer as i64,
                head.district.as_str(),
                SettlementState::Drafted as i64,
                day(draft.scope.end),
                day(draft.transfer_due),
                people as i64,
                total(&net, ClaimKind::Deemed).fen(),
                total(&net, ClaimKind::ExPost).fen(),
                &draft.sha256[..],
                day(on),
            ))?;
        let id = self.tx.last_insert_rowid();
        let mut statement =
            self.tx.prepare_cached("INSERT INTO settlement_item VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
        for Counted { item: (kind, item), claim } in &draft.counted {
            statement.execute((
                kind,
                item,
                id,
                claim.participant,
                &claim.name,
                claim.fee_year,
                claim.category as i64,
                claim.amount.fen(),
                claim.is_late,
                claim.takes_back,
            ))?;
        }
        Ok(())
    }

    fn void_other_bytes(&self, head: &Head, sha256: &[u8; 32]) -> Result<()> {
        self.tx
            .prepare_cached(
                "UPDATE approval SET state = 2 WHERE kind = 'settlement' AND subject = ?1 AND state = 0 AND digest <> ?2",
            )?
            .execute((subject(head), &sha256[..]))?;
        Ok(())
    }

    /// A settlement is frozen: another person saw exactly these bytes.
    pub fn freeze_settlement(&self, settlement: &Settlement, on: Date) -> Result<()> {
        self.move_settlement(settlement, SettlementEvent::Approved)?;
        self.tx.prepare_cached("UPDATE settlement SET approved = ?2, approved_on = ?3 WHERE id = ?1")?.execute((
            settlement.id,
            self.seq,
            day(on),
        ))?;
        Ok(())
    }

    /// A settlement was seen in its payer's folder.
    pub fn settlement_sent(&self, settlement: &Settlement, on: Date) -> Result<()> {
        self.move_settlement(settlement, SettlementEvent::Sent)?;
        self.tx
            .prepare_cached("UPDATE settlement SET sent_on = ?2 WHERE id = ?1")?
            .execute((settlement.id, day(on)))?;
        self.clear_paid(settlement.id, on)
    }

    /// A settlement of which nothing is owed any more is cleared.
    pub(super) fn clear_paid(&self, id: i64, on: Date) -> Result<()> {
        let mut statement = self.tx.prepare_cached(&format!("{SETTLEMENT} WHERE t.id = ?1"))?;
        let mut rows = statement.query([id])?;
        let Some(settlement) = rows.next()?.map(settlement).transpose()? else { return Ok(()) };
        if settlement.state != SettlementState::Sent || settlement.owed().is_positive() {
            return Ok(());
        }
        self.move_settlement(&settlement, SettlementEvent::Cleared)?;
        self.tx.prepare_cached("UPDATE settlement SET cleared_on = ?2 WHERE id = ?1")?.execute((id, day(on)))?;
        Ok(())
    }

    fn move_settlement(&self, settlement: &Settlement, event: SettlementEvent) -> Result<()> {
        let state = settlement.state.after(event).map_err(|illegal| Error::Broken(illegal.to_string()))?;
        let changed = self
            .tx
            .prepare_cached("UPDATE settlement SET state = ?2 WHERE id = ?1 AND state = ?3")?
            .execute((settlement.id, state as i64, settlement.state as i64))?;
        if changed == 1 { Ok(()) } else { Err(Error::Stale) }
    }

    /// Whether something of these names still waits to be published in a folder.
    pub fn waits_in_outbox(&self, folder: &str, names: &[String]) -> Result<bool> {
        waits_in_outbox(&self.tx, folder, names)
    }
}

/// Whether something of these names still waits to be published in a folder.
pub fn waits_in_outbox(conn: &Connection, folder: &str, names: &[String]) -> Result<bool> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM outbox WHERE folder = ?1 AND name = ?2")?;
    for name in names {
        if statement.exists((folder, name))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Batches of which something may still be booked into a settlement year that ends on this day: not ended, and to be
/// debited by then.
pub fn open_batches(conn: &Connection, end: Date) -> Result<Vec<i64>> {
    let mut statement = conn
        .prepare_cached("SELECT number FROM batch WHERE debit_on <= ?1 AND state NOT IN (6, 7, 8) ORDER BY number")?;
    let numbers = statement.query_map([day(end)], |row| row.get(0))?;
    Ok(numbers.collect::<rusqlite::Result<_>>()?)
}

/// The settlement that counts an entry or an ex-post subsidy (`kind` as in [`Counted::item`]).
pub fn of_item(conn: &Connection, kind: i64, item: i64) -> Result<Option<(SettlementYear, SettlementState)>> {
    let mut statement = conn.prepare_cached(
        "SELECT t.year, t.state FROM settlement_item m JOIN settlement t ON t.id = m.settlement
         WHERE m.kind = ?1 AND m.item = ?2",
    )?;
    let found = statement.query_row((kind, item), |row| Ok((row.get(0)?, words::settlement_state(row.get(1)?))));
    Ok(found.optional()?)
}
