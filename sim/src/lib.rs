//! The deterministic simulator: the real `switch` and `billing` in virtual time, with callers,
//! carriers, money and faults drawn from a seed. The same seed gives the same run to the byte.

pub mod caller;
pub mod carrier;
pub mod check;
pub mod random;
pub mod setting;
mod text;
pub mod world;
