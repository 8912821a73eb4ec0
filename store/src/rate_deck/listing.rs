//! The rates of a group as rows that SQL can read (V-27). They are a copy: calls are priced from the
//! packed chunks.

use sheets::{Deck, DeckRow, OPEN, moment, spans};
use vocabulary::Utc;

use super::{load, resolved};
use crate::directory::{Change, ChangeError, RateGroup as GroupRow, signed};
use crate::sql::{self, Bulk, BulkRow, Values};

/// What a listing has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateListing {
    /// The group's name.
    pub group: String,
    /// When it was written.
    pub listed_at: Utc,
    /// How many rates, those to come and those that are over included.
    pub rows: u64,
}

/// In the order in which `ListedRow` binds them.
const COLUMNS: [&str; 17] = [
    "rate_group_id",
    "prefix",
    "valid_from",
    "valid_till",
    "rate_sheet_id",
    "destination",
    "price",
    "connect_fee",
    "minimum_charge",
    "first_increment_s",
    "next_increment_s",
    "unit_s",
    "grace_s",
    "free_s",
    "minimum_s",
    "is_blocked",
    "has_special_terms",
];

impl Change {
    /// Writes all rates of a group to `listed_rate`, over what was there.
    pub async fn list_rates(
        &mut self,
        group: &GroupRow,
        now: Utc,
    ) -> Result<RateListing, ChangeError> {
        let chunks = load::chunks(&mut *self.tx, group.id).await?;
        let sheets = load::sheet_terms(&mut *self.tx, group.id).await?;
        let defaults = group.shown_defaults()?;
        let built = tokio::task::spawn_blocking(move || {
            let mut deck = resolved(&chunks, &sheets)?;
            deck.fill(&defaults);
            Ok::<_, ChangeError>(deck)
        });
        let deck = built.await.expect("resolving rates does not panic")?;
        let id = signed(group.id);
        for table in ["listed_rate", "rate_listing"] {
            let sql = format!("DELETE FROM {table} WHERE rate_group_id = ?");
            sql::query(sql).bind(id).execute(&mut *self.tx).await?;
        }
        sql::query(
            "INSERT INTO rate_listing (rate_group_id, listed_at, rate_sheet_id, defaults)
             SELECT id, CAST(? AS BIGINT), coalesce((SELECT max(rate_sheet.id) FROM rate_sheet
                    WHERE rate_sheet.rate_group_id = rate_group.id), 0), defaults
             FROM rate_group WHERE id = ?",
        )
        .bind(now.0)
        .bind(id)
        .execute(&mut *self.tx)
        .await?;
        let head = format!("INSERT INTO listed_rate ({})", COLUMNS.join(", "));
        let insert = Bulk::new(&head, COLUMNS.len(), "");
        let prefixes = deck.rows.chunk_by(|a, b| a.prefix == b.prefix);
        let row = |row| ListedRow { group: id, deck: &deck, row };
        let rows = prefixes.flat_map(spans).map(row).filter(ListedRow::is_rate);
        let rows: Vec<ListedRow<'_>> = rows.collect();
        let rows = insert.run(&mut self.tx, &rows).await?;
        Ok(RateListing { group: group.name.clone(), listed_at: now, rows })
    }
}

struct ListedRow<'a> {
    group: i64,
    deck: &'a Deck,
    row: DeckRow,
}

impl ListedRow<'_> {
    /// From a withdrawal on there is none.
    fn is_rate(&self) -> bool {
        self.deck.terms.get(self.row.terms as usize).is_some()
    }
}

impl BulkRow for ListedRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let terms = &self.deck.terms[self.row.terms as usize];
        let rate = &terms.rate;
        row.put(self.group);
        row.put(self.row.prefix.to_string());
        row.put(if self.row.from == 0 { 0 } else { moment(self.row.from).0 });
        row.put((self.row.till != OPEN).then(|| moment(self.row.till).0));
        row.put(i64::from(self.row.source));
        row.put(self.deck.name(&self.row).to_owned());
        for price in [rate.price, rate.connect_fee, rate.minimum_charge] {
            row.put(price.to_string());
        }
        for seconds in [
            rate.first_increment,
            rate.next_increment,
            rate.unit_seconds,
            rate.grace_seconds,
            rate.free_seconds,
            rate.minimum_seconds,
        ] {
            row.put(i64::from(seconds));
        }
        row.put(i64::from(rate.is_blocked));
        row.put(i64::from(terms.special.is_some()));
    }
}
