//! The daemon and the steps that it shares with the commands.
