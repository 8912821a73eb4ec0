//! Words for adjustments, credit notes and one-time charges, to be chosen from (J-35).

use crate::sql;

use super::{Change, ChangeError, DirectoryStore, Result, check_name, word, words};

words!(
    /// What a reason is for.
    ReasonKind {
        /// A correction by hand.
        Adjustment = "adjustment",
        /// A credit note.
        CreditNote = "credit_note",
        /// A one-time charge.
        Charge = "charge",
    }
);

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What it is for.
    pub kind: ReasonKind,
    /// Unique among its kind.
    pub code: String,
    /// On statements and invoices.
    pub label: String,
}

impl DirectoryStore {
    /// All reasons.
    pub async fn reasons(&self) -> Result<Vec<Reason>> {
        let rows = sql::query("SELECT kind, code, label FROM reason ORDER BY kind, code")
            .fetch_all(&self.pool)
            .await?;
        let mut reasons = Vec::with_capacity(rows.len());
        for row in &rows {
            let kind = word(row, "kind")?;
            reasons.push(Reason { kind, code: row.try_get("code")?, label: row.try_get("label")? });
        }
        Ok(reasons)
    }
}

impl Change {
    /// One reason, by its code.
    pub async fn reason(&mut self, kind: ReasonKind, code: &str) -> Result<Reason> {
        let row = sql::query("SELECT label FROM reason WHERE kind = ? AND code = ?")
            .bind(kind.as_str())
            .bind(code)
            .fetch_optional(&mut *self.tx)
            .await?;
        let Some(row) = row else {
            let what = format!("there is no {kind} reason {code:?}; list or add reasons first");
            return Err(ChangeError::invalid("reason", what));
        };
        Ok(Reason { kind, code: code.to_owned(), label: row.try_get("label")? })
    }

    /// Adds a reason, or gives one other words.
    pub async fn put_reason(&mut self, reason: &Reason) -> Result<()> {
        check_name("code", &reason.code)?;
        check_name("label", &reason.label)?;
        sql::query(
            "INSERT INTO reason (kind, code, label) VALUES (?, ?, ?)
             ON CONFLICT (kind, code) DO UPDATE SET label = excluded.label",
        )
        .bind(reason.kind.as_str())
        .bind(&reason.code)
        .bind(&reason.label)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
