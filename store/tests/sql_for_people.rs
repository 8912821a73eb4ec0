//! V-27: all account and billing data is queryable by SQL. Each example of the manual runs on both
//! databases, the manual names each view, and no secret is in any.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::collections::BTreeSet;

use billing::Money;
use store::journal::JournalOptions;
use store::sql::{self, Pool};
use world::World;
use world::backend::{Backend, on_both};

on_both!(the_examples_of_the_manual_run, every_view_can_be_read, no_view_tells_a_secret);

const MANUAL: &str = include_str!("../../docs/operating/sql.md");

fn examples() -> impl Iterator<Item = &'static str> {
    MANUAL.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap().trim())
}

/// One call, so that the tables of calls have rows.
async fn called(backend: Backend) -> World {
    let mut world = World::new(backend, JournalOptions::default()).await;
    world.top_up(1, Money::units(10));
    assert!(world.open(1));
    world.answer(0);
    world.advance(9);
    world.end(0);
    world.store.flush().await;
    world
}

async fn the_examples_of_the_manual_run(backend: Backend) {
    let world = called(backend).await;
    assert!(examples().count() > 10);
    for example in examples() {
        let sql = example.trim_end_matches(';');
        let rows = sql::query(sql).fetch_all(world.store.pool()).await;
        assert!(rows.is_ok(), "{sql}: {:?}", rows.err());
    }
}

/// The views that the manual names.
fn views() -> Vec<&'static str> {
    let rows = MANUAL.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.flat_map(|line| line.split('|').nth(1).unwrap().split(','));
    cells.map(|cell| cell.trim().trim_matches('`')).collect()
}

async fn every_view_can_be_read(backend: Backend) {
    let world = called(backend).await;
    let views = views();
    let made = store_views(backend);
    assert_eq!(views.iter().copied().collect::<BTreeSet<_>>(), made, "the manual names them all");
    for view in views {
        let rows = sql::query(format!("SELECT * FROM {view}")).fetch_all(world.store.pool()).await;
        assert!(rows.is_ok(), "{view}: {:?}", rows.err());
    }
    let readable = "SELECT amount, destination_name, bundle_s, report_currency, report_rate \
                    FROM cdr_readable ORDER BY leg";
    let rows = sql::query(readable).fetch_all(world.store.pool()).await.unwrap();
    let (amount, rate): (String, String) =
        (rows[0].try_get(0).unwrap(), rows[0].try_get(4).unwrap());
    assert_eq!((amount.as_str(), rate.as_str()), ("0.130000", "1.000000000"));
}

/// The views that the text for this database makes.
fn store_views(backend: Backend) -> BTreeSet<&'static str> {
    let text = match backend {
        Backend::Sqlite => include_str!("../views/sqlite.sql"),
        Backend::Postgres => include_str!("../views/postgres.sql"),
    };
    let made = text.lines().filter_map(|line| line.strip_prefix("CREATE VIEW "));
    made.map(|line| line.strip_suffix(" AS").unwrap()).collect()
}

async fn columns(pool: &Pool, view: &str) -> Vec<String> {
    let sql = match pool {
        Pool::Sqlite(_) => "SELECT name FROM pragma_table_info(?) ORDER BY cid",
        Pool::Postgres(_) => {
            "SELECT CAST(column_name AS TEXT) FROM information_schema.columns \
             WHERE table_name = ? ORDER BY ordinal_position"
        }
    };
    sql::query_scalar(sql).bind(view.to_owned()).fetch_all(pool).await.unwrap()
}

async fn no_view_tells_a_secret(backend: Backend) {
    let world = World::new(backend, JournalOptions::default()).await;
    for view in views() {
        let columns = columns(world.store.pool(), view).await;
        assert!(!columns.is_empty(), "{view}");
        for column in columns {
            let is_secret =
                ["password", "ha1", "hash", "pin", "code"].iter().any(|w| column.contains(w));
            assert!(!is_secret || column == "error_code", "{view}.{column}");
        }
    }
}
