//! The `echosphere` binary.

fn main() -> std::process::ExitCode {
    echosphere_server::cli::main()
}
