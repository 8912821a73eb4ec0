//! SIP (RFC 3261 and friends) without IO: bytes in, bytes and events out. This crate knows
//! messages, transactions and dialogs; it knows no calls, no accounts and no sockets.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod auth;
pub mod dialog;
pub mod endpoint;
pub mod message;
pub mod timer_wheel;
pub mod transaction;
pub mod transport;
