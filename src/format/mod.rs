//! Bytes and records of bank files, driven by layouts: [`layout`] says what files look like, [`decode`] reads them,
//! [`encode`] writes them, [`defect`] names what is wrong with them. No bank or layout has a name here.
//!
//! Bytes are the unit. Reading never stops at the first defect and never panics, whatever it is fed.

pub mod charset;
pub mod codes;
pub mod decode;
pub mod decoded;
pub mod defect;
pub mod digest;
pub mod encode;
pub mod field;
pub mod layout;
mod lint;
pub mod names;
pub mod record;
pub mod role;
mod totals;
