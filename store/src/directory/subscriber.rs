//! Subscribers: what registers. Of their passwords only the digest hashes are kept.

use md5::{Digest as _, Md5};
use sha2::Sha256;
use switch::directory::DigestSecret;
use vocabulary::{AccountId, Number, SubscriberId, Utc};

use super::{Change, ChangeError, DirectoryStore, Result, signed, taken, unsigned, word};
use crate::sql::{self, Executor, Row};

/// One device or person that registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// Which; 0 before it is stored.
    pub id: SubscriberId,
    /// Unique among subscribers and trunks.
    pub username: String,
    /// Who pays.
    pub account: AccountId,
    /// That account's name; only read.
    pub account_name: String,
    /// The place its calls belong to, by name (J-18).
    pub site: Option<String>,
    /// The number that rings it and that it calls with.
    pub number: Option<Number>,
    /// Proves its password without holding it.
    pub secret: DigestSecret,
    /// How many contacts it may register.
    pub contacts_max: u8,
    /// When it was added.
    pub created_at: Utc,
}

/// H(username:realm:password), by both algorithms we challenge with.
pub fn digest_secret(username: &str, realm: &str, password: &str) -> DigestSecret {
    let text = format!("{username}:{realm}:{password}");
    DigestSecret { ha1_md5: Md5::digest(&text).into(), ha1_sha256: Sha256::digest(&text).into() }
}

/// A digest user name: it stands in a quoted string, in a URI and in a log.
pub(super) fn check_username(field: &'static str, username: &str) -> Result<()> {
    let is_plain = (1..=64).contains(&username.len())
        && username.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+~".contains(&byte));
    if is_plain {
        return Ok(());
    }
    let what = "write 1 to 64 letters, digits or any of - _ . + ~";
    Err(ChangeError::invalid(field, what))
}

pub(super) fn secret(row: &Row, md5: &'static str, sha256: &'static str) -> Result<DigestSecret> {
    let corrupt = |column| ChangeError::Corrupt { column, value: "a hash of wrong length".into() };
    Ok(DigestSecret {
        ha1_md5: row.try_get::<Vec<u8>, _>(md5)?.try_into().map_err(|_| corrupt(md5))?,
        ha1_sha256: row.try_get::<Vec<u8>, _>(sha256)?.try_into().map_err(|_| corrupt(sha256))?,
    })
}

const SELECT: &str = "SELECT subscriber.*, account.name AS account_name, site.name AS site
    FROM subscriber
    JOIN account ON account.id = subscriber.account_id
    LEFT JOIN site ON site.id = subscriber.site_id";

fn subscriber(row: &Row) -> Result<Subscriber> {
    let has_number = row.try_get::<Option<String>, _>("number")?.is_some();
    Ok(Subscriber {
        id: SubscriberId(unsigned(row.try_get("id")?)),
        username: row.try_get("username")?,
        account: AccountId(unsigned(row.try_get("account_id")?)),
        account_name: row.try_get("account_name")?,
        site: row.try_get("site")?,
        number: if has_number { Some(word(row, "number")?) } else { None },
        secret: secret(row, "ha1_md5", "ha1_sha256")?,
        contacts_max: row.try_get("contacts_max")?,
        created_at: Utc(row.try_get("created_at")?),
    })
}

/// For snapshots: the one with this id.
pub(super) async fn of_id(
    executor: impl Executor<'_>,
    id: SubscriberId,
) -> Result<Option<Subscriber>> {
    let sql = format!("{SELECT} WHERE subscriber.id = ?");
    let row = sql::query(&sql).bind(signed(id.0)).fetch_optional(executor).await?;
    row.as_ref().map(subscriber).transpose()
}

pub(super) async fn all(executor: impl Executor<'_>) -> Result<Vec<Subscriber>> {
    let sql = format!("{SELECT} ORDER BY subscriber.id");
    let rows = sql::query(&sql).fetch_all(executor).await?;
    rows.iter().map(subscriber).collect()
}

impl DirectoryStore {
    /// All subscribers, in the order of their ids.
    pub async fn subscribers(&self) -> Result<Vec<Subscriber>> {
        all(&self.pool).await
    }
}

impl Change {
    /// Adds a subscriber and gives it its id.
    pub async fn add_subscriber(&mut self, mut subscriber: Subscriber) -> Result<Subscriber> {
        check_username("username", &subscriber.username)?;
        if !(1..=100).contains(&subscriber.contacts_max) {
            return Err(ChangeError::invalid("contacts_max", "write a number from 1 to 100"));
        }
        self.check_username_free("username", &subscriber.username).await?;
        subscriber.id = SubscriberId(self.next_id("subscriber").await?);
        // With its account: discounts know who belongs to a site.
        self.touched.subscriber(subscriber.id);
        self.touched.account(subscriber.account);
        let number = subscriber.number.map(|number| number.as_str().to_owned());
        let site = self.site_id(subscriber.account, subscriber.site.as_deref()).await?;
        sql::query(
            "INSERT INTO subscriber
                (id, username, account_id, number, ha1_md5, ha1_sha256, contacts_max, created_at,
                 site_id)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(subscriber.id.0))
        .bind(&subscriber.username)
        .bind(signed(subscriber.account.0))
        .bind(&number)
        .bind(&subscriber.secret.ha1_md5[..])
        .bind(&subscriber.secret.ha1_sha256[..])
        .bind(subscriber.contacts_max)
        .bind(subscriber.created_at.0)
        .bind(site)
        .execute(&mut *self.tx)
        .await
        .map_err(|error| {
            let number = number.as_deref().unwrap_or_default();
            taken(error, &[("subscriber.number", "number", number)])
        })?;
        Ok(subscriber)
    }

    /// A subscriber by its user name.
    pub async fn subscriber(&mut self, username: &str) -> Result<Subscriber> {
        let sql = format!("{SELECT} WHERE subscriber.username = ?");
        let row = sql::query(&sql).bind(username).fetch_optional(&mut *self.tx).await?;
        subscriber(&row.ok_or_else(|| ChangeError::not_found("subscriber", username))?)
    }

    /// Gives a subscriber another password.
    pub async fn set_subscriber_secret(
        &mut self,
        username: &str,
        secret: DigestSecret,
    ) -> Result<Subscriber> {
        let before = self.subscriber(username).await?;
        self.touched.subscriber(before.id);
        sql::query("UPDATE subscriber SET ha1_md5 = ?, ha1_sha256 = ? WHERE id = ?")
            .bind(&secret.ha1_md5[..])
            .bind(&secret.ha1_sha256[..])
            .bind(signed(before.id.0))
            .execute(&mut *self.tx)
            .await?;
        Ok(Subscriber { secret, ..before })
    }

    /// Removes a subscriber.
    pub async fn remove_subscriber(&mut self, username: &str) -> Result<()> {
        let gone = self.subscriber(username).await?;
        self.check_no_did_leads_to("subscriber", gone.id.0).await?;
        self.touched.subscriber(gone.id);
        self.touched.account(gone.account);
        sql::query("DELETE FROM subscriber WHERE id = ?")
            .bind(signed(gone.id.0))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Subscribers and trunks share one space of digest user names.
    pub(super) async fn check_username_free(
        &mut self,
        field: &'static str,
        username: &str,
    ) -> Result<()> {
        let row = sql::query(
            "SELECT 1 FROM subscriber WHERE username = ?1
             UNION ALL SELECT 1 FROM trunk WHERE ingress_username = ?1 LIMIT 1",
        )
        .bind(username)
        .fetch_optional(&mut *self.tx)
        .await?;
        match row {
            Some(_) => Err(ChangeError::Taken { field, value: username.to_owned() }),
            None => Ok(()),
        }
    }
}
