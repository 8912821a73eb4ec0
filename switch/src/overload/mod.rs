//! More new work than can be done: how much of it is refused, and whose. What belongs to a call or a
//! registration in progress is never refused; and whoever wants little gets it, however much others want.
//!
//! The [`Controller`] turns the measured delay into a share that is refused, the [`Shedder`] refuses as
//! much: a worker has one of each.

mod controller;
mod shedder;

pub use controller::Controller;
pub use shedder::{Shedder, Wants, WantsWhat};

/// How much new work is to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// So many in a thousand; 0 is calm.
    Share(u16),
    /// All: nothing can be recorded.
    All,
}

impl Default for Pressure {
    fn default() -> Pressure {
        Pressure::Share(0)
    }
}

#[cfg(test)]
mod tests;
