//! Before a sheet is imported every row and every rate that changes can be read, page by page, and what is
//! left out of it is kept to the last row (B10, O1).
#![allow(clippy::unwrap_used)] // a test may

mod world;

use serde_json::{Value, json};
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    every_row_that_is_left_out_is_told_and_kept,
    every_rate_that_changes_is_listed_before_it_does,
    pages_are_asked_for_as_the_answer_says,
);

const SHEETS: &str = "/rate-groups/retail/sheets?file=r.csv";

async fn send(world: &World, query: &str, sheet: &str) -> (u16, Value) {
    world.ask("POST", &format!("{SHEETS}{query}"), None, sheet.to_owned()).await
}

/// All pages of a preview's list: the items, and how many each page had.
async fn pages(world: &World, query: &str, sheet: &str, list: &str) -> (Vec<Value>, Vec<usize>) {
    let (mut items, mut sizes, mut after) = (Vec::new(), Vec::new(), String::new());
    let rest = if list == "moves" { "moves_after" } else { "rows_after" };
    loop {
        let (status, answer) = send(world, &format!("&preview=true{query}{after}"), sheet).await;
        assert_eq!(status, 200, "{answer}");
        let page = answer[list].as_array().unwrap();
        sizes.push(page.len());
        items.extend(page.clone());
        match answer[format!("{list}_next")].as_str() {
            Some(next) => after = format!("&{rest}={next}"),
            None => {
                assert_eq!(answer[format!("{list}_untold")], 0);
                return (items, sizes);
            }
        }
    }
}

async fn every_row_that_is_left_out_is_told_and_kept(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    // A good row and 12,000 bad ones: more than one answer has, and than used to be kept.
    let sheet = format!("prefix,price\n49,1\n{}", "x,1\n".repeat(12_000));
    let (told, sizes) = pages(&world, "&rows=rejected", &sheet, "verdicts").await;
    assert_eq!(sizes, [10_000, 2_000]);
    let rows: Vec<u64> = told.iter().map(|verdict| verdict["row"].as_u64().unwrap()).collect();
    assert!(rows.iter().copied().eq(3..=12_002));

    let (status, stored) = send(&world, "&skip_rejected=true", &sheet).await;
    assert_eq!(
        (status, &stored["rejected"], &stored["accepted"]),
        (201, &json!(12_000), &json!(1))
    );
    let path = format!("/rate-sheets/{}/rejected", stored["id"]);
    let first = world.get(&path).await;
    assert_eq!(first["next"], "10000");
    let last = world.get(&format!("{path}?after=10000")).await;
    assert_eq!(last["next"], Value::Null);
    let kept = [&first, &last].map(|page| page["items"].as_array().unwrap().clone()).concat();
    assert_eq!(kept, told);
    // Pages begin and end anywhere.
    let some = world.get(&format!("{path}?after=499&limit=502")).await;
    assert_eq!(
        (some["items"].as_array().unwrap(), &some["next"]),
        (&told[499..1_001].to_vec(), &json!("1001"))
    );
    let beyond = world.get(&format!("{path}?after=12000")).await;
    assert_eq!(beyond, json!({"items": [], "next": null}));
    let nowhere = world.ask("GET", "/rate-sheets/99/rejected", None, String::new()).await;
    assert_eq!(nowhere.0, 404);
}

async fn every_rate_that_changes_is_listed_before_it_does(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    world.sheet("retail", "1,1 33,1 44,1 49,1 4930,1 7,1").await;
    world.control.advance(1_000_000);
    // 7 is left out, 1 stays, 33 and 49 rise, 44 and 4930 fall, 81 and 86 are new.
    let sheet = "prefix,price\n1,1\n33,2\n44,0.5\n49,2\n4930,0.5\n81,1\n86,1\n";
    let listed = |items: &[Value]| {
        let of = |item: &Value| {
            let text = |field: &str| item[field].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} {} {}",
                text("prefix"),
                text("change"),
                text("price_before"),
                text("price_after")
            )
        };
        items.iter().map(of).collect::<Vec<_>>()
    };
    let (moves, sizes) = pages(&world, "&full=true&moves=all&limit=3", sheet, "moves").await;
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(
        listed(&moves),
        [
            "33 increase 1 2",
            "44 decrease 1 0.5",
            "49 increase 1 2",
            "4930 decrease 1 0.5",
            "7 removed 1 -",
            "81 new - 1",
            "86 new - 1",
        ]
    );
    assert_eq!(moves[0]["short_notice"], true, "an increase at once is sooner than agreed");
    let asked = "&full=true&moves=new,%20removed&limit=2";
    let (some, sizes) = pages(&world, asked, sheet, "moves").await;
    assert_eq!(sizes, [2, 1]);
    assert_eq!(listed(&some), ["7 removed 1 -", "81 new - 1", "86 new - 1"]);
    // Without being asked a preview counts them.
    let (_, plain) = send(&world, "&preview=true&full=true", sheet).await;
    assert_eq!((&plain["moves"], &plain["moves_untold"]), (&json!([]), &json!(7)));
    let counts = ["increased", "decreased", "removed", "added", "unchanged"];
    assert_eq!(counts.map(|count| plain[count].as_u64().unwrap()), [2, 2, 1, 2, 1]);
    assert_eq!(world.get("/rate-sheets").await["items"].as_array().unwrap().len(), 1);

    let (status, stored) = send(&world, "&full=true", sheet).await;
    assert_eq!(
        (status, counts.map(|count| stored[count].as_u64().unwrap())),
        (201, [2, 2, 1, 2, 1])
    );
}

async fn pages_are_asked_for_as_the_answer_says(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let sheet = "prefix,price\n49,1\n";
    for (query, field) in [
        ("&preview=true&moves=up", "moves"),
        ("&preview=true&moves=all&moves_after=49", "moves_after"),
        ("&preview=true&rows=some", "rows"),
        ("&moves=all", "moves"),
        ("&rows_after=1", "rows_after"),
    ] {
        let answer = send(&world, query, sheet).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{query}");
    }
    assert_eq!(world.get("/rate-sheets").await["items"], json!([]), "none was imported");
}
