//! What can be asked of a telephone and seen of it, whatever its make, and where one is.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Longest wait for anything that a telephone or Tandem should do at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a telephone can be seen to do in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Incoming,
    Ringing,
    Talking,
    /// It holds, and the other side has agreed.
    Holds,
    /// The other side holds it.
    IsHeld,
    Resumed,
    WasResumed,
    /// The other side has pressed a key, and sent it in an INFO.
    Digit(char),
    /// The other side has taken its own key.
    KeyTaken,
    Ended,
}

/// A telephone under remote control.
pub(crate) trait Phone {
    /// Its make, for messages.
    fn make(&self) -> &'static str;
    /// Its user at Tandem, who is also its number.
    fn number(&self) -> &'static str;
    fn dial(&mut self, number: &str) -> Result<(), String>;
    fn answer(&mut self) -> Result<(), String>;
    fn hold(&mut self) -> Result<(), String>;
    fn resume(&mut self) -> Result<(), String>;
    /// Presses a key.
    fn press(&mut self, digit: char) -> Result<(), String>;
    /// Has the other side of its call call this number instead.
    fn transfer(&mut self, number: &str) -> Result<(), String>;
    fn hang_up(&mut self) -> Result<(), String>;
    /// Waits until it has been seen to do this since it was last waited for.
    fn wait(&mut self, what: Seen) -> Result<(), String>;
    /// Ends it politely: it takes its registration back.
    fn quit(&mut self) -> Result<(), String>;
}

/// By what a telephone speaks to the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// As in a URI.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }
}

/// Where a telephone keeps its files, where it listens, and how it reaches the switch.
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    /// The network namespace that it runs in, if not our own.
    pub(crate) namespace: Option<String>,
    /// Its own address.
    pub(crate) address: IpAddr,
    pub(crate) sip_port: u16,
    pub(crate) rtp_port: u16,
    /// Where it takes commands, if its make takes them over a network.
    pub(crate) control: SocketAddr,
    /// The registrar.
    pub(crate) server: SocketAddr,
    pub(crate) transport: Transport,
    /// What it sends everything to instead, by UDP.
    pub(crate) proxy: Option<SocketAddr>,
    /// Who vouches for the registrar's certificate (PEM).
    pub(crate) authority: Option<PathBuf>,
}

impl Place {
    /// What starts `program` there, with `dir` as its home.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = in_namespace(self.namespace.as_deref(), program);
        command.env("HOME", &self.dir).current_dir(&self.dir);
        command
    }
}

/// `program` in a network namespace.
pub(crate) fn in_namespace(namespace: Option<&str>, program: &str) -> Command {
    let Some(namespace) = namespace else { return Command::new(program) };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// Asks again and again until it is so, or patience ends.
pub(crate) fn until(
    what: &str,
    mut is_so: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() > deadline {
            return Err(format!("     not within {PATIENCE:?}: {what}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A process that does not outlive us.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Waits for its end.
    pub(crate) fn ended(&mut self, what: &str) -> Result<bool, String> {
        let mut success = false;
        until(what, || {
            let status = self.0.try_wait().map_err(|e| e.to_string())?;
            success = status.is_some_and(|status| status.success());
            Ok(status.is_some())
        })?;
        Ok(success)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
