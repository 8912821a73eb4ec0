//! Trunks: SIP peers.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use store::directory::{Trunk, TrunkTransport};
use switch::directory::Credentials;

use crate::accounts::{known_fields, parsed};
use crate::command::{Command, Stop, Touched};
use crate::security::Passwords;
use crate::wire::{self, LimitsChange, List, Plan, nullable};
use crate::{Api, Problem, Shared};

#[derive(Deserialize)]
pub(crate) struct NewTrunk {
    name: String,
    account: String,
}

/// What is left out stays; null takes away.
#[derive(Default, Deserialize)]
pub(crate) struct TrunkChange {
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    host: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    port: Option<Option<u16>>,
    #[serde(default, deserialize_with = "nullable")]
    transport: Option<Option<String>>,
    addresses: Option<Vec<String>>,
    #[serde(default, deserialize_with = "nullable")]
    ingress_username: Option<Option<String>>,
    ingress_password: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    egress_username: Option<Option<String>>,
    egress_password: Option<String>,
    registers: Option<bool>,
    register_expires_s: Option<u32>,
    ingress_plan: Option<Plan>,
    egress_plan: Option<Plan>,
    hunt_codes: Option<Vec<u16>>,
    stop_codes: Option<Vec<u16>>,
    #[serde(default, deserialize_with = "nullable")]
    ring_timeout_s: Option<Option<u32>>,
    trusted: Option<bool>,
    sends_lrn: Option<bool>,
    believes_lrn: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    site: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    friendly_name: Option<Option<String>>,
}

const FIELDS: [&str; 25] = [
    "site",
    "friendly_name",
    "enabled",
    "host",
    "port",
    "transport",
    "addresses",
    "ingress_username",
    "ingress_password",
    "egress_username",
    "egress_password",
    "registers",
    "register_expires_s",
    "ingress_plan",
    "egress_plan",
    "calls_in_max",
    "calls_out_max",
    "cps_in_max",
    "cps_out_max",
    "hunt_codes",
    "stop_codes",
    "ring_timeout_s",
    "trusted",
    "sends_lrn",
    "believes_lrn",
];

impl TrunkChange {
    fn apply(mut self, trunk: &mut Trunk, passwords: &Passwords<'_>) -> Result<(), Problem> {
        self.apply_credentials(trunk, passwords)?;
        trunk.enabled = self.enabled.unwrap_or(trunk.enabled);
        trunk.host = self.host.unwrap_or(trunk.host.take());
        trunk.port = self.port.unwrap_or(trunk.port);
        if let Some(transport) = self.transport {
            trunk.transport =
                transport.map(|word| parsed::<TrunkTransport>("transport", &word)).transpose()?;
        }
        trunk.addresses = self.addresses.unwrap_or(std::mem::take(&mut trunk.addresses));
        trunk.registers = self.registers.unwrap_or(trunk.registers);
        if let Some(seconds) = self.register_expires_s {
            if seconds == 0 {
                return Err(Problem::invalid("register_expires_s", "write 1 or more"));
            }
            trunk.register_expires = Duration::from_secs(u64::from(seconds));
        }
        if let Some(plan) = self.ingress_plan {
            trunk.ingress_plan = plan.into();
        }
        if let Some(plan) = self.egress_plan {
            trunk.egress_plan = plan.into();
        }
        trunk.hunt_codes = self.hunt_codes.unwrap_or(std::mem::take(&mut trunk.hunt_codes));
        trunk.stop_codes = self.stop_codes.unwrap_or(std::mem::take(&mut trunk.stop_codes));
        if let Some(seconds) = self.ring_timeout_s {
            if seconds == Some(0) {
                return Err(Problem::invalid("ring_timeout_s", "write 1 or more, or null"));
            }
            trunk.ring_timeout = seconds.map(|s| Duration::from_secs(u64::from(s)));
        }
        trunk.trusted = self.trusted.unwrap_or(trunk.trusted);
        trunk.sends_lrn = self.sends_lrn.unwrap_or(trunk.sends_lrn);
        trunk.believes_lrn = self.believes_lrn.unwrap_or(trunk.believes_lrn);
        trunk.site = self.site.unwrap_or(trunk.site.take());
        trunk.friendly_name = self.friendly_name.unwrap_or(trunk.friendly_name.take());
        Ok(())
    }

    /// A user name and its password change together: hashes are over both.
    fn apply_credentials(
        &mut self,
        trunk: &mut Trunk,
        passwords: &Passwords<'_>,
    ) -> Result<(), Problem> {
        match (self.ingress_username.take(), self.ingress_password.take()) {
            (None, None) => {}
            (Some(None), None) => trunk.ingress = None,
            (username, Some(password)) => {
                let known = trunk.ingress.take().map(|(username, _)| username);
                let Some(username) = username.flatten().or(known) else {
                    return Err(Problem::invalid("ingress_username", "the password needs one"));
                };
                let secret = passwords.secret("ingress_password", &username, &[], &password)?;
                trunk.ingress = Some((username, secret));
            }
            (Some(Some(_)), None) => {
                let what = "a user name needs its password in the same request";
                return Err(Problem::invalid("ingress_password", what));
            }
        }
        match (self.egress_username.take(), self.egress_password.take()) {
            (None, None) => {}
            (Some(None), None) => trunk.egress = None,
            (username, Some(password)) => {
                let known = trunk.egress.take().map(|credentials| credentials.username);
                let Some(username) = username.flatten().or(known) else {
                    return Err(Problem::invalid("egress_username", "the password needs one"));
                };
                trunk.egress = Some(Credentials { username, password });
            }
            (Some(Some(_)), None) => {
                let what = "a user name needs its password in the same request";
                return Err(Problem::invalid("egress_password", what));
            }
        }
        Ok(())
    }
}

fn on_wire(api: &Api, trunk: Trunk) -> wire::Trunk {
    let health = api.control.trunk_health(trunk.id);
    wire::Trunk::from(trunk).with_health(health)
}

pub(crate) async fn list(State(api): Shared) -> Result<Json<List<wire::Trunk>>, Problem> {
    let trunks = api.store.trunks().await?.into_iter();
    Ok(Json(List { items: trunks.map(|trunk| on_wire(&api, trunk)).collect() }))
}

pub(crate) async fn show(
    State(api): Shared,
    Path(name): Path<String>,
) -> Result<Json<wire::Trunk>, Problem> {
    let mut trunks = api.store.trunks().await?.into_iter();
    let trunk = trunks.find(|trunk| trunk.name == name || trunk.id.to_string() == name);
    let missing = || Problem::new(404, "not_found", format!("there is no trunk {name:?}"));
    Ok(Json(on_wire(&api, trunk.ok_or_else(missing)?)))
}

pub(crate) async fn add(State(api): Shared, command: Command) -> Result<Response, Stop> {
    known_fields(&command.body, &[&["name", "account"], &FIELDS])?;
    let new: NewTrunk = command.json()?;
    let (change, limits): (TrunkChange, LimitsChange) = (command.json()?, command.json()?);
    let mut turn = api.begin(&command).await?;
    let account = turn.change.account(&new.account).await?;
    let mut trunk = Trunk::new(&new.name, account.id, api.control.now());
    trunk.account_name = account.name;
    change.apply(&mut trunk, &api.passwords(&mut turn).await?)?;
    limits.apply(&mut trunk.limits);
    let trunk = turn.change.add_trunk(trunk).await?;
    api.finish(turn, Touched::Directory, 201, &wire::Trunk::from(trunk)).await
}

pub(crate) async fn set(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    known_fields(&command.body, &[&FIELDS])?;
    let (change, limits): (TrunkChange, LimitsChange) = (command.json()?, command.json()?);
    let mut turn = api.begin(&command).await?;
    let mut trunk = turn.change.trunk(&name).await?;
    change.apply(&mut trunk, &api.passwords(&mut turn).await?)?;
    limits.apply(&mut trunk.limits);
    turn.change.set_trunk(&trunk).await?;
    api.finish(turn, Touched::Directory, 200, &on_wire(&api, trunk)).await
}

pub(crate) async fn remove(
    State(api): Shared,
    Path(name): Path<String>,
    command: Command,
) -> Result<Response, Stop> {
    let mut turn = api.begin(&command).await?;
    turn.change.remove_trunk(&name).await?;
    api.finish(turn, Touched::Directory, 200, &serde_json::json!({ "removed": name })).await
}
