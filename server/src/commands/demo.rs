//! The demo: something to call with, one minute after the first start. It is made through the API
//! like everything else, under fixed keys, so that a start that was cut short goes on where it was.
//! Its passwords are random and lie in `demo.json`, which only its owner can read.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use config::{Config, Transport};
use serde_json::{Value, json};

use super::client::{Client, escape, query};
use super::{Context, Outcome, print_json};

/// Where a SIPp that plays the carrier listens.
const CARRIER_PORT: u16 = 5080;
/// Where a SIPp that plays the customer's switch calls from.
const CUSTOMER_PORT: u16 = 5090;
/// Berlin numbers that the regulator keeps free for fiction.
const ALICE: &str = "493023125101";
const BOB: &str = "493023125102";
/// What the examples dial.
const DIALLED: &str = "442079460123";

const RATES: &str = "prefix,destination,price,connect_fee,first_increment,next_increment\n\
    44,United Kingdom,0.018,0,1,1\n\
    447,United Kingdom mobile,0.045,0,30,6\n\
    49,Germany,0.012,0,60,60\n\
    4915,Germany mobile,0.060,0,30,6\n\
    1,USA and Canada,0.009,0,6,6\n";
const COSTS: &str = "prefix,destination,price,connect_fee,first_increment,next_increment\n\
    44,United Kingdom,0.011,0,1,1\n\
    447,United Kingdom mobile,0.030,0,1,1\n\
    49,Germany,0.007,0,1,1\n\
    4915,Germany mobile,0.040,0,1,1\n\
    1,USA and Canada,0.005,0,1,1\n";

fn path(config: &Config) -> PathBuf {
    config.data_directory.join("demo.json")
}

/// Letters and digits without those that look alike.
pub(super) fn random_password() -> String {
    loop {
        let password = random_signs();
        // As the strictest policy wants it.
        let has = |is_one: fn(&u8) -> bool| password.as_bytes().iter().any(is_one);
        if has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit) {
            return password;
        }
    }
}

fn random_signs() -> String {
    const SIGNS: &[u8; 56] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut password = String::new();
    while password.len() < 20 {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        // Only whole multiples, so that no sign is likelier than another.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < SIGNS.len() * 4);
        password.extend(fair.map(|byte| char::from(SIGNS[usize::from(*byte) % SIGNS.len()])));
    }
    password.truncate(20);
    password
}

/// Fills an empty directory, and says how to call. Does nothing to one that has accounts of its
/// own.
pub(super) fn seed(context: &Context) -> Outcome {
    let config = &context.config;
    let client = Client::of(config)?;
    let file = path(config);
    let demo = if file.exists() {
        let demo = read(&file)?;
        if demo["complete"] == true {
            return Ok(());
        }
        demo
    } else {
        let accounts = client.get("/accounts")?;
        if accounts["items"].as_array().is_some_and(|items| !items.is_empty()) {
            return Ok(());
        }
        let (alice, bob) = (random_password(), random_password());
        let demo = json!({ "alice": alice, "bob": bob, "complete": false });
        write(&file, &demo)?;
        demo
    };
    fill(&client, &demo)?;
    let mut demo = demo;
    demo["complete"] = true.into();
    write(&file, &demo)?;
    print!("{}", text(config, &demo, &context.called_as));
    Ok(())
}

fn read(file: &Path) -> Result<Value, String> {
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| fail(&error))?;
    serde_json::from_str(&text).map_err(|error| fail(&error))
}

/// Never readable by others, and the old one or the new one after a crash.
fn write(file: &Path, demo: &Value) -> Outcome {
    use std::os::unix::fs::OpenOptionsExt;
    let new = file.with_extension("new");
    let fail = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut handle = options.open(&new).map_err(fail)?;
    handle.write_all(demo.to_string().as_bytes()).map_err(fail)?;
    handle.sync_all().map_err(fail)?;
    std::fs::rename(&new, file).map_err(fail)
}

/// Every command under a key of its own: what is there already is not made again.
fn fill(client: &Client, demo: &Value) -> Outcome {
    let post = |key: &str, path: &str, body: Value| {
        client.command_as("POST", path, &body, &format!("demo-{key}"))
    };
    for (group, rates) in [("retail", RATES), ("carrier-cost", COSTS)] {
        post(group, "/rate-groups", json!({ "name": group, "currency": "EUR" }))?;
        let parts = [("file", Some(format!("demo-{group}.csv")))];
        let path = format!("/rate-groups/{}/sheets{}", escape(group), query(&parts));
        client.upload_as(&path, rates.as_bytes(), &format!("demo-{group}-sheet"))?;
    }
    for (name, number) in [("alice", ALICE), ("bob", BOB)] {
        let account = json!({
            "name": name, "billing": "prepaid", "currency": "EUR", "rate_group": "retail",
            "local_price": "0.002", "calls_in_max": 5,
        });
        post(name, "/accounts", account)?;
        let subscriber = json!({
            "username": name, "password": demo[name], "account": name, "number": number,
        });
        post(&format!("{name}-phone"), "/subscribers", subscriber)?;
        let top_up = json!({ "amount": "10", "note": "demo balance" });
        post(&format!("{name}-money"), &format!("/accounts/{name}/topups"), top_up)?;
    }
    let wholesale = json!({
        "name": "wholesale", "billing": "postpaid", "currency": "EUR", "credit_limit": "100",
        "rate_group": "retail",
    });
    post("wholesale", "/accounts", wholesale)?;
    let customer = json!({
        "name": "wholesale", "account": "wholesale",
        "addresses": [format!("127.0.0.1:{CUSTOMER_PORT}")], "cps_in_max": 1000,
    });
    post("wholesale-trunk", "/trunks", customer)?;
    let carrier = json!({
        "name": "carrier", "billing": "postpaid", "currency": "EUR", "credit_limit": "0",
        "carrier_rate_group": "carrier-cost",
    });
    post("carrier", "/accounts", carrier)?;
    let trunk = json!({
        "name": "carrier", "account": "carrier", "host": "127.0.0.1", "port": CARRIER_PORT,
        "transport": "udp", "ring_timeout_s": 60,
    });
    post("carrier-trunk", "/trunks", trunk)?;
    for prefix in ["1", "44", "49"] {
        let route = json!({ "prefix": prefix, "trunk": "carrier" });
        post(&format!("route-{prefix}"), "/routes", route)?;
    }
    Ok(())
}

/// `tandem demo`.
pub(super) fn show(context: &Context) -> Outcome {
    let file = path(&context.config);
    if !file.exists() {
        let directory = context.config.data_directory.display();
        return Err(format!(
            "{directory} has no demo; it is made by `tandem run` in an empty data directory"
        ));
    }
    let demo = read(&file)?;
    if context.json {
        let sip = loopback_sip(&context.config).to_string();
        let phone = |name: &str, number: &str| json!({ "username": name, "password": demo[name], "number": number });
        print_json(&json!({
            "server": sip,
            "subscribers": [phone("alice", ALICE), phone("bob", BOB)],
            "carrier": format!("127.0.0.1:{CARRIER_PORT}"),
            "trunk_from": format!("127.0.0.1:{CUSTOMER_PORT}"),
            "dial": DIALLED,
        }));
    } else {
        print!("{}", text(&context.config, &demo, &context.called_as));
    }
    Ok(())
}

/// Where a caller on this machine finds the first UDP listener.
fn loopback_sip(config: &Config) -> SocketAddr {
    let udp = config.listeners.iter().find(|listener| listener.transport == Transport::Udp);
    let mut address = udp
        .or(config.listeners.first())
        .map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 5060)), |listener| listener.address);
    if address.ip() == IpAddr::from([0, 0, 0, 0]) {
        address.set_ip(IpAddr::from([127, 0, 0, 1]));
    }
    address
}

fn text(config: &Config, demo: &Value, tandem: &str) -> String {
    let sip = loopback_sip(config);
    let password = |name: &str| demo[name].as_str().unwrap_or_default().to_owned();
    let (alice, bob) = (password("alice"), password("bob"));
    let files = config.data_directory.join("demo.json");
    let files = files.display();
    let is_open = config.listeners.iter().any(|listener| !listener.address.ip().is_loopback());
    let elsewhere = if is_open {
        "\nOn another machine, put this machine's address in place of 127.0.0.1."
    } else {
        ""
    };
    format!(
        "
Tandem takes calls on {sip}. This demo is in it ({files} holds the passwords;
`{tandem} demo` shows all this again):

  phone   username  password              number
          alice     {alice}  {ALICE}   (prepaid, 10 EUR)
          bob       {bob}  {BOB}   (prepaid, 10 EUR)

Call with softphones. Register both with server {sip}, then dial {BOB} from alice's.{elsewhere}
With baresip, one line in ~/.baresip/accounts is a phone:

  <sip:alice@{sip};transport=udp>;auth_user=alice;auth_pass={alice}

Call with SIPp. First a carrier that answers, in a terminal of its own:

  sipp -sn uas -i 127.0.0.1 -p {CARRIER_PORT}

then a customer's switch, known by its address, that calls through it for five seconds:

  sipp -sn uac {sip} -i 127.0.0.1 -p {CUSTOMER_PORT} -s {DIALLED} -d 5000 -m 1

See what it cost, and why:

  {tandem} live
  {tandem} cdr
  {tandem} why CALL-ID
  {tandem} account show wholesale
  {tandem} simulate --from alice --to {DIALLED}

"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        let (a, b) = (random_password(), random_password());
        assert_eq!((a.len(), b.len()), (20, 20));
        assert_ne!(a, b);
        assert!(a.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn the_demo_says_how_to_call() {
        let config = Config::default();
        let demo = json!({ "alice": "A", "bob": "B" });
        let text = text(&config, &demo, "target/release/tandem");
        assert!(text.contains("sipp -sn uas -i 127.0.0.1 -p 5080"));
        assert!(text.contains("sipp -sn uac 127.0.0.1:5060 -i 127.0.0.1 -p 5090 -s 442079460123"));
        assert!(text.contains("auth_user=alice;auth_pass=A"));
        assert!(text.contains("\n  target/release/tandem cdr\n"));
    }
}
