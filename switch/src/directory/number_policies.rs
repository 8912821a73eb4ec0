//! Number rules and lists on their way into a snapshot: what is wrong with them is told by owner.

use std::sync::Arc;

use super::Directory;
use super::fault::DirectoryError;
use super::fraud::SpecialLists;
use crate::numbers::{ListId, NumberList, NumberOwner, NumberPolicy};

/// Takes lists out and puts lists in.
pub(super) fn change_lists(
    directory: &mut Directory,
    gone: Vec<ListId>,
    come: Vec<NumberList>,
    faults: &mut Vec<DirectoryError>,
) {
    let is_changed = !gone.is_empty() || !come.is_empty();
    for id in gone {
        directory.number_lists.remove(&id);
    }
    for list in come {
        let id = list.id;
        if directory.number_lists.insert(id, Arc::new(list)).is_some() {
            faults.push(DirectoryError::NumberListTwice(id));
        }
    }
    if is_changed {
        directory.special_lists = SpecialLists::of(directory);
    }
}

/// The policy of a row that is added.
pub(super) fn add_numbers(
    directory: &mut Directory,
    owner: NumberOwner,
    policy: Option<&NumberPolicy>,
    faults: &mut Vec<DirectoryError>,
) {
    directory.number_policies += usize::from(policy.is_some());
    check_numbers(directory, owner, policy, faults);
}

/// Whether its rules make numbers and its lists are there.
pub(super) fn check_numbers(
    directory: &Directory,
    owner: NumberOwner,
    policy: Option<&NumberPolicy>,
    faults: &mut Vec<DirectoryError>,
) {
    let Some(policy) = policy else { return };
    let broken = policy.faults();
    faults.extend(broken.map(|(rule, fault)| DirectoryError::NumberRule { owner, rule, fault }));
    let lists = policy.uses().iter().map(|applied| applied.list);
    let missing = lists.filter(|list| !directory.number_lists.contains_key(list));
    faults.extend(missing.map(|list| DirectoryError::NumberList { owner, list }));
}
