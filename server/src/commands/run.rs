//! `run`, and what must be in order before it.

use std::future::Future;
use std::path::Path;

use config::Config;
use server::settings;
use store::DataDir;
use store::directory::{ChangeError, DirectoryStore, digest_secret};

use super::{Context, Outcome, demo};

/// What scanners try first, besides the user name itself.
const GUESSES: [&str; 4] = ["", "password", "1234", "12345678"];
/// The setting that says over which realm the password hashes are made.
const REALM: &str = "realm";

/// Runs the switch until it is told to stop.
pub(super) fn run(context: &Context, no_demo: bool) -> Outcome {
    let config = &context.config;
    let _written_at_the_end = server::log::start(config)?;
    let database = settings::database(config).map_err(|error| error.to_string())?;
    make_private(&config.data_directory, database.file())?;
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

/// The data directory is for its owner: it holds credentials at carriers, and everybody's calls.
fn make_private(directory: &Path, database: Option<&Path>) -> Outcome {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    let fail = |error: std::io::Error| format!("{}: {error}", directory.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fail)?;
    let mode = std::fs::metadata(directory).map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        let private = std::fs::Permissions::from_mode(mode & 0o700);
        std::fs::set_permissions(directory, private).map_err(fail)?;
    }
    // An empty file is an empty database; SQLite gives its other files the mode of this one.
    if let Some(database) = database {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true).mode(0o600).open(database).map_err(fail)?;
    }
    Ok(())
}

/// Refuses what would be a mistake to run: hashes over another realm, guessable passwords that
/// others can reach. Nothing is touched before the data directory is ours alone.
fn look_before_start(config: &Config) -> Outcome {
    let database = settings::database(config).map_err(|error| error.to_string())?;
    let _data = DataDir::open(&config.data_directory).map_err(|error| error.to_string())?;
    block_on(async {
        let fail = |error: &dyn std::fmt::Display| format!("{database}: {error}");
        let pool = database.open().await.map_err(|error| error.to_string())?;
        pool.close().await;
        let store = DirectoryStore::open(&database).await.map_err(|error| fail(&error))?;
        if look(&store, config).await? {
            let write = async {
                let mut change = store.begin().await?;
                change.set_setting(REALM, &config.realm).await?;
                change.commit().await
            };
            write.await.map_err(|error| fail(&error))?;
        }
        Ok(())
    })
}

/// The same for `check`: it reads what there is, also while a switch runs, and changes nothing.
pub(super) fn look_without_starting(config: &Config) -> Outcome {
    check_writable(&config.data_directory)?;
    let database = settings::database(config).map_err(|error| error.to_string())?;
    // Before the first start there is none, or an empty one.
    if database.file().is_some_and(|file| !file.exists()) {
        return Ok(());
    }
    block_on(async {
        let store = DirectoryStore::open_read_only(&database).await;
        let store = store.map_err(|error| format!("{database}: {error}"))?;
        if store.has_tables().await.map_err(|error| error.to_string())? {
            look(&store, config).await?;
        }
        Ok(())
    })
}

/// Whether the data directory is there and can be written, or can be made.
fn check_writable(directory: &Path) -> Outcome {
    use nix::unistd::{AccessFlags, access};
    let absolute = std::path::absolute(directory).map_err(|error| error.to_string())?;
    let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        return Err(format!(
            "data_directory = {}: {} is a file; name a directory",
            directory.display(),
            there.display()
        ));
    }
    access(there, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
        let directory = directory.display();
        let there = there.display();
        format!(
            "data_directory = {directory}: {there} cannot be written ({}); let this user write it, \
             or name another",
            error.desc()
        )
    })
}

fn block_on(look: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?
        .block_on(look)
}

/// Whether the realm is still to be written down.
async fn look(store: &DirectoryStore, config: &Config) -> Result<bool, String> {
    let fail = |error: ChangeError| error.to_string();
    let subscribers = store.subscribers().await.map_err(fail)?;
    let trunks = store.trunks().await.map_err(fail)?;
    let ours = subscribers.iter().map(|s| ("subscriber", s.username.as_str(), &s.secret));
    let theirs = trunks.iter().filter_map(|t| t.ingress.as_ref());
    let theirs = theirs.map(|(username, secret)| ("trunk user", username.as_str(), secret));
    let secrets: Vec<_> = ours.chain(theirs).collect();
    let realm = &config.realm;
    let known = store.setting(REALM).await.map_err(fail)?;
    let is_new = known.as_ref() != Some(realm);
    if let Some(known) = known.filter(|_| is_new && !secrets.is_empty()) {
        return Err(format!(
            "realm = {realm:?}: the passwords in the data directory are hashed over the realm \
             {known:?}; set it back, or remove all subscribers and the trunks' ingress passwords"
        ));
    }
    if !config.is_loopback_only() {
        for (kind, username, secret) in secrets {
            let mut guesses = GUESSES.iter().copied().chain([username]);
            if guesses.any(|guess| digest_secret(username, realm, guess) == *secret) {
                return Err(format!(
                    "{kind} {username} has a password that everyone would guess, and a listener \
                     is not on loopback; start it with listeners on 127.0.0.1 only, give it \
                     another password (`tandem subscriber password`, `tandem trunk set`), and \
                     start anew"
                ));
            }
        }
    }
    Ok(is_new)
}

#[cfg(test)]
mod tests {
    use store::directory::{Account, BillingKind, Trunk};
    use vocabulary::Utc;

    use super::*;

    fn config(directory: &Path) -> Config {
        let data_directory = directory.to_owned();
        let mut config = Config { data_directory, ..Config::default() };
        for listener in &mut config.listeners {
            listener.address.set_ip([0, 0, 0, 0].into());
        }
        config
    }

    /// A trunk that proves itself with this password.
    fn with_trunk(config: &Config, username: &str, password: &str) {
        let database = store::DataPaths::new(&config.data_directory).database();
        let secret = digest_secret(username, &config.realm, password);
        block_on(async {
            database.open().await.unwrap().close().await;
            let store = DirectoryStore::open(&database).await.unwrap();
            let mut change = store.begin().await.unwrap();
            let account = Account::new("acme", BillingKind::Postpaid, "EUR", Utc(0));
            let account = change.add_account(account).await.unwrap();
            let mut trunk = Trunk::new("acme", account.id, Utc(0));
            trunk.ingress = Some((username.to_owned(), secret));
            change.add_trunk(trunk).await.unwrap();
            change.commit().await.unwrap();
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_trunks_guessable_password_is_refused_like_a_phones() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        with_trunk(&config, "acme", "acme");
        for look in [look_before_start, look_without_starting] {
            let refused = look(&config).unwrap_err();
            assert!(refused.starts_with("trunk user acme has a password"), "{refused}");
        }
    }

    #[test]
    fn nothing_is_touched_while_another_process_has_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let held = DataDir::open(directory.path()).unwrap();
        let refused = look_before_start(&config).unwrap_err();
        assert!(refused.contains("in use by another process"), "{refused}");
        assert!(!held.paths().database().file().unwrap().exists());
        drop(held);
        look_before_start(&config).unwrap();
        // Another realm is written down by `run` alone, and only while there are no passwords.
        let other = Config { realm: "elsewhere.example".into(), ..config.clone() };
        look_without_starting(&other).unwrap();
        with_trunk(&config, "acme", "9f8e7d6c5b");
        look_without_starting(&config).unwrap();
        let refused = look_without_starting(&other).unwrap_err();
        assert!(refused.contains("over the realm \"tandem\""), "{refused}");
    }

    #[test]
    fn a_data_directory_that_cannot_be_made_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = look_without_starting(&config(&file.join("below"))).unwrap_err();
        assert!(refused.ends_with("is a file; name a directory"), "{refused}");
        look_without_starting(&config(&directory.path().join("new/below"))).unwrap();
        assert!(!directory.path().join("new").exists());
    }
}
