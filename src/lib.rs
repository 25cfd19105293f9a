//! daikou (代扣): the bank file interchange daemon of a social insurance bureau.
//!
//! Rooms in reading order; a room uses only the rooms above it, and `tests/it/tidy.rs` keeps it so.
//!
//! 1. [`domain`]: nouns and rules of the policy. Pure.

pub mod domain;

pub mod cli;
