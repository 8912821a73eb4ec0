//! The API on a real database and a real journal, with a switch that books and talks without SIP.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)] // each test takes a part

#[path = "../../../store/tests/world/backend.rs"]
pub mod backend;
pub mod calls;
pub mod switch;

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::switch::directory::Settings;
use api::{Api, ApiConfig, Token};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use store::directory::DirectoryStore;
use store::journal::JournalOptions;
use store::{Database, NodeSettings, Opening};
use tempfile::TempDir;
use tower::ServiceExt;
use vocabulary::{AccountId, Utc};

use backend::Backend;
use switch::Switch;

pub const NOW: Utc = Utc(1_790_000_000_000_000);

/// What a test takes as the largest rate sheet and list of accounts.
const IMPORT_BYTES_MAX: usize = 100_000;
/// So long may pricing calls again take.
const RUN_MAX: Duration = Duration::from_secs(120);

/// Status, kind, field, detail.
pub type Told<'a> = (u16, &'a str, &'a str, &'a str);

pub struct World {
    pub temp: Arc<TempDir>,
    pub dir: PathBuf,
    pub database: Database,
    pub directory: DirectoryStore,
    pub api: Arc<Api>,
    pub router: Router,
    pub control: Arc<Switch>,
    pub token: String,
    import_bytes_max: usize,
}

/// An empty world on a database of its own.
pub async fn world(backend: Backend) -> World {
    let temp = Arc::new(tempfile::tempdir().unwrap());
    let dir = temp.path().join("data");
    let database = backend.fresh(&dir).await;
    World::open(temp, database, NOW, IMPORT_BYTES_MAX).await
}

/// Nothing gathers: a test waits for each record.
fn journal_options() -> JournalOptions {
    JournalOptions {
        segment_bytes: 1 << 20,
        write_delay: Duration::from_millis(1),
        sync_interval_min: Duration::ZERO,
        ..JournalOptions::default()
    }
}

impl World {
    /// Starts on a data directory as it is, in the order in which the server does.
    pub async fn open(
        temp: Arc<TempDir>,
        database: Database,
        now: Utc,
        import_bytes_max: usize,
    ) -> World {
        World::open_as(None, temp, database, now, import_bytes_max).await
    }

    /// One of several nodes on a PostgreSQL database, each with a data directory of its own.
    pub async fn node(name: &str, database: &Database) -> World {
        let node = NodeSettings { name: name.to_owned(), lease_ttl: Duration::from_secs(60) };
        let temp = Arc::new(tempfile::tempdir().unwrap());
        World::open_as(Some(&node), temp, database.clone(), NOW, IMPORT_BYTES_MAX).await
    }

    async fn open_as(
        node: Option<&NodeSettings>,
        temp: Arc<TempDir>,
        database: Database,
        now: Utc,
        import_bytes_max: usize,
    ) -> World {
        let dir = temp.path().join("data");
        let options = journal_options();
        let opening = Opening::begin_as(node, &dir, &database, options).await.unwrap();
        let directory = DirectoryStore::open(&database).await.unwrap();
        let last_change = match node {
            Some(_) => Some(directory.last_change().await.unwrap()),
            None => None,
        };
        let settings = Settings { realm: "tandem".into(), ..Settings::default() };
        let (snapshot, terms) = api::load(&directory, settings.clone(), 1).await.unwrap();
        let control = Arc::new(Switch::open(opening, (&snapshot, &terms), now).await);
        let token = Token::read_or_create(&dir).unwrap();
        let config = ApiConfig {
            snapshot,
            store: directory.clone(),
            control: control.clone(),
            token: token.clone(),
            settings,
            seed: 1,
            body_bytes_max: 10_000,
            import_bytes_max,
            request_timeout: Duration::from_secs(30),
            last_change,
        };
        let api = Arc::new(Api::new(config));
        let router = api.router();
        let token = token.expose().to_owned();
        World { temp, dir, database, directory, api, router, control, token, import_bytes_max }
    }

    /// The process dies where it stands, and another starts: the projection is cut off, calls are
    /// left open, and what the journal has is all there is.
    pub async fn crashed(self) -> World {
        let World { temp, database, directory, api, router, control, import_bytes_max, .. } = self;
        let now = control.now_utc();
        let records = control.journal.shared();
        let remains = Arc::downgrade(control.store.journal());
        drop((api, router, control));
        // A dead process writes nothing any more: wait for its last task, and for its transaction.
        while Weak::upgrade(&remains).is_some() {
            tokio::task::yield_now().await;
        }
        let pool = database.open().await.unwrap();
        backend::lock(&pool).await.rollback().await.unwrap();
        drop((directory, pool));
        let world = World::open(temp, database, now, import_bytes_max).await;
        // What nobody has looked at yet is not lost with the process.
        world.control.journal.put_before(&records);
        world
    }

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

    /// A command that is done: its answer.
    pub async fn change(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, None, body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The field that a command is refused for.
    pub async fn refused(&self, method: &str, path: &str, body: Value) -> String {
        let answer = self.ask(method, path, None, body.to_string()).await;
        let (status, _, field, _) = World::told(&answer);
        assert_eq!(status, 422, "{answer:?}");
        field.to_owned()
    }

    /// A file: where it is to be put, and what is in it.
    pub async fn file(&self, path: &str) -> (String, String) {
        let request = Request::builder()
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {}", self.token));
        let (head, text) = self.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(head.status(), 200, "{path}: {text}");
        let place = head.headers()["content-disposition"].to_str().unwrap().to_owned();
        (place, text)
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, None, body.to_string()).await
    }

    pub async fn made(&self, path: &str, body: Value) -> Value {
        let (status, value) = self.post(path, body).await;
        assert_eq!(status, 201, "{path}: {value}");
        value
    }

    pub async fn set(&self, account: &str, change: Value) -> (u16, Value) {
        self.ask("PATCH", &format!("/accounts/{account}"), None, change.to_string()).await
    }

    /// Rows under the header `prefix,price`, in force from now on.
    pub async fn sheet(&self, group: &str, rows: &str) {
        let sheet = format!("prefix,price\n{}\n", rows.replace(' ', "\n"));
        self.import(group, sheet, self.control.now_utc()).await;
    }

    /// A rate sheet whose rows are in force from then on.
    pub async fn import(&self, group: &str, sheet: String, valid_from: Utc) {
        let from = store::moment::format_utc(valid_from);
        let path = format!("/rate-groups/{group}/sheets?file=rates.csv&valid_from={from}");
        let (status, answer) = self.ask("POST", &path, None, sheet).await;
        assert_eq!(status, 201, "{answer}");
    }

    pub async fn top_up(&self, account: &str, key: &str, amount: &str) -> Value {
        let body = json!({ "amount": amount }).to_string();
        let path = format!("/accounts/{account}/topups");
        let (status, answer) = self.ask("POST", &path, Some(key), body).await;
        assert_eq!(status, 201, "{answer}");
        answer
    }

    /// Waits until the run that an answer names is through.
    pub async fn done(&self, answer: &(u16, Value)) -> Value {
        assert_eq!(answer.0, 202, "{}", answer.1);
        let path = format!("/rerates/{}", answer.1["run"]);
        let through = async {
            loop {
                let run = self.get(&path).await;
                if run["state"] != "running" {
                    return run;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(RUN_MAX, through).await.unwrap()
    }

    pub async fn id(&self, account: &str) -> AccountId {
        self.directory.account(account).await.unwrap().id
    }

    pub async fn balance(&self, account: &str) -> String {
        self.get(&format!("/accounts/{account}")).await["balance"].as_str().unwrap().to_owned()
    }

    /// The books in memory, and those in the tables and the journal.
    pub async fn check_books(&self) {
        self.control.store.flush().await;
        let report = self.get("/ledger/check").await;
        assert_eq!(report["ok"], true, "{report:#}");
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
