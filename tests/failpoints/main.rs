//! The program with its failpoints, for the proofs of crashes.

fn main() -> std::process::ExitCode {
    daikou::cli::main()
}
