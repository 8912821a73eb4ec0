//! Whole worlds in virtual time. `cargo run --release -p sim -- SEED` replays one.

use std::time::Duration;

use billing::Money;
use sim::check;
use sim::world::{Faults, Options, World};

#[track_caller]
fn check(seeds: std::ops::Range<u64>, calls: u32, balance: i64, faults: Faults) {
    for seed in seeds {
        let within = Duration::from_secs(60);
        let balance = Money(balance);
        let mut world = World::new(Options { seed, calls, within, balance, faults });
        world.run();
        let complaints = check::complaints(&world);
        assert!(complaints.is_empty(), "seed {seed}:\n{}", complaints.join("\n"));
        assert!(!world.settled.is_empty(), "seed {seed}: no call was made");
    }
}

#[test]
fn a_perfect_world_keeps_its_books() {
    check(0..10, 60, 5_000_000, Faults::NONE);
}

#[test]
fn loss_duplication_reordering_late_timers_and_a_slow_disk_change_no_cent() {
    check(100..115, 60, 5_000_000, Faults::ALL);
}

#[test]
fn many_calls_share_little_money_and_none_is_overdrawn() {
    check(200..215, 80, 300_000, Faults::ALL);
}

#[test]
fn nobody_talks_without_money() {
    check(300..303, 40, 0, Faults::ALL);
}

#[test]
fn a_crash_loses_no_charge_and_no_cdr() {
    check(400..415, 60, 5_000_000, Faults { crashes: 2, ..Faults::ALL });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let within = Duration::from_secs(30);
        let balance = Money(1_000_000);
        let faults = Faults::ALL;
        let mut world = World::new(Options { seed, calls: 30, within, balance, faults });
        world.run();
        world.trace
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
