//! What an import of rates has to say, page by page: a verdict for every row and every rate that changes
//! (B10, O1); and the rows that were left out of a sheet, all of them.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;
use sheets::{Movement, Prefix, RateMove, Reading, RowKind};
use store::rate_deck::RejectedRows;

use crate::rate_sheets::Import;
use crate::wire::{self, Page, RateChange, SheetVerdict, Told};
use crate::{Problem, Shared};

/// In one answer at most.
const PAGE_MAX: u32 = 10_000;
/// Verdicts of a first look, if nothing is said.
const FIRST_LOOK: u32 = 200;
/// Rows that are kept together.
const KEPT_TOGETHER: usize = 500;

impl Import {
    fn limit(&self, usual: u32) -> usize {
        self.limit.unwrap_or(usual).clamp(1, PAGE_MAX) as usize
    }

    /// Only a preview can be asked again for the next page.
    fn check_pages(&self) -> Result<(), Problem> {
        let what = "is for a preview; after an import see /rate-sheets/{id}/rejected and \
                    /rate-groups/{name}/changes";
        for (field, is_there) in [
            ("rows_after", self.rows_after.is_some()),
            ("moves", self.moves.is_some()),
            ("moves_after", self.moves_after.is_some()),
        ] {
            if is_there && !self.preview {
                return Err(Problem::invalid(field, what));
            }
        }
        Ok(())
    }
}

/// The verdicts that were asked for.
pub(crate) fn verdicts(reading: &Reading, import: &Import) -> Result<Told<SheetVerdict>, Problem> {
    import.check_pages()?;
    let (usual, take): (u32, fn(RowKind) -> bool) = match import.rows.as_deref() {
        Some("all") => (PAGE_MAX, |_| true),
        Some("rejected") => (PAGE_MAX, |kind| kind == RowKind::Rejected),
        None => (FIRST_LOOK, |kind| {
            matches!(kind, RowKind::Rejected | RowKind::Changed | RowKind::Merged | RowKind::Remark)
        }),
        Some(other) => {
            return Err(Problem::invalid("rows", format!("{other:?} is not rejected or all")));
        }
    };
    let all = reading.rows().filter(|(_, _, kind)| take(*kind)).count() as u64;
    let after = import.rows_after.unwrap_or(0).min(all);
    let skipped = usize::try_from(after).unwrap_or(usize::MAX);
    let items = wire::verdicts(reading, take).skip(skipped).take(import.limit(usual));
    let items: Vec<SheetVerdict> = items.collect();
    let told = after + items.len() as u64;
    let next = (told < all).then(|| told.to_string());
    Ok(Told { items, untold: all - told, next })
}

/// The rates that change, as they were asked for, by prefix and moment.
pub(crate) fn moves(moves: &[RateMove], import: &Import) -> Result<Told<RateChange>, Problem> {
    let Some(words) = &import.moves else {
        return Ok(Told { items: Vec::new(), untold: moves.len() as u64, next: None });
    };
    let kinds = kinds(words)?;
    let what = "write `moves_next` of the answer before";
    let after = import.moves_after.as_deref().map(|text| {
        let (prefix, at) = text.split_once('.')?;
        Some((prefix.parse::<Prefix>().ok()?, at.parse::<u32>().ok()?))
    });
    let after = match after {
        Some(None) => return Err(Problem::invalid("moves_after", what)),
        Some(after) => after,
        None => None,
    };
    let place = |moved: &RateMove| (moved.prefix, moved.at);
    let chosen = moves.iter().filter(|moved| kinds.contains(&moved.movement));
    let mut chosen = chosen.filter(|moved| after.is_none_or(|after| place(moved) > after));
    let items: Vec<&RateMove> = chosen.by_ref().take(import.limit(PAGE_MAX)).collect();
    let untold = chosen.count() as u64;
    let last = items.last().filter(|_| untold > 0);
    let next = last.map(|moved| format!("{}.{}", moved.prefix, moved.at));
    let items = items.into_iter().cloned().map(RateChange::from).collect();
    Ok(Told { items, untold, next })
}

/// All movements that a list can show.
const MOVEMENTS: [Movement; 6] = [
    Movement::New,
    Movement::Removed,
    Movement::Increase,
    Movement::Decrease,
    Movement::Changed,
    Movement::Blocked,
];

fn kinds(words: &str) -> Result<Vec<Movement>, Problem> {
    if words == "all" {
        return Ok(MOVEMENTS.to_vec());
    }
    let kind = |word: &str| {
        let known = MOVEMENTS.iter().find(|movement| movement.as_str() == word).copied();
        known.ok_or_else(|| {
            let known = MOVEMENTS.map(Movement::as_str).join(", ");
            Problem::invalid("moves", format!("{word:?} is none of all, {known}"))
        })
    };
    words.split(',').map(|word| kind(word.trim())).collect()
}

/// The rows that a sheet is stored without.
pub(crate) fn left_out(reading: &Reading) -> impl Iterator<Item = RejectedRows> + Send {
    let mut rows = wire::verdicts(reading, |kind| kind == RowKind::Rejected);
    std::iter::from_fn(move || {
        let some: Vec<SheetVerdict> = rows.by_ref().take(KEPT_TOGETHER).collect();
        let count = u32::try_from(some.len()).ok().filter(|count| *count > 0)?;
        let json = serde_json::to_string(&some).expect("wire types are always JSON");
        Some(RejectedRows { count, json })
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    /// Rows that were told before.
    #[serde(default)]
    after: u64,
    limit: Option<u32>,
}

/// The rows of a sheet that were left out of it, in the order of the file.
pub(crate) async fn rejected(
    State(api): Shared,
    Path(id): Path<u64>,
    Query(span): Query<Span>,
) -> Result<Json<Page<Value>>, Problem> {
    let limit = span.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    // One more shows whether any follow.
    let mut items = api.store.rejected_rows(id, span.after, limit + 1).await?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = has_more.then(|| (span.after + u64::from(limit)).to_string());
    Ok(Json(Page { items, next }))
}
