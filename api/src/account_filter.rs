//! Which accounts are listed and exported: the same filters for both.

use serde::Deserialize;
use store::directory::{Account, AccountStatus, BillingKind};

use crate::accounts::parsed;
use crate::{Api, Problem};

/// As a question has it. What is not given lets every account through.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    status: Option<String>,
    billing: Option<String>,
    currency: Option<String>,
    /// Whose customers, one level down.
    parent: Option<String>,
    rate_group: Option<String>,
    /// In its name, number and own fields, small or capital.
    search: Option<String>,
    /// `csv`, `txt` or `xlsx`; of an export.
    pub(crate) format: Option<String>,
}

impl Api {
    /// The accounts that pass, in the order of their ids. A parent or rate group that does not
    /// exist is an error, not an empty list.
    pub(crate) async fn accounts_by(&self, filter: &Filter) -> Result<Vec<Account>, Problem> {
        let status: Option<AccountStatus> =
            filter.status.as_deref().map(|text| parsed("status", text)).transpose()?;
        let billing: Option<BillingKind> =
            filter.billing.as_deref().map(|text| parsed("billing", text)).transpose()?;
        let parent = match filter.parent.as_deref() {
            Some(name) => Some(self.store.account(name).await?.name),
            None => None,
        };
        let rate_group = match filter.rate_group.as_deref() {
            Some(name) => Some(self.store.rate_group(name).await?.name),
            None => None,
        };
        let search = filter.search.as_deref().map(str::to_lowercase);
        let passes = |account: &Account| {
            status.is_none_or(|status| account.status == status)
                && billing.is_none_or(|billing| account.billing == billing)
                && filter.currency.as_ref().is_none_or(|currency| account.currency == *currency)
                && (parent.is_none() || account.parent == parent)
                && (rate_group.is_none() || account.rate_group == rate_group)
                && search.as_deref().is_none_or(|text| mentions(account, text))
        };
        Ok(self.store.accounts().await?.into_iter().filter(passes).collect())
    }
}

fn mentions(account: &Account, text: &str) -> bool {
    let has = |field: &str| field.to_lowercase().contains(text);
    has(&account.name)
        || account.number.as_deref().is_some_and(has)
        || account.custom.values().any(|value| has(value))
}
