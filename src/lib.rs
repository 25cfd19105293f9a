//! daikou (代扣): the bank file interchange daemon of a social insurance bureau.
//!
//! Rooms in reading order; a room uses only the rooms above it, and `tests/it/tidy.rs` keeps it so.
//!
//! 1. [`domain`]: nouns and rules of the policy. Pure.
//! 2. [`mod@format`]: bytes and records of bank files, driven by layouts. Pure.
//! 6. [`config`]: what was written, turned into what we can run.

pub mod cli;
pub mod config;
pub mod domain;
pub mod format;
