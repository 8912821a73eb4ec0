//! The newest counters of every shard, for whoever wants their sum.

use std::sync::{Mutex, PoisonError};

use switch::Stats;

/// One slot a shard; each worker writes its own once a second.
#[derive(Debug)]
pub struct Totals {
    slots: Vec<Mutex<Stats>>,
}

impl Totals {
    /// For so many shards.
    pub fn new(shards: usize) -> Totals {
        Totals { slots: (0..shards).map(|_| Mutex::default()).collect() }
    }

    /// A shard's counters as they are now.
    pub fn set(&self, shard: u8, stats: Stats) {
        *self.slots[usize::from(shard)].lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }

    /// All shards together.
    pub fn sum(&self) -> Stats {
        let mut sum = Stats::default();
        for slot in &self.slots {
            sum.add(&slot.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }
}
