//! The words of the command line.

mod pricing;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use super::charging_args::*;
pub(crate) use super::rate_args::{
    LayoutCommand, RatesCommand, RatesDryRun, RatesImport, RatesSpan,
};
pub(crate) use pricing::{Output, Recycle, ReportCommand, Rerate, Selected, Spanned};

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
    /// Which trunks a prefix goes to
    Route {
        #[command(subcommand)]
        command: RouteCommand,
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
        /// A subscriber's username or number, or a trunk's name
        #[arg(long)]
        from: String,
        /// The number as it would be dialled
        #[arg(long)]
        to: String,
        /// When, such as 2026-12-01T08:00:00Z; default now
        #[arg(long)]
        at: Option<String>,
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
    /// The books
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
    },
}

#[derive(Subcommand)]
pub(crate) enum LedgerCommand {
    /// Check every invariant, from the data directory alone, while the switch runs or not
    Check,
}

#[derive(Subcommand)]
pub(crate) enum AccountCommand {
    /// Open an account
    Add {
        /// Its name
        name: String,
        /// It pays later, up to its credit limit
        #[arg(long)]
        postpaid: bool,
        /// It pays before (the default)
        #[arg(long, conflicts_with = "postpaid")]
        prepaid: bool,
        /// ISO 4217
        #[arg(long, default_value = "EUR")]
        currency: String,
        #[command(flatten)]
        change: Box<AccountChange>,
    },
    /// List accounts, all or those that a filter lets through
    List {
        #[command(flatten)]
        filter: AccountFilter,
    },
    /// Write accounts to a file that `import` reads: CSV, TXT or XLSX by its name
    Export(AccountExport),
    /// Open accounts from a file (CSV, TXT, XLS, XLSX); all of them or, if a row is wrong, none
    Import(AccountImport),
    /// Show one account
    Show {
        /// Its name or id
        name: String,
    },
    /// Change an account
    Set {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: Box<AccountChange>,
    },
    /// Refuse its calls
    Block {
        /// Its name or id
        name: String,
        /// On behalf of this reseller, which it must belong to
        #[arg(long = "as", value_name = "RESELLER")]
        reseller: Option<String>,
    },
    /// Take its calls again
    Unblock {
        /// Its name or id
        name: String,
        /// On behalf of this reseller, which it must belong to
        #[arg(long = "as", value_name = "RESELLER")]
        reseller: Option<String>,
    },
    /// Close accounts for good, all named or none: phones, trunks and routes go, the history stays
    Close {
        /// Their names or ids
        #[arg(required = true)]
        names: Vec<String>,
        /// On behalf of this reseller, which they must belong to
        #[arg(long = "as", value_name = "RESELLER")]
        reseller: Option<String>,
    },
    /// Show what happened to it
    Events {
        /// Its name or id
        name: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum SiteCommand {
    /// Add a site to an account
    Add {
        /// The account's name or id
        account: String,
        /// The site
        name: String,
    },
    /// List an account's sites
    List {
        /// The account's name or id
        account: String,
    },
    /// Remove a site that nothing belongs to
    Remove {
        /// The account's name or id
        account: String,
        /// The site
        name: String,
    },
}

#[derive(ClapArgs)]
pub(crate) struct AccountChange {
    /// How far below zero it may go; for postpaid accounts
    #[arg(long)]
    pub(crate) credit_limit: Option<String>,
    /// What it pays for calls; "none" takes it away
    #[arg(long)]
    pub(crate) rate_group: Option<String>,
    /// What it is paid for calls we send it; "none" takes it away
    #[arg(long)]
    pub(crate) carrier_rate_group: Option<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// Whether it may call other subscribers
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) allow_local: Option<bool>,
    /// What a minute to another subscriber costs
    #[arg(long)]
    pub(crate) local_price: Option<String>,
    /// Whether its calls may go out at a loss
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) allow_loss: Option<bool>,
    /// up, down or nearest
    #[arg(long)]
    pub(crate) duration_rounding: Option<String>,
    /// up, down or nearest
    #[arg(long)]
    pub(crate) carrier_duration_rounding: Option<String>,
    /// Ten digits, a phone number with its plus (its last ten count), or "random"
    #[arg(long)]
    pub(crate) number: Option<String>,
    /// The reseller it belongs to; "none" takes it away
    #[arg(long)]
    pub(crate) parent: Option<String>,
    /// Where its days and months begin, such as Europe/Berlin
    #[arg(long)]
    pub(crate) time_zone: Option<String>,
    /// Of the month, 1 to 31
    #[arg(long)]
    pub(crate) billing_day: Option<u8>,
    /// How many percent a call may cost more than it brings
    #[arg(long)]
    pub(crate) loss_percent_max: Option<String>,
    /// What it pays when its caller ID is none of its own; "none" takes it away
    #[arg(long)]
    pub(crate) non_cli_rate_group: Option<String>,
    #[command(flatten)]
    pub(crate) credit: Credit,
    /// A field of your own; may be repeated, and without a value it is taken away
    #[arg(long = "custom", value_name = "FIELD=VALUE")]
    pub(crate) custom: Vec<String>,
}

/// Bounds of its money; "none" takes one away.
#[derive(ClapArgs)]
pub(crate) struct Credit {
    /// How much we may owe it as a carrier before we send it no more calls, or "none"
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) owed_limit: Option<String>,
    /// Whether what it earns as a carrier pays for its calls as a customer
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) netted: Option<bool>,
    /// The most it may spend in a day of its time zone, or "none"
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) spend_day_max: Option<String>,
    /// The most it may spend in a month of its time zone, or "none"
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) spend_month_max: Option<String>,
    /// Balances below which an event is written, such as 10,5; "none" takes them away
    #[arg(long, value_name = "AMOUNTS", value_delimiter = ',', allow_negative_numbers = true)]
    pub(crate) low_balance: Option<Vec<String>>,
}

/// Limits; "none" takes one away.
#[derive(ClapArgs)]
pub(crate) struct Limits {
    /// Calls at the same time that it sends us, or "none"
    #[arg(long)]
    pub(crate) in_concurrent: Option<String>,
    /// Calls at the same time that we send it, or "none"
    #[arg(long)]
    pub(crate) out_concurrent: Option<String>,
    /// New calls a second that it sends us, or "none"
    #[arg(long)]
    pub(crate) in_cps: Option<String>,
    /// New calls a second that we send it, or "none"
    #[arg(long)]
    pub(crate) out_cps: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct TopUp {
    /// The account's name or id
    pub(crate) account: String,
    /// How much, such as 10.50
    #[arg(allow_negative_numbers = true)]
    pub(crate) amount: String,
    /// For the statement
    #[arg(long, default_value = "")]
    pub(crate) note: String,
}

#[derive(Subcommand)]
pub(crate) enum SubscriberCommand {
    /// Add a subscriber
    Add {
        /// What it registers as
        username: String,
        /// Who pays
        #[arg(long)]
        account: String,
        /// What it proves itself with; a random one is made and shown if it is left out
        #[arg(long)]
        password: Option<String>,
        /// The place of the account that its calls belong to
        #[arg(long)]
        site: Option<String>,
        /// The number that rings it and that it calls with
        #[arg(long)]
        number: Option<String>,
        /// How many phones may register at once
        #[arg(long)]
        contacts_max: Option<u8>,
    },
    /// List all subscribers
    List,
    /// Remove a subscriber
    Remove {
        /// Its username
        username: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum TrunkCommand {
    /// Add a trunk
    Add {
        /// Its name
        name: String,
        /// Who pays for what it sends us and is paid for what we send it
        #[arg(long)]
        account: String,
        #[command(flatten)]
        change: TrunkChange,
    },
    /// List all trunks
    List,
    /// Show one trunk
    Show {
        /// Its name or id
        name: String,
    },
    /// Change a trunk
    Set {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: TrunkChange,
    },
    /// Remove a trunk and its routes
    Remove {
        /// Its name or id
        name: String,
    },
}

#[derive(ClapArgs)]
pub(crate) struct TrunkChange {
    /// Whether it is used at all
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) enabled: Option<bool>,
    /// Where we send calls: host, or host:port
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// The port, if it is not in --host
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// udp, tcp or tls
    #[arg(long)]
    pub(crate) transport: Option<String>,
    /// Where its calls come from: address, address:port or network; may be repeated
    #[arg(long = "address")]
    pub(crate) addresses: Vec<String>,
    /// The user name its calls come with
    #[arg(long)]
    pub(crate) ingress_username: Option<String>,
    /// And its password
    #[arg(long)]
    pub(crate) ingress_password: Option<String>,
    /// The user name we call and register with
    #[arg(long)]
    pub(crate) egress_username: Option<String>,
    /// And its password
    #[arg(long)]
    pub(crate) egress_password: Option<String>,
    /// Whether we register there
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) registers: Option<bool>,
    /// The numbers it sends us, as JSON: {"country":"49","national":"0"}
    #[arg(long)]
    pub(crate) ingress_plan: Option<String>,
    /// The numbers it wants from us, as JSON: {"form":"plus"}
    #[arg(long)]
    pub(crate) egress_plan: Option<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// SIP statuses after which the next trunk is tried, such as 486,603
    #[arg(long, value_delimiter = ',')]
    pub(crate) hunt_codes: Option<Vec<u16>>,
    /// SIP statuses after which no other trunk is tried
    #[arg(long, value_delimiter = ',')]
    pub(crate) stop_codes: Option<Vec<u16>>,
    /// How many seconds it may ring
    #[arg(long)]
    pub(crate) ring_timeout: Option<u32>,
    /// Whether asserted identities pass
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) trusted: Option<bool>,
    /// The place of the account that its calls belong to; "none" takes it away
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// What reports and invoices call it; "none" takes it away
    #[arg(long)]
    pub(crate) friendly_name: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum RouteCommand {
    /// Send a prefix to a trunk
    Add {
        /// Digits; "" covers everything
        prefix: String,
        /// The trunk's name
        #[arg(long)]
        trunk: String,
        /// Lower goes first; within one priority the cheapest does
        #[arg(long, default_value_t = 1)]
        priority: u16,
    },
    /// List all routes
    List,
    /// Remove a route
    Remove {
        /// Its id, from `route list`
        id: u64,
    },
}

#[derive(ClapArgs)]
pub(crate) struct CdrArgs {
    /// Of this account
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Over this trunk
    #[arg(long)]
    pub(crate) trunk: Option<String>,
    /// Begun at or after
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Begun before
    #[arg(long)]
    pub(crate) till: Option<String>,
    /// Of this caller
    #[arg(long)]
    pub(crate) cli: Option<String>,
    /// To destinations that begin so
    #[arg(long)]
    pub(crate) destination: Option<String>,
    /// Ended for this cause
    #[arg(long)]
    pub(crate) cause: Option<String>,
    /// Only answered legs, or with false only others
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) answered: Option<bool>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
}

#[derive(ClapArgs)]
pub(crate) struct PriceQuestion {
    /// The tariff, as docs/operating/tariffs.md describes it
    #[arg(long, value_name = "FILE")]
    pub(crate) tariff: PathBuf,
    /// When the call is answered, e.g. 2026-11-21T08:00:00+01:00
    #[arg(long, value_name = "TIME")]
    pub(crate) start: String,
    /// How long it lasts, in seconds: 60 or 60.4
    #[arg(long, value_name = "SECONDS")]
    pub(crate) duration: String,
    /// What there is to pay it with: tells the longest talk
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub(crate) balance: Option<String>,
    /// Seconds of bundles that the call may use
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) bundle_seconds: u32,
    /// The caller's number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) from: Option<String>,
    /// The called number; the tariff's first destination if not given
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to: Option<String>,
}
