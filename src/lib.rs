//! daikou (代扣): the bank file interchange daemon of a social insurance bureau.
//!
//! Rooms in reading order; a room uses only the rooms above it, and `tests/it/tidy.rs` keeps it so.
//!
//! 1. [`domain`]: nouns and rules of the policy. Pure.
//! 2. [`format`]: bytes of banks and tables of staff, both ways, driven by layouts. Pure.
//! 3. [`pipeline`]: the flow drop → decode → validate → match → post → emit. Pure.
//! 4. [`store`]: SQLite: one read before the flow, one write after it.
//! 5. [`transport`]: drop folders, the archive, what is published. Never looks inside a file.
//! 6. [`config`]: what was written (TOML) made into what we can run.
//! 7. [`telemetry`]: log setup, every metric name.
//! 8. [`daemon`]: the steps, the intake of files, and the loop that does both.
//! 9. [`web`]: `/metrics` and `/healthz`.
//! 10. [`cli`]: one file per command.

#[macro_use]
pub mod failpoint;

pub mod domain;

pub mod format;

pub mod pipeline;

pub mod store;

pub mod transport;

pub mod config;

pub mod telemetry;

pub mod daemon;

pub mod web;

pub mod cli;

#[cfg(test)]
mod golden;
