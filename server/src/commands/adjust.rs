//! `adjust`, `credit-note`, `charge`, `reason …` and `statement`.

use serde_json::{Map, Value, json};

use super::account::put;
use super::args::{ByHand, ReasonCommand, StatementArgs};
use super::client::{escape, query};
use super::{Context, Outcome, table};

/// Moves money by hand; `what` is the resource: adjustments, credit-notes, charges.
pub(super) fn by_hand(context: &Context, what: &str, asked: &ByHand) -> Outcome {
    let client = context.client()?;
    let mut body = Map::new();
    body.insert("amount".into(), asked.amount.as_str().into());
    put(&mut body, "reason", asked.reason.clone());
    put(&mut body, "label", asked.label.clone());
    body.insert("allow_debt".into(), asked.allow_debt.into());
    let path = format!("/accounts/{}/{what}", escape(&asked.account));
    let answer = client.command("POST", &path, &Value::Object(body))?;
    context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
    Ok(())
}

pub(super) fn reason(context: &Context, command: ReasonCommand) -> Outcome {
    let client = context.client()?;
    match command {
        ReasonCommand::Set { kind, code, label } => {
            let body = json!({ "kind": kind, "code": code, "label": label });
            let answer = client.command("POST", "/reasons", &body)?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        ReasonCommand::List => {
            let columns = [("FOR", "kind"), ("CODE", "code"), ("LABEL", "label")];
            context.show_list(&client.get("/reasons")?, &columns);
        }
    }
    Ok(())
}

pub(super) fn statement(context: &Context, asked: &StatementArgs) -> Outcome {
    let client = context.client()?;
    let span = query(&[("from", asked.from.clone()), ("till", asked.till.clone())]);
    let path = format!("/accounts/{}/statement{span}", escape(&asked.account));
    let answer = client.get(&path)?;
    let columns = [
        ("AT", "at"),
        ("WHAT", "kind"),
        ("FROM", "debit_name"),
        ("TO", "credit_name"),
        ("AMOUNT", "amount"),
        ("CURRENCY", "currency"),
        ("NOTE", "note"),
    ];
    context.show(&answer, |answer| {
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        println!("opening balance  {}", text("opening"));
        let postings = answer["postings"].as_array().map_or(&[][..], Vec::as_slice);
        super::print_all(&table::render(postings, &columns));
        println!("closing balance  {}", text("closing"));
        if answer["is_cut"] == true {
            println!("there is more: ask again with --from the last moment shown");
        }
    });
    Ok(())
}
