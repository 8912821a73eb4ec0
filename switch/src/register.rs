//! REGISTER: reads what it wants, asks the bindings, answers (RFC 3261 section 10.3, RFC 3327).

use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::ServerTx;
use sip::message::uri::{Scheme, Uri};
use sip::message::{HeaderName, Message, ResponseDraft};
use sip::transport::Path;
use vocabulary::{Now, SubscriberId};

use crate::authentication::{Authenticated, Kind};
use crate::directory::{DigestOwner, Directory, Settings, SubscriberRow};
use crate::leg::unknown_extensions;
use crate::registrar::{Binding, NotRegistered, Registration, Wanted, WantedContact};
use crate::shard::Shard;

/// What a registrar can be required to know: RFC 3327.
const EXTENSIONS: [&[u8]; 1] = [b"path"];

/// Why a REGISTER is refused, in the words of its answer.
#[derive(Debug)]
struct Fault {
    status: u16,
    phrase: &'static str,
    min_expires: Option<Duration>,
}

fn fault(status: u16, phrase: &'static str) -> Fault {
    Fault { status, phrase, min_expires: None }
}

impl Shard {
    /// A REGISTER.
    pub(crate) fn register(&mut self, now: Now, tx: ServerTx, message: &Message, path: Path) {
        if self.is_draining || !self.has_room_for(now, message, path) {
            return self.turn_away(now, tx, message);
        }
        if !self.may_source_register(now, path) {
            return self.register_later(now, tx, message);
        }
        // Before anything else is looked at (RFC 3261 section 8.2.2.3).
        if let Some(unknown) = unknown_extensions(message, &EXTENSIONS) {
            self.stats.registrations_refused += 1;
            let response = ResponseDraft::to(message, 420, "Bad Extension")
                .header(HeaderName::Unsupported, unknown);
            return self.endpoint.respond(now.monotonic, tx, response);
        }
        let owner = match self.authenticate(now, tx, message, path, Kind::Registrar) {
            Authenticated::Challenged => return,
            // The same answer for both: nobody learns which names there are.
            Authenticated::UnknownUser(_) | Authenticated::WrongPassword(_) => {
                return self.refuse_registration(now, tx, message, &fault(403, "Forbidden"));
            }
            Authenticated::Right(owner, _) => owner,
        };
        if let DigestOwner::Subscriber(phone) = owner {
            self.attribute_phone(phone, message, path);
        }
        if !self.may_owner_register(now, owner) {
            return self.register_later(now, tx, message);
        }
        let registered = registrant(&self.directory, owner, message)
            .and_then(|row| self.apply(now, row.id, row.contacts_max, message, path));
        match registered {
            Ok((bindings, has_changed, subscriber)) => {
                self.stats.registrations += 1;
                let response = accepted(now, message, &bindings);
                if has_changed {
                    self.copy_registration(now, subscriber, message, &bindings);
                    self.binding_changed(subscriber, &bindings, tx, response.finish());
                } else {
                    self.endpoint.respond(now.monotonic, tx, response);
                }
            }
            Err(fault) => self.refuse_registration(now, tx, message, &fault),
        }
    }

    /// 503 with Retry-After: this one, or this source, has registered often enough.
    fn register_later(&mut self, now: Now, tx: ServerTx, message: &Message) {
        self.stats.registrations_limited += 1;
        let seconds = self.directory.settings().retry_after_secs;
        let response = ResponseDraft::to(message, 503, "Service Unavailable")
            .header_fmt(HeaderName::RetryAfter, format_args!("{seconds}"));
        self.endpoint.respond(now.monotonic, tx, response);
    }

    fn refuse_registration(&mut self, now: Now, tx: ServerTx, message: &Message, fault: &Fault) {
        self.stats.registrations_refused += 1;
        let mut response = ResponseDraft::to(message, fault.status, fault.phrase);
        if let Some(min) = fault.min_expires {
            response =
                response.header_fmt(HeaderName::MinExpires, format_args!("{}", min.as_secs()));
        }
        self.endpoint.respond(now.monotonic, tx, response);
    }

    fn apply(
        &self,
        now: Now,
        subscriber: SubscriberId,
        contacts_max: u8,
        message: &Message,
        path: Path,
    ) -> Result<(Vec<Binding>, bool, SubscriberId), Fault> {
        let wanted = wanted(self.directory.settings(), message, path)?;
        let registration = Registration {
            call_id: Bytes::copy_from_slice(message.call_id()),
            cseq: message.cseq().0,
            path: message.headers(HeaderName::Path).map(Bytes::copy_from_slice).collect(),
            source: path,
            wanted,
        };
        self.shared
            .bindings
            .register(now.utc, subscriber, contacts_max, &registration)
            .map(|(bindings, has_changed)| (bindings, has_changed, subscriber))
            .map_err(|refused| match refused {
                NotRegistered::OutOfOrder => fault(500, "Request Out Of Order"),
                NotRegistered::TooManyContacts(_) => fault(403, "Too Many Contacts"),
            })
    }
}

/// Whose bindings the REGISTER is about: the address of record in To, which must be its own.
fn registrant<'a>(
    directory: &'a Directory,
    owner: DigestOwner,
    message: &Message,
) -> Result<&'a SubscriberRow, Fault> {
    let DigestOwner::Subscriber(id) = owner else { return Err(fault(403, "Forbidden")) };
    let row = directory.subscriber(id).ok_or_else(|| fault(403, "Forbidden"))?;
    let is_active = directory.account(row.account).is_some_and(|account| account.is_active);
    if !row.is_active || !is_active {
        return Err(fault(403, "Forbidden"));
    }
    let to = message.to();
    // An address of record is a SIP URI (RFC 3261 section 10.3, step 5).
    let is_sip = |uri: &Uri<'_>| matches!(uri.scheme(), Scheme::Sip | Scheme::Sips);
    let uri = to.parsed_uri().filter(is_sip).ok_or_else(|| fault(400, "Bad To"))?;
    let user = uri.user_unescaped().ok_or_else(|| fault(404, "Not Found"))?;
    let number = row.number.as_ref().map(|number| number.as_bytes());
    let is_own = user.as_ref() == row.username.as_bytes()
        || number == Some(user.strip_prefix(b"+").unwrap_or(&user));
    if is_own { Ok(row) } else { Err(fault(403, "Forbidden")) }
}

fn wanted(settings: &Settings, message: &Message, path: Path) -> Result<Wanted, Fault> {
    let default = message.expires();
    let mut contacts = Vec::new();
    let mut has_star = false;
    for address in message.contacts() {
        if address.is_star() {
            has_star = true;
            continue;
        }
        let uri = address.parsed_uri().ok_or_else(|| fault(400, "Bad Contact"))?;
        let asked = address.expires().or(default).map(u64::from).map(Duration::from_secs);
        contacts.push(WantedContact {
            uri: Bytes::copy_from_slice(address.uri()),
            q: address.q().unwrap_or(1000),
            expires: granted(settings, asked)?,
            is_behind_nat: is_behind_nat(message, &uri, path),
        });
    }
    match (has_star, contacts.is_empty()) {
        (true, true) if default == Some(0) => Ok(Wanted::RemoveAll),
        // The star stands alone and with Expires 0 (RFC 3261 section 10.3, step 6).
        (true, _) => Err(fault(400, "Bad Contact")),
        (false, true) => Ok(Wanted::Query),
        (false, false) => Ok(Wanted::Contacts(contacts)),
    }
}

fn granted(settings: &Settings, asked: Option<Duration>) -> Result<Duration, Fault> {
    match asked {
        None => Ok(settings.registration_default),
        Some(Duration::ZERO) => Ok(Duration::ZERO),
        Some(asked) if asked < settings.registration_min => Err(Fault {
            status: 423,
            phrase: "Interval Too Brief",
            min_expires: Some(settings.registration_min),
        }),
        Some(asked) => Ok(asked.min(settings.registration_max)),
    }
}

/// Whether the phone is reached only where its REGISTER came from. Through an edge proxy (Path) the
/// source is the proxy, which says nothing about the phone.
fn is_behind_nat(message: &Message, contact: &Uri<'_>, path: Path) -> bool {
    if message.header(HeaderName::Path).is_some() {
        return false;
    }
    let source = path.remote.ip().to_canonical();
    let via = message.top_via();
    let via_ip = via.as_ref().and_then(|via| via.host_ip());
    let via_port = via.as_ref().and_then(|via| via.port()).unwrap_or(5060);
    let is_translated = via_ip.is_some_and(|ip| ip.to_canonical() != source);
    let via_differs = is_translated || (via_ip.is_some() && via_port != path.remote.port());
    // A contact elsewhere than the sender is honoured if the sender has no NAT before it: it may
    // register for another device. A name cannot be judged. A phone that has learnt from `received` and
    // `rport` what it looks like from outside names that as its contact: only its Via still tells.
    match contact.host_ip() {
        Some(ip) if ip.to_canonical() != source => via_differs || is_private(ip),
        Some(_) if is_translated => true,
        Some(_) => via_differs && contact.port().unwrap_or(5060) != path.remote.port(),
        None => via_differs,
    }
}

fn is_private(ip: std::net::IpAddr) -> bool {
    match ip.to_canonical() {
        std::net::IpAddr::V4(v4) => {
            // 100.64/10 is what carrier-grade NAT hands out (RFC 6598).
            let octets = v4.octets();
            v4.is_private() || v4.is_link_local() || (octets[0] == 100 && octets[1] & 0xc0 == 64)
        }
        std::net::IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn accepted(now: Now, message: &Message, bindings: &[Binding]) -> ResponseDraft {
    let mut response = ResponseDraft::to(message, 200, "OK");
    for binding in bindings {
        let uri = String::from_utf8_lossy(&binding.uri);
        let expires = binding.remaining_secs(now.utc);
        response = if binding.q == 1000 {
            response.header_fmt(HeaderName::Contact, format_args!("<{uri}>;expires={expires}"))
        } else {
            let (whole, rest) = (binding.q / 1000, binding.q % 1000);
            response.header_fmt(
                HeaderName::Contact,
                format_args!("<{uri}>;q={whole}.{rest:03};expires={expires}"),
            )
        };
    }
    if message.supports(b"path") {
        for path in message.headers(HeaderName::Path) {
            response = response.header(HeaderName::Path, path);
        }
    }
    response
}
