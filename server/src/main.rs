//! The binary `tandem`: the switch itself, and the commands that speak to a running one.

mod commands;

use std::process::ExitCode;

/// The C library's takes a fifth more CPU a call and a quarter more memory a held call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::main()
}
