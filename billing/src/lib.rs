//! Money: what a call costs, who may still pay for it, and the record of both. No SIP, no async,
//! no SQL, no clock and no float. `Ledger` is the one shared, locked thing; everything else is a
//! value or belongs to one worker.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::float_arithmetic)]

mod authorize;
mod call_state;
mod cdr;
mod chain;
mod codec;
mod credit_control;
mod funding;
mod journal;
mod ledger;
mod money;
mod op_id;
pub mod plans;
mod quote;
mod rating;
mod recovery;
mod report_rate;
mod rerate;
mod settlement;
mod slices;
mod statement;
mod tax;
#[cfg(test)]
mod testing;

pub use call_state::{CallContext, CarrierRate, OpenCall};
pub use cdr::{Cdr, CdrCharge, CdrLine, UpperCharge};
pub use chain::{Chain, LEVELS_MAX};
pub use codec::DecodeError;
pub use credit_control::{AnswerGrant, Attempt, CreditControl};
pub use funding::{Payer, Raise};
pub use journal::{BundleUse, Ended, Journal, MemoryJournal, Position, Record};
pub use ledger::{
    AccountState, AccountView, Ask, Bundle, BundleGrant, BundleId, BundleOf, BundleShare, Counters,
    DestinationSetId, Fund, Lease, LeaseAnswer, LeaseAsk, LeaseAsks, LeaseSum, Leased, Ledger,
    LedgerCheck, LedgerError, LedgerEvent, Locked, Outcome, Overdraft, PaymentMode, Posting,
    PostingKind, ReservationId, ReservationState, Seconds, SecondsAnswer, SecondsAsk, SpendLimits,
    SpendPeriod, SpendWindow, Spending, Status, SystemAccount, SystemKind, Terms, Thresholds, Unit,
    Use, Wanted, hour_of,
};
pub use money::{Currency, Money, MoneyError};
pub use op_id::OpId;
pub use quote::{Quote, QuotedCarrier, QuotedPayer, quote};
pub use rating::{
    AccountTariff, AfterCap, Answered, AppliedDiscount, AppliedRate, AppliedSpecial, Calendar,
    CallQuery, Cap, Charge, ChargeLine, Date, Days, DestinationSet, Discount, DurationRounding,
    Exchange, ExchangeRate, GroupTerms, GroupsOfSide, JurisdictionGroups, MoneyMode, MoneyRounding,
    NotRated, OriginTerms, PayerTerms, Percent, Period, PeriodChoice, Price, PriceError,
    RATE_GROUP_NONE, Rate, RateBook, RateBookBuilder, RateBookError, RateError, RateGroup,
    RateGroupBuilder, RateGroupId, RateRow, RateVersion, RowError, SiteMembers, SpecialTerms, Step,
    Surcharge, SurchargeAmount, Talk, TimePrice, VersionChoice, Window, Zone, explain, max_talk,
    price, whole_seconds,
};
pub use recovery::Recovery;
pub use report_rate::ReportRate;
pub use rerate::{
    BigChange, Change, CurrencyCode, DestinationChange, Draft, Effect, RatedBy, RatedCall,
    RatedLeg, RatedSide, RepricedSide, Rerated, ReratedSide, Role, Sides, Unpriced, carrier_order,
    dry_run, reprice,
};
pub use slices::CreditSettings;
pub use statement::{
    Stated, StatedLine, StatedTax, StatementLine, StatementRounding, Sums, TaxRounding, state,
};
pub use tax::{
    AccountTaxes, AppliedTax, AppliedTaxes, Exemption, OnTop, PostingTax, TAXES_MAX, Tax, TaxError,
    TaxRate, TaxableKind, TaxedPrice,
};
