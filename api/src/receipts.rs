//! Receipts of prepaid accounts: as a list, series by series, as a file of any length, and one
//! by its number.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use billing::{OpId, Zone};
use serde::{Deserialize, Serialize};
use sheets::{StreamError, TableStream, guarded};
use store::moment::format_in;
use store::query::LIST_MAX;
use store::receipt::{ReceiptFilter, StoredReceipt};
use switch::directory::Directory;
use vocabulary::AccountId;

use crate::accounts::{moment_in, parsed};
use crate::rate_sheets::form;
use crate::reports::zone;
use crate::table_file::{Asked, Clerk, Pages, table_file};
use crate::wire::Page;
use crate::{Api, Problem, Shared};

/// Receipts of a page of the list, if nothing is said.
const PAGE: u32 = 100;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/receipts", get(list))
        .route("/receipts/export", get(export))
        .route("/receipts/{number}", get(show))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    account: Option<String>,
    /// The reseller whose series is meant.
    seller: Option<String>,
    /// Our own series.
    #[serde(default)]
    own: bool,
    /// Words with commas between them.
    kind: Option<String>,
    op_id: Option<String>,
    from: Option<String>,
    till: Option<String>,
    /// Where days of `from` and `till` begin, and what clocks an export shows.
    time_zone: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
    /// Of an export: csv, txt or xlsx.
    format: Option<String>,
}

/// The place of a receipt in the order of the list: `SELLER.NUMBER`, where our own is seller 0.
fn cursor(text: &str) -> Option<(u64, u64)> {
    let (seller, number) = text.split_once('.')?;
    Some((seller.parse().ok()?, number.parse().ok()?))
}

impl Which {
    /// The filter, but for its limit; and the zone: the one that is named, else that of the account
    /// that is.
    async fn filter(&self, api: &Api) -> Result<(ReceiptFilter, Option<Arc<Zone>>), Problem> {
        let account = match &self.account {
            Some(name) => Some(api.store.account(name).await?),
            None => None,
        };
        let of_account = account.as_ref().map(|account| account.time_zone.as_str());
        let zone = zone(self.time_zone.as_deref().or(of_account))?;
        let span = |field, text: &Option<String>| {
            text.as_deref().map(|text| moment_in(field, text, zone.as_deref())).transpose()
        };
        let op_id = self.op_id.as_deref().map(|text| parsed::<OpId>("op_id", text)).transpose()?;
        if op_id.is_some() && account.is_none() {
            return Err(Problem::invalid("op_id", "name the account too"));
        }
        let kinds = self.kind.iter().flat_map(|words| words.split(',')).map(str::trim);
        let filter = ReceiptFilter {
            account: account.map(|account| account.id),
            seller: seller(api, self.seller.as_deref(), self.own).await?,
            number: None,
            op_id,
            kinds: kinds.map(str::to_owned).collect(),
            from: span("from", &self.from)?,
            till: span("till", &self.till)?,
            after: match self.after.as_deref().map(cursor) {
                Some(None) => {
                    return Err(Problem::invalid("after", "write `next` of the page before"));
                }
                place => place.flatten(),
            },
            limit: 0,
        };
        Ok((filter, zone))
    }
}

/// Whose series is meant: a reseller's, ours, or with `None` all.
async fn seller(
    api: &Api,
    name: Option<&str>,
    is_own: bool,
) -> Result<Option<Option<AccountId>>, Problem> {
    match (name, is_own) {
        (Some(_), true) => Err(Problem::invalid("own", "name a seller, or ask for our own")),
        (Some(name), false) => Ok(Some(Some(api.store.account(name).await?.id))),
        (None, true) => Ok(Some(None)),
        (None, false) => Ok(None),
    }
}

async fn list(
    State(api): Shared,
    Query(which): Query<Which>,
) -> Result<Json<Page<ReceiptOnWire>>, Problem> {
    if which.format.is_some() {
        return Err(Problem::invalid("format", "is for /receipts/export; the list is JSON"));
    }
    let limit = which.limit.unwrap_or(PAGE).clamp(1, LIST_MAX);
    let (filter, _) = which.filter(&api).await?;
    api.control.catch_up().await;
    let receipts = api.store.receipts(&ReceiptFilter { limit, ..filter }).await?;
    let last = receipts.last().filter(|_| receipts.len() >= limit as usize);
    let next =
        last.map(|last| format!("{}.{}", last.seller.map_or(0, |seller| seller.0), last.number));
    let directory = api.snapshot().await.directory;
    let items = receipts.into_iter().map(|one| ReceiptOnWire::new(one, &directory, None));
    Ok(Json(Page { items: items.collect(), next }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfSeller {
    seller: Option<String>,
}

/// One of our own, or of the seller that is named.
async fn show(
    State(api): Shared,
    Path(number): Path<u64>,
    Query(of): Query<OfSeller>,
) -> Result<Json<ReceiptOnWire>, Problem> {
    let seller = seller(&api, of.seller.as_deref(), of.seller.is_none()).await?;
    api.control.catch_up().await;
    let filter = ReceiptFilter { seller, number: Some(number), limit: 1, ..Default::default() };
    let Some(receipt) = api.store.receipts(&filter).await?.pop() else {
        let what = match of.seller {
            Some(seller) => format!("there is no receipt {number} of {seller}"),
            None => format!("there is no receipt {number} of ours; name the seller of others"),
        };
        return Err(Problem::new(404, "not_found", what));
    };
    Ok(Json(ReceiptOnWire::new(receipt, &api.snapshot().await.directory, None)))
}

/// What the list would have, all pages of it, as a file.
async fn export(State(api): Shared, Query(which): Query<Which>) -> Result<Response, Problem> {
    let form = form(which.format.as_deref().unwrap_or("csv"))?;
    let (filter, zone) = which.filter(&api).await?;
    api.control.catch_up().await;
    let clerk = ReceiptClerk { directory: api.snapshot().await.directory, zone };
    let asked = Asked { form, name: "receipts", worksheet: "Receipts", limit: which.limit };
    table_file(asked, ReceiptPages { api, filter }, clerk).await
}

/// Reads on behind the last page.
struct ReceiptPages {
    api: Arc<Api>,
    filter: ReceiptFilter,
}

impl Pages for ReceiptPages {
    type Item = StoredReceipt;
    type Clerk = ReceiptClerk;

    async fn next(&mut self, most: u32) -> Result<Vec<StoredReceipt>, Problem> {
        self.filter.limit = most;
        let page = self.api.store.receipts(&self.filter).await?;
        if let Some(last) = page.last() {
            self.filter.after = Some((last.seller.map_or(0, |seller| seller.0), last.number));
        }
        Ok(page)
    }
}

/// Writes receipts as rows.
struct ReceiptClerk {
    directory: Arc<Directory>,
    zone: Option<Arc<Zone>>,
}

impl Clerk<StoredReceipt> for ReceiptClerk {
    fn titles(&self) -> Vec<&'static str> {
        COLUMNS.iter().map(|(title, _)| *title).collect()
    }

    fn write(&self, table: &mut TableStream, one: StoredReceipt) -> Result<(), StreamError> {
        let receipt = ReceiptOnWire::new(one, &self.directory, self.zone.as_deref());
        let cells = COLUMNS.map(|(_, cell)| cell(&receipt));
        table.row(cells.iter().map(String::as_str))
    }
}

/// A header, and a receipt's cell under it.
type Column = (&'static str, fn(&ReceiptOnWire) -> String);

const COLUMNS: [Column; 14] = [
    ("seller", |one| told(one.seller.as_ref())),
    ("number", |one| one.number.to_string()),
    ("at", |one| one.at.clone()),
    ("account", |one| guarded(&one.account).into_owned()),
    ("kind", |one| one.kind.clone()),
    ("amount", |one| one.amount.clone()),
    ("currency", |one| one.currency.clone()),
    ("balance_after", |one| one.balance_after.clone()),
    ("destination", |one| told(one.destination.as_ref())),
    ("started_at", |one| told(one.started_at.as_ref())),
    ("talked_s", |one| one.talked_s.map(|seconds| seconds.to_string()).unwrap_or_default()),
    ("call", |one| told(one.call.as_ref())),
    ("op_id", |one| one.op_id.clone()),
    ("note", |one| guarded(&one.note).into_owned()),
];

fn told(text: Option<&String>) -> String {
    text.map(|text| guarded(text).into_owned()).unwrap_or_default()
}

/// A receipt. What is of a call is there only if one was charged.
#[derive(Serialize)]
struct ReceiptOnWire {
    /// The reseller that sold; null: the operator.
    seller: Option<String>,
    number: u64,
    account: String,
    at: String,
    kind: String,
    /// What the account got; negative: what it was charged.
    amount: String,
    currency: String,
    balance_after: String,
    op_id: String,
    note: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    talked_s: Option<u64>,
}

impl ReceiptOnWire {
    fn new(receipt: StoredReceipt, directory: &Directory, zone: Option<&Zone>) -> ReceiptOnWire {
        let name = |id: AccountId| {
            directory.account(id).map_or_else(|| id.to_string(), |account| account.name.clone())
        };
        let call = receipt.call.as_ref();
        ReceiptOnWire {
            seller: receipt.seller.map(name),
            number: receipt.number,
            account: name(receipt.account),
            at: format_in(receipt.at, zone),
            kind: receipt.kind,
            amount: receipt.amount.to_string(),
            currency: receipt.currency,
            balance_after: receipt.balance_after.to_string(),
            op_id: receipt.op_id.to_string(),
            note: receipt.note,
            call: call.map(|call| call.call.to_string()),
            destination: call.and_then(|call| call.destination.clone()),
            started_at: call.and_then(|call| call.started_at).map(|at| format_in(at, zone)),
            // Begun seconds, as in the call records.
            talked_s: call.map(|call| call.talked.as_nanos().div_ceil(1_000_000_000) as u64),
        }
    }
}
