//! Household tables: several people in one row. They are refused with words: half of a family would be lost without a sound.

use super::{Cells, Column, TableFault, TableKind};

/// Refuses a heading with several columns of identity numbers of people that the table is about.
pub(super) fn vet(row: u32, kind: Option<TableKind>, cells: &Cells) -> Result<(), TableFault> {
    let plain = cells.iter().filter(|cell| Column::parse(cell) == Some(Column::IdNumber)).count();
    let members = cells.iter().filter(|cell| is_member(cell)).count();
    let of_people = kind.is_none_or(|kind| kind == TableKind::List);
    if of_people && members > 0 && plain + members > 1 {
        return Err(fault(&format!("{}", plain + members)).at_row(row));
    }
    Ok(())
}

/// 成员2身份证号, 身份证号3, 配偶身份证号. The head of the household beside the person (户主身份证号) is nobody else's row.
fn is_member(heading: &str) -> bool {
    const WHO: [&str; 6] = ["家庭成员", "成员", "配偶", "子女", "家属", "共同生活"];
    if Column::parse(heading).is_some() {
        return false;
    }
    let kept = |c: char| !c.is_numeric() && !"一二三四五六七八九十()（）".contains(c) && !c.is_whitespace();
    let mut bare: String = heading.chars().filter(|c| kept(*c)).collect();
    while let Some(rest) = WHO.iter().find_map(|who| bare.strip_prefix(who)) {
        bare = rest.to_owned();
    }
    Column::parse(&bare) == Some(Column::IdNumber)
}

/// Several people in one row.
pub(super) fn fault(found: &str) -> TableFault {
    TableFault::new(
        "household-rows",
        "one person in each row: one column id_number, one column name",
        format!("{found} columns of identity numbers or names"),
        "一行内有多个人的姓名、身份证号（按户填写）",
        "请改为每人一行，每行填写该人的姓名、身份证号、区县、认定类别和认定年度后重新报送",
    )
}

/// Cells merged over several rows: only the first of these rows has the text.
pub(super) fn merged(first: u32, last: u32) -> TableFault {
    TableFault::new(
        "merged-cells",
        "cells of their own in each row",
        format!("cells merged over rows {first} to {last}"),
        format!("第 {first} 至 {last} 行有合并的单元格，只有第一行有内容"),
        "请取消合并单元格，在每一行填写完整后重新报送",
    )
}
