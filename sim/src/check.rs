//! What must be true when nothing is left to happen, in every world, whatever went wrong in it.

use std::collections::BTreeMap;

use billing::{Money, Record};
use vocabulary::CallId;

use crate::setting::{CONCURRENT_MAX, CUSTOMER};
use crate::world::World;

/// Every complaint; none is the only good answer.
pub fn complaints(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    let books = world.ledger.check();
    found.extend(books.problems.iter().cloned());
    if !books.overdrawn.is_empty() {
        found.push(format!("overdrawn: {:?}", books.overdrawn));
    }
    let customer = world.ledger.account(CUSTOMER).expect("the customer has an account");
    if customer.counters.debits_pending != Money::ZERO {
        found.push(format!("{} still reserved", customer.counters.debits_pending));
    }
    if customer.available().is_negative() {
        found.push(format!("{} available", customer.available()));
    }
    for (call, times) in &world.settled {
        if *times != 1 {
            found.push(format!("call {call} was settled {times} times"));
        }
    }
    let live = world.shard.live_calls();
    if !live.is_empty() {
        found.push(format!("{} calls are live, the first: {:?}", live.len(), live[0]));
    }
    if world.shard.armed_calls() != 0 {
        found.push(format!("timers of {} dead calls are armed", world.shard.armed_calls()));
    }
    if world.starts == 1 && !world.setting.admission_is_empty() {
        found.push("an admission set is not empty".to_string());
    }
    for caller in world.callers.values() {
        if !caller.is_over() {
            found.push(format!("caller {} never came to an end", caller.call_id()));
        }
    }
    let debited = customer.counters.debits_posted.0 - world.debited_before.0;
    records(world, Money(debited), &mut found);
    found
}

/// One CDR per leg, charges = postings, answered calls charged within what they talked.
fn records(world: &World, debited: Money, found: &mut Vec<String>) {
    let mut legs: BTreeMap<(CallId, u8), u32> = BTreeMap::new();
    let mut charges = 0;
    let mut posted = 0;
    let mut answered: BTreeMap<String, u32> = BTreeMap::new();
    for (_, record) in world.journal.records() {
        let Record::Ended(ended) = &record else { continue };
        for cdr in &ended.cdrs {
            *legs.entry((cdr.call, cdr.leg)).or_default() += 1;
            if cdr.leg == 0 {
                charges += cdr.charge.as_ref().map_or(0, |charge| charge.amount.0);
                if cdr.answered_at.is_some() {
                    *answered.entry(cdr.sip_call_id.clone()).or_default() += 1;
                }
            }
        }
        posted +=
            ended.postings.iter().filter(|p| p.debit == CUSTOMER).map(|p| p.amount.0).sum::<i64>();
    }
    for ((call, leg), count) in &legs {
        if *count != 1 {
            found.push(format!("call {call} leg {leg} has {count} CDRs"));
        }
    }
    if charges != posted || posted != debited.0 {
        found.push(format!("charges {charges}, postings {posted}, debited {}", debited.0));
    }
    for caller in world.callers.values() {
        let has = answered.get(&caller.call_id()).copied().unwrap_or(0);
        if caller.seen.answered_at.is_some() && has != 1 {
            found.push(format!("caller {} was answered, {has} CDRs say so", caller.call_id()));
        }
    }
    let talking = most_at_once(world);
    if talking > CONCURRENT_MAX as usize && world.starts == 1 {
        found.push(format!("{talking} calls at once over a limit of {CONCURRENT_MAX}"));
    }
}

/// The greatest number of callers that were answered and had not ended, at any moment.
fn most_at_once(world: &World) -> usize {
    let mut moments = Vec::new();
    for caller in world.callers.values() {
        if let (Some(from), Some(till)) = (caller.seen.answered_at, caller.seen.ended_at) {
            moments.push((from, 1_i64));
            moments.push((till, -1));
        }
    }
    moments.sort();
    let mut now = 0;
    moments.iter().fold(0, |most, (_, change)| {
        now += change;
        most.max(now)
    }) as usize
}
