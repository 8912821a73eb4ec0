//! The words for the terms of plans, in SQL and on the wire.

use billing::plans::{AtEnd, AtStart, Every, Shortage};

macro_rules! words_of {
    ($(#[$doc:meta])* $type:ty, $word:ident, $read:ident: $($variant:path = $text:literal),+) => {
        $(#[$doc])*
        pub fn $word(value: $type) -> &'static str {
            match value { $($variant => $text),+ }
        }

        /// The inverse; the error says what can be written.
        pub fn $read(text: &str) -> Result<$type, String> {
            match text {
                $($text => Ok($variant),)+
                _ => Err(format!("{text:?} is not one of {}", [$($text),+].join(", "))),
            }
        }
    };
}

words_of!(
    /// How often.
    Every, every_word, every_of:
    Every::Day = "day", Every::Week = "week", Every::Month = "month", Every::Quarter = "quarter",
    Every::HalfYear = "half_year", Every::Year = "year"
);
words_of!(
    /// The first period.
    AtStart, at_start_word, at_start_of:
    AtStart::Whole = "whole", AtStart::ByDay = "by_day", AtStart::Free = "free"
);
words_of!(
    /// The last period.
    AtEnd, at_end_word, at_end_of:
    AtEnd::Keep = "keep", AtEnd::ByDay = "by_day"
);
words_of!(
    /// When there is no money.
    Shortage, shortage_word, shortage_of:
    Shortage::Debt = "debt", Shortage::Retry = "retry", Shortage::Suspend = "suspend"
);
