//! The words of pricing calls again, and of reports.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

/// Which calls are priced again.
#[derive(ClapArgs)]
pub(crate) struct Selected {
    /// Begun at or after; mandatory
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Begun before; mandatory
    #[arg(long)]
    pub(crate) till: Option<String>,
    /// That came in by this trunk
    #[arg(long)]
    pub(crate) trunk_in: Option<String>,
    /// That were carried by this trunk
    #[arg(long)]
    pub(crate) trunk_out: Option<String>,
    /// Only show what would change
    #[arg(long)]
    pub(crate) preview: bool,
    /// Why, for those who read it later
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct Rerate {
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// Of this account
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Of this site of the account
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// To numbers that begin so; several with commas between
    #[arg(long)]
    pub(crate) destination: Option<String>,
    /// all, payers or carriers
    #[arg(long)]
    pub(crate) sides: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct Recycle {
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// Only with this error code, such as no_rate
    #[arg(long)]
    pub(crate) error_code: Option<String>,
}

/// The calls of a report.
#[derive(ClapArgs)]
pub(crate) struct Spanned {
    /// Begun at or after; mandatory
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Begun before; mandatory
    #[arg(long)]
    pub(crate) till: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct Output {
    /// Write it to this file, in the form that its name ends in: .csv, .xlsx or .json
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// A file of a carrier, and how it is read and compared.
#[derive(ClapArgs)]
pub(crate) struct CarrierStatement {
    /// The carrier's file: CSV, TXT, XLS or XLSX
    pub(crate) file: PathBuf,
    /// The carrier's account
    #[arg(long)]
    pub(crate) carrier: String,
    /// Compare from this moment on; default the file's first call
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Compare until this moment; default the file's last call
    #[arg(long)]
    pub(crate) till: Option<String>,
    /// The zone of its times, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// What stands before its numbers and is left out, such as a technical prefix; may be repeated
    #[arg(long, value_name = "DIGITS")]
    pub(crate) strip: Vec<String>,
    /// What a column is: HEADER=time, cli, cld, duration, rate, amount …; may be repeated
    #[arg(long, value_name = "HEADER=ROLE")]
    pub(crate) column: Vec<String>,
    /// By how many seconds two clocks may differ
    #[arg(long, value_name = "SECONDS")]
    pub(crate) window: Option<u32>,
    /// By how many seconds two durations may differ
    #[arg(long, value_name = "SECONDS")]
    pub(crate) tolerance: Option<u32>,
    /// Other fields of the layout, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) layout: Option<String>,
    /// Read and compare the carrier's next files in this way too
    #[arg(long)]
    pub(crate) remember: bool,
    /// Also tell the calls that match
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Subcommand)]
pub(crate) enum ReportCommand {
    /// Revenue, cost and profit; the greatest loss first
    Profit {
        #[command(flatten)]
        spanned: Spanned,
        /// customer, carrier, site, destination, day, month; several with commas between
        #[arg(long, default_value = "customer")]
        by: String,
        /// Where days and months begin, those of --from and --till too, such as Europe/Berlin; default UTC
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// ASR, ACD and PDD of what was offered to carriers
    Quality {
        #[command(flatten)]
        spanned: Spanned,
        /// How many digits of the destination tell attempts apart
        #[arg(long, default_value_t = 0)]
        digits: u8,
        /// Where the days of --from and --till begin, such as Europe/Berlin; default UTC
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// A carrier's own call records against ours: what differs, and what only one side has
    CarrierStatement(Box<CarrierStatement>),
    /// Every account's balance at a past moment, from the postings
    Balances {
        /// When; default now
        #[arg(long)]
        at: Option<String>,
        #[command(flatten)]
        output: Output,
    },
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
