//! The words for traces.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Subcommand)]
pub(crate) enum TraceCommand {
    /// Begin to keep the SIP messages of a call, an account, a trunk or an address
    Start {
        #[command(flatten)]
        what: Followed,
        /// For so many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        seconds: u64,
    },
    /// List all traces, those that are over too
    List,
    /// Show the messages of a trace as a ladder
    Show {
        /// Its id, from `list`
        id: u64,
        /// Every message in full
        #[arg(long)]
        full: bool,
    },
    /// Write the messages of a trace to a file: .pcapng for Wireshark, .json, or .txt as a ladder
    Save {
        /// Its id, from `list`
        id: u64,
        /// The file
        file: PathBuf,
    },
    /// End a trace before its time; it can still be shown
    Stop {
        /// Its id, from `list`
        id: u64,
    },
    /// Forget a trace
    Remove {
        /// Its id, from `list`
        id: u64,
    },
}

#[derive(ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct Followed {
    /// A live call: its id, from `live`, or the Call-ID of the caller's INVITE
    #[arg(long)]
    pub(crate) call: Option<String>,
    /// All calls and registrations of an account: its name or id
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// All calls through a trunk, our registration there and its OPTIONS: its name or id
    #[arg(long)]
    pub(crate) trunk: Option<String>,
    /// Whatever an address sends and gets, and the other legs of its calls
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<IpAddr>,
}
