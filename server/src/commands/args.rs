//! The words of the command line.

mod account;
mod cdr;
mod did;
mod fraud;
mod lookup;
mod number;
mod peer;
mod pricing;
mod quality;
mod receipts;
mod route;
mod security;
mod tax;
mod trace;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Parser, Subcommand};

pub(crate) use super::charging_args::*;
pub(crate) use super::rate_args::{
    GroupCommand, GroupTerms, LayoutCommand, LocalPrice, RatesCommand, RatesDryRun, RatesImport,
    RatesSpan,
};
pub(crate) use account::{
    AccountChange, AccountCommand, CallerIdChange, Credit, EventArgs, Limits, MessageRatesChange,
    NewDevice, SiteCommand, TopUp,
};
pub(crate) use cdr::CdrArgs;
pub(crate) use did::{DidChange, DidCommand, DidImport};
pub(crate) use fraud::{
    FraudCommand, FraudCountryCommand, FraudHoldCommand, FraudRuleCommand, NewFraudRule,
};
pub(crate) use lookup::{JurisdictionCommand, LookupChange, LookupCommand};
pub(crate) use number::{ListCommand, NumberCommand, Owner, RuleCommand, Side};
pub(crate) use peer::{
    ForwardsChange, SubscriberCommand, TrunkCallerIdChange, TrunkCausesChange, TrunkChange,
    TrunkCommand, TrunkInterworkingChange, TrunkProbeChange, TrunkTlsChange,
};
pub(crate) use pricing::{
    CarrierStatement, Output, PriceQuestion, Recycle, ReportCommand, Rerate, Selected, Spanned,
};

pub(crate) use quality::{QualityCommand, QualityDemands};
pub(crate) use receipts::ReceiptArgs;
pub(crate) use route::{PrefixCommand, RouteChange, RouteCommand, WindowCommand};
pub(crate) use security::{AllowCommand, BanCommand, SecurityCommand, TlsCommand};
pub(crate) use tax::{BillArgs, TaxCommand};
pub(crate) use trace::TraceCommand;

/// Takes what `show` prints, `yes` and `no`, and what JSON has.
pub(crate) fn yes_or_no() -> BoolishValueParser {
    BoolishValueParser::new()
}

/// A SIP softswitch that bills as it switches.
#[derive(Parser)]
#[command(name = "tandem", version, about, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// The configuration file; default tandem.toml if there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory, instead of the one the configuration names
    #[arg(long, global = true, value_name = "DIRECTORY")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Names a command that changes something: sent again with the same key, it is done once
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) key: Option<String>,
    /// What to do; `run` if nothing is said
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the switch
    Run {
        /// Do not fill an empty data directory with a demo
        #[arg(long)]
        no_demo: bool,
    },
    /// Check the configuration
    Check,
    /// Show the demo's accounts, passwords and commands again
    Demo,
    /// Show what the running switch is and does
    Status,
    /// Accounts
    Account {
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// Places of an account
    Site {
        #[command(subcommand)]
        command: SiteCommand,
    },
    /// Pay money into an account (negative: take it back)
    Topup(TopUp),
    /// Pay money out to a carrier, or back to a customer
    Payout(PayOut),
    /// Show an account's movements of money
    Statement(StatementArgs),
    /// Show what an account owes for a period, with taxes; nothing is booked
    Bill(BillArgs),
    /// Taxes, and who pays them
    Tax {
        #[command(subcommand)]
        command: TaxCommand,
    },
    /// Show the receipts of prepaid accounts, series by series
    Receipts(ReceiptArgs),
    /// Show one receipt
    Receipt {
        /// Its number
        number: u64,
        /// Of this reseller's series; default our own
        #[arg(long, value_name = "RESELLER")]
        seller: Option<String>,
    },
    /// Correct an account by hand, with a reason
    Adjust(ByHand),
    /// Give money back as a credit note
    CreditNote(ByHand),
    /// Charge an account once
    Charge(ByHand),
    /// Words for adjustments, credit notes and charges
    Reason {
        #[command(subcommand)]
        command: ReasonCommand,
    },
    /// Plans: recurring fees and free minutes
    Plan {
        #[command(subcommand)]
        command: PlanCommand,
    },
    /// Vouchers
    Voucher {
        #[command(subcommand)]
        command: VoucherCommand,
    },
    /// Calling-card PINs
    Pin {
        #[command(subcommand)]
        command: PinCommand,
    },
    /// Sets of prefixes that plans and discounts are for
    Destination {
        #[command(subcommand)]
        command: DestinationCommand,
    },
    /// Percentages off what accounts pay
    Discount {
        #[command(subcommand)]
        command: DiscountCommand,
    },
    /// What a currency is in another
    Exchange {
        #[command(subcommand)]
        command: ExchangeCommand,
    },
    /// What plans charge
    Charges {
        #[command(subcommand)]
        command: ChargesCommand,
    },
    /// Phones and people that register
    Subscriber {
        #[command(subcommand)]
        command: SubscriberCommand,
    },
    /// SIP peers
    Trunk {
        #[command(subcommand)]
        command: Box<TrunkCommand>,
    },
    /// Who is kept out
    Ban {
        #[command(subcommand)]
        command: BanCommand,
    },
    /// Who is never kept out
    Allow {
        #[command(subcommand)]
        command: AllowCommand,
    },
    /// Calls that look like fraud: what is looked for, and what came of it
    Fraud {
        #[command(subcommand)]
        command: Box<FraudCommand>,
    },
    /// How much a source may do before it is banned, and what a password must be
    Security {
        #[command(subcommand)]
        command: SecurityCommand,
    },
    /// The certificates of our TLS listeners
    Tls {
        #[command(subcommand)]
        command: TlsCommand,
    },
    /// Which trunks a prefix goes to, when, and how much of it
    Route {
        #[command(subcommand)]
        command: RouteCommand,
    },
    /// Who is asked where called numbers are served since they were ported
    Lookup {
        #[command(subcommand)]
        command: LookupCommand,
    },
    /// In which states numbers are
    Jurisdiction {
        #[command(subcommand)]
        command: JurisdictionCommand,
    },
    /// Show what happened to accounts, the oldest first
    Events {
        /// Of this account: its name or id
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        which: EventArgs,
    },
    /// Numbers of ours: whose they are, where their calls go, what they cost
    Did {
        #[command(subcommand)]
        command: Box<DidCommand>,
    },
    /// Number rules, block and allow lists
    Number {
        #[command(subcommand)]
        command: Box<NumberCommand>,
    },
    /// Price one call by a tariff file, line by line; needs no running switch
    Price(PriceQuestion),
    /// Rate sheets
    Rates {
        #[command(subcommand)]
        command: RatesCommand,
    },
    /// Price calls again with the present rates; only differences are booked
    Rerate(Box<Rerate>),
    /// Price calls that could not be priced when they ended
    Recycle(Recycle),
    /// List the runs that priced calls again
    Reruns,
    /// Reports
    Report {
        #[command(subcommand)]
        command: ReportCommand,
    },
    /// Show live calls
    Live,
    /// SIP traces: the messages of a call, an account, a trunk or an address
    Trace {
        #[command(subcommand)]
        command: TraceCommand,
    },
    /// End a call
    Hangup {
        /// Its id, from `live`
        call: String,
    },
    /// Show call records, the newest first
    Cdr(CdrArgs),
    /// Explain a call: every decision, every leg, every movement of money
    Why {
        /// Its id, or the Call-ID of the caller's INVITE
        call: String,
    },
    /// Think a call through without placing it
    Simulate {
        /// A subscriber's username or number, a trunk's or an account's name
        #[arg(long, required_unless_present = "like")]
        from: Option<String>,
        /// The number as it would be dialled
        #[arg(long, required_unless_present = "like")]
        to: Option<String>,
        /// When, such as 2026-12-01T08:00:00Z; default now
        #[arg(long)]
        at: Option<String>,
        /// As this past call, at its moment and with trunks as they were then
        #[arg(long, value_name = "CALL", conflicts_with = "at")]
        like: Option<String>,
        /// Seconds of talk to be priced
        #[arg(long, default_value_t = 60)]
        duration: u32,
        /// As if the called number were served at this one
        #[arg(long)]
        lrn: Option<String>,
        /// As if it were inter, intra or undetermined
        #[arg(long)]
        jurisdiction: Option<String>,
    },
    /// Show who is registered, and where
    Registrations,
    /// Copy the data directory, while the switch runs or not
    Backup {
        /// The copy; a directory that does not exist yet
        to: PathBuf,
    },
    /// Make the data directory from a backup
    Restore {
        /// The backup
        from: PathBuf,
    },
    /// The nodes that share the database
    Node {
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// The books
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
    },
}

#[derive(Subcommand)]
pub(crate) enum NodeCommand {
    /// Show all nodes, when each was last heard of, and what it has leased
    List,
    /// Give a silent node up for good: what it leased is free, what its journal has not told is lost
    Forget {
        /// Its name
        name: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum LedgerCommand {
    /// Check every invariant, from the data directory alone, while the switch runs or not
    Check,
}
