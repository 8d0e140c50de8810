//! The `perennial-node` program.

fn main() -> std::process::ExitCode {
    perennial_node::daemon::main()
}
