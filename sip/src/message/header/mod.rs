//! Typed views of header values. A view borrows the message, reads only what is asked for, and is
//! lenient: a message that breaks the grammar is refused by the parser, and what remains to be
//! read of it for the answer should be readable.

mod auth;
mod identity;
mod lists;
mod name_addr;
mod params;
mod reason;
mod reliability;
mod replaces;
mod session_timer;
mod via;

pub use auth::{AuthParam, AuthParams, AuthScheme};
pub use identity::Identity;
pub use lists::Tokens;
pub use name_addr::NameAddr;
pub use params::{Param, Params, ParamsIter};
pub use reason::{Reason, RetryAfter};
pub use reliability::RAck;
pub use replaces::Replaces;
pub use session_timer::{Refresher, SessionExpires};
pub use via::Via;
