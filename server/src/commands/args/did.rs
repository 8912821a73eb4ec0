//! The words for DIDs.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::yes_or_no;

#[derive(Subcommand)]
pub(crate) enum DidCommand {
    /// Add a DID
    Add {
        /// The number in international form, such as 4930123456
        number: String,
        /// Whose it is: pays for what comes in to it from outside
        #[arg(long)]
        account: String,
        #[command(flatten)]
        change: DidChange,
    },
    /// List all DIDs
    List {
        /// Only those of this account
        #[arg(long)]
        account: Option<String>,
    },
    /// Show one DID
    Show {
        /// Its number
        number: String,
    },
    /// Change a DID
    Set {
        /// Its number
        number: String,
        /// Whose it is
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        change: DidChange,
    },
    /// Write DIDs to a file that `import` reads: CSV, TXT or XLSX by its name
    Export {
        /// The file; standard output as CSV if it is left out
        file: Option<PathBuf>,
        /// Only those of this account
        #[arg(long)]
        account: Option<String>,
    },
    /// Add DIDs from a file (CSV, TXT, XLS, XLSX); all of them or, if a row is wrong, none
    Import(DidImport),
    /// Remove a DID
    Remove {
        /// Its number
        number: String,
    },
}

#[derive(ClapArgs)]
pub(crate) struct DidImport {
    /// The file; its first row names the columns as `export` does
    pub(crate) file: PathBuf,
    /// Say what every row would do, and do nothing
    #[arg(long)]
    pub(crate) preview: bool,
    /// Change DIDs that exist and differ
    #[arg(long)]
    pub(crate) update: bool,
    /// Take the good rows although others are rejected
    #[arg(long)]
    pub(crate) skip_rejected: bool,
}

#[derive(ClapArgs)]
pub(crate) struct DidChange {
    /// Whether it takes calls
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) enabled: Option<bool>,
    /// Whom it rings: a username; may be repeated
    #[arg(long = "subscriber", value_name = "USERNAME")]
    pub(crate) subscribers: Vec<String>,
    /// How several are rung: at_once or in_order; subscriber or trunk otherwise
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// The trunk that its calls go to instead
    #[arg(long)]
    pub(crate) trunk: Option<String>,
    /// How many seconds each rings, in order
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ring: Option<u32>,
    /// Calls to it at the same time, or "none"
    #[arg(long)]
    pub(crate) calls: Option<String>,
    /// New calls to it a second, or "none"
    #[arg(long)]
    pub(crate) cps: Option<String>,
    /// What a minute of a call from outside costs its account
    #[arg(long)]
    pub(crate) price: Option<String>,
    /// What each call from outside costs besides
    #[arg(long)]
    pub(crate) connect_fee: Option<String>,
    /// The first seconds that are paid for at once
    #[arg(long, value_name = "SECONDS")]
    pub(crate) first_increment: Option<u32>,
    /// Those that follow
    #[arg(long, value_name = "SECONDS")]
    pub(crate) next_increment: Option<u32>,
    /// For people
    #[arg(long)]
    pub(crate) note: Option<String>,
}
