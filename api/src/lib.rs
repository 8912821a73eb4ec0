//! The JSON API under `/api/v1`, with `/metrics` and `/health`. One file a resource, what goes over
//! the wire in `wire.rs`. It changes the directory in the store, makes new snapshots and hands them
//! to the running switch through [`Control`]; it decides nothing about calls.

mod account_close;
mod account_device;
mod account_events;
mod account_filter;
mod account_import;
mod account_number;
mod account_sheet;
mod account_verdicts;
mod accounts;
mod adjustments;
mod availability;
mod bans;
mod bill;
mod caller_id;
mod calls;
mod carrier_statement;
mod cdrs;
mod changes;
mod charges;
mod command;
mod control;
mod did_sheet;
mod dids;
mod discounts;
mod dry_run;
mod edges;
mod exchange;
mod forwarding;
mod fraud;
mod interworking;
mod jurisdictions;
mod lookups;
mod messages;
mod names;
mod nodes;
mod number_lists;
mod numbers;
mod payouts;
mod plans;
mod price;
mod probes;
mod problem;
mod quality;
mod rate_sheets;
mod rates;
mod receipts;
mod reports;
mod rerate;
mod routes;
mod security;
mod sheet_pages;
mod simulate;
mod sites;
mod subscribers;
mod system;
mod table_file;
pub mod tariff;
mod taxes;
mod time_windows;
mod tls;
mod token;
mod traces;
mod trunk_causes;
mod trunk_stir;
mod trunk_tls;
mod trunks;
mod upstreams;
mod vouchers;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use billing::Terms;
use store::directory::{ChangeError, DirectoryStore, Loaded};
use switch::directory::Settings;
use tokio::sync::{Mutex, Notify};
use vocabulary::AccountId;

pub use charges::ChargeRun;
pub use control::{
    Certificate, Control, Later, LedgerReport, Payment, PaymentRefused, Simulated, Snapshot,
    Status, Thought,
};
pub use problem::Problem;
pub use token::{Token, TokenError};
pub use traces::{NewTrace, TraceFormat, TraceView};

/// Also what a payment gets whose record the disk does not take.
const TOOK_TOO_LONG: &str = "the request took too long; look at the log and the disk, then send it \
                             again with the same Idempotency-Key: it is carried out once";

/// What the API needs.
pub struct ApiConfig {
    /// The directory's tables.
    pub store: DirectoryStore,
    /// The running switch.
    pub control: Arc<dyn Control>,
    /// What a request must show.
    pub token: Token,
    /// What [`load`] read from `store`, as the switch has it.
    pub snapshot: Snapshot,
    /// Settings of the switch: passwords are hashed over its realm.
    pub settings: Settings,
    /// Keys the snapshots' maps.
    pub seed: u64,
    /// The largest body, except a rate sheet's.
    pub body_bytes_max: usize,
    /// The largest rate sheet.
    pub import_bytes_max: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// With several nodes: the last change that `snapshot` has of those that nodes tell each other.
    pub last_change: Option<i64>,
}

/// The API: state shared by all requests.
pub struct Api {
    store: DirectoryStore,
    control: Arc<dyn Control>,
    token: Token,
    settings: Settings,
    seed: u64,
    request_timeout: Duration,
    limits: (usize, usize),
    /// Commands take turns: each sees what the one before left, and snapshots go out in order.
    turn: Arc<Mutex<Snapshot>>,
    /// Asks for the job that charges, before its time.
    charge_soon: Notify,
    /// Held while it runs.
    charging: Mutex<()>,
    /// Calls being priced again.
    runs: rerate::Runs,
    /// With several nodes: which of their changes are live here.
    seen: Option<std::sync::Mutex<changes::Seen>>,
}

type Shared = State<Arc<Api>>;

impl Api {
    /// Every command hands new snapshots to [`Control::publish`].
    pub fn new(config: ApiConfig) -> Api {
        Api {
            store: config.store,
            control: config.control,
            token: config.token,
            settings: config.settings,
            seed: config.seed,
            request_timeout: config.request_timeout,
            limits: (config.body_bytes_max, config.import_bytes_max),
            turn: Arc::new(Mutex::new(config.snapshot)),
            charge_soon: Notify::new(),
            charging: Mutex::new(()),
            runs: rerate::Runs::default(),
            seen: config.last_change.map(changes::Seen::up_to),
        }
    }

    /// The snapshots as the last command left them.
    pub async fn snapshot(&self) -> Snapshot {
        self.turn.lock().await.clone()
    }

    /// All routes. Everything but `/health` needs the token.
    pub fn router(self: &Arc<Self>) -> Router {
        let (body_bytes_max, import_bytes_max) = self.limits;
        let api = Arc::clone(self);
        let import = Router::new()
            .route("/rate-groups/{name}/sheets", post(rate_sheets::import))
            .route("/rate-groups/{name}/dry-run", post(dry_run::start))
            .route("/accounts/import", post(account_import::import))
            .route("/dids/import", post(did_sheet::import))
            .route("/jurisdictions", post(jurisdictions::import))
            .route("/number-lists/{name}/lines", get(number_lists::lines).post(number_lists::fill))
            .route("/reports/carrier-statement", post(carrier_statement::compare))
            .layer(DefaultBodyLimit::max(import_bytes_max));
        let v1 = Router::new()
            .route("/status", get(system::status))
            .route("/accounts", get(accounts::list).post(accounts::add))
            .route("/accounts/{name}", get(accounts::show).patch(accounts::set))
            .route("/accounts/{name}/topups", post(accounts::top_up))
            .route("/accounts/{name}/statement", get(accounts::statement))
            .route("/accounts/export", get(account_import::export))
            .route("/accounts/close", post(account_close::close))
            .merge(resources())
            .merge(charging())
            .merge(selling())
            .merge(operating())
            .route("/accounts/{name}/sites", get(sites::list).post(sites::add))
            .route("/accounts/{name}/sites/{site}", delete(sites::remove))
            .route("/subscribers", get(subscribers::list).post(subscribers::add))
            .route("/subscribers/{username}", delete(subscribers::remove).patch(subscribers::set))
            .route("/trunks", get(trunks::list).post(trunks::add))
            .route("/trunks/{name}", get(trunks::show).patch(trunks::set).delete(trunks::remove))
            .route("/rerates", get(rerate::list).post(rerate::start))
            .route("/rerates/{id}", get(rerate::show))
            .route("/reports/profit", get(reports::profit))
            .route("/reports/quality", get(reports::quality))
            .route("/reports/balances", get(reports::balances))
            .route(
                "/statement-layouts/{carrier}",
                get(carrier_statement::show_layout).patch(carrier_statement::set_layout),
            )
            .route("/calls", get(calls::live))
            .route("/calls/{id}", delete(calls::hang_up))
            .route("/why/{id}", get(calls::why))
            .route("/simulate", get(simulate::simulate))
            .route("/price", post(price::price))
            .route("/registrations", get(system::registrations))
            .layer(DefaultBodyLimit::max(body_bytes_max))
            .merge(import)
            .fallback(nowhere);
        Router::new()
            .nest("/api/v1", v1)
            .route("/metrics", get(system::metrics))
            .layer(middleware::from_fn_with_state(Arc::clone(&api), authenticate))
            .route("/health", get(system::health))
            .layer(middleware::from_fn_with_state(Arc::clone(&api), limit_time))
            .with_state(api)
    }
}

/// Files that know their own routes, by name.
fn resources() -> Router<Arc<Api>> {
    Router::new()
        .merge(account_events::routes())
        .merge(account_verdicts::routes())
        .merge(availability::routes())
        .merge(bans::routes())
        .merge(bill::routes())
        .merge(caller_id::routes())
        .merge(interworking::routes())
        .merge(cdrs::routes())
        .merge(dids::routes())
        .merge(edges::routes())
        .merge(forwarding::routes())
        .merge(fraud::routes())
        .merge(jurisdictions::routes())
        .merge(lookups::routes())
        .merge(messages::routes())
        .merge(number_lists::routes())
        .merge(numbers::routes())
        .merge(probes::routes())
        .merge(quality::routes())
        .merge(receipts::routes())
        .merge(routes::routes())
        .merge(security::routes())
        .merge(taxes::routes())
        .merge(traces::routes())
        .merge(time_windows::routes())
        .merge(trunk_causes::routes())
        .merge(tls::routes())
        .merge(trunk_stir::routes())
        .merge(trunk_tls::routes())
        .merge(upstreams::routes())
}

/// What calls cost.
fn selling() -> Router<Arc<Api>> {
    Router::new()
        .route("/rate-groups", get(rates::list_groups).post(rates::add_group))
        .route("/rate-groups/{name}", get(rates::show_group).patch(rates::set_group))
        .route("/rate-groups/{name}/rates", get(rates::list))
        .route("/rate-groups/{name}/listing", post(rates::list_for_sql))
        .route("/rate-groups/{name}/export", get(rate_sheets::export))
        .route("/rate-groups/{name}/changes", get(rate_sheets::changes))
        .route("/accounts/{name}/rate-changes", get(rate_sheets::notify))
        .route("/rate-sheets", get(rate_sheets::list))
        .route("/rate-sheets/{id}/rollback", post(rate_sheets::roll_back))
        .route("/rate-sheets/{id}/rejected", get(sheet_pages::rejected))
        .route("/rate-layouts", get(rate_sheets::list_layouts))
        .route(
            "/rate-layouts/{vendor}",
            get(rate_sheets::show_layout).patch(rate_sheets::set_layout),
        )
}

/// The books, and the nodes that share them.
fn operating() -> Router<Arc<Api>> {
    Router::new()
        .route("/ledger/check", get(system::check_ledger))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{name}/forget", post(nodes::forget))
}

/// What is charged and given without a call.
fn charging() -> Router<Arc<Api>> {
    Router::new()
        .route("/destination-sets", get(plans::list_sets).post(plans::put_set))
        .route("/destination-sets/{name}", delete(plans::remove_set))
        .route("/plans", get(plans::list).post(plans::add))
        .route("/plans/{name}", get(plans::show))
        .route("/plans/{name}/close", post(plans::close))
        .route("/accounts/{name}/plans", get(plans::list_of_account).post(plans::subscribe))
        .route("/accounts/{name}/compensations", post(plans::compensate))
        .route("/accounts/{name}/bundles", get(charges::list_grants))
        .route("/subscriptions/{id}/end", post(plans::end))
        .route("/accounts/{name}/charges", get(charges::list).post(adjustments::charge))
        .route("/charges/run", post(charges::run))
        .route("/accounts/{name}/adjustments", post(adjustments::adjust))
        .route("/accounts/{name}/payouts", post(payouts::pay_out))
        .route("/exchange-rates", get(exchange::list).post(exchange::set))
        .route("/exchange-rates/{from}/{to}", delete(exchange::remove))
        .route(
            "/report-currency",
            get(exchange::show_report_currency).put(exchange::set_report_currency),
        )
        .route("/discounts", get(discounts::list).post(discounts::add))
        .route("/discounts/{id}", delete(discounts::remove))
        .route("/discounts/{id}/end", post(discounts::end))
        .route("/accounts/{name}/credit-notes", post(adjustments::credit))
        .route("/voucher-batches", get(vouchers::list).post(vouchers::add))
        .route("/voucher-batches/{name}/void", post(vouchers::void))
        .route("/accounts/{name}/vouchers", post(vouchers::redeem))
        .route("/accounts/{name}/pin", post(vouchers::new_pin))
        .route("/pin-batches", post(vouchers::add_pins))
        .route("/pin-settings", get(vouchers::show_pin_settings).put(vouchers::set_pin_settings))
        .route("/reasons", get(adjustments::list_reasons).post(adjustments::put_reason))
}

/// Reads the whole directory into snapshots, with the terms of every account.
pub async fn load(
    store: &DirectoryStore,
    settings: Settings,
    seed: u64,
) -> Result<(Snapshot, Vec<(AccountId, Terms)>), ChangeError> {
    let loaded = store.begin_read().await?.load(settings, seed, None).await?;
    let Loaded { directory, rate_book, terms } = loaded;
    Ok((Snapshot { directory, rate_book }, terms))
}

async fn authenticate(State(api): Shared, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION);
    let shown = header.and_then(|value| value.to_str().ok()).and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    match shown {
        Some(shown) if api.token.is(shown) => next.run(request).await,
        _ => Problem::unauthorized().into_response(),
    }
}

async fn limit_time(State(api): Shared, request: Request, next: Next) -> Response {
    match tokio::time::timeout(api.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(503, "timeout", TOOK_TOO_LONG).into_response(),
    }
}

async fn nowhere() -> Problem {
    Problem::new(404, "no_such_resource", "there is no such resource; see docs/operating/api.md")
}
