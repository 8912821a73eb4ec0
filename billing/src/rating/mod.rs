//! What a call costs: prices, rates, the one pricing function and the book they are found in.

mod calendar;
mod charge;
mod destination;
mod digit_trie;
mod jurisdiction;
mod message;
mod price;
mod rate;
mod rate_book;
mod rate_group;
mod resolve;
mod rounding;
mod special;
mod special_bytes;
mod time;
mod versions;

pub use calendar::{Calendar, Date, Days, Period, PeriodChoice, Zone};
pub(crate) use charge::disconnect_after;
pub use charge::{Answered, Charge, ChargeLine, Talk, explain, max_talk, price, whole_seconds};
pub use destination::{DestinationSet, Discount};
pub use jurisdiction::{GroupsOfSide, JurisdictionGroups};
pub use price::{Price, PriceError};
pub use rate::{
    AppliedRate, DurationRounding, MoneyMode, MoneyRounding, RATE_GROUP_NONE, Rate, RateError,
    RateGroupId,
};
pub use rate_book::{AccountTariff, RateBook, RateBookBuilder, RateBookError, SiteMembers};
pub(crate) use rate_book::{Side, Unrated};
pub use rate_group::{GroupTerms, RateGroup, RateGroupBuilder, RateRow, RateVersion, RowError};
pub use resolve::{CallQuery, NotRated, PayerTerms};
pub(crate) use rounding::rounded_ratio;
pub use special::{
    AfterCap, AppliedDiscount, AppliedSpecial, Cap, Exchange, ExchangeRate, OriginTerms, Percent,
    SpecialTerms, Step, Surcharge, SurchargeAmount, TimePrice, VersionChoice, Window,
};
