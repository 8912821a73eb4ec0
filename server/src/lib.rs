//! The one crate that waits: sockets, clocks, threads and the wiring of everything else.

pub mod call_log;
pub mod clock;
pub mod control;
mod desk;
mod dip;
pub mod dispatch;
pub mod exchange;
pub mod leases;
pub mod log;
pub mod mailbox;
pub mod metrics;
pub mod net;
mod questions;
pub mod run;
pub mod secrets;
pub mod settings;
pub mod shutdown;
pub mod stir;
pub mod totals;
pub mod trace;
pub mod worker;
mod workers;

pub use run::{RunError, run, run_and_tell};
