//! The words for looking calls up.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::yes_or_no;

#[derive(ClapArgs)]
pub(crate) struct CdrArgs {
    /// Of this account
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// From this site of the account
    #[arg(long, requires = "account")]
    pub(crate) site: Option<String>,
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
    /// At most so many: 100 if nothing is said, and all of them in a file
    #[arg(long)]
    pub(crate) limit: Option<u32>,
    /// Where the days of --from and --till begin and what clocks a file shows, such as Europe/Berlin;
    /// default the account's, else UTC
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// Write them to a file: CSV, TXT or XLSX by its name
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
