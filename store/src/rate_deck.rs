//! Rate sheets: kept in packed chunks that never change, loaded into a rate book. What ends, what a
//! full sheet leaves out and what was rolled back follows from the sheets each time they are loaded
//! (`sheets::resolve`).

mod chunk;
mod layout;
mod listing;
mod load;

use std::collections::BTreeMap;

use billing::RateRow;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sheets::{Deck, DeckBuilder, Movements, OPEN, SheetTerms, Tally, moment, second};
use vocabulary::Utc;

use crate::directory::{Change, ChangeError, DirectoryStore, RateGroup as GroupRow};
use crate::directory::{signed, unsigned};
use crate::sql::{self, Row};

pub use layout::StoredLayout;
pub use listing::RateListing;

/// One rate as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetRow {
    /// The rate.
    pub rate: RateRow,
    /// What the sheet calls the destination; empty if it does not.
    pub destination: String,
}

/// A sheet to be stored.
#[derive(Clone, Debug)]
pub struct NewSheet<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Of the file's bytes.
    pub sha256: [u8; 32],
    /// Whose layout it was read with; empty for none.
    pub vendor: &'a str,
    /// Its rates, the withdrawals of a full sheet included.
    pub deck: &'a Deck,
    /// It is a whole offer.
    pub is_full: bool,
    /// When rows without a date begin, and what a full sheet leaves out ends.
    pub begins_at: Utc,
    /// What became of its rows.
    pub tally: Tally,
    /// What it changes.
    pub movements: Movements,
}

/// Some of the rows that were left out of a sheet, in their order: kept, since the file is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRows {
    /// How many, above 0.
    pub count: u32,
    /// A JSON array of them.
    pub json: String,
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
    /// Whose layout it was read with.
    pub vendor: String,
    /// When.
    pub imported_at: Utc,
    /// When its rows without a date began.
    pub begins_at: Utc,
    /// Whether it is a whole offer.
    pub is_full: bool,
    /// The sheet that it rolls back; it then has no rows.
    pub rolls_back: Option<u64>,
    /// How many rates it holds.
    pub row_count: u64,
    /// What became of its rows; only the sums that are kept.
    pub tally: Tally,
    /// What it changed.
    pub movements: Movements,
}

/// SHA-256 of a file, to recognise it.
pub fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Change {
    /// Stores a sheet, with all rows that were left out of it, and gives it its version.
    pub async fn add_sheet(
        &mut self,
        group: &GroupRow,
        sheet: &NewSheet<'_>,
        rejected: impl IntoIterator<Item = RejectedRows, IntoIter: Send>,
        now: Utc,
    ) -> Result<StoredSheet, ChangeError> {
        let rejected = rejected.into_iter();
        let id = self.next_id("rate_sheet").await?;
        let stored = StoredSheet {
            id,
            group: group.name.clone(),
            file: sheet.file.to_owned(),
            vendor: sheet.vendor.to_owned(),
            imported_at: now,
            begins_at: sheet.begins_at,
            is_full: sheet.is_full,
            rolls_back: None,
            row_count: sheet.deck.rows.len() as u64,
            tally: sheet.tally,
            movements: sheet.movements,
        };
        self.insert_sheet(group.id, &stored, &sheet.sha256).await?;
        for (ordinal, rows) in (0_i64..).zip(sheet.deck.rows.chunks(chunk::ROWS_MAX)) {
            sql::query("INSERT INTO rate_chunk (rate_sheet_id, ordinal, rates) VALUES (?, ?, ?)")
                .bind(signed(id))
                .bind(ordinal)
                .bind(chunk::encode(sheet.deck, rows))
                .execute(&mut *self.tx)
                .await?;
        }
        self.keep_rejected(id, rejected).await?;
        Ok(stored)
    }

    async fn keep_rejected(
        &mut self,
        sheet: u64,
        rejected: impl Iterator<Item = RejectedRows> + Send,
    ) -> Result<(), ChangeError> {
        let mut ordinal = 0_i64;
        for RejectedRows { count, json } in rejected {
            sql::query(
                "INSERT INTO rate_sheet_rejected (rate_sheet_id, ordinal, row_count, rows_json)
                 VALUES (?, ?, ?, ?)",
            )
            .bind(signed(sheet))
            .bind(ordinal)
            .bind(count)
            .bind(json)
            .execute(&mut *self.tx)
            .await?;
            ordinal += i64::from(count);
        }
        Ok(())
    }

    async fn insert_sheet(
        &mut self,
        group: u64,
        sheet: &StoredSheet,
        sha256: &[u8],
    ) -> Result<(), ChangeError> {
        self.touched.group(group);
        let (tally, movements) = (&sheet.tally, &sheet.movements);
        sql::query(
            "INSERT INTO rate_sheet (id, rate_group_id, file, sha256, vendor, imported_at, begins_at,
                is_full, rolls_back, row_count, rows_in, accepted, repaired, merged, rejected,
                added, removed, increased, decreased, changed, blocked, unchanged)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(sheet.id))
        .bind(signed(group))
        .bind(&sheet.file)
        .bind(sha256)
        .bind(&sheet.vendor)
        .bind(sheet.imported_at.0)
        .bind(sheet.begins_at.0)
        .bind(i32::from(sheet.is_full))
        .bind(sheet.rolls_back.map(signed))
        .bind(signed(sheet.row_count))
        .bind(signed(tally.rows_in))
        .bind(signed(tally.accepted))
        .bind(signed(tally.changed))
        .bind(signed(tally.merged))
        .bind(signed(tally.rejected))
        .bind(signed(movements.added))
        .bind(signed(movements.removed))
        .bind(signed(movements.increased))
        .bind(signed(movements.decreased))
        .bind(signed(movements.changed))
        .bind(signed(movements.blocked))
        .bind(signed(movements.unchanged))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Rolls a sheet back from `at` on: a new version without rows says so, and nothing is deleted.
    /// What was priced by the sheet before stays as it was.
    pub async fn roll_back(
        &mut self,
        version: u64,
        at: Utc,
        now: Utc,
    ) -> Result<(StoredSheet, u64), ChangeError> {
        let row = sql::query(
            "SELECT rate_sheet.rate_group_id, rate_sheet.rolls_back, rate_sheet.file, rate_group.name
             FROM rate_sheet JOIN rate_group ON rate_group.id = rate_sheet.rate_group_id
             WHERE rate_sheet.id = ?",
        )
        .bind(signed(version))
        .fetch_optional(&mut *self.tx)
        .await?;
        let row = row.ok_or_else(|| ChangeError::not_found("rate sheet", &version.to_string()))?;
        let group = unsigned(row.try_get(0)?);
        if row.try_get::<Option<i64>, _>(1)?.is_some() {
            let what =
                format!("rate sheet {version} is itself a rolling back; import it anew instead");
            return Err(ChangeError::InUse(what));
        }
        let before = sql::query("SELECT id FROM rate_sheet WHERE rolls_back = ?")
            .bind(signed(version))
            .fetch_optional(&mut *self.tx)
            .await?;
        if before.is_some() {
            let what = format!("rate sheet {version} was rolled back before");
            return Err(ChangeError::InUse(what));
        }
        let sheet = StoredSheet {
            id: self.next_id("rate_sheet").await?,
            group: row.try_get(3)?,
            file: row.try_get(2)?,
            vendor: String::new(),
            imported_at: now,
            begins_at: at,
            is_full: false,
            rolls_back: Some(version),
            row_count: 0,
            tally: Tally::default(),
            movements: Movements::default(),
        };
        self.insert_sheet(group, &sheet, &[0; 32]).await?;
        Ok((sheet, group))
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
        rows.iter().map(stored_sheet).collect()
    }

    /// The rows of a sheet that were left out of it, in their order, behind the first `after` of them,
    /// at most `limit`.
    pub async fn rejected_rows(
        &self,
        version: u64,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Value>, ChangeError> {
        let row = sql::query("SELECT rejected_rows FROM rate_sheet WHERE id = ?")
            .bind(signed(version))
            .fetch_optional(&self.pool)
            .await?;
        let row = row.ok_or_else(|| ChangeError::not_found("rate sheet", &version.to_string()))?;
        let end = after.saturating_add(limit.into());
        let kept = sql::query(
            "SELECT ordinal, rows_json FROM rate_sheet_rejected
             WHERE rate_sheet_id = ? AND ordinal + row_count > ? AND ordinal < ? ORDER BY ordinal",
        )
        .bind(signed(version))
        .bind(signed(after))
        .bind(signed(end))
        .fetch_all(&self.pool)
        .await?;
        let kept = kept.iter().map(|row| Ok((unsigned(row.try_get(0)?), row.try_get(1)?)));
        let mut kept: Vec<(u64, String)> = kept.collect::<Result<_, ChangeError>>()?;
        if kept.is_empty() {
            // Of a sheet that was stored before rows were kept apart.
            kept.push((0, row.try_get(0)?));
        }
        let mut rows = Vec::new();
        for (first, text) in kept {
            let all: Vec<Value> = serde_json::from_str(&text)
                .map_err(|_| ChangeError::Corrupt { column: "rows_json", value: text })?;
            let chosen = (first..).zip(all).filter(|(at, _)| (after..end).contains(at));
            rows.extend(chosen.map(|(_, row)| row));
        }
        Ok(rows)
    }

    /// All rates of a group over all its sheets, with their ends worked out, and with what the
    /// group's defaults say where they do not; sorted by prefix.
    pub async fn book(&self, group: &GroupRow) -> Result<Deck, ChangeError> {
        let chunks = load::chunks(&self.pool, group.id).await?;
        let sheets = load::sheet_terms(&self.pool, group.id).await?;
        let defaults = group.shown_defaults()?;
        let built = tokio::task::spawn_blocking(move || {
            let mut deck = resolved(&chunks, &sheets)?;
            deck.fill(&defaults);
            Ok(deck)
        });
        built.await.expect("resolving rates does not panic")
    }

    /// The group as it would be loaded if this sheet were imported into it: for a dry run (B6).
    /// Nothing is stored.
    pub async fn drafted_group(
        &self,
        group: &GroupRow,
        sheet: Deck,
        is_full: bool,
    ) -> Result<billing::RateGroup, ChangeError> {
        let chunks = load::chunks(&self.pool, group.id).await?;
        let sheets = load::sheet_terms(&self.pool, group.id).await?;
        let row = group.clone();
        let built = tokio::task::spawn_blocking(move || {
            load::with_draft(&row, chunks, sheets, &sheet, is_full)
        });
        built.await.expect("building a rate group does not panic")
    }

    /// The rates of a group that begin with `prefix`, over all its sheets, at most `limit`.
    pub async fn rates(
        &self,
        group: &GroupRow,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<SheetRow>, ChangeError> {
        let what = |what| ChangeError::invalid("prefix", what);
        let prefix: sheets::Prefix = prefix.parse().map_err(what)?;
        let book = self.book(group).await?;
        let first = book.rows.partition_point(|row| row.prefix < prefix);
        let rows = book.rows[first..].iter().take_while(|row| row.prefix.starts_with(prefix));
        let row = |row: &sheets::DeckRow| {
            let terms = book.terms.get(row.terms as usize)?;
            let rate = RateRow {
                prefix: row.prefix.to_string(),
                rate: terms.rate,
                special: terms.special.clone(),
                valid_from: (row.from > 0).then(|| moment(row.from)),
                valid_till: (row.till != OPEN).then(|| moment(row.till)),
                sheet_version: row.source,
            };
            Some(SheetRow { rate, destination: book.name(row).to_owned() })
        };
        Ok(rows.filter_map(row).take(limit).collect())
    }
}

/// The rows of all chunks, each with its sheet's version, as they stand together.
fn resolved(
    chunks: &[(u32, Vec<u8>)],
    sheets: &BTreeMap<u32, SheetTerms>,
) -> Result<Deck, ChangeError> {
    let mut builder = DeckBuilder::default();
    for (version, bytes) in chunks {
        chunk::decode(bytes, *version, &mut builder)?;
    }
    let mut deck = builder.build();
    sheets::resolve(&mut deck, sheets);
    Ok(deck)
}

fn stored_sheet(row: &Row) -> Result<StoredSheet, ChangeError> {
    let count = |column| Ok::<_, sqlx::Error>(unsigned(row.try_get(column)?));
    Ok(StoredSheet {
        id: count("id")?,
        group: row.try_get("rate_group")?,
        file: row.try_get("file")?,
        vendor: row.try_get("vendor")?,
        imported_at: Utc(row.try_get("imported_at")?),
        begins_at: Utc(row.try_get("begins_at")?),
        is_full: row.try_get::<i32, _>("is_full")? != 0,
        rolls_back: row.try_get::<Option<i64>, _>("rolls_back")?.map(unsigned),
        row_count: count("row_count")?,
        tally: Tally {
            rows_in: count("rows_in")?,
            accepted: count("accepted")?,
            changed: count("repaired")?,
            merged: count("merged")?,
            rejected: count("rejected")?,
            ..Tally::default()
        },
        movements: Movements {
            added: count("added")?,
            removed: count("removed")?,
            increased: count("increased")?,
            decreased: count("decreased")?,
            changed: count("changed")?,
            blocked: count("blocked")?,
            unchanged: count("unchanged")?,
        },
    })
}

/// The second of a moment, for what the sheets hold.
fn at_second(micros: i64) -> u32 {
    second(Utc(micros))
}
