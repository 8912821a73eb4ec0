//! From tables to the snapshots that calls see: what the switch, billing and the ledger need to know.
//! A command makes the snapshots of what it is about to commit, so that a change the switch would
//! refuse is never stored. [`Change::load`] reads everything, at the start; [`Change::reload`] only
//! what the command has changed, over the snapshots before.

use std::sync::Arc;
use std::time::Duration;

use billing::{Currency, Money, PaymentMode, RateBook, Status, Terms};
use switch::caller_id::{CallerIdPolicy, TrunkCallerId};
use switch::directory::Transport;
use switch::directory::{
    AccountRow, Directory, DirectoryBuilder, Limits, NumberRow, RouteRow, Settings, SubscriberRow,
    TrunkIngress, TrunkRegistration, TrunkRole, TrunkRow,
};
use switch::forwarding::{Availability, Forwards};
use switch::interworking::Interworking;
use switch::numbers::{ListId, NumberOwner, NumberPolicy};
use switch::routing::{CauseMap, HuntCodes, RouteId};
use switch::stir::StirPolicy;
use vocabulary::AccountId;

use super::account::{self, Account, AccountStatus, BillingKind};
use super::route::{self, Route};
use super::subscriber::{self, Subscriber};
use super::trunk::{self, Trunk, TrunkTransport};
use super::trunk_tls::TrunkTls;
use super::{CallLimits, Change, ChangeError, Result};
use super::{
    availability, caller_id, did, edge, forwarding, fraud, interworking, jurisdiction, lookup,
    message, number_list, number_rule, probe, quality, route_prefix, time_window, trunk_cause,
    trunk_stir, trunk_tls,
};

/// Snapshots, and what the ledger must be told.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// For the switch.
    pub directory: Arc<Directory>,
    /// For billing.
    pub rate_book: Arc<RateBook>,
    /// For the ledger: the accounts that were read.
    pub terms: Vec<(AccountId, Terms)>,
}

impl Change {
    /// Everything, as this command has left it. Rate groups are taken over from `book` if it has
    /// them and the command has not changed them. The seed keys maps whose keys peers choose; keep
    /// it secret.
    pub async fn load(
        &mut self,
        settings: Settings,
        seed: u64,
        book: Option<&RateBook>,
    ) -> Result<Loaded> {
        let accounts = account::with_parents(&mut *self.tx, None).await?;
        let rate_book = Arc::new(self.whole_rate_book(book, &accounts).await?);
        let terms = accounts.iter().map(|(account, _)| Ok((account.id, terms(account)?)));
        let terms = terms.collect::<Result<Vec<_>>>()?;
        let directory = Arc::new(self.whole_directory(settings, seed, &accounts).await?);
        Ok(Loaded { directory, rate_book, terms })
    }

    /// The snapshots that follow these two, as this command has left the tables: what it has noted
    /// in [`super::Touched`] is read again and the rest shared.
    pub async fn reload(
        &mut self,
        directory: &Arc<Directory>,
        book: &Arc<RateBook>,
        seed: u64,
    ) -> Result<Loaded> {
        if self.touched.is_everything() {
            return self.load(directory.settings().clone(), seed, Some(book)).await;
        }
        let mut accounts = Vec::with_capacity(self.touched.accounts.len());
        for id in self.touched.accounts.clone() {
            accounts.extend(account::with_parents(&mut *self.tx, Some(id)).await?);
        }
        let rate_book = Arc::new(match self.touched.all_tariffs {
            true => {
                let all = account::with_parents(&mut *self.tx, None).await?;
                self.whole_rate_book(Some(book), &all).await?
            }
            false => self.changed_rate_book(book, &accounts).await?,
        });
        let terms = accounts.iter().map(|(account, _)| Ok((account.id, terms(account)?)));
        let terms = terms.collect::<Result<Vec<_>>>()?;
        let changed = Arc::new(self.changed_directory(directory, &accounts).await?);
        let loaded = Loaded { directory: changed, rate_book, terms };
        if cfg!(debug_assertions) {
            self.check_against_tables(&loaded, seed).await?;
        }
        Ok(loaded)
    }

    /// In tests: would reading everything have given the same?
    async fn check_against_tables(&mut self, loaded: &Loaded, seed: u64) -> Result<()> {
        let touched = std::mem::take(&mut self.touched);
        let settings = loaded.directory.settings().clone();
        let whole = self.load(settings, seed, Some(&loaded.rate_book)).await?;
        let remedy = "a command changed a row that a snapshot is made of and did not note it; see \
                      \"How to add\" in CONTRIBUTING.md";
        assert!(whole.directory == loaded.directory, "{remedy}: {touched:?}");
        assert!(whole.rate_book.has_terms_of(&loaded.rate_book), "{remedy}: {touched:?}");
        self.touched = touched;
        Ok(())
    }

    async fn whole_directory(
        &mut self,
        settings: Settings,
        seed: u64,
        accounts: &[(Account, Option<AccountId>)],
    ) -> Result<Directory> {
        let guard = self.guard_rows().await?;
        let mut builder = DirectoryBuilder::new(settings, seed).guard(guard);
        builder = builder.fraud_rules(self.fraud_rules_of_all().await?);
        for list in number_list::all(&mut self.tx).await? {
            builder = builder.number_list(list);
        }
        let mut policies = number_rule::all(&mut self.tx).await?;
        let mut numbers_of = |owner| policies.remove(&owner).map(Arc::new);
        if let Some(policy) = numbers_of(NumberOwner::Switch) {
            builder = builder.numbers_of_all(Arc::unwrap_or_clone(policy));
        }
        let mut caller_ids = self.caller_id_policies().await?;
        let mut frauds = fraud::of_accounts(&mut self.tx).await?;
        let mut codecs_of = interworking::codecs_of_accounts(&mut *self.tx).await?;
        for (account, _) in accounts {
            let codecs = codecs_of.remove(&account.id);
            let caller_id = caller_ids.remove(&account.id).unwrap_or_default();
            let numbers = numbers_of(NumberOwner::Account(account.id));
            let fraud = frauds.remove(&account.id).map(Arc::new);
            let row = AccountRow { numbers, fraud, codecs, ..account_row(account, caller_id) };
            builder = builder.account(row);
        }
        let mut forwards = forwarding::all(&mut *self.tx).await?;
        let mut availabilities = availability::all(&mut *self.tx).await?;
        let mut limits = edge::limits_of_all(&mut *self.tx).await?;
        for subscriber in subscriber::all(&mut *self.tx).await? {
            let forwards = forwards.remove(&subscriber.id).unwrap_or_default();
            let availability = availabilities.remove(&subscriber.id).unwrap_or_default();
            let limits = limits.remove(&subscriber.id).unwrap_or_default();
            let numbers = numbers_of(NumberOwner::Subscriber(subscriber.id));
            let callee = (forwards, availability);
            builder = with_subscriber(builder, subscriber, callee, limits, numbers);
        }
        for did in did::for_snapshot(&mut self.tx, None).await? {
            builder = builder.did(did.row);
        }
        let mut of_trunks = caller_id::of_trunks(&mut *self.tx).await?;
        let mut probes = probe::all(&mut *self.tx).await?;
        let mut causes = trunk_cause::all(&mut *self.tx).await?;
        let mut roles = edge::roles_of_all(&mut *self.tx).await?;
        let mut interworkings = interworking::of_trunks(&mut *self.tx).await?;
        let mut stir = trunk_stir::all(&mut *self.tx).await?;
        let mut certificates = trunk_tls::all(&mut *self.tx).await?;
        let messages = message::trunks(&mut *self.tx).await?;
        for trunk in trunk::all(&mut *self.tx).await? {
            let caller_id = of_trunks.remove(&trunk.id).unwrap_or_default();
            let numbers = numbers_of(NumberOwner::Trunk(trunk.id));
            let probe = probes.remove(&trunk.id).unwrap_or_default().in_force();
            let causes = causes.remove(&trunk.id).unwrap_or_default();
            let role = roles.remove(&trunk.id).unwrap_or_default();
            let stir = stir.remove(&trunk.id).unwrap_or_default();
            let tls = certificates.remove(&trunk.id).unwrap_or_default();
            let interworking = interworkings.remove(&trunk.id).unwrap_or_default();
            let carries_messages = messages.contains(&trunk.id);
            let row = TrunkRow { interworking, stir, carries_messages, ..trunk_row(trunk, tls)? };
            builder = builder.trunk(TrunkRow { caller_id, numbers, probe, causes, role, ..row });
        }
        builder = self.with_routing(builder).await?;
        builder = builder.jurisdictions(jurisdiction::all(&mut *self.tx).await?);
        for route in route::all(&mut *self.tx).await? {
            builder = builder.route(route_row(&route));
        }
        built(builder)
    }

    /// What was touched is taken out, and what is left of it in the tables put in.
    async fn changed_directory(
        &mut self,
        before: &Directory,
        accounts: &[(Account, Option<AccountId>)],
    ) -> Result<Directory> {
        let mut builder = before.change();
        if self.touched.guard {
            builder = builder.guard(self.guard_rows().await?);
        }
        for id in self.touched.number_lists.clone() {
            let id = ListId(id);
            builder = builder.without_number_list(id);
            if let Some(list) = number_list::of_id(&mut self.tx, id).await? {
                builder = builder.number_list(list);
            }
        }
        if self.touched.numbers_of_all {
            let policy = number_rule::policy_of(&mut self.tx, NumberOwner::Switch).await?;
            builder = builder.numbers_of_all(policy.unwrap_or_default());
        }
        if self.touched.fraud_of_all {
            builder = builder.fraud_rules(self.fraud_rules_of_all().await?);
        }
        builder = self.with_what_is_nobodys(builder).await?;
        for (account, _) in accounts {
            let caller_id = self.caller_id_policy(account.id).await?;
            let numbers = self.numbers_of(NumberOwner::Account(account.id)).await?;
            let fraud = fraud::of_account(&mut self.tx, account.id).await?.map(Arc::new);
            let codecs = self.account_codecs(account.id).await?;
            let row = AccountRow { numbers, fraud, codecs, ..account_row(account, caller_id) };
            builder = builder.without_account(account.id).account(row);
        }
        for id in self.touched.subscribers.clone() {
            builder = builder.without_subscriber(id);
            if let Some(subscriber) = subscriber::of_id(&mut *self.tx, id).await? {
                let forwards = forwarding::of_subscriber(&mut *self.tx, id).await?;
                let availability = availability::of_subscriber(&mut *self.tx, id).await?;
                let limits = edge::limits_of(&mut *self.tx, id).await?;
                let numbers = self.numbers_of(NumberOwner::Subscriber(id)).await?;
                let callee = (forwards, availability);
                builder = with_subscriber(builder, subscriber, callee, limits, numbers);
            }
        }
        for id in self.touched.dids.clone() {
            builder = builder.without_did(id);
            for did in did::for_snapshot(&mut self.tx, Some(id)).await? {
                builder = builder.did(did.row);
            }
        }
        for id in self.touched.trunks.clone() {
            builder = builder.without_trunk(id);
            if let Some(trunk) = trunk::of_id(&mut *self.tx, id).await? {
                builder = builder.trunk(self.whole_trunk(trunk).await?);
            }
            for route in route::of_trunk(&mut *self.tx, id).await? {
                builder = builder.route(route_row(&route));
            }
        }
        built(builder)
    }

    /// What belongs to no owner and has changed.
    async fn with_what_is_nobodys(
        &mut self,
        mut builder: DirectoryBuilder,
    ) -> Result<DirectoryBuilder> {
        if self.touched.routing {
            builder = self.with_routing(builder).await?;
        }
        if self.touched.jurisdictions {
            builder = builder.jurisdictions(jurisdiction::all(&mut *self.tx).await?);
        }
        Ok(builder)
    }

    /// A trunk with all that belongs to it.
    async fn whole_trunk(&mut self, trunk: Trunk) -> Result<TrunkRow> {
        let id = trunk.id;
        let tls = self.trunk_tls(id).await?;
        Ok(TrunkRow {
            caller_id: self.trunk_caller_id(id).await?,
            numbers: self.numbers_of(NumberOwner::Trunk(id)).await?,
            probe: self.trunk_probe(id).await?.in_force(),
            causes: self.trunk_causes(id).await?,
            role: self.trunk_role(id).await?,
            interworking: self.trunk_interworking(id).await?,
            stir: self.trunk_stir(id).await?,
            carries_messages: self.carries_messages(id).await?,
            ..trunk_row(trunk, tls)?
        })
    }

    /// Time windows, what is said of prefixes, quality rules, and lookups.
    async fn with_routing(&mut self, builder: DirectoryBuilder) -> Result<DirectoryBuilder> {
        let windows = time_window::all(&mut *self.tx).await?;
        let windows = windows.iter().map(time_window::StoredWindow::in_force);
        let windows = windows.collect::<Result<Vec<_>>>()?;
        let prefixes = route_prefix::all(&mut *self.tx).await?;
        let quality = quality::all(&mut *self.tx).await?;
        let lookups = lookup::in_force(&mut self.tx).await?;
        let builder = builder.time_windows(windows).route_prefixes(prefixes);
        Ok(builder.quality_rules(quality).lookups(lookups))
    }

    async fn numbers_of(&mut self, owner: NumberOwner) -> Result<Option<Arc<NumberPolicy>>> {
        Ok(number_rule::policy_of(&mut self.tx, owner).await?.map(Arc::new))
    }
}

fn built(builder: DirectoryBuilder) -> Result<Directory> {
    builder.build().map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        ChangeError::InUse(faults.join("; "))
    })
}

fn with_subscriber(
    mut builder: DirectoryBuilder,
    subscriber: Subscriber,
    (forwards, availability): (Forwards, Availability),
    limits: CallLimits,
    numbers: Option<Arc<NumberPolicy>>,
) -> DirectoryBuilder {
    let (ingress, egress) = directions(limits);
    if let Some(number) = subscriber.number {
        builder = builder.number(NumberRow { number, subscriber: subscriber.id });
    }
    let row = subscriber_row(&subscriber);
    let row = SubscriberRow { forwards, availability, ingress, egress, numbers, ..row };
    builder.subscriber(row)
}

fn route_row(route: &Route) -> RouteRow {
    RouteRow {
        id: RouteId(route.id),
        weight: route.weight,
        window: route.window,
        limits: Limits { concurrent: route.calls_max, per_second: route.cps_max },
        ..RouteRow::new(&route.prefix, route.trunk, route.priority)
    }
}

/// (what it sends us, what we send it)
fn directions(limits: CallLimits) -> (Limits, Limits) {
    (
        Limits { concurrent: limits.calls_in_max, per_second: limits.cps_in_max },
        Limits { concurrent: limits.calls_out_max, per_second: limits.cps_out_max },
    )
}

fn account_row(account: &Account, caller_id: CallerIdPolicy) -> AccountRow {
    let (ingress, egress) = directions(account.limits);
    AccountRow {
        is_active: account.status == AccountStatus::Active && account.suspended_at.is_none(),
        allows_local: account.allow_local,
        ingress,
        egress,
        duration_max: account.call_seconds_max.map(|most| Duration::from_secs(most.into())),
        caller_id,
        ..AccountRow::new(account.id, &account.name)
    }
}

fn subscriber_row(subscriber: &Subscriber) -> SubscriberRow {
    let Subscriber { id, account, username, secret, .. } = subscriber;
    SubscriberRow {
        number: subscriber.number,
        contacts_max: subscriber.contacts_max,
        ..SubscriberRow::new(*id, *account, username, secret.clone())
    }
}

fn trunk_row(trunk: Trunk, tls: TrunkTls) -> Result<TrunkRow> {
    let TrunkTls { certificate_names, client_certificate } = tls;
    let (ingress_limits, egress_limits) = directions(trunk.limits);
    let networks = trunk.addresses.iter().map(|address| {
        address
            .parse()
            .map_err(|_| ChangeError::Corrupt { column: "addresses", value: address.clone() })
    });
    let networks = networks.collect::<Result<Vec<_>>>()?;
    let registration =
        trunk.egress.as_ref().filter(|_| trunk.registers).map(|credentials| TrunkRegistration {
            username: credentials.username.clone(),
            domain: String::new(),
            expires: trunk.register_expires,
        });
    Ok(TrunkRow {
        id: trunk.id,
        name: trunk.name,
        account: trunk.account,
        is_active: trunk.enabled,
        host: trunk.host.unwrap_or_default(),
        port: trunk.port,
        transport: trunk.transport.map(|transport| match transport {
            TrunkTransport::Udp => Transport::Udp,
            TrunkTransport::Tcp => Transport::Tcp,
            TrunkTransport::Tls => Transport::Tls,
        }),
        listener: None,
        ingress: TrunkIngress { networks, digest: trunk.ingress, certificate_names },
        credentials: trunk.egress,
        registration,
        ingress_plan: trunk.ingress_plan,
        egress_plan: trunk.egress_plan,
        ingress_limits,
        egress_limits,
        causes: CauseMap::default(),
        codes: HuntCodes { stop: trunk.stop_codes, hunt: trunk.hunt_codes },
        ring_timeout: trunk.ring_timeout,
        is_trusted: trunk.trusted,
        caller_id: TrunkCallerId::default(),
        carries_messages: false,
        numbers: None,
        probe: None,
        stir: StirPolicy::default(),
        interworking: Interworking::default(),
        sends_lrn: trunk.sends_lrn,
        believes_lrn: trunk.believes_lrn,
        role: TrunkRole::default(),
        client_certificate,
    })
}

fn terms(account: &Account) -> Result<Terms> {
    let currency: Currency = account.currency.parse().map_err(|_| ChangeError::Corrupt {
        column: "currency",
        value: account.currency.clone(),
    })?;
    let mut terms = Terms {
        status: match account.status {
            AccountStatus::Active if account.suspended_at.is_none() => Status::Active,
            AccountStatus::Active | AccountStatus::Blocked => Status::Blocked,
            AccountStatus::Closed => Status::Closed,
        },
        mode: match account.billing {
            BillingKind::Prepaid => PaymentMode::Prepaid,
            BillingKind::Postpaid => PaymentMode::Postpaid,
        },
        credit_limit: Money(account.credit_limit),
        currency,
        ..Terms::prepaid(currency)
    };
    account.credit.apply(&mut terms);
    Ok(terms)
}
