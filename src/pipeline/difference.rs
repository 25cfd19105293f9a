//! What a version of a list changes, person by person: shown before it takes effect (R7), kept as change list.

use crate::domain::ids::IdNumber;
use crate::pipeline::lists::{ListChange, Recognised};
use std::collections::BTreeMap;

/// What happens to a person on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListMove {
    /// 新增.
    Added,
    /// 变更: another category, or another name.
    Changed,
    /// 退出.
    Removed,
}

impl ListMove {
    /// Every move with its word and its Chinese.
    pub const ALL: [(ListMove, &str, &str); 3] = [
        (ListMove::Added, "added", "新增"),
        (ListMove::Changed, "changed", "变更"),
        (ListMove::Removed, "removed", "退出"),
    ];

    /// The word of exports and receipts.
    pub fn word(self) -> &'static str {
        ListMove::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        ListMove::ALL[self as usize].2
    }
}

/// One person whom a version of a list moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// How.
    pub how: ListMove,
    /// Row of their file; none for who is no longer in it.
    pub row: Option<u32>,
    /// Whom.
    pub id: IdNumber,
    /// As what before.
    pub was: Option<Recognised>,
    /// As what now.
    pub now: Option<Recognised>,
}

impl Moved {
    /// The newest name that a list gave.
    pub fn name(&self) -> &str {
        self.now.as_ref().or(self.was.as_ref()).map_or("", |row| row.name.as_str())
    }

    /// The list names the person otherwise than before.
    pub fn is_renamed(&self) -> bool {
        self.was.as_ref().zip(self.now.as_ref()).is_some_and(|(was, now)| was.name != now.name)
    }
}

/// The difference of a version against what is in force: additions, changes, removals, each in the order of their rows.
///
/// Who leaves one category of the list and enters another is one change.
pub fn difference(in_force: &[Recognised], change: &ListChange) -> Vec<Moved> {
    let mut leaving: BTreeMap<IdNumber, Vec<&Recognised>> = BTreeMap::new();
    change.removed.iter().for_each(|row| leaving.entry(row.id).or_default().push(row));
    let before: BTreeMap<_, &Recognised> = in_force.iter().map(|row| ((row.id, row.category), row)).collect();
    let mut moves = Vec::new();
    for (line, row) in &change.added {
        let was = match before.get(&(row.id, row.category)) {
            Some(named_otherwise) => Some((*named_otherwise).clone()),
            None => leaving.get_mut(&row.id).and_then(Vec::pop).cloned(),
        };
        let how = if was.is_some() { ListMove::Changed } else { ListMove::Added };
        moves.push(Moved { how, row: Some(*line), id: row.id, was, now: Some(row.clone()) });
    }
    for row in leaving.into_values().flatten() {
        moves.push(Moved { how: ListMove::Removed, row: None, id: row.id, was: Some(row.clone()), now: None });
    }
    moves.sort_by_key(|moved| (moved.how, moved.row, moved.id));
    moves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::participant::Category::{self, ExtremePoverty, SubsistenceAllowance};
    use crate::pipeline::lists::{ListFile, compare};
    use rust_decimal::Decimal;

    fn row(key: i64, category: Category, name: &str) -> Recognised {
        Recognised { id: IdNumber::from_key(key), category, name: name.to_owned() }
    }

    #[test]
    fn a_person_moves_once() {
        let before = [
            row(1, ExtremePoverty, "甲"),
            row(2, SubsistenceAllowance, "乙"),
            row(3, SubsistenceAllowance, "丙"),
            row(5, ExtremePoverty, "戊"),
        ];
        let now = [row(1, ExtremePoverty, "甲"), row(2, ExtremePoverty, "乙"), row(4, SubsistenceAllowance, "丁")];
        let mut rows: Vec<(u32, Recognised)> = (2..).zip(now).collect();
        rows.push((9, row(5, ExtremePoverty, "戊戊")));
        let categories = rows.iter().map(|(_, row)| row.category).collect();
        let list = ListFile { year: 2017, as_of: None, categories, rows, defects: Vec::new(), warnings: Vec::new() };
        let change = compare(&list, &before, Decimal::ONE);
        let moves = difference(&before, &change);
        let shown: Vec<_> = moves.iter().map(|m| (m.how.word(), m.row, m.id.key(), m.name())).collect();
        assert_eq!(
            shown,
            [
                ("added", Some(4), 4, "丁"),
                ("changed", Some(3), 2, "乙"),
                ("changed", Some(9), 5, "戊戊"),
                ("removed", None, 3, "丙")
            ]
        );
        assert_eq!(moves[1].was.as_ref().map(|row| row.category), Some(SubsistenceAllowance));
    }
}
