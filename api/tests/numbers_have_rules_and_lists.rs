//! Number rules and lists, from the command to the snapshot that calls see (T8, T9, A-19, P-022).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::{Value, json};
use switch::numbers::{ListId, NumberOwner, NumberRefusal, Subject, TrialEnd, try_out};
use vocabulary::Direction;
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    rules_are_tried_and_live_at_once,
    what_is_wrong_with_a_rule_is_told,
    a_list_blocks_who_it_is_used_for,
    faults_of_a_list_name_their_rows,
    what_an_owner_takes_along,
);

async fn filled(backend: Backend) -> World {
    let world = world(backend).await;
    world.fill().await;
    let trunk = json!({"name": "pbx", "account": "alice", "addresses": ["192.0.2.7"],
        "ingress_plan": {"country": "49", "national": "0", "bare": "national"}});
    world.made("/trunks", trunk).await;
    let phone = json!({"username": "desk", "account": "alice", "password": "a secret word"});
    world.made("/subscribers", phone).await;
    world
}

fn tried(world: &World, owner: NumberOwner, number: &str) -> TrialEnd {
    let published = world.control.published.lock().unwrap();
    let directory = &published.last().unwrap().directory;
    try_out(directory, owner, Direction::Ingress, Subject::Cld, number).unwrap().end
}

async fn delete(world: &World, path: &str) -> (u16, Value) {
    world.ask("DELETE", path, None, String::new()).await
}

async fn rules_are_tried_and_live_at_once(backend: Backend) {
    let world = filled(backend).await;
    let outside = json!({"trunk": "pbx", "direction": "in", "subject": "cld", "matches": "9.",
        "strip": 1, "then": "next", "note": "outside line"});
    let outside = world.made("/number-rules", outside).await;
    assert_eq!((&outside["position"], &outside["trunk"]), (&json!(10), &json!("pbx")));
    let service = json!({"direction": "in", "subject": "cld", "matches": "411", "strip": 3,
        "prepend": "+12055576061", "then": "as_is"});
    let service = world.made("/number-rules", service).await;
    let short = json!({"account": "alice", "direction": "in", "subject": "cld", "matches": "XX",
        "length_max": 2, "prepend": "0305550", "position": 5});
    world.made("/number-rules", short).await;

    let trial = world.get("/numbers/try?trunk=pbx&direction=in&subject=cld&number=9411").await;
    assert_eq!((&trial["result"], &trial["by_plan"]), (&json!("12055576061"), &json!(false)));
    let steps = trial["steps"].as_array().unwrap();
    let steps: Vec<_> = steps.iter().map(|s| (&s["rule"], &s["becomes"])).collect();
    let (first, second) = (json!("411"), json!("+12055576061"));
    assert_eq!(steps, [(&outside["id"], &first), (&service["id"], &second)]);
    let trial = world.get("/numbers/try?trunk=pbx&direction=in&subject=cld&number=23").await;
    assert_eq!(trial["result"], "4930555023");
    let trial = world.get("/numbers/try?trunk=pbx&direction=in&subject=cld&number=0").await;
    assert_eq!(trial["refused"], "It is no number: nothing follows the prefix.");

    let all = world.get("/number-rules").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 3);
    let its = world.get("/number-rules?trunk=pbx").await;
    assert_eq!(its["items"], json!([outside]));
    let everybodys = world.get("/number-rules?everybody=true").await;
    assert_eq!(everybodys["items"], json!([service]));

    let phone = {
        let published = world.control.published.lock().unwrap();
        let directory = &published.last().unwrap().directory;
        NumberOwner::Subscriber(directory.subscriber_by_username("desk").unwrap().id)
    };
    let number = |text: &str| TrialEnd::Number(text.parse().unwrap(), None);
    assert_eq!(tried(&world, phone, "411"), number("12055576061"));
    let path = format!("/number-rules/{}", service["id"]);
    assert_eq!(delete(&world, &path).await.0, 200);
    assert_eq!(tried(&world, phone, "411"), number("411"));
    assert_eq!(delete(&world, &path).await.0, 404);
}

async fn what_is_wrong_with_a_rule_is_told(backend: Backend) {
    let world = filled(backend).await;
    let rule = |change: Value| {
        let mut rule = json!({"direction": "in", "subject": "cld", "matches": "00."});
        rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        rule
    };
    for (change, field, what) in [
        (json!({"matches": "0(1)"}), "matches", "means nothing in a pattern"),
        (json!({"strip": 4}), "rule", "it strips 4 signs, but 00. also matches numbers of 3"),
        (json!({"subject": "cli", "then": "reject"}), "rule", "rejects called numbers only"),
        (json!({"then": "stop"}), "then", "next, plan, as_is, reject"),
        (json!({"direction": "up"}), "direction", "in (towards us), out (from us)"),
        (json!({"account": "alice", "trunk": "pbx"}), "account", "an account, a trunk or"),
        (json!({"subscriber": "desk", "direction": "out"}), "subject", "only cli has rules"),
        (json!({"position": 0}), "position", "from 1 to"),
    ] {
        let answer = world.post("/number-rules", rule(change)).await;
        let (status, _, at, detail) = World::told(&answer);
        assert_eq!((status, at), (422, field), "{answer:?}");
        assert!(detail.contains(what), "{detail}");
    }
    let nobody = world.post("/number-rules", rule(json!({"trunk": "gone"}))).await;
    assert_eq!(nobody.0, 404);
    assert_eq!(world.get("/number-rules").await["items"], json!([]));
}

async fn fill(world: &World, name: &str, how: &str, lines: &str) -> (u16, Value) {
    let path = format!("/number-lists/{name}/lines?how={how}");
    world.ask("POST", &path, None, lines.to_owned()).await
}

async fn a_list_blocks_who_it_is_used_for(backend: Backend) {
    let world = filled(backend).await;
    let list = world.made("/number-lists", json!({"name": "dear", "kind": "premium"})).await;
    assert_eq!(fill(&world, "dear", "add", "49900\n\n =4930123456 \n49137\n").await.1["lines"], 3);
    assert_eq!(fill(&world, "dear", "remove", "49137\n4913").await.1["lines"], 2);
    let lines = world.get("/number-lists/dear/lines?limit=1").await;
    assert_eq!(lines["items"].as_array().unwrap().len(), 1);
    let use_for = |account: Option<&str>, effect: &str| json!({"list": "dear", "account": account, "subject": "cld", "effect": effect});
    let blocked = world.made("/number-list-uses", use_for(None, "block")).await;
    let twice = world.post("/number-list-uses", use_for(None, "block")).await;
    assert_eq!(twice.0, 409, "{twice:?}");

    let alice = NumberOwner::Account(world.id("alice").await);
    let refusal = |world: &World, number: &str| match tried(world, alice, number) {
        TrialEnd::Number(_, refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let id = ListId(list["id"].as_u64().unwrap());
    let found = refusal(&world, "4990012");
    assert!(matches!(found, Some(NumberRefusal::Listed { list, .. }) if list == id), "{found:?}");
    assert_eq!(refusal(&world, "49301234567"), None);
    let path = "/numbers/try?account=alice&direction=in&subject=cld&number=4930123456";
    let sentence = format!(
        "The called number is on list dear ({id}) of premium numbers, which is blocked for everybody."
    );
    assert_eq!(world.get(path).await["refused"], sentence);

    world.made("/number-list-uses", use_for(Some("alice"), "allow")).await;
    assert_eq!(refusal(&world, "4990012"), None);
    let lists = world.get("/number-lists").await;
    assert_eq!((&lists["items"][0]["lines"], &lists["items"][0]["uses"]), (&json!(2), &json!(2)));
    let in_use = delete(&world, "/number-lists/dear").await;
    assert!(World::told(&in_use).3.contains("is used 2 times"), "{in_use:?}");
    for applied in world.get("/number-list-uses").await["items"].as_array().unwrap() {
        let path = format!("/number-list-uses/{}", applied["id"]);
        assert_eq!(delete(&world, &path).await.0, 200);
    }
    assert_eq!(blocked["subject"], "cld");
    assert_eq!(delete(&world, "/number-lists/dear").await.0, 200);
    assert_eq!(refusal(&world, "4990012"), None);
    assert_eq!(world.get("/number-lists").await["items"], json!([]));

    world.made("/number-lists", json!({"name": "dno", "kind": "do_not_originate"})).await;
    let wrong = json!({"list": "dno", "subject": "cld", "effect": "block"});
    let answer = world.post("/number-list-uses", wrong).await;
    assert_eq!(World::told(&answer).2, "subject");
}

async fn faults_of_a_list_name_their_rows(backend: Backend) {
    let world = filled(backend).await;
    world.made("/number-lists", json!({"name": "few"})).await;
    let answer = fill(&world, "few", "add", "49\n+44\n34x\n").await;
    assert_eq!(answer.0, 422, "{answer:?}");
    let rows: Vec<_> =
        answer.1["errors"].as_array().unwrap().iter().map(|error| &error["row"]).collect();
    assert_eq!(rows, [&json!(2), &json!(3)]);
    assert_eq!(world.get("/number-lists/few/lines").await["items"], json!([]));
    assert_eq!(fill(&world, "few", "replace", "1\n2").await.1["lines"], 2);
    assert_eq!(fill(&world, "few", "replace", "3").await.1["lines"], 1);
    assert_eq!(fill(&world, "few", "sort", "3").await.0, 422);
    assert_eq!(fill(&world, "few", "add", "@premium").await.1["lines"], 2);
    let number = world.get("/numbers/+499001234567").await;
    let expected = json!({"number": "499001234567", "class": "premium", "region": "DE",
        "lists": ["few"]});
    assert_eq!(number, expected);
    assert_eq!(world.get("/numbers/112").await["class"], json!(null));
    assert_eq!(fill(&world, "gone", "add", "3").await.0, 404);
}

/// A trunk that goes takes its rules and lists along; the snapshot after is what a new one would be.
async fn what_an_owner_takes_along(backend: Backend) {
    let world = filled(backend).await;
    for owner in ["trunk", "subscriber"] {
        let name = if owner == "trunk" { "pbx" } else { "desk" };
        let rule = json!({owner: name, "direction": "in", "subject": "cli", "matches": "0."});
        world.made("/number-rules", rule).await;
    }
    world.made("/number-lists", json!({"name": "few"})).await;
    let applied = json!({"list": "few", "trunk": "pbx", "subject": "cli", "effect": "allow_only"});
    world.made("/number-list-uses", applied).await;
    let has_policies = || {
        let published = world.control.published.lock().unwrap();
        published.last().unwrap().directory.has_number_policies()
    };
    assert!(has_policies());
    assert_eq!(delete(&world, "/trunks/pbx").await.0, 200);
    assert_eq!(delete(&world, "/subscribers/desk").await.0, 200);
    assert!(!has_policies());
    assert_eq!(world.get("/number-rules").await["items"], json!([]));
    assert_eq!(world.get("/number-list-uses").await["items"], json!([]));
    assert_eq!(delete(&world, "/number-lists/few").await.0, 200);
}
