//! Times of the week at which routes hold.

use std::sync::Arc;

use billing::{Date, Zone};
use switch::routing::{Clock, Span, TimeWindow, WindowId};
use vocabulary::Utc;

use super::{Change, ChangeError, DirectoryStore, Result, check_name, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// More spans than any week needs.
const SPANS_MAX: usize = 100;
/// Holidays of a century.
const HOLIDAYS_MAX: usize = 2_000;

/// A time window as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWindow {
    /// Which; 0 before it is stored.
    pub id: WindowId,
    /// Unique.
    pub name: String,
    /// By whose clock, as in the IANA database.
    pub zone: String,
    /// When it is open.
    pub spans: Vec<Span>,
    /// Days that are holidays and no weekdays, `2026-12-25`.
    pub holidays: Vec<String>,
}

impl StoredWindow {
    /// As the switch wants it.
    pub(super) fn in_force(&self) -> Result<TimeWindow> {
        let zone = self.zone_rules()?;
        let (first_offset, changes) = zone.offsets();
        let mut holidays = self.days()?;
        holidays.sort_unstable();
        holidays.dedup();
        Ok(TimeWindow {
            id: self.id,
            name: self.name.as_str().into(),
            clock: Clock::new(&self.zone, first_offset, changes.into()),
            holidays: holidays.into(),
            spans: self.spans.as_slice().into(),
        })
    }

    /// Whether it is open at this moment.
    pub fn is_open(&self, at: Utc) -> Result<bool> {
        Ok(self.in_force()?.is_open(at))
    }

    fn zone_rules(&self) -> Result<Arc<Zone>> {
        Zone::named(&self.zone).map_err(|_| {
            let what = format!(
                "{:?} is no time zone; write one of the IANA database, such as Europe/Berlin",
                self.zone
            );
            ChangeError::invalid("zone", what)
        })
    }

    fn days(&self) -> Result<Vec<i32>> {
        let day = |text: &String| match text.parse::<Date>() {
            Ok(date) => Ok(date.day),
            Err(_) => {
                let what = format!("{text:?} is no date; write it as 2026-12-25");
                Err(ChangeError::invalid("holidays", what))
            }
        };
        self.holidays.iter().map(day).collect()
    }

    fn check(&self) -> Result<()> {
        check_name("name", &self.name)?;
        if self.spans.is_empty() || self.spans.len() > SPANS_MAX {
            let what = format!("write 1 to {SPANS_MAX} spans, such as mon-fri 08:00-18:00");
            return Err(ChangeError::invalid("spans", what));
        }
        if self.holidays.len() > HOLIDAYS_MAX {
            let what = format!("write at most {HOLIDAYS_MAX} days");
            return Err(ChangeError::invalid("holidays", what));
        }
        self.in_force().map(drop)
    }
}

fn lines(row: &Row, column: &'static str) -> Result<Vec<String>> {
    let text: String = row.try_get(column)?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn window(row: &Row) -> Result<StoredWindow> {
    let span = |text: &String| {
        let corrupt = |_| ChangeError::Corrupt { column: "spans", value: text.clone() };
        text.parse::<Span>().map_err(corrupt)
    };
    Ok(StoredWindow {
        id: WindowId(unsigned(row.try_get("id")?)),
        name: row.try_get("name")?,
        zone: row.try_get("zone")?,
        spans: lines(row, "spans")?.iter().map(span).collect::<Result<_>>()?,
        holidays: lines(row, "holidays")?,
    })
}

/// All of them, by name.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<Vec<StoredWindow>> {
    let rows = sql::query("SELECT * FROM time_window ORDER BY name").fetch_all(executor).await?;
    rows.iter().map(window).collect()
}

impl DirectoryStore {
    /// All time windows, by name.
    pub async fn time_windows(&self) -> Result<Vec<StoredWindow>> {
        all(&self.pool).await
    }
}

impl Change {
    /// The time window with this name.
    pub async fn time_window(&mut self, name: &str) -> Result<StoredWindow> {
        let row = sql::query("SELECT * FROM time_window WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut *self.tx)
            .await?;
        window(&row.ok_or_else(|| ChangeError::not_found("time window", name))?)
    }

    /// Adds a time window, or gives the one with this name other times; gives it its id.
    pub async fn set_time_window(&mut self, mut wanted: StoredWindow) -> Result<StoredWindow> {
        wanted.check()?;
        self.touched.routing();
        wanted.id = match self.time_window(&wanted.name).await {
            Ok(before) => before.id,
            Err(ChangeError::NotFound { .. }) => WindowId(self.next_id("time_window").await?),
            Err(error) => return Err(error),
        };
        let spans: Vec<String> = wanted.spans.iter().map(ToString::to_string).collect();
        sql::query(
            "INSERT INTO time_window (id, name, zone, spans, holidays) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET zone = excluded.zone, spans = excluded.spans, \
                holidays = excluded.holidays",
        )
        .bind(signed(wanted.id.0))
        .bind(&wanted.name)
        .bind(&wanted.zone)
        .bind(spans.join("\n"))
        .bind(wanted.holidays.join("\n"))
        .execute(&mut *self.tx)
        .await?;
        Ok(wanted)
    }

    /// Removes a time window that no route and no fraud rule holds in.
    pub async fn remove_time_window(&mut self, name: &str) -> Result<()> {
        let id = self.time_window(name).await?.id;
        let used = "SELECT count(*) FROM route WHERE window_id = ?";
        let routes: Option<i64> =
            sql::query_scalar(used).bind(signed(id.0)).fetch_optional(&mut *self.tx).await?;
        if let Some(routes @ 1..) = routes {
            let what = format!(
                "{routes} route(s) hold in time window {name:?}; give them another or none first"
            );
            return Err(ChangeError::InUse(what));
        }
        self.touched.routing();
        let watched = "SELECT count(*) FROM fraud_rule WHERE window_id = ?";
        let query = sql::query_scalar::<i64>(watched).bind(signed(id.0));
        let rules = query.fetch_one(&mut *self.tx).await?;
        if rules > 0 {
            let what = format!("{rules} fraud rule(s) use time window {name:?}; remove them first");
            return Err(ChangeError::InUse(what));
        }
        sql::query("DELETE FROM time_window WHERE id = ?")
            .bind(signed(id.0))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}
