//! The words for lookups of numbers and for the states that they are in.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::yes_or_no;

#[derive(Subcommand)]
pub(crate) enum LookupCommand {
    /// Say who is asked where numbers are served, how, and about which numbers
    Set {
        /// Its name
        name: String,
        #[command(flatten)]
        change: Box<LookupChange>,
    },
    /// List who is asked
    List,
    /// Ask it no more
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(ClapArgs)]
pub(crate) struct LookupChange {
    /// Ask by HTTP: http:// or https://, with {number} where the called number belongs
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Post this, with {number} in it; "none": GET
    #[arg(long)]
    pub(crate) body: Option<String>,
    /// Where in a JSON answer the LRN is, such as /data/lrn; "none": the answer is the LRN, as text
    #[arg(long)]
    pub(crate) pointer: Option<String>,
    /// A header for an API key; "none": no header
    #[arg(long)]
    pub(crate) header_name: Option<String>,
    /// The key
    #[arg(long)]
    pub(crate) header_value: Option<String>,
    /// Ask by SIP: an INVITE to this host, which answers with a redirection
    #[arg(long, conflicts_with = "url")]
    pub(crate) host: Option<String>,
    /// Its port; 5060 if not said
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Whether it is asked at all
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) enabled: Option<bool>,
    /// How many milliseconds a call waits for it; 500 if not said
    #[arg(long)]
    pub(crate) timeout_ms: Option<u32>,
    /// How many seconds an answer is kept; 86400 if not said
    #[arg(long)]
    pub(crate) ttl: Option<u32>,
    /// What becomes of a call without an answer: ignore or refuse
    #[arg(long)]
    pub(crate) on_failure: Option<String>,
    /// Numbers that begin so, such as 1,44
    #[arg(long, value_delimiter = ',')]
    pub(crate) prefixes: Option<Vec<String>>,
}

#[derive(Subcommand)]
pub(crate) enum JurisdictionCommand {
    /// Put a file in place of the table: prefix,state,lata
    Import {
        /// The file
        file: PathBuf,
    },
    /// List the table
    List {
        /// Of prefixes that begin so
        #[arg(default_value = "")]
        prefix: String,
        /// At most so many
        #[arg(long)]
        limit: Option<u32>,
    },
}
