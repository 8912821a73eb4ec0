//! Who is asked where numbers are served (T7).

use std::collections::BTreeMap;
use std::time::Duration;

use switch::lookup::{
    HttpLookup, Lookup, LookupId, LookupKind, NUMBER_PLACE, OnFailure, SipLookup,
};

use super::number_rule::read_word;
use super::route::check_prefix;
use super::trunk::is_host;
use super::{Change, ChangeError, DirectoryStore, Result, check_name, signed, unsigned};
use crate::sql::{self, Connection, Row};

/// More than anybody asks.
const LOOKUPS_MAX: usize = 100;
const PREFIXES_MAX: usize = 10_000;
/// The longest URL, body, pointer or header.
const TEXT_MAX: usize = 2_000;

/// What is stored of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLookup {
    /// It.
    pub lookup: Lookup,
    /// Off: nobody asks it, whatever its prefixes are.
    pub enabled: bool,
}

fn lookup(row: &Row, prefixes: Vec<Box<str>>) -> Result<StoredLookup> {
    let text = |column: &'static str| row.try_get::<Option<String>, _>(column);
    let boxed = |column| Ok::<_, ChangeError>(text(column)?.map(Box::<str>::from));
    let corrupt = |column: &'static str| ChangeError::Corrupt { column, value: String::new() };
    let kind: String = row.try_get("kind")?;
    let asks = match kind.as_str() {
        "http" => LookupKind::Http(HttpLookup {
            url: boxed("url")?.ok_or_else(|| corrupt("url"))?,
            body: boxed("body")?,
            pointer: boxed("pointer")?,
            header: boxed("header_name")?.zip(boxed("header_value")?),
        }),
        "sip" => LookupKind::Sip(SipLookup {
            host: boxed("host")?.ok_or_else(|| corrupt("host"))?,
            port: row.try_get::<Option<u16>, _>("port")?.unwrap_or(5060),
        }),
        _ => return Err(ChangeError::Corrupt { column: "kind", value: kind }),
    };
    let name: String = row.try_get("name")?;
    let lookup = Lookup {
        id: LookupId(unsigned(row.try_get("id")?)),
        name: name.into(),
        asks,
        timeout: Duration::from_millis(row.try_get::<u32, _>("timeout_ms")?.into()),
        ttl: Duration::from_secs(row.try_get::<u32, _>("ttl_s")?.into()),
        on_failure: read_word(row, "on_failure", OnFailure::from_word)?,
        prefixes: prefixes.into(),
    };
    Ok(StoredLookup { lookup, enabled: row.try_get("enabled")? })
}

async fn all(connection: &mut Connection) -> Result<Vec<StoredLookup>> {
    let mut prefixes: BTreeMap<i64, Vec<Box<str>>> = BTreeMap::new();
    let sql = "SELECT lookup_id, prefix FROM lookup_prefix ORDER BY prefix";
    for row in sql::query(sql).fetch_all(&mut *connection).await? {
        let prefix: String = row.try_get("prefix")?;
        prefixes.entry(row.try_get("lookup_id")?).or_default().push(prefix.into());
    }
    let sql = "SELECT * FROM lookup ORDER BY id";
    let rows = sql::query(sql).fetch_all(&mut *connection).await?;
    let with_prefixes = |row: &Row| {
        let id: i64 = row.try_get("id")?;
        lookup(row, prefixes.remove(&id).unwrap_or_default())
    };
    rows.iter().map(with_prefixes).collect()
}

/// Those that are asked, for snapshots.
pub(super) async fn in_force(connection: &mut Connection) -> Result<Vec<Lookup>> {
    let stored = all(connection).await?.into_iter();
    Ok(stored.filter(|stored| stored.enabled).map(|stored| stored.lookup).collect())
}

fn check(wanted: &Lookup) -> Result<()> {
    check_name("name", &wanted.name)?;
    let (least, most) = Lookup::TIMEOUT;
    if !(least..=most).contains(&wanted.timeout) {
        let what = format!("write {} to {} milliseconds", least.as_millis(), most.as_millis());
        return Err(ChangeError::invalid("timeout_ms", what));
    }
    if wanted.ttl > Lookup::TTL_MAX {
        let what = format!("write 0 to {} seconds", Lookup::TTL_MAX.as_secs());
        return Err(ChangeError::invalid("ttl_s", what));
    }
    if wanted.prefixes.len() > PREFIXES_MAX {
        let what = format!("write at most {PREFIXES_MAX} prefixes");
        return Err(ChangeError::invalid("prefixes", what));
    }
    wanted.prefixes.iter().try_for_each(|prefix| check_prefix(prefix))?;
    match &wanted.asks {
        LookupKind::Http(http) => check_http(http),
        LookupKind::Sip(SipLookup { host, port }) => {
            if !is_host(host) {
                let what = "write a host name or an address, without a port; IPv6 goes in brackets";
                return Err(ChangeError::invalid("host", what));
            }
            if *port == 0 {
                return Err(ChangeError::invalid("port", "write 1 to 65535"));
            }
            Ok(())
        }
    }
}

fn check_http(http: &HttpLookup) -> Result<()> {
    let HttpLookup { url, body, pointer, header } = http;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let what = "write a URL that begins with http:// or https://";
        return Err(ChangeError::invalid("url", what));
    }
    if url.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(ChangeError::invalid("url", "write it without spaces, and in ASCII"));
    }
    let has_place = |text: &str| text.contains(NUMBER_PLACE);
    if !has_place(url) && !body.as_deref().is_some_and(has_place) {
        let what = format!("write {NUMBER_PLACE} where the called number belongs");
        return Err(ChangeError::invalid("url", what));
    }
    if pointer.as_deref().is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
        let what =
            "write a JSON pointer such as /data/lrn, or null for an answer that is plain text";
        return Err(ChangeError::invalid("pointer", what));
    }
    let (name, value) = header.as_ref().map_or(("X", ""), |(name, value)| (name, value));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(ChangeError::invalid("header_name", "write the name of a header"));
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(ChangeError::invalid("header_value", "write it in ASCII, on one line"));
    }
    let texts = [Some(&**url), body.as_deref(), pointer.as_deref(), Some(name), Some(value)];
    if texts.into_iter().flatten().any(|text| text.len() > TEXT_MAX) {
        let what = format!("write at most {TEXT_MAX} characters in each text");
        return Err(ChangeError::invalid("url", what));
    }
    Ok(())
}

impl DirectoryStore {
    /// All lookups, in the order of their ids.
    pub async fn lookups(&self) -> Result<Vec<StoredLookup>> {
        let mut tx = self.pool.begin_read().await?;
        all(&mut tx).await
    }
}

impl Change {
    /// One lookup, by its name.
    pub async fn lookup(&mut self, name: &str) -> Result<Option<StoredLookup>> {
        let stored = all(&mut self.tx).await?.into_iter();
        Ok(stored.into_iter().find(|stored| &*stored.lookup.name == name))
    }

    /// Adds a lookup, or puts it in place of the one with its name; gives it its id.
    pub async fn set_lookup(&mut self, mut wanted: StoredLookup) -> Result<StoredLookup> {
        check(&wanted.lookup)?;
        self.touched.routing();
        let before = all(&mut self.tx).await?;
        let same = before.iter().find(|stored| stored.lookup.name == wanted.lookup.name);
        if same.is_none() && before.len() >= LOOKUPS_MAX {
            let what = format!("there are {LOOKUPS_MAX} lookups; remove some first");
            return Err(ChangeError::InUse(what));
        }
        wanted.lookup.id = match same {
            Some(same) => same.lookup.id,
            None => LookupId(self.next_id("lookup").await?),
        };
        let others = before.iter().filter(|stored| stored.lookup.id != wanted.lookup.id);
        for other in others {
            let theirs = &other.lookup.prefixes;
            if let Some(prefix) = wanted.lookup.prefixes.iter().find(|own| theirs.contains(own)) {
                let name = &other.lookup.name;
                let what = format!("lookup {name:?} is asked about {prefix}; take it away there");
                return Err(ChangeError::invalid("prefixes", what));
            }
        }
        self.write_lookup(&wanted).await?;
        Ok(wanted)
    }

    async fn write_lookup(&mut self, wanted: &StoredLookup) -> Result<()> {
        let Lookup { id, name, asks, timeout, ttl, on_failure, prefixes } = &wanted.lookup;
        let (kind, http, sip) = match asks {
            LookupKind::Http(http) => ("http", Some(http), None),
            LookupKind::Sip(sip) => ("sip", None, Some(sip)),
        };
        let header = http.and_then(|http| http.header.as_ref());
        sql::query(
            "INSERT INTO lookup (id, name, kind, url, body, pointer, header_name, header_value, \
                host, port, enabled, timeout_ms, ttl_s, on_failure) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET \
                kind = excluded.kind, url = excluded.url, body = excluded.body, \
                pointer = excluded.pointer, header_name = excluded.header_name, \
                header_value = excluded.header_value, host = excluded.host, \
                port = excluded.port, enabled = excluded.enabled, \
                timeout_ms = excluded.timeout_ms, ttl_s = excluded.ttl_s, \
                on_failure = excluded.on_failure",
        )
        .bind(signed(id.0))
        .bind(&**name)
        .bind(kind)
        .bind(http.map(|http| &*http.url))
        .bind(http.and_then(|http| http.body.as_deref()))
        .bind(http.and_then(|http| http.pointer.as_deref()))
        .bind(header.map(|(name, _)| &**name))
        .bind(header.map(|(_, value)| &**value))
        .bind(sip.map(|sip| &*sip.host))
        .bind(sip.map(|sip| sip.port))
        .bind(wanted.enabled)
        .bind(signed(timeout.as_millis() as u64))
        .bind(signed(ttl.as_secs()))
        .bind(on_failure.word())
        .execute(&mut *self.tx)
        .await?;
        sql::query("DELETE FROM lookup_prefix WHERE lookup_id = ?")
            .bind(signed(id.0))
            .execute(&mut *self.tx)
            .await?;
        for prefix in prefixes {
            sql::query("INSERT INTO lookup_prefix (prefix, lookup_id) VALUES (?, ?)")
                .bind(&**prefix)
                .bind(signed(id.0))
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// Removes a lookup: nobody is asked about its prefixes any more.
    pub async fn remove_lookup(&mut self, name: &str) -> Result<()> {
        self.touched.routing();
        let removed = sql::query("DELETE FROM lookup WHERE name = ? RETURNING id")
            .bind(name)
            .fetch_optional(&mut *self.tx)
            .await?;
        match removed {
            Some(_) => Ok(()),
            None => Err(ChangeError::not_found("lookup", name)),
        }
    }
}
