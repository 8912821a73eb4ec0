//! The words of the command line for taxes and bills.

use clap::{Args as ClapArgs, Subcommand};

#[derive(ClapArgs)]
pub(crate) struct BillArgs {
    /// The account's name or id
    pub(crate) account: String,
    /// The first day, such as 2026-12-01, or a moment
    #[arg(long)]
    pub(crate) from: String,
    /// The first day that is not billed any more
    #[arg(long, alias = "to")]
    pub(crate) till: String,
}

#[derive(Subcommand)]
pub(crate) enum TaxCommand {
    /// List all sets of taxes
    List,
    /// Set the taxes of a set, all of them; docs/operating/taxes.md has the form
    Set {
        /// Its name
        name: String,
        /// Taxes as JSON: [{"name":"VAT","percent":"19"}]
        taxes: String,
    },
    /// Remove a set that no account pays
    Remove {
        /// Its name
        name: String,
    },
    /// Show which taxes an account pays
    Of {
        /// The account's name or id
        account: String,
    },
    /// Say which taxes an account pays; what is left out is as for a new account
    Account {
        /// The account's name or id
        account: String,
        /// The name of a set, or none
        set: String,
        /// Where taxes go that come on top of prices: statement or balance
        #[arg(long)]
        on_top: Option<String>,
        /// Exempt from everything, with this certificate or these words of the law
        #[arg(long, value_name = "WORDS", conflicts_with = "exemptions")]
        exempt: Option<String>,
        /// Exemptions as JSON: [{"tax":"VAT","reason":"Reverse charge","valid_from":"2026-12-01"}]
        #[arg(long, value_name = "JSON")]
        exemptions: Option<String>,
    },
}
