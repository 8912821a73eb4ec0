//! From tables to the snapshot that the switch reads. A command makes the snapshot of what it is
//! about to commit, so that a change the switch would refuse is never stored.

use billing::{Currency, Money, PaymentMode, Status, Terms};
use switch::caller_id::CallerIdPolicy;
use switch::directory::Transport;
use switch::directory::{
    AccountRow, Directory, DirectoryBuilder, Limits, NumberRow, RouteRow, Settings, SubscriberRow,
    TrunkIngress, TrunkRegistration, TrunkRow,
};
use switch::routing::HuntCodes;
use vocabulary::AccountId;

use super::account::{self, Account, AccountStatus, BillingKind};
use super::caller_id;
use super::subscriber::{self, Subscriber};
use super::trunk::{self, Trunk, TrunkTransport};
use super::{CallLimits, Change, ChangeError, Result, route};

impl Change {
    /// Everything the switch needs to know, as this command has left it. The seed keys maps whose
    /// keys peers choose; keep it secret.
    pub async fn directory(&mut self, settings: Settings, seed: u64) -> Result<Directory> {
        let mut builder = DirectoryBuilder::new(settings, seed);
        let mut caller_ids = caller_id::all(&mut *self.tx).await?;
        for account in account::all(&mut *self.tx).await? {
            let caller_id = caller_ids.remove(&account.id).unwrap_or_default();
            builder = builder.account(account_row(&account, caller_id));
        }
        for subscriber in subscriber::all(&mut *self.tx).await? {
            if let Some(number) = subscriber.number {
                builder = builder.number(NumberRow { number, subscriber: subscriber.id });
            }
            builder = builder.subscriber(subscriber_row(subscriber));
        }
        for trunk in trunk::all(&mut *self.tx).await? {
            builder = builder.trunk(trunk_row(trunk)?);
        }
        for route in route::all(&mut *self.tx).await? {
            let row = RouteRow::new(&route.prefix, route.trunk, route.priority);
            builder = builder.route(row);
        }
        builder.build().map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            ChangeError::InUse(faults.join("; "))
        })
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
        caller_id,
        ..AccountRow::new(account.id, &account.name)
    }
}

fn subscriber_row(subscriber: Subscriber) -> SubscriberRow {
    let Subscriber { id, account, username, secret, .. } = &subscriber;
    SubscriberRow {
        number: subscriber.number,
        contacts_max: subscriber.contacts_max,
        ..SubscriberRow::new(*id, *account, username, secret.clone())
    }
}

fn trunk_row(trunk: Trunk) -> Result<TrunkRow> {
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
        ingress: TrunkIngress { networks, digest: trunk.ingress },
        credentials: trunk.egress,
        registration,
        ingress_plan: trunk.ingress_plan,
        egress_plan: trunk.egress_plan,
        ingress_limits,
        egress_limits,
        codes: HuntCodes { stop: trunk.stop_codes, hunt: trunk.hunt_codes },
        ring_timeout: trunk.ring_timeout,
        is_trusted: trunk.trusted,
    })
}

impl Change {
    /// What the ledger needs to know of every account.
    pub async fn terms(&mut self) -> Result<Vec<(AccountId, Terms)>> {
        let accounts = account::all(&mut *self.tx).await?;
        accounts.iter().map(|account| Ok((account.id, terms(account)?))).collect()
    }
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
