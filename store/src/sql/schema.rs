//! The schema. Migrations are written once, with SQLite's names of types; for PostgreSQL three words
//! are replaced. Views are for people and differ, so there is one text of them for each database,
//! which replaces the views whenever it has changed.

use std::borrow::Cow;

use sqlx::Error;
use sqlx::migrate::{Migration, Migrator};

use super::connection::{Connection, Pool};
use super::{query, query_scalar};

/// All migrations, compiled in.
static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

const SQLITE_VIEWS: &str = include_str!("../../views/sqlite.sql");
const POSTGRES_VIEWS: &str = include_str!("../../views/postgres.sql");

/// What PostgreSQL calls by another name: its INTEGER has 32 bits only.
const IN_POSTGRES: [(&str, &str); 3] =
    [("INTEGER", "BIGINT"), ("BLOB", "BYTEA"), (" WITHOUT ROWID", "")];

/// Which text the views were made of.
const VIEWS: &str = "views";

pub(super) async fn bring_up_to_date(pool: &Pool) -> Result<(), Error> {
    match pool {
        Pool::Sqlite(pool) => MIGRATOR.run(pool).await,
        Pool::Postgres(pool) => for_postgres().run(pool).await,
    }
    .map_err(|error| Error::Migrate(Box::new(error)))?;
    replace_views(pool).await
}

/// False before the first start.
pub(crate) async fn has_tables(pool: &Pool) -> Result<bool, Error> {
    let sql = match pool {
        Pool::Sqlite(_) => "SELECT count(*) FROM sqlite_master WHERE name = 'setting'",
        Pool::Postgres(_) => "SELECT count(*) FROM pg_tables WHERE tablename = 'setting'",
    };
    Ok(query_scalar::<i64>(sql).fetch_one(pool).await? > 0)
}

fn for_postgres() -> Migrator {
    let translated = |migration: &Migration| {
        let mut sql = migration.sql.to_string();
        for (theirs, ours) in IN_POSTGRES {
            sql = sql.replace(theirs, ours);
        }
        let description = migration.description.clone();
        let (version, kind) = (migration.version, migration.migration_type);
        Migration::new(version, description, kind, Cow::Owned(sql), migration.no_tx)
    };
    let migrations: Vec<Migration> = MIGRATOR.iter().map(translated).collect();
    Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
}

async fn replace_views(pool: &Pool) -> Result<(), Error> {
    let text = match pool {
        Pool::Sqlite(_) => SQLITE_VIEWS,
        Pool::Postgres(_) => POSTGRES_VIEWS,
    };
    let made_of = "SELECT value FROM setting WHERE name = ?";
    let before: Option<String> = query_scalar(made_of).bind(VIEWS).fetch_optional(pool).await?;
    if before.as_deref() == Some(text) {
        return Ok(());
    }
    let mut transaction = pool.begin_command().await?;
    match &mut *transaction {
        Connection::Sqlite(connection) => {
            sqlx::raw_sql(text).execute(&mut **connection).await.map(drop)?;
        }
        Connection::Postgres(connection) => {
            sqlx::raw_sql(text).execute(&mut **connection).await.map(drop)?;
        }
        Connection::Command(command) => {
            sqlx::raw_sql(text).execute(command.connection()).await.map(drop)?;
        }
    }
    let remember = "INSERT INTO setting (name, value) VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    query(remember).bind(VIEWS).bind(text).execute(&mut *transaction).await?;
    transaction.commit().await
}
