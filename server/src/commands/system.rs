//! `status`, `registrations`, `ledger check`.

use serde_json::{Value, json};

use server::settings;

use super::{Context, Outcome, print_json, table};

pub(super) fn status(context: &Context) -> Outcome {
    let answer = context.client()?.get("/status")?;
    context.show(&answer, |answer| {
        let mut answer = answer.clone();
        let counters = answer["counters"].take();
        if let Some(object) = answer.as_object_mut() {
            object.remove("counters");
        }
        print!("{}\n{}", table::render_fields(&answer), table::render_fields(&counters));
    });
    Ok(())
}

pub(super) fn registrations(context: &Context) -> Outcome {
    let columns = [
        ("USERNAME", "username"),
        ("CONTACT", "contact"),
        ("ADDRESS", "address"),
        ("TRANSPORT", "transport"),
        ("EXPIRES", "expires_at"),
        ("BEHIND NAT", "behind_nat"),
    ];
    context.show_list(&context.client()?.get("/registrations")?, &columns);
    Ok(())
}

/// From the data directory alone: a switch that is stopped, broken or busy is checked all the same.
pub(super) fn check_ledger(context: &Context) -> Outcome {
    let directory = &context.config.data_directory;
    let database = settings::database(&context.config).map_err(|error| error.to_string())?;
    if !database.file().unwrap_or(directory).exists() {
        let directory = directory.display();
        return Err(format!("{directory} is no data directory; name one with --data"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let report = runtime
        .block_on(store::ledger_check(directory, &database))
        .map_err(|error| format!("the books cannot be read: {error}"))?;
    if context.json {
        let checks: Vec<Value> = report.checks.iter().map(on_wire).collect();
        print_json(&json!({
            "ok": report.is_ok(),
            "applied": report.applied,
            "journal_end": report.journal_end,
            "server_running": report.is_server_running,
            "open_calls": report.open_calls,
            "checks": checks,
        }));
    } else {
        for check in &report.checks {
            let verdict = if check.offender_count == 0 { "ok" } else { "BROKEN" };
            println!("{verdict:<7} {} ({} looked at)", check.sentence, check.count);
            for offender in &check.offenders {
                println!("        {offender}");
            }
        }
        println!("{} calls open", report.open_calls);
    }
    let broken = report.checks.iter().filter(|check| check.offender_count > 0).count();
    if broken == 0 { Ok(()) } else { Err(format!("{broken} invariants of the books are broken")) }
}

fn on_wire(check: &store::Check) -> Value {
    json!({
        "code": check.code,
        "sentence": check.sentence,
        "count": check.count,
        "offender_count": check.offender_count,
        "offenders": check.offenders,
    })
}
