//! Calls: legs, routing, admission, registrar. A shard takes `(now, input)` and leaves effects; it
//! knows time, never money, and owns no socket.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

// Tests within the crate play in the same world as those beside it, which calls us by our name.
#[cfg(test)]
extern crate self as switch;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub mod admission;
pub mod attribution;
pub mod caller_id;
pub mod decision;
pub mod did;
pub mod directory;
pub mod effect;
pub mod forwarding;
pub mod fraud;
pub mod guard;
pub mod health;
pub mod interworking;
pub mod jurisdiction;
pub mod leg;
pub mod lookup;
pub mod message_refusal;
pub mod numbers;
pub mod overload;
pub mod quality;
pub mod question;
pub mod registrar;
pub mod release;
pub mod routing;
pub mod shard;
pub mod stir;
pub mod tls_peers;
pub mod token;
pub mod transfer;
pub mod upstream;

mod authentication;
mod call;
mod door;
mod ingress;
mod keep_alive;
mod message_relay;
mod out_of_dialog;
mod register;
mod register_copy;
mod setup;
mod shed;

pub use call::OnwardCall;
pub use effect::{
    AnswerId, Effect, HostToResolve, Input, Joining, JoiningHow, LiveCall, LiveState, QueryId,
    Said, Stats, Target,
};
pub use question::{Answer, Question};
pub use shard::{Shard, ShardConfig, Shared};
