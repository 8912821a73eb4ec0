//! Rate sheets: read from CSV, kept in packed chunks, loaded into a rate book. A sheet is taken
//! whole or not at all, and what it would change is counted before.

mod chunk;
mod csv_sheet;
mod load;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use billing::{RateGroup, RateRow};
use sha2::{Digest as _, Sha256};
use vocabulary::{Number, Utc};

use crate::directory::{Change, ChangeError, DirectoryStore, RateGroup as GroupRow};
use crate::directory::{signed, unsigned};
use crate::sql::{self, Row};

pub use csv_sheet::{COLUMNS, SheetFault, SheetFaults, read_sheet};

/// One row of a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetRow {
    /// The rate. Its sheet version is set when the sheet is stored.
    pub rate: RateRow,
    /// What the sheet calls the destination; empty if it does not.
    pub destination: String,
}

/// A sheet that was read without a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// The file's name.
    pub file: String,
    /// Of the file's bytes.
    pub sha256: [u8; 32],
    /// In the order of the file.
    pub rows: Vec<SheetRow>,
}

/// What a sheet changes in its group. The counts add up to the rows of the sheet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SheetCounts {
    /// Prefixes that had no rate in force at the row's start.
    pub added: u64,
    /// Dearer a minute than before.
    pub increased: u64,
    /// Cheaper a minute than before.
    pub decreased: u64,
    /// Same price, other terms.
    pub changed: u64,
    /// As before.
    pub unchanged: u64,
}

/// A sheet that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSheet {
    /// Its id, and its version in the rates.
    pub id: u64,
    /// Its group's name.
    pub group: String,
    /// The file's name.
    pub file: String,
    /// When.
    pub imported_at: Utc,
    /// How many rows.
    pub row_count: u64,
    /// What it changed.
    pub counts: SheetCounts,
}

impl Sheet {
    /// What this sheet would change.
    pub fn counts(&self, group: Option<&RateGroup>) -> SheetCounts {
        let mut counts = SheetCounts::default();
        for row in &self.rows {
            let at = row.rate.valid_from.unwrap_or_default();
            let before = group.and_then(|group| in_force(group, &row.rate.prefix, at));
            let count = match before {
                None => &mut counts.added,
                Some(before) if before.price < row.rate.rate.price => &mut counts.increased,
                Some(before) if before.price > row.rate.rate.price => &mut counts.decreased,
                Some(before) if before != row.rate.rate => &mut counts.changed,
                Some(_) => &mut counts.unchanged,
            };
            *count += 1;
        }
        counts
    }
}

/// The rate of exactly this prefix, not of a shorter one.
fn in_force(group: &RateGroup, prefix: &str, at: Utc) -> Option<billing::Rate> {
    let number: Number = prefix.parse().ok()?;
    let found = group.lookup(&number, at)?;
    (usize::from(found.prefix_length) == prefix.len()).then_some(*found.rate)
}

/// SHA-256 of a file, to recognise it.
pub fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Change {
    /// Stores a sheet and gives it its version.
    pub async fn add_sheet(
        &mut self,
        group: &GroupRow,
        sheet: &Sheet,
        counts: SheetCounts,
        now: Utc,
    ) -> Result<StoredSheet, ChangeError> {
        let id = self.next_id("rate_sheet").await?;
        let row_count = sheet.rows.len() as u64;
        sql::query(
            "INSERT INTO rate_sheet (id, rate_group_id, file, sha256, imported_at, row_count,
                added, increased, decreased, changed, unchanged)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(id))
        .bind(signed(group.id))
        .bind(&sheet.file)
        .bind(&sheet.sha256[..])
        .bind(now.0)
        .bind(signed(row_count))
        .bind(signed(counts.added))
        .bind(signed(counts.increased))
        .bind(signed(counts.decreased))
        .bind(signed(counts.changed))
        .bind(signed(counts.unchanged))
        .execute(&mut *self.tx)
        .await?;
        for (ordinal, rows) in (0_i64..).zip(sheet.rows.chunks(chunk::ROWS_MAX)) {
            sql::query("INSERT INTO rate_chunk (rate_sheet_id, ordinal, rates) VALUES (?, ?, ?)")
                .bind(signed(id))
                .bind(ordinal)
                .bind(chunk::encode(rows))
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(StoredSheet {
            id,
            group: group.name.clone(),
            file: sheet.file.clone(),
            imported_at: now,
            row_count,
            counts,
        })
    }
}

impl DirectoryStore {
    /// All sheets ever imported, the newest first.
    pub async fn sheets(&self) -> Result<Vec<StoredSheet>, ChangeError> {
        let rows = sql::query(
            "SELECT rate_sheet.*, rate_group.name AS rate_group FROM rate_sheet
             JOIN rate_group ON rate_group.id = rate_sheet.rate_group_id
             ORDER BY rate_sheet.id DESC",
        )
        .fetch_all(&self.pool)
        .await?;
        let sheet = |row: &Row| -> Result<StoredSheet, ChangeError> {
            let count = |column| Ok::<_, sqlx::Error>(unsigned(row.try_get(column)?));
            Ok(StoredSheet {
                id: count("id")?,
                group: row.try_get("rate_group")?,
                file: row.try_get("file")?,
                imported_at: Utc(row.try_get("imported_at")?),
                row_count: count("row_count")?,
                counts: SheetCounts {
                    added: count("added")?,
                    increased: count("increased")?,
                    decreased: count("decreased")?,
                    changed: count("changed")?,
                    unchanged: count("unchanged")?,
                },
            })
        };
        rows.iter().map(sheet).collect()
    }

    /// The rows of a group that begin with `prefix`, over all its sheets, at most `limit`.
    pub async fn rates(
        &self,
        group: &GroupRow,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<SheetRow>, ChangeError> {
        // Only the first `limit` are held, of however many millions there are.
        let mut found = BTreeMap::new();
        for (sheet, bytes) in load::chunks(&self.pool, group.id).await? {
            chunk::each(&bytes, sheet, |row| {
                if !row.rate.prefix.starts_with(prefix) {
                    return Ok(());
                }
                let newest_first = Reverse((row.rate.valid_from, row.rate.sheet_version));
                if found.len() >= limit {
                    let last = found.last_key_value().map(|((prefix, newest), _)| (prefix, newest));
                    if last.is_none_or(|last| last <= (&row.rate.prefix, &newest_first)) {
                        return Ok(());
                    }
                    found.pop_last();
                }
                found.insert((row.rate.prefix.clone(), newest_first), row.clone());
                Ok(())
            })?;
        }
        Ok(found.into_values().collect())
    }
}
