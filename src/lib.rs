//! daikou (代扣): the bank file interchange daemon of a social insurance bureau.
//!
//! Rooms in reading order; a room uses only the rooms above it, and `tests/it/tidy.rs` keeps it so.
//!
//! 1. [`domain`]: nouns and rules of the policy. Pure.
//! 2. [`transport`]: how bytes come in and go out; never looks inside a file.
//! 3. [`telemetry`]: log set-up, every metric, and whether the process is well.
//! 4. [`daemon`]: what wakes the daemon, what it tells systemd, which windows of the day are due.
//! 5. [`web`]: `/metrics` and `/healthz` on the loopback address.

pub mod daemon;
pub mod domain;
pub mod telemetry;
pub mod transport;
pub mod web;
