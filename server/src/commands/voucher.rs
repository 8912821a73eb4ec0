//! `voucher …` and `pin …`.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::account::put;
use super::args::{PinCommand, VoucherCommand};
use super::client::escape;
use super::{Context, Outcome, table};

const COLUMNS: [(&str, &str); 7] = [
    ("NAME", "name"),
    ("AMOUNT", "amount"),
    ("CURRENCY", "currency"),
    ("COUNT", "count"),
    ("REDEEMED", "redeemed"),
    ("EXPIRES", "expires_at"),
    ("WITHDRAWN", "voided_at"),
];

pub(super) fn run(context: &Context, command: VoucherCommand) -> Outcome {
    let client = context.client()?;
    let answer = match command {
        VoucherCommand::Add {
            name,
            count,
            amount,
            currency,
            length,
            prefix,
            letters,
            expires,
            output,
        } => {
            let mut body = Map::new();
            body.insert("name".into(), name.into());
            body.insert("count".into(), count.into());
            body.insert("amount".into(), amount.into());
            body.insert("currency".into(), currency.into());
            body.insert("letters".into(), letters.into());
            put(&mut body, "length", length);
            put(&mut body, "prefix", prefix);
            put(&mut body, "expires_at", expires);
            let mut out = private_file(&output)?;
            let answer = client.command("POST", "/voucher-batches", &Value::Object(body))?;
            return keep_codes(context, answer, &mut out, &output);
        }
        VoucherCommand::List => {
            context.show_list(&client.get("/voucher-batches")?, &COLUMNS);
            return Ok(());
        }
        VoucherCommand::Void { name } => {
            let path = format!("/voucher-batches/{}/void", escape(&name));
            client.command("POST", &path, &json!({}))?
        }
        VoucherCommand::Redeem { account, code } => {
            let path = format!("/accounts/{}/vouchers", escape(&account));
            client.command("POST", &path, &json!({ "code": code }))?
        }
    };
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}

pub(super) fn pin(context: &Context, command: PinCommand) -> Outcome {
    let client = context.client()?;
    let answer = match command {
        PinCommand::Batch {
            name,
            count,
            currency,
            rate_group,
            parent,
            length,
            prefix,
            balance,
            output,
        } => {
            let mut body = Map::new();
            body.insert("name".into(), name.into());
            body.insert("count".into(), count.into());
            body.insert("currency".into(), currency.into());
            put(&mut body, "rate_group", rate_group);
            put(&mut body, "parent", parent);
            put(&mut body, "length", length);
            put(&mut body, "prefix", prefix);
            put(&mut body, "opening_balance", balance);
            let mut out = private_file(&output)?;
            let answer = client.command("POST", "/pin-batches", &Value::Object(body))?;
            return keep_codes(context, answer, &mut out, &output);
        }
        PinCommand::New { account } => {
            client.command("POST", &format!("/accounts/{}/pin", escape(&account)), &json!({}))?
        }
        PinCommand::Length { length: Some(length) } => {
            client.command("PUT", "/pin-settings", &json!({ "pin_length": length }))?
        }
        PinCommand::Length { length: None } => client.get("/pin-settings")?,
    };
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}

/// Opened before the codes are made: they are shown once, and must have a place to go.
fn private_file(path: &Path) -> Result<std::fs::File, String> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn keep_codes(
    context: &Context,
    mut answer: Value,
    out: &mut std::fs::File,
    path: &Path,
) -> Outcome {
    let csv = answer.as_object_mut().and_then(|answer| answer.remove("csv"));
    let Some(csv) = csv.as_ref().and_then(Value::as_str) else {
        return Err("this command was carried out before; its codes were shown then and are not \
                    kept. Withdraw the batch and make another if they are lost"
            .to_owned());
    };
    let written = out.write_all(csv.as_bytes()).and_then(|()| out.sync_all());
    written.map_err(|error| {
        format!("{}: {error}; the batch is made, withdraw it and make another", path.display())
    })?;
    answer["codes"] = path.display().to_string().into();
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}
