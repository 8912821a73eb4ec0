//! Checks the rows and makes the snapshot. All faults are found at once, each naming its row.

use std::sync::Arc;

use snapshot_map::SnapshotMap;
use vocabulary::{AccountId, DidId, SubscriberId, TrunkId};

use super::fault::DirectoryError;
use super::number_policies::{add_numbers, change_lists, check_numbers};
use super::owned_numbers::{OwnedNumbers, add_did, add_number, take_did, take_number};
use super::routes::add_route;
use super::rows::{
    AccountRow, NumberRow, RouteRow, Settings, SubscriberRow, TrunkRow, is_user_part,
};
use super::trunk_tls::{add_tls, forget_tls};
use super::{DigestOwner, Directory};
use crate::did::DidRow;
use crate::guard::GuardRows;
use crate::jurisdiction::Jurisdictions;
use crate::lookup::{Lookup, Lookups};
use crate::numbers::{ListId, NumberList, NumberOwner, NumberPolicy};
use crate::quality::{QualityRule, QualityRules};
use crate::routing::{NumberPlan, RoutePrefix, TimeWindow};

/// Collects rows in any order; `build` takes out what is to go, puts in what came, and checks it.
#[derive(Debug)]
pub struct DirectoryBuilder {
    pub(super) directory: Directory,
    accounts_gone: Vec<AccountId>,
    subscribers_gone: Vec<SubscriberId>,
    trunks_gone: Vec<TrunkId>,
    lists_gone: Vec<ListId>,
    lists: Vec<NumberList>,
    accounts: Vec<AccountRow>,
    subscribers: Vec<SubscriberRow>,
    numbers: Vec<NumberRow>,
    dids_gone: Vec<DidId>,
    dids: Vec<DidRow>,
    trunks: Vec<TrunkRow>,
    routes: Vec<RouteRow>,
}

impl Directory {
    /// Starts from this snapshot; what is not changed is shared with it. To change a row, take it
    /// out and add it as it is now.
    pub fn change(&self) -> DirectoryBuilder {
        DirectoryBuilder::of(self.clone())
    }
}

impl DirectoryBuilder {
    /// An empty directory. The seed keys the maps whose keys peers choose; keep it secret.
    pub fn new(settings: Settings, seed: u64) -> DirectoryBuilder {
        DirectoryBuilder::of(Directory {
            settings: Arc::new(settings),
            accounts: SnapshotMap::with_seed(seed),
            subscribers: SnapshotMap::with_seed(seed),
            trunks: SnapshotMap::with_seed(seed),
            users: SnapshotMap::with_seed(seed),
            numbers: SnapshotMap::with_seed(seed),
            dids: SnapshotMap::with_seed(seed),
            did_numbers: SnapshotMap::with_seed(seed),
            owned_numbers: SnapshotMap::with_seed(seed),
            networks: Arc::default(),
            routes: Arc::default(),
            route_prefixes: Arc::default(),
            time_windows: Arc::default(),
            quality_rules: Arc::default(),
            lookups: Arc::default(),
            jurisdictions: Arc::default(),
            registering: Vec::new(),
            guard: Arc::default(),
            numbers_of_all: Arc::default(),
            number_lists: SnapshotMap::with_seed(seed),
            number_policies: 0,
            special_lists: Arc::default(),
            fraud_rules: Arc::default(),
            probed: Vec::new(),
            certificates: Arc::default(),
        })
    }

    fn of(directory: Directory) -> DirectoryBuilder {
        DirectoryBuilder {
            directory,
            accounts_gone: Vec::new(),
            subscribers_gone: Vec::new(),
            trunks_gone: Vec::new(),
            lists_gone: Vec::new(),
            lists: Vec::new(),
            accounts: Vec::new(),
            subscribers: Vec::new(),
            numbers: Vec::new(),
            dids_gone: Vec::new(),
            dids: Vec::new(),
            trunks: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// Takes an account out, if it is there. What belongs to it is not looked for: take that out
    /// too.
    #[must_use]
    pub fn without_account(mut self, id: AccountId) -> DirectoryBuilder {
        self.accounts_gone.push(id);
        self
    }

    /// Takes a subscriber out, if it is there, with its user name and its own number.
    #[must_use]
    pub fn without_subscriber(mut self, id: SubscriberId) -> DirectoryBuilder {
        self.subscribers_gone.push(id);
        self
    }

    /// Takes a trunk out, if it is there, with its user name, its addresses and the routes over it.
    #[must_use]
    pub fn without_trunk(mut self, id: TrunkId) -> DirectoryBuilder {
        self.trunks_gone.push(id);
        self
    }

    /// Sets who is kept out and who never is, in place of what was said before.
    #[must_use]
    pub fn guard(mut self, rows: GuardRows) -> DirectoryBuilder {
        self.directory.guard = Arc::new(rows);
        self
    }

    /// Takes a list of numbers out, if it is there.
    #[must_use]
    pub fn without_number_list(mut self, id: ListId) -> DirectoryBuilder {
        self.lists_gone.push(id);
        self
    }

    /// Adds a list of numbers.
    #[must_use]
    pub fn number_list(mut self, list: NumberList) -> DirectoryBuilder {
        self.lists.push(list);
        self
    }

    /// The number rules and lists of everybody, instead of those before.
    #[must_use]
    pub fn numbers_of_all(mut self, policy: NumberPolicy) -> DirectoryBuilder {
        self.directory.numbers_of_all = Arc::new(policy);
        self
    }

    /// What is said of prefixes of routes, instead of what was said before.
    #[must_use]
    pub fn route_prefixes(mut self, rows: Vec<RoutePrefix>) -> DirectoryBuilder {
        let rows = rows.into_iter().map(|row| (row.prefix.clone(), row));
        self.directory.route_prefixes = Arc::new(rows.collect());
        self
    }

    /// The time windows, instead of those before.
    #[must_use]
    pub fn time_windows(mut self, windows: Vec<TimeWindow>) -> DirectoryBuilder {
        let windows = windows.into_iter().map(|window| (window.id, window));
        self.directory.time_windows = Arc::new(windows.collect());
        self
    }

    /// Which quality is asked of trunks, instead of what was asked before.
    #[must_use]
    pub fn quality_rules(mut self, rules: Vec<QualityRule>) -> DirectoryBuilder {
        self.directory.quality_rules = Arc::new(QualityRules::new(rules));
        self
    }

    /// Who is asked where numbers are served, instead of those before.
    #[must_use]
    pub fn lookups(mut self, lookups: Vec<Lookup>) -> DirectoryBuilder {
        self.directory.lookups = Arc::new(Lookups::new(lookups));
        self
    }

    /// In which states numbers are, instead of what was said before.
    #[must_use]
    pub fn jurisdictions(mut self, jurisdictions: Jurisdictions) -> DirectoryBuilder {
        self.directory.jurisdictions = Arc::new(jurisdictions);
        self
    }

    /// Adds an account.
    #[must_use]
    pub fn account(mut self, row: AccountRow) -> DirectoryBuilder {
        self.accounts.push(row);
        self
    }

    /// Adds a subscriber.
    #[must_use]
    pub fn subscriber(mut self, row: SubscriberRow) -> DirectoryBuilder {
        self.subscribers.push(row);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, row: NumberRow) -> DirectoryBuilder {
        self.numbers.push(row);
        self
    }

    /// Takes a DID out, if it is there.
    #[must_use]
    pub fn without_did(mut self, id: DidId) -> DirectoryBuilder {
        self.dids_gone.push(id);
        self
    }

    /// Adds a DID.
    #[must_use]
    pub fn did(mut self, row: DidRow) -> DirectoryBuilder {
        self.dids.push(row);
        self
    }

    /// Adds a trunk.
    #[must_use]
    pub fn trunk(mut self, row: TrunkRow) -> DirectoryBuilder {
        self.trunks.push(row);
        self
    }

    /// Adds a route.
    #[must_use]
    pub fn route(mut self, row: RouteRow) -> DirectoryBuilder {
        self.routes.push(row);
        self
    }

    /// The snapshot, or every fault found.
    pub fn build(self) -> Result<Directory, Vec<DirectoryError>> {
        let mut faults = Vec::new();
        let mut directory = self.directory;
        check_settings(&directory.settings, &mut faults);
        for id in self.accounts_gone {
            if let Some(row) = directory.accounts.remove(&id) {
                directory.number_policies -= usize::from(row.numbers.is_some());
            }
        }
        let mut owned = OwnedNumbers::default();
        for id in self.subscribers_gone {
            take_subscriber(&mut directory, id, &mut owned);
        }
        for id in self.dids_gone {
            take_did(&mut directory, id, &mut owned);
        }
        for id in self.trunks_gone {
            take_trunk(&mut directory, id);
        }
        change_lists(&mut directory, self.lists_gone, self.lists, &mut faults);
        check_numbers(&directory, NumberOwner::Switch, directory.numbers_of_all(), &mut faults);
        for row in self.accounts {
            let id = row.id;
            let owner = NumberOwner::Account(id);
            add_numbers(&mut directory, owner, row.numbers.as_deref(), &mut faults);
            if directory.accounts.insert(id, Arc::new(row)).is_some() {
                faults.push(DirectoryError::AccountTwice(id));
            }
        }
        for row in self.subscribers {
            add_subscriber(&mut directory, row, &mut faults);
        }
        for row in self.trunks {
            add_trunk(&mut directory, row, &mut faults);
        }
        for row in self.numbers {
            add_number(&mut directory, &row, &mut owned, &mut faults);
        }
        for row in self.dids {
            add_did(&mut directory, row, &mut owned, &mut faults);
        }
        owned.put_into(&mut directory);
        for row in self.routes {
            add_route(&mut directory, row, &mut faults);
        }
        directory.registering.sort_unstable();
        directory.probed.sort_unstable();
        if faults.is_empty() { Ok(directory) } else { Err(faults) }
    }
}

fn check_settings(settings: &Settings, faults: &mut Vec<DirectoryError>) {
    let mut complain = |text: &str| faults.push(DirectoryError::Settings(text.into()));
    if settings.realm.is_empty() || settings.realm.contains(['"', '\\', '\r', '\n', ' ', '@']) {
        complain("the realm is empty or holds a space, quote, backslash or @");
    }
    if settings.registration_min > settings.registration_max {
        complain("the shortest registration is longer than the longest");
    }
    let allowed = settings.registration_min..=settings.registration_max;
    if !allowed.contains(&settings.registration_default) {
        complain("the default registration is outside the shortest and the longest");
    }
    if settings.attempts_max == 0 {
        complain("a call that may make no egress attempt goes nowhere");
    }
    if settings.session_expires.is_some_and(|expires| expires < settings.session_min) {
        complain("the session interval is shorter than the shortest accepted");
    }
    check_plan("subscribers", &settings.plan, faults);
}

fn check_plan(owner: &str, plan: &NumberPlan, faults: &mut Vec<DirectoryError>) {
    let mut complain =
        |fault: String| faults.push(DirectoryError::Plan { owner: owner.into(), fault });
    let fields = [
        ("country", &plan.country),
        ("international prefix", &plan.international),
        ("national prefix", &plan.national),
        ("technical prefix", &plan.tech_prefix),
    ];
    for (name, value) in fields {
        if !value.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'#')) {
            complain(format!("the {name} {value:?} holds something other than digits, * and #"));
        }
    }
    if !plan.national.is_empty() && plan.country.is_empty() {
        complain("there is a national prefix and no country".into());
    }
    for rule in &plan.rewrites {
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b"*#".contains(&b));
        if !is_number(&rule.matches) || !is_number(&rule.prepend) {
            complain(format!("the rewrite of {:?} holds something else than digits", rule.matches));
        }
        if usize::from(rule.strip) > rule.matches.len() {
            complain(format!("the rewrite of {:?} strips more than it matches", rule.matches));
        }
    }
}

fn claim_username(
    directory: &mut Directory,
    username: &str,
    owner: DigestOwner,
    faults: &mut Vec<DirectoryError>,
) {
    if !is_user_part(username) {
        faults.push(DirectoryError::UsernameUnusable(username.into()));
    } else if directory.users.insert(username.into(), owner).is_some() {
        faults.push(DirectoryError::UsernameTwice(username.into()));
    }
}

fn take_subscriber(directory: &mut Directory, id: SubscriberId, owned: &mut OwnedNumbers) {
    let Some(row) = directory.subscribers.remove(&id) else { return };
    directory.number_policies -= usize::from(row.numbers.is_some());
    if directory.users.get(&*row.username) == Some(&DigestOwner::Subscriber(id)) {
        directory.users.remove(&*row.username);
    }
    take_number(directory, &row, owned);
}

fn take_trunk(directory: &mut Directory, id: TrunkId) {
    let Some(row) = directory.trunks.remove(&id) else { return };
    directory.number_policies -= usize::from(row.numbers.is_some());
    if let Some((username, _)) = &row.ingress.digest
        && directory.users.get(&**username) == Some(&DigestOwner::Trunk(id))
    {
        directory.users.remove(&**username);
    }
    if !row.ingress.networks.is_empty() {
        let networks = Arc::make_mut(&mut directory.networks);
        row.ingress.networks.iter().for_each(|network| networks.remove(network, id));
    }
    directory.registering.retain(|registering| *registering != id);
    directory.probed.retain(|probed| *probed != id);
    forget_tls(directory, &row);
    Arc::make_mut(&mut directory.routes).remove_trunk(id);
}

fn add_subscriber(directory: &mut Directory, row: SubscriberRow, faults: &mut Vec<DirectoryError>) {
    if !directory.accounts.contains_key(&row.account) {
        faults.push(DirectoryError::SubscriberAccount {
            subscriber: row.id,
            username: row.username.clone(),
            account: row.account,
        });
    }
    if let Some(plan) = &row.plan {
        check_plan(&format!("subscriber {}", row.username), plan, faults);
    }
    claim_username(directory, &row.username, DigestOwner::Subscriber(row.id), faults);
    let id = row.id;
    add_numbers(directory, NumberOwner::Subscriber(id), row.numbers.as_deref(), faults);
    if directory.subscribers.insert(id, Arc::new(row)).is_some() {
        faults.push(DirectoryError::SubscriberTwice(id));
    }
}

fn add_trunk(directory: &mut Directory, row: TrunkRow, faults: &mut Vec<DirectoryError>) {
    let (trunk, name) = (row.id, row.name.clone());
    if !directory.accounts.contains_key(&row.account) {
        let account = row.account;
        faults.push(DirectoryError::TrunkAccount { trunk, name: name.clone(), account });
    }
    if row.host.is_empty() && !row.ingress.is_known() {
        faults.push(DirectoryError::TrunkUseless { trunk, name: name.clone() });
    }
    if !row.host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b)) {
        let host = row.host.clone();
        faults.push(DirectoryError::TrunkHost { trunk, name: name.clone(), host });
    }
    if row.registration.is_some() {
        let lacks = match (row.host.is_empty(), &row.credentials) {
            (true, _) => Some("no host"),
            (false, None) => Some("no credentials"),
            (false, Some(_)) => None,
        };
        if let Some(lacks) = lacks {
            faults.push(DirectoryError::TrunkRegistration { trunk, name: name.clone(), lacks });
        }
        directory.registering.push(trunk);
    }
    add_numbers(directory, NumberOwner::Trunk(trunk), row.numbers.as_deref(), faults);
    if row.probe.is_some() && row.is_active && !row.host.is_empty() {
        directory.probed.push(trunk);
    }
    add_tls(directory, &row, faults);
    check_plan(&format!("trunk {name}, ingress"), &row.ingress_plan, faults);
    check_plan(&format!("trunk {name}, egress"), &row.egress_plan, faults);
    for network in &row.ingress.networks {
        if let Some(other) = Arc::make_mut(&mut directory.networks).add(*network, trunk) {
            let network = *network;
            faults.push(DirectoryError::NetworkTwice { network, first: other, second: trunk });
        }
    }
    if let Some((username, _)) = &row.ingress.digest {
        claim_username(directory, username, DigestOwner::Trunk(trunk), faults);
    }
    if directory.trunks.insert(trunk, Arc::new(row)).is_some() {
        faults.push(DirectoryError::TrunkTwice(trunk));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::DigestSecret;

    fn account(id: u64) -> AccountRow {
        AccountRow::new(AccountId(id), &format!("a{id}"))
    }

    fn subscriber(id: u64, account: u64, username: &str) -> SubscriberRow {
        let secret = DigestSecret { ha1_md5: [0; 16], ha1_sha256: [0; 32] };
        SubscriberRow::new(SubscriberId(id), AccountId(account), username, secret)
    }

    fn trunk(id: u64, host: &str) -> TrunkRow {
        TrunkRow { host: host.into(), ..TrunkRow::new(TrunkId(id), "t", AccountId(1)) }
    }

    fn route(prefix: &str, trunk: u64) -> RouteRow {
        RouteRow::new(prefix, TrunkId(trunk), 1)
    }

    #[track_caller]
    fn check(builder: DirectoryBuilder, faults: &[&str]) {
        let found: Vec<String> = match builder.account(account(1)).build() {
            Ok(_) => Vec::new(),
            Err(found) => found.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(found, faults);
    }

    #[test]
    fn faults_name_their_rows() {
        let new = || DirectoryBuilder::new(Settings::default(), 1);
        let number = "4930123456".parse().unwrap();
        check(new(), &[]);
        check(new().account(account(1)), &["account 1 is there twice"]);
        check(
            new().subscriber(subscriber(7, 9, "alice")),
            &["subscriber 7 (alice) belongs to account 9, which is not there"],
        );
        check(
            new().subscriber(subscriber(7, 1, "al")).subscriber(subscriber(8, 1, "al")),
            &["the user name \"al\" is taken twice"],
        );
        check(
            new().subscriber(subscriber(7, 1, "a b")),
            &["the user name \"a b\" is empty or holds a sign that a SIP address cannot"],
        );
        check(
            new().number(NumberRow { number, subscriber: SubscriberId(7) }),
            &["number 4930123456 rings subscriber 7, which is not there"],
        );
        check(
            new().trunk(trunk(3, "")),
            &["trunk 3 (t) has neither a host to send to nor a way to know its calls"],
        );
        check(
            new().trunk(trunk(3, "a b")),
            &["trunk 3 (t): \"a b\" is not a host name or address"],
        );
        check(
            new().route(route("49", 3)),
            &["the route for prefix \"49\" leads to trunk 3, which is not there"],
        );
        check(
            new().trunk(trunk(3, "h")).route(route("+49", 3)),
            &["the route prefix \"+49\" holds something other than digits, * and #"],
        );
        check(
            new().trunk(trunk(3, "h")).route(route("49", 3)).route(route("49", 3)),
            &["the route for prefix \"49\" to trunk 3 is there twice"],
        );
    }

    #[test]
    fn a_changed_directory_is_what_a_new_one_would_be() {
        let number =
            |text: &str| NumberRow { number: text.parse().unwrap(), subscriber: SubscriberId(7) };
        let numbered = |text: &str| SubscriberRow {
            number: Some(text.parse().unwrap()),
            ..subscriber(7, 1, text)
        };
        let peer = |id: u64, network: &str, username: &str| {
            let mut row = trunk(id, "h");
            row.ingress.networks.push(network.parse().unwrap());
            let secret = DigestSecret { ha1_md5: [0; 16], ha1_sha256: [0; 32] };
            row.ingress.digest = Some((username.into(), secret));
            row
        };
        let new = || DirectoryBuilder::new(Settings::default(), 1).account(account(1));
        let before = new()
            .subscriber(numbered("4930111"))
            .number(number("4930111"))
            .subscriber(subscriber(8, 1, "bob"))
            .trunk(peer(3, "10.0.0.3", "peer"))
            .trunk(peer(4, "10.0.0.4", "other"))
            .route(route("49", 3))
            .route(route("49", 4))
            .build()
            .unwrap();
        let changed = before
            .change()
            .without_subscriber(SubscriberId(7))
            .subscriber(numbered("4930222"))
            .number(number("4930222"))
            .without_subscriber(SubscriberId(8))
            .without_trunk(TrunkId(3))
            .trunk(peer(3, "10.0.0.9", "peer"))
            .route(route("44", 3))
            .without_trunk(TrunkId(4))
            .without_account(AccountId(1))
            .account(AccountRow { is_active: false, ..account(1) })
            .build()
            .unwrap();
        let expected = DirectoryBuilder::new(Settings::default(), 1)
            .account(AccountRow { is_active: false, ..account(1) })
            .subscriber(numbered("4930222"))
            .number(number("4930222"))
            .trunk(peer(3, "10.0.0.9", "peer"))
            .route(route("44", 3))
            .build()
            .unwrap();
        assert_eq!(changed, expected);
        assert_eq!(changed.silenced_since(&before), [SubscriberId(8)]);
        // The one before is as it was.
        assert!(before.subscriber_by_username("bob").is_some());
        assert_eq!(before.routes(&"4930".parse().unwrap()).unwrap().1.len(), 2);
    }

    #[test]
    fn a_change_is_checked_as_a_new_directory_is() {
        let before = DirectoryBuilder::new(Settings::default(), 1)
            .account(account(1))
            .trunk(trunk(3, "h"))
            .subscriber(subscriber(7, 1, "al"))
            .route(route("49", 3))
            .build()
            .unwrap();
        let fault = |builder: DirectoryBuilder| builder.build().unwrap_err()[0].to_string();
        assert_eq!(
            fault(before.change().subscriber(subscriber(8, 1, "al"))),
            "the user name \"al\" is taken twice"
        );
        let hostless = before.change().without_trunk(TrunkId(3));
        assert_eq!(
            fault(hostless.route(route("49", 3))),
            "the route for prefix \"49\" leads to trunk 3, which is not there"
        );
    }

    #[test]
    fn two_trunks_cannot_share_an_address() {
        let with_network = |id| {
            let mut row = trunk(id, "");
            row.ingress.networks.push("10.0.0.1".parse().unwrap());
            row
        };
        check(
            DirectoryBuilder::new(Settings::default(), 1)
                .trunk(with_network(3))
                .trunk(with_network(4)),
            &["trunks 3 and 4 both send from 10.0.0.1"],
        );
    }
}
