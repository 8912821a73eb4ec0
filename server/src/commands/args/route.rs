//! The words for routes: which trunks a prefix goes to, when, and how much of it.

use clap::{Args as ClapArgs, Subcommand};

use super::quality::QualityCommand;

#[derive(Subcommand)]
pub(crate) enum RouteCommand {
    /// Send a prefix to a trunk
    Add {
        /// Digits; "" covers everything
        prefix: String,
        /// The trunk's name
        #[arg(long)]
        trunk: String,
        #[command(flatten)]
        change: RouteChange,
    },
    /// Change a route
    Set {
        /// Its id, from `route list`
        id: u64,
        #[command(flatten)]
        change: RouteChange,
    },
    /// List all routes
    List,
    /// Remove a route
    Remove {
        /// Its id, from `route list`
        id: u64,
    },
    /// What holds for all routes of a prefix
    Prefix {
        #[command(subcommand)]
        command: PrefixCommand,
    },
    /// Which quality is asked of trunks, and how they stand
    Quality {
        #[command(subcommand)]
        command: Box<QualityCommand>,
    },
    /// Times of the week at which routes hold
    Window {
        #[command(subcommand)]
        command: WindowCommand,
    },
}

#[derive(ClapArgs)]
pub(crate) struct RouteChange {
    /// Lower goes first; within one priority the cheapest does. 1 if not said
    #[arg(long)]
    pub(crate) priority: Option<u16>,
    /// Its share of the calls among those of its prefix and priority, under the policy weight. 1 if not
    /// said; 0: only what all others failed to carry
    #[arg(long)]
    pub(crate) weight: Option<u16>,
    /// The time window that it holds in; "none": always
    #[arg(long)]
    pub(crate) window: Option<String>,
    /// Calls by it at the same time; "none" for no limit
    #[arg(long, value_name = "COUNT")]
    pub(crate) concurrent: Option<String>,
    /// New calls by it in a second; "none" for no limit
    #[arg(long, value_name = "COUNT")]
    pub(crate) cps: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum PrefixCommand {
    /// Say how the routes of a prefix follow each other, and how many calls they carry together
    Set {
        /// Digits; "" is the one that covers everything
        prefix: String,
        /// priority (the cheapest within one), least_cost (whatever the priority), weight (shares of
        /// the calls within one priority) or quality (who answers more calls, within one priority)
        #[arg(long)]
        policy: Option<String>,
        /// Calls at the same time; "none" for no limit
        #[arg(long, value_name = "COUNT")]
        concurrent: Option<String>,
        /// New calls in a second; "none" for no limit
        #[arg(long, value_name = "COUNT")]
        cps: Option<String>,
    },
    /// List the prefixes of which something is said
    List,
    /// Let a prefix go by priority again, without limits
    Remove {
        /// Its id, from `route prefix list`
        id: u64,
    },
}

#[derive(Subcommand)]
pub(crate) enum WindowCommand {
    /// Add a time window, or give it other times
    Set {
        /// Its name
        name: String,
        /// The time zone, as in the IANA database: Europe/Berlin
        #[arg(long)]
        zone: String,
        /// When it is open: mon-fri@08:00-18:00; may be repeated
        #[arg(long = "span", value_name = "DAYS@TIMES", required = true)]
        spans: Vec<String>,
        /// A day that is a holiday and no weekday: 2026-12-25; may be repeated
        #[arg(long = "holiday", value_name = "DATE")]
        holidays: Vec<String>,
    },
    /// List all time windows
    List,
    /// Remove a time window that no route holds in
    Remove {
        /// Its name
        name: String,
    },
}
