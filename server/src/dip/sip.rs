//! A dip by SIP: an INVITE without an offer, which a redirect server answers with 3xx and the routing
//! number in its Contact (RFC 4694). Over UDP, by a socket of its own for each, so that only what the
//! server sends is heard.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sip::message::header::NameAddr;
use sip::message::{HeaderName, Message, Method, Portability};
use switch::lookup::SipLookup;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use vocabulary::Number;

use super::{DipError, masked, served_at};
use crate::net::resolver::{Dns, Records};

/// RFC 3261 section 17.1.1.1: the first retransmission, and each after twice the time.
const T1: Duration = Duration::from_millis(500);
const DATAGRAM_MAX: usize = 4096;
/// What RFC 3261 section 8.1.1.7 has a branch begin with.
const MAGIC: &str = "z9hG4bK";

/// 64*T1: for so long a server sends its final answer again, and an answer that is late may come.
const LATE_FOR: Duration = Duration::from_secs(32);
/// Sockets that are kept for answers that are late; what is beyond is not waited for.
static LATE: Semaphore = Semaphore::const_new(256);

/// Takes no longer than `limit`; what is to be said to the server after that is said by a task of its own.
pub(super) async fn ask(
    dns: Option<&Dns>,
    lookup: &SipLookup,
    number: &Number,
    limit: Duration,
) -> Result<Option<Number>, DipError> {
    let until = Instant::now() + limit;
    let late = || DipError::Late(limit);
    let remote = timeout_at(until, address(dns, lookup)).await.map_err(|_| late())??;
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(remote).await?;
    let mut dip = Dip::new(number, lookup, socket.local_addr()?);
    let answer = timeout_at(until, dip.exchange(&socket, T1)).await;
    match answer {
        Ok(answer) => {
            let answer = answer?;
            dip.finish(&socket, &answer).await;
            read(&answer, number)
        }
        Err(_) => {
            if let Ok(place) = LATE.try_acquire() {
                tokio::spawn(async move {
                    let _ = timeout(LATE_FOR, dip.call_off(&socket)).await;
                    drop(place);
                });
            }
            Err(late())
        }
    }
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
    /// There was a 1xx.
    is_heard: bool,
}

/// A request after the INVITE.
struct Next<'a> {
    method: &'a str,
    uri: &'a str,
    to: &'a str,
    /// Its transaction: that of the INVITE, or what makes another branch of it.
    own: &'a str,
    cseq: u8,
}

impl Dip {
    fn new(number: &Number, lookup: &SipLookup, local: SocketAddr) -> Dip {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let SipLookup { host, port } = lookup;
        let uri = format!("sip:+{}@{host}:{port}", number.as_str());
        Dip { uri, local, token, is_heard: false }
    }

    fn invite(&self) -> String {
        let contact = format!("Contact: <sip:{}>\r\n", self.local);
        self.request(&self.of_invite("INVITE", &self.own_to()), &contact)
    }

    fn cancel(&self) -> String {
        self.request(&self.of_invite("CANCEL", &self.own_to()), "")
    }

    fn own_to(&self) -> String {
        format!("<{}>", self.uri)
    }

    /// As the INVITE but for method and To: CANCEL, and the ACK of a refusal (RFC 3261 section 17.1.1.3).
    fn of_invite<'a>(&'a self, method: &'a str, to: &'a str) -> Next<'a> {
        Next { method, uri: &self.uri, to, own: "", cseq: 1 }
    }

    /// What ends it. A server that takes the call as if somebody were to talk is told that nobody is.
    fn last(&self, answer: &Message) -> Vec<String> {
        let to = answer.headers(HeaderName::To).next();
        let to = to.map_or_else(|| self.own_to(), |to| String::from_utf8_lossy(to).into_owned());
        if answer.status() >= 300 {
            return vec![self.request(&self.of_invite("ACK", &to), "")];
        }
        // RFC 3261 section 13.2.2.4: to whom it says that it is.
        let contact = answer.contacts().next();
        let remote = contact.map(|contact| String::from_utf8_lossy(contact.uri()).into_owned());
        let uri = remote.as_deref().unwrap_or(&self.uri);
        let requests = [("ACK", "a", 1), ("BYE", "b", 2)].map(|(method, own, cseq)| Next {
            method,
            uri,
            to: &to,
            own,
            cseq,
        });
        requests.iter().map(|next| self.request(next, "")).collect()
    }

    /// It would send its answer again and again; whether this arrives is nothing to the call.
    async fn finish(&self, socket: &UdpSocket, answer: &Message) {
        for request in self.last(answer) {
            let _ = socket.send(request.as_bytes()).await;
        }
    }

    fn request(&self, next: &Next<'_>, more: &str) -> String {
        let Dip { local, token, .. } = self;
        let Next { method, uri, to, own, cseq } = next;
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch={MAGIC}{token}{own};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:lookup@{local}>;tag={token}\r\n\
             To: {to}\r\n\
             Call-ID: {token}\r\n\
             CSeq: {cseq} {method}\r\n\
             {more}Content-Length: 0\r\n\r\n"
        )
    }

    /// After the call has gone on: the server need not search any longer. A CANCEL waits for a 1xx
    /// (RFC 3261 section 9.1), and is sent once: it answers some day in any case.
    async fn call_off(&mut self, socket: &UdpSocket) -> io::Result<()> {
        if self.is_heard {
            socket.send(self.cancel().as_bytes()).await?;
        }
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let length = socket.recv(&mut buffer).await?;
            match self.answer(&Bytes::copy_from_slice(&buffer[..length])) {
                Some((100..=199, _)) if !self.is_heard => {
                    self.is_heard = true;
                    socket.send(self.cancel().as_bytes()).await?;
                }
                None | Some((100..=199, _)) => {}
                Some((_, message)) => {
                    self.finish(socket, &message).await;
                    return Ok(());
                }
            }
        }
    }

    /// The final response.
    async fn exchange(&mut self, socket: &UdpSocket, t1: Duration) -> io::Result<Message> {
        let invite = self.invite();
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut wait = t1;
        socket.send(invite.as_bytes()).await?;
        let mut again = Instant::now() + wait;
        loop {
            match timeout_at(again, socket.recv(&mut buffer)).await {
                Ok(length) => {
                    let bytes = Bytes::copy_from_slice(&buffer[..length?]);
                    let Some(status) = self.answer(&bytes) else { continue };
                    match status {
                        (100..=199, _) => self.is_heard = true,
                        (_, message) => return Ok(message),
                    }
                }
                Err(_) => {
                    // RFC 3261 section 17.1.1.2: once there was a 1xx, it is only waited for.
                    if !self.is_heard {
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
        // Not of its CANCEL and its BYE.
        let is_ours = is_ours && message.cseq() == (1, Method::Invite);
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

    const LIMIT: Duration = Duration::from_secs(5);

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
            // After a 2xx there is a BYE too.
            let after = if status.starts_with('2') { 3 } else { 2 };
            for n in 0..unheard + after {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                if n == unheard {
                    let trying = answered(&text, "100 Trying");
                    let length = "Content-Length";
                    let answer =
                        answered(&text, status).replace(length, &format!("{contact}{length}"));
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
            ("200 OK", "<sip:them@127.0.0.1>", None),
        ] {
            let contact = match contact {
                "" => "",
                contact => Box::leak(format!("Contact: {contact}\r\n").into_boxed_str()),
            };
            let Served { port, heard } = server(0, status, contact).await;
            check(&ask(None, &lookup(port), &called(), LIMIT).await, expected);
            let heard = heard.await.unwrap();
            assert!(heard[0].starts_with("INVITE sip:+12025551234@127.0.0.1:"), "{}", heard[0]);
            if status.starts_with('2') {
                assert!(heard[1].starts_with("ACK sip:them@127.0.0.1 "), "{}", heard[1]);
                assert!(heard[2].starts_with("BYE sip:them@127.0.0.1 "), "{}", heard[2]);
                assert!(heard[2].contains("CSeq: 2 BYE"), "{}", heard[2]);
            } else {
                assert!(heard[1].starts_with("ACK sip:+12025551234@127.0.0.1:"), "{}", heard[1]);
            }
        }
    }

    /// The answer to a request, without its end.
    fn answered(request: &str, status: &str) -> String {
        let headers = request.lines().filter(|line| {
            ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|h| line.starts_with(h))
        });
        let headers: Vec<&str> = headers.collect();
        format!("SIP/2.0 {status}\r\n{}\r\nContent-Length: 0\r\n\r\n", headers.join("\r\n"))
    }

    #[tokio::test]
    async fn a_server_that_is_late_is_told_and_its_answer_acknowledged() {
        // T7, RFC 3261 section 9.1: the CANCEL waits for a 1xx, be it before the call goes on or after.
        for is_heard in [true, false] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let lookup = lookup(socket.local_addr().unwrap().port());
            let limit = Duration::from_millis(if is_heard { 100 } else { 10 });
            let called = called();
            let asked = ask(None, &lookup, &called, limit);
            let served = async {
                let mut buffer = vec![0; DATAGRAM_MAX];
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let invite = String::from_utf8(buffer[..length].to_vec()).unwrap();
                if is_heard {
                    let trying = answered(&invite, "100 Trying");
                    socket.send_to(trying.as_bytes(), from).await.unwrap();
                }
                (invite, from)
            };
            let (found, (invite, from)) = tokio::join!(asked, served);
            assert!(matches!(found, Err(DipError::Late(_))), "{found:?}");
            if !is_heard {
                let trying = answered(&invite, "100 Trying");
                socket.send_to(trying.as_bytes(), from).await.unwrap();
            }
            let mut buffer = vec![0; DATAGRAM_MAX];
            let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
            let cancel = String::from_utf8(buffer[..length].to_vec()).unwrap();
            assert!(cancel.starts_with("CANCEL sip:+12025551234@127.0.0.1:"), "{cancel}");
            let via = |text: &str| text.lines().find(|l| l.starts_with("Via")).map(str::to_owned);
            assert_eq!(via(&cancel), via(&invite));
            for answer in [answered(&cancel, "200 OK"), answered(&invite, "487 Request Terminated")]
            {
                socket.send_to(answer.as_bytes(), from).await.unwrap();
            }
            let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
            let ack = String::from_utf8(buffer[..length].to_vec()).unwrap();
            assert!(ack.starts_with("ACK sip:+12025551234@127.0.0.1:"), "{ack}");
        }
    }

    #[tokio::test]
    async fn an_invite_that_is_lost_is_sent_again() {
        let Served { port, heard } =
            server(2, "302 Moved", "Contact: <sip:1;rn=+12025550000@x>\r\n").await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(("127.0.0.1", port)).await.unwrap();
        let mut dip = Dip::new(&called(), &lookup(port), socket.local_addr().unwrap());
        let answer = dip.exchange(&socket, Duration::from_millis(5)).await.unwrap();
        assert_eq!(answer.status(), 302);
        dip.finish(&socket, &answer).await;
        let heard = heard.await.unwrap();
        assert!(heard[..3].iter().all(|text| *text == heard[0]));
        assert!(heard[3].starts_with("ACK") || heard[3] == heard[0], "{}", heard[3]);
    }
}
