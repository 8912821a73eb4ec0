//! The usual call is one that no rule and no list is about: it takes no memory for them.

mod support;

use std::sync::Arc;

use support::*;
use switch::numbers::{
    ListEffect, ListId, ListKind, ListUse, NumberList, NumberPolicy, NumberRule, RuleId, Subject,
    Then,
};
use switch::registrar::Bindings;
use switch::routing::{Question, simulate};
use vocabulary::{Direction, Utc};

/// Allocations of a call that is thought through up to the question to billing.
fn allocations(rows: &Rows) -> u64 {
    let (directory, bindings) = (rows.build(), Bindings::default());
    let counted = allocation_counter::measure(|| {
        let (from, to, at) = ("alice", "4930123456", Utc(7));
        let question = Question { from, account: None, to, at, now: at };
        let thought = simulate(&directory, &bindings, Untested::default().trunks(), &question);
        assert!(thought.outcome.is_ok());
    });
    counted.count_total
}

#[test]
fn a_call_that_no_rule_is_about_allocates_as_one_without_rules() {
    let mut rows = Rows::default();
    rows.subscribers[0].number = Some(number("4930777"));
    rows.numbers.push((number("4930777"), rows.subscribers[0].id));
    let without = allocations(&rows);

    let line = "=4930999".parse().expect("a line");
    let numbers = std::iter::once(line).collect();
    rows.lists.push(NumberList {
        id: ListId(1),
        name: "few".into(),
        kind: ListKind::Plain,
        numbers,
    });
    let mut policy = NumberPolicy::default();
    for subject in [Subject::Cld, Subject::Cli] {
        for direction in [Direction::Ingress, Direction::Egress] {
            let pattern = "00.".parse().expect("a pattern");
            policy.add_rule(
                direction,
                subject,
                NumberRule::new(RuleId(1), pattern, 2, "+", Then::Plan),
            );
        }
        policy.add_use(ListUse { list: ListId(1), subject, effect: ListEffect::Block });
    }
    let shared = Some(Arc::new(policy.clone()));
    rows.account(LOCAL_ACCOUNT).numbers.clone_from(&shared);
    rows.subscribers[0].numbers.clone_from(&shared);
    rows.trunk(1).numbers = shared;
    rows.numbers_of_all = policy;
    assert_eq!(allocations(&rows), without);
}
