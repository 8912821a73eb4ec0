//! The words for who is kept out, and for what proves who we are.

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum BanCommand {
    /// Show who is banned, by the guard and by hand, the newest first
    List,
    /// Ban an address or network: nothing that comes from there is read
    Add {
        /// Such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32
        network: String,
        /// For so many seconds; until it is lifted if nothing is said
        #[arg(long, value_name = "SECONDS")]
        seconds: Option<u32>,
        /// Why, for whoever reads the list
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Lift a ban
    Lift {
        /// As the list shows it
        network: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum AllowCommand {
    /// Show who is never banned
    List,
    /// Never ban or limit an address or network for what it does
    Add {
        /// Such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32
        network: String,
        /// Why, for whoever reads the list
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Treat it as all others again
    Remove {
        /// As the list shows it
        network: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum SecurityCommand {
    /// Show all settings
    Show,
    /// Change one setting
    Set {
        /// Its name, as `show` prints it
        name: String,
        /// A number
        value: u32,
    },
}

#[derive(Subcommand)]
pub(crate) enum TlsCommand {
    /// Show the certificates in use and when they expire
    Show,
    /// Read their files again; calls and connections go on
    Reload,
}
