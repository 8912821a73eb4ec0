//! Where a call goes: number plans, routes by longest prefix, and when to try the next trunk.

mod candidates;
mod destination;
mod hunt;
mod number_plan;
mod route;
mod simulate;
mod skip;

pub use destination::{Destination, Routed, Source, destination, owner, payer, plan};
pub use hunt::{HuntCodes, Next};
pub use number_plan::{BareNumber, EgressForm, NumberPlan, PlanError, Rewrite};
pub use route::{RouteTable, RouteTarget};
pub use simulate::{Calling, Question, Simulation, simulate};
pub use skip::Skip;
