//! Call records: as a list, page by page, and as a file of any length (V-21). Both take the same
//! filter.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use billing::Zone;
use serde::Deserialize;
use sheets::{StreamError, TableStream};
use store::query::{CdrFilter, CdrNames, LIST_MAX, StoredCdr};
use switch::directory::Directory;
use vocabulary::{CallId, SiteId, Utc};

use crate::accounts::moment_in;
use crate::rate_sheets::form;
use crate::reports::zone;
use crate::table_file::{Asked, Clerk, Pages, table_file};
use crate::wire::{self, CDR_COLUMNS, Page};
use crate::{Api, Problem, Shared};

/// Records of a page of the list, if nothing is said.
const PAGE: u32 = 100;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/cdrs", get(list)).route("/cdrs/export", get(export))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    account: Option<String>,
    site: Option<String>,
    trunk: Option<String>,
    from: Option<String>,
    till: Option<String>,
    cli: Option<String>,
    destination: Option<String>,
    cause: Option<String>,
    answered: Option<bool>,
    leg: Option<u8>,
    limit: Option<u32>,
    after: Option<String>,
    /// Where days of `from` and `till` begin, and what clocks an export shows.
    time_zone: Option<String>,
    /// Of an export: csv, txt or xlsx.
    format: Option<String>,
}

/// The place of a CDR in the order of the list: `STARTED.CALL.LEG`.
fn cursor(text: &str) -> Option<(Utc, CallId, u8)> {
    let mut parts = text.split('.');
    let started = Utc(parts.next()?.parse().ok()?);
    let (call, leg) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some((started, call, leg))
}

impl Which {
    /// The filter, but for its limit; and the zone: the one that is named, else that of the account
    /// that is.
    async fn filter(&self, api: &Api) -> Result<(CdrFilter, Option<Arc<Zone>>), Problem> {
        let account = match &self.account {
            Some(name) => Some(api.store.account(name).await?),
            None => None,
        };
        let of_account = account.as_ref().map(|account| account.time_zone.as_str());
        let zone = zone(self.time_zone.as_deref().or(of_account))?;
        let account = account.map(|account| account.id);
        let trunk = api.trunk_named("trunk", self.trunk.as_deref()).await?;
        let span = |field, text: &Option<String>| {
            text.as_deref().map(|text| moment_in(field, text, zone.as_deref())).transpose()
        };
        let (from, till) = (span("from", &self.from)?, span("till", &self.till)?);
        let after = match self.after.as_deref().map(cursor) {
            Some(None) => return Err(Problem::invalid("after", "write `next` of the page before")),
            Some(Some(place)) => Some(place),
            None => None,
        };
        let site = api.site_named(self.site.as_deref(), account).await?.map(SiteId);
        let filter = CdrFilter {
            account,
            site,
            trunk,
            from,
            till,
            cli: self.cli.clone(),
            destination_prefix: self.destination.clone(),
            cause: self.cause.clone(),
            is_answered: self.answered,
            leg: self.leg,
            after,
            limit: 0,
        };
        Ok((filter, zone))
    }
}

async fn list(
    State(api): Shared,
    Query(which): Query<Which>,
) -> Result<Json<Page<wire::Cdr>>, Problem> {
    if which.format.is_some() {
        return Err(Problem::invalid("format", "is for /cdrs/export; the list is JSON"));
    }
    let limit = which.limit.unwrap_or(PAGE).clamp(1, LIST_MAX);
    let (filter, _) = which.filter(&api).await?;
    api.control.catch_up().await;
    let cdrs = api.store.cdrs(&CdrFilter { limit, ..filter }).await?;
    let snapshot = api.snapshot().await;
    let last = cdrs.last().filter(|_| cdrs.len() >= limit as usize);
    let next = last.map(|cdr| format!("{}.{}.{}", cdr.started_at.0, cdr.call, cdr.leg));
    let names = api.store.cdr_names().await?;
    let cdrs = cdrs.into_iter().map(|cdr| wire::Cdr::new(cdr, &snapshot.directory, &names));
    Ok(Json(Page { items: cdrs.collect(), next }))
}

/// What the list would have, all pages of it, newest first, as a file.
async fn export(State(api): Shared, Query(which): Query<Which>) -> Result<Response, Problem> {
    let form = form(which.format.as_deref().unwrap_or("csv"))?;
    let (filter, zone) = which.filter(&api).await?;
    api.control.catch_up().await;
    let clerk = CdrClerk {
        directory: api.snapshot().await.directory,
        names: api.store.cdr_names().await?,
        zone,
    };
    let asked = Asked { form, name: "calls", worksheet: "Calls", limit: which.limit };
    table_file(asked, CdrPages { api, filter }, clerk).await
}

/// Reads on behind the last page.
struct CdrPages {
    api: Arc<Api>,
    filter: CdrFilter,
}

impl Pages for CdrPages {
    type Item = StoredCdr;
    type Clerk = CdrClerk;

    async fn next(&mut self, most: u32) -> Result<Vec<StoredCdr>, Problem> {
        self.filter.limit = most;
        let page = self.api.store.cdrs(&self.filter).await?;
        if let Some(last) = page.last() {
            self.filter.after = Some((last.started_at, last.call, last.leg));
        }
        Ok(page)
    }
}

/// Writes records as rows.
struct CdrClerk {
    directory: Arc<Directory>,
    names: CdrNames,
    zone: Option<Arc<Zone>>,
}

impl Clerk<StoredCdr> for CdrClerk {
    fn titles(&self) -> Vec<&'static str> {
        CDR_COLUMNS.iter().map(|(title, _)| *title).collect()
    }

    fn write(&self, table: &mut TableStream, cdr: StoredCdr) -> Result<(), StreamError> {
        let cdr = wire::Cdr::told(cdr, &self.directory, &self.names, self.zone.as_deref());
        let cells = CDR_COLUMNS.map(|(_, cell)| cell(&cdr));
        table.row(cells.iter().map(|cell| &**cell))
    }
}
