//! The rules and lists of one owner, and whose count for a call.

use std::fmt;

use vocabulary::{AccountId, Direction, SubscriberId, TrunkId};

use super::list::ListUse;
use super::rule::{NumberRule, RuleError, RuleId, Subject};
use crate::directory::{Directory, SubscriberRow, TrunkRow};
use crate::routing::Source;

/// Whom rules and lists belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NumberOwner {
    /// Everybody.
    Switch,
    /// An account: its trunks and subscribers.
    Account(AccountId),
    /// A trunk.
    Trunk(TrunkId),
    /// A subscriber.
    Subscriber(SubscriberId),
}

impl fmt::Display for NumberOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberOwner::Switch => f.write_str("everybody"),
            NumberOwner::Account(id) => write!(f, "account {id}"),
            NumberOwner::Trunk(id) => write!(f, "trunk {id}"),
            NumberOwner::Subscriber(id) => write!(f, "subscriber {id}"),
        }
    }
}

/// The number rules and lists of one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberPolicy {
    /// In the order in which they are applied; see `place`.
    rules: [Vec<NumberRule>; 4],
    uses: Vec<ListUse>,
}

/// Those for called numbers have even places.
fn place(direction: Direction, subject: Subject) -> usize {
    match (direction, subject) {
        (Direction::Ingress, Subject::Cld) => 0,
        (Direction::Ingress, Subject::Cli) => 1,
        (Direction::Egress, Subject::Cld) => 2,
        (Direction::Egress, Subject::Cli) => 3,
    }
}

impl NumberPolicy {
    /// Adds a rule behind those that are there. Ingress is what the owner sends us.
    pub fn add_rule(&mut self, direction: Direction, subject: Subject, rule: NumberRule) {
        self.rules[place(direction, subject)].push(rule);
    }

    /// Adds a list, for calls that the owner sends us.
    pub fn add_use(&mut self, applied: ListUse) {
        self.uses.push(applied);
    }

    /// Whether there is neither a rule nor a list.
    pub fn is_empty(&self) -> bool {
        self.uses.is_empty() && self.rules.iter().all(Vec::is_empty)
    }

    /// Its rules for these numbers.
    pub fn rules(&self, direction: Direction, subject: Subject) -> &[NumberRule] {
        &self.rules[place(direction, subject)]
    }

    /// What is wrong with its rules.
    pub fn faults(&self) -> impl Iterator<Item = (RuleId, RuleError)> {
        let rules = self.rules.iter().enumerate();
        let rules = rules.flat_map(|(place, rules)| rules.iter().map(move |rule| (place, rule)));
        rules.filter_map(|(place, rule)| {
            let subject = if place % 2 == 0 { Subject::Cld } else { Subject::Cli };
            Some((rule.id, rule.check(subject).err()?))
        })
    }

    /// Its lists.
    pub fn uses(&self) -> &[ListUse] {
        &self.uses
    }
}

/// The policies that count for one side of a call, the nearest first.
pub(super) struct Chain<'a>([(NumberOwner, Option<&'a NumberPolicy>); 3]);

impl<'a> Chain<'a> {
    /// For a caller; `None` is an account that is only thought to call.
    pub(super) fn of_source(
        directory: &'a Directory,
        source: Option<Source>,
        account: AccountId,
    ) -> Chain<'a> {
        if !directory.has_number_policies() {
            return Chain::of_all(directory);
        }
        let peer = match source {
            None => return Chain::of_account(directory, account),
            Some(Source::Trunk(id)) => {
                let policy = directory.trunk(id).and_then(|row| row.numbers.as_deref());
                (NumberOwner::Trunk(id), policy)
            }
            Some(Source::Subscriber(id)) => {
                let policy = directory.subscriber(id).and_then(|row| row.numbers.as_deref());
                (NumberOwner::Subscriber(id), policy)
            }
        };
        Chain::of(directory, peer, account)
    }

    /// For a call to a trunk.
    pub(super) fn of_trunk(directory: &'a Directory, trunk: &'a TrunkRow) -> Chain<'a> {
        let peer = (NumberOwner::Trunk(trunk.id), trunk.numbers.as_deref());
        Chain::of(directory, peer, trunk.account)
    }

    /// For a call to a phone.
    pub(super) fn of_subscriber(directory: &'a Directory, row: &'a SubscriberRow) -> Chain<'a> {
        let peer = (NumberOwner::Subscriber(row.id), row.numbers.as_deref());
        Chain::of(directory, peer, row.account)
    }

    /// For the calls of an account, by whatever trunk or phone.
    pub(super) fn of_account(directory: &'a Directory, id: AccountId) -> Chain<'a> {
        Chain::of(directory, (NumberOwner::Switch, None), id)
    }

    /// Those of everybody alone.
    pub(super) fn of_all(directory: &'a Directory) -> Chain<'a> {
        let nobody = (NumberOwner::Switch, None);
        Chain([nobody, nobody, (NumberOwner::Switch, directory.numbers_of_all())])
    }

    fn of(
        directory: &'a Directory,
        peer: (NumberOwner, Option<&'a NumberPolicy>),
        account: AccountId,
    ) -> Chain<'a> {
        if !directory.has_number_policies() {
            return Chain::of_all(directory);
        }
        let of_account = directory.account(account).and_then(|row| row.numbers.as_deref());
        Chain([
            peer,
            (NumberOwner::Account(account), of_account),
            (NumberOwner::Switch, directory.numbers_of_all()),
        ])
    }

    /// All rules for these numbers, one behind the other.
    pub(super) fn rules(
        &self,
        direction: Direction,
        subject: Subject,
    ) -> impl Iterator<Item = &'a NumberRule> {
        self.owned_rules(direction, subject).map(|(_, rule)| rule)
    }

    /// The same with whose they are.
    pub(super) fn owned_rules(
        &self,
        direction: Direction,
        subject: Subject,
    ) -> impl Iterator<Item = (NumberOwner, &'a NumberRule)> {
        let policies = self.0.into_iter().filter_map(|(owner, policy)| Some((owner, policy?)));
        policies.flat_map(move |(owner, policy)| {
            policy.rules(direction, subject).iter().map(move |rule| (owner, rule))
        })
    }

    /// The lists, owner by owner.
    pub(super) fn uses(&self) -> impl Iterator<Item = (NumberOwner, &'a [ListUse])> {
        self.0.into_iter().filter_map(|(owner, policy)| Some((owner, policy?.uses())))
    }
}
