//! The words for numbers: the rules that rewrite them, and lists.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Subcommand)]
pub(crate) enum NumberCommand {
    /// Rules that rewrite numbers at the edges
    Rule {
        #[command(subcommand)]
        command: RuleCommand,
    },
    /// Lists of prefixes and numbers that block or allow
    List {
        #[command(subcommand)]
        command: ListCommand,
    },
    /// Show a number's class and country, and the lists that it is on
    Show {
        /// As E.164, with or without a plus
        number: String,
    },
    /// Show what rules, number plan and lists make of a number
    Try {
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        side: Side,
        /// The number as it would be written; from us without a plus
        number: String,
    },
}

/// Whose; everybody's if none is named.
#[derive(ClapArgs)]
#[group(multiple = false)]
pub(crate) struct Owner {
    /// The account whose trunks and phones they are
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// The trunk
    #[arg(long)]
    pub(crate) trunk: Option<String>,
    /// The username of the phone
    #[arg(long)]
    pub(crate) subscriber: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct Side {
    /// in: what it sends us; out: what we send it
    #[arg(long, value_parser = ["in", "out"], default_value = "in")]
    pub(crate) direction: String,
    /// cld: the called number; cli: the caller's
    #[arg(long, value_parser = ["cld", "cli"], default_value = "cld")]
    pub(crate) subject: String,
}

#[derive(Subcommand)]
pub(crate) enum RuleCommand {
    /// Add a rule
    Add {
        /// Digits * # +, X for any digit, Z for 1-9, N for 2-9, [13-5], and at the end . for at least
        /// one sign more or ! for any rest
        matches: String,
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        side: Side,
        /// Signs to strip from the front
        #[arg(long, default_value_t = 0)]
        strip: u8,
        /// What to put in front then
        #[arg(long, default_value = "", allow_hyphen_values = true)]
        prepend: String,
        /// What comes after it: next rule, number plan, nothing, or a refusal
        #[arg(long, value_parser = ["next", "plan", "as_is", "reject"], default_value = "plan")]
        then: String,
        /// For numbers of at least so many signs
        #[arg(long)]
        length_min: Option<u8>,
        /// For numbers of at most so many signs
        #[arg(long)]
        length_max: Option<u8>,
        /// Where it stands, lower first; default behind the others
        #[arg(long)]
        position: Option<u32>,
        /// What it is for
        #[arg(long)]
        note: Option<String>,
    },
    /// List all rules, or those of one owner
    List {
        #[command(flatten)]
        owner: Owner,
        /// Only those of everybody
        #[arg(long, conflicts_with_all = ["account", "trunk", "subscriber"])]
        everybody: bool,
    },
    /// Remove a rule
    Remove {
        /// Its id, from `number rule list`
        id: u64,
    },
}

#[derive(Subcommand)]
pub(crate) enum ListCommand {
    /// Make an empty list
    Add {
        /// Its name
        name: String,
        /// What its numbers are
        #[arg(
            long,
            value_parser = ["plain", "invalid", "do_not_originate", "premium", "emergency"],
            default_value = "plain"
        )]
        kind: String,
    },
    /// Put prefixes on a list, or take them off
    Fill {
        /// Its name
        name: String,
        /// Digits of a prefix, = and a whole number, or @ and a class such as @premium
        #[arg(required_unless_present = "file")]
        lines: Vec<String>,
        /// A file with one of them a line
        #[arg(long, conflicts_with = "lines")]
        file: Option<PathBuf>,
        /// Add them, put them in the place of all that are there, or remove them
        #[arg(long, value_parser = ["add", "replace", "remove"], default_value = "add")]
        how: String,
    },
    /// List all lists
    List,
    /// Show the lines of a list
    Show {
        /// Its name
        name: String,
        /// Go on behind this line
        #[arg(long)]
        after: Option<String>,
        /// At most so many
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Remove a list that is not used
    Remove {
        /// Its name
        name: String,
    },
    /// Put a list to work for calls that come from an owner
    Use {
        /// Its name
        name: String,
        #[command(flatten)]
        owner: Owner,
        /// cld: for the called number; cli: for the caller's
        #[arg(long, value_parser = ["cld", "cli"])]
        subject: String,
        /// Refuse what is on it, let it pass, or refuse what is not
        #[arg(long, value_parser = ["block", "allow", "allow_only"])]
        effect: String,
    },
    /// Show which lists are at work for whom
    Uses,
    /// End the work of a list
    End {
        /// Its id, from `number list uses`
        id: u64,
    },
}
