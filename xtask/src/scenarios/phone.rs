//! A phone of our own, for what SIPp cannot play: digest with SHA-256, and answers to challenges
//! that are used twice. One message at a time over UDP.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use sip::auth::{self, CredentialsHeader};
use sip::message::{HeaderName, Message, Method};

use super::stage::Stage;

/// RFC 3261's T1, after which a request is sent again.
const T1: Duration = Duration::from_millis(500);
/// What a phone waits for an answer at most.
const PATIENCE: Duration = Duration::from_secs(10);
const TALK: Duration = Duration::from_millis(1500);

/// One phone in a `scenario.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phone {
    /// What it does.
    plays: Play,
    /// A name from the port table.
    port: String,
    /// A subscriber of the world.
    pub(crate) user: String,
    /// Which algorithm its answer must have used.
    algorithm: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Play {
    /// Registers.
    Register,
    /// Registers, and again with the answer that it has used: that must be stale.
    RegisterReplayed,
    /// Calls, talks for a second and a half and hangs up.
    Call,
    /// The same, and calls again with the answer that it has used: that must be stale.
    CallReplayed,
}

/// Plays it to its end.
pub(crate) fn play(stage: &Stage, phone: &Phone) -> Result<(), String> {
    let line = Line::open(stage, phone)?;
    let played = match phone.plays {
        Play::Register => line.register().map(drop),
        Play::RegisterReplayed => line.register().and_then(|used| {
            let again = line.request(Method::Register, "r2", 1, "", Some(&used));
            line.stale(again, 401)
        }),
        Play::Call => line.call().map(drop),
        Play::CallReplayed => line.call().and_then(|used| {
            let again = line.request(Method::Invite, "c2", 1, "", Some(&used));
            line.stale(again, 407)
        }),
    };
    played.map_err(|why| format!("     the phone of {}: {why}", phone.user))
}

/// A socket and who speaks through it.
struct Line<'a> {
    socket: UdpSocket,
    local: SocketAddr,
    target: SocketAddr,
    user: String,
    credentials: auth::Credentials,
    called: String,
    algorithm: Option<&'a str>,
    /// Makes branches, tags and Call-IDs those of this run.
    run: u32,
}

impl<'a> Line<'a> {
    fn open(stage: &Stage, phone: &'a Phone) -> Result<Line<'a>, String> {
        let local = SocketAddr::new(stage.local, stage.port(&phone.port));
        let fail = |e: std::io::Error| format!("     {local}: {e}");
        let socket = UdpSocket::bind(local).map_err(fail)?;
        socket.connect(stage.target).map_err(fail)?;
        socket.set_read_timeout(Some(T1)).map_err(fail)?;
        let user = stage.username(&phone.user);
        let credentials = auth::Credentials::new(&user, &stage.password(&phone.user));
        Ok(Line {
            socket,
            local,
            target: stage.target,
            user,
            credentials,
            called: stage.called(None),
            algorithm: phone.algorithm.as_deref(),
            run: std::process::id(),
        })
    }

    fn uri(&self, method: Method<'_>) -> String {
        match method {
            Method::Register => format!("sip:{}", self.target),
            _ => format!("sip:{}@{}", self.called, self.target),
        }
    }

    /// `to_tag` also makes it a request within the dialog.
    fn request(
        &self,
        method: Method<'_>,
        call: &str,
        cseq: u32,
        to_tag: &str,
        answer: Option<&CredentialsHeader>,
    ) -> String {
        let Line { local, target, user, run, .. } = self;
        let name = String::from_utf8_lossy(method.as_bytes()).into_owned();
        let uri = self.uri(method);
        let to = if method == Method::Register { user } else { &self.called };
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        let credentials =
            answer.map(|a| format!("{}: {}\r\n", a.name, a.value)).unwrap_or_default();
        let body = match method {
            Method::Invite => format!(
                "v=0\r\no=phone 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
                 m=audio 6000 RTP/AVP 8\r\n",
                ip = local.ip()
            ),
            _ => String::new(),
        };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{name} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch=z9hG4bK{run}-{call}-{cseq}-{name}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:{user}@{target}>;tag={run}-{call}\r\n\
             To: <sip:{to}@{target}>{to_tag}\r\n\
             Call-ID: {run}-{call}@{local}\r\n\
             CSeq: {cseq} {name}\r\n\
             Contact: <sip:{user}@{local}>\r\n\
             {credentials}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Sends until a final response comes.
    fn ask(&self, request: &str) -> Result<Message, String> {
        let started = Instant::now();
        let mut buffer = vec![0; 65_535];
        let line = request.lines().next().unwrap_or_default();
        let sent = Message::parse(Bytes::copy_from_slice(request.as_bytes()))
            .map_err(|fault| format!("{line}: {fault}"))?;
        let mut has_heard = false;
        while started.elapsed() < PATIENCE {
            if !has_heard {
                self.send(request)?;
            }
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let Ok(message) = Message::parse(Bytes::copy_from_slice(&buffer[..length])) else {
                    return Err(format!("{line}: the answer cannot be read"));
                };
                let is_ours = !message.is_request()
                    && message.cseq() == sent.cseq()
                    && message.call_id() == sent.call_id();
                has_heard |= is_ours;
                if is_ours && message.status() >= 200 {
                    return Ok(message);
                }
            }
        }
        Err(format!("{line}: no answer within {} s", PATIENCE.as_secs()))
    }

    fn send(&self, text: &str) -> Result<(), String> {
        let sent = self.socket.send(text.as_bytes());
        sent.map(drop).map_err(|e| format!("{}: {e}", self.target))
    }

    /// The answer to a challenge, by the algorithm that the scenario wants.
    fn answered(
        &self,
        challenge: &Message,
        method: Method<'_>,
    ) -> Result<CredentialsHeader, String> {
        let uri = self.uri(method);
        let cnonce = u64::from(self.run);
        let answer = auth::answer_challenge(
            challenge,
            &self.credentials,
            method,
            uri.as_bytes(),
            cnonce,
            false,
        );
        let status = challenge.status();
        let answer = answer.ok_or_else(|| format!("no challenge to answer but {status}"))?;
        match self.algorithm {
            Some(wanted) if !answer.value.contains(&format!("algorithm={wanted}")) => {
                Err(format!("the switch does not ask for {wanted}"))
            }
            _ => Ok(answer),
        }
    }

    fn register(&self) -> Result<CredentialsHeader, String> {
        let method = Method::Register;
        let challenge = self.ask(&self.request(method, "r1", 1, "", None))?;
        let answer = self.answered(&challenge, method)?;
        expect(&self.ask(&self.request(method, "r1", 2, "", Some(&answer)))?, 200)?;
        Ok(answer)
    }

    fn call(&self) -> Result<CredentialsHeader, String> {
        let challenge = self.ask(&self.request(Method::Invite, "c1", 1, "", None))?;
        self.acknowledge(&challenge, "c1", 1)?;
        let answer = self.answered(&challenge, Method::Invite)?;
        let answered = self.ask(&self.request(Method::Invite, "c1", 2, "", Some(&answer)))?;
        self.acknowledge(&answered, "c1", 2)?;
        expect(&answered, 200)?;
        std::thread::sleep(TALK);
        let bye = self.request(Method::Bye, "c1", 3, &to_tag(&answered), None);
        expect(&self.ask(&bye)?, 200)?;
        Ok(answer)
    }

    /// Of a failure it has the branch of the INVITE.
    fn acknowledge(&self, response: &Message, call: &str, cseq: u32) -> Result<(), String> {
        let ack = self.request(Method::Ack, call, cseq, &to_tag(response), None);
        let failed = response.status() >= 300;
        self.send(&if failed { ack.replace("-ACK\r\n", "-INVITE\r\n") } else { ack })
    }

    /// What was used twice is asked for again, without the user's being asked.
    fn stale(&self, request: String, status: u16) -> Result<(), String> {
        let response = self.ask(&request)?;
        if status == 407 {
            self.acknowledge(&response, "c2", 1)?;
        }
        expect(&response, status)?;
        let names = [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate];
        let mut challenges = names.into_iter().filter_map(|name| response.header(name));
        let is_stale = |value: &[u8]| String::from_utf8_lossy(value).contains("stale=true");
        if challenges.any(is_stale) { Ok(()) } else { Err("stale=true is missing".into()) }
    }
}

fn to_tag(response: &Message) -> String {
    String::from_utf8_lossy(response.to_tag().unwrap_or_default()).into_owned()
}

fn expect(response: &Message, status: u16) -> Result<(), String> {
    let got = response.status();
    if got == status { Ok(()) } else { Err(format!("{got} instead of {status}")) }
}
