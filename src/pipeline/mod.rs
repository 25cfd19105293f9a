//! The flow: drop, decode, validate, match, post, emit. Pure.

pub mod intake;
