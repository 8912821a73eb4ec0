//! `cargo run --release -p sim -- SEED [CALLS] [RUNS]`: runs simulations and says what went wrong.
//! A failing seed replays the failure.

use std::time::Duration;

use billing::Money;
use sim::check;
use sim::world::{Faults, Options, World};

const USAGE: &str = "usage: sim SEED [CALLS, default 200] [RUNS, default 1]";

fn main() {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let mut next = |default| numbers.next().unwrap_or(Ok(default));
    let (Ok(seed), Ok(calls), Ok(runs)) = (next(1), next(200), next(1)) else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    let mut failed = 0;
    for seed in seed..seed + runs {
        // A balance between nothing and enough for about half of the calls.
        let balance = Money((seed.wrapping_mul(7_919) % (calls * 40_000 + 1)) as i64);
        let mut faults = if seed % 3 == 0 { Faults::NONE } else { Faults::ALL };
        faults.crashes = if seed % 4 == 1 { 2 } else { 0 };
        let within = Duration::from_secs(120);
        let mut world = World::new(Options { seed, calls: calls as u32, within, balance, faults });
        world.run();
        let complaints = check::complaints(&world);
        if !complaints.is_empty() {
            failed += 1;
            println!("seed {seed}: {}", complaints.join("\n  "));
        }
        if runs == 1 {
            println!("seed {seed}: {} calls, trace {:016x}", world.settled.len(), world.trace);
        }
    }
    println!("{} passed, {failed} failed", runs - failed);
    if failed > 0 {
        std::process::exit(1);
    }
}
