//! Accounts, subscribers, trunks, routes and rate groups in SQL: commands write them in one commit
//! each, and a start or a change loads them whole. Never read while a call is set up.

mod account;
mod account_import;
mod availability;
mod caller_id;
mod change_log;
mod closing;
mod credit;
mod destination_set;
mod did;
mod discount;
mod edge;
mod event;
mod exchange;
mod forwarding;
mod fraud;
mod hierarchy;
mod interworking;
mod jurisdiction;
mod load;
mod lookup;
mod message;
mod number_list;
mod number_rule;
mod plan;
pub mod plan_words;
mod probe;
mod quality;
mod rate_group;
mod reason;
mod route;
mod route_prefix;
mod security;
mod site;
mod source;
mod subscriber;
mod subscription;
mod tax;
mod time_window;
mod touched;
mod trunk;
mod trunk_cause;
mod trunk_stir;
mod trunk_tls;

use vocabulary::{AccountId, CallId, Utc};

use crate::query;
use crate::sql::{self, ConnectError, Database, Pool, Row, Transaction};

pub(crate) use account::with_parents;
pub use account::{Account, AccountStatus, BillingKind, DurationRounding, NUMBER_DIGITS};
pub use account_import::{AccountImport, VerdictPage, VerdictRows};
pub use closing::Removed;
pub use credit::Credit;
pub use destination_set::DestinationSet;
pub(crate) use did::for_snapshot as dids_for_snapshot;
pub use did::{Did, Target};
pub use discount::StoredDiscount;
pub(crate) use discount::load as load_discounts;
pub use event::{AccountEvent, AccountEventKind, EVENTS_MAX, EventFilter, event_kinds};
pub use exchange::StoredExchange;
pub(crate) use exchange::all as all_exchange_rates;
pub use forwarding::NO_ANSWER_AFTER;
pub use fraud::{StoredFraudRule, StoredHold};
pub use hierarchy::LEVELS_MAX;
pub use jurisdiction::JurisdictionRates;
pub use load::Loaded;
pub use lookup::StoredLookup;
pub use message::MessageRates;
pub(crate) use message::{MessageGroups, message_groups};
pub use number_list::{Filling, StoredList, StoredUse};
pub use number_rule::{NamedOwner, StoredRule, direction_from_word, direction_word};
pub use plan::SoldPlan;
pub use probe::TrunkProbe;
pub(crate) use rate_group::all_groups;
pub use rate_group::{RateBy, RateGroup, RateGroupRounding, Rounding, TaxRoundingWord};
pub use reason::{Reason, ReasonKind};
pub use route::Route;
pub use security::{PasswordPolicy, SecuritySettings};
pub use site::Site;
pub(crate) use site::{members as site_members, site_of};
pub use source::{MadeBy, Source, Standing};
pub use subscriber::{Subscriber, digest_secret};
pub use subscription::{AccountPlan, NewSubscription, Scheduled, calendar_of};
pub use tax::{OnTopWord, TaxSet, TaxableWord, TaxedAccount};
pub(crate) use tax::{invoice_rounding, load as load_taxes};
pub use time_window::StoredWindow;
use touched::Touched;
pub use trunk::{Trunk, TrunkTransport};
pub use trunk_tls::TrunkTls;

/// Limits in both directions; `None` is no limit. Inward is towards us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls at the same time that it sends us.
    pub calls_in_max: Option<u32>,
    /// Calls at the same time that we send it.
    pub calls_out_max: Option<u32>,
    /// New calls in a second that it sends us.
    pub cps_in_max: Option<u32>,
    /// New calls in a second that we send it.
    pub cps_out_max: Option<u32>,
}

/// Why a change of the directory is not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A value breaks a rule.
    #[error("{field}: {what}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// The rule and the remedy.
        what: String,
    },
    /// Something named does not exist.
    #[error("there is no {kind} {name:?}")]
    NotFound {
        /// account, trunk, …
        kind: &'static str,
        /// As it was named.
        name: String,
    },
    /// A name that must be unique is in use.
    #[error("{field}: {value:?} is taken; choose another")]
    Taken {
        /// The field.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// It cannot be removed while something uses it.
    #[error("{0}")]
    InUse(String),
    /// The database does not let us in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A row in the database has a value that this program never writes.
    #[error("the database holds a {column} that cannot be read: {value:?}")]
    Corrupt {
        /// Where.
        column: &'static str,
        /// What.
        value: String,
    },
}

/// What keeps a database from doing its work, as far as an operator can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseTrouble {
    /// The server cannot be reached, or does not answer.
    Away,
    /// Another program holds its lock.
    Locked,
    /// The disk is full.
    DiskFull,
    /// It may not be written, or the disk fails.
    NotWritable,
}

impl ChangeError {
    /// Whether this is something that an operator can mend.
    pub fn trouble(&self) -> Option<DatabaseTrouble> {
        match self {
            ChangeError::Connect(_) => Some(DatabaseTrouble::Away),
            ChangeError::Database(error) => sql::trouble(error),
            _ => None,
        }
    }

    pub(crate) fn invalid(field: &'static str, what: impl Into<String>) -> ChangeError {
        ChangeError::Invalid { field, what: what.into() }
    }

    pub(crate) fn not_found(kind: &'static str, name: &str) -> ChangeError {
        ChangeError::NotFound { kind, name: name.to_owned() }
    }
}

pub(crate) type Result<T> = std::result::Result<T, ChangeError>;

/// The tables of the directory.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    pub(crate) pool: Pool,
}

impl DirectoryStore {
    /// On a database that [`Database::open`] has opened before. Its own connections: what they
    /// commit is in no journal, so it is on disk before a command is answered.
    pub async fn open(database: &Database) -> Result<DirectoryStore> {
        Ok(DirectoryStore { pool: database.open_for_commands().await? })
    }

    /// The same for reading only, also while a server runs: nothing is created, migrated or written.
    pub async fn open_read_only(database: &Database) -> Result<DirectoryStore> {
        Ok(DirectoryStore { pool: database.open_read_only().await? })
    }

    /// False before the first start.
    pub async fn has_tables(&self) -> Result<bool> {
        Ok(sql::has_tables(&self.pool).await?)
    }

    /// Starts one command. Dropped without [`Change::commit`], nothing of it remains.
    pub async fn begin(&self) -> Result<Change> {
        Ok(Change { tx: self.pool.begin_command().await?, touched: Touched::default() })
    }

    /// The same for reading only: nobody waits for it, and it is never committed.
    pub async fn begin_read(&self) -> Result<Change> {
        Ok(Change { tx: self.pool.begin_read().await?, touched: Touched::default() })
    }

    /// A setting of the data directory, such as the realm its password hashes are made over.
    pub async fn setting(&self, name: &str) -> Result<Option<String>> {
        let sql = "SELECT value FROM setting WHERE name = ?";
        Ok(sql::query_scalar(sql).bind(name).fetch_optional(&self.pool).await?)
    }
}

/// What the projection wrote, read over the same connections.
impl DirectoryStore {
    /// CDRs by filter, newest first.
    pub async fn cdrs(&self, filter: &query::CdrFilter) -> Result<Vec<query::StoredCdr>> {
        Ok(query::cdrs(&self.pool, filter).await?)
    }

    /// Everything stored about a call.
    pub async fn call_story(&self, call: CallId) -> Result<Option<query::CallStory>> {
        Ok(query::call(&self.pool, call).await?)
    }

    /// What people call trunks and sites.
    pub async fn cdr_names(&self) -> Result<query::CdrNames> {
        Ok(query::cdr_names(&self.pool).await?)
    }

    /// The calls whose ingress leg had this Call-ID, newest first.
    pub async fn calls_by_sip_call_id(&self, sip_call_id: &str) -> Result<Vec<CallId>> {
        Ok(query::calls_by_sip_call_id(&self.pool, sip_call_id).await?)
    }

    /// The movements of an account.
    pub async fn statement(
        &self,
        account: AccountId,
        from: Utc,
        till: Utc,
    ) -> Result<query::Statement> {
        Ok(query::statement(&self.pool, account, from, till).await?)
    }
}

/// One command's changes: all or none.
#[derive(Debug)]
pub struct Change {
    pub(crate) tx: Transaction,
    /// What the next snapshot must read again.
    pub(crate) touched: Touched,
}

impl Change {
    /// Undoes everything since [`DirectoryStore::begin`], before another command begins.
    pub async fn abandon(self) -> Result<()> {
        Ok(self.tx.rollback().await?)
    }

    /// Makes everything since [`DirectoryStore::begin`] permanent.
    pub async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    /// An id that was never given out before.
    pub(crate) async fn next_id(&mut self, of: &'static str) -> Result<u64> {
        let row = sql::query("UPDATE next_id SET next = next + 1 WHERE of = ? RETURNING next - 1")
            .bind(of)
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(unsigned(row.try_get::<i64, _>(0)?))
    }

    /// Writes a setting of the data directory.
    pub async fn set_setting(&mut self, name: &str, value: &str) -> Result<()> {
        sql::query(
            "INSERT INTO setting (name, value) VALUES (?, ?)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(value)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

/// Turns a breach of a UNIQUE constraint into the field it is about: `table.column` of the last
/// column of the constraint, the field, its value.
pub(crate) fn taken(error: sqlx::Error, fields: &[(&str, &'static str, &str)]) -> ChangeError {
    if let sqlx::Error::Database(database) = &error
        && database.is_unique_violation()
        && let Some((_, field, value)) =
            fields.iter().find(|(column, _, _)| breaks(database.as_ref(), column))
    {
        return ChangeError::Taken { field, value: (*value).to_owned() };
    }
    ChangeError::Database(error)
}

/// SQLite's message ends in the column; PostgreSQL names the constraint `table_column_key`.
fn breaks(error: &dyn sqlx::error::DatabaseError, table_column: &str) -> bool {
    let Some((table, column)) = table_column.split_once('.') else { return false };
    match error.constraint() {
        Some(constraint) => constraint
            .strip_prefix(table)
            .and_then(|rest| rest.strip_suffix("_key"))
            .is_some_and(|rest| rest.ends_with(&format!("_{column}"))),
        None => error.message().ends_with(table_column),
    }
}

/// Ids and counts are stored as signed integers and never negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(crate) fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// A word in a column, as the enum it stands for.
pub(crate) fn word<T: std::str::FromStr>(row: &Row, column: &'static str) -> Result<T> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| ChangeError::Corrupt { column, value: text })
}

/// A JSON array in a column.
pub(crate) fn list<T: serde::de::DeserializeOwned>(
    row: &Row,
    column: &'static str,
) -> Result<Vec<T>> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|_| ChangeError::Corrupt { column, value: text })
}

pub(crate) fn json<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).expect("plain values are always JSON")
}

pub(crate) fn limits(row: &Row) -> Result<CallLimits> {
    Ok(CallLimits {
        calls_in_max: row.try_get("calls_in_max")?,
        calls_out_max: row.try_get("calls_out_max")?,
        cps_in_max: row.try_get("cps_in_max")?,
        cps_out_max: row.try_get("cps_out_max")?,
    })
}

/// A name: printable, without blanks at its ends, at most 100 characters.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<()> {
    let is_plain = !name.is_empty()
        && sheets::trimmed(name) == name
        && name.chars().count() <= 100
        && !name.chars().any(|c| c.is_control() || c == '/');
    if is_plain {
        return Ok(());
    }
    let what = "write 1 to 100 characters without slashes or blanks at either end";
    Err(ChangeError::invalid(field, what))
}

/// Declares an enum whose variants are words in SQL and on the wire.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// All words, for messages.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> std::result::Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is not one of {}", Self::WORDS.join(", "))),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;
