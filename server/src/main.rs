//! The binary `tandem`: the switch itself, and the commands that speak to a running one.

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main()
}
