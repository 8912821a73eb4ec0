//! Files of accounts that were imported, and what became of each of their rows (V-23).

use serde_json::Value;
use vocabulary::Utc;

use super::{Change, ChangeError, DirectoryStore, Result, signed, unsigned};
use crate::sql::{self, Row};

/// So many imports are kept; an older one goes with its verdicts.
const KEPT_MAX: u64 = 100;

/// One import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountImport {
    /// Which; 0 before it is kept.
    pub id: u64,
    /// The file's name.
    pub file: String,
    /// When.
    pub imported_at: Utc,
    /// Rows that opened an account.
    pub accepted: u64,
    /// Rows whose account was so already.
    pub unchanged: u64,
    /// Rows that changed an account.
    pub changed: u64,
    /// Rows that were left out.
    pub rejected: u64,
}

/// Verdicts that follow each other in the file, as a JSON array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictRows {
    /// How many.
    pub count: u32,
    /// The array.
    pub json: String,
}

/// A page of verdicts.
#[derive(Clone, Debug, PartialEq)]
pub struct VerdictPage {
    /// Each as it was kept.
    pub items: Vec<Value>,
    /// The row of the file behind the last one; `None` if there is nothing behind it.
    pub next: Option<u64>,
}

impl Change {
    /// Keeps what became of a file's rows, and gives the import its id.
    pub async fn keep_import(
        &mut self,
        mut import: AccountImport,
        verdicts: impl IntoIterator<Item = VerdictRows, IntoIter: Send>,
    ) -> Result<AccountImport> {
        let verdicts = verdicts.into_iter();
        import.id = self.next_id("account_import").await?;
        sql::query(
            "INSERT INTO account_import
                 (id, file, imported_at, accepted, unchanged, changed, rejected)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(import.id))
        .bind(&import.file)
        .bind(import.imported_at.0)
        .bind(signed(import.accepted))
        .bind(signed(import.unchanged))
        .bind(signed(import.changed))
        .bind(signed(import.rejected))
        .execute(&mut *self.tx)
        .await?;
        let mut ordinal = 0_i64;
        for VerdictRows { count, json } in verdicts {
            sql::query(
                "INSERT INTO account_import_verdict
                     (account_import_id, ordinal, row_count, rows_json)
                 VALUES (?, ?, ?, ?)",
            )
            .bind(signed(import.id))
            .bind(ordinal)
            .bind(count)
            .bind(json)
            .execute(&mut *self.tx)
            .await?;
            ordinal += i64::from(count);
        }
        let oldest = signed(import.id.saturating_sub(KEPT_MAX - 1));
        for sql in [
            "DELETE FROM account_import_verdict WHERE account_import_id < ?",
            "DELETE FROM account_import WHERE id < ?",
        ] {
            sql::query(sql).bind(oldest).execute(&mut *self.tx).await?;
        }
        Ok(import)
    }
}

impl DirectoryStore {
    /// The imports that are kept, the newest first.
    pub async fn account_imports(&self) -> Result<Vec<AccountImport>> {
        let sql = "SELECT * FROM account_import ORDER BY id DESC";
        sql::query(sql).fetch_all(&self.pool).await?.iter().map(import).collect()
    }

    /// Verdicts of an import in the order of the file, from the row `after` (counted from 0) on, at
    /// most `limit` of those that are `wanted`.
    pub async fn import_verdicts(
        &self,
        import: u64,
        after: u64,
        limit: usize,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<VerdictPage> {
        let known = sql::query("SELECT 1 FROM account_import WHERE id = ?").bind(signed(import));
        if known.fetch_optional(&self.pool).await?.is_none() {
            return Err(ChangeError::not_found("account import", &import.to_string()));
        }
        let (mut items, mut from) = (Vec::new(), after);
        // Piece by piece: of a million rows one may be wanted, or all.
        loop {
            let kept = sql::query(
                "SELECT ordinal, row_count, rows_json FROM account_import_verdict
                 WHERE account_import_id = ? AND ordinal + row_count > ? ORDER BY ordinal LIMIT 1",
            );
            let kept = kept.bind(signed(import)).bind(signed(from));
            let Some(row) = kept.fetch_optional(&self.pool).await? else { break };
            let (first, count) = (unsigned(row.try_get(0)?), unsigned(row.try_get(1)?));
            let text: String = row.try_get(2)?;
            let all: Vec<Value> = serde_json::from_str(&text)
                .map_err(|_| ChangeError::Corrupt { column: "rows_json", value: text })?;
            for (at, verdict) in (first..).zip(all).filter(|(at, _)| *at >= from) {
                if !wanted(&verdict) {
                    continue;
                }
                if items.len() == limit {
                    return Ok(VerdictPage { items, next: Some(at) });
                }
                items.push(verdict);
            }
            from = first + count;
        }
        Ok(VerdictPage { items, next: None })
    }
}

fn import(row: &Row) -> Result<AccountImport> {
    let count = |column| row.try_get::<i64, _>(column).map(unsigned);
    Ok(AccountImport {
        id: count("id")?,
        file: row.try_get("file")?,
        imported_at: Utc(row.try_get("imported_at")?),
        accepted: count("accepted")?,
        unchanged: count("unchanged")?,
        changed: count("changed")?,
        rejected: count("rejected")?,
    })
}
