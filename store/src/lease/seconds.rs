//! Leases of bundles' seconds. Their rows are locked behind those of the accounts, in the order of their
//! ids, as the projection does.

use std::collections::BTreeMap;

use billing::{
    Bundle, BundleId, BundleOf, DestinationSetId, Fund, Lease, Seconds, SecondsAnswer, SecondsAsk,
};
use vocabulary::{AccountId, Utc};

use super::{CHUNK, SCARCE_US};
use crate::node::{DATABASE_NOW, NodeNumber};
use crate::sql::{self, Builder, Bulk, BulkRow, Connection, Row, Values};

/// Bundles of other nodes that are heard of at once; the rest with the next question.
const LEARNED_MAX: i64 = 5000;

/// What became of questions about seconds.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) answers: Vec<SecondsAnswer>,
    /// The tables do not have these.
    pub(super) not_found: Vec<BundleOf>,
}

/// The statements that write leases of bundles.
pub(super) struct SecondsLeases {
    bundles: Bulk,
    leases: Bulk,
}

impl SecondsLeases {
    pub(super) fn new() -> SecondsLeases {
        let bundles = "UPDATE bundle SET leased_s = bundle.leased_s + v.leased_s, \
                       short_at = v.short_at FROM (";
        let on = ") AS v (id, leased_s, short_at) WHERE bundle.id = v.id";
        let leases = "INSERT INTO bundle_lease (node, bundle_id, granted_s, claimed_s, spent_s)";
        let set = "ON CONFLICT (node, bundle_id) DO UPDATE SET granted_s = excluded.granted_s, \
                   claimed_s = excluded.claimed_s";
        SecondsLeases { bundles: Bulk::new(bundles, 3, on), leases: Bulk::new(leases, 5, set) }
    }

    /// Decides in the order of the bundles.
    pub(super) async fn decide(
        &self,
        connection: &mut Connection,
        node: NodeNumber,
        asks: &[SecondsAsk],
    ) -> Result<Decided, sqlx::Error> {
        let mut asks = asks.to_vec();
        asks.sort_by_key(|ask| ask.of.bundle);
        let mut decided = Decided::default();
        for chunk in asks.chunks(CHUNK) {
            let found = lock(connection, node, chunk).await?;
            let mut changes = Vec::with_capacity(chunk.len());
            for SecondsAsk { of, wanted } in chunk {
                let Some(row) = found.get(&of.bundle).copied() else {
                    decided.not_found.push(*of);
                    continue;
                };
                let lease = row.fund().decide(row.lease, wanted);
                let is_short = lease.claimed < wanted.least;
                changes.push(Change { bundle: of.bundle, row, lease, is_short });
                decided.answers.push(SecondsAnswer { of: *of, lease, left: row.left });
            }
            self.write(connection, node, &changes).await?;
        }
        Ok(decided)
    }

    /// Takes what was used already, whether the tables have the bundles yet or not.
    pub(super) async fn cover(
        &self,
        connection: &mut Connection,
        node: NodeNumber,
        used: &[SecondsAsk],
    ) -> Result<Vec<SecondsAnswer>, sqlx::Error> {
        let mut used = used.to_vec();
        used.sort_by_key(|ask| ask.of.bundle);
        let mut answers = Vec::with_capacity(used.len());
        for chunk in used.chunks(CHUNK) {
            let found = lock(connection, node, chunk).await?;
            let mut changes = Vec::with_capacity(chunk.len());
            for SecondsAsk { of, wanted } in chunk {
                let row = found.get(&of.bundle).copied().unwrap_or_default();
                let granted = row.lease.granted.max(wanted.granted);
                let claimed = row.lease.claimed.max(wanted.claimed);
                let lease = Lease { granted, claimed, ..row.lease };
                changes.push(Change { bundle: of.bundle, row, lease, is_short: false });
                answers.push(SecondsAnswer { of: *of, lease, left: row.left });
            }
            self.write(connection, node, &changes).await?;
        }
        Ok(answers)
    }

    async fn write(
        &self,
        connection: &mut Connection,
        node: NodeNumber,
        changes: &[Change],
    ) -> Result<(), sqlx::Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let now: i64 =
            sql::query_scalar(format!("SELECT {DATABASE_NOW}")).fetch_one(&mut *connection).await?;
        let bundles: Vec<BundleRow<'_>> = changes.iter().map(|c| BundleRow(c, now)).collect();
        self.bundles.run(connection, &bundles).await?;
        let leases: Vec<LeaseRow<'_>> = changes.iter().map(|c| LeaseRow(node, c)).collect();
        self.leases.run(connection, &leases).await?;
        Ok(())
    }
}

/// A bundle and this node's lease of it.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// Granted less used.
    left: Seconds,
    leased: Seconds,
    increment: Seconds,
    short_at: i64,
    lease: Lease<Seconds>,
}

impl Found {
    fn fund(&self) -> Fund<Seconds> {
        let Found { left, leased, increment, .. } = *self;
        Fund { left, leased, spend_left: None, increment }
    }
}

struct Change {
    bundle: BundleId,
    row: Found,
    lease: Lease<Seconds>,
    is_short: bool,
}

struct BundleRow<'a>(&'a Change, i64);

impl BulkRow for BundleRow<'_> {
    fn bind(&self, values: &mut Values<'_>) {
        let Change { bundle, row, lease, is_short } = self.0;
        values.put(bundle.0.cast_signed());
        values.put(lease.granted.0 - row.lease.granted.0);
        values.put(if *is_short { self.1 } else { row.short_at });
    }
}

struct LeaseRow<'a>(NodeNumber, &'a Change);

impl BulkRow for LeaseRow<'_> {
    fn bind(&self, values: &mut Values<'_>) {
        let Change { bundle, lease, .. } = self.1;
        values.put(self.0);
        values.put(bundle.0.cast_signed());
        values.put(lease.granted.0);
        values.put(lease.claimed.0);
        values.put(0_i64);
    }
}

/// Locks the bundles' rows and reads them.
async fn lock(
    connection: &mut Connection,
    node: NodeNumber,
    asks: &[SecondsAsk],
) -> Result<BTreeMap<BundleId, Found>, sqlx::Error> {
    let ids = || asks.iter().map(|ask| ask.of.bundle.0.cast_signed());
    let mut query = Builder::new("SELECT id FROM bundle WHERE id IN (");
    query.push_list(ids()).push(") ORDER BY id FOR UPDATE");
    query.build().fetch_all(&mut *connection).await?;
    let mut query = Builder::new(
        "SELECT b.id, b.granted_s - b.used_s, b.leased_s, b.increment_s, b.short_at, \
         coalesce(l.granted_s, 0), coalesce(l.claimed_s, 0), coalesce(l.spent_s, 0) FROM bundle b \
         LEFT JOIN bundle_lease l ON l.bundle_id = b.id AND l.node = ",
    );
    query.push_bind(node).push(" WHERE b.id IN (").push_list(ids()).push(")");
    let mut found = BTreeMap::new();
    for row in query.build().fetch_all(connection).await? {
        let bundle = Found {
            left: Seconds(row.try_get(1)?),
            leased: Seconds(row.try_get(2)?),
            increment: Seconds(row.try_get(3)?),
            short_at: row.try_get(4)?,
            lease: lease(&row, 5)?,
        };
        found.insert(BundleId(row.try_get::<i64, _>(0)?.cast_unsigned()), bundle);
    }
    Ok(found)
}

fn lease(row: &Row, column: usize) -> Result<Lease<Seconds>, sqlx::Error> {
    Ok(Lease {
        granted: Seconds(row.try_get(column)?),
        claimed: Seconds(row.try_get(column + 1)?),
        spent: Seconds(row.try_get(column + 2)?),
    })
}

fn bundle_of(row: &Row, account: usize, bundle: usize) -> Result<BundleOf, sqlx::Error> {
    Ok(BundleOf {
        account: AccountId(row.try_get::<i64, _>(account)?.cast_unsigned()),
        bundle: BundleId(row.try_get::<i64, _>(bundle)?.cast_unsigned()),
    })
}

/// All bundles of which a node holds something.
pub(super) async fn standing(
    connection: &mut Connection,
    node: NodeNumber,
) -> Result<Vec<SecondsAnswer>, sqlx::Error> {
    let sql = "SELECT b.account_id, b.id, b.granted_s - b.used_s, l.granted_s, l.claimed_s, l.spent_s \
               FROM bundle_lease l JOIN bundle b ON b.id = l.bundle_id \
               WHERE l.node = ? AND l.granted_s <> l.spent_s";
    let rows = sql::query(sql).bind(node).fetch_all(connection).await?;
    let answer = |row: &Row| {
        let left = Seconds(row.try_get(2)?);
        Ok(SecondsAnswer { of: bundle_of(row, 0, 1)?, lease: lease(row, 3)?, left })
    };
    rows.iter().map(answer).collect()
}

/// Bundles of which others did not get what they asked for, as far as this node has some.
pub(super) async fn scarce(
    connection: &mut Connection,
    node: NodeNumber,
) -> Result<Vec<BundleOf>, sqlx::Error> {
    let sql = format!(
        "SELECT b.account_id, b.id FROM bundle_lease l JOIN bundle b ON b.id = l.bundle_id \
         WHERE l.node = ? AND l.granted_s > l.spent_s AND b.short_at > {DATABASE_NOW} - ?"
    );
    let rows = sql::query(&sql).bind(node).bind(SCARCE_US).fetch_all(connection).await?;
    rows.iter().map(|row| bundle_of(row, 0, 1)).collect()
}

/// In the order in which `bundle` reads them.
pub(crate) const COLUMNS: &str = "id, account_id, destination_set_id, precedence, increment_s, \
                                  valid_from, valid_till, granted_s, used_s";

/// A bundle as the tables have it.
pub(crate) fn bundle(row: &Row) -> Result<(AccountId, Bundle), sqlx::Error> {
    let seconds = |column: usize| -> Result<u32, sqlx::Error> {
        let seconds: i64 = row.try_get(column)?;
        u32::try_from(seconds).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    let bundle = Bundle {
        id: BundleId(row.try_get::<i64, _>(0)?.cast_unsigned()),
        destinations: DestinationSetId(seconds(2)?),
        precedence: u16::try_from(row.try_get::<i32, _>(3)?).unwrap_or(0),
        increment: seconds(4)?,
        valid_from: Utc(row.try_get(5)?),
        valid_till: row.try_get::<Option<i64>, _>(6)?.map(Utc),
        granted: seconds(7)?,
        used: seconds(8)?,
        pending: 0,
        lease: None,
    };
    Ok((AccountId(row.try_get::<i64, _>(1)?.cast_unsigned()), bundle))
}

/// The bundles that came into the tables after number `after`, and the newest number read. What this
/// node has taken of before it knows.
pub(super) async fn learned(
    connection: &mut Connection,
    node: NodeNumber,
    after: i64,
) -> Result<(Vec<(AccountId, Bundle)>, i64), sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS}, number, CASE WHEN EXISTS (SELECT 1 FROM bundle_lease l \
         WHERE l.node = ? AND l.bundle_id = bundle.id) THEN 1 ELSE 0 END \
         FROM bundle WHERE number > 0 AND number > ? ORDER BY number LIMIT ?"
    );
    let query = sql::query(&sql).bind(node).bind(after).bind(LEARNED_MAX);
    let (mut bundles, mut newest) = (Vec::new(), after);
    for row in query.fetch_all(connection).await? {
        newest = row.try_get(9)?;
        let (account, bundle) = bundle(&row)?;
        if row.try_get::<i64, _>(10)? == 0 && bundle.used < bundle.granted {
            bundles.push((account, bundle));
        }
    }
    Ok((bundles, newest))
}

/// The number of the newest bundle in the tables.
pub(crate) async fn newest(connection: &mut Connection) -> Result<i64, sqlx::Error> {
    let sql = "SELECT coalesce(max(number), 0) FROM bundle WHERE number > 0";
    sql::query_scalar(sql).fetch_one(connection).await
}

/// All leases of a node of bundles that may still be used, for its start.
pub(crate) async fn load(
    connection: &mut Connection,
    node: NodeNumber,
) -> Result<Vec<(BundleOf, Lease<Seconds>)>, sqlx::Error> {
    let sql = "SELECT b.account_id, b.id, l.granted_s, l.claimed_s, l.spent_s \
               FROM bundle_lease l JOIN bundle b ON b.id = l.bundle_id \
               WHERE l.node = ? AND (b.used_s < b.granted_s OR l.granted_s <> l.spent_s)";
    let rows = sql::query(sql).bind(node).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((bundle_of(row, 0, 1)?, lease(row, 2)?))).collect()
}

/// Locks the bundles of which a node holds something, in the order in which everybody locks them.
async fn lock_all(connection: &mut Connection, node: NodeNumber) -> Result<(), sqlx::Error> {
    let sql = "SELECT id FROM bundle WHERE id IN \
               (SELECT bundle_id FROM bundle_lease WHERE node = ? AND granted_s <> spent_s) \
               ORDER BY id FOR UPDATE";
    sql::query(sql).bind(node).fetch_all(connection).await.map(drop)
}

/// Takes back what a silent node cannot have used. Its own row in `node` is locked.
pub(crate) async fn cut(connection: &mut Connection, node: NodeNumber) -> Result<(), sqlx::Error> {
    lock_all(connection, node).await?;
    let bundles = "UPDATE bundle SET leased_s = bundle.leased_s - (l.granted_s - l.claimed_s) \
                   FROM bundle_lease l WHERE l.node = ? AND l.bundle_id = bundle.id \
                   AND l.granted_s <> l.claimed_s";
    sql::query(bundles).bind(node).execute(&mut *connection).await?;
    let leases = "UPDATE bundle_lease SET granted_s = claimed_s \
                  WHERE node = ? AND granted_s <> claimed_s";
    sql::query(leases).bind(node).execute(connection).await?;
    Ok(())
}

/// Frees all that a node holds, for it does not come back. At most so many seconds were used and are
/// never told.
pub(crate) async fn give_up(
    connection: &mut Connection,
    node: NodeNumber,
) -> Result<i64, sqlx::Error> {
    lock_all(connection, node).await?;
    let (_, untold) = held(connection, node).await?;
    let bundles = "UPDATE bundle SET leased_s = bundle.leased_s - (l.granted_s - l.spent_s) \
                   FROM bundle_lease l WHERE l.node = ? AND l.bundle_id = bundle.id \
                   AND l.granted_s <> l.spent_s";
    sql::query(bundles).bind(node).execute(&mut *connection).await?;
    let leases = "DELETE FROM bundle_lease WHERE node = ?";
    sql::query(leases).bind(node).execute(connection).await?;
    Ok(untold)
}

/// The seconds that a node has leased and not used, and those of them that it may have used.
pub(crate) async fn held(
    connection: &mut Connection,
    node: NodeNumber,
) -> Result<(i64, i64), sqlx::Error> {
    let sql = "SELECT CAST(coalesce(sum(granted_s - spent_s), 0) AS BIGINT), \
               CAST(coalesce(sum(claimed_s - spent_s), 0) AS BIGINT) FROM bundle_lease \
               WHERE node = ? AND granted_s <> spent_s";
    let row = sql::query(sql).bind(node).fetch_one(connection).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
