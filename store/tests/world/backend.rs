//! The two databases that every test of the tables runs on. PostgreSQL is the private cluster that
//! `cargo xtask postgres COMMAND` starts around a test run; each test makes its own database in it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{Connection as _, PgConnection};
use store::Database;
use store::sql::{self, Pool};

/// The address of a PostgreSQL superuser's database, set by `cargo xtask postgres`.
pub const ADDRESS: &str = "TANDEM_TEST_POSTGRES";

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Runs each test on both databases.
#[allow(unused_macros)] // each test file uses what it needs
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::world::backend::Backend::Sqlite).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if crate::world::backend::Backend::has_postgres() {
                    super::$test(crate::world::backend::Backend::Postgres).await;
                }
            })+
        }
    };
}
#[allow(unused_imports)] // each test file uses what it needs
pub(crate) use on_both;

impl Backend {
    /// False, said aloud, where nobody started one.
    pub fn has_postgres() -> bool {
        let has_one = std::env::var_os(ADDRESS).is_some();
        if !has_one {
            eprintln!("skipped: run it as `cargo xtask postgres cargo nextest run …`");
        }
        has_one
    }

    /// A database without rows for the data directory `dir`.
    pub async fn fresh(self, dir: &Path) -> Database {
        match self {
            Backend::Sqlite => store::DataPaths::new(dir).database(),
            Backend::Postgres => create(&template().await).await,
        }
    }
}

/// The database in a copy of its data directory. On PostgreSQL it is copied too, so nobody may be
/// connected to it.
pub async fn copied(database: &Database, dir: &Path) -> Database {
    match database {
        Database::File(_) => store::DataPaths::new(dir).database(),
        Database::Postgres(options) => create(options.get_database().unwrap()).await,
    }
}

/// The same database, for a data directory that was moved with it.
pub fn moved(database: &Database, dir: &Path) -> Database {
    match database {
        Database::File(_) => store::DataPaths::new(dir).database(),
        Database::Postgres(_) => database.clone(),
    }
}

/// The database with the tables and no rows, which the first test that needs it makes: a copy of it is
/// there in a fifth of the time that all migrations take. Test programs of another version find one
/// that is not theirs, and bring their copy up to date.
async fn template() -> String {
    const NAME: &str = "tandem_template";
    let mut server = PgConnection::connect(&std::env::var(ADDRESS).unwrap()).await.unwrap();
    // Tests are processes: the others wait here until the connection is closed.
    let lock = sqlx::raw_sql("SELECT pg_advisory_lock(1)");
    lock.execute(&mut server).await.unwrap();
    let there = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(NAME);
    if there.fetch_optional(&mut server).await.unwrap().is_none() {
        // Renamed when it is whole, so that a test that is killed leaves no half of one.
        let draft = create("template1").await;
        draft.open().await.unwrap().close().await;
        let Database::Postgres(options) = &draft else { unreachable!("made on PostgreSQL") };
        let name = options.get_database().unwrap();
        let rename = format!("ALTER DATABASE {name} RENAME TO {NAME}");
        sqlx::raw_sql(&rename).execute(&mut server).await.unwrap();
    }
    server.close().await.unwrap();
    NAME.to_owned()
}

async fn create(template: &str) -> Database {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let address = std::env::var(ADDRESS).unwrap();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{count}", std::process::id());
    let mut server = PgConnection::connect(&address).await.unwrap();
    let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
    while let Err(error) = sqlx::raw_sql(&sql).execute(&mut server).await {
        // Somebody is still leaving the template.
        let code = error.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("55006"), "{error}");
        tokio::task::yield_now().await;
    }
    server.close().await.unwrap();
    let (before, parameters) = address.split_once('?').unwrap_or((&address, ""));
    let (server, _) = before.rsplit_once('/').unwrap();
    Database::from_url(&format!("{server}/{name}?{parameters}")).unwrap()
}

/// Keeps others from writing until it is dropped or rolled back.
pub async fn lock(pool: &Pool) -> sql::Transaction {
    let mut transaction = pool.begin().await.unwrap();
    if let Pool::Postgres(_) = pool {
        let lock = sql::query("LOCK TABLE applied IN ACCESS EXCLUSIVE MODE");
        lock.execute(&mut *transaction).await.unwrap();
    }
    transaction
}
