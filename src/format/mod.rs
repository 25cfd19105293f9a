//! Bytes and records, both ways, driven by layouts that are data; and the tables that staff send. Pure.
//!
//! No bank's name stands in this room: a bank is a folder of `formats/`.

pub mod capitals;
pub mod cell;
pub mod charset;
pub mod codes;
pub mod collate;
pub mod decode;
pub mod decoded;
pub mod defect;
pub mod digest;
pub mod encode;
pub mod field;
pub mod layout;
mod lint;
pub mod names;
pub mod paper;
pub mod record;
pub mod role;
pub mod table;
mod totals;
