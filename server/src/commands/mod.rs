//! The command line. `run` is the switch; `check` and `ledger check` read files; everything else
//! asks the running switch over its API, with the token from the data directory.

mod account;
mod account_file;
mod adjust;
mod args;
mod backup;
mod caller_id;
mod calls;
mod carrier_statement;
mod charging_args;
mod check;
mod client;
mod demo;
mod did;
mod discount;
mod download;
mod fraud;
mod interworking;
mod lookup;
mod node;
mod number;
mod paged;
mod plan;
mod price;
mod quality;
mod rate_args;
mod rate_group;
mod rates;
mod receipts;
mod report;
mod rerate;
mod route;
mod run;
mod security;
mod simulate;
mod site;
mod subscriber;
mod system;
mod table;
mod tax;
mod tls;
mod trace;
mod trunk;
mod voucher;

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use config::{Config, Problems};
use serde_json::{Value, json};

use args::{Args, Command};
use client::Client;

/// What a command has to say when it fails: lines for people, the remedy included.
pub(crate) type Outcome = Result<(), String>;

/// What every command needs.
pub(crate) struct Context {
    config: Config,
    json: bool,
    key: Option<String>,
    /// How this program was called, with the options that say which configuration is meant: what
    /// it prints can be typed.
    called_as: String,
}

impl Context {
    fn new(args: &Args) -> Result<Context, String> {
        let config = configuration(args).map_err(|problems| problems.to_string())?;
        Ok(Context { config, json: args.json, key: args.key.clone(), called_as: called_as(args) })
    }

    fn client(&self) -> Result<Client, String> {
        Ok(Client::of(&self.config)?.with_key(self.key.clone()))
    }

    /// Prints an answer: as it came, or in a form for people.
    fn show(&self, answer: &Value, people: impl FnOnce(&Value)) {
        if self.json { print_json(answer) } else { people(answer) }
    }

    /// Says that a file was written.
    fn show_written(&self, file: &Path) {
        self.show(&json!({ "file": file }), |_| println!("wrote {}", file.display()));
    }

    /// Prints a list: the bare array, or a table.
    fn show_list(&self, answer: &Value, columns: &[(&str, &str)]) {
        let items = &answer["items"];
        if self.json {
            print_json(items);
        } else {
            print_all(&table::render(items.as_array().map_or(&[], Vec::as_slice), columns));
        }
    }
}

/// The configuration as the arguments name it.
fn configuration(args: &Args) -> Result<Config, Problems> {
    let default = Path::new(DEFAULT_FILE);
    let mut config = match &args.config {
        Some(path) => Config::read(path)?,
        None if default.exists() => Config::read(default)?,
        None => Config::default(),
    };
    if let Some(data) = &args.data {
        config.data_directory = PathBuf::from(data);
    }
    Ok(config)
}

fn called_as(args: &Args) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "tandem".into());
    let here = std::env::current_dir().unwrap_or_default();
    let mut words = match Path::new(&program).strip_prefix(&here) {
        Ok(below) => below.display().to_string(),
        Err(_) => program,
    };
    if let Some(config) = &args.config {
        words += &format!(" --config {}", config.display());
    }
    if let Some(data) = &args.data {
        words += &format!(" --data {}", Path::new(data).display());
    }
    words
}

const DEFAULT_FILE: &str = "tandem.toml";

fn print_json(value: &Value) {
    print_all(&(serde_json::to_string_pretty(value).expect("a value is always JSON") + "\n"));
}

/// Prints what may be long. Who reads it may have seen enough (`tandem cdr | head`): then the rest
/// is for nobody, and that is no mistake.
fn print_all(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(failed) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && failed.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("tandem: cannot print: {failed}");
    }
}

/// Reads the arguments and does what they say.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    match dispatch(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("tandem: {what}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: Args) -> Outcome {
    if matches!(args.command, Some(Command::Check)) {
        let file = args.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        return check::check(configuration(&args), file, args.json);
    }
    let context = Context::new(&args)?;
    match args.command.unwrap_or(Command::Run { no_demo: false }) {
        Command::Run { no_demo } => run::run(&context, no_demo),
        Command::Check => unreachable!("done above: it tells what is wrong with a configuration"),
        Command::Demo => demo::show(&context),
        Command::Status => system::status(&context),
        Command::Account { command } => account::run(&context, command),
        Command::Site { command } => site::run(&context, command),
        Command::Topup(top_up) => account::top_up(&context, &top_up),
        Command::Payout(asked) => account::pay_out(&context, &asked),
        Command::Statement(asked) => adjust::statement(&context, &asked),
        Command::Bill(asked) => tax::bill(&context, &asked),
        Command::Tax { command } => tax::run(&context, command),
        Command::Receipts(which) => receipts::list(&context, &which),
        Command::Receipt { number, seller } => receipts::show(&context, number, seller),
        Command::Adjust(asked) => adjust::by_hand(&context, "adjustments", &asked),
        Command::CreditNote(asked) => adjust::by_hand(&context, "credit-notes", &asked),
        Command::Charge(asked) => adjust::by_hand(&context, "charges", &asked),
        Command::Reason { command } => adjust::reason(&context, command),
        Command::Plan { command } => plan::run(&context, command),
        Command::Voucher { command } => voucher::run(&context, command),
        Command::Pin { command } => voucher::pin(&context, command),
        Command::Destination { command } => plan::destination(&context, command),
        Command::Discount { command } => discount::run(&context, command),
        Command::Exchange { command } => discount::exchange(&context, command),
        Command::Charges { command } => plan::charges(&context, command),
        Command::Subscriber { command } => subscriber::run(&context, command),
        Command::Trunk { command } => trunk::run(&context, *command),
        Command::Did { command } => did::run(&context, *command),
        Command::Number { command } => number::run(&context, *command),
        Command::Route { command } => route::run(&context, command),
        Command::Lookup { command } => lookup::run(&context, command),
        Command::Jurisdiction { command } => lookup::jurisdiction(&context, command),
        Command::Events { account, which } => account::events(&context, account, &which),
        Command::Price(asked) => price::run(&context, asked),
        Command::Rates { command } => rates::run(&context, command),
        Command::Rerate(asked) => rerate::rerate(&context, *asked),
        Command::Recycle(asked) => rerate::recycle(&context, asked),
        Command::Reruns => rerate::list(&context),
        Command::Report { command } => report::run(&context, command),
        Command::Live => calls::live(&context),
        Command::Trace { command } => trace::run(&context, command),
        Command::Hangup { call } => calls::hang_up(&context, &call),
        Command::Cdr(which) => calls::cdr(&context, &which),
        Command::Why { call } => calls::why(&context, &call),
        Command::Simulate { from, to, at, like, duration, lrn, jurisdiction } => {
            simulate::simulate(&context, [from, to, at, like, lrn, jurisdiction], duration)
        }
        Command::Registrations => system::registrations(&context),
        Command::Backup { to } => backup::backup(&context, &to),
        Command::Restore { from } => backup::restore(&context, &from),
        Command::Node { command } => node::run(&context, &command),
        Command::Ban { command } => security::ban(&context, command),
        Command::Fraud { command } => fraud::run(&context, *command),
        Command::Allow { command } => security::allow(&context, command),
        Command::Security { command } => security::security(&context, command),
        Command::Tls { command } => tls::run(&context, &command),
        Command::Ledger { command: args::LedgerCommand::Check } => system::check_ledger(&context),
    }
}
