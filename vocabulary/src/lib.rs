//! Words that more than one crate speaks: ids, telephone numbers, time, the grant, and what
//! `switch` and `billing` say to each other about a call. Parse and print, nothing else: no
//! decision is taken here.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod charging;
mod facts;
mod grant;
mod id;
mod location;
mod now;
mod number;

pub use charging::{
    Authorization, AuthorizeRequest, CallKind, Candidate, ExtendRequest, Extension, Origin,
    RateChoice, Refused, SettleRequest, Skipped,
};
pub use facts::{Attestation, CallFacts, DecisionLine, Direction, LegFacts, Party, ReleaseFacts};
pub use grant::Grant;
pub use id::{AccountId, CallId, DidId, SiteId, SubscriberId, TrunkId};
pub use location::{Jurisdiction, Location};
pub use now::{Now, Utc};
pub use number::{Number, NumberError};
