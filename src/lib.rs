//! daikou (代扣): the bank file interchange daemon of a social insurance bureau.
//!
//! Rooms in reading order; a room uses only the rooms above it, and `tests/it/tidy.rs` keeps it so.
//!
//! 1. [`domain`]: nouns and rules of the policy. Pure.
//! 2. [`format`]: bytes and records, both ways. Pure.
//! 3. [`pipeline`]: the flow: drop, decode, validate, match, post, emit. Pure.
//! 4. [`config`]: what was written (TOML) made into what we can run.
//! 5. [`cli`]: one file per command.

pub mod domain;

pub mod format;

pub mod pipeline;

pub mod config;

pub mod cli;

#[cfg(test)]
mod golden;
