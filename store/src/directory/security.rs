//! How much a source may do before it is kept out, how often may be registered, and what a password
//! must be (S7). Each has a name, a range and a default.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use switch::guard::GuardLimits;

use super::{Change, ChangeError, DirectoryStore, Result};
use crate::sql::{self, Executor};

/// What a password must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// At least so many characters.
    pub length_min: u32,
    /// Of so many of the four kinds at least: small letters, capitals, digits, others.
    pub kinds_min: u32,
}

impl Default for PasswordPolicy {
    fn default() -> PasswordPolicy {
        PasswordPolicy { length_min: 8, kinds_min: 1 }
    }
}

impl PasswordPolicy {
    /// What is wrong with a password for somebody with these names; `None` if it will do.
    pub fn fault(&self, names: &[&str], password: &str) -> Option<String> {
        let length = password.chars().count();
        if length < self.length_min as usize {
            return Some(format!("write at least {} characters", self.length_min));
        }
        let has = |is_one: fn(char) -> bool| u32::from(password.chars().any(is_one));
        let kinds = has(|c| c.is_lowercase())
            + has(|c| c.is_uppercase())
            + has(|c| c.is_numeric())
            + has(|c| !c.is_alphanumeric());
        if kinds < self.kinds_min {
            let least = self.kinds_min;
            return Some(format!(
                "use at least {least} of these: small letters, capitals, digits, other signs"
            ));
        }
        let lower = password.to_lowercase();
        let is_guessable = names.iter().any(|name| lower == name.to_lowercase())
            || COMMON.contains(&&*lower)
            || lower.chars().all(|c| lower.starts_with(c));
        is_guessable.then(|| "everyone would guess it; write another".to_owned())
    }
}

/// What a scanner tries first.
const COMMON: [&str; 12] = [
    "password",
    "password1",
    "passw0rd",
    "12345678",
    "123456789",
    "1234567890",
    "87654321",
    "changeme",
    "qwertyuiop",
    "asterisk",
    "11223344",
    "00000000",
];

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecuritySettings {
    /// Of sources.
    pub guard: GuardLimits,
    /// Of passwords that are set from now on.
    pub password: PasswordPolicy,
}

struct Setting {
    name: &'static str,
    range: RangeInclusive<u32>,
    get: fn(&SecuritySettings) -> u32,
    set: fn(&mut SecuritySettings, u32),
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn of_seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

const SETTINGS: [Setting; 9] = [
    Setting {
        name: "offences_max",
        range: 0..=10_000,
        get: |all| all.guard.offences_max,
        set: |all, value| all.guard.offences_max = value,
    },
    Setting {
        name: "offences_window_s",
        range: 1..=86_400,
        get: |all| seconds(all.guard.offences_window),
        set: |all, value| all.guard.offences_window = of_seconds(value),
    },
    Setting {
        name: "ban_s",
        range: 1..=31_536_000,
        get: |all| seconds(all.guard.ban),
        set: |all, value| all.guard.ban = of_seconds(value),
    },
    Setting {
        name: "unproven_max",
        range: 1..=100_000,
        get: |all| all.guard.unproven_max,
        set: |all, value| all.guard.unproven_max = value,
    },
    Setting {
        name: "unproven_of_source_max",
        range: 1..=1_000_000,
        get: |all| all.guard.unproven_of_source_max,
        set: |all, value| all.guard.unproven_of_source_max = value,
    },
    Setting {
        name: "registers_of_source_max",
        range: 0..=60_000,
        get: |all| all.guard.registers_of_source_max,
        set: |all, value| all.guard.registers_of_source_max = value,
    },
    Setting {
        name: "registers_of_subscriber_max",
        range: 0..=60_000,
        get: |all| all.guard.registers_of_subscriber_max,
        set: |all, value| all.guard.registers_of_subscriber_max = value,
    },
    Setting {
        name: "password_length_min",
        // What `tandem subscriber add` makes up has 20.
        range: 8..=20,
        get: |all| all.password.length_min,
        set: |all, value| all.password.length_min = value,
    },
    Setting {
        name: "password_kinds_min",
        range: 1..=3,
        get: |all| all.password.kinds_min,
        set: |all, value| all.password.kinds_min = value,
    },
];

impl SecuritySettings {
    /// Every setting's name and value.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, u32)> {
        SETTINGS.iter().map(|setting| (setting.name, (setting.get)(self)))
    }

    /// Sets one by its name.
    pub fn set(&mut self, name: &str, value: u32) -> Result<()> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
            let what = format!("there is no setting {name:?}; choose one of {}", names.join(", "));
            return Err(ChangeError::invalid("name", what));
        };
        if !setting.range.contains(&value) {
            let (least, most) = (setting.range.start(), setting.range.end());
            let what = format!("write a number from {least} to {most}");
            return Err(ChangeError::invalid(setting.name, what));
        }
        (setting.set)(self, value);
        Ok(())
    }
}

pub(super) async fn settings(executor: impl Executor<'_>) -> Result<SecuritySettings> {
    let rows = sql::query("SELECT name, value FROM security_setting").fetch_all(executor).await?;
    let mut all = SecuritySettings::default();
    for row in rows {
        let (name, value): (String, i64) = (row.try_get("name")?, row.try_get("value")?);
        let corrupt = || ChangeError::Corrupt { column: "value", value: format!("{name} {value}") };
        let number = u32::try_from(value).map_err(|_| corrupt())?;
        all.set(&name, number).map_err(|_| corrupt())?;
    }
    Ok(all)
}

impl DirectoryStore {
    /// All of them.
    pub async fn security_settings(&self) -> Result<SecuritySettings> {
        settings(&self.pool).await
    }
}

impl Change {
    /// All of them, as this command has left them.
    pub async fn security_settings(&mut self) -> Result<SecuritySettings> {
        settings(&mut *self.tx).await
    }

    /// Sets some of them by their names; all of them as they are then.
    pub async fn set_security(
        &mut self,
        wanted: &BTreeMap<String, u32>,
    ) -> Result<SecuritySettings> {
        let mut all = settings(&mut *self.tx).await?;
        self.touched.guard();
        for (name, value) in wanted {
            all.set(name, *value)?;
            sql::query(
                "INSERT INTO security_setting (name, value) VALUES (?, ?)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(name)
            .bind(i64::from(*value))
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kinds_min: u32, password: &str, fault: Option<&str>) {
        let policy = PasswordPolicy { length_min: 10, kinds_min };
        assert_eq!(policy.fault(&["reception-desk", "4930123456"], password).as_deref(), fault);
    }

    /// S7: no default passwords.
    #[test]
    fn passwords_that_are_tried_first_are_refused() {
        let guessable = Some("everyone would guess it; write another");
        let kinds = "use at least 3 of these: small letters, capitals, digits, other signs";
        check(1, "Kq3-long-one", None);
        check(1, "Kq3-long", Some("write at least 10 characters"));
        check(1, "Reception-Desk", guessable);
        check(1, "4930123456", guessable);
        check(1, "1234567890", guessable);
        check(1, "zzzzzzzzzzzz", guessable);
        check(3, "onlysmallones1", Some(kinds));
        check(3, "small-and-1", None);
        check(4, "Small-and-1", None);
    }

    #[test]
    fn settings_have_names_ranges_and_their_defaults() {
        let mut all = SecuritySettings::default();
        for (name, value) in SecuritySettings::default().values() {
            all.set(name, value).unwrap();
        }
        assert_eq!(all, SecuritySettings::default(), "every default is within its range");
        for setting in &SETTINGS {
            let most = *setting.range.end();
            all.set(setting.name, most).unwrap();
            assert_eq!((setting.get)(&all), most, "{}", setting.name);
            let told = all.set(setting.name, most + 1).unwrap_err().to_string();
            assert!(told.starts_with(setting.name), "{told}");
        }
        let told = all.set("offence_max", 3).unwrap_err().to_string();
        assert!(told.contains("choose one of offences_max, "), "{told}");
    }
}
