//! Accounts, subscribers, trunks, routes, rates and answers, through a real SQLite file.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::path::Path;
use std::time::Duration;

use rust_decimal::Decimal;
use sheets::{Layout, Movements, Taking, compare, interpret};
use store::Database;
use store::directory::{
    Account, AccountStatus, BillingKind, CallLimits, Change, ChangeError, Did, DirectoryStore,
    DurationRounding, Filling, RateGroup, RateGroupRounding, Rounding, Route, StoredRule,
    StoredWindow, Subscriber, Target, TaxRoundingWord, Trunk, TrunkProbe, TrunkTransport,
    digest_secret,
};
use store::idempotency::{Answer, Seen};
use store::rate_deck::NewSheet;
use switch::caller_id::{
    CallerIdPolicy, CliPool, DefaultCaller, DiversionHeaders, IdentityHeader, TrunkCallerId,
};
use switch::did::{DidTarget, RingOrder};
use switch::directory::{Credentials, Limits, Settings, TrunkRole};
use switch::forwarding::{Availability, Forwards, NoAnswer};
use switch::health::ProbePolicy;
use switch::numbers::{ListEffect, ListKind, NumberOwner, NumberRule, RuleId, Subject, Then};
use switch::routing::{
    BareNumber, CauseMap, Code, EgressForm, PrefixId, Rewrite, RouteId, RoutePolicy, RoutePrefix,
    WindowId,
};
use vocabulary::{Direction, SubscriberId, TrunkId, Utc};
use world::backend::{Backend, on_both};

on_both!(
    everything_comes_back,
    caller_ids_come_back,
    number_rules_and_lists_come_back,
    routing_policies_come_back,
    what_routes_hold_in_stays,
    how_trunks_are_asked_comes_back,
    dids_and_what_goes_with_them_come_back,
    dids_are_checked,
    rules_are_kept,
    a_removed_id_never_comes_back,
    a_command_that_is_not_committed_leaves_nothing,
    a_sheet_is_stored_and_counted,
    a_sheet_is_rolled_back_without_being_deleted,
    a_draft_has_the_terms_of_its_tariff_and_its_group,
    a_vendor_keeps_his_layout,
    an_answer_is_had_again_by_the_same_command_only,
    blocked_accounts_are_inactive_in_the_switch,
);

const NOW: Utc = Utc(1_790_000_000_000_000);

async fn open(backend: Backend, dir: &Path) -> DirectoryStore {
    open_at(&backend.fresh(dir).await).await
}

async fn open_at(database: &Database) -> DirectoryStore {
    database.open().await.unwrap().close().await;
    DirectoryStore::open(database).await.unwrap()
}

fn group(name: &str) -> RateGroup {
    RateGroup {
        rounding: Rounding { mode: RateGroupRounding::HalfUp, decimals: 4 },
        line: Some(Rounding { mode: RateGroupRounding::Down, decimals: 5 }),
        invoice: Rounding { mode: RateGroupRounding::HalfEven, decimals: 3 },
        tax: TaxRoundingWord::Line,
        prices_include_tax: true,
        duration: Some(DurationRounding::Nearest),
        defaults: serde_json::json!({ "connect_fee": "0.05", "grace_seconds": 3 }),
        ..RateGroup::new(name, "EUR")
    }
}

async fn two_accounts(change: &mut Change) -> (Account, Account) {
    change.add_rate_group(group("retail")).await.unwrap();
    let mut prepaid = Account::new("alice ltd", BillingKind::Prepaid, "EUR", NOW);
    prepaid.rate_group = Some("retail".into());
    prepaid.limits.calls_in_max = Some(3);
    prepaid.local_price = "0.005".parse().unwrap();
    prepaid.local_first_increment = 30;
    prepaid.local_next_increment = 6;
    let mut carrier = Account::new("carrier", BillingKind::Postpaid, "EUR", NOW);
    carrier.credit_limit = 50_000_000;
    carrier.carrier_rate_group = Some("retail".into());
    (change.add_account(prepaid).await.unwrap(), change.add_account(carrier).await.unwrap())
}

fn subscriber(account: &Account, username: &str) -> Subscriber {
    Subscriber {
        id: SubscriberId(0),
        username: username.into(),
        account: account.id,
        account_name: account.name.clone(),
        site: None,
        number: Some("4930100".parse().unwrap()),
        secret: digest_secret(username, "tandem", "secret"),
        contacts_max: 2,
        created_at: NOW,
    }
}

fn full_trunk(account: &Account) -> Trunk {
    let mut trunk = Trunk::new("carrier-1", account.id, NOW);
    trunk.account_name = account.name.clone();
    trunk.host = Some("127.0.0.1".into());
    trunk.port = Some(5080);
    trunk.transport = Some(TrunkTransport::Tcp);
    trunk.addresses = vec!["192.0.2.0/28".into(), "192.0.2.77:5080".into()];
    trunk.ingress = Some(("peer".into(), digest_secret("peer", "tandem", "x")));
    trunk.egress = Some(Credentials { username: "us".into(), password: "clear".into() });
    trunk.registers = true;
    trunk.register_expires = Duration::from_secs(600);
    trunk.ingress_plan.country = "49".into();
    trunk.ingress_plan.national = "0".into();
    trunk.ingress_plan.bare = BareNumber::National;
    trunk.egress_plan.tech_prefix = "77".into();
    trunk.egress_plan.form = EgressForm::International;
    trunk.egress_plan.rewrites =
        vec![Rewrite { matches: "49".into(), strip: 2, prepend: "0".into() }];
    trunk.limits.cps_out_max = Some(10);
    trunk.hunt_codes = vec![486];
    trunk.stop_codes = vec![404, 503];
    trunk.ring_timeout = Some(Duration::from_secs(20));
    trunk.trusted = true;
    trunk.believes_lrn = true;
    trunk
}

async fn everything_comes_back(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let database = backend.fresh(dir.path()).await;
    let store = open_at(&database).await;
    let mut change = store.begin().await.unwrap();
    let (alice, carrier) = two_accounts(&mut change).await;
    let phone = change.add_subscriber(subscriber(&alice, "alice")).await.unwrap();
    let trunk = change.add_trunk(full_trunk(&carrier)).await.unwrap();
    let route = change.add_route(Route::new("49", trunk.id, 5)).await.unwrap();
    let forwards = Forwards {
        always: Some("0170123".into()),
        busy: Some("bob".into()),
        no_answer: Some(NoAnswer { to: "0170124".into(), after: Duration::from_secs(25) }),
        offline: Some("0170125".into()),
    };
    change.set_forwards("alice", &forwards).await.unwrap();
    let availability = Availability { do_not_disturb: true, calls_max: Some(2) };
    change.set_availability("alice", availability).await.unwrap();
    change.commit().await.unwrap();
    drop(store);

    let store = open_at(&database).await;
    assert_eq!(store.accounts().await.unwrap(), [alice.clone(), carrier.clone()]);
    assert_eq!(store.account("alice ltd").await.unwrap(), alice);
    assert_eq!(store.account(&carrier.id.to_string()).await.unwrap(), carrier);
    assert_eq!(store.subscribers().await.unwrap(), std::slice::from_ref(&phone));
    assert_eq!(store.trunks().await.unwrap(), std::slice::from_ref(&trunk));
    assert_eq!(store.routes().await.unwrap(), [route]);

    let mut change = store.begin().await.unwrap();
    let directory = change.load(Settings::default(), 1, None).await.unwrap().directory;
    assert_eq!(directory.subscriber_by_username("alice").unwrap().id, phone.id);
    assert_eq!(
        directory.trunk_by_address("192.0.2.77:5080".parse().unwrap()).unwrap().id,
        trunk.id
    );
    assert_eq!(directory.trunk(trunk.id).unwrap().egress_plan, trunk.egress_plan);
    assert_eq!(directory.routes(&"49301".parse().unwrap()).unwrap().1.len(), 1);
    assert!(directory.account(alice.id).unwrap().is_active);
    assert_eq!(directory.subscriber(phone.id).unwrap().forwards, forwards);
    assert_eq!(store.forwards("alice").await.unwrap(), forwards);
    assert_eq!(directory.subscriber(phone.id).unwrap().availability, availability);
    assert_eq!(store.availability("alice").await.unwrap(), availability);
}

async fn caller_ids_come_back(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let database = backend.fresh(dir.path()).await;
    let store = open_at(&database).await;
    let mut change = store.begin().await.unwrap();
    let (alice, carrier) = two_accounts(&mut change).await;
    let trunk = change.add_trunk(full_trunk(&carrier)).await.unwrap();
    // A-31
    let stored = ["4420", "4930", "4931"].map(|text| text.parse().unwrap());
    let default = DefaultCaller { number: Some(stored[1]), name: "Alice \"Ltd\"".into() };
    let policy = CallerIdPolicy {
        pool: CliPool::ReplaceUnlessStored,
        stored: stored.into(),
        default: Some(Box::new(default.clone())),
    };
    let nobody = DefaultCaller::default();
    for (pool, default) in [(CliPool::NonCliUnlessDid, &nobody), (policy.pool, &default)] {
        change.set_caller_id_policy(alice.id, pool, default).await.unwrap();
    }
    let shown = TrunkCallerId {
        identity: IdentityHeader::RemoteParty,
        diversions: DiversionHeaders::HistoryInfo,
        sends_names: false,
        names_subscribers: true,
    };
    for wanted in [TrunkCallerId::default(), shown] {
        change.set_trunk_caller_id(trunk.id, wanted).await.unwrap();
    }
    change.add_clis(alice.id, &[stored[2], stored[0]], Utc(5)).await.unwrap();
    change
        .add_clis(alice.id, &["44".parse().unwrap(), stored[1], stored[0]], Utc(6))
        .await
        .unwrap();
    change.remove_cli(alice.id, &"44".parse().unwrap()).await.unwrap();
    let missing = change.remove_cli(carrier.id, &stored[0]).await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no caller ID \"4420\"");
    change.commit().await.unwrap();
    drop(store);

    let store = open_at(&database).await;
    let mut change = store.begin().await.unwrap();
    let directory = change.load(Settings::default(), 1, None).await.unwrap().directory;
    assert_eq!(directory.account(alice.id).unwrap().caller_id, policy);
    assert_eq!(store.caller_id_policy(alice.id).await.unwrap(), policy);
    assert_eq!(directory.trunk(trunk.id).unwrap().caller_id, shown);
    let other = directory.account(carrier.id).unwrap().caller_id.clone();
    assert_eq!(other, CallerIdPolicy::default());
}

/// Open in office hours in Berlin, but for Christmas.
fn office() -> StoredWindow {
    StoredWindow {
        id: WindowId(0),
        name: "office".into(),
        zone: "Europe/Berlin".into(),
        spans: vec!["mon-fri 08:00-18:00".parse().unwrap(), "sat 09:00-12:00".parse().unwrap()],
        holidays: vec!["2026-12-26".into(), "2026-12-25".into()],
    }
}

async fn routing_policies_come_back(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let database = backend.fresh(dir.path()).await;
    let store = open_at(&database).await;
    let mut change = store.begin().await.unwrap();
    let (_, carrier) = two_accounts(&mut change).await;
    let trunk = change.add_trunk(full_trunk(&carrier)).await.unwrap();
    let window = change.set_time_window(office()).await.unwrap();
    let mut route = change.add_route(Route::new("49", trunk.id, 5)).await.unwrap();
    route.weight = 70;
    (route.window, route.window_name) = (Some(window.id), Some(window.name.clone()));
    (route.calls_max, route.cps_max) = (Some(30), Some(0));
    change.set_route(&route).await.unwrap();
    let prefix = RoutePrefix {
        id: PrefixId(0),
        prefix: "49".into(),
        policy: RoutePolicy::Weight,
        limits: Limits { concurrent: Some(100), per_second: None },
    };
    let prefix = change.set_route_prefix(prefix).await.unwrap();
    let code = |text: &str| text.parse::<Code>().unwrap();
    let causes = CauseMap {
        heard: vec![(code("503"), code("404")), (code("Q34"), code("Q17"))],
        told: vec![(code("404"), code("503"))],
    };
    change.set_trunk_causes(trunk.id, &causes).await.unwrap();
    change.commit().await.unwrap();
    drop(store);

    let store = open_at(&database).await;
    assert_eq!(store.routes().await.unwrap(), std::slice::from_ref(&route));
    assert_eq!(store.time_windows().await.unwrap(), std::slice::from_ref(&window));
    assert_eq!(store.route_prefixes().await.unwrap(), std::slice::from_ref(&prefix));
    let mut change = store.begin().await.unwrap();
    let directory = change.load(Settings::default(), 1, None).await.unwrap().directory;
    let number = "4930123".parse().unwrap();
    let found = directory.route(&number, trunk.id).unwrap();
    assert_eq!((found.route, found.weight, found.window), (RouteId(route.id), 70, route.window));
    assert_eq!(found.limits, Limits { concurrent: Some(30), per_second: Some(0) });
    assert_eq!(directory.route_prefix(&number), Some(&prefix));
    assert_eq!(directory.trunk(trunk.id).unwrap().causes, causes);
    // Friday 2026-12-18, 09:30 in Berlin, and the same on a Friday that is a holiday.
    let open = directory.time_window(window.id).unwrap();
    let at = |day: i64| Utc((1_797_582_600 + day * 86_400) * 1_000_000);
    assert!(open.is_open(at(0)) && !open.is_open(at(7)));
    change.remove_route_prefix(prefix.id).await.unwrap();
    let gone = change.remove_route_prefix(prefix.id).await.unwrap_err();
    assert!(gone.to_string().contains("no route prefix"));
}

async fn what_routes_hold_in_stays(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let mut change = store.begin().await.unwrap();
    let says = |error: ChangeError| error.to_string();
    let (_, carrier) = two_accounts(&mut change).await;
    let trunk = change.add_trunk(full_trunk(&carrier)).await.unwrap();
    let window = change.set_time_window(office()).await.unwrap();
    let route = Route { window: Some(window.id), ..Route::new("49", trunk.id, 5) };
    let route = change.add_route(route).await.unwrap();
    let refused = change.remove_time_window("office").await.unwrap_err();
    assert_eq!(
        says(refused),
        "1 route(s) hold in time window \"office\"; give them another or none first"
    );
    let later = StoredWindow { zone: "UTC".into(), holidays: Vec::new(), ..window.clone() };
    assert_eq!(change.set_time_window(later).await.unwrap().id, window.id);
    let wrong = StoredWindow { zone: "Berlin".into(), ..window.clone() };
    assert!(
        says(change.set_time_window(wrong).await.unwrap_err())
            .starts_with("zone: \"Berlin\" is no")
    );
    let wrong = StoredWindow { holidays: vec!["25.12.".into()], ..window };
    assert!(
        says(change.set_time_window(wrong).await.unwrap_err()).starts_with("holidays: \"25.12")
    );
    change.remove_route(route.id).await.unwrap();
    change.remove_time_window("office").await.unwrap();
}

async fn number_rules_and_lists_come_back(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let database = backend.fresh(dir.path()).await;
    let store = open_at(&database).await;
    let mut change = store.begin().await.unwrap();
    let (alice, carrier) = two_accounts(&mut change).await;
    let phone = change.add_subscriber(subscriber(&alice, "alice")).await.unwrap();
    let trunk = change.add_trunk(full_trunk(&carrier)).await.unwrap();
    let owners = [
        NumberOwner::Switch,
        NumberOwner::Account(alice.id),
        NumberOwner::Trunk(trunk.id),
        NumberOwner::Subscriber(phone.id),
    ];
    change.add_number_list("few", ListKind::Invalid, NOW).await.unwrap();
    let lines = ["49".to_owned(), "=4930123".to_owned(), "*1#".to_owned()];
    change.fill_number_list("few", Filling::Add, &lines).await.unwrap();
    let mut stored = Vec::new();
    for (n, owner) in owners.into_iter().enumerate() {
        let rule = NumberRule {
            lengths: (3, 9),
            ..NumberRule::new(RuleId(0), "0[1-3]X.".parse().unwrap(), 2, "+49", Then::Next)
        };
        let rule = StoredRule {
            owner,
            direction: if n % 2 == 0 { Direction::Ingress } else { Direction::Egress },
            subject: if n < 2 { Subject::Cli } else { Subject::Cld },
            position: 0,
            rule,
            note: "why".into(),
            created_at: NOW,
        };
        // A phone is sent no called number that rules could be about.
        let rule = match owner {
            NumberOwner::Subscriber(_) => StoredRule { subject: Subject::Cli, ..rule },
            _ => rule,
        };
        stored.push(change.add_number_rule(rule, None).await.unwrap());
        change.use_number_list("few", owner, Subject::Cld, ListEffect::Block).await.unwrap();
    }
    change.commit().await.unwrap();
    drop(store);

    let store = open_at(&database).await;
    assert_eq!(store.number_rules(None).await.unwrap(), stored);
    for (owner, rule) in owners.into_iter().zip(&stored) {
        assert_eq!(store.number_rules(Some(owner)).await.unwrap(), std::slice::from_ref(rule));
    }
    let uses = store.number_list_uses().await.unwrap();
    assert_eq!(uses.iter().map(|applied| applied.owner).collect::<Vec<_>>(), owners);
    let mut change = store.begin().await.unwrap();
    let directory = change.load(Settings::default(), 1, None).await.unwrap().directory;
    let policies = [
        directory.numbers_of_all(),
        directory.account(alice.id).unwrap().numbers.as_deref(),
        directory.trunk(trunk.id).unwrap().numbers.as_deref(),
        directory.subscriber(phone.id).unwrap().numbers.as_deref(),
    ];
    for (policy, stored) in policies.into_iter().zip(&stored) {
        let rules = policy.unwrap().rules(stored.direction, stored.subject);
        assert_eq!(rules, std::slice::from_ref(&stored.rule));
        assert_eq!(policy.unwrap().uses().len(), 1);
    }
    let list = directory.number_list(uses[0].list.id).unwrap();
    assert_eq!((list.name.as_str(), list.kind, list.numbers.len()), ("few", ListKind::Invalid, 3));
    assert_eq!(list.numbers.find(&"4930123".parse().unwrap()), Some(15));
}

fn did(number: &str) -> Did {
    Did::new(number.parse().unwrap(), "alice ltd", NOW)
}

/// Two phones, one after the other.
fn shop() -> Did {
    Did {
        target: Target::InOrder,
        members: vec!["hall".into(), "desk".into()],
        ring_s: 15,
        calls_max: Some(3),
        cps_max: Some(2),
        price: "0.06".parse().unwrap(),
        connect_fee: "0.01".parse().unwrap(),
        first_increment: 20,
        next_increment: 15,
        note: "the shop".into(),
        ..did("4930600")
    }
}

async fn dids_and_what_goes_with_them_come_back(backend: Backend) {
    // S2, P-607
    let dir = tempfile::tempdir().unwrap();
    let database = backend.fresh(dir.path()).await;
    let store = open_at(&database).await;
    let mut change = store.begin().await.unwrap();
    let (alice, carrier) = two_accounts(&mut change).await;
    let trunk = change.add_trunk(full_trunk(&carrier)).await.unwrap().id;
    let desk = change.add_subscriber(subscriber(&alice, "desk")).await.unwrap().id;
    let hall = Subscriber { number: None, ..subscriber(&alice, "hall") };
    let hall = change.add_subscriber(hall).await.unwrap().id;
    let mut wanted = shop();
    let stored = change.add_did(wanted.clone()).await.unwrap();
    wanted.id = stored.id;
    let to_trunk = Did { target: Target::Trunk, trunk: Some("carrier-1".into()), ..did("4930601") };
    change.add_did(to_trunk).await.unwrap();
    let limits =
        CallLimits { calls_in_max: Some(2), cps_out_max: Some(7), ..CallLimits::default() };
    change.set_subscriber_limits("desk", limits).await.unwrap();
    change.set_trunk_role(trunk, TrunkRole::Equipment).await.unwrap();
    change.commit().await.unwrap();
    drop(store);

    let store = open_at(&database).await;
    assert_eq!(store.dids(Some(alice.id)).await.unwrap()[0], wanted);
    assert_eq!(store.dids(Some(carrier.id)).await.unwrap(), []);
    let mut change = store.begin().await.unwrap();
    let loaded = change.load(Settings::default(), 1, None).await.unwrap();
    let directory = &loaded.directory;
    let row = directory.did_by_number(&wanted.number).unwrap();
    let DidTarget::Group(group) = &row.target else { panic!("{row:?}") };
    assert_eq!(
        (&group.members[..], group.order),
        (&[hall, desk][..], RingOrder::InOrder(Duration::from_secs(15)))
    );
    assert_eq!((row.limits.concurrent, row.limits.per_second), (Some(3), Some(2)));
    let phone = directory.subscriber(desk).unwrap();
    assert_eq!((phone.ingress.concurrent, phone.egress.per_second), (Some(2), Some(7)));
    assert_eq!(directory.trunk(trunk).unwrap().role, TrunkRole::Equipment);
    // What a DID leads to cannot be taken away.
    for gone in [change.remove_subscriber("desk").await, change.remove_trunk("carrier-1").await] {
        let why = gone.unwrap_err().to_string();
        assert!(why.ends_with("remove it or have it lead elsewhere first"), "{why}");
    }
    // What a command changes is read again alone: the same as if everything were.
    let before = (loaded.directory, loaded.rate_book);
    change.set_did(&Did { price: Decimal::ZERO, enabled: false, ..wanted }).await.unwrap();
    let next = change.reload(&before.0, &before.1, 1).await.unwrap();
    assert!(!next.directory.did(stored.id).unwrap().is_active);
    change.remove_did("+4930600").await.unwrap();
    let next = change.reload(&before.0, &before.1, 1).await.unwrap();
    assert!(next.directory.did(stored.id).is_none());
    assert_eq!(change.remove_belongings(alice.id).await.unwrap().dids, 1);
}

async fn dids_are_checked(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let mut change = store.begin().await.unwrap();
    let (alice, carrier) = two_accounts(&mut change).await;
    change.add_trunk(full_trunk(&carrier)).await.unwrap();
    for username in ["desk", "hall"] {
        let phone = Subscriber { number: None, ..subscriber(&alice, username) };
        change.add_subscriber(phone).await.unwrap();
    }
    let wanted = shop();
    for (wrong, what) in [
        (Did { ring_s: 0, ..wanted.clone() }, "ring_s: write 1 to 600 seconds"),
        (Did { members: vec!["hall".into()], ..wanted.clone() }, "subscribers: name 2 to 16"),
        (
            Did { members: vec!["hall".into(), "hall".into()], ..wanted.clone() },
            "subscribers: \"hall\" is named twice",
        ),
        (
            Did { account: "carrier".into(), ..wanted.clone() },
            "subscribers: \"hall\" belongs to account \"alice ltd\"",
        ),
        (
            Did { trunk: Some("carrier-1".into()), ..wanted.clone() },
            "trunk: leave it out, or make the target \"trunk\"",
        ),
        (Did { first_increment: 0, ..wanted.clone() }, "first_increment: write 1 to 86400 seconds"),
    ] {
        assert_eq!(change.add_did(wrong).await.unwrap_err().to_string(), what);
    }
    change.add_did(wanted.clone()).await.unwrap();
    let led = Did {
        target: Target::Trunk,
        trunk: Some("carrier-1".into()),
        members: Vec::new(),
        ..did("4930609")
    };
    change.add_did(led).await.unwrap();
    let nowhere =
        Trunk { host: None, registers: false, ..change.trunk("carrier-1").await.unwrap() };
    let error = change.set_trunk(&nowhere).await.unwrap_err().to_string();
    assert!(error.contains("DID 4930609 leads to this trunk"), "{error}");
    let twice = change.add_did(wanted).await.unwrap_err();
    assert_eq!(twice.to_string(), "number: \"4930600\" is taken; choose another");
}

async fn how_trunks_are_asked_comes_back(backend: Backend) {
    // T4
    let dir = tempfile::tempdir().unwrap();
    let database = backend.fresh(dir.path()).await;
    let store = open_at(&database).await;
    let mut change = store.begin().await.unwrap();
    let (_, carrier) = two_accounts(&mut change).await;
    let trunk = change.add_trunk(full_trunk(&carrier)).await.unwrap().id;
    assert_eq!(change.trunk_probe(trunk).await.unwrap(), TrunkProbe::default());
    let every = Duration::from_secs(45);
    let policy = ProbePolicy { every, failures_max: 4, successes_min: 1 };
    for wanted in [TrunkProbe::default(), TrunkProbe { enabled: true, policy }] {
        change.set_trunk_probe(trunk, wanted).await.unwrap();
    }
    let refused = |wrong: ProbePolicy| TrunkProbe { enabled: true, policy: wrong };
    for (wrong, field) in [
        (
            ProbePolicy { every: Duration::from_secs(4), ..policy },
            "every_s: write 5 to 3600 seconds",
        ),
        (ProbePolicy { failures_max: 0, ..policy }, "failures_max: write 1 to 100"),
        (ProbePolicy { successes_min: 101, ..policy }, "successes_min: write 1 to 100"),
    ] {
        let error = change.set_trunk_probe(trunk, refused(wrong)).await.unwrap_err();
        assert_eq!(error.to_string(), field);
    }
    change.commit().await.unwrap();
    drop(store);

    let store = open_at(&database).await;
    let mut change = store.begin().await.unwrap();
    let directory = change.load(Settings::default(), 1, None).await.unwrap().directory;
    assert_eq!(directory.trunk(trunk).unwrap().probe, Some(policy));
    assert_eq!(directory.probed_trunks(), [trunk]);
    // Switched off it keeps its numbers.
    let off = TrunkProbe { enabled: false, policy };
    change.set_trunk_probe(trunk, off).await.unwrap();
    assert_eq!(change.trunk_probe(trunk).await.unwrap(), off);
    let directory = change.load(Settings::default(), 1, None).await.unwrap().directory;
    assert_eq!(directory.trunk(trunk).unwrap().probe, None);
    change.remove_trunk("carrier-1").await.unwrap();
    assert_eq!(change.trunk_probe(trunk).await.unwrap(), TrunkProbe::default());
}

async fn rules_are_kept(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let mut change = store.begin().await.unwrap();
    let (alice, carrier) = two_accounts(&mut change).await;
    let says = |error: ChangeError| error.to_string();

    let mut limited = alice.clone();
    limited.credit_limit = 1;
    assert_eq!(
        says(change.set_account(&limited).await.unwrap_err()),
        "credit_limit: a prepaid account has none; make it postpaid, or leave the limit out"
    );
    let again = Account::new("carrier", BillingKind::Prepaid, "EUR", NOW);
    assert_eq!(
        says(change.add_account(again).await.unwrap_err()),
        "name: \"carrier\" is taken; choose another"
    );
    let mut dollars = Account::new("usd", BillingKind::Prepaid, "USD", NOW);
    dollars.rate_group = Some("retail".into());
    assert_eq!(
        says(change.add_account(dollars).await.unwrap_err()),
        "rate_group: \"retail\" is in EUR and the account in USD; set the exchange rate from EUR to \
         USD first"
    );
    change.add_trunk(full_trunk(&carrier)).await.unwrap();
    assert_eq!(
        says(change.add_subscriber(subscriber(&alice, "peer")).await.unwrap_err()),
        "username: \"peer\" is taken; choose another"
    );
    change.add_subscriber(subscriber(&alice, "a1")).await.unwrap();
    assert_eq!(
        says(change.add_subscriber(subscriber(&alice, "a2")).await.unwrap_err()),
        "number: \"4930100\" is taken; choose another"
    );
    assert_eq!(
        says(change.remove_subscriber("nobody").await.unwrap_err()),
        "there is no subscriber \"nobody\""
    );
    let mut useless = Trunk::new("t", alice.id, NOW);
    assert!(says(change.add_trunk(useless.clone()).await.unwrap_err()).starts_with("host: give a"));
    useless.host = Some("sip:x".into());
    assert!(says(change.add_trunk(useless).await.unwrap_err()).starts_with("host: write a host"));
    let route = Route::new("4x", TrunkId(1000), 0);
    assert!(says(change.add_route(route).await.unwrap_err()).starts_with("prefix: write at most"));
}

async fn a_removed_id_never_comes_back(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let mut change = store.begin().await.unwrap();
    let (alice, _) = two_accounts(&mut change).await;
    let first = change.add_subscriber(subscriber(&alice, "a")).await.unwrap();
    change.remove_subscriber("a").await.unwrap();
    let second = change.add_subscriber(subscriber(&alice, "a")).await.unwrap();
    assert!(second.id > first.id);
}

async fn a_command_that_is_not_committed_leaves_nothing(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let mut change = store.begin().await.unwrap();
    two_accounts(&mut change).await;
    drop(change);
    assert!(store.accounts().await.unwrap().is_empty());
}

async fn import(
    store: &DirectoryStore,
    change: &mut store::directory::Change,
    group: &store::directory::RateGroup,
    csv: &str,
    at: Utc,
    is_full: bool,
) -> store::rate_deck::StoredSheet {
    let defaults = group.compared_by().unwrap();
    let mut reading = interpret(csv.as_bytes(), &Layout::default(), &defaults, at).unwrap();
    let book = store.book(group).await.unwrap();
    let taking = Taking { is_full, from: at, now: at, notice_days: 0 };
    let difference = compare(&book, &mut reading.deck, &defaults, taking);
    let sheet = NewSheet {
        file: "a.csv",
        sha256: [0; 32],
        vendor: "",
        deck: &reading.deck,
        is_full,
        begins_at: at,
        tally: reading.tally,
        movements: difference.movements,
    };
    change.add_sheet(group, &sheet, [], at).await.unwrap()
}

/// A full sheet ends what it leaves out; rolled back, what was before it comes again, and nothing of
/// the past changes (O1).
async fn a_sheet_is_rolled_back_without_being_deleted(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let mut change = store.begin().await.unwrap();
    two_accounts(&mut change).await;
    change.commit().await.unwrap();
    let group = store.rate_group("retail").await.unwrap();
    let at = |seconds: i64| Utc(NOW.0 / 1_000_000 * 1_000_000 + seconds * 1_000_000);
    let mut versions = Vec::new();
    for (csv, seconds) in [("code,price\n49,0.01\n33,0.02\n", 0), ("code,price\n49,0.05\n", 10)] {
        let mut change = store.begin().await.unwrap();
        let stored = import(&store, &mut change, &group, csv, at(seconds), seconds > 0).await;
        change.commit().await.unwrap();
        versions.push(stored.id);
    }
    let id = billing::RateGroupId(u32::try_from(group.id).unwrap());
    let prices = async || {
        let mut change = store.begin_read().await.unwrap();
        let book = change.rate_book(None).await.unwrap();
        let group = std::sync::Arc::clone(book.group(id).unwrap());
        [("49", 5), ("33", 5), ("49", 15), ("33", 15), ("49", 25), ("33", 25)].map(
            |(cld, second)| {
                let found = group.lookup(&cld.parse().unwrap(), at(second));
                found.map_or("none".to_owned(), |found| found.rate.price.to_string())
            },
        )
    };
    assert_eq!(prices().await, ["0.01", "0.02", "0.05", "none", "0.05", "none"]);
    let mut change = store.begin().await.unwrap();
    let (rolled_back, of) = change.roll_back(versions[1], at(20), at(20)).await.unwrap();
    assert_eq!((rolled_back.rolls_back, of), (Some(versions[1]), group.id));
    assert!(change.roll_back(versions[1], at(20), at(20)).await.is_err());
    assert!(change.roll_back(rolled_back.id, at(20), at(20)).await.is_err());
    change.commit().await.unwrap();
    assert_eq!(prices().await, ["0.01", "0.02", "0.05", "none", "0.01", "0.02"]);
    assert_eq!(store.sheets().await.unwrap().len(), 3);
}

async fn a_vendor_keeps_his_layout(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    assert!(store.layout("aurora").await.is_err());
    let layout = Layout { is_full: true, time_zone: "CET".into(), ..Layout::default() };
    let mut change = store.begin().await.unwrap();
    change.set_layout("aurora", &Layout::default(), NOW).await.unwrap();
    change.set_layout("aurora", &layout, NOW).await.unwrap();
    let wrong = Layout { time_zone: "Mars".into(), ..Layout::default() };
    assert!(change.set_layout("b", &wrong, NOW).await.is_err());
    change.commit().await.unwrap();
    assert_eq!(store.layout("aurora").await.unwrap().layout, layout);
    assert_eq!(store.layouts().await.unwrap().len(), 1);
}

/// For a dry run (B6): nothing is stored.
async fn a_draft_has_the_terms_of_its_tariff_and_its_group(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let mut change = store.begin().await.unwrap();
    let group = change.add_rate_group(group("retail")).await.unwrap();
    change.commit().await.unwrap();
    let tariff = br#"{"currency": "EUR", "destinations": [
        {"prefix": "49", "price": "0.01", "cap": {"amount": "1", "after": "free"}}]}"#;
    let defaults = group.shown_defaults().unwrap();
    let deck = interpret(tariff, &Layout::default(), &defaults, NOW).unwrap().deck;
    let drafted = store.drafted_group(&group, deck, false).await.unwrap();
    let found = drafted.lookup(&"4930123".parse().unwrap(), NOW).unwrap();
    let special = found.special.unwrap();
    assert_eq!(special.cap.unwrap().amount, "1".parse().unwrap());
    // What the tariff does not say.
    assert_eq!(special.duration_rounding, Some(billing::DurationRounding::Nearest));
    assert_eq!((found.rate.connect_fee.to_string(), found.rate.grace_seconds), ("0.05".into(), 3));
    assert_eq!(store.sheets().await.unwrap(), []);
}

async fn a_sheet_is_stored_and_counted(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let mut change = store.begin().await.unwrap();
    two_accounts(&mut change).await;
    change.commit().await.unwrap();
    let group = store.rate_group("retail").await.unwrap();

    let csv = "prefix,destination,price\n49,Germany,0.01\n4930,Berlin,0.02\n1,USA,0.03\n";
    let mut change = store.begin().await.unwrap();
    let stored = import(&store, &mut change, &group, csv, NOW, false).await;
    assert_eq!(stored.movements, Movements { added: 3, ..Movements::default() });
    let book = change.rate_book(None).await.unwrap();
    change.commit().await.unwrap();

    let id = billing::RateGroupId(u32::try_from(group.id).unwrap());
    let loaded = book.group(id).unwrap();
    let found = loaded.lookup(&"4930123".parse().unwrap(), NOW).unwrap();
    assert_eq!((found.rate.price.to_string(), found.prefix_length), ("0.02".to_owned(), 4));
    assert_eq!(u64::from(found.sheet_version), stored.id);

    let later = Utc(NOW.0 + 1_000_000);
    let csv = "prefix,price,connect_fee\n49,0.02,0\n4930,0.01,0\n1,0.03,0.1\n33,1,0\n";
    let mut change = store.begin().await.unwrap();
    let next = import(&store, &mut change, &group, csv, later, false).await;
    let expected =
        Movements { added: 1, increased: 1, decreased: 1, changed: 1, ..Movements::default() };
    assert_eq!(next.movements, expected);
    let mut reading = store.begin_read().await.unwrap();
    let kept = reading.rate_book(Some(&book)).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(kept.group(id).unwrap(), loaded));
    drop(reading);
    let read_anew = change.rate_book(Some(&book)).await.unwrap();
    let loaded = read_anew.group(id).unwrap();
    let price = |at| loaded.lookup(&"49301".parse().unwrap(), at).unwrap().rate.price.to_string();
    assert_eq!((price(NOW), price(later)), ("0.02".to_owned(), "0.01".to_owned()));
    change.commit().await.unwrap();

    assert_eq!(store.sheets().await.unwrap().len(), 2);
    assert_eq!(store.rate_group("retail").await.unwrap().rate_count, 7);
    let rows = store.rates(&group, "49", 10).await.unwrap();
    let shown: Vec<_> =
        rows.iter().map(|row| (&*row.rate.prefix, row.rate.rate.price.to_string())).collect();
    assert_eq!(
        shown,
        [
            ("49", "0.02".into()),
            ("49", "0.01".into()),
            ("4930", "0.01".into()),
            ("4930", "0.02".to_owned())
        ]
    );
}

async fn an_answer_is_had_again_by_the_same_command_only(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let answer = Answer { status: 201, body: "{}".into() };
    let mut change = store.begin().await.unwrap();
    assert_eq!(change.seen("k", &[1; 32]).await.unwrap(), Seen::Never);
    change.remember("k", &[1; 32], &answer, NOW).await.unwrap();
    change.commit().await.unwrap();
    let mut change = store.begin().await.unwrap();
    assert_eq!(change.seen("k", &[1; 32]).await.unwrap(), Seen::Before(answer.clone()));
    assert_eq!(change.seen("k", &[2; 32]).await.unwrap(), Seen::WithAnotherCommand);
    let much_later = Utc(NOW.0 + 31 * 86_400_000_000);
    change.remember("l", &[3; 32], &answer, much_later).await.unwrap();
    assert_eq!(change.seen("k", &[1; 32]).await.unwrap(), Seen::Never);
}

async fn blocked_accounts_are_inactive_in_the_switch(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(backend, dir.path()).await;
    let mut change = store.begin().await.unwrap();
    let (mut alice, _) = two_accounts(&mut change).await;
    alice.status = AccountStatus::Blocked;
    change.set_account(&alice).await.unwrap();
    let directory = change.load(Settings::default(), 1, None).await.unwrap().directory;
    assert!(!directory.account(alice.id).unwrap().is_active);
}
