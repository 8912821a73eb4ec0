//! `subscriber …`.

use serde_json::{Map, Value, json};

use super::account::{or_none, put, put_limit, put_limits};
use super::args::{ForwardsChange, SubscriberCommand};
use super::caller_id::show_or_change;
use super::client::escape;
use super::{Context, Outcome, demo, table};

const COLUMNS: [(&str, &str); 6] = [
    ("ID", "id"),
    ("USERNAME", "username"),
    ("ACCOUNT", "account"),
    ("NUMBER", "number"),
    ("CONTACTS", "contacts"),
    ("AT MOST", "contacts_max"),
];

pub(super) fn run(context: &Context, command: SubscriberCommand) -> Outcome {
    let client = context.client()?;
    match command {
        SubscriberCommand::List => {
            context.show_list(&client.get("/subscribers")?, &COLUMNS);
        }
        SubscriberCommand::Add { username, account, password, site, number, contacts_max } => {
            let is_made = password.is_none();
            let password = password.unwrap_or_else(demo::random_password);
            let mut body = Map::new();
            body.insert("username".into(), username.into());
            body.insert("account".into(), account.into());
            body.insert("password".into(), password.as_str().into());
            put(&mut body, "site", site);
            put(&mut body, "number", number);
            put(&mut body, "contacts_max", contacts_max);
            let mut answer = client.command("POST", "/subscribers", &Value::Object(body))?;
            if is_made {
                // Shown this once; only its hashes are kept.
                answer["password"] = password.into();
            }
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        SubscriberCommand::Password { username, password } => {
            let is_made = password.is_none();
            let password = password.unwrap_or_else(demo::random_password);
            let path = format!("/subscribers/{}", escape(&username));
            let body = json!({ "password": password });
            let mut answer = client.command("PATCH", &path, &body)?;
            if is_made {
                answer["password"] = password.into();
            }
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        SubscriberCommand::Forward { username, change } => {
            let path = format!("/subscribers/{}/forwarding", escape(&username));
            let answer = show_or_change(&client, &path, forwards(&change))?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        SubscriberCommand::Availability { username, change } => {
            let path = format!("/subscribers/{}/availability", escape(&username));
            let mut body = Map::new();
            put(&mut body, "do_not_disturb", change.do_not_disturb);
            put_limit(&mut body, "calls_max", "--calls-max", change.calls_max.as_deref())?;
            let answer = show_or_change(&client, &path, body)?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        SubscriberCommand::CallLimits { username, limits } => {
            let mut body = Map::new();
            put_limits(&mut body, &limits)?;
            let path = format!("/subscribers/{}/limits", escape(&username));
            let answer = show_or_change(&client, &path, body)?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        SubscriberCommand::Remove { username } => {
            let path = format!("/subscribers/{}", escape(&username));
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed {username}"));
        }
    }
    Ok(())
}

fn forwards(change: &ForwardsChange) -> Map<String, Value> {
    let mut body = Map::new();
    put(&mut body, "always", or_none(change.always.as_ref()));
    put(&mut body, "busy", or_none(change.busy.as_ref()));
    put(&mut body, "no_answer", or_none(change.no_answer.as_ref()));
    put(&mut body, "no_answer_after", change.no_answer_after);
    put(&mut body, "offline", or_none(change.offline.as_ref()));
    body
}
