//! A private PostgreSQL for tests: a cluster in a temporary folder, on a port of its own on loopback,
//! run by an unprivileged user, stopped by its process id.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What tests read the server's address from.
pub(crate) const ADDRESS: &str = "TANDEM_TEST_POSTGRES";
/// Where Debian has the programs, a folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";
const START_MAX: Duration = Duration::from_secs(60);
/// The user to drop to: initdb refuses root.
const UNPRIVILEGED: &str = "nobody";

/// A running cluster.
pub(crate) struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// Makes one in a new folder below the temporary directory, and starts it.
    pub(crate) fn start() -> Result<Cluster, String> {
        let bin = programs()?;
        let folder = std::env::temp_dir().join(format!("tandem-postgres-{}", std::process::id()));
        let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(fail)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).map_err(fail)?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = port.map_err(|error| error.to_string())?.port();
        let mut cluster = Cluster { folder, bin, port, server: None };
        let initdb = cluster
            .program("initdb")
            .args(["--auth=trust", "--username=tandem", "--no-sync", "--encoding=UTF8"])
            .args(["--locale=C", "--pgdata"])
            .arg(cluster.folder.join("data"))
            .output()
            .map_err(|error| format!("initdb: {error}"))?;
        if !initdb.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&initdb.stderr)));
        }
        cluster.start_server()?;
        Ok(cluster)
    }

    /// Starts the server, or starts it again, and waits until it answers.
    pub(crate) fn start_server(&mut self) -> Result<(), String> {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log"));
        let log = log.map_err(|error| error.to_string())?;
        let server = self
            .program("postgres")
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=300", "-c", "unix_socket_directories="])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("postgres: {error}"))?;
        self.server = Some(server);
        let begin = Instant::now();
        let port = self.port.to_string();
        while !self
            .program("pg_isready")
            .args(["-q", "-h", "127.0.0.1", "-p", &port])
            .status()
            .is_ok_and(|status| status.success())
        {
            let is_gone =
                self.server.as_mut().is_none_or(|server| !matches!(server.try_wait(), Ok(None)));
            if is_gone || begin.elapsed() > START_MAX {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("PostgreSQL does not start: {log}"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Stops the server at once, as a crash would, and waits until it is gone.
    pub(crate) fn stop_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal(server.id(), "-QUIT");
            let _ = server.wait();
        }
    }

    /// Lets the server hang, so that connections neither answer nor break; or lets it go on.
    pub(crate) fn hang(&self, is_hanging: bool) {
        let Some(server) = &self.server else { return };
        let name = if is_hanging { "-STOP" } else { "-CONT" };
        // Those that serve connections are its children.
        let children = format!("/proc/{0}/task/{0}/children", server.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        signal(server.id(), name);
        for child in children.split_whitespace() {
            if let Ok(child) = child.parse() {
                signal(child, name);
            }
        }
    }

    /// The address of one of its databases; `postgres` is always there.
    pub(crate) fn address(&self, database: &str) -> String {
        format!("postgres://tandem@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database.
    pub(crate) fn create(&self, database: &str) -> Result<String, String> {
        self.psql("postgres", &format!("CREATE DATABASE {database}"))?;
        Ok(self.address(database))
    }

    /// Runs a statement; what it answers, a row a line with | between columns.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = self
            .program("psql")
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", &self.address(database), "-c", sql])
            .output()
            .map_err(|error| format!("psql: {error}"))?;
        if !output.status.success() {
            return Err(format!("{sql}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// One of PostgreSQL's programs; as an unprivileged user if we are root.
    fn program(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let is_root = fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", UNPRIVILEGED, "--regid", "nogroup", "--clear-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        // Not in a folder that the user may not see.
        command.current_dir(&self.folder).env("LC_ALL", "C");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.hang(false);
        self.stop_server();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn signal(process: u32, name: &str) {
    let _ = Command::new("kill").args([name, &process.to_string()]).status();
}

/// The folder with initdb and postgres: the newest that Debian has, or where PATH finds initdb.
fn programs() -> Result<PathBuf, String> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = versions
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(|path| version(path))
        .map(|path| path.join("bin"));
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
    };
    newest.or_else(on_path).ok_or_else(|| {
        "there is no initdb; install PostgreSQL: apt-get install postgresql".to_owned()
    })
}

fn version(path: &Path) -> u32 {
    path.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

/// `cargo xtask postgres COMMAND …`: runs a command with a cluster around it.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let [command, rest @ ..] = args else {
        return Err("usage: cargo xtask postgres COMMAND [ARGUMENT …]".to_owned());
    };
    let cluster = Cluster::start()?;
    let status =
        Command::new(command).args(rest).env(ADDRESS, cluster.address("postgres")).status();
    drop(cluster);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command}: {status}")),
        Err(error) => Err(format!("{command}: {error}")),
    }
}
