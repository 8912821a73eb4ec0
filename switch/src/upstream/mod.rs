//! Our registrations at trunks that ask for one (RFC 3261 section 10.2): register, answer the
//! challenge, refresh in time, back off when it fails. Each trunk belongs to one shard.
//!
//! ```text
//! Idle ──due──► Resolving ──targets──► Waiting ──200──► Idle (refresh before expiry)
//!   ▲               │                     │
//!   └──back off─────┴────failure──────────┘
//! ```

mod status;

use std::time::Duration;

use sip::auth;
use sip::endpoint::Listener;
use sip::message::{HeaderName, Message, Method, RequestDraft};
use sip::transport::{Path, Transport};
use vocabulary::{Now, TrunkId};

use crate::directory::{Directory, TrunkRow};
use crate::effect::{Effect, HostToResolve, QueryId, Target};
use crate::health::Outcome;
use crate::leg::path_to;
use crate::shard::Shard;
use crate::token::{Randomness, shard_of};
use status::Standing;
pub use status::{UpstreamState, UpstreamStatus};

/// Marks the user word of a transaction or query as one of ours; calls leave this byte zero.
const MARK: u64 = 1 << 56;
const BACKOFF_MIN: Duration = Duration::from_secs(30);
const BACKOFF_MAX: Duration = Duration::from_secs(900);
/// A challenge answered wrongly this often is a wrong password.
const TRIES_MAX: u8 = 3;
/// How long a resolver may take.
const RESOLVE_MAX: Duration = Duration::from_secs(30);

/// Whether a user word is one of ours.
pub(crate) fn is_upstream(user: u64) -> bool {
    user >> 56 == 1
}

/// All registrations of a shard.
#[derive(Debug, Default)]
pub(crate) struct Upstreams {
    all: Vec<Upstream>,
    next_number: u32,
}

#[derive(Debug)]
struct Upstream {
    /// The row as it was when this began; another row begins another registration.
    row: TrunkRow,
    number: u32,
    call_id: String,
    tag: String,
    cseq: u32,
    expires: Duration,
    state: State,
    standing: Standing,
    /// The connection by which we are registered: the trunk sends its calls by it.
    flow: Option<Path>,
}

#[derive(Debug)]
enum State {
    Idle { due: Duration },
    Resolving { until: Duration },
    Waiting { paths: Vec<Path>, tries: u8 },
}

impl Upstreams {
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        let due = |upstream: &Upstream| match upstream.state {
            State::Idle { due } => Some(due),
            State::Resolving { until } => Some(until),
            // The transaction times out by itself.
            State::Waiting { .. } => None,
        };
        self.all.iter().filter_map(due).min()
    }

    /// Whether we are registered by this connection.
    pub(crate) fn uses(&self, path: Path) -> bool {
        self.all.iter().any(|upstream| upstream.flow == Some(path))
    }

    fn find(&mut self, user: u64) -> Option<&mut Upstream> {
        let number = user as u32;
        self.all.iter_mut().find(|upstream| upstream.number == number)
    }

    /// Begins what is new, ends what is gone, leaves alone what stayed.
    fn reconcile(
        &mut self,
        directory: &Directory,
        (shard, shards): (u8, u8),
        random: &mut Randomness,
    ) {
        let is_mine = |id: TrunkId| id.0 % u64::from(shards) == u64::from(shard);
        let wanted = |id: TrunkId| {
            let row = directory.trunk(id).filter(|row| row.is_active && is_mine(id))?;
            directory.registering_trunks().contains(&id).then_some(row)
        };
        self.all.retain(|upstream| wanted(upstream.row.id).is_some_and(|row| *row == upstream.row));
        for row in directory.registering_trunks().iter().filter_map(|id| wanted(*id)) {
            let (Some(registration), false) =
                (&row.registration, self.all.iter().any(|upstream| upstream.row.id == row.id))
            else {
                continue;
            };
            self.next_number += 1;
            self.all.push(Upstream {
                number: self.next_number,
                call_id: own_call_id('u', (shard, shards), random),
                tag: format!("{:016x}", random.next()),
                cseq: 0,
                expires: registration.expires,
                state: State::Idle { due: Duration::ZERO },
                standing: Standing::default(),
                flow: None,
                row: row.clone(),
            });
        }
    }
}

/// One whose hash leads to this shard, or the answers would go to another. `kind` says what it is for.
pub(crate) fn own_call_id(
    kind: char,
    (shard, shards): (u8, u8),
    random: &mut Randomness,
) -> String {
    loop {
        let call_id = format!("{kind}.{:016x}{:016x}", random.next(), random.next());
        if shard_of(call_id.as_bytes(), shards) == shard {
            return call_id;
        }
    }
}

impl Upstream {
    fn user(&self) -> u64 {
        MARK | u64::from(self.number)
    }

    fn domain(&self) -> &str {
        match &self.row.registration {
            Some(registration) if !registration.domain.is_empty() => &registration.domain,
            _ => &self.row.host,
        }
    }

    /// An attempt failed; the next one comes after a while, `least` or longer.
    fn back_off(&mut self, now: Now, outcome: Outcome, least: Duration, random: u64) {
        let failures = self.standing.failures();
        let doubled = BACKOFF_MIN.saturating_mul(1 << failures.min(8)).min(BACKOFF_MAX);
        self.standing.failed(now.utc, outcome);
        let wait = doubled.max(least);
        // Many trunks that failed together must not come back together.
        let jitter = wait / 4 * (random % 1000) as u32 / 1000;
        self.state = State::Idle { due: now.monotonic + wait + jitter };
    }

    fn draft(
        &self,
        contact_host: &str,
        credentials: Option<(HeaderName<'_>, &[u8])>,
    ) -> RequestDraft {
        let domain = self.domain();
        let username = self.row.registration.as_ref().map_or("", |r| r.username.as_str());
        let draft = RequestDraft::new(Method::Register, format!("sip:{domain}").as_bytes())
            .header_fmt(
                HeaderName::From,
                format_args!("<sip:{username}@{domain}>;tag={}", self.tag),
            )
            .header_fmt(HeaderName::To, format_args!("<sip:{username}@{domain}>"))
            .header(HeaderName::CallId, &self.call_id)
            .header_fmt(HeaderName::CSeq, format_args!("{} REGISTER", self.cseq))
            .header_fmt(HeaderName::Contact, format_args!("<sip:{username}@{contact_host}>"))
            .header_fmt(HeaderName::Expires, format_args!("{}", self.expires.as_secs()));
        match credentials {
            Some((name, value)) => draft.header(name, value),
            None => draft,
        }
    }

    /// How long the registrar gave our contact.
    fn granted(&self, response: &Message, contact_host: &str) -> Duration {
        let username = self.row.registration.as_ref().map_or("", |r| r.username.as_str());
        let own = format!("sip:{username}@{contact_host}");
        let by_contact = response
            .contacts()
            .find(|contact| contact.uri() == own.as_bytes())
            .and_then(|contact| contact.expires());
        let secs = by_contact.or(response.expires()).map(u64::from);
        secs.map_or(self.expires, Duration::from_secs)
    }
}

impl Shard {
    pub(crate) fn reconcile_upstreams(&mut self) {
        let place = (self.config.shard, self.config.shards.max(1));
        self.upstreams.reconcile(&self.directory, place, &mut self.random);
    }

    pub(crate) fn upstream_timeout(&mut self, now: Now) {
        let mut due = Vec::new();
        for upstream in &mut self.upstreams.all {
            match upstream.state {
                State::Idle { due: at } if at <= now.monotonic => {
                    upstream.state = State::Resolving { until: now.monotonic + RESOLVE_MAX };
                    let host = HostToResolve {
                        host: upstream.row.host.clone(),
                        port: upstream.row.port,
                        transport: upstream.row.transport,
                        is_secure: false,
                    };
                    due.push((upstream.user(), host));
                }
                State::Resolving { until } if until <= now.monotonic => {
                    let jitter = self.random.next();
                    self.stats.upstream_failures += 1;
                    upstream.back_off(now, Outcome::Unresolved, Duration::ZERO, jitter);
                }
                _ => {}
            }
        }
        for (user, host) in due {
            match host.literal() {
                Some(target) => self.upstream_resolved(now, user, &[target]),
                None => {
                    self.effects.push_back(Effect::Resolve { query: QueryId(user), host });
                }
            }
        }
    }

    pub(crate) fn upstream_resolved(&mut self, now: Now, user: u64, targets: &[Target]) {
        let listeners = &self.config.listeners;
        let Some(upstream) = self.upstreams.find(user) else { return };
        // An answer that comes after its time.
        if !matches!(upstream.state, State::Resolving { .. }) {
            return;
        }
        let wanted = upstream.row.listener;
        let mut paths: Vec<Path> =
            targets.iter().filter_map(|target| path_to(listeners, *target, wanted)).collect();
        paths.reverse();
        upstream.state = State::Waiting { paths, tries: 0 };
        self.upstream_send(now, user, None, Outcome::Unresolved);
    }

    /// Tries the next address; if there is none, the attempt failed with `otherwise`.
    fn upstream_send(
        &mut self,
        now: Now,
        user: u64,
        credentials: Option<auth::CredentialsHeader>,
        otherwise: Outcome,
    ) {
        let jitter = self.random.next();
        let Some(upstream) = self.upstreams.find(user) else { return };
        let State::Waiting { paths, .. } = &upstream.state else { return };
        let Some(path) = paths.last().copied() else {
            self.stats.upstream_failures += 1;
            return upstream.back_off(now, otherwise, Duration::ZERO, jitter);
        };
        upstream.cseq += 1;
        let host = contact_host(&self.config.listeners, path);
        let credentials = credentials.as_ref().map(|ours| (ours.name, ours.value.as_bytes()));
        let mut draft = upstream.draft(&host, credentials);
        if !self.config.server_name.is_empty() {
            draft = draft.header(HeaderName::UserAgent, &self.config.server_name);
        }
        let (trunk, call_id) = (upstream.row.id, upstream.call_id.clone());
        self.attribute_trunk(trunk, &call_id, path);
        self.endpoint.send_request(now.monotonic, path, draft, user);
    }

    pub(crate) fn upstream_failed(&mut self, now: Now, user: u64) {
        let Some(upstream) = self.upstreams.find(user) else { return };
        if let State::Waiting { paths, tries } = &mut upstream.state {
            paths.pop();
            *tries = 0;
        }
        self.upstream_send(now, user, None, Outcome::Silent);
    }

    /// A connection is gone: the trunks that know us by it have to be told of another at once (RFC
    /// 5626 section 4.4).
    pub(crate) fn upstream_flow_lost(&mut self, now: Now, path: Path) {
        for upstream in self.upstreams.all.iter_mut().filter(|one| one.flow == Some(path)) {
            upstream.flow = None;
            if let State::Idle { due } = &mut upstream.state {
                *due = now.monotonic;
            }
        }
    }

    pub(crate) fn upstream_response(
        &mut self,
        now: Now,
        user: u64,
        response: &Message,
        heard_on: Path,
    ) {
        let (jitter, cnonce) = (self.random.next(), self.random.next());
        let outcome = Outcome::Status(response.status());
        let listeners = &self.config.listeners;
        let Some(upstream) = self.upstreams.find(user) else { return };
        let State::Waiting { paths, tries } = &mut upstream.state else { return };
        let Some(path) = paths.last().copied() else { return };
        match response.status() {
            ..=199 => {}
            200..=299 => {
                let granted = upstream.granted(response, &contact_host(listeners, path));
                upstream.flow = Some(heard_on).filter(|path| path.connection != 0);
                let expires_at = now.utc.plus(granted);
                upstream.standing.succeeded(now.utc, response.status(), expires_at);
                // Early enough that one lost refresh can be repeated.
                let refresh = (granted / 5 * 4).max(Duration::from_secs(10));
                upstream.state = State::Idle { due: now.monotonic + refresh };
            }
            401 | 407 if *tries < TRIES_MAX => {
                *tries += 1;
                let is_again = *tries > 1;
                let uri = format!("sip:{}", upstream.domain());
                let credentials = upstream.row.credentials.as_ref().and_then(|ours| {
                    let ours = auth::Credentials::new(&ours.username, &ours.password);
                    let method = Method::Register;
                    auth::answer_challenge(
                        response,
                        &ours,
                        method,
                        uri.as_bytes(),
                        cnonce,
                        is_again,
                    )
                });
                match credentials {
                    Some(credentials) => {
                        self.upstream_send(now, user, Some(credentials), outcome);
                    }
                    None => self.upstream_refused(now, user, outcome, Duration::ZERO, jitter),
                }
            }
            423 if *tries < TRIES_MAX => {
                *tries += 1;
                let least = response.min_expires().unwrap_or(3600);
                upstream.expires = upstream.expires.max(Duration::from_secs(u64::from(least)));
                self.upstream_send(now, user, None, outcome);
            }
            503 => {
                let after = response.retry_after().map_or(0, |after| u64::from(after.seconds));
                if paths.len() > 1 {
                    paths.pop();
                    return self.upstream_send(now, user, None, outcome);
                }
                self.upstream_refused(now, user, outcome, Duration::from_secs(after), jitter);
            }
            _ => self.upstream_refused(now, user, outcome, Duration::ZERO, jitter),
        }
    }

    fn upstream_refused(
        &mut self,
        now: Now,
        user: u64,
        outcome: Outcome,
        least: Duration,
        jitter: u64,
    ) {
        self.stats.upstream_failures += 1;
        if let Some(upstream) = self.upstreams.find(user) {
            upstream.back_off(now, outcome, least, jitter);
        }
    }
}

/// Our host as the trunk is to call it, with the transport unless that is the usual one.
pub(crate) fn contact_host(listeners: &[Listener], path: Path) -> String {
    let listener = listeners.iter().find(|listener| listener.id == path.listener);
    let host = listener.map_or("invalid", |listener| listener.advertised.as_str());
    match path.transport {
        Transport::Udp => host.to_owned(),
        other => format!("{host};transport={}", other.uri_name()),
    }
}
