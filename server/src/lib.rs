//! The one crate that waits: sockets, clocks, threads and the wiring of everything else.

pub mod clock;
pub mod dispatch;
pub mod exchange;
pub mod mailbox;
pub mod metrics;
pub mod net;
pub mod shutdown;
pub mod worker;
