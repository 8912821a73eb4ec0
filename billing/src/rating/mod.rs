//! What a call costs: prices, rates, the one pricing function and the book they are found in.

mod charge;
mod digit_trie;
mod price;
mod rate;
mod rate_book;
mod rate_group;

pub use charge::{Answered, Charge, ChargeLine, Talk, explain, max_talk, price, whole_seconds};
pub use price::{Price, PriceError};
pub use rate::{
    AppliedRate, DurationRounding, MoneyMode, MoneyRounding, RATE_GROUP_NONE, Rate, RateError,
    RateGroupId,
};
pub(crate) use rate_book::Unrated;
pub use rate_book::{AccountTariff, RateBook, RateBookBuilder, RateBookError};
pub use rate_group::{GroupTerms, RateGroup, RateGroupBuilder, RateRow, RateVersion, RowError};
