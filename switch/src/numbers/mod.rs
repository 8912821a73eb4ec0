//! Numbers at the edges, beyond the peers' number plans: tables of rules that rewrite what a peer
//! sends and what it is sent (T8, A-19, P-022), and lists that let numbers through or not (T9). Pure:
//! asked by a call, by `tandem simulate` and by `tandem number try` alike.
//!
//! Towards us: what was written → rules (those of the subscriber or trunk, then its account's, then
//! everybody's) → number plan → number → lists. From us: number → rules of whom it is for → number
//! plan → what is sent. Where there is no rule nothing is copied.

mod class;
mod list;
mod pattern;
mod policy;
mod prefixes;
mod reason;
mod rule;
mod shape;
mod translation;
mod trial;
mod written;

pub use class::{Classified, NumberClass, classify};
pub(crate) use class::{calling_code, is_region};
pub use list::{ListEffect, ListId, ListKind, ListUse, NumberList};
pub use pattern::{Pattern, PatternError};
pub use policy::{NumberOwner, NumberPolicy};
pub use prefixes::{Listed, ListedError, PrefixSet};
#[cfg(test)]
pub(crate) use reason::samples;
pub use reason::{NumberDecision, NumberRefusal};
pub use rule::{NumberRule, RuleError, RuleId, Subject, Then};
pub use translation::{Called, called};
pub(crate) use translation::{calling, rejecting_rule, screen, sent_to_trunk, shown_to_subscriber};
pub use trial::{Trial, TrialEnd, TrialStep, try_out};
pub use written::{SIGNS_MAX, Written};
