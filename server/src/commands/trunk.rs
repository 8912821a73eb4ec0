//! `trunk …`.

use serde_json::{Map, Value, json};

use super::account::{or_none, put, put_limits};
use super::args::{TrunkCausesChange, TrunkChange, TrunkCommand, TrunkProbeChange, TrunkTlsChange};
use super::client::{Client, escape};
use super::{Context, Outcome, caller_id, interworking, table};

const COLUMNS: [(&str, &str); 9] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("ACCOUNT", "account"),
    ("ENABLED", "enabled"),
    ("HEALTH", "health"),
    ("HOST", "host"),
    ("PORT", "port"),
    ("TRANSPORT", "transport"),
    ("FROM", "addresses"),
];

const STATUS: [(&str, &str); 9] = [
    ("TRUNK", "trunk"),
    ("REGISTRATION", "registration"),
    ("SINCE", "registration_since"),
    ("EXPIRES", "expires_at"),
    ("LAST ANSWER", "last_answer"),
    ("NEXT TRY", "next_try_at"),
    ("FAILURES", "failures"),
    ("HEALTH", "health"),
    ("PROBE", "last_probe_answer"),
];

pub(super) fn run(context: &Context, command: TrunkCommand) -> Outcome {
    let client = context.client()?;
    let one = |name: &str| format!("/trunks/{}", escape(name));
    let answer = match command {
        TrunkCommand::List => {
            context.show_list(&client.get("/trunks")?, &COLUMNS);
            return Ok(());
        }
        TrunkCommand::Status => {
            context.show_list(&client.get("/upstreams")?, &STATUS);
            return Ok(());
        }
        TrunkCommand::Add { name, account, change } => {
            let mut body = fields(change)?;
            body.insert("name".into(), name.into());
            body.insert("account".into(), account.into());
            client.command("POST", "/trunks", &Value::Object(body))?
        }
        TrunkCommand::Show { name } => client.get(&one(&name))?,
        TrunkCommand::Set { name, change } => {
            client.command("PATCH", &one(&name), &Value::Object(fields(change)?))?
        }
        TrunkCommand::CallerId { name, change } => caller_id::of_trunk(&client, &name, &change)?,
        TrunkCommand::Interworking { name, change } => {
            interworking::of_trunk(&client, &name, &change)?
        }
        TrunkCommand::Messages { name, allowed } => {
            let mut body = Map::new();
            put(&mut body, "allowed", allowed);
            caller_id::show_or_change(&client, &format!("{}/messages", one(&name)), body)?
        }
        TrunkCommand::Stir { name, signs, verifies } => {
            let mut body = Map::new();
            put(&mut body, "signs", signs);
            put(&mut body, "verifies", verifies);
            caller_id::show_or_change(&client, &format!("{}/stir", one(&name)), body)?
        }
        TrunkCommand::Probe { name, change } => probe(&client, &name, &change)?,
        TrunkCommand::Causes { name, change } => causes(&client, &name, &change)?,
        TrunkCommand::Role { name, role } => {
            let path = format!("{}/role", one(&name));
            match role {
                None => client.get(&path)?,
                Some(role) => client.command("PUT", &path, &json!({ "role": role }))?,
            }
        }
        TrunkCommand::Tls { name, change } => certificates(&client, &name, change)?,
        TrunkCommand::Remove { name } => {
            let answer = client.command("DELETE", &one(&name), &Value::Null)?;
            context.show(&answer, |_| println!("removed {name} and its routes"));
            return Ok(());
        }
    };
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}

fn probe(client: &Client, name: &str, change: &TrunkProbeChange) -> Result<Value, String> {
    let mut body = Map::new();
    put(&mut body, "enabled", change.enabled);
    put(&mut body, "every_s", change.every);
    put(&mut body, "failures_max", change.failures);
    put(&mut body, "successes_min", change.successes);
    caller_id::show_or_change(client, &format!("/trunks/{}/probe", escape(name)), body)
}

fn causes(client: &Client, name: &str, change: &TrunkCausesChange) -> Result<Value, String> {
    let mut body = Map::new();
    for (field, pairs) in [("heard", &change.heard), ("told", &change.told)] {
        if !pairs.is_empty() {
            body.insert(field.into(), Value::Object(table_of(field, pairs)?));
        }
    }
    caller_id::show_or_change(client, &format!("/trunks/{}/causes", escape(name)), body)
}

/// `503=404`, each; or only "none".
fn table_of(field: &str, pairs: &[String]) -> Result<Map<String, Value>, String> {
    if matches!(pairs, [none] if none == "none") {
        return Ok(Map::new());
    }
    let pair = |text: &String| match text.split_once('=') {
        Some((code, becomes)) => Ok((code.trim().to_owned(), becomes.trim().into())),
        None => Err(format!("--{field} {text}: write a code and what it becomes, such as 503=404")),
    };
    pairs.iter().map(pair).collect()
}

fn certificates(client: &Client, name: &str, change: TrunkTlsChange) -> Result<Value, String> {
    let mut body = Map::new();
    let split = |names: String| match names.as_str() {
        "none" => Vec::new(),
        names => names.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    put(&mut body, "certificate_names", change.certificate_names.map(split));
    let read = |file: String| match file.as_str() {
        "none" => Ok::<_, String>(Value::Null),
        file => {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
            Ok(Value::String(text))
        }
    };
    put(&mut body, "client_certificate", change.client_certificate.map(read).transpose()?);
    put(&mut body, "client_key", change.client_key.map(read).transpose()?);
    caller_id::show_or_change(client, &format!("/trunks/{}/tls", escape(name)), body)
}

fn fields(change: TrunkChange) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    put(&mut body, "enabled", change.enabled);
    if let Some(host) = change.host {
        let (host, port) = split_port(&host)?;
        put(&mut body, "host", Some(host));
        put(&mut body, "port", port);
    }
    put(&mut body, "port", change.port);
    put(&mut body, "transport", change.transport);
    let addresses = change.addresses;
    put(&mut body, "addresses", (!addresses.is_empty()).then_some(addresses));
    put(&mut body, "ingress_username", change.ingress_username);
    put(&mut body, "ingress_password", change.ingress_password);
    put(&mut body, "egress_username", change.egress_username);
    put(&mut body, "egress_password", change.egress_password);
    put(&mut body, "registers", change.registers);
    put(&mut body, "ingress_plan", plan("--ingress-plan", change.ingress_plan)?);
    put(&mut body, "egress_plan", plan("--egress-plan", change.egress_plan)?);
    put_limits(&mut body, &change.limits)?;
    put(&mut body, "hunt_codes", change.hunt_codes);
    put(&mut body, "stop_codes", change.stop_codes);
    put(&mut body, "ring_timeout_s", change.ring_timeout);
    put(&mut body, "trusted", change.trusted);
    put(&mut body, "sends_lrn", change.sends_lrn);
    put(&mut body, "believes_lrn", change.believes_lrn);
    put(&mut body, "site", or_none(change.site.as_ref()));
    put(&mut body, "friendly_name", or_none(change.friendly_name.as_ref()));
    Ok(body)
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn split_port(text: &str) -> Result<(String, Option<u16>), String> {
    let after_host = if text.starts_with('[') { text.find(']').unwrap_or(0) } else { 0 };
    let Some(colon) = text[after_host..].rfind(':').map(|at| at + after_host) else {
        return Ok((text.to_owned(), None));
    };
    let port = text[colon + 1..].parse();
    let port = port.map_err(|_| format!("--host {text}: write host or host:port"))?;
    Ok((text[..colon].to_owned(), Some(port)))
}

fn plan(option: &str, text: Option<String>) -> Result<Option<Value>, String> {
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|error| format!("{option}: it is not JSON: {error}"))
    };
    text.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, port: Option<u16>) {
        assert_eq!(split_port(text), Ok((host.to_owned(), port)));
    }

    #[test]
    fn hosts_are_split_from_ports() {
        check("a.example", "a.example", None);
        check("127.0.0.1:5080", "127.0.0.1", Some(5080));
        check("[::1]", "[::1]", None);
        check("[::1]:5080", "[::1]", Some(5080));
        assert!(split_port("a:b").is_err());
    }
}
