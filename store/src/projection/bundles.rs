//! Seconds that accounts were given, and calls have used. With several nodes they are locked behind the
//! balances and in the order of their ids, as leases lock them; and who brings the last second to the
//! tables tells that a bundle is used up.

use std::collections::{BTreeMap, BTreeSet};

use billing::{BundleGrant, LedgerEvent};
use vocabulary::Utc;

use super::collect::{Batch, Used};
use super::rows::posting_key;
use crate::node::{NodeNumber, Writer};
use crate::sql::{self, Builder, Bulk, BulkRow, Connection, Values};

/// In the order in which `BundleRow` binds them.
const BUNDLE_COLUMNS: [&str; 12] = [
    "id",
    "op_id",
    "account_id",
    "destination_set_id",
    "precedence",
    "increment_s",
    "valid_from",
    "valid_till",
    "granted_s",
    "granted_at",
    "note",
    "number",
];

/// A bundle, and its number among those that nodes hear of.
struct BundleRow<'a>(&'a BundleGrant, i64);

impl BulkRow for BundleRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let grant = self.0;
        row.put(grant.bundle.0.cast_signed());
        row.put(posting_key(grant.op));
        row.put(grant.account.0.cast_signed());
        row.put(i64::from(grant.destinations.0));
        row.put(i32::from(grant.precedence));
        row.put(i64::from(grant.increment.max(1)));
        row.put(grant.valid_from.0);
        row.put(grant.valid_till.map(|till| till.0));
        row.put(i64::from(grant.seconds));
        row.put(grant.at.0);
        row.put(grant.note.clone());
        row.put(self.1);
    }
}

/// In the order in which `UseRow` binds them.
const USE_COLUMNS: [&str; 6] =
    ["call_id", "bundle_id", "level", "account_id", "seconds", "ended_at"];

struct UseRow<'a>(&'a Used);

impl BulkRow for UseRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let Used { call, at, used } = self.0;
        row.put(call.0.cast_signed());
        row.put(used.share.bundle.0.cast_signed());
        row.put(i32::from(used.level));
        row.put(used.account.0.cast_signed());
        row.put(i64::from(used.share.seconds));
        row.put(at.0);
    }
}

const LEASE_COLUMNS: [&str; 5] = ["node", "bundle_id", "granted_s", "claimed_s", "spent_s"];
const LEASE: &str = "ON CONFLICT (node, bundle_id) DO UPDATE SET \
    spent_s = bundle_lease.spent_s + excluded.spent_s";

/// What a node has used of a bundle.
struct LeaseRow(NodeNumber, i64, i64);

impl BulkRow for LeaseRow {
    fn bind(&self, row: &mut Values<'_>) {
        row.put(self.0);
        row.put(self.1);
        row.put(0_i64);
        row.put(0_i64);
        row.put(self.2);
    }
}

/// The statements.
pub(super) struct BundleTables {
    bundle: Bulk,
    bundle_use: Bulk,
    lease: Bulk,
}

impl BundleTables {
    pub(super) fn new(insert: impl Fn(&str, &[&str], &str) -> Bulk) -> BundleTables {
        let once = "ON CONFLICT DO NOTHING";
        BundleTables {
            bundle: insert("bundle", &BUNDLE_COLUMNS, once),
            bundle_use: insert("bundle_use", &USE_COLUMNS, once),
            lease: insert("bundle_lease", &LEASE_COLUMNS, LEASE),
        }
    }

    /// Writes what was given and what was used. Returns what is to be told of it, with several nodes.
    pub(super) async fn apply(
        &self,
        connection: &mut Connection,
        batch: &Batch,
        writer: Writer,
    ) -> Result<Vec<(Utc, LedgerEvent)>, sqlx::Error> {
        let made = batch.bundle_uses.iter().filter(|used| used.seconds() > 0);
        let uses: Vec<UseRow<'_>> = made.clone().map(UseRow).collect();
        let done = self.bundle_use.run(connection, &uses).await?;
        super::apply::expect_all("bundle_use", uses.len(), done);
        self.grant(connection, &batch.bundles, writer.is_shared).await?;
        let mut used: BTreeMap<i64, i64> = BTreeMap::new();
        for made in made {
            *used.entry(made.bundle()).or_default() += made.seconds();
        }
        if !writer.is_shared {
            for (bundle, seconds) in used {
                sql::query("UPDATE bundle SET used_s = used_s + ? WHERE id = ?")
                    .bind(seconds)
                    .bind(bundle)
                    .execute(&mut *connection)
                    .await?;
            }
            return Ok(Vec::new());
        }
        if used.is_empty() {
            return Ok(Vec::new());
        }
        // Those too that a call could have used: no other node uses one up meanwhile.
        let listed: BTreeSet<i64> = batch.bundle_uses.iter().map(Used::bundle).collect();
        lock(connection, &listed).await?;
        for (bundle, seconds) in &used {
            let sql =
                "UPDATE bundle SET used_s = used_s + ?1, leased_s = leased_s - ?1 WHERE id = ?2";
            sql::query(sql).bind(*seconds).bind(*bundle).execute(&mut *connection).await?;
        }
        let spent = used.iter().map(|(bundle, seconds)| LeaseRow(writer.node, *bundle, *seconds));
        let spent: Vec<LeaseRow> = spent.collect();
        self.lease.run(connection, &spent).await?;
        let used_up = used_up(connection, &listed).await?;
        Ok(exhausted(&batch.bundle_uses, &used_up))
    }

    /// With several nodes each gets a number by which the others hear of it, and has leased what calls
    /// of a Tandem alone may have used before it got here.
    async fn grant(
        &self,
        connection: &mut Connection,
        grants: &[BundleGrant],
        is_shared: bool,
    ) -> Result<(), sqlx::Error> {
        if grants.is_empty() {
            return Ok(());
        }
        let (count, mut first) = (grants.len() as i64, 0);
        if is_shared {
            // Nobody else gets a number before this is committed: the order is that of the commits.
            let sql = "UPDATE next_id SET next = next + ?1 WHERE of = 'bundle' RETURNING next - ?1";
            first = sql::query_scalar(sql).bind(count).fetch_one(&mut *connection).await?;
        }
        let numbers = (first..).map(|number| if is_shared { number } else { 0 });
        let rows: Vec<BundleRow<'_>> =
            grants.iter().zip(numbers).map(|(grant, number)| BundleRow(grant, number)).collect();
        let done = self.bundle.run(connection, &rows).await?;
        super::apply::expect_all("bundle", rows.len(), done);
        if is_shared {
            let mut query = Builder::new(
                "UPDATE bundle SET leased_s = (SELECT CAST(coalesce(sum(l.granted_s - l.spent_s), 0) \
                 AS BIGINT) FROM bundle_lease l WHERE l.bundle_id = bundle.id) WHERE number >= ",
            );
            query.push_bind(first).push(" AND number > 0 AND id IN (");
            query.push_list(grants.iter().map(|grant| grant.bundle.0.cast_signed())).push(")");
            query.build().execute(connection).await?;
        }
        Ok(())
    }
}

impl Used {
    fn bundle(&self) -> i64 {
        self.used.share.bundle.0.cast_signed()
    }

    fn seconds(&self) -> i64 {
        i64::from(self.used.share.seconds)
    }
}

async fn lock(connection: &mut Connection, bundles: &BTreeSet<i64>) -> Result<(), sqlx::Error> {
    let mut query = Builder::new("SELECT id FROM bundle WHERE id IN (");
    query.push_list(bundles.iter().copied()).push(") ORDER BY id FOR UPDATE");
    query.build().fetch_all(connection).await.map(drop)
}

/// Those of which no second is left.
async fn used_up(
    connection: &mut Connection,
    bundles: &BTreeSet<i64>,
) -> Result<BTreeSet<i64>, sqlx::Error> {
    let mut query = Builder::new("SELECT id FROM bundle WHERE used_s >= granted_s AND id IN (");
    query.push_list(bundles.iter().copied()).push(")");
    let mut used_up = BTreeSet::new();
    for row in query.build().fetch_all(connection).await? {
        used_up.insert(row.try_get(0)?);
    }
    Ok(used_up)
}

/// The payers of calls that used a bundle, and have no second left of all that they could have used. A
/// bundle is used by nobody any more once it is used up, so this is so at one commit only.
fn exhausted(uses: &[Used], used_up: &BTreeSet<i64>) -> Vec<(Utc, LedgerEvent)> {
    let of_payer = |a: &Used, b: &Used| a.call == b.call && a.used.level == b.used.level;
    let mut events = Vec::new();
    for uses in uses.chunk_by(of_payer) {
        let last = uses.iter().rfind(|used| used.seconds() > 0);
        if let Some(last) = last
            && uses.iter().all(|used| used_up.contains(&used.bundle()))
        {
            let (account, bundle) = (last.used.account, last.used.share.bundle);
            events.push((last.at, LedgerEvent::BundleExhausted { account, bundle }));
        }
    }
    events
}
