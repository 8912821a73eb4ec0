//! Calls priced again: what their CDRs say from now on, and what stood before.

use billing::{CdrCharge, Rerated, ReratedSide, Role};

use super::rows::{decisions, terms};
use crate::sql::{Builder, Bulk, BulkRow, Connection, Values};

const HISTORY_COLUMNS: [&str; 14] = [
    "call_id",
    "generation",
    "role",
    "place",
    "account_id",
    "run_id",
    "at",
    "amount_before",
    "amount_after",
    "currency",
    "charge_before",
    "charge_after",
    "error_code",
    "lines",
];

/// The statement that writes what stood before.
pub(super) fn history() -> Bulk {
    let head = format!("INSERT INTO charge_history ({})", HISTORY_COLUMNS.join(", "));
    Bulk::new(&head, HISTORY_COLUMNS.len(), "ON CONFLICT DO NOTHING")
}

/// Writes them, in the order of the journal. Their CDRs are in the table already.
pub(super) async fn write(
    history: &Bulk,
    connection: &mut Connection,
    rerated: &[Rerated],
) -> Result<(), sqlx::Error> {
    for one in rerated {
        for side in &one.sides {
            let leg = match side.role {
                Role::Payer(0) => 0,
                Role::Carrier(leg) => leg,
                Role::Payer(level) => {
                    update_payer(connection, one, level, side).await?;
                    continue;
                }
            };
            update(connection, one, leg, side).await?;
        }
        let mut count = Builder::new("UPDATE cdr SET generation = ");
        count.push_bind(i64::from(one.generation)).push(" WHERE call_id = ");
        count.push_bind(one.call.0.cast_signed()).push(" AND leg = 0");
        count.build().execute(&mut *connection).await?;
    }
    let rows = |one| -> Vec<HistoryRow<'_>> { history_rows(one) };
    let rows: Vec<HistoryRow<'_>> = rerated.iter().flat_map(rows).collect();
    history.run(connection, &rows).await?;
    Ok(())
}

async fn update(
    connection: &mut Connection,
    rerated: &Rerated,
    leg: u8,
    side: &ReratedSide,
) -> Result<(), sqlx::Error> {
    let charge = side.after.as_ref();
    let (applied, rate) =
        (charge.map(|charge| &charge.applied), charge.map(|charge| &charge.applied.rate));
    let seconds = charge.map_or(0, |charge| charge.billed_seconds);
    let mut update = Builder::new("UPDATE cdr SET amount = ");
    update.push_bind(charge.map_or(0, |charge| charge.amount.0));
    update.push(", tax = ").push_bind(charge.map_or(0, super::rows::tax_in));
    update.push(", billed_us = ").push_bind(i64::from(seconds) * 1_000_000);
    update.push(", currency = ").push_bind(applied.map(|a| a.currency.code().to_owned()));
    update.push(", rate_group_id = ").push_bind(applied.map(|a| i64::from(a.group.0)));
    update.push(", rate_sheet_version = ").push_bind(applied.map(|a| i64::from(a.sheet_version)));
    // The prefix is of the number that the rate was looked up by (T7).
    let is_by_lrn = applied.is_some_and(|applied| applied.is_by_lrn);
    let rated = if is_by_lrn { "coalesce(lrn, destination)" } else { "destination" };
    update.push(", rate_prefix = substr(").push(rated).push(", 1, CAST(");
    update.push_bind(applied.map(|a| i64::from(a.prefix_length))).push(" AS INTEGER))");
    update.push(", price = ").push_bind(rate.map(|rate| rate.price.to_string()));
    update.push(", connect_fee = ").push_bind(rate.map(|rate| rate.connect_fee.to_string()));
    update.push(", first_increment_s = ");
    update.push_bind(rate.map(|rate| i64::from(rate.first_increment)));
    update.push(", next_increment_s = ");
    update.push_bind(rate.map(|rate| i64::from(rate.next_increment)));
    update.push(", rate_terms = ").push_bind(applied.and_then(terms));
    update.push(", charge = ").push_bind(charge.map(CdrCharge::encode));
    let bundle = charge.map_or(0, |charge| charge.bundle_seconds);
    update.push(", bundle_us = ").push_bind(super::rows::seconds(bundle));
    // What cannot be priced keeps its name.
    update.push(", destination_name = coalesce(").push_bind(side.destination.clone());
    update.push(", destination_name)");
    let error = side.error.as_ref().filter(|_| charge.is_none());
    update.push(", error_code = ").push_bind(error.map(|code| code.clone().into_owned()));
    update.push(" WHERE call_id = ").push_bind(rerated.call.0.cast_signed());
    update.push(" AND leg = ").push_bind(i64::from(leg));
    if update.build().execute(connection).await?.rows_affected() != 1 {
        tracing::error!(call = %rerated.call, leg, "a leg that was priced again has no CDR");
    }
    Ok(())
}

/// The row of a reseller. One whose call had no price has none yet.
async fn update_payer(
    connection: &mut Connection,
    rerated: &Rerated,
    level: u8,
    side: &ReratedSide,
) -> Result<(), sqlx::Error> {
    let Some(charge) = &side.after else { return Ok(()) };
    let mut update = Builder::new("UPDATE cdr_payer SET amount = ");
    update.push_bind(charge.amount.0);
    update.push(", tax = ").push_bind(super::rows::tax_in(charge));
    update.push(", currency = ").push_bind(charge.applied.currency.code().to_owned());
    update.push(", billed_us = ").push_bind(super::rows::seconds(charge.billed_seconds));
    update.push(", rate_group_id = ").push_bind(i64::from(charge.applied.group.0));
    update.push(", rate_sheet_version = ").push_bind(i64::from(charge.applied.sheet_version));
    update.push(", charge = ").push_bind(charge.encode());
    update.push(", bundle_us = ").push_bind(super::rows::seconds(charge.bundle_seconds));
    update.push(", destination_name = ").push_bind(side.destination.clone());
    update.push(" WHERE call_id = ").push_bind(rerated.call.0.cast_signed());
    update.push(" AND level = ").push_bind(i64::from(level));
    if update.build().execute(connection).await?.rows_affected() != 1 {
        tracing::error!(call = %rerated.call, level, "a payer who was charged anew has no row");
    }
    Ok(())
}

struct HistoryRow<'a> {
    rerated: &'a Rerated,
    side: &'a ReratedSide,
    /// The lines stand with the first side.
    is_first: bool,
}

fn history_rows(rerated: &Rerated) -> Vec<HistoryRow<'_>> {
    let sides = rerated.sides.iter().enumerate();
    sides.map(|(index, side)| HistoryRow { rerated, side, is_first: index == 0 }).collect()
}

impl BulkRow for HistoryRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let (rerated, side) = (self.rerated, self.side);
        let (role, place) = match side.role {
            Role::Payer(level) => ("payer", level),
            Role::Carrier(leg) => ("carrier", leg),
        };
        let amount = |charge: &Option<CdrCharge>| charge.as_ref().map(|charge| charge.amount.0);
        let currency = side.after.as_ref().or(side.before.as_ref());
        row.put(rerated.call.0.cast_signed());
        row.put(i64::from(rerated.generation));
        row.put(role);
        row.put(i64::from(place));
        row.put(side.account.0.cast_signed());
        row.put(rerated.run.cast_signed());
        row.put(rerated.at.0);
        row.put(amount(&side.before));
        row.put(amount(&side.after));
        row.put(currency.map(|charge| charge.applied.currency.code().to_owned()));
        row.put(side.before.as_ref().map(CdrCharge::encode));
        row.put(side.after.as_ref().map(CdrCharge::encode));
        row.put(side.error.as_ref().map(|code| code.clone().into_owned()));
        row.put(decisions(&rerated.lines).filter(|_| self.is_first));
    }
}
