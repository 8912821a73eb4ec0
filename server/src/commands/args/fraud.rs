//! The words for calls that look like fraud.

use clap::{Args as ClapArgs, Subcommand};

#[derive(Subcommand)]
pub(crate) enum FraudCommand {
    /// What is looked for, and what is done then
    Rule {
        #[command(subcommand)]
        command: FraudRuleCommand,
    },
    /// Accounts whose calls are blocked or reduced
    Hold {
        #[command(subcommand)]
        command: FraudHoldCommand,
    },
    /// The countries that an account calls
    Country {
        #[command(subcommand)]
        command: FraudCountryCommand,
    },
}

#[derive(Subcommand)]
pub(crate) enum FraudRuleCommand {
    /// Show the rules of everybody and of accounts
    List {
        /// Only those of this account
        #[arg(long)]
        account: Option<String>,
    },
    /// Add a rule
    Add(NewFraudRule),
    /// Remove a rule; what it has brought upon accounts stays
    Remove {
        /// As the list shows it
        id: u64,
    },
}

#[derive(ClapArgs)]
pub(crate) struct NewFraudRule {
    /// What is looked for
    #[arg(value_parser = ["calls_per_cli", "countries_at_once", "countries_per_hour", "new_country",
        "short_calls", "hours", "premium_minutes"])]
    pub(crate) kind: String,
    /// What is done then
    #[arg(value_parser = ["alarm", "block", "reduce"])]
    pub(crate) action: String,
    /// Whose calls; everybody's whose account has no rule of the kind if nothing is said
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// So many are allowed: calls a minute, countries, minutes an hour; of short calls so many in a hundred
    /// are too many
    #[arg(long, value_name = "NUMBER")]
    pub(crate) most: Option<u32>,
    /// short_calls: a call below so many seconds is short
    #[arg(long, value_name = "SECONDS")]
    pub(crate) below: Option<u32>,
    /// short_calls: so many answered calls are looked at, at most 64
    #[arg(long, value_name = "CALLS")]
    pub(crate) among: Option<u32>,
    /// hours: the time window in which no call is expected
    #[arg(long, value_name = "NAME")]
    pub(crate) window: Option<String>,
    /// hours: only to numbers of this class, such as premium
    #[arg(long)]
    pub(crate) class: Option<String>,
    /// hours: only to this country, such as CU
    #[arg(long)]
    pub(crate) country: Option<String>,
    /// block, reduce: for so long; until it is lifted if nothing is said; 0 refuses that call alone
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) lasting: Option<u32>,
    /// reduce: to so many calls at the same time
    #[arg(long, value_name = "NUMBER")]
    pub(crate) calls_max: Option<u32>,
    /// reduce: to so many new calls a second
    #[arg(long, value_name = "NUMBER")]
    pub(crate) cps_max: Option<u32>,
}

#[derive(Subcommand)]
pub(crate) enum FraudHoldCommand {
    /// Show whose calls are blocked or reduced, why and until when
    List,
    /// Take an account's calls as before
    Lift {
        /// Its name
        account: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum FraudCountryCommand {
    /// Show the countries that an account has called
    List {
        /// Its name
        account: String,
    },
    /// Say which countries an account calls, in place of what was known
    Set {
        /// Its name
        account: String,
        /// Such as DE GB 001
        countries: Vec<String>,
    },
}
