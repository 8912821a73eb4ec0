//! The month itself: what happens when, drawn from a seed.
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used)] // a part of one test

mod books;
mod market;
mod random;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};
use store::moment::format_utc;
use vocabulary::{AccountId, Utc};

use crate::world::World;
use crate::world::backend::Backend;
use crate::world::calls::{Calling, Live};
use books::{Books, compare_charges, compare_levels, compare_pending, in_ledger};
use market::{DESTINATIONS, Member, Tariff};
use random::Random;

/// 2026-10-01 00:00:00 UTC.
const FIRST: Utc = Utc(1_790_812_800_000_000);
const DAY: i64 = 86_400_000_000;
/// Beside calls, so much of a day's work is about money: one step in ten.
const MONEY: usize = 10;
/// So many calls are live at most.
const LIVE_MAX: usize = 8;
/// A list of accounts is read in one request.
const IMPORT_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub accounts: usize,
    pub days: i64,
    pub calls_a_day: usize,
    pub seed: u64,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub steps: u64,
    pub postings: u64,
    pub calls: u64,
    pub refused: u64,
    pub charges: u64,
    pub charges_waited: u64,
    pub jobs_cut: u64,
    pub crashes: u64,
    pub closed_by_crash: u64,
    pub rerated: u64,
    pub vouchers: u64,
    pub money_moved: u64,
}

impl Tally {
    /// A month in which something never happened proves nothing about it.
    pub fn is_full(&self) -> bool {
        let all = [
            self.steps,
            self.postings,
            self.calls,
            self.refused,
            self.charges,
            self.charges_waited,
            self.jobs_cut,
            self.crashes,
            self.closed_by_crash,
            self.rerated,
            self.vouchers,
            self.money_moved,
        ];
        all.iter().all(|count| *count > 0)
    }
}

struct Subscribed {
    id: u64,
    member: usize,
    tariff: Tariff,
    since: i64,
    /// The first day without it.
    until: Option<i64>,
}

pub struct Month {
    size: Size,
    /// Taken away while it crashes.
    world: Option<World>,
    random: Random,
    books: Books,
    members: Vec<Member>,
    ids: Vec<AccountId>,
    subscribed: Vec<Subscribed>,
    vouchers: Vec<String>,
    live: Vec<Live>,
    /// Credit notes: what accounts got back that no table of charges knows.
    notes: BTreeMap<AccountId, i128>,
    tally: Tally,
    /// Today: 1 is the first.
    today: i64,
    /// Numbers commands.
    command: u64,
}

impl Month {
    pub async fn begin(backend: Backend, size: Size) -> Month {
        let temp = Arc::new(tempfile::tempdir().unwrap());
        let database = backend.fresh(&temp.path().join("data")).await;
        let world = World::open(temp, database, FIRST, IMPORT_BYTES_MAX).await;
        let mut random = Random::new(size.seed);
        let members = market::draw(size.accounts, &mut random);
        market::settle(&world, &members).await;
        let mut ids = Vec::new();
        for member in &members {
            ids.push(world.id(&member.name).await);
        }
        let mut month = Month {
            size,
            world: Some(world),
            random,
            books: Books::default(),
            members,
            ids,
            subscribed: Vec::new(),
            vouchers: Vec::new(),
            live: Vec::new(),
            notes: BTreeMap::new(),
            tally: Tally::default(),
            today: 1,
            command: 0,
        };
        month.sell_plans().await;
        month.make_vouchers().await;
        month
    }

    pub fn tally(&self) -> Tally {
        Tally { postings: self.books.postings, ..self.tally }
    }

    /// Who has how much at the end; account ids and numbers are left out.
    pub fn ends(&self) -> BTreeMap<String, String> {
        let balance = |id: &AccountId| in_ledger(&self.world().control, *id).to_string();
        self.members.iter().zip(&self.ids).map(|(m, id)| (m.name.clone(), balance(id))).collect()
    }

    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    fn key(&mut self) -> String {
        self.command += 1;
        format!("command-{}", self.command)
    }

    fn customer(&mut self) -> usize {
        let first = self.members.iter().position(|member| member.reseller_level == 0).unwrap();
        first + self.random.below(self.members.len() - first)
    }

    /// Half of the accounts get a plan, resellers too; some begin later in the month.
    async fn sell_plans(&mut self) {
        for member in 0..self.members.len() {
            if self.random.is_one_in(2) {
                continue;
            }
            let tariff = *self.random.one_of(&Tariff::ALL);
            let late = self.random.is_one_in(4);
            let since = if late { 1 + self.random.below(20).cast_signed() as i64 } else { 1 };
            let starts_at = format_utc(Utc(FIRST.0 + (since - 1) * DAY));
            let Member { name, currency, .. } = &self.members[member];
            let body = json!({"plan": tariff.plan(currency), "starts_at": starts_at});
            let sold = self.world().made(&format!("/accounts/{name}/plans"), body).await;
            let id = sold["id"].as_u64().unwrap();
            self.subscribed.push(Subscribed { id, member, tariff, since, until: None });
        }
    }

    async fn make_vouchers(&mut self) {
        for currency in ["EUR", "USD"] {
            let batch = json!({"name": format!("batch-{currency}"), "count": self.size.accounts,
                "amount": "5", "currency": currency});
            let batch = self.world().made("/voucher-batches", batch).await;
            let codes = batch["csv"].as_str().unwrap().lines().skip(1);
            self.vouchers.extend(codes.map(|line| line.split_once(',').unwrap().1.to_owned()));
        }
    }

    pub async fn day(&mut self) {
        self.charge().await;
        let steps = self.size.calls_a_day * 2;
        let crash_at = (self.today % 6 == 3).then(|| self.random.below(steps));
        let money = (self.size.accounts / MONEY).max(1);
        for step in 0..steps {
            let begin = FIRST.0 + (self.today - 1) * DAY;
            let due = begin + DAY * i64::try_from(step + 1).unwrap() / (steps as i64 + 1);
            let control = &self.world().control;
            control.advance(due - control.now_utc().0);
            self.step_of_calls();
            if step % (steps / money).max(1) == 0 {
                self.step_of_money().await;
            }
            if step == steps / 2 {
                self.noon().await;
            }
            if crash_at == Some(step) {
                self.crash().await;
            }
            self.check(step);
        }
        self.evening().await;
    }

    /// After every step.
    fn check(&mut self, step: usize) {
        let control = Arc::clone(&self.world().control);
        self.books.follow(&control);
        self.tally.steps += 1;
        // All accounts at once: in a large month not each time, or nothing else would be done.
        if step.is_multiple_of(self.size.accounts.div_ceil(100)) {
            let check = control.ledger.check();
            assert_eq!(check.problems, Vec::<String>::new(), "day {} step {step}", self.today);
            assert_eq!(check.reservations == 0, self.live.is_empty());
        }
    }

    fn step_of_calls(&mut self) {
        let control = Arc::clone(&self.world().control);
        let is_full = self.live.len() >= LIVE_MAX;
        if !is_full && (self.live.is_empty() || self.random.is_one_in(2)) {
            let customer = self.customer();
            let account = self.ids[customer];
            let number =
                format!("{}{:06}", self.random.one_of(&DESTINATIONS), self.random.below(1_000_000));
            match control.open_call(Calling::new(account, &number)) {
                Ok(mut live) => {
                    // One in five is not answered.
                    if !self.random.is_one_in(5) {
                        control.answer_call(&mut live);
                    }
                    self.live.push(live);
                    self.tally.calls += 1;
                }
                Err(_) => self.tally.refused += 1,
            }
            return;
        }
        let at = self.random.below(self.live.len());
        let mut live = self.live.swap_remove(at);
        let enough = Duration::from_secs(1 + self.random.below(900) as u64);
        if live.answered_at.is_some() {
            control.extend_call(&mut live, enough);
        }
        control.end_call(live);
    }

    async fn step_of_money(&mut self) {
        self.tally.money_moved += 1;
        let member = self.customer();
        let (name, id) = (self.members[member].name.clone(), self.ids[member]);
        let key = self.key();
        let amount = format!("{}.{:06}", self.random.below(12), 1 + self.random.below(999_999));
        match self.random.below(8) {
            0 | 1 => self.redeem(&name).await,
            2 => {
                let body = json!({"amount": amount, "label": "Outage"});
                let answer =
                    self.twice(&format!("/accounts/{name}/credit-notes"), &key, body).await;
                assert_eq!(answer.0, 201, "{}", answer.1);
                let given: billing::Money = amount.parse().unwrap();
                *self.notes.entry(id).or_default() += i128::from(given.0);
            }
            3 => {
                let body = json!({"amount": format!("-{amount}"), "label": "Correction"});
                let answer = self.twice(&format!("/accounts/{name}/adjustments"), &key, body).await;
                assert!([201, 422].contains(&answer.0), "{}", answer.1);
            }
            4 => {
                let number = 1 + self.random.below(3);
                let body = json!({"amount": amount, "note": "invoice"});
                let path = format!("/accounts/carrier-{number}/payouts");
                let answer = self.twice(&path, &key, body).await;
                assert!([201, 422].contains(&answer.0), "{}", answer.1);
            }
            _ => {
                let body = json!({ "amount": amount });
                let answer = self.twice(&format!("/accounts/{name}/topups"), &key, body).await;
                assert_eq!(answer.0, 201, "{}", answer.1);
            }
        }
    }

    /// Sends a command, and sometimes sends it again: whoever asks did not hear the answer.
    async fn twice(&mut self, path: &str, key: &str, body: Value) -> (u16, Value) {
        let is_again = self.random.is_one_in(4);
        let world = self.world();
        let answer = world.ask("POST", path, Some(key), body.to_string()).await;
        if is_again {
            let again = world.ask("POST", path, Some(key), body.to_string()).await;
            assert_eq!(again, answer, "{path} {body}");
        }
        answer
    }

    async fn redeem(&mut self, name: &str) {
        let code = self.random.one_of(&self.vouchers).clone();
        let path = format!("/accounts/{name}/vouchers");
        let (status, answer) = self.world().post(&path, json!({ "code": code })).await;
        assert!([201, 422, 429].contains(&status), "{answer}");
        self.tally.vouchers += u64::from(status == 201);
    }

    /// The job, as it should be, twice, late, or cut off.
    async fn charge(&mut self) {
        match self.today % 5 {
            // Late: tomorrow's run finds two days.
            2 if self.today < self.size.days => return,
            3 => self.charge_cut_off().await,
            _ => {}
        }
        self.charge_once().await;
        if self.today % 5 == 4 {
            let run = self.world().api.charge().await.unwrap();
            assert_eq!(
                (run.scheduled, run.booked, run.granted),
                (0, 0, 0),
                "a second run: {run:?}"
            );
        }
    }

    async fn charge_once(&mut self) {
        let run = self.world().api.charge().await.unwrap();
        self.tally.charges += run.booked as u64;
        self.tally.charges_waited += run.refused as u64;
        let control = Arc::clone(&self.world().control);
        self.books.follow(&control);
    }

    /// The process dies after so many payments of the run; those are booked, the rest is not, and
    /// nobody has noted which.
    async fn charge_cut_off(&mut self) {
        let fuse = 1 + self.random.below(self.size.accounts / 4).cast_signed() as i64;
        let world = self.world();
        world.control.fuse.store(fuse, Relaxed);
        tokio::select! {
            run = world.api.charge() => {
                self.tally.charges += run.unwrap().booked as u64;
                self.world().control.fuse.store(i64::MAX, Relaxed);
            }
            () = world.control.blown() => {
                self.tally.jobs_cut += 1;
                self.crash().await;
            }
        }
    }

    /// What an operator changes while calls go on.
    async fn noon(&mut self) {
        match self.today % 4 {
            1 => {
                let (currency, level) =
                    (*self.random.one_of(&["EUR", "USD"]), self.random.below(4));
                let group = market::group(currency, u8::try_from(level).unwrap());
                let percent = 50 + self.random.below(60).cast_signed() as i64;
                // A correction: it is in force since the day before yesterday.
                let from = Utc(FIRST.0 + (self.today - 3).max(0) * DAY);
                let world = self.world();
                world.import(&group, market::sheet(percent), from).await;
                world.import("cost-a", market::sheet(percent / 2), from).await;
            }
            2 => self.rerate().await,
            3 => {
                let rate = format!("0.9{:03}", self.random.below(1_000));
                let body = json!({"from": "USD", "to": "EUR", "rate": rate});
                assert_eq!(self.world().post("/exchange-rates", body).await.0, 200);
                let percent = format!("{}.5", self.random.below(30));
                let body = json!({"name": format!("day-{}", self.today), "percent": percent,
                    "destination_set": "germany"});
                self.world().made("/discounts", body).await;
            }
            _ => self.end_a_plan().await,
        }
    }

    /// Three days of calls, priced by what is in force now: shown, done, and done again in vain.
    async fn rerate(&mut self) {
        let day = |day: i64| format_utc(Utc(FIRST.0 + (day - 1) * DAY));
        let body = |is_preview: bool| {
            json!({"from": day(self.today - 3), "till": day(self.today + 1), "reason": "new sheet",
                "preview": is_preview})
        };
        let world = self.world();
        let run = async |is_preview| {
            let answer = world.post("/rerates", body(is_preview)).await;
            let run = world.done(&answer).await;
            assert_eq!(run["state"], "done", "{run}");
            run
        };
        let preview = run(true).await;
        let first = run(false).await;
        assert_eq!(preview["changed"], first["changed"]);
        let second = run(false).await;
        assert_eq!((&second["changed"], &second["written"]), (&json!(0), &json!(0)), "{second}");
        self.tally.rerated += first["written"].as_u64().unwrap();
    }

    /// From tomorrow on.
    async fn end_a_plan(&mut self) {
        let at = self.random.below(self.subscribed.len());
        let end = format_utc(Utc(FIRST.0 + self.today * DAY));
        let Subscribed { id, since, until, .. } = self.subscribed[at];
        if until.is_some() || since > self.today {
            return;
        }
        let path = format!("/subscriptions/{id}/end");
        let (status, answer) = self.world().post(&path, json!({ "at": end })).await;
        assert_eq!(status, 200, "{answer}");
        self.subscribed[at].until = Some(self.today + 1);
    }

    /// The process dies; calls that were live are found open and closed by the next.
    async fn crash(&mut self) {
        let mut live: Vec<_> = self.live.drain(..).map(|live| live.call).collect();
        let world = self.world.take().unwrap().crashed().await;
        let mut closed = world.control.store.report().closed.clone();
        world.control.store.flush().await;
        self.books.follow_closed(&world, &closed).await;
        live.sort_unstable();
        closed.sort_unstable();
        assert_eq!(closed, live, "the calls that a restart closes are those that were live");
        self.tally.crashes += 1;
        self.tally.closed_by_crash += closed.len() as u64;
        self.world = Some(world);
        let control = Arc::clone(&self.world().control);
        self.books.follow(&control);
        self.books.compare(self.world()).await;
    }

    async fn evening(&mut self) {
        let control = Arc::clone(&self.world().control);
        for live in self.live.drain(..) {
            control.end_call(live);
        }
        self.books.follow(&control);
        control.store.flush().await;
        let world = self.world();
        world.check_books().await;
        self.books.compare(world).await;
        compare_levels(world, (&self.members, &self.ids), &self.notes).await;
        compare_charges(world).await;
        compare_pending(world).await;
        self.compare_schedule().await;
        let tomorrow = FIRST.0 + self.today * DAY;
        control.advance(tomorrow - control.now_utc().0);
        self.books.follow(&control);
        self.today += 1;
    }

    /// What has been written down for each subscription is what a calendar on the wall says; on a
    /// day when the job was late nobody knows yet.
    async fn compare_schedule(&self) {
        if self.today % 5 == 2 && self.today < self.size.days {
            return;
        }
        let written = books::charged(self.world()).await;
        for subscribed in &self.subscribed {
            let expected =
                subscribed.tariff.charged(subscribed.since, subscribed.until, self.today);
            let is = written.get(&subscribed.id).copied().unwrap_or(0);
            let who = &self.members[subscribed.member].name;
            assert_eq!(is, expected, "{who} by day {}: {:?}", self.today, subscribed.tariff);
        }
    }
}
