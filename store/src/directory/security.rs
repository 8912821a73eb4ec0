//! How much a source may do before it is kept out, and how often may be registered (S7). Each has a name, a range and a default.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use switch::guard::GuardLimits;

use super::{Change, ChangeError, DirectoryStore, Result};
use crate::sql::{self, Executor};

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecuritySettings {
    /// Of sources.
    pub guard: GuardLimits,
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

const SETTINGS: [Setting; 7] = [
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
