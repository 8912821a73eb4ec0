//! Tasks for developers, run as `cargo xtask NAME`. Nothing of this ships in the product.

mod crash;
mod first_steps;
mod flood;
mod interwork;
mod load;
mod nodes;
mod outage;
mod overload;
mod postgres;
mod scenarios;
mod softphones;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask NAME

  tidy                 check walls between crates, file and function sizes, file headers
  tidy --ratchet       rewrite xtask/tidy.toml after sizes have shrunk
  scenarios [NAME …]   SIPp scenarios against a fresh Tandem (--help)
  postgres COMMAND …   runs COMMAND with a private PostgreSQL around it, for tests on both databases
  first-steps          what the demo prints, word for word, and the scenarios against a Tandem on
                       127.0.0.2; needs the ports 5060, 5080, 5090 and 8080 [--binary PATH] [--keep]
  softphones           baresip and linphone against a fresh Tandem [--binary PATH] [--keep]
  interwork [PART …]   two softphones behind NAT (nat), and Kamailio in front of a fresh Tandem and
                       behind it (kamailio); makes network namespaces [--binary PATH] [--keep]
  crash [KILLS]        kill -9 under 200 calls/s, restart, check the ledger; default 5 kills
  flood [SECONDS]      random bytes, half-open TCP and a locked database while calls run;
                       default 30 seconds, and 4,000 datagrams of rubbish a second (--junk 50000)
  overload [ROUNDS]    as many calls as one processor can carry, which is measured first, and twice as many,
                       in turns; default 3 rounds
  outage [SECONDS]     PostgreSQL stopped, then hanging, while calls run at --rate a second (default
                       500); default 10 seconds
  nodes [SECONDS]      three nodes on one PostgreSQL and one prepaid account, --kills N of them, one
                       paused, one left dead; default 12 seconds and 4 kills

crash, flood, overload, outage and nodes need sipp, sqlite3 or PostgreSQL, and take --binary PATH (default: target/release/tandem) and
--keep (the temporary folder with logs and data)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["tidy"] => tidy::check(),
        ["tidy", "--ratchet"] => tidy::ratchet(),
        ["scenarios", rest @ ..] => scenarios::run(rest),
        ["outage", rest @ ..] => outage::run(rest),
        ["nodes", rest @ ..] => nodes::run(rest),
        ["postgres", rest @ ..] => postgres::run(rest),
        ["first-steps", rest @ ..] => first_steps::run(rest),
        ["interwork", rest @ ..] => interwork::run(rest),
        ["softphones", rest @ ..] => softphones::run(rest),
        ["crash", rest @ ..] => crash::run(rest),
        ["flood", rest @ ..] => flood::run(rest),
        ["overload", rest @ ..] => overload::run(rest),
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
