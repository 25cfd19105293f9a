//! One integration binary: each module is one kind of proof.

mod attacks;
mod audit;
mod bank_files;
#[cfg(feature = "bank-sim")]
mod bank_sim;
mod bureau;
mod charsets;
mod check;
mod corruption;
mod crash;
mod defects;
#[cfg(feature = "bank-sim")]
mod delivery;
mod demo;
mod disk;
mod docs;
mod drops;
mod evidence;
mod exchange;
mod feed;
mod flow;
mod fuzz;
mod layouts;
mod lifecycles;
#[cfg(feature = "bank-sim")]
mod lines;
mod papers;
mod properties;
mod running;
mod scratch;
mod silence;
mod sshd;
mod tidy;
mod upload;
// Fen stand as yuan and fen: 2_000_00.
mod years;

use scratch::scratch;
