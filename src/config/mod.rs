//! What was written, turned into what we can run.

pub mod layouts;
