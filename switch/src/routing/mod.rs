//! Where a call goes: number plans, routes by longest prefix, and when to try the next trunk.

mod candidates;
mod causes;
mod conditions;
mod destination;
mod hunt;
mod loops;
mod number_plan;
mod order;
mod route;
mod simulate;
mod skip;
mod window;

pub(crate) use causes::Told;
pub use causes::{CauseMap, Code, CodeError};
pub use conditions::{Conditions, Recorded, TrunksNow};
pub use destination::{Destination, Routed, Source, destination, owner, payer, plan};
pub use hunt::{HuntCodes, Next};
pub use loops::LoopRefusal;
pub(crate) use loops::pair;
pub use number_plan::{BareNumber, EgressForm, NumberPlan, PlanError, Rewrite};
pub use order::RoutePolicy;
pub use route::{PrefixId, RouteId, RoutePrefix, RouteTable, RouteTarget};
pub use simulate::{Calling, Question, Simulation, simulate, simulate_like};
pub use skip::Skip;
pub use window::{Clock, Span, SpanError, TimeWindow, WindowId};
