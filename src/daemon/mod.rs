//! The daemon, and the steps that it shares with the commands.

pub mod approvals;
pub mod bureau;
pub mod planning;
pub mod ready;
pub mod schedule;
pub mod watch;
