//! A leg: our side of one SIP dialog, from its INVITE to its end. The only place in `switch` that
//! knows SIP messages; its call speaks [`LegEvent`]s with it.
//!
//! Every `pub` method but the getters is one input. After each of them drain `poll_event`, then ask
//! `poll_timeout`; drop the leg once `is_over`. What it sends waits in the endpoint.
//!
//! A leg does by itself what its two ends need not know: credentials after a 401 or 407, PRACK
//! (RFC 3262), session timers (RFC 4028) or questions instead, repetition of a 2xx until its ACK, ACK and BYE to the
//! second 2xx of a fork, the crossings of CANCEL with a 2xx and of BYE with BYE, CSeq order, and
//! OPTIONS. An INVITE that cannot become a leg (400, 420, 422) is answered by `Leg::inbound`
//! itself; the leg then begins with `Release`, so that the attempt gets its CDR like any other.
//!
//! Held legs are many: after the answer a leg holds its dialog and little else. What belongs to
//! the set-up or to a request in progress is in a box that goes away with it.

mod config;
pub mod event;
mod exchange;
mod in_dialog;
mod inbound;
mod leaving;
mod narrowing;
mod outbound;
mod pager;
mod passed;
mod probe;
mod reach;
mod referral;
mod refresh;
mod ways;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::auth::Credentials;
use sip::dialog::Dialog;
use sip::dialog::session_timer::SessionTimer;
use sip::endpoint::{ClientTx, Endpoint, ServerTx};
use sip::message::{Message, Method, ResponseDraft};
use sip::transaction::Failure;
use sip::transport::Path;
use vocabulary::Now;

pub use config::{Identity, LegConfig, Outgoing};
use event::{Body, LegEvent};
use exchange::Exchanges;
use inbound::Invited;
use leaving::Leaving;
use outbound::Inviting;
pub(crate) use pager::{ANSWER_LIMIT, Pager, message_headers};
pub use passed::passed_headers;
pub(crate) use reach::{EXTENSIONS, unknown_extensions};
pub use reach::{refuse, refuse_stray_answer};
use ways::Ways;
pub(crate) use ways::path_to;

use crate::interworking::LegPolicy;
use crate::release::Cause;
use crate::token::{Randomness, Tag};

/// One leg of a call.
pub struct Leg {
    config: Arc<LegConfig>,
    credentials: Option<Arc<Credentials>>,
    phase: Phase,
    exchanges: Option<Box<Exchanges>>,
    policy: Option<Box<LegPolicy>>,
    /// The last body we sent, if a session refresh has to repeat it.
    last_body: Option<Box<Body>>,
    dialog: Option<Dialog>,
    timer: Option<SessionTimer>,
    events: VecDeque<LegEvent>,
    random: Randomness,
    user: u64,
    path: Path,
    /// Other ways to the peer; most legs need none.
    ways: Option<Box<Ways>>,
    tag: Tag,
    peer: Peer,
    /// When the peer is asked whether it is there, in seconds of the monotonic clock; 0: not yet.
    probe_at_secs: u32,
}

/// ```text
/// Invited ──200──▶ Up ──BYE sent──▶ Leaving ──▶ Over
///    └──final response, CANCEL──────────────────▶ ▲
/// Inviting ──2xx──▶ Up ──BYE received─────────────┤
///    ├──2xx after CANCEL──▶ Leaving ──────────────┤
///    └──final response, timeout───────────────────┘
/// ```
enum Phase {
    /// The peer's INVITE has no final response yet.
    Invited(Box<Invited>),
    /// Our INVITE has no final response yet.
    Inviting(Box<Inviting>),
    /// Answered.
    Up,
    /// Our BYE waits: for the ACK before it may go out, or for its response.
    Leaving(Box<Leaving>),
    /// Nothing more will happen.
    Over,
}

/// What we know of the other end.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// It is reached only by the path it came from.
    is_behind_nat: bool,
    /// It takes datagrams and no connections.
    is_udp_only: bool,
    /// It takes UPDATE (RFC 3311 section 4).
    allows_update: bool,
    /// It said `Supported: 100rel` or required it.
    does_100rel: bool,
    /// The dialog began with a `sips:` address: nothing of it goes by anything but TLS.
    is_secure: bool,
    /// The Call-ID is its own: its re-INVITE waits longer after a 491 (RFC 3261 section 14.1).
    is_caller: bool,
    /// It is told that we know `replaces` (RFC 3891).
    may_replace: bool,
    /// Our last question could not be sent to it.
    is_unreachable: bool,
    /// The largest Min-SE of its 422s, seconds; 0 if there was none (RFC 4028 section 7.4).
    min_se: u32,
}

/// Why a leg wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A reliable provisional response has no PRACK yet.
    RepeatProvisional,
    /// A 2xx has no ACK yet.
    RepeatAnswer,
    /// It is our turn to refresh the session.
    RefreshSession,
    /// The session is dead unless a refresh comes before.
    ExpireSession,
    /// The peer was silent for long and has no session timer.
    ProbePeer,
}

/// How a leg is known to its peer.
#[derive(Clone, Copy, Debug)]
pub struct DialogView<'a> {
    /// Call-ID.
    pub call_id: &'a [u8],
    /// Our tag.
    pub local_tag: &'a [u8],
    /// The peer's tag, once it has one.
    pub remote_tag: Option<&'a [u8]>,
    /// Where its requests go.
    pub remote_target: &'a [u8],
}

/// The moment of an input and the endpoint that sends what follows.
struct At<'a> {
    now: Duration,
    endpoint: &'a mut Endpoint,
}

impl<'a> At<'a> {
    fn new(now: Now, endpoint: &'a mut Endpoint) -> At<'a> {
        At { now: now.monotonic, endpoint }
    }
}

impl Leg {
    /// A request within the dialog, other than ACK and CANCEL.
    pub fn request(
        &mut self,
        now: Now,
        endpoint: &mut Endpoint,
        tx: ServerTx,
        message: &Message,
        path: Path,
    ) {
        let mut at = At::new(now, endpoint);
        at.endpoint.set_user(tx, self.user);
        self.is_there(&at);
        self.request_received(&mut at, tx, message, path);
        self.tidy();
    }

    /// The ACK of a 2xx of ours.
    pub fn ack(&mut self, now: Now, endpoint: &mut Endpoint, message: &Message) {
        if self.dialog.as_ref().is_some_and(|dialog| dialog.is_of_request(message)) {
            let mut at = At::new(now, endpoint);
            self.is_there(&at);
            self.ack_received(&mut at, message);
        }
        self.tidy();
    }

    /// CANCEL of an INVITE of the peer. Its own 200 is already sent.
    pub fn cancelled(
        &mut self,
        now: Now,
        endpoint: &mut Endpoint,
        tx: ServerTx,
        message: &Message,
    ) {
        self.cancel_received(&mut At::new(now, endpoint), tx, message);
        self.tidy();
    }

    /// A response to a request of ours.
    pub fn response(
        &mut self,
        now: Now,
        endpoint: &mut Endpoint,
        tx: ClientTx,
        message: &Message,
        path: Path,
    ) {
        let mut at = At::new(now, endpoint);
        self.heard(path);
        self.is_there(&at);
        match &self.phase {
            Phase::Inviting(inviting) if inviting.is_of(tx) => {
                self.invite_answered(&mut at, message);
            }
            _ => self.exchange_answered(&mut at, tx, message),
        }
        self.tidy();
    }

    /// A request of ours got no response, or could not be sent.
    pub fn failed(&mut self, now: Now, endpoint: &mut Endpoint, tx: ClientTx, why: Failure) {
        let mut at = At::new(now, endpoint);
        match &self.phase {
            Phase::Inviting(inviting) if inviting.is_of(tx) => self.invite_failed(why),
            _ => self.exchange_failed(&mut at, tx, why),
        }
        self.tidy();
    }

    /// A response of ours could not be sent, or its ACK did not come.
    pub fn server_failed(&mut self, now: Now, endpoint: &mut Endpoint, tx: ServerTx, why: Failure) {
        self.invite_lost(&mut At::new(now, endpoint), tx, why);
        self.tidy();
    }

    /// What the call wants of the leg. What does not fit the leg's state any more is ignored:
    /// the events cross.
    pub fn send(&mut self, now: Now, endpoint: &mut Endpoint, event: LegEvent) {
        let mut at = At::new(now, endpoint);
        let Some(event) = self.narrowed_for_peer(event) else { return };
        match event {
            LegEvent::Ring { .. } | LegEvent::Answer { .. } => self.tell_caller(&mut at, event),
            LegEvent::Acknowledge { body } => self.acknowledge(&mut at, body),
            LegEvent::Update { method, body } => self.update(&mut at, method, body),
            LegEvent::UpdateAnswer { status, body } => self.answer_update(&mut at, status, body),
            LegEvent::Info { headers, body } => self.inform(&mut at, headers, body),
            LegEvent::InfoAnswer { status, body } => self.answer_info(&mut at, status, body),
            LegEvent::Redirect { status, contacts } => self.redirect(&mut at, status, &contacts),
            LegEvent::TransferAnswer { status } => self.answer_transfer(&mut at, status),
            LegEvent::TransferProgress { status } => self.tell_transferor(&mut at, status),
            LegEvent::OtherSideLeft => self.answer_for_who_left(&mut at),
            // Nobody asks that of a peer.
            LegEvent::Transfer { .. } | LegEvent::CodecsRemoved { .. } => {}
            LegEvent::Release { cause, reason_header, sip_status } => {
                self.release(&mut at, cause, reason_header, sip_status);
            }
        }
        self.tidy();
    }

    /// Does what is due. Early and late calls are harmless.
    pub fn handle_timeout(&mut self, now: Now, endpoint: &mut Endpoint) {
        let mut at = At::new(now, endpoint);
        self.provisional_due(&mut at);
        self.answer_due(&mut at);
        self.session_due(&mut at);
        self.probe_due(&mut at);
        self.tidy();
    }

    /// When to call `handle_timeout`, and why.
    pub fn poll_timeout(&self) -> Option<(Duration, Reason)> {
        let provisional = match &self.phase {
            Phase::Invited(invited) => invited.next_at().map(|at| (at, Reason::RepeatProvisional)),
            _ => None,
        };
        let answer = self.exchanges.as_ref().and_then(|exchanges| exchanges.next_at());
        let answer = answer.map(|at| (at, Reason::RepeatAnswer));
        let session = self.timer.filter(|_| matches!(self.phase, Phase::Up)).map(|timer| {
            let is_refresh = timer.refresh_at.is_some_and(|at| at <= timer.expires_at);
            (
                timer.next_at(),
                if is_refresh { Reason::RefreshSession } else { Reason::ExpireSession },
            )
        });
        let probe = self.probe_at().map(|at| (at, Reason::ProbePeer));
        [provisional, answer, session, probe].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// What the leg has to tell its call.
    pub fn poll_event(&mut self) -> Option<LegEvent> {
        let event = self.events.pop_front();
        if event.is_none() && self.events.capacity() > 0 {
            // Most held legs have nothing to say for minutes; an empty queue costs nothing then.
            self.events = VecDeque::new();
        }
        event
    }

    /// Nothing more will happen: the leg may be dropped.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether the peer takes reliable provisional responses.
    pub fn does_100rel(&self) -> bool {
        self.peer.does_100rel
    }

    /// How the leg is known to its peer.
    pub fn dialog(&self) -> DialogView<'_> {
        match (&self.dialog, &self.phase) {
            (Some(dialog), _) => DialogView {
                call_id: dialog.call_id(),
                local_tag: dialog.local_tag(),
                remote_tag: Some(dialog.remote_tag()),
                remote_target: dialog.remote_target(),
            },
            (None, Phase::Inviting(inviting)) => inviting.view(&self.tag),
            (None, _) => DialogView {
                call_id: b"",
                local_tag: self.tag.as_bytes(),
                remote_tag: None,
                remote_target: b"",
            },
        }
    }

    /// By which path the peer is reached.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Bytes that the leg holds, without what an allocator adds; for the memory budget of a call.
    pub fn held_len(&self) -> usize {
        let phase = match &self.phase {
            Phase::Invited(_) => size_of::<Invited>(),
            Phase::Inviting(_) => size_of::<Inviting>(),
            Phase::Leaving(_) => size_of::<Leaving>(),
            Phase::Up | Phase::Over => 0,
        };
        let exchanges = self.exchanges.as_ref().map_or(0, |_| size_of::<Exchanges>());
        let body = self.last_body.as_ref().map_or(0, |body| size_of::<Body>() + body.bytes.len());
        let dialog = self.dialog.as_ref().map_or(0, Dialog::heap_len);
        let events = self.events.capacity() * size_of::<LegEvent>();
        let ways = self.ways.as_ref().map_or(0, |_| size_of::<Ways>());
        size_of::<Leg>() + phase + exchanges + body + dialog + events + ways
    }

    fn new(config: &Arc<LegConfig>, identity: Identity, path: Path, phase: Phase) -> Leg {
        Leg {
            config: Arc::clone(config),
            credentials: None,
            phase,
            exchanges: None,
            policy: identity.policy,
            last_body: None,
            dialog: None,
            timer: None,
            events: VecDeque::new(),
            random: Randomness::new(seed(&identity.tag)),
            user: identity.user,
            path,
            ways: None,
            tag: identity.tag,
            peer: Peer { may_replace: identity.may_replace, ..Peer::default() },
            probe_at_secs: 0,
        }
    }

    fn emit(&mut self, event: LegEvent) {
        self.events.push_back(event);
    }

    /// Tells the call that the leg ends by itself.
    fn emit_release(&mut self, cause: Cause, reason_header: Option<Bytes>, sip_status: u16) {
        self.emit(LegEvent::Release { cause, reason_header, sip_status });
    }

    fn exchanges(&mut self) -> &mut Exchanges {
        self.exchanges.get_or_insert_default()
    }

    fn tidy(&mut self) {
        let is_idle = self.exchanges.as_ref().is_some_and(|exchanges| exchanges.is_idle());
        if is_idle || self.is_over() {
            self.exchanges = None;
        }
    }

    /// Whether this is our tag.
    pub(crate) fn has_tag(&self, tag: &[u8]) -> bool {
        self.tag.as_bytes() == tag
    }

    /// A response with our tag.
    fn response_to(&self, request: &Message, status: u16) -> ResponseDraft {
        ResponseDraft::with_tag(request, status, "", self.tag.as_bytes())
    }

    fn respond(&self, at: &mut At<'_>, tx: ServerTx, request: &Message, status: u16) {
        let response = self.response_to(request, status);
        at.endpoint.respond(at.now, tx, response);
    }

    fn random_below(&mut self, limit: u64) -> u64 {
        self.random.next() % limit
    }

    fn note_peer(&mut self, message: &Message) {
        let allow = message.tokens(sip::message::HeaderName::Allow);
        if allow.clone().next().is_some() {
            self.peer.allows_update = allow.has(b"UPDATE");
        }
        self.peer.allows_update |= message.is_request() && message.method() == Method::Update;
    }
}

/// A leg's random choices (retry times, RSeq) follow from its tag, which is random enough.
fn seed(tag: &Tag) -> u64 {
    tag.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The cause in a peer's Reason header, and the header itself (RFC 3326).
fn reason_of(message: &Message) -> (Option<Cause>, Option<Bytes>) {
    let Some(value) = message.header(sip::message::HeaderName::Reason) else {
        return (None, None);
    };
    (Cause::from_reason_header(value), Some(Bytes::copy_from_slice(value)))
}
