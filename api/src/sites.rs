//! Sites of an account (J-18).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use store::directory::Site;
use store::moment::format_utc;

use crate::command::{Command, Stop, Touched};
use crate::wire::List;
use crate::{Problem, Shared};

#[derive(Serialize)]
pub(crate) struct SiteOnWire {
    name: String,
    created_at: String,
}

impl From<Site> for SiteOnWire {
    fn from(site: Site) -> SiteOnWire {
        SiteOnWire { name: site.name, created_at: format_utc(site.created_at) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSite {
    name: String,
}

pub(crate) async fn list(
    State(api): Shared,
    Path(account): Path<String>,
) -> Result<Json<List<SiteOnWire>>, Problem> {
    let account = api.store.account(&account).await?;
    let sites = api.store.sites(account.id).await?.into_iter();
    Ok(Json(List { items: sites.map(SiteOnWire::from).collect() }))
}

pub(crate) async fn add(
    State(api): Shared,
    Path(account): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let new: NewSite = command.json()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    let site = turn.change.add_site(&account, &new.name, api.control.now()).await?;
    api.finish(turn, Touched::Money, 201, &SiteOnWire::from(site)).await
}

pub(crate) async fn remove(
    State(api): Shared,
    Path((account, site)): Path<(String, String)>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&account).await?;
    turn.change.remove_site(&account, &site).await?;
    api.finish(turn, Touched::Money, 200, &serde_json::json!({ "removed": site })).await
}
