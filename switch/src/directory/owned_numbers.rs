//! Numbers of ours on their way into a snapshot: those of subscribers, and DIDs. A number may be both
//! if both are of one account; then the DID says where its calls go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vocabulary::{AccountId, DidId, Number, SubscriberId, TrunkId};

use super::Directory;
use super::fault::DirectoryError;
use super::rows::{NumberRow, SubscriberRow};
use crate::did::{DidRow, DidTarget, MEMBERS_MAX};

/// What is wrong with a DID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DidFault {
    /// It is there twice, or its number is.
    #[error("it is there twice")]
    Twice,
    /// It belongs to nobody.
    #[error("it belongs to account {0}, which is not there")]
    NoAccount(AccountId),
    /// It leads to nobody.
    #[error("it leads to subscriber {0}, which is not there")]
    NoSubscriber(SubscriberId),
    /// It leads to somebody else's phone.
    #[error("it leads to subscriber {0}, which belongs to another account")]
    ForeignSubscriber(SubscriberId),
    /// It leads to no trunk.
    #[error("it leads to trunk {0}, which is not there")]
    NoTrunk(TrunkId),
    /// It leads to a trunk that takes no calls.
    #[error("it leads to trunk {0}, which has no host to send to")]
    TrunkWithoutHost(TrunkId),
    /// It is the number of somebody else's phone.
    #[error("it is the number of subscriber {0}, which belongs to another account")]
    ForeignNumber(SubscriberId),
    /// It leads to too few or too many.
    #[error("it leads to {0} subscribers; 2 to {MEMBERS_MAX} can ring")]
    Members(usize),
}

/// Numbers that accounts lose and get; put in at once, since an account may have many.
#[derive(Default)]
pub(super) struct OwnedNumbers {
    gone: BTreeSet<(AccountId, Number)>,
    come: BTreeMap<AccountId, Vec<Number>>,
}

impl OwnedNumbers {
    pub(super) fn put_into(mut self, directory: &mut Directory) {
        for &(account, _) in &self.gone {
            self.come.entry(account).or_default();
        }
        for (account, mut numbers) in self.come {
            let before = directory.owned_numbers.get(&account);
            let before = before.map_or(&[][..], |numbers| &**numbers);
            let stays = before.iter().filter(|number| {
                !self.gone.contains(&(account, **number)) || is_owned(directory, account, number)
            });
            numbers.extend(stays);
            numbers.sort_unstable();
            numbers.dedup();
            if numbers.is_empty() {
                directory.owned_numbers.remove(&account);
            } else {
                directory.owned_numbers.insert(account, numbers.into());
            }
        }
    }
}

/// Whether the account has it by a DID or by a subscriber.
fn is_owned(directory: &Directory, account: AccountId, number: &Number) -> bool {
    directory.did_by_number(number).is_some_and(|did| did.account == account)
        || directory.subscriber_by_number(number).is_some_and(|row| row.account == account)
}

/// The own number of a subscriber that is taken out.
pub(super) fn take_number(
    directory: &mut Directory,
    row: &SubscriberRow,
    owned: &mut OwnedNumbers,
) {
    if let Some(number) = row.number
        && directory.numbers.get(&number) == Some(&row.id)
    {
        directory.numbers.remove(&number);
        owned.gone.insert((row.account, number));
    }
}

pub(super) fn add_number(
    directory: &mut Directory,
    row: &NumberRow,
    owned: &mut OwnedNumbers,
    faults: &mut Vec<DirectoryError>,
) {
    let (number, subscriber) = (row.number, row.subscriber);
    match directory.subscribers.get(&subscriber) {
        Some(row) => {
            owned.come.entry(row.account).or_default().push(number);
            // One that is taken out is put in again with its own check.
            if let Some(did) = directory.did_by_number(&number).filter(|d| d.account != row.account)
            {
                faults.push(of_did(did, DidFault::ForeignNumber(subscriber)));
            }
        }
        None => faults.push(DirectoryError::NumberSubscriber { number, subscriber }),
    }
    if let Some(first) = directory.numbers.insert(number, subscriber) {
        faults.push(DirectoryError::NumberTwice { number, first, second: subscriber });
    }
}

pub(super) fn take_did(directory: &mut Directory, id: DidId, owned: &mut OwnedNumbers) {
    let Some(row) = directory.dids.remove(&id) else { return };
    if directory.did_numbers.get(&row.number) == Some(&id) {
        directory.did_numbers.remove(&row.number);
    }
    owned.gone.insert((row.account, row.number));
}

pub(super) fn add_did(
    directory: &mut Directory,
    row: DidRow,
    owned: &mut OwnedNumbers,
    faults: &mut Vec<DirectoryError>,
) {
    let (id, number) = (row.id, row.number);
    faults.extend(faults_of(directory, &row).into_iter().map(|fault| of_did(&row, fault)));
    owned.come.entry(row.account).or_default().push(number);
    let is_twice = directory.dids.contains_key(&id) || directory.did_numbers.contains_key(&number);
    if is_twice {
        return faults.push(of_did(&row, DidFault::Twice));
    }
    directory.did_numbers.insert(number, id);
    directory.dids.insert(id, Arc::new(row));
}

fn of_did(row: &DidRow, fault: DidFault) -> DirectoryError {
    DirectoryError::Did { did: row.id, number: row.number, fault }
}

fn faults_of(directory: &Directory, row: &DidRow) -> Vec<DidFault> {
    let mut faults = Vec::new();
    if !directory.accounts.contains_key(&row.account) {
        faults.push(DidFault::NoAccount(row.account));
    }
    if let Some(other) = directory.subscriber_by_number(&row.number)
        && other.account != row.account
    {
        faults.push(DidFault::ForeignNumber(other.id));
    }
    match &row.target {
        DidTarget::Subscriber(id) => faults.extend(phone_fault(directory, row, *id)),
        DidTarget::Group(group) => {
            if !(2..=MEMBERS_MAX).contains(&group.members.len()) {
                faults.push(DidFault::Members(group.members.len()));
            }
            faults.extend(group.members.iter().filter_map(|id| phone_fault(directory, row, *id)));
        }
        DidTarget::Trunk(id) => match directory.trunk(*id) {
            None => faults.push(DidFault::NoTrunk(*id)),
            Some(trunk) if trunk.host.is_empty() => faults.push(DidFault::TrunkWithoutHost(*id)),
            Some(_) => {}
        },
    }
    faults
}

fn phone_fault(directory: &Directory, row: &DidRow, id: SubscriberId) -> Option<DidFault> {
    match directory.subscriber(id) {
        None => Some(DidFault::NoSubscriber(id)),
        Some(phone) if phone.account != row.account => Some(DidFault::ForeignSubscriber(id)),
        Some(_) => None,
    }
}
