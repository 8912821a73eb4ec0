//! DIDs: numbers that are sold to accounts, where their calls go and what they cost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use billing::{Price, Rate};
use rust_decimal::Decimal;
use switch::did::{DidRow, DidTarget, Group, MEMBERS_MAX, RingOrder};
use switch::directory::Limits;
use vocabulary::{AccountId, DidId, Number, SubscriberId, TrunkId, Utc};

use super::{Change, ChangeError, DirectoryStore, Result, signed, taken, unsigned, word, words};
use crate::sql::{self, Builder, Executor, Row};

words! {
    /// Where the calls to a DID go.
    Target {
        /// To one subscriber.
        Subscriber = "subscriber",
        /// To several at once.
        AtOnce = "at_once",
        /// To one after the other.
        InOrder = "in_order",
        /// To a trunk.
        Trunk = "trunk",
    }
}

/// A DID as it is stored and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Did {
    /// Which; 0 before it is stored.
    pub id: DidId,
    /// E.164 without `+`.
    pub number: Number,
    /// The name of the account that has it.
    pub account: String,
    /// Whether it takes calls.
    pub enabled: bool,
    /// Where its calls go.
    pub target: Target,
    /// The subscribers by their user names, in their order; none if it leads to a trunk.
    pub members: Vec<String>,
    /// The trunk by its name, if it leads to one.
    pub trunk: Option<String>,
    /// How many seconds each of them rings if they do so in order.
    pub ring_s: u32,
    /// Calls to it at the same time.
    pub calls_max: Option<u32>,
    /// New calls to it in a second.
    pub cps_max: Option<u32>,
    /// A minute of a call from outside, in the currency of its account.
    pub price: Decimal,
    /// Once a call from outside.
    pub connect_fee: Decimal,
    /// The first seconds that are paid for at once.
    pub first_increment: u32,
    /// Those that follow.
    pub next_increment: u32,
    /// For people.
    pub note: String,
    /// When it was added.
    pub created_at: Utc,
}

/// How long each rings if nothing is said.
const RING_SECONDS: u32 = 20;
const RING_SECONDS_MAX: u32 = 600;
const NOTE_MAX: usize = 200;

impl Did {
    /// A number without a target: it costs nothing and has no limits.
    pub fn new(number: Number, account: &str, now: Utc) -> Did {
        Did {
            id: DidId(0),
            number,
            account: account.to_owned(),
            enabled: true,
            target: Target::Subscriber,
            members: Vec::new(),
            trunk: None,
            ring_s: RING_SECONDS,
            calls_max: None,
            cps_max: None,
            price: Decimal::ZERO,
            connect_fee: Decimal::ZERO,
            first_increment: 60,
            next_increment: 60,
            note: String::new(),
            created_at: now,
        }
    }

    fn check(&self) -> Result<()> {
        let members = self.members.len();
        let (is_trunk, most) = match self.target {
            Target::Trunk => (true, 0),
            Target::Subscriber => (false, 1),
            Target::AtOnce | Target::InOrder => (false, MEMBERS_MAX),
        };
        if self.trunk.is_some() != is_trunk {
            let what = match is_trunk {
                true => "name the trunk that it leads to",
                false => "leave it out, or make the target \"trunk\"",
            };
            return Err(ChangeError::invalid("trunk", what));
        }
        let least = match most {
            MEMBERS_MAX => 2,
            most => most,
        };
        if !(least..=most).contains(&members) {
            let what = match most {
                0 => "leave them out: the DID leads to a trunk".to_owned(),
                1 => "name one, or make the target \"at_once\" or \"in_order\"".to_owned(),
                most => format!("name 2 to {most}"),
            };
            return Err(ChangeError::invalid("subscribers", what));
        }
        if !(1..=RING_SECONDS_MAX).contains(&self.ring_s) {
            let what = format!("write 1 to {RING_SECONDS_MAX} seconds");
            return Err(ChangeError::invalid("ring_s", what));
        }
        for (field, price) in [("price", self.price), ("connect_fee", self.connect_fee)] {
            Price::new(price).map_err(|why| ChangeError::invalid(field, why.to_string()))?;
        }
        let increments =
            [("first_increment", self.first_increment), ("next_increment", self.next_increment)];
        for (field, seconds) in increments {
            if !(1..=86_400).contains(&seconds) {
                return Err(ChangeError::invalid(field, "write 1 to 86400 seconds"));
            }
        }
        if self.note.chars().count() > NOTE_MAX || self.note.chars().any(char::is_control) {
            let what = format!("write at most {NOTE_MAX} printable characters");
            return Err(ChangeError::invalid("note", what));
        }
        Ok(())
    }
}

const SELECT: &str = "SELECT did.*, account.name AS account, trunk.name AS trunk FROM did
    JOIN account ON account.id = did.account_id
    LEFT JOIN trunk ON trunk.id = did.trunk_id";

fn did(row: &Row, members: Vec<String>) -> Result<Did> {
    let text: String = row.try_get("number")?;
    let number =
        text.parse().map_err(|_| ChangeError::Corrupt { column: "number", value: text })?;
    Ok(Did {
        id: DidId(unsigned(row.try_get("id")?)),
        number,
        account: row.try_get("account")?,
        enabled: row.try_get("enabled")?,
        target: word(row, "target")?,
        members,
        trunk: row.try_get("trunk")?,
        ring_s: row.try_get("ring_s")?,
        calls_max: row.try_get("calls_max")?,
        cps_max: row.try_get("cps_max")?,
        price: word(row, "price")?,
        connect_fee: word(row, "connect_fee")?,
        first_increment: row.try_get("first_increment_s")?,
        next_increment: row.try_get("next_increment_s")?,
        note: row.try_get("note")?,
        created_at: Utc(row.try_get("created_at")?),
    })
}

/// What snapshots are made of.
pub(crate) struct DidOfSnapshot {
    /// For the switch.
    pub(crate) row: DidRow,
    /// For billing.
    pub(crate) rate: Rate,
}

/// All DIDs for snapshots, or the one with this id.
pub(crate) async fn for_snapshot(
    connection: &mut sql::Connection,
    only: Option<DidId>,
) -> Result<Vec<DidOfSnapshot>> {
    let mut dids = Builder::new("SELECT * FROM did");
    let mut members = Builder::new("SELECT did_id, subscriber_id FROM did_member");
    if let Some(id) = only {
        dids.push(" WHERE id = ").push_bind(signed(id.0));
        members.push(" WHERE did_id = ").push_bind(signed(id.0));
    }
    members.push(" ORDER BY did_id, place");
    dids.push(" ORDER BY id");
    let mut phones: BTreeMap<u64, Vec<SubscriberId>> = BTreeMap::new();
    for row in members.build().fetch_all(&mut *connection).await? {
        let phone = SubscriberId(unsigned(row.try_get(1)?));
        phones.entry(unsigned(row.try_get(0)?)).or_default().push(phone);
    }
    let rows = dids.build().fetch_all(&mut *connection).await?;
    let of_row = |row: &Row| {
        let id = unsigned(row.try_get("id")?);
        of_snapshot(row, DidId(id), phones.remove(&id).unwrap_or_default())
    };
    rows.iter().map(of_row).collect()
}

fn of_snapshot(row: &Row, id: DidId, members: Vec<SubscriberId>) -> Result<DidOfSnapshot> {
    let corrupt = |column, value: &str| ChangeError::Corrupt { column, value: value.to_owned() };
    let ring: u32 = row.try_get("ring_s")?;
    let group = |order| {
        DidTarget::Group(Arc::new(Group { did: id, members: members.clone().into(), order }))
    };
    let trunk: Option<i64> = row.try_get("trunk_id")?;
    let target = match word::<Target>(row, "target")? {
        Target::Subscriber => {
            let phone = members.first().ok_or_else(|| corrupt("target", "subscriber"))?;
            DidTarget::Subscriber(*phone)
        }
        Target::AtOnce => group(RingOrder::AtOnce),
        Target::InOrder => group(RingOrder::InOrder(Duration::from_secs(ring.into()))),
        Target::Trunk => {
            let trunk = trunk.ok_or_else(|| corrupt("target", "trunk"))?;
            DidTarget::Trunk(TrunkId(unsigned(trunk)))
        }
    };
    let price = |column| {
        let price: Decimal = word(row, column)?;
        Price::new(price).map_err(|_| corrupt(column, &price.to_string()))
    };
    let increments = (row.try_get("first_increment_s")?, row.try_get("next_increment_s")?);
    let rate = Rate::per_minute(price("price")?, increments.0, increments.1);
    let text: String = row.try_get("number")?;
    Ok(DidOfSnapshot {
        row: DidRow {
            id,
            number: text.parse().map_err(|_| corrupt("number", &text))?,
            account: AccountId(unsigned(row.try_get("account_id")?)),
            is_active: row.try_get("enabled")?,
            target,
            limits: Limits {
                concurrent: row.try_get("calls_max")?,
                per_second: row.try_get("cps_max")?,
            },
        },
        rate: Rate { connect_fee: price("connect_fee")?, ..rate },
    })
}

/// The user names of the members, of these DIDs or of all.
async fn names(
    executor: impl Executor<'_>,
    only: Option<DidId>,
) -> Result<BTreeMap<u64, Vec<String>>> {
    let mut query = Builder::new(
        "SELECT did_id, subscriber.username FROM did_member \
         JOIN subscriber ON subscriber.id = did_member.subscriber_id",
    );
    if let Some(id) = only {
        query.push(" WHERE did_id = ").push_bind(signed(id.0));
    }
    query.push(" ORDER BY did_id, place");
    let mut names: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for row in query.build().fetch_all(executor).await? {
        names.entry(unsigned(row.try_get(0)?)).or_default().push(row.try_get(1)?);
    }
    Ok(names)
}

impl DirectoryStore {
    /// All DIDs in the order of their numbers, or those of one account.
    pub async fn dids(&self, account: Option<AccountId>) -> Result<Vec<Did>> {
        let mut read = self.begin_read().await?;
        let mut names = names(&mut *read.tx, None).await?;
        let mut query = Builder::new(SELECT);
        if let Some(account) = account {
            query.push(" WHERE did.account_id = ").push_bind(signed(account.0));
        }
        query.push(" ORDER BY did.number");
        let rows = query.build().fetch_all(&mut *read.tx).await?;
        let of_row = |row: &Row| {
            let members = names.remove(&unsigned(row.try_get("id")?)).unwrap_or_default();
            did(row, members)
        };
        rows.iter().map(of_row).collect()
    }
}

impl Change {
    /// The DID with this number, as this command has left it.
    pub async fn did(&mut self, number: &str) -> Result<Did> {
        let digits = number.strip_prefix('+').unwrap_or(number);
        let sql = format!("{SELECT} WHERE did.number = ?");
        let row = sql::query(&sql).bind(digits).fetch_optional(&mut *self.tx).await?;
        let row = row.ok_or_else(|| ChangeError::not_found("DID", number))?;
        let id = DidId(unsigned(row.try_get("id")?));
        let members = names(&mut *self.tx, Some(id)).await?.remove(&id.0).unwrap_or_default();
        did(&row, members)
    }

    /// Adds a DID and gives it its id.
    pub async fn add_did(&mut self, mut did: Did) -> Result<Did> {
        did.check()?;
        did.id = DidId(self.next_id("did").await?);
        let (account, trunk, phones) = self.ids_of_did(&did).await?;
        self.touched.did(did.id);
        let insert = sql::query(
            "INSERT INTO did
                (account_id, enabled, target, trunk_id, ring_s, calls_max, cps_max, price,
                 connect_fee, first_increment_s, next_increment_s, note, id, number, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        );
        let number = did.number.as_str();
        bound(insert, &did, account, trunk)
            .bind(signed(did.id.0))
            .bind(number)
            .bind(did.created_at.0)
            .execute(&mut *self.tx)
            .await
            .map_err(|error| taken(error, &[("did.number", "number", number)]))?;
        self.put_members(did.id, &phones).await?;
        Ok(did)
    }

    /// Changes a DID. Its number stays.
    pub async fn set_did(&mut self, did: &Did) -> Result<()> {
        did.check()?;
        let (account, trunk, phones) = self.ids_of_did(did).await?;
        self.touched.did(did.id);
        let update = sql::query(
            "UPDATE did SET account_id = ?, enabled = ?, target = ?, trunk_id = ?, ring_s = ?,
                calls_max = ?, cps_max = ?, price = ?, connect_fee = ?, first_increment_s = ?,
                next_increment_s = ?, note = ?
             WHERE id = ?",
        );
        bound(update, did, account, trunk).bind(signed(did.id.0)).execute(&mut *self.tx).await?;
        self.put_members(did.id, &phones).await
    }

    /// Removes a DID.
    pub async fn remove_did(&mut self, number: &str) -> Result<Did> {
        let gone = self.did(number).await?;
        self.touched.did(gone.id);
        let sql = "DELETE FROM did WHERE id = ?";
        sql::query(sql).bind(signed(gone.id.0)).execute(&mut *self.tx).await?;
        Ok(gone)
    }

    async fn ids_of_did(
        &mut self,
        did: &Did,
    ) -> Result<(AccountId, Option<TrunkId>, Vec<SubscriberId>)> {
        let account = self.account(&did.account).await?.id;
        let trunk = match &did.trunk {
            Some(name) => {
                let trunk = self.trunk(name).await?;
                if trunk.host.is_none() {
                    let what = format!("{name:?} has no host to send calls to; set one first");
                    return Err(ChangeError::invalid("trunk", what));
                }
                Some(trunk.id)
            }
            None => None,
        };
        self.check_number_is_not_anothers(did, account).await?;
        let mut phones = Vec::with_capacity(did.members.len());
        for username in &did.members {
            let phone = self.subscriber(username).await?;
            if phone.account != account {
                let what = format!("{username:?} belongs to account {:?}", phone.account_name);
                return Err(ChangeError::invalid("subscribers", what));
            }
            if phones.contains(&phone.id) {
                let what = format!("{username:?} is named twice");
                return Err(ChangeError::invalid("subscribers", what));
            }
            phones.push(phone.id);
        }
        Ok((account, trunk, phones))
    }

    /// A phone of the account may have the number too.
    async fn check_number_is_not_anothers(&mut self, did: &Did, account: AccountId) -> Result<()> {
        let sql = "SELECT username FROM subscriber WHERE number = ? AND account_id <> ?";
        let query = sql::query_scalar(sql).bind(did.number.as_str()).bind(signed(account.0));
        let username: Option<String> = query.fetch_optional(&mut *self.tx).await?;
        match username {
            None => Ok(()),
            Some(username) => {
                let what = format!("it is the number of {username:?}, of another account");
                Err(ChangeError::invalid("number", what))
            }
        }
    }

    async fn put_members(&mut self, did: DidId, phones: &[SubscriberId]) -> Result<()> {
        let gone = sql::query("DELETE FROM did_member WHERE did_id = ?").bind(signed(did.0));
        gone.execute(&mut *self.tx).await?;
        for (place, phone) in (1_i64..).zip(phones) {
            sql::query("INSERT INTO did_member (did_id, place, subscriber_id) VALUES (?, ?, ?)")
                .bind(signed(did.0))
                .bind(place)
                .bind(signed(phone.0))
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// Refuses to take away what a DID leads to.
    pub(super) async fn check_no_did_leads_to(&mut self, what: &str, id: u64) -> Result<()> {
        let sql = match what {
            "trunk" => "SELECT number FROM did WHERE trunk_id = ? ORDER BY number LIMIT 1",
            _ => {
                "SELECT number FROM did JOIN did_member ON did_member.did_id = did.id \
                 WHERE subscriber_id = ? ORDER BY number LIMIT 1"
            }
        };
        let number: Option<String> =
            sql::query_scalar(sql).bind(signed(id)).fetch_optional(&mut *self.tx).await?;
        match number {
            None => Ok(()),
            Some(number) => Err(ChangeError::InUse(format!(
                "DID {number} leads to this {what}; remove it or have it lead elsewhere first"
            ))),
        }
    }
}

fn bound<'q>(
    query: sql::Query<'q>,
    did: &Did,
    account: AccountId,
    trunk: Option<TrunkId>,
) -> sql::Query<'q> {
    query
        .bind(signed(account.0))
        .bind(did.enabled)
        .bind(did.target.as_str())
        .bind(trunk.map(|id| signed(id.0)))
        .bind(did.ring_s)
        .bind(did.calls_max)
        .bind(did.cps_max)
        .bind(did.price.to_string())
        .bind(did.connect_fee.to_string())
        .bind(did.first_increment)
        .bind(did.next_increment)
        .bind(did.note.clone())
}
