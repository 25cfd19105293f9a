//! One integration binary: each module is one kind of proof.

mod defects;
mod layouts;
