//! Nouns and rules of the bureau. Pure: no file, socket, clock, log or serde.
//!
//! Every rule of the policy lives here and names its place (`R5`) in `docs/rules.md`.

pub mod calendar;
pub mod delivery;
pub mod exception;
pub mod ids;
pub mod instruction;
pub mod ledger;
pub mod money;
pub mod participant;
pub mod plan;
pub mod policy;
pub mod postings;
pub mod returns;
pub mod settlement;
