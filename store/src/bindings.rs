//! Where subscribers are, kept over restarts: a change goes into the journal as the whole set of one
//! subscriber, the projection keeps the newest set, and a start puts all of them back.

use std::net::SocketAddr;

use switch::directory::Transport;
use switch::registrar::StoredBinding;
use vocabulary::{SubscriberId, Utc};

use crate::node::NodeNumber;
use crate::sql::{self, BulkRow, Pool, Row, Values};

/// The bindings of one subscriber, as they replace those before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingSet {
    /// Whose.
    pub subscriber: SubscriberId,
    /// All of them; empty when the last one went.
    pub bindings: Vec<StoredBinding>,
}

/// The bytes are not a binding set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a binding set")]
pub struct NotABindingSet;

const VERSION: u8 = 1;

impl BindingSet {
    /// Writes the journal's form: a version byte, then fields with lengths, integers little-endian.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&self.subscriber.0.to_le_bytes());
        put_count(out, self.bindings.len());
        for binding in &self.bindings {
            put_text(out, &binding.uri);
            put_count(out, binding.path.len());
            for path in &binding.path {
                put_text(out, path);
            }
            out.extend_from_slice(&binding.q.to_le_bytes());
            out.extend_from_slice(&binding.expires_at.0.to_le_bytes());
            put_text(out, &binding.call_id);
            out.extend_from_slice(&binding.cseq.to_le_bytes());
            put_text(out, binding.transport.uri_name());
            out.extend_from_slice(&binding.listener.to_le_bytes());
            put_text(out, &binding.remote.to_string());
            out.push(u8::from(binding.is_behind_nat));
        }
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<BindingSet, NotABindingSet> {
        let mut reader = Reader { bytes };
        if reader.array::<1>()? != [VERSION] {
            return Err(NotABindingSet);
        }
        let subscriber = SubscriberId(u64::from_le_bytes(reader.array()?));
        let count = reader.count()?;
        let bindings = (0..count).map(|_| reader.binding()).collect::<Result<Vec<_>, _>>()?;
        if reader.bytes.is_empty() {
            Ok(BindingSet { subscriber, bindings })
        } else {
            Err(NotABindingSet)
        }
    }
}

/// Texts come from SIP messages, which are shorter than 64 KiB.
fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a datagram cannot hold so many");
    out.extend_from_slice(&count.to_le_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotABindingSet> {
        let (array, rest) = self.bytes.split_first_chunk::<N>().ok_or(NotABindingSet)?;
        self.bytes = rest;
        Ok(*array)
    }

    fn count(&mut self) -> Result<usize, NotABindingSet> {
        let count = u32::from_le_bytes(self.array()?) as usize;
        // Everything counted takes at least a byte, so a wrong count cannot ask for much memory.
        if count <= self.bytes.len() { Ok(count) } else { Err(NotABindingSet) }
    }

    fn text(&mut self) -> Result<String, NotABindingSet> {
        let length = self.count()?;
        let (text, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        String::from_utf8(text.to_vec()).map_err(|_| NotABindingSet)
    }

    fn binding(&mut self) -> Result<StoredBinding, NotABindingSet> {
        Ok(StoredBinding {
            uri: self.text()?,
            path: {
                let count = self.count()?;
                (0..count).map(|_| self.text()).collect::<Result<Vec<_>, _>>()?
            },
            q: u16::from_le_bytes(self.array()?),
            expires_at: Utc(i64::from_le_bytes(self.array()?)),
            call_id: self.text()?,
            cseq: u32::from_le_bytes(self.array()?),
            transport: transport(&self.text()?).ok_or(NotABindingSet)?,
            listener: u16::from_le_bytes(self.array()?),
            remote: self.text()?.parse::<SocketAddr>().map_err(|_| NotABindingSet)?,
            is_behind_nat: self.array::<1>()? != [0],
        })
    }
}

fn transport(name: &str) -> Option<Transport> {
    Transport::from_name(name.as_bytes())
}

/// One row of table `binding`.
pub(crate) struct BindingRow<'a> {
    pub(crate) node: NodeNumber,
    pub(crate) subscriber: SubscriberId,
    pub(crate) ordinal: usize,
    pub(crate) binding: &'a StoredBinding,
}

/// The columns of table `binding` in the order in which `BindingRow` binds them.
pub(crate) const BINDING_COLUMNS: [&str; 13] = [
    "node",
    "subscriber_id",
    "ordinal",
    "uri",
    "path",
    "q",
    "expires_at",
    "sip_call_id",
    "cseq",
    "transport",
    "listener",
    "remote",
    "is_behind_nat",
];

impl BulkRow for BindingRow<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        let binding = self.binding;
        row.put(self.node);
        row.put(self.subscriber.0.cast_signed());
        row.put(i64::try_from(self.ordinal).unwrap_or(i64::MAX));
        row.put(binding.uri.clone());
        row.put(serde_json::json!(binding.path).to_string());
        row.put(i64::from(binding.q));
        row.put(binding.expires_at.0);
        row.put(binding.call_id.clone());
        row.put(i64::from(binding.cseq));
        row.put(binding.transport.uri_name());
        row.put(i64::from(binding.listener));
        row.put(binding.remote.to_string());
        row.put(i64::from(binding.is_behind_nat));
    }
}

/// All sets of a node that are in the database.
pub(crate) async fn load(pool: &Pool, node: NodeNumber) -> Result<Vec<BindingSet>, sqlx::Error> {
    let sql = format!(
        "SELECT {} FROM binding WHERE node = ? ORDER BY subscriber_id, ordinal",
        BINDING_COLUMNS[1..].join(", ")
    );
    let mut sets: Vec<BindingSet> = Vec::new();
    for row in sql::query(&sql).bind(node).fetch_all(pool).await? {
        let subscriber = SubscriberId(row.try_get::<i64, _>(0)?.cast_unsigned());
        let binding = from_row(&row)?;
        match sets.last_mut() {
            Some(set) if set.subscriber == subscriber => set.bindings.push(binding),
            _ => sets.push(BindingSet { subscriber, bindings: vec![binding] }),
        }
    }
    Ok(sets)
}

fn from_row(row: &Row) -> Result<StoredBinding, sqlx::Error> {
    let wrong = |what: &str| sqlx::Error::Decode(format!("table binding: bad {what}").into());
    Ok(StoredBinding {
        uri: row.try_get(2)?,
        path: serde_json::from_str(row.try_get(3)?).map_err(|_| wrong("path"))?,
        q: row.try_get(4)?,
        expires_at: Utc(row.try_get(5)?),
        call_id: row.try_get(6)?,
        cseq: row.try_get(7)?,
        transport: transport(row.try_get(8)?).ok_or_else(|| wrong("transport"))?,
        listener: row.try_get(9)?,
        remote: row.try_get::<&str, _>(10)?.parse().map_err(|_| wrong("remote"))?,
        is_behind_nat: row.try_get(11)?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(subscriber: u64, count: usize) -> BindingSet {
        let binding = |index: usize| StoredBinding {
            uri: format!("sip:alice@192.0.2.{index};transport=udp"),
            path: (0..index).map(|hop| format!("<sip:edge{hop}.example;lr>")).collect(),
            q: 500,
            expires_at: Utc(1_700_000_000_000_000),
            call_id: "a84b4c76e66710".into(),
            cseq: 70_000,
            transport: Transport::Tcp,
            listener: 2,
            remote: "[2001:db8::1]:5060".parse().unwrap(),
            is_behind_nat: index % 2 == 1,
        };
        let bindings = (0..count).map(binding).collect();
        BindingSet { subscriber: SubscriberId(subscriber), bindings }
    }

    #[test]
    fn a_set_is_read_back_and_anything_shorter_is_refused() {
        for count in 0..3 {
            let set = sample(7, count);
            let mut bytes = Vec::new();
            set.encode(&mut bytes);
            assert_eq!(BindingSet::decode(&bytes), Ok(set));
            for length in 0..bytes.len() {
                assert_eq!(BindingSet::decode(&bytes[..length]), Err(NotABindingSet));
            }
            bytes.push(0);
            assert_eq!(BindingSet::decode(&bytes), Err(NotABindingSet));
        }
    }
}
