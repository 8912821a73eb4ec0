//! A dip by SIP: an INVITE without an offer, which a redirect server answers with 3xx and the routing
//! number in its Contact (RFC 4694). Over UDP, by a socket of its own for each, so that only what the
//! server sends is heard.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sip::message::header::NameAddr;
use sip::message::{HeaderName, Message, Portability};
use switch::lookup::SipLookup;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};
use vocabulary::Number;

use super::{DipError, masked, served_at};
use crate::net::resolver::{Dns, Records};

/// RFC 3261 section 17.1.1.1: the first retransmission, and each after twice the time.
const T1: Duration = Duration::from_millis(500);
const DATAGRAM_MAX: usize = 4096;
/// What RFC 3261 section 8.1.1.7 has a branch begin with.
const MAGIC: &str = "z9hG4bK";

/// Whoever calls limits the time.
pub(super) async fn ask(
    dns: Option<&Dns>,
    lookup: &SipLookup,
    number: &Number,
) -> Result<Option<Number>, DipError> {
    let remote = address(dns, lookup).await?;
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(remote).await?;
    let dip = Dip::new(number, lookup, socket.local_addr()?);
    let answer = dip.exchange(&socket, T1).await?;
    // It would send its answer again and again; whether this arrives is nothing to the call.
    let _ = socket.send(dip.ack(&answer).as_bytes()).await;
    read(&answer, number)
}

async fn address(dns: Option<&Dns>, lookup: &SipLookup) -> Result<SocketAddr, DipError> {
    let SipLookup { host, port } = lookup;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok((address, *port).into());
    }
    let found = match dns {
        Some(dns) => dns.addresses(host).await,
        None => Vec::new(),
    };
    let address = found.first().ok_or_else(|| DipError::NoAddress(host.to_string()))?;
    Ok((*address, *port).into())
}

/// One INVITE.
struct Dip {
    /// Of the Request-URI and of To.
    uri: String,
    local: SocketAddr,
    /// Branch, tag and Call-ID are made of it.
    token: String,
}

impl Dip {
    fn new(number: &Number, lookup: &SipLookup, local: SocketAddr) -> Dip {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let SipLookup { host, port } = lookup;
        Dip { uri: format!("sip:+{}@{host}:{port}", number.as_str()), local, token }
    }

    fn invite(&self) -> String {
        self.request(
            "INVITE",
            &format!("<{}>", self.uri),
            &format!("Contact: <sip:{}>\r\n", self.local),
        )
    }

    fn ack(&self, answer: &Message) -> String {
        let own = format!("<{}>", self.uri);
        let to = answer.headers(HeaderName::To).next().map(String::from_utf8_lossy);
        self.request("ACK", to.as_deref().unwrap_or(&own), "")
    }

    /// RFC 3261 section 17.1.1.3: an ACK is as its INVITE but for method and To.
    fn request(&self, method: &str, to: &str, more: &str) -> String {
        let Dip { uri, local, token } = self;
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch={MAGIC}{token};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:lookup@{local}>;tag={token}\r\n\
             To: {to}\r\n\
             Call-ID: {token}\r\n\
             CSeq: 1 {method}\r\n\
             {more}Content-Length: 0\r\n\r\n"
        )
    }

    /// The final response.
    async fn exchange(&self, socket: &UdpSocket, t1: Duration) -> io::Result<Message> {
        let invite = self.invite();
        let mut buffer = vec![0; DATAGRAM_MAX];
        let (mut wait, mut is_heard) = (t1, false);
        socket.send(invite.as_bytes()).await?;
        let mut again = Instant::now() + wait;
        loop {
            match timeout_at(again, socket.recv(&mut buffer)).await {
                Ok(length) => {
                    let bytes = Bytes::copy_from_slice(&buffer[..length?]);
                    let Some(status) = self.answer(&bytes) else { continue };
                    match status {
                        (100..=199, _) => is_heard = true,
                        (_, message) => return Ok(message),
                    }
                }
                Err(_) => {
                    // RFC 3261 section 17.1.1.2: once there was a 1xx, it is only waited for.
                    if !is_heard {
                        socket.send(invite.as_bytes()).await?;
                    }
                    wait *= 2;
                    again = Instant::now() + wait;
                }
            }
        }
    }

    /// A response to this INVITE, with its status.
    fn answer(&self, bytes: &Bytes) -> Option<(u16, Message)> {
        let message = Message::parse(bytes.clone()).ok()?;
        let is_ours = message.call_id() == self.token.as_bytes();
        (is_ours && !message.is_request()).then(|| (message.status(), message))
    }
}

/// A redirection whose Contact has no routing number is to a number that is not ported.
fn read(answer: &Message, called: &Number) -> Result<Option<Number>, DipError> {
    match answer.status() {
        300..=399 => {}
        status => return Err(DipError::Status(status)),
    }
    let contact = answer.contacts().next();
    let uri = contact.as_ref().and_then(NameAddr::parsed_uri);
    let no_number = |what: &[u8]| DipError::NoNumber(masked(what));
    let uri = uri.ok_or_else(|| no_number(b"there is no Contact"))?;
    let Some(Portability { rn: Some(rn), rn_context, .. }) = Portability::of(&uri) else {
        return Ok(None);
    };
    served_at(rn, rn_context, called).ok_or_else(|| no_number(rn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(port: u16) -> SipLookup {
        SipLookup { host: "127.0.0.1".into(), port }
    }

    fn called() -> Number {
        "12025551234".parse().unwrap()
    }

    /// Answers the first INVITE that comes after `unheard` others; what it has heard.
    async fn server(unheard: usize, status: &'static str, contact: &'static str) -> Served {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let mut heard = Vec::new();
            let mut buffer = vec![0; DATAGRAM_MAX];
            for n in 0..unheard + 2 {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                if n == unheard {
                    let headers = text.lines().filter(|line| {
                        ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|h| line.starts_with(h))
                    });
                    let headers: Vec<&str> = headers.collect();
                    let headers = headers.join("\r\n");
                    let answer = format!(
                        "SIP/2.0 {status}\r\n{headers}\r\n{contact}Content-Length: 0\r\n\r\n"
                    );
                    let trying = format!("SIP/2.0 100 Trying\r\n{headers}\r\n\r\n");
                    socket.send_to(trying.as_bytes(), from).await.unwrap();
                    socket.send_to(answer.as_bytes(), from).await.unwrap();
                }
                heard.push(text);
            }
            heard
        });
        Served { port, heard }
    }

    struct Served {
        port: u16,
        heard: tokio::task::JoinHandle<Vec<String>>,
    }

    #[track_caller]
    fn check(found: &Result<Option<Number>, DipError>, expected: Option<Option<&str>>) {
        let expected = expected.map(|lrn| lrn.map(|lrn| lrn.parse().unwrap()));
        assert_eq!(found.as_ref().ok(), expected.as_ref(), "{found:?}");
    }

    #[tokio::test]
    async fn the_contact_of_a_redirection_has_the_number() {
        // T7, RFC 4694
        for (status, contact, expected) in [
            ("302 Moved", "<sip:+12025551234;npdi;rn=+12025550000@x>", Some(Some("12025550000"))),
            ("300 Choices", "<tel:+12025551234;npdi;rn=2025550000>", Some(Some("12025550000"))),
            (
                "302 Moved",
                "<sip:+12025551234;npdi;rn=2025550000;rn-context=+1@x>",
                Some(Some("12025550000")),
            ),
            ("302 Moved", "<sip:+12025551234;npdi@x>", Some(None)),
            ("302 Moved", "<sip:+12025551234@x>", Some(None)),
            ("302 Moved", "<sip:+12025551234;npdi;rn=elsewhere@x>", None),
            ("302 Moved", "<sip:+12025551234;npdi;rn=442079460000@x>", None),
            ("404 Not Found", "", None),
        ] {
            let contact = match contact {
                "" => "",
                contact => Box::leak(format!("Contact: {contact}\r\n").into_boxed_str()),
            };
            let Served { port, heard } = server(0, status, contact).await;
            check(&ask(None, &lookup(port), &called()).await, expected);
            let heard = heard.await.unwrap();
            assert!(heard[0].starts_with("INVITE sip:+12025551234@127.0.0.1:"), "{}", heard[0]);
            assert!(heard[1].starts_with("ACK sip:+12025551234@127.0.0.1:"), "{}", heard[1]);
        }
    }

    #[tokio::test]
    async fn an_invite_that_is_lost_is_sent_again() {
        let Served { port, heard } =
            server(2, "302 Moved", "Contact: <sip:1;rn=+12025550000@x>\r\n").await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(("127.0.0.1", port)).await.unwrap();
        let dip = Dip::new(&called(), &lookup(port), socket.local_addr().unwrap());
        let answer = dip.exchange(&socket, Duration::from_millis(5)).await.unwrap();
        assert_eq!(answer.status(), 302);
        socket.send(dip.ack(&answer).as_bytes()).await.unwrap();
        let heard = heard.await.unwrap();
        assert!(heard[..3].iter().all(|text| *text == heard[0]));
        assert!(heard[3].starts_with("ACK") || heard[3] == heard[0], "{}", heard[3]);
    }
}
