//! The words for receipts.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(ClapArgs)]
pub(crate) struct ReceiptArgs {
    /// Of this account: its name or id
    pub(crate) account: Option<String>,
    /// Of this reseller's series
    #[arg(long, value_name = "RESELLER")]
    pub(crate) seller: Option<String>,
    /// Of our own series
    #[arg(long, conflicts_with = "seller")]
    pub(crate) own: bool,
    /// Of these kinds only, such as topup,voucher
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub(crate) kind: Vec<String>,
    /// For this movement of the account's money
    #[arg(long, value_name = "ID", requires = "account")]
    pub(crate) op_id: Option<String>,
    /// Of money that moved at or after, such as 2026-12-01
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Of money that moved before
    #[arg(long)]
    pub(crate) till: Option<String>,
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
