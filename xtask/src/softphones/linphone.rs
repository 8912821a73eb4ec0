//! linphonec, driven through its standard input and watched through its log on standard output.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{ChildStdin, Stdio};

use super::phone::{Phone, Place, Running, Seen, Transport, until};
use crate::scenarios::tandem;

pub(crate) const NUMBER: &str = "2002";

/// A running linphonec.
pub(crate) struct Linphone {
    process: Running,
    keyboard: ChildStdin,
    log: PathBuf,
    /// How much of the log has been waited for.
    seen: usize,
}

impl Linphone {
    pub(crate) fn start(place: &Place) -> Result<Linphone, String> {
        // It does not make the folder of its database.
        fs::create_dir_all(place.dir.join(".local/share/linphone")).map_err(|e| e.to_string())?;
        let rc = place.dir.join("linphonerc");
        fs::write(&rc, config(place)).map_err(|e| format!("{}: {e}", rc.display()))?;
        let log = place.dir.join("log");
        let out = File::create(&log).map_err(|e| e.to_string())?;
        let mut child = place
            .command("linphonec")
            .arg("-c")
            .arg(rc)
            .args(["-d", "6"])
            .stdin(Stdio::piped())
            .stdout(out.try_clone().map_err(|e| e.to_string())?)
            .stderr(out)
            .spawn()
            .map_err(|e| format!("cannot start linphonec (Debian package linphone-cli): {e}"))?;
        let keyboard = child.stdin.take().expect("we asked for a pipe");
        let mut linphone = Linphone { process: Running(child), keyboard, log, seen: 0 };
        linphone.command("soundcard use files")?;
        linphone.wait_for("Using wav files instead of soundcard")?;
        Ok(linphone)
    }

    fn command(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.keyboard, "{line}")
            .and_then(|()| self.keyboard.flush())
            .map_err(|e| format!("linphone has ended: {e}"))
    }

    /// Waits for a text in the log behind what was waited for before.
    fn wait_for(&mut self, text: &str) -> Result<(), String> {
        let (path, seen) = (self.log.clone(), self.seen);
        let mut found = None;
        until(&format!("linphone says “{}”", text.trim()), || {
            let log = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let log = &log[seen.min(log.len())..];
            found = log.windows(text.len()).position(|window| window == text.as_bytes());
            Ok(found.is_some())
        })?;
        self.seen += found.map_or(0, |at| at + text.len());
        Ok(())
    }
}

impl Phone for Linphone {
    fn make(&self) -> &'static str {
        "linphone"
    }

    fn number(&self) -> &'static str {
        NUMBER
    }

    fn dial(&mut self, number: &str) -> Result<(), String> {
        self.command(&format!("call {number}"))
    }

    fn answer(&mut self) -> Result<(), String> {
        self.command("answer")
    }

    fn hold(&mut self) -> Result<(), String> {
        self.command("pause")
    }

    fn resume(&mut self) -> Result<(), String> {
        self.command("resume")
    }

    fn press(&mut self, digit: char) -> Result<(), String> {
        self.command(&digit.to_string())
    }

    fn transfer(&mut self, number: &str) -> Result<(), String> {
        self.command(&format!("transfer {number}"))
    }

    fn hang_up(&mut self) -> Result<(), String> {
        self.command("terminate")
    }

    fn wait(&mut self, what: Seen) -> Result<(), String> {
        let state = match what {
            Seen::Incoming => "IncomingReceived",
            Seen::Ringing => "OutgoingRinging",
            Seen::Talking | Seen::Resumed | Seen::WasResumed => "StreamsRunning",
            Seen::Holds => {
                // What the other side makes of `sendonly`.
                self.wait_for("a=recvonly\r\n")?;
                "Paused\n"
            }
            Seen::IsHeld => "PausedByRemote",
            Seen::Digit(digit) => return self.wait_for(&format!("Receiving tone {digit}")),
            Seen::KeyTaken => {
                self.wait_for("Signal=")?;
                return self.wait_for(" INFO\r\n");
            }
            Seen::Ended => "Released",
        };
        // A line of a call's states ends with “to STATE”, and the next line tells the user.
        self.wait_for(&format!(" to LinphoneCall{state}"))
    }

    fn quit(&mut self) -> Result<(), String> {
        self.command("quit")?;
        self.process.ended("linphone ends").map(drop)
    }
}

/// Without video, without a sound card (`soundcard use files` above), on its own address only.
fn config(place: &Place) -> String {
    let Place { address, server, sip_port, rtp_port, transport, .. } = place;
    let password = tandem::password(NUMBER);
    let port = |listens: Transport| if listens == *transport { *sip_port } else { 0 };
    let (udp, tcp, tls) = (port(Transport::Udp), port(Transport::Tcp), port(Transport::Tls));
    let transport = transport.word();
    let (first, route) = match place.proxy {
        Some(proxy) => (proxy, format!("reg_route=<sip:{proxy};transport=udp;lr>\n")),
        None => (*server, String::new()),
    };
    let trust = match &place.authority {
        Some(authority) => format!("root_ca={}\nverify_server_certs=1\n", authority.display()),
        None => String::new(),
    };
    format!(
        "\
[sip]
default_proxy=0
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port={tls}
bind_address={address}
guess_hostname=0
contact=sip:{NUMBER}@{address}:{sip_port}
use_ipv6=0
use_info=1
use_rfc2833=0
{trust}
[rtp]
audio_rtp_port={rtp_port}
bind_address={address}

[auth_info_0]
username={NUMBER}
passwd={password}
realm=tandem.test

[proxy_0]
reg_proxy=<sip:{first};transport={transport}>
{route}reg_identity=sip:{NUMBER}@{server}
reg_expires=120
reg_sendregister=1
publish=0
"
    )
}
