//! The words for accounts, their sites and their money.

use clap::{Args as ClapArgs, Subcommand};

use super::{AccountExport, AccountFilter, AccountImport, LocalPrice, yes_or_no};

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
        device: NewDevice,
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
    /// List the imports that are remembered, the newest first
    Imports,
    /// Show what became of every row of an import
    Verdicts {
        /// The import, from `imports`
        import: u64,
        /// Which rows: all, or some of accepted, unchanged, changed, rejected
        #[arg(long, value_name = "VERDICTS")]
        rows: Option<String>,
    },
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
    /// Show or set the codecs that its calls may use
    Codecs {
        /// Its name or id
        name: String,
        /// Their names, the most wanted first: PCMA,G729; "any" for all
        #[arg(long, value_name = "NAMES")]
        allow: Option<String>,
    },
    /// Show or set what its calls to carriers need of their caller's number
    CallerId {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: CallerIdChange,
    },
    /// Show or set the rate groups by which its messages are priced: by the connect fee of their rates
    Messages {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: MessageRatesChange,
    },
    /// Store caller IDs that it may call with besides its DIDs
    AddCli {
        /// Its name or id
        name: String,
        /// In E.164
        #[arg(required = true)]
        numbers: Vec<String>,
    },
    /// List its stored caller IDs
    ListClis {
        /// Its name or id
        name: String,
    },
    /// Take a stored caller ID away
    RemoveCli {
        /// Its name or id
        name: String,
        /// In E.164
        number: String,
    },
    /// Show what happened to it, the oldest first
    Events {
        /// Its name or id
        name: String,
        #[command(flatten)]
        which: EventArgs,
    },
}

#[derive(ClapArgs)]
pub(crate) struct CallerIdChange {
    /// off, or replace, non_cli or reject with _unless_did or _unless_stored, or non_cli or reject
    /// with _unless_either, such as replace_unless_did; its DIDs are its subscribers' numbers
    #[arg(long, value_name = "MODE")]
    pub(crate) pool: Option<String>,
    /// In E.164, for callers without a number; "none" takes it away
    #[arg(long, value_name = "NUMBER")]
    pub(crate) default_number: Option<String>,
    /// For callers who give no name; "none" takes it away
    #[arg(long, value_name = "NAME")]
    pub(crate) default_name: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct EventArgs {
    /// Of these kinds only, such as low_balance,credit_limit_reached
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub(crate) kind: Vec<String>,
    /// Behind the event with this id
    #[arg(long, value_name = "ID", default_value_t = 0)]
    pub(crate) after: u64,
    /// No more than this many
    #[arg(long, default_value_t = 1000)]
    pub(crate) limit: usize,
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
    /// How many seconds a call that it places may last, or "none"
    #[arg(long, value_name = "SECONDS")]
    pub(crate) call_seconds_max: Option<String>,
    /// Whether each charge and payment gets a receipt; for prepaid accounts, which do unless told not to
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) receipts: Option<bool>,
    /// Whether it may call other subscribers
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) allow_local: Option<bool>,
    #[command(flatten)]
    pub(crate) local: LocalPrice,
    /// Whether its calls to carriers may bring a loss to whoever sells them to it
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
    /// What it pays for calls within a state; "none" takes it away
    #[arg(long)]
    pub(crate) intra_rate_group: Option<String>,
    /// What it pays if it is not known whether a call is within a state; "none" takes it away
    #[arg(long)]
    pub(crate) undetermined_rate_group: Option<String>,
    /// What it takes for calls within a state; "none" takes it away
    #[arg(long)]
    pub(crate) carrier_intra_rate_group: Option<String>,
    /// What it takes if that is not known; "none" takes it away
    #[arg(long)]
    pub(crate) carrier_undetermined_rate_group: Option<String>,
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
    /// The most it may spend in an hour of the clock, or "none"
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) spend_hour_max: Option<String>,
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

/// A phone that is made with its account.
#[derive(ClapArgs)]
pub(crate) struct NewDevice {
    /// Make a subscriber with it
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) create_device: Option<bool>,
    /// What that registers as; the account's name if it is left out
    #[arg(long, value_name = "USERNAME")]
    pub(crate) device_username: Option<String>,
    /// What it proves itself with; a random one is made and shown if it is left out
    #[arg(long, value_name = "PASSWORD")]
    pub(crate) device_password: Option<String>,
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

#[derive(ClapArgs)]
pub(crate) struct MessageRatesChange {
    /// What it pays for the messages that it sends; "none" for nothing
    #[arg(long, value_name = "NAME")]
    pub(crate) rate_group: Option<String>,
    /// What it takes for messages that it carries; "none" for nothing
    #[arg(long, value_name = "NAME")]
    pub(crate) carrier_rate_group: Option<String>,
}
