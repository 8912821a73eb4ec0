//! The whole language between the two legs of a call, and between a leg and an application. A
//! controller never sees a SIP message, and a leg could as well be something that is not SIP.
//!
//! Bodies (SDP and whatever else) pass from leg to leg untouched, unless a leg has a policy about codecs
//! (`interworking`); a media anchor would sit between `poll_event` of one leg and `send` of the other.

use bytes::Bytes;

use crate::release::Cause;

/// A message body and its type, as slices of the datagram it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The value of `Content-Type`.
    pub content_type: Bytes,
    /// The content.
    pub bytes: Bytes,
}

impl Body {
    /// Whether it is a session description (RFC 8866).
    pub fn is_sdp(&self) -> bool {
        let kind = self.content_type.split(|b| *b == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"application/sdp")
    }
}

/// How a side changes a session that exists or is being set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateMethod {
    /// INVITE within the dialog (RFC 3261 section 14).
    ReInvite,
    /// UPDATE (RFC 3311).
    Update,
    /// An offer in a PRACK (RFC 3262 section 5). It leaves on the other leg as an UPDATE.
    Prack,
}

/// What a leg tells its call, and what the call tells a leg. An event that one leg emits may be
/// handed to the other leg as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegEvent {
    /// The callee is alerted (180), or there is progress (181 to 199). A body is early media.
    Ring {
        /// 180 to 199.
        status: u16,
        /// Header lines that pass between legs, each with its CRLF; see `passed_headers`.
        headers: Bytes,
        /// The offer or answer, if the peer sent one.
        body: Option<Body>,
    },
    /// The callee answered (200).
    Answer {
        /// Header lines that pass between legs, each with its CRLF.
        headers: Bytes,
        /// The answer; the offer if the INVITE had none; none if the offer and answer were
        /// exchanged before.
        body: Option<Body>,
    },
    /// ACK of an INVITE that carried no offer, or PRACK of a provisional response that carried
    /// one: the body is the answer. A leg that placed the INVITE without an offer waits for this
    /// before it sends its own ACK, so the call must hand it on. Not emitted otherwise.
    Acknowledge {
        /// The answer.
        body: Option<Body>,
    },
    /// One side offers a changed session, or (without a body) asks for an offer. Exactly one
    /// `UpdateAnswer` comes back, unless the leg is released before.
    Update {
        /// How it was asked for.
        method: UpdateMethod,
        /// The offer.
        body: Option<Body>,
    },
    /// The outcome of `Update`.
    UpdateAnswer {
        /// The final status; 2xx accepts.
        status: u16,
        /// The answer, or the offer if `Update` had none.
        body: Option<Body>,
    },
    /// INFO (RFC 6086). Exactly one `InfoAnswer` comes back, unless the leg is released before.
    Info {
        /// `Info-Package`, `Content-Disposition` and other header lines that pass.
        headers: Bytes,
        /// What it says.
        body: Option<Body>,
    },
    /// The outcome of `Info`.
    InfoAnswer {
        /// The final status.
        status: u16,
        /// Rarely there.
        body: Option<Body>,
    },
    /// Only from a leg: the peer wants the other side of the call to be connected to somebody else
    /// (REFER, RFC 3515). Exactly one `TransferAnswer` comes back, unless the leg is released before.
    Transfer {
        /// The URI in Refer-To.
        refer_to: Bytes,
    },
    /// Only to a leg: whether that is tried.
    TransferAnswer {
        /// 2xx: it is.
        status: u16,
    },
    /// Only to a leg that was told so: what has come of it, 1xx for the time being.
    TransferProgress {
        /// What whoever was called said; 2xx: the other side is connected there.
        status: u16,
    },
    /// Only to a leg: whoever was at the other side has left, and the call goes on with somebody else. What
    /// the peer has asked and nobody answers now is answered: 491 to `Update`, 480 to `Info`.
    OtherSideLeft,
    /// Only from a leg: its policy took these codecs out of what the peer says next, or is told.
    CodecsRemoved {
        /// Their names, with commas between them.
        names: Box<str>,
    },
    /// Only from an outbound leg, instead of `Release`: the callee answered 3xx. The leg is over.
    /// Only to an inbound leg: answer so.
    Redirect {
        /// The status, 300 to 399.
        status: u16,
        /// URIs, best first.
        contacts: Vec<Bytes>,
    },
    /// From a leg: it has ended or is ending by itself; nothing but `is_over` is of interest
    /// afterwards. To a leg: end, by what fits the state (a final response, CANCEL or BYE).
    /// A leg emits it at most once, and not at all after it was told to release.
    Release {
        /// Why.
        cause: Cause,
        /// The value of the peer's `Reason` header (RFC 3326); to a leg: send this one. If there
        /// is none, the leg writes the Q.850 value of `cause`.
        reason_header: Option<Bytes>,
        /// From a leg: the final status received or sent; 200 if the leg had been answered.
        /// To an inbound leg that is not answered: the status to answer with.
        sip_status: u16,
    },
}
