//! `daikou demo`: a fee year of made-up people and simulated banks.

pub mod bank;
pub mod people;
