//! The daemon, and the steps that it shares with the commands.

pub mod bureau;
pub mod ready;
pub mod schedule;
pub mod watch;
