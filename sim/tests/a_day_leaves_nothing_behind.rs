//! Twenty-four hours with every fault at once: each hour calls come and end, then nobody calls for a while,
//! and what was there for the calls is gone.

use std::time::Duration;

use billing::Money;
use sim::check;
use sim::world::{Faults, Options, World};

/// Until then tables grow to the size that they need; later that is rare.
const HOURS_TO_GROW: usize = 12;
/// Bytes that the switch and billing may keep of an hour. What is kept of each call shows in every hour.
const BYTES_KEPT_MAX: i64 = 1_024;

/// One hour: calls, their end, and a rest that is longer than every timer of SIP and of the limits.
fn hour(world: &mut World) {
    world.run();
    world.rest(Duration::from_secs(600));
    let complaints = check::complaints(world);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert_eq!(world.shard.transactions(), 0, "transactions are left");
}

/// `TANDEM_DAY_CALLS`: calls an hour, 100 unless told.
#[test]
fn a_day_with_faults_leaves_nothing_behind() {
    let calls =
        std::env::var("TANDEM_DAY_CALLS").map_or(100, |text| text.parse().expect("a number"));
    let within = Duration::from_secs(50 * 60);
    let (seed, balance) = (24, Money(50_000_000_000));
    let mut world = World::new(Options { seed, calls, within, balance, faults: Faults::ALL });
    let mut kept = Vec::new();
    let mut settled = 0;
    for _ in 0..24 {
        let measured = allocation_counter::measure(|| {
            hour(&mut world);
            settled += world.settled.len();
            world.go_on();
        });
        kept.push(measured.bytes_current);
    }
    assert!(settled > 24 * calls as usize / 2, "only {settled} calls were made");
    println!("{settled} calls in 24 hours; bytes that each hour left: {kept:?}");
    let late = &kept[HOURS_TO_GROW..];
    let kept_nothing = late.iter().filter(|bytes| **bytes <= BYTES_KEPT_MAX).count();
    assert!(kept_nothing * 3 >= late.len() * 2, "bytes that each hour left behind: {kept:?}");
}
