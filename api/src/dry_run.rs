//! Dry run of a price change on own traffic (B6): rates that begin later, or a sheet that is not
//! imported at all, tried on the calls of the last days.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use billing::{Draft, RateBook, RateGroupId};
use serde::Deserialize;
use sheets::Taking;
use store::directory::RateGroup;
use vocabulary::Utc;

use crate::accounts::moment;
use crate::command::{Command, Stop};
use crate::rate_sheets::{check_currency, faulty, layout_of};
use crate::rerate::start_dry_run;
use crate::{Api, Problem, Shared};

const MICROS_A_DAY: i64 = 86_400_000_000;
/// Ten years.
const DAYS_MAX: u16 = 3_660;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// The last so many days' calls.
    #[serde(default = "week")]
    days: u16,
    /// The rates as they are at this moment; rows of a file without a date begin then.
    at: Option<String>,
    /// What the file in the body is called.
    #[serde(default = "unnamed")]
    file: String,
    #[serde(default)]
    vendor: String,
    layout: Option<String>,
    full: Option<bool>,
    /// Try a file although rows are rejected.
    #[serde(default)]
    skip_rejected: bool,
}

fn week() -> u16 {
    7
}

fn unnamed() -> String {
    "sheet.csv".to_owned()
}

/// With a sheet as the body its rates are tried over those of the group, else the group's own.
pub(crate) async fn start(
    State(api): Shared,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    command: Command,
) -> Result<Response, Stop> {
    let now = api.control.now();
    let at = moment("at", asked.at.as_deref(), now)?;
    if asked.days == 0 || asked.days > DAYS_MAX {
        let what = format!("write a number of days from 1 to {DAYS_MAX}");
        return Err(Problem::invalid("days", what).into());
    }
    let group = api.store.rate_group(&name).await?;
    let mut book = api.snapshot().await.rate_book;
    if !command.body.is_empty() {
        book = drafted(&api, &group, &book, &asked, &command, at).await?;
    }
    let from = Utc(now.0.saturating_sub(i64::from(asked.days) * MICROS_A_DAY));
    let draft = Draft { group: group_id(&group)?, at };
    Ok(start_dry_run(&api, (from, now), book, draft))
}

fn group_id(group: &RateGroup) -> Result<RateGroupId, Problem> {
    let id = u32::try_from(group.id);
    id.map(RateGroupId).map_err(|_| Problem::new(500, "corrupt", "a rate group has too high an id"))
}

/// The book as it would be with the sheet imported.
async fn drafted(
    api: &Api,
    group: &RateGroup,
    book: &RateBook,
    asked: &Asked,
    command: &Command,
    at: Utc,
) -> Result<Arc<RateBook>, Stop> {
    let layout = layout_of(api, &asked.vendor, asked.layout.as_deref(), asked.full).await?;
    let (body, is_full, notice_days) = (command.body.clone(), layout.is_full, layout.notice_days);
    let (defaults, compared_by) = (group.shown_defaults()?, group.compared_by()?);
    let read =
        tokio::task::spawn_blocking(move || sheets::interpret(&body, &layout, &defaults, at));
    let mut reading = read
        .await
        .expect("reading a sheet does not panic")
        .map_err(|error| Problem::new(422, "invalid_sheet", format!("{}: {error}", asked.file)))?;
    check_currency(&asked.file, group, &reading)?;
    if reading.tally.rejected > 0 && !asked.skip_rejected {
        return Err(faulty(&asked.file, &reading).into());
    }
    let known = api.store.book(group).await?;
    let taking = Taking { is_full, from: at, now: api.control.now(), notice_days };
    let compared = tokio::task::spawn_blocking(move || {
        // A full sheet gets its withdrawals by this.
        sheets::compare(&known, &mut reading.deck, &compared_by, taking);
        reading.deck
    });
    let deck = compared.await.expect("comparing sheets does not panic");
    let drafted = api.store.drafted_group(group, deck, is_full).await?;
    let book = book.change().group(drafted).build();
    Ok(Arc::new(book.map_err(|error| Problem::new(500, "corrupt", error.to_string()))?))
}
