//! Call records: as a list, page by page, and as a file of any length (V-21). Both take the same
//! filter.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use billing::Zone;
use futures_core::Stream;
use serde::Deserialize;
use sheets::TableStream;
use store::query::{CdrFilter, CdrNames, LIST_MAX, StoredCdr};
use switch::directory::Directory;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use vocabulary::{CallId, SiteId, Utc};

use crate::accounts::moment_in;
use crate::rate_sheets::{form, kind_of};
use crate::reports::zone;
use crate::wire::{self, CDR_COLUMNS, Page};
use crate::{Api, Problem, Shared};

/// Records of a page of the list, if nothing is said.
const PAGE: u32 = 100;
/// Records that an export reads and writes at once.
const PIECE: u32 = 2_000;
/// Pieces that wait for whoever reads slowly.
const PIECES_WAITING: usize = 2;

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

/// What the list would have, all pages of it, newest first, as a file that is written while it is
/// read.
async fn export(State(api): Shared, Query(which): Query<Which>) -> Result<Response, Problem> {
    let form = form(which.format.as_deref().unwrap_or("csv"))?;
    let (filter, zone) = which.filter(&api).await?;
    api.control.catch_up().await;
    let mut export = Export {
        filter,
        left: which.limit.map_or(u64::MAX, u64::from),
        page: Vec::new(),
        clerk: Clerk {
            table: TableStream::new(form, "Calls"),
            directory: api.snapshot().await.directory,
            names: api.store.cdr_names().await?,
            zone,
        },
        api,
    };
    // What is wrong from the start is told as a problem; later the file can only break off.
    export.read().await?;
    let titles = CDR_COLUMNS.iter().map(|(title, _)| *title);
    export.clerk.table.row(titles).map_err(|error| broken(&error))?;
    let (pieces, body) = channel(PIECES_WAITING);
    tokio::spawn(export.run(pieces));
    let (kind, end) = kind_of(form);
    let place = format!("attachment; filename=\"calls.{end}\"");
    let head = [(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, place)];
    Ok((head, Body::from_stream(Pieces(body))).into_response())
}

fn broken(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(500, "unwritable", error.to_string())
}

/// An export under way.
struct Export {
    api: Arc<Api>,
    /// Behind what was read.
    filter: CdrFilter,
    /// Records that it may still have.
    left: u64,
    /// Read and not written.
    page: Vec<StoredCdr>,
    clerk: Clerk,
}

/// Writes records as rows.
struct Clerk {
    table: TableStream,
    directory: Arc<Directory>,
    names: CdrNames,
    zone: Option<Arc<Zone>>,
}

type Piece = Result<Vec<u8>, io::Error>;

impl Export {
    /// Reads the next page.
    async fn read(&mut self) -> Result<(), Problem> {
        let limit = u64::from(PIECE).min(self.left) as u32;
        if limit == 0 {
            return Ok(()); // the filter's 0 would be no limit
        }
        let filter = CdrFilter { limit, ..self.filter.clone() };
        self.page = self.api.store.cdrs(&filter).await?;
        self.left -= self.page.len() as u64;
        if let Some(last) = self.page.last() {
            self.filter.after = Some((last.started_at, last.call, last.leg));
        }
        Ok(())
    }

    async fn run(mut self, pieces: Sender<Piece>) {
        loop {
            let is_last = self.page.len() < PIECE as usize;
            let (page, mut clerk) = (std::mem::take(&mut self.page), self.clerk);
            let written = tokio::task::spawn_blocking(move || {
                let piece = clerk.write(page);
                (clerk, piece)
            });
            let (clerk, piece) = written.await.expect("writing records does not panic");
            self.clerk = clerk;
            let is_broken = piece.is_err();
            // Whoever asked may have gone.
            if pieces.send(piece).await.is_err() || is_broken {
                return;
            }
            if is_last {
                break;
            }
            if let Err(problem) = self.read().await {
                tracing::warn!(?problem, "an export of call records breaks off");
                let _ = pieces.send(Err(io::Error::other("the records cannot be read"))).await;
                return;
            }
        }
        let last = self.clerk.table.finish().map_err(io::Error::other);
        let _ = pieces.send(last).await;
    }
}

impl Clerk {
    fn write(&mut self, page: Vec<StoredCdr>) -> Piece {
        for cdr in page {
            let cdr = wire::Cdr::told(cdr, &self.directory, &self.names, self.zone.as_deref());
            let cells = CDR_COLUMNS.map(|(_, cell)| cell(&cdr));
            self.table.row(cells.iter().map(|cell| &**cell)).map_err(io::Error::other)?;
        }
        Ok(self.table.take())
    }
}

/// The pieces as the body of an answer.
struct Pieces(Receiver<Piece>);

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(context)
    }
}
