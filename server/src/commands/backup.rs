//! `backup` and `restore`: they work on the files, so that they also do when no switch runs.

use std::path::Path;

use serde_json::json;
use store::Backup;

use super::{Context, Outcome};

/// Copies the data directory to `to`.
pub(super) fn backup(context: &Context, to: &Path) -> Outcome {
    tables_are_in_a_file(context)?;
    let from = &context.config.data_directory;
    let backup = block_on(store::backup(from, to))?;
    show(context, &backup, from, to);
    Ok(())
}

/// Makes the data directory from `from`.
pub(super) fn restore(context: &Context, from: &Path) -> Outcome {
    tables_are_in_a_file(context)?;
    let to = &context.config.data_directory;
    let backup = block_on(store::restore(from, to))?;
    show(context, &backup, from, to);
    Ok(())
}

/// Half a copy would be worse than none.
fn tables_are_in_a_file(context: &Context) -> Outcome {
    if context.config.database.is_none() {
        return Ok(());
    }
    Err("the tables are on PostgreSQL, so this would copy the journal alone; \
         docs/operating/postgresql.md says how to back up both"
        .to_owned())
}

fn block_on(
    work: impl Future<Output = Result<Backup, store::BackupError>>,
) -> Result<Backup, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?
        .block_on(work)
        .map_err(|error| error.to_string())
}

fn show(context: &Context, backup: &Backup, from: &Path, to: &Path) {
    let answer = json!({
        "from": from, "to": to, "position": backup.position, "open_calls": backup.report.open_calls,
    });
    context.show(&answer, |_| {
        let (from, to) = (from.display(), to.display());
        println!("{from} was copied to {to}, as of journal position {};", backup.position);
        println!("its books balance; {} calls were open in it", backup.report.open_calls);
    });
}
