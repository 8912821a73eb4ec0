//! All calls of one worker: finds the call for every message, answer and timeout.

use std::sync::Arc;

use sip::auth::NonceCounts;
use sip::endpoint::Listener;

use crate::admission::Admission;
use crate::registrar::Bindings;

/// What a shard is told once.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Its number.
    pub shard: u8,
    /// How many there are.
    pub shards: u8,
    /// The number of this start, for call ids.
    pub start: u32,
    /// Where we listen.
    pub listeners: Vec<Listener>,
    /// At most so many calls at the same time; below 2^24.
    pub calls_max: u32,
    /// Server and User-Agent header; empty sends none.
    pub server_name: String,
    /// Seeds every random choice of the shard; secret.
    pub seed: u64,
    /// Signs the nonces; the same in all shards and over restarts; secret.
    pub nonce_secret: [u8; 32],
}

/// What all shards share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Where subscribers are.
    pub bindings: Arc<Bindings>,
    /// The sets of live calls.
    pub admission: Arc<Admission>,
    /// Which nonce counts were used.
    pub nonces: Arc<NonceCounts>,
}
