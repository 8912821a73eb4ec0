//! Discounts at rating: by destination, site and time (J-17, J-29).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use store::directory::StoredDiscount;
use store::moment::format_utc;
use vocabulary::Utc;

use crate::accounts::{moment, parsed};
use crate::command::{Command, Stop, Touched};
use crate::wire::List;
use crate::{Problem, Shared};

#[derive(Serialize)]
pub(crate) struct DiscountOnWire {
    id: u64,
    name: String,
    /// Null is every account.
    account: Option<String>,
    site: Option<String>,
    destination_set: String,
    percent: String,
    valid_from: Option<String>,
    valid_till: Option<String>,
    created_at: String,
}

impl From<StoredDiscount> for DiscountOnWire {
    fn from(discount: StoredDiscount) -> DiscountOnWire {
        DiscountOnWire {
            id: discount.id,
            name: discount.name,
            account: discount.account,
            site: discount.site,
            destination_set: discount.destination_set,
            percent: discount.percent.to_string(),
            valid_from: discount.valid_from.map(format_utc),
            valid_till: discount.valid_till.map(format_utc),
            created_at: format_utc(discount.created_at),
        }
    }
}

pub(crate) async fn list(State(api): Shared) -> Result<Json<List<DiscountOnWire>>, Problem> {
    let discounts = api.store.discounts().await?.into_iter();
    Ok(Json(List { items: discounts.map(DiscountOnWire::from).collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDiscount {
    name: String,
    account: Option<String>,
    site: Option<String>,
    destination_set: String,
    percent: String,
    valid_from: Option<String>,
    valid_till: Option<String>,
}

fn maybe(field: &str, text: Option<&str>) -> Result<Option<Utc>, Problem> {
    text.map(|text| moment(field, Some(text), Utc(0))).transpose()
}

pub(crate) async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let asked: NewDiscount = command.json()?;
    let mut discount = StoredDiscount {
        id: 0,
        name: asked.name,
        account: None,
        site: asked.site,
        destination_set: asked.destination_set,
        percent: parsed("percent", &asked.percent)?,
        valid_from: maybe("valid_from", asked.valid_from.as_deref())?,
        valid_till: maybe("valid_till", asked.valid_till.as_deref())?,
        created_at: api.control.now(),
    };
    let mut turn = api.begin(&command).await?;
    let account = match asked.account {
        Some(name) => Some(turn.change.account(&name).await?),
        None => None,
    };
    discount.account = account.as_ref().map(|account| account.name.clone());
    let discount = turn.change.add_discount(discount, account.as_ref()).await?;
    api.finish(turn, Touched::Directory, 201, &DiscountOnWire::from(discount)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    at: Option<String>,
}

/// Calls that come in from then on have it no more; those before keep it, priced again too.
pub(crate) async fn end(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let asked: End = command.json()?;
    let at = moment("at", asked.at.as_deref(), api.control.now())?;
    let mut turn = api.begin(&command).await?;
    turn.change.end_discount(id, at).await?;
    let ended = serde_json::json!({ "id": id, "valid_till": format_utc(at) });
    api.finish(turn, Touched::Directory, 200, &ended).await
}

pub(crate) async fn remove(
    State(api): Shared,
    Path(id): Path<u64>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_discount(id).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": id })).await
}
