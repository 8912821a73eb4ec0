//! The endpoint from outside: bytes, time and commands in; bytes and events out.

#![allow(clippy::unwrap_used)] // Tests.
mod client;
mod limits;
mod operations;
mod server;
mod world;
