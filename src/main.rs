//! The binary: hands the command line to [`pixelgate::cli`] and turns its answer into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    pixelgate::cli::run()
}
