//! The bench of rate decks (DESIGN section 9): a million rows read, judged, compared with the rates in
//! force, stored and loaded, beside a plain loop that only splits and parses the same bytes in the
//! same run; then a lookup among 300,000 prefixes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use billing::RateGroupId;
use sheets::{Defaults, Layout, Taking, compare, interpret};
use store::Database;
use store::directory::{DirectoryStore, RateGroup};
use store::rate_deck::NewSheet;
use vocabulary::{Number, Utc};

const NOW: Utc = Utc(1_795_248_000_000_000);

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    runtime.block_on(run());
}

/// A deck of `count` rows as a carrier writes it: a name, a code of 4 to 9 digits, a price.
fn deck(count: u32) -> String {
    let mut text = String::from("Destination,Code,Price,Increments,Effective Date\n");
    for row in 0..count {
        let (country, network) = (20 + row % 70, row / 70);
        let price = 1_000 + u64::from(row) * 7_919 % 900_000;
        let pair = ["60/60", "1/1", "30/6", "60/1"][row as usize % 4];
        let line = format!(
            "Country {country} network {},{country}{network:05},0.{price:06},{pair},2026-12-01\n",
            network % 300
        );
        text.push_str(&line);
    }
    text
}

/// What any reader has to do: find the cells, parse one number of each row.
fn plain(text: &str) -> u64 {
    let mut sum = 0;
    for line in text.lines().skip(1) {
        let mut cells = line.split(',');
        let code = cells.nth(1).and_then(|code| code.parse::<u64>().ok());
        let price = cells.next().and_then(|price| price.parse::<f64>().ok());
        sum += code.unwrap_or(0) + price.map_or(0, |price| (price * 1e6) as u64);
    }
    sum
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    let took = start.elapsed();
    println!("{what:<44} {:>9.3} s", took.as_secs_f64());
    (done, took)
}

async fn run() {
    let text = deck(1_000_000);
    println!("1,000,000 rows, {} bytes", text.len());
    let (_, loop_took) = timed("plain loop: split and parse", || black_box(plain(&text)));

    let dir = tempfile::tempdir().expect("a directory can be made");
    let database = Database::File(dir.path().join("tandem.db"));
    database.open().await.expect("the database opens").close().await;
    let store = DirectoryStore::open(&database).await.expect("the directory opens");
    let mut change = store.begin().await.expect("a command begins");
    let group = RateGroup::new("deck", "EUR");
    let group = change.add_rate_group(group).await.expect("the group is new");
    change.commit().await.expect("the group is stored");

    let start = Instant::now();
    let (mut reading, _) = timed("read, a verdict for every row", || {
        interpret(text.as_bytes(), &Layout::default(), &Defaults::default(), NOW)
            .expect("the deck reads")
    });
    assert_eq!(reading.tally.accepted, 1_000_000);
    let book = store.book(&group).await.expect("the book loads");
    let taking = Taking { is_full: true, from: NOW, now: NOW, notice_days: 7 };
    let defaults = group.compared_by().expect("the group has none");
    let (difference, _) = timed("compare", || compare(&book, &mut reading.deck, &defaults, taking));
    let storing = Instant::now();
    let mut change = store.begin().await.expect("a command begins");
    let sheet = NewSheet {
        file: "deck.csv",
        sha256: store::rate_deck::fingerprint(text.as_bytes()),
        vendor: "",
        deck: &reading.deck,
        is_full: false,
        begins_at: NOW,
        tally: reading.tally,
        movements: difference.movements,
    };
    change.add_sheet(&group, &sheet, [], NOW).await.expect("the sheet is stored");
    println!("{:<44} {:>9.3} s", "store", storing.elapsed().as_secs_f64());
    let loading = Instant::now();
    let rates = change.rate_book(None).await.expect("the group loads");
    println!("{:<44} {:>9.3} s", "load into the rate book", loading.elapsed().as_secs_f64());
    change.commit().await.expect("the sheet is stored");
    let all = start.elapsed();
    let ratio = all.as_secs_f64() / loop_took.as_secs_f64();
    println!(
        "{:<44} {:>9.3} s, {ratio:.1} plain loops",
        "import in all (at most 5 s)",
        all.as_secs_f64()
    );
    drop(rates);
    lookups(&store, &group).await;
}

/// 300,000 prefixes: nanoseconds a lookup and bytes a prefix.
async fn lookups(store: &DirectoryStore, group: &RateGroup) {
    let text = deck(300_000);
    let reading = interpret(text.as_bytes(), &Layout::default(), &Defaults::default(), NOW)
        .expect("the deck reads");
    let small = RateGroup { name: "small".into(), ..group.clone() };
    let mut change = store.begin().await.expect("a command begins");
    let small = change.add_rate_group(small).await.expect("the group is new");
    let sheet = NewSheet {
        file: "small.csv",
        sha256: [0; 32],
        vendor: "",
        deck: &reading.deck,
        is_full: false,
        begins_at: NOW,
        tally: reading.tally,
        movements: sheets::Movements::default(),
    };
    change.add_sheet(&small, &sheet, [], NOW).await.expect("the sheet is stored");
    let rates = change.rate_book(None).await.expect("the groups load");
    let id = RateGroupId(u32::try_from(small.id).expect("ids are small"));
    let loaded = rates.group(id).expect("the group is there");
    let at = Utc(NOW.0 + 30 * 86_400_000_000);
    // Numbers in an order that no cache foresees.
    let numbers: Vec<Number> = (0..1_000_000_u64)
        .map(|n| {
            let row = n.wrapping_mul(2_654_435_761) % 300_000;
            format!("{}{:05}{:04}", 20 + row % 70, row / 70, n % 10_000)
        })
        .map(|digits| digits.parse().expect("digits are a number"))
        .collect();
    let start = Instant::now();
    let found = numbers.iter().filter(|number| loaded.lookup(number, at).is_some()).count();
    let took = start.elapsed();
    assert_eq!(found, numbers.len());
    println!(
        "lookup among 300,000 prefixes: {:.0} ns (at most 300), {} bytes a prefix (at most 100)",
        took.as_nanos() as f64 / numbers.len() as f64,
        loaded.bytes() / loaded.len()
    );
}
