//! baresip, driven through its `ctrl_tcp` module: netstrings of JSON, commands in, events out.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::phone::{Phone, Place, Running, Seen, until};
use crate::scenarios::tandem;

pub(crate) const NUMBER: &str = "2001";

/// A running baresip.
pub(crate) struct Baresip {
    process: Running,
    control: TcpStream,
    unread: Vec<u8>,
    /// What it has told us and nobody has waited for.
    events: Vec<Value>,
}

impl Baresip {
    pub(crate) fn start(place: &Place) -> Result<Baresip, String> {
        let write = |name: &str, text: String| {
            fs::write(place.dir.join(name), text).map_err(|e| format!("baresip’s {name}: {e}"))
        };
        write("config", config(place))?;
        write("accounts", account(place))?;
        let log = File::create(place.dir.join("log")).map_err(|e| e.to_string())?;
        let child = place
            .command("baresip")
            .arg("-f")
            .arg(&place.dir)
            .args(["-s", "-v"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|e| e.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|e| format!("cannot start baresip (Debian package baresip-core): {e}"))?;
        let process = Running(child);
        let mut control = None;
        until("baresip takes commands", || {
            control = TcpStream::connect(place.control).ok();
            Ok(control.is_some())
        })?;
        let control = control.expect("connected, or we would have given up");
        let short = Some(Duration::from_millis(20));
        control.set_read_timeout(short).map_err(|e| e.to_string())?;
        Ok(Baresip { process, control, unread: Vec::new(), events: Vec::new() })
    }

    fn command(&mut self, command: &str, params: &str) -> Result<(), String> {
        let text = json!({ "command": command, "params": params, "token": command }).to_string();
        let netstring = format!("{}:{text},", text.len());
        self.control.write_all(netstring.as_bytes()).map_err(|e| format!("baresip: {e}"))?;
        let is_answer = |event: &Value| event["token"] == command;
        let answer = self.find(&format!("baresip answers {command}"), is_answer)?;
        if answer["ok"] == true {
            return Ok(());
        }
        Err(format!("baresip refuses {command}: {}", answer["data"]))
    }

    /// The first event that fits; it and all before it count as seen.
    fn find(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let mut found = None;
        let waited = until(what, || {
            self.read()?;
            found = self.events.iter().position(&fits);
            Ok(found.is_some())
        });
        waited.map_err(|why| format!("{why}; it said {:?}", self.events))?;
        let index = found.expect("found, or we would have given up");
        // An event may come before the answer to the command that caused it.
        Ok(self.events.remove(index))
    }

    fn read(&mut self) -> Result<(), String> {
        let mut bytes = [0; 4096];
        match self.control.read(&mut bytes) {
            Ok(0) => return Err("baresip has ended".to_string()),
            Ok(length) => self.unread.extend_from_slice(&bytes[..length]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => return Err(format!("baresip: {e}")),
        }
        while let Some((event, length)) = netstring(&self.unread) {
            self.events.push(event);
            self.unread.drain(..length);
        }
        Ok(())
    }
}

/// The first whole netstring, and how long it is.
fn netstring(bytes: &[u8]) -> Option<(Value, usize)> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    let text = bytes.get(colon + 1..colon + 1 + length)?;
    bytes.get(colon + 1 + length)?;
    Some((serde_json::from_slice(text).unwrap_or_default(), colon + length + 2))
}

impl Phone for Baresip {
    fn make(&self) -> &'static str {
        "baresip"
    }

    fn number(&self) -> &'static str {
        NUMBER
    }

    fn dial(&mut self, number: &str) -> Result<(), String> {
        self.read()?;
        self.events.clear();
        self.command("dial", number)
    }

    fn answer(&mut self) -> Result<(), String> {
        self.command("accept", "")
    }

    fn hold(&mut self) -> Result<(), String> {
        self.events.clear();
        self.command("hold", "")
    }

    fn resume(&mut self) -> Result<(), String> {
        self.events.clear();
        self.command("resume", "")
    }

    fn press(&mut self, _digit: char) -> Result<(), String> {
        Err("baresip sends its keys in the media only".to_string())
    }

    fn transfer(&mut self, number: &str) -> Result<(), String> {
        self.command("transfer", number)
    }

    fn hang_up(&mut self) -> Result<(), String> {
        self.command("hangup", "")
    }

    fn wait(&mut self, what: Seen) -> Result<(), String> {
        let mut buffer = [0; 4];
        let (kind, param) = match what {
            Seen::Incoming => ("CALL_INCOMING", None),
            Seen::Ringing => ("CALL_RINGING", None),
            Seen::Talking => ("CALL_ESTABLISHED", None),
            // It has no events for these but that of the answer or the offer that has come.
            Seen::Holds | Seen::Resumed => ("CALL_REMOTE_SDP", Some("answer")),
            Seen::IsHeld | Seen::WasResumed => ("CALL_REMOTE_SDP", Some("offer")),
            Seen::Digit(digit) => ("CALL_DTMF_START", Some(&*digit.encode_utf8(&mut buffer))),
            Seen::KeyTaken => return Err("baresip sends its keys in the media only".to_string()),
            Seen::Ended => ("CALL_CLOSED", None),
        };
        self.find(&format!("baresip: {what:?}"), |event| {
            event["type"] == kind && param.is_none_or(|param| event["param"] == param)
        })?;
        // The call's own offer and answer are behind us now.
        if what == Seen::Talking {
            self.read()?;
            self.events.clear();
        }
        Ok(())
    }

    fn quit(&mut self) -> Result<(), String> {
        let _ = Command::new("kill").arg(self.process.0.id().to_string()).status();
        self.process.ended("baresip ends").map(drop)
    }
}

fn account(place: &Place) -> String {
    let (server, transport) = (place.server, place.transport.word());
    let password = tandem::password(NUMBER);
    let outbound = match place.proxy {
        Some(proxy) => format!("outbound=\"sip:{proxy};transport=udp\";"),
        None => String::new(),
    };
    format!(
        "<sip:{NUMBER}@{server};transport={transport}>;auth_user={NUMBER};auth_pass={password};\
         {outbound}answermode=manual;regint=120\n"
    )
}

/// No sound card: its bridge device plays to its own source, so it sends back what it hears.
fn config(place: &Place) -> String {
    let Place { address, sip_port, rtp_port, control, .. } = place;
    let rtp_last = rtp_port + 10;
    let trust = match &place.authority {
        Some(authority) => format!("sip_cafile {}\n", authority.display()),
        None => String::new(),
    };
    format!(
        "\
poll_method epoll
sip_listen {address}:{sip_port}
{trust}net_interface {address}
call_local_timeout 30
call_max_calls 4
audio_source aubridge,bridge
audio_player aubridge,bridge
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
audio_level no
rtp_ports {rtp_port}-{rtp_last}
module_path /usr/lib/baresip/modules
module g711.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module ctrl_tcp.so
ctrl_tcp_listen {control}
"
    )
}
