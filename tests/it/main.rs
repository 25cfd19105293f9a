//! One integration binary: each module is one kind of proof.

mod attacks;
mod audit;
mod bank_files;
#[cfg(feature = "bank-sim")]
mod bank_sim;
mod bureau;
mod check;
mod defects;
#[cfg(feature = "bank-sim")]
mod delivery;
mod demo;
mod disk;
mod docs;
mod drops;
mod evidence;
mod exchange;
mod flow;
mod layouts;
mod lifecycles;
#[cfg(feature = "bank-sim")]
mod lines;
mod running;
mod silence;
mod sshd;
mod tidy;
mod upload;
mod years;
