//! Long lists that the API gives in pages: shown as one, or written to a file.

use std::path::Path;

use serde_json::{Value, json};

use super::account_file::form_of;
use super::{Context, Outcome};

/// What one answer of the API holds at most.
const PAGE: u32 = 10_000;
/// Items that are listed if nothing is said.
const LISTED: u32 = 100;

/// A list of the API, such as `/cdrs`, whose files come from below it (`/cdrs/export`).
pub(super) struct Paged<'a> {
    pub(super) path: &'static str,
    /// The file, if it is not to be shown.
    pub(super) output: Option<&'a Path>,
    /// So many at most; not said: some, and all of them in a file.
    pub(super) limit: Option<u32>,
    pub(super) columns: &'a [(&'a str, &'a str)],
}

impl Paged<'_> {
    /// `filter` makes the query, with a limit and one parameter besides.
    pub(super) fn tell(
        &self,
        context: &Context,
        filter: impl Fn(Option<u32>, (&'static str, Option<String>)) -> String,
    ) -> Outcome {
        let client = context.client()?;
        let path = self.path;
        if let Some(file) = self.output {
            let form = form_of(file)?;
            let parts = filter(self.limit, ("format", Some(form.to_owned())));
            client.download_to(&format!("{path}/export{parts}"), file)?;
            context.show_written(file);
            return Ok(());
        }
        let limit = self.limit.unwrap_or(LISTED);
        let mut items: Vec<Value> = Vec::new();
        let mut after = None;
        loop {
            let wanted = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
            let parts = filter(Some(wanted.clamp(1, PAGE)), ("after", after));
            let mut answer = client.get(&format!("{path}{parts}"))?;
            if let Some(page) = answer["items"].as_array_mut() {
                items.append(page);
            }
            after = answer["next"].as_str().map(str::to_owned);
            if after.is_none() || items.len() >= limit as usize {
                break;
            }
        }
        context.show_list(&json!({ "items": items }), self.columns);
        Ok(())
    }
}
