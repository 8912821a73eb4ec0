//! With several nodes: what a command of one has changed, so that the others read it again.

use std::collections::BTreeSet;

use super::touched::Touched;
use super::{Change, ChangeError, DirectoryStore, Result, signed};
use crate::sql;

/// Older ones are forgotten; who has not read them by then reads everything.
const KEPT: i64 = 10_000;

impl Change {
    /// Tells the other nodes what this command has changed. Returns the number of the change.
    pub async fn tell_nodes(&mut self) -> Result<i64> {
        let number = signed(self.next_id("directory_change").await?);
        let sql = "INSERT INTO directory_change (number, touched) VALUES (?, ?)";
        let insert = sql::query(sql).bind(number).bind(self.touched.written());
        insert.execute(&mut *self.tx).await?;
        let sql = "DELETE FROM directory_change WHERE number <= ?";
        sql::query(sql).bind(number - KEPT).execute(&mut *self.tx).await?;
        Ok(number)
    }

    /// Notes what commands of other nodes have changed after `seen`, for [`Change::reload`]. Returns
    /// the number of the last change, and whether there is anything to read again.
    pub async fn note_others(&mut self, seen: i64, own: &BTreeSet<i64>) -> Result<(i64, bool)> {
        let sql = "SELECT number, touched FROM directory_change WHERE number > ? ORDER BY number";
        let rows = sql::query(sql).bind(seen).fetch_all(&mut *self.tx).await?;
        let (mut last, mut has_others) = (seen, false);
        let mut touched = Touched::default();
        let mut is_everything = false;
        for row in rows {
            let number: i64 = row.try_get(0)?;
            is_everything |= number != last + 1;
            last = number;
            if own.contains(&number) {
                continue;
            }
            has_others = true;
            match row.try_get::<Option<String>, _>(1)? {
                None => is_everything = true,
                Some(text) => {
                    let corrupt =
                        || ChangeError::Corrupt { column: "touched", value: text.clone() };
                    touched.read(&text).ok_or_else(corrupt)?;
                }
            }
        }
        self.touched = if is_everything { Touched::default() } else { touched };
        Ok((last, has_others || is_everything))
    }

    /// What comes from here on is the command's own.
    pub fn begin_own(&mut self) {
        self.touched = Touched::default();
    }
}

impl DirectoryStore {
    /// The number of the last change; 0 before the first.
    pub async fn last_change(&self) -> Result<i64> {
        let sql = "SELECT next - 1 FROM next_id WHERE of = 'directory_change'";
        Ok(sql::query_scalar(sql).fetch_one(&self.pool).await?)
    }
}
