//! What `--everything` adds to the bench's Tandem: a price with every rule, a reseller, five carriers by
//! cost, free minutes, a discount, a caller-ID pool, number rules, lists and limits. Each of them has its
//! say in every call of the bench.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::sipp::{CLD, UAS_PORT};

/// Carriers that a call may go to; the last one is the cheapest.
const CARRIERS: u32 = 5;

/// The commands, with the files that they name in `dir`. The account `load`, its phone, its money and the
/// rate group `standard` come from the caller.
///
/// # Errors
/// A file that cannot be written.
pub(crate) fn commands(dir: &Path) -> Result<Vec<String>, String> {
    let write = |name: &str, content: &serde_json::Value| {
        let file = dir.join(name);
        fs::write(&file, content.to_string()).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok::<String, String>(file.display().to_string())
    };
    let retail = write("retail.json", &retail())?;
    let wholesale = write("wholesale.json", &plain("0.55"))?;
    let plan = write("plan.json", &plan())?;
    let prefix = &CLD[..2];
    let mut commands = vec![
        format!("rates import {retail} --group retail"),
        format!("rates import {wholesale} --group wholesale"),
        "account add reseller --postpaid --credit-limit 1000000 --rate-group wholesale".to_owned(),
        "account set load --parent reseller --rate-group retail".to_owned(),
        "account set load --in-concurrent 100000 --in-cps 100000 --spend-day-max 10000000 \
         --spend-month-max 10000000 --low-balance 10,5 --call-seconds-max 7200"
            .to_owned(),
        format!("destination set everywhere {prefix} 49"),
        "discount add Summer 10 --destinations everywhere".to_owned(),
        format!("plan add {plan}"),
        "plan subscribe load minutes".to_owned(),
        "account caller-id load --pool replace_unless_stored --default-number 442079460100"
            .to_owned(),
        "account add-cli load 442079460100 442079460101".to_owned(),
        "number rule add 00. --account load --direction in --strip 2 --then next".to_owned(),
        "number rule add 118XXX --account load --direction in --prepend 49 --then next".to_owned(),
        format!("number rule add {prefix}. --account load --direction in --then next"),
        "number list add swindlers".to_owned(),
        "number list fill swindlers 252 371 375 @premium".to_owned(),
        "number list use swindlers --subject cld --effect block".to_owned(),
        "number list add never-calls --kind do_not_originate".to_owned(),
        "number list fill never-calls =442079460999 =442079460998".to_owned(),
        "number list use never-calls --subject cli --effect block".to_owned(),
    ];
    for carrier in 1..=CARRIERS {
        let cost = write(&format!("cost{carrier}.json"), &plain(&format!("0.{}", 50 - carrier)))?;
        commands.extend([
            format!("rates import {cost} --group cost{carrier}"),
            format!("account add carrier{carrier} --postpaid --carrier-rate-group cost{carrier}"),
            format!(
                "trunk add carrier{carrier} --account carrier{carrier} --host 127.0.0.1 \
                 --port {UAS_PORT} --transport udp --out-concurrent 100000 --out-cps 100000"
            ),
            format!("number rule add {prefix}. --trunk carrier{carrier} --direction out"),
            format!("route add {prefix} --trunk carrier{carrier}"),
        ]);
    }
    Ok(commands)
}

fn plain(price: &str) -> serde_json::Value {
    let row = |prefix: &str| {
        json!({ "prefix": prefix, "destination": "Everywhere", "price": price,
                "first_increment": 1, "next_increment": 1 })
    };
    json!({ "currency": "EUR", "destinations": [row("44"), row("49")] })
}

/// Every rule that a price can have, none of which makes the call free.
fn retail() -> serde_json::Value {
    let night = json!({ "name": "night", "from": "22:00", "till": "06:00", "price": "0.58" });
    let holiday = json!({ "name": "holiday", "days": ["holiday"], "from": "00:00", "till": "24:00",
                          "price": "0.57" });
    let origin = json!({ "name": "from Germany", "prefixes": ["49"], "price": "0.70" });
    let row = |prefix: &str| {
        json!({ "prefix": prefix, "destination": "Everywhere", "price": "0.60",
                "connect_fee": "0.01", "first_increment": 1, "next_increment": 1,
                "minimum_charge": "0.001", "periods": [holiday, night], "origins": [origin],
                "surcharges": [{ "name": "access", "amount": "0.005" },
                               { "name": "fund", "percent": "5" }],
                "cap": { "amount": "20", "after": "free" } })
    };
    json!({ "currency": "EUR", "time_zone": "Europe/Berlin", "holidays": ["2026-12-25"],
            "periods_apply": "each_increment", "rounding": { "mode": "half_up", "decimals": 6 },
            "destinations": [row("44"), row("49")] })
}

/// Free minutes that outlast the bench; the fees and surcharges of a call are still money.
fn plan() -> serde_json::Value {
    json!({ "name": "minutes", "currency": "EUR",
            "fees": [{ "label": "Monthly fee", "amount": "9.90", "every": "month" }],
            "bundles": [{ "label": "Many minutes", "destination_set": "everywhere",
                          "seconds": 100_000_000_u64, "every": "month" }] })
}
