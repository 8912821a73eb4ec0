//! The one crate that waits: sockets, clocks, threads and the wiring of everything else.

pub mod clock;
pub mod mailbox;
pub mod net;
