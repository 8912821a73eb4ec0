//! The words of the command line for what is charged without a call.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(ClapArgs)]
pub(crate) struct StatementArgs {
    /// The account's name or id
    pub(crate) account: String,
    /// Movements at or after, such as 2026-12-01
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Movements before
    #[arg(long, alias = "to")]
    pub(crate) till: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct ByHand {
    /// The account's name or id
    pub(crate) account: String,
    /// How much, such as 10.50; of an adjustment, negative takes
    #[arg(allow_negative_numbers = true)]
    pub(crate) amount: String,
    /// A code from `reason list`
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Free text for the statement
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Take it though the account has not got it
    #[arg(long)]
    pub(crate) allow_debt: bool,
}

#[derive(Subcommand)]
pub(crate) enum ReasonCommand {
    /// Add a reason, or give one other words
    Set {
        /// adjustment, credit_note or charge
        kind: String,
        /// Its code
        code: String,
        /// Its words on statements
        label: String,
    },
    /// List all reasons
    List,
}

#[derive(Subcommand)]
pub(crate) enum PlanCommand {
    /// Add a plan from a JSON file; docs/operating/plans.md has its form
    Add {
        /// The file
        file: PathBuf,
    },
    /// List all plans
    List,
    /// Show one plan
    Show {
        /// Its name
        name: String,
    },
    /// Sell a plan no more; who has it keeps it
    Close {
        /// Its name
        name: String,
    },
    /// Give an account a plan
    Subscribe {
        /// The account's name or id
        account: String,
        /// The plan's name
        plan: String,
        /// How many
        #[arg(long)]
        quantity: Option<u32>,
        /// What it is for, such as a number
        #[arg(long)]
        note: Option<String>,
        /// From when; default now
        #[arg(long)]
        from: Option<String>,
        /// Until when; default open
        #[arg(long)]
        till: Option<String>,
    },
    /// List the plans of an account
    Of {
        /// The account's name or id
        account: String,
    },
    /// End a plan of an account
    End {
        /// Its number, from `plan of`
        subscription: u64,
        /// When; default now
        #[arg(long)]
        at: Option<String>,
    },
    /// Give an account a day of free calls
    Compensate {
        /// The account's name or id
        account: String,
        /// The destination set that is free
        #[arg(long)]
        destinations: String,
        /// The day; default today where the account is
        #[arg(long)]
        day: Option<String>,
        /// At most so many seconds
        #[arg(long)]
        seconds: Option<u32>,
    },
    /// List the free minutes that an account was given
    Bundles {
        /// The account's name or id
        account: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum DestinationCommand {
    /// Make a set, or give one other prefixes
    Set {
        /// Its name
        name: String,
        /// Digits; "" covers everything
        #[arg(required = true)]
        prefixes: Vec<String>,
    },
    /// List all sets
    List,
    /// Remove a set that nothing is for
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum ChargesCommand {
    /// Charge what has become due, which happens by itself each minute
    Run {
        /// By when; with --preview it may be in the future
        #[arg(long)]
        until: Option<String>,
        /// Only show what would be charged
        #[arg(long)]
        preview: bool,
    },
    /// List the charges of an account, the newest first
    List {
        /// The account's name or id
        account: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum VoucherCommand {
    /// Make a batch of vouchers; their codes are written to a file, this once
    Add {
        /// The batch's name
        name: String,
        /// How many
        #[arg(long)]
        count: u32,
        /// What each is worth
        #[arg(long)]
        amount: String,
        /// ISO 4217
        #[arg(long, default_value = "EUR")]
        currency: String,
        /// Signs of a code, the prefix counted
        #[arg(long)]
        length: Option<u32>,
        /// What every code begins with
        #[arg(long)]
        prefix: Option<String>,
        /// Capitals and digits instead of digits only
        #[arg(long)]
        letters: bool,
        /// Good until, such as 2027-12-31
        #[arg(long)]
        expires: Option<String>,
        /// The new file for the codes, as CSV
        #[arg(long)]
        output: PathBuf,
    },
    /// List all batches
    List,
    /// Withdraw what is not redeemed of a batch
    Void {
        /// Its name
        name: String,
    },
    /// Redeem a voucher
    Redeem {
        /// The account's name or id
        account: String,
        /// The code
        code: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum PinCommand {
    /// Open accounts with PINs, all or none; the PINs are written to a file, this once
    Batch {
        /// The batch's name; the accounts are NAME-00001 and so on
        name: String,
        /// How many
        #[arg(long)]
        count: u32,
        /// ISO 4217
        #[arg(long, default_value = "EUR")]
        currency: String,
        /// What they pay for calls
        #[arg(long)]
        rate_group: Option<String>,
        /// The reseller they belong to
        #[arg(long)]
        parent: Option<String>,
        /// Digits of a PIN, the prefix counted; default as `pin length` says
        #[arg(long)]
        length: Option<u32>,
        /// What every PIN begins with
        #[arg(long)]
        prefix: Option<String>,
        /// What each account is opened with
        #[arg(long)]
        balance: Option<String>,
        /// The new file for the PINs, as CSV
        #[arg(long)]
        output: PathBuf,
    },
    /// Draw a new PIN for an account, and show it this once
    New {
        /// The account's name or id
        account: String,
    },
    /// Show or set how many digits PINs have
    Length {
        /// 6 to 20
        length: Option<u32>,
    },
}

#[derive(ClapArgs)]
pub(crate) struct PayOut {
    /// The account's name or id
    pub(crate) account: String,
    /// How much, such as 10.50
    pub(crate) amount: String,
    /// Give a customer its own money back, instead of paying a carrier what we owe it
    #[arg(long)]
    pub(crate) refund: bool,
    /// For the statement
    #[arg(long, default_value = "")]
    pub(crate) note: String,
    /// Pay it though it is more than that
    #[arg(long)]
    pub(crate) allow_debt: bool,
}

#[derive(Subcommand)]
pub(crate) enum ExchangeCommand {
    /// Set what one unit of a currency is in another, for calls from now on
    Set {
        /// The currency of prices
        from: String,
        /// The currency of the account
        to: String,
        /// Such as 0.92; at most nine decimals
        rate: String,
    },
    /// List all exchange rates
    List,
    /// Show or set the currency that profit is counted in, for calls from now on
    ReportCurrency {
        /// Such as EUR; `none`: the currency of whoever pays for the call
        currency: Option<String>,
    },
    /// Remove an exchange rate that no account needs
    Remove {
        /// The currency of prices
        from: String,
        /// The currency of the account
        to: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum DiscountCommand {
    /// Take a percentage off connect fee and time of calls to a destination set
    Add {
        /// What the price's explanation calls it
        name: String,
        /// Above 0, at most 100; two decimals
        percent: String,
        /// The destination set
        #[arg(long)]
        destinations: String,
        /// For this account; left out: for all
        #[arg(long)]
        account: Option<String>,
        /// For calls from this site of the account
        #[arg(long, requires = "account")]
        site: Option<String>,
        /// For calls that come in from then on
        #[arg(long)]
        from: Option<String>,
        /// For calls that come in before
        #[arg(long)]
        till: Option<String>,
    },
    /// List all discounts
    List,
    /// End a discount; calls before keep it
    End {
        /// Its number, from `discount list`
        id: u64,
        /// When; default now
        #[arg(long)]
        at: Option<String>,
    },
    /// Remove a discount, also for calls that are priced again
    Remove {
        /// Its number, from `discount list`
        id: u64,
    },
}

/// Which accounts; what is not given lets all through.
#[derive(ClapArgs)]
pub(crate) struct AccountFilter {
    /// active, blocked or closed
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// prepaid or postpaid
    #[arg(long)]
    pub(crate) billing: Option<String>,
    /// ISO 4217
    #[arg(long)]
    pub(crate) currency: Option<String>,
    /// Customers of this reseller
    #[arg(long)]
    pub(crate) parent: Option<String>,
    /// Those that pay by this rate group
    #[arg(long)]
    pub(crate) rate_group: Option<String>,
    /// A part of the name, the number or a field of your own
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct AccountExport {
    /// The file; without one CSV is printed
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) filter: AccountFilter,
}

#[derive(ClapArgs)]
pub(crate) struct AccountImport {
    /// The file; its first row names the columns as `export` does
    pub(crate) file: PathBuf,
    /// Say what every row would do, and do nothing
    #[arg(long)]
    pub(crate) preview: bool,
    /// Change accounts that exist and differ
    #[arg(long)]
    pub(crate) update: bool,
    /// Take the good rows although others are rejected
    #[arg(long)]
    pub(crate) skip_rejected: bool,
    /// Which rows are told: all, or some of accepted, unchanged, changed, rejected
    #[arg(long, value_name = "VERDICTS")]
    pub(crate) rows: Option<String>,
}
