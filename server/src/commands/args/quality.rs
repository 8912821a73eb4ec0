//! The words for the quality that is asked of trunks.

use clap::{Args as ClapArgs, Subcommand};

use super::yes_or_no;

#[derive(Subcommand)]
pub(crate) enum QualityCommand {
    /// Say which quality is asked of a trunk, or of each, for calls to a prefix
    Set {
        /// Digits that numbers begin with; "": all
        prefix: String,
        /// The trunk's name; each, if not said
        #[arg(long)]
        trunk: Option<String>,
        #[command(flatten)]
        demands: QualityDemands,
    },
    /// List what is asked
    List,
    /// Ask it no more
    Remove {
        /// Its id, from `route quality list`
        id: u64,
    },
    /// How trunks stand, and what their calls are like, on this node
    Status,
    /// Leave a trunk for a while, on this node
    Drop {
        /// The trunk's name
        trunk: String,
        /// The prefix, from `route quality status`
        #[arg(default_value = "")]
        prefix: String,
        /// For so long; as its rule has it, if not said
        #[arg(long)]
        seconds: Option<u32>,
    },
    /// Let a trunk get calls again, as if nothing were known of it, on this node
    Lift {
        /// The trunk's name
        trunk: String,
        /// The prefix, from `route quality status`
        #[arg(default_value = "")]
        prefix: String,
    },
}

#[derive(ClapArgs)]
pub(crate) struct QualityDemands {
    /// Whether calls to each prefix of routes are judged by themselves; yes if not said
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) by_route: Option<bool>,
    /// Over how many seconds of the past; 900 if not said
    #[arg(long, value_name = "SECONDS")]
    pub(crate) window: Option<u32>,
    /// A figure of fewer calls says nothing; 20 if not said
    #[arg(long, value_name = "COUNT")]
    pub(crate) calls: Option<u32>,
    /// Answers for each hundred calls, at least; "none": any
    #[arg(long, value_name = "PERCENT")]
    pub(crate) asr: Option<String>,
    /// Mean talk of an answered call, at least; "none": any
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) acd: Option<String>,
    /// Mean time until it rings, at most; "none": any
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) pdd: Option<String>,
    /// For how long a trunk that does not keep these limits is left; 600 if not said
    #[arg(long, value_name = "SECONDS")]
    pub(crate) drop: Option<u32>,
    /// So many calls it then gets on trial; 5 if not said
    #[arg(long, value_name = "COUNT")]
    pub(crate) trial_calls: Option<u32>,
    /// By so much of each limit these have to be better; 10 if not said
    #[arg(long, value_name = "PERCENT")]
    pub(crate) hysteresis: Option<u8>,
}
