//! Tasks for developers, run as `cargo xtask NAME`. Nothing of this ships in the product.

mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask NAME

  tidy                 check walls between crates, file and function sizes, file headers
  tidy --ratchet       rewrite xtask/tidy.toml after sizes have shrunk";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["tidy"] => tidy::check(),
        ["tidy", "--ratchet"] => tidy::ratchet(),
        _ => Err(USAGE.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
