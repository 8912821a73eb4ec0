//! Three nodes on one PostgreSQL and one prepaid account whose money is always nearly used up: calls
//! on each, nodes killed at random and started again, one paused for longer than its leases hold, one
//! left dead for so long. The carrier calls too, with what it earns by these calls and nothing else
//! (A-02), and is paid some of it. Now and then one of the nodes sells the customer a bundle of seconds
//! (V-04), which calls on all nodes use up. Neither account is ever overdrawn, no second of a bundle is
//! used twice and its end is told once, every call that a caller saw answered has its CDRs once, what a
//! dead node cannot have used is free again within its time, and the books are in order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::crash::{collect_answered, messages, seed};
use crate::load::{self, Killed, Options};
use crate::postgres::Cluster;
use crate::scenarios::scenario::{Setup, port};
use crate::scenarios::tandem::{Tandem, password};

const BASE_PORT: u16 = 21_000;
const NODES: u16 = 3;
/// Calls a second on each node, and those of the carrier: a little more than its earnings pay for.
const RATE: u32 = 15;
const CARRIER_RATE: u32 = 8;
/// The carrier calls this number over another one.
const CARRIER_CALLS: &str = "441619460000";
const TTL: Duration = Duration::from_secs(4);
/// A silent node is noticed within this after its time.
const NOTICED: Duration = Duration::from_secs(2);
/// Calls talk for 1.2 s.
const LAST_CALLS: Duration = Duration::from_secs(4);
/// How long the tables may lag, and leases take to go back, after the last call.
const SETTLE_MAX: Duration = Duration::from_secs(25);
const DATABASE: &str = "nodes";
/// What is paid in at a time, by one node after the other, and how long that may take.
const TOP_UP: &str = "0.25";
const TOP_UP_MAX: Duration = Duration::from_secs(3);
/// The carrier is paid so much at a time, once in so many top-ups.
const PAYOUT: &str = "0.03";
const PAYOUT_EVERY: u32 = 4;

/// A bundle is so large: used up in some seconds by calls on all nodes.
const BUNDLE_S: u32 = 240;
/// The last seconds of all are used within this.
const USED_UP_MAX: Duration = Duration::from_secs(30);

/// `[SECONDS] [--kills N] [--binary PATH] [--keep]`.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let mut kills = 4;
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if *arg == "--kills" {
            let text = args.next().ok_or("--kills needs a number")?;
            kills = text.parse().map_err(|_| format!("--kills {text} is no number"))?;
        } else {
            rest.push(*arg);
        }
    }
    let options = Options::read(&rest, "seconds", 12)?;
    options.in_folder("nodes", |dir| Nodes::start(&options, dir)?.run(options.count, kills))
}

struct Node {
    tandem: Tandem,
    dir: PathBuf,
    base: u16,
    /// The customer's, and the carrier's.
    callers: Option<[Killed; 2]>,
    /// How often they began to call.
    rounds: u32,
    is_paused: bool,
}

impl Node {
    /// The numbers of the files with what the callers of this round have said and heard.
    fn message_files(&self) -> [u32; 2] {
        [2 * self.rounds, 2 * self.rounds + 1]
    }
}

struct Nodes {
    cluster: Arc<Cluster>,
    nodes: Vec<Node>,
    _carriers: [Killed; 2],
    random: u64,
    answered: BTreeSet<String>,
    top_ups: u32,
    bundles: u32,
}

impl Nodes {
    fn start(options: &Options, dir: &Path) -> Result<Nodes, String> {
        let cluster = Cluster::start()?;
        let url = cluster.create(DATABASE)?;
        let binary = fs::canonicalize(&options.binary).map_err(|error| error.to_string())?;
        let mut nodes = Vec::new();
        for number in 0..NODES {
            let (dir, base) = (dir.join(format!("node-{number}")), BASE_PORT + 100 * number);
            fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
            let config = config(base, &url, number);
            let tandem = Tandem::start_configured(&binary, &dir, base, &config)?;
            nodes.push(Node { tandem, dir, base, callers: None, rounds: 0, is_paused: false });
        }
        // What one node is told is known to all.
        nodes[0].tandem.provision(&Setup::default())?;
        nodes[0].tandem.command("account set carrier-a --rate-group standard --netted yes")?;
        let subscriber =
            format!("subscriber add 1008 --account carrier-a --password {}", password("1008"));
        nodes[0].tandem.command(&subscriber)?;
        nodes[0].tandem.command("route add 441 --trunk carrier-b")?;
        let carrier = |port| {
            let mut carrier = load::sipp(&nodes[0].dir, BASE_PORT, "uas.xml", port)?;
            carrier.spawn().map(Killed).map_err(load::no_sipp)
        };
        let carriers = [carrier("carrier-a")?, carrier("carrier-b")?];
        let random = seed();
        println!("nodes: seed {random}");
        let (cluster, answered) = (Arc::new(cluster), BTreeSet::new());
        let _carriers = carriers;
        Ok(Nodes { cluster, nodes, _carriers, random, answered, top_ups: 0, bundles: 0 })
    }

    fn run(&mut self, seconds: u32, kills: u32) -> Result<(), String> {
        let watch = Watch::start(Arc::clone(&self.cluster));
        let outcome = self.under_load(seconds, kills).map_err(|why| self.explained(&why));
        let (samples, lowest) = watch.stop();
        outcome?;
        if lowest < 0 {
            return Err(format!("the account was overdrawn: {lowest} micro-units"));
        }
        self.stop_calling();
        self.settled().map_err(|why| self.explained(&why))?;
        for node in &self.nodes {
            node.tandem.command("ledger check").map_err(|why| self.explained(&why))?;
        }
        let (of_carrier, payouts) = self.of_carrier()?;
        println!("nodes: {}", self.of_bundles()?);
        println!(
            "nodes: {} answered calls, each with its CDRs once, {of_carrier} of them the carrier's, \
             which was paid {payouts} times; \
             lowest of {samples} balances {lowest} micro-units; ledger in order on all nodes",
            self.answered.len()
        );
        Ok(())
    }

    fn under_load(&mut self, seconds: u32, kills: u32) -> Result<(), String> {
        self.top_up()?;
        for number in 0..self.nodes.len() {
            self.call(number)?;
        }
        let pause = Duration::from_millis(u64::from(seconds) * 1000 / u64::from(kills.max(1)));
        for kill in 0..kills {
            self.pay_for(pause.mul_f32(0.7))?;
            let number = self.pick();
            // Sold by another one, and used by all: the node dies with some of it.
            self.sell_bundle(number + 1)?;
            self.pay_for(Duration::from_secs(1))?;
            self.stop_calling_by(number, |tandem| tandem.kill());
            self.pay_for(pause.mul_f32(0.3))?;
            self.nodes[number].tandem.launch()?;
            self.call(number)?;
            println!("kill {}: node {number} is back", kill + 1);
        }
        self.paused()?;
        self.left_dead()?;
        self.use_up()
    }

    /// Its answered calls and how often it was paid. It had no money but what it earned.
    fn of_carrier(&self) -> Result<(u32, u32), String> {
        let count = |sql: &str| match self.cluster.psql(DATABASE, sql)?.parse() {
            Ok(0) | Err(_) => Err(format!("the carrier has earned nothing to use: {sql}")),
            Ok(count) => Ok(count),
        };
        let calls = "SELECT count(*) FROM cdr JOIN account a ON a.id = cdr.account_id \
                     WHERE a.name = 'carrier-a' AND leg = 0 AND answered_at IS NOT NULL";
        Ok((count(calls)?, count("SELECT count(*) FROM posting WHERE kind = 'payout'")?))
    }

    /// A node that is stopped for longer than its leases hold finds its own part as it left it.
    fn paused(&mut self) -> Result<(), String> {
        let number = self.pick();
        self.sell_bundle(number + 1)?;
        self.pay_for(Duration::from_secs(1))?;
        self.nodes[number].tandem.signal("-STOP");
        self.nodes[number].is_paused = true;
        self.pay_for(TTL + NOTICED)?;
        self.is_cut(number)?;
        self.nodes[number].tandem.signal("-CONT");
        self.nodes[number].is_paused = false;
        self.pay_for(Duration::from_secs(2))?;
        self.state(number, "up")?;
        println!("paused: node {number} was silent for longer than its leases hold, and is back");
        Ok(())
    }

    /// What a dead node cannot have used is free within its time, and the rest when it is back.
    fn left_dead(&mut self) -> Result<(), String> {
        let number = self.pick();
        self.sell_bundle(number + 1)?;
        self.pay_for(Duration::from_secs(1))?;
        self.stop_calling_by(number, |tandem| tandem.kill());
        let died = Instant::now();
        while self.is_cut(number).is_err() {
            if died.elapsed() > TTL + NOTICED {
                return self.is_cut(number);
            }
            self.pay_for(Duration::from_millis(200))?;
        }
        println!(
            "left dead: what node {number} cannot have used is free after {} ms",
            died.elapsed().as_millis()
        );
        self.nodes[number].tandem.launch()
    }

    /// Also the seconds that the dead node had: they are used to the last one.
    fn use_up(&mut self) -> Result<(), String> {
        let until = Instant::now() + USED_UP_MAX;
        loop {
            let sql = "SELECT id, granted_s - used_s FROM bundle WHERE used_s < granted_s";
            let left = self.cluster.psql(DATABASE, sql)?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("not used up: {left}"));
            }
            self.pay_for(Duration::from_millis(500))?;
        }
    }

    fn is_cut(&self, number: usize) -> Result<(), String> {
        self.state(number, "down")?;
        let sql = format!(
            "SELECT count(*) FROM node WHERE name = 'node-{number}' AND (EXISTS (SELECT 1 FROM lease \
             WHERE lease.node = node.id AND granted <> claimed) OR EXISTS (SELECT 1 FROM bundle_lease b \
             WHERE b.node = node.id AND granted_s <> claimed_s))"
        );
        match self.cluster.psql(DATABASE, &sql)?.as_str() {
            "0" => Ok(()),
            _ => Err(format!("leases of node {number} hold what it cannot have used")),
        }
    }

    fn state(&self, number: usize, expected: &str) -> Result<(), String> {
        let sql = format!("SELECT state FROM node WHERE name = 'node-{number}'");
        let state = self.cluster.psql(DATABASE, &sql)?;
        if state == expected { Ok(()) } else { Err(format!("node {number} is {state}")) }
    }

    fn call(&mut self, number: usize) -> Result<(), String> {
        let node = &mut self.nodes[number];
        node.rounds += 1;
        let begin = |user, port, rate: u32, round| {
            let mut caller = load::sipp_as(user, &node.dir, node.base, "uac.xml", port)?;
            caller.args(["-m", "100000", "-r", &rate.to_string(), "-d", "1200"]);
            caller.args(["-trace_msg", "-message_file", &messages(round)]);
            Ok::<_, String>(caller)
        };
        let [of_customer, of_carrier] = node.message_files();
        let mut customer = begin("1001", "caller", RATE, of_customer)?;
        let mut carrier = begin("1008", "caller2", CARRIER_RATE, of_carrier)?;
        carrier.args(["-s", CARRIER_CALLS]);
        let spawn = |caller: &mut Command| caller.spawn().map(Killed).map_err(load::no_sipp);
        node.callers = Some([spawn(&mut customer)?, spawn(&mut carrier)?]);
        Ok(())
    }

    /// SIPp places no more calls after SIGUSR1, and ends when the live ones have ended.
    fn stop_calling(&mut self) {
        for caller in self.nodes.iter().filter_map(|node| node.callers.as_ref()).flatten() {
            let _ = Command::new("kill").args(["-USR1", &caller.0.id().to_string()]).status();
        }
        std::thread::sleep(LAST_CALLS);
        for number in 0..self.nodes.len() {
            self.stop_calling_by(number, |_| {});
        }
    }

    /// The caller goes after its node, so that it has heard all that the node said.
    fn stop_calling_by(&mut self, number: usize, stop: impl FnOnce(&mut Tandem)) {
        let node = &mut self.nodes[number];
        stop(&mut node.tandem);
        node.callers = None;
        for file in node.message_files() {
            collect_answered(&node.dir, file, &mut self.answered);
        }
    }

    /// Time goes by, and a little money comes in, so that calls are let in and refused all the time.
    fn pay_for(&mut self, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.top_up()?;
            self.pay_out();
            std::thread::sleep(Duration::from_millis(150).min(until - Instant::now().min(until)));
        }
        Ok(())
    }

    /// By the first node that answers, beginning with another one each time. Tried for a while: a node
    /// that is stopped amid a transaction has rows locked until the database takes it for gone.
    fn top_up(&mut self) -> Result<(), String> {
        self.top_ups += 1;
        let line = format!("topup retail {TOP_UP} --key nodes-test-{}", self.top_ups);
        let first = self.top_ups as usize;
        let mut why = String::new();
        let until = Instant::now() + TOP_UP_MAX;
        for turn in (0..).take_while(|turn| *turn < self.nodes.len() || Instant::now() < until) {
            let node = &self.nodes[(first + turn) % self.nodes.len()];
            let takes = node.tandem.is_up() && !node.is_paused;
            match takes.then(|| node.tandem.command(&line)) {
                Some(Ok(_)) => return Ok(()),
                Some(Err(error)) => why = error,
                None => {}
            }
        }
        Err(format!("no node takes a top-up: {why}"))
    }

    /// By the first node from this one on that can. Each is for a set of its own, for a set is given away
    /// once a day.
    fn sell_bundle(&mut self, first: usize) -> Result<(), String> {
        self.bundles += 1;
        let set = format!("everywhere-{}", self.bundles);
        let lines = [
            format!("destination set {set} 44"),
            format!("plan compensate retail --destinations {set} --seconds {BUNDLE_S}"),
        ];
        let count = self.nodes.len();
        let is_able = |number: &usize| {
            let node = &self.nodes[*number];
            node.tandem.is_up() && !node.is_paused
        };
        let number = (first..first + count).map(|number| number % count).find(is_able);
        let number = number.ok_or("no node is up to sell a bundle")?;
        for line in lines {
            self.nodes[number].tandem.command(&line)?;
        }
        Ok(())
    }

    /// No second was used that was not given, or twice; every node used some; and that the last one was
    /// used is told once.
    fn of_bundles(&self) -> Result<String, String> {
        let ask = |sql: &str| self.cluster.psql(DATABASE, sql);
        let wrong =
            ask("SELECT id, granted_s, used_s, leased_s FROM bundle b WHERE used_s > granted_s \
             OR leased_s <> 0 OR used_s <> (SELECT coalesce(sum(seconds), 0) FROM bundle_use u \
             WHERE u.bundle_id = b.id)")?;
        let twice = ask("SELECT bundle_id FROM account_event WHERE kind = 'bundle_exhausted' \
             GROUP BY bundle_id HAVING count(*) > 1")?;
        let of_cdrs = ask("SELECT CAST(coalesce(sum(bundle_us), 0) / 1000000 AS BIGINT) - \
             (SELECT CAST(coalesce(sum(used_s), 0) AS BIGINT) FROM bundle) FROM cdr WHERE leg = 0")?;
        for (is_wrong, what) in [
            (!wrong.is_empty(), format!("bundles are not used as calls say: {wrong}")),
            (!twice.is_empty(), format!("told twice to be used up: {twice}")),
            (of_cdrs.parse() != Ok(0), format!("CDRs less bundles: {of_cdrs} s")),
        ] {
            if is_wrong {
                return Err(what);
            }
        }
        let users = ask("SELECT count(DISTINCT node) FROM bundle_lease WHERE spent_s > 0")?;
        if users != NODES.to_string() {
            return Err(format!("only {users} nodes used bundles"));
        }
        let told = ask("SELECT count(*) FROM account_event WHERE kind = 'bundle_exhausted'")?;
        let used = ask("SELECT sum(used_s) FROM bundle")?;
        if told == "0" {
            return Err("nobody was told that the last bundle is used up".to_owned());
        }
        Ok(format!(
            "all {used} s of {} bundles used by {users} nodes, none twice; told {told} times",
            self.bundles
        ))
    }

    /// Refused if it was not earned, or is leased to the carrier's calls.
    fn pay_out(&self) {
        let first = self.top_ups as usize;
        let node = &self.nodes[first % self.nodes.len()];
        if self.top_ups.is_multiple_of(PAYOUT_EVERY) && node.tandem.is_up() && !node.is_paused {
            let key = format!("nodes-test-payout-{}", self.top_ups);
            let _ = node.tandem.command(&format!("payout carrier-a {PAYOUT} --key {key}"));
        }
    }

    /// Waits until all that happened is in the tables, and nothing is leased any more.
    fn settled(&self) -> Result<(), String> {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            match self.wrong()? {
                None => return Ok(()),
                Some(why) if Instant::now() > deadline => return Err(why),
                Some(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn wrong(&self) -> Result<Option<String>, String> {
        let ask = |sql: &str| self.cluster.psql(DATABASE, sql);
        let pending =
            ask("SELECT account_id, debits_pending, credits_pending FROM account_balance \
             WHERE debits_pending <> 0 OR credits_pending <> 0")?;
        let leased =
            ask("SELECT node, account_id, granted - spent FROM lease WHERE granted <> spent \
             UNION ALL SELECT node, bundle_id, granted_s - spent_s FROM bundle_lease \
             WHERE granted_s <> spent_s")?;
        let legs =
            ask("SELECT sip_call_id FROM cdr AS i WHERE leg = 0 AND answered_at IS NOT NULL \
             AND 1 <> (SELECT count(*) FROM cdr AS e WHERE e.call_id = i.call_id AND e.leg > 0 \
             AND e.answered_at IS NOT NULL) LIMIT 10")?;
        let rows = ask(
            "SELECT count(*), sip_call_id FROM cdr WHERE leg = 0 AND answered_at IS NOT NULL \
             GROUP BY sip_call_id",
        )?;
        let cdrs: BTreeMap<&str, &str> =
            rows.lines().filter_map(|row| row.split_once('|')).map(|(n, id)| (id, n)).collect();
        let is_right = |id: &&String| cdrs.get(id.as_str()) == Some(&"1");
        let missing: Vec<_> = self.answered.iter().filter(|id| !is_right(id)).take(10).collect();
        let findings = [
            (!pending.is_empty(), format!("reserved without a call: {pending}")),
            (!legs.is_empty(), format!("answered without one answered egress leg: {legs}")),
            (!missing.is_empty(), format!("answered, but no single CDR says so: {missing:?}")),
            (!leased.is_empty(), format!("leased without a call: {leased}")),
        ];
        Ok(findings.into_iter().find(|(is_wrong, _)| *is_wrong).map(|(_, why)| why))
    }

    fn explained(&self, why: &str) -> String {
        let logs = self.nodes.iter().map(|node| node.tandem.log_tail());
        format!("{why}\n{}", logs.collect::<Vec<_>>().join("\n"))
    }

    fn pick(&mut self) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % self.nodes.len()
    }
}

/// Reads the balance all the time.
struct Watch {
    is_over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(u32, i64)>,
}

impl Watch {
    fn start(cluster: Arc<Cluster>) -> Watch {
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let (mut samples, mut lowest) = (0, i64::MAX);
            while !until.load(Ordering::Relaxed) {
                let sql = "SELECT min(credits_posted - debits_posted) FROM account_balance b \
                           JOIN account a ON a.id = b.account_id \
                           WHERE a.name IN ('retail', 'carrier-a')";
                let balance = cluster.psql(DATABASE, sql).ok().and_then(|text| text.parse().ok());
                if let Some(balance) = balance {
                    samples += 1;
                    lowest = lowest.min(balance);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            (samples, lowest)
        });
        Watch { is_over, thread }
    }

    /// How often it was read, and the lowest.
    fn stop(self) -> (u32, i64) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or((0, i64::MIN))
    }
}

fn config(base: u16, database: &str, number: u16) -> String {
    let (sip, api) = (port(base, "sip"), port(base, "api"));
    let ttl = TTL.as_secs();
    format!(
        r#"data_directory = "data"
realm = "tandem.test"
workers = 1

[[listener]]
transport = "udp"
address = "127.0.0.1:{sip}"

[api]
address = "127.0.0.1:{api}"

[database]
url = "{database}"

[node]
name = "node-{number}"
lease_ttl_s = {ttl}
"#
    )
}
