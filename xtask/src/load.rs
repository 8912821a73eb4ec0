//! What the tests of endurance share: their options, SIPp under load, and looks into the database
//! from outside, with the `sqlite3` shell.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::scenarios::scenario;
use crate::scenarios::tandem;

/// `[COUNT] [--binary PATH] [--keep]`.
pub(crate) struct Options {
    pub(crate) count: u32,
    pub(crate) binary: PathBuf,
    /// Keep the temporary folder (logs, data).
    pub(crate) keep: bool,
}

impl Options {
    /// `what` is counted; `default` of them if nothing is said.
    pub(crate) fn read(args: &[&str], what: &str, default: u32) -> Result<Options, String> {
        let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_string());
        let binary = Path::new(&target).join("release/tandem");
        let mut options = Options { count: default, binary, keep: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match *arg {
                "--binary" => {
                    let path = args.next().ok_or("--binary needs a path")?;
                    options.binary = PathBuf::from(path);
                }
                "--keep" => options.keep = true,
                text => {
                    options.count =
                        text.parse().map_err(|_| format!("{text} is not a number of {what}"))?;
                }
            }
        }
        if options.binary.is_file() {
            return Ok(options);
        }
        Err(format!(
            "{} is not there; build it with `cargo build --release -p server` or name one with --binary",
            options.binary.display()
        ))
    }

    /// Runs `test` in a temporary folder, which stays if it fails or is to be kept.
    pub(crate) fn in_folder(
        &self,
        name: &str,
        test: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<(), String> {
        let dir = std::env::temp_dir().join(format!("tandem-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let outcome = test(&dir);
        if outcome.is_ok() && !self.keep {
            let _ = fs::remove_dir_all(&dir);
        } else {
            println!("kept {}", dir.display());
        }
        outcome
    }
}

/// A process that does not outlive its owner.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// SIPp with a script of the load bench; its own port is the one called `port` in the run that
/// starts at `base`, where Tandem listens.
pub(crate) fn sipp(dir: &Path, base: u16, script: &str, port: &str) -> Result<Command, String> {
    sipp_as("1001", dir, base, script, port)
}

/// The same as another subscriber.
pub(crate) fn sipp_as(
    user: &str,
    dir: &Path,
    base: u16,
    script: &str,
    port: &str,
) -> Result<Command, String> {
    let password = tandem::password(user);
    let line = format!("SEQUENTIAL\n{user};[authentication username={user} password={password}]\n");
    let users = format!("users-{user}.csv");
    fs::write(dir.join(&users), line).map_err(|e| e.to_string())?;
    let load = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/load.d").join(script);
    let mut command = Command::new("sipp");
    command
        .arg(format!("127.0.0.1:{base}"))
        .args(["-i", "127.0.0.1", "-nostdin", "-s", scenario::CLD, "-inf", &users, "-sf"])
        .arg(load)
        .args(["-p", &scenario::port(base, port).to_string()])
        // On a busy machine its own 64 KiB overflow, and it calls that a lost message.
        .args(["-buff_size", "4194304"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(command)
}

/// How many calls succeeded, by the `stat.csv` of a caller run with `-trace_stat -stf stat.csv`.
pub(crate) fn succeeded(dir: &Path) -> u32 {
    succeeded_by(&dir.join("stat.csv"))
}

/// The same by statistics with another name.
pub(crate) fn succeeded_by(statistics: &Path) -> u32 {
    let text = fs::read_to_string(statistics).unwrap_or_default();
    let header: Vec<&str> = text.lines().next().unwrap_or("").split(';').collect();
    let last: Vec<&str> = text.lines().last().unwrap_or("").split(';').collect();
    let column = header.iter().position(|h| *h == "SuccessfulCall(C)");
    column.and_then(|c| last.get(c)).and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// Why SIPp did not start.
pub(crate) fn no_sipp(error: std::io::Error) -> String {
    format!("cannot start sipp (Debian package sip-tester): {error}")
}

fn sqlite(dir: &Path) -> Command {
    let mut command = Command::new("sqlite3");
    command.args(["-batch", "-bail", "-cmd", ".timeout 20000"]).arg(dir.join("data/tandem.db"));
    command
}

fn no_sqlite(error: std::io::Error) -> String {
    format!("cannot start sqlite3 (Debian package sqlite3): {error}")
}

/// The rows of a question to the database, columns separated by `|`.
pub(crate) fn query(dir: &Path, sql: &str) -> Result<Vec<String>, String> {
    let output = sqlite(dir).arg(sql).output().map_err(no_sqlite)?;
    if !output.status.success() {
        return Err(format!("sqlite3: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect())
}

/// The database taken away: nobody else can write to it until this is dropped.
pub(crate) struct DatabaseLock {
    input: ChildStdin,
    _sqlite: Killed,
}

impl DatabaseLock {
    /// Waits for the writer's current transaction, then locks it out.
    pub(crate) fn take(dir: &Path) -> Result<DatabaseLock, String> {
        let mut child = sqlite(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(no_sqlite)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let sqlite = Killed(child);
        let (Some(mut input), Some(output)) = (input, output) else {
            unreachable!("both are piped");
        };
        input.write_all(b"BEGIN EXCLUSIVE; SELECT 'locked';\n").map_err(|e| e.to_string())?;
        input.flush().map_err(|e| e.to_string())?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(|e| e.to_string())?;
        if line.trim() != "locked" {
            return Err("the database cannot be locked".to_string());
        }
        Ok(DatabaseLock { input, _sqlite: sqlite })
    }

    /// Gives it back.
    pub(crate) fn release(mut self) -> Result<(), String> {
        self.input.write_all(b"COMMIT;\n.quit\n").map_err(|e| e.to_string())?;
        drop(self.input);
        self._sqlite.0.wait().map_err(|e| e.to_string())?;
        Ok(())
    }
}
