//! Dialogs (RFC 3261 section 12) and what lives inside them: reliable provisional responses
//! (RFC 3262) and session timers (RFC 4028). Values and rules only; the user of the dialog sends.

#[allow(clippy::module_inception)] // The file that holds `Dialog`.
mod dialog;
pub mod prack;
mod route_set;
pub mod session_timer;

pub use dialog::{CSeqOrder, Dialog, Identity, NoDialog};
pub use route_set::{Addressing, BadRoutes, ROUTES_MAX, RouteSet};
