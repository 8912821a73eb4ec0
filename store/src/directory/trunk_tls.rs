//! TLS certificates of trunks: theirs by which they are known, ours for them (S1, S8).

use std::collections::BTreeMap;
use std::sync::Arc;

use switch::directory::ClientCertificate;
use vocabulary::TrunkId;

use super::{Change, ChangeError, Result, json, list, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// More names than anybody's certificate needs to have.
const NAMES_MAX: usize = 16;

/// What is stored for a trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkTls {
    /// Names of which its certificate must have one, in lower case; none asks for no certificate.
    pub certificate_names: Vec<Box<str>>,
    /// What we show it.
    pub client_certificate: Option<Arc<ClientCertificate>>,
}

impl TrunkTls {
    fn check(&self) -> Result<()> {
        if self.certificate_names.len() > NAMES_MAX {
            let what = format!("write at most {NAMES_MAX} names");
            return Err(ChangeError::invalid("certificate_names", what));
        }
        Ok(())
    }
}

fn tls(row: &Row) -> Result<TrunkTls> {
    let chain: Option<String> = row.try_get("client_certificate")?;
    let key: Option<String> = row.try_get("client_key")?;
    let client_certificate = chain
        .zip(key)
        .map(|(chain, key)| Arc::new(ClientCertificate { chain: chain.into(), key: key.into() }));
    Ok(TrunkTls { certificate_names: list(row, "certificate_names")?, client_certificate })
}

/// Of all trunks that have a row.
pub(super) async fn all(executor: impl Executor<'_>) -> Result<BTreeMap<TrunkId, TrunkTls>> {
    let rows = sql::query("SELECT * FROM trunk_tls").fetch_all(executor).await?;
    let trunk = |row: &Row| Ok::<_, ChangeError>(TrunkId(unsigned(row.try_get("trunk_id")?)));
    rows.iter().map(|row| Ok((trunk(row)?, tls(row)?))).collect()
}

impl Change {
    /// The certificates of a trunk, as this command has left them.
    pub async fn trunk_tls(&mut self, trunk: TrunkId) -> Result<TrunkTls> {
        let row = sql::query("SELECT * FROM trunk_tls WHERE trunk_id = ?")
            .bind(signed(trunk.0))
            .fetch_optional(&mut *self.tx)
            .await?;
        row.map_or_else(|| Ok(TrunkTls::default()), |row| tls(&row))
    }

    /// Sets the certificates of a trunk. That they can be used, and are nobody else's, shows when the
    /// snapshot is made.
    pub async fn set_trunk_tls(&mut self, trunk: TrunkId, wanted: &TrunkTls) -> Result<()> {
        wanted.check()?;
        self.touched.trunk(trunk);
        let ours = wanted.client_certificate.as_deref();
        sql::query(
            "INSERT INTO trunk_tls (trunk_id, certificate_names, client_certificate, client_key) \
             VALUES (?, ?, ?, ?) \
             ON CONFLICT (trunk_id) DO UPDATE SET \
                certificate_names = excluded.certificate_names, \
                client_certificate = excluded.client_certificate, \
                client_key = excluded.client_key",
        )
        .bind(signed(trunk.0))
        .bind(json(&wanted.certificate_names))
        .bind(ours.map(|ours| &*ours.chain))
        .bind(ours.map(|ours| &*ours.key))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
