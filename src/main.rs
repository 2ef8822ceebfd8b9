//! The binary: hands over to [`ferry::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ferry::cli::main()
}
