//! In which states numbers are, and what accounts pay and take by jurisdiction (T7).

use std::collections::BTreeMap;

use switch::jurisdiction::{JurisdictionRow, Jurisdictions, PREFIX_MAX};

use super::{Change, ChangeError, DirectoryStore, Result};
use crate::sql::{self, Bulk, BulkRow, Executor, Row, Values};

/// More prefixes than any numbering plan of states has.
const PREFIXES_MAX: usize = 2_000_000;
const STATE_MAX: usize = 32;

/// The rate groups of an account that count instead of its usual ones, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JurisdictionRates {
    /// What it pays for calls within a state.
    pub intra: Option<String>,
    /// What it pays if it is not known whether a call is within a state.
    pub undetermined: Option<String>,
    /// What it takes for calls within a state.
    pub carrier_intra: Option<String>,
    /// What it takes if that is not known.
    pub carrier_undetermined: Option<String>,
}

impl JurisdictionRates {
    /// As the columns of an account, in their order.
    pub(super) const COLUMNS: [&'static str; 4] = [
        "intra_rate_group",
        "undetermined_rate_group",
        "carrier_intra_rate_group",
        "carrier_undetermined_rate_group",
    ];

    pub(super) fn read(row: &Row) -> Result<JurisdictionRates> {
        let [intra, undetermined, carrier_intra, carrier_undetermined] =
            JurisdictionRates::COLUMNS.map(|column| row.try_get(column));
        Ok(JurisdictionRates {
            intra: intra?,
            undetermined: undetermined?,
            carrier_intra: carrier_intra?,
            carrier_undetermined: carrier_undetermined?,
        })
    }

    /// With the names of their columns.
    pub(super) fn named(&self) -> [(&'static str, Option<&str>); 4] {
        let groups =
            [&self.intra, &self.undetermined, &self.carrier_intra, &self.carrier_undetermined];
        let mut columns = JurisdictionRates::COLUMNS.into_iter();
        groups.map(|group| (columns.next().unwrap_or_default(), group.as_deref()))
    }
}

fn table_row(row: &Row) -> Result<JurisdictionRow> {
    let prefix: String = row.try_get("prefix")?;
    let state: Option<String> = row.try_get("state")?;
    Ok(JurisdictionRow {
        prefix: prefix.into(),
        state: state.map(Box::from),
        lata: row.try_get("lata")?,
    })
}

/// The table, for snapshots.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<Jurisdictions> {
    let sql = "SELECT prefix, state, lata FROM jurisdiction_prefix ORDER BY prefix";
    let rows = sql::query(sql).fetch_all(executor).await?;
    let rows = rows.iter().map(table_row).collect::<Result<Vec<_>>>()?;
    Ok(Jurisdictions::new(rows))
}

fn check(row: &JurisdictionRow) -> Result<()> {
    let wrong = |what: String| Err(ChangeError::invalid("rows", what));
    let JurisdictionRow { prefix, state, lata } = row;
    let is_prefix = (1..=PREFIX_MAX).contains(&prefix.len());
    if !is_prefix || !prefix.bytes().all(|digit| digit.is_ascii_digit()) {
        return wrong(format!("{prefix:?} is no prefix: write 1 to {PREFIX_MAX} digits"));
    }
    if let Some(state) = state {
        let is_name = (1..=STATE_MAX).contains(&state.len());
        if !is_name || !state.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return wrong(format!(
                "prefix {prefix}: {state:?} is no state: write 1 to {STATE_MAX} letters such as NY"
            ));
        }
    }
    if lata.is_some_and(|lata| lata > 99_999) {
        return wrong(format!("prefix {prefix}: a LATA has at most 5 digits"));
    }
    Ok(())
}

struct Line<'a>(&'a JurisdictionRow);

impl BulkRow for Line<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let JurisdictionRow { prefix, state, lata } = self.0;
        row.put(prefix.to_string());
        row.put(state.as_ref().map(ToString::to_string));
        row.put(*lata);
    }
}

impl DirectoryStore {
    /// Lines of the table whose prefix begins so, by prefix, at most so many.
    pub async fn jurisdiction_prefixes(
        &self,
        begins: &str,
        limit: u32,
    ) -> Result<Vec<JurisdictionRow>> {
        let sql = "SELECT prefix, state, lata FROM jurisdiction_prefix \
                   WHERE substr(prefix, 1, length(?1)) = ?1 ORDER BY prefix LIMIT ?2";
        let rows = sql::query(sql).bind(begins).bind(limit).fetch_all(&self.pool).await?;
        rows.iter().map(table_row).collect()
    }
}

impl Change {
    /// Puts these lines in place of the whole table; how many there are.
    pub async fn set_jurisdiction_prefixes(&mut self, rows: Vec<JurisdictionRow>) -> Result<usize> {
        if rows.len() > PREFIXES_MAX {
            let what = format!("write at most {PREFIXES_MAX} prefixes");
            return Err(ChangeError::invalid("rows", what));
        }
        let mut by_prefix = BTreeMap::new();
        for row in rows {
            check(&row)?;
            if let Some(twice) = by_prefix.insert(row.prefix.clone(), row) {
                let what = format!("prefix {} is there twice; leave one out", twice.prefix);
                return Err(ChangeError::invalid("rows", what));
            }
        }
        self.touched.jurisdictions();
        sql::query("DELETE FROM jurisdiction_prefix").execute(&mut *self.tx).await?;
        let rows: Vec<Line<'_>> = by_prefix.values().map(Line).collect();
        let head = "INSERT INTO jurisdiction_prefix (prefix, state, lata)";
        Bulk::new(head, 3, "").run(&mut self.tx, &rows).await?;
        Ok(rows.len())
    }
}
