//! Exports of settlements and payers' money (R15, R16).

use super::{Cells, Words};
use crate::domain::settlement::ClaimKind;
use crate::store::{Result, words};
use rusqlite::Row;

/// Net claims of each person, people and amounts added up; what is taken back stands on its own line.
pub(super) const LINES: &str = "
    WITH person AS (
        SELECT settlement, fee_year, category, kind > 0 AS ex_post, back, participant, sum(amount) AS amount
        FROM settlement_item GROUP BY settlement, fee_year, category, ex_post, back, participant HAVING sum(amount) <> 0)
    SELECT t.year, t.payer, t.district, p.fee_year, p.category, p.ex_post, count(*), sum(p.amount)
    FROM person p JOIN settlement t ON t.id = p.settlement WHERE ?1 IS NULL OR t.year = ?1
    GROUP BY t.id, p.fee_year, p.category, p.ex_post, p.amount < 0
    ORDER BY t.year, t.payer, t.district, p.fee_year, p.category, p.ex_post, p.amount < 0";

pub(super) fn line(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> Result<()> {
    out.put(row.get::<_, i64>(0)?);
    out.put(words::payer(row.get(1)?).word());
    out.text(row, 2)?;
    out.put(row.get::<_, i64>(3)?);
    out.put(words::category(row.get(4)?).word());
    out.put(if row.get(5)? { ClaimKind::ExPost } else { ClaimKind::Deemed }.word());
    out.put(row.get::<_, i64>(6)?);
    out.money(row.get(7)?);
    Ok(())
}

/// One row for each settlement: short is what is open, over what of its payer's money waits in suspense.
pub(super) const CLAIMS: &str = "
    SELECT t.year, t.payer, t.district, t.state, t.people, t.deemed, t.ex_post, c.cleared,
           CASE WHEN t.state = 0 THEN NULL ELSE max(t.deemed - c.cleared, 0) END,
           (SELECT coalesce(sum(x.amount), 0) FROM transfer f JOIN exception x ON x.posting = f.posting AND x.resolved = 0
            WHERE f.settlement_year = t.year AND f.payer = t.payer AND f.district = t.district),
           t.transfer_due, t.sha256, t.approved_on, t.sent_on, t.cleared_on
    FROM settlement t
    JOIN (SELECT s.id, coalesce(sum(g.amount), 0) AS cleared FROM settlement s
          LEFT JOIN clearing g ON g.settlement = s.id GROUP BY s.id) c ON c.id = t.id
    WHERE ?1 IS NULL OR t.year = ?1 ORDER BY t.year, t.payer, t.district";

pub(super) fn claim(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> Result<()> {
    out.put(row.get::<_, i64>(0)?);
    out.put(words::payer(row.get(1)?).word());
    out.text(row, 2)?;
    out.put(words::settlement_state(row.get(3)?).word());
    out.put(row.get::<_, i64>(4)?);
    for column in 5..=9 {
        out.money(row.get(column)?);
    }
    out.day(row.get(10)?);
    out.hex(row, 11)?;
    for column in 12..=14 {
        out.day(row.get(column)?);
    }
    Ok(())
}

/// One row for each transfer; `cleared` is of whatever settlement, `held` waits in suspense.
pub(super) const TRANSFERS: &str = "
    SELECT f.settlement_year, f.payer, f.district, f.reference, f.received_on, f.amount,
           (SELECT coalesce(sum(amount), 0) FROM clearing WHERE transfer = f.posting),
           (SELECT coalesce(sum(amount), 0) FROM exception WHERE posting = f.posting AND resolved = 0), f.late
    FROM transfer f WHERE ?1 IS NULL OR f.settlement_year = ?1 ORDER BY f.posting";

pub(super) fn transfer(row: &Row<'_>, _: &Words<'_>, out: &mut Cells) -> Result<()> {
    out.put(row.get::<_, i64>(0)?);
    out.put(words::payer(row.get(1)?).word());
    out.text(row, 2)?;
    out.text(row, 3)?;
    out.day(row.get(4)?);
    for column in 5..=7 {
        out.money(row.get(column)?);
    }
    out.put(if row.get(8)? { "late" } else { "" });
    Ok(())
}
