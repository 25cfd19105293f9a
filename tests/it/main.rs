//! One integration binary: each module is one kind of proof.

mod audit;
mod bank_files;
#[cfg(feature = "bank-sim")]
mod bank_sim;
mod bureau;
mod check;
mod defects;
mod demo;
mod docs;
mod drops;
mod exchange;
mod flow;
mod layouts;
mod lifecycles;
mod running;
mod sshd;
mod tidy;
mod upload;
