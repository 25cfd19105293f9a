//! The doorway.

fn main() -> std::process::ExitCode {
    daikou::cli::main()
}
