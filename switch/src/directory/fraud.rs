//! Fraud rules of everybody, and the lists whose kind means something wherever they are.

use std::sync::Arc;

use vocabulary::{AccountId, Number};

use super::{Directory, DirectoryBuilder};
use crate::fraud::{AccountFraud, FraudRule, FraudRules};
use crate::numbers::{ListId, ListKind};

/// Lists whose kind alone says what their numbers are for; in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SpecialLists {
    emergency: Vec<ListId>,
    premium: Vec<ListId>,
}

impl SpecialLists {
    /// Those of a directory; the same again if they have not changed.
    pub(super) fn of(directory: &Directory) -> Arc<SpecialLists> {
        let of_kind = |kind| {
            let lists = directory.number_lists.values().filter(|list| list.kind == kind);
            let mut ids: Vec<ListId> = lists.map(|list| list.id).collect();
            ids.sort_unstable();
            ids
        };
        let (emergency, premium) = (of_kind(ListKind::Emergency), of_kind(ListKind::Premium));
        let special = SpecialLists { emergency, premium };
        match *directory.special_lists == special {
            true => Arc::clone(&directory.special_lists),
            false => Arc::new(special),
        }
    }
}

impl DirectoryBuilder {
    /// The fraud rules of everybody, instead of those before.
    #[must_use]
    pub fn fraud_rules(mut self, rules: Vec<FraudRule>) -> DirectoryBuilder {
        self.directory.fraud_rules = rules.into();
        self
    }
}

impl Directory {
    /// The fraud rules that hold for an account; `None` if there are none.
    pub fn fraud_rules(&self, account: AccountId) -> Option<FraudRules<'_>> {
        FraudRules::of(self.account(account)?.fraud.as_deref(), &self.fraud_rules)
    }

    /// Whether this is a number for help: it is on a list of that kind. As it was dialled, or as it is.
    pub fn is_emergency(&self, number: &Number) -> bool {
        self.is_on_any(&self.special_lists.emergency, number)
    }

    /// Whether this number is on a list of premium numbers.
    pub(crate) fn is_premium(&self, number: &Number) -> bool {
        self.is_on_any(&self.special_lists.premium, number)
    }

    fn is_on_any(&self, lists: &[ListId], number: &Number) -> bool {
        let is_on = |id: &ListId| {
            let list = self.number_list(*id);
            list.is_some_and(|list| list.numbers.find(number).is_some())
        };
        lists.iter().any(is_on)
    }

    /// What is stored of every account that something is stored of.
    pub fn fraud_of_accounts(&self) -> impl Iterator<Item = (AccountId, Option<&AccountFraud>)> {
        let accounts = self.accounts.values();
        accounts.filter_map(|row| Some((row.id, Some(row.fraud.as_deref()?))))
    }

    /// What is stored of the accounts that have changed since `older`. Costs what the two snapshots
    /// do not share.
    pub(crate) fn fraud_since<'a>(
        &'a self,
        older: &'a Directory,
    ) -> impl Iterator<Item = (AccountId, Option<&'a AccountFraud>)> {
        let changes = self.accounts.changes_since(&older.accounts);
        changes.map(|(id, row)| (*id, row.and_then(|row| row.fraud.as_deref())))
    }
}
