//! One file per command, as design section 9 names them. Only here is anything printed.

pub mod layout;
