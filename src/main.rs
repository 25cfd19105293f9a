//! The doorway: parse the command line, run one command, choose the exit code.

use clap::{Parser, Subcommand};
use daikou::cli::layout::{self, LayoutArgs};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "daikou", version, about)]
struct Arguments {
    /// Print for machines
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Layout(LayoutArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.command {
        Command::Layout(args) => layout::run(args, arguments.json, None),
    }
}
