//! `run` and `check`.

use std::io::IsTerminal as _;
use std::path::Path;

use config::{Config, LogFormat};
use store::directory::{DirectoryStore, digest_secret};
use tracing_subscriber::EnvFilter;

use super::{Context, Outcome, demo};

/// What scanners try first, besides the user name itself.
const GUESSES: [&str; 4] = ["", "password", "1234", "12345678"];
/// The setting that says over which realm the password hashes are made.
const REALM: &str = "realm";

/// Runs the switch until it is told to stop.
pub(super) fn run(context: &Context, no_demo: bool) -> Outcome {
    let config = &context.config;
    start_log(config)?;
    make_private(&config.data_directory)?;
    look_before_start(config)?;
    let mut failed = None;
    let ran = server::run_and_tell(config.clone(), |_| {
        if !no_demo {
            failed = demo::seed(context).err();
        }
    });
    if let Some(failed) = failed {
        eprintln!("tandem: the demo is not complete: {failed}");
    }
    ran.map_err(|error| error.to_string())
}

/// Says what the configuration means, or what is wrong with it.
pub(super) fn check(context: &Context, file: Option<&Path>) -> Outcome {
    let config = &context.config;
    EnvFilter::try_new(&config.log.level)
        .map_err(|error| format!("log.level = {:?}: {error}", config.log.level))?;
    for tls in config.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
        server::net::tls::acceptor(&tls.certificate, &tls.key).map_err(|e| e.to_string())?;
    }
    let file = file.unwrap_or(Path::new(super::DEFAULT_FILE));
    if file.exists() {
        println!("{} is in order", file.display());
    } else {
        println!("there is no {}; the defaults are in use", file.display());
    }
    println!("data directory  {}", config.data_directory.display());
    for listener in &config.listeners {
        let transport = format!("{:?}", listener.transport).to_lowercase();
        let advertised = listener.advertised.as_deref();
        let advertised = advertised.map(|text| format!(", advertised as {text}"));
        println!("{transport:<15} {}{}", listener.address, advertised.unwrap_or_default());
    }
    println!("api             {}", config.api.address);
    look_before_start(config)
}

fn start_log(config: &Config) -> Outcome {
    let level = std::env::var("RUST_LOG").unwrap_or_else(|_| config.log.level.clone());
    let filter = EnvFilter::try_new(&level)
        .map_err(|error| format!("log.level = {level:?}: {error}; write info, or a filter"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// The data directory is for its owner: it holds credentials at carriers, and everybody's calls.
fn make_private(directory: &Path) -> Outcome {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    let fail = |error: std::io::Error| format!("{}: {error}", directory.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fail)?;
    let mode = std::fs::metadata(directory).map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        let private = std::fs::Permissions::from_mode(mode & 0o700);
        std::fs::set_permissions(directory, private).map_err(fail)?;
    }
    // An empty file is an empty database; SQLite gives its other files the mode of this one.
    let database = store::DataPaths::new(directory).database();
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(&database).map_err(fail)?;
    Ok(())
}

/// Refuses what would be a mistake to run: hashes over another realm, guessable passwords that
/// others can reach.
fn look_before_start(config: &Config) -> Outcome {
    let database = store::DataPaths::new(&config.data_directory).database();
    if !database.exists() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", database.display());
        let pool = store::open_database(&database).await.map_err(|error| fail(&error))?;
        pool.close().await;
        let store = DirectoryStore::open(&database).await.map_err(|error| fail(&error))?;
        let subscribers = store.subscribers().await.map_err(|error| fail(&error))?;
        check_realm(&store, &config.realm, subscribers.is_empty()).await?;
        if config.is_loopback_only() {
            return Ok(());
        }
        for subscriber in &subscribers {
            let username = subscriber.username.as_str();
            let guesses = GUESSES.iter().copied().chain([username]);
            for guess in guesses {
                if digest_secret(username, &config.realm, guess) == subscriber.secret {
                    return Err(format!(
                        "subscriber {username} has a password that everyone would guess, and a \
                         listener is not on loopback; remove the subscriber and add it again, or \
                         listen on 127.0.0.1 only"
                    ));
                }
            }
        }
        Ok(())
    })
}

async fn check_realm(store: &DirectoryStore, realm: &str, has_no_subscribers: bool) -> Outcome {
    let known = store.setting(REALM).await.map_err(|error| error.to_string())?;
    match known {
        Some(known) if known == realm => Ok(()),
        Some(known) if !has_no_subscribers => Err(format!(
            "realm = {realm:?}: the passwords in the data directory are hashed over the realm \
             {known:?}; set it back, or remove all subscribers"
        )),
        _ => {
            let write = async {
                let mut change = store.begin().await?;
                change.set_setting(REALM, realm).await?;
                change.commit().await
            };
            write.await.map_err(|error| error.to_string())
        }
    }
}
