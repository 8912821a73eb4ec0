//! `account …`, `topup` and `payout`.

use serde_json::{Map, Value, json};

use super::args::{
    AccountChange, AccountCommand, Credit, EventArgs, Limits, MessageRatesChange, NewDevice,
    PayOut, TopUp,
};
use super::client::{Client, escape, query};
use super::{Context, Outcome, table};
use super::{account_file, caller_id, demo, interworking};

const COLUMNS: [(&str, &str); 8] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("BILLING", "billing"),
    ("STATUS", "status"),
    ("BALANCE", "balance"),
    ("AVAILABLE", "available"),
    ("CURRENCY", "currency"),
    ("RATE GROUP", "rate_group"),
];

pub(super) fn run(context: &Context, command: AccountCommand) -> Outcome {
    let client = context.client()?;
    let one = |name: &str| format!("/accounts/{}", escape(name));
    let patch = |name: &str, body: Value| client.command("PATCH", &one(name), &body);
    let answer = match command {
        AccountCommand::List { filter } => {
            let query = account_file::filter_query(filter, None);
            context.show_list(&client.get(&format!("/accounts{query}"))?, &COLUMNS);
            return Ok(());
        }
        AccountCommand::Export(asked) => {
            return account_file::export(context, &client, asked.file.as_deref(), asked.filter);
        }
        AccountCommand::Import(asked) => return account_file::import(context, &client, &asked),
        AccountCommand::Imports => {
            let imports = client.get("/account-imports")?;
            context.show_list(&imports, &account_file::IMPORT_COLUMNS);
            return Ok(());
        }
        AccountCommand::Verdicts { import, rows } => {
            return account_file::verdicts(context, &client, import, rows.as_deref());
        }
        AccountCommand::Add { name, postpaid, prepaid: _, currency, device, change } => {
            let billing = if postpaid { "postpaid" } else { "prepaid" };
            let mut body = fields(&change)?;
            body.insert("name".into(), name.into());
            body.insert("billing".into(), billing.into());
            body.insert("currency".into(), currency.into());
            let drawn = put_device(&mut body, device);
            let mut answer = client.command("POST", "/accounts", &Value::Object(body))?;
            if let Some(password) = drawn {
                // Shown this once; only its hashes are kept.
                answer["device_password"] = password.into();
            }
            answer
        }
        AccountCommand::Show { name } => client.get(&one(&name))?,
        AccountCommand::Set { name, change } => patch(&name, Value::Object(fields(&change)?))?,
        AccountCommand::Block { name, reseller } => patch(&name, status("blocked", reseller))?,
        AccountCommand::Unblock { name, reseller } => patch(&name, status("active", reseller))?,
        AccountCommand::Close { names, reseller } => {
            let body = json!({ "accounts": names, "as_reseller": reseller });
            let closed = client.command("POST", "/accounts/close", &body)?;
            context.show_list(&closed, &account_file::CLOSED_COLUMNS);
            return Ok(());
        }
        AccountCommand::Codecs { name, allow } => {
            interworking::of_account(&client, &name, allow.as_deref())?
        }
        AccountCommand::CallerId { name, change } => caller_id::policy(&client, &name, &change)?,
        AccountCommand::Messages { name, change } => messages(&client, &name, &change)?,
        AccountCommand::AddCli { name, numbers } => {
            return caller_id::add(context, &client, &name, &numbers);
        }
        AccountCommand::ListClis { name } => return caller_id::list(context, &client, &name),
        AccountCommand::RemoveCli { name, number } => {
            return caller_id::remove(context, &client, &name, &number);
        }
        AccountCommand::Events { name, which } => {
            return events(context, Some(name), &which);
        }
    };
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}

/// Gives the password of the device if one was drawn.
fn put_device(body: &mut Map<String, Value>, device: NewDevice) -> Option<String> {
    let NewDevice { create_device, device_username, device_password } = device;
    let is_wanted = create_device == Some(true);
    let drawn = (is_wanted && device_password.is_none()).then(demo::random_password);
    put(body, "create_device", create_device);
    put(body, "device_username", device_username);
    put(body, "device_password", device_password.or_else(|| drawn.clone()));
    drawn
}

/// What happened to an account, or to all.
pub(super) fn events(context: &Context, account: Option<String>, which: &EventArgs) -> Outcome {
    let client = context.client()?;
    let kinds = (!which.kind.is_empty()).then(|| which.kind.join(","));
    let mut items: Vec<Value> = Vec::new();
    let mut after = which.after.to_string();
    while items.len() < which.limit {
        let parts = [
            ("account", account.clone()),
            ("kind", kinds.clone()),
            ("after", Some(after)),
            ("limit", Some((which.limit - items.len()).min(EVENTS_PAGE).to_string())),
        ];
        let mut answer = client.get(&format!("/events{}", query(&parts)))?;
        // Where the next page begins; an empty one was the last.
        let Some(next) = answer["next"].as_str().map(str::to_owned) else { break };
        after = next;
        if let Some(page) = answer["items"].as_array_mut() {
            items.append(page);
        }
    }
    let columns = match account {
        Some(_) => &EVENT_COLUMNS[1..],
        None => &EVENT_COLUMNS[..],
    };
    context.show_list(&json!({ "items": items }), columns);
    Ok(())
}

/// What one answer of the API holds at most.
const EVENTS_PAGE: usize = 1_000;

const EVENT_COLUMNS: [(&str, &str); 5] =
    [("ACCOUNT", "account"), ("ID", "id"), ("AT", "at"), ("WHAT", "kind"), ("DETAIL", "detail")];

fn status(status: &str, reseller: Option<String>) -> Value {
    let mut body = json!({ "status": status });
    if let Some(reseller) = reseller {
        body["as_reseller"] = reseller.into();
    }
    body
}

/// Puts a field in if it was given.
pub(super) fn put(body: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

/// "none" takes away.
pub(super) fn or_none(text: Option<&String>) -> Option<Value> {
    text.map(|text| if text == "none" { Value::Null } else { text.as_str().into() })
}

/// Limits, each a number or "none".
pub(super) fn put_limits(body: &mut Map<String, Value>, limits: &Limits) -> Result<(), String> {
    let given = [
        ("calls_in_max", "--in-concurrent", &limits.in_concurrent),
        ("calls_out_max", "--out-concurrent", &limits.out_concurrent),
        ("cps_in_max", "--in-cps", &limits.in_cps),
        ("cps_out_max", "--out-cps", &limits.out_cps),
    ];
    given
        .into_iter()
        .try_for_each(|(field, option, text)| put_limit(body, field, option, text.as_deref()))
}

/// A number or "none".
pub(super) fn put_limit(
    body: &mut Map<String, Value>,
    field: &str,
    option: &str,
    text: Option<&str>,
) -> Result<(), String> {
    let limit = match text {
        None => return Ok(()),
        Some("none") => Value::Null,
        Some(number) => number
            .parse::<u32>()
            .map(Value::from)
            .map_err(|_| format!("{option} {number}: write a whole number, or none"))?,
    };
    body.insert(field.to_owned(), limit);
    Ok(())
}

/// Bounds of money, each an amount or "none".
fn put_credit(body: &mut Map<String, Value>, credit: &Credit) {
    put(body, "owed_limit", or_none(credit.owed_limit.as_ref()));
    put(body, "netted", credit.netted);
    put(body, "spend_hour_max", or_none(credit.spend_hour_max.as_ref()));
    put(body, "spend_day_max", or_none(credit.spend_day_max.as_ref()));
    put(body, "spend_month_max", or_none(credit.spend_month_max.as_ref()));
    let amounts = credit.low_balance.as_ref().map(|amounts| match &amounts[..] {
        [none] if none == "none" => Vec::new(),
        amounts => amounts.to_vec(),
    });
    put(body, "low_balance", amounts);
}

fn fields(change: &AccountChange) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    put(&mut body, "credit_limit", change.credit_limit.clone());
    put(&mut body, "rate_group", or_none(change.rate_group.as_ref()));
    put(&mut body, "carrier_rate_group", or_none(change.carrier_rate_group.as_ref()));
    put_limits(&mut body, &change.limits)?;
    let length = change.call_seconds_max.as_deref();
    put_limit(&mut body, "call_seconds_max", "--call-seconds-max", length)?;
    put(&mut body, "receipts", change.receipts);
    put(&mut body, "allow_local", change.allow_local);
    put(&mut body, "local_price", change.local.local_price.clone());
    put(&mut body, "local_first_increment", change.local.local_first_increment);
    put(&mut body, "local_next_increment", change.local.local_next_increment);
    put(&mut body, "allow_loss", change.allow_loss);
    put(&mut body, "duration_rounding", change.duration_rounding.clone());
    put(&mut body, "carrier_duration_rounding", change.carrier_duration_rounding.clone());
    put(&mut body, "number", change.number.clone());
    put(&mut body, "parent", or_none(change.parent.as_ref()));
    put(&mut body, "time_zone", change.time_zone.clone());
    put(&mut body, "billing_day", change.billing_day);
    put(&mut body, "loss_percent_max", change.loss_percent_max.clone());
    put(&mut body, "non_cli_rate_group", or_none(change.non_cli_rate_group.as_ref()));
    let by_jurisdiction = [
        ("intra_rate_group", &change.intra_rate_group),
        ("undetermined_rate_group", &change.undetermined_rate_group),
        ("carrier_intra_rate_group", &change.carrier_intra_rate_group),
        ("carrier_undetermined_rate_group", &change.carrier_undetermined_rate_group),
    ];
    for (field, group) in by_jurisdiction {
        put(&mut body, field, or_none(group.as_ref()));
    }
    put_credit(&mut body, &change.credit);
    if !change.custom.is_empty() {
        let custom = change.custom.iter().map(|field| match field.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.into()),
            None => (field.clone(), Value::Null),
        });
        body.insert("custom".into(), Value::Object(custom.collect()));
    }
    Ok(body)
}

pub(super) fn top_up(context: &Context, top_up: &TopUp) -> Outcome {
    let client = context.client()?;
    let path = format!("/accounts/{}/topups", escape(&top_up.account));
    let body = json!({ "amount": top_up.amount, "note": top_up.note });
    let answer = client.command("POST", &path, &body)?;
    show_payment(context, &answer);
    Ok(())
}

pub(super) fn pay_out(context: &Context, asked: &PayOut) -> Outcome {
    let client = context.client()?;
    let path = format!("/accounts/{}/payouts", escape(&asked.account));
    let body = json!({
        "amount": asked.amount,
        "note": asked.note,
        "refund": asked.refund,
        "allow_debt": asked.allow_debt,
    });
    show_payment(context, &client.command("POST", &path, &body)?);
    Ok(())
}

fn show_payment(context: &Context, answer: &Value) {
    context.show(answer, |answer| {
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        let (amount, currency) = (text("amount"), text("currency"));
        let (account, balance) = (text("account"), text("balance"));
        println!("booked {amount} {currency} to {account}; its balance is {balance} {currency}");
    });
}

fn messages(client: &Client, name: &str, change: &MessageRatesChange) -> Result<Value, String> {
    let mut body = Map::new();
    put(&mut body, "rate_group", or_none(change.rate_group.as_ref()));
    put(&mut body, "carrier_rate_group", or_none(change.carrier_rate_group.as_ref()));
    caller_id::show_or_change(client, &format!("/accounts/{}/messages", escape(name)), body)
}
