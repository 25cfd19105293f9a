//! The parts of the daemon around its main loop.

pub mod ready;
pub mod schedule;
pub mod watch;
