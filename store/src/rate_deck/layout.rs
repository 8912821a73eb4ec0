//! How each vendor's sheets are laid out, as an operator corrected it (B10).

use sheets::Layout;
use vocabulary::Utc;

use crate::directory::{Change, ChangeError, DirectoryStore, check_name};
use crate::sql::{self, Row};

/// A vendor's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLayout {
    /// Whose: the name of a carrier's account, or any other.
    pub vendor: String,
    /// How his sheets are read.
    pub layout: Layout,
    /// When it was set.
    pub changed_at: Utc,
}

fn stored(row: &Row) -> Result<StoredLayout, ChangeError> {
    let text: String = row.try_get("layout")?;
    let layout = serde_json::from_str(&text)
        .map_err(|_| ChangeError::Corrupt { column: "layout", value: text })?;
    let changed_at = Utc(row.try_get("changed_at")?);
    Ok(StoredLayout { vendor: row.try_get("vendor")?, layout, changed_at })
}

impl DirectoryStore {
    /// All layouts, by vendor.
    pub async fn layouts(&self) -> Result<Vec<StoredLayout>, ChangeError> {
        let rows = sql::query("SELECT vendor, layout, changed_at FROM rate_layout ORDER BY vendor")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(stored).collect()
    }

    /// A vendor's layout.
    pub async fn layout(&self, vendor: &str) -> Result<StoredLayout, ChangeError> {
        let row = sql::query("SELECT vendor, layout, changed_at FROM rate_layout WHERE vendor = ?")
            .bind(vendor)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(stored).unwrap_or_else(|| Err(ChangeError::not_found("layout", vendor)))
    }
}

impl Change {
    /// Sets a vendor's layout.
    pub async fn set_layout(
        &mut self,
        vendor: &str,
        layout: &Layout,
        now: Utc,
    ) -> Result<StoredLayout, ChangeError> {
        check_name("vendor", vendor)?;
        layout.validate().map_err(|what| ChangeError::invalid("layout", what))?;
        let text = serde_json::to_string(layout).expect("plain values are always JSON");
        sql::query(
            "INSERT INTO rate_layout (vendor, layout, changed_at) VALUES (?, ?, ?)
             ON CONFLICT (vendor) DO UPDATE SET layout = excluded.layout,
                changed_at = excluded.changed_at",
        )
        .bind(vendor)
        .bind(text)
        .bind(now.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(StoredLayout { vendor: vendor.to_owned(), layout: layout.clone(), changed_at: now })
    }
}
