//! Subscribers: what registers.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use store::directory::{Subscriber, digest_secret};
use vocabulary::SubscriberId;

use crate::accounts::parsed;
use crate::command::{Command, Stop, Touched};
use crate::wire::{self, List};
use crate::{Problem, Shared};

const PASSWORD_CHARACTERS_MIN: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSubscriber {
    username: String,
    password: String,
    account: String,
    site: Option<String>,
    number: Option<String>,
    contacts_max: Option<u8>,
}

/// A password that a scanner would try first is no password.
pub(crate) fn check_password(field: &str, username: &str, password: &str) -> Result<(), Problem> {
    if password.chars().count() < PASSWORD_CHARACTERS_MIN {
        return Err(Problem::invalid(field, "write at least 8 characters"));
    }
    let lower = password.to_ascii_lowercase();
    let is_guessable = lower == username.to_ascii_lowercase()
        || ["password", "12345678", "123456789", "1234567890", "changeme"].contains(&&*lower)
        || lower.chars().all(|c| lower.starts_with(c));
    if is_guessable {
        return Err(Problem::invalid(field, "everyone would guess it; write another"));
    }
    Ok(())
}

pub(crate) async fn list(State(api): Shared) -> Result<Json<List<wire::Subscriber>>, Problem> {
    let subscribers = api.store.subscribers().await?.into_iter().map(|subscriber| {
        let contacts = api.control.bindings(subscriber.id).len();
        wire::Subscriber::new(subscriber, contacts)
    });
    Ok(Json(List { items: subscribers.collect() }))
}

pub(crate) async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: NewSubscriber = command.json()?;
    check_password("password", &new.username, &new.password)?;
    let number = new.number.map(|number| parsed("number", &number)).transpose()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&new.account).await?;
    let subscriber = Subscriber {
        id: SubscriberId(0),
        secret: digest_secret(&new.username, &api.settings.realm, &new.password),
        username: new.username,
        account: account.id,
        account_name: account.name,
        site: new.site,
        number,
        contacts_max: new.contacts_max.unwrap_or(5),
        created_at: api.control.now(),
    };
    let subscriber = turn.change.add_subscriber(subscriber).await?;
    let wire = wire::Subscriber::new(subscriber, 0);
    api.finish(turn, Touched::Directory, 201, &wire).await
}

pub(crate) async fn remove(
    State(api): Shared,
    Path(username): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_subscriber(&username).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": username })).await
}
