//! The daemon, and the steps that it shares with the commands.

pub mod approvals;
pub mod audit;
pub mod bureau;
pub mod closing;
pub mod drops;
pub mod instructing;
pub mod intake;
pub mod lists;
pub mod payments;
pub mod planning;
pub mod ready;
pub mod receipts;
pub mod releasing;
pub mod resolving;
pub mod returns;
pub mod roster;
pub mod schedule;
pub mod watch;
