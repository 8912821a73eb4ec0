//! What an account is charged and given without a call: recurring and one-time fees, free minutes,
//! and discounts on the volume of a period. Pure: what is due follows from a subscription, its plan
//! and a moment; whoever runs the job late, twice or in pieces finds the same charges under the
//! same ids (V-04 to V-09, J-19 to J-24, P-006, P-008, P-011, P-012, P-019).

mod calendar;
mod definition;
mod due;
mod tiers;

pub use calendar::{Day, Every, Zone, ZoneError};
pub use definition::{
    Anchor, AtEnd, AtStart, Bundle, Fee, Plan, PlanError, Shortage, Subscription, Validity,
};
pub use due::{AccountCalendar, Due, DueKind, due, next_due};
pub use tiers::{
    Base, GrowthDiscount, Percent, Tier, TierError, TierMethod, Tiers, growth_discount,
    volume_discount,
};
