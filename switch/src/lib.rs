//! Calls: legs, routing, admission, registrar. A shard takes `(now, input)` and leaves effects; it
//! knows time, never money, and owns no socket.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod admission;
pub mod decision;
pub mod directory;
pub mod effect;
pub mod registrar;
pub mod release;
pub mod routing;
pub mod token;

pub use effect::{Effect, HostToResolve, Input, LiveCall, LiveState, QueryId, Stats, Target};
