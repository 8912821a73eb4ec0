//! The API on a real SQLite file, with a switch that only books and remembers.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test takes what it needs

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{
    Api, ApiConfig, Control, Later, LedgerReport, Payment, PaymentRefused, Simulated, Snapshot,
    Status, Token,
};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use billing::{
    AccountView, BundleGrant, Ledger, LedgerError, MemoryJournal, Posting, Rerated, Terms,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use store::directory::DirectoryStore;
use switch::LiveCall;
use switch::directory::Settings;
use switch::registrar::StoredBinding;
use tower::ServiceExt;
use vocabulary::{AccountId, CallId, DecisionLine, SubscriberId, Utc};

pub const NOW: Utc = Utc(1_790_000_000_000_000);

/// A switch with books and no calls.
#[derive(Default)]
pub struct Quiet {
    pub ledger: Ledger,
    pub journal: MemoryJournal,
    pub published: Mutex<Vec<Snapshot>>,
    pub is_draining: AtomicBool,
    pub is_journal_stuck: AtomicBool,
    /// Payments are booked, and whoever asked does not hear of it.
    pub loses_answers: AtomicBool,
    /// Since `NOW`, in microseconds.
    pub elapsed: AtomicI64,
}

impl Quiet {
    /// Lets time pass.
    pub fn advance(&self, micros: i64) {
        self.elapsed.fetch_add(micros, Relaxed);
    }
}

impl Control for Quiet {
    fn now(&self) -> Utc {
        Utc(NOW.0 + self.elapsed.load(Relaxed))
    }

    fn publish(&self, snapshot: &Snapshot, terms: &[(AccountId, Terms)]) {
        for (account, terms) in terms {
            self.ledger.set_terms(*account, *terms).unwrap();
        }
        self.published.lock().unwrap().push(snapshot.clone());
    }

    fn balance(&self, account: AccountId) -> Option<AccountView> {
        self.ledger.account(account)
    }

    fn pay(&self, payment: Payment) -> Later<'_, Result<(), PaymentRefused>> {
        let currency = self.ledger.account(payment.account).unwrap().terms.currency;
        let Payment { op, account, amount, kind, overdraft, note } = payment;
        let published = self.published.lock().unwrap();
        let book = published.last().map(|snapshot| &snapshot.rate_book);
        let reseller = book.and_then(|book| book.tariff(account)?.parent);
        let posting = Posting::between(kind, op, account, amount, currency, NOW, note);
        let posting = posting.sold_by(reseller);
        let result = match self.ledger.post(posting, overdraft, &self.journal) {
            Ok(_) if self.loses_answers.load(Relaxed) => {
                Err(PaymentRefused::Amount("the answer is lost".into()))
            }
            Ok(_) => Ok(()),
            Err(LedgerError::Differs) => Err(PaymentRefused::Differs),
            Err(error) => Err(PaymentRefused::Amount(error.to_string())),
        };
        Box::pin(std::future::ready(result))
    }

    fn rerate(&self, rerated: Vec<Rerated>) -> Later<'_, Option<String>> {
        let mut refused = None;
        for one in rerated {
            refused = refused.or(self.ledger.rerate(one, &self.journal).err());
        }
        Box::pin(std::future::ready(refused.map(|why| why.to_string())))
    }

    fn written(&self) -> Later<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn grant(&self, grant: BundleGrant) -> Later<'_, Result<(), PaymentRefused>> {
        let result = self.ledger.grant(grant, &self.journal);
        let result = result.map(drop).map_err(|error| PaymentRefused::Amount(error.to_string()));
        Box::pin(std::future::ready(result))
    }

    fn live_calls(&self) -> Later<'_, Vec<LiveCall>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn hang_up(&self, _: CallId) -> Later<'_, bool> {
        Box::pin(std::future::ready(false))
    }

    fn bindings(&self, _: SubscriberId) -> Vec<StoredBinding> {
        Vec::new()
    }

    fn simulate(&self, from: &str, _: &str, _: Utc) -> Simulated {
        let line = DecisionLine { code: "unknown_user", sentence: format!("{from} is nobody.") };
        Simulated { refusal: Some((403, line)), ..Simulated::default() }
    }

    fn check_ledger(&self) -> Later<'_, LedgerReport> {
        let counted = vec![("accounts", 1)];
        Box::pin(std::future::ready(LedgerReport { counted, faults: Vec::new() }))
    }

    fn catch_up(&self) -> Later<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn status(&self) -> Status {
        Status {
            started_at: NOW,
            version: "0".into(),
            is_draining: self.is_draining.load(Relaxed),
            is_journal_stuck: self.is_journal_stuck.load(Relaxed),
            ..Status::default()
        }
    }

    fn metrics(&self) -> String {
        "calls_live 0\n".into()
    }
}

/// Status, kind, field, detail.
pub type Told<'a> = (u16, &'a str, &'a str, &'a str);

pub struct World {
    pub dir: tempfile::TempDir,
    pub api: Arc<Api>,
    pub router: Router,
    pub control: Arc<Quiet>,
    pub token: String,
}

pub async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let database = store::DataPaths::new(dir.path()).database();
    database.open().await.unwrap().close().await;
    let token = Token::read_or_create(dir.path()).unwrap();
    let control = Arc::new(Quiet::default());
    let store = DirectoryStore::open(&database).await.unwrap();
    let settings = Settings { realm: "tandem".into(), ..Settings::default() };
    let config = ApiConfig {
        snapshot: api::load(&store, settings.clone(), 1).await.unwrap().0,
        store,
        control: control.clone(),
        token: token.clone(),
        settings,
        seed: 1,
        body_bytes_max: 10_000,
        import_bytes_max: 100_000,
        request_timeout: Duration::from_secs(10),
    };
    let api = Arc::new(Api::new(config));
    let router = api.router();
    World { dir, api, router, control, token: token.expose().to_owned() }
}

impl World {
    pub async fn send(&self, request: Request<Body>) -> (Response<()>, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(head, ()), String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: String,
    ) -> (u16, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {}", self.token));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let (head, text) = self.send(request.body(Body::from(body)).unwrap()).await;
        (head.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, None, String::new()).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, None, body.to_string()).await
    }

    pub async fn made(&self, path: &str, body: Value) -> Value {
        let (status, value) = self.post(path, body).await;
        assert_eq!(status, 201, "{path}: {value}");
        value
    }

    pub async fn fill(&self) {
        self.made("/rate-groups", json!({"name": "retail", "currency": "EUR"})).await;
        let account = json!({"name": "alice", "billing": "prepaid", "currency": "EUR",
            "rate_group": "retail", "calls_in_max": 3});
        self.made("/accounts", account).await;
    }

    /// What a request that breaks a rule is told.
    #[track_caller]
    pub fn told(answer: &(u16, Value)) -> Told<'_> {
        let text = |field: &str| answer.1[field].as_str().unwrap_or_default();
        let kind = text("type").trim_start_matches("urn:tandem:problem:");
        (answer.0, kind, text("field"), text("detail"))
    }
}
