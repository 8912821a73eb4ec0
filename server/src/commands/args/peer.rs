//! The words for whom we talk SIP with: subscribers, trunks and the routes to them.

use clap::{Args as ClapArgs, Subcommand};

use super::{Limits, yes_or_no};

#[derive(Subcommand)]
pub(crate) enum SubscriberCommand {
    /// Add a subscriber
    Add {
        /// What it registers as
        username: String,
        /// Who pays
        #[arg(long)]
        account: String,
        /// What it proves itself with; a random one is made and shown if it is left out
        #[arg(long)]
        password: Option<String>,
        /// The place of the account that its calls belong to
        #[arg(long)]
        site: Option<String>,
        /// The number that rings it and that it calls with
        #[arg(long)]
        number: Option<String>,
        /// How many phones may register at once
        #[arg(long)]
        contacts_max: Option<u8>,
    },
    /// Give a subscriber another password
    Password {
        /// Its username
        username: String,
        /// The password; a random one is made and shown if it is left out
        #[arg(long)]
        password: Option<String>,
    },
    /// Show or set where its calls go instead of to its phones, or when these do not take them
    Forward {
        /// Its username
        username: String,
        #[command(flatten)]
        change: ForwardsChange,
    },
    /// Show or set what it wants of the calls to its phones
    Availability {
        /// Its username
        username: String,
        #[command(flatten)]
        change: AvailabilityChange,
    },
    /// Show or set how many calls it may have
    #[command(name = "limits")]
    CallLimits {
        /// Its username
        username: String,
        #[command(flatten)]
        limits: Limits,
    },
    /// List all subscribers
    List,
    /// Remove a subscriber
    Remove {
        /// Its username
        username: String,
    },
}

/// Numbers or usernames as the subscriber would dial them; "none" takes one away.
#[derive(ClapArgs)]
pub(crate) struct ForwardsChange {
    /// Where all calls go
    #[arg(long, value_name = "NUMBER")]
    pub(crate) always: Option<String>,
    /// Where calls go that find it busy
    #[arg(long, value_name = "NUMBER")]
    pub(crate) busy: Option<String>,
    /// Where calls go that it does not answer
    #[arg(long, value_name = "NUMBER")]
    pub(crate) no_answer: Option<String>,
    /// How many seconds its phones ring before that
    #[arg(long, value_name = "SECONDS")]
    pub(crate) no_answer_after: Option<u64>,
    /// Where calls go that reach none of its phones
    #[arg(long, value_name = "NUMBER")]
    pub(crate) offline: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct AvailabilityChange {
    /// Whether it takes no calls: callers find it busy
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) do_not_disturb: Option<bool>,
    /// How many calls its phones take at once before it is busy; "none" for any number
    #[arg(long, value_name = "COUNT")]
    pub(crate) calls_max: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum TrunkCommand {
    /// Add a trunk
    Add {
        /// Its name
        name: String,
        /// Who pays for what it sends us and is paid for what we send it
        #[arg(long)]
        account: String,
        #[command(flatten)]
        change: TrunkChange,
    },
    /// List all trunks
    List,
    /// Show one trunk
    Show {
        /// Its name or id
        name: String,
    },
    /// Change a trunk
    Set {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: TrunkChange,
    },
    /// Show or set how it is told who calls, and tells it
    CallerId {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: TrunkCallerIdChange,
    },
    /// Show or set which codecs it may use, and what becomes of its provisional responses
    Interworking {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: TrunkInterworkingChange,
    },
    /// Show or set whether messages are taken from it and sent there
    Messages {
        /// Its name or id
        name: String,
        /// Whether they are
        #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
        allowed: Option<bool>,
    },
    /// Show or set what it wants of signed callers (STIR/SHAKEN)
    Stir {
        /// Its name or id
        name: String,
        /// Whether calls to it carry an Identity header
        #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
        signs: Option<bool>,
        /// Of the Identity header of its calls: not looked at, verified and told to the callee, or refused
        /// unless valid, or below attestation B or A
        #[arg(long, value_name = "off|mark|refuse|refuse_below_b|refuse_below_a")]
        verifies: Option<String>,
    },
    /// Show its health, or set how it is asked with OPTIONS whether it is there
    Probe {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: TrunkProbeChange,
    },
    /// Show our registrations at trunks, and which trunks are there
    Status,
    /// Show or set what causes mean to it: each code and what it becomes
    Causes {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: TrunkCausesChange,
    },
    /// Show or say whose calls it sends us: peer (from outside), customer or equipment (of ours)
    Role {
        /// Its name or id
        name: String,
        /// peer, customer or equipment
        role: Option<String>,
    },
    /// Show or set by which TLS certificate it is known, and which one it sees of us
    Tls {
        /// Its name or id
        name: String,
        #[command(flatten)]
        change: TrunkTlsChange,
    },
    /// Remove a trunk and its routes
    Remove {
        /// Its name or id
        name: String,
    },
}

#[derive(ClapArgs)]
pub(crate) struct TrunkCallerIdChange {
    /// Where it is told who calls if it is trusted: pai, ppi, rpid (Remote-Party-ID) or none
    #[arg(long, value_name = "HEADER")]
    pub(crate) identity: Option<String>,
    /// Where it is told who diverted the call if it is trusted: diversion, history_info, both or none
    #[arg(long, value_name = "HEADERS")]
    pub(crate) diversions: Option<String>,
    /// Whether it is told the names of callers
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) sends_names: Option<bool>,
    /// Whether it is a gateway whose calls are those of the subscribers that it names
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) names_subscribers: Option<bool>,
}

#[derive(ClapArgs)]
pub(crate) struct TrunkInterworkingChange {
    /// The codecs that pass to it and from it, the most wanted first: PCMA,G729; "any" for all
    #[arg(long, value_name = "NAMES")]
    pub(crate) codecs: Option<String>,
    /// What of its early media callers get: pass (all), ringing (180 instead) or suppress (nothing)
    #[arg(long, value_name = "WHAT")]
    pub(crate) early_media: Option<String>,
    /// Whether its provisional responses and ours are acknowledged (100rel): supported, required or off
    #[arg(long, value_name = "WHETHER")]
    pub(crate) reliable_provisional: Option<String>,
    /// Whether it may transfer calls (REFER); its account pays for those that follow
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) may_transfer: Option<bool>,
}

#[derive(ClapArgs)]
pub(crate) struct TrunkTlsChange {
    /// Names of which its certificate must have one, separated by commas; "none" asks for none
    #[arg(long, value_name = "NAMES")]
    pub(crate) certificate_names: Option<String>,
    /// File with our certificate for it, PEM, leaf first; "none" shows it none
    #[arg(long, value_name = "FILE")]
    pub(crate) client_certificate: Option<String>,
    /// And its private key, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) client_key: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct TrunkProbeChange {
    /// Whether it is asked
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) enabled: Option<bool>,
    /// Seconds from one question to the next
    #[arg(long, value_name = "SECONDS")]
    pub(crate) every: Option<u64>,
    /// After so many in a row without an answer it is down and gets no calls
    #[arg(long, value_name = "COUNT")]
    pub(crate) failures: Option<u8>,
    /// After so many answers in a row it is up again
    #[arg(long, value_name = "COUNT")]
    pub(crate) successes: Option<u8>,
}

#[derive(ClapArgs)]
pub(crate) struct TrunkCausesChange {
    /// What it says when a call over it fails, and what that means: 503=404,Q34=Q17; "none" for nothing
    #[arg(long, value_name = "CODE=CODE", value_delimiter = ',')]
    pub(crate) heard: Vec<String>,
    /// What its own calls end with before an answer, and what it is told instead: 404=503
    #[arg(long, value_name = "CODE=CODE", value_delimiter = ',')]
    pub(crate) told: Vec<String>,
}

#[derive(ClapArgs)]
pub(crate) struct TrunkChange {
    /// Whether it is used at all
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) enabled: Option<bool>,
    /// Where we send calls: host, or host:port
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// The port, if it is not in --host
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// udp, tcp or tls
    #[arg(long)]
    pub(crate) transport: Option<String>,
    /// Where its calls come from: address, address:port or network; may be repeated
    #[arg(long = "address")]
    pub(crate) addresses: Vec<String>,
    /// The user name its calls come with
    #[arg(long)]
    pub(crate) ingress_username: Option<String>,
    /// And its password
    #[arg(long)]
    pub(crate) ingress_password: Option<String>,
    /// The user name we call and register with
    #[arg(long)]
    pub(crate) egress_username: Option<String>,
    /// And its password
    #[arg(long)]
    pub(crate) egress_password: Option<String>,
    /// Whether we register there
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) registers: Option<bool>,
    /// The numbers it sends us, as JSON: {"country":"49","national":"0"}
    #[arg(long)]
    pub(crate) ingress_plan: Option<String>,
    /// The numbers it wants from us, as JSON: {"form":"plus"}
    #[arg(long)]
    pub(crate) egress_plan: Option<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// SIP statuses after which the next trunk is tried, such as 486,603
    #[arg(long, value_delimiter = ',')]
    pub(crate) hunt_codes: Option<Vec<u16>>,
    /// SIP statuses after which no other trunk is tried
    #[arg(long, value_delimiter = ',')]
    pub(crate) stop_codes: Option<Vec<u16>>,
    /// How many seconds it may ring
    #[arg(long)]
    pub(crate) ring_timeout: Option<u32>,
    /// Whether asserted identities pass
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) trusted: Option<bool>,
    /// Whether the Request-URI to it tells where a ported number is served
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) sends_lrn: Option<bool>,
    /// Whether it says truly where a ported number is served: what it says decides what its calls cost
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no())]
    pub(crate) believes_lrn: Option<bool>,
    /// The place of the account that its calls belong to; "none" takes it away
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// What reports and invoices call it; "none" takes it away
    #[arg(long)]
    pub(crate) friendly_name: Option<String>,
}
