//! The `tautline` program: see `tautline --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tautline::cli::main()
}
