//! Counts, sums and digest made anew from changed rows, by offsets of our own: what a bank's program with a fault in it
//! would write over them.

use super::exchange::{Bank, Exchange};
use crate::bank_files::{Layout, digest, number, yuan};

impl Bank {
    /// Counts, sums and digest as they follow from the rows: what a bank's own program would write. Where a row cannot
    /// be counted, only the digest is made anew.
    pub(super) fn seal(&self, exchange: &mut Exchange) {
        let layout = self.request.layout;
        let framed = usize::from(layout != Layout::Postal);
        if exchange.lines.len() < 2 * framed + 1 {
            return;
        }
        let end = exchange.lines.len() - framed;
        let sums = Sums::of(layout, &exchange.lines[framed..end]);
        match layout {
            Layout::Rural => seal_rural(&mut exchange.lines, sums),
            Layout::Postal => {
                seal_postal(&exchange.lines.concat(), exchange.control.as_mut().unwrap(), sums);
            }
            Layout::City => seal_city(&mut exchange.lines, sums),
        }
    }
}

impl Bank {
    /// Fen that the rows say were taken, whatever else they say; `None` where an amount cannot be read.
    pub(super) fn said_taken(&self, exchange: &Exchange) -> Option<i64> {
        let framed = usize::from(self.request.layout != Layout::Postal);
        let actual = match self.request.layout {
            Layout::Rural => 184..196,
            Layout::Postal => 211..223,
            Layout::City => 84..99,
        };
        let rows = &exchange.lines[framed..exchange.lines.len() - framed];
        let taken =
            rows.iter().map(|row| Some(fen(std::str::from_utf8(row.get(actual.clone())?).ok()?.trim())? as i64));
        taken.sum()
    }
}

/// What rows add up to, by offsets of our own.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: u64,
    due: u64,
    tails: u64,
    ok: u64,
    ok_amount: u64,
    ng: u64,
    ng_amount: u64,
}

impl Sums {
    fn of(layout: Layout, rows: &[Vec<u8>]) -> Option<Sums> {
        let (account, due, actual, code) = match layout {
            Layout::Rural => (51..83, 143..155, 184..196, 196..200),
            Layout::Postal => (26..48, 106..118, 211..223, 180..181),
            Layout::City => (35..67, 68..83, 84..99, 100..108),
        };
        let mut sums = Sums { count: rows.len() as u64, ..Sums::default() };
        for row in rows {
            let text = |range: std::ops::Range<usize>| std::str::from_utf8(row.get(range)?).ok().map(str::trim);
            let (due, actual) = (fen(text(due.clone())?)?, fen(text(actual.clone())?)?);
            if layout == Layout::Rural {
                let account = text(account.clone())?;
                sums.tails += account.get(account.len().saturating_sub(8)..)?.parse::<u64>().ok()?;
            }
            sums.due += due;
            if layout.is_success(text(code.clone())?) {
                (sums.ok, sums.ok_amount) = (sums.ok + 1, sums.ok_amount + actual);
            } else {
                (sums.ng, sums.ng_amount) = (sums.ng + 1, sums.ng_amount + due);
            }
        }
        Some(sums)
    }
}

fn fen(text: &str) -> Option<u64> {
    text.chars().filter(|c| *c != '.').collect::<String>().parse().ok()
}

/// Nothing where another line stands in the place of the one that has this field.
fn put(line: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = line.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn seal_rural(lines: &mut [Vec<u8>], sums: Option<Sums>) {
    let last = lines.len() - 1;
    if let Some(sums) = sums {
        let (count, due) = (number(sums.count, 8), number(sums.due, 15));
        let header = [count.clone(), due.clone(), number(sums.ok, 8), number(sums.ok_amount, 15)].concat();
        put(&mut lines[0], 87, &[header, number(sums.ng, 8), number(sums.ng_amount, 15)].concat());
        put(&mut lines[last], 1, &[count, due, number(sums.tails, 16)].concat());
    }
    let made = digest(&lines[..last].concat());
    put(&mut lines[last], 40, made.as_bytes());
}

fn seal_postal(data: &[u8], control: &mut [u8], sums: Option<Sums>) {
    put(control, 65, &number(data.len() as u64, 12));
    put(control, 105, digest(data).as_bytes());
    if let Some(sums) = sums {
        put(control, 77, &[number(sums.count, 8), yuan(sums.due, 16)].concat());
        let counted = [number(sums.ok, 8), yuan(sums.ok_amount, 16), number(sums.ng, 8), yuan(sums.ng_amount, 16)];
        put(control, 183, &counted.concat());
    }
}

fn seal_city(lines: &mut [Vec<u8>], sums: Option<Sums>) {
    let last = lines.len() - 1;
    if let Some(sums) = sums {
        put(&mut lines[0], 147, &number(sums.count, 8));
        let counted = [number(sums.count, 8), number(sums.ok, 8), number(sums.ok_amount, 15), number(sums.ng, 8)];
        put(&mut lines[last], 2, &[&counted.join(&b'|')[..], b"|", &number(sums.ng_amount, 15)].concat());
    }
    let made = digest(&lines[..last].concat());
    put(&mut lines[last], 61, made.as_bytes());
}
