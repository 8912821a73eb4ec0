//! Trunks: SIP peers that send us calls, take calls from us, or both.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use switch::directory::{Credentials, DigestSecret};
use switch::routing::{BareNumber, EgressForm, NumberPlan, Rewrite};
use vocabulary::{AccountId, TrunkId, Utc};

use super::subscriber::{check_username, secret};
use super::{
    CallLimits, Change, ChangeError, DirectoryStore, Result, check_name, json, limits, list,
    signed, taken, unsigned, word, words,
};
use crate::sql::{self, Executor, Row};

words!(
    /// How a trunk is reached.
    TrunkTransport {
        /// Datagrams.
        Udp = "udp",
        /// Streams in clear.
        Tcp = "tcp",
        /// Streams in TLS.
        Tls = "tls",
    }
);

/// One trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// Which; 0 before it is stored.
    pub id: TrunkId,
    /// Unique.
    pub name: String,
    /// Pays for what it sends us, is paid for what we send it.
    pub account: AccountId,
    /// That account's name; only read.
    pub account_name: String,
    /// Off means neither in nor out.
    pub enabled: bool,
    /// Where we send calls; `None` sends none.
    pub host: Option<String>,
    /// `None` leaves it to RFC 3263.
    pub port: Option<u16>,
    /// `None` leaves it to RFC 3263.
    pub transport: Option<TrunkTransport>,
    /// Networks its calls come from, e.g. `192.0.2.0/28`, `192.0.2.7:5080`.
    pub addresses: Vec<String>,
    /// The user name and secret its calls come with.
    pub ingress: Option<(String, DigestSecret)>,
    /// What we answer its challenges with.
    pub egress: Option<Credentials>,
    /// Whether we register there, with the egress user name.
    pub registers: bool,
    /// How long we register for.
    pub register_expires: Duration,
    /// The numbers it sends us.
    pub ingress_plan: NumberPlan,
    /// The numbers it wants from us.
    pub egress_plan: NumberPlan,
    /// Concurrent calls and calls per second.
    pub limits: CallLimits,
    /// SIP statuses that hunt on though the rule says stop.
    pub hunt_codes: Vec<u16>,
    /// SIP statuses that end the call.
    pub stop_codes: Vec<u16>,
    /// How long it may ring.
    pub ring_timeout: Option<Duration>,
    /// Whether asserted identities pass (RFC 3325).
    pub trusted: bool,
    /// Whether the Request-URI to it tells where a ported number is served (RFC 4694).
    pub sends_lrn: bool,
    /// Whether what it says of where a number is served is believed (RFC 4694): its calls are priced by that.
    pub believes_lrn: bool,
    /// The place its calls belong to, by name (J-18).
    pub site: Option<String>,
    /// What reports, CDRs and invoices call it (J-11).
    pub friendly_name: Option<String>,
    /// When it was added.
    pub created_at: Utc,
}

impl Trunk {
    /// An enabled trunk with the defaults, to be filled in.
    pub fn new(name: &str, account: AccountId, now: Utc) -> Trunk {
        Trunk {
            id: TrunkId(0),
            name: name.to_owned(),
            account,
            account_name: String::new(),
            enabled: true,
            host: None,
            port: None,
            transport: None,
            addresses: Vec::new(),
            ingress: None,
            egress: None,
            registers: false,
            register_expires: Duration::from_secs(3600),
            ingress_plan: NumberPlan::default(),
            egress_plan: NumberPlan::default(),
            limits: CallLimits::default(),
            hunt_codes: Vec::new(),
            stop_codes: Vec::new(),
            ring_timeout: None,
            trusted: false,
            sends_lrn: false,
            believes_lrn: false,
            site: None,
            friendly_name: None,
            created_at: now,
        }
    }

    fn check(&self) -> Result<()> {
        check_name("name", &self.name)?;
        if let Some(name) = &self.friendly_name {
            check_name("friendly_name", name)?;
        }
        for address in &self.addresses {
            address.parse::<switch::directory::Network>().map_err(|error| {
                ChangeError::invalid("addresses", format!("{address:?}: {error}"))
            })?;
        }
        if let Some((username, _)) = &self.ingress {
            check_username("ingress_username", username)?;
        }
        if self.host.as_deref().is_some_and(|host| !is_host(host)) {
            let what = "write a host name or an address, without a port; IPv6 goes in brackets";
            return Err(ChangeError::invalid("host", what));
        }
        if self.host.is_none() && self.addresses.is_empty() && self.ingress.is_none() {
            let what =
                "give a host to send calls to, or addresses or a user name to take them from";
            return Err(ChangeError::invalid("host", what));
        }
        if self.registers && (self.host.is_none() || self.egress.is_none()) {
            let what = "registering needs a host and egress credentials";
            return Err(ChangeError::invalid("registers", what));
        }
        let is_failure = |code: &u16| (300..700).contains(code);
        if !self.hunt_codes.iter().all(is_failure) {
            return Err(ChangeError::invalid("hunt_codes", "write SIP statuses from 300 to 699"));
        }
        if !self.stop_codes.iter().all(is_failure) {
            return Err(ChangeError::invalid("stop_codes", "write SIP statuses from 300 to 699"));
        }
        Ok(())
    }
}

pub(super) fn is_host(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<std::net::Ipv6Addr>().is_ok();
    }
    (1..=253).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// A number plan as it is stored: JSON, what is missing is the default.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoredPlan {
    country: String,
    international: String,
    national: String,
    bare: String,
    tech_prefix: String,
    form: String,
    rewrites: Vec<(String, u8, String)>,
}

impl Default for StoredPlan {
    fn default() -> StoredPlan {
        StoredPlan::from(&NumberPlan::default())
    }
}

impl From<&NumberPlan> for StoredPlan {
    fn from(plan: &NumberPlan) -> StoredPlan {
        StoredPlan {
            country: plan.country.clone(),
            international: plan.international.clone(),
            national: plan.national.clone(),
            bare: match plan.bare {
                BareNumber::International => "international".into(),
                BareNumber::National => "national".into(),
            },
            tech_prefix: plan.tech_prefix.clone(),
            form: match plan.form {
                EgressForm::Bare => "bare".into(),
                EgressForm::Plus => "plus".into(),
                EgressForm::International => "international".into(),
                EgressForm::National => "national".into(),
            },
            rewrites: plan
                .rewrites
                .iter()
                .map(|rule| (rule.matches.clone(), rule.strip, rule.prepend.clone()))
                .collect(),
        }
    }
}

fn stored_plan(plan: &NumberPlan) -> String {
    serde_json::to_string(&StoredPlan::from(plan)).expect("plain values are always JSON")
}

fn plan(row: &Row, column: &'static str) -> Result<NumberPlan> {
    let text: String = row.try_get(column)?;
    let corrupt = || ChangeError::Corrupt { column, value: text.clone() };
    let stored: StoredPlan = serde_json::from_str(&text).map_err(|_| corrupt())?;
    Ok(NumberPlan {
        country: stored.country,
        international: stored.international,
        national: stored.national,
        bare: match stored.bare.as_str() {
            "international" => BareNumber::International,
            "national" => BareNumber::National,
            _ => return Err(corrupt()),
        },
        tech_prefix: stored.tech_prefix,
        form: match stored.form.as_str() {
            "bare" => EgressForm::Bare,
            "plus" => EgressForm::Plus,
            "international" => EgressForm::International,
            "national" => EgressForm::National,
            _ => return Err(corrupt()),
        },
        rewrites: stored
            .rewrites
            .into_iter()
            .map(|(matches, strip, prepend)| Rewrite { matches, strip, prepend })
            .collect(),
    })
}

const SELECT: &str = "SELECT trunk.*, account.name AS account_name, site.name AS site FROM trunk
    JOIN account ON account.id = trunk.account_id
    LEFT JOIN site ON site.id = trunk.site_id";

fn trunk(row: &Row) -> Result<Trunk> {
    let transport: Option<String> = row.try_get("transport")?;
    let ingress_username: Option<String> = row.try_get("ingress_username")?;
    let egress_username: Option<String> = row.try_get("egress_username")?;
    let seconds = |column| row.try_get::<Option<u32>, _>(column);
    let expires = seconds("register_expires_s")?.unwrap_or(3600);
    Ok(Trunk {
        id: TrunkId(unsigned(row.try_get("id")?)),
        name: row.try_get("name")?,
        account: AccountId(unsigned(row.try_get("account_id")?)),
        account_name: row.try_get("account_name")?,
        enabled: row.try_get("enabled")?,
        host: row.try_get("host")?,
        port: row.try_get("port")?,
        transport: if transport.is_some() { Some(word(row, "transport")?) } else { None },
        addresses: list(row, "addresses")?,
        ingress: match ingress_username {
            Some(name) => Some((name, secret(row, "ingress_ha1_md5", "ingress_ha1_sha256")?)),
            None => None,
        },
        egress: match egress_username {
            Some(username) => {
                let password: Option<String> = row.try_get("egress_password")?;
                Some(Credentials { username, password: password.unwrap_or_default() })
            }
            None => None,
        },
        registers: row.try_get("registers")?,
        register_expires: Duration::from_secs(u64::from(expires)),
        ingress_plan: plan(row, "ingress_plan")?,
        egress_plan: plan(row, "egress_plan")?,
        limits: limits(row)?,
        hunt_codes: list(row, "hunt_codes")?,
        stop_codes: list(row, "stop_codes")?,
        ring_timeout: seconds("ring_timeout_s")?.map(|s| Duration::from_secs(u64::from(s))),
        trusted: row.try_get("trusted")?,
        sends_lrn: row.try_get("sends_lrn")?,
        believes_lrn: row.try_get("believes_lrn")?,
        site: row.try_get("site")?,
        friendly_name: row.try_get("friendly_name")?,
        created_at: Utc(row.try_get("created_at")?),
    })
}

/// For snapshots: the one with this id.
pub(super) async fn of_id(executor: impl Executor<'_>, id: TrunkId) -> Result<Option<Trunk>> {
    let sql = format!("{SELECT} WHERE trunk.id = ?");
    let row = sql::query(&sql).bind(signed(id.0)).fetch_optional(executor).await?;
    row.as_ref().map(trunk).transpose()
}

pub(super) async fn all(executor: impl Executor<'_>) -> Result<Vec<Trunk>> {
    let sql = format!("{SELECT} ORDER BY trunk.id");
    let rows = sql::query(&sql).fetch_all(executor).await?;
    rows.iter().map(trunk).collect()
}

impl DirectoryStore {
    /// All trunks, in the order of their ids.
    pub async fn trunks(&self) -> Result<Vec<Trunk>> {
        all(&self.pool).await
    }
}

impl Change {
    /// One trunk, by its id or its name.
    pub async fn trunk(&mut self, name: &str) -> Result<Trunk> {
        let sql = format!("{SELECT} WHERE trunk.name = ?1 OR trunk.id = ?2");
        let row = sql::query(&sql)
            .bind(name)
            .bind(name.parse::<i64>().unwrap_or(-1))
            .fetch_optional(&mut *self.tx)
            .await?;
        trunk(&row.ok_or_else(|| ChangeError::not_found("trunk", name))?)
    }

    /// Adds a trunk and gives it its id.
    pub async fn add_trunk(&mut self, mut trunk: Trunk) -> Result<Trunk> {
        trunk.check()?;
        trunk.id = TrunkId(self.next_id("trunk").await?);
        sql::query("INSERT INTO trunk (id, name, account_id, created_at) VALUES (?, ?, ?, ?)")
            .bind(signed(trunk.id.0))
            .bind(&trunk.name)
            .bind(signed(trunk.account.0))
            .bind(trunk.created_at.0)
            .execute(&mut *self.tx)
            .await
            .map_err(|error| taken(error, &[("trunk.name", "name", &trunk.name)]))?;
        self.write_trunk(&trunk, None).await?;
        Ok(trunk)
    }

    /// Overwrites a trunk.
    pub async fn set_trunk(&mut self, trunk: &Trunk) -> Result<()> {
        trunk.check()?;
        if trunk.host.is_none() {
            self.check_no_did_leads_to("trunk", trunk.id.0).await?;
        }
        let before = self.trunk(&trunk.id.to_string()).await?;
        self.touched.account(before.account);
        self.write_trunk(trunk, before.ingress.map(|(username, _)| username)).await
    }

    async fn write_trunk(&mut self, trunk: &Trunk, username_before: Option<String>) -> Result<()> {
        let username = trunk.ingress.as_ref().map(|(username, _)| username.as_str());
        if let Some(username) = username
            && username_before.as_deref() != Some(username)
        {
            self.check_username_free("ingress_username", username).await?;
        }
        // With its account: discounts know who belongs to a site.
        self.touched.trunk(trunk.id);
        self.touched.account(trunk.account);
        let limits = trunk.limits;
        let site = self.site_id(trunk.account, trunk.site.as_deref()).await?;
        let ring_timeout = trunk.ring_timeout.map(|t| signed(t.as_secs()));
        sql::query(
            "UPDATE trunk SET name = ?, account_id = ?, enabled = ?, host = ?, port = ?,
                transport = ?, addresses = ?, ingress_username = ?, ingress_ha1_md5 = ?,
                ingress_ha1_sha256 = ?, egress_username = ?, egress_password = ?, registers = ?,
                register_expires_s = ?, ingress_plan = ?, egress_plan = ?, calls_in_max = ?,
                calls_out_max = ?, cps_in_max = ?, cps_out_max = ?, hunt_codes = ?, stop_codes = ?,
                ring_timeout_s = ?, trusted = ?, sends_lrn = ?, believes_lrn = ?, site_id = ?,
                friendly_name = ?
             WHERE id = ?",
        )
        .bind(&trunk.name)
        .bind(signed(trunk.account.0))
        .bind(trunk.enabled)
        .bind(&trunk.host)
        .bind(trunk.port)
        .bind(trunk.transport.map(TrunkTransport::as_str))
        .bind(json(&trunk.addresses))
        .bind(username)
        .bind(trunk.ingress.as_ref().map(|(_, secret)| secret.ha1_md5.to_vec()))
        .bind(trunk.ingress.as_ref().map(|(_, secret)| secret.ha1_sha256.to_vec()))
        .bind(trunk.egress.as_ref().map(|egress| egress.username.as_str()))
        .bind(trunk.egress.as_ref().map(|egress| egress.password.as_str()))
        .bind(trunk.registers)
        .bind(signed(trunk.register_expires.as_secs()))
        .bind(stored_plan(&trunk.ingress_plan))
        .bind(stored_plan(&trunk.egress_plan))
        .bind(limits.calls_in_max)
        .bind(limits.calls_out_max)
        .bind(limits.cps_in_max)
        .bind(limits.cps_out_max)
        .bind(json(&trunk.hunt_codes))
        .bind(json(&trunk.stop_codes))
        .bind(ring_timeout)
        .bind(trunk.trusted)
        .bind(trunk.sends_lrn)
        .bind(trunk.believes_lrn)
        .bind(site)
        .bind(&trunk.friendly_name)
        .bind(signed(trunk.id.0))
        .execute(&mut *self.tx)
        .await
        .map_err(|error| taken(error, &[("trunk.name", "name", &trunk.name)]))?;
        Ok(())
    }

    /// Removes a trunk and the routes to it.
    pub async fn remove_trunk(&mut self, name: &str) -> Result<()> {
        let trunk = self.trunk(name).await?;
        self.check_no_did_leads_to("trunk", trunk.id.0).await?;
        self.touched.trunk(trunk.id);
        self.touched.account(trunk.account);
        // Its quality rules go with it.
        self.touched.routing();
        for sql in ["DELETE FROM route WHERE trunk_id = ?", "DELETE FROM trunk WHERE id = ?"] {
            sql::query(sql).bind(signed(trunk.id.0)).execute(&mut *self.tx).await?;
        }
        Ok(())
    }
}
