//! How much a source may do before it is kept out, and what a password must be (S7).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use store::directory::{PasswordPolicy, SecuritySettings, digest_secret};
use switch::directory::DigestSecret;

use crate::command::{Command, Stop, Touched, Turn};
use crate::{Api, Problem, Shared};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/security-settings", get(show).patch(set))
}

fn on_wire(settings: &SecuritySettings) -> BTreeMap<&'static str, u32> {
    settings.values().collect()
}

async fn show(State(api): Shared) -> Result<Json<BTreeMap<&'static str, u32>>, Problem> {
    Ok(Json(on_wire(&api.store.security_settings().await?)))
}

async fn set(State(api): Shared, command: Command) -> Result<Response, Stop> {
    let wanted: BTreeMap<String, u32> = command.json()?;
    let mut turn = api.begin(&command).await?;
    let settings = turn.change.set_security(&wanted).await?;
    api.finish(turn, Touched::Directory, 200, &on_wire(&settings)).await
}

/// What becomes of a password that somebody is given.
pub(crate) struct Passwords<'a> {
    realm: &'a str,
    policy: PasswordPolicy,
}

impl Passwords<'_> {
    /// What is kept of it. `names` are what else it must not be.
    pub(crate) fn secret(
        &self,
        field: &str,
        username: &str,
        names: &[&str],
        password: &str,
    ) -> Result<DigestSecret, Problem> {
        let names: Vec<&str> = names.iter().copied().chain([username]).collect();
        match self.policy.fault(&names, password) {
            Some(fault) => Err(Problem::invalid(field, fault)),
            None => Ok(digest_secret(username, self.realm, password)),
        }
    }
}

impl Api {
    /// By the policy as it is now.
    pub(crate) async fn passwords(&self, turn: &mut Turn) -> Result<Passwords<'_>, Problem> {
        let policy = turn.change.security_settings().await?.password;
        Ok(Passwords { realm: &self.settings.realm, policy })
    }
}
