//! One integration binary: each module is one kind of proof.

mod bank_files;
mod defects;
mod docs;
mod drops;
mod flow;
mod layouts;
mod lifecycles;
