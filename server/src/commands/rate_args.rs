//! The words of `rates …`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::args::yes_or_no;

/// What calls to other subscribers cost.
#[derive(ClapArgs)]
pub(crate) struct LocalPrice {
    /// What a minute to another subscriber costs
    #[arg(long)]
    pub(crate) local_price: Option<String>,
    /// Seconds of the first increment of such a call
    #[arg(long)]
    pub(crate) local_first_increment: Option<u32>,
    /// Seconds of each further increment
    #[arg(long)]
    pub(crate) local_next_increment: Option<u32>,
}

#[derive(Subcommand)]
pub(crate) enum RatesCommand {
    /// Rate groups: what all rates of one have in common
    Group {
        #[command(subcommand)]
        command: GroupCommand,
    },
    /// Import a rate sheet of any layout (CSV, TXT, XLS, XLSX), or a tariff (JSON)
    Import(Box<RatesImport>),
    /// Show what rates would have made of the calls of the last days; nothing is stored
    DryRun(Box<RatesDryRun>),
    /// List rate groups, or the rates of one
    List {
        /// The group
        #[arg(long)]
        group: Option<String>,
        /// Only prefixes that begin so
        #[arg(long, default_value = "", requires = "group")]
        prefix: String,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// List the sheets that were imported
    Sheets,
    /// Show the rows that were left out of a sheet
    Rejected {
        /// The sheet, from `rates sheets`
        sheet: u64,
    },
    /// Undo a sheet from a moment on; nothing is deleted
    Rollback {
        /// The sheet, from `rates sheets`
        sheet: u64,
        /// From when; default now
        #[arg(long)]
        at: Option<String>,
    },
    /// Write the rates of a group to the table `listed_rate`, for those who read with SQL
    Tabulate {
        /// The group
        group: String,
    },
    /// How vendors' sheets are laid out
    Layout {
        #[command(subcommand)]
        command: LayoutCommand,
    },
    /// Write the rates of a group to a file (.csv, .xlsx, or .json: a tariff)
    Export {
        /// The group
        group: String,
        /// The file
        file: PathBuf,
        /// As they are at this moment; default now
        #[arg(long)]
        at: Option<String>,
        /// Rates that begin later too
        #[arg(long)]
        future: bool,
        /// Under the headers of this vendor's layout
        #[arg(long)]
        vendor: Option<String>,
        /// Terms that have no column there may be left out
        #[arg(long, requires = "vendor")]
        partial: bool,
    },
    /// Show what changes in a group between two moments
    Changes {
        /// The group
        group: String,
        #[command(flatten)]
        span: RatesSpan,
    },
    /// Write what changes for a customer to a file (.csv or .xlsx), for him to read
    Notify {
        /// The account's name or id
        account: String,
        /// The file
        file: PathBuf,
        #[command(flatten)]
        span: RatesSpan,
    },
}

#[derive(Subcommand)]
pub(crate) enum GroupCommand {
    /// Add a group without rates
    Add {
        /// Its name
        group: String,
        /// ISO 4217
        #[arg(long, default_value = "EUR")]
        currency: String,
        #[command(flatten)]
        terms: GroupTerms,
    },
    /// Show one
    Show {
        /// The group
        group: String,
    },
    /// Change what is common to its rates, for calls that come in from now on
    Set {
        /// The group
        group: String,
        #[command(flatten)]
        terms: GroupTerms,
    },
}

#[derive(ClapArgs)]
pub(crate) struct GroupTerms {
    /// How the charge of a call is rounded: up, down, half_up or half_even
    #[arg(long)]
    pub(crate) rounding: Option<String>,
    /// To how many decimals
    #[arg(long)]
    pub(crate) decimals: Option<u8>,
    /// How each line of a charge is rounded before, e.g. half_up/4, or none
    #[arg(long, value_name = "MODE/DECIMALS")]
    pub(crate) line_rounding: Option<String>,
    /// How the sums of an invoice are rounded, e.g. half_up/2
    #[arg(long, value_name = "MODE/DECIMALS")]
    pub(crate) invoice_rounding: Option<String>,
    /// On what taxes of a bill are rounded: line or total
    #[arg(long)]
    pub(crate) tax_rounding: Option<String>,
    /// Whether its prices are stated with the taxes in them
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) prices_include_tax: Option<bool>,
    /// Which number its rates are looked up by: dialled, or lrn where a number is ported
    #[arg(long)]
    pub(crate) rate_by: Option<String>,
    /// How talk becomes seconds, whatever the account has: up, down, nearest, or none
    #[arg(long)]
    pub(crate) duration_rounding: Option<String>,
    /// Terms of all rates that do not say otherwise, as JSON: {"connect_fee":"0.05","cap":null}
    #[arg(long, value_name = "JSON")]
    pub(crate) defaults: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct RatesSpan {
    /// After this moment; default now
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Until this moment; default for ever
    #[arg(long)]
    pub(crate) till: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct RatesImport {
    /// The file
    pub(crate) file: PathBuf,
    /// The rate group it goes into; made if there is none
    #[arg(long)]
    pub(crate) group: String,
    /// The currency of a group that is made
    #[arg(long, default_value = "EUR")]
    pub(crate) currency: String,
    /// Only show what it would change
    #[arg(long)]
    pub(crate) preview: bool,
    /// When rows without a date of their own begin; default now
    #[arg(long)]
    pub(crate) valid_from: Option<String>,
    /// Whose layout to read it with
    #[arg(long)]
    pub(crate) vendor: Option<String>,
    /// Fields of a layout as JSON, for this import only
    #[arg(long)]
    pub(crate) layout: Option<String>,
    /// It is the whole offer: codes that are missing in it end
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) full: Option<bool>,
    /// Import although rows are rejected; they are kept for `rates rejected`
    #[arg(long)]
    pub(crate) skip_rejected: bool,
    /// Which rows to show: rejected or all
    #[arg(long)]
    pub(crate) rows: Option<String>,
    /// Which rates that change a preview shows: all, or new, removed, increase, decrease, changed,
    /// blocked with commas between
    #[arg(long, value_name = "KINDS", requires = "preview")]
    pub(crate) moves: Option<String>,
    /// Write the rates that change to a file: CSV, XLSX or JSON by its name
    #[arg(long, value_name = "FILE", requires = "preview")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct RatesDryRun {
    /// A file, or a sheet from `rates sheets`; without one, the rates of the group
    #[arg(value_name = "SHEET_OR_FILE", required_unless_present = "group")]
    pub(crate) sheet: Option<String>,
    /// The rate group; of a sheet that was imported it is known
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// How many days back
    #[arg(long, default_value_t = 7)]
    pub(crate) days: u16,
    /// The rates as they are at this moment; default when the sheet begins, else now
    #[arg(long)]
    pub(crate) at: Option<String>,
    /// Whose layout to read a file with
    #[arg(long)]
    pub(crate) vendor: Option<String>,
    /// Fields of a layout as JSON
    #[arg(long)]
    pub(crate) layout: Option<String>,
    /// The file is the whole offer: codes that are missing in it end
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) full: Option<bool>,
    /// Try a file although rows are rejected
    #[arg(long)]
    pub(crate) skip_rejected: bool,
}

#[derive(Subcommand)]
pub(crate) enum LayoutCommand {
    /// List all layouts
    List,
    /// Show a vendor's layout
    Show {
        /// Whose
        vendor: String,
    },
    /// Set fields of a vendor's layout
    Set {
        /// Whose: the name of a carrier's account, or any other
        vendor: String,
        /// Fields as JSON: {"date_order":"day_first","columns":{"Gold":"price"}}
        fields: String,
    },
}
