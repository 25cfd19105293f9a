<<<<<<< HEAD
//! One file per command, as design section 9 names them.

pub mod check;
pub mod init;
pub mod out;
pub mod table;
=======
//! One file per command.

pub mod demo;
>>>>>>> demo
