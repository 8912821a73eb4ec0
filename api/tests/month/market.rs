//! Who takes part: resellers of three levels and their customers, carriers, prices, plans.

use serde_json::{Value, json};

use super::FIRST;
use super::random::Random;
use crate::world::World;

/// One account of the month.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    pub parent: Option<usize>,
    /// 1 to 3: a reseller; 0: a customer, who calls.
    pub reseller_level: u8,
    pub currency: &'static str,
    pub billing: &'static str,
    pub opening: i64,
}

/// Digits that customers call, each with its destination set.
pub const DESTINATIONS: [&str; 4] = ["4930", "4420", "3314", "1212"];

/// Rows of a sheet at so many percent of the list price. The fee and the increments make lines that
/// have to be rounded.
pub fn sheet(percent: i64) -> String {
    let mut sheet = "prefix,price,connect_fee,first_increment,next_increment\n".to_owned();
    for (prefix, price, fee, first, next) in
        [("49", 137, 7, 60, 1), ("44", 219, 0, 1, 1), ("33", 171, 13, 30, 6), ("1", 83, 3, 60, 60)]
    {
        // Prices have four decimals of their own and get two more.
        let micros = |price: i64| {
            let share = price * percent;
            format!("{}.{:06}", share / 1_000_000, share % 1_000_000)
        };
        sheet += &format!("{prefix},{},{},{first},{next}\n", micros(price), micros(fee));
    }
    sheet
}

/// Rate groups: what a customer pays, what a reseller of each level pays, what carriers take; in
/// percent of the list price.
const PERCENT: [i64; 4] = [100, 60, 75, 90];
const COST_PERCENT: [(&str, &str, i64); 3] =
    [("cost-a", "EUR", 40), ("cost-b", "USD", 42), ("cost-c", "EUR", 44)];

pub fn group(currency: &str, reseller_level: u8) -> String {
    format!("{}-level-{reseller_level}", currency.to_lowercase())
}

/// Draws the accounts: the first are resellers, one of the topmost keeps its books in dollars, and
/// whoever is below it does.
pub fn draw(accounts: usize, random: &mut Random) -> Vec<Member> {
    let counts = [(accounts / 150).max(2), (accounts / 50).max(4), (accounts / 16).max(6)];
    let mut members: Vec<Member> = Vec::new();
    for (level, count) in (1..).zip(counts) {
        for number in 0..count {
            let above: Vec<usize> =
                (0..members.len()).filter(|at| members[*at].reseller_level + 1 == level).collect();
            let parent = (level > 1).then(|| *random.one_of(&above));
            let own = if level == 1 && number == 0 { "USD" } else { "EUR" };
            let currency = parent.map_or(own, |parent| members[parent].currency);
            // One reseller of the lowest level runs out of money.
            let is_prepaid = level == 3 && number == 0;
            members.push(Member {
                name: format!("reseller-{level}-{number}"),
                parent,
                reseller_level: level,
                currency,
                billing: if is_prepaid { "prepaid" } else { "postpaid" },
                opening: if is_prepaid { 3 } else { 0 },
            });
        }
    }
    let resellers = members.len();
    for number in 0..accounts - resellers {
        let parent = (!random.is_one_in(10)).then(|| random.below(resellers));
        let is_prepaid = !random.is_one_in(3);
        members.push(Member {
            name: format!("customer-{number}"),
            parent,
            reseller_level: 0,
            currency: parent.map_or("EUR", |parent| members[parent].currency),
            billing: if is_prepaid { "prepaid" } else { "postpaid" },
            opening: if is_prepaid { 1 + random.below(20).cast_signed() as i64 } else { 0 },
        });
    }
    members
}

/// As a file of accounts.
fn file(members: &[Member]) -> String {
    let header = "name,billing,currency,parent,rate_group,credit_limit,opening_balance,allow_loss";
    let mut file = format!("{header}\n");
    for member in members {
        let parent = member.parent.map_or("", |parent| &members[parent].name);
        let limit = match (member.billing, member.reseller_level) {
            ("prepaid", _) => 0,
            (_, 0) => 40,
            _ => 1_000_000,
        };
        let group = group(member.currency, member.reseller_level);
        let Member { name, billing, currency, opening, .. } = member;
        file += &format!("{name},{billing},{currency},{parent},{group},{limit},{opening},yes\n");
    }
    file
}

pub async fn settle(world: &World, members: &[Member]) {
    let rate = json!({"from": "USD", "to": "EUR", "rate": "0.9173"});
    assert_eq!(world.post("/exchange-rates", rate).await.0, 200);
    let rate = json!({"from": "EUR", "to": "USD", "rate": "1.0901"});
    assert_eq!(world.post("/exchange-rates", rate).await.0, 200);
    for currency in ["EUR", "USD"] {
        for (level, percent) in (0..).zip(PERCENT) {
            let name = group(currency, level);
            world.made("/rate-groups", json!({"name": name, "currency": currency})).await;
            world.import(&name, sheet(percent), FIRST).await;
        }
    }
    for (number, (name, currency, percent)) in (1..).zip(COST_PERCENT) {
        world.made("/rate-groups", json!({"name": name, "currency": currency})).await;
        world.import(name, sheet(percent), FIRST).await;
        let carrier = format!("carrier-{number}");
        // The last of them also buys from us, and we settle the difference.
        let body = json!({"name": carrier, "billing": "postpaid", "currency": "EUR",
            "carrier_rate_group": name, "rate_group": group("EUR", 0), "credit_limit": "100",
            "netted": number == 3, "allow_loss": true});
        world.made("/accounts", body).await;
        let trunk = json!({"name": carrier, "account": carrier, "host": "192.0.2.1"});
        world.made("/trunks", trunk).await;
        for prefix in ["49", "44", "33", "1"] {
            world.made("/routes", json!({"prefix": prefix, "trunk": carrier})).await;
        }
    }
    let (status, answer) = world.ask("POST", "/accounts/import", None, file(members)).await;
    assert_eq!(status, 201, "{answer}");
    for (name, prefixes) in [("germany", ["49"]), ("britain", ["44"]), ("all", [""])] {
        world.made("/destination-sets", json!({"name": name, "prefixes": prefixes})).await;
    }
    for currency in ["EUR", "USD"] {
        plans(world, currency).await;
    }
    let all = json!({"name": "autumn", "destination_set": "britain", "percent": "7.5"});
    world.made("/discounts", all).await;
}

/// A plan's fee in micro-units, and how the month divides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tariff {
    /// 0.35 each day.
    Daily,
    /// 1.75 each seven days from the start.
    Weekly,
    /// 9.30 from the first of the month, 0.30 for each of its 31 days, with 20 minutes to Germany.
    Monthly,
}

impl Tariff {
    pub const ALL: [Tariff; 3] = [Tariff::Daily, Tariff::Weekly, Tariff::Monthly];

    pub fn plan(self, currency: &str) -> String {
        let word = match self {
            Tariff::Daily => "daily",
            Tariff::Weekly => "weekly",
            Tariff::Monthly => "monthly",
        };
        format!("{word}-{}", currency.to_lowercase())
    }

    /// What has been charged by the end of day `today`, less what was given back, to somebody who
    /// has it from day `since` to before day `until`; days count from 1.
    pub fn charged(self, since: i64, until: Option<i64>, today: i64) -> i128 {
        let end = until.unwrap_or(i64::MAX);
        let last = today.min(end - 1);
        if last < since {
            return 0;
        }
        // Days of periods that have begun; those after the end are given back when it is there.
        let begun = match self {
            Tariff::Daily => last,
            Tariff::Weekly => last + (6 - (last - since) % 7),
            Tariff::Monthly => 31,
        };
        let paid = if today >= end { last } else { begun };
        let day = match self {
            Tariff::Daily => 350_000,
            Tariff::Weekly => 250_000,
            Tariff::Monthly => 300_000,
        };
        i128::from(day * (paid - since + 1))
    }
}

async fn plans(world: &World, currency: &str) {
    let fee = |label: &str, amount: &str, every: &str, shortage: &str| {
        json!({"label": label, "amount": amount, "every": every, "shortage": shortage,
            "anchor": "start", "at_end": "by_day"})
    };
    let mut monthly = fee("Monthly fee", "9.30", "month", "retry");
    monthly["anchor"] = "1".into();
    let minutes = json!({"label": "20 minutes", "destination_set": "germany", "seconds": 1_200,
        "every": "month", "anchor": "1", "precedence": 5, "increment_s": 30});
    for (tariff, fee, bundles) in [
        (Tariff::Daily, fee("Daily fee", "0.35", "day", "suspend"), json!([])),
        (Tariff::Weekly, fee("Weekly fee", "1.75", "week", "debt"), json!([])),
        (Tariff::Monthly, monthly, json!([minutes])),
    ] {
        let plan: Value = json!({"name": tariff.plan(currency), "currency": currency,
            "fees": [fee], "bundles": bundles});
        world.made("/plans", plan).await;
    }
}
