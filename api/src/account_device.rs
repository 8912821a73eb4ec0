//! The phone that is made with its account.

use serde::Deserialize;
use store::directory::{Account, Subscriber};
use vocabulary::SubscriberId;

use crate::command::{Stop, Turn};
use crate::{Api, Problem};

/// The fields of a new account that are about its phone.
pub(crate) const FIELDS: [&str; 3] = ["create_device", "device_username", "device_password"];

#[derive(Deserialize)]
pub(crate) struct Device {
    #[serde(default)]
    create_device: bool,
    /// Default: the name of the account.
    device_username: Option<String>,
    device_password: Option<String>,
}

impl Device {
    /// Adds the phone, if one is wanted, and gives its user name.
    pub(crate) async fn add(
        self,
        api: &Api,
        turn: &mut Turn,
        account: &Account,
    ) -> Result<Option<String>, Stop> {
        if !self.create_device {
            let unused = [("device_username", &self.device_username)];
            let unused = unused.into_iter().chain([("device_password", &self.device_password)]);
            return match unused.into_iter().find(|(_, given)| given.is_some()) {
                None => Ok(None),
                Some((field, _)) => {
                    let what = "no device is created; leave it out, or make create_device true";
                    Err(Problem::invalid(field, what).into())
                }
            };
        }
        let username = self.device_username.unwrap_or_else(|| account.name.clone());
        let password = self.device_password.ok_or_else(|| {
            Problem::invalid("device_password", "write what the device proves itself with")
        })?;
        let passwords = api.passwords(turn).await?;
        let secret = passwords.secret("device_password", &username, &[&account.name], &password)?;
        let device = Subscriber {
            id: SubscriberId(0),
            secret,
            username: username.clone(),
            account: account.id,
            account_name: account.name.clone(),
            site: None,
            number: None,
            contacts_max: switch::directory::CONTACTS_MAX,
            created_at: api.control.now(),
        };
        turn.change.add_subscriber(device).await?;
        Ok(Some(username))
    }
}
