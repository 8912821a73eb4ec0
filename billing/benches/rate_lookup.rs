//! Longest prefix in a deck of 300,000 prefixes with two dated versions each, against a hash map
//! per prefix length in the same run. Prints one line of JSON.
//!
//! `cargo bench -p billing --bench rate_lookup`
#![allow(clippy::unwrap_used, reason = "a bench may panic")]
#![allow(clippy::float_arithmetic, reason = "figures, not money")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

use billing::{Currency, GroupTerms, MoneyRounding, Price, Rate, RateGroup, RateGroupId, RateRow};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{Number, Utc};

const PREFIXES: usize = 300_000;
const NUMBERS: usize = 1 << 16;
const ROUNDS: usize = 40;
const NOW: Utc = Utc(1_800_000_000_000_000);
const CHANGE: Utc = Utc(1_700_000_000_000_000);

/// xorshift64*: the same deck in every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % below
    }
}

/// Prefixes as decks have them: country codes with ever longer breakouts under them.
fn prefixes(random: &mut Random) -> Vec<String> {
    let mut set = BTreeSet::new();
    let mut parents: Vec<String> = (1..1000).map(|code: u32| code.to_string()).collect();
    set.extend(parents.iter().cloned());
    while set.len() < PREFIXES {
        let parent = &parents[random.next(parents.len() as u64) as usize];
        let child = format!("{parent}{}", random.next(10));
        if child.len() <= 9 && set.insert(child.clone()) {
            parents.push(child);
        }
    }
    set.into_iter().collect()
}

fn deck(prefixes: &[String], random: &mut Random) -> RateGroup {
    let mut builder = RateGroup::builder(GroupTerms {
        id: RateGroupId(1),
        name: "deck".into(),
        currency: Currency::EUR,
        money_rounding: MoneyRounding::default(),
        special: None,
    });
    for prefix in prefixes {
        for (valid_from, valid_till) in [(None, Some(CHANGE)), (Some(CHANGE), None)] {
            let price = Price::from_nanos(random.next(5_000) as i64 * 100_000).unwrap();
            let rate = Rate::per_minute(price, 60, 60);
            let prefix = prefix.clone();
            let row =
                RateRow { prefix, rate, special: None, valid_from, valid_till, sheet_version: 1 };
            builder.row(&row).unwrap();
        }
    }
    builder.build()
}

/// Nanoseconds a look-up, the best of several rounds: the machine is shared.
fn measure(numbers: &[Number], mut look_up: impl FnMut(&Number) -> u64) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let sum = numbers.iter().fold(0_u64, |sum, number| sum ^ look_up(number));
        black_box(sum);
        best = best.min(start.elapsed().as_nanos() as f64 / numbers.len() as f64);
    }
    best
}

fn main() {
    let mut random = Random(0x5EED);
    let prefixes = prefixes(&mut random);
    let group = deck(&prefixes, &mut random);
    // The versions beside the hash maps: the same question about dates is answered.
    let versions: Vec<[(i64, i64, u64); 2]> = (0..PREFIXES as u64)
        .map(|index| [(CHANGE.0, i64::MAX, index), (0, CHANGE.0, index)])
        .collect();
    let mut maps: Vec<HashMap<Vec<u8>, usize, FixedState>> =
        (0..10).map(|_| HashMap::with_hasher(FixedState::default())).collect();
    for (index, prefix) in prefixes.iter().enumerate() {
        maps[prefix.len()].insert(prefix.as_bytes().to_vec(), index);
    }
    let numbers: Vec<Number> = (0..NUMBERS)
        .map(|_| {
            let prefix = &prefixes[random.next(PREFIXES as u64) as usize];
            format!("{prefix}{:07}", random.next(10_000_000)).parse().unwrap()
        })
        .collect();
    let trie = measure(&numbers, |number| {
        group.lookup(number, NOW).map_or(0, |found| u64::from(found.prefix_length))
    });
    let map = measure(&numbers, |number| {
        let digits = number.as_bytes();
        let longest = digits.len().min(9);
        (1..=longest)
            .rev()
            .find_map(|length| {
                let index = maps[length].get(&digits[..length])?;
                let in_force = |version: &&(i64, i64, u64)| (version.0..version.1).contains(&NOW.0);
                versions[*index].iter().find(in_force)
            })
            .map_or(0, |version| version.2)
    });
    println!(
        "{{\"prefixes\":{PREFIXES},\"versions\":{},\"lookup_ns\":{trie:.0},\
         \"bytes_per_prefix\":{:.1},\"hash_per_length_ns\":{map:.0},\"ratio\":{:.2}}}",
        group.len(),
        group.bytes() as f64 / PREFIXES as f64,
        trie / map
    );
}
