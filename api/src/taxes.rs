//! Sets of taxes, and which account pays which of them (R13).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use billing::{Exemption, Tax, TaxableKind};
use serde::{Deserialize, Serialize};
use store::directory::{OnTopWord, TaxSet, TaxableWord, TaxedAccount};
use store::moment::format_utc;
use vocabulary::Utc;

use crate::accounts::{moment_in, parsed};
use crate::command::{Command, Stop, Touched};
use crate::reports::zone;
use crate::wire::List;
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/tax-sets", get(list))
        .route("/tax-sets/{name}", put(set).delete(remove))
        .route("/accounts/{name}/taxes", get(show_of_account).put(set_of_account))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaxOnWire {
    name: String,
    percent: String,
    #[serde(default)]
    compound: bool,
    /// Everything that can be taxed, if nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    applies_to: Vec<String>,
    valid_from: Option<String>,
    valid_till: Option<String>,
}

impl TaxOnWire {
    fn read(self) -> Result<Tax, Problem> {
        let kind =
            |text: &String| parsed::<TaxableWord>("taxes.applies_to", text).map(TaxableKind::from);
        let applies_to = match self.applies_to.as_slice() {
            [] => TaxableKind::ALL.into(),
            words => words.iter().map(kind).collect::<Result<_, _>>()?,
        };
        Ok(Tax {
            name: self.name,
            rate: parsed("taxes.percent", &self.percent)?,
            is_compound: self.compound,
            applies_to,
            valid_from: begins("taxes.valid_from", self.valid_from.as_deref())?,
            valid_till: begins("taxes.valid_till", self.valid_till.as_deref())?,
        })
    }
}

impl From<&Tax> for TaxOnWire {
    fn from(tax: &Tax) -> TaxOnWire {
        let words = tax.applies_to.iter().map(|kind| TaxableWord::from(*kind).as_str().to_owned());
        TaxOnWire {
            name: tax.name.clone(),
            percent: tax.rate.to_string(),
            compound: tax.is_compound,
            applies_to: words.collect(),
            valid_from: tax.valid_from.map(format_utc),
            valid_till: tax.valid_till.map(format_utc),
        }
    }
}

fn begins(field: &str, text: Option<&str>) -> Result<Option<Utc>, Problem> {
    text.map(|text| moment_in(field, text, None)).transpose()
}

#[derive(Serialize)]
struct TaxSetOnWire {
    name: String,
    taxes: Vec<TaxOnWire>,
}

impl From<&TaxSet> for TaxSetOnWire {
    fn from(set: &TaxSet) -> TaxSetOnWire {
        let taxes = set.taxes.iter().map(TaxOnWire::from).collect();
        TaxSetOnWire { name: set.name.clone(), taxes }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Taxes {
    taxes: Vec<TaxOnWire>,
}

async fn list(State(api): Shared) -> Result<Json<List<TaxSetOnWire>>, Problem> {
    let sets = api.store.tax_sets().await?;
    Ok(Json(List { items: sets.iter().map(TaxSetOnWire::from).collect() }))
}

async fn set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let asked: Taxes = command.json()?;
    let taxes = asked.taxes.into_iter().map(TaxOnWire::read).collect::<Result<_, _>>()?;
    let set = TaxSet { name, taxes };
    let mut turn = api.begin(&command).await?;
    let is_paid = turn.change.put_tax_set(&set, api.control.now()).await?;
    // A set that nobody pays is in no snapshot.
    let touched = if is_paid { Touched::Directory } else { Touched::Layouts };
    api.finish(turn, touched, 200, &TaxSetOnWire::from(&set)).await
}

async fn remove(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_tax_set(&name).await?;
    api.finish(turn, Touched::Layouts, 200, &serde_json::json!({ "name": name })).await
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExemptionOnWire {
    /// Null is every tax.
    tax: Option<String>,
    reason: String,
    valid_from: Option<String>,
    valid_till: Option<String>,
}

#[derive(Serialize)]
struct TaxedOnWire {
    account: String,
    tax_set: Option<String>,
    on_top: &'static str,
    exemptions: Vec<ExemptionOnWire>,
}

impl TaxedOnWire {
    fn new(account: String, taxed: TaxedAccount) -> TaxedOnWire {
        let exemption = |exemption: Exemption| ExemptionOnWire {
            tax: exemption.tax,
            reason: exemption.reason,
            valid_from: exemption.valid_from.map(format_utc),
            valid_till: exemption.valid_till.map(format_utc),
        };
        TaxedOnWire {
            account,
            tax_set: taxed.tax_set,
            on_top: taxed.on_top.as_str(),
            exemptions: taxed.exemptions.into_iter().map(exemption).collect(),
        }
    }
}

/// Replaces what was set before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Taxed {
    tax_set: Option<String>,
    on_top: Option<String>,
    #[serde(default)]
    exemptions: Vec<ExemptionOnWire>,
}

async fn show_of_account(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<TaxedOnWire>, Problem> {
    let account = api.store.account(&name).await?;
    let taxed = api.store.taxes_of_account(account.id).await?;
    Ok(Json(TaxedOnWire::new(account.name, taxed)))
}

async fn set_of_account(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let asked: Taxed = command.json()?;
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&name).await?;
    let zone = zone(Some(&account.time_zone))?;
    let at = |field, text: Option<String>| {
        text.map(|text| moment_in(field, &text, zone.as_deref())).transpose()
    };
    let exemption = |written: ExemptionOnWire| {
        Ok::<_, Problem>(Exemption {
            tax: written.tax,
            reason: written.reason,
            valid_from: at("exemptions.valid_from", written.valid_from)?,
            valid_till: at("exemptions.valid_till", written.valid_till)?,
        })
    };
    let on_top = asked.on_top.as_deref().map(|word| parsed("on_top", word)).transpose()?;
    let taxed = TaxedAccount {
        tax_set: asked.tax_set,
        on_top: on_top.unwrap_or(OnTopWord::Statement),
        exemptions: asked.exemptions.into_iter().map(exemption).collect::<Result<_, _>>()?,
    };
    turn.change.set_taxes_of_account(account.id, &taxed).await?;
    let answer = TaxedOnWire::new(account.name, taxed);
    api.finish(turn, Touched::Directory, 200, &answer).await
}
