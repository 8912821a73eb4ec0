//! Subscribers: what registers.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use store::directory::Subscriber;
use vocabulary::SubscriberId;

use crate::accounts::parsed;
use crate::command::{Command, Stop, Touched};
use crate::wire::{self, List};
use crate::{Problem, Shared};

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

pub(crate) async fn list(State(api): Shared) -> Result<Json<List<wire::Subscriber>>, Problem> {
    let subscribers = api.store.subscribers().await?.into_iter().map(|subscriber| {
        let contacts = api.control.bindings(subscriber.id).len();
        wire::Subscriber::new(subscriber, contacts)
    });
    Ok(Json(List { items: subscribers.collect() }))
}

pub(crate) async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let new: NewSubscriber = command.json()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&new.account).await?;
    let passwords = api.passwords(&mut turn).await?;
    let names = [new.number.as_deref().unwrap_or_default()];
    let secret = passwords.secret("password", &new.username, &names, &new.password)?;
    let number = new.number.map(|number| parsed("number", &number)).transpose()?;
    let subscriber = Subscriber {
        id: SubscriberId(0),
        secret,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscriberChange {
    password: String,
}

/// Another password. What is registered stays so until it must show it.
pub(crate) async fn set(
    State(api): Shared,
    Path(username): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let wanted: SubscriberChange = command.json()?;
    let mut turn = api.begin(&command).await?;
    let passwords = api.passwords(&mut turn).await?;
    let number = turn.change.subscriber(&username).await?.number;
    let names = [number.as_ref().map_or("", |number| number.as_str())];
    let secret = passwords.secret("password", &username, &names, &wanted.password)?;
    let subscriber = turn.change.set_subscriber_secret(&username, secret).await?;
    let contacts = api.control.bindings(subscriber.id).len();
    let wire = wire::Subscriber::new(subscriber, contacts);
    api.finish(turn, Touched::Directory, 200, &wire).await
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
