//! Bytes and records, both ways; driven by data, no bank name in code. Pure.

pub mod table;
