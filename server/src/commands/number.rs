//! `number …`: rules, lists, and what they make of a number.

use std::fs;

use serde_json::{Map, Value, json};

use super::account::put;
use super::args::{ListCommand, NumberCommand, Owner, RuleCommand, Side};
use super::client::{Client, escape, query};
use super::{Context, Outcome, table};

const RULES: [(&str, &str); 13] = [
    ("ID", "id"),
    ("ACCOUNT", "account"),
    ("TRUNK", "trunk"),
    ("SUBSCRIBER", "subscriber"),
    ("DIRECTION", "direction"),
    ("NUMBER", "subject"),
    ("POSITION", "position"),
    ("MATCHES", "matches"),
    ("AT MOST", "length_max"),
    ("STRIP", "strip"),
    ("PREPEND", "prepend"),
    ("THEN", "then"),
    ("NOTE", "note"),
];

const STEPS: [(&str, &str); 6] = [
    ("RULE", "rule"),
    ("ACCOUNT", "account"),
    ("TRUNK", "trunk"),
    ("SUBSCRIBER", "subscriber"),
    ("MATCHES", "matches"),
    ("BECOMES", "becomes"),
];

const LISTS: [(&str, &str); 5] =
    [("ID", "id"), ("NAME", "name"), ("KIND", "kind"), ("LINES", "lines"), ("USES", "uses")];

const USES: [(&str, &str); 7] = [
    ("ID", "id"),
    ("LIST", "list"),
    ("ACCOUNT", "account"),
    ("TRUNK", "trunk"),
    ("SUBSCRIBER", "subscriber"),
    ("NUMBER", "subject"),
    ("EFFECT", "effect"),
];

pub(super) fn run(context: &Context, command: NumberCommand) -> Outcome {
    let client = context.client()?;
    match command {
        NumberCommand::Rule { command } => rule(context, &client, command),
        NumberCommand::List { command } => list(context, &client, command),
        NumberCommand::Show { number } => {
            let answer = client.get(&format!("/numbers/{}", escape(&number)))?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
            Ok(())
        }
        NumberCommand::Try { owner, side, number } => {
            let Owner { account, trunk, subscriber } = owner;
            let path = query(&[
                ("account", account),
                ("trunk", trunk),
                ("subscriber", subscriber),
                ("direction", Some(side.direction)),
                ("subject", Some(side.subject)),
                ("number", Some(number)),
            ]);
            let answer = client.get(&format!("/numbers/try{path}"))?;
            context.show(&answer, print_trial);
            Ok(())
        }
    }
}

fn print_trial(answer: &Value) {
    let steps = answer["steps"].as_array().map_or(&[][..], Vec::as_slice);
    match steps {
        [] => println!("no rule matches"),
        steps => print!("{}", table::render(steps, &STEPS)),
    }
    if answer["by_plan"] == true {
        println!("then the number plan");
    }
    if let Some(result) = answer["result"].as_str() {
        println!("{result}");
    }
    if let Some(refused) = answer["refused"].as_str() {
        println!("refused: {refused}");
    }
}

fn owned(owner: Owner) -> Map<String, Value> {
    let mut body = Map::new();
    put(&mut body, "account", owner.account);
    put(&mut body, "trunk", owner.trunk);
    put(&mut body, "subscriber", owner.subscriber);
    body
}

fn rule(context: &Context, client: &Client, command: RuleCommand) -> Outcome {
    match command {
        RuleCommand::Add {
            matches,
            owner,
            side: Side { direction, subject },
            strip,
            prepend,
            then,
            length_min,
            length_max,
            position,
            note,
        } => {
            let mut body = owned(owner);
            body.insert("matches".into(), matches.into());
            body.insert("direction".into(), direction.into());
            body.insert("subject".into(), subject.into());
            body.insert("strip".into(), strip.into());
            body.insert("prepend".into(), prepend.into());
            body.insert("then".into(), then.into());
            put(&mut body, "length_min", length_min);
            put(&mut body, "length_max", length_max);
            put(&mut body, "position", position);
            put(&mut body, "note", note);
            let answer = client.command("POST", "/number-rules", &Value::Object(body))?;
            context.show(&answer, |answer| print!("{}", table::render_fields(answer)));
        }
        RuleCommand::List { owner, everybody } => {
            let Owner { account, trunk, subscriber } = owner;
            let path = query(&[
                ("account", account),
                ("trunk", trunk),
                ("subscriber", subscriber),
                ("everybody", everybody.then(|| "true".to_owned())),
            ]);
            context.show_list(&client.get(&format!("/number-rules{path}"))?, &RULES);
        }
        RuleCommand::Remove { id } => {
            let path = format!("/number-rules/{id}");
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed number rule {id}"));
        }
    }
    Ok(())
}

fn list(context: &Context, client: &Client, command: ListCommand) -> Outcome {
    let show = |answer: &Value| {
        context.show(answer, |answer| print!("{}", table::render_fields(answer)));
    };
    match command {
        ListCommand::Add { name, kind } => {
            let body = json!({ "name": name, "kind": kind });
            show(&client.command("POST", "/number-lists", &body)?);
        }
        ListCommand::Fill { name, lines, file, how } => {
            let text = match &file {
                Some(file) => fs::read_to_string(file)
                    .map_err(|error| format!("{}: {error}", file.display()))?,
                None => lines.join("\n"),
            };
            let path = format!("/number-lists/{}/lines?how={how}", escape(&name));
            show(&client.upload(&path, text.as_bytes())?);
        }
        ListCommand::List => context.show_list(&client.get("/number-lists")?, &LISTS),
        ListCommand::Show { name, after, limit } => {
            let span = query(&[("after", after), ("limit", limit.map(|limit| limit.to_string()))]);
            let answer = client.get(&format!("/number-lists/{}/lines{span}", escape(&name)))?;
            context.show(&answer, |answer| {
                for line in answer["items"].as_array().into_iter().flatten() {
                    println!("{}", line.as_str().unwrap_or_default());
                }
                if let Some(next) = answer["next"].as_str() {
                    println!("there are more: --after {next}");
                }
            });
        }
        ListCommand::Remove { name } => {
            let path = format!("/number-lists/{}", escape(&name));
            let answer = client.command("DELETE", &path, &Value::Null)?;
            context.show(&answer, |_| println!("removed the list {name}"));
        }
        ListCommand::Use { name, owner, subject, effect } => {
            let mut body = owned(owner);
            body.insert("list".into(), name.into());
            body.insert("subject".into(), subject.into());
            body.insert("effect".into(), effect.into());
            show(&client.command("POST", "/number-list-uses", &Value::Object(body))?);
        }
        ListCommand::Uses => context.show_list(&client.get("/number-list-uses")?, &USES),
        ListCommand::End { id } => {
            let path = format!("/number-list-uses/{id}");
            show(&client.command("DELETE", &path, &Value::Null)?);
        }
    }
    Ok(())
}
