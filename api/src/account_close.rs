//! Closing accounts: one or many in one command, all of them or none. What belongs to them is
//! removed, their rows stay.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use store::directory::{Account, AccountEventKind, AccountStatus};
use vocabulary::Utc;

use crate::accounts::check_scope;
use crate::command::{Command, Stop, Touched, Turn};
use crate::{Problem, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    accounts: Vec<String>,
    as_reseller: Option<String>,
}

/// What became of an account.
#[derive(Serialize)]
pub(crate) struct Closed {
    account: String,
    was_closed: bool,
    subscribers_removed: u64,
    trunks_removed: u64,
    routes_removed: u64,
    pins_removed: u64,
    dids_removed: u64,
}

#[derive(Serialize)]
struct AllClosed {
    items: Vec<Closed>,
}

/// Closes all the accounts named. Calls by them are refused when this is answered.
pub(crate) async fn close(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let asked: Asked = command.json()?;
    if asked.accounts.is_empty() {
        return Err(Problem::invalid("accounts", "name at least one account").into());
    }
    let now = api.control.now();
    let by = asked.as_reseller.as_ref().map(|name| format!("by {name}")).unwrap_or_default();
    let mut turn = api.begin(&command).await?;
    let (mut accounts, mut items) = (Vec::new(), Vec::new());
    for name in &asked.accounts {
        let mut account = turn.change.account(name).await?;
        if let Some(reseller) = &asked.as_reseller {
            check_scope(&mut turn, &account, reseller).await?;
        }
        let was_closed = account.status == AccountStatus::Closed;
        account.status = AccountStatus::Closed;
        items.push(remove(&mut turn, &account, was_closed, &by, now).await?);
        turn.change.set_account(&account).await?;
        accounts.push(account);
    }
    // A reseller may be closed together with all its customers, in any order.
    for account in &accounts {
        turn.change.check_closable(account).await?;
    }
    api.finish(turn, Touched::Directory, 200, &AllClosed { items }).await
}

/// Ends what an account has, and removes what lets it call; its status is the caller's to store.
pub(crate) async fn remove(
    turn: &mut Turn,
    account: &Account,
    was_closed: bool,
    by: &str,
    now: Utc,
) -> Result<Closed, Problem> {
    let removed = turn.change.remove_belongings(account.id).await?;
    if !was_closed {
        turn.change.end_account_plans(account.id, now).await?;
        turn.change.add_event(account.id, AccountEventKind::Closed, by, now).await?;
    }
    Ok(Closed {
        account: account.name.clone(),
        was_closed,
        subscribers_removed: removed.subscribers,
        trunks_removed: removed.trunks,
        routes_removed: removed.routes,
        pins_removed: removed.pins,
        dids_removed: removed.dids,
    })
}
